"""The parts of `DataParallel` as functions. A program runs on one device, so that there is one replica, and one part.

https://pytorch.org/docs/stable/nn.functional.html#dataparallel-functions-multi-gpu-distributed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tracer.functions.joining import cat, stack
from ..tracer.functions.slicing import chunk
from ..tracer.tensor.nested import children, container_of
from ..tracer.tensor.tensor import Tensor
from .module import Module


def data_parallel(module: Module, inputs: Any, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0,
                  module_kwargs: dict[str, Any] | None = None) -> Any:
    """The module's output: it runs on the device where its parameters are.

    >>> import flambeau as torch
    >>> torch.nn.parallel.data_parallel(torch.nn.Identity(), torch.ones(2))
    tensor([1., 1.])
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*given, **(module_kwargs or {}))


def replicate(network: Module, devices: Sequence[Any], detach: bool = False) -> list[Module]:
    """The network itself, once per device."""
    return [network] * len(devices)


def parallel_apply(modules: Sequence[Module], inputs: Sequence[Any], kwargs_tup: Sequence[dict[str, Any]] | None = None,
                   devices: Sequence[Any] | None = None) -> list[Any]:
    """Each module's output of its own input.

    >>> import flambeau as torch
    >>> torch.nn.parallel.parallel_apply([torch.nn.Identity()] * 2, [torch.ones(1), torch.zeros(1)])
    [tensor([1.]), tensor([0.])]
    """
    if len(modules) != len(inputs):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of inputs {len(inputs)}")
    options = kwargs_tup or [{}] * len(modules)
    return [module(*(given if isinstance(given, (list, tuple)) else (given,)), **named)
            for module, given, named in zip(modules, inputs, options, strict=True)]


def get_a_var(obj: Any) -> Tensor | None:
    """A tensor of nested containers."""
    if isinstance(obj, Tensor):
        return obj
    inside = children(obj)
    found = map(get_a_var, inside[1].values() if inside else ())
    return next((x for x in found if x is not None), None)


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> list[Any]:
    """Tensors in nested containers in as many parts as there are devices, and everything else in each.

    >>> import flambeau as torch
    >>> torch.nn.parallel.scatter({"x": torch.arange(4)}, ["cpu", "cpu"])
    [{'x': tensor([0, 1])}, {'x': tensor([2, 3])}]
    """
    if isinstance(inputs, Tensor):
        return list(chunk(inputs, len(target_gpus), dim))
    inside = children(inputs)
    if inside is None or not inside[1]:
        return [inputs for _ in target_gpus]
    parts = {key: scatter(value, target_gpus, dim) for key, value in inside[1].items()}
    return [container_of(inputs, {key: part[i] for key, part in parts.items()}) for i in range(min(map(len, parts.values())))]


def scatter_kwargs(inputs: tuple[Any, ...], kwargs: dict[str, Any] | None, target_gpus: Sequence[Any],
                   dim: int = 0) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]:
    """`scatter` of positional and of named arguments; as many of both."""
    rows = scatter(inputs, target_gpus, dim) if inputs else []
    named = scatter(kwargs, target_gpus, dim) if kwargs else []
    most = max(len(rows), len(named))
    return tuple(rows + [()] * (most - len(rows))), tuple(named + [{}] * (most - len(named)))


def gather(outputs: Sequence[Any], target_device: Any, dim: int = 0) -> Any:
    """Parts put together again: tensors along `dim`, 0-d ones as a vector."""
    first = outputs[0]
    if isinstance(first, Tensor):
        return stack(list(outputs)) if first.ndim == 0 else cat(list(outputs), dim)
    if first is None:
        return None
    inside = children(first)
    if inside is None:
        raise TypeError(f"gather takes tensors in nested containers, got {type(first).__name__}")
    rows = [children(output)[1] for output in outputs]  # type: ignore[index]
    return container_of(first, {key: gather([row[key] for row in rows], target_device, dim) for key in inside[1]})
