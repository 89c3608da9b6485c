"""Complex numbers: made, conjugated, turned: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

import math

from ..ops import OPS
from ..tensor import Tensor
from ..views import Conjugate
from .arithmetic import mul
from .choosing import where
from .comparing import isnan, lt
from .layout import apply, keeps_layout
from .methods import method, pointwise, with_out
from .operands import float_kind, wrap
from .unary import cos, sin


@keeps_layout
@with_out
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """real + i imag, from two tensors of one floating type."""
    return apply(OPS["complex"], real, imag)


@keeps_layout
@with_out
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """abs * exp(i angle)."""
    return complex(mul(abs, cos(angle)), mul(abs, sin(angle)))


@method()
def conj(input: Tensor) -> Tensor:
    """A view of the complex conjugates; real tensors themselves."""
    return input._view(Conjugate(), input._geometry) if input.dtype.is_complex else input


@pointwise()
@with_out
def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugates, in memory of their own."""
    return wrap(OPS["alias"](conj(input)._read()))


@method()
def is_conj(input: Tensor) -> bool:
    """Whether the tensor shows the conjugates of what is in memory."""
    return bool(sum(type(step) is Conjugate for step in input._steps) % 2)


@method()
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself, or a copy if it shows the conjugates of what is in memory."""
    return wrap(OPS["alias"](input._read())) if is_conj(input) else input


@method()
@keeps_layout
def angle(input: Tensor) -> Tensor:
    """The argument of complex numbers; 0 or pi for real ones."""
    if input.dtype.is_complex:
        value = input._read()
        return wrap(OPS["atan2"](OPS["imag"](value), OPS["real"](value)))
    kind = float_kind(input)
    result = where(lt(input, 0), math.pi, 0.0).to(kind)
    return where(isnan(input), math.nan, result).to(kind)
