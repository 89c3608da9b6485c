"""Files made to do harm: each is refused with a clear error, runs nothing, and takes no memory that it does not have."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import flambeau
from flambeau import serialization
from flambeau.runtime.stored_tensors import KNOWN
from flambeau.runtime.torch_file import MAGIC, PROTOCOL
from flambeau.tracer.ir.errors import CheckpointError

MOST = 64 << 20  # bytes that a refusal may take
REFUSALS = (CheckpointError, pickle.UnpicklingError)
_PICKLE = pickle.UnpicklingError

P2 = b"\x80\x02"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"


def marked() -> bytes:
    """Where code would leave its mark, as text in a pickle."""
    name = os.environ["FLAMBEAU_TEST_MARK"].encode()
    return b"X" + struct.pack("<I", len(name)) + name


def archive(text: bytes, top: str = "archive", data: bytes = b"\0" * 16, entries: dict[str, bytes] | None = None,
            compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file as torch's, around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, contents in {"data.pkl": text, "byteorder": b"little", "data/0": data, "version": b"3\n",
                               **(entries or {})}.items():
            made.writestr(name if name.startswith("!") else f"{top}/{name}", contents)
    return file.getvalue()


def legacy(text: bytes, keys: Any = (), data: bytes = b"") -> bytes:
    """The older form."""
    return b"".join([*(pickle.dumps(x, 2) for x in (MAGIC, PROTOCOL, {"little_endian": True})), text,
                     pickle.dumps(list(keys), 2), data])


def number(n: int) -> bytes:
    return b"\x8a\x08" + n.to_bytes(8, "little", signed=True)


def tensor(size: bytes, stride: bytes, offset: bytes = b"K\x00") -> bytes:
    """The pickle of a tensor on four floats, of odd sizes."""
    return P2 + TENSOR + b"(" + STORAGE + offset + size + stride + b"\x89ccollections\nOrderedDict\n)RtR."


# The file, the error's type, and what it says.
HOSTILE: dict[str, tuple[Callable[[], bytes], Any, str]] = {
    "reduce": (
        lambda: archive(P2 + b"cos\nmkdir\n" + marked() + b"\x85R."),
        _PICKLE, r"os\.mkdir.*add_safe_globals\(\[mkdir\]\)"),
    "reduce in the old form": (
        lambda: legacy(P2 + b"cos\nmkdir\n" + marked() + b"\x85R."),
        _PICKLE, r"os\.mkdir.*add_safe_globals"),
    "reduce by stack_global": (
        lambda: archive(b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93" + marked() + b"\x85R."),
        _PICKLE, r"os\.mkdir"),
    "a dotted name": (
        lambda: archive(b"\x80\x04\x8c\x05torch\x8c\x08os.mkdir\x93" + marked() + b"\x85R."),
        _PICKLE, "Unsupported global"),
    "a name through ours": (
        lambda: archive(P2 + b"cflambeau.runtime.replacing\nos\n."),
        _PICKLE, "Unsupported global"),
    "build": (lambda: archive(P2 + b"ctorch\nSize\n)R}X\x01\x00\x00\x00aK\x01sb."), _PICKLE, "a state for a Size"),
    "build of a function": (
        lambda: archive(P2 + TENSOR + b"}X\x08\x00\x00\x00__code__K\x01sb."),
        _PICKLE, "state for a"),
    "inst": (lambda: archive(b"(" + marked() + b"ios\nmkdir\n."), _PICKLE, "INST"),
    "obj": (lambda: archive(b"(cos\nmkdir\n" + marked() + b"o."), _PICKLE, r"os\.mkdir"),
    "obj of what is known": (lambda: archive(b"(ctorch\nSize\n" + marked() + b"o."), _PICKLE, "OBJ"),
    "newobj": (lambda: archive(P2 + b"cos\nmkdir\n" + marked() + b"\x85\x81."), _PICKLE, r"os\.mkdir"),
    "newobj_ex": (lambda: archive(b"\x80\x04ctorch\nSize\n)}\x92."), _PICKLE, "NEWOBJ_EX"),
    "extension": (lambda: archive(P2 + b"\x82\x01)R."), _PICKLE, "EXT1"),
    "a call of data": (lambda: archive(P2 + marked() + b")R."), _PICKLE, "a call of"),
    "a call of a result": (lambda: archive(P2 + b"ctorch\nSize\n)R)R."), _PICKLE, "a call of"),
    "arguments that are none": (lambda: archive(P2 + b"ctorch\nSize\nK\x01R."), _PICKLE, "for arguments"),
    "eval": (lambda: archive(P2 + b"c__builtin__\neval\n" + marked() + b"\x85R."), _PICKLE, "__builtin__.eval"),
    "getattr": (
        lambda: archive(P2 + b"cbuiltins\ngetattr\nctorch\nSize\nX\x07\x00\x00\x00__doc__\x86R."),
        _PICKLE, "builtins.getattr"),
    "a codec": (
        lambda: archive(P2 + b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R."),
        _PICKLE, "_codecs.encode"),
    "a persistent id in text": (lambda: archive(b"P" + b"storage\n."), _PICKLE, "PERSID"),
    "a persistent id of no storage": (lambda: archive(P2 + marked() + b"Q."), _PICKLE, "persistent id"),
    "a persistent id of another module": (
        lambda: archive(P2 + b"(X\x06\x00\x00\x00modulecos\nmkdir\nNNtQ."),
        _PICKLE, r"os\.mkdir"),
    "a storage elsewhere": (lambda: archive(P2 + STORAGE.replace(b"\x01\x00\x00\x000", b"\x0d\x00\x00\x00../../version") + b"."),
                            CheckpointError, "no entry"),
    "a path upwards": (
        lambda: archive(P2 + b"N.", entries={"../../evil": b"x"}),
        CheckpointError, "an entry of the path"),
    "an absolute path": (
        lambda: archive(P2 + b"N.", top="/tmp"),
        CheckpointError, "an entry of the path|no data.pkl"),
    "a path of another system": (
        lambda: archive(P2 + b"N.", entries={"c:\\x": b"x"}),
        CheckpointError, "an entry of the path"),
    "a bomb of zeros": (lambda: archive(P2 + b"N.", data=b"\0" * (32 << 20), compression=zipfile.ZIP_DEFLATED), CheckpointError,
                        "compressed"),
    "entries one upon the other": (
        lambda: overlapping(),
        CheckpointError, "larger than the file|cut off|cannot be read"),
    "an entry larger than the file": (
        lambda: archive(P2 + b"N.").replace(struct.pack("<II", 16, 16), struct.pack("<II", *[2**31] * 2)),
        CheckpointError, "larger than the file"),
    "a program": (lambda: archive(P2 + b"N.", entries={"constants.pkl": b""}), CheckpointError, "TorchScript"),
    "another byte order": (
        lambda: archive(P2 + b"N.", entries={"byteorder": b"middle"}),
        CheckpointError, "byte order"),
    "no pickle": (lambda: archive(P2 + b"N.").replace(b"data.pkl", b"date.pkl"), CheckpointError, "no data.pkl"),
    "a huge storage": (
        lambda: archive(P2 + STORAGE.replace(b"K\x04", number(2**60)) + b"."),
        CheckpointError, "bytes where"),
    "a huge storage in the old form": (lambda: legacy(P2 + STORAGE.replace(b"K\x04", number(2**60)) + b".", "0",
                                                      struct.pack("<q", 2**60)), CheckpointError, "cut off"),
    "a negative storage": (
        lambda: archive(P2 + STORAGE.replace(b"K\x04", number(-4)) + b"."),
        REFUSALS, "tells of no storage"),
    "a huge tensor": (
        lambda: archive(tensor(number(2**40) + b"\x85", b"K\x01\x85")),
        CheckpointError, "not within its storage"),
    "sizes whose product is past 64 bits": (lambda: archive(tensor(number(2**40) + number(2**40) + b"\x86", b"K\x00K\x00\x86")),
                                            CheckpointError, "not within its storage"),
    "a negative stride": (
        lambda: archive(tensor(b"K\x02\x85", number(-1) + b"\x85", b"K\x03")),
        CheckpointError, "not within"),
    "an offset outside": (
        lambda: archive(tensor(b"K\x02\x85", b"K\x01\x85", number(2**62))),
        CheckpointError, "not within"),
    "a huge bytearray": (
        lambda: archive(P2 + b"c__builtin__\nbytearray\n" + number(2**40) + b"\x85R."),
        _PICKLE, "bytearray of a int"),
    "a huge text": (lambda: archive(b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x."), REFUSALS, "damaged"),
    "a huge number": (lambda: archive(P2 + b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x."), REFUSALS, "damaged"),
    "a huge text in the old form": (
        lambda: legacy(b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x."),
        REFUSALS, "damaged"),
    "a memo of copies": (
        lambda: archive(P2 + marked_text(b"x" * (1 << 20)) + b"q\x00c_codecs\nencode\nq\x010"
                        + b"h\x01h\x00\x85R" * 4096 + b"."),
        _PICKLE, "far more memory"),
    "a memo that is not there": (lambda: archive(P2 + b"h\x07."), REFUSALS, "damaged"),
    "keys in keys": (lambda: archive(P2 + b"})" + b"\x85" * 200_000 + b"Ns."), _PICKLE, "tuples without end"),
    "members in members": (
        lambda: archive(P2 + b"c__builtin__\nset\n](" + b")" + b"\x85" * 200_000 + b"e\x85R."),
        _PICKLE, "without end"),
    "a mark for an object": (lambda: archive(P2 + b"(."), REFUSALS, "damaged"),
    "an empty stack": (lambda: archive(P2 + b"."), REFUSALS, "damaged"),
    "no end": (lambda: archive(P2 + b"N"), REFUSALS, "damaged"),
    "no opcode": (lambda: archive(b"\xff\xff\xff"), REFUSALS, "damaged"),
    "an attribute of a tensor": (lambda: archive(P2 + TENSOR + b"0" + tensor(b"K\x04\x85", b"K\x01\x85")[2:-1]
                                                 + b"}X\x08\x00\x00\x00_storageK\x01sb."), _PICKLE, "a state for a Tensor"),
    "a place that there is not": (
        lambda: archive(P2 + STORAGE.replace(b"cpu", b"sea") + b"."),
        CheckpointError, "'sea'.*map_location"),
    "another magic number": (
        lambda: legacy(P2 + b"N.")[:14] + P2 + b"K\x01." + P2 + b"}." + P2 + b"N.",
        CheckpointError, "does not begin"),
    "a list of storages that is none": (
        lambda: legacy(P2 + b"N.", [["x"]]),
        CheckpointError, "belongs to no tensor|cannot be read"),
}


def overlapping() -> bytes:
    """An archive in which a thousand entries are one and the same megabyte."""
    made = archive(P2 + b"N.", data=b"\0" * (1 << 20))
    at = made.index(b"PK\x01\x02")
    end = made.index(b"PK\x05\x06")
    records = [b"PK\x01\x02" + part for part in made[at:end].split(b"PK\x01\x02")[1:]]
    (entry,) = [record for record in records if b"data/0" in record]
    directory = b"".join([*records, *(entry.replace(b"data/0", f"dat{i:03d}".encode()) for i in range(1000))])
    tail = bytearray(made[end:])
    struct.pack_into("<HHI", tail, 8, len(records) + 1000, len(records) + 1000, len(directory))
    return made[:at] + directory + bytes(tail)


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mark"
    monkeypatch.setenv("FLAMBEAU_TEST_MARK", str(path))
    return path


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mapped", [False, True])
def test_is_refused(name: str, mapped: bool, mark: Path, tmp_path: Path) -> None:
    make, error, text = HOSTILE[name]
    path = tmp_path / "run.pt"
    path.write_bytes(make())
    if mapped and path.read_bytes()[:2] != b"PK":
        return
    before = set(tmp_path.iterdir())
    tracemalloc.start()
    try:
        with pytest.raises(error, match=f"(?s)run.pt.*{text}"):
            flambeau.load(path, mmap=mapped)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    assert not mark.exists() and set(tmp_path.iterdir()) == before


def test_what_is_refused_would_run(mark: Path) -> None:
    """The mark can be made: Python's own pickle makes it of the same bytes."""
    text = P2 + b"cos\nmkdir\n" + marked() + b"\x85R."
    pickletools.dis(text, io.StringIO())
    with pytest.raises(pickle.UnpicklingError):
        flambeau.load(io.BytesIO(archive(text)))
    with pytest.warns(UserWarning, match="runs whatever code"):
        flambeau.load(io.BytesIO(archive(text)), weights_only=False)
    assert mark.exists()


def test_what_may_be_named_is_harmless_to_call() -> None:
    """Of all that a file may call, with whatever arguments, nothing takes much memory or time."""
    names = KNOWN
    tracemalloc.start()
    try:
        for name in names:
            module, _, last = name.rpartition(".")
            for arguments in (b")", number(2**40) + b"\x85", number(2**40) * 2 + b"\x86", b"]\x85", b"}\x85", b"N\x85", b"NN\x86",
                              marked_text(b"a") + b"\x85", number(2**40) * 3 + b"\x87"):
                text = P2 + f"c{module}\n{last}\n".encode() + arguments + b"R0N."
                with suppress(*REFUSALS):
                    assert flambeau.load(io.BytesIO(archive(text))) is None
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


def marked_text(text: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("mapped", [True, False])
def test_cut_off_at_every_percent(zipped: bool, mapped: bool, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    thing = {"w": flambeau.arange(300.0), "n": [1, "text"], "b": flambeau.ones(2, 3)}
    flambeau.save(thing, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for percent in range(100):
        path.write_bytes(whole[:len(whole) * percent // 100])
        with pytest.raises((*REFUSALS, *([RuntimeError] if mapped and not zipped else []))):
            flambeau.load(path, mmap=mapped and zipped)
    path.write_bytes(whole)
    assert flambeau.load(path)["n"] == [1, "text"]


@pytest.mark.parametrize("zipped", [True, False])
def test_flipped_bytes_are_refused_or_harmless(zipped: bool, tmp_path: Path) -> None:
    file = io.BytesIO()
    flambeau.save({"w": flambeau.arange(3.0), "n": [1, "text"]}, file, _use_new_zipfile_serialization=zipped)
    whole = file.getvalue()
    for at in range(0, len(whole), 3):
        bad = whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1:]
        with suppress(*REFUSALS):
            flambeau.load(io.BytesIO(bad))


def test_a_class_that_is_vouched_for_is_no_door(mark: Path) -> None:
    """It may be made, and other names are refused as before."""
    with serialization.safe_globals([Path]), pytest.raises(pickle.UnpicklingError, match=r"os\.mkdir"):
        flambeau.load(io.BytesIO(archive(P2 + b"cos\nmkdir\n" + marked() + b"\x85R.")))
    assert not mark.exists()
