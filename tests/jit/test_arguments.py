"""What may be passed and returned, and how the two alias."""

from __future__ import annotations

import collections
import dataclasses
import enum
import gc
import math
import re
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.ir.errors import TraceError


def test_number_is_an_input_until_it_is_looked_at() -> None:
    scale = torch.jit(lambda x, k: x * k)
    assert [scale(torch.ones(2), k).tolist() for k in (2.0, 3.5, -1.0)] == [[2.0] * 2, [3.5] * 2, [-1.0] * 2]
    assert scale.stats.compiles == 1
    power = torch.jit(lambda x, n: x * (n if n > 1 else 10))
    assert [power(torch.ones(1), n).item() for n in (2, 3, 1, 2, 3)] == [2, 3, 10, 2, 3]
    assert power.stats.compiles == 2
    assert ("args[1] > 1 (at tests/jit/test_arguments.py:27)", True, False) in power.why()[1].changes


def test_int_float_and_bool_are_different_signatures() -> None:
    add = torch.jit(lambda x, k: x + k)
    x = torch.ones(1, dtype=torch.int64)
    assert [add(x, k).dtype for k in (1, 1.0, True)] == [torch.int64, torch.float32, torch.int64]
    assert add.stats.compiles == 3


def test_zeros_of_both_signs_and_nan() -> None:
    scale = torch.jit(lambda x, k: x * k)
    assert [math.copysign(1, scale(torch.ones(1), k).item()) for k in (0.0, -0.0, 0.0)] == [1, -1, 1]
    sign = torch.jit(lambda x, k: x * math.copysign(1, k))
    assert [sign(torch.ones(1), k).item() for k in (0.0, -0.0)] == [1, -1]
    check = torch.jit(lambda x, k: x * (2 if math.isnan(k) else 1))
    assert [check(torch.ones(1), k).item() for k in (math.nan, math.nan, 1.0)] == [2, 2, 1]
    assert check.stats.compiles == 2


def test_large_ints_and_doubles_are_exact() -> None:
    assert torch.jit(lambda x, k: x + k)(torch.zeros((), dtype=torch.int64), 2**40 + 1).item() == 2**40 + 1
    assert torch.jit(lambda x, k: x + k)(torch.zeros((), dtype=torch.float64), 1 + 1e-15).item() == 1 + 1e-15


def test_math_on_a_number_is_done_at_each_call() -> None:
    f = torch.jit(lambda x, k: x * math.sqrt(k))
    assert [f(torch.ones(1), k).item() for k in (4.0, 9.0)] == [2, 3]
    assert f.stats.compiles == 1


def test_shapes_and_dtypes_retrace_and_are_remembered() -> None:
    double = torch.jit(lambda x: x * 2)
    for x in (torch.ones(2), torch.ones(3), torch.ones(2, dtype=torch.float64), torch.ones(2), torch.ones(3)):
        result = double(x)
        assert (result.shape, result.dtype) == (x.shape, x.dtype)
        assert result.tolist() == [2.0] * len(x)
    assert double.stats.compiles == 3
    assert len(double.why()) == 3


def test_keyword_and_positional_and_defaults() -> None:
    f = torch.jit(lambda x, k=2.0, *, bias=0.0: x * k + bias)
    x = torch.ones(1)
    assert [f(x).item(), f(x, 3.0).item(), f(x, k=4.0).item(), f(x, bias=1.0).item(), f(x=x, k=5.0).item()] == [2, 3, 4, 3, 5]


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass(frozen=True)
class Batch:
    x: Any
    options: dict[str, Any]


class Mode(enum.Enum):
    ADD = 1
    MUL = 2


def test_nested_containers_in_and_out() -> None:
    def function(batch: Batch, pair: Pair, items: list[Any]) -> Any:
        return Batch(batch.x + pair.left, {"sum": items[0] + items[1]["k"]}), Pair(pair.right, [batch.options["k"] * 1.0]), None

    for wrap in (torch.jit(function), function):
        batch, pair, nothing = wrap(Batch(torch.ones(1), {"k": torch.tensor([7.0])}), Pair(torch.tensor([2.0]), "text"),
                                    [torch.tensor([1.0]), {"k": torch.tensor([4.0])}])
        assert isinstance(batch, Batch) and isinstance(pair, Pair) and nothing is None
        assert batch.x.tolist() == [3.0]
        assert batch.options["sum"].tolist() == [5.0]
        assert pair.left == "text"
        assert pair.right[0].tolist() == [7.0]


@pytest.mark.parametrize("wrap", [list, tuple, lambda x: {"a": x[0], "b": x[1]}, lambda x: Pair(*x)])
def test_containers_of_results(wrap: Any) -> None:
    result = torch.jit(lambda x: wrap((x + 1, x + 2)))(torch.zeros(1))
    assert type(result) is type(wrap((1, 2)))
    values = list(result.values()) if isinstance(result, dict) else list(result)
    assert [v.item() for v in values] == [1, 2]


def test_structure_change_retraces() -> None:
    total = torch.jit(lambda xs: sum(xs.values()) if isinstance(xs, dict) else sum(xs))
    one = torch.ones(1)
    assert [total(xs).item() for xs in ([one], [one, one], (one, one), {"a": one}, {"b": one}, [one])] == [1, 2, 2, 1, 1, 1]
    assert total.stats.compiles == 5


def test_enums_strings_none_and_objects_are_static() -> None:
    f = torch.jit(lambda x, mode, name, nothing: x + 1 if mode is Mode.ADD else x * len(name) if nothing is None else x)
    x = torch.full((1,), 3.0)
    assert [f(x, *rest).item() for rest in ((Mode.ADD, "a", None), (Mode.MUL, "ab", None), (Mode.MUL, "abc", None),
                                           (Mode.MUL, "abc", 1), (Mode.ADD, "a", None))] == [4, 6, 9, 3, 4]
    assert f.stats.compiles == 4


def test_sets_and_static_containers_are_compared_by_contents() -> None:
    things = {1}
    count = torch.jit(lambda x, s: x * len(s))
    assert count(torch.ones(1), things).item() == 1
    things.add(2)
    assert count(torch.ones(1), things).item() == 2
    numbers = [1.0, 2.0]
    total = torch.jit(lambda x, ns: x * sum(ns), static=1)
    assert total(torch.ones(1), numbers).item() == 3
    numbers[0] = 5.0
    assert total(torch.ones(1), numbers).item() == 7
    assert total(torch.ones(1), [5.0, 2.0]).item() == 7
    assert total.stats.compiles == 2


def test_equal_static_values_of_other_types_are_other_signatures() -> None:
    f = torch.jit(lambda x, k: x * 1 if isinstance(k[0], bool) else x * 2 if isinstance(k[0], int) else x * 3, static=1)
    assert [f(torch.ones(1), (k,)).item() for k in (True, 1, 1.0)] == [1, 2, 3]


def test_static_numbers_by_position_and_name() -> None:
    f = torch.jit(lambda x, n, m=1: x.repeat(n) * m, static=(1, "m"))
    assert f(torch.ones(1), 2, m=3).tolist() == [3, 3]
    assert f(torch.ones(1), 3, m=3).tolist() == [3, 3, 3]
    assert f.stats.compiles == 2


def test_numpy_arrays_are_inputs_that_are_copied() -> None:
    f = torch.jit(lambda a: a * 2)
    a = np.ones(3, np.float32)
    first = f(a)
    a[:] = 5
    second = f(a)
    a[:] = 9
    assert (first.tolist(), second.tolist()) == ([2.0] * 3, [10.0] * 3)
    assert f.stats.compiles == 1
    identity = torch.jit(lambda a: a)(a)
    a[:] = 0
    assert isinstance(identity, torch.Tensor)
    assert identity.tolist() == [9.0] * 3
    changed = torch.jit(lambda a: a.add_(1))(a)
    assert changed.tolist() == [1.0] * 3
    assert a.tolist() == [1.0] * 3  # written, as the function would without jit


def test_numpy_scalars() -> None:
    f = torch.jit(lambda x, k: x * k)
    assert f(torch.ones(1), np.float32(2)).item() == 2
    assert f(torch.ones(1), np.float32(3)).item() == 3
    assert math.copysign(1, f(torch.ones(1), np.float32(0)).item()) == 1
    assert math.copysign(1, f(torch.ones(1), np.float32(-0.0)).item()) == -1


def test_memory_of_from_numpy_is_read_at_every_call() -> None:
    a = np.ones(3, np.float32)
    x = torch.from_numpy(a)
    as_argument, as_state = torch.jit(lambda x: x * 2), torch.jit(lambda: x * 3)
    for k in (1.0, 4.0, 5.0):
        a[:] = k
        assert as_argument(x).tolist() == [2 * k] * 3
        assert as_state().tolist() == [3 * k] * 3
    assert (as_argument.stats.compiles, as_state.stats.compiles) == (1, 1)


def test_memory_of_from_numpy_is_never_donated() -> None:
    a = np.ones(1 << 16, np.float32)
    x = torch.from_numpy(a)
    step = torch.jit(lambda: x.add_(1))
    step()
    step()
    assert x[0].item() == a[0] == a[-1] == 3


# --- Aliasing ---------------------------------------------------------------------------------------------------------


def test_same_tensor_twice_is_the_same_inside() -> None:
    f = torch.jit(lambda a, b: a.add_(1) * (b if a is b else 0))
    x = torch.ones(1)
    assert f(x, x).item() == 4
    assert x.item() == 2
    assert f(x, torch.ones(1)).item() == 0
    assert f.stats.compiles == 2


def test_two_handles_of_one_storage() -> None:
    f = torch.jit(lambda a, b: a.add_(1) + b)
    x = torch.ones(1)
    assert f(x, x.detach()).item() == 4
    assert x.item() == 2


def test_written_argument() -> None:
    def write(x: Any) -> None:
        x.mul_(2)
        x[0] = 7

    f = torch.jit(write)
    x = torch.ones(3)
    alias, row = x.view(3, 1), x[1:]
    for k in (2, 4, 8):
        f(x)
        assert x.tolist() == [7, k, k]
        assert alias.tolist() == [[7], [k], [k]]
        assert row.tolist() == [k, k]
    assert f.stats.compiles == 1


def test_written_view_argument_at_any_offset() -> None:
    f = torch.jit(lambda x: x.add_(1))
    base = torch.zeros(4)
    f(base[1:3])
    f(base[0:2])
    f(base[2:])
    assert base.tolist() == [1, 2, 2, 1]
    assert f.stats.compiles == 1
    f(base.view(2, 2).t()[0])
    f(base.view(2, 2).t()[1])
    assert base.tolist() == [2, 3, 3, 2]
    assert f.stats.compiles == 2  # for the other stride


def test_strides_of_an_argument_are_those_outside_and_other_ones_are_another_program() -> None:
    f = torch.jit(lambda x: (x.stride(), x.is_contiguous(), x * 2 if x.is_contiguous() else x * 3))
    x = torch.arange(6.0).reshape(2, 3)
    for given in (x, x.t(), x[:, ::2], x[0].expand(2, 3), x.t() + 1):
        for _ in range(2):
            stride, contiguous, y = f(given)
            assert (stride, contiguous) == (given.stride(), given.is_contiguous())
            assert y.tolist() == (given * (2 if contiguous else 3)).tolist()
            assert y.stride() == (given * 2).stride()
    assert f.stats.compiles == 4  # the sum lies as the transposed one does
    assert "args[0]: f32[2,3] -> f32[3,2] with strides (1, 3)" in str(f.why())


def test_what_strides_forbid_is_forbidden_inside() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    flat = torch.jit(lambda x: x.view(-1))
    assert flat(x).tolist() == list(range(6))
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        flat(x.t())
    rows = x[0].expand(2, 3)
    for write in (lambda x: x.add_(1), lambda x: x[0].add_(1), lambda x: x.mul_(0)):
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            torch.jit(write)(rows)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("view", [lambda x: x.t(), lambda x: x[:, ::2], lambda x: x[1:], lambda x: x[1], lambda x: x.t()[1:],
                                  lambda x: x.unfold(1, 2, 1), lambda x: x.diagonal(), lambda x: x[0].expand(4, 3)])
def test_strides_of_a_result_are_those_of_the_function_itself(view: Any) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    for f in (lambda x: view(x * 2), lambda x: view(x)):
        for given in (x, x.clone().t().contiguous().t()):
            plain, jitted = f(given), torch.jit(f)(given)
            assert jitted.tolist() == plain.tolist()
            assert (jitted.stride(), jitted.storage_offset()) == (plain.stride(), plain.storage_offset())
            assert (jitted + 1).stride() == (plain + 1).stride()


def test_a_view_of_a_view_argument_lies_where_it_lies_outside() -> None:
    data = torch.arange(24.0).reshape(2, 3, 4)
    f = torch.jit(lambda x: (x[1:], torch.view_as_complex(x.unflatten(-1, (2, 2)))))
    for given in (data[0], data[1], data[1]):
        tail, pairs = f(given)
        assert tail.storage_offset() == given[1:].storage_offset()
        assert pairs.storage_offset() == given.storage_offset() // 2
        tail.zero_()
        assert given[1:].sum().item() == 0 and pairs[1:].abs().sum().item() == 0
    assert f.stats.compiles == 1


def test_an_offset_that_is_asked_for_is_a_guard() -> None:
    data = torch.arange(24.0).reshape(2, 3, 4)
    f = torch.jit(lambda x: (x[1:].storage_offset(), torch.view_as_complex(x.unflatten(-1, (2, 2))).storage_offset()))
    assert [f(data[0]), f(data[0]), f(data[1])] == [(4, 0), (4, 0), (16, 6)]
    assert f.stats.compiles == 2
    assert "args[0].storage_offset(): 0 -> 12" in str(f.why())


def test_what_lies_around_a_view_argument_is_not_known_inside() -> None:
    x = torch.arange(6.0).reshape(2, 3).clone()
    strided = torch.jit(lambda x: x.as_strided((2,), (2,), 0))
    assert strided(x).tolist() == [0, 2]
    with pytest.raises(NotImplementedError, match="elements are passed, not the memory around them"):
        strided(x[1])
    made = torch.jit(lambda x: (x * 1)[1])(x)
    with pytest.raises(NotImplementedError, match="Use the tensor that it is a view of"):
        made.as_strided((2,), (1,), 0)


def test_any_strides_over_the_elements_of_a_view_argument() -> None:
    """At a place that the call tells, as what is read, written and given back; torch computes the numbers."""
    def windows(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = x.as_strided((2,), (2,), x.storage_offset() + 1)
        y.mul_(3)
        return y, x.as_strided((2, 2), (1, 2)).sum()

    for step in (windows, torch.jit(windows)):
        base = torch.arange(12.0)
        found = [(y.tolist(), total.item()) for y, total in (step(base[at:at + 6]) for at in (0, 5, 0))]
        assert found == [([3, 9], 14), ([18, 24], 54), ([9, 27], 38)]
        assert base.tolist() == [0, 9, 2, 27, 4, 5, 18, 7, 24, 9, 10, 11]
    with pytest.raises(NotImplementedError, match="elements are passed, not the memory around them"):
        step(base[6:8])


def test_slices_of_one_tensor_need_one_compile() -> None:
    data = torch.arange(10.0)
    f = torch.jit(lambda x, y: (x * y).sum())
    assert [f(data[i:i + 2], data[i + 1:i + 3]).item() for i in range(4)] == [i * (i + 1) + (i + 1) * (i + 2) for i in range(4)]
    assert f.stats.compiles == 1


def test_views_apart_are_written_and_views_that_overlap_are_refused() -> None:
    base = torch.zeros(4)
    f = torch.jit(lambda a, b: (a.add_(1), b.add_(2)))
    f(base[:2], base[2:])
    assert base.tolist() == [1, 1, 2, 2]
    with pytest.raises(TraceError, match=r"args\[0\] of .* is a view of a tensor that the function also reaches another way"):
        f(base[:3], base[1:])
    with pytest.raises(TraceError, match="view"):
        f(base, base[1:])
    assert base.tolist() == [1, 1, 2, 2]


def test_view_of_state() -> None:
    state = torch.arange(4.0)
    read = torch.jit(lambda a: a + state.sum())
    assert [read(state[i:i + 2]).tolist() for i in range(2)] == [[6, 7], [7, 8]]
    assert read.stats.compiles == 1

    @torch.jit
    def write(a: Any) -> Any:
        state.add_(1)
        return a * 1

    with pytest.raises(TraceError, match=r"args\[0\] of write is a view"):
        write(state[1:])
    assert state.tolist() == [0, 1, 2, 3]
    assert write(torch.ones(1)).item() == 1
    with pytest.raises(TraceError, match=r"args\[0\] of write is a view"):
        write(state[1:2])
    assert state.tolist() == [1, 2, 3, 4]


def test_argument_that_is_state_the_step_writes() -> None:
    state = torch.zeros(2)

    @torch.jit
    def step(x: Any) -> Any:
        state.add_(1)
        return x * 1

    other = torch.full((2,), 9.0)
    assert step(other).tolist() == [9, 9]
    assert step(state).tolist() == [2, 2]
    assert step(other).tolist() == [9, 9]
    assert step(state).tolist() == [4, 4]
    assert step.stats.compiles == 2


def test_output_that_is_an_argument_or_state() -> None:
    state = torch.zeros(2)

    @torch.jit
    def step(x: Any) -> Any:
        state.add_(1)
        return x, state, x

    x = torch.ones(2)
    a, b, c = step(x)
    assert a is x and b is state and c is x
    assert state.tolist() == [1, 1]


def test_outputs_that_are_views_of_arguments_and_state() -> None:
    state = torch.zeros(3)

    @torch.jit
    def step(x: Any) -> Any:
        state.add_(1)
        return x[0], x.view(2, 1), x.detach(), state[1:], state.detach()

    x = torch.tensor([5.0, 6.0])
    first, column, plain, tail, whole = step(x)
    x.add_(1)
    step(torch.zeros(2))
    assert (first.item(), column.tolist(), plain.tolist()) == (6, [[6], [7]], [6, 7])
    assert (tail.tolist(), whole.tolist()) == ([2, 2], [2, 2, 2])
    plain[0] = 0
    tail[0] = 9
    assert (x.tolist(), state.tolist()) == ([0, 7], [2, 9, 2])


def test_outputs_that_are_one_tensor() -> None:
    def function(x: Any) -> Any:
        y = x * 2
        return y, [y], x * 2

    a, (b,), c = torch.jit(function)(torch.ones(2))
    assert a is b
    a.add_(1)
    assert (b.tolist(), c.tolist()) == ([3, 3], [2, 2])


def test_output_and_a_view_of_it() -> None:
    def function(x: Any) -> Any:
        y = x * 2
        return y, y[0]

    whole, first = torch.jit(function)(torch.ones(2))
    whole.add_(1)
    assert first.item() == 3


def test_views_without_their_base_share_memory_and_gradients() -> None:
    @torch.jit
    def function(x: Any) -> Any:
        y = x * 2
        return {"row": y[0], "flat": [y.view(-1), y.detach()[1]], "same": y[0].unsqueeze(0)}

    x = torch.ones(2, 2, requires_grad=True)
    for _ in range(2):
        out = function(x)
        row, flat, plain = out["row"], *out["flat"]
        row.mul_(5)
        plain.add_(1)
        assert flat.tolist() == [10, 10, 3, 3]
        assert out["same"].tolist() == [[10, 10]]
        assert (row.requires_grad, plain.requires_grad) == (True, False)
        (gradient,) = torch.autograd.grad(flat.sum(), x)
        assert gradient.tolist() == [[10, 10], [2, 2]]


def test_strides_of_a_result_are_kept() -> None:
    y = torch.jit(lambda x: x.t() * 2)(torch.arange(6.0).view(2, 3))
    assert (y.stride(), y.tolist()) == ((1, 3), [[0, 6], [2, 8], [4, 10]])


def test_returned_view_of_an_argument_carries_gradients() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.jit(lambda x: x[1])(x)
    (y * 3).backward()
    assert x.grad.tolist() == [0, 3]


# --- Methods ----------------------------------------------------------------------------------------------------------


class Scaler:
    def __init__(self, k: float) -> None:
        self.weight = torch.full((1,), k)

    @torch.jit
    def scaled(self, x: Any) -> Any:
        return x * self.weight


def test_one_method_on_several_instances() -> None:
    a, b = Scaler(2.0), Scaler(3.0)
    x = torch.ones(1)
    assert [s.scaled(x).item() for s in (a, b, a, b)] == [2, 3, 2, 3]
    assert a.scaled.stats.compiles == Scaler.scaled.stats.compiles == 2
    assert len(a.scaled.why()) == 2
    assert "mul" in str(a.scaled.graph)
    assert a.scaled.trace(a, x).outputs
    a.weight.fill_(5.0)
    assert a.scaled(x).item() == 5


def test_attribute_of_self_that_changes() -> None:
    class Counter:
        k = 2.0

        @torch.jit
        def scaled(self, x: Any) -> Any:
            return x * self.k

    c = Counter()
    assert c.scaled(torch.ones(1)).item() == 2
    c.k = 3.0
    assert c.scaled(torch.ones(1)).item() == 3


def test_closure_cell_that_changes() -> None:
    k = 2.0
    f = torch.jit(lambda x: x * k)
    assert f(torch.ones(1)).item() == 2
    k = 3.0
    assert f(torch.ones(1)).item() == 3


def test_captured_tensor_that_is_another_one() -> None:
    box = [torch.ones(1)]
    f = torch.jit(lambda: box[0] * 2)
    assert f().item() == 2
    box[0] = torch.full((1,), 5.0)
    assert f().item() == 10


# --- Tensors made of data inside ----------------------------------------------------------------------------------------


def test_tensors_made_of_python_and_numpy_data_inside() -> None:
    table = np.arange(6.0, dtype=np.float32).reshape(2, 3)

    @torch.jit
    def step(x: Any) -> Any:
        count = torch.tensor([0.0, 0.0, 0.0])
        count.add_(x)
        w = torch.tensor(table, requires_grad=True)
        ((w * count) ** 2).sum().backward()
        return count, w.grad, torch.tensor(5), torch.from_numpy(table) + 1

    for k in (1.0, 2.0, 1.0):
        count, gradient, five, shared = step(torch.full((3,), k))
        assert count.tolist() == [k] * 3
        np.testing.assert_allclose(gradient.numpy(), 2 * table * k * k)
        assert five.item() == 5
        np.testing.assert_array_equal(shared.numpy(), table + 1)
    assert step.stats.compiles == 1


@pytest.mark.parametrize("index", [[0, 2, 2], np.array([1, 0]), [True, False, True]], ids=["list", "array", "mask"])
def test_lists_and_arrays_as_indices(index: Any) -> None:
    x = torch.arange(12.0).reshape(4, 3)
    expected = np.arange(12.0).reshape(4, 3)[:, index].tolist()
    assert torch.jit(lambda x: x[:, index])(x).tolist() == expected


def test_an_argument_becomes_a_leaf_inside() -> None:
    def attack(x: Any) -> Any:
        x.requires_grad_()
        (x * x).sum().backward()
        return x.grad.sign()

    f = torch.jit(attack)
    for _ in range(2):
        x, y = torch.tensor([1.0, -2.0]), torch.tensor([1.0, -2.0])
        assert f(x).tolist() == attack(y).tolist()
        assert x.requires_grad and x.is_leaf
        assert x.grad.tolist() == y.grad.tolist() == [2, -4]
        f(x)
        assert x.grad.tolist() == [4, -8]
    assert f.stats.compiles == 2  # without and with gradient at the start


def test_an_argument_is_a_leaf_no_more() -> None:
    f = torch.jit(lambda x: x.requires_grad_(False) * 2)
    x = torch.ones(2, requires_grad=True)
    assert not f(x).requires_grad
    assert not x.requires_grad


def test_an_argument_is_not_cut_off_from_its_history_inside() -> None:
    w = torch.ones(2, requires_grad=True)
    y = w * 2
    with pytest.raises(TraceError, match=r"Use detach\(\)"):
        torch.jit(lambda x: x.detach_())(y)
    y.sum().backward()
    assert w.grad.tolist() == [2, 2]
    assert torch.jit(lambda x: x.detach_() * 2)(torch.ones(2)).tolist() == [2, 2]  # nothing to cut
    leaf = torch.ones(2, requires_grad=True)
    torch.jit(lambda x: x.detach_())(leaf)
    assert not leaf.requires_grad


def test_numbers_that_are_returned() -> None:
    """As they are: those of this call, by the same program. What was computed with them: they were looked at."""
    f = torch.jit(lambda x, n: (x * n, [n, n]))
    assert [f(torch.ones(1), n)[1] for n in (2, 3, 4)] == [[2, 2], [3, 3], [4, 4]]
    assert f.stats.compiles == 1
    g = torch.jit(lambda n: {"n": n, "twice": n * 2})
    assert [g(n) for n in (2, 3, 2.5)] == [{"n": 2, "twice": 4}, {"n": 3, "twice": 6}, {"n": 2.5, "twice": 5.0}]
    assert type(g(2)["n"]) is int
    opt = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    rates = torch.jit(lambda x: (x, opt.param_groups[0]["lr"], 1 - opt.param_groups[0]["lr"]))
    for rate in (1.0, 0.5, 0.25):
        opt.param_groups[0]["lr"] = rate
        assert rates(torch.ones(1))[1:] == (rate, 1 - rate)


# --- What can be done with a number -----------------------------------------------------------------------------------

NUMBERS: dict[str, tuple[Callable[[Any, Any], Any], list[Any]]] = {
    "larger than 64 bits": (lambda x, n: x * float(n % 7), [2**70, 2**70 + 1, -2**63, -2**63 - 1]),
    "nan and infinities": (lambda x, n: (x * n).nan_to_num() + math.copysign(1, n), [math.nan, math.inf, -0.0, 0.0]),
    "type": (lambda x, n: x * (2 if type(n) is int else 3), [1, 2, 1.5]),
    "isinstance": (lambda x, n: x * (2 if isinstance(n, int) else 3), [1, 2, 1.5]),
    "function of numpy": (lambda x, n: x * float(np.exp(n)) + float(np.asarray([n]).sum()), [1.0, 2.0]),
    "function of math": (lambda x, n: x * math.sqrt(n) + math.floor(n) + math.ceil(n) + math.trunc(n), [4, 2.25, 9]),
    "divmod": (lambda x, n: x * divmod(n, 3)[1] + divmod(7, n)[0], [4, 5, 2.5]),
    "bits": (lambda x, n: x * (n & 1) + (n << 2) + (n >> 1) + (n | 8) + (n ^ 3) + ~n + (1 << n), [4, 5]),
    "signs": (lambda x, n: x * -n + (+n) + abs(n), [4, -5, 1.5]),
    "whole quotients and powers": (lambda x, n: x * (n // 2) + n % 3 + n**2 + 2**n, [5, 7, 2.5]),
    "arithmetic": (lambda x, n: x * (n / 2) + n * 1.5 - n + (3 - n) / 2, [4, 5, 2.0]),
    "rounding": (lambda x, n: x * round(n, 1) + int(n) + round(n), [3.14, -9.99]),
    "text": (lambda x, n: x * len(f"{n}") + len(str(n)), [4, 99, 1.25]),
    "key": (lambda x, n: x * {1: 10.0, 2: 20.0}[n], [1, 2, 2.0]),
    "membership": (lambda x, n: x * (n in [1, 2]), [1, 3]),
    "smallest": (lambda x, n: x * min(n, 5) + max(2, n) + sorted([n, 3])[0], [3, 9, 1]),
    "loop": (lambda x, n: sum((x * i for i in range(n)), x), [3, 4, 3]),
    "index": (lambda x, n: x[n] + x[:n].sum(), [0, 1, -1]),
    "branch": (lambda x, n: x if n > 2 else -x, [1, 3, 2.5]),
    "truth": (lambda x, n: x if n else -x, [0, 1, 0.0]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_done_with_a_number_is_what_python_does(name: str) -> None:
    function, numbers = NUMBERS[name]
    step, x = torch.jit(function), torch.tensor([1.0, 2.0])
    for n in (*numbers, *numbers):
        assert step(x, n).tolist() == pytest.approx(function(x, n).tolist()), n
    assert step.stats.compiles <= len(numbers)


def test_a_dict_with_a_default_is_a_dict_with_that_default() -> None:
    step, x = torch.jit(lambda x, table: x * table["a"] + table["b"]), torch.ones(1)
    for default in (int, float, lambda: 5.0):
        table = collections.defaultdict(default, a=2.0)
        assert step(x, table).item() == 2 + default()
    assert step.stats.compiles == 3


def test_iterators_as_arguments_are_refused() -> None:
    step = torch.jit(lambda x, more: x * next(more))
    with pytest.raises(TraceError, match=r"args\[1\] of <lambda> is list_iterator, an iterator: .* Pass a list"):
        step(torch.ones(1), iter([1.0, 2.0]))
    with pytest.raises(TraceError, match=r"args\[0\]\[0\] of <lambda> is generator"):
        torch.jit(lambda more: sum(more[0]))([(k for k in (1, 2))])


ARRAYS: dict[str, tuple[Callable[..., Any], list[Any], int]] = {  # the step, its arguments, and the inputs of its program
    "one": (lambda x: x * 2, [np.ones(3)], 1),
    "with a tensor": (lambda x, y: x @ y, [np.ones((2, 2), np.float32), torch.ones(2, 2)], 2),
    "in a dict": (lambda b: b["x"] + b["y"][0], [{"x": np.ones(3), "y": [np.ones(3)]}], 2),
    "0-d": (lambda x: x + 1, [np.array(2.0)], 1), "unused": (lambda x, y: x + 1, [np.ones(2), np.ones(3)], 1),
    "bools": (lambda m, x: torch.where(m, x, 0.0), [np.array([True, False]), np.ones(2)], 2),
    "with a number": (lambda x, k: x * k, [np.ones(3), 2.0], 2), "written": (lambda x: x.add_(1), [np.ones(3)], 1)}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_one_input(name: str) -> None:
    step, args, count = ARRAYS[name]
    jitted = torch.jit(step)
    jitted(*args)
    assert len(jitted.graph.inputs) == count
    taken = re.search(r"@main\((.*)\) ->", jitted.stablehlo)
    assert taken is not None and taken[1].count("%") == count
    jitted(*args)
    assert jitted.stats.compiles == 1


def test_an_array_argument_is_let_go_after_the_call() -> None:
    jitted, x = torch.jit(lambda x: x * 2), np.ones(3)
    jitted(x)
    kept = weakref.ref(x)
    del x
    gc.collect()
    assert kept() is None
    assert jitted(np.full(3, 2.0)).tolist() == [4, 4, 4]


@pytest.mark.parametrize("leaf_first", [True, False])
def test_a_leaf_and_a_detached_tensor_on_its_memory_are_told_apart(leaf_first: bool) -> None:
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    d = p.detach()

    def step(a: Any, b: Any) -> Any:
        leaf, plain = (a, b) if leaf_first else (b, a)
        (leaf * leaf + plain * leaf).sum().backward()
        with torch.no_grad():
            leaf.sub_(leaf.grad, alpha=0.1)
        return plain * 1

    jitted, seen = torch.jit(step), []
    for run in (jitted, step):
        with torch.no_grad():
            p.copy_(torch.tensor([1.0, 2.0]))
        for _ in range(2):
            p.grad = None
            seen.append((run(*((p, d) if leaf_first else (d, p))).tolist(), p.grad.tolist(), p.tolist(), d.tolist()))
    assert seen[:2] == seen[2:] and jitted.stats.compiles == 1


class Named(torch.Tensor):
    """A user's class of tensors."""


@pytest.mark.parametrize("looks", [
    lambda x: isinstance(x, nn.Parameter), lambda x: type(x) is nn.Parameter, lambda x: type(x).__name__,
    lambda x: isinstance(x, Named), lambda x: x.__class__ is torch.Tensor])
def test_the_class_of_a_tensor_is_part_of_it(looks: Any, numpy_engine: None) -> None:
    given = [torch.ones(2, requires_grad=True), nn.Parameter(torch.ones(2)), Named(torch.ones(2)).requires_grad_()]
    told: list[Any] = []
    step = torch.jit(lambda x: x * float(len(repr(looks(x)))))
    for x in [*given, *given]:
        told.append(step(x).tolist() == [float(len(repr(looks(x))))] * 2)
    assert all(told) and step.stats.compiles <= 3


VIEWS: dict[str, Any] = {
    "slice": lambda x: x[1:], "steps": lambda x: x[::2], "narrow": lambda x: x.narrow(0, 2, 3), "row": lambda x: x.view(2, 5)[1],
    "new dimension": lambda x: x[None, 2:], "select": lambda x: x.select(0, 3), "unfold": lambda x: x.unfold(0, 3, 2),
    "diagonal": lambda x: x[:9].view(3, 3).diagonal(1), "transposed": lambda x: x.view(2, 5).t()[2:],
    "moved": lambda x: x.view(2, 5).movedim(0, 1)[1:], "expand": lambda x: x[1:2].expand(3),
    "complex": lambda x: torch.view_as_complex(x[:8].view(4, 2))[1:],
    "real": lambda x: torch.view_as_real(x.view(torch.complex64))[1:],
    "in another dtype": lambda x: x.view(torch.int32)[3:], "in halves": lambda x: x.view(torch.float16)[3:],
    "detached": lambda x: x.detach()[2:], "split": lambda x: x.split(3)[1], "chunk": lambda x: x.chunk(3)[2],
    "at a tensor": lambda x: x[torch.tensor(3)], "from a tensor": lambda x: x.narrow(0, torch.tensor(2), 3),
    "strided": lambda x: x.as_strided((2, 2), (2, 1)), "strided at": lambda x: x.as_strided((2,), (2,), x.storage_offset() + 1),
    "strided part": lambda x: x[2:].as_strided((2,), (1,)),
    "strided of columns": lambda x: x.view(5, 2).t().as_strided((2, 2), (1, 3)),
    "part of strided": lambda x: x.as_strided((2, 3), (3, 1))[1]}


@pytest.mark.parametrize("way", ["an argument", "from outside"])
@pytest.mark.parametrize("name", VIEWS)
def test_what_a_step_returns_of_a_view_lies_where_it_lies(name: str, way: str) -> None:
    """At the second call, at another place, too; what is told of it, and what numpy and other code see of its memory."""
    base = torch.arange(26.0)
    base.data_ptr()  # its memory is there
    step = torch.jit(VIEWS[name] if way == "an argument" else lambda: VIEWS[name](x))
    for start in (6, 6, 12, 0):
        x = base[start:start + 10]
        lazy, made = VIEWS[name](x), step(x) if way == "an argument" else step()
        assert (made.storage_offset(), made.stride(), made.shape) == (lazy.storage_offset(), lazy.stride(), lazy.shape)
        assert made.tolist() == lazy.tolist() == made.numpy().tolist() and made.data_ptr() == lazy.data_ptr()
        base.mul_(2)
        assert lazy.tolist() == made.tolist()
        base.copy_(torch.arange(26.0))


class Text(str):
    """A text that may have attributes."""


class Fraction(float):
    """The same of a number."""


class Count(int):
    """The same of a whole number."""


class Raw(bytes):
    """The same of bytes."""


class Turn(complex):
    """The same of a complex number."""


class Names(frozenset[str]):
    """The same of a set."""


class Slotted(str):
    """A text whose attribute is in a slot."""

    __slots__ = ("scale",)


@pytest.mark.parametrize("made", [lambda: Text("a"), lambda: Fraction(1.5), lambda: Count(3), lambda: Raw(b"a"), lambda: Turn(1j),
                                  lambda: Names("a"), lambda: Slotted("a")])
@pytest.mark.parametrize("of", [lambda k: k, lambda k: [k], lambda k: (k, "a"), lambda k: {"k": k}])
def test_attributes_of_what_is_compiled_in(made: Callable[[], Any], of: Callable[[Any], Any], numpy_engine: None) -> None:
    def first(x: Any) -> Any:
        return x if isinstance(x, int) else next(iter(x.values() if isinstance(x, dict) else x))

    scale = torch.jit(lambda named, x: x * first(named.scale))
    for k in (1, 2, 1, 2):
        named = made()
        named.scale = of(k)
        assert scale(named, torch.ones(1)).item() == k
    assert scale.stats.compiles == 2


@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"frozen": True, "eq": False}, {"frozen": True, "order": True},
                                     {"frozen": True, "slots": True}, {"unsafe_hash": True}, {"slots": True}], ids=str)
def test_the_numbers_of_a_dataclass_are_inputs(options: dict[str, bool], numpy_engine: None) -> None:
    @dataclasses.dataclass(**options)
    class Training:
        w: Any
        step: int
        rate: float = 0.5

    step = torch.jit(lambda t: Training(t.w * t.rate, t.step + 1, t.rate * 2))
    now = Training(torch.ones(1), 0)
    for _ in range(5):
        now = step(now)
    assert (now.step, now.rate, now.w.item()) == (5, 16, 0.5 * 1 * 2 * 4 * 8) and step.stats.compiles == 1
    again = torch.jit(lambda t: dataclasses.replace(t, step=t.step + 1).step)
    assert [again(Training(torch.ones(1), i)) for i in range(3)] == [1, 2, 3]
    assert again.stats.compiles == 1
