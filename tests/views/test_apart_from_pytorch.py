"""What the random programs leave out since PyTorch is no oracle there: a case for each reason that `programs.execute` has.

Values are PyTorch's where it has any. Gradients are compared with central differences of our own values.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_engine")

Function = Callable[..., Any]
WAYS: dict[str, Function] = {"lazily": lambda f: f, "jitted": flambeau.jit}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Function:
    """How a function is run."""
    return WAYS[request.param]


def start(torch: Any, kind: str = "real") -> Any:
    data = np.linspace(-1.1, 0.9, 6).reshape(2, 3)
    return torch.tensor(data + 0.5j * data[::-1] if kind == "complex" else data)


def number(tensors: list[Any]) -> Any:
    """A weighted sum of squares of tensors."""
    total = 0.0
    for k, y in enumerate(tensors):
        weights = flambeau.arange(1.0, y.numel() + 1, dtype=flambeau.float64).reshape(y.shape) * (k + 0.5)
        total = total + (weights * (y * y.conj() if y.dtype.is_complex else y * y).real).sum()
    return total


def slope(f: Callable[[Any], float], x: Any, step: float = 1e-5) -> Any:
    """The gradient by central differences, of the real and of the imaginary part."""
    found = np.zeros(x.shape, x.dtype)
    for at in np.ndindex(x.shape):
        for unit in (1, 1j) if x.dtype.kind == "c" else (1,):
            ahead, behind = x.copy(), x.copy()
            ahead[at] += unit * step
            behind[at] -= unit * step
            found[at] += unit * (f(ahead) - f(behind)) / (2 * step)
    return found


def check_gradient(f: Callable[[Any], list[Any]], way: Function, kind: str = "real") -> None:
    """Of a number made of the tensors that `f` gives, by its operand."""

    def gradient(x: Any) -> Any:
        leaf = x.detach().requires_grad_()
        return flambeau.autograd.grad(number(f(leaf)), leaf)[0]

    x = start(flambeau, kind)
    expected = slope(lambda a: float(number(f(flambeau.tensor(a))).item()), x.numpy())
    np.testing.assert_allclose(way(gradient)(x).numpy(), expected, rtol=1e-6, atol=1e-7)


# --- Memory that a tensor shows several times -------------------------------------------------------------------------

REPEATING: dict[str, Callable[[Any], Any]] = {
    "windows": lambda b: b.unfold(-1, 2, 1), "rows of one": lambda b: b[0].expand(3, 3),
    "columns of one": lambda b: b[:, :1].expand(2, 4), "in the middle": lambda b: b[:, None].expand(2, 3, 3),
    "in front": lambda b: b.expand(2, 2, 3), "turned": lambda b: b.expand(2, 2, 3).transpose(0, 2)}


def every(torch: Any, x: Any, n: int) -> Any:
    return torch.tensor(np.arange(x.numel()).reshape(tuple(x.shape)) % n == 0)


SAME_VALUE: dict[str, Function] = {
    "fill_": lambda torch, x: x.fill_(0.25), "zero_": lambda torch, x: x.zero_(),
    "masked_fill_": lambda torch, x: x.masked_fill_(every(torch, x, 3), 0.5),
    "a mask": lambda torch, x: x.__setitem__(every(torch, x, 2), -2.0),
    "positions": lambda torch, x: x.__setitem__(torch.tensor([0, 1]), 3.0),
    "index_put_": lambda torch, x: x.index_put_((torch.tensor([1, 0]), torch.tensor([0, 1])), torch.tensor(0.75).double()),
    "index_fill_": lambda torch, x: x.index_fill_(1, torch.tensor([1]), 1.5),
    "fill_diagonal_": lambda torch, x: x.fill_diagonal_(4.0) if x.ndim == 2 or len({*x.shape}) == 1 else x.zero_()}


@pytest.mark.parametrize("write", SAME_VALUE)
@pytest.mark.parametrize("view", REPEATING)
def test_one_value_for_all_copies_of_an_element(view: str, write: str, way: Function) -> None:
    """PyTorch does it (it warns against some of these), and refuses or errs as soon as a gradient flows."""

    def changed(torch: Any, x: Any) -> list[Any]:
        y = x * 1
        SAME_VALUE[write](torch, REPEATING[view](y))
        return [y, REPEATING[view](y)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = changed(oracle, start(oracle))
    for a, b in zip(way(lambda x: changed(flambeau, x))(start(flambeau)), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy())
    check_gradient(lambda x: changed(flambeau, x), way)


SEVERAL_VALUES: dict[str, Function] = {
    "add_": lambda torch, x: x.add_(1), "copy_": lambda torch, x: x.copy_(torch.ones(x.shape)),
    "all": lambda torch, x: x.__setitem__(..., 2.0), "cumsum_": lambda torch, x: x.cumsum_(0),
    "index_add_": lambda torch, x: x.index_add_(0, torch.tensor([0]), torch.ones(1, *x.shape[1:]).double()),
    "scatter_": lambda torch, x: x.scatter_(0, torch.zeros(x.shape, dtype=torch.int64), 2.0),
    "put_": lambda torch, x: x.put_(torch.tensor([1]), torch.tensor([9.0]).double()),
    "masked_scatter_": lambda torch, x: x.masked_scatter_(every(torch, x, 2), torch.ones(x.numel()).double()),
    "out=": lambda torch, x: torch.mul(x, 2, out=x)}


@pytest.mark.parametrize("write", SEVERAL_VALUES)
@pytest.mark.parametrize("view", REPEATING)
def test_writes_that_could_mean_several_values_are_refused(view: str, write: str, way: Function) -> None:
    """Of overlapping windows PyTorch does not know that they overlap, and writes in whatever order."""
    for torch in (flambeau,) if view == "windows" else (oracle, flambeau):
        x, run = start(torch), way if torch is flambeau else WAYS["lazily"]
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            run(lambda x, torch=torch: SEVERAL_VALUES[write](torch, REPEATING[view](x)))(x)
        assert x.tolist() == start(torch).tolist()


def test_adding_at_positions_of_repeated_elements_is_refused() -> None:
    """PyTorch warns that it will refuse too."""
    x = start(flambeau)[0].expand(2, 3)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        x.index_put_((flambeau.tensor([0]),), flambeau.ones((), dtype=flambeau.float64), accumulate=True)


def test_an_operand_in_the_same_memory_is_read_before_the_write(way: Function) -> None:
    """PyTorch leaves open what `x[1:].copy_(x[:-1])` does."""

    def shift(x: Any) -> list[Any]:
        y = x.reshape(-1) * 1
        y[1:].copy_(y[:-1])
        y[:3].add_(y[2:5])
        return [y]

    y = start(flambeau).reshape(-1).numpy().copy()
    y[1:] = y[:-1].copy()
    y[:3] += y[2:5].copy()
    np.testing.assert_allclose(way(shift)(start(flambeau))[0].numpy(), y)
    check_gradient(shift, way)


# --- Shapes that change in place --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("quiet", [False, True], ids=["", "no_grad"])
def test_views_of_what_is_transposed_in_place_keep_their_gradient(kind: str, quiet: bool, way: Function) -> None:
    """PyTorch gives the gradients of those views the new shape."""

    def turned(x: Any) -> list[Any]:
        y = x * 1
        row = y[0]
        with flambeau.set_grad_enabled(not quiet):
            y.t_()
        row.mul_(2)
        return [y, row, y[1:]]

    values = turned(start(flambeau, kind))
    assert values[0].shape == (3, 2)
    assert values[0][:, 0].tolist() == values[1].tolist()
    check_gradient(turned, way, kind)


def test_a_leaf_that_is_transposed_in_place_has_a_gradient_of_its_new_shape() -> None:
    x = start(flambeau).requires_grad_()
    with flambeau.no_grad():
        x.t_()
    (x * x).sum().backward()
    assert x.grad.tolist() == (2 * start(flambeau).t()).tolist()


def test_an_empty_out_gets_the_shape_of_the_result() -> None:
    for torch in (oracle, flambeau):
        out = torch.empty(0, dtype=torch.float64)
        assert torch.add(start(torch), 1, out=out) is out
        np.testing.assert_allclose(out.numpy(), start(flambeau).numpy() + 1)


# --- Histories --------------------------------------------------------------------------------------------------------


def test_as_strided_of_a_part_has_the_gradient_of_all_that_it_shows(way: Function) -> None:
    """PyTorch's leaves out what the part does not show."""
    check_gradient(lambda x: [(x * 1)[1:].as_strided((2, 2), (3, 1), 0)], way)
    check_gradient(lambda x: [(x * 1)[:, ::2].as_strided((4,), (1,), 1)], way)


def test_as_strided_of_a_leaf_that_is_a_part() -> None:
    found = []
    for torch in (oracle, flambeau):
        memory = torch.arange(12.0)
        leaf = memory[2:8].requires_grad_()
        y = leaf.as_strided((2, 2), (2, 1), 3)
        (y * y).sum().backward()
        with torch.no_grad():
            y.mul_(2)
        found.append([y.tolist(), leaf.grad.tolist(), memory.tolist(), y.storage_offset()])
    assert found[0] == found[1]
    leaf = flambeau.arange(12.0)[2:8].requires_grad_()
    with pytest.raises(NotImplementedError, match=r"reaches elements 0 to 1 .* shows 2 to 7 alone"):
        leaf.as_strided((2,), (1,), 0)
    with pytest.raises(NotImplementedError, match="which lie apart"):
        flambeau.arange(12.0)[::2].requires_grad_().as_strided((2,), (1,))


def test_no_gradient_flows_through_a_view_made_under_no_grad() -> None:
    """PyTorch's says that it requires grad, and lets none through."""
    x = start(flambeau).requires_grad_()
    y = x * 1
    with flambeau.no_grad():
        row = y[0]
    assert not row.requires_grad
    (row * y).sum().backward()
    assert x.grad.tolist() == flambeau.stack([start(flambeau)[0]] * 2).tolist()


def test_what_is_written_through_data_does_not_reach_what_was_computed_before(way: Function) -> None:
    """PyTorch's gradient of `y * y` would use the y of now; values are immutable here."""

    def gradient(x: Any) -> Any:
        leaf = x.detach().requires_grad_()
        y = leaf * 1
        z = y * y
        y.data.mul_(10)
        return flambeau.autograd.grad((z + y).sum(), leaf)[0], y.detach()

    found, y = way(gradient)(start(flambeau))
    np.testing.assert_allclose(found.numpy(), 2 * start(flambeau).numpy() + 1)
    np.testing.assert_allclose(y.numpy(), 10 * start(flambeau).numpy())
