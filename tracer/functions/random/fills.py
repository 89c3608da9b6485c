"""Filling a tensor with random numbers: https://pytorch.org/docs/stable/torch.html#in-place-random-sampling"""

from __future__ import annotations

import math
from typing import Any

from ...ir import dtypes
from ...ir.dtypes import dtype
from ...ir.graph import Value
from ...tensor.tensor import Tensor
from ..arithmetic import add, div, mul
from ..complex_numbers import complex as make_complex
from ..creation import empty_like
from ..dims import whole_place
from ..methods import assign, method
from ..operands import cast_value, scalar_name, wrap
from ..refusals import ORDERED, require_kind
from ..unary import exp, log, neg, tan
from .generator import Generator, generator_on
from .samplers import chances, check_std, is_number, normal_numbers
from .values import check_bounds, integer_value, open_symmetric_value, open_uniform, symmetric_value, uniform_value, working


def _fill(self: Tensor, value: Value) -> Tensor:
    return assign(self, wrap(cast_value(value, self.dtype)))


@method()
def uniform_(self: Tensor, from_: Any = 0.0, to: Any = 1.0, *, generator: Generator | None = None,
             **named: Any) -> Tensor:
    """Fill with uniform numbers in [from, to). Symmetric bounds give the same bits on every engine."""
    low, high = named.get("from", from_), to
    if self.dtype.is_complex:
        parts = [empty_like(self.real).uniform_(low, high, generator=generator) for _ in range(2)]
        return assign(self, make_complex(*parts))
    numbers = is_number(low) and is_number(high)
    if numbers and not low <= high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}")
    kind, source = working(self.dtype, "check_uniform_bounds"), generator_on(self._device, generator)
    if numbers:
        check_bounds(self.dtype, low, high)
    plain = type(low) in (int, float) and type(high) in (int, float)
    shape = self._type.shape
    if plain and low == -high:
        return _fill(self, symmetric_value(shape, kind, float(high), source))
    unit = wrap(cast_value(uniform_value(shape, self.dtype, source), kind))  # in as many digits as it can keep
    if plain and low == 0:
        return _fill(self, (unit if high == 1 else mul(unit, high))._read())
    return _fill(self, add(mul(unit, high - low), low)._read())


@method()
def normal_(self: Tensor, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers."""
    check_std(std)
    if self.dtype.is_complex:  # both parts have half of the variance
        parts = [empty_like(self.real).normal_(0.0, std / math.sqrt(2), generator=generator) for _ in range(2)]
        return assign(self, add(make_complex(*parts), mean))
    return assign(self, normal_numbers(self._type.shape, mean, std, self.dtype, generator_on(self._device, generator)))


@method()
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with 1 of probability `p` (a number or a tensor), else 0."""
    require_kind("bernoulli_scalar_cpu_", self, ORDERED)
    return _fill(self, chances(self._type.shape, p, self._device, generator))


@method()
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with exponential numbers of rate `lambd`: -log(u) / lambd."""
    if is_number(lambd) and not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    unit = open_uniform(self._type.shape, _continuous(self.dtype, "Exponential"), generator_on(self._device, generator))
    return assign(self, div(neg(log(unit)), lambd))


def _continuous(kind: dtype, what: str) -> dtype:
    if not kind.is_floating_point:
        raise RuntimeError(f"{what} distribution is a continuous probability distribution. dtype must be a floating "
                           f"point but you specified {scalar_name(kind)}")
    return working(kind, what)


@method()
def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with Cauchy numbers: median + sigma * tan(pi * (u - 1/2))."""
    if is_number(sigma) and not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    kind, source = _continuous(self.dtype, "Cauchy"), generator_on(self._device, generator)
    angle = mul(wrap(open_symmetric_value(self._type.shape, kind, source)), math.pi / 2)
    return assign(self, add(mul(tan(angle), sigma), median))


@method()
def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with the exponentials of normal numbers."""
    if is_number(std) and not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    working(self.dtype, "log_normal_cpu")
    return assign(self, exp(normal_numbers(self._type.shape, mean, std, self.dtype, generator_on(self._device, generator))))


@method()
def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the number of trials until the first success of probability `p`: ceil(log(u) / log(1 - p))."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    if self.dtype is dtypes.boolean:
        raise NotImplementedError('"geometric_cpu" not implemented for \'Bool\'')
    kind = self.dtype if self.dtype.is_floating_point and self.dtype.itemsize >= 4 else dtypes.float32
    unit = open_uniform(self._type.shape, kind, generator_on(self._device, generator))
    return _fill(self, div(log(unit), math.log1p(-p)).ceil()._read())


@method()
def random_(self: Tensor, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None,
            **named: int | None) -> Tensor:
    """Fill with integers: random_() over all the dtype holds exactly from 0, random_(to), or random_(from, to)."""
    require_kind("random_kernel_cpu", self, ORDERED)
    low, high = named.get("from", from_), to
    if high is None:
        low, high = 0, (_beyond(self.dtype) if low is None else low)
    low, high = whole_place(0 if low is None else low, "from"), whole_place(high, "to")
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    check_bounds(self.dtype, low, high - 1, "to - 1")
    return _fill(self, integer_value(self._type.shape, low, high, generator_on(self._device, generator)))


def _beyond(kind: dtype) -> int:
    """One more than the largest integer random_() gives: 2 to the power of the mantissa's digits for floats."""
    if kind is dtypes.boolean:
        return 2
    if kind.is_floating_point:
        return int(2 / dtypes.finfo(kind).eps) + 1
    return int(dtypes.iinfo(kind).max) + 1
