"""The StableHLO text: exact literals, locations that survive moved code, overrides."""

import math
import re

import ml_dtypes
import numpy as np
import pytest

import flambeau as torch
from flambeau.lowering import PLATFORM_OVERRIDES, cpu, tpu
from flambeau.lowering.emitter import literal_text
from flambeau.lowering.module import module_text
from flambeau.runtime import pjrt
from flambeau.tracer.ir.constants import literal
from flambeau.tracer.ir.dtypes import from_numpy
from flambeau.tracer.ir.errors import DeviceError
from flambeau.tracer.ir.graph import Graph
from flambeau.tracer.ir.recorder import Recorder, recording
from flambeau.tracer.ops import OPS

from ..ops.harness import forward_graph, type_of
from ..ops.samples import SAMPLES


@pytest.fixture(scope="module")
def client():
    return pjrt.cpu_client()


def constant_graph(value, kind, shape=()):
    with recording(Recorder()) as recorder:
        out = OPS["constant"].on("cpu", value=value, shape=shape, dtype=kind)
    return Graph([], recorder.nodes, [out], "constant").check()


def graph_of(sample):
    return forward_graph(sample, [type_of(a) for a in sample.arrays])


def run(client, graph, *arrays, overrides=None):
    executable = client.compile(module_text(graph, overrides=overrides))
    handlers = client.result_handlers([(v.type.shape, v.type.dtype.numpy) for v in graph.outputs], 0)
    buffers = [client.upload(np.asarray(a)) for a in arrays]
    return [pjrt.download(b) for b in executable.execute(buffers).consume_with_handlers(handlers)]


FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
FLOAT8 = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2fnuz]
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def interesting(kind):
    info = ml_dtypes.finfo(kind)
    return [0.0, 1.0, -1.5, 1 / 3, float(info.max), float(info.min), float(info.tiny), float(info.smallest_subnormal)]


@pytest.mark.parametrize("kind", [*FLOATS, *FLOAT8], ids=lambda k: np.dtype(k).name)
def test_float_literals_are_bits(client, kind):
    numbers = [*interesting(kind), *([math.inf, -math.inf, -0.0] if kind in FLOATS else [])]
    for number in numbers:
        expected = np.asarray(number).astype(kind)
        (got,) = run(client, constant_graph(literal(number, from_numpy(np.dtype(kind))), from_numpy(np.dtype(kind))))
        assert got.dtype == expected.dtype and got.tobytes() == expected.tobytes(), number


@pytest.mark.parametrize("kind", [*FLOATS, *FLOAT8], ids=lambda k: np.dtype(k).name)
def test_nan_stays_nan(client, kind):
    (got,) = run(client, constant_graph(literal(math.nan, from_numpy(np.dtype(kind))), from_numpy(np.dtype(kind))))
    assert np.isnan(got.astype(np.float32))


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda k: np.dtype(k).name)
def test_integer_literals_reach_both_ends(client, kind):
    for number in (0, 1, 2**63 if kind is np.uint64 else 5, np.iinfo(kind).min, np.iinfo(kind).max):
        ours = from_numpy(np.dtype(kind))
        (got,) = run(client, constant_graph(literal(int(number), ours), ours))
        assert got.dtype == kind and int(got) == number


@pytest.mark.parametrize(("kind", "part"), [(torch.complex64, np.float32), (torch.complex128, np.float64)])
def test_complex_literals_have_two_exact_parts(client, kind, part):
    for number in (complex(1 / 3, -0.0), complex(math.inf, 2.5), complex(-0.0, float(np.finfo(part).tiny))):
        (got,) = run(client, constant_graph(literal(number, kind), kind))
        assert got.tobytes() == np.asarray(number, kind.numpy).tobytes()


@pytest.mark.parametrize("number", [True, False])
def test_booleans(client, number):
    assert run(client, constant_graph(str(number), torch.bool))[0].tolist() is number


@pytest.mark.parametrize(("value", "kind", "text"), [
    ("nan", torch.float32, "0x7FC00000"), ("-inf", torch.float64, "0xFFF0000000000000"),
    ("1.0", torch.bfloat16, "0x3F80"), ("1e-45", torch.float32, "0x00000001"), ("1.0", torch.float8_e5m2, "0x3C"), ("True", torch.bool, "true"),  # noqa: E501
    (str(2**63), torch.uint64, "9223372036854775808"), ("-7", torch.int8, "-7"),
    ("1.0,-2.0", torch.complex64, "(0x3F800000, 0xC0000000)")])
def test_the_text_of_a_literal(value, kind, text):
    assert literal_text(value, kind) == text


@pytest.mark.parametrize("kind", [torch.float32, torch.bool, torch.int64, torch.complex64, torch.bfloat16,
                                  torch.float8_e4m3fn], ids=str)
def test_constants_of_any_shape(client, kind):
    value = "True" if kind is torch.bool else literal(1, kind)
    for shape in ((0,), (2, 0, 3), (2, 3)):
        (got,) = run(client, constant_graph(value, kind, shape))
        assert got.shape == shape and (got == np.asarray(1).astype(kind.numpy)).all()


SOURCE = "def step(x):\n    y = x * 2.5\n    return y.exp().sum() + (x > 0).sum()\n"


def text_of(source, name, **options):
    space = {}
    exec(compile(source, name, "exec"), space)
    return module_text(torch.jit(space["step"]).trace(torch.ones(3)), **options)


def test_moving_code_changes_no_text():
    text = text_of(SOURCE, "somewhere/model.py")
    assert text_of("\n\n# a comment\n" + SOURCE, "elsewhere/train.py") == text
    assert text_of(SOURCE.replace("2.5", "3.5"), "somewhere/model.py") != text


def test_locations_hold_numbers_and_no_files():
    text = text_of(SOURCE, "somewhere/model.py")
    found = re.findall(r'loc\("(.*?)"\)', text)
    assert found and all(re.fullmatch(r"\d+", name) for name in found)
    assert "model.py" not in text and __file__ not in text and "line" not in text


def test_locations_hold_the_module_path():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList([torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)])

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    text = module_text(torch.jit(Model().forward).trace(torch.ones(2, 3)))
    assert re.search(r'loc\("blocks\.0/\d+"\)', text) and re.search(r'loc\("blocks\.1/\d+"\)', text)


def test_locations_can_be_left_out():
    assert "loc(" not in text_of(SOURCE, "model.py", locations=False)


def test_donation_is_written_at_the_argument():
    graph = torch.jit(lambda x, y: x + y).trace(torch.ones(3), torch.ones(3))
    head = module_text(graph, donated={1: 0}).splitlines()[1]
    assert head.count("tf.aliasing_output = 0 : i32") == 1 and re.search(r"%arg1: tensor<3xf32> \{tf\.aliasing", head)


def test_names_of_functions_are_made_symbols():
    text = module_text(torch.jit(lambda x: x + 1).trace(torch.ones(3)))
    assert text.startswith("module @_lambda_ {")


def test_overrides_replace_the_rule_of_an_op(client):
    graph = torch.jit(lambda x: x.exp()).trace(torch.ones(3))

    def doubled(h, x):
        return h.op("add", (x, x))

    assert "stablehlo.exponential" in module_text(graph)
    text = module_text(graph, overrides={"exp": doubled})
    assert "stablehlo.exponential" not in text and "stablehlo.add" in text


def test_overrides_reach_into_regions():
    sample = next(s for s in SAMPLES if s.op == "case")
    graph = forward_graph(sample, [type_of(a) for a in sample.arrays])
    inside = {n.op.name for branch in sample.params["branches"] for n in branch.nodes}
    assert "sin" in inside and "stablehlo.sine" in module_text(graph)
    text = module_text(graph, overrides={"sin": lambda h, x: h.op("negate", (x,))})
    assert "stablehlo.case" in text and "stablehlo.negate" in text and "stablehlo.sine" not in text


def test_select_and_scatter_for_tpu_is_the_same_function(client):
    samples = [s for s in SAMPLES if s.op == "select_and_scatter"]
    assert any(module_text(g, overrides=tpu.OVERRIDES) != module_text(g) for g in map(graph_of, samples))
    for sample in samples:
        graph = graph_of(sample)
        plain, wide = (run(client, graph, *sample.arrays, overrides=o) for o in (None, tpu.OVERRIDES))
        np.testing.assert_array_equal(plain[0], wide[0])


def test_grouped_convolution_for_cpu_is_the_same_function(client):
    samples = [s for s in SAMPLES if s.op == "convolution" and s.params["batch_groups"] > 1]
    assert any(module_text(g, overrides=cpu.OVERRIDES) != module_text(g) for g in map(graph_of, samples))
    for sample in samples:
        graph = graph_of(sample)
        plain, other = (run(client, graph, *sample.arrays, overrides=o) for o in (None, cpu.OVERRIDES))
        np.testing.assert_allclose(plain[0], other[0], rtol=1e-5, atol=1e-5)


def test_complex128_is_refused_for_tpu():
    tpu.require_supported(torch.jit(lambda x: x / 2).trace(torch.ones(2, dtype=torch.complex64)))
    with pytest.raises(DeviceError, match=r"no complex128, got c128\[2\] in div at .*test_text.*: use complex64"):
        tpu.require_supported(torch.jit(lambda x: x / x).trace(torch.ones(2, dtype=torch.complex128)))


def test_overrides_are_of_ops_that_exist():
    assert set(PLATFORM_OVERRIDES) >= {"cpu", "tpu"}
    for overrides in PLATFORM_OVERRIDES.values():
        assert set(overrides) <= set(OPS)
