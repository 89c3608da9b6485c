"""`Parameter` and `Buffer`: tensors that a module registers when they are assigned to it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..tracer.functions.creation import empty
from ..tracer.ir import dtypes
from ..tracer.ir.graph import Value
from ..tracer.ir.types import Type
from ..tracer.lazy.flush import host_array
from ..tracer.tensor.copies import copied_alone
from ..tracer.tensor.tensor import Tensor, attributes_given


def _sharing(kind: type[Tensor], data: Tensor | None) -> Any:
    """A tensor of another class on the storage of `data`."""
    if data is None:
        data = empty(0)
    if not isinstance(data, Tensor):
        raise AttributeError(f"'{type(data).__name__}' object has no attribute 'detach'\n({kind.__name__} requires a Tensor)")
    made = data.detach()
    made.__class__ = kind
    return made


class Parameter(Tensor):
    """A tensor that is trained: a module that it is assigned to lists it among its parameters.

    Args: `data`, the tensor whose memory it shares, empty by default; `requires_grad`, whether gradients reach it. It
    is a leaf: optimizers update it in place, under `no_grad`. Set `requires_grad` to False to freeze it; then it is
    still part of the state dict. Raises AttributeError if `data` is no tensor.

    >>> import flambeau as torch
    >>> torch.nn.Parameter(torch.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)

    Source: https://pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Any:
        made = _sharing(cls, data)
        return made.requires_grad_() if requires_grad else made

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        pass

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = memo.get(id(self))
        if made is None:
            made = memo[id(self)] = type(self)(copied_alone(self), self.requires_grad)
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (Parameter, *_packed(self), self._requires_grad, attributes_given(self))


class Buffer(Tensor):
    """A tensor that is part of a module's state but not trained, such as a running mean or a mask.

    Args: `data`, the tensor whose memory it shares, empty by default; `persistent`, whether it is in the state dict. A
    module that it is assigned to lists it among its buffers: it moves with `to()`, and no optimizer sees it. Raises
    AttributeError if `data` is no tensor.

    >>> import flambeau as torch
    >>> model = torch.nn.Module()
    >>> model.mask = torch.nn.Buffer(torch.ones(2), persistent=False)
    >>> [name for name, _ in model.named_buffers()], list(model.state_dict())
    (['mask'], [])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.parameter.Buffer.html
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Any:
        made = _sharing(cls, data)
        made.persistent = persistent
        return made

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        pass

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (Buffer, *_packed(self), self.persistent, attributes_given(self))


UNKNOWN = ("Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` when "
           "trying to load an uninitialized parameter into an initialized one. Call `forward` to initialize the parameters "
           "before accessing their attributes.")


class UninitializedTensorMixin:
    """What a tensor of a lazy module is before its shape is known: it can be moved and converted, and be materialised."""

    cls_to_become: ClassVar[type[Tensor]] = Tensor

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of a shape, with undefined contents."""
        own: Any = self
        options = {"device": own.device if device is None else device, "dtype": own.dtype if dtype is None else dtype}
        own.data = empty(shape, **options)
        own.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        """RuntimeError: it is not known yet."""
        raise RuntimeError(UNKNOWN)

    def share_memory_(self) -> Any:
        """RuntimeError: there is no memory yet."""
        raise RuntimeError("Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the "
                           "parameters before calling `module.share_memory()`.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        own: Any = self
        made = memo.get(id(self))
        if made is None:
            made = memo[id(self)] = _blank(type(self), own._requires_grad, own._device, own.dtype.name)
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        own: Any = self
        return _blank, (type(self), own._requires_grad, own._device, own.dtype.name)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known before the first input, as lazy modules have it.

    Args: `requires_grad`, whether gradients will reach it; `device` and `dtype`. `materialize(shape)` makes it a `Parameter`.
    Raises RuntimeError where its shape is asked for.

    >>> import flambeau as torch
    >>> weight = torch.nn.UninitializedParameter()
    >>> weight.materialize((2, 3))
    >>> type(weight).__name__, weight.shape
    ('Parameter', torch.Size([2, 3]))

    Source: https://pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedParameter.html
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return super().__new__(cls, empty(0, device=device, dtype=dtype), requires_grad)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        pass


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is not known before the first input, as lazy modules have it.

    Args: `requires_grad`, `device` and `dtype`; `persistent`, whether it is in the state dict. `materialize(shape)` makes it
    a tensor. Raises RuntimeError where its shape is asked for.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedBuffer.html
    """

    persistent: bool

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> Any:
        made = _sharing(cls, empty(0, device=device, dtype=dtype))
        made.persistent = persistent
        return made.requires_grad_() if requires_grad else made

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> None:
        pass


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)


def _blank(kind: type[Any], requires_grad: bool, on: str, dtype: str) -> Any:
    return kind(requires_grad, on, getattr(dtypes, dtype))


def _packed(tensor: Tensor) -> tuple[Any, str]:
    """What a pickle holds of a tensor: the contents and the device."""
    return np.array(host_array(tensor.detach()._read())), tensor._device


def _rebuild(kind: Any, array: Any, on: str, flag: bool, attributes: Any = None) -> Any:
    value = Value(Type.of(array.shape, dtypes.from_numpy(array.dtype)), "cpu", array)
    plain = Tensor._of(value).to(device=on)
    made = Parameter(plain, flag) if kind is Parameter else Buffer(plain, persistent=flag)
    made.__dict__.update(attributes or {})
    return made
