"""Rows of the ops of checks."""

from __future__ import annotations

import numpy as np

from ..sample import BadSample, Sample, integers

FAULTY = np.array([[0, 0], [2, 7], [1, -3]])
RANGE = {"low": -3, "high": 3, "exempt": 0, "inside": False, "lead": 0}

SAMPLES = [
    Sample("outside", [integers(4, 5)], RANGE),
    Sample("outside", [integers(6, low=0, high=3)], RANGE, note=" none"),
    Sample("outside", [integers(2, 3, 4)], {**RANGE, "lead": 1}),
    Sample("outside", [integers(3, 4, dtype=np.int32)], {**RANGE, "low": 0, "high": 1, "exempt": 0, "inside": True, "lead": 2}),
    Sample("outside", [integers(0, 3)], RANGE, note=" empty"),
    Sample("outside", [np.array(9)], RANGE),
    Sample("outside", [np.array([-100, 1, 9, 4])], {**RANGE, "exempt": -100}, note=" exempt"),
    Sample("outside", [integers(3, low=0, high=9, dtype=np.uint8)], {**RANGE, "low": 0}),
    Sample("first_wrong", [np.array([False, True, True]), np.array([4, 5, 6])], {"lead": 0}),
    Sample("first_wrong", [integers(2, 3) > 2, integers(2, 3, seed=1)], {"lead": 1}),
    Sample("first_report", [FAULTY], {"offsets": (4,), "lead": 0}),
    Sample("first_report", [FAULTY[0], FAULTY[1], FAULTY[2]], {"offsets": (0, 2, 3), "lead": 0}),
    Sample("first_report", [FAULTY, FAULTY[::-1].copy()], {"offsets": (0, 2), "lead": 1}),
]

BAD = [
    BadSample("outside", [np.ones(3, np.float32)], RANGE, "outside requires integers"),
    BadSample("outside", [integers(3)], {**RANGE, "lead": 2}, "outside requires a lead"),
    BadSample("first_wrong", [integers(3), integers(3)], {"lead": 0}, "first_wrong requires bools"),
    BadSample("first_report", [integers(3)], {"offsets": (0,), "lead": 0}, "first_report requires reports"),
]
