"""Turns, mirrors, copies of parts, writes by strides, and questions asked of tensors: against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from .expressions import evaluated, gradients, rows, same, same_error  # noqa: E402

rng = np.random.default_rng(3)
REALS = {"m": rng.normal(size=(2, 3)), "q": rng.normal(size=(3, 3)), "x": rng.normal(size=(2, 3, 4)), "v": rng.normal(size=3),
         "s": np.array(0.7), "z": np.zeros((3, 3)), "o": np.arange(1.0, 5).reshape(2, 2)}
OTHERS = {**{k: a.astype(np.float32) for k, a in REALS.items()}, "i": np.arange(6).reshape(2, 3), "t": np.array([True, False]),
          "c": np.array([1 + 2j, 0], np.complex64), "e": np.zeros(0, np.float32), "n": np.array([[0, 3]], np.uint8)}

lazily = pytest.mark.usefixtures("numpy_engine")

GRADIENTS = """
torch.rot90(m) ; m.rot90(2) ; torch.rot90(x, 3, (1, 2)) ; x.rot90(-1, [2, 0]) ; torch.rot90(m, 0) ; torch.rot90(x, 5, [0, -1])
torch.rot90(m, 4) ; x.rot90(2, (-2, 0))
m.fliplr() ; torch.fliplr(x) ; v.flipud() ; torch.flipud(x)
torch.narrow_copy(m, 1, 0, 2) ; x.narrow_copy(-2, -2, 1) ; m.narrow_copy(1, 3, 0) ; m.t().narrow_copy(0, 1, 2)
m.sum_to_size(1, 3) ; x.sum_to_size((3, 4)) ; x.sum_to_size([3, 1]) ; m.sum_to_size(()) ; m.sum_to_size(2, 3) ; x.sum_to_size(1)
x.sum_to_size(1, 1, 4) ; v[None].sum_to_size(3)
m.unsafe_chunk(2, 1) ; torch.unsafe_chunk(x, 3, -1) ; torch.unsafe_split(x, 3, 2) ; m.unsafe_split(1)
torch.unsafe_split_with_sizes(m, [1, 2], 1) ; x.unsafe_split_with_sizes([2, 0, 2], -1)
"""


@lazily
@pytest.mark.parametrize("text", rows(GRADIENTS))
def test_gradient(text: str) -> None:
    same(gradients(flambeau, text, REALS), gradients(torch, text, REALS))


@lazily
@pytest.mark.parametrize("view, src, size, stride, offset", [
    ("q", "o", (2, 2), (1, 2), None), ("q", "o", (2, 2), (3, 1), 4), ("q", "v", (3,), (4,), 0), ("x", "s", (), (), 7),
    ("q", "v[:0]", (0,), (1,), None), ("q.t()", "v", (3,), (1,), None), ("q[1:]", "v", (3,), (1,), None),
    ("q[1:]", "v", (3,), (1,), 1), ("q[:, ::2]", "v", (3,), (2,), 0), ("q[::2]", "o", (2, 2), (6, 1), 1),
    ("q[1]", "v", (3,), (3,), 2), ("x[0, :, 1]", "o", (2, 2), (5, 4), 3)])
def test_writing_by_strides(view: str, src: str, size: Any, stride: Any, offset: int | None) -> None:
    """As the same write to a copy of all the memory. (torch's own gradient is that of the elements written over.)"""
    text = f"torch.as_strided_scatter({view}, {src}, {size}, {stride}, {offset})"
    base = view[0]
    copied = f"[w := {base}.clone(), w{view[1:]}.as_strided({size}, {stride}, {offset}).copy_({src}), w{view[1:]}][2]"
    arrays = {k: REALS[k] for k in (base, src[0])}
    same(gradients(flambeau, text, arrays), gradients(torch, copied, arrays))


VALUES = """
torch.rot90(i, 1) ; torch.rot90(i, -3, (1, 0)) ; torch.rot90(e[:, None]) ; torch.rot90(t[None], 2)
torch.rot90(i, k=3, dims=(-1, -2)) ; torch.rot90(c[:, None], 7)
torch.fliplr(i) ; torch.flipud(t) ; e.flipud() ; torch.narrow_copy(i, 0, 1, 1) ; torch.narrow_copy(e, 0, 0, 0)
i.sum_to_size(3) ; t.sum_to_size(1) ; n.sum_to_size(1, 1) ; n.sum_to_size(1, 2) ; m[:0].sum_to_size(1, 3)
m[:0].sum_to_size(0, 3) ; m.half().sum_to_size(1) ; c.sum_to_size(1)
torch.unsafe_split(e, 0) ; torch.unsafe_chunk(i, 5) ; torch.unsafe_split_with_sizes(v, (0, 3))
torch.chunk(m[:0], 3) ; m[:, :0].unsafe_chunk(2, 1) ; torch.is_complex(m) ; torch.is_complex(c) ; torch.is_floating_point(i)
torch.as_strided_scatter(i, o, (2, 2), (1, 2)) ; torch.as_strided_scatter(m, i[:1], (1, 3), (3, 2), 1)
torch.as_strided_scatter(n, n[0, 1], (), ())
torch.is_nonzero(s) ; torch.is_nonzero(n[:, :1]) ; torch.is_nonzero(c[1]) ; t[0].is_nonzero() ; torch.is_nonzero(s * float('nan'))
torch.is_signed(m) ; torch.is_signed(t) ; torch.is_signed(n) ; c.is_signed() ; i.is_signed()
m.to(torch.float8_e4m3fn).is_signed() ; m.to(torch.uint16).is_signed() ; m.bfloat16().is_signed()
torch.is_same_size(m, i) ; m.is_same_size(v) ; torch.is_same_size(s, t[0]) ; torch.is_same_size(m, m.t())
m.is_cpu ; m.is_meta ; m.is_quantized ; m.is_sparse_csr ; torch.is_neg(m) ; m.is_neg() ; m.is_inference()
torch.is_inference(m) ; m.is_pinned() ; m.is_shared() ; m.get_device() ; torch.get_device(m)
m.resolve_neg() is m ; torch.resolve_neg(m) is m ; m.ndimension() ; s.ndimension() ; x.ndimension() ; m.sum_to_size(2, 3) is m
c.conj().imag.resolve_neg()
m.new_empty_strided((2, 3), (1, 2)).stride() ; m.new_empty_strided((2, 3), (3, 1), dtype=torch.int64).dtype
m.new_empty_strided(size=(2, 2), stride=(5, 1)).is_contiguous()
m.new_empty_strided((2, 2), (5, 1)).stride() ; i.new_empty_strided((4, 2), (0, 1)).dtype ; m.new_empty_strided((), ()).shape
m.new_empty_strided((0, 2), (5, 1)).shape ; m.new_empty_strided((2, 3), (1, 2)).is_contiguous()
m.new_empty_strided((2, 2), (1, 2), requires_grad=True).requires_grad ; m.new_empty_strided((2, 3), (1, 2)).fill_(4)
m.new_empty_strided((2, 3), (4, 1)).copy_(m).add_(1)
torch.rot90(m).stride() ; torch.rot90(m, 2).stride() ; torch.rot90(m, 3).stride() ; torch.rot90(m.t(), 0).stride()
m.t().narrow_copy(0, 0, 2).stride()
torch.as_strided_scatter(q.t(), v, (3,), (1,)).stride() ; torch.as_strided_scatter(q, v, (3,), (1,)).stride()
"""


@lazily
@pytest.mark.parametrize("text", rows(VALUES))
def test_value(text: str) -> None:
    ours, theirs = evaluated(flambeau, text, OTHERS), evaluated(torch, text, OTHERS)
    if isinstance(theirs, (torch.dtype, torch.Size)):
        ours, theirs = repr(ours), repr(theirs)
    same(ours, theirs)


ERRORS = """
torch.rot90(v) ; torch.rot90(m, 1, [0]) ; torch.rot90(m, 1, [0, 0]) ; torch.rot90(m, 1, [0, 2]) ; torch.rot90(m, 1, [0, -2])
torch.rot90(m, 1, [-3, 0]) ; torch.rot90(m, 1, [0, 1, 2]) ; torch.rot90(s)
torch.rot90(x, 1, (0, 3)) ; v.fliplr() ; torch.fliplr(s) ; s.flipud() ; torch.flipud(s)
torch.narrow_copy(m, 1, 1, 5) ; torch.narrow_copy(s, 0, 0, 1) ; torch.narrow_copy(m, 1, 4, 1) ; torch.narrow_copy(m, 1, -4, 1)
m.sum_to_size(4) ; m.sum_to_size(1, 2, 3) ; m.sum_to_size(2) ; m.sum_to_size() ; m[:1].sum_to_size(0, 3) ; m.sum_to_size(-1, 3)
torch.unsafe_chunk(m, 0) ; torch.unsafe_split(m, -1) ; torch.unsafe_split_with_sizes(m, [1, 1], 1) ; torch.unsafe_chunk(m, 2, 5)
torch.as_strided_scatter(z, v, (2, 2), (1, 2)) ; torch.as_strided_scatter(z, o, (2, 3), (1, 2))
torch.as_strided_scatter(o, m, (2, 3), (4, 1)) ; torch.as_strided_scatter(z, o, (2, 2), (0, 2))
torch.is_nonzero(v) ; torch.is_nonzero(e) ; torch.is_same_size(m, 3)
m.new_empty_strided((2, 2), (1,)) ; m.new_empty_strided((-1, 2), (1, 1)) ; m.new_empty_strided((2, 2), (-1, 1))
"""


@lazily
@pytest.mark.parametrize("text", rows(ERRORS))
def test_error(text: str) -> None:
    same_error(text, OTHERS)


@lazily
def test_narrow_copy_into_out() -> None:
    for library in (flambeau, torch):
        out = library.zeros(2, 2)
        assert library.narrow_copy(library.tensor(OTHERS["m"]), 1, 1, 2, out=out) is out
        np.testing.assert_array_equal(out.numpy(), OTHERS["m"][:, 1:])


@lazily
@pytest.mark.parametrize("text", [
    "torch.rot90(a)", "torch.rot90(a, 4)", "torch.rot90(a, 2)", "a.fliplr()", "a.flipud()", "a.narrow_copy(0, 0, 2)",
    "torch.as_strided_scatter(a, a[0].clone(), (3,), (1,))"])
def test_a_copy_has_memory_of_its_own(text: str) -> None:
    for library in (flambeau, torch):
        a = library.tensor(OTHERS["q"])
        evaluated(library, text, {}, a=a).zero_()
        np.testing.assert_array_equal(a.numpy(), OTHERS["q"])


@lazily
@pytest.mark.parametrize("text", [
    "a.unsafe_chunk(2)[0]", "torch.unsafe_split(a, 2, 1)[1]", "torch.unsafe_split_with_sizes(a, [1, 2])[1]",
    "a.sum_to_size(3, 3)"])
def test_a_piece_shares_memory(text: str) -> None:
    left = []
    for library in (flambeau, torch):
        a = library.tensor(OTHERS["q"])
        evaluated(library, text, {}, a=a).zero_()
        left.append(a)
    same(*left)
    assert not np.array_equal(left[0].numpy(), OTHERS["q"])


@lazily
def test_the_pattern_of_new_memory_is_written_through() -> None:
    """Elements that share a place are one: of the strides (0, 1) every row is the same memory."""
    for library in (flambeau, torch):
        rows_of_one = library.ones(1).new_empty_strided((3, 2), (0, 1))
        rows_of_one[1].copy_(library.tensor([5.0, 6.0]))
        assert rows_of_one.tolist() == [[5, 6]] * 3


def _all(library: Any, m: Any, q: Any, x: Any, v: Any) -> tuple[Any, ...]:
    return (library.rot90(x, 1, (1, 2)), m.fliplr(), m.flipud(), library.narrow_copy(x, 2, 1, 2), x.sum_to_size(3, 1),
            *library.unsafe_chunk(m, 2, 1), library.as_strided_scatter(q, v, (3,), (4,)),
            library.as_strided_scatter(q[1:], v, (3,), (1,), 2), q.new_empty_strided((2, 3), (1, 2)).copy_(m))


def test_compiled() -> None:
    arrays = [OTHERS[k] for k in "mqxv"]
    expected = _all(torch, *map(torch.tensor, arrays))
    same(_all(flambeau, *map(flambeau.tensor, arrays)), expected)
    jitted = flambeau.jit(lambda *xs: _all(flambeau, *xs))(*map(flambeau.tensor, arrays))
    same(jitted, expected)
    assert [y.stride() for y in jitted] == [y.stride() for y in expected]


def test_compiled_gradient() -> None:
    def loss(library: Any) -> Any:
        weights = library.arange(9.0).reshape(3, 3)
        return lambda q, v: ((library.rot90(q) * weights).sum() * q.sum_to_size(1, 3)[0, 1]
                             + library.narrow_copy(v, 0, 1, 2).prod())

    ours = flambeau.jit(flambeau.func.grad(loss(flambeau), argnums=(0, 1)))(*(flambeau.tensor(OTHERS[k]) for k in "qv"))
    same(ours, torch.func.grad(loss(torch), argnums=(0, 1))(*(torch.tensor(OTHERS[k]) for k in "qv")))


def test_questions_are_answered_while_a_function_is_traced() -> None:
    @flambeau.jit
    def step(x: Any) -> Any:
        asked = (x.is_cpu, x.is_signed(), x.get_device(), x.ndimension(), x.is_same_size(x), x.is_neg(), x.is_quantized)
        assert asked == (True, True, -1, 2, True, False, False)
        return x + len(asked)

    assert step(flambeau.zeros(1, 1)).tolist() == [[7.0]]
