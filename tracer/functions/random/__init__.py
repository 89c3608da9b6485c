"""Random numbers: https://pytorch.org/docs/stable/random.html

A generator is a seed and an offset in a tensor, so a compiled step reads it, advances it and leaves it behind as it
does with any other state. All draws come from one counter-based algorithm in integers (`ops/random.py`): the same bits
on every platform and engine, outside jit and inside. They are not the bits torch draws from the same seed.
"""

from .counts import binomial, poisson
from .directions import von_mises
from .fills import bernoulli_, cauchy_, exponential_, geometric_, log_normal_, normal_, random_, uniform_
from .gammas import dirichlet, dirichlet_grad, gamma_grad, standard_gamma
from .generator import (
    DEFAULT_SEED,
    Generator,
    default_generator,
    fork_rng,
    generator_on,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .samplers import (
    bernoulli,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from .values import chance_value, integer_value, open_symmetric_value, open_uniform, symmetric_value, uniform_value

__all__ = [
    "DEFAULT_SEED", "Generator", "bernoulli", "bernoulli_", "binomial", "cauchy_", "chance_value",
    "default_generator", "dirichlet", "dirichlet_grad", "exponential_", "fork_rng", "gamma_grad", "generator_on",
    "geometric_", "get_rng_state", "initial_seed", "integer_value", "log_normal_", "manual_seed", "multinomial",
    "normal", "normal_", "open_symmetric_value", "open_uniform", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "random_", "randperm", "seed", "set_rng_state", "standard_gamma",
    "symmetric_value", "uniform_", "uniform_value", "von_mises",
]
