"""`torch.nn.utils.stateless`, the old place of `torch.func.functional_call`."""

from __future__ import annotations

from typing import Any

from ...tracer.ir.told import tell
from ...tracer.tensor.tensor import Tensor
from ...tracer.transforms.modules import functional_call as _functional_call
from ..module import Module


def functional_call(module: Module, parameters_and_buffers: dict[str, Tensor], args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False) -> Any:
    """`torch.func.functional_call` under its old name, with torch's warning."""
    tell("This API is deprecated as of PyTorch 2.0 and will be removed in a future version of PyTorch. Please use "
         "torch.func.functional_call instead which is a drop-in replacement.", FutureWarning)
    return _functional_call(module, parameters_and_buffers, () if args is None else args, kwargs, tie_weights=tie_weights,
                            strict=strict)
