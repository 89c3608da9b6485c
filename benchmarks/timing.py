"""Timing that can be compared: contenders take turns in rounds, and medians and ratios are taken over the rounds."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# A contender runs one batch of its work and says how many seconds one unit of it took.
Contender = Callable[[], float]
Samples = dict[str, list[float]]
OURS = "flambeau"
LOOP_STEPS = 100


def interleaved(contenders: Mapping[str, Contender], rounds: int, warm_up: bool = True, turns: int = 1) -> Samples:
    """Seconds per unit of each contender in each round.

    Every round runs all contenders, each time starting with another one: a machine that is slow for a while is slow
    for all of them, and what one leaves behind (spinning threads, garbage) does not always meet the same neighbour.
    One round before the counted ones warms up, unless it is told not to. A sample is the mean of a round's `turns`:
    many short ones meet the same moods of the machine where one long one would not, and tell differences of a percent.
    """
    names = list(contenders)
    samples: Samples = {name: [] for name in names}
    for number in range(-1 if warm_up else 0, rounds):
        seconds = dict.fromkeys(names, 0.0)
        for turn in range(turns):
            first = (number + turn) % len(names)
            for name in names[first:] + names[:first]:
                if turn == 0:
                    gc.collect()
                seconds[name] += contenders[name]()
        if number >= 0:
            for name in names:
                samples[name].append(seconds[name] / turns)
    return samples


def timed(work: Callable[[], object], units: int = 1) -> float:
    """Seconds of one call of `work`, per unit."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / units


def python_loop() -> int:
    """A fixed piece of pure Python, LOOP_STEPS rounds of it: the yardstick of a machine's Python speed."""
    table: dict[int, tuple[int, int]] = {}
    total = 0
    for i in range(LOOP_STEPS):
        total += (i * 7 + total) % 13
        table[i & 15] = (i, total)
    return total


def time_python_loop(repeats: int = 500) -> float:
    """Seconds of one `python_loop`."""
    started = time.perf_counter()
    for _ in range(repeats):
        python_loop()
    return (time.perf_counter() - started) / repeats


# --- Results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """What flambeau wants to stay under: a ratio to a peer, or an absolute number of seconds if `peer` is empty."""

    limit: float
    peer: str = ""

    def __str__(self) -> str:
        return f"<= {self.limit:g} {self.peer}" if self.peer else f"<= {self.limit * 1e6:g} us"


@dataclass(frozen=True)
class Row:
    """One line of the table: the samples of flambeau and its peers for one kind of work, in seconds."""

    benchmark: str
    work: str
    unit: str
    samples: Samples
    goal: Goal | None = None
    remarks: tuple[str, ...] = field(default=())

    def median(self, name: str) -> float | None:
        """The median seconds of one contender; None if it was not measured."""
        found = self.samples.get(name)
        return statistics.median(found) if found else None

    def ratio(self, peer: str) -> float | None:
        """Flambeau's seconds over the peer's: the median of the ratios within the rounds."""
        ours, theirs = self.samples.get(OURS), self.samples.get(peer)
        if not ours or not theirs:
            return None
        return statistics.median(a / b for a, b in zip(ours, theirs))

    def holds(self) -> bool | None:
        """Whether the goal is met; None without a goal or without the peer."""
        if self.goal is None:
            return None
        measured = self.ratio(self.goal.peer) if self.goal.peer else self.median(OURS)
        return None if measured is None else measured <= self.goal.limit


def machine_line(packages: Sequence[str] = ("jax", "jaxlib", "torch", "numpy")) -> str:
    """Processor, cores, load and versions: what a number means nothing without."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    return (f"{_processor()}, {cores} core(s){load}; {platform.system()} {platform.machine()}; "
            f"Python {platform.python_version()}, {versions}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown processor")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
