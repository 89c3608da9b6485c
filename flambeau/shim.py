"""Letting `import torch` mean Flambeau in this process: what `import flambeau.as_torch` does.

`torch.x.y` and `flambeau.x.y` are the same module objects. Where the real torch is loaded already nothing is changed and
ImportError is raised: two libraries under one name would mix their tensors. `flambeau run script.py` does this and runs a
script.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import sys
import types
import warnings
from collections.abc import Sequence
from multiprocessing import spawn
from typing import Any

from .version import __version__

_OURS = __name__.partition(".")[0]
NAME = f"{_OURS}.as_torch"  # importing it installs


class _Loader(importlib.abc.Loader):
    """Gives the module of ours, which is loaded already, and leaves it as it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The module of that name."""
        self._module = importlib.import_module(self._name)
        self._spec = self._module.__spec__
        return self._module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run; the import has given the module another specification."""
        module.__spec__ = self._spec


class Finder(importlib.abc.MetaPathFinder):
    """Finds `torch` and what is in it in this package."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: types.ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """The specification of a module of ours, if it is asked for as torch's and there is one."""
        head, dot, rest = fullname.partition(".")
        if head != "torch":
            return None
        name = _OURS + dot + rest
        if importlib.util.find_spec(name) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, _Loader(name), is_package=True)


def install() -> None:
    """Let `torch` mean Flambeau; does nothing the second time."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    loaded = sys.modules.get("torch")
    if loaded is not None and loaded is not sys.modules[_OURS]:
        raise ImportError(f"flambeau.as_torch requires that torch is not imported yet, but {loaded.__file__} is. Import "
                          "flambeau.as_torch first, or use `flambeau run script.py`; `import flambeau as torch` works beside it.")
    if importlib.util.find_spec("torch") is not None:
        warnings.warn("PyTorch is installed here; in this process `import torch` means Flambeau from now on.", stacklevel=4)
    sys.meta_path.insert(0, Finder())
    sys.modules[_OURS].__version__ = __version__  # type: ignore[attr-defined]
    _teach_children()


def _teach_children() -> None:
    """Let processes that `multiprocessing` starts anew do the same before they import the program."""
    command_line = spawn.get_command_line

    def get_command_line(**given: Any) -> list[Any]:
        line = command_line(**given)
        return [f"import {NAME}; {part}" if isinstance(part, str) and "spawn_main(" in part else part for part in line]

    spawn.get_command_line = get_command_line
    multiprocessing.set_forkserver_preload([NAME])

