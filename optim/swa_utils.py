"""Averages of weights over a training: https://pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from ..nn.module import Module
from ..nn.normalization import _BatchNorm
from ..tracer.autograd.modes import no_grad
from ..tracer.functions.choosing import where
from ..tracer.functions.creation import tensor
from ..tracer.functions.foreach import FOREACH
from ..tracer.ir.dtypes import int64
from ..tracer.tensor.tensor import Tensor
from .lr_scheduler.base import LRScheduler, Rate, per_group
from .optimizer import Optimizer

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
           "update_bn"]

_lerp = FOREACH["_foreach_lerp_"]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """A function that moves lists of averages in place: a = decay * a + (1 - decay) * p.

    Raises ValueError for a decay outside [0, 1].

    >>> import flambeau as torch
    >>> averages = [torch.ones(2)]
    >>> torch.optim.swa_utils.get_ema_multi_avg_fn(0.75)(averages, [torch.zeros(2)], 1)
    >>> averages
    [tensor([0.7500, 0.7500])]
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(averages: list[Tensor], params: list[Tensor], num_averaged: Any) -> None:
        if averages[0].dtype.is_inexact:
            _lerp(averages, params, 1 - decay)
        else:
            for average, param in zip(averages, params, strict=True):
                average.copy_(average * decay + param * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """A function that moves lists of averages in place: a = a + (p - a) / (n + 1)."""

    @no_grad()
    def swa_update(averages: list[Tensor], params: list[Tensor], num_averaged: Any) -> None:
        for average, param in zip(averages, params, strict=True):
            average.copy_(average + (param - average) / (num_averaged + 1))  # whole numbers are cut off

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Tensor]:
    """A function of an average and a parameter: decay * a + (1 - decay) * p. ValueError for a decay outside [0, 1]."""
    _check_decay(decay)

    @no_grad()
    def ema_update(average: Tensor, param: Tensor, num_averaged: Any) -> Tensor:
        return decay * average + (1 - decay) * param

    return ema_update


def get_swa_avg_fn() -> Callable[..., Tensor]:
    """A function of an average and a parameter: a + (p - a) / (n + 1)."""

    @no_grad()
    def swa_update(average: Tensor, param: Tensor, num_averaged: Any) -> Tensor:
        return average + (param - average) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of what the model's were at each `update_parameters`.

    The first update copies, later ones average by `avg_fn(average, param, n)`, which returns, or by
    `multi_avg_fn(averages, params, n)`, which writes; the equal mean by default. No value is read, so an update may be
    part of a compiled step.

    Args: `model`; `device`, where the averages live; `use_buffers`, to average these too rather than copy them.
    Raises AssertionError for both functions. Source: https://arxiv.org/abs/1803.05407;
    https://pytorch.org/docs/stable/generated/torch.optim.swa_utils.AveragedModel.html

    >>> import flambeau as torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> averaged = torch.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = torch.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item(), averaged.n_averaged
    (3.0, tensor(3))
    """

    n_averaged: Tensor

    def __init__(self, model: Module, device: Any = None, avg_fn: Callable[..., Tensor] | None = None,
                 multi_avg_fn: Callable[..., None] | None = None, use_buffers: bool = False) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's present parameters into the averages."""
        tensors = (_tensors(each, self.use_buffers) for each in (self.module, model))
        pairs = [(average.detach(), param.detach().to(average.device)) for average, param in zip(*tensors, strict=True)]
        if self.avg_fn is not None:
            for average, param in pairs:
                self._set(average, param, self.avg_fn(average, param, self.n_averaged.to(average.device)))
        else:
            self._update_lists(pairs)
        if not self.use_buffers:
            for average, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
                average.detach().copy_(buffer.detach().to(average.device))
        self.n_averaged += 1

    def _update_lists(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        """The function of lists, once for each device and dtype."""
        update = self.multi_avg_fn or get_swa_multi_avg_fn()
        kinds: dict[Any, list[tuple[Tensor, Tensor]]] = {}
        for pair in pairs:
            kinds.setdefault((pair[0].device, pair[0].dtype), []).append(pair)
        for (device, _), alike in kinds.items():
            averages, params = [average for average, _ in alike], [param for _, param in alike]
            update(averages, params, self.n_averaged.to(device))
            for average, param in alike:
                self._set(average, param, average)

    def _set(self, average: Tensor, param: Tensor, result: Tensor) -> None:
        """The first time a copy, later the result."""
        average.copy_(where((self.n_averaged == 0).to(average.device), param.to(result.dtype), result))


def _tensors(model: Module, with_buffers: bool) -> Iterable[Tensor]:
    return chain(model.parameters(), model.buffers()) if with_buffers else model.parameters()


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch norms anew, as means over the batches of `loader`.

    Args: batches are tensors, or lists and tuples that begin with one; `device`, where they are moved to.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    was_training = model.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    model.train()
    for batch in loader:
        given = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(given if device is None else given.to(device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """A rate that goes from what it is to `swa_lr` in `anneal_epochs`, by a cosine or a line, and stays there.

    >>> import flambeau as torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = torch.optim.swa_utils.SWALR(optimizer, 0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(3):
    ...     optimizer.step(); schedule.step(); print(schedule.get_last_lr())
    [0.75]
    [0.5]
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, swa_lr: float | list[float], anneal_epochs: int = 10,
                 anneal_strategy: str = "cos", last_epoch: int = -1) -> None:
        for rate, group in zip(per_group("swa_lr", swa_lr, optimizer), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy

    @property
    def anneal_func(self) -> Callable[[float], float]:
        """From the part of the time that is over to the part of the way that is done."""
        return self._cosine_anneal if self._anneal_strategy == "cos" else self._linear_anneal

    @staticmethod
    def _linear_anneal(t: float) -> float:
        return t

    @staticmethod
    def _cosine_anneal(t: float) -> float:
        return (1 - math.cos(math.pi * t)) / 2

    @staticmethod
    def _get_initial_lr(lr: Rate, swa_lr: Rate, alpha: float) -> Rate:
        """The rate before annealing, computed back."""
        return swa_lr if alpha == 1 else (lr - alpha * swa_lr) / (1 - alpha)

    def _done(self, step: int) -> float:
        """How far the rate has come, from 0 to 1."""
        return self.anneal_func(max(0, min(1, step / max(1, self.anneal_epochs))))

    def get_lr(self) -> list[Rate]:
        """The rate before annealing, which is computed back, and swa_lr, mixed."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._done(step - 1), self._done(step)
        rates = []
        for group, rate in zip(self.optimizer.param_groups, self._rates(), strict=True):
            final = group["swa_lr"]
            first = self._get_initial_lr(rate, final, before)
            rates.append(final * now + first * (1 - now))
        return rates
