"""torch's former classes of tensors, `FloatTensor` and its kin: constructors, and what `isinstance` may ask for."""

from __future__ import annotations

from typing import Any

from .tracer.functions.defaults import Defaults
from .tracer.ir import dtypes
from .tracer.tensor.tensor import Tensor


class LegacyType:
    """The tensors of one dtype on one kind of device.

    >>> import flambeau as torch
    >>> torch.LongTensor([1, 2]), isinstance(torch.ones(2), torch.FloatTensor)
    (tensor([1, 2]), True)
    """

    is_cuda: bool

    def __init__(self, name: str, dtype: dtypes.dtype, device: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__module__ = "torch.cuda" if device == "cuda" else "torch"
        self.dtype, self.device, self.is_cuda = dtype, device, device == "cuda"

    def __call__(self, *args: Any, device: Any = None, **named: Any) -> Tensor:
        """As `Tensor(...)`: sizes, data or another tensor."""
        empty = Tensor(0, device=device or self.device)
        return empty.to(self.dtype).new(*args, **named)

    def __instancecheck__(self, x: object) -> bool:
        return isinstance(x, Tensor) and x.dtype is self.dtype and x.device.type == self.device

    def __repr__(self) -> str:
        return f"<class '{self.__module__}.{self.__name__}'>"

    def __reduce__(self) -> tuple[Any, ...]:
        return legacy_type, (f"{self.__module__}.{self.__name__}",)


_NAMES = {"Float": dtypes.float32, "Double": dtypes.float64, "Half": dtypes.float16, "BFloat16": dtypes.bfloat16,
          "Byte": dtypes.uint8, "Char": dtypes.int8, "Short": dtypes.int16, "Int": dtypes.int32, "Long": dtypes.int64,
          "Bool": dtypes.boolean}
TYPES = {f"{module}.{name}Tensor": LegacyType(f"{name}Tensor", dtype, device)
         for module, device in (("torch", "cpu"), ("torch.cuda", "cuda")) for name, dtype in _NAMES.items()}


def legacy_type(name: str) -> LegacyType:
    """The class of that name, such as "torch.FloatTensor"; `torch.Tensor` is that of the default dtype."""
    if name == "torch.Tensor":
        return next(t for t in TYPES.values() if t.dtype is Defaults.dtype)
    if name not in TYPES:
        raise ValueError(f"invalid type: '{name}'")
    return TYPES[name]
