"""What torch has and Flambeau has not: modules that can be imported, and say at the call what there is instead.

One table, `MODULES`, says it of whole modules, another, `NAMES`, of names in modules that have others too, and of methods.
`torch.sparse.mm(...)` raises NotImplementedError, which names it and the alternative; `from torch.onnx import export` works.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .tracer.tensor.tensor import Tensor

_PACKAGE = __name__.partition(".")[0]

# By name below `torch`: what to do instead.
MODULES = {
    "ao": "quantised tensors are not there: use half types, torch.bfloat16, or autocast",
    "ao.quantization": "quantised tensors are not there: use half types, torch.bfloat16, or autocast",
    "library": "an autograd.Function is an operation of one's own, flambeau.jax_call one that JAX computes",
    "quantization": "quantised tensors are not there: use half types, torch.bfloat16, or autocast",
    "ao.nn": "quantised tensors are not there: use half types, torch.bfloat16, or autocast",
    "onnx": "print(step.stablehlo) is the program as StableHLO, which other tools read; flambeau.aot compiles it ahead of time",
    "export": "jit(f).trace(...) is the graph, .lowered(...) the program; flambeau.aot compiles it ahead of time",
    "fx": "jit(f).trace(...) gives the graph of a function: graph.nodes, graph.inputs, graph.outputs",
    "nested": "pad the sequences and use a mask: torch.nn.utils.rnn.pad_sequence",
    "sparse": "sparse tensors are not there: use dense ones with a mask, gather and scatter, or index_add",
    "package": "save state dicts with torch.save",
    "monitor": "step.stats counts what a compiled step does",
    "futures": "a result is there when a call returns: what XLA computes meanwhile is waited for where it is read",
    "mtia": "the devices are cpu, cuda and tpu",
    "xpu": "the devices are cpu, cuda and tpu",
    "mps": "the devices are cpu, cuda and tpu",
    "utils.cpp_extension": "C++ and CUDA sources are torch's own: write the operation in Python, or call a JAX function by "
                           "flambeau.jax_call",
    "utils._python_dispatch": "operations are not dispatched one by one to Python code: use torch.func, or jit(f).trace(...)",
    "utils.bottleneck": "step.stats, step.hlo and FLAMBEAU_DUMP show what a compiled step is and costs",
    "utils.mobile_optimizer": "flambeau.aot compiles a program ahead of time",
    "accelerator.graphs": "torch.jit makes one program of a step, which is launched at once",
}
_MEMORY = "memory is XLA's, which allocates by plan: memory_allocated(), memory_stats() and step.program.memory() tell of it"
_STORAGE = "a tensor's memory is no thing to make of its own: use tensors; x.numpy() shares it, x.untyped_storage() tells of it"
# By what to do instead: names below `torch`.
NAMES = {
    MODULES["sparse"]: """
        dsmm hsmm hspmm resize_as_sparse_ saddmm smm sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor
        sparse_coo_tensor sparse_csc_tensor sparse_csr_tensor spmm sspaddmm Tensor.ccol_indices Tensor.coalesce Tensor.col_indices
        Tensor.crow_indices Tensor.dense_dim Tensor.indices Tensor.resize_as_sparse_ Tensor.row_indices Tensor.smm
        Tensor.sparse_dim Tensor.sparse_mask Tensor.sparse_resize_ Tensor.sparse_resize_and_clear_ Tensor.sspaddmm
        Tensor.to_padded_tensor Tensor.to_sparse Tensor.to_sparse_bsc Tensor.to_sparse_bsr Tensor.to_sparse_coo
        Tensor.to_sparse_csc Tensor.to_sparse_csr Tensor.values""",
    MODULES["ao"]: """
        dequantize empty_quantized fake_quantize_per_channel_affine fake_quantize_per_tensor_affine int_repr qint32 qint8 qscheme
        quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic quint2x4 quint4x2 quint8 Tensor.dequantize
        Tensor.int_repr Tensor.q_per_channel_axis Tensor.q_per_channel_scales Tensor.q_per_channel_zero_points Tensor.q_scale
        Tensor.q_zero_point Tensor.qscheme nn.functional.scaled_mm nn.functional.scaled_grouped_mm""",
    _STORAGE: "StorageBase",
    "torch.jit makes one program of a step, which is launched at once": """
        accelerator.Graph cuda.CUDAGraph cuda.graph cuda.graph_pool_handle cuda.graphs.CUDAGraph cuda.graphs.graph
        cuda.graphs.graph_pool_handle""",
    _MEMORY: """
        cuda.CUDAPluggableAllocator cuda.MemPool cuda.change_current_allocator cuda.use_mem_pool
        cuda.memory.CUDAPluggableAllocator cuda.memory.MemPool cuda.memory.change_current_allocator cuda.memory.use_mem_pool""",
    "CUDA is called by XLA alone": "cuda.current_blas_handle cuda.current_solver_handle",
    "use float32 or complex64": "chalf complex32 float8_e8m0fnu",
    "flambeau.aot loads what it compiled ahead of time": "compiler.load_compiled_function",
    "an autograd.Function takes and returns tensors in tuples; other containers are taken apart before": """
        autograd.NestedIOFunction autograd.function.NestedIOFunction""",
    "write an autograd.Function": "autograd.function.BackwardCFunction",
}
_INSTEAD = {name: instead for instead, names in NAMES.items() for name in names.split()}
# What these modules answer all the same.
ANSWERS: dict[str, dict[str, Any]] = {
    "xpu": {"is_available": lambda: False, "device_count": lambda: 0, "manual_seed_all": lambda seed: None,
            "empty_cache": lambda: None},
    "mps": {"is_available": lambda: False, "device_count": lambda: 0, "empty_cache": lambda: None},
    "mtia": {"is_available": lambda: False, "device_count": lambda: 0},
}


def refusal(name: str, instead: str) -> Any:
    """Something under torch's name that raises NotImplementedError when it is called, or made an instance of."""
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"{name} is not there in Flambeau: {instead}")

    short = name.rpartition(".")[2]
    return type(short, (), {"__module__": name.rpartition(".")[0], "__new__": lambda cls, *args, **kwargs: refuse(),
                            "__doc__": f"Not there: {instead}.", "__refuses__": True,
                            "__class_getitem__": classmethod(lambda cls, item: cls)})


def is_refusal(thing: Any) -> bool:
    """Whether a thing is a `refusal`, or a method that refuses."""
    return "__refuses__" in getattr(thing, "__dict__", ())


def named_in(module: str) -> Callable[[str], Any]:
    """What a module of ours finds for a name that it has not: its `__getattr__`."""
    made: dict[str, Any] = {}

    def find(name: str) -> Any:
        full = f"{module}.{name}".partition(".")[2]
        if full not in _INSTEAD:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return made.setdefault(name, refusal(f"torch.{full}", _INSTEAD[full]))

    return find


def _refusing(name: str) -> Callable[..., NoReturn]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"torch.{name} is not there in Flambeau: {_INSTEAD[name]}")

    method.__name__, method.__doc__ = name.partition(".")[2], f"Not there: {_INSTEAD[name]}."
    method.__refuses__ = True  # type: ignore[attr-defined]
    return method


def give(modules: dict[str, types.ModuleType]) -> None:
    """Let modules, by their names below `torch`, that know nothing of this table find what is in it."""
    for name, module in modules.items():
        vars(module).setdefault("__getattr__", named_in(f"{_PACKAGE}.{name}"))


for _name in _INSTEAD:
    if _name.startswith("Tensor."):
        setattr(Tensor, _name.partition(".")[2], _refusing(_name))


class Absent(types.ModuleType):
    """A module of torch's in which every public name is a `refusal`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        below = self.__name__.partition(".")[2]
        found = refusal(f"torch.{below}.{name}", MODULES[below])
        setattr(self, name, found)
        return found


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the table."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: types.ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """The specification of such a module."""
        head, _, below = fullname.partition(".")
        if head != _PACKAGE or below not in MODULES:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The module."""
        return Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """What it answers all the same."""
        below = module.__name__.partition(".")[2]
        module.__doc__ = f"torch.{below} is not there: {MODULES[below]}."
        module.__dict__.update(ANSWERS.get(below, {}))


def module(name: str) -> types.ModuleType:
    """The module of the table with that name."""
    return importlib.import_module(f"{_PACKAGE}.{name}")


sys.meta_path.append(Finder())
