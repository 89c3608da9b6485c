"""Batch normalisation without running statistics, for `torch.func`, whose functions change nothing in place."""

from __future__ import annotations

from .module import Module
from .normalization import _BatchNorm


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let all batch norms below a module normalise by the batch alone, without running statistics.

    >>> import flambeau as torch
    >>> torch.func.replace_all_batch_norm_modules_(torch.nn.BatchNorm1d(2)).track_running_stats
    False

    Source: https://pytorch.org/docs/stable/generated/torch.func.replace_all_batch_norm_modules_.html
    """
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
