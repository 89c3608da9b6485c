"""Rows of control flow. Inner graphs have fixed types, so what is differentiated is float64 from the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.constants import full_like
from flambeau.tracer.ir.graph import Graph
from flambeau.tracer.ir.recorder import capture
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops.control import HOST_CALLS
from flambeau.tracer.ops.elementwise import add, compare, mul, sin, sub
from flambeau.tracer.ops.reduction import reduce_sum

from ..sample import BadSample, Sample, complexes, integers, reals

F = dtypes.float64
NUMBER, ROW, ROWS = Type.of((), F), Type.of((3,), F), Type.of((4, 3), F)
COUNT = Type.of((), dtypes.int32)
LONG = Type.of((), dtypes.int64)


def graph(function: Callable[..., Any], *types: Type) -> Graph:
    found, free = capture(lambda *values: function(*values), list(types))
    assert not free
    return found


def wide(*shape: int, seed: int = 0) -> np.ndarray:
    return reals(*shape, seed=seed, dtype=np.float64)


def at(index: int) -> np.ndarray:
    return np.array(index, np.int32)


# --- case

BRANCHES = (
    graph(lambda x, y, n: (mul(x, y), n), ROW, ROW, LONG),
    graph(lambda x, y, n: (sin(x), add(n, n)), ROW, ROW, LONG),
    graph(lambda x, y, n: (y, full_like(n, 7)), ROW, ROW, LONG),
)
TORCH_BRANCHES = [lambda x, y, n: (x * y, n), lambda x, y, n: (x.sin(), n + n), lambda x, y, n: (y, n * 0 + 7)]
CASES = [Sample("case", [at(index), wide(3), wide(3, seed=1), np.array(5)], {"branches": BRANCHES},
                lambda t, i, *xs, which=which: TORCH_BRANCHES[which](*xs), [1, 2], note=f" {index}")
         for index, which in ((0, 0), (1, 1), (2, 2), (3, 2), (-1, 2))]

# --- while: multiply by a captured factor until the sum passes 100; count the steps

LOOP = {
    "cond": graph(lambda x, n, factor: (compare(reduce_sum(x, axes=(0,)), full_like(factor, 100), direction="LT"),),
                  ROW, LONG, NUMBER),
    "body": graph(lambda x, n, factor: (add(add(x, x), full_like(x, 1)), add(n, full_like(n, 1))), ROW, LONG, NUMBER),
    "carried": 2,
}
COUNTED = {  # the number of steps depends on a counter alone
    "cond": graph(lambda n, x, y: (compare(n, full_like(n, 3), direction="LT"),), LONG, ROW, ROW),
    "body": graph(lambda n, x, y: (add(n, full_like(n, 1)), mul(x, y)), LONG, ROW, ROW),
    "carried": 2,
}


def doubled(t: Any, x: Any, n: Any, factor: Any) -> tuple[Any, Any]:
    while x.sum() < 100:
        x, n = x + x + 1, n + 1
    return x, n


# --- scan

RECURRENCE = graph(lambda h, x, w: ((new := sin(add(mul(h, w), x))), mul(new, x)), ROW, ROW, ROW)
SUMS = graph(lambda n, total, x: (add(n, full_like(n, 1)), add(total, x), n, sub(total, x)), LONG, ROW, ROW)
MAPPED = graph(lambda x, w: (mul(x, w),), ROW, ROW)
POWERS = graph(lambda x, w: (mul(x, w),), ROW, ROW)
COMPLEX_ROW = Type.of((3,), dtypes.complex128)
ROTATION = graph(lambda z, x: ((new := mul(z, x)), new), COMPLEX_ROW, COMPLEX_ROW)


def _scan(body: Graph, carried: int, scanned: int, length: int, reverse: bool = False) -> dict[str, Any]:
    return {"body": body, "carried": carried, "scanned": scanned, "length": length, "reverse": reverse}


def recurrence(reverse: bool) -> Callable[..., Any]:
    def run(t: Any, h: Any, xs: Any, w: Any) -> tuple[Any, Any]:
        ys = {}
        for i in reversed(range(len(xs))) if reverse else range(len(xs)):
            h = (h * w + xs[i]).sin()
            ys[i] = h * xs[i]
        return h, t.stack([ys[i] for i in range(len(xs))])

    return run


def wide_complexes(*shape: int, seed: int = 0) -> np.ndarray:
    return complexes(*shape, seed=seed).astype(np.complex128)


HOST_CALLS["test.double"] = lambda x: (2 * x,)
CALL = {"results": (Type.of((3,), dtypes.float32),), "config": "", "api_version": 1, "has_side_effect": False}

SAMPLES = [
    Sample("optimization_barrier", [reals(3), integers(2), complexes(2)], {}, lambda t, *xs: xs, [0, 2]),
    Sample("optimization_barrier", [reals(3)], {}, lambda t, x: x, [0]),
    Sample("optimization_barrier", [integers(3)], {}, lambda t, x: x),
    Sample("custom_call", [reals(3)], {"target": "test.double", **CALL}, lambda t, x: 2 * x, batch=False, xla=False,
           note=" the target is known to the reference only"),
    *CASES,
    Sample("while", [np.array([1.0, 2.0, 0.5]), np.array(0), np.array(2.0)], LOOP, doubled),
    Sample("while", [np.array([1.0, 200.0, 0.5]), np.array(0), np.array(2.0)], LOOP, doubled, note=" no step"),
    Sample("while", [np.array(0), wide(3), wide(3, seed=1)], COUNTED, lambda t, n, x, y: (n + 3, x * y**3)),
    *(Sample("scan", [wide(3), wide(4, 3), wide(3, seed=1)], _scan(RECURRENCE, 1, 1, 4, reverse), recurrence(reverse),
             [0, 1, 2], note=f" recurrence {reverse}") for reverse in (False, True)),
    Sample("scan", [wide(3), wide(4, 3), wide(3, seed=1)], _scan(RECURRENCE, 1, 1, 4), None, [2],
           note=" captured only"),
    Sample("scan", [np.array(0), wide(3), wide(4, 3)], _scan(SUMS, 2, 1, 4),
           lambda t, n, s, x: (n + 4, s + x.sum(0), t.arange(4), s + x.cumsum(0) - 2 * x), [1, 2], note=" counts"),
    Sample("scan", [wide(4, 3), wide(3)], _scan(MAPPED, 0, 1, 4), lambda t, x, w: x * w, [0, 1], note=" map"),
    Sample("scan", [wide(3), wide(3, seed=1)], _scan(POWERS, 1, 0, 5), lambda t, x, w: x * w**5, [0, 1],
           note=" powers"),
    Sample("scan", [wide_complexes(3), wide_complexes(2, 3, seed=3)], _scan(ROTATION, 1, 1, 2),
           lambda t, z, x: (z * x[0] * x[1], t.stack([z * x[0], z * x[0] * x[1]])), [0, 1], note=" complex"),
    Sample("scan", [wide(3), wide(0, 3), wide(3)], _scan(RECURRENCE, 1, 1, 0),
           lambda t, h, xs, w: (h, xs), [0, 1, 2], note=" no step"),
    Sample("scan", [wide(3), wide(1, 3), wide(3)], _scan(RECURRENCE, 1, 1, 1), recurrence(False), [0, 1, 2],
           note=" one step"),
]

BAD = [
    BadSample("optimization_barrier", [], {}, "optimization_barrier requires at least one operand"),
    BadSample("custom_call", [reals(3)], {"target": "", **CALL}, "custom_call requires a target"),
    BadSample("custom_call", [reals(3)], {"target": "f", **CALL, "api_version": 5},
              "custom_call requires an api_version"),
    BadSample("case", [np.array(0), wide(3)], {"branches": (POWERS,)}, "case requires a 0-d int32 index"),
    BadSample("case", [at(0), wide(3)], {"branches": ()}, "case requires at least one branch"),
    BadSample("case", [at(0), wide(3)], {"branches": (POWERS,)}, "case requires branches that take"),
    BadSample("case", [at(0), wide(3), wide(3)], {"branches": (POWERS, graph(lambda x, y: (x, y), ROW, ROW))},
              "case requires branches that all return"),
    BadSample("while", [wide(3), np.array(0), np.array(2.0)], {**LOOP, "carried": 0},
              "while requires between 1 and 3 carried"),
    BadSample("while", [wide(3), np.array(0)], LOOP, "while requires a condition that takes"),
    BadSample("while", [wide(3), np.array(0), np.array(2.0)], {**LOOP, "cond": LOOP["body"]},
              "while requires a condition that returns"),
    BadSample("while", [wide(3), np.array(0), np.array(2.0)], {**LOOP, "carried": 1},
              "while requires a body that returns"),
    BadSample("scan", [wide(3), wide(3)], _scan(POWERS, 2, 1, 4), "scan requires carried and scanned counts"),
    BadSample("scan", [wide(3), wide(4, 3), wide(3)], _scan(RECURRENCE, 1, 1, 5),
              "scan requires scanned operands of length 5"),
    BadSample("scan", [wide(3), wide(4, 2), wide(3)], _scan(RECURRENCE, 1, 1, 4), "scan requires a body that takes"),
    BadSample("scan", [wide(3), wide(3)], _scan(graph(lambda x, y: (compare(x, y, direction="EQ"),), ROW, ROW), 1, 0,
              4),
              "scan requires a body that returns"),
]
