"""Recurrent layers: https://pytorch.org/docs/stable/nn.html#recurrent-layers

The projections of all inputs are one product before the loop, and the loop is one `scan`: the program does not grow with
the length of the sequences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..tracer.functions.arithmetic import add, mul
from ..tracer.functions.autocast import is_autocast_enabled
from ..tracer.functions.choosing import where
from ..tracer.functions.control import scan
from ..tracer.functions.creation import empty, zeros
from ..tracer.functions.dims import checked_dim
from ..tracer.functions.joining import cat, stack
from ..tracer.functions.unary import sigmoid, tanh
from ..tracer.ir.told import tell
from ..tracer.tensor.tensor import Tensor
from . import init
from .functional.activation import relu
from .functional.dropout import dropout
from .functional.linear import linear
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence, Places, places

State = tuple[Tensor, ...]  # (h,), or (h, c) of an LSTM


class Weights(NamedTuple):
    """The parameters of one direction of one layer."""

    ih: Tensor  # (gates * H, I)
    hh: Tensor  # (gates * H, H), or of the projected size
    bias_ih: Tensor | None  # (gates * H)
    bias_hh: Tensor | None
    hr: Tensor | None = None  # (projected size, H)


# --- One step ---------------------------------------------------------------------------------------------------------

# What a layer does with the projected input of a step and the state: the new state.
Step = Callable[[Tensor, State, Weights], State]


def check_step(input: Tensor, state: State, w: Weights) -> None:
    """torch's errors for what one step cannot take: an input or states of another size, or states of another batch."""
    x, *states = [(1, *t._type.shape) if input.ndim == 1 else t._type.shape for t in (input, *state)]
    if x[-1] != w.ih._type.shape[1]:
        raise RuntimeError(f"input has inconsistent input_size: got {x[-1]} expected {w.ih._type.shape[1]}")
    for i, h in enumerate(states):
        if h[0] != x[0]:
            raise RuntimeError(f"Input batch size {x[0]} doesn't match hidden{i} batch size {h[0]}")
        size = h[checked_dim(1, len(h))]
        if size != w.hh._type.shape[1]:
            raise RuntimeError(f"hidden{i} has inconsistent hidden_size: got {size}, expected {w.hh._type.shape[1]}")


def plain_step(activation: Callable[[Tensor], Tensor]) -> Step:
    """h = activation(x + W_hh h + b_hh), where x is the projected input."""
    return lambda x, state, w: (activation(add(x, linear(state[0], w.hh, w.bias_hh))),)


def lstm_step(x: Tensor, state: State, w: Weights) -> State:
    """i, f, g, o = x + W_hh h + b_hh; c = sigmoid(f) * c + sigmoid(i) * tanh(g); h = sigmoid(o) * tanh(c).

    Source: Hochreiter, Schmidhuber: "Long short-term memory", https://doi.org/10.1162/neco.1997.9.8.1735; the projection
    W_hr h is from Sak et al., https://arxiv.org/abs/1402.1128
    """
    h, c = state
    i, f, g, o = add(x, linear(h, w.hh, w.bias_hh)).chunk(4, -1)
    c = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)))
    h = mul(sigmoid(o), tanh(c))
    return h if w.hr is None else linear(h, w.hr), c


def gru_step(x: Tensor, state: State, w: Weights) -> State:
    """r, z = sigmoid(x + W_hh h + b_hh); n = tanh(x_n + r * (W_hn h + b_hn)); h = (1 - z) * n + z * h.

    Source: Cho et al.: "Learning phrase representations using RNN encoder-decoder", https://arxiv.org/abs/1406.1078
    """
    (h,) = state
    x_r, x_z, x_n = x.chunk(3, -1)
    h_r, h_z, h_n = linear(h, w.hh, w.bias_hh).chunk(3, -1)
    r, z = sigmoid(add(x_r, h_r)), sigmoid(add(x_z, h_z))
    n = tanh(add(x_n, mul(r, h_n)))
    return (add(n, mul(z, h - n)),)


PLAIN_STEPS: dict[str, Step] = {"tanh": plain_step(tanh), "relu": plain_step(relu)}


def _walk(step: Step, x: Tensor, state: State, w: Weights, reverse: bool, valid: Tensor | None) -> tuple[State, Tensor]:
    """All steps of one direction: the last state, and h of every step. Where `valid` is False the state stays."""

    def body(state: State, row: tuple[Tensor, Tensor | None]) -> tuple[State, Tensor]:
        projected, holds = row
        new = step(projected, state, w)
        if holds is not None:
            new = tuple(where(holds, a, b) for a, b in zip(new, state, strict=True))
        return new, new[0]

    last, hs = scan(body, state, (x, valid), reverse=reverse)
    return last, hs


# --- Layers -----------------------------------------------------------------------------------------------------------


GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What the recurrent layers share: parameters, checks, and the walk through layers and directions."""

    _name = "RNN"
    _step: Step
    _folds_biases = True  # whether b_hh may be added to the projected input, outside the loop

    def __init__(self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        _check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        if mode not in GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}")
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        for suffix, size in self._suffixes():
            gates, projected = GATES[mode] * hidden_size, proj_size or hidden_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, size), "weight_hh": (gates, projected),
                                                  "bias_ih": (gates,), "bias_hh": (gates,), "weight_hr": (proj_size, hidden_size)}
            for name in self._kinds():
                setattr(self, name + suffix, Parameter(empty(*shapes[name], device=device, dtype=dtype)))
        self.reset_parameters()

    def _kinds(self) -> list[str]:
        """The start of the parameters' names."""
        return ["weight_ih", "weight_hh", *["bias_ih", "bias_hh"] * self.bias, *["weight_hr"] * (self.proj_size > 0)]

    def _suffixes(self) -> list[tuple[str, int]]:
        """The end of the parameters' names, and the input size, of each direction of each layer."""
        inner = (self.proj_size or self.hidden_size) * self._directions
        return [(f"_l{layer}{end}", self.input_size if layer == 0 else inner)
                for layer in range(self.num_layers) for end in ("", "_reverse")[:self._directions]]

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in +-1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: the compiler lays out the weights."""

    @property
    def _all_weights(self) -> list[list[str]]:
        """The names of the parameters of each direction of each layer."""
        return [[name + suffix for name in self._kinds()] for suffix, _ in self._suffixes()]

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each direction of each layer."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Tensor | None]:
        """The parameters, or what stands in their places, in one list: a new one, there is nothing to keep up to date."""
        return [getattr(self, name, None) for name in self._flat_weights_names]

    def _weights(self, suffix: str) -> Weights:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return Weights(*(getattr(self, name + suffix, None) for name in names))  # type: ignore[arg-type]

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """The outputs of the last layer for all steps, and the last states of all layers."""
        if isinstance(input, PackedSequence):
            state = self._start(input.data, input.sizes, hx, input.sorted_indices, 3)
            output, state = self._layers(input.data, state, places(input.sizes, input.data.device))
            return input.with_data(output), self.permute_hidden(self._given(state), input.unsorted_indices)
        ndim, at = input.dim(), 0 if self.batch_first else 1
        if ndim not in (2, 3):
            got = f"{ndim}D" if self._name != "RNN" else f"{ndim}D tensor"
            raise ValueError(f"{self._name}: Expected input to be 2D or 3D, got {got} instead")
        x = input.unsqueeze(at) if ndim == 2 else input
        state = self._start(x, None, hx, None, ndim)
        if not x.shape[1 - at]:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        output, state = self._layers(x.transpose(0, 1) if self.batch_first else x, state, None)
        output = output.transpose(0, 1) if self.batch_first else output
        if ndim == 2:
            output, state = output.squeeze(at), tuple(s.squeeze(1) for s in state)
        return output, self.permute_hidden(self._given(state), None)

    def _layers(self, x: Tensor, start: State, at: Places | None) -> tuple[Tensor, State]:
        """x (T, B, I), or packed (N, I) with its places, through all layers."""
        suffixes = iter(self._suffixes())
        ends: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for reverse in (False, True)[:self._directions]:
                state = tuple(s[len(ends)] for s in start)
                last, hs = self._direction(x, state, self._weights(next(suffixes)[0]), reverse, at)
                ends.append(last)
                outputs.append(hs)
            x = cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if layer < self.num_layers - 1:
                x = dropout(x, self.dropout, self.training)
        return x, tuple(stack(parts) for parts in zip(*ends, strict=True))

    def _direction(self, x: Tensor, state: State, w: Weights, reverse: bool, at: Places | None) -> tuple[State, Tensor]:
        if self._folds_biases and w.bias_ih is not None and w.bias_hh is not None:
            w = w._replace(bias_ih=add(w.bias_ih, w.bias_hh), bias_hh=None)
        projected = linear(x, w.ih, w.bias_ih)
        if at is None:
            return _walk(self._step, projected, state, w, reverse, None)
        padded = projected.index_select(0, at.packed).reshape(*at.valid.shape, -1)
        last, hs = _walk(self._step, padded, state, w, reverse, at.valid.unsqueeze(-1))
        return last, hs.flatten(0, 1).index_select(0, at.padded)

    # --- States and checks --------------------------------------------------------------------------------------------

    def _given(self, state: State) -> Any:
        """The state as the caller gets it."""
        return state[0]

    def _taken(self, hx: Any) -> State:
        """The state that the caller gave."""
        return (hx,)

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """States with their sequences in another order."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def check_input(self, input: Tensor, batch_sizes: Sequence[int] | None) -> None:
        """torch's errors for an input that is not of the weights' dtype or of the wrong shape; `batch_sizes` of packed ones."""
        kind = self.weight_ih_l0.dtype
        if input.dtype is not kind and not is_autocast_enabled(input.device.type):
            raise ValueError(f"RNN input dtype ({input.dtype}) does not match weight dtype ({kind}). Convert input: "
                             f"input.to({kind}), or convert model: model.to({input.dtype})")
        ndim = 3 if batch_sizes is None else 2
        if input.ndim != ndim:
            raise RuntimeError(f"input must have {ndim} dimensions, got {input.ndim}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}")

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Sequence[int] | None) -> tuple[int, int, int]:
        """The shape of a state h: layers * directions, the batch, its size."""
        batch = input.shape[0 if self.batch_first else 1] if batch_sizes is None else int(batch_sizes[0])
        return self.num_layers * self._directions, batch, self.proj_size or self.hidden_size

    def check_hidden_size(self, hx: Tensor, expected_hidden_size: tuple[int, int, int],
                          msg: str = "Expected hidden size {}, got {}") -> None:
        """torch's error for a state of another shape."""
        if hx.shape != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Sequence[int] | None) -> None:
        """torch's errors for an input and a state that do not fit."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def _shapes(self, input: Tensor, batch_sizes: Sequence[int] | None) -> list[tuple[int, int, int]]:
        """The shapes of the states."""
        return [self.get_expected_hidden_size(input, batch_sizes)]

    def _start(self, x: Tensor, sizes: Sequence[int] | None, hx: Any, order: Tensor | None, ndim: int) -> State:
        """The states to start from; zeros unless given."""
        if hx is None:
            state = tuple(zeros(*shape, dtype=x.dtype, device=x.device) for shape in self._shapes(x, sizes))
        else:
            state = self._taken(hx)
            if sizes is None and any(s.ndim != ndim for s in state):
                raise RuntimeError(self._wrong_ndim(state, ndim))
            state = tuple(s.unsqueeze(1) for s in state) if ndim == 2 else state
            state = self._taken(self.permute_hidden(self._given(state), order))
        self.check_forward_args(x, self._given(state), sizes)
        return state

    def _wrong_ndim(self, state: State, ndim: int) -> str:
        kind = "batched" if ndim == 3 else "unbatched"
        return f"For {kind} {ndim}-D input, hx should also be {ndim}-D but got {state[0].ndim}-D tensor"

    def extra_repr(self) -> str:
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0,
                    "bidirectional": False}
        given = [f"{name}={getattr(self, name)}" for name, default in defaults.items() if getattr(self, name) != default]
        return ", ".join([str(self.input_size), str(self.hidden_size), *given])


def _check_options(input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool, dropout: float,
                   proj_size: int) -> None:
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise ValueError("dropout should be a number in range [0, 1] representing the probability of an element being "
                         "zeroed")
    if dropout > 0 and num_layers == 1:
        tell("dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
             f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}")
    for name, value, kind in (("bias", bias, bool), ("batch_first", batch_first, bool), ("input_size", input_size, int),
                              ("hidden_size", hidden_size, int)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


def _refuse_projection(proj_size: Any) -> None:
    if proj_size is not None:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """A recurrent network: its state sums up what it has read, and is made anew at each step from the input and itself.

    h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu of it; the layer above reads h_t

    Args: `input_size`, I; `hidden_size`, H; `num_layers`, stacked on each other; `nonlinearity`, "tanh" or "relu";
    `bias`, whether there are b_ih and b_hh; `batch_first`, see below; `dropout`, probability of a zero between layers,
    while training; `bidirectional`, whether a second network reads from the end; `proj_size` is refused, only `LSTM`
    has it; `device` and `dtype`, of the parameters.
    Attributes: `weight_ih_l0` (H, I), `weight_hh_l0` (H, H), `bias_ih_l0`, `bias_hh_l0` (H,), and so on for each layer
    and `_reverse`, drawn uniformly from +-1 / sqrt(H).
    Takes x (T, B, I), (B, T, I) if `batch_first`, (T, I) or a PackedSequence, and h_0 (layers * directions, B, H),
    zeros if it is left out.
    Returns the last layer's states (T, B, directions * H), and h_n as h_0.
    Raises RuntimeError or ValueError for sizes that do not fit.

    >>> import flambeau as torch
    >>> output, hn = torch.nn.RNN(3, 4, num_layers=2)(torch.ones(5, 2, 3))
    >>> output.shape, hn.shape
    (torch.Size([5, 2, 4]), torch.Size([2, 2, 4]))

    Source: Elman: "Finding structure in time", https://doi.org/10.1207/s15516709cog1402_1;
    https://pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 proj_size: None = None, device: Any = None, dtype: Any = None) -> None:
        _refuse_projection(proj_size)
        if nonlinearity not in PLAIN_STEPS:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    @property
    def _step(self) -> Step:  # type: ignore[override]
        return PLAIN_STEPS[self.nonlinearity]


class LSTM(RNNBase):
    """Long short-term memory: a recurrent network with a cell that gates write, forget and read, so that gradients
    last.

    i, f, g, o = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh; c_t = sigmoid(f) * c_(t-1) + sigmoid(i) * tanh(g); h_t =
    sigmoid(o) * tanh(c_t)

    Args: `input_size`, I; `hidden_size`, H; `num_layers`, stacked on each other; `bias`, whether there are b_ih and
    b_hh; `batch_first`, see below; `dropout`, probability of a zero between layers, while training; `bidirectional`,
    whether a second network reads from the end; `proj_size`, P, to which a learnt matrix projects h, 0 for none;
    `device` and `dtype`, of the parameters.
    Attributes: `weight_ih_l0` (4 * H, I), `weight_hh_l0` (4 * H, H), `bias_ih_l0`, `bias_hh_l0` (4 * H,), and so on for
    each layer and `_reverse`, drawn uniformly from +-1 / sqrt(H).
    Takes x (T, B, I), (B, T, I) if `batch_first`, (T, I) or a PackedSequence, and (h_0, c_0), each (layers *
    directions, B, H), zeros if they are left out.
    Returns the last layer's h (T, B, directions * H), and (h_n, c_n). With `proj_size` h has size P instead of H.
    Raises RuntimeError or ValueError for sizes that do not fit.

    >>> import flambeau as torch
    >>> output, (hn, cn) = torch.nn.LSTM(3, 4, bidirectional=True)(torch.ones(5, 2, 3))
    >>> output.shape, hn.shape, cn.shape
    (torch.Size([5, 2, 8]), torch.Size([2, 2, 4]), torch.Size([2, 2, 4]))

    Source: Hochreiter, Schmidhuber: "Long short-term memory", https://doi.org/10.1162/neco.1997.9.8.1735;
    https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    """

    _name = "LSTM"
    _step = staticmethod(lstm_step)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         proj_size, device, dtype)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Sequence[int] | None) -> tuple[int, int, int]:
        """The shape of a state c."""
        return *self.get_expected_hidden_size(input, batch_sizes)[:2], self.hidden_size

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Sequence[int] | None) -> None:
        """torch's errors for an input and states that do not fit."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden[0], self.get_expected_hidden_size(input, batch_sizes), "Expected hidden[0] size {}, got {}")
        self.check_hidden_size(hidden[1], self.get_expected_cell_size(input, batch_sizes), "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """States with their sequences in another order."""
        return hx if permutation is None else tuple(s.index_select(1, permutation) for s in hx)

    def _shapes(self, input: Tensor, batch_sizes: Sequence[int] | None) -> list[tuple[int, int, int]]:
        return [self.get_expected_hidden_size(input, batch_sizes), self.get_expected_cell_size(input, batch_sizes)]

    def _given(self, state: State) -> Any:
        return state

    def _taken(self, hx: Any) -> State:
        return tuple(hx)

    def _wrong_ndim(self, state: State, ndim: int) -> str:
        kind = "batched" if ndim == 3 else "unbatched"
        given = ", ".join(f"{s.ndim}-D" for s in state)
        return f"For {kind} {ndim}-D input, hx and cx should also be {ndim}-D but got ({given}) tensors"


class GRU(RNNBase):
    """Gated recurrent units: a recurrent network that mixes its old state with a proposed one, by two gates.

    r, z = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh); n = tanh(W_in x_t + b_in + r * (W_hn h_(t-1) + b_hn)); h_t =
    (1 - z) * n + z * h_(t-1)

    Args: `input_size`, I; `hidden_size`, H; `num_layers`, stacked on each other; `bias`, whether there are b_ih and
    b_hh; `batch_first`, see below; `dropout`, probability of a zero between layers, while training; `bidirectional`,
    whether a second network reads from the end; `proj_size` is refused, only `LSTM` has it; `device` and `dtype`, of
    the parameters.
    Attributes: `weight_ih_l0` (3 * H, I), `weight_hh_l0` (3 * H, H), `bias_ih_l0`, `bias_hh_l0` (3 * H,), and so on for
    each layer and `_reverse`, drawn uniformly from +-1 / sqrt(H).
    Takes x (T, B, I), (B, T, I) if `batch_first`, (T, I) or a PackedSequence, and h_0 (layers * directions, B, H),
    zeros if it is left out.
    Returns the last layer's states (T, B, directions * H), and h_n as h_0.
    Raises RuntimeError or ValueError for sizes that do not fit.

    >>> import flambeau as torch
    >>> output, hn = torch.nn.GRU(3, 4, batch_first=True)(torch.ones(2, 5, 3))
    >>> output.shape, hn.shape
    (torch.Size([2, 5, 4]), torch.Size([1, 2, 4]))

    Source: Cho et al.: "Learning phrase representations using RNN encoder-decoder", https://arxiv.org/abs/1406.1078;
    https://pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """

    _name = "GRU"
    _step = staticmethod(gru_step)
    _folds_biases = False  # r multiplies W_hn h + b_hn

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: None = None,
                 device: Any = None, dtype: Any = None) -> None:
        _refuse_projection(proj_size)
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         device=device, dtype=dtype)
