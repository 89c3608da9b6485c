"""Functions with gradients of their own under autocast: https://pytorch.org/docs/stable/notes/amp_examples.html"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..functions.autocast import autocast, get_autocast_dtype, is_autocast_enabled
from ..ir.dtypes import dtype, float64
from ..tensor.nested import map_structure
from ..tensor.tensor import Tensor


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: dtype | None = None) -> Any:
    """Decorate the `forward` of an `autograd.Function`: with `cast_inputs` it runs outside autocast on inputs of that dtype.

    Without, autocast stays as it is, and `custom_bwd` of its `backward` finds it again. Only where autocast is on is anything
    cast.

    Args: `device_type`, "cpu", "cuda" or "tpu"; `cast_inputs`, the dtype of floating inputs on it.

    >>> import flambeau as torch
    >>> @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    ... def forward(ctx, x):
    ...     return x.dtype
    >>> with torch.autocast("cpu"):
    ...     forward(torch.autograd.function.FunctionCtx(()), torch.ones(1, dtype=torch.bfloat16))
    torch.float32

    Source: https://pytorch.org/docs/stable/amp.html#torch.amp.custom_fwd
    """
    _check(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        on = is_autocast_enabled(device_type)
        ctx._fwd_used_autocast = on and cast_inputs is None
        if not on or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Decorate the `backward` of an `autograd.Function`: it runs with the autocast that its `forward` had.

    Source: https://pytorch.org/docs/stable/amp.html#torch.amp.custom_bwd
    """
    _check(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    return decorated


def _check(device_type: str) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def _cast(x: Any, device_type: str, kind: dtype) -> Any:
    """The floating tensors of that kind of device, but for those in double precision, in another dtype."""
    def leaf(x: Any, path: str) -> Any:
        eligible = isinstance(x, Tensor) and x.is_floating_point() and x.device.type == device_type and x.dtype is not float64
        return x.to(kind) if eligible else x

    return map_structure(x, leaf)
