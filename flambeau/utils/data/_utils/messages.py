"""Messages between a loader and its workers, over a socket: small ones in it, large ones in memory that it hands over.

That memory has no name: the kernel frees it with the last process that holds it, however that ends. A process that sends
into a full socket waits for the other one to read, and both would wait for ever if each sent; so what may be on its way at
once is kept well below the size of a socket's buffer.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler, recv_handle, send_handle
from typing import Any

import numpy as np

from ....tracer.ir import dtypes
from ....tracer.lazy.flush import host_array
from ....tracer.tensor.tensor import Tensor
from .host import on_array

ON_ITS_WAY = 1 << 16  # bytes in a socket at once
_ALIGNED = 64


class _Pickler(ForkingPickler):
    """Tensors go as their contents, which stay outside the pickle."""

    def reducer_override(self, x: Any) -> Any:
        if type(x) is not Tensor or x.requires_grad or x._device != "cpu":
            return NotImplemented
        array = np.ascontiguousarray(host_array(x._read())).reshape(x._type.shape)
        return _tensor, (array.view(np.ndarray).reshape(-1).view(np.uint8), x.dtype.name, x._type.shape)


_BY_NAME = {kind.name: kind for kind in dtypes.ALL}


def _tensor(array: Any, name: str, shape: tuple[int, ...]) -> Tensor:
    return on_array(array.view(_BY_NAME[name].numpy).reshape(shape))


def limit(messages: int) -> int:
    """From how many bytes on a message goes by memory, where so many may be on their way to each side."""
    return max(ON_ITS_WAY // max(messages, 1), 256)


def send(connection: Connection, message: Any, small: int) -> None:
    """Send what `receive` gives; messages of more than `small` bytes by memory."""
    parts: list[pickle.PickleBuffer] = []
    text = io.BytesIO()
    _Pickler(text, 5, True, parts.append).dump(message)
    blocks = [text.getbuffer(), *(part.raw() for part in parts)]
    sizes = [block.nbytes for block in blocks]
    if sum(sizes) <= small:
        connection.send_bytes(b"".join([_head(b"i", sizes), *blocks]))
        return
    handle = _memory()
    try:
        with open(handle, "wb", buffering=0, closefd=False) as file:
            for block, place in zip(blocks, _places(sizes)):
                file.seek(place)
                while block.nbytes:  # a single write stops at 2 GB
                    block = block[file.write(block):]
        connection.send_bytes(_head(b"m", sizes))
        send_handle(connection, handle, 0)
    finally:
        os.close(handle)


def _head(kind: bytes, sizes: list[int]) -> bytes:
    return kind + np.array([len(sizes), *sizes], np.int64).tobytes()


def _memory() -> int:
    """A file that is nowhere in the file system."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("flambeau-batch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _places(sizes: list[int]) -> list[int]:
    """Where each block begins, and where the last one ends."""
    places = [0]
    for size in sizes:
        places.append(-(-(places[-1] + size) // _ALIGNED) * _ALIGNED)
    return places


def receive(connection: Connection) -> Any:
    """The next message; EOFError once the other side is gone."""
    data = bytearray(connection.recv_bytes())  # writable, for arrays that users write to
    count = int(np.frombuffer(data, np.int64, 1, 1)[0])
    sizes: list[int] = np.frombuffer(data, np.int64, count, 9).tolist()
    start = 9 + 8 * count
    if data[:1] == b"i":
        whole, ends = memoryview(data)[start:], np.cumsum([0, *sizes]).tolist()
    else:
        handle = recv_handle(connection)
        try:
            ends = _places(sizes)
            whole = memoryview(mmap.mmap(handle, os.fstat(handle).st_size))
        finally:
            os.close(handle)
    blocks = [whole[begin:begin + size] for begin, size in zip(ends, sizes)]
    return pickle.loads(blocks[0], buffers=blocks[1:])
