"""One stream of random numbers, wherever it is drawn: lazily, jitted, on numpy, in threads and in other processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F

ROOT = Path(__file__).parents[2]
EXACT = {  # made of integers and one product: the same bits on every engine
    "rand": lambda: torch.rand(5),
    "rand of doubles": lambda: torch.rand(5, dtype=torch.float64),
    "rand of halves": lambda: torch.rand(5, dtype=torch.bfloat16).float(),
    "randint": lambda: torch.randint(-5, 100, (5,)),
    "randperm": lambda: torch.randperm(9),
    "bernoulli": lambda: torch.bernoulli(torch.full((9,), 0.3)),
    "uniform_": lambda: torch.empty(5).uniform_(-0.25, 0.25),
    "random_": lambda: torch.empty(5, dtype=torch.int32).random_(),
    "dropout": lambda: F.dropout(torch.ones(9), 0.25),
    "dropout2d": lambda: F.dropout2d(torch.ones(2, 3, 1, 1), 0.5),
}
CLOSE = {  # with a logarithm or the like: the same to the rounding that fusion changes
    "randn": lambda: torch.randn(5),
    "normal": lambda: torch.normal(torch.zeros(5), torch.ones(5)),
    "normal_": lambda: torch.empty(5).normal_(1.0, 2.0),
    "exponential_": lambda: torch.empty(5).exponential_(),
    "cauchy_": lambda: torch.empty(5).cauchy_(),
    "log_normal_": lambda: torch.empty(5).log_normal_(),
    "geometric_": lambda: torch.empty(5).geometric_(0.3),
    "multinomial": lambda: torch.multinomial(torch.ones(4, 9), 5),
    "multinomial with replacement": lambda: torch.multinomial(torch.ones(4, 9), 5, replacement=True),
    "poisson": lambda: torch.poisson(torch.tensor([0.5, 3.0, 30.0, 300.0])),
    "binomial": lambda: torch.binomial(torch.tensor([5.0, 500.0]), torch.tensor([0.25, 0.5])),
    "rrelu": lambda: F.rrelu(-torch.ones(5), training=True),
    "gumbel_softmax": lambda: F.gumbel_softmax(torch.zeros(5)),
    "alpha_dropout": lambda: F.alpha_dropout(torch.ones(9), 0.5, True),
    "feature_alpha_dropout": lambda: F.feature_alpha_dropout(torch.ones(2, 3, 2), 0.5, True),
}
DRAWS: dict[str, Callable[[], Any]] = {**EXACT, **CLOSE}

OTHER_PROCESS = """
import numpy as np, sys
import flambeau
from flambeau.tracer import backend
if sys.argv[2] == "numpy":
    backend.install(backend.NumpyBackend)
from tests.tracer.test_random_streams import DRAWS
flambeau.manual_seed(11)
np.savez(sys.argv[1], **{name: draw().numpy() for name, draw in DRAWS.items()})
"""


def in_another_process(engine: str, file: Path) -> Any:
    done = subprocess.run([sys.executable, "-c", OTHER_PROCESS, str(file), engine], capture_output=True, text=True, cwd=ROOT,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return np.load(file)


def test_another_process_draws_the_same_bits(tmp_path: Path) -> None:
    other = in_another_process("xla", tmp_path / "xla.npz")
    torch.manual_seed(11)
    for name, draw in DRAWS.items():
        np.testing.assert_array_equal(draw().numpy(), other[name], err_msg=name)


def test_the_numpy_engine_draws_the_same_numbers(tmp_path: Path) -> None:
    other = in_another_process("numpy", tmp_path / "numpy.npz")
    torch.manual_seed(11)
    for name, draw in DRAWS.items():
        if name in EXACT:
            np.testing.assert_array_equal(draw().numpy(), other[name], err_msg=name)
        else:
            np.testing.assert_allclose(draw().numpy(), other[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", DRAWS)
def test_jitted_as_lazily(name: str) -> None:
    step = torch.jit(DRAWS[name])
    torch.manual_seed(5)
    jitted = [step().numpy() for _ in range(3)]
    torch.manual_seed(5)
    lazily = [DRAWS[name]().numpy() for _ in range(3)]
    np.testing.assert_allclose(jitted, lazily, rtol=1e-6, atol=0)
    if name in EXACT:
        np.testing.assert_array_equal(jitted, lazily)
    assert not np.array_equal(jitted[0], jitted[1]) or not np.array_equal(jitted[1], jitted[2])
    assert step.stats.compiles == 1


def test_a_seed_between_calls_takes_effect_without_a_retrace() -> None:
    step = torch.jit(lambda: F.dropout(torch.ones(64)))
    torch.manual_seed(1)
    first = step().tolist()
    torch.manual_seed(2)
    assert step().tolist() != first
    torch.manual_seed(1)
    assert step().tolist() == first and step.stats.compiles == 1


def test_seeding_the_default_generator_inside_a_compiled_step() -> None:
    @torch.jit
    def step() -> Any:
        torch.manual_seed(3)
        return torch.rand(4)

    compiled = step().tolist()
    after = torch.rand(4).tolist()
    torch.manual_seed(3)
    assert torch.rand(4).tolist() == compiled == step().tolist()
    assert torch.rand(4).tolist() == after and torch.initial_seed() == 3


def test_states_inside_a_compiled_step() -> None:
    @torch.jit
    def step() -> Any:
        state = torch.get_rng_state()
        first = torch.rand(3)
        torch.set_rng_state(state)
        with torch.random.fork_rng():
            torch.rand(3)
        return first, torch.rand(3)

    first, second = step()
    assert first.tolist() == second.tolist()
    assert step()[0].tolist() != first.tolist()


# --- Threads ----------------------------------------------------------------------------------------------------------


def in_threads(work: Callable[[], None], count: int = 2) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors


@pytest.fixture
def hasty() -> Any:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Slow(torch.Generator):
    """A generator that lets other threads in between its steps."""

    @property
    def _state(self) -> Any:
        time.sleep(1e-3)
        return super()._state


def test_no_thread_draws_between_reading_a_generator_and_moving_it_on() -> None:
    generator = Slow().manual_seed(4)
    drawn: list[tuple[float, ...]] = []
    in_threads(lambda: drawn.extend(tuple(torch.rand(2, generator=generator).tolist()) for _ in range(10)))
    assert len(set(drawn)) == 20 and generator.get_state().view(torch.uint64).tolist() == [4, 20]


def test_threads_share_the_default_generator_and_no_draw_comes_twice(hasty: None) -> None:
    torch.manual_seed(4)
    drawn: list[int] = []
    in_threads(lambda: drawn.extend(torch.randint(2**62, (2,)).tolist()[0] for _ in range(100)))
    assert len(set(drawn)) == 200
    torch.manual_seed(4)
    assert set(drawn) == {torch.randint(2**62, (2,)).tolist()[0] for _ in range(200)}


def test_draws_that_another_thread_recorded_and_did_not_run(hasty: None) -> None:
    torch.manual_seed(4)
    drawn: list[Any] = []
    in_threads(lambda: drawn.extend(torch.rand(2) for _ in range(50)))
    values = {tuple(t.tolist()) for t in drawn}
    torch.manual_seed(4)
    assert values == {tuple(torch.rand(2).tolist()) for _ in range(100)}


def test_compiled_and_lazy_draws_in_threads_lose_nothing(hasty: None) -> None:
    step = torch.jit(lambda: torch.rand(2))
    torch.manual_seed(4)
    step()
    turn = iter([lambda: step(), lambda: torch.rand(2)])
    drawn: list[tuple[float, ...]] = []

    def work() -> None:
        draw = next(turn)
        for _ in range(100):
            drawn.append(tuple(draw().tolist()))

    in_threads(work)
    assert len(set(drawn)) == 200 and torch.get_rng_state().view(torch.uint64).tolist() == [4, 201]
