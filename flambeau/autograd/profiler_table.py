"""The table of a profile, and how times, shares and bytes are written in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_NUMBER = 12  # the width of a column of numbers
_PER_UNIT = {"s": 1e6, "ms": 1e3, "us": 1.0}
_FLOPS = ("FLOPs", "KFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs")


def time_text(microseconds: float, unit: str | None = None) -> str:
    """A time in the given unit, or in the one that suits it.

    >>> time_text(1500.0), time_text(1500.0, "us")
    ('1.500ms', '1500.000us')
    """
    if unit not in _PER_UNIT:
        unit = "s" if microseconds >= 1e6 else "ms" if microseconds >= 1e3 else "us"
    return f"{microseconds / _PER_UNIT[unit]:.3f}{unit}"


def share_text(part: float, whole: float) -> str:
    """A part in per cent."""
    if not whole and part:
        raise AssertionError(f"Expected time_us == 0 but got {part}")
    return f"{part * 100.0 / whole:.2f}%" if whole else "NaN"


def bytes_text(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"


@dataclass
class _Column:
    title: str
    text: Callable[[Any], Any]
    width: int = _NUMBER
    left: bool = False

    def shown(self, text: Any) -> str:
        return f"{text:<{self.width}}" if self.left else f"{text:>{self.width}}" if isinstance(text, str) else \
            f"{text: {self.width}}"


def _cut(name: str, most: int | None) -> str:
    return f"{name[:most - 3]}..." if most is not None and len(name) >= most - 3 else name


def _width(texts: Sequence[str], most: int | None) -> int:
    needed = max(map(len, texts)) + 4
    return needed if most is None else min(needed, most)


def _end_of(path: str, width: int) -> str:
    if len(path) <= width:
        return path
    path = path[len(path) - width:]
    return "..." + path[3:] if len(path) > 3 else path


def table(events: Sequence[Any], row_limit: int, widths: tuple[int | None, int | None, int | None], header: str | None,
          memory: bool, flops: bool, top_level_only: bool, unit: str | None) -> str:
    """Events, or what they sum up to, in a table: one row each, as far as there is place.

    Args: `widths`, the most of the columns with names, shapes and places in the source.
    """
    if not events:
        return ""
    on_host = sum(event.self_cpu_time_total for event in events)
    on_device = sum(event.self_device_time_total for event in events
                    if (event.is_legacy if event.device_type.value == 0 else not event.is_user_annotation))
    columns = _columns(events, widths, memory, flops, unit, on_host, on_device)
    rule = "".join("-" * column.width + "  " for column in columns)
    lines = [] if header is None else ["=" * (len(rule) - 2), header]
    if top_level_only:
        lines += ["=" * (len(rule) - 2), "This report only display top-level ops statistics"]
    lines += [rule, "".join(f"{column.title:{'<' if column.left else '>'}{column.width}}  " for column in columns), rule]
    shown = [event for event in events if not (top_level_only and event.cpu_parent is not None)]
    for event in shown if row_limit < 0 else shown[:row_limit]:
        lines += _rows(event, columns)
    lines += [rule, f"Self CPU time total: {time_text(on_host, unit)}"]
    if any(event.self_device_time_total > 0 for event in events):
        lines.append(f"Self {str(events[0].use_device).upper()} time total: {time_text(on_device, unit)}")
    return "\n".join(lines) + "\n"


def _columns(events: Sequence[Any], widths: tuple[int | None, int | None, int | None], memory: bool, flops: bool,
             unit: str | None, on_host: float, on_device: float) -> list[_Column]:
    device, name_width = str(events[0].use_device).upper(), _width([event.key for event in events], widths[0])
    overloads = [event.overload_name for event in events if event.overload_name]
    columns = [_Column("Name", lambda e: _cut(e.key, widths[0]), name_width)]
    if overloads:
        columns.append(_Column("Overload Name", lambda e: _cut(e.overload_name, widths[0]), name_width))
    columns += _of_the_host(unit, on_host)
    if any(event.self_device_time_total > 0 for event in events):
        columns += _of_the_device(device, unit, on_device)
    if memory:
        columns += [_Column("CPU Mem", lambda e: bytes_text(e.cpu_memory_usage)),
                    _Column("Self CPU Mem", lambda e: bytes_text(e.self_cpu_memory_usage))]
        if events[0].use_device and any(event.self_device_memory_usage > 0 for event in events):
            columns += [_Column(f"{device} Mem", lambda e: bytes_text(e.device_memory_usage)),
                        _Column(f"Self {device} Mem", lambda e: bytes_text(e.self_device_memory_usage))]
    columns.append(_Column("# of Calls", lambda e: e.count))
    if any(event.node_id != -1 for event in events):
        columns.append(_Column("Node ID", lambda e: e.node_id))
    return columns + _of_places(events, widths, flops)


def _of_the_host(unit: str | None, whole: float) -> list[_Column]:
    return [_Column("Self CPU %", lambda e: share_text(e.self_cpu_time_total, whole)),
            _Column("Self CPU", lambda e: time_text(e.self_cpu_time_total, unit)),
            _Column("CPU total %", lambda e: 0 if e.is_async else share_text(e.cpu_time_total, whole)),
            _Column("CPU total", lambda e: time_text(e.cpu_time_total, unit)),
            _Column("CPU time avg", lambda e: time_text(e.cpu_time, unit))]


def _of_the_device(device: str, unit: str | None, whole: float) -> list[_Column]:
    return [_Column(f"Self {device}", lambda e: time_text(e.self_device_time_total, unit)),
            _Column(f"Self {device} %", lambda e: share_text(e.self_device_time_total, whole)),
            _Column(f"{device} total", lambda e: time_text(e.device_time_total, unit)),
            _Column(f"{device} time avg", lambda e: time_text(e.device_time, unit))]


def _of_places(events: Sequence[Any], widths: tuple[int | None, int | None, int | None], flops: bool) -> list[_Column]:
    columns = []
    if any(event.input_shapes for event in events):
        width = _width([str(event.input_shapes) for event in events], widths[1])
        columns.append(_Column("Input Shapes", lambda e: str(e.input_shapes)[:width], width))
    counted = [event.flops for event in events if event.flops and event.flops > 0]
    if flops and counted:
        power = int(max(0, min(math.log10(min(counted)) / 3, len(_FLOPS) - 1)))
        columns.append(_Column(f"Total {_FLOPS[power]}", lambda e: f"{e.flops * 1000.0 ** -power:8.3f}" if e.flops else "--"))
    lines = [line for event in events for line in event.stack or ()]
    if lines:
        columns.append(_Column("Source Location", lambda e: e.stack or [], _width(lines, widths[2]), left=True))
    return columns


def _rows(event: Any, columns: Sequence[_Column]) -> list[str]:
    """The row of an event; each further line of its stack is one more, and an empty one ends it."""
    texts = [column.text(event) for column in columns]
    if not columns[-1].left:
        return ["".join(column.shown(text) + "  " for column, text in zip(columns, texts))]
    *texts, stack = texts
    width, begin = columns[-1].width, "".join(" " * (column.width + 2) for column in columns[:-1])
    first = "".join(column.shown(text) + "  " for column, text in zip(columns, texts))
    rest = [*(_end_of(line, width) for line in stack[1:]), ""]
    return [f"{first}{_end_of(stack[0], width) if stack else '':<{width}}  ", *(f"{begin}{line:<{width}}  " for line in rest)]
