"""Element types: torch's names, numpy's storage, the IR's short names, and torch's promotion rules.

Source: https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import ml_dtypes
import numpy as np


class dtype:
    """An element type, e.g. `float32`. Instances are singletons and compare by identity.

    Attributes: `name` (torch's), `short` (the IR's, as in `f32[2,3]`), `mlir` (StableHLO's),
    `numpy` (the `np.dtype` that holds it), `itemsize` in bytes, `category` (see `CATEGORIES`).

    >>> float32.itemsize, float32.is_floating_point, float32
    (4, True, torch.float32)
    """

    __slots__ = ("name", "short", "mlir", "numpy", "itemsize", "category", "is_floating_point", "is_complex",
                 "is_signed", "is_inexact")

    def __init__(self, name: str, short: str, mlir: str, numpy: Any, category: int, signed: bool = True) -> None:
        self.name, self.short, self.mlir, self.numpy = name, short, mlir, np.dtype(numpy)
        self.itemsize: int = self.numpy.itemsize
        self.category = category
        self.is_floating_point = category == FLOATING
        self.is_complex = category == COMPLEX
        self.is_inexact = category >= FLOATING
        self.is_signed = signed

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return "boolean" if self.name == "bool" else self.name

    @property
    def abbr(self) -> str:
        """torch's short name of it: "f32"."""
        return "b8" if self.name == "bool" else f"f8{self.name[7:]}" if self.name.startswith("float8") else self.short

    def to_complex(self) -> dtype:
        """The complex type whose parts are this floating type; RuntimeError for integers."""
        if not self.is_inexact:
            raise RuntimeError(f"to_complex() requires a floating or complex dtype, got {self}")
        return self.complex_form

    def to_real(self) -> dtype:
        """The type of the real part; RuntimeError for integers."""
        if not self.is_inexact:
            raise RuntimeError(f"to_real() requires a floating or complex dtype, got {self}")
        return self.real_form

    @property
    def complex_form(self) -> dtype:
        """The complex type whose parts are this floating type."""
        return self if self.is_complex else complex128 if self is float64 else complex64

    @property
    def real_form(self) -> dtype:
        """The type of the real part."""
        return float64 if self is complex128 else float32 if self is complex64 else self


# Categories in promotion order: a tensor of a higher category decides the result's type.
BOOLEAN: Final = 0
INTEGRAL: Final = 1
FLOATING: Final = 2
COMPLEX: Final = 3

boolean = dtype("bool", "b1", "i1", np.bool_, BOOLEAN, signed=False)
uint8 = dtype("uint8", "u8", "ui8", np.uint8, INTEGRAL, signed=False)
uint16 = dtype("uint16", "u16", "ui16", np.uint16, INTEGRAL, signed=False)
uint32 = dtype("uint32", "u32", "ui32", np.uint32, INTEGRAL, signed=False)
uint64 = dtype("uint64", "u64", "ui64", np.uint64, INTEGRAL, signed=False)
int8 = dtype("int8", "i8", "i8", np.int8, INTEGRAL)
int16 = dtype("int16", "i16", "i16", np.int16, INTEGRAL)
int32 = dtype("int32", "i32", "i32", np.int32, INTEGRAL)
int64 = dtype("int64", "i64", "i64", np.int64, INTEGRAL)
float8_e4m3fn = dtype("float8_e4m3fn", "f8e4m3fn", "f8E4M3FN", ml_dtypes.float8_e4m3fn, FLOATING)
float8_e5m2 = dtype("float8_e5m2", "f8e5m2", "f8E5M2", ml_dtypes.float8_e5m2, FLOATING)
float8_e4m3fnuz = dtype("float8_e4m3fnuz", "f8e4m3fnuz", "f8E4M3FNUZ", ml_dtypes.float8_e4m3fnuz, FLOATING)
float8_e5m2fnuz = dtype("float8_e5m2fnuz", "f8e5m2fnuz", "f8E5M2FNUZ", ml_dtypes.float8_e5m2fnuz, FLOATING)
float16 = dtype("float16", "f16", "f16", np.float16, FLOATING)
bfloat16 = dtype("bfloat16", "bf16", "bf16", ml_dtypes.bfloat16, FLOATING)
float32 = dtype("float32", "f32", "f32", np.float32, FLOATING)
float64 = dtype("float64", "f64", "f64", np.float64, FLOATING)
complex64 = dtype("complex64", "c64", "complex<f32>", np.complex64, COMPLEX)
complex128 = dtype("complex128", "c128", "complex<f64>", np.complex128, COMPLEX)

ALL: Final = (boolean, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float8_e4m3fn, float8_e5m2,
              float8_e4m3fnuz, float8_e5m2fnuz, float16, bfloat16, float32, float64, complex64, complex128)
FLOAT8: Final = frozenset({float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz})
_WIDE_UNSIGNED: Final = frozenset({uint16, uint32, uint64})
_BY_SHORT: Final = {d.short: d for d in ALL}
_BY_NUMPY: Final = {d.numpy: d for d in ALL}


def from_short(short: str) -> dtype:
    """The dtype of an IR name such as `bf16`."""
    return _BY_SHORT[short]


def from_numpy(numpy_dtype: Any) -> dtype:
    """The dtype that stores `numpy_dtype`; TypeError for one that no tensor can hold (objects, strings)."""
    found = _BY_NUMPY.get(numpy_dtype) if isinstance(numpy_dtype, np.dtype) else None
    if found is None:
        found = _BY_NUMPY.get(np.dtype(numpy_dtype).newbyteorder("="))
    if found is None:
        raise TypeError(f"can't convert np.ndarray of type {np.dtype(numpy_dtype)}. The only supported types are: "
                        + ", ".join(d.name for d in ALL) + ".")
    return found


_OF_PYTHON: Final = {bool: boolean, int: int64, float: float64, complex: complex128}


def python_dtype(kind: type) -> dtype:
    """The dtype that torch takes Python's `bool`, `int`, `float` and `complex` for."""
    found = _OF_PYTHON.get(kind)
    if found is None:
        raise TypeError(f"argument 'dtype' must be torch.dtype, or bool, int, float or complex, not {kind.__name__}")
    return found


@cache
def _check_types(function: str, **kinds: object) -> None:
    for position, (name, kind) in enumerate(kinds.items(), 1):
        if not isinstance(kind, dtype):
            raise TypeError(f"{function}(): argument '{name}' (position {position}) must be torch.dtype, not "
                            f"{type(kind).__name__}")


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest type that holds both, by torch's table.

    >>> promote_types(int8, uint8), promote_types(float16, bfloat16), promote_types(int64, float16)
    (torch.int16, torch.float32, torch.float16)
    """
    a, b = type1, type2
    if a is b:
        return a
    _check_types("promote_types", type1=a, type2=b)
    if a.category != b.category:
        low, high = sorted((a, b), key=lambda d: d.category)
        if FLOAT8 & {a, b} and low is not boolean and low.is_inexact:
            raise RuntimeError(f"Promotion for Float8 Types is not supported, attempted to promote {a} and {b}")
        if high.is_complex:
            return complex128 if low is float64 else high
        return high
    if a.category == FLOATING:
        if FLOAT8 & {a, b}:
            raise RuntimeError(f"Promotion for Float8 Types is not supported, attempted to promote {a} and {b}")
        if a.itemsize == b.itemsize:
            return float32  # float16 with bfloat16: neither holds the other
        return a if a.itemsize > b.itemsize else b
    if a.category == COMPLEX:
        return complex128
    if _WIDE_UNSIGNED & {a, b}:
        raise RuntimeError(f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
                           f"{a} and {b}")
    if a.is_signed == b.is_signed:
        return a if a.itemsize > b.itemsize else b
    signed, unsigned = (a, b) if a.is_signed else (b, a)
    return signed if signed.itemsize > unsigned.itemsize else int16  # only uint8 is unsigned here


def combine_categories(high: dtype | None, low: dtype | None) -> dtype | None:
    """Join the type of higher-priority operands with that of lower-priority ones (dims > 0-d > numbers)."""
    if high is None or low is None:
        return high or low
    if high.is_complex:
        return high
    if high.is_floating_point:
        return high.complex_form if low.is_complex else high
    if high is boolean or low.is_inexact:
        return promote_types(high, low)
    return high


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether an in-place result of type `from_` may be written into a tensor of type `to`.

    >>> can_cast(float32, int64), can_cast(int64, float32)
    (False, True)
    """
    _check_types("can_cast", from_=from_, to=to)
    if from_.is_complex and not to.is_complex:
        return False
    if from_.is_floating_point and not to.is_inexact:
        return False
    return not (from_ is not boolean and to is boolean)


_dtype = dtype


class iinfo:
    """Limits of an integer type: `min`, `max`, `bits`. >>> iinfo(int8).max -> 127"""

    dtype: str
    bits: int
    min: int
    max: int

    def __init__(self, type: _dtype) -> None:
        _require_dtype("iinfo", type)
        if type.category != INTEGRAL:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        info = np.iinfo(type.numpy)
        self.dtype, self.bits, self.min, self.max = type.name, info.bits, int(info.min), int(info.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def _require_dtype(function: str, type: Any) -> None:
    if type is not None and not isinstance(type, dtype):
        raise TypeError(f"{function}(): argument 'type' (position 1) must be torch.dtype, not {type.__class__.__name__}")


class finfo:
    """Limits of a floating type: `eps`, `max`, `min`, `tiny`, `smallest_normal`, `resolution`, `bits`."""

    dtype: str
    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float

    def __init__(self, type: _dtype | None = None) -> None:
        _require_dtype("finfo", type)
        type = (type or float32).real_form
        if not type.is_floating_point:
            raise TypeError("torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'")
        info: Any = ml_dtypes.finfo(type.numpy)  # type: ignore[no-untyped-call]
        self.dtype, self.bits = type.name, info.bits
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(f"1e-{info.precision}")  # numpy's is rounded to the type itself

    def __repr__(self) -> str:
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
                f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})")
