"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..tracer.functions.choosing import clamp
from ..tracer.functions.creation import zeros, zeros_like
from ..tracer.functions.unary import rsqrt, sqrt
from ..tracer.ir.dtypes import finfo
from ..tracer.jit.hyperparameters import enabled, hyper, static
from ..tracer.tensor.tensor import Tensor
from .checks import check_learning_rate
from .group import Group
from .optimizer import Optimizer, State


class Adafactor(Optimizer):
    """Adaptive rates whose second moments are kept as means over rows and over columns: sublinear memory.

        beta = t^beta2_decay, rho = min(lr, 1 / sqrt(t)), alpha = max(eps2, rms(p)) * rho
        p = p - lr * weight_decay * p
        r = r + beta * (mean(g * g over columns) - r),  c = c + beta * (mean(g * g over rows) - c)
        v = r c / max(mean(r), eps1)                  (v itself is the running mean for vectors)
        u = g / sqrt(max(v, eps1^2))
        p = p - alpha * u / max(1, rms(u) / d)

    Args: `lr` may be a tensor of one element; `eps` is (eps1, eps2), with None for the resolution of the dtype;
    `d` the threshold of clipping; `maximize` climbs.
    Source: https://arxiv.org/abs/1804.04235; https://pytorch.org/docs/stable/generated/torch.optim.Adafactor.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.Adafactor([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-2, beta2_decay: float = -0.8,
                 eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
                 foreach: bool | None = None, maximize: bool = False) -> None:
        check_learning_rate(lr, "Learning rate should be >= 0 but is")
        _check_options(beta2_decay, eps, d, weight_decay)
        super().__init__(params, {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize})

    def init_single(self, param: Tensor, group: Group) -> State:
        """r = c = 0, or v = 0 for vectors and numbers."""
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        if param.dim() < 2:
            return {"variance": zeros_like(param)}
        *outer, rows, columns = param.shape
        return {name: zeros((*outer, *shape), dtype=param.dtype, device=param.device)
                for name, shape in (("row_var", (rows, 1)), ("col_var", (1, columns)))}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The weight of a new square, and the rate relative to the size of a parameter."""
        assert step is not None
        t, lr = step.double(), hyper(group, "lr")
        numbers = {"new": t ** hyper(group, "beta2_decay"), "rho": (1 / sqrt(t)).clamp(max=lr), "d": hyper(group, "d")}
        if enabled(group, "weight_decay"):
            numbers["keep"] = 1 - lr * hyper(group, "weight_decay")
        return numbers

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - alpha * u / max(1, rms(u) / d)."""
        least, smallest = static(group, "eps")
        if least is None:
            least = finfo(c.dtype).eps  # of what is stored, not of what is computed with
        alpha = clamp(_root_mean_square(param), min=smallest) * c.rho
        if enabled(group, "weight_decay"):
            param = param * c.keep
        update = grad * rsqrt(clamp(_variance(grad, state, c.numbers["new"], least), min=least * least))
        return param - update * alpha / clamp(_root_mean_square(update) / c.d, min=1.0)


def _variance(grad: Tensor, state: State, weight: Tensor, least: float) -> Tensor:
    """The estimate of the mean of squares, from the running means of rows and columns."""
    squares = grad * grad
    if "variance" in state:
        state["variance"] = v = state["variance"] + (squares - state["variance"]) * weight
        return v
    rows, columns = state["row_var"], state["col_var"]
    state["row_var"] = rows = rows + (squares.mean(-1, keepdim=True) - rows) * weight
    state["col_var"] = columns = columns + (squares.mean(-2, keepdim=True) - columns) * weight
    return rows * columns / clamp(rows.mean(-2, keepdim=True), min=least)


def _root_mean_square(x: Tensor) -> Tensor:
    return sqrt((x * x).sum()) / math.sqrt(x.numel())


def _check_options(beta2_decay: float, eps: tuple[float | None, float], d: float, weight_decay: float) -> None:
    if not beta2_decay <= 0.0:
        raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
    if eps[0] is not None and not eps[0] >= 0.0:
        raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
    if not eps[1] >= 0.0:
        raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
    if not d >= 1.0:
        raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
    if not weight_decay >= 0.0:
        raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
