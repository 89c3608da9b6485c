"""Pairs of values and indices with torch's field names: https://pytorch.org/docs/stable/torch.html"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

from ..ir import dtypes
from ..ir.graph import Value
from ..tensor.tensor import Tensor
from .operands import number_value, wrap


def return_type(name: str) -> Callable[..., Any]:
    """A pair with torch's field names that prints as torch's does."""
    base = namedtuple(name, ["values", "indices"])  # type: ignore[misc]
    text = f"torch.return_types.{name}(\nvalues={{}},\nindices={{}})"
    return type(name, (base,), {"__slots__": (), "__repr__": lambda self: text.format(self.values, self.indices)})


def pair(kind: Callable[..., Any], values: Value, indices: Value) -> Any:
    return kind(wrap(values), wrap(indices))


def zero_index(x: Tensor) -> Value:
    return number_value(0, dtypes.int64, (), x._device)
