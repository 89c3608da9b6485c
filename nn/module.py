"""`Module`: https://pytorch.org/docs/stable/generated/torch.nn.Module.html"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

from ..tracer.autograd.hooks import RemovableHandle
from ..tracer.functions.operands import scalar_name
from ..tracer.guards.identity import Identity, comparable
from ..tracer.ir.state import state
from ..tracer.ir.told import tell
from ..tracer.tensor.context import context, inlined
from ..tracer.tensor.epochs import structure_epoch
from ..tracer.tensor.tensor import Tensor
from .compiled import Compilable, give_class, handles, of_jit
from .hook_tables import hook_table, is_full_backward_hook
from .hooks import EVERYWHERE, NONE, Hooks, add_hook, as_hooks_say, call_with_hooks, check_backward_kind
from .moving import Movable
from .parameter import Buffer, Parameter
from .registered import Registered
from .state_dict import _IncompatibleKeys, collect, load, load_own, save_own
from .torch_state import in_our_form

T = TypeVar("T")
_missing = object()


def _changed() -> None:
    """Tell compiled steps that some module's structure is another: their guards are looked at again."""
    structure_epoch[0] += 1


_REGISTERED = ("_parameters", "_buffers", "_modules")
_TABLES = frozenset({"_parameters", "_buffers", "_modules", "_hooks", "_non_persistent_buffers_set"})


class Module(Compilable, Movable):
    """The base of all models: a tree of modules with parameters and buffers at its nodes.

    A subclass calls `super().__init__()`, assigns its parts to attributes, and defines `forward`; calling the module
    calls `forward`, between the hooks that were registered. Parameters, buffers and modules that are assigned to
    attributes are registered under the attribute's name, so that `parameters()`, `state_dict()`, `to()`, `train()` and
    optimizers find them in the whole tree. A name in the state dict is the path to it, as "encoder.layers.0.weight".
    Raises AttributeError for parts assigned before `super().__init__()`, NotImplementedError without a `forward`.

    >>> import flambeau as torch
    >>> class Double(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(2, 2, bias=False)
    ...     def forward(self, x):
    ...         return 2 * self.layer(x)
    >>> [name for name, _ in Double().named_parameters()]
    ['layer.weight']

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Module.html
    """

    # Links to the parent are no part of a module's state: copies and pickles go without `_link` and `_path`.
    __slots__ = ("_link", "_path")

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Module | None]
    _hooks: Hooks | None
    _link: tuple[weakref.ref[Module], str] | None
    _path: tuple[int, str]
    dump_patches = False
    call_super_init = False
    T_destination = TypeVar("T_destination", bound=dict[str, Any])
    _version = 1
    forward: Callable[..., Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return cls._blank()

    @classmethod
    def _blank(cls) -> Self:
        made = object.__new__(cls)
        object.__setattr__(made, "_path", (-1, ""))
        for name in ("_link", "_compiled", "_handles"):
            object.__setattr__(made, name, None)
        object.__setattr__(made, "_key", id(made) >> 4)
        if context.trace is not None:
            context.trace.note_made(made.__dict__)
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.update(training=True, _parameters=Registered(), _buffers=Registered(), _non_persistent_buffers_set=set(),
                             _modules=Registered(), _hooks=None)
        _changed()

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[no-redef]
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    # --- Calling ------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._compiled is not None and not inlined():
            return self._compiled(*args, **kwargs)
        before = state.scope
        if context.trace is not None:
            context.trace.saw(self)
        epoch, path = self._path
        if epoch != structure_epoch[0]:
            path = self._find_path()
        if path:
            state.scope = path
        try:
            hooks = self.__dict__["_hooks"]
            if hooks is None and not EVERYWHERE.used:
                return self.forward(*args, **kwargs)
            return call_with_hooks(self, hooks or NONE, args, kwargs)
        finally:
            state.scope = before

    _call_impl = __call__  # also where a subclass has another __call__

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_call_impl" in cls.__dict__ and cls.__call__ is Module.__call__:
            cls.__call__ = Module._wrapped_call_impl  # type: ignore[method-assign]

    def _wrapped_call_impl(self, *args: Any, **kwargs: Any) -> Any:
        if self._compiled is not None and not inlined():
            return self._compiled(*args, **kwargs)
        return self._call_impl(*args, **kwargs)

    def _find_path(self) -> str:
        """Where the module is in its tree, as `blocks.3.attn`; '' for a root."""
        parent, name = self._parent()
        above = "" if parent is None else parent._find_path()
        path = "" if parent is None else f"{above}.{name}" if above else name
        object.__setattr__(self, "_path", (structure_epoch[0], path))
        return path

    def _parent(self) -> tuple[Module | None, str]:
        link = self._link
        if link is None:
            return None, ""
        parent, name = link[0](), link[1]
        there = None if parent is None else parent.__dict__.get("_modules", {}).get(name)
        return (parent, name) if there is not None and there.__dict__ is self.__dict__ else (None, "")

    def _adopt(self, child: Module, name: str) -> None:
        """Remember that `child` is here, unless it is in another place already."""
        for handle in handles(child):
            if handle._parent()[0] is None:
                object.__setattr__(handle, "_link", (weakref.ref(self), name))

    # --- Attributes ---------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Parameter):
            self._require_init(own, "parameters")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._require_init(own, "module")
            if name in own["_parameters"]:
                _require_none(value, "parameter", name, "torch.nn.Parameter or None")
            self._forget(name, "_modules")
            self._set_module(name, value)
        elif "_parameters" in own and not self._set_registered(own, name, value):
            self._set_plain(own, name, value)
        elif "_parameters" not in own:
            object.__setattr__(self, name, value)

    def _about_to_change(self, table: dict[str, Any] | None = None, name: str = "") -> None:
        """Tell the trace, which does this again at each call; `table[name]` may be set to what is there."""
        if context.trace is not None:
            context.trace.note_change(self, table, name)

    def _require_init(self, own: dict[str, Any], what: str) -> None:
        if "_parameters" not in own:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")

    def _set_registered(self, own: dict[str, Any], name: str, value: Any) -> bool:
        """Assign to a name that is registered; False if it is not."""
        if name in own["_parameters"]:
            _require_none(value, "parameter", name, "torch.nn.Parameter or None")
            self.register_parameter(name, None)
        elif name in own["_modules"]:
            _require_none(value, "child module", name, "torch.nn.Module or None")
            self._about_to_change()
            own["_modules"][name] = None
        elif name in own["_buffers"] or isinstance(value, Buffer):
            if value is not None and not isinstance(value, Tensor):
                _require_none(value, "buffer", name, "torch.nn.Buffer, torch.Tensor or None")
            if isinstance(value, Buffer):
                self._forget(name, "_buffers")
            if isinstance(value, Buffer) or EVERYWHERE.used or type(self).register_buffer is not Module.register_buffer:
                _register_again(self, name, value)
            else:
                self._about_to_change(own["_buffers"], name)
                own["_buffers"][name] = value
        else:
            return False
        _changed()
        return True

    def _set_plain(self, own: dict[str, Any], name: str, value: Any) -> None:
        self._about_to_change(own, name)
        if own.get(name, _missing) is not value:
            (give_class if name == "__class__" else object.__setattr__)(self, name, value)
            _changed()

    def _set_module(self, name: str, module: Module | None) -> None:
        module = as_hooks_say("module", self, name, module) if EVERYWHERE.used else module
        self._about_to_change()
        self._modules[name] = module
        _changed()
        if module is not None:
            self._adopt(module, name)

    def _forget(self, name: str, kept: str) -> None:
        """Remove other kinds of attribute of that name."""
        self._about_to_change()
        own = self.__dict__
        own.pop(name, None)
        for table in _REGISTERED:
            if table != kept:
                own[table].pop(name, None)
        own["_non_persistent_buffers_set"].discard(name)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for table in _REGISTERED:
            found = own.get(table)
            if found is not None and name in found:
                return found[name]
        return self._of_jit(name)

    def __delattr__(self, name: str) -> None:
        own = self.__dict__
        self._about_to_change()
        _changed()
        for table in _REGISTERED:
            if name in own.get(table, ()):
                del own[table][name]
                own["_non_persistent_buffers_set"].discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers,
                 *(of_jit() if self._compiled is not None else ())}
        return sorted(name for name in names if not name[0].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(in_our_form(saved))
        own = self.__dict__
        own.update((n, Registered(own[n])) for n in _REGISTERED if not isinstance(own.get(n), (Registered, type(None))))
        _changed()
        for name, child in self._modules.items():
            if child is not None:
                self._adopt(child, name)

    # --- Registering --------------------------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None reserves the name."""
        self._check_name(name, "parameter", "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or "
                            "None required)")
        self._about_to_change()
        self._parameters[name] = as_hooks_say("parameter", self, name, param) if EVERYWHERE.used and param is not None else param
        _changed()

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not trained; without `persistent` it is no part of the state dict."""
        self._check_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None "
                            "required)")
        self._about_to_change()
        self._buffers[name] = as_hooks_say("buffer", self, name, tensor) if EVERYWHERE.used and tensor is not None else tensor
        change = self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add
        change(name)
        _changed()

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child under a name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_name(name, "module", "_modules")
        self._set_module(name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """`add_module` under its other name."""
        self.add_module(name, module)

    def _check_name(self, name: str, what: str, table: str) -> None:
        if table not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {type(name).__name__}" if what != "module" else
                            f"module name should be a string. Got {type(name).__name__}")
        if name not in self.__dict__[table] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain "."' + (f", got: {name}" if what == "module" else ""))
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')

    # --- What a compiled step depends on ------------------------------------------------------------------------------

    def _snapshot(self, read: Callable[[type], frozenset[str] | None] | None = None, path: str = "") -> dict[str, Any]:
        """All that a trace of this module and its children took for given, by path, comparable with a later state of it.

        `read` names the attributes that code reads of modules of a class, None for all; others are left out.
        """
        own, kind = self.__dict__, type(self)
        used = None if read is None else read(kind)
        found: dict[str, Any] = {f"{path}{name}": comparable(value) for name, value in own.items()
                 if name not in _TABLES and (used is None or name in used)}
        found[f"{path}__class__"] = kind
        for name, x in (*own["_parameters"].items(), *own["_buffers"].items()):
            found[f"{path}{name}"] = None if x is None else (Identity(x), Identity(x._storage))
            found[f"{path}{name}.requires_grad"] = x is not None and x.requires_grad
        if len(names := (*own["_parameters"], *own["_buffers"], *own["_modules"])) > 1:
            found[f"{path}order()"] = names  # in which a loop meets them; parentheses, since no attribute is called so
        if own["_non_persistent_buffers_set"]:
            found[f"{path}_non_persistent_buffers_set"] = frozenset(own["_non_persistent_buffers_set"])
        if own["_hooks"] is not None or EVERYWHERE.used:
            found[f"{path}hooks()"] = (*(own["_hooks"] or NONE).key, *EVERYWHERE.key)
        for name, child in own["_modules"].items():
            found.update({f"{path}{name}": None} if child is None else child._snapshot(read, f"{path}{name}."))
        return found

    def _labels(self, known: dict[Any, str]) -> dict[Any, str]:
        """Names of the storages of all parameters and buffers."""
        tensors = [*self.named_parameters(), *self.named_buffers()]
        return {x._storage: name for name, x in tensors}

    def _called(self) -> Iterator[Callable[..., Any]]:
        """Functions of users that run with this module: its hooks."""
        hooks = self.__dict__.get("_hooks") or NONE
        return iter([hook.call for of in (hooks, EVERYWHERE) for table in of.tables.values() for hook in table.values()])

    def _parts(self) -> Iterator[Any]:
        """The modules whose structure is part of this one's."""
        return iter(m for m in self.modules() if m is not self)

    # --- Looking at the tree ------------------------------------------------------------------------------------------

    def named_modules(self, memo: set[Module] | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """All modules of the tree with their paths, this one first."""
        seen = set() if memo is None else memo
        count = len(seen)
        if remove_duplicate:
            seen.add(self)  # which tells by itself whether it was there: a module is hashed once, not twice
        if len(seen) == count and (remove_duplicate or self in seen):
            return
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(seen, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """All modules of the tree, this one first."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one, with their names."""
        seen = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules right below this one."""
        return (child for _, child in self.named_children())

    def _named_members(self, table: str, prefix: str, recurse: bool,
                       remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in getattr(module, table).items():
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield f"{path}.{name}" if path else name, member

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their paths."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their paths."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as `blocks.3.attn`."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a path; with `strict` there must be one already."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        path, _, name = target.rpartition(".")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def _get_member(self, target: str, table: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if name not in getattr(module, table):
            raise AttributeError(f"`{name}` is not {what}")
        return getattr(module, name)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path."""
        return self._get_member(target, "_parameters", "an nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path."""
        return self._get_member(target, "_buffers", "a buffer")

    # --- Changing all of it -------------------------------------------------------------------------------------------

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` on every module of the tree, children first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode in the whole tree: dropout and batch normalisation look at it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode in the whole tree."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether gradients are computed for the parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif (gradient := parameter.grad) is not None:
                gradient.detach().zero_()

    # --- State dict ---------------------------------------------------------------------------------------------------

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """All parameters and persistent buffers by path. They share the storages: clone what is to be kept."""
        if args:
            destination, prefix, keep_vars = _by_place(args, destination, prefix, keep_vars)
        return collect(self, destination, prefix, keep_vars)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Add what this module alone has to the state dict; for subclasses to define another way."""
        save_own(self, destination, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> _IncompatibleKeys:
        """Copy the contents of a state dict, or put its tensors in place of the own ones (`assign`).

        Returns missing and unexpected keys; with `strict` there must be none. Raises RuntimeError with all that
        does not fit.
        """
        return load(self, state_dict, strict, assign)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], strict: bool,
                              missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str]) -> None:
        """Load what this module alone has; for subclasses to define another way, for state dicts of older versions say."""
        load_own(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

    def get_extra_state(self) -> Any:
        """What else goes into the state dict; for subclasses to define."""
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave; for subclasses to define."""
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called.")

    # --- Hooks --------------------------------------------------------------------------------------------------------

    _forward_pre_hooks, _forward_pre_hooks_with_kwargs = hook_table("forward_pre"), hook_table("forward_pre", "with_kwargs")
    _forward_hooks, _forward_hooks_with_kwargs = hook_table("forward"), hook_table("forward", "with_kwargs")
    _forward_hooks_always_called = hook_table("forward", "always_call")
    _backward_pre_hooks, _backward_hooks = hook_table("backward_pre"), hook_table("backward")
    _is_full_backward_hook = is_full_backward_hook
    _state_dict_pre_hooks, _state_dict_hooks = hook_table("state_dict_pre"), hook_table("state_dict_post")
    _load_state_dict_pre_hooks, _load_state_dict_post_hooks = hook_table("load_pre"), hook_table("load_post")

    def _add_hook(self, kind: str, hook: Callable[..., Any], prepend: bool = False, **flags: bool) -> RemovableHandle:
        self._about_to_change()
        if self._hooks is None:
            self.__dict__["_hooks"] = Hooks()
        _changed()
        return add_hook(self, kind, hook, prepend, **flags)

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False,
                                  with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns, if not None, replaces the arguments."""
        return self._add_hook("forward_pre", hook, prepend, with_kwargs=with_kwargs)

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns, if not None, replaces the output."""
        return self._add_hook("forward", hook, prepend, with_kwargs=with_kwargs, always_call=always_call)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the backward; what it returns, if not None, replaces `grad_output`."""
        return self._add_hook("backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` after it; what it returns, if not None, replaces `grad_input`."""
        check_backward_kind(self._hooks, True)
        return self._add_hook("backward", hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """`register_full_backward_hook` in torch's older form, which cannot be mixed with it."""
        check_backward_kind(self._hooks, False)
        return self._add_hook("backward", hook, full=False)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before the state dict is collected."""
        return self._add_hook("state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` on the collected state dict."""
        return self._add_hook("state_dict_post", hook)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As `register_state_dict_post_hook`; what the hook returns, if not None, is the state dict (torch's older form)."""
        return self._add_hook("state_dict_post", hook, replaces=True)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing, unexpected, errors)` first."""
        return self._add_hook("load_pre", hook)

    def _register_load_state_dict_pre_hook(self, hook: Callable[..., Any], with_module: bool = False) -> RemovableHandle:
        """As `register_load_state_dict_pre_hook`; without `with_module` the hook is not given the module."""
        return self._add_hook("load_pre", hook, with_module=with_module)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading."""
        return self._add_hook("load_post", hook)

    # --- Printing -----------------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return self.__class__.__name__

    def extra_repr(self) -> str:
        """What is printed between the parentheses; for subclasses to define."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr().split("\n") if self.extra_repr() else []
        children = [f"({name}): " + indented(repr(child)) for name, child in self._modules.items()]
        if len(extra) == 1 and not children:
            return f"{self._get_name()}({extra[0]})"
        return f"{self._get_name()}({block([*extra, *children])})"


def indented(text: str) -> str:
    """The lines after the first moved right by two."""
    return text.replace("\n", "\n  ")


def _addindent(s_: str, numSpaces: int) -> str:
    return s_.replace("\n", "\n" + " " * numSpaces)


def block(lines: list[str]) -> str:
    """Lines indented between two line ends; nothing for none."""
    return "\n  " + "\n  ".join(lines) + "\n" if lines else ""


def typename(value: Any) -> str:
    """What torch calls the type of a value in its messages."""
    if isinstance(value, Tensor):
        return f"torch.{scalar_name(value.dtype)}Tensor"
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _by_place(args: tuple[Any, ...], destination: Any, prefix: str, keep_vars: bool) -> tuple[Any, str, bool]:
    """The arguments of `state_dict`, of which some were given by place, as was torch's custom once."""
    tell("Positional args are being deprecated, use kwargs instead. Refer to https://pytorch.org/docs/main/generated"
         "/torch.nn.Module.html#torch.nn.Module.state_dict for details.", FutureWarning)
    return (args[0] if destination is None else destination, args[1] if len(args) > 1 and prefix == "" else prefix,
            args[2] if len(args) > 2 and keep_vars is False else keep_vars)


def _register_again(module: Module, name: str, value: Any) -> None:
    """Register a buffer that is assigned, by a method that may know nothing of `persistent`."""
    persistent = value.persistent if isinstance(value, Buffer) else name not in module._non_persistent_buffers_set
    if "persistent" in inspect.signature(module.register_buffer).parameters:
        module.register_buffer(name, value, persistent)
    elif persistent:
        module.register_buffer(name, value)
    else:
        raise RuntimeError("Registering a non-persistent buffer on a Module subclass that implements register_buffer() "
                           "without the persistent argument is not allowed.")


def _require_none(value: Any, what: str, name: str, expected: str) -> None:
    if value is not None:
        raise TypeError(f"cannot assign '{typename(value)}' as {what} '{name}' ({expected} expected)")
