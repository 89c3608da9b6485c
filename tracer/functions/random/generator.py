"""Generators: where random numbers come from, and the default ones of this process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...ir import dtypes
from ...ir.dtypes import dtype
from ...ir.graph import Value
from ...ir.types import Type
from ...lazy.flush import host_array
from ...ops.elementwise import add, alias, mul
from ...ops.random import blocks_used, random_bits
from ...ops.structural import Ints, concatenate, iota
from ...tensor.context import context, outside_trace
from ...tensor.device import device
from ...tensor.maps import maps_with_own_draws
from ...tensor.scalar import Scalar
from ...tensor.storage import rebinding
from ...tensor.tensor import Tensor
from ..defaults import device_name
from ..operands import expand_value, number_value, wrap

DEFAULT_SEED = 67280421310721  # of a `Generator` that was never seeded, as in torch
STATE, BYTES = Type.of((2,), dtypes.uint64), Type.of((16,), dtypes.uint8)


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

    @classmethod
    def at(cls, state: Tensor) -> Generator:
        """A generator that moves on from `state`, a tensor as `get_state` returns it, and keeps its own state there."""
        made = cls(state.device)
        made._tensor = state
        return made

    @property
    def device(self) -> device:
        """Where the state lives and draws are made."""
        return device(self._device)

    @property
    def _state(self) -> Tensor:
        """The state, made when it is first needed, outside any trace: a compiled step takes it as an input."""
        if self._tensor is None:
            with rebinding, outside_trace():
                self._tensor = wrap(Value(STATE, "cpu", np.array([self._start, 0], np.uint64))).to(self._device)
        return self._tensor

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream `seed` from its beginning. Negative seeds count from 2**64. Returns the generator."""
        if not isinstance(seed, int):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        if not -2**63 <= seed < 2**64:
            raise RuntimeError(f"manual_seed expected a seed within [-2**63, 2**64), got {seed}")
        self._start = seed % 2**64
        if self._tensor is not None or context.trace is not None:  # in a trace it is part of what the step does
            with rebinding:
                self._state._write(self._beginning())
        return self

    def _beginning(self) -> Value:
        words = (number_value(n, dtypes.uint64, (1,), self._device) for n in (self._start, 0))
        return concatenate(*words, axis=0)

    def seed(self) -> int:
        """Start a stream that the operating system's randomness chooses; returns its seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._start

    def initial_seed(self) -> int:
        """The seed of the stream. Reads the state."""
        return self._start if self._tensor is None else int(host_array(self._tensor._read())[0])

    def get_state(self) -> Tensor:
        """The state as a tensor of bytes, to be given to `set_state`: those of the seed and of the offset."""
        return self._state.clone().view(dtypes.uint8)

    def set_state(self, new_state: Tensor) -> Generator:
        """Continue from a state that `get_state` returned."""
        if not isinstance(new_state, Tensor) or new_state._type not in (STATE, BYTES):  # numbers: in older checkpoints
            raise TypeError(f"set_state expected a state from get_state (uint8 of 16 elements), got {new_state!r:.80}")
        new_state = new_state.contiguous().view(dtypes.uint64)
        with rebinding:
            self._state._write(alias(new_state.to(self._device)._read()))
        return self

    def get_offset(self) -> int:
        """How far the numbers of this seed have been drawn."""
        return int(self._state.tolist()[1])

    def set_offset(self, offset: int) -> Generator:
        """Continue from another place in the numbers of this seed."""
        changed = self._state.clone()
        changed[1] = offset
        return self.set_state(changed)

    graphsafe_get_state, graphsafe_set_state = get_state, set_state

    def clone_state(self) -> Generator:
        """Another generator that continues as this one would."""
        copy = Generator(self._device)
        return copy.set_state(self.get_state())

    def draw(self, shape: Ints, kind: dtype) -> Value:
        """Fresh uint32 or uint64 bits; moves the offset past them."""
        count, levels = blocks_used(shape, kind), maps_with_own_draws()
        with rebinding:
            start = current = self._state._read()
            for level in reversed(levels):
                start = self._past(start, count, level.index(self._device))
                count *= level.size
            self._state._write(self._past(current, count))
        return random_bits(start, shape=shape, dtype=kind)

    def _past(self, current: Value, count: int, times: Value | None = None) -> Value:
        """A state whose offset is larger by `count`, or by `count * times`."""
        used = number_value(count, dtypes.uint64, (2,), self._device)
        if times is not None:
            used = mul(used, expand_value(times, (2,)))
        which = iota.on(self._device, shape=(2,), axis=0, dtype=dtypes.uint64)  # the offset alone moves
        return add(current, mul(which, used))

    def __repr__(self) -> str:
        return f"<Generator device={self._device!r}>"

    def __getstate__(self) -> dict[str, Any]:
        words = None if self._tensor is None else host_array(self._tensor._read())
        return {"device": self._device, "start": self._start, "words": words}

    def __setstate__(self, saved: Any) -> None:
        if isinstance(saved, tuple):  # of torch's, whose own numbers nobody makes here: begin with its seed
            self._device, self._tensor = "cpu", None
            self.manual_seed(saved[0])
            return
        self._device, self._start, self._tensor = saved["device"], saved["start"], None
        if saved["words"] is not None:
            self._tensor = wrap(Value(STATE, "cpu", np.array(saved["words"]))).to(self._device)


default_generator = Generator()  # of this process: its first seed is the operating system's choice
default_generator._start = int.from_bytes(os.urandom(8), "little") >> 1
_by_device: dict[str, Generator] = {"cpu": default_generator}


def generator_on(on: str, generator: Generator | None = None) -> Generator:
    """The generator given, or the default one of a device; RuntimeError if it lives elsewhere."""
    if generator is not None:
        if not isinstance(generator, Generator):
            raise TypeError(f"generator must be a Generator, not {type(generator).__name__}")
        if generator._device != on:
            raise RuntimeError(f"Expected a '{on}' device type for generator but found '{generator._device}'")
        return generator
    if on == "meta":
        return Generator(on)  # nothing is drawn, so there is nothing to keep
    found = _by_device.get(on)
    if found is None:
        found = _by_device[on] = Generator(on)
        found._start = default_generator._start
    return found


def manual_seed(seed: Any) -> Generator:
    """Seed the default generators of all devices; returns the CPU's.

    >>> import flambeau as torch
    >>> x, y = ((torch.manual_seed(0), torch.rand(2))[1] for _ in range(2))
    >>> bool((x == y).all())
    True
    """
    seed = seed if type(seed) is Scalar else int(seed)  # a number of a trace is an input, which int() would look at
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
def fork_rng(devices: Iterable[Any] | None = None, enabled: bool = True, _caller: str = "fork_rng",
             _devices_kw: str = "devices", device_type: str = "cuda") -> Iterator[None]:
    """After this block the default generators (of the CPU and of `devices`, all by default) are as they were before."""
    names = set(_by_device) if devices is None else {"cpu", *(
        device_name(f"{device_type}:{d}" if isinstance(d, int) else d) for d in devices)}
    saved = {generator_on(on): generator_on(on).get_state() for on in names} if enabled else {}
    try:
        yield
    finally:
        for generator, before in saved.items():
            generator.set_state(before)
