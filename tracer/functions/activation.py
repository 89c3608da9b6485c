"""Activations that are functions or methods of torch: https://pytorch.org/docs/stable/nn.functional.html"""

from __future__ import annotations

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..tensor.scalar import plain
from ..tensor.tensor import Tensor
from .arithmetic import div, mul, sub
from .choosing import where
from .comparing import le, logical_and
from .dims import checked_dim
from .layout import in_pieces, in_rows, keeps_layout, lies
from .methods import EXACT, FOUND, method, pointwise, with_out_of
from .operands import scalar_name
from .precision import fitting, rounded_once
from .reduce import amax, sum
from .refusals import not_implemented
from .ruled import check_tensor, floating_kind
from .unary import exp, log


@pointwise()
def relu(input: Tensor) -> Tensor:
    """max(x, 0). The gradient at 0 is 0, and NaN stays NaN."""
    if input.dtype is dtypes.boolean:
        raise RuntimeError("Boolean inputs not supported for relu")
    input = in_pieces(input)
    return where(le(input, 0), 0, input)


@method()
@keeps_layout
@with_out_of(FOUND)
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0.

    >>> import flambeau as torch
    >>> torch.tensor([-1.0, 0.3, 0.7]).hardshrink()
    tensor([-1.0000,  0.0000,  0.7000])
    """
    floating_kind("hardshrink", input)
    fitting(lambd, input.dtype)
    input, lambd = in_pieces(input), plain(lambd)  # of some scalars of numpy there is no negative one
    return where(logical_and(input >= -lambd, input <= lambd), 0.0, input)


@method()
@keeps_layout
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x for positive x, weight * x else, with one weight for all or one for each channel (dimension 1).

    >>> import flambeau as torch
    >>> torch.tensor([-2.0, 3.0]).prelu(torch.tensor(0.25))
    tensor([-0.5000,  3.0000])
    """
    check_tensor("prelu", "weight", 2, weight)
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if input.dtype is not weight.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {scalar_name(input.dtype)} and "
                           f"{scalar_name(weight.dtype)}")
    floating_kind("prelu", input)
    if weight.numel() != 1:
        if not input.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(f"Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                               f"{weight.numel()} and channel size = {channels}.")
    weight = weight.reshape(-1, *(1,) * (input.ndim - 2)) if input.ndim > 1 else weight.reshape(())
    input, weight = in_pieces(input), in_pieces(weight)
    return where(input > 0, input, mul(weight, input))


@method()
@with_out_of(EXACT)
@rounded_once
@lies(in_rows)
def softmax(input: Tensor, dim: int, dtype: dtype | None = None) -> Tensor:
    """Scores as probabilities: positive, and of sum 1 along a dimension.

    y[i] = exp(x[i]) / sum over j of exp(x[j])

    Args: `input` (*); `dim`, the dimension of which the sum is 1; `dtype`, into which the input is converted first;
    `out`, a tensor to write to.
    Returns a tensor of the same shape; the largest score is subtracted first, so that nothing overflows. Raises
    IndexError for a dimension that is not there.

    >>> import flambeau as torch
    >>> torch.softmax(torch.tensor([0.0, 0.0, -1000.0]), dim=0)
    tensor([0.5000, 0.5000, 0.0000])

    Source: https://pytorch.org/docs/stable/generated/torch.softmax.html
    """
    x = input.to(dtype) if dtype else input
    axis = checked_dim(dim, x.ndim)
    check_real("softmax", x, axis)
    if x.ndim == 0:
        return div(x, x) * 0 + 1
    powers = exp(sub(x, amax(x, axis, True).detach())) if x.numel() else exp(x)
    return div(powers, sum(powers, axis, True))


@method()
@with_out_of(EXACT)
@rounded_once
@lies(in_rows)
def log_softmax(input: Tensor, dim: int, dtype: dtype | None = None) -> Tensor:
    """log(softmax(x)) along `dim`, without overflow."""
    x = input.to(dtype) if dtype else input
    axis = checked_dim(dim, x.ndim)
    check_real("log_softmax", x, axis)
    if x.ndim == 0:
        return sub(in_pieces(x), x)
    shifted = sub(x, amax(x, axis, True).detach()) if x.numel() else x
    return sub(shifted, log(sum(exp(shifted), axis, True)))


def check_real(name: str, x: Tensor, axis: int) -> None:
    """torch's NotImplementedError for what is no real number of a floating type."""
    if not x.dtype.is_floating_point:
        raise not_implemented(f"{name}_{'lastdim_' * (axis >= x.ndim - 1)}kernel_impl", x.dtype)
