"""The texts of factorisations: LAPACK's on the CPU, XLA's own expansions elsewhere, which the CPU's compiler has too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flambeau.lowering import PLATFORM_OVERRIDES
from flambeau.lowering.module import module_text
from flambeau.lowering.tpu import require_supported
from flambeau.tracer.ir.errors import DeviceError
from flambeau.tracer.ir.graph import Graph

from ..ops.harness import forward_graph, interpret, run_xla, type_of
from ..ops.sample import Sample, complexes, reals

OF = {"cholesky": {}, "lu": {}, "geqrf": {}, "qr": {"full": False}, "svd": {"full": True, "vectors": True},
      "eigh": {"vectors": True}, "eig": {"vectors": True}}
SHAPES = ((2, 5, 3), (3, 4), (1, 1))


def graph_of(name: str, x: np.ndarray, **params: Any) -> Graph:
    return forward_graph(Sample(name, [x], params), [type_of(x)])


@pytest.mark.parametrize("name", OF)
def test_the_cpu_calls_lapack(name: str) -> None:
    graph = graph_of(name, reals(2, 3, 3), **OF[name])
    assert "lapack_s" in module_text(graph, overrides=PLATFORM_OVERRIDES["cpu"])


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("name", OF)
def test_other_platforms_do_not(name: str, platform: str) -> None:
    graph = graph_of(name, reals(2, 3, 3), **OF[name])
    if name == "eig":
        with pytest.raises(DeviceError, match="eig, the eigenvalues of general matrices"):
            module_text(graph, overrides=PLATFORM_OVERRIDES[platform])
        return
    assert "lapack" not in module_text(graph, overrides=PLATFORM_OVERRIDES[platform])


@pytest.mark.parametrize("name", OF)
def test_tpus_refuse_what_they_have_not_by_name(name: str) -> None:
    with pytest.raises(DeviceError, match=f"TPUs have no {name}.*float64" if name != "eig" else "TPUs have no eig, "):
        require_supported(graph_of(name, reals(3, 3, dtype=np.float64), **OF[name]))
    if name != "eig":
        require_supported(graph_of(name, reals(3, 3), **OF[name]))


def adjoint(x: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(x, -1, -2))


def orthonormal(x: np.ndarray) -> None:
    product = adjoint(x) @ x
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(x.shape[-1]), product.shape), atol=3e-5)


@pytest.mark.parametrize("make", [reals, complexes])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_singular_values_without_lapack(make: Any, shape: tuple[int, ...]) -> None:
    x = make(*shape)
    u, s, vh, info = run_xla(graph_of("svd", x, full=True, vectors=True), [x])
    k = s.shape[-1]
    orthonormal(u)
    orthonormal(adjoint(vh))
    np.testing.assert_allclose((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x, atol=5e-5)
    np.testing.assert_allclose(s, np.linalg.svd(x, compute_uv=False), rtol=1e-4, atol=2e-5)
    assert not info.any()


@pytest.mark.parametrize("seed", range(8))
def test_singular_values_that_are_far_apart_without_lapack(seed: int) -> None:
    """The small ones, too, to what float32 has of the largest."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(6, 6)))[0] for _ in range(2))
    sizes = np.array([1e2, 1.0, 1.0, 1e-1, 1e-2, 0.0])
    x = (left * sizes @ right).astype(np.float32)
    u, s, vh, _ = run_xla(graph_of("svd", x, full=False, vectors=True), [x])
    np.testing.assert_allclose(s, sizes, atol=1e-4)
    orthonormal(u)
    np.testing.assert_allclose(u * s @ vh, x, atol=2e-4)


@pytest.mark.parametrize("make", [reals, complexes])
def test_eigenvalues_without_lapack(make: Any) -> None:
    x = make(2, 5, 5)
    x = (x + adjoint(x)) / 2
    w, v, info = run_xla(graph_of("eigh", x, vectors=True), [x])
    orthonormal(v)
    np.testing.assert_allclose((v * w[..., None, :]) @ adjoint(v), x, atol=5e-5)
    np.testing.assert_allclose(w, interpret(graph_of("eigh", x, vectors=False), [x])[0], atol=2e-5)
    assert not info.any()


def test_a_failing_factor_is_told_without_lapack() -> None:
    good, bad = np.eye(3, dtype=np.float32), -np.eye(3, dtype=np.float32)
    factor, info = run_xla(graph_of("cholesky", good), [np.stack([good, bad])[0]])
    assert not info.any()
    both = np.stack([good, bad])
    factor, info = run_xla(graph_of("cholesky", both), [both])
    assert info.tolist() == [0, 1]
    np.testing.assert_allclose(factor[0], good)
