"""Guards look at everything and run nobody's code; what they cannot follow is told, and a refusal stays one."""

from __future__ import annotations

import collections
import contextlib
import functools
import importlib
import importlib.util
import sys
import threading
import types
from typing import Any

import pytest

import flambeau as torch
from flambeau.tracer.guards.outside import Outside
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.jit.why import RetraceWarning

from .test_guard_places import X, check

# --- Nobody's code ----------------------------------------------------------------------------------------------------


class Touchy:
    """Everything about it raises, and says that it ran."""

    ran: list[str] = []  # noqa: RUF012

    def __init__(self, k: float = 2.0) -> None:
        self.k = k

    def _raise(self, *args: Any) -> Any:
        self.ran.append("something")
        raise ImportError("not here")

    __eq__ = __hash__ = __repr__ = __len__ = __iter__ = __bool__ = __getattr__ = __contains__ = _raise  # type: ignore[assignment]
    here = property(_raise)
    __class__ = property(_raise)  # type: ignore[assignment]


@pytest.mark.parametrize("hold", [
    lambda t: [t], lambda t: {"t": t}, lambda t: (t,), lambda t: types.SimpleNamespace(t=t), lambda t: collections.deque([t]),
    lambda t: collections.OrderedDict(t=t), lambda t: functools.partial(abs, t),
    lambda t: types.MappingProxyType({"t": t}).values()])
def test_nobodys_methods_run(hold: Any) -> None:
    thing = Touchy()
    held = hold(thing)
    step = torch.jit(lambda x: x * (thing.k if held is not None else 0.0))
    Touchy.ran.clear()
    for k in (2.0, 2.0, 3.0, 3.0):
        object.__setattr__(thing, "k", k)
        assert step(X).tolist() == (X * k).tolist()
    assert step.stats.compiles == 2 and not Touchy.ran


def test_a_touchy_object_is_exchanged() -> None:
    box = [Touchy(2.0)]
    step = torch.jit(lambda x: x * box[0].k)
    for k in (2.0, 3.0):
        box[0] = Touchy(k)
        Touchy.ran.clear()
        assert step(X).tolist() == (X * k).tolist()
        assert not Touchy.ran


def test_a_metaclass_is_not_asked() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            if name in ("__dict__", "__mro__", "__module__", "__name__"):
                raise ImportError(name)
            return type.__getattribute__(cls, name)

    class Guarded(metaclass=Meta):
        k = 2.0

    thing = Guarded()
    check(lambda x: x * thing.k, lambda k: type.__setattr__(Guarded, "k", 2.0 + k))


def test_lazy_modules_stay_unloaded() -> None:
    spec = importlib.util.find_spec("wave")
    assert spec is not None and spec.loader is not None
    loader = spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    loader.exec_module(lazy)

    class Missing(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise ImportError(f"{name} needs a package that is not there")

    missing, k = Missing("missing_of_a_test"), 2.0

    def change(step: int) -> None:
        nonlocal k
        k = 2.0 + step

    check(lambda x: x * k if k < 9 else lazy.open(missing), change)
    assert object.__getattribute__(lazy, "__class__") is not types.ModuleType, "it was loaded"


@pytest.mark.parametrize("read", [
    lambda: (lambda names: lambda x: x * len(names))({"a", "b"}),
    lambda: (lambda o: lambda x: x * len(vars(o)))(types.SimpleNamespace(a=1.0, b=2.0)),
    lambda: (lambda d: lambda x: x * len(d))({f"k{i}": i for i in range(2000)}),
    lambda: (lambda a: lambda x: x * len(a))(bytearray(b"abc")),
    lambda: (lambda d: lambda x: x * len(d))(types.MappingProxyType({"a": 1.0}))])
def test_the_quick_test_holds(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    step = torch.jit(read())
    step(X)
    monkeypatch.setattr(Outside, "changes", lambda self: pytest.fail("compared the slow way"))
    step(X)
    step(X)


# --- What cannot be followed ------------------------------------------------------------------------------------------


LOCK = threading.Lock()


@pytest.mark.parametrize("function, what", [
    (lambda x: x * globals()["X"].sum(), r"what globals\(\) gives"), (lambda x: x * eval("1.0"), r"what eval\(\) gives"),
    (lambda x: x * LOCK.locked(), r"LOCK.locked\(\)"), (lambda x: x * sys.getrecursionlimit(), "sys.getrecursionlimit")])
def test_what_cannot_be_followed_warns(function: Any, what: str) -> None:
    with pytest.warns(RetraceWarning, match=f"<lambda> reads {what}, at .*test_guards_run_nothing.py:[0-9]+: while it is traced"):
        torch.jit(function)(X)


def careful(x: Any, catch: Any) -> Any:
    try:
        return x * 2 if x.sum() > 0 else x
    except catch:
        return x * 3


@pytest.mark.parametrize("catch", [Exception, RuntimeError, TraceError])
def test_a_way_round_a_refusal_is_not_compiled_in(catch: Any) -> None:
    step = torch.jit(lambda x: careful(x, catch))
    for _ in range(2):
        with pytest.raises(TraceError, match=r"the value of a traced tensor was read at .*test_guards_run_nothing.py:\d+"):
            step(X)
    assert step.stats.compiles == 0 and careful(X, catch).tolist() == (X * 2).tolist()


def test_a_refusal_that_is_suppressed_or_explained() -> None:
    def suppressed(x: Any) -> Any:
        with contextlib.suppress(RuntimeError):
            return x * float(x[0])
        return x

    def explained(x: Any) -> Any:
        try:
            return x * x.sum().item()
        except TraceError as error:
            raise ValueError("needs a number") from error

    with pytest.raises(TraceError, match="the value of a traced tensor was read"):
        torch.jit(suppressed)(X)
    with pytest.raises(ValueError, match="needs a number"):
        torch.jit(explained)(X)
    assert torch.jit(lambda x: x * 2)(X).tolist() == (X * 2).tolist()
