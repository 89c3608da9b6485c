"""`torch.utils.checkpoint`: https://pytorch.org/docs/stable/checkpoint.html"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import Enum
from typing import Any

from ..absent import refusal
from ..tracer.autograd.checkpointing import checkpoint, checkpoint_sequential
from ..tracer.functions.random import get_rng_state, set_rng_state
from ..tracer.ir.told import tell
from ..tracer.tensor.tensor import Tensor

_POLICY = "name the operations whose results are kept: checkpoint(function, x, policy={'dot', 'convolution'})"
create_selective_checkpoint_contexts = refusal("torch.utils.checkpoint.create_selective_checkpoint_contexts", _POLICY)
SelectiveCheckpointContext = refusal("torch.utils.checkpoint.SelectiveCheckpointContext", _POLICY)
CheckpointFunction = refusal("torch.utils.checkpoint.CheckpointFunction", "call checkpoint(function, *args)")
SAC_IGNORED_OPS: set[Any] = set()


class CheckpointError(RuntimeError):
    """torch's, where a function computes another thing the second time: here it is not run a second time."""


class GraphExecGroup:
    """A block whose backwards belong together: they are one program in any case. RuntimeError inside another one."""

    _open = False

    def __enter__(self) -> GraphExecGroup:
        if GraphExecGroup._open:
            raise RuntimeError("GraphExecGroup contexts cannot be nested.")
        GraphExecGroup._open = True
        return self

    def __exit__(self, *error: Any) -> None:
        GraphExecGroup._open = False


class CheckpointPolicy(Enum):
    """torch's words for what is kept of an operation."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


class DefaultDeviceType:
    """The kind of device whose random state torch keeps: one generator serves all kinds here."""

    _kind = "cuda"

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        """Keep a kind."""
        DefaultDeviceType._kind = device

    @staticmethod
    def get_device_type() -> str:
        """The kind that was kept."""
        return DefaultDeviceType._kind


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Accepted: only what is needed is computed again, in any case."""
    yield


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Accepted: what is computed again is in the program, step.graph."""
    yield


def noop_context_fn() -> tuple[nullcontext[None], nullcontext[None]]:
    """Two contexts that do nothing."""
    return nullcontext(), nullcontext()


def check_backward_validity(inputs: Any) -> None:
    """Warn where no input requires a gradient."""
    if not any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        tell("None of the inputs have requires_grad=True. Gradients will be None")


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors cut off from their history, which require a gradient as before."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type:  {type(inputs).__name__}")
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs)


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """The numbers of the tensors' accelerators and the generator's state, once for each."""
    devices = sorted({x.device.index or 0 for x in args if isinstance(x, Tensor) and x.device.type != "cpu"})
    return devices, [get_rng_state() for _ in devices]


def set_device_states(devices: list[int], states: list[Tensor], *, device_type: str | None = None) -> None:
    """Give the generator the first of these states."""
    for state in states[:1]:
        set_rng_state(state)


__all__ = [
    "SAC_IGNORED_OPS",
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "DefaultDeviceType",
    "GraphExecGroup",
    "SelectiveCheckpointContext",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]
