"""Numbers that a dtype does not hold, dtypes and shapes that a function does not take: what comes of them, as in torch.

Each row is tried for each dtype of its table. What torch gives, ours gives, in its dtype; what torch refuses, ours refuses with
the class of its error, and with its text where that is told.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402
from .expressions import rows  # noqa: E402

NUMBERS = ("300", "-1", "2**40", "-200", "1.5", "300.7", "-1e20", "inf", "-inf", "nan", "1e6", "2**70", "1+0j", "1+2j", "True",
           "0", "T(inf)", "T(300)", "T(-.5)", "T(1e6)", "T(1+2j)")
WITH_NUMBERS = rows("""
    n / x ; n // x ; n % x ; n * x ; n - x ; x / n ; x // n ; x % n ; x ** n ; x + n ; x == n ; x < n
    x.clamp(max=n) ; x.clamp(min=n) ; x.clamp_min(n) ; x.fill_(n) ; torch.full_like(x, n) ; x.masked_fill(x > 1, n)
    x.index_fill(0, T([0]), n) ; put(x, 0, n) ; put(x, slice(None), n) ; put(x, x > 1, n) ; put(x, T([0]), n)
    x.new_full((2,), n) ; torch.full((2,), n, dtype=x.dtype) ; torch.fill(x, n) ; x.scatter(0, T([0]), n)
    torch.tensor([n], dtype=x.dtype)
""")
FLOATS = rows("""
    F.elu(x) ; F.selu(x) ; F.celu(x) ; F.gelu(x) ; F.silu(x) ; F.leaky_relu(x) ; F.relu(x) ; F.relu6(x) ; F.hardtanh(x)
    F.hardswish(x) ; F.hardsigmoid(x) ; F.softshrink(x) ; F.softsign(x) ; F.threshold(x, 0, 1) ; F.rrelu(x) ; F.glu(x)
    F.layer_norm(x, (4,)) ; F.group_norm(x, 1) ; F.batch_norm(x, None, None, training=True) ; F.rms_norm(x, (4,))
    F.max_pool1d(x, 2) ; F.avg_pool1d(x, 2) ; F.max_pool2d(x[None], 2) ; F.adaptive_avg_pool1d(x, 2)
    F.adaptive_max_pool1d(x, 2) ; F.nll_loss(x, classes) ; F.pad(x[None], (1, 1), mode='reflect') ; x.logcumsumexp(0)
    x.matmul(x.T) ; x.mv(x[0]) ; x[0].dot(x[0]) ; torch.inner(x, x) ; F.linear(x, x) ; x.trace() ; x.argmax() ; x.argmin(0)
    x.median() ; x.median(0) ; x.nanmedian() ; x.kthvalue(1) ; x.topk(1) ; x.mode() ; x.abs() ; x.sign() ; x.round() ; x.floor()
    x.ceil() ; x.trunc() ; x.frac() ; x.round(decimals=1) ; x.clamp(0, 1) ; +x ; x.max() ; x.max(0) ; x.amax(0) ; x.cummax(0)
    x.unique() ; x.unique(dim=0) ; torch.cdist(x, x) ; F.pdist(x) ; torch.histogram(x.flatten(), 2) ; x.erf() ; x.erfc()
    x.erfinv() ; x.lgamma() ; x.digamma() ; x << 1 ; x >> 1 ; torch.gradient(x[0]) ; x.any() ; x.all(0)
    x.scatter_reduce(0, classes[None], x[:1], 'mean') ; F.conv1d(x[None], x[None, :, :2])
    F.scaled_dot_product_attention(x, x, x)
    torch.trapezoid(x) ; torch.trapezoid(x, dx=2) ; torch.trapezoid(x, x) ; torch.cumulative_trapezoid(x, dx=3)
    torch.einsum('ij->', x)
    torch.einsum('ij->j', x) ; torch.einsum('ij,kj->ik', x, x) ; torch.einsum('ij,k->i', x, x[0]) ; F.gumbel_softmax(x) * 0
    x.index_add(0, classes, x, alpha=2) ; x.nan_to_num() ; x.log2() ; x.log10() ; x ** True ; F.cross_entropy(x, classes)
    F.grid_sample(x[None, None], torch.zeros_like(x[:1, :2]).reshape(1, 1, 1, 2))
    torch.segment_reduce(x[0], 'sum', lengths=T([3, 1]))
""")
ERRORS = rows("""
    torch.einsum('ii->i', x) ; torch.einsum('ii', x) ; torch.einsum('i1->', x) ; torch.einsum('ij->jj', x)
    torch.einsum('i.j', x)
    torch.einsum('ij;jk', x, x) ; torch.einsum('ij->i->j', x) ; torch.einsum(x, [0, 60]) ; torch.einsum(None, x)
    torch.outer(x, x)
    torch.outer(x[0], x) ; torch.ger(x, x) ; torch.inner(x, x.T) ; torch.meshgrid(indexing='ij')
    torch.meshgrid(x[0], indexing='ab')
    torch.meshgrid(x[0], T([1]), indexing='ij') ; F.cross_entropy(x, T([0, 1]), weight=T([1.]))
    F.nll_loss(x, T([0, 1]), weight=T([1.]))
    F.cross_entropy(x, T([0, 1]), weight=T([1, 2, 3])) ; F.cross_entropy(x, T([0, 1]).int())
    F.cross_entropy(x[..., None], T([[0], [1]]).byte()) ; F.binary_cross_entropy(x * 0, x) ; x.masked_scatter(x > 1, T([1.]))
    x.quantile(T([2.])) ; F.scaled_dot_product_attention(x, x, x, attn_mask=T([[1, 0], [1, 1]])) ; torch.tensor([1, 2**63])
    torch.segment_reduce(x[0], 'sum', lengths=T([2, 2])) ; torch.segment_reduce(x[0], 'sum', lengths=T([4, -1]))
    x.fill_(T([1.]))
    T(3.).index_select(0, T([0, 0])) ; x[:0].norm(-1., 0) ; x[:0].norm(-1.) ; x[:0].norm(inf, 0) ; torch.histogram(x * nan, 3)
    torch.histogram(x / 0, 3) ; torch.histc(x / 0, 3) ; put(T([1, 2]), T([0]), T([1.5]))
    put(T([1, 2]), T([True, True]), T([1.5, 2]))
    x.masked_fill(T([[1, 0, 1], [1, 1, 1]]), 2.) ; torch.promote_types('a', torch.float32) ; torch.can_cast('a', torch.float32)
    T(3).unique(dim=0) ; put(torch.nn.Parameter(T([1.])), 'data', T([1])) ; F.embedding_bag(T([0, 1]), x, T([1, 1]))
    F.ctc_loss(torch.zeros(4, 1, 3), T([[1, 2]]), T([5]), T([2])) ; T([1], dtype=torch.int8) // 256
    torch.nn.MultiheadAttention(4, 2)(torch.ones(3, 2, 4), torch.ones(3, 5, 4), torch.ones(3, 5, 4))
    torch.nn.MultiheadAttention(4, 2)(*[torch.ones(3, 2, 4)] * 3, attn_mask=torch.zeros(2, 2))
    torch.min(1) ; torch.lerp(T([1, 2]), T([3, 4]), T([.5, .2]))
""")


def put(x: Any, index: Any, value: Any) -> Any:
    """The tensor after an assignment."""
    if isinstance(index, str):
        setattr(x, index, value)
    else:
        x[index] = value
    return x


def outcome(library: Any, text: str, **given: Any) -> tuple[str, Any]:
    """The dtype and the numbers of the result, or the class of the error and the first line of its text."""
    names = {"torch": library, "F": library.nn.functional, "T": library.tensor, "put": put, "inf": float("inf"),
             "nan": float("nan")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            x = eval(text, {**names, **{name: value(library) for name, value in given.items()}})
            first = x[0] if isinstance(x, (tuple, list)) else x
            kind = library.complex128 if first.is_complex() else library.float64
            return str(first.dtype), first.detach().resolve_conj().to(kind).numpy()
        except Exception as error:
            return type(error).__name__, str(error).splitlines()[0].partition(" [")[0]


def compare(text: str, **given: Any) -> str | None:
    """What differs, if anything does."""
    theirs = outcome(torch, text, **given)
    with on_numpy():
        ours = outcome(flambeau, text, **given)
    if ours[0] != theirs[0]:
        return f"{text}: torch {theirs}, ours {ours}"
    if not isinstance(theirs[1], str) and not np.allclose(ours[1], theirs[1], rtol=1e-3, atol=1e-6, equal_nan=True):
        return f"{text}: torch {theirs}, ours {ours}"
    return None


# Of float16, torch's results with complex numbers are complex32, and it rounds a 0-d tensor before it divides.
MEETINGS = [(kind, number) for kind in ["uint8", "int8", "int32", "int64", "float16", "float32"] for number in NUMBERS
            if kind != "float16" or not ("j" in number or number == "T(1e6)")]


@pytest.mark.parametrize(("kind", "number"), MEETINGS)
def test_numbers_that_a_dtype_does_not_hold(kind: str, number: str) -> None:
    found = [compare(text, x=lambda t: t.tensor([1, 3]).to(getattr(t, kind)),
                     n=lambda t: eval(number, {"T": t.tensor, "inf": float("inf"), "nan": float("nan")}))
             for text in WITH_NUMBERS]
    assert not list(filter(None, found))


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64", "float16", "complex64", "float32"])
def test_dtypes_that_a_function_takes(kind: str) -> None:
    found = [compare(text, x=lambda t: t.tensor([[1., 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]]).to(getattr(t, kind)),
                     classes=lambda t: t.tensor([0, 2, 1])) for text in FLOATS]
    assert not list(filter(None, found))


@pytest.mark.parametrize("text", ERRORS)
def test_what_is_no_argument(text: str) -> None:
    def given(t: Any) -> Any:
        return t.tensor([[1., 2, 3], [4, 5, 6]])

    theirs = outcome(torch, text, x=given)
    with on_numpy():
        ours = outcome(flambeau, text, x=given)
    assert isinstance(theirs[1], str)
    assert ours == theirs
