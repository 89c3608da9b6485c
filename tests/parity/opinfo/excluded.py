"""Entries of torch's record that are out of scope, by name, and checks that say nothing about an entry, each with its reason."""

from __future__ import annotations

_SPARSE = "a sparse layout"
_KERNEL = "a kernel of torch's own, which no public name calls by itself"
_JITERATOR = "CUDA source text, compiled by torch"

EXCLUDED = {
    "sparse.sampled_addmm": _SPARSE, "sparse.mm.reduce": _SPARSE, "to_sparse": _SPARSE,
    "jiterator_unary": _JITERATOR, "jiterator_binary": _JITERATOR, "jiterator_4inputs_with_extra_args": _JITERATOR,
    "jiterator_binary_return_by_ref": _JITERATOR, "jiterator_2inputs_2outputs": _JITERATOR,
    "torch._scaled_mm": "a quantised product", "torch._scaled_mm_v2": "a quantised product",
    "bmm.triton_optimized": "a kernel for Triton",
    "_softmax_backward_data": _KERNEL, "_native_batch_norm_legit": _KERNEL, "_batch_norm_with_update": _KERNEL,
    "_upsample_bilinear2d_aa": _KERNEL, "max_pool2d_with_indices_backward": _KERNEL, "native_dropout_backward": _KERNEL,
    "torch.ops.aten._safe_softmax.default": _KERNEL, "torch.ops.aten._flash_attention_forward": _KERNEL,
    "torch.ops.aten._efficient_attention_forward": _KERNEL, "slice": _KERNEL, "_chunk_cat": _KERNEL,
    "_unsafe_masked_index": _KERNEL, "_unsafe_masked_index_put_accumulate": _KERNEL,
    "_segment_reduce.lengths": _KERNEL, "_segment_reduce.offsets": _KERNEL, "grid_sampler_3d": _KERNEL,
    "hash_tensor": "a hash of torch's bits, for its debugger",
}

# Results that are drawn: compared by shape, dtype and strides; that a seed repeats them and how they are distributed is
# tested in `randomness.py`.
RANDOM = frozenset({
    "cauchy", "exponential", "geometric", "log_normal", "normal.in_place", "uniform", "randn", "randn_like", "rand_like",
    "randint", "randint_like", "multinomial", "normal", "normal.number_mean", "bernoulli", "nn.functional.rrelu",
    "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d", "nn.functional.alpha_dropout",
    "nn.functional.feature_alpha_dropout.with_train", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "svd_lowrank", "pca_lowrank",
    # And memory that holds anything:
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "resize_", "resize_as_",
})

# Gradients that fail torch's own check of gradients, as its record says: they are no measure.
WRONG_IN_TORCH = frozenset({"as_strided_scatter", "istft"})

# Where in a call stands the probability of dropping out that some samples have.
DROPS = {"nn.functional.multi_head_attention_forward": 10}

# Sorting, whose positions of equal elements are those of torch's algorithm, which promises none: positions are compared by
# shape and dtype where the dtype has many equal elements.
TIES = frozenset({"sort", "argsort", "topk", "kthvalue", "mode", "median", "nanmedian", "msort"})
TIED = frozenset({"int64", "bool", "bfloat16"})

# Factors up to signs and phases, which the algorithm chooses: compared are what the record makes of them for gradients, where
# none of these is left.
UP_TO_PHASE = frozenset({"linalg.eig", "linalg.eigh", "linalg.svd", "svd"})

# Results whose shape, or whose Python value, follows from the values: nothing to compile.
DATA_DEPENDENT = frozenset({
    "item", "allclose", "equal", "nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "bincount",
    "repeat_interleave", "nn.functional.one_hot", "combinations", "histogramdd",
})

# The same where an argument after the first is a tensor: it says where to cut.
CUT_BY_VALUES = frozenset({"tensor_split"})
