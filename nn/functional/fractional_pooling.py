"""Max pooling by a fraction: https://pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool2d.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...tracer.functions.arithmetic import add, mul, sub
from ...tracer.functions.joining import cat
from ...tracer.functions.layout import in_pieces
from ...tracer.functions.methods import named
from ...tracer.functions.random import rand
from ...tracer.functions.ranges import arange
from ...tracer.functions.scattering import gather
from ...tracer.functions.shape import reshape
from ...tracer.functions.unary import floor
from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor
from .convolution import Sizes, spread

NAMES = {2: ("height", "width"), 3: ("time", "height", "width")}


def _fractional(name: str, rank: int, always: bool = False) -> Callable[..., Any]:
    @named(name, f"""The largest elements of windows whose starts are random, over {rank} dimensions.

    Windows of a size are a random few elements apart, so that the size is divided by a number that need not be whole.
    Args: `input` (N, C, *) or (C, *); `kernel_size`, of a window; `output_size`, how many windows, or `output_ratio`, how
    many for each element; `return_indices` adds the flat places of the maxima. Raises ValueError without a size,
    RuntimeError for windows that are too large.

    Source: Graham: "Fractional max-pooling", https://arxiv.org/abs/1412.6071
    """)
    def function(input: Tensor, kernel_size: Sizes, output_size: Any = None, output_ratio: Any = None,
                 return_indices: bool = False, _random_samples: Tensor | None = None) -> Any:
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        kernel = spread(kernel_size, rank, "kernel_size")
        if output_size is None:
            ratios = output_ratio if isinstance(output_ratio, (list, tuple)) else (output_ratio,) * rank
            output_size = tuple(int(n * r) for n, r in zip(input._type.shape[-rank:], ratios))
        sizes = spread(output_size, rank, "output_size")
        _check(name, input, kernel, sizes, rank)
        x = input if input.ndim == rank + 2 else input.unsqueeze(0)
        samples = _random_samples
        if samples is None:
            samples = rand(*x._type.shape[:2], rank, dtype=x.dtype, device=x.device)
        elif samples.dtype is not x.dtype:
            raise RuntimeError("Expect _random_samples to have the same dtype as input")
        values, places = _pooled(in_pieces(x), kernel, sizes, samples.narrow(0, 0, x._type.shape[0]))
        if x is not input:
            values, places = values.squeeze(0), places.squeeze(0)
        return (values, places) if return_indices or always else values

    return function


def _check(name: str, input: Tensor, kernel: tuple[int, ...], sizes: tuple[int, ...], rank: int) -> None:
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got: {list(input.shape)}")
    for what, k, out, n in zip(NAMES[rank], kernel, sizes, input._type.shape[-rank:]):
        if out + k - 1 > n:
            shown = f"pool {what} {k} too large relative to input {what} {n}"
            raise RuntimeError(f"{name}(): {shown}" if rank == 2 else f"{name}_out(): {shown}")


def _starts(sample: Tensor, n: int, out: int, pool: int) -> Tensor:
    """Where the windows start (N, C, out): steps of a whole number of elements, the last window at the end."""
    if out == 1:
        return mul(sample, 0).to(dtypes.int64).unsqueeze(-1) + (n - pool)
    step = (n - pool) / (out - 1)
    numbers = arange(out - 1, dtype=sample.dtype, device=sample.device)
    drawn = sample.detach().unsqueeze(-1)
    places = sub(floor(mul(add(numbers, drawn), step)), floor(mul(drawn, step))).to(dtypes.int64)
    return cat([places, mul(places.narrow(-1, 0, 1), 0) + (n - pool)], -1)


# torch draws in the order depth, height, width for volumes, but width, height for images
def _pooled(x: Tensor, kernel: tuple[int, ...], sizes: tuple[int, ...], samples: Tensor) -> tuple[Tensor, Tensor]:
    """The maxima, and their places; one dimension after the other, the first of equal ones."""
    rank, values, places, step = len(kernel), x, None, 1
    for axis in range(rank - 1, -1, -1):
        dim, n = axis + 2, x._type.shape[axis + 2]
        start = _starts(samples.select(-1, axis if rank == 3 else 1 - axis), n, sizes[axis], kernel[axis])
        inside = add(start.unsqueeze(-1), arange(kernel[axis], device=x.device))  # (N, C, windows, elements)
        flat = _spread(reshape(inside, (*start._type.shape[:2], sizes[axis] * kernel[axis])), values, dim)
        windows = gather(values, dim, flat).unflatten(dim, (sizes[axis], kernel[axis]))
        found = windows.max(dim + 1)
        chosen = gather(flat.unflatten(dim, (sizes[axis], kernel[axis])), dim + 1, found.indices.unsqueeze(dim + 1))
        chosen = chosen.squeeze(dim + 1)
        moved = mul(chosen, step)
        places = moved if places is None else add(gather(places, dim, chosen), moved)
        values, step = found.values, step * n
    assert places is not None
    return values, places


def _spread(index: Tensor, like: Tensor, dim: int) -> Tensor:
    """Places (N, C, K) along a dimension, the same for all others."""
    shape, wanted = [1] * like.ndim, list(like._type.shape)
    shape[:2], shape[dim], wanted[dim] = index._type.shape[:2], index._type.shape[2], index._type.shape[2]
    return reshape(index, shape).expand(*wanted)


fractional_max_pool2d, fractional_max_pool3d = (_fractional(f"fractional_max_pool{rank}d", rank) for rank in (2, 3))
fractional_max_pool2d_with_indices, fractional_max_pool3d_with_indices = (
    _fractional(f"fractional_max_pool{rank}d_with_indices", rank, always=True) for rank in (2, 3))
