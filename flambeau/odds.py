"""Small functions of torch itself: facts of a build, files as tensors, what was removed."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from . import cpu, cuda
from .tracer.autograd.anomaly import set_detect_anomaly
from .tracer.functions.creation import from_numpy
from .tracer.functions.defaults import Defaults
from .tracer.ir.dtypes import dtype
from .tracer.ir.errors import DeviceError
from .tracer.ir.state import state
from .tracer.tensor.device import device as _device
from .tracer.tensor.tensor import Tensor

AcceleratorError = DeviceError
has_lapack = has_openmp = has_spectral = True
has_mkl = False


def init_num_threads() -> None:
    """Accepted: XLA starts its threads with the first computation."""


def is_inference_mode_enabled() -> bool:
    """False: `inference_mode` switches gradients off, and tensors made in it are like others."""
    return False


def is_anomaly_check_nan_enabled() -> bool:
    """Whether a backward that computes NaN is an anomaly; True where anomalies are not looked for."""
    return bool(getattr(state.anomaly, "check_nan", True))


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """`autograd.set_detect_anomaly` as a function."""
    set_detect_anomaly(mode, check_nan)


def get_device_module(device: Any = None) -> ModuleType:
    """The module of a kind of device, by default of the accelerator: `torch.cuda` or `torch.cpu`.

    >>> import flambeau as torch
    >>> torch.get_device_module("cpu") is torch.cpu
    True
    """
    kind = _device(device).type if device is not None else "cuda" if cuda.is_available() else "cpu"
    found = {"cpu": cpu, "cuda": cuda}.get(kind)
    if found is None:
        raise RuntimeError(f"Device '{kind}' does not have a corresponding module registered as 'torch.{kind}'.")
    return found


def to_dlpack(tensor: Tensor, /) -> Any:
    """A capsule that shows the memory of a tensor to another library."""
    return tensor.__dlpack__()


def thread_safe_generator() -> None:
    """None: a worker of a loader seeds the generator of its own process."""


def from_file(filename: str, shared: bool | None = None, size: int | None = 0, *, dtype: dtype | None = None,
              layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """The first `size` elements in a file of numbers; `shared`, the file's own memory, so that writing to it is seen: such a file
    is made, or made longer, where it is too short. RuntimeError for one that is not there, or too short.

    Source: https://pytorch.org/docs/stable/generated/torch.from_file.html
    """
    kind = (dtype or Defaults.dtype).numpy
    if not size:  # torch does not look at the file
        found = from_numpy(np.empty(0, kind))
    elif shared:
        _bytes_in(filename, "ab", "read-write")
        found = from_numpy(np.memmap(filename, kind, "r+", shape=(size,)))
    else:
        there, wanted = _bytes_in(filename, "rb", "read-only"), size * kind.itemsize
        if there < wanted:
            raise RuntimeError(f"file <{filename}> size <{there}> is smaller than the required mapping size <{wanted}>")
        found = from_numpy(np.fromfile(filename, kind, size))
    return found.to(device=device or "cpu").requires_grad_(requires_grad)


def _bytes_in(filename: str, mode: str, told: str) -> int:
    """How long a file is that opens in this mode; torch's error for one that does not."""
    try:
        with open(filename, mode) as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise RuntimeError(f"unable to open file <{filename}> in {told} mode: {error.strerror} ({error.errno})") from None


def sym_constrain_range(size: Any, *, min: int | None = None, max: int | None = None) -> None:
    """Check that a size lies between two bounds: sizes are ints. RuntimeError where it does not."""
    if (min is not None and size < min) or (max is not None and size > max):
        raise RuntimeError(f"Invalid value range for {size} between [{min}, {max}].")


sym_constrain_range_for_size = sym_constrain_range


def _removed(name: str, instead: str) -> Callable[..., NoReturn]:
    def function(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"This function was deprecated since version 1.9 and is now removed. Instead of torch.{name} there is "
                           f"torch.linalg.{instead}.")

    function.__name__, function.__doc__ = name, f"RuntimeError, as in torch: there is `linalg.{instead}`."
    return function


eig, lstsq, matrix_rank = _removed("eig", "eig"), _removed("lstsq", "lstsq"), _removed("matrix_rank", "matrix_rank")
solve, symeig = _removed("solve", "solve"), _removed("symeig", "eigh")
for _name in ("eig", "lstsq", "solve", "symeig"):
    setattr(Tensor, _name, globals()[_name])


def sym_fresh_size(expr: Any) -> int:
    """The size itself: sizes are ints.

    >>> sym_fresh_size(3)
    3
    """
    return int(operator.index(expr))
