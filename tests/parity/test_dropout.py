"""All forms of dropout on all numbers of dimensions: what falls together, what is warned of, and what is refused."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

FORMS = ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"]
LAYERS = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]
SIZES = (40, 30, 4, 3, 2, 2)
CASES = list(itertools.product(FORMS, range(len(SIZES) + 1), (0.0, 0.5, 1.0)))


def outcome(library: Any, run: Any, x: Any) -> tuple[Any, ...]:
    """What a call does: the dimensions along which elements fall together, or its error; and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            y = run(x).numpy()
            together = tuple(d for d in range(y.ndim) if (y.max(d) == y.min(d)).all()) if y.size else ()
            did: Any = together, y.shape, sorted({*y.ravel().tolist()})
        except RuntimeError as error:
            did = type(error), str(error)[:40]
    return did, [str(w.message)[:60] for w in caught if "ropout" in str(w.message)]


def same(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    assert ours[1] == theirs[1]
    assert ours[0][:-1] == theirs[0][:-1]
    if len(ours[0]) == 2:  # errors
        assert ours[0] == theirs[0]
    elif ours[0][1]:  # of a single element either of the values
        assert ours[0][2] == pytest.approx(theirs[0][2], rel=1e-5)


@pytest.mark.parametrize("how", ["lazily", "under jit"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form, ndim, p", CASES)
def test_a_form_on_a_number_of_dimensions(form: str, ndim: int, p: float, training: bool, how: str) -> None:
    def run(library: Any) -> Any:
        return lambda x: getattr(library.nn.functional, form)(x, p, training)

    x = np.ones(SIZES[:ndim], np.float32)
    step = run(flambeau) if how == "lazily" else flambeau.jit(run(flambeau))
    same(outcome(flambeau, step, flambeau.tensor(x)), outcome(torch, run(torch), torch.tensor(x)))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("ndim", range(1, 6))
def test_a_layer_in_place(layer: str, ndim: int) -> None:
    def run(library: Any) -> Any:
        def call(x: Any) -> Any:
            getattr(library.nn, layer)(0.5, inplace=True)(x)
            return x
        return call

    x = np.ones(SIZES[:ndim], np.float32)
    same(outcome(flambeau, run(flambeau), flambeau.tensor(x)), outcome(torch, run(torch), torch.tensor(x)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 3, 0)])
def test_nothing_to_drop(form: str, shape: tuple[int, ...]) -> None:
    def run(library: Any) -> Any:
        return lambda x: getattr(library.nn.functional, form)(x, 0.5, True)

    ours, theirs = (outcome(t, run(t), t.ones(*shape)) for t in (flambeau, torch))
    assert ours == theirs


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, -0.1, 1.1])
def test_integers(form: str, p: float) -> None:
    results = []
    for t in (flambeau, torch):
        try:
            results.append(getattr(t.nn.functional, form)(t.ones(3, 4, 5, 6, dtype=t.int64)[0, 0], p, True).tolist())
        except (RuntimeError, ValueError) as error:
            results.append(type(error))
        except Warning as warning:
            results.append(str(warning)[:60])
    assert results[0] == results[1]
