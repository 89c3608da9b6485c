"""The profiler's names against torch's: schedules, tables of the same events, errors, and members."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
import flambeau.autograd.profiler_util  # noqa: E402
import flambeau.profiler.itt  # noqa: E402

importlib.import_module("torch.profiler.itt")
BOTH = (torch, flambeau)


def said(call: Callable[[Any], Any], library: Any) -> Any:
    """What a call gives, as data that can be compared: a result, or an error's class and text."""
    try:
        found = call(library)
    except Exception as error:
        return type(error).__name__, str(error)
    return found if isinstance(found, (bool, int, float, str, list, tuple, dict, set, type(None))) else str(found)


def events(library: Any, shapes: bool = False, stacks: bool = False, device: str | None = None) -> Any:
    """The same events in either library: two threads, three levels, one of them asynchronous."""
    util = library.autograd.profiler_util
    rows = [("step", 1, 0.0, 5000.0), ("forward", 1, 100.0, 2100.0), ("dot", 1, 200.0, 300.5), ("dot", 1, 400.0, 1400.0),
            ("backward", 1, 2200.0, 4000.0), ("load " + "x" * 60, 2, 50.0, 2_000_050.0), ("late", 2, 10.0, 60.0)]
    made = util.EventList(profile_memory=shapes, use_device=device)
    for i, (name, thread, start, end) in enumerate(rows):
        made.append(util.FunctionEvent(
            i, name, thread, start, end, overload_name="" if i else "Tensor", trace_name=name, flops=i * 5000,
            input_shapes=[[i, 2]] if shapes else [], stack=[f"a.py({i}): f", "b.py(2): g; h"] if stacks else [],
            is_async=name == "late", cpu_memory_usage=3000 * i, is_user_annotation=i < 2, use_device=device,
            is_legacy=device is not None and i > 0))
    made._build_tree()
    if device:
        made[2].append_kernel("k", 0, 70.0)
    return made


TABLES: list[Callable[[Any], Any]] = [
    lambda e: e.table(),
    lambda e: e.table(sort_by="cpu_time_total", row_limit=3),
    lambda e: e.table(time_unit="ms"),
    lambda e: e.table(sort_by="count", header="A header", top_level_events_only=True),
    lambda e: str(e),
    lambda e: e.table(max_name_column_width=20, max_shapes_column_width=6, max_src_column_width=9),
    lambda e: e.table(max_name_column_width=None, row_limit=-1),
    lambda e: e.table(sort_by="self_cuda_time_total"),
    lambda e: e.key_averages().table(sort_by="self_cpu_time_total"),
    lambda e: str(e.key_averages()[2]),
    lambda e: e.key_averages(group_by_input_shapes=True, group_by_stack_n=1).table(),
    lambda e: e.self_cpu_time_total,
    lambda e: e.key_averages(group_by_overload_name=True).table(),
    lambda e: str(e.total_average()),
    lambda e: e.total_average().cpu_time_total_str,
    lambda e: e.supported_export_stacks_metrics(),
    lambda e: [str(x) for x in e],
    lambda e: [x.self_cpu_memory_usage for x in e],
    lambda e: [x.cpu_time_str for x in e],
    lambda e: [x.self_device_time_total for x in e],
    lambda e: [x.device_time_total for x in e],
    lambda e: e[0].key,
    lambda e: [x.cuda_time_total for x in e],
    lambda e: [x.self_cuda_memory_usage + x.self_cuda_time_total for x in e],
    lambda e: [x.self_device_memory_usage for x in e],
    lambda e: e[0].metadata_json,
    lambda e: e[1].cpu_parent.name,
    lambda e: [c.name for c in e[1].cpu_children],
    lambda e: e.table(sort_by="nothing"),
    lambda e: e[0].append_cpu_child(3),
    lambda e: e[0].set_cpu_parent(3),
    lambda e: type(e)().table(),
    lambda e: type(e)().key_averages(),
    lambda e: e.export_stacks("x", "y"),
]


@pytest.mark.parametrize("kind", [{}, {"shapes": True}, {"stacks": True}, {"device": "cuda"}], ids=str)
@pytest.mark.parametrize("case", range(len(TABLES)))
def test_tables_of_the_same_events(case: int, kind: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs, ours = (said(lambda library: TABLES[case](events(library, **kind)), library) for library in BOTH)
    assert ours == theirs


def test_files_of_the_same_events(tmp_path: Path) -> None:
    found = []
    for library in BOTH:
        made = events(library, stacks=True)
        made.export_chrome_trace(str(tmp_path / "trace.json"))
        made.export_stacks(str(tmp_path / "stacks"), "self_cpu_time_total")
        found.append((json.loads((tmp_path / "trace.json").read_text()), (tmp_path / "stacks").read_text()))
    assert found[0] == found[1] and len(found[0][0]) == 7


SCHEDULES = [{"wait": 1, "warmup": 1, "active": 2}, {"wait": 0, "warmup": 1, "active": 1, "repeat": 2},
             {"wait": 2, "warmup": 1, "active": 3, "repeat": 1, "skip_first": 3}, {"wait": -1, "warmup": 0, "active": 0},
             {"wait": 3, "warmup": 1, "active": 2, "repeat": 2, "skip_first": 2, "skip_first_wait": 1}]


@pytest.mark.parametrize("numbers", SCHEDULES, ids=str)
def test_schedules(numbers: dict[str, int]) -> None:
    theirs, ours = (said(lambda t: [t.profiler.schedule(**numbers)(i).name for i in range(30)], library) for library in BOTH)
    assert ours == theirs


def steps(library: Any) -> list[list[Any]]:
    """For each schedule: when traces are ready, and which blocks are in them."""
    found = []
    for numbers in SCHEDULES[:3]:
        told: list[Any] = []

        def ready(prof: Any, told: list[Any] = told) -> None:
            names = [e.trace_name for e in prof.events() if e.is_user_annotation]
            told.append([prof.step_num, [name for name in names if name.startswith(("Profiler", "mine"))]])

        activities = [library.profiler.ProfilerActivity.CPU]
        with library.profiler.profile(activities=activities, schedule=library.profiler.schedule(**numbers),
                                      on_trace_ready=ready) as prof:
            for step in range(9):
                with library.profiler.record_function(f"mine {step}"):
                    library.ones(2) + 1
                prof.step()
        found.append(told)
    return found


def test_steps_of_a_profile() -> None:
    """torch's in a process of its own: its profiler does not bear other libraries with threads."""
    code = "import json, torch; from tests.parity.test_profiler import steps; print('FOUND', json.dumps(steps(torch)))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=Path(__file__).parents[2], capture_output=True,
                          text=True, check=True)
    theirs = json.loads(done.stdout.partition("FOUND")[2].splitlines()[0])
    assert steps(flambeau) == theirs and all(theirs)


CALLS: list[Callable[[Any], Any]] = [
    lambda t: [f"{a}: {a.value} {a.name} {int(a)} {a!r}" for a in sorted(t.profiler.DeviceType.__members__.values(), key=int)],
    lambda t: [f"{a}: {a.value} {a.name} {int(a)} {a!r}" for a in t.profiler.ProfilerActivity.__members__.values()],
    lambda t: [repr(a) for a in t.profiler.ProfilerAction],
    lambda t: t.profiler.kineto_available(),
    lambda t: [str(a) for a in t.profiler.supported_activities()],
    lambda t: t.profiler.itt.mark("a"),
    lambda t: t.profiler.itt.range_push("a"),
    lambda t: t.profiler.itt.range_pop(),
    lambda t: t.profiler.profile().key_averages(),
    lambda t: t.profiler.itt.range("a {}", 1).__enter__(),
    lambda t: t.profiler.profile().events(),
    lambda t: t.profiler.profile(activities=[]),
    lambda t: t.profiler.profile().export_chrome_trace("x"),
    lambda t: t.profiler.profile().export_stacks("x"),
    lambda t: t.profiler.profile().get_trace_id(),
    lambda t: t.profiler.schedule(wait=0, warmup=1, active=1)(-1),
    lambda t: str(t.autograd.profiler.profile()),
    lambda t: t.autograd.profiler.profile().key_averages(),
    lambda t: len(t.autograd.profiler.profile().default_trace_id()),
    lambda t: t.autograd.profiler.profile(custom_trace_id_callback=lambda: "me").create_trace_id(),
    lambda t: t.autograd.profiler.profile(enabled=False).__enter__(),
    lambda t: t.autograd.profiler.emit_nvtx(enabled=False).__enter__(),
    lambda t: t.autograd.profiler.EnforceUnique().see(1),
    lambda t: [u.see(1) for u in [t.autograd.profiler.EnforceUnique()] * 2],
    lambda t: t.autograd.profiler.KinetoStepTracker.erase_step_count("nobody"),
    lambda t: type(t.autograd.profiler.emit_itt().__enter__()).__name__,
    lambda t: t.autograd.profiler.load_nvprof(":memory:"),
    lambda t: t.autograd.profiler.parse_nvprof_trace(":memory:"),
    lambda t: list(t.autograd.profiler.MemRecordsAcc([]).in_interval(0, 1)),
    lambda t: t.profiler.ExecutionTraceObserver().get_output_file_path(),
    lambda t: t.profiler.ExecutionTraceObserver().is_registered,
    lambda t: t.profiler.ExecutionTraceObserver().is_running(),
    lambda t: t.profiler.ExecutionTraceObserver().get_resources_dir(),
    lambda t: t.profiler.ExecutionTraceObserver.build_execution_trace_obs_from_env(),
    lambda t: t.profiler.ExecutionTraceObserver.get_resources_dir_for_et_path("/nowhere/x.json"),
]


@pytest.mark.parametrize("case", range(len(CALLS)))
def test_calls(case: int) -> None:
    if case in (8, 10):  # their lists are empty: no profile
        assert said(CALLS[case], flambeau) == said(CALLS[case], torch)
    theirs, ours = said(CALLS[case], torch), said(CALLS[case], flambeau)
    assert ours == theirs or "object at 0x" in str(theirs)


def test_counting_steps() -> None:
    found = []
    for library in BOTH:
        tracker, seen = library.autograd.profiler.KinetoStepTracker, []
        start = tracker.current_step()
        tracker.init_step_count("a")
        tracker.init_step_count("b")
        for who in "aabba":
            seen.append(tracker.increment_step(who) - start)
        found.append((seen, tracker.erase_step_count("a"), tracker.erase_step_count("b"), tracker.erase_step_count("b")))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["autograd.profiler.profile", "autograd.profiler.record_function", "autograd.profiler.emit_nvtx",
                                  "autograd.profiler.emit_itt", "autograd.profiler.FunctionEvent", "autograd.profiler.EventList",
                                  "profiler.profile", "profiler.schedule", "profiler.tensorboard_trace_handler",
                                  "profiler.ExecutionTraceObserver", "autograd.profiler.MemRecordsAcc"])
def test_members_and_their_arguments(name: str) -> None:
    theirs, ours = torch, flambeau
    for part in name.split("."):
        theirs, ours = getattr(theirs, part), getattr(ours, part)
    if name != "autograd.profiler.EventList":
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    for member, value in vars(theirs).items() if isinstance(theirs, type) else ():
        if not member.startswith("_") and callable(value):
            found = getattr(ours, member)
            wanted = inspect.signature(getattr(theirs, member)).parameters
            assert list(inspect.signature(found).parameters) == list(wanted), member
