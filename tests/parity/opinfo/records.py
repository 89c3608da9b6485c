"""torch's record of its operators, loaded: what it needs and does not find is replaced by empty modules."""

from __future__ import annotations

import functools
import gc
import sys
import types
import unittest
import warnings
from importlib.util import find_spec
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from .excluded import EXCLUDED  # noqa: E402

DTYPES = ("float32", "int64", "bool", "complex64", "bfloat16", "float64")


def _stub(name: str, **content: Any) -> None:
    if name not in sys.modules and find_spec(name) is None:
        module = types.ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module


@functools.cache
def every_entry() -> dict[str, Any]:
    """All entries of torch's record by full name, `add` or `div.floor_rounding`."""
    _stub("expecttest", TestCase=unittest.TestCase, assert_expected_inline=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db  # noqa: PLC0415  (seconds: only when asked)
    gc.freeze()  # it stays: other tests of the process, which collect garbage, need not go through it
    return {entry.full_name: entry for entry in op_db}


@functools.cache
def entries() -> dict[str, Any]:
    """The entries in scope, by full name."""
    return {name: entry for name, entry in every_entry().items() if name not in EXCLUDED}


def dtypes_of(entry: Any) -> list[str]:
    """The dtypes of the sweep that an entry supports."""
    return [name for name in DTYPES if getattr(torch, name) in entry.dtypes]
