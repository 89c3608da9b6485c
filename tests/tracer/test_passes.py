"""Each simplification: what it removes, what it must leave, and that values stay the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.constants import full_like
from flambeau.tracer.ir.graph import Graph, Value
from flambeau.tracer.ir.recorder import capture
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops import OPS
from flambeau.tracer.ops.elementwise import add, alias, convert, exp, mul, neg, sub
from flambeau.tracer.ops.structural import reshape, transpose
from flambeau.tracer.walks.interpret import interpret
from flambeau.tracer.walks.simplify import PASSES, algebraic, common_subexpressions, constant_folding, dead_code, simplify

from ..ops.harness import forward_graph, gradient_graph, type_of
from ..ops.samples import SAMPLES

MATRIX, LONGS = Type.of((2, 3), dtypes.float32), Type.of((2, 3), dtypes.int64)


def graph(function: Callable[..., Any], *types: Type) -> Graph:
    return capture(function, list(types))[0].check()


def names(g: Graph) -> list[str]:
    return [n.op.name for n in g.check().nodes]


def only(value: Value) -> tuple[Value]:
    return (value,)


def test_dead_code() -> None:
    def function(x: Value) -> Sequence[Value]:
        exp(neg(x))
        return only(neg(x))

    assert names(dead_code(graph(function, MATRIX))) == ["neg"]


def test_common_subexpressions() -> None:
    def function(x: Value, y: Value) -> Sequence[Value]:
        return add(exp(x), exp(x)), exp(y), transpose(x, permutation=(1, 0)), transpose(x, permutation=(0, 1))

    merged = common_subexpressions(graph(function, MATRIX, MATRIX))
    assert names(merged).count("exp") == 2
    assert names(merged).count("transpose") == 2


def test_zeros_of_both_signs_are_not_merged() -> None:
    def function(x: Value) -> Sequence[Value]:
        zeros = [OPS["constant"].on("cpu", value=text, shape=(2, 3), dtype=dtypes.float32) for text in ("0.0", "-0.0")]
        return mul(x, zeros[0]), mul(x, zeros[1])

    a, b = interpret(simplify(graph(function, MATRIX)), [np.ones((2, 3), np.float32)])
    assert not np.signbit(a).any() and np.signbit(b).all()


REMOVED: dict[str, tuple[Callable[[Value], Value], Type]] = {
    "alias": (alias, MATRIX),
    "times one": (lambda x: mul(x, full_like(x, 1)), MATRIX),
    "one times": (lambda x: mul(full_like(x, 1), x), MATRIX),
    "over one": (lambda x: OPS["div"](x, full_like(x, 1)), MATRIX),
    "plus integer zero": (lambda x: add(x, full_like(x, 0)), LONGS),
    "minus integer zero": (lambda x: sub(x, full_like(x, 0)), LONGS),
    "to its own dtype": (lambda x: convert(x, dtype=dtypes.float32), MATRIX),
    "to its own shape": (lambda x: reshape(x, shape=(2, 3)), MATRIX),
    "reshaped and back": (lambda x: reshape(reshape(x, shape=(6,)), shape=(2, 3)), MATRIX),
    "transposed twice": (lambda x: transpose(transpose(x, permutation=(1, 0)), permutation=(1, 0)), MATRIX),
    "negated twice": (lambda x: neg(neg(x)), MATRIX),
    "all of it": (lambda x: OPS["slice"](x, start=(0, 0), limit=(2, 3), stride=(1, 1)), MATRIX),
    "sum over nothing": (lambda x: OPS["reduce_sum"](x, axes=()), MATRIX),
}


@pytest.mark.parametrize("name", REMOVED)
def test_operations_that_change_nothing_are_removed(name: str) -> None:
    function, kind = REMOVED[name]
    simple = simplify(graph(lambda x: only(function(x)), kind))
    assert names(simple) == []
    assert simple.outputs == simple.inputs


KEPT: dict[str, tuple[Callable[[Value], Value], Type]] = {
    "plus zero, which makes -0.0 into 0.0": (lambda x: add(x, full_like(x, 0)), MATRIX),
    "times zero, which is nan for inf": (lambda x: mul(x, full_like(x, 0)), MATRIX),
    "minus itself, which is nan for inf": (lambda x: sub(x, x), MATRIX),
    "to another dtype and back": (lambda x: convert(convert(x, dtype=dtypes.float16), dtype=dtypes.float32), MATRIX),
    "every second one": (lambda x: OPS["slice"](x, start=(0, 0), limit=(2, 3), stride=(1, 2)), MATRIX),
}


@pytest.mark.parametrize("name", KEPT)
def test_operations_that_matter_are_kept(name: str) -> None:
    function, kind = KEPT[name]
    plain = graph(lambda x: only(function(x)), kind)
    x = np.array([[np.inf, -0.0, 1e9], [np.nan, 1 / 3, -np.inf]], np.float32)
    with np.errstate(all="ignore"):
        for a, b in zip(interpret(simplify(plain), [x]), interpret(plain, [x])):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(np.signbit(a), np.signbit(b))
    assert names(simplify(plain))


@pytest.mark.parametrize("orders", [((2, 0, 1), (1, 2, 0)), ((2, 0, 1), (2, 0, 1)), ((0, 2, 1), (1, 0, 2))])
def test_transposes_are_joined(orders: Any) -> None:
    first, second = orders
    kind = Type.of((2, 3, 4), dtypes.float32)
    plain = graph(lambda x: only(transpose(transpose(x, permutation=first), permutation=second)), kind)
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    simple = simplify(plain)
    assert names(simple) in (["transpose"], [])
    np.testing.assert_array_equal(interpret(simple, [x])[0], x.transpose(first).transpose(second))


def test_scalars_are_folded_and_arrays_are_not() -> None:
    def function() -> Sequence[Value]:
        two = OPS["constant"].on("cpu", value="2", shape=(), dtype=dtypes.int64)
        many = OPS["constant"].on("cpu", value="2", shape=(3,), dtype=dtypes.int64)
        return mul(add(two, two), two), mul(many, many), OPS["broadcast"](two, shape=(4,), dims=())

    folded = constant_folding(graph(function))
    assert [v.node.op.name for v in folded.outputs if v.node] == ["constant", "mul", "constant"]
    results = interpret(folded, [])
    assert results[0] == 8 and results[1].tolist() == [4] * 3 and results[2].tolist() == [2] * 4


def test_integers_wrap_when_folded() -> None:
    def function() -> Sequence[Value]:
        top = OPS["constant"].on("cpu", value="127", shape=(), dtype=dtypes.int8)
        return only(add(top, top))

    assert interpret(constant_folding(graph(function)), [])[0] == -2


def test_passes_leave_their_input_as_it_is() -> None:
    plain = graph(lambda x: (neg(neg(x)), exp(alias(x)), exp(x)), MATRIX)
    text = str(plain)
    for run in PASSES.values():
        run(plain)
    assert str(plain) == text


def test_algebraic_alone() -> None:
    assert names(algebraic(graph(lambda x: only(exp(alias(x))), MATRIX))) == ["exp"]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_values_stay_the_same(sample: Any) -> None:
    """Every operation and its gradient, simplified, after every pass, on the numpy engine."""
    types = [type_of(a) for a in sample.arrays]
    graphs = [forward_graph(sample, types)] + ([gradient_graph(sample, types, 1)] if sample.gradient else [])
    rng = np.random.default_rng(0)
    for plain in graphs:
        extra = [rng.standard_normal(v.type.shape).astype(v.type.dtype.numpy) for v in plain.inputs[len(types):]]
        arrays = [*map(np.asarray, sample.arrays), *extra]
        simple = simplify(plain, after=lambda name, g: g.check())
        with np.errstate(all="ignore"):
            for a, b in zip(interpret(simple, arrays), interpret(plain, arrays), strict=True):
                assert a.dtype == b.dtype
                if a.dtype.isbuiltin != 1:  # numpy takes no nan of these for one
                    a, b = a.astype(np.float64), b.astype(np.float64)
                np.testing.assert_array_equal(a, b)
