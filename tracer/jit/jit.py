"""`jit`: one call, one executable. Traces an imperative function once, compiles it, and runs it from then on."""

from __future__ import annotations

import functools
import inspect
import threading
import time
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..backend import Program
from ..functions.autocast import modes as autocast_modes
from ..functions.defaults import Defaults
from ..guards.identity import MISSING, comparable
from ..guards.outside import Outside
from ..guards.places import Change, Text, shown
from ..ir import dtypes
from ..ir.errors import TraceError
from ..ir.graph import Graph, Value
from ..ir.recorder import thread_recorder
from ..ir.source import describe, file_and_line, user_position
from ..ir.state import state
from ..ir.types import Type
from ..tensor.context import context
from ..tensor.nested import map_structure, paths
from ..tensor.scalar import Scalar
from ..tensor.storage import rebinding
from ..tensor.tensor import Tensor
from ..walks.simplify import simplify
from .entry import Entry, Stats, first_difference
from .signature import Signature, is_input
from .trace import Trace, tracing
from .why import MANY, Retrace, RetraceWarning, Why

_compile_lock = threading.RLock()


def take_back(made: list[Callable[[], Any]]) -> None:
    """Undo what was made outside for a trace that came to nothing."""
    while made:
        made.pop()()


class Jitted:
    """A jitted function; call it as the function itself.

    `graph` is the program as data (print it), `stablehlo` the text that was compiled, `hlo` what XLA made of it, each of
    the latest trace; `stats` counts compiles and calls; `why()` lists all traces with their reasons.
    """

    def __init__(self, function: Callable[..., Any], static: Iterable[int | str] = (), donate: bool = True,
                 max_compiles: int | None = None, check_nan: bool = False) -> None:
        if any(check(function) for check in (inspect.isgeneratorfunction, inspect.iscoroutinefunction,
                                             inspect.isasyncgenfunction)):
            raise TypeError(f"jit requires a function that returns its results, got {function.__name__}, which is a generator "
                            "or a coroutine: its body would run after the trace. Compile the step that it calls.")
        functools.update_wrapper(self, function, updated=())
        self.__name__: str = getattr(function, "__name__", type(function).__name__)
        self.function = function
        self.stats = Stats()
        self._static = frozenset([static] if isinstance(static, (int, str)) else static)
        self._donate, self._max, self._check_nan = donate, max_compiles, check_nan
        self._entries: dict[Any, list[Entry]] = {}
        self._retraces: list[Retrace] = []
        self._latest: Entry | None = None
        self._lock = threading.RLock()
        self._before: tuple[Any, dict[str, Any]] | None = None  # key and arguments of the latest trace
        self._changed: Counter[str] = Counter()  # how often what caused a new trace
        self._warned: set[str] = set()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if context.trace is not None or not (state.recorder or thread_recorder()).lazy:
            return self.function(*args, **kwargs)  # part of what is being traced, or transformed
        call = Signature(args, kwargs, self._static)
        key = call.key, state.grad, Defaults.dtype, Defaults.device, autocast_modes.on, state.anomaly is not None
        with self._lock:
            for entry in self._entries.get(key, ()):
                if not entry.broken(call):
                    break
            else:
                entry = self._trace(key, call, args, kwargs)
            self._latest = entry
            self.stats.calls += 1
            with rebinding:
                try:
                    return entry.run(call)
                except BaseException:
                    if entry.calls == 0:
                        take_back(entry.made)
                    raise

    def __getattr__(self, name: str) -> Any:
        """What the function itself has: `parameters` of a compiled module, attributes of a function."""
        if name.startswith("__") or "function" not in self.__dict__:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(self.function, name)

    def __repr__(self) -> str:
        return f"<jit of {self.__name__}: {self.stats.compiles} compile(s), {self.stats.calls} call(s)>"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)  # which has our attributes too

    def _trace(self, key: Any, call: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """Make a new entry. Nothing outside has changed if this raises."""
        now = _described(args, kwargs)
        changes = self._changes(key, call, now)
        if self._max is not None and self.stats.compiles >= self._max:
            raise TraceError(f"{self.__name__} would be compiled more than max_compiles={self._max} times: "
                             + "; ".join(f"{n} changed from {o!r} to {w!r}" for n, o, w in changes))
        started = time.perf_counter()
        outside = self._outside(args, kwargs)
        entry = self._record(call, args, kwargs, outside)
        self.stats.seconds["trace"] += time.perf_counter() - started
        try:
            with _compile_lock:
                entry.compile(self.stats)
        except BaseException:
            take_back(entry.made)
            raise
        self._entries.setdefault(key, []).insert(0, entry)
        self._before = key, now
        reason = "first call" if not self._retraces else "changed" if changes else "another signature"
        self._retraces.append(Retrace(reason, tuple(changes), describe(user_position()), time.perf_counter() - started))
        self._warn(outside.impure, changes, now)
        return entry

    def _warn(self, impure: list[str], changes: list[Change], now: dict[str, Any]) -> None:
        """Say what the trace cannot follow, and what causes one trace after the other; each thing once."""
        for what in impure:
            self._warn_once(what, f"{self.__name__} reads {what}: while it is traced, not at each call. Pass the value as an "
                                  "argument.")
        for name, _, new in changes:
            self._changed[name] += 1
            if self._changed[name] >= MANY:
                advice = ("Every shape, dtype and value that is no tensor, array or number is a program of its own: pad the "
                          "batch, or leave the last, smaller one out." if name in now else
                          "Pass it as an argument: numbers and tensors in arguments are inputs of the program.")
                self._warn_once(name, f"{self.__name__} was traced anew {self._changed[name]} times because {name} had changed "
                                      f"(now {new!r}). {advice}")

    def _warn_once(self, about: str, message: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            file, line = file_and_line(user_position())
            warnings.warn_explicit(message, RetraceWarning, file, line)

    def _outside(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outside:
        """What the function may read of the world as it is now, before the trace."""
        return Outside(self.function, ((p, x) for p, x in _leaves(args, kwargs) if not isinstance(x, (np.ndarray, Tensor))))

    def _record(self, call: Signature, args: tuple[Any, ...], kwargs: dict[str, Any], outside: Outside) -> Entry:
        trace = Trace(self.__name__)
        try:
            return self._traced(trace, call, args, kwargs, outside)
        except BaseException:
            take_back(trace.made)
            trace.put_back()
            outside.put_back(trace.made_inside)
            raise

    def _traced(self, trace: Trace, call: Signature, args: tuple[Any, ...], kwargs: dict[str, Any],
                outside: Outside) -> Entry:
        stand_ins: list[Tensor] = []
        inputs: list[Value] = []
        numbers: list[Scalar] = []

        def leaf(x: Any, path: str) -> Any:
            if isinstance(x, (Tensor, np.ndarray)):
                tensor = x if isinstance(x, Tensor) else _tensor_of(x)
                made, value = trace.stand_in(tensor)
                stand_ins.append(made)
                inputs.append(value)
                if tensor._requires_grad and tensor._grad is not None:
                    trace.grads[made] = trace.grads_given[made] = leaf(tensor._grad, f"{path}.grad")
                return made
            if is_input(x):
                numbers.append(trace.argument_number(path, x))
                return numbers[-1].look() if outside.looks_at_types else numbers[-1]
            if hasattr(type(x), "__next__"):
                raise TraceError(f"{path} of {trace.name} is {type(x).__name__}, an iterator: it would be read once, while the "
                                 "function is traced. Pass a list, or what it gives next.")
            return x

        with tracing(trace):
            traced_args = [a if i in self._static else map_structure(a, leaf, f"args[{i}]") for i, a in enumerate(args)]
            traced_kwargs = {k: a if k in self._static else map_structure(a, leaf, k) for k, a in kwargs.items()}
            result = self.function(*traced_args, **traced_kwargs)
            trace.check_rebound()
            for name, tensor in outside.put_back(trace.made_inside):
                node = tensor._storage.value.node
                made = f", made at {describe(node.where)}," if node is not None else ""
                raise TraceError(f"{name} was bound to another tensor{made} while {trace.name} was traced: each call would have "
                                 "to bind it again, which a compiled program cannot do. Write into the tensor that is there: "
                                 "x.copy_(...).")
            entry = Entry(trace, result, call, stand_ins, inputs, numbers, outside, self._donate, self._check_nan)
        if (clash := entry.clash(call.tensors)) is not None:
            raise TraceError(f"{call.paths[clash]} of {trace.name} is a view of a tensor that the function also reaches "
                             "another way, and one of the two is written in place. Pass that tensor itself and take the "
                             "view inside the function, or pass view.clone().")
        return entry

    def _changes(self, key: Any, call: Signature, now: dict[str, Any]) -> list[Change]:
        """What differs between this call and the latest trace, or the latest of the same signature."""
        for entry in self._entries.get(key, ()):
            return entry.broken(call)
        if self._before is None:
            return []
        other, before = self._before
        changes = [(path, before.get(path, MISSING), now.get(path, MISSING)) for path in dict.fromkeys((*before, *now))
                   if comparable(before.get(path, MISSING)) != comparable(now.get(path, MISSING))]
        modes = [(mode, old, new) for mode, old, new in zip(_MODES, other[1:], key[1:]) if old != new]
        return [*changes, *modes] or [("the structure of the arguments", *first_difference(other[0], key[0]))]

    # --- Looking ------------------------------------------------------------------------------------------------------

    def trace(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that a call with these arguments would run, without running it."""
        entry = self._record(Signature(args, kwargs, self._static), args, kwargs, self._outside(args, kwargs))
        take_back(entry.made)
        return simplify(entry.raw)

    def lowered(self, *args: Any, **kwargs: Any) -> tuple[Graph, dict[int, int]]:
        """What a call would compile: the graph with packed state, and the outputs that take over inputs' buffers."""
        entry = self._record(Signature(args, kwargs, self._static), args, kwargs, self._outside(args, kwargs))
        entry.prepare()
        take_back(entry.made)
        return entry.graph, entry.donated

    def _entry(self) -> Entry:
        if self._latest is None:
            raise RuntimeError(f"{self.__name__} has not been called yet: call it once, or use "
                               f"{self.__name__}.trace(*args)")
        return self._latest

    @property
    def graph(self) -> Graph:
        """The program of the latest call; print it."""
        return self._entry().graph

    @property
    def program(self) -> Program:
        """The executable of the latest call: its memory() and cost()."""
        program = self._entry().program
        assert program is not None
        return program

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
        return Why(self._retraces)

    def cache_clear(self) -> None:
        """Forget all traces; the next call makes a new one."""
        with self._lock:
            self._entries.clear()
            self._retraces.clear()
            self._latest = self._before = None


_MODES = ("grad mode", "default dtype", "default device", "autocast", "anomaly detection")


def _described(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a call was given, by path: types of tensors and arrays, classes of numbers, all else as it is."""
    return {path: _description(x) for path, x in _leaves(args, kwargs, facts=True)}


def _description(x: Any) -> Any:
    if isinstance(x, Tensor):
        grad = ", requires grad" if x._requires_grad else ""
        strides = "" if x.is_contiguous() else f" with strides {x.stride()}"
        return Text(f"{x._type}{'' if x._device == 'cpu' else f' on {x._device}'}{strides}{grad}")
    if isinstance(x, np.ndarray):
        return Text(f"array {x.dtype}{list(x.shape)}")
    return Text(type(x).__name__) if type(x) in (int, float) else shown(x)


def _leaves(args: tuple[Any, ...], kwargs: dict[str, Any], facts: bool = False) -> Iterator[tuple[str, Any]]:
    """All that a call was given, by path."""
    for i, x in enumerate(args):
        yield from paths(x, f"args[{i}]", facts)
    for name, x in kwargs.items():
        yield from paths(x, name, facts)


def _tensor_of(array: Any) -> Tensor:
    return Tensor._of(Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), Defaults.device, np.array(array)))


def jit(function: Callable[..., Any] | None = None, *, static: Iterable[int | str] = (), donate: bool = True,
        max_compiles: int | None = None, check_nan: bool = False) -> Any:
    """Compile a function, as a whole, on its first call; use as a decorator or a function.

    Tensors, numpy arrays, ints and floats in the arguments (also inside lists, tuples, dicts and dataclasses) are
    inputs; everything else, and the arguments named in `static` by position or keyword, is compiled in and compared at
    each call. State that the function reads or writes (parameters, buffers, optimizer state, `.grad`, random state) is
    found by itself. `donate=False` keeps the old buffers of written state alive until the call succeeded;
    `max_compiles` raises instead of compiling once more. `check_nan` looks for NaN in everything that the program
    computes, backward included: NanError names the operation, module and line that gave the first one, and state is
    left as it was.

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
                                 check_nan=check_nan)
    return Jitted(function, static, donate, max_compiles, check_nan)


