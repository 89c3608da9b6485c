"""`GradScaler`: https://pytorch.org/docs/stable/amp.html#gradient-scaling"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from typing import Any
from weakref import WeakSet

from ..tracer.autograd.modes import no_grad
from ..tracer.backend import has_cuda
from ..tracer.functions.choosing import where
from ..tracer.functions.comparing import isfinite
from ..tracer.functions.creation import tensor
from ..tracer.ir import dtypes
from ..tracer.ir.errors import DeviceError
from ..tracer.ir.told import tell
from ..tracer.jit.hyperparameters import hyper
from ..tracer.tensor.context import outside_trace
from ..tracer.tensor.tensor import Tensor
from .group import Options
from .optimizer import Optimizer

_scaled: WeakSet[GradScaler] = WeakSet()  # those that scaled: no attribute, whose change would be another program of a step


class OptState(Enum):
    """How far a step of an optimizer has come: what `GradScaler` tells optimizers of in torch."""

    READY, UNSCALED, STEPPED = 0, 1, 2


class GradScaler:
    """Scales losses up, so that gradients in float16 do not vanish, and skips steps whose gradients overflow.

        scale = scale * backoff_factor                after a step with an inf or a NaN, which changes nothing else
        scale = scale * growth_factor                 after `growth_interval` steps in a row without

    No value is read: a step always runs, and `where` keeps what was there before if a gradient is not finite. So it may
    be part of a compiled step.

    Args: `device`, where the scale lives; the first scale and the rule above; `enabled=False` makes all methods do what
    they would without scaling. Source: https://arxiv.org/abs/1710.03740

    >>> import flambeau as torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = torch.optim.SGD([w], lr=0.5), torch.amp.GradScaler("cpu", init_scale=1024.0)
    >>> scaler.scale((w * w).sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.tolist(), scaler.get_scale()
    ([0.0], 1024.0)
    """

    _guarded = True  # a compiled step depends on all that it knows

    def __init__(self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0,
                 backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True) -> None:
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        if enabled and device == "cuda" and not has_cuda():
            tell("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.")
            enabled = False
        self._device, self._enabled = device, enabled
        self._rule = Options({"growth_factor": growth_factor, "backoff_factor": backoff_factor,
                              "growth_interval": growth_interval})
        self._first = (init_scale, 0)
        self._tensors: tuple[Tensor, Tensor] | None = None
        self._found: dict[int, Tensor] = {}  # by optimizer: whether a gradient was not finite, 0 or 1
        self._stepped: set[int] = set()
        if enabled:
            with suppress(DeviceError):  # which is told where it is used
                self._state()  # now: a step that made it would make it at each call

    def _state(self) -> tuple[Tensor, Tensor]:
        """The scale, and how many steps in a row were finite; made when first needed, outside any trace."""
        if self._tensors is None:
            with outside_trace():
                scale, count = self._first
                self._tensors = (tensor(scale, dtype=dtypes.float32, device=self._device),
                                 tensor(count, dtype=dtypes.int32, device=self._device))
        return self._tensors

    def _require_scale(self, method: str) -> None:
        if self not in _scaled:
            raise AssertionError(f"Attempted {method} but _scale is None.  This may indicate your script did not use "
                                 "scaler.scale(loss or outputs) earlier in the iteration.")

    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self._enabled

    def scale(self, outputs: Any) -> Any:
        """A tensor, or tensors in lists and tuples, times the scale."""
        if not self._enabled:
            return outputs
        _scaled.add(self)
        if isinstance(outputs, Tensor):
            return outputs * self._state()[0]
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    # --- Steps --------------------------------------------------------------------------------------------------------

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, to clip them, say, before `step`.

        RuntimeError when called twice, or after `step`, without an `update` between; ValueError for gradients in float16.
        """
        if not self._enabled:
            return
        self._require_scale("unscale_")
        if id(optimizer) in self._stepped:
            raise RuntimeError("unscale_() is being called after step().")
        if id(optimizer) in self._found:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(grad.dtype is dtypes.float16 for grad in grads):
            raise ValueError("Attempting to unscale FP16 gradients.")
        with no_grad():
            inverse = self._state()[0].double().reciprocal().float()
            found = tensor(False, device=self._device)
            for grad in grads:
                found = found | ~isfinite(grad).all()
                grad.mul_(inverse)
        self._found[id(optimizer)] = found.float()

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(*args, **kwargs)`, without effect if a gradient is not finite; unscales them if need be."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._require_scale("step")
        if id(optimizer) in self._stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        optimizer.make_state(with_gradient=True)
        with no_grad():
            state = _changing(optimizer)
            before = [x.clone() for x in state]
            result = optimizer.step(**kwargs)
            skip = self._found[id(optimizer)] > 0
            for x, old in zip(state, before, strict=True):
                x.copy_(where(skip, old, x))
        self._stepped.add(id(optimizer))
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """The scale for the next step: by the rule, or `new_scale`.

        RuntimeError if no optimizer was unscaled since the last update.
        """
        if not self._enabled:
            return
        self._require_scale("update")
        scale, count = self._state()
        with no_grad():
            if new_scale is None:
                self._follow_rule(scale, count)
            else:
                scale.fill_(new_scale)
        self._found.clear()
        self._stepped.clear()

    def _follow_rule(self, scale: Tensor, count: Tensor) -> None:
        if not self._found:
            raise AssertionError("No inf checks were recorded prior to update.")
        bad = sum(self._found.values(), start=scale * 0) > 0
        run = count + 1
        due = run == hyper(self._rule, "growth_interval")
        grown = scale * hyper(self._rule, "growth_factor")
        grown = where(due & isfinite(grown), grown, scale)
        scale.copy_(where(bad, scale * hyper(self._rule, "backoff_factor"), grown))
        count.copy_(where(bad | due, 0, run))

    # --- Looking and saving -------------------------------------------------------------------------------------------

    def get_scale(self) -> float:
        """The scale; reads its value. 1.0 when not enabled."""
        if not self._enabled:
            return 1.0
        return float(self._first[0] if self._tensors is None else self._tensors[0].item())

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        factor: float = self._rule["growth_factor"]
        return factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Change what the scale grows by; a compiled step reads it at its next call."""
        self._rule["growth_factor"] = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale shrinks by."""
        factor: float = self._rule["backoff_factor"]
        return factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Change what the scale shrinks by; a compiled step reads it at its next call."""
        self._rule["backoff_factor"] = new_factor

    def get_growth_interval(self) -> int:
        """After how many finite steps in a row the scale grows."""
        interval: int = self._rule["growth_interval"]
        return interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Change after how many finite steps the scale grows; a compiled step reads it at its next call."""
        self._rule["growth_interval"] = new_interval

    def state_dict(self) -> dict[str, Any]:
        """The scale, the rule, and how many steps were finite; empty when not enabled."""
        if not self._enabled:
            return {}
        count = self._first[1] if self._tensors is None else int(self._tensors[1].item())
        return {"scale": self.get_scale(), **self._rule, "_growth_tracker": count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave; RuntimeError if it is empty."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled instance of "
                               "GradScaler.")
        self._rule.update({name: state_dict[name] for name in self._rule})
        self._first = (state_dict["scale"], state_dict["_growth_tracker"])
        if self._tensors is not None:
            with no_grad():
                for x, number in zip(self._tensors, self._first, strict=True):
                    x.fill_(number)


def _changing(optimizer: Optimizer) -> list[Tensor]:
    """The parameters that a step changes, and the optimizer's state."""
    params = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    kept = [x for state in optimizer.state.values() if isinstance(state, dict) for x in state.values()]
    return list(dict.fromkeys([*params, *(x for x in kept if isinstance(x, Tensor))]))
