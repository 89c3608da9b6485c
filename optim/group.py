"""`Group`: the options of a group of parameters, as a dict that a compiled step reads at each call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..tracer.jit.hyperparameters import is_there, names, option, setting
from ..tracer.tensor.context import context
from ..tracer.tensor.epochs import structure_epoch
from ..tracer.tensor.tensor import Tensor
from .state import Members


class Options(dict[str, Any]):
    """A dict. While a step is traced a number in it is an input of the program, anything else a guard; what the step
    sets in it is set at each call.
    """

    _tells = True  # a trace is told what is read of it, and need not look for itself

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(key) if context.trace is None else option(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """`self[key]` if it is there."""
        if key not in self:
            return default
        return self[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) if context.trace is None or type(key) is not str else is_there(self, key)

    def __iter__(self) -> Iterator[str]:  # without one of its own `dict(group)` and `{**group}` would read past it
        return super().__iter__() if context.trace is None else iter(names(self))

    def keys(self) -> Any:
        """Names of the options."""
        return super().keys() if context.trace is None else dict.fromkeys(names(self)).keys()

    def items(self) -> Any:
        """Options by name."""
        return super().items() if context.trace is None else {key: self[key] for key in names(self)}.items()

    def values(self) -> Any:
        """The options."""
        return super().values() if context.trace is None else {key: self[key] for key in names(self)}.values()

    def copy(self) -> dict[str, Any]:
        """The options as a plain dict."""
        return dict(self.items())

    def __setitem__(self, key: str, value: Any) -> None:
        setting(self, key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        setting(self, key)
        super().__delitem__(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several options."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """`self[key]`, set if it is not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """Take an option out."""
        value = self[key] if key in self or not default else default[0]
        setting(self, key)
        super().pop(key, None)
        return value

    def clear(self) -> None:
        """Take all options out."""
        for key in list(self):
            del self[key]

    def popitem(self) -> tuple[str, Any]:
        """Take the last option out."""
        key = list(self)[-1] if self else ""
        return key, self.pop(key)

    def __ior__(self, options: Any) -> Options:  # type: ignore[override, misc]
        self.update(options)
        return self


class Group(Options):
    """The options of a group of parameters, which are one of them.

    >>> import flambeau as torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    >>> scaled = torch.jit(lambda x: x * optimizer.param_groups[0]["lr"])
    >>> first, optimizer.param_groups[0]["lr"] = scaled(torch.ones(1)), 0.25
    >>> first, scaled(torch.ones(1)), scaled.stats.compiles
    (tensor([0.5000]), tensor([0.2500]), 1)
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self["params"] = options["params"]

    def __reduce__(self) -> tuple[Any, ...]:
        return Group, (dict(self),)

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "params":
            setting(self, key)
            value = Members(_as_list(value))
            structure_epoch[0] += 1
        super().__setitem__(key, value)


class Groups(Members):
    """The groups of an optimizer: a plain dict that is put in becomes a group."""

    def __init__(self, groups: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__(map(_group, groups))

    def __setitem__(self, at: Any, value: Any) -> None:
        super().__setitem__(at, map(_group, value) if isinstance(at, slice) else _group(value))

    def __iadd__(self, groups: Iterable[dict[str, Any]]) -> Groups:  # type: ignore[override, misc]
        self.extend(groups)
        return self

    def append(self, group: dict[str, Any]) -> None:
        """Add a group."""
        super().append(_group(group))

    def insert(self, at: Any, group: dict[str, Any]) -> None:
        """Add a group before another one."""
        super().insert(at, _group(group))

    def extend(self, groups: Iterable[dict[str, Any]]) -> None:
        """Add several groups."""
        super().extend(map(_group, groups))


def _group(options: dict[str, Any]) -> Group:
    return options if isinstance(options, Group) else Group(options)


def _as_list(params: Any) -> list[Any]:
    if isinstance(params, Tensor):
        return [params]
    if isinstance(params, set):
        raise TypeError("optimizer parameters need to be organized in ordered collections, but the ordering of tensors "
                        "in sets will change between runs. Please use a list instead.")
    return list(params)
