"""Poisson and binomial numbers, exact in distribution as far as float64 can tell.

Where few events are expected, waiting times are added up until they exceed the time there is. Where many are, a uniform
number is transformed and then accepted or rejected.

Sources: W. Hormann: "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics
and Economics 12, 1993; "The generation of binomial random variates", J. of Statistical Computation and Simulation 46, 1993.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...ir import dtypes
from ...ir.graph import Value
from ...ir.recorder import capture
from ...ops.control import closed, while_
from ...ops.custom import custom_gradient
from ...ops.elementwise import and_, compare, sub
from ...ops.reduction import reduce_or
from ...ops.structural import concatenate
from ...tensor.tensor import Tensor
from ..checks import check_none
from ..choosing import clamp, minimum, where
from ..comparing import isfinite
from ..methods import method
from ..operands import common_shape, number_value, scalar_name, wrap
from ..ruled import without_derivative
from ..spelling import spelled
from ..unary import ceil, floor, lgamma, log, log1p, sqrt
from .generator import Generator, generator_on
from .values import drawn_from, open_symmetric_value, open_uniform

MANY = 10.0  # expected events from which on the transformation is better, and valid
ROUNDS = 128  # bounds both loops; that a number needs more has a probability below 1e-50

# --- Loops ------------------------------------------------------------------------------------------------------------

Step = Callable[[Generator, Any, Any], tuple[Tensor, ...]]


def repeat(step: Step, generator: Generator, *start: Tensor) -> list[Tensor]:
    """Run `step(source, going, *numbers)`, which returns the like of `start`, as long as one of `going` holds.

    The loop draws from a stream of its own. How far `generator` moves does not depend on how many rounds there are.
    """
    on = generator._device

    def body(stream: Value, left: Value, *numbers: Value) -> list[Value]:
        source = Generator.at(wrap(stream))
        results = step(source, *map(wrap, numbers))
        fewer = sub(left, number_value(1, dtypes.int32, (), on))
        return [source._state._read(), fewer, *(t._read() for t in results)]

    def goes_on(stream: Value, left: Value, going: Value, *rest: Value) -> list[Value]:
        any_left = compare(left, number_value(0, dtypes.int32, (), on), direction="GT")
        return [and_(any_left, reduce_or(going, axes=tuple(range(going.type.ndim))))]

    carried = [_own_stream(generator), number_value(ROUNDS, dtypes.int32, (), on), *(t._read() for t in start)]
    graph, captured = capture(body, [v.type for v in carried], on, "draw")
    operands = [*carried, *captured]
    condition = closed(goes_on, [v.type for v in operands], on, "undecided")
    results = while_(*operands, cond=condition, body=graph, carried=len(carried))
    return [wrap(v) for v in results[2:]]


def _own_stream(generator: Generator) -> Value:
    seed = generator.draw((1,), dtypes.uint64)
    return concatenate(seed, number_value(0, dtypes.uint64, (1,), generator._device), axis=0)


def _arrivals(gap: Callable[[Generator], Tensor], time: Tensor, generator: Generator) -> Tensor:
    """How many of the waiting times that `gap` draws, one after the other, fit into `time`."""

    def step(source: Generator, going: Tensor, *sums: Tensor) -> tuple[Tensor, ...]:
        spent, count = sums
        spent = spent + gap(source)
        going = going & (spent <= time)
        return going, spent, count + going

    zeros = time * 0
    return repeat(step, generator, zeros == 0, zeros, zeros)[2]


def _accepted(center: Tensor, a: Tensor, b: Tensor, hat: Tensor, log_odds: Callable[[Tensor], Tensor], most: Tensor,
              generator: Generator) -> Tensor:
    """Integers k of [0, most] with probabilities in proportion to exp(log_odds(k)).

    k = floor((2 a / (1/2 - |u|) + b) u + center) for u uniform in (-1/2, 1/2) is close to the distribution; what is
    above it is rejected.
    """
    shape, kind = center._type.shape, dtypes.float64

    def step(source: Generator, going: Tensor, chosen: Tensor) -> tuple[Tensor, ...]:
        u = wrap(open_symmetric_value(shape, kind, source)) * 0.5
        v = open_uniform(shape, kind, source)
        room = 0.5 - u.abs()
        k = floor((2 * a / room + b) * u + center)
        under = log(v * hat / (a / room**2 + b)) <= log_odds(k)
        fits = (k >= 0) & (k <= most) & under
        return going & ~fits, where(going & fits, k, chosen)

    return repeat(step, generator, center == center, floor(center))[1]


# --- Poisson ----------------------------------------------------------------------------------------------------------


@method()
@spelled
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson numbers whose rates `input` holds, in its dtype; rates below 0 are a RuntimeError when they are known.

    >>> import flambeau as torch
    >>> torch.poisson(torch.tensor([0.0, 0.0]))
    tensor([0., 0.])
    """
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f'"poisson_cpu" not implemented for \'{scalar_name(input.dtype)}\'')
    check_none("poisson", ~(input >= 0), RuntimeError, "invalid Poisson rate, expected rate to be non-negative", input.detach(),
               "{value}")
    source = generator_on(input._device, generator)
    rate = input.detach().double()
    many = rate >= MANY
    few_drawn = _arrivals(lambda stream: -log(open_uniform(rate._type.shape, dtypes.float64, stream)),
                          where(many, 0.0, rate), source)
    drawn = where(many, _poisson_of_many(where(many & isfinite(rate), rate, MANY), source), few_drawn)
    drawn = where(isfinite(rate), drawn, rate)
    return drawn_from(where(rate >= 0, drawn, math.nan).to(input.dtype), input)


def _poisson_of_many(rate: Tensor, generator: Generator) -> Tensor:
    b = 0.931 + 2.53 * sqrt(rate)
    hat = 1.1239 + 1.1328 / (b - 3.4)
    return _accepted(rate + 0.43, -0.059 + 0.02483 * b, b, hat, lambda k: k * log(rate) - rate - lgamma(k + 1),
                     rate + math.inf, generator)


# --- Binomial ---------------------------------------------------------------------------------------------------------


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of `count` trials succeed, each with the probability `prob`; the two broadcast.

    The result has their dtype. Probabilities outside [0, 1] count as the nearer end.

    >>> import flambeau as torch
    >>> torch.binomial(torch.tensor([3.0, 3.0]), torch.tensor([0.0, 1.0]))
    tensor([0., 3.])
    """
    _check_binomial(count, prob)
    source = generator_on(count._device, generator)
    shape = common_shape(count._type.shape, prob._type.shape)
    trials, chance = (t.detach().double().expand(shape) for t in (count, prob))
    chance = clamp(chance, 0.0, 1.0)
    rarer = minimum(chance, 1 - chance)
    many = (trials * rarer >= MANY) & isfinite(trials)
    few_drawn = _arrivals(lambda stream: ceil(log(open_uniform(shape, dtypes.float64, stream)) / log1p(-rarer)),
                          where(many, 0.0, trials), source)
    drawn = where(many, _binomial_of_many(where(many, trials, 4 * MANY), where(many, rarer, 0.5), source), few_drawn)
    drawn = where(chance > 0.5, trials - drawn, drawn)
    result = where(isfinite(trials + chance), where(trials > 0, drawn, 0.0), math.nan).to(count.dtype)
    if not (count.requires_grad or prob.requires_grad):
        return result
    return wrap(custom_gradient(count._read(), prob._read(), result._read(), outputs=1, rule=_BINOMIAL)[0])


_BINOMIAL = without_derivative("binomial")


def _check_binomial(count: Tensor, prob: Tensor) -> None:
    for name, x in (("count", count), ("prob", prob)):
        if not x.dtype.is_floating_point:
            raise ValueError(f"binomial only supports floating-point dtypes for {name}, got: "
                             f"{scalar_name(x.dtype)}")
    if count.dtype is not prob.dtype:
        given, wanted = (scalar_name(x.dtype) for x in (prob, count))
        raise RuntimeError(f"Found dtype {given} but expected {wanted}")


def _binomial_of_many(trials: Tensor, chance: Tensor, generator: Generator) -> Tensor:
    spread = sqrt(trials * chance * (1 - chance))
    b = 1.15 + 2.53 * spread
    mode = floor((trials + 1) * chance)
    log_chances = log(chance / (1 - chance))
    at_mode = lgamma(mode + 1) + lgamma(trials - mode + 1)
    return _accepted(trials * chance + 0.5, -0.0873 + 0.0248 * b + 0.01 * chance, b, (2.83 + 5.1 / b) * spread,
                     lambda k: at_mode - lgamma(k + 1) - lgamma(trials - k + 1) + (k - mode) * log_chances,
                     trials, generator)
