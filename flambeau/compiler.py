"""`torch.compiler`: https://pytorch.org/docs/stable/torch.compiler_api.html"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from . import absent as _absent
from .tracer.functions.creation import from_numpy
from .tracer.jit.compile import BACKENDS
from .tracer.jit.compile import compile as compile
from .tracer.tensor.context import context
from .tracer.tensor.tensor import Tensor
from .utils._pytree import tree_map_only

F = TypeVar("F", bound=Callable[..., Any])


def is_compiling() -> bool:
    """Whether a step is being traced by `jit` or `compile` in this thread."""
    return context.trace is not None


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself, which becomes part of the step that calls it: a step is one program, and is not left halfway."""
    return (lambda f: f) if fn is None else fn


def allow_in_graph(fn: F) -> F:
    """The function itself: everything is part of the program."""
    return fn


def assume_constant_result(fn: F) -> F:
    """The function itself: what it reads is guarded, and what it gives is compiled in as long as that holds."""
    return fn


def substitute_in_graph(original_fn: Any, *, can_constant_fold_through: bool = False, skip_signature_check: bool = False) -> Any:
    """A decorator that changes nothing: all Python is followed."""
    return lambda fn: fn


def reset() -> None:
    """Accepted: `step.cache_clear()` forgets the programs of one step."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The names that `compile` takes; XLA is the compiler whichever it is."""
    return sorted(BACKENDS)


def cudagraph_mark_step_begin() -> None:
    """Accepted: there are no CUDA graphs, a step is one program."""


_chosen = ["inductor"]


def set_default_backend(backend: Any) -> None:
    """Accepted and kept: XLA is the compiler whichever it is."""
    _chosen[0] = backend


def get_default_backend() -> Any:
    """What `set_default_backend` was told."""
    return _chosen[0]


def nested_compile_region(fn: Any = None, options: Any = None) -> Any:
    """The function itself: a step is one program."""
    return (lambda f: f) if fn is None else fn


def set_enable_guard_collectives(enabled: bool) -> bool:
    """Accepted: there is one process. Returns what it was: False."""
    return False


def wrap_numpy(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors from one of numpy's arrays; outside of `jit`, since it reads values.

    >>> import flambeau as torch
    >>> torch.compiler.wrap_numpy(lambda x: x.sum(0))(torch.ones(2, 3))
    tensor([2., 2., 2.])

    Source: https://pytorch.org/docs/stable/generated/torch.compiler.wrap_numpy.html
    """
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = tree_map_only(Tensor, lambda x: x.numpy(), (args, kwargs))
        return tree_map_only(np.ndarray, from_numpy, fn(*args, **kwargs))

    return call


@contextmanager
def set_stance(stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None) -> Iterator[None]:
    """Accepted for "default"; NotImplementedError for what would run compiled functions another way."""
    if stance != "default":
        raise NotImplementedError(f"set_stance({stance!r}): a compiled function always runs its program; call the function "
                                  "itself, jitted.function, to run it eagerly, and see jit(max_compiles=) for a limit")
    yield


__getattr__ = _absent.named_in(__name__)
__all__ = ["allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable",
           "get_default_backend", "is_compiling", "is_dynamo_compiling", "is_exporting", "list_backends", "nested_compile_region",
           "reset", "set_default_backend", "set_enable_guard_collectives", "set_stance", "substitute_in_graph",
           "wrap_numpy"]
