"""Objects of users' classes that inherit from Python's: what methods there read and write is seen, as in users' own."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch

pytestmark = pytest.mark.usefixtures("numpy_engine")

# How one is made of `C`, a class below the one that is named; what is read of it; what changes it, one after the other.
MEMBERS: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "collections.UserDict": (
        "C(k=2., n=1)",
        {"an item": "c['k']", "get": "c.get('j', 5.)", "in": "3. if 'j' in c else 4.", "len": "len(c)",
         "a loop": "sum(c.values())", "copied": "c.copy()['k']", "unpacked": "dict(**c)['k']", "joined": "(c | {'j': 4.})['k']"},
        ["c['k'] = 3.", "c['j'] = 7.", "del c['j']", "c.update(k=4.)", "c.data['k'] = 5.", "c.data = {'k': 6.}", "c.pop('k', 0)",
         "c.setdefault('k', 8.)"]),
    "collections.UserList": (
        "C([2., 1.])",
        {"an item": "c[0]", "len": "len(c)", "a loop": "sum(c)", "in": "3. if 9. in c else 4.", "a slice": "sum(c[1:])",
         "a sum": "sum(c + [1.])", "index": "c.index(2.) if 2. in c else -1", "equal": "float(c == [3., 1.])"},
        ["c[0] = 3.", "c.append(9.)", "c.data[0] = 2.", "c.pop()", "c.data = [5., 6.]", "c.reverse()", "c += [2.]", "c.clear()",
         "c.extend([3., 1.])"]),
    "collections.UserString": (
        "C('ab')", {"len": "len(c)", "in": "3. if 'c' in c else 4.", "find": "c.find('b')", "equal": "float(c == 'abc')"},
        ["c.data = 'abc'", "c.data = 'b'"]),
    "collections.ChainMap": (
        "C({'k': 2.}, {'j': 1.})",
        {"an item": "c['k']", "get": "c.get('j', 5.)", "in": "3. if 'i' in c else 4.", "len": "len(c)"},
        ["c['k'] = 3.", "c.maps[1]['j'] = 4.", "c['i'] = 1.", "c.maps.insert(0, {'k': 7.})", "c.maps = [{'k': 1.}]"]),
    "collections.Counter": (
        "C(k=2)", {"an item": "c['k']", "of none": "c['j']", "most": "c.most_common()[0][1]", "total": "c.total()"},
        ["c['k'] += 1", "c['j'] += 4", "c.subtract('k')", "c.update('jj')"]),
    "string.Template": ("C('$k')", {"text": "float(c.substitute(k=2))"}, ["c.template = '${k}1'", "c.template = '3'"]),
    "configparser.ConfigParser": (
        "C({'k': '2'})",
        {"an item": "float(c['DEFAULT']['k'])", "in": "3. if 'j' in c else 4.", "number": "c.getfloat('DEFAULT', 'k')"},
        ["c['DEFAULT']['k'] = '3'", "c['j'] = {}", "c.set('DEFAULT', 'k', '4')"]),
    "logging.LoggerAdapter": (
        "C(logging.Logger('a', 30), {})", {"level": "float(c.isEnabledFor(10))", "getLevel": "c.getEffectiveLevel()"},
        ["c.setLevel(10)", "c.logger.setLevel(20)", "c.logger = logging.Logger('b', 5)", "c.logger.disabled = True"]),
}
BODIES = {"nothing": "class C({}): pass", "further below": "class B({}): pass\nclass C(B): pass",
          "beside a mixin": "class M: pass\nclass C(M, {}): pass",
          "with a constructor": "class C({}):\n"
                                "    def __init__(self, *a, **k):\n        super().__init__(*a, **k)\n        self.own = 1"}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("kind, read", [(kind, read) for kind, (_, reads, _) in MEMBERS.items() for read in reads])
def test_changes_are_seen(kind: str, read: str, body: str) -> None:
    made, reads, changes = MEMBERS[kind]
    names: dict[str, Any] = {"__name__": __name__}
    exec(f"import collections, configparser, logging, string\n{BODIES[body].format(kind)}\nc = {made}\n"
         f"f = lambda x: x * ({reads[read]})", names)
    step = torch.jit(names["f"])
    assert _given(step) == _given(step) == _given(names["f"])
    for change in changes:
        exec(change, names)
        assert _given(step) == _given(step) == _given(names["f"]), change
    assert step.stats.compiles <= 1 + len(changes)


def _given(f: Any) -> Any:
    try:
        return f(torch.ones(1)).item()
    except (LookupError, ValueError) as error:
        return type(error)


WRITES = {"an item": "d['n'] = d['n'] + 1", "in place": "d['n'] += 1", "update": "d.update(n=d['n'] + 1)",
          "a tensor": "d['t'] = d['t'] + x", "what nobody reads": "d['last'] = x * 2",
          "an attribute that nobody reads": "d.last = x * 2",
          "a list": "l[0] = l[0] * 2", "data": "d.data['n'] = d.data['n'] + 2"}


@pytest.mark.parametrize("write", WRITES)
def test_writes_happen_at_each_call(write: str) -> None:
    seen = []
    for wrap in (lambda f: f, torch.jit):
        names: dict[str, Any] = {"__name__": __name__, "torch": torch}
        exec("import collections\nclass D(collections.UserDict): pass\nclass L(collections.UserList): pass\n"
             "d, l = D(n=0, t=torch.zeros(2)), L([1.])\n"
             f"def step(x):\n    {WRITES[write]}\n    return x * d['n'] * l[0] + d['t']", names)
        step = wrap(names["step"])
        given = [step(torch.ones(2) * k).tolist() for k in range(5)]
        kept = {**names["d"], **vars(names["d"]), "data": None}
        held = {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in kept.items()}
        seen.append((given, held, list(names["l"])))
    assert seen[0] == seen[1] and step.stats.compiles <= 2
