"""What stands around tensors while a program is recorded: the trace, the body of control flow, the transforms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ..ir.recorder import thread_recorder
from ..ir.state import state

if TYPE_CHECKING:
    from weakref import WeakKeyDictionary

    from ..ir.graph import Value
    from ..ir.recorder import Recorder
    from .handles import Handle
    from .maps import Map
    from .region import Region
    from .storage import Storage
    from .tensor import Tensor


class Tracing(Protocol):
    """What tensors, storages and layers ask of a trace in progress; `Trace` of the room `jit` is one.

    `recorder` is where the trace records, `outer` the recorder around it; `arguments` maps storages of arguments to what
    stands in for them; `handles` are the tensors from outside that were used, as they were; `mark` is on the handles of
    memory that the trace makes, `overwritten` what that memory held; `in_place` tells
    how often other storages were written in place; `made` takes back what was made outside for this trace;
    `reports` are told at each call; `decisions` are those of autocast.
    """

    recorder: Recorder
    outer: Recorder
    arguments: dict[Storage, Storage]
    handles: dict[Tensor, Handle]
    mark: object
    overwritten: dict[Storage, list[Value]]
    in_place: dict[Storage, int]
    made: list[Callable[[], Any]]
    reports: list[Any]
    decisions: list[Any]
    values_only: dict[int, Tensor]

    def read(self, storage: Storage) -> Value:
        """What a storage holds at this point of the trace."""

    def write(self, storage: Storage, value: Value) -> None:
        """Rebind a storage from outside."""

    def restore(self, storage: Storage, value: Value) -> None:
        """Bind a storage from outside to what it held at an earlier point of the trace."""

    def constant(self, value: Value) -> Value:
        """An input for contents that the function made of Python or numpy data."""

    def offset(self, storage: Storage) -> int:
        """Where what a storage stands in for lies in its memory, in bytes."""

    def read_grad(self, tensor: Tensor) -> Tensor | None:
        """The `.grad` of a tensor at this point."""

    def write_grad(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """Rebind `.grad`."""

    def is_part(self, storage: Storage) -> bool:
        """Whether a storage stands in for a view, without the memory around it."""

    def is_stand_in(self, tensor: Tensor) -> bool:
        """Whether the function got this tensor instead of an argument."""

    def note_made(self, table: dict[str, Any]) -> None:
        """A module with these attributes is made in the trace."""

    def note_change(self, module: Any, table: dict[str, Any] | None = None, name: str = "") -> None:
        """A module is about to change."""

    def note_hooks(self, table: dict[int, Any]) -> None:
        """A table of hooks is about to change."""

    def note_own_hooks(self, table: dict[int, Any]) -> None:
        """A table of hooks is that of a value of the trace."""

    def is_made(self, module: Any) -> bool:
        """Whether the trace made this module."""

    def note_option(self, group: Any, key: str) -> None:
        """An option of a group of parameters is about to be set or taken out."""

    def options_set(self, group: Any) -> Collection[str]:
        """The options of a group that the trace itself has set."""

    def adopt(self, table: dict[Any, Any], keys: Iterable[Any]) -> None:
        """What a dictionary of an optimizer holds under these keys was made for real in the trace."""

    def hyper(self, group: Any, key: str) -> Any:
        """An optimizer's hyperparameter as a scalar input that is read at every call."""

    def guard(self, name: str, read: Callable[[], Any]) -> Any:
        """What `read()` gives; the trace depends on it."""

    def guard_item(self, group: Any, key: str, value: Any) -> None:
        """The trace depends on `group[key]`."""

    def follow(self, function: Any) -> None:
        """A function of the user's that no code mentions is called in this trace."""

    def saw(self, module: Any) -> None:
        """A module's forward ran in this trace."""

    def known(self, value: Value, looking: bool = False) -> Any:
        """The contents of a value that is the same at every call, as a host array; None of any other.

        With `looking` numbers may be in it, which are the same from then on.
        """

    def value_read(self) -> Exception:
        """The error for reading a value."""


class _Context(threading.local):
    """What of this a thread is in.

    `trace` is the jit trace in progress, if any; `region` the body of control flow that is being recorded, if any; `maps`
    the vmaps in progress, outermost first; `bodies`, for each transform in progress, the storages that its body wrote
    with what they held before (None for those it made); `in_body` is set where `region`, `maps` or `bodies` may be, so
    that elsewhere one look does for all three; `inlined` says that what is compiled runs as it is.
    """

    trace: Tracing | None = None
    region: Region | None = None
    maps: tuple[Map, ...] = ()
    bodies: tuple[WeakKeyDictionary[Storage, Value | None], ...] = ()
    in_body: bool = False
    inlined: bool = False


context = _Context()


def inlined() -> bool:
    """Whether calls of what is compiled are part of what is being traced, or transformed, and not programs of their own."""
    return context.trace is not None or context.inlined or not (state.recorder or thread_recorder()).lazy


@contextmanager
def outside_trace() -> Iterator[Tracing | None]:
    """In this block tensors are made for real, even while a step or a body of control flow is being recorded.

    Gives the trace, if there is one.

    State that an optimizer creates in its first step is made so: it exists before the step runs, and the first step
    is compiled just as all others.
    """
    trace, region, recorder, grad = context.trace, context.region, state.recorder, state.grad
    context.trace, context.region, state.grad = None, None, False
    if trace is not None:
        state.recorder = trace.outer
    elif region is not None:
        state.recorder = region.outer
    try:
        yield trace
    finally:
        context.trace, context.region, state.recorder, state.grad = trace, region, recorder, grad
