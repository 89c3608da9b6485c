"""A result that shows the memory of a tensor outside, after `.data` of that tensor is set: it shows what that one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch

pytestmark = pytest.mark.usefixtures("numpy_engine")

SHOWN: dict[str, Callable[[Any], Any]] = {
    "detached": lambda p: p.detach(), "data": lambda p: p.data, "in a list": lambda p: [p.detach()][0],
    "a part": lambda p: p.detach()[:2], "a view of the data": lambda p: p.data.view(1, 3),
    "beside": lambda p: (p.detach(), p * 1)[0],
    "a part, detached": lambda p: p[:2].detach(), "twice": lambda p: p.detach().detach(), "itself": lambda p: p,
    "a view": lambda p: p.view(1, 3)}


def _swapped(p: Any, other: Any) -> None:
    q = torch.full((3,), 5.0)
    p.data, q.data = q.data, p.data


SETS: dict[str, Callable[[Any, Any], None]] = {
    "new": lambda p, other: setattr(p, "data", torch.full((3,), 7.0)),
    "a copy": lambda p, other: setattr(p, "data", p.data.clone()),
    "a view": lambda p, other: setattr(p, "data", torch.arange(6.0)[2:5]),
    "another's": lambda p, other: setattr(p, "data", other),
    "computed": lambda p, other: setattr(p, "data", p.data + 1.0), "swapped": _swapped}


def _told(shown: str, given: str, leaf: bool, compiled: bool) -> list[Any]:
    other, p = torch.full((3,), 9.0), torch.zeros(3, requires_grad=leaf)
    beside = p.detach()

    def look() -> Any:
        return SHOWN[shown](p)

    call = torch.jit(look) if compiled else look
    first = call()
    with torch.no_grad():
        SETS[given](p, other)
        second = call()
        told = [x.tolist() for x in (first, second, beside, other, p)]
        p.add_(1.0)
        told += [x.tolist() for x in (first, second, call(), beside, other, p)]
        second.detach().mul_(2.0)
    return [*told, *(x.tolist() for x in (first, second, call(), beside, other, p)), second.requires_grad]


@pytest.mark.parametrize("leaf", [False, True], ids=["plain", "a leaf"])
@pytest.mark.parametrize("given", SETS)
@pytest.mark.parametrize("shown", SHOWN)
def test_data_is_set_between_two_calls(shown: str, given: str, leaf: bool) -> None:
    assert _told(shown, given, leaf, True) == _told(shown, given, leaf, False)
