"""Functions where their operands end: NaN, infinity, poles, ties, nothing at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F

pytestmark = pytest.mark.usefixtures("numpy_engine")

INF, NAN = math.inf, math.nan


def gradient(function: Callable[..., Any], x: Any, order: int = 1) -> list[float]:
    at = torch.as_tensor(x).detach().clone().requires_grad_()
    y = function(at)
    for _ in range(order):
        (y,) = torch.autograd.grad(y.sum(), at, create_graph=True)
    return y.detach().tolist()  # type: ignore[no-any-return]


def same(found: Any, wanted: Any, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(found, np.float64), np.asarray(wanted, np.float64), rtol, 1e-6)


@pytest.mark.parametrize("right", [False, True])
def test_a_boundary_that_is_nan_is_larger_than_numbers(right: bool) -> None:
    generator = np.random.default_rng(0)
    for nans in range(4):
        boundaries = np.sort(np.append(generator.integers(-5, 5, 6).astype(np.float32), [NAN] * nans))
        values = np.array([-INF, -6, -3, 0, 2.5, 4, 7, INF], np.float32)
        found = torch.bucketize(torch.tensor(values), torch.tensor(boundaries), right=right)
        assert found.tolist() == np.searchsorted(boundaries, values, "right" if right else "left").tolist()
    assert torch.searchsorted(torch.tensor([1.0, 2.0]), torch.tensor([NAN]), right=right).tolist() == [2]


@pytest.mark.parametrize(("view", "size", "wanted", "offset"), [
    (lambda: torch.arange(6.0).view(3, 2).t(), (2, 4), [0, 1, 2, 3, 4, 5], 0),
    (lambda: torch.arange(12.0).view(3, 4)[1:, 1:], (2, 4), [5, 6, 7, 8, 9, 10, 11], 5),
    (lambda: torch.arange(6.0)[::2], (7,), [0, 1, 2, 3, 4, 5], 0),
    (lambda: torch.arange(12.0).view(3, 4)[:, 1], (20,), [*range(1, 12)], 1),
    (lambda: torch.arange(3.0).expand(2, 3), (2, 4), [0, 1, 2], 0),
    (lambda: torch.arange(6.0)[4:4], (3,), [4, 5], 4),
    (lambda: torch.zeros(0, 3), (4,), [], 0),
    (lambda: torch.arange(3.0), (5,), [0, 1, 2], 0)])
def test_a_larger_size_keeps_the_memory_from_the_offset_on(view: Any, size: Any, wanted: Any, offset: int) -> None:
    x = view().resize_(*size)
    assert x.shape == size
    assert x.is_contiguous()
    assert x.storage_offset() == offset
    assert x.flatten()[:len(wanted)].tolist() == wanted
    assert not x.flatten()[len(wanted):].any()


POLES = torch.tensor([0.0, -1.0, -2.0, -7.0], dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("order", [1, 2])
def test_the_slope_of_polygamma_is_the_next_one(n: int, order: int) -> None:
    x = torch.cat([POLES, torch.tensor([0.5, 3.0, -0.5, -1.25], dtype=torch.float64)])
    same(gradient(lambda x: torch.polygamma(n, x), x, order), torch.polygamma(n + order, x))
    assert gradient(lambda x: torch.polygamma(n, x), POLES, order) == [INF if (n + order) % 2 else -INF] * 4


@pytest.mark.parametrize(("function", "n"), [(torch.digamma, 0), (torch.lgamma, -1)])
def test_slopes_of_digamma_and_lgamma_at_poles(function: Any, n: int) -> None:
    for order in range(1 - n, 4):
        assert gradient(function, POLES, order) == [INF if (n + order) % 2 else -INF] * 4


IMAGE = torch.arange(1.0, 10.0).view(1, 1, 3, 3)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["border", "reflection"])
@pytest.mark.parametrize("align", [False, True])
def test_nan_is_read_at_the_first_pixel(mode: str, padding: str, align: bool) -> None:
    grid = torch.tensor([[[[NAN, 0.0], [0.0, NAN], [NAN, NAN]]]])
    same(F.grid_sample(IMAGE, grid, mode, padding, align).flatten(), [4, 2, 1])
    infinite = torch.tensor([[[[INF, 0.0], [-INF, 0.0], [0.0, INF]]]])
    wanted = [6, 4, 8] if padding == "border" else [4, 4, 2]
    same(F.grid_sample(IMAGE, infinite, mode, padding, align).flatten(), wanted)


def test_nothing_is_read_at_infinity() -> None:
    grid = torch.tensor([[[[INF, 0.0], [0.0, -INF], [NAN, 0.0], [1e30, 0.0]]]])
    read = lambda grid: F.grid_sample(IMAGE, grid, "nearest", "zeros", False)  # noqa: E731
    assert read(grid).flatten().tolist() == [0, 0, 0, 0]
    assert not np.any(gradient(read, grid))


@pytest.mark.parametrize(("kind", "eps", "wanted", "slopes"), [
    (torch.half, 1e-3, [6.9297, -6.9062, 6.9297, NAN], [0, 0, 0, NAN]),
    (torch.half, 1e-8, [7.625, -INF, INF, NAN], [2050, INF, INF, NAN]),
    (torch.bfloat16, 1e-3, [INF, -6.9062, INF, NAN], [INF, 0, INF, NAN]),
    (torch.float32, 1e-3, [6.906755, -6.906755, 6.906755, NAN], [0, 0, 0, NAN])])
def test_the_bounds_of_logit_are_numbers_of_the_dtype(kind: Any, eps: float, wanted: Any, slopes: Any) -> None:
    x = torch.tensor([0.9995, 0.0, 1.0, NAN]).to(kind)
    same(torch.logit(x, eps).float(), wanted, 1e-4)
    same(gradient(lambda x: torch.logit(x, eps), x), slopes, 1e-2)


def attended(q: Any, k: Any, v: Any, mask: Any, scale: float) -> Any:
    rows, columns = q.shape[-2], k.shape[-2]
    scores = q @ np.repeat(k, q.shape[1] // k.shape[1], 1).swapaxes(-1, -2) * scale
    scores = np.where(mask, scores, -INF) if mask.dtype == np.bool_ else scores + mask
    scores = np.where(np.tri(rows, columns, dtype=np.bool_), scores, -INF)
    powers = np.exp(scores - np.max(scores, -1, keepdims=True, initial=-1e30))
    return powers / np.maximum(powers.sum(-1, keepdims=True), 1e-30) @ np.repeat(v, q.shape[1] // v.shape[1], 1)


@pytest.mark.parametrize("heads", [2, 4])
@pytest.mark.parametrize("bools", [False, True])
def test_a_mask_beside_the_causal_one(heads: int, bools: bool) -> None:
    g = np.random.default_rng(1)
    q, k, v = g.normal(size=(2, heads, 3, 4)), g.normal(size=(2, 2, 5, 4)), g.normal(size=(2, 2, 5, 4))
    mask = g.random((3, 5)) > 0.4 if bools else g.normal(size=(3, 5))
    if bools:
        mask[0, 0] = False  # a row in which nothing is left
    found = F.scaled_dot_product_attention(*map(torch.tensor, (q, k, v, mask)), is_causal=True, scale=0.3,
                                           enable_gqa=heads > 2)
    same(found, attended(q, k, v, mask, 0.3))


@pytest.mark.parametrize("change", [
    {"dropout_p": 0.5}, {"query": torch.ones(2, 3, 4)}, {"attn_mask": torch.ones(3, 5).requires_grad_()},
    {"value": torch.ones(1, 2, 5, 6)}, {"query": torch.ones(1, 4, 3, 4)}])
def test_what_takes_no_mask_beside_the_causal_one(change: dict[str, Any]) -> None:
    given = {"query": torch.ones(1, 2, 3, 4), "key": torch.ones(1, 2, 5, 4), "value": torch.ones(1, 2, 5, 4),
             "attn_mask": torch.ones(3, 5, dtype=torch.bool), **change}
    if given["query"].ndim == 3:
        given |= {"key": torch.ones(2, 5, 4), "value": torch.ones(2, 5, 4)}
    with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set when is_causal=True"):
        F.scaled_dot_product_attention(**given, is_causal=True)


def test_a_mask_of_four_dimensions_has_two_at_least() -> None:
    x = torch.ones(1, 2, 3, 4)
    with pytest.raises(IndexError, match="Dimension out of range"):
        F.scaled_dot_product_attention(x, x, x, torch.ones(3, dtype=torch.bool))
    assert F.scaled_dot_product_attention(x[0], x[0], x[0], torch.ones(3, dtype=torch.bool)).shape == (2, 3, 4)


@pytest.mark.parametrize(("kind", "number", "wanted"), [
    (torch.int8, 300, 44), (torch.uint8, -5, 251), (torch.uint8, -2.7, 254), (torch.int16, 70000, 4464),
    (torch.int8, 2**63, 0), (torch.int64, 2**63, -2**63), (torch.int16, 1e9, -13824), (torch.half, 1e9, INF),
    (torch.half, -70000, -INF), (torch.float32, 1e300, INF), (torch.int32, NAN, -2**31), (torch.bool, 300, True),
    (torch.int8, np.int64(300), 44), (torch.half, np.float64(1e9), INF), (torch.int8, True, 1)])
def test_numbers_that_do_not_fit_are_converted_as_tensors_are(kind: Any, number: Any, wanted: Any) -> None:
    assert torch.zeros(2, dtype=kind).copy_(number).tolist() == [wanted] * 2


@pytest.mark.filterwarnings("ignore:Casting complex values to real")
def test_of_a_complex_number_the_real_part_is_copied() -> None:
    assert torch.zeros(1).copy_(1 + 2j).tolist() == [1.0]
    assert torch.zeros(1, dtype=torch.int8).copy_(1 + 2j).tolist() == [1]


def test_numbers_beyond_64_bits_are_not_copied_and_others_not_filled() -> None:
    with pytest.raises(OverflowError):
        torch.zeros(1, dtype=torch.int8).copy_(2**64 + 1)
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.zeros(1, dtype=torch.int8).fill_(300)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pooling_of_no_channels(rank: int) -> None:
    pool, largest = getattr(F, f"adaptive_avg_pool{rank}d"), getattr(F, f"adaptive_max_pool{rank}d")
    x = torch.zeros(2, 0, *[4] * rank)
    assert pool(x, 1).shape == (2, 0, *[1] * rank)
    assert pool(x[0], 2).shape == largest(x[0], 2).shape == (0, *[2] * rank)
    if rank < 3:
        assert pool(x, 2).shape == (2, 0, *[2] * rank)
    for refused in [lambda: largest(x, 2), *([lambda: pool(x, 2)] if rank == 3 else [])]:
        with pytest.raises(RuntimeError, match="Expected input to have non-zero size for non-batch dimensions"):
            refused()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_mean_of_everything_may_be_complex(rank: int) -> None:
    pool = getattr(F, f"adaptive_avg_pool{rank}d")
    x = np.arange(4.0**rank).reshape(1, *[4] * rank) * (1 + 2j)
    found = pool(torch.tensor(x), 1)
    assert found.flatten().tolist() == [x.mean()]
    with pytest.raises(NotImplementedError):
        pool(torch.tensor(x), 2)
    assert pool(torch.zeros(1, 2, *[0] * rank), 1).isnan().all()


@pytest.mark.parametrize(("name", "wanted"), [("and", [0, 0, 1]), ("or", [1, 1, 1]), ("xor", [1, 1, 0]), ("not", [0, 1, 0])])
def test_leaves_take_logic_in_place(name: str, wanted: list[float]) -> None:
    others = () if name == "not" else (torch.tensor([0.0, 5.0, 5.0]),)
    x = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    assert getattr(x, f"logical_{name}_")(*others) is x
    assert x.tolist() == wanted
    assert x.is_leaf
    assert x.requires_grad
    (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2 * n for n in wanted]
    y = x * 3
    getattr(y, f"logical_{name}_")(*others)
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [3, 3, 3]  # as before


@pytest.mark.parametrize("shape", [(2, 0), (0, 2), (3, 2, 0), (0, 2, 3)])
@pytest.mark.filterwarnings("ignore:torch.cholesky is deprecated")
def test_matrices_of_nothing_need_not_be_square(shape: tuple[int, ...]) -> None:
    x, turned = torch.zeros(shape), (*shape[:-2], shape[-1], shape[-2])
    assert torch.linalg.pinv(x, hermitian=True).shape == turned
    rank = torch.linalg.matrix_rank(x, hermitian=True)
    assert rank.dtype is torch.int64
    assert rank.tolist() == torch.zeros(shape[:-2]).tolist()
    assert torch.cholesky(x).shape == shape
    P, L, U = torch.linalg.lu(x, pivot=False)
    count = min(shape[-2:])
    assert (P.shape, L.shape, U.shape) == ((0,), (*shape[:-1], count), (*shape[:-2], count, shape[-1]))
    with pytest.raises(RuntimeError, match="square"):
        torch.linalg.pinv(torch.zeros(2, 3), hermitian=True)
    with pytest.raises(RuntimeError, match="without pivoting"):
        torch.linalg.lu(torch.zeros(2, 2), pivot=False)


def test_the_density_of_what_no_wishart_draws() -> None:
    scale, df = np.array([[2.0, 0.3], [0.3, 1.0]]), 3.5
    distribution = torch.distributions.Wishart(torch.tensor(df), torch.tensor(scale).float(), validate_args=False)
    for x in ([[2.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]], [[1.0, 0.5], [0.2, 1.0]]):
        given = np.array(x)
        norm = df * (math.log(2) + np.linalg.slogdet(scale)[1] / 2) + math.log(math.pi) / 2 + math.lgamma(df / 2) + math.lgamma(
            (df - 1) / 2)
        wanted = (df - 3) / 2 * np.linalg.slogdet(given)[1] - np.trace(np.linalg.solve(scale, given)) / 2 - norm
        same(distribution.log_prob(torch.tensor(x)), wanted)


ENDS = [INF, -INF, NAN, 3.0, -3.0, 0.0, 1.0, 4.0, -4.0]


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.half])
def test_slopes_of_hard_activations_at_their_ends(kind: Any) -> None:
    x = torch.tensor(ENDS, dtype=kind)
    same(gradient(F.hardswish, x), [1, 0, 1, 1, 0, 0.5, 5 / 6, 1, 0], 1e-3)
    same(gradient(F.hardsigmoid, x), [0, 0, 0, 0, 0, 1 / 6, 1 / 6, 0, 0], 1e-3)
    same(gradient(F.hardswish, x, 2), [0, 0, 0, 0, 0, 1 / 3, 1 / 3, 0, 0], 1e-3)


@pytest.mark.parametrize("reduce", ["amax", "amin"])
def test_where_the_extreme_is_nan_all_that_went_there_has_none(reduce: str) -> None:
    source = torch.tensor([1.0, NAN, 2.0, 2.0])
    read = lambda a, b: a.scatter_reduce(0, torch.tensor([0, 0, 1, 1]), b, reduce)  # noqa: E731
    start = torch.tensor([0.0, 2.0])
    same(gradient(lambda b: read(start, b), source), [NAN, NAN, 1 / 3, 1 / 3])
    same(gradient(lambda a: read(a, source), start), [NAN, 1 / 3])


@pytest.mark.parametrize("p", [INF, -INF])
def test_a_norm_that_is_nan_has_no_slope(p: float) -> None:
    assert gradient(lambda x: torch.linalg.vector_norm(x, p), [1.0, NAN, 2.0]) == [0, 0, 0]
    rows = [[1.0, NAN, 2.0], [3.0, -3.0, 3.0]]
    same(gradient(lambda x: torch.linalg.vector_norm(x, p, 1), rows), [[0, 0, 0], [1 / 3, -1 / 3, 1 / 3]])


def test_equal_distances_have_the_whole_slope_each() -> None:
    x, y = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 0.5]]), torch.tensor([[2.0, -2.0, 1.0]])
    assert F.pdist(x, INF).tolist() == [1.0]
    assert gradient(lambda x: F.pdist(x, INF), x) == [[-1, 1, 0], [1, -1, 0]]
    assert torch.cdist(x, y, INF).tolist() == [[2.0], [1.0]]
    assert gradient(lambda x: torch.cdist(x, y, INF), x) == [[-1, 1, 0], [-1, 1, 0]]
    assert gradient(lambda x: torch.cdist(x, x.detach(), INF), x[:1]) == [[0, 0, 0]]
    assert F.pdist(torch.zeros(3, 0), INF).tolist() == [0, 0, 0]
