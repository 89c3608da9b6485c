"""`torch.serialization` and the former classes of storages against torch's; what options do to files of either."""

from __future__ import annotations

import fractions
import io
import mmap
import os
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from flambeau.runtime import packages  # noqa: E402

BOTH = (torch, flambeau)


def said(call: Callable[[Any], Any], library: Any) -> Any:
    """What a call gives, or the class and text of its error."""
    try:
        found = call(library)
    except Exception as error:
        return type(error).__name__, str(error).replace("flambeau.tracer.functions.storages", "torch.storage")
    return found if isinstance(found, (bool, int, float, str, list, tuple, type(None))) else str(found)


def saved(library: Any, obj: Any, **named: Any) -> io.BytesIO:
    file = io.BytesIO()
    named.setdefault("_use_new_zipfile_serialization", True)
    library.save(obj, file, **named)
    file.seek(0)
    return file


def a_module(version: str) -> Any:
    return types.SimpleNamespace(__name__="m", __version__=version)


class FloatStorage:
    """Stands for a class of storages in a module that has tensors, too."""


FloatTensor = "the tensors beside it"
KINDS = ["BFloat16", "Bool", "Byte", "Char", "ComplexDouble", "ComplexFloat", "Double", "Half", "Int", "Long", "Short"]
CALLS: list[Callable[[Any], Any]] = [
    lambda t: [str(x) for x in t.serialization.LoadEndianness],
    lambda t: t.serialization.get_default_load_endianness(),
    lambda t: t.serialization.get_crc32_options(),
    lambda t: t.serialization.get_default_mmap_options(),
    lambda t: t.serialization.set_default_load_endianness(3),
    lambda t: t.serialization.set_default_mmap_options(77),
    lambda t: t.serialization.location_tag(t.ones(2).untyped_storage()),
    lambda t: t.serialization.location_tag(t.ones(2).storage()),
    lambda t: t.serialization.location_tag(t.ones(2, device="meta").untyped_storage()),
    lambda t: t.serialization.default_restore_location(t.ones(2).untyped_storage(), "cpu").tolist(),
    lambda t: t.serialization.default_restore_location(t.ones(2).untyped_storage(), "cuda:0"),
    lambda t: t.serialization.default_restore_location(t.ones(2).untyped_storage(), "nowhere"),
    lambda t: t.serialization.default_restore_location(t.ones(2).untyped_storage(), "meta").device,
    lambda t: t.serialization.normalize_storage_type(t.FloatStorage),
    lambda t: t.serialization.normalize_storage_type(int),
    lambda t: t.serialization.normalize_storage_type(t.cuda.HalfStorage),
    lambda t: t.serialization.storage_to_tensor_type(3),
    lambda t: t.serialization.storage_to_tensor_type(FloatStorage()),
    lambda t: t.serialization.validate_cuda_device("cuda:1"),
    lambda t: t.serialization.storage_to_tensor_type(t.ones(2).storage()),
    lambda t: t.serialization.validate_cuda_device("cpu"),
    lambda t: t.serialization.validate_hpu_device("hpu:0"),
    lambda t: t.serialization.check_module_version_greater_or_equal(a_module("1.2.3"), (1, 2)),
    lambda t: t.serialization.check_module_version_greater_or_equal(a_module("1.2.3"), (1, 3)),
    lambda t: t.serialization.check_module_version_greater_or_equal(a_module("a.b"), (1, 3)),
    lambda t: [t.serialization.StorageType(f"{n}Storage").dtype for n in ("Float", "Long", "ComplexDouble")][1],
    lambda t: t.serialization.StorageType("FloatStorage").__str__(),
    lambda t: t.serialization.StorageType("no").dtype,
    lambda t: [k.__name__ for k in t.serialization.SourceChangeWarning.__mro__],
    lambda t: t.serialization.mkdtemp().__enter__().startswith(os.sep),
    lambda t: t.serialization.get_unsafe_globals_in_checkpoint(
        saved(t, {"a": t.ones(2), "b": t.bfloat16, "c": t.nn.Parameter(t.ones(1))})),
    lambda t: sorted(t.serialization.get_unsafe_globals_in_checkpoint(saved(t, {"f": fractions.Fraction(1, 2), "g": a_module}))),
    lambda t: sorted(t.serialization.get_unsafe_globals_in_checkpoint(saved(t, [os.getcwd, fractions.Fraction]))),
    lambda t: t.serialization.get_unsafe_globals_in_checkpoint(saved(t, t.ones(1), _use_new_zipfile_serialization=False)),
    lambda t: t.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(b"abc")),
    lambda t: t.FloatStorage(),
    lambda t: [t.FloatStorage([1, 2.5]).tolist(), t.ByteStorage([1, 2]).tolist(), len(t.IntStorage(3))],
    lambda t: t.BoolStorage([True, 0, 3]).tolist(),
    lambda t: t.FloatStorage("a"),
    lambda t: t.FloatStorage(1, 2),
    lambda t: t.LongStorage(wrap_storage=t.arange(2).untyped_storage()).tolist(),
    lambda t: type(t.LongStorage(2)).__name__,
    lambda t: isinstance(t.ones(2).storage(), t.FloatStorage),
    lambda t: isinstance(t.ones(2).storage(), t.IntStorage),
    lambda t: isinstance(t.HalfStorage(2), t.storage.TypedStorage),
    lambda t: issubclass(t.ShortStorage, t.storage.TypedStorage),
    lambda t: t.ones(2).storage_type(),
    lambda t: t.ones(2).int().storage_type(),
    lambda t: t.Storage,
    lambda t: type(said(lambda u: u.cuda.FloatStorage(2), t)),
    lambda t: t.is_storage(t.ones(1).untyped_storage()),
    lambda t: t.is_storage(3),
    *(lambda t, n=n: [f"{k} {k.dtype}" for k in (getattr(t, n + "Storage"), getattr(t.cuda, n + "Storage"))] for n in KINDS),
]


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize("case", range(len(CALLS)))
def test_calls(case: int) -> None:
    theirs, ours = said(CALLS[case], torch), said(CALLS[case], flambeau)
    if theirs == "" or "[torch.storage.TypedStorage" in str(theirs):
        assert "TypedStorage" in str(ours)  # printed otherwise
    else:
        assert ours == theirs


def test_names_that_a_pickle_puts_together() -> None:
    """As from protocol 4 on, which torch does not look through."""
    file = saved(flambeau, [os.getcwd, fractions.Fraction], pickle_protocol=4)
    assert flambeau.serialization.get_unsafe_globals_in_checkpoint(file) == [
        "fractions.Fraction", f"{os.getcwd.__module__}.getcwd"]


def test_a_malformed_version_warns() -> None:
    for library in BOTH:
        with pytest.warns(UserWarning, match="malformed 'x'.*continuing assuming that requirement is met"):
            assert library.serialization.check_module_version_greater_or_equal(a_module("x"), (1,), error_if_malformed=False)


# --- What the options do ----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    for library in BOTH:
        library.serialization.set_crc32_options(True)
        library.serialization.set_default_load_endianness(None)


def equal(x: Any, y: Any) -> bool:
    return bool(np.array_equal(x.numpy(), y.numpy()))


@pytest.mark.parametrize("writer", BOTH, ids=lambda t: t.__name__)
@pytest.mark.parametrize("reader", BOTH, ids=lambda t: t.__name__)
def test_without_checksums(writer: Any, reader: Any) -> None:
    writer.serialization.set_crc32_options(False)
    file = saved(writer, {"x": writer.arange(7)})
    assert {info.CRC for info in zipfile.ZipFile(file).infolist()} == {0}
    file.seek(0)
    assert equal(reader.load(file)["x"], writer.arange(7))
    damaged = bytearray(file.getvalue())
    at = damaged.index(np.arange(7).tobytes())
    damaged[at] = 9
    assert reader.load(io.BytesIO(bytes(damaged)))["x"].tolist()[0] == 9  # nobody noticed


def test_with_checksums_damage_is_noticed() -> None:
    damaged = bytearray(saved(flambeau, flambeau.arange(7)).getvalue())
    damaged[damaged.index(np.arange(7).tobytes())] = 9
    with pytest.raises(flambeau.serialization.load.__globals__["CheckpointError"], match="Bad CRC-32"):
        flambeau.load(io.BytesIO(bytes(damaged)))


def test_safetensors_without_checksums() -> None:
    flambeau.serialization.set_crc32_options(False)
    file = saved(flambeau, {"x": flambeau.arange(7)}, _use_new_zipfile_serialization=None)
    assert flambeau.load(file)["x"].tolist() == list(range(7))
    changed = file.getvalue().replace(np.arange(7).tobytes(), np.arange(1, 8).tobytes())
    assert flambeau.load(io.BytesIO(changed))["x"].tolist()[0] == 1


@pytest.mark.parametrize("order", ["BIG", "LITTLE", "NATIVE"])
def test_the_order_of_bytes_of_files_that_do_not_tell_it(order: str) -> None:
    file = saved(flambeau, flambeau.arange(3), _disable_byteorder_record=True)
    told = saved(flambeau, flambeau.arange(3))
    found = []
    for library in BOTH:
        library.serialization.set_default_load_endianness(getattr(library.serialization.LoadEndianness, order))
        assert library.serialization.get_default_load_endianness().name == order
        for each in (file, told):
            each.seek(0)
            found.append(library.load(each).tolist())
    assert found[:2] == found[2:] and found[1] == [0, 1, 2] and (found[0] == [0, 1, 2]) == (order != "BIG")


@pytest.mark.parametrize("library", BOTH, ids=lambda t: t.__name__)
@pytest.mark.parametrize("zipped", [True, None])
def test_files_without_their_data(library: Any, zipped: bool | None) -> None:
    if zipped is None and library is torch:
        pytest.skip("safetensors files are ours")
    obj = {"x": library.arange(1, 4), "n": 3}
    with library.serialization.skip_data():
        file = saved(library, obj, _use_new_zipfile_serialization=zipped)
        with pytest.raises(RuntimeError, match="Cannot use skip_data=True with _use_new_zipfile_serialization=False"):
            saved(library, obj, _use_new_zipfile_serialization=False)
    whole = saved(library, obj, _use_new_zipfile_serialization=zipped)
    assert abs(len(file.getvalue()) - len(whole.getvalue())) < 32
    for reader in BOTH if zipped else (flambeau,):
        file.seek(0)
        found = reader.load(file)
        assert found["x"].tolist() == [0, 0, 0] and found["n"] == 3
    with flambeau.serialization.skip_data():
        assert flambeau.load(whole)["x"].tolist() == [0, 0, 0]
    whole.seek(0)
    assert library.load(whole)["x"].tolist() == [1, 2, 3]


def test_a_mapped_file_that_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    flambeau.save(flambeau.arange(3), path)
    for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
        with flambeau.serialization.set_default_mmap_options(flags):
            assert flambeau.serialization.get_default_mmap_options() == flags
            x = flambeau.load(path, mmap=True)
            assert x.tolist() == [0, 1, 2]
            x[0] = 5
            assert x.tolist() == [5, 1, 2] and flambeau.load(path).tolist() == [0, 1, 2]


@pytest.mark.parametrize("place", [None, "cpu", {"mine": "mine"}], ids=str)
def test_rules_of_the_user(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_packages", list(packages._packages))
    monkeypatch.setattr(torch.serialization, "_package_registry", list(torch.serialization._package_registry))
    told = []
    for library in BOTH:
        seen: list[Any] = []

        def restore(storage: Any, location: str, seen: list[Any] = seen, library: Any = library) -> Any:
            if location != "mine":
                return None
            seen.append(storage.nbytes())
            return library.full((3,), 7).untyped_storage()

        library.serialization.register_package(5, lambda s: "mine" if s.nbytes() == 24 else None, restore)
        assert library.serialization.location_tag(library.arange(3).untyped_storage()) == "mine"
        file = saved(library, {"a": library.arange(3), "b": library.ones(1)})
        found = library.load(file, map_location=place)
        told.append((found["a"].tolist(), found["b"].tolist(), seen))
    assert told[0] == told[1]
