"""Positions in tensors without elements: what torch looks at, and what it gives; by every function that takes positions."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

oracle = pytest.importorskip("torch")

SHAPES = [(2, 0), (0, 3), (0, 0), (2, 3), (2, 3, 0), (2, 0, 3), (0,)]
INDICES: dict[str, Callable[[Any], Any]] = {
    "beyond": lambda t: t.tensor([2, 0]), "one beyond": lambda t: t.tensor([7]), "before": lambda t: t.tensor([-3]),
    "first": lambda t: t.tensor([0]), "last": lambda t: t.tensor([-1]), "none": lambda t: t.zeros(0, dtype=t.int64),
    "a list": lambda t: [2, 0], "an array": lambda t: np.array([5]), "rows of none": lambda t: t.zeros(0, 1, dtype=t.int64),
    "0-d": lambda t: t.tensor(7), "a mask": lambda t: t.tensor([False, False])}


def changed(x: Any, change: Callable[[Any], Any]) -> Any:
    change(x)
    return x


def rest(x: Any, index: Any, dim: int = 0) -> tuple[int, ...]:
    """The shape of slices at these positions."""
    shape = list(x.shape)
    shape[dim] = len(index)
    return tuple(shape)


ROWS: dict[str, Callable[[Any, Any, Any], Any]] = {  # all sorts of positions in front
    "x[i]": lambda t, x, i: x[i], "x[i, :]": lambda t, x, i: x[i, :], "x[..., i]": lambda t, x, i: x[..., i],
    "x[i, i]": lambda t, x, i: x[i, i], "x[i, [0]]": lambda t, x, i: x[i, [0]], "x[0:0, i]": lambda t, x, i: x[0:0, i],
    "x[i, 0:0]": lambda t, x, i: x[i, 0:0], "x[i, none]": lambda t, x, i: x[i, t.zeros(0, 1, dtype=t.int64)],
    "x[i] = 1": lambda t, x, i: changed(x, lambda x: x.__setitem__(i, 1.0)),
    "x[i, i] = 1": lambda t, x, i: changed(x, lambda x: x.__setitem__((i, i), 1.0)),
    "x[0:0, i] = 1": lambda t, x, i: changed(x, lambda x: x.__setitem__((slice(0, 0), i), 1.0)),
    "x[i] += 1": lambda t, x, i: changed(x, lambda x: x.__setitem__(i, x[i] + 1))}
VECTORS: dict[str, Callable[[Any, Any, Any], Any]] = {  # vectors of them alone
    "index_put": lambda t, x, i: x.index_put((i,), t.zeros(rest(x, i))),
    "index_put(accumulate)": lambda t, x, i: x.index_put((i,), t.ones(rest(x, i)), accumulate=True),
    "index_select": lambda t, x, i: x.index_select(0, i), "index_select last": lambda t, x, i: x.index_select(-1, i),
    "index_add": lambda t, x, i: x.index_add(0, i, t.ones(rest(x, i))),
    "index_add last": lambda t, x, i: x.index_add(-1, i, t.ones(rest(x, i, -1))),
    "take": lambda t, x, i: x.take(i), "put": lambda t, x, i: x.put(i, t.ones(len(i))),
    "gather": lambda t, x, i: x.gather(0, i.view(-1, *(1,) * (x.ndim - 1)).expand(rest(x, i))),
    "take_along_dim": lambda t, x, i: x.take_along_dim(i.view(-1, *(1,) * (x.ndim - 1)), 0),
    "embedding": lambda t, x, i: t.nn.functional.embedding(i, x)}
# torch computes a pointer before it looks, and fails at that: where it says so, ours says which position it was.
SLICES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "index_copy": lambda t, x, i: x.index_copy(0, i, t.ones(rest(x, i))),
    "index_fill": lambda t, x, i: x.index_fill(0, i, 1.0)}
VECTOR = ("beyond", "one beyond", "before", "first", "last", "none")
CASES = [*itertools.product(ROWS, INDICES), *itertools.product((*VECTORS, *SLICES), VECTOR)]


def outcome(torch: Any, op: str, shape: tuple[int, ...], index: str, wrap: Callable[[Any], Any]) -> Any:
    function = (ROWS | VECTORS | SLICES)[op]
    try:
        found = wrap(lambda: function(torch, torch.zeros(shape), INDICES[index](torch)))()
    except (IndexError, RuntimeError) as error:  # a ValueError of ours would be one from inside
        return "refused" if op in (*SLICES, "index_select", "index_select last", "embedding") else type(error).__name__
    return tuple(found.shape), found.tolist()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_positions_in_nothing(shape: tuple[int, ...], numpy_engine: None) -> None:
    wrong = []
    for op, index in CASES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = outcome(oracle, op, shape, index, lambda f: f)
            for how, wrap in (("lazily", lambda f: f), ("jitted", flambeau.jit)):
                found = outcome(flambeau, op, shape, index, wrap)
                wrong += [f"{op}, {index}, {how}: {found}, torch {wanted}"] if found != wanted else []
    assert not wrong, "\n".join(wrong)
