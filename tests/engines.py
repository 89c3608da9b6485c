"""Which engine runs the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flambeau.tracer import backend


@contextmanager
def on_numpy(yes: bool = True) -> Iterator[None]:
    """In this block the numpy engine runs everything, compiling nothing; where `yes` is false, the engine stays."""
    before = backend._factory, backend._installed
    if yes:
        backend.install(backend.NumpyBackend)
    try:
        yield
    finally:
        backend._factory, backend._installed = before
