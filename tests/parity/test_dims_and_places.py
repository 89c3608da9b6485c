"""Dimensions, places and counts that are not there, and ranges of fractions: swept over shapes, on the numpy engine."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from tests.engines import on_numpy  # noqa: E402

DIMS = (-4, -1, 0, 1, 5)
TENSORS = {"point": "torch.tensor(2.0)", "vector": "torch.arange(3.0)", "matrix": "torch.arange(6.0).reshape(3, 2)",
           "empty": "torch.zeros(0, 2)", "whole": "torch.arange(4).reshape(2, 2)"}
OF_A_DIM = """
{x}.size({d}) ; {x}.stride({d}) ; {x}.sum({d}) ; {x}.std({d}) ; torch.var_mean({x}, {d}) ; torch.std_mean({x}, {d})
torch.linalg.vector_norm({x}, 2, {d}) ; F.glu({x}, {d}) ; torch.tensordot({x}, {x}, dims=([{d}], [{d}])) ; {x}.unbind({d})
{x}.select({d}, 0) ; {x}.sort({d}) ; {x}.kthvalue(1, {d}) ; torch.cumulative_trapezoid({x}, dim={d})
torch.nonzero({x}, as_tuple={d}) ; {x}.flip({d}) ; {x}.cumsum({d}) ; {x}.argmax({d}) ; {x}.unsqueeze({d})
torch.tril_indices({d}, 2) ; torch.triu_indices(2, {d}) ; F.local_response_norm(torch.ones(1, 2, 3), max({d}, -1))
torch.equal({x}, {d}) ; F.mse_loss({x} + 0.5, {x}, weight=torch.ones(3)) ; F.l1_loss({x}, {x}, weight=torch.ones(3))
"""
INDICES = (None, 0, 7, -5, slice(None), slice(1, None), True, Ellipsis, [0, 1])
KINDS = ("int8", "uint8", "int16", "int32", "int64", "float32", "float64")
STARTS, ENDS, STEPS = (0, 0.5, -2.5, 1.75, 3), (5, 5.7, -0.5, 3.0, 3), (1, 0.5, 1.25, -1.75, 2)


def of_dims() -> Iterator[str]:
    texts = [text.strip() for line in OF_A_DIM.strip().splitlines() for text in line.split(";")]
    yield from dict.fromkeys(text.format(x=x, d=d) for text in texts for x in TENSORS.values() for d in DIMS)


def of_indices() -> Iterator[str]:
    for x in ("torch.arange(9).reshape(3, 3)", "torch.arange(27).reshape(3, 3, 3)"):
        yield from (f"{x}[{', '.join(map(repr, index))},]" for n in (1, 2, 3) for index in itertools.product(INDICES, repeat=n)
                   if index.count(Ellipsis) < 2)


def of_ranges() -> Iterator[str]:
    for start, end, step, kind in itertools.product(STARTS, ENDS, STEPS, KINDS):
        yield f"torch.arange({start}, {end}, {step}, dtype=torch.{kind})"


def outcome(library: Any, text: str) -> Any:
    """The type and the elements of a result; or the type and the first words of an error, which ours may say more after."""
    try:
        found = eval(text, {"torch": library, "F": library.nn.functional, "Ellipsis": Ellipsis})
        items = found if isinstance(found, tuple) else (found,)
        return [(str(x.dtype).split(".")[-1], tuple(x.shape), np.asarray(x).tolist()) if isinstance(x, library.Tensor) else x
                for x in items]
    except Exception as error:
        return type(error).__name__, str(error).split("\n")[0]


def alike(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, tuple) or isinstance(ours, tuple):
        return bool(theirs[0] == ours[0]) and ours[1].startswith(theirs[1])
    return repr(theirs) == repr(ours)


@pytest.mark.parametrize(("texts", "least"), [(of_dims, 500), (of_indices, 1500), (of_ranges, 800)])
def test_as_torch(texts: Any, least: int) -> None:
    tried, wrong = 0, []
    with on_numpy(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in texts():
            theirs, ours = outcome(torch, text), outcome(flambeau, text)
            tried += 1
            if not alike(theirs, ours):
                wrong.append((text, theirs, ours))
    assert tried >= least
    assert not wrong, f"{len(wrong)} of {tried}: {wrong[:12]}"
