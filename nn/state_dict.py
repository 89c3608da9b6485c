"""Saving a module's tensors by path, and loading them: `state_dict` and `load_state_dict`."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..tracer.autograd.modes import no_grad
from ..tracer.tensor.epochs import structure_epoch
from ..tracer.tensor.tensor import Tensor
from .parameter import Parameter

if TYPE_CHECKING:
    from .module import Module

EXTRA = "_extra_state"


class Loading(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """Which keys a module missed in a state dict, and which it had no place for."""

    def __repr__(self) -> str:
        return super().__repr__().replace(type(self).__name__, "_IncompatibleKeys") if any(self) else \
            "<All keys matched successfully>"

    __str__ = __repr__


def _has_extra(module: Module) -> bool:
    return type(module).get_extra_state is not _base(module).get_extra_state


def _base(module: Module) -> Any:
    return next(kind for kind in reversed(type(module).__mro__) if hasattr(kind, "get_extra_state"))


def _metadata(module: Module) -> dict[str, Any]:
    return {"version": module._version}


# --- Saving -----------------------------------------------------------------------------------------------------------


def collect(module: Module, destination: Any, prefix: str, keep_vars: bool) -> Any:
    """Add the tensors of the tree to `destination`."""
    if not hasattr(destination, "_metadata"):
        destination = destination if isinstance(destination, OrderedDict) else OrderedDict(destination)
        destination._metadata = OrderedDict()
    local = destination._metadata[prefix[:-1]] = _metadata(module)
    _run(module, "state_dict_pre", prefix, keep_vars)
    for name, tensor in own_tensors(module).items():
        if tensor is not None:
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
    if _has_extra(module):
        destination[prefix + EXTRA] = module.get_extra_state()
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    _run(module, "state_dict_post", destination, prefix, local)
    return destination


def own_tensors(module: Module) -> dict[str, Tensor | None]:
    """Parameters and persistent buffers of this module alone, None for those that are not there."""
    hidden = module._non_persistent_buffers_set
    return {**module._parameters, **{name: b for name, b in module._buffers.items() if name not in hidden}}


def _run(module: Module, kind: str, *args: Any) -> None:
    if module._hooks is not None:
        for hook in module._hooks.of(kind):
            hook.call(module, *args)


# --- Loading ----------------------------------------------------------------------------------------------------------


@dataclass
class Progress:
    """A state dict being loaded, and what did not fit."""

    given: dict[str, Any]
    strict: bool
    assign: bool
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def load(module: Module, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> Loading:
    """Load a tree; RuntimeError with torch's list of all that did not fit."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    progress = Progress(dict(state_dict), strict, assign)
    _load_tree(module, "", progress)
    errors = list(progress.errors)
    if strict:
        for what, keys in (("Unexpected", progress.unexpected), ("Missing", progress.missing)):
            if keys:
                errors.insert(0, f"{what} key(s) in state_dict: {', '.join(map(_quoted, keys))}. ")
    if errors:
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors))
    return Loading(progress.missing, progress.unexpected)


def _quoted(key: str) -> str:
    return f'"{key}"'


def _load_tree(module: Module, prefix: str, progress: Progress) -> None:
    _run(module, "load_pre", progress.given, prefix, _metadata(module), progress.strict, progress.missing,
         progress.unexpected, progress.errors)
    for name, tensor in own_tensors(module).items():
        if tensor is not None:
            _load_one(module, name, tensor, prefix + name, progress)
    _load_extra(module, prefix + EXTRA, progress)
    progress.unexpected.extend(key for key in progress.given if _is_unexpected(module, prefix, key))
    for name, child in module._modules.items():
        if child is not None:
            _load_tree(child, f"{prefix}{name}.", progress)
    _run(module, "load_post", Loading(progress.missing, progress.unexpected))


def _load_extra(module: Module, key: str, progress: Progress) -> None:
    if _has_extra(module):
        if key in progress.given:
            module.set_extra_state(progress.given[key])
        else:
            progress.missing.append(key)
    elif key in progress.given:
        progress.unexpected.append(key)


def _is_unexpected(module: Module, prefix: str, key: str) -> bool:
    if not key.startswith(prefix) or key == prefix + EXTRA:
        return False
    name, *rest = key[len(prefix):].split(".", 1)
    return module._modules.get(name) is None and name not in own_tensors(module) if not rest else \
        module._modules.get(name) is None


def _load_one(module: Module, name: str, tensor: Tensor, key: str, progress: Progress) -> None:
    if key not in progress.given:
        progress.missing.append(key)
        return
    given = progress.given[key]
    if not isinstance(given, Tensor):
        progress.errors.append(f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                               f"object from checkpoint but received {type(given)}")
        return
    if tensor.ndim == 0 and given._type.shape == (1,):
        given = given.reshape(())
    if given._type.shape != tensor._type.shape:
        progress.errors.append(f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, "
                               f"the shape in current model is {tensor.shape}.")
        return
    if progress.assign:
        _assign(module, name, tensor, given)
    else:
        with no_grad():
            tensor.copy_(given)


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
