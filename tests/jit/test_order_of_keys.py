"""The order of the keys of a dict costs no compile where code asks for keys alone, and is seen wherever it may matter."""

from __future__ import annotations

import collections
from typing import Any

import pytest

import flambeau as torch

VALUES = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 4.0]), "c": torch.tensor([5.0, 6.0])}
ORDERS = [dict.fromkeys(names) for names in ("abc", "cab", "bca")]


def _helper(d: Any) -> Any:
    return sum(x * (i + 1) for i, x in enumerate(d.values()))


def _named(a: Any, b: Any, c: Any) -> Any:
    return a - b * c


def _any(**given: Any) -> Any:
    return _helper(given)


def _items(d: Any) -> Any:
    return d["a"] - d["b"] * d["c"]


def _get(d: Any) -> Any:
    return d.get("a") - d.get("x", 2.0) * d["b"]


def _contains(d: Any) -> Any:
    return d["a"] * 2 if "b" in d and "x" not in d else d["b"]


def _test(d: Any) -> Any:
    return d["a"] - d["b"] if d else 0


def _by_variable(d: Any) -> Any:
    total = 0
    for i, name in enumerate(("c", "a")):
        total = total + d[name] * (i + 1)
    return total


def _store(d: Any) -> Any:
    d["pred"] = d["a"] * 2
    d["b"] = d["b"] + 1
    return d["pred"] - d["c"]


def _store_alone(d: Any) -> Any:
    d["pred"] = VALUES["a"] * 2
    d["b"] = VALUES["b"] * 3
    return VALUES["a"] * 1


BY_KEY = {f.__name__.strip("_"): f for f in (_items, _get, _contains, _test, _by_variable, _store, _store_alone)}


def _values(d: Any) -> Any:
    return _helper(dict(d))


def _iterate(d: Any) -> Any:
    return sum(d[k] * (i + 1) for i, k in enumerate(d))


def _keys(d: Any) -> Any:
    return d[next(iter(d.keys()))] * 2


def _pairs(d: Any) -> Any:
    return sum(x * len(k) * (i + 1) for i, (k, x) in enumerate(d.items()))


def _reversed(d: Any) -> Any:
    return d[next(reversed(d))] * 2


def _list(d: Any) -> Any:
    return d[list(d)[-1]] * 2


def _unpack(d: Any) -> Any:
    first, *_ = d
    return d[first] * 2


def _popitem(d: Any) -> Any:
    return d.popitem()[1] * 2


def _pop(d: Any) -> Any:
    return d.pop("a") * 2


def _delete(d: Any) -> Any:
    x = d["a"]
    del d["a"]
    d["a"] = x * 2
    return x


def _update(d: Any) -> Any:
    d.update({"a": d["b"] * 2})
    return d["a"]


def _as_keywords(d: Any) -> Any:
    return _any(**d)


def _as_named_keywords(d: Any) -> Any:
    return _named(**d)


def _merged(d: Any) -> Any:
    return _helper({**d})


def _or(d: Any) -> Any:
    return _helper(d | {})


def _to_helper(d: Any) -> Any:
    return _helper(d)


def _returned(d: Any) -> Any:
    return {**d, "x": d["a"] * 2}


def _sorted(d: Any) -> Any:
    return sum(d[k] * (i + 1) for i, k in enumerate(sorted(d)))


def _closure(d: Any) -> Any:
    return (lambda: _helper(d))()


def _locals(d: Any) -> Any:
    return _helper(locals()["d"])


def _another_name(d: Any) -> Any:
    e = d
    return _helper(e) + d["a"]


ITERATING = {f.__name__.strip("_"): f for f in (
    _values, _iterate, _keys, _pairs, _reversed, _list, _unpack, _popitem, _pop, _delete, _update, _as_keywords,
    _as_named_keywords, _merged, _or, _to_helper, _returned, _sorted, _closure, _locals, _another_name)}


def plain(x: Any) -> Any:
    """What there is, with the order of keys."""
    if isinstance(x, dict):
        return [(k, plain(v)) for k, v in x.items()]
    return x.tolist() if isinstance(x, torch.Tensor) else x


def made(order: Any, kind: Any = dict) -> Any:
    """The values in some order of keys."""
    return kind((name, VALUES[name] * 1) for name in order)


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict], ids=["dict", "OrderedDict"])
@pytest.mark.parametrize("name", [*BY_KEY, *ITERATING])
def test_each_order_gives_what_the_function_gives(name: str, kind: Any) -> None:
    function: Any = {**BY_KEY, **ITERATING}[name]
    step = torch.jit(function)
    for order in (*ORDERS, *ORDERS):
        ours, theirs = made(order, kind), made(order, kind)
        assert plain(step(ours)) == plain(function(theirs)), order
        assert plain(ours) == plain(theirs)  # what it holds, in that order
    assert step.stats.compiles == (1 if name in BY_KEY and (kind is dict or name == "store_alone") else 3)


def test_a_dict_that_comes_twice_is_seen_in_its_order_where_one_use_iterates() -> None:
    def step(d: Any, e: Any) -> Any:
        return d["a"] + _helper(e)

    compiled = torch.jit(step)
    for order in ORDERS:
        both = made(order)
        assert plain(compiled(both, both)) == plain(step(both, both))
        assert plain(compiled(made(order), both)) == plain(step(both, both))
        assert plain(compiled(both, {"k": both}["k"])) == plain(step(both, both))


def test_what_is_in_a_dict_has_its_order_still() -> None:
    def step(d: Any) -> Any:
        return _helper(d["in"]) * d["a"]

    compiled = torch.jit(step)
    for order in ORDERS:
        for outer in ({"in": made(order), "a": VALUES["a"]}, {"a": VALUES["a"], "in": made(order)}):
            assert plain(compiled(outer)) == plain(step(outer))
    assert compiled.stats.compiles == 3


def test_keywords_in_another_order() -> None:
    def step(x: Any, *, scale: Any, shift: Any) -> Any:
        return x * scale + shift

    def free(x: Any, **given: Any) -> Any:
        return x * _helper(given)

    compiled, loose = torch.jit(step), torch.jit(free)
    x = VALUES["a"]
    assert plain(compiled(x, scale=2.0, shift=VALUES["b"])) == plain(compiled(x, shift=VALUES["b"], scale=2.0)) == [5, 8]
    assert compiled.stats.compiles == 1
    for order in ORDERS:
        assert plain(loose(x, **made(order))) == plain(free(x, **made(order)))
    assert loose.stats.compiles == 3


def test_other_keys_and_other_kinds_of_them_are_other_arguments() -> None:
    step = torch.jit(lambda d: d[1] * 2 if 1 in d else d["1"])
    x, y = VALUES["a"], VALUES["b"]
    assert plain(step({1: x, 2: y})) == plain(step({2: y, 1: x})) == [2, 4] and step.stats.compiles == 1
    assert plain(step({"1": x, 2: y})) == [1, 2]
    assert plain(step({1: x})) == [2, 4] and step.stats.compiles == 3


def test_gradients_and_in_place_writes_go_where_they_belong() -> None:
    def step(d: Any) -> Any:
        d["a"].add_(d["b"])
        (d["w"] * d["a"]).sum().backward()
        return d["a"].sum()

    compiled = torch.jit(step)
    for order in (("a", "b", "w"), ("w", "b", "a"), ("b", "a", "w")):
        ours = {"a": VALUES["a"].clone(), "b": VALUES["b"], "w": torch.ones(2, requires_grad=True)}
        assert compiled({name: ours[name] for name in order}).item() == 10
        assert ours["a"].tolist() == [4, 6] and ours["w"].grad.tolist() == [4, 6] and ours["b"].tolist() == [3, 4]
    assert compiled.stats.compiles == 1
