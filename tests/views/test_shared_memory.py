"""Memory shared with numpy, against PyTorch: each way to share it, each way to write to it, and everybody who reads it."""

import ctypes
import itertools
import mmap
import os
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

PROGRAMS = int(os.environ.get("FLAMBEAU_PROGRAMS", 320))


def fresh() -> Any:
    return np.arange(12, dtype=np.float32).reshape(3, 4) / 4


def jitted(lib: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    return lib.jit(function) if lib is flambeau else function


# --- Each way to share, each way to write -----------------------------------------------------------------------------


def _of_view(view: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, Any]]:
    def share(lib: Any) -> tuple[Any, Any]:
        tensor = lib.tensor(fresh())
        return tensor, view(tensor).numpy()
    return share


def _given(arrange: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, Any]]:
    def share(lib: Any) -> tuple[Any, Any]:
        array = arrange(fresh())
        return lib.from_numpy(array), array
    return share


def _computed(lib: Any) -> tuple[Any, Any]:
    tensor = (lib.tensor(fresh()) * 2).t().exp()
    return tensor, tensor.numpy()


def _of_leaf(lib: Any) -> tuple[Any, Any]:
    leaf = lib.tensor(fresh()).requires_grad_()
    return leaf.detach(), leaf.detach().numpy()


def _forced(lib: Any) -> tuple[Any, Any]:
    leaf = lib.tensor(fresh()).requires_grad_()
    return leaf.data, leaf.numpy(force=True)


def _history(lib: Any) -> tuple[Any, Any]:
    tensor = lib.tensor(fresh()).requires_grad_() * 2
    return tensor.detach(), tensor.detach().numpy()


def _by_dlpack(lib: Any) -> tuple[Any, Any]:
    array = fresh()
    return lib.from_dlpack(array), array


def _in_a_map(lib: Any) -> tuple[Any, Any]:
    pages = mmap.mmap(-1, 4096)
    array = np.frombuffer(pages, np.float32, 12).reshape(3, 4)
    array[:] = fresh()
    return lib.from_numpy(array), array


def _of_ctypes(lib: Any) -> tuple[Any, Any]:
    array = np.ctypeslib.as_array((ctypes.c_float * 12)()).reshape(3, 4)
    array[:] = fresh()
    return lib.from_numpy(array), array


def _there_and_back(lib: Any) -> tuple[Any, Any]:
    tensor = lib.from_numpy(lib.tensor(fresh()).numpy())
    return tensor, tensor.numpy()


WAYS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "from_numpy": _given(lambda a: a), "from_numpy of a transpose": _given(lambda a: a.T),
    "from_numpy of a part": _given(lambda a: a[1:, ::2]), "from_numpy of a vector's view": _given(lambda a: a.ravel()[2:11]),
    "as_tensor": lambda lib: (lambda a: (lib.as_tensor(a), a))(fresh()), "from_dlpack": _by_dlpack,
    "mmap": _in_a_map, "ctypes": _of_ctypes, "numpy": _of_view(lambda t: t), "asarray": lambda lib: (
        lambda t: (t, np.asarray(t)))(lib.tensor(fresh())), "numpy of a result": _computed, "numpy of a leaf": _of_leaf,
    "numpy(force=True)": _forced, "numpy of a detached result": _history, "there and back": _there_and_back,
    "numpy of rows": _of_view(lambda t: t[1:]), "numpy of a column": _of_view(lambda t: t[:, 1]),
    "numpy of a transpose": _of_view(lambda t: t.t()), "numpy of steps": _of_view(lambda t: t[:, 1::2]),
    "numpy of a reshape": _of_view(lambda t: t.view(2, 6)), "numpy of a diagonal": _of_view(lambda t: t.diagonal()),
    "numpy of an element": _of_view(lambda t: t[1, 2]), "numpy of a view of a view": _of_view(lambda t: t.t()[1:].t()[0]),
    "numpy of windows": _of_view(lambda t: t.unfold(1, 2, 1)), "numpy of copies": _of_view(lambda t: t[:, :1].expand(3, 4)),
    "numpy of bits": _of_view(lambda t: t.view(flambeau.int32 if isinstance(t, flambeau.Tensor) else torch.int32)),
    "numpy of as_strided": _of_view(lambda t: t.as_strided((2, 2), (5, 1), 1)),
    "numpy of a detached view": _of_view(lambda t: t[1:].detach()[:, 1:]), "numpy of nothing": _of_view(lambda t: t[3:]),
    "numpy of a dlpack": lambda lib: (lambda t: (t, np.from_dlpack(t)))(lib.tensor(fresh())),
}


def _array_element(lib: Any, tensor: Any, array: Any) -> None:
    if array.size and array.flags.writeable:
        array.view(np.float32)[(0,) * array.ndim] = 7


def _array_all(lib: Any, tensor: Any, array: Any) -> None:
    if array.flags.writeable:
        numbers = array.view(np.float32)  # of the bits, too: adding to these would make subnormal numbers
        np.add(numbers, 2, out=numbers)


def _by_step(lib: Any, tensor: Any, array: Any) -> None:
    step = jitted(lib, lambda: tensor.mul_(2).add_(0.5))
    step()
    step()


def _by_argument(lib: Any, tensor: Any, array: Any) -> None:
    def step(x: Any) -> None:
        x.sub_(0.25)
    jitted(lib, step)(tensor)


def _by_optimizer(lib: Any, tensor: Any, array: Any) -> None:
    leaf = tensor.detach().requires_grad_()
    optimizer = lib.optim.SGD([leaf], lr=0.5, momentum=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        (leaf * leaf).sum().backward()
        optimizer.step()


def _by_compiled_optimizer(lib: Any, tensor: Any, array: Any) -> None:
    """With other small parameters, so that state is packed."""
    leaves = [tensor.detach().requires_grad_(), *(lib.full((3,), float(i)).requires_grad_() for i in range(6))]
    optimizer = lib.optim.Adam(leaves, lr=0.5)

    def step() -> Any:
        loss = sum((x * x).sum() for x in leaves)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss
    compiled = jitted(lib, step)
    for _ in range(3):
        compiled()


def _by_view(lib: Any, tensor: Any, array: Any) -> None:
    tensor[0].add_(1)
    tensor.t()[1:].mul_(2)


def _by_index(lib: Any, tensor: Any, array: Any) -> None:
    tensor[0] = 3
    tensor[lib.tensor([0, -1])] = 5


def _by_out(lib: Any, tensor: Any, array: Any) -> None:
    lib.add(tensor, 1, out=tensor)


def _by_copy(lib: Any, tensor: Any, array: Any) -> None:
    tensor.copy_(tensor.flip(0) + 1)


def _with_a_gradient(lib: Any, tensor: Any, array: Any) -> None:
    weight = lib.tensor(2.0, requires_grad=True)
    other = tensor.detach()
    other.mul_(weight)
    other.sum().backward()


WRITERS: list[Callable[..., None]] = [
    _array_element, _array_all, _by_step, _by_argument, _by_optimizer, _by_compiled_optimizer, _by_view, _by_index, _by_out,
    _by_copy, _with_a_gradient, lambda lib, t, a: t.add_(1), lambda lib, t, a: t.fill_(2), lambda lib, t, a: t.zero_()]
NAMES = [f.__name__.strip("_") if "<" not in f.__name__ else f"in place {i}" for i, f in enumerate(WRITERS)]


def observed(lib: Any, way: Callable[[Any], tuple[Any, Any]], writers: list[Callable[..., None]]) -> list[Any]:
    """What everybody sees after each write."""
    tensor, array = way(lib)
    alias, part, seen = tensor.detach(), array.reshape(-1)[:1] if array.ndim == 0 else array[..., :1], []
    row = tensor[:1]
    reading = jitted(lib, lambda x: (x * 2, tensor + 1))
    for write in writers:
        write(lib, tensor, array)
        doubled, more = reading(tensor)
        seen += [array.copy(), tensor.tolist(), alias.tolist(), row.tolist(), part.copy(), doubled.tolist(), more.tolist(),
                 array.strides if array.size else None, array.shape, array.dtype.name, array.flags.writeable, tensor.sum().item()]
    return seen


def check(way: Callable[[Any], tuple[Any, Any]], writers: list[Callable[..., None]]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        expected = observed(torch, way, writers)
    for ours, theirs in zip(observed(flambeau, way, writers), expected, strict=True):
        if isinstance(theirs, (np.ndarray, list, float)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        else:
            assert ours == theirs


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "write"), list(zip(NAMES, WRITERS)))
def test_everybody_sees_a_write(way: str, name: str, write: Callable[..., None]) -> None:
    check(WAYS[way], [write, _array_all, write])


# --- Random interleavings ---------------------------------------------------------------------------------------------

VIEWS: list[Callable[[Any], Any]] = [
    lambda t: t, lambda t: t[1:], lambda t: t[..., :2], lambda t: t.t() if t.ndim == 2 else t, lambda t: t.detach(),
    lambda t: t[::2], lambda t: t.reshape(-1), lambda t: t.unsqueeze(0)[0]]
ARRAY_VIEWS: list[Callable[[Any], Any]] = [lambda a: a, lambda a: a[1:], lambda a: a.T, lambda a: a[..., ::-1]]


class Program:
    """A random program on tensors and arrays of one memory, the same for the same seed in both libraries."""

    def __init__(self, lib: Any, seed: int) -> None:
        self.lib, self.random = lib, random.Random(seed)
        array = fresh()
        self.tensors = [lib.from_numpy(array) if self.random.random() < 0.4 else lib.tensor(array)]
        self.arrays = [array] if self.random.random() < 0.3 else []
        del array
        root = self.tensors[0]
        self.step = jitted(lib, lambda: root.mul_(0.5).add_(1))

    def run(self) -> list[Any]:
        moves = [self.view, self.numpy, self.array_view, self.drop_array, self.drop_tensor, self.write_array, self.write_tensor,
                 self.write_tensor, self.compiled, self.read, self.write_array, self.numpy]
        return [[self.random.choice(moves)(), *self.everything()] for _ in range(12)]

    def everything(self) -> list[Any]:
        order: list[Any] = [*[t.tolist() for t in self.tensors], *[a.tolist() for a in self.arrays]]
        return order if self.random.random() < 0.5 else []

    def view(self) -> None:
        self.tensors.append(self.random.choice(VIEWS)(self.random.choice(self.tensors)))

    def numpy(self) -> None:
        self.arrays.append(self.random.choice(self.tensors).numpy())

    def array_view(self) -> None:
        if self.arrays:
            array = self.random.choice(ARRAY_VIEWS)(self.random.choice(self.arrays))
            self.arrays.append(array)

    def drop_array(self) -> None:
        if self.arrays:
            self.arrays.pop(self.random.randrange(len(self.arrays)))

    def drop_tensor(self) -> None:
        if len(self.tensors) > 1:
            self.tensors.pop(self.random.randrange(1, len(self.tensors)))

    def write_array(self) -> None:
        if self.arrays:
            array, k = self.random.choice(self.arrays), self.random.randrange(5)
            array[...] = array * 0.5 + k

    def write_tensor(self) -> None:
        tensor, k = self.random.choice(self.tensors), self.random.randrange(5)
        if self.random.random() < 0.5:
            tensor.mul_(0.5).add_(k)
        else:
            tensor[..., 0] = k

    def compiled(self) -> None:
        self.step()

    def read(self) -> Any:
        return (self.random.choice(self.tensors) * 2).tolist()


@pytest.mark.parametrize("start", range(0, PROGRAMS, 20))
def test_random_interleavings(start: int) -> None:
    for seed in range(start, min(start + 20, PROGRAMS)):
        assert Program(flambeau, seed).run() == Program(torch, seed).run(), f"seed {seed}"


# --- What may not be shared -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda lib: lib.ones(3, requires_grad=True).numpy(), lambda lib: (lib.ones(3, requires_grad=True) * 2).numpy(),
    lambda lib: np.asarray(lib.ones(3, requires_grad=True))])
def test_what_requires_grad_is_refused(make: Callable[[Any], Any]) -> None:
    with pytest.raises(RuntimeError) as expected:
        make(torch)
    with pytest.raises(RuntimeError) as got:
        make(flambeau)
    assert str(got.value) == str(expected.value)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
                                   "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (5,), (2, 3)])
def test_dtypes_and_shapes(dtype: str, shape: tuple[int, ...]) -> None:
    seen = []
    for lib in (flambeau, torch):
        tensor = lib.zeros(shape, dtype=getattr(lib, dtype))
        array = tensor.numpy()
        array[...] = 1
        tensor[...] = tensor.flip(-1) if shape else 0
        seen.append((array.dtype, array.shape, array.tolist(), tensor.tolist(), array.flags.writeable))
    assert seen[0] == seen[1]


def test_parts_of_complex_numbers() -> None:
    seen = []
    for lib in (flambeau, torch):
        tensor = lib.tensor([1 + 2j, 3 + 4j])
        arrays = [tensor.real.numpy(), tensor.imag.numpy(), lib.view_as_real(tensor).numpy(), tensor.conj().real.numpy()]
        arrays[0][0], arrays[1][1], arrays[2][1, 0] = 5, 6, 7
        tensor.mul_(2)
        seen.append([tensor.tolist(), *[a.tolist() for a in arrays]])
    assert seen[0] == seen[1]


def test_a_view_at_a_computed_position_is_copied() -> None:
    tensor = flambeau.tensor(fresh())
    assert tensor[flambeau.tensor(2)].numpy().tolist() == fresh()[2].tolist()


def test_signs_of_zero_and_nan() -> None:
    """A change is one of the bits: -0.0 equals 0.0, and NaN does not equal itself."""
    for tensor in (flambeau.zeros(2), flambeau.from_numpy(np.zeros(2, np.float32))):
        array = tensor.numpy()
        assert tensor.signbit().tolist() == [False, False]
        array[0] = -0.0
        assert tensor.signbit().tolist() == [True, False]
        array[1] = np.nan
        before = tensor._read()
        assert tensor._read() is before


def test_ways_times_writers() -> None:
    assert len(list(itertools.product(WAYS, WRITERS))) >= 400
