"""Whether a result of ours is torch's: structure, dtype, shape, strides, and values at the tolerances of torch's own tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from flambeau.tracer.functions.conversions import shares_memory  # noqa: E402

from .translate import array  # noqa: E402

Tolerance = tuple[float, float]  # relative, absolute
DEFAULT: dict[str, Tolerance] = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}
GRADCHECK: Tolerance = (1e-3, 1e-5)  # at which torch itself checks gradients, in float64


class Mismatch(AssertionError):
    """A result that is not torch's, and in what."""


def tolerance(entry: Any, dtype: str) -> Tolerance:
    """The widest tolerance that torch's own tests have for an entry of its record in a dtype, its default at least."""
    relative, absolute = DEFAULT.get(dtype, (0.0, 0.0))
    for told in entry.decorators:
        if getattr(told, "device_type", None) in (None, "cpu"):
            for decorator in getattr(told, "decorators", (told,)):
                overrides = getattr(decorator, "d", None)
                found = overrides.get(getattr(torch, dtype)) if isinstance(overrides, dict) else None
                if found is not None:
                    wide, far = (found.rtol, found.atol) if hasattr(found, "rtol") else (0.0, found)
                    relative, absolute = max(relative, wide), max(absolute, far)
    return relative, absolute


def compare(ours: Any, theirs: Any, within: Tolerance, values: bool = True, where: str = "result") -> None:
    """Mismatch unless ours has torch's structure, dtypes, shapes and, within a relative and an absolute tolerance, values."""
    if isinstance(theirs, torch.Tensor):
        _compare_tensors(ours, theirs, within, values, where)
    elif isinstance(theirs, (tuple, list)) and not isinstance(theirs, torch.Size):
        _compare_sequences(ours, theirs, within, values, where)
    elif isinstance(theirs, torch.Size):
        _need(tuple(ours) == tuple(theirs) and isinstance(ours, flambeau.Size), where, theirs, ours)
    elif isinstance(theirs, (torch.dtype, torch.layout)):
        _need(str(ours) == str(theirs), where, theirs, ours)
    else:
        _need(type(ours) is type(theirs), f"type of {where}", type(theirs), type(ours))
        same = ours == theirs or (ours != ours and theirs != theirs)
        close = isinstance(theirs, (float, complex)) and np.allclose(ours, theirs, *within)
        _need(not values or same or close, where, theirs, ours)


def _need(holds: bool, what: str, theirs: Any, ours: Any) -> None:
    if not holds:
        raise Mismatch(f"{what}: torch has {theirs}, ours {ours}"[:300])


def _compare_sequences(ours: Any, theirs: Any, within: Tolerance, values: bool, where: str) -> None:
    _need(isinstance(ours, (tuple, list)), where, type(theirs).__name__, type(ours).__name__)
    _need(len(ours) == len(theirs), f"length of {where}", len(theirs), len(ours))
    if type(theirs) not in (tuple, list):
        fields = [f for f in dir(theirs) if not f.startswith("_") and f not in ("count", "index") and not f.startswith("n_")]
        _need(all(hasattr(ours, f) for f in fields), f"fields of {where}", fields, type(ours))
    for i, (mine, their) in enumerate(zip(ours, theirs)):
        compare(mine, their, within, values, f"{where}[{i}]")


def _compare_tensors(ours: Any, theirs: Any, within: Tolerance, values: bool, where: str) -> None:
    _need(isinstance(ours, flambeau.Tensor), where, "a tensor", type(ours).__name__)
    _need(str(ours.dtype) == str(theirs.dtype), f"dtype of {where}", theirs.dtype, ours.dtype)
    _need(tuple(ours.shape) == tuple(theirs.shape), f"shape of {where}", tuple(theirs.shape), tuple(ours.shape))
    if values and theirs.numel():
        mine, their = _wide(ours.detach().numpy()), _wide(array(theirs))
        told = str(theirs.dtype).removeprefix("torch.")
        relative, absolute = (max(pair) for pair in zip(within, DEFAULT.get(told, within)))
        close = np.isclose(mine, their, rtol=relative, atol=absolute, equal_nan=True)
        if not close.all():
            at = np.unravel_index(np.argmin(close), close.shape)
            raise Mismatch(f"{where} at {[int(i) for i in at]} of {list(their.shape)}: torch has {their[at]}, ours {mine[at]} "
                           f"({int((~close).sum())} of {close.size} differ)")


def _wide(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind in "biu":
        return x
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def half_within(within: Tolerance, theirs: Any) -> Tolerance:
    """For gradients in a half type, each of whose steps rounds: torch has no tolerance for them; a part of the largest one."""
    largest = float(theirs.detach().abs().max()) if theirs.numel() else 0.0
    return within[0], max(within[1], 0.04 * largest)


def compare_strides(ours: Any, theirs: Any, where: str = "result") -> None:
    """Mismatch unless tensors of several elements have torch's strides, dimensions of one element left out."""
    if isinstance(theirs, (tuple, list)) and not isinstance(theirs, torch.Size):
        for i, (mine, their) in enumerate(zip(ours, theirs)):
            compare_strides(mine, their, f"{where}[{i}]")
    elif isinstance(theirs, torch.Tensor) and theirs.numel() > 1:
        kept = [i for i, n in enumerate(theirs.shape) if n > 1]
        _need([ours.stride(i) for i in kept] == [theirs.stride(i) for i in kept], f"strides of {where}",
              theirs.stride(), ours.stride())


def compare_memory(ours: list[Any], read: list[Any], theirs: list[Any], read_by_torch: list[Any]) -> None:
    """Mismatch where a result shows the memory of an argument and torch's does not, or the other way round."""
    for i, (mine, their) in enumerate(zip(ours, theirs)):
        for j, (x, y) in enumerate(zip(read, read_by_torch)):
            if their.numel() and y.numel() and their.layout is y.layout is torch.strided and their.device == y.device:
                shared = their.untyped_storage().data_ptr() == y.untyped_storage().data_ptr() != 0
                _need(shares_memory(mine, x) == shared, f"whether result {i} shows the memory of tensor {j}", shared, not shared)
