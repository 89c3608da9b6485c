"""Lists and deques of which each call appends to another one: nothing depends on those beside, unless code reads them."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

pytestmark = pytest.mark.usefixtures("numpy_engine")


def plain(x: Any) -> Any:
    """Values, with the kinds of containers."""
    if isinstance(x, torch.Tensor):
        return x.tolist()
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, SimpleNamespace):
        return plain(vars(x))
    return (type(x).__name__, [plain(v) for v in x]) if isinstance(x, (list, tuple, deque)) else x


def _and(x: Any, *did: Any) -> Any:
    return x


KINDS: dict[str, Callable[[], Any]] = {
    "list": list, "deque": deque, "deque with a bound": partial(deque, maxlen=2), "deque of nothing": partial(deque, maxlen=0),
    "list with items": partial(list, [1, 2, 3]), "deque with items": partial(deque, [1, 2, 3], 3),
    "deque that gets full": partial(deque, [1, 2], 3), "deque of one thing": partial(deque, [True] * 3, 3)}
HOLDERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, str, Any], Any]]] = {  # what holds them, and how a call appends
    "dict": (lambda make: {"a": make(), "b": make(), "c": make()}, lambda h, k, v: h[k].append(v)),
    "object": (lambda make: SimpleNamespace(a=make(), b=make(), c=make()), lambda h, k, v: getattr(h, k).append(v)),
    "nested": (lambda make: {k: {"loss": make(), "n": 0} for k in "abc"}, lambda h, k, v: h[k]["loss"].append(v)),
    "list": (lambda make: [make(), make(), make()], lambda h, k, v: h["abc".index(k)].append(v)),
    "made on first use": (lambda make: defaultdict(make), lambda h, k, v: h[k].append(v)),
    "with other things": (lambda make: {"a": make(), "b": make(), "c": make(), "n": 1}, lambda h, k, v: h[k].extend([v, h["n"]]))}


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_call_appends_to_another(kind: str, holder: str, given: bool) -> None:
    """As many programs as there are lists; up to three times as many if the first call makes the list."""
    hold, append = HOLDERS[holder]
    held, wanted = hold(KINDS[kind]), hold(KINDS[kind])
    step = torch.jit(lambda x, key, held: _and(x, append(held, key, x * 2))) if given else (
        torch.jit(lambda x, key: _and(x, append(held, key, x * 2))))
    for i, key in enumerate("abcaabbccabcabcbca"):
        x = torch.full((1,), float(i))
        step(x, key, held) if given else step(x, key)
        append(wanted, key, x * 2)
        assert plain(held) == plain(wanted)
        if i == 11:
            before = step.stats.compiles
    assert step.stats.compiles == before <= 9


DEQUES: dict[str, Callable[[Any, Any], Any]] = {  # after something was appended
    "len": lambda q, x: x * len(q), "sum": lambda q, x: x * sum(q), "left": lambda q, x: _and(x, q.appendleft(x * 2)),
    "more at the left": lambda q, x: _and(x, q.extendleft([1, x * 2])), "first": lambda q, x: x + q[0],
    "popped": lambda q, x: _and(x, q.append(x)) * q.popleft(), "turned": lambda q, x: _and(x, q.append(x * 1), q.rotate(1)),
    "copied": lambda q, x: (x, copy.copy(q)), "its copy": lambda q, x: (x, q.copy()),
    "deep copy": lambda q, x: (x, copy.deepcopy(q)), "text": lambda q, x: (x, str(q)), "equal": lambda q, x: (x, q == deque([1])),
    "unpacked": lambda q, x: (x, (*q,)),
    "joined": lambda q, x: (x, q + deque([2]), deque([2]) + q), "of it": lambda q, x: (x, list(q), tuple(q), set(q)),
    "in it": lambda q, x: (x, 100 in q), "backwards": lambda q, x: (x, list(reversed(q))),
    "emptied": lambda q, x: _and(x, q.clear()), "pickled": lambda q, x: (x, pickle.loads(pickle.dumps(q))),
    "asked": lambda q, x: (x, bool(q)),
    "set": lambda q, x: _and(x, q.__setitem__(-1, x * 2)), "put in": lambda q, x: _and(x, len(q) == q.maxlen or q.insert(0, 2))}


@pytest.mark.parametrize("most", [None, 3])
@pytest.mark.parametrize("name", DEQUES)
def test_deques_that_are_read_are_compared(name: str, most: int | None) -> None:
    def calls(compiled: bool) -> list[Any]:
        held = {"q": deque[Any](maxlen=most)}

        def f(x: Any) -> Any:
            held["q"].append(1)
            return DEQUES[name](held["q"], x)

        step, found = torch.jit(f) if compiled else f, []
        for i in range(7):
            if i == 4:
                held["q"].append(100)
            found.append((plain(step(torch.full((1,), float(i)))), plain(held), held["q"].maxlen))
        return found

    assert calls(True) == calls(False)


BESIDE: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "its length": lambda h, k: len(h["b"]), "all lengths": lambda h, k: [len(v) for v in h.values() if v],
    "whether there is one": lambda h, k: h["b"] is None, "its class": lambda h, k: isinstance(h["b"], list),
    "itself": lambda h, k: h["b"], "keys": lambda h, k: list(h), "nothing": lambda h, k: None, "text": lambda h, k: str(h),
    "the same": lambda h, k: h["a"] is h["b"]}
CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "longer": lambda h: h["b"].append(3), "another": lambda h: h.update(b=[7]), "none": lambda h: h.update(b=None),
    "a tuple": lambda h: h.update(b=(1,)), "gone": lambda h: h.pop("b"), "a deque": lambda h: h.update(b=deque([1])),
    "the other": lambda h: h.update(b=h["a"]), "one more": lambda h: h.update(d=[1])}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("read", BESIDE)
def test_what_is_read_of_one_beside(read: str, change: str) -> None:
    def calls(compiled: bool) -> list[Any]:
        held: dict[str, Any] = {"a": [], "b": [], "c": (1,)}

        def f(x: Any, key: str) -> Any:
            held[key].append(1)
            return x, BESIDE[read](held, key)

        step, found = torch.jit(f) if compiled else f, []
        for i in range(6):
            if i == 3:
                CHANGES[change](held)
            try:
                found.append((plain(step(torch.ones(1), "aab"[i % 3])), plain(held)))
            except (KeyError, AttributeError, TypeError) as error:
                return [*found, type(error).__name__]
        return found

    assert calls(True) == calls(False)


@pytest.mark.parametrize("given", [False, True])
def test_another_bound_is_another_program(given: bool) -> None:
    """More may be put in than the first one could hold."""
    held: dict[str, Any] = {}
    step = torch.jit(lambda x, given=held: _and(x, [given["q"].append(x * i) for i in range(4)]))
    for most in (2, 2, 3, None, 2):
        held["q"] = deque[Any](maxlen=most)
        step(torch.ones(1), held) if given else step(torch.ones(1))
        assert plain(held["q"]) == ("deque", [[float(i)] for i in range(4)][-(most or 4):])


@pytest.mark.parametrize("place", ["variable", "entry", "argument", "entry of an argument"])
def test_what_is_put_in_once_more_is_put_in(place: str) -> None:
    """A full deque is as it was after the same thing was put in."""
    q = deque([True] * 3, maxlen=3)
    held = {"q": q}
    steps: dict[str, Any] = {
        "variable": lambda x: _and(x, q.append(True)), "entry": lambda x: _and(x, held["q"].append(True)),
        "argument": lambda x, q: _and(x, q.append(True)), "entry of an argument": lambda x, held: _and(x, held["q"].append(True))}
    step = torch.jit(steps[place])
    given = {"argument": [q], "entry of an argument": [held]}.get(place, [])
    for _ in range(3):
        step(torch.ones(1), *given)
        assert list(q) == [True] * 3
    q.extend([5, 6, 7])
    step(torch.ones(1), *given)
    assert list(q) == [6, 7, True]


def test_a_module_that_keeps_one_history_in_training_and_one_in_evaluation() -> None:
    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.losses: dict[str, Any] = {"train": [], "val": deque(maxlen=3)}

        def forward(self, x: Any) -> Any:
            self.losses["train" if self.training else "val"].append(x.mean())
            return x

    model = Watched()
    step = torch.jit(model)
    for i in range(12):
        model.train(i % 2 == 0)
        step(torch.full((2,), float(i)))
    assert plain(model.losses) == {"train": ("list", [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]), "val": ("deque", [7.0, 9.0, 11.0])}
    assert step.stats.compiles == 2
