"""Python objects that show their bytes, as the elements of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.dtypes import dtype


def shows_bytes(x: Any) -> bool:
    """Whether it is a buffer: `bytes`, `bytearray`, `memoryview`, `array.array`, `mmap`."""
    try:
        memoryview(x)
    except TypeError:
        return False
    return True


def elements_of(buffer: Any, kind: dtype) -> np.ndarray[Any, Any]:
    """The bytes of a buffer as elements of a dtype, as torch takes them whatever they were."""
    count = memoryview(buffer).nbytes
    if count % kind.itemsize:
        raise ValueError(f"buffer length ({count} bytes) after offset (0 bytes) must be a multiple of element size "
                         f"({kind.itemsize})")
    return np.frombuffer(buffer, kind.numpy) if count else np.zeros(0, kind.numpy)
