"""Arguments that a step also reaches outside: which object it is that it was given."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch

pytestmark = pytest.mark.usefixtures("numpy_engine")


class Thing:
    """A plain class."""

    def __init__(self, v: float = 1.0) -> None:
        self.v = v


def ones(k: float = 1.0) -> Any:
    return torch.full((1,), k)


def parameter(k: float = 1.0) -> Any:
    return torch.nn.Parameter(ones(k))


def test_a_parameter_is_itself() -> None:
    known = parameter()
    step = torch.jit(lambda a: (a * 2, a is known, a))
    for a in (known, parameter(), known, parameter()):
        y, same, back = step(a)
        assert y.item() == 2 and same is (a is known) and back is a
    assert step.stats.compiles == 2


def test_a_weight_of_a_module_is_itself_and_written() -> None:
    model, other = torch.nn.Linear(1, 1, bias=False), ones()
    torch.nn.init.ones_(model.weight)

    @torch.no_grad()
    def step(w: Any) -> Any:
        if w is model.weight:
            w.mul_(2)
        else:
            w.add_(1)
        return model(ones()).sum()

    jitted = torch.jit(step)
    for k in (1, 2, 3):
        assert jitted(model.weight).item() == 2 ** k == model.weight.item()
        assert jitted(other).item() == 2 ** k and other.item() == 1 + k
    assert jitted.stats.compiles == 2


def test_gradients_of_a_parameter_that_is_itself() -> None:
    known = parameter()

    def step(a: Any, x: Any) -> Any:
        (a * x).sum().backward()
        return a is known, a.grad is known.grad

    jitted = torch.jit(step)
    for k in (1, 2, 3):
        assert jitted(known, ones(2.0)) == (True, True) and known.grad.item() == 2 * k


def test_tensors_as_keys_and_among_others() -> None:
    first, second = parameter(), parameter()
    names, known = {first: "first", second: "second"}, [first]
    step = torch.jit(lambda a: (a * len(names[a]), a in set(names), any(a is x for x in known)))
    for _ in range(2):
        assert step(first)[0].item() == 5 and step(second)[0].item() == 6
        assert step(first)[1:] == (True, True) and step(second)[1:] == (True, False)
    with pytest.raises(KeyError):
        step(parameter())
    assert step.stats.compiles == 2


def test_no_program_more_where_nobody_asks() -> None:
    model = torch.nn.Linear(2, 1)
    step = torch.jit(lambda params, x: torch.func.functional_call(model, params, (x,)).sum())
    params = dict(model.named_parameters())
    for _ in range(3):
        step(params, torch.ones(1, 2))
        params = {name: torch.nn.Parameter(p.detach() * 2) for name, p in params.items()}
    assert step.stats.compiles <= 2


def test_objects() -> None:
    known = Thing(2.0)
    pool, names = [known], {"known": known}
    step = torch.jit(lambda k, x: (x * k.v, k is names["known"], k in pool, k == known))
    for k in (Thing(3.0), known, Thing(4.0), known):
        y, *same = step(k, ones())
        assert y.item() == k.v and same == [k is known] * 3
    assert step.stats.compiles == 2


def test_objects_as_keys() -> None:
    cache: dict[Any, Any] = {}
    seen: set[Any] = set()

    def step(k: Any, x: Any) -> Any:
        if k not in cache:
            cache[k] = x * 3
        seen.add(k)
        return cache[k] + x, {k: x}

    jitted = torch.jit(step)
    first, second = Thing(), Thing()
    for k, x, expected in ((first, 1, 4), (first, 2, 5), (second, 5, 20), (first, 1, 4), (second, 1, 16)):
        y, made = jitted(k, ones(x))
        assert y.item() == expected and list(made) == [k]
    assert cache.keys() == {first, second} == seen


def test_a_key_made_of_an_argument() -> None:
    step = torch.jit(lambda k, x: {k: x, (k, 1): x * 2})
    for v in (1.0, 2.0):
        k = Thing(v)
        made = step(k, ones(v))
        assert made[k].item() == v and made[k, 1].item() == 2 * v


VIEWS = {"reshape": lambda: torch.arange(4.0).reshape(4), "slice": lambda: torch.zeros(6)[:4],
         "middle": lambda: torch.arange(6.0)[1:5], "transpose": lambda: torch.ones(2, 2).t(), "none": lambda: torch.zeros(4)}
USES: dict[str, Any] = {
    "state is written": lambda s, a: (s.add_(1), a * 2)[1], "the argument is written": lambda s, a: (a.add_(1), s * 2)[1],
    "both are": lambda s, a: (a.add_(1), s.mul_(2), a + s)[2], "a part is": lambda s, a: (s[0].fill_(7), a * 2)[1],
    "a part of the argument is": lambda s, a: (a[0].fill_(7), s * 2)[1], "read before": lambda s, a: (a * 3, s.add_(1), a * 2)[0],
    "returned": lambda s, a: (s.add_(1), a)[1], "told apart": lambda s, a: (s.add_(1), a * 2 if a is s else a * 3)[1]}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("view", VIEWS)
def test_state_that_is_a_view_is_given_too(view: str, use: str) -> None:
    def calls(wrap: Any) -> list[Any]:
        state, other = VIEWS[view](), VIEWS[view]() + 10
        step = wrap(lambda a: USES[use](state, a))
        found = []
        for a in (state, other, state, other, state):
            y = step(a)
            memory = state if state._base is None else state._base
            found.append((y.tolist(), y is a, *(x.tolist() for x in (state, other, memory))))
        assert wrap is not torch.jit or step.stats.compiles == 2
        return found

    assert calls(torch.jit) == calls(lambda f: f)


def test_a_buffer_that_is_a_view_is_given_too() -> None:
    def calls(wrap: Any) -> list[Any]:
        model = torch.nn.Module()
        model.register_buffer("state", torch.arange(6.0)[1:5])
        step = wrap(lambda a: (model.state.add_(1), a * 2)[1])
        return [(step(a).tolist(), model.state.tolist()) for a in (model.state, model.state * 2, model.state)]

    assert calls(torch.jit) == calls(lambda f: f)
