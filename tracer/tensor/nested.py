"""Arguments and results of a traced function: nested containers taken apart and put together again."""

from __future__ import annotations

import dataclasses
import sys
from collections import OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Set
from enum import Enum
from types import MemberDescriptorType, SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

from ..ir.source import is_library, is_ours
from .appended import BASES


class Attribute:
    """The name of an attribute of what holds items, too: no key or index of theirs is equal to it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return type(other) is Attribute and other.name == self.name

    def __hash__(self) -> int:
        return hash((Attribute, self.name))

    def __repr__(self) -> str:
        return f".{self.name}"


def children(x: Any, objects: bool = False) -> tuple[Any, dict[Any, Any]] | None:
    """The kind of a container and what it holds, by index, key or name; None for a leaf.

    Containers are lists, tuples, named tuples, deques, dicts and dataclass instances (with attributes that are no fields);
    with `objects` also sets, whose members are their own keys, instances of users' classes that are no more than their
    attributes, and of users' classes of lists, tuples and deques. These, and dicts, then hold their attributes, too, each under
    an `Attribute`.
    """
    kind = type(x)
    if kind in (list, tuple, deque):
        return kind, dict(enumerate(x))
    if kind in BASES:
        return BASES[kind], dict(enumerate(x))
    if kind is set:
        return (kind, {member: member for member in x}) if objects else None
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return kind, dict(zip(x._fields, x)) | vars_of(x)
    if isinstance(x, dict):
        return dict, dict(x) if not objects or kind is dict else dict(_base_of(kind).items(x)) | attributes_of(x)
    if objects and holds_items(kind):
        return kind, {**dict(enumerate(_base_of(kind).__iter__(x))), **attributes_of(x)}
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return kind, {f.name: getattr(x, f.name) for f in dataclasses.fields(x) if hasattr(x, f.name)} | vars_of(x)
    if objects and is_open(kind):
        return kind, dict(vars_of(x))
    return None


def item(x: Any, key: Any) -> Any:
    """What `children(x, objects=True)` has under a key; LookupError, TypeError or AttributeError if there is none."""
    if type(key) is Attribute:
        return getattr(x, key.name)
    if isinstance(x, dict) or (isinstance(x, (list, tuple, deque)) and type(key) is int):
        return _base_of(type(x)).__getitem__(x, key)
    own = vars_of(x)
    return own[key] if key in own else getattr(x, key)


def attributes_of(x: Any) -> dict[Any, Any]:
    """What a container has beside its items."""
    found: dict[Any, Any] = {} if vars_of(x) is x else {Attribute(name): value for name, value in vars_of(x).items()}
    found.update((Attribute(name), getattr(x, name)) for name in slots_of(type(x)) if hasattr(x, name))
    return found


def slots_of(kind: type) -> tuple[str, ...]:
    """The attributes of instances of a class that are in no dictionary."""
    found = _slots.get(kind)
    if found is None:
        found = tuple(name for base in kind.__mro__ if "__slots__" in vars(base)
                      for name, value in vars(base).items() if type(value) is MemberDescriptorType)
        found = _slots[kind] = (*found, "default_factory") if issubclass(kind, defaultdict) else found
    return found


def holds_items(kind: type) -> bool:
    """Whether instances of the class are lists, tuples, deques or dicts, or a user's kind of these."""
    found = _items.get(kind)
    if found is None:
        users = kind.__flags__ & _MADE_BY_CLASS and not (hasattr(kind, "n_fields") or issubclass(kind, Enum) or _is_ours(kind))
        found = _items[kind] = issubclass(kind, dict) or kind in (list, tuple, deque) or (
            issubclass(kind, (list, tuple, deque)) and bool(users or hasattr(kind, "_fields")))
    return found


_slots: WeakKeyDictionary[type, tuple[str, ...]] = WeakKeyDictionary()
_items: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def _base_of(kind: type) -> Any:
    """The class of Python's that holds the items."""
    return next(base for base in (OrderedDict, defaultdict, dict, list, tuple, deque) if issubclass(kind, base))


def contents(x: Any) -> tuple[Any, dict[Any, Any]] | None:
    """`children` of what code made and may be made anew: of objects and modules, too."""
    return (type(x), dict(vars_of(x))) if is_module(type(x)) else children(x, objects=True)


def vars_of(x: Any) -> dict[str, Any]:
    """The attributes that an object has beside its slots."""
    return getattr(x, "__dict__", {})


def step_to(kind: Any, key: Any) -> str:
    """How code goes to what a container of that kind holds under a key."""
    if type(key) is Attribute:
        return f".{key.name}"
    return f"[{key!r}]" if issubclass(kind, (list, tuple, dict, deque, set)) and not hasattr(kind, "_fields") else f".{key}"


def container_of(x: Any, values: dict[Any, Any]) -> Any:
    """A container like `x` that holds `values`, keyed as `children(x)` gives them; of a dict's attributes those of `x`."""
    kind = type(x)
    if kind is tuple:
        return tuple(values.values())
    if isinstance(x, tuple):
        fields: tuple[str, ...] | None = getattr(kind, "_fields", None)
        items = _items_in(values) if fields is None else {name: values[name] for name in fields}
        made: Any = tuple.__new__(kind, items.values())
        for name, value in values.items():
            if name not in items:
                object.__setattr__(made, name.name if type(name) is Attribute else name, value)
        return made
    return refill(empty_like(x), {**attributes_of(x), **values} if isinstance(x, dict) and kind is not dict else values)


def _items_in(values: dict[Any, Any]) -> dict[Any, Any]:
    """Without the attributes."""
    return {key: value for key, value in values.items() if type(key) is not Attribute}


def empty_like(x: Any) -> Any:
    """A container like `x`, which is no tuple, that holds nothing yet."""
    kind: Any = type(x)
    if isinstance(x, deque):
        made: Any = deque.__new__(kind)
        deque.__init__(made, (), x.maxlen)
        return made
    if kind is set:
        return set()
    if isinstance(x, (list, dict)):
        made = _base_of(kind).__new__(kind)
        if vars_of(x) is x:  # whose items are its attributes
            made.__dict__ = made
        return made
    return (kind.__new__(kind) if isinstance(x, SimpleNamespace) else kind._blank() if is_module(kind) else
            object.__new__(kind))


def refill(x: Any, values: dict[Any, Any]) -> Any:
    """Let a container, which is no tuple, hold `values` and nothing else; what a class makes of setting is passed by."""
    kind = type(x)
    if kind is set:
        x.clear()
        x.update(values.values())
    elif isinstance(x, (list, deque, dict)):
        items = values if kind in (list, deque, dict) else _items_in(values)
        if isinstance(x, list):
            list.__setitem__(x, slice(None), items.values())
        elif isinstance(x, deque):
            deque.clear(x)
            deque.extend(x, items.values())
        else:
            _refill_dict(x, items)
        if items is not values:
            _set(x, {key.name for key in attributes_of(x)}, {k.name: v for k, v in values.items() if type(k) is Attribute})
    else:
        _set(x, vars_of(x).keys(), values)
    return x


def _set(x: Any, before: Set[str], values: dict[str, Any]) -> None:
    """Let an object have these attributes and no other of those that it had."""
    for name in before - values.keys():
        object.__delattr__(x, name)
    for name, value in values.items():
        object.__setattr__(x, name, value)


def grow(x: Any, values: dict[Any, Any]) -> None:
    """Put values into a container beside what it holds: at its end, or under their keys."""
    if isinstance(x, dict):
        x.update(_items_in(values))
    else:
        x.extend(values.values())


def _refill_dict(x: dict[Any, Any], values: dict[Any, Any]) -> None:
    kind: Any = _base_of(type(x))
    if tuple(kind.keys(x)) != tuple(values):
        kind.clear(x)
    for key, value in values.items():
        kind.__setitem__(x, key, value)


def map_structure(x: Any, leaf: Callable[[Any, str], Any], path: str = "") -> Any:
    """A copy of `x` with every leaf replaced by `leaf(value, path)`."""
    inside = children(x)
    if inside is None:
        return leaf(x, path)
    kind, held = inside
    return container_of(x, {key: map_structure(v, leaf, path + step_to(kind, key)) for key, v in held.items()})


def is_module(kind: type) -> bool:
    """Whether instances of the class are modules."""
    return hasattr(kind, "_blank")


def is_open(kind: type) -> bool:
    """Whether instances of the class are no more than their attributes: they can be copied, and equal ones are alike.

    So it is with users' classes that say nothing of calls, iteration, slots and how attributes are found. What one says of
    equality counts for whoever asks: two that it calls equal may hold different tensors, and what is written into one of them is
    not in the other.
    """
    found = _open.get(kind)
    if found is None:
        found = _open[kind] = _is_open(kind)
    return found


_open: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def _is_open(kind: type) -> bool:
    if kind is SimpleNamespace or issubclass(kind, UserDict):
        return True
    bases = kind.__mro__[:-1]
    if getattr(kind, "_by_contents", False):  # some of ours, and what users make of them
        return bool(kind.__dictoffset__)
    if not bases or hasattr(kind, "_snapshot") or not kind.__dictoffset__:
        return False
    special = ("__call__", "__next__", "__slots__", "__getattribute__", "__setattr__", "__getattr__", "__torch_function__")
    return not any(name in vars(base) for base in bases for name in special) and all(map(_of_a_user, bases))


def _of_a_user(kind: type) -> bool:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return bool(kind.__flags__ & _MADE_BY_CLASS) and kind.__module__ != "builtins" and not (
        file is not None and (is_ours(file) or is_library(file)))


def _is_ours(kind: type) -> bool:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file is not None and is_ours(file)


_MADE_BY_CLASS = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def leaves(x: Any) -> list[Any]:
    """The leaves of `x`, in the order in which `map_structure` meets them."""
    inside = children(x)
    return [x] if inside is None else [leaf for v in inside[1].values() for leaf in leaves(v)]


def all_leaves(x: Any) -> Iterator[Any]:
    """The leaves of `x`, each object once, also inside instances of users' classes and modules, and of what holds itself."""
    todo, seen = [x], dict[int, Any]()
    while todo:
        x = todo.pop()
        if id(x) not in seen:
            seen[id(x)] = x
            inside = contents(x)
            if inside is None:
                yield x
            else:
                todo.extend(reversed(inside[1].values()))


def paths(x: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of `x` with their paths, as `map_structure` names them.

    >>> list(paths({"a": [1, 2]}, "x"))
    [("x['a'][0]", 1), ("x['a'][1]", 2)]
    """
    inside = children(x)
    if inside is None:
        yield path, x
        return
    for key, value in inside[1].items():
        yield from paths(value, path + step_to(inside[0], key))


def fill(x: Any, found: Iterable[Any]) -> Any:
    """A copy of `x` with its leaves replaced by those found, in order.

    >>> fill({"a": 0, "b": (0, 0)}, [1, 2, 3])
    {'a': 1, 'b': (2, 3)}
    """
    values = iter(found)
    return map_structure(x, lambda leaf, path: next(values))


def structure(x: Any) -> str:
    """The containers of `x` as text, with * for a leaf.

    >>> structure({"a": 1, "b": (2, [3])})
    "{'a': *, 'b': (*, [*])}"
    """
    inside = children(x)
    if inside is None:
        return "*"
    kind, parts = inside[0], {k: structure(v) for k, v in inside[1].items()}
    if kind is list:
        return f"[{', '.join(parts.values())}]"
    if kind is tuple:
        return f"({', '.join(parts.values())}{',' * (len(parts) == 1)})"
    if kind is dict:
        return "{" + ", ".join(f"{k!r}: {v}" for k, v in parts.items()) + "}"
    return f"{kind.__name__}({', '.join(f'{k}={v}' for k, v in parts.items())})"


def spread(prefix: Any, x: Any) -> list[Any] | None:
    """For each leaf of `x` the leaf of `prefix` above it, where one may stand for a whole container; None if they differ.

    >>> spread((0, 1), ["a", "b"]), spread((0, 1), ("a", {"b": 1, "c": 2}))
    (None, [0, 1, 1])
    """
    above, inside = children(prefix), children(x)
    if above is None:
        return [prefix] * len(leaves(x))
    if inside is None or above[0] is not inside[0] or above[1].keys() != inside[1].keys():
        return None
    parts = [spread(above[1][k], v) for k, v in inside[1].items()]
    return None if any(part is None for part in parts) else [leaf for part in parts for leaf in part or ()]


