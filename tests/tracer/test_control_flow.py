"""cond, while_loop, scan, map and associative_scan: values, gradients, state and messages, in every mode."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError

from ..engines import on_numpy

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(params=["lazy", "jit", "numpy"])
def mode(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """What wraps a function, and the engine that runs it."""
    with on_numpy(request.param == "numpy"):
        yield torch.jit if request.param == "jit" else lambda f: f


def close(ours: Any, expected: Any, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), expected.detach().numpy(), rtol=rtol, atol=1e-6)


def rows(*shape: int, seed: int = 0) -> Any:
    return torch.tensor(np.random.default_rng(seed).uniform(0.1, 1, shape).astype(np.float32))


def looped(f: Callable[[Any, Any], Any], h: Any, xs: Any) -> tuple[Any, Any]:
    """scan, as a loop in Python."""
    ys = []
    for x in xs:
        h, y = f(h, x)
        ys.append(y)
    return h, torch.stack(ys)


# --- Values -----------------------------------------------------------------------------------------------------------


def test_cond_runs_one_branch(mode: Any) -> None:
    scale = torch.tensor(3.0)

    @mode
    def f(flag: Any, x: Any) -> Any:
        return torch.cond(flag, lambda x: {"a": x * scale, "b": x.sum()}, lambda x: {"a": x, "b": x.max()}, (x,))

    yes, no = f(torch.tensor(True), rows(4)), f(torch.tensor([False]), rows(4))
    close(yes["a"], rows(4) * 3)
    close(yes["b"], rows(4).sum())
    close(no["a"], rows(4))
    close(no["b"], rows(4).max())


def test_cond_of_a_python_bool_is_a_call() -> None:
    assert torch.cond(True, lambda: "yes", lambda: "no") == "yes"
    assert torch.cond(False, lambda: "yes", lambda: "no") == "no"


def test_while_loop_stops(mode: Any) -> None:
    @mode
    def collatz(n: Any) -> Any:
        return torch.while_loop(lambda n, steps: n != 1,
                                lambda n, steps: (torch.where(n % 2 == 0, n // 2, 3 * n + 1), steps + 1),
                                (n, torch.zeros((), dtype=torch.int64)))

    n, steps = collatz(torch.tensor(27))
    assert (n.item(), steps.item()) == (1, 111)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_loop(mode: Any, reverse: bool) -> None:
    def step(h: Any, x: Any) -> Any:
        return h * 0.5 + x.sin(), h * x

    xs = rows(5, 3)
    final, ys = mode(lambda h, xs: torch.scan(step, h, xs, reverse=reverse))(torch.ones(3), xs)
    expected_final, expected = looped(step, torch.ones(3), xs.flip(0) if reverse else xs)
    close(final, expected_final)
    close(ys, expected.flip(0) if reverse else expected)


def test_scan_walks_along_any_dimension(mode: Any) -> None:
    total, ys = mode(lambda xs: torch.scan(lambda c, x: (c + x, c * 2), torch.zeros(2), xs, dim=1))(
        torch.arange(6.0).reshape(2, 3))
    assert total.tolist() == [3, 12]
    assert ys.tolist() == [[0, 0, 2], [0, 6, 14]]


def test_scan_carries_and_stacks_containers(mode: Any) -> None:
    def step(carry: Any, x: Any) -> Any:
        return {"n": carry["n"] + 1, "h": (carry["h"][0] + x["a"], None)}, [x["b"] * carry["n"]]

    @mode
    def run(a: Any, b: Any) -> Any:
        return torch.scan(step, {"n": torch.tensor(0), "h": (torch.zeros(2), None)}, {"a": a, "b": b})

    carry, (ys,) = run(torch.ones(3, 2), torch.arange(3))
    assert carry["n"].item() == 3
    assert carry["h"][0].tolist() == [3, 3]
    assert carry["h"][1] is None
    assert ys.tolist() == [0, 1, 4]


def test_scan_without_xs_takes_length_steps(mode: Any) -> None:
    final, ys = mode(lambda x: torch.scan(lambda c, _: (c * 2, None), x, length=10))(torch.tensor(1.0))
    assert final.item() == 1024
    assert ys is None


def test_scan_of_nothing_returns_init(mode: Any) -> None:
    final, ys = mode(lambda xs: torch.scan(lambda c, x: (c + x, c), torch.ones(2), xs))(torch.zeros(0, 2))
    assert final.tolist() == [1, 1]
    assert ys.shape == (0, 2)


def test_map_is_one_after_the_other(mode: Any) -> None:
    w = rows(2, 2)
    got = mode(lambda xs: torch.map(lambda x, y: (x["x"] @ w + y).tanh(), {"x": xs}, torch.tensor(1.0)))(rows(4, 2))
    close(got, (rows(4, 2) @ w + 1).tanh())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan_is_a_sequence_of_products(count: int, reverse: bool) -> None:
    matrices = rows(2, count, 2, seed=count) + torch.eye(2)[:, None]

    def product(a: Any, b: Any) -> Any:
        return {"m": b["m"] @ a["m"], "n": a["n"] + b["n"]}

    got = torch.associative_scan(product, {"m": matrices, "n": torch.ones(count, count)}, 1, reverse)
    m, n = torch.eye(2), 0
    for i in reversed(range(count)) if reverse else range(count):
        m, n = matrices[:, i] @ m, n + 1
        close(got["m"][:, i], m)
        assert got["n"][:, i].tolist() == [n] * count


def test_the_program_does_not_grow_with_the_steps() -> None:
    @torch.jit
    def run(xs: Any) -> Any:
        return torch.scan(lambda c, x: (c + x, c.sin()), torch.zeros(2), xs)

    sizes = [len(run.trace(torch.zeros(n, 2)).nodes) for n in (2, 200)]
    assert sizes[0] == sizes[1] < 10


# --- Gradients --------------------------------------------------------------------------------------------------------


def looped_while(w: Any, h: Any) -> Any:
    while h.sum() < 40:
        h = h * 1.5 + (h @ w).sin()
    return h


def total(pair: Any) -> Any:
    return (pair[0] * 2).sum() + (pair[1] ** 2).sum()


def recurrent(w: Any) -> Callable[[Any, Any], Any]:
    def step(h: Any, x: Any) -> Any:
        h = (h @ w + x).tanh()
        return h, h * x

    return step


def branches(w: Any, x: Any) -> Any:
    return torch.cond(x.sum() > 0, lambda x: (x @ w).sin(), lambda x: x * x, (x,))


def bounded(w: Any, h: Any) -> Any:
    return torch.while_loop(lambda h: h.sum() < 40, lambda h: (h * 1.5 + (h @ w).sin(),), (h,), max_steps=20)[0]


# By name: a function of weights, a state and inputs written with control flow, and the same in Python.
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "cond": (lambda w, h, xs: branches(w, h).sum() + branches(w, -h).sum(),
             lambda w, h, xs: ((h @ w).sin() + h * h).sum()),
    "while": (lambda w, h, xs: bounded(w, h).sum(), lambda w, h, xs: looped_while(w, h).sum()),
    "scan": (lambda w, h, xs: total(torch.scan(recurrent(w), h, xs)), lambda w, h, xs: total(looped(recurrent(w), h, xs))),
    "map": (lambda w, h, xs: (torch.map(lambda x: (x @ w + h).sin(), xs) ** 2).sum(),
            lambda w, h, xs: ((xs @ w + h).sin() ** 2).sum()),
    "associative": (lambda w, h, xs: (torch.associative_scan(lambda a, b: a * b * w[0], xs * h, 0) ** 2).sum(),
                    lambda w, h, xs: (torch.cumprod(xs * h, 0) ** 2 * w[0] ** (2 * torch.arange(4.0)[:, None])).sum()),
}

@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_flow_to_operands_and_captured_tensors(mode: Any, name: str) -> None:
    arguments = rows(3, 3), rows(3, seed=1), rows(4, 3, seed=2)

    ours, expected = (torch.func.grad(f, argnums=(0, 1, 2)) for f in FUNCTIONS[name])
    for a, b in zip(mode(ours)(*arguments), expected(*arguments), strict=True):
        close(a, b, 1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_backward_reaches_captured_leaves(mode: Any, name: str) -> None:
    made = []
    for function, wrapped in zip(FUNCTIONS[name], (mode, lambda f: f)):
        leaves = [rows(3, 3).requires_grad_(), rows(3, seed=1).requires_grad_(), rows(4, 3, seed=2).requires_grad_()]

        def step(leaves: Any = leaves, function: Any = function) -> Any:
            loss = function(*leaves)
            loss.backward()
            return loss

        loss = wrapped(step)()
        made.append([loss, *(leaf.grad for leaf in leaves)])
    for ours, expected in zip(*made, strict=True):
        assert (ours is None) == (expected is None)
        if ours is not None:
            close(ours, expected, 1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives(name: str) -> None:
    h, xs = rows(3, seed=1), rows(4, 3, seed=2)
    ours, expected = (torch.func.grad(lambda w, f=f: torch.func.grad(f)(w, h, xs).square().sum())(rows(3, 3))
                      for f in FUNCTIONS[name])
    close(ours, expected, 1e-3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_and_its_gradient(mode: Any, name: str) -> None:
    w, xs = rows(3, 3), rows(4, 3, seed=2)
    starts = torch.stack([rows(3, seed=s) * (s + 1) for s in range(5)])

    def one(h: Any) -> Any:
        return FUNCTIONS[name][0](w, h, xs)

    together = mode(lambda starts: torch.vmap(torch.func.grad_and_value(one))(starts))(starts)
    summed = mode(torch.func.grad(lambda starts: torch.vmap(one)(starts).sum()))(starts)
    for i in range(5):
        gradient, value = torch.func.grad_and_value(one)(starts[i])
        close(together[0][i], gradient, 1e-4)
        close(together[1][i], value, 1e-4)
        close(summed[i], gradient, 1e-4)


# What a step may do with a weight (3, 3), a state (2, 3), an input (2, 3) and a bias (3).
STEPS: list[Callable[[Any, Any, Any, Any], Any]] = [
    lambda w, h, x, b: (h @ w + x).tanh(),
    lambda w, h, x, b: h @ w * 0.3 + (h @ w.T).sin() * x,
    lambda w, h, x, b: (h @ (w @ w) * 0.1 + b).relu(),
    lambda w, h, x, b: h * w.sum(0) * 0.2 + x.max(),
    lambda w, h, x, b: torch.where(x > 0.5, h @ w, h) * 0.5 + b,
    lambda w, h, x, b: torch.einsum("ij,jk->ik", h, w).softmax(-1) + x * b,
    lambda w, h, x, b: (h[:, None] @ w[None])[:, 0].detach() * h,
    lambda w, h, x, b: x @ w,
    lambda w, h, x, b: h.cumsum(0) * b + (w @ w)[:2],
]


@pytest.mark.parametrize("mode", ["numpy"], indirect=True)
@pytest.mark.parametrize("first", range(len(STEPS)))
def test_gradients_of_steps_of_many_kinds(mode: Any, first: int) -> None:
    """The next state by one step, the result by the next two: what is saved, multiplied later or added up differs."""
    def loss(walk: Any) -> Any:
        def run(w: Any, h: Any, xs: Any, b: Any) -> Any:
            def step(h: Any, x: Any) -> Any:
                new = STEPS[first](w, h, x, b)
                return new, sum(STEPS[(first + k) % len(STEPS)](w, new, x, b) for k in (1, 2))

            return total(walk(step, h, xs))

        return torch.func.grad(run, argnums=(0, 1, 2, 3))

    arguments = rows(3, 3), rows(2, 3, seed=1), rows(4, 2, 3, seed=2), rows(3, seed=3)
    for ours, expected in zip(loss(torch.scan)(*arguments), loss(looped)(*arguments), strict=True):
        close(ours, expected, 1e-4)


def test_a_bound_that_is_hit_ends_the_loop(mode: Any) -> None:
    run = mode(lambda x: torch.while_loop(lambda x: x < 1000, lambda x: (x * 2,), (x,), max_steps=3)[0])
    assert run(torch.tensor(1.0)).item() == 8
    assert torch.func.grad(run)(torch.tensor(1.0)).item() == 8


def test_a_bound_that_is_not_hit_takes_no_part(mode: Any) -> None:
    """Steps after the end compute nothing: no nan from them reaches the gradient."""
    def run(x: Any) -> Any:
        return torch.while_loop(lambda x: x > 1, lambda x: ((x - 1).sqrt(),), (x,), max_steps=9)[0]

    value, gradient = mode(torch.func.value_and_grad(run))(torch.tensor(5.0))
    assert value.item() == pytest.approx(1)
    assert gradient.item() == pytest.approx(0.125)


def test_reverse_mode_through_an_unbounded_while_says_what_to_do() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    (y,) = torch.while_loop(lambda x: x < 10, lambda x: (x * 2,), (x,))
    assert y.item() == 16
    with pytest.raises(NotImplementedError, match="max_steps"):
        y.backward()


def test_no_grad_and_detach_hold_in_a_body(mode: Any) -> None:
    def body(h: Any, x: Any) -> Any:
        with torch.no_grad():
            scale = h * 3
        return h * x, scale * h + h.detach() * x

    def total(pick: Any) -> Any:
        return lambda h, xs: sum(t.sum() for t in pick(body, h, xs))

    ours = mode(torch.func.grad(total(torch.scan), argnums=(0, 1)))(rows(3), rows(4, 3))
    expected = torch.func.grad(total(looped), argnums=(0, 1))(rows(3), rows(4, 3))
    for a, b in zip(ours, expected, strict=True):
        close(a, b)


def test_detaching_a_tensor_from_outside_writes_nothing(mode: Any) -> None:
    """It may be done where writes may not, and leaves the tensor its history."""
    def run(w: Any) -> Any:
        scale = w * 2
        products = torch.associative_scan(lambda a, b: a * b * scale.detach(), torch.ones(3) * w, 0)
        (grown,) = torch.while_loop(lambda x: x < scale.detach() * 10, lambda x: (x * 2,), (torch.ones(()),))
        summed, _ = torch.scan(lambda c, _: (c + scale.detach() * w, None), w, length=2)
        return products[2] + scale + grown.detach() + summed

    value, gradient = mode(torch.func.value_and_grad(run))(torch.tensor(3.0))
    assert value.item() == 3**3 * 6**2 + 6 + 64 + 3 + 2 * 18
    assert gradient.item() == 3 * 3**2 * 6**2 + 2 + 1 + 2 * 6


def test_what_a_body_cuts_off_does_not_require_grad() -> None:
    h = torch.ones(2, requires_grad=True)
    final, (cut, kept) = torch.scan(lambda c, _: (c * h, (c.detach(), c)), h, length=3)
    assert (final.requires_grad, cut.requires_grad, kept.requires_grad) == (True, False, True)


# --- State ------------------------------------------------------------------------------------------------------------


def test_writes_to_tensors_from_outside_are_carried(mode: Any) -> None:
    count, table = torch.zeros(()), torch.zeros(3, 2)

    def step(h: Any, x: Any) -> Any:
        count.add_(1)
        table[1] += h
        view = table[1]
        view.mul_(2)
        return h + count, view.clone()

    final, ys = mode(lambda xs: torch.scan(step, torch.zeros(2), xs))(torch.zeros(3, 2))
    assert final.tolist() == [6, 6]
    assert count.item() == 3
    assert ys[:, 0].tolist() == [0, 2, 10]
    assert table.tolist() == [[0, 0], [10, 10], [0, 0]]


def test_one_buffer_follows_another(mode: Any) -> None:
    """A copy taken in a step is of what that step sees, not of what the first one saw."""
    current, previous = torch.ones(2), torch.zeros(2)

    def step(_: Any, __: Any) -> Any:
        previous.copy_(current)
        current.add_(1)
        return None, previous + current.detach()

    _, ys = mode(lambda: torch.scan(step, None, length=3))()
    assert ys[:, 0].tolist() == [3, 5, 7]
    assert (previous[0].item(), current[0].item()) == (3, 4)


def test_views_from_outside_are_as_before_afterwards(mode: Any) -> None:
    base = torch.arange(4.0)
    view = base[1:3]
    total, _ = mode(lambda: torch.scan(lambda c, _: (c + view, None), torch.zeros(2), length=2))()
    assert total.tolist() == [2, 4]
    assert (view * 1).tolist() == [1, 2]
    base.add_(1)
    assert view.tolist() == [2, 3]


def test_both_branches_may_write(mode: Any) -> None:
    a, b = torch.zeros(2), torch.zeros(2)

    @mode
    def run(flag: Any) -> Any:
        return torch.cond(flag, lambda: a.add_(1).sum(), lambda: b.sub_(1).sum())

    assert [run(torch.tensor(f)).item() for f in (True, True, False)] == [2, 4, -2]
    assert (a.tolist(), b.tolist()) == ([2, 2], [-1, -1])


def test_a_while_carries_what_it_writes(mode: Any) -> None:
    log = torch.zeros(8)

    def body(i: Any) -> Any:
        log[i] = i * 2.0
        return (i + 1,)

    (i,) = mode(lambda i: torch.while_loop(lambda i: log.sum() < 10, body, (i,)))(torch.tensor(0))
    assert i.item() == 4
    assert log.tolist() == [0, 2, 4, 6, 0, 0, 0, 0]


def test_random_numbers_are_those_of_a_loop(mode: Any) -> None:
    def step(h: Any, x: Any) -> Any:
        return h, F.dropout(x, 0.5) + torch.rand(3)

    torch.manual_seed(3)
    expected = [looped(step, torch.zeros(()), torch.ones(5, 3))[1], torch.rand(2)]
    torch.manual_seed(3)
    got = [mode(lambda xs: torch.scan(step, torch.zeros(()), xs)[1])(torch.ones(5, 3)), torch.rand(2)]
    assert [x.tolist() for x in got] == [x.tolist() for x in expected]
    assert len(set(map(str, got[0].tolist()))) == 5


def test_random_numbers_in_a_branch_are_drawn_when_it_runs(mode: Any) -> None:
    run = mode(lambda flag: torch.cond(flag, lambda: torch.rand(2), lambda: torch.zeros(2)))
    torch.manual_seed(1)
    expected = [torch.rand(2).tolist(), [0, 0], torch.rand(2).tolist()]
    torch.manual_seed(1)
    assert [run(torch.tensor(f)).tolist() for f in (True, False, True)] == expected


def test_running_statistics_in_a_scan(mode: Any) -> None:
    def trained(walk: Any) -> Any:
        torch.manual_seed(0)
        norm = nn.BatchNorm1d(3)
        loss = walk(lambda c, x: (c, norm(x)), torch.zeros(()), rows(4, 5, 3))[1].square().sum()
        loss.backward()
        return [norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.weight.grad]

    expected = trained(looped)
    for ours, right in zip(mode(lambda: trained(torch.scan))(), expected, strict=True):
        assert ours.requires_grad is False
        close(ours, right)


def test_many_training_steps_in_one_scan(mode: Any) -> None:
    def trained(walk: Any, wrap: Any) -> Any:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

        def step(count: Any, x: Any) -> Any:
            loss = (model(x) - 1).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return count + 1, loss.detach()

        losses = wrap(lambda xs: walk(step, torch.zeros(()), xs)[1])(rows(6, 5, 3))
        return losses, model.weight, model.bias

    for ours, expected in zip(trained(torch.scan, mode), trained(looped, lambda f: f), strict=True):
        close(ours, expected, 1e-4)
        assert ours.is_leaf


def test_random_numbers_in_a_loop_in_a_vmap(mode: Any) -> None:
    """All examples draw the same if told to, and the generator goes on after it."""
    def draws(x: Any) -> Any:
        return torch.scan(lambda c, _: (c + x, torch.rand(2)), x, length=3)[1]

    torch.manual_seed(5)
    expected = [torch.stack([torch.rand(2) for _ in range(3)]), torch.rand(2)]
    torch.manual_seed(5)
    got = [mode(torch.vmap(draws, randomness="same"))(torch.zeros(4)), torch.rand(2)]
    assert got[0].tolist() == [expected[0].tolist()] * 4
    assert got[1].tolist() == expected[1].tolist()


def test_what_vmap_writes_must_be_one_for_all(mode: Any) -> None:
    count, total = torch.zeros(()), torch.zeros(())

    def counted(x: Any) -> Any:
        count.add_(1)
        return x + count

    def summed(x: Any) -> Any:
        total.add_(x)
        return x

    assert mode(torch.vmap(counted))(torch.zeros(3)).tolist() == [1, 1, 1]
    assert count.item() == 1
    with pytest.raises(RuntimeError, match="vmap: inplace arithmetic"):
        mode(torch.vmap(summed))(torch.ones(3))
    assert total.item() == 0


def test_loops_in_loops_share_state(mode: Any) -> None:
    total = torch.zeros(())

    def inner(c: Any, x: Any) -> Any:
        total.add_(x)
        return c, torch.rand(())

    def outer(c: Any, x: Any) -> Any:
        return c, torch.scan(inner, c, x)[1]

    torch.manual_seed(0)
    expected = torch.stack([torch.rand(()) for _ in range(6)])
    torch.manual_seed(0)
    _, drawn = mode(lambda xs: torch.scan(outer, torch.zeros(()), xs))(torch.ones(2, 3))
    assert drawn.flatten().tolist() == expected.tolist()
    assert total.item() == 6


@pytest.mark.parametrize("loop", [
    lambda w: torch.scan(lambda c, _: (c * w, None), torch.ones(2), length=3)[0],
    lambda w: torch.while_loop(lambda c: c.sum() < 9, lambda c: (c * 2 + w,), (torch.ones(2),))[0],
    lambda w: torch.cond(w.sum() > 0, lambda: w * 2, lambda: w),
    lambda w: torch.associative_scan(lambda a, b: a * b * w, torch.ones(5, 2), 0),
])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_loop_does_not_keep_what_it_captured(loop: Any, requires_grad: bool) -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=requires_grad)
    loop(w).detach().numpy()
    held = weakref.ref(w._read())
    del w
    gc.collect()
    assert held() is None


def test_an_error_in_a_body_leaves_everything_as_it_was(mode: Any) -> None:
    buffer = torch.ones(2)

    def step(c: Any, x: Any) -> Any:
        buffer.mul_(3)
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        mode(lambda xs: torch.scan(step, torch.zeros(()), xs))(torch.ones(2))
    assert (buffer + 1).tolist() == [2, 2]


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_carried_types_must_stay() -> None:
    init = {"h": torch.zeros(3), "n": torch.tensor(0)}
    with pytest.raises(TypeError, match=r"scan requires the same types from init and the carry from combine_fn, which differ "
                                        r"at carry\['h'\]: torch.float32 of shape \[3\] in init, torch.float64 of shape \[3\]"):
        torch.scan(lambda c, x: ({"h": c["h"].double(), "n": c["n"]}, x), init, torch.zeros(2))
    with pytest.raises(TypeError, match=r"same containers .* differ at carry\['n'\]"):
        torch.scan(lambda c, x: ({"h": c["h"]}, x), init, torch.zeros(2))
    with pytest.raises(TypeError, match=r"while_loop .* differ at carried\[0\]: torch.int64 .* torch.float32 .*Convert"):
        torch.while_loop(lambda x: x < 3, lambda x: (x / 2,), (torch.tensor(1),))
    with pytest.raises(TypeError, match=r"cond .* differ at output\[1\]: torch.float32 of shape \[2\] in true_fn"):
        torch.cond(torch.tensor(True), lambda x: (x, x), lambda x: (x, x.sum()), (torch.zeros(2),))


def test_what_is_returned_must_have_the_form() -> None:
    with pytest.raises(TypeError, match=r"combine_fn that returns \(carry, y\)"):
        torch.scan(lambda c, x: c + x, torch.tensor(0.0), torch.zeros(2))
    with pytest.raises(TypeError, match=r"body_fn that returns a tuple.*Return \(x,\)"):
        torch.while_loop(lambda x: x < 3, lambda x: x + 1, (torch.tensor(1),))
    with pytest.raises(TypeError, match=r"tensors in y, got float for y\[0\]: 1.0"):
        torch.scan(lambda c, x: (c, [1.0]), torch.tensor(0.0), torch.zeros(2))


def test_conditions_must_be_bool_tensors() -> None:
    x = torch.zeros(2)
    with pytest.raises(TypeError, match=r"bool tensor of one element as pred, got int: 1\. Compare tensors"):
        torch.cond(1, lambda: x, lambda: x)
    with pytest.raises(TypeError, match=r"as pred, got torch.float32 of shape \[2\].*any\(\)"):
        torch.cond(x, lambda: x, lambda: x)
    with pytest.raises(TypeError, match="as what cond_fn returns, got bool: True"):
        torch.while_loop(lambda x: True, lambda x: (x,), (x,))


def test_arguments_are_checked() -> None:
    x = torch.zeros(2)
    with pytest.raises(TypeError, match=r"tensors in init, got int for init\['n'\]: 0. Make it a tensor"):
        torch.scan(lambda c, x: (c, x), {"n": 0}, x)
    with pytest.raises(TypeError, match="tuple or list of carried_inputs, got Tensor"):
        torch.while_loop(lambda x: x < 3, lambda x: (x,), x)
    with pytest.raises(TypeError, match="at least one tensor in carried_inputs"):
        torch.while_loop(lambda: x < 3, lambda: (), ())
    with pytest.raises(TypeError, match="tuple or list of operands"):
        torch.cond(torch.tensor(True), lambda x: x, lambda x: x, x)
    with pytest.raises(TypeError, match=r"one number of steps .* got 2 for xs\[0\], 3 for xs\[1\]"):
        torch.scan(lambda c, x: (c, None), x, [x, torch.zeros(3)])
    with pytest.raises(TypeError, match="length=, to know"):
        torch.scan(lambda c, x: (c, None), x)
    with pytest.raises(ValueError, match="length of at least 0, got -1"):
        torch.scan(lambda c, x: (c, None), x, length=-1)
    with pytest.raises(ValueError, match="max_steps of at least 0, got -2"):
        torch.while_loop(lambda x: x < 3, lambda x: (x,), (torch.tensor(1),), max_steps=-2)
    with pytest.raises(TypeError, match="0-d tensor for xs"):
        torch.map(lambda x: x, torch.tensor(1.0))
    with pytest.raises(ValueError, match="combine_mode of 'generic' or 'pointwise', got 'fast'"):
        torch.associative_scan(torch.add, x, 0, combine_mode="fast")


def test_conditions_and_associative_steps_have_no_effects() -> None:
    x, count = torch.zeros(3), torch.zeros(())
    with pytest.raises(TraceError, match=r"cond_fn of a while_loop writes in place.*do it in body_fn"):
        torch.while_loop(lambda x: count.add_(1) < 3, lambda x: (x,), (x,))
    with pytest.raises(TraceError, match="order is not fixed"):
        torch.associative_scan(lambda a, b: a + b + torch.rand(()), x, 0)
    assert count.item() == 0


def test_values_cannot_be_read_in_a_body(mode: Any) -> None:
    with pytest.raises(TraceError, match="value of a traced tensor was read"):
        mode(lambda x: torch.scan(lambda c, _: (c + 1 if c > 0 else c, None), x, length=2))(torch.tensor(1.0))


def test_reading_state_that_changes_is_refused() -> None:
    count = torch.tensor(0.0)

    def step(c: Any, _: Any) -> Any:
        doubled = c * 2 if count.item() > 1 else c
        count.add_(1)
        return doubled, None

    with pytest.raises(TraceError, match="reads the value of a tensor from outside and writes to it"):
        torch.scan(step, torch.tensor(1.0), length=3)
    assert count.item() == 0


def test_a_gradient_cannot_be_left_behind(mode: Any) -> None:
    w = torch.ones(2, requires_grad=True)

    def step(c: Any, x: Any) -> Any:
        (w * x).sum().backward()
        return c, None

    with pytest.raises(TraceError, match=r"leaves a gradient in the \.grad of a tensor from outside.*zero_grad"):
        mode(lambda xs: torch.scan(step, torch.zeros(()), xs))(torch.ones(3))
    assert w.grad is None


def test_gradients_of_leaves_that_share_memory_are_not_lost() -> None:
    p = torch.ones(2, requires_grad=True)
    q = p.detach().requires_grad_()
    with pytest.raises(TraceError, match=r"shares its memory with another leaf.*Pass it in"):
        torch.scan(lambda c, _: (c * p * q, None), torch.ones(2), length=3)
    final, _ = torch.scan(lambda c, _: ((c[0] * p * c[1], c[1]), None), (torch.ones(2), q), length=3)
    final[0].sum().backward()
    assert (p.grad.tolist(), q.grad.tolist()) == ([3, 3], [3, 3])


def test_a_tensor_of_a_body_means_nothing_outside() -> None:
    kept = []
    torch.scan(lambda c, x: (c, kept.append(c + x)), torch.zeros(()), torch.ones(3))
    with pytest.raises(TraceError, match="escaped"):
        kept[0].item()


# --- What the gradient of a scan costs --------------------------------------------------------------------------------


def gradient_program(step: Callable[[Any, Any, Any], Any]) -> Any:
    """The compiled gradient of a scan over 5 steps by a weight."""
    def loss(w: Any, h: Any, xs: Any) -> Any:
        return total(torch.scan(lambda h, x: step(w, h, x), h, xs))

    return torch.jit(torch.func.grad(loss)).trace(torch.zeros(3, 3), torch.zeros(2, 3), torch.zeros(5, 2, 3))


def scans(graph: Any) -> list[Any]:
    return [node for node in graph.nodes if node.op.name == "scan"]


def test_the_gradient_of_a_scan_computes_no_step_again() -> None:
    """One scan forward and one back, which has no tanh in it; the weight's gradient is one product after it."""
    graph = gradient_program(lambda w, h, x: ((h @ w + x).tanh(),) * 2)
    forward, backward = (node.params["body"] for node in scans(graph))
    names = [[node.op.name for node in body.nodes] for body in (forward, backward)]
    assert names[0].count("tanh") == 1
    assert "tanh" not in names[1]
    assert names[1].count("dot") == 1
    after = graph.nodes[graph.nodes.index(scans(graph)[1]) + 1:]
    assert [node.inputs[0].type.shape[0] for node in after if node.op.name == "dot"] == [5]


def test_a_composition_in_a_body_keeps_one_stack() -> None:
    """What goes into gelu, and the carried value that goes into the product; the rest is made again in each step back."""
    graph = gradient_program(lambda w, h, x: (h + F.gelu(h @ w + x), x[:, :1]))
    forward = scans(graph)[0]
    assert [t.shape for t in forward.types] == [(2, 3), (5, 2, 1), (5, 2, 3), (5, 2, 3)]
    assert "dot" not in [node.op.name for node in scans(graph)[1].params["body"].nodes if node.of is None]


def test_a_weight_that_is_used_twice_takes_two_products() -> None:
    graph = gradient_program(lambda w, h, x: ((h @ w + x @ w).tanh(), h @ w.T))
    after = graph.nodes[graph.nodes.index(scans(graph)[1]) + 1:]
    assert [node.op.name for node in after].count("dot") == 3
    assert len(scans(graph)) == 2


def test_what_is_no_product_is_added_up_in_the_loop() -> None:
    graph = gradient_program(lambda w, h, x: (h * w[0] + x, h))
    assert len(scans(graph)) == 2
    assert scans(graph)[1].params["carried"] == 2


@pytest.mark.parametrize("wrap", [lambda f: f, torch.jit], ids=["lazy", "jit"])
def test_no_forward_pass_runs_twice(wrap: Any) -> None:
    """Once a value was observed, all that its gradient reads of the loop is there."""
    w = rows(3, 3).requires_grad_()
    loss = wrap(lambda xs: total(torch.scan(recurrent(w), torch.zeros(3), xs)))(rows(4, 3))
    loss.item()
    node = loss._read().node
    while node.op.name not in ("scan", "call"):
        node = next(v.node for v in node.inputs if v.requires_grad)
    assert len(node.types) > 2
    saved = node.saved
    assert saved
    assert all(buffer is not None for buffer in saved.values())
    loss.backward()
    expected = torch.func.grad(lambda w: total(looped(recurrent(w), torch.zeros(3), rows(4, 3))))(rows(3, 3))
    close(w.grad, expected, 1e-4)


def test_without_a_gradient_nothing_is_saved() -> None:
    w, xs = torch.ones(3, 3, requires_grad=True), torch.zeros(5, 2, 3)
    run = torch.jit(lambda h, xs: torch.scan(recurrent(w), h, xs))
    with torch.no_grad():
        (node,) = scans(run.trace(torch.zeros(2, 3), xs))
    assert len(node.types) == 2


def test_random_numbers_in_a_loop_in_a_vmap_that_differ(mode: Any) -> None:
    """Every step of every example draws numbers of its own."""
    def draws(x: Any) -> Any:
        return torch.scan(lambda c, _: (c + x, torch.rand(2)), x, length=3)[1]

    torch.manual_seed(5)
    drawn = mode(torch.vmap(draws, randomness="different"))(torch.zeros(4))
    assert len(set(drawn.reshape(-1).tolist())) == 4 * 3 * 2
    with pytest.raises(RuntimeError, match="vmap: called random operation while in randomness error mode"):
        mode(torch.vmap(draws))(torch.zeros(4))


def test_forward_mode_through_loops_and_branches(mode: Any) -> None:
    """d/dx x**8 by squaring three times, in each kind of loop; and of a branch."""
    functions = {
        "while": lambda x: torch.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * y), (torch.tensor(0), x))[1],
        "scan": lambda x: torch.scan(lambda y, _: (y * y, y), x, length=3)[0],
        "scanned": lambda x: torch.scan(lambda y, row: (y * row, y), torch.ones(()), x.expand(8))[0],
        "map": lambda x: torch.map(lambda row: row ** 8, x.expand(2))[1],
        "cond": lambda x: torch.cond(x > 0, lambda x: x ** 8, lambda x: x, (x,))}
    for name, function in functions.items():
        x, v = torch.tensor(1.5), torch.tensor(2.0)
        value, slope = mode(lambda x, v, f=function: torch.func.jvp(f, (x,), (v,)))(x, v)
        assert value.item() == pytest.approx(1.5 ** 8), name
        assert slope.item() == pytest.approx(2 * 8 * 1.5 ** 7), name
        curve = mode(lambda x, f=function: torch.func.jacfwd(torch.func.jacfwd(f))(x))(x)
        assert curve.item() == pytest.approx(56 * 1.5 ** 6), name
