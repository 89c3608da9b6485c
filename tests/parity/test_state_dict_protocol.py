"""What modules of packages do to state dicts, against torch: overridden parts, hooks of both forms, versions, metadata."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

LIBRARIES = {"ours": flambeau, "jitted": flambeau, "torch": torch}


class Renames:
    """Loads a parameter under its older name."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        old = prefix + "kernel"
        if old in state_dict:
            state_dict[prefix + "weight"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)  # type: ignore[misc]


class Versions:
    """Notes what it is told of what it loads."""

    _version = 3

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, strict: Any, missing_keys: Any,
                              unexpected_keys: Any, error_msgs: Any) -> None:
        self.told = (sorted(state_dict), prefix, dict(local_metadata), strict)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys,  # type: ignore[misc]
                                      unexpected_keys, error_msgs)
        missing_keys.append(prefix + "told")
        error_msgs.append("told")


class Transposes:
    """Keeps its weight transposed, and a number beside it."""

    scale = 2

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)  # type: ignore[misc]
        destination[prefix + "weight"] = destination[prefix + "weight"].T
        destination[prefix + "scale"] = self.scale

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        self.scale = state_dict.pop(prefix + "scale", 1)
        if prefix + "weight" in state_dict:
            state_dict[prefix + "weight"] = state_dict[prefix + "weight"].T
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[misc]


class Nothing:
    """Has no part in state dicts at all."""

    def _save_to_state_dict(self, *args: Any) -> None:
        pass

    def _load_from_state_dict(self, *args: Any) -> None:
        pass


class Drops:
    """Takes no part of what does not fit, as models with another head do."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        key = prefix + "weight"
        if key in state_dict and state_dict[key].shape != self.weight.shape:  # type: ignore[attr-defined]
            state_dict[key] = self.weight  # type: ignore[attr-defined]
        super()._load_from_state_dict(state_dict, prefix, *args)  # type: ignore[misc]


class OwnStateDict:
    """Overrides the public methods, as wrappers do."""

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        return super().state_dict(destination=destination, prefix=prefix + "wrapped.", keep_vars=keep_vars)  # type: ignore[misc]


MIXINS = (Renames, Versions, Transposes, Nothing, Drops, OwnStateDict)


def model_of(library: str, mixin: type, hook: Callable[[Any], Any] | None = None) -> Any:
    """A tree with a layer of that kind at the root's child, inside it, and a batch norm beside."""
    t = LIBRARIES[library]
    kind = type(mixin.__name__, (mixin, t.nn.Linear), {})
    layer = kind(2, 3)
    with t.no_grad():
        layer.weight.copy_(t.arange(6.0).reshape(3, 2))
        layer.bias.fill_(1)
    if hook is not None:
        hook(layer)
    layer.inner = kind(1, 1)
    with t.no_grad():
        layer.inner.weight.fill_(5)
        layer.inner.bias.fill_(6)
    model = t.nn.Sequential(t.nn.BatchNorm1d(2), flambeau.jit(layer) if library == "jitted" else layer)
    return flambeau.jit(model) if library == "jitted" else model


def contents(state: Any) -> Any:
    return [(k, v.tolist() if hasattr(v, "tolist") else v) for k, v in state.items()]


def attempt(action: Callable[[], Any]) -> Any:
    try:
        return repr(action())
    except Exception as error:
        return type(error).__name__, str(error)


def everything(library: str, mixin: type, change: Callable[[Any, Any], None], **how: Any) -> Any:
    """Save a model, change that, load it into the model again; all that can be seen of it."""
    t = LIBRARIES[library]
    model = model_of(library, mixin)
    state = model.state_dict()
    before = contents(state), [(k, dict(v)) for k, v in state._metadata.items()]
    change(state, t)
    given = attempt(lambda: model.load_state_dict(state, **how))
    layers = [m for m in model.modules() if isinstance(m, mixin)]
    told = [(getattr(m, "told", None), getattr(m, "scale", None), m.weight.tolist(), m.bias.tolist()) for m in layers]
    return before, given, told, sorted(state), contents(model.state_dict())


def older(state: Any, t: Any) -> None:
    """As an older version would have saved it."""
    for key in list(state):
        if key.endswith("1.weight"):
            state[key[:-len("weight")] + "kernel"] = state.pop(key) + 10


def without_metadata(state: Any, t: Any) -> None:
    del state._metadata
    state.pop("0.num_batches_tracked")


def another_version(state: Any, t: Any) -> None:
    for meta in state._metadata.values():
        meta["version"] = 1
    state.pop("0.num_batches_tracked")


CHANGES: dict[str, Callable[[Any, Any], None]] = {
    "as it is": lambda state, t: None, "older": older, "without metadata": without_metadata, "another version": another_version,
    "without a count": lambda state, t: state.pop("0.num_batches_tracked"),
    "another shape": lambda state, t: state.update({"1.weight": t.zeros(4, 4)}),
    "missing": lambda state, t: [state.pop(k) for k in list(state) if k.endswith("bias")],
    "unexpected": lambda state, t: state.update({"1.more": t.ones(1), "1.inner.more.x": t.ones(1), "nowhere": t.ones(1)}),
    "a number": lambda state, t: state.update({"1.bias": 3}),
}
HOW: dict[str, dict[str, Any]] = {"strict": {}, "not strict": {"strict": False}, "assign": {"assign": True}}


@pytest.mark.parametrize("library", ["ours", "jitted"])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mixin", MIXINS)
def test_overridden(mixin: type, change: str, how: str, library: str) -> None:
    assert everything(library, mixin, CHANGES[change], **HOW[how]) == everything("torch", mixin, CHANGES[change], **HOW[how])


HOOKS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "older load hook": lambda m, log: m._register_load_state_dict_pre_hook(
        lambda state, prefix, meta, strict, missing, unexpected, errors: (
            log.append((sorted(state), prefix, meta, strict)), state.pop(prefix + "bias"), errors.append("no"))),
    "older load hook with the module": lambda m, log: m._register_load_state_dict_pre_hook(
        lambda module, state, prefix, *rest: log.append((type(module).__name__, sorted(state), prefix)), with_module=True),
    "load hook": lambda m, log: m.register_load_state_dict_pre_hook(
        lambda module, state, prefix, meta, *rest: log.append((type(module).__name__, sorted(state), prefix, meta))),
    "older save hook": lambda m, log: m._register_state_dict_hook(
        lambda module, state, prefix, meta: OrderedDict((k, v) for k, v in state.items() if "bias" not in k)),
    "older save hook that changes": lambda m, log: m._register_state_dict_hook(
        lambda module, state, prefix, meta: log.append((meta, state.pop(prefix + "bias").tolist()))),
    "save hook that returns": lambda m, log: m.register_state_dict_post_hook(lambda *args: 3),
    "load hook that returns": lambda m, log: m.register_load_state_dict_post_hook(lambda *args: 3),
    "pre hook": lambda m, log: m.register_state_dict_pre_hook(lambda module, prefix, keep: log.append((prefix, keep))),
}


@pytest.mark.parametrize("library", ["ours", "jitted"])
@pytest.mark.parametrize("at_root", [False, True])
@pytest.mark.parametrize("name", HOOKS)
def test_hooks(name: str, at_root: bool, library: str) -> None:
    def run(library: str) -> Any:
        log: list[Any] = []
        model = model_of(library, Renames, lambda layer: HOOKS[name](layer, log))
        model = model[1] if at_root else model
        saved = attempt(lambda: contents(model.state_dict()))
        plain = model_of(library, Renames)
        state = (plain[1] if at_root else plain).state_dict()
        return saved, attempt(lambda: model.load_state_dict(state, strict=False)), log, contents(state)

    assert run(library) == run("torch")


@pytest.mark.parametrize("library", ["ours", "jitted"])
def test_destinations(library: str) -> None:
    def run(library: str) -> Any:
        model = model_of(library, Nothing)
        plain: dict[str, Any] = {"there": 1}
        given = model.state_dict(destination=plain, prefix="p.", keep_vars=True)
        return (given is plain, list(plain), hasattr(plain, "_metadata"),
                [v.requires_grad for k, v in plain.items() if k != "there"])

    assert run(library) == run("torch")
