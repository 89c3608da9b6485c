"""Numbers outside that a step writes (`self.calls += 1`), or that were found changed: numbers of the step, as its arguments are.

They are read at each call, Python computes with them, and what the step makes of them is written back. That a step writes
one is known after its first trace, which is then made again with scalars in these places.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..guards.outside import Outside
from ..guards.texts import Change
from ..tensor.scalar import Scalar, Source
from .effects import Effects, Places
from .trace import Trace


def put_scalars(trace: Trace, outside: Outside, places: Places, looked_at: bool) -> None:
    """Let scalars of the trace stand in for the numbers at these places. `Effects` puts the numbers back.

    With `looked_at` the numbers stay there, and the trace holds for these only.
    """
    for thing, key in places:
        owner = outside.owners.get(thing) or trace.noted.get(thing)
        if owner is None or not _is_number(number := owner.before.get(key)):
            continue
        scalar = trace.host.source(Source(owner.label(key), None, partial(owner.get, key)), number)
        trace.counted[thing, key] = owner, scalar
        if looked_at:
            scalar.look()
        else:
            owner.hide({key: scalar})


def written(effects: Effects) -> Places:
    """Where a step left another number than it found."""
    return {(owner.identity, key): owner for owner, edits in effects.found if owner.placed for key, now in edits.items()
            if _is_number(owner.before.get(key)) and (type(now) is Scalar or _is_number(now))}


def changed(outside: Outside, changes: list[Change]) -> Places:
    """Where a number is another one than at the trace before."""
    labels = {label for label, old, new in changes if _is_number(old) and _is_number(new)}
    return {(owner.identity, key): owner for owner in outside.holders() for key, value in owner.before.items()
            if _is_number(value) and owner.label(key) in labels} if labels else {}


def _is_number(x: Any) -> bool:
    return type(x) in (int, float)
