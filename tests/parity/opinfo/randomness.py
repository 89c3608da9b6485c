"""Draws of ours beside torch's: each row takes the library and gives at least 100,000 numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

COUNT = 100_000
SQUARE = (250, 400)


def _dropped(m: Any, drop: Callable[[Any], Any]) -> Any:
    return drop(m.ones(SQUARE))


DRAWS: dict[str, Callable[[Any], Any]] = {
    "cauchy": lambda m: m.empty(COUNT).cauchy_(1.0, 2.0),
    "exponential": lambda m: m.empty(COUNT).exponential_(0.7),
    "geometric": lambda m: m.empty(COUNT).geometric_(0.3),
    "log_normal": lambda m: m.empty(COUNT).log_normal_(0.5, 0.8),
    "normal.in_place": lambda m: m.empty(COUNT).normal_(1.0, 3.0),
    "uniform": lambda m: m.empty(COUNT).uniform_(-2.0, 3.0),
    "randn": lambda m: m.randn(COUNT),
    "rand": lambda m: m.rand(COUNT),
    "randn_like": lambda m: m.randn_like(m.zeros(COUNT)),
    "rand_like": lambda m: m.rand_like(m.zeros(COUNT)),
    "randint": lambda m: m.randint(-3, 8, (COUNT,)),
    "randint_like": lambda m: m.randint_like(m.zeros(COUNT), 11),
    "random_": lambda m: m.zeros(COUNT).random_(5, 25),
    "multinomial": lambda m: m.multinomial(m.tensor([0.1, 0.0, 0.4, 0.2]), COUNT, replacement=True),
    "normal": lambda m: m.normal(m.full((COUNT,), 2.0), m.full((COUNT,), 0.5)),
    "normal.number_mean": lambda m: m.normal(2.0, m.full((COUNT,), 0.5)),
    "bernoulli": lambda m: m.bernoulli(m.full((COUNT,), 0.3)),
    "bernoulli_": lambda m: m.empty(COUNT).bernoulli_(0.7),
    "poisson": lambda m: m.poisson(m.full((COUNT,), 3.5)),
    "binomial": lambda m: m.binomial(m.full((COUNT,), 10.0), m.full((COUNT,), 0.3)),
    "nn.functional.rrelu": lambda m: m.nn.functional.rrelu(-m.ones(COUNT), 0.1, 0.6, training=True),
    "nn.functional.dropout": lambda m: _dropped(m, lambda x: m.nn.functional.dropout(x, 0.3)),
    "nn.functional.dropout2d": lambda m: _dropped(m, lambda x: m.nn.functional.dropout2d(x[:, :, None, None], 0.3)),
    "nn.functional.dropout3d": lambda m: _dropped(m, lambda x: m.nn.functional.dropout3d(x[:, :, None, None, None], 0.3)),
    "nn.functional.alpha_dropout": lambda m: _dropped(m, lambda x: m.nn.functional.alpha_dropout(x, 0.3, training=True)),
    "nn.functional.feature_alpha_dropout.with_train": lambda m: _dropped(
        m, lambda x: m.nn.functional.feature_alpha_dropout(x, 0.3, training=True)),
}
