"""`copy.deepcopy` of tensors, parameters and modules: memory that is shared stays shared, and what torch leaves behind."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ..three_ways import check_alike

oracle = pytest.importorskip("torch")


def views_in_a_step(torch: Any, jit: Any) -> Any:
    def step(x: Any) -> Any:
        b = x * 2
        c, v = copy.deepcopy((b, b[:1]))
        c[0] = 1
        return c.clone(), v.clone(), b

    jitted = jit(step)
    return [jitted(torch.zeros(2) + i) for i in range(3)]


def views_of_state(torch: Any, jit: Any) -> Any:
    b = torch.zeros(4)

    def step() -> Any:
        b.add_(1)
        v, c, w = copy.deepcopy((b[:1], b, b.view(2, 2).t()))
        c[0] = 1
        v.add_(5)
        w[1, 0] = 9
        return c.clone(), v.clone(), w.clone(), w.stride()

    jitted = jit(step)
    return [*[jitted() for _ in range(3)], b]


def a_module(torch: Any, jit: Any) -> Any:
    class Model(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("b", torch.zeros(3))
            self.v = self.b[1:]
            self.p = torch.nn.Parameter(torch.ones(2))
            self.q = torch.ones(1, requires_grad=True)
            self.p.tag, self.q.tag = 3, [1]

        def forward(self, x: Any) -> Any:
            self.b.add_(x)
            return self.v.sum() * self.p.sum() * self.q

    m = Model()
    m(1).sum().backward()
    n = copy.deepcopy(m)
    found = [n.p.grad is None, hasattr(n.p, "tag"), n.q.grad, n.q.tag, n.q.tag is m.q.tag]
    jitted = jit(lambda x: n(x))
    return [*found, jitted(2.0), jitted(2.0), n.b, n.v, m.v]


def strides(torch: Any, jit: Any) -> Any:
    repeated = copy.deepcopy(torch.ones(1, 3).expand(4, 3))
    with pytest.raises(RuntimeError, match="single memory location"):
        repeated.add_(1)
    parameters = [torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last), torch.zeros(4, 3)[:, :2], torch.zeros(2, 3).t()]
    window = copy.deepcopy(torch.zeros(4, 3)[1:, :2])
    return [repeated.stride(), window.stride(), window.storage_offset(),
            *[copy.deepcopy(torch.nn.Parameter(x)).stride() for x in parameters]]


def leaves_and_what_they_share(torch: Any, jit: Any) -> Any:
    w = torch.ones(3, requires_grad=True)
    d = w.detach()
    w.grad = torch.ones(3)
    a, b, c, g = copy.deepcopy([d[:2], w, d, w.grad])
    with torch.no_grad():
        b.mul_(3)
    a[0] = 7
    b.grad.add_(1)
    (b * 2).sum().backward()
    return a, b, c, b.grad, g, b.requires_grad, b.is_leaf, w.grad


def written_with_history(torch: Any, jit: Any) -> Any:
    w, b = torch.ones(2, requires_grad=True), torch.zeros(3)
    c, v = copy.deepcopy((b, b[:2]))
    c.add_(1)
    v.mul_(w)
    return v.requires_grad, v, c, torch.autograd.grad(v.sum(), w)


def a_conjugate(torch: Any, jit: Any) -> Any:
    z = torch.tensor([1 + 2j])
    imaginary, doubled, pairs = copy.deepcopy((z.conj().imag, z, torch.view_as_real(z)))
    doubled.mul_(2)
    return imaginary, pairs


def tied_weights_in_a_step(torch: Any, jit: Any) -> Any:
    m = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False))
    m[1].weight = m[0].weight
    torch.nn.init.ones_(m[0].weight)

    def step(x: Any) -> Any:
        n = copy.deepcopy(m)
        n(x).sum().backward()
        with torch.no_grad():
            m[0].weight.sub_(n[0].weight.grad * 0.1)
        return n[1].weight is n[0].weight, n[0].weight.grad, m[0].weight.grad

    jitted = jit(step)
    return [jitted(torch.ones(1, 2)) for _ in range(3)]


def a_gradient_that_is_there(torch: Any, jit: Any) -> Any:
    m = torch.nn.Linear(2, 1, bias=False)
    m(torch.ones(1, 2)).sum().backward()
    kept: list[Any] = []

    def step(x: Any) -> Any:
        kept.append(copy.deepcopy(m))
        return x * 2

    jitted = jit(step)
    for _ in range(2):
        jitted(torch.ones(1))
    return [n.weight.grad is None for n in kept]


def lazy_and_buffers(torch: Any, jit: Any) -> Any:
    m, b = torch.nn.LazyLinear(2), torch.nn.Buffer(torch.ones(2), persistent=False)
    n, (c, d) = copy.deepcopy(m), copy.deepcopy((b, b))
    return n(torch.ones(1, 3)).shape, type(m.weight).__name__, c is d, c.persistent, isinstance(c, torch.nn.Buffer)


@pytest.mark.parametrize("scenario", [
    views_in_a_step, views_of_state, a_module, strides, leaves_and_what_they_share, written_with_history, a_conjugate,
    tied_weights_in_a_step, a_gradient_that_is_there, lazy_and_buffers])
def test_copies_are_as_in_torch(scenario: Any) -> None:
    check_alike(scenario, oracle)
