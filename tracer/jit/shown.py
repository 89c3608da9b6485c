"""What a jitted function shows of its latest program."""

from __future__ import annotations

from ..backend import Program
from ..ir.graph import Graph
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
