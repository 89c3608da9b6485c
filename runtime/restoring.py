"""What it takes to restore a tensor, beside its contents: where it goes (`map_location`), and how its class is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..tracer.functions.defaults import canonical_device
from ..tracer.ir.errors import CheckpointError
from ..tracer.tensor.device import device
from ..tracer.tensor.tensor import Tensor

NO_CUDA = ("Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on a "
           "CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to the CPU.")

Maker = Callable[[Tensor, bool], Tensor]
# "Parameter" and "Buffer": set by the face, since layers are not this folder's to know
makers: dict[str, Maker] = {}
classes: dict[str, type[Tensor]] = {}
torchs: dict[str, Any] = {"torch.Tensor": Tensor}  # what else a file whose author is trusted may name, by torch's name


class Place:
    """What a function given as `map_location` gets for a storage: it moves it, or returns it as it is."""

    def __init__(self, count: int, on: str = "cpu") -> None:
        self._count, self._on = count, on

    @property
    def device(self) -> device:
        """Where the storage is."""
        return device(self._on)

    def nbytes(self) -> int:
        """Its size."""
        return self._count

    def cpu(self) -> Place:
        """On the CPU."""
        return Place(self._count)

    def cuda(self, index: Any = None) -> Place:
        """On a GPU."""
        name = "cuda" if index is None else f"cuda:{index}" if isinstance(index, int) else str(index)
        return Place(self._count, name)

    def to(self, device: Any) -> Place:
        """On a device."""
        return Place(self._count, str(device))


def target(map_location: Any, saved: str, count: int) -> str:
    """The device for a storage that was saved on `saved`."""
    wanted: Any = saved
    if callable(map_location) and not isinstance(map_location, device):  # which is a decorator as well
        place = map_location(Place(count), saved)
        wanted = saved if place is None else place.device
    elif isinstance(map_location, Mapping):
        wanted = map_location.get(saved, saved)
    elif map_location is not None:
        wanted = map_location
    try:
        return canonical_device(str(wanted))
    except RuntimeError as error:  # a DeviceError, or a name that no device has
        if str(wanted).partition(":")[0] == "cuda":
            raise RuntimeError(NO_CUDA) from error
        if wanted is not saved:
            raise
        raise CheckpointError(f"the file has a storage of the device {saved!r:.40}, which there is not here: {error}. Say by "
                              "map_location where it is to go") from error
