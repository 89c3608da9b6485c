"""Whether two traces of one call compute the same: the second one found what the first one created."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..guards.identity import MISSING, interchangeable
from ..guards.owners import Owner
from ..ir import dtypes
from ..ir.constants import from_literal, full_like, literal
from ..ir.graph import Graph, Node, Value, needed_nodes
from ..ir.recorder import placeholder, recording
from ..ir.types import Type
from ..ops import structural as ops
from ..ops.elementwise import convert
from ..tensor.nested import Attribute, vars_of
from ..tensor.scalar import Scalar, constant
from ..tensor.storage import Storage
from ..tensor.tensor import Tensor
from ..walks.replay import replay
from ..walks.simplify import EFFECTS, Builder, is_zero, rewrite, simplify
from .created import Created, Starts
from .plan import Traced
from .remade import Remaking
from .signature import Signature
from .standins import held_by


class _Differs(Exception):
    """The traces do not compute the same."""


def agree(first: Traced, second: Traced, created: Created) -> bool:
    """Whether the second trace, on what was created, gives and leaves what the first one does.

    If so what was created is by now what it was made as.
    """
    counted = [(owner, key, scalar) for (thing, key), (owner, scalar) in second.trace.counted.items()
               if (thing, key) not in first.trace.counted and not first.effects.is_place(thing, key)
               and thing not in first.effects.fresh]
    numbers = _Numbers(second, counted + created.options())
    try:
        numbers.solve()
        comparison = _Comparison(first, second, created, numbers)
        starts = next((starts for starts in created.guesses() if comparison.holds(starts)), None)
    except (_Differs, ArithmeticError, LookupError, TypeError, ValueError):
        starts = None
    if starts is None:
        numbers.put_back()
        return False
    created.begin(starts)
    return True


class _Numbers:
    """The numbers of a second trace; those at these places, with what it leaves if it sets nothing, are what the first left."""

    def __init__(self, traced: Traced, places: list[tuple[Owner, Any, Any]]) -> None:
        self._call: Signature = traced.call
        edits = traced.effects.edits
        self._places: list[tuple[Owner, Any, Any, Any]] = [  # where, what was left there, and what the second trace leaves
            (owner, key, owner.get(key), edits.get((owner.identity, key), number)) for owner, key, number in places]
        self._known: dict[int, Any] = {}

    def of(self, x: Any) -> Any:
        """A number as it is in this call."""
        if type(x) is not Scalar:
            return x
        if id(x) not in self._known:
            source = x.source
            self._known[id(x)] = (
                x.operation.function(*map(self.of, x.operands)) if x.operation is not None else x.example if source is None
                else self._call.numbers[source.position] if source.position is not None else source.read())  # type: ignore[misc]
        return self._known[id(x)]

    def solve(self) -> None:
        """Put there what the second trace makes into what the first one left."""
        left = [(place, list(_before(place[2], self.of(place[3])))) for place in self._places]
        while left:
            for (owner, key, _, _), candidates in left:
                if not candidates:
                    raise _Differs
                owner.edit({key: candidates.pop(0)})
            self._known.clear()
            left = [(place, candidates) for place, candidates in left if not _equal(self.of(place[3]), place[2])]

    def put_back(self) -> None:
        """Put there again what the first trace left."""
        for owner, key, left, _ in self._places:
            owner.edit({key: left})


def _before(left: Any, next: Any) -> Iterator[Any]:
    """What a number may have been before a step left it, if the step makes the next of what it left: added to, multiplied."""
    kind = type(left)
    yield kind(left - (next - left))
    if kind is float and next:
        yield left * left / next
    yield from map(kind, (0, 1, left))


def _equal(x: Any, y: Any) -> bool:
    return type(x) is type(y) and (x == y or (x != x and y != y))


class _Twins:
    """Tensors and memory of two traces, each with what it is in the other."""

    def __init__(self) -> None:
        self._of: dict[int, Any] = {}  # by id

    def are(self, x: Any, y: Any) -> bool:
        """Whether these may be one thing in both traces: what comes twice in one comes twice in the other."""
        return self._of.setdefault(id(x), y) is y and self._of.setdefault(id(y), x) is x


class _Comparison:
    """Goes through all that two traces give and leave; `pairs` are the values that have to be the same.

    Raises `_Differs` if anything else is not.
    """

    def __init__(self, first: Traced, second: Traced, created: Created, numbers: _Numbers) -> None:
        self._first, self._second, self._created, self._numbers = first, second, created, numbers
        self._memory = created.memory()
        self._remaking = Remaking(second.trace, second.effects.is_known)
        self._pairs: list[tuple[Value, Value]] = []
        self._unread: dict[Storage, Value] = {}
        self._seen: set[tuple[int, int]] = set()
        self._twins = _Twins()
        self._stand_ins = {id(s): i for i, s in enumerate(first.given.tensors)}
        self._go_through()

    def _go_through(self) -> None:
        self._need(not any(n.op.name in EFFECTS for t in (self._first, self._second) for n in t.trace.recorder.nodes))
        self._arguments()
        self._storages()
        self._gradients()
        self._effects()
        self._told()
        self._same(self._first.result, self._second.result)
        self._need(all(x.type is y.type and x.requires_grad == y.requires_grad for x, y in self._pairs))

    def holds(self, starts: Starts) -> bool:
        """Whether they are, if memory that was created holds this first."""
        return not any(v is not None and v.requires_grad for v in starts.values()) and _all_equal(
            self._joint(starts), bool(self._created.gradients))

    @staticmethod
    def _need(condition: bool) -> None:
        if not condition:
            raise _Differs

    # --- What they give and leave -------------------------------------------------------------------------------------

    def _arguments(self) -> None:
        first, second = self._first.given, self._second.given
        self._pairs += zip(first.left, second.left, strict=True)
        for x, y in zip(first.tensors, second.tensors, strict=True):
            self._need(x._requires_grad is y._requires_grad)
            self._gradient(self._first.trace.grads.get(x), self._second.trace.grads.get(y))
        for (i, x), (j, y) in zip(first.changed(), second.changed(), strict=True):
            self._need(i == j)
            self._contents(held_by(x), held_by(y))

    def _storages(self) -> None:
        first, second = self._first.trace, self._second.trace
        self._need(first.written.keys() == second.written.keys() - self._memory)
        self._pairs += [(first.current(s), second.current(s)) for s in first.written]

    def _gradients(self) -> None:
        first, second = self._first.trace.grads, self._second.trace.grads
        created = set(map(id, self._created.gradients))
        for tensor in dict.fromkeys((*first, *second)):
            if tensor._storage.trace is None:
                before = None if id(tensor) in created else tensor._grad
                self._gradient(first.get(tensor, before), second.get(tensor, tensor._grad))

    def _gradient(self, x: Tensor | None, y: Tensor | None) -> None:
        if x is not y:
            self._same(x, y)

    def _effects(self) -> None:
        first, second = self._first.effects, self._second.effects
        for owner, edits in first.found:
            for key, now in edits.items():
                final = second.edits.get((owner.identity, key), MISSING if owner.grown else owner.get(key))
                self._same(now, final)
        self._need(all(place in first.edits or not first.is_place(*place) for place in second.edits))

    def _told(self) -> None:
        first, second = self._first, self._second
        self._need((first.check is None) == (second.check is None))
        if first.check is not None and second.check is not None:
            self._pairs.append((first.check.report, second.check.report))
        for x, y in zip(first.trace.reports, second.trace.reports, strict=True):
            self._need(type(x) is type(y))
            self._pairs += zip(x.values, y.values, strict=True)

    # --- Things -------------------------------------------------------------------------------------------------------

    def _same(self, x: Any, y: Any) -> None:
        if isinstance(x, Tensor) or isinstance(y, Tensor):
            self._need(type(x) is type(y))
            self._tensors(x, y)
        elif type(x) is Scalar or type(y) is Scalar:
            self._need(_equal(x.example if type(x) is Scalar else x, self._numbers.of(y)))
        elif x is not y and (id(x), id(y)) not in self._seen:
            self._seen.add((id(x), id(y)))
            mine, made = self._created.remaking.of(x), id(y) in self._created.containers
            if mine is None:
                self._need(not self._first.effects.is_known(x) and interchangeable(x, y))
                return
            theirs = self._remaking.apart(y) if made else self._remaking.of(y)
            self._need(mine.kind == getattr(theirs, "kind", None))
            self._contents(mine.held, _left_in(y, theirs.held if theirs else {}, self._second.effects.edits))

    def _contents(self, x: Mapping[Any, Any], y: Mapping[Any, Any]) -> None:
        self._need(tuple(x) == tuple(y))
        for a, b in zip(x.values(), y.values()):
            self._same(a, b)

    def _tensors(self, x: Tensor, y: Tensor) -> None:
        i = self._stand_ins.get(id(x))
        if i is not None:
            self._need(y is self._second.given.tensors[i])
        elif x._storage.trace is not self._first.trace:
            self._need(x is y)
        elif not self._twins.are(x, y) or not self._twins.are(x._storage, y._storage):
            raise _Differs
        elif x._base is None and y._base is None:
            self._need(x._requires_grad is y._requires_grad and x._geometry == y._geometry)
            self._pairs.append((x._storage.value, self._held(y._storage)))
        else:
            self._need(x._base is not None and y._base is not None and x._detached is y._detached)
            self._need(repr(x._steps) == repr(y._steps) and x._geometry == y._geometry)
            self._tensors(x._root, y._root)

    def _held(self, storage: Storage) -> Value:
        """What memory holds at the end of the second trace."""
        trace = self._second.trace
        if storage.trace is trace:
            return storage.value
        self._need(storage in self._memory)
        if storage in trace.written:
            return trace.current(storage)
        if storage not in trace.captured and storage not in self._unread:
            self._unread[storage] = placeholder(storage.value.type, storage.value.device)
        return trace.captured.get(storage) or self._unread[storage]

    # --- Values -------------------------------------------------------------------------------------------------------

    def _joint(self, starts: Starts) -> Graph:
        """One graph of both traces, whose outputs are the values of the first and then those of the second."""
        begun = [v for v in dict.fromkeys(starts.values()) if v is not None]
        captured = {s: placeholder(v.type, v.device, v.requires_grad) for s, v in self._first.trace.captured.items()}
        given = [placeholder(v.type, v.device, v.requires_grad) for v in self._first.given.inputs]
        with recording() as recorder:
            outputs = _again(self._first, {}, captured, given, [*(x for x, _ in self._pairs), *begun], lambda x: x.example)
            at_start = dict(zip(begun, outputs[len(self._pairs):]))
            found = {s: full_like(s.value, 0) if v is None else at_start[v] for s, v in starts.items()}
            found.update((s, captured[s] if s in captured else _twin_of(s, captured)) for s in self._second.trace.captured
                         if s not in starts)
            others = _again(self._second, self._unread, found, given, [y for _, y in self._pairs], self._numbers.of)
        inputs = [*captured.values(), *given]
        return Graph(inputs, recorder.nodes, [*outputs[:len(others)], *others])


def _left_in(x: Any, held: dict[Any, Any], edits: Mapping[tuple[int, Any], Any]) -> dict[Any, Any]:
    """What a container, which held this, holds after a trace with these edits."""
    own = id(vars_of(x))
    beside = isinstance(x, (list, dict))
    changed = {Attribute(key) if beside and thing == own else key: now for (thing, key), now in edits.items()
               if thing in (id(x), own)}
    return {key: now for key, now in {**held, **changed}.items() if now is not MISSING}


def _again(traced: Traced, unread: Mapping[Storage, Value], captured: Mapping[Storage, Value], given: list[Value],
           outputs: list[Value], number: Callable[[Any], Any]) -> tuple[Value, ...]:
    """Record a trace again, on these values of the storages that it read, of its arguments and of numbers."""
    trace = traced.trace
    numbers = trace.host.inputs.pairs()
    read = {**trace.captured, **unread}
    graph = Graph([*read.values(), *traced.given.inputs, *(v for _, v in numbers)],
                  needed_nodes(trace.recorder.nodes, outputs), outputs)
    tensors = [*(captured[s] for s in read), *given]
    device = tensors[0].device if tensors else "cpu"
    return replay(graph, [*tensors, *(constant(number(x), v.type.dtype, device) for x, v in numbers)])


def _twin_of(storage: Storage, captured: Mapping[Storage, Value]) -> Value:
    """The input for the same data, which the function made of Python numbers in each trace."""
    array = storage.value.buffer
    for other, value in captured.items():
        if (isinstance(array, np.ndarray) and value.type is storage.value.type and isinstance(other.value.buffer, np.ndarray)
                and array.tobytes() == other.value.buffer.tobytes()):
            return value
    raise _Differs


def _all_equal(graph: Graph, up_to_signs: bool) -> bool:
    """Whether the first half of the outputs is the second."""
    outputs = simplify(rewrite(graph, _in_its_type, _wide, *([_zero_left_out] if up_to_signs else []))).outputs
    half = len(outputs) // 2
    return all(x is y for x, y in zip(outputs[:half], outputs[half:]))


def _in_its_type(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """A constant whose text is that of the number which its dtype can hold, also where one is converted."""
    if node.op.name == "convert":
        return (_converted(builder, node, inputs[0], node.types[0]),)
    if node.op.name != "constant":
        return None
    kind = node.types[0].dtype
    return builder.add(node, (), params={**node.params, "value": literal(from_literal(node.params["value"], kind), kind)})


def _wide(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """Arithmetic on halves as it is done with a number from the host, which a half cannot hold: in float32, rounded once."""
    if node.types[0].dtype not in (dtypes.float16, dtypes.bfloat16) or node.op.name not in ("add", "sub", "mul", "div"):
        return None
    wide = node.types[0].with_dtype(dtypes.float32)
    inputs = tuple(_converted(builder, node, x, wide) for x in inputs)
    (made,) = builder.add(node, inputs, types=(wide,))
    return (_converted(builder, node, made, node.types[0]),)


def _converted(builder: Builder, node: Node, x: Value, kind: Type) -> Value:
    """A value in another type; a constant is one of that type."""
    source = x.node
    if source is None or source.op.name != "constant":
        return builder.add(node, (x,), convert, {"dtype": kind.dtype}, (kind,))[0]
    number = convert.reference(from_literal(source.params["value"], x.type.dtype), dtype=kind.dtype)
    return builder.add(node, (), ops.constant, {**source.params, "value": literal(number, kind.dtype), "dtype": kind.dtype},
                       (kind,))[0]


def _zero_left_out(builder: Builder, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    """A gradient added to zeros is that gradient, but for the sign of its zeros."""
    if node.op.name == "add":
        for x, zero in (inputs, inputs[::-1]):
            if is_zero(zero) and x.type is node.types[0]:
                return (x,)
    return None
