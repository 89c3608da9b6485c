"""Pooling to a given size: https://pytorch.org/docs/stable/nn.functional.html#pooling-functions"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...tracer.functions.arithmetic import add, mul
from ...tracer.functions.conversions import in_own_memory
from ...tracer.functions.dims import whole_numbers
from ...tracer.functions.joining import stack
from ...tracer.functions.layout import as_image, as_images, in_pieces, in_rows, lies
from ...tracer.functions.methods import named
from ...tracer.functions.precision import rounded_once
from ...tracer.functions.reduce import mean
from ...tracer.functions.refusals import require_kind
from ...tracer.functions.scattering import gather
from ...tracer.functions.shape import reshape
from ...tracer.ops.structural import Ints
from ...tracer.tensor.tensor import Tensor


def _bins(n: int, out: int) -> list[tuple[int, int]]:
    """Start and end of `out` pieces that cover n elements, some overlapping if they do not divide it."""
    return [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]


def _wanted(name: str, input: Tensor, output_size: Any, rank: int) -> Ints:
    """The size of each dimension of the result, None being that of the input; torch's refusals."""
    sequence = isinstance(output_size, Sequence) and not isinstance(output_size, str)
    _check_dims(name, input, sequence, rank)
    wanted = tuple(output_size) if sequence else (output_size,) * rank
    if len(wanted) != rank:
        raise RuntimeError(f"{name}() argument 'output_size' should contain one int (got {len(wanted)})" if rank == 1 else
                           f"{name}(): internal error: output_size.size() must be {rank}" if "max" in name else
                           f"{name}: output_size must be {rank}")
    wanted = whole_numbers([n if w is None else w for n, w in zip(input._type.shape[-rank:], wanted)], "output_size")
    first = 1 if name == "adaptive_avg_pool3d" or "max" in name else input.ndim - rank  # of a batch torch minds channels there
    for dim in () if _is_mean(name, wanted) else range(first, input.ndim):
        if not input._type.shape[dim] and wanted[0] >= 0:
            raise RuntimeError(f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has "
                               f"sizes {list(input.shape)} with dimension {dim} being empty")
    _check_negative(name, input, wanted, rank)
    return wanted


def _is_mean(name: str, wanted: Ints) -> bool:
    """Whether torch takes the mean of everything, of which it asks less."""
    return "avg" in name and set(wanted) == {1}


def _check_dims(name: str, input: Tensor, sequence: bool, rank: int) -> None:
    if input.ndim in (rank + 1, rank + 2):
        return
    if rank == 1:
        raise RuntimeError(f"Expected 2 to 3 dimensions, but got {input.ndim}-dimensional tensor for argument #1 'self' (while "
                           f"checking arguments for {name})")
    if sequence and input.ndim <= rank:
        raise ValueError(f"Input dimension should be at least {rank + 1}")
    place = f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got"
    raise RuntimeError(f"{place}{':' if 'max' in name else ''} {list(input.shape)}")


def _check_negative(name: str, input: Tensor, wanted: Ints, rank: int) -> None:
    if all(w >= 0 for w in wanted):
        return
    seen = (1, *wanted) if rank == 1 else wanted  # torch pools vectors as images of one row
    if "max" in name:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(wanted)}: "
                           f"{[*input._type.shape[:-rank], *seen]}")
    word = "adaptive_avg_pool2d" if rank == 1 else name
    raise RuntimeError(f"{word}: elements of output_size must be greater than or equal to 0 but received "
                       f"{{{', '.join(map(str, seen))}}}")


def _windows(x: Tensor, dim: int, size: int) -> tuple[list[Tensor], list[int]]:
    """The windows along a dimension, in groups of one size, each with the windows at `dim` and their elements after it; and
    where each window starts."""
    shape = x._type.shape
    n = shape[dim]
    if size and n % size == 0:
        return [reshape(x, (*shape[:dim], size, n // size, *shape[dim + 1:]))], [i * (n // size) for i in range(size)]
    bins = _bins(n, size)
    return [x.narrow(dim, start, end - start).unsqueeze(dim) for start, end in bins], [start for start, _ in bins]


# --- Means ------------------------------------------------------------------------------------------------------------


def _as_means(made: Tensor, x: Tensor) -> None:
    """How means of volumes lie: torch takes one of everything for a mean over dimensions."""
    (as_image if set(made._type.shape[2:]) == {1} else in_rows)(made, x)


def _avg(name: str, rank: int) -> Callable[..., Any]:
    @lies(_as_means if rank == 3 else as_images(rank))
    @named(name, f"""The means of as many windows as are wanted, over {rank} dimensions.

    Args: `output_size`, an int or one for each dimension, None where the size stays.
    Takes (N, C, *) or (C, *). Raises RuntimeError for negative sizes.
    """)
    @rounded_once
    def function(input: Tensor, output_size: Any) -> Tensor:
        x = in_pieces(input)
        wanted = _wanted(name, x, output_size, rank)
        if _is_mean(name, wanted):
            return mean(x, tuple(range(-rank, 0)), True)
        require_kind(f"adaptive_avg_pool{max(rank, 2)}d" + "_cpu" * (rank == 3), input)
        for dim, size in enumerate(wanted, x.ndim - rank):
            if x._type.shape[dim] != size:
                windows, _ = _windows(x, dim, size)
                x = _joined([mean(w, dim + 1) for w in windows], x, dim)
        return in_own_memory(x, input)

    return function


def _joined(parts: list[Tensor], x: Tensor, dim: int) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return x.narrow(dim, 0, 0)
    return stack([part.squeeze(dim) for part in parts], dim)


# --- Maxima -----------------------------------------------------------------------------------------------------------


def _max(name: str, rank: int, always: bool = False) -> Callable[..., Any]:
    @lies(in_rows if rank == 3 else as_images(rank))
    @named(name, f"""The largest elements of as many windows as are wanted, over {rank} dimensions.

    Args: `output_size`, an int or one for each dimension, None where the size stays; `return_indices` adds their flat
    places in the input. Takes (N, C, *) or (C, *). Raises RuntimeError for negative sizes.
    """)
    def function(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        wanted = _wanted(name, input, output_size, rank)
        require_kind(f"adaptive_max_pool{max(rank, 2)}d" + "_cpu" * (rank == 3), input)
        values, places = in_pieces(input), None
        step = 1
        for dim in range(input.ndim - 1, input.ndim - rank - 1, -1):  # the first of equal ones, in the order of memory
            values, found = _largest(values, dim, wanted[dim - input.ndim])
            moved = found if step == 1 else mul(found, step)
            places = moved if places is None else add(gather(places, dim, found), moved)
            step *= input._type.shape[dim]
        return (values, places) if return_indices or always else values

    return function


def _largest(x: Tensor, dim: int, size: int) -> tuple[Tensor, Tensor]:
    """The maxima of the windows, and where they are along the dimension."""
    windows, starts = _windows(x, dim, size)
    found = [w.max(dim + 1) for w in windows]
    values = _joined([f.values for f in found], x, dim)
    places = _joined([f.indices for f in found], x.long() if not found else x, dim)
    shape = [-1 if d == dim else 1 for d in range(x.ndim)]
    return values, add(places, places.new_tensor(starts).reshape(shape))


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    _avg(f"adaptive_avg_pool{rank}d", rank) for rank in (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (
    _max(f"adaptive_max_pool{rank}d", rank) for rank in (1, 2, 3))
adaptive_max_pool1d_with_indices, adaptive_max_pool2d_with_indices, adaptive_max_pool3d_with_indices = (
    _max(f"adaptive_max_pool{rank}d_with_indices", rank, always=True) for rank in (1, 2, 3))
