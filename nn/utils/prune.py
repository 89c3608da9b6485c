"""Pruning: parameters of which a mask leaves a part: https://pytorch.org/docs/stable/nn.html#utilities"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from ...tracer.functions.arithmetic import mul
from ...tracer.functions.joining import cat
from ...tracer.functions.matrix_norms import norm
from ...tracer.functions.random import rand_like
from ...tracer.functions.scattering import scatter
from ...tracer.functions.sorting import topk
from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor
from ..module import Module
from ..parameter import Parameter
from .weight_norm_hook import bind


def _hooks(module: Module) -> dict[int, Any]:
    return {} if module._hooks is None else {key: h.call for key, h in module._hooks.tables["forward_pre"].items()}


class BasePruningMethod(ABC):
    """A way to choose what of a parameter stays: the hook that multiplies it by a mask before each forward.

    A subclass has a `PRUNING_TYPE` ("unstructured", "structured" or "global") and defines `compute_mask(t, default_mask)`,
    which gives a mask of ones and zeros in the shape of `t`. `apply(module, name, *args)` prunes: the parameter becomes
    `name_orig`, the mask the buffer `name_mask`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.utils.prune.BasePruningMethod.html
    """

    _guarded = True  # a compiled step that comes to one depends on all that it knows

    PRUNING_TYPE = "unstructured"
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        """Before forward."""
        bind(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of a tensor of which a part may be pruned already."""

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter with zeros where it is pruned."""
        mask, original = (getattr(module, f"{self._tensor_name}_{part}") for part in ("mask", "orig"))
        return mul(mask.to(original.dtype), original)

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any) -> Any:
        """Prune a parameter, or what an earlier method has left of it; the method that does so is returned."""
        old = [(key, hook) for key, hook in _hooks(module).items()
               if isinstance(hook, BasePruningMethod) and hook._tensor_name == name]
        if len(old) > 1:
            raise AssertionError(f"Avoid adding multiple pruning hooks to the same tensor {name} of module {module}. Use a "
                                 "PruningContainer.")
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        if old and module._hooks is not None:
            del module._hooks.tables["forward_pre"][old[0][0]]
            method = _joined(old[0][1], method)
        method._prune_in(module, name, importance_scores, bool(old))
        module.register_forward_pre_hook(method)
        return method

    def _prune_in(self, module: Module, name: str, scores: Tensor | None, again: bool) -> None:
        original = getattr(module, name)
        scores = original if scores is None else scores
        if scores.shape != original.shape:
            raise AssertionError(f"importance_scores should have the same shape as parameter                 {name} of {module}")
        if again:
            default = getattr(module, f"{name}_mask").detach().clone()
        else:
            module.register_parameter(f"{name}_orig", _take(module, name))
            default = original.new_ones(original.shape).detach()
        mask = self.compute_mask(scores.detach(), default_mask=default)
        if again:
            module._buffers[f"{name}_mask"] = mask
        else:
            module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, self.apply_mask(module))

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A tensor pruned, without a module."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        default = t.new_ones(t.shape) if default_mask is None else default_mask
        return mul(t, self.compute_mask(scores, default_mask=default))

    def remove(self, module: Module) -> None:
        """Make the parameter an ordinary one, with zeros where it was pruned."""
        name = self._tensor_name
        pruned, original = self.apply_mask(module), getattr(module, f"{name}_orig")
        delattr(module, name)
        original.data = pruned.detach()
        for part in ("orig", "mask"):
            delattr(module, f"{name}_{part}")
        setattr(module, name, original)


def _take(module: Module, name: str) -> Parameter:
    """The parameter, which is no longer one of the module's."""
    found = module._parameters[name]
    delattr(module, name)
    return found  # type: ignore[return-value]


def _joined(old: BasePruningMethod, new: BasePruningMethod) -> PruningContainer:
    if isinstance(old, PruningContainer):
        old.add_pruning_method(new)
        return old
    made = PruningContainer(old)
    made.add_pruning_method(new)
    return made


class PruningContainer(BasePruningMethod):
    """Several methods one after the other, each on what the ones before have left. TypeError for methods of another name."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        methods = args[0] if len(args) == 1 and isinstance(args[0], Iterable) else args
        for i, method in enumerate(methods):
            if i == 0 and hasattr(method, "_tensor_name"):
                self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Add one at the end."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None:
            if hasattr(self, "_tensor_name") and self._tensor_name != method._tensor_name:
                raise ValueError("Can only add pruning methods acting on the parameter named "
                                 f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'")
            self._pruning_methods = (*self._pruning_methods, method)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """What the last method leaves of the part that is not yet pruned."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(t.dtype)
        if method.PRUNING_TYPE == "unstructured":
            kept = mask == 1
            flat = kept.flatten().nonzero().flatten()
            part = method.compute_mask(t.flatten()[flat], default_mask=mask.flatten()[flat])
            return scatter(mask.flatten(), 0, flat, part.to(mask.dtype)).reshape(mask.shape)
        if method.PRUNING_TYPE == "structured":
            dim = method.dim % t.ndim  # type: ignore[attr-defined]
            rest = tuple(d for d in range(t.ndim) if d != dim)
            there = (mask.sum(rest) != 0).nonzero().flatten()
            part = method.compute_mask(t.index_select(dim, there), default_mask=mask.index_select(dim, there))
            return mask.index_copy(dim, there, part.to(mask.dtype))
        if method.PRUNING_TYPE == "global":
            return mask * method.compute_mask(t, default_mask)
        raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")


# --- Methods ----------------------------------------------------------------------------------------------------------


def _check_amount(amount: Any) -> None:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (isinstance(amount, float) and amount > 1.0):
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")


def _count(amount: Any, size: int) -> int:
    """How many are pruned; ValueError for more than there are."""
    if isinstance(amount, int):
        if amount > size:
            raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={size}")
        return amount
    return round(amount * size)


def _without(mask: Tensor, places: Tensor) -> Tensor:
    return scatter(mask.flatten(), 0, places, 0.0).reshape(mask.shape)


class _Amount(BasePruningMethod):
    def __init__(self, amount: Any) -> None:
        _check_amount(amount)
        self.amount = amount


class Identity(BasePruningMethod):
    """Prunes nothing, and makes the mask."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask as it is."""
        return default_mask


class RandomUnstructured(_Amount):
    """Prunes elements at random: `amount` of them, or that share of all."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros at random places."""
        count = _count(self.amount, t.numel())
        if not count:
            return default_mask.clone()
        return _without(default_mask, topk(rand_like(t, dtype=dtypes.float32).flatten(), count).indices)


class L1Unstructured(_Amount):
    """Prunes the smallest elements: `amount` of them, or that share of all."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros where t is smallest."""
        count = _count(self.amount, t.numel())
        return _without(default_mask, topk(t.abs().flatten(), count, largest=False).indices) if count else default_mask.clone()

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any, importance_scores: Tensor | None = None) -> Any:  # type: ignore[override]
        """Prune a parameter by its own size, or that of scores."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class _Structured(_Amount):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _channels(self, t: Tensor) -> int:
        if t.ndim <= 1:
            raise ValueError("Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                             f"{t.shape} with {t.ndim} dims")
        if self.dim >= t.ndim or self.dim < -t.ndim:
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        return int(t.shape[self.dim])

    def _cut(self, scores: Tensor, t: Tensor, default_mask: Tensor, count: int) -> Tensor:
        """Whole channels, those of the smallest scores, pruned."""
        if not count:
            return default_mask
        kept = scatter(scores.new_ones(scores.shape), 0, topk(scores, count, largest=False).indices, 0.0)
        shape = [-1 if d == self.dim % t.ndim else 1 for d in range(t.ndim)]
        return mul(default_mask, kept.reshape(shape).to(default_mask.dtype))


class RandomStructured(_Structured):
    """Prunes whole channels at random: `amount` of those along `dim`, or that share of all."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros in random channels."""
        channels = self._channels(t)
        return self._cut(rand_like(t.flatten()[:channels], dtype=dtypes.float32), t, default_mask, _count(self.amount, channels))


class LnStructured(_Structured):
    """Prunes the channels of the smallest n-norm: `amount` of those along `dim`, or that share of all."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Zeros in the channels of the smallest norm."""
        channels = self._channels(t)
        rest = [d for d in range(t.ndim) if d != self.dim % t.ndim]
        return self._cut(norm(t, self.n, rest), t, default_mask, _count(self.amount, channels))

    @classmethod
    def apply(cls, module: Module, name: str, amount: Any, n: Any, dim: int,  # type: ignore[override]
              importance_scores: Tensor | None = None) -> Any:
        """Prune channels of a parameter by their norm, or that of scores."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Prunes where a mask is zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """What both masks leave."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}")
        return mul(default_mask, self.mask.to(default_mask.dtype))


# --- Functions --------------------------------------------------------------------------------------------------------


def identity(module: Module, name: str) -> Module:
    """Prune nothing of a parameter, and make its mask."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """Prune `amount` elements of a parameter, or that share of all, at random."""
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module: Module, name: str, amount: Any, importance_scores: Tensor | None = None) -> Module:
    """Prune the `amount` smallest elements of a parameter, or that share of all, by their size or that of scores.

    >>> import flambeau as torch
    >>> layer = torch.nn.utils.prune.l1_unstructured(torch.nn.Linear(2, 3), "weight", amount=4)
    >>> int(layer.weight_mask.sum()), sorted(layer.state_dict())
    (2, ['bias', 'weight_mask', 'weight_orig'])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.utils.prune.l1_unstructured.html
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """Prune `amount` channels of a parameter along `dim`, or that share of all, at random."""
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Tensor | None = None) -> Module:
    """Prune the `amount` channels of a parameter along `dim`, or that share of all, of the smallest n-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune a parameter where a mask is zero."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any) -> None:
    """Prune several parameters (pairs of module and name) as if they were one, so that some may lose more than others.

    Raises TypeError for methods that are not unstructured.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    parameters = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    flat = [scores.get((m, name), getattr(m, name)).detach().flatten() for m, name in parameters]
    masks = [getattr(m, f"{name}_mask", getattr(m, name).new_ones(getattr(m, name).shape)).detach().flatten()
             for m, name in parameters]
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError('Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
                        f"{pruning_method} of type {method.PRUNING_TYPE}")
    container.add_pruning_method(method)
    found = container.compute_mask(cat(flat), cat(masks))
    sizes = [math.prod(getattr(m, name).shape) for m, name in parameters]
    for (module, name), mask in zip(parameters, found.split(sizes)):
        custom_from_mask(module, name, mask.reshape(getattr(module, name).shape))


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter an ordinary one, with zeros where it was pruned. ValueError if it is not pruned."""
    for key, hook in _hooks(module).items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name and module._hooks is not None:
            hook.remove(module)
            del module._hooks.tables["forward_pre"][key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module: Module) -> bool:
    """Whether a parameter in the tree of modules is pruned."""
    return any(isinstance(hook, BasePruningMethod) for part in module.modules() for hook in _hooks(part).values())
