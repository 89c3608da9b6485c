"""Writing files that PyTorch's `torch.load` reads with its default: a zip archive, or pickles end to end.

The names in them are torch's: `torch._utils._rebuild_tensor_v2` and its like, which nobody imports here.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, ClassVar

import numpy as np

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.storages import TypedStorage, UntypedStorage
from ..tracer.ir.dtypes import dtype, uint8
from ..tracer.lazy.flush import host_array, materialize
from ..tracer.tensor.device import Size, device
from ..tracer.tensor.layouts import layout
from ..tracer.tensor.steps import Recoded, signs
from ..tracer.tensor.strides import contiguous_stride
from ..tracer.tensor.tensor import _OWN, Tensor
from .file_options import Options, skipping
from .packages import tag_of
from .restoring import classes
from .safetensors_file import as_bytes
from .stored_tensors import STORAGES, Array
from .torch_file import MAGIC, PROTOCOL

_STORAGE_OF = {kind: f"{name}Storage" for name, kind in STORAGES.items()}
_Written: Any = pickle._Pickler  # whose methods its stubs do not tell
_ALIGNED = 64
_LARGE = 1 << 31
_SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class _Name:
    """A name of torch's, to be written as it is."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"{self.module}.{self.name} is only a name here")


class _Storage:
    """Memory to be written: the tensor that spans it, and under which key."""

    def __init__(self, whole: Tensor, name: _Name, key: str, count: int) -> None:
        self.whole, self.name, self.key, self.count = whole, name, key, count

    def contents(self) -> Array:
        """The elements in the order of memory."""
        array: Array = np.asarray(host_array(self.whole.detach()._read()))
        return array


def _named(module: str, name: str) -> _Name:
    return _NAMES.setdefault(f"{module}.{name}", _Name(module, name))


_NAMES: dict[str, _Name] = {}  # one object for each name, so that a pickle has it once


class _Pickler(_Written):  # type: ignore[misc]
    """Python's pickler written in Python, whose C form insists on importing what it names."""

    dispatch: ClassVar[dict[Any, Any]] = dict(_Written.dispatch)

    def __init__(self, file: IO[bytes], protocol: int, legacy: bool) -> None:
        super().__init__(file, protocol)
        self._legacy = legacy
        self.storages: dict[Any, _Storage] = {}
        self._kept: list[Any] = []  # what was made for this pickle: its memo goes by identity

    def _save_name(self, named: _Name) -> None:
        self.write(pickle.GLOBAL + f"{named.module}\n{named.name}\n".encode())
        self.memoize(named)

    dispatch[_Name] = _save_name

    def persistent_id(self, x: Any) -> Any:
        """Of a storage: what torch's files say of one."""
        if isinstance(x, UntypedStorage):
            x = self._memory_itself(x)
        if not isinstance(x, _Storage):
            return None
        told = ("storage", x.name, x.key, tag_of(x.whole), x.count)
        made = (*told, None) if self._legacy else told
        self._kept.append(made)
        return made

    def reducer_override(self, x: Any) -> Any:
        """How torch makes what is a class of ours."""
        if isinstance(x, Tensor):
            if not _is_ours_to_say(type(x)):
                return NotImplemented
            made = self._tensor(x)
        elif isinstance(x, Size):
            made = _named("torch", "Size"), (tuple(x),)
        elif isinstance(x, device):
            made = _named("torch", "device"), (x.type,) if x.index is None else (x.type, x.index)
        elif isinstance(x, layout):
            made = _named("torch.serialization", "_get_layout"), (repr(x),)
        else:
            return NotImplemented
        self._kept.append(made)
        return made

    def save_dtype(self, kind: dtype) -> None:
        """A dtype is a name."""
        named = _named("torch", kind.name)
        self.save(named)

    dispatch[dtype] = save_dtype

    def save_bytes(self, data: bytes) -> None:
        """Without a call of `bytes`, which torch refuses."""
        if self.proto >= 3:
            super().save_bytes(data)
        else:
            self.save_reduce(_named("_codecs", "encode"), (data.decode("latin1"), "latin1"), obj=data)

    dispatch[bytes] = save_bytes

    def _tensor(self, x: Tensor) -> Any:
        attributes = {name: value for name, value in x.__dict__.items() if name not in _OWN and name != "persistent"}
        if isinstance(x, classes["Parameter"]):
            function = "_rebuild_parameter_with_state" if attributes else "_rebuild_parameter"
            arguments = (x.detach(), x.requires_grad, OrderedDict(), *([attributes] if attributes else []))
            return _named("torch._utils", function), arguments
        make, arguments = self._plain(x)
        if type(x) is classes["Buffer"]:
            attributes |= {"persistent": x.persistent, "_is_buffer": True}
        kind = _named("torch", "Tensor") if type(x) in (Tensor, classes["Buffer"]) else type(x)
        if attributes or kind is type(x):
            return _named("torch._tensor", "_rebuild_from_type_v2"), (make, kind, arguments, attributes)
        return make, arguments

    def _plain(self, x: Tensor) -> tuple[_Name, tuple[Any, ...]]:
        storage, offset, stride = self._memory(x)
        place: tuple[Any, ...] = (storage, offset, tuple(x._type.shape), stride, x.requires_grad, OrderedDict())
        if x.dtype in _STORAGE_OF:
            marks = {name: True for name, marked in zip(("conj", "neg"), signs(x)) if marked}
            return _named("torch._utils", "_rebuild_tensor_v2"), (*place, marks) if marks else place
        return _named("torch._utils", "_rebuild_tensor_v3"), (*place, x.dtype)

    def _memory(self, x: Tensor) -> tuple[_Storage, int, tuple[int, ...]]:
        """The storage of a tensor, and where in it the tensor lies; what strides cannot say gets memory of its own."""
        root, same = x, True
        while root._base is not None:
            same = same and not any(isinstance(step, Recoded) for step in root._steps)
            root = root._root
        if same and root.is_contiguous() and root.storage_offset() == 0:
            return self._storage(root._storage, root), x.storage_offset(), x.stride()
        order = sorted(range(x.ndim), key=lambda d: -x._strides.stride[d])
        with no_grad():
            stored, (conjugate, negative) = x.detach(), signs(x)
            dense = (stored.conj() if conjugate else -stored if negative else stored).permute(order)
        back = sorted(range(x.ndim), key=order.__getitem__)
        strides = contiguous_stride(dense._type.shape)
        return self._storage((x._storage, x._steps, x.is_conj()), dense), 0, tuple(strides[d] for d in back)

    def _memory_itself(self, x: UntypedStorage) -> _Storage:
        """A storage that users hold: one of elements, or of bytes."""
        kind = x._whole.dtype if isinstance(x, TypedStorage) else uint8
        return self._storage(x._whole._storage, x.as_elements(kind))

    def _storage(self, key: Any, whole: Tensor) -> _Storage:
        found = self.storages.get(key)
        if found is None:
            name = _STORAGE_OF.get(whole.dtype)
            named = _named("torch", name) if name else _named("torch.storage", "UntypedStorage")
            count = whole.numel() * (1 if name else whole.itemsize)
            found = self.storages[key] = _Storage(whole, named, str(len(self.storages)), count)
        if found.whole.dtype is not whole.dtype:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        return found


def _is_ours_to_say(kind: type[Tensor]) -> bool:
    """Whether a class of tensors has no way of its own to be pickled."""
    by: Any = kind.__reduce_ex__
    return any(by is known.__reduce_ex__ for known in (Tensor, *classes.values()))


def _pickled(obj: Any, protocol: int, legacy: bool) -> tuple[bytes, list[tuple[_Storage, Array]]]:
    text = io.BytesIO()
    pickler = _Pickler(text, protocol, legacy)
    pickler.dump(obj)
    storages = list(pickler.storages.values())
    if skipping():
        return text.getvalue(), [(s, np.zeros(s.whole._type.shape, s.whole.dtype.numpy)) for s in storages]
    materialize([s.whole.detach()._read() for s in storages], "a checkpoint was saved")
    return text.getvalue(), [(s, s.contents()) for s in storages]


def writer(obj: Any, top: str, protocol: int, legacy: bool, byteorder: bool) -> Callable[[IO[bytes]], None]:
    """What writes `obj` to a file; all that can fail for the object's sake has happened by then.

    Args: `top`, the name of the folder in the archive; `protocol`, of the pickle; `legacy`, whether pickles are written end
    to end; `byteorder`, whether the archive tells it.
    """
    if legacy and skipping():
        raise RuntimeError("Cannot use skip_data=True with _use_new_zipfile_serialization=False")
    with no_grad():
        text, storages = _pickled(obj, protocol, legacy)
    if legacy:
        return lambda file: _write_pickles(file, text, storages, protocol)
    return lambda file: _write_archive(file, top, text, storages, byteorder)


def _write_pickles(file: IO[bytes], text: bytes, storages: list[tuple[_Storage, Array]], protocol: int) -> None:
    for head in (MAGIC, PROTOCOL, _SYSTEM):
        file.write(pickle.dumps(head, protocol))
    file.write(text)
    file.write(pickle.dumps([storage.key for storage, _ in storages], protocol))
    for storage, array in storages:
        file.write(struct.pack("<q", storage.count))
        file.write(as_bytes(array))


def _write_archive(file: IO[bytes], top: str, text: bytes, storages: list[tuple[_Storage, Array]], byteorder: bool) -> None:
    crc = zlib.crc32(text)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, f"{top}/data.pkl", text)
        _add(archive, f"{top}/.format_version", b"1")
        _add(archive, f"{top}/.storage_alignment", str(_ALIGNED).encode())
        if byteorder:
            _add(archive, f"{top}/byteorder", b"little")
        for storage, array in storages:
            data = as_bytes(array)
            crc = zlib.crc32(data, crc) if Options.crc32 else crc
            _add(archive, f"{top}/data/{storage.key}", data)
        _add(archive, f"{top}/version", b"3\n")
        _add(archive, f"{top}/.data/serialization_id", f"{zlib.crc32(text):020d}{crc:020d}".encode())


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    """An entry whose bytes begin at a multiple of 64, so that the file can be mapped."""
    info = zipfile.ZipInfo(name)
    large = len(data) >= _LARGE
    begin = archive.start_dir + 30 + len(name.encode()) + (20 if large else 0) + 4
    gap = -begin % _ALIGNED
    info.extra = struct.pack("<HH", 0x4246, gap) + b"Z" * gap
    info.file_size = len(data)
    with archive.open(info, "w", force_zip64=large) as entry:
        entry.write(data)
        if not Options.crc32:
            entry._crc = 0  # type: ignore[attr-defined]  # what its stubs do not tell
