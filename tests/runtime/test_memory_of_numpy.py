"""How long memory is shared with numpy: who can see it, when a step may take it over, what it costs until then."""

from __future__ import annotations

import copy
import ctypes
import gc
import mmap
import pickle
import warnings
import weakref
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.lazy.shared import SharedStorage
from flambeau.tracer.tensor.packs import Pack, SharedPack
from flambeau.tracer.tensor.storage import Storage


def owned() -> Any:
    return np.zeros(3, np.float32)


def is_shared(tensor: Any) -> bool:
    return type(tensor._storage) is SharedStorage


# --- Taken over -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [owned, lambda: np.zeros((2, 3), np.float32)[1], lambda: np.zeros((3, 2), np.float32).T[0],
                                   lambda: np.arange(12, dtype=np.float32).reshape(3, 4), lambda: np.array(2.0)])
@pytest.mark.parametrize("touch", [lambda t: t.add_(1), lambda t: t.sum().item(), lambda t: t.view(-1)[:1].mul_(2),
                                   lambda t: torch.jit(lambda: t.add_(1))(), lambda t: torch.jit(lambda: t + 1)()])
def test_memory_that_nobody_sees_is_taken_over(array: Callable[[], Any], touch: Callable[[Any], Any]) -> None:
    tensor, expected = torch.from_numpy(array()), torch.tensor(array())
    assert is_shared(tensor)
    touch(tensor)
    touch(expected)
    assert type(tensor._storage) is Storage
    assert tensor.tolist() == expected.tolist()
    tensor.add_(1)
    assert tensor.tolist() == expected.add_(1).tolist()


def _capsule(array: Any) -> Callable[[], Any]:
    class Exporter:
        def __dlpack__(self, **options: Any) -> Any:
            return capsule

        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0
    capsule = array.__dlpack__()
    taken: list[Any] = []

    def look() -> Any:
        if not taken:
            taken.append(np.from_dlpack(Exporter()))  # type: ignore[arg-type]
        return taken[0]
    return look


def _pointer(array: Any) -> Callable[[], Any]:
    pointer = array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return lambda: np.ctypeslib.as_array(pointer, (3,))


def _another_tensor(array: Any) -> Callable[[], Any]:
    other = torch.from_numpy(array)
    return lambda: np.array(other.tolist())


HOLDERS: dict[str, Callable[[Any], Callable[[], Any]]] = {
    "a name": lambda a: lambda: a,
    "a view": lambda a: (lambda view: lambda: view)(a[:]),
    "a reversed view": lambda a: (lambda view: lambda: view[::-1])(a[::-1]),
    "a memoryview": lambda a: (lambda view: lambda: np.array(view))(memoryview(a)),
    "bytes": lambda a: (lambda view: lambda: np.frombuffer(view, np.float32))(a.data.cast("B")),
    "a capsule": _capsule,
    "a weak reference": lambda a: weakref.ref(a),
    "a pointer": _pointer,
    "a list": lambda a: (lambda held: lambda: held[0])([a]),
    "another tensor": _another_tensor,
    "another numpy type": lambda a: (lambda view: lambda: view.view(np.float32))(a.view(np.int32)),
    "an iterator": lambda a: (lambda it: lambda: it.base)(a.flat),
    "a matrix": lambda a: (lambda m: lambda: m.A1)(a.view(np.matrix)),
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("of_ours", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_memory_that_somebody_holds_stays_shared(holder: str, of_ours: bool, compiled: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        if of_ours:
            tensor = torch.zeros(3)
            look = HOLDERS[holder](tensor.numpy())
        else:
            array = owned()
            tensor = torch.from_numpy(array)
            look = HOLDERS[holder](array)
            del array
    gc.collect()
    if holder == "a weak reference" and look() is None:
        return  # numpy made an array for it that nobody held
    write = torch.jit(lambda: tensor.add_(1)) if compiled else lambda: tensor.add_(1)
    for k in (1, 2, 3):
        write()
        assert np.asarray(look()).ravel().tolist() == [k] * 3
    del look
    gc.collect()
    write()
    assert not is_shared(tensor)
    assert tensor.tolist() == [4.0] * 3


def _bytes() -> tuple[Any, Callable[[], Any]]:
    memory = bytearray(12)
    return np.frombuffer(memory, np.float32), lambda: np.frombuffer(bytes(memory), np.float32)


def _ctypes() -> tuple[Any, Callable[[], Any]]:
    memory = (ctypes.c_float * 3)()
    return np.ctypeslib.as_array(memory), lambda: np.array(list(memory))


def _pages() -> tuple[Any, Callable[[], Any]]:
    memory = mmap.mmap(-1, 4096)
    return np.frombuffer(memory, np.float32, 3), lambda: np.frombuffer(memory[:12], np.float32)


def _other_library() -> tuple[Any, Callable[[], Any]]:
    memory = owned()

    class Exporter:
        def __dlpack__(self, **options: Any) -> Any:
            return memory.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0
    return np.from_dlpack(Exporter()), lambda: memory  # type: ignore[arg-type]


@pytest.mark.parametrize("foreign", [_bytes, _ctypes, _pages, _other_library])
@pytest.mark.parametrize("compiled", [False, True])
def test_foreign_memory_stays_shared_for_ever(foreign: Callable[[], Any], compiled: bool) -> None:
    array, look = foreign()
    if not array.flags.writeable:
        array = torch.from_dlpack(array).numpy()
    tensor = torch.from_numpy(array)
    del array
    gc.collect()
    write = torch.jit(lambda: tensor.add_(1)) if compiled else lambda: tensor.add_(1)
    for k in (1, 2, 3):
        write()
        assert look().tolist() == [k] * 3
    assert is_shared(tensor)


def _add_compiled(array: Any) -> None:
    tensor = torch.from_numpy(array)
    torch.jit(lambda: tensor.add_(2))()


def test_memory_of_another_process_stays_shared() -> None:
    memory = SharedMemory(create=True, size=12)
    other = SharedMemory(memory.name)
    try:
        _add_compiled(np.ndarray(3, np.float32, memory.buf))
        assert np.frombuffer(bytes(other.buf[:12]), np.float32).tolist() == [2] * 3
    finally:
        gc.collect()
        other.close()
        memory.close()
        memory.unlink()


def test_a_file_stays_shared(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", owned())
    tensor = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="r+"))
    torch.jit(lambda: tensor.add_(2))()
    assert np.load(tmp_path / "x.npy").tolist() == [2] * 3
    read_only = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="r"))
    array = read_only.numpy()
    assert (array.tolist(), array.flags.writeable) == ([2] * 3, False)  # a page of the file, not a copy of it all
    tensor.add_(1)
    assert array.tolist() == [3] * 3


# --- Lifetimes --------------------------------------------------------------------------------------------------------


def test_an_array_outlives_its_tensor_and_a_tensor_its_array() -> None:
    tensor = torch.zeros(2, 3)
    row = tensor[1].numpy()
    tensor.add_(1)
    memory = weakref.ref(tensor._storage.memory.home.buffer.base.base)
    storage = weakref.ref(tensor._storage)
    del tensor
    gc.collect()
    assert (storage(), row.tolist()) == (None, [1] * 3)
    del row
    gc.collect()
    assert memory() is None


def test_the_memory_is_freed_when_the_last_array_is_gone() -> None:
    tensor = torch.zeros(2, 3)
    arrays = [tensor.numpy(), tensor[1].numpy(), tensor.t().numpy()[1:]]
    memory = weakref.ref(tensor._storage.memory.home.buffer)
    while arrays:
        tensor.add_(1)
        last = arrays.pop().ravel()[-1]
        assert (is_shared(tensor), last) == (True, tensor[1, -1].item())
    tensor.add_(1)
    gc.collect()
    assert (is_shared(tensor), memory()) == (False, None)
    assert tensor.tolist() == [[4.0] * 3] * 2


def test_the_last_write_of_an_array_that_is_gone_counts() -> None:
    tensor = torch.zeros(3)
    array = tensor.numpy()
    array[0] = 3
    assert tensor.sum().item() == 3
    array[:] = 0, 5, 0
    del array
    assert torch.jit(lambda: tensor * 2)().tolist() == [0, 10, 0]
    assert not is_shared(tensor)


def test_an_unchanged_tensor_keeps_its_value() -> None:
    tensor = torch.ones(3).exp()
    tensor.sum().item()
    before = tensor._read()
    array = tensor.numpy()
    assert tensor._read() is before
    del array
    assert tensor._read() is before


def test_many_rows_cost_one_copy() -> None:
    table = torch.zeros(1000, 100)
    table[0].numpy()
    memory = table._storage.memory
    for i in range(1000):
        assert table[i].numpy().shape == (100,)
    assert table._storage.memory is memory


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: t.clone(), lambda t: pickle.loads(pickle.dumps(t)),
                                       lambda t: torch.tensor(t.numpy()), lambda t: t + 0])
def test_copies_share_nothing(duplicate: Callable[[Any], Any]) -> None:
    tensor = torch.zeros(3)
    array = tensor.numpy()
    other = duplicate(tensor)
    array[0] = 1
    tensor[1] = 2
    assert other.tolist() == [0] * 3
    other.add_(7)
    assert array.tolist() == [1, 2, 0]


def test_a_copy_that_numpy_asks_for_is_one() -> None:
    tensor = torch.zeros(3)
    copied = np.array(tensor)
    copied[0] = 1
    assert (tensor.tolist(), is_shared(tensor)) == ([0] * 3, is_shared(tensor))
    assert np.asarray(tensor, np.float64).dtype == np.float64


# --- Steps ------------------------------------------------------------------------------------------------------------


def training(count: int = 8) -> tuple[list[Any], Any]:
    parameters = [torch.nn.Parameter(torch.full((4,), float(i))) for i in range(count)]
    optimizer = torch.optim.SGD(parameters, lr=0.5)

    @torch.jit
    def step(x: Any) -> Any:
        loss = sum((p * x).sum() for p in parameters)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss
    return parameters, step


def test_a_packed_parameter_is_shared_while_its_array_lives() -> None:
    parameters, step = training()
    x = torch.ones(4)
    step(x)
    pack = parameters[3]._storage.pack
    assert type(pack) is Pack
    array = parameters[3].detach().numpy()
    assert (array.tolist(), type(pack)) == ([2.5] * 4, SharedPack)
    step(x)
    assert array.tolist() == [2.0] * 4
    array[0] = 10
    assert step(x).item() == sum(i * 4 - 4.0 for i in range(8)) + 8.0
    assert array.tolist() == [9.5, 1.5, 1.5, 1.5]
    assert parameters[4].tolist() == [2.5] * 4
    parameters[4].data.fill_(7)
    array[1] = 0
    step(x)
    assert (array.tolist(), parameters[4].tolist()) == ([9.0, -0.5, 1.0, 1.0], [6.5] * 4)
    del array
    step(x)
    step(x)
    assert (type(pack), parameters[3].tolist()) == (Pack, [8.0, -1.5, 0.0, 0.0])
    assert (parameters[4].tolist(), parameters[0].tolist()) == ([5.5] * 4, [-3.0] * 4)
    assert step.stats.compiles == 1


def test_an_array_that_is_gone_leaves_its_pack_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, step = training()
    step(torch.ones(4))
    gathered: list[Pack] = []
    gather = Pack.gather
    monkeypatch.setattr(Pack, "gather", lambda self, host: (gathered.append(self), gather(self, host)))
    assert parameters[3].detach().numpy().sum() == 10
    step(torch.ones(4))
    assert (gathered, type(parameters[3]._storage.pack)) == ([], Pack)
    parameters[3].detach().numpy()[0] = 7
    step(torch.ones(4))
    assert (len(gathered), parameters[3].tolist()) == (1, [6.5, 1.5, 1.5, 1.5])


def test_a_pack_that_is_only_read() -> None:
    parameters, step = training()
    step(torch.ones(4))
    total = torch.jit(lambda: sum((p * 1).sum() for p in parameters))
    assert total().item() == 28 * 4 - 16
    array = parameters[0].detach().numpy()
    for k in (3.0, 4.0):
        array[:] = k
        assert total().item() == 28 * 4 - 14 + 4 * k
    del array
    assert total().item() == 28 * 4 - 14 + 16


def test_a_value_that_somebody_held_before_stays() -> None:
    parameters, step = training()
    step(torch.ones(4))
    before = [p.clone() for p in parameters]
    array = parameters[0].detach().numpy()
    array[:] = 9
    step(torch.ones(4))
    assert [b[0].item() for b in before] == [i - 0.5 for i in range(8)]


def test_parameters_of_numpy_are_packed() -> None:
    parameters = [torch.nn.Parameter(torch.from_numpy(np.full((4,), i, np.float32))) for i in range(8)]
    torch.jit(lambda: [p.data.add_(1) for p in parameters] and None)()
    assert all(p._storage.pack is not None for p in parameters)
    assert [p[0].item() for p in parameters] == [i + 1.0 for i in range(8)]


def test_a_large_parameter_is_donated_again_when_its_array_is_gone() -> None:
    tensor = torch.zeros(1 << 15)
    step = torch.jit(lambda: tensor.add_(1))
    step()
    array = tensor.numpy()
    for k in range(2, 5):
        step()
        assert (array[0], array[-1]) == (k, k)
        array[0] = k
    del array
    step()
    value = weakref.ref(tensor._storage.value)
    step()
    assert value() is not None  # its buffer was rebound in place
    assert (tensor[0].item(), step.stats.compiles) == (6, 1)


@pytest.mark.parametrize("share", [lambda p: p.detach().numpy(), lambda p: p.data.numpy()])
@pytest.mark.parametrize("wrap", [torch.jit, lambda f: f])
def test_gradients_reach_a_shared_leaf(share: Callable[[Any], Any], wrap: Callable[[Any], Any]) -> None:
    leaf = torch.tensor([1.0, 2.0], requires_grad=True)
    forward = wrap(lambda x: (leaf * leaf * x).sum())
    array = share(leaf)
    for k in (1.0, 3.0):
        array[0] = k
        leaf.grad = None
        forward(torch.ones(2)).backward()
        assert leaf.grad.tolist() == [2 * k, 4.0]


def test_gradients_reach_a_leaf_on_numpy_memory_through_a_step() -> None:
    array = np.array([1.0, 2.0], np.float32)
    leaf = torch.nn.Parameter(torch.from_numpy(array))
    forward = torch.jit(lambda x: (leaf * leaf * x).sum())
    for k in (1.0, 3.0):
        array[0] = k
        leaf.grad = None
        forward(torch.ones(2)).backward()
        assert leaf.grad.tolist() == [2 * k, 4.0]


def test_what_was_recorded_before_a_change_stays() -> None:
    tensor = torch.ones(3)
    array = tensor.numpy()
    doubled = tensor * 2.5
    array[:] = 7
    assert doubled.tolist() == [2.5] * 3


def test_a_history_is_kept() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    result = weight * torch.ones(2)
    array = result.detach().numpy()
    array[0] = 5
    (result * result).sum().backward()
    assert weight.grad.item() == 2 * 5 + 2 * 2


@pytest.mark.parametrize("part", [lambda a: a, lambda a: a[1:], lambda a: a[::2]])
@pytest.mark.parametrize("argument", [False, True])
def test_two_tensors_of_one_memory_in_a_step(part: Callable[[Any], Any], argument: bool) -> None:
    """The program would take them for separate: refused where one of them is written, else read at each call."""
    array = np.zeros(6, np.float32)
    first, second = torch.from_numpy(array), torch.from_numpy(part(array))
    first.add_(1)
    assert second.tolist() == [1.0] * len(second)  # outside a step all is as in torch
    write = torch.jit((lambda x: (x.add_(1), second * 2)[1]) if argument else (lambda: (first.add_(1), second * 2)[1]))
    with pytest.raises(TraceError, match="shares numpy memory with another tensor"):
        write(*[first] * argument)
    read = torch.jit(lambda: first.sum() + second.sum())
    assert read().item() == 6 + len(second)
    array[:] = 2
    assert read().item() == 12 + 2 * len(second)


def test_tensors_of_separate_parts_of_one_memory_in_a_step() -> None:
    array = np.zeros((2, 3), np.float32)
    first, second = torch.from_numpy(array[0]), torch.from_numpy(array[1])
    write = torch.jit(lambda: (first.add_(1), second.add_(2))[1] * 1)
    assert (write().tolist(), write().tolist(), array.tolist()) == ([2.0] * 3, [4.0] * 3, [[2.0] * 3, [4.0] * 3])
    columns = [torch.from_numpy(array[:, i]) for i in range(3)]
    torch.jit(lambda: [c.fill_(i) for i, c in enumerate(columns)] and None)()
    assert array.tolist() == [[0, 1, 2]] * 2


def test_an_array_keeps_what_it_shows_when_the_tensor_gets_other_data() -> None:
    for lib in (torch, pytest.importorskip("torch")):
        tensor = lib.zeros(3)
        array = tensor.numpy()
        tensor.data = lib.ones(3)
        tensor.add_(1)
        assert (tensor.tolist(), array.tolist()) == ([2] * 3, [0] * 3)


# --- What it says -----------------------------------------------------------------------------------------------------


def test_a_large_shared_tensor_is_told_of_once() -> None:
    tensor = torch.zeros(1 << 19)
    step = torch.jit(lambda: tensor.add_(1))
    array = tensor.numpy()
    with pytest.warns(UserWarning, match=r"f32\[524288\].*x.numpy\(\).copy\(\)") as told:
        for _ in range(3):
            array[0] = 1
            step()
            tensor.sum().item()
    assert [(w.filename, len(told)) for w in told] == [(__file__, 1)]
    del array
    step()


@pytest.mark.parametrize("use", [lambda t: t.numpy().sum(), lambda t: (t.numpy().copy(), t.add_(1)),
                                 lambda t: (np.array(t), t.sum().item()), lambda t: (t[0].numpy().sum(), t.add_(1))])
def test_arrays_that_are_gone_are_not_told_of(use: Callable[[Any], Any]) -> None:
    tensor = torch.zeros(1 << 10, 1 << 9)
    for _ in range(3):
        use(tensor)
        torch.jit(lambda: tensor + 1)()


# --- From the field ---------------------------------------------------------------------------------------------------


def test_printing_changes_nothing_of_what_is_shared() -> None:
    """An array library gave memory away before its contents were printed, and a copy after it."""
    for printed in (False, True):
        tensor = torch.tensor([[0, 1], [2, 3]])
        if printed:
            str(tensor)
        np.asarray(tensor)[0, 0] = 99
        assert tensor[0, 0].item() == 99


def test_a_donated_array_is_still_the_users() -> None:
    """An array that was put on the device without a copy was donated, and gone."""
    array = np.arange(1 << 12, dtype=np.float32)
    tensor = torch.as_tensor(array)
    before = array.copy()
    torch.jit(lambda x: x.mul_(2))(tensor)
    assert (array == before * 2).all()
    assert torch.jit(lambda x: x * 1)(array).tolist() == array.tolist()


@pytest.mark.parametrize("size", [1, 16, 100, 1 << 12, 1 << 17])
def test_a_numpy_argument_that_changes_after_the_call(size: int) -> None:
    """Large aligned arrays were aliased, small ones copied: a later write showed in the results of some."""
    array = np.zeros(size, np.float32)
    results = [torch.jit(lambda x: x + 0)(array), torch.tensor(array), torch.jit(lambda x: x)(array)]
    array += 1
    assert [r.sum().item() for r in results] == [0, 0, 0]


def test_increments_show_on_both_sides() -> None:
    """`t += 1` and `n += 1` write into the memory; `n = n + 1` makes another array."""
    tensor = torch.ones(7)
    array = tensor.numpy()
    tensor += 1
    array += 1
    array = array + 1
    tensor += 1
    assert (tensor.tolist(), array.tolist()) == ([4.0] * 7, [4.0] * 7)
    tensor += 1
    assert (tensor.tolist(), array.tolist()) == ([5.0] * 7, [4.0] * 7)


def test_a_buffer_that_is_used_again_for_each_batch() -> None:
    """A loader fills one array again and again: what was computed of an earlier batch must not change."""
    buffer = np.zeros((4, 3), np.float32)
    batch = torch.from_numpy(buffer)
    double = torch.jit(lambda x: x * 2)
    kept = []
    for k in range(5):
        buffer[:] = k
        kept.append((double(batch), batch.sum(), batch.clone()))
    assert [(a[0, 0].item(), b.item(), c[0, 0].item()) for a, b, c in kept] == [(2 * k, 12 * k, k) for k in range(5)]


def test_a_gradient_that_a_step_leaves_behind() -> None:
    """The array keeps the gradient of its call; the next one is another tensor."""
    parameters = [torch.nn.Parameter(torch.ones(4)) for _ in range(8)]

    @torch.jit
    def step(x: Any) -> None:
        for p in parameters:
            p.grad = None
        sum((p * x).sum() for p in parameters).backward()
    step(torch.ones(4))
    array = parameters[2].grad.numpy()
    array[0] = 9
    assert parameters[2].grad.tolist() == [9, 1, 1, 1]
    for k in (2.0, 3.0):
        step(torch.full((4,), k))
        assert (array.tolist(), [p.grad.tolist() for p in parameters]) == ([9, 1, 1, 1], [[k] * 4] * 8)
