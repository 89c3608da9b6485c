"""Training steps in torch's style, for flambeau and for PyTorch: the module is an argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..work import Arrays, GptSize, MlpSize, Train, gpt_model, mlp_model

Wrap = Callable[[Any], Any]


def as_is(function: Any) -> Any:
    """No compilation."""
    return function


def gpt_trainer(torch: Any, size: GptSize, dropout: float, weights: Arrays | None, lr: float, wrap_step: Wrap = as_is,
                wrap_loss: Wrap = as_is) -> Train:
    """The demo's training step: `train(tokens, targets)` takes numpy arrays and returns the loss."""
    model = gpt_model(torch, size, dropout)
    _copy(torch, model, weights)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.1)

    def loss_of(tokens: Any, targets: Any) -> Any:
        out = model(tokens)
        return torch.nn.functional.cross_entropy(out.view(-1, out.shape[-1]), targets.view(-1))

    return _trainer(torch, model, optimizer, wrap_loss(loss_of), wrap_step, clip=1.0)


def mlp_trainer(torch: Any, size: MlpSize, weights: Arrays | None, lr: float, wrap_step: Wrap = as_is,
                wrap_loss: Wrap = as_is) -> Train:
    """A perceptron's step with Adam."""
    model = mlp_model(torch, size)
    _copy(torch, model, weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def loss_of(x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x), y)

    return _trainer(torch, model, optimizer, wrap_loss(loss_of), wrap_step)


def _copy(torch: Any, model: Any, weights: Arrays | None) -> None:
    if weights is not None:
        model.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})


def _trainer(torch: Any, model: Any, optimizer: Any, loss_of: Any, wrap: Wrap, clip: float | None = None) -> Train:
    def step(x: Any, y: Any) -> Any:
        loss = loss_of(x, y)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    wrapped = wrap(step)

    def train(x: Any, y: Any) -> Any:
        return wrapped(torch.from_numpy(x), torch.from_numpy(y))

    train.step = wrapped  # type: ignore[attr-defined]
    return train
