"""What a profile measures here: named blocks, compiled functions and flushes; and nothing while there is none."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import flambeau as torch
from flambeau.autograd import measuring
from flambeau.autograd.profiler import load_nvprof, record_function
from flambeau.tracer.jit.jit import Jitted
from flambeau.tracer.jit.step import Step
from flambeau.tracer.lazy import flush


def counts(prof: torch.profiler.profile) -> dict[str, int]:
    return {event.key: event.count for event in prof.key_averages()}


def test_a_compiled_step() -> None:
    @torch.jit
    def step(x: torch.Tensor) -> torch.Tensor:
        with record_function("inside"):
            return (x * 2).sum()

    with torch.profiler.profile(record_shapes=True) as prof:
        for _ in range(3):
            with record_function("forward"):
                assert step(torch.ones(5)).item() == 10
    found = counts(prof)
    assert {k: found[k] for k in ("forward", "jit.call step", "jit.compile step", "jit.run step", "jit.trace step")} == {
        "forward": 3, "jit.call step": 3, "jit.compile step": 1, "jit.run step": 3, "jit.trace step": 1}
    assert found["inside"] >= 1  # where it is traced
    by_name = {event.name: event for event in prof.events()}
    assert by_name["jit.run step"].cpu_parent.name == "jit.call step" and by_name["jit.call step"].cpu_parent.name == "forward"
    assert by_name["jit.run step"].input_shapes == [[5]]
    for event in prof.events():
        assert 0 <= event.self_cpu_time_total <= event.cpu_time_total


def test_a_flush_tells_how_many_operations() -> None:
    with torch.profiler.profile() as prof:
        x = torch.full((300, 300), 2.0)
        y = x
        for _ in range(5):
            y = y @ x
        y.sum().item()
    flushes = [event for event in prof.events() if event.name == "lazy.flush"]
    assert len(flushes) == 1 and flushes[0].kwinputs["operations"] >= 6 and flushes[0].kwinputs["device"] == "cpu"


def test_nothing_is_wrapped_without_a_profile() -> None:
    def wrapped() -> list[bool]:
        return [hasattr(f, "__wrapped__") for f in (Jitted.__call__, Step.run, Step.__init__, flush._run, flush._compile)]

    with torch.profiler.profile():
        assert all(wrapped())
    assert not any(wrapped()) and not measuring.recording()
    with pytest.raises(ZeroDivisionError), torch.profiler.profile():
        raise ZeroDivisionError
    assert not any(wrapped())


def test_import_loads_no_profiler() -> None:
    code = """
        import sys, flambeau as torch
        assert not [name for name in sys.modules if "profiler" in name and name.startswith("flambeau")]
        with torch.autograd.profiler.record_function("a"): pass
        assert "flambeau.profiler" not in sys.modules and "jaxlib" not in sys.modules
        from flambeau.profiler import profile
        assert torch.profiler.profile is profile and "jaxlib" not in sys.modules
        """
    subprocess.run([sys.executable, "-c", "\n".join(line.strip() for line in code.splitlines())], check=True, timeout=300)


def test_other_threads_are_measured() -> None:
    def work() -> None:
        with record_function("elsewhere"):
            torch.ones(2).sum().item()

    with torch.profiler.profile() as prof:
        with record_function("here"):
            pass
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    threads = {event.name: event.thread for event in prof.events()}
    assert threads["elsewhere"] != threads["here"]


def test_one_profile_at_a_time() -> None:
    with torch.profiler.profile(), pytest.raises(RuntimeError, match="already enabled"):
        torch.autograd.profiler.profile().__enter__()
    prof = torch.autograd.profiler.profile()
    with prof, pytest.raises(RuntimeError, match="not reentrant"):
        prof.__enter__()


def test_files_of_a_profile(tmp_path: Path) -> None:
    handler = torch.profiler.tensorboard_trace_handler(str(tmp_path / "log"), "me", use_gzip=True)
    with torch.profiler.profile(with_stack=True, on_trace_ready=handler, custom_trace_id_callback=lambda: "id 1") as prof:
        prof.add_metadata("note", "mine")
        with record_function("block", "1, 2"):
            torch.ones(2).sum().item()
    [file] = (tmp_path / "log").iterdir()
    assert file.name.startswith("me.") and file.name.endswith(".pt.trace.json.gz")
    with gzip.open(file, "rt") as opened:
        trace = json.load(opened)
    assert trace["trace_id"] == "id 1" == prof.get_trace_id() and trace["note"] == "mine"
    [row] = [row for row in trace["traceEvents"] if row["name"] == "block"]
    assert row["cat"] == "user_annotation" and row["dur"] > 0 and row["args"]["args"] == "1, 2"
    prof.export_stacks(str(tmp_path / "stacks"))
    assert "test_profiler.py" in (tmp_path / "stacks").read_text()


def test_measuring_pauses() -> None:
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile() as prof:
        prof.toggle_collection_dynamic(False, cpu)
        with record_function("hidden"):
            pass
        prof.toggle_collection_dynamic(True, cpu)
        with record_function("seen"):
            pass
    assert counts(prof) == {"seen": 1}


def test_an_execution_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = torch.profiler.ExecutionTraceObserver().register_callback(str(tmp_path / "et.json"))
    with torch.profiler.profile(execution_trace_observer=observer):
        assert observer.is_running()
        with record_function("block"):
            pass
    assert [node["name"] for node in json.loads((tmp_path / "et.json").read_text())["nodes"]] == ["block"]
    observer.set_extra_resource_collection(True)
    assert observer.get_resources_dir() == str(tmp_path / "et_resources") and (tmp_path / "et_resources").is_dir()
    observer.cleanup()
    assert not observer.is_registered and not (tmp_path / "et_resources").exists()
    monkeypatch.setenv("ENABLE_PYTORCH_EXECUTION_TRACE", "1")
    made = torch.profiler.ExecutionTraceObserver.build_execution_trace_obs_from_env()
    assert made is not None and made.is_registered


def test_a_file_of_nvprof(tmp_path: Path) -> None:
    path = str(tmp_path / "nvprof.sql")
    with sqlite3.connect(path) as file:
        file.executescript("""
            CREATE TABLE StringTable (_id_, value); CREATE TABLE CUPTI_ACTIVITY_KIND_MARKER (id, name, timestamp);
            CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (_id_, cbid, start, end, correlationId);
            CREATE TABLE CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL (name, start, end, correlationId);
            INSERT INTO StringTable VALUES (1, 'dot'); INSERT INTO CUPTI_ACTIVITY_KIND_MARKER VALUES (7, 1, 10), (7, 0, 50);
            INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (3, 211, 20, 30, 9);
            INSERT INTO CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL VALUES ('k', 25, 45, 9);""")
    file.close()
    [event] = load_nvprof(path)
    assert (event.name, event.cpu_time_total, event.kernels[0].duration) == ("dot", 40, 20)
