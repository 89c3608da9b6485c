"""An optimizer on other parameters and state for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..tracer.tensor.tensor import Tensor
from .optimizer import Optimizer
from .state import ParameterState, States

_NAME = "swap_in_optimizer_params_and_state"


@contextmanager
def swap_in_optimizer_params_and_state(optimizer: Optimizer, swapin_parameters: dict[str, Tensor],
                                       swapin_optim_state: dict[str, Any]) -> Iterator[None]:
    """In this block the optimizer works on the given parameters and on the state of a `state_dict()`; then on its own again.

    What is written in place reaches the tensors that were given; entries that are exchanged are forgotten.

    Args: `swapin_parameters`, tensors by name in the order of the optimizer's; `swapin_optim_state`, groups as the
    optimizer's. Raises RuntimeError for an optimizer without state and for groups that do not fit.

    >>> import flambeau as torch
    >>> w, other = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    >>> optimizer = torch.optim.SGD([w], lr=0.5, momentum=0.9)
    >>> w.grad = other.grad = torch.ones(1)
    >>> optimizer.step()
    >>> with torch.optim.swap_in_optimizer_params_and_state(optimizer, {"w": other}, optimizer.state_dict()):
    ...     optimizer.step()
    >>> w.item(), other.item()
    (0.5, -0.949999988079071)
    """
    state, groups = _checked(optimizer, swapin_optim_state)
    parts = _divided(groups, list(swapin_parameters.values()))
    known = {index for group in groups for index in group["params"]}
    if extra := [key for key in state if key not in known]:
        raise RuntimeError(f"{_NAME} requires swapin_optim_state['state'] to be keyed only by packed parameter ids from "
                           f"param_groups[*]['params']; got extra keys {extra!r}.")
    own, before = optimizer.state, [dict(group) for group in optimizer.param_groups]
    swapped = States()
    try:
        for live, group, params in zip(optimizer.param_groups, groups, parts, strict=True):
            live.update({**group, "params": params})
            for param, index in zip(params, group["params"], strict=True):
                swapped[param] = ParameterState(state.get(index, {}))
        optimizer.state = swapped
        yield
    finally:
        for live, options in zip(optimizer.param_groups, before, strict=True):
            live.clear()
            live.update(options)
        optimizer.state = own


def _checked(optimizer: Optimizer, saved: Any) -> tuple[dict[Any, Any], list[dict[str, Any]]]:
    if not optimizer.state:
        raise RuntimeError(f"{_NAME} requires initialized optimizer state.")
    if not isinstance(saved, dict):
        raise RuntimeError(f"{_NAME} requires a DCP-style optimizer state_dict.")
    state, groups = saved.get("state"), saved.get("param_groups")
    if not isinstance(state, dict):
        raise RuntimeError(f"{_NAME} requires swapin_optim_state['state'] to be a dict mapping packed parameter ids to "
                           f"per-param state dicts, got {type(state).__name__}.")
    if any(isinstance(key, Tensor) for key in state):
        raise RuntimeError(f"{_NAME} requires optimizer.state_dict()-style state keyed by packed parameter ids.")
    if any(isinstance(key, int) and not isinstance(x, dict) for key, x in state.items()):
        raise RuntimeError(f"{_NAME} requires per-parameter optimizer state entries to be dictionaries.")
    if not isinstance(groups, list):
        raise RuntimeError(f"{_NAME} requires swapin_optim_state['param_groups'] to be a list of param-group dicts, "
                           f"got {type(groups).__name__}.")
    if len(optimizer.param_groups) != len(groups):
        raise RuntimeError("swapin_optim_state has a different number of parameter groups than the live optimizer.")
    for number, (live, group) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        _check_group(number, live, group)
    return state, groups


def _check_group(number: int, live: dict[str, Any], group: Any) -> None:
    if not isinstance(group, dict):
        raise RuntimeError(f"{_NAME} requires each optimizer param group to be a dictionary.")
    indices = group.get("params")
    if not isinstance(indices, list) or not all(isinstance(index, int) for index in indices):
        raise RuntimeError(f"{_NAME} requires optimizer.state_dict()-style param_groups[*]['params'] entries keyed by "
                           "packed parameter ids.")
    if len(live["params"]) != len(indices):
        raise RuntimeError(f"swapin_optim_state param group {number} has a different number of params than the live "
                           "optimizer param group.")
    theirs, ours = ([key for key in one if key not in other] for one, other in ((group, live), (live, group)))
    if theirs or ours:
        raise RuntimeError(f"{_NAME} requires optimizer.state_dict()-style param group keys to exactly match the live "
                           f"optimizer group keys for group {number}. Keys only in swap-in: {theirs}. "
                           f"Keys only in live: {ours}.")


def _divided(groups: list[dict[str, Any]], params: list[Tensor]) -> list[list[Tensor]]:
    """The parameters of each group."""
    parts, start = [], 0
    for group in groups:
        end = start + len(group["params"])
        if end > len(params):
            raise RuntimeError(f"{_NAME} requires the explicit parameter state to match optimizer.param_groups ordering.")
        parts.append(params[start:end])
        start = end
    return parts
