"""`torch.utils`: https://pytorch.org/docs/stable/utils.html"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module as _import_module
from typing import Any, TypeVar

from ..tracer.autograd.modes import no_grad as _no_grad
from ..tracer.tensor.tensor import Tensor as _Tensor
from . import _pytree, checkpoint, deterministic, dlpack, hooks, weak

F = TypeVar("F", bound=Callable[..., Any])
__all__ = ["checkpoint", "data", "hooks", "set_module", "swap_tensors"]


def swap_tensors(t1: _Tensor, t2: _Tensor) -> None:
    """Exchange what two tensors hold: values, gradients, and whether they require one. RuntimeError for what is no leaf.

    >>> import flambeau as torch
    >>> a, b = torch.zeros(1), torch.ones(2)
    >>> torch.utils.swap_tensors(a, b)
    >>> a, b
    (tensor([1., 1.]), tensor([0.]))
    """
    if not (t1.is_leaf and t2.is_leaf):
        raise RuntimeError("swap_tensors requires leaves: the history of other tensors is theirs")
    with _no_grad():
        first, second = t1.detach(), t2.detach()
        gradients, flags = (t1.grad, t2.grad), (t1.requires_grad, t2.requires_grad)
        t1.grad = t2.grad = None
        t1.data, t2.data = second, first
    for tensor, gradient, flag in zip((t1, t2), reversed(gradients), reversed(flags)):
        tensor.requires_grad_(flag)
        tensor.grad = gradient


def set_module(obj: Any, mod: str) -> None:
    """Say in which module a thing is found."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


def __getattr__(name: str) -> object:
    """`data` comes on first use: it loads multiprocessing."""
    if name == "data":
        return _import_module(".data", __name__)
    raise AttributeError(f"module 'flambeau.utils' has no attribute {name!r}")
