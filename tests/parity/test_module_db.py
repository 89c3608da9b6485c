"""Each layer on the inputs of torch's own record of modules: keys, repr, forward, gradients and buffers, training and not.

The numpy engine runs the sweep; some layers are compiled too, by a jitted call.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from .torch_records import record  # noqa: E402

RECORD = record("common_modules")
MODULES, FunctionInput = RECORD.module_db, RECORD.FunctionInput
SAMPLES = 4  # of the hundreds that some layers have, spread over them


def samples(info: Any, training: bool, count: int = SAMPLES) -> list[Any]:
    """Some of the inputs that the record has for a layer, the first and the last among them."""
    torch.manual_seed(0)
    kind = torch.float64 if info.name.startswith("nn.Fractional") else torch.float32  # its samples fit no other type
    found = list(info.module_inputs_func(info, device="cpu", dtype=kind, requires_grad=True, training=training))
    places = sorted({round(i * (len(found) - 1) / max(count - 1, 1)) for i in range(count)})
    return [found[i] for i in places]


# --- Arguments --------------------------------------------------------------------------------------------------------


def ours(value: Any, made: dict[int, Any]) -> Any:
    """An argument of torch's as one of ours; the same tensor for the same tensor."""
    if isinstance(value, torch.Tensor):
        return made.setdefault(id(value), _tensor(value))
    if isinstance(value, torch.nn.Module):
        return made.setdefault(id(value), _module(value))
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(ours(v, made) for v in value)
    if isinstance(value, dict):
        return {key: ours(v, made) for key, v in value.items()}
    if isinstance(value, torch.dtype):
        return getattr(flambeau, str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return flambeau.device(str(value))
    if type(value).__name__ == "LinearCrossEntropyOptions":
        return flambeau.nn.LinearCrossEntropyOptions(**dataclasses.asdict(value))
    if callable(value) and getattr(torch.nn.functional, getattr(value, "__name__", ""), None) is value:
        return getattr(flambeau.nn.functional, value.__name__)
    return value


def _tensor(value: Any) -> Any:
    if value.dtype is torch.bfloat16:
        made = flambeau.tensor(value.detach().float().numpy()).bfloat16()
    else:
        made = flambeau.tensor(value.detach().numpy())
    return made.requires_grad_() if value.requires_grad else made


def _module(layer: Any) -> Any:
    """A layer of a transformer, the only module that is an argument, made anew from what can be read off it."""
    attention, kind = layer.self_attn, getattr(flambeau.nn, type(layer).__name__)
    activation = ours(layer.activation, {}) if callable(layer.activation) else "relu"
    return kind(attention.embed_dim, attention.num_heads, layer.linear1.out_features, layer.dropout.p, activation,
                layer.norm1.eps, attention.batch_first, layer.norm_first, bias=layer.linear1.bias is not None)


def leaves_of(value: Any) -> Any:
    """The arguments with tensors that gradients stay at, where the record computed them from others."""
    if isinstance(value, torch.Tensor):
        return value if value.is_leaf else value.detach().requires_grad_()
    if isinstance(value, dict):
        return {key: leaves_of(v) for key, v in value.items()}
    return type(value)(map(leaves_of, value)) if type(value) in (list, tuple) else value


def leaves(value: Any) -> list[Any]:
    """The tensors in nested containers."""
    if isinstance(value, (torch.Tensor, flambeau.Tensor)):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, (list, tuple)) else []


# --- Comparing --------------------------------------------------------------------------------------------------------


def same(mine: Any, yours: Any, what: str, tolerance: float = 2e-5) -> None:
    assert (mine is None) == (yours is None), f"{what}: {mine} and {yours}"
    if yours is not None:
        assert str(mine.dtype) == str(yours.dtype) and tuple(mine.shape) == tuple(yours.shape), what
        np.testing.assert_allclose(np.asarray(mine.detach().double().numpy()), yours.detach().double().numpy(),
                                   tolerance, tolerance, err_msg=what)


def copied(mine: Any, yours: Any) -> None:
    """Give our module the numbers of torch's."""
    assert list(mine.state_dict()) == list(yours.state_dict())
    mine.load_state_dict({name: _tensor(value) for name, value in yours.state_dict().items()})


def total(output: Any, library: Any) -> Any:
    """A number that gradients start from: every element of every output that has a gradient, each weighed differently."""
    found = None
    for part in leaves(output):
        if part.requires_grad:
            weights = np.cos(np.arange(part.numel(), dtype=np.float32) + 1).reshape(tuple(part.shape))
            value = (part * library.tensor(weights).to(part.dtype)).sum()
            found = value if found is None else found + value
    return found


def make(info: Any, sample: Any, training: bool) -> tuple[Any, Any, list[Any], list[Any]]:
    """torch's module and ours with the same numbers, and the arguments for each."""
    constructor, inputs = sample.constructor_input, sample.forward_input
    known: dict[int, Any] = {}
    inputs = FunctionInput(*leaves_of(list(inputs.args)), **leaves_of(inputs.kwargs))
    yours = info.module_cls(*constructor.args, **constructor.kwargs).train(training)
    mine = getattr(flambeau.nn, info.name.removeprefix("nn."))(
        *ours(list(constructor.args), known), **ours(constructor.kwargs, known)).train(training)
    if info.is_lazy:
        with torch.no_grad():
            torch.manual_seed(0)
            yours(*inputs.args, **inputs.kwargs)
            mine(*ours(list(inputs.args), known), **ours(inputs.kwargs, known))
        known = {}
    copied(mine, yours)
    return mine, yours, [ours(list(inputs.args), known), ours(inputs.kwargs, known)], [list(inputs.args), inputs.kwargs]


def compare(info: Any, sample: Any, training: bool) -> None:
    mine, yours, given, expected = make(info, sample, training)
    assert repr(mine).replace("flambeau.", "torch.") == repr(yours)
    theirs, result = yours(*expected[0], **expected[1]), mine(*given[0], **given[1])
    assert len(leaves(result)) == len(leaves(theirs))
    for i, (a, b) in enumerate(zip(leaves(result), leaves(theirs))):
        same(a, b, f"output {i}")
        assert a.requires_grad == b.requires_grad
    score = total(theirs, torch)
    if score is not None:
        score.backward()
        total(result, flambeau).backward()
    for i, (a, b) in enumerate(zip(leaves(given), leaves(expected), strict=True)):
        same(a.grad, b.grad, f"gradient of input {i}", 1e-4)
    for (name, a), (_, b) in zip(mine.named_parameters(), yours.named_parameters(), strict=True):
        same(a.grad, b.grad, f"gradient of {name}", 2e-4)
    for (name, a), (_, b) in zip(mine.named_buffers(), yours.named_buffers(), strict=True):
        same(a, b, f"buffer {name}")


def name_of(info: Any) -> str:
    return str(info.name.removeprefix("nn."))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("info", MODULES, ids=name_of)
def test_a_layer_on_the_inputs_of_the_record(info: Any, training: bool, numpy_engine: None) -> None:
    for sample in samples(info, training):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both libraries warn of old arguments; that is tested elsewhere
            try:
                compare(info, sample, training)
            except Exception as error:
                raise AssertionError(f"{info.name}: {sample.constructor_input}, {sample.desc}") from error


@pytest.mark.parametrize("info", MODULES, ids=name_of)
def test_the_constructor_and_forward_take_torchs_arguments(info: Any) -> None:
    mine = getattr(flambeau.nn, name_of(info))
    for method in ("__init__", "forward"):
        theirs = list(inspect.signature(getattr(info.module_cls, method)).parameters)
        if theirs != ["self", "args", "kwargs"]:
            assert list(inspect.signature(getattr(mine, method)).parameters) == theirs, method


COMPILED = ["CTCLoss", "Transformer", "TransformerDecoderLayer", "FractionalMaxPool2d", "MultiLabelMarginLoss", "LPPool2d"]


@pytest.mark.parametrize("info", [m for m in MODULES if name_of(m) in COMPILED], ids=name_of)
def test_a_compiled_layer(info: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, yours, given, expected = make(info, samples(info, False, 1)[0], False)
        step = flambeau.jit(lambda: mine(*given[0], **given[1]))
        result, again, theirs = step(), step(), yours(*expected[0], **expected[1])
    assert step.stats.compiles == 1
    for part in (result, again):
        for i, (a, b) in enumerate(zip(leaves(part), leaves(theirs), strict=True)):
            same(a, b, f"output {i}")
