"""`torch.testing`: https://pytorch.org/docs/stable/testing.html"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .tracer.functions.choosing import where
from .tracer.functions.complex_numbers import complex as _complex
from .tracer.functions.creation import empty
from .tracer.functions.dims import shape_argument
from .tracer.functions.random import randint
from .tracer.ir import dtypes
from .tracer.tensor.layouts import memory_format as _memory_format
from .tracer.tensor.tensor import Tensor

_TOLERANCES = {dtypes.float16: (1e-3, 1e-5), dtypes.bfloat16: (1.6e-2, 1e-5), dtypes.float32: (1.3e-6, 1e-5),
               dtypes.float64: (1e-7, 1e-7), dtypes.complex64: (1.3e-6, 1e-5), dtypes.complex128: (1e-7, 1e-7)}
Message = str | Callable[[str], str] | None


def assert_close(actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None,
                 atol: float | None = None, equal_nan: bool = False, check_device: bool = True, check_dtype: bool = True,
                 check_layout: bool = True, check_stride: bool = False, msg: Message = None) -> None:
    """AssertionError unless two tensors, numbers, or containers of these are close: |a - e| <= atol + rtol * |e|.

    Args: `actual`, `expected`, of one shape, dtype and device (unless that is not checked); `rtol`, `atol`, both or none,
    by default what suits the dtype; `equal_nan`, whether NaN is close to NaN; `msg`, a text instead of the message, or a
    function of it. Raises ValueError for one tolerance alone.

    >>> import flambeau as torch
    >>> torch.testing.assert_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.000001]))

    Source: https://pytorch.org/docs/stable/testing.html#torch.testing.assert_close
    """
    if (rtol is None) != (atol is None):
        given, missing = ("rtol", "atol") if atol is None else ("atol", "rtol")
        raise ValueError(f"rtol and atol must both be specified or both be unspecified, but got no {missing} and "
                         f"{given}={rtol if atol is None else atol}.")
    options = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan, "device": check_device, "dtype": check_dtype,
               "stride": check_stride}
    problem = _compare(actual, expected, "", options)
    if problem is not None:
        raise AssertionError(problem if msg is None else msg(problem) if callable(msg) else msg)


def _compare(a: Any, e: Any, where: str, options: Mapping[str, Any]) -> str | None:
    if isinstance(a, Mapping) and isinstance(e, Mapping):
        if a.keys() != e.keys():
            return (f"The keys of the mappings do not match:\nMissing keys in the actual mapping: {sorted(e.keys() - a.keys())}\n"
                    f"Additional keys in the actual mapping: {sorted(a.keys() - e.keys())}")
        pairs = [(a[k], e[k], f"{where}[{k!r}]") for k in a]
    elif _is_sequence(a) and _is_sequence(e):
        if len(a) != len(e):
            return f"The length of the sequences mismatch: {len(a)} != {len(e)}"
        pairs = [(x, y, f"{where}[{i}]") for i, (x, y) in enumerate(zip(a, e))]
    else:
        problem = _compare_leaves(a, e, options)
        return problem if problem is None or not where else f"{problem}\n\nThe failure occurred for item {where}"
    return next((problem for x, y, place in pairs if (problem := _compare(x, y, place, options)) is not None), None)


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, (str, bytes, Tensor))


def _compare_leaves(a: Any, e: Any, options: Mapping[str, Any]) -> str | None:
    if a is None or e is None or isinstance(a, (str, bytes, bool)) or isinstance(e, (str, bytes, bool)):
        return None if a is e or (type(a) is type(e) and a == e) else f"{a!r} is not {e!r}" if None in (a, e) else (
            f"Booleans mismatch: {a} is not {e}" if isinstance(a, bool) else f"Object comparison failed: {a!r} != {e!r}")
    if isinstance(a, Tensor) != isinstance(e, Tensor):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(a)} and {type(e)}.")
    if isinstance(a, Tensor):
        return _facts_differ(a, e, options) or _values_differ(a, e, options)
    if options["dtype"] and type(a) is not type(e):
        return f"The (d)types do not match: {type(a)} != {type(e)}."
    kind = dtypes.complex128 if isinstance(a, complex) or isinstance(e, complex) else (
        dtypes.float64 if isinstance(a, float) or isinstance(e, float) else dtypes.int64)
    return _arrays_differ(np.asarray(a), np.asarray(e), *_tolerances([kind], options), options["equal_nan"], "Scalars")


def _facts_differ(a: Tensor, e: Tensor, options: Mapping[str, Any]) -> str | None:
    for what, x, y, checked in (("shape", a.shape, e.shape, True), ("device", a.device, e.device, options["device"]),
                                ("dtype", a.dtype, e.dtype, options["dtype"]),
                                ("stride()", a.stride(), e.stride(), options["stride"])):
        if checked and x != y:
            return f"The values for attribute '{what}' do not match: {x} != {y}."
    return None


def _values_differ(a: Tensor, e: Tensor, options: Mapping[str, Any]) -> str | None:
    arrays = [np.asarray(x.detach().cpu().numpy() if x.dtype.itemsize > 2 or not x.dtype.is_floating_point
                         else x.detach().cpu().float().numpy()) for x in (a, e)]
    return _arrays_differ(arrays[0], arrays[1], *_tolerances([a.dtype, e.dtype], options), options["equal_nan"], "Tensor-likes")


def _tolerances(kinds: Sequence[Any], options: Mapping[str, Any]) -> tuple[float, float]:
    if options["rtol"] is not None:
        return options["rtol"], options["atol"]
    found = [_TOLERANCES.get(kind, (0.0, 0.0)) for kind in kinds]
    return max(r for r, _ in found), max(a for _, a in found)


def _arrays_differ(a: Any, e: Any, rtol: float, atol: float, equal_nan: bool, what: str) -> str | None:
    """What to say of arrays that are not close."""
    wide = np.complex128 if np.iscomplexobj(a) or np.iscomplexobj(e) else np.float64
    exact = a.dtype.kind in "biu" and e.dtype.kind in "biu" and rtol == atol == 0
    a, e = (a, e) if exact else (a.astype(wide), e.astype(wide))
    with np.errstate(all="ignore"):
        close = a == e if exact else np.isclose(a, e, rtol=rtol, atol=atol, equal_nan=equal_nan)
        if close.all():
            return None
        gap = np.where(close, 0, np.abs(a.astype(wide) - e.astype(wide)))
        ratio = np.where(close, 0, gap / np.abs(e.astype(wide)))
    equal = rtol == atol == 0
    allowed = ["", ""] if equal else [f" (up to {n} allowed)" for n in (atol, rtol)]
    gap = gap.astype(np.int64) if exact else gap
    if not a.shape:
        return (f"Scalars are not {'equal' if equal else 'close'}!\n\nExpected {e} but got {a}.\nAbsolute difference: {gap}"
                f"{allowed[0]}\nRelative difference: {ratio}{allowed[1]}")
    (i, most), (j, relatively) = (_greatest(x) for x in (gap, ratio))
    wrong, count = int((~close).sum()), close.size
    return (f"{what} are not {'equal' if equal else 'close'}!\n\nMismatched elements: {wrong} / {count} ({wrong / count:.1%})\n"
            f"Greatest absolute difference: {most} at index {i}{allowed[0]}\n"
            f"Greatest relative difference: {relatively} at index {j}{allowed[1]}")


def _greatest(x: Any) -> tuple[tuple[int, ...], Any]:
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.nan_to_num(x, nan=np.inf))), x.shape))
    return place, x[place]


def assert_allclose(actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None, equal_nan: bool = True,
                    msg: str = "") -> None:
    """`assert_close` that does not look at dtypes and devices."""
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=False, check_dtype=False,
                 msg=msg or None)




# --- Random tensors ---------------------------------------------------------------------------------------------------


def make_tensor(*shape: Any, dtype: dtypes.dtype, device: Any, low: float | None = None, high: float | None = None,
                requires_grad: bool = False, noncontiguous: bool = False, exclude_zero: bool = False,
                memory_format: _memory_format | None = None) -> Tensor:
    """Random elements from [low, high): by default [-9, 9) of floating and complex, and [0, 10) or [-9, 10) of integer types.

    Args: `shape`, numbers or a sequence; `exclude_zero`, whether a small number stands where 0 would; `noncontiguous`, whether
    it lies in memory with gaps. Raises ValueError for bounds that are none.

    >>> import flambeau as torch
    >>> x = torch.testing.make_tensor(2, 3, dtype=torch.float32, device="cpu", low=1, high=2)
    >>> x.shape, bool(((x >= 1) & (x < 2)).all())
    (torch.Size([2, 3]), True)

    Source: https://pytorch.org/docs/stable/testing.html#torch.testing.make_tensor
    """
    size = shape_argument(shape)
    low, high = _bounds(dtype, low, high)
    spread = (*size[:-1], size[-1] * 2) if noncontiguous and size and math.prod(size) > 1 else size
    made = _drawn(spread, dtype, device, low, high)
    if exclude_zero:
        made = where(made == 0, dtypes.finfo(dtype).tiny if dtype.is_inexact else 1, made).to(dtype)
    made = made[..., ::2] if spread != size else made
    if memory_format is not None:
        made = made.clone(memory_format=memory_format)
    return made.requires_grad_() if requires_grad else made


def _bounds(kind: dtypes.dtype, low: float | None, high: float | None) -> tuple[float, float]:
    if kind is dtypes.boolean:
        default: tuple[float, float] = (0, 2)
    else:
        default = (-9, 9) if kind.is_inexact else (-9 if kind.is_signed else 0, 10)
    low, high = (d if given is None else given for given, d in zip((low, high), default))
    if low != low or high != high:
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low!r} and high={high!r}")
    if low > high:
        raise ValueError(f"make_tensor: low must be weakly less than high, but got low={low!r} and high={high!r}")
    return low, high


def _drawn(size: Any, kind: dtypes.dtype, device: Any, low: float, high: float) -> Tensor:
    if kind.is_complex:
        parts = [_drawn(size, kind.real_form, device, low, high) for _ in range(2)]
        return _complex(*parts)
    if not kind.is_floating_point:
        return randint(math.ceil(low), max(math.ceil(high), math.ceil(low) + 1), size, device=device).to(kind)
    wide = empty(size, dtype=dtypes.float32 if kind.itemsize < 4 else kind, device=device)
    return wide.uniform_(low, high).to(kind)


__all__ = ["assert_allclose", "assert_close", "make_tensor"]
