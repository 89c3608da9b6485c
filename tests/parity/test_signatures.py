"""What torch has written in Python is called here with the same names of arguments, in the same order."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import flambeau

torch = pytest.importorskip("torch")

SPACES = [
    "", "accelerator", "amp", "autograd", "autograd.forward_ad", "autograd.functional", "autograd.graph", "backends", "compiler",
    "cpu", "cuda", "cuda.amp", "distributed", "distributions", "fft", "func", "hub", "linalg", "masked", "nn", "nn.attention",
    "nn.functional", "nn.init", "nn.parallel", "nn.utils", "nn.utils.parametrizations", "nn.utils.parametrize", "nn.utils.prune",
    "nn.utils.rnn", "optim", "optim.lr_scheduler", "optim.swa_utils", "serialization", "signal.windows", "special", "testing",
    "utils", "utils.checkpoint", "utils.data",
]
APART = {
    "torch.nn.modules.rnn.RNNCellBase",  # no class for users
    "torch._functorch.eager_transforms.jacrev",  # an argument of torch's own use
    "torch.futures.Future",  # nothing is waited for here
    "torch.storage.TypedStorage", "torch.storage.TypedStorage.is_pinned",  # tells of a tensor's memory, is not made of its own
    "torch.autograd.grad_mode.enforce_grad_layout_policy",  # changes nothing here
    "torch.compiler.nested_compile_region",  # changes nothing: a step is one program
}


def described(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def pairs(space: str) -> Iterator[tuple[str, Any, Any]]:
    """Functions, constructors and methods that torch has in Python, beside ours, by the path under which torch made them."""
    ours, theirs = (importlib.import_module(f"{lib}.{space}".rstrip(".")) for lib in ("flambeau", "torch"))
    for name in dir(theirs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mine, yours = getattr(ours, name, None), getattr(theirs, name)
        if name.startswith("_") or mine is None or not getattr(yours, "__module__", "").startswith("torch"):
            continue
        path = f"{yours.__module__}.{getattr(yours, '__qualname__', name)}"
        if inspect.isfunction(yours):
            yield path, mine, yours
        elif inspect.isclass(yours):
            if inspect.isfunction(yours.__init__):
                yield path, mine, yours
            for attribute, method in vars(yours).items():
                method = method.__func__ if isinstance(method, (classmethod, staticmethod)) else method
                own = inspect.getattr_static(mine, attribute, None)
                own = own.__func__ if isinstance(own, (classmethod, staticmethod)) else own
                if inspect.isfunction(method) and callable(own) and not attribute.startswith("_"):
                    yield f"{path}.{attribute}", own, method


def differences(ours: inspect.Signature, theirs: inspect.Signature) -> list[str]:
    """What a call by torch's signature would fail with here."""
    mine, yours = list(ours.parameters.values()), list(theirs.parameters.values())
    kinds = {p.kind for p in mine}
    takes = {p.name for p in mine if p.kind not in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    named = [p.name for p in yours if p.kind not in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL, p.VAR_KEYWORD)
             and not p.name.startswith("_") and p.name != "self"]
    lacking = [] if inspect.Parameter.VAR_KEYWORD in kinds else [name for name in named if name not in takes]
    places = [[p.name for p in side if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)] for side in (mine, yours)]
    first = bool(places[1]) and places[1][0] == "self"  # the tensor has a name of its own in our functions
    known = [name for name in places[1] if name in takes and name != "out"]
    moved = [] if inspect.Parameter.VAR_POSITIONAL in kinds else [
        name for at, name in enumerate(known)
        if at >= first and name in places[0] and places[0].index(name) != places[1].index(name)]
    return [f"lacks {name}" for name in lacking] + [f"has {name} elsewhere" for name in moved]


def test_arguments_have_torchs_names_and_places() -> None:
    found, compared = {}, set()
    for space in SPACES:
        for path, mine, yours in pairs(space):
            signatures = described(mine), described(yours)
            if path in APART or path in compared or None in signatures:
                continue
            compared.add(path)
            wrong = differences(*signatures)  # type: ignore[arg-type]
            if wrong:
                found[path] = wrong
    assert not found
    assert len(compared) > 1000, len(compared)


# --- What such an argument does ---------------------------------------------------------------------------------------


def gradient(t: Any, **options: Any) -> Any:
    a, b, unused = (t.tensor([1.0, 2.0, 3.0][:n]).requires_grad_() for n in (3, 2, 1))
    inputs = options.pop("inputs", lambda a, b, unused: [a, b])(a, b, unused)
    return t.autograd.grad([a.sin().sum() * b, a * b[0]], inputs, options.pop("cotangents")(t), **options)


CALLS: dict[str, Any] = {
    "split": lambda t: t.arange(6.0).split(split_size=4),
    "split into": lambda t: t.arange(6.0).view(2, 3).split(split_size=[1, 2], dim=1),
    "modules": lambda t: len(list(t.nn.Sequential(*[t.nn.ReLU()] * 2).modules(remove_duplicate=False))),
    "extend": lambda t: len(t.nn.Sequential().extend(sequential=[t.nn.ReLU(), t.nn.ReLU()])),
    "l1": lambda t: [t.nn.functional.l1_loss(t.arange(3.0), t.ones(3), reduction=r, weight=t.tensor([1.0, 2.0, 4.0]))
                     for r in ("none", "sum", "mean")],
    "huber": lambda t: [t.nn.functional.huber_loss(t.arange(3.0), t.full((3,), 0.5), reduction=r,
                                               weight=t.tensor([1.0, 2.0, 4.0]))
                        for r in ("none", "sum", "mean")],
    "l1 of another size": lambda t: t.nn.functional.l1_loss(t.ones(2), t.ones(2), weight=t.ones(1)),
    "batched": lambda t: gradient(t, is_grads_batched=True, cotangents=lambda t: [t.arange(8.0).view(4, 2), t.ones(4, 3)]),
    "batched and unused": lambda t: gradient(
        t, is_grads_batched=True, inputs=lambda a, b, unused: [b, unused], materialize_grads=True,
        cotangents=lambda t: [t.arange(4.0).view(2, 2), t.ones(2, 3)])[0],
    "a dict": lambda t: gradient(t, inputs=lambda a, b, unused: {"a": a, "b": b}, cotangents=lambda t: [t.ones(2), t.ones(3)]),
    "no inputs": lambda t: gradient(t, inputs=lambda *all: [], cotangents=lambda t: [t.ones(2), t.ones(3)]),
    "two wishes": lambda t: gradient(t, materialize_grads=True, allow_unused=False, cotangents=lambda t: None),
    "backward to nothing": lambda t: t.autograd.backward(t.ones(1, requires_grad=True), inputs=[]),
    "twice the same": lambda t: t.autograd.backward(t.ones(1, requires_grad=True), t.ones(1), grad_variables=t.ones(1)),
    "not only inputs": lambda t: gradient(t, only_inputs=False, cotangents=lambda t: [t.ones(2), t.ones(3)]),
    "from_dlpack": lambda t: t.from_dlpack(t.arange(3), device="cpu", copy=True),
}


def outcome(t: Any, call: Any) -> Any:
    """The result as lists, or the error; with what was warned of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = call(t)
        except Exception as error:
            found = type(error), str(error)

    def plain(x: Any) -> Any:
        if isinstance(x, t.Tensor):
            return [round(v, 5) for v in x.flatten().tolist()], tuple(x.shape)
        if isinstance(x, dict):
            return {name: plain(item) for name, item in x.items()}
        return [plain(item) for item in x] if isinstance(x, (list, tuple)) else x

    return plain(found), [(w.category, str(w.message)) for w in told]


@pytest.mark.parametrize("name", CALLS)
def test_what_an_argument_does_is_torchs(name: str, numpy_engine: None) -> None:
    assert outcome(flambeau, CALLS[name]) == outcome(torch, CALLS[name])
