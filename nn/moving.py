"""What changes all parameters and buffers of a tree of modules at once: their device, their dtype, their memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self

from ..tracer.functions.creation import empty_like
from ..tracer.ir import dtypes
from ..tracer.tensor.device import device
from ..tracer.tensor.epochs import structure_epoch
from ..tracer.tensor.layouts import memory_format, preserve_format
from ..tracer.tensor.tensor import Tensor


class Movable:
    """The part of `Module` that moves and converts."""

    __slots__ = ()

    children: Callable[[], Any]
    parameters: Callable[[], Any]
    buffers: Callable[[], Any]
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the contents of parameters, gradients and buffers by `fn` of them."""
        if recurse:
            for child in self.children():
                child._apply(fn)
        for parameter in self._parameters.values():
            if parameter is not None:
                _replace(parameter, fn)
                if parameter.grad is not None:
                    _replace(parameter.grad, fn)
        for buffer in self._buffers.values():
            if buffer is not None:
                _replace(buffer, fn)
        structure_epoch[0] += 1
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device, or convert floating point parameters and buffers to a dtype, in place.

        A `memory_format` is for the tensors of 4 and 5 dimensions. Raises RuntimeError for one that these cannot have.
        """
        kind, on = _destination(*args, **kwargs)
        if kind is not None and not kind.is_inexact:
            raise TypeError("nn.Module.to only accepts floating point or complex dtypes, but got desired "
                            f"dtype={kind}")
        form = kwargs.get("memory_format") or preserve_format
        if form.order is not None:
            for tensor in (*self.parameters(), *self.buffers()):
                if tensor.ndim in (4, 5):
                    form.stride(tensor.shape)  # raises what it has to before anything is changed
        return self._apply(lambda t: _moved(t, on, kind if t.dtype.is_inexact else None, form if t.ndim in (4, 5) else
                                            preserve_format))

    def _to_floating(self, kind: dtypes.dtype) -> Self:
        return self._apply(lambda t: t.to(kind) if t.dtype.is_floating_point else t)

    def float(self) -> Self:
        """Floating point parameters and buffers to float32."""
        return self._to_floating(dtypes.float32)

    def double(self) -> Self:
        """Floating point parameters and buffers to float64."""
        return self._to_floating(dtypes.float64)

    def half(self) -> Self:
        """Floating point parameters and buffers to float16."""
        return self._to_floating(dtypes.float16)

    def bfloat16(self) -> Self:
        """Floating point parameters and buffers to bfloat16."""
        return self._to_floating(dtypes.bfloat16)

    def type(self, dst_type: Any) -> Self:
        """All parameters and buffers to a dtype, also one by a former name ("torch.DoubleTensor")."""
        return self._apply(lambda t: t.type(dst_type))

    def cpu(self) -> Self:
        """To the CPU."""
        return self._apply(lambda t: _moved(t, "cpu", None))

    def cuda(self, device: Any = None) -> Self:
        """To a CUDA device."""
        name = "cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else str(device)
        return self._apply(lambda t: _moved(t, name, None))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """To a device without the contents, which are undefined afterwards."""
        return self._apply(lambda t: empty_like(t, device=device), recurse=recurse)

    def share_memory(self) -> Self:
        """The module itself: processes read what `state_dict` gives, buffers of the device are not shared."""
        return self._apply(lambda t: t.share_memory_())

    def xpu(self, device: Any = None) -> NoReturn:
        """torch's AssertionError: there are no such devices."""
        raise AssertionError("Torch not compiled with XPU enabled")

    def ipu(self, device: Any = None) -> NoReturn:
        """torch's RuntimeError: there are no such devices."""
        raise RuntimeError("PyTorch is not linked with support for ipu devices")

    def mtia(self, device: Any = None) -> NoReturn:
        """torch's AssertionError: there are no such devices."""
        raise AssertionError("Torch not compiled with MTIA enabled.")


def _moved(tensor: Tensor, on: Any, kind: dtypes.dtype | None, form: memory_format = preserve_format) -> Tensor:
    if tensor.is_meta and on is not None and device(on).type != "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of "
                                  "torch.nn.Module.to() when moving module from meta to a different device.")
    return tensor.to(device=on, dtype=kind, memory_format=form)


def _replace(tensor: Tensor, fn: Callable[[Tensor], Tensor]) -> None:
    before = tensor.detach()
    after = fn(before)
    if after is not before:
        tensor.data = after


def _destination(*args: Any, **kwargs: Any) -> tuple[dtypes.dtype | None, Any]:
    """dtype and device of the arguments of `to`: (device, dtype, ...), (dtype, ...) or (tensor, ...), then `non_blocking`."""
    first = args[0] if args else kwargs.get("tensor")
    names = (("tensor",) if isinstance(first, Tensor) else ("dtype",) if isinstance(first, dtypes.dtype) else ("device", "dtype"))
    allowed = (*names, "non_blocking")
    given = dict(zip(allowed, args))
    if "copy" in kwargs:
        raise RuntimeError(".to() does not accept copy argument")
    wrong = [name for name in kwargs if name not in (*allowed, "memory_format") or name in given]
    if len(args) > len(allowed) or wrong or not isinstance((given | kwargs).get("non_blocking", False), (bool, int)):
        raise TypeError("to() received an invalid combination of arguments - it requires (device, dtype, non_blocking), (dtype, "
                        f"non_blocking) or (tensor, non_blocking), and memory_format by name, got {len(args)} by place"
                        + (f" and {', '.join(map(repr, wrong))}" if wrong else ""))
    given |= kwargs
    if isinstance(first, Tensor):
        return first.dtype, first.device
    kind, on = given.get("dtype"), given.get("device")
    if kind is not None and not isinstance(kind, dtypes.dtype):
        raise TypeError(f"to() requires a torch.dtype, such as torch.float32, got {kind!r}")
    return kind, on
