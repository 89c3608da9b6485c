"""Rows of the windows that slide and of the running reductions."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ..sample import BadSample, Sample, complexes, distinct, integers, reals


def _slide(*window: int, strides: Any = None, padding: Any = None, base: Any = None,
           holes: Any = None) -> dict[str, Any]:
    rank, ones = len(window), (1,) * len(window)
    return {"window": window, "strides": strides or ones, "padding": padding or ((0, 0),) * rank,
            "base_dilation": base or ones, "window_dilation": holes or ones}


def _dense(*window: int, strides: Any = None, padding: Any = None) -> dict[str, Any]:
    return dict(list(_slide(*window, strides=strides, padding=padding).items())[:3])


def _reduce(x: np.ndarray, kind: str, slide: dict[str, Any], torch: Any = None, gradient: bool = True,
            note: str = "") -> Sample:
    return Sample("reduce_window", [x], {"kind": kind, **slide}, torch, [0] if gradient else [], note=f" {kind}{note}")


TIES = np.array([[3.0, 1.0, 3.0, 3.0, 0.0, 3.0, 2.0]], np.float32)
NANS = np.array([1.0, np.nan, 0.5, 2.0, np.nan, np.inf, -np.inf, -np.inf, -np.inf, np.nan, np.nan], np.float32)
ZEROS = np.array([[2.0, 0.0, 3.0, 0.5, 0.0], [1.0, 4.0, 0.0, 2.0, 3.0]], np.float32)
ODD = _slide(2, 3, strides=(2, 1), padding=((1, 0), (2, 1)))
HOLES = _slide(2, 3, strides=(1, 2), padding=((0, 1), (2, 3)), base=(2, 1), holes=(1, 2))
CUT = _slide(1, 3, strides=(1, 2), padding=((0, 0), (-1, 2)))

WINDOWS = [
    *(_reduce(distinct(4, 5), kind, slide, note=note) for kind in ("add", "max", "min") for slide, note in (
        (ODD, ""), (HOLES, " holes"), (CUT, " cut"), (_slide(1, 2, strides=(1, 3)), " gaps"))),
    *(_reduce(reals(4, 5), "mul", slide, note=note) for slide, note in ((ODD, ""), (HOLES, " holes"), (CUT, " cut"))),
    _reduce(ZEROS, "mul", _slide(1, 3), note=" zeros"),
    _reduce(distinct(2, 3, 7, 6), "max", _slide(1, 1, 3, 2, strides=(1, 1, 2, 2),
                                                padding=((0, 0), (0, 0), (1, 1), (1, 1))),
            lambda t, x: t.nn.functional.max_pool2d(x, (3, 2), 2, 1), note=" max_pool2d"),
    _reduce(distinct(2, 9), "max", _slide(1, 3, strides=(1, 2), padding=((0, 0), (1, 1)), holes=(1, 2)),
            lambda t, x: t.nn.functional.max_pool1d(x, 3, 2, 1, 2), note=" dilated max_pool1d"),
    _reduce(reals(2, 3, 7), "add", _slide(1, 1, 2, strides=(1, 1, 2)),
            lambda t, x: 2 * t.nn.functional.avg_pool1d(x, 2), note=" avg_pool1d"),
    _reduce(complexes(3, 5), "add", ODD), _reduce(complexes(3, 5), "mul", _slide(1, 2)),
    _reduce(integers(3, 5), "add", ODD, gradient=False),
    _reduce(integers(3, 5), "min", HOLES, gradient=False),
    _reduce(integers(3, 5, low=0, dtype=np.uint8), "mul", ODD, gradient=False, note=" wraps"),
    _reduce(integers(3, 5) > 2, "max", ODD, gradient=False),
    _reduce(NANS, "max", _slide(2), gradient=False, note=" nan"),
    _reduce(NANS, "min", _slide(3, padding=((2, 2),)), gradient=False, note=" nan"),
    _reduce(reals(3, 5).astype(np.float16), "add", ODD, gradient=False),
    _reduce(reals(3, 5).astype(ml_dtypes.bfloat16), "max", ODD, gradient=False),
    _reduce(reals(2, 2), "add", _slide(1, 3), note=" window too big"),
    _reduce(reals(0, 3), "max", _slide(1, 2), note=" empty"),
    _reduce(reals(), "add", _slide(), note=" 0-d"), _reduce(reals(2, 0), "add", _slide(1, 1, padding=((0, 0), (2, 1)))),
    _reduce(reals(2, 0), "max", _slide(1, 1, padding=((0, 0), (2, 1))), gradient=False, note=" padding alone"),
    _reduce(distinct(3), "max", _slide(2, padding=((3, 3),)), gradient=False, note=" windows of padding alone"),
]

FLAT = _slide(1, 3, strides=(1, 2), padding=((0, 0), (1, 1)))
SELECTIONS = [
    *(Sample("select_and_gather", [distinct(4, 5), reals(4, 5)], {"kind": kind, **slide}, gradient=[1],
             note=f" {kind}{note}")
      for kind in ("max", "min") for slide, note in ((ODD, ""), (HOLES, " holes"), (CUT, " cut"))),
    Sample("select_and_gather", [TIES, np.arange(7.0, dtype=np.float32)[None]], {"kind": "max", **FLAT},
           lambda t, x, v: t.gather(v, 1, t.nn.functional.max_pool1d(x, 3, 2, 1, return_indices=True)[1]), [1],
           note=" ties"),
    Sample("select_and_gather", [TIES, np.arange(7)[None]], {"kind": "min", **FLAT}, note=" indices"),
    Sample("select_and_gather", [integers(4, 5), reals(4, 5)], {"kind": "max", **ODD}, gradient=[1],
           note=" integer keys"),
    Sample("select_and_gather", [NANS, np.arange(11)], {"kind": "max", **_slide(3, padding=((2, 2),))}, note=" nan"),
    Sample("select_and_gather", [reals(3), reals(3)], {"kind": "max", **_slide(1, padding=((1, 1),))}, gradient=[1],
           note=" padding alone"),
    *(Sample("select_and_scatter", [distinct(4, 5), reals(2, 6)],
             {"kind": kind, **_dense(2, 3, strides=(2, 1), padding=((1, 0), (2, 1)))}, gradient=[1], note=f" {kind}")
      for kind in ("max", "min")),
    Sample("select_and_scatter", [TIES, reals(1, 4)],
           {"kind": "max", **_dense(1, 3, strides=(1, 2), padding=((0, 0), (1, 1)))},
           lambda t, x, s: t.zeros(1, 7).scatter_add(
               1, t.nn.functional.max_pool1d(x, 3, 2, 1, return_indices=True)[1], s),
           [1], note=" ties"),
    Sample("select_and_scatter", [NANS, reals(5)], {"kind": "max", **_dense(3, strides=(2,))}, note=" nan"),
    Sample("select_and_scatter", [NANS, reals(5)], {"kind": "min", **_dense(3, strides=(2,))}, note=" nan"),
    Sample("select_and_scatter", [integers(4, 5), integers(3, 4)], {"kind": "max", **_dense(2, 2)}),
    Sample("select_and_scatter", [reals(0, 3), reals(0, 2)], {"kind": "max", **_dense(1, 2)}, gradient=[1],
           note=" empty"),
    Sample("select_and_scatter", [reals(4, 5).astype(np.float16), reals(3, 4).astype(np.float16)],
           {"kind": "max", **_dense(2, 2)}),
]


def _running(op: str, x: np.ndarray, axis: int, gradient: bool = True, note: str = "",
             tolerance: float = 2e-5) -> list[Sample]:
    """Forward and reverse; torch scans backward by flipping twice."""

    def forward(t: Any, a: Any) -> Any:
        result = getattr(t, op)(a, axis)
        return result.values if op in ("cummax", "cummin") else result

    wanted = [0] if gradient else []
    return [Sample(op, [x], {"axis": axis, "reverse": False}, forward, wanted, tolerance, note=note),
            Sample(op, [x], {"axis": axis, "reverse": True}, lambda t, a: forward(t, a.flip(axis)).flip(axis),
                   wanted, tolerance, note=f"{note} reverse")]


REPEATS = np.array([1, 3, 3, 2, 4, 4, 0], np.int64)
RUNNING = [
    *(row for op in ("cumsum", "cumprod") for row in (
        *_running(op, reals(3, 5), 1), *_running(op, reals(5, 2, 3), 0),
        *_running(op, complexes(2, 4), 1, tolerance=1e-4),
        *_running(op, integers(3, 4), 0, gradient=False), *_running(op, reals(2, 1), 1), *_running(op, reals(2, 0), 1),
        *_running(op, NANS, 0, gradient=False, note=" nan"))),
    *_running("cumprod", ZEROS, 1, note=" zeros"), *_running("cumsum", reals(2, 70), 1, note=" long"),
    *_running("cumprod", reals(1, 37, low=0.5, high=1.5), 1, note=" long"),
    *(row for op in ("cummax", "cummin") for row in (
        *_running(op, distinct(3, 5), 1), *_running(op, distinct(5, 2, 3), 0),
        *_running(op, REPEATS, 0, gradient=False),
        *_running(op, NANS, 0, gradient=False, note=" nan"), *_running(op, REPEATS > 2, 0, gradient=False),
        *_running(op, reals(0, 3), 0), *_running(op, distinct(41), 0, note=" long"))),
    Sample("cumsum", [reals(4).astype(np.float16)], {"axis": 0, "reverse": False}),
    Sample("cummax", [reals(4).astype(ml_dtypes.bfloat16)], {"axis": 0, "reverse": True}),
    Sample("cumsum", [integers(40, low=0, high=99, dtype=np.uint8)], {"axis": 0, "reverse": False}, note=" wraps"),
]

SAMPLES = [*WINDOWS, *SELECTIONS, *RUNNING]

X = reals(3, 4)
ALONG = {"axis": 2, "reverse": False}
BAD = [
    BadSample("reduce_window", [X], {"kind": "or", **_slide(1, 1)}, "reduce_window requires a kind among"),
    BadSample("reduce_window", [complexes(3)], {"kind": "max", **_slide(2)},
              "reduce_window requires an operand that max takes"),
    BadSample("reduce_window", [X > 0], {"kind": "add", **_slide(2, 2)},
              "reduce_window requires an operand that add takes"),
    BadSample("reduce_window", [X], {"kind": "add", **_slide(2)}, "reduce_window requires a window, stride"),
    BadSample("reduce_window", [X], {"kind": "add", **_slide(0, 2)}, "reduce_window requires positive window sizes"),
    BadSample("reduce_window", [X], {"kind": "add", **_slide(1, 2, padding=((0, 0), (-3, -2)))},
              "reduce_window requires padding that leaves"),
    BadSample("select_and_gather", [X, X[:2]], {"kind": "max", **_slide(1, 2)},
              "select_and_gather requires values of the shape"),
    BadSample("select_and_gather", [X, X], {"kind": "GT", **_slide(1, 2)}, "select_and_gather requires max or min"),
    BadSample("select_and_scatter", [X, X], {"kind": "max", **_dense(1, 2)},
              "select_and_scatter requires a number of the dtype"),
    BadSample("select_and_scatter", [X, X[:, :3].astype(np.float64)], {"kind": "max", **_dense(1, 2)}, "of the dtype"),
    BadSample("select_and_scatter", [complexes(3), complexes(3)], {"kind": "max", **_dense(1)},
              "requires a real operand"),
    BadSample("select_and_scatter", [X, reals(3, 7)], {"kind": "max", **_dense(1, 2, padding=((0, 0), (2, 2)))},
              "select_and_scatter requires padding from 0 to less than the window"),
    *(BadSample(op, [X], ALONG, f"{op} requires an axis") for op in ("cumsum", "cumprod", "cummax", "cummin")),
    BadSample("cummax", [complexes(3)], {"axis": 0, "reverse": False}, "cummax requires an operand of a fitting type"),
    BadSample("cumsum", [X > 0], {"axis": 0, "reverse": False}, "cumsum requires an operand of a fitting type"),
]
