"""What a traced function may read outside its arguments, as it is before the trace and at each later call."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from operator import is_
from typing import Any

from ..ir.errors import TraceError
from ..tensor.epochs import structure_epoch
from ..tensor.handles import Handle
from ..tensor.operations import NUMBERS
from ..tensor.tensor import _OWN, Tensor
from .code import hooks_of_all
from .grown import GrownTable, PutInto, grown_owner
from .identity import HIDDEN, MISSING, Weakly, token
from .mentions import ANY_NAME
from .owners import (
    Cell,
    ClassOf,
    ClassTable,
    Fields,
    Items,
    ModuleTable,
    ObjectTable,
    Owner,
    StateTable,
    module_owners,
    owners_of,
)
from .owners import Table as OwnedTable
from .places import Entries, Names, Place, Watch, holder_of
from .ran import Doubtful
from .reachable import NAMESPACES, Reachable, identified, names_read
from .remembered import Remembering
from .statics import attributes, is_a, mro, table
from .tables import attributes_to_set
from .texts import Change, Label, Portrait, portraits
from .whose import foreign_function, looked_up, of_us, users_class

Read = Callable[[type], "frozenset[str] | None"]  # which attributes of things of a class are read; None for all


class Outside(Watch):
    """Values that the function reads, and the structure of modules and optimizers, as they were before the trace.

    Before, not after: a function that changes what it reads (`self.count += 1`) finds another value in the next call.
    Module and optimizer structure is looked at only if some such structure changed at all since.
    """

    def __init__(self, function: Callable[..., Any], arguments: Iterable[tuple[str, Any]] = (),
                 holders: Iterable[tuple[str, Any]] = (), hooks_run: bool = False) -> None:
        found = Reachable(function, arguments, holders, hooks_run)
        super().__init__(found.places())
        self.impure = Doubtful(found.impure)
        self.reads = found.reads()
        self.looks_at_types, self.unbound, self.compares = found.looks_at_types, found.unbound, found.compares
        self.calls = [(g.table, g.only_called) for g in found.globals.values()]  # globals that code only calls
        self.identified = [weakref.ref(t) for t in identified(found) if t._base is None]
        self.tensors = {t: Handle.of(t) for t in found.tensors}
        self.epoch = structure_epoch[0]
        self.hooks = frozenset(found.hooks.keys() - found.seen.keys())  # by id; of what they do nothing is known
        self._hooks_of_all = hooks_of_all()
        self._reached, self._walked = list(found.structures.values()), found.seen
        self.modules = _module_owners(self._reached)
        self._before = {id(s): s._snapshot(self.reads.of_module) for s in roots(self._reached) if not getattr(s, "_grows", False)}
        self.structures: list[tuple[weakref.ref[Any], dict[str, Any], Read, dict[str, Portrait]]] = []
        self.owners = _owners(found, self._places.values())
        self._only_set = _only_set(found, self.owners, self._places.values())
        self.counters = _counters(found, self.holders())
        self._tables = [(x, attributes(x)) for x in _instances(found) if not found.bound.isdisjoint({"__dict__", ANY_NAME})]
        # Containers that an argument may be, too.
        self.enterable = frozenset(i for i, (x, _) in found.seen.items() if self.has(x))
        self.caches = [Remembering(cache, names_read) for cache in found.caches]
        self._paths, self.foreign = found.paths, found.foreign
        self._left_out: set[tuple[int, str]] = set()  # what of structures is looked at by somebody else, by id and path

    def put_tables_back(self) -> None:
        """Let objects to which the trace gave another `__dict__` have their own again, with what is in the other one."""
        for x, own in self._tables:
            now = attributes(x)
            if now is not own:
                held = dict(now)
                object.__setattr__(x, "__dict__", own)
                own.clear()
                own.update(held)
                if id(now) in self.owners:
                    raise TraceError("a step gives an object a __dict__ that it reaches another way, too: each call could not do "
                                     "so again. Give it a copy.")

    def behind_caches(self, key: Any) -> bool:
        """Whether a function that remembers its results may have read what is under this key when it was called before."""
        return bool(self.caches) and (type(key) is not str or any(cache.may_read(key) for cache in self.caches))

    def forget_results(self) -> None:
        """Let functions that remember their results forget what they gave to a trace."""
        for cache in self.caches:
            if fresh := cache.fresh():
                cache.forget(fresh)

    def there(self) -> dict[int, Any]:
        """What was there before the trace, by id: what was looked at, variables of functions, results that are remembered."""
        things = [x for x, _ in self._walked.values()]
        cells = [cell for f in things if type(f) is types.FunctionType for cell in f.__closure__ or ()]
        return {id(x): x for x in (*things, *cells, *(x for cache in self.caches for x in cache.results_before()))}

    def reached(self) -> list[Any]:
        """Modules and optimizers that the function may lead to, before the trace."""
        return self._reached

    @property
    def only_sets(self) -> bool:
        """Whether there is anything that code sets and never reads."""
        return bool(self._only_set)

    def hide(self, but: Collection[tuple[int, Any]]) -> None:
        """Hide what code sets and never reads, but these places, until the owners tell their edits."""
        for owner in self.owners.values():
            if isinstance(owner, PutInto):
                owner.mark()
        for identity, keys in self._only_set.items():
            owner = self.owners[identity]
            owner.hide({key: HIDDEN for key in keys if (identity, key) not in but})

    def holders(self) -> Iterator[Owner]:
        """What holds the values that the function may read, attributes of modules among it."""
        yield from self.owners.values()
        yield from (owner for owner in self.modules.values() if type(owner) is ModuleTable)

    def has(self, container: Any) -> bool:
        """Whether the function reaches this container, and may do more to it than put things in."""
        owner = self.owners.get(id(container)) or self.owners.get(id(attributes(container)))
        return owner is not None and not owner.grown

    def leave_out(self, owner: Owner, key: Any) -> None:
        """What an owner has under a key is looked at by somebody else from now on."""
        self.open.add(owner.where(key))
        for ref, *_ in self.structures:
            thing = ref()
            states = attributes(thing).get("state") if isinstance(owner, StateTable) else None
            for i, kept in enumerate(states.values() if isinstance(states, dict) else ()):
                if kept is owner.thing:
                    self._left_out.add((id(thing), f"state[{i}][{key!r}]"))
            for path, part in _parts_of(thing):
                if owner.thing is part.__dict__ or owner.thing is part._buffers:
                    self._left_out |= {(id(thing), f"{path}{key}"), (id(thing), f"{path}{key}.requires_grad")}

    def drop(self, holders: Collection[int]) -> None:
        """Do not look any more at what is in these containers, by their ids."""
        if holders:
            self.take_out(holders)

    def ways_to(self, x: Any) -> int:
        """How many ways to something the function knows."""
        return len(self._paths.get(id(x), ()))

    def settle(self, ran: Iterable[Any], lasting: Iterable[Any], called: Iterable[Any]) -> None:
        """After the trace: add the modules and optimizers that ran in it, and what the functions called by us read.

        Of those that are not `lasting`, since the trace made them, only what their classes do.
        """
        ran, lasting = list(ran), list(lasting)
        kinds = dict.fromkeys(map(type, (*self._reached, *ran)))
        exchanged = (foreign_function(owner, name) for kind in kinds for owner, name, _ in looked_up(kind) if of_us(owner))
        more = dict.fromkeys((*called, *(f for f in exchanged if f is not None)))
        functions = [f for f in more if id(f) not in self._walked]
        self.add(place for function in functions for place in Reachable(function).places())
        self.add(_looked_up(kinds))
        # What an optimizer knows of its parameters means nothing to a trace in which it did not run.
        idle = {id(s) for s in self._reached if getattr(s, "_grows", False)} - set(map(id, ran))
        for thing in roots(dict.fromkeys((*self._reached, *lasting))):
            read = self.reads.by_users if id(thing) in idle else self.reads.of_module
            before = self._before.get(id(thing)) or thing._snapshot(read)
            self.structures.append((weakref.ref(thing), before, read, portraits(before)))
        self._reached, self._walked, self._before, self.tensors = [], {}, {}, {}

    def let_go(self) -> None:
        """After the last trace of a call: what things held before is not kept."""
        for owner in (*self.owners.values(), *self.modules.values()):
            owner.before = {}
        self.owners, self.modules, self._paths = {}, {}, {}

    def watched(self) -> Iterator[Tensor]:
        """Tensors that must be where they were seen."""
        for place in self.places():
            yield from (tensor for i, x in enumerate(place.seen) if type(x) is Weakly and (tensor := x()) is not None
                        and i not in place.open)

    def holds(self) -> bool:
        """Whether everything is as it was; cheap, if no structure changed."""
        try:
            if self._same() and self.epoch == structure_epoch[0]:
                return True
        except (LookupError, ValueError, AttributeError, TypeError):  # an entry that is gone, a cell that is empty, no tensor
            pass
        return not self.changes()

    def changes(self) -> list[Change]:
        """All that is not as it was."""
        changes = super().changes()
        if self.epoch != structure_epoch[0]:
            structural = self._structure_changes()
            if not structural:
                self.epoch = structure_epoch[0]
            changes += structural
        return changes

    def _structure_changes(self) -> list[Change]:
        changes: list[Change] = []
        for ref, before, read, known in self.structures:
            thing = ref()
            # One that is gone was made in the trace: if one from outside is, the place where it was has changed.
            if thing is not None and (now := thing._snapshot(read)) != before:
                left_out = {path for identity, path in self._left_out if identity == id(thing)}
                changes += _differences(thing, before, known, now, left_out)
        before_all, now_all = self._hooks_of_all, hooks_of_all()
        if len(before_all) != len(now_all) or not all(map(is_, before_all, now_all)):
            changes.append(("hooks of all modules or optimizers", len(before_all), len(now_all)))
        return changes


def _owners(found: Reachable, places: Iterable[Place]) -> dict[int, Owner]:
    """What a trace may write to outside, by id."""
    owners: dict[int, Owner] = {id(own): ObjectTable(own, lambda n, path=path: f"{path}.{n}")  # type: ignore[misc]
                                for own, path in found.tables}
    owners |= {holder_of(names.table): ClassTable(kind, names.table, names.label) for kind, names in found.classes}
    for owner in owners_of(places):
        owners.setdefault(owner.identity, owner)
    for names, stored in [(g.table, g.stored) for g in found.globals.values() if g.stored]:
        known = owners.get(id(names))
        keys = known.keys or () if isinstance(known, OwnedTable) else ()
        if not stored <= set(keys):
            owners[id(names)] = OwnedTable(names, lambda n: f"{n} (global)", tuple(dict.fromkeys((*keys, *sorted(stored)))))
    if not found.bound.isdisjoint({"__class__", ANY_NAME}):
        for x in _instances(found):
            path = found.seen[id(x)][1]
            kind = ClassOf(x, lambda key, path=path: f"the class of {path}")  # type: ignore[misc]
            owners[kind.identity] = kind
    for thing, path, find in found.only_grown.values():
        if id(thing) not in owners:
            owners[id(thing)] = grown_owner(thing, path, find)
    for thing, path in (*found.seen.values(), *found.tensors.items()) if found.bound else ():
        for owner in _bound_in(thing, path, found.bound, owners):
            owners[owner.identity] = owner
    return owners


def _instances(found: Reachable) -> list[Any]:
    """Objects of users' classes, modules among them."""
    return [x for x, _ in found.seen.values() if users_class(type(x)) and attributes(x) is attributes(x)
            and not is_a(x, (type, types.ModuleType))]


def _module_owners(reached: Iterable[Any]) -> dict[int, Owner]:
    """What makes modules what they are, by id: a trace may change it past their methods."""
    found: dict[int, Owner] = {}
    for thing in roots(reached):
        for path, part in getattr(thing, "named_modules", tuple)():
            if id(part.__dict__) not in found:
                label = f"{type(thing).__name__}.{path + '.' if path else ''}{{}}".format
                found.update((owner.identity, owner) for owner in module_owners(part.__dict__, label))
    return found


def _only_set(found: Reachable, owners: Mapping[int, Owner], places: Iterable[Place]) -> dict[int, list[Any]]:
    """By owner: the keys that code may set, and that nothing looks at; of users' objects, since who else may read others?"""
    read = {(place.identity, key) for place in places if isinstance(place, Names) for key in place.keys}
    whole = {id(place.dict) for place in places if isinstance(place, Entries)}
    users = {id(own) for own, _ in found.tables} | {id(attributes(x)) for x, _ in found.seen.values() if type(x) in NAMESPACES}
    only: dict[int, list[Any]] = {}
    for identity, owner in owners.items():
        if type(owner) is GrownTable:
            names: Any = owner.before
        elif identity in users or isinstance(owner, (ClassTable, Fields)):
            names = found.bound if identity in users or users_class(_kind_of(owner)) else ()
        else:
            names = found.globals[identity].stored if identity in found.globals else ()
        keys = [key for key, value in owner.before.items() if key in names and (identity, key) not in read
                and not (type(owner) is ClassTable and _is_descriptor(value))] if identity not in whole else []
        if keys:
            only[identity] = keys
    return only


def _counters(found: Reachable, holders: Iterable[Owner]) -> dict[tuple[int, Any], Owner]:
    """The places of numbers that code reads and sets, as it does with those that it counts in."""
    if not found.advanced:
        return {}
    cells = {id(cell): name for f, _ in found.seen.values() if type(f) is types.FunctionType
             for name, cell in zip(f.__code__.co_freevars, f.__closure__ or ())}

    def counts(owner: Owner, key: Any) -> bool:
        if isinstance(owner, Items):
            return any(f"{name}[]" in found.advanced for name in found.aliases.get(id(owner.thing), ()))
        name = cells.get(id(owner.thing)) if type(owner) is Cell else key
        return type(name) is str and not found.advanced.isdisjoint((name, f"[{name}]"))

    return {(owner.identity, key): owner for owner in holders for key, value in owner.before.items()
            if type(value) in NUMBERS and counts(owner, key)}


def _kind_of(owner: Owner) -> type:
    """The class, or that of the object with these slots."""
    return owner.kind if isinstance(owner, ClassTable) else type(getattr(owner.thing, "owner", None))


def _is_descriptor(x: Any) -> bool:
    """Whether a class has this to say what its instances have."""
    return any("__get__" in table(base) for base in mro(type(x)))


def _bound_in(x: Any, path: str, names: set[str], owners: Mapping[int, Owner]) -> Iterator[Owner]:
    """Attributes of an object that code may set without ever reading them, beside those that are known."""
    names = names - _OWN if is_a(x, Tensor) else names
    for holder in attributes_to_set(x):
        known = owners.get(id(holder) if is_a(holder, dict) else id(x))
        before = getattr(known, "keys", ())  # None for all
        if before is not None and not (names <= set(before)):
            kind = Fields if not is_a(holder, dict) else OwnedTable if is_a(x, types.ModuleType) else ObjectTable
            label = f"{path}.{{}}".format if known is None else known.label
            yield kind(holder, label, None if ANY_NAME in names else tuple(dict.fromkeys((*before, *sorted(names)))))


def _looked_up(kinds: Iterable[type]) -> list[Names]:
    """Forwards and functions of ours that modules of these classes run."""
    found: dict[int, tuple[Any, dict[str, str]]] = {}
    for owner, name, label in (x for kind in kinds for x in looked_up(kind)):
        found.setdefault(id(owner), (owner, {}))[1][name] = label
    return [Names(table(owner) if is_a(owner, type) else attributes(owner), labels, labels.__getitem__)
            for owner, labels in found.values()]


def roots(things: Iterable[Any]) -> list[Any]:
    """Modules and optimizers without those that are parts of others."""
    things = list(things)
    parts = {id(part) for thing in things for part in thing._parts()}
    return [thing for thing in things if id(thing) not in parts]


def _parts_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """The modules in one, with what stands in front of their attributes in its snapshot; none in an optimizer."""
    if hasattr(thing, "named_modules"):
        yield from ((f"{path}." if path else "", part) for path, part in thing.named_modules(remove_duplicate=False))


def _differences(thing: Any, before: dict[str, Any], known: dict[str, Portrait], now: dict[str, Any],
                 left_out: Collection[str]) -> list[Change]:
    """What differs between two snapshots, by path, but at those left out; of objects in the first, portraits are `known`."""
    parts = {f"{path}{{}}".format: part for path, part in _parts_of(thing)}
    places = {path(key): (id(table), token(key)) for path, part in parts.items()
              for table in (part.__dict__, part._buffers) for key in table}
    return [(known.get(path) or Portrait(before.get(path, MISSING))).change(
                Label.of(f"{type(thing).__name__}.{path}", places.get(path)), Portrait(now.get(path, MISSING)))
            for path in dict.fromkeys((*before, *now))
            if before.get(path, MISSING) != now.get(path, MISSING) and path not in left_out]
