"""Arguments that are Python objects: what a step writes into them is there after each call, and equal ones are alike."""

from __future__ import annotations

import collections
import copy
import dataclasses
import itertools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.ir.errors import TraceError

# --- What a step may do to a container, against the same function run lazily -------------------------------------------


@dataclasses.dataclass
class Record:
    """A dataclass with an attribute that is no field."""

    a: Any
    b: Any

    def __post_init__(self) -> None:
        self.extra = "kept"


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any
    b: Any


class Box:
    """A plain class."""

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b


Pair = collections.namedtuple("Pair", "a b")


class Named(dict):
    """A dict of a user's, with an attribute."""


def lists(x: Any) -> list[Any]:
    return [x, x + 1, "text", None]


def dicts(kind: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda x: kind({"a": x, "b": x + 1, "n": "text"})


KINDS: dict[str, Callable[[Any], Any]] = {
    "list": lists, "deque": lambda x: collections.deque(lists(x)), "bounded deque": lambda x: collections.deque(lists(x), 4),
    "dict": dicts(dict), "OrderedDict": dicts(collections.OrderedDict), "dict subclass": dicts(Named),
    "defaultdict": lambda x: collections.defaultdict(list, {"a": x, "b": x + 1}),
    "dataclass": lambda x: Record(x, x + 1), "class": lambda x: Box(x, x + 1),
    "namespace": lambda x: types.SimpleNamespace(a=x, b=x + 1), "UserDict": dicts(collections.UserDict),
    "frozen": lambda x: Frozen([x], {"k": x + 1}), "named tuple": lambda x: Pair([x], {"k": x + 1}),
    "nested": lambda x: {"a": [x, {"k": x}], "b": (x, [x])},
}


def _swap(c: Any) -> None:
    c[0], c[1] = c[1], c[0]


def _names(c: Any) -> None:
    c.a, c.b = c.b, c.a * 2


def _inside(c: Any) -> None:
    c.a.append(c.b["k"] * 2)
    c.b["new"] = c.a[0] + 1


SEQUENCES = {
    "append": lambda c: c.append(c[0] * 2), "pop": lambda c: c.pop(), "swap": _swap, "set": lambda c: c.__setitem__(0, c[0] * 3),
    "insert": lambda c: c.insert(1, c[0] - 1), "clear": lambda c: c.clear(), "extend": lambda c: c.extend([c[0], 7, "x"]),
    "reverse": lambda c: c.reverse(), "itself": lambda c: c.append([c[0], c[1]]), "remove": lambda c: c.remove(None),
}
TABLES = {
    "store": lambda c: c.__setitem__("pred", c["a"] * 2), "replace": lambda c: c.__setitem__("a", c["a"] * 2),
    "delete": lambda c: c.__delitem__("b"), "pop": lambda c: c.pop("b"), "plain": lambda c: c.__setitem__("epoch", 3),
    "twice": lambda c: c.update(u=c["a"], v=c["a"]), "new list": lambda c: c.__setitem__("l", [c["a"], {"k": c["b"]}]),
    "order": lambda c: c.__setitem__("a", c.pop("a")), "clear": lambda c: c.clear(),
    "setdefault": lambda c: c.setdefault("z", c["a"]),
}
ATTRIBUTES = {
    "swap": _names, "new": lambda c: setattr(c, "pred", c.a * 2), "delete": lambda c: delattr(c, "b"),
    "plain": lambda c: setattr(c, "b", "done"), "list": lambda c: setattr(c, "b", [c.a, c.b]),
}
CHANGES: dict[str, dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("list", "deque"), SEQUENCES),
    "bounded deque": {k: v for k, v in SEQUENCES.items() if k != "insert"},  # which Python refuses
    **dict.fromkeys(("dict", "OrderedDict", "dict subclass", "defaultdict"), TABLES),
    "UserDict": {k: v for k, v in TABLES.items() if k not in ("order",)},
    **dict.fromkeys(("dataclass", "class", "namespace"), ATTRIBUTES), 
    **{key: {"inside": _inside} for key in ("frozen", "named tuple")},
    "nested": {"deep": lambda c: (c["a"][1].update(n=c["a"][0] * 2), c["b"][1].append(c["b"][0])), "same": lambda c: None},
}
CASES = [(kind, name) for kind, changes in CHANGES.items() for name in changes]


def plain(c: Any) -> Any:
    """What a container holds, to be compared."""
    if isinstance(c, torch.Tensor):
        return c.tolist()
    if isinstance(c, (dict, collections.UserDict)):
        return type(c).__name__, [(k, plain(v)) for k, v in c.items()]
    if isinstance(c, (list, tuple, collections.deque)):
        return type(c).__name__, [plain(v) for v in c]
    return plain(vars(c)) if hasattr(c, "__dict__") else c


def test_the_sweep_is_as_large_as_it_says() -> None:
    print(len(CASES), "changes of containers")
    assert len(CASES) > 70


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{k}-{n}" for k, n in CASES])
def test_what_a_step_writes_into_an_argument_is_there_after_each_call(kind: str, name: str) -> None:
    change = CHANGES[kind][name]

    def step(c: Any) -> Any:
        change(c)
        return c

    jitted = torch.jit(step)
    for k in (1.0, 2.0, 3.0):
        x = torch.tensor([k, -k])
        given, other = KINDS[kind](x), KINDS[kind](x)
        held = given if not isinstance(given, tuple) else given[0]
        result = jitted(given)
        step(other)
        assert plain(given) == plain(other)
        assert result is given or isinstance(given, tuple)
        assert not isinstance(given, tuple) or result[0] is held
        if kind == "dataclass":
            assert given.extra == "kept"
    assert jitted.stats.compiles == 1, jitted.why()


def test_calls_one_after_the_other_see_what_was_written() -> None:
    @torch.jit
    def step(s: dict[str, Any]) -> None:
        s["h"] = s["h"] * 2 + 1
        s["seen"] = s["h"].sum()

    s, e = {"h": torch.ones(2), "seen": torch.tensor(0.0)}, torch.ones(2)
    for _ in range(5):
        step(s)
        e = e * 2 + 1
        assert s["h"].tolist() == e.tolist() and s["seen"].item() == e.sum().item()
    assert step.stats.compiles == 1


def test_items_that_are_not_touched_stay_the_very_same() -> None:
    x, note = torch.ones(2), ["note"]
    batch = {"x": x, "meta": note, "y": torch.zeros(2)}

    @torch.jit
    def step(b: Any) -> None:
        b["y"] = b["x"] + 1

    step(batch)
    assert batch["x"] is x and batch["meta"] is note and list(batch) == ["x", "meta", "y"]


def test_one_container_in_two_places_is_one_inside() -> None:
    @torch.jit
    def step(a: Any, b: Any) -> Any:
        a.append(a[0] * 3)
        return len(b), b[-1]

    xs, ys = [torch.ones(2)], [torch.zeros(2)]
    count, last = step(xs, xs)
    assert count == 2 and last is xs[1] and last.tolist() == [3, 3]
    count, last = step(xs, ys)
    assert count == 1 and last is ys[0] and len(xs) == 3


def test_a_container_that_holds_itself() -> None:
    @torch.jit
    def step(d: Any) -> Any:
        d["self"]["x"] = d["x"] + 1
        return d["x"]

    d: dict[str, Any] = {"x": torch.ones(2)}
    d["self"] = d
    step(d)
    assert d["self"] is d and d["x"].tolist() == [2, 2]


@pytest.mark.parametrize("failure", ["trace", "run"])
def test_a_failing_step_leaves_containers_as_they_were(failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(d: Any, xs: Any) -> None:
        d["a"] = d["a"] * 2
        xs.append(d["a"])
        if fail and failure == "trace":
            raise KeyError("half way")

    fail = True
    jitted = torch.jit(step)
    d, xs = {"a": torch.ones(2)}, [torch.zeros(1)]
    before = d["a"]
    if failure == "run":
        monkeypatch.setattr("flambeau.runtime.engine.XlaProgram.run", lambda self, buffers: 1 / 0)
    with pytest.raises((KeyError, ZeroDivisionError)):
        jitted(d, xs)
    assert d == {"a": before} and d["a"] is before and len(xs) == 1
    monkeypatch.undo()
    fail = False
    jitted(d, xs)
    assert d["a"].tolist() == [2, 2] and len(xs) == 2


# --- Objects whose class says what is equal ---------------------------------------------------------------------------


class Sample:
    """Two with one number are equal, whatever they hold."""

    def __init__(self, uid: int, x: Any) -> None:
        self.uid, self.x, self.log, self.n = uid, x, [], uid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sample) and self.uid == other.uid

    def __hash__(self) -> int:
        return hash(self.uid)

    def __lt__(self, other: Any) -> bool:
        return bool(self.uid < other.uid)

    def scaled(self, by: float) -> Any:
        """A method, which reads its object."""
        return self.x * by


USES: dict[str, Callable[[Any], Any]] = {
    "reads a tensor": lambda s: s.x * 2.0, "reads a number": lambda s: torch.ones(2) * s.n, "appends": lambda s: s.log.append(1),
    "writes a tensor": lambda s: s.x.add_(1.0), "sets": lambda s: setattr(s, "n", s.n + 1),
    "binds": lambda s: setattr(s, "x", s.x + 1),
    "gives it back": lambda s: s, "calls": lambda s: s.scaled(3.0), "compares": lambda s: s == Sample(1, None),
    "looks it up": lambda s: {s: 5.0}[s], "finds the largest": lambda s: max([s, Sample(0, torch.zeros(2))]).x}


@pytest.mark.parametrize("held", ["itself", "in a dictionary", "in a list"])
@pytest.mark.parametrize("use", USES)
def test_an_equal_object_is_another_one(use: str, held: str) -> None:
    """What is read is its own, and what is written is written into it."""
    def step(given: Any) -> Any:
        return USES[use](given if held == "itself" else given["s"] if held == "in a dictionary" else given[0])

    told = []
    for function in (step, torch.jit(step)):
        samples = [Sample(uid, torch.full((2,), value)) for uid, value in ((1, 1.0), (1, 7.0), (2, 3.0), (1, 5.0))]
        results = [function(s if held == "itself" else {"s": s} if held == "in a dictionary" else [s]) for s in samples]
        told.append([(samples.index(r) if isinstance(r, Sample) else r.tolist() if isinstance(r, torch.Tensor) else r)
                     for r in results])
        told[-1] += [(s.x.tolist(), s.log, s.n) for s in samples]
        assert use != "gives it back" or all(r is s for r, s in zip(results, samples))
    assert told[0] == told[1]


class _Items(dict):  # type: ignore[type-arg]
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__  # type: ignore[assignment]


class _Gets(dict):  # type: ignore[type-arg]
    def __getattr__(self, name: str) -> Any:
        return self.get(name)


class _Makes(dict):  # type: ignore[type-arg]
    def __getattr__(self, name: str) -> Any:
        return self.setdefault(name, _Makes())


class _Nothing(list):  # type: ignore[type-arg]
    def __getattr__(self, name: str) -> None:
        return None


@pytest.mark.parametrize("nested", [False, True], ids=["itself", "inside"])
@pytest.mark.parametrize("kind", [_Items, _Gets, _Makes, _Nothing], ids=lambda kind: kind.__name__)
def test_a_container_that_finds_attributes_by_itself_is_not_asked_for_any(kind: Any, nested: bool) -> None:
    made: Callable[[], Any] = (lambda: _Nothing([2.0])) if kind is _Nothing else lambda: kind(n=2.0)
    step = torch.jit(lambda c, x: x * ((c["c"] if nested else c)[0 if kind is _Nothing else "n"]))
    for _ in range(2):
        given = made()
        assert step({"c": given} if nested else given, torch.ones(2)).tolist() == [2.0, 2.0] and given == made()
    assert step.stats.compiles == 1


# --- Equal arguments are equal ----------------------------------------------------------------------------------------


class Weighed:
    """A class that says when two are equal, and may be changed."""

    def __init__(self, w: float) -> None:
        self.w = w

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Weighed) and self.w == other.w


EQUAL: dict[str, Callable[[], Any]] = {
    "slice": lambda: slice(1, 3), "deque": lambda: collections.deque([1.5, "a"]), "UserDict": lambda: collections.UserDict(k="v"),
    "namespace": lambda: types.SimpleNamespace(mode="sum", k=[1, 2]), "dataclass": lambda: Frozen("a", (1, "b")),
    "class": lambda: Box("mode", ["x", {"y": "z"}]), "nested class": lambda: Box(Box("a", None), Record(1, "c")),
    "equality": lambda: Weighed(0.5), "text beside": lambda: {"x": "caption", "y": ["a", "b"]}, "set": lambda: {"a", "b"},
    "numpy number": lambda: np.float32(0.5), "range": lambda: range(3), "bytes": lambda: b"ab", "complex": lambda: 1j,
}


@pytest.mark.parametrize("kind", EQUAL)
def test_equal_arguments_are_one_program(kind: str) -> None:
    step = torch.jit(lambda x, option: x * 2)
    for _ in range(3):
        assert step(torch.ones(2), EQUAL[kind]()).tolist() == [2, 2]
    assert step.stats.compiles == 1, step.why()


def test_an_object_that_differs_inside_is_another_program_and_why_says_where() -> None:
    step = torch.jit(lambda x, c: x * 2 if c.b[0] == "twice" else x * 3)
    assert step(torch.ones(1), Box(None, ["twice"])).item() == 2
    assert step(torch.ones(1), Box(None, ["thrice"])).item() == 3
    assert step.why()[1].changes == (("args[1].b[0]", "twice", "thrice"),)


def test_numbers_and_tensors_in_objects_are_inputs() -> None:
    step = torch.jit(lambda c: c.a * c.b["k"])
    for k in (1.0, 2.0, 3.0):
        assert step(Box(torch.full((2,), k), {"k": k + 1})).tolist() == [k * (k + 1)] * 2
    assert step.stats.compiles == 1


def test_an_object_with_a_module_is_that_object() -> None:
    step = torch.jit(lambda c, x: c.a(x))
    one, other = Box(nn.Linear(2, 2), None), Box(nn.Linear(2, 2), None)
    x = torch.ones(2)
    for c in (one, other, one):
        assert step(c, x).tolist() == pytest.approx(c.a(x).tolist(), rel=1e-6)


def test_named_tuples_with_a_number_that_is_looked_at() -> None:
    rate = collections.namedtuple("rate", "lr w")
    step = torch.jit(lambda x, p: p.w if p.lr > 0.5 else p.w * 2)
    for lr, factor in itertools.product((0.1, 0.2, 0.9), (1.0, 3.0)):
        assert step(torch.ones(1), rate(lr, torch.full((1,), factor))).item() == (factor if lr > 0.5 else 2 * factor)


# --- What is kept ------------------------------------------------------------------------------------------------------


def test_programs_that_were_not_used_for_long_are_dropped() -> None:
    step = torch.jit(lambda x: x + 1, max_kept=3)
    for n in (1, 2, 3, 1, 4):
        step(torch.ones(n))
    assert step.stats.compiles == 4
    step(torch.ones(1))
    assert step.stats.compiles == 4
    step(torch.ones(2))
    assert step.stats.compiles == 5


def test_copies_of_arguments_are_independent() -> None:
    step = torch.jit(lambda b: b.update(y=b["x"] * 2))
    first = {"x": torch.ones(2)}
    second = copy.copy(first)
    step(first)
    assert "y" in first and "y" not in second


# --- What code does with a parameter ----------------------------------------------------------------------------------


def test_a_list_that_is_only_appended_to_causes_one_compile() -> None:
    @torch.jit
    def step(x: Any, history: Any, table: Any = None) -> Any:
        loss = x.sum()
        history.append(loss)
        history.extend([loss * 2, "text"])
        table["last"] = loss
        return loss

    history: list[Any] = []
    table: dict[str, Any] = {"other": 1}
    for k in range(50):
        loss = step(torch.full((2,), float(k)), history, table=table)
        assert history[-3] is loss and table["last"] is loss
    assert [x.item() for x in history[::3]] == [2.0 * k for k in range(50)] and table["other"] == 1
    assert step.stats.compiles == 1, step.why()
    history.clear()
    step(torch.ones(2), history, table={})
    assert len(history) == 3 and step.stats.compiles == 1


def test_one_list_as_two_arguments_of_which_one_is_read() -> None:
    @torch.jit
    def step(out: Any, given: Any) -> Any:
        out.append(given[0] + 1)
        return len(given)

    xs, ys = [torch.ones(1)], [torch.zeros(1)]
    assert step(xs, xs) == 2 and xs[1].item() == 2
    assert step(xs, ys) == 1 and xs[2].item() == 1


def test_an_argument_that_is_never_read_causes_no_compile() -> None:
    @torch.jit
    def step(x: Any, name: str, unused: Any = None) -> Any:
        return x * 2

    for k in range(4):
        assert step(torch.ones(2), f"sample {k}", unused=torch.ones(k)).tolist() == [2, 2]
    assert step.stats.compiles == 1

    @torch.jit
    def sneaky(x: Any, name: str) -> Any:
        return x * len(locals()["name"])

    assert [sneaky(torch.ones(1), "a" * k).item() for k in (1, 2, 3)] == [1, 2, 3]

    @torch.jit
    def inner(x: Any, name: str) -> Any:
        return (lambda: x * len(name))()

    assert [inner(torch.ones(1), "a" * k).item() for k in (1, 2, 3)] == [1, 2, 3]


def _holds_itself(x: Any) -> Any:
    made: list[Any] = [x * 2]
    made.append(made)
    return made


def _hold_each_other(x: Any) -> Any:
    first: dict[str, Any] = {"x": x * 2}
    first["other"] = [first]
    return first


def test_what_is_made_may_hold_itself(numpy_engine: None) -> None:
    left: dict[str, Any] = {}
    alone, both = torch.jit(_holds_itself), torch.jit(_hold_each_other)
    step = torch.jit(lambda x: left.update(made=_holds_itself(x)))
    for k in (1.0, 2.0):
        made, first = alone(torch.full((1,), k)), both(torch.full((1,), k))
        assert made[1] is made and made[0].item() == 2 * k
        assert first["other"][0] is first and first["x"].item() == 2 * k
        step(torch.full((1,), k))
        assert left["made"][1] is left["made"] and left["made"][0].item() == 2 * k


def test_a_tuple_that_is_made_and_holds_itself_is_refused(numpy_engine: None) -> None:
    def step(x: Any) -> Any:
        inside: list[Any] = []
        made = (x * 2, inside)
        inside.append(made)
        return made

    with pytest.raises(TraceError, match="holds itself, so that no call could make one like"):
        torch.jit(step)(torch.ones(2))


def test_what_is_given_or_found_may_hold_itself(numpy_engine: None) -> None:
    given: list[Any] = [torch.ones(2)]
    given.append(given)
    outside: dict[str, Any] = {"x": torch.ones(2)}
    outside["me"] = outside
    step = torch.jit(lambda xs: xs[1][1][0] * 2 + outside["me"]["me"]["x"])
    assert [step(given).tolist() for _ in range(3)] == [[3.0, 3.0]] * 3
    assert step.stats.compiles == 1
