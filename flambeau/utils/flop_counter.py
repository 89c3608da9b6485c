"""`torch.utils.flop_counter`: how many floating point operations products and convolutions in a block take.

Counted are the operations of what runs in the block, lazily and in compiled steps, backward included: a formula for each, of
its shapes. `step.program.cost()` is XLA's own estimate for a whole program.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..autograd import measuring
from ..lazy_report import synchronize
from ..tracer.ir.graph import Node

Formula = Callable[..., int]


def _dot(x: tuple[int, ...], y: tuple[int, ...], *, out_shape: tuple[int, ...], contract: Any, **params: Any) -> int:
    return 2 * math.prod(out_shape) * math.prod(x[axis] for axis in contract[0])


def _convolution(x: tuple[int, ...], w: tuple[int, ...], *, out_shape: tuple[int, ...], dimension_numbers: Any,
                 feature_groups: int, batch_groups: int, **params: Any) -> int:
    """Each number of the result, or each that is read, whichever are fewer, meets the kernel once for each channel."""
    outputs, inputs, *spatial = dimension_numbers[1]
    window = math.prod(w[axis] for axis in spatial)
    forwards = math.prod(out_shape) * w[inputs]
    backwards = math.prod(x) * w[outputs] // (feature_groups * batch_groups)
    return 2 * window * min(forwards, backwards)


_formulas: dict[str, Formula] = {"dot": _dot, "convolution": _convolution}


def register_flop_formula(targets: Any, get_raw: bool = False) -> Callable[[Formula], Formula]:
    """A decorator for the formula of operations, by their names in `step.graph`.

    Args: `targets`, a name or several; the formula takes the shapes of the inputs, `out_shape` and the parameters by name;
    with `get_raw` the tensors' types in place of shapes.

    >>> @register_flop_formula("tanh")
    ... def per_element(x, *, out_shape, **params):
    ...     return 10 * math.prod(out_shape)
    >>> _ = _formulas.pop("tanh")

    Source: https://docs.pytorch.org/docs/stable/utils.html
    """
    def register(formula: Formula) -> Formula:
        for name in (targets,) if isinstance(targets, str) else targets:
            _formulas[name] = formula if get_raw else _of_shapes(formula)
        return formula

    return register


def _of_shapes(formula: Formula) -> Formula:
    def counted(*types: Any, out_shape: Any, **params: Any) -> int:
        return formula(*(t.shape for t in types), out_shape=out_shape.shape, **params)

    return counted


_formulas.update({name: _of_shapes(formula) for name, formula in _formulas.items()})


class FlopCounterMode:
    """A block whose floating point operations are counted, by module and operation.

    Args: `depth`, of modules that the table shows; `display`, whether it is printed at the end; `custom_mapping`, formulas by
    the names of operations, as `register_flop_formula` takes them. `mods` is not needed: modules are found by themselves.

    >>> import flambeau as torch
    >>> from flambeau.utils.flop_counter import FlopCounterMode
    >>> with FlopCounterMode(display=False) as counter:
    ...     y = torch.ones(3, 4) @ torch.ones(4, 5)
    >>> counter.get_total_flops()
    120

    Source: https://docs.pytorch.org/docs/stable/utils.html
    """

    def __init__(self, mods: Any = None, depth: int = 2, display: bool = True,
                 custom_mapping: dict[str, Formula] | None = None) -> None:
        self.depth, self.display = depth, display
        self._formulas = {**_formulas, **{name: _of_shapes(f) for name, f in (custom_mapping or {}).items()}}
        self.flop_counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def __enter__(self) -> FlopCounterMode:
        synchronize()  # what was recorded before is not of this block
        self.flop_counts.clear()
        measuring.watch(self._count)
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            synchronize()
        finally:
            measuring.unwatch(self._count)
        if self.display:
            print(self.get_table(self.depth))

    def _count(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            formula = self._formulas.get(node.op.name)
            if formula is not None:
                number = formula(*(value.type for value in node.inputs), out_shape=node.types[0], **node.params)
                for module in ("Global", *_modules(node)):
                    self.flop_counts[module][node.op.name] += number

    def get_total_flops(self) -> int:
        """How many there were."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[str, int]]:
        """How many there were, by module, and in it by operation."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """How many there were, as text: modules down to a depth, with their part of all."""
        most, total = self.depth if depth is None else depth, self.get_total_flops()
        rows = [("Module", "FLOP", "% Total")]
        for module, counts in self.flop_counts.items():
            level = 0 if module == "Global" else module.count(".") + 1
            if level <= most:
                rows.append((" " * level + module, f"{sum(counts.values()):,}", f"{_share(sum(counts.values()), total):.2f}%"))
                rows += [(" " * level + f" - {op}", f"{number:,}", f"{_share(number, total):.2f}%")
                         for op, number in counts.items()]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _share(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _modules(node: Node) -> Iterator[str]:
    """The modules that an operation is in, the outermost first; of a backward, those of its forward."""
    scope = node.scope or (node.of.scope if node.of is not None else "")
    parts = scope.split(".") if scope else []
    for i in range(len(parts)):
        yield ".".join(parts[:i + 1])


__all__ = ["FlopCounterMode", "register_flop_formula"]
