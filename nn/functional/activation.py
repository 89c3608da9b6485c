"""Activations: https://pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from ...tracer.functions.activation import log_softmax as _log_softmax
from ...tracer.functions.activation import relu as _relu
from ...tracer.functions.activation import softmax as _softmax
from ...tracer.functions.arithmetic import add, div, mul, sub
from ...tracer.functions.choosing import where
from ...tracer.functions.dims import checked_dim
from ...tracer.functions.layout import in_pieces, laid_out
from ...tracer.functions.methods import assign, named, with_out
from ...tracer.functions.operands import scalar_name, wrap
from ...tracer.functions.precision import fitting, rounded_once
from ...tracer.functions.random import generator_on, open_uniform, rand_like
from ...tracer.functions.refusals import INEXACT, NUMBER, not_implemented, require_kind
from ...tracer.functions.spelling import spelled
from ...tracer.functions.unary import abs as absolute
from ...tracer.functions.unary import erf, exp, expm1, log1p, neg, sigmoid, tanh
from ...tracer.ir import dtypes
from ...tracer.ir.graph import Value
from ...tracer.ir.told import tell
from ...tracer.ops.custom import PassedOn, custom_gradient
from ...tracer.ops.elementwise import with_value
from ...tracer.tensor.tensor import Tensor


def _result(input: Tensor, output: Tensor, inplace: bool) -> Tensor:
    return assign(input, output) if inplace else output


class _NoBackward(PassedOn):
    """Of what torch writes in place and cannot differentiate then: the sign of the result does not tell that of the input."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _NoBackward) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """Refuses."""
        raise RuntimeError(f"In-place {self.name} backward calculation is triggered with a negative slope which is not "
                           "supported. This is caused by calling in-place forward function with a negative slope, please call "
                           "out-of-place version instead.")


def _of_slope(input: Tensor, output: Tensor, inplace: bool, slope: Any, name: str) -> Tensor:
    """The result of a function with this slope below 0."""
    if inplace and output.requires_grad and slope < 0:
        value = output.detach()._read()
        output = wrap(custom_gradient(output._read(), value, outputs=1, rule=_NoBackward(name))[0])
    return _result(input, output, inplace)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0). The gradient at 0 is 0."""
    return _result(input, _relu(input), inplace)


def relu_(input: Tensor) -> Tensor:
    """In-place relu."""
    return relu(input, inplace=True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def _refuse_bools(text: str, x: Tensor) -> None:
    if isinstance(x, Tensor) and x.dtype is dtypes.boolean:
        raise RuntimeError(text)


@spelled
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x clamped to [min_val, max_val]; outside, and on the ends, the gradient is 0."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    _refuse_bools("Bool inputs not supported for hardtanh", input)
    if input.dtype is dtypes.uint8 and (min_val < 0 or max_val < 0):
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    input, target = in_pieces(input), input
    low = where(input <= fitting(min_val, input.dtype), min_val, input)
    fitting(max_val, input.dtype)
    if not min_val <= max_val:  # one is NaN, and with it the result
        return _result(target, where(input.isnan(), input, math.nan), inplace)
    return _result(target, where(input >= max_val, max_val, low).to(input.dtype), inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x for positive x, negative_slope * x else."""
    require_kind("leaky_relu_cpu", input)
    return _of_slope(input, _leaky(in_pieces(input), negative_slope), inplace, negative_slope, "leakyReLu")


@rounded_once
def _leaky(input: Tensor, slope: float) -> Tensor:
    return where(input > 0, input, mul(input, slope))


def check_slopes(lower: float, upper: float) -> None:
    """torch's errors for bounds between which no slope can be drawn."""
    for name, bound in (("lower", lower), ("upper", upper)):
        if not math.isfinite(bound):
            raise RuntimeError(f"rrelu: {name} bound must be finite, got {bound:g}")
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False,
          inplace: bool = False) -> Tensor:
    """leaky_relu whose slope is random in [lower, upper] while training, and the mean of both else."""
    check_slopes(lower, upper)
    require_kind("rrelu_with_noise_cpu" if training else "leaky_relu_cpu", input)
    slope = add(mul(rand_like(input), upper - lower), lower) if training else (lower + upper) / 2
    x = in_pieces(input)
    output = where(x > 0, x, mul(x, slope))
    return _result(input, output, inplace) if training else _of_slope(input, output, inplace, slope, "leakyReLu")


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for positive x, alpha * (exp(x) - 1) else."""
    return _of_slope(input, _bent(input, alpha), inplace, alpha, "elu")


@rounded_once
def _bent(input: Tensor, alpha: float, width: float = 1.0, scale: float = 1.0) -> Tensor:
    """x above 0, alpha * (exp(x / width) - 1) else, both times scale."""
    require_kind("elu_cpu", input)
    below = input < 0
    bend = where(below, input, 0.0)  # no overflow on the side that is not taken: its gradient would be NaN
    straight = input
    if input.requires_grad:  # at 0 torch takes the slope from below, and no curve
        straight = where(input == 0, mul(input, alpha / width), input)
    bent = where(below, mul(expm1(bend if width == 1.0 else div(bend, width)), alpha), straight)
    return bent if scale == 1.0 else mul(bent, scale)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _of_slope(input, _bent(input, alpha, alpha), inplace, alpha, "elu")


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), with the two constants that keep mean 0 and variance 1."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return _result(input, _bent(input, alpha, scale=scale), inplace)


@with_out
@rounded_once
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x), with Phi the normal distribution function, or its `tanh` approximation.

    Source: Hendrycks, Gimpel: "Gaussian error linear units", https://arxiv.org/abs/1606.08415
    """
    require_kind("GeluKernelImpl", input)
    if approximate == "none":
        return mul(mul(input, 0.5), add(erf(mul(input, math.sqrt(0.5))), 1))
    if approximate != "tanh":
        raise RuntimeError("approximate argument must be either none or tanh.")
    inner = mul(mul(input, add(mul(mul(input, input), 0.044715), 1)), math.sqrt(2 / math.pi))
    return mul(mul(input, 0.5), add(tanh(inner), 1))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    return _result(input, _gated(input), inplace)


@rounded_once
def _gated(input: Tensor) -> Tensor:
    require_kind("silu_cpu", input, INEXACT)
    return mul(input, sigmoid(input))


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x))."""
    return _result(input, _mish(input), inplace)


@rounded_once
def _mish(input: Tensor) -> Tensor:
    return mul(input, tanh(sub(input, logsigmoid(input))))


@with_out
@rounded_once
def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x exceeds the threshold."""
    if not input.dtype.is_floating_point:
        raise not_implemented("softplus_cpu", input.dtype)
    scaled = mul(input, beta)
    linear = scaled > threshold
    smooth = log1p(exp(where(linear, 0.0, scaled).to(input.dtype)))
    return where(linear, input, div(smooth, beta))


@with_out
@rounded_once
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|))."""
    if not input.dtype.is_floating_point:
        raise not_implemented("log_sigmoid_cpu", input.dtype)
    below = where(input < 0, input, 0).to(input.dtype)
    return sub(below, log1p(exp(where(input < 0, input, neg(input)))))


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6."""
    return _result(input, _hard_gate(input), inplace)


@rounded_once
def _hard_gate(input: Tensor) -> Tensor:
    require_kind("hardsigmoid_cpu", input)
    value = div(relu6(add(input, 3)), 6)
    slope = where(absolute(input) < 3, div(input, 6), 0.0)  # also at NaN
    return laid_out(wrap(with_value(slope._read(), value._read())), [input])


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * relu6(x + 3) / 6."""
    return _result(input, _hard_gated(input), inplace)


@rounded_once
def _hard_gated(input: Tensor) -> Tensor:
    require_kind("hardswish_cpu", input)
    value = div(mul(input, relu6(add(input, 3))), 6)
    inside = where(absolute(input) < 3, input, 0.0)
    rest = where(input < 0, 0.0, input)  # also of NaN and infinity
    slope = where(absolute(input) < 3, mul(inside, add(div(inside, 6), 0.5)), rest)
    return laid_out(wrap(with_value(slope._read(), value._read())), [input])


@with_out
@rounded_once
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved toward 0 by lambd, and 0 on the way."""
    require_kind("softshrink_check", input)
    largest = dtypes.finfo(input.dtype).max
    if not 0 <= lambd <= largest:
        raise RuntimeError(f"lambda must be in range [0, {largest:.6g}] for input dtype {scalar_name(input.dtype)}, but found "
                           f"{lambd:g}")
    input = in_pieces(input)
    return where(absolute(input) <= lambd, 0.0, where(input > 0, sub(input, lambd), add(input, lambd)))


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return sub(input, tanh(input))


@rounded_once
def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return div(input, add(absolute(input), 1))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value."""
    require_kind("threshold_cpu", input, NUMBER)
    return _result(input, _cut(in_pieces(input), threshold, fitting(value, input.dtype)), inplace)


@rounded_once
def _cut(input: Tensor, threshold: float, value: float) -> Tensor:
    return where(input <= threshold, value, input).to(input.dtype)


@rounded_once
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b) for the halves a, b of x along `dim`."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    axis = checked_dim(dim, input.ndim)
    require_kind("glu_cpu", input)
    if input._type.shape[axis] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {input._type.shape[axis]}")
    first, second = input.chunk(2, axis)
    return mul(first, sigmoid(second))


def _implicit(name: str, x: Tensor, dim: int | None) -> int:
    """torch's dimension where none is given, with its warning: 0 for 0-d, 1-d and 3-d tensors, else 1."""
    if dim is not None:
        return dim
    tell(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.")
    return 0 if x.ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtypes.dtype | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    return _softmax(input, _implicit("softmax", input, dim), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtypes.dtype | None = None) -> Tensor:
    """softmax(-x)."""
    return _softmax(neg(input), _implicit("softmin", input, dim), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3,
                dtype: dtypes.dtype | None = None) -> Tensor:
    """log(softmax(x)) along `dim`."""
    return _log_softmax(input, _implicit("log_softmax", input, dim), dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A differentiable sample of a categorical distribution; `hard` gives one-hot values with the soft gradient.

    Source: Jang, Gu, Poole: "Categorical reparameterization with Gumbel-softmax", https://arxiv.org/abs/1611.01144
    """
    if not logits.dtype.is_floating_point:
        raise RuntimeError("Exponential distribution is a continuous probability distribution. dtype must be a floating "
                           f"point but you specified {scalar_name(logits.dtype)}")
    if eps != 1e-10:
        tell("`eps` parameter is deprecated and has no effect.")
    kind = dtypes.float64 if logits.dtype is dtypes.float64 else dtypes.float32
    unit = open_uniform(logits._type.shape, kind, generator_on(logits._device))
    noise = neg(neg(unit.log()).log()).to(logits.dtype)
    soft = _softmax(div(add(logits, noise), tau), dim)
    if not hard:
        return soft
    one = (soft == soft.amax(dim, keepdim=True)).to(soft.dtype)
    return add(sub(one, soft.detach()), soft)


# --- In place ---------------------------------------------------------------------------------------------------------


def _in_place(function: Any) -> Callable[..., Tensor]:
    known = inspect.signature(function)
    wanted = known.replace(parameters=[p for name, p in known.parameters.items() if name != "inplace"])

    @named(f"{function.__name__}_", f"In-place form of `{function.__name__}`.")
    def call(*args: Any, **kwargs: Any) -> Tensor:
        return function(*args, **kwargs, inplace=True)

    call.__signature__ = wanted  # type: ignore[attr-defined]
    return call


celu_, elu_, hardtanh_, leaky_relu_, rrelu_, selu_, threshold_ = map(
    _in_place, (celu, elu, hardtanh, leaky_relu, rrelu, selu, threshold))
