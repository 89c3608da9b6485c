"""Rows of random bits: the published known answers of Threefry-2x32 with 13 rounds, and the layout of words."""

from __future__ import annotations

import numpy as np

from flambeau.tracer.ir import dtypes

from ..sample import BadSample, Sample, reals


def state(seed: int, offset: int) -> np.ndarray:
    return np.array([seed, offset], np.uint64)


def known(seed: int, offset: int, first: int, second: int) -> list[Sample]:
    """One block under the published key and counter, as two 32-bit words and as one 64-bit word."""
    return [Sample("random_bits", [state(seed, offset)], {"shape": (2,), "dtype": dtypes.uint32},
                   lambda t, s: t.tensor([first, second]), note=f" known answer {seed:x}"),
            Sample("random_bits", [state(seed, offset)], {"shape": (), "dtype": dtypes.uint64},
                   lambda t, s: t.tensor(first | second << 32, dtype=t.uint64), note=f" known answer {seed:x} wide")]


SAMPLES = [
    *known(0, 0, 0x9D1C5EC6, 0x8BD50731),
    *known(2**64 - 1, 2**64 - 1, 0xFD36D048, 0x2D17272C),
    *known(0x0370734413198A2E, 0x85A308D3243F6A88, 0xBA3E4725, 0xF27D669E),
    Sample("random_bits", [state(2**40 + 3, 2**32 - 2)], {"shape": (3, 3), "dtype": dtypes.uint32},
           note=" odd, carries"),
    Sample("random_bits", [state(7, 2**64 - 2)], {"shape": (5,), "dtype": dtypes.uint64}, note=" counter wraps"),
    Sample("random_bits", [state(7, 0)], {"shape": (2, 0), "dtype": dtypes.uint32}, note=" empty"),
    Sample("random_bits", [state(7, 0)], {"shape": (), "dtype": dtypes.uint32}, note=" 0-d"),
    Sample("random_bits", [np.stack([state(1, 2), state(3, 4)])], {"shape": (3,), "dtype": dtypes.uint32},
           note=" two generators"),
]

BAD = [
    BadSample("random_bits", [reals(2)], {"shape": (2,), "dtype": dtypes.uint32},
              "random_bits requires a uint64 state"),
    BadSample("random_bits", [np.zeros(3, np.uint64)], {"shape": (2,), "dtype": dtypes.uint32},
              "random_bits requires a uint64 state"),
    BadSample("random_bits", [state(0, 0)], {"shape": (2,), "dtype": dtypes.int32}, "random_bits requires uint32 or"),
]
