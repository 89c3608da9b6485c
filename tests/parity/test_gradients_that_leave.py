"""A `.grad` that leaves a step as the tensor that it is: returned, kept outside or given to another tensor, against torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau

oracle = pytest.importorskip("torch")
CALLS = 5


class World:
    """Two parameters, of which `q` has a view as its gradient where told, and what is kept."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.p, self.q = (torch.nn.Parameter(torch.ones(2) * k) for k in (1, 2))
        self.kept: Any = None
        self.list: list[Any] = []
        self.table: dict[str, Any] = {}

    def before(self, i: int, way: str) -> None:
        """Other gradients are there at each call."""
        torch = self.torch
        if way == "assigned":
            self.p.grad, self.q.grad = torch.full((2,), float(i)), torch.full((2,), -float(i))
        elif way == "computed":
            self.p.grad = self.q.grad = None
            (self.p * self.q * i).sum().backward()
        elif way == "views":
            self.p.grad, self.q.grad = torch.arange(6.0).view(3, 2)[1] * 1, torch.arange(float(i), i + 6.0).view(3, 2)[i % 3]
        elif way == "one":
            self.p.grad = self.q.grad = torch.full((2,), float(i))
        elif way == "kept elsewhere":
            self.p.grad = torch.full((2,), float(i))
            self.q.grad, self.kept = torch.ones(2), self.p.grad
        elif i % 2:
            self.p.grad, self.q.grad = None, torch.ones(2)
        else:
            self.p.grad, self.q.grad = torch.full((2,), float(i)), None


def shown(x: Any) -> Any:
    return x.tolist() if hasattr(x, "tolist") else [shown(e) for e in x] if isinstance(x, (list, tuple)) else x


def swapped(w: World) -> Any:
    w.p.grad, w.q.grad = w.q.grad, w.p.grad
    return w.p.grad


def taken(w: World) -> Any:
    found, w.p.grad = w.p.grad, None
    return found


def made_anew(w: World) -> Any:
    found = w.p.grad
    w.p.grad = w.q.detach() * 3
    return found, w.p.grad


def one_for_both(w: World) -> None:
    w.p.grad = w.q.grad = w.p.detach() * 3


def given_on(w: World) -> None:
    w.q.grad = w.p.grad


def doubled(w: World) -> Any:
    if w.p.grad is not None:
        w.p.grad.mul_(2)
    return w.p.grad, w.q.grad


def stored(w: World) -> None:
    w.table["grad"], w.kept = w.p.grad, w.q.grad


def listed(w: World) -> int:
    w.list.append(w.p.grad)
    return len(w.list)


def accumulated(w: World) -> Any:
    found = w.p.grad
    (w.p * 3).sum().backward()
    return found, w.p.grad is found


STEPS: dict[str, Callable[[World], Any]] = {
    "returned": lambda w: w.p.grad, "both": lambda w: [w.p.grad, w.q.grad], "twice": lambda w: (w.p.grad, w.p.grad),
    "a view": lambda w: w.p.grad if w.p.grad is None else w.p.grad.view(2, 1),
    "detached": lambda w: w.p.grad if w.p.grad is None else (w.p.grad.detach(), w.p.grad * 2),
    "the same": lambda w: w.p.grad is w.kept, "none of it": lambda w: w.p.grad is None, "swapped": swapped, "taken": taken,
    "made anew": made_anew, "given on": given_on, "doubled": doubled, "stored": stored, "listed": listed,
    "accumulated": accumulated, "one for both": one_for_both}
WAYS = ("assigned", "computed", "views", "one", "kept elsewhere", "in turns")


def run(torch: Any, name: str, way: str, wrap: Callable[[Any], Any]) -> list[Any]:
    world = World(torch)
    step, found = wrap(lambda: STEPS[name](world)), []
    for i in range(CALLS):
        world.before(i, way)
        result = step()
        results = result if isinstance(result, (list, tuple)) else [result]
        found.append([shown(result), [(x is world.p.grad, x is world.q.grad, x is world.kept) for x in results],
                      shown([world.p.grad, world.q.grad, world.kept, world.list, list(world.table.items())]),
                      world.p.grad is world.q.grad])
        for x in (world.p.grad, world.q.grad):
            if x is not None:
                x.add_(1)  # what shares its memory changes
        found.append(shown([results, world.kept, world.p.grad, world.q.grad]))
    return found


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("way", WAYS)
def test_a_gradient_leaves_a_step_as_what_it_is(name: str, way: str, numpy_engine: None) -> None:
    wanted = run(oracle, name, way, lambda f: f)
    assert run(flambeau, name, way, lambda f: f) == wanted
    assert run(flambeau, name, way, flambeau.jit) == wanted
