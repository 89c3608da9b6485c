"""A module that is compiled: in place, as `Module.compile` does it, or by a second handle on it, which `jit(module)` gives.

The handle is an instance of the module's own class with the very same `__dict__`, so that it is the module wherever one is
asked for: whatever is read, written, registered or hooked on either is so on both, and both are equal. Only a call
differs. A wrapper that forwards attribute by attribute was rejected: it forgets some, is of another class, and appears as
a level of its own in paths and state dicts.
"""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ..tracer import jit as room
from ..tracer.jit.compile import compile
from ..tracer.tensor.context import inlined

if TYPE_CHECKING:
    from ..tracer.jit.jit import Jitted


@functools.cache
def of_jit() -> frozenset[str]:
    """What compiled functions have of their own."""
    return frozenset({"stats", *(name for name in dir(room.jit.Jitted) if not name.startswith("_"))})


class Compilable:
    """What `Module` knows of being compiled."""

    # What was compiled is no part of a module's state: no table, copy or pickle has it. All handles on a module have its key
    # and its list of them all.
    __slots__ = ("__dict__", "__weakref__", "_compiled", "_handles", "_key")

    _compiled: Jitted | None
    _key: int
    _handles: list[weakref.ref[Compilable]] | None
    __call__: Callable[..., Any]
    _call_impl: Callable[..., Any]
    _blank: Callable[[], Compilable]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the calls of this module from now on, in place; the arguments are those of `torch.compile`.

        As in torch copies and pickles of it are not compiled. `jit(module)` leaves the module itself as it is.

        >>> import flambeau as torch
        >>> model = torch.nn.Linear(2, 2)
        >>> model.compile()
        >>> _ = model(torch.ones(2)), model(torch.zeros(2))
        >>> model.stats.compiles, model.stats.calls
        (1, 2)

        https://pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.compile
        """
        name = kwargs.pop("name", None) or type(self).__name__
        made = compile(self._call_impl, *args, name=name, **kwargs)
        object.__setattr__(self, "_compiled", made if isinstance(made, room.jit.Jitted) else None)

    def _jitted(self, jitted: Jitted) -> Compilable:
        """The handle on this module whose calls are those of `jitted`, which asks for it."""
        kind = type(self)
        _refuse_slots(kind)
        made = _of_handle(kind)._blank()
        object.__setattr__(made, "__dict__", self.__dict__)
        object.__setattr__(made, "_compiled", jitted)
        object.__setattr__(made, "_key", self._key)
        shared = [] if self._handles is None else self._handles
        shared[:] = [*(ref for ref in shared if ref() is not None), weakref.ref(made)]
        for one in handles(made):
            object.__setattr__(one, "_handles", shared)
        return made

    def _of_jit(self, name: str) -> Any:
        """What a compiled module has that no module has: `graph`, `stats`, `why`, ..."""
        if name == "_orig_mod" and original(self) is not None:
            return original(self)
        if self._compiled is None or name not in of_jit():
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(self._compiled, name)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Compilable) and self._key == other._key)

    def __hash__(self) -> int:
        return self._key

    def __reduce_ex__(self, protocol: Any) -> Any:
        return super().__reduce_ex__(protocol) if original(self) is None else (again, (self._compiled,))

    def __copy__(self) -> Any:
        return _copied(self)


def original(module: Any) -> Any:
    """The module that this is a second handle on, or None."""
    function = None if module._compiled is None else module._compiled.function
    return function if isinstance(function, Compilable) else None


def model_of(module: Any) -> Any:
    """The module itself, of which this may be a handle."""
    *_, found = handles(module)
    return found


def give_class(module: Any, name: str, kind: type) -> None:
    """`module.__class__ = kind`, of the module itself and of all handles on it."""
    object.__setattr__(model_of(module), name, kind)
    for ref in module._handles or ():
        if (handle := ref()) is not None:
            object.__setattr__(handle, name, _of_handle(kind))


def handles(module: Any) -> Iterator[Any]:
    """This module, and those that it is a handle on."""
    one = module
    while one is not None:
        yield one
        one = original(one)


def _copied(module: Any) -> Any:
    """What `copy.copy` gives: of a handle, one on a copy of the module."""
    below = original(module)
    if below is not None:
        made = copy.copy(below)
        return made._jitted(room.jit.Jitted(made, *room.jit.options_of(module._compiled)))
    make, args, *rest = module.__reduce_ex__(4)
    made = make(*args)
    if rest and rest[0] is not None:
        made.__setstate__(rest[0])
    return made


def again(jitted: Jitted) -> Any:
    """The handle that belongs to what was compiled, made again."""
    original: Any = jitted.function
    return original._jitted(jitted)


def _refuse_slots(kind: type[Compilable]) -> None:
    for base in takewhile(lambda base: "_call_impl" not in base.__dict__, kind.__mro__):
        if base.__dict__.get("__slots__"):
            raise TypeError(f"jit requires a module whose attributes are in its __dict__, got {kind.__name__}, whose class "
                            f"{base.__name__} has __slots__: a second handle on the module cannot share them. Compile it in "
                            "place: module.compile().")


class _Calling:
    """Goes before a class with a `__call__` of its own: outside of what is compiled, what was compiled is called."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Nothing: the class made of both is no subclass that the user's class would have to know."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if inlined() or original(self) is None:
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        return self._compiled(*args, **kwargs)


def _of_handle(kind: type[Compilable]) -> type[Compilable]:
    """The class of a handle on a module of this class."""
    return kind if kind.__call__ is kind._call_impl or issubclass(kind, _Calling) else _calling(kind)


def _calling(kind: type[Compilable]) -> type[Compilable]:
    names = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    meta: Any = type(kind)
    return meta(kind.__name__, (_Calling, kind), names)
