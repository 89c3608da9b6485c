"""The numbers that the parameters of a group share in a step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..tracer.functions.operands import cast_value, expand_value, number_value, wrap
from ..tracer.ir.dtypes import dtype
from ..tracer.tensor.tensor import Tensor


class Scalars:
    """The numbers of one step, cast once per dtype and spread once per shape, however many parameters use them."""

    def __init__(self, numbers: dict[str, Any]) -> None:
        self._numbers = numbers
        self._cast: dict[tuple[dtype, str], dict[str, Any]] = {}
        self._spread: dict[tuple[Any, str, dtype], SimpleNamespace] = {}

    def like(self, x: Tensor, stored: dtype) -> SimpleNamespace:
        """Every number as a tensor of the type and on the device of `x`; as they are as `numbers`, and as `dtype` what `x`
        is stored as."""
        key = (x._type, x._device, stored)
        found = self._spread.get(key)
        if found is None:
            shape = x._type.shape
            found = self._spread[key] = SimpleNamespace(
                numbers=self._numbers, dtype=stored,
                **{name: wrap(expand_value(value, shape)) for name, value in self._of(x.dtype, x._device).items()})
        return found

    def _of(self, kind: dtype, on: str) -> dict[str, Any]:
        found = self._cast.get((kind, on))
        if found is None:
            found = self._cast[kind, on] = {name: _scalar(x, kind, on) for name, x in self._numbers.items()}
        return found


def _scalar(number: Any, kind: dtype, on: str) -> Any:
    """A number, a number proxy or a tensor of one element as a 0-d value."""
    if isinstance(number, Tensor):
        return cast_value(number.to(device=on).reshape(())._read(), kind)
    return number_value(number, kind, (), on)
