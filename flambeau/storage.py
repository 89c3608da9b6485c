"""`torch.storage`: https://pytorch.org/docs/stable/storage.html"""

from .tracer.functions.storages import TypedStorage, UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]
