"""`Type`: what is known of a value before it is computed, its shape and dtype."""

from __future__ import annotations

import math
import operator
from typing import ClassVar

from . import dtypes
from .stand_in import known


class Type:
    """Shape and dtype of a value. Interned: equal types are the same object, so they compare by identity.

    >>> from flambeau.tracer import dtypes
    >>> Type.of((2, 3), dtypes.float32)
    f32[2,3]
    """

    __slots__ = ("shape", "dtype", "ndim", "size")
    _interned: ClassVar[dict[tuple[tuple[int, ...], dtypes.dtype], Type]] = {}

    shape: tuple[int, ...]
    dtype: dtypes.dtype
    ndim: int
    size: int

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: dtypes.dtype) -> Type:
        """The type with this shape (a tuple of Python ints) and dtype."""
        found = cls._interned.get((shape, dtype))
        if found is None:
            shape = known(shape)
            if any(type(n) is not int for n in shape):  # 2.0 is equal to 2, and would be in every type of this size from now on
                shape = tuple(map(operator.index, shape))
            found = object.__new__(cls)
            found.shape, found.dtype, found.ndim, found.size = shape, dtype, len(shape), math.prod(shape)
            found = cls._interned.setdefault((shape, dtype), found)
        return found

    def with_shape(self, shape: tuple[int, ...]) -> Type:
        """The same dtype in another shape."""
        return Type.of(shape, self.dtype)

    def with_dtype(self, dtype: dtypes.dtype) -> Type:
        """The same shape with another dtype."""
        return Type.of(self.shape, dtype)

    @property
    def nbytes(self) -> int:
        """Bytes that a dense buffer of this type takes."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"{self.dtype.short}[{','.join(map(str, self.shape))}]"

    def __reduce__(self) -> tuple[object, ...]:
        return Type.of, (self.shape, self.dtype)
