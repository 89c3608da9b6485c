"""Control flow in the program: https://pytorch.org/docs/stable/cond.html

Python's `if` and `for` choose and repeat while a program is recorded; these do so when it runs. A body is recorded once
and may use tensors from outside: gradients flow to them, and what it writes to them in place (buffers, random state)
is carried from step to step, as if the loop had been written in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..ir import dtypes
from ..ir.checks import Check, note
from ..ir.constants import full_like
from ..ir.errors import TraceError
from ..ir.graph import Graph, Value
from ..ir.recorder import close, recording
from ..ir.source import describe, user_position
from ..ir.types import Type
from ..ops.control import case, while_
from ..ops.elementwise import alias, and_, compare, convert, stop_gradient
from ..ops.scan import saving
from ..ops.structural import slice_
from ..tensor.nested import leaves, map_structure, paths
from ..tensor.region import Body, record_body, sealed
from ..tensor.storage import Storage
from ..tensor.tensor import Tensor
from ..walks.batch import batched_call
from .defaults import Defaults
from .dims import checked_dim
from .joining import cat
from .operands import same_shape, wrap
from .shape import movedim

Function = Callable[..., Any]

# --- Containers of tensors --------------------------------------------------------------------------------------------


def _leaves(op: str, x: Any, path: str) -> dict[str, Tensor]:
    """The tensors in nested containers by their paths; None is an empty container, anything else a TypeError."""
    found: dict[str, Tensor] = {}
    for at, value in paths(x, path):
        if isinstance(value, Tensor):
            found[at] = value
        elif value is not None:
            raise TypeError(f"{op} requires tensors in {path}, got {type(value).__name__} for {at}: {value!r:.60}. Make it "
                            "a tensor, or use it in the body without passing it in")
    return found


def _filled(template: Any, values: Iterator[Value]) -> Any:
    """Containers like `template`, with tensors of the next `values` in them."""
    return map_structure(template, lambda x, _: wrap(next(values)) if isinstance(x, Tensor) else x)


def _skeleton(x: Any) -> Any:
    """The containers alone."""
    return map_structure(x, lambda leaf, _: "tensor" if isinstance(leaf, Tensor) else leaf)


def _described(kind: Type) -> str:
    return f"{kind.dtype} of shape {list(kind.shape)}"


def _check_like(op: str, required: tuple[str, Any], given: tuple[str, Any], path: str, advice: str) -> None:
    """TypeError unless the containers, shapes and dtypes of two named results are the same; it names the first leaf."""
    (what, x), (other, y) = required, given
    wanted, found = _leaves(op, x, path), _leaves(op, y, path)
    if _skeleton(x) != _skeleton(y):
        apart = next((p for p in (*wanted, *found) if (p in wanted) != (p in found)), path)
        raise TypeError(f"{op} requires the same containers from {what} and {other}, which differ at {apart}: "
                        f"{_skeleton(x)!r} in {what}, {_skeleton(y)!r} in {other}. {advice}")
    for at, tensor in wanted.items():
        if tensor._type is not found[at]._type:
            raise TypeError(f"{op} requires the same types from {what} and {other}, which differ at {at}: "
                            f"{_described(tensor._type)} in {what}, {_described(found[at]._type)} in {other}. {advice}")


# --- Bodies and results -----------------------------------------------------------------------------------------------


def _values(x: Any) -> list[Value]:
    """The values of the tensors in containers, in order."""
    return [leaf._read() for leaf in leaves(x) if isinstance(leaf, Tensor)]


def _device(values: Sequence[Value]) -> str:
    return values[0].device if values else Defaults.device


def _body(op: str, function: Callable[[list[Value]], Any], types: Sequence[Type], device: str) -> tuple[Body, list[Value]]:
    """The recorded body, and the values of the tensors it returns."""
    outputs: list[Value] = []

    def run(inputs: list[Value]) -> Any:
        result = function(inputs)
        outputs.extend(_values(result))
        return result

    return record_body(run, types, device, op), outputs


def _joined(bodies: Sequence[tuple[list[Value], Body, list[Value]]], name: str) -> tuple[tuple[Graph, ...], list[Value]]:
    """Graphs of (inputs, body, outputs) that take the same free values, and those values."""
    closed = [close(inputs, body.nodes, tuple(outputs), name) for inputs, body, outputs in bodies]
    free = list(dict.fromkeys(v for _, found in closed for v in found))
    return tuple(sealed([*inputs, *free], body.nodes, outputs, name) for inputs, body, outputs in bodies), free


def _flowing(results: Sequence[Value], inner: Sequence[Value]) -> list[Value]:
    """Results, without a gradient where the body let none through."""
    return [r if v.requires_grad or not r.requires_grad else stop_gradient(r) for r, v in zip(results, inner, strict=True)]


def _write(storages: Sequence[Storage], values: Sequence[Value]) -> None:
    for storage, value in zip(storages, values, strict=True):
        storage.write(value)


def _refuse_writes(body: Body, what: str, instead: str) -> None:
    if body.writes:
        raise TraceError(f"{what} writes in place to a tensor from outside, or draws random numbers, at "
                         f"{describe(user_position())}, which it cannot do: {instead}")


# --- cond -------------------------------------------------------------------------------------------------------------


def cond(pred: Any, true_fn: Function, false_fn: Function, operands: Sequence[Any] = ()) -> Any:
    """true_fn(*operands) where `pred` holds, else false_fn(*operands); only that one runs.

    `pred` is a bool, or a bool tensor of one element. Both functions return the same containers of tensors of the same
    shapes and dtypes; they may use tensors from outside. See https://pytorch.org/docs/stable/cond.html

    >>> import flambeau as torch
    >>> x = torch.tensor(-2.0)
    >>> torch.cond(x > 0, lambda x: x.sqrt(), lambda x: x * 0, (x,))
    tensor(-0.)
    """
    if not isinstance(operands, (tuple, list)):
        raise TypeError(f"cond requires a tuple or list of operands, got {type(operands).__name__}")
    if isinstance(pred, bool):
        return (true_fn if pred else false_fn)(*operands)
    flag = _flag("cond", "pred", pred)
    _leaves("cond", list(operands), "operands")
    branches = [_body("cond", lambda _, f=f: f(*operands), (), flag.device)  # type: ignore[misc]
                for f in (false_fn, true_fn)]
    (no, no_outputs), (yes, yes_outputs) = branches
    _check_like("cond", ("true_fn", yes.result), ("false_fn", no.result), "output",
                "Make both functions return the same, e.g. with .to(dtype) or expand")
    storages = list(dict.fromkeys(s for s, _, _ in (*no.writes, *yes.writes)))
    reports = [[*no.report[1:], *yes.report[:1]], [*no.report[:1], *yes.report[1:]]]
    ends = [[*_after(no, yes, storages), *reports[0], *no_outputs], [*_after(yes, no, storages), *reports[1], *yes_outputs]]
    graphs, free = _joined([([], no, ends[0]), ([], yes, ends[1])], "branch")
    if not ends[0]:
        return yes.result
    results = case(convert(flag, dtype=dtypes.int32), *free, branches=graphs)
    results = [r if a.requires_grad or b.requires_grad or not r.requires_grad else stop_gradient(r)
               for r, a, b in zip(results, *ends, strict=True)]
    count = len(storages)
    _write(storages, results[:count])
    for sites, report in zip([b.sites for b in (no, yes) if b.sites], results[count:]):
        note(Check(report, sites))
    return _filled(yes.result, iter(results[count + len(reports[0]):]))


def _flag(op: str, what: str, x: Any) -> Value:
    """A bool tensor of one element, as a 0-d value."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{op} requires a bool tensor of one element as {what}, got {type(x).__name__}: {x!r:.60}. Compare "
                        "tensors (x > 0), or choose in Python if it is known")
    if x.dtype is not dtypes.boolean or x.numel() != 1:
        raise TypeError(f"{op} requires a bool tensor of one element as {what}, got {_described(x._type)}. Compare it "
                        "(x != 0), or reduce it with any() or all()")
    return same_shape(x._read(), ())


def _after(body: Body, other: Body, storages: Sequence[Storage]) -> list[Value]:
    """What a branch leaves in storages that it or the other one writes."""
    held = {s: before for s, before, _ in other.writes} | {s: after for s, _, after in body.writes}
    return [held[s] for s in storages]


# --- while_loop -------------------------------------------------------------------------------------------------------


def while_loop(cond_fn: Function, body_fn: Function, carried_inputs: Sequence[Any], *,
               max_steps: int | None = None) -> tuple[Any, ...]:
    """carried = body_fn(*carried) as long as cond_fn(*carried) holds; returns the last `carried`.

    `body_fn` returns a tuple with the containers, shapes and dtypes of `carried_inputs`. Forward mode and `vmap` go
    through it; reverse mode needs `max_steps`: then at most that many steps run, and the result after so many is
    returned, whether or not `cond_fn` still holds. See https://pytorch.org/docs/stable/generated/torch.while_loop.html

    >>> import flambeau as torch
    >>> torch.while_loop(lambda x: x < 100, lambda x: (x * 3,), (torch.tensor(1),))
    (tensor(243),)
    """
    if not isinstance(carried_inputs, (tuple, list)):
        raise TypeError(f"while_loop requires a tuple or list of carried_inputs, got {type(carried_inputs).__name__}")
    start = tuple(carried_inputs)
    if not _leaves("while_loop", start, "carried_inputs"):
        raise TypeError("while_loop requires at least one tensor in carried_inputs: nothing else can change cond_fn")

    def step(*carried: Any) -> tuple[Any, ...]:
        return _checked_step(start, body_fn(*carried))

    if max_steps is None:
        return _unbounded(cond_fn, step, start)
    if max_steps < 0:
        raise ValueError(f"while_loop requires max_steps of at least 0, got {max_steps}")

    def bounded(carried: tuple[Any, ...], _: None) -> tuple[Any, None]:
        return cond(_going(cond_fn, carried), step, lambda *same: same, carried), None

    finished: tuple[Any, ...] = scan(bounded, start, length=max_steps)[0]
    return finished


def _checked_step(start: tuple[Any, ...], result: Any) -> tuple[Any, ...]:
    if not isinstance(result, (tuple, list)):
        raise TypeError(f"while_loop requires a body_fn that returns a tuple, one entry for each of carried_inputs, got "
                        f"{type(result).__name__}. Return (x,) for a single one")
    _check_like("while_loop", ("carried_inputs", start), ("what body_fn returns", tuple(result)), "carried",
                "Convert in body_fn (.to(dtype)), or start from tensors of that type")
    return tuple(result)


def _going(cond_fn: Function, carried: Sequence[Any]) -> Tensor:
    return wrap(_flag("while_loop", "what cond_fn returns", cond_fn(*carried)))


def _unbounded(cond_fn: Function, step: Function, start: tuple[Any, ...]) -> tuple[Any, ...]:
    values = _values(start)
    types, device = [v.type for v in values], _device(values)
    test, flag = _body("cond_fn", lambda inputs: _going(cond_fn, _filled(start, iter(inputs))), types, device)
    _refuse_writes(test, "the cond_fn of a while_loop", "do it in body_fn, and carry what cond_fn looks at")

    def checked_step(*carried: Any) -> tuple[Any, ...]:
        if test.sites:  # only the body can carry a report
            cond_fn(*carried)
        return step(*carried)

    body, outputs = _body("body_fn", lambda inputs: checked_step(*_filled(start, iter(inputs))), types, device)
    flag = _unless_failed(test, flag, body)
    (ending, stepping), free = _joined(
        [([*test.inputs, *body.before], test, flag), ([*body.inputs, *body.before], body, [*outputs, *body.after])], "loop")
    carried = len(values) + len(body.before)
    results = while_(*values, *body.before, *free, cond=ending, body=stepping, carried=carried)
    body.left(results[len(values):])
    finished = tuple(_filled(start, iter(results[:len(values)])))
    if test.sites:  # the last time, after which no step follows
        cond_fn(*finished)
    return finished


def _unless_failed(test: Body, flag: list[Value], body: Body) -> list[Value]:
    """Whether the loop goes on: not after a check failed in it, as torch would not, so that it comes to an end."""
    if not body.report:
        return flag
    with recording() as recorder:
        code = same_shape(slice_(body.report[0], start=(0,), limit=(1,), stride=(1,)), ())
        going = and_(flag[0], compare(code, full_like(code, 0), direction="EQ"))
    test.nodes.extend(recorder.nodes)
    return [going]


# --- scan -------------------------------------------------------------------------------------------------------------


def scan(combine_fn: Function, init: Any, xs: Any = None, *, dim: int = 0, reverse: bool = False,
         length: int | None = None) -> tuple[Any, Any]:
    """carry, ys[i] = combine_fn(carry, xs[i]) for each i along `dim`, the last first when `reverse`.

    Returns the last carry and the ys, stacked along `dim`. `init`, `xs` and what `combine_fn` returns are nested
    containers of tensors; None is an empty one. Without `xs` the loop takes `length` steps. The program does not grow
    with the number of steps.

    >>> import flambeau as torch
    >>> torch.scan(lambda total, x: (total + x, total * x), torch.tensor(0.0), torch.arange(4.0))
    (tensor(6.), tensor([0., 0., 2., 9.]))
    """
    _leaves("scan", init, "init")
    rows = {path: _first("scan", path, x, dim) for path, x in _leaves("scan", xs, "xs").items()}
    count = _length(rows, length)
    state, scanned = _values(init), [x._read() for x in rows.values()]
    types = [*(v.type for v in state), *(v.type.with_shape(v.type.shape[1:]) for v in scanned)]

    def step(inputs: list[Value]) -> tuple[Any, Any]:
        result = combine_fn(_filled(init, iter(inputs[:len(state)])), _filled(xs, iter(inputs[len(state):])))
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"scan requires a combine_fn that returns (carry, y), got {_skeleton(result)!r:.80}. Return "
                            "(carry, None) if there is nothing to stack")
        _check_like("scan", ("init", init), ("the carry from combine_fn", result[0]), "carry",
                    "Convert in combine_fn (.to(dtype)), or start from an init of that type")
        _leaves("scan", result[1], "y")
        return result

    body, outputs = _body("combine_fn", step, types, _device([*state, *scanned]))
    final, ys = outputs[:len(state)], outputs[len(state):]
    ends = [*final, *body.after, *ys]
    (graph,), free = _joined([([*body.inputs[:len(state)], *body.before, *body.inputs[len(state):]], body, ends)], "body")
    kept = len(state) + len(body.before)
    if not ends:
        return init, body.result[1]
    results = saving(*state, *body.before, *scanned, *free, body=graph, carried=kept, scanned=len(scanned), length=count,
                     reverse=reverse)
    results = _flowing(results, ends)
    body.left(results[len(state):kept])
    stacked = (movedim(wrap(y), 0, checked_dim(dim, y.type.ndim))._read() if dim else y for y in results[kept:])
    return _filled(init, iter(results[:len(state)])), _filled(body.result[1], stacked)


def _first(op: str, path: str, x: Tensor, dim: int) -> Tensor:
    """`x` with the dimension that is walked along in front."""
    if not x.ndim:
        raise TypeError(f"{op} requires xs with a dimension to walk along, got a 0-d tensor for {path}")
    position = checked_dim(dim, x.ndim)
    moved: Tensor = movedim(x, position, 0) if position else x
    return moved


def _length(rows: dict[str, Tensor], length: int | None = None) -> int:
    """The number of steps; TypeError unless all agree on it."""
    sizes = {path: x._type.shape[0] for path, x in rows.items()}
    if length is not None:
        sizes["length"] = int(length)
        if length < 0:
            raise ValueError(f"scan requires a length of at least 0, got {length}")
    if not sizes:
        raise TypeError("scan requires xs with at least one tensor, or length=, to know how many steps to take")
    if len(set(sizes.values())) > 1:
        given = ", ".join(f"{size} for {path}" for path, size in sizes.items())
        raise TypeError(f"scan requires one number of steps from all of xs and length, got {given}")
    return next(iter(sizes.values()))


def map(f: Function, xs: Any, *args: Any) -> Any:
    """f(xs[i], *args) for each i along dimension 0 of the tensors in `xs`, one after the other, stacked.

    `vmap` computes all at once; this takes the memory of one.

    >>> import flambeau as torch
    >>> torch.map(lambda x, y: x * y, torch.arange(3.0), torch.tensor(2.0))
    tensor([0., 2., 4.])
    """
    return scan(lambda _, x: (None, f(x, *args)), None, xs)[1]


# --- associative_scan -------------------------------------------------------------------------------------------------


def associative_scan(combine_fn: Function, xs: Any, dim: int, reverse: bool = False, combine_mode: str = "generic") -> Any:
    """xs[0], xs[0] * xs[1], xs[0] * xs[1] * xs[2], ... along `dim`, where a * b is combine_fn(a, b).

    `combine_fn` must be associative, and takes and returns what `xs` holds at one position. The products are computed in
    a tree, in about 2 log2(n) batches instead of n steps. Both of torch's values of `combine_mode` mean the same here.
    Source: Blelloch, "Prefix sums and their applications", https://www.cs.cmu.edu/~guyb/papers/Ble93.pdf

    >>> import flambeau as torch
    >>> torch.associative_scan(torch.mul, torch.arange(1.0, 5.0), 0)
    tensor([ 1.,  2.,  6., 24.])
    """
    if combine_mode not in ("generic", "pointwise"):
        raise ValueError(f"associative_scan requires a combine_mode of 'generic' or 'pointwise', got {combine_mode!r}")
    leaves = _leaves("associative_scan", xs, "xs")
    rows = {path: _first("associative_scan", path, x, dim) for path, x in leaves.items()}
    count = _length(rows)
    if count < 2:
        return xs
    combine = _batched(combine_fn, xs, [x._read() for x in rows.values()])
    given = [x.flip(0) if reverse else x for x in rows.values()]
    results = [x.flip(0) if reverse else x for x in _prefixes(combine, given, count)]
    placed = iter([movedim(r, 0, checked_dim(dim, r.ndim)) for r in results])
    return map_structure(xs, lambda x, _: next(placed) if isinstance(x, Tensor) else x)


Combine = Callable[[list[Tensor], list[Tensor]], list[Tensor]]


def _batched(combine_fn: Function, xs: Any, rows: Sequence[Value]) -> Combine:
    """`combine_fn`, recorded once, over a leading dimension."""
    types = [v.type.with_shape(v.type.shape[1:]) for v in rows]

    def once(inputs: list[Value]) -> Any:
        left, right = (_filled(xs, iter(half)) for half in (inputs[:len(rows)], inputs[len(rows):]))
        result = combine_fn(left, right)
        _check_like("associative_scan", ("xs", left), ("what combine_fn returns", result), "x",
                    "combine_fn takes and returns what xs holds at one position")
        return result

    body, outputs = _body("combine_fn", once, [*types, *types], _device(rows))
    _refuse_writes(body, "the combine_fn of an associative_scan", "its order is not fixed. Use scan")
    (graph,), free = _joined([(body.inputs, body, [*outputs, *body.report[1:]])], "combine")

    def combine(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
        size = left[0]._type.shape[0]
        batched = [True] * len(body.inputs) + [False] * len(free)
        pairs = batched_call(graph, size, batched, [*(x._read() for x in (*left, *right)), *free])
        if body.report:
            note(Check(pairs.pop()[0], body.sites))
        return [wrap(alias(v)) if flag else wrap(v).expand(size, *v.type.shape) for v, flag in pairs]

    return combine


def _prefixes(combine: Combine, xs: list[Tensor], count: int) -> list[Tensor]:
    """Join neighbours, find the prefixes of those (the odd ones of ours), and from them the even ones."""
    if count < 2:
        return xs
    odd = _prefixes(combine, combine([x[:-1:2] for x in xs], [x[1::2] for x in xs]), count // 2)
    left = [x[:-1] for x in odd] if count % 2 == 0 else odd
    right = [x[2::2] for x in xs]
    even = combine(left, right) if count > 2 else right
    return [_interleaved(cat([x[:1], e]), o) for x, e, o in zip(xs, even, odd)]


def _interleaved(even: Tensor, odd: Tensor) -> Tensor:
    """even[0], odd[0], even[1], odd[1], ..."""
    count = odd._type.shape[0]
    both: Tensor = _stacked(even[:count], odd)
    return both if even._type.shape[0] == count else cat([both, even[count:]])


def _stacked(even: Tensor, odd: Tensor) -> Tensor:
    pairs: Tensor = cat([even.unsqueeze(1), odd.unsqueeze(1)], 1)
    return pairs.flatten(0, 1)
