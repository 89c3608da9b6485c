"""Weight normalisation by a hook: https://pytorch.org/docs/stable/generated/torch.nn.utils.weight_norm.html"""

from __future__ import annotations

from typing import Any, TypeVar

from ...tracer.functions.arithmetic import div, mul
from ...tracer.functions.matrix_norms import norm
from ...tracer.ir.told import tell
from ...tracer.tensor.context import context
from ...tracer.tensor.tensor import Tensor
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


class WeightNorm:
    """The hook that makes a module's weight from its length g and its direction v before each forward."""

    _guarded = True  # a compiled step that comes to one depends on all that it knows

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """g * v / |v|."""
        length, direction = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return mul(direction, div(length, norm_except_dim(direction, 2, self.dim)))

    def __call__(self, module: Module, inputs: Any) -> None:
        """Before forward."""
        bind(module, self.name, self.compute_weight(module))


def bind(module: Module, name: str, weight: Tensor) -> None:
    """Set an attribute before forward. A compiled step leaves its value there, as README says."""
    if context.trace is not None:
        context.trace.values_only[id(weight)] = weight
    setattr(module, name, weight)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The `pow`-norm over all dimensions but `dim`, which stay with size 1; over all for -1.

    >>> import flambeau as torch
    >>> torch.norm_except_dim(torch.tensor([[3.0, 4.0]]), 2, 0)
    tensor([[5.]])
    """
    if dim == -1:
        return norm(v, pow)
    others = [d for d in range(v.ndim) if d != dim % v.ndim]
    return norm(v, pow, others, keepdim=True) if others else v.abs()


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Part a weight into length and direction, which are trained instead of it.

    weight = weight_g * weight_v / |weight_v|

    Args: `module`, whose parameter is replaced; `name`, of the parameter; `dim`, the dimension along which each slice has a
    length of its own, by default that of the outputs, or None for one length of all.
    Returns the module. Its parameters `weight_g` (1 but in `dim`) and `weight_v` (as the weight) take the place of
    `weight`, which becomes a plain attribute that is made anew before each forward.
    Raises RuntimeError if the weight is normalised already.

    >>> import flambeau as torch
    >>> layer = torch.nn.utils.weight_norm(torch.nn.Linear(20, 40))
    >>> layer.weight_g.shape, layer.weight_v.shape
    (torch.Size([40, 1]), torch.Size([40, 20]))

    Source: Salimans, Kingma: "Weight normalization", https://arxiv.org/abs/1602.07868;
    https://pytorch.org/docs/stable/generated/torch.nn.utils.weight_norm.html
    """
    tell("`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.", FutureWarning)
    if _hook_of(module, name) is not None:
        raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    hook = WeightNorm(name, dim)
    weight = getattr(module, name)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight, 2, -1 if dim is None else dim).detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make the weight a parameter again, with the value that length and direction have given it.

    Raises ValueError if it is not normalised.

    >>> import flambeau as torch
    >>> layer = torch.nn.utils.remove_weight_norm(torch.nn.utils.weight_norm(torch.nn.Linear(2, 3)))
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'weight']
    """
    found = _hook_of(module, name)
    if found is None or module._hooks is None:
        raise ValueError(f"weight_norm of '{name}' not found in {module}")
    key, hook = found
    weight = hook.compute_weight(module).detach()
    for attribute in (name, f"{name}_g", f"{name}_v"):
        delattr(module, attribute)
    setattr(module, name, Parameter(weight))
    del module._hooks.tables["forward_pre"][key]
    return module


def _hook_of(module: Module, name: str) -> tuple[int, WeightNorm] | None:
    hooks = module._hooks.tables["forward_pre"] if module._hooks is not None else {}
    for key, hook in hooks.items():
        if isinstance(hook.call, WeightNorm) and hook.call.name == name:
            return key, hook.call
    return None
