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
