"""Initial values of parameters: https://pytorch.org/docs/stable/nn.init.html"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.arithmetic import add, mul
from ..tracer.functions.choosing import clamp
from ..tracer.functions.creation import tensor as make_tensor
from ..tracer.functions.methods import named
from ..tracer.functions.operands import wrap
from ..tracer.functions.random import Generator, generator_on, rand_like, randn, uniform_value
from ..tracer.functions.ranges import eye
from ..tracer.functions.unary import erfinv
from ..tracer.ir import dtypes
from ..tracer.ir.told import tell
from ..tracer.lazy.flush import host_array
from ..tracer.ops.sorting import sort
from ..tracer.ops.structural import iota
from ..tracer.tensor.tensor import Tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights are scaled so that a nonlinearity keeps the variance.

    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    plain = {"linear", "sigmoid", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))}
    if nonlinearity in plain:
        return 1.0
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, (int, float))):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    known = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
    if nonlinearity not in known:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return known[nonlinearity]


# --- Given distributions ----------------------------------------------------------------------------------------------


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal."""
    return tensor.normal_(mean, std, generator=generator)


def _no_grad_uniform_(tensor: Tensor, a: float, b: float, generator: Generator | None = None) -> Tensor:
    return uniform_(tensor, a, b, generator)


def _no_grad_normal_(tensor: Tensor, mean: float, std: float, generator: Generator | None = None) -> Tensor:
    return normal_(tensor, mean, std, generator)


def _no_grad_trunc_normal_(tensor: Tensor, mean: float, std: float, a: float, b: float,
                           generator: Generator | None = None) -> Tensor:
    return trunc_normal_(tensor, mean, std, a, b, generator)


def _no_grad_fill_(tensor: Tensor, val: float) -> Tensor:
    return constant_(tensor, val)


def _no_grad_zero_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 0.0)


@no_grad()
def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: Generator | None = None) -> Tensor:
    """Normal, without what lies outside [a, b]: the inverse distribution function of uniform numbers."""
    if mean < a - 2 * std or mean > b + 2 * std:
        tell("mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be incorrect.")
    low, high = (math.erf((bound - mean) / std / math.sqrt(2)) for bound in (a, b))
    kind = tensor.dtype if tensor.dtype.itemsize >= 4 else dtypes.float32
    unit = wrap(uniform_value(tensor._type.shape, kind, generator_on(tensor._device, generator)))
    inside = erfinv(add(mul(unit, high - low), low))
    return tensor.copy_(clamp(add(mul(inside, std * math.sqrt(2)), mean), a, b))


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere."""
    return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    _require_2d(tensor)
    return tensor.copy_(eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def _require_2d(tensor: Tensor) -> None:
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution kernel that keeps as many channels as it can."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    outputs, inputs, *sizes = tensor._type.shape
    if outputs % groups:
        raise ValueError("dim 0 must be divisible by groups")
    kernel = np.zeros(tensor._type.shape)
    each = outputs // groups
    for group in range(groups):
        for d in range(min(each, inputs)):
            kernel[(group * each + d, d, *(n // 2 for n in sizes))] = 1
    return tensor.copy_(_constant(kernel, tensor))


def _constant(array: Any, like: Tensor) -> Tensor:
    return make_tensor(array, dtype=like.dtype, device=like.device)


# --- By the size of the layer -----------------------------------------------------------------------------------------


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output has, and how many outputs an input."""
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    outputs, inputs, *window = tensor._type.shape
    return inputs * math.prod(window), outputs * math.prod(window)


def _fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform of variance gain ** 2 * 2 / (fan in + fan out).

    Source: Glorot, Bengio: "Understanding the difficulty of training deep feedforward neural networks", 2010
    """
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal of variance gain ** 2 * 2 / (fan in + fan out)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))), generator)


def _is_empty(tensor: Tensor) -> bool:
    empty = 0 in tensor._type.shape
    if empty:
        tell("Initializing zero-element tensors is a no-op")
    return empty


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     generator: Generator | None = None) -> Tensor:
    """Uniform of variance gain ** 2 / fan.

    Source: He, Zhang, Ren, Sun: "Delving deep into rectifiers", https://arxiv.org/abs/1502.01852
    """
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    generator: Generator | None = None) -> Tensor:
    """Normal of variance gain ** 2 / fan."""
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A (semi-)orthogonal matrix of rows times the rest. Computed on the host, so not inside a compiled function.

    Source: Saxe, McClelland, Ganguli: "Exact solutions to the nonlinear dynamics of learning", 2013
    """
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor._type.shape[0], tensor.numel() // tensor._type.shape[0]
    flat = randn(rows, columns, dtype=dtypes.float64, device=tensor.device, generator=generator)
    noise = host_array(flat._read())
    q, r = np.linalg.qr(noise.T if rows < columns else noise)
    q = q * np.sign(np.diag(r))  # makes the distribution uniform
    q = (q.T if rows < columns else q).reshape(tensor._type.shape)
    return tensor.copy_(_constant(gain * q, tensor))


@no_grad()
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal, with a fraction of zeros in each column."""
    _require_2d(tensor)
    rows = tensor._type.shape[0]
    dropped = math.ceil(sparsity * rows)
    order = rand_like(tensor, dtype=dtypes.float32, generator=generator)
    ranks = _ranks(order)
    normal_(tensor, 0.0, std, generator)
    return tensor.copy_(tensor.where(ranks >= dropped, 0.0))


def _ranks(x: Tensor) -> Tensor:
    """The place of each element in the order of its column: the order of the order."""
    value, numbers = x._read(), iota.on(x._device, shape=x._type.shape, axis=0, dtype=dtypes.int32)
    for _ in range(2):
        value = sort(value, numbers, axis=0, descending=False, keys=1)[1]
    return wrap(value)


# --- Older names ------------------------------------------------------------------------------------------------------


def _older(function: Any) -> Callable[..., Tensor]:
    new = function.__name__
    old = new.rstrip("_")

    @named(old, f"`{new}` under its old name, with torch's warning.")
    def call(*args: Any, **kwargs: Any) -> Tensor:
        tell(f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning)
        return function(*args, **kwargs)

    return call


uniform, normal, constant, dirac, orthogonal, sparse = map(
    _older, (uniform_, normal_, constant_, dirac_, orthogonal_, sparse_))
xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal = map(
    _older, (xavier_uniform_, xavier_normal_, kaiming_uniform_, kaiming_normal_))
