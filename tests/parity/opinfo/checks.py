"""The checks of an entry in a dtype: each takes a cell and the samples, and raises where ours is not torch's."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from .compare import GRADCHECK, Mismatch, Tolerance, compare, compare_memory, compare_strides, half_within, tolerance  # noqa: E402
from .excluded import CUT_BY_VALUES, DATA_DEPENDENT, DROPS, RANDOM, TIED, TIES, UP_TO_PHASE, WRONG_IN_TORCH  # noqa: E402
from .translate import AbsentError, function, ours_at, tensor, value  # noqa: E402
from .wide import compare_to_wide, widened  # noqa: E402


class NotApplicable(Exception):
    """The check says nothing about this entry in this dtype."""


@dataclass
class Cell:
    """One entry of the record in one dtype."""

    name: str
    entry: Any
    dtype: str
    drawn: bool = False

    def __post_init__(self) -> None:
        self.within: Tolerance = tolerance(self.entry, self.dtype)
        self.values = self.name not in RANDOM and not self.drawn
        self.tied = self.name in TIES and self.dtype in TIED

    @property
    def gradients_within(self) -> Tolerance:
        """Gradients: torch's for the entry, or those of its check of gradients where these are wider."""
        return max(self.within[0], GRADCHECK[0]), max(self.within[1], GRADCHECK[1])

    def samples(self, count: int, requires_grad: bool = False) -> Iterator[tuple[int, Any]]:
        """The first samples of the record, or all where `count` is 0."""
        made = self.entry.sample_inputs("cpu", getattr(torch, self.dtype), requires_grad=requires_grad)
        for i, sample in enumerate(made):
            if count and i >= count:
                return
            yield i, sample

    def ours(self) -> Callable[..., Any]:
        """Our form of the entry's function."""
        return function(self.entry.op, self.entry.name)


def _arguments(sample: Any) -> tuple[list[Any], dict[str, Any]]:
    return [sample.input, *sample.args], sample.kwargs


def _theirs(called: Callable[..., Any], sample: Any) -> Any:
    torch.default_generator.manual_seed(0)
    args, kwargs = _arguments(sample)
    return called(*args, **kwargs)


def _translated(sample: Any) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = value(list(_arguments(sample)))
    return args, kwargs


# --- Forward ----------------------------------------------------------------------------------------------------------


def forward(cell: Cell, sample: Any) -> None:
    """The function: structure, dtype, shape, value."""
    args, kwargs = _translated(sample)
    cell = _as_drawn(cell, sample)
    _compare(cell, cell.ours()(*args, **kwargs), _theirs(cell.entry.op, sample), sample)


def _as_drawn(cell: Cell, sample: Any) -> Cell:
    """The cell, its values not compared where this sample drops out: by a probability that a call of torch names or places."""
    args, kwargs = _arguments(sample)
    chance = kwargs.get("dropout_p", args[DROPS[cell.name]] if cell.name in DROPS and kwargs.get("training", True) else 0)
    return cell if not chance else replace(cell, drawn=True)


def _compare(cell: Cell, ours: Any, theirs: Any, sample: Any) -> None:
    if cell.name in UP_TO_PHASE:
        compare(ours, theirs, cell.within, False)
        made = value(sample.output_process_fn_grad)(ours)
        return _compare_values(cell, made, sample.output_process_fn_grad(theirs), sample)
    if not cell.tied:
        return _compare_values(cell, ours, theirs, sample)
    compare(ours, theirs, cell.within, False)
    if isinstance(theirs, tuple):
        compare(ours[0], theirs[0], cell.within)
    elif cell.name != "argsort":
        compare(ours, theirs, cell.within)
    return None


def _compare_values(cell: Cell, ours: Any, theirs: Any, sample: Any) -> None:
    try:
        compare(ours, theirs, cell.within, cell.values)
    except Mismatch:
        compare_to_wide(ours, theirs, lambda: _wide_result(cell, sample))


def _wide_result(cell: Cell, sample: Any) -> Any:
    result = _theirs(cell.entry.op, widened(sample))
    return sample.output_process_fn_grad(result) if cell.name in UP_TO_PHASE else result


def strides(cell: Cell, sample: Any) -> None:
    """The function's result in memory, lazily: strides, and of which arguments it is a view."""
    args, kwargs = _translated(sample)
    ours, theirs = cell.ours()(*args, **kwargs), _theirs(cell.entry.op, sample)
    compare_strides(ours, theirs)
    compare_memory(_tensors(ours, flambeau), _tensors([args, kwargs], flambeau), _tensors(theirs, torch),
                   _tensors(list(_arguments(sample)), torch))


def variants(cell: Cell, sample: Any) -> None:
    """The method, the operator, the in-place forms and the aliases."""
    called = 0
    for name, theirs, ours in _forms(cell):
        called += 1
        try:
            expected = _theirs(theirs, _fresh(sample))
        except Exception:
            continue  # what torch refuses is no sample of this form
        args, kwargs = _translated(sample)
        try:
            _compare(_as_drawn(cell, sample), ours(*args, **kwargs), expected, sample)
        except Exception as error:
            raise Mismatch(f"{name}: {type(error).__name__}: {error}") from error
    if not called:
        raise NotApplicable("no other form")


def _fresh(sample: Any) -> Any:
    """The sample with tensors of its own, for a form that writes."""
    return sample.transform(lambda t: copy.deepcopy(t.detach()) if isinstance(t, torch.Tensor) else t)


def _forms(cell: Cell) -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    entry = cell.entry
    for kind in ("method_variant", "inplace_variant", "operator_variant", "inplace_operator_variant"):
        theirs = getattr(entry, kind)
        if theirs is not None:
            yield _named(kind, theirs), theirs, _ours_of(kind, theirs)
    for alias in entry.aliases:
        yield f"torch.{alias.name}", alias.op, ours_at(alias.name.removeprefix("torch."))
        for kind in ("method_variant", "inplace_variant"):
            theirs = getattr(alias, kind)
            if theirs is not None:
                yield _named(kind, theirs), theirs, _ours_of(kind, theirs)


def _named(kind: str, theirs: Any) -> str:
    place = "operator" if "operator" in kind else "Tensor"
    return f"{place}.{getattr(theirs, '__name__', '')}"


def _ours_of(kind: str, theirs: Any) -> Callable[..., Any]:
    if "operator" in kind:
        return theirs
    name = getattr(theirs, "__name__", "")
    if getattr(torch.Tensor, name, None) is theirs:
        return ours_at(f"Tensor.{name}")
    return function(theirs)


def out(cell: Cell, sample: Any) -> None:
    """The `out=` argument: the same numbers, in the tensors that were given."""
    expected = _theirs(cell.entry.op, sample)
    args, kwargs = _translated(sample)
    if isinstance(expected, torch.Tensor):
        given: Any = tensor(torch.empty_like(expected))
    elif isinstance(expected, (tuple, list)) and all(isinstance(e, torch.Tensor) for e in expected):
        given = tuple(tensor(torch.empty_like(e)) for e in expected)
    else:
        raise NotApplicable("no tensors")
    result = cell.ours()(*args, **kwargs, out=given)
    _compare(_as_drawn(cell, sample), given, tuple(expected) if isinstance(given, tuple) else expected, sample)
    if isinstance(expected, torch.Tensor) and result is not given:
        raise Mismatch("out= is not what is returned")


# --- Gradients --------------------------------------------------------------------------------------------------------


def _tensors(x: Any, library: Any) -> list[Any]:
    if isinstance(x, library.Tensor):
        return [x]
    if isinstance(x, (tuple, list)):
        return [t for e in x for t in _tensors(e, library)]
    if isinstance(x, dict):
        return [t for e in x.values() for t in _tensors(e, library)]
    return []


@dataclass
class Derivative:
    """What torch says of a sample: the outputs, the cotangents, the gradients, and one projection of their gradients."""

    outputs: list[Any]
    which: list[int]
    cotangents: list[Any]
    gradients: list[Any]
    directions: list[Any]
    second: list[Any]


def _theirs_derivative(cell: Cell, sample: Any, second: bool, given: Derivative | None = None) -> Derivative:
    args, kwargs = _arguments(sample)
    inputs = [t for t in _tensors([args, kwargs], torch) if t.requires_grad]
    result = sample.output_process_fn_grad(_theirs(cell.entry.op, sample))
    outputs = _tensors(result, torch)
    which = [i for i, t in enumerate(outputs) if t.requires_grad]
    if not inputs or not which:
        raise NotApplicable("nothing that requires a gradient")
    torch.default_generator.manual_seed(1)
    cotangents = [torch.randn_like(outputs[i].detach()) for i in which] if given is None else widened(given.cotangents)
    found = torch.autograd.grad([outputs[i] for i in which], inputs, cotangents, create_graph=second, allow_unused=True)
    derivative = Derivative(outputs, which, cotangents, list(found), [], [])
    linked = [g for g in found if g is not None and g.requires_grad]
    if second and linked:
        derivative.directions = [torch.randn_like(g.detach()) for g in linked] if given is None else widened(given.directions)
        try:
            derivative.second = list(torch.autograd.grad(linked, inputs, derivative.directions, allow_unused=True))
        except RuntimeError as error:  # NotImplementedError is one
            raise NotApplicable(f"torch has no second order: {error}") from error
    return derivative


Found = tuple[list[Any], list[Any], list[Any]]  # outputs, gradients, second order


def _ours_derivative(cell: Cell, sample: Any, told: Derivative, second: bool, jitted: bool) -> Found:
    called, process = cell.ours(), value(sample.output_process_fn_grad)
    args, kwargs = _translated(sample)
    inputs = [t for t in _tensors([args, kwargs], flambeau) if t.requires_grad]
    wanted = [i for i, g in enumerate(told.gradients) if g is not None and g.requires_grad]

    def run(inputs: list[Any], cotangents: list[Any], directions: list[Any]) -> Found:
        held = iter(inputs)
        put = _replaced([args, kwargs], held)
        outputs = _tensors(process(called(*put[0], **put[1])), flambeau)
        gradients = list(flambeau.autograd.grad([outputs[i] for i in told.which], inputs, cotangents,
                                                create_graph=second, allow_unused=True))
        if not directions:
            return outputs, gradients, []
        linked = [gradients[i] for i in wanted]
        return outputs, gradients, list(flambeau.autograd.grad(linked, inputs, directions, allow_unused=True))

    step = flambeau.jit(run) if jitted else run
    return step(inputs, value(told.cotangents), value(told.directions))


def _replaced(x: Any, held: Iterator[Any]) -> Any:
    if isinstance(x, flambeau.Tensor):
        return next(held) if x.requires_grad else x
    if isinstance(x, (tuple, list)):
        made = [_replaced(e, held) for e in x]
        return made if isinstance(x, list) else tuple(made)
    if isinstance(x, dict):
        return {name: _replaced(e, held) for name, e in x.items()}
    return x


Wide = Callable[[], list[Any]]


def _compare_gradients(ours: list[Any], theirs: list[Any], within: Tolerance, what: str, wide: Wide) -> None:
    for i, (mine, their) in enumerate(zip(ours, theirs, strict=True)):
        if their is None or mine is None:
            left = mine if their is None else their
            if left is not None and bool((left != 0).any()):
                raise Mismatch(f"{what}[{i}]: {'torch' if their is None else 'ours'} has none, and the other is not zero")
        else:
            half = their.dtype in (torch.bfloat16, torch.float16)
            try:
                compare(mine, their, half_within(within, their) if half else within, where=f"{what}[{i}]")
            except Mismatch:
                compare_to_wide(mine, their, lambda at=i: wide()[at], f"{what}[{i}]")


def _wide_derivative(cell: Cell, sample: Any, told: Derivative, second: bool) -> Callable[[], Derivative]:
    """torch's derivative in double precision, from the same cotangents; computed when asked, once."""
    return functools.cache(lambda: _theirs_derivative(cell, widened(sample), second, told))


def _compare_outputs(cell: Cell, outputs: list[Any], told: Derivative, sample: Any) -> None:
    for i, (mine, their) in enumerate(zip(outputs, told.outputs, strict=True)):
        try:
            compare(mine, their, cell.within, where=f"output[{i}]")
        except Mismatch:
            compare_to_wide(mine, their, lambda at=i: _wide_derivative(cell, sample, told, False)().outputs[at], f"output[{i}]")


def gradient(cell: Cell, sample: Any, second_order: bool = False, jitted: bool = False) -> None:
    """The gradients of all inputs, by random cotangents; lazily."""
    if not applies(cell, "second" if second_order else "gradient"):
        raise NotApplicable("no gradient")
    if _as_drawn(cell, sample).drawn:
        raise NotApplicable("a gradient of what is drawn")
    told = _theirs_derivative(cell, sample, second_order)
    if second_order and not told.directions:
        raise NotApplicable("no second order")
    outputs, first, second = _ours_derivative(cell, sample, told, second_order, jitted)
    if jitted:
        _compare_outputs(cell, outputs, told, sample)
    else:
        needs = [i for i, t in enumerate(outputs) if t.requires_grad]
        if needs != told.which:
            raise Mismatch(f"outputs that require a gradient: torch has {told.which}, ours {needs}")
    wide = _wide_derivative(cell, sample, told, second_order)
    _compare_gradients(first, told.gradients, cell.gradients_within, "gradient", lambda: wide().gradients)
    if second_order:
        _compare_gradients(second, told.second, cell.gradients_within, "second order", lambda: wide().second)


def second(cell: Cell, sample: Any) -> None:
    """The gradients of one random projection of the gradients."""
    gradient(cell, sample, second_order=True)


# --- Jitted -----------------------------------------------------------------------------------------------------------


def jitted(cell: Cell, sample: Any) -> None:
    """Forward and, where there is one, the gradient in one jitted program."""
    if cell.name in CUT_BY_VALUES and _tensors(sample.args, torch):
        raise NotApplicable("a shape that follows from values")
    try:
        gradient(cell, sample, jitted=True)
    except NotApplicable:
        _jitted_forward(cell, sample)


def _jitted_forward(cell: Cell, sample: Any) -> None:
    called = cell.ours()
    args, kwargs = _translated(sample)
    result = flambeau.jit(lambda args, kwargs: called(*args, **kwargs))(args, kwargs)
    _compare(_as_drawn(cell, sample), result, _theirs(cell.entry.op, sample), sample)


# --- Errors -----------------------------------------------------------------------------------------------------------


def errors(cell: Cell, told: Any) -> None:
    """An input that torch refuses: its exception class and text."""
    ours, wanted = cell.ours(), told.error_type
    given = copy.deepcopy(_arguments(told.sample_input))
    try:
        cell.entry.op(*given[0], **given[1])
    except Exception:
        args, kwargs = _translated(told.sample_input)
    else:
        raise NotApplicable("torch raises nothing: the record says so of every form together")
    try:
        result = ours(*args, **kwargs)
        for t in _tensors(result, flambeau):
            t.detach().numpy()
    except AbsentError:
        raise
    except Exception as error:
        kinds = {kind.__name__ for kind in (wanted if isinstance(wanted, tuple) else (wanted,))}
        if kinds.isdisjoint(kind.__name__ for kind in type(error).__mro__):
            name = type(error).__name__
            raise Mismatch(f"torch raises {kinds} {told.error_regex!r}, ours {name}: {error}") from error
        if not re.search(told.error_regex, str(error)):
            raise Mismatch(f"torch's error says {told.error_regex!r}, ours {error}") from error
    else:
        raise Mismatch(f"torch raises {wanted} {told.error_regex!r}, ours nothing")


CHECKS: dict[str, Callable[[Cell, Any], None]] = {
    "forward": forward, "strides": strides, "variants": variants, "out": out, "gradient": gradient, "second": second,
    "jitted": jitted, "errors": errors,
}


def applies(cell: Cell, check: str) -> bool:
    """Whether a check can say something about an entry in a dtype, whatever ours is."""
    entry = cell.entry
    if check == "errors":
        return entry.error_inputs_func is not None
    if check == "out":
        return entry.supports_out and cell.values
    if check == "jitted":
        return cell.name not in DATA_DEPENDENT
    if check not in ("gradient", "second"):
        return True
    flows = entry.supports_autograd and getattr(torch, cell.dtype) in entry.backward_dtypes
    inexact = cell.dtype.startswith(("float", "bfloat", "complex"))
    right = cell.values and not cell.tied and cell.name not in WRONG_IN_TORCH
    return right and flows and inexact and (check == "gradient" or entry.supports_gradgrad)


_NEEDS_GRADIENT = frozenset({"gradient", "second", "jitted"})


def samples_of(cell: Cell, check: str, count: int) -> Iterator[tuple[int, Any]]:
    """The samples that a check runs on."""
    if check == "errors":
        yield from enumerate(cell.entry.error_inputs("cpu"))
        return
    grad = check in _NEEDS_GRADIENT and cell.entry.supports_autograd and getattr(torch, cell.dtype) in cell.entry.backward_dtypes
    inexact = cell.dtype.startswith(("float", "bfloat", "complex"))
    yield from cell.samples(count, requires_grad=grad and inexact)
