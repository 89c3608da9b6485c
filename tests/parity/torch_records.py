"""torch's own records of its operations and modules, loaded without the packages of its test suite."""

from __future__ import annotations

import sys
import types
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

torch = pytest.importorskip("torch")


class _Stub(types.ModuleType):
    """A module any name of which can be imported, and called or subclassed where it is of no use."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *args, **kwargs: None})


def record(module: str) -> Any:
    """A module of `torch.testing._internal`; what it imports for other purposes and is not installed is a stub."""
    missing = {name: _Stub(name) for name in ("expecttest", "hypothesis") if find_spec(name) is None}
    sys.modules.update(missing)
    kind = torch.get_default_dtype()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(f"torch.testing._internal.{module}")
    finally:
        torch.set_default_dtype(kind)  # the records set float64
        for name in missing:
            del sys.modules[name]
