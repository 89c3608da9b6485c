"""Where in the user's code an operation was called: the first frame outside the package."""

from __future__ import annotations

import dis
import os
import sysconfig
from functools import lru_cache
from itertools import pairwise
from sys import _getframe
from types import CodeType, FrameType
from typing import Any

# The unresolved path: the package's folders are symlinks, and `co_filename` holds the path they were imported by.
PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_DEMO = os.path.join(PACKAGE, "demo") + os.sep  # written as users write
_LIBRARY, _INSTALLED = (tuple({os.path.realpath(sysconfig.get_path(p)) + os.sep for p in paths} |
                              {sysconfig.get_path(p) + os.sep for p in paths})
                        for paths in (("stdlib", "platstdlib"), ("purelib", "platlib")))

# A position is cheap to take and dear to resolve, so the line number is looked up only when somebody asks.
Position = tuple[CodeType | str, int]


def user_position(depth: int = 1) -> Position:
    """The code object and instruction of the innermost user frame, `depth` frames up or higher."""
    frame: FrameType | None = _getframe(depth)
    while frame is not None:
        code = frame.f_code
        if not _ours[code.co_filename]:
            return code, frame.f_lasti
        last, frame = frame, frame.f_back
    return last.f_code, last.f_lasti


def looked_for_in(code: CodeType, at: int) -> frozenset[Any] | None:
    """The numbers of `n in {2, 4}` if that is the instruction there; None if it is another, or the set holds anything else."""
    return _literal_sets(code).get(at)


@lru_cache(maxsize=1024)
def _literal_sets(code: CodeType) -> dict[int, frozenset[Any]]:
    return {test.offset: made.argval for made, test in pairwise(x for x in dis.get_instructions(code) if x.opname != "CACHE")
            if test.opname == "CONTAINS_OP" and made.opname == "LOAD_CONST" and type(made.argval) is frozenset
            and {*map(type, made.argval)} <= {bool, int, float}}


class _Ours(dict[str, bool]):
    """Files, and whether they belong to the package: asked for every frame of every operation, so remembered."""

    def __missing__(self, file: str) -> bool:
        found = self[file] = file.startswith(PACKAGE + os.sep) and not file.startswith(_DEMO)
        return found


_ours = _Ours()


def is_ours(file: str) -> bool:
    """Whether code in `file` belongs to the package itself."""
    return _ours[file]


@lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Whether code in `file` came with Python."""
    return file.startswith("<frozen") or (file.startswith(_LIBRARY) and not file.startswith(_INSTALLED))


def is_installed(file: str) -> bool:
    """Whether code in `file` came with an installed distribution."""
    return file.startswith(_INSTALLED)


def file_and_line(position: Position) -> tuple[str, int]:
    """Resolve a position to file name and line number."""
    code, at = position
    if isinstance(code, str):
        return code, at
    found = code.co_firstlineno
    for start, end, line in code.co_lines():
        if start <= at < end and line is not None:
            found = line
            break
    return code.co_filename, found


def describe(position: Position) -> str:
    """`file.py:12`, with the folder left out when it is the current one."""
    file, line = file_and_line(position)
    return f"{os.path.relpath(file) if file.startswith(os.getcwd() + os.sep) else file}:{line}"
