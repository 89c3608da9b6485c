"""What torch has and Flambeau has not: modules that can be imported, and say at the call what there is instead.

One table, `MODULES`, says it of whole modules; `refusal` makes one name of that kind for modules that have others too.
`torch.sparse.mm(...)` raises NotImplementedError, which names it and the alternative; `from torch.onnx import export` works.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import Any, NoReturn

_PACKAGE = __name__.partition(".")[0]

# By name below `torch`: what to do instead.
MODULES = {
    "ao": "quantised tensors are not there: use half types, torch.bfloat16, or autocast",
    "ao.quantization": "quantised tensors are not there: use half types, torch.bfloat16, or autocast",
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
    "utils.flop_counter": "step.program.cost() is XLA's estimate of a compiled step",
    "utils._python_dispatch": "operations are not dispatched one by one to Python code: use torch.func, or jit(f).trace(...)",
    "utils.bottleneck": "step.stats, step.hlo and FLAMBEAU_DUMP show what a compiled step is and costs",
    "utils.mobile_optimizer": "flambeau.aot compiles a program ahead of time",
    "profiler": "step.stats, step.hlo and FLAMBEAU_DUMP show what a compiled step is and costs",
}
# What these modules answer all the same.
ANSWERS: dict[str, dict[str, Any]] = {
    "xpu": {"is_available": lambda: False, "device_count": lambda: 0, "manual_seed_all": lambda seed: None,
            "empty_cache": lambda: None},
    "mps": {"is_available": lambda: False, "device_count": lambda: 0, "empty_cache": lambda: None},
    "mtia": {"is_available": lambda: False, "device_count": lambda: 0},
    "profiler": {},
}


def refusal(name: str, instead: str) -> Any:
    """Something under torch's name that raises NotImplementedError when it is called, or made an instance of."""
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"{name} is not there in Flambeau: {instead}")

    short = name.rpartition(".")[2]
    return type(short, (), {"__module__": name.rpartition(".")[0], "__new__": lambda cls, *args, **kwargs: refuse(),
                            "__doc__": f"Not there: {instead}.", "_refusal": True, "__class_getitem__": classmethod(lambda cls, item: cls)})


def is_refusal(thing: Any) -> bool:
    """Whether a thing is a `refusal`."""
    return isinstance(thing, type) and "_refusal" in vars(thing)


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
