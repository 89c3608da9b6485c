"""Nested results compared number by number."""

from __future__ import annotations

from typing import Any

import pytest


def near(x: Any, y: Any, rel: float, abs: float | None = None) -> bool:
    """Whether two nested containers are alike, and the floats in them within a tolerance; lists and tuples are one kind."""
    if isinstance(x, dict):
        return isinstance(y, dict) and x.keys() == y.keys() and all(near(x[k], y[k], rel, abs) for k in x)
    if isinstance(x, (list, tuple)):
        return isinstance(y, (list, tuple)) and len(x) == len(y) and all(near(a, b, rel, abs) for a, b in zip(x, y))
    return bool(x == pytest.approx(y, rel=rel, abs=abs)) if isinstance(x, float) else bool(x == y)
