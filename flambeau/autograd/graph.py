"""`torch.autograd.graph`: https://pytorch.org/docs/stable/autograd.html#autograd-graph"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..absent import refusal
from ..tracer.tensor.grad_fn import GradFn as Node
from ..tracer.tensor.grad_fn import grad_fn_of


@contextmanager
def save_on_cpu(pin_memory: bool = False, device_type: str = "cuda") -> Iterator[None]:
    """Accepted: what is kept for a backward is chosen by the program, and `utils.checkpoint` makes it less."""
    yield


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A block without hooks on what is saved: there are none."""
    yield


saved_tensors_hooks = refusal("torch.autograd.graph.saved_tensors_hooks", "what a backward needs is kept by the program, and no "
                              "tensor by tensor; utils.checkpoint keeps less of it")
register_multi_grad_hook = refusal("torch.autograd.graph.register_multi_grad_hook", "register a hook on each tensor: "
                                   "x.register_hook(...)")
@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """A block in which tensors that a backward needs may be written: what it needs is a value of its own, here as anywhere.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
    ...     y = x.clone()
    ...     total = (y ** 2).sum()
    ...     _ = y.sin_()
    ...     total.backward()
    >>> x.grad
    tensor([2., 2.])

    Source: https://pytorch.org/docs/stable/autograd.html#torch.autograd.graph.allow_mutation_on_saved_tensors
    """
    yield


def increment_version(tensor: Any) -> None:
    """Accepted: values never change, so that nothing has to count writes."""


class GradientEdge(NamedTuple):
    """A result of a function in the graph of gradients."""

    node: Node
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Where a tensor is in the graph of gradients; RuntimeError for one that requires none.

    >>> import flambeau as torch
    >>> torch.autograd.graph.get_gradient_edge(torch.ones(1, requires_grad=True).exp()).node.name()
    'ExpBackward0'
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(grad_fn_of(tensor._read()), tensor.output_nr)


__all__ = ["GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks", "get_gradient_edge",
           "increment_version",
           "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks"]
