"""`torch.SymInt` and its kin: what `isinstance` may ask for. Sizes are ints here, so that nothing gives one."""

from __future__ import annotations

from typing import Any


class _Symbol:
    """A number that has a name in torch's programs: here it holds one that is known."""

    def __init__(self, node: Any) -> None:
        self.node = node

    def __bool__(self) -> bool:
        return bool(self.node)

    def __hash__(self) -> int:
        return hash(self.node)

    def __eq__(self, other: object) -> bool:
        return bool(self.node == (other.node if isinstance(other, _Symbol) else other))

    def __repr__(self) -> str:
        return repr(self.node)


class SymInt(_Symbol):
    """A whole number.

    >>> import flambeau as torch
    >>> isinstance(torch.ones(2).shape[0], torch.SymInt), torch.SymInt(5).bit_length()
    (False, 3)
    """

    __hash__ = _Symbol.__hash__

    def __int__(self) -> int:
        return int(self.node)

    __index__ = __int__

    def as_integer_ratio(self) -> tuple[SymInt, int]:
        """Itself, and 1."""
        return self, 1

    def bit_length(self) -> int:
        """Of how many bits it is."""
        return int(self.node).bit_length()

    def conjugate(self) -> SymInt:
        """Itself."""
        return self


class SymFloat(_Symbol):
    """A floating point number.

    >>> import flambeau as torch
    >>> torch.SymFloat(0.5).as_integer_ratio()
    (1, 2)
    """

    def __float__(self) -> float:
        return float(self.node)

    def as_integer_ratio(self) -> tuple[int, int]:
        """Two whole numbers, of which it is the quotient."""
        return float(self.node).as_integer_ratio()

    def conjugate(self) -> SymFloat:
        """Itself."""
        return self

    def hex(self) -> str:
        """Its digits to the base 16."""
        return float(self.node).hex()

    def is_integer(self) -> bool:
        """Whether it is a whole number."""
        return float(self.node).is_integer()


class SymBool(_Symbol):
    """True or false.

    >>> import flambeau as torch
    >>> bool(torch.SymBool(False))
    False
    """
