"""Tracing a call as often as it takes: what a trace finds out about numbers and state makes for a better one."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ..guards.outside import Outside
from ..guards.texts import Change
from ..ir.errors import NeededFirst, TraceError
from ..tensor.tensor import Tensor
from .agreement import agree
from .appended import Lists
from .counters import changed
from .created import Created
from .effects import Places, exchanged
from .left_out import LeftOut
from .record import Options, Recorded, outside_of, recorded
from .signature import Signature


class Trials:
    """Traces calls of one function.

    `places` are the numbers outside, and containers of them, that its programs read at each call, `exchanged` the places of
    tensors and containers that were found to be others, `lists` those of lists that a trace appended to, `made` those of what a
    call created or changed: what comes and goes, as with `self.train(n % 2 == 0)`, is made before a call once; afterwards if it
    is tensors that an earlier program works on. `told_apart` are classes of which one argument is not as good as another like
    it, since they are keys, `themselves` views that are arguments and state, of which the function is given none but them.
    `behind` are places of numbers that a function that remembers its results made some of.
    """

    def __init__(self, function: Callable[..., Any], name: str, options: Options) -> None:
        self._function, self._name, self._options = function, name, options
        self._places: Places = {}
        self._exchanged: Places = {}
        self._lists: Lists = set()
        self._made: set[tuple[int, Any]] = set()
        self._told_apart: set[type] = set()
        self._themselves: list[weakref.ref[Tensor]] = []
        self._behind: set[tuple[int, Any]] = set()
        self.left_out = LeftOut()
        self._returns_watched = False  # of functions that remember their results
        self._hooks_run = False  # whether hooks of leaves ran in a trace

    def record(self, call: Signature, changes: list[Change],
               holds: Callable[[], bool] | None = None) -> tuple[Outside, Recorded]:
        """The trace of a call, made since these things changed, and what was outside before.

        If the function created state, it is that of a call that finds this state there, where both do the same; where that
        comes and goes only if an earlier trace `holds` then (None: the trace is only looked at).
        """
        self._returns_watched = False
        if changes:
            self.left_out.suspect(call, changes)
            now = outside_of(self._function, call, self._told_apart, self._hooks_run)
            self._places |= changed(now, changes)
            self._exchanged |= exchanged(now, changes)
            now.let_go()
        outside, first = self._counted(call)
        if first.remembers:
            outside, first = self._on(Created(first.traced, anything=False), call, first, None) or (outside, first)
        created = Created(first.traced)
        again = not self._made.isdisjoint(created.places)
        self._made |= created.places if holds is not None else set()
        adopted = first.traced.trace.adopted and not created.edits and not created.gradients
        tried = (created or adopted) and (created.only_tensors or not again)
        outside, trace = (self._on(created, call, first, holds if again else None) if tried else None) or (outside, first)
        outside.let_go()
        trace.traced.trace.let_go()
        return outside, trace

    def _counted(self, call: Signature) -> tuple[Outside, Recorded]:
        """Trace; once more if numbers outside are written that were not known to be, or a function remembers results now."""
        outside, trace = self._once(call)
        while self.left_out.learn(call, trace.traced.given, outside):
            trace.take_back()
            outside, trace = self._once(call)
        if not trace.behind <= self._behind:  # what a function remembers is no number of one call
            trace.take_back()
            self._behind |= trace.behind
            outside, trace = self._once(call)
        if trace.again or not trace.counted.keys() <= self._places.keys() or not trace.appended <= self._lists:
            trace.take_back()
            self._places |= trace.counted
            self._lists |= trace.appended
            outside, trace = self._once(call)
        return outside, trace

    def _once(self, call: Signature) -> tuple[Outside, Recorded]:
        """Trace, after whatever turns out to be needed first."""
        while True:
            try:
                return self._tried(call)
            except NeededFirst as needed:
                needed.do()

    def _tried(self, call: Signature) -> tuple[Outside, Recorded]:
        """Trace; if that fails where something was hidden or stood for a number, once more plainly: it may have been why.

        `Decimal(n)`, say, takes an int and nothing that stands for one.
        """
        outside = outside_of(self._function, call, self._told_apart, self._hooks_run)
        self._places |= outside.counters
        try:
            return outside, self._recorded(call, outside, plainly=False)
        except Exception as error:
            stood_in = call.numbers or call.lists or call.unread or self._places or self._lists
            if not (stood_in or (outside.only_sets and not isinstance(error, TraceError))):
                raise
        with self.left_out.nothing(call):
            outside = outside_of(self._function, call, self._told_apart, self._hooks_run)
            return outside, self._recorded(call, outside, plainly=True)

    def _recorded(self, call: Signature, outside: Outside, plainly: bool) -> Recorded:
        places = {place: owner for place, owner in self._places.items() if place not in self._behind}
        return recorded(self._function, self._name, call, outside, self._options, places, self._exchanged, self._lists,
                        self._told_apart, self._themselves, plainly, self._know_hooks, self.left_out.is_read,
                        None if self._returns_watched else self._watch_returns)

    def _watch_returns(self) -> None:
        self._returns_watched = True

    def _know_hooks(self) -> None:
        self._hooks_run = True

    def _on(self, created: Created, call: Signature, first: Recorded,
            holds: Callable[[], bool] | None) -> tuple[Outside, Recorded] | None:
        """Trace on what the first trace created; None, and nothing is created, if that is another program, or nothing `holds`."""
        places, values, left_out = self._places, call.values, self.left_out.now()
        self._places = dict(places)
        first.made.append(created.take_back)
        try:
            created.put()
            again = self._again(call)
            if again is not None:
                outside, second = again
                if self._agree(first, second, created, call) and (holds is None or holds()):
                    second.validity.gradients.may_lack = created.gradients
                    second.made[:0] = first.made
                    second.after, second.made_tensors = created.put_in_order, created.only_tensors
                    return outside, second
                second.take_back()
        except BaseException:
            first.take_back()
            raise
        first.made.pop()()
        if left_out != self.left_out.now():
            call.describe(*left_out)  # as it was for the first
        self._places, call.values = places, values
        return None

    def _again(self, call: Signature) -> tuple[Outside, Recorded] | None:
        """The trace of a call whose function was traced already; None if the function raises now.

        Then all is as it was before: if that was no accident, the next call raises it.
        """
        try:
            return self._counted(call)
        except Exception:
            return None

    @staticmethod
    def _agree(first: Recorded, second: Recorded, created: Created, call: Signature) -> bool:
        """Whether the second trace does what the first one did, and holds for the call."""
        try:
            return agree(first.traced, second.traced, created) and second.validity.holds(call)
        except BaseException:
            second.take_back()
            raise
