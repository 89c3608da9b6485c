"""What can be asked of a tensor, mostly without its values: https://pytorch.org/docs/stable/tensors.html

There is one kind of tensor here: dense, with its values as they are. So some questions of torch have one answer only.
"""

from __future__ import annotations

from typing import Any

from ..tensor.layouts import strided
from ..tensor.tensor import Tensor
from .methods import method
from .spelling import spelled

Tensor.layout = property(lambda self: strided)  # type: ignore[attr-defined]


@method()
def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero. Reads the value; RuntimeError unless there is one element.

    >>> import flambeau as torch
    >>> torch.is_nonzero(torch.tensor([0.0]))
    False
    """
    return bool(input)


@spelled
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a real floating type."""
    return input.dtype.is_floating_point


@spelled
def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input.dtype.is_complex


@method()
@spelled
def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return input.dtype.is_signed


@method()
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape."""
    if not isinstance(other, Tensor):
        raise TypeError(f"is_same_size(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    return input._type.shape == other._type.shape


@method()
def is_inference(input: Tensor) -> bool:
    """Always False: what is made in `inference_mode` may be used anywhere."""
    return False


@method()
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Always False: memory of the host is not pinned."""
    return False


@method()
def is_shared(self: Tensor) -> bool:
    """Always False: no memory is shared between processes."""
    return False


@method()
@spelled
def get_device(input: Tensor) -> int:
    """The number of the device among those of its kind; -1 on the CPU."""
    where = input.device
    return -1 if where.type == "cpu" else where.index or 0


@method()
def ndimension(self: Tensor) -> int:
    """The number of dimensions."""
    return self.ndim


def _answer(name: str, ask: Any, doc: str) -> None:
    setattr(Tensor, name, property(ask, doc=doc))


_answer("layout", lambda self: strided, "How elements are kept: strided.")
_answer("is_cpu", lambda self: self.device.type == "cpu", "Whether the tensor lives on the CPU.")
_answer("is_meta", lambda self: self._device == "meta", "Whether the tensor has no contents.")
_answer("is_quantized", lambda self: False, "Always False: there are no quantized dtypes.")
_answer("is_sparse_csr", lambda self: False, "Always False: all tensors are dense.")
