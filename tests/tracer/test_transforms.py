"""Transforms without an oracle: what forward mode leaves behind, random draws, chunks, writes, errors; on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.functions.operands import wrap
from flambeau.tracer.ir.constants import full_like
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.ir.graph import needed_nodes
from flambeau.tracer.ir.recorder import capture, close, recording
from flambeau.tracer.ops import OPS
from flambeau.tracer.ops.elementwise import compare

from ..engines import on_numpy

f = torch.func


@pytest.fixture(params=["numpy", "xla"], autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    with on_numpy(request.param == "numpy"):
        yield request.param


def both_ways(function: Any) -> list[Any]:
    """What the function returns lazily and jitted."""
    return [function(), torch.jit(function)()]


# --- Forward mode -----------------------------------------------------------------------------------------------------

FORWARD: dict[str, Any] = {
    "products": lambda x: x * x.sin() / (x * x + 1),
    "softmax": lambda x: x.softmax(-1),
    "matmul": lambda x: (x @ x.t()).tanh(),
    "sort and gather": lambda x: x.sort(-1)[0].gather(1, torch.tensor([[0], [1]])),
    "writes": lambda x: (x * 1).mul_(x).t().reshape(-1).cumsum(0),
    "pooling": lambda x: torch.nn.functional.max_pool1d(x[None], 2),
}


@pytest.mark.parametrize("function", FORWARD.values(), ids=FORWARD)
def test_nothing_is_left_of_reverse_mode_in_forward_mode(function: Any) -> None:
    """Every node of the derivative is needed, and everything comes from the argument and its tangent."""
    x, v = torch.rand(2, 3), torch.rand(2, 3)
    with recording() as recorder:
        ends = [t._read() for t in f.jvp(function, (x,), (v,))]
    needed = set(needed_nodes(recorder.nodes, ends))
    derivative = [node for node in recorder.nodes if node.of is not None]
    assert derivative
    assert not [node for node in derivative if node not in needed]
    _, free = close([x._read(), v._read()], recorder.nodes, tuple(ends))
    assert all(value.buffer is not None for value in free), "a stand-in is left"


def until_large(x: Any) -> Any:
    """x doubled until its sum is at least 50, as the op that has a jvp and no vjp."""
    types = [x._type]
    cond, _ = capture(lambda x: [compare(OPS["reduce_sum"](x, axes=(0,)), full_like(OPS["reduce_sum"](x, axes=(0,)), 50),
                                         direction="LT")], types)
    body, _ = capture(lambda x: [OPS["mul"](x, full_like(x, 2))], types)
    return wrap(OPS["while"](x._read(), cond=cond, body=body, carried=1)[0])


def test_an_op_with_a_rule_of_its_own_is_pushed_through() -> None:
    x = torch.tensor([1.0, 2.0])
    for out, moved in both_ways(lambda: f.jvp(lambda x: until_large(x * x).sin(), (x,), (torch.tensor([1.0, 0.5]),))):
        np.testing.assert_allclose(out.numpy(), np.sin([16.0, 64.0]), rtol=1e-5)
        np.testing.assert_allclose(moved.numpy(), np.cos([16.0, 64.0]) * [32.0, 32.0], rtol=1e-5)
    jacobian = f.jacfwd(until_large)(x)
    np.testing.assert_array_equal(jacobian.numpy(), np.eye(2) * 32)
    with pytest.raises(NotImplementedError, match="use scan"):
        f.grad(lambda x: until_large(x).sum())(x)


def test_linearize_runs_the_function_once() -> None:
    calls = []

    def function(x: Any) -> Any:
        calls.append(x)
        return x.exp()

    value, push = f.linearize(function, torch.zeros(2))
    assert [push(torch.tensor([k, 2.0 * k])).tolist() for k in (1.0, 2.0)] == [[1.0, 2.0], [2.0, 4.0]]
    assert (value.tolist(), len(calls)) == ([1.0, 1.0], 1)
    with pytest.raises(RuntimeError, match="same argspec"):
        push(torch.ones(2), torch.ones(2))


# --- What leaves a transform ------------------------------------------------------------------------------------------


def test_results_carry_only_the_gradients_of_what_is_outside() -> None:
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    x = torch.ones(2)
    assert not f.grad(lambda x: (x ** 2).sum())(x).requires_grad
    gradient, (value, aux) = f.grad_and_value(lambda x: ((x ** 2 * w).sum(), x * 2), has_aux=True)(x)
    assert (gradient.requires_grad, value.requires_grad, aux.requires_grad) == (True, True, False)
    gradient.sum().backward()
    assert w.grad.tolist() == [2.0, 2.0]
    with torch.no_grad():
        assert not f.grad(lambda x: (x * w).sum())(x).requires_grad
        assert f.grad(lambda x: (x * w).sum())(x).tolist() == [2.0, 3.0]


def test_captured_tensors_that_are_written_end_up_plain() -> None:
    for grad_of in (f.grad, lambda g: f.jacrev(g)):
        seen = torch.zeros(2)
        grad_of(lambda x, seen=seen: (seen.add_(x) * x).sum())(torch.tensor([1.0, 2.0]))
        assert (seen.tolist(), seen.requires_grad) == ([1.0, 2.0], False)


def test_an_error_puts_captured_tensors_back() -> None:
    count = torch.zeros(2)

    def fails(x: Any) -> Any:
        count.add_(1)
        raise KeyError("stop")

    for transform in (f.grad(fails), torch.vmap(fails), lambda x: f.jvp(fails, (x,), (x,)),
                      f.grad(lambda x: torch.vmap(fails)(x).sum())):
        with pytest.raises(KeyError):
            transform(torch.ones(3, 2))
        assert count.tolist() == [0.0, 0.0]
    assert f.grad(lambda x: x.sum())(torch.ones(2)).tolist() == [1.0, 1.0]


def test_backward_inside_is_refused() -> None:
    w = torch.ones(2, requires_grad=True)
    for transform in (f.grad, torch.vmap):
        with pytest.raises(RuntimeError, match=r"backward\(\) called inside a functorch transform"):
            transform(lambda x: (x * w).sum().backward())(torch.ones(2, 2))
    assert w.grad is None


# --- vmap -------------------------------------------------------------------------------------------------------------


def test_reading_a_value_inside_vmap_says_what_to_do() -> None:
    for function in (lambda x: x.sum().item(), lambda x: x if x.sum() > 0 else -x, lambda x: float(x[0])):
        with pytest.raises(TraceError, match=r"calling \.item\(\) on a Tensor.*test_transforms.*torch\.where"):
            torch.vmap(function)(torch.ones(3, 2))
    scale = torch.tensor(3.0) * 2
    assert torch.vmap(lambda x: x * scale.item())(torch.ones(2)).tolist() == [6.0, 6.0]


def test_a_tensor_kept_from_inside_says_so() -> None:
    kept: list[Any] = []
    torch.vmap(lambda x: kept.append(x * 2) or x)(torch.ones(3, 2))
    with pytest.raises(TraceError, match="escaped"):
        (kept[0] + 1).tolist()


def test_a_tensor_kept_from_inside_that_depends_on_no_example_is_plain() -> None:
    kept: list[Any] = []
    pending = torch.ones(2) * 3
    torch.vmap(lambda x: kept.append(pending * 2) or x)(torch.ones(3, 2))
    assert (kept[0] + pending).tolist() == [9.0, 9.0]


def test_writing_what_is_mapped_to_what_is_not() -> None:
    count, total = torch.zeros(2), torch.zeros(2)
    with pytest.raises(RuntimeError, match="inplace arithmetic"):
        torch.vmap(lambda x: count.add_(1) + total.add_(x))(torch.ones(3, 2))
    assert count.tolist() == [0.0, 0.0]
    x = torch.ones(3, 2)
    with pytest.raises(RuntimeError, match="shares its memory"):
        torch.vmap(lambda x, y: x.mul_(2) + y)(x, x)
    assert (total.tolist(), x.tolist()) == ([0.0, 0.0], [[1.0, 1.0]] * 3)


def test_views_of_captured_tensors_stay_usable() -> None:
    table = torch.arange(6.0).reshape(2, 3) * 2
    column = table[:, 1]
    leaf = table.detach().requires_grad_()
    out = torch.vmap(lambda x: x * column + leaf.sum(1))(torch.ones(4, 2))
    assert out.tolist() == [[8.0, 32.0]] * 4
    assert (column + 1).tolist() == [3.0, 9.0]
    out.sum().backward()
    assert leaf.grad.tolist() == [[4.0] * 3] * 2


def test_a_long_body() -> None:
    def many(x: Any) -> Any:
        for _ in range(2500):
            x = x + 1
        return x

    assert torch.vmap(many)(torch.zeros(3)).tolist() == [2500.0] * 3


def test_replayed_nodes_come_from_the_users_lines() -> None:
    def example(x: Any) -> Any:
        return x.sin()

    graph = torch.jit(lambda x: torch.vmap(f.grad(lambda x: example(x).sum()))(x)).trace(torch.ones(3, 2))
    line = example.__code__.co_firstlineno + 1
    places = {node.op.name: node.location for node in graph.nodes}
    assert places["cos"][0].endswith("test_transforms.py") and places["cos"][1] == line


# --- Random draws -----------------------------------------------------------------------------------------------------


def drawn(function: Any, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    out = torch.vmap(function, **kwargs)(torch.ones(4, 3)).numpy()
    return out, torch.rand(2).tolist()


DRAWS: dict[str, Any] = {
    "rand": lambda x: x * torch.rand(3),
    "randn_like": lambda x: torch.randn_like(x),
    "in place": lambda x: (x * 1).uniform_(),
    "float64": lambda x: torch.rand(3, dtype=torch.float64),
    "dropout": lambda x: torch.nn.functional.dropout(x.repeat(40), 0.5),
    "bernoulli": lambda x: torch.bernoulli(x.repeat(40) / 2),
    "randint": lambda x: torch.randint(0, 1000, (3,)),
    "randperm": lambda x: torch.randperm(20),
    "two draws": lambda x: torch.rand(3) + torch.rand(3),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_same_and_different_draws(draw: Any) -> None:
    same, after = drawn(draw, randomness="same")
    assert (same == same[0]).all()
    torch.manual_seed(0)
    np.testing.assert_array_equal(same[0], draw(torch.ones(3)).numpy())
    assert torch.rand(2).tolist() == after, "the generator goes on as after one draw"
    different, later = drawn(draw, randomness="different")
    assert len({row.tobytes() for row in different}) == 4
    assert later != after
    np.testing.assert_array_equal(drawn(draw, randomness="different")[0], different)
    with pytest.raises(RuntimeError, match="vmap: called random operation while in randomness error mode"):
        torch.vmap(draw)(torch.ones(4, 3))


def test_draws_in_chunks() -> None:
    same, _ = drawn(lambda x: x * torch.rand(3), randomness="same", chunk_size=3)
    assert (same == same[0]).all()
    np.testing.assert_array_equal(same, drawn(lambda x: x * torch.rand(3), randomness="same")[0])
    different, _ = drawn(lambda x: x * torch.rand(3), randomness="different", chunk_size=3)
    assert len({row.tobytes() for row in different}) == 4


@pytest.mark.parametrize(("outer", "inner", "distinct"), [
    ("same", "same", 1), ("same", "different", 3), ("different", "same", 2), ("different", "different", 6)])
def test_draws_of_nested_maps(outer: str, inner: str, distinct: int) -> None:
    def draw() -> Any:
        torch.manual_seed(0)
        rows = torch.vmap(lambda x: torch.vmap(lambda y: y + torch.rand(8), randomness=inner)(x), randomness=outer)
        return rows(torch.zeros(2, 3, 1))

    lazy, jitted = both_ways(draw)
    assert len({row.tobytes() for row in lazy.numpy().reshape(6, 8)}) == distinct
    np.testing.assert_array_equal(jitted.numpy(), lazy.numpy())
    for first, second in (("error", inner), (outer, "error")):
        mapped = torch.vmap(lambda x, second=second: torch.vmap(lambda y: torch.rand(2), randomness=second)(x),
                            randomness=first)
        with pytest.raises(RuntimeError, match="randomness error mode"):
            mapped(torch.zeros(2, 3))


def test_a_generator_of_ones_own() -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.vmap(lambda x: torch.rand(2, generator=generator), randomness="different")(torch.zeros(3))
    assert len({row.tobytes() for row in rows.numpy()}) == 3
    again = torch.vmap(lambda x: torch.rand(2, generator=generator), randomness="different")(torch.zeros(3))
    assert not (rows == again).any()


def test_different_dropout_for_each_gradient() -> None:
    torch.manual_seed(0)
    w = torch.ones(64)
    rows = torch.vmap(f.grad(lambda w, x: torch.nn.functional.dropout(w * x).sum()), in_dims=(None, 0),
                      randomness="different")(w, torch.ones(3, 64))
    assert set(rows.unique().tolist()) == {0.0, 2.0}
    assert len({row.tobytes() for row in rows.numpy()}) == 3


# --- With jit ---------------------------------------------------------------------------------------------------------


def test_transforms_of_jitted_functions_and_jitted_transforms() -> None:
    jitted = torch.jit(lambda x: (x.sin() * x).sum())
    rows = torch.arange(6.0).reshape(3, 2)
    expected = np.sin(rows.numpy()) + rows.numpy() * np.cos(rows.numpy())
    for function in (torch.vmap(f.grad(jitted)), torch.jit(torch.vmap(f.grad(jitted))), torch.vmap(torch.jit(f.grad(jitted)))):
        np.testing.assert_allclose(function(rows).numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(torch.jit(lambda x: f.jvp(jitted, (x,), (x,))[1])(rows[2]).numpy(),
                               (expected[2] * rows[2].numpy()).sum(), rtol=1e-4)


def test_forward_mode_goes_through_a_jitted_function() -> None:
    def plain(x: Any) -> Any:
        return (x.sin() * x).sum()

    x, v = torch.tensor([0.5, 2.0]), torch.tensor([1.0, -1.0])
    for transform in (lambda g: f.jvp(g, (x,), (v,))[1], lambda g: f.linearize(g, x)[1](v), lambda g: f.hessian(g)(x),
                      lambda g: f.jvp(f.grad(g), (x,), (v,))[1], lambda g: torch.autograd.functional.hessian(g, x)):
        np.testing.assert_allclose(transform(torch.jit(plain)).numpy(), transform(plain).numpy(), rtol=1e-5)


def test_a_jitted_transform_is_one_program() -> None:
    step = torch.jit(lambda x: f.hessian(lambda x: (x ** 3).sum())(x))
    for k in (1.0, 2.0):
        assert step(torch.full((2,), k)).tolist() == [[6 * k, 0.0], [0.0, 6 * k]]
    assert step.stats.compiles == 1


def test_per_example_gradients_in_a_training_step() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(8, 3), torch.randn(8, 1)

    @torch.jit
    def step(x: Any, y: Any) -> Any:
        parameters = {name: p.detach() for name, p in model.named_parameters()}
        gradients, value = f.grad_and_value(lambda p: (f.functional_call(model, p, (x,)) - y).pow(2).mean())(parameters)
        for name, p in model.named_parameters():
            p.grad = gradients[name]
        opt.step()
        opt.zero_grad()
        return value

    losses = [step(x, y).item() for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert model[1].num_batches_tracked.item() == 5
    assert step.stats.compiles == 1


# --- gradcheck --------------------------------------------------------------------------------------------------------


def double(*numbers: complex) -> Any:
    kind = torch.complex128 if any(isinstance(n, complex) for n in numbers) else torch.float64
    return torch.tensor(numbers, dtype=kind, requires_grad=True)


def wrong(x: Any) -> Any:
    """x ** 2 with the gradient of x ** 2 / 2."""
    return x * x.detach()


def test_gradcheck_accepts_what_is_right() -> None:
    check = torch.autograd.gradcheck
    x, z = double(0.5, -2.0, 3.0), double(1 + 2j, -0.5 + 0.1j)
    everything = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    for fast in (False, True):
        assert check(lambda x: (x.exp(), x.sum()), x, fast_mode=fast, **everything)
        assert check(lambda z: (z * z, z.abs(), z.conj() * 2j), z, fast_mode=fast, **everything)
        assert check(lambda x: x * (1 + 2j), x, fast_mode=fast, **everything)
        assert torch.autograd.gradgradcheck(lambda x, z: (x[:2] * z).sin(), (x, z), fast_mode=fast)
    assert check(lambda x, n, k: x * n + k, (x, torch.tensor(3), 4))
    assert check(lambda x: x * 2, torch.empty(0, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradgradcheck(lambda x: x ** 3, x, check_fwd_over_rev=True, gen_non_contig_grad_outputs=True)
    assert x.tolist() == [0.5, -2.0, 3.0], "the inputs are as before"


def test_gradcheck_moves_what_the_function_captures() -> None:
    layer = torch.nn.Linear(2, 2).double()
    x = torch.ones(2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *parameters: layer(x), tuple(layer.parameters()))


def test_gradcheck_finds_what_is_wrong() -> None:
    check = torch.autograd.gradcheck
    x = double(1.0, 2.0)
    text = (r"Jacobian mismatch for output 0 with respect to input 0,\nnumerical:tensor\(\[\[2\.0000, 0\.0000\],\n"
            r" +\[0\.0000, 4\.0000\]\], dtype=torch\.float64\)\nanalytical:tensor\(\[\[1\., 0\.\],\n +\[0\., 2\.\]\]")
    with pytest.raises(torch.autograd.GradcheckError, match=text):
        check(wrong, x)
    with pytest.raises(torch.autograd.GradcheckError, match=r"forward mode mismatch for output 0"):
        check(wrong, x, check_forward_ad=True, check_backward_ad=False)
    with pytest.raises(torch.autograd.GradcheckError, match=r"fast mode(.|\n)*Numerical:\ntensor"):
        check(wrong, x, fast_mode=True)
    with pytest.raises(torch.autograd.GradcheckError, match="expected to be zero"):
        check(lambda x: x.detach(), x)
    with pytest.raises(torch.autograd.GradcheckError, match="imaginary part of complex outputs only"):
        check(lambda x: x * (2 + 2j) - (x * 1j).detach(), x)
    assert not check(wrong, x, raise_exception=False)
    assert not torch.autograd.gradgradcheck(lambda x: 2 * x * x.detach(), x, raise_exception=False)


def test_gradcheck_refuses_what_it_cannot_check() -> None:
    check = torch.autograd.gradcheck
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        check(torch.sin, torch.ones(2, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="stride 0"):
        check(torch.sin, torch.ones(1, dtype=torch.float64).expand(3).detach().requires_grad_())
    with pytest.raises(AssertionError, match="at least one of check_forward_ad or check_backward_ad"):
        check(torch.sin, double(1.0), check_backward_ad=False)
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        check(torch.sin, torch.ones(2, requires_grad=True), raise_exception=False)
