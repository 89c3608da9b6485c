"""One cell of the sweep: an entry, a dtype and a check, run in a limited time, and its outcome in a line."""

from __future__ import annotations

import re
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from ...engines import on_numpy
from .checks import CHECKS, Cell, NotApplicable, applies, samples_of
from .records import entries
from .translate import AbsentError
from .wide import judged

PASSED, FAILED, ABSENT, SKIPPED, LATE = "passed", "failed", "absent", "not applicable", "late"
LONGEST = 160  # of a reason
FIRST = 64  # samples of a cell that run on the engine that is installed; those after them run on numpy's, and compile nothing
NO_DTYPE = "-"  # the dtype of error inputs, which have their own


class LateError(Exception):
    """A cell that took longer than it may."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: of how many samples, which failed first, and why."""

    entry: str
    dtype: str
    check: str
    outcome: str
    samples: int = 0
    first: int = -1
    reason: str = ""
    commit: str = ""
    compiled: int = FIRST  # how many of the samples at most ran on the engine that is installed

    @property
    def cell(self) -> tuple[str, str, str]:
        return self.entry, self.dtype, self.check

    def line(self) -> dict[str, Any]:
        """For a file of lines of JSON."""
        return asdict(self)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """LateError after that much of the processor's time, which does not hang on what else a machine does."""

    running = True

    def late(*_: Any) -> None:
        if running:  # a signal may come when the time is over
            raise LateError(f"longer than {seconds:g} s")

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        running = False
        signal.setitimer(signal.ITIMER_PROF, 0)


def _short(reason: str) -> str:
    """A reason in one line of the list, the same in every run."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(reason.split()))[:LONGEST]


def _ran(cell: Cell, check: str, sample: Any) -> bool:
    try:
        CHECKS[check](cell, sample)
    except NotApplicable:
        return False
    return True


def run_cell(name: str, dtype: str, check: str, samples: int = 0, timeout: float = 60.0, compiled: int = FIRST) -> Outcome:
    """Run a check on the first samples of an entry in a dtype (0: all); those after `compiled` on numpy's engine."""
    cell = Cell(name, entries()[name], "float32" if dtype == NO_DTYPE else dtype)
    if not applies(cell, check):
        return Outcome(name, dtype, check, SKIPPED)
    ran, first = 0, -1
    near: list[str] = []
    judged.set(near)
    try:
        with _limited(timeout), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cell.ours()
            for i, sample in samples_of(cell, check, samples):
                first = i
                with on_numpy() if i >= compiled else nullcontext():
                    ran += _ran(cell, check, sample)
    except AbsentError as error:
        return Outcome(name, dtype, check, ABSENT, ran, first, _short(str(error)))
    except AttributeError as error:
        absent = re.match(r"(module 'flambeau|type object 'Tensor'|'Tensor' object).* has no attribute", str(error))
        return Outcome(name, dtype, check, ABSENT if absent else FAILED, ran, first, _short(f"AttributeError: {error}"))
    except LateError as error:
        return Outcome(name, dtype, check, LATE, ran, first, str(error))
    except Exception as error:
        reason = str(error) if type(error).__name__ == "Mismatch" else f"{type(error).__name__}: {error}"
        return Outcome(name, dtype, check, FAILED, ran, first, _short(reason))
    told = f"{len(near)} by being as near to double precision as torch: {near[0]}" if near else ""
    return Outcome(name, dtype, check, PASSED if ran else SKIPPED, ran, reason=told)
