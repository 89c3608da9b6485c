"""Writing all stages of a compile into a folder, numbered and named. `FLAMBEAU_DUMP=DIR` does so for the whole process."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..tracer.ir.graph import Graph

_numbers = itertools.count()


class _Stages(Protocol):
    def stablehlo(self) -> str: ...
    def hlo(self) -> str: ...


def stages(graph: Graph, program: _Stages) -> Mapping[str, str]:
    """The texts of a compile by file name."""
    return {"graph.txt": str(graph) + "\n", "stablehlo.mlir": program.stablehlo(), "hlo.txt": program.hlo()}


def write(folder: Path, graph: Graph, program: _Stages) -> None:
    """Write `NNN_name.<stage>` files. A folder that cannot be written is a warning, not an error."""
    prefix = f"{next(_numbers):03d}_{graph.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in stages(graph, program).items():
            (folder / f"{prefix}.{name}").write_text(text)
    except OSError as error:
        logging.getLogger("flambeau").warning("cannot dump to %s: %s", folder, error)
