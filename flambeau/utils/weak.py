"""`torch.utils.weak`: dictionaries whose keys are objects as such, and do not keep them alive."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any
from weakref import ref

from ..tracer.tensor.tensor import Tensor


class WeakIdRef(weakref.ref[Any]):
    """A weak reference that is equal to others of the same object."""

    __slots__ = ("_id",)

    def __init__(self, key: Any, callback: Any = None) -> None:
        self._id = id(key)

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        here, there = self(), other() if isinstance(other, WeakIdRef) else None
        return self is other if here is None or there is None else here is there


class WeakIdKeyDictionary(MutableMapping[Any, Any]):
    """A dict by identity of its keys, of which one goes when nobody else has it.

    >>> import flambeau as torch
    >>> x = torch.ones(1)
    >>> table = WeakIdKeyDictionary({x: "x"})
    >>> table[x], x.clone() in table
    ('x', False)
    """

    def __init__(self, dict: Any = None, ref_type: type[WeakIdRef] = WeakIdRef) -> None:
        self.ref_type, self.data = ref_type, {}  # type: ignore[var-annotated]
        self.update(dict or {})

    def _forget(self, reference: WeakIdRef) -> None:
        self.data.pop(reference, None)

    def __getitem__(self, key: Any) -> Any:
        return self.data[self.ref_type(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.data[self.ref_type(key, self._forget)] = value

    def __delitem__(self, key: Any) -> None:
        del self.data[self.ref_type(key)]

    def __iter__(self) -> Iterator[Any]:
        return (key for reference in list(self.data) if (key := reference()) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: Any) -> bool:
        return self.ref_type(key) in self.data

    def keyrefs(self) -> list[WeakIdRef]:
        """The references."""
        return list(self.data)

    def copy(self) -> WeakIdKeyDictionary:
        """Another one with the same entries."""
        return type(self)(self)


WeakTensorKeyDictionary = WeakIdKeyDictionary


class TensorWeakRef:
    """A weak reference to a tensor."""

    def __init__(self, tensor: Tensor) -> None:
        if not isinstance(tensor, Tensor):
            raise AssertionError(f"expected torch.Tensor, got {type(tensor)}.")
        self.ref = weakref.ref(tensor)

    def __call__(self) -> Tensor | None:
        return self.ref()


__all__ = ["TensorWeakRef", "WeakIdKeyDictionary", "WeakIdRef", "WeakTensorKeyDictionary", "ref"]
