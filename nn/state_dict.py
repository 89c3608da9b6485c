"""Saving a module's tensors by path, and loading them: `state_dict` and `load_state_dict`.

As in torch each module of the tree is asked for its own part, by `_save_to_state_dict` and `_load_from_state_dict`, which
packages override to rename keys of older versions or to keep something else.
"""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..tracer.autograd.modes import no_grad
from ..tracer.ir.told import tell
from ..tracer.tensor.epochs import structure_epoch
from ..tracer.tensor.tensor import Tensor
from .compiled import original
from .parameter import UNKNOWN, Parameter, is_lazy

if TYPE_CHECKING:
    from .module import Module

EXTRA = "_extra_state"
ASSIGN = "assign_to_params_buffers"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """Which keys a module missed in a state dict, and which it had no place for."""

    def __repr__(self) -> str:
        return super().__repr__() if any(self) else "<All keys matched successfully>"

    __str__ = __repr__


def _defines(module: Module, name: str) -> bool:
    """Whether the class of a module, or a base of it, has a method instead of `Module`'s."""
    return getattr(type(module), name) is not getattr(_base(module), name)


def _base(module: Module) -> Any:
    return next(kind for kind in reversed(type(module).__mro__) if hasattr(kind, "get_extra_state"))


# --- Saving -----------------------------------------------------------------------------------------------------------


def collect(module: Module, destination: Any, prefix: str, keep_vars: bool) -> Any:
    """Add the tensors of the tree to `destination`; what a hook returns instead counts at the root."""
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    local = {"version": module._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = local
    _run(module, "state_dict_pre", prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    for hook in module._hooks.of("state_dict_post") if module._hooks is not None else ():
        changed = hook.call(module, destination, prefix, local)
        if changed is not None and not hook.replaces:
            raise RuntimeError("state_dict post-hook must return None")
        destination = destination if changed is None else changed
    return destination


def save_own(module: Module, destination: Any, prefix: str, keep_vars: bool) -> None:
    """Add the tensors of this module alone to `destination`."""
    for name, tensor in own_tensors(module).items():
        destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()
    if _defines(module, "get_extra_state"):
        destination[prefix + EXTRA] = module.get_extra_state()


def own_tensors(module: Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers of this module alone."""
    hidden = module._non_persistent_buffers_set
    there = [*module._parameters.items(), *((name, b) for name, b in module._buffers.items() if name not in hidden)]
    return {name: tensor for name, tensor in there if tensor is not None}


def _run(module: Module, kind: str, *args: Any) -> None:
    if module._hooks is not None:
        for hook in module._hooks.of(kind):
            hook.call(*([module] if hook.with_module else []), *args)


# --- Loading ----------------------------------------------------------------------------------------------------------


def load(module: Module, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> _IncompatibleKeys:
    """Load a tree; RuntimeError with torch's list of all that did not fit."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    given: Any = OrderedDict(state_dict)  # which the modules may change
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is not None:
        given._metadata = metadata
    keys, errors = _IncompatibleKeys([], []), list[str]()
    _load_tree(module, given, "", metadata or {}, assign, keys, errors)
    if strict:
        for what, names in (("Unexpected", keys.unexpected_keys), ("Missing", keys.missing_keys)):
            if names:
                errors.insert(0, f"{what} key(s) in state_dict: {', '.join(map(_quoted, names))}. ")
    if errors:
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors))
    return keys


def _quoted(key: str) -> str:
    return f'"{key}"'


def _load_tree(module: Module, given: Any, prefix: str, metadata: Mapping[str, Any], assign: bool, keys: _IncompatibleKeys,
               errors: list[str]) -> None:
    given = _of_handle(module, given, prefix)
    local = dict(metadata.get(prefix[:-1], {}))
    if assign:
        local[ASSIGN] = True
    module._load_from_state_dict(given, prefix, local, True, keys.missing_keys, keys.unexpected_keys, errors)
    for name, child in module._modules.items():
        if child is not None:
            below = f"{prefix}{name}."
            _load_tree(child, {k: v for k, v in given.items() if k.startswith(below)}, below, metadata, assign, keys, errors)
    for hook in module._hooks.of("load_post") if module._hooks is not None else ():
        if hook.call(module, _IncompatibleKeys(*keys)) is not None:
            raise AssertionError("Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                                 "values, if incompatible_keys need to be modified, it should be done inplace.")


def _of_handle(module: Module, given: Any, prefix: str) -> Any:
    """Keys that torch saved of a compiled module, which is a level of its own there, as those of the module itself."""
    level = f"{prefix}_orig_mod."
    if not any(key.startswith(level) for key in given) or original(module) is None:
        return given
    return OrderedDict((prefix + key.removeprefix(level) if key.startswith(level) else key, value)
                       for key, value in given.items())


def load_own(module: Module, given: Any, prefix: str, local: dict[str, Any], strict: bool, missing: list[str],
             unexpected: list[str], errors: list[str]) -> None:
    """Load this module alone; what does not fit is added to the lists."""
    _run(module, "load_pre", given, prefix, local, strict, missing, unexpected, errors)
    tensors = own_tensors(module)
    for name, tensor in tensors.items():
        key = prefix + name
        if key in given:
            errors.extend(_load_one(module, name, tensor, key, given[key], bool(local.get(ASSIGN))))
        elif strict:
            missing.append(key)
    extra = prefix + EXTRA
    defines = _defines(module, "set_extra_state")
    if defines and extra in given:
        module.set_extra_state(given[extra])
    elif strict and defines:
        missing.append(extra)
    if strict:
        unexpected.extend([extra] if extra in given and not defines else [])
        unexpected.extend(key for key in given if key.startswith(prefix) and key != extra
                          and not _is_known(module, tensors, key[len(prefix):]))


def _is_known(module: Module, tensors: dict[str, Tensor], key: str) -> bool:
    name, *rest = key.split(".", 1)
    return name in (module._modules if rest else tensors)


def _load_one(module: Module, name: str, tensor: Tensor, key: str, given: Any, assign: bool) -> list[str]:
    """Load one tensor; gives what did not fit."""
    if not isinstance(given, Tensor):
        return [f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint but '
                f"received {type(given)}"]
    if is_lazy(given) and not is_lazy(tensor):
        raise RuntimeError(UNKNOWN)
    if tensor.ndim == 0 and given._type.shape == (1,):
        given = given.reshape(())
    if given._type.shape != tensor._type.shape:
        return [f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, the shape in current "
                f"model is {tensor.shape}."]
    if assign:
        _assign(module, name, tensor, given)
    else:
        if tensor.is_meta and not given.is_meta:
            tell(f"for {key}: the module's tensor is on the device 'meta' and stays without contents. Pass assign=True "
                 "for those of the checkpoint in their place, or call to_empty(device=...) first.")
        with no_grad():
            tensor.copy_(given)
    return []


def _assign(module: Module, name: str, tensor: Tensor, given: Tensor) -> None:
    """Put a tensor of the state dict in place of the module's own."""
    if isinstance(tensor, Parameter):
        if isinstance(given, Parameter):
            given.requires_grad_(tensor._requires_grad)
        else:
            given = Parameter(given, tensor._requires_grad)
        module._parameters[name] = given
    else:
        module._buffers[name] = given
    structure_epoch[0] += 1
