"""The vmaps in progress, and where what their bodies read of tensors from outside is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..ir import dtypes
from ..ir.graph import Value
from ..ir.recorder import Recorder, placeholder, recording, thread_recorder
from ..ir.types import Type
from .context import context

RANDOM_IN_ERROR_MODE = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness "
    "flags on vmap or perform the randomness operation out of vmap")


class Map:
    """A vmap in progress: how many examples it has, and what its `randomness` says about draws.

    `outer` is where nodes go outside its body, `depth` how many transforms are around that; `indices` are stand-ins for
    the number of the example (uint64, one per device), made when they are asked for.
    """

    def __init__(self, size: int, randomness: str, depth: int) -> None:
        self.size, self.randomness, self.depth = size, randomness, depth
        self.outer = thread_recorder()
        self.indices: dict[str, Value] = {}

    def index(self, device: str) -> Value:
        """The number of the example, as a value of the body."""
        found = self.indices.get(device)
        if found is None:
            found = self.indices[device] = placeholder(Type.of((), dtypes.uint64), device)
        return found


@contextmanager
def mapping(size: int, randomness: str, recorder: Recorder) -> Iterator[Map]:
    """This block, the body of the innermost transform, is that of a vmap, recorded by `recorder`."""
    before = context.maps
    level = Map(size, randomness, len(context.bodies) - 1)
    context.maps = (*before, level)
    try:
        with recording(recorder):
            yield level
    finally:
        context.maps = before


def home(storage: Any, maps: Sequence[Map]) -> Recorder:
    """Where a read of `storage` is recorded: outside those of `maps` whose bodies neither made nor wrote it.

    So what a tensor remembers of the read (the value of a view, a leaf's own) does not die with the body.
    """
    recorder = thread_recorder()
    for level in reversed(maps):
        if any(storage in written for written in context.bodies[level.depth:]):
            break
        recorder = level.outer
    return recorder


def maps_with_own_draws() -> list[Map]:
    """The vmaps in progress whose examples draw different numbers; torch's RuntimeError if one allows no draws."""
    if any(level.randomness == "error" for level in context.maps):
        raise RuntimeError(RANDOM_IN_ERROR_MODE)
    return [level for level in context.maps if level.randomness == "different"]
