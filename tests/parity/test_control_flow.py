"""Control flow against torch's higher-order operators: signatures, values, and gradients against torch in a loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch._higher_order_ops import associative_scan, scan  # noqa: E402
from torch._higher_order_ops.map import map as torch_map  # noqa: E402

import flambeau  # noqa: E402

from .nn_common import close, compare  # noqa: E402

THEIRS = {"cond": torch.cond, "while_loop": torch.while_loop, "scan": scan, "map": torch_map,
          "associative_scan": associative_scan}


def while_in_python(cond_fn: Any, body_fn: Any, carried: Any) -> Any:
    while cond_fn(*carried):
        carried = body_fn(*carried)
    return carried


# torch compiles a cond and a while_loop, which takes ten seconds each; what they must give is what Python gives.
IN_PYTHON = {"cond": lambda pred, true_fn, false_fn, operands: (true_fn if pred else false_fn)(*operands),
             "while_loop": while_in_python}


@pytest.mark.parametrize("name", THEIRS)
def test_signatures_begin_as_torchs(name: str) -> None:
    ours, theirs = (list(inspect.signature(f).parameters.values()) for f in (getattr(flambeau, name), THEIRS[name]))
    assert [(p.name, p.kind) for p in ours[:len(theirs)]] == [(p.name, p.kind) for p in theirs]


def both(function: Callable[..., Any], *arrays: Any) -> None:
    """The same function of a namespace, its operators by name, and tensors, here and in torch."""
    ours = {name: getattr(flambeau, name) for name in THEIRS}
    theirs = THEIRS | IN_PYTHON
    close(function(flambeau, ours, *map(flambeau.tensor, arrays)), function(torch, theirs, *map(torch.tensor, arrays)))


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("flag", [True, False])
def test_cond(flag: bool) -> None:
    def run(t: Any, ops: Any, pred: Any, x: Any) -> Any:
        return ops["cond"](pred, lambda x: (x.sin(), x.sum()), lambda x: (x.cos(), x.max()), (x,))

    both(run, flag, numbers(4))
    both(run, [flag], numbers(4))


def test_while_loop() -> None:
    both(lambda t, ops, n, x: ops["while_loop"](lambda n, x: n < 5, lambda n, x: (n + 1, x.sin() + n), (n, x)),
         np.int64(0), numbers(3))


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("reverse", [True, False])
def test_scan(dim: int, reverse: bool) -> None:
    def run(t: Any, ops: Any, h: Any, xs: Any) -> Any:
        return ops["scan"](lambda h, x: (h * 0.5 + x, (h + x).sin()), h, xs, dim=dim, reverse=reverse)

    both(run, numbers(3), numbers(3, 3, seed=1))


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("reverse", [True, False])
def test_associative_scan(dim: int, reverse: bool) -> None:
    """The recurrence h = a h + b, as products of (a, b)."""
    def combine(left: Any, right: Any) -> Any:
        return left[0] * right[0], left[1] * right[0] + right[1]

    both(lambda t, ops, a, b: ops["associative_scan"](combine, (a, b), dim, reverse, combine_mode="generic"),
         numbers(5, 6), numbers(5, 6, seed=1))


def test_map() -> None:
    both(lambda t, ops, xs, y: ops["map"](lambda x, y: x @ y, xs, y), numbers(4, 3), numbers(3, 2, seed=1))


@pytest.mark.parametrize("reverse", [True, False])
def test_gradients_are_those_of_a_loop(reverse: bool) -> None:
    def ours(w: Any, h: Any, xs: Any) -> Any:
        h, ys = flambeau.scan(lambda h, x: ((h @ w + x).tanh(), h * x), h, xs, reverse=reverse)
        return h.sum() + (ys ** 2).sum()

    def theirs(w: Any, h: Any, xs: Any) -> Any:
        ys = []
        for x in xs.flip(0) if reverse else xs:
            ys.append(h * x)
            h = (h @ w + x).tanh()
        return h.sum() + (torch.stack(ys) ** 2).sum()

    compare(ours, theirs, [numbers(3, 3), numbers(2, 3, seed=1), numbers(6, 2, 3, seed=2)])
