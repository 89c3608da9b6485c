"""Members of packs that are updated alike: computed as one array, and the same numbers as one by one."""

from __future__ import annotations

import inspect
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.jit.alike import fewest
from tests.engines import on_numpy

SHAPES = [(2, 3), (4,), (), (1,), (3, 2), (1, 1), (2, 1), (5,), (2, 2), (3,), (6,), (2, 2, 2)]
OTHERWISE = ("LBFGS", "SparseAdam", "Muon", "Optimizer")  # closures, sparse gradients, matrices only, and no optimizer


def optimizers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each optimizer as it is, and with each of its switches turned and each number that is 0 by default given."""
    for name, kind in sorted(vars(torch.optim).items()):
        if not inspect.isclass(kind) or not issubclass(kind, torch.optim.Optimizer) or name in OTHERWISE:
            continue
        given = {"lr": 0.01} if name != "Adafactor" else {}
        yield name, given
        for key, parameter in inspect.signature(kind).parameters.items():
            if parameter.default is False and key not in ("differentiable", "fused"):
                yield name, given | {key: True} | ({"momentum": 0.9} if key == "nesterov" else {})
            elif key in ("weight_decay", "momentum", "lr_decay") and not parameter.default:
                yield name, given | {key: 0.1}


CASES = list(optimizers())


def trained(make: Callable[[Sequence[Any]], Any], first: bool, jitted: bool, steps: int = 4) -> tuple[Any, list[Any]]:
    """A step that trains parameters of all shapes, and everything that is left of it: parameters, state, gradients."""
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    optimizer = make(parameters)
    scale = torch.randn(2, 3)

    def step(x: Any) -> Any:
        if first:
            optimizer.zero_grad()
        loss = sum((p * p * x.sum()).sum() for p in parameters) + (parameters[0] * scale * x).sum().tanh()
        loss.backward()
        optimizer.step()
        if not first:
            optimizer.zero_grad()
        return loss

    run = torch.jit(step) if jitted else step
    losses = [run(torch.full((2, 3), 0.1 + k / 10)).item() for k in range(steps)]
    state = [v for p in parameters for v in optimizer.state[p].values() if isinstance(v, torch.Tensor)]
    left = [p.grad for p in parameters if p.grad is not None]
    return run, [losses, *(v.detach().tolist() for v in (*parameters, *state, *left))]


def flat(x: Any) -> list[float]:
    return [v for part in x for v in flat(part)] if isinstance(x, list) else [x]


def both(make: Callable[[Sequence[Any]], Any], first: bool) -> Any:
    """The jitted step, after the same numbers came out of it as lazily."""
    with on_numpy():
        _, eager = trained(make, first, False)
        step, compiled = trained(make, first, True)
        assert flat(compiled) == pytest.approx(flat(eager), rel=2e-5, abs=1e-7, nan_ok=True)
        assert step.stats.compiles == 1, step.why()
        return step


def operations(step: Any) -> Counter[str]:
    return Counter(node.op.name for node in step.graph.nodes)


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{'-'.join(o)}" for n, o in CASES])
def test_every_optimizer_gives_the_numbers_that_it_gives_one_by_one(name: str, options: dict[str, Any], first: bool) -> None:
    both(lambda parameters: getattr(torch.optim, name)(parameters, **options), first)


def test_the_sweep_covers_what_there_is() -> None:
    print(f"{2 * len(CASES)} trainings")
    assert len({name for name, _ in CASES}) >= 11 and len(CASES) >= 50


@pytest.mark.parametrize(("name", "options"), [("Adam", {}), ("AdamW", {}), ("RAdam", {}), ("RMSprop", {"momentum": 0.9}),
                                               ("Adadelta", {}), ("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True})])
def test_gradients_are_all_that_is_gathered(name: str, options: dict[str, Any]) -> None:
    for first in (True, False):
        step = both(lambda parameters: getattr(torch.optim, name)(parameters, lr=0.01, **options), first)
        assert operations(step)["dynamic_update_slice"] <= 2 * len(SHAPES), step.graph


def test_one_by_one_where_nothing_is_gained() -> None:
    step = both(lambda parameters: torch.optim.SGD(parameters, lr=0.01), False)
    assert operations(step)["dynamic_update_slice"] == len(SHAPES)
    step = both(lambda parameters: torch.optim.SGD(parameters, lr=0.01), True)  # gradients are written in any case
    assert operations(step)["dynamic_update_slice"] <= len(SHAPES) + 4


def groups(parameters: Sequence[Any]) -> Any:
    return torch.optim.AdamW([{"params": parameters[::2], "weight_decay": 0.1},
                              {"params": parameters[1::2], "weight_decay": 0.0}], lr=0.01)


def test_groups_with_other_options() -> None:
    for first in (True, False):
        step = both(groups, first)
        assert operations(step)["dynamic_update_slice"] <= 2 * len(SHAPES)


class Mixed:
    """Two optimizers for parts of the parameters, a copy of them that is averaged, and some that are frozen."""

    def __init__(self, parameters: Sequence[Any]) -> None:
        self.state: Any = {p: {} for p in parameters}
        parameters[3].requires_grad_(False)
        self.of = [torch.optim.Adam(parameters[:7:2], lr=0.01), torch.optim.SGD(parameters[7:], lr=0.1, momentum=0.5)]
        self.parameters, self.mean = parameters, [p.detach().clone() for p in parameters]
        self.state[parameters[0]] = dict(enumerate(self.mean))

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        torch.nn.utils.clip_grad_norm_([p for p in self.parameters if p.requires_grad], 0.5)
        for optimizer in self.of:
            optimizer.step()
        for mean, p in zip(self.mean, self.parameters):
            mean.lerp_(p.detach(), 0.1)


def test_members_of_several_kinds() -> None:
    both(Mixed, True), both(Mixed, False)


class Lion:
    """Written by hand, with a moment that is made before."""

    def __init__(self, parameters: Sequence[Any]) -> None:
        self.parameters = parameters
        self.state = {p: {"m": torch.zeros_like(p)} for p in parameters}

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        for p in self.parameters:
            m = self.state[p]["m"]
            p.mul_(1 - 0.01 * 0.1).add_((m * 0.9 + p.grad * 0.1).sign_(), alpha=-0.01)
            m.lerp_(p.grad, 0.01)


def test_an_optimizer_of_a_user() -> None:
    for first in (True, False):
        assert operations(both(Lion, first))["dynamic_update_slice"] <= 2 * len(SHAPES)


def test_a_second_program_finds_members_in_the_order_of_the_first() -> None:
    torch.manual_seed(0)
    results = []
    for jit in (lambda f: f, torch.jit):
        with on_numpy():
            torch.manual_seed(0)
            parameters = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
            one, two = groups(parameters), torch.optim.SGD(parameters[::-1], lr=0.1, momentum=0.9)

            def step(optimizer: Any, parameters: Any = parameters) -> Any:
                optimizer.zero_grad()
                sum((p * p).sum() for p in parameters).backward()
                optimizer.step()

            first, second = jit(lambda: step(one)), jit(lambda: step(two))  # noqa: B023
            for _ in range(3):
                first(), second()
            results.append(flat([p.tolist() for p in parameters]))
    assert results[1] == pytest.approx(results[0], rel=1e-5)


def test_the_fewest_rows_are_found() -> None:
    rng = random.Random(1)
    for _ in range(500):
        count = rng.randint(2, 8)
        operands = [[rng.randrange(i + 1, count) for _ in range(rng.randint(0, 3))]
                    if i < count - 1 and rng.random() < 0.75 else None for i in range(count)]
        roots = [rng.randrange(count) for _ in range(rng.randint(1, 4))]
        found = fewest(roots, operands)
        assert separates(found, roots, operands)
        fewer = itertools.combinations(range(count), len(found) - 1) if found else ()
        assert not any(separates(set(some), roots, operands) for some in fewer)


def separates(rows: set[int], roots: Sequence[int], operands: Sequence[Sequence[int] | None]) -> bool:
    waiting = [root for root in roots if root not in rows]
    for row in waiting:
        if operands[row] is None:
            return False
        waiting += [k for k in operands[row] or () if k not in rows and k not in waiting]
    return True
