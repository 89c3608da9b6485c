"""Sorting, order statistics and running reductions against torch: values, indices, dtypes, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau.tracer.autograd.backward  # noqa: E402  (attaches backward)
import flambeau.tracer.functions.printing  # noqa: E402, F401
from flambeau.tracer.functions import creation, cumulative, order_statistics, sorting  # noqa: E402
from flambeau.tracer.ir import dtypes  # noqa: E402


class Ours:
    """Our functions under torch's names."""

    def __getattr__(self, name: str) -> Any:
        for module in (creation, sorting, order_statistics, cumulative, dtypes):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)


OURS = Ours()
rng = np.random.default_rng(1)
CUBE = rng.permutation(60).reshape(3, 4, 5).astype(np.float32) / 7 - 3
NANS = np.array([[3.0, np.nan, 1.0, -np.inf, 2.0], [5.0, 4.0, np.inf, 0.0, -1.0], [np.nan, np.nan, 7.0, 6.0, np.nan]],
                np.float32)
INTEGERS = np.array([[3, 1, 2, 3, 0], [2, 2, 9, -4, 2]])


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def same(ours: Any, theirs: Any) -> None:
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert repr(a.dtype) == repr(b.dtype)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-5, atol=1e-6)


def rows(text: str) -> list[str]:
    return [s.strip() for line in text.strip().splitlines() for s in line.split(" ; ")]


DIFFERENTIABLE = """
x.sort() ; x.sort(0) ; x.sort(1, descending=True) ; x.sort(dim=-2, stable=True) ; x[0, 0, 0].sort() ; x.msort()
torch.sort(x, 2, True)
x.topk(2) ; x.topk(3, 0) ; x.topk(1, 1, largest=False) ; x.topk(2, dim=-2, largest=False) ; x.topk(5) ; x.topk(0)
x[0, 0, 0].topk(1)
x.kthvalue(1) ; x.kthvalue(3, 1) ; x.kthvalue(2, 0, keepdim=True) ; x[0, 0, 0].kthvalue(1)
x.median() ; x.median(0) ; x.median(1) ; x.median(2, keepdim=True) ; x[0].median() ; x[0, 0, 0].median()
x.nanmedian() ; x.nanmedian(1)
x.quantile(0.3) ; x.quantile(0.0, 1) ; x.quantile(1.0, -1, keepdim=True) ; x.quantile(0.77, 0)
x.quantile(0.5, keepdim=True)
x.quantile(torch.tensor([0.1, 0.5, 0.9])) ; x.quantile(torch.tensor([0.1, 0.5]), 1)
x.quantile(torch.tensor([0.2, 0.5]), 0, True)
x.quantile(torch.tensor(0.35), 2, keepdim=True) ; x.quantile(torch.tensor([0.2]), keepdim=True)
x[0, 0, 0].quantile(0.5)
x.quantile(0.3, 1, interpolation='lower') ; x.quantile(0.3, 1, interpolation='higher')
x.quantile(0.3, 2, interpolation='nearest')
x.quantile(0.3, 2, interpolation='midpoint') ; x.nanquantile(0.4) ; x.nanquantile(0.4, 1)
x.cumsum(0) ; x.cumsum(-1) ; x.cumsum(1, dtype=torch.float64) ; x.cumprod(0) ; x.cumprod(2) ; x[0, 0, 0].cumsum(0)
(x * (x > 0)).cumprod(1)
x.cummax(0) ; x.cummax(2) ; x.cummin(1) ; x.cummin(-1) ; x[0, 0, 0].cummax(0) ; x.logcumsumexp(0) ; x.logcumsumexp(2)
(x * 40).to(torch.float64).logcumsumexp(1) ; x[0, 0, 0].logcumsumexp(0) ; x.diff() ; x.diff(2) ; x.diff(dim=0)
x.diff(n=5) ; x.diff(9) ; x.diff(0)
x.diff(prepend=x[:, :, :1]) ; x.diff(dim=1, append=x[:, :2]) ; x.diff(1, 0, x[:1], x[:1]) ; x.clone().cumsum_(1)
x.clone().cumprod_(0)
"""


@pytest.mark.parametrize("text", rows(DIFFERENTIABLE))
def test_gradient(text: str) -> None:
    results = []
    for library in (OURS, torch):
        x = library.tensor(CUBE).requires_grad_()
        out = flat(eval(text, {"torch": library, "x": x}))
        weights = np.cos(np.arange(out[0].numel(), dtype=np.float32)).reshape(tuple(out[0].shape))
        ((out[0] * library.tensor(weights)).sum() + x.sum() * 0).backward()
        results.append([*out, x.grad])
    same(*results)


PLAIN = """
i.sort() ; i.sort(0, True) ; i.sort(stable=True, descending=True) ; b.sort() ; i.argsort(stable=True)
i.argsort(0) ; n.argsort(stable=True)
n.sort() ; n.sort(1, True) ; n.sort(0) ; n.topk(3)[0] ; n.topk(2, largest=False)[0] ; i.topk(2)[0] ; i.topk(2, 0)
i.msort() ; n.median()
n.median(1)[0] ; n.median(0) ; n.nanmedian() ; n.nanmedian(1) ; n.nanmedian(0) ; i.median()
i.median(0)
n.quantile(0.5, 1) ; n.nanquantile(0.5, 1) ; n.nanquantile(0.25, 0) ; n.quantile(0.1)
n.nanquantile(torch.tensor([0.0, 1.0]), 1)
i.kthvalue(2)[0] ; n.kthvalue(5)[0] ; i.mode() ; i.mode(0)[0] ; i.mode(1, keepdim=True) ; x.mode(0)[0]
b.mode()[0] ; i[0, 0].mode()
i.cumsum(0) ; i.cumsum(1) ; b.cumsum(1) ; b.cumprod(0) ; i.cumprod(1) ; i.cumsum(1, dtype=torch.float32)
i.to(torch.int32).cumsum(0)
n.cumsum(1) ; n.cummax(1) ; n.cummin(0) ; i.cummax(1) ; i.cummin(1) ; b.cummax(1) ; i.diff() ; b.diff()
i.diff(2, 0) ; i.diff(prepend=i[:, :1])
n.logcumsumexp(1) ; m.logcumsumexp(0) ; e.sort() ; e.argsort() ; e.cumsum(1) ; e.cumprod(0) ; e.diff() ; z.median()
z.sort() ; z.topk(0)
h.sort() ; h.topk(2) ; h.cumsum(0) ; x.to(torch.float64).quantile(0.3) ; i.to(torch.uint8).sort()[0] ; c.cumsum(0)
c.cumprod(1)
"""


@pytest.mark.parametrize("text", rows(PLAIN))
def test_value(text: str) -> None:
    arrays = {"i": INTEGERS, "b": INTEGERS > 1, "n": NANS, "x": CUBE, "e": np.zeros((0, 3), np.float32),
              "z": np.zeros(0, np.float32), "m": np.array([-np.inf, -np.inf, 0.0, np.inf, 1.0]),
              "h": np.array([3.5, -1.0, 2.25], np.float16), "c": INTEGERS + 1j * INTEGERS[::-1]}
    ours, theirs = (eval(text, {"torch": library, **{k: library.tensor(v) for k, v in arrays.items()}})
                    for library in (OURS, torch))
    same(ours, theirs)


ERRORS = """
x.topk(9) ; x.topk(-1) ; x.kthvalue(9) ; x.kthvalue(0, 1) ; x.sort(3) ; x.quantile(2.0) ; i.quantile(0.5)
x.diff(n=-1) ; x.median(5)
x.quantile(0.5, interpolation='cubic') ; x.quantile(torch.tensor([[0.5]])) ; z.quantile(0.5) ; z.median(0)
x.cumsum(3) ; x[0, 0, 0].diff()
"""


@pytest.mark.parametrize("text", rows(ERRORS))
def test_errors(text: str) -> None:
    found = []
    for library in (OURS, torch):
        arrays = {"x": CUBE, "i": INTEGERS, "z": np.zeros(0, np.float32)}
        with pytest.raises(Exception) as caught:
            eval(text, {"torch": library, **{k: library.tensor(v) for k, v in arrays.items()}})
        found.append(caught.value)
    assert isinstance(found[0], type(found[1]))
    assert str(found[0]) == str(found[1])


@pytest.mark.parametrize("name", ["sort", "topk", "kthvalue", "median", "nanmedian", "mode", "cummax", "cummin"])
def test_named_results(name: str) -> None:
    arguments = {"topk": (2,), "kthvalue": (2,), "sort": ()}.get(name, (0,))
    ours, theirs = (getattr(library.tensor(CUBE[0]), name)(*arguments) for library in (OURS, torch))
    assert ours.values is ours[0]
    assert ours.indices is ours[1]
    assert repr(ours) == repr(theirs)


def test_tied_median_shares_its_gradient() -> None:
    grads = []
    for library in (OURS, torch):
        x = library.tensor([1.0, 2.0, 2.0, 3.0, 2.0]).requires_grad_()
        x.median().backward()
        grads.append(x.grad)
    same(*grads)


def test_complex_numbers_have_no_order() -> None:
    with pytest.raises(RuntimeError, match="does not support complex"):
        OURS.tensor([1j]).sort()
