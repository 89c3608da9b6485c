"""What torch says of a dtype that a function is not made for: told once an op has refused it, so that no call pays for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.errors import OpError
from ..ir.state import state
from ..tensor.tensor import Tensor
from .operands import NUMBERS, result_dtype, scalar_name

_KERNELS: Final = {"atan2": "atan2_cpu", "fmod": "fmod_cpu", "pow": "pow", "remainder": "remainder_cpu"}
_UNORDERED: Final = frozenset({"fmax", "fmin", "maximum", "minimum"})  # of complex numbers none is the larger one


def not_implemented(kernel: str, kind: dtype) -> NotImplementedError:
    """torch's error for a dtype that a function is not made for."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(kind)}'")


FLOATING: Final = frozenset(kind for kind in dtypes.ALL if kind.is_floating_point)
FULL: Final = frozenset({dtypes.float32, dtypes.float64})  # of a width that torch computes in
COMPLEX: Final = frozenset({dtypes.complex64, dtypes.complex128})
INEXACT: Final = FLOATING | COMPLEX
REAL: Final = frozenset(kind for kind in dtypes.ALL if not kind.is_complex and kind is not dtypes.boolean)
ORDERED: Final = REAL | {dtypes.boolean}
NUMBER: Final = frozenset(dtypes.ALL) - {dtypes.boolean}


def require_kind(kernel: str, x: Tensor, kinds: frozenset[dtype] = FLOATING) -> None:
    """torch's error unless a tensor is of one of the dtypes that a kernel is made for: by default the floating ones."""
    if not isinstance(x, Tensor):
        raise TypeError(f"argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    if x.dtype not in kinds:
        raise not_implemented(kernel, x.dtype)


def refuse_gradients(function: str, **given: Tensor | None) -> None:
    """torch's RuntimeError for arguments that require a gradient where a function has none for them."""
    for name, x in given.items():
        if x is not None and state.grad and x.requires_grad:
            raise RuntimeError(f"The function '{function}' is not differentiable with respect to argument '{name}'. This input "
                               "cannot have requires_grad True.")


def unordered(function: str) -> RuntimeError:
    """torch's error for an extreme of complex numbers."""
    return RuntimeError(f"{function} not implemented for complex tensors.")


def refusal(error: OpError, function: str, given: Iterable[Any]) -> Exception:
    """torch's error for a function whose op has refused complex or bool operands; the op's own for anything else."""
    kind = result_dtype(*(x for x in given if isinstance(x, (Tensor, *NUMBERS))))
    if kind.is_complex and function in _UNORDERED:
        return unordered(function)
    if function in _KERNELS and (kind.is_complex or kind is dtypes.boolean):
        return not_implemented(_KERNELS[function], kind)
    return error
