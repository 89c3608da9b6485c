"""`nn.parallel`: https://pytorch.org/docs/stable/nn.html#dataparallel-layers-multi-gpu-distributed

A program runs on one device, so that a wrapped module is that module: its keys begin with "module.", as torch's do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..tracer.ir.told import tell
from .module import Module
from .replicas import data_parallel, gather, parallel_apply, replicate, scatter


class DataParallel(Module):
    """A module that would run on a part of each batch per device; on the one device it runs on all of it.

    Args: `module`; `device_ids` and `output_device` are accepted, with a warning if there is more than one; `dim`, the
    dimension of a batch that would be parted. Source: https://pytorch.org/docs/stable/generated/torch.nn.DataParallel.html

    >>> import flambeau as torch
    >>> model = torch.nn.DataParallel(torch.nn.Linear(2, 1))
    >>> list(model.state_dict()), model(torch.ones(3, 2)).shape
    (['module.weight', 'module.bias'], torch.Size([3, 1]))
    """

    def __init__(self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        if device_ids is not None and len(device_ids) > 1:
            tell(f"DataParallel was given {len(device_ids)} devices; a program runs on one here, so the module runs on "
                 "the device where its parameters are")
        self.module, self.dim, self.device_ids, self.output_device = module, dim, list(device_ids or []), output_device

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's."""
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """A module whose gradients would be averaged over processes; in the one process it is that module.

    Args: `module`; all others are accepted. Source:
    https://pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html

    >>> import flambeau as torch
    >>> model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
    >>> with model.no_sync():
    ...     model(torch.ones(3, 2)).shape
    torch.Size([3, 1])
    """

    def __init__(self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0,
                 broadcast_buffers: bool | None = None, init_sync: bool = True, process_group: Any = None,
                 **options: Any) -> None:
        super().__init__()
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any parameter that requires a "
                               "gradient.")
        self.module, self.dim, self.device_ids, self.output_device = module, dim, device_ids, output_device

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's."""
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block in which gradients are not averaged over processes."""
        yield


__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel", "gather", "parallel_apply", "replicate", "scatter"]
