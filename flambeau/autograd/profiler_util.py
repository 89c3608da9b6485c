"""`torch.autograd.profiler_util`: events of a profile, their averages and their list."""

from __future__ import annotations

import bisect
import itertools
import json
import warnings
from collections.abc import Iterable
from dataclasses import InitVar, dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from .profiler_table import table, time_text


class DeviceType(Enum):
    """Where something ran: https://pytorch.org/docs/stable/profiler.html"""

    name: str  # which Enum has on members only
    value: int
    CPU = 0
    CUDA = 1
    MKLDNN = 2
    OPENGL = 3
    OPENCL = 4
    IDEEP = 5
    HIP = 6
    FPGA = 7
    MAIA = 8
    XLA = 9
    Vulkan = 10
    Metal = 11
    XPU = 12
    MPS = 13
    Meta = 14
    HPU = 15
    VE = 16
    Lazy = 17
    IPU = 18
    MTIA = 19
    PrivateUse1 = 20

    def __int__(self) -> int:
        return int(self.value)


class Kernel(NamedTuple):
    """What ran on a device for an event: its name, the number of the device, microseconds."""

    name: str
    device: int
    duration: float


class Interval:
    """From `start` to `end`, in microseconds.

    >>> Interval(2.0, 5.0).elapsed_us()
    3.0
    """

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end

    def elapsed_us(self) -> float:
        """How long it is."""
        return self.end - self.start


def _deprecated(old: str, new: str) -> Any:
    def read(self: Any) -> Any:
        use = ", please use" if old == "cuda_time" else ". Use"
        warnings.warn(f"`{old}` is deprecated{use} `{new}` instead.", FutureWarning, stacklevel=2)
        return getattr(self, f"_{new}" if new == "event_metadata" else new)

    return property(read, doc=f"As `{new}`, whose older name it is.")


def _as_text(name: str) -> Any:
    return property(lambda self: time_text(getattr(self, name)), doc=f"`{name}` as text.")


class FormattedTimesMixin:
    """Times per call, and times as text."""

    count: int
    cpu_time_total: Any
    device_time_total: Any
    cpu_time_str, device_time_str = _as_text("cpu_time"), _as_text("device_time")
    cpu_time_total_str, device_time_total_str = _as_text("cpu_time_total"), _as_text("device_time_total")
    self_cpu_time_total_str, self_device_time_total_str = _as_text("self_cpu_time_total"), _as_text("self_device_time_total")

    @property
    def cpu_time(self) -> float:
        """Microseconds of the host, per call."""
        return float(self.cpu_time_total / self.count) if self.count else 0.0

    @property
    def device_time(self) -> float:
        """Microseconds of the device, per call."""
        return float(self.device_time_total / self.count) if self.count else 0.0

    cuda_time = _deprecated("cuda_time", "device_time")


@dataclass(eq=False, repr=False)
class FunctionEvent(FormattedTimesMixin):
    """Something that ran once: its name, thread and times, and the events inside it.

    >>> event = FunctionEvent(1, "step", 1, 0.0, 1500.0)
    >>> event.cpu_time_total_str
    '1.500ms'
    """

    id: int
    name: str
    thread: int
    start_us: InitVar[float]
    end_us: InitVar[float]
    overload_name: Any = None
    fwd_thread: Any = None
    input_shapes: Any = None
    stack: Any = None
    scope: int = 0
    use_device: str | None = None
    cpu_memory_usage: int = 0
    device_memory_usage: int = 0
    is_async: bool = False
    is_remote: bool = False
    sequence_nr: int = -1
    node_id: int = -1
    device_type: DeviceType = DeviceType.CPU
    device_index: int = 0
    device_resource_id: Any = None
    is_legacy: bool = False
    flops: Any = None
    trace_name: Any = None
    concrete_inputs: Any = None
    kwinputs: Any = None
    is_user_annotation: bool | None = False
    is_python_function: bool = False
    activity_type: Any = None
    metadata_json: InitVar[Any] = None
    flow_id: Any = None
    flow_type: Any = None
    flow_start: Any = None
    external_id: int = 0
    linked_correlation_id: int = 0
    extra_meta: InitVar[Any] = None
    structured_input_shapes: Any = None
    structured_input_strides: Any = None
    input_dtypes: Any = None
    python_id: int = -1
    python_parent_id: int = -1
    python_module_id: int = -1
    count: int = field(default=1, init=False)
    kernels: list[Kernel] = field(default_factory=list, init=False)
    cpu_children: list[FunctionEvent] = field(default_factory=list, init=False)
    cpu_parent: FunctionEvent | None = field(default=None, init=False)

    def __post_init__(self, start_us: float, end_us: float, metadata_json: Any, extra_meta: Any) -> None:
        self.time_range = Interval(start_us, end_us)
        self._event_metadata, self.event_metadata = metadata_json, extra_meta
        self.self_cpu_percent: Any = -1
        self.total_cpu_percent: Any = -1
        self.total_device_percent: Any = -1
        if self.device_resource_id is None:
            self.device_resource_id = self.thread

    def append_kernel(self, name: str, device: int, duration: float) -> None:
        """Note what ran on a device for this event."""
        _require_host(self, "device_type")
        self.kernels.append(Kernel(name, device, duration))

    def append_cpu_child(self, child: FunctionEvent) -> None:
        """Note an event that ran directly inside this one."""
        _require_host(self, "device_type")
        _require_event(child, "child")
        self.cpu_children.append(child)

    def set_cpu_parent(self, parent: FunctionEvent) -> None:
        """Note the event around this one."""
        _require_host(self, "device_type")
        _require_event(parent, "parent")
        self.cpu_parent = parent

    @property
    def _counts(self) -> bool:
        return not self.is_async and self.device_type is DeviceType.CPU

    @property
    def self_cpu_memory_usage(self) -> int:
        """Bytes of the host, without those of the events inside."""
        return self.cpu_memory_usage - sum(child.cpu_memory_usage for child in self.cpu_children) if self._counts else 0

    @property
    def self_device_memory_usage(self) -> int:
        """Bytes of the device, without those of the events inside."""
        return self.device_memory_usage - sum(child.device_memory_usage for child in self.cpu_children) if self._counts else 0

    @property
    def cpu_time_total(self) -> float:
        """Microseconds of the host."""
        return self.time_range.elapsed_us() if self.device_type is DeviceType.CPU else 0

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of the host, without those of the events inside."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children) if self._counts else 0

    @property
    def device_time_total(self) -> float:
        """Microseconds of the device."""
        if self.is_async or not self.use_device:
            return 0
        if self.device_type is not DeviceType.CPU:
            return self.time_range.elapsed_us()
        inside = 0 if self.is_legacy else sum(child.device_time_total for child in self.cpu_children)
        return sum(kernel.duration for kernel in self.kernels) + inside

    @property
    def self_device_time_total(self) -> float:
        """Microseconds of the device, without those of the events inside."""
        inside = self.cpu_children if self.device_type is DeviceType.CPU else ()
        return self.device_time_total - sum(child.device_time_total for child in inside) if self._counts or not inside else 0

    @property
    def key(self) -> str:
        """What it is summed up by: its name."""
        return self.name

    cuda_time_total = _deprecated("cuda_time_total", "device_time_total")
    self_cuda_time_total = _deprecated("self_cuda_time_total", "self_device_time_total")
    self_cuda_memory_usage = _deprecated("self_cuda_memory_usage", "self_device_memory_usage")

    def __repr__(self) -> str:
        device = self.use_device
        return (f"<FunctionEvent id={self.id} name={self.name} overload_name={self.overload_name} "
                f"device_type=DeviceType.{self.device_type.name} node_id={self.node_id} cpu_time={self.cpu_time_str} "
                f"start_us={self.time_range.start} end_us={self.time_range.end} "
                f"cpu_children={[child.id for child in self.cpu_children]} {device}_time={self.device_time_str} "
                f"name={self.name} thread={self.thread} input_shapes={self.input_shapes} "
                f"cpu_memory_usage={self.cpu_memory_usage} {device}_memory_usage={self.device_memory_usage} "
                f"is_async={self.is_async} is_remote={self.is_remote} seq_nr={self.sequence_nr} is_legacy={self.is_legacy}>")


FunctionEvent.metadata_json = _deprecated("metadata_json", "event_metadata")  # type: ignore[attr-defined]


def _require_host(event: FunctionEvent, name: str) -> None:
    if event.device_type is not DeviceType.CPU:
        raise AssertionError(f"Expected {name} to be CPU")


def _require_event(event: Any, role: str) -> None:
    if not isinstance(event, FunctionEvent):
        raise AssertionError(f"Expected {role} to be a FunctionEvent")
    _require_host(event, f"{role} device_type")


_SUMMED = ("cpu_time_total", "device_time_total", "self_cpu_time_total", "self_device_time_total", "cpu_memory_usage",
           "device_memory_usage", "self_cpu_memory_usage", "self_device_memory_usage", "count")


class FunctionEventAvg(FormattedTimesMixin):
    """Events of one name, summed up.

    >>> both = FunctionEventAvg().add(FunctionEvent(1, "a", 1, 0.0, 2.0)).add(FunctionEvent(2, "a", 1, 5.0, 9.0))
    >>> both.count, both.cpu_time_total, both.cpu_time
    (2, 6.0, 3.0)
    """

    def __init__(self) -> None:
        self.key: str | None = None
        self.count, self.node_id, self.flops = 0, 0, 0
        self.is_async = self.is_remote = self.is_legacy = self.is_user_annotation = False
        self.use_device: str | None = None
        self.cpu_time_total: float = 0
        self.device_time_total: float = 0
        self.self_cpu_time_total: float = 0
        self.self_device_time_total: float = 0
        self.cpu_memory_usage = self.device_memory_usage = self.self_cpu_memory_usage = self.self_device_memory_usage = 0
        self.input_shapes: Any = None
        self.overload_name: Any = None
        self.stack: Any = None
        self.scope: Any = None
        self.cpu_children: Any = None
        self.cpu_parent: Any = None
        self.device_type = DeviceType.CPU
        self.self_cpu_percent: Any = -1
        self.total_cpu_percent: Any = -1
        self.total_device_percent: Any = -1

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """This, with another event of the same key added."""
        if self.key is None:  # the first one tells what they are
            for name in ("key", "node_id", "is_async", "is_remote", "cpu_parent", "cpu_children", "overload_name", "input_shapes",
                         "stack", "scope", "device_type", "is_legacy", "use_device", "is_user_annotation"):
                setattr(self, name, getattr(other, name))
        if not isinstance(other, (FunctionEvent, FunctionEventAvg)):
            raise AssertionError("Expected other to be a FunctionEvent or FunctionEventAvg")
        if other.key != self.key:
            raise AssertionError(f"Expected keys to match, but got {other.key} vs {self.key}")
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.flops += other.flops or 0
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        device = self.use_device or "cuda"
        return (f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} cpu_time={self.cpu_time_str} "
                f" self_{device}_time={self.self_device_time_total_str} {device}_time={self.device_time_str} "
                f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} "
                f"{device}_memory_usage={self.device_memory_usage}>")


class EventList(list[Any]):
    """Events, as a list that sums them up, prints a table and writes files.

    >>> EventList([FunctionEvent(1, "a", 1, 0.0, 2.0)]).self_cpu_time_total
    2.0
    """

    def __init__(self, *args: Any, use_device: str | None = None, profile_memory: bool = False, with_flops: bool = False) -> None:
        super().__init__(*args)
        self._use_device, self._profile_memory, self._with_flops = use_device, profile_memory, with_flops
        self._tree_built = False

    def _build_tree(self) -> None:
        """Find which event ran inside which: on one thread, the smallest around it."""
        by_thread = sorted((e for e in self if e._counts), key=lambda e: (e.thread, e.node_id))
        for _, group in itertools.groupby(by_thread, key=lambda e: (e.thread, e.node_id)):
            around: list[FunctionEvent] = []
            for event in sorted(group, key=lambda e: (e.time_range.start, -e.time_range.end)):
                inside = event.time_range
                while around and (inside.start >= around[-1].time_range.end or inside.end > around[-1].time_range.end):
                    around.pop()
                if around:
                    around[-1].append_cpu_child(event)
                    event.set_cpu_parent(around[-1])
                around.append(event)
        self._tree_built = True

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of the host in all events, each without those inside it."""
        return sum(event.self_cpu_time_total for event in self)

    def table(self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int | None = 75,
              max_name_column_width: int | None = 55, max_shapes_column_width: int | None = 80, header: str | None = None,
              top_level_events_only: bool = False, time_unit: str | None = None) -> str:
        """The events as text, the largest of `sort_by` first.

        Args: `sort_by`, such as "cpu_time_total", "self_cpu_time_total", "count"; `row_limit`, of how many;
        `top_level_events_only`, without those inside others; `time_unit`, "s", "ms" or "us" for all times.
        """
        shown: list[Any] = self if sort_by is None else sorted(self, key=lambda e: getattr(e, _name_of(sort_by)), reverse=True)
        return table(shown, row_limit, (max_name_column_width, max_shapes_column_width, max_src_column_width), header,
                     self._profile_memory, self._with_flops, top_level_events_only, time_unit)

    def export_chrome_trace(self, path: str) -> None:
        """Write the events for chrome://tracing or https://ui.perfetto.dev."""
        rows = [{"name": e.trace_name, "ph": "X", "ts": e.time_range.start, "dur": e.time_range.elapsed_us(), "tid": e.thread,
                 "pid": "CPU functions", "args": {}} for e in self if e.trace_name is not None]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(rows, file)

    def supported_export_stacks_metrics(self) -> list[str]:
        """What `export_stacks` can weigh stacks by."""
        return [f"self_{device}_time_total" for device in ("cpu", "cuda", "xpu", "privateuse1")]

    def export_stacks(self, path: str, metric: str) -> None:
        """Write the Python stacks of the events with their times, as programs for flame graphs read them."""
        if metric not in self.supported_export_stacks_metrics():
            raise ValueError("metric should be one of: " + str(self.supported_export_stacks_metrics()))
        plain = str.maketrans(" ;\t\n", "____")
        with open(path, "w", encoding="utf-8") as file:
            for event in self:
                weight = int(getattr(event, _name_of(metric)))
                if event.stack and weight > 0:
                    file.write(";".join(line.translate(plain) for line in reversed(event.stack)) + f" {weight}\n")

    def key_averages(self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0,
                     group_by_overload_name: bool = False) -> EventList:
        """The events summed up by name; also by shapes of inputs, by the innermost frames of their stacks."""
        if not self._tree_built:
            raise AssertionError("Expected tree to be built before calling key_averages")
        sums: dict[tuple[Any, ...], FunctionEventAvg] = {}
        for event in self:
            key = (event.key, event.node_id, event.device_type, event.is_legacy, event.is_user_annotation,
                   event.overload_name if group_by_overload_name else None,
                   str(event.input_shapes) if group_by_input_shapes else None, *(event.stack or ())[:group_by_stack_n])
            sums.setdefault(key, FunctionEventAvg()).add(event)
        for made in sums.values():
            made.stack = (made.stack or [])[:group_by_stack_n]
            made.input_shapes = made.input_shapes if group_by_input_shapes else ""
            made.overload_name = made.overload_name if group_by_overload_name else ""
        return EventList(sums.values(), use_device=self._use_device, profile_memory=self._profile_memory,
                         with_flops=self._with_flops)

    def total_average(self) -> FunctionEventAvg:
        """All events as one, of the key "Total"."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
            total.key = None
        total.key = "Total"
        return total


def _name_of(metric: str) -> str:
    return metric.replace("cuda", "device").replace("xpu", "device").replace("privateuse1", "device")


class MemRecordsAcc:
    """Records with a `start_ns()`, each in a pair with whatever else, found by time.

    >>> list(MemRecordsAcc([]).in_interval(0, 10))
    []
    """

    def __init__(self, mem_records: Any) -> None:
        self._records = sorted(mem_records, key=lambda record: record[0].start_ns())
        self._starts = [record[0].start_ns() for record in self._records]

    def in_interval(self, start_ns: int, end_ns: int) -> Iterable[Any]:
        """Those that started between two times, both included."""
        first, last = bisect.bisect_left(self._starts, start_ns), bisect.bisect_right(self._starts, end_ns)
        return iter(self._records[first:last])


__all__ = ["EventList", "FormattedTimesMixin", "FunctionEvent", "FunctionEventAvg", "Interval", "Kernel", "MemRecordsAcc"]
