"""Rows of the ops that read and write at computed positions."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ..sample import BadSample, Sample, complexes, distinct, integers, reals


def at(*starts: int) -> list[np.ndarray]:
    return [np.array(s, np.int64) for s in starts]


def index(*rows: Any, dtype: Any = np.int64) -> np.ndarray:
    return np.array(rows, dtype)


def gathered(offset: tuple[int, ...], collapsed: tuple[int, ...], start_map: tuple[int, ...], vector: int,
             sizes: tuple[int, ...], batch: tuple[int, ...] = (), index_batch: tuple[int, ...] = (), *,
             ordered: bool = False, unique: bool = False) -> dict[str, Any]:
    return {"offset_dims": offset, "collapsed_slice_dims": collapsed, "operand_batching_dims": batch,
            "start_indices_batching_dims": index_batch, "start_index_map": start_map, "index_vector_dim": vector,
            "slice_sizes": sizes, "indices_are_sorted": ordered, "unique_indices": unique}


def scattered(combiner: str, window: tuple[int, ...], inserted: tuple[int, ...], start_map: tuple[int, ...],
              vector: int, batch: tuple[int, ...] = (), index_batch: tuple[int, ...] = (), *,
              ordered: bool = False, unique: bool = False) -> dict[str, Any]:
    return {"combiner": combiner, "update_window_dims": window, "inserted_window_dims": inserted,
            "input_batching_dims": batch, "scatter_indices_batching_dims": index_batch,
            "scatter_dims_to_operand_dims": start_map, "index_vector_dim": vector, "indices_are_sorted": ordered,
            "unique_indices": unique}


def rows(combiner: str, **flags: bool) -> dict[str, Any]:
    """Whole rows of a matrix, one for each element of a 1-d index array."""
    return scattered(combiner, (1,), (0,), (0,), 1, **flags)


def per_element(combiner: str, ndim: int, axis: int) -> dict[str, Any]:
    """torch.scatter's: every dimension but `axis` runs together."""
    others = tuple(d for d in range(ndim) if d != axis)
    return scattered(combiner, (), (axis,), (axis,), ndim, others, others)


ROWS = gathered((1,), (0,), (0,), 1, (1, 4))
X, BOOL, INT = reals(5, 4), integers(5, 4, low=0, high=2).astype(np.bool_), integers(5, 4)
TWICE = index(0, 3, 3, 1, 0, 0)  # with repetition
ONCE = index(4, 0, 2)
APART = distinct(11, 4)  # five rows and six updates of which no two elements are near
ZEROS = np.where(reals(6, 4, seed=3) > 0.3, 0, reals(6, 4, seed=2)).astype(np.float32)
REDUCE = {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}


def index_reduce(combiner: str):
    """torch's oracle of rows(combiner), which also does integers, bool and complex numbers."""
    def oracle(t, x, i, u):
        spread = i[:, None].expand(u.shape)
        return x.scatter(0, spread, u) if combiner == "set" else x.scatter_reduce(0, spread, u, REDUCE[combiner])

    return oracle


def two_windows(t, x, i, u):
    first = x.slice_scatter(x[1:3].slice_scatter(u[0], 1, 2, 5), 0, 1, 3)
    return first.slice_scatter(x[3:5].slice_scatter(u[1], 1, 0, 3), 0, 3, 5)


def windows(t, x, i):
    return t.stack([x[a:a + 2, b:b + 3] for a, b in i.tolist()])


DYNAMIC = [
    Sample("dynamic_slice", [reals(5, 6), *at(1, 2)], {"sizes": (3, 2)}, lambda t, x, a, b: x[1:4, 2:4], [0]),
    Sample("dynamic_slice", [complexes(5, 6), *at(4, -3)], {"sizes": (3, 2)}, lambda t, x, a, b: x[2:5, 0:2], [0],
           note=" clamped"),
    Sample("dynamic_slice", [integers(4, 3), *at(2**40, -2**40)], {"sizes": (2, 3)}, lambda t, x, a, b: x[2:4],
           note=" far out"),
    Sample("dynamic_slice", [BOOL, *at(1, 0)], {"sizes": (0, 4)}, lambda t, x, a, b: x[1:1], note=" empty"),
    Sample("dynamic_slice", [reals()], {"sizes": ()}, lambda t, x: x, [0], note=" 0-d"),
    Sample("dynamic_slice", [np.array([1e-40, np.nan, -0.0, np.inf], np.float32), *at(1)], {"sizes": (3,)},
           note=" special"),
    Sample("dynamic_update_slice", [reals(5, 6), reals(3, 2, seed=1), *at(1, 2)], {},
           lambda t, x, u, a, b: x.slice_scatter(x[1:4].slice_scatter(u, 1, 2, 4), 0, 1, 4), [0, 1]),
    Sample("dynamic_update_slice", [complexes(5), complexes(2, seed=3), *at(7)], {},
           lambda t, x, u, a: x.slice_scatter(u, 0, 3, 5), [0, 1], note=" clamped"),
    Sample("dynamic_update_slice", [integers(5, 3), integers(2, 3, seed=1), *at(-1, 2)], {},
           lambda t, x, u, a, b: x.slice_scatter(u, 0, 0, 2), note=" clamped"),
    Sample("dynamic_update_slice", [reals(3), reals(0), *at(1)], {}, lambda t, x, u, a: x, [0, 1], note=" empty"),
    Sample("dynamic_update_slice", [reals(), reals(seed=1)], {}, lambda t, x, u: u, [0, 1], note=" 0-d"),
]

GATHER = [
    Sample("gather", [X, TWICE], ROWS, lambda t, x, i: x[i], [0]),
    Sample("gather", [X, TWICE.astype(np.int32)], ROWS, lambda t, x, i: x[i], [0], note=" int32"),
    Sample("gather", [X, index(0, 1, 4)], gathered((1,), (0,), (0,), 1, (1, 4), ordered=True, unique=True),
           lambda t, x, i: x[i], [0], note=" sorted"),
    Sample("gather", [X, index(-7, 9, 2)], ROWS, lambda t, x, i: x[i.clamp(0, 4)], [0], note=" clamped"),
    Sample("gather", [complexes(5, 4), integers(2, 3, low=0, high=5)], gathered((1,), (0,), (0,), 2, (1, 4)),
           lambda t, x, i: x[i].permute(0, 2, 1), [0], note=" offset between"),
    Sample("gather", [reals(5, 6), index((1, 2), (3, 0), (0, 3))], gathered((1, 2), (), (0, 1), 1, (2, 3)),
           windows, [0]),
    Sample("gather", [reals(5, 6), index((9, 2), (3, -4), (-1, 8))], gathered((1, 2), (), (0, 1), 1, (2, 3)),
           lambda t, x, i: windows(t, x, t.tensor([[3, 2], [3, 0], [0, 3]])), [0], note=" clamped windows"),
    Sample("gather", [INT, integers(2, 3, low=0, high=4)], gathered((), (0, 1), (1, 0), 0, (1, 1)),
           lambda t, x, i: x[i[1], i[0]], note=" first is the vector"),
    Sample("gather", [reals(3, 5), integers(3, 2, low=0, high=5)], gathered((), (1,), (1,), 2, (1, 1), (0,), (0,)),
           lambda t, x, i: x.gather(1, i), [0], note=" batch"),
    Sample("gather", [reals(3, 2, 5), integers(2, 2, 3, low=0, high=5)],
           gathered((1,), (2,), (2,), 3, (1, 2, 1), (0,), (2,)),
           lambda t, x, i: t.stack([x[b][:, i[..., b]] for b in range(3)]).permute(2, 1, 3, 0), [0],
           note=" batch last"),
    Sample("gather", [reals(3, 5), integers(1, 2, 3, low=0, high=5)],
           gathered((), (1,), (1,), 0, (1, 1), (0,), (2,)), lambda t, x, i: x.gather(1, i[0].T).T, [0],
           note=" batch after the vector"),
    Sample("gather", [BOOL, index(3, 3)], ROWS, lambda t, x, i: x[i]),
    Sample("gather", [X, np.zeros(0, np.int64)], ROWS, lambda t, x, i: x[i], [0], note=" no index"),
    Sample("gather", [reals(5, 0), TWICE], gathered((1,), (0,), (0,), 1, (1, 0)), lambda t, x, i: x[i % 5], [0],
           note=" empty"),
    Sample("gather", [X, np.array(2)], gathered((0,), (0,), (0,), 0, (1, 4)), lambda t, x, i: x[2], [0],
           note=" 0-d index"),
    Sample("gather", [X, np.zeros((2, 0), np.int64)], gathered((1, 2), (), (), 1, (5, 4)),
           lambda t, x, i: t.stack([x, x]), [0], note=" empty vectors"),
    Sample("gather", [X.astype(ml_dtypes.bfloat16), TWICE], ROWS),
    Sample("gather", [X.astype(ml_dtypes.float8_e4m3fn), TWICE], ROWS),
    Sample("gather", [np.array([[1e-40], [np.nan], [-0.0], [-np.inf]], np.float32), index(3, 2, 1, 0)],
           gathered((1,), (0,), (0,), 1, (1, 1)), lambda t, x, i: x[i], note=" special"),
]

SCATTER = [
    *(Sample("scatter", [X, ONCE, reals(3, 4, seed=1)], rows(c, unique=True), index_reduce(c), [0, 2],
             note=f" {c} once") for c in ("set", "add", "mul")),
    *(Sample("scatter", [X, TWICE, reals(6, 4, seed=1)], rows(c), index_reduce(c), [0, 2], note=f" {c}")
      for c in ("add", "mul")),
    Sample("scatter", [X, TWICE, reals(6, 4, seed=1)], rows("set"), note=" set twice"),
    *(Sample("scatter", [APART[:5], TWICE, APART[5:]], rows(c), index_reduce(c), [0, 2], note=f" {c}")
      for c in ("min", "max")),
    *(Sample("scatter", [INT, TWICE, integers(6, 4, seed=1)], rows(c), index_reduce(c), note=f" {c}")
      for c in ("add", "mul", "min", "max")),
    *(Sample("scatter", [BOOL, TWICE, BOOL[index(4, 0, 1, 2, 3, 0)]], rows(c), note=f" {c}")
      for c in ("add", "mul", "min", "max")),
    Sample("scatter", [BOOL, ONCE, ~BOOL[:3]], rows("set"), index_reduce("set")),
    Sample("scatter", [complexes(5, 4), ONCE, complexes(3, 4, seed=2)], rows("set"), index_reduce("set"), [0, 2]),
    Sample("scatter", [complexes(5, 4), TWICE, complexes(6, 4, seed=2)], rows("add"),
           lambda t, x, i, u: x.index_add(0, i, u), [0, 2]),
    Sample("scatter", [complexes(5, 4), TWICE, complexes(6, 4, seed=2)], rows("mul"), None, [0, 2], note=" mul"),
    Sample("scatter", [X, TWICE, ZEROS], rows("mul"), index_reduce("mul"), [0, 2], second_order=False,
           note=" mul zeros: second derivatives leave out pairs of zeros"),
    Sample("scatter", [np.where(INT > 0, 0, X).astype(np.float32), ONCE, ZEROS[:3]], rows("mul"),
           index_reduce("mul"), [0, 2], note=" mul zeros once"),
    *(Sample("scatter", [APART[:5], index(-1, 3, 5, 1, 2**40, 0), APART[5:]], rows(c), lambda t, x, i, u, c=c:
             index_reduce(c)(t, x, i[[1, 3, 5]], u[[1, 3, 5]]), [0, 2], note=f" {c} dropped")
      for c in ("set", "add", "mul", "min", "max")),
    Sample("scatter", [reals(5, 6), index((1, 2), (3, 0), (4, 3)), reals(3, 2, 3, seed=1)],
           scattered("set", (1, 2), (), (0, 1), 1), two_windows, [0, 2],
           note=" a window that sticks out is dropped whole"),
    Sample("scatter", [reals(2, 6, 4), integers(2, 3, 4, low=0, high=6), reals(2, 3, 4, seed=1)],
           per_element("add", 3, 1), lambda t, x, i, u: x.scatter_add(1, i, u), [0, 2], note=" batch"),
    Sample("scatter", [reals(3, 4, 5), integers(2, 3, 2, low=0, high=3), reals(2, 2, 3, seed=1)],
           scattered("add", (1,), (2,), (2, 1), 2, (0,), (1,)), None, [0, 2], note=" batch, vector and window"),
    Sample("scatter", [X, np.array(2), reals(4)], scattered("set", (0,), (0,), (0,), 0),
           lambda t, x, i, u: x.select_scatter(u, 0, 2), [0, 2], note=" 0-d index"),
    Sample("scatter", [X, np.zeros(0, np.int64), reals(0, 4)], rows("add"), lambda t, x, i, u: x, [0, 2],
           note=" no index"),
    Sample("scatter", [reals(5, 0), TWICE, reals(6, 0)], rows("max"), lambda t, x, i, u: x, [0, 2], note=" empty"),
    *(Sample("scatter", [X.astype(kind), TWICE, reals(6, 4, seed=1).astype(kind)], rows(c), tolerance=2e-2,
             note=f" {c}") for kind in (np.float16, ml_dtypes.bfloat16) for c in ("add", "mul", "max")),
    *(Sample("scatter", [X.astype(ml_dtypes.float8_e5m2), ONCE, reals(3, 4, seed=1).astype(ml_dtypes.float8_e5m2)],
             rows(c), tolerance=0.2, note=f" {c}") for c in ("set", "add")),
    Sample("scatter", [integers(5, 4, low=0, high=9, dtype=np.uint64) + np.uint64(2**63), TWICE.astype(np.int32),
                       integers(6, 4, low=0, high=9, dtype=np.uint64)], rows("max")),
    Sample("scatter", [np.array([0.0, -0.0, np.nan, 1.0], np.float32), index(0, 1, 2, 3),
                       np.array([1.0, np.inf, 1.0, np.nan], np.float32)], scattered("max", (), (0,), (0,), 1),
           lambda t, x, i, u: x.scatter_reduce(0, i, u, "amax"), note=" nan"),
]

SAMPLES = [*DYNAMIC, *GATHER, *SCATTER]

BAD = [
    BadSample("dynamic_slice", [X, *at(0)], {"sizes": (2, 2)}, r"dynamic_slice requires 2 starts of type i64\[\]"),
    BadSample("dynamic_slice", [X, *at(0, 0)], {"sizes": (6, 2)}, "dynamic_slice requires a window that fits"),
    BadSample("dynamic_slice", [X, np.float32(0), np.float32(0)], {"sizes": (1, 1)}, "dynamic_slice requires 2 starts"),
    BadSample("dynamic_update_slice", [X, INT, *at(0, 0)], {}, "dynamic_update_slice requires an update of type"),
    BadSample("dynamic_update_slice", [X, reals(5, 5), *at(0, 0)], {}, "dynamic_update_slice requires a window"),
    BadSample("dynamic_update_slice", [X, reals(5), *at(0, 0)], {}, "dynamic_update_slice requires a window"),
    BadSample("gather", [X, reals(3)], ROWS, "gather requires int32 or int64 indices"),
    BadSample("gather", [X, TWICE], ROWS | {"index_vector_dim": 2}, "gather requires an index vector dimension"),
    BadSample("gather", [X, TWICE], ROWS | {"start_index_map": (0, 1)}, "gather requires an operand dimension for"),
    BadSample("gather", [X, TWICE], ROWS | {"start_index_map": (2,)}, "gather requires index components for distinct"),
    BadSample("gather", [X, TWICE], ROWS | {"collapsed_slice_dims": (2,)}, "gather requires increasing, disjoint"),
    BadSample("gather", [X, TWICE], ROWS | {"collapsed_slice_dims": ()}, "gather requires an increasing window"),
    BadSample("gather", [X, TWICE], ROWS | {"offset_dims": (2,)}, "gather requires an increasing window"),
    BadSample("gather", [X, TWICE], ROWS | {"slice_sizes": (1, 5)}, "gather requires windows that fit"),
    BadSample("gather", [X, TWICE], ROWS | {"slice_sizes": (2, 4)}, "gather requires windows of size 1"),
    BadSample("gather", [X, TWICE], gathered((), (1,), (1,), 1, (1, 1), (0,), (0,)),
              "gather requires batching dimensions of equal sizes"),
    BadSample("scatter", [X, TWICE, reals(6, 4)], rows("xor"), "scatter requires a combiner of set, add"),
    BadSample("scatter", [complexes(5, 4), TWICE, complexes(6, 4)], rows("max"), "scatter requires an operand that"),
    BadSample("scatter", [X, TWICE, integers(6, 4)], rows("add"), "scatter requires updates of type float32"),
    BadSample("scatter", [X, TWICE, reals(6)], rows("add"), "scatter requires updates of 2 dimensions"),
    BadSample("scatter", [X, TWICE, reals(5, 4)], rows("add"), r"scatter requires updates of shape \(6, 4\)"),
    BadSample("scatter", [X, TWICE, reals(6, 5)], rows("add"), "scatter requires windows that fit"),
]
