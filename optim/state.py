"""The containers that an optimizer keeps its own in; compiled steps are told when an entry of one becomes another."""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.methods import assign
from ..tracer.tensor.context import context
from ..tracer.tensor.epochs import structure_epoch
from ..tracer.tensor.owners import references
from ..tracer.tensor.storage import Storage
from ..tracer.tensor.tensor import Tensor

State = dict[str, Any]
PRIVATE_STEP = "_step"  # a counter that torch's state does not have; never saved


class ParameterState(dict[str, Any]):
    """The state of one parameter by name, `{"exp_avg": ..., "step": ...}`."""

    _structural = True  # part of what a step takes for given of an optimizer


class States(defaultdict[Any, dict[str, Any]]):
    """The state of all parameters."""

    _structural = True

    def __init__(self, *entries: Any) -> None:
        super().__init__(ParameterState, *[x for x in entries if not isinstance(x, type)])  # a default dict's copy gives its own

    def __missing__(self, key: Any) -> dict[str, Any]:
        """Empty state, made for real also in a trace: an optimizer may put its own there."""
        made, trace = ParameterState(), context.trace
        self[key] = made
        if trace is not None:
            trace.made.append(lambda: self.pop(key, None))
            trace.adopt(self, [key])
            trace.adopt(made, [])
        return made

    def __copy__(self) -> States:
        return States(self)

    copy = __copy__

    def __or__(self, other: Any) -> States:  # type: ignore[override]
        return States(dict(self) | other) if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: Any) -> States:  # type: ignore[override]
        return States(other | dict(self)) if isinstance(other, dict) else NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        return States, (dict(self),)

    def __repr__(self) -> str:
        return f"defaultdict({dict}, {dict(self)!r})"


_kept = {"": object()}
_OF_A_LOOK = references(_kept[""]) - 1  # how many more than there are a look at an entry counts


def took_over(states: Any, new: States) -> bool:
    """Let the tensors in `states` hold what those in `new` do, if they are alike and nobody else has them."""
    if type(states) is not States or list(states) != list(new):
        return False
    if not _only_in(states):
        gc.collect()  # of past traces
        if not _only_in(states):
            return False
    pairs: dict[int, tuple[Tensor, Tensor]] = {}
    for entry, other in zip(states.values(), new.values()):
        if not isinstance(other, dict) or list(entry) != list(other):
            return False
        for name, x in other.items():
            if not isinstance(x, Tensor) or not isinstance(entry[name], Tensor):
                if isinstance(x, Tensor) or isinstance(entry[name], Tensor):
                    return False
                continue
            if not _is_plain(entry[name], x):
                return False
            if pairs.setdefault(id(entry[name]), (entry[name], x))[1] is not x:
                return False
    if len({id(x) for _, x in pairs.values()}) < len(pairs):
        return False
    with no_grad():
        for old, x in pairs.values():
            assign(old, x)
    for entry, other in zip(states.values(), new.values()):
        entry.update({name: x for name, x in other.items() if not isinstance(x, Tensor)})
    return True


def _only_in(states: States) -> bool:
    """Whether nobody else has one of the tensors."""
    holders = Counter(id(x) for entry in states.values() for x in entry.values())
    return all(references(entry[name]) - _OF_A_LOOK <= holders[id(entry[name])] for entry in states.values() for name in entry
               if isinstance(entry[name], Tensor))


def _is_plain(x: Tensor, other: Tensor) -> bool:
    """Whether a tensor is its memory and nothing more, which no other shows, and may hold what the other does."""
    return (type(x) is type(other) and x._type is other._type and x._device == other._device and x._base is None
            and not x.requires_grad and type(x._storage) is Storage and not x._storage.others(x)
            and x.stride() == other.stride())


class Members(list[Any]):
    """The groups of an optimizer, or the parameters of a group."""


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def change(*args: Any, **kwargs: Any) -> Any:
        structure_epoch[0] += 1
        return method(*args, **kwargs)

    return change


for _kind in (ParameterState, States):
    for _name in ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
        setattr(_kind, _name, _telling(getattr(_kind, _name)))
for _name in ("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "extend", "insert", "pop", "remove", "clear",
              "sort", "reverse"):
    setattr(Members, _name, _telling(getattr(Members, _name)))
