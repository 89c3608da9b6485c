"""Results that functions came to remember while they were traced: their tensors become real, in place.

What is made of nothing but constants is made at once, before anything is compiled, and the step is traced again: it finds
a tensor that was there. Other results are those of the first call; the next one finds them, which is another program.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

from ..guards.outside import Outside
from ..guards.owners import Owner
from ..guards.remembered import Missed, Remembering, Results, tensors_of
from ..guards.returned import Returned
from ..ir.errors import NeededFirst
from ..ir.graph import Graph, needed_nodes
from ..tensor.nested import all_leaves
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from ..walks.replay import replay
from .effects import Effects
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
    """What a trace left with functions that remember; `plain` says whether there are results that hold none of its tensors.

    `needed` lets returns be watched, if they were not.
    """

    def __init__(self, trace: Trace, outside: Outside, given: Mapping[int, Any], effects: Effects, returned: Returned,
                 needed: Callable[[], None] | None) -> None:
        self.constants: list[Tensor] = []
        self.others: list[tuple[Owner, dict[Any, Any]]] = []
        self.plain = False
        self.behind: set[tuple[int, Any]] = set()  # the places of numbers that results were made of
        self._things: dict[int, Any] = {}  # what is in plain results, by id
        self._undone: list[tuple[Owner, dict[Any, Any]]] = []
        for cache in outside.caches:
            found = cache.found()
            missed = self._sort(trace, cache, given, returned, needed)
            outside.add([*([Results(cache, found)] if found else []), *([Missed(cache, missed)] if missed else [])])
        self.plain = self.plain and not self.others
        effects.found += self.others  # before what is put in them
        effects.know(self._things, self._undone)

    def _sort(self, trace: Trace, cache: Remembering, given: Mapping[int, Any], returned: Returned,
              needed: Callable[[], None] | None) -> list[Hashable]:
        """Forget what nobody can ask for again; keep what is plain; of the rest see what it is made of. Gives what stays."""
        lost: list[Hashable] = []
        kept: dict[Hashable, bool] = {}  # whether it is made real before the trace comes to anything
        late = {}
        for place, (key, result) in cache.fresh().items():
            undone = returned.undone(result)
            scalars = [x for x in all_leaves(result) if type(x) is Scalar]
            made = [t for t in tensors_of(result) if trace.made_inside(t)]
            if _is_of_the_trace(key, trace, given) or scalars:
                self.behind |= _places(trace, scalars)
                lost.append(place)
                for owner, edits in undone:
                    owner.edit(edits)
                continue
            if needed is not None and returned.lacks(result):
                raise NeededFirst(needed)
            kept[place] = bool(made) and all(_is_constant(t, trace) for t in made)
            self._undone += undone
            if kept[place]:
                self.constants += made
            elif made:
                late[place] = result
            else:
                self.plain, self._things = True, {**self._things, **returned.inside(result)}
        cache.forget(lost) if lost else None
        if late:
            self.others.append((Remembered(cache, dict(late)), late))
        trace.made.append(partial(cache.forget, [place for place, is_real in kept.items() if not is_real]))
        return list(kept)

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


def _places(trace: Trace, scalars: list[Scalar]) -> set[tuple[int, Any]]:
    """Where the numbers outside are that these were computed of."""
    todo, used = list(scalars), dict[int, Scalar]()
    while todo:
        x = todo.pop()
        if type(x) is Scalar and id(x) not in used:
            used[id(x)] = x
            todo += x.operands
    return ({place for place, (_, scalar) in trace.counted.items() if id(scalar) in used}
            | {place for place, found in trace.nested.items() if any(id(scalar) in used for scalar in found.values())})


def _is_constant(x: Tensor, trace: Trace) -> bool:
    """Whether a tensor of the trace would be the same in any other."""
    if x._base is not None or x._requires_grad or x._storage.value.requires_grad:
        return False
    return trace.is_constant(x._storage.value)
