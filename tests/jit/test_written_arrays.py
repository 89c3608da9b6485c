"""What a step writes to numpy arrays and buffers, outside and in its arguments, it writes once at each call."""

from __future__ import annotations

import array
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError

pytestmark = pytest.mark.usefixtures("numpy_engine")


def ones() -> Any:
    return torch.ones(1)


Held = tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]  # made, written, looked at
BUFFERS: dict[str, Held] = {
    "array": (lambda: np.zeros(2), lambda a: a.__setitem__(0, a[0] + 1), lambda a: a.tolist()),
    "part of an array": (lambda: np.zeros(3)[1:], lambda a: a.__setitem__(0, a[0] + 1), lambda a: a.base.tolist()),
    "array of ints": (lambda: np.zeros((2, 2), np.int32), lambda a: a.__iadd__(1), lambda a: a.tolist()),
    "array of a number": (lambda: np.zeros(()), lambda a: a.__iadd__(1), lambda a: a.tolist()),
    "array of objects": (lambda: np.array([0, None]), lambda a: a.__setitem__(0, a[0] + 1), lambda a: a.tolist()),
    "records": (lambda: np.zeros(2, [("a", "f8"), ("b", "i4")]), lambda a: a["b"].__iadd__(1), lambda a: a.tolist()),
    "bytes": (lambda: bytearray(2), lambda b: b.__setitem__(1, b[1] + 1), list),
    "longer bytes": (bytearray, lambda b: b.append(len(b)), list),
    "memory": (lambda: memoryview(bytearray(2)), lambda b: b.__setitem__(1, b[1] + 1), list),
    "numbers": (lambda: array.array("d", [0.0]), lambda a: a.append(a[-1] + 1), list),
    "shape": (lambda: np.zeros((2, 3)), lambda a: a.resize(a.shape[::-1], refcheck=False), lambda a: a.shape),
}


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("held", BUFFERS)
def test_buffers_outside(held: str, counted: bool) -> None:
    """Also where the function is traced twice, since it counts."""
    make, write, look = BUFFERS[held]

    def run(wrap: Any) -> list[Any]:
        box, seen = types.SimpleNamespace(a=make(), n=0), []

        def scaled(x: Any) -> Any:
            write(box.a)
            if counted:
                box.n += 1
            return x * (box.n + 1)

        step = wrap(scaled)
        for _ in range(3):
            seen.append((step(ones()).item(), look(box.a)))
        return seen

    assert run(torch.jit) == run(lambda f: f)


def test_an_array_that_is_set_back() -> None:
    history = np.zeros(2)

    def scaled(x: Any) -> Any:
        history[:] = 7
        return x * 2

    step = torch.jit(scaled)
    for _ in range(3):
        assert step(ones()).item() == 2 and history.tolist() == [7, 7]
        history[:] = 0


def test_an_error_takes_it_back() -> None:
    history = np.zeros(2)

    def failing(x: Any) -> Any:
        history[0] = 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        torch.jit(failing)(ones())
    assert history.tolist() == [0, 0]


def test_tensors_in_an_array_of_objects() -> None:
    kept = np.array([None, None])

    def doubled(x: Any) -> Any:
        kept[0] = x * 2
        return x * 1

    step = torch.jit(doubled)
    for i in range(3):
        step(ones() * i)
        assert kept[0].item() == 2 * i
    assert step.stats.compiles == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
@pytest.mark.parametrize("give", [lambda a: a, lambda a: {"a": a}, lambda a: types.SimpleNamespace(a=[a])])
def test_arrays_among_the_arguments(give: Callable[[Any], Any], dtype: Any) -> None:
    def counted(x: Any, given: Any) -> Any:
        a = given["a"] if isinstance(given, dict) else given.a[0] if isinstance(given, types.SimpleNamespace) else given
        a[0] += 1
        a *= 2
        return x * a[0]

    a, step = np.zeros(2, dtype), torch.jit(counted)
    assert [step(ones(), give(a)).item() for _ in range(3)] == [2, 6, 14]
    assert a.tolist() == [14, 0] and a.dtype == dtype and step.stats.compiles == 1


def test_one_array_twice_and_two_that_overlap() -> None:
    def moved(x: Any, a: Any, b: Any) -> Any:
        a[1] += 2
        return x * b[1]

    a, step = np.zeros(3, np.float32), torch.jit(moved)
    assert [step(ones(), a, a).item() for _ in range(2)] == [2, 4] and a.tolist() == [0, 4, 0]
    b = np.zeros(3, np.float32)
    assert step(ones(), a, b).item() == 0 and a.tolist() == [0, 6, 0]
    with pytest.raises(TraceError, match=r"args\[1\] of moved is a view"):
        step(ones(), a[:2], a[1:])
