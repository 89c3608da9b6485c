"""Ready parametrizations: https://pytorch.org/docs/stable/nn.html#utilities"""

from __future__ import annotations

from typing import Any

from ...tracer.autograd.modes import no_grad
from ...tracer.functions.arithmetic import div, mul
from ...tracer.functions.linear import mv, vdot
from ...tracer.tensor.tensor import Tensor
from .. import functional as F
from ..conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from .orthogonal import orthogonal as orthogonal
from .parametrize import register_parametrization
from .weight_norm_hook import norm_except_dim


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """g * v / |v|."""
        return mul(weight_v, div(weight_g, norm_except_dim(weight_v, 2, self.dim)))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Its length and itself."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Part a weight into length and direction, which are trained instead of it.

    weight = original0 * original1 / |original1|

    Args: `module` and the `name` of its parameter; `dim`, the dimension along which each slice has a length of its own, None
    for one length of all. Returns the module. RuntimeError where there is no such parameter.

    >>> import flambeau as torch
    >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(20, 40))
    >>> layer.parametrizations.weight.original0.shape
    torch.Size([40, 1])

    Source: Salimans, Kingma: "Weight normalization", https://arxiv.org/abs/1602.07868;
    https://pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.weight_norm.html
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(_older_keys(name))
    return module


def _older_keys(name: str) -> Any:
    """A hook that takes state dicts of the weight norm that was a hook."""
    def hook(state_dict: Any, prefix: str, *rest: Any) -> None:
        for i, end in enumerate(("_g", "_v")):
            old = f"{prefix}{name}{end}"
            if old in state_dict:
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(old)

    return hook


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{weight.ndim}, {weight.ndim - 1}] but got "
                             f"{dim})")
        if n_power_iterations <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.dim, self.eps, self.n_power_iterations = dim % weight.ndim, eps, n_power_iterations
        if weight.ndim > 1:
            matrix = self._reshape_weight_to_matrix(weight.detach())
            for name, size in zip(("_u", "_v"), matrix.shape):
                self.register_buffer(name, F.normalize(matrix.new_empty(size).normal_(0, 1), dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def _power_method(self, matrix: Tensor, times: int) -> None:
        """Power iterations, which leave the singular vectors of the largest singular value in the buffers."""
        with no_grad():
            u, v = self._u, self._v
            for _ in range(times):
                u = F.normalize(mv(matrix, v), dim=0, eps=self.eps)
                v = F.normalize(mv(matrix.t(), u), dim=0, eps=self.eps)
            self._u.copy_(u)
            self._v.copy_(v)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight over its largest singular value."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # what is written next is not what the gradient needs
        return div(weight, vdot(u, mv(matrix, v)))

    def right_inverse(self, value: Tensor) -> Tensor:
        """Itself: which weight it was is not known."""
        return value


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Module:
    """Divide a weight by its largest singular value, which is followed by power iterations in each forward while training.

    weight = original / sigma(original)

    Args: `module` and the `name` of its parameter; `n_power_iterations`, in each forward; `eps`, the least length of a
    vector; `dim`, the dimension of the outputs, 0 by default, 1 for transposed convolutions. Returns the module.
    Raises ValueError where there is no such parameter.

    >>> import flambeau as torch
    >>> layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(20, 40))
    >>> layer.weight.shape
    torch.Size([40, 20])

    Source: Miyato et al.: "Spectral normalization", https://arxiv.org/abs/1802.05957;
    https://pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.spectral_norm.html
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
