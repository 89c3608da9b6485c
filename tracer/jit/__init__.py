"""One call, one executable.

The machinery of this room is loaded when something is compiled first: until then `import flambeau` does without it. What is
loaded earlier reaches it through the package, as in `room.jit.jit(function)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import jit, step, trials

__all__ = ["jit", "step", "trials"]  # the latter two once the first is loaded


def __getattr__(name: str) -> Any:
    if name == "jit":
        return import_module(".jit", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
