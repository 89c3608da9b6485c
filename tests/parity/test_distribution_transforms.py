"""Transforms, constraints and the registries between them, and what parameters are refused, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

from .distribution_cases import FACTOR, MATRIX, V, given
from .test_distributions import outcome, same

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_engine")

Make = Callable[[Any], Any]


def _t(lib: Any, *xs: float) -> Any:
    return lib.tensor(xs, dtype=lib.float64)


TRANSFORMS: dict[str, Make] = {
    "Abs": lambda t: t.distributions.AbsTransform(),
    "Affine": lambda t: t.distributions.AffineTransform(1.0, -2.0),
    "Affine, tensors": lambda t: t.distributions.AffineTransform(_t(t, 1.0, 2.0, 3.0), _t(t, -1.0, 0.5, 2.0)),
    "Affine, events": lambda t: t.distributions.AffineTransform(_t(t, 1.0, 2.0, 3.0), _t(t, -1.0, 0.5, 2.0), event_dim=1),
    "Affine, events of numbers": lambda t: t.distributions.AffineTransform(1.0, 2.0, event_dim=1),
    "Cat": lambda t: t.distributions.CatTransform([t.distributions.ExpTransform(), t.distributions.SigmoidTransform()],
                                                  dim=-1, lengths=[1, 2]),
    "Cat, first dimension": lambda t: t.distributions.CatTransform(
        [t.distributions.ExpTransform(), t.distributions.TanhTransform()]),
    "Compose": lambda t: t.distributions.ComposeTransform(
        [t.distributions.AffineTransform(0.5, 2.0), t.distributions.ExpTransform()]),
    "Compose of nothing": lambda t: t.distributions.ComposeTransform([]),
    "Compose of vectors": lambda t: t.distributions.ComposeTransform(
        [t.distributions.AffineTransform(0.5, 2.0), t.distributions.StickBreakingTransform()]),
    "CorrCholesky": lambda t: t.distributions.CorrCholeskyTransform(),
    "CumulativeDistribution": lambda t: t.distributions.CumulativeDistributionTransform(t.distributions.Normal(0.3, 1.5)),
    "Exp": lambda t: t.distributions.ExpTransform(),
    "Identity": lambda t: t.distributions.identity_transform,
    "Independent": lambda t: t.distributions.IndependentTransform(t.distributions.ExpTransform(), 1),
    "LowerCholesky": lambda t: t.distributions.LowerCholeskyTransform(),
    "PositiveDefinite": lambda t: t.distributions.PositiveDefiniteTransform(),
    "Power": lambda t: t.distributions.PowerTransform(_t(t, 2.0)),
    "Power of a number": lambda t: t.distributions.PowerTransform(-0.5),
    "Reshape": lambda t: t.distributions.ReshapeTransform((3,), (3, 1)),
    "Sigmoid": lambda t: t.distributions.SigmoidTransform(),
    "Softmax": lambda t: t.distributions.SoftmaxTransform(),
    "Softplus": lambda t: t.distributions.SoftplusTransform(),
    "Stack": lambda t: t.distributions.StackTransform([t.distributions.ExpTransform(), t.distributions.SigmoidTransform(),
                                                       t.distributions.TanhTransform()], dim=-1),
    "StickBreaking": lambda t: t.distributions.StickBreakingTransform(),
    "Tanh": lambda t: t.distributions.TanhTransform(),
}
NUMBERS = np.array([[-1.5, 0.2, 0.7], [2.0, -0.3, 1.1]])
SQUARES = np.array([[[-1.5, 0.2, 0.7], [2.0, -0.3, 1.1], [0.1, 0.4, -0.2]]])
SHAPES = ((), (3,), (2, 3), (3, 1), (3, 3), (4, 2, 3))
OF_A_TRANSFORM: dict[str, Callable[[Any], Any]] = {
    "repr": repr, "inverse": lambda f: repr(f.inv), "domain": lambda f: repr(f.domain), "codomain": lambda f: repr(f.codomain),
    "bijective": lambda f: f.bijective, "sign": lambda f: f.sign, "event_dim": lambda f: f.event_dim,
    "inverse event_dim": lambda f: f.inv.event_dim, "domain event_dim": lambda f: f.domain.event_dim,
    "is_discrete": lambda f: f.codomain.is_discrete, "inverse domain": lambda f: repr(f.inv.domain),
    "inverse of the inverse": lambda f: f.inv.inv is f, "equal": lambda f: f == f.with_cache(1), "same": lambda f: f == f,
    "cached": lambda f: f.with_cache(1)._cache_size, "hash": lambda f: type(f).__hash__ is None,
}


def _points(name: str) -> np.ndarray[Any, Any]:
    if name in ("LowerCholesky", "PositiveDefinite"):
        return SQUARES
    return np.abs(NUMBERS) if name.startswith("Power") else NUMBERS


def _shape_pairs(f: Any) -> list[Any]:
    made = []
    for shape in SHAPES:
        for way in (f.forward_shape, f.inverse_shape):
            made.append(outcome(lambda way=way, shape=shape: tuple(way(torch.Size(shape) if "torch" in type(f).__module__
                                                                       else flambeau.Size(shape)))))
    return made


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_is_torchs(name: str) -> None:
    ours, theirs = TRANSFORMS[name](flambeau), TRANSFORMS[name](torch)
    points, wrong = _points(name), []
    for what, of in OF_A_TRANSFORM.items():
        a, b = outcome(of, ours), outcome(of, theirs)
        if not same(a, b):
            wrong.append(f"{what}: {a} instead of {b}")
    results = []
    for lib, f in ((flambeau, ours), (torch, theirs)):
        x = lib.tensor(points)
        y = f(x)
        results.append([outcome(lambda y=y: y), outcome(lambda f=f, y=y: f.inv(y)),
                        outcome(lambda f=f, x=x, y=y: f.log_abs_det_jacobian(x, y)),
                        outcome(lambda f=f, x=x, y=y: f.inv.log_abs_det_jacobian(y, x)),
                        outcome(lambda f=f, y=y: f.codomain.check(y)), _shape_pairs(f)])
    wrong += [f"{a} instead of {b}" for a, b in zip(*results) if not same(tuple(a), tuple(b))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name not in ("Compose of nothing", "Identity")])
def test_caches_keep_the_pair(name: str) -> None:
    f, x = TRANSFORMS[name](flambeau).with_cache(), flambeau.tensor(_points(name))
    y = f(x)
    assert f(x) is y or isinstance(f, flambeau.distributions.ComposeTransform)
    assert f.inv(y) is x


ERRORS: dict[str, Make] = {
    "cache": lambda t: t.distributions.ExpTransform(cache_size=2),
    "no elements": lambda t: t.distributions.ReshapeTransform((3,), (2,)),
    "event": lambda t: t.distributions.StickBreakingTransform().inv(t.zeros(())),
    "Independent": lambda t: t.distributions.IndependentTransform(t.distributions.ExpTransform(), 1)(t.zeros(())),
    "Transform": lambda t: t.distributions.Transform()(t.zeros(2)),
    "Transform sign": lambda t: t.distributions.Transform().sign,
    "triangle": lambda t: t.distributions.transforms.CorrCholeskyTransform()(t.zeros(2)),
    "dependent": lambda t: t.distributions.constraints.dependent.check(t.zeros(2)),
    "dependent event": lambda t: t.distributions.Uniform.support.event_dim,
    "dependent, nothing known": lambda t: t.distributions.constraints.dependent.is_discrete,
    "few dimensions": lambda t: t.distributions.constraints.real_vector.check(t.zeros(())),
    "biject": lambda t: t.distributions.biject_to(t.distributions.constraints.boolean),
    "biject to definite": lambda t: t.distributions.biject_to(t.distributions.constraints.positive_definite),
    "register": lambda t: t.distributions.biject_to.register(int, None)(int),
}

CONSTRAINTS: dict[str, tuple[Make, Any]] = {
    "boolean": (lambda c: c.boolean, [0.0, 1.0, 0.5, np.nan]),
    "real": (lambda c: c.real, [0.0, np.inf, np.nan]),
    "one_hot": (lambda c: c.one_hot, [[0.0, 1.0], [1.0, 1.0], [0.5, 0.5]]),
    "nonnegative_integer": (lambda c: c.nonnegative_integer, [-1.0, 0.0, 2.0, 2.5]),
    "positive_integer": (lambda c: c.positive_integer, [-1.0, 0.0, 2.0, 2.5]),
    "integer_interval": (lambda c: c.integer_interval(-1, 2), [-2.0, -1.0, 0.5, 2.0, 3.0]),
    "positive": (lambda c: c.positive, [-1.0, 0.0, 1e-30, np.nan]), "nonnegative": (lambda c: c.nonnegative, [-1.0, 0.0, 3.0]),
    "greater_than": (lambda c: c.greater_than(0.5), [0.5, 1.0]),
    "greater_than_eq": (lambda c: c.greater_than_eq(0.5), [0.5, 0.2]),
    "less_than": (lambda c: c.less_than(0.5), [0.5, 0.2]), "unit_interval": (lambda c: c.unit_interval, [0.0, 1.0, 1.1, -0.1]),
    "interval": (lambda c: c.interval(-2.0, 3), [-2.0, 3.0, 4.0]),
    "half_open_interval": (lambda c: c.half_open_interval(0.0, 1.0), [0.0, 1.0, 0.5]),
    "real_vector": (lambda c: c.real_vector, [[0.0, 1.0], [np.nan, 1.0]]),
    "simplex": (lambda c: c.simplex, [[0.3, 0.7], [0.3, 0.6], [-0.1, 1.1]]),
    "multinomial": (lambda c: c.multinomial(3), [[1.0, 2.0], [2.0, 2.0], [-1.0, 2.0]]),
    "lower_triangular": (lambda c: c.lower_triangular, [FACTOR, MATRIX]),
    "lower_cholesky": (lambda c: c.lower_cholesky, [FACTOR, MATRIX, np.tril(-np.array(MATRIX))]),
    "corr_cholesky": (lambda c: c.corr_cholesky, [FACTOR, np.eye(3)]),
    "square": (lambda c: c.square, [[[1.0, 2.0]]]), "symmetric": (lambda c: c.symmetric, [MATRIX, FACTOR]),
    "positive_semidefinite": (lambda c: c.positive_semidefinite, [MATRIX, np.ones((3, 3)), -np.eye(3)]),
    "positive_semidefinite, not symmetric": (lambda c: c.positive_semidefinite, [MATRIX, FACTOR]),
    "positive_definite": (lambda c: c.positive_definite, [MATRIX, -np.eye(3)]),
    "positive_definite, not symmetric": (lambda c: c.positive_definite, [MATRIX, FACTOR]),
    "independent": (lambda c: c.independent(c.positive, 1), [[1.0, 2.0], [0.0, 1.0]]),
    "cat": (lambda c: c.cat([c.positive, c.real], 0, [1, 2]), [-1.0, -2.0, 3.0]),
    "stack": (lambda c: c.stack([c.positive, c.real], 0), [[-1.0, 1.0], [-2.0, 3.0]]),
    "mixture": (lambda c: c.MixtureSameFamilyConstraint(c.positive), [1.0, -1.0]),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_constraint_is_torchs(name: str) -> None:
    make, points = CONSTRAINTS[name]

    def seen(lib: Any) -> Any:
        c = make(lib.distributions.constraints)
        x = lib.tensor(np.array(points, dtype=np.float64))
        to = [outcome(lambda r=r: r(c)(x)) for r in (lib.distributions.biject_to, lib.distributions.transform_to)
              if c.event_dim < 2 and name != "mixture"]
        shown = repr(c) if name not in ("cat", "stack") else type(c).__name__
        return shown, c.event_dim, c.is_discrete, outcome(c.check, x), tuple(to)

    assert same(seen(flambeau), seen(torch)), (seen(flambeau), seen(torch))


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_torchs(name: str) -> None:
    def seen(lib: Any) -> Any:
        try:
            return repr(ERRORS[name](lib))
        except Exception as error:
            return type(error).__name__, str(error).replace("flambeau", "torch").replace("transform_base", "transforms")

    assert seen(flambeau) == seen(torch)


# --- Parameters that are refused --------------------------------------------------------------------------------------

REFUSED: dict[str, Make] = {
    **{f"{name} {args}": given(name, *args) for name in ("Beta", "Cauchy", "FisherSnedecor", "Gamma", "Gumbel", "InverseGamma",
                                                         "Kumaraswamy", "Laplace", "LogNormal", "LogisticNormal", "Normal",
                                                         "Pareto", "StudentT", "Uniform", "VonMises", "Weibull", "Bernoulli",
                                                         "Binomial", "NegativeBinomial", "Multinomial",
                                                         "LowRankMultivariateNormal")
       for args in ((V, (-1.0, 0.0, 2.0)), ((np.nan, 1.0, -1.0), V), ("text", 1.0))},
    **{f"{name} {args}": given(name, *args) for name in ("Bernoulli", "Categorical", "Chi2", "ContinuousBernoulli", "Dirichlet",
                                                         "Exponential", "Geometric", "HalfCauchy", "HalfNormal",
                                                         "OneHotCategorical", "Poisson")
       for args in (((-1.0, 0.5, np.nan),), (-1.0,), ((1.5, 0.0),), ())},
    "Normal, shapes": given("Normal", (1.0, 2.0), (1.0, 2.0, 3.0)),
    "Geometric of 0": given("Geometric", (0.0, 0.5)), "Categorical, 0-d": lambda t: t.distributions.Categorical(t.tensor(0.5)),
    "Categorical, 0-d logits": lambda t: t.distributions.Categorical(logits=t.tensor(0.5)),
    "Dirichlet, 0-d": lambda t: t.distributions.Dirichlet(t.tensor(0.5)),
    "Bernoulli of both": given("Bernoulli", (0.5,), (0.5,)), "Binomial, count": given("Binomial", (-1.0,), (0.5,)),
    "Binomial, part": given("Binomial", (1.5,), (0.5,)), "NegativeBinomial of 1": given("NegativeBinomial", 2, (1.0,)),
    "Multinomial, counts": given("Multinomial", (2.0, 3.0), (0.5, 0.5)), "LKJ": given("LKJCholesky", 1), "LKJ, negative":
    given("LKJCholesky", 3, -1.0), "Multivariate, 0-d": lambda t: t.distributions.MultivariateNormal(t.tensor(0.0), t.eye(2)),
    "Multivariate of none": given("MultivariateNormal", V), "Multivariate of two": given("MultivariateNormal", V, MATRIX, MATRIX),
    "Multivariate of a vector": given("MultivariateNormal", V, V), "Multivariate of a factor": given(
        "MultivariateNormal", V, scale_tril=V), "Multivariate of a precision": given("MultivariateNormal", V, None, V),
    "Multivariate, not symmetric": given("MultivariateNormal", V, FACTOR),
    "Multivariate, not triangular": given("MultivariateNormal", V, scale_tril=MATRIX),
    "Low rank, factor": given("LowRankMultivariateNormal", V, V, V), "Low rank, size": given(
        "LowRankMultivariateNormal", V, ((1.0,), (2.0,)), V), "Low rank, diagonal": given(
        "LowRankMultivariateNormal", V, ((1.0,), (2.0,), (3.0,)), (1.0,)), "Wishart, df": given("Wishart", 1.0, MATRIX),
    "Wishart of none": given("Wishart", 4.0), "Wishart of a vector": given("Wishart", 4.0, V),
    "Independent": lambda t: t.distributions.Independent(t.distributions.Normal(0.0, 1.0), 1),
    "Mixture, no Categorical": lambda t: t.distributions.MixtureSameFamily(1, 2),
    "Mixture, no component": lambda t: t.distributions.MixtureSameFamily(t.distributions.Categorical(t.ones(2)), 2),
    "Mixture, batch": lambda t: t.distributions.MixtureSameFamily(
        t.distributions.Categorical(t.ones(3, 2)), t.distributions.Normal(t.zeros(4, 2), 1.0)),
    "Mixture, components": lambda t: t.distributions.MixtureSameFamily(
        t.distributions.Categorical(t.ones(3)), t.distributions.Normal(t.zeros(2), 1.0)),
    "Transformed": lambda t: t.distributions.TransformedDistribution(t.distributions.Normal(0.0, 1.0), 3),
    "Transformed by a list": lambda t: t.distributions.TransformedDistribution(t.distributions.Normal(0.0, 1.0), [3]),
    "Transformed, size": lambda t: t.distributions.TransformedDistribution(
        t.distributions.Normal(0.0, 1.0), t.distributions.StickBreakingTransform()),
    "default": lambda t: t.distributions.Distribution.set_default_validate_args(3),
    "enumerate": lambda t: t.distributions.Independent(t.distributions.Bernoulli(t.zeros(2)), 1).enumerate_support(),
    "enumerate counts": given("Binomial", (2.0, 3.0), 0.5),
    "entropy of counts": lambda t: t.distributions.Binomial(t.tensor([2.0, 3.0]), t.tensor(0.5)).entropy(),
    "custom expand": lambda t: type("Mine", (t.distributions.Normal,), {"__init__": lambda self: None})().expand((2,)),
    "not checked": lambda t: t.distributions.Normal(0.0, -1.0, validate_args=False).scale,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_torchs(name: str) -> None:
    def seen(lib: Any) -> Any:
        try:
            return repr(REFUSED[name](lib))
        except Exception as error:
            return type(error).__name__, " ".join(str(error).replace("flambeau", "torch").split())

    assert seen(flambeau) == seen(torch)
