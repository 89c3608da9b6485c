"""torch's first constructor, `Tensor(...)` and `x.new(...)`: sizes, data or another tensor, told apart by what they are.

Source: https://pytorch.org/docs/stable/tensors.html
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.dtypes import dtype
from ..tensor.device import Size
from ..tensor.tensor import Tensor, _constructors
from .creation import as_fresh_tensor, empty
from .defaults import Defaults, device_name
from .methods import method
from .operands import scalar_name

_NAMES = ("size", "data", "other")


def construct(cls: type[Tensor], *args: Any, device: Any = None, **named: Any) -> Tensor:
    """A tensor of the default dtype: of sizes (2, 3), of a `Size`, of data [[1, 2]], or on the memory of another tensor."""
    made = _constructed(args, named, None, device_name(device))
    if cls is not Tensor:
        made.__class__ = cls
    return made


_constructors["tensor"] = construct


@method()
def new(self: Tensor, *args: Any, device: Any = None, **named: Any) -> Tensor:
    """`Tensor(...)` of this tensor's dtype and on its device.

    >>> import flambeau as torch
    >>> torch.tensor([1, 2]).new([3.5])
    tensor([3])
    """
    return _constructed(args, named, self.dtype, device_name(device or self.device))


def _constructed(args: tuple[Any, ...], named: dict[str, Any], kind: dtype | None, on: str) -> Tensor:
    """`kind` is None for the constructor, which takes another tensor of any dtype."""
    given = (*args, *named.values())
    if not set(named) <= set(_NAMES) or (named and len(given) > 1):
        _refuse(args, named)
    filled = kind or Defaults.dtype
    if not given:
        return empty(0, dtype=filled, device=on)
    first = given[0]
    if len(given) == 1 and isinstance(first, Tensor):
        return _alias(first, kind)
    if isinstance(first, Size) or "size" in named:
        return empty(first, dtype=filled, device=on)
    if _is_size(first):
        return empty(*_sizes(given), dtype=filled, device=on)
    if len(given) > 1:
        _refuse(args, named)
    return as_fresh_tensor(_checked_data(first), filled, on)


def _refuse(args: tuple[Any, ...], named: dict[str, Any]) -> None:
    got = [type(x).__name__ for x in args] + [f"{name}={type(x).__name__}" for name, x in named.items()]
    raise TypeError(f"new() received an invalid combination of arguments - got ({', '.join(got)}), but expected sizes as "
                    "ints, a torch.Size, data as a sequence, or another tensor; and a device. For a dtype or requires_grad "
                    "there are torch.tensor and torch.empty")


def _alias(other: Tensor, kind: dtype | None) -> Tensor:
    if kind is not None and other.dtype is not kind:
        raise TypeError(f"expected {scalar_name(kind)} (got {scalar_name(other.dtype)})")
    return other.view_as(other)


def _is_size(x: Any) -> bool:
    if isinstance(x, (bool, np.bool_)):
        return False
    try:
        operator.index(x)
    except TypeError:
        return False
    return True


def _sizes(given: Sequence[Any]) -> list[int]:
    for i, n in enumerate(given):
        if not _is_size(n):
            raise TypeError(f"new(): argument 'size' failed to unpack the object at pos {i + 1} with error \"type must be tuple "
                            f"of ints,but got {type(n).__name__}\"")
    return [operator.index(n) for n in given]


def _checked_data(data: Any) -> Any:
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    if isinstance(data, Mapping) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise TypeError(f"new(): data must be a sequence (got {_name(type(data))})")
    return data if isinstance(data, (list, tuple, np.ndarray)) else list(data)


def _name(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
