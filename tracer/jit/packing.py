"""Many small tensors of state in one buffer.

Each buffer that a program takes or gives costs the runtime 1 to 3 us, whatever its size; the state of a training step is
hundreds of small ones (biases, norms, moments). So a compiled step keeps the small state that it writes in one flat
buffer per dtype, and slices it inside the program. A storage then holds a value whose buffer is a `PackedSlice`;
whoever reads it outside gets a copy of the slice.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.dtypes import dtype, int64
from ..ir.graph import Graph, Node, Value
from ..ir.recorder import placeholder, recording
from ..ops.indexing import dynamic_update_slice
from ..ops.structural import constant, reshape, slice_
from ..tensor.packs import Pack
from ..tensor.storage import Storage

LIMIT = 16 << 10  # bytes of a tensor up to which a slice of a pack costs less than a buffer of its own
FEWEST = 5


def packs_for(storages: Sequence[Storage], chosen: Sequence[bool], device: str) -> list[Pack]:
    """The packs of a step that writes the `chosen` ones of `storages`: existing packs, and new ones for the rest."""
    packs: dict[int, Pack] = {}
    loose: dict[dtype, list[Storage]] = {}
    for storage, written in zip(storages, chosen):
        if isinstance(storage.pack, Pack):
            packs[id(storage.pack)] = storage.pack
        elif written and not storage.shared and 0 < storage.value.type.nbytes <= LIMIT:
            loose.setdefault(storage.value.type.dtype, []).append(storage)
    made = [Pack(group, kind, device) for kind, group in loose.items() if len(group) >= FEWEST]
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
    with recording() as recorder:
        joined = [_updated(flat, p, [None if at is None else env[graph.outputs[at]] for at in members_out])
                  for flat, p, members_out in zip(flats, packs, outputs) if any(at is not None for at in members_out)]
    nodes.extend(recorder.nodes)
    rest = [env[v] for i, v in enumerate(graph.outputs) if i not in gone_outputs]
    for flat, pack in zip(flats, packs):
        labels[flat] = f"{len(pack.types)} packed"
    return Graph([*flats, *new_inputs], nodes, [*joined, *rest], graph.name, labels)


def _member(flat: Value, pack: Pack, index: int) -> Value:
    start, kind = pack.offsets[index], pack.types[index]
    piece = slice_(flat, start=(start,), limit=(start + kind.size,), stride=(1,))
    return reshape(piece, shape=kind.shape)


def _updated(flat: Value, pack: Pack, new: Sequence[Value | None]) -> Value:
    """The flat buffer with new members, each written in its place.

    XLA does these updates in the donated buffer itself; joining the members into a new one with a concatenation took
    2 to 7 times as long (measured with 10 to 400 members of 64 elements on the CPU).
    """
    for value, start in zip(new, pack.offsets):
        if value is not None:
            at = constant.on(flat.device, value=str(start), shape=(), dtype=int64)
            flat = dynamic_update_slice(flat, reshape(value, shape=(value.type.size,)), at)
    return flat
