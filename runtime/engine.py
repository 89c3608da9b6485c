"""The XLA engine: prints a graph, compiles it (or finds it compiled), and runs it through PJRT."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..lowering import PLATFORM_OVERRIDES
from ..lowering.folding import folds_slowly
from ..lowering.module import module_text
from ..lowering.tpu import require_supported
from ..tracer.backend import NumpyBackend, install
from ..tracer.ir.graph import Graph
from . import cache, devices, dump, lapack, memory, pjrt

Array = np.ndarray[Any, Any]

# Programs that are found again in memory, and the lines of their texts, each about a piece of memory that a process maps; a
# program that somebody holds lives on, any other is loaded from disk.
KEPT, KEPT_LINES = 512, 30_000


class Counts:
    """How often this process compiled, found a program on disk, and launched one. Counted at the only places that do."""

    compiles = 0
    disk_hits = 0
    launches = 0


class XlaProgram:
    """A compiled graph with what is needed to run it."""

    __slots__ = ("name", "seconds", "lines", "_executable", "_handlers", "_text", "_execute", "_needed")

    def __init__(self, name: str, executable: pjrt.Executable, handlers: list[Any], text: str,
                 seconds: dict[str, float]) -> None:
        self.name, self.seconds, self.lines = name, seconds, text.count("\n")
        self._executable, self._handlers, self._text = executable, handlers, text
        self._execute = executable.execute
        size = executable.memory()
        self._needed = size["temp"] + size["output"] - size["alias"]

    def again(self, printed: float) -> XlaProgram:
        """The same program for another user of it, who paid for printing the text only."""
        return XlaProgram(self.name, self._executable, self._handlers, self._text, {"print": printed, "compile": 0.0})

    def run(self, buffers: list[Any]) -> list[Any]:
        """Start the program; the results are buffers that may still be computed."""
        if self._needed > memory.SMALL:
            memory.require(self.name, self._executable.device, self._needed, self._executable.free_memory(self._needed))
        Counts.launches += 1
        return self._execute(buffers).consume_with_handlers(self._handlers)

    def stablehlo(self) -> str:
        """The text that was compiled."""
        return self._text

    def hlo(self) -> str:
        """The optimised HLO."""
        return self._executable.hlo()

    def memory(self) -> Mapping[str, int]:
        """Bytes of arguments, outputs, aliased outputs, temporaries and code."""
        return self._executable.memory()

    def cost(self) -> Mapping[str, float]:
        """XLA's estimate."""
        return self._executable.cost()


def _after_fork() -> None:
    """XLA's threads do not survive a fork: the child has the numpy engine."""
    install(NumpyBackend)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class XlaBackend:
    """Compiles and runs on the devices that PJRT has."""

    name = "xla"

    def __init__(self) -> None:
        self._programs: dict[tuple[str, str], XlaProgram] = {}
        self._lock = threading.Lock()

    def compile(self, graph: Graph, device: str, donated: Mapping[int, int]) -> XlaProgram:
        """A program for the graph on `device`: from memory, from disk, or compiled now."""
        platform, index = devices.parse(device)
        started = time.perf_counter()
        if platform == "tpu":
            require_supported(graph)
        text = module_text(graph, donated=donated, overrides=PLATFORM_OVERRIDES.get(platform))
        printed = time.perf_counter() - started
        with self._lock:
            known = self._programs.pop((device, text), None)
            if known is not None:
                self._programs[device, text] = known  # the last one used is the last one dropped
        if known is not None:
            return known.again(printed)
        client = devices.client(platform)
        started = time.perf_counter()
        executable = self._load_or_compile(client, index, text, graph)
        seconds = {"print": printed, "compile": time.perf_counter() - started}
        types = [(v.type.shape, v.type.dtype.numpy) for v in graph.outputs]
        program = XlaProgram(graph.name, executable, client.result_handlers(types, index), text, seconds)
        with self._lock:
            program = self._programs.setdefault((device, text), program)
            self._drop_old()
        folder = os.environ.get("FLAMBEAU_DUMP")
        if folder:
            dump.write(Path(folder), graph, program)
        return program

    def _drop_old(self) -> None:
        """Drop the programs that were asked for longest ago, as far as there are too many; the last one stays."""
        lines = sum(program.lines for program in self._programs.values())
        while len(self._programs) > 1 and (len(self._programs) > KEPT or lines > KEPT_LINES):
            lines -= self._programs.pop(next(iter(self._programs))).lines

    @staticmethod
    def _load_or_compile(client: pjrt.Client, index: int, text: str, graph: Graph) -> pjrt.Executable:
        lapack.make_known(text)
        name = cache.key(text, client.platform, client.version, pjrt.build(), str(client.devices[index]),
                         str(client.overrides))
        stored = cache.load(name)
        if stored is not None:
            try:
                found = client.deserialize(stored, index)
                Counts.disk_hits += 1
                return found
            except pjrt.XlaError as error:
                pjrt.logger.info("a cached program could not be loaded and is compiled again: %s", error)
        Counts.compiles += 1
        # Only where it is slow: elsewhere folding makes programs better. It follows from the text, so the key need not say it.
        options = pjrt.compile_options(xla_disable_hlo_passes="constant_folding") if folds_slowly(graph) else None
        executable = client.compile(text, index, options)
        try:
            cache.store(name, client.serialize(executable))
        except pjrt.XlaError as error:
            pjrt.logger.info("a program cannot be kept on disk: %s", error)
        return executable

    def upload(self, array: Array, device: str) -> Any:
        """A buffer with a copy of the array."""
        platform, index = devices.parse(device)
        return devices.client(platform).upload(np.ascontiguousarray(array).reshape(array.shape), index)

    def download(self, buffer: Any) -> Array:
        """The buffer's contents, not to be written to."""
        return buffer if isinstance(buffer, np.ndarray) else pjrt.download(buffer)

    def wait(self) -> None:
        """Return when everything that was started is computed; raises what a computation raised."""
        for client in devices.connected():
            client.wait()

    def ready(self, buffer: Any) -> bool:
        """Whether the buffer is computed."""
        return isinstance(buffer, np.ndarray) or pjrt.is_ready(buffer)

    def deleted(self, buffer: Any) -> bool:
        """Whether the buffer was donated."""
        return not isinstance(buffer, np.ndarray) and bool(buffer.is_deleted())

    def check_device(self, device: str) -> str:
        """The canonical name of a device that is there."""
        return devices.canonical(device)

    def device_info(self, device: str) -> Mapping[str, Any]:
        """What PJRT says of a device."""
        return devices.info(device)
