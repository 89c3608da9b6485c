"""Matrices for which there is no result: raised inside the call outside jit, as a check in a program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.linalg import LinAlgError

from ..engines import on_numpy

BAD = torch.tensor([[1.0, 3.0], [3.0, 1.0]])
SINGULAR = torch.tensor([[1.0, 2.0], [2.0, 4.0]])
MINOR = "the leading minor of order 2 is not positive-definite"
NAN = torch.full((2, 2), float("nan"))


@pytest.fixture(params=["numpy", "xla"], autouse=True)
def engine(request: pytest.FixtureRequest) -> Any:
    with on_numpy(request.param == "numpy"):
        yield request.param


def jittered(x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Cholesky of x with as much on the diagonal as it needs: what Gaussian processes are written with."""
    for attempt in range(8):
        try:
            return torch.linalg.cholesky(x + 10.0 ** (attempt - 5) * torch.eye(2)), attempt
        except torch.linalg.LinAlgError:
            continue
    raise AssertionError("no jitter was enough")


def test_a_loop_of_jitter() -> None:
    factor, attempts = jittered(BAD)
    assert attempts == 6
    assert torch.allclose(factor @ factor.T, BAD + 10 * torch.eye(2))
    assert jittered(torch.eye(2))[1] == 0


def test_the_class_is_one() -> None:
    assert torch.linalg.LinAlgError is LinAlgError
    assert issubclass(LinAlgError, RuntimeError)


def test_one_bad_matrix_of_a_batch() -> None:
    batch = torch.stack([torch.eye(2), BAD, torch.eye(2)])
    with pytest.raises(LinAlgError, match=rf"^linalg.cholesky: \(Batch element 1\): The factorization .* \({MINOR}\)\."):
        torch.linalg.cholesky(batch)
    with pytest.raises(LinAlgError, match=r"^linalg.inv: \(Batch element 1\): The diagonal element 2 is zero"):
        torch.linalg.inv(torch.stack([torch.eye(2), SINGULAR]))
    factor, info = torch.linalg.cholesky_ex(batch)
    assert info.tolist() == [0, 2, 0]
    assert torch.equal(factor[0], torch.eye(2))


@pytest.mark.parametrize("call, bad, text", [
    (torch.linalg.cholesky, BAD, f"linalg.cholesky: The factorization could not be completed .*{MINOR}"),
    (torch.linalg.inv, SINGULAR, "linalg.inv: The diagonal element 2 is zero"),
    (lambda x: torch.linalg.solve(x, torch.ones(2)), SINGULAR, "torch.linalg.solve: The solver failed because"),
    (lambda x: torch.linalg.lu_factor(x)[0], SINGULAR, r"torch.linalg.lu_factor: U\[2,2\] is zero"),
    (torch.linalg.svdvals, NAN, "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite"),
    (torch.linalg.eigvals, NAN, "torch.linalg.eig: input tensor should not contain infs or NaNs."),
    (lambda x: torch.linalg.matrix_power(x, -1), SINGULAR, "linalg.inv: The diagonal element 2 is zero")])
def test_at_the_call_and_from_a_program(call: Any, bad: torch.Tensor, text: str) -> None:
    with pytest.raises(RuntimeError, match=f"^{text}"):
        call(bad)
    step = torch.jit(lambda x: call(x) * 1)
    good = step(torch.eye(2) * 2)
    assert np.isfinite(np.abs(good.numpy())).all()
    with pytest.raises(RuntimeError, match=f"^{text}"):
        step(bad).tolist()
    with pytest.raises(RuntimeError, match=f"^{text}"):
        torch.vmap(call)(torch.stack([bad, bad])).tolist()
    assert torch.equal(step(torch.eye(2) * 2), good)
    assert step.stats.compiles == 1


@pytest.mark.parametrize("call", [torch.linalg.cholesky_ex, torch.linalg.inv_ex, torch.linalg.lu_factor_ex,
                                  lambda x: torch.linalg.solve_ex(x, torch.ones(2)), torch.linalg.ldl_factor_ex])
def test_forms_with_info_never_raise(call: Any) -> None:
    bad = torch.zeros(2, 2)
    assert call(bad)[-1].item() == torch.jit(lambda x: call(x)[-1])(bad).item() == 1
    assert call(torch.eye(2))[-1].item() == 0


def test_a_gradient_step_after_an_error() -> None:
    x = torch.nn.Parameter(torch.eye(2))
    with pytest.raises(LinAlgError):
        torch.linalg.cholesky(-x)
    torch.linalg.cholesky(x).sum().backward()
    assert x.grad is not None
