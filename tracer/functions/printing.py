"""How tensors print: torch's format, https://pytorch.org/docs/stable/generated/torch.set_printoptions.html"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.errors import TRACED, TraceError
from ..ir.state import Ambient, ambients
from ..lazy.flush import host_array
from ..tensor.context import context
from ..tensor.tensor import Tensor
from .defaults import Defaults
from .methods import method


class PrintOptions:
    """What `set_printoptions` sets; one for the process."""

    precision = 4
    threshold: float = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


def _set_options(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(PrintOptions, name, value)


_NAMES = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")
ambients.append(Ambient("print options", lambda: {name: getattr(PrintOptions, name) for name in _NAMES}, _set_options))
PROFILES: dict[str, tuple[int, float, int]] = {"default": (4, 1000, 3), "short": (2, 1000, 2), "full": (4, math.inf, 3)}


def set_printoptions(precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
                     linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None) -> None:
    """Set how tensors print: digits, from how many elements on they are summarized, how many are kept at each edge,
    characters per line, scientific notation (None: chosen for each tensor). `profile` is default, short or full.
    """
    if profile is not None:
        if profile not in PROFILES:
            raise ValueError(f"set_printoptions() requires a profile among {', '.join(PROFILES)}, got {profile!r}")
        PrintOptions.precision, PrintOptions.threshold, PrintOptions.edgeitems = PROFILES[profile]
        PrintOptions.linewidth = 80
    for name, given in [("precision", precision), ("threshold", threshold), ("edgeitems", edgeitems),
                        ("linewidth", linewidth)]:
        if given is not None:
            setattr(PrintOptions, name, given)
    PrintOptions.sci_mode = sci_mode


# --- Numbers ----------------------------------------------------------------------------------------------------------


class Formatter:
    """The width and notation in which all of an array's numbers are written."""

    def __init__(self, array: Any) -> None:
        self.floating = array.dtype.kind == "f"
        self.width, self.whole, self.scientific = 1, True, False
        if self.floating:
            self._measure(array)
        else:
            self.width = max((len(str(x)) for x in array.reshape(-1).tolist()), default=1)

    def _measure(self, array: Any) -> None:
        """Zeros, infinities and NaN have no say in the notation."""
        counted = array[np.isfinite(array) & (array != 0)]
        self.whole = bool((counted == np.ceil(counted)).all())
        if counted.size:
            sizes = np.abs(counted)
            smallest, largest = float(sizes.min()), float(sizes.max())
            self.scientific = largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4
            if PrintOptions.sci_mode is not None:
                self.scientific = PrintOptions.sci_mode
        self.width = max((len(self._number(x)) for x in counted.tolist()), default=1)

    def _number(self, x: float) -> str:
        if self.scientific:
            return f"{x:.{PrintOptions.precision}e}"
        if self.whole:
            return f"{x:.0f}" + ("." if math.isfinite(x) else "")
        return f"{x:.{PrintOptions.precision}f}"

    def __call__(self, x: Any) -> str:
        return (self._number(x) if self.floating else str(x)).rjust(self.width)


class ComplexFormatter:
    """Real and imaginary parts, each with a formatter of its own."""

    def __init__(self, array: Any) -> None:
        self.real, self.imag = Formatter(array.real), Formatter(array.imag)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, x: complex) -> str:
        imag = (self.imag(x.imag) + "j").lstrip()
        return self.real(x.real) + ("" if imag[0] in "+-" else "+") + imag


# --- Layout -----------------------------------------------------------------------------------------------------------


def _edges(array: Any) -> Any:
    """The elements that a summary shows."""
    keep = PrintOptions.edgeitems
    for axis, n in enumerate(array.shape):
        if n > 2 * keep:
            array = np.take(array, [*range(keep), *range(n - keep, n)], axis)
    return array


def _layout(array: Any, indent: int, summarize: bool, number: Any) -> str:
    keep = PrintOptions.edgeitems
    cut = summarize and array.ndim > 0 and array.shape[0] > 2 * keep
    if array.ndim == 0:
        return str(number(array.item()))
    if array.ndim == 1:
        return _vector(array, indent, cut, number)
    rows = [array[i] for i in (range(len(array)) if not cut else [*range(keep), *range(len(array) - keep, len(array))])]
    texts = [_layout(row, indent + 1, summarize, number) for row in rows]
    if cut:
        texts.insert(keep, "...")
    separator: str = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
    return "[" + separator.join(texts) + "]"


def _vector(array: Any, indent: int, cut: bool, number: Any) -> str:
    keep, per_line = PrintOptions.edgeitems, max(1, (PrintOptions.linewidth - indent) // (number.width + 2))
    shown = array.tolist() if not cut else [*array[:keep].tolist(), *array[len(array) - keep:].tolist()]
    texts = [number(x) for x in shown]
    if cut:
        texts.insert(keep, " ..." if keep else "...")
    lines = [", ".join(texts[i:i + per_line]) for i in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _elements(array: Any, indent: int) -> str:
    if array.size == 0:
        return "[]"
    if array.dtype not in (np.dtype(np.float64), np.dtype(np.complex128)):
        kind = dtypes.from_numpy(array.dtype)
        array = array.astype(np.complex128 if kind.is_complex else np.float64) if kind.is_inexact else array
    summarize = array.size > PrintOptions.threshold
    shown = _edges(array) if summarize else array
    number = ComplexFormatter(shown) if array.dtype.kind == "c" else Formatter(shown)
    return _layout(array, indent, summarize, number)


def _suffixes(tensor: Tensor) -> list[str]:
    found = []
    kind, on = tensor.dtype, tensor._device
    if on != "cpu":
        found.append(f"device='{on if ':' in on or on == 'meta' else on + ':0'}'")
    if on == "meta":
        found.append(f"size={tuple(tensor.shape)}")
        usual = kind is Defaults.dtype
    elif tensor.numel() == 0:
        if tensor.ndim != 1:
            found.append(f"size={tuple(tensor.shape)}")
        usual = kind is Defaults.dtype
    else:
        if not PrintOptions.edgeitems:
            found.append(f"size={tuple(tensor.shape)}")
        usual = kind in (Defaults.dtype, Defaults.dtype.complex_form, dtypes.int64, dtypes.boolean)
    if not usual:
        found.append(f"dtype={kind}")
    if tensor.grad_fn is not None:
        found.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        found.append("requires_grad=True")
    return found


def _joined(text: str, suffixes: list[str], indent: int) -> str:
    """The suffixes behind the elements, on a new line where they would not fit."""
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > PrintOptions.linewidth:
            text += ",\n" + " " * indent + suffix
            length = indent + len(suffix)
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"


def _traced(tensor: Tensor) -> str:
    return f"tensor{TRACED}{tensor._type}>)"


@method("__repr__")
def tensor_repr(self: Tensor, *, tensor_contents: Any = None) -> str:
    """torch's text of a tensor; of a traced one, its type. Reads the value."""
    if context.trace is not None or self._storage.trace is not None:
        return _traced(self)
    prefix = "tensor("
    if self._device == "meta":
        return _joined(prefix + "...", _suffixes(self), len(prefix))
    try:
        array = host_array(self.detach()._read())
    except TraceError:
        return _traced(self)
    return _joined(prefix + _elements(array, len(prefix)), _suffixes(self), len(prefix))


@method("__format__")
def tensor_format(self: Tensor, spec: str) -> str:
    """The number of a 0-d tensor in the given format; other tensors only as text."""
    if self.ndim or type(self) is not Tensor or self._device == "meta":
        return object.__format__(self, spec)
    if not spec and context.trace is not None:
        return str(self)
    try:
        return str(format(self.item(), spec))
    except TraceError as error:
        raise TraceError(f"{error} torch.debug.print prints it at each call.") from None
