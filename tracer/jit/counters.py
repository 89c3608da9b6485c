"""Numbers outside that a step writes (`self.calls += 1`), or that were found changed: numbers of the step, as its arguments are.

They are read at each call, Python computes with them, and what the step makes of them is written back. That a step writes
one is known after its first trace, which is then made again with scalars in these places.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..guards.identity import MISSING
from ..guards.outside import Outside
from ..guards.owners import Owner
from ..guards.texts import Change
from ..tensor.nested import container_of
from ..tensor.scalar import Scalar, Source
from .effects import Effects, Places, places_of
from .nests import LARGEST, Nest, Path, Spot, identities, parts, text_of, within
from .signature import is_input
from .trace import Trace


def put_scalars(trace: Trace, outside: Outside, places: Places, looked_at: bool) -> None:
    """Let scalars of the trace stand in for the numbers at these places. `Effects` puts the numbers back.

    With `looked_at` the numbers stay there, and the trace holds for these only. A number that is itself one of these, in a
    container that is another one, is found where it is: the container stays while the step writes into it.
    """
    containers = []
    for thing, key in places:
        owner = outside.owners.get(thing) or trace.noted.get(thing)
        before = MISSING if owner is None else owner.before.get(key, MISSING)
        if owner is None or before is MISSING:
            continue
        if is_input(before):
            scalar = trace.host.source(Source(owner.label(key), None, partial(owner.get, key)), before)
            trace.counted[thing, key] = owner, scalar
            if looked_at:
                scalar.look()
            else:
                owner.hide({key: scalar})
        elif parts(before) is not None and not owner.copied:
            containers.append((owner, key))
    for owner, key in containers:
        _put_in(trace, outside, owner, key, looked_at)


def _put_in(trace: Trace, outside: Outside, owner: Owner, key: Any, looked_at: bool) -> None:
    """Let scalars stand in for the numbers in a container that is bound anew."""
    nest = Nest(owner, key, owner.before[key])
    numbers = nest.numbers() if len(nest.leaves) <= LARGEST else {}
    found = trace.nested[owner.identity, key] = {path: trace.host.source(Source(
        owner.label(key) + text_of(nest.before, path), None, Spot(owner, key, path).get), x) for path, x in numbers.items()}

    def put(x: Any, path: Path) -> Any:
        """What stands for this: a container that may change is itself."""
        if path in found or path not in nest.containers:
            return found.get(path, x)
        held = {k: put(v, (*path, k)) for k, v in (parts(x) or (None, {}))[1].items()}
        others = {k: v for k, v in held.items() if v is not within(x, (k,))}
        if not others or isinstance(x, tuple):
            return container_of(x, held) if others else x
        inside = next((outside.owners[i] for i in identities(x) if i in outside.owners), None)
        if inside is None or inside.grown or not others.keys() <= inside.before.keys():
            for k in others:
                gone = [p for p in found if p[:len(path) + 1] == (*path, k)]
                for p in gone:
                    del found[p]
        else:
            inside.hide(others)
        return x

    if looked_at:
        for scalar in found.values():
            scalar.look()
    elif (now := put(nest.before, ())) is not nest.before:
        owner.hide({key: now})


def written(effects: Effects, trace: Trace) -> Places:
    """Where a step left another number than it found."""
    found = {(owner.identity, key): owner for owner, edits in effects.found if owner.placed for key, now in edits.items()
             if is_input(owner.before.get(key)) and (type(now) is Scalar or is_input(now))}
    for nests in effects.nests_found().values():
        found |= {(nest.owner.identity, key): nest.owner for key, nest in nests.items()
                  if (nest.owner.identity, key) in trace.nested or nest.counts}
    return found


def changed(outside: Outside, changes: list[Change]) -> Places:
    """Where a number, or a container in which there may be some, is another one than at the trace before."""
    places = places_of(changes)
    return {(owner.identity, key): owner for owner in outside.holders() for key, value in owner.before.items()
            if (is_input(value) or (parts(value) is not None and not owner.copied))
            and owner.where(key) in places} if places else {}
