"""The benchmarks run, and what they time computes the same numbers everywhere. Nothing here looks at a time."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = str(Path(__file__).resolve().parent.parent)
if importlib.util.find_spec("benchmarks") is None:  # a folder of the repository, not of the installed package
    sys.path.append(ROOT)

import flambeau  # noqa: E402
import flambeau as torch  # noqa: E402
from benchmarks import __main__ as command  # noqa: E402
from benchmarks import calling, foreign, recording, starting, stepping, table, timing, tracing  # noqa: E402
from benchmarks.work import TINY, GptSize, Settings, gpt_model, peer, weights_of  # noqa: E402
from flambeau.runtime.engine import Counts  # noqa: E402
from flambeau.tracer.ir.recorder import thread_recorder  # noqa: E402


@pytest.fixture
def jax_peers() -> Iterator[ModuleType]:
    yield pytest.importorskip("jax")


@pytest.fixture
def few_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyTorch, whose import takes seconds in each process; its step is covered by the losses below."""
    monkeypatch.setattr(starting, "peers", lambda settings: ["jax"])


def rows_of(name: str) -> list[timing.Row]:
    rows = list(command.BENCHMARKS[name](TINY))
    for row in rows:
        assert row.benchmark and row.work and row.unit in table.UNITS
        assert all(len(s) == 1 and s[0] > 0 for s in row.samples.values()), row
        assert not row.remarks, row.remarks  # nobody was left out for other losses
    return rows


@pytest.mark.parametrize("name, count, peers", [
    ("import", 1, {"jax"}), ("record", 7, {"python loop"}), ("key", 2, {"python loop"}), ("call", 1, {"jax"}),
    ("foreign", 1, {"plain"}), ("clear", 3, {"last"}),
    ("share", 2, {"plain"}),
    ("trace", 2, {"jax"}), ("start", 2, {"jax"}), ("step", 2, {"jax"}), ("check", 2, {"without checks"})])
def test_every_benchmark_measures_itself_and_its_peers(name: str, count: int, peers: set[str],
                                                       few_processes: None) -> None:
    rows = rows_of(name)
    assert len(rows) == count
    torch_there = importlib.util.find_spec("torch") is not None and name in ("import", "step")
    for row in rows:
        assert set(row.samples) == {timing.OURS} | peers | ({"torch"} if torch_there else set())


def test_all_names_are_measured_above() -> None:
    assert set(command.BENCHMARKS) == {"import", "record", "key", "call", "foreign", "share", "trace", "start", "step", "check",
                                       "clear"}


# --- The same numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainers", [stepping.mlp_trainers, stepping.gpt_trainers])
def test_losses_agree(trainers: object) -> None:
    made = trainers(TINY)  # type: ignore[operator]
    size = TINY.mlp if trainers is stepping.mlp_trainers else TINY.gpt
    losses = stepping.first_losses(made, size.batches(5, seed=3))
    assert len(losses) > 1
    ours = losses.pop(timing.OURS)
    assert len(set(ours)) == 5
    for name, found in losses.items():
        np.testing.assert_allclose(found, ours, rtol=2e-4, err_msg=name)


def test_both_models_of_the_foreign_row_are_one() -> None:
    models, x = (foreign.Foreign(), foreign.Plain()), torch.rand(2, 4, foreign.WIDTH)
    with torch.no_grad():
        for p, q in zip(*(m.parameters() for m in models), strict=True):
            q.copy_(p)
    np.testing.assert_allclose(*(m(x).detach().numpy() for m in models), rtol=1e-5, atol=1e-6)


def test_a_peer_with_other_losses_is_named_and_not_timed() -> None:
    trainers = {timing.OURS: lambda x, y: 1.0, "same": lambda x, y: 1.0, "wrong": lambda x, y: 1.1}
    row = stepping._row("work", TINY.mlp, trainers, TINY)
    assert set(row.samples) == {timing.OURS, "same"}
    assert len(row.remarks) == 1 and "wrong is not timed" in row.remarks[0]


def test_updates_agree(jax_peers: ModuleType) -> None:
    ours, wait_for_ours = calling.flambeau_update(5, 3)
    theirs, wait_for_theirs = peer("jax_update").jax_update(5, 3)
    for _ in range(4):
        ours()
        theirs()
    found, wanted = wait_for_ours(), wait_for_theirs()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(found[1], 4 - 4 * 0.1 * 1e-3, rtol=1e-6)


def test_dropout_of_the_jax_peer(jax_peers: ModuleType) -> None:
    x = jax_peers.numpy.ones(20_000)
    dropped = np.array(peer("jax_gpt").dropout(x, 0.25, jax_peers.random.key(0)))
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert abs(dropped.mean() - 1) < 0.02


def test_the_jax_peer_draws_the_same_model(jax_peers: ModuleType) -> None:
    size = GptSize(vocabulary=50, window=20, layers=2, heads=2, width=32)
    jax_gpt = peer("jax_gpt")
    ours, theirs = jax_gpt.from_torch(weights_of(gpt_model(flambeau, size, 0.0))), jax_gpt.initial(size)
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    for name in ours:
        np.testing.assert_allclose(ours[name].std(), theirs[name].std(), rtol=0.15, err_msg=name)
        np.testing.assert_allclose(ours[name].mean(), theirs[name].mean(), atol=4e-3, err_msg=name)


# --- What is measured is what is said -------------------------------------------------------------------------------------


def test_recording_leaves_nothing_pending_and_does_record() -> None:
    for name, operation in recording.operations().items():
        recording.clear_pending()
        operation()
        assert len(thread_recorder().nodes) == {"x * 2.0": 2, "x.view(64)": 0}.get(name, 1), name
        recording.time_recording(operation, TINY)
        assert thread_recorder().nodes == []


def test_tracing_prints_the_whole_step_and_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def counted(work: Callable[[], object]) -> float:
        before = Counts.compiles + Counts.disk_hits
        work()
        compiled.append(Counts.compiles + Counts.disk_hits - before)
        return 1.0

    monkeypatch.setattr(tracing, "timed", counted)
    cold, warm = tracing.trace_and_print(TINY, True), tracing.trace_and_print(TINY, False)
    assert cold == warm
    assert compiled == [0, 0]
    for part in ("tf.aliasing_output", "stablehlo.dot_general", "stablehlo.sqrt"):
        assert part in warm[1], part


def test_a_process_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="requires exit code 0"):
        starting.first_step("no such contender", TINY.gpt, tmp_path)


# --- Timing and table -----------------------------------------------------------------------------------------------------


def test_rounds_are_interleaved_and_start_with_another_each_time() -> None:
    order: list[str] = []

    def contender(name: str, seconds: float) -> timing.Contender:
        def run() -> float:
            order.append(name)
            return seconds
        return run

    samples = timing.interleaved({"a": contender("a", 1.0), "b": contender("b", 2.0)}, 3)
    assert samples == {"a": [1.0] * 3, "b": [2.0] * 3}
    assert "".join(order) == "ba" + "ab" + "ba" + "ab"

    order.clear()
    times = iter([1.0, 2.0, 20.0, 3.0, 4.0, 40.0])  # of one round in three turns
    contenders = {name: lambda name=name: (order.append(name), next(times))[1] for name in "ab"}
    samples = timing.interleaved(contenders, 1, warm_up=False, turns=3)
    assert "".join(order) == "ab" + "ba" + "ab"
    assert samples == {"a": [(1.0 + 3.0 + 4.0) / 3], "b": [(2.0 + 20.0 + 40.0) / 3]}


def test_rows_give_medians_ratios_and_goals() -> None:
    samples = {timing.OURS: [1.0, 2.0, 9.0], "jax": [2.0, 4.0, 3.0]}
    row = timing.Row("b", "w", "ms", samples, timing.Goal(0.5, "jax"))
    assert row.median(timing.OURS) == 2.0 and row.median("jax") == 3.0 and row.median("torch") is None
    assert row.ratio("jax") == 0.5 and row.ratio("torch") is None  # of the rounds, not of the medians
    assert row.holds() is True
    assert timing.Row("b", "w", "ms", samples, timing.Goal(0.49, "jax")).holds() is False
    assert timing.Row("b", "w", "ms", samples, timing.Goal(1.9)).holds() is False
    assert timing.Row("b", "w", "ms", samples, timing.Goal(0.5, "torch")).holds() is None
    assert timing.Row("b", "w", "ms", samples).holds() is None


def test_table_shows_what_is_missing_as_a_dash() -> None:
    rows = [timing.Row("b", "with", "us", {timing.OURS: [2e-6], "jax": [1e-6]}, timing.Goal(1.0, "jax")),
            timing.Row("b", "without", "ms", {timing.OURS: [2.5]}, timing.Goal(1.0, "jax"), ("a remark",))]
    text = table.as_text(rows)
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["benchmark", "work", "unit", "flambeau", "jax", "ratio", "goal", "met"]
    assert lines[2] == ["b", "with", "us", "2", "1", "2", "<=", "1", "jax", "NO"]
    assert lines[3] == ["b", "without", "ms", "2500", "-", "-", "<=", "1", "jax", "-"]
    assert text.endswith("b, without: a remark")


def test_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def fake(settings: Settings) -> Iterator[timing.Row]:
        seen.append(settings)
        yield timing.Row("record", "x + y", "us", {timing.OURS: [1e-6]})

    monkeypatch.setitem(command.BENCHMARKS, "record", fake)
    file = tmp_path / "out.json"
    assert command.main(["--only", "record", "--rounds", "2", "--all", "--json", str(file)]) == 0
    assert (seen[0].rounds, seen[0].slow_rounds, seen[0].slow_peers) == (2, 2, True)
    out = capsys.readouterr().out
    assert "Python 3" in out.splitlines()[0] and "numpy" in out.splitlines()[0]
    assert "x + y" in out
    assert json.loads(file.read_text())["rows"][0]["samples"] == {"flambeau": [1e-6]}
    for wrong in (["--rounds", "0"], ["--only", "nothing"]):
        with pytest.raises(SystemExit):
            command.main(wrong)
