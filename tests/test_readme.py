"""The Python in README.md runs, in order, and prints what the README says it prints.

A `text` block right after a `python` block is its output, compared as doctest does (`...` stands for anything, runs of
spaces are equal). `<!-- needs: name -->` before a block names a package without which it is left out.
"""

from __future__ import annotations

import contextlib
import difflib
import doctest
import io
import linecache
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
FENCED = re.compile(r"(?:<!-- needs: (?P<needs>\w+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```\n", re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Block:
    """A piece of code, what it must print (None when the README does not say), and what it needs."""

    code: str
    output: str | None
    needs: str | None


def blocks(text: str) -> list[Block]:
    found: list[Block] = []
    end = -1
    for match in FENCED.finditer(text):
        if match["kind"] == "python":
            found.append(Block(match["text"], None, match["needs"]))
        elif match["kind"] == "text" and not text[end:match.start()].strip():
            found[-1].output = match["text"]
        end = match.end()
    return found


def difference(block: Block, printed: str) -> str | None:
    """What the block printed beside what it should have; None when they agree."""
    if block.output is None or doctest.OutputChecker().check_output(block.output, printed, FLAGS):
        return None
    return "\n".join(difflib.unified_diff(block.output.splitlines(), printed.splitlines(), "README", "printed"))


def run_all(found: list[Block], file: str = "train.py") -> list[str]:
    """Run the blocks as if they were one file; returns where their output differs."""
    namespace: dict[str, Any] = {"__name__": file.removesuffix(".py")}
    wrong, source = [], ""
    for block in found:
        if block.needs and find_spec(block.needs) is None:
            continue
        code = "\n" * source.count("\n") + block.code
        source += block.code
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, file, "exec"), namespace)
        if (said := difference(block, out.getvalue())) is not None:
            wrong.append(said)
    return wrong


def test_the_readme_is_true() -> None:
    found = blocks(README.read_text(encoding="utf-8"))
    assert len(found) >= 6
    assert sum(block.output is not None for block in found) >= 4
    wrong = run_all(found)
    assert not wrong, "\n".join(wrong)


def test_the_first_block_is_a_step_of_about_twenty_lines() -> None:
    code = blocks(README.read_text(encoding="utf-8"))[0].code
    assert "@torch.jit" in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


def test_a_wrong_output_would_be_noticed() -> None:
    assert run_all([Block("print(1)\n", "2\n", None)])
    assert not run_all([Block("print('1   s')\n", "... s\n", None)])
    assert not run_all([Block("raise ValueError\n", None, "no_such_package")])
