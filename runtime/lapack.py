"""LAPACK for XLA's CPU programs: the functions that jaxlib brings, made known to XLA when a program first calls one.

An executable that was compiled, or stored, with such a call cannot be loaded before its target is known.
"""

from __future__ import annotations

import threading

from ..lowering.lapack import PREFIX
from . import pjrt

_lock = threading.Lock()
_known: list[bool] = []  # holds True once they are registered


def make_known(text: str) -> None:
    """Register the functions with XLA if this program's text calls any."""
    if f'"{PREFIX}' not in text or _known:
        return
    with _lock:
        if not _known:
            pjrt.register_lapack()
            _known.append(True)
