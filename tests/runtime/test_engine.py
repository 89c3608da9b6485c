"""The XLA engine: what is compiled, what is launched, what becomes of the bytes, and what the process is left with."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime.engine import Counts, XlaBackend
from flambeau.tracer.walks.interpret import interpret

DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint64, torch.float16,
          torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128]


def square_plus(number):
    """A graph that no other test compiles, if the number is its own."""
    def step(x):
        return x * x + number

    return torch.jit(step).trace(torch.ones(3))


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    monkeypatch.setenv("FLAMBEAU_CACHE", "0")


@pytest.fixture
def engine():
    return XlaBackend()


def counts():
    return Counts.compiles, Counts.disk_hits, Counts.launches


def test_counts_compiles_and_launches(engine):
    graph = square_plus(1.125)
    before = counts()
    program = engine.compile(graph, "cpu", {})
    x = engine.upload(np.array([1, 2, 3], np.float32), "cpu")
    for _ in range(3):
        results = program.run([x])
    assert [now - then for now, then in zip(counts(), before)] == [1, 0, 3]
    np.testing.assert_array_equal(engine.download(results[0]), np.float32([2.125, 5.125, 10.125]))


def test_one_compile_serves_equal_graphs(engine):
    before = Counts.compiles
    first, again, other = (engine.compile(square_plus(number), "cpu", {}) for number in (2.125, 2.125, 3.125))
    assert again._executable is first._executable is not other._executable
    assert first.seconds["compile"] > 0 == again.seconds["compile"]
    assert Counts.compiles == before + 2


def test_donation_is_part_of_the_program(engine):
    graph = square_plus(4.125)
    assert engine.compile(graph, "cpu", {0: 0}) is not engine.compile(graph, "cpu", {})


def test_donated_buffers_are_gone_and_others_are_not(engine):
    program = engine.compile(square_plus(5.125), "cpu", {0: 0})
    x = engine.upload(np.ones(3, np.float32), "cpu")
    kept = engine.upload(np.ones(3, np.float32), "cpu")
    (result,) = program.run([x])
    engine.wait()
    assert engine.deleted(x) and not engine.deleted(kept) and not engine.deleted(result)
    with pytest.raises(RuntimeError):
        program.run([x])


@pytest.mark.parametrize("kind", DTYPES, ids=str)
def test_bits_survive_upload_and_download(engine, kind):
    dtype = np.dtype(kind.numpy)
    count = 4 * dtype.itemsize
    raw = np.arange(1, 1 + count, dtype=np.uint8) if kind is not torch.bool else np.array([0, 1, 1, 0], np.uint8)
    array = raw.view(dtype).reshape(2, -1)
    back = engine.download(engine.upload(array, "cpu"))
    assert back.dtype == dtype and back.shape == array.shape and back.tobytes() == array.tobytes()


def test_64_bit_values_stay_64_bits_wide(engine):
    for array in (np.array([2**40, -2**62]), np.array([1 + 2**-50, 1e300])):
        assert engine.download(engine.upload(array, "cpu")).tolist() == array.tolist()
    step = torch.jit(lambda x, y: (x + 1, y * 2))
    integers, floats = step(torch.tensor(2**40), torch.tensor(1 + 2**-50, dtype=torch.float64))
    assert integers.item() == 2**40 + 1 and floats.item() == 2 + 2**-49


@pytest.mark.parametrize("array", [np.float32(3), np.zeros((0, 3)), np.arange(12).reshape(3, 4).T,
                                   np.arange(10)[::-2], np.asfortranarray(np.arange(6.0).reshape(2, 3))],
                         ids=["0-d", "empty", "transposed", "reversed", "fortran"])
def test_any_layout_can_be_uploaded(engine, array):
    back = engine.download(engine.upload(np.asarray(array), "cpu"))
    assert back.shape == np.shape(array)
    np.testing.assert_array_equal(back, array)


def test_a_buffer_does_not_follow_the_array_it_was_made_from(engine):
    array = np.zeros(1024, np.float32)
    buffer = engine.upload(array, "cpu")
    array[:] = 7
    assert not engine.download(buffer).any()


def test_a_tensor_does_not_follow_the_array_it_was_made_from():
    array = np.zeros(1024, np.float32)
    x = torch.tensor(array)
    y = torch.jit(lambda t: t + 1)(array)
    array[:] = 7
    assert x.sum().item() == 0 and y.sum().item() == 1024


def test_downloads_cannot_be_written_to(engine):
    back = engine.download(engine.upload(np.ones(3), "cpu"))
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 2


def test_two_threads_compile_and_run_their_own_programs(engine):
    graphs = [square_plus(6.125 + i) for i in range(2)]
    found, failures = {}, []
    start = threading.Barrier(2)

    def work(i):
        try:
            start.wait(10)
            program = engine.compile(graphs[i], "cpu", {})
            for _ in range(50):
                buffers = program.run([engine.upload(np.full(3, i, np.float32), "cpu")])
            found[i] = engine.download(buffers[0]).tolist()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and found == {0: [6.125] * 3, 1: [8.125] * 3}


def test_memory_cost_and_texts_of_a_program(engine):
    program = engine.compile(torch.jit(lambda x: x @ x).trace(torch.ones(64, 64)), "cpu", {})
    memory = program.memory()
    assert memory["argument"] == memory["output"] == 64 * 64 * 4 and memory["alias"] == 0
    assert program.cost()["flops"] == pytest.approx(2 * 64**3, rel=0.05)
    assert "stablehlo.dot_general" in program.stablehlo() and "HloModule" in program.hlo()
    assert set(program.seconds) == {"print", "compile"}


def test_aliased_memory_is_reported(engine):
    program = engine.compile(square_plus(9.125), "cpu", {0: 0})
    assert program.memory()["alias"] == 12


def test_dump_writes_every_stage(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("FLAMBEAU_DUMP", str(tmp_path / "stages"))
    graph = square_plus(10.125)
    program = engine.compile(graph, "cpu", {})
    files = {path.name.split(".", 1)[1]: path.read_text() for path in (tmp_path / "stages").iterdir()}
    assert files == {"graph.txt": f"{graph}\n", "stablehlo.mlir": program.stablehlo(), "hlo.txt": program.hlo()}
    assert len({path.name.split(".")[0] for path in (tmp_path / "stages").iterdir()}) == 1


def test_a_folder_that_cannot_be_dumped_to_is_a_warning(engine, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLAMBEAU_DUMP", str(tmp_path / "file"))
    program = engine.compile(square_plus(11.125), "cpu", {})
    assert "cannot dump" in caplog.text
    assert engine.download(program.run([engine.upload(np.ones(3, np.float32), "cpu")])[0]).tolist() == [12.125] * 3


def test_the_engine_agrees_with_the_interpreter(engine):
    graph = torch.jit(lambda x: (x.exp().sum(), (x * 2).argmax())).trace(torch.ones(5))
    x = np.linspace(-1, 1, 5).astype(np.float32)
    got = [engine.download(b) for b in engine.compile(graph, "cpu", {}).run([engine.upload(x, "cpu")])]
    for ours, theirs in zip(got, interpret(graph, [x]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


FRESH = """
import json, os, sys
environment = dict(os.environ)
import flambeau as torch
report = {"imported": [m for m in ("jax", "jaxlib") if m in sys.modules]}
y = torch.jit(lambda x: x * 2 + 2**40)(torch.tensor([1, 2]))
report["result"] = y.tolist()
report["ran"] = [m for m in ("jax", "jaxlib") if m in sys.modules]
report["environment"] = dict(os.environ) == environment
import jax, jax.numpy as jnp
report["x64"] = bool(jax.config.jax_enable_x64)
report["jax"] = [str(jnp.arange(3).dtype), str((jnp.ones(2) * 2).dtype), float(jnp.ones(2).sum())]
report["again"] = torch.jit(lambda x: x + 1)(torch.tensor(2**40)).item()
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def fresh():
    """What a fresh process says of itself."""
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "FLAMBEAU_CACHE": "0", "JAX_PLATFORMS": "cpu"})
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


def test_importing_flambeau_loads_neither_jax_nor_jaxlib(fresh):
    assert fresh["imported"] == []


def test_running_on_the_cpu_loads_jaxlib_only(fresh):
    assert fresh["ran"] == ["jaxlib"] and fresh["result"] == [2**40 + 2, 2**40 + 4]


def test_the_users_jax_and_environment_are_as_before(fresh):
    assert fresh["environment"] and fresh["x64"] is False
    assert fresh["jax"] == ["int32", "float32", 2.0] and fresh["again"] == 2**40 + 1


def test_nothing_is_written_to_stderr(fresh):
    assert fresh["stderr"] == ""
