"""`compile`: `jit` under torch's name and with torch's arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from .. import jit as room

MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
BACKENDS = ("inductor", "openxla", "cudagraphs", "aot_eager", "eager")
OPTIONS = ("static", "donate", "max_compiles", "check_nan", "max_kept")
# What torch's documentation names; its compiler asks for it, ours does what fits without being asked.
HINTS = {"epilogue_fusion": bool, "max_autotune": bool, "fallback_random": bool, "shape_padding": bool,
         "triton.cudagraphs": bool, "trace.enabled": bool, "trace.graph_diagram": bool}


def compile(model: Callable[..., Any] | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
            backend: str | None = None, mode: str | None = None, options: Mapping[str, Any] | None = None,
            name: str | None = None, disable: bool = False, recompile_limit: int | None = None,
            isolate_recompiles: bool = False, shapes_spec: Any = None) -> Any:
    """`jit` of a function or module, with the arguments of `torch.compile`; use as a decorator or a function.

    What these say of torch's compiler is so here in any case, or means nothing: a function is always one graph
    (`fullgraph`), every shape a program of its own (`dynamic`), and XLA the compiler (`backend`, `mode`). The backends
    "eager" and "aot_eager", and `disable`, give the function as it is. `options` takes the arguments of `jit` (`static`,
    `donate`, `max_compiles`, ...); hints for torch's own compiler, such as "shape_padding", change nothing.
    `recompile_limit` with `fullgraph` is `max_compiles`; `name` is what messages call the function.

    RuntimeError for an unknown mode, backend or option, or if mode and options are both given; TypeError for a backend
    that is a function, or shapes_spec: there is no FX graph to hand to it.

    >>> import flambeau as torch
    >>> @torch.compile(fullgraph=True, mode="reduce-overhead")
    ... def double(x):
    ...     return 2 * x
    >>> double(torch.ones(2))
    tensor([2., 2.])

    https://pytorch.org/docs/stable/generated/torch.compile.html
    """
    given = {"fullgraph": fullgraph, "dynamic": dynamic, "backend": backend, "mode": mode, "options": options, "name": name,
             "disable": disable, "recompile_limit": recompile_limit, "isolate_recompiles": isolate_recompiles,
             "shapes_spec": shapes_spec}
    if model is None:
        return functools.partial(_decorate, **given)
    if not callable(model):
        raise TypeError(f"compile requires a function or a module, got {type(model).__name__}")
    _check(dynamic, backend, mode, options, shapes_spec)
    if disable or backend in ("eager", "aot_eager"):
        return model
    own = {key: value for key, value in (options or {}).items() if key in OPTIONS}
    if fullgraph and recompile_limit is not None:
        own.setdefault("max_compiles", recompile_limit)
    return room.jit.jit(model, name=name, **own)


def _decorate(model: Callable[..., Any] | None, **given: Any) -> Any:
    if model is None:
        raise RuntimeError("Model can't be None")
    return compile(model, **given)


def _check(dynamic: Any, backend: Any, mode: Any, options: Any, shapes_spec: Any) -> None:
    """Refuse what torch refuses, and what cannot be done here."""
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if dynamic is not None and not isinstance(dynamic, bool):
        raise TypeError(f"compile requires dynamic to be True, False or None, got {dynamic!r}")
    if shapes_spec is not None:
        raise TypeError("compile takes no shapes_spec: every shape is a program of its own here. Leave it out.")
    _check_backend(backend)
    if mode is not None and mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES)}")
    if options is not None:
        _check_options(options)


def _check_backend(backend: Any) -> None:
    if callable(backend):
        raise TypeError("compile requires a backend by name, got a function: what it would be given is an FX graph of torch, "
                        "which there is not. Leave backend out: XLA compiles the program, and jit(f).graph shows it.")
    if backend is not None and backend not in BACKENDS:
        raise RuntimeError(f"Invalid backend: {backend!r}, should be one of: {', '.join(BACKENDS)}. XLA is the compiler, "
                           "whichever it is.")


def _check_options(options: Any) -> None:
    if not isinstance(options, Mapping):
        raise TypeError(f"compile requires options to be a dict, got {type(options).__name__}")
    for key, value in options.items():
        hint = str(key).replace("-", "_")
        if key not in OPTIONS and hint not in HINTS:
            raise RuntimeError(f"Unexpected optimization option {key}, known options are {[*OPTIONS, *HINTS]}")
        if hint in HINTS and not isinstance(value, HINTS[hint]):
            raise RuntimeError(f"Unexpected type of attr {key}, got {type(value).__name__} should be {HINTS[hint].__name__}")
