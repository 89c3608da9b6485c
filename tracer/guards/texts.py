"""What is said of values in reasons for traces: short texts, and how an object differs from one that may be gone by then."""

from __future__ import annotations

import enum
import reprlib
import types
from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np

from ..ir.source import is_library, is_ours
from ..tensor.tensor import _OWN, Tensor
from .identity import MISSING, PLAIN, Equal, Identity, Plain, Weakly, interchangeable, static_key
from .statics import attributes, defined, field, held, is_a, mro, name_of, plain_dict, reader, table
from .whose import HOLDS

Change = tuple[str, Any, Any]  # path or name, what was there, what is there now
MOST = 200  # values of one object that are kept
_HELD = frozenset({"_parameters", "_buffers", "_modules"})  # what a module has under names of its own
_OURS = frozenset({"_opt_called", "_key", "_hooks", "_non_persistent_buffers_set"})
_WHOLE = (*PLAIN, type, enum.Enum, types.FunctionType, types.ModuleType)


class Text(str):
    """A text that stands for a value: it is shown without quotes."""

    def __repr__(self) -> str:
        return str(self)


class Label(str):
    """What a place is called; `place` tells it from others that are called so."""

    place: tuple[int, Hashable] | None = None

    @classmethod
    def of(cls, text: str, place: tuple[int, Hashable] | None) -> Label:
        """The label of a place."""
        made = cls(text)
        made.place = place
        return made

    def step(self, text: str) -> Label:
        """What is inside, on the way that the text says."""
        return Label.of(f"{self}{text}", self.place)


class _Repr(reprlib.Repr):
    """Short texts of values, for which no code of a user runs: of most objects only the class is told."""

    def repr1(self, x: Any, level: int) -> str:
        """Plain values and containers of them as Python shows them."""
        kind = type(x)
        if is_a(x, Tensor):
            return f"a tensor {x._type}"
        if kind is Weakly:
            return str(x.text)
        if is_a(x, type):
            return f"<class {name_of(x)}>"
        if kind in _SHOWN or is_a(x, np.generic) or _tells_no_more(kind):
            return super().repr1(x, level)
        return f"<{name_of(kind)} object>"


_SHOWN = frozenset({*PLAIN, list, tuple, dict, set, frozenset, deque, types.FunctionType, types.BuiltinFunctionType})
_repr = _Repr().repr


def _tells_no_more(kind: type) -> bool:
    """Whether the text of an object is made without looking into others."""
    how = defined(kind, "__repr__")
    if not isinstance(how, types.FunctionType):
        return False
    file = how.__code__.co_filename
    return (is_library(file) and issubclass(kind, enum.Enum)) or (is_ours(file) and defined(kind, "_snapshot") is None)


def shown(value: Any) -> Any:
    """The value if it is plain, else a short text: what is kept of it to be looked at."""
    if is_a(value, Plain):
        return shown(value.value)
    return value if type(value) in PLAIN or is_a(value, np.generic) else Text(_repr(value))


def key_text(key: Any) -> str:
    """What is said of a key of a dictionary, by which it is told from others where that can be; no code of a user runs."""
    if type(key) in PLAIN or is_a(key, (tuple, frozenset, np.generic)) or _tells_no_more(type(key)):
        return repr(shown(key))
    if is_a(key, (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)):
        return name_of(key)
    return f"a tensor {key._type}" if is_a(key, Tensor) else name_of(type(key))


def short(members: tuple[Any, ...]) -> Text:
    """The text of a set with these members."""
    return Text("{" + _repr(list(members))[1:-1] + "}") if members else Text("set()")


# --- How one object differs from another ------------------------------------------------------------------------------


class Portrait:
    """The class of a value, a text of it, and texts of the plain values in it by path."""

    __slots__ = ("kind", "text", "inside")

    def __init__(self, x: Any) -> None:
        x = _itself(x)
        self.kind, self.text = type(x), shown(x)
        self.inside = dict(_inside(x)) if _parts(x) else {}

    def change(self, path: str, now: Portrait) -> Change:
        """What to say of another value in the place of this one: what differs in the two, if they look alike."""
        if self.kind is now.kind:
            for key in dict.fromkeys((*self.inside, *now.inside)):
                a, b = self.inside.get(key, MISSING), now.inside.get(key, MISSING)
                if not interchangeable(a, b):
                    return path.step(key) if isinstance(path, Label) else f"{path}{key}", a, b
        if repr(self.text) != repr(now.text) and not (self.inside and self.kind is now.kind):
            return path, self.text, now.text
        return path, self.text, Text(f"another one, {now.text!r}")


class Described(Portrait):
    """A portrait of an argument that is compiled in, which is the same as another one if their keys are."""

    __slots__ = ("key",)

    def __init__(self, x: Any) -> None:
        super().__init__(x)
        self.key = static_key(x)

    def __repr__(self) -> str:
        return repr(self.text)


def change(path: str, old: Any, new: Any) -> Change:
    """What to say of a value that came in the place of another one."""
    return Portrait(old).change(path, Portrait(new))


def portraits(values: Mapping[str, Any]) -> dict[str, Portrait]:
    """Those of values that may be gone when they are compared."""
    return {path: Portrait(x) for path, x in values.items() if type(x) in (tuple, Identity)}


def _itself(x: Any) -> Any:
    """What a key stands for; of a tensor and its memory, the tensor."""
    if is_a(x, tuple) and len(x) == 2 and all(is_a(part, Identity) for part in x):
        x = x[0]
    if is_a(x, Plain):
        return x.value
    if type(x) is Weakly:
        return x if x() is None else x()
    return x._thing() if is_a(x, Identity) else x.thing if is_a(x, Equal) else x


def _inside(x: Any) -> Iterator[tuple[str, Any]]:
    """The plain values and tensors in an object, with the way to each."""
    todo, seen, count = deque([("", x)]), set[int](), 0
    while todo and count < MOST:
        path, value = todo.popleft()
        parts = None if id(value) in seen else _parts(value)
        if parts is not None:
            seen.add(id(value))
            todo.extend((f"{path}{step}", part) for step, part in parts[:MOST])
        elif path:
            count += 1
            yield path, shown(value)


def _parts(x: Any) -> list[tuple[str, Any]] | None:
    """What an object holds, each with the step to it; None for what is a value of its own."""
    if is_a(x, Tensor):
        given = x.__dict__.keys() - _OWN
        return [("", Text(shown(x))), *((f".{n}", x.__dict__[n]) for n in sorted(given))] if given else None
    if is_a(x, _WHOLE):
        return None
    if is_a(x, (dict, types.MappingProxyType)):
        found = dict.items(plain_dict(x) if is_a(x, types.MappingProxyType) else x)
        steps = [(f"[{k!r}]" if type(k) in PLAIN else f"[{shown(k)!r}]", v) for k, v in found]
    elif is_a(x, (list, tuple, deque)):
        steps = [(f"[{i}]", v) for i, v in enumerate(reader(x)())]
    elif is_a(x, (set, frozenset)):
        steps = [(f"[{text}]", Text(text)) for text in sorted(repr(shown(v)) for v in reader(x)())]
    elif is_a(x, types.MethodType):
        steps = [(".__func__", x.__func__), (".__self__", x.__self__)]
    else:
        kind = next((kind for kind in HOLDS if is_a(x, kind)), None)
        steps = [] if kind is None else [(f".{n}", held(x, kind, n)) for n in HOLDS[kind]]
    return [*steps, *_attributes(x)] or None


def _attributes(x: Any) -> Iterator[tuple[str, Any]]:
    for name, value in attributes(x).items():
        if name in _HELD and is_a(value, dict):
            yield from ((f".{n}", v) for n, v in dict.items(value))
        elif not name.startswith("__") and name not in _OURS:
            yield f".{name}", value
    for base in mro(type(x)):
        if "__slots__" in table(base):
            yield from ((f".{n}", field(x, v, MISSING)) for n, v in table(base).items()
                        if is_a(v, types.MemberDescriptorType) and n not in _OURS)
