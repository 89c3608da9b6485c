"""One compiled trace: where its inputs come from, where its outputs go, and when it holds.

`run` is the hot path of a jitted step: gather buffers, execute, rebind.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend import Program, SharedArray, backend
from ..functions.defaults import Defaults
from ..guards.identity import interchangeable
from ..guards.outside import Outside, roots
from ..ir import dtypes
from ..ir.graph import Graph, Node, Value
from ..ir.recorder import record, recording
from ..ir.source import describe, user_position
from ..ir.state import state
from ..ir.types import Type
from ..lazy.flush import device_buffer, host_array, materialize
from ..ops import OPS
from ..tensor.epochs import grad_epoch, structure_epoch
from ..tensor.packs import PackedSlice
from ..tensor.scalar import Scalar, from_number
from ..tensor.storage import Storage
from ..tensor.strides import of_gradient
from ..tensor.tensor import Tensor
from ..walks.kept import read_by_gradients, smallest_to_keep
from ..walks.simplify import simplify
from .interrupts import Uninterrupted
from .packing import packed_graph, plan
from .reports import NanCheck, Report
from .results import Template, rebuilt
from .signature import Signature
from .trace import Trace, check_closed
from .validity import Guard

_getrefcount = sys.getrefcount


def _sole_counts() -> tuple[int, int]:
    """The reference counts that `_owned` sees of a value and a buffer which nobody else holds; measured, not assumed."""
    class Cell:
        __slots__ = ("value",)

    value = Value(Type.of((), dtypes.float32), "cpu", np.zeros(()))
    cell = Cell()
    cell.value = value  # type: ignore[attr-defined]
    del value
    values = [c.value for c in [cell]]  # type: ignore[attr-defined]
    buffers = [v.buffer for v in values]
    return max(map(_getrefcount, values)), max(map(_getrefcount, buffers))


_SOLE_VALUE, _SOLE_BUFFER = _sole_counts()


@dataclass
class Stats:
    """What a jitted function has cost: `compiles`, `calls`, and `seconds` per phase."""

    compiles: int = 0
    calls: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"trace": 0.0, "simplify": 0.0, "print": 0.0,
                                                                "compile": 0.0})

    def __str__(self) -> str:
        phases = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in self.seconds.items())
        return f"{self.compiles} compile(s), {self.calls} call(s); {phases}"


class Entry:
    """One compiled trace: where its inputs come from, where its outputs go, and what it depended on."""

    def __init__(self, trace: Trace, result: Any, call: Signature, stand_ins: list[Tensor], argument_inputs: list[Value],
                 numbers: list[Scalar], outside: Outside, donate: bool = True, check_nan: bool = False) -> None:
        self.name = trace.name
        arguments = call.tensors
        self.outside = outside
        # Tensors that were read, and those whose shape or flags alone may have been: as they were before.
        handles = {**outside.tensors, **trace.handles}
        self.handles = [(weakref.ref(t), *was, t._hooks and t._hooks.key) for t, was in handles.items()]
        outside.settle(trace.modules, trace.called)
        self.epoch = structure_epoch[0]
        self.without_grad = [t for t, g in trace.grads_before.items() if g is None]
        self.with_grad = [t for t, g in trace.grads_before.items() if g is not None]
        self.grads_seen = -1  # the epoch in which all of `without_grad` were found without one
        self._stand_ins = {id(s): i for i, s in enumerate(stand_ins)}
        self.leaves_made = [(i, s._requires_grad) for i, (s, x) in enumerate(zip(stand_ins, arguments))
                            if isinstance(x, Tensor) and s._requires_grad is not x._requires_grad]
        self.guards: list[Guard] = []
        self._collect(trace, stand_ins, argument_inputs, numbers)
        self.template = Template(result, trace, arguments, stand_ins, _readers(trace, numbers), self._output).tree
        # Only now: a number that was computed with and is returned has been looked at.
        self.guards += trace.guards
        self.looked = dict(trace.looked)
        self.plain = self.template is None and not self.grad_writes and not self.leaves_made
        self._add_reports(trace, dict(zip(argument_inputs, call.paths)), check_nan)
        self._build(trace, donate)
        self.aliased = [i for i, x in enumerate(arguments) if isinstance(x, Tensor) and x._storage in trace.aliased]
        self.aliased_storages = [arguments[i]._storage for i in self.aliased]
        self.offsets = [(i, x._strides.offset) for i, x in enumerate(arguments) if isinstance(x, Tensor) and x in trace.placed]
        self.known = {s for i, s in enumerate(self.state) if i not in self.grad_state}
        self.changed = set(trace.written)
        self.written_arguments = {i for i, _ in self.argument_writes}
        self.writes = bool(self.changed or self.written_arguments)
        # Whether a call must look at more than most do.
        self.particular = bool(self.looked or self.guards or self.offsets or self.aliased or self.with_grad)
        self.program: Program | None = None
        self.calls = 0
        self.made = trace.made

    # --- Making -------------------------------------------------------------------------------------------------------

    def _collect(self, trace: Trace, stand_ins: list[Tensor], argument_inputs: list[Value],
                 numbers: list[Scalar]) -> None:
        """Inputs in order: donated state, other state, arguments, numbers, hyperparameters."""
        written = [s for s in trace.written]
        rewritten = [s for s in written if s in trace.captured]
        kept = [s for s in trace.captured if s not in trace.written]
        self.state: list[Storage] = [*rewritten, *kept]
        self.grad_state = self._grad_state(trace)
        self.written = self.rewritten = len(rewritten)
        self.created_state = [s for s in written if s not in trace.captured]
        self.hypers = [(group, key) for group, key, _ in trace.hypers.values()]
        self._inputs = [*(trace.captured[s] for s in self.state), *argument_inputs,
                        *(n.value for n in numbers), *(v for _, _, v in trace.hypers.values())]
        self._argument_count = len(argument_inputs)
        self.has_numbers = bool(numbers or self.hypers)
        self._outputs: list[Value] = []
        self.state_outputs = [self._output(trace.current(s)) for s in [*rewritten, *self.created_state]]
        self._collect_grads(trace)
        self._collect_arguments(stand_ins, argument_inputs)

    def _add_reports(self, trace: Trace, arguments: dict[Value, str], check_nan: bool) -> None:
        """Outputs for what is told after each run."""
        reports: list[Report] = list(trace.reports)
        if check_nan:
            names = {v: f"of type {v.type}" for v in self._inputs} | arguments | _labels(trace, self._inputs)
            check = NanCheck(names, list(trace.recorder.nodes))
            self._outputs[:self.written] = check.kept(self._inputs, self._outputs[:self.written])
            reports.append(check)
        self.reports = [(report, [self._output(v) for v in report.values]) for report in reports]

    def _grad_state(self, trace: Trace) -> dict[int, Tensor]:
        """State that is the `.grad` of a tensor: looked up at each call, since it is another tensor after zero_grad."""
        at = {s: i for i, s in enumerate(self.state)}
        found: dict[int, Tensor] = {}
        for tensor in self.with_grad:
            gradient = trace.grads_before[tensor]
            assert gradient is not None
            position = at.get(gradient._storage)
            if (position is not None and not _plain_grad(tensor, gradient)) or position in found:
                ref = weakref.ref(gradient)
                self.guards.append(Guard(".grad of a tensor", lambda t=tensor, r=ref: t._grad is r(),  # type: ignore[misc]
                                         True, describe(user_position())))
            elif position is not None:
                found[position] = tensor
        return found

    def _storages(self) -> list[Storage]:
        """The storages of the state as it is now."""
        if not self.grad_state:
            return self.state
        storages = list(self.state)
        for i, tensor in self.grad_state.items():
            storages[i] = tensor._grad._storage  # type: ignore[union-attr]
        return storages

    def _output(self, value: Value) -> int:
        self._outputs.append(value)
        return len(self._outputs) - 1

    def _collect_grads(self, trace: Trace) -> None:
        """`.grad`s that were rebound: (tensor or argument index, output or None)."""
        self.grad_writes: list[tuple[Any, int | None]] = []
        for tensor, gradient in trace.grads.items():
            if gradient is trace.grads_before.get(tensor, trace.grads_given.get(tensor)):
                continue
            local = self._stand_ins.get(id(tensor))
            if local is None and tensor._storage.trace is trace:
                continue  # a leaf made inside: nobody outside sees it
            target = tensor if local is None else local
            self.grad_writes.append((target, None if gradient is None else self._output(gradient._read())))

    def _collect_arguments(self, stand_ins: list[Tensor], inputs: list[Value]) -> None:
        """Arguments that the function wrote to."""
        self.argument_writes = [(i, self._output(s._storage.value)) for i, (s, v) in enumerate(zip(stand_ins, inputs))
                                if s._storage.value is not v]

    def _build(self, trace: Trace, donate: bool) -> None:
        """The graph, with equal outputs given once, and with what a backward from outside will read."""
        self.differentiable = [o for o in self._outputs if state.grad and _has_history(o)]
        saved: list[Value] = []
        if self.differentiable:
            nodes = trace.recorder.nodes
            saved = smallest_to_keep(nodes, read_by_gradients(nodes, self.differentiable), set(self._outputs))
        positions: dict[Value, int] = {}
        for value in [*self._outputs, *saved]:
            positions.setdefault(value, len(positions))
        self.positions = [positions[v] for v in self._outputs]
        self.requires = [v.requires_grad for v in positions]
        labels = _labels(trace, self._inputs)
        raw = check_closed(Graph(self._inputs, trace.recorder.nodes, positions, self.name, labels))
        self.tape = _Tape(raw, len(positions)) if self.differentiable else None
        self.leaves = [v.leaf() if v.leaf is not None else None for v in self._inputs]
        self.raw = raw
        self.donated = {} if not donate or self.tape else {
            i: self.positions[i] for i in range(self.rewritten)
            if self._outputs[i].type is self._inputs[i].type and self.positions.count(self.positions[i]) == 1}
        self.donates = len(self.donated) > 0

    def compile(self, stats: Stats) -> None:
        """Simplify, pack small state, print, compile."""
        started = time.perf_counter()
        self.prepare()
        stats.seconds["simplify"] += time.perf_counter() - started
        self.program = backend().compile(self.graph, self.device, self.donated)
        for phase, seconds in self.program.seconds.items():
            stats.seconds[phase] = stats.seconds.get(phase, 0.0) + seconds
        stats.compiles += 1
        self._numbers_seen: dict[int, tuple[Any, Any]] = {}
        self.raw = self.graph
        del self._inputs, self._outputs, self._stand_ins

    def prepare(self) -> None:
        """Make the graph that is compiled: simplified, with small state packed."""
        self.device = self._device()
        self.graph = simplify(self.raw)
        self.types = [v.type for v in self.graph.outputs]
        self.write_positions = self.positions[:self.written]
        self._pack()

    def _pack(self) -> None:
        """Put small state into flat buffers: those of packs come first among inputs and outputs."""
        own = [i for i in range(len(self.state)) if i not in self.grad_state]
        packs = [] if self.tape else plan([self.state[i] for i in own], [i in self.donated for i in own], self.device)
        at = {id(self.state[i]): i for i in own}
        inputs = [[at.get(id(s)) for s in p.storages] for p in packs]
        outputs = [[self.positions[i] if i is not None and i in self.donated else None for i in members]
                   for members in inputs]
        written = [any(o is not None for o in members) for members in outputs]
        order = sorted(range(len(packs)), key=lambda k: not written[k])
        packs, inputs, outputs = ([x[k] for k in order] for x in (packs, inputs, outputs))  # type: ignore[assignment]
        count = sum(written)
        self.packs, self.read_packs = packs[:count], packs[count:]
        gone_inputs = {i for members in inputs for i in members if i is not None}
        gone_outputs = {o for members in outputs for o in members if o is not None}
        if packs:
            self.graph = packed_graph(self.graph, packs, inputs, outputs, gone_inputs, gone_outputs)
        kept = [o for o in range(len(self.types)) if o not in gone_outputs]
        moved = {o: count + k for k, o in enumerate(kept)}
        self.types = [p.type for p in self.packs] + [self.types[o] for o in kept]
        loose = [i for i in range(len(self.state)) if i not in gone_inputs]
        self.write_positions = [moved[self.positions[i]] for i in loose if i < self.written]
        new_at = {i: len(packs) + k for k, i in enumerate(loose)}
        self.donated = {**{k: k for k in range(count)},
                        **{new_at[i]: moved[o] for i, o in self.donated.items() if i in new_at}}
        self.rewritten = sum(i < self.written for i in loose)
        self.positions = [moved.get(o, -1) for o in self.positions]
        self.grad_state = {k: self.grad_state[i] for k, i in enumerate(loose) if i in self.grad_state}
        # A gradient's storage is not held between calls: its memory is the user's to free.
        self.state = [_LOOKED_UP if i in self.grad_state else self.state[j] for i, j in enumerate(loose)]

    def _device(self) -> str:
        devices = dict.fromkeys(v.device for v in self._inputs[:len(self.state) + self._argument_count])
        devices = devices or dict.fromkeys(v.device for v in (*self._outputs, *(node.output(0) for node in self.raw.nodes)))
        return next(iter(devices), Defaults.device)

    # --- Validity -----------------------------------------------------------------------------------------------------

    def broken(self, call: Signature) -> list[tuple[str, Any, Any]]:
        """What has changed since the trace, as (name, old, new); empty when the entry holds for this call."""
        if not self.particular and self.epoch == structure_epoch[0] and self.grads_seen == grad_epoch[0] and self.outside.holds():
            known = self.known
            for x in call.tensors:
                if isinstance(x, Tensor) and (x._base is not None or x._storage in known):
                    break
            else:
                return []
        changes: list[tuple[str, Any, Any]] = []
        for path, old in self.looked.items():
            new = call.numbers[call.number_paths.index(path)]
            if not interchangeable(new, old):
                changes.append((path, old, new))
        if not self.outside.holds():
            changes.extend(self.outside.changes())
        if self.epoch != structure_epoch[0]:
            changes.extend(self._handle_changes())
        if self.grads_seen != grad_epoch[0]:
            if any(t._grad is not None for t in self.without_grad):
                changes.append((".grad of a parameter", None, "present"))
            else:
                self.grads_seen = grad_epoch[0]
        if self.with_grad and not changes:
            changes.extend(self._grad_changes())
        for guard in self.guards:
            if not guard.holds():
                changes.append((guard.name, guard.value, _safely(guard.read)))
        known = self.known
        if self.grad_state and not changes:
            known = known | {t._grad._storage for t in self.grad_state.values()}  # type: ignore[union-attr]
        for i, x in enumerate(call.tensors):
            if isinstance(x, Tensor) and x._base is None and x._storage in known:
                changes.append((call.paths[i], "a tensor of its own", "a tensor that the function also uses as state"))
        for i, offset in self.offsets:
            if call.tensors[i]._strides.offset != offset:
                changes.append((f"{call.paths[i]}.storage_offset()", offset, call.tensors[i]._strides.offset))
        if self.writes and (clash := self.clash(call.tensors)) is not None:
            changes.append((call.paths[clash], "memory of its own", "memory that the function also reads or writes"))
        if self.aliased:
            changes.extend(self._alias_changes(call))
        return changes

    def _handle_changes(self) -> list[tuple[str, Any, Any]]:
        changes: list[tuple[str, Any, Any]] = []
        for handle, required, storage, hooks in self.handles:
            tensor = handle()
            if tensor is not None and tensor._requires_grad is not required:
                changes.append(("requires_grad of a tensor", required, not required))
            elif tensor is not None and tensor._storage is not storage:
                changes.append((".data of a tensor", storage.value.type, tensor._type))
            elif tensor is not None and (tensor._hooks and tensor._hooks.key) != hooks:
                changes.append(("hooks of a tensor", hooks, tensor._hooks and tensor._hooks.key))
        if not changes:
            self.epoch = structure_epoch[0]
        return changes

    def _grad_changes(self) -> list[tuple[str, Any, Any]]:
        if any(t._grad is None for t in self.with_grad):
            return [(".grad of a parameter", "present", None)]
        if not all(_plain_grad(t, t._grad) for t in self.grad_state.values()):
            return [(".grad of a parameter", "a tensor of its own", "a view, or of another type")]
        if len({t._grad._storage for t in self.grad_state.values()}) < len(self.grad_state):  # type: ignore[union-attr]
            return [(".grad of parameters", "separate tensors", "one tensor")]
        return []

    def clash(self, tensors: Sequence[Any]) -> int | None:
        """An argument that is a view of memory which the function reaches another way too, where one of the two writes.

        Such a view is passed by value, so that another offset needs no other program; that would be wrong here.
        """
        written = self.written_arguments
        for i, x in enumerate(tensors):
            if not isinstance(x, Tensor) or x._base is None:
                continue
            storage = x._storage
            if storage in self.changed or (i in written and storage in self.known):
                return i
            for j, y in enumerate(tensors):
                if (isinstance(y, Tensor) and y._storage is storage and y is not x and (i in written or j in written)
                        and _may_overlap(x, y)):
                    return i
        return None

    def _alias_changes(self, call: Signature) -> list[tuple[str, Any, Any]]:
        for i, storage in zip(self.aliased, self.aliased_storages):
            if call.tensors[i]._storage is not storage:
                return [(call.paths[i], "a tensor that the function also uses as state", "another tensor")]
        return []

    # --- Running ------------------------------------------------------------------------------------------------------

    def run(self, call: Signature) -> Any:
        """Gather buffers, execute, rebind."""
        buffers: list[Any] = []
        for pack in self.packs:
            pack.prepare(host_array, _SOLE_VALUE)
            buffers.append(pack.buffer)
        for pack in self.read_packs:
            if not pack.current:
                pack.gather(host_array)
            buffers.append(pack.buffer)
        values: list[Value] = []
        in_place = True
        if self.state:
            values, loose, in_place = self._loose_state()
            buffers += loose
            del loose  # its references would count as owners
        arguments = [self._argument(x) for x in call.tensors]
        buffers += [device_buffer(v) for v in arguments]
        if self.has_numbers:
            buffers += self._number_buffers(call)
        with Uninterrupted():
            results = self._execute(buffers)
            self.calls += 1
            for pack, result in zip(self.packs, results):
                pack.buffer = result
            if in_place:
                # Nobody else holds these values, so giving them the new buffers changes nothing anyone can see.
                for value, at in zip(values, self.write_positions):
                    value.buffer = results[at]
            else:
                self._rebind(results)
        if self.plain and len(self.positions) == self.written:
            return None
        outputs = self._as_values(results, [*values, *arguments], call)
        for report, positions in self.reports:
            report.tell([outputs[at] for at in positions])
        self._write_back(call, outputs)
        return rebuilt(self.template, outputs, call)

    def _loose_state(self) -> tuple[list[Value], list[Any], bool]:
        """Values and buffers of the state that is in no pack, and whether the written part of it is ours alone."""
        storages = self._storages()
        values = [s.value for s in storages]
        buffers = [v.buffer for v in values]
        kinds = set(map(type, buffers))
        if len(kinds) > 1 or not kinds.isdisjoint(_NOT_ON_DEVICE):
            buffers = self._prepared(storages, values)
        count = self.rewritten
        if not count or not self.donates:
            return values, buffers, not count
        in_place = (max(list(map(_getrefcount, values))[:count]) <= _SOLE_VALUE
                    and max(list(map(_getrefcount, buffers))[:count]) <= _SOLE_BUFFER)
        if not in_place:
            self._unshare(values, buffers)
        return values, buffers, in_place

    def _execute(self, buffers: list[Any]) -> list[Any]:
        assert self.program is not None
        try:
            return self.program.run(buffers)
        except BaseException:
            if self.donates:
                self._mark_lost()
            raise

    def _mark_lost(self) -> None:
        """After a failure inside a donating run: every storage whose buffer is gone says so from now on."""
        loose = [s for s in self._storages()[:self.rewritten] if backend().deleted(s.value.buffer)]
        packed = [s for p in self.packs if backend().deleted(p.buffer) for s in p.storages]
        for storage in [*loose, *packed]:
            storage.lost = (f"the call of {self.name} at {describe(user_position())} failed while it ran, after the buffer was "
                            "donated to it. Restore it from a checkpoint, or use jit(donate=False).")
            storage.rebind(_owned(storage.value.type, storage.value.device, None))

    def _prepared(self, storages: Sequence[Storage], values: list[Value]) -> list[Any]:
        """Buffers on the device of state that was changed outside: run what is pending, upload what is on the host."""
        for storage in storages:
            storage.read()  # raises for a storage that was lost
        materialize(values, f"state of {self.name} was pending")
        return [device_buffer(v) for v in values]

    def _unshare(self, values: list[Value], buffers: list[Any]) -> None:
        """Copy the donated buffers that somebody else holds too."""
        for i in range(self.rewritten):
            if _getrefcount(values[i]) > _SOLE_VALUE or _getrefcount(buffers[i]) > _SOLE_BUFFER - 1:
                buffers[i] = backend().upload(np.array(backend().download(buffers[i])), self.device)

    def _argument(self, x: Any) -> Value:
        if isinstance(x, Tensor):
            value = x._read()
            if value.buffer is None:
                materialize([value], f"an argument of {self.name} was pending")
            return value
        return Value(Type.of(x.shape, dtypes.from_numpy(x.dtype)), self.device, np.array(x))

    def _number_buffers(self, call: Signature) -> list[Any]:
        numbers = [*call.numbers, *(group[key] for group, key in self.hypers)]
        buffers = []
        for i, number in enumerate(numbers):
            seen = self._numbers_seen.get(i)
            if seen is None or not interchangeable(seen[0], number):
                array = np.asarray(number, from_number(number).numpy)
                seen = self._numbers_seen[i] = number, backend().upload(array, self.device)
            buffers.append(seen[1])
        return buffers

    def _rebind(self, results: list[Any]) -> None:
        for storage, at in zip(self._storages()[:self.rewritten], self.write_positions):
            storage.rebind(_owned(self.types[at], self.device, results[at]))
            storage.lost = ""

    def _as_values(self, results: list[Any], inputs: list[Value], call: Signature) -> list[Value]:
        """The results as values, one per output; connected to the tape when gradients can flow through the call."""
        if self.tape is not None and state.grad:
            self._mark_leaves(call)
            made = self.tape.attach(results, self._input_values(inputs, call), self.device)
            return [made[at] if self.requires[at] else Value(self.types[at], self.device, results[at])
                    for at in self.positions]
        first = self.written
        return [_NONE] * first + [Value(self.types[at], self.device, results[at]) for at in self.positions[first:]]

    def _mark_leaves(self, call: Signature) -> None:
        for leaf in self.leaves:
            if isinstance(leaf, Tensor) and leaf._storage.trace is None:
                leaf._read()

    def _input_values(self, inputs: list[Value], call: Signature) -> list[Value]:
        numbers = [Value(Type.of((), from_number(n)), self.device, b) for n, b in zip(
            [*call.numbers, *(group[key] for group, key in self.hypers)], self._number_buffers(call))]
        return [*inputs, *numbers]

    def _write_back(self, call: Signature, outputs: list[Value]) -> None:
        """State written without being read, gradients, and arguments: their contents, and whether they are leaves."""
        for storage, at in zip(self.created_state, self.state_outputs[self.written:]):
            storage.rebind(_own(outputs[at]))
            storage.lost = ""
        for target, at_grad in self.grad_writes:
            tensor = call.tensors[target] if isinstance(target, int) else target
            tensor._grad = None if at_grad is None else Tensor._of(outputs[at_grad])
            if tensor._grad is not None and tensor._geometry is not None:
                tensor._grad._geometry = of_gradient(tensor._type.shape, tensor._geometry)
            grad_epoch[0] += 1
        for i, at in self.argument_writes:
            tensor = call.tensors[i]
            if isinstance(tensor, Tensor):
                tensor._set(outputs[at])
        for i, leaf in self.leaves_made:
            call.tensors[i].requires_grad_(leaf)


_NOT_ON_DEVICE = frozenset({type(None), np.ndarray, SharedArray, PackedSlice})
_NONE: Any = None
_LOOKED_UP: Any = None


def _own(value: Value) -> Value:
    value.owned = True
    return value


def _owned(type: Type, device: str, buffer: Any) -> Value:
    value = Value(type, device, buffer)
    value.owned = True
    return value


def _plain_grad(tensor: Tensor, gradient: Any) -> bool:
    """Whether the gradient is as `backward()` makes it, so that another one may come in its place."""
    return (gradient._base is None and gradient._type is tensor._type and not gradient._requires_grad
            and gradient._graph is None and not gradient._storage.value.requires_grad)


def _may_overlap(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors on one storage may have an element in common."""
    (a, b), (c, d) = (_span(t) for t in (x, y))
    return a < d and c < b


def _span(x: Tensor) -> tuple[int, int]:
    places = x._strides
    if not x.numel():
        return 0, 0
    return places.offset, places.offset + sum((n - 1) * s for n, s in zip(x._type.shape, places.stride)) + 1


def _has_history(value: Value) -> bool:
    """Whether gradients can flow through an output: not if it is a leaf, or a backward inside has used up its history."""
    return value.requires_grad and value.leaf is None and value.node is not None and not value.node.spent


class _Tape:
    """Puts a jitted forward on the tape of the code around it: one `call` node that has run already."""

    def __init__(self, graph: Graph, count: int) -> None:
        self.graph = Graph(graph.inputs, graph.nodes, graph.outputs, graph.name)
        self.count = count

    def attach(self, results: list[Any], inputs: list[Value], device: str) -> list[Value]:
        """Values of the results, from which `backward()` flows into `inputs`."""
        call = OPS["call"]
        with recording():  # it is not pending: it ran
            node: Node = record(call, tuple(inputs), {"graph": self.graph})
        outputs = list(node.outputs)
        for value, buffer in zip(outputs, results, strict=True):
            value.buffer = buffer
        node.done, node.saved = True, dict(enumerate(results))
        return outputs


def _labels(trace: Trace, inputs: Iterable[Value]) -> dict[Value, str]:
    """Names of the inputs: parameters and buffers by their path, hyperparameters by their key."""
    by_storage: dict[Storage, str] = {}
    for root in roots(trace.modules):
        by_storage.update(root._labels(by_storage))
    labels = {value: by_storage[s] for s, value in trace.captured.items() if s in by_storage}
    labels.update({value: key for _, key, value in trace.hypers.values()})
    return labels


def _readers(trace: Trace, numbers: Sequence[Scalar]) -> dict[Value, Callable[[Signature], Any]]:
    """How the numbers that are inputs of the program are read at a call."""
    readers: dict[Value, Callable[[Signature], Any]] = {}
    for i, number in enumerate(numbers):
        readers[number.value] = lambda call, i=i: call.numbers[i]  # type: ignore[misc]
    for group, key, value in trace.hypers.values():
        readers[value] = lambda call, group=group, key=key: group[key]  # type: ignore[misc]
    return readers


def _safely(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        return error


def first_difference(before: Any, now: Any) -> tuple[Any, Any]:
    if isinstance(before, tuple) and isinstance(now, tuple):
        for a, b in zip(before, now):
            if a != b:
                return first_difference(a, b) if isinstance(a, tuple) else (a, b)
    return before, now
