"""`scan`: a loop over the first axis of its operands, whose number of steps is known, so that it can be gone back through.

The gradient is a scan in the other direction. Two things make it cheap: what a step needs of the forward pass is read
from stacked results of the forward scan where it is among them (`saving` puts it there), and a product that is summed
over all steps, as the gradient of a weight is, becomes one product of stacked operands after the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.constants import full_like, literal
from ..ir.errors import requires
from ..ir.graph import Graph, Node, Value
from ..ir.op import Emitter, Op, Operand, register
from ..ir.recorder import grad_mode, placeholder, recording
from ..ir.state import state as thread
from ..ir.types import Type
from ..walks import batch as batching
from ..walks import reverse as autodiff
from ..walks.interpret import interpret
from ..walks.kept import smallest_to_keep
from .conditions import compared
from .contraction import dot
from .control import (
    COUNTER,
    batched_types,
    call,
    closed,
    forward_graph,
    is_inexact,
    leading_where,
    settled,
    split,
)
from .elementwise import add
from .structural import Ints, array_attribute, transpose

# --- Types, numpy, StableHLO ------------------------------------------------------------------------------------------


def _scan_infer(*operands: Type, body: Graph, carried: int, scanned: int, length: int,
                reverse: bool) -> tuple[Type, ...]:
    requires(carried >= 0 and scanned >= 0 and carried + scanned <= len(operands), "scan",
             f"carried and scanned counts within {len(operands)} operands", (carried, scanned))
    state, xs, captured = split(operands, carried, scanned)
    requires(all(x.ndim > 0 and x.shape[0] == length for x in xs), "scan", f"scanned operands of length {length}", xs)
    wanted = (*state, *(x.with_shape(x.shape[1:]) for x in xs), *captured)
    given, returned = tuple(v.type for v in body.inputs), tuple(v.type for v in body.outputs)
    requires(given == wanted, "scan", f"a body that takes {wanted}", given)
    requires(returned[:carried] == tuple(state), "scan", f"a body that returns {state} first", returned)
    return (*state, *(y.with_shape((length, *y.shape)) for y in returned[carried:]))


def _scan_reference(*operands: Any, body: Graph, carried: int, scanned: int, length: int,
                    reverse: bool) -> tuple[Any, ...]:
    state, xs, captured = split(operands, carried, scanned)
    kinds = [v.type for v in body.outputs[carried:]]
    stacked = [np.zeros((length, *t.shape), t.dtype.numpy) for t in kinds]
    for i in reversed(range(length)) if reverse else range(length):
        results = interpret(body, (*state, *(x[i] for x in xs), *captured))
        state = results[:carried]
        for stack, y in zip(stacked, results[carried:]):
            stack[i] = y
    return (*state, *stacked)


def _scan_lower(h: Emitter, *operands: Operand, body: Graph, carried: int, scanned: int, length: int,
                reverse: bool) -> tuple[Operand, ...]:
    """A while that counts; scanned operands are read, and stacked results written, at the counter."""
    outs = h.outs
    state, xs, captured = split(operands, carried, scanned)
    stacks = [h.constant(literal(0, t.dtype), t) for t in outs[carried:]]
    if length == 0:
        return (*state, *stacks)

    def goes_on(i: Operand, *rest: Operand) -> Operand:
        return compared(h, "LT", i, h.constant(str(length), COUNTER))

    def step(i: Operand, *rest: Operand) -> list[Operand]:
        before, filled = split(rest, carried)
        at = h.op("subtract", (h.constant(str(length - 1), COUNTER), i), COUNTER) if reverse else i
        results = h.inline(body, (*before, *(_row(h, x, at) for x in xs), *captured))
        filled = [_with_row(h, stack, y, at) for stack, y in zip(filled, results[carried:])]
        return [h.op("add", (i, h.constant("1", COUNTER)), COUNTER), *results[:carried], *filled]

    types = (COUNTER, *outs)
    regions = [h.region(types, goes_on), h.region(types, step)]
    return h.ops("while", (h.constant("0", COUNTER), *state, *stacks), types, regions=regions)[1:]


def _row(h: Emitter, x: Operand, at: Operand) -> Operand:
    """x[at]."""
    shape = x.type.shape
    part = h.op("dynamic_slice", (x, at, *_origin(h, x.type.ndim - 1)), x.type.with_shape((1, *shape[1:])),
                f"slice_sizes = {array_attribute((1, *shape[1:]))}")
    return h.op("reshape", (part,), x.type.with_shape(shape[1:]))


def _with_row(h: Emitter, x: Operand, row: Operand, at: Operand) -> Operand:
    """x with x[at] replaced by `row`."""
    part = h.op("reshape", (row,), x.type.with_shape((1, *x.type.shape[1:])))
    return h.op("dynamic_update_slice", (x, part, at, *_origin(h, x.type.ndim - 1)), x.type)


def _origin(h: Emitter, ndim: int) -> list[Operand]:
    return [h.constant("0", COUNTER)] * ndim if ndim else []


# --- Batching ---------------------------------------------------------------------------------------------------------


def _scan_batch(size: int, batched: Sequence[bool], *operands: Value, body: Graph, carried: int, scanned: int,
                length: int, reverse: bool) -> tuple[Value, ...]:
    """The batch dimension of scanned operands and of stacked results goes behind the one that is scanned."""
    device = operands[0].device
    flags = settled(body, size, batched, carried, device)
    wanted = [*flags[:carried], *[True] * (len(body.outputs) - carried)]

    def step(*values: Value) -> list[Value]:
        return leading_where(size, wanted, batching.batched_call(body, size, flags, values))

    state, xs, captured = split(operands, carried, scanned)
    state = leading_where(size, flags, list(zip(state, batched)))
    xs = [_swapped(x) if b else x for x, b in zip(xs, batched[carried:])]
    graph = closed(step, batched_types(body, size, flags), device, body.name)
    results = scan(*state, *xs, *captured, body=graph, carried=carried, scanned=scanned, length=length, reverse=reverse)
    final = batching.full_batch(size, list(zip(results[:carried], flags)))
    return (*final, *(_swapped(y) for y in results[carried:]))


def _swapped(x: Value) -> Value:
    """The first two dimensions exchanged."""
    swapped: Value = transpose(x, permutation=(1, 0, *range(2, x.type.ndim)))
    return swapped


# --- Gradient ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Linearized:
    """A body recorded again, and its backward: `results` are the cotangents of the wanted inputs.

    `cotangents` are those of the outputs that gradients come from; the first `forward` of `nodes` are the body's.
    """

    inputs: list[Value]
    outputs: list[Value]
    cotangents: list[Value]
    results: list[Value]
    nodes: list[Node]
    forward: int

    def varying(self, steady: Iterable[Value]) -> set[Value]:
        """What differs from step to step, if of the inputs only `steady` do not."""
        found = {*self.inputs, *self.cotangents} - set(steady)
        for node in self.nodes:
            if any(v in found for v in node.inputs):
                found.update(node.outputs)
        return found

    def needed(self, roots: Iterable[Value], known: Iterable[Value]) -> list[Node]:
        """The nodes that compute `roots` from `known` values."""
        missing, known, kept = set(roots), set(known), []
        missing -= known
        for node in reversed(self.nodes):
            if any(v in missing for v in node.outputs):
                kept.append(node)
                missing.update(v for v in node.inputs if v not in known)
        return kept[::-1]

    def read(self, roots: Sequence[Value], known: Iterable[Value]) -> set[Value]:
        """What computing `roots` from `known` values looks at."""
        return {*roots, *(v for node in self.needed(roots, known) for v in node.inputs)}


def linearized(body: Graph, wanted: Sequence[bool], flows: Sequence[bool], device: str) -> Linearized:
    """The body and its backward, from the outputs that `flows` marks to the `wanted` inputs."""
    inputs = [placeholder(v.type, device, flag) for v, flag in zip(body.inputs, wanted, strict=True)]
    with recording() as recorder:
        with grad_mode(True):
            outputs = call(body, inputs)
        forward = len(recorder.nodes)
        ends = [v for v, flag in zip(outputs, flows, strict=True) if flag]
        cotangents = [placeholder(v.type, device) for v in ends]
        targets = [v for v in inputs if v.requires_grad]
        found = autodiff.pull_back(ends, cotangents, targets, create_graph=True)  # it may be differentiated in its turn
        results = [found[v] if v in found else full_like(v, 0) for v in targets]
    return Linearized(inputs, outputs, cotangents, results, recorder.nodes, forward)


def _wanted(operands: Sequence[Value], carried: int) -> list[bool]:
    """Which operands a gradient is computed for: all that are carried, since each step's depends on the next one's."""
    return [is_inexact(v) and (i < carried or v.requires_grad) for i, v in enumerate(operands)]


def saving(*operands: Value, body: Graph, carried: int, scanned: int, length: int, reverse: bool) -> Sequence[Value]:
    """`scan`, which also stacks what its gradient will read, if one can flow: then no step is computed twice."""
    params = {"carried": carried, "scanned": scanned, "length": length, "reverse": reverse}
    wanted = _wanted(operands, carried)
    flowing = [is_inexact(v) for v in body.outputs]
    if not (thread.grad and any(flowing) and any(v.requires_grad and flag for v, flag in zip(operands, wanted))):
        plain: Sequence[Value] = scan(*operands, body=body, **params)
        return plain
    parts = linearized(body, wanted, flowing, operands[0].device)
    captured = parts.inputs[carried + scanned:]
    varying = parts.varying(captured)
    made = {*parts.inputs[:carried], *(v for node in parts.nodes[:parts.forward] for v in node.outputs)} & varying
    backward = parts.needed(parts.results, made)
    read = dict.fromkeys(v for v in (*(v for node in backward for v in node.inputs), *parts.results) if v in made)
    extra = smallest_to_keep(parts.nodes[:parts.forward], read, set(parts.outputs[carried:]), passing=set(parts.inputs[:carried]))
    graph = Graph(parts.inputs, parts.nodes[:parts.forward], [*parts.outputs, *extra], body.name)
    results: Sequence[Value] = scan(*operands, body=graph, **params)
    return results[:len(body.outputs)]


def _scan_vjp(g: Sequence[Value], out: Sequence[Value], *operands: Value, body: Graph, carried: int, scanned: int,
              length: int, reverse: bool) -> list[Value | None]:
    """A scan in the other direction that carries the cotangents of the carried values.

    It also carries the sums of those of captured values, as far as they are not products that can wait.
    """
    wanted = _wanted(operands, carried)
    flows = [is_inexact(v) and (i < carried or not _is_zero(v)) for i, v in enumerate(g)]
    parts = linearized(body, wanted, flows, operands[0].device)
    g_state, g_ys = ([v for v, flag in zip(*piece) if flag] for piece in zip(split(g, carried), split(flows, carried)))
    before, g_xs, g_captured = split(parts.results, len(g_state), sum(wanted[carried:carried + scanned]))
    captured = parts.inputs[carried + scanned:]
    stacks = {value: rows for value, rows in zip(parts.outputs[carried:], out[carried:]) if value not in captured}
    stacks.update(zip(parts.inputs[carried:], operands[carried:carried + scanned]))
    stacks.update(zip(parts.cotangents[len(g_state):], g_ys))
    varying = parts.varying(captured)
    products = [_products(v, varying) for v in g_captured]
    summed = [v for v, terms in zip(g_captured, products) if terms is None]
    factors = [v for terms in products for node, _ in terms or () for v in node.inputs]
    rows = list(dict.fromkeys([*g_xs, *(v for v in factors if v not in stacks)]))
    if parts.read([*before, *summed, *rows], stacks) & {v for v in parts.inputs[:carried] if v not in stacks}:
        stacks.update(zip(parts.inputs, _history(operands, body, carried, scanned, length, reverse)))
    graph, given, used = _backward_step(parts, captured, before, summed, rows, stacks)
    results = scan(*g_state, *(full_like(v, 0) for v in summed), *(stacks[v] for v in given),
                   *(operands[carried + scanned + i] for i in used), body=graph, carried=len(g_state) + len(summed),
                   scanned=len(given), length=length, reverse=not reverse)
    first, sums, last = split(results, len(g_state), len(summed))
    stacks.update(zip(rows, last))
    rest = iter(sums)
    found = iter([*first, *(stacks[v] for v in g_xs),
                  *(next(rest) if terms is None else _after_the_loop(terms, stacks) for terms in products)])
    return [next(found) if flag else None for flag in wanted]


def _scan_jvp(tangents: Sequence[Value | None], *operands: Value, body: Graph, carried: int, scanned: int, length: int,
              reverse: bool) -> tuple[tuple[Value, ...], tuple[Value | None, ...]]:
    """Outputs and their tangents, by one loop that carries both; `tangents` has None for operands that do not move."""
    moves = [is_inexact(v) and (i < carried or t is not None) for i, (v, t) in enumerate(zip(operands, tangents, strict=True))]
    moving = [full_like(v, 0) if t is None else t for v, t, flag in zip(operands, tangents, moves) if flag]
    more, rows = sum(moves[:carried]), sum(moves[carried:carried + scanned])
    state, xs, captured = split(operands, carried, scanned)
    t_state, t_xs, t_captured = split(moving, more, rows)
    stacked = len(body.outputs) - carried
    forward = forward_graph(body, moves, operands[0].device)

    def step(*values: Value) -> list[Value]:
        now, t_now, row, t_row, rest, t_rest = split(values, carried, more, scanned, rows, len(captured))
        new, ys, t_new, t_ys = split(call(forward, (*now, *row, *rest, *t_now, *t_row, *t_rest)), carried, stacked, more)
        return [*new, *t_new, *ys, *t_ys]

    kinds = [v.type.with_shape(v.type.shape[1:]) for v in (*xs, *t_xs)]
    types = [*(v.type for v in (*state, *t_state)), *kinds, *(v.type for v in (*captured, *t_captured))]
    results = scan(*state, *t_state, *xs, *t_xs, *captured, *t_captured,
                   body=closed(step, types, operands[0].device, forward.name), carried=carried + more,
                   scanned=scanned + rows, length=length, reverse=reverse)
    new, t_new, ys, t_ys = split(results, carried, more, stacked)
    outputs, found = (*new, *ys), iter((*t_new, *t_ys))
    return outputs, tuple(next(found) if is_inexact(v) else None for v in outputs)


def _backward_step(parts: Linearized, captured: Sequence[Value], before: Sequence[Value], summed: Sequence[Value],
                   rows: Sequence[Value], known: Iterable[Value]) -> tuple[Graph, list[Value], list[int]]:
    """The body of the backward scan: (cotangents after, sums, known rows, captured) -> (`before`, new sums, `rows`).

    Also which of the `known` rows it takes, and the positions of the `captured` values.
    """
    roots = [*before, *summed, *rows]
    read = parts.read(roots, known)
    given = [v for v in known if v in read]
    used = [i for i, v in enumerate(captured) if v in read]
    sums = [placeholder(v.type, v.device) for v in summed]
    with recording() as recorder:
        totals = [add(a, b) for a, b in zip(sums, summed)]
    inputs = [*parts.cotangents[:len(before)], *sums, *given, *(captured[i] for i in used)]
    nodes = [*parts.needed(roots, known), *recorder.nodes]
    return Graph(inputs, nodes, [*before, *totals, *rows], "scan_backward"), given, used


def _is_zero(value: Value) -> bool:
    """Whether the value is known to be zero: the cotangent of an output that nothing depends on."""
    node = value.node
    return node is not None and node.op.name == "constant" and node.params["value"] == literal(0, value.type.dtype)


def _history(operands: Sequence[Value], body: Graph, carried: int, scanned: int, length: int,
             reverse: bool) -> Sequence[Value]:
    """The carried values at the start of each step, stacked, by running forward again."""

    def step(*values: Value) -> list[Value]:
        return [*call(body, values)[:carried], *values[:carried]]

    graph = closed(step, [v.type for v in body.inputs], operands[0].device, f"{body.name}_history")
    results: Sequence[Value] = scan(*operands, body=graph, carried=carried, scanned=scanned, length=length,
                                    reverse=reverse)
    return results[carried:]


# A product whose operands vary from step to step, and what is done to it before it is added up: transposes, last first.
Product = tuple[Node, list[Node]]


def _products(value: Value, varying: set[Value]) -> list[Product] | None:
    """`value` as a sum of products of varying operands; None if it is something else."""
    later: list[Node] = []
    node = value.node
    while node is not None and node.op is transpose:
        later.append(node)
        node = node.inputs[0].node
    if node is not None and node.op is dot and all(v in varying for v in node.inputs):
        return [(node, later)]
    if node is None or node.op is not add or later:
        return None
    terms = [_products(v, varying) for v in node.inputs]
    return None if any(t is None for t in terms) else [product for t in terms for product in t or ()]


def _after_the_loop(products: Sequence[Product], stacked: dict[Value, Value]) -> Value:
    """The sum over all steps of a sum of products: the steps are one more contracted axis."""

    def up(axes: Ints) -> Ints:
        return tuple(a + 1 for a in axes)

    total: Value | None = None
    for node, later in products:
        (i, j), batch = node.params["contract"], node.params["batch"]
        term = dot(*(stacked[v] for v in node.inputs), contract=((0, *up(i)), (0, *up(j))),
                   batch=(up(batch[0]), up(batch[1])), dtype=node.params["dtype"])
        for turn in reversed(later):
            term = transpose(term, **turn.params)
        total = term if total is None else add(total, term)
    assert total is not None
    return total


# scan(*carried, *scanned, *captured; body, carried, scanned, length, reverse) -> final carried values, stacked results.
# body(*carried, *rows, *captured) -> (*carried, *results) runs once for each index of the scanned operands' first axis.
scan = register(Op("scan", _scan_infer, _scan_reference, _scan_lower, _scan_vjp, _scan_batch, jvp=_scan_jvp,
                   multiple=True))
