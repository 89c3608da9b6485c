"""One run of a function with symbolic values: what it reads becomes inputs, what it writes becomes outputs.

Nothing outside is touched while tracing. Storages, `.grad` and arguments are shadowed by dictionaries of the trace, so
an error, or Ctrl-C, leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..guards.owners import ModuleTable, Owner
from ..ir.errors import READING_A_VALUE, TraceError
from ..ir.graph import Graph, Node, Value
from ..ir.recorder import Recorder, placeholder, thread_recorder
from ..ir.source import describe, user_position
from ..ir.state import state
from ..tensor.context import context
from ..tensor.scalar import Host, Scalar, Source
from ..tensor.storage import Storage, own
from ..tensor.strides import passed_on
from ..tensor.tensor import Tensor
from .guard import Guard


class Trace:
    """The bookkeeping of one trace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.recorder = Recorder()
        self.outer = thread_recorder()
        self.captured: dict[Storage, Value] = {}  # storages from outside that were read, and their input values
        self.written: dict[Storage, None] = {}
        self.grads: dict[Tensor, Tensor | None] = {}  # what `.grad` is now
        self.grads_before: dict[Tensor, Tensor | None] = {}
        self.grads_given: dict[Tensor, Tensor | None] = {}  # the `.grad` that an argument came with
        self.originals: dict[Tensor, Tensor] = {}  # arguments, and what stands in for them
        self.handles: dict[Tensor, tuple[bool, Storage]] = {}  # tensors from outside as they were when first read
        self.host = Host()  # what is computed with numbers
        self.scalars: dict[tuple[int, str], Scalar] = {}  # hyperparameters
        self.guards: list[Guard] = []
        self.arguments: dict[Storage, Storage] = {}  # storages of arguments, and what stands in for them
        self.aliased: dict[Storage, None] = {}  # argument storages that were reached another way too
        self.parts: dict[Storage, Tensor] = {}  # what stands in for views, without the memory around them, and these
        self.placed: dict[Tensor, None] = {}  # those of them whose offset was asked for
        self.counted: dict[tuple[int, Any], tuple[Owner, Scalar]] = {}  # places outside where scalars stand in for numbers
        self.inside: dict[int, dict[str, Any]] = {}  # attributes of modules that were made in the trace
        self.noted: dict[int, ModuleTable] = {}  # attributes of modules, as they were before the first was set
        self.modules: dict[Any, None] = {}
        self.called: dict[Any, None] = {}
        self.reports: list[Any] = []  # what is to be told at each call
        self.made: list[Callable[[], Any]] = []  # what takes back the state that was made outside for this trace
        self._now: dict[Storage, Value] = {}

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
        return self.read(outside)

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

    # --- Gradients ----------------------------------------------------------------------------------------------------

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        """The `.grad` of a tensor at this point."""
        tensor = self.originals.get(tensor, tensor)
        if tensor in self.grads:
            return self.grads[tensor]
        before = tensor._grad
        if tensor._storage.trace is not self:
            self.grads_before[tensor] = before
        self.grads[tensor] = before
        return before

    def write_grad(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """Rebind `.grad`."""
        self.grads[self.originals.get(tensor, tensor)] = gradient

    # --- Attributes of modules ----------------------------------------------------------------------------------------

    def note_made(self, table: dict[str, Any]) -> None:
        """A module with these attributes is made in the trace: what becomes of them means nothing outside."""
        self.inside[id(table)] = table

    def note_rebound(self, owner: str, table: dict[str, Any], name: str) -> None:
        """`table[name]`, an attribute of a module, is about to become another thing."""
        if id(table) not in self.noted and id(table) not in self.inside:
            self.noted[id(table)] = ModuleTable(table, lambda key: f"{owner}.{key}")

    # --- Numbers and guards -------------------------------------------------------------------------------------------

    def hyper(self, group: dict[str, Any], key: str) -> Scalar:
        """An optimizer's hyperparameter as a number that is read at every call."""
        slot = (id(group), key)
        found = self.scalars.get(slot)
        if found is None:
            source = Source(key, read=lambda: group[key])
            found = self.scalars[slot] = self.host.source(source, group[key])
        return found

    def guard_item(self, group: dict[str, Any], key: str, value: Any) -> None:
        """The trace depends on `group[key]`."""
        self.guards.append(Guard(f"param_groups[...][{key!r}]", lambda: group[key], value, self.position()))

    def guard(self, name: str, read: Callable[[], Any]) -> Any:
        """What `read()` gives; the trace depends on it."""
        value = read()
        if all(guard.name != name for guard in self.guards):
            self.guards.append(Guard(name, read, value, self.position()))
        return value

    def follow(self, function: Any) -> None:
        """A function of the user's that no code mentions, such as a hook, is called in this trace."""
        self.called[function] = None

    def saw(self, module: Any) -> None:
        """A module's forward ran in this trace."""
        self.modules[module] = None

    # --- Errors -------------------------------------------------------------------------------------------------------

    def position(self) -> str:
        """Where in the user's code the trace is now."""
        return describe(user_position(2))

    def offset(self, storage: Storage) -> int:
        """Where what the storage stands in for lies in its memory, in bytes; the trace depends on it from now on."""
        tensor = self.parts.get(storage)
        if tensor is None:
            return 0
        self.placed[tensor] = None
        return tensor._strides.offset * tensor.itemsize

    def value_read(self) -> TraceError:
        """The error for reading a value."""
        return TraceError(READING_A_VALUE.format(where=f" at {describe(user_position(2))}"))

    # --- Arguments ----------------------------------------------------------------------------------------------------

    def made_inside(self, tensor: Tensor) -> bool:
        """Whether the trace made this tensor, which means nothing outside."""
        return tensor._storage.trace is self

    def is_part(self, storage: Storage) -> bool:
        """Whether a storage stands in for a view, without the memory around it."""
        return storage in self.parts

    def is_stand_in(self, tensor: Tensor) -> bool:
        """Whether the function got this tensor instead of an argument."""
        return any(tensor is x for x in self.originals.values())

    def stand_in(self, tensor: Tensor) -> tuple[Tensor, Value]:
        """A tensor that the traced function gets instead of the caller's, and its input value."""
        known = self.originals.get(tensor)
        if known is not None:
            return known, known._storage.value
        value = placeholder(tensor._type, tensor._device)
        made: Tensor = object.__new__(type(tensor))
        made.__dict__.update({k: v for k, v in tensor.__dict__.items() if k not in _OF_A_HANDLE})
        made._type = tensor._type
        made._geometry = passed_on(tensor._type.shape, tensor._geometry)
        if tensor._base is None and tensor._storage in self.arguments:
            made._storage = self.arguments[tensor._storage]
            value = made._storage.value
        else:
            made._storage = Storage(value)
            if tensor._base is None:
                self.arguments[tensor._storage] = made._storage
        if tensor._base is not None or tensor._strides.offset:
            self.parts[made._storage] = tensor
        self.originals[tensor] = made
        if tensor._requires_grad:
            made._become_leaf()
            self.grads[made] = self.grads_given[made] = None
        elif not tensor._detached and (tensor._graph is not None or tensor._storage.value.requires_grad):
            value.requires_grad = True
        return made, value


_OF_A_HANDLE = frozenset({"_storage", "_base", "_steps", "_geometry", "_type", "_requires_grad", "_parted", "_detached", "_graph",
                          "_graph_of", "_grad", "_retains_grad", "_origin", "_seen"})


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
