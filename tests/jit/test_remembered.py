"""Tensors that functions under `lru_cache` and `cache` come to remember in a step are tensors like any other."""

from __future__ import annotations

import collections
import dataclasses
import functools
import gc
import sys
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.tensor([1.0, 2.0, 3.0])
CACHES = {"bounded": functools.lru_cache, "small": functools.lru_cache(maxsize=2), "unbounded": functools.cache,
          "typed": functools.lru_cache(maxsize=None, typed=True)}


def _range(n: int) -> Any:
    return torch.arange(n) * 1.5


def _of_data(n: int) -> Any:
    return torch.tensor([0.5] * n)


def _pair(n: int) -> Any:
    return torch.ones(n).cos(), {"sin": [torch.ones(n).sin()], "n": n}


def _random(n: int) -> Any:
    return torch.rand(n)


def _view(n: int) -> Any:
    return torch.ones(2, n).T[:, 0]


def _number(n: int) -> Any:
    return n * 2


W = torch.tensor([2.0, 2.0, 2.0])


def _of_state(n: int) -> Any:
    return W[:n] * 3


MADE: dict[str, tuple[Callable[[int], Any], int]] = {f.__name__.strip("_"): (f, most) for f, most in (
    (_range, 1), (_of_data, 1), (_pair, 1), (_random, 2), (_view, 2), (_number, 1), (_of_state, 2))}


def total(x: Any) -> Any:
    """All that a result holds, added up."""
    if isinstance(x, dict):
        x = list(x.values())
    return sum(map(total, x)) if isinstance(x, (list, tuple)) else x


@pytest.mark.parametrize("how", CACHES)
@pytest.mark.parametrize("name", MADE)
def test_what_a_step_gives_a_cache_is_there_afterwards(name: str, how: str) -> None:
    make, most = MADE[name]
    cached, other = CACHES[how](make), CACHES[how](make)
    old = cached(2), other(2)
    torch.manual_seed(3)
    step = torch.jit(lambda x: x + total(cached(3)))
    got = [step(X).tolist() for _ in range(4)]
    torch.manual_seed(3)
    assert got == [(X + total(other(3))).tolist() for _ in range(4)]
    assert cached(2) is old[0] and step.stats.compiles <= most
    assert (X + total(cached(3))).tolist() == got[0] and cached.cache_info().currsize == 2
    assert torch.jit(lambda x: x + total(cached(3)))(X).tolist() == got[0]
    assert (X * total(cached(3))).sum().item() == (X * total(other(3))).sum().item()


def test_state_that_a_cached_tensor_was_made_of_may_change() -> None:
    weight = torch.ones(3)
    cached, other = functools.lru_cache(lambda n: weight * n), functools.lru_cache(lambda n: weight * n)
    step = torch.jit(lambda x: x + cached(2))
    for _ in range(3):
        assert step(X).tolist() == (X + other(2)).tolist()
        weight += 1
    cached.cache_clear()
    other.cache_clear()
    assert step(X).tolist() == (X + other(2)).tolist()


@pytest.mark.parametrize("how", CACHES)
def test_after_cache_clear_and_what_is_changed_in_the_cache(how: str) -> None:
    cached = CACHES[how](_range)
    step = torch.jit(lambda x: x + cached(3))
    assert step(X).tolist() == [1.0, 3.5, 6.0]
    cached(3).add_(1)
    assert step(X).tolist() == [2.0, 4.5, 7.0] and step.stats.compiles == 1
    step.cache_clear()
    assert step(X).tolist() == [2.0, 4.5, 7.0]
    cached.cache_clear()
    assert step(X).tolist() == [1.0, 3.5, 6.0] and cached(3).tolist() == [0.0, 1.5, 3.0]
    assert step(X).tolist() == [1.0, 3.5, 6.0]


@pytest.mark.parametrize("name", ["range", "of_state"])
def test_a_thousand_calls_leave_no_growth_and_no_guard_keeps_a_result(name: str) -> None:
    cached = functools.lru_cache(MADE[name][0])
    step = torch.jit(lambda x: x + cached(3))
    for _ in range(5):
        step(X)
    gc.collect()
    count = sum(type(x) is torch.Tensor for x in gc.get_objects())
    for _ in range(1000):
        step(X)
    gc.collect()
    assert sum(type(x) is torch.Tensor for x in gc.get_objects()) <= count + 5
    gone = weakref.ref(cached(3))
    cached.cache_clear()
    gc.collect()
    assert gone() is None


def test_a_cached_method_and_a_cached_property() -> None:
    class Model(nn.Module):
        @functools.lru_cache  # noqa: B019
        def table(self, n: int) -> Any:
            return torch.arange(n) * 2.0

        @functools.cached_property
        def mask(self) -> Any:
            return torch.ones(3).tril() if False else torch.ones(3)

        def forward(self, x: Any) -> Any:
            return x + self.table(x.shape[0]) * self.mask

    model, other = Model(), Model()
    step = torch.jit(model)
    for n in (3, 3, 3):
        assert step(X[:n]).tolist() == other(X[:n]).tolist()
    assert model.table(3).tolist() == [0, 2, 4] and model.mask.tolist() == [1, 1, 1]


def test_a_failing_step_leaves_older_results_alone() -> None:
    cached, fail = functools.lru_cache(_random), [True]
    old = cached(2)

    @torch.jit
    def step(x: Any) -> Any:
        y = x + cached(3)
        if fail[0]:
            raise ValueError("half way")
        return y

    with pytest.raises(ValueError, match="half way"):
        step(X)
    assert cached(2) is old and cached.cache_info().currsize == 1
    fail[0] = False
    assert step(X).tolist() == (X + cached(3)).tolist()


def test_a_number_argument_and_a_tensor_as_keys() -> None:
    cached = functools.lru_cache(lambda k: torch.arange(3) * k)
    step = torch.jit(lambda x, k: x + cached(k))
    for k in (2, 3, 2):
        assert step(X, k).tolist() == (X + torch.arange(3) * k).tolist()
    assert cached(2).tolist() == [0, 2, 4]
    doubled = functools.lru_cache(lambda t: t * 2)
    twice = torch.jit(lambda x: doubled(x) + doubled(x))
    assert twice(X).tolist() == [4, 8, 12] and twice(X + 1).tolist() == [8, 12, 16]
    assert doubled(X).tolist() == [2, 4, 6]


def test_trace_and_lowered_leave_no_dead_results() -> None:
    for make in (_range, _random):
        cached = functools.lru_cache(make)
        step = torch.jit(lambda x, cached=cached: x + cached(3))
        step.trace(X)
        assert cached(3).sum().item() >= 0


def test_other_results_come_and_go_without_a_trace() -> None:
    cached = functools.lru_cache(maxsize=4)(_range)
    step = torch.jit(lambda x: x + cached(3))
    step(X)
    for n in (1, 2, 4):
        cached(n)
        assert step(X).tolist() == [1.0, 3.5, 6.0]
    assert step.stats.compiles == 1
    cached(5)
    cached(6)  # the step's own is dropped now or was used last
    assert step(X).tolist() == [1.0, 3.5, 6.0]


@pytest.mark.parametrize("remembers", [functools.cache, functools.lru_cache(maxsize=4), lambda f: f],
                         ids=["cache", "lru_cache", "none"])
def test_a_counter_beside_a_function_that_remembers_is_an_input(remembers: Any) -> None:
    """It knows nothing of the counter, which another branch moves on."""

    @remembers
    def scale(n: int) -> float:
        return n / 2

    count = SimpleNamespace(n=0)

    @torch.jit
    def step(x: Any, train: bool) -> Any:
        if train:
            count.n += 1
        return x * scale(4)

    for i in range(16):
        assert step(torch.ones(2), i // 2 % 2 == 0).tolist() == [2.0, 2.0]
    assert count.n == 8 and step.stats.compiles == 2


@pytest.mark.parametrize("read", ["attribute", "key", "variable", "another function"])
def test_a_counter_that_such_a_function_reads_is_compared(read: str) -> None:
    count, table, held = SimpleNamespace(n=0), {"n": 0}, 0

    def told() -> int:
        return count.n

    @functools.cache
    def scale() -> int:
        reads = {"attribute": lambda: count.n, "key": lambda: table["n"], "variable": lambda: held, "another function": told}
        return reads[read]()

    step = torch.jit(lambda x: x * scale())
    for i in range(6):
        count.n = table["n"] = held = i
        scale.cache_clear()
        scale()
        assert step(torch.ones(2)).tolist() == [float(i)] * 2


class Plain:
    k = 1.0


class Slotted:
    __slots__ = ("k",)

    def __init__(self) -> None:
        self.k = 1.0


@dataclasses.dataclass
class Data:
    k: float = 1.0
    items: list[int] = dataclasses.field(default_factory=list)


def _grown(d: Any, x: Any, w: Any) -> Any:
    d.k += 1
    d.items.append(1)
    return x * d.k * len(d.items)


def _more(d: Any, x: Any, w: Any) -> Any:
    d.k += 1
    return x * d.k


def _counts(d: Any, x: Any, w: Any) -> Any:
    w.k += 1
    d["n"] += 1
    return x * d["n"] * w.k


def _last(d: Any, x: Any, w: Any) -> Any:
    d["last"] = x * 2
    return x + 1


def _inner(d: Any, x: Any, w: Any) -> Any:
    d["a"][0]["b"] *= 2
    return x * d["a"][0]["b"]


def _appended(d: Any, x: Any, w: Any) -> Any:
    d.append(len(d))
    return x * sum(d)


def _added(d: Any, x: Any, w: Any) -> Any:
    d.add(len(d))
    return x * len(d)


def _in_place(d: Any, x: Any, w: Any) -> Any:
    d["w"] += x
    d["n"] += 1
    return d["w"] * d["n"]


def _bound(d: Any, x: Any, w: Any) -> Any:
    d["w"], d["m"] = d["w"] + x, x
    return d["w"] * x


def _stored(d: Any, x: Any, w: Any) -> Any:
    w.held = d
    w.held[0] += 1
    return x * d[0]


def _of_tuple(d: Any, x: Any, w: Any) -> Any:
    d[1][0] += 1
    return x * d[0] * d[1][0] * d[2]["a"]


def _effect(w: Any) -> float:
    w.log.append(1)
    w.k += 1
    return w.k


def _effect_and_dict(w: Any) -> Any:
    w.k += 1
    return {"n": w.k}


def _closure(w: Any) -> Any:
    n = 0

    def count(x: Any) -> Any:
        nonlocal n
        n += 1
        return x * n

    return count


# What the function makes, what the step does with it, and a change between two calls.
THINGS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "object": (lambda w: Plain(), lambda d, x, w: x * d.k, lambda d, w: setattr(d, "k", 5.0)),
    "object, written": (lambda w: Plain(), _more, lambda d, w: setattr(d, "k", 5.0)),
    "slots": (lambda w: Slotted(), _more, lambda d, w: setattr(d, "k", 5.0)),
    "dataclass": (lambda w: Data(), _grown, lambda d, w: d.items.clear()),
    "namespace": (lambda w: SimpleNamespace(k=2.0), _more, lambda d, w: setattr(d, "k", 5.0)),
    "dictionary": (lambda w: {"n": 0}, _counts, lambda d, w: d.update(n=7)),
    "last": (lambda w: {}, _last, lambda d, w: d.clear()),
    "nested": (lambda w: {"a": [{"b": 1.0}]}, _inner, lambda d, w: d.update(a=[{"b": 9.0}])),
    "list": (lambda w: [1.0], lambda d, x, w: x * d[0], lambda d, w: d.__setitem__(0, 4.0)),
    "list, appended": (lambda w: [1], _appended, lambda d, w: d.clear()),
    "deque": (lambda w: collections.deque([1], maxlen=3), _appended, lambda d, w: d.append(5)),
    "set": (lambda w: set(), _added, lambda d, w: d.clear()),
    "tensors, in place": (lambda w: {"w": torch.zeros(2), "n": 0}, _in_place, lambda d, w: d["w"].add_(1)),
    "tensors, bound": (lambda w: {"w": torch.zeros(2)}, _bound, lambda d, w: d["w"].add_(1)),
    "tensors of state": (lambda w: {"w": w.w * 3, "n": 0}, _in_place, lambda d, w: w.w.add_(1)),
    "tensors of state, bound": (lambda w: {"w": w.w * 3}, _bound, lambda d, w: d.update(m=3)),
    "stored": (lambda w: [1.0], _stored, lambda d, w: d.__setitem__(0, 5.0)),
    "tuple": (lambda w: (1.0, [2.0], {"a": 3.0}), _of_tuple, lambda d, w: d[2].update(a=1.0)),
    "number": (lambda w: w.k * 2, lambda d, x, w: x * d, lambda d, w: setattr(w, "k", w.k + 1)),
    "dictionary of a number": (lambda w: {"n": w.k * 2}, lambda d, x, w: x * d["n"], lambda d, w: setattr(w, "k", w.k + 1)),
    "branch": (lambda w: w.k > 1, lambda d, x, w: x * 2 if d else x * 3, lambda d, w: setattr(w, "k", w.k + 1)),
    "effect": (_effect, lambda d, x, w: x * d + len(w.log), lambda d, w: setattr(w, "k", 9.0)),
    "effect and dictionary": (_effect_and_dict, _counts, lambda d, w: setattr(w, "k", 9.0)),
    "function": (lambda w: lambda x: x * w.k, lambda d, x, w: d(x), lambda d, w: setattr(w, "k", w.k + 1)),
    "closure": (_closure, lambda d, x, w: d(x), lambda d, w: None),
    "none": (lambda w: None, lambda d, x, w: x * 2 if d is None else x, lambda d, w: None),
}
CALLS = ("ccc~cc", "cc~cxccc", "~cx~ccxccc")  # a call, a change, `cache_clear`


def _seen(x: Any) -> Any:
    """What can be compared of a thing."""
    if isinstance(x, torch.Tensor):
        return x.tolist()
    if isinstance(x, dict):
        return {key: _seen(value) for key, value in x.items()}
    if isinstance(x, (list, tuple, set, collections.deque)):
        return [_seen(value) for value in x]
    if isinstance(x, Slotted):
        return x.k
    return _seen(vars(x)) if hasattr(x, "__dict__") and not callable(x) else type(x) if callable(x) else x


def _played(name: str, how: str, calls: str, filled: bool, jitted: bool) -> tuple[list[Any], int]:
    """What is seen after each call and each change, and the number of compiles."""
    make, use, change = THINGS[name]
    world = SimpleNamespace(k=1.0, log=[], w=torch.ones(2), held=None)
    kept = CACHES[how](lambda: make(world))
    step: Any = lambda x: use(kept(), x, world)  # noqa: E731
    step = torch.jit(step) if jitted else step
    if filled:
        kept()
    seen = []
    for i, what in enumerate(calls):
        if what == "c":
            seen.append(step(torch.ones(2) * (i % 2 + 1)).tolist())
        elif what == "x":
            kept.cache_clear()
        else:
            change(kept(), world)
        there = kept.cache_info().currsize
        seen.append([_seen(world), there, _seen(kept()) if there else None])
    return seen, step.stats.compiles if jitted else 0


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("how", CACHES)
@pytest.mark.parametrize("name", THINGS)
def test_things_in_a_cache_are_those_of_the_function_without_jit(name: str, how: str, filled: bool) -> None:
    for calls in CALLS:
        assert _played(name, how, calls, filled, True)[0] == _played(name, how, calls, filled, False)[0], calls


ONE = ["object, written", "slots", "namespace", "dictionary", "last", "nested", "tensors, in place", "stored", "closure", "none"]


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("name", ONE)
def test_a_step_that_writes_to_what_is_in_a_cache_is_compiled_once(name: str, filled: bool) -> None:
    compiles = _played(name, "bounded", "cccccc", filled, True)[1]
    assert compiles <= (2 if name == "tensors, in place" and not filled else 1)


def test_the_same_results_after_cache_clear_need_no_compile() -> None:
    cached = functools.lru_cache(_number)
    step = torch.jit(lambda x: x * cached(3))
    for _ in range(5):
        assert step(X).tolist() == (X * 6).tolist() and cached.cache_info().currsize == 1
        cached.cache_clear()
    assert step.stats.compiles == 1


def test_a_profiler_goes_on_and_results_are_found_beside_it() -> None:
    names: set[str] = set()
    kept = functools.cache(lambda: {"n": 0})
    step = torch.jit(lambda x: _counts(kept(), x, SimpleNamespace(k=0)))
    sys.setprofile(lambda frame, event, arg: names.add(frame.f_code.co_name))
    try:
        assert [step(X).tolist() for _ in range(3)] == [(X * n).tolist() for n in (1, 2, 3)]
        assert sys.getprofile() is not None
    finally:
        sys.setprofile(None)
    assert "_counts" in names and kept() == {"n": 3}


def test_what_is_too_large_to_be_compared_and_one_key_beside_another() -> None:
    large = functools.cache(lambda: (list(range(20_000)), bytearray(2 << 20)))
    step = torch.jit(lambda x: x * large()[0][2] + large()[1][0])
    assert step(X).tolist() == step(X).tolist() == (X * 2).tolist() and step.stats.compiles == 1
    kept = functools.lru_cache(lambda n: {"n": n})
    by_key = torch.jit(lambda x, n: x * len(kept(n)["n"]))
    for n in ("a", "bb", "a", "bb"):
        assert by_key(X, n).tolist() == (X * len(n)).tolist()
    assert by_key.stats.compiles == 2 and kept.cache_info().currsize == 2
