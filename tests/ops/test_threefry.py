"""Threefry-2x32, in numpy and in instructions, against the known answers published with Random123."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.graph import Graph
from flambeau.tracer.ir.op import Op, zero_gradient
from flambeau.tracer.ir.recorder import placeholder, recording
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops.random import blocks_used, emit_threefry, random_bits, threefry

from .harness import interpret, run_xla

PI = ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3))
ONES = ((0xFFFFFFFF, 0xFFFFFFFF),) * 2
ZEROS = ((0, 0),) * 2
KNOWN = [
    (13, ZEROS, (0x9D1C5EC6, 0x8BD50731)), (13, ONES, (0xFD36D048, 0x2D17272C)), (13, PI, (0xBA3E4725, 0xF27D669E)),
    (20, ZEROS, (0x6B200159, 0x99BA4EFE)), (20, ONES, (0x1CB996FC, 0xBB002BE7)), (20, PI, (0xC4923A9C, 0x483DF7A0)),
]


def rounds_op(rounds: int) -> Op:
    """key words and counter words of one block -> its output words."""
    pair = (Type.of((1,), dtypes.uint32),) * 2

    def lower(h: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        def scalar(x: Any) -> Any:
            return h.op("reshape", (x,), Type.of((), dtypes.uint32))

        return emit_threefry(h, (scalar(a), scalar(b)), (c, d), rounds)

    return Op(f"threefry_{rounds}", lambda *types: pair, lambda a, b, c, d: threefry((a, b), (c, d), rounds), lower,
              zero_gradient, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rounds", "inputs", "expected"), KNOWN)
def test_known_answers(rounds: int, inputs: Any, expected: tuple[int, int]) -> None:
    arrays = [np.array([word], np.uint32) for words in inputs for word in words]
    values = [placeholder(Type.of((1,), dtypes.uint32)) for _ in arrays]
    with recording() as recorder:
        outputs = rounds_op(rounds)(*values)
    graph = Graph(values, recorder.nodes, outputs)
    assert [int(word[0]) for word in interpret(graph, arrays)] == list(expected)
    assert [int(word[0]) for word in run_xla(graph, arrays)] == list(expected)


def test_consecutive_draws_share_no_block() -> None:
    """The offset after a draw of 5 words is where the next draw's bits begin."""
    def draw(offset: int, count: int) -> Any:
        return random_bits.reference(np.array([3, offset], np.uint64), shape=(count,), dtype=dtypes.uint64)

    used = blocks_used((5,), dtypes.uint64)
    np.testing.assert_array_equal(np.concatenate([draw(0, 5), draw(used, 4)]), draw(0, 9))
    assert blocks_used((2, 3), dtypes.uint32) == 3 and blocks_used((5,), dtypes.uint32) == 3
