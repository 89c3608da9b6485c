"""`autograd.Function` where torch is no oracle: in compiled steps, in loops, on the numpy engine, in what is printed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.graph import Graph
from flambeau.tracer.ir.recorder import capture, placeholder, recording
from flambeau.tracer.ir.types import Type
from flambeau.tracer.lazy import flush as lazy
from flambeau.tracer.ops.custom import custom_gradient
from flambeau.tracer.ops.scan import scan
from flambeau.tracer.walks.interpret import interpret
from flambeau.tracer.walks.reverse import pull_back

DATA = np.linspace(-1, 2, 6, dtype=np.float32)
traced: list[str] = []


class Clipped(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """x * k, whose gradient is clipped at `limit`."""

    @staticmethod
    def forward(ctx: Any, x: Any, k: float, limit: float) -> Any:
        traced.append("forward")
        ctx.save_for_backward(x)
        ctx.k, ctx.limit = k, limit
        return x * x * k

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        traced.append("backward")
        (x,) = ctx.saved_tensors
        return (g * 2 * x * ctx.k).clamp(max=ctx.limit) * torch.tensor(1.0), None, None


def expected(k: float, limit: float) -> Any:
    return np.minimum(2 * DATA * k, limit)


@pytest.fixture(autouse=True)
def nothing_traced() -> None:
    traced.clear()


def test_a_jitted_step_traces_it_once() -> None:
    w = torch.tensor(DATA, requires_grad=True)
    opt = torch.optim.SGD([w], lr=1.0)

    @torch.jit
    def step(k: float) -> Any:
        loss = Clipped.apply(w, k, 1.0).sum()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    now = DATA
    for k in (1.0, 2.0, 3.0):
        assert step(k).item() == pytest.approx((now * now * k).sum(), rel=1e-6)
        now = now - np.minimum(2 * now * k, 1.0)
        np.testing.assert_allclose(w.detach().numpy(), now, rtol=1e-6)
    assert traced == ["forward", "backward"] * 3  # what it appends, each call appends
    assert step.stats.compiles == 1


def test_a_jitted_forward_is_differentiated_outside() -> None:
    forward = torch.jit(lambda x, k: Clipped.apply(x * 1, k, 2.0).sum())
    for k in (1.0, 1.5):
        x = torch.tensor(DATA, requires_grad=True)
        forward(x, k).backward()
        np.testing.assert_allclose(x.grad.numpy(), expected(k, 2.0), rtol=1e-6)
    assert forward.stats.compiles == 1


def test_lazily_the_second_call_compiles_nothing() -> None:
    def run() -> Any:
        x = torch.tensor(DATA, requires_grad=True)
        Clipped.apply(x, 2.0, 3.0).sum().backward()
        return x.grad.numpy()

    for _ in range(2):  # the first runs what else was pending, too
        np.testing.assert_allclose(run(), expected(2.0, 3.0), rtol=1e-6)
    before = len(lazy.compiled)
    np.testing.assert_allclose(run(), expected(2.0, 3.0), rtol=1e-6)
    assert len(lazy.compiled) == before
    assert traced == ["forward", "backward"] * 3


def test_what_a_context_holds_is_freed_with_it() -> None:
    class Table(torch.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.table = Array((6,))
            refs.append(weakref.ref(ctx.table))
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * float(ctx.table.size)

    class Array(np.ndarray):  # type: ignore[type-arg]
        """Not comparable: it counts as another object in each call."""

    refs: list[Any] = []
    x = torch.tensor(DATA, requires_grad=True)
    for _ in range(4):
        x.grad = None
        Table.apply(x).sum().backward()
        assert x.grad.tolist() == [6.0] * 6
    gc.collect()
    assert sum(ref() is not None for ref in refs) <= 1


def test_on_numpy(numpy_engine: None) -> None:
    x = torch.tensor(DATA, requires_grad=True)
    Clipped.apply(x, 2.0, 3.0).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), expected(2.0, 3.0), rtol=1e-6)


def test_forward_may_leave_the_library_outside_traces() -> None:
    class Sine(torch.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.tensor(np.sin(x.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * torch.tensor(np.cos(ctx.saved_tensors[0].detach().numpy()))

    x = torch.tensor(DATA, requires_grad=True)
    (Sine.apply(x * 2) ** 2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * np.sin(2 * DATA) * np.cos(2 * DATA), rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError, match="value of a traced tensor was read"):
        torch.jit(Sine.apply)(x)


def test_nodes_carry_the_lines_of_forward_and_backward() -> None:
    def step(x: Any) -> Any:
        y = x.detach().requires_grad_()
        loss = Clipped.apply(y, 2.0, 3.0).sum()
        loss.backward()
        return loss, y.grad

    graph = torch.jit(step).trace(torch.tensor(DATA))
    *_, clamped = (node for node in graph.nodes if node.op.name == "select" and node.of is None)
    assert clamped.location == (__file__, Clipped.backward.__code__.co_firstlineno + 4)
    squares = [node for node in graph.nodes if node.op.name == "mul"]
    assert (__file__, Clipped.forward.__code__.co_firstlineno + 5) in [node.location for node in squares]
    with recording() as recorder:
        step(torch.tensor(DATA))
    assert clamped.location in [node.location for node in recorder.nodes if node.of and node.of.op is custom_gradient]


def test_errors_of_backward_are_raised_where_backward_is_called() -> None:
    class Broken(Clipped):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Broken.apply(torch.tensor(DATA, requires_grad=True), 1.0, 1.0).sum().backward()


class Tripled(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """x**3 with the tangent and the gradient of its own: 7 and 5 times what comes in."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x ** 3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 5


class Pushed(Tripled):
    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        return t * 7


def pushed(function: Callable[..., Any]) -> Any:
    """The tangent of a function of one float32 vector of 3, for a tangent of ones, by the op's forward rule."""
    kind = Type.of((3,), torch.float32)
    tangent = placeholder(kind)
    x = placeholder(kind, requires_grad=True)
    with recording() as recorder:
        out = function(torch.Tensor._of(x))._read()
        node = next(n for n in recorder.nodes if n.op is custom_gradient)
        moved = custom_gradient.jvp(  # type: ignore[misc]
            [tangent, *[None] * (len(node.inputs) - 1)], *node.inputs, **node.params)[1][0]
    del out
    graph = Graph([x, tangent], recorder.nodes, [moved])
    return interpret(graph, [np.arange(3, dtype=np.float32), np.ones(3, np.float32)])[0]


def test_forward_mode() -> None:
    assert pushed(Pushed.apply).tolist() == [7, 7, 7]
    assert pushed(Tripled.apply).tolist() == [5, 5, 5]  # without a jvp: the pull-back, transposed


def test_in_a_loop_body() -> None:
    kind = Type.of((3,), torch.float32)
    body = capture(lambda x: (Tripled.apply(torch.Tensor._of(x))._read(),), [kind])[0]
    x = placeholder(kind, requires_grad=True)
    g = placeholder(kind)
    with recording() as recorder:
        (out,) = scan(x, body=body, carried=1, scanned=0, length=2, reverse=False)
        found = pull_back([out], [g], [x])[x]
    result = interpret(Graph([x, g], recorder.nodes, [out, found]),
                       [np.array([1, 2, 0], np.float32), np.ones(3, np.float32)])
    assert result[0].tolist() == [1, 512, 0]
    assert result[1].tolist() == [25, 25, 25]
