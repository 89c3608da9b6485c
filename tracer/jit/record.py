"""Running a function once, on symbolic values, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functions.defaults import Defaults
from ..guards.outside import Outside
from ..guards.places import Text, shown
from ..ir import dtypes
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.source import describe
from ..ir.types import Type
from ..tensor.nested import map_structure, paths
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor
from .plan import Plan, planned
from .signature import Signature, is_input
from .trace import Trace, tracing
from .validity import Validity


@dataclass(frozen=True)
class Options:
    """What `jit` was told: arguments that are compiled in, whether written state gives up its memory, whether to look for NaN."""

    static: frozenset[int | str] = frozenset()
    donate: bool = True
    check_nan: bool = False


@dataclass(frozen=True)
class Recorded:
    """A trace: what to compile, when it holds, and what takes back the state that was made outside for it."""

    plan: Plan
    validity: Validity
    made: list[Callable[[], Any]]

    def take_back(self) -> None:
        """Undo what was made outside, since the trace comes to nothing."""
        _take_back(self.made)


def _take_back(made: list[Callable[[], Any]]) -> None:
    while made:
        made.pop()()


def outside_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outside:
    """What the function may read of the world as it is now, before the trace."""
    return Outside(function, ((p, x) for p, x in argument_leaves(args, kwargs) if not isinstance(x, (np.ndarray, Tensor))))


def recorded(function: Callable[..., Any], name: str, call: Signature, args: tuple[Any, ...], kwargs: dict[str, Any],
             outside: Outside, options: Options) -> Recorded:
    """Trace a call of the function. Nothing outside has changed if this raises."""
    trace = Trace(name)
    try:
        stand_ins = _StandIns(trace, outside.looks_at_types)
        with tracing(trace):
            given = [stand_ins.of(x, f"args[{i}]", i in options.static) for i, x in enumerate(args)]
            named = {k: stand_ins.of(x, k, k in options.static) for k, x in kwargs.items()}
            result = function(*given, **named)
            trace.check_rebound()
            _refuse_rebinding(trace, outside)
            plan, guards = planned(trace, result, call, stand_ins.tensors, stand_ins.inputs, stand_ins.numbers, options.donate,
                                   options.check_nan)
            # Only now: a number that was computed with and is returned has been looked at.
            validity = Validity(trace, plan, call, outside, [*guards, *trace.guards])
        if (clash := validity.memory.clash(call.tensors)) is not None:
            raise TraceError(f"{call.paths[clash]} of {name} is a view of a tensor that the function also reaches another way, "
                             "and one of the two is written in place. Pass that tensor itself and take the view inside the "
                             "function, or pass view.clone().")
        return Recorded(plan, validity, trace.made)
    except BaseException:
        _take_back(trace.made)
        trace.put_back()
        outside.put_back(trace.made_inside)
        raise


def _refuse_rebinding(trace: Trace, outside: Outside) -> None:
    for name, tensor in outside.put_back(trace.made_inside):
        node = tensor._storage.value.node
        made = f", made at {describe(node.where)}," if node is not None else ""
        raise TraceError(f"{name} was bound to another tensor{made} while {trace.name} was traced: each call would have to bind "
                         "it again, which a compiled program cannot do. Write into the tensor that is there: x.copy_(...).")


class _StandIns:
    """What a traced function is given in place of its arguments."""

    def __init__(self, trace: Trace, looks_at_types: bool) -> None:
        self._trace, self._looks_at_types = trace, looks_at_types
        self.tensors: list[Tensor] = []
        self.inputs: list[Value] = []
        self.numbers: list[Scalar] = []

    def of(self, x: Any, path: str, static: bool) -> Any:
        """A copy of an argument with stand-ins for its tensors, arrays and numbers; a static one is what it is."""
        return x if static else map_structure(x, self._leaf, path)

    def _leaf(self, x: Any, path: str) -> Any:
        if isinstance(x, (Tensor, np.ndarray)):
            return self._tensor(x if isinstance(x, Tensor) else _tensor_of(x), path)
        if is_input(x):
            self.numbers.append(self._trace.argument_number(path, x))
            return self.numbers[-1].look() if self._looks_at_types else self.numbers[-1]
        if hasattr(type(x), "__next__"):
            raise TraceError(f"{path} of {self._trace.name} is {type(x).__name__}, an iterator: it would be read once, while the "
                             "function is traced. Pass a list, or what it gives next.")
        return x

    def _tensor(self, tensor: Tensor, path: str) -> Tensor:
        made, value = self._trace.stand_in(tensor)
        self.tensors.append(made)
        self.inputs.append(value)
        if tensor._requires_grad and tensor._grad is not None:
            self._trace.grads[made] = self._trace.grads_given[made] = self._leaf(tensor._grad, f"{path}.grad")
        return made


def _tensor_of(array: Any) -> Tensor:
    return Tensor._of(Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), Defaults.device, np.array(array)))


# --- Describing arguments ---------------------------------------------------------------------------------------------


def described(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a call was given, by path: types of tensors and arrays, classes of numbers, all else as it is."""
    return {path: _description(x) for path, x in argument_leaves(args, kwargs, facts=True)}


def _description(x: Any) -> Any:
    if isinstance(x, Tensor):
        grad = ", requires grad" if x._requires_grad else ""
        strides = "" if x.is_contiguous() else f" with strides {x.stride()}"
        return Text(f"{x._type}{'' if x._device == 'cpu' else f' on {x._device}'}{strides}{grad}")
    if isinstance(x, np.ndarray):
        return Text(f"array {x.dtype}{list(x.shape)}")
    return Text(type(x).__name__) if type(x) in (int, float) else shown(x)


def argument_leaves(args: tuple[Any, ...], kwargs: dict[str, Any], facts: bool = False) -> Iterator[tuple[str, Any]]:
    """All that a call was given, by path."""
    for i, x in enumerate(args):
        yield from paths(x, f"args[{i}]", facts)
    for name, x in kwargs.items():
        yield from paths(x, name, facts)
