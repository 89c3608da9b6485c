"""What computed a tensor, for looking at."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final

from ..ir.constants import from_literal
from ..ir.graph import Node, Value

# torch's names of what primitives compute, where these are called otherwise. Functions of several primitives (`x ** 2`, a
# loss) have the name of the last one.
_NAMES: Final = {"reshape": "View", "transpose": "Permute", "concatenate": "Cat", "broadcast": "Expand", "select": "Where",
                 "convert": "ToCopy", "alias": "Clone", "and": "BitwiseAnd", "reverse": "Flip", "top_k": "Topk"}


class GradFn:
    """A node of the recorded program as autograd sees it; prints like torch's."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def name(self) -> str:
        """The op's name with torch's ending."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[GradFn, int], ...]:
        """The functions of the inputs that gradients flow to."""
        node = self._value.node
        inputs: Sequence[Value] = node.inputs if node is not None else ()
        return tuple((grad_fn_of(v), v.index) for v in inputs if v.requires_grad)

    @property
    def variable(self) -> Any:
        """The leaf in whose `.grad` gradients are added up; AttributeError for what is no leaf."""
        leaf = self._value.leaf
        if leaf is None:
            raise AttributeError(f"'{self.name()}' object has no attribute 'variable'")
        return leaf()

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"


def grad_fn_of(value: Value) -> GradFn:
    """What computed a value, of a class with torch's name."""
    return _class(_name(value.node) if value.node is not None else "AccumulateGrad")(value)


@functools.cache
def _class(name: str) -> type[GradFn]:
    return type(name, (GradFn,), {"__doc__": GradFn.__doc__, "__module__": __name__})


def _name(node: Node) -> str:
    if "rule" in node.params:
        return f"{node.params['rule'].name}Backward"
    name = node.op.name
    if name == "reduce_sum":
        return f"SumBackward{int(len(node.params['axes']) < node.inputs[0].type.ndim)}"
    if name == "dot":
        return f"{_product(*(x.type.ndim for x in node.inputs))}Backward0"
    mean = _mean(node)
    if mean is not None:
        return mean
    return f"{_NAMES.get(name) or ''.join(part.capitalize() for part in name.split('_'))}Backward0"


def _product(m: int, n: int) -> str:
    return {(1, 1): "Dot", (2, 1): "Mv", (2, 2): "Mm"}.get((m, n), "Bmm")


def _mean(node: Node) -> str | None:
    """The name of a mean: a sum that is divided by the number of what was summed."""
    if node.op.name != "div" or node.inputs[0].node is None or node.inputs[0].node.op.name != "reduce_sum":
        return None
    total, count = node.inputs[0].node, node.inputs[1].node
    if count is None or count.op.name != "constant":
        return None
    shape, axes = total.inputs[0].type.shape, total.params["axes"]
    if from_literal(count.params["value"], node.inputs[1].type.dtype) != math.prod(shape[a] for a in axes):
        return None
    return f"MeanBackward{int(len(axes) < len(shape))}"
