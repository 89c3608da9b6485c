"""`torch.overrides`: whether something intercepts torch's functions. Nothing does: functions here are called as they are."""

from __future__ import annotations

from collections.abc import Callable
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
    if is_tensor_method_or_property(f):
        return f"torch.Tensor.{f.__name__}"
    return f"torch.{f.__name__}"


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that lets a function be intercepted: nothing does, so that it stays."""
    return lambda function: function


handle_torch_function = refusal("torch.overrides.handle_torch_function", _INSTEAD)
redispatch_function = refusal("torch.overrides.redispatch_function", _INSTEAD)
enable_reentrant_dispatch = refusal("torch.overrides.enable_reentrant_dispatch", _INSTEAD)
TorchFunctionMode = refusal("torch.overrides.TorchFunctionMode", _INSTEAD)

__all__ = ["enable_reentrant_dispatch", "get_ignored_functions", "get_overridable_functions", "get_testing_overrides",
           "handle_torch_function", "has_torch_function", "is_tensor_like", "is_tensor_method_or_property",
           "redispatch_function", "resolve_name", "wrap_torch_function"]
