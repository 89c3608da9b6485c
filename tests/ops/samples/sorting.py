"""Rows of sort and top_k."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from ..sample import BadSample, Sample, complexes, distinct, integers, reals

SPECIAL = np.array([1.0, np.nan, -0.0, 0.0, np.inf, -np.inf, -1.0, -np.nan, 0.0, -0.0, 1.0], np.float32)
TIED = integers(4, 9, low=0, high=3)
WHERE = np.broadcast_to(np.arange(9), (4, 9)).copy()


def _sort(*arrays: np.ndarray, axis: int = 0, descending: bool = False, keys: int = 1, **rest: object) -> Sample:
    return Sample("sort", arrays, {"axis": axis, "descending": descending, "keys": keys},
                  **rest)  # type: ignore[arg-type]


def _order(axis: int, descending: bool) -> object:
    """torch's stable sort of the first operand, and the others by its permutation."""
    def sorted_by(t: object, x: object, *others: object) -> tuple:
        values, indices = t.sort(x, dim=axis, descending=descending, stable=True)  # type: ignore[attr-defined]
        return (values, *(y.gather(axis, indices) for y in others))  # type: ignore[attr-defined]

    return sorted_by


SAMPLES = [
    *(_sort(distinct(3, 4), axis=axis, descending=descending, torch=_order(axis, descending), gradient=[0],
            note=f" {axis} {descending}") for axis in (0, 1) for descending in (False, True)),
    *(_sort(TIED, WHERE, axis=1, descending=descending, torch=_order(1, descending), note=f" tied {descending}")
      for descending in (False, True)),
    *(_sort(SPECIAL, np.arange(len(SPECIAL)), descending=descending, torch=_order(0, descending),
            note=f" special {descending}") for descending in (False, True)),
    _sort(distinct(5), reals(5), integers(5), torch=_order(0, False), gradient=[0, 1], note=" with others"),
    _sort(distinct(2, 3), complexes(2, 3), axis=1, descending=True, gradient=[0, 1], note=" complex payload"),
    _sort(integers(12, low=0, high=3), reals(12).round(), np.arange(12), keys=2, note=" two keys"),
    _sort(integers(12, low=0, high=3), integers(12, seed=1, low=0, high=2), np.arange(12), descending=True, keys=2,
          note=" two keys down"),
    _sort(SPECIAL, reals(11), np.arange(11), keys=2, note=" special, two keys"),
    _sort(reals(9) > 0, torch=_order(0, False)), _sort(integers(9, dtype=np.uint8, low=0, high=200)),
    _sort(reals(9).astype(np.float16), torch=_order(0, False)),
    *(_sort(np.array([3, -1, np.nan, 2, -np.nan, -2, 0.0, -0.0]).astype(kind), np.arange(8), descending=descending,
            note=f" {descending}") for kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
                                                ml_dtypes.float8_e4m3fnuz) for descending in (False, True)),
    _sort(np.array([2**63, 1, 2**64 - 1], np.uint64), note=" unsigned"),
    _sort(reals(0, 3), gradient=[0], note=" empty"), _sort(reals(3, 0), torch=_order(0, False), note=" empty rows"),
    _sort(reals(1), torch=_order(0, True), descending=True, gradient=[0], note=" one"),
    *(Sample("top_k", [distinct(3, 5)], {"k": k}, lambda t, x, k=k: x.topk(k), [0], note=f" {k}") for k in (1, 3, 5)),
    Sample("top_k", [distinct(4)], {"k": 0}, lambda t, x: x.topk(0), [0], note=" 0"),
    Sample("top_k", [reals(2, 0)], {"k": 0}, lambda t, x: x.topk(0), [0], note=" empty"),
    Sample("top_k", [TIED], {"k": 4}, lambda t, x: tuple(y[:, :4] for y in t.sort(x, descending=True, stable=True)),
           note=" tied"),
    Sample("top_k", [SPECIAL], {"k": 8}, lambda t, x: tuple(y[:8] for y in t.sort(x, descending=True, stable=True)),
           note=" special"),
]

BAD = [
    BadSample("sort", [reals(3), reals(4)], {"axis": 0, "descending": False, "keys": 1},
              "sort requires operands of one shape"),
    BadSample("sort", [complexes(3)], {"axis": 0, "descending": False, "keys": 1}, "sort requires real keys"),
    BadSample("sort", [reals(3)], {"axis": 1, "descending": False, "keys": 1}, "sort requires an axis"),
    BadSample("sort", [reals(3)], {"axis": 0, "descending": False, "keys": 2}, "sort requires between 1 and 1 keys"),
    BadSample("top_k", [reals(3)], {"k": 4}, "top_k requires k between 0 and 3"),
    BadSample("top_k", [reals()], {"k": 0}, "top_k requires a real operand with an axis"),
]
