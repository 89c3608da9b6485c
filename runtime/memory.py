"""How the C library keeps memory. XLA's CPU client takes and frees large buffers at each call, and by default glibc gives
them back to the kernel each time: the page faults of a small GPT's training step (11,500 of them) cost a fifth of it.

`FLAMBEAU_MALLOC=0` leaves the process as it is; anything else sets, once, before the CPU client starts: no `mmap` for
large blocks, one arena, and up to 2 GiB of free memory kept.
"""

from __future__ import annotations

import ctypes
import os

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
SETTINGS = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 256 << 20), (_ARENA_MAX, 1))


def keep_freed_memory() -> bool:
    """Make glibc keep what is freed; False where there is no mallopt or it was turned off."""
    if os.environ.get("FLAMBEAU_MALLOC", "1") == "0":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(parameter, value) for parameter, value in SETTINGS])
