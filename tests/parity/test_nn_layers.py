"""Each layer against torch's: keys, repr, forward, gradients and buffers, in training and in evaluation."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flambeau import nn  # noqa: E402
from flambeau.tracer.functions.random import manual_seed  # noqa: E402

from .nn_common import close, compare, compare_modules, copy_weights, ours_of, theirs_of  # noqa: E402

rng = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


def ints(high: int, *shape: int) -> Any:
    return rng.integers(0, high, shape)


LAYERS: dict[str, tuple[Any, list[Any]]] = {
    "Linear": (lambda m: m.Linear(4, 3), [floats(2, 5, 4)]),
    "Linear without bias": (lambda m: m.Linear(4, 3, bias=False), [floats(4)]),
    "Bilinear": (lambda m: m.Bilinear(3, 4, 5), [floats(2, 3), floats(2, 4)]),
    "Identity": (lambda m: m.Identity(), [floats(3)]),
    "Flatten": (lambda m: m.Flatten(), [floats(2, 3, 4)]),
    "Unflatten": (lambda m: m.Unflatten(1, (2, 3)), [floats(2, 6)]),
    "Embedding": (lambda m: m.Embedding(7, 3), [ints(7, 2, 5)]),
    "Embedding with padding": (lambda m: m.Embedding(7, 3, padding_idx=-5), [np.array([[2, 2, 1], [0, 2, 6]])]),
    "Embedding with max_norm": (lambda m: m.Embedding(7, 3, max_norm=0.5), [np.array([1, 1, 3])]),
    "Conv1d": (lambda m: m.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), [floats(2, 4, 9)]),
    "Conv1d same": (lambda m: m.Conv1d(2, 3, 4, padding="same", dilation=2), [floats(2, 2, 9)]),
    "Conv2d": (lambda m: m.Conv2d(3, 4, (3, 2), padding=(1, 0), dilation=(1, 2), bias=False), [floats(2, 3, 6, 7)]),
    "Conv2d unbatched": (lambda m: m.Conv2d(3, 4, 3), [floats(3, 6, 7)]),
    "Conv2d reflect": (lambda m: m.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), [floats(2, 2, 5, 6)]),
    "Conv2d circular same": (lambda m: m.Conv2d(2, 3, 4, padding="same", padding_mode="circular"),
                             [floats(2, 2, 5, 6)]),
    "Conv3d": (lambda m: m.Conv3d(2, 3, 2, stride=2, padding_mode="replicate", padding=1), [floats(1, 2, 4, 4, 5)]),
    "ConvTranspose1d": (lambda m: m.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
                        [floats(2, 4, 5)]),
    "ConvTranspose2d": (lambda m: m.ConvTranspose2d(3, 4, 3, dilation=2), [floats(2, 3, 4, 5)]),
    "ConvTranspose3d": (lambda m: m.ConvTranspose3d(2, 3, 2, stride=2), [floats(1, 2, 2, 3, 2)]),
    "LayerNorm": (lambda m: m.LayerNorm((3, 4)), [floats(2, 3, 4)]),
    "LayerNorm without bias": (lambda m: m.LayerNorm(4, bias=False), [floats(2, 4)]),
    "LayerNorm plain": (lambda m: m.LayerNorm(4, elementwise_affine=False, eps=1e-3), [floats(2, 4)]),
    "RMSNorm": (lambda m: m.RMSNorm(4), [floats(2, 3, 4)]),
    "GroupNorm": (lambda m: m.GroupNorm(2, 4), [floats(3, 4, 5)]),
    "LocalResponseNorm": (lambda m: m.LocalResponseNorm(3, alpha=0.1), [floats(2, 5, 3, 3)]),
    "BatchNorm1d": (lambda m: m.BatchNorm1d(4), [floats(6, 4)]),
    "BatchNorm1d of sequences": (lambda m: m.BatchNorm1d(4, momentum=None), [floats(3, 4, 5)]),
    "BatchNorm2d": (lambda m: m.BatchNorm2d(3, momentum=0.3), [floats(2, 3, 4, 5)]),
    "BatchNorm2d untracked": (lambda m: m.BatchNorm2d(3, track_running_stats=False, affine=False),
                              [floats(2, 3, 4, 5)]),
    "BatchNorm3d": (lambda m: m.BatchNorm3d(2), [floats(2, 2, 2, 3, 3)]),
    "InstanceNorm1d": (lambda m: m.InstanceNorm1d(3, affine=True), [floats(2, 3, 5)]),
    "InstanceNorm2d": (lambda m: m.InstanceNorm2d(3, track_running_stats=True), [floats(2, 3, 4, 4)]),
    "MaxPool1d": (lambda m: m.MaxPool1d(3, 2, padding=1), [floats(2, 3, 9)]),
    "MaxPool2d": (lambda m: m.MaxPool2d(2), [floats(2, 3, 5, 6)]),
    "MaxPool2d ceil": (lambda m: m.MaxPool2d(3, 2, padding=1, ceil_mode=True), [floats(2, 3, 6, 8)]),
    "MaxPool2d dilated": (lambda m: m.MaxPool2d(2, 1, dilation=2), [floats(3, 6, 8)]),
    "MaxPool3d": (lambda m: m.MaxPool3d(2), [floats(1, 2, 4, 5, 4)]),
    "MaxPool2d with places": (lambda m: m.MaxPool2d(3, 2, 1, return_indices=True), [floats(2, 3, 6, 7)]),
    "AvgPool1d": (lambda m: m.AvgPool1d(3, 2), [floats(2, 3, 9)]),
    "AvgPool2d": (lambda m: m.AvgPool2d(3, 2, padding=1), [floats(2, 3, 6, 7)]),
    "AvgPool2d ceil": (lambda m: m.AvgPool2d(3, 2, padding=1, ceil_mode=True), [floats(2, 3, 6, 7)]),
    "AvgPool2d inside": (lambda m: m.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False),
                         [floats(2, 3, 6, 7)]),
    "AvgPool2d divisor": (lambda m: m.AvgPool2d(2, divisor_override=3), [floats(2, 3, 6, 7)]),
    "AvgPool3d": (lambda m: m.AvgPool3d(2), [floats(1, 2, 4, 5, 4)]),
    "AdaptiveAvgPool1d": (lambda m: m.AdaptiveAvgPool1d(3), [floats(2, 3, 7)]),
    "AdaptiveAvgPool2d": (lambda m: m.AdaptiveAvgPool2d((2, None)), [floats(2, 3, 7, 5)]),
    "AdaptiveAvgPool2d to one": (lambda m: m.AdaptiveAvgPool2d(1), [floats(3, 7, 5)]),
    "AdaptiveAvgPool3d": (lambda m: m.AdaptiveAvgPool3d(2), [floats(1, 2, 4, 5, 3)]),
    "AdaptiveMaxPool2d": (lambda m: m.AdaptiveMaxPool2d((2, 3)), [floats(2, 3, 7, 6)]),
    "ReflectionPad1d": (lambda m: m.ReflectionPad1d(2), [floats(2, 3, 5)]),
    "ReflectionPad2d": (lambda m: m.ReflectionPad2d((1, 2, 0, 3)), [floats(2, 3, 5, 4)]),
    "ReplicationPad2d": (lambda m: m.ReplicationPad2d((1, 2, 0, 3)), [floats(2, 3, 5, 4)]),
    "CircularPad2d": (lambda m: m.CircularPad2d((1, 2, 0, 3)), [floats(2, 3, 5, 4)]),
    "ZeroPad2d": (lambda m: m.ZeroPad2d((1, -1, 0, 3)), [floats(2, 3, 5, 4)]),
    "ConstantPad1d": (lambda m: m.ConstantPad1d(2, 1.5), [floats(2, 5)]),
    "Dropout without chance": (lambda m: m.Dropout(0.0, inplace=False), [floats(4)]),
    "Dropout of all": (lambda m: m.Dropout(1.0), [floats(4)]),
    "Sequential": (lambda m: m.Sequential(m.Linear(3, 4), m.ReLU(), m.Linear(4, 2)), [floats(2, 3)]),
    "PReLU": (lambda m: m.PReLU(3), [floats(2, 3, 4)]),
    "Softmax2d": (lambda m: m.Softmax2d(), [floats(2, 3, 2, 2)]),
    "Threshold": (lambda m: m.Threshold(0.1, 20), [floats(5)]),
}
ACTIVATIONS = {
    "ReLU": {}, "ReLU6": {}, "Hardtanh": {"min_val": -0.5}, "LeakyReLU": {"negative_slope": 0.2}, "ELU": {"alpha": 0.7},
    "CELU": {"alpha": 1.3}, "SELU": {}, "GELU": {}, "SiLU": {}, "Mish": {}, "Softplus": {"beta": 2.0},
    "Hardsigmoid": {}, "Hardswish": {}, "Hardshrink": {}, "Softshrink": {}, "GLU": {},
    "Softmax": {"dim": 1}, "Softmin": {"dim": 0},
    "LogSoftmax": {"dim": -1}, "Tanh": {}, "Sigmoid": {}, "LogSigmoid": {}, "Tanhshrink": {}, "Softsign": {},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, training: bool) -> None:
    make, arrays = LAYERS[name]
    compare_modules(make(nn).train(training), make(torch.nn).train(training), arrays)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    options = ACTIVATIONS[name]
    x = np.concatenate([floats(6, 4) * 3, np.array([[0.0, -0.0, 30.0, -30.0]], np.float32)])
    compare_modules(getattr(nn, name)(**options), getattr(torch.nn, name)(**options), [x])


def test_rrelu_in_evaluation() -> None:
    compare_modules(nn.RReLU().eval(), torch.nn.RReLU().eval(), [floats(5)])


def test_gelu_tanh() -> None:
    compare_modules(nn.GELU("tanh"), torch.nn.GELU("tanh"), [floats(20) * 3])


@pytest.mark.parametrize("name", ["ReLU", "SiLU", "LeakyReLU", "Hardtanh", "ELU"])
def test_inplace(name: str) -> None:
    mine, yours = getattr(nn, name)(inplace=True), getattr(torch.nn, name)(inplace=True)
    assert repr(mine) == repr(yours)
    x, y = ours_of(array := floats(5)), theirs_of(array)
    assert mine(x) is x
    yours(y)
    close(x, y)


ATTENTION = {
    "plain": ({}, {}),
    "batch first": ({"batch_first": True}, {}),
    "no weights": ({"bias": False}, {"need_weights": False}),
    "each head": ({}, {"average_attn_weights": False}),
    "extra keys": ({"add_bias_kv": True, "add_zero_attn": True}, {}),
    "own sizes": ({"kdim": 5, "vdim": 7}, {}),
}


@pytest.mark.parametrize("masks", ["none", "bool", "float", "per head"])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention(name: str, masks: str) -> None:
    options, call = ATTENTION[name]
    mine, yours = nn.MultiheadAttention(8, 2, **options), torch.nn.MultiheadAttention(8, 2, **options)
    lead = (3, 4) if options.get("batch_first") else (4, 3)
    keys = (3, 5) if options.get("batch_first") else (5, 3)
    arrays = [floats(*lead, 8), floats(*keys, options.get("kdim", 8)), floats(*keys, options.get("vdim", 8))]
    mask = np.triu(np.ones((4, 5), bool), 2)
    padding = np.zeros((3, 5), bool)
    padding[0, 3:] = True
    given = {"none": {}, "bool": {"attn_mask": mask, "key_padding_mask": padding},
             "float": {"attn_mask": floats(4, 5)}, "per head": {"attn_mask": floats(6, 4, 5)}}[masks]
    assert list(mine.state_dict()) == list(yours.state_dict())
    assert repr(mine) == repr(yours)
    copy_weights(mine, yours)
    outputs = [m(*map(of, arrays), **{k: of(v) for k, v in given.items()}, **call)
               for m, of in ((mine, ours_of), (yours, theirs_of))]
    close(*outputs)
    for output in outputs:
        output[0].sin().sum().backward()
    for p, q in zip(mine.parameters(), yours.parameters(), strict=True):
        close(p.grad, q.grad, 1e-4)


def test_self_attention_unbatched() -> None:
    mine, yours = nn.MultiheadAttention(8, 2), torch.nn.MultiheadAttention(8, 2)
    copy_weights(mine, yours)
    x = floats(5, 8)
    close(mine(*[ours_of(x)] * 3), yours(*[theirs_of(x)] * 3))
    a = ours_of(x)
    close(mine(a, a, a), yours(*[theirs_of(x)] * 3))


LOSSES = {
    "CrossEntropyLoss": [{}, {"weight": floats(4) ** 2}, {"ignore_index": 1}, {"label_smoothing": 0.1},
                         {"label_smoothing": 0.2, "weight": floats(4) ** 2, "ignore_index": 2}],
    "NLLLoss": [{}, {"weight": floats(4) ** 2, "ignore_index": 0}],
    "MSELoss": [{}], "L1Loss": [{}], "SmoothL1Loss": [{}, {"beta": 0.3}, {"beta": 0.0}], "HuberLoss": [{"delta": 0.5}],
    "BCELoss": [{}, {"weight": floats(5, 4) ** 2}],
    "BCEWithLogitsLoss": [{}, {"pos_weight": floats(4) ** 2}, {"weight": floats(5, 4) ** 2}],
    "KLDivLoss": [{}, {"log_target": True}], "PoissonNLLLoss": [{}, {"log_input": False, "full": True}],
    "SoftMarginLoss": [{}],
}


@pytest.mark.filterwarnings("ignore:reduction. .mean.")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name, number", [(name, i) for name, cases in LOSSES.items() for i in range(len(cases))])
def test_loss(name: str, number: int, reduction: str) -> None:
    options = LOSSES[name][number]
    target = ints(4, 5) if name in ("CrossEntropyLoss", "NLLLoss") else rng.uniform(0.1, 3, (5, 4)).astype(np.float32)
    if name.startswith("BCE"):
        target = rng.integers(0, 2, (5, 4)).astype(np.float32)
    x = rng.uniform(0.05, 0.95, (5, 4)).astype(np.float32) if name == "BCELoss" else np.abs(floats(5, 4)) + 0.1

    def made(module: Any, of: Any) -> Any:
        given = {k: of(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        loss = getattr(module, name)(reduction=reduction, **given)
        return lambda input: loss(input, of(target))

    compare(made(nn, ours_of), made(torch.nn, theirs_of), [x])


BOUNDED = [lambda m: m.Linear(100, 50), lambda m: m.Conv2d(8, 16, 3), lambda m: m.ConvTranspose1d(8, 16, 5)]


@pytest.mark.parametrize("make", BOUNDED)
def test_default_initial_values_have_torchs_bounds(make: Any) -> None:
    manual_seed(0)
    torch.manual_seed(0)
    mine, yours = make(nn), make(torch.nn)
    for p, q in zip(mine.parameters(), yours.parameters(), strict=True):
        ours, theirs = p.detach().numpy(), q.detach().numpy()
        bound = float(np.abs(theirs).max())
        few = ours.size < 100  # a bias: so few draws say little about the spread
        assert abs(float(np.abs(ours).max()) - bound) < (0.25 if few else 0.03) * bound
        assert few or abs(float(ours.std()) - float(theirs.std())) < 0.1 * float(theirs.std())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_apart(copied: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    model[0].bias.requires_grad_(False)
    other = copied(model)
    x = ours_of(floats(2, 3))
    close(model(x), torch.tensor(other(x).detach().numpy()))
    assert other[0].weight is not model[0].weight and isinstance(other[0].weight, nn.Parameter)
    assert not other[0].bias.requires_grad and other[0].weight.requires_grad
    other[0].weight.data.zero_()
    assert float(model[0].weight.detach().abs().sum()) > 0
