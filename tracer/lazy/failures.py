"""Runs whose checks are not known yet: their reports wait here, are polled at later calls, and raise when one failed.

Nothing waits for a report but an observation of a tensor of that run or a later one, `synchronize()` and the end of
the process. An error is raised once; runs that were started after the failing one, and before it was known, are not
asked: in eager mode they would not have come to be.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..backend import backend
from ..ir.checks import Site
from ..ir.locks import open_after_fork


class Run:
    """The report of one run of a program; `results` are the identities of what came of it and of the runs behind it."""

    __slots__ = ("note", "report", "results", "sites")

    def __init__(self, report: Any, sites: Sequence[Site], results: Iterable[Any], note: str) -> None:
        self.report, self.sites, self.note = report, sites, note
        self.results = set(map(id, results))

    def failure(self) -> Exception | None:
        """The error for this run, if a check failed; waits for the report."""
        report = self.report if isinstance(self.report, np.ndarray) else backend().download(self.report)
        code = int(report[0])
        return self.sites[code - 1].failure(int(report[1]), self.note) if code else None


class _Mine(threading.local):
    """The runs of this thread, oldest first."""

    def __init__(self) -> None:
        self.runs: deque[Run] = deque()
        with _lock:
            _queues[:] = [(t, runs) for t, runs in _queues if runs or t.is_alive()]
            _queues.append((threading.current_thread(), self.runs))


_lock = open_after_fork(threading.Lock())
_queues: list[tuple[threading.Thread, deque[Run]]] = []
_mine = _Mine()
_registered: list[bool] = []


def _after_fork() -> None:
    """The parent tells of what it started."""
    for _, runs in _queues:
        runs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def started(report: Any, sites: Sequence[Site], results: Iterable[Any], note: str = "") -> None:
    """A run with checks was started; raises at once what is known at once."""
    if not _registered:
        _registered.append(True)
        atexit.register(_at_exit)  # now that there is an engine: what is registered last runs first
    _mine.runs.append(Run(report, sites, results, note))
    poll()


def followed(results: Iterable[Any]) -> None:
    """A run without checks was started: who observes it waits for the checks before it."""
    if _mine.runs:
        _mine.runs[-1].results.update(map(id, results))


def poll() -> None:
    """Raise for a run of this thread that is known to have failed; waits for nothing."""
    runs = _mine.runs
    while runs and (isinstance(runs[0].report, np.ndarray) or backend().ready(runs[0].report)):
        _settle(runs, 1)


def observed(buffer: Any) -> None:
    """A tensor's contents, this buffer, are about to be seen: first what its run and those before it have to say."""
    for _, runs in _queues:
        if runs:
            at = next((i for i, run in enumerate(reversed(runs)) if id(buffer) in run.results), None)
            if at is not None:
                _settle(runs, len(runs) - at)
    poll()


def settle_mine() -> None:
    """Wait for the reports of this thread, and raise the first error."""
    _settle(_mine.runs, len(_mine.runs))


def settle() -> None:
    """Wait for all reports, and raise the first error."""
    for _, runs in list(_queues):
        _settle(runs, len(runs))


def _settle(runs: deque[Run], count: int) -> None:
    for _ in range(count):
        error = runs.popleft().failure()
        if error is not None:
            runs.clear()
            raise error


def _at_exit() -> None:
    """Errors that nobody has seen."""
    for _, runs in _queues:
        try:
            _settle(runs, len(runs))
        except Exception as error:
            print("A check failed in a run whose results were never looked at:", file=sys.stderr)
            sys.excepthook(type(error), error, None)
