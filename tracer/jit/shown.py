"""What a jitted function shows of its latest program."""

from __future__ import annotations

from ..backend import Program
from ..ir.graph import Graph
from .amp_report import AmpReport, amp_report
from .step import Step
from .why import History, Why


class Shown:
    """The part of a jitted function that is for looking. Abstract."""

    __name__: str
    _latest: Step | None
    _history: History

    def _step(self) -> Step:
        if self._latest is None:
            raise RuntimeError(f"{self.__name__} has not been called yet: call it once, or use "
                               f"{self.__name__}.trace(*args)")
        return self._latest

    @property
    def graph(self) -> Graph:
        """The program of the latest call; print it."""
        return self._step().plan.graph

    @property
    def program(self) -> Program:
        """The executable of the latest call: its memory() and cost()."""
        return self._step().program

    @property
    def stablehlo(self) -> str:
        """The text that was compiled."""
        return self.program.stablehlo()

    @property
    def hlo(self) -> str:
        """What the compiler made of it."""
        return self.program.hlo()

    def why(self) -> Why:
        """Every trace, with what had changed, where, and what it cost; prints as text."""
        return Why(self._history.traces)

    def amp_report(self) -> AmpReport:
        """What autocast did in the program of the latest call; prints as tables.

        They say which functions computed in which dtype, what was cast for them at which line, what was kept in float32 by
        which list, and what ran in float32 without need.

        >>> import flambeau as torch
        >>> @torch.jit
        ... def step(x, b):
        ...     with torch.autocast("cpu"):
        ...         return x @ x + b
        >>> _ = step(torch.ones(2, 2), torch.ones(2))
        >>> [(row.count, row.name, row.what) for row in step.amp_report().casts]
        [(2, 'matmul', 'float32 -> bfloat16')]
        >>> [row.what for row in step.amp_report().unneeded]
        ['bfloat16 met float32 in f32[2]: cast that']
        """
        plan = self._step().plan
        results = [plan.graph.outputs[at] for at in (*plan.positions, *(at for _, at in plan.writes.left)) if at >= 0]
        return amp_report(self.__name__, plan.decisions, plan.graph, results)
