"""Keys and attributes come in the order in which a step leaves them, at the first call and at later ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

X = torch.ones(2)


class Own:
    """An object of the user's."""


def _put_back(d: Any, x: Any, n: int) -> None:
    d["m"] = d.pop("m", None)
    d.setdefault("n", x)


def _created_after_another(d: Any, x: Any, n: int) -> None:
    d["extra"] = n
    if "mask" not in d:
        d["mask"] = torch.ones(2)
    d["last"] = x * d["mask"]


def _taken_out_and_in(d: Any, x: Any, n: int) -> None:
    for key in ("a", "b", "c"):
        d[key] = x * n
    del d["a"]
    d["a"] = 1


def _in_turn(d: Any, x: Any, n: int) -> None:
    key = "even" if n % 2 == 0 else "odd"
    d.pop(key, None)
    d[key] = n


def _numbers(d: Any, x: Any, n: int) -> None:
    d[("n", n % 3)] = x
    d[n % 2] = n


def _emptied(d: Any, x: Any, n: int) -> None:
    d.clear()
    d["z"] = n
    d["a"] = x


STEPS = [_put_back, _created_after_another, _taken_out_and_in, _in_turn, _numbers, _emptied]


def _compared(kind: Callable[[], Any], step: Callable[[Any, Any, Any], None], outside: Callable[[Any, int], None]) -> None:
    plain, other = kind(), kind()
    jitted = torch.jit(lambda x, n: step(other, x, n))
    for n in range(8):
        outside(plain, n)
        outside(other, n)
        step(plain, X, n)
        jitted(X, n)
        assert list(other) == list(plain), (n, str(jitted.why()))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_of_a_dictionary(numpy_engine: None, kind: Callable[[], Any], step: Any) -> None:
    _compared(kind, step, lambda d, n: None)
    _compared(kind, step, lambda d, n: d.clear() if n in (2, 5) else None)
    _compared(kind, step, lambda d, n: d.update({"own": 1}) if n == 3 else None)


def _attributes(o: Any, x: Any, n: int) -> None:
    o.extra = n
    if not hasattr(o, "mask"):
        o.mask = torch.ones(2)
    if hasattr(o, "gone"):
        del o.gone
    o.gone = x * o.mask


@pytest.mark.parametrize("kind", [Own, nn.Module])
def test_of_attributes(numpy_engine: None, kind: Callable[[], Any]) -> None:
    plain, other = kind(), kind()
    jitted = torch.jit(lambda x, n: _attributes(other, x, n))
    for n in range(5):
        _attributes(plain, X, n)
        jitted(X, n)
        assert list(vars(other)) == list(vars(plain))


def test_of_options(numpy_engine: None) -> None:
    group, other = (torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1).param_groups[0] for _ in range(2))

    def step(g: Any, n: Any) -> None:
        g["calls"] = g.pop("calls", 0) + 1
        g["lr"] = g.pop("lr")

    jitted = torch.jit(lambda n: step(other, n))
    for n in range(4):
        step(group, n)
        jitted(n)
        assert list(other.items())[1:] == list(group.items())[1:]


@pytest.mark.parametrize("grows_alone", [True, False])
def test_a_list_that_is_given_and_reached_another_way(numpy_engine: None, grows_alone: bool) -> None:
    def make() -> tuple[Any, list[Any]]:
        log: list[Any] = []

        def step(x: Any, batch: dict[str, Any], again: list[Any], n: int) -> int:
            log.insert(0, x * n) if not grows_alone else log.append(x * n)
            again.append(n)
            if not grows_alone and len(batch["l"]) > 3:
                batch["l"].pop()
            return len(batch["l"]) if not grows_alone else n

        return step, log

    (step, log), (other, found) = make(), make()
    jitted = torch.jit(other)
    for n in range(5):
        assert jitted(X, {"l": found}, found, n) == step(X, {"l": log}, log, n)
        assert [x if isinstance(x, int) else x.tolist() for x in found] == [x if isinstance(x, int) else x.tolist() for x in log]
