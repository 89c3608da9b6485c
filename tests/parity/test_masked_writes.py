"""`x[mask] = y[mask]` in a compiled step, against torch; what else is asked of `y[mask]` is refused as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.tracer.ir.errors import TraceError

torch = pytest.importorskip("torch")

X = np.arange(24.0, dtype=np.float32).reshape(4, 6) - 9
Y = -np.ones((4, 6), np.float32) * np.arange(6, dtype=np.float32)
M, ROWS, COLUMNS = X % 3 == 0, np.array([True, False, True, True]), np.arange(6) % 2 == 0


def same(t: Any, x: Any, y: Any, m: Any, r: Any, c: Any) -> None:
    x[m] = y[m]


WRITES: dict[str, Callable[..., Any]] = {
    "a mask": same, "of rows": lambda t, x, y, m, r, c: x.__setitem__(r, y[r]),
    "of columns": lambda t, x, y, m, r, c: x.__setitem__((slice(None), c), y[:, c]),
    "of columns by ...": lambda t, x, y, m, r, c: x.__setitem__((..., c), y[..., c]),
    "a mask made twice": lambda t, x, y, m, r, c: x.__setitem__(x > 0, y[x > 0]),
    "a compound mask": lambda t, x, y, m, r, c: x.__setitem__((x > 0) & ~m, y[(x > 0) & ~m]),
    "a mask that is a view": lambda t, x, y, m, r, c: x.__setitem__(m.t().t(), y[m.t().t()]),
    "a row": lambda t, x, y, m, r, c: x[1].__setitem__(c, y[2][c]),
    "an expression": lambda t, x, y, m, r, c: x.__setitem__(m, (y * 2 + x)[m]),
    "itself": lambda t, x, y, m, r, c: x.__setitem__(m, x[m]),
    "spread rows": lambda t, x, y, m, r, c: x.__setitem__(r, y[:, :1][r]),
    "y is written in between": lambda t, x, y, m, r, c: (z := y[m], y.zero_(), x.__setitem__(m, z)),
    "of nothing": lambda t, x, y, m, r, c: x.__setitem__(m & ~m, y[m & ~m])}


def step(t: Any, write: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, y: Any, m: Any, r: Any, c: Any) -> Any:
        x, w = x.clone(), y.clone().requires_grad_()
        write(t, x, w * 1, m, r, c)
        ((x * x).sum() + (w * 0).sum()).backward()  # there is a gradient, whatever was written
        return x.detach(), w.grad

    return run


@pytest.mark.parametrize("name", WRITES)
def test_a_write_through_the_same_mask(name: str) -> None:
    ours = [flambeau.tensor(a) for a in (X, Y, M, ROWS, COLUMNS)]
    wanted = step(torch, WRITES[name])(*map(torch.tensor, (X, Y, M, ROWS, COLUMNS)))
    jitted = flambeau.jit(step(flambeau, WRITES[name]))
    for run in (step(flambeau, WRITES[name]), jitted, jitted):
        for a, b in zip(run(*ours), wanted, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy())
    assert jitted.stats.compiles == 1


REFUSED: dict[str, Callable[..., Any]] = {
    "returned": lambda x, y, m: y[m], "a sum": lambda x, y, m: y[m].sum(), "an operator": lambda x, y, m: 2 * y[m],
    "len": lambda x, y, m: len(y[m]),
    "a shape": lambda x, y, m: y[m].shape, "a loop": lambda x, y, m: [v for v in y[m]],
    "another mask": lambda x, y, m: x.__setitem__(m, y[~m]), "a mask that was written": lambda x, y, m: (
        z := y[m], m.logical_not_(), x.__setitem__(m, z)), "a slice": lambda x, y, m: x.__setitem__(slice(None), y[m]),
    "other dimensions": lambda x, y, m: x.__setitem__(m, y.unsqueeze(2)[m]), "in place": lambda x, y, m: x[m].add_(1),
    "a function": lambda x, y, m: flambeau.nn.functional.relu(y[m]), "in a list": lambda x, y, m: flambeau.cat([y[m], y[m]]),
    "positions": lambda x, y, m: x.__setitem__((m, 0), y[m])}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_size_is_refused(name: str) -> None:
    run = flambeau.jit(lambda x, y, m: REFUSED[name](x, y, m))
    with pytest.raises((TraceError, IndexError)) as caught:
        run(*[flambeau.tensor(a) for a in (X, Y, M)])
    assert "requires the mask's values" in str(caught.value) or name == "positions"


def test_a_read_that_nobody_uses_is_no_error() -> None:
    assert flambeau.jit(lambda x, m: (x[m], x.sum())[1])(*[flambeau.tensor(a) for a in (X, M)]).item() == X.sum()
