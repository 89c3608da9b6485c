"""Steps of optimizers as functions of lists, as `torch.optim.adam.adam` and its like: what the classes do, without a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.creation import tensor, zeros_like
from ..tracer.tensor.tensor import Tensor
from .group import Group
from .optimizer import Optimizer
from .shared import Scalars

# Options of classes for which functions have two.
_PAIRS = {"betas": ("beta1", "beta2"), "etas": ("etaminus", "etaplus"), "step_sizes": ("step_size_min", "step_size_max")}
_DEFAULTS = {"lr": 0.0, "weight_decay": 0.0, "maximize": False, "amsgrad": False, "decoupled_weight_decay": False,
             "differentiable": False, "params": []}


def functional(kind: type[Optimizer], lists: str, options: str, name: str = "", **given: Any) -> Callable[..., None]:
    """The step of an optimizer as a function of parameters, gradients, lists of state, and options.

    `lists` are the names of arguments in torch's order, each with the state entry that it lists; `options`, those that may
    follow by position.
    """
    entries = dict(pair.split(":") for pair in lists.split())
    order = ("params", "grads", *entries, *options.split())

    def step(*args: Any, **named: Any) -> None:
        chosen = {**given, **dict(zip(order, args)), **named}
        params, grads = chosen.pop("params"), chosen.pop("grads", None) or chosen.pop("d_p_list")
        states = {entry: chosen.pop(argument) for argument, entry in entries.items() if argument in chosen}
        if chosen.get("grad_scale") is not None or chosen.get("found_inf") is not None:
            raise NotImplementedError(f"{step.__name__}: scaled gradients are divided by amp.GradScaler.unscale_ before the step")
        group = Group({**_DEFAULTS, **_grouped(chosen)})
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            _step(kind, group, param, grad, {entry: listed for entry, listed in states.items() if len(listed) > i}, i)

    step.__name__ = step.__qualname__ = name or kind.__name__.lower()
    step.__doc__ = f"One step of `{kind.__name__}`: of params, grads, {', '.join(entries)}, all written in place."
    return step


def _grouped(options: dict[str, Any]) -> dict[str, Any]:
    """The options as a class has them."""
    pairs = {name: tuple(options.pop(half) for half in halves) for name, halves in _PAIRS.items() if halves[0] in options}
    return {**options, **pairs}


def _step(kind: type[Optimizer], group: Group, param: Tensor, grad: Tensor, lists: dict[str, list[Any]], i: int) -> None:
    """One parameter's step by the class's own rule; state that is None begins with it, and is put into its list."""
    is_new = any(listed[i] is None for listed in lists.values())
    for listed in lists.values():
        if listed[i] is None and group.get("momentum"):
            listed[i] = zeros_like(param)
    rule = kind.__new__(kind)
    rule.__dict__.update(defaults=dict(group), state={param: {entry: listed[i] for entry, listed in lists.items()}})
    counter = rule.counter_of(group)
    with no_grad():
        count = None if counter is None else rule.state[param].setdefault(counter, tensor(0.0 if is_new else 1.0))
        rule._update(param, grad, group, Scalars(rule.scalars(group, None if count is None else count.add_(1))))
