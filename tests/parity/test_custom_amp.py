"""`custom_fwd`, `custom_bwd` and `GradScaler` against torch: dtypes, gradients, and all of it as one program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.cuda import amp as cuda_amp

torch = pytest.importorskip("torch")


def multiply(m: Any, seen: list[str], **options: Any) -> Any:
    """A product of two matrices with a gradient of its own, which notes the dtypes that it meets."""
    class Multiply(m.autograd.Function):
        @staticmethod
        @m.amp.custom_fwd(device_type="cpu", **options)
        def forward(ctx: Any, a: Any, b: Any, more: Any = None) -> Any:
            product = a @ b
            ctx.save_for_backward(a, b)
            seen.append(f"{a.dtype} {product.dtype} {m.is_autocast_enabled('cpu')} {ctx._fwd_used_autocast}")
            return product

        @staticmethod
        @m.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, g: Any) -> Any:
            a, b = ctx.saved_tensors
            left, right = g @ b.T, a.T @ g
            seen.append(f"{g.dtype} {left.dtype} {m.is_autocast_enabled('cpu')}")
            return left.to(a.dtype), right.to(b.dtype), None

    return Multiply


def run(m: Any, block: str, kind: str, jitted: bool = False, **options: Any) -> tuple[list[str], list[Any]]:
    """What the function met, and the dtypes and values of the result and the gradients."""
    seen: list[str] = []
    function = multiply(m, seen, **{name: getattr(m, value) for name, value in options.items()})
    rows = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    a, b = (m.tensor(x).to(getattr(m, kind)).requires_grad_() for x in rows)

    def step() -> Any:
        if block:
            with m.autocast("cpu", dtype=getattr(m, block)):
                product = function.apply(a, b)
        else:
            product = function.apply(a, b)
        product.float().sum().backward()
        return product.detach()

    product = (flambeau.jit(step) if jitted else step)()
    return [line.replace("torch.", "") for line in seen], [(str(x.dtype), x.float().numpy())
                                                           for x in (product, a.grad.detach(), b.grad.detach())]


@pytest.mark.parametrize("jitted", [False, True], ids=["lazily", "jitted"])
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("block", ["", "bfloat16", "float16"])
@pytest.mark.parametrize("options", [{}, {"cast_inputs": "float32"}, {"cast_inputs": "bfloat16"}], ids=str)
def test_what_a_function_meets(options: dict[str, str], block: str, kind: str, jitted: bool) -> None:
    theirs, ours = run(torch, block, kind, **options), run(flambeau, block, kind, jitted, **options)
    assert ours[0][:2] == theirs[0]
    for (found, x), (expected, y) in zip(ours[1], theirs[1], strict=True):
        assert found.replace("flambeau", "torch") == expected
        np.testing.assert_allclose(x, y, rtol=0.03, atol=0.05)


def test_containers_and_others_are_cast_or_left() -> None:
    outcomes = []
    for m in (torch, flambeau):
        @m.amp.custom_fwd(device_type="cpu", cast_inputs=m.float32)
        def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
            return args, kwargs

        half = m.ones(1, dtype=m.bfloat16)
        with m.autocast("cpu"):
            args, kwargs = forward(type("Context", (), {})(), [half, (half, 3)], "text", {"x": half}, half.double(), half.int(),
                                   np.ones(1, np.float16), y=half)
        outcomes.append([str(x.dtype).rpartition(".")[2] for x in (
            args[0][0], args[0][1][0], args[2]["x"], args[3], args[4], args[5], kwargs["y"])] + [args[1], args[0][1][1]])
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", ["custom_fwd", "custom_bwd"])
def test_errors(name: str) -> None:
    errors = []
    for m in (torch, flambeau):
        with pytest.raises(ValueError) as info:
            getattr(m.amp, name)(lambda ctx: None, device_type=3)
        errors.append(str(info.value))
    assert errors[0] == errors[1]


@pytest.mark.filterwarnings("ignore:`torch.cuda.amp")
def test_former_names() -> None:
    seen = []
    class Function(flambeau.autograd.Function):
        @staticmethod
        @cuda_amp.custom_fwd(cast_inputs=flambeau.float32)
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        @cuda_amp.custom_bwd
        def backward(ctx: Any, g: Any) -> Any:
            seen.append(flambeau.is_autocast_enabled("cuda"))
            return g * 2

    x = flambeau.ones(2, requires_grad=True)
    flambeau.set_autocast_enabled("cuda", True)  # a block for "cuda" switches nothing on where there is none
    try:
        y = Function.apply(x)
    finally:
        flambeau.set_autocast_enabled(False)
    y.sum().backward()
    assert x.grad.tolist() == [2, 2] and seen == [False]


# --- A whole step -----------------------------------------------------------------------------------------------------


def train(m: Any, jitted: bool, narrow: str, scale: float, model: Callable[[Any], Any], steps: int = 6) -> Any:
    """Losses, scales and parameters of a training in mixed precision with a scaler, clipping included."""
    net = model(m)
    optimizer = m.optim.AdamW(net.parameters(), lr=0.02)
    scaler = m.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
    data = np.random.default_rng(1)
    x, y = (m.tensor(data.normal(size=(8, n)).astype(np.float32)) for n in (6, 3))

    def step(factor: Any) -> Any:
        optimizer.zero_grad()
        with m.autocast("cpu", dtype=getattr(m, narrow)):
            loss = m.nn.functional.mse_loss(net(x), y) * factor
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        m.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    call = flambeau.jit(step) if jitted else step
    losses = [call(m.tensor(float("inf") if i == 2 else 1.0)).item() for i in range(steps)]
    if jitted:
        assert call.stats.compiles == 1
        assert "linear" in str(call.amp_report())
    return losses, scaler.get_scale(), [p.detach().numpy() for p in net.parameters()]


def network(m: Any) -> Any:
    net = m.nn.Sequential(m.nn.Linear(6, 8), m.nn.GELU(), m.nn.LayerNorm(8), m.nn.Linear(8, 3))
    values = np.random.default_rng(2)
    net.load_state_dict({name: m.tensor(values.normal(size=tuple(p.shape)).astype(np.float32) * 0.5)
                         for name, p in net.state_dict().items()})
    return net


@pytest.mark.parametrize("jitted", [False, True], ids=["lazily", "jitted"])
@pytest.mark.parametrize("narrow, scale", [("bfloat16", 8.0), ("float16", 1024.0)])
def test_a_scaler_around_autocast(narrow: str, scale: float, jitted: bool) -> None:
    theirs, ours = train(torch, False, narrow, scale, network), train(flambeau, jitted, narrow, scale, network)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=0.05)
    assert ours[1] == theirs[1]
    for x, y in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(x, y, atol=0.03)
