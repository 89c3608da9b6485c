"""Without the `tensorboard` package its module says how to get it."""

from __future__ import annotations

import importlib
import sys

import pytest


def test_the_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("flambeau.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match="not installed: pip install tensorboard") as info:
        importlib.import_module("flambeau.utils.tensorboard")
    assert isinstance(info.value, ModuleNotFoundError) and info.value.name == "tensorboard"
