"""`torch.overrides`: whether something intercepts torch's functions. Nothing does: functions here are called as they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from .absent import refusal
from .tracer.tensor.tensor import Tensor

_INSTEAD = "functions are not dispatched through __torch_function__: wrap them, or use torch.func"


def has_torch_function(relevant_args: Any, /) -> bool:
    """Whether an argument intercepts the call: none does."""
    return False


def has_torch_function_unary(x: Any, /) -> bool:
    """As `has_torch_function`, of one argument."""
    return False


def has_torch_function_variadic(*args: Any) -> bool:
    """As `has_torch_function`, of several arguments."""
    return False


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a tensor, or intercepts torch's functions.

    >>> import flambeau as torch
    >>> torch.overrides.is_tensor_like(torch.ones(1)), torch.overrides.is_tensor_like([1.0])
    (True, False)
    """
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether it is a method of tensors, or what reads a property of theirs."""
    return any(func in (found, getattr(found, "fget", None)) for found in vars(Tensor).values())


def get_ignored_functions() -> set[Callable[..., Any]]:
    """The functions that cannot be intercepted: none is named, since none can be."""
    return set()


def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """The functions that can be intercepted: none."""
    return {}


def get_testing_overrides() -> dict[Callable[..., Any], Callable[..., Any]]:
    """A function of the same arguments for each that can be intercepted: none."""
    return {}


def resolve_name(f: Callable[..., Any]) -> str:
    """What a function is called below torch."""
    if is_tensor_method_or_property(f) and vars(sys.modules[str(__package__)]).get(f.__name__) is not f:
        return f"torch.Tensor.{f.__name__}"
    return f"torch.{f.__name__}"


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that lets a function be intercepted: nothing does, so that it stays."""
    return lambda function: function


def handle_torch_function(public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """What the first of these arguments gives whose class has a `__torch_function__` that knows the function.

    TypeError if none does.

    Source: https://pytorch.org/docs/stable/torch.overrides.html#torch.overrides.handle_torch_function
    """
    found: list[Any] = []
    for x in relevant_args:
        if hasattr(type(x), "__torch_function__") and type(x) not in map(type, found):
            at = next((i for i, other in enumerate(found) if issubclass(type(x), type(other))), len(found))
            found.insert(at, x)  # a class before those it is made of
    for x in found:
        result = x.__torch_function__(public_api, tuple(map(type, found)), args, kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(f"no implementation found for '{resolve_name(public_api)}' on types that implement "
                    f"__torch_function__: {list(map(type, found))}")


def redispatch_function(func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
    """What the function gives: nothing intercepts it."""
    return func(*args, **(kwargs or {}))


enable_reentrant_dispatch = refusal("torch.overrides.enable_reentrant_dispatch", _INSTEAD)
TorchFunctionMode = refusal("torch.overrides.TorchFunctionMode", _INSTEAD)

__all__ = ["enable_reentrant_dispatch", "get_ignored_functions", "get_overridable_functions", "get_testing_overrides",
           "handle_torch_function", "has_torch_function", "is_tensor_like", "is_tensor_method_or_property",
           "redispatch_function", "resolve_name", "wrap_torch_function"]
