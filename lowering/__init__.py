"""How a graph is said in StableHLO: the emitter, the module printer, and overrides per platform."""

from collections.abc import Mapping
from functools import partial

from ..tracer.ops.foreign import lower_for
from . import cpu, tpu
from .emitter import Overrides

PLATFORM_OVERRIDES: Mapping[str, Overrides] = {"cpu": cpu.OVERRIDES, "tpu": tpu.OVERRIDES,
                                                 "cuda": {"foreign_call": partial(lower_for, "cuda")}}
