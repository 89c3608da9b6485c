"""The categorical distribution: https://pytorch.org/docs/stable/distributions.html#categorical"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.choosing import clamp
from ..tracer.functions.creation import full
from ..tracer.functions.random import multinomial
from ..tracer.functions.ranges import arange
from ..tracer.functions.shape import broadcast_tensors
from ..tracer.ir import dtypes
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .constraints import Constraint
from .odds import Odds, check_one
from .utils import SCALAR

__all__ = ["Categorical"]


class Categorical(Odds):
    r"""Whole numbers from 0 on, one for each class, of the probabilities along the last dimension.

    Args: `probs` (*, k), weights that are not negative; or `logits` (*, k), their logarithms.

    >>> import flambeau as torch
    >>> torch.distributions.Categorical(torch.tensor([0.0, 1.0])).sample((2,))
    tensor([1, 1])

    Source: https://pytorch.org/docs/stable/distributions.html#categorical
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _binary = False
    _batched = {"probs": 1, "logits": 1, "_param": 1}
    _kept = ("_num_events",)

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        check_one(probs, logits)
        given = logits if probs is None else probs
        if given.dim() < 1:
            raise ValueError(f"`{'logits' if probs is None else 'probs'}` parameter must be at least one-dimensional.")
        if probs is None:
            self._set(None, logits - logits.logsumexp(-1, keepdim=True))
        else:
            self._set(probs / probs.sum(-1, keepdim=True), None)
        self._num_events = given.size()[-1]
        super().__init__(given.size()[:-1] if given.ndim > 1 else SCALAR, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self._num_events - 1)

    def _nan(self) -> Tensor:
        return full(self._extended_shape(), math.nan, dtype=self.probs.dtype, device=self.probs.device)

    @property
    def mean(self) -> Tensor:
        return self._nan()

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Tensor:
        return self._nan()

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        sample_shape = Size(sample_shape)
        with no_grad():
            drawn = multinomial(self.probs.reshape(-1, self._num_events), sample_shape.numel(), True).t()
            return drawn.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value, log_probs = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return log_probs.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = clamp(self.logits, min=dtypes.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = arange(self._num_events, dtype=dtypes.int64, device=self._param.device)
        values = values.reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values
