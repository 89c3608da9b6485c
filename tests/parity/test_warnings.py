"""What torch warns of is warned of here: the same kind, beginning with the same words, at the line of the call.

`warnings.txt` has calls of which torch warns, others of which it does not, and those where it is otherwise here, each under
the reason: one that agrees again must be taken off.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

TABLE = (Path(__file__).parent / "warnings.txt").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^# --- (.*?) ---\n(.*?)(?=^# ---|\Z)", TABLE, re.DOTALL | re.MULTILINE))
ALIKE = 40  # characters by which people filter them
FILE = "written_by_a_user.py"


class Told(NamedTuple):
    """What a call warned of, whether at the line of the call, and the class of its error."""

    kinds: list[type[Warning]]
    words: list[str]
    here: bool
    error: str


def calls(heading: str) -> list[str]:
    return [line for title, text in PARTS.items() if title.startswith(heading) for line in text.splitlines() if line]


def told(lib: Any, line: str) -> Told:
    read_only = np.ones(3)
    read_only.flags.writeable = False
    names = {"torch": lib, "np": np, "io": io, "saved": _saved, "sched": _schedule, "ro": read_only,
             "x": lib.tensor([[1.0, 2.0], [3.0, 4.5]]), "p": lib.nn.Parameter(lib.tensor([1.0, 2.0]))}
    error = ""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            eval(compile(line, FILE, "eval"), names)
        except Exception as e:
            error = type(e).__name__
    return Told([w.category for w in found], [str(w.message) for w in found], all(w.filename == FILE for w in found), error)


def _saved(lib: Any) -> io.BytesIO:
    file = io.BytesIO()
    lib.save({"a": lib.ones(2)}, file)
    file.seek(0)
    return file


def _schedule(lib: Any) -> Any:
    return lib.optim.lr_scheduler.StepLR(lib.optim.SGD([lib.ones(1, requires_grad=True)], 0.1), 1)


@pytest.fixture(autouse=True)
def every_time(restored: None) -> Any:
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.fixture
def restored() -> Any:
    """What the calls set is as before."""
    yield
    for lib in (torch, flambeau):
        lib.set_default_dtype(lib.float32)


def alike(theirs: Told, ours: Told) -> bool:
    return ours.kinds == theirs.kinds and ours.error == theirs.error and all(
        a[:ALIKE] == b[:ALIKE] for a, b in zip(theirs.words, ours.words, strict=True))


@pytest.mark.parametrize("line", [*calls("Told"), *calls("Silent")])
def test_a_call(line: str) -> None:
    theirs, ours = told(torch, line), told(flambeau, line)
    assert alike(theirs, ours), f"torch: {theirs}\nhere: {ours}"
    assert ours.here


@pytest.mark.parametrize("line", calls("Differing"))
def test_what_differs_still_does(line: str) -> None:
    assert not alike(told(torch, line), told(flambeau, line))


def test_it_is_told_once_for_a_line() -> None:
    x = flambeau.ones(2)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(3):
            flambeau.nn.functional.softmax(x)
    assert len(found) == 1


def test_under_jit_it_is_told_at_the_trace() -> None:
    step = flambeau.jit(lambda x: flambeau.nn.functional.softmax(x))
    with pytest.warns(UserWarning, match="Implicit dimension") as found:
        step(flambeau.ones(2))
    assert {w.filename for w in found} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(flambeau.zeros(2))
