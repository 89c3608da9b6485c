"""Reading back the text that a graph prints.

    graph main(%0: f32[2] "weight", %1: f32[2]) {
      %2: f32[2] = mul %0, %1            # comments are ignored
      return %2
    }

Inner graphs (loop bodies, branches) come before the graphs that name them as `@name`; the last graph is the result.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from . import dtypes
from .graph import Graph, Node, Value
from .op import OPS
from .recorder import placeholder
from .types import Type

_HEAD = re.compile(r"graph (\S+?)\((.*)\) \{")
_INPUT = re.compile(r'%(\d+): (\w+\[[\d,]*\])(?: "([^"]*)")?')
_RESULT = r'%\d+: \w+\[[\d,]*\](?: "[^"]*")?'
_NODE = re.compile(rf"(?:({_RESULT}(?:, {_RESULT})*) )?= (\w+)((?: %\d+,?)*)(?: \{{(.*)\}})?")
_TYPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
_QUOTED = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


def parse(text: str) -> Graph:
    """The graph that prints as `text`; ValueError naming the line where it is malformed.

    >>> graph = parse('graph main(%0: f32[2]) {\\n  %1: f32[2] = neg %0\\n  return %1\\n}')
    >>> print(graph.nodes[0].op.name)
    neg
    """
    graphs: dict[str, Graph] = {}
    pending: list[tuple[int, str]] = []
    last: Graph | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = _without_comment(line).strip()
        if line == "}":
            if last is not None:  # an inner graph: what it is called in the text is its name and a number
                last.name = re.sub(r"_\d+$", "", last.name)
            last = _Reader(graphs, pending).graph()
            graphs[last.name] = last
            pending = []
        elif line:
            pending.append((number, line))
    if pending or last is None:
        raise ValueError(f"line {pending[-1][0] if pending else 1}: expected 'graph name(...) {{ ... }}', the closing brace is "
                         "missing")
    return last.check()


def parse_type(text: str) -> Type:
    """`f32[2,3]` as a type."""
    short, _, dims = text.rstrip("]").partition("[")
    return Type.of(tuple(int(n) for n in dims.split(",") if n), dtypes.from_short(short))


def _without_comment(line: str) -> str:
    """The line up to a '#' that is not inside quotes."""
    parts = _QUOTED.split(line)
    for i in range(0, len(parts), 2):
        code, mark, _ = parts[i].partition("#")
        if mark:
            return "".join([*parts[:i], code])
    return line


class _Reader:
    """One graph's lines."""

    def __init__(self, graphs: dict[str, Graph], lines: list[tuple[int, str]]) -> None:
        self._graphs, self._lines = graphs, lines
        self._values: dict[str, Value] = {}
        self._labels: dict[Value, str] = {}

    def graph(self) -> Graph:
        start, head = self._head()
        found = _HEAD.fullmatch(head)
        if not found:
            raise ValueError(f"line {start}: expected 'graph name(inputs) {{', got {head!r}")
        inputs = []
        for number, type_text, label in _INPUT.findall(found[2]):
            value = self._values[f"%{number}"] = placeholder(self._type(start, type_text))
            inputs.append(value)
            if label:
                self._labels[value] = label
        nodes, outputs = [], None
        for number_of_line, line in self._lines:
            if line.startswith("return"):
                outputs = [self._value(number_of_line, name) for name in re.findall(r"%\d+", line)]
            else:
                nodes.append(self._node(number_of_line, line))
        if outputs is None:
            raise ValueError(f"line {start}: graph {found[1]} has no return")
        return Graph(inputs, nodes, outputs, found[1], self._labels)

    def _head(self) -> tuple[int, str]:
        """The head may go over several lines, up to its brace."""
        if not self._lines:
            raise ValueError("line 1: expected 'graph name(inputs) {'")
        start, parts = self._lines[0][0], []
        while self._lines:
            parts.append(self._lines.pop(0)[1])
            if parts[-1].endswith("{"):
                break
        return start, " ".join(parts)

    def _node(self, number: int, line: str) -> Node:
        found = _NODE.fullmatch(line)
        if not found:
            raise ValueError(f"line {number}: expected '%n: type = op %inputs {{params}}', got {line!r}")
        results, name, inputs, params = found.groups()
        if name not in OPS:
            raise ValueError(f"line {number}: there is no op named {name!r}")
        made = _INPUT.findall(results or "")
        node = Node(OPS[name], tuple(self._value(number, n) for n in re.findall(r"%\d+", inputs)),
                    self._params(number, params) if params else {}, tuple(self._type(number, t) for _, t, _ in made),
                    ("<text>", number))
        for (name, _, label), value in zip(made, node.outputs):
            self._values[f"%{name}"] = value
            if label:
                self._labels[value] = label
        return node

    def _value(self, number: int, name: str) -> Value:
        if name not in self._values:
            raise ValueError(f"line {number}: {name} is not defined")
        return self._values[name]

    @staticmethod
    def _type(number: int, text: str) -> Type:
        try:
            return parse_type(text)
        except KeyError:
            raise ValueError(f"line {number}: {text!r} is no type") from None

    def _params(self, number: int, text: str) -> dict[str, Any]:
        """`a=1, b=(2,), c=f32` read as the keyword arguments of a call."""
        parts = _QUOTED.split(text)
        for i in range(0, len(parts), 2):
            parts[i] = re.sub(r"@(\w+)", r"graph_.\1", _TYPE.sub(r"type_('\1[\2]')", parts[i]))
        try:
            call = ast.parse(f"f({''.join(parts)})", mode="eval").body
            assert isinstance(call, ast.Call)
            return {k.arg: self._param(k.value) for k in call.keywords if k.arg is not None}
        except (SyntaxError, KeyError, AssertionError, ValueError) as error:
            raise ValueError(f"line {number}: cannot read the parameters {{{text}}}: {error}") from None

    def _param(self, tree: ast.expr) -> Any:
        if isinstance(tree, ast.Tuple):
            return tuple(self._param(x) for x in tree.elts)
        if isinstance(tree, ast.Attribute):
            return self._graphs[tree.attr]
        if isinstance(tree, ast.Call):
            return parse_type(ast.literal_eval(tree.args[0]))
        return dtypes.from_short(tree.id) if isinstance(tree, ast.Name) else ast.literal_eval(tree)
