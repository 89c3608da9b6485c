"""`torch.profiler.profiler`: profiles of some of the steps of a training."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from .. import cuda
from ..autograd.measuring import Recorder
from ..autograd.profiler import KinetoStepTracker, record_function
from ..autograd.profiler import profile as _Measured
from ..autograd.profiler_util import EventList


class ProfilerActivity(Enum):
    """What can be measured; here it is the host in any case."""

    name: str  # which Enum has on members only
    value: int
    CPU = 0
    XPU = 1
    MTIA = 4
    CUDA = 2
    HPU = 3
    PrivateUse1 = 5

    def __int__(self) -> int:
        return int(self.value)


class ProfilerAction(Enum):
    """What a profile does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3
    DEVICE_STOPPED = 4


_RECORDS = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
Schedule = Callable[[int], ProfilerAction]


def kineto_available() -> bool:
    """True: profiles can be made."""
    return True


def supported_activities() -> set[ProfilerActivity]:
    """What a profile can be asked for: the CPU, and CUDA where there is such a device."""
    return {ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda.is_available() else [])}


def schedule(*, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0) -> Schedule:
    """What a profile does in which step: cycles of `wait` steps without it, `warmup` to prepare, `active` that are recorded.

    Args: `repeat`, how many cycles, 0 for all; `skip_first`, steps before the first cycle; `skip_first_wait`, if not 0, the
    first cycle does not wait.
    Raises AssertionError for numbers that make no cycle.

    >>> [schedule(wait=1, warmup=1, active=1)(step).name for step in range(4)]
    ['NONE', 'WARMUP', 'RECORD_AND_SAVE', 'NONE']

    Source: https://pytorch.org/docs/stable/profiler.html#torch.profiler.schedule
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError(f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} (need >= 0), "
                             f"active={active} (need > 0), repeat={repeat} (need >= 0), skip_first={skip_first} (need >= 0).")
    if warmup == 0:
        warnings.warn("Profiler won't be using warmup, this can skew profiler results", stacklevel=2)
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        at = step - skip_first + (wait if skip_first_wait else 0)
        if repeat and at >= repeat * length:
            return ProfilerAction.NONE
        at %= length
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if at == length - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False,
                              use_python_export: bool = False) -> Callable[[Any], None]:
    """For `on_trace_ready`: writes each trace to a folder, which TensorBoard reads.

    Source: https://pytorch.org/docs/stable/profiler.html#torch.profiler.tensorboard_trace_handler
    """
    def handle(prof: Any) -> None:
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError(f"Can't create directory: {dir_name}") from error
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        ending = ".pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}{ending}"))

    return handle


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


class profile:
    """A block, or from `start` to `stop`, of which some steps are measured on the host, by name.

    Args: `activities`, which must be supported; `schedule`, what is done in which step, by default all is recorded;
    `on_trace_ready`, called with this when a trace is done; `record_shapes`, `with_stack`, as in
    `torch.autograd.profiler.profile`, which tells what is measured; `execution_trace_observer`, one that is started and
    stopped with the profile. Torch's other arguments are taken: there is nothing to tell of them.
    Raises AssertionError if nothing that is supported is asked for, or for results before there are any.

    >>> import flambeau as torch
    >>> with torch.profiler.profile(schedule=torch.profiler.schedule(wait=0, warmup=1, active=2, repeat=1)) as prof:
    ...     for step in range(3):
    ...         with torch.profiler.record_function("forward"):
    ...             y = torch.ones(2).sum().item()
    ...         prof.step()
    >>> {event.key: event.count for event in prof.key_averages()}["forward"]
    2

    Source: https://pytorch.org/docs/stable/profiler.html#torch.profiler.profile
    """

    def __init__(self, *, activities: Iterable[Any] | None = None, schedule: Schedule | None = None,
                 on_trace_ready: Callable[..., Any] | None = None, record_shapes: bool = False, profile_memory: bool = False,
                 with_stack: bool = False, with_flops: bool = False, with_modules: bool = False, experimental_config: Any = None,
                 execution_trace_observer: Any = None, acc_events: bool = False, use_cuda: bool | None = None,
                 custom_trace_id_callback: Callable[[], str] | None = None,
                 post_processing_timeout_s: float | None = None) -> None:
        self.activities = _asked_for(activities, use_cuda)
        self.schedule, self.record_steps = schedule or _always, schedule is not None
        self.on_trace_ready, self.execution_trace_observer = on_trace_ready, execution_trace_observer
        self.custom_trace_id_callback = custom_trace_id_callback
        self._options: dict[str, Any] = {
            "record_shapes": record_shapes, "profile_memory": profile_memory, "with_stack": with_stack,
            "with_flops": with_flops, "with_modules": with_modules, "acc_events": acc_events}
        self.profiler: _Measured | None = None
        self._metadata: dict[str, Any] = {}
        self.step_num, self.current_action = 0, self.schedule(0)
        self._range: record_function | None = None

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with the first step."""
        self._go(ProfilerAction.NONE, self.current_action)
        self._begin_step()

    def stop(self) -> None:
        """End: what is being recorded is a trace, too."""
        self._end_step()
        self._go(self.current_action, None)

    def step(self) -> None:
        """Go on to the next step."""
        self._end_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self._go(before, self.current_action)
        if self.record_steps:
            KinetoStepTracker.increment_step("ProfilerStep")
        self._begin_step()

    def set_custom_trace_id_callback(self, callback: Callable[[], str]) -> None:
        """What names the traces from now on."""
        self.custom_trace_id_callback = callback

    def get_trace_id(self) -> str | None:
        """The name of the trace; None before the first."""
        return None if self.profiler is None else self.profiler.trace_id

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _begin_step(self) -> None:
        if self.record_steps:
            self._range = record_function(f"ProfilerStep#{self.step_num}")
            self._range.__enter__()

    def _end_step(self) -> None:
        if self._range is not None:
            self._range.__exit__(None, None, None)
            self._range = None

    def _go(self, before: ProfilerAction, now: ProfilerAction | None) -> None:
        """From what was done to what is done now; None at the end."""
        if before in _RECORDS and (before is ProfilerAction.RECORD_AND_SAVE or now not in _RECORDS):
            if now is not None and before is ProfilerAction.RECORD:
                warnings.warn("Incorrect schedule: RECORD followed by " + now.name, stacklevel=4)
            self._stop_trace()
            if self.on_trace_ready is not None and (now is None or before is ProfilerAction.RECORD_AND_SAVE):
                self.on_trace_ready(self)
            before = ProfilerAction.NONE
        if now in (ProfilerAction.WARMUP, *_RECORDS) and before is ProfilerAction.NONE:
            self._prepare_trace()
            before = ProfilerAction.WARMUP
        if before is ProfilerAction.WARMUP and now in (*_RECORDS, None):
            self._start_trace()
            if now is None:
                self._stop_trace()

    def _prepare_trace(self) -> None:
        self.profiler = _Measured(custom_trace_id_callback=self.custom_trace_id_callback, **self._options)
        self.profiler._prepare()

    def _start_trace(self) -> None:
        if self.execution_trace_observer is not None:
            self.execution_trace_observer.start()
        self._needed("starting trace")._start()

    def _stop_trace(self) -> None:
        if self.execution_trace_observer is not None:
            self.execution_trace_observer.stop()
        self._needed("stopping trace").__exit__(None, None, None)

    # --- Results ------------------------------------------------------------------------------------------------------

    def _needed(self, what: str) -> _Measured:
        if self.profiler is None:
            raise AssertionError(f"Profiler must be initialized before {what}")
        return self.profiler

    def export_chrome_trace(self, path: str, use_python_export: bool = False) -> None:
        """Write the trace for chrome://tracing or https://ui.perfetto.dev; compressed if the path ends in .gz."""
        self._needed("exporting chrome trace").export_chrome_trace(path, self._metadata)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the Python stacks of the events with their times; it needs `with_stack=True`."""
        self._needed("exporting stacks").export_stacks(path, metric)

    def toggle_collection_dynamic(self, enable: bool, activities: Iterable[ProfilerActivity]) -> None:
        """Measure, or measure not, from now on."""
        if self.profiler is not None:
            self.profiler.toggle_collection_dynamic(enable, activities)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0,
                     group_by_overload_name: bool = False) -> EventList:
        """The events of the last trace, summed up by name."""
        return self._needed("getting key averages").key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def events(self) -> EventList:
        """The events of the last trace."""
        return self._needed("accessing events").function_events

    def add_metadata(self, key: str, value: str) -> None:
        """Put a text into the trace's file."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Put what JSON text says into the trace's file."""
        self._metadata[key] = json.loads(value)

    preset_metadata_json = add_metadata_json


def _asked_for(activities: Iterable[Any] | None, use_cuda: bool | None) -> set[ProfilerActivity]:
    """The activities, of which an unsupported one is an error where it is the only one."""
    if use_cuda is not None:
        warnings.warn("`use_cuda` is deprecated, use `activities` argument instead", FutureWarning, stacklevel=3)
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if use_cuda else [])]
    found: set[ProfilerActivity] = set()
    for item in supported_activities() if activities is None else activities:
        for activity in item if isinstance(item, dict) else (item,):
            if activity in found:
                raise ValueError(f"Activity {activity} specified more than once")
            found.add(activity)
    if not found:
        raise AssertionError("No valid profiler activities found")
    return found


class ExecutionTraceObserver:
    """Writes what was measured between `start` and `stop` to a file, as JSON: a list of nodes with names and times.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "trace.json")
    >>> observer = ExecutionTraceObserver().register_callback(path)
    >>> observer.start(); observer.is_running(); observer.stop()
    True
    >>> observer.get_output_file_path() == path and os.path.exists(path)
    True

    Source: https://pytorch.org/docs/stable/profiler.html#torch.profiler.ExecutionTraceObserver
    """

    def __init__(self) -> None:
        self.output_file_path, self.resources_dir = "", ""
        self._registered = self.extra_resources_collection = False
        self._recorder: Recorder | None = None

    @staticmethod
    def build_execution_trace_obs_from_env() -> ExecutionTraceObserver | None:
        """An observer if ENABLE_PYTORCH_EXECUTION_TRACE=1, which writes to a new file; else None."""
        if os.environ.get("ENABLE_PYTORCH_EXECUTION_TRACE", "0") != "1":
            return None
        with tempfile.NamedTemporaryFile("w", suffix=".et.json", delete=False) as file:
            observer = ExecutionTraceObserver().register_callback(file.name)
        return observer.set_extra_resource_collection(os.environ.get("ENABLE_PYTORCH_EXECUTION_TRACE_EXTRAS", "0") == "1")

    def set_extra_resource_collection(self, val: bool) -> ExecutionTraceObserver:
        """Whether there is a folder for what belongs to the trace."""
        self.extra_resources_collection = val
        if val:
            self.get_resources_dir(can_create=True)
        return self

    def register_callback(self, output_file_path: str) -> ExecutionTraceObserver:
        """Write to that file from now on."""
        if not self._registered:
            self.output_file_path, self._registered = output_file_path, True
        return self

    def unregister_callback(self) -> None:
        """Stop, and write no more."""
        self.stop()
        self._registered = False

    def get_resources_dir(self, can_create: bool = False) -> str | None:
        """The folder for what belongs to the trace, where it is asked for."""
        if not (self.is_registered and self.extra_resources_collection):
            return None
        if not self.resources_dir:
            self.resources_dir = self.get_resources_dir_for_et_path(self.output_file_path, create_dir=can_create) or ""
        return self.resources_dir or None

    @staticmethod
    def get_resources_dir_for_et_path(trace_path: str, create_dir: bool = False) -> str | None:
        """The folder beside a trace's file; None if it is not there."""
        folder = os.path.splitext(trace_path)[0] + "_resources"
        if create_dir:
            os.makedirs(folder, exist_ok=True)
        return folder if os.path.exists(folder) else None

    @property
    def is_registered(self) -> bool:
        """Whether there is a file to write to."""
        return self._registered

    def is_running(self) -> bool:
        """Whether it is recording."""
        return self._recorder is not None

    def start(self) -> None:
        """Record from now on, if there is a file to write to."""
        if self._registered and self._recorder is None:
            self._recorder = Recorder(shapes=True)
            self._recorder.start()

    def stop(self) -> None:
        """Record no more, and write the file."""
        if self._recorder is None:
            return
        recorder, self._recorder = self._recorder, None
        recorder.stop()
        nodes = [{"id": i + 1, "name": record.name, "thread": record.thread, "start": record.start, "end": record.end,
                  "inputs": {"shapes": record.shapes}, "attrs": record.facts} for i, record in enumerate(recorder.records)]
        with open(self.output_file_path, "w", encoding="utf-8") as file:
            json.dump({"schema": "flambeau", "pid": os.getpid(), "nodes": nodes}, file)

    def cleanup(self) -> None:
        """As `unregister_callback`; an empty folder of resources goes, too."""
        self.unregister_callback()
        if self.resources_dir and os.path.isdir(self.resources_dir) and not os.listdir(self.resources_dir):
            shutil.rmtree(self.resources_dir)

    def get_output_file_path(self) -> str | None:
        """The file that is written to; None before it is known."""
        return self.output_file_path or None


__all__ = ["ExecutionTraceObserver", "ProfilerAction", "ProfilerActivity", "kineto_available", "profile", "schedule",
           "supported_activities", "tensorboard_trace_handler"]
