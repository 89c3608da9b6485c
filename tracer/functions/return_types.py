"""Tuples of results with torch's field names, mostly values and indices: https://pytorch.org/docs/stable/torch.html"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

from ..ir import dtypes
from ..ir.graph import Value
from ..tensor.tensor import Tensor
from .operands import number_value, wrap

RETURN_TYPES: dict[str, Any] = {}  # all of them, by torch's names


def return_type(name: str, fields: str = "values indices") -> Callable[..., Any]:
    """A tuple with torch's field names that prints as torch's does."""
    base = namedtuple(name, fields)  # type: ignore[misc]
    lines = ",\n".join(f"{field}={{!r}}" for field in fields.split())
    text = f"torch.return_types.{name}(\n{lines})"
    home = f"{__name__.partition('.')[0]}.return_types"
    made = type(name, (base,), {"__slots__": (), "__repr__": lambda self: text.format(*self), "__module__": home})
    return RETURN_TYPES.setdefault(name, made)


def pair(kind: Callable[..., Any], values: Value, indices: Value) -> Any:
    return kind(wrap(values), wrap(indices))


def zero_index(x: Tensor) -> Value:
    return number_value(0, dtypes.int64, (), x._device)
