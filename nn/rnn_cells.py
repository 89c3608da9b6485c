"""One step of the recurrent layers: https://pytorch.org/docs/stable/nn.html#recurrent-layers"""

from __future__ import annotations

import math
from typing import Any

from ..tracer.functions.creation import empty, zeros
from ..tracer.tensor.tensor import Tensor
from . import init
from .functional.linear import linear
from .module import Module
from .parameter import Parameter
from .rnn import PLAIN_STEPS, State, Step, Weights, check_step, gru_step, lstm_step


class RNNCellBase(Module):
    """What the cells share: parameters and checks."""

    _states = 1
    _step: Step

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(gates, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(gates, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            made = Parameter(empty(gates, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in +-1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _new_state(self, input: Tensor, hx: Any) -> State:
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        given: State = () if hx is None else (hx,) if isinstance(hx, Tensor) else tuple(hx)
        for i, h in enumerate(given):
            if h.ndim not in (1, 2):
                which = "hidden" if self._states == 1 else f"hx[{i}]"
                raise ValueError(f"{name}: Expected {which} to be 1D or 2D, got {h.ndim}D instead")
        shape = (*input.shape[:-1], self.hidden_size)
        start = given or (zeros(*shape, dtype=input.dtype, device=input.device),) * self._states
        w = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        check_step(input, start, w)
        return self._step(linear(input, w.ih, w.bias_ih), start, w)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next h, of x (B, I) or (I,) and h (B, H) or (H,); from zeros without h."""
        return self._new_state(input, hx)[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias is True else f", bias={self.bias}")


class RNNCell(RNNCellBase):
    """One step of an `RNN`, for loops that must do something else in between.

    h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it

    Args: `input_size`, I; `hidden_size`, H; `bias`, whether there are b_ih and b_hh; `nonlinearity`, "tanh" or "relu";
    `device` and `dtype`, of the parameters.
    Attributes: `weight_ih` (H, I), `weight_hh` (H, H), `bias_ih`, `bias_hh` (H,), drawn uniformly from +-1 / sqrt(H).
    Takes x (B, I) or (I,), and h (B, H) or (H,), zeros if it is left out. Returns the next h. Raises ValueError for
    other numbers of dimensions, RuntimeError for other sizes.

    >>> import flambeau as torch
    >>> torch.nn.RNNCell(3, 4)(torch.ones(2, 3)).shape
    torch.Size([2, 4])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.RNNCell.html
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def _step(self) -> Step:  # type: ignore[override]
        if self.nonlinearity not in PLAIN_STEPS:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return PLAIN_STEPS[self.nonlinearity]

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an `LSTM`, for loops that must do something else in between.

    i, f, g, o = W_ih x + b_ih + W_hh h + b_hh; c' = sigmoid(f) * c + sigmoid(i) * tanh(g); h' = sigmoid(o) * tanh(c')

    Args: `input_size`, I; `hidden_size`, H; `bias`, whether there are b_ih and b_hh; `device` and `dtype`, of the
    parameters.
    Attributes: `weight_ih` (4 * H, I), `weight_hh` (4 * H, H), `bias_ih`, `bias_hh` (4 * H,), drawn uniformly from +-1
    / sqrt(H).
    Takes x (B, I) or (I,), and (h, c), each (B, H) or (H,), zeros if they are left out. Returns the next (h, c). Raises
    ValueError for other numbers of dimensions, RuntimeError for other sizes.

    >>> import flambeau as torch
    >>> h, c = torch.nn.LSTMCell(3, 4)(torch.ones(2, 3))
    >>> h.shape, c.shape
    (torch.Size([2, 4]), torch.Size([2, 4]))

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html
    """

    _states = 2
    _step = staticmethod(lstm_step)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> State:
        """The next (h, c)."""
        return self._new_state(input, hx)


class GRUCell(RNNCellBase):
    """One step of a `GRU`, for loops that must do something else in between.

    r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh); n = tanh(W_in x + b_in + r * (W_hn h + b_hn)); h' = (1 - z) * n + z *
    h

    Args: `input_size`, I; `hidden_size`, H; `bias`, whether there are b_ih and b_hh; `device` and `dtype`, of the
    parameters.
    Attributes: `weight_ih` (3 * H, I), `weight_hh` (3 * H, H), `bias_ih`, `bias_hh` (3 * H,), drawn uniformly from +-1
    / sqrt(H).
    Takes x (B, I) or (I,), and h (B, H) or (H,), zeros if it is left out. Returns the next h. Raises ValueError for
    other numbers of dimensions, RuntimeError for other sizes.

    >>> import flambeau as torch
    >>> torch.nn.GRUCell(3, 4)(torch.ones(2, 3)).shape
    torch.Size([2, 4])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.GRUCell.html
    """

    _step = staticmethod(gru_step)

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)
