"""`Variable`, which tensors were wrapped in before they had gradients themselves."""

from __future__ import annotations

from typing import Any

from ..tracer.tensor.tensor import Tensor


class _OfTensors(type):
    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, Tensor)


class Variable(metaclass=_OfTensors):
    """A leaf on the memory of a tensor; every tensor is an instance.

    Args: `data`, a tensor, by default an empty one; `requires_grad`, whether gradients reach it; `volatile` is ignored.
    Raises TypeError for anything but a tensor.

    >>> import flambeau as torch
    >>> torch.autograd.Variable(torch.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)

    Source: https://pytorch.org/docs/stable/autograd.html#variable-deprecated
    """

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False) -> Any:
        if data is None:
            data = Tensor()
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
