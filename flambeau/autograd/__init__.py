"""`torch.autograd`: https://pytorch.org/docs/stable/autograd.html"""

import sys

from ..tracer.autograd import *  # noqa: F403
from ..tracer.autograd import __all__ as _names
from ..tracer.autograd import anomaly as anomaly_mode
from ..tracer.autograd import function, functional
from ..tracer.autograd import modes as grad_mode
from . import forward_ad, graph, profiler
from .variable import Variable

for _name, _module in (("function", function), ("functional", functional), ("grad_mode", grad_mode),
                       ("anomaly_mode", anomaly_mode)):
    sys.modules[f"{__name__}.{_name}"] = _module

__all__ = [*_names, "Variable", "anomaly_mode", "forward_ad", "grad_mode", "graph", "profiler"]
