"""`autograd.Function`: https://pytorch.org/docs/stable/notes/extending.html

`forward` is recorded as ordinary nodes through which no gradient flows, and a `custom_gradient` node passes its results
on. Its rule holds what the context was told; `backward` runs when a gradient is asked for, on whatever the node's
operands are by then: in another trace, under `vmap`, in a jitted step.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import ref

from ..functions.operands import broadcast_shapes, cast_value, full, same_shape, wrap
from ..guards.identity import static_key
from ..ir.constants import full_like, with_leading
from ..ir.graph import Value
from ..ir.recorder import grad_mode, user_backward
from ..ir.state import state
from ..ir.told import tell
from ..ir.types import Type
from ..ops.custom import Flags, PassedOn, custom_gradient, transposed, zero_where_none
from ..ops.reduction import reduce_sum
from ..ops.structural import transpose
from ..tensor.context import context
from ..tensor.kept_scalars import Kept
from ..tensor.nested import leaves, map_structure
from ..tensor.scalar import Scalar
from ..tensor.tensor import Tensor

LEAF_WRITTEN = "a leaf Variable that requires grad has been used in an in-place operation."
NO_BACKWARD = ("You must implement either the backward or vjp method for your custom autograd.Function to use it with "
               "backward mode AD.")
TWO_BACKWARDS = ("Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement "
                 "one of them.")


class FunctionCtx:
    """What `forward` hands to `backward`: saved tensors, and whatever attributes it sets."""

    def __init__(self, needs_input_grad: Flags, saved: tuple[Any, ...] = ()) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved = saved
        self._dirty: tuple[Tensor, ...] = ()
        self._plain: tuple[Tensor, ...] = ()
        self._materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which finds them in `saved_tensors`."""
        for i, x in enumerate(tensors):
            if x is not None and not isinstance(x, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {i} is of type "
                                f"{type(x).__name__}")
        self._saved = tensors

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given."""
        return self._saved

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        """`saved_tensors` under its old name, with torch's warning."""
        tell("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning)
        return self._saved

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs `forward` changed in place; they must be among its results."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say through which results no gradient flows."""
        self._plain = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for results that no gradient flows to."""
        self._materialize = value


_OF_THE_CONTEXT = frozenset(vars(FunctionCtx(())))


class Function:
    """An operation with a gradient of its own: subclasses define static methods, users call `apply`.

    Either `forward(ctx, *args)`, or `forward(*args)` with `setup_context(ctx, inputs, output)`; then
    `backward(ctx, *grad_outputs)` (or `vjp`, its other name), which returns a gradient or None per argument. `jvp` and
    `vmap` replace what is derived from these.

    >>> import flambeau as torch
    >>> class Cube(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         x, = ctx.saved_tensors
    ...         return 3 * x ** 2 * grad_output
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    generate_vmap_rule = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
                           "function with static forward method. (Example: "
                           "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the function computes."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """What `backward` needs to know, for a `forward` that takes no context."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """A gradient or None per argument of `forward`, given those of its results."""
        raise NotImplementedError(NO_BACKWARD)

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """A tangent per result, given those of the arguments; derived from `backward` unless defined."""
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it with "
                                  "forward mode AD.")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> Any:
        """(results, their batch dimensions) over a batch; derived from `forward` and `backward` unless defined."""
        raise NotImplementedError("You must implement the vmap function for custom autograd.Function to use it with vmap.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        separate = _defines(cls, "setup_context")
        if separate:
            args, kwargs = _bound(cls.forward, args, kwargs), {}
        context = FunctionCtx(tuple(isinstance(x, Tensor) and x.requires_grad for x in args))
        primals = [x._read() for x in args if isinstance(x, Tensor)]  # before forward changes them
        with grad_mode(False):
            if separate:
                output = cls.forward(*args)
                cls.setup_context(context, args, output)
            else:
                output = cls.forward(context, *args, **kwargs)
        return _Application(cls, context, args, primals).passed_on(output)


def _defines(function: type[Function], name: str) -> bool:
    return getattr(function, name) is not getattr(Function, name)


def _bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """All arguments in their order, the defaults included."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args


class Slot:
    """Stands for a tensor, or a number argument of a compiled step, in what a rule holds: an input or an output of it."""

    __slots__ = ("output", "index", "number", "given")

    def __init__(self, output: bool, index: int, number: Kept | None = None, given: Tensor | None = None) -> None:
        self.output, self.index, self.number = output, index, number
        self.given = None if given is None else ref(given)  # the tensor, as long as it is what the value says

    @property
    def key(self) -> tuple[Any, ...]:
        """What two slots that mean the same have in common."""
        return self.output, self.index, self.number is None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slot) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def filled(self, out: Sequence[Value], inputs: Sequence[Value], as_now: bool = False) -> Any:
        """The tensor or number for these values: the very tensor, if it is still there; `as_now`: a leaf even if written."""
        value = (out if self.output else inputs)[self.index]
        if self.number is not None:
            return self.number.at(value)
        if not self.output and (found := self._itself(value, as_now)) is not None:
            return found
        return _saved(value) if value.requires_grad else wrap(value)

    def _itself(self, value: Value, as_now: bool) -> Tensor | None:
        """The tensor that the value is of: the leaf, or what `forward` was given if this is what it holds."""
        while value in state.stands_for and state.stands_for[value] is not value:
            value = state.stands_for[value]
        leaf = value.leaf() if value.leaf is not None else None
        found = leaf if leaf is not None or self.given is None else self.given()
        if found is None or found._storage.trace not in (None, context.trace):
            return None
        if leaf is not None and as_now and leaf._requires_grad:
            return leaf
        return found if found._base is None and found._read() is value else None


def _saved(value: Value) -> Tensor:
    """A tensor that says of itself what the saved one did, in a backward that is not differentiated too."""
    with grad_mode(True):
        made = wrap(value)
        made._requires_grad = made.requires_grad and value.leaf is not None and value.leaf() is not None
    return made


class _Application:
    """One call of `apply`: turns the context into a rule, and the results into outputs of a `custom_gradient` node."""

    def __init__(self, function: type[Function], context: FunctionCtx, args: tuple[Any, ...], primals: list[Value]) -> None:
        self.function, self.context, self.args = function, context, args
        self.inputs = list(primals)
        self.count = len(primals)
        self.tensors = [x for x in args if isinstance(x, Tensor)]
        self.outputs: list[Tensor] = []

    def passed_on(self, output: Any) -> Any:
        """The results of `forward`, with the function's gradient."""
        items = output if isinstance(output, tuple) else (output,)
        self.outputs = [x for x in items if self._differentiable(x)]
        if not self.outputs:
            return output
        self._refuse_written_leaves()
        results = [x._read() for x in self.outputs]
        rule = self._rule(items)
        made = iter(custom_gradient(*self.inputs, *results, outputs=len(results), rule=rule))
        passed = tuple(self._result(x, next(made) if self._differentiable(x) else None) for x in items)
        return passed if isinstance(output, tuple) else passed[0]

    def _differentiable(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.dtype.is_inexact and not _contains(self.context._plain, x)

    def _refuse_written_leaves(self) -> None:
        if any(x._requires_grad for x in self.context._dirty) and any(self.context.needs_input_grad):
            raise RuntimeError(LEAF_WRITTEN)

    def _result(self, x: Any, value: Value | None) -> Any:
        if value is None:
            return x.detach() if isinstance(x, Tensor) and x.requires_grad else x
        if _contains(self.context._dirty, x):
            x._write(value)
            return x
        return wrap(value)

    def _rule(self, items: Sequence[Any]) -> FunctionRule:
        context = self.context
        attributes = {k: v for k, v in vars(context).items() if k not in _OF_THE_CONTEXT}
        numbers = iter(range(len(self.outputs)))
        places = tuple(next(numbers) if self._differentiable(x) else x._type if isinstance(x, Tensor) else None
                       for x in items)
        return FunctionRule(self.function, map_structure(context._saved, self._slot),
                            map_structure(attributes, self._slot), self._arguments(), places, context._materialize)

    def _arguments(self) -> tuple[Any, ...]:
        """What stands for each argument: of a tensor its own place, also where one is given several times or written."""
        own, held = iter(range(self.count)), _defines(self.function, "vmap")
        return tuple(Slot(False, next(own)) if isinstance(x, Tensor) else map_structure(x, self._slot) if held else None
                     for x in self.args)

    def _slot(self, x: Any, path: str) -> Any:
        """What stands for `x` in the rule: itself unless a tensor or a traced number."""
        if type(x) is Scalar:
            return Slot(False, self._input(x.value), Kept(x))
        if not isinstance(x, Tensor):
            return x
        if not _contains(self.context._dirty, x) and _contains(self.tensors, x):
            return Slot(False, _position(self.tensors, x), given=x)
        if _contains(self.outputs, x):
            return Slot(True, _position(self.outputs, x))
        return Slot(False, self._input(x._read()), given=x)

    def _input(self, value: Value) -> int:
        """The position of a value among the node's operands; new ones go behind the arguments."""
        if value not in self.inputs:
            self.inputs.append(value)
        return self.inputs.index(value)


def _position(tensors: Sequence[Any], x: Any) -> int:
    return next(i for i, t in enumerate(tensors) if t is x)


def _contains(tensors: Iterable[Any], x: Any) -> bool:
    return any(t is x for t in tensors)


@dataclass(frozen=True)
class VmapInfo:
    """What a user's `vmap` is told: the size of the batch, and how random numbers are to be drawn."""

    batch_size: int
    randomness: str = "error"


class FunctionRule(PassedOn):
    """The gradient rule of one kind of application of a `Function`."""

    of_user = True

    def __init__(self, function: type[Function], saved: Any, attributes: dict[str, Any], arguments: tuple[Any, ...],
                 places: tuple[int | Type | None, ...], materialize: bool) -> None:
        self.function, self.name = function, function.__name__
        self.saved, self.attributes, self.arguments = saved, attributes, arguments
        self.places = places  # per result of forward: which output it is; the type of a plain tensor; None for no tensor
        self.materialize = materialize
        self._key = (function, static_key(saved), static_key(attributes), static_key(arguments), places, materialize)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionRule) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return self.name

    # --- Reverse ------------------------------------------------------------------------------------------------------

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """What the user's `backward` says, checked."""
        both = _defines(self.function, "backward"), _defines(self.function, "vjp")
        if all(both):
            raise RuntimeError(TWO_BACKWARDS)
        backward = self.function.vjp if both[1] else self.function.backward
        with user_backward():
            results = backward(self._context(out, inputs), *self._cotangents(g, out))
        return self._checked(results if isinstance(results, tuple) else (results,), inputs)

    def _context(self, out: Sequence[Value], inputs: Sequence[Value]) -> FunctionCtx:
        def filled(x: Any, path: str) -> Any:
            return x.filled(out, inputs) if type(x) is Slot else x

        def as_now(x: Any, path: str) -> Any:
            return x.filled(out, inputs, as_now=True) if type(x) is Slot else x

        needs = tuple(type(x) is Slot and inputs[x.index].requires_grad for x in self.arguments)
        context = FunctionCtx(needs, map_structure(self.saved, filled))
        vars(context).update(map_structure(self.attributes, as_now))
        return context

    def _cotangents(self, g: Sequence[Value | None], out: Sequence[Value]) -> list[Tensor | None]:
        given = zero_where_none(g, out) if self.materialize else g

        def of(place: int | Type | None) -> Tensor | None:
            if isinstance(place, Type) and self.materialize:
                return wrap(full(place.shape, 0, place.dtype, out[0].device))
            value = given[place] if isinstance(place, int) else None
            return None if value is None else wrap(value)

        return [of(place) for place in self.places]

    def _checked(self, results: tuple[Any, ...], inputs: Sequence[Value]) -> list[Value | None]:
        count = len(self.arguments)
        if any(x is not None for x in results[count:]) or len(results) < count:
            raise RuntimeError(f"function {self.name}Backward returned an incorrect number of gradients (expected {count}, "
                               f"got {len(results)})")
        found: list[Value | None] = [None] * len(inputs)
        for position, (x, argument) in enumerate(zip(results, self.arguments)):
            if x is None:
                continue
            if not isinstance(x, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(x).__name__})")
            if type(argument) is not Slot:
                raise RuntimeError(f"function {self.name}Backward returned a gradient different than None at position "
                                   f"{position + 1}, but the corresponding forward input was not a Variable")
            if inputs[argument.index].requires_grad:
                found[argument.index] = self._fitting(x._read(), inputs[argument.index].type, position)
        return found

    def _fitting(self, value: Value, wanted: Type, position: int) -> Value:
        """The gradient summed over what was broadcast, in the argument's dtype."""
        given = value.type.shape
        if given != wanted.shape:
            if not _expands(wanted.shape, given):
                raise RuntimeError(f"Function {self.name}Backward returned an invalid gradient at index {position} - got "
                                   f"{list(given)} but expected shape compatible with {list(wanted.shape)}")
            value = _summed(value, wanted.shape)
        return cast_value(value, wanted.dtype)

    # --- Forward, reads, batch ----------------------------------------------------------------------------------------

    def push_forward(self, tangents: Sequence[Value | None], out: Sequence[Value],
                     inputs: Sequence[Value]) -> Sequence[Value | None]:
        """What the user's `jvp` says, or the pull-back transposed."""
        if not _defines(self.function, "jvp"):
            return transposed(self, tangents, out, inputs)
        given = [self._tangent(x, tangents, inputs) for x in self.arguments]
        with user_backward():
            results = self.function.jvp(self._context(out, inputs), *given)
        results = results if isinstance(results, tuple) else (results,)
        return [None if x is None else x._read() for x, place in zip(results, self.places) if isinstance(place, int)]

    def _tangent(self, argument: Any, tangents: Sequence[Value | None], inputs: Sequence[Value]) -> Tensor | None:
        if type(argument) is not Slot:
            return None
        value = tangents[argument.index]
        if value is None and self.materialize:
            value = full_like(inputs[argument.index], 0)
        return None if value is None else wrap(value)

    def reads(self, out: int, inputs: int) -> tuple[Flags, Flags]:
        """What the context holds."""
        slots = {(x.output, x.index) for x in leaves((self.saved, self.attributes)) if type(x) is Slot}
        return tuple((True, i) in slots for i in range(out)), tuple((False, i) in slots for i in range(inputs))

    def mapped(self, size: int, batched: Flags, inputs: Sequence[Value]) -> Sequence[Value] | None:
        """What the user's `vmap` says, if there is one."""
        if not _defines(self.function, "vmap"):
            return None
        if self.function.generate_vmap_rule:
            raise RuntimeError(f"You tried to vmap over {self.name}, but it has both generate_vmap_rule=True and an "
                               "overriden vmap staticmethod. Please set generate_vmap_rule=False or delete the overriden "
                               "vmap staticmethod to avoid ambiguity.")
        dims = tuple(0 if type(x) is Slot and batched[x.index] else None for x in self.arguments)
        args = [x.filled((), inputs) if type(x) is Slot else x for x in self.arguments]
        with user_backward():
            results, out_dims = self.function.vmap(VmapInfo(size), dims, *args)
        several = results if isinstance(results, tuple) else (results,)
        out_dims = out_dims if isinstance(out_dims, tuple) else (out_dims,) * len(several)
        return [_leading(size, x._read(), d) for x, d, place in zip(several, out_dims, self.places)
                if isinstance(place, int)]


def _leading(size: int, value: Value, dim: int | None) -> Value:
    """The value with its batch dimension first."""
    if dim is None:
        return with_leading(size, False, value)
    d = dim % value.type.ndim
    return transpose(value, permutation=(d, *(i for i in range(value.type.ndim) if i != d)))


def _expands(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    try:
        return broadcast_shapes(shape, wanted) == tuple(wanted)
    except RuntimeError:
        return False


def _summed(value: Value, shape: tuple[int, ...]) -> Value:
    """The sum over what broadcasting `shape` to the value's shape repeated."""
    first = value.type.ndim - len(shape)
    axes = tuple(i for i, n in enumerate(value.type.shape) if i < first or (shape[i - first] == 1 and n != 1))
    return same_shape(reduce_sum(value, axes=axes), shape)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a `backward` that is not differentiable itself; differentiating it is then an error, not a wrong number."""

    @functools.wraps(backward)
    def run(ctx: Any, *grads: Any) -> Any:
        with grad_mode(False):
            results = backward(ctx, *grads)
        if not state.grad:
            return results
        several = results if isinstance(results, tuple) else (results,)
        sources = [x._read() for x in (*grads, *ctx.saved_tensors) if isinstance(x, Tensor) and x.requires_grad]
        if not sources:
            return results
        ends = [x._read() for x in several if isinstance(x, Tensor)]
        made = iter(custom_gradient(*sources, *ends, outputs=len(ends), rule=_ONCE))
        held = tuple(wrap(next(made)) if isinstance(x, Tensor) else x for x in several)
        return held if isinstance(results, tuple) else held[0]

    return run


class Once(PassedOn):
    """The rule of what must not be differentiated."""

    name = "Once"

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """Refuses."""
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


_ONCE = Once()
