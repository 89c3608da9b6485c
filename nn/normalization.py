"""Normalisation layers: https://pytorch.org/docs/stable/nn.html#normalization-layers"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.creation import empty, ones, tensor, zeros
from ..tracer.ir import dtypes
from ..tracer.ir.told import tell
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class LayerNorm(Module):
    """Normalises each sample by itself: over its last dimensions it gets mean 0 and variance 1, then a learnt scale and
    shift.

    y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, with the biased variance

    Args: `normalized_shape`, the sizes of the last dimensions that are normalised together, or one int; `eps`, added to
    the variance; `elementwise_affine`, whether there are a scale and a shift; `bias`, whether there is a shift;
    `device` and `dtype`, of the parameters.
    Attributes: `weight` (normalized_shape), ones; `bias` (normalized_shape), zeros; None where they are not wanted.
    Takes and returns (*, normalized_shape); training and evaluation are alike. RuntimeError if the last dimensions
    differ.

    >>> import flambeau as torch
    >>> torch.nn.LayerNorm(2)(torch.tensor([[1.0, 3.0], [10.0, 30.0]])).detach().round()
    tensor([[-1.,  1.],
            [-1.,  1.]])

    Source: Ba, Kiros, Hinton: "Layer normalization", https://arxiv.org/abs/1607.06450;
    https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        _register_affine(self, self.normalized_shape, elementwise_affine, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """weight 1, bias 0."""
        _reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        """The shape stays."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
                f"bias={self.bias is not None}")


class RMSNorm(Module):
    """Normalises each sample by its root mean square over the last dimensions: `LayerNorm` without the mean.

    y = x / sqrt(mean(x ** 2) + eps) * weight

    Args: `normalized_shape`, the sizes of the last dimensions that are normalised together, or one int; `eps`, added to
    the mean square, by default the machine epsilon of the input's dtype; `elementwise_affine`, whether there is a
    learnt scale; `device` and `dtype`, of the parameter.
    Attributes: `weight` (normalized_shape), ones, or None.
    Takes and returns (*, normalized_shape); training and evaluation are alike. RuntimeError if the last dimensions
    differ.

    >>> import flambeau as torch
    >>> torch.nn.RMSNorm(2, elementwise_affine=False)(torch.tensor([[3.0, 3.0], [0.5, -0.5]])).round()
    tensor([[ 1.,  1.],
            [ 1., -1.]])

    Source: Zhang, Sennrich: "Root mean square layer normalization", https://arxiv.org/abs/1910.07467;
    https://pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float | None = None,
                 elementwise_affine: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        made = Parameter(empty(self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(normalized_shape, numbers.Integral):
        return (normalized_shape,)  # type: ignore[return-value]
    return tuple(normalized_shape)  # type: ignore[arg-type]


def _register_affine(module: Module, shape: Any, affine: bool, bias: bool, device: Any, dtype: Any) -> None:
    for name, wanted in (("weight", affine), ("bias", affine and bias)):
        module.register_parameter(name, Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None)


def _reset_affine(module: Module) -> None:
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)


class GroupNorm(Module):
    """Normalises groups of channels of each sample: it does not depend on the batch, and keeps channels comparable in a
    group.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and the biased variance of a sample's group

    Args: `num_groups`, how many groups; `num_channels`, C; `eps`, added to the variance; `affine`, whether each channel
    has a learnt scale and shift; `bias`, whether there is a shift; `device` and `dtype`, of the parameters.
    Attributes: `weight` (C,), ones; `bias` (C,), zeros; None where they are not wanted.
    Takes and returns (N, C, *). ValueError if `num_groups` does not divide `num_channels`. One group is a `LayerNorm`
    over channels and places, C groups are an `InstanceNorm`.

    >>> import flambeau as torch
    >>> torch.nn.GroupNorm(2, 6)(torch.ones(1, 6, 5, 5)).shape
    torch.Size([1, 6, 5, 5])

    Source: Wu, He: "Group normalization", https://arxiv.org/abs/1803.08494;
    https://pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
                 dtype: Any = None, *, bias: bool = True) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        _register_affine(self, num_channels, affine, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """weight 1, bias 0."""
        _reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *), the shape stays."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
                f"bias={self.bias is not None}")


class LocalResponseNorm(Module):
    """x / (k + alpha * mean of squares of `size` neighbouring channels) ** beta."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *), the shape stays."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _NormBase(Module):
    """Statistics of channels that are kept while training."""

    _version = 2

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: Any = None, *,
                 bias: bool = True) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        _register_affine(self, num_features, affine, bias, device, dtype)
        self._register_statistics(device, dtype)
        self.reset_parameters()

    def _register_statistics(self, device: Any, dtype: Any) -> None:
        tracked = self.track_running_stats
        size = self.num_features
        self.register_buffer("running_mean", zeros(size, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", ones(size, device=device, dtype=dtype) if tracked else None)
        count = tensor(0, dtype=dtypes.int64, device=device) if tracked else None
        self.register_buffer("num_batches_tracked", count)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *rest: Any) -> None:
        """As ever; before version 2 there was no count."""
        if (local_metadata.get("version") or 0) < 2 and self.num_batches_tracked is not None:
            state_dict.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def reset_running_stats(self) -> None:
        """mean 0, variance 1, count 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """weight 1, bias 0, and new statistics."""
        self.reset_running_stats()
        if self.affine:
            _reset_affine(self)

    def _check_input_dim(self, input: Tensor) -> None:
        """ValueError for an input of another number of dimensions; subclasses define it."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")


class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *), the shape stays."""
        self._check_input_dim(input)
        use_batch = self.training or self.running_mean is None
        update = self.training and self.track_running_stats
        momentum: Any = 0.0 if self.momentum is None else self.momentum
        if update and self.num_batches_tracked is not None:
            with no_grad():
                self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the mean over all batches
                momentum = 1 / self.num_batches_tracked.to(self.running_mean.dtype)
        keep = not self.training or self.track_running_stats
        return F.batch_norm(input, self.running_mean if keep else None, self.running_var if keep else None,
                            self.weight, self.bias, use_batch, momentum, self.eps)


def _require_dims(input: Tensor, *dims: int) -> None:
    if input.ndim not in dims:
        raise ValueError(f"expected {' or '.join(f'{n}D' for n in dims)} input (got {input.ndim}D input)")


class BatchNorm1d(_BatchNorm):
    """Normalises each channel over the batch, and over the length if there is one.

    y = (x - mean) / sqrt(var + eps) * weight + bias. While training mean and biased variance are the batch's, and
    running ones follow by running = (1 - momentum) * running + momentum * (the batch's, unbiased); after `eval()` the
    running ones serve

    Args: `num_features`, C; `eps`, added to the variance; `momentum`, the share of a new batch, None for the plain
    average of all; `affine`, whether each channel has a learnt scale and shift; `track_running_stats`, whether running
    ones are kept; `bias`, whether there is a shift; `device` and `dtype`, of parameters and buffers.
    Attributes: `weight` (C,), ones; `bias` (C,), zeros; buffers `running_mean`, `running_var`, `num_batches_tracked`.
    Takes and returns (N, C) or (N, C, L). ValueError for other dimensions, or one value per channel while training.

    >>> import flambeau as torch
    >>> torch.nn.BatchNorm1d(2, affine=False)(torch.tensor([[1.0, 10.0], [3.0, 30.0]])).round()
    tensor([[-1., -1.],
            [ 1.,  1.]])

    Source: Ioffe, Szegedy: "Batch normalization", https://arxiv.org/abs/1502.03167;
    https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises each channel of images over the batch and all pixels.

    y = (x - mean) / sqrt(var + eps) * weight + bias. While training mean and biased variance are the batch's, and
    running ones follow by running = (1 - momentum) * running + momentum * (the batch's, unbiased); after `eval()` the
    running ones serve

    Args: `num_features`, C; `eps`, added to the variance; `momentum`, the share of a new batch, None for the plain
    average of all; `affine`, whether each channel has a learnt scale and shift; `track_running_stats`, whether running
    ones are kept; `bias`, whether there is a shift; `device` and `dtype`, of parameters and buffers.
    Attributes: `weight` (C,), ones; `bias` (C,), zeros; buffers `running_mean`, `running_var`, `num_batches_tracked`.
    Takes and returns (N, C, H, W). ValueError for other dimensions, or one value per channel while training.

    >>> import flambeau as torch
    >>> norm = torch.nn.BatchNorm2d(3)
    >>> norm(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    >>> norm.running_mean  # a tenth of the way from 0 to 1
    tensor([0.1000, 0.1000, 0.1000])

    Source: Ioffe, Szegedy: "Batch normalization", https://arxiv.org/abs/1502.03167;
    https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 4)


class BatchNorm3d(_BatchNorm):
    """Normalises each channel of volumes over the batch and all voxels.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the batch's mean and biased variance while training, and the
    running ones after `eval()`, as `BatchNorm2d` says

    Args: `num_features`, C; `eps`, added to the variance; `momentum`, the share of a new batch, None for the plain
    average of all; `affine`, whether each channel has a learnt scale and shift; `track_running_stats`, whether running
    ones are kept; `bias`, whether there is a shift; `device` and `dtype`, of parameters and buffers.
    Takes and returns (N, C, D, H, W). ValueError for other dimensions, or one value per channel while training.

    >>> import flambeau as torch
    >>> torch.nn.BatchNorm3d(3)(torch.ones(2, 3, 4, 4, 4)).shape
    torch.Size([2, 3, 4, 4, 4])

    Source: Ioffe, Szegedy: "Batch normalization", https://arxiv.org/abs/1502.03167;
    https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 5)


class _InstanceNorm(_NormBase):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
                 track_running_stats: bool = False, device: Any = None, dtype: Any = None, *,
                 bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _get_no_batch_dim(self) -> int:
        """How many dimensions an input without a batch has; subclasses define it."""
        raise NotImplementedError

    def _handle_no_batch_input(self, input: Tensor) -> Tensor:
        return self._apply_instance_norm(input.unsqueeze(0)).squeeze(0)

    def _apply_instance_norm(self, input: Tensor) -> Tensor:
        use_input = self.training or not self.track_running_stats
        return F.instance_norm(input, self.running_mean, self.running_var, self.weight, self.bias, use_input,
                               0.0 if self.momentum is None else self.momentum, self.eps)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) or (C, *), the shape stays."""
        self._check_input_dim(input)
        single = self._get_no_batch_dim()
        channels = input._type.shape[input.ndim - single]
        if channels != self.num_features:
            at = f"input's size at dim={input.ndim - single}"
            if self.affine:
                raise ValueError(f"expected {at} to match num_features ({self.num_features}), but got: {channels}.")
            tell(f"{at} does not match num_features. You can silence this warning by not passing in num_features, which "
                 "is not used because affine=False")
        return self._handle_no_batch_input(input) if input.ndim == single else self._apply_instance_norm(input)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sequence over its length.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and the biased variance of one channel of one sample

    Args: `num_features`, C; `eps`, added to the variance; `momentum`, the share of a new batch in running statistics;
    `affine`, whether each channel has a learnt scale and shift; `track_running_stats`, whether running statistics are
    kept and used after `eval()`; `bias`, whether there is a shift; `device` and `dtype`, of parameters and buffers.
    Takes and returns (N, C, L), or (C, L) without a batch. ValueError for other dimensions.

    >>> import flambeau as torch
    >>> torch.nn.InstanceNorm1d(1)(torch.tensor([[[1.0, 3.0]], [[10.0, 30.0]]])).round()
    tensor([[[-1.,  1.]],
    <BLANKLINE>
            [[-1.,  1.]]])

    Source: Ulyanov, Vedaldi, Lempitsky: "Instance normalization", https://arxiv.org/abs/1607.08022;
    https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 2, 3)

    def _get_no_batch_dim(self) -> int:
        return 2


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each image over its pixels, which takes contrast out of a picture.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and the biased variance of one channel of one sample

    Args: `num_features`, C; `eps`, added to the variance; `momentum`, the share of a new batch in running statistics;
    `affine`, whether each channel has a learnt scale and shift; `track_running_stats`, whether running statistics are
    kept and used after `eval()`; `bias`, whether there is a shift; `device` and `dtype`, of parameters and buffers.
    Takes and returns (N, C, H, W), or (C, H, W) without a batch. ValueError for other dimensions.

    >>> import flambeau as torch
    >>> torch.nn.InstanceNorm2d(3)(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])

    Source: Ulyanov, Vedaldi, Lempitsky: "Instance normalization", https://arxiv.org/abs/1607.08022;
    https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 3, 4)

    def _get_no_batch_dim(self) -> int:
        return 3


class InstanceNorm3d(_InstanceNorm):
    """Normalised over the volume of each channel of each sample."""

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, 4, 5)

    def _get_no_batch_dim(self) -> int:
        return 4
