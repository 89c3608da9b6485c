"""The public names of the installed torch: `python -m tests.parity.torch_names` writes them to `flambeau/torch_names.txt`.

A name is public where torch says so: by `__all__`; in a module without one, if it has no underscore and is the module's own.
Modules that are not counted are left out; so is what a class has from another.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import types
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from flambeau.compat import FILE, names, written  # noqa: E402
from flambeau.not_counted import not_counted  # noqa: E402

_FORMER = type(torch.FloatTensor)  # their members are those of Tensor
_NEVER = ("_internal", "hipify", "examples", "op_fuzzers", "datapipes", "maskedtensor", "distributed")


def modules() -> Iterator[tuple[str, types.ModuleType]]:
    """torch and its public modules that are counted, by full name."""
    yield "torch", torch
    for found in pkgutil.walk_packages(torch.__path__, "torch.", onerror=lambda name: None):
        if any(part.startswith("_") or part in _NEVER for part in found.name.split(".")) or not_counted(found.name):
            continue
        try:
            yield found.name, importlib.import_module(found.name)
        except ImportError:  # needs a package that is not there
            continue


def public(name: str, module: types.ModuleType) -> set[str]:
    """The public names of a module."""
    names = set(getattr(module, "__all__", ()))
    if not names or module is torch:
        names |= {n for n, value in vars(module).items() if not n.startswith("_") and _own(name, module, value)}
    return names


def _own(name: str, module: types.ModuleType, value: Any) -> bool:
    if isinstance(value, types.ModuleType):
        return value.__name__.startswith(f"{name}.") and "._" not in value.__name__ and not not_counted(value.__name__)
    if isinstance(value, types.BuiltinFunctionType):
        return True
    home = getattr(value, "__module__", None) or ""
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return module is torch
    below = hasattr(module, "__path__") and module is not torch
    return home == name or home.startswith(f"{name}._") or (below and home.startswith(f"{name}."))


def members(kind: type) -> set[str]:
    """The public names that a class has of its own; of a tensor, all."""
    names = set(dir(kind)) if kind is torch.Tensor else set(vars(kind))
    return {n for n in names if not n.startswith("_") and not inspect.ismodule(vars(kind).get(n))}


def collect(found_in: Iterable[tuple[str, types.ModuleType]]) -> dict[str, set[str]]:
    """Names by module or class; a class is listed at the first of its places."""
    found: dict[str, set[str]] = {}
    classes: dict[type, str] = {}
    for name, module in list(found_in):  # all are imported before the first is read, of which others are attributes
        found[name] = {n for n in public(name, module) if hasattr(module, n)}
        for n in sorted(found[name]):
            value = getattr(module, n)
            if isinstance(value, type) and type(value) is not _FORMER and str(value.__module__).startswith("torch") and \
                    not not_counted(f"{name}.{n}"):
                classes.setdefault(value, f"{name}.{n}")
    found.update({name: members(kind) for kind, name in classes.items()})
    return {name: names for name, names in found.items() if names}


def listed() -> Iterator[tuple[str, types.ModuleType]]:
    """The modules that the file knows."""
    for name in sorted({*names(), *(f"{owner}.{n}" for owner, listed in names().items() for n in listed)}):
        parent = sys.modules.get(name.rpartition(".")[0])
        if name == "torch" or (hasattr(parent, "__path__") and not not_counted(name)):
            try:
                yield name, importlib.import_module(name)
            except ImportError:  # no module
                continue


def text(found_in: Iterable[tuple[str, types.ModuleType]]) -> str:
    """What the file has to say of these modules."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return written(torch.__version__.partition("+")[0], collect(found_in))


if __name__ == "__main__":
    sys.stdout.write(f"{Path(FILE).write_text(text(sorted(modules())), encoding='utf-8')} characters\n")
