"""Other spellings of calls, against torch: numpy's names, Python's types as dtypes, old orders, operators by name."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

pytestmark = pytest.mark.usefixtures("numpy_engine")

# `torch` is the library, `x` a matrix, `y` one like it, `v` a vector, `s` a 0-d tensor, `i` positions.
CALLS = """
x.sum(axis=1) ; torch.sum(x=x) ; torch.sum(a=x, axis=0, keepdims=True) ; x.mean(axis=(0, 1)) ; x.prod(axis=1)
torch.max(x, axis=1)[0] ; x.min(axis=0, keepdims=True)[1] ; x.argmax(axis=1) ; x.argmin(axis=0, keepdims=True)
x.std(axis=1) ; x.var(axis=0, keepdims=True) ; torch.std_mean(x, axis=1)[1] ; x.amax(axis=1) ; x.amin(axis=0)
x.all(axis=1) ; torch.any(x, axis=0) ; x.cumsum(axis=1) ; x.cumprod(axis=0) ; torch.logsumexp(x, axis=1)
x.logcumsumexp(axis=0) ; x.cummax(axis=1)[0] ; torch.softmax(x, axis=1) ; torch.log_softmax(x, axis=0)
torch.cat([x, x], axis=1) ; torch.stack([x, x], axis=2) ; torch.unsqueeze(x, axis=1) ; x.unsqueeze(axis=0)
x[:1].squeeze(axis=0) ; x.sort(axis=0)[0] ; torch.argsort(x, axis=1) ; x.topk(2, axis=1)[0] ; x.median(axis=0)[0]
torch.count_nonzero(x, axis=1) ; x.diff(axis=0)
torch.chunk(x, 2, axis=1)[0] ; torch.unbind(x, axis=1)[0] ; x.nansum(axis=1)
torch.index_select(x, axis=0, index=i) ; torch.repeat_interleave(x, 2, axis=1) ; torch.flip(x, dims=(0,))
torch.eq(x1=x, x2=y) ; torch.maximum(x1=x, x2=y) ; torch.atan2(x1=x, x2=y) ; torch.exp(x=x) ; torch.floor(x=x)
x.clone().cumsum_(axis=1) ; torch.zeros(2, dtype=float) ; torch.ones(2, dtype=int) ; torch.full((2,), 1, dtype=bool)
torch.tensor([1, 0], dtype=complex) ; x.to(int) ; x.to(float) ; x.to(dtype=bool) ; x.sum(dtype=float)
torch.zeros_like(x, dtype=int) ; x.new_zeros(2, dtype=bool) ; torch.arange(3, dtype=float) ; torch.eye(2, dtype=int)
torch.linspace(0, 1, 3, dtype=float) ; x.softmax(1, dtype=float) ; torch.empty(0, dtype=int)
x.clone().add_(-0.5, y) ; x.clone().sub_(2, y) ; x.clone().addcmul_(0.5, y, y) ; x.clone().addcdiv_(-1, y, y + 9)
torch.addcmul(x, 2, y, y) ; x.clone().addmm_(0.5, 2, x, x) ; x.clone().addmm_(0.5, x, x) ; torch.addmv(2, v, 3, x, v)
x.__radd__(2) ; x.__radd__(y) ; x.__rsub__(y) ; x.__rmul__(y) ; x.__rtruediv__(y) ; x.__rdiv__(2.0) ; x.__rpow__(2)
x.__rmatmul__(y) ; x.__rmod__(y) ; i.__rand__(i) ; i.__ror__(1) ; i.__rxor__(i) ; x.__div__(2)
torch.linspace(s, s + 2, 3) ; torch.linspace(-2, 5, 1) ; torch.logspace(0, s, 2) ; torch.tensor_split(x, torch.tensor([1, 2]))[1]
torch.std_mean(x, False)[1] ; torch.var_mean(x, True)[0] ; torch.broadcast_shapes((2, 1), 3) ; torch.tensordot(x[:, :1], x, 1)
torch.fill(x, 2.0) ; torch.empty((2, 3, 4, 5), memory_format=torch.channels_last).stride() ; x.layout == torch.strided
torch.gradient(v, spacing=2.0)[0] ; torch.gradient(x, edge_order=2)[1] ; torch.trapezoid(x, dx=2) ; torch.histogram(v, 3)[0]
torch.combinations(v, 2) ; torch.cartesian_prod(v, v) ; torch.block_diag(x, v, s) ; torch.column_stack([v, v])
"""
REFUSED = """
torch.eq(2, x) ; torch.maximum(x, 2) ; torch.atan2(2.0, x) ; torch.bitwise_and(2, 3) ; x.sum(foo=1) ; x.sum(axis=1, dim=0)
torch.isclose(x, x.double()) ; torch.cat([]) ; torch.vstack([]) ; torch.roll(x, ()) ; torch.narrow(s, 0, 0, 1)
torch.unbind(s) ; torch.ones(0).amax() ; x.view(0, -1) ; torch.complex(x, i) ; x.masked_fill(x > 0, v)
torch.gradient(v[:1]) ; torch.combinations(x) ; torch.cartesian_prod(x) ; torch.trapezoid(x > 0) ; torch.eye(-1)
"""


def calls(text: str) -> list[str]:
    return [call.strip() for line in text.strip().splitlines() for call in line.split(" ; ")]


def names(library: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x, y = (library.from_numpy(rng.standard_normal((4, 4)).astype(np.float32)) for _ in range(2))
    return {"torch": library, "x": x, "y": y, "v": x[0].clone(), "s": library.tensor(1.5), "i": library.tensor([2, 0])}


def evaluated(call: str, library: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(call, names(library))


@pytest.mark.parametrize("call", calls(CALLS))
def test_a_call_gives_what_torch_gives(call: str) -> None:
    theirs, ours = evaluated(call, torch), evaluated(call, flambeau)
    if not isinstance(theirs, torch.Tensor):
        assert tuple(ours) == tuple(theirs) if isinstance(theirs, tuple) else ours == theirs
        return
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("call", calls(REFUSED))
def test_a_call_is_refused_with_torchs_error(call: str) -> None:
    with pytest.raises(Exception) as theirs:
        evaluated(call, torch)
    with pytest.raises(type(theirs.value)):
        evaluated(call, flambeau)


@pytest.mark.parametrize("update", ["add_", "sub_"])
def test_a_number_before_the_tensor_warns_as_in_torch(update: str) -> None:
    with pytest.warns(UserWarning, match=rf"This overload of {update} is deprecated"):  # torch warns once in a process
        operator.methodcaller(update, 2, flambeau.ones(2))(flambeau.zeros(2))


def test_under_jit_the_spelling_is_the_same() -> None:
    step = flambeau.jit(lambda x: x.sum(axis=1) + x.mean(axis=0, keepdims=True)[0])
    assert step(flambeau.ones(2, 2)).tolist() == [3.0, 3.0]
