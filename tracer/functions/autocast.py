"""Mixed precision: in an autocast block each listed function chooses the dtype it computes in.

https://pytorch.org/docs/stable/amp.html. The table below is torch's; `castable` gives the functions of a module the
casts that the table names. A cast is an ordinary conversion in the program, and gradients flow through it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MappingProxyType, TracebackType
from typing import Any, TypeVar

from ..backend import has_cuda
from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.source import Position, user_position
from ..ir.state import Ambient, ambients, state
from ..ir.told import tell
from ..tensor.context import context
from ..tensor.tensor import Tensor
from .spelling import REFUSED, respelled

F = TypeVar("F", bound=Callable[..., Any])

DEFAULTS = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16, "tpu": dtypes.bfloat16, "mps": dtypes.float16, "xpu": dtypes.float16}
NARROW = (dtypes.bfloat16, dtypes.float16)


class _Modes(threading.local):
    """Of one thread: the (kind of device, dtype) pairs for which autocast is on, and what it defaults to."""

    on: tuple[tuple[str, dtype], ...] = ()
    dtypes: Mapping[str, dtype] = MappingProxyType({})


modes = _Modes()
ambients += [Ambient("autocast", lambda: modes.on, partial(setattr, modes, "on")),
             Ambient("the dtypes of autocast", lambda: modes.dtypes, partial(setattr, modes, "dtypes"))]
_ever: list[bool] = []  # not empty once autocast was on in any thread: until then a call looks no further

# --- Which function does what -----------------------------------------------------------------------------------------

_PRODUCTS = """
    addbmm addmm baddbmm bmm chain_matmul conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d
    einsum linear matmul mm multi_dot prelu scaled_dot_product_attention scores vecdot weighted"""
_LOSSES = """
    cosine_embedding_loss hinge_embedding_loss huber_loss kl_div l1_loss margin_ranking_loss mse_loss nll_loss
    poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss binary_cross_entropy_with_logits cdist
    multi_margin_loss multilabel_margin_loss"""

_DECOMPOSITIONS = """
    cholesky cholesky_ex cholesky_inverse cholesky_solve cond eig eigh eigvals eigvalsh geqrf householder_product inv inv_ex
    inverse linalg_cholesky linalg_qr linalg_svd lstsq lu lu_solve matrix_rank orgqr ormqr pinverse qr solve svd svdvals
    tensorinv tensorsolve triangular_solve"""
_TRANSFORMS = " fft fft2 fftn hfft ifft ifft2 ifftn ihfft irfft irfft2 irfftn rfft rfft2 rfftn stft"

# Per kind of device: `lower` casts to the block's dtype, `full` to float32, `full_result` does so unless a dtype is
# asked for, `full_values` unless indices are, `widest` casts to the widest type there is, `kept` casts nothing, on the
# inside neither, `refused` raises.
# The CPU has rules of its own; all other devices share theirs.
TABLE: dict[str, dict[str, str]] = {
    "cpu": {
        "lower": _PRODUCTS + " tensordot",
        "full": _LOSSES + _DECOMPOSITIONS + _TRANSFORMS + """
            adaptive_avg_pool3d adaptive_max_pool3d adaptive_max_pool3d_with_indices avg_pool3d binary_cross_entropy
            cross_entropy ctc_loss fractional_max_pool2d fractional_max_pool2d_with_indices fractional_max_pool3d
            fractional_max_pool3d_with_indices grid_sample max_unpool1d max_unpool2d max_unpool3d nanquantile polar prod
            quantile reflection_pad replication_pad trace view_as_complex""",
        "full_values": "max_pool3d",
        "widest": "cat index_copy stack",
        "kept": "bilinear dot mv vdot",
    },
    "accelerator": {
        "lower": _PRODUCTS + " addmv addr mv",
        "full": _LOSSES + """
            acos asin by_nearest by_weights cosh cosine_similarity cross_entropy dist erfinv exp expm1 frobenius_norm
            group_norm group_norm_of_any_size layer_norm log log10 log1p log2 logsumexp matrix_norm norm nuclear_norm pdist pow
            reciprocal renorm rms_norm rsqrt sinh softplus tan vector_norm""",
        "full_result": "cumprod cumsum log_softmax prod softmax sum",
        "widest": "addcdiv addcmul atan2 bilinear cat cross dot grid_sample index_put scatter_add stack tensordot vdot",
        "refused": "binary_cross_entropy",
    },
}


def _by_name() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for where, rules in TABLE.items():
        for rule, names in rules.items():
            for name in names.split():
                found.setdefault(name, {})[where] = rule
    return found


RULES = _by_name()


def castable(*namespaces: dict[str, Any]) -> None:
    """Replace the functions that the table names, in modules and as methods of `Tensor`, by ones that cast."""
    made = {function: _casting(function, RULES[name]) for space in namespaces for name, function in space.items()
            if name in RULES and isinstance(function, FunctionType) and not hasattr(function, "autocast")}
    for space in namespaces:
        space.update({name: made[f] for name, f in space.items() if isinstance(f, FunctionType) and f in made})
    for name, method in list(vars(Tensor).items()):
        if isinstance(method, FunctionType) and method in made:
            setattr(Tensor, name, made[method])


def _casting(function: FunctionType, rules: dict[str, str]) -> FunctionType:
    """`function`, preceded by its casts. Where autocast was never on that costs one look at an attribute."""
    current, ever, call, refused, again = modes, _ever, _call, REFUSED, respelled

    def run(*args: Any, **kwargs: Any) -> Any:
        if ever and current.on:
            return call(function, rules, args, kwargs)
        try:
            return function(*args, **kwargs) if kwargs else function(*args)
        except refused:
            args, kwargs = again(function, args, kwargs)
        return function(*args, **kwargs)

    # In the globals of the function itself, where tools such as doctest look for what a module defines.
    made = FunctionType(run.__code__, function.__globals__, function.__name__, None, run.__closure__)
    functools.update_wrapper(made, function)
    made.__dict__["autocast"] = rules
    return made


# --- Casting ----------------------------------------------------------------------------------------------------------

_ELIGIBLE = (dtypes.float32, *NARROW)  # double stays double


@dataclass(frozen=True, slots=True)
class Decision:
    """What autocast did at a call of a function: by which rule, `to` which dtype it cast the types `cast`; `result` is the
    floating-point type that it gave."""

    function: str
    rule: str
    to: dtype | None
    cast: tuple[dtype, ...]
    result: dtype
    where: Position
    scope: str


def _call(function: Callable[..., Any], rules: dict[str, str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    tensors = list(_tensors([*args, *kwargs.values()]))
    on = tensors[0]._device.partition(":")[0] if tensors else "cpu"
    rule, lower = rules.get("cpu" if on == "cpu" else "accelerator"), dict(modes.on).get(on)
    if rule is None or lower is None or (rule == "lower" and len(tensors) < 2) or (
            rule == "full_result" and kwargs.get("dtype") is not None) or (
            rule == "full_values" and (kwargs.get("return_indices") or True in args[6:7])):
        return function(*args, **kwargs)
    if rule == "refused":
        raise RuntimeError(f"{function.__name__} is unsafe to autocast, since its gradient overflows in {lower.name}: use "
                           "binary_cross_entropy_with_logits, or leave autocast for it")
    kind = None if rule == "kept" else lower
    if rule.startswith("full") or (rule == "widest" and any(t.dtype is dtypes.float32 for t in tensors)):
        kind = dtypes.float32
    before, modes.on = modes.on, ()  # what the function is made of is its own affair
    try:
        result = function(*(_cast(x, kind) for x in args), **{name: _cast(x, kind) for name, x in kwargs.items()})
    finally:
        modes.on = before
    if context.trace is not None:
        _note(function.__name__, rule, kind, tensors, result)
    return result


def _note(name: str, rule: str, kind: dtype | None, given: list[Tensor], result: Any) -> None:
    """Have the trace tell of a call."""
    inexact = [x.dtype for x in _tensors([result]) if x.dtype.is_inexact]
    if inexact and context.trace is not None:
        cast = tuple(x.dtype for x in given if kind is not None and x.dtype in _ELIGIBLE and x.dtype is not kind)
        context.trace.decisions.append(Decision(name, rule, kind, cast, inexact[0], user_position(), state.scope))


def _tensors(x: Any) -> Iterator[Tensor]:
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, (list, tuple)):
        for item in x:
            yield from _tensors(item)


def _cast(x: Any, kind: dtype | None) -> Any:
    if kind is None:
        return x
    if isinstance(x, Tensor):
        return x.to(kind) if x.dtype in _ELIGIBLE else x
    return type(x)(_cast(item, kind) for item in x) if type(x) in (list, tuple) else x


# --- What users call --------------------------------------------------------------------------------------------------


class autocast:
    """In this block, or decorated function, products compute in a narrow dtype and what needs precision in float32.

    Args: `device_type`, the kind of devices whose tensors are meant ("cpu", "cuda", "tpu"); `dtype`, the narrow one, by
    default `get_autocast_dtype(device_type)`; `enabled=False` switches autocast off in an inner block. `cache_enabled`
    is accepted: equal casts of one program are one cast anyhow. RuntimeError for an unknown kind of device.

    >>> import flambeau as torch
    >>> with torch.autocast("cpu"):
    ...     (torch.ones(2, 3) @ torch.ones(3, 2)).dtype
    torch.bfloat16
    """

    _guarded = True  # a compiled step that comes to one depends on all that it knows

    def __init__(self, device_type: str, dtype: dtype | None = None, enabled: bool = True,
                 cache_enabled: bool | None = None) -> None:
        self.device = _checked(device_type)
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled and self.fast_dtype not in NARROW:
            tell(f"In {self.device.upper()} autocast, but the target dtype is not supported. Disabling autocast. "
                 f"It supports torch.bfloat16 and torch.float16, got {self.fast_dtype}")
            enabled = False
        if enabled and self.device == "cuda" and not has_cuda():
            tell("CUDA is not available or torch_xla is imported. Disabling autocast.")
            enabled = False
        self._enabled = enabled
        self._before: list[tuple[tuple[str, Any], ...]] = []

    def __enter__(self) -> autocast:
        self._before.append(modes.on)
        _switch(self.device, self.fast_dtype if self._enabled else None)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        modes.on = self._before.pop()

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


def autocast_decorator(autocast_instance: autocast, func: F) -> F:
    """The function in that block."""
    return autocast_instance(func)


def _checked(device_type: str) -> str:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if device_type not in DEFAULTS:
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}': it requires one of "
                           f"{', '.join(DEFAULTS)}")
    return device_type


def _switch(device_type: str, kind: dtype | None) -> None:
    others = tuple(pair for pair in modes.on if pair[0] != device_type)
    modes.on = others if kind is None else (*others, (device_type, kind))
    if kind is not None and not _ever:
        _ever.append(True)


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows that kind of device."""
    return device_type in DEFAULTS


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for that kind of device."""
    return _checked(device_type) in dict(modes.on)


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switch autocast on or off for a kind of device, in this thread; for "cuda" where only a bool is given."""
    if isinstance(device_type, bool):
        kind, switch = "cuda", device_type
    else:
        kind, switch = device_type, enabled  # type: ignore[assignment]
    if not isinstance(switch, bool):
        raise TypeError(f"set_autocast_enabled() requires a kind of device and a bool, got {device_type!r} and {enabled!r}")
    _switch(_checked(kind), get_autocast_dtype(kind) if switch else None)


def get_autocast_dtype(device_type: str) -> dtype:
    """The dtype that products compute in now; where autocast is off, the one they would."""
    on = dict(modes.on).get(_checked(device_type))
    if on is not None or context.trace is None:
        return on or _default(device_type)
    return context.trace.guard(f"the autocast dtype of {device_type}", lambda: _default(device_type))


def _default(device_type: str) -> dtype:
    return modes.dtypes.get(device_type, DEFAULTS[device_type])


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Make `dtype` the one for autocast blocks of this thread that name none, and for one that is on."""
    modes.dtypes = {**modes.dtypes, _checked(device_type): dtype}
    if is_autocast_enabled(device_type):
        _switch(device_type, dtype)
