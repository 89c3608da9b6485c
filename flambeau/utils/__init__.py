"""`torch.utils`: https://pytorch.org/docs/stable/utils.html"""

from importlib import import_module as _import_module

from . import checkpoint

__all__ = ["checkpoint", "data"]


def __getattr__(name: str) -> object:
    """`data` comes on first use: it loads multiprocessing."""
    if name == "data":
        return _import_module(".data", __name__)
    raise AttributeError(f"module 'flambeau.utils' has no attribute {name!r}")
