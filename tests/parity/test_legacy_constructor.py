"""`Tensor(...)` and `x.new(...)`, shapes as objects, and sizes by their names, against torch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")


class Index:
    def __index__(self) -> int:
        return 2


class Items:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> float:
        return [4.0, 5.0][i]


# What the constructor is given: positional arguments, and named ones. Of sizes only the shape is compared.
SIZES: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "one": lambda t: (5,), "two": lambda t: (2, 3), "zero": lambda t: (0,), "two and zero": lambda t: (2, 0),
    "size()": lambda t: (t.ones(2, 3).size(),), "shape of 0-d": lambda t: (t.tensor(1.0).size(),),
    "part of a shape": lambda t: (t.ones(2, 3).shape[1:],), "sum of shapes": lambda t: (t.ones(2).shape + (3,),),
    "a shape twice": lambda t: (t.ones(2).shape * 2,), "elements of a shape": lambda t: (*t.ones(2, 3).shape,),
    "numpy": lambda t: (np.int64(3),), "numpy and int": lambda t: (np.int64(3), 2), "numpy 0-d": lambda t: (np.array(3),),
    "0-d tensors": lambda t: (t.tensor(2), t.tensor(3)), "an index": lambda t: (Index(),), "negative": lambda t: (-1,),
    "one negative": lambda t: (2, -3), "int and float": lambda t: (2, 3.0), "int and list": lambda t: (2, [3])}
DATA: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "nothing": lambda t: (), "a list": lambda t: ([2, 3],), "a tuple": lambda t: ((2, 3),),
    "nested": lambda t: ([[1, 2], [3, 4]],),
    "an empty list": lambda t: ([],), "numpy ints": lambda t: (np.array([1, 2]),), "numpy doubles": lambda t: (np.array([1.5]),),
    "tensors": lambda t: ([t.tensor(1.0), t.tensor(2.0)],), "a range": lambda t: (range(3),), "bools": lambda t: ([True, False],),
    "items": lambda t: (Items(),), "nan": lambda t: ([float("nan")],), "large": lambda t: ([2**60],),
    "a float": lambda t: (5.0,), "a bool": lambda t: (True,), "None": lambda t: (None,), "text": lambda t: ("ab",),
    "a numpy float": lambda t: (np.float32(3),), "a dict": lambda t: ({},), "a set": lambda t: ({1},),
    "complex": lambda t: ([1j],),
    "ragged": lambda t: ([[1], [1, 2]],), "a generator": lambda t: ((i for i in range(2)),), "two lists": lambda t: ([1], [2])}
OTHERS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "floats": lambda t: (t.ones(2),), "ints": lambda t: (t.tensor([1, 2]),), "0-d": lambda t: (t.tensor(3),),
    "doubles": lambda t: (t.ones(2, dtype=t.float64),)}
NAMED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "size": lambda t: {"size": (2, 3)}, "data": lambda t: {"data": [1, 2]}, "other": lambda t: {"other": t.ones(2)},
    "size and device": lambda t: {"size": (2, 3), "device": "cpu"},
    "data and device": lambda t: {"data": [1, 2], "device": "cpu"},
    "dtype": lambda t: {"size": (2,), "dtype": t.float32}, "requires_grad": lambda t: {"data": [1.0], "requires_grad": True}}
GIVEN = {**{f"sizes: {k}": v for k, v in SIZES.items()}, **{f"data: {k}": v for k, v in DATA.items()},
         **{f"tensor: {k}": v for k, v in OTHERS.items()}}


def made(library: Any, run: Callable[[Any], Any], values: bool) -> Any:
    """What came of a call: shape, dtype, and the contents unless they are memory to be written to; or the error's class."""
    try:
        x = run(library)
    except (TypeError, ValueError, RuntimeError) as error:
        return type(error), str(error)[:45] if str(error).startswith(("new(): data", "new(): inv", "Trying")) else ""
    return tuple(x.shape), str(x.dtype), str(x.numpy().tolist()) if values else ""


def lazily(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return run


def jitted(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda t: (flambeau.jit(run)(t) if t is flambeau else run(t))


@pytest.mark.parametrize("how, given", [*((lazily, g) for g in GIVEN), *((jitted, g) for g in GIVEN if "0-d tensors" not in g)])
def test_the_constructor(given: str, how: Callable[[Any], Any]) -> None:
    run = how(lambda t: t.Tensor(*GIVEN[given](t)))
    values = not given.startswith("sizes")
    assert made(flambeau, run, values) == made(torch, run, values)


# Not for integers: torch has words of its own for each dtype, and refuses tensors of floats inside a list.
FLOATS = {"data: nan", "data: complex", "data: tensors"}


@pytest.mark.parametrize("given, kind", [(g, kind) for g in GIVEN for kind in ("float64", "int64", "bool")
                                         if kind == "float64" or g not in FLOATS])
def test_new(given: str, kind: str) -> None:
    def run(t: Any) -> Any:
        return t.zeros(2, dtype=getattr(t, kind)).new(*GIVEN[given](t))

    values = not given.startswith("sizes")
    assert made(flambeau, run, values) == made(torch, run, values)


@pytest.mark.parametrize("given", NAMED)
def test_names(given: str) -> None:
    def run(t: Any) -> Any:
        return t.Tensor(**NAMED[given](t))

    assert made(flambeau, run, "size" not in given) == made(torch, run, "size" not in given)


def test_another_tensor_shares_its_memory() -> None:
    for t in (flambeau, torch):
        x = t.ones(2)
        y = t.Tensor(x)
        y[0] = 5
        assert x.tolist() == [5, 1] and y is not x
        w = t.ones(2, requires_grad=True)
        (t.Tensor(w) * 3).sum().backward()
        assert w.grad.tolist() == [3, 3]


def test_the_default_dtype() -> None:
    for t in (flambeau, torch):
        t.set_default_dtype(t.float64)
        try:
            assert t.Tensor(2).dtype == t.Tensor([1]).dtype == t.float64
        finally:
            t.set_default_dtype(t.float32)


def test_a_class_of_ones_own() -> None:
    for t in (flambeau, torch):
        class Mine(t.Tensor):  # type: ignore[name-defined, misc]
            pass

        assert type(Mine([1.0])) is Mine and Mine(2, 3).shape == (2, 3)


# --- Shapes -----------------------------------------------------------------------------------------------------------

SHAPES: dict[str, Callable[[Any, Any], Any]] = {
    "slice": lambda t, s: s[1:], "reversed": lambda t, s: s[::-1], "int": lambda t, s: s[0], "last": lambda t, s: s[-1],
    "tensor": lambda t, s: s[t.tensor(1)], "beyond": lambda t, s: s[5],
    "+ tuple": lambda t, s: s + (4,), "+ size": lambda t, s: s + s,
    "tuple +": lambda t, s: (4,) + s, "+ list": lambda t, s: s + [1], "*": lambda t, s: s * 2,
    "* on the left": lambda t, s: 2 * s,
    "copy": lambda t, s: copy.copy(s), "pickle": lambda t, s: pickle.loads(pickle.dumps(s)), "==": lambda t, s: s == (2, 3),
    "numel": lambda t, s: s[1:].numel(), "repr": lambda t, s: repr(s[1:]), "of a list": lambda t, s: t.Size([1, 2])}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape(name: str) -> None:
    results = []
    for t in (flambeau, torch):
        try:
            found = SHAPES[name](t, t.ones(2, 3).size())
            results.append((type(found).__name__, found))
        except (TypeError, IndexError) as error:
            results.append((type(error).__name__, str(error)))
    assert results[0] == results[1]


# --- Sizes by name ----------------------------------------------------------------------------------------------------

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)
BY_NAME: dict[str, tuple[str, Any]] = {  # the name that torch gives to what may also come one by one
    **{f"torch.{f}": ("size", (2, 3)) for f in ("zeros", "ones", "empty", "rand", "randn")},
    **{f"x.{f}": ("size", (2, 3)) for f in ("new_zeros", "new_ones", "new_empty")},
    "x.view": ("size", (3, 2)), "x.reshape": ("shape", (3, -1)), "torch.reshape(x)": ("shape", (3, 2)),
    "x.expand": ("size", (2, 2, -1)), "x.repeat": ("repeats", (2, 1)), "x.permute": ("dims", (1, 0)),
    "torch.permute(x)": ("dims", (1, 0)), "x.flip": ("dims", (0, 1)), "torch.flip(x)": ("dims", (0,)), "x.tile": ("dims", (2,)),
    "torch.tile(x)": ("dims", (2, 1)), "x.resize_": ("size", (3, 1)), "x.sum_to_size": ("size", (1, 3)),
    "x.broadcast_to": ("size", (2, 2, 3)), "torch.broadcast_to(x)": ("size", (2, 2, 3))}


def function(t: Any, text: str, x: Any) -> Callable[..., Any]:
    """The function that a row names, with x as its first argument where it says so."""
    name = text.removesuffix("(x)")
    found = getattr(x, name[2:]) if name.startswith("x.") else getattr(t, name.removeprefix("torch."))
    return (lambda *args, **kwargs: found(x, *args, **kwargs)) if text.endswith("(x)") else found


# These take no sizes one by one.
TOGETHER = {"torch.broadcast_to(x)", "x.broadcast_to", "torch.reshape(x)", "torch.permute(x)"}


@pytest.mark.parametrize("text, how", [
    (text, how) for text in BY_NAME for how in ("a tuple", "a list", "a shape", "an int", "both")
    if how[:2] == "a " or text not in TOGETHER])
@pytest.mark.parametrize("compiled", [False, True])
def test_sizes_by_name(text: str, how: str, compiled: bool) -> None:
    name, sizes = BY_NAME[text]

    def run(t: Any, x: Any) -> Any:
        given = {"a tuple": sizes, "a list": list(sizes), "a shape": t.Size(sizes), "an int": 2, "both": sizes}[how]
        return function(t, text, x + 0)(*[1, 1][:2 * (how == "both")], **{name: given})

    results = []
    for t in (flambeau, torch):
        step = flambeau.jit(lambda x: run(flambeau, x)) if compiled and t is flambeau else lambda x, t=t: run(t, x)
        try:
            y = step(t.tensor(X))
            results.append((tuple(y.shape), y.numpy().tolist() if "rand" not in text and "empty" not in text else None))
        except TypeError:
            results.append(TypeError)
    assert results[0] == results[1]


@pytest.mark.parametrize("call", [
    lambda t: t.full(size=(2,), fill_value=1.5), lambda t: t.full((2, 3), 2), lambda t: t.full([], 2.0),
    lambda t: t.full((2,), t.tensor(3)), lambda t: t.randint(high=1, size=(2,)), lambda t: t.tensor(X).view(dtype=t.int32),
    lambda t: t.tensor(X).new_full(size=(2,), fill_value=1), lambda t: t.tensor(X).new_zeros(2, requires_grad=True),
    lambda t: t.full(2, 1.0), lambda t: t.randint(0, 1, 2), lambda t: t.zeros(size=2), lambda t: t.zeros(size="23")])
def test_one_sequence_of_sizes(call: Callable[[Any], Any]) -> None:
    results = []
    for t in (flambeau, torch):
        try:
            y = call(t)
            results.append((tuple(y.shape), y.tolist(), str(y.dtype), y.requires_grad))
        except TypeError:
            results.append(TypeError)
    assert results[0] == results[1]
