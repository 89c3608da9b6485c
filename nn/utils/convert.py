"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...tracer.functions.joining import cat
from ...tracer.tensor.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write consecutive pieces of a vector into the parameters."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for parameter in parameters:
        size = parameter.numel()
        parameter.data = vec.narrow(0, start, size).reshape(parameter.shape).detach()
        start += size
