"""Arguments and results of a traced function: nested containers taken apart and put together again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from .tensor import Tensor


def map_structure(x: Any, leaf: Callable[[Any, str], Any], path: str = "") -> Any:
    """A copy of `x` with every leaf replaced by `leaf(value, path)`.

    Containers are lists, tuples, named tuples, dicts and dataclass instances; everything else is a leaf.
    """
    kind = type(x)
    if kind in (list, tuple):
        return kind(map_structure(v, leaf, f"{path}[{i}]") for i, v in enumerate(x))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return kind(*(map_structure(getattr(x, name), leaf, f"{path}.{name}") for name in x._fields))
    if isinstance(x, dict):
        copied = {k: map_structure(v, leaf, f"{path}[{k!r}]") for k, v in x.items()}
        return copied if kind is dict else _like_dict(x, copied)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        changed = {f.name: map_structure(getattr(x, f.name), leaf, f"{path}.{f.name}") for f in dataclasses.fields(x)}
        made = object.__new__(kind)
        for name, value in changed.items():
            object.__setattr__(made, name, value)
        return made
    return leaf(x, path)


def _like_dict(original: Any, copied: dict[Any, Any]) -> Any:
    made = original.__class__.__new__(original.__class__)
    made.__dict__.update(getattr(original, "__dict__", {}))
    if hasattr(original, "default_factory"):
        made.default_factory = original.default_factory
    made.update(copied)
    return made


_POSITIONS = tuple(f"args[{i}]" for i in range(8))


class Signature:
    """One call's arguments: the tensors and numbers in them, and a hashable description of all the rest."""

    __slots__ = ("tensors", "numbers", "paths", "number_paths", "key")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], static: frozenset[Any]) -> None:
        self.tensors: list[Tensor] = []
        self.numbers: list[Any] = []
        self.paths: list[str] = []
        self.number_paths: list[str] = []
        parts: list[Any] = []
        for i, x in enumerate(args):
            if static and i in static:
                parts.append(comparable(x))
            else:
                self._walk(x, _POSITIONS[i] if i < 8 else f"args[{i}]", parts)
        for name, x in kwargs.items():
            parts.append(name)
            if name in static:
                parts.append(comparable(x))
            else:
                self._walk(x, name, parts)
        if len(self.tensors) > 1:
            self._note_sharing(parts)
        self.key = tuple(parts)

    def _walk(self, x: Any, path: str, parts: list[Any]) -> None:
        kind = type(x)
        if kind is Tensor or isinstance(x, Tensor):
            self.tensors.append(x)
            self.paths.append(path)
            value = x._storage.value
            leaf = x._requires_grad
            flows = not leaf and (value.requires_grad or x._graph is not None) and x.requires_grad
            parts += (x._type, value.device, leaf, flows)
            if leaf and x._hooks is not None:
                parts.append(x._hooks.key)
            if leaf and x._grad is not None:
                parts.append("grad")
                self._walk(x._grad, f"{path}.grad", parts)
        elif kind is int or kind is float:
            self.numbers.append(x)
            self.number_paths.append(path)
            parts.append(kind)
        elif kind is np.ndarray:
            parts.append(("array", x.shape, x.dtype))
            self.tensors.append(x)
            self.paths.append(path)
        elif kind in (list, tuple) or hasattr(x, "_fields"):
            parts.append((kind, len(x)))
            for i, v in enumerate(x):
                self._walk(v, f"{path}[{i}]", parts)
        elif isinstance(x, dict):
            parts.append((kind, tuple(x)))
            for k, v in x.items():
                self._walk(v, f"{path}[{k!r}]", parts)
        elif dataclasses.is_dataclass(x) and not isinstance(x, type):
            parts.append(kind)
            for f in dataclasses.fields(x):
                self._walk(getattr(x, f.name), f"{path}.{f.name}", parts)
        else:
            parts.append(comparable(x))

    def _note_sharing(self, parts: list[Any]) -> None:
        """Which tensors share storage with an earlier one."""
        storages = [id(x._storage) if isinstance(x, Tensor) else id(x) for x in self.tensors]
        if len(set(storages)) < len(storages):
            parts.append(tuple(storages.index(s) for s in storages))


class _Identity:
    """A key for objects compared by identity; holds the object, so that its id stays its own."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __repr__(self) -> str:
        return f"<{type(self.thing).__name__} object>"


def comparable(x: Any) -> Any:
    """What stands for a value that is not traced: equal values of one type give equal keys."""
    kind = type(x)
    if kind in (bool, str, bytes, type(None), int):
        return kind, x
    if kind in (float, complex) or isinstance(x, np.generic):
        return kind, repr(x)  # tells 0.0 from -0.0, and takes nan for equal to itself
    if kind in (tuple, list):
        return kind, tuple(map(comparable, x))
    if kind is dict:
        return kind, tuple((comparable(k), comparable(v)) for k, v in x.items())
    if kind in (set, frozenset):
        return kind, frozenset(map(comparable, x))
    if kind.__dict__.get("__hash__", object.__hash__) is None or getattr(kind, "__eq__") is object.__eq__:  # noqa: B009
        return _Identity(x)
    try:
        hash(x)
    except TypeError:
        return _Identity(x)
    return kind, x
