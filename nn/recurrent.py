"""Recurrent layers and cells as functions of all their parameters, as `torch` itself has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tracer.functions.methods import named
from ..tracer.tensor.tensor import Tensor
from .functional.linear import linear
from .module import Module
from .rnn import GATES, GRU, LSTM, PLAIN_STEPS, RNN, RNNBase, Step, Weights, check_step, gru_step, lstm_step
from .utils.rnn import places


def _layer(kind: type[RNNBase], nonlinearity: str, params: Sequence[Tensor], has_biases: bool, num_layers: int, dropout: float,
           train: bool, bidirectional: bool) -> RNNBase:
    """A layer with these parameters, which are not drawn anew."""
    layer = kind.__new__(kind)
    Module.__init__(layer)
    per, extra = divmod(len(params), num_layers * (1 + bidirectional))
    if extra or per - 2 * has_biases not in (2, 3):
        raise RuntimeError(f"got an incorrect number of RNN parameters: {len(params)} for {num_layers} layer(s)")
    projection = params[per - 1]._type.shape[0] if per % 2 else 0
    mode = f"RNN_{nonlinearity.upper()}" if nonlinearity else kind.__name__
    layer.__dict__.update(
        mode=mode, input_size=params[0]._type.shape[1], hidden_size=params[0]._type.shape[0] // GATES[mode],
        num_layers=num_layers, bias=has_biases, batch_first=False, dropout=dropout, bidirectional=bidirectional,
        proj_size=projection, nonlinearity=nonlinearity, training=train)
    layer.__dict__.update(zip(layer._flat_weights_names, params))
    return layer


def _recurrent(name: str, kind: type[RNNBase], nonlinearity: str = "") -> Callable[..., Any]:
    @named(name, f"The `nn.{kind.__name__}` with these parameters: its outputs, then its last state.\n\n"
                 "    Args: `input`, the state `hx` and the `params`, layer by layer; `has_biases`, `num_layers`, `dropout`,\n"
                 "    `train`, `bidirectional` and `batch_first`; or packed data and its batch sizes before the state.")
    def function(input: Tensor, hx: Any, params: Any, has_biases: Any, num_layers: Any, dropout: Any, train: Any,
                 bidirectional: Any, batch_first: Any) -> Any:
        if isinstance(has_biases, (list, tuple)):  # data, batch_sizes, hx, params, ...
            return packed(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)
        layer = _layer(kind, nonlinearity, params, has_biases, num_layers, dropout, train, bidirectional)
        layer.batch_first = batch_first
        return _flat(*layer.forward(input, hx))

    def packed(data: Tensor, batch_sizes: Tensor, hx: Any, params: Any, has_biases: bool, num_layers: int, dropout: float,
               train: bool, bidirectional: bool) -> Any:
        layer = _layer(kind, nonlinearity, params, has_biases, num_layers, dropout, train, bidirectional)
        state = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        output, state = layer._layers(data, state, places(batch_sizes.tolist(), data.device))
        return output, *state

    return function


def _flat(output: Tensor, state: Any) -> tuple[Tensor, ...]:
    return (output, state) if isinstance(state, Tensor) else (output, *state)


lstm, gru = _recurrent("lstm", LSTM), _recurrent("gru", GRU)
rnn_tanh, rnn_relu = _recurrent("rnn_tanh", RNN, "tanh"), _recurrent("rnn_relu", RNN, "relu")


def _cell(name: str, step: Step) -> Callable[..., Any]:
    @named(name, "One step of a recurrent layer with these parameters: the next state.")
    def function(input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
                 b_hh: Tensor | None = None) -> Any:
        state = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        w = Weights(w_ih, w_hh, b_ih, b_hh)
        check_step(input, state, w)
        found = step(linear(input, w_ih, b_ih), state, w)
        return found if len(found) > 1 else found[0]

    return function


lstm_cell, gru_cell = _cell("lstm_cell", lstm_step), _cell("gru_cell", gru_step)
rnn_tanh_cell, rnn_relu_cell = _cell("rnn_tanh_cell", PLAIN_STEPS["tanh"]), _cell("rnn_relu_cell", PLAIN_STEPS["relu"])
