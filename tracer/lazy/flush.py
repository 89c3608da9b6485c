"""Outside jit: operations are recorded, and run when a value is observed or a step ends.

A flush takes what was recorded since the last one, in order, and finds the executable by structure: operations,
parameters, types and wiring, without values, files and lines. The outputs are not part of the key, since which tensors
are alive depends on Python's lifetimes: an executable that gives more than is needed is reused, and tensors that
nobody asked for stay pending rather than cause a compile.
"""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend import NO_DATA, Program, SharedArray, backend
from ..ir.checks import Check
from ..ir.errors import READING_A_VALUE, VALUE_IN_VMAP, TraceError
from ..ir.graph import Graph, Node, Value
from ..ir.locks import open_after_fork
from ..ir.recorder import Recorder, thread_recorder
from ..ir.source import describe, user_position
from ..ops.checks import joined
from ..ops.structural import constant
from ..tensor.context import context
from ..tensor.packs import PackedSlice
from ..walks.kept import read_by_gradients, smallest_to_keep
from ..walks.simplify import simplify
from . import failures, promotion

HOST_LIMIT = 1 << 16  # elements that a program may produce to be run on the host
UNREPORTED = "debug mode"  # the reason of a flush whose compilation is in no report
# What is kept of programs that ran: a process that maps ever more of them dies, on Linux at 65530 pieces of memory, and a
# program is about as many pieces as it has nodes.
STRUCTURES, NODES = 1024, 30_000
REMEMBERED = 64  # choices of what to keep for gradients, per executable
PENDING_LIMIT = 2000  # nodes after which a loop that observes nothing is cut, at a place that repeats

_lock = open_after_fork(threading.RLock())  # keying and bookkeeping; XLA compiles outside it


@dataclass
class Variant:
    """One executable of an entry: the flat numbers of the outputs it gives, and of how many nodes it was made.

    `kept` remembers which of them to keep for gradients, by those that are due anyway and those that will be read.
    """

    program: Program
    outputs: dict[int, int]
    nodes: int
    kept: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)


@dataclass
class Entry:
    """All that was compiled for one structure."""

    literals: list[Any]
    promoted: tuple[int, ...] = ()
    used: int = 0  # the number of the last run
    variants: list[Variant] = field(default_factory=list)


@dataclass
class Flush:
    """A row of `flambeau.report()`: one compilation outside jit."""

    reason: str
    where: str
    nodes: int
    seconds: float
    difference: str


_entries: dict[tuple[Any, ...], Entry] = {}
_runs = itertools.count()
compiled: list[Flush] = []


class Snapshot:
    """What a flush runs: the nodes, numbered, with their inputs from outside, their literals and the key."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.inputs: list[Value] = []
        self.numbers: dict[Value, int] = {}
        self.literals: list[Any] = []
        self.holders: list[Node] = []  # the nodes of the literals
        self.key = self._walk()

    def _walk(self) -> tuple[Any, ...]:
        key: list[Any] = []
        add, numbers, position = key.append, self.numbers, 0
        for node in self.nodes:
            add(node.op)
            if node.op is constant:
                self._note(node, node.params["value"])
                add(node.types[0])
            else:
                for value in node.inputs:
                    number = numbers.get(value)
                    if number is None:
                        number = numbers[value] = -1 - len(self.inputs)
                        self.inputs.append(value)
                        add(value.type)
                    add(number)
                if node.params:
                    parts = promotion.parts.get(node.op)
                    if parts is None:
                        add(node.op.key_of(node.params))
                    else:
                        number, rest = parts(node)
                        add(rest)
                        if number is not None:
                            self._note(node, number)
            for i in range(len(node.types)):
                value_or_none = node.living(i)
                if value_or_none is not None:
                    numbers[value_or_none] = position
                position += 1
        return tuple(key)

    def _note(self, node: Node, number: Any) -> None:
        self.holders.append(node)
        self.literals.append(number)


def flush(demanded: Sequence[Value] = (), reason: str = "") -> None:
    """Run what this thread has recorded. Every value of `demanded` has a buffer afterwards."""
    if context.trace is not None:
        raise context.trace.value_read()
    recorder = thread_recorder()
    if not recorder.lazy:  # a body is being recorded: only what it asks for runs, which must not depend on its stand-ins
        recorder = Recorder()
    ran: list[tuple[Check | None, list[Any]]] = []
    with _lock:
        checks = _joined_checks(recorder)
        nodes = [node for node in recorder.nodes if not node.done]
        storages = [s for s in (ref() for ref in recorder.storages) if s is not None]
        recorder.nodes, recorder.storages = [], []
        if checks:
            demanded = [*demanded, *(check.report for check in checks.values())]
        nodes = _with_missing(nodes, demanded)
        try:
            for device in dict.fromkeys(node.device for node in nodes):
                buffers = _run([n for n in nodes if n.device == device], device, demanded, [s.value for s in storages], reason)
                ran.append((checks.pop(device, None), buffers))
        except BaseException:
            # Nothing ran, so everything is still pending: the next flush tries again.
            recorder.nodes = [*[n for n in nodes if not n.done], *recorder.nodes]
            recorder.storages = [*map(weakref.ref, storages), *recorder.storages]
            recorder.checks = [*(c for c, _ in ran if c is not None), *checks.values(), *recorder.checks]
            raise
        for storage in storages:
            if storage.value.buffer is None:
                recorder.storages.append(weakref.ref(storage))
    ran += [(check, []) for check in checks.values()]  # what they look at had run already
    for check, buffers in ran:
        if check is None:
            failures.followed(buffers)
        else:
            failures.started(check.report.buffer, check.sites, buffers)


def _joined_checks(recorder: Recorder) -> dict[str, Check]:
    """The checks that are pending, taken from the recorder: one for each device."""
    pending, recorder.checks = [check for check in recorder.checks if check.report.device != "meta"], []
    if not pending:
        return {}
    devices = dict.fromkeys(check.report.device for check in pending)
    return {device: joined([c for c in pending if c.report.device == device]) for device in devices}


def _with_missing(nodes: list[Node], demanded: Sequence[Value]) -> list[Node]:
    """`nodes` and whatever else must run: nodes of other threads, values whose buffer was not kept."""
    known = set(nodes)
    missing: dict[Node, None] = {}
    stack = [v for v in [*demanded, *(v for n in nodes for v in n.inputs)]
             if v.buffer is None and v.node not in known]
    while stack:
        value = stack.pop()
        node = value.node
        if value.buffer is not None or node in missing or node in known:
            continue
        if node is None and context.maps:
            raise TraceError(VALUE_IN_VMAP.format(where=describe(user_position(2))))
        if node is None and context.region is not None:
            raise TraceError(READING_A_VALUE.format(where=f" at {describe(user_position(2))}"))
        if node is None or node.released:
            raise TraceError("a traced tensor escaped from the function that jit (or a transform) traced and was used "
                             "outside. Return it from the function instead."
                             + (f" It was made by {node.op.name} at {describe(node.where)}." if node else ""))
        missing[node] = None
        stack.extend(node.inputs)
    if not missing:
        return nodes
    return _topological([*nodes, *missing])  # what another thread recorded may read what this one did


def _topological(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, each after those that it reads, and else in the order given."""
    wanted, order, seen = set(nodes), [], set()
    stack = [(n, False) for n in reversed(nodes)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((v.node, False) for v in reversed(node.inputs) if v.node in wanted and v.node not in seen)
    return order


def _run(nodes: list[Node], device: str, demanded: Sequence[Value], alive: Sequence[Value], reason: str) -> list[Any]:
    """Run the nodes of one device and give buffers to the values that are needed; these buffers."""
    inside = set(nodes)
    due = dict.fromkeys(v for v in [*demanded, *alive] if v.buffer is None and v.node in inside)
    unheld = [(n, i) for n in nodes if n.op.multiple and n.requires_grad for i in range(len(n.types)) if n.living(i) is None]
    read = [v for v in read_by_gradients(nodes, due) if v.buffer is None and v.node in inside]
    snapshot = Snapshot(nodes)
    strict = {snapshot.numbers[v] for v in demanded if v in due}
    if not due:
        results: dict[Value, Any] = {}
    elif _fits_host(nodes, snapshot, device):
        results = _run_on_host(nodes, snapshot, [*due, *smallest_to_keep(nodes, read, due)])
    else:
        results = _run_compiled(snapshot, device, strict, due, read, reason)
    for value, buffer in results.items():
        value.buffer = buffer
    for node, index in unheld:
        made = node.living(index)
        if made is not None:  # only the gradient will read it: the node holds the buffer, since nobody holds the value
            node.saved = {**(node.saved or {}), index: made.buffer}
    buffers = list(results.values())
    del snapshot, results, read, due  # they hold values that nobody else may need
    _settle(nodes)
    return buffers


def _settle(nodes: Sequence[Node]) -> None:
    """Nodes that ran keep no inputs that nobody needs."""
    for node in reversed(nodes):  # so that a value whose last user was released is gone when its own node comes
        node.done = True
        node.settle()


# --- On the host ------------------------------------------------------------------------------------------------------


def _fits_host(nodes: Sequence[Node], snapshot: Snapshot, device: str) -> bool:
    """Small programs of ops whose reference gives XLA's bits: the choice depends on the program alone."""
    if device != "cpu":
        return False
    size = sum(v.type.size for v in snapshot.inputs)
    for node in nodes:
        if not node.op.is_exact([v.type for v in node.inputs]):
            return False
        size += sum(t.size for t in node.types)
    return size <= HOST_LIMIT


def _run_on_host(nodes: Sequence[Node], snapshot: Snapshot, wanted: Sequence[Value]) -> dict[Value, Any]:
    needed = set(wanted)
    live: list[Node] = []
    for node in reversed(nodes):
        if any(v is not None and v in needed for v in map(node.living, range(len(node.types)))):
            live.append(node)
            needed.update(node.inputs)
    env = {v: host_array(v) for v in snapshot.inputs if v in needed}
    for node in reversed(live):
        results = node.op.reference(*[env[v] for v in node.inputs], **node.params)
        outputs = results if isinstance(results, tuple) else (results,)
        env.update(zip(node.outputs, (np.asarray(a) for a in outputs)))
    return {v: _unshared(env[v]) for v in wanted}


def _unshared(array: Any) -> Any:
    """An array with memory of its own: not the user's, and not a view of a buffer that may be donated."""
    return np.array(array) if array.base is not None or isinstance(array, SharedArray) else array


# --- Compiled ---------------------------------------------------------------------------------------------------------


def _run_compiled(snapshot: Snapshot, device: str, strict: set[int], due: Collection[Value], read: Sequence[Value],
                  reason: str) -> dict[Value, Any]:
    """Run the executable of this structure; the buffers of what is due and of what is kept to make `read` again."""
    entry, variant = _find(snapshot, (backend(device), device, snapshot.key), strict)
    numbers = snapshot.numbers
    key = (frozenset(numbers[v] for v in due), tuple(numbers[v] for v in read))
    if variant is None:
        kept = smallest_to_keep(snapshot.nodes, read, due)
        variant = _compile(snapshot, entry, device, [*due, *kept], reason)
        variant.kept[key] = [numbers[v] for v in kept]
    elif key not in variant.kept:
        if len(variant.kept) >= REMEMBERED:  # lifetimes that never repeat
            variant.kept.clear()
        given = variant.outputs
        found = smallest_to_keep(snapshot.nodes, read, {v for v in due if numbers[v] in given}, lambda v: numbers[v] in given)
        variant.kept[key] = [numbers[v] for v in found]
    buffers = [device_buffer(v) for v in snapshot.inputs]
    for position in entry.promoted:
        buffers += promotion.buffers(snapshot.holders[position], snapshot.literals[position], device)
    outputs = variant.program.run(buffers)
    values = {number: v for v, number in numbers.items()}
    wanted = dict.fromkeys([*key[0], *variant.kept[key]])
    return {values[number]: outputs[variant.outputs[number]] for number in wanted if number in variant.outputs}


def _find(snapshot: Snapshot, key: tuple[Any, ...], strict: set[int]) -> tuple[Entry, Variant | None]:
    """The entry of this structure, and an executable of it that gives all that is demanded."""
    entry = _entries.get(key)
    if entry is None:
        if len(_entries) >= STRUCTURES:
            _forget()
        entry = _entries[key] = Entry(snapshot.literals, promotion.starts(snapshot.holders))
        entry.used = next(_runs)
        return entry, None
    entry.used = next(_runs)
    changed = [i for i, (a, b) in enumerate(zip(entry.literals, snapshot.literals)) if a != b and i not in entry.promoted]
    if changed:
        # A number was seen with a second value: from now on it is an input of this program.
        entry.promoted = tuple(sorted({*entry.promoted, *changed}))
        entry.variants.clear()
        return entry, None
    for variant in entry.variants:
        if strict <= variant.outputs.keys():
            return entry, variant
    return entry, None


def _forget() -> None:
    """Drop the entries that ran longest ago, until there is at most half of what may be kept; the last one used stays."""
    nodes = 0
    for count, key in enumerate(sorted(_entries, key=lambda key: _entries[key].used, reverse=True)):
        nodes += _size(_entries[key])
        if count >= STRUCTURES // 2 or (count and nodes > NODES // 2):
            del _entries[key]


def _size(entry: Entry) -> int:
    return sum(variant.nodes for variant in entry.variants)


def _compile(snapshot: Snapshot, entry: Entry, device: str, wanted: Sequence[Value], reason: str) -> Variant:
    started = time.perf_counter()
    graph = Graph(snapshot.inputs, snapshot.nodes, wanted, "lazy")
    graph = simplify(promotion.with_inputs(graph, entry.promoted))
    positions: dict[Value, int] = {}
    for output in graph.outputs:  # one output per distinct value; equal ones share its buffer
        positions.setdefault(output, len(positions))
    outputs = {snapshot.numbers[v]: positions[output] for v, output in zip(wanted, graph.outputs)}
    graph = Graph(graph.inputs, graph.nodes, positions, "lazy")
    program = backend(device).compile(graph, device, {})
    variant = Variant(program, outputs, len(graph.nodes))
    entry.variants.append(variant)
    if sum(map(_size, _entries.values())) > NODES:
        _forget()
    if reason != UNREPORTED:
        compiled.append(Flush(reason or "a value was read", describe(user_position()), len(snapshot.nodes),
                              time.perf_counter() - started, _difference(entry, snapshot)))
    return variant


def _difference(entry: Entry, snapshot: Snapshot) -> str:
    changed = set(entry.promoted).difference(promotion.starts(snapshot.holders))
    if changed:
        return f"number(s) {', '.join(entry.literals[i] for i in sorted(changed))} changed and became inputs"
    return "other outputs were asked for" if len(entry.variants) > 1 else "first of its structure"


# --- Buffers ----------------------------------------------------------------------------------------------------------


def device_buffer(value: Value) -> Any:
    """The value's buffer on its device; uploads what is on the host, once unless the memory is the user's own."""
    buffer = value.buffer
    if type(buffer) is PackedSlice:
        return backend(value.device).upload(buffer.array(), value.device)
    if isinstance(buffer, np.ndarray):
        uploaded = backend(value.device).upload(np.asarray(buffer), value.device)
        if not isinstance(buffer, SharedArray):
            value.buffer = uploaded
        return uploaded
    return buffer


def host_array(value: Value) -> Any:
    """The value's contents as a numpy array that must not be written to."""
    if value.buffer is None:
        if context.trace is not None and (known := context.trace.known(value, looking=True)) is not None:
            return known
        flush([value])
    if context.region is not None:
        context.region.looked.add(value)
    return contents(value)


def contents(value: Value) -> Any:
    """What the buffer of a value holds, as a numpy array that must not be written to."""
    if value.device == "meta":
        raise NotImplementedError(NO_DATA)
    buffer = value.buffer
    if type(buffer) is PackedSlice:
        failures.observed(buffer.pack.buffer)
        return buffer.array()
    failures.observed(buffer)
    return buffer if isinstance(buffer, np.ndarray) else backend().download(buffer)


def materialize(values: Iterable[Value], reason: str = "") -> None:
    """Make sure that all values have buffers."""
    pending = [v for v in values if v.buffer is None]
    if pending:
        flush(pending, reason)


def end_of_step() -> None:
    """Start what was recorded; does not wait for it. Called by `optimizer.step()`."""
    recorder = thread_recorder()
    if context.trace is None and recorder.lazy and (recorder.nodes or recorder.checks):
        flush(reason="a step ended")


def bound_pending() -> None:
    """Cut a loop that observes nothing: past the limit, each time at the same place, so that the pieces are one program."""
    recorder = thread_recorder()
    nodes = recorder.nodes
    if recorder.lazy and context.trace is None and len(nodes) > PENDING_LIMIT:
        here = nodes[-1].where
        if recorder.cut in (None, here) or len(nodes) > 2 * PENDING_LIMIT:
            recorder.cut = here
            flush(reason=f"more than {PENDING_LIMIT} operations were pending")
