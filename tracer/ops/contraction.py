"""dot_general: the one contraction, of which matmul, bmm, einsum and linear are spellings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.errors import requires
from ..ir.graph import Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.types import Type
from .elementwise import conjugate, convert
from .structural import Ints, inverse_permutation, transpose


def _free(ndim: int, *used: Ints) -> Ints:
    taken = {axis for axes in used for axis in axes}
    return tuple(i for i in range(ndim) if i not in taken)


def _dot_infer(x: Type, y: Type, *, contract: tuple[Ints, Ints], batch: tuple[Ints, Ints],
               dtype: dtype | None) -> Type:
    requires(x.dtype is y.dtype, "dot", "operands of one dtype", (x, y))
    for (i, j), what in ((contract, "contracting"), (batch, "batch")):
        requires(len(i) == len(j) and all(x.shape[a] == y.shape[b] for a, b in zip(i, j)), "dot",
                 f"{what} dimensions of equal sizes", (x, y, i, j))
    shape = (*(x.shape[a] for a in batch[0]), *(x.shape[a] for a in _free(x.ndim, contract[0], batch[0])),
             *(y.shape[b] for b in _free(y.ndim, contract[1], batch[1])))
    return Type.of(shape, dtype or x.dtype)


def _dot_reference(x: Any, y: Any, *, contract: tuple[Ints, Ints], batch: tuple[Ints, Ints],
                   dtype: dtype | None) -> Any:
    kind = dtype.numpy if dtype else x.dtype
    wide = np.float32 if dtypes.from_numpy(x.dtype).is_floating_point and x.dtype.itemsize < 4 else x.dtype
    x_free, y_free = _free(x.ndim, contract[0], batch[0]), _free(y.ndim, contract[1], batch[1])
    lead = [x.shape[a] for a in batch[0]]
    k = int(np.prod([x.shape[a] for a in contract[0]], dtype=int))
    left = np.transpose(x, (*batch[0], *x_free, *contract[0])).reshape(*lead, -1 if x.size else int(
        np.prod([x.shape[a] for a in x_free], dtype=int)), k)
    right = np.transpose(y, (*batch[1], *contract[1], *y_free)).reshape(*lead, k, -1 if y.size else int(
        np.prod([y.shape[b] for b in y_free], dtype=int)))
    with np.errstate(all="ignore"):
        product = np.matmul(left.astype(wide), right.astype(wide))
    return product.reshape([*lead, *(x.shape[a] for a in x_free), *(y.shape[b] for b in y_free)]).astype(kind)


def _dot_lower(h: Emitter, x: Operand, y: Operand, *, contract: tuple[Ints, Ints], batch: tuple[Ints, Ints],
               dtype: dtype | None) -> Operand:
    def dims(axes: Ints) -> str:
        return f"[{', '.join(map(str, axes))}]"

    return h.op("dot_general", (x, y), attributes=(
        f"dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = {dims(batch[0])}, "
        f"rhs_batching_dimensions = {dims(batch[1])}, lhs_contracting_dimensions = {dims(contract[0])}, "
        f"rhs_contracting_dimensions = {dims(contract[1])}>, "
        "precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision DEFAULT>]"))


def _dot_vjp(g: Value, out: Value, x: Value, y: Value, *, contract: tuple[Ints, Ints], batch: tuple[Ints, Ints],
             dtype: dtype | None) -> tuple[Value, Value]:
    if g.type.dtype is not x.type.dtype:
        g = convert(g, dtype=x.type.dtype)
    return (_operand_gradient(g, x, y, contract, batch, swapped=False),
            _operand_gradient(g, y, x, contract[::-1], batch[::-1], swapped=True))


def _operand_gradient(g: Value, x: Value, y: Value, contract: tuple[Ints, Ints], batch: tuple[Ints, Ints],
                      swapped: bool) -> Value:
    """The cotangent of `x` in dot(x, y), or in dot(y, x) when `swapped`: contract g with y over y's free axes."""
    x_free, y_free = _free(x.type.ndim, contract[0], batch[0]), _free(y.type.ndim, contract[1], batch[1])
    lead = tuple(range(len(batch[0])))
    first, second = len(lead), len(lead) + (len(y_free) if swapped else len(x_free))
    g_y = tuple(range(first, first + len(y_free))) if swapped else tuple(range(second, second + len(y_free)))
    if swapped:  # result: batch, y's contracted axes (in y's order), x's free axes
        piece = dot(conjugate(y), g, contract=(y_free, g_y), batch=(batch[1], lead), dtype=None)
        rest = sorted(contract[1])
        order = (*batch[0], *(contract[0][contract[1].index(a)] for a in rest), *x_free)
    else:
        piece = dot(g, conjugate(y), contract=(g_y, y_free), batch=(lead, batch[1]), dtype=None)
        rest = sorted(contract[1])
        order = (*batch[0], *x_free, *(contract[0][contract[1].index(a)] for a in rest))
    permutation = inverse_permutation(order)
    return piece if permutation == tuple(range(len(order))) else transpose(piece, permutation=permutation)


def _dot_batch(size: int, batched: Sequence[bool], x: Value, y: Value, *, contract: tuple[Ints, Ints],
               batch: tuple[Ints, Ints], dtype: dtype | None) -> Value:
    def up(axes: Ints) -> Ints:
        return tuple(a + 1 for a in axes)

    if all(batched):
        return dot(x, y, contract=(up(contract[0]), up(contract[1])),
                   batch=((0, *up(batch[0])), (0, *up(batch[1]))), dtype=dtype)
    if batched[0]:  # the extra axis is a free one of x; it comes out after the batch axes
        out = dot(x, y, contract=(up(contract[0]), contract[1]), batch=(up(batch[0]), batch[1]), dtype=dtype)
        position = len(batch[0])
    else:
        out = dot(x, y, contract=(contract[0], up(contract[1])), batch=(batch[0], up(batch[1])), dtype=dtype)
        position = x.type.ndim - len(contract[0])
    if position == 0:
        return out
    return transpose(out, permutation=(position, *(i for i in range(out.type.ndim) if i != position)))


dot = register(Op("dot", _dot_infer, _dot_reference, _dot_lower, _dot_vjp, _dot_batch))
