"""`amp_report()`: which functions computed in which dtype, what was cast where, and what is in float32 without need."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F


def line_of(function: Callable[..., Any], text: str) -> str:
    """Where a text stands in a function's source."""
    lines, first = inspect.getsourcelines(function)
    return f"test_amp_report.py:{first + next(i for i, line in enumerate(lines) if text in line)}"


def table(rows: Any) -> list[tuple[int, str, str]]:
    return [(row.count, row.name, row.what) for row in rows]


class Net(nn.Module):
    """Two layers, and a bias that is in no list."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)
        self.bias = nn.Parameter(torch.ones(2))

    def forward(self, x: Any) -> Any:
        h = self.second(self.norm(self.first(x)))
        return torch.relu(h + self.bias)


def trained() -> Any:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    @torch.jit
    def step(x: Any, y: Any) -> Any:
        with torch.autocast("cpu"):
            loss = F.cross_entropy(net(x), y)
        gram = x @ x.T
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss, gram

    step(torch.ones(5, 3), torch.tensor([0, 1, 0, 1, 1]))
    return step


def test_a_training_step() -> None:
    report = trained().amp_report()
    assert table(report.functions) == [(1, "linear", "bfloat16"), (1, "linear", "bfloat16"), (1, "cross_entropy", "float32")]
    assert table(report.casts) == [(3, "linear", "float32 -> bfloat16"), (2, "linear", "float32 -> bfloat16")]
    assert table(report.kept) == [(1, "cross_entropy", "on the list of functions that need float32's range or precision")]
    assert table(report.unneeded) == [(1, "add", "bfloat16 met float32 in bias: cast that"),
                                      (1, "dot", "a product outside of autocast: put it into the block")]
    assert report.operations["bfloat16"] >= 5 and report.operations["float32"] > 20  # a bias is added before rounding


def test_places_are_the_users() -> None:
    report = trained().amp_report()
    layers = line_of(Net.forward, "self.second")
    assert [row.where.rpartition("/")[2] for row in report.functions] == [
        f"{layers} first", f"{layers} second", line_of(trained, "F.cross_entropy")]
    assert [row.where.rpartition("/")[2] for row in report.unneeded] == [
        line_of(Net.forward, "self.bias"), line_of(trained, "gram =")]


def test_the_text() -> None:
    report = trained().amp_report()
    lines = str(report).splitlines()
    assert repr(report) == str(report)
    assert lines[0].startswith("step: ") and lines[0].endswith("(operations on floating-point numbers)")
    titles = [line for line in lines if line and line[0] != " "][1:]
    assert titles == ["functions under autocast: 3", "casts inserted: 5", "kept in float32: 1", "in float32 without need: 2"]
    assert any("linear" in line and "first" in line and "float32 -> bfloat16" in line for line in lines)


def reported(body: Callable[..., Any], *args: Any, **options: Any) -> Any:
    @torch.jit
    def step(*args: Any) -> Any:
        with torch.autocast("cpu", **options):
            return body(*args)

    step(*args)
    return step.amp_report()


X = torch.ones(3, 3)
BODIES: dict[str, tuple[Callable[[Any], Any], list[Any], list[str]]] = {
    # name: what runs, the kept functions with a part of their reason, what is not needed
    "nothing of a list": (lambda x: x + 1, [], []),
    "a product": (lambda x: x @ x, [], []),
    "a product and a number": (lambda x: (x @ x) * 2 + 1, [], []),
    "a cast of one's own": (lambda x: (x @ x).float() * 2, [], []),
    "a sum that the user makes wide": (lambda x: (x @ x).float().sum(), [], []),
    "a layer that computes in float32 inside": (lambda x: F.layer_norm(x @ x, (3,)), [], []),
    "softmax": (lambda x: F.softmax(x @ x, 0), [], []),
    "a product and a parameter": (lambda x: x @ x * x, [], ["mul"]),
    "a chain after it": (lambda x: (x @ x - x).relu() * 2, [], ["sub"]),
    "a loss": (lambda x: F.mse_loss(x @ x, x), [("mse_loss", "range or precision")], []),
    "cat": (lambda x: torch.cat([x @ x, x]), [("cat", "widest")], []),
    "cat of narrow ones": (lambda x: torch.cat([x @ x, x @ x]), [], []),
    "a decomposition": (lambda x: torch.linalg.inv(torch.eye(3) + 0 * x), [("inv", "range or precision")], []),
    "a pool with a condition": (lambda x: F.max_pool3d(x.view(1, 1, 1, 3, 3), 1), [("max_pool3d", "no indices")], []),
    "what the CPU leaves": (lambda x: torch.mv(x, x[0]), [("mv", "on no list")], []),
    "a loop": (lambda x: torch.scan(lambda c, y: (c @ c, y), x.bfloat16(), torch.arange(2))[0], [], []),
    "a disabled block": (lambda x: torch.autocast("cpu", enabled=False)(lambda: x @ x)(), [], []),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_kept_and_what_not_needed(name: str) -> None:
    body, kept, unneeded = BODIES[name]
    report = reported(body, X)
    assert [row.name for row in report.kept] == [name for name, _ in kept]
    assert all(reason in row.what for row, (_, reason) in zip(report.kept, kept, strict=True))
    assert [row.name for row in report.unneeded] == unneeded


def test_each_dtype_and_what_is_not_cast() -> None:
    report = reported(lambda x: x @ x, X, dtype=torch.float16)
    assert table(report.casts) == [(2, "matmul", "float32 -> float16")]
    report = reported(lambda x: (x @ x, x.double() @ x.double()), X)
    assert table(report.functions) == [(1, "matmul", "bfloat16"), (1, "matmul", "float64")]
    assert table(report.casts) == [(2, "matmul", "float32 -> bfloat16")]
    report = reported(lambda x: F.mse_loss(x, x), X.bfloat16())
    assert table(report.casts) == [(2, "mse_loss", "bfloat16 -> float32")]


def test_equal_calls_are_one_row() -> None:
    def body(x: Any) -> Any:
        for _ in range(4):
            x = x @ x
        return x

    report = reported(body, X)
    assert table(report.functions) == [(4, "matmul", "bfloat16")]
    assert table(report.casts) == [(2, "matmul", "float32 -> bfloat16")]


def test_without_autocast() -> None:
    step = torch.jit(lambda x: x @ x, name="plain")
    with pytest.raises(RuntimeError, match="has not been called yet"):
        step.amp_report()
    step(X)
    report = step.amp_report()
    assert str(report) == "plain: autocast did nothing in it" and not (report.functions or report.unneeded)
    with torch.autocast("cpu"):
        step(X)
    assert table(step.amp_report().functions) == [(1, "matmul", "bfloat16")]
    step(X)
    assert not step.amp_report().functions  # the latest call's


def test_a_compiled_module() -> None:
    net = torch.jit(Net())
    with torch.autocast("cpu"):
        net(torch.ones(5, 3))
    assert len(net.amp_report().functions) == 2
