"""Linear maps and look-ups: https://pytorch.org/docs/stable/nn.functional.html#linear-functions"""

from __future__ import annotations

import math

import numpy as np

from ...tracer.autograd.modes import no_grad
from ...tracer.functions.arithmetic import add, div, mul, sub
from ...tracer.functions.checks import check_range
from ...tracer.functions.choosing import clamp, where
from ...tracer.functions.creation import tensor as make_tensor
from ...tracer.functions.dims import whole_number, whole_place
from ...tracer.functions.linear import contract, einsum, refuse_bools, sums_of
from ...tracer.functions.matrix_norms import norm
from ...tracer.functions.methods import into
from ...tracer.functions.norms import differing, farthest
from ...tracer.functions.operands import cast_value, common_shape, number_value, scalar_name, wrap
from ...tracer.functions.reduce import sum
from ...tracer.functions.refusals import FULL, require_kind
from ...tracer.functions.scattering import index_add
from ...tracer.functions.spelling import spelled
from ...tracer.functions.unary import abs as absolute
from ...tracer.functions.unary import reciprocal
from ...tracer.ir import dtypes
from ...tracer.ir.dtypes import dtype
from ...tracer.ir.graph import Value
from ...tracer.ops.elementwise import compare
from ...tracer.ops.indexing import put_along, take
from ...tracer.ops.structural import broadcast, iota
from ...tracer.tensor.scalar import real
from ...tracer.tensor.tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias.

    Arguments: input (*, I), weight (O, I) or (I,), bias (O); `out`, a tensor to write to. Returns (*, O).
    """
    x, w = input._read(), weight._read()
    if x.type.ndim == 0 or w.type.ndim not in (1, 2):
        raise RuntimeError(f"linear requires an input with at least one dimension and a weight with one or two, got "
                           f"{list(input.shape)} and {list(weight.shape)}")
    if x.type.shape[-1] != w.type.shape[-1]:
        rows = input.numel() // max(x.type.shape[-1], 1)
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({rows}x{x.type.shape[-1]} and "
                           f"{w.type.shape[-1]}x{w.type.shape[0] if w.type.ndim > 1 else 1})")
    if x.type.dtype is not w.type.dtype:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {scalar_name(x.type.dtype)} and "
                           f"{scalar_name(w.type.dtype)}")
    refuse_bools("addmm_impl_cpu_", input)
    result = projected(x, w, bias)
    return result if out is None else into(out, result)


def projected(x: Value, w: Value, bias: Tensor | None, kind: dtype | None = None) -> Tensor:
    """x @ w.T + bias of operands that fit; in `kind`, which else is theirs. Half types are rounded once, after the bias."""
    wide = kind if bias is None else sums_of(x.type.dtype)
    product = wrap(contract(x, w, ((x.type.ndim - 1,), (w.type.ndim - 1,)), kind=wide))
    result = product if bias is None else add(product, bias)
    return result if wide is None or wide is kind else result.to(x.type.dtype)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1 @ weight[o] @ x2 for each output o, + bias. Weight (O, I1, I2)."""
    _check_bilinear(input1, input2, weight, bias)
    result = einsum("...i,oij,...j->...o", input1, weight, input2)
    return result if bias is None else add(result, bias)


def _check_bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if input1.ndim != input2.ndim:
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}")
    for i, (m, n) in enumerate(zip(input1._type.shape[:-1], input2._type.shape[:-1])):
        if m != n:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {i}: got {m} and {n}")
    sizes = [("input1", input1, -1, 1), ("input2", input2, -1, 2), *([] if bias is None else [("bias", bias, 0, 0)])]
    for name, x, dim, of_weight in sizes:
        wanted, size = weight.size(of_weight), x.size(dim)
        if size != wanted:
            raise RuntimeError(f"bilinear(): {name} size does not match weight size: got {size} but expected {wanted}")


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
              norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:
    """The rows of `weight` (V, D) at the integers of `input` (*): (*, D).

    The row `padding_idx` gets no gradient. With `max_norm` rows that are looked up are scaled down in place first. With
    `scale_grad_by_freq` gradients are divided by how often a row was read; `sparse` is accepted, gradients are dense.
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"embedding(): argument 'indices' (position 2) must be Tensor, not {type(input).__name__}")
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError("Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, "
                           f"Int; but got {input.dtype} instead (while checking arguments for embedding)")
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    rows = weight._type.shape[0]
    if padding_idx is not None:
        padding_idx = whole_place(padding_idx, "padding_idx")
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= rows
    check_range("embedding", input, 0, rows, IndexError, "index out of range in self")
    if max_norm is not None:
        renormalize(weight, input, max_norm, norm_type)
    found = wrap(take(weight._read(), input._read(), 0))
    if scale_grad_by_freq:
        found = by_frequency(found, input, rows)
    if padding_idx is None or not found.requires_grad:
        return found
    return where((input == padding_idx).unsqueeze(-1), found.detach(), found)


def renormalize(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are looked up, and longer than max_norm, down to it."""
    with no_grad():
        places = indices.reshape(-1)._read()
        nobody, everybody = (number_value(n, weight.dtype, (size,), places.device)
                             for n, size in ((0, weight._type.shape[0]), (1, places.type.size)))
        used = wrap(put_along(nobody, places, everybody, 0, "max"))
        wide = sums_of(weight.dtype) or weight.dtype  # half types are rounded once, but for the norm
        lengths = norm(weight, norm_type, 1).to(wide)
        scale = where((used > 0) & (lengths > max_norm), mul(reciprocal(add(lengths, 1e-7)), max_norm), 1.0)
        weight.copy_(mul(weight.to(wide), scale.unsqueeze(1)))


def by_frequency(found: Tensor, indices: Tensor, rows: int) -> Tensor:
    """Rows that were looked up, with gradients divided by how often each was."""
    places = indices.reshape(-1)
    ones = places.new_ones(places.shape, dtype=found.dtype)
    often = index_add(ones.new_zeros(rows), 0, places, ones)
    share = reciprocal(wrap(take(often._read(), indices._read(), 0))).unsqueeze(-1)
    return add(found.detach(), mul(sub(found, found.detach()), share))


@spelled
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 (*, num_classes), 1 at each class and 0 elsewhere; -1 reads the largest class there is."""
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, got {tensor.dtype}")
    num_classes = whole_number(num_classes, "num_classes")
    if num_classes == -1:
        if tensor.numel() == 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        check_range("one_hot", tensor, 0, 2**63 - 1, RuntimeError, "Class values must be non-negative.")
        num_classes = int(tensor.max()) + 1
    check_range("one_hot", tensor, 0, 2**63 - 1, RuntimeError, "Class values must be non-negative.")
    check_range("one_hot", tensor, -2**63, num_classes, RuntimeError, "Class values must be smaller than num_classes.")
    return wrap(cast_value(classes_equal(tensor, num_classes, tensor.ndim)._read(), dtypes.int64))


def classes_equal(target: Tensor, classes: int, dim: int) -> Tensor:
    """Bools with a new dimension `dim`: whether the target is that class. The rows of an identity, without a gather."""
    shape = (*target._type.shape[:dim], classes, *target._type.shape[dim:])
    # 32 bits: the classes always fit, and vectors of them are twice as wide
    narrow = cast_value(target._read(), dtypes.int32)
    spread = broadcast(narrow, shape=shape, dims=tuple(d for d in range(len(shape)) if d != dim))
    numbers = iota.on(narrow.device, shape=shape, axis=dim, dtype=dtypes.int32)
    return wrap(compare(numbers, spread, direction="EQ"))


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """x / max(|x|_p, eps) along `dim`."""
    lengths = clamp(norm(input, p, dim, True), min=eps)
    return div(input, lengths, out=out)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) * max(|x2|, eps)) along `dim`."""
    kind = dtypes.promote_types(x1.dtype, x2.dtype)
    if not kind.is_floating_point:
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {scalar_name(kind)}")
    if not eps >= 0:
        raise RuntimeError(f"eps must be non-negative, got: {eps:g}")
    shape = common_shape(x1._type.shape, x2._type.shape)
    x1, x2 = x1.to(kind).broadcast_to(shape), x2.to(kind).broadcast_to(shape)
    lengths = [clamp(norm(x, 2, dim, True), min=eps) for x in (x1, x2)]
    return sum(mul(div(x1, lengths[0]), div(x2, lengths[1])), dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """|x1 - x2 + eps|_p over the last dimension."""
    return norm(absolute(add(sub(x1, x2), real(eps))), p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Distances of all pairs of rows, (N, M) to (N * (N - 1) / 2,): |x[i] - x[j]|_p for i < j.

    >>> import flambeau as torch
    >>> torch.nn.functional.pdist(torch.tensor([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.dtype.is_floating_point:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if not p >= 0:
        raise RuntimeError("pdist only supports non-negative p values")
    if input._type.shape[0] > 1 and input._type.size:  # else torch asks no kernel
        require_kind("pdist", input, FULL)
    first, second = np.triu_indices(input._type.shape[0], 1)
    rows = (wrap(take(input._read(), make_tensor(at, device=input.device)._read(), 0)) for at in (first, second))
    gaps = sub(*rows)
    if p == 0:
        return differing(gaps)
    return farthest(gaps) if p == math.inf else norm(gaps, p, -1)
