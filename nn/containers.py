"""Modules that hold others: https://pytorch.org/docs/stable/nn.html#containers"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..tracer.ir.told import tell
from ..tracer.tensor.tensor import Tensor
from .module import Module, block, indented, typename
from .parameter import Parameter


def _position(index: Any, size: int) -> int:
    """An index counted from the front."""
    index = operator.index(index)
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of range")
    return index % size


class _Listed(Module):
    """Children named 0, 1, ... in order."""

    def _renumber(self, modules: Iterable[Module]) -> None:
        listed = list(modules)
        self._about_to_change()
        self._modules.clear()
        for i, module in enumerate(listed):
            self.add_module(str(i), module)

    def _name(self, index: Any) -> str:
        return list(self._modules)[_position(index, len(self))]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._name(index)]
        for name in names:
            delattr(self, name)
        self._renumber(m for m in self._modules.values() if m is not None)

    def append(self, module: Module) -> Self:
        """Add at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add before a position."""
        listed = list(self)
        listed.insert(index, module)
        self._renumber(listed)

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add several at the end."""
        for module in list(sequential):
            self.append(module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take one out."""
        found = self[key]  # type: ignore[index]
        del self[key]
        return found


class Sequential(_Listed):
    """Modules in a row: each is called with the result of the one before.

    y = f_n(... f_2(f_1(x)))

    Args: the modules one by one, or one OrderedDict of names and modules. Without names they are called "0", "1", ...
    It can be indexed, sliced (which gives a Sequential of the same modules), appended to, extended, and joined by `+`;
    a module that is assigned to a position takes the place of the old one. Takes what the first module takes, returns
    what the last one returns; the empty one returns its input. Raises IndexError for a position that is not there.

    >>> import flambeau as torch
    >>> torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Sequential.html
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self._renumber(args)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._name(index)]

    def __delitem__(self, index: int | slice) -> None:
        super().__delitem__(index)

    def insert(self, index: int, module: Module) -> Self:
        """Add before a position."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        super().insert(index, module)
        return self

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *self._added(other))

    def __iadd__(self, other: Sequential) -> Self:
        return self.extend(self._added(other))

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*list(self) * self._factor(other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        return self.extend(list(self) * (self._factor(other) - 1))

    def _added(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return other

    def _factor(self, other: Any) -> int:
        if not isinstance(other, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(other)}")
        if other <= 0:
            raise ValueError(f"Non-positive multiplication factor {other} for {type(self)}")
        return other

    def forward(self, input: Any) -> Any:
        """Each module on the result of the one before."""
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input


class ModuleList(_Listed):
    """A list of modules whose parameters belong to the module that the list is an attribute of, unlike those in a plain
    list.

    Args: `modules`, the first members, or none. It can be indexed, sliced, iterated over, appended to, extended, joined
    by `+`, inserted into and popped from; the members are named "0", "1", ... in the state dict, and are renumbered
    when one is taken out. It has no forward: the module around it says how its members are called. Raises IndexError
    for a position that is not there.

    >>> import flambeau as torch
    >>> layers = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(3))
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._modules[self._name(index)]

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError("ModuleList.extend should be called with an iterable, but got "
                            + type(modules).__name__)
        return super().extend(modules)

    def __repr__(self) -> str:
        return f"{self._get_name()}({block([f'({at}): {text}' for at, text in _runs([repr(m) for m in self])])})"


def _runs(texts: list[str]) -> Iterator[tuple[str, str]]:
    """Equal neighbours once, as torch prints them: ("0-2", "3 x Linear(...)")."""
    start = 0
    for end in range(1, len(texts) + 1):
        if end == len(texts) or texts[end] != texts[start]:
            text = indented(texts[start])
            count = end - start
            yield (f"{start}-{end - 1}", f"{count} x {text}") if count > 1 else (str(start), text)
            start = end


class ModuleDict(Module):
    """A dictionary of modules whose parameters belong to the module that it is an attribute of.

    Args: `modules`, a mapping of names to modules, or pairs of them, or none. Keys are strings, in the order in which
    they were added, and name the members in the state dict; there are `keys`, `values`, `items`, `update`, `pop` and
    `clear` as dictionaries have them. It has no forward: the module around it says which member is called. Raises
    KeyError for a name that is not there, TypeError for members that are no modules.

    >>> import flambeau as torch
    >>> heads = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 3), "b": torch.nn.Linear(2, 1)})
    >>> heads["b"](torch.ones(2)).shape
    torch.Size([1])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all out."""
        for key in list(self._modules):
            delattr(self, key)

    def pop(self, key: str) -> Any:
        """Take one out."""
        found = self[key]
        del self[key]
        return found

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def items(self) -> Any:
        """Names and modules."""
        return self._modules.items()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add from a mapping or from pairs."""
        if not isinstance(modules, Iterable):
            raise TypeError("ModuleDict.update should be called with an iterable of key/value pairs, but got "
                            + type(modules).__name__)
        if isinstance(modules, (Mapping, ModuleDict)):
            modules = modules.items()
        for i, pair in enumerate(modules):
            if not isinstance(pair, Iterable):
                raise TypeError(f"ModuleDict update sequence element #{i} should be Iterable; is{type(pair).__name__}")
            if len(pair) != 2:  # type: ignore[arg-type]
                raise ValueError(f"ModuleDict update sequence element #{i} has length {len(pair)}; 2 is required")  # type: ignore[arg-type]
            self[pair[0]] = pair[1]  # type: ignore[index]


class ParameterList(Module):
    """A list of parameters that belong to the module that the list is an attribute of.

    Args: `values`, the first members, or none; tensors that are no parameters are made parameters, which share their
    memory, and other values are kept as they are. It can be indexed, sliced, iterated over, appended to and extended;
    the members are named "0", "1", ... in the state dict.
    Raises IndexError for a position that is not there, TypeError for `extend` by one tensor.

    >>> import flambeau as torch
    >>> weights = torch.nn.ParameterList([torch.ones(2), torch.zeros(3)])
    >>> [name for name, _ in weights.named_parameters()]
    ['0', '1']

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ParameterList.html
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(len(self)))])
        return getattr(self, str(_position(index, len(self))))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, str(_position(index, len(self))), _as_parameter(value))

    def __iter__(self) -> Iterator[Any]:
        return iter(self[i] for i in range(len(self)))

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        """Add at the end."""
        self._size += 1
        self[-1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add several at the end."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(f"  ({i}): {_described(value, str(getattr(value, 'dtype', '')))}"
                         for i, value in enumerate(self))


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _described(value: Any, kind_name: str) -> str:
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    where = f" ({value.device})" if value._device != "cpu" else ""
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    shape = "x".join(map(str, value.shape))
    return f"{kind} containing: [{kind_name} of size {shape}{where}]"


class ParameterDict(Module):
    """A dictionary of parameters that belong to the module that it is an attribute of.

    Args: `parameters`, a mapping of names to tensors, or pairs of them, or none; tensors that are no parameters are
    made parameters, which share their memory, and other values are kept as they are. Keys are strings, in the order in
    which they were added, and name the members in the state dict; there are `get`, `keys`, `values`, `items`, `update`,
    `pop` and `clear` as dictionaries have them. Raises TypeError for a key that is no string.

    >>> import flambeau as torch
    >>> weights = torch.nn.ParameterDict({"scale": torch.ones(2)})
    >>> weights["scale"].requires_grad
    True

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ParameterDict.html
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, str(key))

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError("Index given to ParameterDict cannot be used as a key as it is not a string (type is "
                            f"'{type(key).__name__}'). Open an issue on github if you need non-string keys.")
        self._keys[key] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __or__(self, other: ParameterDict) -> ParameterDict:
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other: ParameterDict) -> ParameterDict:
        made = other.copy()
        made.update(self)
        return made

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self

    def copy(self) -> ParameterDict:
        """Another one with the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """One of them, or the default, which is then added."""
        if key not in self:
            self[key] = default
        return self[key]

    def popitem(self) -> tuple[str, Any]:
        """Take out the last one, with its name."""
        key = next(reversed(self))
        return key, self.pop(key)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """One with the names and the same value for each."""
        return ParameterDict((key, default) for key in keys)

    def get(self, key: str, default: Any = None) -> Any:
        """One of them, or the default."""
        return self[key] if key in self._keys else default

    def pop(self, key: str) -> Any:
        """Take one out."""
        found = self[key]
        del self[key]
        return found

    def clear(self) -> None:
        """Take all out."""
        for key in list(self._keys):
            del self[key]

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def items(self) -> Any:
        """Names and parameters."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Any:
        """The parameters."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Add from a mapping or from pairs. As in torch those of a plain mapping, a dict say, are sorted."""
        if not isinstance(parameters, Iterable):
            raise TypeError("ParametersDict.update should be called with an iterable of key/value pairs, but got "
                            + type(parameters).__name__)
        named: Iterable[Any] = parameters
        if isinstance(parameters, (OrderedDict, ParameterDict)):
            named = parameters.items()
        elif isinstance(parameters, Mapping):
            named = sorted(parameters.items(), key=operator.itemgetter(0))
        for key, value in named:
            self[key] = value

    def extra_repr(self) -> str:
        return "\n".join(f"  ({key}): {_described(value, typename(value))}" for key, value in self.items())


class Container(Module):
    """A module of named children, under torch's old name, with its warning; `Module` does all it did."""

    def __init__(self, **kwargs: Module) -> None:
        super().__init__()
        tell("`nn.Container` is deprecated. All of its functionality is now implemented in `nn.Module`. Subclass that "
             "instead.", FutureWarning)
        for name, module in kwargs.items():
            self.add_module(name, module)
