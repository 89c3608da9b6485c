"""Padding: https://pytorch.org/docs/stable/generated/torch.nn.functional.pad.html"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...tracer.functions.dims import whole_list
from ...tracer.functions.joining import cat
from ...tracer.functions.layout import as_image, in_pieces, laid_out_by, lies
from ...tracer.functions.operands import number_value, wrap
from ...tracer.functions.precision import fitting
from ...tracer.functions.rearranging import flip
from ...tracer.functions.refusals import NUMBER, require_kind
from ...tracer.functions.slicing import narrow
from ...tracer.ops import structural as ops
from ...tracer.tensor.tensor import Tensor


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Tensor:
    """Elements added at the ends of the last dimensions, in pairs (low, high) from the last dimension backward.

    Modes: `constant` (negative counts cut), `reflect` (without the edge), `replicate` (the edge), `circular`.

    >>> import flambeau as torch
    >>> torch.nn.functional.pad(torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3), (1, 1), "reflect").flatten().tolist()
    [2.0, 1.0, 2.0, 3.0, 2.0]
    """
    counts = whole_list(pad, "pad")
    if len(counts) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(counts) // 2 > input.ndim:
        raise RuntimeError(f"Padding length should be less than or equal to two times the input dimension but got "
                           f"padding length {len(counts)} and input of dimension {input.ndim}")
    pairs = [(0, 0)] * (input.ndim - len(counts) // 2) + [(counts[i], counts[i + 1])
                                                          for i in reversed(range(0, len(counts), 2))]
    if mode == "constant":
        return _constant(input, pairs, 0 if value is None else value)
    if not isinstance(mode, str):
        raise TypeError(f"pad(): argument 'mode' (position 3) must be str, not {type(mode).__name__}")
    if mode not in _EDGES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if len(counts) // 2 not in (input.ndim - 2, input.ndim - 1) or len(counts) > 6:
        raise NotImplementedError("Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now")
    if mode != "circular":
        _check_elements(input, len(counts) // 2)
    if mode == "replicate":
        return replication_pad(input, pairs)
    return reflection_pad(input, pairs) if mode == "reflect" and len(counts) < 6 else _extended(input, pairs, mode)


def _check_elements(input: Tensor, rank: int) -> None:
    if 0 in input._type.shape[-rank - 1:]:
        raise RuntimeError(f"Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with possibly 0 batch size and other "
                           f"non-zero dimensions for input, but got: {list(input.shape)}")


def reflection_pad(input: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """`pad` of one or two dimensions by reflection: under a name of its own, by which autocast knows it."""
    return _extended(input, pairs, "reflect")


def replication_pad(input: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """`pad` by the edge: under a name of its own, by which autocast knows it."""
    return _extended(input, pairs, "replicate")


def _extended(input: Tensor, pairs: Sequence[tuple[int, int]], mode: str) -> Tensor:
    given = input
    if mode != "circular":
        input = in_pieces(input)
        rank = sum(pair != (0, 0) for pair in pairs)
        require_kind(f"{'reflection' if mode == 'reflect' else 'replication'}_pad{rank}d", input, NUMBER)
    for dim, (low, high) in enumerate(pairs):
        if (low, high) != (0, 0):
            input = _along(input, dim, low, high, mode)
    if all(pair == (0, 0) for pair in pairs):
        return input
    made = wrap(input._read())  # even where elements were cut
    return made if mode == "circular" else laid_out_by(as_image, made, given)


@lies(as_image)
def _constant(input: Tensor, pairs: list[tuple[int, int]], value: Any) -> Tensor:
    sizes = [n + low + high for n, (low, high) in zip(input._type.shape, pairs)]
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"The input size {list(input.shape)}, plus negative padding {pairs} resulted in a negative "
                           f"output size {sizes}, which is invalid.")
    x, filler = input._read(), number_value(fitting(value, input.dtype), input.dtype, (), input._device)
    return wrap(ops.pad(x, filler, low=tuple(low for low, _ in pairs), high=tuple(high for _, high in pairs),
                        interior=(0,) * input.ndim))


def _reflected(x: Tensor, dim: int, low: int, high: int) -> tuple[Tensor, Tensor]:
    size = x._type.shape[dim]
    if low >= size or high >= size:
        raise RuntimeError("Padding size should be less than the corresponding input dimension, but got: padding "
                           f"({low}, {high}) at dimension {dim} of input {list(x.shape)}")
    return flip(narrow(x, dim, 1, low), dim), flip(narrow(x, dim, size - 1 - high, high), dim)


def _replicated(x: Tensor, dim: int, low: int, high: int) -> tuple[Tensor, Tensor]:
    size = x._type.shape[dim]
    first, last = narrow(x, dim, 0, 1), narrow(x, dim, size - 1, 1)
    shapes = [[-1] * dim + [count] + [-1] * (x.ndim - dim - 1) for count in (low, high)]
    return first.expand(shapes[0]), last.expand(shapes[1])


def _wrapped(x: Tensor, dim: int, low: int, high: int) -> tuple[Tensor, Tensor]:
    size = x._type.shape[dim]
    if low > size or high > size:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    return narrow(x, dim, size - low, low), narrow(x, dim, 0, high)


_EDGES = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}


def _along(x: Tensor, dim: int, low: int, high: int, mode: str) -> Tensor:
    """One dimension padded. What negative counts cut is gone before it would wrap around, but it is reflected."""
    size = x._type.shape[dim]
    if mode == "circular":
        x = _cut(x, dim, low, high)
    before, after = _EDGES[mode](x, dim, max(low, 0), max(high, 0))
    padded = cat([part for part in (before, x, after) if part._type.shape[dim]], dim) if size else x
    return padded if mode == "circular" else _cut(padded, dim, low, high)


def _cut(x: Tensor, dim: int, low: int, high: int) -> Tensor:
    """Without as many elements as negative counts say."""
    start, end = max(-low, 0), x._type.shape[dim] - max(-high, 0)
    return x if (start, end) == (0, x._type.shape[dim]) else narrow(x, dim, start, max(end - start, 0))
