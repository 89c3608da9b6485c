"""Transforms of vectors and matrices, of several pieces, and by a distribution."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from ..nn.functional import logsigmoid, pad, softmax, softplus
from ..tracer.functions.choosing import clamp
from ..tracer.functions.joining import cat, stack
from ..tracer.ir.dtypes import finfo
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .constraints import Constraint
from .definite import cholesky, identity_like
from .transform_base import TOO_FEW, Stateless, Transform
from .transform_numbers import clipped_sigmoid
from .utils import lazy_property, sum_rightmost, tril_matrix_to_vec, vec_to_tril_matrix

# --- Vectors and matrices ---------------------------------------------------------------------------------------------


def _after(x: Tensor, first: float) -> Tensor:
    """The numbers along the last dimension moved on by one, `first` in front."""
    return pad(x[..., :-1], (1, 0), value=first)


class CorrCholeskyTransform(Transform):
    """Vectors of n (n - 1) / 2 numbers as the lower factors of n x n correlation matrices, by partial correlations tanh(x).

    Source: https://pytorch.org/docs/stable/distributions.html#torch.distributions.transforms.CorrCholeskyTransform
    """

    domain, codomain = constraints.real_vector, constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        eps = finfo(x.dtype).eps
        partial = vec_to_tril_matrix(clamp(x.tanh(), min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - partial**2).sqrt().cumprod(-1)
        return (partial + identity_like(partial)) * _after(left, 1)

    def _inverse(self, y: Tensor) -> Tensor:
        left = _after(1 - (y * y).cumsum(-1), 1)
        partial = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(left, diag=-1).sqrt()
        return (partial.log1p() - (-partial).log1p()) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, intermediates: Any = None) -> Tensor:
        left = tril_matrix_to_vec(1 - (y * y).cumsum(-1), diag=-2)
        slopes = -2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)
        return 0.5 * left.log().sum(-1) + slopes

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError(TOO_FEW)
        count = shape[-1]
        n = round((0.25 + 2 * count)**0.5 + 0.5)
        if n * (n - 1) // 2 != count:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return shape[:-1] + type(shape)((n, n))

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 2:
            raise ValueError(TOO_FEW)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        n = shape[-1]
        return shape[:-2] + type(shape)((n * (n - 1) // 2,))


def _not_empty(shape: Any) -> Any:
    if len(shape) < 1:
        raise ValueError(TOO_FEW)
    return shape


class SoftmaxTransform(Stateless):
    """y = softmax(x), and x = log(y): not one to one."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return softmax(x, dim=-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        return _not_empty(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return _not_empty(shape)


class StickBreakingTransform(Stateless):
    """n numbers as n + 1 of sum 1: of what is left of a stick, each breaks off a part.

    Source: https://pytorch.org/docs/stable/distributions.html#torch.distributions.transforms.StickBreakingTransform
    """

    domain, codomain = constraints.real_vector, constraints.simplex
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        part = clipped_sigmoid(x - _pieces_left(x).log())
        return pad(part, (0, 1), value=1) * pad((1 - part).cumprod(-1), (1, 0), value=1)

    def _inverse(self, y: Tensor) -> Tensor:
        broken = y[..., :-1]
        left = clamp(1 - broken.cumsum(-1), min=finfo(y.dtype).tiny)
        return broken.log() - left.log() + _pieces_left(broken).log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - _pieces_left(x).log()
        return (-x + logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        _not_empty(shape)
        return shape[:-1] + type(shape)((shape[-1] + 1,))

    def inverse_shape(self, shape: Any) -> Any:
        _not_empty(shape)
        return shape[:-1] + type(shape)((shape[-1] - 1,))


def _pieces_left(x: Tensor) -> Tensor:
    """n, n - 1, ..., 1."""
    n = x.shape[-1]
    return n + 1 - x.new_ones(n).cumsum(-1)


class LowerCholeskyTransform(Stateless):
    """Square matrices as lower triangular ones, with the exponentials of their diagonals."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Stateless):
    """Square matrices as positive definite ones, by `LowerCholeskyTransform`."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(cholesky(y))


# --- Several ----------------------------------------------------------------------------------------------------------


class CatTransform(Transform):
    """One transform for each of the pieces, of `lengths`, along a dimension.

    Source: https://pytorch.org/docs/stable/distributions.html#torch.distributions.transforms.CatTransform
    """

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, lengths: Sequence[int] | None = None,
                 cache_size: int = 0) -> None:
        assert all(isinstance(t, Transform) for t in tseq)
        super().__init__(cache_size=cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        assert len(self.lengths) == len(self.transforms)
        self.dim = dim

    @lazy_property
    def event_dim(self) -> int:
        return max(t.event_dim for t in self.transforms)

    @lazy_property
    def length(self) -> int:
        """The size of the dimension."""
        return sum(self.lengths)

    def with_cache(self, cache_size: int = 1) -> Transform:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _pieces(self, x: Tensor) -> list[Tensor]:
        assert -x.dim() <= self.dim < x.dim()
        assert x.size(self.dim) == self.length
        starts = [sum(self.lengths[:i]) for i in range(len(self.lengths))]
        return [x.narrow(self.dim, start, length) for start, length in zip(starts, self.lengths)]

    def _call(self, x: Tensor) -> Tensor:
        return cat([t(piece) for t, piece in zip(self.transforms, self._pieces(x))], dim=self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        return cat([t.inv(piece) for t, piece in zip(self.transforms, self._pieces(y))], dim=self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        terms = []
        for t, before, after in zip(self.transforms, self._pieces(x), self._pieces(y)):
            terms.append(sum_rightmost(t.log_abs_det_jacobian(before, after), self.event_dim - t.event_dim))
        dim = (self.dim - x.dim() if self.dim >= 0 else self.dim) + self.event_dim
        return cat(terms, dim=dim) if dim < 0 else functools.reduce(lambda total, term: total + term, terms)

    @property
    def bijective(self) -> bool:
        return all(t.bijective for t in self.transforms)

    @constraints.dependent_property
    def domain(self) -> Constraint:
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Constraint:
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(Transform):
    """One transform for each of the slices along a dimension.

    Source: https://pytorch.org/docs/stable/distributions.html#torch.distributions.transforms.StackTransform
    """

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        assert all(isinstance(t, Transform) for t in tseq)
        super().__init__(cache_size=cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self if self._cache_size == cache_size else StackTransform(self.transforms, self.dim, cache_size)

    def _each(self, x: Tensor, function: Callable[[Transform, Tensor], Tensor]) -> Tensor:
        assert -x.dim() <= self.dim < x.dim()
        assert x.size(self.dim) == len(self.transforms)
        return stack([function(t, x.select(self.dim, i)) for i, t in enumerate(self.transforms)], dim=self.dim)

    def _call(self, x: Tensor) -> Tensor:
        return self._each(x, lambda t, piece: t(piece))

    def _inverse(self, y: Tensor) -> Tensor:
        return self._each(y, lambda t, piece: t.inv(piece))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        after = iter([y.select(self.dim, i) for i in range(y.size(self.dim))])
        return self._each(x, lambda t, piece: t.log_abs_det_jacobian(piece, next(after)))

    @property
    def bijective(self) -> bool:
        return all(t.bijective for t in self.transforms)

    @constraints.dependent_property
    def domain(self) -> Constraint:
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Constraint:
        return constraints.stack([t.codomain for t in self.transforms], self.dim)


class CumulativeDistributionTransform(Transform):
    """y = cdf(x) of a distribution of numbers: uniform in [0, 1] for its samples.

    Source: https://pytorch.org/docs/stable/distributions.html#torch.distributions.transforms.CumulativeDistributionTransform
    """

    bijective, sign = True, 1
    codomain = constraints.unit_interval

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Constraint | None:
        return self.distribution.support

    def _call(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distribution.log_prob(x)

    def with_cache(self, cache_size: int = 1) -> Transform:
        if self._cache_size == cache_size:
            return self
        return CumulativeDistributionTransform(self.distribution, cache_size=cache_size)
