"""The printed form of graphs, read back; keys; the checker."""

from __future__ import annotations

import re
from typing import Any

import pytest

import flambeau as torch
from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.graph import Graph, GraphError, Node, render
from flambeau.tracer.ir.recorder import placeholder, recording
from flambeau.tracer.ir.text import parse
from flambeau.tracer.ir.types import Type
from flambeau.tracer.ops.elementwise import add, exp, neg
from flambeau.tracer.walks.simplify import PASSES, PIPELINE, dead_code, simplify

from ..models.definitions import batches, gpt
from ..ops.harness import forward_graph, gradient_graph, type_of
from ..ops.samples import SAMPLES

PAIR = Type.of((2,), dtypes.float32)


def assert_reads_back(graph: Graph) -> None:
    plain = render(graph, sources=False)
    parsed = parse(str(graph))
    assert render(parsed, sources=False) == plain
    assert parsed == graph
    assert render(parse(plain), sources=False) == plain
    parsed.check()


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.op not in ("custom_gradient", "foreign_call")], ids=str)
def test_every_operation_reads_back(sample: Any) -> None:  # but for those whose parameters are Python
    assert_reads_back(forward_graph(sample, [type_of(a) for a in sample.arrays]))


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.gradient][::7], ids=str)
def test_gradients_read_back(sample: Any) -> None:
    assert_reads_back(gradient_graph(sample, [type_of(a) for a in sample.arrays], 1))


def gpt_step() -> Any:
    model = gpt(torch)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step(x: Any, y: Any) -> Any:
        loss = torch.nn.functional.cross_entropy(model(x).view(-1, 23), y.view(-1))
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    ((x, y),) = batches("gpt", 1)
    return torch.jit(step).trace(torch.tensor(x), torch.tensor(y))


def test_a_training_step_reads_back_with_its_labels() -> None:
    graph = gpt_step()
    assert len(graph.nodes) > 200
    assert_reads_back(graph)
    assert set(parse(str(graph)).labels.values()) == set(graph.labels.values())
    assert any("weight" in label for label in graph.labels.values())
    lines = str(graph).splitlines()
    body = [line for line in lines if " = " in line]
    assert all(re.search(r"  # \S+\.py:\d+", line) for line in body)
    assert any("backward of %" in line for line in body)


MALFORMED = {
    "used before it is defined": "  %1: f32[2] = neg %7\n  return %1\n",
    "no such operation": "  %1: f32[2] = negate %0\n  return %1\n",
    "another type than the operation has": "  %1: f32[3] = neg %0\n  return %1\n",
    "no such dtype": "  %1: f99[2] = neg %0\n  return %1\n",
    "stray character": "  %1: f32[2] = neg %0 ~\n  return %1\n",
    "open tuple": "  %1: f32[2] = reshape %0 {shape=(2}\n  return %1\n",
    "no such inner graph": "  %1: f32[2] = reshape %0 {shape=@body_0}\n  return %1\n",
    "no such parameter value": "  %1: f32[2] = reshape %0 {shape=wide}\n  return %1\n",
    "output that is not defined": "  return %3\n",
    "no return": "  %1: f32[2] = neg %0\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_text_is_refused(name: str) -> None:
    with pytest.raises((ValueError, GraphError)):
        parse("graph main(%0: f32[2]) {\n" + MALFORMED[name] + "}")


@pytest.mark.parametrize("text", ["", "%1: f32[2] = neg %0", "graph main {\n}"])
def test_text_without_a_whole_graph_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1: "):
        parse(text)


def two_ways() -> tuple[Graph, Graph]:
    """The same program written on different lines."""
    def one() -> Graph:
        x = placeholder(PAIR)
        with recording() as recorder:
            y = neg(exp(x))
        return Graph([x], recorder.nodes, [y])

    def other() -> Graph:
        x = placeholder(PAIR)
        with recording() as recorder:
            unnamed = exp(x)
            y = neg(unnamed)
        return Graph([x], recorder.nodes, [y])

    return one(), other()


def test_keys_know_no_lines() -> None:
    one, other = two_ways()
    assert str(one) != str(other)
    assert one == other and hash(one) == hash(other)
    assert "test_graph" not in repr(one.key)
    assert one != Graph(one.inputs, one.nodes, one.inputs)


def test_check_refuses_what_is_malformed() -> None:
    x, stranger = placeholder(PAIR), placeholder(PAIR)
    with recording() as recorder:
        y = add(x, stranger)
    with pytest.raises(GraphError, match="is used before it is defined"):
        Graph([x], recorder.nodes, [y]).check()
    with pytest.raises(GraphError, match="is not defined in the graph"):
        Graph([x], [], [stranger]).check()
    wrong = Node(neg, (x,), {}, (Type.of((3,), dtypes.float32),), ("", 0))
    with pytest.raises(GraphError, match=r"neg gives .*f32\[2\].*the node says .*f32\[3\]"):
        Graph([x], [wrong], wrong.outputs).check()


def test_every_pass_leaves_a_checked_graph() -> None:
    seen = []

    def after(name: str, graph: Graph) -> None:
        graph.check()
        seen.append((name, len(graph.nodes)))

    before = gpt_step()
    after_all = simplify(before, after=after)
    assert [name for name, _ in seen] == [name for name, _ in PIPELINE]
    assert seen[-1][1] <= len(before.nodes)
    one_by_one = before
    for run in PASSES.values():
        one_by_one = run(one_by_one).check()
    assert len(dead_code(one_by_one).nodes) <= len(after_all.nodes)
