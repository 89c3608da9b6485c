"""`flambeau run script.py ...` and `flambeau run -m module ...`: unmodified PyTorch programs on Flambeau."""

from __future__ import annotations

import runpy
import sys
import traceback
import types
import warnings
from collections.abc import Sequence
from pathlib import Path

from . import shim
from .demo.text import UserError


def run(arguments: Sequence[str], module: bool = False) -> int:
    """Run a script or a module as `python` would, with `torch` as another name of Flambeau; returns the exit code.

    The program sees itself as `__main__`, its own `sys.argv` and its folder first in `sys.path`. Its exceptions are told
    without our frames. UserError if there is no such file.
    """
    target = arguments[0]
    if not module and not Path(target).exists():
        raise UserError(f"no such file: {target}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch is installed too is no news to who says `run`
        shim.install()
    sys.argv[:] = list(arguments)
    sys.path.insert(0, "" if module else str(Path(target).resolve().parent))
    try:
        if module:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            _run_file(target)
    except SystemExit as stop:
        return _code(stop)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _tell(error)
        return 1
    return 0


def _run_file(target: str) -> None:
    """As the module `__main__` of this process, which pickles and spawned children look for."""
    path = Path(target)
    if path.is_dir() or path.suffix in (".zip", ".pyz"):
        runpy.run_path(target, run_name="__main__")
        return
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=target, __cached__=None, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    exec(compile(path.read_bytes(), target, "exec"), main.__dict__)


def _code(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1


def _tell(error: BaseException) -> None:
    """The traceback from the program's own first frame on."""
    at = error.__traceback__
    while at is not None and (at.tb_frame.f_code.co_filename == __file__ or at.tb_frame.f_globals.get("__name__") == "runpy"
                              or at.tb_frame.f_code.co_filename.startswith("<frozen runpy")):
        at = at.tb_next
    traceback.print_exception(type(error), error, at)
