"""Rows as a table of text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .timing import OURS, Row

UNITS = {"us": 1e6, "ms": 1e3, "s": 1.0}
MISSING = "-"


def as_text(rows: Sequence[Row]) -> str:
    """One line per row: flambeau's median, then every peer's median and flambeau's ratio to it."""
    peers = list(dict.fromkeys(name for row in rows for name in row.samples if name != OURS))
    head = ["benchmark", "work", "unit", OURS]
    for peer in peers:
        head += [peer, "ratio"]
    lines = [[*head, "goal", "met"], *(_cells(row, peers) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * w for w in widths])
    text = ["  ".join(cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))).rstrip()
            for line in lines]
    remarks = [f"{row.benchmark}, {row.work}: {remark}" for row in rows for remark in row.remarks]
    return "\n".join([*text, *([""] if remarks else []), *remarks])


def as_line(row: Row) -> str:
    """A row by itself, as it is said while others are still being measured."""
    found = ", ".join(f"{name} {_number(row.median(name), UNITS[row.unit])}" for name in row.samples)
    return f"{row.benchmark}: {row.work}: {found} {row.unit}"


def _cells(row: Row, peers: Sequence[str]) -> list[str]:
    cells = [row.benchmark, row.work, row.unit, _number(row.median(OURS), UNITS[row.unit])]
    for peer in peers:
        cells += [_number(row.median(peer), UNITS[row.unit]), _number(row.ratio(peer))]
    met = row.holds()
    return [*cells, str(row.goal or MISSING), MISSING if met is None else "yes" if met else "NO"]


def _number(value: float | None, factor: float = 1.0) -> str:
    if value is None:
        return MISSING
    scaled = value * factor
    return f"{scaled:.0f}" if scaled >= 1000 else f"{scaled:.3g}"


def as_json(rows: Sequence[Row], machine: str) -> str:
    """Everything that was measured, with each round's seconds."""
    return json.dumps({"machine": machine, "rows": [_record(row) for row in rows]}, indent=1) + "\n"


def _record(row: Row) -> dict[str, Any]:
    peers = [name for name in row.samples if name != OURS]
    return {"benchmark": row.benchmark, "work": row.work, "samples": row.samples,
            "median": {name: row.median(name) for name in row.samples}, "ratio": {p: row.ratio(p) for p in peers},
            "goal": str(row.goal) if row.goal else None, "met": row.holds(), "remarks": row.remarks}
