"""Rows of `call`: a graph as one op."""

from __future__ import annotations

import numpy as np

from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.recorder import capture
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops import OPS

from ..sample import BadSample, Sample, reals


def _body(x, y):
    product = OPS["mul"](x, y)
    return OPS["tanh"](product), OPS["sub"](product, y)


def _graph(kind):
    return capture(_body, [Type.of((3, 4), kind)] * 2, name="inner")[0]


# Gradient samples of ops with inner graphs are float64: the graph has fixed types.
X, Y = (reals(3, 4, seed=i, dtype=np.float64) for i in (0, 1))
SAMPLES = [
    Sample("call", [X, Y], {"graph": _graph(dtypes.float64)}, lambda t, x, y: ((x * y).tanh(), x * y - y), [0, 1]),
    Sample("call", [X.astype(np.float32), Y.astype(np.float32)], {"graph": _graph(dtypes.float32)}),
]
BAD = [BadSample("call", [X], {"graph": _graph(dtypes.float64)}, "call requires operands of types")]
