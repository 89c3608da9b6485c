"""Memory of the host: what is free, what a program needs, and how the C library keeps it.

XLA's CPU client takes and frees large buffers at each call, and by default glibc gives them back to the kernel each
time: the page faults of a small GPT's training step (17,000 of them) cost a quarter of it.

`FLAMBEAU_MALLOC=0` leaves the process as it is; anything else sets, once, before the CPU client starts: no `mmap` for
large blocks, free memory kept, and few arenas, since each keeps what it was given. One arena would keep least, but
there the thread that calls waits for those that compute: a third of a small call, a tenth of a GPT's step.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ..tracer.ir.errors import OutOfMemoryError

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
SETTINGS = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 256 << 20), (_ARENA_MAX, 4))

# Bytes of the largest block that XLA is to make of a program's temporary memory. An arena of a thread consists of pieces of
# 64 MiB: what does not fit into one is always given back to the kernel.
LARGEST_BLOCK = 48 << 20


def keep_freed_memory() -> bool:
    """Make glibc keep what is freed; False where there is no mallopt or it was turned off."""
    if os.environ.get("FLAMBEAU_MALLOC", "1") == "0":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(parameter, value) for parameter, value in SETTINGS])


def give_back() -> None:
    """Let the kernel have what was freed and kept: another arena may be the one that needs it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


# --- What fits --------------------------------------------------------------------------------------------------------

SMALL = 256 << 20  # bytes below which a program is run without asking what is free


def require(name: str, device: str, needed: int, free: int | None) -> None:
    """Raise OutOfMemoryError if a program needs more bytes than there are; None means that nobody knows."""
    if free is not None and needed > free:
        raise OutOfMemoryError(
            f"{name} needs {readable(needed)} on {device} for what it computes and gives, beside its arguments, and "
            f"{readable(free)} are free. Nothing ran, and all state is as it was. A smaller batch, utils.checkpoint, or "
            "fewer tensors kept alive need less.")


def free_on_host(needed: int) -> int | None:
    """Bytes that this process can still have. Where fewer are free than are needed, what the C library keeps is freed first."""
    free = _given_by_system()
    if free is not None and free < needed:
        give_back()
        free = _given_by_system()
    return free


def _given_by_system() -> int | None:
    available = _from_table("/proc/meminfo", "MemAvailable:")
    if available is None:
        return None
    free = available << 10
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if limit is not None and used is not None:
        cached = _from_table("/sys/fs/cgroup/memory.stat", "inactive_file") or 0
        free = min(free, limit - used + cached)
    return max(free, 0)


def _from_table(file: str, key: str) -> int | None:
    """A number in a file of lines `key number`."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), None)


def _number(file: str) -> int | None:
    try:
        text = Path(file).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def readable(count: float) -> str:
    """Bytes with a unit.

    >>> readable(3 << 20)
    '3 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
