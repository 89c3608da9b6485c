"""An attribute of a class that a step binds anew is state or an effect, as one of an object is."""

from __future__ import annotations

import enum
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.tensor([1.0, 2.0, 3.0])


class Meta(type):
    """A class of classes with a property, and one that refuses to set what it does not know."""

    @property
    def level(cls) -> Any:
        return cls._level

    @level.setter
    def level(cls, value: Any) -> None:
        cls._level = value


def kinds() -> dict[str, Any]:
    """Classes with what steps change, made anew."""

    class Plain:
        h: Any = torch.zeros(3)
        calls, mode, log, table = 0, "new", [], {}  # type: ignore[var-annotated]
        first: Any = None

        @classmethod
        def count(cls) -> int:
            cls.calls += 1
            return cls.calls

    class Derived(Plain):
        pass

    class Net(nn.Module):
        h: Any = torch.zeros(3)
        calls, mode, log, table = 0, "new", [], {}  # type: ignore[var-annotated]
        first: Any = None

        @classmethod
        def count(cls) -> int:
            cls.calls += 1
            return cls.calls

    class Strict(metaclass=Meta):
        h: Any = torch.zeros(3)
        calls, mode, log, table, _level = 0, "new", [], {}, torch.ones(3)  # type: ignore[var-annotated]
        first: Any = None

        @classmethod
        def count(cls) -> int:
            cls.calls += 1
            return cls.calls

    return {"plain": Plain, "derived": Derived, "module": Net, "strict": Strict}


def _rebind(kind: Any, x: Any) -> Any:
    kind.h = kind.h * 0.5 + x
    return kind.h * 2


def _count(kind: Any, x: Any) -> Any:
    kind.calls += 1
    return x * kind.calls


def _count_by_method(kind: Any, x: Any) -> Any:
    return x + kind.count()


def _first(kind: Any, x: Any) -> Any:
    if kind.first is None:
        kind.first = torch.arange(3) * 2.0
    return x + kind.first


def _new_name(kind: Any, x: Any) -> Any:
    kind.last = x * 3
    return x


def _come_and_go(kind: Any, x: Any) -> Any:
    if "extra" in vars(kind):
        del kind.extra
    else:
        kind.extra = x
    return x


def _plain(kind: Any, x: Any) -> Any:
    kind.mode = "seen"
    return x


def _contents(kind: Any, x: Any) -> Any:
    kind.log.append(x.sum())
    kind.table["x"] = x
    return x


def _object(kind: Any, x: Any) -> Any:
    kind.first = {"x": x, "pair": (x + 1, "text")}
    return x


def _by_name(kind: Any, x: Any) -> Any:
    setattr(kind, "h", getattr(kind, "h") + x)  # noqa: B009, B010
    return x


CHANGES = {f.__name__.strip("_"): (f, most) for f, most in (
    (_rebind, 1), (_count, 1), (_count_by_method, 1), (_first, 2), (_new_name, 2), (_come_and_go, 2), (_plain, 2),
    (_contents, 2), (_object, 3), (_by_name, 1))}


def shown(x: Any) -> Any:
    """What is there, to be compared."""
    if isinstance(x, torch.Tensor):
        return x.tolist()
    if isinstance(x, dict):
        return {k: shown(v) for k, v in x.items()}
    return [shown(v) for v in x] if isinstance(x, (list, tuple)) else x


def data_of(kind: type) -> Any:
    """The attributes of a class and its bases that are data."""
    return [{k: shown(v) for k, v in sorted(vars(base).items()) if not k.startswith("__") and not hasattr(v, "__get__")}
            for base in kind.__mro__[:2]]


@pytest.mark.parametrize("which", kinds())
@pytest.mark.parametrize("name", CHANGES)
def test_what_a_step_does_to_a_class_happens_at_each_call(name: str, which: str) -> None:
    change, most = CHANGES[name]
    kind, other = kinds()[which], kinds()[which]
    step = torch.jit(lambda x: change(kind, x))
    for k in range(6):
        assert step(X * k).tolist() == change(other, X * k).tolist()
        assert data_of(kind) == data_of(other)
    assert step.stats.compiles <= most + (which == "derived")  # the first call finds what the base has


@pytest.mark.parametrize("which", kinds())
def test_a_failing_step_leaves_a_class_as_it_was(which: str) -> None:
    kind, fail = kinds()[which], [True]
    before, h = data_of(kind), kind.h

    @torch.jit
    def step(x: Any) -> None:
        for change, _ in CHANGES.values():
            change(kind, x)
        if fail[0]:
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        step(X)
    assert data_of(kind) == before and kind.h is h
    fail[0] = False
    step(X)
    assert data_of(kind) != before


def test_a_property_of_a_class_of_classes_is_followed() -> None:
    kind, other = kinds()["strict"], kinds()["strict"]

    def change(kind: Any, x: Any) -> Any:
        kind.level = kind.level + x
        return kind.level * 2

    step = torch.jit(lambda x: change(kind, x))
    for k in range(5):
        assert step(X * k).tolist() == change(other, X * k).tolist()
    assert kind.level.tolist() == other.level.tolist() and step.stats.compiles == 1


def test_a_class_in_a_method_and_an_object_of_it() -> None:
    """`self.__class__.total` and `type(self).total`: one place for all objects, hidden where an object has its own."""

    class Meter:
        total: Any = torch.zeros(())

        def add(self, x: Any) -> Any:
            type(self).total = self.total + x.sum()
            return self.__class__.total

    first, second = Meter(), Meter()
    step = torch.jit(lambda m, x: m.add(x), static=0)
    assert [step(first, X).item(), step(second, X).item(), step(first, X).item()] == [6, 12, 18]
    Meter.total = torch.zeros(())
    assert step(second, X).item() == 6
    first.total = torch.ones(())
    assert step(first, X).item() == 7 and Meter.total.item() == 7


def test_what_is_bound_to_a_class_outside_is_seen() -> None:
    kind = kinds()["plain"]
    step = torch.jit(lambda x: _rebind(kind, x))
    step(X)
    kind.h = torch.ones(3)
    assert step(X).tolist() == [3, 5, 7] and step.stats.compiles == 1
    kind.h = torch.ones(1)
    assert step(X).tolist() == [3, 5, 7] and step.stats.compiles == 2
    del kind.h
    with pytest.raises(AttributeError):
        step(X)


def test_members_of_an_enumeration_stay_what_they_are() -> None:
    class Mode(enum.Flag):
        A = 1
        B = 2

    step = torch.jit(lambda x: x * (Mode.A | Mode.B).value)
    assert step(X).tolist() == [3, 6, 9] and step(X).tolist() == [3, 6, 9]
    assert (Mode.A | Mode.B) is Mode(3) and step.stats.compiles <= 2


def test_what_cannot_have_attributes_says_so() -> None:
    with pytest.raises(TypeError, match="immutable type"):
        torch.jit(lambda x: setattr(int, "h", x))(X)
