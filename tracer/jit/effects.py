"""What a step does to Python objects outside its arguments: found at the trace and undone, done at each call.

What a step binds anew where its like was before (`self.h = cell(x, self.h)`) is state (`nests.py`): the program is given what is
there at a call, and the new one is bound there after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from ..guards.grown import PutInto
from ..guards.identity import MISSING, Weakly, kept
from ..guards.outside import Outside
from ..guards.owners import ModuleTable, Owner, RegisteredTable, StateTable
from ..guards.places import Where
from ..guards.statics import is_a, reader
from ..guards.texts import Change, Label
from ..tensor.appended import bound_of
from ..tensor.epochs import structure_epoch
from ..tensor.nested import vars_of
from ..tensor.scalar import as_key, keyed
from ..tensor.tensor import Tensor
from .guard import Guard
from .nests import LARGEST, GradientOf, Nest, Slot, Spot, is_there, parts
from .trace import Trace

Places = dict[tuple[int, Any], Owner]  # by the id of what holds something, and its key there


@dataclass(frozen=True)
class Effect:
    """What becomes of an owner at each call: templates by key, MISSING for what is gone; then these keys are put last.

    `nests` are those that hold state, `numbers` those of numbers that are read at each call; of what else is changed the
    value before the trace is guarded.
    """

    owner: Owner
    edits: Mapping[Any, Any]
    nests: Mapping[Any, Nest]
    numbers: frozenset[Any]
    last: tuple[Any, ...] = ()

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

    `exchanged` are places where a call found another tensor or container than the one before: what is there is state, also of a
    trace that does not bind it anew. `given` are the ids of the containers that it was given.
    """

    def __init__(self, outside: Outside, trace: Trace, exchanged: Places | None = None, given: Collection[int] = ()) -> None:
        self.leaves = {t: t._requires_grad for t, before in trace.handles.items()
                       if t._requires_grad is not before.requires_grad and t._inside is None}
        for tensor, leaf in self.leaves.items():
            _flag(tensor, not leaf)
        for tensor, before in trace.handles.items():
            if tensor._inside is None and not before.own:  # a history of the trace, which what is written does not keep
                tensor._graph = tensor._graph_of = None
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
        self._left = self._left_as_they_were(exchanged or {}, set(map(id, trace.grads_found().values())))
        self._given, self._places, self._ways_to = given, outside.places(), outside.ways_to
        self._nests: dict[int, dict[Any, Nest]] | None = None
        self.fresh: set[int] = set()  # what came to be in the trace and stays, by id

    def _left_as_they_were(self, exchanged: Places, gradients: Collection[int]) -> dict[int, dict[Any, Any]]:
        """By number of what was found: the keys of these places that the trace did not bind anew, with what is there.

        So are places of `gradients`, by id: the trace may have set them to the `.grad` that was there already.
        """
        owners = {owner.identity: owner for owner in self._owners}
        at = {owner.identity: i for i, (owner, _) in enumerate(self.found)}
        left: dict[int, dict[Any, Any]] = {}
        held = [(owner.identity, key) for owner in self._owners for key, x in owner.before.items() if id(x) in gradients]
        for thing, key in (*exchanged, *held):
            owner = owners.get(thing)
            if owner is not None and (thing, key) not in self.edits and may_be_state(owner.before.get(key), owner):
                if thing not in at:
                    at[thing] = len(self.found)
                    self.found.append((owner, {}))
                left.setdefault(at[thing], {})[key] = owner.before[key]
        return left

    def let_be(self, identity: int, key: Any) -> None:
        """What is in this place is no state, though another one was found there than at an earlier trace."""
        for i, left in self._left.items():
            if self.found[i][0].identity == identity:
                left.pop(key, None)

    def know(self, things: Mapping[int, Any], undone: list[tuple[Owner, dict[Any, Any]]]) -> None:
        """What stays with a function that remembers its results, by id, and what was done to it since it was returned."""
        self._there = {**self._there, **things}
        self._identities |= things.keys()
        self.fresh |= things.keys()
        for owner, edits in undone:
            owner.before, owner.order = {}, tuple(map(as_key, owner.order))
            self.found.append((owner, keyed(edits)))
            self.edits |= {(owner.identity, key): now for key, now in keyed(edits).items()}

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

    def nests(self, trace: Trace, arguments: list[Any]) -> dict[int, dict[Any, Nest]]:
        """By number of what was found: the keys where something made way for its like, and that nothing else knew of.

        Several places may have held one tensor, if all of them get one again: then they must at each call.
        """
        if self._nests is None:
            self._nests = _Search(self, trace, arguments).nests()
        return self._nests

    def nests_found(self) -> dict[int, dict[Any, Nest]]:
        """Those, once they are."""
        return self._nests or {}

    def held(self, nests: Mapping[int, Mapping[Any, Nest]]) -> list[tuple[Any, Spot]]:
        """The tensors and containers that were in places of state, with these: at a call they hold what stands for them."""
        return [spot for found in nests.values() for nest in found.values() for spot in nest.spots()]

    def guards_of(self, effect: Effect, where: str) -> list[Guard]:
        """Guards for what was there before, if code reads it: the next call finds what this one leaves."""
        owner = effect.owner
        if isinstance(owner, PutInto):
            return [Guard(owner.label(""), lambda: bound_of(owner.find()), bound_of(owner.thing), where)]
        if not owner.placed or isinstance(owner, RegisteredTable):  # of which all is compared as the structure of a module
            return []
        unread = {key for key in effect.edits if not self.may_read(owner, key)}
        free = effect.nests.keys() | effect.numbers | unread
        looks = [(key, lambda key=key: owner.get(key), kept(owner.before.get(key, MISSING)))
                 for key in effect.edits if key not in free]
        looks += [(key, lambda key=key: owner.get(key) is MISSING, False) for key, now in effect.edits.items()
                  if now is MISSING and key in unread]  # `del` is an error where there is nothing
        return [Guard(owner.label(key), read, value, where, owner.where(key)) for key, read, value in looks]


class _Search:
    """Looks for what makes way for its like in a trace that had these arguments."""

    def __init__(self, effects: Effects, trace: Trace, arguments: list[Any]) -> None:
        self._effects, self._trace, self._arguments = effects, trace, arguments

    def nests(self) -> dict[int, dict[Any, Nest]]:
        """By number of what was found, and key."""
        trace = self._trace
        made = [(i, nest) for i, nest in self._candidates() if nest.is_tensor or self._is_alone(nest)]
        while True:  # one that got what was in another of them is one only as long as that is
            chosen = self._chosen(made)
            inner = {identity for _, nest in made for identity in nest.inner}
            kept = [(i, nest) for i, nest in made if (() in nest.leaves and id(nest.before) in chosen) or (
                not nest.is_tensor and nest.may_stay(chosen, lambda x, inner=inner: id(x) not in inner and self._is_old(x),  # type: ignore[misc]
                                                      lambda x: trace.made_inside(x) or trace.is_stand_in(x)))]
            if len(kept) == len(made):
                break
            made = kept
        first: dict[int, Slot | GradientOf] = {id(g): GradientOf(t) for t, g in trace.grads_found().items()}
        found: dict[int, dict[Any, Nest]] = {}
        for i, nest in made:
            for path, x in nest.leaves.items():
                if id(x) in chosen:
                    slot = nest.slots[path] = Slot(nest.owner, nest.key, path, x._type, x._device, first.get(id(x)),
                                                   unread(x, trace))
                    first.setdefault(id(x), slot)
            found.setdefault(i, {})[nest.key] = nest
        return found

    def _candidates(self) -> Iterator[tuple[int, Nest]]:
        """What another one was bound in the place of, with the number of what was found."""
        for i, (owner, edits) in enumerate(self._effects.found):
            for key, now in (edits | self._effects._left.get(i, {})).items() if owner.placed else ():
                old = owner.before.get(key, MISSING)
                if may_be_state(old, owner) and (is_a(old, Tensor) or self._effects.may_read(owner, key)):
                    nest = Nest(owner, key, now)
                    if len(nest.leaves) <= LARGEST:
                        yield i, nest

    def _chosen(self, nests: list[tuple[int, Nest]]) -> set[int]:
        """The tensors, by id, in the place of which there may be any of their type."""
        places: dict[int, list[tuple[Tensor, Any]]] = {}  # of each tensor: itself and what is there now
        for _, nest in nests:
            for path, x in nest.leaves.items():
                if is_a(x, Tensor):
                    places.setdefault(id(x), []).append((x, nest.now_at(path)))
        known = self._known_elsewhere(places, nests)
        chosen = {tensor for tensor, where in places.items() if id(where[0][0]._storage) not in known
                  and self._effects._ways_to(where[0][0]) <= len(where)
                  and is_there(where[0][0], unread(where[0][0], self._trace)) and all(now is where[0][1] for _, now in where)}
        alone = {id(nest.before): nest.now for _, nest in nests if nest.is_tensor}
        gradients = set(map(id, self._trace.grads_found().values()))
        while True:
            moved = chosen | gradients
            gone = {tensor for tensor in chosen if tensor in alone and not _may_come(alone[tensor], self._trace, moved)}
            if not gone:
                return chosen
            chosen -= gone

    def _is_old(self, x: Any) -> bool:
        """Whether a container is none that the trace made."""
        return self._effects.is_known(x) or id(x) in self._effects._given

    def _is_alone(self, nest: Nest) -> bool:
        """Whether nothing else holds a container that is in this place, and the trace did not change it."""
        inner = {id(x) for x in nest.containers.values() if not isinstance(x, tuple)}
        if any(self._effects._ways_to(x) > 1 for x in nest.containers.values()
               if not isinstance(x, tuple) or any(is_a(part, Tensor) for part in flat(x))):
            return False
        if not inner.isdisjoint(self._effects._given) or any(owner.identity in nest.inner for owner, _ in self._effects.found):
            return False
        place = nest.owner.where(nest.key)
        others = (value for where, value in self._held() if where != place and where[0] not in nest.inner) if inner else ()
        return not any(id(x) in inner for value in others for x in flat(value))

    def _held(self) -> Iterator[tuple[Where, Any]]:
        """What was held outside before the trace, and where."""
        for owner in self._effects._owners:
            yield from ((owner.where(key), x) for key, x in owner.before.items())
        for place in self._effects._places:
            yield from ((place.where(i), x) for i, x in enumerate(place.seen))

    def _known_elsewhere(self, places: dict[int, Any], nests: list[tuple[int, Nest]]) -> set[int]:
        """Storages of tensors that an argument has, another tensor shares, or a place holds that keeps what it has."""
        trace = self._trace
        handles = [t for t in trace.handles if t._inside is None]  # others came to be in the trace
        known = {id(x._storage) for x in self._arguments if isinstance(x, Tensor)}
        known |= {id(t._storage) for t in handles if id(t) not in places}
        known |= {id(s) for s in (*trace.captured, *trace.written)} - {id(t._storage) for t in handles if id(t) in places}
        if places:
            edited = {(owner.identity, key) for i, (owner, edits) in enumerate(self._effects.found)
                      for key in edits | self._effects._left.get(i, {})}
            inner = {identity for _, nest in nests for identity in nest.inner}
            known |= {id(x._storage) for owner in self._effects._owners if not owner.grown and owner.identity not in inner
                      for key, value in owner.before.items() if (owner.identity, key) not in edited
                      for x in flat(value) if id(x) in places}
        return known


def _flag(tensor: Tensor, leaf: bool) -> None:
    """Set `requires_grad` back, and that alone: nothing else of what `requires_grad_` does was done outside of the trace."""
    if leaf:
        tensor._become_leaf()
    else:
        tensor._requires_grad, tensor._seen = False, None
        if tensor._base is None:
            tensor._storage.leaf = None


def exchanged(outside: Outside, changes: list[Change]) -> Places:
    """Where there is another tensor or container than at the trace before."""
    places = places_of(changes)
    return {(owner.identity, key): owner for owner in outside.holders() if owner.placed
            for key, value in owner.before.items() if may_be_state(value, owner) and owner.where(key) in places} if places else {}


def places_of(changes: list[Change]) -> set[Where]:
    """Where these changes are, as far as it is known."""
    return {label.place for label, _, _ in changes if isinstance(label, Label) and label.place is not None}


def may_be_state(x: Any, owner: Owner) -> bool:
    """Whether what an owner has is a tensor or a container, in whose place another one may come."""
    return is_a(x, Tensor) or (parts(x) is not None and not owner.copied)


def flat(x: Any) -> Iterator[Any]:
    """Something, and what is in it if it is a tuple or a frozenset; of a tensor that is kept, itself."""
    if type(x) is Weakly:
        x = x()
    yield x
    if is_a(x, (tuple, frozenset)):
        for part in reader(x)():
            yield from flat(part)


def _may_come(now: Any, trace: Trace, moved: Collection[int]) -> bool:
    """Whether what a step binds where a tensor was is another one that was made, given or moved (a `.grad`, say), or nothing."""
    return _is_nothing(now) or (is_a(now, Tensor) and (trace.made_inside(now) or trace.is_stand_in(now) or id(now) in moved))


def unread(x: Tensor, trace: Trace) -> bool:
    """Whether the trace asked nothing of a tensor from outside."""
    return not (x in trace.handles or x._storage in trace.captured or x._storage in trace.written)


def _is_nothing(x: Any) -> bool:
    """Whether nothing is left in a place."""
    return x is MISSING or x is None
