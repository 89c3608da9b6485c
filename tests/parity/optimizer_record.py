"""torch's record of its optimizers, `optim_db`. Its module imports a package for tests of its own, which may be missing."""

import importlib.machinery
import importlib.util
import sys
import types
import unittest

import pytest

pytest.importorskip("torch")

if "expecttest" not in sys.modules and importlib.util.find_spec("expecttest") is None:
    _stub = types.ModuleType("expecttest")
    _stub.__spec__ = importlib.machinery.ModuleSpec("expecttest", None)
    _stub.TestCase = unittest.TestCase
    sys.modules["expecttest"] = _stub

from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

__all__ = ["OptimizerErrorEnum", "optim_db"]
