"""torch's checks of what must hold, `_check` and its kin: private names that many packages use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .tracer.tensor.scalar import Scalar
from .tracer.tensor.tensor import Tensor

Message = Callable[[], Any] | None


def _assert(condition: Any, message: Any) -> None:
    """AssertionError with a message unless a condition, also a tensor of one element, holds.

    >>> import flambeau as torch
    >>> torch._assert(torch.tensor(1) > 0, "never")
    """
    if not condition:
        raise AssertionError(message)


def _fail_unless(error: type[Exception], cond: Any, message: Message) -> None:
    if not isinstance(cond, bool) and type(cond) is not Scalar:
        raise TypeError(f"cond must be a bool, but got {type(cond)}")
    if cond:
        return
    if message is None:
        raise error("Expected cond to be True, but got False")
    if not callable(message):
        raise TypeError("message must be a callable")
    raise error(str(message()))


def _check(cond: Any, message: Message = None) -> None:
    """RuntimeError with what `message()` gives unless `cond`, a bool, is true."""
    _fail_unless(RuntimeError, cond, message)


def _check_index(cond: Any, message: Message = None) -> None:
    """`_check` with IndexError."""
    _fail_unless(IndexError, cond, message)


def _check_value(cond: Any, message: Message = None) -> None:
    """`_check` with ValueError."""
    _fail_unless(ValueError, cond, message)


def _check_type(cond: Any, message: Message = None) -> None:
    """`_check` with TypeError."""
    _fail_unless(TypeError, cond, message)


def _check_not_implemented(cond: Any, message: Message = None) -> None:
    """`_check` with NotImplementedError."""
    _fail_unless(NotImplementedError, cond, message)


def _check_is_size(i: Any, message: Message = None, *, max: int | None = None) -> None:
    """RuntimeError unless a number may be a size: not negative, and at most `max`."""
    _check(bool(i >= 0), message)
    if max is not None:
        _check(bool(i <= max), message)


def _check_tensor_all(cond: Any, message: Message = None) -> None:
    """RuntimeError unless all elements of a tensor of bools are true."""
    if not isinstance(cond, Tensor):
        raise TypeError(f"cond must be a tensor, but got {type(cond)}")
    if str(cond.dtype) != "torch.bool":
        raise TypeError(f"cond tensor must have dtype torch.bool, but got {cond.dtype}")
    _fail_unless(RuntimeError, bool(cond.all().item()), message)
