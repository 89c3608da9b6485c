"""What a compiled function returns: a template of its result, made at the trace and filled at each call.

What was a view of an argument, of a tensor from outside or of another result is one again, and what came twice comes
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from ..ir.graph import Value
from ..tensor.nested import all_leaves, children, container_of, is_open
from ..tensor.scalar import Scalar
from ..tensor.steps import Step, Window, block_of
from ..tensor.storage import Storage
from ..tensor.strides import Geometry, contiguous_stride
from ..tensor.tensor import Tensor
from .signature import Signature
from .standins import StandIns
from .trace import Trace


class Output:
    """An output of the program, and how it lies in memory. (No dataclass: those are containers.)"""

    __slots__ = ("index", "geometry")

    def __init__(self, index: int, geometry: Geometry | Late | None) -> None:
        self.index, self.geometry = index, geometry

    def made(self, outputs: list[Value], values: list[Any]) -> Tensor:
        """The tensor, anew."""
        tensor = Tensor._of(outputs[self.index])
        tensor._geometry = present(self.geometry, values)
        return tensor


class Argument:
    """An argument itself."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Number:
    """A number that is computed on the host at each call; `index` counts among all that are."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Late:
    """What is made at each call of numbers: `make` of those at `indices`, where they are none but given as they are."""

    __slots__ = ("make", "numbers")

    def __init__(self, make: Callable[..., Any], numbers: Sequence[int | Number]) -> None:
        self.make, self.numbers = make, tuple(numbers)


def present(x: Any, values: list[Any]) -> Any:
    """What it is in a call that has these numbers."""
    if type(x) is not Late:
        return x
    return x.make(*(values[n.index] if type(n) is Number else n for n in x.numbers))


class Container:
    """One of the containers among the arguments, itself."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Built:
    """A container that the function made: one like it, and the templates of what it holds."""

    __slots__ = ("like", "held")

    def __init__(self, like: Any, held: dict[Any, Any]) -> None:
        self.like, self.held = like, held


class Alias:
    """A view of an argument (by its index), of another output, or of a tensor from outside.

    Steps and geometry may be `Late`: they lie where numbers of the call say.
    """

    __slots__ = ("of", "steps", "geometry", "detached")

    def __init__(self, of: int | Tensor | Output, steps: tuple[Step | Late, ...], geometry: Geometry | Late | None,
                 detached: bool) -> None:
        self.of, self.steps, self.geometry, self.detached = of, steps, geometry, detached

    def made(self, tensor: Tensor, values: list[Any]) -> Tensor:
        """The view, anew, of what it is a view of, in a call that has these numbers."""
        if self.detached:
            tensor = tensor.detach()
        first = tensor._strides.offset * tensor.itemsize if type(self.of) is int else 0  # the trace knew strides alone
        for step in self.steps:
            tensor = tensor._view(present(step, values))
        if self.steps:
            places: Geometry | None = present(self.geometry, values)
            if first:
                places = places or Geometry(contiguous_stride(tensor._type.shape))
                places = Geometry(places.stride, places.offset + first // tensor.itemsize)
            tensor._geometry = places
        return tensor


class Template:
    """The result of a traced function with its tensors replaced by what they are made of.

    `output(value)` makes a value an output of the program and gives its number, `wanted(scalar)` has a number computed.
    """

    def __init__(self, trace: Trace, arguments: list[Any], given: StandIns,
                 wanted: Callable[[Scalar], int], output: Callable[[Value], int]) -> None:
        self._trace, self._output, self._wanted = trace, output, wanted
        self._stand_ins = {id(s): i for i, s in enumerate(given.tensors)}
        self._storages = {s._storage: i for i, (s, x) in enumerate(zip(given.tensors, arguments)) if isinstance(x, Tensor)}
        self._containers = {id(x): Container(i) for i, x in enumerate(given.containers)}
        self._shared: dict[Storage, Tensor] = {}
        self._made: dict[int, Any] = {}

    def shared_inside(self, results: Any) -> None:
        """Look which of the tensors in all that leaves the step share memory."""
        self._shared = _shared_inside(results, self._trace)

    def of(self, x: Any) -> Any:
        """The template of something that leaves the step."""
        if id(x) in self._containers:
            return self._containers[id(x)]
        inside = children(x, objects=self._holds_traced(x))
        if inside is None:
            return self._leaf(x)
        made = self._made.get(id(x))
        if made is None:
            made = self._made[id(x)] = Built(container_of(x, dict.fromkeys(inside[1])), {})
            made.held.update({k: self.of(v) for k, v in inside[1].items()})
        return made

    def left(self, x: Any) -> Any:
        """The template of something that the step leaves outside: without history, as is all that nobody asked to keep it."""
        return self.of(x.detach() if isinstance(x, Tensor) and x._storage.trace is self._trace and not x._requires_grad
                       and x.requires_grad else x)

    def _holds_traced(self, x: Any) -> bool:
        """Whether an object of a user's class was made inside, since what it holds was."""
        return is_open(type(x)) and any((isinstance(v, Tensor) and v._storage.trace is self._trace) or id(v) in self._containers
                                        for v in all_leaves(x))

    def _leaf(self, x: Any) -> Any:
        if type(x) is Scalar:
            return self._late(x)
        if not isinstance(x, Tensor):
            return x
        made = self._made.get(id(x))
        if made is None:
            made = self._made[id(x)] = self._template(x)
        return made

    def _late(self, x: Any) -> Any:
        """The same without numbers of the trace."""
        kind = type(x)
        if kind is Scalar:
            return Number(self._wanted(x))
        if kind is Window:
            return Late(partial(block_of, x.sizes), [self._late(a) for a in x.start])
        if kind is Geometry and type(x.offset) is Scalar:
            return Late(partial(Geometry, x.stride), [self._late(x.offset)])
        return x

    def _alias(self, of: Any, steps: tuple[Step, ...], geometry: Geometry | None, detached: bool) -> Alias:
        return Alias(of, tuple(map(self._late, steps)), self._late(geometry), detached)

    def _output_of(self, x: Tensor) -> Output:
        return Output(self._output(x._read()), self._late(x._geometry))

    def _template(self, x: Tensor) -> Any:
        """What to return for a tensor: what aliases an argument or a tensor from outside still does so."""
        index = self._storages.get(x._storage)
        if index is None and x._storage.trace is None:
            return x if x._base is None else self._alias(x._base, x._steps, x._geometry, x._detached)
        if index is None:
            root = self._shared.get(x._storage)
            if root is None or not _shows(x, root):
                return self._output_of(x)
            if x is root:
                return self._output_of(x)
            steps, parted = _steps_to(x)
            return self._alias(self._leaf(root), steps, x._geometry, parted or _whole(x) is not root)
        if id(x) in self._stand_ins:
            return Argument(self._stand_ins[id(x)])
        steps, parted = _steps_to(x)
        return self._alias(index, steps, x._geometry, parted or id(_whole(x)) not in self._stand_ins)


def rebuilt(template: Any, outputs: list[Value], call: Signature) -> Any:
    """The function's result; a tensor that came twice in it comes twice."""
    if template is None:
        return None
    if type(template) is Output:
        return template.made(outputs, call.values)
    return rebuilt_all([template], outputs, call)[0]


def rebuilt_all(templates: Iterable[Any], outputs: list[Value], call: Signature) -> list[Any]:
    """All that leaves the step, together: what comes in several of these is one thing."""
    made: dict[int, Any] = {}

    def build(x: Any) -> Any:
        kind = type(x)
        if kind is Argument:
            return call.tensors[x.index]
        if kind is Container:
            return call.containers[x.index]
        if kind is Number:
            return call.values[x.index]
        if kind is not Output and kind is not Alias and kind is not Built:
            return x
        thing = made.get(id(x))
        if thing is None:
            thing = made[id(x)] = (
                x.made(outputs, call.values) if kind is Output else x.made(source(x.of), call.values) if kind is Alias
                else container_of(x.like, {k: build(v) for k, v in x.held.items()}))
        return thing

    def source(of: Any) -> Tensor:
        return call.tensors[of] if isinstance(of, int) else of if isinstance(of, Tensor) else build(of)

    return [build(template) for template in templates]


def _shared_inside(result: Any, trace: Trace) -> dict[Storage, Tensor]:
    """Of storages that were made inside and that several results show: the tensor that all of them are views of."""
    found: dict[Storage, dict[int, Tensor]] = {}

    for x in all_leaves(result):
        if isinstance(x, Tensor) and x._storage.trace is trace and not x._requires_grad:
            found.setdefault(x._storage, {})[id(x)] = x
    return {storage: _whole(next((x for x in tensors.values() if x.requires_grad), next(iter(tensors.values()))))
            for storage, tensors in found.items() if len(tensors) > 1}


def _whole(x: Tensor) -> Tensor:
    """The tensor at the root of a chain of views."""
    while x._base is not None:
        x = x._root
    return x


def _steps_to(x: Tensor) -> tuple[tuple[Step, ...], bool]:
    """The view steps from the root to a tensor, and whether a `detach` is among them."""
    steps: tuple[Step, ...] = ()
    parted = False
    while x._base is not None:
        steps, parted = (*x._steps, *steps), parted or x._parted or x._detached
        x = x._root
    return steps, parted


def _shows(x: Tensor, root: Tensor) -> bool:
    """Whether a tensor can be made again as a view of `root`: not a leaf, and of no other history."""
    apart = _whole(x) is not root or _steps_to(x)[1]
    return not x._requires_grad and not (apart and x.requires_grad)
