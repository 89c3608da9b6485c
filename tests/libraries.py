"""Sources that say `import torch`, run with either library as that."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from flambeau.shim import Finder


@contextmanager
def as_torch(lib: Any) -> Iterator[None]:
    """In this block `import torch`, and whatever is in it, means `lib`; what was imported before stays what it was."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torch"}
    if lib is before.get("torch"):
        yield
        return
    for name in before:
        del sys.modules[name]
    finder = Finder()
    sys.modules["torch"] = lib
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
            del sys.modules[name]
        sys.modules.update(before)


def load(lib: Any, path: Path) -> ModuleType:
    """The module that a file makes with `lib` as its torch."""
    name = f"{path.stem}_with_{lib.__name__}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickles and dataclasses look for it
    with as_torch(lib):
        spec.loader.exec_module(module)
    return module
