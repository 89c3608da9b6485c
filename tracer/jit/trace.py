"""One run of a function with symbolic values: what it reads becomes inputs, what it writes becomes outputs.

Nothing outside is touched while tracing. Storages, `.grad` and arguments are shadowed by dictionaries of the trace, so
an error, or Ctrl-C, leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..ir.errors import READING_A_VALUE, TraceError
from ..ir.graph import Graph, Node, Value, needed_nodes
from ..ir.recorder import Recorder, placeholder, thread_recorder
from ..ir.source import describe, user_position
from ..ir.state import state
from ..lazy.flush import host_array
from ..tensor.context import context, outside_trace
from ..tensor.handles import Handle
from ..tensor.storage import Storage, own
from ..tensor.tensor import Tensor
from ..walks.replay import replay
from .dependencies import Dependencies
from .shadows import ShadowedArguments


class Trace(ShadowedArguments, Dependencies):
    """The bookkeeping of one trace."""

    def __init__(self, name: str) -> None:
        ShadowedArguments.__init__(self)
        Dependencies.__init__(self)
        self.name = name
        self.mark = object()
        self.recorder = Recorder()
        self.outer = thread_recorder()
        self.captured: dict[Storage, Value] = {}  # storages from outside that were read, and their input values
        self.constants: dict[Value, Value] = {}  # inputs of it that the function made of data, and their values
        self.written: dict[Storage, None] = {}
        self.in_place: dict[Storage, int] = {}  # how often each storage from outside was written in place
        self.overwritten: dict[Storage, list[Value]] = {}  # what storages that were made here held before, in order
        self.handles: dict[Tensor, Handle] = {}  # tensors from outside as they were when first read
        self.reports: list[Any] = []  # what is to be told at each call
        self.decisions: list[Any] = []  # of autocast
        self.values_only: dict[int, Tensor] = {}  # of these, by id, nobody asks for the history where the step leaves them
        self.made: list[Callable[[], Any]] = []  # what takes back the state that was made outside for this trace
        self._now: dict[Storage, Value] = {}
        self._contents: dict[Value, Any] = {}  # of values that were looked at

    # --- Storages -----------------------------------------------------------------------------------------------------

    def read(self, storage: Storage) -> Value:
        """What a storage holds at this point of the trace."""
        value = self._now.get(storage)
        if value is not None:
            return value
        if storage.trace is self:
            return storage.value
        if storage.trace is not None or storage.lost:
            raise storage._unusable()
        stand_in = self.arguments.get(storage)
        if stand_in is not None:
            self.aliased[storage] = None
            return stand_in.read()
        outside = storage.value
        value = placeholder(outside.type, outside.device)
        value.owned = True
        if outside.requires_grad and outside.leaf is None:
            value.requires_grad = True  # history outside: a jitted forward is differentiable as a unit
        self._now[storage] = self.captured[storage] = value
        return value

    def constant(self, value: Value) -> Value:
        """An input for contents that the function made of Python or numpy data; every call is given them anew."""
        before, context.trace = context.trace, None
        try:
            outside = Storage(value)
        finally:
            context.trace = before
        made = self.read(outside)
        self.constants[made] = outside.value
        return made

    def write(self, storage: Storage, value: Value) -> None:
        """Rebind a storage from outside, for the rest of the trace and, once the program ran, for good."""
        if storage.trace is not None:
            raise storage._unusable()
        stand_in = self.arguments.get(storage)
        if stand_in is not None:
            self.aliased[storage] = None
            stand_in.value = own(value)
            return
        self.written[storage] = None
        self._now[storage] = own(value)

    def restore(self, storage: Storage, value: Value) -> None:
        """Bind a storage from outside to what it held at an earlier point of the trace."""
        stand_in = self.arguments.get(storage)
        if stand_in is not None:
            stand_in.value = value
        else:
            self._now[storage] = value

    def capture_written(self) -> None:
        """Make what written storages hold before the program inputs of it, also where nothing read it."""
        for storage in self.written:
            before = storage.value
            if storage not in self.captured and not storage.lost and before.type is self._now[storage].type:
                self.captured[storage] = placeholder(before.type, before.device)
                self.captured[storage].owned = True

    def current(self, storage: Storage) -> Value:
        """The value of a written storage at the end."""
        return self._now[storage]

    # --- Values that are the same at every call -------------------------------------------------------------------------

    def is_constant(self, value: Value) -> bool:
        """Whether a value of the trace is made of nothing but data that the function has itself."""
        return self.constants.keys() >= _sources(value)

    def known(self, value: Value, looking: bool = False) -> Any:
        """The contents of such a value as a host array; None of any other, and inside the bodies of transforms.

        With `looking` the value may be made of numbers, too: the trace holds for these only, from then on.
        """
        if context.region is not None or context.maps:
            return None
        if value not in self._contents:
            numbers = {v: scalar for scalar, v in self.host.inputs.pairs()} if looking else {}
            sources = _sources(value)
            if not {*self.constants, *numbers} >= sources:
                return None
            given = dict(self.constants)
            for v in sources & numbers.keys():
                given[v] = Value(v.type, v.device, np.asarray(numbers[v].look(), v.type.dtype.numpy))
            graph = Graph([*given], needed_nodes(self.recorder.nodes, [value]), [value], "constants")
            with outside_trace():
                self._contents[value] = host_array(replay(graph, [*given.values()])[0])
        return self._contents[value]

    # --- Errors -------------------------------------------------------------------------------------------------------

    def value_read(self) -> TraceError:
        """The error for reading a value."""
        return TraceError(READING_A_VALUE.format(where=f" at {describe(user_position(2))}"))


def _sources(value: Value) -> set[Value]:
    """What a value is made of in the end."""
    todo, seen, found = [value], set[Value](), set[Value]()
    while todo:
        v = todo.pop()
        if v in seen:
            continue
        seen.add(v)
        if v.node is None:
            found.add(v)
        else:
            todo += v.node.inputs
    return found


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """Record this block into `trace`."""
    before = context.trace, state.recorder
    context.trace, state.recorder = trace, trace.recorder
    try:
        yield trace
    finally:
        context.trace, state.recorder = before


def check_closed(graph: Graph, held: list[Node] | None = None) -> Graph:
    """Raise unless everything the graph uses is an input or made inside; a tensor of another trace is not."""
    known = set(graph.inputs)
    outputs = []
    for node in graph.nodes:
        for value in node.inputs:
            if value not in known:
                made = f" (made by {value.node.op.name} at {describe(value.node.where)})" if value.node else ""
                raise TraceError(f"a tensor{made} that was traced by another function or transform leaked into this one, "
                                 f"used at {describe(node.where)}")
        outputs.append(node.outputs)
        known.update(outputs[-1])
    return graph
