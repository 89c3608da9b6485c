"""kl_divergence of every ordered pair of families against PyTorch, registered or refused."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import flambeau

from .distribution_cases import FACTOR, MATRIX, WEIGHTS, Make, V, W, given, wrapped
from .test_distributions import outcome, same

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_engine")

PARTNERS: dict[str, list[Make]] = {
    "Bernoulli": [given("Bernoulli", (0.2, 0.0, 1.0)), given("Bernoulli", (0.5, 0.4, 1.0)), given("Bernoulli", (0.0, 1.0, 0.3))],
    "Beta": [given("Beta", V, W), given("Beta", W, V)],
    "Binomial": [given("Binomial", 4, (0.2, 0.5, 0.9)), given("Binomial", (4.0, 5.0, 4.0), (0.3, 0.5, 0.7))],
    "Categorical": [given("Categorical", WEIGHTS), given("Categorical", ((0.3, 0.3, 0.4), (0.2, 0.1, 0.7)))],
    "Cauchy": [given("Cauchy", V, W), given("Cauchy", W, V)],
    "Chi2": [given("Chi2", V), given("Chi2", W)],
    "ContinuousBernoulli": [given("ContinuousBernoulli", (0.2, 0.5, 0.9)), given("ContinuousBernoulli", (0.4, 0.7, 0.1))],
    "Dirichlet": [given("Dirichlet", V), given("Dirichlet", (W, V))],
    "Exponential": [given("Exponential", V), given("Exponential", W)],
    "FisherSnedecor": [given("FisherSnedecor", V, W)],
    "Gamma": [given("Gamma", V, W), given("Gamma", W, V)],
    "GeneralizedPareto": [given("GeneralizedPareto", 0.0, 1.0, 0.4)],
    "Geometric": [given("Geometric", (0.2, 0.5, 0.9)), given("Geometric", logits=(0.4, -0.7, 0.1))],
    "Gumbel": [given("Gumbel", V, W), given("Gumbel", W, V)],
    "HalfCauchy": [given("HalfCauchy", V), given("HalfCauchy", W)],
    "HalfNormal": [given("HalfNormal", V), given("HalfNormal", W)],
    "Independent": [wrapped(lambda lib, D: D.Independent(D.Normal(lib.ones(2, 3), lib.ones(2, 3)), 1)),
                    wrapped(lambda lib, D: D.Independent(D.Normal(lib.zeros(2, 3), lib.ones(2, 3) * 2), 2)),
                    wrapped(lambda lib, D: D.Independent(D.Normal(lib.zeros(2, 3), lib.ones(2, 3) * 2), 1))],
    "InverseGamma": [given("InverseGamma", V, W), given("InverseGamma", W, V)],
    "Kumaraswamy": [given("Kumaraswamy", V, W)],
    "LKJCholesky": [given("LKJCholesky", 3, 0.5)],
    "Laplace": [given("Laplace", V, W), given("Laplace", W, V)],
    "LogNormal": [given("LogNormal", V, W), given("LogNormal", W, V)],
    "LogisticNormal": [given("LogisticNormal", V, W), given("LogisticNormal", W, V)],
    "LowRankMultivariateNormal": [given("LowRankMultivariateNormal", V, ((1.0, 0.5), (0.2, -1.0), (0.3, 0.1)), W),
                                  given("LowRankMultivariateNormal", (W, V), ((1.0,), (0.2,), (0.3,)), V),
                                  given("LowRankMultivariateNormal", (1.0,), ((1.0,),), (2.0,))],
    "MultivariateNormal": [given("MultivariateNormal", V, MATRIX), given("MultivariateNormal", (W, V), scale_tril=FACTOR),
                           given("MultivariateNormal", (1.0,), ((1.0,),))],
    "Multinomial": [given("Multinomial", 4, WEIGHTS)],
    "NegativeBinomial": [given("NegativeBinomial", 4, (0.2, 0.5, 0.9))],
    "Normal": [given("Normal", V, W), given("Normal", W, V)],
    "OneHotCategorical": [given("OneHotCategorical", WEIGHTS), given("OneHotCategorical", ((0.3, 0.3, 0.4), (0.2, 0.1, 0.7)))],
    "Pareto": [given("Pareto", V, W), given("Pareto", (0.2, 0.4, 3.0), V)],
    "Poisson": [given("Poisson", V), given("Poisson", W)],
    "RelaxedBernoulli": [given("RelaxedBernoulli", (0.7,), (0.2, 0.5, 0.9))],
    "StudentT": [given("StudentT", V)],
    "TransformedDistribution": [
        wrapped(lambda lib, D: D.TransformedDistribution(D.Normal(lib.ones(3), 1.0), D.AffineTransform(1.0, 2.0))),
        wrapped(lambda lib, D: D.TransformedDistribution(D.Normal(lib.zeros(3), 2.0), D.AffineTransform(1.0, 2.0))),
        wrapped(lambda lib, D: D.TransformedDistribution(D.Normal(lib.zeros(3), 2.0), D.AffineTransform(lib.ones(3), 2.0)))],
    "Uniform": [given("Uniform", (0.1, 0.2, -1.0), (0.7, 0.9, 0.5)), given("Uniform", (0.0, 0.3, -2.0), (1.0, 1.5, 4.0))],
    "VonMises": [given("VonMises", V, W)],
    "Weibull": [given("Weibull", V, W)],
    "Wishart": [given("Wishart", 5.0, MATRIX), given("Wishart", 4.0, scale_tril=FACTOR)],
}


MADE: dict[tuple[str, Make], Any] = {}


def _made(lib: Any, make: Make) -> Any:
    """One instance per library: making them takes longer than comparing them."""
    key = lib.__name__, make
    if key not in MADE:
        MADE[key] = make(lib)
    return MADE[key]


def _divergence(lib: Any, p: Make, q: Make) -> Any:
    return lib.distributions.kl_divergence(_made(lib, p), _made(lib, q))


@pytest.mark.parametrize("name", PARTNERS)
def test_divergences_are_torchs(name: str) -> None:
    """All instances of two families where there is a divergence, one of each where there is none."""
    wrong = []
    for other, partners in PARTNERS.items():
        for p, q in [(p, q) for p in PARTNERS[name] for q in partners]:
            theirs, ours = outcome(_divergence, torch, p, q), outcome(_divergence, flambeau, p, q)
            if not same(ours, theirs):
                wrong.append(f"{name} from {other}: {ours} instead of {theirs}")
            if isinstance(theirs[0], str) and theirs[1]:  # refused
                break
    assert not wrong, "\n".join(wrong)


def test_every_pair_is_registered() -> None:
    def names(lib: Any) -> set[tuple[str, str]]:
        return {(p.__name__, q.__name__) for p, q in lib.distributions.kl._KL_REGISTRY}

    assert names(flambeau) >= names(torch)
    tried = {(p, q) for p in PARTNERS for q in PARTNERS}
    assert names(torch) - tried == {("ExponentialFamily", "ExponentialFamily")}  # Wishart is one


def _registered(lib: Any) -> Any:
    D = lib.distributions

    class Left(D.Normal):  # type: ignore[misc, name-defined]
        pass

    class Right(D.Normal):  # type: ignore[misc, name-defined]
        pass

    D.register_kl(Left, D.Normal)(lambda p, q: lib.tensor(1.0))
    D.register_kl(D.Normal, Right)(lambda p, q: lib.tensor(2.0))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = D.kl_divergence(Left(0.0, 1.0), Right(0.0, 1.0))
    return float(found), [(str(w.message), w.category.__name__) for w in told]


def test_dispatch_is_torchs() -> None:
    assert _registered(flambeau) == _registered(torch)
    with pytest.raises(TypeError, match="Expected type_p to be a Distribution subclass but got <class 'int'>"):
        flambeau.distributions.register_kl(int, flambeau.distributions.Normal)
