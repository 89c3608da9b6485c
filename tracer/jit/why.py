"""What a jitted function tells of itself: what it cost, why each trace was made, and warnings about that."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..guards.identity import MISSING, interchangeable
from ..guards.texts import Change, Described
from ..ir.source import describe, file_and_line, user_position
from ..tensor.operations import NUMBERS
from .plan import Writes
from .results import Alias, Output

GROWING = 2  # the same, for a tensor of ever new shape that the step itself leaves behind
MANY = 8  # traces for one and the same reason, after which a warning says so
_MODES = ("grad mode", "default dtype", "default device", "autocast", "anomaly detection")


class RetraceWarning(UserWarning):
    """A traced function depends on something that it should take as an argument."""


@dataclass
class Stats:
    """What a jitted function has cost: `compiles`, `calls`, and `seconds` per phase.

    `state_on_failure` says what becomes of state in a run of the latest program in which a check of values fails: it is
    "kept" as before the call, or the update is "applied" all the same. Empty for a program without checks.
    """

    compiles: int = 0
    calls: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"trace": 0.0, "simplify": 0.0, "print": 0.0,
                                                                "compile": 0.0})
    state_on_failure: str = ""

    def __str__(self) -> str:
        phases = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in self.seconds.items())
        return f"{self.compiles} compile(s), {self.calls} call(s); {phases}"


@dataclass(frozen=True)
class Retrace:
    """Why a trace was made: `changes` are (path or name, old, new)."""

    reason: str
    changes: tuple[tuple[str, Any, Any], ...]
    where: str
    seconds: float


class Why(list[Retrace]):
    """A list of traces that prints as text."""

    def __str__(self) -> str:
        lines = []
        for i, trace in enumerate(self, 1):
            changes = "; ".join(f"{name}: {old!r} -> {new!r}" for name, old, new in trace.changes)
            lines.append(f"{i}. {trace.reason}{' (' + changes + ')' if changes else ''} at {trace.where}, "
                         f"{trace.seconds:.2f} s")
        return "\n".join(lines)

    __repr__ = __str__


class History:
    """The traces of the function called `name`, and what was said of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.traces: list[Retrace] = []
        self._before: tuple[Any, dict[str, Any]] | None = None  # key and arguments of the latest trace
        self._changed: Counter[str] = Counter()  # how often what caused a new trace
        self._warned: set[str] = set()
        self._arguments: set[str] = set()  # all paths in arguments that there were

    def clear(self) -> None:
        """Forget all traces."""
        self.traces.clear()
        self._before = None

    def changes(self, key: tuple[Any, ...], now: dict[str, Any]) -> list[Change]:
        """What differs between a call with this key and these arguments, and the latest trace."""
        if self._before is None:
            return []
        other, before = self._before
        pairs = [(path, before.get(path, MISSING), now.get(path, MISSING)) for path in dict.fromkeys((*before, *now))]
        changes = [_change(path, old, new) for path, old, new in pairs if _told_apart(old, new)]
        modes = [(mode, old, new) for mode, old, new in zip(_MODES, other[1:], key[1:]) if old != new]
        return [*changes, *modes] or [("the structure of the arguments", *first_difference(other[0], key[0]))]

    def add(self, key: Any, now: dict[str, Any], changes: list[Change], seconds: float) -> None:
        """A trace was made."""
        self._before = key, now
        self._arguments |= now.keys()
        reason = "first call" if not self.traces else "changed" if changes else "another signature"
        changes = [(str(name), old, new) for name, old, new in changes]  # which keeps no keys of places
        self.traces.append(Retrace(reason, tuple(changes), describe(user_position()), seconds))

    def warn(self, impure: Iterable[str], changes: list[Change], now: dict[str, Any], bound: Bound) -> None:
        """Say what the trace cannot follow, and what causes one trace after the other; each thing once.

        `bound` are the places where the step itself puts tensors.
        """
        for what in impure:
            self._warn_once(what, f"{self.name} reads {what}: while it is traced, not at each call. Pass the value as an "
                                  "argument.")
        alone = all(bound.has(name) for name, _, _ in changes if name in now)  # else it may follow the shape of an argument
        for name, (old, new) in {_about(*change): change[1:] for change in changes}.items():
            self._changed[name] += 1
            again = f"{self.name} was traced anew {self._changed[name]} times because"
            if self._changed[name] >= GROWING and alone and bound.has(name) and _shapes(old, new):
                self._warn_once(name, f"{again} it leaves a tensor of another shape in {name} (now {new!r}), and each shape is a "
                                      "program of its own. Make that tensor once, as large as it may become, and write into it, "
                                      f"{_preallocated(name, old, new)}, with a mask of the positions that are filled: "
                                      "torch.arange(size) <= pos.")
                self._warned |= {other for other, _, _ in changes if bound.same(name, other)}
            elif self._changed[name] >= MANY:
                self._warn_once(name, f"{again} {name} had changed (now {new!r}). {self._advice(name, old, new)}")

    def _advice(self, name: str, old: Any, new: Any) -> str:
        """What to do about something that changes again and again."""
        if old is MISSING or new is MISSING:
            return ("Code that looks into a container is compiled for what it holds: let it hold as much each time, stack it "
                    "into one tensor, or only append to it.")
        given = any(path == name or path.startswith((f"{name}.", f"{name}[")) for path in self._arguments)
        if " (at " in name or (given and type(new) in NUMBERS):
            return "Code that needs a number (a shape, a range, an index of a list) is compiled for each of its values."
        if not given:
            return "Pass it as an argument: numbers and tensors in arguments are inputs of the program."
        if _SIZES.search(str(new)):
            return "Every shape and dtype is a program of its own: pad the batch, or leave the last, smaller one out."
        if isinstance(new, np.generic):
            return "A scalar of numpy is compiled in: pass int(x) or float(x), or an array without dimensions."
        return ("A value that is no tensor, array or number is compiled in: pass what changes as one of these, and make "
                "functions and modules once.")

    def _warn_once(self, about: str, message: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            file, line = file_and_line(user_position())
            warnings.warn_explicit(message, RetraceWarning, file, line)


_SIZES = re.compile(r"\w\[([\d,]*)\]")  # in the text of a tensor's or an array's type


def _about(name: str, old: Any, new: Any) -> str:
    """What a change is counted under: what is in a container, or is not, under that container."""
    return re.sub(r"(\[[^][]*\]|\.\w+)$", "", str(name)) if (old is MISSING) is not (new is MISSING) else name


def _told_apart(old: Any, new: Any) -> bool:
    """Whether two descriptions are of things that are not the same."""
    if isinstance(old, Described) and isinstance(new, Described):
        return bool(old.key != new.key)
    return not interchangeable(old, new)


def _change(path: str, old: Any, new: Any) -> Change:
    if isinstance(old, Described) and isinstance(new, Described):
        return old.change(path, new)
    return path, *(x.text if isinstance(x, Described) else x for x in (old, new))


class Bound:
    """Places, by what they are called at the end, where a step puts tensors that are not state with a fixed type."""

    def __init__(self, writes: Writes) -> None:
        held = [(effect.owner.label(key), key) for effect in writes.outside for key, now in effect.edits.items()
                if not (key in effect.nests and effect.nests[key].fixed) and isinstance(now, (Output, Alias))]
        held += [("", key) for _, contents in writes.containers for key, now in contents.items()
                 if isinstance(now, (Output, Alias))]
        self.labels = {label for label, _ in held}
        self.ends = tuple(end for _, key in held if key != "" for end in (f".{key}", f"[{key!r}]"))

    def has(self, name: str) -> bool:
        """Whether this is what a reason calls one of them."""
        return name in self.labels or name.endswith(self.ends)

    def same(self, name: str, other: str) -> bool:
        """Whether two reasons may be about one of them: a part of a module is called by its class, and by its path."""
        return any(name.endswith(end) and other.endswith(end) for end in self.ends)


def _shapes(old: Any, new: Any) -> tuple[list[str], list[str]] | None:
    """The sizes in the texts of two tensors, if these differ."""
    found = [_SIZES.search(str(x)) for x in (old, new)]
    shapes = [match[1].split(",") for match in found if match is not None]
    return (shapes[0], shapes[1]) if len(shapes) == 2 and shapes[0] != shapes[1] else None


def _preallocated(name: str, old: Any, new: Any) -> str:
    """How to write at one position of what grows in one dimension."""
    before, now = _shapes(old, new) or ([], [])
    grown = [i for i, (a, b) in enumerate(zip(before, now)) if a != b]
    if len(before) != len(now) or len(grown) != 1:
        return "x[..., pos] = new"
    return f"{name.partition(' (')[0]}[{':, ' * grown[0]}pos] = new"


def first_difference(before: Any, now: Any) -> tuple[Any, Any]:
    """Where two keys differ first."""
    if isinstance(before, tuple) and isinstance(now, tuple):
        for a, b in zip(before, now):
            if a != b:
                return first_difference(a, b) if isinstance(a, tuple) else (a, b)
    return before, now
