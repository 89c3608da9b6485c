"""`nn.utils`, lazy modules, attention with functions and the methods of modules, in torch and here by the same code."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

from .nn_common import close

torch = pytest.importorskip("torch")

from torch.nn.attention import bias, flex_attention  # noqa: E402, F401  (which torch loads on demand)
from torch.nn.utils import prune  # noqa: E402, F401

rng = np.random.default_rng(0)
WEIGHT, BIAS, X = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (4,), (2, 3)))
HEADS = [rng.standard_normal((2, 4, 12, 8)).astype(np.float32) for _ in range(3)]


def linear(m: Any) -> Any:
    """The same layer in both libraries."""
    layer = m.nn.Linear(3, 4)
    layer.load_state_dict({"weight": m.tensor(WEIGHT), "bias": m.tensor(BIAS)})
    return layer


def seen(m: Any, layer: Any) -> Any:
    """Structure, names, values, what a call gives, and the gradients it leaves."""
    layer.zero_grad()
    y = layer(m.tensor(X))
    (y * y).sum().backward()
    return [repr(layer), list(layer.state_dict()), [n for n, _ in layer.named_parameters()], type(layer).__name__, y,
            *layer.state_dict().values(), *(p.grad for p in layer.parameters())]


def same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs) or hasattr(theirs, "dtype"), (ours, theirs)
    if isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), (ours, theirs)
        for a, b in zip(ours, theirs):
            same(a, b)
    elif isinstance(theirs, torch.Tensor):
        close(ours, theirs, 1e-5)
    else:
        assert ours == theirs


class Tripled:
    """A parametrization for either library."""

    def __new__(cls, m: Any) -> Any:
        class Triple(m.nn.Module):  # type: ignore[misc, name-defined]
            def forward(self, x: Any) -> Any:
                return 3 * x

            def right_inverse(self, x: Any) -> Any:
                return x / 3

        return Triple()


def parametrized(m: Any) -> Any:
    return m.nn.utils.parametrize.register_parametrization(linear(m), "weight", Tripled(m))


def assigned(m: Any) -> Any:
    layer = parametrized(m)
    with m.no_grad():
        layer.weight = m.ones(4, 3)
    return layer


def twice(m: Any) -> Any:
    return m.nn.utils.parametrize.register_parametrization(parametrized(m), "weight", Tripled(m))


def pruned_twice(m: Any) -> Any:
    layer = linear(m)
    m.nn.utils.prune.l1_unstructured(layer, "weight", amount=3)
    m.nn.utils.prune.ln_structured(layer, "weight", amount=1, n=2, dim=0)
    return m.nn.utils.prune.l1_unstructured(layer, "weight", amount=0.4)


def pruned_globally(m: Any) -> Any:
    layer = linear(m)
    m.nn.utils.prune.global_unstructured([(layer, "weight"), (layer, "bias")], m.nn.utils.prune.L1Unstructured, amount=0.5)
    return layer


def spectral(m: Any) -> Any:
    layer = m.nn.utils.spectral_norm(linear(m))
    layer.load_state_dict({"bias": m.tensor(BIAS), "weight_orig": m.tensor(WEIGHT), "weight_u": m.tensor(BIAS),
                           "weight_v": m.tensor(X[0])})
    return layer


def spectrally_parametrized(m: Any) -> Any:
    layer = m.nn.utils.parametrizations.spectral_norm(linear(m), n_power_iterations=2)
    layer.load_state_dict({"bias": m.tensor(BIAS), "parametrizations.weight.original": m.tensor(WEIGHT),
                           "parametrizations.weight.0._u": m.tensor(BIAS), "parametrizations.weight.0._v": m.tensor(X[0])})
    return layer


def fused(m: Any) -> Any:
    bn = m.nn.BatchNorm1d(4)
    bn(m.tensor(np.ascontiguousarray(WEIGHT.T)))
    return m.nn.utils.fuse_linear_bn_eval(linear(m).eval(), bn.eval())


def materialised(m: Any) -> Any:
    layer = m.nn.LazyLinear(4)
    layer(m.tensor(X))
    layer.load_state_dict(linear(m).state_dict())
    return layer


def loaded_lazily(m: Any) -> Any:
    layer = m.nn.LazyLinear(4)
    layer.load_state_dict(linear(m).state_dict())
    return layer


LAYERS: dict[str, Callable[[Any], Any]] = {
    "parametrized": parametrized, "assigned": assigned, "twice": twice,
    "copied": lambda m: copy.deepcopy(parametrized(m)),
    "no longer parametrized": lambda m: m.nn.utils.parametrize.remove_parametrizations(twice(m), "weight"),
    "with the original": lambda m: m.nn.utils.parametrize.remove_parametrizations(twice(m), "weight", leave_parametrized=False),
    "transferred": lambda m: m.nn.utils.parametrize.transfer_parametrizations_and_params(parametrized(m), linear(m)),
    "weight norm": lambda m: m.nn.utils.parametrizations.weight_norm(linear(m)),
    "weight norm of all": lambda m: m.nn.utils.parametrizations.weight_norm(linear(m), dim=None),
    "spectral norm": spectral, "spectral norm in evaluation": lambda m: spectral(m).eval(),
    "spectral norm parametrized": spectrally_parametrized,
    "spectral norm removed": lambda m: m.nn.utils.remove_spectral_norm(spectral(m)),
    "pruned": lambda m: m.nn.utils.prune.l1_unstructured(linear(m), "weight", amount=5),
    "pruned in rows": lambda m: m.nn.utils.prune.ln_structured(linear(m), "weight", amount=0.5, n=1, dim=0),
    "pruned by a mask": lambda m: m.nn.utils.prune.custom_from_mask(linear(m), "bias", m.tensor([1, 0, 1, 0])),
    "pruned twice": pruned_twice, "pruned globally": pruned_globally,
    "no longer pruned": lambda m: m.nn.utils.prune.remove(pruned_twice(m), "weight"),
    "fused": fused, "lazy": materialised, "loaded lazily": loaded_lazily,
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_was_changed(name: str, numpy_engine: None) -> None:
    same(*(seen(m, LAYERS[name](m)) for m in (flambeau, torch)))


@pytest.mark.parametrize("name", ["twice", "spectral norm parametrized", "pruned twice", "spectral norm"])
def test_it_can_be_compiled(name: str) -> None:
    layer = LAYERS[name](flambeau)
    expected = LAYERS[name](torch)(torch.tensor(X))
    step = flambeau.jit(lambda x: layer(x))
    close(step(flambeau.tensor(X)), expected, 1e-5)
    step(flambeau.tensor(X))


def flex(m: Any, **options: Any) -> Any:
    attention = m.nn.attention.flex_attention
    q, k, v = (m.tensor(x) for x in HEADS)
    slope = m.tensor(BIAS)
    near = attention.and_masks(lambda b, h, i, j: i >= j, lambda b, h, i, j: i - j < 5)
    mask = attention.create_block_mask(near, None, None, 12, 12, device="cpu", BLOCK_SIZE=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [attention.flex_attention(q, k, v, lambda s, b, h, i, j: s + slope[h] * (i - j), mask, **options),
                mask.to_dense(), mask.kv_num_blocks, mask.kv_indices, mask.full_kv_num_blocks, mask.full_kv_indices,
                mask.shape, mask.sparsity(), mask.numel()]


def updated(m: Any) -> Any:
    found = m.nn.ParameterDict({"a": m.ones(2), "b": m.zeros(1)})
    found |= {"c": m.ones(1)}
    return [list(reversed(found)), repr(found), repr(found.copy()), list(found | found.fromkeys(["z"], m.ones(1))),
            found.setdefault("a"), found.popitem()[0], len(found), "c" in found]


def replaced(m: Any) -> Any:
    model = m.nn.Sequential(m.nn.Linear(2, 2), m.nn.Sequential(m.nn.Tanh()))
    model.set_submodule("1.0", m.nn.ReLU())
    model.set_submodule("1.more", m.nn.ELU())
    return repr(model)


USES: dict[str, Callable[[Any], Any]] = {
    "flex_attention": flex,
    "flex_attention with more": lambda m: flex(m, return_aux=m.nn.attention.flex_attention.AuxRequest(lse=True))[0][1].lse,
    "a mask of either": lambda m: m.nn.attention.flex_attention.create_mask(m.nn.attention.flex_attention.or_masks(
        lambda b, h, i, j: i == j, lambda b, h, i, j: j == 0), 2, 1, 3, 4, device="cpu"),
    "causal masks": lambda m: [m.nn.functional.scaled_dot_product_attention(
        *map(m.tensor, HEADS), attn_mask=kind(12, 12)) for kind in (
            m.nn.attention.bias.causal_upper_left, m.nn.attention.bias.causal_lower_right)],
    "gradients of convolutions": lambda m: [
        m.nn.grad.conv2d_input((2, 4, 12, 8), m.tensor(HEADS[0][:, :2, :3, :3]), m.tensor(HEADS[1][:, :2, :6, :4]), 2, 1, 1, 2),
        m.nn.grad.conv2d_weight(m.tensor(HEADS[0]), (2, 2, 3, 3), m.tensor(HEADS[1][:, :2, :6, :4]), 2, 1, 1, 2)],
    "kernels": lambda m: [m.nn.attention.SDPBackend.MATH.name, m.nn.attention.SDPBackend.FLASH_ATTENTION.value],
    "a dictionary of parameters": updated,
    "a submodule replaced": replaced,
    "a causal mask to add": lambda m: m.nn.Transformer.generate_square_subsequent_mask(3),
    "synchronised": lambda m: repr(m.nn.SyncBatchNorm.convert_sync_batchnorm(m.nn.Sequential(m.nn.BatchNorm1d(3)))),
    "across channels": lambda m: [m.nn.CrossMapLRN2d(size, alpha=0.5)(m.tensor(HEADS[0])) for size in (2, 3, 5)],
    "lazy state": lambda m: repr(m.nn.LazyConv2d(3, 2).state_dict()),
    "a lazy norm": lambda m: repr(m.nn.Sequential(m.nn.LazyBatchNorm1d(), m.nn.LazyInstanceNorm2d(affine=True))),
    "every probability": lambda m: tuple(
        m.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 9], div_value=2).log_prob(m.ones(2, 8)).shape),
    "distances": lambda m: [m.nn.CosineSimilarity()(m.tensor(X), m.tensor(WEIGHT[:2])),
                            m.nn.PairwiseDistance(p=3, keepdim=True)(m.tensor(X), m.tensor(WEIGHT[:2]))],
}


@pytest.mark.parametrize("name", USES)
def test_what_is_seen(name: str, numpy_engine: None) -> None:
    same(USES[name](flambeau), USES[name](torch))


def wrong(m: Any, forward: Callable[[Any], Any], inverse: Callable[[Any], Any] | None = None) -> Any:
    names = {"forward": lambda self, x: forward(x)}
    if inverse is not None:
        names["right_inverse"] = lambda self, x: inverse(x)
    return type("Wrong", (m.nn.Module,), names)()


def register(m: Any, *functions: Any, on: Callable[[Any], Any] = linear) -> Any:
    return m.nn.utils.parametrize.register_parametrization(on(m), "weight", wrong(m, *functions))


ERRORS: dict[str, Callable[[Any], Any]] = {
    "another shape": lambda m: register(m, lambda x: x[:2]),
    "another dtype": lambda m: register(m, lambda x: x.double()),
    "no tensor": lambda m: register(m, lambda x: 3),
    "an inverse that is no tensor": lambda m: register(m, lambda x: x, lambda x: 3),
    "an inverse of another shape": lambda m: register(m, lambda x: x, lambda x: x[:2]),
    "then another shape": lambda m: register(m, lambda x: x[:2], on=parametrized),
    "then another dtype": lambda m: register(m, lambda x: x.double(), on=parametrized),
    "then an inverse of another shape": lambda m: register(m, lambda x: x, lambda x: x[:2], on=parametrized),
    "no such name": lambda m: m.nn.utils.parametrize.register_parametrization(linear(m), "other", Tripled(m)),
    "not parametrized": lambda m: m.nn.utils.parametrize.remove_parametrizations(linear(m), "weight"),
    "pickled": lambda m: pickle.dumps(parametrized(m)),
    "more than there are": lambda m: m.nn.utils.prune.l1_unstructured(linear(m), "weight", amount=100),
    "less than none": lambda m: m.nn.utils.prune.l1_unstructured(linear(m), "weight", amount=-1),
    "more than all": lambda m: m.nn.utils.prune.l1_unstructured(linear(m), "weight", amount=1.5),
    "rows of a vector": lambda m: m.nn.utils.prune.ln_structured(linear(m), "bias", amount=1, n=2, dim=0),
    "not pruned": lambda m: m.nn.utils.prune.remove(linear(m), "weight"),
    "no spectral norm": lambda m: m.nn.utils.remove_spectral_norm(linear(m)),
    "two spectral norms": lambda m: m.nn.utils.spectral_norm(spectral(m)),
    "skipping of a function": lambda m: m.nn.utils.skip_init(m.nn.ReLU),
    "another number of heads": lambda m: m.nn.attention.flex_attention.flex_attention(
        m.tensor(HEADS[0]), m.tensor(HEADS[1][:, :1]), m.tensor(HEADS[2][:, :1])),
    "both backward hooks": lambda m: [kind(lambda *xs: None) for layer in [linear(m)] for kind in (
        layer.register_backward_hook, layer.register_full_backward_hook)],
    "no path": lambda m: linear(m).set_submodule("", m.nn.ReLU()),
    "no parent": lambda m: linear(m).set_submodule("a.b", m.nn.ReLU()),
    "no module": lambda m: linear(m).set_submodule("a", 3),
    "pairs that are none": lambda m: m.nn.ModuleDict([("a",)]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_torchs(name: str, numpy_engine: None) -> None:
    found = []
    for library in (torch, flambeau):
        with pytest.raises(Exception) as caught, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ERRORS[name](library)
        found.append((type(caught.value), str(caught.value)))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["uniform", "normal", "xavier_uniform", "kaiming_normal", "sparse"])
def test_older_names_of_initial_values(name: str) -> None:
    extra = (0.5,) if name == "sparse" else ()
    for m in (torch, flambeau):
        with pytest.warns(FutureWarning, match=f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`."):
            getattr(m.nn.init, name)(m.ones(4, 3), *extra)
