"""Printing nodes as StableHLO text. Implements the `Emitter` protocol that the ops' `lower` rules are written against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..tracer.ir import dtypes
from ..tracer.ir.constants import from_literal
from ..tracer.ir.graph import Graph, Node, Value
from ..tracer.ir.types import Type

Overrides = Mapping[str, Callable[..., Any]]

# Instructions whose operands and result share one type print in the short form `add %0, %1 : tensor<4xf32>`.
SHORT_FORM = frozenset({
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "remainder", "negate", "exponential", "log",
    "sqrt", "rsqrt", "tanh", "logistic", "sine", "cosine", "and", "or", "xor", "not"})


class Operand:
    """An SSA name with its type."""

    __slots__ = ("name", "type")

    def __init__(self, name: str, type: Type) -> None:
        self.name, self.type = name, type


_type_texts: dict[Type, str] = {}


def type_text(type: Type) -> str:
    """`tensor<2x3xf32>`."""
    found = _type_texts.get(type)
    if found is None:
        found = _type_texts[type] = f"tensor<{''.join(f'{n}x' for n in type.shape)}{type.dtype.mlir}>"
    return found


def literal_text(value: str, kind: dtypes.dtype) -> str:
    """A literal of our IR as MLIR writes it: exact, floats as the hexadecimal of their bits."""
    if kind is dtypes.boolean:
        return "true" if value == "True" else "false"
    if kind.is_complex:
        part = kind.real_form
        real, imag = value.split(",")
        return f"({literal_text(real, part)}, {literal_text(imag, part)})"
    scalar = from_literal(value, kind)
    if kind.is_floating_point:
        bits = int.from_bytes(scalar.tobytes(), "little")
        return f"0x{bits:0{2 * kind.itemsize}X}"
    return str(int(scalar))


class TextEmitter:
    """Collects instruction lines of one function; names are unique in it, regions included."""

    def __init__(self, overrides: Overrides | None = None, locations: bool = True) -> None:
        self.lines: list[str] = []
        self.out: Type
        self.outs: tuple[Type, ...]
        self._count = 0
        self._overrides = overrides or {}
        self._locations = locations
        self._suffix = ""
        self.functions: dict[str, str] = {}  # the texts of modules that are called, and the prefix of their names

    # --- what lower rules call ---

    def op(self, name: str, operands: Sequence[Operand], out: Type | None = None, attributes: str = "") -> Operand:
        """One instruction with one result."""
        result = self._fresh(out or self.out)
        if name in SHORT_FORM:
            text = f"stablehlo.{name} {', '.join([x.name for x in operands])} : {type_text(result.type)}"
        else:
            text = self._generic(name, operands, (result.type,), attributes)
        self.lines.append(f"{result.name} = {text}{self._suffix}")
        return result

    def ops(self, name: str, operands: Sequence[Operand], outs: Sequence[Type], attributes: str = "",
            regions: Sequence[str] = ()) -> tuple[Operand, ...]:
        """One instruction with any number of results and regions."""
        text = self._generic(name, operands, outs, attributes, regions)
        if len(outs) == 1:
            result = self._fresh(outs[0])
            self.lines.append(f"{result.name} = {text}{self._suffix}")
            return (result,)
        self._count += 1
        base = f"%{self._count}"
        self.lines.append((f"{base}:{len(outs)} = " if outs else "") + text + self._suffix)
        return tuple(Operand(f"{base}#{i}", t) for i, t in enumerate(outs))

    def region(self, types: Sequence[Type], body: Callable[..., Sequence[Operand] | Operand]) -> str:
        """The text of a region whose block takes `types` and yields what `body` returns."""
        outer, self.lines = self.lines, []
        arguments = [self._fresh(t) for t in types]
        yielded = body(*arguments)
        results = [yielded] if isinstance(yielded, Operand) else list(yielded)
        head = f"^bb0({', '.join(f'{a.name}: {type_text(a.type)}' for a in arguments)}):\n" if arguments else ""
        tail = (f'"stablehlo.return"({", ".join(r.name for r in results)}) : '
                f"({', '.join(type_text(r.type) for r in results)}) -> ()")
        text = "{\n" + head + "\n".join([*self.lines, tail]) + "\n}"
        self.lines = outer
        return text

    def graph_region(self, graph: Graph, captured: Sequence[Operand] = (), carried: int | None = None) -> str:
        """A region that holds `graph`: its first `carried` inputs are block arguments, the rest are `captured`."""
        count = len(graph.inputs) if carried is None else carried
        return self.region([v.type for v in graph.inputs[:count]],
                           lambda *arguments: self.inline(graph, (*arguments, *captured)))

    def inline(self, graph: Graph, operands: Sequence[Operand]) -> tuple[Operand, ...]:
        """Emit the nodes of `graph` here; returns its outputs."""
        saved = getattr(self, "out", None), getattr(self, "outs", None), self._suffix
        names: dict[Value, Operand] = dict(zip(graph.inputs, operands))
        held = []
        for number, node in enumerate(graph.nodes):
            held.append(node.outputs)
            self._emit(node, held[-1], names, number)
        self.out, self.outs, self._suffix = saved  # type: ignore[assignment]
        return tuple(names[v] for v in graph.outputs)

    def call(self, module: str, operands: Sequence[Operand], outs: Sequence[Type]) -> tuple[Operand, ...]:
        """Call `main` of a module's text, which is added once."""
        prefix = self.functions.setdefault(module, f"foreign{len(self.functions)}_")
        return self.ops("func.call", operands, outs, f"callee = @{prefix}main")

    def constant(self, value: str, type: Type) -> Operand:
        """A splat constant, given as a literal of the IR."""
        result = self._fresh(type)
        text = f"dense<{literal_text(value, type.dtype)}>" if type.size else "dense<>"
        self.lines.append(f"{result.name} = stablehlo.constant {text} : {type_text(type)}{self._suffix}")
        return result

    # --- inside ---

    def _emit(self, node: Node, outputs: tuple[Value, ...], names: dict[Value, Operand], number: int) -> None:
        self.outs = node.types
        self.out = node.types[0] if node.types else None  # type: ignore[assignment]
        if self._locations:
            self._suffix = f' loc("{node.scope}/{number}")' if node.scope else f' loc("{number}")'
        lower = self._overrides.get(node.op.name, node.op.lower)
        result = lower(self, *[names[v] for v in node.inputs], **node.params)
        results = (result,) if isinstance(result, Operand) else result
        for value, operand in zip(outputs, results, strict=True):
            names[value] = operand

    def _fresh(self, type: Type) -> Operand:
        self._count += 1
        return Operand(f"%{self._count}", type)

    @staticmethod
    def _generic(name: str, operands: Sequence[Operand], outs: Sequence[Type], attributes: str = "",
                 regions: Sequence[str] = ()) -> str:
        qualified = name if "." in name else f"stablehlo.{name}"
        body = f" ({', '.join(regions)})" if regions else ""
        results = type_text(outs[0]) if len(outs) == 1 else f"({', '.join([type_text(t) for t in outs])})"
        return (f'"{qualified}"({", ".join([x.name for x in operands])})'
                f"{' <{' + attributes + '}>' if attributes else ''}{body} : "
                f"({', '.join([type_text(x.type) for x in operands])}) -> {results}")
