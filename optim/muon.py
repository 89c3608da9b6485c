"""Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..tracer.functions.choosing import clamp
from ..tracer.functions.creation import zeros_like
from ..tracer.functions.linear import addmm
from ..tracer.ir.dtypes import bfloat16
from ..tracer.jit.hyperparameters import hyper, static
from ..tracer.tensor.tensor import Tensor
from .checks import check_learning_rate
from .group import Group
from .optimizer import Optimizer, State

_MOST_STEPS = 100


class Muon(Optimizer):
    """Momentum whose matrices are made nearly orthogonal: all singular values become about 1.

        b = b + (1 - momentum) * (g - b)
        u = g + momentum * (b - g)  if nesterov  else  b
        p = p - lr * weight_decay * p - ratio * lr * orthogonal(u)

    `orthogonal` runs `ns_steps` of X = a X + (b A + c A A) X with A = X X^T in bfloat16, from X = u / |u|. The ratio is
    sqrt(max(1, rows / columns)), or 0.2 * sqrt(max(rows, columns)) with adjust_lr_fn="match_rms_adamw".

    Args: `params` are matrices; `lr` may be a tensor of one element; `ns_coefficients` are (a, b, c).
    Source: https://kellerjordan.github.io/posts/muon/; https://pytorch.org/docs/stable/generated/torch.optim.Muon.html

    >>> import flambeau as torch
    >>> w = torch.ones(2, 2, requires_grad=True)
    >>> optimizer = torch.optim.Muon([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.shape, (w < 1).all().item()
    (torch.Size([2, 2]), True)
    """

    counter = None

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
                 nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
                 eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None) -> None:
        check_learning_rate(lr, "Learning rate should be >= 0 but is")
        for name, number in (("momentum", momentum), ("weight decay", weight_decay)):
            if not number >= 0.0:
                raise ValueError(f"{name} should be >= 0 but is: {number}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(params, {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn})
        for param in (p for group in self.param_groups for p in group["params"]):
            if param.dim() != 2:
                raise ValueError("Muon only supports 2D parameters whereas we found a parameter with size: "
                                 f"{param.size()}")

    def init_single(self, param: Tensor, group: Group) -> State:
        """b = 0."""
        if param.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        return {"momentum_buffer": zeros_like(param)}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The rate, the momentum, and what decay leaves."""
        lr, momentum = hyper(group, "lr"), hyper(group, "momentum")
        return {"lr": lr, "momentum": momentum, "new": 1 - momentum, "keep": 1 - lr * hyper(group, "weight_decay")}

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - lr * weight_decay * p - ratio * lr * orthogonal(u)."""
        state["momentum_buffer"] = b = state["momentum_buffer"] + (grad - state["momentum_buffer"]) * c.new
        update = grad + (b - grad) * c.momentum if static(group, "nesterov") else b
        straight = _orthogonal(update, static(group, "ns_coefficients"), static(group, "ns_steps"), static(group, "eps"))
        ratio = _ratio(static(group, "adjust_lr_fn"), *param.shape)
        return param * c.keep - straight.to(param.dtype) * (c.lr * ratio)


def _orthogonal(x: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The iteration of Newton and Schulz, in bfloat16, on the side of the matrix that is shorter."""
    if steps >= _MOST_STEPS:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    is_tall = x.shape[0] > x.shape[1]
    x = x.to(bfloat16)
    x = x.T if is_tall else x
    x = x / clamp(x.norm(), min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = addmm(x, addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


def _ratio(name: str | None, rows: int, columns: int) -> float:
    if name == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))
