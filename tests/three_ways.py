"""A scenario in PyTorch, and in Flambeau lazily and jitted, on the numpy engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau

from .engines import on_numpy
from .nested import near

Scenario = Callable[[Any, Any], Any]  # of a library and of what jits in it


def told(x: Any) -> Any:
    """Tensors as their dtypes and contents, everything else that compares by identity as its text."""
    if hasattr(x, "tolist") and hasattr(x, "dtype"):
        return [str(x.dtype).replace("flambeau", "torch"), told(x.detach().tolist())]
    if isinstance(x, dict):
        return {key: told(v) for key, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [told(v) for v in x]
    return "nan" if x != x else x if isinstance(x, (bool, int, float, str, type(None))) else str(x).replace("flambeau", "torch")


def result(scenario: Scenario, library: Any, jit: Any) -> Any:
    """What a scenario gives, or the class of its error."""
    try:
        return told(scenario(library, jit))
    except Exception as error:
        return type(error).__name__


def three_ways(scenario: Scenario, oracle: Any) -> tuple[Any, Any, Any]:
    """The result in PyTorch, lazily and jitted."""
    with on_numpy():
        lazily, jitted = (result(scenario, flambeau, jit) for jit in (lambda f: f, flambeau.jit))
    return result(scenario, oracle, lambda f: f), lazily, jitted


def check_alike(scenario: Scenario, oracle: Any) -> None:
    """Fail unless all three agree."""
    expected, lazily, jitted = three_ways(scenario, oracle)
    assert near(lazily, expected, 1e-5), (lazily, expected)
    assert near(jitted, expected, 1e-5), (jitted, expected)
