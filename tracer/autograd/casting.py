"""`torch.amp.custom_fwd` and `custom_bwd`: autocast around a function with a gradient of its own.

https://pytorch.org/docs/stable/notes/amp_examples.html#autocast-and-custom-autograd-functions
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..functions.autocast import autocast, get_autocast_dtype, is_autocast_enabled
from ..ir import dtypes
from ..ir.dtypes import dtype
from ..tensor.tensor import Tensor


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: dtype | None = None) -> Any:
    """Around the `forward` of an `autograd.Function`: what autocast does there is what `custom_bwd` does in its backward.

    Args: `device_type`, "cpu", "cuda" or "tpu"; `cast_inputs`, a dtype to which an autocast block casts the floating-point
    arguments on that device (doubles stay), and then leaves the body alone; by default the body is in the block itself.
    Raises ValueError if `device_type` is no text.

    >>> import flambeau as torch
    >>> class Twice(torch.autograd.Function):
    ...     @staticmethod
    ...     @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    ...     def forward(ctx, x):
    ...         return x @ x
    ...     @staticmethod
    ...     @torch.amp.custom_bwd(device_type="cpu")
    ...     def backward(ctx, g):
    ...         return g
    >>> with torch.autocast("cpu"):
    ...     Twice.apply(torch.ones(2, 2, dtype=torch.bfloat16)).dtype
    torch.float32

    Source: https://pytorch.org/docs/stable/amp.html#torch.amp.custom_fwd
    """
    _check(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(*args: Any, **kwargs: Any) -> Any:
        context, on = args[0], is_autocast_enabled(device_type)
        context._dtype = get_autocast_dtype(device_type)
        context._fwd_used_autocast = on and cast_inputs is None
        if not on or cast_inputs is None:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(*_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Around the `backward` of an `autograd.Function` whose `forward` has `custom_fwd`: autocast is as it was there.

    Args: `device_type`, the same as there. Raises ValueError if it is no text.

    Source: https://pytorch.org/docs/stable/amp.html#torch.amp.custom_bwd
    """
    _check(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(*args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, args[0]._dtype, enabled=args[0]._fwd_used_autocast):
            return bwd(*args, **kwargs)

    return backward


def _check(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def _cast(x: Any, on: str, kind: dtype) -> Any:
    """`x` with its floating-point tensors on a kind of device in a dtype."""
    if isinstance(x, Tensor):
        eligible = x.dtype.is_floating_point and x.dtype is not dtypes.float64 and x.device.type == on
        return x.to(kind) if eligible else x
    if isinstance(x, (str, bytes, np.ndarray)):
        return x
    if isinstance(x, Mapping):
        return {_cast(key, on, kind): _cast(value, on, kind) for key, value in x.items()}
    if isinstance(x, Iterable):
        inside = (_cast(item, on, kind) for item in x)
        return type(x)(inside) if isinstance(x, (list, tuple)) else inside
    return x
