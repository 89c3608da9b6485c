"""Random numbers: streams that repeat, states that continue, distributions with the right moments."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import flambeau.tracer.functions  # noqa: F401  (attaches methods)
from flambeau.tracer.functions import creation
from flambeau.tracer.functions import random as r
from flambeau.tracer.functions.operands import wrap
from flambeau.tracer.ir import dtypes
from flambeau.tracer.jit.jit import jit
from flambeau.tracer.ops import OPS

COUNT = 40000


@pytest.fixture(autouse=True)
def seeded() -> None:
    r.manual_seed(1234)


DRAWS = {
    "rand": lambda g: r.rand(5, generator=g),
    "randn": lambda g: r.randn(5, generator=g),
    "randint": lambda g: r.randint(0, 100, (5,), generator=g),
    "randperm": lambda g: r.randperm(9, generator=g),
    "multinomial": lambda g: r.multinomial(creation.ones(4, 9), 5, generator=g),
    "uniform_": lambda g: creation.zeros(5).uniform_(-1, 3, generator=g),
    "double": lambda g: r.rand(5, dtype=dtypes.float64, generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_stream_repeats_and_moves_on(name: str) -> None:
    g = r.Generator().manual_seed(5)
    first, second = (DRAWS[name](g).numpy() for _ in range(2))
    assert not np.array_equal(first, second)
    g.manual_seed(5)
    np.testing.assert_array_equal(DRAWS[name](g).numpy(), first)
    np.testing.assert_array_equal(DRAWS[name](g).numpy(), second)
    assert not np.array_equal(DRAWS[name](g.manual_seed(6)).numpy(), first)


def test_bits_are_these_forever() -> None:
    g = r.Generator().manual_seed(42)
    expected = OPS["random_bits"].reference(np.array([42, 0], np.uint64), shape=(4,), dtype=dtypes.uint32)
    numbers = (expected >> 8).astype(np.float32) * np.float32(2**-24)
    np.testing.assert_array_equal(r.rand(4, generator=g).numpy(), numbers)
    assert g.get_state().view(dtypes.uint64).tolist() == [42, 2]


def test_state_continues_and_copies() -> None:
    g = r.Generator().manual_seed(7)
    r.rand(3, generator=g)
    saved = g.get_state()
    expected = r.rand(3, generator=g).tolist()
    for other in (g.set_state(saved), r.Generator().set_state(saved)):
        assert r.rand(3, generator=other).tolist() == expected
    g.set_state(saved)
    for other in (copy.deepcopy(g), pickle.loads(pickle.dumps(g)), g.clone_state()):
        assert r.rand(3, generator=other).tolist() == expected
    assert saved.dtype is dtypes.uint8
    assert saved.view(dtypes.uint64).tolist() == [7, 2]  # draws do not write into a state that was taken


def test_seeds() -> None:
    g = r.Generator()
    assert g.initial_seed() == r.DEFAULT_SEED
    assert g.manual_seed(3).initial_seed() == 3
    assert g.manual_seed(-1).initial_seed() == 2**64 - 1
    r.rand(1, generator=g)
    assert g.initial_seed() == 2**64 - 1
    assert g.manual_seed(2**64 - 2).initial_seed() == 2**64 - 2
    assert g.seed() == g.initial_seed()
    with pytest.raises(RuntimeError, match="within"):
        g.manual_seed(2**64)
    with pytest.raises(TypeError, match="get_state"):
        g.set_state(creation.zeros(2))
    assert r.manual_seed(9) is r.default_generator and r.initial_seed() == 9


def test_default_state_and_fork() -> None:
    saved = r.get_rng_state()
    expected = r.rand(3).tolist()
    r.set_rng_state(saved)
    with r.fork_rng():
        assert r.rand(3).tolist() == expected
        r.manual_seed(1)
    assert r.rand(3).tolist() == expected
    r.set_rng_state(saved)
    with r.fork_rng(enabled=False):
        r.rand(3)
    assert r.rand(3).tolist() != expected


def moments(values: Any, mean: float, std: float) -> None:
    array = values.numpy().astype(np.float64)
    assert abs(array.mean() - mean) < 5 * std / math.sqrt(array.size)
    assert abs(array.std() - std) < 0.03 * std


SAMPLES = {
    "rand": (lambda: r.rand(COUNT), 0.5, math.sqrt(1 / 12)),
    "rand half": (lambda: r.rand(COUNT, dtype=dtypes.bfloat16), 0.5, math.sqrt(1 / 12)),
    "rand double": (lambda: r.rand(COUNT, dtype=dtypes.float64), 0.5, math.sqrt(1 / 12)),
    "randn": (lambda: r.randn(COUNT), 0, 1),
    "randn double": (lambda: r.randn(COUNT, dtype=dtypes.float64), 0, 1),
    "normal": (lambda: r.normal(2.0, 3.0, (COUNT,)), 2, 3),
    "normal of tensors": (lambda: r.normal(creation.full((COUNT,), 2.0), creation.full((1,), 3.0)), 2, 3),
    "normal of a mean": (lambda: r.normal(creation.full((COUNT,), 2.0)), 2, 1),
    "normal of a deviation": (lambda: r.normal(0.0, creation.full((COUNT,), 2.0)), 0, 2),
    "uniform": (lambda: creation.zeros(COUNT).uniform_(1, 3), 2, math.sqrt(4 / 12)),
    "symmetric": (lambda: creation.zeros(COUNT).uniform_(-2, 2), 0, math.sqrt(16 / 12)),
    "randint": (lambda: r.randint(-3, 7, (COUNT,)), 1.5, math.sqrt(99 / 12)),
    "wide randint": (lambda: r.randint(0, 2**40, (COUNT,)), 2**39, 2**40 / math.sqrt(12)),
    "exponential": (lambda: creation.zeros(COUNT).exponential_(2.0), 0.5, 0.5),
    "log normal": (lambda: creation.zeros(COUNT).log_normal_(0.0, 0.25).log(), 0, 0.25),
    "geometric": (lambda: creation.zeros(COUNT).geometric_(0.4), 2.5, math.sqrt(0.6) / 0.4),
    "bernoulli": (lambda: r.bernoulli(creation.full((COUNT,), 0.3)), 0.3, math.sqrt(0.21)),
    "bernoulli of a number": (lambda: creation.zeros(COUNT).bernoulli_(0.3), 0.3, math.sqrt(0.21)),
    "random_": (lambda: creation.zeros(COUNT, dtype=dtypes.uint8).random_(), 127.5, 256 / math.sqrt(12)),
    "random_ of floats": (lambda: creation.zeros(COUNT).random_(), 2**23, 2**24 / math.sqrt(12)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_moments(name: str) -> None:
    make, mean, std = SAMPLES[name]
    moments(make(), mean, std)


def test_cauchy_quartiles() -> None:
    quartiles = np.quantile(creation.zeros(COUNT).cauchy_(1.0, 2.0).numpy(), [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [-1, 1, 3], atol=0.1)


def test_ranges_are_half_open() -> None:
    for kind in (dtypes.float32, dtypes.float64):
        low = wrap(r.uniform_value((COUNT,), kind, r.default_generator)).numpy()
        assert low.min() >= 0 and low.max() < 1
        odd = wrap(r.open_symmetric_value((COUNT,), kind, r.default_generator)).numpy()
        assert np.abs(odd).max() < 1 and np.abs(odd).min() > 0
    extremes = np.array([0, 2**32 - 1, 2**31 - 1, 2**31], np.uint32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(r.Generator, "draw", lambda self, shape, kind: creation.tensor(extremes)._read())
        assert wrap(r.uniform_value((4,), dtypes.float32, r.default_generator)).tolist()[:2] == [0, 1 - 2**-24]
        ends = wrap(r.symmetric_value((4,), dtypes.float32, 3.0, r.default_generator)).tolist()
        assert ends[2:] == [float(np.float32(2**23 - 1) * np.float32(3 * 2**-23)), -3]
        inside = wrap(r.open_symmetric_value((4,), dtypes.float32, r.default_generator)).tolist()
        assert all(0 < abs(x) < 1 for x in inside)
        assert wrap(r.integer_value((4,), 10, 20, r.default_generator)).tolist()[:2] == [10, 19]


def test_symmetric_uniform_is_one_exact_product() -> None:
    bits = OPS["random_bits"].reference(np.array([1234, 0], np.uint64), shape=(100,), dtype=dtypes.uint32)
    integers = (bits.view(np.int32) >> 8).astype(np.float32)
    bound = 1 / math.sqrt(7)
    expected = integers * np.float32(bound * 2**-23)
    np.testing.assert_array_equal(creation.zeros(100).uniform_(-bound, bound).numpy(), expected)


def test_randint_reaches_every_integer_and_types() -> None:
    assert set(r.randint(3, 6, (200,)).tolist()) == {3, 4, 5}
    assert r.randint(2, (3,)).dtype is dtypes.int64
    assert r.randint(0, 2, (3,), dtype=dtypes.float32).dtype is dtypes.float32
    assert r.randint_like(creation.zeros(2, dtype=dtypes.int32), 5).dtype is dtypes.int32
    assert abs(r.randint(-2**63, 2**63 - 1, (1000,)).numpy().astype(float).mean()) < 1e18
    with pytest.raises(RuntimeError, match="less than"):
        r.randint(3, 3, (1,))


def test_permutations_are_permutations() -> None:
    assert sorted(r.randperm(100).tolist()) == list(range(100))
    assert r.randperm(0).shape == (0,)
    places = np.array([r.randperm(4).tolist() for _ in range(400)])
    assert all((np.bincount(column, minlength=4) > 60).all() for column in places.T)


def test_multinomial_frequencies_and_zeros() -> None:
    weights = creation.tensor([0.0, 2.0, 1.0, 0.0, 1.0, 0.0])
    drawn = r.multinomial(weights, COUNT, replacement=True).numpy()
    np.testing.assert_allclose(np.bincount(drawn, minlength=6) / COUNT, [0, 0.5, 0.25, 0, 0.25, 0], atol=0.01)
    rows = r.multinomial(weights.unsqueeze(0).expand(COUNT, 6), 2).numpy()
    assert set(rows.ravel().tolist()) == {1, 2, 4} and (rows[:, 0] != rows[:, 1]).all()
    np.testing.assert_allclose((rows[:, 0] == 1).mean(), 0.5, atol=0.01)
    np.testing.assert_allclose((rows[:, 1] == 1).mean(), 0.25 * 2 / 3 * 2, atol=0.01)
    assert r.multinomial(weights.unsqueeze(0), 3).dtype is dtypes.int64


@pytest.mark.parametrize("call, message", [
    (lambda: r.multinomial(creation.ones(3), 4), "without replacement"),
    (lambda: r.multinomial(creation.ones(1, 1, 3), 1), "1 or 2 dim"),
    (lambda: r.multinomial(creation.ones(3), 0), "<= 0"),
    (lambda: r.multinomial(creation.ones(3, dtype=dtypes.int64), 1), "floating-point"),
    (lambda: r.normal(0.0, -1.0, (2,)), "std >= 0.0"),
    (lambda: creation.zeros(2).uniform_(2, 1), "range"),
    (lambda: creation.zeros(2).bernoulli_(1.5), "in \\[0, 1\\]"),
    (lambda: creation.zeros(2).exponential_(0.0), "lambda > 0.0"),
    (lambda: creation.zeros(2).geometric_(1.0), "in \\(0, 1\\)"),
    (lambda: r.rand(-1), "negative dimension"),
    (lambda: r.rand(2, dtype=dtypes.int64), "not implemented"),
    (lambda: creation.ones(2, requires_grad=True).normal_(), "leaf Variable"),
])
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()


def test_likes_and_out() -> None:
    x = creation.zeros(2, 3, dtype=dtypes.float64)
    assert r.rand_like(x).dtype is r.randn_like(x).dtype is dtypes.float64
    out = creation.empty(0)
    assert r.rand(3, out=out) is out and out.shape == (3,)
    assert r.randn(2, requires_grad=True).requires_grad
    assert r.rand(()).shape == r.rand(size := ()).shape == size


def test_certain_and_impossible() -> None:
    assert creation.zeros(100).bernoulli_(1.0).sum().item() == 100
    assert creation.ones(100).bernoulli_(0.0).sum().item() == 0


def test_a_compiled_step_advances_the_generator() -> None:
    g = r.Generator()

    @jit
    def draw() -> Any:
        return r.rand(3, generator=g)

    g.manual_seed(1)
    compiled = [draw().tolist() for _ in range(3)]
    g.manual_seed(1)
    assert compiled == [r.rand(3, generator=g).tolist() for _ in range(3)]
    assert g.get_state().view(dtypes.uint64).tolist() == [1, 6]


def test_a_state_first_used_in_a_compiled_step_exists_before_it() -> None:
    g = r.Generator()
    draw = jit(lambda: (r.rand(2, generator=g), r.randn(2, generator=g)))
    first, second = draw(), draw()
    assert first[0].tolist() != second[0].tolist() and g.get_state().view(dtypes.uint64).tolist() == [r.DEFAULT_SEED, 4]


def test_seeding_inside_a_compiled_step() -> None:
    g = r.Generator()
    draw = jit(lambda: r.rand(2, generator=g.manual_seed(3)))
    assert draw().tolist() == draw().tolist() == r.rand(2, generator=r.Generator().manual_seed(3)).tolist()
