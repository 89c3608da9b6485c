"""The safetensors format: eight bytes of header size, a JSON header, the tensors' bytes end to end.

Written and read here rather than by the library, whose functions on raw bytes differ between releases and hold a second
copy of everything in memory; the tests hold both against each other.
Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np

from ..tracer.ir import dtypes
from ..tracer.ir.dtypes import dtype
from ..tracer.ir.errors import CheckpointError

Array = np.ndarray[Any, Any]
MAX_HEADER = 100_000_000  # the library's limit
METADATA = "__metadata__"
ZIP = b"PK\x03\x04"
TORCHS_FIRST = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # of its form before the zip archive

CODES = {dtypes.boolean: "BOOL", dtypes.uint8: "U8", dtypes.uint16: "U16", dtypes.uint32: "U32", dtypes.uint64: "U64",
         dtypes.int8: "I8", dtypes.int16: "I16", dtypes.int32: "I32", dtypes.int64: "I64", dtypes.float16: "F16",
         dtypes.bfloat16: "BF16", dtypes.float32: "F32", dtypes.float64: "F64", dtypes.complex64: "C64",
         dtypes.float8_e4m3fn: "F8_E4M3", dtypes.float8_e5m2: "F8_E5M2"}
_KINDS = {code: kind for kind, code in CODES.items()}
_FOREIGN = {dtypes.complex128: ("F64", (2,)), dtypes.float8_e4m3fnuz: ("U8", ()), dtypes.float8_e5m2fnuz: ("U8", ())}


def stored_form(kind: dtype) -> tuple[str, tuple[int, ...]]:
    """The format's code for a dtype, and the dimensions added for one that the format lacks."""
    return _FOREIGN[kind] if kind in _FOREIGN else (CODES[kind], ())


def write(file: IO[bytes], arrays: Mapping[str, tuple[dtype, Array]], metadata: Mapping[str, str]) -> None:
    """Write all arrays, wide elements first, so that each begins at a multiple of its element size."""
    order = sorted(arrays, key=lambda name: -arrays[name][0].itemsize)
    header: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name in order:
        kind, array = arrays[name]
        code, more = stored_form(kind)
        header[name] = {"dtype": code, "shape": [*array.shape, *more], "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    for name in order:
        file.write(as_bytes(arrays[name][1]))


def as_bytes(array: Array) -> memoryview:
    """The array's memory in row-major order."""
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def checksum(arrays: Mapping[str, tuple[dtype, Array]], text: str) -> int:
    """The CRC-32 of `text` and of all names, types and contents, in the order of the names."""
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        kind, array = arrays[name]
        code, more = stored_form(kind)
        crc = zlib.crc32(repr((name, code, (*array.shape, *more))).encode(), crc)
        crc = zlib.crc32(as_bytes(array), crc)
    return crc


def read(file: IO[bytes], path: str) -> tuple[dict[str, tuple[dtype, Array]], dict[str, str]]:
    """All arrays and the metadata, from where the file stands to its end, where it is left.

    Raises CheckpointError for whatever is not exactly a safetensors file.
    """
    origin = file.tell()
    size = file.seek(0, os.SEEK_END) - origin
    file.seek(origin)
    header, start = _read_header(file, size, path)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise damaged(path, "the metadata in its header is not a map from text to text")
    entries = {name: _entry(name, entry, path) for name, entry in header.items()}
    _check_extent(entries.values(), size - start, path)
    arrays = {}
    for name, (kind, shape, begin, _) in sorted(entries.items(), key=lambda item: item[1][2]):
        file.seek(origin + start + begin)
        arrays[name] = kind, _read_array(file, kind, shape, path)
    return {name: arrays[name] for name in entries}, metadata


def is_torchs(first: bytes) -> bool:
    """Whether a file that begins so, with at least 15 bytes, is one of torch's."""
    return (first[:4] == ZIP and first[8:9] != b"{") or first.startswith(TORCHS_FIRST)


def damaged(path: str, problem: str) -> CheckpointError:
    """The error for a file that begins like a checkpoint."""
    return CheckpointError(f"{path} is a damaged checkpoint: {problem}")


def _read_header(file: IO[bytes], size: int, path: str) -> tuple[dict[str, Any], int]:
    """The parsed header, and where the tensors' bytes begin."""
    first = file.read(9)
    _refuse_pickle(first, path)
    if size < 10 or first[8:9] != b"{":
        if size < 10:
            raise CheckpointError(f"{path} is no checkpoint, or was cut off near its beginning: it has {size} bytes")
        raise CheckpointError(f"{path} is no checkpoint: it does not begin as a safetensors file does")
    (length,) = struct.unpack("<Q", first[:8])
    if length > MAX_HEADER:
        raise damaged(path, f"its header claims to have {length} bytes, more than the {MAX_HEADER} allowed")
    if length > size - 8:
        raise damaged(path, f"it was cut off inside its header: {size} bytes, of which the header should be {length}")
    text = first[8:] + file.read(length - 1)
    try:
        header = json.loads(text.decode(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its header cannot be read: {error}") from None
    if not isinstance(header, dict):
        raise damaged(path, "its header is not a JSON object")
    return header, 8 + length


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _refuse_pickle(first: bytes, path: str) -> None:
    pickled = first[:4] == ZIP or (first[:1] == b"\x80" and first[1:2] <= b"\x05")
    if pickled and first[8:9] != b"{":
        raise CheckpointError(
            f"{path} is a pickle file, but none that torch.save wrote: it is refused, because reading it can run any code. "
            "Save its tensors where it was made, by torch.save, or by safetensors.torch.save_file(tensors, "
            "'model.safetensors')")


def _entry(name: str, entry: Any, path: str) -> tuple[dtype, tuple[int, ...], int, int]:
    """dtype, shape, begin and end of one tensor."""
    try:
        code, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = isinstance(code, str) and all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise damaged(path, f"the header's entry of tensor {name!r} is malformed")
    if code not in _KINDS:
        raise CheckpointError(f"{path} has a tensor {name!r} of dtype {code}, which is not supported")
    if end - begin != math.prod(shape) * _KINDS[code].itemsize:
        raise damaged(path, f"tensor {name!r} of dtype {code} and shape {list(shape)} cannot have {end - begin} bytes")
    return _KINDS[code], shape, begin, end


def _check_extent(entries: Iterable[tuple[dtype, tuple[int, ...], int, int]], available: int, path: str) -> None:
    """The tensors must fill the rest of the file, without holes and overlaps."""
    at = 0
    for _, _, begin, end in sorted(entries, key=lambda entry: entry[2:]):
        if begin != at:
            raise damaged(path, f"its header leaves a hole or an overlap at byte {min(at, begin)} of the tensors")
        at = end
    if at > available:
        raise damaged(path, f"it was cut off: {available} of {at} bytes of tensors are there")
    if at < available:
        raise damaged(path, f"{available - at} bytes follow the last tensor")


def _read_array(file: IO[bytes], kind: dtype, shape: tuple[int, ...], path: str) -> Array:
    array = np.empty(shape, np.uint8 if kind is dtypes.boolean else kind.numpy)
    view = array.reshape(-1).view(np.uint8)
    done = 0
    while done < view.size:
        count = _read_into(file, memoryview(view)[done:])
        if not count:
            raise damaged(path, "it became shorter while it was read")
        done += count
    return array != 0 if kind is dtypes.boolean else array


def _read_into(file: IO[bytes], place: memoryview) -> int:
    """Fill as much of `place` as the file gives at once; a file of somebody's own may have `read` alone."""
    if hasattr(file, "readinto"):
        return file.readinto(place) or 0
    part = file.read(len(place))
    place[:len(part)] = part
    return len(part)
