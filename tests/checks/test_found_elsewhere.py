"""Mistakes that people reported of array programs: each is told here, and what is no mistake is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch

from ..engines import on_numpy


@pytest.fixture(autouse=True)
def numpy_engine() -> Any:
    with on_numpy():
        yield


def test_a_grid_of_another_size() -> None:
    """Positions from a larger grid, all by arrays, in a compiled function."""
    data, u = torch.ones(8, 8), torch.randn(5, 3)

    @torch.jit
    def advected(data: Any, u: Any) -> Any:
        rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
        return rows - u[rows, columns]

    with pytest.raises(IndexError, match="index 5 is out of bounds for dimension 0 with size 5"):
        advected(data, u).tolist()


def test_a_row_that_the_batch_has_not_under_grad() -> None:
    def loss(params: Any, observed: Any) -> Any:
        return ((params * observed)[20] * params[0]).sum()

    for update in (torch.func.grad(loss), torch.jit(torch.func.grad(loss))):
        with pytest.raises(IndexError, match="index 20 is out of bounds for dimension 0 with size 4"):
            update(torch.ones(10), torch.ones(4, 10))


def test_a_vocabulary_that_is_too_small() -> None:
    embedding = torch.nn.Embedding(50, 4)
    encode = torch.jit(lambda words: embedding(words).mean(-2))
    with pytest.raises(IndexError, match="50 is not in"):
        encode(torch.arange(51)).tolist()
    with pytest.raises(IndexError, match="index out of range in self"):
        torch.eye(3).index_select(0, torch.tensor([4]))


@pytest.mark.parametrize("bound", [None, 8])
def test_lanes_of_a_loop_that_are_done_keep_running_masked(bound: int | None) -> None:
    def body(x: Any) -> tuple[Any]:
        torch.debug.check(x < 5, "should never happen")
        return (x + 1,)

    run = torch.jit(torch.vmap(lambda x: torch.while_loop(lambda x: x < 5, body, (x,), max_steps=bound)[0]))
    assert run(torch.arange(5)).tolist() == [5] * 5


def test_a_lane_of_a_loop_that_fails() -> None:
    def body(n: Any, v: Any) -> tuple[Any, Any]:
        torch.debug.check(v > 0, "value must be positive")
        return n - 1, v - 1

    run = torch.jit(torch.vmap(lambda n, v: torch.while_loop(lambda n, v: n > 0, body, (n, v))[1]))
    assert run(torch.tensor([1, 2, 3]), torch.tensor([5, 2, 4])).tolist() == [4, 0, 1]
    with pytest.raises(RuntimeError, match="value must be positive"):
        run(torch.tensor([1, 3, 3]), torch.tensor([5, 2, 4])).tolist()


def test_a_target_of_minus_one_and_then_a_good_one() -> None:
    """On a GPU the whole process is lost; here the next call is as good as the first."""
    model = torch.nn.Linear(4, 3)
    loss = torch.jit(lambda x, y: torch.nn.functional.cross_entropy(model(x), y))
    with pytest.raises(IndexError, match=r"^Target -1 is out of bounds\."):
        loss(torch.ones(2, 4), torch.tensor([0, -1])).item()
    assert np.isfinite(loss(torch.ones(2, 4), torch.tensor([0, 1])).item())


INNER = {
    "nonzero of a fixed size": lambda x: x.gt(0).nonzero_static(size=5),
    "masked_select of a fixed size": lambda x: torch.masked_select(x, x > 0, size=5),
    "sort": lambda x: x.sort().values, "topk": lambda x: x.topk(3).values, "kthvalue": lambda x: x.kthvalue(2).values,
    "mode": lambda x: x.mode().values, "median": lambda x: x.median(), "quantile": lambda x: x.quantile(0.3),
    "nanquantile": lambda x: x.nanquantile(torch.tensor([0.0, 1.0])), "cummax": lambda x: x.cummax(0).values,
    "roll": lambda x: x.roll(2), "bucketize": lambda x: torch.bucketize(x, torch.tensor([0.0, 1.0])),
    "histc": lambda x: x.histc(4), "masked_scatter": lambda x: x.masked_scatter(x > 0, x), "tril": lambda x: x[None].tril(),
    "max_pool1d": lambda x: torch.nn.functional.max_pool1d(x[None], 2), "gcd": lambda x: torch.gcd(x.long(), x.long()),
    "lcm": lambda x: torch.lcm(x.long(), x.long()), "multinomial": lambda x: torch.multinomial(x.abs(), 2),
    "randperm": lambda x: x[torch.randperm(8)], "unfold": lambda x: x.unfold(0, 3, 2), "diag": lambda x: x.diag()}


@pytest.mark.parametrize("name", INNER)
def test_what_functions_do_inside_is_no_mistake(name: str) -> None:
    x = torch.tensor([3.0, -1.0, 2.0, 4.0, 5.0, -2.0, 0.0, 1.0])
    torch.jit(INNER[name])(x).tolist()
    torch.synchronize()
