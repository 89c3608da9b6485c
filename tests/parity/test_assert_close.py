"""`testing.assert_close` against torch's: which pairs are close, and what is said of those that are not."""

from __future__ import annotations

import re
from typing import Any

import pytest

import flambeau
import flambeau.testing

torch = pytest.importorskip("torch")

PAIRS: list[tuple[str, dict[str, Any]]] = [
    ("(t.ones(3), t.ones(3))", {}), ("(t.ones(3), t.ones(3) + 1e-6)", {}), ("(t.ones(3), t.ones(3) + 1e-3)", {}),
    ("(t.ones(3), t.ones(4))", {}), ("(t.ones(3), t.ones(3, dtype=t.float64))", {}),
    ("(t.ones(3), t.ones(3, dtype=t.float64))", {"check_dtype": False}), ("(t.tensor([1, 2, 3]), t.tensor([1, 2, 4]))", {}),
    ("(t.tensor([1., 2., 3.]), t.tensor([1., 5., 3.]))", {}), ("(t.ones(2, 2), t.tensor([[1., 1.], [3., 2.]]))", {}),
    ("(t.tensor(1.0), t.tensor(2.0))", {}), ("(1.0, 1.0 + 1e-9)", {}), ("(1.0, 1.5)", {}), ("(1, 2)", {}), ("(True, False)", {}),
    ("(t.tensor([float('nan')]), t.tensor([float('nan')]))", {}),
    ("(t.tensor([float('nan')]), t.tensor([float('nan')]))", {"equal_nan": True}),
    ("(t.tensor([float('inf')]), t.tensor([float('inf')]))", {}), ("([t.ones(1), 2], [t.ones(1), 3])", {}),
    ("([1, 2], [1])", {}), ("({'a': 1.0}, {'a': 1.0})", {}), ("({'a': 1.0}, {'b': 1.0})", {}),
    ("({'a': [1.0, 2.0]}, {'a': [1.0, 3.0]})", {}),
    ("(t.ones(3), t.ones(3) + 0.05)", {"rtol": 0.1, "atol": 0.0}), ("(t.ones(3), t.ones(3) + 0.05)", {"rtol": 0.0, "atol": 0.01}),
    ("(t.ones(3).half(), t.ones(3).half() + 0.001)", {}), ("(t.ones(3).bfloat16(), t.ones(3).bfloat16() + 0.01)", {}),
    ("(t.ones(2, 3).t(), t.ones(3, 2))", {"check_stride": True}), ("(t.tensor([True]), t.tensor([False]))", {}),
    ("(t.tensor([1 + 2j]), t.tensor([1 + 2.5j]))", {}), ("(t.zeros(0), t.zeros(0))", {}),
]


@pytest.mark.parametrize("pair, options", PAIRS, ids=[f"{p} {o or ''}" for p, o in PAIRS])
def test_as_torch(pair: str, options: dict[str, Any]) -> None:
    told = []
    for lib in (torch, flambeau):
        try:
            lib.testing.assert_close(*eval(pair, {"t": lib, "float": float}), **options)
            told.append(None)
        except AssertionError as error:
            told.append(re.sub(r"\d+\.\d{4,}(e-\d+)?", lambda n: f"{float(n.group()):.3g}", str(error)))
    assert told[0] == told[1]
