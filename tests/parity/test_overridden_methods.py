"""Methods that torch's layers, modules and schedules leave to their subclasses: one that is defined anew is called here, too."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402

Jit = Callable[[Any], Any]


def inner(torch: Any, name: str) -> Any:
    return importlib.import_module(f"{torch.__name__}.nn.modules.{name}")


def conv_forward(torch: Any, jit: Jit) -> Any:
    class Standardized(torch.nn.Conv2d):
        def _conv_forward(self, x: Any, weight: Any, bias: Any) -> Any:
            return super()._conv_forward(x, torch.ones_like(weight) * self.k, None)

    layer = Standardized(1, 1, 3)
    layer.k = 1
    step, x = jit(layer), torch.ones(1, 1, 3, 3)
    found = [step(x).item()]
    layer.k = 2
    return [*found, step(x).item()]


def conv_forward_of_an_instance(torch: Any, jit: Jit) -> Any:
    layer = torch.nn.Conv2d(1, 1, 3, padding=1)
    layer.weight.data.fill_(1.0)
    layer.bias.data.zero_()
    step, x = jit(layer), torch.arange(9.0).view(1, 1, 3, 3)
    found = [step(x).sum().item()]
    layer.padding_mode = "circular"
    found.append(step(x).sum().item())
    layer._conv_forward = types.MethodType(lambda self, x, w, b: torch.nn.functional.conv2d(x, w, b), layer)
    found.append(list(step(x).shape))
    del layer._conv_forward
    return [*found, step(x).sum().item()]


def conv_forward_of_the_class(torch: Any, jit: Jit) -> Any:
    layer, x = torch.nn.Conv2d(1, 1, 3), torch.ones(1, 1, 3, 3)
    step, kept = jit(layer), torch.nn.Conv2d._conv_forward
    step(x)
    torch.nn.Conv2d._conv_forward = lambda self, x, w, b: x.sum()
    try:
        return step(x).item()
    finally:
        torch.nn.Conv2d._conv_forward = kept


def encoder_layer(torch: Any, jit: Jit) -> Any:
    class Layer(torch.nn.TransformerEncoderLayer):
        def _sa_block(self, x: Any, mask: Any, padding: Any, is_causal: bool = False) -> Any:
            return x * 0 + mask.sum() + str(mask.dtype).count("float")

        def _ff_block(self, x: Any) -> Any:
            return super()._ff_block(x) * 0

    layer = Layer(4, 2, 8, dropout=0.0, norm_first=True)
    return jit(layer)(torch.arange(4.0).view(1, 1, 4).requires_grad_(), torch.zeros(1, 1, dtype=torch.bool)).tolist()


def decoder_layer(torch: Any, jit: Jit) -> Any:
    class Layer(torch.nn.TransformerDecoderLayer):
        def _sa_block(self, *args: Any, **named: Any) -> Any:
            return args[0] * 0

        def _mha_block(self, x: Any, memory: Any, *args: Any, **named: Any) -> Any:
            return memory

        def _ff_block(self, x: Any) -> Any:
            return x * 0

    x = torch.arange(4.0).view(1, 1, 4)
    return jit(Layer(4, 2, 8, dropout=0.0, norm_first=True))(x, x).tolist()


def norms(torch: Any, jit: Jit) -> Any:
    class Any6d(inner(torch, "batchnorm")._BatchNorm):
        def _check_input_dim(self, x: Any) -> None:
            pass

    class Shifted(torch.nn.InstanceNorm2d):
        def _apply_instance_norm(self, x: Any) -> Any:
            return super()._apply_instance_norm(x) + 7

    with_batch, without = jit(Shifted(1))(torch.ones(1, 1, 2, 2)), jit(Shifted(1))(torch.ones(1, 2, 2))
    return list(jit(Any6d(2))(torch.ones(2, 2, 1, 1, 1, 1)).shape), with_batch.tolist(), without.tolist()


def recurrent(torch: Any, jit: Jit) -> Any:
    class Strict(torch.nn.LSTM):
        def check_input(self, input: Any, batch_sizes: Any) -> None:
            raise ValueError("refused")

    class Forgetful(torch.nn.GRU):
        def permute_hidden(self, hx: Any, permutation: Any) -> Any:
            return super().permute_hidden(hx, permutation) * 0 + 1

    class Unchecked(torch.nn.RNN):
        seen = None

        def check_forward_args(self, input: Any, hidden: Any, batch_sizes: Any) -> None:
            type(self).seen = list(hidden.shape)

    found = []
    try:
        jit(Strict(1, 1))(torch.ones(1, 1, 1))
    except ValueError as error:
        found.append(str(error))
    jit(Unchecked(1, 2))(torch.ones(3, 1))
    return found, jit(Forgetful(1, 1))(torch.ones(1, 1, 1))[1].item(), Unchecked.seen


def weights_of_recurrent_layers(torch: Any, jit: Jit) -> Any:
    layer = torch.nn.LSTM(2, 3, 2, bidirectional=True, proj_size=1)
    base, cell = torch.nn.RNNBase("GRU", 1, 2), torch.nn.RNNCellBase(2, 3, True, 4)
    return (layer._flat_weights_names, layer._all_weights, [list(w.shape) for w in layer._flat_weights],
            layer._flat_weights[0] is layer.weight_ih_l0, list(base.weight_ih_l0.shape), list(cell.weight_ih.shape))


def embedding(torch: Any, jit: Jit) -> Any:
    class Threes(torch.nn.Embedding):
        def _fill_padding_idx_with_zero(self) -> None:
            self.weight.data.fill_(3.0)

    return Threes(2, 2, padding_idx=0).weight.tolist(), Threes(2, 2).weight.tolist()


def output_padding(torch: Any, jit: Jit) -> Any:
    class Longer(torch.nn.ConvTranspose1d):
        def _output_padding(self, *args: Any, **named: Any) -> Any:
            return [1]

    return list(jit(Longer(1, 1, 2, stride=2))(torch.ones(1, 1, 3)).shape)


def base_constructors(torch: Any, jit: Jit) -> Any:
    conv, loss, padding = inner(torch, "conv"), inner(torch, "loss"), inner(torch, "padding")

    class Conv(conv._ConvNd):
        def __init__(self) -> None:
            super().__init__(2, 4, (3,), (1,), (1,), (1,), False, (0,), 1, True, "zeros")

    class Transpose(conv._ConvTransposeNd):
        def __init__(self) -> None:
            super().__init__(2, 4, (3,), (1,), (1,), (1,), True, (0,), 1, True, "zeros")

    class Loss(loss._Loss):
        def __init__(self, word: str) -> None:
            super().__init__(None, None, word)

    class Weighted(loss._WeightedLoss):
        def __init__(self, weight: Any) -> None:
            super().__init__(weight)

    class Pad(padding._ConstantPadNd):
        def __init__(self) -> None:
            super().__init__(3.0)
            self.padding = (1, 0)

    pairs = [torch.nn.Conv2d(1, 1, 4, padding=p)._reversed_padding_repeated_twice for p in ((1, 2), "same", "valid")]
    weighted = Weighted(torch.ones(2))
    return (repr(Conv()), list(Transpose().weight.shape), Loss("sum").reduction, weighted.weight.tolist(), weighted.reduction,
            loss._Loss().reduction, jit(Pad())(torch.ones(1, 2)).tolist(), repr(Pad()), pairs)


def call_impl(torch: Any, jit: Jit) -> Any:
    calls = []

    class Scaled(torch.nn.Linear):
        def _call_impl(self, *args: Any, **named: Any) -> Any:
            calls.append(1)
            return super()._call_impl(*args, **named) * self.k

    layer = Scaled(1, 1)
    layer.weight.data.fill_(2.0)
    layer.bias.data.zero_()
    layer.k = 3.0
    step, x = jit(layer), torch.ones(1, 1)
    found = [step(x).item(), step(x).item()]
    layer.k = 2.0
    return [*found, step(x).item(), bool(calls)]


def buffers(torch: Any, jit: Jit) -> Any:
    names: list[str] = []

    class Noting(torch.nn.Module):
        def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
            names.append(name)
            super().register_buffer(name, tensor, persistent)

        def forward(self, x: Any) -> Any:
            self.a = self.a + 1
            return x + self.a

    class Older(torch.nn.Module):
        def register_buffer(self, name: str, tensor: Any) -> None:
            names.append(f"older {name}")
            super().register_buffer(name, tensor)

    noting, older = Noting(), Older()
    noting.register_buffer("a", torch.ones(1))
    noting.a = torch.zeros(1)
    older.register_buffer("b", torch.ones(1))
    older.b = torch.zeros(1)
    found, step = list(names), jit(noting)
    hook = inner(torch, "module").register_module_buffer_registration_hook(lambda module, name, buffer: found.append(name))
    torch.nn.BatchNorm1d(2).running_mean = torch.ones(2)
    hook.remove()
    return found, [step(torch.ones(1)).item() for _ in range(3)], noting.a.item()


def shared_memory_and_state(torch: Any, jit: Jit) -> Any:
    calls = []

    class Module(torch.nn.Linear):
        def _apply(self, fn: Any, recurse: bool = True) -> Any:
            calls.append(1)
            return super()._apply(fn)

        def state_dict(self, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
            return super().state_dict(destination, prefix, keep_vars)

    Module(1, 1).share_memory()
    return calls, sorted(Module(1, 1).state_dict(prefix="p."))


def schedules(torch: Any, jit: Jit) -> Any:
    class Plateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
        def _reduce_lr(self, epoch: int) -> None:
            self.at = epoch
            super()._reduce_lr(epoch)

    class Cycle(torch.optim.lr_scheduler.OneCycleLR):
        @staticmethod
        def _annealing_cos(start: Any, end: Any, pct: float) -> float:
            return 5.0

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9)
    plateau = Plateau(optimizer, patience=0)
    for _ in range(3):
        plateau.step(1.0)
    found = [plateau.at, round(optimizer.param_groups[0]["lr"], 6)]
    cycle = Cycle(optimizer, 1.0, 10)
    optimizer.step()
    cycle.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def projection_of_attention(torch: Any, jit: Jit) -> Any:
    calls: list[int] = []
    attention, x = torch.nn.MultiheadAttention(4, 2), torch.ones(3, 1, 4)
    attention.out_proj.register_forward_hook(lambda *args: calls.append(1))
    jit(attention)(x, x, x)
    return calls


def module_gone_before_backward(torch: Any, jit: Jit) -> Any:
    found: list[str] = []

    def result() -> Any:
        layer = torch.nn.Linear(1, 1)
        layer.register_full_backward_hook(lambda module, before, after: found.append(type(module).__name__))
        return layer(torch.ones(1, 1, requires_grad=True)).sum()

    result().backward()
    return found


CASES = [conv_forward, conv_forward_of_an_instance, conv_forward_of_the_class, encoder_layer, decoder_layer, norms, recurrent,
         weights_of_recurrent_layers, embedding, output_padding, base_constructors, call_impl, buffers, shared_memory_and_state,
         schedules, projection_of_attention, module_gone_before_backward]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_is_defined_anew_is_called(case: Callable[[Any, Jit], Any]) -> None:
    wanted = case(torch, lambda f: f)
    with on_numpy():
        assert case(flambeau, lambda f: f) == wanted
        assert case(flambeau, flambeau.jit) == wanted


# --- Functions exchanged in `nn.functional` ---------------------------------------------------------------------------

LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    **{name: (lambda nn, layer=layer: getattr(nn, layer)(), (2, 4)) for name, layer in {
        "relu": "ReLU", "hardtanh": "ReLU6", "leaky_relu": "LeakyReLU", "elu": "ELU", "gelu": "GELU", "silu": "SiLU",
        "mish": "Mish", "softplus": "Softplus", "glu": "GLU", "logsigmoid": "LogSigmoid", "hardswish": "Hardswish",
        "softsign": "Softsign", "celu": "CELU", "selu": "SELU", "hardsigmoid": "Hardsigmoid", "hardshrink": "Hardshrink",
        "softshrink": "Softshrink", "tanhshrink": "Tanhshrink"}.items()},
    **{name: (lambda nn, layer=layer: getattr(nn, layer)(-1), (2, 4)) for name, layer in {
        "softmax": "Softmax", "log_softmax": "LogSoftmax", "softmin": "Softmin"}.items()},
    **{name.format(d): (lambda nn, layer=layer, d=d, args=args: getattr(nn, layer.format(d))(*args), (1, 2, *(4,) * d))
       for d in (1, 2, 3) for name, layer, args in [
           ("conv{}d", "Conv{}d", (2, 2, 2)), ("conv_transpose{}d", "ConvTranspose{}d", (2, 2, 2)),
           ("max_pool{}d", "MaxPool{}d", (2,)), ("avg_pool{}d", "AvgPool{}d", (2,)), ("lp_pool{}d", "LPPool{}d", (2, 2)),
           ("adaptive_max_pool{}d", "AdaptiveMaxPool{}d", (2,)), ("adaptive_avg_pool{}d", "AdaptiveAvgPool{}d", (2,))]},
}
OF_ATTENTION = ("multi_head_attention_forward", "linear", "softmax", "scaled_dot_product_attention")


def exchanged(library: Any, jit: Jit, name: str, run: Callable[[Any], Any], x: Any) -> list[float]:
    """The first number before a function is exchanged, while it is, and after."""
    functions, step = library.nn.functional, jit(run)
    kept = getattr(functions, name)

    def other(*args: Any, **named: Any) -> Any:
        result = kept(*args, **named)
        return (result[0] * 0 + 77, result[1]) if isinstance(result, tuple) else result * 0 + 77

    found = [step(x).flatten()[0].item()]
    setattr(functions, name, other)
    try:
        found.append(step(x).flatten()[0].item())
    finally:
        setattr(functions, name, kept)
    return [*found, step(x).flatten()[0].item()]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_look_functions_up(name: str) -> None:
    make, shape = LAYERS[name]
    before, during, after = exchanged(torch, lambda f: f, name, make(torch.nn), torch.ones(shape))
    assert during == 77 and before == after
    for jit in (lambda f: f, flambeau.jit):
        with on_numpy():
            before, during, after = exchanged(flambeau, jit, name, make(flambeau.nn), flambeau.ones(shape))
        assert during == 77 and before == after


@pytest.mark.parametrize("name", OF_ATTENTION)
def test_attention_looks_functions_up(name: str) -> None:
    found = []
    for library, jit in ((torch, lambda f: f), (flambeau, lambda f: f), (flambeau, flambeau.jit)):
        with on_numpy():
            library.manual_seed(0)
            attention = library.nn.MultiheadAttention(4, 2)
            with library.no_grad():
                for parameter in attention.parameters():
                    parameter.fill_(0.5)
            weights = name != "scaled_dot_product_attention"
            found.append(exchanged(library, jit, name, lambda x: attention(x, x, x, need_weights=weights)[0],  # noqa: B023
                                   library.ones(3, 1, 4)))
    assert found[0][1] != found[0][0]
    assert found[1] == pytest.approx(found[0]) and found[2] == pytest.approx(found[0])
