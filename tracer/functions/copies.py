"""Views as copies: `transpose_copy` gives the elements of `transpose` on memory of their own.

Source: https://pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir.dtypes import dtype
from ..tensor.tensor import Tensor
from .complex_numbers import view_as_complex, view_as_real
from .conversions import clone, contiguous, detach
from .dims import checked_dim
from .methods import EXACT, named, with_out_of
from .shape import expand, permute, reshape, squeeze, t, transpose, unsqueeze, view
from .slicing import select, split, split_with_sizes, unbind
from .strided import as_strided, diagonal, unfold


def _alone(x: Tensor) -> Tensor:
    """The elements in row-major order on memory of their own."""
    return clone(x) if x.is_contiguous() else contiguous(x)


def _copy_of(function: Callable[..., Any]) -> Any:
    name = f"{function.__name__}_copy"

    @with_out_of(EXACT)
    @named(name, f"The elements of `{function.__name__}`, copied.")
    def copy(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        result = function(input, *args, **kwargs)
        return _alone(result) if isinstance(result, Tensor) else tuple(_alone(part) for part in result)

    return copy


def _alias(input: Tensor) -> Tensor:
    return input.view_as(input)


def _slice(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    return input[(*[slice(None)] * checked_dim(dim, input.ndim), slice(start, end, step))]


def _view(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The elements in another shape, also where no strides show the memory so; or as those of another dtype."""
    asked = args[0] if args else next(iter(kwargs.values()))
    return view(input, *args, **kwargs) if isinstance(asked, dtype) else reshape(input, *args, **kwargs)


def _copies_of(*functions: Callable[..., Any]) -> list[Any]:
    return [_copy_of(function) for function in functions]


alias_copy = _copy_of(named("alias", "")(_alias))
as_strided_copy, diagonal_copy, expand_copy, permute_copy = _copies_of(as_strided, diagonal, expand, permute)
detach_copy, select_copy, split_copy, split_with_sizes_copy = _copies_of(detach, select, split, split_with_sizes)
squeeze_copy, t_copy, transpose_copy, unbind_copy = _copies_of(squeeze, t, transpose, unbind)
unfold_copy, unsqueeze_copy = _copies_of(unfold, unsqueeze)
view_as_complex_copy, view_as_real_copy = _copies_of(view_as_complex, view_as_real)
view_copy = _copy_of(named("view", "")(_view))
slice_copy = _copy_of(named("slice", "")(_slice))
