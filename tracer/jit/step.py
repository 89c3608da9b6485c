"""One compiled step: gather buffers, execute, rebind. `Step.run` is the hot path of a jitted call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import SharedArray, backend
from ..guards.identity import MISSING, interchangeable
from ..ir import dtypes
from ..ir.graph import Value
from ..ir.source import describe, user_position
from ..ir.state import state
from ..ir.types import Type
from ..lazy import failures
from ..lazy.flush import device_buffer, host_array, materialize
from ..tensor.epochs import grad_epoch
from ..tensor.nested import grow, refill
from ..tensor.owners import SOLE_BUFFER, SOLE_VALUE, claimed, owned, references
from ..tensor.packs import PackedSlice
from ..tensor.storage import Runs, Storage
from ..tensor.tensor import Tensor
from .interrupts import Uninterrupted
from .plan import Plan, Writes
from .results import rebuilt, rebuilt_all
from .signature import Signature
from .standins import UNREAD
from .why import Stats

_NOT_ON_DEVICE = frozenset({type(None), np.ndarray, SharedArray, PackedSlice})
_NONE: Any = None


class Step:
    """A plan and its executable."""

    def __init__(self, plan: Plan, stats: Stats) -> None:
        self.plan = plan
        self.program = backend().compile(plan.graph, plan.device, plan.donated)
        for phase, seconds in self.program.seconds.items():
            stats.seconds[phase] = stats.seconds.get(phase, 0.0) + seconds
        stats.compiles += 1
        stats.state_on_failure = "" if plan.checked is None else "kept" if plan.checked.keeps else "applied"
        self.calls, self._runs = 0, _counted(plan)
        self.used = 0  # the number of the function's call in which it ran last
        self.donates = len(plan.donated) > 0
        # Whether a call has nothing to do with the outputs but to rebind the state.
        self.plain = (plan.template is None and len(plan.positions) == plan.written + (plan.checked is not None)
                      and plan.writes.nothing_else)
        # Outputs that become values of their own: state is rebound, and gradients in packs belong to their leaves.
        self._new = [(i, at, plan.types[at]) for i, at in enumerate(plan.positions) if i >= plan.written and at >= 0]
        self._numbers_seen: list[tuple[Any, Any]] = [(None, None)] * len(plan.numbers)

    def run(self, call: Signature) -> Any:
        """Gather buffers, execute, rebind. Raises for an earlier run, if it is known by now that a check failed in it."""
        failures.poll()
        plan = self.plan
        buffers: list[Any] = []
        for pack in plan.packs:
            pack.prepare(host_array)
            buffers.append(pack.buffer)
        for pack in plan.read_packs:
            if not pack.current:
                pack.gather(host_array)
            buffers.append(pack.buffer)
        call.gradients = [t._accumulated() for t in plan.passed]
        values: list[Value] = []
        in_place = True
        if plan.state:
            values, loose, in_place = self._loose_state()
            buffers += loose
            del loose  # its references would count as owners
        arguments = [_argument(plan, x) for x in call.tensors] if not plan.unread else _arguments(plan, call)
        buffers += [device_buffer(v) for v in arguments]
        if plan.numbers:
            buffers += self._number_buffers(call)
        buffers += [gradient.room() for gradient, _ in plan.writes.left]
        with Uninterrupted():
            results = self._execute(buffers)
            self.calls = self._runs.count = self.calls + 1
            for pack, result in zip(plan.packs, results):
                pack.buffer = result
            if in_place:
                # Nobody else holds these values, so giving them the new buffers changes nothing anyone can see.
                for value, at in zip(values, plan.targets):
                    value.buffer = results[at]
            else:
                self._rebind(results)
            for gradients in plan.gradient_packs:
                if gradients.bound_at != grad_epoch[0]:  # some `.grad` was set since
                    gradients.bind()
            for gradient, at in plan.writes.left:
                gradient.take(results[at])
        outputs = _NONE if self.plain else self._as_values(results, [*values, *arguments], call)
        for line, positions in plan.reports:
            line.tell([outputs[at] for at in positions])  # what the step printed comes before what was wrong with it
        if plan.checked is not None:
            failures.started(results[plan.positions[plan.checked.output]], plan.checked.sites, results, plan.checked.note)
        else:
            failures.followed(results)
        if self.plain:
            return None
        _write_back(plan.writes, call, outputs)
        return _done(plan, outputs, call)

    # --- State --------------------------------------------------------------------------------------------------------

    def _loose_state(self) -> tuple[list[Value], list[Any], bool]:
        """Values and buffers of the state that is in no pack, and whether the written part of it is ours alone."""
        storages = self.plan.storages()
        values = [s.value for s in storages]
        buffers = [v.buffer for v in values]
        kinds = set(map(type, buffers))
        if len(kinds) > 1 or not kinds.isdisjoint(_NOT_ON_DEVICE):
            buffers = self._prepared(storages, values)
        count = self.plan.rewritten
        if not count or not self.donates:
            return values, buffers, not count
        in_place = (max(list(map(references, values))[:count]) <= SOLE_VALUE
                    and max(list(map(references, buffers))[:count]) <= SOLE_BUFFER)
        if not in_place:
            self._unshare(values, buffers)
        return values, buffers, in_place

    def _prepared(self, storages: Sequence[Storage], values: list[Value]) -> list[Any]:
        """Buffers on the device of state that was changed outside: run what is pending, upload what is on the host."""
        for storage in storages:
            storage.settle()
        kept = 0 if self.plan.tape else self.plan.rewritten
        values[:] = [s.value for s in storages[:kept]] + [s.read() for s in storages[kept:]]
        materialize(values, f"state of {self.plan.name} was pending")
        return [device_buffer(v) for v in values]

    def _unshare(self, values: list[Value], buffers: list[Any]) -> None:
        """Copy the donated buffers that somebody else holds too."""
        for i in range(self.plan.rewritten):
            if values[i].buffer is not buffers[i]:
                continue  # uploaded just now
            if references(values[i]) > SOLE_VALUE or references(buffers[i]) > SOLE_BUFFER - 1:
                buffers[i] = backend().upload(np.array(backend().download(buffers[i])), self.plan.device)

    def _rebind(self, results: list[Any]) -> None:
        plan = self.plan
        for storage, at in zip(plan.storages()[:plan.rewritten], plan.targets):
            storage.rebind(owned(plan.types[at], plan.device, results[at]))
            storage.lost = ""

    # --- Numbers ------------------------------------------------------------------------------------------------------

    def _number_buffers(self, call: Signature) -> list[Any]:
        buffers = []
        for i, (kind, number, seen) in enumerate(zip(self.plan.numbers, call.values, self._numbers_seen)):
            if not interchangeable(seen[0], number):
                array = np.asarray(number, kind.dtype.numpy)
                seen = self._numbers_seen[i] = number, backend().upload(array, self.plan.device)
            buffers.append(seen[1])
        return buffers

    # --- Running ------------------------------------------------------------------------------------------------------

    def _execute(self, buffers: list[Any]) -> list[Any]:
        try:
            return self.program.run(buffers)
        except BaseException:
            if self.donates:
                _mark_lost(self.plan)
            raise

    # --- Outputs ------------------------------------------------------------------------------------------------------

    def _as_values(self, results: list[Any], inputs: list[Value], call: Signature) -> list[Value]:
        """The results as values, one per output; connected to the tape when gradients can flow through the call."""
        plan, tape = self.plan, self.plan.tape
        if tape is not None and state.grad:
            tape.mark_leaves()
            numbers = [Value(kind, plan.device, b) for kind, b in zip(plan.numbers, self._number_buffers(call))]
            made = tape.attach(results, [*inputs, *numbers], call.tensors)
            return [made[at] if tape.requires[at] else Value(plan.types[at], plan.device, results[at])
                    for at in plan.positions]
        outputs = [_NONE] * len(plan.positions)
        for i, at, kind in self._new:
            outputs[i] = Value(kind, plan.device, results[at])
        return outputs


def _arguments(plan: Plan, call: Signature) -> list[Value]:
    """The arguments, with something in the place of those that are read as state."""
    return [Value(UNREAD, x._device, np.zeros((), np.float32)) if i in plan.unread else _argument(plan, x)
            for i, x in enumerate(call.tensors)]


def _argument(plan: Plan, x: Any) -> Value:
    if isinstance(x, Tensor):
        value = x._read()
        if value.buffer is None:
            materialize([value], f"an argument of {plan.name} was pending")
        return value
    return Value(Type.of(x.shape, dtypes.from_numpy(x.dtype)), plan.device, np.array(x))


def _counted(plan: Plan) -> Runs:
    """What counts the calls for the tensors that these write to in place."""
    runs = Runs()
    for storage, times in plan.writes.in_place:
        storage.count_runs(runs, times)
    return runs


def _mark_lost(plan: Plan) -> None:
    """After a failure inside a donating run: every storage whose buffer is gone says so from now on."""
    left = [s for gradient, _ in plan.writes.left if (s := gradient.present()) is not None]
    loose = [s for s in (*plan.storages()[:plan.rewritten], *left) if backend().deleted(s.value.buffer)]
    packed = [s for p in plan.packs if backend().deleted(p.buffer) for s in p.storages if not s.shared]
    for storage in [*loose, *packed]:
        storage.lost = (f"the call of {plan.name} at {describe(user_position())} failed while it ran, after the buffer was "
                        "donated to it. Restore it from a checkpoint, or use jit(donate=False).")
        storage.rebind(owned(storage.value.type, storage.value.device, None))


def _done(plan: Plan, outputs: list[Value], call: Signature) -> Any:
    """The result, once all is written and set."""
    result = _returned(plan, outputs, call)
    for ambient, value in plan.writes.ambient:
        ambient.set(value)
    return result


def _returned(plan: Plan, outputs: list[Value], call: Signature) -> Any:
    """The result; containers among the arguments get what the step put into them."""
    writes = plan.writes
    if not writes.containers and not writes.outside and not writes.seen_gradients and not writes.marks:
        return rebuilt(plan.template, outputs, call)
    groups = [*(held for _, held in (*writes.containers, *writes.marks)), *(effect.edits for effect in writes.outside)]
    result, *things = rebuilt_all([plan.template, *(t for group in groups for t in group.values()),
                                   *(t for _, t in writes.seen_gradients)], outputs, call)
    given = iter(things)
    for i, held in writes.containers:
        contents = {key: next(given) for key in held}
        grow(call.containers[i], contents) if i in writes.grown else refill(call.containers[i], contents)
    for i, changed in writes.marks:
        own = call.tensors[i].__dict__
        own.update({name: next(given) for name in changed})
        for name in [name for name in changed if own[name] is MISSING]:
            del own[name]
    for effect in writes.outside:
        effect.apply({key: next(given) for key in effect.edits})
    for (target, _), gradient in zip(writes.seen_gradients, given, strict=True):
        _meant(target, call)._bind_grad(gradient)
    return result


def _write_back(writes: Writes, call: Signature, outputs: list[Value]) -> None:
    """State written without being read, gradients, and arguments: their contents, and whether they are leaves."""
    for storage, at in writes.created:
        storage.rebind(claimed(outputs[at]))
        storage.lost = ""
    for target, at_grad in writes.gradients:
        tensor = _meant(target, call)
        tensor._bind_grad(None if at_grad is None else tensor._gradient(outputs[at_grad]))
    for i, at in writes.arguments:
        tensor = call.tensors[i]
        if isinstance(tensor, Tensor):
            tensor._set(outputs[at])
            tensor._storage.count_write()
        else:
            np.copyto(tensor, host_array(outputs[at]))
    for target, leaf in writes.leaves:
        _meant(target, call).requires_grad_(leaf)


def _meant(target: Tensor | int, call: Signature) -> Tensor:
    """A tensor outside, or the argument with this number."""
    return call.tensors[target] if isinstance(target, int) else target
