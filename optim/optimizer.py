"""`Optimizer`: parameter groups, state and steps as torch's: https://pytorch.org/docs/stable/optim.html

A subclass is the text-book update and nothing else: `init_single` gives a parameter's first state, `scalars` the
numbers that all parameters share, `apply_single` the new parameter.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, ClassVar

from ..tracer.autograd.hooks import RemovableHandle
from ..tracer.autograd.modes import enable_grad, no_grad, set_grad_enabled
from ..tracer.functions.complex_numbers import view_as_complex, view_as_real
from ..tracer.functions.creation import tensor, zeros
from ..tracer.functions.methods import assign
from ..tracer.guards.identity import Identity
from ..tracer.ir.dtypes import float32
from ..tracer.ir.errors import TraceError
from ..tracer.ir.source import describe, user_position
from ..tracer.ir.told import tell
from ..tracer.jit.hyperparameters import static
from ..tracer.tensor.context import context, outside_trace
from ..tracer.tensor.epochs import structure_epoch
from ..tracer.tensor.tensor import Tensor
from .group import Group, Groups
from .hooks import (
    Hooked,
    hooked,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from .loading import in_our_form, load, saved_form
from .shared import Scalars
from .state import PRIVATE_STEP, ParameterState, State, States

__all__ = ["Optimizer", "ParamsT", "RemovableHandle", "State", "register_optimizer_step_post_hook",
           "register_optimizer_step_pre_hook", "required"]

ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _Required:
    """The default of an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


class Optimizer(Hooked):
    """Base class of all optimizers.

    Args: `params`, an iterable of tensors, of (name, tensor) pairs, or of dicts with a 'params' entry and options of
    that group; `defaults`, the options of groups that do not give them.
    Attributes: `param_groups`, dicts that may be edited between steps and in them (a compiled step reads and sets options
    at each call);
    `state`, a dict from parameter to its state. The `step` counter is one tensor shared by the parameters of a group
    that count alike.

    A subclass defines `init_single` and `apply_single`, `scalars` for the numbers they share; or its own `step`.
    """

    counter: ClassVar[str | None] = "step"
    _is_scheduled = False

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if context.trace is not None:
            raise TraceError(f"{type(self).__name__}(...) requires to be made outside of jit, got one at "
                             f"{describe(user_position(2))} while a function is traced: what it keeps belongs to parameters "
                             "from outside. Make it before the call of the jitted step; for an inner loop on tensors of the "
                             "step itself write out the update, or call it without jit.")
        if isinstance(params, Tensor):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                            f"{params.type()}")
        self.defaults = defaults
        self.state = States()
        self.param_groups: list[Group] = Groups()
        self._reset_hooks()
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            type.__setattr__(cls, "step", hooked(cls.__dict__["step"]))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("param_groups", "state"):
            structure_epoch[0] += 1
            value = Groups(value) if name == "param_groups" and not isinstance(value, Groups) else value
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state if isinstance(state.get("param_groups"), Groups) else in_our_form(state, self._counts()))
        structure_epoch[0] += 1
        if "_pre_hooks" not in self.__dict__:
            self._reset_hooks()

    def __repr__(self) -> str:
        text = ""
        for number, group in enumerate(self.param_groups):
            options = "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
            text += f"\nParameter Group {number}\n{options}"
        return f"{type(self).__name__} ({text})"

    # --- What a subclass defines --------------------------------------------------------------------------------------

    def init_single(self, param: Tensor, group: Group) -> State:
        """The first state of a parameter, tensor by name; nothing if it needs none."""
        return {}

    def scalars(self, group: Group, step: Tensor | None) -> dict[str, Any]:
        """What all parameters of a group share in a step: numbers or 0-d tensors by name. `step` counts from 1."""
        return {}

    def apply_single(self, param: Tensor, grad: Tensor, state: State, group: Group, c: Any) -> Tensor:
        """The new parameter; `state` holds the old state and is rebound to the new. `c` holds the shared numbers.

        All operands have one dtype, at least float32; what is returned is rounded to the parameter's.
        """
        raise NotImplementedError(f"{type(self).__name__} requires either apply_single or step to be defined")

    def is_new(self, state: State) -> bool:
        """Whether a parameter with this state has not taken a step yet."""
        return not state

    def counter_of(self, group: Group) -> str | None:
        """The name of the state entry that counts steps, or None."""
        return self.counter

    # --- Groups -------------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, with options of its own or else the defaults.

        Raises TypeError for what is no tensor, ValueError for a non-leaf, for names on only some of the parameters and
        for a parameter that is in another group.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = Group(param_group)
        _split_names(group)
        for param in group["params"]:
            _check_parameter(param, bool(self.defaults.get("differentiable")))
        for name, default in self.defaults.items():
            if default is required and name not in group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            group.setdefault(name, default)
        self._check_distinct(group)
        self.param_groups.append(group)

    def _check_distinct(self, added: Group) -> None:
        params = {id(p) for p in added["params"]}
        if len(params) != len(added["params"]):
            tell("optimizer contains a parameter group with duplicate parameters; in future, this will cause "
                 "an error; see github.com/pytorch/pytorch/issues/40967 for more information")
        for group in self.param_groups:
            if ("param_names" in added) != ("param_names" in group):
                kind = "with names" if "param_names" in added else "without names"
                raise ValueError("all optimizer param groups should be with/without names. cannot add param group "
                                 f"{kind} to the optimizer")
            if not params.isdisjoint(map(id, group["params"])):
                raise ValueError("some parameters appear in more than one parameter group")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients: None by default, else zeros."""
        for param in chain.from_iterable(group["params"] for group in self.param_groups):
            if set_to_none:
                param.grad = None  # whatever was there: a step that begins so does not depend on it
            elif (grad := param.grad) is not None:
                with no_grad():
                    (grad.detach_() if grad.requires_grad else grad).zero_()

    # --- What a compiled step depends on ------------------------------------------------------------------------------

    _grows = True  # the state of parameters is made in the first step, and belongs to every trace of it

    def _snapshot(self, read: Callable[[type], frozenset[str] | None] | None = None) -> dict[str, Any]:
        """Groups, parameters and state tensors that a trace of a step took for given, by path.

        `read(class)` are the attributes that it reads, or None for all: state may be none of them.
        """
        found: dict[str, Any] = {"hooks": self._hook_keys()}
        for i, group in enumerate(self.param_groups):
            found[f"param_groups[{i}]"] = Identity(group)
            found |= {f"param_groups[{i}]['params'][{j}]": Identity(p) for j, p in enumerate(group["params"])}
        names = None if read is None else read(type(self))
        if names is None or "state" in names:
            found |= {f"state[{i}][{name!r}]": (Identity(param), Identity(x._storage))
                      for i, (param, kept) in enumerate(self.state.items()) if isinstance(kept, dict)
                      for name, x in kept.items() if isinstance(x, Tensor)}
        return found

    def _labels(self, known: dict[Any, str]) -> dict[Any, str]:
        """Names of the state's storages, after the parameters' in `known`."""
        return {x._storage: f"{type(self).__name__}.{name}[{known.get(param._storage, i)}]"
                for i, (param, kept) in enumerate(self.state.items()) if isinstance(kept, dict)
                for name, x in kept.items() if isinstance(x, Tensor)}

    def _parts(self) -> Iterator[Any]:
        """An optimizer has no parts."""
        return iter(())

    # --- Steps --------------------------------------------------------------------------------------------------------

    @hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient. `closure` recomputes the loss, which is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with set_grad_enabled(bool(self.defaults.get("differentiable"))):
            sharing = self._sharing()
            for group in self.param_groups:
                self._update_group(group, sharing)
        return loss

    def _update_group(self, group: Group, sharing: Counter[int]) -> None:
        found = ((param, param.grad) for param in group["params"])
        live = [(param, grad) for param, grad in found if grad is not None]
        name = self.counter_of(group)
        self._make_now([param for param, _ in live], group, sharing)
        shared: dict[int, Scalars] = {}
        for param, grad in live:
            step = None if name is None else self.state[param][name]
            if id(step) not in shared:
                shared[id(step)] = Scalars(self.scalars(group, None if step is None else step.add_(1)))
            self._update(param, grad, group, shared[id(step)])

    def make_state(self, with_gradient: bool = False) -> None:
        """Make the state of all parameters, or of those that have a gradient, now rather than in their first step."""
        for group in self.param_groups:
            params = [p for p in group["params"] if not with_gradient or p.grad is not None]
            self._make_now(params, group, self._sharing())

    def _make_now(self, params: list[Tensor], group: Group, sharing: Counter[int]) -> None:
        """Make what is missing for real, also in a trace: what other code of the trace does to state is another matter."""
        with no_grad(), outside_trace() as trace:
            if trace is None:
                self._make_states(params, group, sharing)
                return
            before = {param: dict(self.state[param]) if param in self.state else None for param in params}
            self._make_states(params, group, sharing)
            fresh = {param: before[param] for param in params if self.state.get(param, {}).keys() != (before[param] or {}).keys()}
            trace.made.append(partial(self._unmake, fresh))
            trace.adopt(self.state, [param for param, old in before.items() if old is None and param in self.state])
            for param, old in before.items():
                entry = self.state.get(param, {})
                trace.adopt(entry, [name for name, x in entry.items() if old is None or x is not old.get(name)])

    def _unmake(self, made: dict[Tensor, State | None]) -> None:
        """Take back what was made for parameters, which had this before."""
        for param, before in made.items():
            if before is None:
                self.state.pop(param, None)
            elif param in self.state:
                for name in self.state[param].keys() - before.keys():
                    del self.state[param][name]

    def _sharing(self) -> Counter[int]:
        """How many parameters each counter counts for."""
        return Counter(id(state[name]) for state in self.state.values() for name in ("step", PRIVATE_STEP)
                       if name in state)

    def _make_states(self, params: list[Tensor], group: Group, sharing: Counter[int]) -> None:
        for param in params:
            if self.is_new(self.state.get(param) or {}):
                self._make_state(param, group)
        name = self.counter_of(group)
        if name is not None:
            self._make_counters(params, name, sharing)

    def _make_state(self, param: Tensor, group: Group) -> None:
        """First state, at a parameter's first step."""
        made = self.init_single(param, group)
        name = self.counter_of(group)
        if name is not None:
            made = {name: None, **made}
        if made and self.state.get(param):
            self.state[param].update(made)
        elif made:
            self.state[param] = ParameterState(made)

    def _make_counters(self, params: list[Tensor], name: str, sharing: Counter[int]) -> None:
        """Counters for new parameters; and new ones for those that stop counting alike with the others of theirs."""
        fresh: dict[Any, Tensor] = {}
        here = Counter(id(self.state[param].get(name)) for param in params)
        for param in params:
            state = self.state[param]
            step = state[name] if name != PRIVATE_STEP else state.get(name, _STARTED)
            if not isinstance(step, Tensor):
                key: Any = (step, param._device)
                if key not in fresh:
                    fresh[key] = zeros((), dtype=float32, device=param._device) if step is None else tensor(
                        float(step), dtype=float32, device=param._device)
            elif here[id(step)] < sharing[id(step)]:
                key = id(step)
                if key not in fresh:
                    fresh[key] = step.clone()
            else:
                continue
            state[name] = fresh[key]

    def _update(self, param: Tensor, grad: Tensor, group: Group, shared: Scalars) -> None:
        """One parameter's step, computed in at least float32, complex numbers as pairs, and written in place."""
        kept = self.state.get(param, {})
        old = {name: _working(x) if isinstance(x, Tensor) else x for name, x in kept.items()}
        new = dict(old)
        working = _working(param)
        gradient = _working(grad)
        if "maximize" in group and static(group, "maximize"):
            gradient = -gradient
        result = self.apply_single(working, gradient, new, group, shared.like(working, param._type.dtype))
        _store(param, result)
        for name, x in new.items():
            if x is not old[name]:
                if isinstance(x, Tensor):
                    _store(kept[name], x)
                else:
                    kept[name] = x

    def _counts(self) -> bool:
        """Whether `step` in the state is a counter of ours; a user's own is what that makes of it."""
        return type(self).apply_single is not Optimizer.apply_single and self.counter == "step"

    # --- Saving -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{'state': {index: state}, 'param_groups': [...]} with parameters by their index, as torch's."""
        for before in list(self._saving_hooks.values()):
            before(self)
        saved = saved_form(self)
        for after in list(self._saved_hooks.values()):
            changed = after(self, saved)
            saved = saved if changed is None else changed
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave, copied, and cast to the parameters' dtypes and devices.

        Raises ValueError if the groups differ in number or in size.
        """
        state_dict = state_dict.copy()
        for before in list(self._loading_hooks.values()):
            changed = before(self, state_dict)
            state_dict = state_dict if changed is None else changed
        load(self, state_dict, self._counts())
        for after in list(self._loaded_hooks.values()):
            after(self)


_STARTED = 1.0  # the private counter of a parameter that has taken steps already


def _split_names(group: Group) -> None:
    """Move the names of (name, tensor) pairs into 'param_names'."""
    names = [p[0] for p in group["params"] if isinstance(p, tuple)]
    if names:
        if len(names) != len(group["params"]):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        group["param_names"] = names
        group["params"] = [p[1] for p in group["params"]]


def _use_grad_for_differentiable(func: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` in which gradients are recorded only for an optimizer that is `differentiable`."""
    @functools.wraps(func)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        with set_grad_enabled(bool(self.defaults.get("differentiable"))):
            return func(self, *args, **kwargs)

    return step


def _default_to_fused_or_foreach(params: Any, differentiable: bool, use_fused: bool = False) -> tuple[bool, bool]:
    """Neither: XLA fuses the loop over the parameters."""
    return False, False


def _get_value(x: Any) -> Any:
    """A tensor's number; the tensor itself where a program is recorded, as torch does where it compiles."""
    return x.item() if isinstance(x, Tensor) and context.trace is None else x


def _check_parameter(param: Any, is_differentiable: bool) -> None:
    if not isinstance(param, Tensor):
        raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}")
    if not (is_differentiable or param.is_leaf or param._retains_grad):
        raise ValueError("can't optimize a non-leaf Tensor")


def _working(x: Tensor) -> Tensor:
    """A tensor as it is computed with: short floats as float32, complex numbers as pairs."""
    kind = x._type.dtype
    if kind.is_complex:
        return view_as_real(x)
    return x.to(float32) if kind.is_floating_point and kind.itemsize < 4 else x


def _store(target: Tensor, result: Tensor) -> None:
    assign(target, view_as_complex(result) if target._type.dtype.is_complex else result)
