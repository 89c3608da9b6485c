"""`module._forward_hooks` and its like are the hooks themselves: looked at, cleared, replaced and filled as in PyTorch."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest

from ..three_ways import check_alike

oracle = pytest.importorskip("torch")


def layer(torch: Any) -> Any:
    m = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(m.weight)
    return m


def times(n: int) -> Callable[..., Any]:
    return lambda m, a, o: o * n


def forward_hooks(torch: Any, jit: Any) -> Any:
    m = layer(torch)
    f: Callable[[], Any] = jit(lambda: m(torch.ones(1, 2)))
    found = [len(m._forward_hooks), list(m._forward_pre_hooks), f()]
    h = m.register_forward_hook(times(2))
    k = m.register_forward_hook(lambda m, a, named, o: o + 1, with_kwargs=True, always_call=True)
    found += [f(), list(m._forward_hooks) == [h.id, k.id], dict(m._forward_hooks_with_kwargs) == {k.id: True},
              dict(m._forward_hooks_always_called) == {k.id: True}, callable(m._forward_hooks[h.id])]
    h.remove()
    found += [f(), len(m._forward_hooks)]
    m._forward_hooks.clear()
    found += [f(), len(m._forward_hooks), repr(m._forward_hooks)]
    m.register_forward_hook(times(5))
    kept = m._forward_hooks.copy()
    m._forward_hooks = OrderedDict()
    found.append(f())
    m._forward_hooks.update(kept)
    found.append(f())
    m._forward_hooks.clear()
    own = torch.utils.hooks.RemovableHandle(m._forward_hooks)
    m._forward_hooks[own.id] = times(7)
    found.append(f())
    own.remove()
    found += [f(), len(m._forward_hooks)]
    m.register_forward_pre_hook(lambda m, a: (a[0] * 3,))
    found.append(f())
    m._forward_pre_hooks.popitem()
    return [*found, f()]


def other_hooks(torch: Any, jit: Any) -> Any:
    m = layer(torch)
    found = [m._is_full_backward_hook, len(m._backward_hooks), sorted(m._non_persistent_buffers_set)]
    m.register_full_backward_hook(lambda m, gi, go: None)
    m.register_full_backward_pre_hook(lambda m, go: None)
    m._register_state_dict_hook(lambda *a: None)
    m.register_state_dict_pre_hook(lambda *a: None)
    m._register_load_state_dict_pre_hook(lambda *a: None)
    m.register_load_state_dict_post_hook(lambda *a: None)
    tables = [m._backward_hooks, m._backward_pre_hooks, m._state_dict_hooks, m._state_dict_pre_hooks,
              m._load_state_dict_pre_hooks, m._load_state_dict_post_hooks]
    found += [m._is_full_backward_hook, list(map(len, tables))]
    for table in tables:
        table.clear()
    return [*found, list(map(len, tables)), len(m.state_dict())]


def hooks_that_a_step_clears(torch: Any, jit: Any) -> Any:
    m, found = layer(torch), list[Any]()

    def step(x: Any) -> Any:
        y = m(x)
        m._forward_hooks.clear()
        return y, m(x)

    jitted = jit(step)
    for i in range(3):
        m.register_forward_hook(times(2 + i))
        found += [jitted(torch.ones(1, 2)), len(m._forward_hooks)]
    return found


def hooks_that_a_step_counts(torch: Any, jit: Any) -> Any:
    m, found = layer(torch), list[Any]()
    jitted = jit(lambda x: m(x) * (10 if len(m._forward_hooks) > 1 else 1))
    for _ in range(3):
        m.register_forward_hook(times(2))
        found.append(jitted(torch.ones(1, 2)))
    m._forward_hooks.clear()
    return [*found, jitted(torch.ones(1, 2))]


def copies(torch: Any, jit: Any) -> Any:
    m = torch.nn.Sequential(layer(torch))
    m[0].register_forward_hook(times(2))
    n = copy.deepcopy(m)
    n[0]._forward_hooks.clear()
    return len(m[0]._forward_hooks), len(n[0]._forward_hooks)


def of_tensors(torch: Any, jit: Any) -> Any:
    w = torch.ones(2, requires_grad=True)
    f: Callable[[], Any] = jit(lambda: torch.autograd.grad((w * 3).sum(), w)[0])
    found = [w._backward_hooks is None]
    handle = w.register_hook(lambda g: g * 2)
    found += [list(w._backward_hooks) == [handle.id], f()]
    w._backward_hooks.clear()
    y = w * 2
    y.register_hook(lambda g: g)
    return [*found, f(), not w._backward_hooks, len(y._backward_hooks), torch.ones(1)._backward_hooks is None]


@pytest.mark.parametrize("scenario", [forward_hooks, other_hooks, hooks_that_a_step_clears, hooks_that_a_step_counts, copies,
                                      of_tensors])
def test_tables_are_the_hooks(scenario: Any) -> None:
    check_alike(scenario, oracle)
