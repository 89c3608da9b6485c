"""Running the same layer or function here and in torch, on the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau.tracer.autograd.backward  # noqa: E402, F401  (attaches backward)
from flambeau.tracer.functions.creation import from_numpy, tensor  # noqa: E402


def ours_of(array: Any, grad: bool = False) -> Any:
    made = tensor(array)
    return made.requires_grad_() if grad and made.dtype.is_floating_point else made


def theirs_of(array: Any, grad: bool = False) -> Any:
    made = torch.tensor(array)
    return made.requires_grad_() if grad and made.is_floating_point() else made


def first(output: Any) -> Any:
    """The part of an output that gradients start from."""
    return output[0] if isinstance(output, tuple) else output


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    if isinstance(theirs, tuple):
        for a, b in zip(ours, theirs, strict=True):
            close(a, b, tolerance)
        return
    if theirs is None:
        assert ours is None
        return
    assert str(ours.dtype) == str(theirs.dtype)
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy().astype(np.float64), theirs.detach().double().numpy(),
                               rtol=tolerance, atol=tolerance)


def weights_like(output: Any) -> Any:
    """Distinct numbers to weigh an output by before it is summed."""
    shape = tuple(first(output).shape)
    return np.asarray(np.cos(np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape) + 1), np.float32)


def backward(output: Any, weights: Any, make: Any) -> None:
    out = first(output)
    (out * make(weights).to(out.dtype)).sum().backward()


def compare(ours: Any, theirs: Any, arrays: list[Any], tolerance: float = 1e-5) -> None:
    """Forward and gradients of two functions of tensors."""
    mine, yours = [ours_of(a, True) for a in arrays], [theirs_of(a, True) for a in arrays]
    a, b = ours(*mine), theirs(*yours)
    close(a, b, tolerance)
    if not first(b).requires_grad:
        assert not first(a).requires_grad
        return
    weights = weights_like(b)
    backward(a, weights, from_numpy)
    backward(b, weights, torch.from_numpy)
    for x, y in zip(mine, yours):
        if y.requires_grad and y.grad is not None:
            close(x.grad, y.grad, 10 * tolerance)


def copy_weights(mine: Any, yours: Any) -> None:
    """Give our module the numbers of torch's."""
    state = {name: tensor(value.detach().numpy()) for name, value in yours.state_dict().items()}
    assert repr(mine.load_state_dict(state)) == "<All keys matched successfully>"


def compare_modules(mine: Any, yours: Any, arrays: list[Any], tolerance: float = 1e-5) -> None:
    """State dict keys, repr, forward, gradients of inputs and parameters, and buffers afterwards."""
    assert list(mine.state_dict()) == list(yours.state_dict())
    assert repr(mine) == repr(yours)
    copy_weights(mine, yours)
    compare(mine, yours, arrays, tolerance)
    for (name, p), (other, q) in zip(mine.named_parameters(), yours.named_parameters(), strict=True):
        assert name == other
        assert (p.grad is None) == (q.grad is None), name
        if q.grad is not None:
            close(p.grad, q.grad, 10 * tolerance)
    for (name, b), (other, c) in zip(mine.named_buffers(), yours.named_buffers(), strict=True):
        assert name == other
        close(b, c, tolerance)
