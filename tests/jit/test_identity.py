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
