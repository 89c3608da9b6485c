"""What a compiled function returns: a template of its result, made at the trace and filled at each call.

What was a view of an argument, of a tensor from outside or of another result is one again, and what came twice comes
twice.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..functions.slicing import seen_through
from ..guards.identity import HIDDEN
from ..ir.errors import TraceError
from ..ir.graph import Value
from ..ir.state import state
from ..tensor.nested import children
from ..tensor.offsets import Placed, computed
from ..tensor.scalar import Scalar, as_key
from ..tensor.steps import Step, Window, block_of
from ..tensor.storage import Storage
from ..tensor.strides import Geometry, contiguous_stride
from ..tensor.tensor import Tensor, attributes_given
from .lasting import Lasting
from .nests import Spot
from .remade import Making, Recipe, Remaking
from .signature import Signature
from .standins import StandIns
from .tape import has_history
from .trace import Trace


class Output:
    """An output of the program, and how it lies in memory; of which class it is, whether it is a leaf or keeps its gradient.

    `grad` is the template of its gradient, if it has one, `given` those of attributes that were put on it. (No dataclass: those
    are containers.)
    """

    __slots__ = ("index", "geometry", "kind", "leaf", "retains", "grad", "given")

    def __init__(self, index: int, geometry: Geometry | Late | None, kind: type[Tensor] = Tensor, leaf: bool = False,
                 retains: bool = False) -> None:
        self.index, self.geometry, self.kind, self.leaf, self.retains = index, geometry, kind, leaf, retains
        self.grad: Any = None
        self.given: dict[str, Any] = {}

    def made(self, outputs: list[Value], values: list[Any]) -> Tensor:
        """The tensor, anew."""
        tensor = Tensor._of(outputs[self.index])
        tensor._geometry = present(self.geometry, outputs, values)
        if self.retains and tensor.requires_grad:
            tensor.retain_grad()
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


class Fixed(_Numbered):
    """One of the tuples among the arguments, itself."""

    __slots__ = ()


class Passed(_Numbered):
    """One of the values among the arguments that the function never reads."""

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


class Built(Recipe):
    """The recipe of a thing that the function made, with the templates of its parts."""

    __slots__ = ()

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(None, {}, recipe.start, recipe.finish)


class Alias:
    """A tensor on the memory of an argument (by its index), of one from outside, or of what another template makes.

    It is detached, or a view by some steps. Steps and geometry may be `Late`: they lie where the call says. `history` is an
    output: that of a detached tensor which was written since. `argument` is that whose memory it is. `grad` and `given` as of
    an output.
    """

    __slots__ = ("of", "argument", "steps", "geometry", "detached", "history", "kind", "leaf", "grad", "given")

    def __init__(self, x: Tensor, of: Any, argument: int | None, steps: tuple[Step | Late, ...],
                 geometry: Geometry | Late | None, detached: bool, history: int | None) -> None:
        self.of, self.argument, self.steps, self.geometry, self.detached = of, argument, steps, geometry, detached
        self.history, self.kind, self.leaf = history, type(x), x._requires_grad
        self.grad: Any = None
        self.given: dict[str, Any] = {}

    def made(self, tensor: Tensor, outputs: list[Value], call: Signature) -> Tensor:
        """The tensor, anew, on the memory of this one."""
        if self.detached and not self.steps:
            tensor = tensor.detach()
        for given in self.steps:
            step: Step = present(given, outputs, call.values)
            tensor = seen_through(tensor, step) if isinstance(step, Window) else tensor._view(step)
        if self.steps:
            tensor._geometry, tensor._detached = self._places(tensor, outputs, call), tensor._detached or self.detached
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
        self._trace, self._output, self._wanted = trace, output, wanted
        self._held = {id(x): Held(spot) for x, spot in held if isinstance(x, Tensor)}
        self._held_memory = {x._storage: self._held[id(x)] for x, _ in held if isinstance(x, Tensor)}
        self._gradients = {gradient._storage: (gradient, leaf) for leaf, gradient in gradients.items()}
        self.gradients_needed: list[Tensor] = []
        self._passed: dict[Storage, Gradient] = {}
        self._stand_ins = {id(s): i for i, s in enumerate(given.tensors)}
        self._storages = {s._storage: i for i, (s, x) in enumerate(zip(given.tensors, arguments)) if isinstance(x, Tensor)}
        self._begun: set[int] = set()  # things that cannot be changed whose parts are being looked at
        self._containers: dict[int, Any] = {id(x): Held(spot) for x, spot in held if not isinstance(x, Tensor)}
        self._containers |= {id(x): Container(i) for i, x in enumerate(given.containers)}
        self._containers |= {id(x): Fixed(i) for i, x in enumerate(given.tuples)} | _lists(trace)
        self._containers |= {id(x): Passed(i) for i, x in enumerate(given.left_out.unread)}
        self._remaking = Remaking(trace, is_known, self._containers)
        self.lasting = Lasting(trace, self._remaking, self._containers, is_known, given.told_apart)
        self._shared: dict[Storage, Tensor] = {}
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []

    def shared_inside(self, results: Any) -> None:
        """Look which of the tensors in all that leaves the step share memory."""
        self._shared = _shared_inside(self._remaking.leaves(results), self._trace)

    def of(self, x: Any) -> Any:
        """The template of something that leaves the step."""
        if id(x) in self._containers:
            return self._containers[id(x)]
        recipe = self._remaking.of(x)
        if recipe is None:
            return self._leaf(x)
        made = self._made.get(id(x))
        if made is None:
            if isinstance(x, (dict, set, frozenset)):
                self.lasting.check_tensors(x)
            self.lasting.check_class(type(x))
            made = self._made[id(x)] = Built(recipe)
            self._kept.append(x)
            fixed = recipe.start is None
            if fixed:
                self._begun.add(id(x))
            made.held.update({k: self.of(v) for k, v in recipe.held.items()})
            if fixed:
                self._begun.remove(id(x))
                if all(made.held[k] is v for k, v in recipe.held.items()):
                    made = self._made[id(x)] = as_key(x) if type(x) is frozenset else x  # nothing in it is of a call
        elif id(x) in self._begun:
            raise TraceError(f"a {type(x).__name__} that {self._trace.name} makes holds itself, so that no call could make one "
                             "like it. Make it outside, and let the function put things into it.")
        return made

    def has_met(self, gradient: Tensor) -> bool:
        """Whether a `.grad` is there already, or leaves the step another way too."""
        return (gradient._storage.trace is not self._trace or id(gradient) in self._made or id(gradient) in self._stand_ins
                or gradient._storage in self._shared)

    def left(self, x: Any, is_read: bool, nested: bool = False) -> Any:
        """The template of something that the step leaves outside: without history, as is all that nobody asked to keep it.

        So is what is in a container of state (`nested`). A thing that code reads there (`is_read`) is the same one at each call
        if it holds nothing of one: another one would be another program.
        """
        if isinstance(x, Tensor):
            if x._storage.trace is not self._trace or x._requires_grad or not x.requires_grad:
                return self.of(x)
            if state.grad and id(x) not in self._trace.values_only and has_history(x._read()):
                warnings.warn(f"{self._trace.name} leaves a tensor outside, in an attribute or a container, that has a history: "
                              "it keeps its value only. Return it, if a backward outside is to go through it; store "
                              "x.detach() if none is.", stacklevel=2)
            return self.of(x.detach())
        if nested and id(x) not in self._containers and children(x) and (recipe := self._remaking.of(x)) is not None:
            built = Built(recipe)
            built.held.update({k: self.left(v, False, nested) for k, v in recipe.held.items()})
            return built
        return self._leaf(x) if is_read and children(x) is None and not self._remaking.holds(x) else self.of(x)

    def _leaf(self, x: Any) -> Any:
        if type(x) is Scalar:
            return self._late(x)
        if x is HIDDEN:
            raise AttributeError("an attribute that code seems only to set is read")  # which is traced again, without hiding it
        if not isinstance(x, Tensor):
            self.lasting.check(x)
            return x
        made = self._made.get(id(x))
        if made is None:
            made = self._made[id(x)] = self._template(x)
            self._kept.append(x)  # or its id would be another's
            if type(made) in (Output, Alias):
                if (gradient := self._trace.grads.get(x)) is not None:
                    made.grad = self.of(gradient)
                made.given = {name: self.of(value) for name, value in attributes_given(x).items()}
        return made

    def _late(self, x: Any) -> Any:
        """A number, a place or a step without numbers and tensors of the trace."""
        kind = type(x)
        if kind is Scalar:
            return Number(self._wanted(x))
        if kind is Window:
            return Late(partial(block_of, x.sizes, x.apart), [self._late(a) for a in x.start])
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
                return self._alias(x, None, lambda: self._memory_of(x) or _showing(x, self._trace))
            gradient, _ = self._gradients.get(x._storage, (None, None))
            return self._memory_of(x) if gradient is x else self._held.get(id(x), x)
        if index is not None:
            stand_in = self._stand_ins.get(id(x))
            return self._alias(x, index, lambda: index) if stand_in is None else Argument(stand_in)
        root = self._shared.get(x._storage)
        if root is None or x is root:
            return Output(self._output(x._read()), _place(x, self._late), type(x), x._requires_grad, x._retains_grad)
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


def _showing(x: Tensor, trace: Trace) -> Tensor:
    """What shows the memory outside that a detached tensor shows: another handle would not follow where `.data` is set."""
    for tensor in trace.handles:
        if tensor._storage is x._storage and tensor._inside is None and tensor._base is None:
            return tensor
    return x.detach()


def _place(x: Tensor, late: Callable[[Any], Any]) -> Any:
    """How a tensor lies that leaves without the memory around it, or the way to tell: by what `late` makes of the positions."""
    found = () if x._base is None else computed(x)
    if not found:
        return late(x._geometry)

    def placed(offset: int, *positions: Tensor) -> Placed:
        return Placed(stride, offset, tuple(zip(positions, apart)))

    stride, apart = x.stride(), [n for _, n in found]
    return Late(placed, [late(a) for a in (x._strides.offset, *(at for at, _ in found))])


def _lists(trace: Trace) -> dict[int, Any]:
    """What becomes of lists that stood for others: the one that is there at a call, if the trace did no more than append."""
    return {id(stand_in): Held(Spot(owner, at[1], ())) if at in trace.appended else x
            for at, (owner, x, stand_in) in trace.lists.items()}


def rebuilt(template: Any, outputs: list[Value], call: Signature) -> Any:
    """The function's result; a tensor that came twice in it comes twice."""
    if template is None:
        return None
    if type(template) is Output and template.grad is None and not template.given:
        return template.made(outputs, call.values)
    return rebuilt_all([template], outputs, call)[0]


def rebuilt_all(templates: Iterable[Any], outputs: list[Value], call: Signature) -> list[Any]:
    """All that leaves the step, together: what comes in several of these is one thing."""
    made: dict[int, Any] = {}

    def look(x: Any) -> Any:
        kind = type(x)
        if kind is Argument:
            return call.tensors[x.index]
        if kind is Container:
            return call.containers[x.index]
        if kind is Fixed:
            return call.tuples[x.index]
        if kind is Passed:
            return call.unread[x.index]
        if kind is Number:
            return call.values[x.index]
        if kind is Held:
            return x.spot.get()
        if kind is Gradient:
            return call.gradients[x.index]
        if kind is not Output and kind is not Alias:
            return x
        thing = made.get(id(x))
        if thing is None:
            thing = made[id(x)] = (
                x.made(outputs, call.values) if kind is Output else x.made(source(x.of), outputs, call))
            if x.grad is not None:
                thing._bind_grad(build(x.grad))
            if x.given:
                thing.__dict__.update({name: build(value) for name, value in x.given.items()})
        return thing

    def source(of: Any) -> Tensor:
        return call.tensors[of] if isinstance(of, int) else of if isinstance(of, Tensor) else build(of)

    build = Making(look)
    return [build(template) for template in templates]


def _shared_inside(leaves: Iterable[Any], trace: Trace) -> dict[Storage, Tensor]:
    """Of storages that were made inside and that several results show: the tensor that all of them are views of."""
    found: dict[Storage, dict[int, Tensor]] = {}

    for x in leaves:
        if isinstance(x, Tensor) and x._storage.trace is trace:
            found.setdefault(x._storage, {})[id(x)] = x
    return {storage: _whole(next((x for x in tensors.values() if x.requires_grad), next(iter(tensors.values()))))
            for storage, tensors in found.items() if len(tensors) > 1}


def _whole(x: Tensor) -> Tensor:
    """The tensor at the root of a chain of views."""
    while x._base is not None:
        x = x._root
    return x
