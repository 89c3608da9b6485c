"""`jit`: one call, one executable. Traces an imperative function once, compiles it, and runs it from then on."""

from __future__ import annotations

import functools
import threading
import time
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import dtypes
from .backend import Program
from .entry import Entry, Stats, first_difference
from .errors import TraceError
from .functions.common import Defaults
from .graph import Graph, Value
from .passes import simplify
from .recorder import thread_recorder
from .scalars import Scalar
from .source import describe, user_position
from .state import state
from .storage import rebinding
from .tensor import Tensor
from .trace import Trace, tracing
from .tree import Signature, map_structure
from .types import Type

_compile_lock = threading.RLock()


@dataclass(frozen=True)
class Retrace:
    """Why a trace was made: `changes` are (path or name, old, new)."""

    reason: str
    changes: tuple[tuple[str, Any, Any], ...]
    where: str
    seconds: float


class Jitted:
    """A jitted function; call it as the function itself.

    `graph` is the program as data (print it), `stablehlo` the text that was compiled, `hlo` what XLA made of it, each of
    the latest trace; `stats` counts compiles and calls; `why()` lists all traces with their reasons.
    """

    def __init__(self, function: Callable[..., Any], static: Iterable[int | str] = (), donate: bool = True,
                 max_compiles: int | None = None) -> None:
        functools.update_wrapper(self, function)
        self.__name__: str = getattr(function, "__name__", type(function).__name__)
        self.function = function
        self.stats = Stats()
        self._static = frozenset([static] if isinstance(static, (int, str)) else static)
        self._donate, self._max = donate, max_compiles
        self._entries: dict[Any, list[Entry]] = {}
        self._retraces: list[Retrace] = []
        self._latest: Entry | None = None
        self._lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.trace is not None or not thread_recorder().lazy:
            return self.function(*args, **kwargs)  # part of what is being traced, or transformed
        call = Signature(args, kwargs, self._static)
        key = call.key, state.grad, Defaults.dtype, Defaults.device, state.autocast
        with self._lock:
            for entry in self._entries.get(key, ()):
                if not entry.broken(call):
                    break
            else:
                entry = self._trace(key, call, args, kwargs)
            self._latest = entry
            self.stats.calls += 1
            with rebinding:
                return entry.run(call)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)  # which has our attributes too

    def _trace(self, key: Any, call: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """Make a new entry. Nothing outside has changed if this raises."""
        changes = self._changes(key, call)
        if self._max is not None and self.stats.compiles >= self._max:
            raise TraceError(f"{self.__name__} would be compiled more than max_compiles={self._max} times: "
                             + "; ".join(f"{n} changed from {o!r} to {w!r}" for n, o, w in changes))
        started = time.perf_counter()
        entry = self._record(call, args, kwargs)
        self.stats.seconds["trace"] += time.perf_counter() - started
        with _compile_lock:
            entry.compile(self.stats)
        self._entries.setdefault(key, []).insert(0, entry)
        reason = "first call" if not self._retraces else "changed" if changes else "another signature"
        self._retraces.append(Retrace(reason, tuple(changes), describe(user_position()), time.perf_counter() - started))
        return entry

    def _record(self, call: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        trace = Trace(self.__name__)
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
            if type(x) in (int, float):
                numbers.append(trace.argument_number(path, x))
                return numbers[-1]
            return x

        with tracing(trace):
            traced_args = [a if i in self._static else map_structure(a, leaf, f"args[{i}]") for i, a in enumerate(args)]
            traced_kwargs = {k: a if k in self._static else map_structure(a, leaf, k) for k, a in kwargs.items()}
            result = self.function(*traced_args, **traced_kwargs)
            entry = Entry(trace, result, call.tensors, stand_ins, inputs, numbers, self._donate, trace.name)
        if (clash := entry.clash(call.tensors)) is not None:
            raise TraceError(f"{call.paths[clash]} of {trace.name} is a view of a tensor that the function also reaches "
                             "another way, and one of the two is written in place. Pass that tensor itself and take the "
                             "view inside the function, or pass view.clone().")
        return entry

    def _changes(self, key: Any, call: Signature) -> list[tuple[str, Any, Any]]:
        """What differs between this call and the traces there are."""
        for entry in self._entries.get(key, ()):
            return entry.broken(call)
        for other in self._entries:
            for path, old, new in zip(["arguments", "grad mode", "default dtype", "default device", "autocast"], other, key):
                if old != new:
                    return [(path, *first_difference(old, new))]
        return []

    # --- Looking ------------------------------------------------------------------------------------------------------

    def trace(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that a call with these arguments would run, without running it."""
        entry = self._record(Signature(args, kwargs, self._static), args, kwargs)
        return simplify(entry.raw)

    def lowered(self, *args: Any, **kwargs: Any) -> tuple[Graph, dict[int, int]]:
        """What a call would compile: the graph with packed state, and the outputs that take over inputs' buffers."""
        entry = self._record(Signature(args, kwargs, self._static), args, kwargs)
        entry.prepare()
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
            self._latest = None


class Why(list[Retrace]):
    """A list of traces that prints as text."""

    def __str__(self) -> str:
        lines = []
        for i, trace in enumerate(self, 1):
            changes = "; ".join(f"{name}: {old!r} -> {new!r}" for name, old, new in trace.changes)
            lines.append(f"{i}. {trace.reason}{' (' + changes + ')' if changes else ''} at {trace.where}, "
                         f"{trace.seconds:.2f} s")
        return "\n".join(lines)

    __repr__ = __str__


def _tensor_of(array: Any) -> Tensor:
    return Tensor._of(Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), Defaults.device, np.array(array)))


def jit(function: Callable[..., Any] | None = None, *, static: Iterable[int | str] = (), donate: bool = True,
        max_compiles: int | None = None) -> Any:
    """Compile a function, as a whole, on its first call; use as a decorator or a function.

    Tensors, numpy arrays, ints and floats in the arguments (also inside lists, tuples, dicts and dataclasses) are
    inputs; everything else, and the arguments named in `static` by position or keyword, is compiled in and compared at
    each call. State that the function reads or writes (parameters, buffers, optimizer state, `.grad`, random state) is
    found by itself. `donate=False` keeps the old buffers of written state alive until the call succeeded;
    `max_compiles` raises instead of compiling once more.

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
        return functools.partial(jit, static=static, donate=donate, max_compiles=max_compiles)
    return Jitted(function, static, donate, max_compiles)


