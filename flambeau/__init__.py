"""Flambeau: PyTorch-style programs as whole-step XLA programs. `import flambeau as torch`.

Importing loads neither jax nor jaxlib: the engine comes with the first execution.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from . import nn, optim
from .lazy_report import report, synchronize
from .runtime.checkpoint import load, save
from .tracer import autograd, func
from .tracer import backend as _backend
from .tracer import functions as _functions
from .tracer.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .tracer.dtypes import (
    bfloat16,
    can_cast,
    complex64,
    complex128,
    finfo,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float16,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .tracer.dtypes import boolean as bool
from .tracer.dtypes import dtype as dtype
from .tracer.func import vmap
from .tracer.functions.common import get_default_device, get_default_dtype, set_default_device, set_default_dtype
from .tracer.functions.common import result_type as result_type
from .tracer.interop import from_dlpack
from .tracer.jit import jit
from .tracer.printing import set_printoptions
from .tracer.tensor import Size, Tensor, device

__version__ = "0.1.0"
compile = jit
any = _functions.reduce.any_
float, double, half, long, int, short = float32, float64, float16, int64, int32, int16
cfloat, cdouble = complex64, complex128


def _engine() -> Any:
    return import_module(".runtime.engine", __name__).XlaBackend()


def _public(module: ModuleType) -> dict[str, Any]:
    """The functions that a module of `tracer.functions` defines under torch's names."""
    return {name: thing for name, thing in vars(module).items()
            if not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__}


_backend.install(_engine)
for _name in _functions.__all__:
    globals().update(_public(getattr(_functions, _name)))
