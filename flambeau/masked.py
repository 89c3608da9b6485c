"""`torch.masked`: reductions over a mask. Source: https://pytorch.org/docs/stable/masked.html

Tensors that carry their mask are not there: functions take it as an argument.
"""

from .absent import refusal as _refusal
from .tracer.functions.masked_reductions import (
    amax,
    amin,
    argmax,
    argmin,
    cumprod,
    cumsum,
    log_softmax,
    logaddexp,
    logsumexp,
    mean,
    median,
    norm,
    normalize,
    prod,
    softmax,
    softmin,
    std,
    sum,
    var,
)

_INSTEAD = "give the mask to the function: torch.masked.sum(x, mask=mask)"
MaskedTensor = _refusal("torch.masked.MaskedTensor", _INSTEAD)
as_masked_tensor = _refusal("torch.masked.as_masked_tensor", _INSTEAD)
masked_tensor = _refusal("torch.masked.masked_tensor", _INSTEAD)


def is_masked_tensor(obj: object, /) -> bool:
    """Whether something is a tensor that carries its mask, of which there are none.

    >>> import flambeau as torch
    >>> torch.masked.is_masked_tensor(torch.zeros(2))
    False
    """
    return False


__all__ = [
    "MaskedTensor", "amax", "amin", "argmax", "argmin", "as_masked_tensor", "cumprod", "cumsum", "is_masked_tensor",
    "log_softmax", "logaddexp", "logsumexp", "masked_tensor", "mean", "median", "norm", "normalize", "prod", "softmax",
    "softmin", "std", "sum", "var"]
