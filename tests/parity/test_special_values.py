"""Arithmetic at special points against torch: 662 expressions in four dtypes, lazily and jitted, values and gradients."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402
from .special_values import KINDS, KNOWN, SOMETIMES, TABLE, difference, leaves_in, names, results, rows  # noqa: E402

# What of the table runs on XLA, by mode and dtype; the rest runs on numpy, which compiles nothing.
ON_XLA = {("lazy", "float16"): set(TABLE), ("jit", "float32"): set(TABLE), ("jit", "bfloat16"): {"numbers", "wide"},
          ("lazy", "float64"): {"unary", "binary"}}
GROUP = 24  # expressions in one program


@contextmanager
def quiet() -> Iterator[None]:
    """Without what is said of the degrees of freedom and of sizes that broadcast."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def attempted(library: Any, text: str, scope: dict[str, Any], kind: str) -> Any:
    """The results of an expression, or what it raises."""
    try:
        return results(library, text, scope, kind)
    except Exception as error:
        return error


def lazily(texts: Sequence[str], kind: str) -> list[Any]:
    """The results of some expressions, run as one program."""
    scope = names(flambeau, kind)
    return [attempted(flambeau, text, scope, kind) for text in texts]


def jitted(texts: Sequence[str], kind: str) -> list[Any]:
    """The same of one compiled step, which takes the points as arguments."""
    scope = names(flambeau, kind)
    tensors = {name: x for name, x in scope.items() if isinstance(x, flambeau.Tensor)}
    errors = {}

    def step(tensors: dict[str, Any]) -> list[Any]:
        found = [attempted(flambeau, text, {**scope, **tensors}, kind) for text in texts]
        errors.update({i: r for i, r in enumerate(found) if isinstance(r, Exception)})
        return [[] if isinstance(r, Exception) else r for r in found]

    return [errors.get(i, r) for i, r in enumerate(flambeau.jit(step)(tensors))]


def disagreement(text: str, kind: str, ours: Any, theirs: Any) -> str | None:
    """What differs, with where; None if nothing does. What torch does not implement is nobody's."""
    if isinstance(theirs, Exception):
        if "cannot be converted" not in str(theirs):
            return None
        same = type(ours) is type(theirs) and str(ours) == str(theirs).splitlines()[0]
        return None if same else f"raises {theirs!r}, ours {ours!r:.80}"
    if isinstance(ours, Exception):
        return f"ours raises {ours!r}"
    if len(ours) != len(theirs):
        return "requires_grad"
    for i, (a, b) in enumerate(zip(ours, theirs)):
        found = difference(a, b, text, i == 0)
        if found is not None:
            return f"{'value' if i == 0 else 'gradient of ' + leaves_in(text, kind)[i - 1]}: {found}"
    return None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["lazy", "jit"])
def test_expressions_at_special_points(mode: str, kind: str) -> None:
    scope, run = names(torch, kind), lazily if mode == "lazy" else jitted
    wrong, stale, count = [], [], 0
    for family, table in TABLE.items():
        texts, on_xla = rows(table), family in ON_XLA.get((mode, kind), ())
        with quiet(), on_numpy(not on_xla):
            for start in range(0, len(texts), GROUP):
                group = texts[start:start + GROUP]
                for text, ours in zip(group, run(group, kind), strict=True):
                    found, count = disagreement(text, kind, ours, attempted(torch, text, scope, kind)), count + 1
                    if text not in KNOWN[kind]:
                        wrong += [f"{text}: {found}"] if found else []
                    elif on_xla and not found and text not in SOMETIMES:
                        stale.append(text)
    print(f"{count} expressions, of which {len(KNOWN[kind])} are known to differ")
    assert not wrong, "\n".join(wrong)
    assert not stale, f"these differ no more, take them out of DIFFERENCES: {stale}"


def test_the_table_is_as_large_as_it_claims() -> None:
    texts = [text for table in TABLE.values() for text in rows(table)]
    assert len(texts) == len(set(texts)) == 662
    assert all(KNOWN[kind].keys() <= set(texts) for kind in KINDS)
