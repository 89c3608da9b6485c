"""Containers outside into which code only puts things: they mean nothing to a trace, and each call puts things in again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..ir.errors import TraceError
from .owners import Items, MembersOf, Owner, Table
from .texts import key_text


class PutInto(Owner):
    """What code only puts things into: each call puts them into what `find` gives then, whatever is there."""

    grown, placed = True, False

    def __init__(self, thing: Any, label: Callable[[Any], str], find: Callable[[], Any]) -> None:
        self.find = find
        super().__init__(thing, label)

    def mark(self) -> None:
        """Let it be seen also if what is put in is there already, until `edits()`."""

    def edit(self, edits: Mapping[Any, Any]) -> None:
        """Put things in."""
        self.find().update(edits)


class Grown(PutInto, Items):
    """A list or a deque to which code only appends: each call appends again, to what `find` gives then, whatever is there."""

    def mark(self) -> None:
        """Let marks stand for what is in a deque that has a bound, until `edits()`: what goes and comes may be the same thing."""
        if getattr(self.thing, "maxlen", None) is not None:
            self.hidden, self.before = self.before, {i: object() for i in self.before}
            self.hold(self.before)

    def edits(self) -> dict[Any, Any]:
        """What was put at the end."""
        now, before = list(self.thing), list(self.before.values())
        self.before, self.hidden = self.hidden or self.before, {}
        self.hold(self.before)
        return dict(enumerate(now[self._kept(now, before):]))

    def _kept(self, now: list[Any], before: list[Any]) -> int:
        """How many of the first items were there before; a deque that is full may have lost some at its front."""
        lost = 0
        if getattr(self.thing, "maxlen", None) is not None:
            while not _starts_with(now, before[lost:]):
                lost += 1
        if not _starts_with(now, before[lost:]):
            raise TraceError(f"{self.label(0)[:-3]} is a list that code only puts things in, but not at its end: each call could "
                             "not do so again. Append to it.")
        return len(before) - lost

    def edit(self, edits: Mapping[Any, Any]) -> None:
        """Put things at the end."""
        self.find().extend(edits.values())


def _starts_with(now: list[Any], items: list[Any]) -> bool:
    return len(now) >= len(items) and all(a is b for a, b in zip(now, items))


class GrownTable(PutInto, Table):
    """A dictionary into which code only stores: each call stores again, into what `find` gives then."""

    moved = ()


class GrownMembers(PutInto, MembersOf):
    """A set into which code only puts things: each call puts them into what `find` gives then."""

    def mark(self) -> None:
        """Let it hold nothing until `edits()`: what is put in may be there already."""
        if self.before:
            self.hidden, self.before = self.before, {}
            self.hold({})

    def edits(self) -> dict[Any, Any]:
        """What was put in."""
        if not self.hidden:
            return super().edits()
        now = self.held()
        self.before, self.hidden, self.order = self.hidden, {}, tuple(now)
        self.hold(self.before)
        return now


def grown_owner(thing: Any, path: str, find: Callable[[], Any]) -> Owner:
    """What code only puts things in; `find` gives what is there in its place by now."""
    if isinstance(thing, (list, deque)):
        return Grown(thing, lambda i: f"{path}[{i}]", find)
    if isinstance(thing, dict):
        return GrownTable(thing, lambda key: f"{path}[{key_text(key)}]", find)
    return GrownMembers(thing, lambda key: path, find)
