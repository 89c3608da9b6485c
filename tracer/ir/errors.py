"""Errors that name what was required, what was given, and what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

READING_A_VALUE = (
    "the value of a traced tensor was read{where}: while a function is traced by jit (or a transform) tensors have shapes "
    "and dtypes but no values. Choose with torch.where instead of Python control flow, or return the tensor and read it "
    "outside.")
TRACED = "(<traced "  # in the text of a traced tensor
TEXT_LEAVES = (
    "the text of a traced tensor, {text!r}, is in what the step {name} returns or leaves outside: it would be the same at each "
    "call, without the values. Return the tensor and make the text outside; torch.debug.print prints it at each call.")


class TraceError(RuntimeError):
    """Something that cannot be done while a function is being traced by `jit` or a transform."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        if _noted.errors is not None:
            _noted.errors.append(self)


class NeededFirst(BaseException):
    """Raised in a trace: `do` has to be done outside of it, and then the function is traced from its beginning.

    No Exception, so that the code that is traced does not catch it.
    """

    def __init__(self, do: Callable[[], None]) -> None:
        super().__init__("something has to be done before the function is traced")
        self.do = do


class _Noted(threading.local):
    """The errors that were made since `noting` began in this thread."""

    errors: list[TraceError] | None = None


_noted = _Noted()


@contextmanager
def noting() -> Iterator[None]:
    """Raise at the end what a trace refused in this block, if the code caught it: its way round would be compiled in."""
    before, _noted.errors = _noted.errors, []
    try:
        yield
        causes = [error.__cause__ for error in _noted.errors]
        for error in _noted.errors:
            if error not in causes:
                raise error
    finally:
        _noted.errors = before


class NanError(FloatingPointError):
    """A step compiled with `check_nan` came upon a NaN; the message names what gave it first."""


class OpError(ValueError):
    """A primitive was given operands or parameters it cannot take."""


class DeviceError(RuntimeError):
    """Tensors on different devices, or a device that is not there."""


class NoCudaError(DeviceError, AssertionError):
    """There is no CUDA device: an AssertionError, as torch's of a build without CUDA."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Torch not compiled with CUDA enabled: {why}")


class OutOfMemoryError(RuntimeError):
    """A program needs more memory than its device has free; nothing ran and nothing was changed."""


class LinAlgError(RuntimeError):
    """A matrix for which a function of `torch.linalg` has no result: singular, not positive definite, not finite."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, or a file that is no checkpoint or a damaged one."""


class EmptyFileError(CheckpointError, EOFError):
    """A file in which a checkpoint is expected and nothing is there, which torch tells by an EOFError."""


def requires(condition: bool, op: str, what: str, given: object) -> None:
    """Raise `OpError` with "op requires X, got Y" unless the condition holds."""
    if not condition:
        raise OpError(f"{op} requires {what}, got {given}")


def device_mismatch(op: str, devices: Sequence[str]) -> DeviceError:
    """torch's message for operands on two devices."""
    names = list(dict.fromkeys(devices))
    return DeviceError(f"Expected all tensors to be on the same device, but found at least two devices, "
                       f"{' and '.join(names[:2])}! (in {op}; move one with .to({names[0]!r}))")


def no_dimensions(dim: object) -> IndexError:
    """torch's error for a dimension of a point (0-d), which has none."""
    return IndexError(f"Dimension specified as {dim} but tensor has no dimensions")


VALUE_IN_VMAP = (
    "vmap: It looks like you're calling .item() on a Tensor, or using one in data-dependent control flow, at {where}. The "
    "function that vmap maps runs once for all examples, so tensors have no values in it. Choose with torch.where instead "
    "of Python control flow, or return the tensor and read it outside.")
