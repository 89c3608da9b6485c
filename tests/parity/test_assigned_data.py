"""`p.data = t` shares memory, and what shared p's before keeps what it showed: call by call against torch, lazily and jitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.tensor.assigned import pending, settle

oracle = pytest.importorskip("torch")

SCENARIOS: dict[str, Callable[[Any, Any], Any]] = {}


def scenario(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    SCENARIOS[function.__name__] = function
    return function


def training(optimizer: Any, loss: Callable[..., Any]) -> Callable[..., Any]:
    """A step that descends a loss, which it gives."""

    def step(*given: Any) -> Any:
        optimizer.zero_grad()
        value = loss(*given)
        value.backward()
        optimizer.step()
        return value

    return step


@scenario
def backup(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.tensor([1.0, 2.0]))
    b = p.data
    p.data = T.tensor([5.0, 6.0])
    p.data.mul_(2)
    r = [p, b]
    p.data = b
    b.add_(1)
    return r + [p, b]


@scenario
def share(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.tensor([1.0, 2.0]))
    t = T.tensor([5.0, 6.0])
    p.data = t
    t.add_(1)
    a = p.clone()
    p.data.mul_(3)
    return (p, t, a)


@scenario
def share_opt(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.tensor([1.0, 2.0]))
    t = T.tensor([5.0, 6.0])
    p.data = t
    o = T.optim.SGD([p], lr=0.1)

    step = J(training(o, lambda: (p ** 2).sum()))
    r = [step(), step()]
    return (r, p, t)


@scenario
def tie(T: Any, J: Any) -> Any:
    a, b = (T.nn.Linear(2, 2, bias=False), T.nn.Linear(2, 2, bias=False))
    with T.no_grad():
        a.weight.fill_(1.0)
        b.weight.fill_(2.0)
    b.weight.data = a.weight.data
    o = T.optim.SGD(a.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        o.zero_grad()
        l = a(x).sum()
        l.backward()
        o.step()
        return b(x).sum()

    step = J(step)
    return ([step(T.ones(1, 2)) for _ in range(3)], a.weight, b.weight)


@scenario
def clipper(T: Any, J: Any) -> Any:
    l = T.nn.Linear(2, 2)
    o = T.optim.SGD(l.parameters(), lr=0.5)
    with T.no_grad():
        l.weight.fill_(1.0)
        l.bias.fill_(0.5)

    step = J(training(o, lambda x: l(x).sum()))
    r = []
    for _i in range(4):
        r.append(step(T.ones(1, 2)))
        w = l.weight.data
        w = w.clamp(-0.3, 0.3)
        l.weight.data = w
    return (r, l.weight)


@scenario
def in_step(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.tensor([1.0, 2.0]))

    def step(x: Any) -> Any:
        old = p.data
        p.data = p.data - x
        d = p.data - old
        v = old.view(-1) + 0
        p.data = old * 2
        return (d, v, p.data * 1)

    step = J(step)
    return ([step(T.tensor([0.5, 0.25])) for _ in range(3)], p)


@scenario
def sam(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.tensor([1.0, 2.0]))
    st = {}
    o = T.optim.SGD([p], lr=0.1)

    def step(x: Any) -> Any:
        (p * x).pow(2).sum().backward()
        st["old"] = p.data.clone()
        p.data = p.data + 0.05 * p.grad
        p.grad = None
        (p * x).pow(2).sum().backward()
        p.data = st["old"]
        o.step()
        o.zero_grad()
        return p.sum()

    step = J(step)
    return ([step(T.tensor([1.0, 0.5])) for _ in range(4)], p)


@scenario
def flat(T: Any, J: Any) -> Any:
    m = T.nn.Linear(2, 2)
    with T.no_grad():
        m.weight.copy_(T.arange(4.0).view(2, 2))
        m.bias.fill_(7.0)
    f = T.cat([q.data.view(-1) for q in m.parameters()])
    k = 0
    for q in m.parameters():
        q.data = f[k:k + q.numel()].view(q.shape)
        k += q.numel()
    f.mul_(2)
    o = T.optim.SGD(m.parameters(), lr=0.1)

    step = J(training(o, lambda x: m(x).sum()))
    r = [step(T.ones(1, 2)), step(T.ones(1, 2))]
    return (r, f, list(m.parameters()))


@scenario
def swap(T: Any, J: Any) -> Any:
    a, b = (T.nn.Parameter(T.ones(2)), T.nn.Parameter(T.zeros(2)))
    va = a.data
    a.data, b.data = (b.data, a.data)
    a.data.add_(3)
    return (a, b, va)


@scenario
def state_dict_kept(T: Any, J: Any) -> Any:
    l = T.nn.Linear(2, 1, bias=False)
    with T.no_grad():
        l.weight.fill_(1.0)
    sd = l.state_dict()
    l.weight.data = l.weight.data * 3
    x = sd["weight"].clone()
    l.load_state_dict(sd)
    return (x, l.weight)


@scenario
def dtype_change(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.ones(2))
    d = p.detach()
    t = T.ones(3).double()
    p.data = t
    t.mul_(2)
    return (p, d)


@scenario
def numpy_seen(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.ones(2))
    t = T.zeros(2)
    p.data = t
    n = t.numpy()
    n[0] = 5
    m = p.detach().numpy()
    m[1] = 7
    return (p, t, n.tolist())


@scenario
def self_assign(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.tensor([2.0, 3.0]))
    d = p.data
    p.data = p.data
    d.add_(1)
    return (p, d)


@scenario
def plain_tensor(T: Any, J: Any) -> Any:
    a = T.ones(2)
    b = a.detach()
    c = a * 1
    a.data = c
    c.add_(1)
    b.add_(5)
    return (a, b, c)


@scenario
def grad_stays(T: Any, J: Any) -> Any:
    p = T.nn.Parameter(T.tensor([2.0, 3.0]))
    (p * p).sum().backward()
    g = p.grad
    t = T.tensor([1.0, 1.0])
    p.data = t
    (p * p).sum().backward()
    return (p.grad, g, p.requires_grad, p.is_leaf)


@scenario
def soft_update(T: Any, J: Any) -> Any:
    n, t = (T.nn.Linear(1, 1, bias=False), T.nn.Linear(1, 1, bias=False))
    with T.no_grad():
        n.weight.fill_(1.0)
        t.weight.fill_(0.0)
    o = T.optim.SGD(n.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        o.zero_grad()
        l = (n(x) - t(x) - 1).pow(2).sum()
        l.backward()
        o.step()
        for p, q in zip(n.parameters(), t.parameters()):
            q.data = 0.9 * q.data + 0.1 * p.data
        return l

    step = J(step)
    return ([step(T.ones(1, 1)) for _ in range(4)], t.weight)


@scenario
def ema_apply(T: Any, J: Any) -> Any:
    lin = T.nn.Linear(2, 2, bias=False)
    lin.weight.data = T.tensor([[1.0, 2.0], [3.0, 4.0]])
    sh, bk = ({}, {})
    for n, p in lin.named_parameters():
        sh[n] = p.data.clone()
    o = T.optim.SGD(lin.parameters(), lr=0.1)
    ev = J(lambda x: lin(x).sum())

    def step(x: Any) -> Any:
        o.zero_grad()
        l = lin(x).pow(2).sum()
        l.backward()
        o.step()
        for n, p in lin.named_parameters():
            sh[n] = 0.1 * p.data + 0.9 * sh[n]
        return l

    step = J(step)
    r = []
    for _i in range(5):
        r.append(step(T.ones(1, 2)))
        for n, p in lin.named_parameters():
            bk[n] = p.data
            p.data = sh[n]
        r.append(ev(T.ones(1, 2)))
        for n, p in lin.named_parameters():
            p.data = bk[n]
        bk.clear()
    return (r, sh, lin.weight)


def plain(x: Any) -> Any:
    if isinstance(x, (oracle.Tensor, flambeau.Tensor)):
        return str(x.dtype).split(".")[-1], np.round(np.asarray(x.detach().tolist(), np.float64), 4).tolist()
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    return [plain(value) for value in x] if isinstance(x, (list, tuple)) else x


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario(numpy_engine: None, name: str) -> None:
    made: list[Any] = []

    def jitted(function: Any) -> Any:
        made.append(flambeau.jit(function))
        return made[-1]

    wanted = plain(SCENARIOS[name](oracle, lambda function: function))
    assert plain(SCENARIOS[name](flambeau, lambda function: function)) == wanted
    assert plain(SCENARIOS[name](flambeau, jitted)) == wanted
    assert all(step.stats.compiles == 1 for step in made)


def test_in_a_step_what_outside_shares_the_memory_is_named(numpy_engine: None) -> None:
    p = flambeau.nn.Parameter(flambeau.ones(2))
    kept = p.data

    def step(x: Any) -> Any:
        p.data = p.data * x
        return p.sum()

    with pytest.raises(TraceError, match=r"clone the other tensor"):
        flambeau.jit(step)(flambeau.tensor(2.0))
    assert p.tolist() == kept.tolist() == [1, 1]
    del kept
    assert flambeau.jit(step)(flambeau.tensor(2.0)).item() == 4


def test_nothing_is_kept(numpy_engine: None) -> None:
    p = flambeau.nn.Parameter(flambeau.ones(2))
    for _ in range(100):
        p.data = p.data * 1.5
        kept = p.detach()
    settle()
    assert not pending
    assert len(p._storage._handles) < 40 and kept.shape == p.shape
