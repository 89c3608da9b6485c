"""`Tensor`: the mutable handle that users hold, over a storage and a chain of views.

The methods that compute (`sum`, `matmul`, `add_`, ...) are attached by `flambeau.tracer.functions`, where they are
defined under torch's names; here is what a tensor is.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import dtypes
from .batching import home
from .dtypes import dtype
from .errors import TraceError
from .graph import Value
from .ops.elementwise import alias, stop_gradient, with_value
from .recorder import Recorder, recording
from .state import state
from .storage import Storage, has_contents
from .views import Geometry, Step, contiguous_stride, is_contiguous

if TYPE_CHECKING:
    from .hooks import Hooks

LEAF_IN_PLACE = "a leaf Variable that requires grad is being used in an in-place operation."
WRITE_BESIDE_HISTORY = (
    "the body of a cond, while_loop, scan or map writes in place to a tensor from outside that shares its memory with a "
    "detached one: where its gradient goes cannot be carried through the loop. Make the new tensor without writing, and "
    "carry it or return it.")
LEAVES_SHARE_STORAGE = (
    "the body of a cond, while_loop, scan or map uses a leaf that shares its memory with another leaf: which of the two "
    "its gradient belongs to is not known in there. Pass it in as an operand, or give it memory of its own with clone().")
VIEW_OF_LEAF_IN_PLACE = "a view of a leaf Variable that requires grad is being used in an in-place operation."


class Size(tuple[int, ...]):
    """A shape, as `Tensor.shape` gives it. >>> Size((2, 3)).numel() -> 6"""

    def numel(self) -> int:
        """The number of elements."""
        count = 1
        for n in self:
            count *= n
        return count

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"


class device:
    """Where a tensor lives: `cpu`, `cuda:0`, `tpu:0`. >>> device("cpu") -> device(type='cpu')"""

    __slots__ = ("type", "index")

    def __init__(self, name: str | device, index: int | None = None) -> None:
        text = str(name)
        self.type, _, number = text.partition(":")
        self.index = int(number) if number else index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (f", index={self.index})" if self.index is not None else ")")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class Tensor:
    """An n-dimensional array of one dtype, as torch's: https://pytorch.org/docs/stable/tensors.html

    >>> import flambeau as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    _storage: Storage
    _base: Tensor | None = None
    _steps: tuple[Step, ...] = ()
    _geometry: Geometry | None = None
    _type: Any
    _requires_grad = False  # of a leaf
    _variable = False  # what a function transform differentiates by: a leaf to it
    _twin = False  # made by detach(): history that is written through this handle belongs to it alone
    _detached = False  # reads through this handle carry no gradient
    _graph: Value | None = None  # after detach(): the value with its history, while the storage holds it without
    _graph_of: Value | None = None  # the storage's value that `_graph` stands for
    _grad: Tensor | None = None
    _retains_grad = False
    _hooks: Hooks | None = None  # of a leaf's gradient
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

    def __new__(cls, data: Any = None) -> Tensor:
        """`Tensor(data)`: a float32 tensor of the data, as torch's legacy constructor."""
        from_data = _constructors["tensor"]
        return from_data(() if data is None else data, dtype=dtypes.float32)

    @staticmethod
    def _of(value: Value) -> Tensor:
        """A tensor with storage of its own."""
        made = object.__new__(Tensor)
        made._storage = Storage(value)
        made._type = value.type
        return made

    def _view(self, step: Step, geometry: Geometry | None = None) -> Tensor:
        """A tensor that shares this one's storage through one more step."""
        made = object.__new__(Tensor)
        made._storage = self._storage
        root = self if self._base is None or self._requires_grad else self._base
        made._base = root
        made._steps = (step,) if root is self else (*self._steps, step)
        made._geometry = geometry
        made._type = _viewed_type(step, self._type)
        made._detached = self._detached or not state.grad
        return made

    # --- The current value --------------------------------------------------------------------------------------------

    def _read(self) -> Value:
        """The value that an operation on this tensor takes."""
        if state.maps:
            return self._read_at_home()
        base = self._base
        if state.trace is not None and self._storage.trace is None:
            state.trace.handles.setdefault(self, (self._requires_grad, self._storage))
        if base is None:
            value = self._storage.read()
        else:
            value = self._through_steps(base._read())
        if self._requires_grad:
            leaf = value.leaf
            if leaf is None:
                self._mark_leaf(value)
            elif leaf() is not self:
                return self._own_leaf(value)
        elif self._detached:
            return _without_history(value)
        elif self._graph is not None:
            return self._with_history(value)
        return value

    def _read_at_home(self) -> Value:
        """In the body of a vmap: what is read of a tensor from outside is recorded outside."""
        maps, state.maps = state.maps, ()
        try:
            with recording(home(self._storage, maps)):
                return self._read()
        finally:
            state.maps = maps

    def _through_steps(self, value: Value) -> Value:
        seen = self._seen
        if seen is not None and seen[0] is value and seen[1] == state.grad and seen[3] is state.recorder:
            return seen[2]
        source = value
        for step in self._steps:
            value = step.read(value)
        if self._requires_grad or value is source:
            value = alias(value)  # a leaf among views needs a value of its own
        self._seen = (source, state.grad, value, state.recorder)
        return value

    def _own_leaf(self, value: Value) -> Value:
        """This leaf's own value where another leaf shares the storage, as `x.detach().requires_grad_()` does."""
        if self._seen is None or self._seen[0] is not value:
            if self._from_outside():
                raise TraceError(LEAVES_SHARE_STORAGE)
            own = _without_history(value)
            self._mark_leaf(own)
            self._seen = (value, True, own, None)
        return self._seen[2]

    def _mark_leaf(self, value: Value) -> None:
        value.requires_grad = True
        value.leaf = weakref.ref(self)

    def _with_history(self, value: Value) -> Value:
        """Join the history that `detach` split off with what the storage holds now."""
        assert self._graph is not None
        if value is self._graph_of:
            return self._graph
        joined: Value = with_value(self._graph, value)
        if not self._from_outside():
            self._graph, self._graph_of = joined, value
        return joined

    def _write(self, value: Value) -> None:
        """Rebind the storage so that this tensor reads as `value`."""
        if state.grad:
            self._refuse_leaf_write()
        if self._retains_grad:  # the gradient to keep is that of what the tensor is from now on
            self._read().leaf = None
        self._set(value)
        if self._retains_grad:
            self._mark_leaf_again()

    def _refuse_leaf_write(self) -> None:
        if self._requires_grad or self._variable:
            raise RuntimeError(LEAF_IN_PLACE)
        base = self._base
        if base is not None and (base._requires_grad or base._variable) and not self._detached:
            raise RuntimeError(VIEW_OF_LEAF_IN_PLACE)

    def _set(self, value: Value) -> None:
        base = self._base
        if base is not None:
            self._set_through(base, value)
            return
        if self._graph is not None or (self._twin and value.requires_grad):
            if self._from_outside():
                raise TraceError(WRITE_BESIDE_HISTORY)
            kept = _without_history(value)
            self._storage.write(kept)
            self._graph, self._graph_of = value if value.requires_grad else None, self._storage.value
            self._detached = self._twin and self._graph is None
            return
        if not state.grad and not self._requires_grad and not value.requires_grad:
            before = self._storage.value if self._storage.lost else self._storage.read()
            if before.requires_grad:
                value = self._keep_history(before, value)
        self._storage.write(value)

    @staticmethod
    def _keep_history(before: Value, value: Value) -> Value:
        """Under no_grad a write changes what a tensor is, not where its gradient goes."""
        state.grad = True
        try:
            return with_value(before, value)
        finally:
            state.grad = False

    def _set_through(self, base: Tensor, value: Value) -> None:
        values = [base._read()]
        for step in self._steps[:-1]:
            values.append(step.read(values[-1]))
        for step, before in zip(reversed(self._steps), reversed(values)):
            value = step.write(before, value)
        base._set(value)

    # --- What is known without a value --------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self._type.shape)

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
        return self.shape if dim is None else self._type.shape[_checked_dim(dim, self.ndim)]

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
        return strides if dim is None else strides[_checked_dim(dim, self.ndim)]

    @property
    def _strides(self) -> Geometry:
        return self._geometry or Geometry(contiguous_stride(self._type.shape))

    def storage_offset(self) -> int:
        """The storage element that this tensor's first element is."""
        return self._strides.offset

    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order."""
        return self._geometry is None or is_contiguous(self._type.shape, self._geometry.stride)

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
        if self._base is not None:
            return self.dtype.is_inexact and self._base.requires_grad
        if self._graph is not None:
            return True
        return self._storage.read().requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Make this tensor a leaf whose `.grad` is filled by `backward()`, or stop it from being one."""
        if requires_grad and not self.dtype.is_inexact:
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        if requires_grad and not self.requires_grad:
            if self._base is None and not self._detached:
                # A value of its own: earlier uses of the old one must not start to carry gradients.
                with_trace = self._storage.read()
                self._storage.write(_fresh(with_trace))
            self._detached = False
            self._seen = None
            self._requires_grad = True
            _structure_changed()
        elif not requires_grad and self._requires_grad:
            self._requires_grad = False
            if self._base is None:
                self._storage.write(_without_history(self._storage.read()))
            self._seen = None
            _structure_changed()
        elif not requires_grad and self.requires_grad:
            raise RuntimeError("you can only change requires_grad flags of leaf variables. If you want to use a computed "
                               "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().")
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user rather than computed from others that require gradients."""
        return self._requires_grad or not self.requires_grad

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient, or None."""
        trace = state.trace
        return self._grad if trace is None else trace.read_grad(self)

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            _check_grad(self, gradient)
        if state.region is not None:
            state.region.note_grad(self)
        trace = state.trace
        if trace is None:
            self._grad = gradient
            grad_epoch[0] += 1
        else:
            trace.write_grad(self, gradient)

    def detach(self) -> Tensor:
        """A tensor that shares this one's storage and through which no gradient flows."""
        made = object.__new__(Tensor)
        made._storage, made._type, made._geometry = self._storage, self._type, self._geometry
        if self._base is not None:
            made._base, made._steps, made._detached = self._base.detach(), self._steps, True
        else:
            made._twin = True
            if self._requires_grad or self._from_outside():
                made._detached = True
            else:
                self._split_history()
        return made

    def _from_outside(self) -> bool:
        """Whether a body of control flow is being recorded that this tensor was not made in."""
        return state.region is not None and self._storage.region is not state.region

    def detach_(self) -> Tensor:
        """Cut this tensor off from its history."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        if self._requires_grad:
            self.requires_grad_(False)
        else:
            self._split_history()
            self._graph = self._graph_of = None
        return self

    def _split_history(self) -> None:
        """Leave the plain contents in the storage and keep the value with its history in this handle."""
        value = self._storage.read()
        if value.requires_grad:
            plain = _without_history(value)
            self._storage.write(plain)
            self._graph, self._graph_of = value, self._storage.read()

    @property
    def data(self) -> Tensor:
        """The same storage without history, as `detach()`."""
        return self.detach()

    @data.setter
    def data(self, new: Tensor) -> None:
        """Replace the contents; shape and dtype may change, as in torch."""
        value = _without_history(new._read())
        if value.type is not self._type:
            self._storage = Storage(value)
            _structure_changed()
            self._base, self._steps, self._geometry, self._type = None, (), None, value.type
        else:
            before, state.grad = state.grad, False
            try:
                self._set(value)
            finally:
                state.grad = before

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
        return GradFn(self._read())

    @property
    def _version(self) -> Value:
        """Changes with every write; compare with `is`."""
        return self._storage.read()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol "
                               "at the moment.")
        memo_key = id(self)
        if memo_key in memo:
            return memo[memo_key]
        before, state.grad = state.grad, False
        try:
            copy = type(self)._of(_fresh(_without_history(self._read())))
        finally:
            state.grad = before
        copy.__class__ = self.__class__
        for name, attribute in self.__dict__.items():
            if name not in _OWN:
                copy.__dict__[name] = attribute
        if self._grad is not None:
            copy._grad = self._grad.__deepcopy__(memo)
        if self._requires_grad:
            copy.requires_grad_()
        memo[memo_key] = copy
        return copy


_OWN = frozenset({"_storage", "_base", "_steps", "_geometry", "_type", "_requires_grad", "_twin", "_detached", "_graph",
                  "_graph_of", "_grad", "_retains_grad", "_hooks", "_seen"})
_constructors: dict[str, Any] = {}


class GradFn:
    """A node of the recorded program as autograd sees it; prints like torch's."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def name(self) -> str:
        """The op's name with torch's ending."""
        node = self._value.node
        if node is not None and "rule" in node.params:
            return f"{node.params['rule'].name}Backward"
        return f"{''.join(part.capitalize() for part in node.op.name.split('_'))}Backward0" if node else "Backward"

    @property
    def next_functions(self) -> tuple[tuple[GradFn, int], ...]:
        """The functions of the inputs that gradients flow to."""
        node = self._value.node
        inputs: Sequence[Value] = node.inputs if node is not None else ()
        return tuple((GradFn(v), v.index) for v in inputs if v.requires_grad)

    def __repr__(self) -> str:
        return f"<{self.name()} object>"


def _viewed_type(step: Step, base: Any) -> Any:
    """The type a step gives, found by recording it on a stand-in."""
    from_cache = _view_types.get((step, base))
    if from_cache is None:
        from_cache = _view_types[step, base] = _probe(step, base)
    return from_cache


_view_types: dict[tuple[Step, Any], Any] = {}


def _probe(step: Step, base: Any) -> Any:
    with recording():
        return step.read(Value(base, "cpu")).type


def _fresh(value: Value) -> Value:
    """A new value with the same contents."""
    if has_contents(value):
        return value.twin()
    return alias(value)


def _without_history(value: Value) -> Value:
    """The same contents, through which no gradient flows."""
    if not value.requires_grad:
        return value
    if has_contents(value):
        return value.twin()
    return stop_gradient(value)


def _checked_dim(dim: int, ndim: int) -> int:
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return dim % bound


def _check_grad(tensor: Tensor, gradient: Tensor) -> None:
    if not isinstance(gradient, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(gradient).__name__}")
    if gradient._type.shape != tensor._type.shape:
        raise RuntimeError(f"assigned grad has data of a different size: expected {list(tensor.shape)}, "
                           f"got {list(gradient.shape)}")
    if gradient.dtype is not tensor.dtype:
        raise RuntimeError(f"assigned grad has data of a different type: expected {tensor.dtype}, got {gradient.dtype}")


# Bumped when something that traces depend on structurally changes: a module attribute, a requires_grad flag.
structure_epoch = [0]
grad_epoch = [0]  # bumped when a `.grad` becomes another tensor


def _structure_changed() -> None:
    structure_epoch[0] += 1

