"""What an op is: one frozen record that holds all its rules.

    infer(*types, **params)           -> Type or tuple of Types; raises OpError for operands it cannot take
    reference(*arrays, **params)      -> numpy array or tuple; an independent second opinion on `lower`
    lower(h, *operands, **params)     -> operand or tuple of the emitter `h`; says the op in StableHLO
    vjp(g, out, *inputs, **params)    -> one cotangent or None per input, linear in g
                                         (ops with several outputs get tuples for g and out)
    batch(size, batched, *inputs, **params) -> outputs with a leading batch dimension, where `batched[i]` says
                                         whether inputs[i] has one

Operands are positional, parameters keyword-only and hashable. Primitives do not broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import OpError
from .graph import Graph, Value
from .recorder import record
from .state import everywhere
from .types import Type


class Operand(Protocol):
    """A value in the text being emitted: its SSA name and its type."""

    name: str
    type: Type


class Emitter(Protocol):
    """What a `lower` rule may ask for. `out` and `outs` are the types of the node being lowered."""

    out: Type
    outs: tuple[Type, ...]

    def op(self, name: str, operands: Sequence[Operand], out: Type | None = None, attributes: str = "") -> Operand:
        """One instruction with one result (by default of the node's type). `attributes` is MLIR text `a = 1 : i64, ...`."""

    def ops(self, name: str, operands: Sequence[Operand], outs: Sequence[Type], attributes: str = "",
            regions: Sequence[str] = ()) -> tuple[Operand, ...]:
        """One instruction with any number of results and regions (texts made by `region`)."""

    def region(self, types: Sequence[Type], body: Callable[..., Sequence[Operand] | Operand]) -> str:
        """A region whose block takes `types`; `body(*operands)` emits it and returns what it yields."""

    def graph_region(self, graph: Graph, captured: Sequence[Operand] = (), carried: int | None = None) -> str:
        """A region that holds `graph`; its first `carried` inputs are block arguments, the rest are `captured`."""

    def inline(self, graph: Graph, operands: Sequence[Operand]) -> tuple[Operand, ...]:
        """Emit the nodes of `graph` here."""

    def call(self, module: str, operands: Sequence[Operand], outs: Sequence[Type]) -> tuple[Operand, ...]:
        """Call the function `main` of a module given as text; its functions become private ones of the module printed."""

    def constant(self, value: Any, type: Type) -> Operand:
        """A splat constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """A primitive. Calling it on values records a node and returns its output value(s).

    `exact` says that `reference` gives the same bits as XLA, so that small programs may run on the host;
    `exact_on_integers` that it does so for operands that are not floating (XLA flushes subnormals to zero).
    A `light` op costs next to nothing within the program that reads its result: it is done again rather than kept for a
    gradient. A vjp that `takes_none` gets None, not zeros, for outputs that no gradient flows to. `reads(out, inputs, **params)`
    says which of that many outputs and inputs the vjp uses; without it the vjp is recorded once to find out. Parameters
    named in `of_gradient` say nothing of the types and of the program: neither is remembered by them. Of an op that computes
    some outputs from others, `between(wanted, g, out, *inputs, cut, **params)` gives the whole cotangents of the outputs with
    these numbers: their own in `g`, and what flows to them from other outputs, but not through those in `cut`; and those of the
    inputs if none are wanted. `used_up(flow, wanted, onward, sources, **params)` gives the outputs that have no gradient any
    more when one was taken of those with a True in `flow`, to the `wanted` outputs and to the inputs with a True in `onward`,
    where those with a True in `sources` require one; `leading(wanted, onward, sources, **params)` gives the outputs through
    which a gradient comes there, and `order(k, **params)` sorts outputs so that none is computed from a later one.
    """

    name: str
    infer: Callable[..., Type | tuple[Type, ...]]
    reference: Callable[..., Any]
    lower: Callable[..., Any]
    vjp: Callable[..., Sequence[Value | None]]
    batch: Callable[..., Any]
    exact: bool = False
    exact_on_integers: bool = False
    light: bool = False
    jvp: Callable[..., Any] | None = None
    multiple: bool = False  # returns a tuple even when it has one output
    takes_none: bool = False
    reads: Callable[..., tuple[tuple[bool, ...], tuple[bool, ...]]] | None = None
    of_gradient: frozenset[str] = frozenset()
    between: Callable[..., Sequence[Value | None]] | None = None
    used_up: Callable[..., frozenset[int]] | None = None
    leading: Callable[..., frozenset[int]] | None = None
    order: Callable[..., int] | None = None

    def is_exact(self, types: Sequence[Type]) -> bool:
        """Whether `reference` gives XLA's bits for operands of these types."""
        return self.exact or (self.exact_on_integers and not any(t.dtype.is_inexact for t in types))

    @property
    def differentiable(self) -> bool:
        """Whether a gradient can flow through the op at all."""
        return self.vjp is not zero_gradient

    def key_of(self, params: dict[str, Any]) -> tuple[Any, ...]:
        """The parameters that types and program depend on, in their order."""
        if not self.of_gradient:
            return tuple(params.values())
        return tuple(p for name, p in params.items() if name not in self.of_gradient)

    def infer_types(self, types: tuple[Type, ...], params: dict[str, Any]) -> tuple[Type, ...]:
        """Output types, always as a tuple."""
        inferred = self.infer(*types, **params)
        return inferred if isinstance(inferred, tuple) else (inferred,)

    def __call__(self, *inputs: Value, **params: Any) -> Any:
        """Record the op on `inputs`: its output, or a tuple of them."""
        if everywhere.at_once is not None:
            made = everywhere.at_once(self, inputs, params, None)
            if made is not None:
                return made
        node = record(self, inputs, params)
        outputs = node.output(0) if len(node.types) == 1 and not self.multiple else node.outputs
        if everywhere.debug is not None:
            everywhere.debug(node, (outputs,) if isinstance(outputs, Value) else outputs)
        return outputs

    def on(self, device: str, **params: Any) -> Value:
        """Record an op without operands, whose result lives on `device`."""
        if everywhere.at_once is not None:
            made = everywhere.at_once(self, (), params, device)
            if made is not None:
                return made
        node = record(self, (), params, device)
        value = node.output(0)
        if everywhere.debug is not None:
            everywhere.debug(node, (value,))
        return value

    def __repr__(self) -> str:
        return f"<Op {self.name}>"

    def __reduce__(self) -> tuple[object, ...]:
        return registered, (self.name,)


OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Add an op to the table by which graphs are parsed and tests enumerate."""
    if op.name in OPS:
        raise OpError(f"there is already an op named {op.name}")
    OPS[op.name] = op
    return op


def registered(name: str) -> Op:
    """The op of that name."""
    return OPS[name]


def zero_gradient(g: Any, out: Any, *inputs: Value, **params: Any) -> tuple[None, ...]:
    """The vjp of an op whose derivative is zero wherever it exists, or whose result is not a real quantity."""
    return (None,) * len(inputs)


def no_gradient(reason: str) -> Callable[..., Sequence[Value | None]]:
    """The vjp of an op that has a derivative which is not available; says so when asked."""

    def vjp(g: Any, out: Any, *inputs: Value, **params: Any) -> Sequence[Value | None]:
        raise NotImplementedError(reason)

    return vjp
