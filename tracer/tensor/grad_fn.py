"""What computed a tensor, for looking at."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import Value


class GradFn:
    """A node of the recorded program as autograd sees it; prints like torch's."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def name(self) -> str:
        """The op's name with torch's ending."""
        node = self._value.node
        if node is not None and "rule" in node.params:
            return f"{node.params['rule'].name}Backward"
        return f"{''.join(part.capitalize() for part in node.op.name.split('_'))}Backward0" if node else "Backward"

    @property
    def next_functions(self) -> tuple[tuple[GradFn, int], ...]:
        """The functions of the inputs that gradients flow to."""
        node = self._value.node
        inputs: Sequence[Value] = node.inputs if node is not None else ()
        return tuple((GradFn(v), v.index) for v in inputs if v.requires_grad)

    def __repr__(self) -> str:
        return f"<{self.name()} object>"
