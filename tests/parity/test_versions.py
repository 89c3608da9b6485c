"""`x._version` counts the writes in place to a memory, as PyTorch's does; a compiled step's at each call."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau
from flambeau.tracer.ir.errors import TraceError

from ..engines import on_numpy
from ..three_ways import check_alike

oracle = pytest.importorskip("torch")


def writes(torch: Any, jit: Any) -> Any:
    x = torch.ones(3)
    seen = [x._version]
    x.add_(1)
    x[0] = 2
    x[:2].mul_(3)
    x.detach().sub_(1)
    torch.add(x, 1, out=x)
    torch.nn.init.ones_(x)
    x.requires_grad_()
    seen += [x._version, x[:1]._version, (x + 1)._version]
    with torch.no_grad():
        x.zero_()
        x[1:].fill_(2)
        x.copy_(torch.ones(3))
    return [*seen, x._version]


def state_of_a_step(torch: Any, jit: Any) -> Any:
    m, b = torch.nn.Linear(2, 1), torch.zeros(3)
    optimizer, before = torch.optim.Adam(m.parameters()), m.weight._version

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        m(x).sum().backward()
        optimizer.step()
        b.add_(1)
        b[0] = 2
        made = torch.ones(2)
        made.add_(1)
        return made._version

    jitted, seen = jit(step), list[Any]()
    for _ in range(4):
        seen += [jitted(torch.ones(1, 2)), b._version, m.weight._version - before]
    b.add_(1)
    return [*seen, b._version]


def an_argument(torch: Any, jit: Any) -> Any:
    jitted, x, seen = jit(lambda x: x.add_(1)), torch.ones(2), list[Any]()
    for _ in range(3):
        jitted(x)
        seen.append(x._version)
    return seen


@pytest.mark.parametrize("scenario", [writes, state_of_a_step, an_argument])
def test_writes_are_counted(scenario: Any) -> None:
    check_alike(scenario, oracle)


def test_of_a_tensor_from_outside_a_step_does_not_ask() -> None:
    x = flambeau.ones(1)
    with on_numpy(), pytest.raises(TraceError, match="_version of a tensor from outside"):
        flambeau.jit(lambda: x * x._version)()
