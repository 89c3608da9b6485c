"""`custom_gradient`: values computed already, with a gradient rule of somebody else.

The forward computation is recorded as ordinary nodes through which no gradient flows; this op passes its results on and
knows how cotangents go around it. `autograd.Function`, checkpointing and hooks are rules of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..ir.checks import Check, note
from ..ir.constants import full_like, with_leading
from ..ir.errors import requires
from ..ir.graph import Graph, Value, graphs_in
from ..ir.op import Op, Operand, register
from ..ir.recorder import close, grad_mode, placeholder, recording
from ..ir.types import Type
from ..walks import batch as batching

# Modules, not their functions: these two stand on the ops, and are called by the rules of this file only.
from ..walks import reverse as autodiff
from .elementwise import alias
from .reduction import reduce_sum

Flags = tuple[bool, ...]


class Rule(Hashable, Protocol):
    """A gradient rule. Rules that compare equal do the same: programs are cached by them."""

    @property
    def name(self) -> str:
        """What errors and `grad_fn` call it."""

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """One cotangent or None per input. None in `g` stands for an output that no gradient flows to."""

    def push_forward(self, tangents: Sequence[Value | None], out: Sequence[Value],
                     inputs: Sequence[Value]) -> Sequence[Value | None]:
        """One tangent or None per output; `tangents` has None for inputs that do not move."""

    def reads(self, out: int, inputs: int) -> tuple[Flags, Flags]:
        """Which outputs and which inputs `pull_back` uses the values of."""

    def mapped(self, size: int, batched: Flags, inputs: Sequence[Value]) -> Sequence[Value] | None:
        """Outputs over a batch, all with a leading dimension, if the rule brings a batch rule of its own."""


def _infer(*xs: Type, outputs: int, rule: Rule) -> tuple[Type, ...]:
    requires(0 < outputs <= len(xs), "custom_gradient", f"between 1 and {len(xs)} outputs", outputs)
    return xs[len(xs) - outputs:]


def _lower(h: Any, *xs: Operand, outputs: int, rule: Rule) -> tuple[Operand, ...]:
    return xs[len(xs) - outputs:]


def _vjp(g: Sequence[Value | None], out: Sequence[Value], *xs: Value, outputs: int, rule: Rule) -> list[Value | None]:
    return [*rule.pull_back(g, out, xs[:-outputs]), *[None] * outputs]


def _jvp(tangents: Sequence[Value | None], *xs: Value, outputs: int,
         rule: Rule) -> tuple[Sequence[Value], Sequence[Value | None]]:
    out = xs[-outputs:]
    return out, rule.push_forward(tangents[:-outputs], out, xs[:-outputs])


def _batch(size: int, batched: Sequence[bool], *xs: Value, outputs: int, rule: Rule) -> tuple[Value, ...]:
    inputs, flags = xs[:-outputs], tuple(batched[:-outputs])
    own = rule.mapped(size, flags, inputs)
    if own is not None:
        return tuple(own)
    out = [with_leading(size, b, x) for b, x in zip(batched[-outputs:], xs[-outputs:])]
    return custom_gradient(*inputs, *out, outputs=outputs, rule=Mapped(rule, size, flags))


def _reads(out: int, inputs: int, *, outputs: int, rule: Rule) -> tuple[Flags, Flags]:
    outs, ins = rule.reads(out, inputs - outputs)
    return outs, (*ins, *[False] * outputs)


# custom_gradient(*inputs, *results; outputs, rule) -> the last `outputs` operands; cotangents flow to inputs by `rule`.
custom_gradient = register(Op(
    "custom_gradient", _infer, lambda *xs, outputs, rule: xs[len(xs) - outputs:], _lower, _vjp, _batch, exact=True,
    jvp=_jvp, multiple=True, takes_none=True, reads=_reads, of_gradient=frozenset({"rule"})))


@dataclass(frozen=True)
class Mapped:
    """A rule over a batch: what it records for one example, replayed with the ops' batch rules."""

    rule: Rule
    size: int
    batched: Flags

    @property
    def name(self) -> str:
        """The name of the rule for one example."""
        return self.rule.name

    @property
    def of_user(self) -> bool:
        """As the rule for one example."""
        return getattr(self.rule, "of_user", False)

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """The examples' cotangents; those of an input that all examples share are summed."""
        found = self._each(self.rule.pull_back, g, out, inputs)
        return [None if c is None else self._of_input(c, b) for c, b in zip(found, self.batched)]

    def push_forward(self, tangents: Sequence[Value | None], out: Sequence[Value],
                     inputs: Sequence[Value]) -> Sequence[Value | None]:
        """The examples' tangents."""
        spread = [None if t is None else with_leading(self.size, b, t) for t, b in zip(tangents, self.batched)]
        found = self._each(self.rule.push_forward, spread, out, inputs)
        return [None if t is None else with_leading(self.size, t[1], t[0]) for t in found]

    def reads(self, out: int, inputs: int) -> tuple[Flags, Flags]:
        """As the rule for one example."""
        return self.rule.reads(out, inputs)

    def mapped(self, size: int, batched: Flags, inputs: Sequence[Value]) -> None:
        """Another batch dimension is another `Mapped`."""
        return None

    def _of_input(self, found: tuple[Value, bool], batched: bool) -> Value:
        every = with_leading(self.size, found[1], found[0])
        return every if batched else reduce_sum(every, axes=(0,))

    def _each(self, run: Any, moving: Sequence[Value | None], out: Sequence[Value],
              inputs: Sequence[Value]) -> list[tuple[Value, bool] | None]:
        """`run` on stand-ins for one example, then on the batch; each result says whether it has the dimension."""
        given = [v for v in moving if v is not None]
        values = [*given, *out, *inputs]
        flags = [*[True] * (len(given) + len(out)), *self.batched]
        examples = [_example(v, b) for v, b in zip(values, flags)]
        with recording() as recorder:
            one = iter(examples[:len(given)])
            rest = examples[len(given):]
            results = run([None if v is None else next(one) for v in moving], rest[:len(out)], rest[len(out):])
        kept = (*(r for r in results if r is not None), *(check.report for check in recorder.checks))
        graph, free = close(examples, recorder.nodes, kept, self.name)
        pairs = iter(batching.batched_call(graph, self.size, [*flags, *[False] * len(free)], [*values, *free]))
        made = [None if r is None else next(pairs) for r in results]
        for check in recorder.checks:
            note(Check(next(pairs)[0], check.sites))
        return made


def _example(value: Value, batched: bool) -> Value:
    kind = value.type.with_shape(value.type.shape[1:]) if batched else value.type
    return placeholder(kind, value.device, value.requires_grad)


class PassedOn:
    """The rule of an identity: cotangents and tangents go through as they are. Others derive from it."""

    name = "Identity"
    of_user = False  # whether it asks users' code, which may do something each time

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """g itself."""
        return g

    def push_forward(self, tangents: Sequence[Value | None], out: Sequence[Value],
                     inputs: Sequence[Value]) -> Sequence[Value | None]:
        """The tangents themselves."""
        return tangents

    def reads(self, out: int, inputs: int) -> tuple[Flags, Flags]:
        """Nothing."""
        return (False,) * out, (False,) * inputs

    def mapped(self, size: int, batched: Flags, inputs: Sequence[Value]) -> Sequence[Value] | None:
        """No batch rule of its own."""
        return None


def runs_users_code(graph: Graph) -> bool:
    """Whether its gradient asks hooks or functions of users, which may do something each time."""
    return any(node.hooks or getattr(node.params.get("rule"), "of_user", False)
               or any(map(runs_users_code, graphs_in(node.params.values()))) for node in graph.nodes)


def zero_where_none(g: Sequence[Value | None], out: Sequence[Value]) -> list[Value]:
    """The cotangents, with zeros where no gradient flows."""
    return [full_like(v, 0) if c is None else c for c, v in zip(g, out, strict=True)]


def transposed(rule: Rule, tangents: Sequence[Value | None], out: Sequence[Value],
               inputs: Sequence[Value]) -> list[Value | None]:
    """The push-forward of a rule that says only how to pull back: this is linear, and is pulled back itself."""
    moving = [t is not None for t in tangents]
    with grad_mode(True):
        anywhere = [full_like(v, 0) for v in out]
        for value in anywhere:
            value.requires_grad = True
        found = rule.pull_back(anywhere, out, [_variable(v) if m else v for v, m in zip(inputs, moving)])
        ends = [(c, t) for c, t in zip(found, tangents) if c is not None and t is not None]
        pushed = autodiff.pull_back([c for c, _ in ends], [t for _, t in ends], anywhere, create_graph=True)
    return [pushed.get(v) for v in anywhere]


def _variable(value: Value) -> Value:
    made: Value = alias(value)
    made.requires_grad = True
    return made
