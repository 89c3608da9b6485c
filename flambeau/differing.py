"""What is there under torch's name and is not quite the same: how, by name. `flambeau.compat` tells it."""

from __future__ import annotations

_KEPT = "kept and told, changes nothing: XLA decides"
_COPIES = "tensors that are sent to another process are copied, not shared"
_ONE_STREAM = "accepted: there is one stream, which orders what depends on each other"

_BY_NOTE = {
    _KEPT: """
        set_float32_matmul_precision use_deterministic_algorithms set_deterministic_debug_mode set_num_interop_threads
        set_flush_denormal set_warn_always set_autocast_cache_enabled backends.cuda.enable_flash_sdp backends.cuda.enable_math_sdp
        backends.cuda.enable_mem_efficient_sdp backends.cuda.enable_cudnn_sdp backends.cuda.sdp_kernel
        backends.cuda.preferred_linalg_library backends.cuda.preferred_blas_library nn.attention.sdpa_kernel
        compiler.set_default_backend compiler.set_stance cuda.set_sync_debug_mode""",
    "takes effect before the first computation only": "set_num_threads",
    "a number that tells memory apart, not an address; values move when they are written": """
        Tensor.data_ptr Tensor.const_data_ptr Tensor.untyped_storage Tensor.storage UntypedStorage TypedStorage""",
    _COPIES: """
        multiprocessing.Queue multiprocessing.SimpleQueue multiprocessing.JoinableQueue multiprocessing.Pipe
        multiprocessing.set_sharing_strategy Tensor.share_memory_ Tensor.is_shared nn.Module.share_memory""",
    _ONE_STREAM: """
        cuda.Stream cuda.stream cuda.set_stream cuda.current_stream cuda.default_stream cuda.StreamContext cuda.ExternalStream
        cuda.streams.ExternalStream cuda.get_stream_from_external accelerator.set_stream cpu.Stream cpu.stream
        Tensor.record_stream""",
    "one program of `torch.jit`, for each shape that it is called with": """
        cuda.make_graphed_callables cuda.graphs.make_graphed_callables""",
    "accepted: XLA allocates memory by plan": """
        cuda.caching_allocator_enable cuda.caching_allocator_disabled cuda.memory.caching_allocator_enable
        cuda.memory.caching_allocator_disabled cuda.get_allocator_backend cuda.memory.get_allocator_backend""",
    "as a number that stands for memory, not an address": """
        cuda.caching_allocator_alloc cuda.caching_allocator_delete cuda.memory.caching_allocator_alloc
        cuda.memory.caching_allocator_delete""",
    "what PJRT counts on the device, as one segment": "cuda.memory_snapshot cuda.memory.memory_snapshot",
    "measures the host, and no single operations": """
        profiler.profile profiler.profiler.profile autograd.profiler.profile profiler.ExecutionTraceObserver
        profiler.profiler.ExecutionTraceObserver""",
    "accepted: XLA tells other profilers by itself": """
        autograd.profiler.emit_itt autograd.profiler.emit_nvtx profiler.itt.is_available profiler.itt.mark profiler.itt.range
        profiler.itt.range_pop profiler.itt.range_push""",
    "shared memory of a file is read only: tensors that are written move": "serialization.set_default_mmap_options",
    "nothing gives one: sizes are ints": "SymBool SymFloat SymInt",
    "waits, and reads the host's clock": "cuda.Event",
    "accepted: XLA keeps no memory that is asked for elsewhere": """
        cuda.empty_cache accelerator.empty_cache cuda.memory.empty_cache""",
    "PJRT's counters, under their names": """
        cuda.memory_stats cuda.memory_summary cuda.memory.memory_stats cuda.memory.memory_summary""",
    "other random numbers of the same seed: the generators differ": """
        manual_seed rand randn randint randperm rand_like randn_like randint_like normal bernoulli multinomial poisson binomial
        Generator Tensor.normal_ Tensor.uniform_ Tensor.random_ Tensor.exponential_ Tensor.geometric_ Tensor.log_normal_
        Tensor.cauchy_ Tensor.bernoulli_ testing.make_tensor""",
    "holds zeros: memory is never left unwritten": "empty empty_like empty_strided Tensor.new_empty Tensor.new_empty_strided",
    "the model itself: one device": "nn.DataParallel nn.parallel.DistributedDataParallel nn.parallel.replicate",
    "the model itself, or `torch.jit`: TorchScript is no format here": "jit.script jit.trace jit.trace_module jit.freeze",
    "compiles with XLA whatever the backend": "compile nn.Module.compile",
    "in float64 and complex128 refused on TPU": "linalg.eig linalg.eigvals",
    "scrambled by other random numbers": "quasirandom.SobolEngine",
    "its last three results, which torch's backward reads, are empty": "embedding_bag",
    "no context_fn: `policy` says what is kept": "utils.checkpoint.checkpoint",
    "nothing intercepts functions: empty, False or the function itself": """
        overrides.get_ignored_functions overrides.get_overridable_functions overrides.get_testing_overrides
        overrides.has_torch_function overrides.wrap_torch_function""",
}
DIFFERS = {f"torch.{name}": note for note, names in _BY_NOTE.items() for name in names.split()}
