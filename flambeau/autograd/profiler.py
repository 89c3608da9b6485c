"""`torch.autograd.profiler`: named blocks, and what a profile measured of them and of compiled and lazy execution.

Measured is the host: blocks of `record_function`, and of each function that `jit` compiles its calls, traces, compiles and
runs; outside it the flushes of what is pending, with the number of operations, and waiting for values. A run is the time until
XLA has started the program, a read the time until a value is there. What single operations take inside one program of XLA is
not measured: `step.program.cost()` estimates it.

Source: https://pytorch.org/docs/stable/autograd.html#profiler
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import sqlite3
import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from contextlib import ContextDecorator
from typing import Any, ClassVar, NamedTuple

from .. import cuda
from .measuring import NAMED, Recorder, note, recording
from .profiler_util import EventList, FunctionEvent, FunctionEventAvg, Interval, MemRecordsAcc


class record_function(ContextDecorator):
    """A block, or a function, with a name, which a profile measures; without one it costs nothing to speak of.

    Inside a function that `jit` compiles it is measured when the function is traced.

    >>> import flambeau as torch
    >>> with torch.autograd.profiler.profile() as prof:
    ...     with torch.autograd.profiler.record_function("forward"):
    ...         y = torch.ones(2) + 1
    >>> prof.key_averages()[0].key
    'forward'

    Source: https://pytorch.org/docs/stable/generated/torch.autograd.profiler.record_function.html
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._starts: list[int] = []

    def __enter__(self) -> record_function:
        self._starts.append(time.perf_counter_ns() if recording() else 0)
        return self

    def __exit__(self, *error: Any) -> None:
        start = self._starts.pop()
        if start and recording():
            note(self.name, start, NAMED, {} if self.args is None else {"args": self.args})


class Config(NamedTuple):
    """What a profile is to record."""

    report_input_shapes: bool
    profile_memory: bool
    with_stack: bool
    with_flops: bool
    with_modules: bool
    trace_id: str


_running: list[Any] = []


class profile:
    """A block whose time on the host is measured, by name.

    Args: `enabled`, whether at all; `record_shapes`, also the shapes of the tensors among the arguments of a compiled
    function; `with_stack`, where in the user's code it was; `custom_trace_id_callback`, what names the trace. Torch's other
    arguments are taken: of memory, floating point operations and devices there is nothing to tell.
    Raises RuntimeError inside another profile, or when it is entered twice.

    >>> import flambeau as torch
    >>> with torch.autograd.profiler.profile() as prof:
    ...     total = torch.ones(3).sum().item()
    >>> "lazy.flush" in prof.key_averages().table(sort_by="cpu_time_total")
    True

    Source: https://pytorch.org/docs/stable/autograd.html#torch.autograd.profiler.profile
    """

    def __init__(self, enabled: bool = True, *, use_cuda: bool = False, use_device: str | None = None,
                 record_shapes: bool = False, with_flops: bool = False, profile_memory: bool = False, with_stack: bool = False,
                 with_modules: bool = False, use_kineto: bool = False, use_cpu: bool = True, experimental_config: Any = None,
                 acc_events: bool = False, custom_trace_id_callback: Callable[[], str] | None = None,
                 post_processing_timeout_s: float | None = None, activity_filters: Any = None) -> None:
        if use_cuda:
            warnings.warn("The attribute `use_cuda` will be deprecated soon, please use ``use_device = 'cuda'`` instead.",
                          FutureWarning, stacklevel=2)
            use_device = "cuda"
        self.enabled, self.use_device, self.use_cpu = enabled, _usable(use_device), use_cpu
        self.record_shapes, self.with_flops, self.with_stack = record_shapes or with_flops, with_flops, with_stack
        self.profile_memory, self.with_modules, self.acc_events = profile_memory, with_modules, acc_events
        self.custom_trace_id_callback = custom_trace_id_callback
        self.entered, self.trace_id = False, ""
        self._recorder = Recorder(self.record_shapes, with_stack)
        self._events: EventList | None = None

    def default_trace_id(self) -> str:
        """A name for a trace: 32 hexadecimal digits, by chance."""
        return f"{uuid.uuid4().int:032X}"

    def create_trace_id(self) -> str:
        """The name of this trace: what `custom_trace_id_callback` gives, else the default."""
        return self.custom_trace_id_callback() if self.custom_trace_id_callback else self.default_trace_id()

    def config(self, create_trace_id: bool = False) -> Config:
        """What is recorded; with a new name for the trace if asked for."""
        if create_trace_id:
            self.trace_id = self.create_trace_id()
        return Config(self.record_shapes, self.profile_memory, self.with_stack, self.with_flops, self.with_modules, self.trace_id)

    def __enter__(self) -> profile | None:
        if not self.enabled:
            return None
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        self._prepare()
        self._start()
        return self

    def _prepare(self) -> None:
        self.entered = True
        self.config(create_trace_id=True)

    def _start(self) -> None:
        if _running:
            raise RuntimeError("Profiler is already enabled on this thread.")
        _running.append(self)
        self._recorder.start()

    def __exit__(self, *error: Any) -> None:
        if self.enabled:
            self._recorder.stop()
            _running.remove(self)
            self._events = _events(self._recorder, self.use_device, self.profile_memory, self.with_flops)

    def _finished(self) -> EventList:
        """What was measured: nothing before the end."""
        return _events(Recorder(), self.use_device, False, False) if self._events is None else self._events

    @property
    def function_events(self) -> EventList:
        """All events, in the order of their starts."""
        return self._finished()

    def table(self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int | None = 75,
              max_name_column_width: int | None = 55, max_shapes_column_width: int | None = 80, header: str | None = None,
              top_level_events_only: bool = False) -> str:
        """The events as text."""
        return self._finished().table(sort_by, row_limit, max_src_column_width, max_name_column_width, max_shapes_column_width,
                                      header, top_level_events_only)

    def export_chrome_trace(self, path: str, metadata: dict[str, str] | None = None, use_python_export: bool = False) -> None:
        """Write the events for chrome://tracing or https://ui.perfetto.dev; compressed if the path ends in .gz."""
        self._finished()
        with gzip.open(path, "wt") if str(path).endswith(".gz") else open(path, "w", encoding="utf-8") as file:
            json.dump(self._trace(metadata or {}), file)

    def _trace(self, metadata: dict[str, str]) -> dict[str, Any]:
        process = os.getpid()
        rows: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", "ts": 0, "pid": process, "tid": 0,
                                       "args": {"name": "python"}}]
        for i, record in enumerate(sorted(self._recorder.records, key=lambda r: (r.start, -r.end))):
            rows.append({"ph": "X", "cat": "user_annotation" if record.scope == NAMED else "cpu_op", "name": record.name,
                         "pid": process, "tid": record.thread, "ts": record.start / 1e3, "dur": (record.end - record.start) / 1e3,
                         "args": {"External id": i + 1, **record.facts,
                                  **({"Input Dims": record.shapes} if self.record_shapes else {})}})
        return {"schemaVersion": 1, "trace_id": self.trace_id, "record_shapes": int(self.record_shapes),
                "host_name": socket.gethostname(), "displayTimeUnit": "ms", "baseTimeNanoseconds": self._recorder.began,
                **metadata, "traceEvents": rows}

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the Python stacks of the events with their times; it needs `with_stack=True`."""
        found = self._finished()
        if not self.with_stack:
            raise AssertionError("export_stacks() requires with_stack=True")
        found.export_stacks(path, metric)

    def toggle_collection_dynamic(self, enabled: bool, activities: Iterable[Any]) -> None:
        """Measure, or measure not, from now on; `activities` has that of the CPU, or this changes nothing."""
        if any(activity.name == "CPU" for activity in activities):
            self._recorder.paused = not enabled

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0,
                     group_by_overload_name: bool = False) -> EventList:
        """The events summed up by name."""
        return self._finished().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def total_average(self) -> FunctionEventAvg:
        """All events as one, of the key "Total"."""
        return self._finished().total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all events, each without those inside it."""
        return self._finished().self_cpu_time_total

    def __str__(self) -> str:
        return "<unfinished torch.autograd.profile>" if self._events is None else str(self._events)

    __repr__ = __str__


def _usable(device: str | None) -> str | None:
    if device == "cuda" and not cuda.is_available():
        warnings.warn("CUDA is not available, disabling CUDA profiling", stacklevel=3)
        return None
    return device


def _events(recorder: Recorder, device: str | None, memory: bool, flops: bool) -> EventList:
    """What was recorded as events, with the time in microseconds since the recorder's start; a thread is a number from 1 on."""
    threads: dict[int, int] = {}
    made = EventList(use_device=device, profile_memory=memory, with_flops=flops)
    for i, record in enumerate(sorted(recorder.records, key=lambda r: (r.start, -r.end))):
        name = "ProfilerStep*" if record.name.startswith("ProfilerStep#") else record.name
        made.append(FunctionEvent(
            i + 1, name, threads.setdefault(record.thread, len(threads) + 1), (record.start - recorder.began) / 1e3,
            (record.end - recorder.began) / 1e3, "", 0, record.shapes, record.stack, record.scope, device,
            trace_name=record.name, concrete_inputs=[], kwinputs=record.facts, flops=0,
            is_user_annotation=record.scope == NAMED))
    made._build_tree()
    return made


class _Emitting:
    """A block in which another profiler is told what runs: XLA tells it by itself."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled, self.record_shapes, self.entered = enabled, record_shapes, False

    def __enter__(self) -> Any:
        if not self.enabled:
            return None
        if self.entered:
            kind = "NVTX" if isinstance(self, emit_nvtx) else "ITT"
            raise RuntimeError(f"{kind} annotation context manager is not reentrant")
        self.entered = True
        self._begin()
        return self

    def _begin(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, *error: Any) -> None:
        return None


class emit_nvtx(_Emitting):
    """A block that NVIDIA's profiler looks at: what is pending runs before it. AssertionError where there is no CUDA device.

    Source: https://pytorch.org/docs/stable/autograd.html#torch.autograd.profiler.emit_nvtx
    """

    def _begin(self) -> None:
        cuda.synchronize()


class emit_itt(_Emitting):
    """A block that Intel's profiler looks at: accepted.

    Source: https://pytorch.org/docs/stable/autograd.html#torch.autograd.profiler.emit_itt
    """


class EnforceUnique:
    """Keys, of which none may be seen twice.

    >>> unique = EnforceUnique()
    >>> unique.see("a", 1)
    >>> unique.see("a", 1)
    Traceback (most recent call last):
    ...
    RuntimeError: duplicate key: ('a', 1)
    """

    def __init__(self) -> None:
        self.seen: set[tuple[Any, ...]] = set()

    def see(self, *key: Any) -> None:
        """Note a key; RuntimeError if it was seen before."""
        if key in self.seen:
            raise RuntimeError(f"duplicate key: {key}")
        self.seen.add(key)


class KinetoStepTracker:
    """The number of the present step: the most that anybody who counts steps has counted.

    >>> KinetoStepTracker.init_step_count("example")
    >>> KinetoStepTracker.increment_step("example") == KinetoStepTracker.current_step()
    True
    >>> KinetoStepTracker.erase_step_count("example")
    True
    """

    _current_step = 0
    _step_dict: ClassVar[dict[str, int]] = {}

    @classmethod
    def init_step_count(cls, requester: str) -> None:
        """Let somebody count from the present step on."""
        cls._step_dict[requester] = cls._current_step

    @classmethod
    def erase_step_count(cls, requester: str) -> bool:
        """Forget what somebody counted; whether there was something."""
        return cls._step_dict.pop(requester, None) is not None

    @classmethod
    def increment_step(cls, requester: str) -> int:
        """One more step of somebody; the number of the present step."""
        cls._step_dict[requester] = cls._step_dict.get(requester, cls._current_step) + 1
        newest = max(cls._step_dict.values())
        if newest - cls._current_step > 1:
            warnings.warn(f"Profiler step count has increased more than 1 - current_step = {cls._current_step} "
                          f"step dict =  {cls._step_dict}", stacklevel=2)
        cls._current_step = max(cls._current_step, newest)
        return cls._current_step

    @classmethod
    def current_step(cls) -> int:
        """The number of the present step."""
        return cls._current_step


_LAUNCH = 211  # CUPTI's number of a launch of a kernel
_MARKERS = """
    SELECT opened.id, opened.name, opened.timestamp, closed.timestamp
    FROM CUPTI_ACTIVITY_KIND_MARKER opened JOIN CUPTI_ACTIVITY_KIND_MARKER closed ON opened.id = closed.id
    WHERE opened.name != 0 AND closed.name = 0"""
_KERNELS = """
    SELECT opened.id, called._id_, called.cbid, kernel.name, kernel.end - kernel.start
    FROM CUPTI_ACTIVITY_KIND_MARKER opened JOIN CUPTI_ACTIVITY_KIND_MARKER closed ON opened.id = closed.id
    JOIN CUPTI_ACTIVITY_KIND_RUNTIME called ON opened.timestamp < called.start AND called.end < closed.timestamp
    JOIN CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL kernel ON kernel.correlationId = called.correlationId"""


def parse_nvprof_trace(path: str) -> list[FunctionEvent]:
    """The marked ranges in a file of nvprof, with the kernels that were launched in each, by their starts."""
    with sqlite3.connect(path) as file:
        texts = dict(file.execute("SELECT _id_, value FROM StringTable"))
        unique, found = EnforceUnique(), {}
        for number, name, start, end in file.execute(_MARKERS):
            unique.see(number)
            found[number] = FunctionEvent(number, texts[name], 0, start, end, node_id=0)
        for number, call, kind, name, duration in file.execute(_KERNELS):
            unique.see(number, call)
            if kind != _LAUNCH:
                raise AssertionError(f"Expected cbid to be {_LAUNCH}, but got {kind}")
            found[number].append_kernel(name, 0, duration)
    file.close()
    return sorted(found.values(), key=lambda event: event.time_range.start)


def load_nvprof(path: str) -> EventList:
    """The marked ranges in a file of nvprof, as a list that sums them up.

    Source: https://pytorch.org/docs/stable/generated/torch.autograd.profiler.load_nvprof.html
    """
    return EventList(parse_nvprof_trace(path))


__all__ = ["EnforceUnique", "EventList", "FunctionEvent", "FunctionEventAvg", "Interval", "KinetoStepTracker", "MemRecordsAcc",
           "emit_itt", "emit_nvtx", "load_nvprof", "parse_nvprof_trace", "profile", "record_function"]
