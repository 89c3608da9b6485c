"""What a trace says of the step: where the inputs of its program come from, and where the outputs go."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..functions.autocast import Decision
from ..functions.defaults import Defaults
from ..guards.identity import MISSING
from ..guards.outside import roots
from ..guards.owners import Owner
from ..ir.checks import Check
from ..ir.dtypes import dtype
from ..ir.graph import Graph, Value
from ..ir.recorder import placeholder
from ..ir.source import describe, user_position
from ..ir.state import Ambient, state
from ..ir.types import Type
from ..tensor.packs import GradientPack, LeftGradient, Pack
from ..tensor.scalar import Host, Scalar, keyed
from ..tensor.storage import Storage
from ..tensor.tensor import _OWN, Tensor
from ..walks.simplify import simplify
from .alike import Update
from .checked import Checked, guarded
from .effects import Effect, Effects
from .guard import Guard
from .host import Evaluation
from .nans import nan_checks
from .nests import Nest, Slot, is_plain
from .packing import FEWEST_GRADIENTS, LIMIT, packed_graph, packs_for
from .reports import Line
from .results import Template
from .signature import Signature
from .standins import StandIns, held_by
from .tape import Tape, has_history, inner_leaves, kept_for_backward
from .trace import Trace, check_closed


@dataclass(frozen=True)
class Writes:
    """What a call writes beside the state that it also read; numbers count the outputs of the step.

    `created` are storages that are written without being read, `gradients` what `.grad` of a tensor (or of the argument
    with that number) becomes, `arguments` what is written into arguments, `leaves` which of them, and which tensors outside,
    become leaves or stop being some, `containers` what those of the arguments that were changed hold then (or, if `grown`, get
    more), `outside` what becomes of other things, `marks` of attributes that arguments have of users (MISSING for what is gone),
    `seen_gradients` the templates of `.grad`s that leave another way, too, `ambient` settings and what they are set to. `left`
    are gradients with their outputs of the program; a step that is compiled has them apart from `gradients`.
    """

    created: tuple[tuple[Storage, int], ...]
    gradients: tuple[tuple[Tensor | int, int | None], ...]
    arguments: tuple[tuple[int, int], ...]
    leaves: tuple[tuple[Tensor | int, bool], ...]
    containers: tuple[tuple[int, dict[Any, Any]], ...] = ()
    grown: frozenset[int] = frozenset()
    outside: tuple[Effect, ...] = ()
    marks: tuple[tuple[int, dict[str, Any]], ...] = ()
    seen_gradients: tuple[tuple[Tensor | int, Any], ...] = ()
    ambient: tuple[tuple[Ambient, Any], ...] = ()
    in_place: tuple[tuple[Storage, int], ...] = ()  # how often a call writes to these, as `_version` has it
    left: tuple[tuple[LeftGradient, int], ...] = ()

    @property
    def nothing_else(self) -> bool:
        """Whether state is all that is written."""
        return not (self.gradients or self.seen_gradients or self.leaves or self.containers or self.outside or self.marks
                    or self.ambient)


@dataclass(frozen=True)
class Plan:
    """Where the inputs of a program come from, and where its outputs go.

    Inputs in order: `packs` (written; `gradient_packs` are among them), `read_packs`, the loose `state` (the first
    `rewritten` of which are written), arguments, numbers of the types `numbers` (those that the `evaluation` gives first).
    `gradients` are the states that are the `.grad` of a tensor, `slots` those that are bound anew: looked up at each call,
    since there is another tensor then; so are the `.grad`s of `passed`, which leave the step as the tensors that they are.

    A step has outputs (the first `written` are its state), each of which is the output `positions[i]` of the program,
    or -1 if it travels in a pack or is a gradient left behind; `targets` are those of the loose state. `types` are those of
    the program's outputs.
    `donated` says which input's memory which output takes over. `reports` are told after each run, with the numbers of
    their outputs; `checked` is the output that says which check failed. `template` is the result. `decisions` are autocast's,
    `unread` arguments that are state.
    """

    name: str
    graph: Graph
    device: str
    state: tuple[Storage | None, ...]
    rewritten: int
    written: int
    gradients: Mapping[int, Tensor]
    slots: Mapping[int, Slot]
    passed: tuple[Tensor, ...]
    numbers: tuple[Type, ...]
    evaluation: Evaluation | None
    positions: tuple[int, ...]
    targets: tuple[int, ...]
    types: tuple[Type, ...]
    donated: Mapping[int, int]
    writes: Writes
    template: Any
    reports: tuple[tuple[Line, tuple[int, ...]], ...]
    checked: Checked | None
    tape: Tape | None
    decisions: tuple[Decision, ...] = ()
    unread: tuple[int, ...] = ()
    packs: tuple[Pack, ...] = ()
    gradient_packs: tuple[GradientPack, ...] = ()
    read_packs: tuple[Pack, ...] = ()

    def storages(self) -> Sequence[Storage]:
        """The storages of the loose state as it is now."""
        if not self.gradients and not self.slots:
            return self.state  # type: ignore[return-value]
        storages = list(self.state)
        for i, slot in self.slots.items():
            storages[i] = slot.storage()
        for i, tensor in self.gradients.items():
            storages[i] = tensor._grad._storage  # type: ignore[union-attr]
        return storages  # type: ignore[return-value]


@dataclass(frozen=True)
class Traced:
    """One run of a function with symbolic values: what it was given, did and returned, and the report on its checks."""

    trace: Trace
    call: Signature
    given: StandIns
    effects: Effects
    result: Any
    check: Check | None


class _Outputs(list[Value]):
    """The outputs of a step, as they are found."""

    def add(self, value: Value) -> int:
        """Make a value an output; gives its number."""
        self.append(value)
        return len(self) - 1


class _Numbers(list[Scalar]):
    """The numbers that a call needs, as they are found: `inputs` of the program first."""

    def __init__(self, host: Host) -> None:
        super().__init__(number for number, _ in host.inputs.pairs())
        self.host, self.inputs = host, [value for _, value in host.inputs.pairs()]

    def add(self, number: Scalar) -> int:
        """Have a number computed at each call; gives its index."""
        self.append(number)
        return len(self) - 1

    def evaluation(self) -> Evaluation | None:
        """What computes them, and looks at what depends on numbers; None if there is nothing to do."""
        return Evaluation(self.host, self) if self or self.host.lines else None


def planned(traced: Traced, donate: bool, check_nan: bool) -> tuple[Plan, list[Guard]]:
    """The plan of a trace, as traced: neither simplified nor packed. Also guards that it needs beside those of the trace."""
    trace, call, given, effects, check = traced.trace, traced.call, traced.given, traced.effects, traced.check
    stand_ins, arguments, numbers = given.tensors, given.inputs, _Numbers(trace.host)
    rewritten = [s for s in trace.written if s in trace.captured]
    storages = [*rewritten, *(s for s in trace.captured if s not in trace.written)]
    looked_up = _looked_up(trace, effects)
    gradients, guards = _gradients_among(storages, trace, looked_up)
    nests = effects.nests(trace, given.of_caller(call))
    at = {id(s): i for i, s in enumerate(storages)}
    read = {at[where]: slot for found in nests.values() for nest in found.values() for path, slot in nest.slots.items()
            if (where := id(nest.leaves[path]._storage)) in at}
    inputs = [*(trace.captured[s] for s in storages), *arguments, *numbers.inputs]
    labels = _labels(trace, inputs)
    names = {v: f"of type {v.type}" for v in inputs} | dict(zip(arguments, call.paths)) | labels
    outputs = _Outputs(trace.current(s) for s in rewritten)
    given.left = list(map(held_in, stand_ins))
    found = Writes(tuple((s, outputs.add(trace.current(s))) for s in trace.written if s not in trace.captured), (),
                    tuple((i, outputs.add(left)) for i, (left, v) in enumerate(zip(given.left, arguments)) if left is not v),
                    (*((i, s._requires_grad) for i, (s, x) in enumerate(zip(stand_ins, call.tensors))
                       if isinstance(x, Tensor) and s._requires_grad is not x._requires_grad), *effects.leaves.items()))
    checks = [] if check is None else [check]
    checks += nan_checks(names, trace.recorder.nodes) if check_nan else []
    checked = guarded(checks, inputs, outputs, len(rewritten), [(len(storages) + i, at) for i, at in found.arguments],
                      check_nan or not donate, trace.name) if checks else None
    template = Template(trace, call.tensors, given, effects.is_known, effects.held(nests), looked_up, numbers.add,
                        outputs.add)
    contents = [(i, keyed(held_by(x))) for i, x in given.changed()]
    for held in (*(held for _, held in contents), *(edits for _, edits in effects.found)):
        template.lasting.check_keys(held)
    rebound, marks = list(_rebound_gradients(trace, stand_ins)), _marks(stand_ins, call.tensors)
    template.shared_inside([traced.result, *(held for _, held in (*contents, *effects.found, *marks)),
                            [gradient for _, gradient in rebound]])
    returned = template.of(traced.result)
    writes = replace(found, containers=tuple((i, {k: template.of(v) for k, v in held.items()}) for i, held in contents),
                     marks=tuple((i, {k: template.of(v) for k, v in changed.items()}) for i, changed in marks),
                     grown=frozenset((*call.grown.values(), *call.by_key.values(), *call.lists)),
                     outside=tuple(_effect(trace, effects, owner, edits, nests.get(i, {}), template)
                                   for i, (owner, edits) in enumerate(effects.found)))
    count = Counter(id(g) for _, g in rebound)
    seen = {id(g) for _, g in rebound if g is not None and (count[id(g)] > 1 or template.has_met(g))}
    writes = replace(
        writes, gradients=tuple((t, None if g is None else outputs.add(g._read())) for t, g in rebound if id(g) not in seen),
        seen_gradients=tuple((t, template.of(g)) for t, g in rebound if id(g) in seen))
    writes = replace(writes, ambient=tuple(trace.ambient), in_place=tuple(trace.in_place.items()))
    here = describe(user_position())
    guards += [guard for effect in writes.outside for guard in effects.guards_of(effect, here)]
    reports = tuple((line, tuple(outputs.add(v) for v in line.values)) for line in trace.reports)
    graph, positions, tape = _closed(trace, inputs, outputs, labels, stand_ins)
    donated = {} if not donate or tape else {
        i: positions[i] for i in range(len(rewritten))
        if outputs[i].type is inputs[i].type and positions.count(positions[i]) == 1}
    plan = Plan(trace.name, graph, _device(graph, len(storages) + len(arguments)), tuple(storages), len(rewritten),
                len(rewritten), gradients, read, tuple(template.gradients_needed), tuple(v.type for v in numbers.inputs),
                numbers.evaluation(), tuple(positions), tuple(positions[:len(rewritten)]),
                tuple(v.type for v in graph.outputs), donated, writes, returned, reports, checked, tape, tuple(trace.decisions),
                unread=tuple(given.themselves.tensors))
    return plan, guards


def _effect(trace: Trace, effects: Effects, owner: Owner, edits: dict[Any, Any], nests: dict[Any, Nest],
            template: Template) -> Effect:
    numbers = frozenset(key for key in edits if (owner.identity, key) in trace.counted)
    read = {key for key in edits if owner.placed and effects.may_read(owner, key)}
    left = {key: template.left(now, key in read, key in nests and nests[key].with_history) for key, now in edits.items()}
    return Effect(owner, left, nests, numbers, owner.moved)


def held_in(stand_in: Tensor) -> Value:
    """What a call leaves in an argument: its memory, with the history that it has itself where that was split off."""
    return stand_in._read() if stand_in._parted else stand_in._storage.value


def _marks(stand_ins: Sequence[Tensor], arguments: Sequence[Any]) -> list[tuple[int, dict[str, Any]]]:
    """What became of attributes that users gave to arguments, by the number of these."""
    found = [(i, {name: now for name in dict.fromkeys((*x.__dict__, *s.__dict__)) if name not in _OWN
                  and (now := s.__dict__.get(name, MISSING)) is not x.__dict__.get(name, MISSING)})
             for i, (s, x) in enumerate(zip(stand_ins, arguments)) if isinstance(x, Tensor)]
    return [(i, changed) for i, changed in found if changed]


def _gradients_among(storages: Sequence[Storage], trace: Trace,
                     looked_up: Mapping[Tensor, Tensor]) -> tuple[dict[int, Tensor], list[Guard]]:
    """State that is the `.grad` of a tensor, by its number; guards for gradients that are not as `backward()` makes them."""
    at = {s: i for i, s in enumerate(storages)}
    found: dict[int, Tensor] = {}
    guards = []
    for tensor, gradient in trace.grads_before.items():
        position = at.get(gradient._storage) if gradient is not None else None
        if gradient is None or (position is None and tensor in looked_up):
            continue
        if position is None or position in found or not is_plain_gradient(tensor, gradient):
            same = weakref.ref(gradient)
            guards.append(Guard(".grad of a tensor", lambda t=tensor, same=same: t._grad is same(),  # type: ignore[misc]
                                True, describe(user_position())))
        else:
            found[position] = tensor
    return found, guards


def _looked_up(trace: Trace, effects: Effects) -> dict[Tensor, Tensor]:
    """The `.grad`s, by tensor, that another one may come in the place of at each call: nothing else leads to them."""
    there = trace.grads_found()
    count, held = Counter(map(id, there.values())), effects.held_before() if there else set()
    return {t: g for t, g in there.items() if count[id(g)] == 1 and id(g) not in held and is_plain_gradient(t, g)}


def is_plain_gradient(tensor: Tensor, gradient: Any) -> bool:
    """Whether the gradient is as `backward()` makes it, so that another one may come in its place."""
    return gradient._type is tensor._type and is_plain(gradient)


def _rebound_gradients(trace: Trace, stand_ins: list[Tensor]) -> Iterable[tuple[Tensor | int, Tensor | None]]:
    """The tensors, or arguments by number, whose `.grad` was rebound, and what it is now."""
    numbers = {id(s): i for i, s in enumerate(stand_ins)}
    for tensor, gradient in trace.grads.items():
        if gradient is trace.grads_before.get(tensor, trace.grads_given.get(tensor, MISSING)):
            continue
        number = numbers.get(id(tensor))
        if number is not None or tensor._storage.trace is not trace:  # of a leaf made inside nobody outside knows
            yield tensor if number is None else number, gradient


def _closed(trace: Trace, inputs: Sequence[Value], outputs: Sequence[Value], labels: dict[Value, str],
            stand_ins: Sequence[Tensor]) -> tuple[Graph, list[int], Tape | None]:
    """The graph, with equal outputs given once and with what a backward from outside will read; where each output is."""
    differentiable = [o for o in outputs if state.grad and has_history(o)]
    inner = inner_leaves(trace.recorder.nodes, differentiable, stand_ins, set(outputs))
    positions: dict[Value, int] = {}
    for value in [*outputs, *inner, *kept_for_backward(trace.recorder.nodes, outputs, differentiable)]:
        positions.setdefault(value, len(positions))
    graph = check_closed(Graph(inputs, trace.recorder.nodes, positions, trace.name, labels))
    return graph, [positions[v] for v in outputs], Tape(graph, inner, stand_ins) if differentiable else None


def _device(graph: Graph, count: int) -> str:
    """Where the program runs: where its first `count` inputs are, or what it makes."""
    devices = dict.fromkeys(v.device for v in graph.inputs[:count])
    devices = devices or dict.fromkeys(v.device for v in (*graph.outputs, *(node.output(0) for node in graph.nodes)))
    if "meta" in devices:
        raise NotImplementedError("a jitted function got tensors on the device \"meta\", which have no contents to run a program "
                                  "on. Call it without jit: it gives shapes and dtypes, and computes nothing.")
    return next(iter(devices), Defaults.device)


def _labels(trace: Trace, inputs: Iterable[Value]) -> dict[Value, str]:
    """Names of the inputs: parameters and buffers by their path, hyperparameters by their key."""
    by_storage: dict[Storage, str] = {}
    for root in roots(trace.modules):
        by_storage.update(root._labels(by_storage))
    labels = {value: by_storage[s] for s, value in trace.captured.items() if s in by_storage}
    labels.update({value: number.text().replace('"', "'") for number, value in trace.host.inputs.pairs()
                   if number.source is None or number.source.position is None})
    return labels


# --- From the plan of a trace to that of a program --------------------------------------------------------------------


def prepared(plan: Plan) -> Plan:
    """The plan whose graph is compiled: simplified, with small state packed."""
    return _left_alone(packed(replace(plan, graph=simplify(plan.graph))))


def packed(plan: Plan) -> Plan:
    """The plan with small state in flat buffers: those of packs come first among inputs and outputs."""
    own = [i for i in range(len(plan.state)) if i not in plan.gradients and i not in plan.slots]
    packs = [] if plan.tape else packs_for([plan.state[i] for i in own],  # type: ignore[misc]
                                           [_update(plan, i) for i in own], plan.device)
    left, rest = ([], plan.writes.gradients) if plan.tape else _packed_gradients(plan, packs)
    if not packs and not left:
        return replace(plan, state=_lasting(plan.state, {*plan.gradients, *plan.slots}))
    number = {id(plan.state[i]): i for i in own}
    members = [[number.get(id(s)) for s in pack.storages] for pack in packs]
    results = [[plan.positions[i] if i is not None and i in plan.donated else None for i in m] for m in members]
    packs += [pack for pack, _ in left]
    members += [[None] * len(outs) for _, outs in left]
    results += [[*outs] for _, outs in left]
    order = sorted(range(len(packs)), key=lambda k: all(o is None for o in results[k]))  # those that are written first
    packs, members, results = ([x[k] for k in order] for x in (packs, members, results))  # type: ignore[assignment]
    count = sum(any(o is not None for o in r) for r in results)
    gone_inputs = {i for m in members for i in m if i is not None}
    gone_outputs = {o for r in results for o in r if o is not None}
    kept = [o for o in range(len(plan.types)) if o not in gone_outputs]
    moved = {o: count + k for k, o in enumerate(kept)}
    loose = [i for i in range(len(plan.state)) if i not in gone_inputs]
    now_at = {i: len(packs) + k for k, i in enumerate(loose)}
    gradients = {k: plan.gradients[i] for k, i in enumerate(loose) if i in plan.gradients}
    slots = {k: plan.slots[i] for k, i in enumerate(loose) if i in plan.slots}
    return replace(
        plan, graph=packed_graph(plan.graph, packs, members, results, gone_inputs, gone_outputs),
        packs=tuple(packs[:count]), gradient_packs=tuple(pack for pack, _ in left), writes=replace(plan.writes, gradients=rest),
        read_packs=tuple(packs[count:]),
        types=(*(p.type for p in packs[:count]), *(plan.types[o] for o in kept)),
        targets=tuple(moved[plan.positions[i]] for i in loose if i < plan.written),
        positions=tuple(moved.get(o, -1) for o in plan.positions),
        donated={**{k: k for k in range(count)}, **{now_at[i]: moved[o] for i, o in plan.donated.items() if i in now_at}},
        rewritten=sum(i < plan.written for i in loose), gradients=gradients, slots=slots,
        state=_lasting([plan.state[j] for j in loose], {*gradients, *slots}))


def _update(plan: Plan, i: int) -> Update | None:
    """The value of a state before the step and after it, if the program writes into its memory."""
    return (plan.graph.inputs[i], plan.graph.outputs[plan.positions[i]]) if i in plan.donated else None


def _packed_gradients(plan: Plan, packs: Sequence[Pack]) -> tuple[list[tuple[GradientPack, list[int]]],
                                                                  tuple[tuple[Tensor | int, int | None], ...]]:
    """Packs of small gradients that the step leaves behind, with the outputs of the program that they are; and the rest.

    They lie in the order in which their leaves lie in `packs`, so that those that are updated alike are side by side there.
    """
    place = {id(s): at for at, s in enumerate(s for pack in packs for s in pack.storages)}
    groups: dict[dtype, list[tuple[Tensor, int]]] = {}
    for target, at in _gradients_left(plan):
        if plan.types[at].nbytes <= LIMIT:
            groups.setdefault(plan.types[at].dtype, []).append((target, at))
    for members in groups.values():
        members.sort(key=lambda member: place.get(id(member[0]._storage), len(place)))
    made = [(GradientPack([t for t, _ in members], kind, plan.device), [at for _, at in members])
            for kind, members in groups.items() if len(members) >= FEWEST_GRADIENTS]
    packed = {id(t) for pack, _ in made for t in pack.leaves}
    return made, tuple((t, o) for t, o in plan.writes.gradients if id(t) not in packed)


def _left_alone(plan: Plan) -> Plan:
    """The plan with the gradients that the step leaves behind, and that are in no pack, apart from all else that it gives.

    The last inputs are the memory that they are written into.
    """
    found = [] if plan.tape else _gradients_left(plan)
    if not found:
        return plan
    alone = {id(t) for t, _ in found}
    graph = plan.graph
    input_of = {at: len(graph.inputs) + k for k, (_, at) in enumerate(found)}  # by the output that is written there
    room = [placeholder(plan.types[at], plan.device) for at in input_of]
    labels = graph.labels | dict.fromkeys(room, "memory of the last gradient")
    return replace(plan, graph=Graph([*graph.inputs, *room], graph.nodes, graph.outputs, graph.name, labels),
                   donated={**plan.donated, **{number: at for at, number in input_of.items()}},
                   writes=replace(plan.writes,
                                  gradients=tuple((t, o) for t, o in plan.writes.gradients if id(t) not in alone),
                                  left=tuple((LeftGradient.of(t, plan.device), at) for t, at in found)),
                   positions=tuple(-1 if at in input_of else at for at in plan.positions))


def _gradients_left(plan: Plan) -> list[tuple[Tensor, int]]:
    """The tensors outside to which the step leaves a gradient, and the outputs of the program that are these and nothing else.

    Where the step takes the gradient before the call, too, that tensor lives on beside the new one.
    """
    taken = set(map(id, (*plan.gradients.values(), *plan.passed)))
    outputs = [(t, plan.positions[o]) for t, o in plan.writes.gradients
               if isinstance(t, Tensor) and o is not None and id(t) not in taken]
    return [(t, at) for t, at in outputs if at >= 0 and plan.positions.count(at) == 1]


def _lasting(storages: Sequence[Storage | None], looked_up: set[int]) -> tuple[Storage | None, ...]:
    """A storage that is looked up is not held between calls: its memory is the user's to free."""
    return tuple(None if i in looked_up else s for i, s in enumerate(storages))
