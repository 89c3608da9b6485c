"""The checks of a step: one output that reports on all of them, and what becomes of state when one fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..ir.checks import Check, Site
from ..ir.constants import full_like
from ..ir.graph import Graph, Node, Value, graphs_in
from ..ir.recorder import grad_mode
from ..ir.state import state
from ..ops.checks import joined
from ..ops.elementwise import compare, select
from ..ops.structural import broadcast, reshape, slice_
from .trace import Trace

KEPT = "State was left as it was before that call"
APPLIED = ("The update of state was applied all the same: the step writes into parts of tensors that it donates. "
           "jit(donate=False) keeps state")

_UPDATES = frozenset({"scatter", "dynamic_update_slice"})
# Operations that pass on, or choose among, whole tensors, and which operands these are.
_PASSING = {"alias": (0,), "reshape": (0,), "stop_gradient": (0,), "transpose": (0,), "convert": (0,), "with_value": (1,),
            "select": (1, 2)}


@dataclass(frozen=True)
class Checked:
    """The report is output `output` of the step, on its `sites`; `keeps` says whether a failing run leaves state as it was.

    `note` is said beside the error.
    """

    output: int
    sites: tuple[Site, ...]
    keeps: bool
    note: str


def report_of(trace: Trace, more: bool) -> Check | None:
    """All checks of a trace as one, recorded at its end, when it is known what it writes; whether `more` will follow."""
    checks, trace.recorder.checks = trace.recorder.checks, []
    if checks or more:
        trace.capture_written()
    return joined(checks) if checks else None


def guarded(checks: Sequence[Check], inputs: Sequence[Value], outputs: list[Value], rewritten: int,
            arguments: Iterable[tuple[int, int]], always: bool, name: str) -> Checked:
    """Make the report on all checks an output, and let a failing run leave what it writes as it was.

    The first `rewritten` of `inputs` and `outputs` are state; `arguments` are numbers of inputs and of the outputs that
    are written to them. To keep state that is written in parts, in place, costs a copy of all of it: unless it is to be
    kept `always`, it is not.
    """
    check = joined(checks)
    keeps = always or not any(map(_is_update, outputs[:rewritten], inputs))
    pairs = [*(zip(range(rewritten), range(rewritten)) if keeps else ()), *arguments]
    failed = _failed(check.report)
    for before, after in pairs:
        outputs[after] = _selected(failed, inputs[before], outputs[after])
    outputs.append(check.report)
    state = f". {KEPT if keeps else APPLIED}" if pairs or not keeps else ""
    return Checked(len(outputs) - 1, check.sites, keeps, f"; in {name}{state}")


def _failed(report: Value) -> Value:
    code = reshape(slice_(report, start=(0,), limit=(1,), stride=(1,)), shape=())
    return compare(code, full_like(code, 0), direction="NE")


def _selected(failed: Value, before: Value, after: Value) -> Value:
    if before is after or before.type is not after.type or before.device != failed.device:
        return after
    shape = before.type.shape
    with grad_mode(state.grad and after.requires_grad):  # history is that of the step alone: else nothing could be donated
        chosen: Value = select(broadcast(failed, shape=shape, dims=()) if shape else failed, before, after)
    return chosen


def _is_update(after: Value, before: Value) -> bool:
    """Whether a value is the old one with parts replaced in place."""
    stack, seen = [after], set[Value]()
    while stack:
        value = stack.pop()
        node = value.node
        if node is None or value in seen or value is before:
            continue
        seen.add(value)
        if node.op.name in _UPDATES or _has_updates(node):
            return True
        stack += [node.inputs[i] for i in _PASSING.get(node.op.name, ())]
    return False


def _has_updates(node: Node) -> bool:
    """Whether a body of control flow holds an update."""
    return any(n.op.name in _UPDATES or _has_updates(n) for graph in _graphs(node) for n in graph.nodes)


def _graphs(node: Node) -> Iterable[Graph]:
    return graphs_in(node.params.values()) if node.params else ()
