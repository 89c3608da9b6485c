"""What a compiled function returns: a template of its result, made at the trace and filled at each call.

What was a view of an argument, of a tensor from outside or of another result is one again, and what came twice comes
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..functions.slicing import windowed
from ..guards.identity import HIDDEN
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..tensor.nested import all_leaves, children, container_of, contents, is_module, is_open, vars_of
from ..tensor.scalar import Scalar, as_key, keyed
from ..tensor.steps import Step, Window, block_of
from ..tensor.storage import Storage
from ..tensor.strides import Geometry, contiguous_stride
from ..tensor.tensor import Tensor
from .nests import Spot
from .signature import Signature
from .standins import StandIns
from .trace import Trace


class Output:
    """An output of the program, and how it lies in memory; of which class it is, and whether it is a leaf.

    `grad` is the template of its gradient, if it has one. (No dataclass: those are containers.)
    """

    __slots__ = ("index", "geometry", "kind", "leaf", "grad")

    def __init__(self, index: int, geometry: Geometry | Late | None, kind: type[Tensor] = Tensor, leaf: bool = False) -> None:
        self.index, self.geometry, self.kind, self.leaf = index, geometry, kind, leaf
        self.grad: Any = None

    def made(self, outputs: list[Value], values: list[Any]) -> Tensor:
        """The tensor, anew."""
        tensor = Tensor._of(outputs[self.index])
        tensor._geometry = present(self.geometry, outputs, values)
        return tensor if self.kind is Tensor and not self.leaf else _became(tensor, self.kind, self.leaf)


class _Numbered:
    """Something of the call; `index` counts among its kind."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Argument(_Numbered):
    """An argument itself."""

    __slots__ = ()


class Container(_Numbered):
    """One of the containers among the arguments, itself."""

    __slots__ = ()


class Number(_Numbered):
    """A number that is computed on the host at each call."""

    __slots__ = ()


class Gradient(_Numbered):
    """What the `.grad` of a tensor is before the call, itself."""

    __slots__ = ()


class Held:
    """The tensor or container that a place holds before the call binds another one there."""

    __slots__ = ("spot",)

    def __init__(self, spot: Spot) -> None:
        self.spot = spot


class Late:
    """What is made at each call: `make` of these `parts`, where a `Number` and an `Output` are those of the call."""

    __slots__ = ("make", "parts")

    def __init__(self, make: Callable[..., Any], parts: Sequence[Any]) -> None:
        self.make, self.parts = make, tuple(parts)


def present(x: Any, outputs: list[Value], values: list[Any]) -> Any:
    """What it is in a call that has these outputs and numbers."""
    if type(x) is not Late:
        return x
    return x.make(*(values[p.index] if type(p) is Number else p.made(outputs, values) if type(p) is Output else p
                    for p in x.parts))


class Built:
    """A container that the function made: one like it, and the templates of what it holds."""

    __slots__ = ("like", "held")

    def __init__(self, like: Any, held: dict[Any, Any]) -> None:
        self.like, self.held = like, held


class Alias:
    """A tensor on the memory of an argument (by its index), of one from outside, or of what another template makes.

    It is detached, or a view by some steps. Steps and geometry may be `Late`: they lie where the call says. `history` is an
    output: that of a detached tensor which was written since. `argument` is that whose memory it is. `grad` as of an output.
    """

    __slots__ = ("of", "argument", "steps", "geometry", "detached", "history", "kind", "leaf", "grad")

    def __init__(self, x: Tensor, of: Any, argument: int | None, steps: tuple[Step | Late, ...],
                 geometry: Geometry | Late | None, detached: bool, history: int | None) -> None:
        self.of, self.argument, self.steps, self.geometry, self.detached = of, argument, steps, geometry, detached
        self.history, self.kind, self.leaf = history, type(x), x._requires_grad
        self.grad: Any = None

    def made(self, tensor: Tensor, outputs: list[Value], call: Signature) -> Tensor:
        """The tensor, anew, on the memory of this one."""
        if self.detached:
            tensor = tensor.detach()
        for given in self.steps:
            step: Step = present(given, outputs, call.values)
            tensor = windowed(tensor, step.start, step.sizes, 0) if isinstance(step, Window) else tensor._view(step)
        if self.steps:
            tensor._geometry = self._places(tensor, outputs, call)
        if self.history is not None:
            tensor._parted, tensor._graph, tensor._graph_of = True, outputs[self.history], tensor._contents()
        return tensor if self.kind is Tensor and not self.leaf else _became(tensor, self.kind, self.leaf)

    def _places(self, tensor: Tensor, outputs: list[Value], call: Signature) -> Geometry | None:
        """Where it lies: the trace knew the strides of an argument alone."""
        places: Geometry | None = present(self.geometry, outputs, call.values)
        argument = None if self.argument is None else call.tensors[self.argument]
        first = argument._strides.offset * argument.itemsize if isinstance(argument, Tensor) else 0
        if not first:
            return places
        places = places or Geometry(contiguous_stride(tensor._type.shape))
        return Geometry(places.stride, places.offset + first // tensor.itemsize)


def _became(tensor: Tensor, kind: type[Tensor], leaf: bool) -> Tensor:
    """A tensor that nobody has yet, of another class or as a leaf; also of a value that a history outside ends in already."""
    tensor.__class__ = kind
    if leaf and tensor._storage.value.requires_grad:
        tensor._become_leaf()
        tensor._mark_leaf(tensor._storage.value)
    elif leaf:
        tensor.requires_grad_()
    return tensor


class Template:
    """The result of a traced function with its tensors replaced by what they are made of.

    `is_known` says what was there before the trace, `held` which tensors a call finds in a slot, `gradients` which it finds as
    the `.grad` of another; those that it needs are `gradients_needed`. `output(value)` makes a value an output of the program
    and gives its number, `wanted(scalar)` has a number computed.
    """

    def __init__(self, trace: Trace, arguments: list[Any], given: StandIns, is_known: Callable[[Any], bool],
                 held: Sequence[tuple[Any, Spot]], gradients: Mapping[Tensor, Tensor], wanted: Callable[[Scalar], int],
                 output: Callable[[Value], int]) -> None:
        self._trace, self._is_known, self._output, self._wanted = trace, is_known, output, wanted
        self._held = {id(x): Held(spot) for x, spot in held}
        self._held_memory = {x._storage: self._held[id(x)] for x, _ in held if isinstance(x, Tensor)}
        self._gradients = {gradient._storage: (gradient, leaf) for leaf, gradient in gradients.items()}
        self.gradients_needed: list[Tensor] = []
        self._passed: dict[Storage, Gradient] = {}
        self._stand_ins = {id(s): i for i, s in enumerate(given.tensors)}
        self._storages = {s._storage: i for i, (s, x) in enumerate(zip(given.tensors, arguments)) if isinstance(x, Tensor)}
        self._begun: set[int] = set()  # containers whose contents are being looked at
        self._lists = {id(stand_in): Held(Spot(owner, at[1], ())) if at in trace.appended else x
                       for at, (owner, x, stand_in) in trace.lists.items()}
        self._containers = {id(x): Container(i) for i, x in enumerate(given.containers)}
        self._shared: dict[Storage, Tensor] = {}
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []

    def shared_inside(self, results: Any) -> None:
        """Look which of the tensors in all that leaves the step share memory."""
        self._shared = _shared_inside(results, self._trace)

    def of(self, x: Any) -> Any:
        """The template of something that leaves the step."""
        x = self._lists.get(id(x), x)
        if type(x) is Held:
            return x
        if id(x) in self._containers:
            return self._containers[id(x)]
        if id(x) in self._held and not isinstance(x, Tensor):
            return self._held[id(x)]
        inside = None if self._is_known(x) else contents(x) if self._holds_traced(x) else children(x)
        if inside is None:
            return self._leaf(x)
        made = self._made.get(id(x))
        if made is None:
            held = keyed(inside[1])
            check_keys(held, self._trace)
            made = self._made[id(x)] = Built(container_of(x, dict.fromkeys(held)), {})
            self._begun.add(id(x))
            made.held.update({k: self.of(v) for k, v in held.items()})
            self._begun.remove(id(x))
            if isinstance(x, tuple) and all(made.held[k] is v for k, v in inside[1].items()):
                made = self._made[id(x)] = x  # nothing in it is of a call
                self._kept.append(x)
        elif id(x) in self._begun:
            raise TraceError(f"a {type(x).__name__} that {self._trace.name} makes holds itself, so that no call could make one "
                             "like it. Make it outside, and let the function put things into it.")
        return made

    def has_met(self, gradient: Tensor) -> bool:
        """Whether a `.grad` is there already, or leaves the step another way too."""
        return (gradient._storage.trace is not self._trace or id(gradient) in self._made or id(gradient) in self._stand_ins
                or gradient._storage in self._shared)

    def left(self, x: Any, state: bool = False) -> Any:
        """The template of something that the step leaves outside: without history, as is all that nobody asked to keep it.

        So are tensors in a container that is `state`.
        """
        if isinstance(x, Tensor):
            flows = x._storage.trace is self._trace and not x._requires_grad and x.requires_grad
            return self.of(x.detach() if flows else x)
        if state and id(x) not in self._held and not self._is_known(x) and (inside := children(x)) is not None:
            held = {k: self.left(v, state) for k, v in keyed(inside[1]).items()}
            return Built(container_of(x, dict.fromkeys(held)), held)
        return self.of(x)

    def _holds_traced(self, x: Any) -> bool:
        """Whether an object of a user's class was made inside, since what it holds was."""
        return holds_traced(x, self._trace) or (is_open(type(x)) and any(id(v) in self._containers for v in all_leaves(x)))

    def _leaf(self, x: Any) -> Any:
        if type(x) is Scalar:
            return self._late(x)
        if x is HIDDEN:
            raise AttributeError("an attribute that code seems only to set is read")  # which is traced again, without hiding it
        if not isinstance(x, Tensor):
            if type(x) not in (set, frozenset) or self._is_known(x):
                return x
            check_keys(dict.fromkeys(x), self._trace)
            return type(x)(map(as_key, x))
        made = self._made.get(id(x))
        if made is None:
            made = self._made[id(x)] = self._template(x)
            self._kept.append(x)  # or its id would be another's
            if type(made) in (Output, Alias) and (gradient := self._trace.grads.get(x)) is not None:
                made.grad = self.of(gradient)
        return made

    def _late(self, x: Any) -> Any:
        """A number, a place or a step without numbers and tensors of the trace."""
        kind = type(x)
        if kind is Scalar:
            return Number(self._wanted(x))
        if kind is Window:
            return Late(partial(block_of, x.sizes), [self._late(a) for a in x.start])
        if kind is Geometry and type(x.offset) is Scalar:
            return Late(partial(Geometry, x.stride), [self._late(x.offset)])
        if isinstance(x, Tensor) and x._storage.trace is self._trace:
            return Output(self._output(x._read()), None)
        return x

    def _template(self, x: Tensor) -> Any:
        """What to return for a tensor: what aliases an argument or a tensor from outside still does so."""
        index = self._storages.get(x._storage)
        if index is None and x._storage.trace is None:
            if x._inside is self._trace.mark:
                return self._alias(x, None, lambda: self._memory_of(x) or x.detach())
            gradient, _ = self._gradients.get(x._storage, (None, None))
            return self._memory_of(x) if gradient is x else self._held.get(id(x), x)
        if index is not None:
            stand_in = self._stand_ins.get(id(x))
            return self._alias(x, index, lambda: index) if stand_in is None else Argument(stand_in)
        root = self._shared.get(x._storage)
        if root is None or x is root:
            return Output(self._output(x._read()), self._late(x._geometry), type(x), x._requires_grad)
        return self._alias(x, None, lambda: self._leaf(root))

    def _memory_of(self, x: Tensor) -> Any:
        """The template of the tensor whose memory a tensor shows and that each call looks up; None if there is none."""
        if x._storage not in self._gradients:
            return self._held_memory.get(x._storage)
        found = self._passed.get(x._storage)
        if found is None:
            found = self._passed[x._storage] = Gradient(len(self.gradients_needed))
            self.gradients_needed.append(self._gradients[x._storage][1])
        return found

    def _alias(self, x: Tensor, argument: int | None, memory: Callable[[], Any]) -> Alias:
        """The template of a view, or of a detached tensor on what `memory()` gives."""
        steps, geometry = tuple(map(self._late, x._steps)), self._late(x._geometry)
        history = self._output(x._read()) if x._graph is not None else None
        if x._base is None:
            return Alias(x, memory(), argument, steps, geometry, True, history)
        return Alias(x, self._leaf(x._root), argument, steps, geometry, x._detached, history)


def holds_traced(x: Any, trace: Trace) -> bool:
    """Whether an object of a user's class holds a tensor that a trace made, or is a module that it made."""
    if is_module(type(x)):
        return id(vars_of(x)) in trace.inside
    return is_open(type(x)) and any(isinstance(v, Tensor) and v._storage.trace is trace for v in all_leaves(x))


def check_keys(held: Mapping[Any, Any], trace: Trace) -> None:
    """TraceError for a tensor of the trace as a key: each call would need another one."""
    for key in held:
        if isinstance(key, Tensor) and (key._storage.trace is trace or trace.is_stand_in(key)):
            raise TraceError("a traced tensor is a key of a dictionary, or a member of a set, that outlives the step: keys are "
                             "compared while a function is traced. Use a number or a name as the key.")


def rebuilt(template: Any, outputs: list[Value], call: Signature) -> Any:
    """The function's result; a tensor that came twice in it comes twice."""
    if template is None:
        return None
    if type(template) is Output and template.grad is None:
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
        if kind is Held:
            return x.spot.get()
        if kind is Gradient:
            return call.gradients[x.index]
        if kind is not Output and kind is not Alias and kind is not Built:
            return x
        thing = made.get(id(x))
        if thing is None:
            thing = made[id(x)] = (
                x.made(outputs, call.values) if kind is Output else x.made(source(x.of), outputs, call) if kind is Alias
                else container_of(x.like, {k: build(v) for k, v in x.held.items()}))
            if kind is not Built and x.grad is not None:
                thing._bind_grad(build(x.grad))
        return thing

    def source(of: Any) -> Tensor:
        return call.tensors[of] if isinstance(of, int) else of if isinstance(of, Tensor) else build(of)

    return [build(template) for template in templates]


def _shared_inside(result: Any, trace: Trace) -> dict[Storage, Tensor]:
    """Of storages that were made inside and that several results show: the tensor that all of them are views of."""
    found: dict[Storage, dict[int, Tensor]] = {}

    for x in all_leaves(result):
        if isinstance(x, Tensor) and x._storage.trace is trace:
            found.setdefault(x._storage, {})[id(x)] = x
    return {storage: _whole(next((x for x in tensors.values() if x.requires_grad), next(iter(tensors.values()))))
            for storage, tensors in found.items() if len(tensors) > 1}


def _whole(x: Tensor) -> Tensor:
    """The tensor at the root of a chain of views."""
    while x._base is not None:
        x = x._root
    return x
