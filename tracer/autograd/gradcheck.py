"""`gradcheck` and `gradgradcheck`: gradients against central differences.

https://pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html

A complex number counts as its two real ones. What is compared is, in torch's convention, the gradient of every real
number that goes out: dL/d(re) + i dL/d(im), as a matrix of [elements of the input, elements of the output].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functions.creation import tensor
from ..functions.joining import stack
from ..functions.operands import wrap
from ..functions.random import randn_like
from ..ir.graph import Value
from ..ir.recorder import grad_mode
from ..ir.told import tell
from ..lazy.flush import host_array, materialize
from ..tensor.tensor import Tensor
from ..transforms.forward import filled
from ..transforms.reverse import pulled
from ..transforms.vectorize import vmap
from ..walks.forward import push_forward
from ..walks.reverse import pull_back

Array = np.ndarray[Any, Any]


class GradcheckError(RuntimeError):
    """A gradient is not what differences of the function say."""


_BACKWARD = "Jacobian mismatch"
_FORWARD = "Jacobian computed with forward mode mismatch"
_REAL = "While considering the real part of complex outputs only, "
_IMAGINARY = "While considering the imaginary part of complex outputs only, "
NOT_REENTRANT = (
    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different "
    "values, although analytical gradient matches numerical gradient.The tolerance for nondeterminism was {tolerance}.")

FAST_MODE = """
The above quantities relating the numerical and analytical jacobians are computed in fast mode, along one random direction.
In slow mode they are:

Numerical:
{numerical}
Analytical:
{analytical}
"""


@dataclass(frozen=True)
class _Settings:
    """What the caller asked for."""

    atol: float
    rtol: float
    nondet_tol: float
    fast: bool
    backward: bool
    forward: bool
    batched: bool
    batched_forward: bool


def gradcheck(func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
              raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
              check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
              check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False,
              masked: bool | None = None) -> bool:
    """Whether the gradients of `func` at the `inputs` that require them agree with central differences of width `eps`.

    The inputs should be float64 or complex128. `fast_mode` compares along one random direction instead of all.
    `check_forward_ad` checks forward mode as well; the `batched` checks compare with what `vmap` gives. Gradients here
    are never undefined, of another dtype or sparse, so `check_undefined_grad`, `check_grad_dtypes` and `masked` hold as
    they are. Raises `GradcheckError` with both Jacobians, or returns False when `raise_exception` is False.

    >>> import flambeau as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.sin, x)
    True
    """
    _check_modes(check_forward_ad, check_backward_ad, check_batched_grad, check_batched_forward_grad)
    settings = _Settings(atol, rtol, nondet_tol, fast_mode, check_backward_ad, check_forward_ad, check_batched_grad,
                         check_batched_forward_grad)
    point = _Point(func, inputs, eps)
    try:
        _check(point, settings)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check_modes(forward: bool, backward: bool, batched: bool, batched_forward: bool) -> None:
    if not (forward or backward):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if batched and not backward:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if batched_forward and not forward:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")


def gradgradcheck(func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6,
                  atol: float = 1e-5, rtol: float = 1e-3, gen_non_contig_grad_outputs: bool = False,
                  raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
                  check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_fwd_over_rev: bool = False,
                  check_rev_over_rev: bool = True, fast_mode: bool = False, masked: bool = False) -> bool:
    """Whether the gradients of the gradients of `func`, by its inputs and by `grad_outputs`, agree with differences.

    `grad_outputs` are random by default. For the rest see `gradcheck`.

    >>> import flambeau as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(torch.sin, x)
    True
    """
    given = _as_tuple(inputs)
    outputs = _differentiable(func(*given))
    if grad_outputs is None:
        starts = tuple(_random_cotangent(out, gen_non_contig_grad_outputs) for out in outputs)
    else:
        starts = _as_tuple(grad_outputs)

    def gradients(*args: Any) -> tuple[Tensor, ...]:
        xs, cotangents = args[:len(given)], args[len(given):]
        ends = [t._read() for t in _differentiable(func(*xs))]
        targets = [x._read() for x in xs if _requires(x)]
        found = pull_back(ends, [c._read() for c in cotangents], targets, retain_graph=True, create_graph=True)
        return tuple(wrap(found[v]) for v in targets if v in found)

    return gradcheck(gradients, (*given, *starts), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception,
                     nondet_tol=nondet_tol, check_undefined_grad=check_undefined_grad,
                     check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad,
                     check_forward_ad=check_fwd_over_rev, check_backward_ad=check_rev_over_rev, fast_mode=fast_mode,
                     masked=masked)


def _random_cotangent(output: Tensor, strided: bool) -> Tensor:
    made = randn_like(output.real if output.is_complex() else output).detach()
    if output.is_complex():
        made = made.to(output.dtype) * (1 - 0.5j)
    return (stack([made, made], -1)[..., 0] if strided else made).detach().requires_grad_()


def _requires(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _differentiable(result: Any) -> list[Tensor]:
    """The outputs that gradients can be taken of."""
    return [t for t in _as_tuple(result) if _requires(t)]


# --- A function at a point --------------------------------------------------------------------------------------------


class _Point:
    """A function at its inputs, and its derivatives there: by differences, in forward and in reverse mode.

    `moving` are the inputs that require gradients, `targets` their values; `ends` the values of the outputs that
    gradients can be taken of. Where there is none, differences are those of all inexact outputs.
    """

    def __init__(self, func: Callable[..., Any], inputs: Any, eps: float) -> None:
        self.func, self.inputs, self.eps = func, _as_tuple(inputs), eps
        self.moving = [x for x in self.inputs if _requires(x)]
        _check_inputs(self.inputs)
        outputs = self._outputs()
        self.ends = [t._read() for t in outputs if t.requires_grad]
        self.constant = not self.ends
        self.targets = [x._read() for x in self.moving]
        materialize(self.ends)  # so that every walk back is the same program, which reads what this run saved

    def _outputs(self) -> list[Tensor]:
        with grad_mode(True):
            return [t for t in _as_tuple(self.func(*self.inputs)) if isinstance(t, Tensor) and t.dtype.is_inexact]

    def _values(self) -> list[Array]:
        return [_array(t.detach()) for t in self._outputs() if self.constant or t.requires_grad]

    @contextmanager
    def _moved(self, j: int, step: Array) -> Iterator[None]:
        """In this block input j, wherever the function finds it, is elsewhere."""
        x = self.moving[j]
        here = _array(x.detach())
        _set(x, here + step)
        try:
            yield
        finally:
            _set(x, here)

    def differences(self, j: int, direction: Array) -> list[Array]:
        """Per output its derivative along a direction of input j, by central differences."""
        with self._moved(j, direction * self.eps):
            after = self._values()
        with self._moved(j, -direction * self.eps):
            before = self._values()
        return [(a - b) / (2 * self.eps) for a, b in zip(after, before)]

    def push(self, j: int, direction: Array) -> list[Array]:
        """The same in forward mode."""
        return list(map(_array, self.pushed(j, tensor(direction))))

    def pushed(self, j: int, direction: Tensor) -> tuple[Tensor, ...]:
        """The same as tensors."""
        return tuple(filled(self.ends, push_forward(self.ends, {self.targets[j]: direction._read()})))

    def pull(self, i: int, cotangent: Array) -> list[Array]:
        """Per input its cotangent, given that of output i."""
        return list(map(_array, self.pulled(i, tensor(cotangent))))

    def pulled(self, i: int, cotangent: Tensor) -> tuple[Tensor, ...]:
        """The same as tensors."""
        with grad_mode(True):
            return tuple(pulled([self.ends[i]], [cotangent._read()], self.targets))

    def numerical(self, j: int, along: Callable[[int, Array], list[Array]]) -> list[Array]:
        """Per output its derivatives along every real number of input j: [real numbers, elements of the output]."""
        rows = [[d.reshape(-1) for d in along(j, unit)] for unit in _units(self.targets[j])]
        return [np.array(columns) for columns in zip(*rows)] or [np.zeros((0, v.type.size)) for v in self.ends]

    def analytical(self) -> list[list[list[Array]]]:
        """By output, by input, by part of the output: the matrix of gradients, in reverse mode."""
        found = []
        for i, end in enumerate(self.ends):
            parts = [[self.pull(i, unit * factor) for unit in _real_units(end)] for _, factor in _parts(end)]
            found.append([[np.array([row[j].reshape(-1) for row in rows]).reshape(end.type.size, x.type.size).T
                           for rows in parts] for j, x in enumerate(self.targets)])
        return found

    def gradient(self, derivatives: Array, j: int, prefix: str) -> Array:
        """The matrix of gradients, from derivatives along the real numbers of input j."""
        chosen = derivatives.imag if prefix == _IMAGINARY else derivatives.real
        return chosen[0::2] + 1j * chosen[1::2] if self.moving[j].is_complex() else chosen


def _check_inputs(inputs: Sequence[Any]) -> None:
    if not any(map(_requires, inputs)):
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of them have "
                         "requires_grad=True.")
    for i, x in enumerate(inputs):
        if _requires(x) and x.dtype.name not in ("float64", "complex128"):
            tell(f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                 "will likely fail if all the inputs are not of double precision floating point or complex. ")
        if _requires(x) and any(s == 0 and n > 1 for s, n in zip(x.stride(), x.shape)):
            raise RuntimeError(f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                               "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                               ".contiguous on the input before passing it to gradcheck.")


# --- Comparisons ------------------------------------------------------------------------------------------------------


def _check(point: _Point, settings: _Settings) -> None:
    """Raise GradcheckError unless all agrees."""
    if point.constant:
        _check_constant(point, settings)
    elif settings.fast:
        _check_along_one_direction(point, settings)
    else:
        _check_all_directions(point, settings)
    if settings.batched:
        _check_batched(point.pulled, point.pull, point.ends, "gradient", settings)
    if settings.batched_forward:
        _check_batched(point.pushed, point.push, point.targets, "forward gradient", settings)


def _check_constant(point: _Point, settings: _Settings) -> None:
    for j in range(len(point.moving)):
        for derivatives in point.numerical(j, point.differences):
            if np.any(np.abs(derivatives) > settings.atol):
                raise GradcheckError("Numerical gradient for function expected to be zero")


def _check_all_directions(point: _Point, settings: _Settings) -> None:
    first, again = (point.analytical() if settings.backward else None for _ in range(2))
    for j in range(len(point.moving)):
        numerical = point.numerical(j, point.differences)
        pushed = point.numerical(j, point.push) if settings.forward else None
        for i, end in enumerate(point.ends):
            for part, (prefix, _) in enumerate(_parts(end)):
                expected = point.gradient(numerical[i], j, prefix)
                if pushed is not None:
                    got = point.gradient(pushed[i], j, prefix)
                    _compare(f"{prefix}{_FORWARD}", i, j, got, expected, settings)
                if first is not None and again is not None:
                    _compare(f"{prefix}{_BACKWARD}", i, j, first[i][j][part], expected, settings)
                    if np.any(np.abs(first[i][j][part] - again[i][j][part]) > settings.nondet_tol):
                        raise GradcheckError(NOT_REENTRANT.format(tolerance=settings.nondet_tol))


def _compare(what: str, i: int, j: int, got: Array, numerical: Array, settings: _Settings) -> None:
    if not np.all(np.abs(got - numerical) <= settings.atol + settings.rtol * np.abs(numerical)):
        raise GradcheckError(f"{what} for output {i} with respect to input {j},\nnumerical:{tensor(numerical)}\n"
                             f"analytical:{tensor(got)}\n")


def _check_along_one_direction(point: _Point, settings: _Settings) -> None:
    """<v, J u> for random u and v."""
    for j, target in enumerate(point.targets):
        u = _random(target)
        numerical = point.differences(j, u)
        pushed = point.push(j, u) if settings.forward else None
        for i, end in enumerate(point.ends):
            v = _random(end)
            bound = settings.atol * float(np.abs(u).sum() * np.abs(v).sum())
            expected = _inner(v, numerical[i])
            if pushed is not None:
                _compare_one(point, _FORWARD, i, j, _inner(v, pushed[i]), expected, bound, settings)
            if settings.backward:
                _compare_one(point, _BACKWARD, i, j, _inner(point.pull(i, v)[j], u), expected, bound, settings)


def _compare_one(point: _Point, what: str, i: int, j: int, got: float, expected: float, bound: float,
                 settings: _Settings) -> None:
    if abs(got - expected) <= bound + settings.rtol * abs(expected):
        return
    prefix = _parts(point.ends[i])[0][0]
    numerical = point.gradient(point.numerical(j, point.differences)[i], j, prefix)
    slow = FAST_MODE.format(numerical=tensor(numerical), analytical=tensor(point.analytical()[i][j][0]))
    raise GradcheckError(f"{what} for output {i} with respect to input {j},\nnumerical:{expected}\nanalytical:{got}\n{slow}")


def _check_batched(mapped: Callable[..., Any], single: Callable[..., Any], starts: Sequence[Value], what: str,
                   settings: _Settings) -> None:
    """Two examples at once by vmap, and one by one."""
    for i, start in enumerate(starts):
        examples = [_random(start), 2 * _random(start)]
        at_once = map(_array, vmap(lambda x, i=i: mapped(i, x))(tensor(np.array(examples))))
        one_by_one = zip(*(single(i, x) for x in examples))
        for j, (got, expected) in enumerate(zip(at_once, map(np.array, one_by_one))):
            if not np.allclose(got, expected, settings.rtol, settings.atol):
                raise GradcheckError(f"While testing batched {what} computation, from {i} to {j}: vmap gives\n{got}\none by "
                                     f"one gives\n{expected}\n")


# --- Numbers ----------------------------------------------------------------------------------------------------------


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _array(x: Tensor) -> Array:
    return np.array(host_array(x._read()))


def _set(x: Tensor, contents: Array) -> None:
    with grad_mode(False):
        x.detach().copy_(tensor(contents))


def _random(like: Value) -> Array:
    """Normal numbers of length 1; a fixed stream, so that a check gives the same answer every time."""
    kind = like.type
    draw = np.random.default_rng(kind.size).standard_normal
    made = draw(kind.shape) + 1j * draw(kind.shape) if kind.dtype.is_complex else draw(kind.shape)
    return np.asarray(made / np.sqrt(max(kind.size, 1)), kind.dtype.numpy)


def _real_units(value: Value) -> Iterator[Array]:
    """The unit vectors of a value's elements."""
    for k in range(value.type.size):
        unit = np.zeros(value.type.size, value.type.dtype.numpy)
        unit[k] = 1
        yield unit.reshape(value.type.shape)


def _units(value: Value) -> Iterator[Array]:
    """The same, each followed by the imaginary one where there is one."""
    for unit in _real_units(value):
        yield unit
        if value.type.dtype.is_complex:
            yield unit * 1j


def _parts(end: Value) -> list[tuple[str, complex]]:
    """What is said of an output's real numbers, and the cotangent that chooses them."""
    return [(_REAL, 1), (_IMAGINARY, 1j)] if end.type.dtype.is_complex else [("", 1)]


def _inner(a: Array, b: Array) -> float:
    """The inner product of real numbers, complex ones counting as two."""
    return float(np.real(np.vdot(a, b)))
