"""One expression, evaluated with torch and with this package on the same arrays."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import flambeau

LIMITS = {"float16": (2e-3, 1e-3), "bfloat16": (2e-2, 1e-2), "float64": (1e-9, 1e-11), "complex128": (1e-9, 1e-11)}


def rows(text: str) -> list[str]:
    """The expressions of a table: one a line, or several between semicolons."""
    return [s.strip() for line in text.strip().splitlines() for s in line.split(" ; ")]


def flat(result: Any) -> list[Any]:
    """The results of a function as a list."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


def same(ours: Any, theirs: Any) -> None:
    """One number of results, each of one shape, dtype and value; other results are equal."""
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        if not hasattr(b, "dtype"):
            assert a == b
            assert type(a) is type(b) or repr(a) == repr(b)
            continue
        assert tuple(a.shape) == tuple(b.shape)
        assert repr(a.dtype) == repr(b.dtype)
        rtol, atol = LIMITS.get(repr(a.dtype).split(".")[1], (2e-5, 1e-6))
        np.testing.assert_allclose(a.detach().to(dtype_of(a)).numpy(), b.detach().to(dtype_of(b)).numpy(), rtol, atol)


def dtype_of(x: Any) -> Any:
    """A dtype that numpy has too."""
    library = flambeau if isinstance(x, flambeau.Tensor) else pytest.importorskip("torch")
    return library.float32 if x.dtype is library.bfloat16 else x.dtype


def evaluated(library: Any, text: str, arrays: dict[str, Any], **more: Any) -> Any:
    """The expression on tensors of the library, without what torch says of its older names."""
    names = {k: library.tensor(v) for k, v in arrays.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(?s).*(deprecated|degrees of freedom|resized)")
        return eval(text, {"torch": library, "inf": float("inf"), "nan": float("nan"), **names, **more})


def error_of(library: Any, text: str, arrays: dict[str, Any]) -> Exception:
    """What the expression raises."""
    with pytest.raises(Exception) as caught:
        evaluated(library, text, arrays)
    return caught.value


def same_error(text: str, arrays: dict[str, Any]) -> None:
    """One type of error, and torch's first line as its text."""
    ours, theirs = (error_of(library, text, arrays) for library in (flambeau, pytest.importorskip("torch")))
    assert type(ours) is type(theirs)
    assert str(ours) == str(theirs).splitlines()[0]


def gradients(library: Any, text: str, arrays: dict[str, Any]) -> list[Any]:
    """The results in double precision, and the gradients of a weighted sum of them with respect to the arrays used."""
    leaves = {k: library.tensor(v, dtype=library.float64 if v.dtype.kind == "f" else library.complex128).requires_grad_()
              for k, v in arrays.items() if k in names_in(text)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(?s).*deprecated")
        results = flat(eval(text, {"torch": library, "inf": float("inf"), **leaves}))
    total = 0
    for r in results:
        weights = library.tensor(np.cos(np.arange(max(r.numel(), 1)))[:r.numel()].reshape(tuple(r.shape)))
        part = (r * weights).sum()
        total = total + (part.real + part.imag if r.is_complex() else part)
    total.backward()
    return [*results, *(x.grad for x in leaves.values())]


def names_in(text: str) -> set[str]:
    """The variables of an expression."""
    return set(compile(text, "expression", "eval").co_names)
