"""Which of torch's public names `flambeau.compat` does not count, by name, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

# A reason, and patterns of whole names (with all that is below them) in which `*` is a part of one, and `?` a digit up to 7.
NOT_COUNTED = {
    "several processes and devices": """
        torch.cuda.comm torch.cuda.nccl torch.distributed torch.futures torch.nn.DataParallel.*
        torch.nn.parallel.DistributedDataParallel.* torch.nn.parallel.comm torch.nn.parallel.distributed
        torch.utils.data.distributed""",
    "sparse and nested tensors": """
        torch.*col_indices* torch.*row_indices* torch.*sparse* torch.Tensor.*indices torch.Tensor.*sparse*
        torch.Tensor.coalesce torch.Tensor.dense_dim torch.Tensor.smm torch.Tensor.sspaddmm
        torch.Tensor.to_padded_tensor torch.backends.cusparselt torch.dsmm torch.hsmm torch.hspmm
        torch.indices_copy torch.masked.maskedtensor torch.nested torch.saddmm torch.smm torch.sparse torch.spmm
        torch.sspaddmm torch.values_copy""",
    "quantised tensors": """
        torch.*int_repr torch.*quantize* torch.QInt* torch.QUInt* torch.Tensor.*quantize* torch.Tensor.int_repr
        torch.Tensor.q_* torch.Tensor.qscheme torch.ao torch.backends.quantized torch.bit torch.bits*
        torch.choose_qparams_optimized torch.empty_quantized torch.fbgemm_* torch.float4_*
        torch.fused_moving_avg_obs_fake_quant torch.int? torch.nn.functional.ScalingType
        torch.nn.functional.SwizzleType torch.nn.functional.scaled_*mm torch.nn.intrinsic torch.nn.qat
        torch.nn.quantizable torch.nn.quantized torch.per_channel_* torch.per_tensor_* torch.q_* torch.qint*
        torch.qscheme torch.quantization torch.quantized_* torch.quint* torch.uint?""",
    "TorchScript, graph capture and packages": """
        torch.*Graph* torch.*Logger* torch.*Module* torch.*Script* torch.*StorageContext torch.*Type
        torch.*_type_* torch.AVG torch.AggregationType torch.AliasDb torch.Argument* torch.Benchmark*
        torch.Block torch.BufferDict torch.CallStack torch.Capsule torch.Code torch.CompilationUnit
        torch.Complete* torch.ConcreteModuleType* torch.DeepCopyMemoTable torch.DictType torch.ErrorReport
        torch.ExecutionPlan torch.FileCheck torch.FunctionSchema torch.Future torch.Gradient torch.IODescriptor
        torch.InferredType torch.JITException torch.LiteScriptModule torch.Node torch.OperatorInfo
        torch.ParameterDict torch.PyTorchFile* torch.SUM torch.ScriptFunction torch.StaticModule
        torch.Tensor.as_subclass torch.ThroughputBenchmark torch.TracingState torch.Use torch.Value
        torch.classes torch.compiler.*artifacts torch.compiler.*unsafe torch.compiler.config torch.export
        torch.fork torch.fx torch.import_ir_module* torch.jit.*_* torch.jit.Attribute.*
        torch.jit.CompilationUnit torch.jit.Future.* torch.jit.Script* torch.jit.annotations torch.jit.frontend
        torch.jit.mobile torch.jit.quantized torch.library torch.nativert torch.onnx torch.ops torch.package
        torch.parse_* torch.unify_type_list torch.wait""",
    "other devices, and one vendor's kernels": """
        torch.*.DeferredCudaCallError torch.*_ipu_* torch.*_xla_* torch.*backend_registration* torch.*mps*
        torch.*vulkan* torch.PRIVATE_OPS torch.Tensor.*mkldnn torch.Tensor.ipu torch.Tensor.mtia
        torch.Tensor.xpu torch.backends.cuda.*rocm* torch.backends.cuda.cu* torch.backends.cuda.is_ck*
        torch.backends.kleidiai torch.backends.miopen torch.backends.mps torch.backends.nnpack
        torch.backends.python_native torch.backends.xeon torch.backends.xnnpack torch.batch_norm_*
        torch.cuda.GreenContext torch.cuda.gds torch.cuda.green_contexts torch.cuda.jiterator torch.cuda.sparse
        torch.cuda.tunable torch.cudnn_* torch.miopen_* torch.mkldnn_* torch.mps torch.mtia torch.native_norm
        torch.nn.attention.varlen torch.numa torch.utils.*backend* torch.utils.generate_methods_*
        torch.utils.mkldnn torch.xpu""",
    "torch's own tools": """
        torch.*DispatchKey* torch.*ObjType torch.*TorchFunction* torch.Dispatch* torch.FatalError
        torch.SymIntType torch.Tag torch.Tensor.index torch.Tensor.reinforce torch.Tensor.slice_inverse
        torch.TypedStorage.filename torch.TypedStorage.from_* torch.TypedStorage.hpu torch.TypedStorage.pickle_*
        torch.TypedStorage.resize_ torch.TypedStorage.type torch.USE_* torch.autograd.*.*.mark_shared_storage
        torch.autograd.*.clone torch.autograd.function.FunctionMeta torch.autograd.graph.Node.*
        torch.autograd.graph.region_* torch.autograd.graph.set_* torch.autograd.profiler_*
        torch.autograd.variable.VariableMeta torch.classproperty torch.contrib torch.cpp torch.cuda.Event.*ipc*
        torch.fft.Tensor torch.get_file_path torch.inference_mode.clone torch.monitor torch.multiprocessing.pool
        torch.multiprocessing.queue torch.multiprocessing.reductions torch.nn.*.check_*
        torch.nn.*.get_expected_* torch.nn.*.permute_hidden torch.nn.MultiheadAttention.merge_masks
        torch.nn.attention.SDPBackend.* torch.nn.backends torch.nn.cpp torch.nn.factory_kwargs
        torch.nn.functional.*has_torch_function* torch.nn.functional.assert_int_* torch.nn.utils.*.*.apply
        torch.nn.utils.*.*.remove torch.nn.utils.spectral_norm.SpectralNorm*Hook
        torch.optim.Adagrad.share_memory torch.optim.Optimizer.Optimizer* torch.optim.Optimizer.profile_*
        torch.prepare_multiprocessing_environment torch.profiler_allow_* torch.return_types.*.n_*
        torch.return_types.*_out torch.return_types.all_return_types torch.return_types.pytree_*
        torch.slice_inverse torch.testing._* torch.utils.ThroughputBenchmark torch.utils.backcompat
        torch.utils.benchmark.* torch.utils.bundled_inputs torch.utils.collect_env torch.utils.cpp_*
        torch.utils.data.*DataPipe torch.utils.data.*determin* torch.utils.data.*validation*
        torch.utils.data.DataChunk torch.utils.data._DatasetKind torch.utils.data.backward_compatibility
        torch.utils.data.datapipes torch.utils.data.functional_datapipe torch.utils.data.graph*
        torch.utils.debug_log torch.utils.file_baton torch.utils.get_cpp_* torch.utils.hipify torch.utils.jit
        torch.utils.mobile_optimizer torch.utils.model_dump torch.utils.serialization torch.utils.show_pickle
        torch.utils.tensorboard torch.utils.throughput_benchmark torch.utils.viz torch.windows""",
}


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
