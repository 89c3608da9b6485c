"""backward, grad, grad modes and transforms, against PyTorch where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch


def leaf(*numbers: float) -> Any:
    return torch.tensor(numbers, requires_grad=True)


def test_second_backward_raises_torchs_error() -> None:
    oracle = pytest.importorskip("torch")
    messages = []
    for t in (oracle, torch):
        x = t.tensor([1.0, 2.0], requires_grad=True)
        loss = (x * x).exp().sum()
        loss.backward()
        with pytest.raises(RuntimeError) as caught:
            loss.backward()
        messages.append(str(caught.value))
    assert messages[1].startswith(messages[0])
    assert "test_autograd.py:" in messages[1]


def test_retain_graph_accumulates_and_a_part_can_be_spent() -> None:
    x = leaf(3.0)
    y = x * x
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(RuntimeError, match="second time"):
        (y * 2).sum().backward()
    (x * 5).sum().backward()
    assert x.grad.tolist() == [17.0]


def test_backward_needs_a_scalar_or_a_gradient_of_the_right_shape() -> None:
    y = leaf(1.0, 2.0) * 2
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        y.backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        y.backward(torch.ones(3))
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        torch.ones(1).sum().backward()


@pytest.mark.parametrize("write", [lambda x: x.add_(1), lambda x: x[0].fill_(0), lambda x: x.__setitem__(0, 1.0),
                                   lambda x: x.view(-1).mul_(2), lambda x: x.zero_()])
def test_leaves_refuse_in_place_writes_as_torch_does(write: Any) -> None:
    oracle = pytest.importorskip("torch")
    messages = []
    for t in (oracle, torch):
        x = t.tensor([1.0, 2.0], requires_grad=True)
        with pytest.raises(RuntimeError) as caught:
            write(x)
        messages.append(str(caught.value))
        with t.no_grad():
            write(x)
        write(x.detach())
        write(x.data)
        assert x.requires_grad and x.is_leaf
    assert messages[0] == messages[1]


def test_write_under_no_grad_keeps_the_leaf() -> None:
    x = leaf(1.0, 2.0)
    with torch.no_grad():
        x -= 0.5
        x[1] = 7.0
    (x * x).sum().backward()
    assert x.tolist() == [0.5, 7.0]
    assert x.grad.tolist() == [1.0, 14.0]


def test_write_through_data_after_use_keeps_the_old_gradient() -> None:
    x = leaf(3.0)
    y = x * x
    x.data.fill_(10.0)
    y.sum().backward()
    assert x.tolist() == [10.0]
    assert x.grad.tolist() == [6.0]  # of the value that was used; torch would give 20, silently


def test_detached_twin_is_a_leaf_of_its_own() -> None:
    x = leaf(1.0, 2.0)
    twin = x.detach().requires_grad_()
    (twin * 3 + x).sum().backward()
    assert twin.grad.tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [1.0, 1.0]
    del x
    (twin * 2).sum().backward()
    assert twin.grad.tolist() == [5.0, 5.0]


def test_two_leaves_of_one_storage_inside_jit() -> None:
    x = leaf(1.0, 2.0)
    twin = x.detach().requires_grad_()

    @torch.jit
    def step() -> None:
        (twin * 3 + x * x).sum().backward()

    step()
    assert (twin.grad.tolist(), x.grad.tolist()) == ([3.0, 3.0], [2.0, 4.0])


def test_repeated_attack_idiom() -> None:
    delta = torch.zeros(2, requires_grad=True)
    for _ in range(3):
        ((delta - torch.tensor([1.0, -1.0])) ** 2).sum().backward()
        delta = (delta.detach() - 0.25 * delta.grad).requires_grad_()
    assert delta.tolist() == [0.875, -0.875]


def test_shared_gradient_values_are_separate_tensors() -> None:
    a, b = leaf(1.0), leaf(2.0)
    seed = torch.ones(1)
    (a + b).backward(seed)
    a.grad.add_(10)
    seed.add_(100)
    assert (a.grad.tolist(), b.grad.tolist()) == ([11.0], [1.0])


def test_accumulation_is_in_place_and_set_to_none_is_not() -> None:
    x = leaf(1.0)
    (x * 2).sum().backward()
    kept = x.grad
    (x * 2).sum().backward()
    assert x.grad is kept and kept.tolist() == [4.0]
    x.grad = None
    (x * 2).sum().backward()
    assert kept.tolist() == [4.0] and x.grad.tolist() == [2.0]


def test_create_graph() -> None:
    x = leaf(2.0)
    (first,) = torch.autograd.grad((x ** 4).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    second.sum().backward()
    assert (first.item(), second.item(), x.grad.item()) == (32.0, 48.0, 48.0)


def test_gradient_penalty_against_torch() -> None:
    oracle = pytest.importorskip("torch")
    results = []
    for t in (oracle, torch):
        w = t.tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)
        x = t.tensor([1.0, 2.0], requires_grad=True)
        out = (w @ x).tanh().sum()
        (slope,) = t.autograd.grad(out, x, create_graph=True)
        (out + (slope ** 2).sum()).backward()
        results.append(np.concatenate([w.grad.numpy().ravel(), x.grad.numpy()]))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4)


def test_grad_of_intermediate_unused_and_repeated_inputs() -> None:
    x, other = leaf(3.0), leaf(1.0)
    y = x * 2
    z = (y * y).sum()
    by_y, by_x = torch.autograd.grad(z, [y, x], retain_graph=True)
    assert (by_y.item(), by_x.item()) == (12.0, 24.0)
    assert x.grad is None
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        torch.autograd.grad(z, other, retain_graph=True)
    assert torch.autograd.grad(z, other, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(z, other, materialize_grads=True, retain_graph=True)[0].item() == 0
    assert [g.item() for g in torch.autograd.grad(z, [x, x])] == [24.0, 24.0]


def test_backward_into_chosen_inputs() -> None:
    a, b = leaf(1.0), leaf(2.0)
    y = a * b
    y.sum().backward(inputs=[a])
    assert a.grad.item() == 2 and b.grad is None


def test_retain_grad() -> None:
    x = leaf(1.0)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.item() == 6 and x.grad.item() == 18


def test_modes_nest_decorate_and_survive_errors() -> None:
    x = leaf(1.0)

    @torch.no_grad()
    def quiet(fail: bool = False) -> Any:
        if fail:
            raise ValueError
        with torch.enable_grad():
            inside = x * 2
        return x * 2, inside

    assert [t.requires_grad for t in quiet()] == [False, True]
    with pytest.raises(ValueError):
        quiet(fail=True)
    assert torch.is_grad_enabled()

    @torch.no_grad
    def bare() -> bool:
        return torch.is_grad_enabled()

    assert not bare() and torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    torch.set_grad_enabled(True)
    with torch.set_grad_enabled(False):
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        assert not (x * 2).requires_grad
    assert torch.is_grad_enabled()


def test_transforms_compose() -> None:
    f = torch.func
    cube = lambda x: (x ** 3).sum()  # noqa: E731
    x = torch.tensor([1.0, 2.0])
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert f.grad(cube)(x).tolist() == [3, 12]
    assert torch.vmap(f.grad(cube))(rows).tolist() == [[3, 12], [27, 48]]
    assert f.grad(lambda rows: torch.vmap(cube)(rows).sum())(rows).tolist() == [[3, 12], [27, 48]]
    assert f.grad(lambda x: f.grad(cube)(x).sum())(x).tolist() == [6, 12]
    value, pull = f.vjp(lambda x: x ** 2, x)
    assert (value.tolist(), pull(torch.ones(2))[0].tolist()) == ([1, 4], [2, 4])
    basis = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.vmap(lambda v: pull(v)[0])(basis).tolist() == [[2, 0], [0, 4]]
    gradient, (value, extra) = f.grad_and_value(lambda x: (cube(x), x + 1), has_aux=True)(x)
    assert (gradient.tolist(), value.item(), extra.tolist()) == ([3, 12], 9, [2, 3])
    outside = leaf(2.0)
    f.grad(lambda x: (x * outside).sum())(torch.ones(1)).sum().backward()
    assert outside.grad.item() == 1
    assert torch.vmap(lambda a, b: a * b, in_dims=(0, None))(rows, x).tolist() == [[1, 4], [3, 8]]
    assert torch.vmap(lambda a: a * 2, out_dims=1)(rows).tolist() == [[2, 6], [4, 8]]
    assert torch.vmap(cube, chunk_size=1)(rows).tolist() == [9, 91]


def test_writes_to_intermediates_flow_as_in_torch() -> None:
    oracle = pytest.importorskip("torch")
    results = []
    for t in (oracle, torch):
        x = t.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
        y = x * 1.0
        column = y[:, 1]
        y.t()[2].mul_(2)
        column.copy_(y[:, 0] * 3)
        y[0] += y[1]
        (y * column.sum()).sum().backward()
        results.append((y.tolist(), column.tolist(), x.grad.tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize("view", [False, True])
def test_history_written_through_a_detached_twin_is_its_own(view: bool) -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    source = y.view(2, 1) if view else y
    first, second = source.detach(), source.detach()
    first.add_(y.sum())
    assert (y.tolist(), second.requires_grad) == ([8.0, 10.0], False)
    assert first.requires_grad
    (gradient,) = torch.autograd.grad(first.sum() + second.sum(), x, retain_graph=True)
    assert gradient.tolist() == [4.0, 4.0]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [2.0, 2.0]


def test_no_grad_holds_inside_a_jitted_forward_and_inside_vmap() -> None:
    def forward(x: Any) -> Any:
        with torch.no_grad():
            y = x * 3
        return (y * x).sum()

    x = leaf(1.0, 2.0)
    torch.jit(forward)(x).backward()
    assert x.grad.tolist() == [3.0, 6.0]
    mapped = torch.func.grad(lambda x: torch.vmap(forward)(x).sum())(torch.ones(2, 3))
    assert mapped.tolist() == [[3.0] * 3] * 2
    whole = torch.jit(lambda x: (x * 3 * x).sum())  # the same operations, where no gradient stops
    whole(y := leaf(1.0, 2.0)).backward()
    assert y.grad.tolist() == [6.0, 12.0]


def test_anomalies_name_the_module_and_traces_are_refused() -> None:
    class Root(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x.sqrt()

    model = torch.nn.Sequential(torch.nn.Identity(), Root())
    with torch.autograd.set_detect_anomaly(True):
        with pytest.raises(RuntimeError, match=r"'SqrtBackward0' .* sqrt at .*test_autograd.py:\d+ in 1$"):
            (model(leaf(0.0)) * 0).sum().backward()
        with pytest.raises(RuntimeError, match=r"detect_anomaly looks at .* use jit\(check_nan=True\)"):
            torch.jit(torch.func.grad(lambda x: x.sqrt().sum()))(torch.ones(2))


def test_a_long_function_is_mapped_as_a_whole() -> None:
    def f(x: Any) -> Any:
        for _ in range(2100):  # more than lazy mode leaves pending
            x = x + 1
        return x

    assert torch.vmap(f)(torch.ones(2)).tolist() == [2101, 2101]


TWINS = {
    "detach": lambda x: x.detach(), "data": lambda x: x.data, "detached view": lambda x: x.view(-1).detach(),
    "detach of a view": lambda x: x[:].detach(), "twice": lambda x: x.detach().detach()}


@pytest.mark.parametrize("wrap", [lambda f: f, torch.jit], ids=["lazily", "jitted"])
@pytest.mark.parametrize("name", TWINS)
def test_a_detached_twin_read_before_its_leaf_carries_no_gradient(name: str, wrap: Any) -> None:
    """Whichever is read first: d(stop(x) * x) = stop(x), also of what an optimizer has just written."""
    x = torch.nn.Parameter(torch.tensor([2.0, 3.0]))
    opt = torch.optim.SGD([x], lr=1.0)
    early = x.detach()

    def step() -> Any:
        loss = (TWINS[name](x) * x + early * x).sum()
        loss.backward()
        gradient = x.grad.clone()
        opt.step()
        opt.zero_grad()
        return gradient

    step = wrap(step)
    assert step().tolist() == [4, 6]
    assert x.tolist() == early.tolist() == [-2, -3]
    assert step().tolist() == [-4, -6]


def test_the_source_of_a_parameter_carries_no_gradient() -> None:
    source = torch.ones(2)
    p = torch.nn.Parameter(source)
    (source * p).sum().backward()
    assert p.grad.tolist() == [1, 1] and not source.requires_grad
    before = torch.ones(2)
    twin = before.detach()
    before.requires_grad_()
    (twin * before).sum().backward()
    assert before.grad.tolist() == [1, 1]
    assert torch.jit(lambda x: torch.func.grad(lambda y: (y.detach() * y).sum())(x))(torch.ones(2)).tolist() == [1, 1]
    argument = torch.ones(2, requires_grad=True)
    torch.jit(lambda x: (x.detach() * x).sum())(argument).backward()
    assert argument.grad.tolist() == [1, 1]
