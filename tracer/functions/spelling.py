"""Other spellings of a call that torch takes: numpy's names of arguments and those of overloads, types as dtypes, old orders.

They cost nothing where they are not used: a call is made as it is written, and only one that fails is looked at again.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..ir.dtypes import dtype, python_dtype
from ..ir.told import tell
from ..tensor.tensor import Tensor
from .operands import NUMBERS

F = TypeVar("F", bound=Callable[..., Any])
Call = tuple[tuple[Any, ...], dict[str, Any]]

REFUSED: Final = (TypeError, AttributeError)  # what a call that is spelled otherwise fails with
_SYNONYMS: Final = {
    "axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other",  # numpy's
    "axis0": "dim0", "axis1": "dim1", "element": "elements", "indices": "indices_or_sections", "sections": "indices_or_sections",
    "self": "input", "split_size": "split_size_or_sections",
    "tensor_indices_or_sections": "indices_or_sections", "test_element": "test_elements",
}
# Numbers that were once positional: at which positions of a call, and under which names they are given now.
_ALPHA: Final = {1: "alpha"}
_VALUE: Final = {1: "value"}
_PRODUCTS: Final = ({0: "beta", 2: "alpha"}, {0: "beta"}, {1: "beta", 2: "alpha"}, {1: "beta"})
_MOVED: Final = {
    "add": (_ALPHA,), "sub": (_ALPHA,), "addcmul": (_VALUE,), "addcdiv": (_VALUE,),
    **dict.fromkeys(("addmm", "addmv", "addr", "addbmm", "baddbmm"), _PRODUCTS),
}


def spelled(function: F) -> F:
    """A function that takes other spellings of its arguments, where no other wrapper of it does so."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except REFUSED:
            args, kwargs = respelled(function, args, kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def tensors_first(function: Callable[..., Any]) -> int:
    """How many arguments, from the first, must be tensors by the signature of the function."""
    count = 0
    for parameter in inspect.signature(function).parameters.values():
        if parameter.annotation != "Tensor" or parameter.default is not inspect.Parameter.empty:
            break
        count += 1
    return count


def check_tensors(function: Callable[..., Any], args: tuple[Any, ...], count: int) -> None:
    """torch's TypeError for a number among the first `count` arguments."""
    names = list(inspect.signature(function).parameters)
    if len(args) > 1 and not any(isinstance(x, Tensor) for x in args):
        raise TypeError(f"{function.__name__}() received an invalid combination of arguments - got "
                        f"({', '.join(type(x).__name__ for x in args)}), but expected a Tensor among {', '.join(names[:2])}")
    for i, x in enumerate(args[:count]):
        if not isinstance(x, Tensor):
            raise TypeError(f"{function.__name__}(): argument '{names[i]}' (position {i + 1}) must be Tensor, not "
                            f"{type(x).__name__}")


def respelled(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None = None) -> Call:
    """The call in our spelling; the error that is being handled again if it is in that already. `name` is told in warnings."""
    moved = _without_old_numbers(name or function.__name__, args)
    given = {**kwargs, **moved[1]}
    known = inspect.signature(function).parameters
    named = {_own_name(name, known): _as_dtype(name, value) for name, value in given.items()}
    if len(named) < len(given) or (named == kwargs and len(moved[0]) == len(args)):
        _check_given(function, {**dict(zip(known, args)), **kwargs})
        raise  # the error of the call as it was written
    return _tensor_first(moved[0], named, next(iter(known), ""))


def _check_given(function: Callable[..., Any], given: dict[str, Any]) -> None:
    """torch's TypeError for something else where the signature has a tensor or a dtype: looked for once a call has failed."""
    for i, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        x = given.get(name, parameter.default)
        if name == "dtype" and not isinstance(x, (dtype, type, type(None))):
            raise TypeError(f"{function.__name__}(): argument 'dtype' must be torch.dtype, not {type(x).__name__}") from None
        if parameter.annotation == "Tensor" and not isinstance(x, Tensor) and x is not inspect.Parameter.empty:
            raise TypeError(f"{function.__name__}(): argument '{name}' (position {i + 1}) must be Tensor, not "
                            f"{type(x).__name__}") from None


def _own_name(name: str, known: Any) -> str:
    own = _SYNONYMS.get(name)
    if own is None or name in known:
        return name
    if own not in known and own == "input":
        return "self" if "self" in known else name
    return own if own in known else name


def _as_dtype(name: str, value: Any) -> Any:
    return python_dtype(value) if name == "dtype" and isinstance(value, type) else value


def _without_old_numbers(name: str, args: tuple[Any, ...]) -> Call:
    """Positional numbers that are keywords now; the warning is torch's."""
    for places in _MOVED.get(name.rstrip("_"), ()):
        if len(args) > max(places) + 1 and all(isinstance(args[i], NUMBERS) for i in places) and \
                all(isinstance(x, Tensor) for i, x in enumerate(args) if i not in places):
            names = ", ".join(f"Number {n}" for n in places.values())
            tell(f"This overload of {name} is deprecated:\n\t{name}({names}, ...)\nConsider using one of the following "
                 f"signatures instead:\n\t{name}(..., *, {names})")
            return tuple(x for i, x in enumerate(args) if i not in places), {n: args[i] for i, n in places.items()}
    return args, {}


def under_new_names(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """The call with positional numbers given as keywords, as `name` tells in its warning; the same call if there are none."""
    args, moved = _without_old_numbers(name, args)
    return args, {**kwargs, **moved}


def with_alpha_first(name: str, *given: Any) -> tuple[Any, Any]:
    """(other, alpha) of a sum or difference with a number and alpha, or in torch's old order with its warning."""
    if len(given) == 2 and all(isinstance(x, NUMBERS) for x in given):
        return given[0], given[1]
    if len(given) != 2 or not isinstance(given[0], NUMBERS) or not isinstance(given[1], Tensor):
        raise TypeError(f"{name}() received an invalid combination of arguments - expected two operands, and alpha by its name")
    _, moved = _without_old_numbers(name, (given[1], *given))
    return given[1], moved["alpha"]


def _tensor_first(args: tuple[Any, ...], kwargs: dict[str, Any], first: str) -> Call:
    """The first argument in its place: wrappers look there for the tensor."""
    if not args and first in ("input", "self") and first in kwargs:
        return (kwargs.pop(first),), kwargs
    return args, kwargs
