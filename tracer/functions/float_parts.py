"""Sign, mantissa and exponent of floating numbers, read from and written to their bits.

https://pytorch.org/docs/stable/torch.html#pointwise-ops
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ops import elementwise as ops
from ..ops.custom import custom_gradient
from ..ops.structural import bitcast
from ..tensor.tensor import Tensor
from .arithmetic import mul, pow
from .choosing import clamp, where
from .comparing import logical_and, logical_or
from .layout import keeps_layout, laid_out
from .methods import Out, into, method, pointwise, with_out, with_out_of
from .operands import Number, common_shape, float_kind, operands, wrap
from .refusals import not_implemented
from .return_types import return_type
from .ruled import Derivative, check_bool, check_tensor, constant_like, floating_kind, ruled
from .spelling import spelled

_LDEXP: Final = Out("ldexp can't be cast to the desired output type {out}", exact=False)

# --- Bit patterns -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Format:
    """How a floating type is laid out in bits: sign, exponent plus `bias`, `fraction` bits of the mantissa."""

    whole: dtype  # the integers of that width
    fraction: int

    @property
    def width(self) -> int:
        return self.whole.itemsize * 8

    @property
    def bias(self) -> int:
        return int(2**(self.width - self.fraction - 2) - 1)

    @property
    def unsigned(self) -> int:
        """The bits other than the sign."""
        return int(2**(self.width - 1) - 1)


_FORMATS = {dtypes.float16: _Format(dtypes.int16, 10), dtypes.bfloat16: _Format(dtypes.int16, 7),
            dtypes.float32: _Format(dtypes.int32, 23), dtypes.float64: _Format(dtypes.int64, 52)}


def _bits(x: Tensor) -> Tensor:
    return wrap(bitcast(ops.stop_gradient(x._read()), dtype=_FORMATS[x.dtype].whole))


def _of_bits(bits: Tensor, kind: dtype) -> Tensor:
    return wrap(bitcast(bits._read(), dtype=kind))


def _is_negative(x: Tensor) -> Tensor:
    """The sign bit, of -0.0 and NaN as well."""
    return _bits(x) < 0


@method()
@keeps_layout
def signbit(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether the sign bit is set: of negative numbers and of -0.0.

    >>> import flambeau as torch
    >>> torch.signbit(torch.tensor([-0.0, 0.0, -1.0]))
    tensor([ True, False,  True])
    """
    check_tensor("signbit", "input", 1, input)
    if input.dtype.is_complex:
        raise NotImplementedError("signbit is not implemented for complex tensors.")
    check_bool("signbit", out)
    if input.dtype.is_floating_point:
        return into(out, _is_negative(input))
    return into(out, input < 0 if input.dtype.is_signed else constant_like(input, False, dtypes.boolean))


def _copysign_pull(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Sequence[Tensor]:
    zero = x == 0
    return g * where(zero, 0, out / where(zero, 1, x)), g * 0


_COPYSIGN = Derivative("Copysign", _copysign_pull)


@pointwise()
@with_out
def copysign(input: Tensor, other: Tensor | Number) -> Tensor:
    """|input| with the sign of `other`, that of -0.0 being minus. The gradient where input is 0 is 0.

    >>> import flambeau as torch
    >>> torch.copysign(torch.tensor([1.0, -2.0]), -0.0)
    tensor([-1., -2.])
    """
    def turned(x: Tensor, y: Tensor) -> Tensor:
        return where(_is_negative(x) == _is_negative(y), x, -x)

    check_tensor("copysign", "input", 1, input)
    return ruled(_COPYSIGN, turned, input, other, kind=floating_kind("copysign", input, other, whole=True))


def _nextafter_pull(g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> Sequence[Tensor]:
    return where(x == y, 0, g), g * 0


_NEXTAFTER = Derivative("Nextafter", _nextafter_pull)


@pointwise()
@with_out
def nextafter(input: Tensor, other: Tensor) -> Tensor:
    """The next number of the type from input on toward `other`.

    >>> import flambeau as torch
    >>> torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)) - 1 == torch.finfo(torch.float32).eps
    tensor(True)
    """
    check_tensor("nextafter", "other", 2, other)
    kind = floating_kind("nextafter", input, other)
    x, y = operands(input, other, kind=kind)
    fixed = ops.stop_gradient(x), ops.stop_gradient(y)
    result = ops.nextafter(*fixed) if kind.itemsize >= 4 else _narrow_next(*map(wrap, fixed))._read()
    return laid_out(wrap(custom_gradient(x, y, result, outputs=1, rule=_NEXTAFTER)[0]), (input, other))


def _narrow_next(x: Tensor, y: Tensor) -> Tensor:
    """Of 16 bits: magnitudes are ordered as their bit patterns are."""
    bits, other = _bits(x), _bits(y)
    magnitude, target = bits & _FORMATS[x.dtype].unsigned, other & _FORMATS[x.dtype].unsigned
    away = logical_and((bits < 0) == (other < 0), magnitude < target)
    smallest = (other & ~_FORMATS[x.dtype].unsigned) | 1
    moved = where(magnitude == 0, smallest, where(away, bits + 1, bits - 1))
    stays = logical_or(bits == other, logical_and(magnitude == 0, target == 0))
    result = _of_bits(where(stays, other, moved), x.dtype)
    return where(logical_or(x != x, y != y), math.nan, result)


# --- Mantissa and exponent --------------------------------------------------------------------------------------------


def _power_of_two(exponent: Tensor, kind: dtype) -> Tensor:
    """Exactly 2 ** exponent, for a normal number."""
    layout = _FORMATS[kind]
    return _of_bits((exponent + layout.bias).to(layout.whole) << layout.fraction, kind)


def _scaled(x: Tensor, exponent: Tensor) -> Tensor:
    """x * 2**exponent, in four steps: the power alone may lie outside the type."""
    kind = x.dtype.real_form
    limit = 2 * _FORMATS[kind].bias + _FORMATS[kind].fraction + 2
    exponent = clamp(exponent.to(dtypes.int64), -limit, limit)
    part = exponent >> 2
    step, last = (_power_of_two(e, kind).to(x.dtype) for e in (part, exponent - part * 3))
    return x * step * step * step * last


@pointwise()
@with_out_of(_LDEXP)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input * 2 ** other; exact for integers `other`.

    >>> import flambeau as torch
    >>> torch.ldexp(torch.tensor([1.0, 0.75]), torch.tensor([-1, 4]))
    tensor([ 0.5000, 12.0000])
    """
    check_tensor("ldexp", "other", 2, other)
    kind = float_kind(input, other)
    if other.dtype is dtypes.boolean and input.dtype.is_floating_point:
        raise not_implemented("ldexp_cpu_exp", other.dtype)
    if other.dtype.is_inexact or kind.real_form not in _FORMATS:
        return mul(input, pow(2.0, other)).to(kind)
    (x,), (exponent,) = (operands(t, kind=k, shape=common_shape(input._type.shape, other._type.shape))
                         for t, k in ((input, kind), (other, dtypes.int64)))
    return _scaled(wrap(x), wrap(exponent))


_Frexp = return_type("frexp", "mantissa exponent")


@method()
@spelled
def frexp(input: Tensor, *, out: tuple[Tensor, Tensor] | None = None) -> Any:
    """(mantissa, exponent) with input = mantissa * 2 ** exponent and 0.5 <= |mantissa| < 1; zeros and what is not finite stay.

    >>> import flambeau as torch
    >>> torch.frexp(torch.tensor([6.0, -0.25]))
    torch.return_types.frexp(
    mantissa=tensor([ 0.7500, -0.5000]),
    exponent=tensor([ 3, -1], dtype=torch.int32))
    """
    if not input.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    bits, exponent = _mantissa_and_exponent(input)
    mantissa = wrap(ops.with_value(_scaled(input, -exponent)._read(), _of_bits(bits, input.dtype)._read()))
    results = [laid_out(r, (input,)) for r in (mantissa, exponent.to(dtypes.int32))]
    if out is not None:
        _check_frexp_out(out, input.dtype)
        results = [into(o, r) for o, r in zip(out, results, strict=True)]
    return _Frexp(*results)


def _mantissa_and_exponent(x: Tensor) -> tuple[Tensor, Tensor]:
    """The bits of the mantissa, and the exponent, in integers throughout: XLA takes subnormal numbers for zeros."""
    layout = _FORMATS[x.dtype]
    one = 1 << layout.fraction
    bits = _bits(x)
    magnitude = bits & layout.unsigned
    field, fraction = magnitude >> layout.fraction, magnitude & (one - 1)
    places = wrap(ops.count_leading_zeros(fraction._read())) - (layout.width - layout.fraction - 1)
    subnormal = field == 0
    fraction = where(subnormal, (fraction << where(subnormal, places, 0)) & (one - 1), fraction)
    exponent = where(subnormal, 1 - places, field) - (layout.bias - 1)
    mantissa = (bits & ~layout.unsigned) | fraction | ((layout.bias - 1) << layout.fraction)
    kept = logical_or(magnitude == 0, field == 2 * layout.bias + 1)
    return where(kept, bits, mantissa), where(kept, 0, exponent)


def _check_frexp_out(out: tuple[Tensor, Tensor], kind: dtype) -> None:
    names = {dtypes.float64: "double", dtypes.float16: "half", dtypes.bfloat16: "bfloat16", dtypes.int64: "long int",
             dtypes.int32: "int", dtypes.float32: "float"}
    for tensor, wanted, name in zip(out, (kind, dtypes.int32), ("mantissa", "exponent"), strict=True):
        if tensor.dtype is not wanted:
            required, given = (names.get(d, d.name) for d in (wanted, tensor.dtype))
            phrase = f"dtype {required}" if name == "mantissa" else f"{required} dtype"
            raise RuntimeError(f"torch.frexp() expects {name} to have {phrase} but got {given}")
