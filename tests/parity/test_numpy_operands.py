"""numpy's arrays and numbers beside tensors: each operator, both ways round, in torch's numbers or with its kind of error."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

from ..engines import on_numpy  # noqa: E402

OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lt", "le", "gt", "ge", "eq", "and_", "or_",
             "xor", "lshift", "rshift", "iadd", "imul", "isub", "itruediv"]
OTHERS = {"array": lambda: np.array([1.0, 2.0]), "whole numbers": lambda: np.array([1, 2]), "0-d": lambda: np.array(2.0),
          "float32": lambda: np.float32(2), "float64": lambda: np.float64(2), "int64": lambda: np.int64(2)}
KINDS = ["float32", "float64", "int64"]


def outcome(call: Any, operands: list[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = call(*operands)
        except Exception as error:
            return next(c for c in type(error).__mro__ if c.__module__ == "builtins").__name__
    return type(found).__name__, str(getattr(found, "dtype", "")), np.asarray(found).tolist()


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator(name: str, other: str) -> None:
    """All but `!=`, which torch answers by whether they are one object; of bits, whole numbers."""
    call, wrong = getattr(operator, name), []
    with on_numpy():
        bits = name in ("and_", "or_", "xor", "lshift", "rshift")
        if bits and np.asarray(OTHERS[other]()).dtype.kind != "i":
            return
        for kind in KINDS[2:] if bits else KINDS:
            for order in (1, -1):
                mine, theirs = (outcome(call, [library.tensor([3, 2], dtype=getattr(library, kind)),
                                               OTHERS[other]()][::order]) for library in (flambeau, torch))
                if mine != theirs:
                    wrong.append((kind, order, mine, theirs))
    assert not wrong
