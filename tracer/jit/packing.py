"""Many small tensors of state in one buffer.

Each buffer that a program takes or gives costs the runtime 1 to 3 us, whatever its size; the state of a training step is
hundreds of small ones (biases, norms, moments). So a compiled step keeps the small state that it writes in one flat
buffer per dtype, and slices it inside the program. A storage then holds a value whose buffer is a `PackedSlice`;
whoever reads it outside gets a copy of the slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice

from ..ir.dtypes import dtype
from ..ir.graph import Graph, Node, Value
from ..ir.recorder import placeholder, recording
from ..ops.structural import concatenate, reshape, slice_
from ..tensor.packs import GradientPack, Pack
from ..tensor.storage import Storage
from ..walks.simplify import dead_code
from .alike import Together, Update, kinds, piece, written

LIMIT = 16 << 10  # bytes of a tensor up to which a slice of a pack costs less than a buffer of its own
FEWEST = 5  # members of a pack, or of those that are updated as one array
FEWEST_GRADIENTS = 2  # of a pack that a step leaves behind, and does not read


def packs_for(storages: Sequence[Storage], updates: Sequence[Update | None], device: str) -> list[Pack]:
    """The packs of a step: existing packs of `storages`, and new ones for the rest of those that have `updates`.

    Those that are updated alike lie side by side in a new one.
    """
    packs: dict[int, Pack] = {}
    loose: dict[dtype, list[tuple[int | None, Storage]]] = {}
    for storage, update, kind in zip(storages, updates, kinds(updates)):
        if isinstance(storage.pack, Pack):
            packs[id(storage.pack)] = storage.pack
        elif update is not None and not storage.shared and 0 < storage.value.type.nbytes <= LIMIT:
            loose.setdefault(storage.value.type.dtype, []).append((kind, storage))
    made = [Pack([storage for _, storage in sorted(group, key=lambda member: (member[0] is None, member[0] or 0))], kind, device)
            for kind, group in loose.items() if len(group) >= FEWEST]
    return [p for p in packs.values() if p.device == device] + made


def packed_graph(graph: Graph, packs: Sequence[Pack], inputs: Sequence[Sequence[int | None]],
                 outputs: Sequence[Sequence[int | None]], gone_inputs: set[int], gone_outputs: set[int]) -> Graph:
    """The graph with flat inputs and outputs for packs, before the remaining ones.

    `inputs[p][i]` is the graph input that member i of pack p feeds, `outputs[p][i]` the output that it becomes (None
    where it is not read or not written). A pack of which nothing is written has no output.
    """
    flats = [placeholder(p.type, p.device) for p in packs]
    new_inputs = [placeholder(v.type, v.device) for i, v in enumerate(graph.inputs) if i not in gone_inputs]
    env = dict(zip([v for i, v in enumerate(graph.inputs) if i not in gone_inputs], new_inputs))
    with recording() as recorder:
        members = [[_member(flat, p, i) for i in range(len(p.types))] for flat, p in zip(flats, packs)]
    for pack_inputs, values in zip(inputs, members):
        env.update({graph.inputs[at]: value for at, value in zip(pack_inputs, values) if at is not None})
    labels = {env[v]: text for v, text in graph.labels.items() if v in env}
    nodes: list[Node] = list(recorder.nodes)
    made: dict[Node, Node] = {}
    held = []
    for node in graph.nodes:
        copy = made[node] = Node(node.op, tuple(env[v] for v in node.inputs), node.params, node.types, node.where,
                                 node.scope, made.get(node.of) if node.of else None, node.device)
        held.append(copy.outputs)
        env.update(zip(node.outputs, held[-1]))
        nodes.append(copy)
    before = [[None if at is None else graph.inputs[at] for at in read] for read in inputs]
    after = [[None if at is None else graph.outputs[at] for at in made] for made in outputs]
    with recording() as recorder:
        joined = _written(packs, flats, members, before, after, env)
    nodes.extend(recorder.nodes)
    rest = [env[v] for i, v in enumerate(graph.outputs) if i not in gone_outputs]
    for flat, pack in zip(flats, packs):
        labels[flat] = f"{len(pack.types)} packed"
    return dead_code(Graph([*flats, *new_inputs], nodes, [*joined, *rest], graph.name, labels))


def _member(flat: Value, pack: Pack, index: int) -> Value:
    start, kind = pack.offsets[index], pack.types[index]
    return reshape(slice_(flat, start=(start,), limit=(start + kind.size,), stride=(1,)), shape=kind.shape)


Members = Sequence[Sequence[Value | None]]  # of each pack


def _written(packs: Sequence[Pack], flats: Sequence[Value], members: Sequence[Sequence[Value]], before: Members, after: Members,
             env: Mapping[Value, Value]) -> list[Value]:
    """The flat buffers of the packs of which something is written.

    `members` are those of the buffers, `before` and `after` what they stand for in the graph, `env` its values here.
    """
    new = [[None if v is None else env[v] for v in values] for values in after]
    places = {v: (flat, start) for flat, values, pack in zip(flats, members, packs) for v, start in zip(values, pack.offsets)}
    left = {}
    for p, pack in enumerate(packs):
        if isinstance(pack, GradientPack):
            left[p] = written(flats[p], new[p], pack.offsets)
            places.update({v: (left[p], start) for v, start in zip(new[p], pack.offsets) if v is not None})
    found = iter(kinds([None if old is None or made is None else (old, made)
                        for olds, mades in zip(before, after) for old, made in zip(olds, mades)]))
    runs = [(p, start, stop) for p, pack in enumerate(packs) for start, stop in _runs([*islice(found, len(pack.types))])]
    arrays = Together(places).joined([new[p][start:stop] for p, start, stop in runs])  # type: ignore[misc]
    alike = [[(start, stop, array) for (of, start, stop), array in zip(runs, arrays) if of == p and array is not None]
             for p in range(len(packs))]
    return [left[p] if p in left else _updated(flats[p], packs[p], new[p], alike[p])
            for p in range(len(packs)) if any(v is not None for v in new[p])]


def _runs(found: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """Where members of one kind lie side by side."""
    for kind, run in groupby(range(len(found)), found.__getitem__):
        members = list(run)
        if kind is not None and len(members) >= FEWEST:
            yield members[0], members[-1] + 1


def _updated(flat: Value, pack: Pack, new: list[Value | None], alike: Sequence[tuple[int, int, Value]]) -> Value:
    """The flat buffer with the arrays of members that are updated alike, and other new members each in its place."""
    ends = [*pack.offsets[1:], pack.size]
    pieces, done = [], 0
    for start, stop, array in alike:
        pieces += [piece(flat, done, pack.offsets[start])] if done < pack.offsets[start] else []
        pieces.append(array)
        done = ends[stop - 1]
        new[start:stop] = [None] * (stop - start)
    if alike and done < pack.size:
        pieces.append(piece(flat, done, pack.size))
    if pieces:
        flat = concatenate(*pieces, axis=0) if len(pieces) > 1 else pieces[0]
    return written(flat, new, pack.offsets)
