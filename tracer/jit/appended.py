"""Lists in places outside to which a step only appends (`history["loss"].append(loss)`): nothing depends on what is in them.

That a step appends to one is known after its first trace, which is then made again with a list in its place that notes
whether code does more than that. (What code only appends to under a name is known before, by `guards/mentions.py`.)
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from types import BuiltinFunctionType
from typing import Any

from ..guards.grown import Grown
from ..guards.outside import Outside
from ..guards.owners import Items, Owner
from ..tensor.appended import STANDS_FOR, added, bound_of, standing_for
from ..tensor.nested import refill
from .effects import Effects, flat
from .guard import Guard
from .trace import Trace

_HEAPS = (heapq.heappush, heapq.heappop, heapq.heapify, heapq.heapreplace, heapq.heappushpop)
Lists = set[tuple[int, Any]]  # the places of lists, by the id of what holds one and its key there


def put_lists(trace: Trace, outside: Outside, places: Lists, given: Collection[int]) -> None:
    """Let lists that note what is done to them stand for those in these places, where each is the only one for its list."""
    if not places or reads_past(outside):
        return
    holders = _holders(trace, outside)
    for thing, key in places:
        owner = outside.owners.get(thing) or trace.noted.get(thing)
        x: Any = None if owner is None else owner.before.get(key)
        if owner is None or type(x) not in STANDS_FOR or id(x) in given or not isinstance(outside.owners.get(id(x)), Items):
            continue
        if outside.ways_to(x) < 2 and holders[id(x)] == {(owner.identity, owner.where(key)[1])}:
            trace.lists[owner.identity, key] = owner, x, standing_for(x)
            owner.hide({key: trace.lists[owner.identity, key][2]})


def reads_past(outside: Outside) -> bool:
    """Whether code may reach what looks into a list past its methods: functions of `heapq`, those of `list` or `deque` itself."""
    return outside.unbound or any(value in _HEAPS for place in outside.places() for value in place.seen
                                  if type(value) is BuiltinFunctionType)


def _holders(trace: Trace, outside: Outside) -> dict[int, set[Any]]:
    """Where each thing is, by id, as far as it is known."""
    found: dict[int, set[Any]] = defaultdict(set)
    for owner in (*outside.owners.values(), *trace.noted.values()):
        for key, value in owner.before.items():
            for part in flat(value):
                found[id(part)].add(owner.where(key))
    for place in outside.places():
        for i, value in enumerate(place.seen):
            for part in flat(value):
                found[id(part)].add(place.where(i))
    return found


def give_back(trace: Trace) -> None:
    """After the function ran: what it did to the lists in their places is done to them."""
    for _, x, stand_in in trace.lists.values():
        refill(x, dict(enumerate(type(x).__iter__(stand_in))))


def only_appended(trace: Trace, effects: Effects, outside: Outside) -> None:
    """Let what was put at the end of a list that nobody read be put at the end of whatever list is there at a call.

    Of one to which nothing was done, either, a call depends on its being a list alone; on which one it is where code asks.
    """
    at = {items.identity: i for i, (items, _) in enumerate(effects.found)}
    for (identity, key), (owner, x, stand_in) in trace.lists.items():
        if stand_in.read or (identity, key) in effects.edits:  # another one is there at the end
            continue
        if new := added(stand_in):
            i = at.get(id(x), len(effects.found))
            effects.found[i:i + 1] = [(Grown(x, outside.owners[id(x)].label, partial(owner.get, key)), dict(enumerate(new)))]
        else:
            _guard(trace, owner, key, bound_of, x)
        if outside.compares:
            _guard(trace, owner, key, id, x)
        effects.let_be(identity, key)
        trace.appended[identity, key] = owner, id(x)


def _guard(trace: Trace, owner: Owner, key: Any, look: Callable[[Any], Any], x: Any) -> None:
    """A call depends on what `look` says of what is in a place, where `x` is now."""
    trace.guards.append(Guard(owner.label(key), lambda: look(owner.get(key)), look(x), trace.position(), owner.where(key)))


def appended_to(effects: Effects, outside: Outside) -> Lists:
    """The places of lists at whose end a step put something, and of the lists beside them: another call may put it there."""
    ids = {items.identity for items, edits in effects.found if type(items) is Items and type(items.thing) in STANDS_FOR
           and _at_the_end(items, edits)}
    holders = [owner for owner in outside.holders() if owner.placed and type(owner) is not Grown
               and any(id(value) in ids for value in owner.before.values())] if ids else ()
    return {(owner.identity, key) for owner in holders for key, value in owner.before.items() if type(value) in STANDS_FOR}


def _at_the_end(items: Owner, edits: dict[Any, Any]) -> bool:
    """Whether things were put at the end; of a deque that is full, any may be what is put there."""
    return bool(edits) and (min(edits) >= len(items.before) or bound_of(items.thing)[1] is not None)
