"""Random numbers: https://pytorch.org/docs/stable/random.html

A generator is a seed and an offset in a tensor, so a compiled step reads it, advances it and leaves it behind as it
does with any other state. All draws come from one counter-based algorithm in integers (`ops/random.py`): the same bits
on every platform and engine, outside jit and inside. They are not the bits torch draws from the same seed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import dtypes
from ..batching import maps_with_own_draws
from ..dtypes import dtype
from ..graph import Value
from ..hyper import outside_trace
from ..lazy import host_array
from ..ops import OPS
from ..ops.random import blocks_used
from ..ops.structural import Ints
from ..scalars import Scalar
from ..state import state
from ..tensor import Tensor, device
from ..types import Type
from .arithmetic import add, div, exp, log, mul, neg, tan
from .common import (
    Defaults,
    assign,
    broadcast_shapes,
    cast_value,
    device_name,
    expand_value,
    into,
    method,
    number_value,
    shape_argument,
    wrap,
)

DEFAULT_SEED = 67280421310721  # of a `Generator` that was never seeded, as in torch
STATE = Type.of((2,), dtypes.uint64)

# --- Generators -------------------------------------------------------------------------------------------------------


class Generator:
    """A stream of random bits: `seed` names it, an offset says how much of it was used.

    >>> import flambeau as torch
    >>> g = torch.Generator().manual_seed(1)
    >>> first = torch.rand(3, generator=g)
    >>> bool((torch.rand(3, generator=g.manual_seed(1)) == first).all())
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        self._device = device_name(device)
        self._start = DEFAULT_SEED
        self._tensor: Tensor | None = None

    @property
    def device(self) -> device:
        """Where the state lives and draws are made."""
        return device(self._device)

    @property
    def _state(self) -> Tensor:
        """The state, made when it is first needed, outside any trace: a compiled step takes it as an input."""
        if self._tensor is None:
            with outside_trace():
                self._tensor = wrap(Value(STATE, "cpu", np.array([self._start, 0], np.uint64))).to(self._device)
        return self._tensor

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream `seed` from its beginning. Negative seeds count from 2**64. Returns the generator."""
        seed = int(seed)
        if not -2**63 <= seed < 2**64:
            raise RuntimeError(f"manual_seed expected a seed within [-2**63, 2**64), got {seed}")
        self._start = seed % 2**64
        if self._tensor is not None or state.trace is not None:  # in a trace it is part of what the step does
            self._state._write(self._beginning())
        return self

    def _beginning(self) -> Value:
        words = (number_value(n, dtypes.uint64, (1,), self._device) for n in (self._start, 0))
        return OPS["concatenate"](*words, axis=0)

    def seed(self) -> int:
        """Start a stream that the operating system's randomness chooses; returns its seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._start

    def initial_seed(self) -> int:
        """The seed of the stream. Reads the state."""
        return self._start if self._tensor is None else int(host_array(self._tensor._read())[0])

    def get_state(self) -> Tensor:
        """The state as a tensor, to be given to `set_state`: uint64 (seed, offset)."""
        return self._state.clone()

    def set_state(self, new_state: Tensor) -> Generator:
        """Continue from a state that `get_state` returned."""
        if not isinstance(new_state, Tensor) or new_state._type is not STATE:
            raise TypeError(f"set_state expected a state from get_state (uint64 of 2 elements), got {new_state!r:.80}")
        self._state._write(OPS["alias"](new_state.to(self._device)._read()))
        return self

    def clone_state(self) -> Generator:
        """Another generator that continues as this one would."""
        copy = Generator(self._device)
        return copy.set_state(self.get_state())

    def draw(self, shape: Ints, kind: dtype) -> Value:
        """Fresh uint32 or uint64 bits; moves the offset past them."""
        current = self._state._read()
        start, count = current, blocks_used(shape, kind)
        for level in reversed(maps_with_own_draws()):
            start = self._past(start, count, level.index(self._device))
            count *= level.size
        bits = OPS["random_bits"](start, shape=shape, dtype=kind)
        self._state._write(self._past(current, count))
        return bits

    def _past(self, current: Value, count: int, times: Value | None = None) -> Value:
        """A state whose offset is larger by `count`, or by `count * times`."""
        used = number_value(count, dtypes.uint64, (2,), self._device)
        if times is not None:
            used = OPS["mul"](used, expand_value(times, (2,)))
        which = OPS["iota"].on(self._device, shape=(2,), axis=0, dtype=dtypes.uint64)  # the offset alone moves
        return OPS["add"](current, OPS["mul"](which, used))

    def __repr__(self) -> str:
        return f"<Generator device={self._device!r}>"

    def __getstate__(self) -> dict[str, Any]:
        words = None if self._tensor is None else host_array(self._tensor._read())
        return {"device": self._device, "start": self._start, "words": words}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._device, self._start, self._tensor = saved["device"], saved["start"], None
        if saved["words"] is not None:
            self._tensor = wrap(Value(STATE, "cpu", np.array(saved["words"]))).to(self._device)


default_generator = Generator()  # of this process: its first seed is the operating system's choice
default_generator._start = int.from_bytes(os.urandom(8), "little") >> 1
_by_device: dict[str, Generator] = {"cpu": default_generator}


def generator_on(on: str, generator: Generator | None = None) -> Generator:
    """The generator given, or the default one of a device; RuntimeError if it lives elsewhere."""
    if generator is not None:
        if generator._device != on:
            raise RuntimeError(f"Expected a '{on}' device type for generator but found '{generator._device}'")
        return generator
    found = _by_device.get(on)
    if found is None:
        found = _by_device[on] = Generator(on)
        found._start = default_generator._start
    return found


def manual_seed(seed: int) -> Generator:
    """Seed the default generators of all devices; returns the CPU's.

    >>> import flambeau as torch
    >>> x, y = ((torch.manual_seed(0), torch.rand(2))[1] for _ in range(2))
    >>> bool((x == y).all())
    True
    """
    for generator in _by_device.values():
        generator.manual_seed(seed)
    return default_generator


def seed() -> int:
    """Seed the default generators from the operating system; returns the seed."""
    chosen = default_generator.seed()
    manual_seed(chosen)
    return chosen


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Continue the default generator from a state that `get_rng_state` returned."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Iterable[Any] | None = None, enabled: bool = True) -> Iterator[None]:
    """After this block the default generators (of the CPU and of `devices`, all by default) are as they were before."""
    names = set(_by_device) if devices is None else {"cpu", *(device_name(d) for d in devices)}
    saved = {generator_on(on): generator_on(on).get_state() for on in names} if enabled else {}
    try:
        yield
    finally:
        for generator, before in saved.items():
            generator.set_state(before)


# --- From bits to numbers ---------------------------------------------------------------------------------------------


def _signed(shape: Ints, kind: dtype, drop: int, generator: Generator) -> Value:
    """Random signed integers for a mantissa: 32 bits (64 for float64) without the last `drop`."""
    wide = kind is dtypes.float64
    bits = generator.draw(shape, dtypes.uint64 if wide else dtypes.uint32)
    signed = dtypes.int64 if wide else dtypes.int32
    value = OPS["bitcast"](bits, dtype=signed)
    down = number_value(drop, signed, shape, bits.device)
    return OPS["shift_right_arithmetic"](value, down)


def symmetric_value(shape: Ints, kind: dtype, bound: float, generator: Generator) -> Value:
    """k * bound / 2**23 for a random integer k in [-2**23, 2**23): uniform in [-bound, bound).

    The integer is exact in the type and there is one multiplication, so the numbers are the same on every engine.
    float64 takes k from [-2**52, 2**52).
    """
    drop, power = (11, 52) if kind is dtypes.float64 else (8, 23)
    integers = _signed(shape, kind, drop, generator)
    step = number_value(bound * 2.0**-power, kind, shape, integers.device)
    return OPS["mul"](cast_value(integers, kind), step)


def open_symmetric_value(shape: Ints, kind: dtype, generator: Generator) -> Value:
    """Uniform odd multiples of 2**-24 (2**-53) in (-1, 1): neither 0 nor either end comes up."""
    drop, power = (10, 53) if kind is dtypes.float64 else (7, 24)
    integers = _signed(shape, kind, drop, generator)
    odd = OPS["or"](integers, number_value(1, integers.type.dtype, shape, integers.device))
    return OPS["mul"](cast_value(odd, kind), number_value(2.0**-power, kind, shape, odd.device))


def uniform_value(shape: Ints, kind: dtype, generator: Generator) -> Value:
    """Uniform multiples of 2**-24 (2**-53 for float64) in [0, 1)."""
    wide = kind is dtypes.float64
    bits = generator.draw(shape, dtypes.uint64 if wide else dtypes.uint32)
    unsigned, signed = (dtypes.uint64, dtypes.int64) if wide else (dtypes.uint32, dtypes.int32)
    down = number_value(11 if wide else 8, unsigned, shape, bits.device)
    high = cast_value(OPS["shift_right_logical"](bits, down), signed)
    return OPS["mul"](cast_value(high, kind), number_value(2.0**(-53 if wide else -24), kind, shape, bits.device))


def open_uniform(shape: Ints, kind: dtype, generator: Generator) -> Tensor:
    """Uniform odd multiples of 2**-24 (2**-53) in (0, 1), for logarithms."""
    return wrap(OPS["abs"](open_symmetric_value(shape, kind, generator)))


def normal_value(shape: Ints, kind: dtype, generator: Generator) -> Value:
    """Standard normal numbers: sqrt(2) * erfinv(u) for u uniform in (-1, 1)."""
    x = OPS["erfinv"](open_symmetric_value(shape, kind, generator))
    return OPS["mul"](x, number_value(math.sqrt(2), kind, shape, x.device))


def chance_value(shape: Ints, probability: float, on: str, generator: Generator) -> Value:
    """True with a probability that is rounded to a multiple of 2**-32: an integer comparison of the bits."""
    limit = round(probability * 2.0**32)
    if limit >= 2**32:
        return number_value(True, dtypes.boolean, shape, on)
    bits = generator.draw(shape, dtypes.uint32)
    return OPS["compare"](bits, number_value(limit, dtypes.uint32, shape, on), direction="LT")


def _working(kind: dtype, what: str) -> dtype:
    """The type random floats of `kind` are made in: float32 for the narrow ones."""
    if not kind.is_floating_point:
        raise RuntimeError(f'"{what}" not implemented for \'{kind.name.capitalize()}\'')
    return kind if kind.itemsize >= 4 else dtypes.float32


# --- Tensors of random numbers ----------------------------------------------------------------------------------------


def _made(value: Value, kind: dtype, requires_grad: bool, out: Tensor | None = None) -> Tensor:
    made = into(out, wrap(cast_value(value, kind)))
    return made.requires_grad_() if requires_grad else made


def rand(*size: Any, generator: Generator | None = None, out: Tensor | None = None, dtype: dtype | None = None,
         device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1). >>> rand(2, 3).shape -> torch.Size([2, 3])"""
    kind = dtype or Defaults.dtype
    source = generator_on(device_name(device), generator)
    value = uniform_value(_size(size), _working(kind, "check_uniform_bounds"), source)
    return _made(value, kind, requires_grad, out)


def randn(*size: Any, generator: Generator | None = None, out: Tensor | None = None, dtype: dtype | None = None,
          device: Any = None, requires_grad: bool = False) -> Tensor:
    """Numbers from the normal distribution of mean 0 and variance 1. >>> randn(2, 3).shape -> torch.Size([2, 3])"""
    kind = dtype or Defaults.dtype
    source = generator_on(device_name(device), generator)
    return _made(normal_value(_size(size), _working(kind, "normal_kernel_cpu"), source), kind, requires_grad, out)


def _size(size: Sequence[Any]) -> Ints:
    shape = shape_argument(size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape


def randint(low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None,
            out: Tensor | None = None, dtype: dtype | None = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:
    """Integers in [low, high), or in [0, high) when called as randint(high, size).

    >>> import flambeau as torch
    >>> torch.randint(3, 4, (2,))
    tensor([3, 3])
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint() missing required argument: size")
    low, high = int(low), int(high)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    value = integer_value(_size((size,)), low, high, generator_on(device_name(device), generator))
    return _made(value, dtype or dtypes.int64, requires_grad, out)


def integer_value(shape: Ints, low: int, high: int, generator: Generator) -> Value:
    """int64 in [low, high): the high half of bits * range for up to 2**32 numbers, else 64 bits modulo the range."""
    count, on = high - low, generator._device
    narrow = count <= 2**32
    bits = cast_value(generator.draw(shape, dtypes.uint32 if narrow else dtypes.uint64), dtypes.uint64)
    if narrow:
        scaled = OPS["mul"](bits, number_value(count, dtypes.uint64, shape, on))
        chosen = OPS["shift_right_logical"](scaled, number_value(32, dtypes.uint64, shape, on))
    else:
        chosen = bits if count == 2**64 else OPS["rem"](bits, number_value(count, dtypes.uint64, shape, on))
    value = OPS["bitcast"](chosen, dtype=dtypes.int64)
    return value if low == 0 else OPS["add"](value, number_value(low, dtypes.int64, shape, on))


def randperm(n: int, *, generator: Generator | None = None, out: Tensor | None = None, dtype: dtype | None = None,
             device: Any = None, requires_grad: bool = False) -> Tensor:
    """The integers below n in random order: sorted by 64 random bits each."""
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    on = device_name(device)
    keys = generator_on(on, generator).draw((int(n),), dtypes.uint64)
    numbers = OPS["iota"].on(on, shape=(int(n),), axis=0, dtype=dtypes.int64)
    order = OPS["sort"](keys, numbers, axis=0, descending=False, keys=1)[1]
    return _made(order, dtype or dtypes.int64, requires_grad, out)


def rand_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, generator: Generator | None = None,
              requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1) in the shape of `input`."""
    return rand(input.shape, dtype=dtype or input.dtype, device=device or input.device, generator=generator,
                requires_grad=requires_grad)


def randn_like(input: Tensor, *, dtype: dtype | None = None, device: Any = None, generator: Generator | None = None,
               requires_grad: bool = False) -> Tensor:
    """Standard normal numbers in the shape of `input`."""
    return randn(input.shape, dtype=dtype or input.dtype, device=device or input.device, generator=generator,
                 requires_grad=requires_grad)


def randint_like(input: Tensor, low: int, high: int | None = None, *, dtype: dtype | None = None, device: Any = None,
                 generator: Generator | None = None, requires_grad: bool = False) -> Tensor:
    """Integers in [low, high), or [0, low), in the shape and dtype of `input`."""
    if high is None:
        low, high = 0, low
    return randint(low, high, input.shape, dtype=dtype or input.dtype, device=device or input.device,
                   generator=generator, requires_grad=requires_grad)


# --- Distributions ----------------------------------------------------------------------------------------------------


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
           out: Tensor | None = None, dtype: dtype | None = None, device: Any = None,
           requires_grad: bool = False) -> Tensor:
    """Normal numbers; `mean` and `std` are tensors (one per number), or numbers together with a `size`."""
    _check_std(std)
    given = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not given and size is None:
        raise TypeError("normal() expects a size when mean and std are numbers")
    if given and size is not None:
        raise TypeError("normal() takes a size only when mean and std are numbers")
    kind = dtype or (given[0].dtype if given else Defaults.dtype)
    on = given[0]._device if given else device_name(device)
    shape = broadcast_shapes(*(x._type.shape for x in given)) if given else _size((size,))
    noise = _normal(shape, mean, std, kind, generator_on(on, generator))
    made = into(out, noise.to(kind))
    return made.requires_grad_() if requires_grad else made


def _check_std(std: Any) -> None:
    if type(std) in (int, float) and not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")


def _normal(shape: Ints, mean: Any, std: Any, kind: dtype, generator: Generator) -> Tensor:
    noise = wrap(normal_value(shape, _working(kind, "normal_kernel_cpu"), generator))
    if not (type(std) in (int, float) and std == 1):
        noise = mul(noise, std)
    return noise if type(mean) in (int, float) and mean == 0 else add(noise, mean)


@method()
def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None, out: Tensor | None = None) -> Tensor:
    """1 with the probability that `input` holds (or that `p` is), else 0; in the dtype of `input`."""
    chances = _chances(input._type.shape, input if p is None else p, input._device, generator)
    return into(out, wrap(cast_value(chances, input.dtype)))


def _chances(shape: Ints, p: Any, on: str, generator: Generator | None) -> Value:
    source = generator_on(on, generator)
    if type(p) in (int, float):
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        return chance_value(shape, p, on, source)
    if not isinstance(p, Tensor) and type(p) is not Scalar:
        raise TypeError(f"bernoulli expected p as a number or a Tensor, got {type(p).__name__}")
    kind = dtypes.float64 if isinstance(p, Tensor) and p.dtype is dtypes.float64 else dtypes.float32
    if isinstance(p, Tensor):
        _working(p.dtype, "bernoulli_tensor_cpu_p_")
        limit = expand_value(cast_value(p.detach()._read(), kind), shape)
    else:
        limit = number_value(p, kind, shape, on)
    return OPS["compare"](uniform_value(shape, kind, source), limit, direction="LT")


@method()
def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None,
                out: Tensor | None = None) -> Tensor:
    """Indices drawn from the weights in each row of `input`, which need not sum to 1.

    Without replacement the largest of weight / e for exponential e are taken (the Gumbel top-k trick); with it the
    cumulative weights are searched for uniform numbers. Negative, infinite and NaN weights are not looked for.

    >>> import flambeau as torch
    >>> torch.multinomial(torch.tensor([0.0, 3.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    _check_multinomial(input, num_samples, replacement)
    kind = dtypes.float64 if input.dtype is dtypes.float64 else dtypes.float32
    weights = input.detach().to(kind)
    source = generator_on(input._device, generator)
    if replacement and num_samples > 1:
        return into(out, _searched(weights, num_samples, source))
    race = div(weights, neg(log(open_uniform(weights._type.shape, kind, source))))
    return into(out, wrap(cast_value(OPS["top_k"](race._read(), k=num_samples)[1], dtypes.int64)))


def _check_multinomial(input: Tensor, num_samples: int, replacement: bool) -> None:
    if input.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype.name}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > input._type.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")


def _searched(weights: Tensor, count: int, generator: Generator) -> Tensor:
    """For each uniform number the first category whose cumulative weight exceeds it; never one of weight 0."""
    lead, last = weights._type.shape[:-1], weights.ndim - 1
    uniform = wrap(uniform_value((*lead, count), dtypes.float64, generator)).unsqueeze(-1)
    sums = wrap(OPS["cumsum"](weights.double()._read(), axis=last, reverse=False)).unsqueeze(-2)
    total = sums.narrow(-1, weights._type.shape[-1] - 1, 1)
    passed = (sums <= uniform * total) & (sums < total)  # rounding must not reach the end, where the weight may be 0
    return passed.sum(-1)


# --- In place ---------------------------------------------------------------------------------------------------------


def _fill(self: Tensor, value: Value) -> Tensor:
    return assign(self, wrap(cast_value(value, self.dtype)))


@method()
def uniform_(self: Tensor, from_: Any = 0.0, to: Any = 1.0, *, generator: Generator | None = None,
             **named: Any) -> Tensor:
    """Fill with uniform numbers in [from, to). Symmetric bounds give the same bits on every engine."""
    low, high = named.get("from", from_), to
    plain = type(low) in (int, float) and type(high) in (int, float)
    if plain and not low <= high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    kind, source = _working(self.dtype, "check_uniform_bounds"), generator_on(self._device, generator)
    shape = self._type.shape
    if plain and low == -high:
        return _fill(self, symmetric_value(shape, kind, float(high), source))
    unit = wrap(uniform_value(shape, kind, source))
    if plain and low == 0:
        return _fill(self, (unit if high == 1 else mul(unit, high))._read())
    return _fill(self, add(mul(unit, high - low), low)._read())


@method()
def normal_(self: Tensor, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers."""
    _check_std(std)
    return assign(self, _normal(self._type.shape, mean, std, self.dtype, generator_on(self._device, generator)))


@method()
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with 1 of probability `p` (a number or a tensor), else 0."""
    return _fill(self, _chances(self._type.shape, p, self._device, generator))


def _open(self: Tensor, what: str, generator: Generator | None) -> Tensor:
    return open_uniform(self._type.shape, _working(self.dtype, what), generator_on(self._device, generator))


@method()
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with exponential numbers of rate `lambd`: -log(u) / lambd."""
    if type(lambd) in (int, float) and not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return assign(self, div(neg(log(_open(self, "exponential_", generator))), lambd))


@method()
def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with Cauchy numbers: median + sigma * tan(pi * (u - 1/2))."""
    if type(sigma) in (int, float) and not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    kind, source = _working(self.dtype, "cauchy_"), generator_on(self._device, generator)
    angle = mul(wrap(open_symmetric_value(self._type.shape, kind, source)), math.pi / 2)
    return assign(self, add(mul(tan(angle), sigma), median))


@method()
def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with the exponentials of normal numbers."""
    if type(std) in (int, float) and not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return assign(self, exp(_normal(self._type.shape, mean, std, self.dtype, generator_on(self._device, generator))))


@method()
def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the number of trials until the first success of probability `p`: ceil(log(u) / log(1 - p))."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    kind = self.dtype if self.dtype.is_floating_point and self.dtype.itemsize >= 4 else dtypes.float32
    unit = open_uniform(self._type.shape, kind, generator_on(self._device, generator))
    return _fill(self, div(log(unit), math.log1p(-p)).ceil()._read())


@method()
def random_(self: Tensor, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None,
            **named: int | None) -> Tensor:
    """Fill with integers: random_() over all the dtype holds exactly from 0, random_(to), or random_(from, to)."""
    low, high = named.get("from", from_), to
    if high is None:
        low, high = 0, (_beyond(self.dtype) if low is None else low)
    low = 0 if low is None else low
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _fill(self, integer_value(self._type.shape, int(low), int(high), generator_on(self._device, generator)))


def _beyond(kind: dtype) -> int:
    """One more than the largest integer random_() gives: 2 to the power of the mantissa's digits for floats."""
    if kind is dtypes.boolean:
        return 2
    if kind.is_floating_point:
        return int(2 / dtypes.finfo(kind).eps) + 1
    return int(dtypes.iinfo(kind).max) + 1
