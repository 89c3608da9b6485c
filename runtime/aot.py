"""Ahead of time: a step compiled by the real TPU compiler, on a machine without a TPU.

`compile(step, *args, topology="v5e:2x2")` hands libtpu the text that the step would run, and says how much of a chip's
memory the program takes and how long the compiler expects it to run. Needs the extra `flambeau[tpu]`, and no TPU.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..lowering import PLATFORM_OVERRIDES
from ..lowering.module import module_text
from ..lowering.tpu import require_supported
from ..tracer.ir.errors import DeviceError
from ..tracer.jit.jit import Jitted, jit
from . import pjrt
from .memory import readable

EXAMPLES = "'v5e:2x2', 'v6e:2x4', 'v4:2x2x1', 'v5p:2x2x2', 'tpu7x:2x2x1'"

MEMORY = {"TPU v2": 8 << 30, "TPU v3": 16 << 30, "TPU v4": 32 << 30, "TPU v5 lite": 16 << 30, "TPU v5": 95 << 30,
          "TPU v6 lite": 32 << 30, "TPU7x": 96 << 30}
"""Bytes of high-bandwidth memory of one device, from cloud.google.com/tpu/docs. v2, v3 and 7x have two devices a chip."""

ONE_DEVICE_CHIPS = {"v4": "megacore", "v5p": "megacore"}
"""Generations whose two cores work as one device, as they do in use."""

_lock = threading.Lock()


class CompiledStep:
    """A step compiled for one chip of a TPU slice; print it for what it costs."""

    def __init__(self, name: str, topology: str, slice: pjrt.Topology, program: pjrt.Compiled, text: str) -> None:
        self.name, self.topology, self.chip = name, topology, slice.kind
        self._program, self._text = program, text

    def memory(self) -> Mapping[str, int]:
        """Bytes on the chip: `argument`, `output`, `alias` (outputs in the place of arguments), `temp`,
        `generated_code`, their `total`, and `available` where the chip is known."""
        parts = self._program.memory()
        total = sum(parts.values()) - 2 * parts["alias"]
        known = {"available": MEMORY[self.chip]} if self.chip in MEMORY else {}
        return {**parts, "total": total, **known}

    def cost(self) -> Mapping[str, float]:
        """The compiler's estimate: `flops`, `bytes accessed`, `optimal_seconds` where it gives them.

        `without estimate` counts the operations that are not in the time: custom calls, such as the halving of 64-bit
        numbers, for each of which the compiler puts -1 s into its sum.
        """
        found = dict(self._program.cost())
        unknown = self.hlo().rpartition("\nENTRY")[2].count(" custom-call(")
        seconds = found.get("optimal_seconds", 0.0) + unknown
        if unknown and 0 < seconds < 1:
            found |= {"optimal_seconds": seconds, "without estimate": unknown}
        return found

    def hlo(self) -> str:
        """The optimised HLO for the chip."""
        return self._program.hlo()

    def stablehlo(self) -> str:
        """The text that was compiled."""
        return self._text

    def __str__(self) -> str:
        memory, cost = self.memory(), self.cost()
        chip = memory.get("available")
        of = f" of {readable(chip)} ({memory['total'] / chip:.1%})" if chip else ""
        lines = [f"{self.name} for one chip of {self.topology} ({self.chip})",
                 f"  memory       {readable(memory['total'])}{of}"]
        lines += [f"    {label:<11}{readable(memory[key])}" for key, label in _PARTS.items()]
        lines += [f"  flops        {cost.get('flops', 0.0):.4g}",
                  f"  accessed     {readable(cost.get('bytes accessed', 0.0))}"]
        if cost.get("optimal_seconds", 0.0) > 0:
            without = cost.get("without estimate")
            rest = f", and {without:.0f} custom calls that the compiler has no estimate for" if without else ""
            lines.append(f"  estimated    {_seconds(cost['optimal_seconds'])}{rest}")
        else:
            lines.append("  estimated    no time is given: the compiler has no estimate for some operation of it")
        return "\n".join(lines)

    __repr__ = __str__


_PARTS = {"argument": "arguments", "output": "outputs", "alias": "aliased", "temp": "temporary",
          "generated_code": "code"}


def compile(step: Callable[..., Any], *args: Any, topology: str = "v5e:2x2", **kwargs: Any) -> CompiledStep:
    """Compile a step for a TPU that is not there, and report memory and cost.

    `step` is a `flambeau.jit` function, or a function that is jitted here; `args` and `kwargs` are as for a call, of
    which only types matter: nothing runs. `topology` is a generation and the slice's chips; the program is compiled
    for one of them. A DeviceError names a topology that does not exist, or a missing libtpu; a RuntimeError has the
    compiler's words when the step does not compile, when it needs more memory than the chip has, say.

    >>> import flambeau as torch  # doctest: +SKIP
    >>> torch.aot.compile(lambda x: x @ x, torch.ones(1024, 1024), topology="v5e:2x2")  # doctest: +SKIP
    """
    slice = _slice(topology)
    jitted = step if isinstance(step, Jitted) else jit(step)
    graph, donated = jitted.lowered(*args, **kwargs)
    require_supported(graph)
    text = module_text(graph, donated=donated, overrides=PLATFORM_OVERRIDES.get("tpu"))
    return CompiledStep(graph.name, topology, slice, _compiled(graph.name, slice, text, topology), text)


def compile_text(text: str, topology: str = "v5e:2x2") -> pjrt.Compiled:
    """Compile StableHLO text for one chip of the topology."""
    return _compiled("the module", _slice(topology), text, topology)


def _compiled(name: str, slice: pjrt.Topology, text: str, topology: str) -> pjrt.Compiled:
    try:
        return slice.compile(text)
    except pjrt.XlaError as error:
        raise RuntimeError(f"{name} does not compile for {topology}: {error}") from error


@lru_cache(maxsize=16)
def _slice(topology: str) -> pjrt.Topology:
    found = re.fullmatch(r"([a-z0-9]+):(\d+(?:x\d+){1,2})", topology)
    sizes = [int(n) for n in found[2].split("x")] if found else [0]
    if not found or 0 in sizes:
        raise DeviceError(f"a TPU topology is a generation and chips per dimension, such as {EXAMPLES}; "
                          f"got {topology!r}")
    _load_compiler()
    # The default of 2x2 chips a host fits no odd slices.
    host = [math.gcd(2, n) for n in sizes[:2]] + [1]
    options: dict[str, Any] = {"chips_per_host_bounds": host}
    if found[1] in ONE_DEVICE_CHIPS:
        options["chip_config_name"] = ONE_DEVICE_CHIPS[found[1]]
    try:
        return pjrt.Topology(topology, **options)
    except pjrt.XlaError as error:
        raise DeviceError(f"there is no TPU topology {topology!r} ({str(error).splitlines()[0]}); "
                          f"examples are {EXAMPLES}") from error


def library() -> str | None:
    """The path of libtpu.so, or None when it is not installed."""
    given = os.environ.get("TPU_LIBRARY_PATH")
    if given:
        return given
    # Not imported: that would set the variable above for the whole process.
    found = importlib.util.find_spec("libtpu")
    path = Path(found.origin).parent / "libtpu.so" if found and found.origin else None
    return str(path) if path and path.exists() else None


def _load_compiler() -> None:
    with _lock:
        if pjrt.plugin_loaded("tpu"):
            return
        path = library()
        if path is None:
            raise DeviceError("compiling for TPU needs libtpu, which is not installed: pip install 'flambeau[tpu]' "
                              "(no TPU is needed)")
        with _quiet_environment():
            pjrt.load_plugin("tpu", path)


@contextmanager
def _quiet_environment() -> Iterator[None]:
    """What libtpu reads when it is loaded. Without these it asks a metadata server for minutes, and logs to stderr."""
    wanted = {"TPU_LOG_DIR": "disabled", "TPU_STDERR_LOG_LEVEL": "4", "TPU_MIN_LOG_LEVEL": "4"}
    if not any(Path("/dev").glob("accel[0-9]*")):
        wanted |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v5litepod-4", "TPU_WORKER_ID": "0",
                   "TPU_WORKER_HOSTNAMES": "localhost", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}  # several processes may compile
    added = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _seconds(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
