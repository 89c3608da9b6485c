"""The one inversion of the import order: what `tracer` needs of whatever compiles and runs graphs, and its slot.

The package's face installs a factory for the XLA engine; it is called at the first execution, so that importing
flambeau loads neither jax nor jaxlib. `tests/pure` and forked children install the numpy engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NoReturn, Protocol

import numpy as np

from .ir.errors import DeviceError, NoCudaError
from .ir.graph import Graph
from .walks.interpret import interpret

Array = np.ndarray[Any, Any]


class SharedArray(np.ndarray[Any, Any]):
    """Memory that belongs to the user (`from_numpy`, DLPack): read anew at each use, never donated."""


class Program(Protocol):
    """A compiled graph."""

    @property
    def name(self) -> str:
        """The graph's name."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """What making it took, by phase."""

    def run(self, buffers: list[Any]) -> list[Any]:
        """Outputs for inputs, all on the program's device. Donated buffers are consumed. Runs asynchronously."""

    def stablehlo(self) -> str:
        """The text that was compiled."""

    def hlo(self) -> str:
        """What the compiler made of it."""

    def memory(self) -> Mapping[str, int]:
        """Bytes of arguments, outputs, aliases, temporaries and code."""

    def cost(self) -> Mapping[str, float]:
        """The compiler's estimate of flops and bytes accessed."""


class Backend(Protocol):
    """An engine."""

    name: str

    def compile(self, graph: Graph, device: str, donated: Mapping[int, int]) -> Program:
        """A program for `graph`; `donated` maps inputs to the outputs that take over their buffers."""

    def upload(self, array: Array, device: str) -> Any:
        """A buffer on `device` with a copy of the array."""

    def download(self, buffer: Any) -> Array:
        """The buffer as a numpy array that must not be written to; waits for it."""

    def wait(self) -> None:
        """Return when everything that was started is computed."""

    def ready(self, buffer: Any) -> bool:
        """Whether the buffer is computed; does not wait for it."""

    def deleted(self, buffer: Any) -> bool:
        """Whether the buffer was donated or freed."""

    def check_device(self, device: str) -> str:
        """The canonical name of a device (`cuda` is `cuda:0`); DeviceError if it is not there."""

    def device_info(self, device: str) -> Mapping[str, Any]:
        """What is known of a device: its `name`, `compute_capability`, and counters of memory in bytes."""


class NumpyProgram:
    """A graph that the interpreter runs."""

    def __init__(self, graph: Graph) -> None:
        self.name, self.graph = graph.name, graph
        self.seconds: dict[str, float] = {}

    def run(self, buffers: list[Any]) -> list[Any]:
        """Interpret the graph."""
        return interpret(self.graph, [_on_host(b) for b in buffers])

    def stablehlo(self) -> str:
        """There is no StableHLO: the numpy engine runs the graph itself."""
        return ""

    def hlo(self) -> str:
        """There is no HLO either."""
        return ""

    def memory(self) -> Mapping[str, int]:
        """Bytes of inputs and outputs."""
        return {"argument": sum(v.type.nbytes for v in self.graph.inputs),
                "output": sum(v.type.nbytes for v in self.graph.outputs)}

    def cost(self) -> Mapping[str, float]:
        """Nothing is known."""
        return {}


def _on_host(buffer: Any) -> Array:
    """The array; also of a buffer of an engine used before, whose own conversion would load that engine."""
    try:
        return np.asarray(buffer if isinstance(buffer, np.ndarray) else memoryview(buffer))
    except (BufferError, TypeError):
        return np.asarray(buffer)


class NumpyBackend:
    """The engine that needs no XLA: every op's reference rule."""

    name = "numpy"

    def compile(self, graph: Graph, device: str, donated: Mapping[int, int]) -> Program:
        """A program that interprets the graph."""
        return NumpyProgram(graph)

    def upload(self, array: Array, device: str) -> Any:
        """A copy."""
        return np.array(array)

    def download(self, buffer: Any) -> Array:
        """The array itself."""
        return _on_host(buffer)

    def wait(self) -> None:
        """numpy does not run ahead."""

    def ready(self, buffer: Any) -> bool:
        """numpy does not run ahead."""
        return True

    def deleted(self, buffer: Any) -> bool:
        """Arrays are never donated."""
        return False

    def check_device(self, device: str) -> str:
        """Only the CPU."""
        if device not in ("cpu", "cpu:0"):
            kind = NoCudaError if device.startswith("cuda") else DeviceError
            raise kind(f"the numpy engine has only the device 'cpu', not {device!r}")
        return "cpu"

    def device_info(self, device: str) -> Mapping[str, Any]:
        """Its name."""
        return {"name": device}


NO_DATA = "Cannot copy out of meta tensor; no data!"


class NoContents:
    """The buffer of a tensor on the device "meta", which has a type and no contents."""

    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise NotImplementedError(NO_DATA)

    def is_deleted(self) -> bool:
        """There is nothing to donate."""
        return False

    def is_ready(self) -> bool:
        """There is nothing to wait for."""
        return True


class NothingProgram(NumpyProgram):
    """A graph of which only the types count."""

    def run(self, buffers: list[Any]) -> list[Any]:
        """Outputs without contents."""
        return [NoContents() for _ in self.graph.outputs]


class MetaBackend(NumpyBackend):
    """The engine of the device "meta": it computes nothing, whatever the size."""

    name = "meta"

    def compile(self, graph: Graph, device: str, donated: Mapping[int, int]) -> Program:
        """A program that gives outputs without contents."""
        return NothingProgram(graph)

    def upload(self, array: Array, device: str) -> Any:
        """The contents are dropped."""
        return NoContents()


_factory: Callable[[], Backend] = NumpyBackend
_installed: Backend | None = None


def install(factory: Callable[[], Backend]) -> None:
    """Use `factory()` as the engine from the next execution on."""
    global _factory, _installed
    _factory, _installed = factory, None


def started() -> Backend | None:
    """The engine, if there was an execution."""
    return _installed


_meta = MetaBackend()


def backend(device: str = "") -> Backend:
    """The engine, made at the first call; for "meta" the one that computes nothing."""
    global _installed
    if device == "meta":
        return _meta
    if _installed is None:
        _installed = _factory()
    return _installed


@lru_cache(maxsize=1)
def has_cuda_plugin() -> bool:
    """Whether what lets PJRT see CUDA devices is installed."""
    return any(find_spec(name) is not None for name in ("jax_cuda12_plugin", "jax_cuda13_plugin"))


def has_cuda() -> bool:
    """Whether there is a CUDA device; known at once where the plugin is not installed."""
    if not has_cuda_plugin():
        return False
    try:
        backend().check_device("cuda:0")
    except DeviceError:
        return False
    return True


def running() -> bool:
    """Whether the engine was made, with all that it decided then."""
    return _installed is not None
