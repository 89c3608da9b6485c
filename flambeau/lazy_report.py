"""What lazy mode did: every compilation outside jit, with its reason."""

from __future__ import annotations

from .tracer.backend import backend
from .tracer.lazy import failures
from .tracer.lazy.flush import Flush, compiled, end_of_step


class Report(list[Flush]):
    """Rows of compilations outside jit; prints as a table."""

    def __str__(self) -> str:
        if not self:
            return "lazy mode has compiled nothing"
        rows = [f"{i:>3}  {f.seconds:7.2f} s  {f.nodes:>5} ops  {f.where}: {f.reason}; {f.difference}"
                for i, f in enumerate(self, 1)]
        total = sum(f.seconds for f in self)
        return "\n".join([f"lazy mode compiled {len(self)} program(s) in {total:.2f} s:", *rows])

    __repr__ = __str__


def report() -> Report:
    """What was compiled outside jit so far: when, why, at which line, and what differed from the program before.

    >>> import flambeau as torch
    >>> print(type(torch.report()).__name__)
    Report
    """
    return Report(compiled)


def synchronize() -> None:
    """Run what is pending and wait until all tensors are computed; raises for a check that failed."""
    end_of_step()
    backend().wait()
    failures.settle()
