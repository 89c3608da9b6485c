"""More elementwise functions: signs, parts of numbers, whole numbers. https://pytorch.org/docs/stable/torch.html#pointwise-ops"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import dtypes
from ..dtypes import dtype
from ..graph import Value
from ..ops import OPS
from ..ops.custom import Flags, PassedOn, custom_gradient, transposed
from ..ops.elementwise import stop_gradient
from ..tensor import Tensor
from .arithmetic import abs as absolute
from .arithmetic import div, fmod, logical_and, logical_or, mul, pow, where
from .control import while_loop
from .layout import keeps_layout, laid_out
from .methods import assign, into, method, pointwise, with_out
from .operands import NUMBERS, Number, cast_value, float_kind, full, operands, result_dtype, scalar_name, wrap

# --- What these functions share ---------------------------------------------------------------------------------------

Pull = Callable[..., Sequence[Tensor | None]]


@dataclass(frozen=True)
class Derivative(PassedOn):
    """The gradient rule of a function of one result: pull(g, out, *inputs) -> a cotangent or None for each input.

    `refusals` has, for inputs that torch has no derivative for, what to say when a gradient is to flow to one.
    """

    name: str = field()
    pull: Pull = field()
    refusals: tuple[str, ...] = ()

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """What `pull` says, in tensors."""
        if g[0] is None:
            return [None] * len(inputs)
        for refusal, x in zip(self.refusals, inputs):
            if x.requires_grad:
                raise NotImplementedError(refusal)
        found = self.pull(wrap(g[0]), wrap(out[0]), *map(wrap, inputs))
        return [None if c is None else c._read() for c in found]

    def push_forward(self, tangents: Sequence[Value | None], out: Sequence[Value],
                     inputs: Sequence[Value]) -> Sequence[Value | None]:
        """The transposed pull-back."""
        return transposed(self, tangents, out, inputs)

    def reads(self, out: int, inputs: int) -> tuple[Flags, Flags]:
        """Everything."""
        return (True,) * out, (True,) * inputs


def ruled(rule: Derivative, function: Callable[..., Tensor], *xs: Any, kind: dtype) -> Tensor:
    """function(*xs) on broadcast operands of `kind`, with the gradient that the rule gives; computed in float32 at least."""
    values = operands(*xs, kind=dtypes.float32 if kind.itemsize < 4 else kind)
    result = function(*(wrap(stop_gradient(v)) for v in values))._read()
    result = custom_gradient(*values, result, outputs=1, rule=rule)[0]
    return laid_out(wrap(cast_value(result, kind)), xs)


def check_tensor(function: str, argument: str, position: int, x: Any) -> None:
    """torch's TypeError for a number where only a tensor will do."""
    if isinstance(x, NUMBERS):
        raise TypeError(f"{function}(): argument '{argument}' (position {position}) must be Tensor, not {type(x).__name__}")


def check_number(function: str, x: Any, *xs: Any) -> None:
    """TypeError unless one of the operands is a tensor."""
    if not any(isinstance(t, Tensor) for t in (x, *xs)):
        raise TypeError(f"{function}() requires a Tensor among its operands, got "
                        f"({', '.join(type(t).__name__ for t in (x, *xs))})")


def not_implemented(kernel: str, kind: dtype) -> NotImplementedError:
    """torch's error for a dtype that a function is not made for."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(kind)}'")


def floating_kind(function: str, *xs: Any, whole: bool = False) -> dtype:
    """The result type, which must be a floating one; the default floating type for whole numbers if these are allowed."""
    kind = float_kind(*xs) if whole else result_dtype(*xs)
    if not kind.is_floating_point:
        raise not_implemented(f"{function}_cpu", kind)
    return kind


def check_bool(function: str, out: Tensor | None) -> None:
    """torch's RuntimeError for an `out` that cannot hold bools."""
    if out is not None and out.dtype is not dtypes.boolean:
        raise RuntimeError(f"{function} does not support non-boolean outputs.")


def constant_like(x: Tensor, number: Number, kind: dtype) -> Tensor:
    """A constant of the shape of `x`."""
    return wrap(full(x._type.shape, number, kind, x._device))


# --- Whole numbers ----------------------------------------------------------------------------------------------------


def _whole_operands(function: str, input: Tensor, other: Tensor) -> list[Tensor]:
    check_tensor(function, "other", 2, other)
    kind = result_dtype(input, other)
    if kind.category != dtypes.INTEGRAL:
        raise not_implemented(f"{function}_cpu", kind)
    return [wrap(v) for v in operands(input, other, kind=kind)]


def _magnitude(x: Tensor) -> Tensor:
    return absolute(x) if x.dtype.is_signed else x


def _euclid(x: Tensor, y: Tensor) -> Tensor:
    """The last remainder that is not 0, all elements at once until every one has found its own."""
    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        done = x == 0
        return where(done, x, fmod(y, where(done, 1, x))), where(done, y, x)

    found: Tensor = while_loop(lambda x, y: (x != 0).any(), step, (_magnitude(x), _magnitude(y)))[1]
    return found


@pointwise()
@with_out
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor of integers, by Euclid's algorithm; gcd(0, 0) is 0.

    >>> import flambeau as torch
    >>> torch.gcd(torch.tensor([12, -9, 0]), torch.tensor(6))
    tensor([6, 3, 6])
    """
    return laid_out(_euclid(*_whole_operands("gcd", input, other)), (input, other))


@pointwise()
@with_out
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple of integers; 0 if one is 0.

    >>> import flambeau as torch
    >>> torch.lcm(torch.tensor([4, -3, 0]), torch.tensor(6))
    tensor([12,  6,  0])
    """
    x, y = _whole_operands("lcm", input, other)
    kind = x.dtype
    divisor = _euclid(x, y)
    if kind.is_signed and kind.itemsize < 4:  # C computes in int, and takes the absolute value before it narrows
        x, y, divisor = (t.to(dtypes.int32) for t in (x, y, divisor))
    none = divisor == 0
    multiple = div(x, where(none, 1, divisor), rounding_mode="trunc") * y
    return laid_out(where(none, 0, _magnitude(multiple)).to(kind), (input, other))


# --- Other functions of real numbers ----------------------------------------------------------------------------------


def _hypot(x: Tensor, y: Tensor) -> Tensor:
    x, y = absolute(x), absolute(y)
    larger, smaller = where(x > y, x, y), where(x > y, y, x)
    ratio = smaller / where(larger == 0, 1, larger)
    infinite = logical_or(x == math.inf, y == math.inf)
    return where(infinite, math.inf, larger * (1 + ratio * ratio).sqrt())


_HYPOT = Derivative("Hypot", lambda g, out, x, y: (g * (x / out), g * (y / out)))


@pointwise()
@with_out
def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(input**2 + other**2), without overflow on the way. The gradient at (0, 0) is NaN, as torch's is.

    >>> import flambeau as torch
    >>> torch.hypot(torch.tensor([3.0, 3e30]), torch.tensor([4.0, 4e30]))
    tensor([5.0000e+00, 5.0000e+30])
    """
    check_tensor("hypot", "other", 2, other)
    return ruled(_HYPOT, _hypot, input, other, kind=floating_kind("hypot", input, other))


def _heaviside_pull(g: Tensor, out: Tensor, x: Tensor, values: Tensor) -> Sequence[Tensor]:
    raise RuntimeError("derivative for aten::heaviside is not implemented")


_HEAVISIDE = Derivative("Heaviside", _heaviside_pull)


@pointwise()
@with_out
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """The unit step: 0 below 0, 1 above, and `values` at 0. It has no gradient.

    >>> import flambeau as torch
    >>> torch.heaviside(torch.tensor([-2.0, 0.0, 3.0]), torch.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    check_tensor("heaviside", "values", 2, values)
    if input.dtype.is_complex or values.dtype.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    x, y = operands(input, values)
    fixed = wrap(stop_gradient(x))
    result = where(fixed == 0, wrap(stop_gradient(y)), (fixed > 0).to(input.dtype))._read()
    if input.dtype.is_floating_point:
        result = custom_gradient(x, y, result, outputs=1, rule=_HEAVISIDE)[0]
    return laid_out(wrap(result), (input, values))


def _turning(name: str, factor: float, meaning: str) -> Any:
    def function(input: Tensor) -> Tensor:
        if input.dtype.is_complex:
            raise RuntimeError(f"{name} is not supported for complex tensors.")
        return mul(input, factor)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = meaning
    return pointwise(name)(with_out(function))


rad2deg = _turning("rad2deg", 180 / math.pi, "Angles in degrees, from radians: x * 180 / pi.")
deg2rad = _turning("deg2rad", math.pi / 180, "Angles in radians, from degrees: x * pi / 180.")


def _power_kind(*xs: Any) -> dtype:
    return dtypes.complex128 if result_dtype(*xs).is_complex else dtypes.float64


def _check_power(what: str, given: dtype, wanted: dtype) -> None:
    if given is not wanted:
        raise RuntimeError(f"the {what} has dtype {scalar_name(given)} but the operation's result requires dtype "
                           f"{scalar_name(wanted)}")


@method()
@keeps_layout
def float_power(input: Tensor | Number, exponent: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent, computed in float64, or in complex128 if either is complex.

    >>> import flambeau as torch
    >>> torch.float_power(torch.tensor([2, 4]), -1)
    tensor([0.5000, 0.2500], dtype=torch.float64)
    """
    check_number("float_power", input, exponent)
    kind = _power_kind(input, exponent)
    if out is not None:
        _check_power("output given to float_power", out.dtype, kind)
    x, y = (t.to(kind) if isinstance(t, Tensor) else t for t in (input, exponent))
    return into(out, pow(x, y))


@method("float_power_")
def _float_power_in_place(self: Tensor, exponent: Tensor | Number) -> Tensor:
    """In-place form of `float_power`."""
    _check_power("base given to float_power_", self.dtype, _power_kind(self, exponent))
    return assign(self, float_power(self, exponent))


# --- Which numbers are what -------------------------------------------------------------------------------------------


def _infinity(name: str, number: float, meaning: str) -> Any:
    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if input.dtype.is_complex:
            raise RuntimeError(f"{name} does not support complex inputs.")
        check_bool(name, out)
        found = input == number if input.dtype.is_floating_point else constant_like(input, False, dtypes.boolean)
        return into(out, found)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = meaning
    return method(name)(keeps_layout(function))


isposinf = _infinity("isposinf", math.inf, "Whether each element is infinite and positive.")
isneginf = _infinity("isneginf", -math.inf, "Whether each element is infinite and negative.")


@method()
@keeps_layout
def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part of each element is 0.

    >>> import flambeau as torch
    >>> torch.isreal(torch.tensor([1 + 1j, 2 + 0j]))
    tensor([False,  True])
    """
    if not input.dtype.is_complex:
        return constant_like(input, True, dtypes.boolean)
    return wrap(OPS["imag"](input._read())) == 0


# --- Activations that are methods -------------------------------------------------------------------------------------


@method()
@keeps_layout
@with_out
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0.

    >>> import flambeau as torch
    >>> torch.tensor([-1.0, 0.3, 0.7]).hardshrink()
    tensor([-1.0000,  0.0000,  0.7000])
    """
    floating_kind("hardshrink", input)
    return where(logical_and(input >= -lambd, input <= lambd), 0.0, input)


@method()
@keeps_layout
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x for positive x, weight * x else, with one weight for all or one for each channel (dimension 1).

    >>> import flambeau as torch
    >>> torch.tensor([-2.0, 3.0]).prelu(torch.tensor(0.25))
    tensor([-0.5000,  3.0000])
    """
    check_tensor("prelu", "weight", 2, weight)
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if input.dtype is not weight.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {scalar_name(input.dtype)} and "
                           f"{scalar_name(weight.dtype)}")
    floating_kind("prelu", input)
    if weight.numel() != 1:
        if not input.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(f"Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                               f"{weight.numel()} and channel size = {channels}.")
    weight = weight.reshape(-1, *(1,) * (input.ndim - 2)) if input.ndim > 1 else weight.reshape(())
    return where(input > 0, input, mul(weight, input))
