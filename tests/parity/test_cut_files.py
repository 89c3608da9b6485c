"""Files that torch and we wrote, cut off at every hundredth: each is refused, says so, runs nothing and leaves nothing behind."""

from __future__ import annotations

import gc
import io
import os
import pickle
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import flambeau
from flambeau.tracer.ir.errors import CheckpointError

torch = pytest.importorskip("torch")

MOST = 16 << 20  # bytes that a refusal may take
CLEAR = re.compile(r"cut off|damaged|no checkpoint|no end", re.IGNORECASE)
LIBRARIES = {"torch": torch, "flambeau": flambeau}
WRITERS = [pytest.param(library, zipped, id=f"{library}-{'zip' if zipped else 'legacy'}") for library in LIBRARIES
           for zipped in (True, False)]


class Marks:
    """Leaves a mark when it is unpickled by a reader that does what a file asks for."""

    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["FLAMBEAU_TEST_MARK"],)


def training(m: Any) -> dict[str, Any]:
    """A model's state, tied weights and all, with an optimizer's."""
    net = m.nn.Sequential(m.nn.Linear(8, 16), m.nn.BatchNorm1d(16), m.nn.Linear(16, 8))
    optimizer = m.optim.AdamW(net.parameters(), lr=0.1)
    net(m.ones(4, 8)).sum().backward()
    optimizer.step()
    state = net.state_dict()
    return {"model": state, "tied": state["0.weight"], "optimizer": optimizer.state_dict(), "epoch": 3,
            "half": m.ones(5, dtype=m.bfloat16), "name": "run"}


def saved(library: str, zipped: bool, thing: Any) -> bytes:
    file = io.BytesIO()
    LIBRARIES[library].save(thing, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def lengths(whole: bytes) -> list[int]:
    """Every hundredth, and the last bytes one by one, where an archive has its directory."""
    return sorted({len(whole) * percent // 100 for percent in range(100)} | set(range(len(whole) - 25, len(whole))))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize("way, zipped", [("path", True), ("path", False), ("object", True), ("object", False), ("mapped", True)])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_checkpoint(library: str, zipped: bool, way: str, tmp_path: Path) -> None:
    whole = saved(library, zipped, training(LIBRARIES[library]))
    path = tmp_path / "run.pt"
    path.write_bytes(whole)
    assert flambeau.load(path)["epoch"] == 3
    gc.collect()
    before = descriptors()
    tracemalloc.start()
    try:
        for length in lengths(whole):
            path.write_bytes(whole[:length])
            with pytest.raises((CheckpointError, pickle.UnpicklingError)) as info:
                flambeau.load(io.BytesIO(whole[:length]) if way == "object" else path, mmap=way == "mapped" or None)
            text = str(info.value)
            assert CLEAR.search(text) and ("BytesIO" if way == "object" else "run.pt") in text, (length, text)
            assert [p.name for p in tmp_path.iterdir()] == ["run.pt"] and path.stat().st_size == length
            del info
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    gc.collect()
    assert descriptors() == before


@pytest.mark.parametrize("library, zipped", WRITERS)
def test_what_would_run_does_not(library: str, zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv("FLAMBEAU_TEST_MARK", str(mark))
    whole = saved(library, zipped, {"first": Marks(), "w": LIBRARIES[library].ones(300), "last": Marks()})
    path = tmp_path / "run.pt"
    for length in (*lengths(whole), len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises((CheckpointError, pickle.UnpicklingError), match=r"(?s)run\.pt"):
            flambeau.load(path)
        assert not mark.exists()
    with pytest.warns(UserWarning, match="runs whatever code"), pytest.raises(FileExistsError):
        flambeau.load(path, weights_only=False)  # once for the first, and the second finds it there
    assert mark.exists()


@pytest.mark.parametrize("library, zipped", WRITERS)
def test_a_part_that_is_missing_in_the_middle(library: str, zipped: bool, tmp_path: Path) -> None:
    """As after a transfer that lost a piece: refused, or, where nothing tells of it, loaded with all its shapes."""
    thing = training(LIBRARIES[library])
    whole = saved(library, zipped, thing)
    path = tmp_path / "run.pt"
    refused = 0
    for percent in range(0, 99):
        at, step = len(whole) * percent // 100, max(1, len(whole) // 100)
        path.write_bytes(whole[:at] + whole[at + step:])
        try:
            loaded = flambeau.load(path)
        except (CheckpointError, pickle.UnpicklingError) as error:
            refused += 1
            assert "run.pt" in str(error)
        else:
            assert {name: list(x.shape) for name, x in loaded["model"].items()} == {
                name: list(x.shape) for name, x in thing["model"].items()}
    assert refused > 90
