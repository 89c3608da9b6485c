"""Initial values: the distributions their names promise, in place, without gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import flambeau.tracer.autograd.backward  # noqa: F401  (attaches backward)
from flambeau.nn import Parameter, init
from flambeau.tracer.functions import creation
from flambeau.tracer.functions.random import Generator, manual_seed
from flambeau.tracer.ir import dtypes


@pytest.fixture(autouse=True)
def seeded() -> None:
    manual_seed(0)


def filled(fill: Any, *shape: int) -> Any:
    parameter = Parameter(creation.empty(*shape))
    assert fill(parameter) is parameter and parameter.requires_grad and parameter.is_leaf
    return parameter.detach().numpy()


UNIFORM = {
    "uniform": (lambda t: init.uniform_(t, -0.5, 0.5), 0.5),
    "xavier": (lambda t: init.xavier_uniform_(t, gain=2.0), 2 * math.sqrt(6 / (200 + 100))),
    "kaiming": (lambda t: init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(2) * math.sqrt(3 / 200)),
    "kaiming of a linear layer": (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), 1 / math.sqrt(200)),
    "kaiming out": (lambda t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="linear"), math.sqrt(3 / 100)),
}
NORMAL = {
    "normal": (lambda t: init.normal_(t, 1.0, 0.2), 1.0, 0.2),
    "xavier": (lambda t: init.xavier_normal_(t), 0.0, math.sqrt(2 / 300)),
    "kaiming": (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), 0.0, math.sqrt(2 / 200)),
}


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform(name: str) -> None:
    fill, bound = UNIFORM[name]
    x = filled(fill, 100, 200)
    assert x.min() >= -bound and x.max() <= bound
    np.testing.assert_allclose([x.min(), x.max(), x.std()], [-bound, bound, bound / math.sqrt(3)], rtol=0.02)


@pytest.mark.parametrize("name", NORMAL)
def test_normal(name: str) -> None:
    fill, mean, std = NORMAL[name]
    x = filled(fill, 100, 200)
    assert abs(x.mean() - mean) < 0.03 * std and abs(x.std() - std) < 0.03 * std


def test_fans_of_a_convolution() -> None:
    assert init._calculate_fan_in_and_fan_out(creation.empty(8, 4, 3, 5)) == (60, 120)
    with pytest.raises(ValueError, match="fewer than 2"):
        init.xavier_uniform_(creation.empty(3))


def test_truncated_normal_stays_inside_and_is_normal_there() -> None:
    x = filled(lambda t: init.trunc_normal_(t, 0.5, 1.0, -1.0, 2.0), 200, 200)
    assert x.min() >= -1 and x.max() <= 2 and x.min() < -0.99 and x.max() > 1.99
    assert abs(x.mean() - 0.5) < 0.02
    assert abs((np.abs(x - 0.5) < 0.5).mean() - math.erf(0.5 / math.sqrt(2)) / math.erf(1.5 / math.sqrt(2))) < 0.02


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    x = filled(lambda t: init.orthogonal_(t, gain=2.0), *shape).reshape(shape[0], -1)
    product = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_constants() -> None:
    assert (filled(init.ones_, 2, 3) == 1).all() and (filled(init.zeros_, 2, 3) == 0).all()
    assert (filled(lambda t: init.constant_(t, 2.5), 3) == 2.5).all()
    np.testing.assert_array_equal(filled(init.eye_, 2, 3), np.eye(2, 3))
    kernel = filled(lambda t: init.dirac_(t, groups=2), 4, 2, 3)
    assert kernel.sum() == 4 and kernel[2, 0, 1] == 1 and kernel[1, 1, 1] == 1
    with pytest.raises(ValueError, match="2 dimensions"):
        init.eye_(creation.empty(2))


def test_sparse_has_zeros_in_each_column() -> None:
    x = filled(lambda t: init.sparse_(t, 0.3, std=2.0), 10, 50)
    assert ((x == 0).sum(0) == 3).all()
    assert len({tuple(column) for column in (x == 0).T}) > 10
    assert abs(x[x != 0].std() - 2) < 0.4


def test_gains() -> None:
    assert init.calculate_gain("relu") == math.sqrt(2) and init.calculate_gain("conv_transpose2d") == 1
    assert init.calculate_gain("leaky_relu", 1) == 1 and init.calculate_gain("selu") == 0.75
    for name, parameter, message in (("wrong", None, "Unsupported"), ("leaky_relu", True, "not a valid number")):
        with pytest.raises(ValueError, match=message):
            init.calculate_gain(name, parameter)
    with pytest.raises(ValueError, match="Mode"):
        init.kaiming_normal_(creation.empty(2, 2), mode="both")


def test_generator_and_types() -> None:
    a, b = (init.normal_(creation.empty(9), generator=Generator().manual_seed(3)).tolist() for _ in range(2))
    assert a == b
    assert init.xavier_normal_(creation.empty(4, 4, dtype=dtypes.bfloat16)).dtype is dtypes.bfloat16
    empty = creation.empty(0, 4)
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        assert init.kaiming_uniform_(empty) is empty
