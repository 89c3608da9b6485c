"""Spectral normalisation by a hook: https://pytorch.org/docs/stable/generated/torch.nn.utils.spectral_norm.html"""

from __future__ import annotations

from typing import Any, TypeVar

from ...tracer.autograd.modes import no_grad
from ...tracer.functions.arithmetic import div
from ...tracer.functions.linear import dot, mv
from ...tracer.tensor.tensor import Tensor
from .. import functional as F
from ..conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from ..parameter import Parameter
from .weight_norm_hook import bind

M = TypeVar("M", bound=Module)


class SpectralNorm:
    """The hook that makes a module's weight from its original before each forward."""

    _guarded = True  # a compiled step that comes to one depends on all that it knows

    _version = 1

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.name, self.dim, self.n_power_iterations, self.eps = name, dim, n_power_iterations, eps

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """Outputs by all else."""
        return weight.movedim(self.dim, 0).flatten(1)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The original over its largest singular value."""
        weight, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with no_grad():
                new_u, new_v, fixed = u, v, matrix.detach()
                for _ in range(self.n_power_iterations):
                    new_v = F.normalize(mv(fixed.t(), new_u), dim=0, eps=self.eps)
                    new_u = F.normalize(mv(fixed, new_v), dim=0, eps=self.eps)
                u.copy_(new_u)
                v.copy_(new_v)
            u, v = u.clone(), v.clone()
        return div(weight, dot(u, mv(matrix, v)))

    def __call__(self, module: Module, inputs: Any) -> None:
        """Before forward."""
        bind(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> M:
    """Divide a weight by its largest singular value, which is followed by power iterations while training.

    weight = weight_orig / sigma(weight_orig)

    Args: `module`, whose parameter becomes `weight_orig`, with buffers `weight_u` and `weight_v`; `name`, of the parameter;
    `n_power_iterations`, in each forward; `eps`, the least length of a vector; `dim`, the dimension of the outputs.
    Returns the module. RuntimeError if the weight is normalised already.

    >>> import flambeau as torch
    >>> layer = torch.nn.utils.spectral_norm(torch.nn.Linear(2, 3))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']

    Source: Miyato et al.: "Spectral normalization", https://arxiv.org/abs/1802.05957;
    https://pytorch.org/docs/stable/generated/torch.nn.utils.spectral_norm.html
    """
    if dim is None:
        dim = int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))
    if _hook_of(module, name) is not None:
        raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    hook, weight = SpectralNorm(name, n_power_iterations, dim, eps), getattr(module, name)
    height, width = hook.reshape_weight_to_matrix(weight.detach()).shape
    u, v = (F.normalize(weight.detach().new_empty(size).normal_(0, 1), dim=0, eps=eps) for size in (height, width))
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach().clone())
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the weight a parameter again, with the value it has in evaluation. ValueError if it is not normalised."""
    found = _hook_of(module, name)
    if found is None or module._hooks is None:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    key, hook = found
    with no_grad():
        weight = hook.compute_weight(module, do_power_iteration=False)
    for attribute in (name, f"{name}_u", f"{name}_v", f"{name}_orig"):
        delattr(module, attribute)
    module.register_parameter(name, Parameter(weight.detach()))
    del module._hooks.tables["forward_pre"][key]
    return module


def _hook_of(module: Module, name: str) -> tuple[int, SpectralNorm] | None:
    hooks = module._hooks.tables["forward_pre"] if module._hooks is not None else {}
    for key, hook in hooks.items():
        if isinstance(hook.call, SpectralNorm) and hook.call.name == name:
            return key, hook.call
    return None
