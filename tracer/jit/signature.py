"""One call's arguments: the tensors and numbers in them, and a key for all the rest."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..guards.identity import static_key
from ..tensor.strides import notable_stride
from ..tensor.tensor import Tensor

_POSITIONS = tuple(f"args[{i}]" for i in range(8))


def is_input(x: Any) -> bool:
    """Whether a number in the arguments is an input of the program: a float, or an int that fits into 64 bits."""
    return type(x) is float or (type(x) is int and -(1 << 63) <= x < 1 << 63)


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
                parts.append(static_key(x))
            else:
                self._walk(x, _POSITIONS[i] if i < 8 else f"args[{i}]", parts)
        for name, x in kwargs.items():
            parts.append(name)
            if name in static:
                parts.append(static_key(x))
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
            if x._geometry is not None and (stride := notable_stride(x._type.shape, x._geometry.stride)) is not None:
                parts.append(("stride", stride))
            if leaf and x._hooks is not None:
                parts.append(x._hooks.key)
            if leaf and x._grad is not None:
                parts.append("grad")
                self._walk(x._grad, f"{path}.grad", parts)
        elif is_input(x):
            self.numbers.append(x)
            self.number_paths.append(path)
            parts.append(kind)
        elif kind is np.ndarray:
            parts.append(("array", x.shape, x.dtype))
            self.tensors.append(x)
            self.paths.append(path)
        elif kind in (list, tuple) or hasattr(x, "_fields"):
            parts.append((kind, len(x)))
            if hasattr(x, "_facts"):  # what it knows beside its fields
                parts.append(tuple(x._facts().items()))
            for i, v in enumerate(x):
                self._walk(v, f"{path}[{i}]", parts)
        elif isinstance(x, dict):
            parts.append((kind, tuple(x), static_key(getattr(x, "default_factory", None))))
            for k, v in x.items():
                self._walk(v, f"{path}[{k!r}]", parts)
        elif dataclasses.is_dataclass(x) and not isinstance(x, type):
            parts.append(kind)
            for f in dataclasses.fields(x):
                self._walk(getattr(x, f.name), f"{path}.{f.name}", parts)
        else:
            parts.append(static_key(x))

    def _note_sharing(self, parts: list[Any]) -> None:
        """Which tensors share storage with an earlier one."""
        storages = [id(x._storage) if isinstance(x, Tensor) else id(x) for x in self.tensors]
        if len(set(storages)) < len(storages):
            parts.append(tuple(storages.index(s) for s in storages))
