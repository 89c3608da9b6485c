"""Functions of torch itself whose arguments are others than those of their namesakes in `nn.functional`.

They are what torch's layers call, and so have flags instead of words, parameters in another order, and more results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...tracer.functions.arithmetic import mul
from ...tracer.functions.choosing import where
from ...tracer.functions.dims import whole_number
from ...tracer.functions.layout import in_pieces
from ...tracer.functions.methods import assign, named, with_out
from ...tracer.functions.random.fills import uniform_
from ...tracer.functions.refusals import require_kind
from ...tracer.functions.shape import broadcast_tensors
from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor
from .. import functional as F  # whose functions autocast knows
from .activation import check_slopes
from .bags import MODES as _BAGS
from .dropout import checked_chance
from .dropout import feature_dropout as _feature_dropout
from .linear import renormalize
from .loss import reduced
from .normalization import batch_norm_of_any_eps, group_norm_of_any_size, instance_norm_of_any_size
from .sampling import MODES, PADDINGS

_REDUCTIONS = ("none", "mean", "sum")


# --- Normalisation ----------------------------------------------------------------------------------------------------


def batch_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
               running_var: Tensor | None, training: bool, momentum: float, eps: float, cudnn_enabled: bool) -> Tensor:
    """`nn.functional.batch_norm`, with the affine parameters first. `cudnn_enabled` changes nothing."""
    return batch_norm_of_any_eps(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
                  running_var: Tensor | None, use_input_stats: bool, momentum: float, eps: float,
                  cudnn_enabled: bool) -> Tensor:
    """`nn.functional.instance_norm`, with the affine parameters first. `cudnn_enabled` changes nothing."""
    return instance_norm_of_any_size(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-5, cudnn_enable: bool = True) -> Tensor:
    """`nn.functional.layer_norm`. `cudnn_enable` changes nothing."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,
               cudnn_enabled: bool = True) -> Tensor:
    """`nn.functional.group_norm`. `cudnn_enabled` changes nothing."""
    return group_norm_of_any_size(input, num_groups, weight, bias, eps)


# --- Dropout ----------------------------------------------------------------------------------------------------------


def _dropping(name: str, drop: Callable[..., Tensor]) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    @named(name, f"`nn.functional.{name}`, which is always told whether it trains.")
    def function(input: Tensor, p: float, train: bool) -> Tensor:
        return drop(input, checked_chance(p), train)

    @named(f"{name}_", f"In-place form of `{name}`.")
    def update(input: Tensor, p: float, train: bool) -> Tensor:
        return assign(input, function(input, p, train))

    return function, update


dropout, dropout_ = _dropping("dropout", F.dropout)
alpha_dropout, alpha_dropout_ = _dropping("alpha_dropout", F.alpha_dropout)
feature_alpha_dropout, feature_alpha_dropout_ = _dropping("feature_alpha_dropout", F.feature_alpha_dropout)
feature_dropout, feature_dropout_ = _dropping("feature_dropout", _feature_dropout)


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """`dropout`, and which elements were kept.

    >>> import flambeau as torch
    >>> torch.native_dropout(torch.ones(2), 0.5, False)
    (tensor([1., 1.]), tensor([True, True]))
    """
    if train is False or not input.numel():
        return input.clone(), input.new_ones(input.shape, dtype=dtypes.boolean)
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={1 - p:g}")
    kept = uniform_(input.new_empty(input.shape, dtype=dtypes.float32)) >= p
    return mul(where(kept, input, 0), 0.0 if p == 1 else 1 / (1 - p)), kept


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False,
          generator: Any = None) -> Tensor:
    """`nn.functional.rrelu`, with a generator of its slopes."""
    check_slopes(lower, upper)
    require_kind("rrelu_with_noise_cpu" if training else "leaky_relu_cpu", input)
    slope: Any = (lower + upper) / 2
    if training:
        slope = uniform_(input.new_empty(input.shape), lower, upper, generator=generator)
    x = in_pieces(input)
    return where(x > 0, x, mul(x, slope))


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False,
           generator: Any = None) -> Tensor:
    """In-place form of `rrelu`."""
    return assign(input, rrelu(input, lower, upper, training, generator))


@with_out
def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """`input` where it is above the threshold, else `value`."""
    return F.threshold(input, threshold, value)


# --- Tables -----------------------------------------------------------------------------------------------------------


def embedding(weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False,
              sparse: bool = False) -> Tensor:
    """`nn.functional.embedding`, with the table first; a negative `padding_idx` is none."""
    return F.embedding(indices, weight, None if padding_idx < 0 else padding_idx, None, 2.0, scale_grad_by_freq, sparse)


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Scale the rows of a table at the indices, if they are longer, down to the length `max_norm`.

    >>> import flambeau as torch
    >>> torch.embedding_renorm_(torch.tensor([[3.0, 4.0], [6.0, 8.0]]), torch.tensor([1]), 5.0, 2.0)
    tensor([[3., 4.],
            [3., 4.]])
    """
    renormalize(input, indices, max_norm, norm_type)
    return input


def embedding_bag(weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0,
                  sparse: bool = False, per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`nn.functional.embedding_bag`, with the table first and `mode` 0, 1 or 2 for sum, mean or max.

    Beside the bags torch gives three tensors that its own backward reads. Here they are empty: what a gradient needs is kept
    by the program.
    """
    made = F.embedding_bag(indices, weight, offsets, scale_grad_by_freq=scale_grad_by_freq, mode=_BAGS[mode],
                              sparse=sparse, per_sample_weights=per_sample_weights, include_last_offset=include_last_offset,
                              padding_idx=padding_idx)
    nothing = offsets.new_zeros(0)
    return made, nothing, nothing, nothing


# --- Losses, grids, convolution ---------------------------------------------------------------------------------------


def _word(reduction: Any) -> str:
    """The reduction that torch's number means."""
    if isinstance(reduction, str):
        return reduction
    number = whole_number(reduction, "reduction")
    if not 0 <= number < len(_REDUCTIONS):
        raise ValueError(f"reduction requires 0, 1 or 2 for none, mean or sum, got {number}")
    return _REDUCTIONS[number]


def kl_div(input: Tensor, target: Tensor, reduction: Any = 0, *, log_target: bool = False) -> Tensor:
    """`nn.functional.kl_div`, with `reduction` 0, 1 or 2 for none (the default), mean or sum.

    >>> import flambeau as torch
    >>> torch.kl_div(torch.zeros(2), torch.ones(2), 2)
    tensor(0.)
    """
    return reduced(F.kl_div(input, target, reduction="none", log_target=log_target), _word(reduction))


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     pos_weight: Tensor | None = None, reduction: Any = 0) -> Tensor:
    """`nn.functional.binary_cross_entropy_with_logits`, with `reduction` 0, 1 or 2 for none (the default), mean or sum."""
    return F.binary_cross_entropy_with_logits(input, target, weight, reduction=_word(reduction), pos_weight=pos_weight)


def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: Any = 0) -> Tensor:
    """`nn.functional.cosine_embedding_loss`, with `reduction` 0, 1 or 2 for none (the default), mean or sum."""
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=_word(reduction))


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: Any = 0) -> Tensor:
    """`nn.functional.hinge_embedding_loss`, with `reduction` 0, 1 or 2 for none (the default), mean or sum."""
    return F.hinge_embedding_loss(input, target, margin, reduction=_word(reduction))


def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0,
                        eps: float = 1e-6, swap: bool = False, reduction: Any = 0) -> Tensor:
    """`nn.functional.triplet_margin_loss`, with `reduction` 0, 1 or 2 for none (the default), mean or sum."""
    return F.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=_word(reduction))


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: Any) -> Tensor:
    """`nn.functional.poisson_nll_loss`, with `reduction` 0, 1 or 2 for none, mean or sum."""
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=_word(reduction))


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 0,
             zero_infinity: bool = False) -> Tensor:
    """`nn.functional.ctc_loss`, with `reduction` 0, 1 or 2 for none (the default), mean or sum."""
    return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, _REDUCTIONS[reduction], zero_infinity)


def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: Any = 0) -> Tensor:
    """`nn.functional.margin_ranking_loss`, of shapes that broadcast; `reduction` is 0, 1 or 2 for none (the default),
    mean or sum."""
    first, second, wanted = broadcast_tensors(input1, input2, target)
    return F.margin_ranking_loss(first, second, wanted, margin, reduction=_word(reduction))


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid`."""
    return F.affine_grid(theta, size, align_corners)


def grid_sampler(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:
    """`nn.functional.grid_sample`, with modes 0, 1 or 2 for bilinear, nearest or bicubic; zeros, border or reflection."""
    mode = MODES[whole_number(interpolation_mode, "interpolation_mode")]
    return F.grid_sample(input, grid, mode, PADDINGS[whole_number(padding_mode, "padding_mode")], align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler

_CONVOLUTIONS = {
    False: (F.conv1d, F.conv2d, F.conv3d),
    True: (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)}


def convolution_(input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
                 dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int) -> Tensor:
    """A convolution in one, two or three dimensions, or a transposed one."""
    call: Any = _CONVOLUTIONS[bool(transposed)][weight.ndim - 3]
    if transposed:
        return call(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return call(input, weight, bias, stride, padding, dilation, groups)
