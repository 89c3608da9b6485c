"""Where a step forgets its gradients: at its start, PyTorch's commonest order, or at its end; and who holds them meanwhile."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.tensor import packs


def training(place: str, layers: int, jitted: bool) -> tuple[Any, Any, Any]:
    """A model, its optimizer and a step that calls zero_grad `first`, `last` or `by hand` at the start."""
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(layers)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x: Any) -> Any:
        if place == "first":
            optimizer.zero_grad()
        elif place == "by hand":
            for p in model.parameters():
                p.grad = None
        elif place == "model":
            model.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        if place == "last":
            optimizer.zero_grad()
        return loss

    return model, optimizer, torch.jit(step) if jitted else step


X = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]])


@pytest.mark.parametrize("layers", [1, 6], ids=["loose", "packed"])
@pytest.mark.parametrize("place", ["first", "last", "by hand", "model"])
def test_one_trace_wherever_gradients_are_forgotten(place: str, layers: int) -> None:
    model, _, step = training(place, layers, True)
    other, _, eager = training(place, layers, False)
    for _ in range(5):
        assert step(X).item() == pytest.approx(eager(X).item(), rel=1e-5)
    assert step.stats.compiles == 1, step.why()
    for p, q in zip(model.parameters(), other.parameters()):
        assert (p.grad is None) == (place == "last")
        if p.grad is not None:
            assert p.grad.flatten().tolist() == pytest.approx(q.grad.flatten().tolist(), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("layers", [1, 6], ids=["loose", "packed"])
def test_a_gradient_that_is_held_keeps_what_it_was(layers: int) -> None:
    model, _, step = training("first", layers, True)
    step(X)
    held, views = [p.grad for p in model.parameters()], [p.grad.detach() for p in model.parameters()]
    before = [g.tolist() for g in held]
    step(X)
    assert [g.tolist() for g in held] == before and [g.tolist() for g in views] == before
    assert all(p.grad is not g for p, g in zip(model.parameters(), held))
    assert [p.grad.tolist() for p in model.parameters()] != before
    del held, views
    step(X)
    assert step.stats.compiles == 1


@pytest.mark.parametrize("layers", [1, 6], ids=["loose", "packed"])
def test_gradients_may_be_changed_and_forgotten_between_calls(layers: int) -> None:
    model, optimizer, step = training("first", layers, True)
    other, forget, eager = training("first", layers, False)
    for k in range(6):
        step(X), eager(X)
        for net, opt in ((model, optimizer), (other, forget)):
            grads = [p.grad for p in net.parameters()]
            if k == 1:
                grads[0].mul_(2.0)
            if k == 2:
                opt.zero_grad()
            if k == 3:
                next(net.parameters()).grad = torch.ones(3, 3)
            if k == 4:
                nn.utils.clip_grad_norm_(net.parameters(), 0.01)
    assert step.stats.compiles == 1, step.why()
    for p, q in zip(model.parameters(), other.parameters()):
        assert p.flatten().tolist() == pytest.approx(q.flatten().tolist(), rel=1e-4, abs=1e-7)
        assert p.grad.flatten().tolist() == pytest.approx(q.grad.flatten().tolist(), rel=1e-4, abs=1e-7)


def test_what_forgets_gradients_without_reading_them_does_not_depend_on_them() -> None:
    w = torch.ones(2, requires_grad=True)

    @torch.jit
    def forget() -> None:
        w.grad = None

    w.grad = torch.ones(2)
    forget()
    assert w.grad is None
    forget()
    w.grad = torch.zeros(2)
    forget()
    assert w.grad is None and forget.stats.compiles == 1


def test_a_failing_step_leaves_gradients_as_they_were() -> None:
    model, optimizer, _ = training("first", 6, True)
    fail = [True]

    @torch.jit
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        if fail[0]:
            raise ValueError("half way")
        optimizer.step()
        return loss

    model(X).sum().backward()
    before = [p.grad for p in model.parameters()]
    with pytest.raises(ValueError, match="half way"):
        step(X)
    assert all(p.grad is g for p, g in zip(model.parameters(), before))
    fail[0] = False
    step(X)
    assert all(p.grad is not g for p, g in zip(model.parameters(), before))


class Box:
    """Somewhere to keep a gradient."""

    kept: Any = None


BOX = Box()


def _in_a_list(p: Any) -> Any:
    kept: list[Any] = []

    @torch.jit
    def keep() -> None:
        kept.append(p.grad)

    keep()
    return kept[0]


def _in_an_attribute(p: Any) -> Any:
    @torch.jit
    def keep() -> None:
        BOX.kept = p.grad

    keep()
    return BOX.kept


def _as_another_gradient(p: Any) -> Any:
    q = torch.zeros_like(p).requires_grad_()

    @torch.jit
    def keep() -> None:
        q.grad = p.grad

    keep()
    return q.grad


# What is held, given the leaf: each a way to come to its gradient, or to the memory of it.
HOLDERS: dict[str, Any] = {
    "itself": lambda p: p.grad,
    "detached": lambda p: p.grad.detach(),
    "its data": lambda p: p.grad.data,
    "a row": lambda p: p.grad[0],
    "turned": lambda p: p.grad.t(),
    "flat": lambda p: p.grad.view(-1),
    "as an array": lambda p: p.grad.numpy(),
    "through dlpack": lambda p: torch.from_dlpack(p.grad),
    "what is pending": lambda p: p.grad * 1.0,
    "a result": lambda p: torch.jit(lambda: p.grad)(),
    "in a result": lambda p: torch.jit(lambda: {"gradients": [p.grad]})()["gradients"][0],
    "a row of a result": lambda p: torch.jit(lambda: p.grad[0])(),
    "a detached result": lambda p: torch.jit(lambda: p.grad.detach())(),
    "of an argument": lambda p: torch.jit(lambda p: p.grad)(p),
    "a row of an argument's": lambda p: torch.jit(lambda p: p.grad[0])(p),
    "what a step computes": lambda p: torch.jit(lambda: p.grad * 1.0)(),
    "what a step put into a list": _in_a_list,
    "what a step set": _in_an_attribute,
    "as another's gradient": _as_another_gradient,
}


@pytest.mark.parametrize("count", [1, 6], ids=["loose", "packed"])
@pytest.mark.parametrize("holder", HOLDERS)
def test_whoever_holds_a_gradient_keeps_it(holder: str, count: int) -> None:
    """Whichever way somebody came to it, the next call of the step that left it behind leaves another one."""
    leaves = [torch.zeros(3, 2, requires_grad=True) for _ in range(count)]

    @torch.jit
    def step(factor: Any) -> None:
        for p in leaves:
            p.grad = None
        sum((p * factor).sum() for p in leaves).backward()

    step(torch.tensor(1.0))
    for factor in (2.0, 3.0, 4.0):
        step(torch.tensor(factor))
        held = HOLDERS[holder](leaves[0])
        step(torch.tensor(-1.0))
        assert set(torch.as_tensor(held).flatten().tolist()) == {factor}
        assert all(p.grad.tolist() == [[-1.0, -1.0]] * 3 for p in leaves)
    assert step.stats.compiles == 1


# What a step takes of the gradient that it finds, before it leaves another one there.
TAKEN: dict[str, Any] = {
    "itself": lambda p: p.grad, "detached": lambda p: p.grad.detach(), "its data": lambda p: p.grad.data,
    "a row": lambda p: p.grad[0], "turned": lambda p: p.grad.t(), "flat": lambda p: p.grad.view(-1),
    "a copy": lambda p: p.grad.clone(), "computed": lambda p: p.grad * 1.0, "in a dictionary": lambda p: {"g": [p.grad]}["g"][0],
    "whether there is one": lambda p: torch.ones(1) * (p.grad is not None), "written": lambda p: p.grad.mul_(2.0),
    "kept outside": lambda p: setattr(BOX, "kept", p.grad) or p.grad * 0.0,
    "a row kept outside": lambda p: setattr(BOX, "kept", p.grad[0]) or p.grad * 0.0}


@pytest.mark.parametrize("count", [1, 6], ids=["loose", "packed"])
@pytest.mark.parametrize("taken", TAKEN)
def test_a_gradient_that_the_step_takes_lives_on_beside_the_new_one(taken: str, count: int) -> None:
    def run(compiled: bool) -> list[Any]:
        BOX.kept = None
        leaves = [torch.zeros(3, 2, requires_grad=True) for _ in range(count)]
        sum((p * 0.5).sum() for p in leaves).backward()

        def step(factor: Any) -> Any:
            old = [TAKEN[taken](p) for p in leaves]
            for p in leaves:
                p.grad = None
            sum((p * factor).sum() for p in leaves).backward()
            return old

        call, found, held = torch.jit(step) if compiled else step, [], []
        for factor in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
            result = call(torch.tensor(factor))
            if factor > 3:
                held.append((result, BOX.kept))
            found.append((result[0].tolist(), leaves[0].grad.tolist()))
            del result
        return [found, [(old[0].tolist(), None if kept is None else kept.tolist()) for old, kept in held]]

    assert run(True) == run(False)


@pytest.mark.parametrize("count", [2, 6], ids=["loose", "packed"])
@pytest.mark.parametrize("copied", [True, False], ids=["a copy", "itself"])
def test_two_backwards_with_what_was_there_added(count: int, copied: bool) -> None:
    leaves = [torch.zeros(3, requires_grad=True) for _ in range(count)]

    @torch.jit
    def step(k: Any) -> None:
        sum((p * k).sum() for p in leaves).backward()
        before = [p.grad * 1.0 if copied else p.grad for p in leaves]
        for p in leaves:
            p.grad = None
        sum((p * 100 * k).sum() for p in leaves).backward()
        for p, gradient in zip(leaves, before):
            p.grad.add_(gradient)

    found = []
    for k in (1.0, 2.0, 3.0, 4.0):
        step(torch.tensor(k))
        found.append(leaves[-1].grad.tolist()[0])
    assert found == [101.0, 303.0, 606.0, 1010.0]


@pytest.mark.parametrize("given", ["frozen", "never a leaf", "in a list", "a leaf"])
def test_the_gradient_of_an_argument_is_there(given: str) -> None:
    p = torch.ones(3, requires_grad=given in ("frozen", "a leaf"))
    p.grad = torch.full((3,), 2.0)
    if given == "frozen":
        p.requires_grad_(False)
    step = torch.jit(lambda p: (p.grad is None, p.grad * 2.0))
    asks, sets = torch.jit(lambda p: p.grad is None), torch.jit(lambda p: p.grad.zero_())
    if given == "in a list":
        step, asks, sets = (torch.jit(lambda ps, f=f: f(ps[0])) for f in (step, asks, sets))
    argument = [p] if given == "in a list" else p
    for _ in range(3):
        assert not asks(argument)
        missing, twice = step(argument)
        assert not missing and twice.tolist() == [4.0] * 3 and p.grad.tolist() == [2.0] * 3
    sets(argument)
    assert p.grad.tolist() == [0.0] * 3


class Shelf:
    """What is held of a gradient, and what it was."""

    def __init__(self) -> None:
        self.held: list[tuple[Any, list[float]]] = []

    def put(self, x: Any) -> None:
        self.held.append((x, torch.as_tensor(x).flatten().tolist()))

    def unchanged(self) -> bool:
        return all(torch.as_tensor(x).flatten().tolist() == before for x, before in self.held)


def leaving_a_large_gradient() -> tuple[Any, Any]:
    """A leaf, and a step that leaves it a gradient in a buffer of its own: its argument, in each place."""
    p = torch.zeros(80, 80, requires_grad=True)

    @torch.jit
    def step(x: Any) -> None:
        p.grad = None
        (p * x).sum().backward()

    return p, step


# What happens to a gradient between two calls, and whether the next one can write into the memory of it.
BETWEEN: dict[str, tuple[Any, bool]] = {
    "nothing": (lambda p, shelf: None, True),
    "looked at": (lambda p, shelf: p.grad, True),
    "its norm": (lambda p, shelf: p.grad.norm().item(), True),
    "forgotten": (lambda p, shelf: setattr(p, "grad", None), True),
    "another one set": (lambda p, shelf: setattr(p, "grad", torch.ones_like(p)), True),
    "written": (lambda p, shelf: p.grad.mul_(2.0), True),
    "kept": (lambda p, shelf: shelf.put(p.grad), False),
    "kept and forgotten": (lambda p, shelf: [shelf.put(p.grad), setattr(p, "grad", None)], False),
    "kept as an array": (lambda p, shelf: shelf.put(p.grad.numpy()), False),
    "kept in part": (lambda p, shelf: shelf.put(p.grad[0]), False),
    "another step": (lambda p, shelf: torch.jit(lambda p: p.grad.sum())(p).item(), True),
}


@pytest.mark.parametrize("between", BETWEEN)
def test_a_large_gradient_is_written_where_the_last_one_was(between: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory is asked for in later calls, also of programs that come to be for other shapes of the batch."""
    change, free = BETWEEN[between]
    p, step = leaving_a_large_gradient()
    shelf, room, zeros = Shelf(), [], np.zeros
    for calls, sizes in enumerate([(1, 80)] * 3 + [(80, 80)] * 3 + [(1, 80), (80, 80)] * 2):
        room.clear()
        with monkeypatch.context() as watched:
            watched.setattr(packs.np, "zeros", lambda *args: room.append(args) or zeros(*args))
            step(torch.full(sizes, float(calls)))
        assert p.grad.sum().item() == 6400.0 * calls and shelf.unchanged()
        assert bool(room) == (not calls or not free)
        change(p, shelf)
    assert step.stats.compiles == 2
    assert step.program.memory()["alias"] == 4 * 6400


def test_leaves_of_one_memory_have_gradients_of_their_own() -> None:
    p = torch.zeros(80, 80, requires_grad=True)
    q = p.detach().requires_grad_()

    @torch.jit
    def step(x: Any) -> None:
        p.grad = q.grad = None
        (p * x + q * 3.0 * x).sum().backward()

    shelf = Shelf()
    for factor in (1.0, 2.0, 3.0, 4.0, 5.0):
        step(torch.tensor(factor))
        assert p.grad.sum().item() == 6400.0 * factor and q.grad.sum().item() == 3 * 6400.0 * factor
        assert shelf.unchanged()
        shelf.put(q.grad)
        if factor == 2.0:
            q.grad = None
        if factor == 3.0:
            q.grad.mul_(1.0)
            p.grad = None


def test_the_memory_is_given_back_with_the_step() -> None:
    p, step = leaving_a_large_gradient()
    step(torch.tensor(1.0))
    memory = weakref.ref(p.grad._storage.value.buffer)
    p.grad = None
    assert memory() is not None
    del step
    gc.collect()
    assert memory() is None


# What became of a gradient before a run that fails half way, and the sum of it after that; None where it is lost.
BEFORE_A_FAILURE: dict[str, tuple[Any, float | None]] = {
    "as it was left": (lambda p: None, None),
    "looked at": (lambda p: p.grad, None),
    "forgotten": (lambda p: setattr(p, "grad", None), 0.0),
    "another one set": (lambda p: setattr(p, "grad", torch.ones(80, 80)), 6400.0),
    "one set that is pending": (lambda p: setattr(p, "grad", torch.ones(80, 80) @ torch.ones(80, 80)), 80.0 * 6400),
    "one set of an array": (lambda p: setattr(p, "grad", torch.from_numpy(np.ones((80, 80), np.float32))), 6400.0),
    "one set of a pack": (lambda p: setattr(p, "grad", packed_gradient(p)), 6400.0),
    "written, which is pending": (lambda p: p.grad.add_(torch.ones(80, 80) @ torch.ones(80, 80)), 82.0 * 6400),
}


def packed_gradient(p: Any) -> Any:
    """A tensor whose contents lie in a flat buffer, in the shape of p."""
    parameters = [torch.full((40,), 2.0, requires_grad=True) for _ in range(6)]
    optimizer = torch.optim.SGD(parameters, lr=1.0)

    @torch.jit
    def step() -> None:
        optimizer.zero_grad()
        sum(q.sum() for q in parameters).backward()
        optimizer.step()

    step()
    return parameters[0].detach()[0].expand(80, 80)


@pytest.mark.parametrize("before", BEFORE_A_FAILURE)
def test_a_gradient_that_a_failing_run_wrote_over_says_so(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other gradient is as it was; the error is that of the run."""
    change, expected = BEFORE_A_FAILURE[before]
    p, step = leaving_a_large_gradient()
    step(torch.tensor(1.0))
    step(torch.tensor(2.0))
    change(p)
    run = type(step.program).run

    def fails(self: Any, buffers: list[Any]) -> Any:
        run(self, buffers)
        raise RuntimeError("lost half way")

    with monkeypatch.context() as broken:
        broken.setattr(type(step.program), "run", fails)
        with pytest.raises(RuntimeError, match="lost half way"):
            step(torch.tensor(3.0))
    if expected is None:
        with pytest.raises(RuntimeError, match="failed while it ran, after the buffer was donated"):
            p.grad.sum().item()
    else:
        assert (0.0 if p.grad is None else p.grad.sum().item()) == expected
    step(torch.tensor(4.0))
    assert p.grad.sum().item() == 4 * 6400.0
