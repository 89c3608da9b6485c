"""Sums and products take the dtype of `out`: every pair of dtypes against torch, lazily and under jit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:Casting complex values to real")

FUNCTIONS = ["cumsum", "cumprod", "sum", "prod"]
DTYPES = ["bool", "uint8", "int32", "int64", "float16", "float32", "float64", "complex64"]
WANTED = ["none", "the same", "float32"]  # as dtype=
X = [[1, 1.5], [0, 2.75], [3, 1]]


def outcome(t: Any, name: str, given: str, kind: str, wanted: str, compiled: bool) -> Any:
    x, dtype = t.tensor(X).to(getattr(t, given)), getattr(t, kind)
    named = {} if wanted == "none" else {"dtype": dtype if wanted == "the same" else t.float32}

    def run(x: Any) -> Any:
        out = t.zeros((3, 2) if name.startswith("cum") else (2,), dtype=dtype)
        assert getattr(t, name)(x, 0, out=out, **named) is out
        return out

    try:
        return (flambeau.jit(run) if compiled and t is flambeau else run)(x).numpy()
    except (RuntimeError, NotImplementedError) as error:
        return type(error)


def compare(*case: Any) -> None:
    ours, theirs = (outcome(t, *case) for t in (flambeau, torch))
    if isinstance(theirs, type) or isinstance(ours, type):
        assert ours is theirs
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-3 if ours.dtype == np.float16 else 1e-6)


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("given", DTYPES)
def test_into_every_dtype(name: str, given: str, wanted: str) -> None:
    for kind in DTYPES:
        compare(name, given, kind, wanted, False)


@pytest.mark.parametrize("name, given, kind", [*itertools.product(FUNCTIONS, ["int64", "float32"], ["bool", "int32", "float32"])])
def test_in_a_compiled_step(name: str, given: str, kind: str) -> None:
    compare(name, given, kind, "none", True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_out(name: str) -> None:
    for given, kind in itertools.product(DTYPES, DTYPES):
        results = []
        for t in (flambeau, torch):
            try:
                results.append(getattr(t, name)(t.tensor(X).to(getattr(t, given)), 0, dtype=getattr(t, kind)).tolist())
            except (RuntimeError, NotImplementedError) as error:
                results.append(type(error))
        if isinstance(results[1], type):
            assert results[0] is results[1], (given, kind)
        else:
            np.testing.assert_allclose(results[0], results[1], rtol=2e-3, err_msg=f"{given} {kind}")
