"""What a graph prints is read back as the same graph."""

from __future__ import annotations

import pytest

from flambeau.tracer.ir.graph import GraphError, render
from flambeau.tracer.ir.text import parse

from ..ops.harness import forward_graph, type_of
from ..ops.samples import SAMPLES

SIMPLE = 'graph main(%0: f32[2] "w", %1: f32[2]) {\n  %2: f32[2] = mul %0, %1  # a.py:1 "#"\n  return %2\n}'


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.op not in ("custom_gradient", "foreign_call")], ids=str)
def test_every_sample_is_read_back(sample) -> None:  # but for those whose parameters are Python
    graph = forward_graph(sample, [type_of(a) for a in sample.arrays])
    again = parse(str(graph))
    assert again.key == graph.key
    assert render(again, sources=False) == render(graph, sources=False)


def test_labels_and_comments() -> None:
    graph = parse(SIMPLE)
    assert list(graph.labels.values()) == ["w"]
    assert render(graph, sources=False) == render(parse(render(graph)), sources=False)


@pytest.mark.parametrize("old, new, message", [
    ("mul %0", "mull %0", "line 2: there is no op named 'mull'"),
    ("mul %0, %1", "mul %0, %7", "line 2: %7 is not defined"),
    ("f32[2] = ", "f33[2] = ", "line 2: 'f33\\[2\\]' is no type"),
    ("  return %2\n", "", "line 1: graph main has no return"),
    ("graph main(", "grape main(", "line 1: expected 'graph name"),
    ("= mul", "- mul", "line 2: expected '%n: type = op"),
    ("\n}", "", "the closing brace is missing"),
])
def test_malformed_text_names_the_line(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(SIMPLE.replace(old, new, 1))


def test_parameters_that_cannot_be_read_name_the_line() -> None:
    with pytest.raises(ValueError, match="line 2: cannot read the parameters"):
        parse("graph main(%0: f32[2]) {\n  %1: f32[] = reduce_sum %0 {axes=(0,}\n  return %1\n}")


def test_a_wrong_type_is_found() -> None:
    with pytest.raises(GraphError, match="the node says"):
        parse(SIMPLE.replace("%2: f32[2]", "%2: f32[3]"))
