"""`torch.Stream` and `torch.Event` of any device: XLA orders what depends on each other, and there is one stream."""

from __future__ import annotations

from typing import Any, NoReturn

from . import cuda
from .accelerator import current_accelerator
from .lazy_report import synchronize as _synchronize
from .tracer.tensor.device import device as Device

_KINDS = {"cpu": 0, "cuda": 1, "tpu": 9, "meta": 14}
_NO_EVENTS = "{} backend doesn't support events."
_IPC = "torch.Event ipc is not supported yet, please open an issue if you need this!"


def _place(device: Any) -> Device:
    """The device; RuntimeError for a CUDA device where there is none."""
    place = Device(device) if device is not None else current_accelerator() or Device("cpu")
    if place.type == "cuda" and not cuda.is_available():
        raise RuntimeError("PyTorch is not linked with support for cuda devices")
    return place


class Stream:
    """The stream of a device; that of a CUDA device is a `torch.cuda.Stream`.

    >>> import flambeau as torch
    >>> torch.Stream("cpu").query()
    True

    Source: https://pytorch.org/docs/stable/generated/torch.Stream.html
    """

    def __new__(cls, device: Any = None, *, priority: int = 0, stream_id: int = 0, device_index: int = -1,
                device_type: int = 0) -> Any:
        """Of a device, or of the numbers that tell a stream."""
        place = _place(device)
        if place.type == "cuda":
            return cuda.Stream(place, priority)
        made = super().__new__(cls)
        made.device, made.stream_id, made.device_index = place, stream_id, device_index
        made.device_type = _KINDS[place.type] if device is not None else device_type
        return made

    device: Device
    device_index: int
    device_type: int
    stream_id: int

    @property
    def native_handle(self) -> NoReturn:
        """RuntimeError: a device without streams of its own has none."""
        raise RuntimeError("Backend doesn't support getting stream native handle.")

    def query(self) -> bool:
        """Whether everything is computed: after waiting for it."""
        _synchronize()
        return True

    def synchronize(self) -> None:
        """Wait until everything is computed."""
        _synchronize()

    def record_event(self, event: Any = None) -> NoReturn:
        """RuntimeError, as `Event.record`."""
        raise RuntimeError(_NO_EVENTS.format(self.device.type))

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for: there is one stream."""

    def wait_stream(self, stream: Any) -> NoReturn:
        """RuntimeError, as `Event.record`."""
        raise RuntimeError(_NO_EVENTS.format(self.device.type))

    def is_capturing(self) -> bool:
        """False: nothing is captured."""
        return False

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: Any) -> None:
        return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self._told == other._told

    def __hash__(self) -> int:
        return hash(self._told)

    @property
    def _told(self) -> tuple[str, int, int]:
        return self.device.type, self.device_index, self.stream_id

    def __repr__(self) -> str:
        return f"torch.Stream device_type={self.device.type}, device_index={self.device_index}, stream_id={self.stream_id}"


class Event:
    """A moment in the work of a device; that of a CUDA device is a `torch.cuda.Event`, others cannot be recorded.

    >>> import flambeau as torch
    >>> torch.Event("cpu").query()
    True

    Source: https://pytorch.org/docs/stable/generated/torch.Event.html
    """

    def __new__(cls, device: Any = None, *, enable_timing: bool = False, blocking: bool = False,
                interprocess: bool = False) -> Any:
        """Of a device."""
        place = _place(device)
        if place.type == "cuda":
            return cuda.Event(enable_timing, blocking, interprocess)
        made = super().__new__(cls)
        made.device, made.event_id, made._timing = place, 0, enable_timing
        return made

    device: Device
    event_id: int
    _timing: bool

    def record(self, stream: Any = None) -> NoReturn:
        """RuntimeError: moments are those of CUDA devices."""
        raise RuntimeError(_NO_EVENTS.format(self.device.type))

    def elapsed_time(self, end_event: Event) -> NoReturn:
        """ValueError: nothing was recorded."""
        if not (self._timing and end_event._timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        raise ValueError("Both events must be recorded before calculating elapsed time.")

    def query(self) -> bool:
        """True: nothing is waited for."""
        return True

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for."""

    def ipc_handle(self) -> NoReturn:
        """NotImplementedError, as in torch."""
        raise NotImplementedError(_IPC)

    @classmethod
    def from_ipc_handle(cls, device: Any, handle: bytes) -> NoReturn:
        """NotImplementedError, as in torch."""
        raise NotImplementedError(_IPC)

    def __repr__(self) -> str:
        return f"torch.Event device_type={self.device.type}, device_index=-1, event_flag=0, event_id={self.event_id}"
