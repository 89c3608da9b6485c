"""The base of all families: shapes, checks, and what a family may define."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.checks import check_told
from ..tracer.functions.reduce import all as all_
from ..tracer.tensor.context import context
from ..tracer.tensor.device import Size
from ..tracer.tensor.tensor import Tensor
from .constraints import Constraint, is_dependent, shown
from .utils import SCALAR, lazy_property, made_here

__all__ = ["Distribution"]

Some = TypeVar("Some", bound="Distribution")


class Distribution:
    r"""A probability distribution, or a batch of them.

    A sample has the shape sample_shape + batch_shape + event_shape: `batch_shape` says how many independent
    distributions with parameters of their own there are, `event_shape` what one draw from one of them is.

    Args: `batch_shape` and `event_shape`; `validate_args`, whether parameters and values are checked (by default what
    `set_default_validate_args` said).
    Raises ValueError for a parameter or a value that a constraint excludes. In a compiled step that is known when the
    program runs, and told as `debug.check` tells it.

    >>> import flambeau as torch
    >>> normal = torch.distributions.Normal(torch.zeros(3), 1.0)
    >>> normal.batch_shape, normal.event_shape
    (torch.Size([3]), torch.Size([]))
    >>> normal.log_prob(torch.zeros(2, 3)).shape
    torch.Size([2, 3])

    Source: https://pytorch.org/docs/stable/distributions.html#distribution
    """

    _guarded = True  # a compiled step that reads one depends on all that it knows
    _by_contents = True  # and takes one that it is given for what it holds
    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args = __debug__

    # Of a family whose `expand` is the one below: the parameters that have the batch's shape, with the number of dimensions
    # that follow it, and what is kept as it is.
    _batched: ClassVar[dict[str, int]]
    _kept: ClassVar[tuple[str, ...]] = ()

    def __init__(self, batch_shape: Any = SCALAR, event_shape: Any = SCALAR,
                 validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = batch_shape, event_shape
        made_here(self)
        if validate_args is not None:
            self._validate_args = validate_args
        elif context.trace is not None:
            context.trace.guard("what set_default_validate_args was told", lambda: Distribution._validate_args)
        if self._validate_args:
            self._validate_parameters()

    # --- What a family defines ----------------------------------------------------------------------------------------

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        """The constraint of each parameter, by name."""
        raise NotImplementedError

    @property
    def support(self) -> Constraint | None:
        """The constraint of samples."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The mode."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def rsample(self, sample_shape: Any = SCALAR) -> Tensor:
        """Draws through which gradients reach the parameters."""
        raise NotImplementedError

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, of `value`."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The inverse of `cdf`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along a new first dimension."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The mean of -log_prob."""
        raise NotImplementedError

    # --- What follows from it -----------------------------------------------------------------------------------------

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions that are made from now on are validated, unless they say it themselves."""
        if value not in [True, False]:
            raise ValueError
        Distribution._validate_args = value

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters, each a distribution of its own."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    def sample(self, sample_shape: Any = SCALAR) -> Tensor:
        """Draws of shape sample_shape + batch_shape + event_shape, without gradients."""
        with no_grad():
            return self.rsample(sample_shape)

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`, under its former name."""
        warnings.warn("`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning, stacklevel=2)
        return self.sample(Size((n,)))

    def perplexity(self) -> Tensor:
        """exp(entropy)."""
        return self.entropy().exp()

    def expand(self: Some, batch_shape: Any, _instance: Any = None) -> Some:
        """The distribution with its parameters expanded to a larger batch, without copies."""
        family = next((c for c in type(self).__mro__ if issubclass(c, Distribution) and "_batched" in vars(c)), None)
        if family is None:
            raise NotImplementedError
        new = self._get_checked_instance(family, _instance)
        batch_shape = Size(batch_shape)
        for name, trailing in family._batched.items():
            x = vars(self).get(name)
            if isinstance(x, Tensor):
                setattr(new, name, x.expand((*batch_shape, *x.shape[x.ndim - trailing:])))
        for name in family._kept:
            setattr(new, name, getattr(self, name))
        return self._validated_as(new, batch_shape)

    def _validated_as(self, new: Any, batch_shape: Size, event_shape: Size | None = None) -> Any:
        """`new` with its shapes, not checked again, that validates from now on if this one does."""
        Distribution.__init__(new, batch_shape, self.event_shape if event_shape is None else event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """A bare instance for `expand`; a class with an `__init__` of its own must define that too."""
        if _instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom __init__ "
                                      "method must also define a custom .expand() method.")
        return self.__new__(type(self)) if _instance is None else _instance

    def _extended_shape(self, sample_shape: Sequence[int] = SCALAR) -> Size:
        """The shape of draws."""
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    # --- Checks -------------------------------------------------------------------------------------------------------

    def _validate_parameters(self) -> None:
        try:
            constraints = self.arg_constraints
        except NotImplementedError:
            constraints = {}
            warnings.warn(f"{self.__class__} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or "
                          "initialize the distribution with `validate_args=False` to turn off validation.", stacklevel=4)
        given = [(name, c, getattr(self, name)) for name, c in constraints.items() if not is_dependent(c)
                 and not (name not in vars(self) and isinstance(getattr(type(self), name, None), lazy_property))]
        held = [(name, c, x, all_(c.check(x))) for name, c, x in given]
        if held:
            self._require(held)

    def _require(self, held: list[tuple[str, Constraint, Tensor, Tensor]]) -> None:
        """One look at all parameters; which of them failed is asked where one did."""
        def told(now: bool) -> str:
            name, constraint, x, _ = next(h for h in held if not now or not h[3])
            found = f", but found invalid values:\n{x}" if now else ""
            names = name if now else " or ".join(h[0] for h in held)
            rules = repr(constraint) if now else " or ".join(shown(h[1], now) for h in held)
            shapes = tuple(x.shape) if now else ", ".join(str(tuple(h[2].shape)) for h in held)
            return (f"Expected parameter {names} ({type(x).__name__} of shape {shapes}) of distribution "
                    f"{self._shown(now)} to satisfy the constraint {rules}{found}")

        held_all = held[0][3]
        for _, _, _, holds in held[1:]:
            held_all = held_all & holds
        check_told(type(self).__name__, ~held_all, ValueError, told)

    def _validate_sample(self, value: Tensor) -> None:
        """ValueError unless `value` has a shape that samples have and lies in the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        dims = len(value.size()) - len(self._event_shape)
        if value.size()[dims:] != self._event_shape:
            raise ValueError("The right-most size of value must match event_shape: "
                             f"{value.size()} vs {self._event_shape}.")
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.size()), reversed(expected)):
            if i != 1 and j != 1 and i != j:
                raise ValueError("Value is not broadcastable with batch_shape+event_shape: "
                                 f"{value.size()} vs {expected}.")
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(f"{self.__class__} does not define `support` to enable sample validation. Please initialize the "
                          "distribution with `validate_args=False` to turn off validation.", stacklevel=3)
            return
        assert support is not None

        def told(now: bool) -> str:
            found = f", but found invalid values:\n{value}" if now else ""
            return (f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                    f"support ({shown(support, now)}) of the distribution {self._shown(now)}{found}")

        check_told(type(self).__name__, ~all_(support.check(value)), ValueError, told)

    def _shown(self, now: bool) -> str:
        """The distribution in a message: with its values only where these can be read."""
        return repr(self) if now else self.__class__.__name__ + "()"

    def __repr__(self) -> str:
        shown = [f"{name}: {x if x.numel() == 1 else x.size()}" for name in self.arg_constraints
                 if isinstance(x := vars(self).get(name), Tensor)]
        return f"{self.__class__.__name__}({', '.join(shown)})"
