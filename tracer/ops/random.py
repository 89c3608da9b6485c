"""Random bits: one counter-based algorithm in integer instructions, so every platform and engine gives the same bits.

Threefry-2x32 turns a 64-bit counter into 64 random bits under a 64-bit key, by additions, rotations and xors alone.
13 rounds are the fewest that pass all tests of BigCrush in the paper. Rejected: `stablehlo.rng_bit_generator`, whose
layout of bits differs between platforms.

Source: Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register, zero_gradient
from ..ir.types import Type
from .structural import Ints, array_attribute

ROUNDS = 13
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA  # the third key word is the xor of this and the two others


def blocks_used(shape: Ints, dtype: dtype) -> int:
    """How far a draw of `shape` moves the offset: the number of counters it consumes.

    A counter gives 64 bits: one uint64 or two uint32.

    >>> blocks_used((3,), dtypes.uint32), blocks_used((3,), dtypes.uint64), blocks_used((0,), dtypes.uint32)
    (2, 3, 0)
    """
    count = math.prod(shape)
    return count if dtype is dtypes.uint64 else -(-count // 2)


# --- In numpy ---------------------------------------------------------------------------------------------------------


def threefry(key: tuple[Any, Any], counter: tuple[Any, Any], rounds: int) -> tuple[Any, Any]:
    """Threefry-2x32 of uint32 arrays: the two output words.

    >>> [hex(word[0]) for word in threefry(*[(np.zeros(1, np.uint32),) * 2] * 2, 20)]
    ['0x6b200159', '0x99ba4efe']
    """
    keys = (*key, key[0] ^ key[1] ^ np.uint32(PARITY))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for i in range(rounds):
        turn = ROTATIONS[i % 8]
        x = x + y
        y = x ^ (y << np.uint32(turn) | y >> np.uint32(32 - turn))
        if i % 4 == 3:
            injection = i // 4 + 1
            x = x + keys[injection % 3]
            y = y + keys[(injection + 1) % 3] + np.uint32(injection)
    return x, y


def _random_bits_reference(state: Any, *, shape: Ints, dtype: dtype) -> Any:
    seed, offset = state[..., :1], state[..., 1:]
    counter = offset + np.arange(blocks_used(shape, dtype), dtype=np.uint64)
    first, second = threefry(_halves(seed), _halves(counter), ROUNDS)
    if dtype is dtypes.uint64:
        words = first.astype(np.uint64) | second.astype(np.uint64) << np.uint64(32)
    else:
        words = np.concatenate([first, second], -1)[..., :math.prod(shape)]
    return words.reshape((*state.shape[:-1], *shape))


def _halves(wide: Any) -> tuple[Any, Any]:
    """The low and the high 32 bits of uint64."""
    return wide.astype(np.uint32), (wide >> np.uint64(32)).astype(np.uint32)


# --- In StableHLO -----------------------------------------------------------------------------------------------------


class _Integers:
    """Instructions on arrays of one unsigned type; constants are emitted once each."""

    def __init__(self, h: Emitter, type: Type) -> None:
        self.h, self.type = h, type
        self._constants: dict[int, Operand] = {}

    def op(self, name: str, x: Operand, y: Operand | int) -> Operand:
        return self.h.op(name, (x, self.constant(y) if isinstance(y, int) else y), self.type)

    def constant(self, number: int) -> Operand:
        if number not in self._constants:
            self._constants[number] = self.h.constant(str(number), self.type)
        return self._constants[number]

    def rotate(self, x: Operand, by: int) -> Operand:
        return self.op("or", self.op("shift_left", x, by), self.op("shift_right_logical", x, 32 - by))

    def spread(self, x: Operand) -> Operand:
        """`x`, of this shape without the last dimension, along that dimension."""
        return self.h.op("broadcast_in_dim", (x,), self.type,
                         f"broadcast_dimensions = {array_attribute(range(self.type.ndim - 1))}")


def emit_threefry(h: Emitter, key: tuple[Operand, Operand], counter: tuple[Operand, Operand],
                  rounds: int) -> tuple[Operand, Operand]:
    """Threefry-2x32 in instructions: ui32 counters of shape [*lead, blocks] under ui32 keys of shape [*lead]."""
    narrow, wide = _Integers(h, key[0].type), _Integers(h, counter[0].type)
    keys = (*key, narrow.op("xor", narrow.op("xor", key[0], key[1]), PARITY))
    spread = [wide.spread(k) for k in keys]
    x, y = wide.op("add", counter[0], spread[0]), wide.op("add", counter[1], spread[1])
    for i in range(rounds):
        x = wide.op("add", x, y)
        y = wide.op("xor", x, wide.rotate(y, ROTATIONS[i % 8]))
        if i % 4 == 3:
            injection = i // 4 + 1
            x = wide.op("add", x, spread[injection % 3])
            y = wide.op("add", y, wide.spread(narrow.op("add", keys[(injection + 1) % 3], injection)))
    return x, y


def _random_bits_lower(h: Emitter, state: Operand, *, shape: Ints, dtype: dtype) -> Operand:
    out, lead = h.out, state.type.shape[:-1]
    flat = Type.of((*lead, blocks_used(shape, dtype)), dtypes.uint64)
    seed, offset = (_word(h, state, i) for i in range(2))
    wide = _Integers(h, flat)
    position = h.op("iota", (), flat, f"iota_dimension = {len(lead)} : i64")
    counter = wide.op("add", position, wide.spread(offset))
    first, second = emit_threefry(h, _emit_halves(h, seed), _emit_halves(h, counter), ROUNDS)
    if dtype is dtypes.uint64:
        low, high = (h.op("convert", (word,), flat) for word in (first, second))
        words = wide.op("or", low, wide.op("shift_left", high, 32))
    else:
        words = _joined(h, first, second, math.prod(shape))
    return h.op("reshape", (words,), out)


def _word(h: Emitter, state: Operand, index: int) -> Operand:
    """state[..., index]."""
    lead = state.type.shape[:-1]
    part = h.op("slice", (state,), state.type.with_shape((*lead, 1)), ", ".join([
        f"start_indices = {array_attribute((0,) * len(lead) + (index,))}",
        f"limit_indices = {array_attribute((*lead, index + 1))}",
        f"strides = {array_attribute((1,) * (len(lead) + 1))}"]))
    return h.op("reshape", (part,), state.type.with_shape(lead))


def _emit_halves(h: Emitter, wide: Operand) -> tuple[Operand, Operand]:
    """The low and the high 32 bits."""
    narrow = wide.type.with_dtype(dtypes.uint32)
    high = _Integers(h, wide.type).op("shift_right_logical", wide, 32)
    return h.op("convert", (wide,), narrow), h.op("convert", (high,), narrow)


def _joined(h: Emitter, first: Operand, second: Operand, count: int) -> Operand:
    """The first `count` words of the two halves end to end (interleaving would cost a transposition)."""
    *lead, blocks = first.type.shape
    both = h.op("concatenate", (first, second), first.type.with_shape((*lead, 2 * blocks)),
                f"dimension = {len(lead)} : i64")
    if count == 2 * blocks:
        return both
    return h.op("slice", (both,), first.type.with_shape((*lead, count)), ", ".join([
        f"start_indices = {array_attribute((0,) * first.type.ndim)}",
        f"limit_indices = {array_attribute((*lead, count))}", f"strides = {array_attribute((1,) * first.type.ndim)}"]))


# --- The op -----------------------------------------------------------------------------------------------------------


def _random_bits_infer(state: Type, *, shape: Ints, dtype: dtype) -> Type:
    requires(state.dtype is dtypes.uint64 and state.ndim > 0 and state.shape[-1] == 2, "random_bits",
             "a uint64 state of shape [..., 2] (seed, offset)", state)
    requires(dtype in (dtypes.uint32, dtypes.uint64), "random_bits", "uint32 or uint64 as dtype", dtype.name)
    return Type.of((*state.shape[:-1], *shape), dtype)


def _random_bits_batch(size: int, batched: Sequence[bool], state: Value, *, shape: Ints, dtype: dtype) -> Value:
    return random_bits(state, shape=shape, dtype=dtype)


# random_bits(state[..., 2]; shape, dtype) -> bits[..., *shape]: state is (seed, offset) in uint64, the seed's halves
# are the key, offset + i is the counter of block i. Leading dimensions of the state are independent generators.
random_bits = register(Op("random_bits", _random_bits_infer, _random_bits_reference, _random_bits_lower, zero_gradient,
                          _random_bits_batch, exact=True))
