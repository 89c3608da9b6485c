"""Rows of the convolution: strides, dilations, padding, groups and layouts, sizes that do not divide included."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ..sample import BadSample, Sample, complexes, integers, reals


def _params(rank: int, **given: Any) -> dict[str, Any]:
    order = tuple(range(rank + 2))
    return {"strides": (1,) * rank, "padding": ((0, 0),) * rank, "lhs_dilation": (1,) * rank,
            "rhs_dilation": (1,) * rank, "window_reversal": (False,) * rank, "feature_groups": 1, "batch_groups": 1,
            "dimension_numbers": (order, order, order)} | given


def _oracle(t: Any, x: Any, w: Any, p: dict[str, Any]) -> Any:
    """torch's convNd, for rows without dilation of the input, groups of the batch or asymmetric padding."""
    lhs, rhs, out = p["dimension_numbers"]
    call = (t.nn.functional.conv1d, t.nn.functional.conv2d, t.nn.functional.conv3d)[len(p["strides"]) - 1]
    result = call(x.permute(lhs), w.permute(rhs), None, p["strides"], [a for a, _ in p["padding"]], p["rhs_dilation"],
                  p["feature_groups"])
    return result.permute([out.index(i) for i in range(len(out))])


def _row(x: np.ndarray, w: np.ndarray, torch: bool = True, gradient: bool = True, note: str = "",
         tolerance: float = 2e-5, **given: Any) -> Sample:
    p = _params(x.ndim - 2, **given)
    return Sample("convolution", [x, w], p, (lambda t, a, b: _oracle(t, a, b, p)) if torch else None,
                  [0, 1] if gradient else [], tolerance, note=note)


NHWC = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))

SAMPLES = [
    _row(reals(2, 3, 7), reals(4, 3, 3, seed=1)),
    _row(reals(2, 3, 8), reals(4, 3, 3, seed=1), strides=(3,), padding=((1, 1),), note=" stride does not divide"),
    _row(reals(2, 3, 9), reals(4, 3, 3, seed=1), strides=(2,), padding=((2, 2),), rhs_dilation=(2,)),
    _row(reals(2, 2, 6, 5), reals(3, 2, 3, 2, seed=1), strides=(2, 1), padding=((1, 1), (0, 0))),
    _row(reals(2, 4, 7, 6), reals(6, 2, 3, 3, seed=1), strides=(2, 3), padding=((1, 1), (2, 2)), rhs_dilation=(1, 2),
         feature_groups=2, note=" groups"),
    _row(reals(2, 3, 5, 5), reals(6, 1, 3, 3, seed=1), feature_groups=3, padding=((1, 1), (1, 1)), note=" depthwise"),
    _row(reals(2, 6, 5, 2), reals(3, 2, 2, 4, seed=1), dimension_numbers=NHWC, strides=(2, 2), note=" channels last"),
    _row(reals(1, 2, 4, 5, 4), reals(2, 2, 2, 3, 2, seed=1), strides=(1, 2, 2), padding=((1, 1), (0, 0), (1, 1))),
    _row(reals(2, 2, 7), reals(2, 2, 3, seed=1), torch=False, padding=((-2, 3),), strides=(2,), note=" cut"),
    _row(reals(2, 2, 7), reals(2, 2, 3, seed=1), torch=False, padding=((4, -3),), lhs_dilation=(2,),
         note=" pad and cut"),
    _row(reals(2, 2, 4, 3), reals(2, 2, 3, 3, seed=1), torch=False, padding=((2, 1), (0, 3)), lhs_dilation=(2, 3),
         strides=(3, 2), rhs_dilation=(2, 1), note=" all dilated"),
    _row(reals(2, 2, 5), reals(3, 2, 3, seed=1), torch=False, window_reversal=(True,), strides=(2,), padding=((1, 2),),
         note=" reversed"),
    _row(reals(2, 2, 4, 5), reals(3, 2, 3, 2, seed=1), torch=False, window_reversal=(True, False),
         note=" half reversed"),
    _row(reals(4, 3, 6), reals(6, 3, 3, seed=1), torch=False, batch_groups=2, strides=(2,), padding=((1, 1),),
         note=" batch groups"),
    _row(reals(6, 2, 5, 4), reals(3, 2, 2, 2, seed=1), torch=False, batch_groups=3, rhs_dilation=(2, 1),
         lhs_dilation=(1, 2), note=" batch groups"),
    _row(complexes(2, 2, 6), complexes(4, 1, 3, seed=1), strides=(2,), padding=((1, 1),), feature_groups=2,
         tolerance=1e-4),
    _row(integers(2, 2, 6), integers(3, 2, 2, seed=1), strides=(2,), torch=False, gradient=False),
    _row(integers(1, 2, 6, low=0, dtype=np.uint8), integers(3, 2, 2, low=0, dtype=np.uint8), torch=False,
         gradient=False, note=" wraps"),
    _row(reals(2, 2, 6).astype(np.float16), reals(3, 2, 3, seed=1).astype(np.float16), torch=False, gradient=False),
    _row(reals(2, 2, 6).astype(ml_dtypes.bfloat16), reals(3, 2, 3, seed=1).astype(ml_dtypes.bfloat16), torch=False,
         gradient=False),
    _row(reals(0, 2, 5), reals(3, 2, 3, seed=1), note=" no batch"),
    _row(reals(2, 0, 5), reals(3, 0, 3, seed=1), torch=False, note=" no features"),
    _row(reals(2, 2, 5), reals(0, 2, 3, seed=1), torch=False, note=" no outputs"),
    _row(reals(2, 2, 2), reals(3, 2, 3, seed=1), torch=False, note=" kernel too big"),
    _row(reals(2, 2, 0), reals(3, 2, 3, seed=1), torch=False, padding=((2, 2),), note=" padding alone"),
    _row(np.array([[[1.0, np.inf, 2.0, np.nan, 0.0]]], np.float32), reals(1, 1, 2), gradient=False, note=" special"),
]

X, W = reals(2, 4, 5), reals(6, 2, 3)
BAD = [
    BadSample("convolution", [X, W], _params(1), "requires 2 input features in each of 1 groups"),
    BadSample("convolution", [X, W.astype(np.float64)], _params(1), "requires numeric operands of one dtype"),
    BadSample("convolution", [X > 0, W > 0], _params(1, feature_groups=2), "requires numeric operands"),
    BadSample("convolution", [X, W[0]], _params(1), "requires operands of equal rank"),
    BadSample("convolution", [X, reals(5, 2, 3)], _params(1, feature_groups=2),
              "requires a multiple of 2 output features"),
    BadSample("convolution", [reals(3, 2, 5), W], _params(1, batch_groups=2), "requires a multiple of 2 as batch"),
    BadSample("convolution", [X, W], _params(1, feature_groups=2, batch_groups=2), "requires positive group counts"),
    BadSample("convolution", [X, W], _params(1, strides=(0,)), "requires positive strides and dilations"),
    BadSample("convolution", [X, W], _params(1, strides=(1, 1)), "requires a stride, padding, dilation and reversal"),
    BadSample("convolution", [X, W], _params(1, dimension_numbers=((0, 1, 1),) * 3), "requires three permutations"),
    BadSample("convolution", [X, W[:, :, :0]], _params(1, feature_groups=2),
              "requires a kernel of positive spatial sizes"),
    BadSample("convolution", [X, W], _params(1, feature_groups=2, padding=((-3, -3),)),
              "requires padding that leaves"),
]
