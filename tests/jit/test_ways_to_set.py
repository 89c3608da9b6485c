"""Every way in which code sets or deletes an attribute or a variable, of everything that has some, also unread ones."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

from ..three_ways import result

pytestmark = pytest.mark.usefixtures("numpy_engine")


class Plain:
    """An object of a user's class."""


class Slotted:
    __slots__ = ("a", "b")


class Module(nn.Module):
    """A module with attributes that are no parameters."""


def a_class() -> type:
    return type("OfATest", (), {"__module__": __name__})


HOLDERS: dict[str, Callable[[], Any]] = {
    "namespace": types.SimpleNamespace, "object": Plain, "slots": Slotted, "module": Module, "class": a_class}
OF_ALL = ("o.a = {v}", "o.b, o.a = x, {v}", "for o.a in (x, {v}): pass", "setattr(o, 'a', {v})", "setattr(o, 'ab'[i % 2], {v})",
          "type(o).__setattr__(o, 'a', {v})", "type(o).__delattr__(o, 'a')", "del o.a", "delattr(o, 'a')",
          "delattr(o, 'ab'[i % 2])", "set_, name = type(o).__setattr__, 'a'; set_(o, name, {v})", "del o.a; o.a = {v}",
          "if hasattr(o, 'a'): del o.a")
OF_OBJECTS = ("o.__setattr__('a', {v})", "object.__setattr__(o, 'a', {v})", "object.__setattr__(o, 'ab'[i % 2], {v})",
              "o.__delattr__('a')", "object.__delattr__(o, 'a')", "object.__delattr__(o, 'ab'[i % 2])")
OF_TABLES = ("o.__dict__['a'] = {v}", "vars(o)['a'] = {v}", "o.__dict__.update(a={v})", "o.__dict__.setdefault('a', {v})",
             "o.__dict__.pop('a')", "del vars(o)['a']")
VARIABLES = ("a = {v}", "del a", "del a; a = {v}", "for a in (x, {v}): pass", "[a, *c] = {v}, x")
VALUES = ("x * i", "i", "5", "[x, i]")


def cases() -> list[tuple[str, str]]:
    """Holders and statements."""
    found = [(holder, way) for holder in HOLDERS for way in (*OF_ALL, *(OF_OBJECTS if holder != "class" else ()),
             *(OF_TABLES if holder in ("namespace", "object") else ()))]
    found += [(holder, way) for holder in ("global", "cell") for way in VARIABLES]
    return list(dict.fromkeys((holder, way.format(v=v)) for holder, way in found for v in VALUES))


def written(holder: str, way: str, read: bool) -> str:
    """The source of a step, and of what looks at the variable and sets it."""
    a, kind = ("o.a", "") if holder in HOLDERS else ("a", "global" if holder == "global" else "nonlocal")
    step = ["def step(x, i):", *([f" {kind} a"] if kind else []), *([f" x = x + ({a} is None)"] if read else []), f" {way}",
            " return x * 2"]
    around = ["def get(): return a", "def put(v):", f" {kind} a", " a = v"] if kind else []
    if kind != "nonlocal":
        return "\n".join([*step, *around])
    return "\n ".join(["def made(a):", *step, *around, "return step, get, put"]) + "\nstep, get, put = made(1)"


def playing(holder: str, way: str, read: bool) -> Callable[[Any, Any], Any]:
    """What calls give, errors included, and what is there after each; before the fourth `a` is set outside."""

    def scenario(library: Any, jit: Any) -> list[Any]:
        names: dict[str, Any] = {"__name__": "of_a_user", "a": 1}
        if holder in HOLDERS:
            o = names["o"] = HOLDERS[holder]()
            o.a, o.b = 1, 2
            names |= {"get": lambda: [getattr(o, n, None) for n in "ab"], "put": lambda v: setattr(o, "a", v)}
        exec(compile(written(holder, way, read), "of_a_user.py", "exec"), names)
        step, seen = jit(names["step"]), []
        for i in range(6):
            if i == 3:
                names["put"](7)
            try:
                seen.append(step(library.ones(2) * i, i))
            except (AttributeError, NameError, KeyError) as error:
                seen.append(type(error).__name__)
            seen.append(result(lambda *_: names["get"](), None, None))
        return seen

    return scenario


@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
@pytest.mark.parametrize("holder", [*HOLDERS, "global", "cell"])
def test_each_call_does_what_the_code_says(holder: str, read: bool) -> None:
    failed = []
    for way in [way for of, way in cases() if of == holder]:
        plain, jitted = (result(playing(holder, way, read), torch, jit) for jit in (lambda f: f, torch.jit))
        if plain != jitted:
            failed.append((way, plain, jitted))
    assert not failed, (len(failed), failed)
