"""How a graph is said in StableHLO: the emitter, the module printer, and overrides per platform."""

from collections.abc import Mapping

from . import cpu, tpu
from .emitter import Overrides

PLATFORM_OVERRIDES: Mapping[str, Overrides] = {"cpu": cpu.OVERRIDES, "tpu": tpu.OVERRIDES}
