"""Marks of views, attributes and storages in files, several files in one, buffers, capsules, and storages as memory."""

from __future__ import annotations

import array
import copy
import io
import itertools
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau

from ..three_ways import check_alike

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # of loading without weights_only, and of typed storages


def there_and_back(x: Any, by: Any, to: Any, **options: Any) -> Any:
    file = io.BytesIO()
    by.save(x, file)
    file.seek(0)
    return to.load(file, **options)


def marks(torch: Any, jit: Any) -> Any:
    z = torch.tensor([1 + 2j, 3 - 4j])
    n = z.conj().imag
    views = [n, n.resolve_neg(), n.clone(), n + 1, z.imag, z.conj().real, n[:1], n.view(2, 1), z.conj().conj().imag, n.neg(),
             n.contiguous(), n.detach(), n.detach()[:1]]
    return [[x.is_neg(), x.is_conj()] for x in [*views, z.conj(), z.conj().detach()[:1]]], torch.is_neg(n), n


def marks_in_files(torch: Any, jit: Any) -> Any:
    z = torch.tensor([1 + 2j, 3 - 4j])
    read = [there_and_back(x, torch, oracle) for x in (z.conj().imag, z.conj(), z.imag)]
    return [[x.is_neg(), x.is_conj(), str(x.tolist())] for x in read], there_and_back(z.conj().imag, torch, torch)


def attributes(torch: Any, jit: Any) -> Any:
    p, t, b, m = torch.nn.Parameter(torch.ones(2)), torch.ones(2), torch.nn.Buffer(torch.ones(1)), torch.nn.Linear(1, 1)
    for x in (p, t, b, m.weight):
        x.tag = [1]
    made = [pickle.loads(pickle.dumps(x)) for x in (p, t, b)]
    return [x.tag for x in (*made, copy.copy(p), there_and_back(p, torch, torch, weights_only=False),
                            pickle.loads(pickle.dumps(m)).weight)], type(made[0]).__name__, made[0].requires_grad


def several_in_one_file(torch: Any, jit: Any) -> Any:
    file, begins, found = io.BytesIO(), list[int](), list[Any]()
    for x in (torch.ones(3), {"a": torch.zeros(5)}, torch.arange(2)):
        begins.append(file.tell())
        torch.save(x, file)
    for begin in begins:
        file.seek(begin)
        found.append(torch.load(file))
    return found


def generators(torch: Any, jit: Any) -> Any:
    return [there_and_back(oracle.Generator().manual_seed(3), oracle, torch, weights_only=False).initial_seed(),
            pickle.loads(pickle.dumps(torch.Generator().manual_seed(3))).initial_seed()]


def layouts_and_storages(torch: Any, jit: Any) -> Any:
    x = torch.arange(3.0)
    found = there_and_back([torch.strided, x.storage(), x, torch.arange(2).untyped_storage()], torch, torch, weights_only=False)
    found[2].add_(1)
    return [found[0] is torch.strided, list(found[1]), found[1].dtype, found[3].nbytes(),
            isinstance(found[1], torch.TypedStorage), there_and_back(torch.strided, torch, torch) is torch.strided]


def storages_between_libraries(torch: Any, jit: Any) -> Any:
    x, y = oracle.arange(3.0), torch.arange(3.0)
    read = there_and_back([x.storage(), x, oracle.arange(2).untyped_storage()], oracle, torch, weights_only=False)
    written = there_and_back([y.storage(), y, torch.arange(2).untyped_storage()], torch, oracle, weights_only=False)
    return [[list(a), b, c.nbytes()] for a, b, c in (read, written)]


def one_memory_as_two_kinds(torch: Any, jit: Any) -> Any:
    x = torch.arange(3.0)
    return there_and_back([x.untyped_storage(), x], torch, torch)


def capsules(torch: Any, jit: Any) -> Any:
    x = torch.zeros(2)
    capsule = torch.utils.dlpack.to_dlpack(x)
    torch.utils.dlpack.from_dlpack(capsule).add_(1)
    with pytest.raises(RuntimeError, match="consumed only once"):
        torch.utils.dlpack.from_dlpack(capsule)
    with pytest.raises(BufferError, match="require gradient"):
        np.from_dlpack(torch.ones(1, requires_grad=True))
    return x, torch.from_dlpack(torch.arange(3).__dlpack__()), torch.from_dlpack(np.arange(3.0))


def memory_that_is_set(torch: Any, jit: Any) -> Any:
    s, t = torch.arange(6.0), torch.ones(1)
    found = [t.set_(s.untyped_storage(), 1, (2, 2), (1, 2)) is t, t.stride(), t.storage_offset()]
    t.add_(10)
    whole = torch.empty(0).set_(s.untyped_storage(), 0, (6,))
    whole[0] = 5
    return [*found, t, s, torch.empty(0).set_(s.storage()), torch.empty(0).set_(s.untyped_storage()).shape]


def buffers(torch: Any, jit: Any) -> Any:
    data = bytearray(b"abcd")
    torch.asarray(data, dtype=torch.uint8)[0] = 122
    torch.asarray(data, dtype=torch.uint8, copy=True)[0] = 65
    floats = np.zeros(2, np.float32)
    torch.as_tensor(floats, dtype=torch.float32)[0] = 3
    with pytest.raises(ValueError, match="must be a multiple of element size"):
        torch.asarray(b"ab")
    return [bytes(data).decode(), floats.tolist(), torch.asarray(b"ab", dtype=torch.uint8),
            torch.asarray(data, dtype=torch.int16),
            torch.asarray(memoryview(b"abcdefgh"), dtype=torch.int32), torch.asarray(array.array("f", [1, 2]))]


def views_without_grad(torch: Any, jit: Any) -> Any:
    y = torch.ones(4, requires_grad=True) * 1
    with torch.no_grad():
        v = y[:2]
    v.mul_(3)


def data_without_gradients(torch: Any, jit: Any) -> Any:
    torch.nn.Parameter(torch.ones(1)).data = torch.ones(1, dtype=torch.int32)


@pytest.mark.parametrize("scenario", [
    marks, marks_in_files, attributes, several_in_one_file, generators, layouts_and_storages, storages_between_libraries,
    one_memory_as_two_kinds, capsules, memory_that_is_set, buffers, views_without_grad, data_without_gradients])
def test_as_in_torch(scenario: Any) -> None:
    check_alike(scenario, oracle)


def test_modules_that_come_on_first_use() -> None:
    assert flambeau.quasirandom.SobolEngine(2).draw(2).shape == (2, 2)
    assert flambeau.overrides.is_tensor_like(1) is False
    assert flambeau.__future__.get_overwrite_module_params_on_conversion() is False


# --- Parts of buffers and files, swept ----------------------------------------------------------------------------------

BUFFERS: list[Callable[[], Any]] = [
    lambda: bytearray(range(16)), lambda: bytearray(5), lambda: bytearray(), lambda: array.array("h", range(6)),
    lambda: np.arange(4.0), lambda: memoryview(bytearray(range(12)))[3:], lambda: [1], lambda: "ab", lambda: None]
KINDS = ("uint8", "int16", "float32", "float64", "complex64")


def told(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        return type(error).__name__, str(error).split("\n")[0]


def part_of_a_buffer(torch: Any, made: Callable[[], Any], kind: str, count: int, offset: int) -> Any:
    memory = made()
    part = torch.frombuffer(memory, dtype=getattr(torch, kind), count=count, offset=offset)
    found = part.tolist()
    part.fill_(1)
    return bytes(memory), found


def test_parts_of_buffers() -> None:
    cases = [*itertools.product(BUFFERS, KINDS, (-3, -1, 0, 1, 2, 5, 99), (-1, 0, 1, 2, 4, 8, 15, 16, 99))]
    wrong = [(case, ours, theirs) for case in cases
             for ours, theirs in [[told(partial(part_of_a_buffer, library, *case)) for library in (flambeau, oracle)]]
             if repr(ours) != repr(theirs)]
    assert len(cases) > 2500
    assert not wrong, (len(wrong), wrong[:3])


def part_of_a_file(torch: Any, folder: Path, name: str, shared: bool | None, size: int, kind: str) -> Any:
    np.arange(4, dtype=np.float32).tofile(folder / "there")
    (folder / "new").unlink(missing_ok=True)
    part = torch.from_file(str(folder / name), shared=shared, size=size, dtype=getattr(torch, kind))
    found = part.tolist()
    part.fill_(1)
    return found, (folder / "there").read_bytes(), (folder / "new").exists() and (folder / "new").read_bytes()


def test_parts_of_files(tmp_path: Path) -> None:
    cases = [*itertools.product(("there", "new", "none/new"), (True, False, None), (0, 1, 3, 9), KINDS)]
    wrong = [(case, ours, theirs) for case in cases
             for ours, theirs in [[told(partial(part_of_a_file, library, tmp_path, *case)) for library in (flambeau, oracle)]]
             if repr(ours) != repr(theirs)]
    assert not wrong, (len(wrong), wrong[:3])
