"""`Tensor`: the mutable handle that users hold, over a storage and a chain of views.

The methods that compute (`sum`, `matmul`, `add_`, ...) are attached by `flambeau.tracer.functions`, where they are
defined under torch's names; here is what a tensor is.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..ir import dtypes
from ..ir.constants import full_like
from ..ir.dtypes import dtype
from ..ir.errors import TraceError, no_dimensions
from ..ir.graph import GradientHooks, Value
from ..ir.recorder import Recorder, grad_mode, recording
from ..ir.state import state
from ..ir.told import tell
from ..ir.types import Type
from ..ops.elementwise import alias, select, with_value
from .assigned import assign, pending, settle
from .context import context
from .copies import copied_leaf, fresh
from .device import Size, as_size, device
from .epochs import _structure_changed, grad_epoch
from .grad_fn import grad_fn_of
from .handles import Handle, is_otherwise
from .maps import home
from .offsets import offset
from .steps import Step, written_through
from .storage import Storage, without_history
from .strides import Geometry, contiguous_stride, lies_in_order, of_gradient, overlaps
from .viewed import read_through, viewed_type

LEAF_IN_PLACE = "a leaf Variable that requires grad is being used in an in-place operation."
WRITE_BESIDE_HISTORY = (
    "the body of a cond, while_loop, scan or map writes in place to a tensor from outside that shares its memory with a "
    "detached one: where its gradient goes cannot be carried through the loop. Make the new tensor without writing, and "
    "carry it or return it.")
HISTORY_BESIDE = (
    "a tensor from outside that was detached, and then written in place with what requires grad, is read while a function is "
    "traced: its history is its own, and not that of the memory that the compiled program reads. Pass it as an argument, or "
    "clone() it outside.")
LEAVES_SHARE_STORAGE = (
    "the body of a cond, while_loop, scan or map uses a leaf that shares its memory with another leaf: which of the two "
    "its gradient belongs to is not known in there. Pass it in as an operand, or give it memory of its own with clone().")
VIEW_OF_LEAF_IN_PLACE = "a view of a leaf Variable that requires grad is being used in an in-place operation."
VIEW_WITHOUT_GRAD_IN_PLACE = (
    "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Make the view and write to "
    "it either both inside of the no_grad block (then the write is not differentiated) or both outside (then it is).")
OVERLAP = ("unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
           "Please clone() the tensor before performing the operation.")
GETS_NONE = ("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
             "populated during autograd.backward(). Call retain_grad() on it before, or ask the leaf that it was computed from.")


class Tensor:
    """An n-dimensional array of one dtype, as torch's: https://pytorch.org/docs/stable/tensors.html

    >>> import flambeau as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    # All fields, in two parts; the states that they can be in: `tests/views/states.py`. Of the memory and its history:
    _storage: Storage
    _base: Tensor | None = None
    _steps: tuple[Step, ...] = ()
    _geometry: Geometry | None = None
    _type: Any
    _requires_grad: bool = False  # of a leaf
    _variable: bool = False  # what a function transform differentiates by: a leaf to it
    _parted: bool = False  # detach() was here: others share the memory, and history is this handle's own, not the storage's
    _detached: bool = False  # a view that no gradient flows through, such as one made under no_grad
    _graph: Value | None = None  # of a parted tensor: its value with history, if it has one
    _graph_of: Value | None = None  # the plain value that `_graph` stands for
    _inside: object = None  # the mark of the trace that made this handle of memory, if one did
    # Of this handle alone, which `_leave_behind` does not hand on:
    _grad: Tensor | None = None
    _retains_grad: bool = False
    _origin: Tensor | None = None  # what this one's views go through, after its shape was changed in place
    _hooks: GradientHooks | None = None  # of a leaf's gradient
    _seen: tuple[Value, bool, Value, Recorder | None] | None = None  # of the base: value last read; grad mode; own value

    __array_priority__ = 1000  # numpy arrays leave binary operators to us

    if TYPE_CHECKING:  # attached by `tracer.functions`
        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __lshift__(self, other: Any) -> Tensor: ...
        def __rshift__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __neg__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __bool__(self) -> bool: ...
        def __int__(self) -> int: ...
        def __float__(self) -> float: ...

    # --- Making -------------------------------------------------------------------------------------------------------

    def __new__(cls, *args: Any, **kwargs: Any) -> Tensor:
        """`Tensor(2, 3)`, `Tensor(data)`: torch's first constructor, from sizes, data or another tensor."""
        return _constructors["tensor"](cls, *args, **kwargs)

    @staticmethod
    def _of(value: Value) -> Tensor:
        """A tensor with storage of its own."""
        made = object.__new__(Tensor)
        made._storage = Storage(value)
        made._type = value.type
        return made

    @staticmethod
    def _on(storage: Storage) -> Tensor:
        """A tensor on a storage that others may change: history is its own."""
        made = object.__new__(Tensor)
        made._storage, made._type, made._parted = storage, storage.value.type, True
        return made

    def _view(self, step: Step, geometry: Geometry | None = None) -> Tensor:
        """A tensor that shares this one's storage through one more step."""
        step = step if context.trace is None else step.known()
        return self._viewed((step,), geometry, viewed_type(step, self._type))

    def _viewed(self, steps: tuple[Step, ...], geometry: Geometry | None, kind: Type) -> Tensor:
        """A tensor that shares this one's storage through further steps, which give it this type."""
        made = object.__new__(Tensor)
        if context.trace is not None:
            made._inside = context.trace.mark
        made._storage, made._geometry, made._type = self._storage, geometry, kind
        made._base = root = self if self._base is None or self._requires_grad or self._parted else self._base
        made._steps = steps if root is self else (*self._steps, *steps)
        made._detached = self._detached or not state.grad
        return made

    def _noted(self) -> None:
        """Let the trace know what it is now, before it is used or changed in it, if it comes from outside."""
        trace = context.trace
        if trace is not None and self._storage.trace is None and self not in trace.handles:
            trace.handles[self] = Handle.of(self)

    # --- The current value --------------------------------------------------------------------------------------------

    def _read(self) -> Value:
        """The value that an operation on this tensor takes."""
        if context.in_body and context.maps and all(step.placed for step in self._steps):
            return self._read_at_home()  # a view at a place that the body computed is read in the body, its base at home
        base = self._base
        if context.trace is not None:
            self._noted()
        value = self._storage.read() if base is None else self._through_steps(self._root._read())
        if self._requires_grad:
            leaf = value.leaf
            if leaf is None:
                self._mark_leaf(value)
            elif leaf() is not self:
                return self._own_leaf(value)
        elif self._parted:
            return self._with_history(without_history(value))
        elif self._detached:
            return without_history(value)
        return value

    def _read_at_home(self) -> Value:
        """In the body of a vmap: what is read of a tensor from outside is recorded outside."""
        maps, context.maps = context.maps, ()
        try:
            with recording(home(self._storage, maps)):
                return self._read()
        finally:
            context.maps = maps

    def _through_steps(self, value: Value) -> Value:
        seen = self._seen
        if (seen is not None and seen[0] is value and seen[3] is state.recorder
                and (seen[1] or not state.grad or not value.requires_grad)
                and (seen[2].node is None or not seen[2].node.spent)):  # a view saves nothing: its gradient is there again
            return seen[2]
        source, value = value, read_through(self._steps, value, self._type)
        if self._requires_grad or value is source:  # a leaf among views needs a value of its own
            value = alias(without_history(value) if self._requires_grad else value)
        self._seen = (source, state.grad, value, state.recorder)
        return value

    def _own_leaf(self, value: Value) -> Value:
        """This leaf's own value where another leaf shares the storage, as `x.detach().requires_grad_()` does."""
        if self._seen is None or self._seen[0] is not value:
            if self._from_outside():
                raise TraceError(LEAVES_SHARE_STORAGE)
            own = without_history(value)
            self._mark_leaf(own)
            self._seen = (value, True, own, None)
        return self._seen[2]

    def _mark_leaf(self, value: Value) -> None:
        value.requires_grad = True
        value.leaf = weakref.ref(self)

    def _with_history(self, value: Value) -> Value:
        """Join the history that `detach` split off with what the storage holds now."""
        if self._graph is None:
            return value
        if value is self._graph_of:
            return self._graph
        if context.trace is not None and self._storage.trace is None and self._inside is None:
            raise TraceError(HISTORY_BESIDE)
        joined = _joined(self._graph, value)
        if not self._from_outside():
            self._graph, self._graph_of = joined, value
        return joined

    # --- Writing ------------------------------------------------------------------------------------------------------

    def _write(self, value: Value, touched: Callable[[], Value] | None = None) -> None:
        """Make this tensor read as `value`, and everything that shares its memory accordingly; torch's refusals.

        A tensor that shows elements of its memory several times is written only by who says which of them are `touched`.
        """
        if state.grad:
            self._refuse_write(value)
        if self._retains_grad:  # the gradient to keep is that of what the tensor is from now on
            self._read().leaf = None
        self._set(value, touched)
        self._storage.count_write()
        if self._retains_grad:
            self._mark_leaf_again()

    def _refuse_write(self, value: Value) -> None:
        if self._requires_grad or self._variable:
            raise RuntimeError(LEAF_IN_PLACE)
        if self._base is None or self._parted:
            return
        if self._detached:
            if value.requires_grad or self._root.requires_grad:
                raise RuntimeError(VIEW_WITHOUT_GRAD_IN_PLACE)
        elif self._root._requires_grad or self._root._variable:
            raise RuntimeError(VIEW_OF_LEAF_IN_PLACE)

    def _set(self, value: Value, touched: Callable[[], Value] | None = None) -> None:
        """Write without refusing; in grad mode the history of what was there is replaced, else it stays."""
        if pending:
            settle()
        if self._base is not None and not self._parted:
            self._set_view(self._root, value, touched)
            return
        if self._parted and self._from_outside() and (self._graph is not None or value.requires_grad):
            raise TraceError(WRITE_BESIDE_HISTORY)
        if state.grad and value.type.dtype.is_inexact and not value.requires_grad and not self._requires_grad:
            before = self._value_before()
            if before.requires_grad:
                value = _overwritten(before, value)
        if self._parted:
            self._set_contents(without_history(value), touched)
            if state.grad and not self._requires_grad:
                self._noted()
                if value.requires_grad and self._graph is None:
                    is_otherwise(self._storage)
                self._graph = value if value.requires_grad else None
                self._graph_of = self._contents()
        else:
            if not state.grad and not self._requires_grad and not value.requires_grad:
                before = self._value_before()
                if before.requires_grad:
                    value = _joined(before, value)
            self._chosen(None)
            self._storage.write(value)

    def _value_before(self) -> Value:
        """What a write replaces; of a tensor whose memory was lost only the type is left."""
        return self._storage.value if self._storage.lost else self._read()

    def _contents(self) -> Value:
        """The plain value of a parted tensor."""
        value = self._storage.read() if self._base is None else self._through_steps(self._root._read())
        return without_history(value)

    def _set_contents(self, value: Value, touched: Callable[[], Value] | None) -> None:
        if self._base is None:
            self._chosen(None)
            self._storage.write(value)
        else:
            self._set_through(self._root, value, touched)

    def _escaped(self) -> bool:
        """Whether a trace made this tensor, which means nothing where no trace is in progress."""
        return self._storage.trace is not None

    @property
    def _root(self) -> Tensor:
        """What the steps of a view start from."""
        base = self._base
        assert base is not None
        return base if base._origin is None else base._origin

    def _become(self, view: Tensor) -> None:
        """Turn into a view of itself: what `t_`, `unsqueeze_` and their like do. Other views stay as they are."""
        self._refuse_in_trace()
        if state.grad and self._requires_grad:
            raise RuntimeError(LEAF_IN_PLACE)
        if view._base is self:
            self._base = self._leave_behind()
        self._steps, self._geometry, self._type, self._seen = view._steps, view._geometry, view._type, None
        is_otherwise(self._storage)

    def _refuse_in_trace(self) -> None:
        trace = context.trace
        if trace is not None and ((self._inside is not trace.mark and self._storage.trace is not trace)
                                  or trace.is_stand_in(self)):
            raise TraceError("the shape of a tensor from outside was changed in place while a function was traced, which the "
                             "compiled program could not repeat. Use the form that returns a view, or return the tensor.")

    def _leave_behind(self) -> Tensor:
        """A tensor that is from now on what this one was, to all views that were made of it."""
        if self._requires_grad:
            origin = self.detach()
        else:
            origin = object.__new__(Tensor)
            origin.__dict__ = {k: v for k, v in self.__dict__.items() if k in _OWN and k not in _OF_A_HANDLE}
            self._graph = self._graph_of = None
            self._parted = False
        self._origin = origin
        return origin

    def _set_view(self, base: Tensor, value: Value, touched: Callable[[], Value] | None) -> None:
        if state.grad and not value.requires_grad and not self.requires_grad:
            with grad_mode(False):  # the base's gradient goes where it went, as in torch
                self._set_through(base, value, touched)
        else:
            self._set_through(base, value, touched)

    def _set_through(self, base: Tensor, value: Value, touched: Callable[[], Value] | None) -> None:
        chosen, before = self._chosen(touched), base._read()
        base._set(written_through(self._steps, before, value, chosen), lambda: written_through(
            self._steps, full_like(before, 0, dtypes.boolean), chosen or full_like(value, 1, dtypes.boolean), chosen))

    def _chosen(self, touched: Callable[[], Value] | None) -> Value | None:
        """Which elements a write means, if the tensor shows some of its memory several times; else None."""
        if self._geometry is None or not overlaps(self._type.shape, self._geometry.stride):
            return None
        if touched is None:
            raise RuntimeError(OVERLAP)
        return touched()

    # --- What is known without a value --------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return as_size(self._type.shape)

    @property
    def dtype(self) -> dtype:
        """The element type."""
        return self._type.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._type.ndim

    @property
    def device(self) -> device:
        """Where the tensor lives."""
        return device(self._device)

    @property
    def _device(self) -> str:
        return self._storage.value.device

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one of its sizes."""
        return self.shape if dim is None else self._type.shape[own_dim(dim, self.ndim)]

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._type.size

    nelement = numel

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._type.nbytes

    def stride(self, dim: int | None = None) -> Any:
        """How far apart neighbours along each dimension lie in the storage, in elements."""
        strides = self._strides.stride
        return strides if dim is None else strides[own_dim(dim, self.ndim)]

    @property
    def _strides(self) -> Geometry:
        return self._geometry or Geometry(contiguous_stride(self._type.shape))

    def storage_offset(self) -> int:
        """The storage element that this tensor's first element is."""
        trace = self._storage.trace
        return offset(self) + (trace.offset(self._storage) // self.itemsize if trace is not None else 0)

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in order, row-major or as a memory format says, without gaps."""
        return lies_in_order(self._type.shape, self._geometry, memory_format and memory_format.order)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a real floating type."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.dtype.is_complex

    @property
    def is_cuda(self) -> bool:
        """Whether the tensor lives on a CUDA device."""
        return self._device.startswith("cuda")

    @property
    def is_sparse(self) -> bool:
        """Always False: all tensors are dense."""
        return False

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self._type.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[i] for i in range(len(self))])

    def __hash__(self) -> int:
        return id(self)

    # --- Gradient bookkeeping -----------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor."""
        if self._requires_grad:
            return True
        if self._detached:
            return False
        if self._parted:
            return self._graph is not None
        if self._base is not None:
            return self.dtype.is_inexact and self._root.requires_grad
        return self._storage.read().requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Make this tensor a leaf whose `.grad` is filled by `backward()`, or stop it from being one."""
        if requires_grad and not self.dtype.is_inexact:
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        self._noted()
        if requires_grad and not self.requires_grad:
            if self._base is None:
                # A value of its own: earlier uses of the old one must not start to carry gradients.
                before = self._storage.read()
                if not before.requires_grad:
                    self._storage.write(fresh(before))
            self._detached = False
            self._become_leaf()
            _structure_changed()
        elif not requires_grad and self._requires_grad:
            self._requires_grad = False
            if self._base is None:
                self._storage.leaf = None
                self._storage.write(without_history(self._storage.read()))
            self._seen = None
            _structure_changed()
        elif not requires_grad and self.requires_grad:
            raise RuntimeError("you can only change requires_grad flags of leaf variables. If you want to use a computed "
                               "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().")
        return self

    def _become_leaf(self) -> None:
        self._requires_grad, self._seen = True, None
        storage = self._storage
        if self._base is None and (storage.leaf is None or storage.leaf() is None):
            storage.leaf = weakref.ref(self)

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user rather than computed from others that require gradients."""
        return self._requires_grad or not self.requires_grad

    def _accumulated(self) -> Tensor | None:
        trace = context.trace
        if trace is not None:
            return trace.read_grad(self)
        gradient = self._grad
        if gradient is not None and gradient._storage.pack is not None:
            gradient._storage.pack.read = True  # from now on somebody may hold it
        return gradient

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient, or None."""
        gradient = self._accumulated()
        if gradient is None and self.requires_grad and not self._requires_grad and not self._retains_grad:
            tell(GETS_NONE)
        return gradient

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            _check_grad(self, gradient)
        if context.region is not None:
            context.region.note_grad(self)
        trace = context.trace
        if trace is None:
            self._bind_grad(gradient)
        else:
            trace.write_grad(self, gradient)

    def _gradient(self, value: Value) -> Tensor:
        """A tensor for this leaf's gradient, which lies in memory as the leaf."""
        gradient = Tensor._of(value)
        if self._geometry is not None:
            gradient._geometry = of_gradient(self._type.shape, self._geometry)
        return gradient

    def _bind_grad(self, gradient: Tensor | None) -> None:
        if gradient is not self._grad:
            self._grad = gradient
            grad_epoch[0] += 1

    def detach(self) -> Tensor:
        """A tensor that shares this one's storage and through which no gradient flows."""
        if pending:
            settle()
        made = object.__new__(Tensor)
        made._storage, made._type, made._geometry, made._parted = self._storage, self._type, self._geometry, True
        if self._base is not None:
            made._base, made._steps = self._root.detach(), self._steps
        elif not self._requires_grad and not self._from_outside():
            self._part()
        if context.trace is not None:
            made._inside = context.trace.mark
            self._noted()
        made._storage.show(self, made)
        return made

    def _from_outside(self) -> bool:
        """Whether a body of control flow is being recorded that this tensor was not made in."""
        return context.region is not None and self._storage.region is not context.region

    def detach_(self) -> Tensor:
        """Cut this tensor off from its history."""
        if self._base is not None and not self._parted:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        if context.trace is not None and context.trace.is_stand_in(self) and self.requires_grad and not self._requires_grad:
            raise TraceError("detach_() of an argument would cut the tensor outside off from its history, which a compiled "
                             "program cannot do. Use detach().")
        if self._requires_grad:
            self.requires_grad_(False)
        else:
            self._part()
            self._graph = self._graph_of = None
        return self

    def _part(self) -> None:
        """From now on the storage holds plain contents, and this handle its history."""
        if self._parted:
            return
        self._parted = True
        value = self._storage.read()
        if value.requires_grad:
            self._storage.write(without_history(value))
            self._graph, self._graph_of = value, self._storage.read()

    @property
    def data(self) -> Tensor:
        """The same storage without history, as `detach()`."""
        return self.detach()

    @data.setter
    def data(self, new: Tensor) -> None:
        """Show the memory of another tensor from now on; shape and dtype may change, as in torch."""
        if self._requires_grad and not new.dtype.is_inexact:
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        assign(self, new)

    def retain_grad(self) -> None:
        """Keep `.grad` of this non-leaf tensor too."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not self._requires_grad:
            self._retains_grad = True
            self._mark_leaf_again()

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this non-leaf tensor."""
        return self._retains_grad

    def _mark_leaf_again(self) -> None:
        self._read().leaf = weakref.ref(self)

    @property
    def grad_fn(self) -> Any:
        """What computed this tensor, for looking at; None for leaves."""
        if self.is_leaf:
            return None
        return grad_fn_of(self._read())

    @property
    def _version(self) -> int:
        """How often the memory was written in place: by this tensor, its views, and others that share it."""
        return self._storage.version

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return copied_leaf(self, memo, _OWN)


_FIELDS = tuple(Tensor.__annotations__)
_OWN = frozenset(_FIELDS)
_OF_A_HANDLE = frozenset(_FIELDS[_FIELDS.index("_grad"):])
_constructors: dict[str, Any] = {}


def _joined(before: Value, value: Value) -> Value:
    """`value` with the history of `before`: a write under no_grad changes what a tensor is, not where its gradient goes."""
    with grad_mode(True):
        return with_value(before, value)


def _overwritten(before: Value, value: Value) -> Value:
    """`value` in place of `before`, which gets a gradient of zero: it requires grad still, as in torch."""
    return select(full_like(before, 1, dtypes.boolean), value, before)


def _checked_dim(dim: int, ndim: int) -> int:
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return dim % bound


def own_dim(dim: int, ndim: int) -> int:
    """A dimension that is there, which a point (0-d) has none of."""
    if not ndim:
        raise no_dimensions(dim)
    return _checked_dim(dim, ndim)


def _delete_grad(tensor: Tensor) -> None:
    tensor.grad = None


Tensor.grad = Tensor.grad.deleter(_delete_grad)  # type: ignore[attr-defined, method-assign]


def _check_grad(tensor: Tensor, gradient: Tensor) -> None:
    if not isinstance(gradient, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(gradient).__name__}")
    if gradient._type.shape != tensor._type.shape:
        raise RuntimeError(f"attempting to assign a gradient of size '{list(gradient.shape)}' to a tensor of size "
                           f"'{list(tensor.shape)}'. Please ensure that the gradient and the tensor are the same size")
    if gradient.dtype is not tensor.dtype:
        raise RuntimeError(f"assigned grad has data of a different type: expected {tensor.dtype}, got {gradient.dtype}")


def attributes_given(tensor: Tensor) -> dict[str, Any]:
    """The attributes that users put on a tensor."""
    return {name: value for name, value in tensor.__dict__.items() if name not in _OWN}
