"""Where torch has names that are somewhere else here: modules made of ours when they are first imported.

`torch.nn.modules.conv.Conv2d` is `flambeau.nn.Conv2d`, the same object. One table says of which modules of ours such a module is
made, another under which other names it has what is in them.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import Any

from .absent import named_in

_PACKAGE = __name__.partition(".")[0]

# By name below `torch`: the modules of ours whose names it has. Of two under one name the first is taken.
MADE_OF = {
    "accelerator.memory": "accelerator",
    "amp.autocast_mode": "amp tracer.functions.autocast",
    "amp.grad_scaler": "optim.grad_scaler",
    "autograd.gradcheck": "tracer.autograd.gradcheck autograd.jacobians",
    "autograd.variable": "autograd",
    "cpu.amp.autocast_mode": "cpu.amp",
    "cpu.amp.grad_scaler": "cpu.amp",
    "cuda.amp.autocast_mode": "cuda.amp",
    "cuda.amp.common": "cuda.amp",
    "cuda.amp.grad_scaler": "cuda.amp",
    "cuda.random": "cuda",
    "cuda.streams": "cuda",
    "functional": "",
    "nn.modules": "nn",
    "nn.modules.activation": "nn.activation nn.softmax nn.multihead",
    "nn.modules.adaptive": "nn.adaptive_softmax",
    "nn.modules.batchnorm": "nn.normalization nn.sync_norm nn.lazy",
    "nn.modules.channelshuffle": "nn.vision",
    "nn.modules.container": "nn.containers",
    "nn.modules.conv": "nn.conv nn.lazy",
    "nn.modules.distance": "nn.distance",
    "nn.modules.dropout": "nn.dropout",
    "nn.modules.flatten": "nn.flatten",
    "nn.modules.fold": "nn.vision",
    "nn.modules.instancenorm": "nn.normalization nn.lazy",
    "nn.modules.lazy": "nn.lazy",
    "nn.modules.linear": "nn.linear nn.lazy",
    "nn.modules.linear_cross_entropy": "nn.margin_losses",
    "nn.modules.linear_cross_entropy_options": "nn.margin_losses",
    "nn.modules.loss": "nn.loss nn.margin_losses",
    "nn.modules.module": "nn.module nn.hooks nn.backward_hooks",
    "nn.modules.normalization": "nn.normalization nn.sync_norm nn.vision",
    "nn.modules.padding": "nn.padding",
    "nn.modules.pixelshuffle": "nn.vision",
    "nn.modules.pooling": "nn.pooling nn.unpooling",
    "nn.modules.rnn": "nn.rnn nn.rnn_cells",
    "nn.modules.sparse": "nn.embedding",
    "nn.modules.transformer": "nn.transformer",
    "nn.modules.upsampling": "nn.vision",
    "nn.modules.utils": "nn.sizes",
    "nn.parallel.data_parallel": "nn.parallel",
    "nn.parallel.distributed": "nn.parallel",
    "nn.parallel.parallel_apply": "nn.replicas",
    "nn.parallel.replicate": "nn.replicas",
    "nn.parallel.scatter_gather": "nn.replicas",
    "nn.utils.clip_grad": "nn.utils.clip",
    "nn.utils.convert_parameters": "nn.utils.convert",
    "nn.utils.init": "nn.utils.construction",
    "nn.utils.memory_format": "nn.utils.construction",
    "nn.utils.spectral_norm": "nn.utils.spectral_norm_hook",
    "nn.utils.weight_norm": "nn.utils.weight_norm_hook",
    "random": "tracer.functions.random odds",
    "signal.windows.windows": "signal.windows",
    "torch_version": "version",
}
# Names of torch's for what has another here.
RENAMED = {
    "nn.modules.batchnorm": {"_LazyNormBase": "_LazyNorm"},
    "nn.modules.conv": {"_LazyConvXdMixin": "_LazyConv"},
    "nn.modules.module": {"_IncompatibleKeys": "_IncompatibleKeys"},
    "nn.modules.pooling": {"_LPPoolNd": "_LPPool", "_MaxUnpoolNd": "_MaxUnpool"},
}


class Made(types.ModuleType):
    """A module that is called like a function in it, which it hides once it is imported: `torch.autograd.gradcheck`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return vars(self)[self.__name__.rpartition(".")[2]](*args, **kwargs)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the table."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: types.ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """The specification of such a module."""
        head, _, below = fullname.partition(".")
        if head != _PACKAGE or below not in MADE_OF:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """An empty module."""
        return Made(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Fill it with the names of ours."""
        below = module.__name__.partition(".")[2]
        found: dict[str, object] = {}
        for home in reversed(MADE_OF[below].split(" ")):
            names = vars(importlib.import_module(f"{_PACKAGE}.{home}" if home else _PACKAGE))
            found.update({name: value for name, value in names.items()
                          if not (name.startswith("__") or isinstance(value, types.ModuleType))})
        found.update({theirs: found[ours] for theirs, ours in RENAMED.get(below, {}).items()})
        module.__dict__.update(found)
        let_find(module)
        module.__doc__ = f"`torch.{below}`: what is in {MADE_OF[below].replace(' ', ', ') or _PACKAGE}."


def let_find(module: types.ModuleType) -> None:
    """Let a module find those that are made below it as its attributes: `torch.nn.modules` needs no import."""
    others = vars(module).get("__getattr__") or named_in(module.__name__)

    def find(name: str) -> object:
        if f"{module.__name__}.{name}".partition(".")[2] in MADE_OF:
            return importlib.import_module(f"{module.__name__}.{name}")
        return others(name)

    vars(module)["__getattr__"] = find


def let_all_find() -> None:
    """Let the modules that are loaded find those that are made below them."""
    for parent in {f"{_PACKAGE}.{name}".rpartition(".")[0] for name in MADE_OF}:
        if parent in sys.modules:
            vars(sys.modules[parent]).setdefault("__path__", [])
            let_find(sys.modules[parent])


sys.meta_path.append(Finder())
