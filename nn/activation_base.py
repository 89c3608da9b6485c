"""The base of activation layers: a function, and the options that it is called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from ..tracer.tensor.tensor import Tensor
from .module import Module


class Activation(Module):
    """A function with options. A class says `options=`, their names and defaults in torch's order, and so has its constructor."""

    _options: ClassVar[dict[str, Any]] = {}
    forward: Callable[..., Tensor]

    def __init_subclass__(cls, options: dict[str, Any] | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)
        if options is not None:
            cls._options = options
            if "__init__" not in cls.__dict__:
                cls.__init__ = _constructor(options)  # type: ignore[method-assign]

    def extra_repr(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" if isinstance(usual, str) else f"{name}={getattr(self, name)}"
                 for name, usual in self._options.items() if name != "inplace"]
        return ", ".join(shown + ["inplace=True"] * bool("inplace" in self._options and self.inplace))


def _constructor(options: dict[str, Any]) -> Callable[..., None]:
    """An `__init__` that sets the options as attributes, and that tools show with the options as parameters."""

    def __init__(self: Activation, *args: Any, **kwargs: Any) -> None:
        Module.__init__(self)
        name = f"{type(self).__name__}.__init__()"
        if len(args) > len(options):
            most = len(options) + 1
            takes = f"from 1 to {most} positional arguments" if options else "1 positional argument"
            raise TypeError(f"{name} takes {takes} but {len(args) + 1} were given")
        given = dict(zip(options, args))
        for key, value in kwargs.items():
            if key not in options:
                raise TypeError(f"{name} got an unexpected keyword argument '{key}'")
            if key in given:
                raise TypeError(f"{name} got multiple values for argument '{key}'")
            given[key] = value
        for key, default in options.items():
            setattr(self, key, given.get(key, default))

    __init__.__signature__ = _signature(options)  # type: ignore[attr-defined]
    return __init__


def _signature(options: dict[str, Any]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shown = [inspect.Parameter(key, kind, default=default, annotation=int | None if default is None else type(default))
             for key, default in options.items()]
    return inspect.Signature([inspect.Parameter("self", kind), *shown], return_annotation=None)
