"""JAX functions as operations: JAX is the oracle of values, gradients, second order and batches."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flambeau as torch
from flambeau.lowering.functions import embedded
from flambeau.lowering.module import module_text
from flambeau.tracer import backend

X = np.random.default_rng(0).uniform(0.2, 2, (3, 4)).astype(np.float32)
Y = np.random.default_rng(1).uniform(0.2, 2, (4,)).astype(np.float32)


def f(x: Any, y: Any) -> Any:
    """Several functions inside (`where`, `clip`), and a product."""
    return jnp.where(x > 1, jnp.clip(x, 0, 1.5) ** 2, jax.nn.softmax(x * y)) @ y


def g(x: Any) -> Any:
    return jnp.sin(x) * x


def close(ours: Any, theirs: Any) -> None:
    assert ours.detach().numpy().dtype == np.asarray(theirs).dtype
    np.testing.assert_allclose(ours.detach().numpy(), np.asarray(theirs), rtol=1e-5, atol=1e-6)


def loss(x: Any, y: Any) -> Any:
    return (torch.jax_call(f, x * 2, y) ** 2).sum()


def their_loss(x: Any, y: Any) -> Any:
    return (f(x * 2, y) ** 2).sum()


def test_values_and_gradients() -> None:
    x, y = (torch.tensor(a, requires_grad=True) for a in (X, Y))
    value = loss(x, y)
    close(value, their_loss(X, Y))
    value.backward()
    for ours, theirs in zip((x.grad, y.grad), jax.grad(their_loss, (0, 1))(X, Y)):
        close(ours, theirs)


def test_second_order_vmap_and_jit_in_any_order() -> None:
    x, y = torch.tensor(X), torch.tensor(Y)
    ours = torch.func.grad(lambda y: (torch.func.grad(loss)(x, y) ** 2).sum())
    theirs = jax.grad(lambda y: (jax.grad(their_loss)(X, y) ** 2).sum())
    close(ours(y), theirs(Y))
    close(torch.jit(ours)(y), theirs(Y))
    close(torch.vmap(torch.func.grad(loss, 1), in_dims=(0, None))(x, y), jax.vmap(jax.grad(their_loss, 1), (0, None))(X, Y))
    close(torch.func.grad(lambda y: torch.vmap(loss, in_dims=(0, None))(x, y).sum())(y),
          jax.grad(lambda y: jax.vmap(their_loss, (0, None))(X, y).sum())(Y))


def test_a_training_step_is_one_program() -> None:
    w = torch.tensor(Y, requires_grad=True)
    opt = torch.optim.SGD([w], lr=0.01)

    @torch.jit
    def step(x: Any) -> Any:
        value = loss(x, w)
        value.backward()
        opt.step()
        opt.zero_grad()
        return value

    theirs = Y
    for _ in range(3):
        value, gradient = jax.value_and_grad(their_loss, 1)(X, theirs)
        close(step(torch.tensor(X)), value)
        theirs = theirs - 0.01 * gradient
        close(w, theirs)
    assert step.stats.compiles == 1
    assert "func.func private @foreign0_main" in step.stablehlo
    assert step.stablehlo.count("func.func public") == 1


def test_containers_numbers_and_dtypes() -> None:
    def h(pair: dict[str, Any], k: int, items: list[Any]) -> Any:
        return {"sum": pair["a"] * k + items[0], "arg": [pair["a"].argmax()]}, (items[0] > 0, 3.0)

    a, b = np.arange(3.0), np.array([1, -2, 2**40])
    (result, (flags, constant)) = torch.jax_call(h, {"a": torch.tensor(a)}, 2, [torch.tensor(b)])
    assert result["sum"].tolist() == (a * 2 + b).tolist()
    assert (result["sum"].dtype, result["arg"][0].item(), flags.tolist()) == (torch.float64, 2, [True, False, True])
    assert constant.item() == 3.0
    assert jnp.arange(3).dtype == jnp.int32  # the user's setting is as it was
    with pytest.raises(TypeError, match="jax_call requires at least one tensor"):
        torch.jax_call(g, 3.0)


def test_complex_gradients_follow_torchs_convention() -> None:
    z = np.array([1 + 2j, -0.5 + 1j], np.complex64)
    ours, native = (torch.tensor(z, requires_grad=True) for _ in range(2))
    (torch.jax_call(lambda v: v * v * (1 + 3j), ours) * (2 - 1j)).abs().sum().backward()
    ((native * native * (1 + 3j)) * (2 - 1j)).abs().sum().backward()
    close(ours.grad, native.grad.numpy())


def test_two_functions_and_one_called_twice() -> None:
    step = torch.jit(lambda x: torch.jax_call(g, x) + torch.jax_call(g, x * 2) + torch.jax_call(jnp.cos, x))
    close(step(torch.tensor(X)), g(X) + g(X * 2) + jnp.cos(X))
    assert step.stablehlo.count("func.func private") == 2


def test_names_do_not_clash() -> None:
    text = ('module @jit_f {\n  func.func public @main(%arg0: tensor<f32>) -> (tensor<f32> {jax.result_info = "a[\\"x\\"]"}) {\n'
            '    %0 = call @main_0(%arg0) : (tensor<f32>) -> tensor<f32>\n    return %0 : tensor<f32>\n  }\n'
            '  func.func private @main_0(%arg0: tensor<f32>) -> tensor<f32> {\n'
            '    %0 = stablehlo.custom_call @main_1(%arg0) : (tensor<f32>) -> tensor<f32>\n'
            '    return %0 : tensor<f32>\n  }\n}\n')
    renamed = embedded(text, "p_")
    assert "private @p_main(%arg0: tensor<f32>) -> (tensor<f32>) {" in renamed
    assert "call @p_main_0(" in renamed and "func.func private @p_main_0(" in renamed
    assert "custom_call @main_1(" in renamed


def test_the_text_is_the_same_in_another_process() -> None:
    code = ("import flambeau as torch, jax, jax.numpy as jnp\n"
            "from flambeau.lowering.module import module_text\n"
            "f = lambda x: jnp.where(x > 0, jnp.clip(x, 0, 1), jax.nn.softmax(x))\n"
            "step = torch.jit(torch.func.grad(lambda x: torch.jax_call(f, x).sum()))\n"
            "print(module_text(step.trace(torch.ones(3))))\n")
    texts = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(texts) == 1
    assert "foreign0_main" in texts.pop()


def test_for_another_platform() -> None:
    from flambeau.lowering import PLATFORM_OVERRIDES  # noqa: PLC0415

    graph = torch.jit(lambda x: torch.jax_call(jnp.linalg.cholesky, x)).trace(torch.ones(2, 2))
    texts = {platform: module_text(graph, overrides=PLATFORM_OVERRIDES[platform]) for platform in ("cpu", "tpu")}
    assert "lapack_spotrf" in texts["cpu"]
    assert "lapack" not in texts["tpu"]


def test_on_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_factory", backend.NumpyBackend)
    monkeypatch.setattr(backend, "_installed", None)
    x = torch.tensor(X, requires_grad=True)
    torch.jax_call(g, x).sum().backward()
    close(x.grad, jax.grad(lambda v: g(v).sum())(X))


def test_inside_checkpoint_and_function() -> None:
    x = torch.tensor(X, requires_grad=True)
    torch.utils.checkpoint.checkpoint(lambda v: torch.jax_call(g, v), x).sum().backward()
    close(x.grad, jax.grad(lambda v: g(v).sum())(X))
