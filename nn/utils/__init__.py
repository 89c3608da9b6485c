"""Gradient clipping, parameters as vectors, packed sequences, parametrizations, pruning, fusion:
https://pytorch.org/docs/stable/nn.html#utilities"""

from . import clip as clip_grad
from . import construction as memory_format
from . import convert as convert_parameters
from . import fusion, parametrizations, parametrize, prune, rnn, stateless
from .clip import clip_grad_norm, clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from .construction import convert_conv2d_weight_memory_format, convert_conv3d_weight_memory_format, skip_init
from .convert import parameters_to_vector, vector_to_parameters
from .fusion import fuse_conv_bn_eval, fuse_conv_bn_weights, fuse_linear_bn_eval, fuse_linear_bn_weights
from .spectral_norm_hook import remove_spectral_norm, spectral_norm
from .weight_norm_hook import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad", "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_",
    "convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format", "convert_parameters", "fuse_conv_bn_eval",
    "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights", "fusion", "get_total_norm", "memory_format",
    "parameters_to_vector", "parametrizations", "parametrize", "prune", "remove_spectral_norm", "remove_weight_norm", "rnn",
    "skip_init", "spectral_norm", "stateless", "vector_to_parameters", "weight_norm",
]
