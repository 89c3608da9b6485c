"""Backward hooks of modules: an identity around what goes into forward, and one around what comes out.

The gradients of the outputs reach the second one first: they are kept for the hooks that are called when the gradients
of the inputs reach the first one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..tracer.functions.operands import full, wrap
from ..tracer.ir.graph import Value
from ..tracer.ir.recorder import user_backward
from ..tracer.ir.state import state
from ..tracer.ir.told import tell
from ..tracer.ir.types import Type
from ..tracer.ops.custom import PassedOn, custom_gradient
from ..tracer.tensor.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

Gradients = tuple[Any, ...]
NO_INPUT = ("Full backward hook is firing when gradients are computed with respect to module outputs since no inputs require "
            "gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.register_full_"
            "backward_hook for more details.")
NONE_ONLY = "Backward hook for Modules where no input requires gradient should always return None or None for all gradients."
ONE_RESULT = ("For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received {}")


class BackwardHooks:
    """The backward hooks of one call of a module."""

    def __init__(self, module: Module, pre: Sequence[Callable[..., Any]], post: Sequence[Callable[..., Any]]) -> None:
        self.module = weakref.ref(module)  # programs are kept for longer than what was computed by them
        self.pre, self.post = tuple(pre), tuple(post)
        self.key = id(module), self.pre, self.post
        self.input_count: int | None = None  # of a call none of whose inputs requires a gradient
        self.inputs_require = False
        self.grad_outputs: Gradients | None = None

    def around_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, watched."""
        self.input_count = len(args)
        if not self.post:
            return args
        watched, self.inputs_require = self._watched(args, self._to_inputs, "inputs")
        return watched

    def around_outputs(self, result: Any) -> Any:
        """The results, watched."""
        if isinstance(result, Tensor):
            return self._watched((result,), self._to_outputs, "outputs")[0][0]
        if isinstance(result, tuple):
            return self._watched(result, self._to_outputs, "outputs")[0]
        tell(ONE_RESULT.format(type(result)))
        return result

    def _watched(self, items: tuple[Any, ...], call: Callable[[Gradients], Gradients],
                 place: str) -> tuple[tuple[Any, ...], bool]:
        at = tuple(i for i, x in enumerate(items) if isinstance(x, Tensor) and x.requires_grad)
        if not at or not state.grad:
            return items, False
        values = [items[i]._read() for i in at]
        zeros = tuple(x._type if place == "inputs" and isinstance(x, Tensor) else None for x in items)
        rule = Watch((place, at, zeros, self.key), at, zeros, call)
        made = list(items)
        results = custom_gradient(*values, *values, outputs=len(values), rule=rule)
        for node in {result.node for result in results if result.node is not None}:
            node.kept = self.module()  # as in torch the module lives as long as what it computed
        for i, value in zip(at, results):
            made[i] = wrap(value)
        return tuple(made), True

    # --- When gradients come ------------------------------------------------------------------------------------------

    def _to_outputs(self, gradients: Gradients) -> Gradients:
        for hook in self.pre:
            changed = hook(self.module(), gradients)
            if changed is not None:
                gradients = _as_many(changed, gradients, "Backward pre hook", "grad_output")
        if not self.inputs_require and self.post:
            tell(NO_INPUT)
            for hook in self.post:
                changed = hook(self.module(), (None,) * (self.input_count or 0), gradients)
                if changed is not None and not (isinstance(changed, tuple) and all(g is None for g in changed)):
                    raise RuntimeError(NONE_ONLY)
        self.grad_outputs = gradients
        return gradients

    def _to_inputs(self, gradients: Gradients) -> Gradients:
        if self.grad_outputs is None:
            return gradients  # they came another way than through the module's outputs
        for hook in self.post:
            changed = hook(self.module(), gradients, self.grad_outputs)
            if changed is not None:
                gradients = _as_many(changed, gradients, "Backward hook", "grad_input")
        self.grad_outputs = None
        return gradients


def _as_many(changed: Any, before: Gradients, who: str, what: str) -> Gradients:
    """What a hook returned: as many gradients as there were."""
    if len(changed) != len(before):
        raise RuntimeError(f"{who} returned an invalid number of {what}, got {len(changed)}, but expected {len(before)}")
    return tuple(changed)


class Watch(PassedOn):
    """An identity on the items `at` some positions of all, whose gradients go through `call`.

    Items without a gradient count as zeros of a type in `zeros`, as torch does for inputs, or None.
    """

    name = "BackwardHookFunction"
    of_user = True

    def __init__(self, key: Any, at: tuple[int, ...], zeros: tuple[Type | None, ...],
                 call: Callable[[Gradients], Gradients]) -> None:
        self._key, self._at, self._zeros, self._call = key, at, zeros, call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Watch) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def pull_back(self, g: Sequence[Value | None], out: Sequence[Value], inputs: Sequence[Value]) -> Sequence[Value | None]:
        """What the hooks leave of g."""
        values = [t and full(t.shape, 0, t.dtype, out[0].device) for t in self._zeros]
        for i, cotangent in zip(self._at, g):
            values[i] = cotangent or values[i]
        with user_backward():
            results = self._call(tuple(v and wrap(v) for v in values))
        return [None if results[i] is None else results[i]._read() for i in self._at]
