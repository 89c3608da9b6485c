"""Distributions as functions of the library that makes them: torch, or Flambeau."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Make = Callable[[Any], Any]

V: Any = (0.3, 1.2, 2.5)
W = (0.7, 0.4, 3.0)
P = (0.0, 0.3, 0.5, 0.9)
MATRIX = ((2.0, 0.3, 0.1), (0.3, 1.0, -0.2), (0.1, -0.2, 1.5))
FACTOR = ((1.0, 0.0, 0.0), (0.5, 2.0, 0.0), (-0.3, 0.2, 0.7))
WEIGHTS = ((0.2, 0.5, 0.3), (0.0, 0.6, 0.4))


def given(name: str, *args: Any, kind: str = "float64", **kwargs: Any) -> Make:
    """A family with tuples as tensors."""
    def make(lib: Any) -> Any:
        def tensor(x: Any) -> Any:
            return lib.tensor(x, dtype=getattr(lib, kind)) if isinstance(x, tuple) else x

        family = getattr(lib.distributions, name)
        return family(*map(tensor, args), **{k: tensor(x) for k, x in kwargs.items()})

    return make


TWO = {  # families of two positive parameters, or of a place and a scale
    name: given(name, V, W) for name in ("Beta", "Cauchy", "FisherSnedecor", "Gamma", "Gumbel", "InverseGamma", "Kumaraswamy",
                                         "Laplace", "LogNormal", "LogisticNormal", "Normal", "Pareto", "StudentT", "VonMises",
                                         "Weibull")}
TWO_NUMBERS = {f"{name} of numbers": given(name, 1.3, 2.1) for name in TWO if name not in ("VonMises",)}
ONE = {name: given(name, V) for name in ("Chi2", "Dirichlet", "Exponential", "HalfCauchy", "HalfNormal", "Poisson")}
ONE_NUMBER = {f"{name} of a number": given(name, 1.3) for name in ONE if name != "Dirichlet"}
BINARY = {f"{name} of {kind}": given(name, **{kind: value}) for name in ("Bernoulli", "ContinuousBernoulli", "Geometric")
          for kind, value in (("probs", P[1:]), ("logits", (-2.0, 0.0, 0.001, 1.5)))}
BINARY_NUMBERS = {f"{name} of a number": given(name, 0.3) for name in ("Bernoulli", "ContinuousBernoulli", "Geometric")}
COUNTS = {f"{name} of {kind}": given(name, 4, **{kind: value}) for name in ("Binomial", "NegativeBinomial")
          for kind, value in (("probs", P), ("logits", (-2.0, 0.0, 1.5)))}
CLASSES = {f"{name} of {kind}": given(name, **{kind: value})
           for name in ("Categorical", "OneHotCategorical", "OneHotCategoricalStraightThrough")
           for kind, value in (("probs", WEIGHTS), ("logits", ((0.1, -1.0, 2.0), (0.0, 3.0, 0.5))))}


def wrapped(make: Callable[[Any, Any], Any]) -> Make:
    """A distribution made of others, from the library and its distributions."""
    return lambda lib: make(lib, lib.distributions)


def _vectors(lib: Any, D: Any) -> Any:
    return D.Normal(lib.arange(6.0, dtype=lib.float64).reshape(2, 3), lib.ones(2, 3, dtype=lib.float64))


OTHERS: dict[str, Make] = {
    "Uniform": given("Uniform", (0.0, 1.0), (2.0, 1.5)),
    "Uniform of numbers": given("Uniform", -1.0, 3.0),
    "Beta, modes": given("Beta", (2.0, 0.5, 0.5), (3.0, 0.5, 2.0)),
    "Dirichlet, batch": given("Dirichlet", ((0.5, 0.2, 0.9), (2.0, 3.0, 1.5))),
    "FisherSnedecor, moments": given("FisherSnedecor", (3.0, 5.0, 1.0), (2.0, 4.5, 7.0)),
    "StudentT, moments": given("StudentT", (0.5, 1.5, 2.5), 1.0, 2.0),
    "InverseGamma, moments": given("InverseGamma", (0.5, 1.5, 2.5), 1.0),
    "Kumaraswamy, modes": given("Kumaraswamy", (0.5, 2.0, 3.0), (0.5, 0.8, 2.0)),
    "Pareto, moments": given("Pareto", 1.5, (0.5, 1.5, 3.0)),
    "Weibull, modes": given("Weibull", 2.0, (0.5, 1.0, 3.0)),
    "GeneralizedPareto": given("GeneralizedPareto", (0.0, 1.0, -1.0, 0.5), (1.0, 2.0, 0.5, 1.0), (0.3, 0.0, -0.4, 1.5),
                               kind="float32"),
    "GeneralizedPareto of numbers": given("GeneralizedPareto", 0.0, 1.0, 0.4),
    "VonMises, concentrated": given("VonMises", (0.0, 1.0, -3.0), (0.001, 5.0, 60.0)),
    "Binomial, counts": given("Binomial", (3.0, 5.0), (0.2, 0.6)),
    "Binomial, one count in a tensor": given("Binomial", (3.0, 3.0), (0.2, 0.6)),
    "Multinomial of probs": given("Multinomial", 4, WEIGHTS),
    "Multinomial of logits": given("Multinomial", 2, logits=((0.1, -1.0, 2.0), (0.0, 3.0, 0.5))),
    "RelaxedBernoulli of probs": given("RelaxedBernoulli", (0.7,), (0.2, 0.5, 0.9)),
    "RelaxedBernoulli of logits": given("RelaxedBernoulli", (0.7,), logits=(-1.0, 0.5)),
    "RelaxedOneHotCategorical of probs": given("RelaxedOneHotCategorical", (0.7,), ((0.2, 0.5, 0.3), (0.1, 0.6, 0.3))),
    "RelaxedOneHotCategorical of logits": given("RelaxedOneHotCategorical", (0.7,), logits=(-1.0, 0.5)),
    "MultivariateNormal of covariances": given("MultivariateNormal", V, MATRIX),
    "MultivariateNormal of precisions": given("MultivariateNormal", V, None, MATRIX),
    "MultivariateNormal of a factor": given("MultivariateNormal", (V, W), scale_tril=FACTOR),
    "LowRankMultivariateNormal": given("LowRankMultivariateNormal", (V, W), ((1.0, 0.5), (0.2, -1.0), (0.3, 0.1)), W),
    "Wishart of covariances": given("Wishart", (4.0, 6.5), MATRIX),
    "Wishart of precisions": given("Wishart", (4.0,), precision_matrix=MATRIX),
    "Wishart of a factor": given("Wishart", 5, scale_tril=FACTOR),
    "LKJCholesky": given("LKJCholesky", 3, (0.5, 1.0, 4.0)),
    "LKJCholesky of a number": given("LKJCholesky", 2),
    "Independent": wrapped(lambda lib, D: D.Independent(_vectors(lib, D), 1)),
    "Independent of nothing": wrapped(lambda lib, D: D.Independent(_vectors(lib, D), 0)),
    "Independent Bernoullis": wrapped(lambda lib, D: D.Independent(D.Bernoulli(lib.tensor([0.2, 0.4])), 1)),
    "Mixture": wrapped(lambda lib, D: D.MixtureSameFamily(D.Categorical(lib.tensor(WEIGHTS)), _vectors(lib, D))),
    "Mixture of vectors": wrapped(lambda lib, D: D.MixtureSameFamily(
        D.Categorical(lib.tensor([0.2, 0.8])), D.Independent(_vectors(lib, D), 1))),
    "Mixture of Poissons": wrapped(lambda lib, D: D.MixtureSameFamily(
        D.Categorical(lib.tensor([0.2, 0.8])), D.Poisson(lib.tensor([1.0, 4.0])))),
    "Transformed by nothing": wrapped(lambda lib, D: D.TransformedDistribution(_vectors(lib, D), [])),
    "Transformed by two": wrapped(lambda lib, D: D.TransformedDistribution(
        _vectors(lib, D), [D.AffineTransform(1.0, -2.0), D.SigmoidTransform()])),
    "Transformed vectors": wrapped(lambda lib, D: D.TransformedDistribution(_vectors(lib, D), D.StickBreakingTransform())),
    "Transformed independent": wrapped(lambda lib, D: D.TransformedDistribution(
        D.Independent(_vectors(lib, D), 1), D.ExpTransform())),
    "Transformed by its own function": wrapped(lambda lib, D: D.TransformedDistribution(
        D.Uniform(0.0, 1.0), D.CumulativeDistributionTransform(D.Normal(0.5, 2.0)).inv)),
}
CASES: dict[str, Make] = {**TWO, **TWO_NUMBERS, **ONE, **ONE_NUMBER, **BINARY, **BINARY_NUMBERS, **COUNTS, **CLASSES, **OTHERS}
