"""The numpy engine, for the tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flambeau.tracer import backend


@pytest.fixture
def numpy_engine() -> Iterator[None]:
    before = backend._factory, backend._installed
    backend.install(backend.NumpyBackend)
    yield
    backend._factory, backend._installed = before
