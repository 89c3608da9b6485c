"""Regions: the bodies of control flow, and of `vmap`, while they are recorded, and what they do to tensors from outside.

A body runs once, on stand-ins, and its program runs any number of times. So what it writes in place to a tensor from
outside (a buffer, a parameter, the state of a generator) must not stay behind as a value of the recording: it is
noted, undone, and becomes one more value that the loop carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..ir.checks import Check, Site, note
from ..ir.errors import TraceError
from ..ir.graph import Graph, Node, Value
from ..ir.recorder import Recorder, placeholder, recording, thread_recorder
from ..ir.source import describe, user_position
from ..ir.types import Type
from ..ops.checks import REPORT, first_report, joined
from ..ops.structural import constant
from .context import context

if TYPE_CHECKING:
    from .storage import Storage
    from .tensor import Tensor


Write = tuple["Storage", Value, Value]  # what is written, what it held before, what it holds after


class Region:
    """One run of a body: the storages and `.grad`s from outside that it wrote, with what they held before.

    `looked` are the values that Python read on the host meanwhile; `outer` is the recorder around all regions.
    """

    def __init__(self, around: Region | None) -> None:
        self.outer: Recorder = thread_recorder() if around is None else around.outer
        self.written: dict[Storage, Value] = {}
        self.grads: dict[Tensor, Tensor | None] = {}
        self.looked: set[Value] = set()

    def note_write(self, storage: Storage) -> None:
        """A storage from outside is about to be written."""
        before = storage.read()
        if context.trace is not None:
            storage = context.trace.arguments.get(storage, storage)
        self.written.setdefault(storage, before)

    def note_grad(self, tensor: Tensor) -> None:
        """The `.grad` of a tensor is about to be rebound."""
        if tensor._storage.region is not self and tensor not in self.grads:
            self.grads[tensor] = tensor._accumulated()

    def finish(self, name: str) -> list[Write]:
        """The writes; TraceError for what cannot be carried."""
        where = describe(user_position())
        if any(tensor.grad is not before for tensor, before in self.grads.items()):
            raise TraceError(f"{name} leaves a gradient in the .grad of a tensor from outside, at {where}: what is carried "
                             "is the contents of tensors, not which tensor .grad is. Call zero_grad() in it after the step, "
                             "or compute gradients with torch.func.grad and return them.")
        if any(before in self.looked for before in self.written.values()):
            raise TraceError(f"{name} reads the value of a tensor from outside and writes to it, at {where}: it is recorded "
                             "once, so Python would see the first value in every step. Choose with torch.where or "
                             "torch.cond.")
        return [(storage, before, storage.read()) for storage, before in self.written.items()]


@dataclass(frozen=True)
class Body:
    """A recorded body: what its function returned, the writes it made, and the sites of the checks in it.

    `report` is empty, or the report on checks when the body starts and when it is done: it is carried as writes are.
    """

    name: str
    inputs: list[Value]
    nodes: list[Node]
    result: Any
    writes: list[Write]
    sites: tuple[Site, ...]
    report: tuple[Value, ...]

    @property
    def before(self) -> list[Value]:
        """What the written storages hold when the body starts, and the report."""
        return [*(before for _, before, _ in self.writes), *self.report[:1]]

    @property
    def after(self) -> list[Value]:
        """What the written storages hold when the body is done, and the report."""
        return [*(after for _, _, after in self.writes), *self.report[1:]]

    def left(self, values: Sequence[Value]) -> None:
        """The storages hold these values from now on, in place of `after`."""
        for (storage, _, _), value in zip(self.writes, values):
            storage.write(value)
        if self.report:
            note(Check(values[len(self.writes)], self.sites))


def record_body(function: Callable[[list[Value]], Any], types: Sequence[Type], device: str, name: str) -> Body:
    """Record `function` on stand-ins of these types. Everything outside is as before afterwards, errors included."""
    # Whether gradients flow is decided by what the loop is given; until then all stand-ins let them through.
    inputs = [placeholder(t, device, t.dtype.is_inexact) for t in types]
    with region() as here, recording() as recorder:
        result = function(inputs)
        writes = here.finish(name)
    sites, report = _reported(recorder, device)
    return Body(name, inputs, list(recorder.nodes), result, writes, sites, report)


def _reported(recorder: Recorder, device: str) -> tuple[tuple[Site, ...], tuple[Value, ...]]:
    """The sites of the checks in a body, and the report on them, which is carried from one run of the body to the next."""
    if not recorder.checks:
        return (), ()
    start = constant.on(device, value="0", shape=REPORT.shape, dtype=REPORT.dtype)
    with recording(recorder):
        own = joined(recorder.checks)
        return own.sites, (start, first_report(start, own.report, offsets=(0, 0), lead=0))


@contextmanager
def region() -> Iterator[Region]:
    """Note what this block writes to tensors from outside, and undo it at the end."""
    around, within = context.region, context.in_body
    here = context.region = Region(around)
    context.in_body = True
    try:
        yield here
    finally:
        context.region, context.in_body = around, within
        for storage, before in here.written.items():
            storage.restore(before)
        for tensor, gradient in here.grads.items():
            tensor.grad = gradient
        if around is not None:
            around.looked |= here.looked


def sealed(inputs: Sequence[Value], nodes: Sequence[Node], outputs: Sequence[Value], name: str) -> Graph:
    """A graph whose inputs stand for `inputs`: it holds nothing from outside, since it outlives this call as a key."""
    own = {v: placeholder(v.type, v.device, v.requires_grad) for v in inputs}
    for node in nodes:
        node.inputs = tuple(own.get(v, v) for v in node.inputs)
    return Graph(own.values(), nodes, [own.get(v, v) for v in outputs], name)
