"""Running a function once, on symbolic values, and what came of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np

from ..functions.checks import checking
from ..guards.outside import Outside
from ..guards.returned import Returned
from ..guards.texts import Described, Text
from ..ir.errors import NeededFirst, TraceError, noting
from ..ir.state import ambients
from ..lazy.shared import overlapping
from ..tensor.operations import NUMBERS
from ..tensor.tensor import Tensor
from .appended import Lists, appended_to, give_back, only_appended, put_lists
from .calls import taken_over
from .checked import report_of
from .counters import put_scalars, written
from .effects import Effects, Places
from .identities import Identities
from .nests import Path
from .plan import Plan, Traced, planned
from .remembered import Found
from .signature import Signature, leaves_and_holders
from .standins import StandIns
from .trace import Trace, tracing
from .validity import Validity


@dataclass(frozen=True)
class Options:
    """What `jit` was told: arguments that are compiled in, whether written state gives up its memory, what to look for."""

    static: frozenset[int | str] = frozenset()
    donate: bool = True
    check_nan: bool = False
    checks: bool = True


@dataclass
class Recorded:
    """A trace: what to compile, when it holds, what takes back the state that was made outside for it, where it left
    other numbers than it found, and where it appended to lists, whether it must be made again, since a function remembers
    results from now on, or may be, since it remembers what holds no tensor of the trace, of which numbers outside such a
    function made results, what is done after the first call, and whether the state that was made is tensors and nothing else."""

    plan: Plan
    validity: Validity
    made: list[Callable[[], Any]]
    counted: Places
    appended: Lists
    traced: Traced
    again: bool
    remembers: bool
    behind: set[tuple[int, Any]]
    after: Callable[[], None] | None = None
    made_tensors: bool = False

    def take_back(self) -> None:
        """Undo what was made outside, since the trace comes to nothing."""
        _take_back(self.made)


@contextmanager
def _settings_kept(trace: Trace) -> Iterator[None]:
    """What code in this block sets for all that comes after is set back, and set again at each call."""
    before = [(ambient, ambient.get()) for ambient in ambients]
    try:
        yield
    finally:
        for ambient, value in before:
            now = ambient.get()
            if now is not value and now != value:
                trace.ambient.append((ambient, now))
                ambient.set(value)


def _take_back(made: list[Callable[[], Any]]) -> None:
    while made:
        made.pop()()


def outside_of(function: Callable[..., Any], call: Signature, told_apart: Collection[type], hooks_run: bool) -> Outside:
    """What the function may read of the world as it is now, before the trace; of arguments those of these classes are part, and
    of hooks those that run, if any does."""
    leaves, holders = leaves_and_holders(call)
    given = [(path, x) for path, x in leaves if not isinstance(x, np.ndarray)]
    given += ((type(x).__name__, x) for x in call.containers if type(x) in told_apart)
    return Outside(function, given, holders, hooks_run)


def _refuse_shared_twice(trace: Trace, validity: Validity, arguments: Sequence[Any]) -> None:
    """TraceError for tensors with storages of their own on the same numpy memory: the program would take them for separate."""
    storages = [x._storage if isinstance(x, Tensor) else None for x in arguments]
    memory = validity.memory
    written = [*memory.changed, *(s for i in memory.written if (s := storages[i]) is not None)]
    if written and overlapping(written, {*trace.captured, *trace.written, *(s for s in storages if s is not None)}):
        raise TraceError(f"{trace.name} writes to a tensor that shares numpy memory with another tensor it uses. Call from_numpy "
                         "once, and make the other tensor a view of the first: x[1:].")


def recorded(function: Callable[..., Any], name: str, call: Signature, outside: Outside, options: Options,
             places: Places, exchanged: Places, lists: Lists, told_apart: set[type],
             themselves: list[weakref.ref[Tensor]], plainly: bool, know_hooks: Callable[[], None],
             is_read: Callable[[Signature, Path], NoReturn], watch_returns: Callable[[], None] | None) -> Recorded:
    """Trace a call of the function, with scalars for the numbers at these places, and what is at those exchanged as state.

    `lists` are the places of those that were appended to by another trace. `told_apart` gets the classes of arguments that are
    used as keys, `themselves` the views that are arguments and state.

    What code sets and never reads is hidden from it; with `plainly` nothing is, and numbers are compiled in. Where a hook runs
    that was not looked at, `know_hooks` is needed first, where a cache was given what may change, `watch_returns`;
    `is_read` hears of what the call says is not read.
    Nothing outside has changed if this raises.
    """
    trace = Trace(name)
    trace.unknown, trace.know_hooks = outside.hooks, know_hooks
    effects = given = None
    reached = outside.tensors
    returned = Returned(outside.caches if watch_returns is None else (), outside.there())
    try:
        if outside.compares and call.unread_at:  # what stands for a value is no other object
            is_read(call, call.unread_at[0])
        identities = Identities([*outside.identified, *themselves], outside.enterable)
        given = StandIns(trace, plainly or outside.looks_at_types, outside.has, identities, told_apart,
                         is_read)
        with tracing(trace), checking(options.checks):
            args, kwargs = given.all(call)
            trace.noted.update(outside.modules)
            put_scalars(trace, outside, places, plainly)
            if not plainly:
                outside.hide(places)
                if not outside.looks_at_types:
                    put_lists(trace, outside, lists, {id(x) for x in given.containers})
            with (noting(), taken_over(outside.calls), _settings_kept(trace), outside.impure.watched(),
                  given.left_out.watching(), returned.watched()):
                result = function(*args, **kwargs)
            given.left_out.ran()
            give_back(trace)
            effects = Effects(outside, trace, exchanged, {id(x) for x in given.containers})
            only_appended(trace, effects, outside)
            remembered = Found(trace, outside, {id(x): x for x in given.containers}, effects, returned,
                               watch_returns)
            traced = Traced(trace, call, given, effects, result, report_of(trace, options.check_nan))
            plan, guards = planned(traced, options.donate, options.check_nan)
            validity = Validity(trace, plan, call, outside, [*guards, *trace.guards], identities, given.apart)
        if (clash := validity.memory.clash(call.tensors)) is not None:
            argument = call.tensors[clash]
            if isinstance(argument, Tensor) and (argument in trace.handles or argument in reached):
                raise NeededFirst(partial(themselves.append, weakref.ref(argument)))
            raise TraceError(f"{call.paths[clash]} of {name} is a view of a tensor that the function also reaches another way, "
                             "and one of the two is written in place. Pass that tensor itself and take the view inside the "
                             "function, or pass view.clone().")
        if validity.containers.shared(call) is not None:
            raise TraceError(f"{name} changes a container that it is given and also reaches another way, as a global or an "
                             "attribute: it would be changed once here, once there. Use one of the two.")
        _refuse_shared_twice(trace, validity, call.tensors)
        if plan.evaluation is not None:
            call.values = plan.evaluation.seen
        return Recorded(plan, validity, trace.made, written(effects, trace), appended_to(effects, outside), traced,
                        remembered.make_real(trace), remembered.plain, remembered.behind)
    except BaseException:
        trace.adopted.clear()
        if effects is None:
            Effects(outside, trace)  # which undoes what was done
        _take_back(trace.made)  # before which it was made
        outside.forget_results()
        raise
    finally:
        if given is not None:
            given.left_out.close()
        trace.host.closed = True


# --- Describing arguments ---------------------------------------------------------------------------------------------


def described(call: Signature) -> dict[str, Any]:
    """What a call was given, by path: types of tensors and arrays, classes of numbers, all else as it is."""
    return {path: _description(x) for path, x in call.leaves(whole=True)}


def _description(x: Any) -> Any:
    if isinstance(x, Tensor):
        grad = ", requires grad" if x._requires_grad else ""
        strides = "" if x.is_contiguous() else f" with strides {x.stride()}"
        kind = "" if type(x) is Tensor else f"{type(x).__name__} "
        return Text(f"{kind}{x._type}{'' if x._device == 'cpu' else f' on {x._device}'}{strides}{grad}")
    if isinstance(x, np.ndarray):
        return Text(f"array {x.dtype}{list(x.shape)}")
    return Text(type(x).__name__) if type(x) in NUMBERS else Described(x)
