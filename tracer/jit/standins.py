"""What a traced function is given in place of its arguments."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from ..functions.defaults import Defaults
from ..ir import dtypes
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.recorder import placeholder
from ..ir.source import is_ours
from ..ir.types import Type
from ..tensor.appended import Noting, standing_for
from ..tensor.context import outside_trace
from ..tensor.nested import attributes_of, children, container_of, empty_like, refill, step_to
from ..tensor.scalar import Source
from ..tensor.tensor import Tensor, attributes_given
from ..tensor.unread import Unread
from .identities import Identities
from .nests import Path, is_plain
from .signature import Signature, is_input, is_static, may_be_unread, names_in, opened
from .trace import Trace


class StandIns:
    """Copies of the arguments with stand-ins for their tensors, arrays and numbers.

    `tensors`, their `inputs`, numbers, `containers` and `tuples` are in the order in which a `Signature` meets what they stand
    for.
    A container that the function reaches outside, too (`is_outside`), is given itself, and done with as with others outside; so
    is a tensor that it may tell from others: `themselves` says which these are. The function finds in such a container what is
    there: what stands for the tensors in it, of the numbers `apart`, is for nobody. `told_apart` are the classes whose
    instances have to be given so, since the function uses them as keys. `is_read` hears of what it was thought
    not to read.
    """

    left_out: _LeftOut

    def __init__(self, trace: Trace, looks_at_types: bool, is_outside: Callable[[Any], bool], themselves: Identities,
                 told_apart: set[type], is_read: Callable[[Signature, Path], NoReturn]) -> None:
        self._is_read = is_read
        self.told_apart = told_apart
        self._trace, self._looks_at_types, self._is_outside = trace, looks_at_types, is_outside
        self.themselves = themselves
        self.apart: set[int] = set()
        self._within = 0  # how many containers that are given themselves are being looked into
        self.tensors: list[Tensor] = []
        self.inputs: list[Value] = []
        self.left: list[Value] = []  # what the traced call leaves in each of these tensors
        self._numbers = count()
        self.containers: list[Any] = []
        self.tuples: list[Any] = []
        self._filled: list[dict[Any, Any]] = []  # what each of these was given
        self._kinds: list[type] = []
        self._copies: dict[int, Any] = {}
        self._arrays: dict[int, Tensor] = {}

    def all(self, call: Signature) -> tuple[list[Any], dict[str, Any]]:
        """What stands in for the arguments of a call; one that is compiled in, or never read, is what it is."""
        made: dict[int | str, Any] = {}
        self.left_out = _LeftOut(call, self._is_read)
        given: list[tuple[int | str, Any]] = [*enumerate(call.args), *call.kwargs.items()]
        for key, x in given:
            if key not in call.grown and key not in call.by_key:
                made[key] = x if key in call.parameters.whole else self._of(x, f"args[{key}]" if isinstance(key, int) else key)
        for key, x in given:
            if key in call.by_key:
                made[key] = self._by_key(x, f"args[{key}]" if isinstance(key, int) else key)
        for key, place in call.grown.items():
            x = call.args[key] if isinstance(key, int) else call.kwargs[key]
            if place < 0:
                made[key] = self._copies[id(x)]
            else:
                made[key] = self._copies[id(x)] = refill(empty_like(x), {} if type(x) is dict else attributes_of(x))
                self.containers.append(made[key])
                self._kinds.append(type(made[key]))
                self._filled.append(held_by(made[key]))
        return [made[i] for i in range(len(call.args))], {name: made[name] for name in call.kwargs}

    def of_caller(self, call: Signature) -> list[Any]:
        """The tensors and arrays among the arguments that the function is given."""
        return [x for i, x in enumerate(call.tensors) if i not in self.apart]

    def given_to(self, place: int) -> dict[Any, Any]:
        """What was in the container with this number."""
        return self._filled[place]

    def changed(self) -> list[tuple[int, Any]]:
        """The containers that do not hold any more what they were given, with their numbers."""
        for x, kind in zip(self.containers, self._kinds):
            if type(x) is not kind:
                raise TraceError(f"{self._trace.name} gives an argument of class {kind.__name__} the class {type(x).__name__}, "
                                 "which no call could do again. Return another object.")
        return [(i, x) for i, (x, before) in enumerate(zip(self.containers, self._filled)) if not _same(held_by(x), before)]

    def _of(self, x: Any, path: str) -> Any:
        inside = opened(x)
        if inside is None:
            return self._leaf(x, path)
        kind, held = inside
        if isinstance(x, tuple):
            place = len(self.tuples)
            self.tuples.append(x)
            self.tuples[place] = container_of(x, self._inside(x, kind, held, path))
            return self.tuples[place]
        copy = self._copies.get(id(x))
        if copy is None and id(x) in self.left_out.lists:
            copy = self._copies[id(x)] = self.left_out.appended(x, self._looks_at_types or self._is_outside(x))
            self.containers.append(copy)
            self._kinds.append(type(copy))
            self._filled.append({})
        if copy is None:
            place, itself = len(self.containers), self._is_outside(x)
            copy = self._copies[id(x)] = x if itself else empty_like(x)  # before what it holds, which may be itself
            self.containers.append(copy)
            self._kinds.append(type(copy))
            self._filled.append({})
            self._within += itself
            stand_ins = self._inside(x, kind, held, path)
            self._within -= itself
            if itself:
                self.themselves.things[place] = x
            else:
                refill(copy, stand_ins)
            self._filled[place] = held_by(copy)
        return copy

    def _inside(self, x: Any, kind: Any, held: dict[Any, Any], path: str) -> dict[Any, Any]:
        paths = self.left_out.call.left_out_of(x)
        return {k: v if kind is set or is_static(k) else self.left_out.value(v, paths[k], self._looks_at_types)
                if k in paths and may_be_unread(v) else self._of(v, path + step_to(kind, k)) for k, v in held.items()}

    def _by_key(self, x: dict[Any, Any], path: str) -> Any:
        """A dict whose order means nothing."""
        copy = self._copies.get(id(x))
        if copy is None:
            copy = self._copies[id(x)] = {}
            place = len(self.containers)
            self.containers.append(copy)
            self._kinds.append(type(copy))
            self._filled.append({})
            held = self._inside(x, dict, {k: x[k] for k in names_in(x)}, path)
            copy.update((k, held[k]) for k in x)
            self._filled[place] = held_by(copy)
        return copy

    def _leaf(self, x: Any, path: str) -> Any:
        if isinstance(x, Tensor):
            return self._tensor(x, path)
        if isinstance(x, np.ndarray):
            if id(x) not in self._arrays:
                self._arrays[id(x)] = _tensor_of(x)
            return self._tensor(self._arrays[id(x)], path)
        if is_input(x):
            number = self._trace.host.source(Source(path, next(self._numbers)), x)
            return number.look() if self._looks_at_types else number
        if hasattr(type(x), "__next__"):
            raise TraceError(f"{path} of {self._trace.name} is {type(x).__name__}, an iterator: it would be read once, while the "
                             "function is traced. Pass a list, or what it gives next.")
        return x

    def _tensor(self, tensor: Tensor, path: str) -> Tensor:
        if self.themselves.has(tensor):
            return _itself(self, tensor)
        apart = self._within > 0 and is_plain(tensor)
        made, value = self._trace.stand_in(tensor, apart)
        if apart:
            self.apart.add(len(self.tensors))
        self.tensors.append(made)
        self.inputs.append(value)
        if tensor._grad is not None:
            self._trace.grads[made] = self._trace.grads_given[made] = self._leaf(tensor._grad, f"{path}.grad")
        return made


def _itself(given: StandIns, tensor: Tensor) -> Tensor:
    """A tensor that is done with as with others outside; among the inputs there is one in its place that nobody reads."""
    given.themselves.tensors[len(given.tensors)] = weakref.ref(tensor)
    made = Tensor._of(placeholder(UNREAD, tensor._device))
    made.__dict__ = {**made.__dict__, **attributes_given(tensor)}
    made._requires_grad = tensor._requires_grad
    given.tensors.append(made)
    given.inputs.append(made._storage.value)
    if tensor._grad is not None:
        _itself(given, tensor._grad)
    return tensor


class _LeftOut:
    """What stands for what a function was thought not to read in a call: `lists` to which it only appends, `unread` values."""

    def __init__(self, call: Signature, is_read: Callable[[Signature, Path], NoReturn]) -> None:
        self.call, self._is_read = call, is_read
        self.lists = {id(call.containers[place]): path for place, path in call.lists.items()}
        self.unread: list[Unread] = []
        self._appended: list[Noting] = []
        self._asked_for: list[Path] = []

    def appended(self, x: Any, is_read: bool) -> Any:
        """What stands for this list."""
        made, path = standing_for(x, empty=True), self.lists[id(x)]
        if is_read:
            self._hears(path)
        made.ask = partial(self._hears, path)
        self._appended.append(made)
        return made

    def value(self, x: Any, path: Path, is_read: bool) -> Unread:
        """What stands for this value."""
        if is_read:
            self._hears(path)
        self.unread.append(Unread(type(x), partial(self._hears, path)))
        return self.unread[-1]

    def _hears(self, path: Path) -> NoReturn:
        self._asked_for.append(path)
        self._is_read(self.call, path)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Code in this block may catch the TypeError of a function written in C that wants a real value: it has asked, too."""
        if not self.unread:
            yield
            return
        paths = list(self.call.unread_at)

        def hear(frame: FrameType, event: str, arg: Any) -> Any:
            frame.f_trace_lines = False
            if event == "exception" and issubclass(arg[0], TypeError) and not is_ours(frame.f_code.co_filename):
                self._asked_for.extend(paths)
            return hear

        before = sys.gettrace()
        if before is not None:  # a debugger's, which goes on instead
            self._is_read(self.call, paths[0])
        sys.settrace(hear)
        try:
            yield
        finally:
            sys.settrace(before)

    def ran(self) -> None:
        """The function has returned. What it asked for it may not have been told, if it catches all that is raised."""
        if self._asked_for:
            self._is_read(self.call, self._asked_for[0])
        for made in self._appended:
            made.ask = None

    def close(self) -> None:
        """The trace is over."""
        for made in self.unread:
            made.close()


UNREAD = Type.of((), dtypes.float32)


def held_by(x: Any) -> dict[Any, Any]:
    """What a container holds."""
    inside = children(x, objects=True)
    assert inside is not None
    return inside[1]


def _same(now: dict[Any, Any], before: dict[Any, Any]) -> bool:
    return tuple(now) == tuple(before) and all(x is y for x, y in zip(now.values(), before.values()))


def _tensor_of(array: Any) -> Tensor:
    """A tensor to stand for an array argument; made outside the trace, which takes contents made inside for one more input."""
    with outside_trace():
        return Tensor._of(Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), Defaults.device, np.array(array)))
