"""The orthogonal parametrization: https://pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.orthogonal.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...tracer.autograd.modes import no_grad
from ...tracer.functions.arithmetic import add, mul, sub
from ...tracer.functions.creation import zeros_like
from ...tracer.functions.factorizations import geqrf, householder_product
from ...tracer.functions.joining import cat
from ...tracer.functions.linear import matmul
from ...tracer.functions.matrix_functions import matrix_exp
from ...tracer.functions.random import randn
from ...tracer.functions.ranges import eye
from ...tracer.functions.reduce import sum
from ...tracer.functions.strided import diagonal
from ...tracer.functions.systems import solve
from ...tracer.functions.triangular import tril
from ...tracer.functions.unary import reciprocal, sgn, sign
from ...tracer.ir.dtypes import finfo
from ...tracer.tensor.tensor import Tensor
from ..module import Module
from .parametrize import register_parametrization


def _identity(like: Tensor) -> Tensor:
    return eye(like.shape[-1], dtype=like.dtype, device=like.device)


def _cayley(A: Tensor) -> Tensor:
    """(1 - A / 2)^-1 (1 + A / 2)."""
    return solve(sub(_identity(A), mul(A, 0.5)), add(_identity(A), mul(A, 0.5)))


_MAPS: dict[str, Callable[[Tensor], Tensor]] = {"matrix_exp": matrix_exp, "cayley": _cayley}


def _by_rotation(X: Tensor, rotation: Callable[[Tensor], Tensor]) -> Tensor:
    """The first columns of the rotation by the skew-Hermitian matrix whose lower triangle is that of X (n, k), k <= n."""
    n, k = X.shape[-2:]
    lower = tril(X)
    lower = lower if n == k else cat([lower, X.new_zeros(*X.shape[:-1], n - k)], -1)
    rotated = rotation(sub(lower, lower.mH))
    return rotated if n == k else rotated[..., :k]


def _by_reflections(X: Tensor) -> Tensor:
    """The product of the reflections at the columns below X's diagonal, whose signs are those of the diagonal."""
    below = tril(X, -1)
    lengths = mul(reciprocal(add(sum(mul(below, below), -2), 1.0)), 2.0)
    return mul(householder_product(below, lengths), diagonal(X, 0, -2, -1).int().unsqueeze(-2))


def _orthogonalised(A: Tensor) -> Tensor:
    """The Q of A = Q R whose R has a positive diagonal."""
    factors, tau = geqrf(A)
    return mul(householder_product(factors, tau), sgn(diagonal(factors, 0, -2, -1)).unsqueeze(-2))


def _is_orthogonal(Q: Tensor) -> bool:
    product = matmul(Q.mH, Q)
    bound = 10.0 * Q.shape[-2] * finfo(Q.dtype).eps
    return bool((sub(product, _identity(product)).abs() < bound).all())


class _Orthogonal(Module):
    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.orthogonal_map, self.has_base = weight.shape, orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """The orthogonal matrix of any matrix X, from `base` on."""
        wide = X.shape[-2] < X.shape[-1]
        tall = X.mT if wide else X
        rotation = _MAPS.get(self.orthogonal_map)
        Q = _by_reflections(tall) if rotation is None else _by_rotation(tall, rotation)
        if self.has_base:
            assert self.base is not None
            Q = matmul(self.base, Q)
        return Q.mT if wide else Q

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """An X for an orthogonal Q; with a base, Q becomes the base, and X what the base alone is."""
        if Q.shape != self.shape:
            raise ValueError(f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}.")
        wide = Q.shape[-2] < Q.shape[-1]
        tall = Q.mT if wide else Q
        if not self.has_base:
            undone = self._undone(tall)
            return undone.mT if wide else undone
        n, k = tall.shape[-2:]
        if n != k:
            tall = cat([tall, randn(*tall.shape[:-2], n, n - k, dtype=Q.dtype, device=Q.device)], -1)
        self.base = tall.clone() if n == k and _is_orthogonal(tall) else _orthogonalised(tall)
        start = zeros_like(Q)
        diagonal(start, 0, -2, -1).fill_(-1.0)  # nothing below it: no rotation, and reflections that undo each other
        return start

    def _undone(self, Q: Tensor) -> Tensor:
        if self.orthogonal_map != "householder":
            raise NotImplementedError("It is not possible to assign to the matrix exponential or the Cayley parametrizations "
                                      "when use_trivialization=False.")
        factors, tau = geqrf(Q)
        signs = sign(diagonal(factors, 0, -2, -1))
        diagonal(factors, 0, -2, -1).copy_(mul(signs, 1 - 2 * (tau == 0).to(signs.dtype)))
        return factors


def orthogonal(module: Module, name: str = "weight", orthogonal_map: str | None = None, *,
               use_trivialization: bool = True) -> Module:
    """Keep a weight orthogonal: Q^H Q = 1 for tall matrices, Q Q^H = 1 for wide ones.

    Q = base exp(A), or base (1 - A / 2)^-1 (1 + A / 2), with A skew-Hermitian; or base times a product of reflections

    Args: `module` and the `name` of its parameter (*, n, k); `orthogonal_map`, "matrix_exp" (the default for square and for
    complex matrices), "cayley" or "householder" (the default else); `use_trivialization`, whether there is a base, to which
    the weight can be set. Returns the module. Raises ValueError where there is no such parameter, or no matrix.

    >>> import flambeau as torch
    >>> layer = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(20, 40))
    >>> bool(((layer.weight.T @ layer.weight) - torch.eye(20)).abs().max() < 1e-4)
    True

    Source: Lezcano-Casado: "Trivializations for gradient-based optimization on manifolds", https://arxiv.org/abs/1909.09501;
    https://pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.orthogonal.html
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in (*_MAPS, "householder"):
        raise ValueError(f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}')
    return register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization), unsafe=True)
