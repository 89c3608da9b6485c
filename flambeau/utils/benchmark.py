"""`torch.utils.benchmark`: how long a statement takes. https://pytorch.org/docs/stable/benchmark_utils.html"""

from __future__ import annotations

import statistics
import sys
import timeit
from collections.abc import Mapping
from typing import Any

from ..lazy_report import synchronize


class Measurement:
    """Times of a statement, in seconds per run: `times` of the rounds, their `median`, `mean` and interquartile range."""

    def __init__(self, number_per_run: int, raw_times: list[float], description: str) -> None:
        self.number_per_run, self.raw_times, self.description = number_per_run, raw_times, description

    @property
    def times(self) -> list[float]:
        """Seconds per run, of each round."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """Seconds."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """Seconds between the quartiles."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return high - low

    def __repr__(self) -> str:
        units = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
        unit, scale = next((unit, scale) for unit, scale in units.items() if self.median >= scale or unit == "ns")
        return (f"<{type(self).__module__}.{type(self).__name__} object>\n{self.description}\n"
                f"  Median: {self.median / scale:.2f} {unit}\n  IQR:    {self.iqr / scale:.2f} {unit}\n"
                f"  {len(self.times)} measurements, {self.number_per_run} runs per measurement")


class Timer:
    """Times `stmt`, after `setup`, with these globals. Each run waits until all that it started is computed.

    >>> from flambeau.utils.benchmark import Timer
    >>> Timer("x + 1", globals={"x": 1}).timeit(10).number_per_run
    10
    """

    def __init__(self, stmt: str = "pass", setup: str = "pass", global_setup: str = "", timer: Any = timeit.default_timer,
                 globals: Mapping[str, Any] | None = None, label: str | None = None, sub_label: str | None = None,
                 description: str | None = None, env: str | None = None, num_threads: int = 1, language: Any = None) -> None:
        self._told = label or stmt
        names = {"torch": sys.modules[__package__.partition(".")[0]], **(globals or {})}
        self._timer = timeit.Timer(f"{stmt}\n", setup, timer, names)

    def _run(self, number: int) -> float:
        synchronize()
        started = self._timer.timer()  # type: ignore[attr-defined]
        self._timer.timeit(number)
        synchronize()
        return float(self._timer.timer() - started)  # type: ignore[attr-defined]

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """So many runs, in one round, after one to warm up."""
        self._run(max(number // 100, 1))
        return Measurement(number, [self._run(number)], self._told)

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Rounds of so many runs that timing costs little, for at least `min_run_time` seconds."""
        number, took = 1, self._run(1)
        while took < min_run_time / 100:
            number *= 10
            took = self._run(number)
        times = [took]
        while sum(times) < min_run_time:
            times.append(self._run(number))
        return Measurement(number, times, self._told)


__all__ = ["Measurement", "Timer"]
