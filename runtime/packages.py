"""Where storages in files of PyTorch's format are said to be, and what is done with them: also by rules of the user.

Source: https://pytorch.org/docs/stable/notes/serialization.html#torch.serialization.register_package
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..tracer.functions.operands import wrap
from ..tracer.functions.storages import UntypedStorage
from ..tracer.ir import dtypes
from ..tracer.ir.graph import Value
from ..tracer.ir.types import Type
from ..tracer.lazy.flush import host_array
from ..tracer.tensor.device import device
from .restoring import Place, target

Array = np.ndarray[Any, Any]

Tagger = Callable[[Any], "str | None"]
Deserializer = Callable[[Any, str], Any]


def _tag(kind: str) -> Tagger:
    def tag(storage: Any) -> str | None:
        return str(storage.device) if storage.device.type == kind else None

    return tag


def _restore(kind: str) -> Deserializer:
    def restore(storage: Any, location: str) -> Any:
        if location.partition(":")[0] != kind:
            return None
        on = target(None, location, 0) if kind != "meta" else "meta"
        return storage if str(storage.device) == on else type(storage)(storage._whole.to(device=on))

    return restore


_OURS: list[tuple[int, Tagger, Deserializer]] = [(priority, _tag(kind), _restore(kind)) for priority, kind in
                                                 ((10, "cpu"), (20, "cuda"), (22, "meta"), (24, "tpu"))]
_packages = list(_OURS)


def register_package(priority: int, tagger: Tagger, deserializer: Deserializer) -> None:
    """A rule for storages in files of PyTorch's format: where they are said to be, and what is done with them there.

    Args: `priority`, those of smaller numbers are asked first, the CPU's has 10; `tagger`, of a storage the name of its place,
    or None if the next one is to be asked; `deserializer`, of a storage and the name of its place a storage, or None.

    >>> from flambeau.serialization import register_package
    >>> register_package(1000, lambda storage: None, lambda storage, location: None)

    Source: https://pytorch.org/docs/stable/notes/serialization.html#torch.serialization.register_package
    """
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda package: package[0])


def location_tag(storage: Any) -> str:
    """The name of the place of a storage; RuntimeError if nobody knows it.

    >>> import flambeau as torch
    >>> torch.serialization.location_tag(torch.ones(2).untyped_storage())
    'cpu'
    """
    for _, tagger, _ in _packages:
        found = tagger(storage)
        if found:
            return found
    raise RuntimeError("don't know how to determine data location of " + _name(storage))


def default_restore_location(storage: Any, location: str) -> Any:
    """A storage as it is at a place; RuntimeError if nobody knows that."""
    for _, _, deserializer in _packages:
        found = deserializer(storage, location)
        if found is not None:
            return found
    raise RuntimeError(f"don't know how to restore data location of {_name(storage)} (tagged with {location})")


def _name(storage: Any) -> str:
    return f"torch.storage.{type(storage).__name__}"


def tag_of(whole: Any) -> str:
    """The place of a tensor's memory as files tell it."""
    return location_tag(UntypedStorage(whole)) if len(_packages) > len(_OURS) else str(whole._device)


def restored(map_location: Any, saved: str, data: Array) -> tuple[Array, str]:
    """The bytes of a storage that was saved at a place, and the device for them."""
    if len(_packages) == len(_OURS):
        return data, target(map_location, saved, data.nbytes)
    wanted: Any = saved
    if isinstance(map_location, Mapping):
        wanted = map_location.get(saved, saved)
    elif callable(map_location) and not isinstance(map_location, device):
        place = map_location(Place(data.nbytes), saved)
        wanted = saved if place is None else str(place.device)
    elif map_location is not None:
        wanted = str(map_location)
    plain = UntypedStorage(wrap(Value(Type.of((data.nbytes,), dtypes.uint8), "cpu", data)))
    made = default_restore_location(plain, wanted)
    if made is plain:
        return data, "cpu"
    return np.asarray(host_array(made._whole.detach().to(device="cpu").reshape(-1)._read())).view(np.uint8), str(made.device)
