"""An exception of a worker on its way to the process that asked."""

from __future__ import annotations

import sys
import traceback


class KeyErrorMessage(str):
    """A text that a KeyError shows as it is, with its lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """The type of the exception that is being handled, and its traceback as text: frames cannot be sent.

    Args: `where`, what it says of the place, as in "in DataLoader worker process 0".
    """

    def __init__(self, where: str) -> None:
        kind, error, trace = sys.exc_info()
        assert kind is not None
        self.exc_type = kind
        self.exc_msg = "".join(traceback.format_exception(kind, error, trace))
        self.where = where

    def reraise(self) -> None:
        """Raise it here: in its own type, or as a RuntimeError where that is made in another way."""
        text = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            raise KeyError(KeyErrorMessage(text))
        try:
            if getattr(self.exc_type, "message", None):
                error = self.exc_type(message=text)  # type: ignore[call-arg]
            else:
                error = self.exc_type(text)
        except Exception:
            raise RuntimeError(text) from None
        try:
            raise error
        finally:
            del error  # whose traceback holds this frame: the circle would keep the iterator, and its workers
