"""The chi-squared distribution: https://pytorch.org/docs/stable/distributions.html#chi2"""

from __future__ import annotations

from typing import Any

from ..tracer.tensor.tensor import Tensor
from . import constraints
from .gamma import Gamma

__all__ = ["Chi2"]


class Chi2(Gamma):
    r"""Sums of the squares of df normal numbers: Gamma(df / 2, 1 / 2).

    Args: `df`, the degrees of freedom.

    >>> import flambeau as torch
    >>> torch.distributions.Chi2(3.0).mean
    tensor(3.)

    Source: https://pytorch.org/docs/stable/distributions.html#chi2
    """

    arg_constraints = {"df": constraints.positive}
    _batched = {"concentration": 0, "rate": 0}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return self.concentration * 2
