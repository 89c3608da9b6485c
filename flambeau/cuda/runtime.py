"""What torch has of CUDA itself: its runtime library, the errors of its calls, its allocator's switches, graphs of callables."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..tracer import jit as room
from ..tracer.functions.creation import zeros
from ..tracer.ir.dtypes import uint8
from .devices import index_of, info, is_available


class cudaStatus:
    """Two of the numbers that calls of CUDA give."""

    SUCCESS: int = 0
    ERROR_NOT_READY: int = 34


def cudart() -> Any:
    """CUDA's runtime library, whose functions are called through `ctypes`; AssertionError where there is no device.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.cudart.html
    """
    index_of()
    found = find_spec("nvidia")
    folders = [Path(place) / "cuda_runtime" / "lib" for place in (found.submodule_search_locations or ())] if found else []
    files = [str(file) for folder in folders for file in sorted(folder.glob("libcudart.so*"))]
    return ctypes.CDLL((files or ["libcudart.so"])[0])


class CudaError(RuntimeError):
    """What a call of CUDA failed with, by its number."""

    def __init__(self, code: int) -> None:
        library = cudart()
        library.cudaGetErrorString.restype = ctypes.c_char_p
        super().__init__(f"{library.cudaGetErrorString(int(code)).decode()} ({code})")


def check_error(res: int) -> None:
    """CudaError for the number of a failure."""
    index_of()
    if res != cudaStatus.SUCCESS:
        raise CudaError(res)


_allocated: dict[int, Any] = {}


def caching_allocator_alloc(size: int, device: Any = None, stream: Any = None) -> int:
    """Hold so many bytes on a device, until they are given back; a number that stands for them.

    AssertionError where there is no device. The number is none of an address: memory is XLA's.
    """
    memory = zeros(size, dtype=uint8, device=f"cuda:{index_of(device)}")
    memory._read()
    _allocated[memory.data_ptr()] = memory
    return int(memory.data_ptr())


def caching_allocator_delete(mem_ptr: int) -> None:
    """Give back what `caching_allocator_alloc` gave."""
    index_of()
    del _allocated[mem_ptr]


def caching_allocator_enable(value: bool = True) -> None:
    """Accepted: XLA allocates memory by plan."""


@contextmanager
def caching_allocator_disabled() -> Iterator[None]:
    """A block, which is accepted: XLA allocates memory by plan."""
    yield


def get_allocator_backend() -> str:
    """"native": memory is not taken from elsewhere."""
    return "native"


def memory_snapshot(mempool_id: Any = None, include_traces: bool = True) -> list[dict[str, Any]]:
    """What is held on the present device, as one segment; nothing where there is no device."""
    if not is_available():
        return []
    found = info()
    held = int(found.get("bytes_reserved", found.get("pool_bytes", found.get("bytes_in_use", 0))))
    used = int(found.get("bytes_in_use", 0))
    return [{"device": index_of(), "address": 0, "total_size": held, "allocated_size": used, "active_size": used,
             "segment_type": "large", "blocks": []}]


def make_graphed_callables(callables: Any, sample_args: Any, num_warmup_iters: int = 3, allow_unused_input: bool = False,
                           pool: Any = None) -> Any:
    """Functions or modules, each of which is one program that is launched at once: those of `torch.jit`.

    Args: `callables`, one or a tuple; `sample_args`, tensors to call it with, or a tuple of such for each: each is called
    `num_warmup_iters` times, and is compiled then.
    RuntimeError where there is no CUDA device: `jit` itself is for every device.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.make_graphed_callables.html
    """
    if not is_available():
        raise RuntimeError("Tried to instantiate dummy base class CUDAGraph")
    single = not isinstance(callables, tuple)
    made = tuple(room.jit.jit(function) for function in ((callables,) if single else callables))
    for function, arguments in zip(made, (sample_args,) if single else sample_args):
        for _ in range(num_warmup_iters):
            function(*arguments)
    return made[0] if single else made
