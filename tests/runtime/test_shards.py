"""Checkpoints in several safetensors files with an index: as Hugging Face writes them, whole or not at all, never believed."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import flambeau as torch
from flambeau.runtime import shards
from flambeau.runtime.checkpoint import load, save
from flambeau.runtime.safetensors_file import CODES
from flambeau.tracer.ir.errors import CheckpointError

INDEX = "model.safetensors.index.json"


def weights(scale: float = 1.0) -> dict[str, Any]:
    """Six tensors of 40 bytes, one of them under two names."""
    made = {f"layer.{i}.weight": torch.arange(10.0) * scale + i for i in range(6)}
    return {**made, "head.weight": made["layer.0.weight"]}


def numbers(loaded: dict[str, Any]) -> dict[str, Any]:
    return {name: x.tolist() for name, x in loaded.items()}


def names_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# --- What is written --------------------------------------------------------------------------------------------------


def test_files_and_index_are_those_of_hugging_face(tmp_path: Path) -> None:
    save(weights(), tmp_path, max_shard_size=100)
    files = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert names_in(tmp_path) == [*files, INDEX]
    text = (tmp_path / INDEX).read_text()
    index = json.loads(text)
    assert text == json.dumps(index, indent=2, sort_keys=True) + "\n"
    assert index["metadata"] == {"total_size": 240, "layer.0.weight": "head.weight"}
    kept = ["layer.1.weight", "layer.2.weight", "layer.3.weight", "layer.4.weight", "layer.5.weight", "head.weight"]
    assert index["weight_map"] == {name: files[i // 2] for i, name in enumerate(kept)}
    for file in files:
        with safetensors.safe_open(tmp_path / file, "np") as opened:
            assert opened.metadata() == {"format": "pt"}
            assert set(opened.keys()) == {name for name, where in index["weight_map"].items() if where == file}


@pytest.mark.parametrize("where", ["folder", "index"])
def test_what_is_saved_comes_back_tied(where: str, tmp_path: Path) -> None:
    save(weights(), tmp_path / "deep" / "run", max_shard_size="80B")
    path = tmp_path / "deep" / "run"
    loaded = load(path if where == "folder" else path / INDEX)
    assert numbers(loaded) == numbers(weights())
    assert loaded["head.weight"] is loaded["layer.0.weight"] and loaded["layer.1.weight"] is not loaded["layer.2.weight"]


def test_one_file_needs_no_index(tmp_path: Path) -> None:
    save(weights(), tmp_path, max_shard_size="5GB")
    assert names_in(tmp_path) == ["model.safetensors"]
    loaded = load(tmp_path)
    assert numbers(loaded) == numbers(weights()) and loaded["head.weight"] is loaded["layer.0.weight"]
    assert numbers(load(tmp_path / "model.safetensors")) == numbers(weights())


def test_a_path_gives_the_name(tmp_path: Path) -> None:
    save(weights(), tmp_path / "unet.safetensors", max_shard_size=130)
    assert names_in(tmp_path) == ["unet-00001-of-00002.safetensors", "unet-00002-of-00002.safetensors",
                                  "unet.safetensors.index.json"]
    assert numbers(load(tmp_path)) == numbers(weights())


def test_a_module_and_every_dtype(tmp_path: Path) -> None:
    saved = {kind.name: torch.ones(3, 2).to(kind) for kind in CODES}
    saved["empty"], saved["number"] = torch.zeros(0, 2), torch.tensor(3)
    save(saved, tmp_path / "kinds", max_shard_size=20)
    for name, x in load(tmp_path / "kinds").items():
        assert x.dtype is saved[name].dtype and x.shape == saved[name].shape and torch.equal(x, saved[name])
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 3))
    save(net.state_dict(), tmp_path / "net", max_shard_size=60)
    again = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 3))
    again.load_state_dict(load(tmp_path / "net"))
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), again.parameters(), strict=True))


def test_a_tensor_and_parts_of_it_are_written_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    save({"whole": whole, "part": whole[2:], "turned": whole.reshape(2, 3).T}, tmp_path, max_shard_size=24)
    assert numbers(load(tmp_path)) == {"whole": [0, 1, 2, 3, 4, 5], "part": [2, 3, 4, 5], "turned": [[0, 3], [1, 4], [2, 5]]}


SPLITS = [([4, 4, 4], 8, [[0, 1], [2]]), ([9, 4, 4], 8, [[0], [1, 2]]), ([4, 9, 4], 8, [[1], [0, 2]]), ([], 8, [[]]),
          ([4, 5, 4], 8, [[0], [1], [2]]), ([0, 8, 0], 8, [[0, 1, 2]])]


@pytest.mark.parametrize("sizes, most, expected", SPLITS)
def test_how_tensors_are_split(sizes: list[int], most: int, expected: list[list[int]]) -> None:
    found = shards.split({str(i): size for i, size in enumerate(sizes)}, most)
    assert found == [[str(i) for i in group] for group in expected]


def test_sizes_as_text() -> None:
    assert [shards.bytes_in(x) for x in (7, "7", "5GB", "1.5 kB", "2MiB", "1tib")] == [7, 7, 5 * 10**9, 1500, 2**21, 2**40]
    for wrong in (0, -1, "", "GB", "5 G", "0.1B", "x", 2.5e300, True, None, float("nan")):
        with pytest.raises(ValueError, match="max_shard_size requires a positive number of bytes"):
            shards.bytes_in(wrong)  # type: ignore[arg-type]


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    bad: list[tuple[Any, type[Exception], str]] = [
        (torch.ones(2), TypeError, "a dict of tensors, such as a state_dict, got Tensor"),
        ({"a": {"b": torch.ones(1)}}, TypeError, "got 'a': builtins.dict"), ({3: torch.ones(1)}, TypeError, "got 3"),
        ({"__metadata__": torch.ones(1)}, TypeError, "__metadata__"),
        ({"z": torch.ones(1, dtype=torch.complex128)}, TypeError, "dtypes that safetensors has, got 'z'")]
    for obj, error, text in bad:
        with pytest.raises(error, match=text):
            save(obj, tmp_path / "run", max_shard_size=8)
    for path in (tmp_path / "run.pt", io.BytesIO()):
        with pytest.raises(ValueError, match=r"a folder, or a path that ends in \.safetensors"):
            save(weights(), path, max_shard_size=8)
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="could not save"):
        save(weights(), tmp_path / "file", max_shard_size=8)
    assert names_in(tmp_path) == ["file"]


# --- In place of what was there ---------------------------------------------------------------------------------------

KEPT = {"sharded": 100, "sharded otherwise": 200, "one file": 10_000}


@pytest.mark.parametrize("new", KEPT)
@pytest.mark.parametrize("old", KEPT)
def test_a_set_is_replaced_whole_or_not_at_all(old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after each change of the folder what is there is the old set or the new one, and no mixture."""
    seen: list[dict[str, Any]] = []
    before, after = numbers(weights()), numbers(weights(3.0))

    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            seen.append(numbers(load(tmp_path)))
            result = change(*args, **kwargs)
            seen.append(numbers(load(tmp_path)))
            return result
        return run

    save(weights(), tmp_path, max_shard_size=KEPT[old])
    for name in ("replace", "link", "unlink"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    save(weights(3.0), tmp_path, max_shard_size=KEPT[new])
    monkeypatch.undo()
    assert len(seen) > 1 and seen == [before] * seen.count(before) + [after] * seen.count(after) and after in seen
    fresh = tmp_path / "fresh"
    save(weights(3.0), fresh, max_shard_size=KEPT[new])
    assert names_in(tmp_path) == sorted([*names_in(fresh), "fresh"])
    for file in fresh.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


@pytest.mark.parametrize("old, new, linked", [*((old, new, True) for old in KEPT for new in KEPT), ("sharded", "sharded", False)])
def test_a_failure_at_any_moment_leaves_a_whole_set(old: str, new: str, linked: bool, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # which takes most of the time
    ends = set()
    for moment in range(200):
        folder = tmp_path / str(moment)
        save(weights(), folder, max_shard_size=KEPT[old])
        left = [moment]

        def failing(change: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                left[0] -= 1
                if left[0] == -1:
                    raise OSError(28, "No space left on device")
                return change(*args, **kwargs)
            return run

        with monkeypatch.context() as patch:
            for name in ("replace", "fsync", "open"):
                patch.setattr(os, name, failing(getattr(os, name)))
            if not linked:
                patch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
            try:
                save(weights(3.0), folder, max_shard_size=KEPT[new])
            except CheckpointError as error:
                assert "No space left" in str(error)
        found = numbers(load(folder))
        assert found in (numbers(weights()), numbers(weights(3.0)))
        assert not [name for name in names_in(folder) if name.endswith(".tmp")]
        save(weights(3.0), folder, max_shard_size=KEPT[new])
        assert numbers(load(folder)) == numbers(weights(3.0)) and len(names_in(folder)) <= 4
        ends.add(found == numbers(weights()))
        if left[0] >= 0:
            break
    assert ends == {True, False} and left[0] >= 0


def test_an_interrupt_leaves_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(weights(), tmp_path, max_shard_size=100)
    names = names_in(tmp_path)
    wrote = shards.write
    calls: list[int] = []

    def write(file: Any, arrays: Any, metadata: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        wrote(file, arrays, metadata)

    monkeypatch.setattr(shards, "write", write)
    with pytest.raises(KeyboardInterrupt):
        save(weights(3.0), tmp_path, max_shard_size=100)
    assert names_in(tmp_path) == names and numbers(load(tmp_path)) == numbers(weights())


def test_other_files_stay(tmp_path: Path) -> None:
    others = ["model-00001-of-00002.safetensors.bak", "model2-00001-of-00002.safetensors", "config.json"]
    for name in others:
        (tmp_path / name).write_text("")
    for most in (100, 200, 10_000):
        save(weights(), tmp_path, max_shard_size=most)
        assert set(others) < set(names_in(tmp_path))


# --- What is not believed ---------------------------------------------------------------------------------------------


def _edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads((folder / INDEX).read_text())
    change(index)
    (folder / INDEX).write_text(json.dumps(index))


def _said(name: str, file: Any) -> Callable[[Path], None]:
    return lambda folder: _edit(folder, lambda index: index["weight_map"].update({name: file}))


def _total(size: Any) -> Callable[[Path], None]:
    return lambda folder: _edit(folder, lambda index: index["metadata"].update(total_size=size))


def _text(text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / INDEX).write_text(text)


def _twice(folder: Path) -> None:
    first = folder / "model-00001-of-00003.safetensors"
    arrays = safetensors.numpy.load_file(first)
    safetensors.numpy.save_file({**arrays, "layer.5.weight": np.zeros(10, "f")}, first)


def _another(folder: Path) -> None:
    first = folder / "model-00001-of-00003.safetensors"
    safetensors.numpy.save_file({**safetensors.numpy.load_file(first), "spy": np.zeros(1, "f")}, first)


def _pipe(folder: Path) -> None:
    (folder / "model-00001-of-00003.safetensors").unlink()
    os.mkfifo(folder / "model-00001-of-00003.safetensors")


W = "layer.1.weight"
HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a path upwards": (_said(W, "../secret.safetensors"), "no name of a .safetensors file"),
    "a path upwards in the middle": (_said(W, "a/../../secret.safetensors"), "no name of a .safetensors file"),
    "an absolute path": (_said(W, "/etc/secret.safetensors"), "no name of a .safetensors file"),
    "a path of another system": (_said(W, "..\\secret.safetensors"), "no name of a .safetensors file"),
    "a drive": (_said(W, "c:secret.safetensors"), "no name of a .safetensors file"),
    "a folder below": (_said(W, "sub/secret.safetensors"), "no name of a .safetensors file"),
    "a zero": (_said(W, "a\0.safetensors"), "no name of a .safetensors file"),
    "another ending": (_said(W, "passwd"), "no name of a .safetensors file"),
    "an ending alone": (_said(W, ".safetensors"), "no name of a .safetensors file"),
    "no name": (_said(W, ["model-00001-of-00003.safetensors"]), "no name of a .safetensors file"),
    "a number for a name": (_said(W, 3), "no name of a .safetensors file"),
    "a file that is not there": (_said(W, "model-00009-of-00003.safetensors"), "1 file.s. that are not beside it: model-00009"),
    "a file that is gone": (lambda f: (f / "model-00002-of-00003.safetensors").unlink(), "model-00002-of-00003"),
    "a folder for a file": (lambda f: ((f / "model-00002-of-00003.safetensors").unlink(),
                                       (f / "model-00002-of-00003.safetensors").mkdir()), "not beside it"),
    "a pipe for a file": (_pipe, "not beside it"),
    "a tensor that is not there": (_said("ghost", "model-00001-of-00003.safetensors"), "lacks 1 tensor.*ghost"),
    "a tensor in the wrong file": (_said(W, "model-00003-of-00003.safetensors"), "lacks 1 tensor|is said to be in"),
    "a tensor in two files": (_twice, "'layer.5.weight' that is said to be in model-00003"),
    "a tensor that nobody tells of": (_another, "'spy' that is in no file by the index"),
    "a total too large": (_total(10**18), "its total_size is 1000000000000000000"),
    "a total too small": (_total(239), "its total_size is 239, and its files hold 240"),
    "a negative total": (_total(-240), "its total_size is -240"),
    "a total in text": (_total("240"), "its total_size is '240'"),
    "a total that is none": (_total(True), "its total_size is True"),
    "a name twice": (_text('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}'), "'a' comes twice"),
    "two maps": (_text('{"weight_map": {}, "weight_map": {"a": "y.safetensors"}}'), "'weight_map' comes twice"),
    "no map": (_text('{"metadata": {}}'), "no index of safetensors files"),
    "a list for a map": (_text('{"weight_map": []}'), "to be objects"),
    "a list for metadata": (_text('{"weight_map": {}, "metadata": [1]}'), "to be objects"),
    "a list": (_text("[]"), "no index of safetensors files"),
    "no JSON": (_text("PK"), "no index of safetensors files"),
    "nothing": (_text(""), "no index of safetensors files"),
    "depth without end": (_text("[" * 200_000), "no index of safetensors files"),
    "a file of another kind": (lambda f: (f / "model-00001-of-00003.safetensors").write_bytes(b"\x80\x04N."), "is a pickle file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_index_is_refused(name: str, tmp_path: Path) -> None:
    save({"x": torch.ones(1)}, tmp_path / "secret.safetensors", max_shard_size=100)
    folder = tmp_path / "run"
    save(weights(), folder, max_shard_size=100)
    harm, text = HOSTILE[name]
    harm(folder)
    before = names_in(folder)
    for path in (folder, folder / INDEX):
        with pytest.raises(CheckpointError, match=f"(?s)run.*{text}"):
            load(path)
    assert names_in(folder) == before and names_in(tmp_path) == ["run", "secret.safetensors"]


def test_cut_off_at_every_percent(tmp_path: Path) -> None:
    """Each of the files, and the index."""
    save(weights(), tmp_path, max_shard_size=100)
    for name in names_in(tmp_path):
        path = tmp_path / name
        whole = path.read_bytes()
        for percent in range(100):
            path.write_bytes(whole[:len(whole) * percent // 100])
            with pytest.raises(CheckpointError, match=r"model"):
                load(tmp_path)
        path.write_bytes(whole)
    assert numbers(load(tmp_path)) == numbers(weights())


def test_a_size_that_is_not_told_and_links_are_fine(tmp_path: Path) -> None:
    """As in the cache of Hugging Face, where names are links to what is elsewhere."""
    save(weights(), tmp_path / "blobs", max_shard_size=100)
    _edit(tmp_path / "blobs", lambda index: index.pop("metadata"))
    (tmp_path / "snapshot").mkdir()
    for name in names_in(tmp_path / "blobs"):
        (tmp_path / "snapshot" / name).symlink_to(tmp_path / "blobs" / name)
    loaded = load(tmp_path / "snapshot", map_location="cpu")
    assert sorted(loaded) == sorted(name for name in weights() if name != "layer.0.weight")


def test_which_checkpoint_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no checkpoint: load requires model\.safetensors"):
        load(tmp_path)
    save({"a": torch.ones(1)}, tmp_path / "first.safetensors")
    assert numbers(load(tmp_path)) == {"a": [1]}
    save({"a": torch.zeros(1)}, tmp_path / "second.safetensors")
    with pytest.raises(CheckpointError, match=r"several checkpoints: first\.safetensors, second\.safetensors"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / INDEX)


def test_tied_names_of_the_library(tmp_path: Path) -> None:
    oracle = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    net = oracle.nn.ModuleDict({"a": oracle.nn.Linear(2, 2), "b": oracle.nn.Linear(2, 2)})
    net["b"].weight = net["a"].weight
    library.save_model(net, tmp_path / "net.safetensors")
    loaded = load(tmp_path / "net.safetensors")
    assert loaded["b.weight"] is loaded["a.weight"] and len(loaded) == 4
    assert loaded["a.weight"].tolist() == net["a"].weight.tolist()
    sharded = load_with_library(library, {name: torch.tensor(x.tolist()) for name, x in net.state_dict().items()}, tmp_path)
    assert {name: x.tolist() for name, x in sharded.items()} == {name: x.tolist() for name, x in net.state_dict().items()}


def load_with_library(library: Any, state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the library reads from our files, one by one, by the index."""
    save(state, folder / "sharded", max_shard_size=16)
    index = json.loads((folder / "sharded" / INDEX).read_text())
    found: dict[str, Any] = {}
    for file in sorted(set(index["weight_map"].values())):
        found.update(library.load_file(folder / "sharded" / file))
    return found
