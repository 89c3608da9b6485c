"""The constructors of layers take torch's arguments, in its order and with its defaults; older words mean what they meant."""

from __future__ import annotations

import inspect
import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.nn import functional as F

torch = pytest.importorskip("torch")

APART = {
    "RNN", "LSTM", "GRU", "RNNBase",  # torch shows *args and **kwargs
    "RNNCellBase",  # no class for users: torch wants a number of chunks where ours asks the subclass
    "Container", "NLLLoss2d"}  # torch's warning hides its arguments, which are those of NLLLoss
LAYERS = [name for name in flambeau.nn.__all__ if isinstance(getattr(flambeau.nn, name), type) and hasattr(torch.nn, name)
          and name not in APART]
DEVICE = {"device", "dtype"}


def arguments(kind: Any) -> list[tuple[str, Any]]:
    """Names and defaults; those that only say where, and torch's *args of layers that take none, are left out."""
    return [(p.name, getattr(p.default, "__name__", p.default)) for p in inspect.signature(kind).parameters.values()
            if p.name not in DEVICE and not p.name.startswith("_") and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_takes_the_same_arguments(name: str) -> None:
    ours, theirs = arguments(getattr(flambeau.nn, name)), arguments(getattr(torch.nn, name))
    assert ours == theirs


def test_enough_layers_were_compared() -> None:
    assert len(LAYERS) > 90, len(LAYERS)


# --- size_average and reduce ------------------------------------------------------------------------------------------

X, T = np.array([[0.2, 0.7], [0.4, 0.9]], np.float32), np.array([[0.5, 0.1], [0.3, 0.6]], np.float32)
CLASSES, SIGNS = np.array([0, 1]), np.array([1.0, -1.0], np.float32)
LOSSES: dict[str, tuple[str, list[Any]]] = {
    "CrossEntropyLoss": ("cross_entropy", [X, CLASSES]), "NLLLoss": ("nll_loss", [X, CLASSES]),
    "BCELoss": ("binary_cross_entropy", [X, T]),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", [X, T]), "MSELoss": ("mse_loss", [X, T]),
    "L1Loss": ("l1_loss", [X, T]), "SmoothL1Loss": ("smooth_l1_loss", [X, T]),
    "PoissonNLLLoss": ("poisson_nll_loss", [X, T]), "SoftMarginLoss": ("soft_margin_loss", [X, T]),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", [X, SIGNS]), "KLDivLoss": ("kl_div", [X, T]),
    "MarginRankingLoss": ("margin_ranking_loss", [X[0], T[0], SIGNS]),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", [X, T, SIGNS]),
    "MultiLabelSoftMarginLoss": ("multilabel_soft_margin_loss", [X, T]),
    "MultiLabelMarginLoss": ("multilabel_margin_loss", [X, np.array([[1, -1], [0, 1]])]),
    "MultiMarginLoss": ("multi_margin_loss", [X, CLASSES]),
    "TripletMarginLoss": ("triplet_margin_loss", [X, T, X + 0.1])}
WORDS = [dict(zip(("size_average", "reduce"), words, strict=True)) for words in itertools.product((None, True, False), repeat=2)]


def as_tensors(library: Any, arrays: list[Any]) -> list[Any]:
    return [library.tensor(a) for a in arrays]


def test_every_loss_with_older_words_is_here() -> None:
    assert set(LOSSES) == {name for name in LAYERS if "size_average" in dict(arguments(getattr(flambeau.nn, name)))}


@pytest.mark.parametrize("words", WORDS, ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_older_words_for_the_reduction(name: str, words: dict[str, bool | None]) -> None:
    function, arrays = LOSSES[name]
    results, said = [], []
    for library, functional in ((flambeau, F), (torch, torch.nn.functional)):
        inputs = as_tensors(library, arrays)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results.append([getattr(library.nn, name)(**words)(*inputs), getattr(functional, function)(*inputs, **words)])
        said.append({str(w.message) for w in caught if "size_average" in str(w.message)})
    assert said[0] == said[1]
    assert len(said[0]) == (words != WORDS[0])
    for ours, theirs in zip(*results, strict=True):
        assert tuple(ours.shape) == tuple(theirs.shape)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_older_words_given_by_position() -> None:
    x, t = as_tensors(flambeau, [X, T])
    with pytest.warns(UserWarning, match="please use reduction='sum'"):
        assert F.mse_loss(x, t, False).item() == pytest.approx(((X - T) ** 2).sum())
