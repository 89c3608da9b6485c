"""One-line idioms of PyTorch code, from the tables in `idioms/`, run in torch and here: one value, or one kind of error.

A line of a table is an expression, or statements between semicolons of which the last is an expression: its value counts.
` ;; ` ends a line where a compound statement needs it to. `# raises` says that torch raises: the same class, and the same
first line; `# raises: words`, where the texts differ, that both have these words, or `# raises: ...`, where all that is in
common is what is wrong (an argument too few). Headings start with `#`.
`differing.txt` has lines of the tables that differ, under the reasons why: one that agrees again must be taken off.
"""

from __future__ import annotations

import ast
import copy
import io
import math
import pickle
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402
from .opinfo import compare  # noqa: E402

TABLES = Path(__file__).parent / "idioms"
WITHIN = (1e-5, 1e-6)


class Idiom(NamedTuple):
    """A line of a table: the code, and where torch raises, the words of the error ("" for its whole first line)."""

    code: str
    words: str | None


def idioms(path: Path) -> list[Idiom]:
    """The lines of a table."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [_parsed(line) for line in lines if line and not line.startswith("#")]


def _parsed(line: str) -> Idiom:
    code, raises, words = line.partition("  # raises")
    return Idiom(code, words.removeprefix(":").strip() if raises else None)


DIFFERING = {idiom.code for idiom in idioms(TABLES / "differing.txt")}
ALL = {path.stem: idioms(path) for path in sorted(TABLES.glob("*.txt")) if path.stem != "differing"}


# --- Running ----------------------------------------------------------------------------------------------------------


def value_of(library: Any, code: str) -> Any:
    """What the last expression of an idiom is, in a library, and in names of its own."""
    names = {"torch": library, "nn": library.nn, "F": library.nn.functional, "np": np, "math": math, "copy": copy,
             "pickle": pickle, "io": io, "__name__": "idiom"}
    tree = ast.parse(code.replace(" ;; ", "\n"))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else ast.Expr(ast.Constant(None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.manual_seed(0)
        exec(compile(tree, "<idiom>", "exec"), names)
        return eval(compile(ast.fix_missing_locations(ast.Expression(last.value)), "<idiom>", "eval"), names)


def outcome(library: Any, code: str) -> Any:
    """The value of an idiom, or what it raises."""
    if "raises" in code:
        raise AssertionError(f"two spaces before '# raises': {code}")
    try:
        return value_of(library, code)
    except Exception as error:
        return error


# --- Comparing --------------------------------------------------------------------------------------------------------


def same(ours: Any, theirs: Any, where: str = "value") -> None:
    """Fails unless ours is torch's: structure, types, and all that tensors, modules and arrays are."""
    if isinstance(theirs, torch.Tensor):
        _same_tensor(ours, theirs, where)
    elif isinstance(theirs, torch.Size):
        assert isinstance(ours, flambeau.Size) and tuple(ours) == tuple(theirs), f"{where}: {ours}, torch has {theirs}"
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), f"keys of {where}: {list(ours)}, torch has {list(theirs)}"
        for key in theirs:
            same(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(theirs, (tuple, list)):
        assert _is_like(ours, theirs) and len(ours) == len(theirs), f"{where}: {ours}, torch has {theirs}"
        for i, (a, b) in enumerate(zip(ours, theirs)):
            same(a, b, f"{where}[{i}]")
    elif isinstance(theirs, torch.nn.Module):
        a, b = ((repr(m), {name: (x.shape, str(x.dtype)) for name, x in m.state_dict().items()}) for m in (ours, theirs))
        assert a == b, f"{where}: {a}, torch has {b}"  # its numbers are random
    else:
        _same_object(ours, theirs, where)


def _is_like(ours: Any, theirs: Any) -> bool:
    """Whether it is a sequence of the other's type: a tuple with the same names, or of that very type."""
    names = getattr(theirs, "_fields", None)
    return type(ours) is type(theirs) if type(theirs) in (tuple, list) else isinstance(ours, tuple) and (
        names is None or ours._fields == names)


def _same_tensor(ours: Any, theirs: Any, where: str) -> None:
    compare.compare(ours, theirs, WITHIN, values=theirs.device.type != "meta", where=where)
    compare.compare_strides(ours, theirs, where)
    for told in ("requires_grad", "is_leaf", "device", "layout"):
        a, b = (str(getattr(x, told)) for x in (ours, theirs))
        assert a == b, f"{told} of {where}: {a}, torch has {b}"
    assert isinstance(ours, flambeau.nn.Parameter) == isinstance(theirs, torch.nn.Parameter), f"{where}: {type(ours)}"


def _same_object(ours: Any, theirs: Any, where: str) -> None:
    told = f"{where}: {ours!r}, torch has {theirs!r}"
    if isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray) and (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), told
        np.testing.assert_allclose(ours, theirs, *WITHIN)
    elif isinstance(theirs, (torch.dtype, torch.device, torch.layout, torch.memory_format)):
        assert type(ours).__name__ == type(theirs).__name__ and str(ours) == str(theirs), told
    elif isinstance(theirs, (torch.finfo, torch.iinfo)):
        assert repr(ours) == repr(theirs), told
    elif isinstance(theirs, type):
        assert ours.__name__ == theirs.__name__, told
    elif isinstance(theirs, (float, complex, np.inexact)):
        assert type(ours) is type(theirs) and np.allclose(ours, theirs, *WITHIN, equal_nan=True), told
    else:
        assert type(ours) is type(theirs) and ours == theirs, told


def same_error(ours: Any, theirs: Exception, words: str) -> None:
    """Fails unless both raise errors of one class, with one first line, or with the words in both texts."""
    assert isinstance(ours, Exception), f"{ours!r}, torch raises {theirs!r}"
    assert _is_kind(ours, theirs), f"{ours!r}, torch raises {theirs!r}"
    if words == "...":
        return
    mine, their = ((str(e).strip() or "no text").splitlines()[0] for e in (ours, theirs))
    if words:
        mine, their = (words if words in str(e) else told for e, told in ((ours, mine), (theirs, their)))
        assert their == words, f"torch says {theirs}"
    assert mine == their, f"{mine!r}, torch says {their!r}"


def _is_kind(ours: Exception, theirs: Exception) -> bool:
    """Whether it is of Python's class that torch's is of: of that very one, or a class of ours below it."""
    caught = next(c for c in type(theirs).__mro__ if c.__module__ == "builtins")
    return type(ours) is caught or (type(ours).__module__ != "builtins" and isinstance(ours, caught))


def check(idiom: Idiom) -> None:
    """Fails where an idiom differs."""
    theirs = outcome(torch, idiom.code)
    if isinstance(theirs, Exception) and idiom.words is None:
        raise AssertionError(f"torch raises {theirs!r}: say so in the table") from theirs
    ours = outcome(flambeau, idiom.code)
    left = [(library.is_grad_enabled(), str(library.get_default_dtype())) for library in (flambeau, torch)]
    assert left[0] == left[1], f"leaves gradients and default dtype at {left[0]}, torch at {left[1]}"
    if idiom.words is not None:
        assert isinstance(theirs, Exception), f"torch gives {theirs!r}: no error"
        same_error(ours, theirs, idiom.words)
    else:
        if isinstance(ours, Exception):
            raise AssertionError(f"raises {ours!r}") from ours
        same(ours, theirs)


# --- The tests --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What an idiom changes for all is as before after it."""
    yield
    for library in (torch, flambeau):
        library.set_printoptions(profile="default")
        library.set_grad_enabled(True)
        library.set_default_dtype(library.float32)


@pytest.mark.parametrize("theme, idiom", [pytest.param(t, i, id=f"{t}: {i.code}") for t, table in ALL.items() for i in table])
def test_an_idiom_does_what_it_does_in_torch(theme: str, idiom: Idiom) -> None:
    with on_numpy():
        if idiom.code not in DIFFERING:
            check(idiom)
            return
        with pytest.raises(AssertionError):  # when it agrees: take it off differing.txt
            check(idiom)


@pytest.mark.parametrize("theme", ALL)
def test_some_of_each_theme_do_so_through_xla(theme: str) -> None:
    for idiom in ALL[theme]:
        if zlib.crc32(idiom.code.encode()) % 40 == 0 and idiom.code not in DIFFERING:
            check(idiom)


def test_each_line_is_there_once_and_what_differs_is_a_line() -> None:
    codes = [idiom.code for table in ALL.values() for idiom in table]
    assert len(codes) >= 600
    assert sorted(set(codes)) == sorted(codes)
    assert set(codes) >= DIFFERING
