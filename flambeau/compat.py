"""What of torch's public names is there, what differs, what refuses, what is missing: `python -m flambeau compat [NAME]`.

The names are read from `torch_names.txt`, which a command of the tests writes with torch at hand; whether one is there is looked
up in this package. `page()` is the text of COMPAT.md.

>>> print(report("torch.linalg.cholesky"))
torch.linalg.cholesky: there
"""

from __future__ import annotations

import importlib
import re
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .absent import Absent, is_refusal
from .differing import DIFFERS

FILE = Path(__file__).with_name("torch_names.txt")
_OURS = __name__.partition(".")[0]
THERE, DIFFERING, REFUSING, MISSING, APART = STATUSES = ("there", "differs", "refuses", "missing", "not counted")

# What is not counted, by name: a reason, and patterns of whole names (with all that is below them) in which `*` is a part of one.
NOT_COUNTED = {
    "several processes and devices": "torch.distributed torch.nn.parallel.comm torch.cuda.comm torch.cuda.nccl torch.futures "
        "torch.nn.parallel.distributed torch.utils.data.distributed torch.nn.parallel.DistributedDataParallel.* torch.nn.DataParallel.*",
    "sparse and nested tensors": "torch.sparse torch.nested torch.*sparse* torch.Tensor.*sparse* torch.hsmm torch.hspmm torch.smm torch.spmm "
        "torch.dsmm torch.saddmm torch.sspaddmm torch.*col_indices* torch.*row_indices* torch.indices_copy torch.values_copy "
        "torch.Tensor.*indices torch.Tensor.dense_dim torch.Tensor.smm torch.Tensor.sspaddmm torch.Tensor.coalesce "
        "torch.Tensor.to_padded_tensor torch.backends.cusparselt torch.masked.maskedtensor",
    "quantised tensors": "torch.ao torch.quantization torch.nn.quantized torch.nn.quantizable torch.nn.qat torch.nn.intrinsic "
        "torch.*quantize* torch.Tensor.*quantize* torch.quantized_* torch.q_* torch.Tensor.q_* torch.qscheme "
        "torch.Tensor.qscheme torch.*int_repr torch.Tensor.int_repr torch.qint* torch.quint* torch.QInt* torch.QUInt* torch.fbgemm_* "
        "torch.fused_moving_avg_obs_fake_quant torch.per_channel_* torch.per_tensor_* torch.choose_qparams_optimized "
        "torch.empty_quantized torch.backends.quantized torch.nn.functional.scaled_*mm torch.nn.functional.ScalingType "
        "torch.nn.functional.SwizzleType torch.bits* torch.int? torch.uint? torch.float4_* torch.bit",
    "TorchScript, graph capture and packages": "torch.jit.CompilationUnit torch.jit.Script* torch.jit.Attribute.* torch.jit.Future.* torch.jit.*_* torch.jit.annotations torch.jit.frontend torch.jit.mobile torch.jit.quantized "
        "torch.fx torch.export torch.onnx torch.package torch.nativert "
        "torch.ScriptFunction torch.library torch.classes torch.ops torch.import_ir_module* torch.parse_* torch.*Script* torch.*Type "
        "torch.*Graph* torch.FunctionSchema torch.CompilationUnit torch.Node torch.Value torch.Block torch.Argument* torch.Use "
        "torch.Code torch.Complete* torch.AliasDb torch.CallStack torch.Capsule torch.ConcreteModuleType* torch.DictType "
        "torch.ErrorReport torch.ExecutionPlan torch.FileCheck torch.Gradient torch.InferredType torch.IODescriptor torch.JITException "
        "torch.*Module* torch.TracingState torch.fork torch.wait torch.*_type_* torch.unify_type_list torch.StaticModule "
        "torch.OperatorInfo torch.PyTorchFile* torch.*StorageContext torch.DeepCopyMemoTable torch.*Logger* torch.BufferDict "
        "torch.ParameterDict torch.AggregationType torch.AVG torch.SUM torch.Benchmark* torch.ThroughputBenchmark torch.compiler.config "
        "torch.compiler.*unsafe torch.compiler.*artifacts torch.Future torch.LiteScriptModule torch.Tensor.as_subclass",
    "other devices, and one vendor's kernels": "torch.mps torch.xpu torch.mtia torch.*mps* torch.Tensor.xpu torch.Tensor.ipu "
        "torch.Tensor.mtia torch.cudnn_* torch.miopen_* torch.mkldnn_* torch.*vulkan* torch.*_ipu_* torch.*_xla_* torch.backends.xeon "
        "torch.backends.mps torch.backends.miopen torch.backends.kleidiai torch.backends.xnnpack torch.backends.nnpack "
        "torch.backends.python_native torch.cuda.tunable torch.cuda.gds torch.cuda.green_contexts torch.cuda.jiterator "
        "torch.cuda.sparse torch.cuda.GreenContext torch.backends.cuda.cu* torch.backends.cuda.*rocm* torch.backends.cuda.is_ck* "
        "torch.utils.mkldnn torch.Tensor.*mkldnn torch.numa torch.nn.attention.varlen torch.*.DeferredCudaCallError "
        "torch.batch_norm_* torch.native_norm torch.utils.*backend* torch.utils.generate_methods_* torch.*backend_registration* torch.PRIVATE_OPS",
    "torch's own tools": "torch.contrib torch.nn.cpp torch.nn.backends torch.utils.tensorboard torch.utils.viz torch.utils.jit "
        "torch.utils.hipify torch.utils.cpp_* torch.utils.collect_env torch.utils.model_dump torch.utils.bundled_inputs "
        "torch.utils.mobile_optimizer torch.utils.show_pickle torch.utils.throughput_benchmark torch.utils.file_baton "
        "torch.utils.debug_log torch.utils.benchmark.* torch.utils.data.datapipes torch.utils.data.graph* "
        "torch.utils.data.*DataPipe torch.utils.data.*determin* torch.utils.data.*validation* torch.utils.data.functional_datapipe "
        "torch.utils.data.DataChunk torch.autograd.profiler_* torch.multiprocessing.reductions torch.multiprocessing.pool "
        "torch.multiprocessing.queue torch.testing._* torch.Dispatch* torch.*DispatchKey* torch.*TorchFunction* "
        "torch.*ObjType torch.Tag torch.SymIntType torch.get_file_path torch.prepare_multiprocessing_environment torch.USE_* "
        "torch.profiler_allow_* torch.cpp torch.slice_inverse torch.Tensor.slice_inverse torch.FatalError torch.utils.ThroughputBenchmark "
        "torch.utils.backcompat torch.utils.get_cpp_* torch.utils.serialization torch.return_types.*_out torch.return_types.all_return_types "
        "torch.return_types.pytree_* torch.return_types.*.n_* torch.fft.Tensor torch.Tensor.reinforce torch.Tensor.index "
        "torch.autograd.graph.region_* torch.autograd.graph.set_* torch.autograd.*.*.mark_shared_storage torch.autograd.function.FunctionMeta "
        "torch.autograd.variable.VariableMeta torch.cuda.Event.*ipc* torch.utils.data._DatasetKind torch.utils.data.backward_compatibility "
        "torch.nn.factory_kwargs torch.nn.attention.SDPBackend.* torch.TypedStorage.hpu torch.TypedStorage.type "
        "torch.TypedStorage.pickle_* torch.TypedStorage.resize_ torch.TypedStorage.from_* torch.TypedStorage.filename torch.nn.*.check_* torch.nn.*.permute_hidden "
        "torch.nn.*.get_expected_* torch.nn.MultiheadAttention.merge_masks torch.nn.utils.*.*.apply torch.nn.utils.*.*.remove "
        "torch.nn.utils.spectral_norm.SpectralNorm*Hook torch.optim.Adagrad.share_memory torch.autograd.graph.Node.* torch.nn.functional.*has_torch_function* torch.nn.functional.assert_int_* torch.optim.Optimizer.profile_* torch.optim.Optimizer.Optimizer* torch.autograd.*.clone "
        "torch.inference_mode.clone torch.classproperty torch.windows torch.monitor",
}


class Entry(NamedTuple):
    """A name of torch's, how it stands with it, and what is to be said of it."""

    name: str
    status: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.status}" + (f" ({self.note})" if self.note else "")


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    return {reason: re.compile("|".join(re.escape(p).replace(r"\*", "[^.]*").replace(r"\?", "[1-7]") for p in patterns.split()))
            for reason, patterns in NOT_COUNTED.items()}


def not_counted(name: str) -> str | None:
    """Why a name is not counted; None where it is."""
    for reason, pattern in _patterns().items():
        found = [".".join(name.split(".")[:i]) for i in range(2, name.count(".") + 2)]
        if any(pattern.fullmatch(part) for part in found):
            return reason
    return None


def written(version: str, names: Mapping[str, Iterable[str]]) -> str:
    """The file of these names, by module or class."""
    head = f"# The public names of torch {version}, by module and class: written by `python -m tests.parity.torch_names`.\n"
    return head + "".join(textwrap.fill(f"{owner}: {' '.join(sorted(names[owner]))}", 128, subsequent_indent="  ",
                                        break_long_words=False, break_on_hyphens=False) + "\n" for owner in sorted(names))


@cache
def names() -> Mapping[str, tuple[str, ...]]:
    """torch's public names, by module or class."""
    blocks = re.split(r"\n(?! )", FILE.read_text(encoding="utf-8").strip())[1:]
    return {owner: tuple(listed.split()) for owner, _, listed in (block.partition(":") for block in blocks)}


@cache
def _module(name: str) -> Any:
    """The module of ours with a name of torch's; None if there is none."""
    path = _OURS + name.removeprefix("torch")
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not path.startswith(error.name):
            raise  # a module that is there, and needs another
        return None


def ours(name: str) -> Any:
    """What is here under a name of torch's; AttributeError where nothing is."""
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        found = _module(".".join(parts[:i]))
        if found is not None:
            break
    for part in parts[i:]:
        if is_refusal(found):
            return found
        below = None if hasattr(found, part) or not isinstance(found, ModuleType) else _module(f"{'.'.join(parts[:i])}.{part}")
        if below is None and part in getattr(found, "__annotations__", ()):
            return found  # an attribute of instances
        found = getattr(found, part) if below is None else below
    return found


def look_up(name: str) -> Entry:
    """How it stands with one name, such as "torch.linalg.cholesky"."""
    reason = not_counted(name)
    try:
        found = ours(name)
    except AttributeError:
        return Entry(name, APART, reason) if reason else Entry(name, MISSING)
    if is_refusal(found) or isinstance(found, Absent):
        return Entry(name, APART if reason else REFUSING, str(found.__doc__).removeprefix("Not there: ").rstrip("."))
    if name in DIFFERS:
        return Entry(name, DIFFERING, DIFFERS[name])
    return Entry(name, APART, reason) if reason else Entry(name, THERE)


def entries(below: str = "torch") -> list[Entry]:
    """All of a module or class, with what is below it; of a class that is not there, no members."""
    owners = [o for o in names() if (o == below or o.startswith(f"{below}.")) and _is_open(o)]
    return [look_up(f"{owner}.{n}") for owner in owners for n in names()[owner]]


def _is_open(owner: str) -> bool:
    """Whether a class, or the module, is there."""
    if not owner.rpartition(".")[2][:1].isupper():
        return True
    return look_up(owner).status in (THERE, DIFFERING)


def report(name: str = "torch") -> str:
    """How it stands with a name; for a module or class, what of it is not simply there."""
    name = name if name.partition(".")[0] == "torch" else f"torch.{name}"
    found = entries(name)
    if not found:
        return str(look_up(name))
    kept = [str(entry) for entry in found if entry.status not in (THERE, APART)]
    return "\n".join([f"{name}: {counts(found)}", *kept])


def counts(found: list[Entry]) -> str:
    """How many are there, differ, ..."""
    numbers = {status: sum(entry.status == status for entry in found) for status in STATUSES}
    return ", ".join(f"{number:,} {status}" for status, number in numbers.items() if number or status == THERE)


# --- The page ---------------------------------------------------------------------------------------------------------

_HEAD = """# torch's names in Flambeau

Written by `python -m flambeau compat --page`, from the public names of torch {version}. `python -m flambeau compat NAME` tells of
one name, module or class. There: {there:,} of {counted:,} names of modules, and members of classes, that are counted
({share:.1%}); {differs} of them differ in what is told below.

| module | there | not there |
|---|---|---|
"""


def page() -> str:
    """The text of COMPAT.md."""
    found = entries()
    counted = [entry for entry in found if entry.status != APART]
    there = [entry for entry in counted if entry.status in (THERE, DIFFERING)]
    head = _HEAD.format(version=FILE.read_text(encoding="utf-8").split()[6].rstrip(","), there=len(there), counted=len(counted),
                        share=len(there) / len(counted), differs=sum(entry.status == DIFFERING for entry in there))
    return "\n".join([head.rstrip(), *_rows(counted), "", *_section("What differs", counted, DIFFERING),
                      *_section("What refuses, and what to do instead", counted, REFUSING),
                      "## What is missing", "", _listed(e.name for e in counted if e.status == MISSING), "",
                      "## What is not counted", "", *(f"- {reason}: {_code(patterns.split())}"
                                                      for reason, patterns in NOT_COUNTED.items())]) + "\n"


def _rows(counted: list[Entry]) -> list[str]:
    rows: dict[str, list[bool]] = {}
    for entry in counted:
        rows.setdefault(".".join(entry.name.split(".")[:2 if _is_module(entry.name) else 1]), []).append(
            entry.status in (THERE, DIFFERING))
    return [f"| {owner} | {sum(marks):,} | {len(marks) - sum(marks) or ''} |" for owner, marks in sorted(rows.items())]


def _is_module(name: str) -> bool:
    """Whether the second part of a name is a module, or `Tensor`, of which there is a row."""
    second = ".".join(name.split(".")[:2])
    return second in names() and (name != second) and (second == "torch.Tensor" or not second[6:7].isupper())


def _section(title: str, counted: list[Entry], status: str) -> list[str]:
    by_note: dict[str, list[str]] = {}
    for entry in counted:
        if entry.status == status:
            by_note.setdefault(entry.note, []).append(entry.name)
    return [f"## {title}", "", *(f"- {note}: {_listed(found)}" for note, found in by_note.items()), ""]


def _listed(found: Iterable[str]) -> str:
    """Names, of which members of what is listed itself are left out."""
    every = list(found)
    return _code([name for name in every if name.rpartition(".")[0] not in every]) or "Nothing."


def _code(every: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in every)
