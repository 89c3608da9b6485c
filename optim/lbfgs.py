"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..tracer.autograd.modes import enable_grad, no_grad
from ..tracer.functions.complex_numbers import view_as_real
from ..tracer.functions.creation import zeros
from ..tracer.functions.joining import cat
from ..tracer.ir.errors import TraceError
from ..tracer.lazy.flush import end_of_step
from ..tracer.tensor.context import context
from ..tracer.tensor.tensor import Tensor
from .checks import check_learning_rate
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, State

_CURVED = 1e-10  # the least y * s that is remembered


class LBFGS(Optimizer):
    """Newton's method with a Hessian guessed from the last gradients and steps.

        d = -H g                                      (H from the last `history_size` pairs of steps and differences)
        p = p + t * d

    The closure is evaluated up to `max_eval` times in a step. t is lr (1 / |g|_1 at most in the first iteration), or
    satisfies the strong Wolfe conditions with line_search_fn="strong_wolfe". How often all this runs depends on values:
    a step is taken outside of jit, the closure may be jitted.

    Args: `params`, one group; `max_iter` iterations a step; `max_eval` (5 / 4 of these); tolerances of the gradient and
    of changes, at which a step ends.
    Source: https://pytorch.org/docs/stable/generated/torch.optim.LBFGS.html

    >>> import flambeau as torch
    >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> optimizer = torch.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> @torch.jit
    ... def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w * w).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item(), closure().item() < 1e-9
    (25.0, True)
    """

    counter = None

    def __init__(self, params: Iterable[Any], lr: float | Tensor = 1, max_iter: int = 20, max_eval: int | None = None,
                 tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
                 line_search_fn: str | None = None) -> None:
        check_learning_rate(lr)
        super().__init__(params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn})
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def step(self, closure: Callable[[], Any]) -> Any:
        """Several iterations; `closure` clears the gradients, computes the loss and its gradients, and returns it.

        Raises RuntimeError for another line search, TraceError while a function is traced.
        """
        if context.trace is not None:
            raise TraceError("LBFGS.step() requires to be called outside of jit, got a call while a function is traced: "
                             "how often it evaluates the closure depends on values. Jit the closure instead: "
                             "optimizer.step(torch.jit(closure))")
        with no_grad():
            return _Step(self, enable_grad()(closure)).run()


class _Step:
    """One call of `step`: the closure, the parameters as one vector, and how far it came."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        self.group = optimizer.param_groups[0]
        self.params = list(self.group["params"])
        self.state: State = optimizer.state[self.params[0]]
        self.closure = closure
        self.lr = float(self.group["lr"])
        self.evaluations = 0

    def run(self) -> Any:
        """All iterations; the loss before the first."""
        state, group = self.state, self.group
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = self.closure()
        loss, gradient = float(first), self.gradient()
        self._count(1)
        if _largest(gradient) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            self._turn(gradient)
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            slope = float(gradient.dot(state["d"]))
            if slope > -group["tolerance_change"]:
                break
            moved = self._move(Point(0.0, loss, gradient, slope), is_last=iteration == group["max_iter"])
            before, loss, gradient = loss, moved[0], moved[1]
            if iteration == group["max_iter"] or self._is_done(before, loss, gradient):
                break
        return first

    def _is_done(self, before: float, loss: float, gradient: Tensor) -> bool:
        tolerance = self.group["tolerance_change"]
        return (self.evaluations >= self.group["max_eval"] or _largest(gradient) <= self.group["tolerance_grad"]
                or _largest(self.state["d"] * self.state["t"]) <= tolerance or abs(loss - before) < tolerance)

    def _count(self, evaluations: int) -> None:
        self.evaluations += evaluations
        self.state["func_evals"] += evaluations

    # --- The parameters as a vector -----------------------------------------------------------------------------------

    def gradient(self) -> Tensor:
        """All gradients, zeros where there are none."""
        return cat([_flat(zeros(p.shape, dtype=p.dtype, device=p.device) if p.grad is None else p.grad)
                    for p in self.params])

    def add(self, t: float, direction: Tensor) -> None:
        """p + t * d."""
        start = 0
        for p in self.params:
            part = view_as_real(p) if p.is_complex() else p
            part.add_(direction[start:start + part.numel()].view(part.shape), alpha=t)
            start += part.numel()

    # --- One iteration ------------------------------------------------------------------------------------------------

    def _turn(self, gradient: Tensor) -> None:
        """The direction and the first length to try, from what is remembered."""
        state = self.state
        if state["n_iter"] == 1:
            state.update(d=-gradient, old_dirs=[], old_stps=[], ro=[], H_diag=1)
            state["t"] = min(1.0, 1.0 / float(gradient.abs().sum())) * self.lr
        else:
            self._remember(gradient - state["prev_flat_grad"], state["d"] * state["t"])
            state["d"] = self._direction(gradient)
            state["t"] = self.lr

    def _remember(self, change: Tensor, step: Tensor) -> None:
        state, product = self.state, change.dot(step)
        if not float(product) > _CURVED:
            return
        if len(state["old_dirs"]) == self.group["history_size"]:
            for name in ("old_dirs", "old_stps", "ro"):
                state[name].pop(0)
        state["old_dirs"].append(change)
        state["old_stps"].append(step)
        state["ro"].append(1.0 / product)
        state["H_diag"] = product / change.dot(change)

    def _direction(self, gradient: Tensor) -> Tensor:
        """-H g. Every pair is a program of its own, the same for all: with any other number of them, too."""
        state = self.state
        weights = state.setdefault("al", [None] * self.group["history_size"])
        pairs = list(enumerate(zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True)))
        q = -gradient
        for i, (change, step, ro) in reversed(pairs):
            weights[i] = step.dot(q) * ro
            q = q - change * weights[i]
            end_of_step()
        q = q * state["H_diag"]
        for i, (change, step, ro) in pairs:
            q = q + step * (weights[i] - change.dot(q) * ro)
            end_of_step()
        return q

    def _move(self, start: Point, is_last: bool) -> tuple[float, Tensor]:
        """A step along the direction; the loss and the gradient there, or those from before where nobody asks."""
        state, name = self.state, self.group["line_search_fn"]
        if name is not None and name != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        if name is not None:
            return self._search(start)
        self.add(state["t"], state["d"])
        if is_last:
            return start.f, start.gradient
        loss = float(self.closure())
        self._count(1)
        return loss, self.gradient()

    def _search(self, start: Point) -> tuple[float, Tensor]:
        state, kept = self.state, [p.clone() for p in self.params]
        direction = state["d"]

        def evaluate(t: float) -> Point:
            self.add(t, direction)
            loss, gradient = float(self.closure()), self.gradient()
            for p, value in zip(self.params, kept, strict=True):
                p.copy_(value)
            return Point(t, loss, gradient, float(gradient.dot(direction)))

        found, evaluations = strong_wolfe(evaluate, state["t"], start, _largest(direction),
                                          1e-9, self.group["max_eval"] - self.evaluations)
        state["t"] = found.t
        self.add(found.t, direction)
        self._count(evaluations)
        return found.f, found.gradient


def _flat(x: Tensor) -> Tensor:
    return (view_as_real(x) if x.is_complex() else x).reshape(-1)


def _largest(x: Tensor) -> float:
    return float(x.abs().max())
