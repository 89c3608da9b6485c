"""What `help` shows of the functions that everybody uses: every argument, what comes back, an example, the source."""

from __future__ import annotations

import inspect

import pytest

import flambeau

NAMES = ["tensor", "zeros", "ones", "full", "arange", "linspace", "reshape", "permute", "transpose", "unsqueeze", "cat", "stack",
         "add", "mul", "matmul", "sum", "mean", "softmax", "where", "clamp", "rand", "randn", "topk"]
WORDS = 35  # of prose, in the shortest entry


def paragraphs(name: str) -> list[str]:
    return (inspect.getdoc(getattr(flambeau, name)) or "").split("\n\n")


@pytest.mark.parametrize("name", NAMES)
def test_the_entry_of_a_function(name: str) -> None:
    parts = paragraphs(name)
    prose = " ".join(p for p in parts if not p.startswith((">>>", "Source:")))
    assert parts[0].endswith(".") and ". " not in parts[0]
    assert len(prose.split()) >= WORDS
    named = inspect.signature(getattr(flambeau, name)).parameters
    assert "Args:" in prose and [n for n in named if f"`{n}`" not in prose] == []
    assert ("Returns" in prose and "Raises" in prose) or "raises" in prose
    (example,) = [p for p in parts if p.startswith(">>> import flambeau as torch")]
    assert name in example and len(example.splitlines()) >= 3
    assert parts[-1] == f"Source: https://pytorch.org/docs/stable/generated/torch.{name}.html"
