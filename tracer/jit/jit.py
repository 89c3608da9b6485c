"""`jit`: one call, one executable. Traces an imperative function once, compiles it, and runs it from then on."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

from ..functions.autocast import modes as autocast_modes
from ..functions.checks import checking
from ..functions.defaults import Defaults
from ..guards.parameters import parameters
from ..ir.errors import TraceError
from ..ir.graph import Graph
from ..ir.locks import open_after_fork
from ..ir.state import state
from ..tensor.assigned import pending, settle
from ..tensor.context import inlined
from ..tensor.nested import is_open
from ..tensor.storage import rebinding
from ..walks.simplify import simplify
from .plan import Plan, prepared
from .record import Options, Recorded, described
from .shown import Shown
from .signature import Signature
from .step import Step
from .trials import Trials
from .validity import Validity
from .why import Bound, History, Stats

_compile_lock = open_after_fork(threading.RLock())


class Compiled:
    """A trace that was compiled: when it holds, and what runs then.

    Once a tensor is gone that must be somewhere, it never holds again, and lets go of all state.
    """

    def __init__(self, validity: Validity, step: Step) -> None:
        self.validity, self.step = validity, step
        gone = partial(_release, weakref.ref(self))
        self._watched = [weakref.ref(tensor, gone) for tensor in validity.outside.watched()]

    def run(self, call: Signature) -> Any:
        """Run the step, for which the trace holds."""
        if not self.validity.gradients.may_lack:
            return self.step.run(call)
        calls, lacking = self.step.calls, self.validity.gradients.complete()
        try:
            return self.step.run(call)
        except BaseException:
            if self.step.calls == calls:
                for tensor in lacking:
                    tensor._bind_grad(None)
            raise


def _release(compiled: weakref.ref[Compiled], tensor: Any) -> None:
    found = compiled()
    if found is not None:
        found.step.plan = replace(found.step.plan, state=(), packs=(), read_packs=(), gradient_packs=())
        found.validity.release()


def _key_of(call: Signature) -> Any:
    """What tells calls apart that may need programs of their own."""
    return call.key, state.grad, Defaults.dtype, Defaults.device, autocast_modes.on, state.anomaly is not None


def _keep(compiled: dict[Any, list[Compiled]], key: Any, made: Compiled, bound: int) -> None:
    """Put what was compiled last in front of its kind; of more than `bound` drop those that were used longest ago."""
    compiled.setdefault(key, []).insert(0, made)
    while sum(map(len, compiled.values())) > bound:
        oldest = min((c for kept in compiled.values() for c in kept), key=lambda c: c.step.used)
        kind = next(kind for kind, kept in compiled.items() if oldest in kept)
        compiled[kind].remove(oldest)
        if not compiled[kind]:
            del compiled[kind]


def _takes_self(function: Any) -> bool:
    """Whether it is written as a method; a bound one has its object already."""
    return (isinstance(function, types.FunctionType) and function.__code__.co_argcount > 0
            and function.__code__.co_varnames[0] == "self")


class Jitted(Shown):
    """A jitted function; call it as the function itself.

    `graph` is the program as data (print it), `stablehlo` the text that was compiled, `hlo` what XLA made of it, each of
    the latest trace; `stats` counts compiles and calls; `why()` lists all traces with their reasons.
    """

    def __init__(self, function: Callable[..., Any], static: Iterable[int | str] = (), donate: bool = True,
                 max_compiles: int | None = None, check_nan: bool = False, max_kept: int = 128,
                 name: str | None = None, checks: bool = True) -> None:
        if any(check(function) for check in (inspect.isgeneratorfunction, inspect.iscoroutinefunction,
                                             inspect.isasyncgenfunction)):
            raise TypeError(f"jit requires a function that returns its results, got {function.__name__}, which is a generator "
                            "or a coroutine: its body would run after the trace. Compile the step that it calls.")
        functools.update_wrapper(self, function, updated=())
        self.__name__ = str(name or getattr(function, "__name__", type(function).__name__))
        self.function = function
        self.stats = Stats()
        self._options = Options(frozenset([static] if isinstance(static, (int, str)) else static), donate, check_nan,
                                checks)
        self._trials = Trials(function, self.__name__, self._options)
        self._max = max_compiles
        self._is_method = _takes_self(function)
        self._parameters = replace(parameters(function), static=self._options.static)
        self._parameters_with_self = replace(self._parameters, static=self._options.static | {0})
        self._compiled: dict[Any, list[Compiled]] = {}
        self._bound = max_kept
        self._latest: Step | None = None
        self._lock = threading.RLock()
        self._history = History(self.__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if inlined():
            with checking(self._options.checks):
                return self.function(*args, **kwargs)
        if pending:
            settle()
        call = self._signature(args, kwargs)
        key = _key_of(call)
        with self._lock:
            for compiled in self._compiled.get(key, ()):
                if compiled.validity.holds(call):
                    self._latest = step = compiled.step
                    self.stats.calls += 1
                    step.used = self.stats.calls
                    with rebinding:
                        result = compiled.run(call)
                    if compiled.validity.moves:
                        compiled.validity.settle()
                    return result
            return self._first_run(key, call)

    def __getattr__(self, name: str) -> Any:
        """What the function itself has: `parameters` of a compiled module, attributes of a function."""
        if name.startswith("__") or "function" not in self.__dict__:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(self.function, name)

    def __repr__(self) -> str:
        return f"<jit of {self.__name__}: {self.stats.compiles} compile(s), {self.stats.calls} call(s)>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)  # which has our attributes too

    def _signature(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Signature:
        itself = self._is_method and args and is_open(type(args[0]))  # what the object holds is state
        return self._trials.left_out.signature(args, kwargs, self._parameters_with_self if itself else self._parameters)

    def __reduce__(self) -> Any:
        return _reduced(self)

    # --- Compiling ----------------------------------------------------------------------------------------------------

    def _first_run(self, key: Any, call: Signature) -> Any:
        """Trace, compile and run. Nothing outside has changed if this raises."""
        trace, compiled = self._compile(key, call)
        self._latest = step = compiled.step
        self.stats.calls, calls = self.stats.calls + 1, step.calls
        try:
            with rebinding:
                result = compiled.run(call)
            compiled.validity.settle()
            if trace.after is not None:
                trace.after()
            return result
        except BaseException:
            if step.calls == calls:
                trace.take_back()
            raise

    def _compile(self, key: Any, call: Signature) -> tuple[Recorded, Compiled]:
        now, known = described(call), self._compiled.get(key, [])
        since = [trace.validity.changes(call) for trace in known]  # each, the latest first
        changes = since[0] if since else self._history.changes(key, now)
        if self._max is not None and self.stats.compiles >= self._max:
            raise TraceError(f"{self.__name__} would be compiled more than max_compiles={self._max} times: "
                             + "; ".join(f"{n} changed from {o!r} to {w!r}" for n, o, w in changes))
        started = time.perf_counter()
        outside, trace = self._trials.record(call, list(chain.from_iterable(since)) or changes,
                                            lambda: any(c.validity.holds(call) for c in known))
        self.stats.seconds["trace"] += time.perf_counter() - started
        if call.key != key[0]:  # what was found not to be read means nothing any more
            key, now, known = (found := _key_of(call)), described(call), self._compiled.get(found, [])
        # State that was taken away and is made once more may be what an earlier program works on.
        there = next((c for c in known if trace.made_tensors and c.validity.holds(call)), None)
        made = there or self._made(trace)
        made.step.used = self.stats.calls + 1
        if there is None:
            _keep(self._compiled, key, made, self._bound)
            self._history.add(key, now, changes, time.perf_counter() - started)
            self._history.warn(outside.impure.read(), changes, now, Bound(trace.plan.writes))
        return trace, made

    def _made(self, trace: Recorded) -> Compiled:
        try:
            with _compile_lock:
                return Compiled(trace.validity, Step(self._prepared(trace.plan), self.stats))
        except BaseException:
            trace.take_back()
            raise

    def _prepared(self, plan: Plan) -> Plan:
        started = time.perf_counter()
        made = prepared(plan)
        self.stats.seconds["simplify"] += time.perf_counter() - started
        return made

    # --- Looking ------------------------------------------------------------------------------------------------------

    def _traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        call = self._signature(args, kwargs)
        _, trace = self._trials.record(call, [])
        trace.take_back()
        return trace.plan

    def trace(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that a call with these arguments would run, without running it."""
        return simplify(self._traced(args, kwargs).graph)

    def lowered(self, *args: Any, **kwargs: Any) -> tuple[Graph, dict[int, int]]:
        """What a call would compile: the graph with packed state, and the outputs that take over inputs' buffers."""
        plan = prepared(self._traced(args, kwargs))
        return plan.graph, dict(plan.donated)

    def cache_clear(self) -> None:
        """Forget all traces; the next call makes a new one."""
        with self._lock:
            self._compiled.clear()
            self._history.clear()
            self._latest = None


def options_of(jitted: Jitted) -> tuple[Any, ...]:
    """What to make another one with, after the function."""
    options = jitted._options
    return options.static, options.donate, jitted._max, options.check_nan, jitted._bound, jitted.__name__, options.checks


def _reduced(jitted: Jitted) -> Any:
    """A copy or pickle goes without what was compiled; a decorated function is found by its name."""
    name = jitted.__dict__.get("__qualname__", "")
    found: Any = sys.modules.get(jitted.__module__)
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is jitted else (Jitted, (jitted.function, *options_of(jitted)))


def jit(function: Callable[..., Any] | None = None, *, static: Iterable[int | str] = (), donate: bool = True,
        max_compiles: int | None = None, check_nan: bool = False, max_kept: int = 128, name: str | None = None,
        checks: bool = True) -> Any:
    """Compile a function, as a whole, on its first call; use as a decorator or a function.

    Tensors, numpy arrays, ints and floats in the arguments (also inside lists, tuples, dicts and dataclasses) are
    inputs; everything else, and the arguments named in `static` by position or keyword, is compiled in and compared at
    each call. State that the function reads or writes (parameters, buffers, optimizer state, `.grad`, random state) is
    found by itself. `donate=False` keeps the old buffers of written state alive until the call succeeded;
    `max_compiles` raises instead of compiling once more; of more than `max_kept` programs those are dropped that were
    used longest ago. `check_nan` looks for NaN in everything that the program computes, backward included: NanError names
    the operation, module and line that gave the first one, and state is left as it was before that call. Nothing waits for
    it: it is raised when it is known, at the latest when a tensor of that run or a later one is looked at. `name` is what
    messages call the function. `checks=False` leaves out the checks of values, such as indices out of range.

    `jit` of a module is a module: another handle on it, which goes wherever the module goes.

    >>> import flambeau as torch
    >>> @torch.jit
    ... def double(x):
    ...     return x * 2
    >>> double(torch.ones(2))
    tensor([2., 2.])
    >>> double.stats.compiles
    1
    """
    if function is None:
        return functools.partial(jit, static=static, donate=donate, max_compiles=max_compiles,
                                 check_nan=check_nan, max_kept=max_kept, name=name, checks=checks)
    jitted = Jitted(function, static, donate, max_compiles, check_nan, max_kept, name, checks)
    handle = getattr(type(function), "_jitted", None)
    return jitted if handle is None else handle(function, jitted)
