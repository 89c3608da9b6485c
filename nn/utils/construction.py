"""Modules made without initial values, and weights laid out for devices."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from ..module import Module

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """A module whose parameters are not given initial values, for state that is loaded next.

    Args: the class and what its constructor takes, which must include `device`. RuntimeError if it does not, or for what is
    no module class.

    >>> import flambeau as torch
    >>> torch.nn.utils.skip_init(torch.nn.Linear, 2, 3).weight.shape
    torch.Size([3, 2])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.utils.skip_init.html
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    return module_cls(*args, **kwargs)


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """The module: XLA lays weights out as suits it, whatever format is asked for."""
    return module


def convert_conv3d_weight_memory_format(module: M, memory_format: Any) -> M:
    """The module: XLA lays weights out as suits it, whatever format is asked for."""
    return module
