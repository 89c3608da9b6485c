"""What a step does to Python objects outside its arguments: found at the trace and undone, done at each call.

A tensor that a step binds anew where one was before (`self.h = cell(x, self.h)`) is state: the program is given the one
that is there at a call, and the new one is bound there after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from ..guards.identity import MISSING, kept
from ..guards.outside import Outside
from ..guards.owners import Grown, GrownTable, ModuleTable, Owner, RegisteredTable, StateTable
from ..guards.statics import is_a
from ..guards.texts import Change, shown
from ..ir.types import Type
from ..tensor.epochs import structure_epoch
from ..tensor.nested import vars_of
from ..tensor.scalar import as_key, keyed
from ..tensor.storage import Storage
from ..tensor.tensor import Tensor
from .guard import Guard
from .trace import Trace

Places = dict[tuple[int, Any], Owner]  # by the id of what holds something, and its key there


@dataclass(frozen=True)
class Slot:
    """Where a step finds a tensor of this type and binds another one at each call."""

    owner: Owner
    key: Any
    type: Type
    device: str
    twin: Slot | None = None  # where the very same tensor must be
    fixed: bool = True  # whether the other one is of this type too
    unread: bool = False  # whether the step asks nothing of it, so that it may have a history

    def storage(self) -> Storage:
        """The memory of the tensor that is there now."""
        return self.owner.get(self.key)._storage

    def changes(self) -> list[Change]:
        """Empty if there is such a tensor, which nothing else is known of."""
        now = self.owner.get(self.key)
        if (isinstance(now, Tensor) and _is_there(now, self.unread) and now._type is self.type and now._device == self.device
                and (self.twin is None or now is self.twin.owner.get(self.twin.key))):
            return []
        return [(self.owner.label(self.key), f"a tensor {self.type}", shown(now))]


@dataclass(frozen=True)
class Effect:
    """What becomes of an owner at each call: templates by key, MISSING for what is gone; then these keys are put last.

    `slots` are those that hold state, `numbers` those of numbers that are read at each call; of what else is changed the
    value before the trace is guarded.
    """

    owner: Owner
    edits: Mapping[Any, Any]
    slots: Mapping[Any, Slot]
    numbers: frozenset[Any]
    last: tuple[Any, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether it leaves nothing that the trace depends on."""
        return self.edits.keys() <= self.slots.keys() | self.numbers

    @property
    def moves_structure(self) -> bool:
        """Whether other programs may find a module changed by it."""
        if isinstance(self.owner, StateTable):
            return not self.edits.keys() <= self.numbers
        return isinstance(self.owner, ModuleTable) and bool(self.edits)

    def apply(self, values: Mapping[Any, Any]) -> None:
        """Do it."""
        self.owner.edit(values)
        if self.last:
            self.owner.put_last(self.last)
        if self.moves_structure:
            structure_epoch[0] += 1


class Effects:
    """What a trace did outside; all of it is undone by now. `leaves` says which tensors became leaves, or stopped being some.

    `exchanged` are places where a call found another tensor than the one before: what is there is state, also of a trace that
    does not bind it anew.
    """

    def __init__(self, outside: Outside, trace: Trace, exchanged: Places | None = None) -> None:
        self.leaves = {t: t._requires_grad for t, (before, _) in trace.handles.items()
                       if t._requires_grad is not before and t._inside is None}
        for tensor, leaf in self.leaves.items():
            _flag(tensor, not leaf)
        outside.put_tables_back()
        owners = {**trace.noted, **outside.owners, **trace.options}
        for table, key, value in trace.adopted:
            owner = owners.get(id(table))
            if owner is not None:
                owner.adopt(key, value)
        self._owners, self._reads, self._there = list(owners.values()), outside.reads, outside.there()
        self.found: list[tuple[Owner, dict[Any, Any]]] = []
        for owner in self._owners:
            edits = keyed(owner.edits())
            if isinstance(owner, ModuleTable):
                edits |= {k: owner.before[k] for k in owner.keys_set & owner.before.keys() if k not in edits
                          and not self.may_read(owner, k)}
            owner.order = tuple(map(as_key, owner.order))
            if edits or owner.moved:
                self.found.append((owner, edits))
        self.edits = {(owner.identity, key): now for owner, edits in self.found for key, now in edits.items()}
        self._identities = {owner.identity for owner in self._owners}
        self._left = self._left_as_they_were(exchanged or {})

    def _left_as_they_were(self, exchanged: Places) -> dict[int, dict[Any, Any]]:
        """By number of what was found: the keys of these places that the trace did not bind anew, with what is there."""
        owners = {owner.identity: owner for owner in self._owners}
        at = {owner.identity: i for i, (owner, _) in enumerate(self.found)}
        left: dict[int, dict[Any, Any]] = {}
        for thing, key in exchanged:
            owner = owners.get(thing)
            if owner is not None and (thing, key) not in self.edits and isinstance(owner.before.get(key), Tensor):
                if thing not in at:
                    at[thing] = len(self.found)
                    self.found.append((owner, {}))
                left.setdefault(at[thing], {})[key] = owner.before[key]
        return left

    def is_known(self, x: Any) -> bool:
        """Whether a thing was there before the trace: it is one of those that the trace could write to, or was looked at."""
        return id(x) in self._identities or id(x) in self._there or (
            is_dataclass(type(x)) and id(vars_of(x)) in self._identities)

    def held_before(self) -> set[int]:
        """The ids of all that something held before the trace."""
        return {id(x) for owner in self._owners for x in owner.before.values()}

    def may_read(self, owner: Owner, key: Any) -> bool:
        """Whether code may read what something has under a key."""
        return not owner.named or self._reads.may_read(key)

    def is_place(self, thing: int, key: Any) -> bool:
        """Whether there was something that holds values, by its id, and the trace did not bind this key of it anew."""
        return thing in self._identities and (thing, key) not in self.edits

    def slots(self, trace: Trace, arguments: list[Any]) -> dict[int, dict[Any, Slot]]:
        """By number of what was found: the keys where a tensor made way for one like it, and that nothing else knew of.

        Several keys may have held one tensor, if all of them get one again: then they must at each call.
        """
        places: dict[int, list[tuple[int, Any, Any]]] = {}  # of each tensor that made way: where, and what is there now
        for i, (owner, edits) in enumerate(self.found):
            for key, now in (edits | self._left.get(i, {})).items() if owner.placed else ():
                if isinstance(old := owner.before.get(key), Tensor):
                    places.setdefault(id(old), []).append((i, key, now))
        known = self._known_elsewhere(trace, arguments, places)
        chosen = {tensor: where for tensor, where in places.items()
                  if id(self._before(where)._storage) not in known and all(now is where[0][2] for _, _, now in where)}
        while True:  # one that got a tensor which was in another of them is one only as long as that is
            kept = {tensor: where for tensor, where in chosen.items()
                    if _may_replace(where[0][2], self._before(where), trace, chosen, self._unread(where, trace))}
            if len(kept) == len(chosen):
                break
            chosen = kept
        found: dict[int, dict[Any, Slot]] = {}
        for where in chosen.values():
            (first, key, now), old = where[0], self._before(where)
            slot = Slot(self.found[first][0], key, old._type, old._device, None, _is_nothing(now) or now._type is old._type,
                        self._unread(where, trace))
            for i, name, _ in where:
                found.setdefault(i, {})[name] = replace(slot, owner=self.found[i][0], key=name, twin=slot)
        return found

    def _before(self, where: list[tuple[int, Any, Any]]) -> Tensor:
        """The tensor that was in these places."""
        i, key, _ = where[0]
        tensor: Tensor = self.found[i][0].before[key]
        return tensor

    def _unread(self, where: list[tuple[int, Any, Any]], trace: Trace) -> bool:
        """Whether the trace asked nothing of the tensor that was in these places."""
        tensor = self._before(where)
        return not (tensor in trace.handles or tensor._storage in trace.captured or tensor._storage in trace.written)

    def held(self, slots: Mapping[int, Mapping[Any, Slot]]) -> list[tuple[Tensor, Slot]]:
        """The tensors that were in slots, with these: at a call they hold what stands for them."""
        return [(self.found[i][0].before[key], slot) for i, found in slots.items() for key, slot in found.items()]

    def _known_elsewhere(self, trace: Trace, arguments: list[Any], places: dict[int, Any]) -> set[int]:
        """Storages of tensors that an argument has, another tensor shares, or a place holds that keeps what it has."""
        known = {id(x._storage) for x in arguments if isinstance(x, Tensor)}
        known |= {id(t._storage) for t in trace.handles if id(t) not in places}
        known |= {id(s) for s in (*trace.captured, *trace.written)} - {id(t._storage) for t in trace.handles if id(t) in places}
        if places:
            edited = {(owner.identity, key) for i, (owner, edits) in enumerate(self.found)
                      for key in edits | self._left.get(i, {})}
            known |= {id(x._storage) for owner in self._owners if not owner.grown for key, x in owner.before.items()
                      if id(x) in places and (owner.identity, key) not in edited}
        return known

    def guards_of(self, effect: Effect, where: str) -> list[Guard]:
        """Guards for what was there before, if code reads it: the next call finds what this one leaves."""
        owner = effect.owner
        if isinstance(owner, (Grown, GrownTable)):
            return [Guard(owner.label(""), lambda: type(owner.find()), type(owner.thing), where)]
        if not owner.placed or isinstance(owner, RegisteredTable):  # of which all is compared as the structure of a module
            return []
        free = effect.slots.keys() | effect.numbers | {key for key in effect.edits if not self.may_read(owner, key)}
        return [Guard(owner.label(key), lambda key=key: owner.get(key), kept(owner.before.get(key, MISSING)), where)  # type: ignore[misc]
                for key in effect.edits if key not in free]


def _flag(tensor: Tensor, leaf: bool) -> None:
    """Set `requires_grad` back, and that alone: nothing else of what `requires_grad_` does was done outside of the trace."""
    if leaf:
        tensor._become_leaf()
    else:
        tensor._requires_grad, tensor._seen = False, None
        if tensor._base is None:
            tensor._storage.leaf = None


def exchanged(outside: Outside, changes: list[Change]) -> Places:
    """Where there is another tensor than at the trace before."""
    labels = {label for label, _, _ in changes}
    return {(owner.identity, key): owner for owner in outside.holders() if owner.placed
            for key, value in owner.before.items() if is_a(value, Tensor) and owner.label(key) in labels}


def _may_replace(now: Any, old: Tensor, trace: Trace, moved: Collection[int], unread: bool) -> bool:
    """Whether a place that held `old` may be given any such tensor: it gets another one that was made or moved, or none."""
    return _is_there(old, unread) and (_is_nothing(now) or (
        isinstance(now, Tensor) and (trace.made_inside(now) or id(now) in moved)))


def _is_nothing(x: Any) -> bool:
    """Whether nothing is left in a place."""
    return x is MISSING or x is None


def is_plain(x: Tensor) -> bool:
    """Whether a tensor is its memory and nothing more: no view, no leaf, without history."""
    return x._base is None and not x._requires_grad and x._graph is None and not x._storage.value.requires_grad


def _is_there(x: Tensor, unread: bool = False) -> bool:
    """Whether a tensor is plain, but for a history if it is `unread`, and has contents outside of any trace."""
    plain = x._base is None and not x._requires_grad if unread else is_plain(x)
    return plain and x._storage.trace is None and not x._storage.lost
