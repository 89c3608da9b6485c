"""Complex numbers: made, taken apart, conjugated, turned: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

import math
from typing import Final

from ..ir import dtypes
from ..ops import elementwise as ops
from ..tensor.offsets import is_at_multiple
from ..tensor.steps import Conjugate, FromPairs, Pairs, Part, signs
from ..tensor.strides import Geometry
from ..tensor.tensor import Tensor
from .arithmetic import mul
from .choosing import where
from .comparing import isnan, lt
from .layout import apply, keeps_layout
from .methods import FOUND, Out, method, pointwise, with_out, with_out_of
from .operands import float_kind, number_value, scalar_name, wrap
from .refusals import not_implemented
from .ruled import check_tensor
from .shape import tensor_property
from .spelling import check_tensors, spelled
from .unary import cos, sin

_COMPLEX: Final = Out("Expected object of scalar type {result} but got scalar type {out} for argument 'out'")


@keeps_layout
@with_out_of(_COMPLEX)
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """real + i imag, from two tensors of one floating type."""
    check_tensors(complex, (real, imag), 2)
    kinds = [scalar_name(x.dtype) for x in (real, imag)]
    if not all(x.dtype in (dtypes.float16, dtypes.float32, dtypes.float64) for x in (real, imag)):
        raise RuntimeError(f"Expected both inputs to be Half, Float or Double tensors but got {kinds[0]} and {kinds[1]}")
    if real.dtype is not imag.dtype:
        raise RuntimeError(f"Expected object of scalar type {kinds[0]} but got scalar type {kinds[1]} for second argument")
    _refuse_half(real.dtype)
    return apply(ops.complex_, real, imag)


def _refuse_half(kind: dtypes.dtype) -> None:
    if kind is dtypes.float16:
        raise TypeError("Got unsupported ScalarType ComplexHalf (complex numbers of two halves: convert to float32 first)")


@keeps_layout
@with_out_of(_COMPLEX)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """abs * exp(i angle)."""
    check_tensor("polar", "abs", 1, abs)
    check_tensor("polar", "angle", 2, angle)
    kinds = [scalar_name(x.dtype) for x in (abs, angle)]
    if not all(x.dtype in (dtypes.float16, dtypes.float32, dtypes.float64) for x in (abs, angle)):
        raise RuntimeError(f"Expected both inputs to be Half, Float or Double tensors but got {kinds[0]} and {kinds[1]}")
    if abs.dtype is not angle.dtype:
        raise RuntimeError(f"Expected object of scalar type {kinds[0]} but got scalar type {kinds[1]} for second argument")
    if abs.dtype is dtypes.float16:
        raise not_implemented("polar_cpu", abs.dtype)
    return complex(mul(abs, cos(angle)), mul(abs, sin(angle)))


@method()
def conj(input: Tensor) -> Tensor:
    """A view of the complex conjugates; real tensors themselves."""
    return input._view(Conjugate(), input._geometry) if input.dtype.is_complex else input


@pointwise()
@with_out_of(FOUND)
def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugates, in memory of their own; of real numbers the tensor itself."""
    if not input.dtype.is_complex:
        return input
    return wrap(ops.alias(conj(input)._read()))


@method()
def is_conj(input: Tensor) -> bool:
    """Whether the tensor shows the conjugates of what is in memory."""
    return signs(input)[0]


@method()
def is_neg(input: Tensor) -> bool:
    """Whether the tensor shows the negatives of what is in memory, as the imaginary part of a conjugate does."""
    return signs(input)[1]


@method()
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself, or a copy if it shows the negatives of what is in memory."""
    return wrap(ops.alias(input._read())) if is_neg(input) else input


@method()
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself, or a copy if it shows the conjugates of what is in memory."""
    return wrap(ops.alias(input._read())) if is_conj(input) else input


@method()
@keeps_layout
@with_out
def angle(input: Tensor) -> Tensor:
    """The argument of complex numbers; 0 or pi for real ones."""
    if input.dtype.is_complex:
        value = input._read()
        return wrap(ops.atan2(ops.imag(value), ops.real(value)))
    kind = float_kind(input)
    zero, half_turn, nan = (wrap(number_value(n, kind, (), input._device)) for n in (0, math.pi, math.nan))
    result = where(isnan(input), nan, where(lt(input, 0), half_turn, zero))
    if not input.dtype.is_floating_point:
        return result
    return wrap(ops.with_value(ops.sign(input._read()), result._read()))  # the sign's gradient is zero, as this one's


# --- Parts as views ---------------------------------------------------------------------------------------------------


@spelled
def view_as_real(input: Tensor) -> Tensor:
    """A view of complex numbers as pairs of reals along a new last dimension."""
    if not input.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    places = input._strides
    return input._view(Pairs(), Geometry((*(2 * s for s in places.stride), 1), 2 * places.offset))


def view_as_complex(input: Tensor) -> Tensor:
    """A view of pairs along the last dimension as complex numbers."""
    if not input.dtype.is_floating_point:
        raise RuntimeError("view_as_complex is only supported for floating point tensors")
    if input.dtype not in (dtypes.float16, dtypes.float32, dtypes.float64):
        raise RuntimeError("view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar "
                           f"type: {scalar_name(input.dtype)}")
    _refuse_half(input.dtype)
    if input.ndim == 0 or input._type.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    places = input._strides
    if places.stride[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 and n > 1 for s, n in zip(places.stride[:-1], input._type.shape)):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if not is_at_multiple(input, 2):
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    return input._view(FromPairs(), Geometry(tuple(s // 2 for s in places.stride[:-1]), places.offset // 2))


def _part(self: Tensor, imaginary: bool) -> Tensor:
    places = self._strides
    return self._view(Part(imaginary), Geometry(tuple(2 * s for s in places.stride), 2 * places.offset + imaginary))


def _real_part(self: Tensor) -> Tensor:
    return _part(self, False) if self.dtype.is_complex else self


def _imaginary_part(self: Tensor) -> Tensor:
    if not self.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _part(self, True)


tensor_property("real", _real_part, "A view of the real parts.")
tensor_property("imag", _imaginary_part, "A view of the imaginary parts.")


def real(input: Tensor) -> Tensor:
    """A view of the real parts."""
    return _real_part(input)


def imag(input: Tensor) -> Tensor:
    """A view of the imaginary parts."""
    return _imaginary_part(input)
