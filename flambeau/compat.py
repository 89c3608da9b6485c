"""What of torch's public names is there, what differs, what refuses, what is missing: `python -m flambeau compat [NAME]`.

The names are read from `torch_names.txt`, which a command of the tests writes with torch at hand; whether one is there is looked
up in this package. `page()` is the text of COMPAT.md.

>>> print(report("torch.linalg.cholesky"))
torch.linalg.cholesky: there
"""

from __future__ import annotations

import importlib
import re
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .absent import Absent, is_refusal
from .differing import DIFFERS
from .not_counted import NOT_COUNTED, not_counted

FILE = Path(__file__).with_name("torch_names.txt")
_OURS = __name__.partition(".")[0]
THERE, DIFFERING, REFUSING, MISSING, APART = STATUSES = ("there", "differs", "refuses", "missing", "not counted")


class Entry(NamedTuple):
    """A name of torch's, how it stands with it, and what is to be said of it."""

    name: str
    status: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.status}" + (f" ({self.note})" if self.note else "")


def written(version: str, names: Mapping[str, Iterable[str]]) -> str:
    """The file of these names, by module or class."""
    head = f"# The public names of torch {version}, by module and class: written by `python -m tests.parity.torch_names`.\n"
    return head + "".join(textwrap.fill(f"{owner}: {' '.join(sorted(names[owner]))}", 128, subsequent_indent="  ",
                                        break_long_words=False, break_on_hyphens=False) + "\n" for owner in sorted(names))


@cache
def names() -> Mapping[str, tuple[str, ...]]:
    """torch's public names, by module or class."""
    blocks = re.split(r"\n(?! )", FILE.read_text(encoding="utf-8").strip())[1:]
    return {owner: tuple(listed.split()) for owner, _, listed in (block.partition(":") for block in blocks)}


@cache
def _module(name: str) -> Any:
    """The module of ours with a name of torch's; None if there is none."""
    path = _OURS + name.removeprefix("torch")
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not path.startswith(error.name):
            raise  # a module that is there, and needs another
        return None


def ours(name: str) -> Any:
    """What is here under a name of torch's; AttributeError where nothing is."""
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        found = _module(".".join(parts[:i]))
        if found is not None:
            break
    for part in parts[i:]:
        if is_refusal(found):
            return found
        below = None if hasattr(found, part) or not isinstance(found, ModuleType) else _module(f"{'.'.join(parts[:i])}.{part}")
        if below is None and part in getattr(found, "__annotations__", ()):
            return found  # an attribute of instances
        found = getattr(found, part) if below is None else below
    return found


def look_up(name: str) -> Entry:
    """How it stands with one name, such as "torch.linalg.cholesky"."""
    reason = not_counted(name)
    try:
        found = ours(name)
    except AttributeError:
        return Entry(name, APART, reason) if reason else Entry(name, MISSING)
    if is_refusal(found) or isinstance(found, Absent):
        return Entry(name, APART if reason else REFUSING, str(found.__doc__).removeprefix("Not there: ").rstrip("."))
    if name in DIFFERS:
        return Entry(name, DIFFERING, DIFFERS[name])
    return Entry(name, APART, reason) if reason else Entry(name, THERE)


def entries(below: str = "torch") -> list[Entry]:
    """All of a module or class, with what is below it; of a class that is not there, no members."""
    owners = [o for o in names() if (o == below or o.startswith(f"{below}.")) and _is_open(o)]
    return [look_up(f"{owner}.{n}") for owner in owners for n in names()[owner]]


def _is_open(owner: str) -> bool:
    """Whether a class, or the module, is there."""
    if not owner.rpartition(".")[2][:1].isupper():
        return True
    return look_up(owner).status in (THERE, DIFFERING)


def report(name: str = "torch") -> str:
    """How it stands with a name; for a module or class, what of it is not simply there."""
    name = name if name.partition(".")[0] == "torch" else f"torch.{name}"
    found = entries(name)
    if not found:
        return str(look_up(name))
    kept = [str(entry) for entry in found if entry.status not in (THERE, APART)]
    return "\n".join([f"{name}: {counts(found)}", *kept])


def counts(found: list[Entry]) -> str:
    """How many are there, differ, ..."""
    numbers = {status: sum(entry.status == status for entry in found) for status in STATUSES}
    return ", ".join(f"{number:,} {status}" for status, number in numbers.items() if number or status == THERE)


# --- The page ---------------------------------------------------------------------------------------------------------

_HEAD = """# torch's names in Flambeau

Written by `python -m flambeau compat --page`, from the public names of torch {version}. `python -m flambeau compat NAME` tells of
one name, module or class. There: {there:,} of {counted:,} names of modules, and members of classes, that are counted
({share:.1%}); {differs} of them differ in what is told below.

| module | there | not there |
|---|---|---|
"""


def page() -> str:
    """The text of COMPAT.md."""
    found = entries()
    counted = [entry for entry in found if entry.status != APART]
    there = [entry for entry in counted if entry.status in (THERE, DIFFERING)]
    head = _HEAD.format(version=FILE.read_text(encoding="utf-8").split()[6].rstrip(","), there=len(there), counted=len(counted),
                        share=len(there) / len(counted), differs=sum(entry.status == DIFFERING for entry in there))
    return "\n".join([head.rstrip(), *_rows(counted), "", *_section("What differs", counted, DIFFERING),
                      *_section("What refuses, and what to do instead", counted, REFUSING),
                      "## What is missing", "", _listed(e.name for e in counted if e.status == MISSING), "",
                      "## What is not counted", "", *(f"- {reason}: {_code(patterns.split())}"
                                                      for reason, patterns in NOT_COUNTED.items())]) + "\n"


def _rows(counted: list[Entry]) -> list[str]:
    rows: dict[str, list[bool]] = {}
    for entry in counted:
        rows.setdefault(".".join(entry.name.split(".")[:2 if _is_module(entry.name) else 1]), []).append(
            entry.status in (THERE, DIFFERING))
    return [f"| {owner} | {sum(marks):,} | {len(marks) - sum(marks) or ''} |" for owner, marks in sorted(rows.items())]


def _is_module(name: str) -> bool:
    """Whether the second part of a name is a module, or `Tensor`, of which there is a row."""
    second = ".".join(name.split(".")[:2])
    return second in names() and (name != second) and (second == "torch.Tensor" or not second[6:7].isupper())


def _section(title: str, counted: list[Entry], status: str) -> list[str]:
    by_note: dict[str, list[str]] = {}
    for entry in counted:
        if entry.status == status:
            by_note.setdefault(entry.note, []).append(entry.name)
    return [f"## {title}", "", *(f"- {note}: {_listed(found)}" for note, found in by_note.items()), ""]


def _listed(found: Iterable[str]) -> str:
    """Names, of which members of what is listed itself are left out."""
    every = list(found)
    return _code([name for name in every if name.rpartition(".")[0] not in every]) or "Nothing."


def _code(every: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in every)
