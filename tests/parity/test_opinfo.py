"""torch's record of its operators: a sample of every entry and dtype.

In float32 it runs through XLA, forward and gradient in one jitted program, and by each check on the numpy engine; in the other
dtypes a third, which rotates, through XLA and the rest on the numpy engine: all of them would take CI too long. A rotating part
of the whole sweep (`python -m tests.parity.opinfo`) is run again. What does not pass yet is listed in `opinfo/failing.txt`; a
listed cell that passes fails here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402
from .opinfo.excluded import CUT_BY_VALUES, DATA_DEPENDENT, EXCLUDED, RANDOM  # noqa: E402
from .opinfo.harness import ABSENT, FAILED, LATE, NO_DTYPE, PASSED, SKIPPED, Outcome, run_cell  # noqa: E402
from .opinfo.listed import read_list  # noqa: E402
from .opinfo.randomness import DRAWS  # noqa: E402
from .opinfo.records import dtypes_of, entries, every_entry  # noqa: E402
from .opinfo.result import chosen, commit, difference  # noqa: E402

GROUPS = 40
LISTED = read_list()
BROAD = ("forward", "strides", "variants", "out", "gradient", "second")
PARTS, SLICE = 60, 4  # of so many parts of the checked-in result one is run again, by four tests
THIRD = 3
FEWER = ("forward", "gradient")  # of dtypes other than float32, whose other forms are the same functions
NOT_JITTED = {*DATA_DEPENDENT, *CUT_BY_VALUES}


def _group(i: int) -> list[str]:
    return [name for name in entries() if zlib.crc32(name.encode()) % GROUPS == i]


def _cells(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, dtype) for name in names for dtype in dtypes_of(entries()[name])]


def _is_jitted(cell: tuple[str, str]) -> bool:
    """Whether this time a cell runs through XLA."""
    return cell[1] == "float32" or zlib.crc32(" ".join((*cell, commit())).encode()) % THIRD == 0


def _on_numpy(cell: tuple[str, str]) -> tuple[str, ...]:
    """The checks of a cell on the numpy engine."""
    if cell[1] == "float32":
        return BROAD
    return () if _is_jitted(cell) and cell[0] not in NOT_JITTED else FEWER


def _judge(outcome: Outcome) -> str | None:
    """What is wrong with an outcome on first samples, given the list; None where it is as it should be."""
    if outcome.check == "jitted" and any((outcome.entry, outcome.dtype, part) in LISTED for part in FEWER):
        return None  # what fails lazily fails jitted
    listed = LISTED.get(outcome.cell) or LISTED.get((outcome.entry, "*", "*"))
    fails = listed is not None and (listed[0] == 0 or outcome.check == "errors")  # of errors all inputs are run
    if outcome.outcome in (FAILED, ABSENT, LATE) and not fails:
        return f"{' '.join(outcome.cell)}: {outcome.outcome}: {outcome.reason}"
    if outcome.outcome == PASSED and fails:
        return f"{' '.join(outcome.cell)} passes: take it off opinfo/failing.txt"
    return None


@pytest.mark.parametrize("group", range(GROUPS))
def test_first_samples_are_torchs_but_for_what_is_listed(group: int) -> None:
    with on_numpy():
        outcomes = [run_cell(*cell, check, 1) for cell in _cells(_group(group)) for check in _on_numpy(cell)]
        outcomes += [run_cell(name, NO_DTYPE, "errors") for name in _group(group)]
    wrong = [told for outcome in outcomes if (told := _judge(outcome))]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("group", range(GROUPS))
def test_first_samples_forward_and_gradient_in_one_jitted_program(group: int) -> None:
    outcomes = [run_cell(*cell, "jitted", 1) for cell in _cells(_group(group)) if _is_jitted(cell)]
    wrong = [told for outcome in outcomes if (told := _judge(outcome))]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("part", range(SLICE))
def test_a_rotating_part_of_the_sweep_comes_out_as_it_says(part: int) -> None:
    seed = zlib.crc32(commit().encode())
    found = []
    for told in chosen(PARTS, seed)[part::SLICE]:
        with on_numpy(told.compiled == 0):
            found.append((told, run_cell(*told.cell, compiled=1)))
    wrong = [text for pair in found if (text := difference(*pair))]
    assert not wrong, f"seed {seed}\n" + "\n".join(wrong)


@pytest.mark.parametrize("was, now, differ", [
    ((PASSED, -1), (PASSED, -1), False), ((PASSED, -1), (FAILED, 0), True), ((FAILED, 1), (FAILED, 1), False),
    ((FAILED, 1), (PASSED, -1), True), ((FAILED, 0), (FAILED, 1), True), ((PASSED, -1), (LATE, 1), True),
    ((SKIPPED, -1), (PASSED, -1), False)])
def test_what_differs_from_the_result(was: tuple[str, int], now: tuple[str, int], differ: bool) -> None:
    told, found = (Outcome("add", "float32", "forward", outcome, first=first) for outcome, first in (was, now))
    assert (difference(told, found) is not None) == differ


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_torchs_in_distribution_and_a_seed_repeats_them(name: str) -> None:
    torch.manual_seed(3)
    theirs = DRAWS[name](torch)
    with on_numpy():
        flambeau.manual_seed(3)
        ours, more = DRAWS[name](flambeau), DRAWS[name](flambeau)
        flambeau.manual_seed(3)
        again = DRAWS[name](flambeau)
        first = ours.numpy().ravel()
        assert np.array_equal(first, again.numpy().ravel()) and not np.array_equal(first, more.numpy().ravel())
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape)
    few = np.unique(first).size < 1000  # values of a discrete distribution may differ in their last bit
    theirs = theirs.numpy().ravel()
    assert stats.ks_2samp(*(x.round(3) if few else x for x in (first, theirs))).pvalue > 1e-4


def test_names_of_the_tables_are_of_the_record() -> None:
    known = set(every_entry())
    assert {*EXCLUDED, *RANDOM, *DATA_DEPENDENT, *CUT_BY_VALUES} <= known
    assert {cell[0] for cell in LISTED} <= set(entries())
