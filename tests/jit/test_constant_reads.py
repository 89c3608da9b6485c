"""What a step makes of nothing but data of its own is the same at every call: its values may be looked at."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.tracer.ir.errors import TraceError

X = torch.arange(16.0).reshape(4, 4) / 7


def off_diagonal(x: Any) -> Any:
    return x[~torch.eye(4).bool()].view(4, 3)


def contrastive(x: Any) -> Any:
    """The loss of SimCLR, as its notebooks have it."""
    similarity = F.cosine_similarity(x[:, None, :], x[None, :, :], dim=-1)
    own = torch.eye(similarity.shape[0], dtype=torch.bool)
    similarity = similarity.masked_fill(own, -9e15)
    positive = own.roll(shifts=similarity.shape[0] // 2, dims=0)
    return (-similarity[positive] + torch.logsumexp(similarity, dim=-1)).mean()


def upper_triangle(x: Any) -> Any:
    return x[torch.triu(torch.ones(4, 4), diagonal=1) == 1] * 2


def written_through_a_mask(x: Any) -> Any:
    y = x.clone()
    y[torch.tensor([True, False, True, False])] = torch.tensor([[1.0], [2.0]])
    return y


def a_loop_over_numbers(x: Any) -> Any:
    total = torch.zeros(())
    for i in torch.arange(0, 4, 2).tolist():
        total = total + x[i].sum()
    return total


def a_condition(x: Any) -> Any:
    weights = torch.tensor([0.25, 0.75])
    return x * 2 if weights.sum() == 1 else x


def one_element(x: Any) -> Any:
    return x.narrow(0, torch.tensor(3).item() - 2, int(torch.linspace(0, 2, 3)[-1]))


def positions(x: Any) -> Any:
    rows = torch.nonzero(torch.tensor([0, 1, 0, 1]))
    return x[rows[:, 0]]


def chosen(x: Any) -> Any:
    return torch.masked_select(x, torch.arange(16).reshape(4, 4) % 3 == 0)


def distinct(x: Any) -> Any:
    return x[torch.unique(torch.tensor([3, 1, 3]))]


def as_numpy(x: Any) -> Any:
    return x * float(torch.ones(3).numpy().sum())


def split_by_sizes(x: Any) -> Any:
    return torch.cat(x.split(torch.tensor([1, 3]).tolist())[::-1])


CASES = [off_diagonal, contrastive, upper_triangle, written_through_a_mask, a_loop_over_numbers, a_condition, one_element,
         positions, chosen, distinct, as_numpy, split_by_sizes]


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_constants_are_looked_at(function: Any) -> None:
    step, one, other = torch.jit(function), X.clone().requires_grad_(), X.clone().requires_grad_()
    for scale in (1.0, 2.5):
        got, wanted = step(one * scale), function(other * scale)
        assert got.shape == wanted.shape
        assert torch.allclose(got, wanted)
        got.sum().backward()
        wanted.sum().backward()
        assert torch.allclose(one.grad, other.grad)
    assert step.stats.compiles == 1


OUTSIDE = torch.tensor([True, False, True, False])

# What depends on the call, or on memory outside, which another call may find changed.
REFUSED: dict[str, Any] = {
    "argument": lambda x, n: x[x > 0.5] @ x,
    "argument and constant": lambda x, n: x.sum().item(),
    "memory outside": lambda x, n: bool(OUTSIDE.any()),
    "random": lambda x, n: torch.rand(2).tolist(),
    "written": lambda x, n: torch.zeros(2).copy_(x[0, :2]).tolist(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_all_else_is_refused(numpy_engine: None, name: str) -> None:
    with pytest.raises((TraceError, RuntimeError), match=r"traced|mask"):
        torch.jit(REFUSED[name])(X, 1.5)


# Made of constants and a number: a program for each number.
LOOKED_AT: dict[str, Any] = {
    "list": lambda x, n: x * sum((torch.arange(4) * n).tolist()),
    "mask": lambda x, n: x[torch.arange(4) < n] @ x.T[:, :2],
    "positions": lambda x, n: x[torch.nonzero(torch.tensor([1, 3, 0]) > n)[:, 0]],
    "item": lambda x, n: x * torch.tensor([1.0, 2.0, 4.0, 8.0])[n].item(),
    "shape": lambda x, n: x.new_zeros(int(torch.tensor(n) + 1)),
}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_numbers_are_looked_at(numpy_engine: None, name: str) -> None:
    step = torch.jit(LOOKED_AT[name])
    for n in (1, 2, 1, 2):
        assert step(X, n).tolist() == LOOKED_AT[name](X, n).tolist()
    assert step.stats.compiles == 2


def test_a_mask_made_with_a_number_is_one_program_to_write(numpy_engine: None) -> None:
    def write(x: Any, n: Any) -> Any:
        x, mask = x.clone(), torch.arange(4) < n
        x[mask] = (x * 2)[mask]
        return x

    step = torch.jit(write)
    for n in (1, 2, 3):
        assert step(X, n).tolist() == write(X, n).tolist()
    assert step.stats.compiles == 1


def test_not_inside_of_transforms(numpy_engine: None) -> None:
    """There a value may be another one for each example."""
    with pytest.raises((TraceError, RuntimeError)):
        torch.jit(lambda x: torch.func.vmap(lambda row: row[row > 0].sum())(x))(X)
    kept = torch.jit(lambda x: torch.func.vmap(lambda row: row[torch.tensor([True, False, True, False])])(x))
    try:
        assert kept(X).tolist() == X[:, [0, 2]].tolist()
    except (TraceError, RuntimeError) as error:
        assert "mask" in str(error) or "value" in str(error)


def test_what_was_written_is_read(numpy_engine: None) -> None:
    def step(x: Any) -> Any:
        table = torch.zeros(3, dtype=torch.int64)
        table[1] = 2
        table += 1
        return x * table.tolist()[1]

    assert torch.jit(step)(X).tolist() == (X * 3).tolist()
