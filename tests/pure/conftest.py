"""Everything in this folder runs on the numpy engine: no XLA."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def always(numpy_engine: None) -> None:
    """No test needs to ask."""
