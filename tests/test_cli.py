"""The command line: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import flambeau
from flambeau.__main__ import main
from flambeau.demo.gpt import GPT
from flambeau.demo.text import load

ROOT = Path(__file__).parents[1]
FILES = ["graph.txt", "hlo.txt", "loss.svg", "model.safetensors", "stablehlo.mlir"]
TEXT = "Row, row, row your boat, gently down the stream. Merrily, merrily, life is but a dream.\n" * 40


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "song.txt"
    path.write_text(TEXT)
    return path


def run(*arguments: object, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    environment = dict(os.environ) | ({"FLAMBEAU_CACHE_DIR": str(cache)} if cache else {})
    return subprocess.run([sys.executable, "-m", "flambeau", *map(str, arguments)], cwd=ROOT, env=environment,
                          capture_output=True, text=True, timeout=300)


# --- What it does -----------------------------------------------------------------------------------------------------


def test_info_says_what_a_bug_report_needs() -> None:
    done = run("info")
    assert done.returncode == 0, done.stderr
    for word in ("python", "flambeau", "jaxlib", "numpy", "cpu", "tpu", "cache", "flags"):
        assert re.search(rf"^{word}\s+\S", done.stdout, re.MULTILINE), word
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def small_run(song: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    return run("demo", "--steps", 3, "--out", out, "--data", song, cache=out.parents[1] / "cache"), out


def test_the_demo_writes_its_files(small_run: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, out = small_run
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == FILES
    graph = (out / "graph.txt").read_text()
    assert len(graph.splitlines()) > 500
    for word in ("gpt.py", "blocks.3.attention", " = dot %"):
        assert word in graph
    assert "stablehlo.dot_general" in (out / "stablehlo.mlir").read_text()
    assert (out / "hlo.txt").read_text().startswith("HloModule")
    chart = ElementTree.parse(out / "loss.svg").getroot()
    assert chart.tag.endswith("svg")
    assert len(chart.findall("{*}polyline")) == 2


def test_the_demo_reports_losses_beside_the_yardstick(
        small_run: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    said = small_run[0].stdout
    found = re.search(r"validation loss (\d+\.\d+), bigram model (\d+\.\d+); train loss (\d+\.\d+)", said)
    assert found, said
    assert all(0 < float(number) < 6 for number in found.groups())


def test_the_demos_weights_load(small_run: tuple[subprocess.CompletedProcess[str], Path], song: Path) -> None:
    model = GPT(len(load(str(song), 64).characters))
    before = model.head.weight.detach().numpy().copy()
    model.load_state_dict(flambeau.load(small_run[1] / "model.safetensors"))
    assert (model.head.weight.detach().numpy() != before).any()


def test_one_seed_one_result(small_run: tuple[subprocess.CompletedProcess[str], Path], song: Path,
                             tmp_path: Path) -> None:
    """Bit-equal weights and curves from a cold cache, from a warm one, and from another process."""
    first, out = small_run
    results = [(without_times(first.stdout), contents(out))]
    for cache in (out.parents[1] / "cache", tmp_path / "cold"):
        again = tmp_path / cache.name / "out"
        done = run("demo", "--steps", 3, "--out", again, "--data", song, cache=cache)
        assert done.returncode == 0, done.stderr
        results.append((without_times(done.stdout), contents(again)))
    assert results[0] == results[1] == results[2]
    other = tmp_path / "other"
    assert run("demo", "--steps", 3, "--out", other, "--data", song, "--seed", 1, cache=cache).returncode == 0
    assert contents(other)["model.safetensors"] != results[0][1]["model.safetensors"]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "loss.svg", "graph.txt")}


def without_times(said: str) -> str:
    return "\n".join(line for line in said.splitlines() if not line.startswith(("trained", "wrote")))


# --- What it refuses --------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a refusal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flambeau.demo.run.train", None)  # nothing may get as far as training
        code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    assert code == 2
    assert len(said.err.splitlines()) == 1, said.err
    assert said.err.startswith("flambeau demo: ")
    assert said.out == ""
    return said.err


def test_a_missing_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    assert str(missing) in refused(capsys, "demo", "--data", missing, "--out", tmp_path / "out")


def test_a_folder_as_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = refused(capsys, "demo", "--data", tmp_path, "--out", tmp_path / "out")
    assert "--data" in said
    assert str(tmp_path) in said


def test_a_text_that_is_no_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00" * 2000)
    assert str(binary) in refused(capsys, "demo", "--data", binary, "--out", tmp_path / "out")


@pytest.mark.parametrize("content", ["", "a", "too small"])
def test_a_text_too_small(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str) -> None:
    small = tmp_path / "small.txt"
    small.write_text(content)
    assert "too small" in refused(capsys, "demo", "--data", small, "--out", tmp_path / "out")


def test_a_file_in_the_place_of_the_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    for out in (file, file / "below"):
        assert str(out) in refused(capsys, "demo", "--out", out)
    assert file.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_that_takes_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    for out in ("/proc", "/proc/flambeau"):
        assert out in refused(capsys, "demo", "--out", out)


@pytest.mark.parametrize("data", [None, "x"], ids=["missing", "too small"])
def test_a_refusal_leaves_no_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path, data: str | None) -> None:
    text, out = tmp_path / "text", tmp_path / "a" / "b"
    if data:
        text.write_text(data)
    refused(capsys, "demo", "--data", text, "--out", out)
    assert not out.parent.exists()


@pytest.mark.parametrize("arguments", [["demo", "--steps", "0"], ["demo", "--steps", "-3"], ["demo", "--steps", "many"],
                                       ["demo", "--seed", "x"], ["demo", "--unknown"], ["nothing"], []])
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    assert said.err.splitlines()[-1].startswith(("flambeau: error:", "flambeau demo: error:"))
    if "--steps" in arguments or "--seed" in arguments:
        assert arguments[1] in said.err
        assert arguments[2] in said.err


def test_a_refusal_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = run("demo", "--data", tmp_path / "missing.txt", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "missing.txt" in done.stderr
