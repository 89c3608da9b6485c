"""`import flambeau.as_torch`: from here on `import torch` in this process means Flambeau. See `shim.py`."""

from .shim import install

install()
