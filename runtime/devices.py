"""The devices of this process: one client per platform, made when it is first asked for."""

from __future__ import annotations

import threading
from typing import Any

from ..tracer.ir.errors import DeviceError, NoCudaError
from . import memory, pjrt

PLATFORMS = {"cpu": "cpu", "cuda": "cuda", "gpu": "cuda", "tpu": "tpu", "rocm": "rocm"}
EXTRAS = {"cuda": "cuda", "tpu": "tpu", "rocm": "jax's rocm plugin"}

_clients: dict[str, pjrt.Client] = {}
_lock = threading.Lock()


def client(platform: str) -> pjrt.Client:
    """The client of a platform; DeviceError naming the extra to install when there is none."""
    with _lock:
        if platform not in _clients:
            _clients[platform] = _connect(platform)
        return _clients[platform]


def _connect(platform: str) -> pjrt.Client:
    if platform == "cpu":
        memory.keep_freed_memory()
        return pjrt.cpu_client()
    try:
        return pjrt.plugin_client(platform)
    except (RuntimeError, ImportError) as error:
        kind = NoCudaError if platform == "cuda" else DeviceError
        raise kind(f"no {platform} device is available: {str(error).splitlines()[0]}. On a machine with one, install "
                   f"the extra: pip install 'flambeau[{EXTRAS[platform]}]'") from error


def connected() -> list[pjrt.Client]:
    """The clients made so far."""
    return list(_clients.values())


def parse(name: str) -> tuple[str, int]:
    """`cuda:1` as ("cuda", 1); DeviceError for a name that is no device."""
    kind, colon, number = name.partition(":")
    if kind not in PLATFORMS or (colon and not (number.isascii() and number.isdecimal())):
        raise DeviceError(f"expected one of {', '.join(PLATFORMS)} with an optional index, as in 'cuda:0', got {name!r}")
    return PLATFORMS[kind], int(number or 0)


def canonical(name: str) -> str:
    """The name under which values keep a device; DeviceError if it is not there."""
    platform, index = parse(name)
    count = len(client(platform).devices)
    if index >= count:
        raise DeviceError(f"device {name!r} was asked for, but there are {count} {platform} device(s)")
    return "cpu" if (platform, index) == ("cpu", 0) else f"{platform}:{index}"


def info(name: str) -> dict[str, Any]:
    """What PJRT says of a device: what it is called, what it can compute, counters of its memory."""
    platform, index = parse(canonical(name))
    device = client(platform).devices[index]
    traits = {trait: getattr(device, trait) for trait in ("compute_capability", "core_count") if hasattr(device, trait)}
    return {"name": device.device_kind, **traits, **((device.memory_stats() if platform != "cpu" else None) or {})}


def available() -> dict[str, Any]:
    """What `flambeau info` prints: the devices of each platform, or why there is none."""
    found: dict[str, Any] = {}
    for platform in ("cpu", "cuda", "tpu"):
        try:
            found[platform] = [str(d) for d in client(platform).devices]
        except DeviceError as error:
            found[platform] = str(error)
    return found
