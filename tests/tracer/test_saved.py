"""The choice of what is kept for a backward pass, against all possible choices on small random programs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Sequence

import pytest

from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.graph import Node, Value
from flambeau.tracer.ir.recorder import placeholder, recording
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops import OPS
from flambeau.tracer.walks.kept import smallest_to_keep

KINDS = [dtypes.float16, dtypes.float32, dtypes.float64]
SQUARE = {"contract": ((1,), (0,)), "batch": ((), ()), "dtype": None}


def program(rng: random.Random) -> tuple[list[Node], list[Value]]:
    """Nodes, some heavy (dot) and some light (mul, convert), on matrices of 32, 64 and 128 bytes; and their results."""
    values = [placeholder(Type.of((4, 4), rng.choice(KINDS))) for _ in range(2)]
    with recording() as recorder:
        while len(recorder.nodes) < 9:
            x, y = rng.choice(values), rng.choice(values)
            if x.type is not y.type:
                made = OPS["convert"](x, dtype=y.type.dtype)
            elif rng.random() < 0.4:
                made = OPS["dot"](x, y, **SQUARE)
            else:
                made = OPS["mul"](x, y)
            values.append(made)
    return recorder.nodes, values[2:]


def makes(nodes: Sequence[Node], read: Collection[Value], there: Collection[Value]) -> bool:
    """Whether light operations alone make what is read of what is there."""
    inside, known = set(nodes), set(there)
    for node in nodes:
        if node.op.light and all(v in known or v.node not in inside for v in node.inputs):
            known.add(node.output(0))
    return known.issuperset(read)


def size(values: Collection[Value]) -> int:
    return sum(v.type.nbytes for v in values)


@pytest.mark.parametrize("seed", range(40))
def test_no_smaller_choice_would_do(seed: int) -> None:
    rng = random.Random(seed)
    nodes, values = program(rng)
    read = rng.sample(values, rng.randint(1, 5))
    there = rng.sample(values, rng.randint(0, 2))
    found = smallest_to_keep(nodes, read, there)
    assert not set(found) & set(there)
    assert makes(nodes, read, [*found, *there])
    smaller = (choice for n in range(len(values)) for choice in itertools.combinations(values, n)
               if size(choice) < size(found))
    assert not any(makes(nodes, read, [*choice, *there]) for choice in smaller)


def test_of_equal_choices_the_one_that_needs_no_work() -> None:
    x = placeholder(Type.of((4, 4), dtypes.float32))
    with recording() as recorder:
        product = OPS["dot"](x, x, **SQUARE)
        result = OPS["tanh"](product)
    assert smallest_to_keep(recorder.nodes, [result]) == [result]
    assert smallest_to_keep(recorder.nodes, [result], keepable=lambda v: v is product) == [product]
    assert smallest_to_keep(recorder.nodes, [result], [product]) == []
