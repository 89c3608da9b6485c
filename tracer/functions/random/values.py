"""From bits to numbers: values of one distribution each, drawn from a generator."""

from __future__ import annotations

import math

from ...ir import dtypes
from ...ir.dtypes import dtype
from ...ir.graph import Value
from ...ops.elementwise import abs_, add, compare, erfinv, mul, or_, rem, shift_right_arithmetic, shift_right_logical
from ...ops.pieces import linked_to
from ...ops.structural import Ints, bitcast
from ...tensor.tensor import Tensor
from ..operands import cast_value, number_value, scalar_name, wrap
from .generator import Generator


def _signed(shape: Ints, kind: dtype, drop: int, generator: Generator) -> Value:
    """Random signed integers for a mantissa: 32 bits (64 for float64) without the last `drop`."""
    wide = kind is dtypes.float64
    bits = generator.draw(shape, dtypes.uint64 if wide else dtypes.uint32)
    signed = dtypes.int64 if wide else dtypes.int32
    value = bitcast(bits, dtype=signed)
    down = number_value(drop, signed, shape, bits.device)
    return shift_right_arithmetic(value, down)


def symmetric_value(shape: Ints, kind: dtype, bound: float, generator: Generator) -> Value:
    """k * bound / 2**23 for a random integer k in [-2**23, 2**23): uniform in [-bound, bound).

    The integer is exact in the type and there is one multiplication, so the numbers are the same on every engine.
    float64 takes k from [-2**52, 2**52).
    """
    drop, power = (11, 52) if kind is dtypes.float64 else (8, 23)
    integers = _signed(shape, kind, drop, generator)
    step = number_value(bound * 2.0**-power, kind, shape, integers.device)
    return mul(cast_value(integers, kind), step)


def open_symmetric_value(shape: Ints, kind: dtype, generator: Generator) -> Value:
    """Uniform odd multiples of 2**-24 (2**-53) in (-1, 1): neither 0 nor either end comes up."""
    drop, power = (10, 53) if kind is dtypes.float64 else (7, 24)
    integers = _signed(shape, kind, drop, generator)
    odd = or_(integers, number_value(1, integers.type.dtype, shape, integers.device))
    return mul(cast_value(odd, kind), number_value(2.0**-power, kind, shape, odd.device))


def uniform_value(shape: Ints, kind: dtype, generator: Generator) -> Value:
    """Uniform multiples of eps / 2 in [0, 1): of 2**-24 for float32, of 2**-53 for float64."""
    wide, digits = kind is dtypes.float64, 1 - round(math.log2(dtypes.finfo(kind).eps))
    bits = generator.draw(shape, dtypes.uint64 if wide else dtypes.uint32)
    unsigned, signed = (dtypes.uint64, dtypes.int64) if wide else (dtypes.uint32, dtypes.int32)
    down = number_value((64 if wide else 32) - digits, unsigned, shape, bits.device)
    high = cast_value(shift_right_logical(bits, down), signed)
    return mul(cast_value(high, kind), number_value(2.0**-digits, kind, shape, bits.device))


def open_uniform(shape: Ints, kind: dtype, generator: Generator) -> Tensor:
    """Uniform odd multiples of 2**-24 (2**-53) in (0, 1), for logarithms."""
    return wrap(abs_(open_symmetric_value(shape, kind, generator)))


def normal_value(shape: Ints, kind: dtype, generator: Generator) -> Value:
    """Standard normal numbers: sqrt(2) * erfinv(u) for u uniform in (-1, 1)."""
    x = erfinv(open_symmetric_value(shape, kind, generator))
    return mul(x, number_value(math.sqrt(2), kind, shape, x.device))


def chance_value(shape: Ints, probability: float, on: str, generator: Generator) -> Value:
    """True with a probability that is rounded to a multiple of 2**-32: an integer comparison of the bits."""
    limit = round(probability * 2.0**32)
    if limit >= 2**32:
        return number_value(True, dtypes.boolean, shape, on)
    bits = generator.draw(shape, dtypes.uint32)
    return compare(bits, number_value(limit, dtypes.uint32, shape, on), direction="LT")


def working(kind: dtype, what: str) -> dtype:
    """The type random floats of `kind` are made in: float32 for the narrow ones."""
    if not kind.is_floating_point or kind.itemsize < 2:
        raise NotImplementedError(f'"{what}" not implemented for \'{scalar_name(kind)}\'')
    return kind if kind.itemsize >= 4 else dtypes.float32


def integer_value(shape: Ints, low: int, high: int, generator: Generator) -> Value:
    """int64 in [low, high): the high half of bits * range for up to 2**32 numbers, else 64 bits modulo the range."""
    count, on = high - low, generator._device
    narrow = count <= 2**32
    bits = cast_value(generator.draw(shape, dtypes.uint32 if narrow else dtypes.uint64), dtypes.uint64)
    if narrow:
        scaled = mul(bits, number_value(count, dtypes.uint64, shape, on))
        chosen = shift_right_logical(scaled, number_value(32, dtypes.uint64, shape, on))
    else:
        chosen = bits if count == 2**64 else rem(bits, number_value(count, dtypes.uint64, shape, on))
    value = bitcast(chosen, dtype=dtypes.int64)
    return value if low == 0 else add(value, number_value(low, dtypes.int64, shape, on))


_C_NAMES = {"uint8": "unsigned char", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long",
            "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double"}


def check_bounds(kind: dtype, low: float, high: float, above: str = "to") -> None:
    """Raise unless `kind` reaches from `low` to `high`."""
    if kind is dtypes.boolean:
        least, most = 0.0, 1.0
    else:
        about = dtypes.finfo(kind) if kind.is_floating_point else dtypes.iinfo(kind)
        least, most = about.min, about.max
    for name, bound in (("from", low), (above, high)):
        if not least <= bound <= most:
            raise RuntimeError(f"{name} is out of bounds for {_C_NAMES.get(kind.name, kind.name)}")


# --- Gradients of draws -----------------------------------------------------------------------------------------------


def drawn_from(drawn: Tensor, *parameters: Tensor) -> Tensor:
    """What was drawn, with the gradient zero with respect to the parameters of the distribution, as torch has it.

    A draw that is differentiated through its parameters is `distributions.*.rsample`.
    """
    value, given = drawn._read(), [p._read() for p in parameters if p.requires_grad]
    return wrap(linked_to(value, *given) if value.type.dtype.is_inexact else value)
