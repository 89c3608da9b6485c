"""The checked-in result of the sweep: a line per cell with the commit at which it was run, of which the test runs some again."""

from __future__ import annotations

import functools
import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .checks import CHECKS, Cell, applies
from .harness import ABSENT, FAILED, LATE, NO_DTYPE, PASSED, SKIPPED, Outcome
from .records import DTYPES, dtypes_of, entries

FILE = Path(__file__).with_name("result.txt")
_HEAD = """\
# The result of the sweep of torch's record; written by `python -m tests.parity.opinfo --resume FILE --write-result`.
# By tabs: entry, dtype, check, samples that passed, how many of the first at most ran through XLA (those after them on the
# numpy engine, which compiles nothing), outcome, the sample that fails (-1: none; nothing after it is run), commit, reason.
# All samples of a cell are run. A cell without a line has not been run. What has been:
"""


@functools.cache
def commit() -> str:
    """The commit that is checked out, or the one that the environment tells where there is no repository."""
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    return os.environ.get("FLAMBEAU_COMMIT") or told.stdout.strip()


def cells() -> list[tuple[str, str, str]]:
    """Every cell that says something: entry, dtype and check."""
    found = []
    for name, entry in entries().items():
        for dtype in [*dtypes_of(entry), NO_DTYPE]:
            checks = ["errors"] if dtype == NO_DTYPE else [check for check in CHECKS if check != "errors"]
            cell = Cell(name, entry, "float32" if dtype == NO_DTYPE else dtype)
            found += [(name, dtype, check) for check in checks if applies(cell, check)]
    return found


# --- The file ---------------------------------------------------------------------------------------------------------


def read_result() -> dict[tuple[str, str, str], Outcome]:
    """The outcome of each cell that has been run."""
    found = {}
    for line in FILE.read_text().splitlines() if FILE.exists() else []:
        if line and not line.startswith("#"):
            entry, dtype, check, samples, compiled, outcome, first, at, reason = line.split("\t", 8)
            rest = int(samples), int(first), reason, at, int(compiled)
            found[entry, dtype, check] = Outcome(entry, dtype, check, outcome, *rest)
    return found


def write_result(outcomes: Iterable[Outcome]) -> None:
    """Put these outcomes in the place of older ones; cells that the record no longer has go."""
    every = cells()
    known = read_result() | {o.cell: o for o in outcomes}
    kept = {cell: known[cell] for cell in sorted(every) if cell in known}
    lines = ["\t".join(map(str, (*o.cell, o.samples, o.compiled, o.outcome, o.first, o.commit[:12], o.reason)))
             for o in kept.values()]
    FILE.write_text(_HEAD + "".join(f"# {line}\n" for line in _covered(every, kept)) + "".join(f"{line}\n" for line in lines))


def _covered(every: list[tuple[str, str, str]], ran: dict[tuple[str, str, str], Outcome]) -> list[str]:
    whole, done = Counter((cell[1], cell[2]) for cell in every), Counter((cell[1], cell[2]) for cell in ran)
    passed = Counter((o.dtype, o.check) for o in ran.values() if o.outcome == PASSED)
    silent = Counter((o.dtype, o.check) for o in ran.values() if o.outcome == SKIPPED)  # no sample has that form
    compiled = sum(o.compiled > 0 for o in ran.values())
    left = len(ran) - passed.total() - silent.total()
    lines = [f"{len(ran)} of {len(every)} cells, {compiled} with samples through XLA: {passed.total()} pass, to {silent.total()} "
             f"no sample applies, {left} do not pass. By dtype and check:"]
    for dtype in [*DTYPES, NO_DTYPE]:
        told = [f"{check} {passed[dtype, check]}/{done[dtype, check] - silent[dtype, check]}/{whole[dtype, check]}"
                for check in CHECKS if whole[dtype, check]]
        lines.append(f"{dtype}: {', '.join(told)} (pass/run/all)")
    return lines


# --- Running some of it again -----------------------------------------------------------------------------------------


def chosen(parts: int, seed: int) -> list[Outcome]:
    """A random one of so many parts of the result."""
    known = list(read_result().values())
    return [known[i] for i in sorted(np.random.default_rng(seed).permutation(len(known))[::parts])]


def difference(told: Outcome, found: Outcome) -> str | None:
    """What a run of all samples says that the result does not; None where they agree."""
    wanted, have = ((o.outcome, o.first) if o.outcome in (FAILED, ABSENT, LATE) else (PASSED, -1) for o in (told, found))
    if wanted == have:
        return None
    return (f"{' '.join(told.cell)}: at {told.commit} {told.outcome} [{told.first}] {told.reason}; "
            f"now {found.outcome} [{found.first}] {found.reason}")
