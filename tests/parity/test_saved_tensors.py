"""What `ctx.saved_tensors` gives to a backward, against torch: which require gradients, which are leaves, and where they lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

Log = list[Any]


def function_of(t: Any, log: Log, separate: bool) -> Any:
    """x * w, which saves all kinds of tensors and notes what it gets back."""

    class Product(t.autograd.Function):
        if separate:
            @staticmethod
            def forward(x: Any, w: Any, k: Any) -> Any:
                return x * w

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                x, w, k = inputs
                ctx.save_for_backward(x, w, k, output, None, x)
        else:
            @staticmethod
            def forward(ctx: Any, x: Any, w: Any, k: Any) -> Any:
                y = x * w
                ctx.save_for_backward(x, w, k, y, None, x + 1)
                ctx.kept = w
                return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            log.append([None if s is None else (s.requires_grad, s.is_leaf, s.grad_fn is None) for s in ctx.saved_tensors])
            log.append((ctx.needs_input_grad, getattr(ctx, "kept", g.detach()).requires_grad))
            x, w = ctx.saved_tensors[:2]
            return g * w if x.requires_grad else None, g * x if w.requires_grad else None, None

    return Product


INPUTS: dict[str, Callable[[Any, Any], Any]] = {
    "a leaf": lambda t, x: x,
    "not a leaf": lambda t, x: x * 2,
    "detached": lambda t, x: x.detach(),
    "a parameter": lambda t, x: t.nn.Parameter(x.detach()),
    "a view": lambda t, x: x.reshape(2, 1).reshape(2),
    "frozen": lambda t, x: t.nn.Parameter(x.detach(), requires_grad=False),
}


def backward(t: Any, out: Any, w: Any) -> Any:
    out.backward()


def twice(t: Any, out: Any, w: Any) -> Any:
    out.backward(retain_graph=True)
    out.backward()


def differentiated(t: Any, out: Any, w: Any) -> Any:
    g, = t.autograd.grad(out, [w], create_graph=True, allow_unused=True)
    if g is not None and g.requires_grad:
        g.sum().backward()


WALKS: dict[str, Callable[..., Any]] = {"backward": backward, "twice": twice, "differentiated": differentiated,
                                        "grad": lambda t, out, w: t.autograd.grad(out, [w], allow_unused=True)}


def seen(t: Any, first: str, second: str, walk: str, separate: bool, run: Callable[[Any], Any] = lambda f: f()) -> Any:
    log: Log = []
    product = function_of(t, log, separate)
    x, w = (t.tensor(values, requires_grad=True) for values in ([1.0, 2.0], [3.0, 4.0]))

    def body() -> None:
        a, b = INPUTS[first](t, x), INPUTS[second](t, w)
        out = product.apply(a, b, t.tensor(3)).sum()
        if out.requires_grad:
            WALKS[walk](t, out, b)

    run(body)
    return log, [None if v.grad is None else v.grad.tolist() for v in (x, w)]


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("first", INPUTS)
def test_saved(first: str, walk: str, jitted: bool, numpy_engine: None) -> None:
    run = (lambda f: flambeau.jit(f)()) if jitted else (lambda f: f())
    for second in INPUTS:
        for separate in False, True:
            if second in ("detached", "frozen") and walk in ("differentiated", "grad"):
                continue  # nothing to be differentiated by
            expected = seen(torch, first, second, walk, separate)
            assert seen(flambeau, first, second, walk, separate, run) == expected, (second, separate)


@pytest.mark.parametrize("leaf", [False, True])
def test_a_graph_made_in_the_backward_leads_on(leaf: bool) -> None:
    def run(t: Any) -> Any:
        class Again(t.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any, w: Any) -> Any:
                ctx.save_for_backward(x, w)
                return x * w

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                x, w = ctx.saved_tensors
                with t.enable_grad():
                    y = (x * x * w).sum()
                inner = t.autograd.grad(y, [x, w], retain_graph=True)
                y.backward(retain_graph=True)
                return inner[0] * g, inner[1] * g

        x, w = t.tensor([1.0, 2.0], requires_grad=True), t.tensor([3.0, 4.0], requires_grad=True)
        Again.apply(x if leaf else x * 1, w).sum().backward()
        return x.grad.tolist(), w.grad.tolist()

    assert run(flambeau) == run(torch)


def test_a_leaf_that_was_written_meanwhile_is_saved_as_it_was() -> None:
    class Square(flambeau.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, = ctx.saved_tensors
            assert x.requires_grad
            return 2 * x * g

    x = flambeau.tensor([3.0], requires_grad=True)
    y = Square.apply(x)
    with flambeau.no_grad():
        x.fill_(100)
    y.backward()
    assert x.grad.tolist() == [6.0]


def test_once_differentiable_of_saved_leaves() -> None:
    def run(t: Any) -> Any:
        class Once(t.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            @t.autograd.function.once_differentiable
            def backward(ctx: Any, g: Any) -> Any:
                return 2 * ctx.saved_tensors[0] * g

        x = t.tensor([3.0], requires_grad=True)
        Once.apply(x).backward()
        return x.grad.tolist(), x.grad.requires_grad

    assert run(flambeau) == run(torch)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("view", ["reshape", "slice", "transpose", "select"])
def test_a_view_is_one_tensor_whatever_was_read_without_gradient(view: str, separate: bool) -> None:
    def run(t: Any) -> Any:
        x = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        v = {"reshape": lambda: x.reshape(4), "slice": lambda: x[1:], "transpose": lambda: x.T, "select": lambda: x[0]}[view]()
        if separate:
            with t.no_grad():
                v.sum()
        y = v * v
        with t.no_grad():
            (v + 1).sum()
        g, = t.autograd.grad(y.sum(), v, retain_graph=True)
        v.retain_grad()
        y.sum().backward()
        return g.tolist(), v.grad.tolist(), x.grad.tolist()

    assert run(flambeau) == run(torch)
