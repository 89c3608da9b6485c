"""In-place forms and `out=` against PyTorch: what there is, what it does, and what is refused."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest

import flambeau

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_engine")

# In-place methods of PyTorch that have no place here: files and processes, Python functions of one element.
ELSEWHERE = {"apply_", "map_", "map2_", "share_memory_", "resize_as_sparse_", "sparse_resize_", "sparse_resize_and_clear_"}


def numbers(torch: Any, *shape: int, kind: str = "float64") -> Any:
    found = np.linspace(0.1, 0.9, int(np.prod(shape))).reshape(shape)
    return torch.tensor((found * 10).astype(kind) if "int" in kind else found.astype(kind))


def arrays(x: Any) -> Any:
    return [arrays(part) for part in x] if isinstance(x, (tuple, list)) else x.tolist()


def close(got: Any, expected: Any) -> None:
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-12)


# --- What there is ----------------------------------------------------------------------------------------------------


def test_every_function_that_pytorch_has_in_place_is_there_in_place() -> None:
    names = [n for n in dir(oracle.Tensor) if n.endswith("_") and not n.startswith("_") and n not in ELSEWHERE]
    missing = [n for n in names if not hasattr(flambeau.Tensor, n)
               and (hasattr(flambeau.Tensor, n[:-1]) or hasattr(flambeau, n[:-1]))]
    assert missing == []
    assert len([n for n in names if hasattr(flambeau.Tensor, n)]) > 130


def test_every_function_that_takes_out_in_pytorch_takes_it() -> None:
    documented = [n for n in dir(oracle) if hasattr(flambeau, n) and "out=None" in (getattr(oracle, n).__doc__ or "")]
    refused = {n for n in documented if isinstance(getattr(flambeau, n), type)}  # names that say why they are not there
    without = {n for n in documented if n not in refused and not n.endswith(("_like", "_mean")) and not n.startswith("rand")
               and "out" not in inspect.signature(getattr(flambeau, n)).parameters}
    assert without == {"hamming_window", "empty_permuted", "empty_strided", "from_file"}  # PyTorch documents it, and refuses it
    assert len(documented) > 100


# --- Metadata ---------------------------------------------------------------------------------------------------------

RESHAPES = {
    "t_": lambda torch, x: x.t_(),
    "transpose_": lambda torch, x: x.transpose_(0, 1),
    "swapaxes_": lambda torch, x: x.swapaxes_(0, -1),
    "squeeze_": lambda torch, x: x[:1].squeeze_(),
    "unsqueeze_": lambda torch, x: x.unsqueeze_(1),
    "as_strided_": lambda torch, x: x.as_strided_((2, 2), (1, 3), 1),
    "resize_ smaller": lambda torch, x: x.resize_(2, 2),
    "resize_ of a view": lambda torch, x: x[0].resize_(3, 1),
    "resize_as_": lambda torch, x: x.resize_as_(torch.zeros(3, 2)),
    "set_": lambda torch, x: x.set_(torch.arange(4.0, dtype=torch.float64).view(2, 2).t()),
    "twice": lambda torch, x: x.t_().unsqueeze_(0),
}


@pytest.mark.parametrize("name", RESHAPES)
def test_metadata_in_place(name: str) -> None:
    found = []
    for torch in (oracle, flambeau):
        x = numbers(torch, 2, 3)
        row, twin = x[1], x.detach()
        y = RESHAPES[name](torch, x)
        row.add_(1)
        y.mul_(2)
        twin[0, 0] = 7
        x.view_as(x)[0] = 5
        facts = [(tuple(t.shape), t.stride(), t.storage_offset(), t.is_contiguous()) for t in (x, y, row, twin)]
        found.append((facts, arrays([x, y, row, twin])))
    assert found[1] == found[0]


def test_larger_memory_is_new_and_keeps_the_contents() -> None:
    x = flambeau.arange(4)
    first = x[:1]
    assert x.resize_(2, 3) is x
    x[0, 0] = 9
    assert (x.view(-1)[:4].tolist(), first.tolist()) == ([9, 1, 2, 3], [0])


def test_gradients_through_metadata_in_place() -> None:
    found = []
    for torch in (oracle, flambeau):
        leaf = numbers(torch, 2, 3).requires_grad_()
        x = leaf * 1
        row = x[0]
        x.t_().mul_(numbers(torch, 3, 2))
        x.unsqueeze_(0)
        (gradient,) = torch.autograd.grad((x * x).sum() + row.sum(), leaf)
        found.append(arrays([x, row, gradient]))
    close(found[1], found[0])


def test_a_shape_is_not_changed_in_place_from_inside_a_traced_function() -> None:
    x = flambeau.zeros(2, 3)
    for function, arguments in [(lambda: x.t_(), ()), (lambda a: a.t_(), (x,))]:
        with pytest.raises(flambeau.TraceError if hasattr(flambeau, "TraceError") else Exception, match="from outside"):
            flambeau.jit(function)(*arguments)
    assert x.shape == (2, 3)
    assert flambeau.jit(lambda a: (a * 1).t_().sum(1))(x + 1).tolist() == [2, 2, 2]


# --- out= -------------------------------------------------------------------------------------------------------------

OUTPUTS = {
    "add": lambda torch, x, out: torch.add(x, 1, out=out(2, 3)),
    "lerp": lambda torch, x, out: torch.lerp(x, x + 1, 0.5, out=out(2, 3)),
    "logical_and": lambda torch, x, out: torch.logical_and(x, x > 0.5, out=out(2, 3)),
    "a wider dtype": lambda torch, x, out: torch.mul(x.float(), 2, out=out(2, 3)),
    "sum": lambda torch, x, out: torch.sum(x, 1, out=out(2)),
    "std": lambda torch, x, out: torch.std(x, 1, out=out(2)),
    "amax": lambda torch, x, out: torch.amax(x, 0, out=out(3)),
    "all": lambda torch, x, out: torch.all(x > 0.3, 1, out=out(2) > 0),
    "max": lambda torch, x, out: torch.max(x, 1, out=(out(2), out(2).long())),
    "topk": lambda torch, x, out: torch.topk(x, 2, out=(out(2, 2), out(2, 2).long())),
    "sort": lambda torch, x, out: torch.sort(x, 0, descending=True, out=(out(2, 3), out(2, 3).long())),
    "cummax": lambda torch, x, out: torch.cummax(x, 1, out=(out(2, 3), out(2, 3).long())),
    "argmax": lambda torch, x, out: torch.argmax(x, 1, out=out(2).long()),
    "gather": lambda torch, x, out: torch.gather(x, 1, torch.zeros(2, 1, dtype=torch.int64), out=out(2, 1)),
    "tril": lambda torch, x, out: torch.tril(x, out=out(2, 3)),
    "addmm": lambda torch, x, out: torch.addmm(x[:, :2], x, x.t(), out=out(2, 2)),
    "cat": lambda torch, x, out: torch.cat([x, x], out=out(4, 3)),
    "arange": lambda torch, x, out: torch.arange(3, out=out(3).long()),
    "zeros": lambda torch, x, out: torch.zeros(2, 3, out=out(2, 3)),
    "an empty tensor": lambda torch, x, out: torch.sin(x, out=torch.empty(0, dtype=torch.float64)),
    "a strided view": lambda torch, x, out: torch.cos(x, out=out(3, 2).t()),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_out(name: str) -> None:
    found = []
    for torch in (oracle, flambeau):
        given: list[Any] = []

        def out(*shape: int, torch: Any = torch, given: list[Any] = given) -> Any:
            given.append(numbers(torch, *shape))
            return given[-1]

        result = OUTPUTS[name](torch, numbers(torch, 2, 3), out)
        found.append(arrays([*(result if isinstance(result, tuple) else [result]), *given]))
    close(found[1], found[0])


def test_out_is_what_is_returned() -> None:
    out = flambeau.zeros(2), flambeau.zeros(2, dtype=flambeau.int64)
    result = flambeau.max(flambeau.ones(2, 3), 1, out=out)
    assert result.values is out[0] and result.indices is out[1]


def test_out_of_another_shape_is_resized_with_a_warning() -> None:
    for torch in (oracle, flambeau):
        with pytest.warns(UserWarning, match="resized"):
            assert torch.add(torch.ones(2), 1, out=torch.zeros(3)).tolist() == [2, 2]


# --- Refusals ---------------------------------------------------------------------------------------------------------


def _view_without_grad(torch: Any) -> Any:
    with torch.no_grad():
        return (torch.ones(2, 2, requires_grad=True) * 1)[0]


REFUSED = {
    "a leaf": lambda torch: torch.ones(2, requires_grad=True).add_(1),
    "a view of a leaf": lambda torch: torch.ones(2, requires_grad=True)[0].zero_(),
    "an item of a leaf": lambda torch: torch.ones(2, requires_grad=True).__setitem__(0, 1.0),
    "an expanded tensor": lambda torch: torch.ones(1).expand(3).add_(1),
    "an integer tensor with a fraction": lambda torch: torch.ones(2, dtype=torch.int64).mul_(0.5),
    "a real tensor with a complex number": lambda torch: torch.ones(2).add_(torch.ones(2, dtype=torch.complex64)),
    "a bool tensor with integers": lambda torch: torch.ones(2, dtype=torch.bool).add_(torch.ones(2, dtype=torch.int64)),
    "a smaller tensor": lambda torch: torch.ones(2).add_(torch.ones(3, 2)),
    "a shape that does not broadcast": lambda torch: torch.ones(2).copy_(torch.ones(3)),
    "a view made under no_grad": lambda torch: _view_without_grad(torch).mul_(torch.ones((), requires_grad=True)),
    "out= and a gradient": lambda torch: torch.add(torch.ones(2, requires_grad=True), 1, out=torch.ones(2)),
    "out= that requires grad": lambda torch: torch.sin(torch.ones(2), out=torch.ones(2, requires_grad=True)),
    "out= of a narrower dtype": lambda torch: torch.add(torch.ones(2), 1, out=torch.ones(2, dtype=torch.int64)),
    "t_ of a leaf": lambda torch: torch.ones(2, 2, requires_grad=True).t_(),
    "resize_ of what requires grad": lambda torch: torch.ones(2, requires_grad=True).resize_(1),
    "set_ to another dtype": lambda torch: torch.ones(2).set_(torch.ones(2, dtype=torch.int64)),
    "detach_ of a view": lambda torch: (torch.ones(2, requires_grad=True) * 1)[0].detach_(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    messages = []
    for torch in (oracle, flambeau):
        with pytest.raises(RuntimeError) as caught:
            REFUSED[name](torch)
        messages.append(str(caught.value).split(": ")[-1].split()[:4])
    assert messages[1] == messages[0]


def test_a_refused_write_leaves_everything_as_it_was() -> None:
    x = flambeau.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError):
        x[1:].mul_(2)
    assert (x.tolist(), x.requires_grad) == ([1, 1, 1], True)


def test_outputs_of_split_and_unbind_are_written_in_place() -> None:
    """PyTorch refuses, since its views of several outputs cannot be rebased; the gradient is what mathematics says."""
    leaf = flambeau.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    y = leaf * 1
    first, second = y.split(2)
    first.mul_(3)
    y.unbind()[3].mul_(5)
    (gradient,) = flambeau.autograd.grad((y * y).sum(), leaf)
    assert (y.tolist(), second.tolist()) == ([3, 6, 3, 20], [3, 20])
    assert gradient.tolist() == [18, 36, 6, 200]


def test_a_value_that_backward_needs_may_be_written_over() -> None:
    """PyTorch raises; values are immutable here, so the gradient is that of what was computed with."""
    leaf = flambeau.tensor([1.0, 2.0], requires_grad=True)
    y = leaf * 1
    z = y * y
    y.add_(10)
    assert flambeau.autograd.grad(z.sum(), leaf, retain_graph=True)[0].tolist() == [2, 4]
    assert flambeau.autograd.grad((z * y).sum(), leaf)[0].tolist() == [1 + 2 * 11, 4 + 4 * 12]


def test_operators_in_place() -> None:
    found = []
    for torch in (oracle, flambeau):
        x, n, b = numbers(torch, 2, 2), numbers(torch, 4, kind="int64"), numbers(torch, 4) > 0.5
        same = [x, n, b]
        x += 1
        x -= 0.5
        x *= x
        x /= 2
        x //= 0.125
        x %= 3
        x **= 2
        n <<= 2
        n >>= 1
        n |= 5
        n &= 13
        n ^= 3
        b &= n > 3
        b |= n == 2
        x[0] += 1
        x[:, 1] *= 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            m = numbers(torch, 2, 2)
            before = m
            m @= m
        found.append((arrays([x, n, b, m]), [x is same[0], n is same[1], b is same[2]], m is before))
    assert found[1][1:] == found[0][1:]
    for got, expected in zip(found[1][0], found[0][0], strict=True):
        np.testing.assert_allclose(np.array(got), np.array(expected), rtol=1e-12)


@pytest.mark.parametrize("view", [
    lambda t, y: y.expand(3, 4).detach()[1],
    lambda t, y: y.view(2, 2).unsqueeze(0).expand(3, 2, 2).detach()[0].t()[1:],
    lambda t, y: y.as_strided((2, 2), (1, 1)).detach()[1],
], ids=["row", "transposed", "windows"])
@pytest.mark.parametrize("jitted", [False, True], ids=["lazily", "jit"])
def test_a_view_without_repetitions_of_a_detached_view_with_some_is_written(view: Any, jitted: bool) -> None:
    def write(y: Any) -> None:
        view(flambeau, y).add_(flambeau.tensor(10.0))

    y = flambeau.arange(4.0)
    before = y.tolist()
    (flambeau.jit(write) if jitted else write)(y)
    places = view(flambeau, flambeau.arange(4.0)).flatten().long().tolist()
    assert y.tolist() == [v + 10 * (i in places) for i, v in enumerate(before)]
