"""Results that functions came to remember while they were traced: their tensors become real, in place.

What is made of nothing but constants is made at once, before anything is compiled, and the step is traced again: it finds
a tensor that was there. Other results are those of the first call; the next one finds them, which is another program.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

from ..guards.outside import Outside
from ..guards.owners import Owner
from ..guards.remembered import Remembering, Results, tensors_of
from ..ir.graph import Graph, needed_nodes
from ..tensor.nested import all_leaves
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from ..walks.replay import replay
from .trace import Trace


class Remembered(Owner):
    """Results that the first call of a program gives to a function that remembers them."""

    grown, placed = True, False  # nothing to be made before, and no place of its own

    def __init__(self, thing: Remembering, results: dict[Hashable, Any]) -> None:
        self.results = results
        super().__init__(thing, lambda key: f"what {thing.name} remembers")

    def held(self) -> dict[Any, Any]:
        """Nothing that is a place of its own."""
        return {}

    def edit(self, edits: Mapping[Any, Any]) -> None:
        """Let the results that the trace left be these: at the first call; later ones find them, or they were cleared."""
        for place, result in edits.items():
            if place in self.results:
                for old, new in zip(tensors_of(self.results.pop(place)), tensors_of(result)):
                    _become(old, new)


class Found:
    """What a trace left with functions that remember."""

    def __init__(self, trace: Trace, outside: Outside, given: Mapping[int, Any]) -> None:
        self.constants: list[Tensor] = []
        self.others: list[tuple[Owner, dict[Any, Any]]] = []
        for cache in outside.caches:
            self._sort(trace, cache, given)
            used = {place for place, _, result in cache.entries() if place in cache.before and _uses(trace, result)}
            missed = [place for owner, results in self.others if owner.thing is cache for place in results]
            outside.add([*([Results(cache, used, True)] if used else []), *([Results(cache, missed, False)] if missed else [])])

    def _sort(self, trace: Trace, cache: Remembering, given: Mapping[int, Any]) -> None:
        """Forget what nobody can ask for again; keep what is plain; of the rest see what it is made of."""
        lost, late = [], {}
        for place, (key, result) in cache.fresh().items():
            made = [t for t in tensors_of(result) if trace.made_inside(t)]
            if _is_of_the_trace(key, trace, given) or any(type(x) is Scalar for x in all_leaves(result)):
                lost.append(place)
            elif made and all(_is_constant(t, trace) for t in made):
                self.constants += made
            elif made:
                late[place] = result
        cache.forget(lost) if lost else None
        if late:
            self.others.append((Remembered(cache, dict(late)), late))
            trace.made.append(partial(cache.forget, list(late)))

    def make_real(self, trace: Trace) -> bool:
        """Make what is made of constants; whether there was any. Not inside the trace."""
        tensors = list({id(t): t for t in self.constants}.values())
        if tensors:
            values = [t._storage.value for t in tensors]
            graph = Graph([*trace.constants], needed_nodes(trace.recorder.nodes, values), values, "constants")
            for tensor, value in zip(tensors, replay(graph, [*trace.constants.values()])):
                made = Tensor._of(value)
                made._geometry = tensor._geometry
                _become(tensor, made)
        return bool(tensors)


def _become(old: Tensor, new: Tensor) -> None:
    """Let a tensor that a trace made be another one for all who have it."""
    old.__dict__.clear()
    old.__dict__.update(new.__dict__)


def _is_of_the_trace(key: Any, trace: Trace, given: Mapping[int, Any]) -> bool:
    return any(type(x) is Scalar or id(x) in given or (isinstance(x, Tensor) and trace.made_inside(x))
               for x in (key if isinstance(key, tuple) else (key,)))


def _uses(trace: Trace, result: Any) -> bool:
    return any(t in trace.handles or t._storage in trace.captured for t in tensors_of(result))


def _is_constant(x: Tensor, trace: Trace) -> bool:
    """Whether a tensor of the trace would be the same in any other."""
    if x._base is not None or x._requires_grad or x._storage.value.requires_grad:
        return False
    return trace.is_constant(x._storage.value)
