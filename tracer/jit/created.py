"""State that a step creates when it first runs, made before: then the first call runs the program of all others.

After `if not state: state["m"], state["step"] = torch.zeros_like(p), 0` the second trace is another program than the first.
So what the first trace left in places outside is put there, with what its tensors were made to hold; the function is
traced again, and finds it. Only if the second trace computes from it what the first one did (`agreement.py`) is it the
program of this call and of all others. Otherwise all is taken back, and the step's first call is a program of its own.

A `.grad` that the first trace found missing and left behind is made likewise, as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..guards.identity import MISSING
from ..guards.owners import ModuleTable, OptionsTable, Owner, StateTable
from ..ir.graph import Value, needed_nodes
from ..ir.recorder import close
from ..tensor.context import outside_trace
from ..tensor.epochs import structure_epoch
from ..tensor.scalar import Scalar
from ..tensor.storage import Storage, own, without_history
from ..tensor.tensor import Tensor
from ..walks.interpret import interpret
from ..walks.replay import replay
from ..walks.simplify import EFFECTS
from .plan import Traced
from .remade import Making, Remaking

# What a value of a trace depends on: on nothing, on tensors outside, or on what the call is given too.
_NOTHING, _OUTSIDE, _CALL = range(3)


Starts = dict[Storage, Value | None]  # of memory that was created: which value of the trace it holds first, None for zeros


def _is_option(owner: Owner, now: Any) -> bool:
    """Whether it is a number among a group's options, which programs read at each call."""
    return type(owner) is OptionsTable and type(now) in (int, float, Scalar)


class Created:
    """What a trace created: edits of things outside, and gradients that were missing.

    `stand_ins` are the tensors that are put there, by the ids of those of the trace, and `containers` those that are. What
    these tensors hold is found out later: the trace shows what they held at its end, and before each write to them.
    """

    def __init__(self, first: Traced, anything: bool = True) -> None:
        self._trace = trace = first.trace
        self.remaking = Remaking(trace, first.effects.is_known)
        nests = first.effects.nests(trace, first.given.of_caller(first.call))
        state = {(i, key) for i, found in nests.items() for key, nest in found.items() if nest.fixed or nest.is_tensor}
        found = [x for x in enumerate(first.effects.found) if not x[1][0].grown and not x[1][0].fresh] if anything else []
        self.edits = [(owner, rest) for i, (owner, edits) in found if (rest := {k: now for k, now in edits.items()
                                   if (i, k) not in state and (owner.identity, k) not in trace.counted
                                   and not (_is_option(owner, now) and _is_option(owner, owner.get(k)))
                                   and first.effects.may_read(owner, k)})]
        self._orders = [(owner, owner.order) for _, (owner, _) in found]
        self.gradients = [t for t, before in (trace.grads_before.items() if anything else ())
                          if before is None and trace.grads[t] is not None and t._storage.trace is None]
        self.stand_ins: dict[int, Tensor] = {}
        self._held: dict[Storage, list[Value]] = {}  # what the trace had in the memory of each, in order
        self.containers: dict[int, Any] = {}

    def __bool__(self) -> bool:
        """Whether there is any, and all of it can be made: no tensor is a view, a leaf, of a user's class or on other memory."""
        return bool(self.edits or self.gradients) and all(
            type(x) is Tensor and x._base is None and not x._requires_grad and x._storage.trace is self._trace
            for x in self._tensors())

    @property
    def places(self) -> set[tuple[int, Any]]:
        """Where it is: by the id of what holds it, and its key there."""
        return {(owner.identity, key) for owner, edits in self.edits for key in edits}

    @property
    def only_tensors(self) -> bool:
        """Whether it is tensors in their places and nothing else."""
        return all(isinstance(now, Tensor) for _, edits in self.edits for now in edits.values())

    def put(self) -> None:
        """Make it."""
        standing_for = Making(self._look, self._keep)  # not an attribute: it leads back here
        with outside_trace():
            self._make(list({id(x): x for x in self._tensors()}.values()))
            for tensor in self.gradients:
                tensor._bind_grad(tensor._gradient(zeros(tensor._storage.value)))
            for owner, edits in self.edits:
                _edit(owner, {key: standing_for(now) for key, now in edits.items()})

    def memory(self) -> set[Storage]:
        """That of the tensors that were put there."""
        return {*self._held, *(t._grad._storage for t in self.gradients if t._grad is not None)}

    def options(self) -> list[tuple[Owner, Any, Any]]:
        """The numbers among the options of groups: where they are, and what is there now."""
        return [(owner, key, owner.get(key)) for owner, edits in self.edits
                for key, now in edits.items() if _is_option(owner, now)]

    def take_back(self) -> None:
        """Undo that."""
        for owner, edits in self.edits:
            _edit(owner, {key: owner.before.get(key, MISSING) for key in edits})
        for tensor in self.gradients:
            tensor._bind_grad(None)

    def put_in_order(self) -> None:
        """After the first call: what was made before it comes where the call itself would have put it."""
        for owner, order in self._orders:
            held = owner.held()
            if tuple(held) != order and held.keys() == set(order):
                owner.put_last(order)
        self._orders = []

    # --- Containers ---------------------------------------------------------------------------------------------------

    def _tensors(self) -> Iterator[Tensor]:
        for x in self.remaking.leaves([now for _, edits in self.edits for now in edits.values()]):
            if isinstance(x, Tensor) and (x._storage.trace is self._trace or x._inside is self._trace.mark):
                yield x

    def _look(self, x: Any) -> Any:
        recipe = self.remaking.of(x)
        if recipe is not None:
            return recipe
        if isinstance(x, Tensor):
            return self.stand_ins.get(id(x), x)
        return x.example if type(x) is Scalar else x

    def _keep(self, made: Any) -> None:
        self.containers[id(made)] = made

    # --- Tensors ------------------------------------------------------------------------------------------------------

    def _make(self, tensors: list[Tensor]) -> None:
        for x in tensors:
            made = Tensor._of(zeros(x._storage.value))
            made._geometry = x._geometry
            self.stand_ins[id(x)] = made
            self._held[made._storage] = [*self._trace.overwritten.get(x._storage, []), x._storage.value]

    def guesses(self) -> Iterator[Starts]:
        """What the tensors may have been made to hold before the step went on to write to them; the likeliest first."""
        nothing = dict.fromkeys(t._grad._storage for t in self.gradients if t._grad is not None)
        depends = self._dependence()
        known: list[Starts] = []
        for among in (_since_it_was_overwritten, list):
            found = {storage: _start(among(held), depends) for storage, held in self._held.items()} | nothing
            if found not in known:
                known.append(found)
                yield found

    def begin(self, starts: Starts) -> None:
        """Let the tensors hold what they were made to hold."""
        values = list(dict.fromkeys(v for v in starts.values() if v is not None))
        with outside_trace():
            real = self._real(values)
            for storage, value in starts.items():
                if value is not None:
                    storage.rebind(own(real[value]))

    def _dependence(self) -> dict[Value, int]:
        """What the values of the trace depend on; what is not there is given by the call."""
        found = dict.fromkeys(self._trace.captured.values(), _OUTSIDE)
        for node in self._trace.recorder.nodes:
            depends = _CALL if node.op.name in EFFECTS else max((found.get(v, _CALL) for v in node.inputs), default=_NOTHING)
            found.update(dict.fromkeys(node.outputs, depends))
        return found

    def _real(self, values: list[Value]) -> dict[Value, Value]:
        """These values of the trace, outside of it: on the host where that gives the same bits."""
        graph, free = close([], needed_nodes(self._trace.recorder.nodes, values), tuple(values), "state")
        if not free and all(n.op.is_exact([v.type for v in n.inputs]) for n in graph.nodes):
            return {v: Value(v.type, v.device, np.array(a)) for v, a in zip(values, interpret(graph, []))}
        outside = {value: storage for storage, value in self._trace.captured.items()}
        return dict(zip(values, replay(graph, [without_history(outside[v].read()) for v in free])))


def _since_it_was_overwritten(held: list[Value]) -> list[Value]:
    """Of what memory held one after the other, what was made last without what was there before."""
    last = max(i for i, (before, now) in enumerate(zip([None, *held], held)) if before is None or not _uses(now, before))
    return held[last:last + 1]


def _uses(value: Value, other: Value) -> bool:
    return any(v is other for v in _above(value))


def _above(value: Value) -> Iterator[Value]:
    """A value and all that it was computed from, the nearest first."""
    todo, seen = [value], {value}
    for v in todo:
        yield v
        if v.node is not None:
            more = [x for x in dict.fromkeys(v.node.inputs) if x not in seen]
            todo += more
            seen.update(more)


def _start(held: list[Value], depends: Mapping[Value, int]) -> Value | None:
    """What memory that held these may have held before the call wrote to it; None for zeros."""
    found = next((v for v in reversed(held) if depends.get(v, _CALL) == _NOTHING), None)
    if found is None and depends.get(held[0], _CALL) == _OUTSIDE:
        found = held[0]
    return found or next((v for v in _above(held[-1]) if v.node is not None and v.node.op.name == "constant"
                          and v.type is held[-1].type), None)


def zeros(like: Value) -> Value:
    """Zeros of its type, not yet on the device."""
    return Value(like.type, like.device, np.zeros(like.type.shape, like.type.dtype.numpy))


def _edit(owner: Owner, edits: Mapping[Any, Any]) -> None:
    owner.edit(edits)
    if isinstance(owner, (ModuleTable, StateTable)):
        structure_epoch[0] += 1
