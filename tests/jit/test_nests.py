"""Containers that a step binds anew where their like was: state, whose leaves are inputs of the program."""

from __future__ import annotations

import dataclasses
import functools
import gc
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import flambeau as torch
from flambeau import nn

pytestmark = pytest.mark.usefixtures("numpy_engine")


class Pair(NamedTuple):
    """Two leaves."""

    h: Any
    c: Any


@dataclasses.dataclass
class Record:
    """Two leaves."""

    h: Any
    c: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    """Two leaves."""

    h: Any
    c: Any


class Box:
    """Where something may be."""

    def __init__(self, v: Any) -> None:
        self.v = v


HELD: Any = None
Access = tuple[Callable[[], Any], Callable[[Any], None]]


def _cell(v: Any) -> Access:
    def get() -> Any:
        return v

    def put(new: Any) -> None:
        nonlocal v
        v = new

    return get, put


def _global(v: Any) -> Access:
    def put(new: Any) -> None:
        global HELD
        HELD = new

    put(v)
    return lambda: HELD, put


def _attribute(holder: Any, v: Any) -> Access:
    holder.v = v
    return lambda: holder.v, lambda new: setattr(holder, "v", new)


def _entry(holder: Any, key: Any, v: Any) -> Access:
    holder[key] = v
    return lambda: holder[key], lambda new: holder.__setitem__(key, new)


PLACES: dict[str, Callable[[Any], Access]] = {
    "attribute": lambda v: _attribute(Box(None), v), "module": lambda v: _attribute(type("Holding", (nn.Module,), {})(), v),
    "class": lambda v: _attribute(type("Kept", (Box,), {}), v), "entry": lambda v: _entry({"other": 1}, "v", v),
    "item": lambda v: _entry([None, None], 1, v), "closure": _cell, "global": _global}
CONTAINERS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], tuple[Any, Any]]]] = {
    "tuple": (lambda h, c: (h, c), lambda x: (x[0], x[1])), "list": (lambda h, c: [h, c], lambda x: (x[0], x[1])),
    "dict": (lambda h, c: {"h": h, "c": c}, lambda x: (x["h"], x["c"])), "named tuple": (Pair, lambda x: (x.h, x.c)),
    "dataclass": (Record, lambda x: (x.h, x.c)), "frozen": (Frozen, lambda x: (x.h, x.c)),
    "deque": (lambda h, c: deque([h, c], maxlen=3), lambda x: (x[0], x[1])),
    "ordered": (lambda h, c: OrderedDict(h=h, c=c), lambda x: (x["h"], x["c"])),
    "nested": (lambda h, c: {"s": (h, [c]), "name": "x"}, lambda x: (x["s"][0], x["s"][1][0]))}
CONTENTS: dict[str, tuple[Callable[[], tuple[Any, Any]], Callable[[Any, Any, Any], tuple[Any, Any]]]] = {
    "tensors": (lambda: (torch.zeros(2), torch.ones(2)), lambda x, h, c: (h + x, c * 0.5 + h)),
    "numbers": (lambda: (0, 0.5), lambda x, h, c: (h + 1, c * 0.5)),
    "both": (lambda: (torch.zeros(2), 3), lambda x, h, c: (h * 0.5 + x * c, c + 1))}


def plain(x: Any) -> Any:
    """Values, with the kinds of containers."""
    if isinstance(x, torch.Tensor):
        return x.tolist()
    if isinstance(x, dict):
        return type(x).__name__, [(k, plain(v)) for k, v in x.items()]
    if dataclasses.is_dataclass(x):
        return type(x).__name__, plain(vars(x))
    return (type(x).__name__, [plain(v) for v in x]) if isinstance(x, (list, tuple, deque)) else (type(x).__name__, x)


def calls(content: str, container: str, place: str, compiled: bool) -> tuple[list[Any], int]:
    """What six calls give and leave; before the fifth the user puts another container there."""
    (start, update), (make, take) = CONTENTS[content], CONTAINERS[container]
    get, put = PLACES[place](make(*start()))

    def f(x: Any) -> Any:
        h, c = update(x, *take(get()))
        put(make(h, c))
        return x * h + c

    step = torch.jit(f) if compiled else f
    found = []
    for i in range(6):
        if i == 4:
            put(make(*update(torch.full((2,), 7.0), *take(get()))))
        found += [plain(step(torch.full((2,), float(i)))), plain(get())]
    return found, step.stats.compiles if compiled else 0


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("content", CONTENTS)
def test_one_program(content: str, container: str, place: str) -> None:
    """For all calls."""
    expected, _ = calls(content, container, place, False)
    found, compiles = calls(content, container, place, True)
    assert found == expected and compiles == 1


def check(make: Callable[[], tuple[Callable[..., Any], Callable[[], Any]]], compiles: int | None,
          given: Callable[[int], Any] = lambda i: torch.full((1,), float(i))) -> None:
    """A step, and what it leaves, with jit as without it."""
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        f, state = make()
        step = torch.jit(f) if compiled else f
        results.append([(plain(step(given(i))), plain(state())) for i in range(6)])
    assert results[0] == results[1] and compiles in (None, step.stats.compiles)


@pytest.mark.filterwarnings("ignore:f leaves a tensor outside:UserWarning")
def test_hidden_state_of_an_lstm() -> None:
    """Also where it comes with a history, that ends in the place."""
    for inside in (True, False):
        def make(inside: bool = inside) -> Any:
            box, cell = Box((torch.zeros(1, 2), torch.zeros(1, 2))), nn.LSTMCell(2, 2)

            def f(x: Any) -> Any:
                h, c = cell(x, tuple(t.detach() for t in box.v) if inside else box.v)
                box.v = (h, c) if inside else (h.detach(), c.detach())
                return h.sum().detach()

            return f, lambda: box.v

        check(make, 1, lambda i: torch.full((1, 2), float(i)))


@pytest.mark.filterwarnings("ignore:f leaves a tensor outside:UserWarning")
def test_hidden_state_that_is_detached_where_it_is_used() -> None:
    """The handle that `detach()` makes in the step is no other tensor outside."""
    def make() -> Any:
        box, cell = Box(torch.zeros(1, 2)), nn.GRUCell(2, 2)

        def f(x: Any) -> Any:
            box.v = cell(x, box.v.detach())
            return box.v.sum().detach()

        return f, lambda: box.v

    check(make, 1, lambda i: torch.full((1, 2), float(i)))


def test_a_window_that_moves_on() -> None:
    """Tensors that were there before are in other places, and the last one is the argument itself."""
    def make() -> Any:
        box = Box([torch.zeros(1), torch.ones(1), torch.full((1,), 2.0)])

        def f(x: Any) -> Any:
            box.v = [*box.v[1:], x]
            return torch.stack(box.v).sum()

        return f, lambda: box.v

    check(make, 1)
    box = Box(torch.zeros(1))

    def follows(x: Any) -> Any:
        before, box.v = box.v, x
        return x - before

    step, x = torch.jit(follows), torch.ones(1)
    assert step(x).item() == 1 and box.v is x
    assert [step(torch.full((1,), v)).item() for v in (3.0, 4.0)] == [2, 1] and step.stats.compiles == 1
    assert [step(x).item(), step(x).item(), step(x).item()] == [-3, 0, 0]  # what is given is what is there


def test_what_was_there_leaves_the_step() -> None:
    """It is what the call found."""
    box = Box([torch.zeros(1), 1])

    def f(x: Any) -> Any:
        old = box.v
        box.v = [old[0] + x, old[1] + 1]
        return old, old[0]

    step = torch.jit(f)
    for n in range(1, 5):
        before = box.v
        old, first = step(torch.ones(1))
        assert old is before and first is before[0] and plain(box.v) == ("list", [[float(n)], ("int", n + 1)])
    assert step.stats.compiles == 1


def test_places_that_exchange_what_they_hold() -> None:
    """A container moves from one to the other."""
    def make() -> Any:
        a, b = Box([torch.zeros(1), 1]), Box([torch.ones(1), 5])

        def f(x: Any) -> Any:
            a.v, b.v = [b.v[0] + x, b.v[1] + 1], a.v
            return a.v[0] * b.v[1]

        return f, lambda: (a.v, b.v)

    check(make, 1)


@pytest.mark.parametrize("kind", ["list", "tuple", "dataclass", "tensor"])
def test_known_another_way(kind: str) -> None:
    """What a tuple or a partial function holds too stays what it is there."""
    make, take = CONTAINERS.get(kind, (lambda h, c: h, lambda x: (x, 1)))

    for hold in ("partial", "tuple"):
        def step(hold: str = hold) -> Any:
            box = Box(make(torch.ones(1), 1))
            other = functools.partial(lambda held, x: x * take(held)[0] * take(held)[1], box.v)
            pair = (box.v,)

            def f(x: Any) -> Any:
                box.v = make(take(box.v)[0] + 1, take(box.v)[1] + 1)
                return other(x) if hold == "partial" else x * take(pair[0])[0] * take(pair[0])[1]

            return f, lambda: box.v

        check(step, None, lambda i: torch.ones(1))


def test_written_in_place_as_well() -> None:
    """What was there before is written, too."""
    def make() -> Any:
        box = Box([torch.ones(1), 1])
        first = box.v

        def f(x: Any) -> Any:
            box.v[1] += 1
            box.v = [box.v[0] + x, box.v[1]]
            return x * box.v[1]

        return f, lambda: (box.v, first)

    check(make, None)


def test_another_structure_is_another_program() -> None:
    """And so is a tensor that is elsewhere, too."""
    box = Box((torch.zeros(1), 1))
    weight = torch.ones(1)

    def f(x: Any) -> Any:
        weight.add_(1)
        box.v = (*(v * 1 for v in box.v[:-1]), box.v[-1] + 1)
        return x * box.v[0] + box.v[-1] + weight

    step = torch.jit(f)
    assert [step(torch.ones(1)).item() for _ in range(3)] == [4, 6, 8] and step.stats.compiles == 1
    box.v = (torch.ones(1), torch.ones(1), 7)
    assert step(torch.ones(1)).item() == 14 and step.stats.compiles == 2
    box.v = (weight, 0)
    assert step(torch.ones(1)).item() == 13


def test_a_number_that_is_not_used_is_not_compared() -> None:
    """In a dict or a list that the step reads something else of."""
    table, items, box = {"n": 0, "lr": 0.5}, [0, 0.5], Box((0, 0.5))
    steps = [torch.jit(lambda x: x * table["lr"]), torch.jit(lambda x: x * items[1]), torch.jit(lambda x: x * box.v[1])]
    for n in range(8):
        table["n"], items[0], box.v = n, n, (n, 0.5)
        assert [step(torch.ones(1)).item() for step in steps] == [0.5] * 3
    assert [step.stats.compiles for step in steps] == [2, 2, 2]
    table["n"] = None  # type: ignore[assignment]
    steps[0](torch.ones(1))
    assert steps[0].stats.compiles == 3


def test_two_steps_share_a_table() -> None:
    """Each counts under a key of its own."""
    table = {"a": 0, "b": 0, "lr": 0.5}

    def counting(key: str) -> Any:
        def f(x: Any) -> Any:
            table[key] += 1
            return x * table["lr"] + table[key]
        return torch.jit(f)

    a, b = counting("a"), counting("b")
    assert [(a(torch.ones(1)).item(), b(torch.ones(1)).item()) for _ in range(6)] == [(n + 1.5, n + 1.5) for n in range(6)]
    assert a.stats.compiles == b.stats.compiles == 2


def test_a_number_that_is_only_written_may_change_its_type() -> None:
    """Nobody asks for it."""
    box = Box(0)

    def f(x: Any, rate: float) -> Any:
        box.v = rate * 0.5
        return x * rate

    step = torch.jit(f)
    assert [step(torch.ones(1), float(i)).item() for i in range(3)] == [0, 1, 2] and step.stats.compiles == 1 and box.v == 1.0


def test_state_is_not_kept() -> None:
    """Neither what the first call found nor what the latest left."""
    box = Box((torch.zeros(1), [torch.zeros(1)]))

    def f(x: Any) -> Any:
        box.v = (box.v[0] + x, [box.v[1][0] + x])
        return x * 2

    step, known = torch.jit(f), [weakref.ref(box.v[0]), weakref.ref(box.v[1][0])]
    for _ in range(3):
        step(torch.ones(1))
        known += [weakref.ref(box.v[0]), weakref.ref(box.v[1][0])]
    box.v = None
    gc.collect()
    assert all(ref() is None for ref in known) and step.stats.compiles == 1


def test_an_argument_that_is_outside_at_every_other_call() -> None:
    """What the step binds anew in it is state there as well."""
    a, b = Box(torch.ones(1)), Box(torch.full((1,), 10.0))

    def f(x: Any, q: Any) -> Any:
        q.v = q.v + x
        return q.v + a.v

    step = torch.jit(f)
    found = [step(torch.ones(1), (a, b)[i % 2]).item() for i in range(12)]
    assert found == [v for i in range(6) for v in (2 * (i + 2), 11 + i + i + 2)] and step.stats.compiles <= 3


FORMS: dict[str, Callable[[Any], Any]] = {
    "tensor": lambda y: y, "list": lambda y: [y], "dict": lambda y: {"h": y}, "Record": lambda y: Record(y, y),
    "deep": lambda y: {"h": [(y,)]}}
INSTEAD: list[Callable[[], Any]] = [lambda: None, list, lambda: ({}, 1), lambda: {"c": 1}]


@pytest.mark.parametrize("name", ["v", "other"])
@pytest.mark.parametrize("second", FORMS)
@pytest.mark.parametrize("first", FORMS)
def test_a_tensor_in_two_places_one_of_which_gets_something_else(first: str, second: str, name: str) -> None:
    """Between calls, whatever led to the tensor there: the step starts anew, as after a reset."""

    def world() -> tuple[Box, Callable[[Any], Any]]:
        box, told = Box(None), FORMS
        box.other = None  # type: ignore[attr-defined]

        def step(x: Any) -> Any:
            y = x + (box.v is None) + (box.other is None)  # type: ignore[attr-defined]
            box.v, box.other = told[first](y), told[second](y)  # type: ignore[attr-defined]
            return y * 2

        return box, step

    (plain, function), (box, step) = world(), world()
    jitted = torch.jit(step)
    for k, made in enumerate(INSTEAD, 1):
        for _ in range(2):
            assert jitted(torch.ones(2) * k).tolist() == function(torch.ones(2) * k).tolist()
            assert str(vars(box)) == str(vars(plain))
        setattr(box, name, made())
        setattr(plain, name, made())


def _begins(b: Box) -> None:
    b.w.grad = None  # type: ignore[attr-defined]


def _begins_seldom(b: Box) -> None:
    if b.calls % 2:  # type: ignore[attr-defined]
        _begins(b)


def _another(b: Box) -> None:
    b.w.grad = torch.ones(2)  # type: ignore[attr-defined]


def _reset(b: Box) -> None:
    b.v = None


def _own(b: Box) -> None:
    b.v = type(b.v)(torch.ones(2) for _ in b.v) if type(b.v) in (tuple, list) else torch.ones(2)


@pytest.mark.filterwarnings("ignore::flambeau.tracer.jit.why.RetraceWarning")
@pytest.mark.parametrize("between", [lambda b: None, _begins, _begins_seldom, _another, _reset, _own])
@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("form", [lambda y: y, lambda y: [y]])
def test_a_gradient_that_a_step_leaves(form: Any, there: bool, inside: bool, read: bool, between: Callable[[Box], None]) -> None:
    """What is there at a call is the `.grad` or is another tensor; adding to the `.grad` tells them apart."""

    def world() -> tuple[Box, Callable[[Any], Any]]:
        box = Box(None)
        box.w, box.calls = torch.ones(2).requires_grad_(), 0  # type: ignore[attr-defined]
        if there:
            _another(box)
            box.v = form(box.w.grad)  # type: ignore[attr-defined]

        def step(x: Any) -> Any:
            if inside:
                box.w.grad = None  # type: ignore[attr-defined]
            (box.w * x).sum().backward()  # type: ignore[attr-defined]
            y = x + sum(torch.utils._pytree.tree_leaves(box.v)) if read and box.v is not None else x
            box.v = form(box.w.grad)  # type: ignore[attr-defined]
            return y

        return box, step

    def known(b: Box) -> Any:
        left = torch.utils._pytree.tree_leaves(b.v)
        return str(b.v), str(b.w.grad), [t is b.w.grad for t in left]  # type: ignore[attr-defined]

    (plain, function), (box, step) = world(), world()
    jitted = torch.jit(step)
    for k in range(7):
        assert jitted(torch.ones(2) * k).tolist() == function(torch.ones(2) * k).tolist()
        assert known(box) == known(plain)
        for b in (box, plain) if k > 2 else ():
            between(b)
            b.calls += 1  # type: ignore[attr-defined]
    assert jitted.stats.compiles <= 4 or not isinstance(plain.v, torch.Tensor), jitted.why()
