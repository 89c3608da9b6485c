"""The memory of a tensor as far as programs ask for it: which it is, and how large.

Values here are made by programs and move when they are written, so that an address is a number which tells memory apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..tensor.device import device as Device
from ..tensor.tensor import Tensor
from .methods import method
from .strided import as_strided

_ROOM = 4096  # between the numbers of two memories: views of one of them differ by their offset


class UntypedStorage:
    """The bytes that a tensor and its views share: equal for tensors that do.

    >>> import flambeau as torch
    >>> x = torch.ones(2, 3)
    >>> x.untyped_storage().nbytes(), x[1].untyped_storage() == x.untyped_storage()
    (24, True)
    """

    is_cuda = is_hpu = is_sparse = False

    def __init__(self, tensor: Tensor) -> None:
        if not isinstance(tensor, Tensor):
            raise NotImplementedError("UntypedStorage is not made of its own: x.untyped_storage() tells of the memory of x")
        while tensor._base is not None:
            tensor = tensor._root
        self._whole = tensor

    @property
    def device(self) -> Device:
        """Where it lies."""
        return self._whole.device

    def nbytes(self) -> int:
        """How many bytes it has."""
        return int(self._whole.nbytes)

    size = __len__ = nbytes

    def as_elements(self, kind: dtype) -> Tensor:
        """All of it as a vector of this dtype, on the same memory."""
        whole = as_strided(self._whole.detach(), (self._whole.numel(),), (1,))
        return whole if whole.dtype is kind else whole.view(kind)

    def data_ptr(self) -> int:
        """A number that tells memory apart; 0 of nothing."""
        return id(self._whole._storage) * _ROOM if self.nbytes() else 0

    def element_size(self) -> int:
        """1."""
        return 1

    def tolist(self) -> list[int]:
        """The bytes. Reads the values."""
        return np.frombuffer(self._whole.detach().contiguous().cpu().numpy().tobytes(), np.uint8).tolist()

    def __getitem__(self, place: Any) -> Any:
        return self.tolist()[place]

    def filename(self) -> None:
        """None: no file is behind it."""

    def share_memory_(self) -> Any:
        """Itself: processes that are forked see memory as it is then."""
        return self

    def is_shared(self) -> bool:
        """False: processes that are forked see memory as it is then."""
        return False

    is_pinned = resizable = is_shared

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other._whole._storage is self._whole._storage

    def __hash__(self) -> int:
        return hash(self._whole._storage)


class TypedStorage(UntypedStorage):
    """The memory of a tensor as elements of its dtype: what `Tensor.storage` gives."""

    @property
    def dtype(self) -> dtype:
        """Of its elements."""
        return self._whole.dtype

    def size(self) -> int:
        """How many elements it has."""
        return self._whole.numel()

    __len__ = size

    def element_size(self) -> int:
        """Bytes of an element."""
        return self._whole.element_size()

    def tolist(self) -> list[Any]:
        """The elements. Reads the values."""
        return self._whole.detach().reshape(-1).tolist()

    def to(self, *, device: Any = None, non_blocking: bool = False) -> TypedStorage:
        """On another device."""
        return TypedStorage(self._whole.to(device=device))

    def cpu(self) -> TypedStorage:
        """On the CPU."""
        return self.to(device="cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> TypedStorage:
        """On a CUDA device."""
        return TypedStorage(self._whole.cuda(device))

    def get_device(self) -> int:
        """The number of its device; -1 for the CPU."""
        return self._whole.get_device()

    def clone(self) -> TypedStorage:
        """A copy."""
        return TypedStorage(self._whole.clone())

    def copy_(self, source: TypedStorage, non_blocking: bool | None = None) -> TypedStorage:
        """Write the elements of another one."""
        self._whole.copy_(source._whole.reshape(self._whole.shape))
        return self

    def fill_(self, value: Any) -> TypedStorage:
        """Write one number into all elements."""
        self._whole.fill_(value)
        return self

    def share_memory_(self) -> TypedStorage:
        """Itself: processes that are forked see memory as it is then."""
        return self

    def pin_memory(self, device: Any = None) -> TypedStorage:
        """Itself: memory of the host is not pinned."""
        return self

    def untyped(self) -> UntypedStorage:
        """As bytes."""
        return UntypedStorage(self._whole)


def _converting(name: str, kind: Any) -> None:
    def convert(self: TypedStorage) -> TypedStorage:
        return TypedStorage(self._whole.to(kind))

    convert.__name__, convert.__doc__ = name, f"Its elements as {kind.name}."
    setattr(TypedStorage, name, convert)


for _name, _kind in {
        "bfloat16": dtypes.bfloat16, "bool": dtypes.boolean, "byte": dtypes.uint8, "char": dtypes.int8, "double": dtypes.float64,
        "float": dtypes.float32, "half": dtypes.float16, "int": dtypes.int32, "long": dtypes.int64, "short": dtypes.int16,
        "complex_double": dtypes.complex128, "complex_float": dtypes.complex64, "float8_e4m3fn": dtypes.float8_e4m3fn,
        "float8_e4m3fnuz": dtypes.float8_e4m3fnuz, "float8_e5m2": dtypes.float8_e5m2,
        "float8_e5m2fnuz": dtypes.float8_e5m2fnuz}.items():
    _converting(_name, _kind)


@method()
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The bytes that it shares with its views."""
    return UntypedStorage(self)


@method()
def storage(self: Tensor) -> TypedStorage:
    """The elements that it shares with its views."""
    return TypedStorage(self)


@method("data_ptr", "const_data_ptr")
def data_ptr(self: Tensor) -> int:
    """A number that tells apart where tensors begin in memory: equal for views that begin at one element.

    >>> import flambeau as torch
    >>> x = torch.ones(4)
    >>> x[2:].data_ptr() - x.data_ptr()
    8
    """
    return UntypedStorage(self).data_ptr() + self.storage_offset() * self.element_size() if self.numel() else 0
