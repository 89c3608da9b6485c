"""Steps compiled for TPUs that are not there. What needs libtpu is skipped without it."""

import os
import subprocess
import sys

import pytest

import flambeau as torch
from flambeau.lowering import PLATFORM_OVERRIDES
from flambeau.lowering.module import module_text
from flambeau.runtime import aot
from flambeau.tracer.ir.errors import DeviceError

from ..ops.harness import forward_graph, type_of
from ..ops.samples import SAMPLES

WIDE = (torch.int64, torch.uint64, torch.float64, torch.complex128)  # of which TPUs have not every op

needs_libtpu = pytest.mark.skipif(aot.library() is None, reason="libtpu is not installed")


def product(x):
    return x @ x


def training_step(model=None):
    model = torch.nn.Linear(128, 128) if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @torch.jit
    def step(x):
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


@pytest.fixture(scope="module")
def compiled():
    return aot.compile(product, torch.ones(256, 256), topology="v5e:2x2")


@needs_libtpu
def test_memory_on_the_chip(compiled):
    memory = compiled.memory()
    assert memory["argument"] == memory["output"] == 256 * 256 * 4 and memory["alias"] == 0
    assert memory["generated_code"] > 0 and memory["available"] == 16 << 30
    assert memory["total"] == sum(memory[k] for k in ("argument", "output", "temp", "generated_code"))


@needs_libtpu
def test_cost(compiled):
    cost = compiled.cost()
    assert cost["flops"] == pytest.approx(2 * 256**3, rel=0.1)
    assert cost["bytes accessed"] >= 2 * 256 * 256 * 4 and cost["optimal_seconds"] > 0


@needs_libtpu
def test_texts(compiled):
    assert "stablehlo.dot_general" in compiled.stablehlo() and compiled.topology == "v5e:2x2"
    assert compiled.hlo().startswith("HloModule product") and "(8,128)" in compiled.hlo()  # TPU's tiles


@needs_libtpu
def test_what_is_printed(compiled):
    text = str(compiled)
    assert text.startswith("product for one chip of v5e:2x2 (TPU v5 lite)\n") and repr(compiled) == text
    assert "arguments  256 KiB" in text and "of 16 GiB (0.0%)" in text
    assert all(word in text for word in ("outputs", "temporary", "aliased", "code", "flops", "accessed", "estimated"))


@needs_libtpu
def test_the_text_is_the_one_that_a_call_runs(monkeypatch):
    """But for what is said another way to the CPU's compiler."""
    monkeypatch.setitem(PLATFORM_OVERRIDES, "cpu", {})
    step, x = training_step(), torch.ones(4, 128)
    found = aot.compile(step, x)
    step(x)
    assert found.stablehlo() == step.stablehlo


@needs_libtpu
@pytest.mark.parametrize("topology", ["v4:2x2x1", "v5p:2x2x2", "v6e:2x4", "v5e:1x1"])
def test_other_generations(topology):
    found = aot.compile(product, torch.ones(8, 8), topology=topology)
    assert found.memory()["available"] >= 16 << 30 and found.memory()["argument"] == 4096  # one tile


@needs_libtpu
def test_a_training_step_donates_its_state_and_changes_nothing():
    model = torch.nn.Linear(128, 128)
    step = training_step(model)
    before = model.weight.detach().numpy().copy()
    found = aot.compile(step, torch.ones(4, 128))
    assert found.memory()["alias"] >= 2 * 128 * 128 * 4 and "step for one chip" in str(found)
    assert (model.weight.detach().numpy() == before).all() and step.stats.compiles == 0
    first, other = step(torch.ones(4, 128)).item(), step(torch.ones(4, 128)).item()
    assert other < first and step.stats.compiles == 1


@needs_libtpu
def test_64_bit_types_compile():
    arguments = torch.ones(8, dtype=torch.int64), torch.ones(8, dtype=torch.float64)
    found = aot.compile(lambda x, y: (x + 2**40, y * 2), *arguments)
    assert found.memory()["argument"] > 0 and found.stablehlo().count("xi64>") and found.stablehlo().count("xf64>")


@needs_libtpu
def test_operations_that_the_compiler_cannot_estimate_are_counted_apart():
    plain, wide = torch.ones(1024, 1024), torch.ones(2, dtype=torch.int64)
    whole = aot.compile(lambda x: x @ x, plain).cost()
    found = aot.compile(lambda x, n: (x @ x, n + 1), plain, wide)
    cost = found.cost()
    assert "without estimate" not in whole and cost["without estimate"] >= 2  # 64-bit numbers are split and joined
    assert whole["optimal_seconds"] <= cost["optimal_seconds"] < 1.5 * whole["optimal_seconds"] + 1e-5
    assert f"and {cost['without estimate']} custom calls that the compiler has no estimate for" in str(found)


@needs_libtpu
def test_too_much_memory_is_the_compilers_error():
    with pytest.raises(RuntimeError, match=r"(?s)product does not compile for v5e:2x2.*RESOURCE_EXHAUSTED"):
        aot.compile(product, torch.empty(65536, 65536))


@needs_libtpu
def test_a_generation_that_does_not_exist():
    with pytest.raises(DeviceError, match=r"no TPU topology 'v9:2x2'.*'v5e:2x2'.*'v6e"):
        aot.compile(product, torch.ones(8, 8), topology="v9:2x2")


@pytest.mark.parametrize("name", ["", "v5e", "v5e:", "v5e:2", "v5e:2x", "v5e:0x2", "v5e:-1x2", "v5e:2x2x2x2", "2x2"])
def test_what_is_no_topology(name):
    with pytest.raises(DeviceError, match="a TPU topology is a generation and chips per dimension, such as 'v5e:2x2'"):
        aot.compile(product, torch.ones(8, 8), topology=name)


def test_without_libtpu_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(aot, "library", lambda: None)
    monkeypatch.setattr(aot.pjrt, "plugin_loaded", lambda platform: False)
    with pytest.raises(DeviceError, match=r"pip install 'flambeau\[tpu\]'"):
        aot.compile(product, torch.ones(8, 8), topology="v5e:8x8")


def test_the_environment_is_restored(monkeypatch):
    monkeypatch.setenv("TPU_LOG_DIR", "mine")
    monkeypatch.delenv("TPU_SKIP_MDS_QUERY", raising=False)
    before = dict(os.environ)
    with pytest.raises(KeyError), aot._quiet_environment():
        assert os.environ["TPU_LOG_DIR"] == "mine" and os.environ["TPU_STDERR_LOG_LEVEL"] == "4"
        raise KeyError
    assert dict(os.environ) == before


def test_the_library_can_be_named(monkeypatch):
    monkeypatch.setenv("TPU_LIBRARY_PATH", "/somewhere/libtpu.so")
    assert aot.library() == "/somewhere/libtpu.so"


@needs_libtpu
def test_libtpu_is_quiet(capfd):
    aot.compile(product, torch.ones(16, 16), topology="v5e:4x4")
    with pytest.raises(RuntimeError):
        aot.compile(product, torch.empty(65536, 65536))
    out, err = capfd.readouterr()
    assert out == "" and err == ""


@needs_libtpu
def test_two_processes_may_compile_at_once():
    code = ("import flambeau as torch; from flambeau.runtime import aot; "
            "print(aot.compile(lambda x: x @ x, torch.ones(8, 8)).memory()['argument'])")
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                 for _ in range(2)]
    assert [p.communicate(timeout=120) for p in processes] == [("4096\n", "")] * 2


@needs_libtpu
def test_complex128_is_refused_before_it_ends_the_process():
    with pytest.raises(DeviceError, match="no complex128"):
        aot.compile(lambda x: x / x, torch.ones(8, dtype=torch.complex128))


@needs_libtpu
@pytest.mark.parametrize("name", ["select_and_scatter", "cholesky", "triangular_solve", "fft", "sort", "convolution",
                                  "select_and_gather", "scatter", "while"])
def test_ops_that_other_platforms_have_libraries_for(name):
    samples = [s for s in SAMPLES if s.op == name and s.xla]
    graphs = [forward_graph(s, [type_of(a) for a in s.arrays]) for s in samples]
    narrow = [g for g in graphs if not any(v.type.dtype in WIDE for v in (*g.inputs, *g.outputs))]
    for graph in narrow or graphs[:1]:
        aot.compile_text(module_text(graph, overrides=PLATFORM_OVERRIDES["tpu"]))
