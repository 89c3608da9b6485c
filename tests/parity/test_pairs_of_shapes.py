"""Functions of tensors whose shapes must fit each other, for all pairs of shapes, on the numpy engine: torch's error or values.

What broadcasts in silence where torch refuses it is a mistake that nobody is told of.
"""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from tests.engines import on_numpy  # noqa: E402

SHAPES = ((), (1,), (2,), (4,), (0,), (1, 3), (2, 1), (2, 3), (3, 2), (0, 4), (2, 3, 2), (2, 4, 3))
CALLS = """
a.select_scatter(b, 0, 0) ; a.select_scatter(b, -1, 0) ; a.slice_scatter(b) ; a.slice_scatter(b, 0, 0, 1) ; a.diagonal_scatter(b)
a.slice_scatter(b, -1, 1) ; a.diagonal_scatter(b, 1) ; torch.as_strided_scatter(a, b, (1,), (1,)) ; a.expand_as(b)
F.group_norm(a, 1, b) ; F.group_norm(a, 2, b) ; F.group_norm(a, 1, None, b) ; F.group_norm(a, -1, b) ; F.bilinear(a, a, b)
F.layer_norm(a, a.shape[-1:], b) ; F.layer_norm(a, b.shape) ; F.rms_norm(a, b.shape) ; a.clone().copy_(b) ; a.view_as(b)
F.multilabel_soft_margin_loss(a, b) ; F.mse_loss(a, a, weight=b) ; F.kl_div(a, b)
F.l1_loss(a, a, weight=b) ; F.huber_loss(a, a, weight=b) ; a.masked_fill(b > 0, 2)
F.binary_cross_entropy(a * 0, b * 0) ; F.margin_ranking_loss(a, a, b) ; torch.outer(a, b)
torch.addmm(a, b, b) ; torch.addmv(a, b, a) ; torch.kron(a, b)
torch.tensordot(a, b, 1) ; torch.tensordot(a, b, ([0], [-1])) ; a @ b ; torch.cat([a, b]) ; torch.stack([a, b])
F.linear(b, a) ; torch.hstack([a, b])
"""
KINDS = ("uint8", "int8", "int64", "bool", "float32", "float64", "complex64")
OF_A_KIND = """
F.max_unpool1d(a, i, 2) ; F.max_unpool2d(a, i, 2) ; F.max_unpool3d(a[None], i[None], 2) ; F.multilabel_margin_loss(a[0], i[0])
F.multi_margin_loss(a[0], i[0, :, 0]) ; a.std() ; a.var(0) ; torch.std_mean(a, 1) ; torch.var_mean(a)
"""


def texts(table: str) -> list[str]:
    return [text.strip() for line in table.strip().splitlines() for text in line.split(";")]


def outcome(library: Any, text: str, **arrays: Any) -> Any:
    """(dtype, shape, elements); or the type of an error and what it says."""
    try:
        x = eval(text, {**arrays, "torch": library, "F": library.nn.functional})
        return [(str(t.dtype).split(".")[-1], tuple(t.shape), np.asarray(t.float() if "bfloat" in str(t.dtype) else t))
                for t in (x if isinstance(x, tuple) else (x,))]
    except Exception as error:
        return type(error).__name__, str(error).split("\n")[0]


def alike(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, tuple) or isinstance(ours, tuple):
        return isinstance(theirs, tuple) and isinstance(ours, tuple) and theirs[0] == ours[0]
    return len(theirs) == len(ours) and all(
        t[:2] == o[:2] and np.allclose(t[2], o[2], 1e-2, 1e-5, equal_nan=True) for t, o in zip(theirs, ours))


def check(cases: list[tuple[str, Any]], tensors: Any) -> None:
    wrong = []
    with on_numpy(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text, given in cases:
            theirs, ours = (outcome(library, text, **tensors(library, given)) for library in (torch, flambeau))
            if not alike(theirs, ours):
                wrong.append((text, given, theirs, ours))
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:12]}"


@pytest.mark.parametrize("part", range(3))
def test_pairs_of_shapes(part: int) -> None:
    check([*itertools.product(texts(CALLS)[part::3], itertools.product(SHAPES, repeat=2))],
          lambda library, shapes: {name: library.ones(shape) for name, shape in zip("ab", shapes)})


def test_kinds_of_numbers() -> None:
    check([*itertools.product(texts(OF_A_KIND), KINDS)],
          lambda library, kind: {"a": library.ones(1, 2, 2).to(getattr(library, kind)), "i": library.zeros(1, 2, 2).long()})
