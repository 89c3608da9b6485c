"""Changing in place how a tensor lies over its memory, and asking which memory that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..ops.structural import Ints
from ..tensor.assigned import show_memory_of
from ..tensor.layouts import memory_format
from ..tensor.offsets import offset
from ..tensor.steps import Reshape
from ..tensor.strides import contiguous_stride, settled_stride
from ..tensor.tensor import Tensor
from .dims import shape_argument, whole_list
from .joining import cat
from .methods import method, named
from .shape import squeeze, swapaxes, t, transpose, unsqueeze
from .storages import UntypedStorage
from .strided import as_strided


def _reshaping(names: Sequence[str], view: Any) -> None:
    @method(*names)
    @named(names[0], f"In-place form of `{view.__name__}`: the memory stays, other views of it do not change.")
    def update(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        input._become(view(input, *args, **kwargs))
        return input

    update.__wrapped__ = view  # type: ignore[attr-defined]  # its signature


for _names, _view in [(["t_"], t), (["transpose_", "swapdims_"], transpose), (["swapaxes_"], swapaxes),
                     (["squeeze_"], squeeze), (["unsqueeze_"], unsqueeze), (["as_strided_"], as_strided)]:
    _reshaping(_names, _view)


def _stride_for(size: Ints, stride: Sequence[int] | None) -> Ints:
    """The strides that `set_` is given, or row-major ones where it is given none."""
    steps = () if stride is None else whole_list(stride, "stride")
    if not steps:
        return contiguous_stride(size)
    if len(steps) != len(size):
        raise RuntimeError(f"unequal size length ({len(size)}) and stride length ({len(steps)})")
    return settled_stride(size, steps)


@method()
def set_(self: Tensor, source: Tensor | UntypedStorage | None = None, storage_offset: int = 0, size: Sequence[int] | None = None,
         stride: Sequence[int] | None = None) -> Tensor:
    """Turn into another view of the memory of `source`; earlier views of this tensor keep the old memory.

    With a `size`, into one of that size, at an offset and with strides of its own; without a source, into an empty one.
    """
    source = self.new_zeros(0) if source is None else source
    if isinstance(source, UntypedStorage):
        source = source.as_elements(self.dtype)
    if size is not None:
        size = whole_list(size, "size")
        source = as_strided(source.detach(), size, _stride_for(size, stride), storage_offset)
    if self.requires_grad:
        raise RuntimeError("set_() requires a tensor that does not require grad")
    if source.dtype is not self.dtype:
        raise RuntimeError(f"Could not set tensor of type {source.dtype} to a tensor of type {self.dtype}")
    self._refuse_in_trace()
    self._leave_behind()
    twin = source.detach()
    shown = twin._view(Reshape(twin._type.shape), twin._geometry)
    show_memory_of(self, shown)
    return self


@method()
def resize_(self: Tensor, *sizes: Any, size: Any = None, memory_format: memory_format | None = None) -> Tensor:
    """Turn into a row-major tensor of another shape on the same memory; on a copy of it, with zeros behind, if it is larger."""
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = shape_argument(sizes, size)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"numel: integer multiplication overflow\n(resize_ requires sizes of 0 or more, got {list(shape)})")
    if shape == self._type.shape and memory_format is None:
        return self
    offset = self.storage_offset()
    whole = self if self._base is None else self._root
    held = whole.nbytes // self.dtype.itemsize
    if offset + math.prod(shape) <= held:
        self._become(as_strided(self, shape, contiguous_stride(shape), offset))
        return self
    flat = cat([as_strided(self, (held,), (1,), 0), self.new_zeros(offset + math.prod(shape) - held)])
    return self.set_(flat, offset, shape)


@method()
def resize_as_(input: Tensor, the_template: Tensor, *, memory_format: memory_format | None = None) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return resize_(input, the_template.shape, memory_format=memory_format)


@method()
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both tensors are the same view of the same memory."""
    return (self._storage is tensor._storage and self._type is tensor._type and self.stride() == tensor.stride()
            and offset(self) == offset(tensor) and self.is_conj() == tensor.is_conj())


@method("_is_view")
def _is_view(self: Tensor) -> bool:
    """Whether gradients of this tensor are those of a part of another one, its `_base`."""
    return self._base is not None and not self._parted
