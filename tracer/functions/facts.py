"""Attributes and methods of torch's tensors that have one answer here, or that walk over elements on the host.

Source: https://pytorch.org/docs/stable/tensors.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.told import tell
from ..tensor.tensor import Tensor
from .creation import from_numpy
from .joining import stack
from .methods import method
from .operands import scalar_name
from .rearranging import flip
from .slicing import unbind

# --- Where it is not, what it is not ----------------------------------------------------------------------------------


def _fact(name: str, answer: Any, meaning: str) -> None:
    setattr(Tensor, name, property(lambda self: answer, doc=meaning))


for _device in ("ipu", "maia", "mps", "mtia", "vulkan", "xla", "xpu"):
    _fact(f"is_{_device}", False, f"Whether it lives on a device of kind {_device}: never here.")
_fact("is_nested", False, "Whether it is made of tensors of several shapes: never here.")
_fact("volatile", False, "torch's former switch for gradients: see `requires_grad`.")
_fact("output_nr", 0, "Which result of its function it is: not told here.")
_fact("name", None, "torch's name of a variable: none.")


@method()
def is_distributed(input: Tensor) -> bool:
    """Whether it is spread over processes: never here.

    >>> import flambeau as torch
    >>> torch.ones(2).is_distributed()
    False
    """
    return False


@method()
def is_coalesced(self: Tensor) -> bool:
    """torch's question to sparse tensors; RuntimeError, since this one is dense."""
    raise RuntimeError("is_coalesced expected sparse coordinate tensor layout but got Strided")


@method()
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: memory of the host is not pinned."""
    return self


@method()
def share_memory_(self: Tensor) -> Tensor:
    """The tensor itself: processes that are forked see its memory as it is then."""
    return self


@method()
def record_stream(self: Tensor, s: Any) -> None:
    """Nothing: memory that is still read is kept by the runtime."""


@method()
def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """The tensor itself, or in a dtype: it is dense."""
    return self if dtype is None else self.to(dtype)


@method()
def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions from the outermost in memory to the innermost.

    >>> import flambeau as torch
    >>> torch.ones(2, 3).t().dim_order()
    (1, 0)
    """
    stride = self.stride()
    return tuple(sorted(range(self.ndim), key=lambda d: -stride[d]))


@method()
def module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What a module takes of `other` when it loads a state dict under `swap_module_params`: a copy, or itself with `assign`."""
    return other.detach() if assign else self.detach().clone().copy_(other)


Tensor.grad_dtype = property(lambda self: self.dtype, doc="The dtype of gradients of this tensor: its own.")  # type: ignore[attr-defined]

@method()
def resize(self: Tensor, *sizes: Any) -> Tensor:
    """`reshape` under its former name: RuntimeError for another number of elements."""
    tell("non-inplace resize is deprecated")
    return self.reshape(*sizes)


@method()
def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """`reshape` to the shape of another tensor."""
    tell("non-inplace resize_as is deprecated")
    return self.reshape(tensor.shape)


# --- Element by element -----------------------------------------------------------------------------------------------


def _on_host(name: str, self: Tensor, function: Callable[..., Any], **others: Tensor) -> Tensor:
    for position, (what, x) in enumerate(others.items(), 1):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): argument '{what}' (position {position}) must be Tensor, not {type(x).__name__}")
    if any(x.requires_grad for x in (self, *others.values())):
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    for what, x in others.items():
        if x.dtype is not self.dtype:
            raise TypeError(f"{name}: expected torch.{scalar_name(self.dtype)}Tensor for '{what}' (got "
                            f"torch.{scalar_name(x.dtype)}Tensor)")
    arrays = [x.expand(self.shape).numpy() for x in (self, *others.values())]
    found = [function(*(x.item() for x in row)) for row in zip(*(np.asarray(a).flat for a in arrays))]
    return self.copy_(from_numpy(np.array(found, dtype=self.dtype.numpy).reshape(self.shape)).to(device=self.device))


@method()
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Each element replaced by what a Python function makes of it. Reads the values.

    >>> import flambeau as torch
    >>> torch.tensor([1.0, 2.0]).apply_(lambda x: x + 1)
    tensor([2., 3.])
    """
    return _on_host("apply_", self, callable)


@method()
def map_(self: Tensor, other: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Each element replaced by what a Python function makes of it and of that of another tensor. Reads the values."""
    return _on_host("map_", self, callable, other=other)


@method()
def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """`map_` with two other tensors."""
    return _on_host("map2_", self, callable, x=x, y=y)


@method("__reversed__")
def _reversed(self: Tensor) -> Tensor:
    """The tensor with its first dimension reversed; a 0-d tensor itself."""
    return self if self.ndim == 0 else flip(self, 0)


@method("__nonzero__")
def _nonzero(self: Tensor) -> bool:
    return bool(self)


@method("__long__")
def _long(self: Tensor) -> int:
    return int(self)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, one tensor per dimension, of positions in a tensor of that shape that is laid out in a row.

    >>> import flambeau as torch
    >>> torch.unravel_index(torch.tensor([5, 1]), (2, 3))
    (tensor([1, 0]), tensor([2, 1]))

    Source: https://pytorch.org/docs/stable/generated/torch.unravel_index.html
    """
    if not isinstance(indices, Tensor):
        raise TypeError(f"unravel_index(): argument 'indices' must be Tensor, not {type(indices).__name__}")
    if indices.dtype.is_inexact or indices.dtype.name == "bool":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for n in sizes:
        if not isinstance(n, int):
            raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(n)}")
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    if not sizes:
        return ()
    found, rest = [], indices
    for n in reversed(sizes):
        found.append(rest % n)
        rest = rest // n
    return unbind(stack(found[::-1], -1), -1)


def _check_part(length: int, width: int, count: int, offset: int) -> None:
    """torch's errors for numbers of `width` bytes that a buffer does not hold; `count` is negative for all of them."""
    if not length or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} bytes) "
                         "minus 1")
    if count < 0 and (length - offset) % width:
        raise ValueError(f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a multiple of element "
                         f"size ({width})")
    if count * width > length - offset:
        raise ValueError(f"requested buffer length ({count} * {width} bytes) after offset ({offset} bytes) must not be greater "
                         f"than actual buffer length ({length} bytes)")


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A vector on the memory of a Python buffer.

    >>> import flambeau as torch
    >>> torch.frombuffer(bytearray([1, 2, 3]), dtype=torch.uint8, offset=1)
    tensor([2, 3], dtype=torch.uint8)

    Source: https://pytorch.org/docs/stable/generated/torch.frombuffer.html
    """
    try:
        length = memoryview(buffer).nbytes
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    _check_part(length, dtype.itemsize, count, offset)
    made = from_numpy(np.frombuffer(buffer, dtype.numpy, max(count, -1), offset))
    return made.requires_grad_() if requires_grad else made
