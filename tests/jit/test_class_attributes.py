"""Attributes of classes, their own and inherited; also of those whose module is in no table, as after `exec`."""

from __future__ import annotations

import itertools
import types
from typing import Any

import pytest

import flambeau as torch

CLASSES = {
    "plain": "class B: k = 1\nC = B",
    "derived": "class B: k = 1\nclass C(B): pass",
    "twice derived": "class A: k = 1\nclass B(A): pass\nclass C(B): j = 1",
    "with slots": "class B:\n    __slots__ = ()\n    k = 1\nclass C(B): pass",
    "of a metaclass": "class M(type): pass\nclass B(metaclass=M): k = 1\nclass C(B): pass",
    "with a method": "class B:\n    k = 1\n    def j(self): return self.k\nclass C(B): pass",
    "of a method": "class B:\n    def j(self): return 1\nclass C(B): k = 1\nB = C",
    "of an exception": "class B(Exception): k = 1\nclass C(B): pass",
    "of a list": "class B(list): k = 1\nclass C(B): pass",
    "of an int": "class B(int): k = 1\nclass C(B): pass",
    "of a dict": "class B(dict): k = 1\nclass C(B): pass",
    "of a function of typing": "import typing\nclass B(typing.Generic[typing.TypeVar('T')]): k = 1\nclass C(B): pass",
}
READS = {"attribute": "lambda x: x * c.k", "by name": "lambda x: x * getattr(c, 'k')",
         "or another": "lambda x: x * getattr(c, 'k', 9)",
         "of the class": "lambda x: x * C.k", "of the class, by name": "lambda x: x * getattr(C, 'k')",
         "of its class": "lambda x: x * type(c).k", "by super": "lambda x: x * super(C, c).k",
         "of a class in a list": "(lambda s: lambda x: x * s[0].k)([C])", "of its base": "lambda x: x * C.__base__.k",
         "of its class's base": "lambda x: x * c.__class__.__base__.k"}
CHANGES = {"of the base": "B.k = 2", "of the class": "C.k = 3", "of the object": "c.k = 4",
           "another class": "c = type('D', (C,), {'k': 5})()", "gone": "del B.k\nC.k = 6"}


pytestmark = pytest.mark.usefixtures("numpy_engine")


@pytest.mark.parametrize("home", [__name__, "a_module_that_is_in_no_table"])
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("kind", CLASSES)
def test_changes_are_seen(kind: str, read: str, home: str) -> None:
    for change in CHANGES:
        names: dict[str, Any] = {"__name__": home}
        exec(f"{CLASSES[kind]}\nc = C()\nf = {READS[read]}", names)
        step = torch.jit(names["f"])
        for _ in range(2):
            assert _given(step) == _given(names["f"])
        try:
            exec(CHANGES[change], names)
        except AttributeError:  # an object with slots
            continue
        assert _given(step) == _given(names["f"]), change
        assert step.stats.compiles <= 2


def _given(f: Any) -> Any:
    try:
        return f(torch.ones(1)).item()
    except AttributeError:
        return None


def test_all_are_made() -> None:
    assert len(list(itertools.product(CLASSES, READS, CHANGES))) == 600


# --- Which class hides which ------------------------------------------------------------------------------------------

ORDERS = {
    "mixins": "class B: pass\nclass M: pass\nclass C(M, B): pass",
    "a mixin of a branch": "class B: pass\nclass M: pass\nclass N(B): pass\nclass C(M, N): pass",
    "a diamond": "class A: pass\nclass B(A): pass\nclass M(A): pass\nclass C(M, B): pass",
    "of the library": "import collections\nclass M: pass\nclass B(collections.UserDict): pass\nclass C(M, B): pass",
    "modules": "class M: pass\nclass B(torch.nn.Module): pass\nclass C(M, B): pass",
    "of a metaclass": "class M(type): pass\nclass N(type): pass\nclass B(M, N): pass\nclass C(metaclass=B): pass\nM, B = N, M",
}
USED = {"a number": ("{} = {}", "lambda x: x * c.k"), "by name": ("{} = {}", "lambda x: x * getattr(c, 'k')"),
        "a method": ("{} = lambda self: {}", "lambda x: x * c.k()"),
        "a property": ("{} = property(lambda self: {})", "lambda x: x * c.k"),
        "of self": ("{} = {}", "types.MethodType(lambda self, x: x * self.k, c)")}


@pytest.mark.parametrize("order, use", [(order, use) for order in ORDERS for use in USED
                                        if order != "of a metaclass" or use not in ("a method", "a property")])
def test_a_class_hides_what_is_behind_it(order: str, use: str) -> None:
    put, read = USED[use]
    names: dict[str, Any] = {"__name__": __name__, "torch": torch, "types": types}
    made = "c = C" if "metaclass" in order else "c = C()"
    exec(f"{ORDERS[order]}\n{put.format('B.k', 1)}\n{made}\nf = {read}", names)
    step = torch.jit(names["f"])
    changes = [put.format(f"{kind}.k", value) for value, kind in enumerate("MCBMCB", 2)]
    changes[2:2] = ["del C.k"]
    for change in [*changes, "del C.k", "del M.k", put.format("M.k", 9), "del M.k"]:
        for _ in range(2):
            assert _given(step) == _given(names["f"])
        exec(change, names)
        assert _given(step) == _given(names["f"]), change


# --- Tensors of users' classes ----------------------------------------------------------------------------------------

TENSORS = {"a parameter": "w = c = C(torch.ones(1))",
           "of a layer": "m = torch.nn.Linear(1, 1)\nm.weight = c = C(torch.ones(1, 1))",
           "a buffer": "m = torch.nn.Module()\nm.register_buffer('w', C(torch.ones(1)))\nc = m.w"}
READ_OF = {"a parameter": "w", "of a layer": "m.weight", "a buffer": "m.w"}
OF_TENSORS = {"attribute": "lambda x: x * {}.k", "by name": "lambda x: x * getattr({}, 'k')", "a method": "lambda x: x * {}.j()",
              "of self": "lambda x: x * {}.i"}


@pytest.mark.parametrize("made_up", [False, True])
@pytest.mark.parametrize("read", OF_TENSORS)
@pytest.mark.parametrize("kind", TENSORS)
def test_attributes_of_tensors_hide_those_of_their_class(kind: str, read: str, made_up: bool) -> None:
    names: dict[str, Any] = {"__name__": __name__, "torch": torch}
    first = "def __getattr__(self, name): return 2." if made_up else "k = 2."
    exec(f"class B(torch.nn.Parameter):\n    {first}\nclass C(B):\n    def j(self): return self.k\n"
         f"    i = property(lambda self: self.k)\n{TENSORS[kind]}\nf = {OF_TENSORS[read].format(READ_OF[kind])}", names)
    step = torch.jit(names["f"])
    for change in ("", "c.k = 3.", "C.k = 4.", "del c.k", "B.k = 5.", "del C.k", "c.k = 6."):
        exec(change, names)
        assert _given(step) == _given(step) == _given(names["f"]), change
    assert step.stats.compiles <= 7
