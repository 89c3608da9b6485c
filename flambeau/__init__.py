"""Flambeau: PyTorch-style programs as whole-step XLA programs. `import flambeau as torch`.

Importing loads neither jax nor jaxlib: the engine comes with the first execution.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .tracer import backend as _backend
from .tracer import functions as _functions
from .tracer.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from .tracer import autograd
from .tracer.dtypes import *  # noqa: F403
from .tracer.jit import jit
from .tracer.tensor import Size, Tensor, device

compile = jit


def _engine() -> Any:
    return import_module(".runtime.engine", __name__).XlaBackend()


_backend.install(_engine)
for _module in vars(_functions).copy().values():
    if getattr(_module, "__name__", "").startswith(_functions.__name__ + "."):
        globals().update({n: f for n, f in vars(_module).items() if not n.startswith("_") and getattr(f, "__module__", None) == _module.__name__})
