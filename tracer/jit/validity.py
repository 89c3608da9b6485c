"""Whether a compiled trace still holds for a call, and if not, what has changed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..guards.identity import MISSING, interchangeable
from ..guards.outside import Outside
from ..guards.owners import Owner, RegisteredTable
from ..guards.statics import attributes
from ..guards.texts import Change, Label, Text, change, shown
from ..ir.source import describe, user_position
from ..tensor.context import outside_trace
from ..tensor.epochs import grad_epoch, structure_epoch
from ..tensor.handles import Handle
from ..tensor.offsets import offset
from ..tensor.operations import NUMBERS
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from .created import zeros
from .guard import Guard
from .identities import Identities
from .nests import GradientOf, Slot
from .plan import Plan, is_plain_gradient
from .signature import Signature
from .trace import Trace

ANY_NUMBER = Text("a number")


class _Handles:
    """Tensors that a trace used, whose flags, memory and hooks are as they were; looked at only after a change of structure."""

    def __init__(self, tensors: dict[Tensor, Handle]) -> None:
        self._seen = [(weakref.ref(t), was, _hooks(t)) for t, was in tensors.items()]

    def changes(self) -> list[Change]:
        """What is not as it was."""
        changes: list[Change] = []
        for handle, was, hooks in self._seen:
            tensor = handle()
            if tensor is None:
                continue
            if tensor._requires_grad is not was.requires_grad:
                changes.append(("requires_grad of a tensor", was.requires_grad, not was.requires_grad))
            elif tensor._storage is not was.storage:
                changes.append((".data of a tensor", was.type, tensor._type))
            elif was.got_history(tensor):
                changes.append(("requires_grad of a tensor", False, True))
            elif not was.lies_as(tensor):
                changes.append(("how a tensor lies in its memory", was.type, tensor._type))
            elif _hooks(tensor) != hooks:
                changes.append(("hooks of a tensor", hooks, _hooks(tensor)))
        return changes

    def forget(self) -> None:
        """All of them."""
        self._seen = []


class _Gradients:
    """Tensors whose `.grad` a trace read, by whether there was one, and the state that some of these gradients are."""

    def __init__(self, trace: Trace, plan: Plan) -> None:
        self.without = [t for t, g in trace.grads_before.items() if g is None]
        self.present = list(trace.grads_found())
        self.state = list(plan.gradients.values())
        self.alike = list(dict.fromkeys((*self.state, *plan.passed)))  # of one type and on memory of their own
        self.may_lack: list[Tensor] = []  # those to which zeros are as good as none

    def complete(self) -> list[Tensor]:
        """Give zeros to tensors that have no gradient; gives these tensors."""
        lacking = [t for t in self.may_lack if t._grad is None]
        with outside_trace():
            for tensor in lacking:
                tensor._bind_grad(tensor._gradient(zeros(tensor._storage.value)))
        return lacking

    def storages(self) -> set[Any]:
        """Where the gradients are that are state."""
        return {t._grad._storage for t in self.state if t._grad is not None}

    def changes(self) -> list[Change]:
        """What is not as it was with the gradients that were there."""
        missing = {id(t) for t in self.present if t._grad is None}
        if missing and not missing <= set(map(id, self.may_lack)):
            return [(".grad of a parameter", "present", None)]
        if not all(is_plain_gradient(t, t._grad) for t in self.alike if t._grad is not None):
            return [(".grad of a parameter", "a tensor of its own", "a view, or of another type")]
        if len(self.storages()) < len(self.state) - len(missing):
            return [(".grad of parameters", "separate tensors", "one tensor")]
        return []


class _Memory:
    """Which arguments share memory with what the function reaches another way."""

    def __init__(self, trace: Trace, plan: Plan, arguments: Sequence[Any], apart: Collection[int]) -> None:
        self.apart = frozenset(apart)  # arguments that the function finds where they are, or was given as they are
        self.known = {s for i, s in enumerate(plan.state) if i not in plan.gradients and i not in plan.slots}
        self.changed = set(trace.written)
        self.written = {i for i, _ in plan.writes.arguments}
        self.writes = bool(self.changed or self.written)
        self.arrays = [i for i in self.written if isinstance(arguments[i], np.ndarray)]
        tensors = [(i, x) for i, x in enumerate(arguments) if isinstance(x, Tensor)]
        self.aliased = [(i, x._storage) for i, x in tensors if x._storage in trace.aliased]
        self.offsets = [(i, trace.placed[x]) for i, x in tensors if x in trace.placed]

    def forget(self) -> None:
        """All memory."""
        self.known, self.changed, self.aliased = set(), set(), []

    def usual(self, tensors: Sequence[Any]) -> bool:
        """Whether no argument is a view or state of the function; then there is nothing more to ask."""
        known = self.known
        for x in tensors:  # noqa: SIM110  # a generator takes longer, in each call
            if isinstance(x, Tensor) and (x._base is not None or x._storage in known):
                return False
        return True

    def changes(self, call: Signature, gradients: set[Any]) -> list[Change]:
        """What is not as it was; `gradients` are state too."""
        known = self.known | gradients
        changes: list[Change] = [(call.paths[i], "a tensor of its own", "a tensor that the function also uses as state")
                                 for i, x in enumerate(call.tensors)
                                 if isinstance(x, Tensor) and x._base is None and x._storage in known and i not in self.apart]
        for i, before in self.offsets:
            if (now := offset(call.tensors[i])) != before:
                changes.append((f"{call.paths[i]}.storage_offset()", before, now))
        if self.writes and (clash := self.clash(call.tensors)) is not None:
            changes.append((call.paths[clash], "memory of its own", "memory that the function also reads or writes"))
        for i, storage in self.aliased:
            if call.tensors[i]._storage is not storage:
                changes.append((call.paths[i], "a tensor that the function also uses as state", "another tensor"))
                break
        return changes

    def clash(self, tensors: Sequence[Any]) -> int | None:
        """An argument that is a view of memory which the function reaches another way too, where one of the two writes.

        Such a view is passed by value, so that another offset needs no other program; that would be wrong here.
        """
        for i in self.arrays:
            x = tensors[i]
            if any(isinstance(y, np.ndarray) and y is not x and np.may_share_memory(x, y) for y in tensors):
                return i
        for i, x in enumerate(tensors):
            if not isinstance(x, Tensor) or x._base is None or i in self.apart:
                continue
            storage = x._storage
            if storage in self.changed or (i in self.written and storage in self.known):
                return i
            for j, y in enumerate(tensors):
                if (isinstance(y, Tensor) and y._storage is storage and y is not x
                        and (i in self.written or j in self.written) and _may_overlap(x, y)):
                    return i
        return None


class _Containers:
    """Which containers among the arguments a trace changed, and which outside.

    None may be both, but one that was reached outside at the trace already: then it must be the same again.
    """

    def __init__(self, plan: Plan, outside: Outside, themselves: Identities) -> None:
        self._changed = {i for i, _ in plan.writes.containers}
        self._themselves = {i: id(x) for i, x in themselves.things.items()}  # guarded where they are outside
        self._outside, self._edited = set(outside.owners), {effect.owner.identity for effect in plan.writes.outside}

    def matter(self, call: Signature) -> bool:
        """Whether a call with such arguments may be wrong."""
        return bool(call.containers and (self._changed or self._edited or self._themselves))

    def shared(self, call: Signature) -> int | None:
        """A container of the arguments that the function also reaches another way, where one of the two is changed."""
        for i, x in enumerate(call.containers):
            itself = self._themselves.get(i)
            if id(x) != itself and (itself or id(x) in self._edited or (i in self._changed and id(x) in self._outside)):
                return i
        return None


class _Marks:
    """Attributes that users gave to tensors in the arguments, of which code reads some."""

    def __init__(self, outside: Outside, arguments: Sequence[Any]) -> None:
        self.seen = [(i, name, attributes(x).get(name, MISSING)) for i, x in enumerate(arguments) if isinstance(x, Tensor)
                     for name in outside.reads.of_tensor(x)]

    def changes(self, call: Signature) -> list[Change]:
        """Those that are others."""
        now = [attributes(call.tensors[i]).get(name, MISSING) for i, name, _ in self.seen]
        return [change(f"{call.paths[i]}.{name}", value, new) for (i, name, value), new in zip(self.seen, now)
                if not interchangeable(value, new)]


@dataclass(frozen=True)
class _OfItsType(Guard):
    """That there is a number of one of these types, whichever it is: code may ask whether there is one."""

    owner: Owner = field(kw_only=True)
    key: Any = field(kw_only=True)
    kinds: frozenset[type] = field(kw_only=True)

    def holds(self) -> bool:
        """Whether there is still one; most calls ask this of several numbers."""
        try:
            return type(self.owner.get(self.key)) in self.kinds
        except Exception:
            return False


def _of_its_type(owner: Owner, key: Any, kinds: frozenset[type]) -> Guard:
    def said(now: Any) -> Any:
        return ANY_NUMBER if type(now) in kinds else type(now).__name__ if type(now) in NUMBERS else shown(now)

    def read() -> Any:
        return said(owner.get(key))

    return _OfItsType(owner.label(key), read, said(owner.before[key]), describe(user_position()), owner.where(key),
                      owner=owner, key=key, kinds=kinds)


class Validity:
    """What a trace depended on beside the signature of its arguments."""

    def __init__(self, trace: Trace, plan: Plan, call: Signature, outside: Outside, guards: list[Guard],
                 identities: Identities, apart: Collection[int]) -> None:
        self.outside, self.identities = outside, identities
        self.handles = _Handles({**outside.tensors, **{t: was for t, was in trace.handles.items() if t._inside is None}})
        outside.settle(trace.modules, [m for m in trace.modules if not trace.is_made(m)], trace.called)
        self.gradients = _Gradients(trace, plan)
        self.memory = _Memory(trace, plan, call.tensors, {*apart, *identities.tensors})
        self.nests = [nest for effect in plan.writes.outside for nest in effect.nests.values()]
        self.slots = [slot for nest in self.nests for slot in nest.slots.values()]
        self.separate = len({id(slot.storage()) for slot in self.slots})
        moving = [e for e in plan.writes.outside if e.moves_structure]
        # What a run adds to the epoch of structures; nothing is said where it makes another structure than the one it needs.
        self.moves = 0 if any(isinstance(e.owner, RegisteredTable) for e in moving) else len(moving)
        written = {(e.owner.identity, key) for e in plan.writes.outside for key in e.numbers}
        unread = {identity for _, identity in trace.appended.values()}  # lists
        for place, (owner, scalar) in trace.counted.items():
            if place[0] in unread:
                continue
            # One that code may have come to know another way, from a cache of its own or of others, is compared as before.
            used = plan.evaluation is not None and plan.evaluation.uses(scalar)
            if used or place in written or not (place[0] in outside.foreign or outside.behind_caches(place[1])):
                outside.leave_out(owner, place[1])
                guards += [] if used else [_of_its_type(owner, place[1], _kinds(scalar, False, outside))]
        for (_, key), (owner, identity) in trace.appended.items():
            outside.leave_out(owner, key)
            outside.drop({identity})
        for nest in self.nests:
            outside.leave_out(nest.owner, nest.key)
            outside.drop(nest.inner)
            scalars = trace.nested.get((nest.owner.identity, nest.key), {})
            nest.expect({path: _kinds(x, used, outside) for path, x in scalars.items()
                         if (used := plan.evaluation is not None and plan.evaluation.uses(x))
                         or not any(map(outside.behind_caches, (nest.key, *path)))})
        outside.leave_open()
        self.guards, self.marks, self.containers = guards, _Marks(outside, call.tensors), _Containers(plan, outside, identities)
        self.evaluation = plan.evaluation
        # Whether a call must look at more than most do.
        self.particular = bool(self.memory.offsets or self.memory.arrays or self.memory.aliased
                               or self.gradients.present or self.marks.seen or self.nests or self.containers.matter(call))
        # The epochs in which the tensors were found as they were, and all gradients that were not there still missing.
        self.seen = [structure_epoch[0], -1]

    def holds(self, call: Signature) -> bool:
        """Whether the trace holds for this call, decided for the usual one in a few looks."""
        if (not self.particular and self.seen[0] == structure_epoch[0] and self.seen[1] == grad_epoch[0]
                and self.outside.holds() and self.memory.usual(call.tensors) and self.identities.usual(call)):
            for guard in self.guards:  # a generator takes longer, in each call
                if not guard.holds():
                    return False
            return self.evaluation is None or self.evaluation.holds(call)
        return not self._changes_beside_numbers(call) and (self.evaluation is None or self.evaluation.holds(call))

    def changes(self, call: Signature) -> list[Change]:
        """What has changed since the trace, as (name, old, new); empty if it holds for this call."""
        changes = self._changes_beside_numbers(call)
        if not changes and self.evaluation is not None and not self.evaluation.holds(call):
            changes = [self.evaluation.difference(call.numbers)]
        return changes

    def _changes_beside_numbers(self, call: Signature) -> list[Change]:
        changes: list[Change] = []
        if not self.outside.holds():
            changes.extend(self.outside.changes())
        if self.seen[0] != structure_epoch[0]:
            structural = self.handles.changes()
            changes.extend(structural)
            if not structural:
                self.seen[0] = structure_epoch[0]
        if self.seen[1] != grad_epoch[0]:
            if any(t._grad is not None for t in self.gradients.without):
                changes.append((".grad of a parameter", None, "present"))
            else:
                self.seen[1] = grad_epoch[0]
        if self.gradients.present and not changes:
            changes.extend(self.gradients.changes())
        if self.marks.seen:
            changes.extend(self.marks.changes(call))
        if not self.identities.usual(call):
            changes.extend(self.identities.changes(call))
        if not changes and (self.containers.shared(call) is not None or (call.containers and self.nests and self._nested(call))):
            changes.append(("a container among the arguments", "one of its own", "one that the function also reaches"))
        changes.extend(change for nest in self.nests for change in nest.changes())
        if not changes and self.slots:
            changes.extend((slot.owner.name_at(slot.key), "a tensor of its own", "one that is elsewhere too")
                           for slot in self._elsewhere()[:1])
        known = {(name, name.place if isinstance(name, Label) else None) for name, _, _ in changes}
        changes.extend(change(Label.of(guard.name, guard.place), guard.value, _safely(guard.read)) for guard in self.guards
                       if (guard.name, guard.place) not in known and not guard.holds())
        looked_up = set() if changes else self.gradients.storages() | {slot.storage() for slot in self.slots}
        return changes + self.memory.changes(call, looked_up)

    def _elsewhere(self) -> list[Slot]:
        """Places of state where there is a tensor that is something else, too."""
        gradients = self.gradients.storages()
        found = [slot for slot in self.slots if slot.storage() in self.memory.known
                 or (slot.storage() in gradients and not isinstance(slot.twin, GradientOf))]
        return found or (self.slots if len({slot.storage() for slot in self.slots}) < self.separate else [])

    def _nested(self, call: Signature) -> bool:
        """Whether an argument is a container that is state, too."""
        holders = set[int]().union(*(nest.holders() for nest in self.nests if not nest.is_tensor))
        return not holders.isdisjoint(map(id, call.containers))

    def release(self) -> None:
        """Hold no memory any more: the trace holds for no call."""
        self.handles.forget()
        self.memory.forget()

    def settle(self) -> None:
        """After a run: what the step itself did to modules is what the next call may find."""
        if self.moves and self.seen[0] == self.outside.epoch == structure_epoch[0] - self.moves:
            self.seen[0] = self.outside.epoch = structure_epoch[0]  # it was this step alone that moved it


def _kinds(scalar: Scalar, used: bool, outside: Outside) -> frozenset[type]:
    """The types that a number may have: any, where nobody asked for that of one which the trace does not use."""
    return frozenset({scalar.kind()}) if used or "kind" in scalar.settled or outside.looks_at_types else NUMBERS


def _hooks(tensor: Tensor) -> Any:
    return (tensor._hooks and tensor._hooks.key) or ()


def _may_overlap(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors on one storage may have an element in common."""
    (a, b), (c, d) = (_span(t) for t in (x, y))
    return a < d and c < b


def _span(x: Tensor) -> tuple[int, int]:
    if not x.numel():
        return 0, 0
    first = offset(x)
    return first, first + sum((n - 1) * s for n, s in zip(x._type.shape, x._strides.stride)) + 1


def _safely(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        return error
