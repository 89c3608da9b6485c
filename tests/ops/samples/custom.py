"""Rows of `custom_gradient`, with the rule of an identity."""

from __future__ import annotations

from flambeau.tracer.ops.custom import PassedOn

from ..sample import BadSample, Sample, reals

RULE = PassedOn()
SAMPLES = [
    Sample("custom_gradient", [reals(2, 3), reals(4), reals(2, 3, seed=1), reals(4, seed=1)], {"outputs": 2, "rule": RULE},
           lambda t, x, y, a, b: (a, b)),
]
BAD = [BadSample("custom_gradient", [reals(2)], {"outputs": 2, "rule": RULE}, "custom_gradient requires between 1 and 1"),
       BadSample("custom_gradient", [reals(2)], {"outputs": 0, "rule": RULE}, "custom_gradient requires between 1 and 1")]
