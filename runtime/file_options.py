"""What holds for all files that are saved and loaded until it is said otherwise.

Source: https://pytorch.org/docs/stable/notes/serialization.html#utility-functions
"""

from __future__ import annotations

import mmap
import sys
import threading
from enum import Enum
from typing import Any


class LoadEndianness(Enum):
    """The order of bytes in files that do not tell it."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class Options:
    """The present ones, of the process."""

    crc32: bool = True
    endianness: LoadEndianness | None = None
    mmap_flags: int = getattr(mmap, "MAP_PRIVATE", 2)


class _Skipping(threading.local):
    data = False


_skipping = _Skipping()


def skipping() -> bool:
    """Whether this thread is in a block of `skip_data`."""
    return _skipping.data


def byte_order() -> str:
    """The order of bytes in files that do not tell it: "little" or "big"."""
    told = {LoadEndianness.LITTLE: "little", LoadEndianness.BIG: "big"}
    return sys.byteorder if Options.endianness is None else told.get(Options.endianness, sys.byteorder)


def get_crc32_options() -> bool:
    """Whether saved files have checksums."""
    return Options.crc32


def set_crc32_options(compute_crc32: bool) -> None:
    """Let files be saved with checksums, or without: such a file is loaded as it is, damaged or not.

    >>> import flambeau as torch, io, zipfile
    >>> torch.serialization.set_crc32_options(False)
    >>> file = io.BytesIO()
    >>> torch.save(torch.ones(2), file, _use_new_zipfile_serialization=True)
    >>> zipfile.ZipFile(file).getinfo("archive/data.pkl").CRC
    0
    >>> torch.serialization.set_crc32_options(True)

    Source: https://pytorch.org/docs/stable/notes/serialization.html#torch.serialization.set_crc32_options
    """
    Options.crc32 = compute_crc32


def get_default_load_endianness() -> LoadEndianness | None:
    """What was set; None is the order of this machine."""
    return Options.endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """The order of bytes in archives that do not tell it. TypeError for what is no `LoadEndianness`, nor None.

    Source: https://pytorch.org/docs/stable/notes/serialization.html#torch.serialization.set_default_load_endianness
    """
    if not isinstance(endianness, LoadEndianness) and endianness is not None:
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    Options.endianness = endianness


def get_default_mmap_options() -> int:
    """How `load` maps files with `mmap=True`."""
    return Options.mmap_flags


class set_default_mmap_options:
    """How files are mapped by `load` with `mmap=True`, from here on, or in a block.

    With `mmap.MAP_SHARED` what others write to the file is seen; tensors move when they are written, and never write to it.
    Raises ValueError for other flags; RuntimeError on Windows.

    >>> import mmap
    >>> with set_default_mmap_options(mmap.MAP_SHARED):
    ...     get_default_mmap_options() == mmap.MAP_SHARED
    True

    Source: https://pytorch.org/docs/stable/notes/serialization.html#torch.serialization.set_default_mmap_options
    """

    def __init__(self, flags: int) -> None:
        if sys.platform == "win32":
            raise RuntimeError("Changing the default mmap options is currently not supported for Windows")
        if flags not in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
            raise ValueError("Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or "
                             f"mmap.MAP_SHARED, but got {flags}")
        self.prev, Options.mmap_flags = Options.mmap_flags, flags

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: Any) -> None:
        Options.mmap_flags = self.prev


def mapped(number: int) -> mmap.mmap:
    """The open file of that number in memory, as the options say."""
    if Options.mmap_flags == getattr(mmap, "MAP_SHARED", None):
        return mmap.mmap(number, 0, access=mmap.ACCESS_READ)
    return mmap.mmap(number, 0, access=mmap.ACCESS_COPY)


class skip_data:
    """A block in which files are saved and loaded without what is in tensors: there are zeros, in as many bytes.

    >>> import flambeau as torch, io
    >>> file = io.BytesIO()
    >>> with torch.serialization.skip_data():
    ...     torch.save({"x": torch.ones(2), "epoch": 3}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'x': tensor([0., 0.]), 'epoch': 3}

    Source: https://pytorch.org/docs/stable/notes/serialization.html#torch.serialization.skip_data
    """

    def __init__(self, materialize_fake_tensors: bool = False) -> None:
        self.materialize_fake_tensors = materialize_fake_tensors
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_skipping.data)
        _skipping.data = True

    def __exit__(self, *error: Any) -> None:
        _skipping.data = self._before.pop()
