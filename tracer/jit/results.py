"""What a compiled function returns: a template of its result, made at the trace and filled at each call.

What was a view of an argument, of a tensor from outside or of another result is one again, and what came twice comes
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..ir.graph import Value
from ..tensor.nested import all_leaves, children, container_of, is_open
from ..tensor.scalar import Scalar
from ..tensor.steps import Step
from ..tensor.storage import Storage
from ..tensor.strides import Geometry, contiguous_stride
from ..tensor.tensor import Tensor
from .signature import Signature
from .standins import StandIns
from .trace import Trace


class Output:
    """An output of the program, and how it lies in memory. (No dataclass: those are containers.)"""

    __slots__ = ("index", "geometry")

    def __init__(self, index: int, geometry: Geometry | None) -> None:
        self.index, self.geometry = index, geometry

    def made(self, outputs: list[Value]) -> Tensor:
        """The tensor, anew."""
        tensor = Tensor._of(outputs[self.index])
        tensor._geometry = self.geometry
        return tensor


class Argument:
    """An argument itself."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Number:
    """A number that the function was given, or found in a group of an optimizer, and returns as it is."""

    __slots__ = ("read",)

    def __init__(self, read: Callable[[Signature], Any]) -> None:
        self.read = read


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
    """A view of an argument (by its index), of another output, or of a tensor from outside."""

    __slots__ = ("of", "steps", "geometry", "detached")

    def __init__(self, of: int | Tensor | Output, steps: tuple[Step, ...], geometry: Geometry | None,
                 detached: bool) -> None:
        self.of, self.steps, self.geometry, self.detached = of, steps, geometry, detached

    def made(self, tensor: Tensor) -> Tensor:
        """The view, anew, of what it is a view of."""
        if self.detached:
            tensor = tensor.detach()
        first = tensor._strides.offset * tensor.itemsize if type(self.of) is int else 0  # the trace knew strides alone
        for step in self.steps:
            tensor = tensor._view(step)
        if self.steps:
            places = self.geometry
            if first:
                places = places or Geometry(contiguous_stride(tensor._type.shape))
                places = Geometry(places.stride, places.offset + first // tensor.itemsize)
            tensor._geometry = places
        return tensor


class Template:
    """The result of a traced function with its tensors replaced by what they are made of.

    `output(value)` makes a value an output of the program and gives its number; `numbers` says how those that are inputs of
    the program are read again.
    """

    def __init__(self, trace: Trace, arguments: list[Any], given: StandIns,
                 numbers: dict[Value, Callable[[Signature], Any]], output: Callable[[Value], int]) -> None:
        self._trace, self._output, self._numbers = trace, output, numbers
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
            read = self._numbers.get(x.value)
            return x.look() if read is None else Number(read)
        if not isinstance(x, Tensor):
            return x
        made = self._made.get(id(x))
        if made is None:
            made = self._made[id(x)] = self._template(x)
        return made

    def _template(self, x: Tensor) -> Any:
        """What to return for a tensor: what aliases an argument or a tensor from outside still does so."""
        index = self._storages.get(x._storage)
        if index is None and x._storage.trace is None:
            return x if x._base is None else Alias(x._base, x._steps, x._geometry, x._detached)
        if index is None:
            root = self._shared.get(x._storage)
            if root is None or not _shows(x, root):
                return Output(self._output(x._read()), x._geometry)
            if x is root:
                return Output(self._output(x._read()), x._geometry)
            steps, parted = _steps_to(x)
            return Alias(self._leaf(root), steps, x._geometry, parted or _whole(x) is not root)
        if id(x) in self._stand_ins:
            return Argument(self._stand_ins[id(x)])
        steps, parted = _steps_to(x)
        return Alias(index, steps, x._geometry, parted or id(_whole(x)) not in self._stand_ins)


def rebuilt(template: Any, outputs: list[Value], call: Signature) -> Any:
    """The function's result; a tensor that came twice in it comes twice."""
    if template is None:
        return None
    if type(template) is Output:
        return template.made(outputs)
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
            return x.read(call)
        if kind is not Output and kind is not Alias and kind is not Built:
            return x
        thing = made.get(id(x))
        if thing is None:
            thing = made[id(x)] = (
                x.made(outputs) if kind is Output else x.made(source(x.of)) if kind is Alias
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
