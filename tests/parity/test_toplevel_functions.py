"""Functions of torch itself that its layers call, and others that few call, against torch: values and gradients."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

pytestmark = pytest.mark.usefixtures("numpy_engine")

# `m` is the library; `x` a matrix, `v` a vector, `i` positions, `t` a table, `c` an image, `g` a grid, `s` and `h` of sequences.
CASES = """
m.batch_norm(x, v, v, v, v.exp(), False, 0.1, 1e-5, True)
m.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False)
m.instance_norm(s, None, None, None, None, True, 0.1, 1e-5, False) ; m.layer_norm(x, [3], v, v, 1e-5, False)
m.group_norm(x, 1, v, v, 1e-5, True) ; m.embedding(x, i) ; m.embedding(x, i, 1, False, False)
m.embedding_renorm_(x.detach().clone(), i, 1.0, 2.0) ; m.embedding_bag(x, i, m.tensor([0, 1]))[0]
m.embedding_bag(x, i, m.tensor([0, 1]), False, 1)[0]
m.embedding_bag(x, i, m.tensor([0, 1, 2]), False, 2, False, None, True)[0] ; m.dropout(x, 0.5, False)
m.dropout(x, 0.0, True) ; m.alpha_dropout(x, 0.5, False) ; m.feature_dropout(x, p=0.5, train=False)
m.native_dropout(x, 0.5, False)[1] ; m.dropout_(x.detach().clone(), 0.5, train=False)
m.rrelu(x, 0.1, 0.3, False, None) ; m.threshold(x, 0.0, 7.0)
m.affine_grid_generator(m.ones(1, 2, 3), (1, 1, 2, 2), False) ; m.grid_sampler(c, g, 0, 0, False)
m.grid_sampler_2d(c, g, 1, 1, True) ; m.grid_sampler(c, g, 2, 2, False)
m.ctc_loss(s.log_softmax(-1), m.tensor([[1], [2]]), (4, 4), (1, 1), 0, 2) ; m.norm_except_dim(x, 2, 1)
m.norm_except_dim(x, 1, -1) ; m.ctc_loss(s.log_softmax(-1), m.tensor([[1], [2]]), m.tensor([4, 3]), m.tensor([1, 1]))
m.convolution(c, c[:, :, :2, :2], None, [1, 2], [1, 0], [1, 1], False, [0, 0], 1)
m.convolution(c, c[:, :, :2, :2], None, [2, 2], [0, 0], [1, 1], True, [1, 0], 1)
m.repeat_interleave(x, m.tensor([2, 0]), 0) ; m.repeat_interleave(v, m.tensor([3])) ; m.repeat_interleave(i)
m.repeat_interleave(x, m.tensor([1, 2]), 0, output_size=3) ; m.repeat_interleave(x, 2, 1, output_size=6)
m.repeat_interleave(repeats=i) ; m.where(x > 0)[1] ; m.where(x > 0, self=1.0, other=x) ; m.max(x, other=-x)
x.min(other=-x) ; m.hsplit(x, sections=3)[1] ; x.hsplit(1, 2)[2] ; m.tensor_split(x, indices=[1], dim=1)[1]
x.squeeze(0, 1) ; x[:1].squeeze(0, 1) ; x.count_nonzero(0, 1) ; v.broadcast_to(2, 3) ; m.swapaxes(x, axis0=0, axis1=1)
x.split(split_size=1)[1] ; m.arange(end=3) ; m.isin(element=1, test_elements=i) ; m.isin(i, test_element=1)
m.asarray(obj=[1.0], dtype=m.float64) ; m.result_type(tensor=i, other=1.0) ; m.rsub(x, 2, 3)
x.detach().clone().sub_(2, 3) ; x.detach().clone().copy_(other=x * 2) ; x.to(m.float64, False, True)
m.histogramdd(x.detach(), 2, [-1.0, 1.0] * 3)[0] ; m.nuclear_norm(x, False)
m.cholesky_solve(input=x[:, :2], input2=m.eye(2)) ; m.argsort(x.detach(), stable=True, out=m.empty(0, dtype=m.int64))
m.abs_(input=x.detach().clone()) ; m.searchsorted(m.arange(4.0), self=1.5)
m.segment_reduce(x, 'sum', lengths=m.tensor([2, 0]))
m.segment_reduce(x, 'mean', offsets=m.tensor([0, 1, 2]), initial=2.0)
m.segment_reduce(x, 'max', lengths=m.tensor([1, 1]))
m.segment_reduce(x, 'min', lengths=m.tensor([[1, 2], [3, 0]]), axis=1, initial=0.5)
m.segment_reduce(x, 'prod', lengths=m.tensor([2]), unsafe=True)
m.segment_reduce(x, 'mean', lengths=m.tensor([0, 2]), unsafe=True)
m.nn.functional.grouped_mm(b(4, 8), b(2, 8, 8), offs=o(1, 4)) ; m.nn.functional.grouped_mm(b(2, 4, 8), b(2, 8, 8))
m.nn.functional.grouped_mm(b(4, 8), b(8, 8), offs=o(4, 8))
m.nn.functional.grouped_mm(b(2, 4, 8), b(8, 16), offs=o(8, 16)) ; m.func.rearrange(s, 't n c -> n (c t)')
m.func.rearrange(s, '(a b) ... -> ... a b', a=2) ; m.func.rearrange([v, v], 'n c -> c n ()')
m.lstm(s, (h, h), w(12, 3) + w(12, 3), True, 2, 0.0, False, False, False)[0]
m.lstm(s, (h, h), w(12, 3) + w(12, 3), True, 2, 0.0, False, False, False)[2]
m.lstm(s.flatten(0, 1), m.tensor([2, 2, 2, 2]), (h[:1], h[:1]), w(12, 3), True, 1, 0.0, False, False)[0]
m.gru(s.transpose(0, 1), h, w(9, 3) * 2, True, 1, 0.0, False, True, True)[1]
m.rnn_tanh(s, h[:1], w(3, 3)[:2], False, 1, 0.0, True, False, False)[0]
m.rnn_relu(s, h[:1], w(3, 3), True, 1, 0.0, False, False, False)[1] ; m.lstm_cell(x, (x, x), *w(12, 3))[1]
m.gru_cell(x, x, *w(9, 3)) ; m.rnn_tanh_cell(x, x, *w(3, 3)[:2]) ; m.rnn_relu_cell(x, x, *w(3, 3)) ; m.aminmax(x).min
"""


def cases() -> list[str]:
    return [case.strip() for line in CASES.strip().splitlines() for case in line.split(" ; ")]


def names(library: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)

    def of(*shape: int, kind: Any = np.float32) -> Any:
        return library.from_numpy((rng.standard_normal(shape) / 2).astype(kind))

    def weights(rows: int, columns: int) -> list[Any]:
        drawn = np.random.default_rng(1)
        return [library.from_numpy(drawn.standard_normal(shape).astype(np.float32)) / 3
                for shape in ((rows, columns), (rows, 3), (rows,), (rows,))]

    def half(*shape: int) -> Any:
        return library.from_numpy(np.random.default_rng(2).standard_normal(shape).astype(np.float32)).to(library.bfloat16)

    return {"m": library, "x": of(2, 3).requires_grad_(), "v": of(3), "i": library.tensor([1, 0]), "c": of(1, 1, 3, 4),
            "g": of(1, 2, 2, 2), "s": of(4, 2, 3), "h": of(2, 2, 3), "w": weights, "b": half,
            "o": lambda *ends: library.tensor(ends, dtype=library.int32)}


def evaluated(case: str, library: Any, change: Callable[[Callable[[Any], Any]], Callable[[Any], Any]] = lambda f: f) -> Any:
    known = names(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = change(lambda x: eval(case, {**known, "x": x}))(known["x"])
        if isinstance(found, library.Tensor) and found.requires_grad:
            found.nan_to_num().square().sum().backward()
    return found, known["x"].grad


@pytest.mark.parametrize("case", cases())
def test_a_function_gives_what_torch_gives(case: str) -> None:
    (theirs, their_grad), (ours, our_grad) = evaluated(case, torch), evaluated(case, flambeau)
    if not isinstance(theirs, torch.Tensor):
        assert str(ours) == str(theirs)
        return
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5 if theirs.dtype is not torch.bfloat16 else 2e-2, atol=1e-5)
    close(ours.detach().float().numpy(), theirs.detach().float().numpy())
    assert (our_grad is None) == (their_grad is None)
    if their_grad is not None:
        close(our_grad.numpy(), their_grad.numpy(), rtol=1e-4)


@pytest.mark.parametrize("case", [
    "m.repeat_interleave(x, i, 0, output_size=1)", "m.segment_reduce(x, 'sum', lengths=m.tensor([1, 1]))", "m.embedding(x, i)",
    "m.lstm(s, (h, h), w(12, 3) + w(12, 3), True, 2, 0.0, False, False, False)[0] * x[0, 0]"])
def test_under_jit_it_is_the_same(case: str) -> None:
    found, _ = evaluated(case, flambeau, flambeau.jit)
    wanted, _ = evaluated(case, flambeau)
    np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-6)


def test_random_ones_drop_as_often_as_asked() -> None:
    x = flambeau.ones(40, 50)
    for found in (flambeau.dropout(x, 0.25, True), flambeau.native_dropout(x, 0.25, True)[0]):
        assert set(found.unique().tolist()) == {0.0, np.float32(4 / 3)} and 0.2 < float((found == 0).float().mean()) < 0.3
    slopes = -flambeau.rrelu(-x, 0.25, 0.5, True, flambeau.Generator().manual_seed(0))
    assert 0.25 <= float(slopes.min()) < 0.3 and 0.45 < float(slopes.max()) <= 0.5
    rows = flambeau.feature_dropout(x.view(40, 50, 1).expand(40, 50, 3), 0.5, True)
    assert bool((rows == rows[..., :1]).all())
