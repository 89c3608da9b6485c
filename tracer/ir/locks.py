"""Locks of the whole process, and what a fork makes of them."""

from __future__ import annotations

import os
from typing import Any


def open_after_fork(lock: Any) -> Any:
    """The lock, which is open in a forked child: a thread that held it is not there to open it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)
    return lock
