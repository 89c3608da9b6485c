"""Gradient clipping: https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html

Nothing is read on the host: the factor stays a tensor, so clipping is part of a compiled step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...tracer.autograd.modes import no_grad
from ...tracer.functions.arithmetic import add, mul
from ...tracer.functions.checks import check_first
from ...tracer.functions.choosing import clamp
from ...tracer.functions.creation import tensor as make_tensor
from ...tracer.functions.joining import stack
from ...tracer.functions.matrix_norms import norm
from ...tracer.functions.unary import reciprocal as _reciprocal
from ...tracer.ir.told import tell
from ...tracer.tensor.tensor import Tensor


def _listed(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


@no_grad()
def get_total_norm(tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False,
                   foreach: bool | None = None) -> Tensor:
    """The norm of all tensors taken as one vector.

    `error_if_nonfinite` reads the value where there is one, and checks it in a compiled step.
    """
    listed = _listed(tensors)
    if not listed:
        return make_tensor(0.0)
    norm_type = float(norm_type) if isinstance(norm_type, str) else norm_type  # a number of a step stays one
    norms = [norm(t, norm_type) for t in listed]
    total = norm(stack([n.to(norms[0].device) for n in norms]), norm_type)
    if error_if_nonfinite:
        check_first("clip_grad_norm_", ~total.isfinite(), RuntimeError,
                    f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, so it cannot "
                    "be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
                    "`error_if_nonfinite=False`")
    return total


@no_grad()
def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor,
                          foreach: bool | None = None) -> None:
    """Scale gradients in place by max_norm / (total_norm + 1e-6), if that is below 1."""
    factor = clamp(mul(_reciprocal(add(total_norm, 1e-6)), max_norm), max=1.0)
    for gradient in _gradients(parameters):
        gradient.mul_(factor.to(gradient.device))


@no_grad()
def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False, foreach: bool | None = None) -> Tensor:
    """Scale gradients in place so that their norm, all taken as one vector, is at most `max_norm`.

    Returns the norm before. Source: Pascanu, Mikolov, Bengio: "On the difficulty of training recurrent neural
    networks", https://arxiv.org/abs/1211.5063
    """
    listed = _listed(parameters)
    total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clamp gradients in place to [-clip_value, clip_value]."""
    bound: Any = float(clip_value)
    for gradient in _gradients(parameters):
        gradient.clamp_(-bound, bound)


def clip_grad_norm(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                   error_if_nonfinite: bool = False, foreach: bool | None = None) -> Tensor:
    """`clip_grad_norm_` under its old name, with torch's warning."""
    tell("`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.", FutureWarning)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
