"""A tensor outside that gets or loses a history between calls: results have the one that they have without jit.

And one that a step writes into with what requires grad: it gets the numbers, and no history of the call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError

# How the tensor is made of a leaf p, and what happens to it between two calls.
CASES: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "copy_": (lambda p: torch.zeros(2), lambda y, p: y.copy_(p * 3)),
    "mul_": (lambda p: torch.ones(2), lambda y, p: y.mul_(p)),
    "of a view": (lambda p: torch.ones(4)[1:3], lambda y, p: y.mul_(p)),
    "of its base": (lambda p: torch.ones(4)[1:3], lambda y, p: y._base.mul_(torch.cat([p, p]))),
    "of a part": (lambda p: torch.ones(2), lambda y, p: y[:1].copy_(p[1:])),
    "of an item": (lambda p: torch.ones(2), lambda y, p: y.__setitem__(0, p[1])),
    "out=": (lambda p: torch.ones(2), lambda y, p: y.copy_(torch.ones(2)).add_(p)),
    "once more": (lambda p: p * 2, lambda y, p: y.mul_(p)),
    "detach_": (lambda p: p * 2, lambda y, p: y.detach_()),
    "detach_ of a leaf": (lambda p: p, lambda y, p: y.detach_()),
    "becomes a leaf": (lambda p: torch.ones(2), lambda y, p: y.requires_grad_()),
    "is one no more": (lambda p: p, lambda y, p: y.requires_grad_(False)),
    "becomes a leaf, detached": (lambda p: p.detach(), lambda y, p: y.requires_grad_()),
    "data": (lambda p: p * 2, lambda y, p: setattr(y, "data", torch.zeros(2))),
    "retain_grad": (lambda p: p * 2, lambda y, p: y.retain_grad()),
    "hook": (lambda p: p * 1, lambda y, p: y.register_hook(lambda g: g * 10)),
    "hook of a leaf": (lambda p: p, lambda y, p: y.register_hook(lambda g: g * 10)),
    "without grad": (lambda p: torch.ones(2), lambda y, p: torch.no_grad()(lambda: y.mul_(p))()),
    "nothing": (lambda p: p * 2, lambda y, p: None)}
HELD: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "variable": (lambda y: y, lambda h: h), "list": (lambda y: [y], lambda h: h[0]),
    "object": (lambda y: SimpleNamespace(y=y), lambda h: h.y)}


def _calls(name: str, held: str, jit: Any) -> tuple[list[Any], Any]:
    (make, change), (hold, read) = CASES[name], HELD[held]
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    y = make(p)
    holder = hold(y)
    step = jit(lambda x: read(holder) * x)
    found: list[Any] = []
    for i in range(4):
        if i == 2:
            change(y, p)
        result = step(torch.tensor(3.0))
        p.grad = None
        if result.requires_grad:
            result.sum().backward(retain_graph=True)
        found.append((result.tolist(), result.requires_grad, None if p.grad is None else p.grad.tolist()))
    return found, step


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("name", CASES)
def test_what_is_read(name: str, held: str) -> None:
    found, step = _calls(name, held, torch.jit)
    assert found == _calls(name, held, lambda f: f)[0]
    assert step.stats.compiles <= 2


@pytest.mark.parametrize("make", [lambda p: torch.ones(2).detach(), lambda p: (p * 2).detach_()])
def test_a_history_beside_the_memory_is_refused(make: Callable[[Any], Any]) -> None:
    """A detached tensor keeps what it was written with for itself; as an argument it is like any other."""
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    y = make(p)
    step = torch.jit(lambda x: y * x)
    assert not step(torch.tensor(3.0)).requires_grad
    y.mul_(p)
    for _ in range(2):
        with pytest.raises(TraceError, match="from outside that was detached, and then written in place"):
            step(torch.tensor(3.0))
    expected = (y * 3).tolist()
    (y * 3).sum().backward(retain_graph=True)  # as before the refusal
    gradient = p.grad.tolist()
    p.grad = None
    result = torch.jit(lambda y, x: y * x)(y, torch.tensor(3.0))
    result.sum().backward()
    assert result.tolist() == expected and p.grad.tolist() == gradient
    y = y.clone()
    assert step(torch.tensor(3.0)).tolist() == expected


def test_one_made_inside_has_its_own() -> None:
    p = torch.tensor([1.0, 2.0], requires_grad=True)

    @torch.jit
    def step(x: Any) -> Any:
        a, b = torch.ones(2).detach(), (p * 2).detach()
        a.mul_(p)
        b.mul_(p)
        (a.sum() * x + b.sum()).backward()
        return a

    assert step(torch.tensor(3.0)).tolist() == [1.0, 2.0] and p.grad.tolist() == [5.0, 7.0]


AVERAGES: dict[str, Callable[[Any], Any]] = {
    "a copy": lambda m: copy.deepcopy(m).requires_grad_(False).weight,
    "a frozen parameter": lambda m: _frozen(m.weight.detach().clone()),
    "a tensor": lambda m: torch.ones(1, 2), "a clone": lambda m: m.weight.detach().clone(),
    "frozen later": lambda m: _frozen_later()}
UPDATES: dict[str, Callable[[Any, Any], Any]] = {
    "lerp_": lambda e, w: e.lerp_(w, 0.5), "mul_ and add_": lambda e, w: e.mul_(0.5).add_(w, alpha=0.5),
    "copy_": lambda e, w: e.copy_(w),
    "a row": lambda e, w: e[0].copy_(w[0]), "an item": lambda e, w: e.__setitem__((0, 1), w[0, 0] * 2),
    "detached": lambda e, w: e.lerp_(w.detach(), 0.5)}


def _frozen(x: Any) -> Any:
    return torch.nn.Parameter(x, requires_grad=False)


def _frozen_later() -> Any:
    return torch.nn.Parameter(torch.ones(1, 2)).requires_grad_(False)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("average", AVERAGES)
def test_an_average_of_weights_without_no_grad(average: str, update: str) -> None:
    """torch's numbers, and one program; the history that torch would keep of each call is none of a compiled step's."""
    (plain, _), (jitted, call) = (_averaged(average, update, compiled) for compiled in (False, True))
    for wanted, got in zip(plain, jitted):
        assert got[0] == pytest.approx(wanted[0], rel=1e-5) and got[1] == pytest.approx(wanted[1], rel=1e-5)
    assert call.stats.compiles == 1, call.why()


def _averaged(average: str, update: str, compiled: bool) -> tuple[list[Any], Any]:
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(1.0), model.bias.fill_(0.0)
    kept, optimizer = AVERAGES[average](model), torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Any) -> Any:
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        UPDATES[update](kept, model.weight)
        return loss

    call = torch.jit(step) if compiled else step
    return [(call(torch.ones(3, 2)).item(), kept.flatten().tolist()) for _ in range(4)], call
