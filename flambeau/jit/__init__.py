"""`torch.jit`: call it to compile a function or a module as one program; beside that, what scripts ask of torch's own.

>>> import flambeau as torch
>>> @torch.jit
... def double(x):
...     return x * 2
>>> double(torch.ones(2))
tensor([2., 2.])

TorchScript is a language of torch's, with a compiler and a file format of its own. Here Python runs as it is, so that
`script`, `trace` and the marks for its compiler (`ignore`, `unused`, `export`) give back what they are given; what is for files
of it (`save`, `load`) is refused. https://pytorch.org/docs/stable/jit.html
"""

from __future__ import annotations

import builtins
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from ..nn import Module
from ..tracer import jit as room

T = TypeVar("T")


class _Callable(types.ModuleType):
    """A module that is the function `jit` when it is called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compile a function or a module: see `flambeau.jit.jit`."""
        return room.jit.jit(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """The function itself, which is loaded when it is asked for."""
        if name == "jit":
            return room.jit.jit
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = _Callable


class ScriptModule(Module):
    """A module, which runs as Python."""


RecursiveScriptModule = ScriptModule


class ScriptFunction:
    """What torch's compiler makes of a function. There are none here: `script` gives functions back as they are."""


def script(obj: T, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> T:
    """The function, module or class itself: it runs as Python, eagerly and in compiled steps."""
    return obj


def trace(func: T, example_inputs: Any = None, optimize: Any = None, check_trace: bool = True, check_inputs: Any = None,
          check_tolerance: float = 1e-5, strict: bool = True, **named: Any) -> T:
    """The function or module itself, which need not be recorded to be run or compiled."""
    return func


def trace_module(mod: T, inputs: Any, *args: Any, **named: Any) -> T:
    """The module itself."""
    return mod


def script_if_tracing(fn: T) -> T:
    """The function itself."""
    return fn


_script_if_tracing = script_if_tracing


def _overload_method(func: T) -> T:
    """The function itself: what it says to torch's compiler nobody asks here."""
    return func


def ignore(drop: Any = False, **named: Any) -> Any:
    """A decorator that changes nothing, with arguments or without."""
    return drop if callable(drop) else (lambda fn: fn)


def unused(fn: T) -> T:
    """The function itself."""
    return fn


def export(fn: T) -> T:
    """The function itself."""
    return fn


def interface(obj: T) -> T:
    """The class itself."""
    return obj


def freeze(mod: T, preserved_attrs: Any = None, optimize_numerics: bool = True) -> T:
    """The module itself, in eval mode as torch requires it."""
    if getattr(mod, "training", False):
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module "
                           "before freezing.")
    return mod


def optimize_for_inference(mod: T, other_methods: Any = None) -> T:
    """The module itself."""
    return mod


def is_scripting() -> bool:
    """False: nothing is compiled by torch's own compiler."""
    return False


def is_tracing() -> bool:
    """False: nothing is recorded by torch's own tracer. While a step is compiled here `compiler.is_compiling()` says so."""
    return False


def annotate(the_type: Any, the_value: T) -> T:
    """The value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether an object is of a class; of `list[int]` and the like, of the container."""
    kinds = target_type if type(target_type) is tuple else (target_type,)
    return any(builtins.isinstance(obj, getattr(kind, "__origin__", None) or kind) for kind in kinds)


class Attribute:
    """A value with a type for torch's compiler."""

    def __init__(self, value: Any, type: Any) -> None:
        self.value, self.type = value, type


def fork(func: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """The result of the call, which is made at once: what it computes is one program with what comes after."""
    return Future(func(*args, **kwargs))


def wait(future: Future[T]) -> T:
    """The result of what was forked."""
    return future.wait()


class Future(Generic[T]):
    """A result that is there."""

    def __init__(self, value: T) -> None:
        self._value = value

    def wait(self) -> T:
        """The result."""
        return self._value


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """RuntimeError: there are no TorchScript files here."""
    raise RuntimeError("torch.jit.save writes TorchScript, which Flambeau does not have: save m.state_dict() with torch.save, or "
                       "compile ahead of time with flambeau.aot")


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """RuntimeError: there are no TorchScript files here."""
    raise RuntimeError("torch.jit.load reads TorchScript, which Flambeau does not have: build the model in Python and load its "
                       "state dict with torch.load")


@contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """A block in which nothing is other than outside."""
    yield


@contextmanager
def fuser(name: str) -> Iterator[None]:
    """A block in which XLA fuses as it always does."""
    yield


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted: XLA fuses by itself."""


def onednn_fusion_enabled() -> bool:
    """False: XLA fuses by itself."""
    return False


def set_fusion_strategy(strategy: Any) -> None:
    """Accepted: XLA fuses by itself."""


class Error(RuntimeError):
    """What torch's compiler raises; never raised here."""


class TracerWarning(Warning):
    """What torch's tracer warns with; never here."""

    @staticmethod
    def ignore_lib_warnings() -> None:
        """Accepted."""
        warnings.filterwarnings("ignore", category=TracerWarning)


__all__ = ["Attribute", "Error", "Final", "Future", "RecursiveScriptModule", "ScriptFunction", "ScriptModule", "TracerWarning",
           "annotate", "enable_onednn_fusion", "export", "fork", "freeze", "fuser", "ignore", "interface", "is_scripting",
           "is_tracing", "isinstance", "jit", "load", "onednn_fusion_enabled", "optimize_for_inference", "optimized_execution",
           "save", "script", "script_if_tracing", "set_fusion_strategy", "trace", "trace_module", "unused", "wait"]
