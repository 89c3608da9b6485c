"""Discrete Fourier transforms: https://pytorch.org/docs/stable/fft.html

All of them are the one primitive `fft` over the last dimensions, with lengths, factors and conjugates around it.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.errors import no_dimensions
from ..ir.graph import Value
from ..ops import fourier as ops
from ..ops import structural
from ..ops.structural import Ints
from ..tensor.strides import Geometry, contiguous_stride, is_contiguous
from ..tensor.tensor import Tensor
from .arithmetic import mul
from .autocast import castable
from .complex_numbers import conj
from .conversions import clone
from .dims import checked_dim, whole_number, whole_numbers
from .methods import into
from .operands import cast_value, float_kind, full, scalar_name, wrap
from .spelling import spelled

_MOST = 3  # dimensions that the primitive transforms at once


@dataclass(frozen=True)
class _Kind:
    """One of the transforms: what it is made of, and what it takes.

    `primitive` is applied to the conjugate if `conjugate` is -1, and conjugated itself if it is 1. `forward` says whether
    torch's mode "forward" scales this direction.
    """

    name: str
    primitive: str
    forward: bool
    conjugate: int = 0

    @property
    def real_input(self) -> bool:
        return self.primitive == "RFFT"

    @property
    def real_result(self) -> bool:
        return self.primitive == "IRFFT"

    def factor(self, norm: str | None, points: int) -> float:
        """By what the primitive's result is multiplied; the primitive's inverses have divided by the points already."""
        if norm not in (None, "backward", "ortho", "forward"):
            raise RuntimeError(f'Invalid normalization mode: "{norm}"')
        divided = points if self.primitive in ("IFFT", "IRFFT") else 1
        if norm == "ortho":
            return divided / math.sqrt(points)
        return float(divided) if (norm == "forward") is not self.forward else divided / points


_KINDS = {kind.name: kind for kind in (
    _Kind("fft", "FFT", True), _Kind("ifft", "IFFT", False), _Kind("rfft", "RFFT", True), _Kind("irfft", "IRFFT", False),
    _Kind("hfft", "IRFFT", True, -1), _Kind("ihfft", "RFFT", False, 1))}


# --- Operands ---------------------------------------------------------------------------------------------------------


def _operand(kind: _Kind, name: str, x: Tensor) -> Value:
    """The input as what the primitive takes; torch's RuntimeErrors for half types, and complex numbers of a real transform."""
    dtype = float_kind(x)
    if dtype.is_floating_point and dtype not in ops.REAL:
        raise RuntimeError(f"Unsupported dtype {scalar_name(dtype)}")
    if not kind.real_input:
        return cast_value(x._read(), dtype.complex_form)
    if dtype.is_complex:
        several = name.endswith("n")
        raise RuntimeError(f"Only supports floating-point dtypes, but found: {scalar_name(dtype)}" if name == "ihfftn" else
                           f"{name} expects a real{'-valued' * several} input tensor, but got {scalar_name(dtype)}")
    return cast_value(x._read(), dtype)


def _with_length(x: Value, axis: int, length: int) -> Value:
    """Cut, or extended by zeros, along a dimension."""
    size = x.type.shape[axis]
    if size > length:
        limit = tuple(length if i == axis else n for i, n in enumerate(x.type.shape))
        cut: Value = structural.slice_(x, start=(0,) * x.type.ndim, limit=limit, stride=(1,) * x.type.ndim)
        return cut
    if size == length:
        return x
    none = (0,) * x.type.ndim
    more = tuple(length - size if i == axis else 0 for i in range(x.type.ndim))
    padded: Value = structural.pad(x, full((), 0, x.type.dtype, x.device), low=none, high=more, interior=none)
    return padded


def _checked_axes(x: Tensor, s: Any, dim: Any) -> tuple[Ints, tuple[int | None, ...]]:
    """The dimensions that are transformed, and the length that is asked for along each (None: as it is)."""
    s, dim = (None if x is None else whole_numbers(x, name) for name, x in (("s", s), ("dim", dim)))
    if dim is not None:
        if dim and not x.ndim:
            raise no_dimensions(dim[0])
        axes = tuple(checked_dim(d, x.ndim) for d in dim)
        if len(set(axes)) < len(axes):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(axes):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > x.ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {x.ndim} dimensions.")
        axes = tuple(range(x.ndim - len(s), x.ndim))
    else:
        axes = tuple(range(x.ndim))
    return axes, (None,) * len(axes) if s is None else tuple(None if n == -1 else n for n in s)


def _lengths(kind: _Kind, x: Tensor, axes: Ints, asked: Sequence[int | None]) -> Ints:
    """How many points the transform has along each dimension."""
    lengths = [x._type.shape[a] if n is None else n for a, n in zip(axes, asked)]
    if kind.real_result and asked[-1] is None:
        lengths[-1] = 2 * (lengths[-1] - 1)
    for n in lengths:
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return tuple(lengths)


# --- The transform ----------------------------------------------------------------------------------------------------


def _over(primitive: str, x: Value, axes: Ints, lengths: Ints) -> Value:
    """The primitive over any dimensions, the last of them the one that is halved in spectra of real data."""
    if len(axes) > _MOST:
        rest, last = slice(len(axes) - _MOST), slice(len(axes) - _MOST, None)
        if primitive == "IRFFT":
            return _over(primitive, _over("IFFT", x, axes[rest], lengths[rest]), axes[last], lengths[last])
        x = _over(primitive, x, axes[last], lengths[last])
        return _over("FFT" if primitive == "RFFT" else primitive, x, axes[rest], lengths[rest])
    order = (*(i for i in range(x.type.ndim) if i not in axes), *axes)
    if order == tuple(range(x.type.ndim)):
        made: Value = ops.fft(x, kind=primitive, length=lengths)
        return made
    back = tuple(order.index(i) for i in range(len(order)))
    moved = ops.fft(structural.transpose(x, permutation=order), kind=primitive, length=lengths)
    result: Value = structural.transpose(moved, permutation=back)
    return result


def _transform(kind: _Kind, name: str, x: Tensor, axes: Ints, asked: Sequence[int | None], norm: str | None) -> Tensor:
    value, lengths = _operand(kind, name, x), _lengths(kind, x, axes, asked)
    factor = kind.factor(norm, math.prod(lengths))
    needed = (*lengths[:-1], lengths[-1] // 2 + 1) if kind.real_result else lengths
    stride = x.stride()
    for axis, n in zip(axes, needed):
        if n > x._type.shape[axis]:
            stride = contiguous_stride(x._type.shape)  # extended: a copy
        value = _with_length(value, axis, n)
    value = _over(kind.primitive, conj(wrap(value))._read() if kind.conjugate < 0 else value, axes, lengths)
    result = wrap(conj(wrap(value))._read() if kind.conjugate > 0 else value)
    return _placed(result if factor == 1 else mul(result, factor), kind, stride, axes)


def _placed(result: Tensor, kind: _Kind, stride: Ints, axes: Ints) -> Tensor:
    """The result with torch's strides, of an input of those strides: what is transformed last lies innermost."""
    order = sorted(range(result.ndim), key=lambda a: -stride[a])
    if kind.primitive in ("FFT", "IFFT"):
        order = _innermost(order, [a for a in order if a in axes])
    elif kind.name == "ihfft" and len(axes) > 1:  # a real transform, and then complex ones
        order = _innermost(order, axes[-1:])
        order = _innermost(order, [a for a in order if a in axes[:-1]])
    else:
        order = _innermost(order, [*(a for a in order if a in axes[:-1]), axes[-1]])
    placed, step = [0] * result.ndim, 1
    for a in reversed(order):
        placed[a] = step
        step *= max(result._type.shape[a], 1)
    if not is_contiguous(result._type.shape, tuple(placed)):
        result._geometry = Geometry(tuple(placed))
    return result


def _innermost(order: Sequence[int], axes: Sequence[int]) -> list[int]:
    return [*(a for a in order if a not in axes), *axes]


# --- The functions ----------------------------------------------------------------------------------------------------


def _with_checked_out(name: str, complex_result: bool) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """The `out=` argument, of a complex or a floating type as the result is."""

    def give(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        spelling = spelled(function)

        @functools.wraps(function)
        def call(*args: Any, out: Tensor | None = None, **kwargs: Any) -> Tensor:
            if out is not None and (not out.dtype.is_complex if complex_result else not out.dtype.is_floating_point):
                raise RuntimeError(f"{name} expects a {'complex' if complex_result else 'floating point'} output tensor, but "
                                   f"got {scalar_name(out.dtype)}")
            return into(out, spelling(*args, **kwargs))

        shown = inspect.signature(function)
        last = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Tensor | None")
        call.__signature__ = shown.replace(parameters=[*shown.parameters.values(), last])  # type: ignore[attr-defined]
        return call

    return give


_WHAT = {
    "fft": "The discrete Fourier transform", "ifft": "The inverse of the discrete Fourier transform",
    "rfft": "The non-negative frequencies of the discrete Fourier transform of real data",
    "irfft": "The real data of which the non-negative frequencies are given, the inverse of `rfft`",
    "hfft": "The real transform of data that is Hermitian in time, of which one half is given",
    "ihfft": "The one half of the Hermitian data whose transform is given, the inverse of `hfft`",
}
_SIGNS = {"fft": "-", "ifft": "+", "rfft": "-", "irfft": "+", "hfft": "-", "ihfft": "+"}


def _documented(function: Callable[..., Any], name: str, sizes: str, where: str) -> None:
    base = name.rstrip("2n") if name not in _WHAT else name
    data = "[1.0, 2.0, 1.0, 2.0]" if name == base else "[[1.0, 2.0, 1.0], [0.0, 1.0, 1.0]]"
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{_WHAT[base]}, {where}.

    y[k] = sum over j of x[j] exp({_SIGNS[base]}2 pi i j k / n), times what `norm` says

    Args: `input` (*), of any length; {sizes}; `norm`, "backward" (inverses divide by n), "ortho" (both directions by
    sqrt(n)) or "forward" (the others divide by n); `out`, a tensor to write to.
    Raises RuntimeError for half types, for no points, and for a norm of another name.

    >>> import flambeau as torch
    >>> torch.fft.{name}(torch.tensor({data})).dtype is torch.{'float32' if _KINDS[base].real_result else 'complex64'}
    True

    Source: https://pytorch.org/docs/stable/generated/torch.fft.{name}.html
    """


def _one_dimensional(kind: _Kind) -> Callable[..., Tensor]:
    @_with_checked_out(kind.name, not kind.real_result)
    def function(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
        if isinstance(input, Tensor) and input.ndim == 0:
            raise no_dimensions(dim)
        name = f"fft_{kind.name}"
        n, dim = None if n is None else whole_number(n, "n", name), whole_number(dim, "dim", name)
        return _transform(kind, kind.name, input, (checked_dim(dim, input.ndim),), (n,), norm)

    _documented(function, kind.name, "`n`, its length, to which it is cut or extended by zeros; `dim`", "along a dimension")
    return function


def _of_several(kind: _Kind, name: str, plane: bool) -> Callable[..., Tensor]:
    def apply(input: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
        axes, asked = _checked_axes(input, s, dim)
        if not axes and kind.primitive not in ("FFT", "IFFT"):
            raise RuntimeError(f"{kind.name}n must transform at least one axis")
        if not axes:
            kind.factor(norm, 1)
            return clone(wrap(_operand(kind, f"{kind.name}n", input)))
        return _transform(kind, f"{kind.name}n", input, axes, asked, norm)

    @_with_checked_out(f"{kind.name}n", not kind.real_result)
    def over_two(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
        return apply(input, s, dim, norm)

    @_with_checked_out(f"{kind.name}n", not kind.real_result)
    def over_all(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
        return apply(input, s, dim, norm)

    function = over_two if plane else over_all
    where = "over the last two dimensions" if plane else "over all dimensions, or those of `dim`"
    _documented(function, name, "`s`, a length for each dimension, -1 for its own; `dim`, the dimensions", where)
    return function


fft, ifft, rfft, irfft, hfft, ihfft = map(_one_dimensional, _KINDS.values())
fft2, ifft2, rfft2, irfft2, hfft2, ihfft2 = (_of_several(kind, f"{kind.name}2", True) for kind in _KINDS.values())
fftn, ifftn, rfftn, irfftn, hfftn, ihfftn = (_of_several(kind, f"{kind.name}n", False) for kind in _KINDS.values())

castable(globals())
