"""An attribute that code can do without, and that something gets later, is seen when it comes and when it goes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

import flambeau as torch

from .test_effects import OWNERS, X


def _has(o: Any, x: Any) -> Any:
    return x * 2 if hasattr(o, "extra") else x


def _default(o: Any, x: Any) -> Any:
    return x * getattr(o, "extra", 3)


def _caught(o: Any, x: Any) -> Any:
    try:
        return x * o.extra
    except AttributeError:
        return x


def _caught_all(o: Any, x: Any) -> Any:
    try:
        return x * o.extra
    except:  # noqa: E722
        return x


def _suppressed(o: Any, x: Any) -> Any:
    with contextlib.suppress(AttributeError):
        x = x * o.extra
    return x


def _matched(o: Any, x: Any) -> Any:
    match o:
        case object(extra=n):
            return x * n
    return x


WAYS = {f.__name__.strip("_"): f for f in (_has, _default, _caught, _caught_all, _suppressed, _matched)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(OWNERS.keys() - {"tensor", "parameter", "thread"}))
def test_what_comes_later_is_seen(name: str, way: str) -> None:
    owner, read = OWNERS[name](), WAYS[way]
    step = torch.jit(lambda x: read(owner, x))
    for given in (None, 5, None, 7):
        if given is None and hasattr(owner, "extra"):
            del owner.extra
        elif given is not None:
            owner.extra = given
        assert step(X).tolist() == read(owner, X).tolist(), given


def test_what_a_method_can_do_without_concerns_its_own_objects() -> None:
    class Model:
        def forward(self, x: Any) -> Any:
            return x * getattr(self, "extra", 1)

    class Other:
        scale = 2

    model, other = Model(), Other()
    step = torch.jit(lambda x: model.forward(x) * other.scale)
    assert step(X).tolist() == [2, 4, 6]
    other.extra = 3  # type: ignore[attr-defined]
    assert step(X).tolist() == [2, 4, 6] and step.stats.compiles == 1
    model.extra = 3  # type: ignore[attr-defined]
    assert step(X).tolist() == [6, 12, 18] and "model.extra" in str(step.why())
    Model.extra = 4  # type: ignore[attr-defined]
    assert step(X).tolist() == [6, 12, 18]
    del model.extra  # type: ignore[attr-defined]
    assert step(X).tolist() == [8, 16, 24]


def test_containers_that_are_set_and_never_read_cost_one_compile() -> None:
    for owner in (OWNERS["object"](), OWNERS["namespace"](), OWNERS["layer"](), OWNERS["class"]()):

        def step(x: Any, owner: Any = owner) -> Any:
            owner.outputs = {"x": x * 2, "pair": (x, [x + 1])}
            return x

        compiled = torch.jit(step)
        for k in range(4):
            compiled(X * k)
            assert owner.outputs["x"].tolist() == (X * k * 2).tolist()
        assert compiled.stats.compiles == 1


# --- What a `__getattr__` gives until it is there ---------------------------------------------------------------------

ANSWERING = {
    "its own": "class B: pass\nclass C(B):\n    def __getattr__(self, name): return answer(name)",
    "of a base": "class B:\n    def __getattr__(self, name): return answer(name)\nclass C(B): pass",
    "before a base": "class M:\n    def __getattr__(self, name): return answer(name)\nclass B: pass\nclass C(M, B): pass",
    "__getattribute__": "class B: pass\nclass C(B):\n    def __getattribute__(self, name):\n        try:\n"
                        "            return object.__getattribute__(self, name)\n        except AttributeError:\n"
                        "            return answer(name)",
    "written in C": "class B(dict): pass\nclass C(B): __getattr__ = dict.__getitem__",
    "of a module": "class B(torch.nn.Module): pass\nclass C(B):\n    def __getattr__(self, name): return answer(name)",
    "of a metaclass": "class M(type):\n    def __getattr__(cls, name): return answer(name)\n"
                      "class B(metaclass=M): pass\nclass C(B): pass",
    "of a file": "import types\nB = c = types.ModuleType('there')\nc.__getattr__ = lambda name: answer(name)",
}
MADE = {"written in C": "c = C(extra=2.)", "of a metaclass": "c = C", "of a file": ""}
READING = {"attribute": "lambda x: x * c.extra", "by name": "lambda x: x * getattr(c, 'extra')",
           "of a variable": "lambda x: (lambda v: x * v.extra)(c)", "of an item": "lambda x: x * [c][0].extra"}
LATER = ["c.extra = 3.", "B.extra = 4.", "c.extra = 5.", "del c.extra", "del B.extra", "C.extra = 6.", "B.extra = 7.",
         "del C.extra"]


@pytest.mark.parametrize("read", READING)
@pytest.mark.parametrize("kind", ANSWERING)
def test_what_was_made_up_comes(kind: str, read: str, numpy_engine: None) -> None:
    def answer(name: str) -> float:
        if name == "extra":
            return 2.0
        raise AttributeError(name)

    names: dict[str, Any] = {"__name__": __name__, "torch": torch, "answer": answer}
    exec(f"{ANSWERING[kind]}\n{MADE.get(kind, 'c = C()')}\nf = {READING[read]}", names)
    names.setdefault("C", names["B"])
    step = torch.jit(names["f"])
    assert step(X).tolist() == step(X).tolist() == names["f"](X).tolist() and step.stats.compiles == 1
    for later in LATER:
        with contextlib.suppress(AttributeError):  # where the three are one
            exec(later, names)
        assert step(X).tolist() == names["f"](X).tolist(), later


def test_the_function_of_a_file_that_makes_up_is_exchanged(numpy_engine: None) -> None:
    names: dict[str, Any] = {"__name__": __name__}
    exec("import types\nm = types.ModuleType('there')\nm.__getattr__ = lambda name: 2.\nf = lambda x: x * m.extra", names)
    step = torch.jit(names["f"])
    assert step(X).tolist() == [2, 4, 6]
    names["m"].__getattr__ = lambda name: 3.0
    assert step(X).tolist() == [3, 6, 9]


# --- Another dictionary -----------------------------------------------------------------------------------------------

BODIES = {"plain": "class C: pass", "of a base": "class B: pass\nclass C(B): pass", "of an error": "class C(ValueError): pass",
          "of a list": "class C(list): pass", "of the library": "import collections\nclass C(collections.UserList): pass",
          "with slots": "class B: __slots__ = ('j',)\nclass C(B): pass",
          "with a __getattribute__": "class C:\n    def __getattribute__(self, name): return object.__getattribute__(self, name)",
          "an optimizer": "class C(torch.optim.SGD):\n    def __init__(self):\n        super().__init__([torch.ones(1)], lr=1.)"}
REPLACED = {"another": "c.__dict__ = {**c.__dict__, 'k': 3.}", "an equal one": "c.__dict__ = dict(c.__dict__)",
            "that of a twin": "c.__dict__ = d.__dict__",
            "by a method": "C.take = lambda s, d: setattr(s, '__dict__', d)\nc.take(vars(d))"}


@pytest.mark.parametrize("how", REPLACED)
@pytest.mark.parametrize("kind", BODIES)
def test_another_dictionary_is_seen(kind: str, how: str, numpy_engine: None) -> None:
    names: dict[str, Any] = {"__name__": __name__, "torch": torch}
    exec(f"{BODIES[kind]}\nc, d = C(), C()\nc.k, d.k = 2., 5.\nf = lambda x: x * c.k", names)
    step = torch.jit(names["f"])
    assert step(X).tolist() == [2, 4, 6]
    for change in (REPLACED[how], "c.k = 7.", "d.k = 9.", "del c.__dict__['k']\nC.k = 1."):
        exec(change, names)
        assert step(X).tolist() == step(X).tolist() == names["f"](X).tolist(), change
    assert step.stats.compiles <= 5
