"""What a profile measures on the host: named blocks, and the phases of compiled and of lazy execution.

While somebody records, the functions of `_phases` are wrapped by ones that look at the clock; otherwise nothing asks
whether they are measured, and they cost what they always cost.
"""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..tracer import jit as room
from ..tracer.backend import backend
from ..tracer.ir.source import is_ours
from ..tracer.lazy import flush as lazy

if TYPE_CHECKING:
    from ..tracer.jit.jit import Jitted
    from ..tracer.jit.step import Step
    from ..tracer.jit.trials import Trials

NAMED, PHASE = 7, 0  # torch's numbers of what an event stands for


@dataclass
class Record:
    """Something that was measured, in nanoseconds."""

    name: str
    start: int
    end: int
    thread: int
    scope: int
    facts: dict[str, Any]
    shapes: list[list[int]]
    stack: list[str]


@dataclass(eq=False)
class Recorder:
    """What was measured from `start` to `stop`."""

    shapes: bool = False
    stacks: bool = False
    paused: bool = False
    records: list[Record] = field(default_factory=list)
    began: int = 0
    ended: int = 0

    def start(self) -> None:
        """Measure from now on."""
        with _lock:
            self.began = time.perf_counter_ns()
            _recorders.append(self)
            _wrap()

    def stop(self) -> None:
        """Measure no more."""
        with _lock:
            self.ended = time.perf_counter_ns()
            if self in _recorders:
                _recorders.remove(self)
                _unwrap()


_recorders: list[Recorder] = []
_lock = threading.RLock()
_originals: list[tuple[Any, str, Any]] = []


_watchers: list[Callable[[Any], None]] = []


def watch(tell: Callable[[Any], None]) -> None:
    """Tell of the operations of all that runs from now on."""
    with _lock:
        _watchers.append(tell)
        _wrap()


def unwatch(tell: Callable[[Any], None]) -> None:
    """Tell no more."""
    with _lock:
        _watchers.remove(tell)
        _unwrap()


def recording() -> bool:
    """Whether somebody records."""
    return bool(_recorders)


def note(name: str, start: int, scope: int, facts: dict[str, Any] | None = None, shapes: Any = ()) -> None:
    """Tell all who record of something that ends now."""
    end, thread = time.perf_counter_ns(), threading.get_native_id()
    for recorder in _recorders:
        if not recorder.paused and start >= recorder.began:
            recorder.records.append(Record(name, start, end, thread, scope, facts or {}, list(shapes) if recorder.shapes else [],
                                           _stack() if recorder.stacks else []))


def _stack() -> list[str]:
    """The user's frames, the innermost first."""
    frames = traceback.extract_stack()
    return [f"{f.filename}({f.lineno}): {f.name}" for f in reversed(frames) if not is_ours(f.filename)]


Told = tuple[str, dict[str, Any], list[list[int]]]


def _call(jitted: Jitted, *args: Any, **kwargs: Any) -> Told:
    return f"jit.call {jitted.__name__}", {}, []


def _trace(trials: Trials, *args: Any) -> Told:
    return f"jit.trace {trials._name}", {}, []


def _compile(step: Step, plan: Any, stats: Any) -> Told:
    return f"jit.compile {plan.name}", {"operations": len(plan.graph.nodes), "device": plan.device}, []


def _run(step: Step, call: Any) -> Told:
    return f"jit.run {step.plan.name}", {}, [list(x.shape) for x in call.tensors]


def _flush(nodes: Any, device: str, *args: Any) -> Told:
    return "lazy.flush", {"operations": len(nodes), "device": device, "reason": args[-1] or "a value was read"}, []


def _lazy_compile(snapshot: Any, entry: Any, device: str, *args: Any) -> Told:
    return "lazy.compile", {"operations": len(snapshot.nodes), "device": device}, []


def _read(engine: Any, buffer: Any) -> Told:
    return "read", {}, []


def _phases() -> tuple[tuple[Any, str, Callable[..., Told]], ...]:
    jitted, trials, step = room.jit.Jitted, room.trials.Trials, room.step.Step
    return ((jitted, "__call__", _call), (trials, "record", _trace), (step, "__init__", _compile), (step, "run", _run),
            (lazy, "_run", _flush), (lazy, "_compile", _lazy_compile), (type(backend()), "download", _read))


def _used(nodes: Any, device: str, demanded: Any, alive: Any, reason: str) -> list[Any]:
    """The operations of a flush whose results somebody holds, or may differentiate."""
    needed, used = {*demanded, *alive}, []
    for node in reversed(nodes):
        if node.requires_grad or any(node.living(i) in needed for i in range(len(node.types))):
            used.append(node)
            needed.update(node.inputs)
    return used[::-1]


def _measured(function: Callable[..., Any], tell: Callable[..., Told]) -> Callable[..., Any]:
    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        if _watchers and tell in (_run, _flush):
            for watcher in _watchers:
                watcher(args[0].plan.graph.nodes if tell is _run else _used(*args))
        name, facts, shapes = tell(*args, **kwargs)
        start = time.perf_counter_ns()
        try:
            return function(*args, **kwargs)
        finally:
            note(name, start, PHASE, facts, shapes)

    return measured


def _wrap() -> None:
    """Wrap the phases, unless they are."""
    if _originals:
        return
    for owner, name, tell in _phases():
        original = vars(owner).get(name)
        if original is not None:  # an engine may have it from another
            _originals.append((owner, name, original))
            setattr(owner, name, _measured(original, tell))


def _unwrap() -> None:
    """Take the wraps off, if nobody needs them any more."""
    while _originals and not (_recorders or _watchers):
        owner, name, original = _originals.pop()
        setattr(owner, name, original)
