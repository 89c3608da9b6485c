"""What torch's record says of torch, said of ours: functions by their names, tensors with their strides, dtypes, closures."""

from __future__ import annotations

import functools
import inspect
import operator
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

SPACES = ("", "Tensor", "nn.functional", "linalg", "fft", "special", "masked", "signal.windows", "nn", "nn.init", "func")


class AbsentError(Exception):
    """A name of torch that ours does not have."""


# --- Functions --------------------------------------------------------------------------------------------------------


def ours_at(path: str) -> Any:
    """Our object at torch's dotted path."""
    found: Any = flambeau
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AbsentError(f"torch.{path}") from None
    return found


def _theirs_at(path: str) -> Any:
    return functools.reduce(lambda space, name: getattr(space, name, None), path.split("."), torch)


@functools.cache
def _paths() -> dict[int, str]:
    """torch's path of each public function, by identity."""
    found: dict[int, str] = {}
    for space in SPACES:
        held = _theirs_at(space) if space else torch
        for name in dir(held):
            value = inspect.getattr_static(held, name, None) if space == "Tensor" else getattr(held, name, None)
            if callable(value) and not isinstance(value, types.ModuleType):
                found.setdefault(id(value), f"{space}.{name}" if space else name)
    return found


def function(theirs: Callable[..., Any], path: str | None = None) -> Callable[..., Any]:
    """Our form of one of torch's functions, or of a function of the record that calls some."""
    if path is not None and _theirs_at(path) is theirs:
        return ours_at(path)
    if isinstance(theirs, functools.partial):
        return functools.partial(function(theirs.func), *value(theirs.args), **value(theirs.keywords))
    if id(theirs) in _paths():
        return ours_at(_paths()[id(theirs)])
    if getattr(operator, getattr(theirs, "__name__", ""), None) is theirs:
        return theirs
    if isinstance(theirs, types.FunctionType) and theirs.__module__.startswith("torch.testing"):
        return _rewritten(theirs)
    if isinstance(theirs, torch.nn.Module):
        return ours_at(f"nn.{type(theirs).__name__}")()
    name = getattr(theirs, "__qualname__", getattr(theirs, "__name__", f"an object of {type(theirs).__name__}"))
    raise AbsentError(f"{getattr(theirs, '__module__', '')}.{name}")


class _Globals(dict[str, Any]):
    """The globals of a function of the record, where `torch` is ours and other functions of the record are rewritten."""

    def __init__(self, theirs: Mapping[str, Any]) -> None:
        super().__init__(theirs)
        self.update(torch=flambeau, wrapper_set_seed=_seeded, F=flambeau.nn.functional)


def _seeded(called: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    flambeau.manual_seed(42)
    return called(*args, **kwargs)


def _rewritten(theirs: types.FunctionType) -> Callable[..., Any]:
    known = _Globals(theirs.__globals__)
    for name in theirs.__code__.co_names:
        held = theirs.__globals__.get(name)
        if isinstance(held, types.FunctionType) and name not in ("wrapper_set_seed",):
            known[name] = function(held)
    cells = tuple(types.CellType(value(cell.cell_contents)) for cell in theirs.__closure__ or ())
    made = types.FunctionType(theirs.__code__, known, theirs.__name__, theirs.__defaults__, cells)
    made.__kwdefaults__ = theirs.__kwdefaults__
    return made


# --- Values -----------------------------------------------------------------------------------------------------------


class _Memory:
    """What was translated of one call: a tensor given twice is one tensor, and views of one storage share memory."""

    def __init__(self) -> None:
        self.tensors: dict[int, tuple[Any, Any]] = {}  # by identity; the key is kept alive
        self.storages: dict[tuple[int, Any], Any] = {}

    def tensor(self, x: Any) -> Any:
        if id(x) not in self.tensors:
            self.tensors[id(x)] = x, self._made(x)
        return self.tensors[id(x)][1]

    def _made(self, x: Any) -> Any:
        plain = x.device.type == "cpu" and x.layout is torch.strided and not x.is_conj() and not x.is_neg()
        if x.requires_grad or not plain or not x.numel():
            return tensor(x)
        place = x.untyped_storage().data_ptr(), x.dtype
        if place not in self.storages:
            made = self.storages[place] = tensor(x)
            return made
        held = self.storages[place]
        return held.as_strided(tuple(x.shape), x.stride(), x.storage_offset()).detach()


def value(x: Any, memory: _Memory | None = None) -> Any:
    """A value of torch's as ours: containers, tensors, dtypes and functions inside; numbers and strings as they are."""
    memory = memory or _Memory()
    if isinstance(x, torch.Tensor):
        return memory.tensor(x)
    if isinstance(x, torch.Size):
        return flambeau.Size(x)
    if isinstance(x, tuple):
        return tuple(value(e, memory) for e in x)
    if isinstance(x, list):
        return [value(e, memory) for e in x]
    if isinstance(x, dict):
        return {name: value(e, memory) for name, e in x.items()}
    if isinstance(x, slice):
        return slice(value(x.start, memory), value(x.stop, memory), value(x.step, memory))
    if isinstance(x, (torch.dtype, torch.layout, torch.memory_format)):
        return ours_at(str(x).removeprefix("torch."))
    if isinstance(x, torch.device):
        return flambeau.device(str(x))
    if callable(x) and not isinstance(x, type) and not hasattr(x, "sample_inputs"):  # an entry in a closure tells its name
        return function(x)
    return x


def array(x: Any) -> np.ndarray:
    """torch's tensor as numpy's array, its storage untouched by conversions."""
    if x._is_zerotensor():  # zeros without memory, as torch has them in gradients
        return array(torch.zeros(x.shape, dtype=x.dtype))
    x = x.detach().resolve_conj().resolve_neg()
    if x.dtype is torch.bfloat16:
        return x.view(torch.int16).numpy().view(flambeau.bfloat16.numpy)
    return x.numpy()


def tensor(x: Any) -> Any:
    """Our tensor with the values, strides, offset and `requires_grad` of torch's."""
    if x.layout is not torch.strided or x.device.type not in ("cpu", "meta"):
        raise AbsentError(f"{x.layout} on {x.device}")
    if x.device.type == "meta":
        return flambeau.empty_strided(tuple(x.shape), x.stride(), dtype=value(x.dtype), device="meta")
    held = x.untyped_storage().nbytes() // x.element_size()
    if x.is_conj() or x.is_neg() or not x.numel() or (x.is_contiguous() and held == x.numel()):
        made = flambeau.from_numpy(array(x.reshape(-1)).copy()).view(tuple(x.shape)).detach()  # numpy has 64 dimensions
    else:
        whole = array(torch.as_strided(x.detach(), (held,), (1,), 0)).copy()
        made = flambeau.from_numpy(whole).as_strided(tuple(x.shape), x.stride(), x.storage_offset()).detach()
    return made.requires_grad_() if x.requires_grad else made
