"""autocast as a mode: nesting, decorators, threads, gradients, what a compiled step depends on."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import flambeau as torch
from flambeau.nn import functional as F
from flambeau.tracer.functions import autocast as rules


@pytest.fixture
def pair() -> tuple[Any, Any]:
    return torch.ones(2, 3), torch.ones(3, 2)


def test_blocks_nest(pair: Any) -> None:
    x, y = pair
    with torch.autocast("cpu"):
        assert (x @ y).dtype is torch.bfloat16 and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False):
            assert (x @ y).dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", dtype=torch.float16):
            assert (x @ y).dtype is torch.float16 and torch.get_autocast_dtype("cpu") is torch.float16
        assert (x @ y).dtype is torch.bfloat16
    assert (x @ y).dtype is torch.float32


def test_a_block_that_raises_ends(pair: Any) -> None:
    with pytest.raises(KeyError), torch.autocast("cpu"):
        raise KeyError
    assert not torch.is_autocast_enabled("cpu")


def test_one_object_serves_blocks_inside_one_another(pair: Any) -> None:
    x, y = pair
    mode = torch.amp.autocast("cpu")
    with mode, mode:
        assert (x @ y).dtype is torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_as_a_decorator(pair: Any) -> None:
    @torch.autocast("cpu")
    def product(x: Any, y: Any) -> Any:
        """Twice."""
        return x @ y

    assert product(*pair).dtype is torch.bfloat16 and product.__doc__ == "Twice."
    assert not torch.is_autocast_enabled("cpu")


def test_other_devices_are_left_alone(pair: Any) -> None:
    x, y = pair
    with torch.autocast("tpu"):
        assert (x @ y).dtype is torch.float32 and torch.is_autocast_enabled("tpu")
        with torch.autocast("cpu"):
            assert (x @ y).dtype is torch.bfloat16 and torch.is_autocast_enabled("tpu")


def test_switches(pair: Any) -> None:
    x, y = pair
    torch.set_autocast_enabled("cpu", True)
    try:
        assert (x @ y).dtype is torch.bfloat16
        torch.set_autocast_dtype("cpu", torch.float16)
        assert (x @ y).dtype is torch.float16
    finally:
        torch.set_autocast_enabled("cpu", False)
    with torch.autocast("cpu"):
        assert (x @ y).dtype is torch.float16
    torch.set_autocast_dtype("cpu", torch.bfloat16)
    assert (x @ y).dtype is torch.float32 and torch.get_autocast_dtype("cpu") is torch.bfloat16


def test_threads_have_modes_of_their_own(pair: Any) -> None:
    seen: list[bool] = []
    with torch.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append(torch.is_autocast_enabled("cpu")))
        thread.start()
        thread.join()
    assert seen == [False]


def test_gradients_come_back_in_the_parameters_dtype() -> None:
    w = torch.ones(3, 2, requires_grad=True)
    with torch.autocast("cpu"):
        loss = F.mse_loss(torch.ones(4, 3) @ w, torch.zeros(4, 2))
    loss.backward()
    assert loss.dtype is torch.float32 and w.grad.dtype is torch.float32
    assert w.grad.tolist() == [[3.0, 3.0]] * 3


def test_in_place_forms_and_doubles_do_not_cast(pair: Any) -> None:
    x, y = pair
    with torch.autocast("cpu"):
        assert torch.ones(2, dtype=torch.bfloat16).exp_().dtype is torch.bfloat16
        assert (x.double() @ y.double()).dtype is torch.float64


def test_a_compiled_step_depends_on_it(pair: Any) -> None:
    step = torch.jit(lambda x, y: x @ y)
    assert step(*pair).dtype is torch.float32
    with torch.autocast("cpu"):
        assert step(*pair).dtype is torch.bfloat16
        assert step(*pair).dtype is torch.bfloat16
    assert step(*pair).dtype is torch.float32 and step.stats.compiles == 2
    assert step.why()[1].changes[0][0] == "autocast"


def test_a_block_inside_a_compiled_step_is_as_outside(pair: Any) -> None:
    def step(x: Any, y: Any) -> Any:
        with torch.autocast("cpu"):
            z = x @ y
        return z, z @ y.T.bfloat16(), F.softmax(z, 1)

    for a, b in zip(step(*pair), torch.jit(step)(*pair), strict=True):
        assert a.dtype is b.dtype and torch.equal(a, b)


def test_under_transforms() -> None:
    with torch.autocast("cpu"):
        slope = torch.func.grad(lambda w: (torch.ones(2, 3) @ w).sum())(torch.ones(3, 2))
        mapped = torch.vmap(lambda x: x @ torch.ones(3, 2))(torch.ones(4, 2, 3))
    assert slope.dtype is torch.float32 and slope.tolist() == [[2.0, 2.0]] * 3
    assert mapped.dtype is torch.bfloat16 and mapped.shape == (4, 2, 2)


# --- The rules of accelerators, on the CPU ----------------------------------------------------------------------------


@pytest.fixture
def as_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU follows the accelerators' rules."""
    for named in rules.RULES.values():
        monkeypatch.setitem(named, "cpu", named.get("accelerator"))


ACCELERATOR = {
    "matmul": (lambda x: x @ x, torch.float16),
    "mv": (lambda x: torch.mv(x, x[0]), torch.float16),
    "exp": (lambda x: x.half().exp(), torch.float32),
    "pow": (lambda x: x.half() ** 2, torch.float32),
    "softmax": (lambda x: F.softmax(x.half(), 0), torch.float32),
    "softmax with a dtype": (lambda x: F.softmax(x.half(), 0, dtype=torch.float64), torch.float64),
    "sum": (lambda x: x.half().sum(), torch.float32),
    "layer_norm": (lambda x: F.layer_norm(x.half(), (2,)), torch.float32),
    "cross_entropy": (lambda x: F.cross_entropy(x.half(), torch.tensor([0, 1])), torch.float32),
    "addcmul": (lambda x: torch.addcmul(x.half(), x, x), torch.float32),
    "cat of one type": (lambda x: torch.cat([x.half(), x.half()]), torch.float16),
    "relu": (lambda x: F.relu(x.half()), torch.float16),
    "attention": (lambda x: torch.nn.MultiheadAttention(2, 1)(x, x, x)[0], torch.float16),
}


@pytest.mark.parametrize("name", ACCELERATOR)
def test_rules_of_accelerators(name: str, as_accelerator: None) -> None:
    call, expected = ACCELERATOR[name]
    with torch.autocast("cpu", dtype=torch.float16):
        assert call(torch.ones(2, 2)).dtype is expected


def test_what_accelerators_refuse(as_accelerator: None) -> None:
    with torch.autocast("cpu", dtype=torch.float16), pytest.raises(RuntimeError, match="unsafe to autocast"):
        F.binary_cross_entropy(torch.ones(2), torch.ones(2))


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'toaster'"):
        torch.autocast("toaster")
    with pytest.raises(ValueError, match="of type `str`"):
        torch.autocast(3)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="not supported. Disabling autocast"):
        mode = torch.autocast("cpu", dtype=torch.float64)
    with mode:
        assert not torch.is_autocast_enabled("cpu")
    assert torch.amp.is_autocast_available("cpu") and not torch.amp.is_autocast_available("toaster")


def test_casting_functions_keep_their_names_and_modules() -> None:
    assert torch.matmul.__name__ == "matmul" and torch.matmul.__module__ == "flambeau.tracer.functions.linear"
    assert torch.Tensor.matmul is torch.matmul is torch.Tensor.__matmul__
    assert torch.nn.functional.linear.__doc__.startswith("x @ weight.T")
