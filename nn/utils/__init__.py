"""Gradient clipping, flattening of parameters, packed sequences, weight norm: https://pytorch.org/docs/stable/nn.html#utilities"""

from . import rnn
from .clip import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from .convert import parameters_to_vector, vector_to_parameters
from .weight_norm_hook import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector",
    "remove_weight_norm", "rnn", "vector_to_parameters", "weight_norm",
]
