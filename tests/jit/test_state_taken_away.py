"""State that a step creates, takes away and creates once more (a hidden state that is reset) is no program each time."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

Step = Callable[[Any, float], Any]
HIDDEN: Any = None


def attribute_reset_at_the_end() -> tuple[Step, Callable[[], Any]]:
    held = types.SimpleNamespace(h=None)

    def step(x: Any, s: float) -> Any:
        if held.h is None:
            held.h = torch.zeros(2)
        held.h = held.h * 0.5 + x
        result = held.h
        if s < 0.5:
            held.h = None
        return result

    return step, lambda: held.h


def attribute_reset_first() -> tuple[Step, Callable[[], Any]]:
    held = types.SimpleNamespace(h=None)

    def step(x: Any, s: float) -> Any:
        if s < 0.5:
            held.h = None
        held.h = x.detach().clone() if held.h is None else held.h + x
        return held.h * s

    return step, lambda: held.h


def key_that_is_popped() -> tuple[Step, Callable[[], Any]]:
    state: dict[str, Any] = {}

    def step(x: Any, s: float) -> Any:
        if s < 0.5:
            state.pop("v", None)
        else:
            state["v"] = x * 2
        return x + s

    return step, lambda: state


def key_that_is_cleared_and_asked_for() -> tuple[Step, Callable[[], Any]]:
    state: dict[str, Any] = {}

    def step(x: Any, s: float) -> Any:
        if s < 0.5:
            state.clear()
        else:
            state["v"] = state.get("v", 0) + x
        return x * s

    return step, lambda: state


def key_that_is_deleted() -> tuple[Step, Callable[[], Any]]:
    state: dict[str, Any] = {}

    def step(x: Any, s: float) -> Any:
        state.setdefault("v", torch.ones(2))
        state["v"] = state["v"] * x
        result = state["v"]
        if s < 0.5:
            del state["v"]
        return result

    return step, lambda: state


def attribute_of_a_module() -> tuple[Step, Callable[[], Any]]:
    cell = nn.RNNCell(2, 2)
    with torch.no_grad():
        for p in cell.parameters():
            p.fill_(0.25)
    cell.h = None

    def step(x: Any, s: float) -> Any:
        cell.h = cell(x[None], cell.h).detach()
        result = cell.h * 1
        if s < 0.5:
            cell.h = None
        return result

    return step, lambda: cell.h


def buffer() -> tuple[Step, Callable[[], Any]]:
    module = nn.Module()
    module.register_buffer("mean", None)

    def step(x: Any, s: float) -> Any:
        module.mean = x.clone() if module.mean is None else module.mean.lerp(x, 0.25)
        result = module.mean + s
        if s < 0.5:
            module.mean = None
        return result

    return step, lambda: module.mean


def global_variable() -> tuple[Step, Callable[[], Any]]:
    global HIDDEN
    HIDDEN = None

    def step(x: Any, s: float) -> Any:
        global HIDDEN
        HIDDEN = x * s if HIDDEN is None else HIDDEN + x
        result = HIDDEN
        if s < 0.5:
            HIDDEN = None
        return result

    return step, lambda: HIDDEN


def variable_of_a_closure() -> tuple[Step, Callable[[], Any]]:
    hidden: Any = None

    def step(x: Any, s: float) -> Any:
        nonlocal hidden
        hidden = x * s if hidden is None else hidden + x
        result = hidden
        if s < 0.5:
            hidden = None
        return result

    return step, lambda: hidden


def two_states() -> tuple[Step, Callable[[], Any]]:
    held = types.SimpleNamespace(h=None, c=None)

    def step(x: Any, s: float) -> Any:
        if held.h is None:
            held.h, held.c = torch.zeros(2), torch.ones(2)
        held.h, held.c = held.h + x * held.c, held.c * 0.5 + held.h
        result = held.h - held.c
        if s < 0.5:
            held.h = held.c = None
        return result

    return step, lambda: (held.h, held.c)


CASES = [attribute_reset_at_the_end, attribute_reset_first, key_that_is_popped, key_that_is_cleared_and_asked_for,
         key_that_is_deleted, attribute_of_a_module, buffer, global_variable, variable_of_a_closure, two_states]
ORDERS = [(0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1), (1, 1, 0, 0, 1, 0, 1, 1, 1, 0), (0, 0, 1, 1, 0, 1, 0, 1)]


def contents(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return x.dtype, [round(v, 5) for v in x.flatten().tolist()]
    if isinstance(x, dict):
        return {key: contents(value) for key, value in x.items()}
    return [contents(value) for value in x] if isinstance(x, tuple) else x


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_it_is_one_program_for_each_way(numpy_engine: None, case: Callable[[], Any], order: tuple[int, ...]) -> None:
    """What each call gives and leaves is as without jit; a program for each path, and one for the first time."""
    function, left = case()
    wanted = [(contents(function(torch.tensor([1.0, i + 2.0]), float(s))), contents(left())) for i, s in enumerate(order)]
    function, left = case()
    step = torch.jit(function)
    for i, s in enumerate(order):
        assert (contents(step(torch.tensor([1.0, i + 2.0]), float(s))), contents(left())) == wanted[i], i
    assert step.stats.compiles <= 4, step.why()


def test_what_was_kept_of_it_stays(numpy_engine: None) -> None:
    """A tensor that somebody holds is not written to by a later call, after the state was taken away."""
    function, _ = attribute_reset_at_the_end()
    step, kept = torch.jit(function), []
    for s in (1.0, 0.0, 1.0, 1.0, 0.0, 1.0):
        kept.append(step(torch.ones(2), s))
    assert [x.tolist()[0] for x in kept] == [1, 1.5, 1, 1.5, 1.75, 1]


# --- Keys that are numbers of the call ----------------------------------------------------------------------------------


def in_a_dict(held: Any, key: Any, x: Any) -> None:
    held.d.clear()
    held.d[key] = x * 1


def put_in_again(held: Any, key: Any, x: Any) -> None:
    held.d.pop(key, None)
    held.d[key] = 5


def in_an_inner_dict(held: Any, key: Any, x: Any) -> None:
    held.d["inner"] = {key: x * 1}


def in_a_set(held: Any, key: Any, x: Any) -> None:
    held.s.clear()
    held.s.add(key)


def taken_out_of_a_set(held: Any, key: Any, x: Any) -> None:
    held.s.discard(key)
    held.s.add(key)


def in_a_new_set(held: Any, key: Any, x: Any) -> None:
    held.s = {key, 7}
    held.f = frozenset([key])


PUTS = [in_a_dict, put_in_again, in_an_inner_dict, in_a_set, taken_out_of_a_set, in_a_new_set]


def kinds(x: Any) -> Any:
    if isinstance(x, dict):
        return [(type(key), key, kinds(value)) for key, value in x.items()]
    return sorted((type(v).__name__, v) for v in x) if isinstance(x, (set, frozenset)) else type(x)


@pytest.mark.parametrize("put", PUTS, ids=lambda put: put.__name__)
def test_keys_are_numbers(numpy_engine: None, put: Callable[[Any, Any, Any], None]) -> None:
    """No stand-in for one is left, also where a number that is equal to it was there."""

    def world() -> tuple[Any, Any]:
        held = types.SimpleNamespace(d={0: 1}, s={0, 1}, f=frozenset())

        def step(x: Any, n: int) -> Any:
            put(held, int(n / 2) % 2, x)
            return x + n

        return held, step

    plain, function = world()
    held, step = world()
    jitted = torch.jit(step)
    for n in (6, 1, 4, 4, 0, 3, 2):
        function(torch.ones(1), n)
        jitted(torch.ones(1), n)
        assert [kinds(vars(held)[k]) for k in "dsf"] == [kinds(vars(plain)[k]) for k in "dsf"], n


def test_a_number_that_another_path_writes_is_no_guard(numpy_engine: None) -> None:
    held = types.SimpleNamespace(rate=1.0)

    def step(x: Any, n: int) -> Any:
        if n % 3 == 0:
            held.rate = held.rate * 0.5
        return x * n

    jitted = torch.jit(step)
    for n in (1, 3, 2, 4, 6, 5, 3, 1):
        jitted(torch.ones(1), n)
    assert held.rate == 0.125 and jitted.stats.compiles == 2, jitted.why()
