"""When an error that depends on values is raised, where it says it was, what it leaves behind, and when it is none."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.functions.checks import check_none
from flambeau.tracer.lazy import failures
from flambeau.tracer.lazy.flush import compiled

from ..engines import on_numpy

SELF = "index out of range in self"


def far(*numbers: int) -> Any:
    """Integers that only a program knows."""
    return torch.tensor(numbers).double().exp().log().round().long()


@pytest.fixture(params=["numpy", "xla"])
def engine(request: pytest.FixtureRequest) -> Any:
    with on_numpy(request.param == "numpy"):
        yield request.param


# --- When -------------------------------------------------------------------------------------------------------------


def test_what_the_host_knows_is_raised_at_the_call() -> None:
    embedding = torch.nn.Embedding(3, 2)
    ids = torch.tensor([[0, 1], [2, 7]])
    for wrong in (torch.tensor([7]), torch.tensor([6]) + 1, ids[1], ids.view(-1), ids.t()[1], torch.tensor([7.0]).long()):
        with pytest.raises(IndexError, match=f"^{SELF}"):
            embedding(wrong)
    embedding(ids[0])
    embedding(ids[:, 0])


def test_the_note_at_the_call_has_value_bound_and_line() -> None:
    with pytest.raises(IndexError) as raised:
        torch.nn.Embedding(3, 2)(torch.tensor([0, 7]))
    (note,) = raised.value.__notes__
    assert "embedding at" in note and "test_checks.py:" in note and note.endswith("7 is not in [0, 3)")


def test_pending_code_raises_when_it_is_looked_at(engine: str) -> None:
    with torch.no_grad():
        rows = torch.nn.Embedding(3, 2)(far(0, 7))
        other = rows + 1
    with pytest.raises(IndexError, match=rf"^{SELF} \[embedding at .*test_checks.py:\d+.*: 7 is not in \[0, 3\)\]"):
        other.tolist()


def test_values_that_nobody_uses_are_checked_too(engine: str) -> None:
    x = torch.arange(3.0)
    x[far(5)]
    with pytest.raises(IndexError, match="index 5 is out of bounds"):
        (x + 1).tolist()
    x[far(5)]
    with pytest.raises(IndexError, match="index 5 is out of bounds"):
        torch.synchronize()

    @torch.jit
    def step(x: Any, i: Any) -> Any:
        x[i]
        return x * 2

    with pytest.raises(IndexError, match="index 9 is out of bounds"):
        step(x, torch.tensor([9])).tolist()


def test_calls_are_not_waited_for() -> None:
    embedding, weight = torch.nn.Embedding(10, 300), torch.nn.Parameter(torch.eye(300))

    @torch.jit
    def step(ids: Any) -> Any:
        hidden = embedding(ids)
        for _ in range(30):
            hidden = torch.tanh(hidden @ weight)
        return hidden.sum()

    with torch.no_grad():
        good, bad = torch.zeros(256, dtype=torch.int64), torch.full((256,), 11)
        step(good).item()
        started = time.perf_counter()
        step(good).item()
        one = time.perf_counter() - started
        started = time.perf_counter()
        losses = [step(good) for _ in range(20)]
        assert time.perf_counter() - started < 10 * one
        losses[-1].item()
        with pytest.raises(IndexError, match=SELF):
            losses = [step(bad), *(step(good) for _ in range(3))]
            losses[-1].item()  # of a later run
        losses[0].item()  # once


def test_a_call_after_the_failing_one_raises() -> None:
    step = torch.jit(lambda x, i: x[i])
    step(torch.arange(3.0), torch.tensor([0]))
    with pytest.raises(IndexError, match="index 9 is out of bounds for dimension 0 with size 3"):
        step(torch.arange(3.0), torch.tensor([9]))
        time.sleep(0.5)
        step(torch.arange(3.0), torch.tensor([1]))
    assert not failures._mine.runs
    assert step(torch.arange(3.0), torch.tensor([1])).item() == 1


def test_at_exit_what_nobody_saw_is_told() -> None:
    code = ("import flambeau as torch\n"
            "step = torch.jit(lambda x, i: (x[i], *[x := torch.tanh(x @ x) for _ in range(20)]))\n"
            "step(torch.ones(500, 500), torch.tensor([900]))\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert "IndexError: index 900 is out of bounds for dimension 0 with size 500" in done.stderr


def test_in_debug_mode_each_line_raises_its_own() -> None:
    index = far(5)
    index.tolist()
    with on_numpy(), torch.debug_mode():
        x = torch.arange(3.0)
        index = far(5)
        with pytest.raises(IndexError, match="index 5 is out of bounds"):
            x[index]
        assert (x + 1).tolist() == [1, 2, 3]


def test_threads_have_their_own() -> None:
    found: list[Any] = []

    def work() -> None:
        try:
            torch.arange(3.0)[far(5)].tolist()
        except IndexError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 1
    assert torch.arange(3.0)[far(1)].tolist() == [1]


# --- State ------------------------------------------------------------------------------------------------------------


def trained(**options: Any) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(5, 4), torch.nn.Linear(4, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

    @torch.jit(**options)
    def step(ids: Any, classes: Any) -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(ids), classes)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return model, optimizer, step


def contents(model: Any, optimizer: Any) -> list[Any]:
    state = [x for s in optimizer.state_dict()["state"].values() for x in s.values()]
    return [np.array(x.detach().tolist()) for x in (*model.state_dict().values(), *(s for s in state if torch.is_tensor(s)))]


@pytest.mark.parametrize("donate", [True, False])
def test_state_is_kept(donate: bool) -> None:
    model, optimizer, step = trained(donate=donate)
    good = torch.tensor([0, 4, 2]), torch.tensor([0, 2, 1])
    for _ in range(2):
        step(*good)
    before = contents(model, optimizer)
    for wrong, error in (((torch.tensor([0, 5, 1]), good[1]), SELF), ((good[0], torch.tensor([0, 1, 3])), "Target 3 is out of")):
        with pytest.raises(IndexError, match=rf"{error}.*State was left as it was before that call"):
            step(*wrong).item()
        for a, b in zip(contents(model, optimizer), before):
            np.testing.assert_array_equal(a, b)
    assert step.stats.state_on_failure == "kept"
    step(*good)
    assert any((a != b).any() for a, b in zip(contents(model, optimizer), before))


def cached(**options: Any) -> tuple[Any, Any]:
    cache = torch.zeros(4, 2)

    @torch.jit(**options)
    def step(at: Any, row: Any) -> Any:
        cache[at] = row
        return cache.sum()

    return cache, step


def test_an_update_in_place_is_applied_and_the_error_says_so() -> None:
    cache, step = cached()
    step(torch.tensor([1]), torch.ones(2))
    assert step.stats.state_on_failure == "applied"
    with pytest.raises(IndexError, match=r"index 4 is out of bounds.*update of state was applied all the same"):
        step(torch.tensor([4]), torch.ones(2)).item()
    cache, step = cached(donate=False)
    step(torch.tensor([1]), torch.ones(2))
    before = cache.tolist()
    with pytest.raises(IndexError, match=r"State was left as it was"):
        step(torch.tensor([4]), torch.ones(2)).item()
    assert cache.tolist() == before and step.stats.state_on_failure == "kept"


def test_a_buffer_that_is_only_written_is_kept() -> None:
    last = torch.zeros(2)

    @torch.jit
    def step(x: Any, i: Any) -> None:
        last.copy_(x[i])

    step(torch.arange(3.0), torch.tensor([0, 2]))
    assert last.tolist() == [0, 2]
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        step(torch.arange(3.0), torch.tensor([1, 3]))
        torch.synchronize()
    assert last.tolist() == [0, 2]


def test_an_argument_that_is_written_is_kept() -> None:
    @torch.jit
    def step(x: Any, i: Any) -> None:
        x.add_(x[i].sum())

    x = torch.arange(3.0)
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        step(x, torch.tensor([1, 3]))
        torch.synchronize()
    assert x.tolist() == [0, 1, 2]


# --- Where it is none -------------------------------------------------------------------------------------------------


def test_a_loop_that_is_done_raises_nothing(engine: str) -> None:
    x = torch.arange(4.0)

    def total(stop: Any, bound: int | None) -> Any:
        return torch.while_loop(lambda i, s: i < stop, lambda i, s: (i + 1, s + x[i]), (stop * 0, x[0] * 0), max_steps=bound)[1]

    for bound in (None, 9):
        run = torch.jit(lambda stop, bound=bound: total(stop, bound))
        assert run(torch.tensor(4)).item() == 6
        with pytest.raises(IndexError, match="index 4 is out of bounds"):
            run(torch.tensor(5)).item()
        lanes = torch.jit(torch.vmap(lambda stop, bound=bound: total(stop, bound)))
        assert lanes(torch.tensor([1, 4, 2])).tolist() == [0, 6, 1]
        with pytest.raises(IndexError, match="index 4 is out of bounds"):
            lanes(torch.tensor([1, 6, 2])).tolist()


def test_the_condition_of_a_loop_is_checked_and_a_failing_loop_ends(engine: str) -> None:
    going = torch.tensor([True, True, False])

    @torch.jit
    def count(start: Any, going: Any) -> Any:
        return torch.while_loop(lambda i: going[i], lambda i: (i + 1,), (start,))[0]

    assert count(torch.tensor(0), going).item() == 2
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        count(torch.tensor(3), going).item()
    with pytest.raises(IndexError, match="index 3 is out of bounds"):  # clamped it would never end
        count(torch.tensor(0), torch.tensor([True, True, True])).item()


def test_lanes_choose_their_own_branch(engine: str) -> None:
    x = torch.arange(3.0)
    look = torch.jit(torch.vmap(lambda i: torch.cond(i < 3, lambda i: x[i], lambda i: i * 0.0, (i,))))
    assert look(torch.tensor([0, 2, 9])).tolist() == [0, 2, 0]
    with pytest.raises(IndexError, match="index -4 is out of bounds"):
        look(torch.tensor([0, -4, 9])).tolist()


def test_ignored_classes_and_safe_divisors_raise_nothing(engine: str) -> None:
    loss = torch.jit(lambda x, y: torch.nn.functional.cross_entropy(x, y, ignore_index=9))
    loss(torch.ones(2, 3), torch.tensor([9, 2])).item()
    assert torch.gcd(far(4, 0), far(0, 0)).tolist() == [4, 0]
    assert torch.lcm(far(4, 0), far(0, 3)).tolist() == [0, 0]
    assert (far(4) // 3).tolist() == [1] and torch.empty(0, dtype=torch.int64).floor_divide(0).tolist() == []


def sites(step: Any) -> list[str]:
    return [site.op for site in step._latest.plan.checked.sites]


def test_recomputation_checks_nothing_twice(engine: str) -> None:
    weight = torch.nn.Parameter(torch.ones(3, 2))
    block = torch.jit(lambda i: torch.utils.checkpoint.checkpoint(lambda i: torch.tanh(weight[i]), i).sum().backward())
    block(torch.tensor([0, 2]))
    assert sites(block) == ["index"]
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        block(torch.tensor([0, 3]))
        torch.synchronize()
    looked = torch.jit(lambda i: weight[i].gather(0, i[None, :2]).sum().backward())
    looked(torch.tensor([0, 1]))
    assert sites(looked) == ["index", "gather"]  # none for their transposes


def test_gradients_through_loops_and_transforms(engine: str) -> None:
    x = torch.arange(3.0)

    def total(x: Any, i: Any) -> Any:
        return torch.scan(lambda s, k: (s + x[k] ** 2, None), x.sum() * 0, i)[0]

    for transform in (torch.func.grad(total), lambda x, i: torch.func.jvp(lambda x: total(x, i), (x,), (x,))[1],
                      lambda x, i: torch.vmap(torch.func.grad(total), (None, 0))(x, i[None])):
        run = torch.jit(transform)
        run(x, torch.tensor([0, 2])).tolist()
        with pytest.raises(IndexError, match="index 3 is out of bounds"):
            run(x, torch.tensor([0, 3])).tolist()


def test_a_differentiable_step_is_checked(engine: str) -> None:
    embedding = torch.nn.Embedding(3, 2)
    forward = torch.jit(lambda i: embedding(i))
    forward(torch.tensor([1])).sum().backward()
    assert embedding.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0]]
    with pytest.raises(IndexError, match=SELF):
        forward(torch.tensor([3])).sum().backward()
        torch.synchronize()


class Looked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, i: Any) -> Any:
        ctx.save_for_backward(x, i)
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, i = ctx.saved_tensors
        return g * x[i], None


def test_a_backward_of_ones_own_is_checked(engine: str) -> None:
    x = torch.arange(3.0, requires_grad=True)
    forward = torch.jit(lambda x, i: Looked.apply(x, i))
    steps = (lambda i: Looked.apply(x, i).sum().backward(), torch.jit(lambda i: Looked.apply(x, i).sum().backward()),
             lambda i: forward(x, i).sum().backward(),
             torch.jit(lambda i: torch.vmap(torch.func.grad(lambda x: Looked.apply(x, i).sum()))(x[None])))
    for step in steps:
        step(far(2))
        torch.synchronize()
        with pytest.raises(IndexError, match="index 4 is out of bounds"):
            step(far(4))
            torch.synchronize()


def test_under_autocast() -> None:
    model = torch.nn.Sequential(torch.nn.Embedding(3, 4), torch.nn.Linear(4, 2))

    @torch.jit
    def forward(i: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return model(i)

    with pytest.raises(IndexError, match=rf"{SELF}.* in 0"):
        forward(torch.tensor([3])).tolist()


# --- Programs ---------------------------------------------------------------------------------------------------------


def test_without_checks_nothing_is_added() -> None:
    with on_numpy():
        plain, checked = (torch.jit(lambda x, i: x[i], checks=c) for c in (False, True))
        x = torch.arange(3.0)
        assert plain(x, torch.tensor([7])).tolist() == [2]  # the nearest
        assert len(plain.graph.outputs) == 1 and not any(n.op.name == "outside" for n in plain.graph.nodes)
        checked(x, torch.tensor([1]))
        assert len(checked.graph.outputs) == 2
        outer = torch.jit(lambda x, i: plain(x, i) + x[i[:1]])
        outer(x, torch.tensor([1]))
        assert len(sites(outer)) == 1


def test_lines_and_texts_are_no_part_of_a_program() -> None:
    x = torch.arange(5.0)
    before = len(compiled)
    first = x.exp()[far(1)].tolist()
    assert len(compiled) > before
    before = len(compiled)
    second = x.exp()[far(1)].tolist()
    torch.debug.check(far(3) > 2, "first")
    torch.synchronize()
    after = len(compiled)
    assert first == second and after > before - 1
    torch.debug.check(far(3) > 2, "second")
    torch.synchronize()
    assert len(compiled) == after
    with pytest.raises(RuntimeError, match="third"):
        torch.debug.check(far(1) > 2, "third")
        torch.synchronize()


def test_an_index_that_is_used_again_is_one_program() -> None:
    """It is on the host at first, and on the device when a program was given it."""
    ids, weight = torch.tensor([0, 2]), torch.ones(3, 400)
    for _ in range(2):
        weight.exp()[ids].sum().item()
    before = len(compiled)
    for _ in range(3):
        weight.exp()[ids].sum().item()
    assert len(compiled) == before


# --- For users --------------------------------------------------------------------------------------------------------


def test_debug_check(engine: str) -> None:
    torch.debug.check(True, "fine")
    torch.debug.check(torch.tensor([1]) > 0, "fine")
    with pytest.raises(RuntimeError, match=r"^bad \{braces\}"):
        torch.debug.check(False, "bad {braces}")
    with pytest.raises(ValueError, match=r"^negative"):
        torch.debug.check(torch.tensor([1.0, -1.0]) > 0, "negative", ValueError)
    step = torch.jit(lambda x: (torch.debug.check(x > 0, "{x} must be positive"), x.log())[1])
    step(torch.ones(2)).tolist()
    with pytest.raises(RuntimeError, match=r"^\{x\} must be positive \[check at .*test_checks.py"):
        step(-torch.ones(2)).tolist()


def test_assert_async(engine: str) -> None:
    torch._assert_async(torch.tensor(True))
    with pytest.raises(RuntimeError, match=r"^Expected Tensor with single nonzero value, but got zero"):
        torch._assert_async(torch.tensor(0))
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        torch._assert_async(torch.tensor([1, 1]))
    step = torch.jit(lambda x: (torch._assert_async((x > 0).all(), "not positive"), x + 1)[1])
    with pytest.raises(RuntimeError, match=r"^not positive"):
        step(-torch.ones(2)).tolist()


def test_an_error_of_ones_own_in_one_line(engine: str) -> None:
    class LinAlgError(RuntimeError):
        pass

    @torch.jit
    def inverse(x: Any) -> Any:
        check_none("inverse", x == 0, LinAlgError, "inverse: the diagonal element {value} is zero", x)
        return 1 / x

    with pytest.raises(LinAlgError, match=r"the diagonal element 0.0 is zero \[inverse at "):
        inverse(torch.tensor([1.0, 0.0])).tolist()


def test_clip_grad_norm_raises_inside_a_step(engine: str) -> None:
    weight = torch.nn.Parameter(torch.ones(2))

    @torch.jit
    def step(x: Any) -> Any:
        (weight * x).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_([weight], 1.0, error_if_nonfinite=True)
        with torch.no_grad():
            weight.sub_(weight.grad)
        weight.grad = None
        return norm

    step(torch.ones(2)).item()
    before = weight.tolist()
    with pytest.raises(RuntimeError, match=r"The total norm of order 2.0 for gradients from `parameters` is non-finite"):
        step(torch.tensor([1.0, float("inf")])).item()
    assert weight.tolist() == before


NORMS = {"clip_grad_norm_": lambda w: torch.nn.utils.clip_grad_norm_([w], 1.0, error_if_nonfinite=True),
         "get_total_norm": lambda w: torch.nn.utils.get_total_norm([w.grad], 2.0, error_if_nonfinite=True)}


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_is_checked_where_it_is_taken(engine: str, name: str) -> None:
    text = (r"The total norm of order 2\.0 for gradients from `parameters` is non-finite, so it cannot be clipped\. To disable "
            r"this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`")
    weight = torch.nn.Parameter(torch.ones(2))

    def norm(x: Any) -> Any:
        weight.grad = None
        (weight * x).sum().backward()
        return NORMS[name](weight)

    finite, infinite = torch.ones(2), torch.tensor([1.0, float("inf")])
    assert norm(finite).item() == pytest.approx(2**0.5)
    with pytest.raises(RuntimeError, match=rf"^{text}"):
        norm(infinite)
    step = torch.jit(norm)
    assert step(finite).item() == pytest.approx(2**0.5)
    with pytest.raises(RuntimeError, match=rf"^{text} \[clip_grad_norm_ at .*test_checks\.py:\d+"):
        step(infinite).item()
    length = lambda x: torch.nn.utils.get_total_norm([x], error_if_nonfinite=True)  # noqa: E731
    chosen = torch.jit(lambda x: torch.cond(x.isinf().any(), lambda x: x.sum() * 0, length, (x,)))
    assert chosen(finite).item() == pytest.approx(2**0.5)
    chosen(infinite).item()  # the branch that is not taken
    with pytest.raises(RuntimeError, match=text):
        chosen(torch.tensor([float("nan"), 1.0])).item()


def test_equal_checks_are_made_once(engine: str) -> None:
    embedding = torch.nn.Embedding(3, 2)
    step = torch.jit(lambda i: (embedding(i) + embedding(i)).sum() + embedding.weight[i].sum() + embedding.weight[i].mean())
    step(torch.tensor([0, 2])).item()
    assert sites(step) == ["embedding", "index"]
    with pytest.raises(IndexError, match="index out of range in self"):
        step(torch.tensor([0, 3])).item()


# What a step looks at in turn: values that are right and one that is wrong, the mistake, and the error with that value.
IN_TURN = [
    (lambda x, at: torch.nn.functional.embedding(at, x), [0, 4], 5, IndexError, "index out of range in self"),
    (lambda x, at: x[at, at % 2], [0, 1, 2, 4], -6, IndexError, "index -6 is out of bounds for dimension 0 with size 5"),
    (lambda x, by: torch.arange(4) // by, [1], 0, RuntimeError, "ZeroDivisionError"),
    (lambda x, n: torch.debug.check(n.sum() < 9, "nine"), [3, 2], 9, RuntimeError, "nine"),
    (lambda x, k: torch.nn.functional.cross_entropy(x, k), [0, 1, 0, -100, 1], 2, IndexError, "Target 2 is out of bounds."),
]


@pytest.mark.parametrize("which", range(1 << len(IN_TURN)))
def test_the_first_of_several_is_told(engine: str, which: int) -> None:
    """All mistakes of integers that follow each other are looked for at once; of any set of them the first is told."""
    x = torch.arange(10.0).reshape(5, 2)

    def step(*given: Any) -> Any:
        made = [make(x, values) for (make, *_), values in zip(IN_TURN, given)]
        return made[0].sum()

    if engine == "xla" and which & which - 1:
        pytest.skip("pairs on the numpy engine alone: each compiles")
    given = [torch.tensor([*right[:-1], wrong] if which >> i & 1 else right) for i, (_, right, wrong, *_) in enumerate(IN_TURN)]
    failing = [row[3:] for i, row in enumerate(IN_TURN) if which >> i & 1]
    for run in (torch.jit(step), step):
        if failing:
            with pytest.raises(failing[0][0], match=failing[0][1]):
                run(*given).item()
        assert run(*(torch.tensor(row[1]) for row in IN_TURN)).item() == 18


def test_numbers_that_do_not_fit() -> None:
    """torch's rules: whole numbers below zero wrap in types without a sign, as long as their size fits."""
    for data, kind in ((300, torch.int8), ([1, -129], torch.int8), (300.0, torch.uint8), (127.9, torch.int8), (1e10, torch.int32),
                       (float("nan"), torch.int64), (float("inf"), torch.int64), (-1.5, torch.uint8), (-256, torch.uint8)):
        with pytest.raises(RuntimeError, match=rf"^value cannot be converted to type {kind.name} without overflow"):
            torch.tensor(data, dtype=kind)
    for data, kind in ((2**63, None), ([2**63], torch.int64), (2**64, None), (-2**63 - 1, None), (2**63, torch.int32)):
        with pytest.raises(ValueError, match=r"^Overflow when unpacking long long"):
            torch.tensor(data, dtype=kind)
    assert torch.tensor(-255, dtype=torch.uint8).item() == 1 and torch.tensor(2**63, dtype=torch.uint64).item() == 2**63
    assert torch.tensor(2**70, dtype=torch.float32).item() == 2.0**70 and torch.tensor(-2**63).item() == -2**63


def written(x: Any, index: Any, value: Any) -> Any:
    x[index] = value
    return x


FILLED = {
    "full": lambda n, k: torch.full((2,), n, dtype=k), "full_like": lambda n, k: torch.full_like(torch.zeros(2, dtype=k), n),
    "new_full": lambda n, k: torch.zeros(1).new_full((2,), n, dtype=k), "fill_": lambda n, k: torch.zeros(2, dtype=k).fill_(n),
    "masked_fill": lambda n, k: torch.zeros(2, dtype=k).masked_fill(torch.tensor([True, False]), n),
    "where": lambda n, k: torch.where(torch.tensor([True, False]), torch.zeros(2, dtype=k), n),
    "x[0]": lambda n, k: written(torch.zeros(2, dtype=k), 0, n),
    "x[:]": lambda n, k: written(torch.zeros(2, dtype=k), slice(None), n),
    "x[[0]]": lambda n, k: written(torch.zeros(2, dtype=k), [0], n),
    "scatter": lambda n, k: torch.zeros(2, dtype=k).scatter(0, torch.tensor([0]), n),
    "index_fill": lambda n, k: torch.zeros(2, dtype=k).index_fill(0, torch.tensor([0]), n),
    "scalar_tensor": lambda n, k: torch.scalar_tensor(n, dtype=k)}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", FILLED)
def test_numbers_that_fill_places_fit(name: str, jit: bool) -> None:
    def fill(n: Any, kind: Any) -> Any:
        return torch.jit(lambda: FILLED[name](n, kind))() if jit else FILLED[name](n, kind)

    with on_numpy():
        for n, kind, called in ((300, torch.int8, "int8_t"), (2**31, torch.int32, "int"), (256, torch.uint8, "uint8_t"),
                                (2**63, torch.int64, "int64_t"), (-129, torch.int8, "int8_t")):
            unpacked = n == 2**63 and name.startswith("x[")  # torch takes it for a long before it looks at the tensor
            text = ("Overflow when unpacking long long" if unpacked else
                    f"value cannot be converted to type {called} without overflow")
            with pytest.raises(ValueError if unpacked else RuntimeError, match=f"^{text}"):
                fill(n, kind)
        assert fill(127, torch.int8).reshape(-1)[0].item() in (127, 0)
        assert fill(-1, torch.uint8).reshape(-1)[0].item() in (255, 0)
    assert (torch.zeros(1, dtype=torch.int8) + 300).item() == 44


# --- The examples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [False, True])
def test_the_commonest_mistakes(jit: bool) -> None:
    f = torch.nn.functional
    embedding = torch.nn.Embedding(3, 2)
    wrong = [
        (lambda: embedding(torch.tensor([7])), IndexError),
        (lambda: f.cross_entropy(torch.ones(1, 3), torch.tensor([3])), IndexError),
        (lambda: f.one_hot(torch.tensor([5]), 3), RuntimeError),
        (lambda: torch.multinomial(torch.tensor([1.0, -1.0]), 1), RuntimeError),
        (lambda: torch.tensor([1]) // torch.tensor([0]), RuntimeError),
        (lambda: torch.tensor([1]) // 0, RuntimeError),
        (lambda: torch.full((2,), 300, dtype=torch.int8), RuntimeError),
        (lambda: torch.tensor(2**63), ValueError)]
    for call, error in wrong:
        with pytest.raises(error):
            (torch.jit(call) if jit else call)().tolist()


# --- What the choice of the state that is kept must not cost -----------------------------------------------------------


def test_a_checked_step_donates_what_it_donates_without_checks() -> None:
    def training(checks: bool) -> Any:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 8))
        optimizer = torch.optim.Adam(model.parameters())

        def step(i: Any) -> Any:
            loss = model(i).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        return torch.jit(step, checks=checks)

    texts = []
    for checks in (True, False):
        step = training(checks)
        step(torch.tensor([1, 2]))
        assert step.stats.state_on_failure == ("kept" if checks else "")
        texts.append(step.stablehlo)
    checked, plain = (text.count("tf.aliasing_output") for text in texts)
    assert checked == plain > 0


def test_an_argument_that_a_checked_step_writes_keeps_its_history() -> None:
    def write(x: Any, i: Any, y: Any) -> None:
        x.mul_(2)
        x[0] = y[i]

    def gradient(function: Any) -> Any:
        leaf, y = torch.ones(3, requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
        x = leaf * 1
        function(x, torch.tensor(1), y)
        x.sum().backward()
        return leaf.grad.tolist(), y.grad.tolist()

    assert gradient(torch.jit(write)) == gradient(write) == ([0, 2, 2], [0, 1])
