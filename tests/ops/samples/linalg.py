"""Rows of linear algebra."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ..sample import BadSample, Sample, complexes, integers, reals


def definite(x: np.ndarray) -> np.ndarray:
    """A Hermitian positive definite matrix."""
    return (x @ np.conj(np.swapaxes(x, -1, -2)) + 2 * np.eye(x.shape[-1])).astype(x.dtype)


def regular(x: np.ndarray) -> np.ndarray:
    """Numbers with a diagonal far from zero."""
    return (x * 0.5 + 2 * np.eye(x.shape[-1])).astype(x.dtype)


def solve(t: Any, a: Any, b: Any, left_side: bool, lower: bool, unit_diagonal: bool, transpose_a: str) -> Any:
    """The same by torch, which wants the triangle that is left after the transposition."""
    if transpose_a != "NO_TRANSPOSE":
        a, lower = (a.mT if transpose_a == "TRANSPOSE" else a.mH), not lower
    return t.linalg.solve_triangular(a.resolve_conj(), b, upper=not lower, left=left_side, unitriangular=unit_diagonal)


def _solve(a: np.ndarray, b: np.ndarray, left_side: bool, lower: bool, unit_diagonal: bool, transpose_a: str,
           note: str = "") -> Sample:
    params = {"left_side": left_side, "lower": lower, "unit_diagonal": unit_diagonal, "transpose_a": transpose_a}
    return Sample("triangular_solve", [a, b], params, lambda t, a, b: solve(t, a, b, **params), [0, 1], tolerance=1e-4,
                  note=f" {left_side} {lower} {unit_diagonal} {transpose_a}{note}")


EMPTY = {"left_side": True, "lower": True, "unit_diagonal": False, "transpose_a": "NO_TRANSPOSE"}

SAMPLES = [
    *(Sample("cholesky", [definite(x)], {}, lambda t, x: t.linalg.cholesky_ex(x), [] if np.iscomplexobj(x) else [0],
             tolerance=1e-4)  # of complex matrices torch's gradient, which is not Hermitian, is the oracle
      for x in (reals(3, 3), complexes(3, 3), reals(2, 2, 3, 3), reals(1, 1))),
    Sample("cholesky", [np.stack([definite(reals(3, 3)), -definite(reals(3, 3)), np.diag(reals(3))])], {},
           xla=False,
           note=" not positive definite: of which minor it is that fails XLA tells less than LAPACK"),
    Sample("cholesky", [reals(0, 0)], {}, lambda t, x: t.linalg.cholesky_ex(x), [0], note=" empty"),
    Sample("cholesky", [reals(0, 2, 2)], {}, lambda t, x: t.linalg.cholesky_ex(x), [0], note=" none"),
    *(_solve(regular(reals(3, 3)), reals(3, 2) if left else reals(2, 3), left, lower, unit, transpose)
      for left, lower, unit, transpose in product((True, False), (True, False), (True, False),
                                                  ("NO_TRANSPOSE", "TRANSPOSE", "ADJOINT"))),
    *(_solve(regular(complexes(3, 3)), complexes(3, 2) if left else complexes(2, 3), left, lower, lower, transpose,
             " complex")
      for left, lower, transpose in product((True, False), (True, False), ("NO_TRANSPOSE", "TRANSPOSE", "ADJOINT"))),
    _solve(regular(reals(2, 4, 4)), reals(2, 4, 1), True, True, False, "NO_TRANSPOSE", " batch"),
    Sample("triangular_solve", [reals(0, 0), reals(0, 2)], EMPTY, gradient=[0, 1], note=" empty"),
    Sample("triangular_solve", [regular(reals(2, 2)), reals(2, 0)], EMPTY, gradient=[0, 1], note=" no right-hand side"),
]

BAD = [
    BadSample("cholesky", [reals(2, 3)], {}, "cholesky requires square matrices"),
    BadSample("cholesky", [reals(3)], {}, "cholesky requires square matrices"),
    BadSample("cholesky", [integers(2, 2)], {}, "cholesky requires a float32"),
    BadSample("triangular_solve", [reals(2, 3), reals(2, 3)], EMPTY, "triangular_solve requires square"),
    BadSample("triangular_solve", [reals(2, 2), reals(3, 2)], EMPTY, "triangular_solve requires right-hand sides"),
    BadSample("triangular_solve", [reals(2, 2), complexes(2, 2)], EMPTY, "triangular_solve requires float32"),
    BadSample("triangular_solve", [reals(2, 2), reals(2, 2)], {**EMPTY, "transpose_a": "T"},
              "triangular_solve requires transpose_a"),
]
