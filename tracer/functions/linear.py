"""Products of matrices: all are spellings of one contraction. https://pytorch.org/docs/stable/torch.html#blas-and-lapack-operations"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, Final

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ops import contraction as ops
from ..ops.reduction import reduce_sum
from ..ops.structural import Ints, transpose
from ..tensor.scalar import plain
from ..tensor.tensor import Tensor, own_dim
from .arithmetic import add, mul
from .choosing import where
from .dims import checked_dim, is_whole
from .methods import EXACT, Out, in_place, into, method, with_out, with_out_of
from .operands import Number, cast_value, common_shape, expand_value, same_shape, scalar_name, wrap
from .precision import fitting, is_half
from .refusals import not_implemented

_CONTRACTED: Final = Out("tensordot: Expected the output tensor to have dtype {result}, but got "
                        "an output tensor with dtype {out}")
_ADDMV: Final = Out("addmv input tensors must have the same dtype, but got {out}, {result}, and {result}")
_DOT: Final = Out("result dtype {out} does not match input dtype {result}")


def contract(x: Value, y: Value, axes: tuple[Ints, Ints], batch: tuple[Ints, Ints] = ((), ()),
             kind: dtype | None = None) -> Value:
    """dot_general: batch axes first, then the free axes of x, then those of y; `kind`, of the result, else theirs."""
    return ops.dot(x, y, contract=axes, batch=batch, dtype=kind)


def sums_of(kind: dtype) -> dtype | None:
    """In what half types are summed, as the result of `contract`, where more follows before rounding; None for other types."""
    return dtypes.float32 if is_half(kind) else None


def require_vectors(name: str, **vectors: Tensor) -> None:
    """torch's RuntimeError for what is no vector."""
    for argument, x in vectors.items():
        if x.ndim != 1:
            raise RuntimeError(f"{name}: Expected 1-D argument {argument}, but got {x.ndim}-D")


def refuse_bools(kernel: str, x: Tensor) -> None:
    """torch's NotImplementedError for a product of bools."""
    if x._type.dtype is dtypes.boolean:
        raise not_implemented(kernel, x._type.dtype)


def _checked(name: str, x: Tensor, y: Tensor) -> tuple[Value, Value]:
    a, b = x._read(), y._read()
    if a.type.dtype is not b.type.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {_c_name(a.type.dtype)} != "
                           f"{_c_name(b.type.dtype)}")
    return a, b


def _c_name(kind: dtype) -> str:
    return {"float32": "float", "float64": "double", "int64": "long long", "int32": "int", "bfloat16": "c10::BFloat16",
            "float16": "c10::Half"}.get(kind.name, kind.name)


@method("matmul", "__matmul__")
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of matrices, of a matrix and a vector, or of two vectors.

    y[..., i, j] = sum over k of input[..., i, k] * other[..., k, j]

    Args: `input` (*, n, m) or (m,); `other` (*, m, p) or (m,); `out`, a tensor to write to. Leading dimensions are
    batches and broadcast; a vector counts as a row on the left and as a column on the right.
    Returns (*, n, p), without the dimensions that vectors lack. Raises RuntimeError for sizes or dtypes that do not
    fit.

    >>> import flambeau as torch
    >>> torch.matmul(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 1.0]))
    tensor([3., 7.])

    Source: https://pytorch.org/docs/stable/generated/torch.matmul.html
    """
    if not isinstance(other, Tensor):
        return NotImplemented
    x, y = _checked("matmul", input, other)
    a, b = x.type.shape, y.type.shape
    if not a or not b:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {len(a)}D and {len(b)}D")
    if a[-1] != b[-2 if len(b) > 1 else 0]:
        raise RuntimeError(_mismatch(a, b))
    if x.type.dtype is dtypes.boolean:
        refuse_bools({(1, 1): "dot", (2, 1): "addmv_impl_cpu", (1, 2): "addmv_impl_cpu"}.get(
            (len(a), len(b)), "addmm_impl_cpu_" if len(b) <= 2 else "bmm"), input)
    result = wrap(_product(x, y))
    if out is None:
        return result
    rule = EXACT if len(b) > 1 else _ADDMV if len(a) > 1 else _DOT
    rule.check(out.dtype, result.dtype)
    return into(out, result)


def _mismatch(a: Ints, b: Ints) -> str:
    if (len(a), len(b)) == (2, 1):
        return f"size mismatch, got input ({a[0]}), mat ({a[0]}x{a[1]}), vec ({b[0]})"

    def flat(shape: Ints) -> str:
        rows = 1
        for n in shape[:-1]:
            rows *= n
        return f"{rows}x{shape[-1]}"

    if len(a) == len(b) == 1:
        return f"inconsistent tensor size, expected tensor [{a[0]}] and src [{b[0]}] to have the same number of elements"
    return f"mat1 and mat2 shapes cannot be multiplied ({flat(a)} and {flat(b) if len(b) <= 2 else list(b)})"


def _product(x: Value, y: Value, kind: dtype | None = None) -> Value:
    xn, yn = x.type.ndim, y.type.ndim
    if yn <= 2:  # the leading dimensions of x are free axes: one contraction, no broadcast
        return contract(x, y, ((xn - 1,), (0,)), kind=kind)
    if xn == 1:
        return contract(x, y, ((0,), (yn - 2,)), kind=kind)
    lead = common_shape(x.type.shape[:-2], y.type.shape[:-2])
    x = expand_value(x, (*lead, *x.type.shape[-2:]))
    y = expand_value(y, (*lead, *y.type.shape[-2:]))
    axes = tuple(range(len(lead)))
    return contract(x, y, ((x.type.ndim - 1,), (y.type.ndim - 2,)), (axes, axes), kind)


@method("__rmatmul__")
def _rmatmul(self: Tensor, other: Any) -> Any:
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


def _with_ndim(name: str, x: Tensor, ndim: int, text: str = "") -> None:
    if x.ndim != ndim:
        raise RuntimeError(text or f"{name}: expected a {ndim}-D tensor, got {x.ndim}-D of shape {list(x.shape)}")


@method()
@with_out_of(EXACT)
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _with_ndim("mm", input, 2, "self must be a matrix")
    _with_ndim("mm", mat2, 2, "mat2 must be a matrix")
    return matmul(input, mat2)


@method()
@with_out_of(EXACT)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of two stacks of matrices."""
    _with_ndim("bmm", input, 3, "batch1 must be a 3D tensor")
    _with_ndim("bmm", mat2, 3, "batch2 must be a 3D tensor")
    if input._type.shape[0] != mat2._type.shape[0] or input._type.shape[2] != mat2._type.shape[1]:
        raise RuntimeError(f"Expected size for first two dimensions of batch2 tensor to be: [{input._type.shape[0]}, "
                           f"{input._type.shape[2]}] but got: [{mat2._type.shape[0]}, {mat2._type.shape[1]}].")
    return matmul(input, mat2)


@method()
@with_out_of(_ADDMV)
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector."""
    if (input.ndim, vec.ndim) != (2, 1):
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    return matmul(input, vec)


@method()
@with_out_of(_DOT)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors."""
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.dtype is not tensor.dtype:
        raise RuntimeError(f"dot : expected both vectors to have same dtype, but found {scalar_name(input.dtype)} and "
                           f"{scalar_name(tensor.dtype)}")
    if input._type.shape != tensor._type.shape:
        m, n = input._type.shape[0], tensor._type.shape[0]
        raise RuntimeError(f"inconsistent tensor size, expected tensor [{m}] and src [{n}] to have the same number of elements, "
                           f"but got {m} and {n} elements respectively")
    return matmul(input, tensor)


@method()
@with_out_of(_DOT)
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """dot with the first vector conjugated."""
    return dot(input.conj(), other)


@method()
@with_out
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of elements of two vectors."""
    require_vectors("outer", self=input, vec2=vec2)
    return mul(input.unsqueeze(1), vec2)


@method()
@with_out_of(_CONTRACTED)
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimensions."""
    if input.ndim == 0 or other.ndim == 0:
        return mul(input, other)
    if input._type.shape[-1] != other._type.shape[-1]:
        raise RuntimeError("inner() the last dimension must match on both input tensors but got shapes "
                           f"{list(input.shape)} and {list(other.shape)}")
    x, y = _checked("inner", input, other)
    refuse_bools("dot" if input.ndim == other.ndim == 1 else "addmm_impl_cpu_", input)
    return wrap(contract(x, y, ((x.type.ndim - 1,), (y.type.ndim - 1,))))


@in_place()
@with_out_of(EXACT)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2); a factor of 0 means that what it multiplies does not count, even if it is NaN."""
    return _added_once(input, beta, mm(mat1, mat2), alpha, mat1, mat2)


@in_place()
@with_out_of(EXACT)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2); a factor of 0 means that what it multiplies does not count, even if it is NaN."""
    require_batched(batch1, batch2)
    product = bmm(batch1, batch2)
    if common_shape(input._type.shape, product._type.shape) != product._type.shape:
        raise RuntimeError(f"expand: a tensor of shape {list(input.shape)} has not the sizes {list(product.shape)}")
    return _added_once(input, beta, product, alpha, batch1, batch2)


def require_batched(batch1: Tensor, batch2: Tensor) -> None:
    """torch's IndexError for tensors without the dimensions whose sizes it asks for first: rows and columns of the product."""
    for x, last in ((batch1, 1), (batch2, 2)):
        if x.ndim <= last:
            checked_dim(last, x.ndim)


def _added_once(input: Tensor, beta: Number, product: Tensor, alpha: Number, x: Tensor, y: Tensor) -> Tensor:
    """`scaled_sum` of the product of x and y, which in half types is summed anew in float32, as torch's kernels do it."""
    wide = sums_of(product.dtype)
    if wide is None or input.dtype is not product.dtype:
        return scaled_sum(input, beta, product, alpha)
    return scaled_sum(input.to(wide), beta, wrap(_product(x._read(), y._read(), wide)), alpha).to(product.dtype)


def scaled_sum(input: Tensor, beta: Number, product: Tensor, alpha: Number) -> Tensor:
    """beta * input + alpha * product; what a factor of 0 multiplies does not count. Of integers the factors are cut."""
    if not product.dtype.is_inexact:
        beta, alpha = (int(fitting(x, product.dtype)) if isinstance(x, float) else x for x in map(plain, (beta, alpha)))
    parts = [nothing_of(x) if is_nought(factor) else x if type(factor) in (int, float) and factor == 1 else mul(x, factor)
             for x, factor in ((input, beta), (product, alpha))]
    return wrap(add(*parts)._read())  # which lies in rows, however the input lies


def is_nought(factor: Number) -> bool:
    """Whether what it multiplies does not count; of a number that a traced function was given the answer is a guard."""
    return bool(factor == 0)


def nothing_of(x: Tensor) -> Tensor:
    """Zeros that the gradient of `x`, also zeros, flows through: of what x holds, NaN say, nothing is left."""
    nowhere: Value = full_like(x._read(), 0, dtypes.boolean)
    return where(wrap(nowhere), x, 0)


@with_out_of(_CONTRACTED)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over `dims`: a count of trailing/leading axes, or two lists of axes."""
    x, y = _checked("tensordot", a, b)
    if isinstance(dims, Tensor):
        dims = dims.item() if dims.numel() == 1 else dims.tolist()
    if is_whole(dims):
        dims = int(dims)
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(x.type.ndim, y.type.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        pairs = tuple(range(x.type.ndim - dims, x.type.ndim)), tuple(range(dims))
    elif isinstance(dims, (float, complex, str)):
        raise RuntimeError("tensordot expects dims to be int or tuple[list[int], list[int]] or list[list[int]] containing two "
                           f"lists, but got dims={dims}")
    else:
        pairs = tuple(own_dim(d, x.type.ndim) for d in dims[0]), tuple(own_dim(d, y.type.ndim) for d in dims[1])
    for i, j in zip(*pairs):  # a dimension of size 1 broadcasts
        m, n = x.type.shape[i], y.type.shape[j]
        if m != n and m != 1 and n != 1:
            raise RuntimeError(f"contracted dimensions need to match, but first has size {m} in dim {i} and second has size {n} "
                               f"in dim {j}")
    refuse_bools("addmm_impl_cpu_", a)
    x, y = _summed_beside(x, y, *pairs), _summed_beside(y, x, *reversed(pairs))
    return wrap(contract(x, y, pairs))


def _summed_beside(x: Value, y: Value, mine: Ints, others: Ints) -> Value:
    """x with the dimensions summed that meet one of size 1."""
    alone = tuple(i for i, j in zip(mine, others) if y.type.shape[j] == 1 and x.type.shape[i] != 1)
    if not alone:
        return x
    summed = reduce_sum(x, axes=alone)
    return same_shape(summed, tuple(1 if i in alone else n for i, n in enumerate(x.type.shape)))


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Einstein's summation convention, as in numpy; contracted from left to right. One operand without a sum gives a view.

    The equation is text, or each operand is followed by a list of the numbers of its subscripts (`...` among them), and those
    of the result may come last: `einsum(x, [0, 1], y, [1, 2], [0, 2])`.

    >>> import flambeau as torch
    >>> torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(3, 2)).shape
    torch.Size([2, 2])
    """
    if isinstance(equation, Tensor):
        equation, operands = _as_text((equation, *operands))
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    _check_equation(equation, tensors)
    terms, output = _parsed(equation.replace(" ", ""), [x.ndim for x in tensors])
    diagonals = [_diagonals(labels, x, i) for i, (labels, x) in enumerate(zip(terms, tensors))]
    labels, first = diagonals[0]
    if len(diagonals) == 1 and sorted(labels) == sorted(output):
        return first.permute([labels.index(s) for s in output])
    value = first._read()
    for position, (right_labels, right) in enumerate(diagonals[1:], 1):
        later = set(output).union(*terms[position + 1:])
        labels, value = _pair(labels, value, right_labels, right._read(), later, position)
    return wrap(_arranged(labels, value, output))


Labels = list[str]


def _check_equation(equation: Any, operands: Sequence[Tensor]) -> None:
    """torch's errors for what is no equation."""
    if not operands:
        raise ValueError("einsum(): must specify the equation string and at least one operand, or at least one operand and its "
                         "subscripts list")
    if not isinstance(equation, str):
        raise TypeError(f"einsum(): argument 'equation' (position 1) must be str, not {type(equation).__name__}")
    left, arrow, right = equation.partition("->")
    start = 0
    for operand, part in enumerate(left.split(",")):
        _check_subscripts(part, start, f"for operand {operand}", "for which an ellipsis was already found")
        start += len(part) + 1
    _check_subscripts(right, len(left) + len(arrow), "for output", "but an ellipsis (...) was already found")
    letters = right.replace(".", "").replace(" ", "")
    for letter in letters:
        if letters.count(letter) > 1:
            raise RuntimeError(f"einsum(): output subscript {letter} appears more than once in the output")


def _check_subscripts(part: str, start: int, where: str, twice: str) -> None:
    before, ellipsis, after = part.partition("...")
    for i, letter in enumerate(before + "\0" * len(ellipsis) + after):
        if letter == ".":
            raise RuntimeError(f"einsum(): found '.' {where} " + (twice if ellipsis and i > len(before) else
                               "that is not part of any ellipsis" + (" (...)" if where == "for output" else "")))
        if letter not in string.ascii_letters + " \0":
            raise RuntimeError(f"einsum(): invalid subscript given at index {start + i} in the equation string, subscripts must "
                               "be in [a-zA-Z]")


def _letter(n: Any) -> str:
    if n is ...:
        return "..."
    if not 0 <= n < 52:
        raise ValueError("einsum(): subscript in subscript list is not within the valid range [0, 52)")
    return (string.ascii_uppercase + string.ascii_lowercase)[n]


def _as_text(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The equation that lists of numbers between the operands stand for, and the operands."""
    terms = ["".join(map(_letter, numbers)) for numbers in given[1::2]]
    result = "->" + "".join(map(_letter, given[-1])) if len(given) % 2 else ""
    return ",".join(terms) + result, given[:len(given) - len(given) % 2:2]


def _parsed(equation: str, ndims: list[int]) -> tuple[list[Labels], Labels]:
    """Labels of each operand and of the result; the dots stand for as many labels as needed."""
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    if len(parts) != len(ndims):
        which = "more" if len(ndims) > len(parts) else "fewer"
        raise RuntimeError(f"einsum(): {which} operands were provided than specified in the equation")
    terms = [_expanded(part, ndim, i) for i, (part, ndim) in enumerate(zip(parts, ndims))]
    if arrow:
        widest = max((sum(label.startswith(".") for label in t) for t in terms), default=0)
        dots = [f".{i}" for i in reversed(range(widest))]
        before, ellipsis, after = right.partition("...")
        return terms, [*before, *(dots if ellipsis else []), *after]
    flat = [label for term in terms for label in term]
    dots = sorted({label for label in flat if label.startswith(".")}, reverse=True)
    return terms, [*dots, *sorted(label for label in set(flat) if flat.count(label) == 1 and not label.startswith("."))]


_ELLIPSIS: Final = (" even after accounting for the ellipsis", " and no ellipsis was given")


def _expanded(part: str, ndim: int, position: int) -> Labels:
    before, ellipsis, after = part.partition("...")
    count = ndim - len(before) - len(after)
    if count < 0 or (count and not ellipsis):
        raise RuntimeError(f"einsum(): the number of subscripts in the equation ({len(before) + len(after)}) does not match the "
                           f"number of dimensions ({ndim}) for operand {position}" + _ELLIPSIS[not ellipsis])
    return [*before, *(f".{i}" for i in reversed(range(count if ellipsis else 0))), *after]


def _diagonals(labels: Labels, x: Tensor, position: int) -> tuple[Labels, Tensor]:
    """Repeated labels of one operand: keep only the diagonal."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            n, m = x._type.shape[first], x._type.shape[second]
            if n != m:
                raise RuntimeError(f"einsum(): subscript {label} is repeated for operand {position} but the sizes don't match, "
                                   f"{m} != {n}")
            x = x.diagonal(0, first, second)
            labels = [s for i, s in enumerate(labels) if i not in (first, second)] + [label]
    return labels, x


def _pair(left: Labels, x: Value, right: Labels, y: Value, later: set[str], position: int) -> tuple[Labels, Value]:
    """Contract two operands over the labels that nobody needs later; sizes of 1 broadcast."""
    shared = [label for label in left if label in right]
    sizes = {label: (x.type.shape[left.index(label)], y.type.shape[right.index(label)]) for label in shared}
    for label, (m, n) in sizes.items():
        if m != n and 1 not in (m, n):
            raise RuntimeError(f"einsum(): subscript {label} has size {n} for operand {position} which does not broadcast with "
                               f"previously seen size {m}")
    for label in [s for s in shared if sizes[s][0] != sizes[s][1]]:
        if sizes[label][0] == 1:
            left, x = _dropped(left, x, label)
        else:
            right, y = _dropped(right, y, label)
        shared.remove(label)
    left, x = _summed(left, x, later | set(right))
    right, y = _summed(right, y, later | set(left))
    kept = [label for label in shared if label in later]
    gone = [label for label in shared if label not in later]
    if x.type.dtype is not y.type.dtype:  # one of them was summed up, as int64
        if gone:
            raise RuntimeError(f"expected scalar type {scalar_name(x.type.dtype)} but found {scalar_name(y.type.dtype)}")
        kind = dtypes.promote_types(x.type.dtype, y.type.dtype)
        x, y = cast_value(x, kind), cast_value(y, kind)
    elif gone and x.type.dtype is dtypes.boolean:
        raise not_implemented("bmm", x.type.dtype)
    result = contract(x, y, (tuple(left.index(s) for s in gone), tuple(right.index(s) for s in gone)),
                      (tuple(left.index(s) for s in kept), tuple(right.index(s) for s in kept)))
    return [*kept, *(s for s in left if s not in shared), *(s for s in right if s not in shared)], result


def _dropped(labels: Labels, value: Value, label: str) -> tuple[Labels, Value]:
    at = labels.index(label)
    shape = (*value.type.shape[:at], *value.type.shape[at + 1:])
    return [s for s in labels if s != label], same_shape(value, shape)


def _summed(labels: Labels, value: Value, needed: set[str]) -> tuple[Labels, Value]:
    axes = tuple(i for i, s in enumerate(labels) if s not in needed)
    if axes:
        value = reduce_sum(value if value.type.dtype.is_inexact else cast_value(value, dtypes.int64), axes=axes)
    return [s for s in labels if s in needed], value


def _arranged(labels: Labels, value: Value, output: Labels) -> Value:
    labels, value = _summed(labels, value, set(output))
    missing = [s for s in output if s not in labels]
    if missing:
        raise RuntimeError(f"einsum(): output subscript {missing[0]} does not appear in the equation for any input operand")
    order = tuple(labels.index(s) for s in output)
    return value if order == tuple(range(len(order))) else transpose(value, permutation=order)
