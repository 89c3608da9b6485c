"""Every overload that torch's stubs declare can be called here: by position and by name, as a generated call is bound.

The stubs of the installed torch are read; nothing is computed. What cannot be bound is listed with its reason.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from flambeau import compat  # noqa: E402
from flambeau.tracer.functions.spelling import respelled  # noqa: E402

STUBS = [("torch", "_C/_VariableFunctions.pyi", None), ("torch.Tensor", "_C/__init__.pyi", "TensorBase"),
         ("torch.nn.functional", "nn/functional.pyi", None)]
OLD = "the order before torch 1.5, which is taken by position alone: looking for names would cost every sum"
CUDA = "torch has it on CUDA alone: cast the inputs"
NOT_BOUND = {
    **{f"torch.{name}(self, alpha, other{out})": OLD for name in ("add", "sub") for out in ("", ", *, out")},
    "torch.bmm(input, mat2, out_dtype, *, out)": CUDA,
    "torch.mm(input, mat2, out_dtype, *, out)": CUDA,
    "torch.addmm(input, mat1, mat2, out_dtype, *, beta, alpha, out)": CUDA,
    "torch.baddbmm(input, batch1, batch2, out_dtype, *, beta, alpha, out)": CUDA,
    "torch.full(size, fill_value, *, names, layout, dtype, device, requires_grad, pin_memory)": "named dimensions",
    **{f"torch.{name}(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)":
       "packed sequences are given by position" for name in ("gru", "lstm", "rnn_relu", "rnn_tanh")},
}
WRONG = {  # torch refuses them too
    "torch.from_numpy(ndarray)", "torch.set_num_interop_threads(num)", "torch.set_num_threads(num)",
    "torch.tensor(data, dtype, device, requires_grad, pin_memory)", "torch.Tensor.requires_grad_(self, mode)",
    "torch.Tensor.new_tensor(self, data, dtype, device, requires_grad, pin_memory)",
    "torch.Tensor.to(self, other, non_blocking, copy, *, memory_format)"}


class Overload(NamedTuple):
    """A function or method, and one list of arguments that torch declares for it."""

    name: str
    arguments: ast.arguments

    @property
    def positional(self) -> list[ast.arg]:
        return self.arguments.posonlyargs + self.arguments.args

    def __str__(self) -> str:
        named = [a.arg for a in self.arguments.kwonlyargs]
        return f"{self.name}({', '.join([*(a.arg for a in self.positional), *['*'] * bool(named), *named])})"


def overloads() -> Iterator[Overload]:
    for owner, file, kind in STUBS:
        body = ast.parse((Path(torch.__file__).parent / file).read_text()).body
        if kind is not None:
            body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == kind)
        for node in body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield Overload(f"{owner}.{node.name}", node.args)


def function_of(overload: Overload) -> Callable[..., Any] | None:
    """What it calls here; None for what is not counted, or refuses, or is no function."""
    if compat.look_up(overload.name).status not in (compat.THERE, compat.DIFFERING):
        return None
    found = compat.ours(overload.name)
    return found if inspect.isfunction(found) else None


def value(argument: ast.arg) -> Any:
    if argument.annotation is None:
        return flambeau.ones(())
    kind = ast.unparse(argument.annotation)
    return flambeau.ones(()) if kind == "Tensor" else 1 if kind.startswith("Number") else 0


def is_respelled(function: Any) -> bool:
    """Whether a call that does not fit is spelled otherwise and made again."""
    while function is not None:
        if {"respelled", "again"} & {*function.__code__.co_names, *function.__code__.co_freevars}:
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def bind(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        if not is_respelled(function):
            raise
        args, kwargs = respelled(function, args, kwargs)
        inspect.signature(function).bind(*args, **kwargs)


def check(overload: Overload, function: Callable[..., Any]) -> None:
    """Bind it with all positional arguments by position; and by name, the tensor of a method aside."""
    named = {a.arg: value(a) for a in overload.arguments.kwonlyargs}
    several = (0, 0) if overload.arguments.vararg else ()
    bind(function, (*map(value, overload.positional), *several), dict(named))
    if not several:
        first = overload.positional[:1] if overload.name.startswith("torch.Tensor.") else []
        bind(function, tuple(map(value, first)), {**{a.arg: value(a) for a in overload.positional[len(first):]}, **named})


ALL = [(overload, function) for overload in overloads() if (function := function_of(overload)) is not None]


@pytest.mark.filterwarnings("ignore:This overload of")
@pytest.mark.parametrize("name", sorted({overload.name for overload, _ in ALL}))
def test_overloads_are_bound(name: str) -> None:
    for overload, function in ALL:
        if overload.name == name and str(overload) not in NOT_BOUND and str(overload) not in WRONG:
            check(overload, function)


@pytest.mark.parametrize("listed", sorted({*NOT_BOUND, *WRONG}))
def test_what_is_listed_cannot_be_bound(listed: str) -> None:
    found = [(overload, function) for overload, function in ALL if str(overload) == listed]
    assert found
    for overload, function in found:
        with pytest.raises(TypeError):
            check(overload, function)


def test_enough_overloads_were_bound() -> None:
    assert len(ALL) > 1500 and len(NOT_BOUND) < 0.01 * len(ALL), (len(ALL), len(NOT_BOUND))
