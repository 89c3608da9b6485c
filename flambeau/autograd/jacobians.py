"""Jacobians as `torch.autograd.gradcheck` gives them, a row for each element of an input: deprecated in torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..tracer.autograd.backward import grad
from ..tracer.autograd.modes import no_grad
from ..tracer.functions.creation import tensor, zeros_like
from ..tracer.tensor.tensor import Tensor


def _differentiable(x: Any) -> Iterator[Tensor]:
    """The tensors in nested sequences that require a gradient."""
    if isinstance(x, Tensor):
        yield from [x] if x.requires_grad else []
    elif isinstance(x, Sequence):
        for item in x:
            yield from _differentiable(item)


def _deprecated(name: str, grad_out: float) -> None:
    warnings.warn(f"`{name}` was part of PyTorch's private API and not meant to be exposed. We are deprecating it and it will be "
                  "removed in a future version of PyTorch: use torch.func.jacrev, or torch.autograd.functional.jacobian.",
                  FutureWarning, stacklevel=3)
    if grad_out != 1.0:
        raise ValueError(f"Expected grad_out to be 1.0. {name} no longer supports values of grad_out != 1.0.")


def get_numerical_jacobian(fn: Callable[[Any], Any], inputs: Any, target: Any = None, eps: float = 1e-3,
                           grad_out: float = 1.0) -> tuple[Tensor, ...]:
    """The Jacobian of the first output of `fn(inputs)`, by central differences: one matrix (elements of it, of the output) for
    each input, or each of `target`, that requires a gradient.

    >>> import flambeau as torch
    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> with warnings.catch_warnings(action="ignore"):
    ...     get_numerical_jacobian(lambda inputs: inputs[0] * 3, (x,))[0].round(decimals=6)
    tensor([[3., 0.],
            [0., 3.]], dtype=torch.float64)
    """
    _deprecated("get_numerical_jacobian", grad_out)
    return tuple(_by_differences(lambda: _tensors(fn(inputs)), x, eps)[0]
                 for x in _differentiable(inputs if target is None else target))


def get_numerical_jacobian_wrt_specific_input(fn: Callable[..., Any], input_idx: int, inputs: Any, outputs: Any, eps: float,
                                              input: Any = None, is_forward_ad: bool = False) -> tuple[Tensor, ...]:
    """The Jacobians of all outputs of `fn(*inputs)` with respect to one input, by central differences."""
    return _by_differences(lambda: _tensors(fn(*inputs)), inputs[input_idx] if input is None else input, eps)


def _tensors(result: Any) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(x for x in result if isinstance(x, Tensor))


def _by_differences(run: Callable[[], tuple[Tensor, ...]], x: Tensor, eps: float) -> tuple[Tensor, ...]:
    """A matrix for each output, a row for each element of `x`, which is written and is then as it was."""
    before = x.detach().clone()
    rows: list[list[Any]] = []
    for place in np.ndindex(*x.shape):
        sides = []
        for step in (eps, -eps):
            with no_grad():
                x[place] = before[place] + step
                sides.append([out.detach().reshape(-1).numpy().copy() for out in run()])
        with no_grad():
            x[place] = before[place]
        rows.append([(high - low) / (2 * eps) for high, low in zip(*sides)])
    return tuple(tensor(np.stack(column)) for column in zip(*rows))


def get_analytical_jacobian(inputs: Any, output: Tensor, nondet_tol: float = 0.0,
                            grad_out: float = 1.0) -> tuple[tuple[Tensor, ...], bool, bool, bool]:
    """The Jacobian of an output by its backward: a matrix (elements of it, of the output) for each input that requires a
    gradient; whether a second time gives the same up to `nondet_tol`; whether sizes, and dtypes, are those of the inputs.
    """
    _deprecated("get_analytical_jacobian", grad_out)
    if output.is_complex():
        raise ValueError("Expected output to be non-complex. get_analytical_jacobian no longer supports functions that return "
                         "complex outputs.")
    starts = list(_differentiable(inputs))
    first, second = _by_backward(starts, output), _by_backward(starts, output)
    same = all(bool((a - b).abs().max() <= nondet_tol) if a.numel() else True for a, b in zip(first, second))
    kinds = all(a.dtype is x.dtype for a, x in zip(first, starts))
    return first, same, all(a.shape[0] == x.numel() for a, x in zip(first, starts)), kinds


def _by_backward(starts: list[Tensor], output: Tensor) -> tuple[Tensor, ...]:
    count = math.prod(output.shape)
    columns: list[list[Any]] = [[] for _ in starts]
    for i in range(count):
        unit = np.zeros(count)
        unit[i] = 1
        found = grad(output, starts, tensor(unit, dtype=output.dtype).reshape(output.shape), retain_graph=True, allow_unused=True)
        for column, x, gradient in zip(columns, starts, found):
            column.append((zeros_like(x) if gradient is None else gradient).detach().reshape(-1).numpy())
    return tuple(tensor(np.stack(column, -1)) for column in columns)
