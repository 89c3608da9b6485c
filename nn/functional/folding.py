"""Windows as columns, and back: https://pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from ...tracer.functions.arithmetic import add
from ...tracer.functions.dims import per_dimension
from ...tracer.functions.joining import stack
from ...tracer.functions.operands import number_value, scalar_name, wrap
from ...tracer.functions.shape import reshape
from ...tracer.functions.slicing import sliced
from ...tracer.ir.graph import Value
from ...tracer.ops.convolution import dilated
from ...tracer.ops.structural import Ints, pad
from ...tracer.tensor.tensor import Tensor

Sizes = int | Sequence[int]
NAMES = ("kernel_size", "dilation", "padding", "stride")


def _pair(size: Sizes, name: str) -> Ints:
    sizes = per_dimension(size, 2, name)
    if len(sizes) != 2:
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(sizes)}")
    return sizes


class _Columns:
    """The windows over images: where they lie, and how many there are along each dimension."""

    def __init__(self, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> None:
        self.kernel, self.dilation, self.padding, self.stride = (
            _pair(size, name) for name, size in zip(NAMES, (kernel_size, dilation, padding, stride)))
        for what, (height, width), least in (("kernel size", self.kernel, 1), ("dilation", self.dilation, 1),
                                             ("padding", self.padding, 0), ("stride", self.stride, 1)):
            if min(height, width) < least:
                short = what.split()[0]
                need = "non-negative" if least == 0 else "greater than zero"
                raise RuntimeError(f"{what} should be {need}, but got {short}_height: {height} {short}_width: {width}")

    def counts(self, sizes: Ints) -> Ints:
        """Windows along height and width."""
        return tuple((n + 2 * p - dilated(k, d)) // s + 1 for n, k, d, p, s in zip(
            sizes, self.kernel, self.dilation, self.padding, self.stride))

    def described(self) -> str:
        return f"kernel_size={self.kernel}, dilation={self.dilation}, padding={self.padding}"


def _batched(input: Tensor, ndim: int) -> Tensor:
    sizes = input._type.shape
    if input.ndim not in (ndim - 1, ndim) or not all(sizes[input.ndim - ndim + 1:]):
        raise RuntimeError(f"Expected {ndim - 1}D or {ndim}D (batch mode) tensor for input with possibly 0 batch size and "
                           f"non-zero dimensions for input, but got: {list(sizes)}")
    return input if input.ndim == ndim else input.unsqueeze(0)


def unfold(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """Each window of images as a column: (N, C, H, W) to (N, C * kernel elements, windows).

    Args: sizes are ints or (height, width): `kernel_size`, of a window; `dilation`, pixels between its elements;
    `padding`, zeros added at all sides; `stride`, pixels between windows. Raises RuntimeError where no window fits.

    >>> import flambeau as torch
    >>> torch.nn.functional.unfold(torch.arange(4.0).view(1, 1, 2, 2), (1, 2))
    tensor([[[0., 2.],
             [1., 3.]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html
    """
    columns = _Columns(kernel_size, dilation, padding, stride)
    if input.ndim < 3:
        raise IndexError(f"Dimension out of range (expected to be in range of [-{input.ndim}, {input.ndim - 1}], but got 2)")
    x = _batched(input, 4)
    if not input.dtype.is_inexact and input.dtype.name != "bool":
        raise NotImplementedError(f"\"im2col_out_cpu\" not implemented for '{scalar_name(input.dtype)}'")
    counts = columns.counts(x._type.shape[2:])
    if min(counts) < 1:
        raise RuntimeError(f"Given input with spatial size {x._type.shape[2:]}, {columns.described()}, calculated shape of "
                           f"the array of sliding blocks as {counts}, but its components must be at least one.")
    n, c = x._type.shape[:2]
    x = _padded(x, columns.padding)
    for dim in (3, 2):  # width first: one slice for each element of a row, then one for each of a column
        x = _windows(x, dim, columns, counts)
    result = reshape(x, (n, c * math.prod(columns.kernel), math.prod(counts)))
    return result if input.ndim == 4 else result.squeeze(0)


def _padded(x: Tensor, padding: Ints) -> Tensor:
    if padding == (0, 0):
        return x
    edges = (0, 0, *padding)
    return wrap(pad(x._read(), number_value(0, x.dtype, (), x._device), low=edges, high=edges, interior=(0,) * 4))


def _windows(x: Tensor, dim: int, columns: _Columns, counts: Ints) -> Tensor:
    """(N, C, ..., n, ...) with n as windows, and the elements of a window as a new dimension 2."""
    at = dim - 2
    step, count = columns.stride[at], counts[at]
    where = len(x._type.shape) - 2 + at  # the kernel's dimensions come before
    parts = [sliced(x, where, k * columns.dilation[at], k * columns.dilation[at] + (count - 1) * step + 1, step)
             for k in range(columns.kernel[at])]
    return stack(parts, 2)


def fold(input: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0,
         stride: Sizes = 1) -> Tensor:
    """The transpose of `unfold`: columns added up where their windows lie, (N, C * kernel elements, windows) to (N, C, H, W).

    Args: `output_size`, (H, W); the rest as for `unfold`. Raises RuntimeError if the columns are not as many as the windows.

    >>> import flambeau as torch
    >>> torch.nn.functional.fold(torch.ones(1, 2, 4), (2, 3), (1, 2))  # the middle is in two windows
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.functional.fold.html
    """
    columns = _Columns(kernel_size, dilation, padding, stride)
    x, size = _batched(input, 3), _pair(output_size, "output_size")
    counts = _fold_counts(x, size, columns)
    x = reshape(x, (x._type.shape[0], x._type.shape[1] // math.prod(columns.kernel), *columns.kernel, *counts))
    for at in (1, 0):
        x = _added(x, at, size[at], columns)
    return x if input.ndim == 3 else x.squeeze(0)


def _fold_counts(x: Tensor, size: Ints, columns: _Columns) -> Ints:
    each, counts = math.prod(columns.kernel), columns.counts(size)
    if x._type.shape[1] % each:
        raise RuntimeError("Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
                           f"input.size(1)={x._type.shape[1]} and kernel_size={columns.kernel}.")
    given = (f"Given output_size={size}, {columns.described()}, stride={columns.stride}, ")
    if x._type.shape[2] != math.prod(counts):
        raise RuntimeError(f"{given}expected size of input's dimension 2 to match the calculated number of sliding blocks "
                           f"{counts[0]} * {counts[1]} = {math.prod(counts)}, but got input.size(2)={x._type.shape[2]}.")
    if min(counts) < 1:
        raise RuntimeError(f"{given}calculated shape of the array of sliding blocks as {counts}, which is too small "
                           "(non-positive)")
    return counts


def _added(x: Tensor, at: int, size: int, columns: _Columns) -> Tensor:
    """Height or width of all windows added up in place: x (N, C, kernel height[, kernel width], windows...)."""
    kernel, where = 2 + at, x.ndim - 2 + at
    zero = number_value(0, x.dtype, (), x._device)
    count, step = x._type.shape[where], columns.stride[at]
    rows = (_spread(x.select(kernel, k)._read(), zero, where - 1, k * columns.dilation[at] - columns.padding[at], step,
                    size - (count - 1) * step - 1) for k in range(columns.kernel[at]))
    return list(accumulate(rows, add))[-1]


def _spread(row: Value, zero: Value, dim: int, low: int, step: int, room: int) -> Tensor:
    """A row of one element of each window, at its places in the image; what lies in the padding is cut off."""
    ndim = row.type.ndim
    lows, highs, inside = [0] * ndim, [0] * ndim, [0] * ndim
    lows[dim], highs[dim], inside[dim] = low, room - low, step - 1
    return wrap(pad(row, zero, low=tuple(lows), high=tuple(highs), interior=tuple(inside)))
