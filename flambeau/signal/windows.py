"""`torch.signal.windows`. Source: https://pytorch.org/docs/stable/signal.html"""

from ..tracer.functions.windows import (
    bartlett,
    blackman,
    cosine,
    exponential,
    gaussian,
    general_cosine,
    general_hamming,
    hamming,
    hann,
    kaiser,
    nuttall,
)

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall"]
__path__: list[str] = []  # torch.signal.windows.windows is found below it: see aliases.py
