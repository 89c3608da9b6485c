"""Angles and lengths in the plane: https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

import math
from typing import Any

from ..ops import elementwise as ops
from ..tensor.tensor import Tensor
from .arithmetic import mul
from .choosing import where
from .comparing import logical_or
from .layout import apply
from .methods import named, pointwise, with_out
from .operands import float_kind
from .ruled import Derivative, check_tensor, floating_kind, ruled
from .unary import abs as absolute


@pointwise("atan2", "arctan2")
@with_out
def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point (other, input)."""
    return apply(ops.atan2, input, other, kind=float_kind(input, other))


arctan2 = atan2


def _hypot(x: Tensor, y: Tensor) -> Tensor:
    x, y = absolute(x), absolute(y)
    larger, smaller = where(x > y, x, y), where(x > y, y, x)
    ratio = smaller / where(larger == 0, 1, larger)
    infinite = logical_or(x == math.inf, y == math.inf)
    return where(infinite, math.inf, larger * (1 + ratio * ratio).sqrt())


_HYPOT = Derivative("Hypot", lambda g, out, x, y: (g * (x / out), g * (y / out)))


@pointwise()
@with_out
def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(input**2 + other**2), without overflow on the way. The gradient at (0, 0) is NaN, as torch's is.

    >>> import flambeau as torch
    >>> torch.hypot(torch.tensor([3.0, 3e30]), torch.tensor([4.0, 4e30]))
    tensor([5.0000e+00, 5.0000e+30])
    """
    check_tensor("hypot", "other", 2, other)
    return ruled(_HYPOT, _hypot, input, other, kind=floating_kind("hypot", input, other))


def _turning(name: str, factor: float, meaning: str) -> Any:
    @named(name, meaning)
    def function(input: Tensor) -> Tensor:
        if input.dtype.is_complex:
            raise RuntimeError(f"{name} is not supported for complex tensors.")
        return mul(input, factor)

    return pointwise(name)(with_out(function))


rad2deg = _turning("rad2deg", 180 / math.pi, "Angles in degrees, from radians: x * 180 / pi.")
deg2rad = _turning("deg2rad", math.pi / 180, "Angles in radians, from degrees: x * pi / 180.")
