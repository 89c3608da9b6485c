"""Arguments and results of a traced function: nested containers taken apart and put together again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def map_structure(x: Any, leaf: Callable[[Any, str], Any], path: str = "") -> Any:
    """A copy of `x` with every leaf replaced by `leaf(value, path)`.

    Containers are lists, tuples, named tuples, dicts and dataclass instances; everything else is a leaf.
    """
    kind = type(x)
    if kind in (list, tuple):
        return kind(map_structure(v, leaf, f"{path}[{i}]") for i, v in enumerate(x))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        copy = kind(*(map_structure(getattr(x, name), leaf, f"{path}.{name}") for name in x._fields))
        if hasattr(x, "__dict__"):  # of a subclass
            copy.__dict__.update(x.__dict__)
        return copy
    if isinstance(x, dict):
        copied = {k: map_structure(v, leaf, f"{path}[{k!r}]") for k, v in x.items()}
        return copied if kind is dict else _like_dict(x, copied)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        changed = {f.name: map_structure(getattr(x, f.name), leaf, f"{path}.{f.name}") for f in dataclasses.fields(x)}
        made = object.__new__(kind)
        for name, value in changed.items():
            object.__setattr__(made, name, value)
        return made
    return leaf(x, path)


def _like_dict(original: Any, copied: dict[Any, Any]) -> Any:
    made = original.__class__.__new__(original.__class__)
    if hasattr(original, "__dict__"):
        made.__dict__.update(original.__dict__)
    if hasattr(original, "default_factory"):
        made.default_factory = original.default_factory
    made.update(copied)
    return made


def children(x: Any) -> tuple[Any, dict[Any, Any]] | None:
    """The kind of a container and what it holds, by index, key or name; None for a leaf."""
    kind = type(x)
    if kind in (list, tuple):
        return kind, dict(enumerate(x))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return kind, dict(zip(x._fields, x))
    if isinstance(x, dict):
        return dict, dict(x)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return kind, {f.name: getattr(x, f.name) for f in dataclasses.fields(x)}
    return None


def leaves(x: Any) -> list[Any]:
    """The leaves of `x`, in the order in which `map_structure` meets them."""
    inside = children(x)
    return [x] if inside is None else [leaf for v in inside[1].values() for leaf in leaves(v)]


def paths(x: Any, path: str = "", facts: bool = False) -> Iterator[tuple[str, Any]]:
    """The leaves of `x` with their paths, as `map_structure` names them; with `facts` what containers know beside them.

    >>> list(paths({"a": [1, 2]}, "x"))
    [("x['a'][0]", 1), ("x['a'][1]", 2)]
    """
    inside = children(x)
    if inside is None:
        yield path, x
        return
    subscripted = inside[0] in (list, tuple, dict)
    for key, value in inside[1].items():
        yield from paths(value, f"{path}[{key!r}]" if subscripted else f"{path}.{key}", facts)
    if facts and hasattr(x, "_facts"):
        yield from ((f"{path}.{name}", fact) for name, fact in x._facts().items())


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


