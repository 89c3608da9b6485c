"""Linear layers: https://pytorch.org/docs/stable/nn.html#linear-layers"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.creation import empty
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Identity(Module):
    """The layer that changes nothing: a place holder where a model expects a layer.

    y = x

    Takes arguments of any kind and ignores them, so that it can stand for a layer that takes some. Input and output
    have the same shape, any (*), and are the same tensor: nothing is copied, and gradients pass unchanged.

    >>> import flambeau as torch
    >>> torch.nn.Identity(54, unused="option")(torch.ones(2))
    tensor([1., 1.])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Identity.html
    """

    def forward(self, input: Tensor) -> Tensor:
        """x."""
        return input


class Linear(Module):
    """An affine map of the last dimension: every output is a weighted sum of all inputs, plus a constant.

    y = x @ weight.T + bias

    Args: `in_features` and `out_features`, the sizes of the last dimension before and after; `bias`, whether a constant
    is added; `device` and `dtype`, of the parameters.
    Attributes: `weight` (out_features, in_features) and `bias` (out_features,) or None, both drawn uniformly from +-1 /
    sqrt(in_features).
    Takes (*, in_features), returns (*, out_features). RuntimeError if the last dimension has another size.

    >>> import flambeau as torch
    >>> torch.nn.Linear(3, 5)(torch.ones(2, 3)).shape
    torch.Size([2, 5])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Linear.html
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.bias: Any
        if bias:
            self.bias = Parameter(empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """(*, in_features) to (*, out_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear under the name that torch prints for the last one of attention."""


class Bilinear(Module):
    """A map that is linear in each of two inputs: every output is a weighted sum of all products of their elements.

    y[o] = x1 @ weight[o] @ x2 + bias[o]

    Args: `in1_features` and `in2_features`, the sizes of the inputs' last dimensions; `out_features`, that of the
    output; `bias`, whether a constant is added; `device` and `dtype`, of the parameters.
    Attributes: `weight` (out_features, in1_features, in2_features) and `bias` (out_features,) or None, drawn uniformly
    from +-1 / sqrt(in1_features).
    Takes (*, in1_features) and (*, in2_features), returns (*, out_features).

    >>> import flambeau as torch
    >>> torch.nn.Bilinear(3, 4, 5)(torch.ones(2, 3), torch.ones(2, 4)).shape
    torch.Size([2, 5])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Bilinear.html
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """(*, I1) and (*, I2) to (*, O)."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
                f"out_features={self.out_features}, bias={self.bias is not None}")
