"""What cannot outlive a step: keys that each call would need others of, iterators, and classes that the step makes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from io import IOBase
from types import CoroutineType
from typing import Any

from ..ir.errors import TEXT_LEAVES, TRACED, NeededFirst, TraceError
from ..tensor.nested import Attribute
from ..tensor.tensor import Tensor
from .remade import Remaking, is_of_users
from .trace import Trace


class Lasting:
    """Refuses these. `given` are the ids of stand-ins for containers in the arguments, `told_apart` the classes of those that are
    used as keys: they are given to the function as they are."""

    def __init__(self, trace: Trace, remaking: Remaking, given: Collection[int], is_known: Callable[[Any], bool],
                 told_apart: set[type]) -> None:
        self._trace, self._remaking, self._given, self._is_known, self._told_apart = trace, remaking, given, is_known, told_apart
        self._classes: set[type] = set()  # that may be

    def check_keys(self, held: Iterable[Any]) -> None:
        """Look at keys of what outlives the step, which are the same ones at each call."""
        self.check_tensors(held)
        for key in held:
            self._check_key(key)

    def check_tensors(self, held: Iterable[Any]) -> None:
        """TraceError for a tensor of the trace as a key: each call would need another one."""
        for key in held:
            if isinstance(key, Tensor) and (key._storage.trace is self._trace or self._trace.is_stand_in(key)):
                raise TraceError("a traced tensor is a key of a dictionary, or a member of a set, that outlives the step: keys "
                                 "are compared while a function is traced. Use a number or a name as the key.")

    def _check_key(self, key: Any) -> None:
        kind = type(key)
        if kind is str:
            self._check_text(key)
        if kind in (str, int, Attribute):
            return
        if id(key) in self._given and not issubclass(kind, tuple) and not self._is_known(key):
            raise NeededFirst(partial(self._told_apart.add, kind))
        if issubclass(kind, (tuple, frozenset)):
            for part in key:
                self._check_key(part)
        elif self._remaking.is_made(key) and (
                kind.__hash__ is object.__hash__ or self._remaking.holds(key)):  # type: ignore[comparison-overlap]
            raise TraceError(f"a {kind.__name__} that {self._trace.name} makes is a key of a dictionary, or a member of a set, "
                             "that outlives the step: each call would need another one. Use a number or a name as the key.")

    def check(self, x: Any) -> None:
        """Look at something that is the same one at each call."""
        kind = type(x)
        if _runs_out(x) and not self._is_known(x):
            raise TraceError(f"{self._trace.name} returns or leaves a {kind.__name__} that it made: it would give its values "
                             "once, to whoever asks first. Return list(...) of it, or make it outside.")
        if isinstance(x, type):
            self.check_class(x)
        elif kind is str:
            self._check_text(x)

    def _check_text(self, x: str) -> None:
        if TRACED in x:
            raise TraceError(TEXT_LEAVES.format(text=x[:80], name=self._trace.name))

    def check_class(self, kind: type) -> None:
        """TraceError for a class that holds something of the trace."""
        if kind in self._classes:
            return
        if is_of_users(kind) and not self._is_known(kind) and any(map(self._remaking.holds, vars(kind).values())):
            raise TraceError(f"{self._trace.name} returns or leaves a class {kind.__name__} that it made, or an object of it, "
                             "with tensors or numbers of the call in it: each call would need another class. Make it outside.")
        self._classes.add(kind)


def _runs_out(x: Any) -> bool:
    """Whether it is a generator, a coroutine or another iterator."""
    kind = type(x)
    return (hasattr(kind, "__next__") or hasattr(kind, "__anext__") or isinstance(x, CoroutineType)) and not isinstance(x, IOBase)
