"""Fresh processes: how long until the first training step has finished, and how long an import takes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from .timing import OURS, Contender, Goal, Row, interleaved
from .work import GptSize, Settings, installed

ROOT = Path(__file__).parent.parent
CACHES = ("FLAMBEAU_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")


def peers(settings: Settings) -> list[str]:
    """The contenders besides flambeau that can be started here."""
    named = [("jax", "jax"), ("torch", "torch"), ("torch.compile", "torch")]
    return [name for name, package in named
            if installed(package) and (name != "torch.compile" or settings.slow_peers)]


def starting(settings: Settings) -> Iterator[Row]:
    """Seconds from the start of a process to the end of its first step, with empty and with filled caches on disk."""
    for work, cold in (("first GPT step, cold caches", True), ("first GPT step, warm caches", False)):
        with tempfile.TemporaryDirectory() as folder:
            contenders: dict[str, Contender] = {
                name: lambda name=name, cold=cold: _start(name, settings.gpt, Path(folder), cold)  # type: ignore[misc]
                for name in [OURS, *peers(settings)]}
            yield Row("start", work, "s", interleaved(contenders, settings.slow_rounds, settings.warm_up))


def _start(name: str, size: GptSize, folder: Path, cold: bool) -> float:
    """One process; with `cold` its caches are its own, else those of the runs before."""
    if not cold:
        return first_step(name, size, folder)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        return first_step(name, size, Path(own))


def first_step(name: str, size: GptSize, caches: Path) -> float:
    """Seconds until a fresh process has printed its first loss; checked to be that of an untrained model."""
    command = [sys.executable, "-m", "benchmarks.peers.first_step", name, json.dumps(asdict(size))]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=_environment(caches), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
        process.stdout.read()
    if process.returncode != 0:
        raise RuntimeError(f"{name}: the process requires exit code 0, got {process.returncode}")
    if abs(float(line) - math.log(size.vocabulary)) > 0.5:
        raise RuntimeError(f"{name}: the first loss requires about {math.log(size.vocabulary):.2f}, got {line.strip()}")
    return seconds


def with_bytecode() -> dict[str, str]:
    """This process's environment, but modules are compiled once and kept, as they are where nobody turned that off."""
    kept = Path(tempfile.gettempdir()) / f"flambeau-bytecode-{os.getuid()}"
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**plain, "PYTHONPYCACHEPREFIX": str(kept)}


def _environment(caches: Path) -> dict[str, str]:
    """This process's environment with all disk caches in one folder of the benchmark's own."""
    own = {name: str(caches / name.lower()) for name in CACHES}
    # JAX keeps only what took a second to compile unless it is told otherwise.
    return {**with_bytecode(), **own, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0", "JAX_PLATFORMS": "cpu"}


def importing(settings: Settings) -> Iterator[Row]:
    """Milliseconds of the import statement in a fresh interpreter."""
    contenders: dict[str, Contender] = {OURS: lambda: import_seconds("flambeau")}
    for package in ("jax", "torch"):
        if installed(package):
            contenders[package] = lambda package=package: import_seconds(package)  # type: ignore[misc]
    samples = interleaved(contenders, settings.rounds, settings.warm_up)
    yield Row("import", "import in a fresh process", "ms", samples, Goal(0.6, "jax"))


def import_seconds(package: str) -> float:
    """Seconds of `import package`, numpy included, without the interpreter's own start."""
    code = f"import time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=with_bytecode(), capture_output=True, text=True,
                          check=True)
    return float(done.stdout)
