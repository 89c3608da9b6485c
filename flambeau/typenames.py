"""What things are called: `typename`, `is_storage`, the constants."""

from __future__ import annotations

import math
from typing import Any

from .tracer.functions.storages import UntypedStorage
from .tracer.tensor.tensor import Tensor

e, inf, nan, pi, newaxis = math.e, math.inf, math.nan, math.pi, None


def typename(obj: Any, /) -> str:
    """The name of a thing's type: "torch.FloatTensor" for a tensor, else its module and class.

    >>> import flambeau as torch
    >>> torch.typename(torch.ones(2)), torch.typename(3)
    ('torch.FloatTensor', 'int')
    """
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if hasattr(obj, "__module__") and hasattr(obj, "__qualname__") else type(obj)
    module = kind.__module__.replace("flambeau.tracer.ir.dtypes", "torch")
    return kind.__qualname__ if module in ("builtins", "", None) else f"{module}.{kind.__qualname__}"


def is_storage(obj: Any, /) -> bool:
    """Whether a thing is the memory of a tensor."""
    return isinstance(obj, UntypedStorage)
