"""State of optimizers in the form in which it is saved: `state_dict()` and what it is taken over from."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ..tracer.functions.creation import tensor
from ..tracer.ir.dtypes import float32
from ..tracer.tensor.context import context
from ..tracer.tensor.tensor import Tensor
from .group import Group, Groups
from .state import PRIVATE_STEP, ParameterState, State, States, took_over


def saved_form(optimizer: Any) -> dict[str, Any]:
    """What `state_dict()` gives."""
    numbers: dict[int, int] = {}
    groups, start = [], 0
    for group in optimizer.param_groups:
        for offset, param in enumerate(group["params"]):
            numbers.setdefault(id(param), start + offset)
        start += len(group["params"])
        packed = {key: option for key, option in group.items() if key != "params"}
        groups.append({**packed, "params": [numbers[id(p)] for p in group["params"]]})
    states = {(numbers[id(key)] if isinstance(key, Tensor) else key):
              {name: x for name, x in state.items() if name != PRIVATE_STEP} if isinstance(state, dict) else state
              for key, state in optimizer.state.items()}
    return {"state": states, "param_groups": groups}


def load(optimizer: Any, state_dict: dict[str, Any], counts: bool) -> None:
    """Let an optimizer take over what `state_dict()` gave; `counts` says that `step` in it is a counter of ours."""
    saved = [Group({**{k: deepcopy(v) for k, v in g.items() if k != "params"}, "params": list(g["params"])})
             for g in state_dict["param_groups"]]
    if len(saved) != len(optimizer.param_groups):
        raise ValueError("loaded state dict has a different number of parameter groups")
    if any(len(old["params"]) != len(new["params"]) for old, new in zip(optimizer.param_groups, saved, strict=True)):
        raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's "
                         "group")
    states = States()
    known: dict[Any, Tensor] = {}
    for group, new in zip(optimizer.param_groups, saved, strict=True):
        counters: dict[Any, Tensor] = {}
        for index, param in zip(new["params"], group["params"], strict=True):
            known[index] = param
            if index in state_dict["state"]:
                states[param] = _loaded_state(param, state_dict["state"][index], counters, counts)
        new["params"] = group["params"]
        if "param_names" in group:
            new.setdefault("param_names", group["param_names"])
    states.update({key: x for key, x in state_dict["state"].items() if key not in known})
    if context.trace is not None:
        optimizer.__setstate__({"state": states, "param_groups": Groups(saved)})
        return
    # What programs know stays: the groups, and the state unless it is of another form or somebody else has it.
    for group, new in zip(optimizer.param_groups, saved, strict=True):
        if list(group) != list(new):
            dict.clear(group)
        group.update({key: x for key, x in new.items() if key != "params" or "params" not in group})
    there = took_over(optimizer.state, states)
    optimizer.__setstate__({"state": optimizer.state if there else states, "param_groups": optimizer.param_groups})


def in_our_form(pickled: dict[str, Any], counts: bool) -> dict[str, Any]:
    """What torch pickles of an optimizer, in our containers."""
    states = States(pickled.get("state", {}))
    groups = Groups(pickled.get("param_groups", ()))
    for group in groups:
        counters: dict[Any, Tensor] = {}
        for param in group["params"]:
            if param in states:
                states[param] = _loaded_state(param, states[param], counters, counts)
    return {**pickled, "state": states, "param_groups": groups}


def _loaded_state(param: Tensor, saved: State, counters: dict[Any, Tensor], counts: bool) -> State:
    """A copy of a parameter's saved state; equal counters become one tensor if the optimizer `counts` by them."""
    state: State = ParameterState()
    for name, x in saved.items():
        if name == "step" and not counts:
            state[name] = x.clone() if isinstance(x, Tensor) else x
        elif name == "step":
            count = float(x)
            if (count, param._device) not in counters:
                counters[count, param._device] = tensor(count, dtype=float32, device=param._device)
            state[name] = counters[count, param._device]
        elif x is not None:
            state[name] = _loaded(param, x)
    return state


def _loaded(param: Tensor, x: Any) -> Any:
    if isinstance(x, Tensor):
        kind = param.dtype if param.dtype.is_floating_point else x.dtype
        return x.detach().to(device=param._device, dtype=kind, copy=True)
    if isinstance(x, dict):
        return {key: _loaded(param, item) for key, item in x.items()}
    return type(x)(_loaded(param, item) for item in x) if isinstance(x, (list, tuple)) else x
