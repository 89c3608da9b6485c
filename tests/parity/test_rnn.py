"""Recurrent layers, cells and packed sequences against torch: outputs, states, gradients, names, messages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from .nn_common import close, copy_weights  # noqa: E402

LENGTHS = [3, 5, 1]
OPTIONS: list[dict[str, Any]] = [
    {"num_layers": layers, "bias": bias, "batch_first": first, "bidirectional": both}
    for layers, bias, first, both in itertools.product((1, 2), (True, False), (True, False), (True, False))]
LAYERS: list[tuple[str, dict[str, Any]]] = [
    *((name, options) for name in ("RNN", "LSTM", "GRU") for options in OPTIONS),
    *(("RNN", {**options, "nonlinearity": "relu"}) for options in OPTIONS[::5]),
    *(("LSTM", {**options, "proj_size": 2}) for options in OPTIONS),
    ("LSTM", {"num_layers": 3, "dropout": 1.0}), ("GRU", {"num_layers": 2, "dtype": "float64"})]


def name_of(case: Any) -> str:
    return "-".join(f"{k}={v}" for k, v in case.items()) if isinstance(case, dict) else case


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pair(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """The layer here and in torch, with the same weights."""
    mine, yours = (getattr(t.nn, name)(3, 4, **{k: getattr(t, v) if k == "dtype" else v for k, v in options.items()})
                   for t in (flambeau, torch))
    assert list(mine.state_dict()) == list(yours.state_dict())
    assert repr(mine) == repr(yours)
    copy_weights(mine, yours)
    return mine, yours


def flat(x: Any) -> list[Any]:
    """All tensors in tuples."""
    return [x] if not isinstance(x, tuple) else [leaf for part in x if part is not None for leaf in flat(part)]


def starts(t: Any, layer: Any, ndim: int) -> Any:
    """A state to start from."""
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = (3,) if ndim == 3 else ()
    kind = layer.weight_ih_l0.dtype
    h = t.tensor(numbers(count, *batch, layer.proj_size or 4, seed=1)).to(kind).requires_grad_()
    return (h, t.tensor(numbers(count, *batch, 4, seed=2)).to(kind).requires_grad_()) if layer.mode == "LSTM" else h


def results(t: Any, layer: Any, form: str, given: bool) -> tuple[list[Any], list[Any]]:
    """Outputs and last states, and the gradients of everything."""
    x = t.tensor(numbers(*((5, 3) if form == "unbatched" else (3, 5, 3) if layer.batch_first else (5, 3, 3))))
    x = x.to(layer.weight_ih_l0.dtype).requires_grad_()
    input = x
    if form == "packed":
        input = t.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, layer.batch_first, enforce_sorted=False)
    hx = starts(t, layer, 2 if form == "unbatched" else 3) if given else None
    outputs = flat(layer(input, hx))
    floats = [o for o in outputs if o.is_floating_point()]
    sum((o * t.tensor(np.cos(np.arange(o.numel(), dtype=np.float32)).reshape(o.shape))).sum() for o in floats).backward()
    leaves = [x, *(flat(hx) if given else []), *layer.parameters()]
    return outputs, [leaf.grad for leaf in leaves]


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("form", ["padded", "packed", "unbatched"])
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=name_of)
def test_layers(name: str, options: dict[str, Any], form: str) -> None:
    mine, yours = pair(name, options)
    for given in (True, False):
        mine.zero_grad()
        yours.zero_grad()
        for a, b in zip(results(flambeau, mine, form, given), results(torch, yours, form, given), strict=True):
            close(tuple(a), tuple(b), 3e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("form", ["padded", "packed"])
def test_compiled_layers(name: str, form: str) -> None:
    options = {"num_layers": 2, "bidirectional": True} | ({"proj_size": 2} if name == "LSTM" else {})
    mine, yours = pair(name, options)

    @flambeau.jit
    def step() -> Any:
        outputs, gradients = results(flambeau, mine, form, True)
        mine.zero_grad()
        return outputs, gradients

    expected = results(torch, yours, form, True)
    for got in (step(), results(flambeau, mine, form, True)):
        for a, b in zip(got, expected, strict=True):
            close(tuple(a), tuple(b), 3e-5)


@pytest.mark.parametrize(("name", "options"), [
    *((name, {"bias": bias}) for name in ("RNNCell", "LSTMCell", "GRUCell") for bias in (True, False)),
    ("RNNCell", {"nonlinearity": "relu"})], ids=name_of)
@pytest.mark.parametrize("batch", [(2,), ()])
@pytest.mark.parametrize("given", [True, False])
def test_cells(name: str, options: dict[str, Any], batch: tuple[int, ...], given: bool) -> None:
    found = []
    for t, cell in zip((flambeau, torch), pair(name, options)):
        x = t.tensor(numbers(*batch, 3)).requires_grad_()
        h = [t.tensor(numbers(*batch, 4, seed=s)).requires_grad_() for s in (1, 2)]
        outputs = flat(cell(x, (tuple(h) if name == "LSTMCell" else h[0]) if given else None))
        sum((o * (i + 1)).sin().sum() for i, o in enumerate(outputs)).backward()
        found.append((*outputs, x.grad, *(leaf.grad for leaf in h), *(p.grad for p in cell.parameters())))
    close(*found)


def test_dropout_falls_between_layers_while_training() -> None:
    layer = flambeau.nn.GRU(3, 4, num_layers=2, dropout=0.5)
    x = flambeau.tensor(numbers(5, 2, 3))
    assert not (layer(x)[0] == layer(x)[0]).all()
    layer.eval()
    assert (layer(x)[0] == layer(x)[0]).all()


def test_initial_weights_are_uniform() -> None:
    layer = flambeau.nn.LSTM(50, 100)
    for weight in layer.parameters():
        assert 0.095 < weight.abs().max().item() <= 0.1
    assert [len(w) for w in layer.all_weights] == [4]


# --- Packing ----------------------------------------------------------------------------------------------------------


def both(function: Any) -> list[Any]:
    """What a function of the library gives here and there; the error's type and text if it raises."""
    found = []
    for t in (flambeau, torch):
        try:
            found.append(function(t, t.nn.utils.rnn))
        except Exception as error:
            found.append((type(error).__name__, str(error)))
    return found


def sequences(t: Any) -> list[Any]:
    return [t.tensor(numbers(n, 2, seed=n)) for n in (2, 4, 1)]


@pytest.mark.parametrize("function", [
    lambda t, r: r.pack_padded_sequence(t.arange(24.0).reshape(4, 3, 2), [4, 2, 1]),
    lambda t, r: r.pack_padded_sequence(t.arange(24).reshape(3, 4, 2), t.tensor([2, 3, 1]), True, False),
    lambda t, r: r.pack_padded_sequence(t.arange(12.0).reshape(4, 3), [2, 3, 3], enforce_sorted=False),
    lambda t, r: r.pack_sequence(sequences(t), enforce_sorted=False),
    lambda t, r: r.pad_packed_sequence(r.pack_sequence(sequences(t), enforce_sorted=False)),
    lambda t, r: r.pad_packed_sequence(r.pack_sequence(sequences(t), enforce_sorted=False), True, -1.5, 6),
    lambda t, r: r.pad_packed_sequence(r.pack_sequence(sequences(t)[1:]), padding_value=2),
    lambda t, r: tuple(r.unpack_sequence(r.pack_sequence(sequences(t), enforce_sorted=False))),
    lambda t, r: r.pad_sequence(sequences(t)),
    lambda t, r: r.pad_sequence(sequences(t), True, 9.0, "left"),
    lambda t, r: tuple(r.unpad_sequence(r.pad_sequence(sequences(t)), t.tensor([2, 4, 1]))),
    lambda t, r: r.pack_sequence(sequences(t), enforce_sorted=False).to(t.float64),
    lambda t, r: r.PackedSequence(t.ones(3), t.tensor([2, 1]), t.tensor([1, 0])),
    lambda t, r: r.PackedSequence((t.ones(3), t.tensor([2, 1]))),
])
def test_packing(function: Any) -> None:
    mine, yours = both(function)
    assert not isinstance(yours[0], str), yours
    assert type(mine).__name__ == type(yours).__name__
    close(mine, yours)


@pytest.mark.parametrize("function", [
    lambda t, r: r.pack_padded_sequence(t.ones(4, 3), [2, 4, 1]),
    lambda t, r: r.pack_padded_sequence(t.ones(4, 3), [4, 2, 0]),
    lambda t, r: r.pack_padded_sequence(t.ones(4, 3), [4, 2]),
    lambda t, r: r.pack_padded_sequence(t.ones(4, 3), t.tensor([[4, 2, 1]])),
    lambda t, r: r.pack_padded_sequence(t.ones(0, 3), [1, 1, 1]),
    lambda t, r: r.pad_packed_sequence(r.pack_sequence([t.ones(3), t.ones(2)]), total_length=2),
    lambda t, r: r.pad_sequence([]),
    lambda t, r: r.pad_sequence([t.ones(1)], padding_side="top"),
    lambda t, r: r.PackedSequence(t.ones(3)),
    lambda t, r: t.nn.GRU(3, 4)(r.pack_sequence([t.ones(3, 2)])),
    lambda t, r: t.nn.GRU(3, 4)(t.ones(0, 1, 3)),
    lambda t, r: t.nn.GRU(3, 4)(t.ones(5, 1, 2)),
    lambda t, r: t.nn.GRU(3, 4)(t.ones(5, 1, 3), t.ones(1, 2, 4)),
    lambda t, r: t.nn.GRU(3, 4)(t.ones(5, 1, 3), t.ones(1, 4)),
    lambda t, r: t.nn.RNN(3, 4)(t.ones(5, 3), t.ones(1, 1, 4)),
    lambda t, r: t.nn.RNN(3, 4)(t.ones(5)),
    lambda t, r: t.nn.LSTM(3, 4)(t.ones(5)),
    lambda t, r: t.nn.LSTM(3, 4)(t.ones(5, 1, 3), (t.ones(1, 1, 4), t.ones(1, 1, 5))),
    lambda t, r: t.nn.LSTM(3, 4)(t.ones(5, 1, 3), (t.ones(1, 4), t.ones(1, 4))),
    lambda t, r: t.nn.LSTM(3, 4)(t.ones(5, 1, 3, dtype=t.float64)),
    lambda t, r: t.nn.LSTM(3, 4, proj_size=4),
    lambda t, r: t.nn.LSTM(3, 4, proj_size=-1),
    lambda t, r: t.nn.GRU(3, 4, proj_size=2),
    lambda t, r: t.nn.RNN(3, 4, proj_size=2),
    lambda t, r: t.nn.RNN(3, 4, nonlinearity="sin"),
    lambda t, r: t.nn.LSTM(3, 0),
    lambda t, r: t.nn.LSTM(0, 4),
    lambda t, r: t.nn.LSTM(3, 4, 0),
    lambda t, r: t.nn.LSTM(3, 4.0),
    lambda t, r: t.nn.LSTM(3, 4, bias=1),
    lambda t, r: t.nn.LSTM(3, 4, dropout=True),
    lambda t, r: t.nn.LSTM(3, 4, dropout=1.5),
    lambda t, r: t.nn.LSTMCell(3, 4)(t.ones(1, 1, 3)),
    lambda t, r: t.nn.LSTMCell(3, 4)(t.ones(3), (t.ones(4), t.ones(1, 1, 4))),
    lambda t, r: t.nn.GRUCell(3, 4)(t.ones(3), t.ones(1, 1, 4)),
    lambda t, r: t.nn.RNNCell(3, 4, nonlinearity="sin")(t.ones(3)),
])
def test_messages(function: Any) -> None:
    mine, yours = both(function)
    assert isinstance(yours[0], str), yours
    assert mine == yours


def test_a_dropout_without_a_place_warns() -> None:
    with pytest.warns(UserWarning, match="adds dropout after all but last recurrent layer") as caught:
        flambeau.nn.LSTM(3, 4, dropout=0.5)
    assert caught[0].filename == __file__


def test_lengths_beyond_the_input_are_refused() -> None:
    """torch packs what is not there."""
    with pytest.raises(RuntimeError, match="lengths within the 4 steps of the input, got 5"):
        flambeau.nn.utils.rnn.pack_padded_sequence(flambeau.ones(4, 1), [5])


def test_packing_inside_jit_takes_lengths_as_numbers() -> None:
    rnn = flambeau.nn.utils.rnn
    layer, x = flambeau.nn.GRU(3, 4), flambeau.tensor(numbers(4, 2, 3))
    packed = rnn.pack_padded_sequence(x, [4, 2])
    run = flambeau.jit(lambda x: layer(rnn.pack_padded_sequence(x, (4, 2)))[0])
    close(run(x), tuple(torch.tensor(t.detach().numpy()) for t in layer(packed)[0][:2]) + (None, None))
    with pytest.raises(flambeau.tracer.ir.errors.TraceError, match="Pass them to the function as a tuple of numbers"):
        flambeau.jit(lambda x, n: rnn.pack_padded_sequence(x, n))(x, flambeau.tensor([4, 2]))


def test_a_packed_sequence_is_an_argument_and_a_result_of_jit() -> None:
    rnn = flambeau.nn.utils.rnn
    layer, x = flambeau.nn.GRU(3, 4), flambeau.tensor(numbers(4, 2, 3))
    run = flambeau.jit(lambda p: (layer(p)[0], rnn.pad_packed_sequence(p)))
    for lengths in ([4, 2], [4, 2], [2, 4], [3, 3]):
        packed = rnn.pack_padded_sequence(x, flambeau.tensor(lengths), enforce_sorted=False)
        plain = rnn.PackedSequence(*packed)  # made by hand: its lengths are in a tensor alone
        output, (padded, counts) = run(packed)
        expected = layer(packed)[0]
        for field, wanted in zip(output, expected, strict=True):
            assert wanted is None or flambeau.allclose(field, wanted)
        assert (type(output), output.sizes, counts.tolist()) == (type(packed), packed.sizes, lengths)
        assert flambeau.equal(padded, rnn.pad_packed_sequence(packed)[0])
        assert flambeau.equal(run(plain)[0].data, output.data)
    assert run.stats.compiles == 2  # [4, 2] and [2, 4] have the same batch sizes
    assert "args[0].sizes[2]: 1 -> 2" in str(run.why())
