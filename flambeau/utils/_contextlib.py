"""`torch.utils._contextlib`: a base for context managers that decorate functions, too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..tracer.autograd.modes import in_turns


class _DecoratorContextManager:
    """A subclass defines `__enter__` and `__exit__`; a function that it decorates runs in the block, a generator step by step.

    >>> class loud(_DecoratorContextManager):
    ...     def __enter__(self):
    ...         print("in")
    ...     def __exit__(self, *error):
    ...         print("out")
    >>> loud()(lambda: print("run"))()
    in
    run
    out
    """

    def __call__(self, orig_func: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isclass(orig_func):
            raise TypeError(f"{type(self).__name__} decorates functions, got the class {orig_func.__name__}: decorate its "
                            "methods")
        if inspect.isgeneratorfunction(orig_func):
            return in_turns(orig_func, self.clone)

        @functools.wraps(orig_func)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return orig_func(*args, **kwargs)

        return run

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> Any:
        raise NotImplementedError

    def clone(self) -> Any:
        """A new one like this, for each call."""
        return self.__class__()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """One that may decorate without parentheses."""

    def __new__(cls, orig_func: Any = None) -> Any:
        return super().__new__(cls) if orig_func is None else cls()(orig_func)
