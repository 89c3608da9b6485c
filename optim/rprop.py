"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tracer.functions.choosing import clamp, where
from ..tracer.functions.creation import full_like, zeros_like
from ..tracer.functions.unary import sign
from ..tracer.jit.hyperparameters import hyper
from ..tracer.tensor.tensor import Tensor
from .checks import check_learning_rate
from .functional import functional
from .group import Group
from .optimizer import Optimizer, State


class Rprop(Optimizer):
    """Steps by the sign of the gradient alone, longer while it stays and shorter where it turned.

        s = clamp(s * (eta_plus if g * g_before > 0, eta_minus if < 0, else 1), *step_sizes)      (s = lr at first)
        g = 0                                         where g * g_before < 0
        p = p - s * sign(g)

    Args: `lr` may be a tensor of one element; `etas` the factors (minus, plus); `step_sizes` the bounds of s;
    `maximize` climbs. For whole data sets: gradients of batches turn by chance.
    Source: https://ieeexplore.ieee.org/document/298623; https://pytorch.org/docs/stable/generated/torch.optim.Rprop.html

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
                 step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False) -> None:
        check_learning_rate(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable})

    def init_single(self, param: Tensor, group: Group) -> State:
        """No gradient before, and steps of lr, in both parts of complex numbers."""
        rate = float(group["lr"])
        return {"prev": zeros_like(param),
                "step_size": full_like(param, complex(rate, rate) if param.is_complex() else rate)}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """The factors and the bounds of the steps."""
        return {"shorter": hyper(group, "etas", 0), "longer": hyper(group, "etas", 1),
                "smallest": hyper(group, "step_sizes", 0), "largest": hyper(group, "step_sizes", 1)}

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """p - s * sign(g)."""
        turn = sign(grad * state["prev"])
        factor = where(turn > 0, c.longer, where(turn < 0, c.shorter, 1.0))
        state["step_size"] = size = clamp(state["step_size"] * factor, c.smallest, c.largest)
        state["prev"] = grad = where(turn < 0, 0.0, grad)
        return param - sign(grad) * size


rprop = functional(
    Rprop, "prevs:prev step_sizes:step_size state_steps:step",
    "foreach capturable maximize differentiable has_complex")
