"""Rounding told from errors: a result that is not within torch's tolerance may be as near to the exact one as torch's is.

torch's tolerances are for its own kernels beside references of theirs; of two orders of summing, in bfloat16 above all, neither
is the right one. What judges is torch's result in double precision from the same inputs.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from .compare import DEFAULT, Mismatch, compare  # noqa: E402
from .translate import array  # noqa: E402

# How many results of the sweep's cell passed by this alone: told beside the outcome.
judged: contextvars.ContextVar[list[str]] = contextvars.ContextVar("judged")
_WIDER = {torch.float32: torch.float64, torch.bfloat16: torch.float64, torch.float16: torch.float64,
          torch.complex64: torch.complex128}
AS_FAR = 4.0  # times as far from the exact result as torch's farthest element; of two roundings one is often twice the other


def widened(x: Any) -> Any:
    """Tensors, and dtypes that are asked for, in double precision; a sample, or lists and dictionaries of them."""
    if isinstance(x, torch.Tensor):
        wide = x.detach().to(_WIDER.get(x.dtype, x.dtype))
        return wide.requires_grad_() if x.requires_grad else wide
    if isinstance(x, torch.dtype):
        return _WIDER.get(x, x)
    if isinstance(x, (list, tuple)) and not isinstance(x, torch.Size):
        return type(x)(widened(e) for e in x) if type(x) in (list, tuple) else x
    if isinstance(x, dict):
        return {name: widened(e) for name, e in x.items()}
    return x.transform(widened) if hasattr(x, "transform") else x


def compare_to_wide(ours: Any, theirs: Any, exact: Callable[[], Any], where: str = "result") -> None:
    """The Mismatch that is being handled again, unless every element of ours is as near to the exact result as torch's are."""
    try:
        wide = exact()
    except Exception:
        wide = None
    if wide is None or not _near(ours, theirs, wide):
        raise
    judged.get([]).append(where if _finite(theirs) else f"{where} (torch's is not finite, the exact one is)")


def _finite(theirs: Any) -> bool:
    if isinstance(theirs, (list, tuple)):
        return all(map(_finite, theirs))
    return not isinstance(theirs, torch.Tensor) or bool(torch.isfinite(theirs).all())


def _near(ours: Any, theirs: Any, wide: Any) -> bool:
    if isinstance(theirs, torch.Tensor):
        if not theirs.dtype.is_floating_point and not theirs.dtype.is_complex:
            return _same(ours, theirs)
        return isinstance(wide, torch.Tensor) and _same(ours, theirs, False) and _as_near(ours, theirs, wide)
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) == len(wide) and all(map(_near, ours, theirs, wide))
    return bool(ours == theirs)


def _same(ours: Any, theirs: Any, values: bool = True) -> bool:
    try:
        compare(ours, theirs, (0.0, 0.0), values)
    except Mismatch:
        return False
    return True


def _as_near(ours: Any, theirs: Any, wide: Any) -> bool:
    """Every element is within torch's tolerance of torch's, or as near to the exact one as torch's farthest is.

    An element that torch makes infinite or NaN, and the exact result does not, says nothing: ours is compared to the exact one.
    """
    if theirs.dtype in (torch.float64, torch.complex128) or wide.shape != theirs.shape or not torch.isfinite(wide).all():
        return False
    kind = np.complex128 if wide.is_complex() else np.float64
    exact, mine, their = (x.astype(kind) for x in (array(wide), ours.detach().numpy(), array(theirs)))
    relative, absolute = DEFAULT[str(theirs.dtype).removeprefix("torch.")]
    wrong = ~np.isfinite(their)
    told = np.where(wrong, exact, their)
    close = np.abs(mine - told) <= absolute + relative * np.abs(told)
    near = np.abs(mine - exact) <= AS_FAR * np.abs(told - exact).max(initial=0.0)
    return bool((close | near).all())
