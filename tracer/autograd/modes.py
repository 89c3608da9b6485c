"""The grad modes, as context managers and as decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from ..ir.state import state

F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """A grad mode, as a context manager and as a decorator."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(state.grad)
        state.grad = self.enabled

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        state.grad = self._before.pop()

    def __call__(self, function: F) -> F:
        enabled = self.enabled

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with _Mode(enabled):
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


class no_grad(_Mode):
    """In this block (or decorated function) nothing records gradients.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        if function is None:
            return made
        no_grad.__init__(made)
        return made(function)


class enable_grad(_Mode):
    """In this block gradients are recorded, also inside `no_grad`."""

    def __init__(self) -> None:
        super().__init__(True)


class inference_mode(_Mode):
    """As `no_grad`; `mode=False` does nothing."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode and state.grad)


class set_grad_enabled(_Mode):
    """Turn gradients on or off, at once and until the end of a `with` block."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._outer = state.grad
        state.grad = mode

    def __enter__(self) -> None:
        self._before.append(self._outer)
        state.grad = self.enabled

    def __call__(self, function: F) -> F:
        state.grad = self._outer  # a decorator says what the function does, not what comes after it
        return super().__call__(function)


def is_grad_enabled() -> bool:
    """Whether gradients are recorded now."""
    return state.grad
