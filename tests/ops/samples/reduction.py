"""Rows of the reductions and of the contraction."""

from __future__ import annotations

import numpy as np

from flambeau.tracer.ir import dtypes

from ..sample import BadSample, Sample, complexes, distinct, integers, reals

SAMPLES = [
    Sample("reduce_sum", [reals(3, 4)], {"axes": (1,)}, lambda t, x: x.sum(1), [0]),
    Sample("reduce_sum", [complexes(3, 4)], {"axes": (0, 1)}, lambda t, x: x.sum(), [0]),
    Sample("reduce_sum", [reals(0, 4)], {"axes": (0,)}, lambda t, x: x.sum(0), [0], note=" empty"),
    Sample("reduce_sum", [integers(3, 4)], {"axes": (0,)}, lambda t, x: x.sum(0)),
    Sample("reduce_prod", [reals(3, 4)], {"axes": (1,)}, lambda t, x: x.prod(1), [0]),
    Sample("reduce_prod", [np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0]], np.float32)], {"axes": (1,)},
           lambda t, x: x.prod(1), [0], note=" zeros"),
    Sample("reduce_prod", [reals(2, 3, 2)], {"axes": (0, 2)}, lambda t, x: x.prod(0).prod(1), [0]),
    Sample("reduce_max", [distinct(3, 4)], {"axes": (0,)}, lambda t, x: x.amax(0), [0]),
    Sample("reduce_max", [np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)], {"axes": (1,)},
           lambda t, x: x.amax(1), note=" nan"),
    Sample("reduce_min", [distinct(3, 4)], {"axes": (0, 1)}, lambda t, x: x.amin(), [0]),
    Sample("reduce_max", [integers(3, 4, dtype=np.uint8, low=0)], {"axes": (1,)}, lambda t, x: x.amax(1)),
    Sample("reduce_and", [np.array([[True, False], [True, True]])], {"axes": (1,)}, lambda t, x: x.all(1)),
    Sample("reduce_and", [integers(3, 4)], {"axes": (1,)}),
    Sample("reduce_or", [np.array([[True, False], [False, False]])], {"axes": (1,)}, lambda t, x: x.any(1)),
    Sample("argmax", [distinct(3, 4)], {"axis": 1}, lambda t, x: x.argmax(1)),
    Sample("argmax", [np.array([1.0, np.nan, 5.0, np.nan], np.float32)], {"axis": 0}, lambda t, x: x.argmax(0), note=" nan"),
    Sample("argmin", [integers(3, 4)], {"axis": 0}),
    Sample("argmin", [np.full(3, np.inf, np.float32)], {"axis": 0}, note=" inf"),
    Sample("dot", [reals(3, 4), reals(4, 5)], {"contract": ((1,), (0,)), "batch": ((), ()), "dtype": None},
           lambda t, x, y: x @ y, [0, 1]),
    Sample("dot", [complexes(2, 3, 4), complexes(2, 5, 4)],
           {"contract": ((2,), (2,)), "batch": ((0,), (0,)), "dtype": None}, lambda t, x, y: x @ y.mT, [0, 1]),
    Sample("dot", [reals(4, 2, 3, 5), reals(2, 5, 6, 4)],
           {"contract": ((0, 3), (3, 1)), "batch": ((1,), (0,)), "dtype": None},
           lambda t, x, y: t.einsum("abcd,bdea->bce", x, y), [0, 1]),
    Sample("dot", [reals(3), reals(3)], {"contract": ((0,), (0,)), "batch": ((), ()), "dtype": None},
           lambda t, x, y: x @ y, [0, 1]),
    Sample("dot", [reals(2, 0), reals(0, 3)], {"contract": ((1,), (0,)), "batch": ((), ()), "dtype": None},
           lambda t, x, y: x @ y, [0, 1], note=" empty"),
    Sample("dot", [reals(3, 4).astype(np.float16), reals(4, 5).astype(np.float16)],
           {"contract": ((1,), (0,)), "batch": ((), ()), "dtype": dtypes.float32}),
]

BAD = [
    BadSample("reduce_sum", [reals(3)], {"axes": (1,)}, "reduce_sum requires axes"),
    BadSample("reduce_max", [complexes(3)], {"axes": (0,)}, "reduce_max requires an operand of a fitting type"),
    *(BadSample(op, [reals(3)], {"axes": (0,)}, f"{op} requires an operand of a fitting type")
      for op in ("reduce_and", "reduce_or")),
    BadSample("reduce_prod", [np.array([True])], {"axes": (0,)}, "reduce_prod requires an operand of a fitting type"),
    BadSample("reduce_min", [reals(2, 3)], {"axes": (0, 0)}, "reduce_min requires axes"),
    BadSample("argmin", [complexes(3)], {"axis": 0}, "argmin requires a real operand"),
    BadSample("argmax", [reals(0)], {"axis": 0}, "argmax requires a non-empty axis"),
    BadSample("dot", [reals(3, 4), reals(3, 5)], {"contract": ((1,), (0,)), "batch": ((), ()), "dtype": None},
              "dot requires contracting dimensions of equal sizes"),
    BadSample("dot", [reals(3), integers(3)], {"contract": ((0,), (0,)), "batch": ((), ()), "dtype": None},
              "dot requires operands of one dtype"),
]
