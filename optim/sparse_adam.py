"""SparseAdam, as far as it goes without sparse gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..tracer.autograd.modes import enable_grad
from ..tracer.tensor.tensor import Tensor
from .checks import check_betas, check_learning_rate
from .optimizer import Optimizer


class SparseAdam(Optimizer):
    """Adam for sparse gradients, of which there are none here: a step with a gradient raises torch's error for dense ones.

    It is there for code that names it, and for its groups and options.
    Source: https://pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html

    >>> import flambeau as torch
    >>> w = torch.ones(2, requires_grad=True)
    >>> optimizer = torch.optim.SparseAdam([w])
    >>> w.sum().backward()
    >>> optimizer.step()
    Traceback (most recent call last):
    RuntimeError: SparseAdam does not support dense gradients, please consider Adam instead
    """

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, maximize: bool = False) -> None:
        check_learning_rate(lr)
        for name, number in (("learning rate", lr), ("epsilon value", eps)):
            if not number > 0.0:
                raise ValueError(f"Invalid {name}: {number}")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        found = [[i, j] for i, group in enumerate(self.param_groups)
                 for j, p in enumerate(group["params"]) if p.is_complex()]
        if found:
            raise ValueError(f"Complex params at indices {found}: SparseAdam does not support complex parameters")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Raise torch's RuntimeError if any parameter has a gradient."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if any(p.grad is not None for group in self.param_groups for p in group["params"]):
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        return loss
