"""Dropout: https://pytorch.org/docs/stable/nn.functional.html#dropout-functions"""

from __future__ import annotations

from ...tracer.functions.arithmetic import add, mul
from ...tracer.functions.layout import as_input, lies
from ...tracer.functions.methods import assign
from ...tracer.functions.operands import number_value, wrap
from ...tracer.functions.random import chance_value, generator_on
from ...tracer.functions.refusals import require_kind
from ...tracer.ir.told import tell
from ...tracer.ops.elementwise import select
from ...tracer.ops.structural import Ints
from ...tracer.tensor.tensor import Tensor


def _checked(p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise (ValueError if p == p else RuntimeError)(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def checked_chance(p: float) -> float:
    """The probability for functions of torch's own, whose error is another class, and has the number as C++ writes it."""
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    return p


def _kept(x: Tensor, p: float, shape: Ints) -> Tensor:
    """Bools, true with probability 1 - p, one for each element of `shape` and broadcast from there to x."""
    keep = chance_value(shape, 1 - p, x._device, generator_on(x._device))
    return wrap(keep).expand(x.shape)


def _require_inexact(x: Tensor) -> None:
    if not x.dtype.is_inexact:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {x.dtype.name}: dropout "
                           "requires floating-point elements")
    require_kind("bernoulli_scalar_cpu_", x)


@lies(as_input)
def _dropped(x: Tensor, p: float, shape: Ints) -> Tensor:
    if p == 1.0 or x.numel() == 0:
        return mul(x, 0)
    _require_inexact(x)
    scaled = mul(x, 1 / (1 - p))._read()
    nothing = number_value(0, x.dtype, x._type.shape, x._device)
    return wrap(select(_kept(x, p, shape)._read(), scaled, nothing))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """While training each element is 0 with probability p, else divided by 1 - p.

    Source: Hinton et al.: "Improving neural networks by preventing co-adaptation of feature detectors",
    https://arxiv.org/abs/1207.0580
    """
    if _checked(p) == 0.0 or not training:
        return input
    result = _dropped(input, p, input._type.shape)
    return assign(input, result) if inplace else result


def _channels(x: Tensor, batched: bool) -> Ints:
    """The shape of one draw for each channel: of (N, C, ...), or of (C, ...) without a batch."""
    shape = x._type.shape if batched else (1, *x._type.shape)
    if len(shape) < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    drawn = (*shape[:2], *(1,) * (len(shape) - 2))
    return drawn if batched else drawn[1:]


def _drop_channels(x: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    if p == 0.0 or not training:
        return x
    result = _dropped(x, p, x._type.shape if p == 1.0 or x.numel() == 0 else _channels(x, batched))
    return assign(x, result) if inplace else result


def feature_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, ...): all their elements or none."""
    return _drop_channels(input, _checked(p), training, inplace, batched=True)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L): all their elements or none."""
    _checked(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input: (N, C, L), or (C, L) "
                           "without a batch.")
    return _drop_channels(input, p, training, inplace, batched=input.ndim == 3)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, H, W): all their elements or none.

    As torch's it takes other shapes too, the first two dimensions for N and C, and warns.
    """
    _checked(p)
    if input.ndim == 3:
        tell("dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is "
             "desired: (N, C, L). Say so by dropout1d, or give (C, H, W) a batch by unsqueeze(0).")
    elif input.ndim != 4:
        _warn_of_dimensions("dropout2d", input.ndim, "(N, C, H, W)")
    return _drop_channels(input, p, training, inplace, batched=True)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W): all their elements or none.

    As torch's it takes other shapes too, the first dimension for C, and warns.
    """
    _checked(p)
    if input.ndim not in (4, 5):
        _warn_of_dimensions("dropout3d", input.ndim, "(N, C, D, H, W) or (C, D, H, W)")
    return _drop_channels(input, p, training, inplace, batched=input.ndim == 5)


def _warn_of_dimensions(name: str, ndim: int, wanted: str) -> None:
    tell(f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an error in a "
         f"future release. It takes {wanted}; for single elements there is dropout.")


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 after SELU: dropped elements take its negative limit.

    Source: Klambauer et al.: "Self-normalizing neural networks", https://arxiv.org/abs/1706.02515
    """
    return _alpha_dropped(input, p, training, inplace, input._type.shape)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout of whole channels (N, C, ...): all their elements or none."""
    if _checked(p) in (0.0, 1.0) or not training or input.numel() == 0:
        return _alpha_dropped(input, p, training, inplace, ())
    return _alpha_dropped(input, p, training, inplace, _channels(input, batched=True))


@lies(as_input)
def _alpha_dropped(input: Tensor, p: float, training: bool, inplace: bool, shape: Ints) -> Tensor:
    if _checked(p) == 0.0 or not training or input.numel() == 0:
        return input
    if p == 1.0:
        dropped = mul(input, 0)
        return assign(input, dropped) if inplace else dropped
    _require_inexact(input)
    limit = -1.7580993408473766
    scale = ((1 - p) * (1 + p * limit**2)) ** -0.5
    keep = _kept(input, p, shape)
    result = add(mul(input.where(keep, limit), scale), -scale * limit * p)
    return assign(input, result) if inplace else result
