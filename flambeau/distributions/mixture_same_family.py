"""The mixture distribution: https://pytorch.org/docs/stable/distributions.html#mixturesamefamily"""

from __future__ import annotations

from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.activation import log_softmax
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from . import constraints
from .categorical import Categorical
from .constraints import Constraint, MixtureSameFamilyConstraint
from .distribution import Distribution
from .utils import SCALAR

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    r"""A mixture of distributions of one family: one of the components, chosen with its probability, is drawn from.

    Args: `mixture_distribution`, a `Categorical` over the last dimension of the batch of `component_distribution`.

    >>> import flambeau as torch
    >>> from flambeau.distributions import Categorical, MixtureSameFamily, Normal
    >>> d = MixtureSameFamily(Categorical(torch.ones(2)), Normal(torch.tensor([0.0, 4.0]), torch.ones(2)))
    >>> d.mean
    tensor(2.)

    Source: https://pytorch.org/docs/stable/distributions.html#mixturesamefamily
    """

    arg_constraints: Any = {}
    has_rsample = False

    def __init__(self, mixture_distribution: Categorical, component_distribution: Distribution,
                 validate_args: bool | None = None) -> None:
        _check_parts(mixture_distribution, component_distribution)
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        self._num_component = component_distribution.batch_shape[-1]
        self._event_ndims = len(component_distribution.event_shape)
        super().__init__(component_distribution.batch_shape[:-1], component_distribution.event_shape,
                         validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        batch_shape = Size(batch_shape)
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        new._component_distribution = self._component_distribution.expand((*batch_shape, self._num_component))
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._num_component, new._event_ndims = self._num_component, self._event_ndims
        return self._validated_as(new, batch_shape, new._component_distribution.event_shape)

    @constraints.dependent_property
    def support(self) -> Constraint:
        inner = self._component_distribution.support
        assert inner is not None
        return MixtureSameFamilyConstraint(inner)

    @property
    def mixture_distribution(self) -> Categorical:
        """The distribution of the choice."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    def _weighted(self, x: Tensor) -> Tensor:
        """The mean over the components, of what has an event's dimensions."""
        probs = self.mixture_distribution.probs
        probs = probs.reshape((*probs.shape, *(1,) * self._event_ndims))
        return (probs * x).sum(-1 - self._event_ndims)

    @property
    def mean(self) -> Tensor:
        return self._weighted(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        apart = self.component_distribution.mean - self._pad(self.mean)
        return self._weighted(self.component_distribution.variance) + self._weighted(apart.pow(2.0))

    def cdf(self, x: Tensor) -> Tensor:
        return (self.component_distribution.cdf(self._pad(x)) * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(x)
        log_prob = self.component_distribution.log_prob(self._pad(x))
        return (log_prob + log_softmax(self.mixture_distribution.logits, -1)).logsumexp(-1)

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        sample_shape = Size(sample_shape)
        with no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            drawn = self.component_distribution.sample(sample_shape)
            at = chosen.ndim
            index = chosen.reshape((*chosen.shape, 1, *(1,) * self._event_ndims))
            return drawn.gather(at, index.expand((*chosen.shape, 1, *self.event_shape))).squeeze(at)

    def _pad(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - self._event_ndims)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"


def _check_parts(mixture: Any, component: Any) -> None:
    """ValueError unless the two make a mixture."""
    if not isinstance(mixture, Categorical):
        raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
    if not isinstance(component, Distribution):
        raise ValueError("The Component distribution needs to be an instance of torch.distributions.Distribution")
    for size1, size2 in zip(reversed(mixture.batch_shape), reversed(component.batch_shape[:-1])):
        if size1 != 1 and size2 != 1 and size1 != size2:
            raise ValueError(f"`mixture_distribution.batch_shape` ({mixture.batch_shape}) is not compatible with "
                             f"`component_distribution.batch_shape`({component.batch_shape[:-1]})")
    weights, components = mixture.logits.shape[-1], component.batch_shape[-1]
    if weights != components:
        raise ValueError(f"`mixture_distribution component` ({weights}) does not equal "
                         f"`component_distribution.batch_shape[-1]` ({components})")
