"""Draws: their moments and supports, their gradients, and what compiled steps make of them, against PyTorch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.tracer.functions.random import dirichlet_grad, gamma_grad

from .distribution_cases import CASES, Make, given
from .test_distributions import outcome

torch = pytest.importorskip("torch")

COUNT = 4000
HEAVY = ("Cauchy", "FisherSnedecor", "InverseGamma", "Pareto", "StudentT", "GeneralizedPareto")  # moments that draws do not show


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("name", CASES)
def test_draws_have_torchs_shapes_support_and_moments(name: str) -> None:
    flambeau.manual_seed(1)
    torch.manual_seed(1)
    ours, theirs = CASES[name](flambeau), CASES[name](torch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small, other = ours.sample((2, 3)), theirs.sample((2, 3))
        assert (small.shape, str(small.dtype)) == (tuple(other.shape), str(other.dtype))
        assert not small.requires_grad
        assert bool(ours.support.check(small).all())
        drawn = ours.sample((COUNT,)).double().numpy()
        expected = theirs.sample((COUNT,)).double().numpy()
    for rank in (np.quantile if name.split()[0].rstrip(",") in HEAVY or "Half" in name else np.mean,):
        a, b = (rank(x, 0.5, axis=0) if rank is np.quantile else rank(x, axis=0) for x in (drawn, expected))
        spread = np.subtract(*np.quantile(expected, [0.75, 0.25], axis=0)) + expected.std(axis=0) * (rank is np.mean)
        assert np.all(np.abs(a - b) <= 8 * spread / COUNT**0.5 + 1e-3), (a, b)


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("name", CASES)
def test_rsample_is_there_where_torch_has_it(name: str) -> None:
    ours, theirs = CASES[name](flambeau), CASES[name](torch)
    a, b = outcome(lambda: tuple(ours.rsample((2,)).shape)), outcome(lambda: tuple(theirs.rsample((2,)).shape))
    assert a == b or name.startswith("Multinomial")


# --- Gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("numpy_engine")
def test_gradients_of_gamma_and_dirichlet_numbers_are_torchs() -> None:
    """Draw by draw; torch's are approximations of some 1e-3."""
    rng = np.random.default_rng(0)
    for kind, bound in ((np.float64, 1e-3), (np.float32, 2e-3)):
        a = 10**rng.uniform(-1.5, 3.5, 300)
        x = np.maximum(rng.gamma(a), 1e-30)
        a, x = a.astype(kind), x.astype(kind)
        theirs = torch._standard_gamma_grad(torch.from_numpy(a).double(), torch.from_numpy(x).double()).numpy()
        np.testing.assert_allclose(gamma_grad(flambeau.tensor(a), flambeau.tensor(x)).numpy(), theirs, rtol=bound)
        a, b = 10**rng.uniform(-1.5, 2, 300), 10**rng.uniform(-1.5, 2, 300)
        x = np.clip(rng.beta(a, b), 1e-25, 1 - 1e-4)
        a, b, x = a.astype(kind), b.astype(kind), x.astype(kind)
        theirs = torch._dirichlet_grad(*(torch.from_numpy(v).double() for v in (x, a, a + b))).numpy()
        ours = dirichlet_grad(flambeau.tensor(x), flambeau.tensor(a), flambeau.tensor(a + b)).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=5 * bound)


def _smaller(a: Any, x: Any) -> Any:
    return dirichlet_grad(x / 40, a, a + 9)


def _larger(a: Any, x: Any) -> Any:
    return dirichlet_grad(x / (x + 1), a, a + 1.7)


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize(("a", "x"), [(2.0, 1.5), (0.3, 0.05), (30.0, 33.0), (0.5, 2.0), (0.7, 0.2)])
def test_gradients_of_these_gradients_are_differences(a: float, x: float) -> None:
    """torch has none."""
    def double(*xs: float) -> Any:
        return [flambeau.tensor(v, dtype=flambeau.float64, requires_grad=True) for v in xs]

    for function in (gamma_grad, _smaller, _larger):
        operands = double(a, x)
        function(*operands).backward()
        for i, operand in enumerate(operands):
            step = [1e-5 * (j == i) for j in range(2)]
            up, down = (function(*double(a + s * step[0], x + s * step[1])) for s in (1, -1))
            assert operand.grad.item() == pytest.approx(((up - down) / 2e-5).item(), rel=1e-5)


PARAMETERS: dict[str, tuple[Any, ...]] = {
    "Beta": ((0.7, 2.0), (1.5, 0.8)), "Cauchy": ((0.5, 1.0), (1.0, 2.0)), "Chi2": ((3.0, 5.0),), "Dirichlet": ((0.7, 2.0, 1.5),),
    "ContinuousBernoulli": ((0.2, 0.7),), "Exponential": ((0.7, 2.0),), "FisherSnedecor": ((3.0, 5.0), (8.0, 9.0)),
    "Gamma": ((0.7, 3.0), (1.5, 0.8)), "GeneralizedPareto": ((0.0, 1.0), (1.0, 2.0), (0.1, 0.2)),
    "Gumbel": ((0.5, 1.0), (1.0, 2.0)),
    "HalfCauchy": ((0.7, 2.0),), "HalfNormal": ((0.7, 2.0),), "InverseGamma": ((4.0, 5.0), (1.5, 0.8)),
    "Kumaraswamy": ((0.7, 2.0), (1.5, 0.8)), "Laplace": ((0.5, 1.0), (1.0, 2.0)), "LogNormal": ((0.5, 0.1), (0.3, 0.2)),
    "LogisticNormal": ((0.5, 1.0), (1.0, 0.5)), "LowRankMultivariateNormal": ((0.5, 1.0), ((1.0,), (0.5,)), (1.0, 2.0)),
    "MultivariateNormal": ((0.5, 1.0), ((2.0, 0.5), (0.5, 1.0))), "Normal": ((0.5, 1.0), (1.0, 2.0)),
    "Pareto": ((0.7, 2.0), (5.0, 6.0)), "RelaxedBernoulli": ((0.7,), (0.3, 0.8)),
    "StudentT": ((4.0, 5.0), (0.5, 1.0), (1.0, 2.0)),
    "RelaxedOneHotCategorical": ((0.7,), (0.3, 0.7)), "Uniform": ((0.5, 1.0), (1.0, 2.0)), "Weibull": ((0.7, 2.0), (1.5, 0.8)),
}


def _mean_gradient(lib: Any, name: str, count: int) -> list[Any]:
    """The gradient to each parameter of the mean of a bounded function of draws."""
    lib.manual_seed(2)
    parameters = [lib.tensor(p, dtype=lib.float64, requires_grad=True) for p in PARAMETERS[name]]
    draws = getattr(lib.distributions, name)(*parameters, validate_args=False).rsample((count,))
    assert draws.requires_grad
    lib.atan(draws).mean(0).sum().backward()
    return [p.grad.numpy() for p in parameters]


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("name", PARAMETERS)
def test_gradients_of_draws_have_torchs_means(name: str) -> None:
    for ours, theirs in zip(_mean_gradient(flambeau, name, 6000), _mean_gradient(torch, name, 6000)):
        assert np.abs(ours - theirs).max() < 0.03 + 0.05 * np.abs(theirs).max(), (ours, theirs)


@pytest.mark.usefixtures("numpy_engine")
def test_gradients_of_wishart_draws_have_the_known_mean() -> None:
    """E trace(X) = df trace(V); torch's gradients fail once it has drawn a matrix a second time."""
    flambeau.manual_seed(3)
    df = flambeau.tensor(5.0, dtype=flambeau.float64, requires_grad=True)
    v = flambeau.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=flambeau.float64, requires_grad=True)
    draws = flambeau.distributions.Wishart(df, covariance_matrix=v).rsample((6000,))
    draws.diagonal(dim1=-2, dim2=-1).sum(-1).mean().backward()
    np.testing.assert_allclose(df.grad.item(), 3.0, rtol=0.1)
    np.testing.assert_allclose(v.grad.numpy(), 5 * np.eye(2), atol=0.3)


@pytest.mark.usefixtures("numpy_engine")
def test_straight_through_gradients_are_those_of_the_probabilities() -> None:
    def gradient(lib: Any) -> Any:
        logits = lib.tensor([0.5, -1.0, 2.0], requires_grad=True)
        weights = lib.tensor([1.0, 2.0, 3.0])
        (lib.distributions.OneHotCategoricalStraightThrough(logits=logits).rsample() * weights).sum().backward()
        return logits.grad.numpy()

    np.testing.assert_allclose(gradient(flambeau), gradient(torch), rtol=1e-5)


DENSITIES: dict[str, tuple[Make, Any]] = {
    "Beta": (given("Beta", (0.7, 2.0), (1.5, 0.8)), [0.3, 0.6]), "Gamma": (given("Gamma", (0.7, 2.0), (1.5, 0.8)), [0.3, 2.0]),
    "Normal": (given("Normal", (0.7, 2.0), (1.5, 0.8)), [0.3, 2.0]), "StudentT": (given("StudentT", (3.0, 2.0)), [0.3, 2.0]),
    "MultivariateNormal": (given("MultivariateNormal", (0.5, 1.0), ((2.0, 0.5), (0.5, 1.0))), [0.3, 2.0]),
    "LogisticNormal": (given("LogisticNormal", (0.5, 1.0), (1.0, 0.5)), [0.2, 0.3, 0.5]),
    "VonMises": (given("VonMises", (0.5, 1.0), (1.0, 5.0)), [0.2, 0.3]),
}


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.parametrize("name", DENSITIES)
def test_gradients_of_densities_are_torchs(name: str) -> None:
    def gradient(lib: Any) -> Any:
        make, value = DENSITIES[name]
        x = lib.tensor(value, dtype=lib.float64, requires_grad=True)
        make(lib).log_prob(x).sum().backward()
        return x.grad.numpy()

    np.testing.assert_allclose(gradient(flambeau), gradient(torch), rtol=1e-5)


# --- Compiled steps ---------------------------------------------------------------------------------------------------


def test_a_variational_step_is_one_program() -> None:
    """An encoder's normal, a draw of it, its divergence from the prior, and a Bernoulli decoder."""
    fl, D = flambeau, flambeau.distributions
    flambeau.manual_seed(0)
    encoder, decoder = fl.nn.Linear(6, 4), fl.nn.Linear(2, 6)
    optimizer = fl.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.05)

    @fl.jit
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        mean, log_scale = encoder(x).chunk(2, -1)
        posterior = D.Normal(mean, log_scale.exp())
        prior = D.Normal(fl.zeros_like(mean), fl.ones_like(mean))
        z = posterior.rsample()
        reconstruction = D.Independent(D.Bernoulli(logits=decoder(z)), 1).log_prob(x)
        loss = (D.kl_divergence(posterior, prior).sum(-1) - reconstruction).mean()
        loss.backward()
        optimizer.step()
        return loss

    x = (fl.rand(16, 6) > 0.5).float()
    losses = [step(x).item() for _ in range(30)]
    assert step.stats.compiles == 1
    assert losses[-1] < losses[0]


def test_gradients_through_gamma_draws_in_a_step_are_those_outside() -> None:
    fl, D = flambeau, flambeau.distributions

    def gradients(a: Any, b: Any) -> Any:
        fl.manual_seed(5)
        return fl.func.grad(lambda a, b: (D.Gamma(a, b).rsample((50,)) + D.Beta(a, b).rsample((50,))
                                          + D.StudentT(a + 2, b).rsample((50,)).atan()).mean(), argnums=(0, 1))(a, b)

    a, b = fl.tensor([0.5, 2.0]), fl.tensor([1.0, 3.0])
    lazily = gradients(a, b)
    for ours, jitted in zip(lazily, fl.jit(gradients)(a, b)):
        np.testing.assert_allclose(ours.numpy(), jitted.numpy(), rtol=1e-4)


@pytest.mark.parametrize("name", ["Gumbel", "Binomial of probs", "Multinomial of probs", "MultivariateNormal of a factor",
                                  "Poisson", "VonMises", "LKJCholesky", "Wishart of covariances", "Mixture of vectors",
                                  "RelaxedOneHotCategorical of probs", "Categorical of logits"])
def test_a_family_in_a_step(name: str) -> None:
    """Made, drawn from and asked for densities in one program, of which no value is read."""
    @flambeau.jit
    def step() -> Any:
        d = CASES[name](flambeau)
        draws = d.sample((3,))
        return draws, d.log_prob(draws)

    draws, log_prob = step()
    eager = CASES[name](flambeau).log_prob(flambeau.tensor(draws.numpy()))
    np.testing.assert_allclose(log_prob.numpy(), eager.numpy(), rtol=1e-4, atol=1e-5)


def test_a_step_tells_of_bad_parameters_and_values() -> None:
    fl, D = flambeau, flambeau.distributions

    @fl.jit
    def step(scale: Any, value: Any) -> Any:
        return D.Exponential(scale).log_prob(value)

    one = fl.ones(2)
    assert step(one, fl.ones(2)).tolist() == [-1.0, -1.0]
    with pytest.raises(ValueError, match=r"Expected parameter rate .* to satisfy the constraint GreaterThan"):
        step(fl.tensor([1.0, -1.0]), one).tolist()
    with pytest.raises(ValueError, match=r"Expected value argument .* to be within the support"):
        step(one, fl.tensor([1.0, -1.0])).tolist()
    assert step.stats.compiles == 1
    unchecked = fl.jit(lambda scale, value: D.Exponential(scale, validate_args=False).log_prob(value))
    assert unchecked(one, -one).tolist() == [1.0, 1.0]


def test_a_number_of_a_step_may_be_a_parameter() -> None:
    @flambeau.jit
    def step(x: Any, scale: float) -> Any:
        return flambeau.distributions.Normal(0.0, scale).log_prob(x)

    x = flambeau.ones(2)
    for scale in (1.0, 2.0, 3.0):
        expected = torch.distributions.Normal(0.0, scale).log_prob(torch.ones(2))
        np.testing.assert_allclose(step(x, scale).numpy(), expected.numpy(), rtol=1e-6)
    assert step.stats.compiles == 1


def test_a_number_of_a_step_may_scale_a_transform() -> None:
    @flambeau.jit
    def step(x: Any, scale: float) -> Any:
        D = flambeau.distributions
        return D.TransformedDistribution(D.Normal(0.0, 1.0), D.AffineTransform(1.0, scale)).log_prob(x)

    for scale in (1.5, 2.5, 3.5):
        D = torch.distributions
        expected = D.TransformedDistribution(D.Normal(0.0, 1.0), D.AffineTransform(1.0, scale)).log_prob(torch.ones(2))
        np.testing.assert_allclose(step(flambeau.ones(2), scale).numpy(), expected.numpy(), rtol=1e-6)
    assert step.stats.compiles == 1


def test_divergences_in_a_step_are_those_outside() -> None:
    """Also the one by the normalizer's gradient, of which no leaf is made."""
    D = flambeau.distributions

    def divergence(a: Any, b: Any) -> Any:
        normals = D.kl_divergence(D.LogNormal(a, b), D.LogNormal(b, a))
        eye = flambeau.eye(2)
        return normals + D.kl_divergence(D.Wishart(a, eye), D.Wishart(b, 2 * eye)) + D.Beta(a, b).entropy()

    a, b = flambeau.tensor(3.0), flambeau.tensor(4.0)
    np.testing.assert_allclose(flambeau.jit(divergence)(a, b).numpy(), divergence(a, b).numpy(), rtol=1e-5)


def test_under_vmap() -> None:
    fl, D = flambeau, flambeau.distributions
    loc, scale, x = fl.randn(4), fl.rand(4) + 0.1, fl.randn(4)
    mapped = fl.vmap(lambda m, s, x: D.Normal(m, s).log_prob(x))(loc, scale, x)
    np.testing.assert_allclose(mapped.numpy(), D.Normal(loc, scale).log_prob(x).numpy(), rtol=1e-6)
