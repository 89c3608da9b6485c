"""`torch.func.rearrange`: permuting, joining and parting of dimensions by their names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ..tensor.tensor import Tensor
from .joining import stack
from .shape import permute, reshape

Side = list[tuple[str, ...]]  # of one side of a pattern: the names that each dimension is made of


def rearrange(tensor: Tensor | Sequence[Tensor], pattern: str, **axes_lengths: int) -> Tensor:
    """A tensor whose dimensions are permuted, joined and parted as a pattern says.

    Args: `tensor`, or several of one shape, which are stacked along a first dimension; `pattern`, names of its dimensions, "->",
    and those of the result: "b c (h two) -> b (c two) h", where those in parentheses are one dimension, "1" or "()" is one of
    size 1, and "..." stands for any number; `axes_lengths`, sizes of names that the input does not tell.
    Raises ValueError for a pattern that does not fit.

    >>> import flambeau as torch
    >>> torch.func.rearrange(torch.arange(6), "(row column) -> column row", row=2)
    tensor([[0, 3],
            [1, 4],
            [2, 5]])
    """
    x = tensor if isinstance(tensor, Tensor) else stack(list(tensor))
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ValueError(f"rearrange requires a pattern with one '->', got {pattern!r}")
    before, after = _parsed(left, x, pattern), _parsed(right, x, pattern)
    if sorted(n for group in before for n in group) != sorted(n for group in after for n in group):
        raise ValueError(f"rearrange requires the same names on both sides of {pattern!r}")
    sizes = _sizes(before, x, dict(axes_lengths), pattern)
    names = [name for group in before for name in group]
    parted = reshape(x, [sizes[name] for name in names])
    moved = permute(parted, [names.index(name) for group in after for name in group])
    return reshape(moved, [math.prod(sizes[name] for name in group) for group in after])


def _parsed(side: str, x: Tensor, pattern: str) -> Side:
    """The dimensions of one side; the names of an ellipsis are numbers."""
    groups: Side = []
    tokens = re.findall(r"\(|\)|\.\.\.|\w+|\S", side)
    known = len(re.findall(r"\([^)]*\)|\w+", re.sub(r"\.\.\.", " ", pattern.partition("->")[0])))
    open_group: list[str] | None = None
    for token in tokens:
        found = [str(i) + "..." for i in range(x.ndim - known)] if token == "..." else [token] if token != "1" else []
        if token == "(" and open_group is None:
            open_group = []
        elif token == ")" and open_group is not None:
            groups.append(tuple(open_group))
            open_group = None
        elif not re.fullmatch(r"\w+|\.\.\.", token):
            raise ValueError(f"rearrange does not know {token!r} in {pattern!r}")
        elif open_group is not None:
            open_group += found
        else:
            groups += [(name,) for name in found] if found or token == "..." else [()]
    return groups


def _sizes(groups: Side, x: Tensor, sizes: dict[str, Any], pattern: str) -> dict[str, int]:
    if len(groups) != x.ndim:
        raise ValueError(f"rearrange: {pattern!r} is of {len(groups)} dimensions, and the tensor of {x.ndim}")
    for group, size in zip(groups, x.shape):
        unknown = [name for name in group if name not in sizes]
        rest = math.prod(sizes[name] for name in group if name in sizes)
        if len(unknown) > 1:
            raise ValueError(f"rearrange: the sizes of {', '.join(unknown)} in {pattern!r} are not told; all but one must be")
        if size % max(rest, 1) or (not unknown and rest != size):
            raise ValueError(f"rearrange: a dimension of size {size} is not {' x '.join(group) or '1'} of {pattern!r}")
        sizes.update((name, size // max(rest, 1)) for name in unknown)
    return sizes
