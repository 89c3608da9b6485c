"""Convolutions: https://pytorch.org/docs/stable/nn.functional.html#convolution-functions"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...tracer.functions.arithmetic import add
from ...tracer.functions.dims import per_dimension, whole_number
from ...tracer.functions.layout import as_images, in_pieces
from ...tracer.functions.methods import named
from ...tracer.functions.operands import c_name, wrap
from ...tracer.functions.refusals import INEXACT, NUMBER, require_kind
from ...tracer.ir import dtypes
from ...tracer.ir.graph import Value
from ...tracer.ops import convolution as ops
from ...tracer.ops.structural import Ints
from ...tracer.tensor.tensor import Tensor

Sizes = int | Sequence[int]


def spread(size: Sizes, rank: int, what: str) -> Ints:
    """A size for each of `rank` axes, from one for all or a list."""
    if type(size) is int:
        return (size,) * rank
    sizes = per_dimension(size, rank, what)
    if len(sizes) != rank:
        raise RuntimeError(f"expected {what} to be a single integer value or a list of {rank} values to match the "
                           f"convolution dimensions, but got {what}={list(sizes)}")
    return sizes


def same_padding(kernel: Ints, dilation: Ints) -> ops.Pairs:
    """Low and high padding under which stride 1 keeps the size; the odd one is at the end."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _padding(padding: str | Sizes, kernel: Ints, stride: Ints, dilation: Ints) -> ops.Pairs:
    rank = len(stride)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding != "same":
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        return same_padding(kernel, dilation)
    sizes = spread(padding, rank, "padding")
    if any(p < 0 for p in sizes):
        raise RuntimeError("negative padding is not supported")
    return tuple((p, p) for p in sizes)


def _batched(name: str, input: Tensor, weight: Tensor, bias: Tensor | None, rank: int) -> tuple[Value, bool]:
    """The input with a batch dimension, and whether it had none."""
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got "
                           f"input of size: {list(input.shape)}")
    for what, given in (("weight", weight), ("bias", bias)):
        if given is not None and given.dtype is not input.dtype:
            raise RuntimeError(f"Input type ({c_name(input.dtype)}) and {what} type ({c_name(given.dtype)}) should be the same")
    if weight.ndim < 3:
        raise RuntimeError("weight should have at least three dimensions")
    single = input.ndim == rank + 1
    x = (input.unsqueeze(0) if single else input)._read()
    if weight.ndim != rank + 2:
        raise RuntimeError(f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional weight{list(weight.shape)}, "
                           f"but got {rank + 2}-dimensional input of size {list(x.type.shape)} instead")
    return x, single


def _check_steps(strides: Ints, dilations: Ints) -> None:
    if any(s <= 0 for s in strides):
        raise RuntimeError("non-positive stride is not supported")
    if any(d <= 0 for d in dilations):
        raise RuntimeError("dilation should be greater than zero")


def _checked_groups(weight: Tensor, groups: int) -> int:
    groups = whole_number(groups, "groups")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    shape = list(weight.shape)
    if shape[0] < groups or shape[0] % groups:
        wanted = f"at least {groups}" if shape[0] < groups else f"divisible by {groups}"
        raise RuntimeError(f"Given groups={groups}, expected weight to be {wanted} at dimension 0, but got weight of size "
                           f"{shape} instead")
    return groups


def _check_channels(input: Value, weight: Tensor, bias: Tensor | None, groups: int, transposed: bool) -> None:
    shape, given = list(weight.shape), input.type.shape[1]
    wanted, made = (shape[0], shape[1] * groups) if transposed else (shape[1] * groups, shape[0])
    if given != wanted:
        raise RuntimeError(f"Given {'transposed=1' if transposed else f'groups={groups}'}, weight of size "
                           f"{shape}, expected input{list(input.type.shape)} to have {wanted} channels, "
                           f"but got {given} channels instead")
    if bias is not None and bias._type.shape != (made,):
        raise RuntimeError(f"Given {'transposed=1, ' if transposed else ''}weight of size {shape}, expected bias to be "
                           f"1-dimensional with {made} elements, but got bias of size {list(bias.shape)} instead")


def _finished(value: Value, rank: int, input: Tensor, weight: Tensor, bias: Tensor | None, single: bool) -> Tensor:
    """The result: with its channels last, as torch has it, if the input's or the weight's are."""
    result = wrap(value)
    if bias is not None:
        result = add(result, in_pieces(bias, input, weight).reshape(-1, *(1,) * (value.type.ndim - 2)))
    for x in (input, weight):
        if x._geometry is not None and result._geometry is None:
            as_images(rank)(result, x.unsqueeze(0) if single and x is input else x)
    return result.squeeze(0) if single else result


def _conv(name: str, rank: int) -> Callable[..., Tensor]:
    @named(name, f"""Cross-correlation over {rank} spatial dimensions.

    Arguments: input (N, C, *) or (C, *), weight (O, C / groups, *kernel), bias (O); `padding` also "same" or "valid".
    """)
    def function(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
                 padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1) -> Tensor:
        x, single = _batched(name, input, weight, bias, rank)
        require_kind("slow_conv2d_cpu" if rank < 3 else "compute_columns3d", input, NUMBER)
        strides, dilations = spread(stride, rank, "stride"), spread(dilation, rank, "dilation")
        pairs = _padding(padding, weight._type.shape[2:], strides, dilations)
        _check_steps(strides, dilations)
        groups = _checked_groups(weight, groups)
        _check_channels(x, weight, bias, groups, False)
        _check_reach(x, weight, pairs, dilations)
        return _finished(ops.conv(x, weight._read(), strides, pairs, dilations, groups), rank, input, weight, bias, single)

    return function


def _check_reach(x: Value, weight: Tensor, pairs: ops.Pairs, dilations: Ints) -> None:
    padded = [n + sum(pair) for n, pair in zip(x.type.shape[2:], pairs)]
    reach = [ops.dilated(k, d) for k, d in zip(weight._type.shape[2:], dilations)]
    if any(k > n for k, n in zip(reach, padded)):
        raise RuntimeError(f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: "
                           f"({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input size")


def _conv_transpose(name: str, rank: int) -> Callable[..., Tensor]:
    @named(name, f"""The gradient of conv{rank}d with respect to its input, as a function.

    Arguments: input (N, C, *) or (C, *), weight (C, O / groups, *kernel), bias (O).
    """)
    def function(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1, padding: Sizes = 0,
                 output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1) -> Tensor:
        x, single = _batched(name, input, weight, bias, rank)
        require_kind(f"slow_conv_transpose{max(rank, 2)}d_out_cpu", input, INEXACT | {dtypes.int64})
        strides, paddings, extra, dilations = (spread(size, rank, what) for size, what in (
            (stride, "stride"), (padding, "padding"), (output_padding, "output_padding"), (dilation, "dilation")))
        _check_steps(strides, dilations)
        groups = _checked_groups(weight, groups)
        _check_channels(x, weight, bias, groups, True)
        if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations)):
            raise RuntimeError(f"output padding must be smaller than either stride or dilation, but got "
                               f"output_padding: {list(extra)} stride: {list(strides)} dilation: {list(dilations)}")
        value = ops.conv_transpose(x, weight._read(), strides, paddings, extra, dilations, groups)
        return _finished(value, rank, input, weight, bias, single)

    return function


conv1d, conv2d, conv3d = (_conv(f"conv{rank}d", rank) for rank in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_conv_transpose(f"conv_transpose{rank}d", rank)
                                                        for rank in (1, 2, 3))


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Cross-correlation along the first dimension: input (T, N, C), weight (K, C, O), bias (O) to (T', N, O)."""
    result = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return result.permute(2, 0, 1)
