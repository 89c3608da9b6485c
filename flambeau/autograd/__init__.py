"""`torch.autograd`: https://pytorch.org/docs/stable/autograd.html"""

import sys
from contextlib import nullcontext as _nullcontext
from importlib import import_module as _import_module

from .. import absent as _absent
from ..tracer.autograd import *  # noqa: F403
from ..tracer.autograd import __all__ as _names
from ..tracer.autograd import anomaly as anomaly_mode
from ..tracer.autograd import function, functional
from ..tracer.autograd import modes as grad_mode
from . import forward_ad, graph
from .variable import Variable

for _name, _module in (("function", function), ("functional", functional), ("grad_mode", grad_mode),
                       ("anomaly_mode", anomaly_mode)):
    sys.modules[f"{__name__}.{_name}"] = _module



class set_multithreading_enabled(_nullcontext[None]):
    """A block, or from here on: one program computes all gradients, by as many threads as XLA has."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = mode


class enforce_grad_layout_policy(set_multithreading_enabled):
    """A block, or from here on: gradients lie in memory as their tensors do, in any case."""


class InplaceFunction(function.Function):
    """A `Function` that may be told to work in place: `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


function.InplaceFunction = InplaceFunction  # type: ignore[attr-defined]
grad_mode.__dict__.update(set_multithreading_enabled=set_multithreading_enabled,
                          enforce_grad_layout_policy=enforce_grad_layout_policy)
_refused = _absent.named_in(__name__)


def __getattr__(name: str) -> object:
    """The profiler comes on first use."""
    return _import_module(".profiler", __name__) if name == "profiler" else _refused(name)


__all__ = ["enforce_grad_layout_policy", "set_multithreading_enabled", *_names,
           "Variable", "anomaly_mode", "forward_ad", "grad_mode", "graph"]
