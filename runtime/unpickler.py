"""A reader of pickles that runs nothing but functions of a table: each opcode is looked at before it is obeyed.

`pickle` itself is not used: what it calls while it reads is any callable that the file names. Here a name that is in no
table is an error, and so is an opcode that no file of torch's has. What is read is bounded by the size of the file.
"""

from __future__ import annotations

import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any

from ..tracer.ir.errors import CheckpointError
from .safe_globals import vouched

_MARK = object()
_DEPTH = 32  # of tuples in keys: Python hashes them by recursion
_PLAIN = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8"))
_EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict, "EMPTY_SET": set, "MARK": lambda: _MARK}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = frozenset(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")), frozenset(("GET", "BINGET", "LONG_BINGET"))
NOT_ALLOWED = (
    "Weights only load failed: {what}. Nothing of the file was run. If you trust who made it, {remedy}, or load it with "
    "weights_only=False, which runs whatever code the file asks for.")


def refused(what: str, remedy: str = "save it anew as tensors, numbers and containers") -> UnpicklingError:
    """The error for what is not obeyed."""
    return UnpicklingError(NOT_ALLOWED.format(what=what, remedy=remedy))


class Bounded:
    """A part of a file that is read to its end and not beyond: no size in it is believed."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._end = file, end

    def tell(self) -> int:
        """Where the file stands."""
        return self._file.tell()

    def read(self, count: int) -> bytes:
        """So many bytes, or as many as there are."""
        return self._file.read(max(0, min(count, self._end - self._file.tell())))

    def readline(self) -> bytes:
        """A line."""
        return self._file.readline(max(0, self._end - self._file.tell()))


# --- What may be called -----------------------------------------------------------------------------------------------


def _encode(text: str, codec: str = "latin1") -> bytes:
    if not isinstance(text, str) or codec not in ("latin1", "latin-1", "ascii", "utf-8"):
        raise refused(f"_codecs.encode of a {type(text).__name__} by {codec!r:.20}")
    return text.encode(codec)


def _bytes() -> bytes:
    return b""


def _bytearray(data: Any = b"", codec: str = "latin1") -> bytearray:
    if not isinstance(data, (bytes, str)):
        raise refused(f"bytearray of a {type(data).__name__}")
    return bytearray(_encode(data, codec) if isinstance(data, str) else data)


def _complex(real: Any = 0, imag: Any = 0) -> complex:
    return complex(float(real), float(imag))


def _members(kind: Any) -> Callable[..., Any]:
    def make(members: Any = ()) -> Any:
        check_keys(members if isinstance(members, (list, tuple, set, dict)) else ())
        return kind(members)
    return make


def _ordered(pairs: Any = ()) -> Any:
    check_keys(pairs if isinstance(pairs, dict) else [pair[0] for pair in pairs])
    return OrderedDict(pairs)


PYTHONS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered, "collections.Counter": _members(Counter), "_codecs.encode": _encode,
    **{f"{module}.{name}": function for module in ("builtins", "__builtin__") for name, function in (
        ("bytes", _bytes), ("bytearray", _bytearray), ("set", _members(set)), ("complex", _complex))}}
_COPYING = frozenset(PYTHONS.values())
_WITH_STATE = (OrderedDict, Counter)


def check_keys(keys: Any) -> None:
    """Refuse what Python could not hash without a deep recursion."""
    stack = [(key, 0) for key in keys]
    while stack:
        key, depth = stack.pop()
        if depth > _DEPTH:
            raise refused("a key of tuples in tuples without end")
        if type(key) in (tuple, frozenset):
            stack += [(inner, depth + 1) for inner in key]


# --- The reader -------------------------------------------------------------------------------------------------------


class Reader:
    """Reads one pickle.

    Args: `known`, what may be named, by name; `persistent`, makes an object of a persistent id; `size`, of the file in
    bytes, to which what the pickle may copy is in proportion.
    """

    def __init__(self, known: dict[str, Any], persistent: Callable[[Any], Any], size: int) -> None:
        self._known, self._persistent = known, persistent
        self._left = 16 * size + (1 << 20)
        self._vouched = vouched()
        self._callable = {id(f) for f in known.values()}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, file: Any) -> Any:
        """The object; CheckpointError for what is no pickle, UnpicklingError for what is refused."""
        try:
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "STOP":
                    return self._pop()
                self._obey(opcode.name, argument)
        except (UnpicklingError, CheckpointError):
            raise
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError) as error:
            raise UnpicklingError(f"the pickle is damaged: {type(error).__name__}: {error!s:.200}") from None
        raise UnpicklingError("the pickle is damaged: it has no end")

    def _pop(self) -> Any:
        x = self._stack.pop()
        if x is _MARK:
            raise ValueError("a mark where an object is expected")
        return x

    def _pop_mark(self) -> list[Any]:
        at = self._last_mark()
        items = self._stack[at + 1:]
        del self._stack[at:]
        return items

    def _last_mark(self) -> int:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                return at
        raise ValueError("no mark")

    def _obey(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _PLAIN:
            stack.append(argument)
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _PUTS:
            self._memo[len(self._memo) if name == "MEMOIZE" else int(argument)] = stack[-1]
        elif name in _GETS:
            stack.append(self._memo[int(argument)])
        elif name in _TUPLES:
            count = _TUPLES[name]
            items = [self._pop() for _ in range(count)][::-1]
            stack.append(tuple(items))
        elif name in ("PROTO", "FRAME"):
            pass
        else:
            special = getattr(self, f"_do_{name.lower()}", None)
            if special is None:
                raise refused(f"unsupported operand: the opcode {name}")
            special(argument)

    # --- Containers ---------------------------------------------------------------------------------------------------

    def _do_pop(self, argument: Any) -> None:
        self._stack.pop()

    def _do_pop_mark(self, argument: Any) -> None:
        self._pop_mark()

    def _do_dup(self, argument: Any) -> None:
        self._stack.append(self._stack[-1])

    def _do_tuple(self, argument: Any) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _do_list(self, argument: Any) -> None:
        self._stack.append(self._pop_mark())

    def _do_dict(self, argument: Any) -> None:
        items = self._pop_mark()
        self._stack.append({})
        self._set_items(items)

    def _do_frozenset(self, argument: Any) -> None:
        items = self._pop_mark()
        check_keys(items)
        self._stack.append(frozenset(items))

    def _do_append(self, argument: Any) -> None:
        self._extend([self._pop()])

    def _do_appends(self, argument: Any) -> None:
        self._extend(self._pop_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise refused(f"items for a {type(target).__name__}, which is no list")
        target.extend(items)

    def _do_additems(self, argument: Any) -> None:
        items = self._pop_mark()
        if type(self._stack[-1]) is not set:
            raise refused(f"items for a {type(self._stack[-1]).__name__}, which is no set")
        check_keys(items)
        self._stack[-1].update(items)

    def _do_setitem(self, argument: Any) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _do_setitems(self, argument: Any) -> None:
        self._set_items(self._pop_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, *_WITH_STATE):
            raise refused(f"items for a {type(target).__name__}, which is no dict")
        check_keys(items[::2])
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key] = value

    # --- Names and calls ----------------------------------------------------------------------------------------------

    def _do_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(self._find(module, name))

    def _do_stack_global(self, argument: Any) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(self._find(module, name))

    def _find(self, module: Any, name: Any) -> Any:
        full = f"{module}.{name}"
        found = self._known.get(full, self._vouched.get(full))
        if found is None:
            last = str(name).rpartition(".")[2]
            raise refused(f"Unsupported global: GLOBAL {full:.100} was not an allowed global by default",
                          f"allow it by torch.serialization.add_safe_globals([{last:.60}]), or in a block by "
                          f"torch.serialization.safe_globals([{last:.60}])")
        return found

    def _call(self, function: Any, arguments: Any) -> Any:
        if id(function) not in self._callable and not self._is_vouched(function):
            raise refused(f"a call of {function!r:.60}, which is not a function of the list")
        if type(arguments) is not tuple:
            raise refused(f"a call with a {type(arguments).__name__} for arguments")
        if any(function is f for f in _COPYING):
            self._left -= sum(len(a) for a in arguments if hasattr(a, "__len__"))
            if self._left < 0:
                raise refused("a pickle that asks for far more memory than the file has bytes")
        if self._is_vouched(function):
            return function(*arguments)
        try:
            return function(*arguments)
        except RuntimeError as error:
            if isinstance(error, CheckpointError):
                raise
            raise UnpicklingError(f"the pickle is damaged: {error!s:.200}") from None

    def _is_vouched(self, x: Any) -> bool:
        return any(x is f for f in self._vouched.values())

    def _do_reduce(self, argument: Any) -> None:
        arguments, function = self._pop(), self._pop()
        self._stack.append(self._call(function, arguments))

    def _do_newobj(self, argument: Any) -> None:
        arguments, kind = self._pop(), self._pop()
        if isinstance(kind, type) and self._is_vouched(kind) and type(arguments) is tuple:
            self._stack.append(kind.__new__(kind, *arguments))
        else:
            self._stack.append(self._call(kind, arguments))

    def _do_build(self, argument: Any) -> None:
        state, x = self._pop(), self._stack[-1]
        if self._is_vouched(type(x)):
            _restore(x, state)
        elif type(x) in _WITH_STATE and type(state) is dict:
            x.__dict__.update(state)
        else:
            raise refused(f"a state for a {type(x).__name__}")

    def _do_binpersid(self, argument: Any) -> None:
        self._stack.append(self._persistent(self._pop()))


def _restore(x: Any, state: Any) -> None:
    if hasattr(x, "__setstate__"):
        x.__setstate__(state)
        return
    own, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    x.__dict__.update(own or {})
    for name, value in (slots or {}).items():
        setattr(x, name, value)
