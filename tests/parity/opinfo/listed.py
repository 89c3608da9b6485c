"""The list of what does not pass yet, one line per entry and reason: read by the test, written by the sweep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from .harness import ABSENT, FAILED, LATE, Outcome

FILE = Path(__file__).with_name("failing.txt")
_HEAD = """\
# What of torch's record does not pass yet: entry, dtypes, checks, the first sample that fails, the reason; by tabs.
# Written by `python -m tests.parity.opinfo ... --write-list`. What passes must be taken off: the test says so.
"""


def read_list() -> dict[tuple[str, str, str], tuple[int, str]]:
    """First failing sample and reason of each listed cell; `*` as dtype and check for an entry that is absent."""
    found = {}
    for line in FILE.read_text().splitlines() if FILE.exists() else []:
        if line and not line.startswith("#"):
            entry, dtypes, checks, first, reason = line.split("\t", 4)
            for dtype in dtypes.split(","):
                for check in checks.split(","):
                    found[entry, dtype, check] = int(first), reason
    return found


def write_list(outcomes: Iterable[Outcome]) -> None:
    """Make the list anew for the cells of these outcomes; what was not run stays as it was listed."""
    outcomes = list(outcomes)
    ran, names = {o.cell for o in outcomes}, {o.entry for o in outcomes}
    kept = {cell: told for cell, told in read_list().items() if cell not in ran and not (cell[1] == "*" and cell[0] in names)}
    for o in outcomes:
        if o.outcome == ABSENT and o.check == "forward":
            kept[o.entry, "*", "*"] = 0, f"absent: {o.reason}"
    for o in outcomes:
        if o.outcome in (FAILED, LATE, ABSENT) and (o.entry, "*", "*") not in kept:
            kept[o.cell] = max(o.first, 0), o.reason
    FILE.write_text(_HEAD + "".join(f"{line}\n" for line in _lines(kept)))


def _lines(kept: dict[tuple[str, str, str], tuple[int, str]]) -> list[str]:
    alike: dict[tuple[str, str, int], list[tuple[str, str]]] = defaultdict(list)
    for (entry, dtype, check), (first, reason) in sorted(kept.items()):
        alike[entry, check, first].append((dtype, reason))
    return [f"{entry}\t{','.join(d for d, _ in cells)}\t{check}\t{first}\t{cells[0][1]}"
            for (entry, check, first), cells in alike.items()]
