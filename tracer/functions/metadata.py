"""Changing in place how a tensor lies over its memory, and asking which memory that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tensor import Tensor
from .common import method
from .shape import as_strided, squeeze, t, transpose, unsqueeze


def _reshaping(names: Sequence[str], view: Any) -> None:
    def update(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self._become(view(self, *args, **kwargs))
        return self

    for name in names:
        setattr(Tensor, name, update)
    update.__name__ = update.__qualname__ = names[0]
    update.__doc__ = f"In-place form of `{view.__name__}`: the memory stays, other views of it do not change."


for _names, _view in [(["t_"], t), (["transpose_", "swapaxes_", "swapdims_"], transpose), (["squeeze_"], squeeze),
                      (["unsqueeze_"], unsqueeze), (["as_strided_"], as_strided)]:
    _reshaping(_names, _view)


@method()
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both tensors are the same view of the same memory."""
    return (self._storage is tensor._storage and self._type is tensor._type and self._strides == tensor._strides
            and self.is_conj() == tensor.is_conj())


@method("_is_view")
def _is_view(self: Tensor) -> bool:
    """Whether gradients of this tensor are those of a part of another one, its `_base`."""
    return self._base is not None and not self._parted
