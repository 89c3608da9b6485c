"""Functions of layers against torch's: forward and gradients in all modes, on the numpy engine and in one compiled program."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

from .nn_common import close, compare, ours_of, theirs_of

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


LINE, IMAGE, VOLUME = floats(2, 3, 7), floats(2, 3, 6, 5), floats(1, 2, 4, 3, 5)
GRID = (floats(2, 4, 3, 2) * 0.9).clip(-1.6, 1.6)
CASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {}


def case(name: str, function: Callable[..., Any], *arrays: Any) -> None:
    assert name not in CASES, name
    CASES[name] = (function, list(arrays))


for mode, x, size in (("nearest", LINE, 5), ("nearest", IMAGE, (9, 10)), ("nearest", VOLUME, 2), ("nearest-exact", IMAGE, (4, 7)),
                      ("linear", LINE, 11), ("bilinear", IMAGE, (3, 8)), ("bicubic", IMAGE, (8, 3)), ("area", IMAGE, (4, 2)),
                      ("trilinear", VOLUME, (2, 6, 5))):
    case(f"interpolate {mode} {x.ndim}D to {size}",
         lambda m, x, size=size, mode=mode: m.nn.functional.interpolate(x, size, mode=mode), x)
for mode, x in (("linear", LINE), ("bilinear", IMAGE), ("bicubic", IMAGE), ("trilinear", VOLUME)):
    case(f"interpolate {mode} with aligned corners",
         lambda m, x, mode=mode: m.nn.functional.interpolate(x, scale_factor=1.6, mode=mode, align_corners=True), x)
    case(f"interpolate {mode} with a recomputed factor",
         lambda m, x, mode=mode: m.nn.functional.interpolate(x, scale_factor=1.3, mode=mode, recompute_scale_factor=True), x)
    case(f"interpolate {mode} by a factor",
         lambda m, x, mode=mode: m.nn.functional.interpolate(x, scale_factor=0.7, mode=mode), x)
for mode in ("bilinear", "bicubic", "lanczos"):
    for size in ((3, 2), (9, 4)):
        case(f"interpolate {mode} antialiased to {size}", lambda m, x, mode=mode, size=size: m.nn.functional.interpolate(
            x, size, mode=mode, antialias=True), IMAGE)
for mode in ("bilinear", "nearest", "bicubic"):
    for padding in ("zeros", "border", "reflection"):
        for align in (True, False):
            case(f"grid_sample {mode} {padding} {align}", lambda m, x, g, o=(mode, padding, align): m.nn.functional.grid_sample(
                x, g, *o), IMAGE, GRID)
case("grid_sample of volumes", lambda m, x, g: m.nn.functional.grid_sample(x, g, align_corners=False), VOLUME,
     floats(1, 2, 2, 2, 3))
case("affine_grid", lambda m, x: m.nn.functional.affine_grid(x, (2, 1, 3, 4), align_corners=False), floats(2, 2, 3))
case("affine_grid of volumes", lambda m, x: m.nn.functional.affine_grid(x, (1, 1, 2, 3, 2), align_corners=True), floats(1, 3, 4))
case("pixel_shuffle", lambda m, x: m.nn.functional.pixel_shuffle(x, 2), floats(2, 8, 3, 2))
case("pixel_unshuffle", lambda m, x: m.nn.functional.pixel_unshuffle(x, 3), floats(2, 6, 3))
case("channel_shuffle", lambda m, x: m.nn.functional.channel_shuffle(x, 3), floats(2, 6, 3))
case("unfold", lambda m, x: m.nn.functional.unfold(x, (2, 3), dilation=(2, 1), padding=1, stride=(1, 2)), IMAGE)
case("fold", lambda m, x: m.nn.functional.fold(x, (5, 6), (2, 3), dilation=(2, 1), padding=1, stride=(1, 2)), floats(2, 12, 15))
case("lp_pool1d", lambda m, x: m.nn.functional.lp_pool1d(x, 3, 2), abs(LINE))
case("lp_pool2d hanging over", lambda m, x: m.nn.functional.lp_pool2d(x, 2, 2, 2, ceil_mode=True), IMAGE)
case("lp_pool3d", lambda m, x: m.nn.functional.lp_pool3d(x, 2, 2), VOLUME)
case("adaptive_max_pool2d with indices", lambda m, x: m.nn.functional.adaptive_max_pool2d(x, (4, 2), True), IMAGE)
case("adaptive_max_pool3d with indices", lambda m, x: m.nn.functional.adaptive_max_pool3d_with_indices(x, (3, 2, 2)), VOLUME)
case("max_unpool2d", lambda m, x: m.nn.functional.max_unpool2d(*m.nn.functional.max_pool2d(x, 2, return_indices=True), 2,
                                                               output_size=(6, 5)), IMAGE)
case("multi_margin_loss", lambda m, x: m.nn.functional.multi_margin_loss(x, m.tensor([1, 4, 0]), p=2), floats(3, 5))
case("multilabel_margin_loss", lambda m, x: m.nn.functional.multilabel_margin_loss(
    x, m.tensor([[1, 1, -1, 2], [-1, 0, 1, 2], [0, 1, 2, 3]])), floats(3, 4))
case("multilabel_soft_margin_loss", lambda m, x, t: m.nn.functional.multilabel_soft_margin_loss(x, t), floats(3, 4),
     (floats(3, 4) > 0).astype(np.float32))
case("pdist", lambda m, x: m.nn.functional.pdist(x, 3.0), floats(4, 3))
case("conv_tbc", lambda m, x, w, b: m.nn.functional.conv_tbc(x, w, b, 1), floats(5, 2, 3), floats(2, 3, 4), floats(4))
for mode in ("sum", "mean", "max"):
    case(f"embedding_bag {mode}", lambda m, w, mode=mode: m.nn.functional.embedding_bag(
        m.tensor([1, 2, 2, 4, 3, 0]), w, m.tensor([0, 2, 2, 5]), mode=mode, padding_idx=2), floats(5, 3))
    case(f"embedding_bag {mode} of rows", lambda m, w, mode=mode: m.nn.functional.embedding_bag(
        m.tensor([[1, 2], [2, 2], [4, 0]]), w, mode=mode, padding_idx=2), floats(5, 3))
case("embedding_bag by frequency", lambda m, w: m.nn.functional.embedding_bag(
    m.tensor([1, 2, 4, 4]), w, m.tensor([0, 2, 4]), mode="sum", scale_grad_by_freq=True, include_last_offset=True), floats(5, 3))
case("embedding by frequency", lambda m, w: m.nn.functional.embedding(m.tensor([1, 2, 2]), w, scale_grad_by_freq=True),
     floats(5, 3))
for reduction in ("mean", "sum", "none"):
    case(f"ctc_loss {reduction}", lambda m, x, r=reduction: m.nn.functional.ctc_loss(
        x.log_softmax(-1), m.tensor([[1, 2, 2], [3, 1, 0]]), (6, 5), (3, 2), reduction=r), floats(6, 2, 4))
case("ctc_loss of one text after the other", lambda m, x: m.nn.functional.ctc_loss(
    x.log_softmax(-1), m.tensor([1, 2, 2, 3]), m.tensor([6, 2]), m.tensor([3, 1]), blank=0), floats(6, 2, 4))
case("ctc_loss of what does not fit", lambda m, x: m.nn.functional.ctc_loss(
    x.log_softmax(-1), m.tensor([[1, 1, 1], [2, 3, 1]]), (4, 4), (3, 3), zero_infinity=True), floats(4, 2, 4))
for padding in ((-2, 3), (3, -2), (-4, 5), (-1, -1), (2, 2)):
    for mode in ("replicate", "reflect"):
        case(f"pad {mode} {padding}", lambda m, x, p=padding, mode=mode: m.nn.functional.pad(x, p, mode), LINE)


def sides(name: str) -> tuple[Any, Any]:
    function = CASES[name][0]
    return (lambda *xs: function(flambeau, *xs)), (lambda *xs: function(torch, *xs))


@pytest.mark.parametrize("name", CASES)
def test_a_function_and_its_gradients(name: str, numpy_engine: None) -> None:
    compare(*sides(name), CASES[name][1], 2e-5)


COMPILED = ["interpolate bicubic 4D to (8, 3)", "grid_sample bilinear reflection False", "unfold", "fold", "ctc_loss mean",
            "embedding_bag max", "multilabel_margin_loss", "adaptive_max_pool2d with indices", "max_unpool2d",
            "pad reflect (-4, 5)"]


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_function_and_its_gradients(name: str) -> None:
    ours, theirs = sides(name)
    step = flambeau.jit(ours)
    compare(step, theirs, CASES[name][1], 2e-5)
    assert step.stats.compiles == 1


# --- Special values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_a_value_that_is_not_finite_stays_where_it_is(mode: str, numpy_engine: None) -> None:
    image = np.zeros((1, 1, 6, 6), np.float32)
    image[0, 0, 1, 1] = np.inf
    image[0, 0, 4, 4] = np.nan
    mine, yours = (m.nn.functional.interpolate(m.tensor(image), (9, 9), mode=mode) for m in (flambeau, torch))
    np.testing.assert_array_equal(np.isnan(mine.numpy()), np.isnan(yours.numpy()))


def test_whole_images_are_resized_as_numbers_and_rounded(numpy_engine: None) -> None:
    image = rng.integers(0, 256, (1, 2, 5, 6)).astype(np.uint8)
    mine, yours = (m.nn.functional.interpolate(m.tensor(image), (7, 4), mode="bilinear") for m in (flambeau, torch))
    assert np.abs(mine.numpy().astype(int) - yours.numpy()).max() <= 1


def test_the_loss_of_a_negative_target_is_not_a_number(numpy_engine: None) -> None:
    x, t = np.array([-1.0, -2.0, -0.5], np.float32), np.array([-0.5, 0.0, 0.5], np.float32)
    close(flambeau.nn.functional.kl_div(ours_of(x), ours_of(t), reduction="none"),
          torch.nn.functional.kl_div(theirs_of(x), theirs_of(t), reduction="none"))


def test_an_empty_batch_teaches_batch_norm_nothing(numpy_engine: None) -> None:
    layer = flambeau.nn.BatchNorm1d(3)
    assert layer(flambeau.ones(0, 3)).shape == (0, 3)
    assert layer.running_var.tolist() == [1.0, 1.0, 1.0]


ERRORS: dict[str, Callable[[Any], Any]] = {
    "no size": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2)),
    "both sizes": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2), 2, 2.0),
    "wrong number of sizes": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2), (2, 3)),
    "wrong number of factors": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2), scale_factor=(2.0, 3.0)),
    "wrong mode": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2), 3, mode="bilinear"),
    "no such mode": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2), 3, mode="best"),
    "corners of the nearest": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2), 3, align_corners=True),
    "antialiased sequences": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2), 3, antialias=True),
    "empty size": lambda m: m.nn.functional.interpolate(m.ones(1, 1, 2, 2), 0),
    "grid of another size": lambda m: m.nn.functional.grid_sample(m.ones(1, 1, 2, 2), m.ones(1, 2, 2, 3), align_corners=True),
    "grid of another batch": lambda m: m.nn.functional.grid_sample(m.ones(1, 1, 2, 2), m.ones(3, 2, 2, 2), align_corners=True),
    "grid of another kind": lambda m: m.nn.functional.grid_sample(m.ones(1, 1, 2, 2), m.ones(1, 2, 2, 2).double(),
                                                                  align_corners=True),
    "affine maps of another size": lambda m: m.nn.functional.affine_grid(m.ones(1, 3, 3), (1, 1, 2, 2), align_corners=True),
    "channels that do not divide": lambda m: m.nn.functional.pixel_shuffle(m.ones(1, 3, 2, 2), 2),
    "pixels that do not divide": lambda m: m.nn.functional.pixel_unshuffle(m.ones(1, 3, 2, 3), 2),
    "groups that do not divide": lambda m: m.nn.functional.channel_shuffle(m.ones(1, 3, 2), 2),
    "a window that does not fit": lambda m: m.nn.functional.unfold(m.ones(1, 1, 2, 2), 3),
    "columns that are too few": lambda m: m.nn.functional.fold(m.ones(1, 4, 3), (3, 3), 2),
    "columns of another size": lambda m: m.nn.functional.fold(m.ones(1, 5, 4), (3, 3), 2),
    "a place outside": lambda m: m.nn.functional.max_unpool1d(m.ones(1, 1, 2), m.tensor([[[0, 9]]]), 2),
    "a size that cannot be": lambda m: m.nn.functional.max_unpool1d(m.ones(1, 1, 2), m.tensor([[[0, 1]]]), 2, output_size=(9,)),
    "a class that is not there": lambda m: m.nn.functional.multi_margin_loss(m.ones(1, 2), m.tensor([2])),
    "p of 3": lambda m: m.nn.functional.multi_margin_loss(m.ones(1, 2), m.tensor([1]), p=3),
    "targets of another size": lambda m: m.nn.functional.multilabel_margin_loss(m.ones(2, 2), m.tensor([1, 0])),
    "blank outside": lambda m: m.nn.functional.ctc_loss(m.zeros(2, 1, 3), m.tensor([[1]]), (2,), (1,), blank=3),
    "a length that is too long": lambda m: m.nn.functional.ctc_loss(m.zeros(2, 1, 3), m.tensor([[1]]), (3,), (1,)),
    "a text that is too long": lambda m: m.nn.functional.ctc_loss(m.zeros(2, 1, 3), m.tensor([[1]]), (2,), (2,)),
    "lengths of another batch": lambda m: m.nn.functional.ctc_loss(m.zeros(2, 1, 3), m.tensor([[1]]), (2, 2), (1,)),
    "bags without offsets": lambda m: m.nn.functional.embedding_bag(m.tensor([1]), m.ones(2, 2)),
    "offsets that start late": lambda m: m.nn.functional.embedding_bag(m.tensor([1]), m.ones(2, 2), m.tensor([1])),
    "factors of means": lambda m: m.nn.functional.embedding_bag(m.tensor([1]), m.ones(2, 2), m.tensor([0]),
                                                                per_sample_weights=m.ones(1)),
    "fractions without a size": lambda m: m.nn.functional.fractional_max_pool2d(m.ones(1, 4, 4), 2),
    "fractions that are too large": lambda m: m.nn.functional.fractional_max_pool2d(m.ones(1, 4, 4), 2, output_size=4),
    "distances of vectors": lambda m: m.nn.functional.pdist(m.ones(3)),
    "classes of many": lambda m: m.nn.AdaptiveLogSoftmaxWithLoss(4, 9, [3])(m.ones(2, 4), m.tensor([1, 9])),
    "cutoffs that fall": lambda m: m.nn.AdaptiveLogSoftmaxWithLoss(4, 9, [5, 3]),
    "a shape that is not known": lambda m: m.nn.LazyLinear(3).weight.shape,
    "a batch of lazy images": lambda m: m.nn.LazyConv2d(3, 1)(m.ones(2, 2)),
    "lazy state in a layer": lambda m: m.nn.Linear(2, 3).load_state_dict(m.nn.LazyLinear(3).state_dict()),
    "another activation": lambda m: m.nn.TransformerEncoderLayer(4, 2, activation="tanh"),
    "another size of positions": lambda m: m.nn.Transformer(4, 2, 1, 1, 4)(m.ones(2, 1, 3), m.ones(2, 1, 4)),
    "other batches": lambda m: m.nn.Transformer(4, 2, 1, 1, 4)(m.ones(2, 1, 4), m.ones(2, 2, 4)),
    "a hint without a mask": lambda m: m.nn.TransformerEncoderLayer(4, 2)(m.ones(2, 1, 4), is_causal=True),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_torchs(name: str, numpy_engine: None) -> None:
    found = []
    for library in (torch, flambeau):
        with pytest.raises(Exception) as caught, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ERRORS[name](library)
        found.append((type(caught.value), str(caught.value)))
    assert found[0] == found[1]
