"""Rows of the ops of checks."""

from __future__ import annotations

import numpy as np

from ..sample import BadSample, Sample, integers

FAULTY = np.array([[0, 0], [2, 7], [1, -3]])
RANGE = {"bounds": ((-3, 3, 0, False),), "lead": 0}
THREE = {"bounds": ((-3, 3, 0, False), (0, 1, 0, True), (0, 9, -100, False)), "lead": 0}

SAMPLES = [
    Sample("outside", [integers(4, 5)], RANGE),
    Sample("outside", [integers(6, low=0, high=3)], RANGE, note=" none"),
    Sample("outside", [integers(2, 3, 4)], {**RANGE, "lead": 1}),
    Sample("outside", [integers(3, 4, dtype=np.int32)], {"bounds": ((0, 1, 0, True),), "lead": 2}),
    Sample("outside", [integers(0, 3)], RANGE, note=" empty"),
    Sample("outside", [np.array(9)], RANGE),
    Sample("outside", [np.array([-100, 1, 9, 4])], {"bounds": ((-3, 3, -100, False),), "lead": 0}, note=" exempt"),
    Sample("outside", [integers(3, low=0, high=9, dtype=np.uint8)], {"bounds": ((0, 3, 0, False),), "lead": 0}),
    Sample("outside", [integers(3, low=0, high=3), integers(2, 2), np.array(10)], THREE, note=" the first of three"),
    Sample("outside", [integers(3, low=0, high=3), integers(2, low=1, high=3), np.array(10)], THREE, note=" the last"),
    Sample("outside", [integers(3, low=0, high=3), integers(2, low=1, high=3), np.array(-100)], THREE, note=" none of three"),
    Sample("outside", [integers(0), integers(2, 0), integers(0, 2)], THREE, note=" three without elements"),
    Sample("outside", [integers(0), integers(4, dtype=np.int8), np.array([3, 9])], THREE, note=" one without elements"),
    Sample("outside", [integers(4, 3), integers(4, 2, 2, seed=1), integers(4, low=8, high=11)], {**THREE, "lead": 1}),
    Sample("first_wrong", [np.array([False, True, True]), np.array([4, 5, 6])], {"lead": 0}),
    Sample("first_wrong", [integers(2, 3) > 2, integers(2, 3, seed=1)], {"lead": 1}),
    Sample("first_report", [FAULTY], {"offsets": (4,), "lead": 0}),
    Sample("first_report", [FAULTY[0], FAULTY[1], FAULTY[2]], {"offsets": (0, 2, 3), "lead": 0}),
    Sample("first_report", [FAULTY, FAULTY[::-1].copy()], {"offsets": (0, 2), "lead": 1}),
]

BAD = [
    BadSample("outside", [np.ones(3, np.float32)], RANGE, "outside requires integers"),
    BadSample("outside", [integers(3)], {**RANGE, "lead": 2}, "outside requires 2 leading"),
    BadSample("outside", [integers(3), integers(4)], {**THREE, "lead": 0}, "outside requires bounds"),
    BadSample("first_wrong", [integers(3), integers(3)], {"lead": 0}, "first_wrong requires bools"),
    BadSample("first_report", [integers(3)], {"offsets": (0,), "lead": 0}, "first_report requires reports"),
]
