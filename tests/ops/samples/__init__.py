"""The samples table: one module per op family, each with `SAMPLES` and `BAD`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

_families = [import_module(f"{__name__}.{path.stem}") for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))]
SAMPLES = [sample for family in _families for sample in family.SAMPLES]
BAD = [sample for family in _families for sample in family.BAD]
