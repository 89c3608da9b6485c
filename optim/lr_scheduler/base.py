"""`LRScheduler`, and what all schedules share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...tracer.guards.identity import interchangeable
from ...tracer.ir.told import tell
from ...tracer.tensor.tensor import Tensor
from ..group import Group
from ..optimizer import Optimizer

Rate = Any  # a float, or a tensor of one element
EPOCH_IS_DEPRECATED = ("The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
                       "Please use `scheduler.step()` to step the scheduler. During the deprecation, if epoch is different "
                       "from None, the closed form is used instead of the new chainable form, where available. Please open "
                       "an issue if you are unable to replicate your use case: "
                       "https://github.com/pytorch/pytorch/issues/new/choose.")
STEPPED_TOO_EARLY = ("Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, you should "
                     "call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  Failure to do this "
                     "will result in PyTorch skipping the first value of the learning rate schedule. See more details at "
                     "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate")
RATE_ASKED_OUTSIDE = "To get the last learning rate computed by the scheduler, please use `get_last_lr()`."
NOT_RESUMABLE = ("param 'initial_lr' is not specified in param_groups[{}] when resuming scheduler with last_epoch >= 0.\n"
                 "This typically happens when:\n"
                 "1. You're trying to resume training from a checkpoint but haven't properly loaded the optimizer state\n"
                 "2. You're using last_epoch >= 0 for a fresh training run (not recommended)")


def copied(rate: Rate) -> Rate:
    return rate.detach().clone() if isinstance(rate, Tensor) else rate


def set_rate(group: Group, rate: Rate) -> None:
    """Write a group's rate; a tensor keeps its identity."""
    if isinstance(group["lr"], Tensor):
        group["lr"].detach().fill_(float(rate))
    else:
        group["lr"] = float(rate) if isinstance(rate, Tensor) else rate


def per_group(name: str, option: Any, optimizer: Optimizer) -> list[Any]:
    """An option given once, or for each group."""
    count = len(optimizer.param_groups)
    if not isinstance(option, (list, tuple)):
        return [option] * count
    if len(option) != count:
        raise ValueError(f"{name} must have the same length as optimizer.param_groups. {name} has {len(option)} "
                         f"values, param_groups has {count}.")
    return list(option)


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def take_over(scheduler: Any, state_dict: dict[str, Any]) -> None:
    """Give a schedule these attributes. A list stays, which compiled steps know, and gets what is in the other."""
    own = scheduler.__dict__
    for name, x in state_dict.items():
        if isinstance(x, (list, dict)) and _alike(own.get(name), x):
            continue
        if type(x) is list and type(own.get(name)) is list:
            own[name][:] = x
        else:
            own[name] = list(x) if type(x) is list else x


def _alike(x: Any, y: Any) -> bool:
    """Whether two attributes are equal throughout."""
    if type(x) is not type(y):
        return False
    if isinstance(x, dict):
        return list(x) == list(y) and all(_alike(x[key], y[key]) for key in x)
    if isinstance(x, (list, tuple)):
        return len(x) == len(y) and all(map(_alike, x, y))
    return interchangeable(x, y)


class LRScheduler:
    """Base class: a subclass gives `get_lr`, the rates of all groups at `last_epoch`.

    Args: `optimizer`; `last_epoch`, the last epoch done, when a schedule is resumed (-1: a new one).
    """

    _last_lr: list[Rate]
    _is_initial = False
    _get_lr_called_within_step = False
    _guarded = True  # a compiled step that reads a schedule depends on all that it knows: another rate, another program

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(NOT_RESUMABLE.format(number))
        self.base_lrs = [copied(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        if not optimizer._is_scheduled:  # torch counts steps from the first schedule on
            optimizer._is_scheduled, optimizer._opt_called = True, False
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Rate]:
        """The rates at `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} requires get_lr to be defined")

    def get_last_lr(self) -> list[Rate]:
        """The rates last set, one per group."""
        return list(self._last_lr)

    def _keep_rates(self, rates: list[Rate]) -> None:
        """These are the last ones. The list stays: a compiled step that steps this must not meet another one at each call."""
        if "_last_lr" in self.__dict__:
            self._last_lr[:] = rates
        else:
            self._last_lr = rates

    def step(self, epoch: int | None = None) -> None:
        """Set the next epoch's rates. Call it after `optimizer.step()`, in a compiled step or after it."""
        if not self.optimizer._opt_called and self._step_count == 1:
            tell(STEPPED_TOO_EARLY)
        if epoch is not None:
            tell(EPOCH_IS_DEPRECATED)
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = None if epoch is None else self._get_closed_form_lr()
        self._set_rates(self._asked_rates() if closed is None else closed)

    def _asked_rates(self) -> list[Rate]:
        """`get_lr()`, which may tell that a step asks it."""
        self._get_lr_called_within_step = True
        try:
            return self.get_lr()
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        """torch's warning for who calls `get_lr` to see a rate."""
        if not self._get_lr_called_within_step:
            tell(RATE_ASKED_OUTSIDE)

    def _get_closed_form_lr(self) -> list[Rate] | None:
        """The rates at `last_epoch` from the first ones alone; None where there is no such formula."""
        return None

    def _set_rates(self, rates: Iterable[Rate]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_rate(group, rate)
        self._keep_rates(self._rates())

    def _rates(self, factor: float = 1.0) -> list[Rate]:
        """What the groups have now, times `factor`."""
        rates = [copied(group["lr"]) for group in self.optimizer.param_groups]
        return rates if factor == 1.0 else [rate * factor for rate in rates]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: list(x) if type(x) is list else x for name, x in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave."""
        take_over(self, state_dict)
