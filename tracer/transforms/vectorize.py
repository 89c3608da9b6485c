"""`vmap`: a function over a dimension of its arguments, all examples in one program.

The function runs once, on stand-ins for one example; what it recorded is replayed with the ops' batch rules.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from ..functions.dims import checked_dim
from ..functions.joining import cat
from ..functions.operands import wrap
from ..functions.random import fork_rng
from ..ir.checks import Check, note
from ..ir.constants import with_leading
from ..ir.graph import Node, Value
from ..ir.recorder import Recorder, close, placeholder
from ..ops.structural import iota, transpose
from ..tensor.maps import Map, mapping
from ..tensor.nested import children, fill, leaves, spread, structure
from ..tensor.storage import Storage
from ..tensor.strides import Geometry, passed_on
from ..tensor.tensor import Tensor
from ..walks.batch import batched_call
from .body import body, captured, put_back

WRITTEN_FROM_OUTSIDE = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args that "
    "has more elements than `self`. This happened due to `other` being vmapped over but `self` not being vmapped over in a "
    "vmap. Please try to use out-of-place operators instead of inplace arithmetic.")


def vmap(func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
         chunk_size: int | None = None) -> Callable[..., Any]:
    """`func` over a dimension of its positional arguments, all examples in one program.

    `in_dims` and `out_dims` say where that dimension is: an int or None, or nested as the arguments and results are.
    `randomness` says what drawing random numbers in `func` means: an "error", the "same" numbers for all examples, or
    "different" ones. `chunk_size` bounds how many examples are computed at once.

    >>> import flambeau as torch
    >>> torch.vmap(torch.dot)(torch.ones(3, 2), torch.ones(3, 2))
    tensor([2., 2., 2.])
    """
    if randomness not in ("error", "same", "different"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        call = _Call(func, name, args, kwargs, _flat_in_dims(name, in_dims, args), out_dims, randomness)
        call.check_dims(in_dims)
        return call.run() if chunk_size is None or chunk_size >= call.size else call.run_in_chunks(chunk_size)

    return mapped


# --- Dimensions -------------------------------------------------------------------------------------------------------


def _flat_in_dims(name: str, in_dims: Any, args: tuple[Any, ...]) -> list[Any]:
    """One dimension, or None, per leaf of the arguments."""
    head = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(f"{head}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure of "
                         f"inputs, got: {type(in_dims)}.")
    if not leaves(args):
        raise ValueError(f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap "
                         "over a function with no inputs. The latter is unsupported.")
    flat = spread(in_dims, args)
    if flat is None:
        raise ValueError(f"{head}: in_dims is not compatible with the structure of `inputs`. in_dims has structure "
                         f"{structure(in_dims)} but inputs has structure {structure(args)}.")
    return flat


def _flat_out_dims(name: str, out_dims: Any, result: Any) -> list[Any]:
    """One dimension, or None, per leaf of the result."""
    flat = spread(out_dims, result)
    if flat is None and isinstance(out_dims, tuple) and len(out_dims) == 1 and children(result) is None:
        flat = [out_dims[0]]
    if flat is None:
        raise ValueError(f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
                         f"`outputs`. out_dims has structure {structure(out_dims)} but outputs has structure "
                         f"{structure(result)}.")
    if not all(d is None or isinstance(d, int) for d in flat):
        raise ValueError(f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of "
                         "ints representing where in the outputs the vmapped dimension should appear.")
    return flat


def _without_dim(value: Value, dim: int) -> Value:
    """A stand-in for one example."""
    shape = tuple(n for i, n in enumerate(value.type.shape) if i != dim % value.type.ndim)
    return placeholder(value.type.with_shape(shape), value.device, value.requires_grad)


def _one_of(x: Tensor, dim: int, value: Value) -> Tensor:
    """The stand-in as a tensor, with the strides that one example has."""
    made = wrap(value)
    stride = tuple(s for i, s in enumerate(x._strides.stride) if i != dim % x.ndim)
    made._geometry = passed_on(value.type.shape, Geometry(stride))
    return made


def _to_front(value: Value, dim: int) -> Value:
    d = dim % value.type.ndim
    return value if d == 0 else transpose(value, permutation=(d, *(i for i in range(value.type.ndim) if i != d)))


def _from_front(value: Value, dim: int) -> Value:
    d = checked_dim(dim, value.type.ndim)
    order = [*range(1, value.type.ndim)]
    order.insert(d, 0)
    return value if d == 0 else transpose(value, permutation=tuple(order))


# --- The call ---------------------------------------------------------------------------------------------------------


@dataclass
class _Call:
    """One call of a mapped function; `dims` has the mapped dimension, or None, of every leaf of `args`."""

    func: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dims: list[Any]
    out_dims: Any
    randomness: str
    size: int = 0

    def check_dims(self, in_dims: Any) -> None:
        """Find the size of the mapped dimension; torch's ValueErrors unless every argument has it and all agree."""
        head = f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>)"
        for x, d in zip(leaves(self.args), self.dims):
            if d is not None and not isinstance(d, int):
                raise ValueError(f"{head}: Got in_dim={d} for an input but in_dim must be either an integer dimension or None.")
            if d is not None and not isinstance(x, Tensor):
                raise ValueError(f"{head}: Got in_dim={d} for an input but the input is of type {type(x)}. We cannot vmap over "
                                 "non-Tensor arguments, please use None as the respective in_dim")
            if d is not None and not -x.ndim <= d < x.ndim:
                raise ValueError(f"{head}: Got in_dim={d} for some input, but that input is a Tensor of dimensionality {x.ndim} "
                                 f"so expected in_dim to satisfy -{x.ndim} <= in_dim < {x.ndim}.")
        sizes = [x._type.shape[d] for x, d in zip(leaves(self.args), self.dims) if d is not None]
        if not sizes:
            raise ValueError(f"{head}: at least one input must have an in_dim that is not None.")
        if len(set(sizes)) > 1:
            raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for "
                             "the mapped dimension")
        self.size = sizes[0]

    def run(self) -> Any:
        """Record the function on stand-ins, replay that over all examples, place what came out."""
        example = _Example(self)
        graph, free = close([*example.inputs, *example.level.indices.values()], example.nodes,
                            (*example.outputs, *example.written.values(), *example.changed.values(),
                             *(check.report for check in example.checks)), "vmap")
        values = [_to_front(v, d) for v, (_, d) in zip(example.values, example.mapped)]
        numbers = [iota.on(device, shape=(self.size,), axis=0, dtype=v.type.dtype)
                   for device, v in example.level.indices.items()]
        flags = [True] * (len(values) + len(numbers)) + [False] * len(free)
        results = iter(batched_call(graph, self.size, flags, [*values, *numbers, *free]))
        placed = iter([self._placed(next(results), d) for d in example.out_dims])
        _rebind([(storage, *next(results)) for storage in example.written])
        for position in example.changed:
            tensor, d = example.mapped[position]
            value, batched = next(results)
            tensor._write(_from_front(with_leading(self.size, batched, value), d))
        for check in example.checks:
            note(Check(next(results)[0], check.sites))
        return fill(example.result, [next(placed) if isinstance(x, Tensor) else x for x in leaves(example.result)])

    def _placed(self, output: tuple[Value, bool], dim: int | None) -> Tensor:
        value, batched = output
        if dim is not None:
            return wrap(_from_front(with_leading(self.size, batched, value), dim))
        if batched:
            raise ValueError(f"vmap({self.name}, ...): `{self.name}` can not return a BatchedTensor when out_dim is None")
        return wrap(value)

    def run_in_chunks(self, chunk: int) -> Any:
        """The map in pieces of at most `chunk` examples, joined; "same" draws are those of the first piece in all."""
        pieces = []
        for start in range(0, self.size, chunk):
            last = start + chunk >= self.size
            with nullcontext() if last or self.randomness != "same" else fork_rng():
                pieces.append(self._part(start, min(chunk, self.size - start)).run())
        ends = _flat_out_dims(self.name, self.out_dims, pieces[0])
        joined = [x[0] if d is None else cat(list(x), d) for d, x in zip(ends, zip(*map(leaves, pieces)))]
        return fill(pieces[0], joined)

    def _part(self, start: int, count: int) -> _Call:
        cut = [x if d is None else x.narrow(d, start, count) for x, d in zip(leaves(self.args), self.dims)]
        return _Call(self.func, self.name, fill(self.args, cut), self.kwargs, self.dims, self.out_dims, self.randomness, count)


def _rebind(written: list[tuple[Storage, Value, bool]]) -> None:
    """Let storages from outside hold what the body wrote to them; RuntimeError, and no write, if that is one per example."""
    if any(batched for _, _, batched in written):
        raise RuntimeError(WRITTEN_FROM_OUTSIDE)
    for storage, value, _ in written:
        storage.write(value)


class _Example:
    """The function of a call, recorded on stand-ins for one example.

    `mapped` are the mapped arguments with their dimensions, `stand_ins` and `inputs` what stands for them; `outputs` the
    values of the tensors in `result`, `out_dims` their dimensions; `written` what storages from outside hold at the end,
    and `changed` what mapped arguments do, by position; `checks` what was checked.
    """

    def __init__(self, call: _Call) -> None:
        self.call = call
        flat = list(zip(leaves(call.args), call.dims))
        self.mapped: list[tuple[Tensor, int]] = [(x, d) for x, d in flat if d is not None]
        self.values = [x._read() for x, _ in self.mapped]
        self.inputs = [_without_dim(v, d) for v, (_, d) in zip(self.values, self.mapped)]
        recorder = Recorder()
        with body() as writes, mapping(call.size, call.randomness, recorder) as level:
            self.stand_ins = [_one_of(x, d, v) for (x, d), v in zip(self.mapped, self.inputs)]
            given = iter(self.stand_ins)
            args = fill(call.args, [x if d is None else next(given) for x, d in flat])
            self.result = call.func(*args, **call.kwargs)
            self.out_dims, self.outputs = self._checked_result()
            self.written = {storage: storage.read() for storage in captured(writes)}
            self.changed = self._changed()
        put_back(writes)
        self.level: Map = level
        self.nodes: list[Node] = [n for n in recorder.nodes if not n.done]
        self.checks = recorder.checks

    def _checked_result(self) -> tuple[list[Any], list[Value]]:
        name, found = self.call.name, leaves(self.result)
        dims = _flat_out_dims(name, self.call.out_dims, self.result)
        for x, d in zip(found, dims):
            if not isinstance(x, Tensor) and d is not None:
                raise ValueError(f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(x)}. Did you mean to "
                                 "set out_dims= to None for output?")
        pairs = [(d, x._read()) for x, d in zip(found, dims) if isinstance(x, Tensor)]
        return [d for d, _ in pairs], [value for _, value in pairs]

    def _changed(self) -> dict[int, Value]:
        """What mapped arguments that were written in place hold now, by position."""
        now = enumerate(zip(self.stand_ins, self.inputs))
        changed = {i: made._read() for i, (made, before) in now if made._storage.read() is not before}
        storages = [x._storage for x in leaves(self.call.args) if isinstance(x, Tensor)]
        for i in changed:
            if storages.count(self.mapped[i][0]._storage) > 1:
                raise RuntimeError("vmap: an argument that shares its memory with another one was written in place. Pass "
                                   "a clone of one of the two.")
        return changed
