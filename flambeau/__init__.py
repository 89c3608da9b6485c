"""Flambeau: PyTorch-style programs as whole-step XLA programs. `import flambeau as torch`.

Importing loads neither jax nor jaxlib: the engine comes with the first execution.
"""

# ruff: noqa: I001  (one block per theme, in the order of the documentation)
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import absent as _absent, aliases as _aliases, amp, former as _former, nn, optim, utils
from .assertions import (
    _assert, _check, _check_index, _check_is_size, _check_not_implemented, _check_tensor_all, _check_type, _check_value,
)
from .lazy_report import report, synchronize
from .nn.functional import (
    adaptive_avg_pool1d, adaptive_max_pool1d_with_indices as adaptive_max_pool1d, avg_pool1d, bilinear,
    celu, celu_, channel_shuffle, conv1d, conv2d, conv3d, conv_tbc,
    conv_transpose1d, conv_transpose2d, conv_transpose3d, cosine_similarity,
    max_pool1d, max_pool1d_with_indices, max_pool2d, max_pool3d,
    native_channel_shuffle, pairwise_distance, pdist, pixel_shuffle, pixel_unshuffle, relu, relu_,
    rms_norm, selu, selu_, threshold_,
)
from .nn.functional.native import constant_pad_nd, native_batch_norm, native_group_norm, native_layer_norm
from .nn.functional.spectrograms import istft, stft
from .nn.functional.toplevel import (
    binary_cross_entropy_with_logits, cosine_embedding_loss, hinge_embedding_loss, kl_div, poisson_nll_loss, triplet_margin_loss,
    affine_grid_generator, alpha_dropout, alpha_dropout_, batch_norm, ctc_loss, dropout, dropout_, embedding,
    embedding_bag, embedding_renorm_, feature_alpha_dropout, feature_alpha_dropout_, feature_dropout,
    feature_dropout_, grid_sampler, grid_sampler_2d, grid_sampler_3d, group_norm, instance_norm, layer_norm,
    margin_ranking_loss, native_dropout, rrelu, rrelu_, threshold, convolution_ as convolution,
)
from .nn.recurrent import gru, gru_cell, lstm, lstm_cell, rnn_relu, rnn_relu_cell, rnn_tanh, rnn_tanh_cell
from .nn.utils.weight_norm_hook import norm_except_dim
from .serialization import load, save
from . import accelerator, autograd, backends, compiler, cpu, cuda, debug, distributed, func, hub, serialization, testing, types, version
from .legacy_storages import STORAGES as _STORAGES
from .legacy_tensors import TYPES as _TYPES
from .autocast_switches import (
    autocast_decrement_nesting, autocast_increment_nesting, clear_autocast_cache, get_autocast_cpu_dtype, get_autocast_gpu_dtype,
    is_autocast_cache_enabled, is_autocast_cpu_enabled, set_autocast_cache_enabled, set_autocast_cpu_dtype,
    set_autocast_cpu_enabled, set_autocast_gpu_dtype,
)
from .odds import (
    AcceleratorError, eig, from_file, get_device_module, has_lapack, has_mkl, has_openmp, has_spectral, init_num_threads,
    is_anomaly_check_nan_enabled, is_inference_mode_enabled, lstsq, matrix_rank, set_anomaly_enabled, solve, sym_constrain_range,
    sym_constrain_range_for_size, sym_fresh_size, symeig, thread_safe_generator, to_dlpack,
)
from .optim.grad_scaler import GradScaler
from .settings import (
    are_deterministic_algorithms_enabled, compiled_with_cxx11_abi, get_deterministic_debug_mode, get_float32_matmul_precision,
    get_num_interop_threads, get_num_threads, is_deterministic_algorithms_warn_only_enabled, is_warn_always_enabled,
    set_default_tensor_type, set_deterministic_debug_mode, set_float32_matmul_precision, set_flush_denormal,
    set_num_interop_threads, set_num_threads, set_warn_always, use_deterministic_algorithms,
)
from .hashing import hash_tensor
from .streams import Event, Stream
from .symbols import SymBool, SymFloat, SymInt
from .typenames import e, inf, is_storage, nan, newaxis, pi, typename
from .tracer.autograd.anomaly import is_anomaly_enabled
from .tracer.functions.autocast import autocast, get_autocast_dtype, is_autocast_enabled, set_autocast_dtype, set_autocast_enabled
from .tracer.autograd.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .tracer.backend import install as _install
from .tracer.lazy.debug_mode import debug_mode
from .tracer.ir.dtypes import bfloat16, can_cast, complex64, complex128, dtype, finfo, float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float16, float32, float64, iinfo, int8, int16, int32, int64, promote_types, uint8, uint16, uint32, uint64
from .tracer.ir.dtypes import boolean as bool
from .tracer.ir.errors import OutOfMemoryError
from .func import vmap
from .tracer.functions import random
from .tracer.functions.activation import hardshrink, log_softmax, prelu, softmax
from .tracer.functions.angles import arctan2, atan2, deg2rad, hypot, rad2deg
from .tracer.functions.arithmetic import (
    add, addcdiv, addcmul, div, divide, float_power, floor_divide, fmod, lerp, mul, multiply, pow, remainder, rsub, sub,
    subtract, true_divide,
)
from .tracer.functions.checks import _assert_async
from .tracer.functions.choosing import (
    clamp, clamp_max, clamp_min, clip, fmax, fmin, heaviside, masked_fill, maximum, minimum, nan_to_num, where,
)
from .tracer.functions.comparing import (
    eq, ge, greater, greater_equal, gt, isfinite, isinf, isnan, isneginf, isposinf, isreal, le, less, less_equal,
    logical_and, logical_not, logical_or, logical_xor, lt, ne, not_equal,
)
from .tracer.functions.complex_numbers import (
    angle, complex, conj, conj_physical, imag, is_conj, is_neg, polar, real, resolve_conj, resolve_neg, view_as_complex,
    view_as_real,
)
from .tracer.functions.combining import block_diag, cartesian_prod, combinations
from .tracer.functions.control import associative_scan, cond, map, scan, while_loop
from .tracer.functions.conversions import clone, detach, detach_, fill, fill_, is_tensor, numel, zero_
from .tracer.functions.copies import (
    alias_copy, as_strided_copy, detach_copy, diagonal_copy, expand_copy, permute_copy, select_copy, slice_copy, split_copy,
    split_with_sizes_copy, squeeze_copy, t_copy, transpose_copy, unbind_copy, unfold_copy, unsqueeze_copy,
    view_as_complex_copy, view_as_real_copy, view_copy,
)
from .tracer.functions.creation import (
    as_tensor, asarray, empty, empty_like, empty_permuted, empty_strided, from_numpy, full, full_like, ones, ones_like,
    scalar_tensor, tensor, zeros, zeros_like,
)
from .tracer.functions.cumulative import cummax, cummin, cumprod, cumsum, diff, logcumsumexp
from .tracer.functions.defaults import get_default_device, get_default_dtype, set_default_device, set_default_dtype
from .tracer.functions.factorizations import cholesky, geqrf, lu, lu_unpack, orgqr, ormqr, qr
from .tracer.functions.facts import frombuffer, is_distributed, unravel_index
from .tracer.functions.float_parts import copysign, frexp, ldexp, nextafter, signbit
from .tracer.functions.histograms import histogram, histogramdd
from .tracer.functions.incomplete_gamma import igamma, igammac
from .tracer.functions.foreach import FOREACH as _FOREACH
from .tracer.functions.indexing import index_put, index_put_
from .tracer.functions.least_squares import pinverse
from .tracer.functions.in_place_names import BY_NAME as _in_place
from .tracer.functions.integrals import cumulative_trapezoid, gradient, trapezoid, trapz
from .tracer.functions.joining import cat, column_stack, concat, concatenate, dstack, hstack, row_stack, stack, vstack
from .tracer.functions.linear import addmm, baddbmm, bmm, dot, einsum, inner, matmul, mm, mv, outer, tensordot, vdot
from .tracer.functions.matrix_functions import matrix_exp, vander
from .tracer.functions.matrix_norms import frobenius_norm, norm, nuclear_norm
from .tracer.functions.norms import cdist, dist, renorm
from .tracer.functions.operands import broadcast_shapes, result_type
from .tracer.functions.order_statistics import kthvalue, median, mode, nanmedian, nanquantile, quantile
from .tracer.functions.predicates import (
    get_device, is_complex, is_floating_point, is_inference, is_nonzero, is_same_size, is_signed,
)
from .tracer.functions.products import addbmm, addmv, addmv_, addr, chain_matmul, cross, ger, kron, matrix_power
from .tracer.functions.random import (
    Generator, bernoulli, binomial, default_generator, get_rng_state, initial_seed, manual_seed, multinomial, normal,
    poisson, rand, rand_like, randint, randint_like, randn, randn_like, randperm, seed, set_rng_state,
)
from .tracer.functions.ranges import arange, eye, linspace, logspace, range
from .tracer.functions.rearranging import flip, fliplr, flipud, roll, rot90
from .tracer.functions.reduce import (
    all, allclose, amax, amin, aminmax, any_ as any, argmax, argmin, count_nonzero, equal, isclose, logsumexp, max,
    mean, min, nanmean, nansum, prod, std, std_mean, sum, var, var_mean,
)
from .tracer.functions.repeating import repeat_interleave
from .tracer.functions.scattering import (
    gather, index_add, index_copy, index_fill, index_reduce, index_select, masked_scatter, masked_select, put, scatter,
    scatter_add, scatter_reduce, take, take_along_dim,
)
from .tracer.functions.searching import (
    argwhere, bincount, bucketize, isin, nonzero, searchsorted, unique, unique_consecutive,
)
from .tracer.functions.shape import (
    adjoint, atleast_1d, atleast_2d, atleast_3d, broadcast_tensors, broadcast_to, flatten, meshgrid, moveaxis, movedim, permute,
    ravel, reshape, squeeze, swapaxes, swapdims, t, tile, transpose, unflatten, unsqueeze,
)
from .tracer.functions.slice_writes import as_strided_scatter, diagonal_scatter, select_scatter, slice_scatter
from .tracer.functions.slicing import (
    chunk, dsplit, hsplit, narrow, narrow_copy, select, split, split_with_sizes, tensor_split, unbind, unsafe_chunk,
    unsafe_split, unsafe_split_with_sizes, vsplit,
)
from .tracer.functions.segments import segment_reduce
from .tracer.functions.sorting import argsort, msort, sort, topk
from .tracer.functions.special import i0, logaddexp, logaddexp2, logit, mvlgamma, polygamma, sinc, xlogy
from .tracer.functions.spectra import lobpcg, pca_lowrank, svd, svd_lowrank
from .tracer.functions.static_size import nonzero_static
from .tracer.functions.statistics import corrcoef, cov, histc
from .tracer.functions.strided import as_strided, diagonal
from .tracer.functions.systems import (
    cholesky_inverse, cholesky_solve, det, inverse, logdet, lu_solve, slogdet, triangular_solve,
)
from .tracer.functions.symbolic import sym_float, sym_int, sym_ite, sym_max, sym_min, sym_not, sym_sqrt, sym_sum
from .tracer.functions.triangular import diag, diag_embed, diagflat, trace, tril, tril_indices, triu, triu_indices
from .tracer.functions.unary import (
    abs, absolute, acos, acosh, arccos, arccosh, arcsin, arcsinh, arctan, arctanh, asin, asinh, atan, atanh, ceil, cos,
    cosh, digamma, erf, erfc, erfinv, exp, exp2, expm1, fix, floor, frac, lgamma, log, log10, log1p, log2, neg,
    negative, positive, reciprocal, round, rsqrt, sgn, sigmoid, sign, sin, sinh, sqrt, square, tan, tanh, trunc,
)
from .tracer.functions.whole_numbers import (
    bitwise_and, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift, bitwise_xor, gcd, lcm,
)
from .tracer.functions.windows import bartlett_window, blackman_window, hamming_window, hann_window, kaiser_window
from .tracer.functions.interop import from_dlpack
from .tracer.functions.storages import TypedStorage, UntypedStorage
from .tracer.jit.compile import compile
if _TYPE_CHECKING:
    from .tracer.jit.jit import jit
else:
    jit = _import_module(".jit", __name__)  # type: ignore[assignment]  # a module that is called
from .tracer.functions.printing import set_printoptions
from .tracer.tensor.device import Size, device
from .tracer.tensor.layouts import (
    channels_last, channels_last_3d, contiguous_format, jagged, layout, memory_format, preserve_format, sparse_bsc, sparse_bsr,
    sparse_coo, sparse_csc, sparse_csr, strided,
)
from .tracer.tensor.tensor import Tensor

__version__ = version.both
legacy_contiguous_format = contiguous_format
float, double, half, long, int, short = float32, float64, float16, int64, int32, int16
cfloat, cdouble = complex64, complex128
for _type in _TYPES.values():
    if not _type.is_cuda:
        globals()[_type.__name__] = _type
for _kind in _STORAGES.values():
    if _kind.__module__ == "torch":
        globals()[_kind.__name__] = _kind
Storage = _STORAGES["torch.FloatStorage"]
globals().update(_FOREACH)  # a table, whose names have an underscore as torch's
globals().update(_in_place)
_install(lambda: _import_module(".runtime.engine", __name__).XlaBackend())


def __getattr__(name: str) -> object:
    """`aot` and `jax_call` come on first use: they load jaxlib and jax. So does what is large and seldom all used."""
    if name == "distributions":
        return _import_module(".distributions", __name__)
    if name == "fft":
        return _import_module(".fft", __name__)
    if name == "linalg":
        return _import_module(".linalg", __name__)
    if name == "masked":
        return _import_module(".masked", __name__)
    if name == "overrides":
        return _import_module(".overrides", __name__)
    if name == "quasirandom":
        return _import_module(".quasirandom", __name__)
    if name == "__future__":
        return _import_module(".__future__", __name__)
    if name == "profiler":
        return _import_module(".profiler", __name__)
    if name == "signal":
        return _import_module(".signal", __name__)
    if name == "storage":
        return _import_module(".storage", __name__)
    if name == "special":
        return _import_module(".special", __name__)
    if name == "aot":
        return _import_module(".runtime.aot", __name__)
    if name == "jax_call":
        return _import_module(".runtime.jax_call", __name__).jax_call
    if name in _absent.MODULES:
        return _absent.module(name)
    return _refused(name)


_refused = _absent.named_in(__name__)
_absent.give({"autograd.function": autograd.function, "nn.attention": nn.attention,
              "nn.functional": nn.functional})
_aliases.let_all_find()
