"""Parameters that are functions of others: https://pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.register_parametrization.html"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ...tracer.autograd.modes import no_grad
from ...tracer.tensor.context import context
from ...tracer.tensor.tensor import Tensor
from ..compiled import again, model_of, original
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

_kept: Any = None  # what was computed in the `cached()` block that is open, by module and name
SERIALIZED = ("Serialization of parametrized modules is only supported through state_dict(). See:\nhttps://pytorch.org/tutorials/"
              "beginner/saving_loading_models.html#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training")


_kept_by: Any = None  # the trace in which it was opened: in another one all is computed, and means nothing outside


def _is_open() -> bool:
    return _kept is not None and _kept_by is context.trace


@contextmanager
def cached() -> Iterator[None]:
    """A block in which every parametrized tensor is computed once, and kept until its end."""
    global _kept, _kept_by
    before, trace = (_kept, _kept_by), context.trace
    _kept, _kept_by = _kept if _is_open() else {}, trace
    try:
        yield
    finally:
        _kept, _kept_by = before


# --- One tensor -------------------------------------------------------------------------------------------------------


class ParametrizationList(ModuleList):
    """The functions that make a tensor, in the order they are applied, and the originals they start from.

    Args: `modules`, the functions; `original`, what the tensor is now; `unsafe`, whether shape and dtype may change.
    Attributes: `original`, or `original0`, `original1`, ... where the inverse of the first function gives several.
    Raises ValueError for functions that return no tensor, or change its shape or dtype.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.detach()
        start = self._inverted(original)
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if self.is_tensor:
            _check_kept("Registering a parametrization may not change the {what} of the tensor, unless `unsafe` flag is "
                        "enabled.", "unparametrized ", original, "parametrized ", start, unsafe, shape=False)
            with no_grad():
                if start is not original:
                    original.data = start.detach()
            self._register("original", original)
        else:
            for i, part in enumerate(start):
                if not isinstance(part, Tensor):
                    raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                                     f"element {i} of the sequence with type {type(part).__name__}.")
                made = Parameter(part.detach()) if isinstance(original, Parameter) else part.detach()
                self._register(f"original{i}", made.requires_grad_(original.requires_grad))
        if not unsafe:
            self._check(before)

    def _inverted(self, new: Any) -> Any:
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):
                        new = module.right_inverse(new)
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                             f"{type(new).__name__}")
        return new

    def _register(self, name: str, tensor: Tensor) -> None:
        if isinstance(tensor, Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)

    def _check(self, before: Tensor) -> None:
        """That the functions keep shape and dtype."""
        result = self()
        if not isinstance(result, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
        _check_kept("Registering a parametrization may not change the {what} of the tensor, unless `unsafe` flag is enabled.",
                    "unparametrized ", before, "parametrized ", result, False)

    def _originals(self) -> list[Tensor]:
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def forward(self) -> Tensor:
        """The tensor."""
        first, *rest = list(self)
        x = first(*self._originals())
        for module in rest:
            x = module(x)
        return x

    def right_inverse(self, value: Tensor) -> None:
        """Give the originals the values that make the tensor `value`."""
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
            values = [value] if self.is_tensor else list(value)
            if len(values) != self.ntensors:
                raise ValueError("'right_inverse' must return a sequence of tensors of length "
                                 f"{self.ntensors}. Got a sequence of length {len(values)}.")
            for original, new in zip(self._originals(), values):
                if not isinstance(new, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(new).__name__}")
                if original.dtype is not new.dtype:
                    raise ValueError(f"The tensor returned by `right_inverse` has dtype {new.dtype} while `original` has dtype "
                                     f"{original.dtype}")
                original.data = new.detach()


def _check_kept(text: str, name: str, before: Tensor, after_name: str, after: Tensor, unsafe: bool, shape: bool = True) -> None:
    for what in ("dtype", "shape") if shape else ("dtype",):
        old, new = getattr(before, what), getattr(after, what)
        if old != new and not unsafe:
            raise ValueError(f"{text.format(what=what)}\n{name}{what}: {old}\n{after_name}{what}: {new}")


# --- A module ---------------------------------------------------------------------------------------------------------


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Module:
    """Make a parameter or buffer of a module what a function gives of it: f(original) wherever it is read.

    Args: `module`; `tensor_name`, of the parameter or buffer; `parametrization`, a module that maps a tensor to another, and
    may have a `right_inverse`, which says what original makes a tensor; `unsafe`, whether shape and dtype may change.
    Returns the module, whose class is now a subclass, with `parametrizations.<name>.original` among its parameters. Several
    functions of one tensor are applied one after the other. Raises ValueError for a name that is not there, or a function
    that changes shape or dtype.

    >>> import flambeau as torch
    >>> class Exp(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.exp()
    >>> layer = torch.nn.utils.parametrize.register_parametrization(torch.nn.Linear(2, 2), "weight", Exp())
    >>> bool((layer.weight > 0).all())
    True

    Source: https://pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.register_parametrization.html
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        _append(module, tensor_name, parametrization, unsafe)
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        made = ParametrizationList([parametrization], original, unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _change_class(module)
            module.parametrizations = ModuleDict()
        setattr(type(model_of(module)), tensor_name, _property(tensor_name))
        module.parametrizations[tensor_name] = made
    else:
        raise ValueError(f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
                         f"'{tensor_name}'")
    return module


def _append(module: Module, name: str, parametrization: Module, unsafe: bool) -> None:
    listed = module.parametrizations[name]
    if not unsafe:
        with no_grad():
            before = getattr(module, name)
            after = parametrization(before)
            if not isinstance(after, Tensor):
                raise ValueError(f"A parametrization must return a tensor. Got {type(after).__name__}.")
            _check_kept("Registering a parametrization may not change the {what} of the tensor, unless the `unsafe` flag is "
                        "enabled.", f"module.{name}.", before, f"parametrization(module.{name}).", after, False)
            if hasattr(parametrization, "right_inverse"):
                _check_inverse(parametrization, name, after)
    listed.append(parametrization)
    listed.unsafe = listed.unsafe or unsafe


def _check_inverse(parametrization: Any, name: str, x: Tensor) -> None:
    try:
        back = parametrization.right_inverse(x)
    except NotImplementedError:
        return
    if not isinstance(back, Tensor):
        raise ValueError(f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}")
    if back.dtype is not x.dtype or back.shape != x.shape:
        what = "dtype" if back.dtype is not x.dtype else "shape"
        raise ValueError(f"The tensor returned by parametrization.right_inverse must have the same {what} as module.{name}, "
                         f"unless the `unsafe` flag is enabled.\nmodule.{name}.{what}: {getattr(x, what)}\nreturned {what}: "
                         f"{getattr(back, what)}")


def _refuse_pickle(self: Any) -> Any:
    raise RuntimeError(SERIALIZED)


def _copied(self: Any, memo: dict[int, Any]) -> Any:
    if original(self) is not None:
        made = memo[id(self)] = again(copy.deepcopy(self._compiled, memo))
        return made
    own: Any = type(self)
    made = memo[id(self)] = own.__new__(own)
    made.__setstate__({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
    made.__class__ = type(str(own.__name__), own.__bases__, dict(vars(own)))  # which may lose properties alone
    return made


def _change_class(module: Module) -> None:
    """Give the module a class of its own, on which properties can be."""
    kind = type(model_of(module))
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), {
        "__getstate__": _refuse_pickle, "__deepcopy__": _copied, "__module__": __name__, "__doc__": kind.__doc__})


def _property(name: str) -> property:
    def read(self: Any) -> Tensor:
        if not _is_open():
            return self.parametrizations[name]()
        key = (self._key, name)
        if key not in _kept:
            _kept[key] = self.parametrizations[name]()
        return _kept[key]

    def write(self: Any, value: Tensor) -> None:
        if _is_open():
            _kept.pop((self._key, name), None)
        self.parametrizations[name].right_inverse(value)

    return property(read, write)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or any, is a function of another."""
    found = module._modules.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a tensor an ordinary one again, with the value it has now, or that of its original unless `leave_parametrized`.

    Raises ValueError if it is not parametrized, or for an original that is several tensors.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    listed = module.parametrizations[tensor_name]
    if not listed.is_tensor and not leave_parametrized:
        raise ValueError("Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
                         "sequence of tensors.")
    if listed.is_tensor:
        tensor = listed.original
        if leave_parametrized:
            with no_grad():
                tensor.data = getattr(module, tensor_name).detach()
    else:
        made = getattr(module, tensor_name).detach()
        tensor = Parameter(made) if listed.original0.requires_grad else made
    delattr(type(model_of(module)), tensor_name)
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(model_of(module)).__bases__[0]
    if isinstance(tensor, Parameter):
        module.register_parameter(tensor_name, tensor)
    else:
        module.register_buffer(tensor_name, tensor)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that a module had before a tensor of it was parametrized."""
    kind = type(model_of(module))
    return kind.__bases__[0] if is_parametrized(module) else kind


def transfer_parametrizations_and_params(from_module: Module, to_module: Module, tensor_name: str | None = None) -> Module:
    """Give `to_module` the parametrizations of another, and their originals, of one tensor or of all."""
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        listed = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in listed:
            register_parametrization(to_module, name, parametrization, unsafe=listed.unsafe)
        target = to_module.parametrizations[name]
        for own, given in zip(target._originals(), listed._originals()):
            own.data = given.detach()
    return to_module
