"""Control flow and calls: primitives that hold graphs, or that stand for code of somebody else.

Inner graphs take everything they read as inputs: first what the loop carries, then what it captures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..ir import dtypes
from ..ir.constants import full_like, with_leading
from ..ir.errors import requires
from ..ir.graph import Graph, Value
from ..ir.op import Emitter, Op, Operand, no_gradient, register
from ..ir.recorder import capture, grad_mode
from ..ir.types import Type
from ..walks import batch as batching
from ..walks import forward as pushforward

# Modules, not their functions: these stand on the ops, and call the rules of this file only when it is complete.
from ..walks import reverse as autodiff
from ..walks.interpret import interpret
from .elementwise import and_, compare, convert, not_, select, stop_gradient
from .indexing import dynamic_slice
from .reduction import argmax, reduce_or
from .structural import broadcast

FLAG = Type.of((), dtypes.boolean)
COUNTER = Type.of((), dtypes.int32)


# --- Helpers on inner graphs ------------------------------------------------------------------------------------------


def split(values: Sequence[Any], *counts: int) -> Iterator[Sequence[Any]]:
    """Consecutive pieces of those lengths, and the rest."""
    start = 0
    for count in counts:
        yield values[start:start + count]
        start += count
    yield values[start:]


def call(graph: Graph, values: Sequence[Value]) -> list[Value]:
    """Record the nodes of `graph` again, on `values`."""
    return [value for value, _ in batching.batched_call(graph, 1, [False] * len(values), values)]


def closed(function: Callable[..., Any], types: list[Type], device: str, name: str) -> Graph:
    """`function` as a graph; it may use nothing but its arguments."""
    graph, free = capture(function, types, device, name)
    assert not free, f"{name} uses values from outside: {free}"
    return graph


def is_inexact(value: Value) -> bool:
    """Whether the value is of a type that gradients exist for."""
    return value.type.dtype.is_inexact


def backward_graph(graph: Graph, wanted: Sequence[bool], device: str) -> Graph:
    """inputs of `graph`, cotangents of its inexact outputs -> cotangents of its `wanted` inputs.

    It computes the forward values it needs anew.
    """
    count = len(graph.inputs)

    def backward(*values: Value) -> list[Value]:
        inputs, cotangents = values[:count], values[count:]
        for value, flag in zip(inputs, wanted, strict=True):
            value.requires_grad = flag
        with grad_mode(True):
            outputs = [v for v in call(graph, inputs) if is_inexact(v)]
        targets = [v for v in inputs if v.requires_grad]
        found = autodiff.pull_back(outputs, cotangents, targets, create_graph=True)  # it may be differentiated in its turn
        return [found[v] if v in found else full_like(v, 0) for v in targets]

    types = [v.type for v in (*graph.inputs, *filter(is_inexact, graph.outputs))]
    return closed(backward, types, device, f"{graph.name}_backward")


def forward_graph(graph: Graph, wanted: Sequence[bool], device: str) -> Graph:
    """inputs of `graph`, tangents of its `wanted` inputs -> its outputs, tangents of its inexact outputs."""
    count = len(graph.inputs)

    def forward(*values: Value) -> list[Value]:
        inputs, tangents = values[:count], values[count:]
        moving = [v for v, flag in zip(inputs, wanted, strict=True) if flag]
        for value in moving:
            value.requires_grad = True
        with grad_mode(True):
            outputs = call(graph, inputs)
        pushed = pushforward.push_forward(outputs, dict(zip(moving, tangents, strict=True)))
        return [*outputs, *(full_like(v, 0) if t is None else t for v, t in zip(outputs, pushed) if is_inexact(v))]

    types = [v.type for v in (*graph.inputs, *(v for v, flag in zip(graph.inputs, wanted) if flag))]
    return closed(forward, types, device, f"{graph.name}_forward")


def batched_types(graph: Graph, size: int, batched: Sequence[bool]) -> list[Type]:
    """The types of the inputs, with a leading dimension where batched."""
    return [v.type.with_shape((size, *v.type.shape)) if b else v.type
            for v, b in zip(graph.inputs, batched, strict=True)]


def batched_outputs(graph: Graph, size: int, batched: Sequence[bool], device: str) -> list[bool]:
    """Which outputs depend on a batched input."""
    flags: list[bool] = []

    def run(*values: Value) -> list[Value]:
        pairs = batching.batched_call(graph, size, batched, values)
        flags.extend(flag for _, flag in pairs)
        return [value for value, _ in pairs]

    closed(run, batched_types(graph, size, batched), device, graph.name)
    return flags


def settled(body: Graph, size: int, batched: Sequence[bool], carried: int, device: str) -> list[bool]:
    """`batched`, with every carried value that becomes batched in some step."""
    flags = list(batched)
    while True:
        grown = [a or b for a, b in zip(flags[:carried], batched_outputs(body, size, flags, device))]
        if grown == flags[:carried]:
            return flags
        flags[:carried] = grown


def leading_where(size: int, wanted: Sequence[bool], pairs: Sequence[tuple[Value, bool]]) -> list[Value]:
    """The values of `pairs`, with a leading dimension where it is wanted."""
    return [with_leading(size, has, value) if want else value for want, (value, has) in zip(wanted, pairs)]


# --- optimization_barrier ---------------------------------------------------------------------------------------------


def _barrier_infer(*xs: Type) -> tuple[Type, ...]:
    requires(bool(xs), "optimization_barrier", "at least one operand", "none")
    return xs


def _barrier_vjp(g: Sequence[Value], out: Sequence[Value], *xs: Value) -> list[Value | None]:
    moving = [v for v in g if is_inexact(v)]
    held = iter(optimization_barrier(*moving) if moving else ())
    return [next(held) if is_inexact(x) else None for x in xs]


def _barrier_batch(size: int, batched: Sequence[bool], *xs: Value) -> Any:
    return optimization_barrier(*(with_leading(size, b, x) for b, x in zip(batched, xs)))


# optimization_barrier(*xs) -> the operands; XLA moves nothing across, and computes none of them without the others.
optimization_barrier = register(Op(
    "optimization_barrier", _barrier_infer, lambda *xs: xs,
    lambda h, *xs: h.ops("optimization_barrier", xs, [x.type for x in xs]), _barrier_vjp, _barrier_batch, exact=True,
    multiple=True))


# --- custom_call ------------------------------------------------------------------------------------------------------

# What a custom call computes, in numpy, by target: (*arrays) -> tuple of arrays. Filled by who registers the target.
HOST_CALLS: dict[str, Callable[..., tuple[Any, ...]]] = {}


def _custom_call_infer(*xs: Type, target: str, results: tuple[Type, ...], config: str, api_version: int,
                       has_side_effect: bool) -> tuple[Type, ...]:
    requires(bool(target), "custom_call", "a target", repr(target))
    requires(1 <= api_version <= 4, "custom_call", "an api_version of 1 to 4", api_version)
    return results


def _custom_call_reference(*xs: Any, target: str, **params: Any) -> tuple[Any, ...]:
    if target not in HOST_CALLS:
        raise NotImplementedError(f"custom_call has no numpy reference for the target {target!r}: it runs in XLA only, "
                                  f"unless control.HOST_CALLS[{target!r}] says what it computes")
    return HOST_CALLS[target](*xs)


def _custom_call_lower(h: Emitter, *xs: Operand, target: str, results: tuple[Type, ...], config: str, api_version: int,
                       has_side_effect: bool) -> tuple[Operand, ...]:
    attributes = [f'call_target_name = "{target}"', f"has_side_effect = {str(has_side_effect).lower()}",
                  f"api_version = {api_version} : i32"]
    if config:
        attributes.append(f"backend_config = {config}")
    return h.ops("custom_call", xs, results, ", ".join(attributes))


def _custom_call_batch(size: int, batched: Sequence[bool], *xs: Value, target: str, **params: Any) -> Any:
    raise NotImplementedError(f"vmap over the custom call {target!r}: nothing is known of what it computes. "
                              "Call it outside vmap, or write a loop with scan")


# custom_call(*xs; target, results, config, api_version, has_side_effect) -> values of the types `results`.
# `config` is the MLIR text of backend_config: a dictionary for api_version 4, a quoted string before, "" for none.
custom_call = register(Op(
    "custom_call", _custom_call_infer, _custom_call_reference, _custom_call_lower,
    no_gradient("custom_call has no derivative of its own: give it one with autograd.Function"), _custom_call_batch,
    multiple=True))


# --- case -------------------------------------------------------------------------------------------------------------


def _case_infer(index: Type, *operands: Type, branches: tuple[Graph, ...]) -> tuple[Type, ...]:
    requires(index is COUNTER, "case", "a 0-d int32 index", index)
    requires(bool(branches), "case", "at least one branch", "none")
    for branch in branches:
        given, wanted = tuple(v.type for v in branch.inputs), tuple(v.type for v in branch.outputs)
        requires(given == operands, "case", f"branches that take {operands}", given)
        expected = tuple(v.type for v in branches[0].outputs)
        requires(wanted == expected, "case", f"branches that all return {expected}", wanted)
    return tuple(v.type for v in branches[0].outputs)


def _case_reference(index: Any, *operands: Any, branches: tuple[Graph, ...]) -> tuple[Any, ...]:
    last = len(branches) - 1
    return tuple(interpret(branches[index if 0 <= index <= last else last], operands))


def _case_lower(h: Emitter, index: Operand, *operands: Operand, branches: tuple[Graph, ...]) -> tuple[Operand, ...]:
    outs = h.outs
    return h.ops("case", (index,), outs, regions=[h.graph_region(b, operands, 0) for b in branches])


def _case_vjp(g: Sequence[Value], out: Sequence[Value], index: Value, *operands: Value,
              branches: tuple[Graph, ...]) -> list[Value | None]:
    wanted = [x.requires_grad and is_inexact(x) for x in operands]
    backward = tuple(backward_graph(b, wanted, index.device) for b in branches)
    found = iter(case(index, *operands, *filter(is_inexact, g), branches=backward))
    return [None, *(next(found) if flag else None for flag in wanted)]


def _case_jvp(tangents: Sequence[Value | None], index: Value, *operands: Value,
              branches: tuple[Graph, ...]) -> tuple[tuple[Value, ...], tuple[Value | None, ...]]:
    """Outputs and their tangents, by branches that compute both."""
    moves = [t is not None for t in tangents[1:]]
    forward = tuple(forward_graph(b, moves, index.device) for b in branches)
    results = case(index, *operands, *(t for t in tangents[1:] if t is not None), branches=forward)
    outputs, found = results[:len(branches[0].outputs)], iter(results[len(branches[0].outputs):])
    return outputs, tuple(next(found) if is_inexact(v) else None for v in outputs)


def _case_batch(size: int, batched: Sequence[bool], index: Value, *operands: Value,
                branches: tuple[Graph, ...]) -> tuple[Value, ...]:
    flags = list(batched[1:])

    def over_batch(branch: Graph) -> Callable[..., list[Value]]:
        return lambda *values: batching.full_batch(size, batching.batched_call(branch, size, flags, values))

    if not batched[0]:
        return case(index, *operands, branches=tuple(
            closed(over_batch(b), batched_types(b, size, flags), index.device, b.name) for b in branches))
    takes = [compare(index, full_like(index, i), direction="EQ") for i in range(len(branches) - 1)]
    takes.append(_none_of(index, takes))  # the last branch serves indices out of range
    *others, chosen = [over_batch(b)(*_of_those(t, flags, operands)) for b, t in zip(branches, takes)]
    for here, outputs in zip(takes, others):
        chosen = [_choose(here, x, y) for x, y in zip(outputs, chosen)]
    return tuple(chosen)


def _none_of(index: Value, flags: Sequence[Value]) -> Value:
    """Where no flag holds."""
    none = full_like(index, 1, dtypes.boolean)
    for flag in flags:
        none = and_(none, not_(flag))
    return none


def _of_those(here: Value, batched: Sequence[bool], operands: Sequence[Value]) -> list[Value]:
    """What a branch is given for a batch of which only some examples take it: the others get the operands of one that does.

    For where a branch is not taken, its derivative may be NaN or infinite, and no selection of the results makes 0 times
    that zero. In an operand that all examples share it would meet the gradients of those that do take the branch; if none
    does, no gradient flows to it.
    """
    if not any(x.requires_grad and is_inexact(x) for x in operands):
        return list(operands)
    first = argmax(convert(here, dtype=dtypes.int32), axis=0)
    some = reduce_or(here, axes=(0,))
    return [_stand_in(here, first, x) if flag else _if_some(some, x) for flag, x in zip(batched, operands)]


def _stand_in(here: Value, first: Value, x: Value) -> Value:
    """Per example x, or without a gradient the first x whose flag holds."""
    still = stop_gradient(x)
    zero = full_like(first, 0)
    row = dynamic_slice(still, first, *[zero] * (x.type.ndim - 1), sizes=(1, *x.type.shape[1:]))
    return _choose(here, x, broadcast(row, shape=x.type.shape, dims=tuple(range(x.type.ndim))))


def _if_some(some: Value, x: Value) -> Value:
    """x, with a gradient only if some example takes the branch."""
    if not (x.requires_grad and is_inexact(x)):
        return x
    return select(broadcast(some, shape=x.type.shape, dims=()), x, stop_gradient(x))


def _choose(flags: Value, x: Value, y: Value) -> Value:
    """Per example: x where its flag holds, else y."""
    spread = flags if x.type.ndim == 1 else broadcast(flags, shape=x.type.shape, dims=(0,))
    return select(spread, x, y)


# case(index, *operands; branches) -> what branches[index](*operands) returns; the last one if there is none at index.
case = register(Op("case", _case_infer, _case_reference, _case_lower, _case_vjp, _case_batch, jvp=_case_jvp,
                   multiple=True))


# --- while ------------------------------------------------------------------------------------------------------------


def _while_infer(*operands: Type, cond: Graph, body: Graph, carried: int) -> tuple[Type, ...]:
    requires(1 <= carried <= len(operands), "while", f"between 1 and {len(operands)} carried operands", carried)
    for name, graph, outputs in (("condition", cond, (FLAG,)), ("body", body, operands[:carried])):
        given, returned = tuple(v.type for v in graph.inputs), tuple(v.type for v in graph.outputs)
        requires(given == operands, "while", f"a {name} that takes {operands}", given)
        requires(returned == outputs, "while", f"a {name} that returns {outputs}", returned)
    return operands[:carried]


def _while_reference(*operands: Any, cond: Graph, body: Graph, carried: int) -> tuple[Any, ...]:
    state, captured = split(operands, carried)
    while interpret(cond, (*state, *captured))[0]:
        state = interpret(body, (*state, *captured))
    return tuple(state)


def _while_lower(h: Emitter, *operands: Operand, cond: Graph, body: Graph, carried: int) -> tuple[Operand, ...]:
    outs = h.outs
    state, captured = split(operands, carried)
    regions = [h.graph_region(graph, captured, carried) for graph in (cond, body)]
    return h.ops("while", state, outs, regions=regions)


def _while_batch(size: int, batched: Sequence[bool], *operands: Value, cond: Graph, body: Graph,
                 carried: int) -> tuple[Value, ...]:
    """Run until every example is done; those that are done earlier keep their state."""
    device = operands[0].device
    flags = settled(body, size, batched, carried, device)
    each = batched_outputs(cond, size, flags, device)[0]  # whether examples may end after different numbers of steps
    if each:
        flags[:carried] = [True] * carried

    def goes_on(*values: Value) -> list[Value]:
        going = batching.batched_call(cond, size, flags, values)[0][0]
        return [reduce_or(going, axes=(0,)) if each else going]

    def step(*values: Value) -> list[Value]:
        new = leading_where(size, flags, batching.batched_call(body, size, flags, values))
        if not each:
            return new
        going = batching.batched_call(cond, size, flags, values)[0][0]
        return [_choose(going, x, y) for x, y in zip(new, values)]

    types = batched_types(body, size, flags)
    graphs = {name: closed(f, types, device, name) for name, f in (("cond", goes_on), ("body", step))}
    results = while_(*leading_where(size, flags, list(zip(operands, batched))), **graphs, carried=carried)
    return tuple(batching.full_batch(size, list(zip(results, flags))))


def _while_jvp(tangents: Sequence[Value | None], *operands: Value, cond: Graph, body: Graph,
               carried: int) -> tuple[tuple[Value, ...], tuple[Value | None, ...]]:
    """Outputs and their tangents, by one loop that carries both; `tangents` has None for operands that do not move."""
    device = operands[0].device
    moves = [is_inexact(v) and (i < carried or tangents[i] is not None) for i, v in enumerate(operands)]
    moving = [full_like(v, 0) if t is None else t for v, t, flag in zip(operands, tangents, moves) if flag]
    tangent_count = sum(moves[:carried])
    forward = forward_graph(body, moves, device)
    state, captured = split(operands, carried)
    t_state, t_captured = split(moving, tangent_count)

    def goes_on(*values: Value) -> list[Value]:
        now, _, rest, _ = split(values, carried, tangent_count, len(captured))
        return call(cond, (*now, *rest))

    def step(*values: Value) -> list[Value]:
        now, t_now, rest, t_rest = split(values, carried, tangent_count, len(captured))
        return call(forward, (*now, *rest, *t_now, *t_rest))

    inputs = (*state, *t_state, *captured, *t_captured)
    types = [v.type for v in inputs]
    results = while_(*inputs, cond=closed(goes_on, types, device, cond.name),
                     body=closed(step, types, device, forward.name), carried=carried + tangent_count)
    outputs, found = results[:carried], iter(results[carried:])
    return outputs, tuple(next(found) if flag else None for flag in moves[:carried])


# while(*carried, *captured; cond, body, carried) -> the carried operands after `body` ran as long as `cond` held.
while_ = register(Op(
    "while", _while_infer, _while_reference, _while_lower,
    no_gradient("reverse mode through while_loop needs to know how many steps to undo: use scan, or give while_loop "
                "a bound with max_steps"),
    _while_batch, jvp=_while_jvp, multiple=True))
