"""The private names of jaxlib, each wrapped once. Tested on the lowest and the highest supported release.

jaxlib alone is enough to compile and run on the CPU: `jax` itself (a second of import time) is loaded only for
platforms whose plugins it finds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np

SUPPORTED = ((0, 10), (0, 13))


def _check_version() -> None:
    installed = version("jaxlib")
    major_minor = tuple(int(part) for part in installed.split(".")[:2])
    if not SUPPORTED[0] <= major_minor < SUPPORTED[1]:
        raise ImportError(f"flambeau needs jaxlib >= 0.10 and < 0.13, found {installed}: "
                          "pip install 'jax>=0.10,<0.13' 'jaxlib>=0.10,<0.13'")


_check_version()
# XLA's C++ code logs to stderr by itself; it reads the level once, when it is loaded.
_level_before = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
if _level_before is None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
from jaxlib import _jax  # noqa: E402
from jaxlib import xla_client as xc  # noqa: E402

from . import memory  # noqa: E402

logger = logging.getLogger("flambeau")
XlaError = _jax.JaxRuntimeError

# Half types are rounded after each operation, as the operations one by one are, and as torch's. XLA's default leaves roundings
# out inside a fusion: more precise, but what a program gives would depend on what else is in it, and on what of it is looked at.
# On the CPU it costs next to nothing. Other platforms compute half types themselves, or would pay for each rounding.
#
# Temporary memory comes in several blocks instead of one, so that the C library can keep them.
CPU_OVERRIDES = (("xla_allow_excess_precision", False), ("xla_multiheap_size_constraint_per_heap", memory.LARGEST_BLOCK))


class Aval:
    """What jaxlib wants to know of an array; stands for jax's ShapedArray."""

    __slots__ = ("shape", "dtype", "weak_type")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype, self.weak_type = shape, np.dtype(dtype), False


class Sharding(xc.SingleDeviceSharding):  # type: ignore[misc]
    """All of an array on one device. jaxlib 0.10 asks a sharding for what jax adds in Python."""

    memory_kind = None

    def _to_xla_hlo_sharding(self, ndim: int) -> Any:
        return xc.HloSharding.replicate()


class Client:
    """One platform: its devices, uploading, compiling."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.devices: list[Any] = raw.local_devices()
        self.platform: str = raw.platform
        self.version: str = raw.platform_version
        self.overrides = CPU_OVERRIDES if self.platform == "cpu" else ()
        self._shardings = [Sharding(device) for device in self.devices]

    def upload(self, array: np.ndarray[Any, Any], index: int = 0) -> Any:
        """A device buffer with a copy of `array`. 64-bit types stay what they are, whatever jax is configured to."""
        buffer = xc.batched_device_put(Aval(array.shape, array.dtype), self._shardings[index], [array],
                                       [self.devices[index]], enable_x64=True, force_copy=True)
        _jax.collect_garbage()  # lets go of `array`, which jaxlib would keep until it is called again
        return buffer

    def compile(self, text: str | bytes, index: int = 0, options: Any = None) -> Executable:
        """Compile StableHLO text for device `index`."""
        devices = xc.DeviceList((self.devices[index],))
        options = self._assigned(options or compile_options(), index)
        return Executable(self, index, self.raw.compile_and_load(text, devices, options))

    def _assigned(self, options: Any, index: int) -> Any:
        """The options, with those of the platform, for device `index`: by default a program is the first device's."""
        options.env_option_overrides = list(self.overrides)
        options.device_assignment = xc.DeviceAssignment.create(np.array([[self.devices[index].id]]))
        return options

    def wait(self) -> None:
        """Block until all living buffers are computed."""
        for buffer in self.raw.live_arrays():
            if not buffer.is_deleted():
                buffer.block_until_ready()

    def serialize(self, executable: Executable) -> bytes:
        """The executable as bytes for the disk cache."""
        raw = executable.raw
        data = raw.serialize() if hasattr(raw, "serialize") else self.raw.serialize_executable(raw)
        return bytes(data)

    def deserialize(self, data: bytes, index: int = 0) -> Executable:
        """The executable that `serialize` wrote, by the same build of jaxlib."""
        devices = xc.DeviceList((self.devices[index],))
        options = self._assigned(compile_options(), index)
        return Executable(self, index, self.raw.deserialize_executable(data, devices, options))

    def result_handlers(self, types: Sequence[tuple[tuple[int, ...], Any]], index: int) -> list[Any]:
        """What turns raw results into arrays; takes one argument less from 0.12 on."""
        sharding = self._shardings[index]
        handlers = []
        for shape, kind in types:
            try:
                handlers.append(xc.array_result_handler(Aval(shape, kind), sharding, committed=True, _skip_checks=True))
            except TypeError:
                handlers.append(xc.array_result_handler(Aval(shape, kind), sharding, committed=True))
        return handlers


class Compiled:
    """What the compiler made, loaded or not."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def memory(self) -> dict[str, int]:
        """Bytes of arguments, outputs, aliased outputs, temporaries and code."""
        stats = self.raw.get_compiled_memory_stats()
        return {name: int(getattr(stats, f"{name}_size_in_bytes"))
                for name in ("argument", "output", "alias", "temp", "generated_code")}

    def cost(self) -> dict[str, float]:
        """XLA's own estimate: flops, bytes accessed, transcendentals, and where known seconds."""
        analysis = self.raw.cost_analysis()
        analysis = analysis[0] if isinstance(analysis, list) else analysis
        return {key: float(value) for key, value in (analysis or {}).items() if "{" not in key}

    def hlo(self) -> str:
        """The optimised HLO."""
        return "\n".join(module.to_string() for module in self.raw.hlo_modules())


class Executable(Compiled):
    """A loaded program."""

    def __init__(self, client: Client, index: int, raw: Any) -> None:
        super().__init__(raw)
        self.client, self.index = client, index
        self.execute = raw.execute_sharded
        self.device = str(client.devices[index])

    def free_memory(self, needed: int) -> int | None:
        """Bytes that are free on the program's device, which needs so many; None where nobody knows."""
        if self.client.platform == "cpu":
            return memory.free_on_host(needed)
        stats = self.client.devices[self.index].memory_stats() or {}
        limit, used = stats.get("bytes_limit"), stats.get("bytes_in_use")
        return None if limit is None or used is None else int(limit - used)


class Topology:
    """A slice of TPUs that need not be there: compiles for one of its chips, runs nothing.

    `plugin_loaded("tpu")` must be true.
    """

    def __init__(self, name: str, **options: Any) -> None:
        topology: Any = xc.make_tfrt_tpu_c_api_device_topology(name, **options)
        self.devices: list[Any] = topology._make_compile_only_devices()
        self.kind: str = self.devices[0].device_kind

    def compile(self, text: str, options: Any = None) -> Compiled:
        """Compile StableHLO text for the first device of the slice."""
        first = self.devices[0]
        with _parsed(text) as module:
            return Compiled(first.client.compile(module, xc.DeviceList((first,)), options or compile_options()))


@contextmanager
def _parsed(text: str) -> Iterator[Any]:
    """The text as an MLIR module: a compile-only client takes no text."""
    from jaxlib.mlir import ir  # noqa: PLC0415
    from jaxlib.mlir._mlir_libs import _jax_mlir_ext  # noqa: PLC0415
    from jaxlib.mlir.dialects import chlo, sdy, stablehlo  # noqa: PLC0415

    registry = ir.DialectRegistry()
    _jax_mlir_ext.register_dialects(registry)
    with ir.Context() as context:
        context.append_dialect_registry(registry)
        for dialect in (stablehlo, chlo, sdy):
            dialect.register_dialect(context)
        yield ir.Module.parse(text)


def plugin_loaded(platform: str) -> bool:
    """Whether the platform's plugin is in this process, brought by us or by jax."""
    return bool(xc.pjrt_plugin_loaded(platform) and xc.pjrt_plugin_initialized(platform))


def load_plugin(platform: str, library: str) -> None:
    """Load a platform's plugin and make it ready, unless it is."""
    if not xc.pjrt_plugin_loaded(platform):
        xc.load_pjrt_plugin_dynamically(platform, library)
    if not xc.pjrt_plugin_initialized(platform):
        xc.initialize_pjrt_plugin(platform)


def register_lapack() -> None:
    """Make LAPACK's functions targets of custom calls on the CPU. jaxlib finds them in scipy, of which this loads a part."""
    from jaxlib import lapack  # noqa: PLC0415

    lapack._lapack.initialize()  # type: ignore[attr-defined]
    for platform, targets in lapack.registrations().items():
        for name, function, api in targets:
            xc.register_custom_call_target(name, function, platform=platform, api_version=api)


def build() -> str:
    """The exact release of jaxlib."""
    return version("jaxlib")


def download(buffer: Any) -> np.ndarray[Any, Any]:
    """The buffer's contents; on the CPU a read-only view of its memory, which keeps it alive."""
    try:
        return np.asarray(memoryview(buffer))  # the other way loads jax
    except (BufferError, TypeError):  # not on the CPU, or a type that the buffer protocol does not know
        pass
    return buffer._single_device_array_to_np_array_did_copy()[0]


def is_ready(buffer: Any) -> bool:
    """Whether the buffer is computed; does not wait for it."""
    return bool(buffer.is_ready())


def compile_options(**debug: Any) -> Any:
    """XLA's options, with debug options by name."""
    options = xc.CompileOptions()
    for name, value in debug.items():
        setattr(options.executable_build_options.debug_options, name, value)
    return options


def cpu_client() -> Client:
    """A client of our own on this machine's CPU, beside jax's if the user has one."""
    client = Client(xc.make_cpu_client())
    if _level_before is None:
        os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return client


def plugin_client(platform: str) -> Client:
    """The client that jax finds for `cuda`, `rocm` or `tpu`; raises RuntimeError if there is none."""
    from jax._src import xla_bridge  # noqa: PLC0415

    return Client(xla_bridge.get_backend(platform))
