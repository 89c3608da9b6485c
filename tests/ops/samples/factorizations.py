"""Rows of LU, QR, singular values and eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..sample import BadSample, Sample, complexes, integers, reals
from .linalg import definite, regular

SIGNS = ": vectors are known up to a factor of absolute value one"
ONLY_LAPACK = ": XLA has no text for it"


def gapped(x: np.ndarray) -> np.ndarray:
    """A matrix whose singular values and eigenvalues are far from each other."""
    size = min(x.shape[-2:])
    return (0.2 * x + np.eye(*x.shape[-2:]) * (1 + np.arange(max(x.shape[-2:]))[:x.shape[-1]] % max(size, 1))).astype(x.dtype)


def _svd(x: np.ndarray, full: bool, gradient: bool = True) -> Sample:
    return Sample("svd", [gapped(x)], {"full": full, "vectors": True}, None, [0] if gradient else [], tolerance=1e-4, xla=False,
                  note=f" {full}{SIGNS}")


def _no_failure(t: Any, values: Any) -> Any:
    return values, t.zeros(values.shape[:-1], dtype=t.int32)


SAMPLES = [
    *(Sample("lu", [regular(x) if x.shape[-1] == x.shape[-2] else x], {}, lambda t, x: t.linalg.lu_factor_ex(x), [0],
             tolerance=1e-4)
      for x in (reals(3, 3), complexes(3, 3), reals(2, 4, 3), reals(3, 5), complexes(4, 2), reals(2, 3, 3))),
    Sample("lu", [np.array([[1, 2], [2, 4]], np.float32)], {}, lambda t, x: t.linalg.lu_factor_ex(x), note=" singular"),
    Sample("lu", [np.array([[0, 0], [0, 4]], np.float32)], {}, lambda t, x: t.linalg.lu_factor_ex(x), note=" zeros"),
    Sample("lu", [reals(0, 3)], {}, gradient=[0], note=" empty"),
    *(Sample("geqrf", [x], {}, lambda t, x: t.geqrf(x), tolerance=1e-4)
      for x in (reals(3, 3), complexes(4, 3), reals(2, 3, 5), reals(0, 3), reals(3, 0))),
    *(Sample("qr", [x], {"full": full}, lambda t, x, mode="complete" if full else "reduced": t.linalg.qr(x, mode),
             [] if full and x.shape[-2] > x.shape[-1] else [0], tolerance=1e-4, note=f" {full}")
      for full in (False, True)
      for x in (reals(3, 3), complexes(3, 3), reals(2, 5, 3), complexes(2, 4), reals(0, 3), reals(3, 0))),
    *(_svd(x, full, not np.iscomplexobj(x) and not (full and x.shape[-2] != x.shape[-1]))
      for full in (False, True) for x in (reals(3, 3), reals(4, 3), reals(2, 2, 4), complexes(3, 3), reals(0, 2))),
    *(Sample("svd", [gapped(x)], {"full": False, "vectors": False}, lambda t, x: _no_failure(t, t.linalg.svdvals(x)), [0],
             tolerance=1e-4, note=" values") for x in (reals(3, 3), reals(4, 2), reals(2, 2, 4), complexes(3, 4))),
    *(Sample("eigh", [definite(gapped(x))], {"vectors": True}, None, [] if np.iscomplexobj(x) else [0], tolerance=1e-4,
             xla=False, note=SIGNS) for x in (reals(3, 3), complexes(3, 3), reals(2, 3, 3), reals(1, 1))),
    *(Sample("eigh", [definite(gapped(x))], {"vectors": False}, lambda t, x: _no_failure(t, t.linalg.eigvalsh(x)), [0],
             tolerance=1e-4, note=" values") for x in (reals(3, 3), complexes(3, 3), reals(2, 3, 3), reals(0, 0))),
    *(Sample("eig", [gapped(x)], {"vectors": vectors}, None, [] if vectors and np.iscomplexobj(x) else [0], tolerance=1e-4,
             xla=False, note=f" {vectors}{ONLY_LAPACK}")
      for vectors in (True, False) for x in (reals(3, 3), complexes(3, 3), reals(2, 3, 3), reals(0, 0))),
]

BAD = [
    BadSample("lu", [reals(3)], {}, "lu requires matrices"),
    BadSample("lu", [integers(2, 2)], {}, "lu requires a float32"),
    BadSample("geqrf", [reals(3)], {}, "geqrf requires matrices"),
    BadSample("qr", [integers(3, 2)], {"full": False}, "qr requires a float32"),
    BadSample("svd", [reals(3)], {"full": False, "vectors": True}, "svd requires matrices"),
    BadSample("eigh", [reals(3, 2)], {"vectors": True}, "eigh requires square"),
    BadSample("eig", [reals(3, 2)], {"vectors": True}, "eig requires square"),
]
