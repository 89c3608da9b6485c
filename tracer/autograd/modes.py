"""The grad modes, as context managers and as decorators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

from ..ir.state import state
from ..ir.told import tell

F = TypeVar("F", bound=Callable[..., Any])
OF_A_CLASS = ("Decorating classes is deprecated and will be disabled in future versions. You should only decorate functions or "
              "methods. To preserve the current behavior of class decoration, you can directly decorate the `__init__` method "
              "and nothing else.")


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
        if inspect.isgeneratorfunction(function):
            return in_turns(function, lambda: _Mode(enabled))  # type: ignore[return-value]
        if inspect.isclass(function):
            tell(OF_A_CLASS, FutureWarning)
            function = _maker(function)  # type: ignore[assignment]

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with _Mode(enabled):
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


def _maker(kind: type) -> Callable[..., Any]:
    """What makes instances of a class."""
    return lambda *args, **kwargs: kind(*args, **kwargs)


def in_turns(function: Callable[..., Any], block: Callable[[], AbstractContextManager[Any]]) -> Callable[..., Any]:
    """A generator function whose body is in a new block whenever it runs; who resumes it is not."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        go: Callable[[], Any] = functools.partial(next, generator)
        while True:
            try:
                with block():
                    given = go()
            except StopIteration as end:
                return end.value
            try:
                go = functools.partial(generator.send, (yield given))
            except GeneratorExit:
                with block():
                    generator.close()
                raise
            except BaseException as error:  # the generator may catch it and go on
                go = functools.partial(generator.throw, error)

    return run


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
        return super().__new__(cls) if function is None else cls()(function)


class enable_grad(_Mode):
    """In this block gradients are recorded, also inside `no_grad`."""

    def __init__(self) -> None:
        super().__init__(True)

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)


class inference_mode(_Mode):
    """As `no_grad`, and with `mode=False` as `enable_grad`."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode)

    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)


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
