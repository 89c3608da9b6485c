"""Shared set-up of the tests.

Compiled programs go to a folder of this run, so that nothing depends on what an earlier run left behind; set
`FLAMBEAU_CACHE_DIR` to keep them. `FLAMBEAU_REQUIRE=torch,libtpu` makes the absence of these an error, and a test
that is skipped for want of one a failure: for runs whose point is the oracle. `FLAMBEAU_ONLY=torch` leaves out the tests that
do not ask for it, which another run has seen.
"""

from __future__ import annotations

import functools
import gc
import inspect
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from .engines import on_numpy

os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")  # without it jupyter_core warns, and warnings are errors

REQUIRED = [name for name in os.environ.get("FLAMBEAU_REQUIRE", "").replace(",", " ").split() if name]
_own_cache = pytest.StashKey[str]()


@pytest.fixture
def numpy_engine() -> Iterator[None]:
    """The numpy engine, for tests of many small programs: compiling each would take minutes."""
    with on_numpy():
        yield


def pytest_configure(config: pytest.Config) -> None:
    missing = [name for name in REQUIRED if find_spec(name) is None]
    if missing:
        raise pytest.UsageError(f"FLAMBEAU_REQUIRE asks for {', '.join(missing)}, which is not installed")
    if "FLAMBEAU_CACHE_DIR" not in os.environ:  # workers of xdist inherit the controller's
        config.stash[_own_cache] = os.environ["FLAMBEAU_CACHE_DIR"] = tempfile.mkdtemp(prefix="flambeau-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _own_cache in config.stash:
        shutil.rmtree(config.stash[_own_cache], ignore_errors=True)
        del os.environ["FLAMBEAU_CACHE_DIR"]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """What tests share has no tests in it: collecting its doctests would import it, and some of it needs the oracle."""
    return True if collection_path.suffix == ".py" and not collection_path.name.startswith("test_") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = os.environ.get("FLAMBEAU_ONLY")
    if wanted:
        asking = {item: _asks_for(wanted, getattr(item, "function", None)) for item in items}
        config.hook.pytest_deselected(items=[item for item in items if not asking[item]])
        items[:] = [item for item in items if asking[item]]


def pytest_collection_finish(session: pytest.Session) -> None:
    """A million objects that live as long as the run are no business of `gc.collect`, which many tests call many times."""
    gc.collect()
    gc.freeze()


@functools.cache
def _asks_for(name: str, test: Any) -> bool:
    """Whether the test, or its module as a whole, is skipped where `name` is missing."""
    return test is not None and (_module_asks_for(name, test.__module__) or f'importorskip("{name}"' in inspect.getsource(test))


@functools.cache
def _module_asks_for(name: str, module: str) -> bool:
    return bool(re.search(rf'^\S.*importorskip\("{name}"', inspect.getsource(sys.modules[module]), re.MULTILINE))


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    skipped = _skipped(session.config)
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    skipped = _skipped(config)
    if skipped:
        terminalreporter.section("skipped, where FLAMBEAU_REQUIRE asks for them")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr}")


def _skipped(config: pytest.Config) -> list[Any]:
    """Reports of tests skipped for want of what is required."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.getreports("skipped") if reporter else []
    return [r for r in reports if any(name in str(r.longrepr) for name in REQUIRED)]
