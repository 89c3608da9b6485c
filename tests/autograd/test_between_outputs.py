"""Gradients between the outputs of one jitted function, of which one is computed from another, asked for outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch

from ..nested import near

grad = torch.autograd.grad


def chain(x: Any, w: Any) -> Any:
    a = x * w
    b = (a ** 2).sin()
    return a, b, (b * a).sum()


def whole(f: Any, x: Any, w: Any) -> Any:
    a, b, c = f(x, w)
    return grad(c, [a, b, x, w])


def partly(f: Any, x: Any, w: Any) -> Any:
    a, _, c = f(x, w)
    return grad(c, a)


def with_more_outside(f: Any, x: Any, w: Any) -> Any:
    a, b, c = f(x, w)
    return grad((a * 3).sum() + c + b.exp().sum(), [a, b, w])


def of_the_middle(f: Any, x: Any, w: Any) -> Any:
    a, b, _ = f(x, w)
    return grad(b.sum(), [a, w])


def against_the_order(f: Any, x: Any, w: Any) -> Any:
    a, b, c = f(x, w)
    return grad(a.sum(), [b, c, a], allow_unused=True)


def second_order(f: Any, x: Any, w: Any) -> Any:
    a, b, c = f(x, w)
    (found,) = grad(c, a, create_graph=True)
    return found, grad((found ** 2).sum() + b.sum(), [x, w])


def kept(f: Any, x: Any, w: Any) -> Any:
    a, b, c = f(x, w)
    a.retain_grad()
    b.retain_grad()
    (c + a.sum()).backward()
    return a.grad, b.grad, x.grad, w.grad


def backward_to_one(f: Any, x: Any, w: Any) -> Any:
    a, _, c = f(x, w)
    c.backward(inputs=[a, w])
    return a.grad, x.grad, w.grad


def twice(f: Any, x: Any, w: Any) -> Any:
    a, b, c = f(x, w)
    return grad(c, a, retain_graph=True), grad(c, [b, x])


def of_two_calls(f: Any, x: Any, w: Any) -> Any:
    a, _, _ = f(x, w)
    d, e, g = f(a, w)
    return grad(g, [a, d, e, x])


USES: list[Callable[[Any, Any, Any], Any]] = [
    whole, partly, with_more_outside, of_the_middle, against_the_order, second_order, kept, backward_to_one, twice, of_two_calls]


def shown(x: Any) -> Any:
    return [shown(e) for e in x] if isinstance(x, (list, tuple)) else x if x is None else x.tolist()


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_gradients_between_outputs(use: Any, numpy_engine: None) -> None:
    found = []
    for f in (chain, torch.jit(chain)):
        x, w = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([1.0, 2.0], [0.5, -1.5]))
        found.append(shown(use(f, x, w)))
    assert near(*found, rel=1e-9), found
