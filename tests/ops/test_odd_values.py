"""Values that a dtype, a dimension or an option does not take, or takes otherwise: results and errors are torch's."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from tests.engines import on_numpy

F = torch.nn.functional
WAYS: tuple[Callable[[Any], Any], ...] = (lambda f: f, torch.jit)


def told(x: Any) -> Any:
    return [str(x.dtype).removeprefix("torch."), x.tolist()] if isinstance(x, torch.Tensor) else x


def given(function: Callable[..., Any], way: Callable[[Any], Any], *args: Any) -> Any:
    """What a function gives, looked at, or the class of its error."""
    with on_numpy(), warnings.catch_warnings(action="ignore"):
        try:
            return told(way(function)(*args))
        except Exception as error:
            return type(error)


def both(function: Callable[..., Any], expected: Any, *args: Any) -> None:
    for way in WAYS:
        assert given(function, way, *args) == expected


def setting(mask: Any, c: Any) -> Any:
    made = mask.clone()
    made[:] = c
    return made


# --- Complex numbers as bools -----------------------------------------------------------------------------------------

NUMBERS = (0j, 1j, -2j, 1 + 0j, complex(0, math.nan), complex(math.nan, 0), complex(0, -0.0), complex(0, math.inf))
AS_BOOLS = {
    "bool": lambda c: c.bool(),
    "to": lambda c: c.to(torch.bool),
    "type": lambda c: c.type(torch.bool),
    "copy_": lambda c: torch.zeros(c.shape, dtype=torch.bool).copy_(c),
    "set": lambda c: setting(torch.zeros(c.shape, dtype=torch.bool), c),
    "where": lambda c: torch.where(c.bool(), True, False),
    "logical_not": lambda c: ~torch.logical_not(c),
    "sum": lambda c: torch.stack([x.sum(dtype=torch.bool) for x in c.unbind()]),
    "tensor": lambda c: torch.tensor(c, dtype=torch.bool),
}


@pytest.mark.parametrize("kind", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("name", AS_BOOLS)
def test_complex_numbers_are_true_for_either_part(name: str, kind: Any) -> None:
    both(AS_BOOLS[name], ["bool", [bool(number) for number in NUMBERS]], torch.tensor(NUMBERS, dtype=kind))


@pytest.mark.parametrize("make", [
    lambda: torch.tensor([1j, 0j], dtype=torch.bool), lambda: torch.as_tensor([1j, 0j], dtype=torch.bool),
    lambda: torch.ones(1).new_tensor([1j, 0j], dtype=torch.bool),
    lambda: torch.stack([torch.full((), 1j, dtype=torch.bool), torch.full((), 0j, dtype=torch.bool)]),
    lambda: torch.tensor([False, False]).masked_fill(torch.tensor([True, False]), 1j),
    lambda: torch.cat([torch.zeros(1, dtype=torch.bool).fill_(1j), torch.tensor([False])])])
def test_bools_are_made_of_complex_numbers(make: Any) -> None:
    both(make, ["bool", [True, False]])


# --- No dimensions ----------------------------------------------------------------------------------------------------

TRUTH = [[False, True, True], [True, True, True]]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [(), []])
@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.bool, torch.uint8, torch.complex64])
@pytest.mark.parametrize("name", ["any", "all"])
def test_the_truth_along_no_dimension_is_that_of_each_element(name: str, kind: Any, dim: Any, keepdim: bool) -> None:
    x = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(kind)
    expected = ["uint8", [[int(t) for t in row] for row in TRUTH]] if kind is torch.uint8 else ["bool", TRUTH]
    both(lambda x: getattr(x, name)(dim, keepdim), expected, x)
    both(lambda x: getattr(torch, name)(x, dim=dim, keepdim=keepdim), expected, x)
    both(lambda x: getattr(x[0, 1], name)(dim), [expected[0], 1], x)


@pytest.mark.parametrize("dim", [(), []])
def test_others_reduce_all_along_no_dimension_or_refuse_it(dim: Any) -> None:
    x = torch.tensor([[0.0, 1.0], [3.0, 4.0]])
    for name, expected in (("sum", 8.0), ("mean", 2.0), ("amax", 4.0), ("amin", 0.0), ("nansum", 8.0)):
        both(lambda x, name=name: getattr(x, name)(dim), ["float32", expected], x)
    both(lambda x: x.sum(dim, dtype=torch.bool), ["bool", True], x)
    both(lambda x: x.prod(dim), TypeError, x)
    for name in ("amax", "amin"):
        both(lambda x, name=name: getattr(x, name)(dim), RuntimeError, torch.zeros(0, 3))


# --- Ends of ranges ---------------------------------------------------------------------------------------------------

BEYOND = [(torch.float16, 70000), (torch.bfloat16, 1e39), (torch.float32, 1e39), (torch.int8, 300), (torch.int8, -129),
          (torch.uint8, 256), (torch.int32, 2**31), (torch.int32, math.inf), (torch.int64, math.nan), (torch.complex64, 1e39),
          (torch.complex64, 1e39j), (torch.float32, 1j), (torch.int8, 1j)]


@pytest.mark.parametrize(("kind", "number"), BEYOND)
@pytest.mark.parametrize("name", ["linspace", "logspace"])
def test_ends_that_the_dtype_does_not_hold_are_refused(name: str, kind: Any, number: Any) -> None:
    make = getattr(torch, name)
    wide = torch.tensor(number, dtype=torch.complex128 if isinstance(number, complex) else torch.float64)
    both(lambda: make(0, number, 3, dtype=kind), RuntimeError)
    both(lambda: make(number, 0, 3, dtype=kind), RuntimeError)
    both(lambda end: make(0, end, 3, dtype=kind), RuntimeError, wide)
    if not isinstance(number, complex):
        both(lambda: make(0, number, 1, dtype=kind).bool(), ["bool", [name == "logspace"]])  # of one step there is no end
        both(lambda: make(0, number, 0, dtype=kind).bool(), ["bool", []])


def test_ends_that_the_dtype_holds_are_taken() -> None:
    both(lambda: torch.linspace(-1, 3, 3, dtype=torch.uint8), ["uint8", [255, 129, 3]])
    both(lambda: torch.linspace(0.5, 2.5, 3, dtype=torch.int8), ["int8", [0, 1, 2]])
    both(lambda: torch.logspace(0, 2, 3, dtype=torch.int8), ["int8", [1, 10, 100]])
    both(lambda: torch.linspace(0, math.inf, 3).isnan(), ["bool", [True] * 3])
    both(lambda: torch.linspace(0, 1j, 3), ["complex64", [0j, 0.5j, 1j]])
    both(lambda: torch.linspace(300, 0, 1, dtype=torch.int8), RuntimeError)


@pytest.mark.parametrize("number", [1e39, 1e39j, 1 - 1e39j])
def test_complex_tensors_are_not_filled_with_what_becomes_infinite(number: Any) -> None:
    both(lambda: torch.full((2,), number, dtype=torch.complex64), RuntimeError)
    both(lambda: torch.zeros(2, dtype=torch.complex64).fill_(number), RuntimeError)
    both(lambda: torch.full((1,), number, dtype=torch.complex128), ["complex128", [complex(number)]])
    both(lambda: torch.full((1,), complex(math.inf, 0), dtype=torch.complex64), ["complex64", [complex(math.inf, 0)]])


@pytest.mark.parametrize("make", [lambda **kw: torch.arange(3, **kw), lambda **kw: torch.range(0, 3, **kw),
                                  lambda **kw: torch.linspace(0, 1, 3, **kw), lambda **kw: torch.logspace(0, 1, 3, **kw)])
def test_ranges_have_no_bools(make: Any) -> None:
    both(lambda: make(dtype=torch.bool), NotImplementedError)


def test_numbers_that_ranges_go_through_are_real() -> None:
    for bounds in ((1j,), (0, 1j), (1j, 3), (0, 3, 1j)):
        both(lambda bounds=bounds: torch.arange(*bounds), RuntimeError)
    both(lambda: torch.arange(2 + 0j), ["float32", [0.0, 1.0]])
    both(lambda: torch.arange(3, dtype=torch.complex64), NotImplementedError)
    both(lambda: torch.range(0, 1j), RuntimeError)
    for kind in ("int8", "int32", "int64", "float16", "float64"):
        both(lambda kind=kind: torch.range(0, 2, out=torch.zeros(3, dtype=getattr(torch, kind))), [kind, [0, 1, 2]])
    both(lambda: torch.range(0, 2, out=torch.zeros(3, dtype=torch.int32), dtype=torch.float32), RuntimeError)


# --- Bags -------------------------------------------------------------------------------------------------------------

ROWS = torch.arange(12.0).reshape(4, 3)
BAGS: list[tuple[list[int], bool, str, Any]] = [
    ([0, 2, 1], False, "sum", RuntimeError), ([0, 2, 1], True, "sum", RuntimeError), ([0, 2, 1], False, "mean", RuntimeError),
    ([0, -1, 2], False, "sum", RuntimeError), ([0, 5, 2], False, "sum", RuntimeError), ([1, 2], False, "sum", RuntimeError),
    ([0, 4], False, "sum", RuntimeError), ([0, 1, 4], True, "mean", RuntimeError), ([], True, "sum", RuntimeError),
    ([0, 1], True, "sum", [[0, 1, 2]]), ([0, 1, 2], True, "sum", [[0, 1, 2], [3, 4, 5]]),
    ([0, 1, 3], True, "sum", [[0, 1, 2], [9, 11, 13]]), ([0, 2, 2], False, "sum", [[3, 5, 7], [0, 0, 0], [6, 7, 8]]),
    ([0, 3], False, "sum", [[9, 12, 15], [0, 0, 0]]), ([0], True, "sum", []),
    ([0, 2, 3], True, "mean", [[1.5, 2.5, 3.5], [6, 7, 8]]),
    ([0, 2, 1], False, "max", [[0, 1, 2], [3, 4, 5], [6, 7, 8]]), ([0, 1], True, "max", [[6, 7, 8]])]


@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
@pytest.mark.parametrize(("offsets", "ended", "mode", "expected"), BAGS)
def test_bags_follow_each_other_up_to_the_last_offset(offsets: list[int], ended: bool, mode: str, expected: Any,
                                                      kind: Any) -> None:
    expected = ["float32", expected] if isinstance(expected, list) else expected
    both(lambda x, w, o: F.embedding_bag(x, w, o, mode=mode, include_last_offset=ended), expected,
         torch.arange(3).to(kind), ROWS, torch.tensor(offsets, dtype=kind))


def test_rows_behind_the_last_offset_get_no_gradient() -> None:
    def gradient(w: Any) -> Any:
        weight = w.detach().clone().requires_grad_()
        F.embedding_bag(torch.arange(3), weight, torch.tensor([0, 1]), mode="sum", include_last_offset=True).sum().backward()
        return weight.grad[:, 0]

    both(gradient, ["float32", [1, 0, 0, 0]], ROWS)


# --- Losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("labels", "lengths", "right"), [(3, [3], True), (3, [2], False), (3, [4], False), (5, [2, 3], True),
                                                           (5, [2, 2], False), (4, [2, 3], False), (1, [0, 1], True)])
def test_targets_in_a_row_are_as_long_as_their_lengths_say(labels: int, lengths: list[int], right: bool) -> None:
    batch = len(lengths)
    scores, reads, writes = torch.zeros(6, batch, 5).log_softmax(-1), torch.tensor([6] * batch), torch.tensor(lengths)
    both(lambda *x: F.ctc_loss(*x, zero_infinity=True).isfinite(), ["bool", True] if right else RuntimeError,
         scores, torch.arange(labels) % 4 + 1, reads, writes)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind", [torch.int64, torch.uint8])
def test_one_sample_takes_its_class_in_a_vector(kind: Any, reduction: str) -> None:
    x, target = torch.tensor([1.0, 3.0, 5.0]), torch.tensor([1], dtype=kind)
    both(lambda x, t: F.nll_loss(x, t, reduction=reduction), ["float32", -3.0], x, target)
    both(lambda x, t: F.cross_entropy(0 * x, t, reduction=reduction).mul(100).round(), ["float32", 110.0], x, target)
    both(lambda x, t: F.nll_loss(x, t, x, reduction="sum"), ["float32", -9.0], x, target)
    for count in (0, 2):
        for loss in (F.nll_loss, F.cross_entropy):
            both(lambda x, t, loss=loss: loss(x, t, reduction=reduction), ValueError, x, torch.ones(count, dtype=kind))
    both(lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), RuntimeError, x, target)


def test_probabilities_have_no_class_to_ignore() -> None:
    for index in (0, 1, 7):
        both(lambda x, index=index: F.cross_entropy(x, x.softmax(1), ignore_index=index), RuntimeError, ROWS)
    for index in (-1, -100):
        both(lambda x, index=index: F.cross_entropy(x, x.softmax(1), ignore_index=index).isfinite(), ["bool", True], ROWS)


# --- Sequences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shapes", "expected"), [
    (((2, 2), (2,)), [[[1, 1], [1, 1]], [[1, 1], [1, 1]]]), (((2, 2), (1,)), [[[1, 1], [1, 1]], [[1, 1], [0, 0]]]),
    (((2, 2), (1, 1)), [[[1, 1], [1, 1]], [[1, 1], [0, 0]]]), (((2,), (1,)), [[1, 1], [1, 0]]), (((2,), (2, 2)), RuntimeError),
    (((2, 3), (2, 2)), RuntimeError), (((2, 3), (4,)), RuntimeError)])
def test_sequences_are_written_into_a_batch_for_the_first(shapes: Any, expected: Any) -> None:
    expected = ["float32", expected] if isinstance(expected, list) else expected
    both(lambda *x: torch.nn.utils.rnn.pad_sequence(x, batch_first=True), expected, *map(torch.ones, shapes))
    if shapes == ((2,), (1,)):
        both(lambda x, y: torch.nn.utils.rnn.pad_sequence([x, 1.5 * y], batch_first=True), ["int64", [[1, 1], [1, 0]]],
             torch.ones(2, dtype=torch.int64), torch.ones(1))


# --- Classes of errors ------------------------------------------------------------------------------------------------

ERRORS: list[tuple[Callable[[], Any], type[Exception]]] = [
    (lambda: torch.eye(2).half().det(), NotImplementedError), (lambda: torch.eye(2).bfloat16().det(), NotImplementedError),
    (lambda: torch.linalg.solve(torch.eye(2).half(), torch.eye(2).half()), NotImplementedError),
    (lambda: torch.linalg.eig(torch.eye(2).half()), NotImplementedError), (lambda: torch.eye(2).long().det(), RuntimeError),
    (lambda: torch.tensor(3.0)["a"], IndexError), (lambda: torch.tensor(3.0)["a", "b"], IndexError),
    (lambda: torch.tensor([3.0])[0, "a"], IndexError), (lambda: torch.tensor([3.0])["a"], TypeError),
    (lambda: torch.tensor([3.0])[b"a"], TypeError), (lambda: torch.tensor([3.0])[["a"]], TypeError),
    (lambda: setting(torch.tensor(3.0), 1), IndexError), (lambda: torch.tensor(b"a"), TypeError),
    (lambda: torch.tensor(b""), TypeError), (lambda: torch.tensor([torch.tensor([1, 2])]), TypeError),
    (lambda: torch.tensor([torch.tensor([True, False])]), TypeError),
    (lambda: torch.tensor([torch.tensor([1.0, 2.0])]), ValueError),
    (lambda: torch.tensor([torch.tensor([1, 2])], dtype=torch.float32), ValueError),
    (lambda: torch.tensor([torch.tensor([1.0, 2.0])], dtype=torch.bool), TypeError),
    (lambda: torch.tensor([torch.tensor(1j)], dtype=torch.bool), TypeError),
    (lambda: torch.baddbmm(torch.ones(2), torch.ones(2), torch.ones(2)), IndexError),
    (lambda: torch.baddbmm(torch.ones(2), torch.ones(2, 2), torch.ones(2, 2, 2)), RuntimeError),
    (lambda: torch.baddbmm(torch.ones(1, 1, 1, 1), torch.ones(1, 2, 2), torch.ones(1, 2, 3)), RuntimeError),
    (lambda: torch.addbmm(torch.ones(2), torch.ones(2, 2), torch.ones(2, 2)), IndexError),
    (lambda: torch.ones(4, 3).scatter(0, torch.tensor([[0]]), torch.ones(2)), IndexError),
    (lambda: torch.ones(4, 3).scatter_add(0, torch.tensor([[0]]), torch.ones(2)), IndexError),
    (lambda: torch.ones(4, 3).scatter(0, torch.tensor([0]), torch.ones(2, 2)), RuntimeError)]


@pytest.mark.parametrize(("function", "error"), ERRORS)
def test_the_class_of_the_error_is_that_of_torch(function: Any, error: type[Exception]) -> None:
    both(function, error)
