"""What a compiled trace does with numbers at each call, as one Python function that is generated for it.

The function takes the numbers among the arguments and evaluates the trace's expressions on them, in the order of the trace.
It gives the values that the program and the result need as a list, or, as soon as something is not as it was, a tuple that
says which guard, and what is there now.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..guards.texts import Change, Text
from ..ir.source import describe
from ..tensor.scalar import LARGEST, SMALLEST, Guard, Host, Scalar
from .signature import Signature

Evaluate = Callable[[list[Any]], "list[Any] | tuple[int, Any]"]


class Evaluation:
    """The numbers of one compiled trace; `wanted` are those whose values are needed."""

    def __init__(self, host: Host, wanted: Sequence[Scalar]) -> None:
        text = _Text(host, wanted)
        self._guards, self._lines = text.guards, text.line_of
        self.seen = [x.example for x in wanted]
        self._sources = frozenset(id(x) for x in text.sources)
        self.evaluate: Evaluate = text.compiled()

    def uses(self, scalar: Scalar) -> bool:
        """Whether a number that is read at each call matters to the trace."""
        return id(scalar) in self._sources

    def holds(self, call: Signature) -> bool:
        """Whether the trace holds for the numbers of this call; if so the call is given the values."""
        try:
            found = self.evaluate(call.numbers)
        except Exception:  # the function itself may catch it: another trace finds out
            return False
        if type(found) is not list:
            return False
        call.values = found
        return True

    def difference(self, numbers: list[Any]) -> Change:
        """What does not hold: the expression, what it was, what it is."""
        try:
            found = self.evaluate(numbers)
        except Exception as error:
            scalar = self._lines[_line_in_text(error)]
            return scalar.text(), scalar.example, Text(f"{type(error).__name__}: {error}")
        assert type(found) is tuple
        guard, now = self._guards[found[0]], found[1]
        return _name(guard), *_outcomes(guard, now)


def _name(guard: Guard) -> str:
    text = guard.scalar.text()
    if guard.scalar.source is not None and guard.about in ("value", "type"):
        return text
    return f"{text} (at {describe(guard.where)})"


def _outcomes(guard: Guard, now: Any) -> tuple[Any, Any]:
    if guard.about == "truth":
        return guard.seen, bool(now)
    if guard.about == "type":
        return Text(guard.seen.__name__), Text(type(now).__name__)
    if guard.about == "error":
        return Text(guard.seen.__name__), now
    return (guard.scalar.example if guard.about == "fits" else guard.seen), now


def _line_in_text(error: BaseException) -> int:
    """The line of the generated function at which an exception came up."""
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_name != _NAME:
        at = at.tb_next
    assert at is not None
    return at.tb_lineno


_NAME = "numbers_of_a_call"


class _Text:
    """Writes the function."""

    def __init__(self, host: Host, wanted: Sequence[Scalar]) -> None:
        self.lines = [f"def {_NAME}(numbers):"]
        self.names: dict[int, str] = {}
        self.bound: dict[str, Any] = {"copysign": math.copysign}
        self.guards: list[Guard] = []
        self.sources: list[Scalar] = []
        self.line_of: dict[int, Scalar] = {}
        for line in host.lines:
            if type(line) is Scalar:  # isinstance would ask for its type
                self._compute(line)
            elif line.about == "error":
                self._error(line)
            else:
                self._guard(line)
        self.lines.append(f"    return [{', '.join(map(self.name, wanted))}]")

    def compiled(self) -> Evaluate:
        """The function."""
        exec(compile("\n".join(self.lines), "<numbers of a trace>", "exec"), self.bound)
        made: Evaluate = self.bound[_NAME]
        return made

    def name(self, x: Any) -> str:
        """The variable that holds a number; that of a source is set where it is first needed."""
        if type(x) is not Scalar:
            return self._constant(x)
        found = self.names.get(id(x))
        if found is None:
            found = self.names[id(x)] = f"v{len(self.names)}"
            source = x.source
            if source is None:
                return self._constant(x.example)
            self.sources.append(x)
            if source.position is not None:
                self.lines.append(f"    {found} = numbers[{source.position}]")
            else:
                self.bound[f"read_{found}"] = source.read
                self._add(f"    {found} = read_{found}()", x)
                self._differs(Guard("type", x, x.kinds[0], ("", 0)), f"type({found}) is not {self._constant(x.kinds[0])}")
        return found

    def _constant(self, x: Any) -> str:
        if type(x) is int and abs(x) < 1 << 31:
            return f"({x})" if x < 0 else str(x)
        name = f"c{len(self.bound)}"
        self.bound[name] = x
        return name

    def _add(self, line: str, scalar: Scalar) -> None:
        self.lines.append(line)
        self.line_of[len(self.lines)] = scalar

    def _expression(self, x: Scalar) -> str:
        operation, operands = x.operation, [self.name(y) for y in x.operands]
        assert operation is not None
        if operation.infix:
            return operation.text.format(*operands)
        name = f"f{len(self.bound)}"
        self.bound[name] = operation.function
        return f"{name}({', '.join(operands)})"

    def _compute(self, x: Scalar) -> None:
        text = self._expression(x)
        self._add(f"    {self.names.setdefault(id(x), f'v{len(self.names)}')} = {text}", x)

    def _error(self, guard: Guard) -> None:
        text = self._expression(guard.scalar)
        expected = self._constant(guard.seen)
        self.lines += ["    try:", f"        found = {text}", f"    except {expected}:", "        pass", "    else:",
                       f"        return {len(self.guards)}, found"]
        self.guards.append(guard)

    def _guard(self, guard: Guard) -> None:
        name = self.name(guard.scalar)
        if guard.about == "truth":
            test = f"not {name}" if guard.seen else name
        elif guard.about == "type":
            test = f"type({name}) is not {self._constant(guard.seen)}"
        elif guard.about == "fits":
            fits = f"{self._constant(SMALLEST)} <= {name} <= {self._constant(LARGEST)}"
            test = f"not {fits}" if guard.seen else fits
        else:
            test = self._not_equal(name, guard)
        self._differs(guard, test)

    def _differs(self, guard: Guard, test: str) -> None:
        self.lines.append(f"    if {test}: return {len(self.guards)}, {self.names[id(guard.scalar)]}")
        self.guards.append(guard)

    def _not_equal(self, name: str, guard: Guard) -> str:
        seen = guard.seen
        if seen != seen:  # nan
            return f"{name} == {name}"
        test = f"{name} != {self._constant(seen)}"
        if seen == 0 and isinstance(seen, (float, np.floating)):
            test += f" or copysign(1.0, {name}) != {math.copysign(1.0, seen)}"
        if len(guard.scalar.kinds) > 1 or type(seen) is not guard.scalar.kinds[0]:
            test = f"type({name}) is not {self._constant(type(seen))} or {test}"
        return test
