"""What a shape and a device are to users."""

from __future__ import annotations


class Size(tuple[int, ...]):
    """A shape, as `Tensor.shape` gives it. >>> Size((2, 3)).numel() -> 6"""

    def numel(self) -> int:
        """The number of elements."""
        count = 1
        for n in self:
            count *= n
        return count

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


class device:
    """Where a tensor lives: `cpu`, `cuda:0`, `tpu:0`. >>> device("cpu") -> device(type='cpu')"""

    __slots__ = ("type", "index")

    def __init__(self, name: str | device, index: int | None = None) -> None:
        text = str(name)
        self.type, _, number = text.partition(":")
        self.index = int(number) if number else index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (f", index={self.index})" if self.index is not None else ")")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))
