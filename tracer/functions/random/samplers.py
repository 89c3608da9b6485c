"""Tensors of random numbers: https://pytorch.org/docs/stable/torch.html#random-sampling"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...ir import dtypes
from ...ir.dtypes import dtype
from ...ir.graph import Value
from ...ops.elementwise import compare
from ...ops.running import cumsum
from ...ops.sorting import sort, top_k
from ...ops.structural import Ints, iota
from ...tensor.layouts import check_layout, layout, memory_format
from ...tensor.scalar import Scalar
from ...tensor.tensor import Tensor
from ..arithmetic import add, div, mul
from ..checks import check_none
from ..complex_numbers import view_as_complex
from ..defaults import Defaults, device_name
from ..dims import shape_argument, whole_number, whole_place
from ..layout import in_format
from ..methods import CREATED, Out, into, method, with_out, with_out_of
from ..operands import cast_value, common_shape, expand_value, number_value, scalar_name, wrap
from ..spelling import spelled
from ..unary import log, neg
from .generator import Generator, generator_on
from .values import chance_value, check_bounds, drawn_from, integer_value, normal_value, open_uniform, uniform_value, working


def _made(value: Value, kind: dtype, requires_grad: bool, out: Tensor | None = None) -> Tensor:
    made = into(out, wrap(cast_value(value, kind)), rule=CREATED)
    return made.requires_grad_() if requires_grad else made


def rand(*sizes: Any, size: Any = None, generator: Generator | None = None, out: Tensor | None = None,
         dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
         layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Random numbers, uniform between 0 and 1.

    Args: `sizes` one by one, or as one sequence, or as `size`; `generator`, by default the device's own; `out`, a
    tensor to write to; `dtype`, a floating or complex one; `device`, where they live; `requires_grad`, whether
    gradients reach them. `layout` is strided, `pin_memory` changes nothing.
    Returns a tensor of that shape with numbers in [0, 1); complex ones have such parts. `manual_seed` makes them the
    same again.
    Raises RuntimeError for a negative size.

    >>> import flambeau as torch
    >>> torch.rand(2, 3).shape
    torch.Size([2, 3])

    Source: https://pytorch.org/docs/stable/generated/torch.rand.html
    """
    check_layout(layout)
    kind = dtype or _kind_of(out)
    source = generator_on(device_name(device), generator)
    if kind.is_complex:
        value = uniform_value((*_size(sizes, size), 2), kind.real_form, source)
        return _made(view_as_complex(wrap(value))._read(), kind, requires_grad, out)
    working(kind, "check_uniform_bounds")
    return _made(uniform_value(_size(sizes, size), kind, source), kind, requires_grad, out)


def randn(*sizes: Any, size: Any = None, generator: Generator | None = None, out: Tensor | None = None,
          dtype: dtype | None = None, device: Any = None, requires_grad: bool = False,
          layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Random numbers from the normal distribution of mean 0 and variance 1.

    Args: `sizes` one by one, or as one sequence, or as `size`; `generator`, by default the device's own; `out`, a
    tensor to write to; `dtype`, a floating or complex one; `device`, where they live; `requires_grad`, whether
    gradients reach them. `layout` is strided, `pin_memory` changes nothing.
    Returns a tensor of that shape; the parts of complex numbers have variance 1/2. `manual_seed` makes them the same
    again.
    Raises RuntimeError for a negative size.

    >>> import flambeau as torch
    >>> torch.randn(2, 3).shape
    torch.Size([2, 3])

    Source: https://pytorch.org/docs/stable/generated/torch.randn.html
    """
    check_layout(layout)
    kind = dtype or _kind_of(out)
    source = generator_on(device_name(device), generator)
    if kind.is_complex:
        parts = mul(wrap(normal_value((*_size(sizes, size), 2), kind.real_form, source)), math.sqrt(0.5))
        return _made(view_as_complex(parts)._read(), kind, requires_grad, out)
    value = normal_value(_size(sizes, size), working(kind, "normal_kernel_cpu"), source)
    return _made(value, kind, requires_grad, out)


def _kind_of(out: Tensor | None) -> dtype:
    return Defaults.dtype if out is None else out.dtype


def _size(sizes: Sequence[Any], size: Any = None) -> Ints:
    shape = shape_argument(sizes, size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape


def randint(low: int = 0, high: Any = None, size: Any = None, *, generator: Generator | None = None,
            out: Tensor | None = None, dtype: dtype | None = None, device: Any = None,
            requires_grad: bool = False,
            layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Integers in [low, high), or in [0, high) when called as randint(high, size).

    >>> import flambeau as torch
    >>> torch.randint(3, 4, (2,))
    tensor([3, 3])
    """
    check_layout(layout)
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint() missing required argument: size")
    low, high = whole_place(low, "low"), whole_place(high, "high")
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    kind = dtype or (dtypes.int64 if out is None else out.dtype)
    check_bounds(kind, low, high - 1, "to - 1")
    value = integer_value(_size((), size), low, high, generator_on(device_name(device), generator))
    return _made(value, kind, requires_grad, out)


def randperm(n: int, *, generator: Generator | None = None, out: Tensor | None = None, dtype: dtype | None = None,
             device: Any = None, requires_grad: bool = False,
             layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """The integers below n in random order: sorted by 64 random bits each."""
    check_layout(layout)
    shape, on = _size((n,)), device_name(device)
    keys = generator_on(on, generator).draw(shape, dtypes.uint64)
    numbers = iota.on(on, shape=shape, axis=0, dtype=dtypes.int64)
    order = sort(keys, numbers, axis=0, descending=False, keys=1)[1]
    return _made(order, dtype or dtypes.int64, requires_grad, out)


@spelled
def rand_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, generator: Generator | None = None,
              requires_grad: bool = False,
              layout: layout | None = None, memory_format: memory_format | None = None, pin_memory: bool = False) -> Tensor:
    """Uniform numbers in [0, 1) in the shape of `input`."""
    made = rand(input.shape, dtype=dtype or input.dtype, device=device or input.device, generator=generator,
                requires_grad=requires_grad, layout=layout)
    return in_format(made, memory_format, input)


@spelled
def randn_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, generator: Generator | None = None,
               requires_grad: bool = False,
               layout: layout | None = None, memory_format: memory_format | None = None, pin_memory: bool = False) -> Tensor:
    """Standard normal numbers in the shape of `input`."""
    made = randn(input.shape, dtype=dtype or input.dtype, device=device or input.device, generator=generator,
                 requires_grad=requires_grad, layout=layout)
    return in_format(made, memory_format, input)


def randint_like(input: Tensor, low: Any = 0, high: Any = None, *, dtype: dtype | None = None, device: Any = None,
                 generator: Generator | None = None, requires_grad: bool = False,
                 layout: layout | None = None, memory_format: memory_format | None = None, pin_memory: bool = False) -> Tensor:
    """Integers in [low, high), or [0, low), in the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    low, high = (int(n) if isinstance(n, Tensor) else n for n in (low, high))
    made = randint(low, high, input.shape, dtype=dtype or input.dtype, device=device or input.device,
                   generator=generator, requires_grad=requires_grad, layout=layout)
    return in_format(made, memory_format, input)


# --- Distributions ----------------------------------------------------------------------------------------------------


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
           out: Tensor | None = None, dtype: dtype | None = None, device: Any = None,
           requires_grad: bool = False,
           layout: layout | None = None, pin_memory: bool = False) -> Tensor:
    """Normal numbers; `mean` and `std` are tensors (one per number), or numbers together with a `size`."""
    check_layout(layout)
    check_std(std)
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not given and size is None:
        raise TypeError("normal() expects a size when mean and std are numbers")
    if given and size is not None:
        raise TypeError("normal() takes a size only when mean and std are numbers")
    kind = dtype or (given[0].dtype if given else Defaults.dtype)
    on = given[0]._device if given else device_name(device)
    shape = common_shape(*(x._type.shape for x in given)) if given else _size((), size)
    mean, std = (x.detach() if isinstance(x, Tensor) else x for x in (mean, std))
    noise = normal_numbers(shape, mean, std, kind, generator_on(on, generator))
    made = into(out, drawn_from(noise.to(kind), *given), rule=CREATED)
    return made.requires_grad_() if requires_grad else made


def is_number(x: Any) -> bool:
    """Whether it is a real number, also one that a traced function was given: what is asked of that is a guard."""
    return type(x) in (int, float, Scalar)


def check_std(std: Any) -> None:
    if is_number(std) and not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if isinstance(std, Tensor):
        check_none("normal", ~(std >= 0), RuntimeError, "normal expects all elements of std >= 0.0", std.detach(), "{value}")


def normal_numbers(shape: Ints, mean: Any, std: Any, kind: dtype, generator: Generator) -> Tensor:
    noise = wrap(normal_value(shape, working(kind, "normal_kernel_cpu"), generator))
    if not (type(std) in (int, float) and std == 1):
        noise = mul(noise, std)
    return noise if type(mean) in (int, float) and mean == 0 else add(noise, mean)


@method()
@with_out
def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that `input` holds (or that `p` is), else 0; in the dtype of `input`."""
    drawn = chances(input._type.shape, input if p is None else p, input._device, generator)
    return drawn_from(wrap(cast_value(drawn, input.dtype)), input)


def chances(shape: Ints, p: Any, on: str, generator: Generator | None) -> Value:
    source = generator_on(on, generator)
    if is_number(p) and not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    if type(p) in (int, float):
        return chance_value(shape, p, on, source)
    if not isinstance(p, Tensor) and type(p) is not Scalar:
        raise TypeError(f"bernoulli expected p as a number or a Tensor, got {type(p).__name__}")
    kind = dtypes.float64 if isinstance(p, Tensor) and p.dtype is dtypes.float64 else dtypes.float32
    if isinstance(p, Tensor):
        working(p.dtype, "bernoulli_tensor_cpu_p_")
        check_none("bernoulli", ~((p >= 0) & (p <= 1)), RuntimeError,
                   "Expected p_in >= 0 && p_in <= 1 to be true, but got false.", p.detach(), "{value}")
        limit = expand_value(cast_value(p.detach()._read(), kind), shape)
    else:
        limit = number_value(p, kind, shape, on)
    return compare(uniform_value(shape, kind, source), limit, direction="LT")


@method()
@with_out_of(Out("multinomial expects Long tensor out, got: {out}", always=dtypes.int64))
def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """Indices drawn from the weights in each row of `input`, which need not sum to 1.

    Without replacement the largest of weight / e for exponential e are taken (the Gumbel top-k trick); with it the
    cumulative weights are searched for uniform numbers. Negative, infinite and NaN weights, and rows without a positive
    one, are a RuntimeError when they are known.

    >>> import flambeau as torch
    >>> torch.multinomial(torch.tensor([0.0, 3.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    num_samples = whole_number(num_samples, "num_samples")
    _check_multinomial(input, num_samples, replacement)
    kind = dtypes.float64 if input.dtype is dtypes.float64 else dtypes.float32
    weights = input.detach().to(kind)
    _check_weights(weights, replacement and num_samples > 1)
    source = generator_on(input._device, generator)
    if replacement and num_samples > 1:
        return _searched(weights, num_samples, source)
    race = div(weights, neg(log(open_uniform(weights._type.shape, kind, source))))
    return wrap(cast_value(top_k(race._read(), k=num_samples)[1], dtypes.int64))


def _check_multinomial(input: Tensor, num_samples: int, replacement: bool) -> None:
    if input.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: "
                           f"{scalar_name(input.dtype)}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if input._type.shape[-1] > 2 ** 24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if not replacement and num_samples > input._type.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")


def _check_weights(weights: Tensor, searched: bool) -> None:
    right, finite = weights >= 0, weights < math.inf
    if searched:
        text = "invalid multinomial distribution (encountering probability entry {what})"
        check_none("multinomial", ~right, RuntimeError, text.format(what="< 0"), weights, "{value}")
        check_none("multinomial", ~finite, RuntimeError, text.format(what="= infinity or NaN"), weights, "{value}")
    else:
        check_none("multinomial", ~(right & finite), RuntimeError,
                   "probability tensor contains either `inf`, `nan` or element < 0", weights, "{value}")
    check_none("multinomial", ~(weights > 0).any(-1), RuntimeError,
               "invalid multinomial distribution (sum of probabilities <= 0)")


def _searched(weights: Tensor, count: int, generator: Generator) -> Tensor:
    """For each uniform number the first category whose cumulative weight exceeds it; never one of weight 0."""
    lead, last = weights._type.shape[:-1], weights.ndim - 1
    uniform = wrap(uniform_value((*lead, count), dtypes.float64, generator)).unsqueeze(-1)
    sums = wrap(cumsum(weights.double()._read(), axis=last, reverse=False)).unsqueeze(-2)
    total = sums.narrow(-1, weights._type.shape[-1] - 1, 1)
    passed = (sums <= uniform * total) & (sums < total)  # rounding must not reach the end, where the weight may be 0
    return passed.sum(-1)
