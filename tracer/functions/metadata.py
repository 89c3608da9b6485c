"""Changing in place how a tensor lies over its memory, and asking which memory that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..tensor.steps import Reshape
from ..tensor.strides import contiguous_stride
from ..tensor.tensor import Tensor
from .dims import shape_argument
from .joining import cat
from .methods import method, named
from .shape import reshape, squeeze, t, transpose, unsqueeze
from .strided import as_strided


def _reshaping(names: Sequence[str], view: Any) -> None:
    @method(*names)
    @named(names[0], f"In-place form of `{view.__name__}`: the memory stays, other views of it do not change.")
    def update(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self._become(view(self, *args, **kwargs))
        return self


for _names, _view in [(["t_"], t), (["transpose_", "swapaxes_", "swapdims_"], transpose), (["squeeze_"], squeeze),
                      (["unsqueeze_"], unsqueeze), (["as_strided_"], as_strided)]:
    _reshaping(_names, _view)


@method()
def set_(self: Tensor, source: Tensor) -> Tensor:
    """Turn into another view of the memory of `source`; earlier views of this tensor keep the old memory."""
    if self.requires_grad:
        raise RuntimeError("set_() requires a tensor that does not require grad")
    if source.dtype is not self.dtype:
        raise RuntimeError(f"Could not set tensor of type {source.dtype} to a tensor of type {self.dtype}")
    self._refuse_in_trace()
    self._leave_behind()
    twin = source.detach()
    shown = twin._view(Reshape(twin._type.shape), twin._geometry)
    for name in ("_storage", "_base", "_steps", "_geometry", "_type", "_parted", "_seen"):
        setattr(self, name, getattr(shown, name))
    return self


@method()
def resize_(self: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """Turn into a row-major tensor of another shape on the same memory; on new memory, with zeros behind, if it is larger."""
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = shape_argument(sizes, size)
    offset = self.storage_offset()
    whole = self if self._base is None else self._root
    if offset + math.prod(shape) <= whole.nbytes // self.dtype.itemsize:
        self._become(as_strided(self, shape, contiguous_stride(shape), offset))
        return self
    flat = cat([reshape(self, (-1,)), self.new_zeros(math.prod(shape) - self.numel())])
    return self.set_(reshape(flat, shape))


@method()
def resize_as_(self: Tensor, the_template: Tensor) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return resize_(self, the_template.shape)


@method()
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both tensors are the same view of the same memory."""
    return (self._storage is tensor._storage and self._type is tensor._type and self._strides == tensor._strides
            and self.is_conj() == tensor.is_conj())


@method("_is_view")
def _is_view(self: Tensor) -> bool:
    """Whether gradients of this tensor are those of a part of another one, its `_base`."""
    return self._base is not None and not self._parted
