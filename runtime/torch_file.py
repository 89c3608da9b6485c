"""Reading the files that PyTorch's `torch.save` writes: a zip archive, or the form before it, pickles end to end.

Source: https://pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pickle import UnpicklingError
from typing import IO, Any

import numpy as np

from ..tracer.ir.errors import CheckpointError
from . import file_options
from .file_options import byte_order, skipping
from .packages import restored
from .restoring import torchs
from .safe_globals import vouched
from .safetensors_file import ZIP, damaged
from .stored_tensors import KNOWN, Array, StorageKind, Stored, storage_id
from .unpickler import Bounded, Reader

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
RUNS_CODE = ("torch.load was called with weights_only=False: the file is read by Python's pickle, which runs whatever code the "
             "file asks for. Do it only with files whose author you trust.")
_UNREADABLE = (zipfile.BadZipFile, struct.error, zlib.error, ValueError, LookupError, EOFError, NotImplementedError,
               OverflowError, MemoryError)
_ENTRY = 30  # bytes of a local header before the name


def load_file(file: IO[bytes], name: str, map_location: Any, weights_only: bool, mapped: bool) -> Any:
    """The object in a file of torch's, from where it stands."""
    if not weights_only:
        warnings.warn(RUNS_CODE, stacklevel=5)
    start = file.tell()
    zipped = file.read(4) == ZIP
    file.seek(start)
    if mapped and not zipped:
        raise RuntimeError("mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization=True), please "
                           "torch.save your checkpoint with this option in order to use mmap.")
    made = _from_archive(file, name, map_location, weights_only, mapped) if zipped else \
        _from_pickles(file, name, map_location, weights_only)
    return made


def names_in(file: IO[bytes]) -> list[str]:
    """What an archive of torch's names that `load` does not make by default; ValueError for what is none."""
    start = file.tell()
    zipped = file.read(4) == ZIP
    file.seek(start)
    if not zipped:
        raise ValueError("Expected input to be a checkpoint returned by torch.save")
    archive = _Archive(file, "the file", False)
    if "constants.pkl" in archive.entries:
        raise ValueError("Expected input to be a checkpoint returned by torch.save but got a torchscript checkpoint")
    return sorted(set(_named(archive.read("data.pkl"))) - {*KNOWN, *vouched()})


def _named(text: bytes) -> Iterator[str]:
    """Modules and names that a pickle asks for; of those that it puts together from texts, the last two."""
    last: list[Any] = []
    for opcode, argument, _ in pickletools.genops(text):
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(last[-2:])
        elif isinstance(argument, str):
            last.append(argument)


class Storages:
    """The storages of a file, each made when it is first named."""

    def __init__(self, data: Callable[[str, StorageKind, int], Array], map_location: Any) -> None:
        self._data, self._map_location = data, map_location
        self._made: dict[str, Stored] = {}

    def __call__(self, saved_id: Any) -> Stored:
        kind, key, location, count = storage_id(saved_id)
        if key not in self._made:
            data = np.zeros(count * kind.itemsize, np.uint8) if skipping() else self._data(key, kind, count)
            contents, on = restored(self._map_location, location, data)
            self._made[key] = Stored(contents, kind, on)
        known = self._made[key]
        if known.kind is kind or known.kind.dtype is kind.dtype:
            return known
        raise CheckpointError(f"the file is damaged: storage {key!r:.40} is of two kinds")


def _read_pickle(file: Any, storages: Storages, weights_only: bool, size: int, name: str) -> Any:
    try:
        if weights_only:
            return Reader(KNOWN, storages, size).read(file)
        return _Trusting(file, storages).load()
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    except UnpicklingError as error:
        raise UnpicklingError(f"{name}: {error}") from None


class _Trusting(pickle.Unpickler):
    """Python's own, where torch's names mean ours."""

    def __init__(self, file: Any, storages: Storages) -> None:
        super().__init__(file, encoding="utf-8")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """What a name of the file means."""
        known = torchs.get(f"{module}.{name}", KNOWN.get(f"{module}.{name}"))
        if known is not None:
            return known
        top, _, rest = module.partition(".")
        if top != "torch":
            return super().find_class(module, name)
        package = __name__.partition(".")[0]
        for place in (f"{package}.{rest}", f"{package}.{rest.partition('.')[0]}", package):  # nn.modules.linear is our nn
            try:
                return super().find_class(place.rstrip("."), name)
            except (ImportError, AttributeError):
                continue
        raise UnpicklingError(f"the file names {module}.{name}, which Flambeau does not have")

    def persistent_load(self, pid: Any) -> Any:
        """A storage."""
        return pid[1] if type(pid) is tuple and pid[:1] == ("module",) else self._storages(pid)


# --- Archives ---------------------------------------------------------------------------------------------------------


def _from_archive(file: IO[bytes], name: str, map_location: Any, weights_only: bool, mapped: bool) -> Any:
    archive = _Archive(file, name, mapped)
    if "constants.pkl" in archive.entries:
        raise CheckpointError(f"{name} is a TorchScript archive: a program, not a checkpoint. Save its state_dict() instead")
    order = archive.read("byteorder", 16).decode(errors="replace").strip() if "byteorder" in archive.entries else byte_order()
    if order not in ("little", "big"):
        raise damaged(name, f"its byte order is {order!r}")

    def data(key: str, kind: StorageKind, count: int) -> Array:
        entry = f"data/{key}"
        found = archive.array(entry, count * kind.itemsize)
        return _swapped(found, kind) if order == "big" else found

    text = io.BytesIO(archive.read("data.pkl"))
    made = _read_pickle(text, Storages(data, map_location), weights_only, archive.size, name)
    file.seek(0, os.SEEK_END)
    return made


def _swapped(data: Array, kind: StorageKind) -> Array:
    size = kind.itemsize // (2 if kind.dtype is not None and kind.dtype.is_complex else 1)
    return data.view(f"u{size}").byteswap().view(np.uint8) if size > 1 else data


def _first_zip(file: IO[bytes], start: int) -> zipfile.ZipFile:
    """The archive that begins where the file stood: of several in one file `ZipFile` finds the last."""
    found = zipfile.ZipFile(file)
    begin = min((info.header_offset for info in found.infolist()), default=start)
    while begin > start:
        file.seek(start)
        found = zipfile.ZipFile(io.BytesIO(file.read(begin - start)))
        inside = min((info.header_offset for info in found.infolist()), default=0)
        if not inside:
            break
        begin = start + inside
    return found


class _Archive:
    """The entries of a zip file, by their names below the archive's own; of sizes and places none is believed unchecked."""

    def __init__(self, file: IO[bytes], name: str, mapped: bool) -> None:
        self._file, self._name = file, name
        start = file.tell()
        self.size = file.seek(0, os.SEEK_END)
        try:
            self._zip = _first_zip(file, start)
            infos = self._zip.infolist()
        except _UNREADABLE as error:
            raise damaged(name, f"it was cut off, or is no zip archive: {error!s:.100}") from None
        self._check(infos)
        top = infos[0].filename.partition("/")[0] if infos else ""
        self.entries = {info.filename[len(top) + 1:]: info for info in infos if info.filename.startswith(top + "/")}
        if "data.pkl" not in self.entries:
            raise damaged(name, "there is no data.pkl in the archive, which every file of torch.save has")
        self._map = file_options.mapped(file.fileno()) if mapped else None

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        names = [info.filename for info in infos]
        for path in names:
            if path.startswith("/") or "\\" in path or ":" in path or ".." in path.split("/"):
                raise damaged(self._name, f"the archive has an entry of the path {path!r:.60}")
        if len(set(names)) != len(names):
            raise damaged(self._name, "an entry comes twice in the archive")
        for info in infos:
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
                raise damaged(self._name, f"entry {info.filename!r:.60} is compressed or encrypted, which torch.save does not")
        if sum(info.file_size for info in infos) > self.size:
            raise damaged(self._name, "its entries claim to be larger than the file")
        for info in infos:
            if not 0 <= info.header_offset <= self.size - _ENTRY - info.file_size:
                raise damaged(self._name, f"entry {info.filename!r:.60} is not within the file, of which a part is missing")

    def read(self, entry: str, most: int | None = None) -> bytes:
        """The bytes of an entry, whose checksum is compared."""
        info = self.entries[entry]
        try:
            with self._zip.open(info) as file:
                if info.CRC == 0:  # saved without one: see set_crc32_options
                    file._expected_crc = None  # type: ignore[attr-defined]  # what its stubs do not tell
                found = file.read(info.file_size if most is None else min(most, info.file_size))
        except _UNREADABLE as error:
            raise damaged(self._name, f"entry {entry!r:.60} cannot be read: {error!s:.100}") from None
        if most is None and len(found) != info.file_size:
            raise damaged(self._name, f"entry {entry!r:.60} was cut off")
        return found

    def array(self, entry: str, count: int) -> Array:
        """So many bytes of an entry, which has no others."""
        if entry not in self.entries:
            raise damaged(self._name, f"the archive has no entry {entry!r:.60}")
        there = self.entries[entry].file_size
        if there != count:
            raise damaged(self._name, f"entry {entry!r:.60} has {there} bytes where {count} are expected")
        if self._map is None:
            return np.frombuffer(self.read(entry), np.uint8)
        start = self.entries[entry].header_offset
        head = self._map[start:start + _ENTRY]
        if len(head) < _ENTRY or head[:4] != ZIP:
            raise damaged(self._name, f"entry {entry!r:.60} does not begin where the archive says")
        begin = start + _ENTRY + sum(struct.unpack("<HH", head[26:30]))
        if begin + count > self.size:
            raise damaged(self._name, f"entry {entry!r:.60} was cut off")
        return np.frombuffer(self._map, np.uint8, count, begin)


# --- Pickles end to end -----------------------------------------------------------------------------------------------


def _from_pickles(file: IO[bytes], name: str, map_location: Any, weights_only: bool) -> Any:
    """First what storages there are, then their contents, which stand at the end, then the object."""
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    size = end - start
    kinds: dict[str, tuple[StorageKind, int]] = {}
    bounded = Bounded(file, end)
    magic, protocol, system = (_plain(bounded, size, name) for _ in range(3))
    if magic != MAGIC or protocol != PROTOCOL or not isinstance(system, dict):
        raise damaged(name, "it does not begin as torch's files do")
    if system.get("little_endian") is False:
        raise CheckpointError(f"{name} was written on a big-endian machine in torch's old format, which is not supported")
    place = file.tell()
    _read_pickle_for_storages(bounded, kinds, size, name)
    keys = _plain(bounded, size, name)
    arrays = _contents(file, keys, kinds, end, name)
    after = file.tell()
    file.seek(place)

    def data(key: str, kind: StorageKind, count: int) -> Array:
        if key not in arrays:
            raise damaged(name, f"storage {key!r:.40} is not there")
        return arrays[key]

    made = _read_pickle(bounded if weights_only else file, Storages(data, map_location), weights_only, size, name)
    file.seek(after)
    return made


def _plain(file: Bounded, size: int, name: str) -> Any:
    """An object that names nothing."""
    try:
        return Reader({}, storage_id, size).read(file)
    except UnpicklingError as error:
        raise damaged(name, f"it was cut off, or is no file of torch's: {error}") from None


class _Anything:
    """Stands for all that a pickle makes, while it is looked through for storages."""

    def __call__(self, *arguments: Any) -> _Anything:
        return self


class _Looking(Reader):
    """Calls nothing: what a name means and what is done with it does not matter."""

    def _find(self, module: Any, name: Any) -> Any:
        return KNOWN.get(f"{module}.{name}", _ANYTHING) if "Storage" in str(name) else _ANYTHING

    def _call(self, function: Any, arguments: Any) -> Any:
        return _ANYTHING

    def _extend(self, items: list[Any]) -> None:
        pass

    def _set_items(self, items: list[Any]) -> None:
        pass

    def _do_additems(self, argument: Any) -> None:
        self._pop_mark()

    def _do_build(self, argument: Any) -> None:
        self._pop()

    def _do_obj(self, argument: Any) -> None:
        self._pop_mark()
        self._stack.append(_ANYTHING)

    def _do_inst(self, argument: Any) -> None:
        self._do_obj(argument)

    def _do_newobj_ex(self, argument: Any) -> None:
        for _ in range(3):
            self._pop()
        self._stack.append(_ANYTHING)


_ANYTHING = _Anything()


def _read_pickle_for_storages(file: Bounded, kinds: dict[str, tuple[StorageKind, int]], size: int, name: str) -> None:
    def note(saved_id: Any) -> Any:
        if type(saved_id) is tuple and saved_id[:1] == ("module",):
            return saved_id[1] if len(saved_id) > 1 else _ANYTHING
        kind, key, _, count = storage_id(saved_id)
        if len(saved_id) > 5 and saved_id[5] is not None:
            raise CheckpointError("a storage that is a part of another one, as torch before 0.4 wrote, is not supported")
        if kinds.setdefault(key, (kind, count)) != (kind, count):
            raise CheckpointError(f"the file is damaged: storage {key!r:.40} is of two kinds")
        return _ANYTHING

    try:
        _Looking({}, note, size).read(file)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    except UnpicklingError as error:
        raise UnpicklingError(f"{name}: {error}") from None


def _contents(file: IO[bytes], keys: Any, kinds: dict[str, tuple[StorageKind, int]], end: int, name: str) -> dict[str, Array]:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(keys) != len(set(keys)):
        raise damaged(name, "the list of its storages cannot be read")
    arrays = {}
    for key in keys:
        if key not in kinds:
            raise damaged(name, f"storage {key!r:.40} belongs to no tensor")
        kind, count = kinds[key]
        length = file.read(8)
        told = int.from_bytes(length, "little") if len(length) == 8 else -1
        if told != count or count * kind.itemsize > end - file.tell():
            raise damaged(name, f"it was cut off, or storage {key!r:.40} has not the {count} elements that the pickle says")
        found = file.read(count * kind.itemsize)
        if len(found) != count * kind.itemsize:
            raise damaged(name, "it was cut off")
        arrays[key] = np.frombuffer(found, np.uint8)
    return arrays
