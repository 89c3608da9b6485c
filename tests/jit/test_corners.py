"""Corners of jit that no other file is about: what may be jitted, side effects, interrupts, leaks, transforms around it."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.tensor.context import context

# --- What may be jitted -----------------------------------------------------------------------------------------------


def test_generators_and_coroutines_are_refused() -> None:
    def batches(x: Any) -> Iterator[Any]:
        yield x

    async def later(x: Any) -> Any:
        return x

    for function in (batches, later):
        with pytest.raises(TypeError, match=rf"jit requires a function that returns its results, got {function.__name__}"):
            torch.jit(function)


def test_generators_inside_are_fine() -> None:
    def powers(x: Any) -> Iterator[Any]:
        y = x
        for _ in range(3):
            yield y
            y = y * x

    assert torch.jit(lambda x: sum(powers(x)))(torch.tensor(2.0)).item() == 14


def test_compiled_module_is_still_the_module() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))
    compiled = torch.compile(model)
    assert list(compiled.parameters()) == list(model.parameters()) and compiled.state_dict().keys() == model.state_dict().keys()
    compiled.eval()
    x = torch.ones(3, 2)
    assert not model.training
    np.testing.assert_allclose(compiled(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-6)
    compiled(x).sum().backward()
    assert model[0].weight.grad.tolist() == [[3, 3], [3, 3]]
    assert repr(compiled) == repr(model) and (compiled.stats.compiles, compiled.stats.calls) == (1, 2)
    with pytest.raises(AttributeError, match="nothing_like_that"):
        _ = compiled.nothing_like_that


def test_attributes_of_a_function_and_docstring_are_kept() -> None:
    @torch.jit
    def step(x: Any) -> Any:
        """A step."""
        return x

    assert (step.__name__, step.__doc__) == ("step", "A step.")
    step.function.note = "kept"
    assert step.note == "kept"


# --- Side effects, leaks ----------------------------------------------------------------------------------------------


def test_what_is_written_happens_at_each_call_and_what_is_printed_at_the_trace_only() -> None:
    seen: list[str] = []

    @torch.jit
    def step(x: Any) -> Any:
        print("traced")
        return x * 2

    def noted(x: Any) -> Any:
        seen.append("traced")
        return x * 2

    f = torch.jit(noted)
    for _ in range(3):
        f(torch.ones(1))
        step(torch.ones(1))
    assert seen == ["traced"] * 3 and f.stats.compiles == 1


class Holder:
    kept: Any = None


def test_tensors_left_in_an_attribute_and_a_global() -> None:
    holder = Holder()

    @torch.jit
    def step(x: Any) -> Any:
        global LEFT
        holder.kept = LEFT = x * 3
        return x

    for k in (1.0, 2.0, 3.0):
        step(torch.full((2,), k))
        for tensor in (holder.kept, LEFT):
            assert tensor.tolist() == copy.deepcopy(tensor).tolist() == [3 * k] * 2
        assert holder.kept is LEFT


LEFT: Any = None

# --- Transforms around jit, and inside --------------------------------------------------------------------------------


def test_jit_under_vmap_and_grad_and_the_reverse() -> None:
    w = torch.tensor([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        return (w * x).sin().sum()

    xs = torch.tensor(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32))
    wanted = (w * (w * xs).cos()).numpy()
    for g in (torch.vmap(torch.func.grad(torch.jit(f))), torch.jit(torch.vmap(torch.func.grad(f))),
              torch.vmap(torch.jit(torch.func.grad(f))), torch.jit(torch.vmap(torch.jit(torch.func.grad(torch.jit(f)))))):
        np.testing.assert_allclose(g(xs).numpy(), wanted, rtol=1e-5)


def test_exception_in_a_nested_jit_leaves_nothing_behind() -> None:
    state = torch.zeros(2)
    fail = True

    @torch.jit
    def inner() -> None:
        state.add_(1)
        if fail:
            raise ValueError("inner")

    @torch.jit
    def outer() -> None:
        state.add_(10)
        inner()

    with pytest.raises(ValueError, match="inner"):
        outer()
    assert state.tolist() == [0, 0] and context.trace is None
    fail = False
    outer()
    assert state.tolist() == [11, 11]


# --- Interrupts -------------------------------------------------------------------------------------------------------


INTERRUPTED = """
import _thread, random, signal, sys, threading, time
import flambeau as torch

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever ran the tests in the background had it ignored

states, count = [torch.zeros(int(sys.argv[1])) for _ in range(8)], torch.zeros(())

@torch.jit
def step():
    for s in states:
        s.add_(1)
    count.add_(1)
    return count + torch.rand(())

def interrupt():
    while True:
        armed.wait()
        time.sleep(chance.random() * 0.004)
        armed.clear()
        _thread.interrupt_main()

step()
chance, armed = random.Random(0), threading.Event()
threading.Thread(target=interrupt, daemon=True).start()
for _ in range(100):
    try:
        armed.set()
        while True:
            step()
    except KeyboardInterrupt:
        pass
step()
assert {float(s[i].item()) for s in states for i in (0, -1)} == {count.item()}, (states, count)
assert step.stats.compiles == 1
print("whole after", count.item() > 100)
"""


@pytest.mark.parametrize("size", [3, 5000])  # packed, and in buffers of their own
def test_interrupts_at_any_moment_leave_a_step_whole_or_undone(size: int) -> None:
    """In a process of its own: a late interrupt would hit whatever test comes next."""
    run = subprocess.run([sys.executable, "-c", INTERRUPTED, str(size)], capture_output=True, text=True, timeout=120)
    assert run.stdout == "whole after True\n", run.stderr


def test_anomaly_detection_is_refused_whether_compiled_before_or_not() -> None:
    w = torch.ones(1, requires_grad=True)

    def backward() -> Any:
        (gradient,) = torch.autograd.grad((w * 2).sum(), w)
        return gradient

    step = torch.jit(backward)
    for _ in range(2):
        with pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly(), pytest.raises(
                TraceError, match=r"use jit\(check_nan=True\)"):
            step()
        assert step().tolist() == [2]
