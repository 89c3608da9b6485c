"""Everything in this folder runs on the numpy engine: no XLA."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flambeau.tracer import backend


@pytest.fixture(autouse=True)
def numpy_engine() -> Iterator[None]:
    before = backend._factory, backend._installed
    backend.install(backend.NumpyBackend)
    yield
    backend._factory, backend._installed = before
