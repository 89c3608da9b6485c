"""What functions that remember their results gave to a trace, as it was when they returned it.

The step may change it afterwards. Nothing of that was there before the trace, so no walk has found it; and the function is
asked once. So returns of its code are watched while the trace is in progress, which takes four times as long: only if a
trace found that there is need.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..tensor.tensor import Tensor
from .contents import CONTENTS, too_large
from .identity import PLAIN
from .owners import Fields, ObjectTable, Owner, owners_of
from .places import Place
from .reachable import NAMESPACES
from .remembered import Remembering
from .statics import is_a, reader
from .tables import attributes_to_set
from .whose import of_ours, users_class

_CLOSED = (*PLAIN, Tensor, type, types.FunctionType, types.MethodType, types.ModuleType, types.BuiltinFunctionType)


class Returned:
    """What such functions returned to a trace, but for what is `known` from outside, by id."""

    keys: dict[Tensor, None]
    mentioned: dict[str, set[str | None]]

    def __init__(self, caches: Iterable[Remembering], known: dict[int, Any]) -> None:
        wrapped = [cache.function.__wrapped__ for cache in caches]
        self._codes = {f.__code__ for f in wrapped if type(f) is types.FunctionType}
        self._known, self.keys, self.mentioned = known, {}, {}
        self._owners: dict[int, Owner] = {}
        self._inside: dict[int, dict[int, Any]] = {}  # by the id of a result, what is in it, by id
        self._things: dict[int, Any] = {}  # the same, of the result that is looked at

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A block in which the function is traced; who else profiles it still does."""
        before = sys.getprofile()
        if not self._codes or not (before is None or callable(before)):
            yield
            return
        codes, keep = self._codes, self._keep

        def note(frame: types.FrameType, event: str, arg: Any) -> None:
            if event == "return" and frame.f_code in codes:
                keep(arg)
            if before is not None:
                before(frame, event, arg)  # type: ignore[arg-type]

        sys.setprofile(note)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _keep(self, result: Any) -> None:
        self._things = {}
        self.later(result, "")
        self._inside[id(result)] = self._things

    def later(self, value: Any, path: str) -> None:
        """Keep what is in a thing now."""
        if id(value) in self._things or id(value) in self._known or is_a(value, _CLOSED) or too_large(value):
            return
        self._things[id(value)] = value
        visit = next((visit for kinds, visit in CONTENTS if is_a(value, kinds)), None)
        if visit is not None:
            visit(self, value, path)  # type: ignore[arg-type]
        if (users_class(type(value)) and not of_ours(type(value), "_snapshot")) or type(value) in NAMESPACES:
            for holder in attributes_to_set(value):
                owner = (ObjectTable(holder, str) if is_a(holder, dict) else Fields(holder, str, None))
                self._add(owner, holder)
                for held in owner.before.values():
                    self.later(held, path)

    def weakly(self, value: Any, path: str) -> None:
        """What a weak reference leads to is held by somebody else."""

    def watch(self, place: Place) -> tuple[Any, ...]:
        """Keep what is at a place now."""
        for owner in owners_of([place]):
            self._add(owner, owner.thing)
        return place.seen

    def _add(self, owner: Owner, thing: Any) -> None:
        owner.placed, owner.fresh = False, True
        self._owners[owner.identity] = owner
        self._things[owner.identity] = thing

    def lacks(self, result: Any) -> bool:
        """Whether a result may be changed, and its return was not watched."""
        todo, seen = [result], set[int]()
        while todo and not self._codes:
            x = todo.pop()
            if is_a(x, (tuple, frozenset)) and id(x) not in seen:
                seen.add(id(x))
                todo += reader(x)()
            elif not (is_a(x, _CLOSED) or of_ours(type(x), "_snapshot") or too_large(x)):
                return True
        return False

    def inside(self, result: Any) -> dict[int, Any]:
        """What was in a result, by id."""
        return self._inside.get(id(result), {})

    def undone(self, result: Any) -> list[tuple[Owner, dict[Any, Any]]]:
        """What was done to a result since it was returned: undone now."""
        owners = [self._owners[i] for i in self.inside(result) if i in self._owners]
        found = [(owner, owner.edits()) for owner in owners]
        return [(owner, edits) for owner, edits in found if edits or owner.moved]
