"""Derivatives of every function of one or two numbers, first and second, at points where formulas change: against torch.

The points are zeros of both signs, bounds, knees and thresholds; in pairs also ties. Lazily, on the numpy engine.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402

NAMESPACES = ("nn.functional", "special", "")
POINTS = [-30.0, -6.0, -3.0, -2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0, 20.0, 30.0, 700.0]
OTHERS = [0.0, 1.0, 0.3, -1.0, 2.0, 0.5, 0.0, 0.0, 1.0, 1.0, 0.0, 3.0, 6.0, 1.0, 0.0, 1.0]
# What differs, and why: all of it at infinities of a derivative, or where torch's formula gives NaN for what has a value.
DIFFERING = {
    **dict.fromkeys(("digamma", "psi", "lgamma", "gammaln"), "at poles torch has large numbers for infinities"),
    **dict.fromkeys(("sinc", "copysign", "norm_except_dim"), "second derivative at 0: torch NaN, ours the limit or 0"),
    **dict.fromkeys(("div", "divide", "true_divide"), "second derivative at a divisor of 0: torch NaN, ours inf"),
    "logit": "second derivative outside [0, 1]: torch 0, ours NaN, as both have for the first",
    "log_ndtr": "second derivative at 700: torch 0, ours NaN"}
DRAWN = {"alpha_dropout", "bernoulli", "binomial", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
         "gumbel_softmax", "normal", "poisson", "rrelu"}


def found(library: Any, *path: str) -> Any:
    for part in filter(None, path):
        library = getattr(library, part, None)
    return library


def derivatives(library: Any, function: Callable[..., Any], two: bool) -> list[Any] | None:
    """The gradients of the sum, and those of a weighted sum of them; None where nothing requires one."""
    args = [library.tensor(numbers, dtype=library.float64, requires_grad=True) for numbers in (POINTS, OTHERS)[:1 + two]]
    result = function(*args)
    if not isinstance(result, library.Tensor) or not result.requires_grad:
        return None
    first = library.autograd.grad(result.sum(), args, create_graph=True, allow_unused=True)
    again = [g for g in first if g is not None and g.requires_grad]
    weighed = sum((g * k).sum() for k, g in enumerate(again, 1))
    second = library.autograd.grad(weighed, args, allow_unused=True) if again else [None] * len(args)
    return [*(plain(g) for g in first), len(again), *map(plain, second)]


def plain(gradient: Any) -> list[float]:
    return [0.0] * len(POINTS) if gradient is None else gradient.tolist()  # type: ignore[no-any-return]


def cases() -> Iterator[tuple[str, str, bool]]:
    """The functions that have a derivative here, given one or two vectors, and that torch has, too."""
    for namespace in NAMESPACES:
        library = found(flambeau, *namespace.split("."))
        for name in sorted(n for n in dir(library) if not n.startswith("_") and n not in DRAWN):
            if inspect.isfunction(ours := getattr(library, name)) and is_of_tensors(ours):
                theirs = found(torch, *namespace.split("."), name)
                yield from ((namespace, name, two) for two in (False, True)
                            if is_derived(flambeau, ours, two) and is_derived(torch, theirs, two))


def is_of_tensors(function: Callable[..., Any]) -> bool:
    """Whether its first argument is a tensor: what sets something for all that comes after is not tried."""
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and "Tensor" in str(first.annotation)


def is_derived(library: Any, function: Callable[..., Any], two: bool) -> bool:
    with on_numpy(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return derivatives(library, function, two) is not None
        except Exception:  # it takes something else
            return False


CASES = list(cases())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("namespace", "name", "two"), CASES, ids=[f"{s or 'torch'}.{n}-{1 + t}" for s, n, t in CASES])
def test_derivatives_are_torchs_at_special_points(namespace: str, name: str, two: bool) -> None:
    path = *namespace.split("."), name
    wanted = derivatives(torch, found(torch, *path), two)
    with on_numpy():
        have = derivatives(flambeau, found(flambeau, *path), two)
    assert wanted is not None and have is not None
    same = all(len(np.atleast_1d(a)) == len(np.atleast_1d(b)) and np.allclose(a, b, rtol=1e-6, atol=1e-8, equal_nan=True)
               for a, b in zip(wanted, have, strict=True))
    assert same or name in DIFFERING, "\n".join(f"{a}\n{b}" for a, b in zip(wanted, have))


def test_the_sweep_covers_what_there_is() -> None:
    print(f"{len(CASES)} functions")
    assert len(CASES) >= 205 and set(DIFFERING) <= {name for _, name, _ in CASES}


DRAWS: dict[str, Callable[[Any, Any], Any]] = {
    "normal of a mean": lambda l, p: l.normal(p, 1.0), "normal of a deviation": lambda l, p: l.normal(0.0, p),
    "normal of both": lambda l, p: l.normal(p, p), "bernoulli": lambda l, p: l.bernoulli(p),
    "poisson": lambda l, p: l.poisson(p), "binomial": lambda l, p: l.binomial(l.full((3,), 4.0), p),
    **{f"{name}_": lambda l, p, name=name: getattr(p * 2, f"{name}_")()  # type: ignore[misc]
       for name in ("normal", "uniform", "bernoulli", "exponential", "cauchy", "log_normal", "random")},
    "geometric_": lambda l, p: (p * 2).geometric_(0.3), "bernoulli_ of a tensor": lambda l, p: (p * 2).bernoulli_(p),
    "rand_like": lambda l, p: l.rand_like(p), "multinomial": lambda l, p: l.multinomial(p, 2),
    "rrelu": lambda l, p: l.nn.functional.rrelu(p, training=True), "dropout": lambda l, p: l.nn.functional.dropout(p, 0.001)}


def of_a_draw(library: Any, draw: Callable[[Any, Any], Any]) -> str:
    parameters = library.tensor([0.3, 0.5, 0.7], requires_grad=True)
    drawn = draw(library, parameters)
    if not drawn.requires_grad:
        return "none"
    try:
        (gradient,) = library.autograd.grad(drawn.sum(), parameters)
    except RuntimeError as error:
        return str(error)
    return "some" if gradient.any() else "zero"


@pytest.mark.parametrize("name", DRAWS)
def test_draws_have_the_gradient_that_torch_gives_them(name: str) -> None:
    with on_numpy():
        assert of_a_draw(flambeau, DRAWS[name]) == of_a_draw(torch, DRAWS[name])


@pytest.mark.parametrize("points", [[3.0, 3.0, 3.0, 1.0, 1.0], [1.0, 3.0, 3.0, 10000.0, 2.0], [1.0, 2.0, 0.5]])
def test_logcumsumexp_of_equal_numbers_has_a_second_derivative(points: list[float]) -> None:
    def derived(library: Any) -> Any:
        x = library.tensor(points, dtype=library.float64, requires_grad=True)
        (first,) = library.autograd.grad(library.logcumsumexp(x, 0).sum(), x, create_graph=True)
        (second,) = library.autograd.grad((first * library.arange(1.0, len(points) + 1)).sum(), x)
        return [*first.tolist(), *second.tolist()]

    with on_numpy():
        assert derived(flambeau) == pytest.approx(derived(torch), rel=1e-9, abs=1e-10)


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("update", [[1.5, 0.0, 2.0, 0.5], [0.0, 3.0, 0.0, 1.0], [2.0, 4.0, 0.0, 0.0]])
@pytest.mark.parametrize("start", [[0.0, 2.0, 3.0], [1.0, 2.0, 0.0]])
def test_products_with_one_zero_update_have_a_second_derivative(start: list[float], update: list[float]) -> None:
    def derived(library: Any, reduce: Callable[[Any, Any, Any, Any], Any]) -> Any:
        x, u = (library.tensor(v, dtype=library.float64, requires_grad=True) for v in (start, update))
        index, direction = library.tensor([0, 0, 1, 2]), library.tensor([1.0, -0.2, 0.6, 0.9], dtype=library.float64)
        first = library.autograd.grad(reduce(library, x, index, u).square().sum(), (x, u), create_graph=True)
        second = library.autograd.grad([(first[0] * direction[:3]).sum() + (first[1] * direction).sum()], (x, u))
        return [v for g in (*first, *second) for v in g.tolist()]

    for reduce in (lambda l, x, i, u: x.scatter_reduce(0, i, u, "prod"), lambda l, x, i, u: x.index_reduce(0, i, u, "prod")):
        with on_numpy():
            assert derived(flambeau, reduce) == pytest.approx(derived(torch, reduce), rel=1e-9, abs=1e-12)
