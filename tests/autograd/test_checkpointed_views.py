"""Leaves that are views of other memory get their gradients through a checkpoint as without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.utils.checkpoint import checkpoint, checkpoint_sequential

pytestmark = pytest.mark.usefixtures("numpy_engine")

LEAVES: dict[str, Callable[[], torch.Tensor]] = {
    "of its own": lambda: torch.arange(6.0).reshape(2, 3).clone(),
    "view": lambda: torch.arange(6.0).view(2, 3),
    "reshape": lambda: torch.arange(6.0).reshape(2, 3),
    "slice": lambda: torch.arange(9.0).reshape(3, 3)[1:],
    "turned": lambda: torch.arange(6.0).reshape(3, 2).t(),
    "expanded": lambda: torch.arange(3.0).expand(2, 3),
    "detached view": lambda: (torch.arange(6.0) * 2).view(2, 3).detach(),
    "parameter": lambda: torch.nn.Parameter(torch.arange(6.0).view(2, 3)),
    "part of a parameter's memory": lambda: torch.nn.Parameter(torch.arange(9.0)[3:].view(2, 3)),
    "element": lambda: torch.arange(6.0)[4],
}


def product(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return ((w * x).sin() * w).sum() + x.exp().sum()


def as_argument(run: Any, w: torch.Tensor, x: torch.Tensor) -> Any:
    run(product, w, x).backward()
    return w.grad, x.grad


def as_closure(run: Any, w: torch.Tensor, x: torch.Tensor) -> Any:
    run(lambda x: product(w, x), x).backward()
    return w.grad, x.grad


def as_the_only_leaf(run: Any, w: torch.Tensor, x: torch.Tensor) -> Any:
    run(lambda w: product(w, x.detach()), w).backward()
    return w.grad


def asked_for(run: Any, w: torch.Tensor, x: torch.Tensor) -> Any:
    return torch.autograd.grad(run(product, w, x), [w, x])


def twice(run: Any, w: torch.Tensor, x: torch.Tensor) -> Any:
    (found,) = torch.autograd.grad(run(product, w, x), w, create_graph=True)
    return torch.autograd.grad((found * found).sum(), [w, x])


def made_inside(run: Any, w: torch.Tensor, x: torch.Tensor) -> Any:
    held = []

    def inner(x: torch.Tensor) -> torch.Tensor:
        held.append((x * 2).detach().view(-1).requires_grad_())
        return product(w, x) + held[-1].sum() * 3

    run(inner, x).backward()
    return w.grad, x.grad, held[-1].grad


def in_two(run: Any, w: torch.Tensor, x: torch.Tensor) -> Any:
    (run(product, w, x) + run(product, w, x * 2)).backward()
    return w.grad, x.grad


FORMS = [as_argument, as_closure, as_the_only_leaf, asked_for, twice, made_inside, in_two]


def plain(function: Any, *args: Any) -> Any:
    return function(*args)


def through_a_checkpoint(function: Any, *args: Any) -> Any:
    return checkpoint(function, *args, use_reentrant=False)


def in_pieces(function: Any, *args: Any) -> Any:
    return checkpoint_sequential([lambda xs: (function(*xs),), lambda ys: ys[0] * 1], 2, args, use_reentrant=False)


@pytest.mark.parametrize("jitted", [False, True], ids=["lazily", "jitted"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("leaf", LEAVES)
def test_gradients_are_as_without(leaf: str, form: Any, jitted: bool) -> None:
    found = []
    for run in (plain, through_a_checkpoint, in_pieces):
        w = LEAVES[leaf]().requires_grad_()
        x = (torch.arange(6.0).reshape(2, 3) / 5).view(2, 3).clone().requires_grad_()
        step = torch.jit(form) if jitted else form
        grads = step(run, w, x)
        found.append([None if g is None else g.tolist() for g in (grads if isinstance(grads, tuple) else [grads])])
    assert all(g is not None for g in found[0])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(torch.tensor(a), torch.tensor(b))
