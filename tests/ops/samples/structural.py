"""Rows of the structural ops."""

from __future__ import annotations

import numpy as np

from flambeau.tracer.ir import dtypes

from ..sample import BadSample, Sample, complexes, integers, reals

SAMPLES = [
    Sample("constant", params={"value": "1.5", "shape": (2, 3), "dtype": dtypes.float32},
           torch=lambda t: t.full((2, 3), 1.5)),
    *(Sample("constant", params={"value": value, "shape": (2,), "dtype": kind}, note=f" {kind.short} {value}")
      for value, kind in [("-0.0", dtypes.float32), ("nan", dtypes.float64), ("inf", dtypes.bfloat16),
                          ("1e-40", dtypes.float32), ("1.5,-2.0", dtypes.complex64), ("True", dtypes.boolean),
                          ("-7", dtypes.int8), (str(2**40), dtypes.int64), (str(2**63), dtypes.uint64),
                          ("0.5", dtypes.float16), ("0.5", dtypes.float8_e4m3fn), ("2.0", dtypes.float8_e5m2)]),
    Sample("iota", params={"shape": (2, 3), "axis": 1, "dtype": dtypes.int64}),
    Sample("iota", params={"shape": (4,), "axis": 0, "dtype": dtypes.float32}, torch=lambda t: t.arange(4.0)),
    Sample("broadcast", [reals(3)], {"shape": (2, 3), "dims": (1,)}, lambda t, x: x.expand(2, 3), [0]),
    Sample("broadcast", [reals(3, 1)], {"shape": (3, 4, 5), "dims": (0, 2)},
           lambda t, x: x.reshape(3, 1, 1).expand(3, 4, 5), [0]),
    Sample("broadcast", [reals()], {"shape": (2, 0), "dims": ()}, lambda t, x: x.expand(2, 0), [0], note=" empty"),
    Sample("reshape", [reals(2, 6)], {"shape": (3, 4)}, lambda t, x: x.reshape(3, 4), [0]),
    Sample("transpose", [complexes(2, 3, 4)], {"permutation": (2, 0, 1)}, lambda t, x: x.permute(2, 0, 1), [0]),
    Sample("reverse", [reals(2, 3)], {"axes": (0, 1)}, lambda t, x: x.flip(0, 1), [0]),
    Sample("slice", [reals(5, 6)], {"start": (1, 0), "limit": (5, 6), "stride": (2, 3)},
           lambda t, x: x[1:5:2, 0:6:3], [0]),
    Sample("slice", [reals(5)], {"start": (2,), "limit": (2,), "stride": (1,)}, lambda t, x: x[2:2], [0], note=" empty"),
    Sample("pad", [reals(2, 3), reals()], {"low": (1, 0), "high": (0, 2), "interior": (0, 1)}, gradient=[0, 1]),
    Sample("pad", [reals(4, 3), reals()], {"low": (-1, 0), "high": (1, -1), "interior": (0, 0)}, gradient=[0, 1]),
    Sample("pad", [integers(3), np.array(7)], {"low": (2,), "high": (1,), "interior": (0,)},
           lambda t, x, v: t.nn.functional.pad(x, (2, 1), value=7)),
    Sample("concatenate", [reals(2, 3), reals(2, 1), reals(2, 2)], {"axis": 1}, lambda t, *xs: t.cat(xs, 1), [0, 1, 2]),
    Sample("bitcast", [reals(4)], {"dtype": dtypes.int32}, lambda t, x: x.view(t.int32)),
    Sample("bitcast", [integers(4, dtype=np.uint16, low=16000, high=17000)], {"dtype": dtypes.bfloat16}),
]

BAD = [
    BadSample("reshape", [reals(2, 3)], {"shape": (4,)}, "reshape requires a shape of 6 elements"),
    BadSample("transpose", [reals(2, 3)], {"permutation": (0, 0)}, "transpose requires a permutation"),
    BadSample("broadcast", [reals(3)], {"shape": (2, 4), "dims": (1,)}, "broadcast requires operand sizes"),
    BadSample("slice", [reals(3)], {"start": (2,), "limit": (5,), "stride": (1,)}, "slice requires"),
    BadSample("pad", [reals(3), reals(1)], {"low": (0,), "high": (0,), "interior": (0,)}, "pad requires a 0-d"),
    BadSample("concatenate", [reals(2, 3), reals(3, 3)], {"axis": 1}, "concatenate requires operands that differ"),
    BadSample("reverse", [reals(2)], {"axes": (1,)}, "reverse requires axes"),
    BadSample("bitcast", [reals(2)], {"dtype": dtypes.float64}, "bitcast requires"),
    BadSample("iota", [], {"shape": (2,), "axis": 1, "dtype": dtypes.int64}, "iota requires"),
]
