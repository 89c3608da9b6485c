"""Sizes, strides and offsets that no view has: torch's RuntimeErrors wherever they are given, and the few that do no harm."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

import flambeau as torch

pytestmark = pytest.mark.usefixtures("numpy_engine")

Made = Callable[[Any, Any, Any], Any]


def six() -> Any:
    return torch.arange(6.0)


# Given a size, strides and an offset, or 0 where none can be given.
VIEWS: dict[str, Made] = {
    "as_strided": lambda size, stride, at: torch.as_strided(six(), size, stride, at),
    "method": lambda size, stride, at: six().as_strided(size, stride, at),
    "of a view": lambda size, stride, at: six()[1:].as_strided(size, stride, at),
    "as_strided_": lambda size, stride, at: six().as_strided_(size, stride, at),
    "as_strided_copy": lambda size, stride, at: torch.as_strided_copy(six(), size, stride, at),
    "as_strided_scatter": lambda size, stride, at: torch.as_strided_scatter(
        six(), torch.ones([max(n, 0) for n in size]), size, stride, at)}
SETTLED: dict[str, Made] = {
    "set_ to a tensor": lambda size, stride, at: torch.zeros(1).set_(six(), at, size, stride),
    "set_ to a storage": lambda size, stride, at: torch.zeros(1).set_(six().untyped_storage(), at, size, stride),
    "empty_strided": lambda size, stride, at: torch.empty_strided(size, stride).zero_(),
    "new_empty_strided": lambda size, stride, at: torch.ones(1).new_empty_strided(size, stride).zero_()}
AT_AN_OFFSET = {**VIEWS, **{name: SETTLED[name] for name in SETTLED if name.startswith("set_")}}

BACKWARDS = [((2, 2), (-1, 1)), ((2, 2), (1, -3)), ((2,), (-1,)), ((3, 1, 2), (-2, 5, 1))]
HARMLESS = {((1,), (-1,)): (1,), ((1, 2), (-1, 1)): (2, 1), ((2, 1, 1), (1, -1, -4)): (1, 1, 1), ((0, 2), (-1, 1)): (2, 1),
            ((0, 2), (1, -7)): (1, 1)}
UNEQUAL = [((2,), (1, 1)), ((2, 2), (1,)), ((), (1,)), ((1, 2, 1), (1, 1))]
FITTING = [((2, 2), (2, 1)), ((0, 2), (2, 1)), ((), ())]
NEGATIVE = [((-1, 2), (2, 1)), ((-2,), (1,)), ((2, -1), (1, 1))]


def said(made: Made, *given: Any) -> str:
    with pytest.raises(RuntimeError) as refused:
        made(*given)
    return str(refused.value)


@pytest.mark.parametrize(("name", "case", "at"), [*product(VIEWS, [*BACKWARDS, *HARMLESS], [None, 0, 1, 5, -1, 100])])
def test_a_view_has_no_negative_stride(name: str, case: Any, at: int | None) -> None:
    size, stride = case
    assert said(VIEWS[name], size, stride, at) == (
        f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")


@pytest.mark.parametrize(("name", "case"), [*product(SETTLED, BACKWARDS)])
def test_no_memory_lies_backwards(name: str, case: Any) -> None:
    size, stride = case
    assert said(SETTLED[name], size, stride, 0) == (
        f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}")


@pytest.mark.parametrize(("name", "case"), [*product(SETTLED, HARMLESS)])
def test_a_negative_stride_without_steps_becomes_a_row_major_one(name: str, case: Any) -> None:
    size, stride = case
    made = SETTLED[name](size, stride, 0)
    assert made.shape == size
    if 0 not in size or name.startswith("set_"):
        assert made.stride() == HARMLESS[case]
    assert made.flatten().tolist() == ([0.0, 1.0] if name.startswith("set_") else [0.0, 0.0])[:made.numel()]


@pytest.mark.parametrize(("name", "case"), [*product({**VIEWS, **SETTLED}, UNEQUAL)])
def test_as_many_strides_as_sizes(name: str, case: Any) -> None:
    size, stride = case
    told = said({**VIEWS, **SETTLED}[name], size, stride, 0)
    if name in VIEWS:
        assert told == "mismatch in length of strides and shape"
    elif name.startswith("set_"):
        assert told == f"unequal size length ({len(size)}) and stride length ({len(stride)})"


@pytest.mark.parametrize(("name", "case"), [*product({**VIEWS, **SETTLED}, NEGATIVE)])
def test_no_size_is_negative(name: str, case: Any) -> None:
    assert said({**VIEWS, **SETTLED}[name], *case, 0)


@pytest.mark.parametrize(("name", "case", "at"), [*product(AT_AN_OFFSET, FITTING, [-1, -3])])
def test_no_offset_is_negative(name: str, case: Any, at: int) -> None:
    assert said(AT_AN_OFFSET[name], *case, at) == f"Tensor: invalid storage offset {at}"


def test_set_takes_no_strides_for_row_major_ones() -> None:
    made = torch.zeros(1).set_(six(), 1, (2, 2), ())
    assert (made.stride(), made.tolist()) == ((2, 1), [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize("case", [*BACKWARDS, *UNEQUAL, *NEGATIVE])
@pytest.mark.parametrize("name", ["as_strided", "as_strided_copy", "as_strided_scatter", "empty_strided", "new_empty_strided"])
def test_a_traced_function_is_refused_them_too(name: str, case: Any) -> None:
    size, stride = case
    functions: dict[str, Any] = {
        "as_strided": lambda x: x.as_strided(size, stride), "as_strided_copy": lambda x: torch.as_strided_copy(x, size, stride),
        "as_strided_scatter": lambda x: torch.as_strided_scatter(x, x[:1], size, stride),
        "empty_strided": lambda x: x + torch.empty_strided(size, stride),
        "new_empty_strided": lambda x: x + x.new_empty_strided(size, stride)}
    with pytest.raises(RuntimeError, match=r"trides|negative|Storage size"):
        torch.jit(functions[name])(six())
