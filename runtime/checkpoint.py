"""Saving and loading nested containers of tensors: as one safetensors file, or as a file of PyTorch's own.

In a safetensors file the tensors are the file's tensors; how they are nested is JSON text in its metadata. Nothing is
pickled, and loading runs no code. PyTorch's files, which are pickles, are read without running code either.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import IO, Any

import numpy as np

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.operands import wrap
from ..tracer.ir import dtypes
from ..tracer.ir.dtypes import dtype
from ..tracer.ir.errors import CheckpointError, EmptyFileError
from ..tracer.ir.graph import Value
from ..tracer.ir.types import Type
from ..tracer.lazy.flush import host_array, materialize
from ..tracer.tensor.device import device
from ..tracer.tensor.tensor import Tensor
from .file_options import Options, skipping
from .replacing import replace
from .restoring import target
from .safetensors_file import CODES, METADATA, Array, checksum, damaged, is_torchs, read, stored_form, write
from .shards import INDEX, bytes_in, found_in, read_set, tied, untied, write_set

VERSION = 1
KEY = "flambeau"  # of our text in the file's metadata
Path = str | os.PathLike[str]
Place = str | device | Mapping[str, str] | Callable[[Any, str], Any] | None
TORCHS_ENDINGS = frozenset((".pt", ".pth", ".bin", ".ckpt"))


def save(obj: Any, f: Path | IO[bytes], pickle_module: Any = pickle, pickle_protocol: int = 2,
         _use_new_zipfile_serialization: bool | None = None, _disable_byteorder_record: bool = False, *,
         max_shard_size: int | str | None = None) -> None:
    """Save `obj` to one file, replacing it as a whole or not at all, or to an open binary file.

    A path that ends in .safetensors gets a safetensors file; any other path, and an open file, PyTorch's own format, in
    which PyTorch reads tensors, numbers and containers of them with its default (`weights_only=True`).
    Args: `obj`, anything that can be pickled, whole modules too; for a safetensors file a tensor, or dicts, lists and
    tuples, nested as you like, of tensors, numbers, strings, bools and None (so any state_dict, or several in a dict).
    Tensors that are one object are written once, in PyTorch's format also memory that several share. `f`, a path, or an
    object with a method `write`, which gets the bytes as they come, from where it stands.
    `_use_new_zipfile_serialization`, PyTorch's format wherever it goes: True for the zip archive, False for the form before
    it; `pickle_protocol` and `_disable_byteorder_record` are for these.
    `max_shard_size`, bytes or text such as "5GB", for a dict of tensors: it is saved as Hugging Face's libraries do, in
    files of at most so many bytes of tensors with an index, `model-00001-of-00003.safetensors` and so on in a folder `f`, or
    by the name of a path that ends in .safetensors. Tied tensors are written once; a set that was there is replaced as a whole.
    Raises TypeError naming the place of what cannot be saved, or pickle's own errors; CheckpointError if a file at a path
    cannot be written, and then what was there is as before; AttributeError if `f` is neither a path nor a file; ValueError for
    a `max_shard_size` that is no number of bytes, or is for a file of PyTorch's own.

    >>> import flambeau as torch, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> torch.save({"model": {"weight": torch.arange(3)}, "epoch": 4}, path)
    >>> torch.load(path)
    {'model': {'weight': tensor([0, 1, 2])}, 'epoch': 4}

    Source: https://pytorch.org/docs/stable/generated/torch.save.html
    """
    _require_writable(f)
    if max_shard_size is not None:
        _save_shards(obj, f, bytes_in(max_shard_size))
        return
    if _use_new_zipfile_serialization is not None or not _is_safetensors_name(f):
        top = os.path.splitext(os.path.basename(os.fsdecode(f)))[0] if isinstance(f, (str, os.PathLike)) else ""
        _write(f, import_module(".torch_writer", __package__).writer(
            obj, top or "archive", pickle_protocol, _use_new_zipfile_serialization is False, not _disable_byteorder_record))
        return
    packer = _Packer()
    with no_grad():
        packed = packer.pack(obj, ())
        arrays = packer.arrays()
    whole = json.dumps(packed, allow_nan=False)
    crc = checksum(arrays, whole) if Options.crc32 and not skipping() else None
    text = json.dumps({"version": VERSION, "crc32": crc, "object": packed})
    _write(f, lambda file: write(file, arrays, {KEY: text}))


def _save_shards(obj: Any, f: Any, most: int) -> None:
    if not isinstance(f, (str, os.PathLike)) or os.path.splitext(os.fsdecode(f))[1].lower() in TORCHS_ENDINGS:
        raise ValueError(f"max_shard_size requires a folder, or a path that ends in .safetensors, got {f!r:.80}")
    tensors = _named_tensors(obj)
    same = tied({name: (x._storage, x._steps, x._type) for name, x in tensors.items()})
    values = {name: x._read() for name, x in tensors.items() if name not in same}
    materialize(values.values(), "a checkpoint was saved")
    sizes = {name: value.type.size * value.type.dtype.itemsize for name, value in values.items()}
    try:
        write_set(os.fspath(f), sizes, same, most, lambda names: _host_arrays({name: values[name] for name in names}))
    except OSError as error:
        raise CheckpointError(f"could not save {os.fspath(f)}: {error.strerror or error}") from error


def _named_tensors(obj: Any) -> dict[str, Tensor]:
    """A state dict as what a set of files can hold."""
    if not isinstance(obj, Mapping):
        raise TypeError(f"save with max_shard_size requires a dict of tensors, such as a state_dict, got {type(obj).__name__}")
    for name, x in obj.items():
        if not isinstance(name, str) or not isinstance(x, Tensor) or name == METADATA:
            raise TypeError("save with max_shard_size requires names of tensors, as in a state_dict, got "
                            f"{name!r:.60}: {type(x).__module__}.{type(x).__qualname__}")
        if x.dtype not in CODES:
            raise TypeError(f"save with max_shard_size requires dtypes that safetensors has, got {name!r:.60} of {x.dtype}")
    return dict(obj)


def _host_arrays(values: Mapping[str, Value]) -> dict[str, tuple[dtype, Array]]:
    return {name: (value.type.dtype, np.asarray(host_array(value))) for name, value in values.items()}


def _is_safetensors_name(f: Any) -> bool:
    return isinstance(f, (str, os.PathLike)) and os.fsdecode(f).lower().endswith(".safetensors")


def _write(f: Path | IO[bytes], write_to: Callable[[IO[bytes]], None]) -> None:
    if not isinstance(f, (str, os.PathLike)):
        write_to(f)
        return
    target = os.path.realpath(os.fspath(f))
    try:
        replace(target, write_to)
    except OSError as error:
        raise CheckpointError(f"could not save {os.fspath(f)}: {error.strerror or error}") from error


def _require_writable(f: Any) -> None:
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute, got "
                             f"{type(f).__name__}")


def _require_seekable(f: Any) -> None:
    missing = [name for name in ("seek", "tell", "read") if not hasattr(f, name)]
    if missing:
        raise AttributeError(f"'{type(f).__name__}' object has no attribute '{missing[0]}'. You can only torch.load from a "
                             "file that is seekable. Please pre-load the data into a buffer like io.BytesIO and try to load "
                             "from it instead.")


def load(f: Path | IO[bytes], map_location: Place = None, pickle_module: Any = None, *, weights_only: bool | None = None,
         mmap: bool | None = None, **pickle_load_args: Any) -> Any:
    """What `save` wrote to `f`, here or in PyTorch; of safetensors files written by others, their tensors by name.

    Args: `f`, a path, also of an index of safetensors files or of a folder with one checkpoint, or an open binary file that
    can seek, which is read from where it stands to its end; `map_location`, the device for all tensors, or a dict from
    saved to wanted devices, or a function of a storage and the device it was on, which returns the storage, moved or not,
    or None; by default each goes where it was.
    `weights_only`, for files in PyTorch's format: True, the default, makes only tensors, numbers, containers and what
    `torch.serialization.add_safe_globals` allows, and runs no other code; False is Python's pickle, which runs whatever
    the file asks for, and says so. `mmap`, whether tensors of PyTorch's format stay in the file until they are used.
    Tensors that were one object are one object again; those that shared memory share it.
    Raises FileNotFoundError; CheckpointError, naming the file and the problem, for one that is damaged, cut off, or no
    checkpoint; pickle.UnpicklingError, naming what the file asks for and how to allow it, for what is not allowed;
    ValueError and RuntimeError for arguments that do not fit the file.

    >>> import flambeau as torch, io
    >>> file = io.BytesIO()
    >>> torch.save({"epoch": 4}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'epoch': 4}

    Source: https://pytorch.org/docs/stable/generated/torch.load.html
    """
    if pickle_module is not None and weights_only is not False:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    options = map_location, weights_only is not False, bool(mmap)
    if isinstance(f, (str, os.PathLike)):
        path = found_in(os.fsdecode(f)) if os.path.isdir(f) else os.fsdecode(f)
        if path.endswith(INDEX):
            return _unpacked(*read_set(path), path, map_location)
        with open(path, "rb") as file:
            return _load(file, path, *options)
    if mmap:
        raise ValueError("f must be a file path in order to use the mmap argument")
    _require_seekable(f)
    return _load(f, str(getattr(f, "name", type(f).__name__)), *options)


def _load(file: IO[bytes], name: str, map_location: Place, weights_only: bool, mapped: bool) -> Any:
    start = file.tell()
    first = file.read(16)
    file.seek(start)
    if not first:
        raise EmptyFileError(f"{name} is no checkpoint: it is empty, or stands at its end and was not rewound by seek(0)")
    if is_torchs(first):
        with no_grad():
            return _load_torchs(file, start, name, map_location, weights_only, mapped)
    return _unpacked(*read(file, name), name, map_location)


def _load_torchs(file: IO[bytes], start: int, *options: Any) -> Any:
    load_file = import_module(".torch_file", __package__).load_file
    if isinstance(file, io.IOBase):
        return load_file(file, *options)
    whole = io.BytesIO()  # of somebody's own file no more is asked than `read`, `seek` and `tell`
    while piece := file.read(1 << 24):
        whole.write(piece)
    whole.seek(0)
    made = load_file(whole, *options)
    file.seek(start + whole.tell())
    return made


def _unpacked(arrays: dict[str, tuple[dtype, Array]], metadata: dict[str, str], name: str, map_location: Place) -> Any:
    told = arrays
    if skipping():
        arrays = {name: (kind, np.zeros_like(array)) for name, (kind, array) in arrays.items()}
    unpacker = _Unpacker(arrays, map_location)
    with no_grad():
        if KEY not in metadata:
            names = {**{name: name for name in arrays}, **untied(arrays, metadata)}
            return {name: unpacker.tensor(kept, {}) for name, kept in names.items()}
        described = _described(metadata[KEY], name)
        crc = described.get("crc32", 0)  # null: saved without one
        if crc is not None and crc != checksum(told, json.dumps(described.get("object"))):
            raise damaged(name, "its contents do not match their checksum")
        try:
            return unpacker.unpack(described["object"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise damaged(name, f"the description of its contents cannot be read: {error!r}") from error


def _described(text: str, path: str) -> dict[str, Any]:
    try:
        described = json.loads(text)
        version = described["version"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise damaged(path, f"the description of its contents cannot be read: {error!r}") from error
    if version != VERSION:
        raise CheckpointError(f"{path} has version {version} of the checkpoint format, this Flambeau reads version "
                              f"{VERSION}")
    return described


# --- Packing ----------------------------------------------------------------------------------------------------------

_ODD_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class _Packer:
    """Turns an object into JSON data and named tensors."""

    def __init__(self) -> None:
        self._names: dict[Any, str] = {}
        self._tensors: dict[str, Tensor] = {}
        self._open: set[int] = set()  # the containers around the present place

    def pack(self, x: Any, place: tuple[Any, ...]) -> Any:
        """`x` as JSON data: what JSON has itself, and one-key objects for what it has not."""
        if x is None or isinstance(x, (bool, str)):
            return str(x) if isinstance(x, str) else x
        if isinstance(x, (np.bool_, np.number)):
            x = x.item()
        if isinstance(x, Tensor):
            return self._tensor(x, place)
        if isinstance(x, int):
            return int(x)
        if isinstance(x, float):
            return {"float": repr(float(x))} if not math.isfinite(x) else float(x)
        if isinstance(x, complex):
            return {"complex": [repr(x.real), repr(x.imag)]}
        if isinstance(x, (Mapping, list, tuple)):
            return self._container(x, place)
        raise TypeError("save requires tensors, numbers, strings, bools and None in dicts, lists and tuples, got "
                        f"{type(x).__module__}.{type(x).__qualname__} at {_shown(place)}")

    def _container(self, x: Any, place: tuple[Any, ...]) -> Any:
        if id(x) in self._open:
            raise TypeError(f"save requires containers that do not contain themselves, got one at {_shown(place)}")
        self._open.add(id(x))
        try:
            if isinstance(x, Mapping):
                return self._mapping(x, place)
            items = [self.pack(item, (*place, i)) for i, item in enumerate(x)]
            return {"tuple": items} if isinstance(x, tuple) else items
        finally:
            self._open.remove(id(x))

    def _mapping(self, x: Mapping[Any, Any], place: tuple[Any, ...]) -> Any:
        for key in x:
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise TypeError(f"save requires strings and numbers as keys, got {key!r:.60} at {_shown(place)}")
        values = [self.pack(item, (*place, key)) for key, item in x.items()]
        if all(type(key) is str for key in x):
            return {"dict": dict(zip(x, values, strict=True))}
        return {"items": [[self.pack(key, place), value] for key, value in zip(x, values, strict=True)]}

    def _tensor(self, x: Tensor, place: tuple[Any, ...]) -> Any:
        key = (x._storage, x._steps, x._type)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = self._new_name(place)
            self._tensors[name] = x
        about: dict[str, Any] = {"tensor": name}
        if x.dtype not in _PLAIN:
            about["dtype"] = x.dtype.name
        if x.requires_grad:
            about["requires_grad"] = True
        if x._device != "cpu":
            about["device"] = x._device
        return about

    def _new_name(self, place: tuple[Any, ...]) -> str:
        """The place with dots, made distinct."""
        plain = ".".join(map(str, place)).encode(errors="replace").decode() or "tensor"
        name, count = plain, 1
        while name in self._tensors or name == "__metadata__":
            count += 1
            name = f"{plain}#{count}"
        return name

    def arrays(self) -> dict[str, tuple[dtype, Array]]:
        """The contents of all tensors, computed together."""
        if skipping():
            return {name: (x.dtype, np.zeros(x._type.shape, x.dtype.numpy)) for name, x in self._tensors.items()}
        values = {name: x._read() for name, x in self._tensors.items()}
        materialize(values.values(), "a checkpoint was saved")
        return _host_arrays(values)


_PLAIN = frozenset(kind for kind in dtypes.ALL if kind not in (
    dtypes.complex128, dtypes.float8_e4m3fnuz, dtypes.float8_e5m2fnuz))
_BY_NAME = {kind.name: kind for kind in dtypes.ALL}


def _shown(place: tuple[Any, ...]) -> str:
    return "obj" + "".join(f"[{key!r}]" for key in place)


# --- Unpacking --------------------------------------------------------------------------------------------------------


class _Unpacker:
    """Turns JSON data and named tensors into the object."""

    def __init__(self, arrays: dict[str, tuple[dtype, Array]], map_location: Place) -> None:
        self._arrays = arrays
        self._map_location = map_location
        self._made: dict[tuple[str, bool], Tensor] = {}
        if map_location is not None and not isinstance(map_location, (str, device, Mapping)) and not callable(map_location):
            raise TypeError("load requires map_location to be a device, a dict of devices, a function or None, got "
                            f"{type(map_location).__name__}")

    def unpack(self, x: Any) -> Any:
        """The object that `x` describes."""
        if isinstance(x, list):
            return [self.unpack(item) for item in x]
        if not isinstance(x, dict):
            return x
        if "tensor" in x:
            return self.tensor(x["tensor"], x)
        ((kind, inside),) = x.items()
        if kind == "dict":
            return {key: self.unpack(item) for key, item in dict(inside).items()}
        if kind == "items":
            return {self.unpack(key): self.unpack(item) for key, item in inside}
        if kind == "tuple":
            return tuple(self.unpack(item) for item in inside)
        if kind == "float":
            return _ODD_FLOATS[inside]
        if kind == "complex":
            return complex(*map(float, inside))
        raise ValueError(f"unknown kind {kind!r}")

    def tensor(self, name: str, about: Mapping[str, Any]) -> Tensor:
        """A tensor of the file; the same object for the same tensor."""
        key = (name, bool(about.get("requires_grad")))
        made = self._made.get(key)
        if made is None:
            stored, array = self._arrays[name]
            kind = _BY_NAME[about["dtype"]] if "dtype" in about else stored
            if kind is not stored:
                array = _in_own_dtype(array, stored, kind)
            where = target(self._map_location, about.get("device", "cpu"), array.nbytes)
            made = self._made[key] = wrap(Value(Type.of(array.shape, kind), where, array))
            if key[1]:
                made.requires_grad_()
        return made

def _in_own_dtype(array: Array, stored: dtype, kind: dtype) -> Array:
    """The contents of a dtype that the file format lacks."""
    code, more = stored_form(kind)
    ndim = array.ndim - len(more)
    if code != stored_form(stored)[0] or array.shape[ndim:] != more:
        raise ValueError(f"{kind.name} cannot be stored as {stored.name} of shape {list(array.shape)}")
    contents: Array = array.reshape(-1).view(kind.numpy).reshape(array.shape[:ndim])
    return contents
