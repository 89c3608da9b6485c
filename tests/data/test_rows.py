"""Samples that are rows of tensors: what a data set is asked for costs no operation, and shares the data set's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.recorder import thread_recorder
from flambeau.tracer.tensor import viewed as tensors
from flambeau.utils.data import DataLoader, Dataset, default_collate


class Rows(Dataset[Any]):
    """Rows, changed by a function."""

    def __init__(self, x: torch.Tensor, change: Any = lambda row: row) -> None:
        self.x, self.change = x, change

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        return self.change(self.x[i])


X = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
VIEWS = {"whole": lambda x: x, "part": lambda x: x[2:9], "turned": lambda x: x.transpose(0, 1), "swapped": lambda x: x.mT,
         "steps": lambda x: x[::2], "columns": lambda x: x[:, :, 1], "backwards": lambda x: x.flip(0),
         "whole numbers": lambda x: x.long(),
         "one row": lambda x: x[:1], "narrow": lambda x: x[:, 1:, :2], "row of rows": lambda x: x[3]}


@pytest.mark.parametrize("name", VIEWS)
def test_a_batch_of_rows(name: str) -> None:
    """The rows of any view of a tensor, stacked, are numpy's."""
    x = VIEWS[name](torch.tensor(X))
    expected = x.numpy().copy()
    places = [i % len(x) for i in (3, 0, 3, 1, 5)]
    made = default_collate([x[i] for i in places])
    assert made.numpy().tolist() == expected[places].tolist()
    assert default_collate([(x[i], i) for i in places])[0].tolist() == expected[places].tolist()
    made.zero_()  # a batch's memory is its own
    assert x.numpy().tolist() == expected.tolist()


def test_rows_of_data_record_nothing_and_leave_nothing() -> None:
    x, y = torch.tensor(np.random.rand(6000, 4)), torch.arange(6000)
    assert y.tolist()[:2] == [0, 1]  # nothing is pending
    before, known = len(thread_recorder().nodes), len(tensors.view_types)
    batch = default_collate([(x[i], y[i]) for i in range(6000)])
    assert len(thread_recorder().nodes) == before
    assert len(tensors.view_types) <= max(known, tensors.REMEMBERED)
    assert batch[0].tolist() == x.tolist() and batch[1].tolist() == y.tolist()


def test_a_row_is_the_data_sets_memory() -> None:
    x = torch.tensor(X)
    row, data = x[1], Rows(x)
    x[1, 0, 0] = 99
    assert row[0, 0] == 99 and data[1][0, 0] == 99
    data[2].mul_(0)
    assert x[2].abs().sum() == 0
    read = x[4] + 1  # of the contents as they are now
    x[4] = 0
    assert read.tolist() == (X[4] + 1).tolist() and (x[4] + 1).tolist() == np.ones((2, 3)).tolist()
    shared = x.numpy()
    later = x[5]
    shared[5] = 7
    assert (later * 1).tolist() == np.full((2, 3), 7).tolist()


def test_rows_with_a_gradient_have_it() -> None:
    x = torch.tensor(X, requires_grad=True)
    default_collate([x[i] * 2 for i in (1, 1, 3)]).sum().backward()
    assert x.grad is not None and x.grad.sum(dim=(1, 2)).tolist() == [0, 24, 0, 12, 0, 0, 0, 0, 0, 0]


def test_a_batch_that_was_computed_is_started_alone() -> None:
    """Each batch is one program with the same structure, whatever the loop does with it."""
    x = torch.tensor(np.random.rand(64, 3).astype(np.float32))
    for batch in DataLoader(Rows(x, lambda row: (row - 0.5) / 0.25), 16):
        assert batch._storage.value.buffer is not None
    for many in DataLoader(Rows(x, lambda row: {"a": row.exp(), "b": [row * 2, "text"]}), 16):
        assert all(v._storage.value.buffer is not None for v in (many["a"], many["b"][0]))
    assert len(thread_recorder().nodes) == 0


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_stack(dim: int, shape: tuple[int, ...]) -> None:
    parts = [np.full(shape, float(i)) for i in range(4)]
    if dim == 1 and not shape:
        return
    found = torch.stack([torch.tensor(part) for part in parts], dim)
    assert found.shape == np.stack(parts, dim).shape and found.tolist() == np.stack(parts, dim).tolist()
