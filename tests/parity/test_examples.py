"""What people write, as they write it, against torch, lazily and jitted: steps whose kinds are swept elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flambeau

from ..engines import on_numpy
from ..nested import near

real = pytest.importorskip("torch")

MODES = [pytest.param(lambda f: f, id="lazy"), pytest.param(flambeau.jit, id="jit")]
each_mode = pytest.mark.parametrize("mode", MODES)
Mode = Callable[[Callable[..., Any]], Callable[..., Any]]


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    """Nothing is compiled."""
    with on_numpy():
        yield


# --- A user's optimizers ----------------------------------------------------------------------------------------------


def adam(t: Any) -> type:
    """Moments and a counter that are made where there is no state."""
    class Adam(t.optim.Optimizer):  # type: ignore[name-defined, misc]
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 0.05, "betas": (0.9, 0.99)})

        @t.no_grad()
        def step(self) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    if len(state) == 0:
                        state["m"], state["v"], state["step"] = t.zeros_like(p), t.zeros_like(p), 0
                    state["step"] += 1
                    b1, b2 = group["betas"]
                    state["m"].mul_(b1).add_(p.grad, alpha=1 - b1)
                    state["v"].mul_(b2).addcmul_(p.grad, p.grad, value=1 - b2)
                    size = group["lr"] / (1 - b1 ** state["step"])
                    p.addcdiv_(state["m"], (state["v"] / (1 - b2 ** state["step"])).sqrt() + 1e-8, value=-size)

    return Adam


def momentum(t: Any, dampening: float) -> type:
    """A buffer that begins as the first gradient."""
    class Momentum(t.optim.Optimizer):  # type: ignore[name-defined, misc]
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 0.01})

        @t.no_grad()
        def step(self) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    buf = self.state[p].get("buf")
                    if buf is None:
                        buf = self.state[p]["buf"] = t.clone(p.grad).detach()
                    else:
                        buf.mul_(0.9).add_(p.grad, alpha=1 - dampening)
                    p.add_(buf, alpha=-group["lr"])

    return Momentum


KINDS: dict[str, tuple[Callable[[Any], type], int]] = {
    "Adam": (adam, 1), "momentum": (lambda t: momentum(t, 0.0), 2), "dampened momentum": (lambda t: momentum(t, 0.5), 2)}


@pytest.mark.parametrize("place", ["first", "last", "zeros"])
@pytest.mark.parametrize("kind", KINDS)
@each_mode
def test_a_users_optimizer(kind: str, place: str, mode: Mode) -> None:
    make, compiles = KINDS[kind]

    def trained(t: Any, mode: Mode) -> Any:
        w, b = t.tensor([[0.5, -1.0, 2.0]], requires_grad=True), t.tensor([0.25], requires_grad=True)
        optimizer = make(t)([w, b])

        def step(x: Any) -> Any:
            if place != "last":
                optimizer.zero_grad(set_to_none=place == "first")
            loss = ((x @ w.T + b - 1) ** 2).mean()
            loss.backward()
            optimizer.step()
            if place == "last":
                optimizer.zero_grad()
            return loss.detach()

        run = mode(step)
        data = t.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]])
        losses = [run(data * (1 + k % 3)).item() for k in range(50)]
        return run, [losses, w.tolist(), b.tolist(), [s.get("step") for s in optimizer.state.values()]]

    step, found = trained(flambeau, mode)
    assert near(found, trained(real, lambda f: f)[1], rel=1e-3)
    if hasattr(step, "stats"):
        assert step.stats.compiles == compiles, step.why()


# --- Small ones -------------------------------------------------------------------------------------------------------


def within_a_block(t: Any, mode: Mode) -> Any:
    def step(x: Any) -> Any:
        with t.device("cpu"):
            return x + t.ones(2) + t.tensor([1.0, 2.0])

    return mode(step)(t.ones(2))


def an_average_of_halves(t: Any, mode: Mode) -> Any:
    return mode(lambda x: x.half().mean())(t.full((1000,), 100.0)), mode(lambda x: x.bfloat16().mean())(t.full((1000,), 100.0))


def a_floor_of_a_quotient(t: Any, mode: Mode) -> Any:
    return mode(lambda x: (x // 0.1, 1.0 // (x / 10)))(t.tensor([1.0, -1.0]))


def a_running_sum_of_fractions_into_integers(t: Any, mode: Mode) -> Any:
    def step(x: Any) -> Any:
        out = t.empty(3, dtype=t.int64)
        t.cumsum(x, 0, out=out)
        return out

    return mode(step)(t.tensor([1.5, 2.5, 3.0])), mode(step)(t.tensor([1, 2, 3], dtype=t.int32))


def largest(t: Any, mode: Mode) -> Any:
    step = mode(lambda x, k: x.topk(k).values)
    x = t.tensor([3.0, 1.0, 2.0, 5.0, 4.0])
    found = [step(x, 3), step(x, 2), step(x, 3)]
    return found, list(t.rand(3).shape), list(t.nn.Linear(4, 3)(t.ones(4)).shape)


def an_array_on_the_memory_of_a_tensor(t: Any, mode: Mode) -> Any:
    x = t.ones(4)
    n = x.numpy()
    n[0] = 5
    mode(lambda: x.add_(1))()
    seen = [n.tolist(), x.tolist()]
    x[1:].mul_(2)
    n[1] = 7
    mode(lambda: x[2:].sub_(3))()
    return *seen, n.tolist(), x.tolist()


EXAMPLES = [within_a_block, an_average_of_halves, a_floor_of_a_quotient, a_running_sum_of_fractions_into_integers, largest,
            an_array_on_the_memory_of_a_tensor]


def plain(found: Any) -> Any:
    """Values, with dtypes."""
    if isinstance(found, (tuple, list)):
        return [plain(x) for x in found]
    return [found.tolist(), str(found.dtype)] if hasattr(found, "dtype") else found


@each_mode
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda f: f.__name__)
def test_an_example(example: Callable[[Any, Mode], Any], mode: Mode) -> None:
    assert near(plain(example(flambeau, mode)), plain(example(real, lambda f: f)), rel=1e-6)
