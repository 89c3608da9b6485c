"""Checkpoints: everything comes back the same, and nothing but a whole checkpoint is loaded."""

import contextlib
import io
import json
import math
import os
import pickle
import struct
import subprocess
import sys
import time
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from flambeau import optim
from flambeau.runtime import checkpoint, replacing, safetensors_file
from flambeau.runtime.checkpoint import load, save
from flambeau.tracer.functions.creation import tensor
from flambeau.tracer.ir import dtypes
from flambeau.tracer.ir.errors import CheckpointError

SHAPES = [(3, 2), (), (0, 4), (5,)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def contents(x):
    return x.detach().numpy().tobytes(), tuple(x.shape), x.dtype, x.requires_grad


def example(kind, shape):
    array = np.arange(math.prod(shape)).reshape(shape) - 2.5
    if kind.is_complex:
        return tensor(array + 1j, dtype=kind)
    return tensor(array.astype(np.int64) % 7 if not kind.is_inexact else array, dtype=kind)


def everything():
    weight = tensor([[1.5, -0.0], [math.nan, math.inf]], requires_grad=True)
    return {
        "model": OrderedDict(weight=weight, tied=weight, bias=tensor([1, 2], dtype=dtypes.int16)),
        "optimizer": {"state": {0: {"step": tensor(3.0)}, 1: {}},
                      "param_groups": [{"betas": (0.9, 0.99), "params": [0]}]},
        "odd": [math.inf, -math.inf, -0.0, 2**80, True, None, "é\ud800\n", "", 1 + 2j, (), [], {}],
        "keys": {1: "a", None: "b", 2.5: "c", "1": "e", False: "d"},
    }


def same(x, y):
    assert type(x) is type(y) or isinstance(y, OrderedDict), (x, y)
    if isinstance(y, dict):
        assert list(x) == list(y) and [type(k) for k in x] == [type(k) for k in y]
        for key in y:
            same(x[key], y[key])
    elif isinstance(y, (list, tuple)):
        assert len(x) == len(y)
        for a, b in zip(x, y, strict=True):
            same(a, b)
    elif hasattr(y, "dtype"):
        assert contents(x) == contents(y)
    else:
        assert repr(x) == repr(y)


# --- Round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", dtypes.ALL, ids=lambda kind: kind.name)
def test_every_dtype(kind, path):
    saved = {str(shape): example(kind, shape) for shape in SHAPES}
    save(saved, path)
    same(load(path), saved)


def test_nested_objects(path):
    save(everything(), path)
    same(load(path), everything())


@pytest.mark.parametrize("obj", [tensor([1.0]), 3, None, "x", [], (1, [2]), {}, np.float32(0.5), np.int64(3)], ids=str)
def test_any_root(obj, path):
    save(obj, path)
    same(load(path), obj.item() if isinstance(obj, np.generic) else obj)


def test_shared_tensors_are_saved_once_and_are_one_again(path):
    w = tensor(np.zeros((100, 100), "f"), requires_grad=True)
    view = w.detach().reshape(10, 1000)
    save({"a": w, "b": [w], "c": w.detach(), "d": w.detach(), "view": view}, path)
    assert os.path.getsize(path) < 2 * 40_000 + 2000
    loaded = load(path)
    assert loaded["a"] is loaded["b"][0] and loaded["c"] is loaded["d"] and loaded["a"] is not loaded["c"]
    assert loaded["a"].requires_grad and not loaded["c"].requires_grad and tuple(loaded["view"].shape) == (10, 1000)


def test_what_is_loaded_is_independent_of_the_file_and_of_what_was_saved(path):
    w = tensor([1.0, 2.0])
    save({"w": w}, path)
    w.add_(1)
    loaded = load(path)["w"]
    os.unlink(path)
    loaded.mul_(10)
    assert loaded.tolist() == [10.0, 20.0] and w.tolist() == [2.0, 3.0]


def test_names_that_collide(path):
    saved = {"a": {"b": tensor(1)}, "a.b": tensor(2), "__metadata__": tensor(3), "": tensor(4), "\ud800": tensor(5)}
    save(saved, path)
    same(load(path), saved)
    assert len(safetensors.numpy.load_file(path)) == 5


def test_an_optimizer_goes_on_where_it_was(path):
    def run(opt, p, steps):
        for i in range(steps):
            p.grad = tensor([0.3 * i, -1.0])
            opt.step()
        return p

    p = tensor([1.0, 2.0], requires_grad=True)
    opt = optim.AdamW([p], lr=0.1)
    run(opt, p, 3)
    save({"p": p, "opt": opt.state_dict()}, path)
    loaded = load(path)
    resumed = optim.AdamW([loaded["p"]], lr=5.0)
    resumed.load_state_dict(loaded["opt"])
    assert run(resumed, loaded["p"], 2).tolist() == run(opt, p, 2).tolist()


def test_map_location(path):
    save({"w": tensor([1.0])}, path)
    for place in ("cpu", "cpu:0", {"cuda:0": "cpu"}, None):
        assert str(load(path, map_location=place)["w"].device) == "cpu"
    with pytest.raises(RuntimeError, match="cuda"):
        load(path, map_location="cuda:7")
    with pytest.raises(TypeError, match="map_location to be a device"):
        load(path, map_location=3)


# --- Others' files ----------------------------------------------------------------------------------------------------


def test_the_library_reads_ours_and_we_read_the_librarys(path):
    arrays = {"a.weight": np.arange(6, dtype="f").reshape(2, 3), "flag": np.array([True, False]), "n": np.int64([7])}
    save({name: tensor(array) for name, array in arrays.items()}, path)
    theirs = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
    ours = load(path)
    for found in (theirs, {name: x.numpy() for name, x in ours.items()}):
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array, strict=True)


def test_short_floats_of_torch(path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    kinds = ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"]
    saved = {kind: torch.arange(4.0).to(getattr(torch, kind)) for kind in kinds}
    library.save_file(saved, path)
    loaded = load(path)
    for kind in kinds:
        assert loaded[kind].dtype is getattr(dtypes, kind)
        assert loaded[kind].numpy().astype("f").tolist() == [0.0, 1.0, 2.0, 3.0]
    save(loaded, path)
    assert all(torch.equal(x.float(), saved[name].float()) for name, x in library.load_file(path).items())


class Exploit:
    """Would leave a mark if it were unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["FLAMBEAU_TEST_MARK"],)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_refused_and_run_nothing(path, tmp_path, monkeypatch, protocol):
    mark = tmp_path / "mark"
    monkeypatch.setenv("FLAMBEAU_TEST_MARK", str(mark))
    path.write_bytes(pickle.dumps(Exploit(), protocol))
    with pytest.raises(CheckpointError, match=r"run\.safetensors is a pickle file.*save_file"):
        load(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_torchs_own_files_are_known_by_their_contents(path, zipped):
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    assert load(path)["w"].tolist() == [1, 1]


# --- Damage -----------------------------------------------------------------------------------------------------------


def test_cut_off_at_every_byte(path):
    save({"w": tensor([1.0, 2.0, 3.0]), "n": 3}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"run\.safetensors.*(cut off|no checkpoint)"):
            load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="1 bytes follow the last tensor"):
        load(path)


def test_no_flipped_bit_goes_unnoticed(path):
    saved = {"w": tensor([1.0, 2.0, 3.0]), "n": 3}
    save(saved, path)
    whole = path.read_bytes()
    marker = whole.index(b'"flambeau"')
    for position in {*range(len(whole))} - {*range(marker, marker + 10)}:  # without our mark it is others' file
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1:])
        with pytest.raises(CheckpointError, match=r"run\.safetensors"):
            load(path)
    path.write_bytes(whole)
    same(load(path), saved)


def header_file(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(("data", "message"), [
    (b"", "no checkpoint"),
    (b"hello, I am a text file", "does not begin as a safetensors file"),
    (header_file({}, length=2**60), "its header claims"),
    (header_file({}, length=5000), "cut off inside its header"),
    (header_file(b"{nonsense}"), "header cannot be read"),
    (header_file(b"{\xff\xff}"), "header cannot be read"),
    (header_file(b'{"a":' + b"[" * 200_000), "header cannot be read"),
    (header_file(b'{"w":1,"w":2}'), "a name comes twice"),
    (header_file({"w": 3}), "entry of tensor 'w' is malformed"),
    (header_file({"w": {**ENTRY, "more": 1}}, b"1234"), "entry of tensor 'w' is malformed"),
    (header_file({"w": {**ENTRY, "dtype": []}}, b"1234"), "entry of tensor 'w' is malformed"),
    (header_file({"w": {**ENTRY, "shape": [-1]}}, b"1234"), "entry of tensor 'w' is malformed"),
    (header_file({"w": {**ENTRY, "shape": [True]}}, b"1234"), "entry of tensor 'w' is malformed"),
    (header_file({"w": {**ENTRY, "shape": [2]}}, b"1234"), "cannot have 4 bytes"),
    (header_file({"w": {**ENTRY, "dtype": "F4"}}, b"1234"), "dtype F4, which is not supported"),
    (header_file({"w": {**ENTRY, "data_offsets": [4, 8]}}, b"12345678"), "a hole or an overlap at byte 0"),
    (header_file({"w": ENTRY, "v": ENTRY}, b"1234"), "a hole or an overlap"),
    (header_file({"__metadata__": {"a": 1}}), "metadata in its header is not a map"),
    (header_file({"__metadata__": {"flambeau": "["}}), "description of its contents"),
    (header_file({"__metadata__": {"flambeau": "[]"}}), "description of its contents"),
    (header_file({"__metadata__": {"flambeau": '{"version":2}'}}), "has version 2"),
    (header_file({"__metadata__": {"flambeau": '{"version":1}'}}), "do not match their checksum"),
    *[(header_file({"__metadata__": {"flambeau": json.dumps(
        {"version": 1, "crc32": zlib.crc32(json.dumps(x).encode()), "object": x})}}),
       "description of its contents") for x in (
           {"tensor": "w"}, {"unknown": 1}, {"float": "x"}, {"a": 1, "b": 2}, {"dict": 3}, {"items": [1]},
           {"tuple": 4}, {"items": [[{"dict": {}}, 1]]})],
])
def test_damaged_files(path, data, message):
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)


def test_a_missing_file(path):
    with pytest.raises(FileNotFoundError, match=r"run\.safetensors"):
        load(path)


# --- Writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("obj", "message"), [
    ({"a": [1, {2}]}, r"got builtins\.set at obj\['a'\]\[1\]"),
    ({"f": len}, r"obj\['f'\]"),
    ({(1, 2): 3}, r"strings and numbers as keys, got \(1, 2\) at obj"),
    ({"a": np.zeros(2)}, r"numpy\.ndarray at obj\['a'\]"),
])
def test_what_cannot_be_saved_is_named(path, obj, message):
    path.write_text("old")
    with pytest.raises(TypeError, match=message):
        save(obj, path)
    assert path.read_text() == "old"


def test_a_container_in_itself(path):
    loop = {"x": []}
    loop["x"].append(loop)
    with pytest.raises(TypeError, match=r"do not contain themselves, got one at obj\['x'\]\[0\]"):
        save(loop, path)


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_an_unwritable_folder(tmp_path, folder):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match=rf"could not save .*{folder}.w\.safetensors"):
        save({"w": tensor([1.0])}, tmp_path / folder / "w.safetensors")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_crash_in_the_middle_leaves_the_old_file(path, monkeypatch, error, where):
    save({"w": tensor([1.0])}, path)
    before = path.read_bytes()

    def fail(*args):
        if where == "write":
            args[0].write(b"half of it")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint if where == "write" else os, where, fail)
        expected = KeyboardInterrupt if error is KeyboardInterrupt else CheckpointError
        with pytest.raises(expected) as caught:
            save({"w": tensor([2.0])}, path)
    assert expected is KeyboardInterrupt or "No space left" in str(caught.value)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
    save({"w": tensor([2.0])}, path)
    assert load(path)["w"].tolist() == [2.0]


# --- Open files -------------------------------------------------------------------------------------------------------


class OnlyReads:
    """A file of somebody's own: no `readinto`, no descriptor, and small tensors in two pieces."""

    def __init__(self, content):
        self._file = io.BytesIO(content)
        self.seek, self.tell = self._file.seek, self._file.tell

    def read(self, size=-1):
        return self._file.read(min(size, 7) if size > 9 and size < 20 else size)


@pytest.mark.parametrize("made", [io.BytesIO, OnlyReads, "rb", "w+b"])
@pytest.mark.parametrize("before", [b"", b"something else"])
def test_an_open_file(path, made, before):
    written = io.BytesIO()
    written.write(before)
    save(everything(), written)
    path.write_bytes(written.getvalue())
    if made == "w+b":
        with open(path, made) as file:
            file.write(before)
            save(everything(), file)
            file.seek(len(before))
            same(load(file), everything())
        return
    with open(path, made) if made == "rb" else contextlib.nullcontext(made(written.getvalue())) as file:
        file.seek(len(before))
        same(load(file), everything())


def test_an_open_file_that_was_cut_off():
    whole = io.BytesIO()
    save({"w": tensor([1.0, 2.0])}, whole)
    for size in range(len(whole.getvalue())):
        with pytest.raises(CheckpointError, match="BytesIO"):
            load(io.BytesIO(whole.getvalue()[:size]))


@pytest.mark.parametrize("f", [5, None, object()])
def test_what_is_neither_a_path_nor_a_file(f):
    with pytest.raises(AttributeError, match="file-like object with a 'write' attribute"):
        save({}, f)
    with pytest.raises(AttributeError, match=r"has no attribute 'seek'\. You can only torch.load from a file that is seekable"):
        load(f)


# --- What killed processes leave --------------------------------------------------------------------------------------

DIES = """
import os, sys, time
from flambeau.runtime import checkpoint
def stop(file, *rest):
    file.write(b"half of it")
    file.flush()
    print(flush=True)
    time.sleep(600)
checkpoint.write = stop
checkpoint.save({}, sys.argv[1])
"""


def saving(path):
    """A process that is in the middle of a save."""
    child = subprocess.Popen([sys.executable, "-c", DIES, str(path)], stdout=subprocess.PIPE)
    child.stdout.readline()
    return child


def killed(child):
    child.kill()
    child.wait()
    child.stdout.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are told apart by /proc")
def test_a_save_removes_what_killed_saves_left_and_nothing_else(path):
    (path.parent / f".{path.name}.abcdef012345.tmp").write_bytes(b"somebody else's")
    others = set(os.listdir(path.parent))
    living, dead, unread = saving(path), saving(path.with_name("other.safetensors")), saving(path)
    assert len(os.listdir(path.parent)) == 3 + len(others)
    killed(dead)
    unread.kill()  # nobody has asked yet how it ended
    while "Z (" not in Path(f"/proc/{unread.pid}/status").read_text():
        time.sleep(0.01)
    save({"w": tensor([1.0])}, path)
    left = set(os.listdir(path.parent)) - others - {path.name}
    assert [f"-{living.pid}-" in name for name in left] == [True]
    killed(unread)
    killed(living)
    save({"w": tensor([2.0])}, path)
    assert set(os.listdir(path.parent)) == others | {path.name}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are told apart by /proc")
@pytest.mark.parametrize("change, removed", [
    ({}, False),  # this process
    ({"number": os.getppid(), "start": 1}, True),  # the number belongs to another process now
    ({"number": 2**22 + 1}, True),  # there is no such process
    ({"machine": "00000000", "number": 2**22 + 1}, False),  # another machine, which is not known to have ended it
    ({"boot": "00000000"}, False),  # written after our boot: a machine that only looks like this one
    ({"boot": "00000000", "mtime": 0}, True)])  # from before the boot
def test_who_is_gone(path, change, removed):
    change = dict(change)
    mtime = change.pop("mtime", None)
    file = path.parent / f".a.b\n.{replacing._Writer.here()._replace(**change)}.0123456789ab.tmp"
    file.write_bytes(b"")
    if mtime is not None:
        os.utime(file, (mtime, mtime))
    save(1, path)
    assert file.exists() != removed


def test_a_folder_that_cannot_be_listed_is_no_error(path, monkeypatch):
    def refuse(folder):
        raise PermissionError(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    save(1, path)
    assert load(path) == 1


@pytest.mark.parametrize("name", ["n" * 255, "\N{SNOWMAN}" * 85])
def test_a_long_name(path, name):
    long = path.with_name(name)
    save(1, long)
    assert load(long) == 1 and os.listdir(path.parent) == [long.name]


def test_a_link_stays_a_link_and_the_mode_is_kept(path, tmp_path):
    save(1, path)
    os.chmod(path, 0o640)
    link = tmp_path / "latest"
    link.symlink_to(path)
    save(2, link)
    assert link.is_symlink() and load(path) == 2 and path.stat().st_mode & 0o777 == 0o640


def test_codes_are_the_formats():
    assert len(set(safetensors_file.CODES.values())) == len(safetensors_file.CODES)
    assert {safetensors_file.stored_form(kind)[0] for kind in dtypes.ALL} <= set(safetensors_file.CODES.values())
