"""`einsum` of one operand without a sum is a view, as in PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau

torch = pytest.importorskip("torch")

EQUATIONS = [("ij->ji", (2, 3)), ("ij->ij", (2, 3)), ("ii->i", (3, 3)), ("iij->ji", (2, 2, 3)), ("...ij->...ji", (2, 3, 4)),
             ("ij", (2, 3)), ("ba", (2, 3)), ("ij->i", (2, 3)), ("i->i", (3,)), ("->", ()), ("iijj->ij", (2, 2, 3, 3)),
             ("...->...", (2, 3)), ("iii->i", (3, 3, 3)), ("ij->", (2, 3)), ("ii->", (3, 3)), ("ii", (3, 3)),
             ("a...->...a", (2, 3)), ("abc->cab", (2, 1, 3)), ("ij->ji", (0, 3))]


def seen(lib: Any, equation: str, shape: tuple[int, ...]) -> list[Any]:
    x = lib.arange(max(1, int(lib.zeros(shape).numel())), dtype=lib.float32)[:lib.zeros(shape).numel()].reshape(shape).clone()
    y = lib.einsum(equation, x)
    facts = [tuple(y.shape), y.stride(), y.storage_offset(), y._base is not None]
    y.add_(1)
    return [*facts, x.tolist(), y.tolist()]


@pytest.mark.parametrize(("equation", "shape"), EQUATIONS)
def test_views(equation: str, shape: tuple[int, ...]) -> None:
    assert seen(flambeau, equation, shape) == seen(torch, equation, shape)


@pytest.mark.parametrize(("equation", "shape"), EQUATIONS)
def test_gradients(equation: str, shape: tuple[int, ...]) -> None:
    gradients = []
    for lib in (flambeau, torch):
        x = lib.ones(shape, requires_grad=True)
        (lib.einsum(equation, x) ** 3).sum().backward()
        gradients.append(x.grad.tolist())
    assert gradients[0] == gradients[1]


def test_under_jit() -> None:
    x = flambeau.zeros(2, 3)
    flambeau.jit(lambda: flambeau.einsum("ij->ji", x).add_(1))()
    assert x.tolist() == [[1.0] * 3] * 2
