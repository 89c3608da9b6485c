"""Outside jit: where a slice starts is an input of the program, and the bits do not depend on what ran before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.lazy import flush as lazy

from ..engines import on_numpy

ROWS, COLUMNS = 96, 1000  # above what runs on the host


def table(grad: bool = False) -> Any:
    numbers = torch.tensor(np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32))
    numbers.sum().item()
    return numbers.requires_grad_() if grad else numbers


def compiles(loop: Callable[[], Any]) -> int:
    before = len(lazy.compiled)
    loop()
    return len(lazy.compiled) - before


# What a position says where to look.
READS: dict[str, Callable[[Any, int], Any]] = {
    "rows": lambda x, i: x[i:i + 8], "columns": lambda x, i: x[:, i:i + 9], "both": lambda x, i: x[i:i + 8, 2 * i:2 * i + 5],
    "row": lambda x, i: x[i], "column": lambda x, i: x[:, i], "element": lambda x, i: x[i, i], "last": lambda x, i: x[-1 - i],
    "steps": lambda x, i: x[i:i + 20:3], "narrow": lambda x, i: x.narrow(1, i, 50), "select": lambda x, i: x.select(0, i),
    "narrow_copy": lambda x, i: x.narrow(0, i, 4).clone(), "roll": lambda x, i: x.roll(i, 0), "flat roll": lambda x, i: x.roll(i),
    "rolls": lambda x, i: x.roll((i, -i), (0, 1)), "chunk": lambda x, i: x.chunk(48)[i], "split": lambda x, i: x.split(4)[i],
    "of a transpose": lambda x, i: x.t()[i:i + 8], "of a reshape": lambda x, i: x.view(-1)[i * 8:i * 8 + 8],
    "of a slice": lambda x, i: x[1:][i:i + 3], "diagonal": lambda x, i: x.diagonal(i), "unsqueeze": lambda x, i: x[i:i + 2, None],
    "as_strided": lambda x, i: x.as_strided((3, 4), (2, 5), i), "unbind": lambda x, i: x.unbind(0)[i],
    "index_select": lambda x, i: x.index_select(0, torch.arange(i, i + 3)), "list": lambda x, i: x[[i, i + 1]],
}
CONSUMERS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda y: y.sum(), "mean": lambda y: y.mean(-1), "exp": lambda y: (y.exp() * y - 0.3).sum(0),
    "norm": lambda y: y.norm(), "softmax": lambda y: y.softmax(-1), "std": lambda y: y.std(), "cumsum": lambda y: y.cumsum(0),
    "max": lambda y: y.amax(-1), "product": lambda y: y.reshape(-1) @ y.reshape(-1), "copy": lambda y: y.clone()}
EXTENT = {"diagonal"}  # a position there is an extent, too
IN_CONSTANTS = {"as_strided", "index_select"}  # where the position is a number that becomes an input once it changes


@pytest.mark.parametrize("read", [name for name in READS if name not in EXTENT])
def test_a_loop_over_positions_is_one_program(read: str) -> None:
    x = table()
    lazy._entries.clear()
    expected = 2 if read in IN_CONSTANTS else 1
    assert compiles(lambda: [READS[read](x, i).exp().sum().item() for i in range(1, 24)]) == expected


@pytest.mark.parametrize("read", READS)
@pytest.mark.filterwarnings("ignore:std")  # of one element
def test_the_bits_do_not_depend_on_what_was_compiled_before(read: str) -> None:
    """All consumers in one program, so that it compiles once; alone, and after the loop came to other positions."""
    x = table()

    def run(i: int) -> list[bytes]:
        results = [consume(READS[read](x, i)) for consume in CONSUMERS.values()]
        torch.stack([r.sum() for r in results]).tolist()
        return [r.numpy().tobytes() for r in results]
    alone = []
    for i in (3, 23):
        lazy._entries.clear()
        alone.append(run(i))
    lazy._entries.clear()
    run(1)
    run(2)
    assert [run(i) for i in (3, 23)] == alone


def test_moved_slices_are_the_elements() -> None:
    x = table()
    array = np.array(x)
    for i in range(0, 88, 8):
        assert (x[i:i + 8].clone().numpy() == array[i:i + 8]).all()
        assert (x.roll(i, 0).numpy() == np.roll(array, i, 0)).all()
        assert (x[i // 2:i // 2 + 20:3].clone().numpy() == array[i // 2:i // 2 + 20:3]).all()


WRITES: dict[str, Callable[[Any, int], Any]] = {
    "fill": lambda x, i: x[i:i + 4].fill_(2.0), "set": lambda x, i: x.__setitem__(slice(i, i + 4), 1.5),
    "add": lambda x, i: x[i].add_(1), "column": lambda x, i: x[:, i].mul_(2), "steps": lambda x, i: x[i:i + 9:2].neg_(),
    "copy": lambda x, i: x.narrow(0, i, 3).copy_(x.narrow(0, 60, 3)), "both": lambda x, i: x[i:i + 2, i:i + 3].zero_(),
    "out": lambda x, i: torch.exp(x[60], out=x[i])}


@pytest.mark.parametrize("write", WRITES)
def test_writes_at_positions_are_one_program(write: str) -> None:
    def loop(x: Any, clear: bool = False) -> list[float]:
        seen = []
        for i in range(1, 12):
            if clear:
                lazy._entries.clear()
            WRITES[write](x, i)
            seen.append(x.sum().item())
        return seen
    x, y = table(), table()
    sums: list[float] = []
    assert compiles(lambda: sums.extend(loop(x))) == 1
    with on_numpy():
        expected = table()
        loop(expected)
    np.testing.assert_allclose(x.numpy(), expected.numpy(), rtol=1e-6)
    assert loop(y, clear=True) == sums


@pytest.mark.parametrize("read", ["rows", "columns", "row", "steps", "narrow", "of a slice"])
def test_gradients_at_positions(read: str) -> None:
    x, seen = table(grad=True), []

    def loop() -> None:
        for i in range(8):
            x.grad = None
            READS[read](x, i).square().sum().backward()
            seen.append(x.grad.numpy().tobytes())
    assert compiles(loop) <= 2
    for i in (1, 6):
        lazy._entries.clear()
        x.grad = None
        READS[read](x, i).square().sum().backward()
        assert x.grad.numpy().tobytes() == seen[i]


def test_an_epoch_of_mini_batches() -> None:
    """A smaller last batch is a shape of its own."""
    x, y = table(), torch.arange(ROWS) % 10
    layer = torch.nn.Linear(COLUMNS, 10)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)

    def epoch() -> None:
        for i in range(0, ROWS, 10):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(x[i:i + 10]), y[i:i + 10]).backward()
            optimizer.step()
    epoch()
    assert compiles(epoch) == 0


def test_two_literals_and_a_start() -> None:
    """A constant that is seen with a second value is told of; a start is no news."""
    x = table()
    for i in (0, 8):
        (x[i:i + 8] * 2.0).sum().item()
    assert lazy.compiled[-1].difference == "first of its structure"
    (x[3:11] * 2.5).sum().item()
    assert lazy.compiled[-1].difference == "number(s) 2.0 changed and became inputs"
