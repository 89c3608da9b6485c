"""Learning rate schedules: https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate

A schedule writes `param_groups[i]["lr"]` between steps; a compiled step reads it at each call, so none causes a
compile. It may also be stepped in the compiled step, which then has a program for each outcome of its conditions (a
milestone reached, or not). As in torch most schedules scale the rate that is there (so they can be chained), and
`step(epoch)` uses the closed form instead.
"""

from __future__ import annotations

from .base import LRScheduler
from .cyclic import CyclicLR
from .onecycle import OneCycleLR
from .plateau import ReduceLROnPlateau
from .scaled import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .several import ChainedScheduler, SequentialLR

__all__ = ["ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
           "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
           "ReduceLROnPlateau", "SequentialLR", "StepLR"]

_LRScheduler = LRScheduler  # the name that it had, which code still uses
