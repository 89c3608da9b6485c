"""What a shape and a device are to users."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any


class Size(tuple[int, ...]):
    """A shape, as `Tensor.shape` gives it. >>> Size((2, 3)).numel() -> 6"""

    def __new__(cls, sizes: Any = ()) -> Size:
        made = tuple.__new__(cls, sizes)
        if all(type(n) is int for n in made):
            return made
        return tuple.__new__(cls, [_whole(n, at) for at, n in enumerate(made)])

    def numel(self) -> int:
        """The number of elements."""
        count = 1
        for n in self:
            count *= n
        return count

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    # Parts and sums of shapes are shapes: `Tensor(x.shape[1:])` asks for sizes, `Tensor((2, 3))` for data.
    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return as_size(found) if type(index) is slice else found

    def __add__(self, other: Any) -> Size:
        if not isinstance(other, tuple):
            raise TypeError(f"can only concatenate tuple (not {type(other).__name__}) to torch.Size")
        return as_size((*self, *other))

    def __radd__(self, other: Any) -> Size:
        return as_size((*other, *self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, count: Any) -> Size:
        return as_size(tuple.__mul__(self, count))

    __rmul__ = __mul__


as_size = functools.partial(tuple.__new__, Size)  # of numbers that are known to be whole


def _whole(n: Any, at: int) -> Any:
    """A size: a whole number, a tensor of one (as a number), or a whole number that a trace reads at each call."""
    if isinstance(n, int):
        return n
    try:
        return operator.index(n)
    except TypeError:
        raise TypeError(f"torch.Size() takes an iterable of 'int' (item {at} is '{type(n).__name__}')") from None


# Those of torch, and what else XLA runs on.
TYPES = ("cpu", "cuda", "tpu", "rocm", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia",
         "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone")


class device:
    """Where a tensor lives: `cpu`, `cuda:0`, `tpu:0`.

    In a `with` block, or around a function that it decorates, it is where new tensors of this thread live.

    >>> import flambeau as torch
    >>> with torch.device("cpu"):
    ...     torch.ones(2).device
    device(type='cpu')
    """

    __slots__ = ("type", "index")

    if TYPE_CHECKING:  # attached by `tracer.functions.defaults`
        def __enter__(self) -> device: ...
        def __exit__(self, *error: object) -> None: ...
        def __call__(self, function: Any) -> Any: ...

    def __init__(self, type: str | device | int, index: int | None = None) -> None:
        if isinstance(type, bool) or not isinstance(type, (str, device, int)):
            raise TypeError(f"device() requires a device, or a type as text with an index, got {type!r}")
        if isinstance(type, int):  # one of the accelerators
            type, index = "cuda", int(type)
        text = str(type)
        self.type, colon, number = text.partition(":")
        if not self.type.replace("_", "").isalpha():
            raise RuntimeError(f"Invalid device string: '{text}'")
        if self.type not in TYPES:
            raise RuntimeError(f"Expected one of {', '.join(TYPES)} device type at start of device string: {self.type}")
        if colon and not (number.isascii() and number.isdecimal()):
            raise RuntimeError(f"Invalid device string: '{text}'")
        if colon and index is not None:
            raise RuntimeError(f"type (string) must not include an index because index was passed explicitly: {text}")
        if index is not None and index < 0:
            raise RuntimeError("Device index must not be negative")
        self.index: int | None = int(number) if colon else index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (f", index={self.index})" if self.index is not None else ")")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> Any:
        return device, (str(self),)
