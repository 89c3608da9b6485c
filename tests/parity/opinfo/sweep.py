"""Any part of the sweep, in one or several processes, resumable per entry, and the table of what passes."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...engines import on_numpy
from .checks import CHECKS
from .harness import ABSENT, FAILED, FIRST, LATE, NO_DTYPE, PASSED, SKIPPED, Outcome, run_cell
from .listed import write_list
from .records import DTYPES, entries
from .result import cells, commit, write_result

STARTED = "started"


def main(argv: list[str]) -> int:
    """Run what the arguments ask for, and print the table."""
    options = _options(argv)
    if options.jobs > 1:
        _run_in_processes(options, argv)
    else:
        _run(options)
    found = list(read_outcomes(options.resume)) if options.resume else _ran
    print("\n".join(table(found)))
    if options.report:
        Path(options.report).write_text("\n".join(report(found)) + "\n")
    if options.write_list:
        write_list(found)
    if options.write_result:
        write_result(found)
    return 0


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.parity.opinfo", description=__doc__)
    parser.add_argument("--entries", default="", metavar="REGEX", help="entries whose full name matches (default: all)")
    parser.add_argument("--dtype", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--check", nargs="+", default=list(CHECKS), choices=CHECKS)
    parser.add_argument("--samples", type=int, default=0, metavar="N", help="the first N samples (default: all)")
    parser.add_argument("--engine", choices=("xla", "numpy"), default="xla")
    parser.add_argument("--compiled", type=int, default=FIRST, metavar="N",
                        help=f"samples of a cell through XLA; those after them run on numpy's engine (default: {FIRST})")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="processor time of a cell (default: 300)")
    parser.add_argument("--resume", metavar="FILE", help="lines of JSON: what is there is not run again")
    parser.add_argument("--report", metavar="FILE", help="write every cell that does not pass")
    parser.add_argument("--write-list", action="store_true", help="make the list of what fails anew from these outcomes")
    parser.add_argument("--write-result", action="store_true", help="put these outcomes into the checked-in result")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes; needs --resume")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="every N-th entry, from the I-th")
    parser.add_argument("--verbose", action="store_true", help="a line per cell that does not pass")
    options = parser.parse_args(argv)
    if options.jobs > 1 and not options.resume:
        parser.error("--jobs needs --resume FILE, where the processes write")
    return options


_ran: list[Outcome] = []


# --- Running ----------------------------------------------------------------------------------------------------------


def _chosen(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """The cells that are asked for: of all entries the most telling checks come first."""
    index, count = map(int, options.shard.split("/"))
    names = set([name for name in entries() if re.search(options.entries, name)][index::count])
    dtypes, checks = {*options.dtype, NO_DTYPE}, set(options.check)
    return sorted((cell for cell in cells() if cell[0] in names and cell[1] in dtypes and cell[2] in checks), key=_phase)


def _phase(cell: tuple[str, str, str]) -> int:
    main = cell[2] in ("forward", "gradient")
    if cell[1] == "float32":
        return 0 if main else 2
    return 1 if cell[1] == NO_DTYPE else 3 if main else 4


def _run(options: argparse.Namespace) -> None:
    done = {o.cell for o in read_outcomes(options.resume)} if options.resume else set()
    at = commit()
    with on_numpy(options.engine == "numpy"):
        for cell in _chosen(options):
            if cell not in done:
                _run_one(*cell, options, at)


def _run_one(name: str, dtype: str, check: str, options: argparse.Namespace, at: str) -> None:
    if options.resume:  # a process that dies in a cell says so by this line alone
        _append(options.resume, Outcome(name, dtype, check, STARTED, commit=at))
    compiled = 0 if options.engine == "numpy" else options.compiled
    found = run_cell(name, dtype, check, options.samples, options.timeout, compiled)
    outcome = dataclasses.replace(found, commit=at, compiled=compiled)
    _ran.append(outcome)
    if options.resume:
        _append(options.resume, outcome)
    if options.verbose and outcome.outcome in (FAILED, ABSENT, LATE):
        print(f"{name} {dtype} {check} [{outcome.first}] {outcome.outcome}: {outcome.reason}", flush=True)


def _append(path: str, outcome: Outcome) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(outcome.line()) + "\n")


def read_outcomes(path: str) -> Iterator[Outcome]:
    """The outcomes of a file, the last of each cell; a cell that was started and did not end has failed by ending the process."""
    last: dict[tuple[str, str, str], Outcome] = {}
    if Path(path).exists():
        for line in Path(path).read_text().splitlines():
            outcome = Outcome(**json.loads(line))
            last[outcome.cell] = outcome
    for outcome in last.values():
        if outcome.outcome == STARTED:
            outcome = dataclasses.replace(outcome, outcome=FAILED, reason="ends the process")
        yield outcome


def _run_in_processes(options: argparse.Namespace, argv: list[str]) -> None:
    """Shards in processes, started again where one dies: what it was at is then known and passed over."""
    plain = [a for a in argv if a not in ("--write-list", "--write-result")]
    left = {i: 20 for i in range(options.jobs)}
    running = {i: _shard(plain, i, options.jobs) for i in left}
    while running:
        for i, process in list(running.items()):
            try:
                code = process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue
            left[i] -= 1
            if code and left[i]:
                running[i] = _shard(plain, i, options.jobs)
            else:
                del running[i]


def _shard(argv: list[str], i: int, jobs: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.parity.opinfo", *argv, "--jobs", "1", "--shard", f"{i}/{jobs}"]
    return subprocess.Popen(command, stdout=sys.stderr)


# --- Telling ----------------------------------------------------------------------------------------------------------


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """Pass rates per check and dtype, of cells that say something."""
    outcomes = list(outcomes)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    by_entry: dict[str, set[str]] = defaultdict(set)
    dtypes = [*DTYPES, NO_DTYPE]
    for o in outcomes:
        if o.outcome != SKIPPED:
            counts[o.check][o.dtype] += 1
            counts[o.check][f"{o.dtype} passed"] += o.outcome == PASSED
            by_entry[o.entry].add(o.outcome if o.outcome in (PASSED, ABSENT) else FAILED)
    lines = [f"{'':10}" + "".join(f"{d:>18}" for d in dtypes)]
    for check in CHECKS:
        row = counts[check]
        cells = [f"{row[f'{d} passed']} of {row[d]} {row[f'{d} passed'] / row[d]:.0%}" if row[d] else "" for d in dtypes]
        lines.append(f"{check:10}" + "".join(f"{c:>18}" for c in cells))
    near = sum(o.outcome == PASSED and bool(o.reason) for o in outcomes)
    whole = sum(found == {PASSED} for found in by_entry.values())
    present = sum(found != {ABSENT} for found in by_entry.values())
    return [*lines, f"{len(by_entry)} entries: {present} present, {whole} pass in everything that was run",
            f"{near} cells pass in part by being as near to double precision as torch is"]


def report(outcomes: Iterable[Outcome]) -> list[str]:
    """A line per cell that does not pass."""
    return [f"{o.entry}\t{o.dtype}\t{o.check}\t{o.outcome}\t{o.first}\t{o.reason}" for o in sorted(outcomes, key=lambda o: o.cell)
            if o.outcome in (FAILED, ABSENT, LATE)]
