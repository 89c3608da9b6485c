"""Results whose size depends on values: refused inside jit without a size, with one the same as outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError

X = [[0.0, 5.0, -1.0], [2.0, 0.0, 5.0]]


def both(call: Callable[[Any], Any], data: Any) -> Any:
    """What the call gives, jitted and not; asserted to be equal."""
    x = torch.tensor(data)
    outside, inside = call(x), torch.jit(call)(x)
    pairs = zip(outside, inside, strict=True) if isinstance(outside, tuple) else [(outside, inside)]
    for a, b in pairs:
        assert a.dtype is b.dtype and a.shape == b.shape and a.tolist() == b.tolist()
    return inside


# --- nonzero ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 2, 4, 6, 9])
@pytest.mark.parametrize("data", [X, [1, 0, 3], [[False, True]], [], [0.0, float("nan")]], ids=str)
def test_nonzero(data: Any, size: int) -> None:
    found = both(lambda x: torch.nonzero(x, size=size, fill_value=-7), data)
    rows = torch.nonzero(torch.tensor(data)).tolist()[:size]
    assert found.dtype is torch.int64 and found.shape == (size, np.ndim(data))
    assert found.tolist() == rows + [[-7] * np.ndim(data)] * (size - len(rows))


def test_nonzero_static_is_torchs() -> None:
    oracle = pytest.importorskip("torch")
    for shape in [(7,), (2, 3), (2, 0, 3), (2, 1, 2, 2), ()]:
        data = np.random.default_rng(0).integers(0, 2, shape)
        for size in (0, 3, 30):
            expected = oracle.nonzero_static(oracle.tensor(data), size=size, fill_value=5)
            found = both(lambda x, size=size: torch.nonzero_static(x, size=size, fill_value=5), data)
            assert found.tolist() == expected.tolist() and tuple(found.shape) == tuple(expected.shape)
    assert torch.tensor([0, 4]).nonzero_static(size=2).tolist() == [[1], [-1]]


def test_nonzero_as_tuple() -> None:
    rows, columns = both(lambda x: torch.nonzero(x, as_tuple=True, size=5, fill_value=0), X)
    assert rows.tolist() == [0, 0, 1, 1, 0] and columns.tolist() == [1, 2, 0, 2, 0]
    (places,) = both(lambda x: torch.nonzero(x, as_tuple=True, size=2), 4.0)
    assert places.tolist() == [0, -1]


# --- Masks ------------------------------------------------------------------------------------------------------------


def test_masked_select() -> None:
    assert both(lambda x: torch.masked_select(x, x > 0, size=2), X).tolist() == [5, 2]
    assert both(lambda x: x.masked_select(x > 0, size=5, fill_value=-1), X).tolist() == [5, 2, 5, -1, -1]
    assert both(lambda x: torch.masked_select(x, x[:, :1] == 0, size=4), X).tolist() == [0, 5, -1, 0]
    assert both(lambda x: torch.masked_select(x, x > 0, size=2), [0.5]).tolist() == [0.5, 0]
    assert torch.masked_select(torch.ones(0), torch.ones(0) > 0, size=2, fill_value=3).tolist() == [3, 3]


def test_gradients_of_selected_elements() -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    (torch.masked_select(x, x > 0, size=4, fill_value=9) ** 2).sum().backward()
    assert x.grad.tolist() == [2, 0, 6]


def test_a_mask_of_rows_through_positions() -> None:
    def rows(x: Any) -> Any:
        return x[torch.nonzero(x.sum(1) > 3, size=2, fill_value=0, as_tuple=True)]

    assert both(rows, [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]).tolist() == [[2, 2], [3, 3]]


def test_vmap_selects_in_each_example() -> None:
    x = torch.tensor([[1.0, -1.0, 2.0], [-1.0, -1.0, 3.0]])
    chosen = torch.vmap(lambda row: torch.masked_select(row, row > 0, size=2))(x)
    assert chosen.tolist() == [[1, 2], [3, 0]]


def test_one_compile_whatever_is_found() -> None:
    step = torch.jit(lambda x: torch.nonzero(x, size=3))
    assert [int((step(torch.tensor(row)) >= 0).sum()) for row in ([1, 1, 1], [0, 0, 1], [0, 0, 0])] == [3, 1, 0]
    assert step.stats.compiles == 1


# --- unique -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [X, [3, 1, 3, 3, 2], [7], [True, False, True]], ids=str)
def test_unique(data: Any) -> None:
    x = torch.tensor(data)
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
    extra = 2
    found = both(lambda x: torch.unique(x, return_inverse=True, return_counts=True, size=len(values) + extra), data)
    assert found[0].dtype is x.dtype and found[1].dtype is found[2].dtype is torch.int64
    assert found[0].tolist() == values.tolist() + [0] * extra
    assert found[1].tolist() == inverse.tolist()
    assert found[2].tolist() == counts.tolist() + [0] * extra


def test_unique_keeps_the_smallest() -> None:
    values, counts = both(lambda x: torch.unique(x, return_counts=True, size=2), [3, 1, 3, 2, 2])
    assert values.tolist() == [1, 2] and counts.tolist() == [1, 2]
    assert both(lambda x: x.unique(size=3, fill_value=9), [3, 3]).tolist() == [3, 9, 9]
    assert torch.unique(torch.zeros(0, dtype=torch.int64), size=2).tolist() == [0, 0]


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call, alternative", [
    (lambda x: x.nonzero(), "nonzero(x, size=n, fill_value=-1)"),
    (lambda x: torch.argwhere(x), "nonzero(x, size=n, fill_value=-1)"),
    (lambda x: torch.unique(x), "unique(x, size=n, fill_value=0)"),
    (lambda x: torch.masked_select(x, x > 0), "masked_select(x, mask, size=n)"),
    (lambda x: x[x > 0] + 1, "masked_select(x, mask, size=n)"),
    (lambda x: torch.unique_consecutive(x), "compare neighbours"),
    (lambda x: torch.bincount(x.long()), "scatter_add"),
])
def test_without_a_size_the_error_names_the_alternative(call: Callable[[Any], Any], alternative: str) -> None:
    with pytest.raises(TraceError) as caught:
        torch.jit(call)(torch.ones(3))
    assert alternative in str(caught.value)
    # The line is in the traceback, or, of what was chosen before and refused where it leaves the function, in the text.
    assert f"{Path(__file__).name}:" in str(caught.value) or any(
        str(entry.path) == __file__ and entry.name == "<lambda>" for entry in caught.traceback)


@pytest.mark.parametrize("call, error, message", [
    (lambda x: torch.nonzero(x, size=-1), RuntimeError, "non-negative"),
    (lambda x: torch.nonzero_static(x, size=1.5), TypeError, "must be int, not float"),
    (lambda x: torch.masked_select(x, x > 0, size=-1), RuntimeError, "non-negative"),
    (lambda x: torch.unique(x, size=2, dim=0), NotImplementedError, "dim=None"),
])
def test_errors(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(torch.ones(3))
