"""Functions as methods of `Tensor`, in place, and with `out=`."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.state import state
from ..ir.told import tell
from ..ops.structural import Ints
from ..tensor.offsets import computed, distance, offset
from ..tensor.strides import contiguous_stride, is_dense, overlaps
from ..tensor.tensor import OVERLAP, Tensor
from .checks import can_read, check_none
from .layout import F, keeps_layout
from .operands import NUMBERS, c_name, cast_value, result_dtype, scalar_name
from .spelling import REFUSED, respelled, under_new_names

SHARED: Final = ("unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
                 "location. Please clone() the tensor before performing the operation.")


def named(name: str, doc: str) -> Callable[[F], F]:
    """Give a function that stands for several its own name and docstring."""

    def give(function: F) -> F:
        function.__name__ = function.__qualname__ = name
        function.__doc__ = doc
        inner = getattr(function, "__wrapped__", None)
        while inner is not None and inner.__name__ == "function":  # the name that Python's errors of missing arguments have
            inner.__name__ = inner.__qualname__ = name
            inner = getattr(inner, "__wrapped__", None)
        return function

    return give


def method(*names: str) -> Callable[[F], F]:
    """Attach the function to Tensor under its own name or the given ones."""

    def attach(function: F) -> F:
        for name in names or (function.__name__,):
            setattr(Tensor, name, function)
        return function

    return attach


def pointwise(*names: str) -> Callable[[F], F]:
    """Attach an elementwise function as a method and in place, its results laid out in memory as torch lays them out.

    Functions that end in `apply`, which does so itself, need only `in_place`: a call less.
    """

    def attach(function: F) -> F:
        return in_place(*names or (function.__name__,))(keeps_layout(function))

    return attach


# --- In place ---------------------------------------------------------------------------------------------------------


_COMPARISONS: Final = frozenset({"ge_", "greater_", "greater_equal_", "gt_", "le_", "less_", "less_equal_", "lt_"})  # give bools


def in_place(*names: str) -> Callable[[F], F]:
    """Attach the function as a method, and `name_` as its in-place form."""

    def attach(function: F) -> F:
        for name in names or (function.__name__,):
            setattr(Tensor, name, function)
            setattr(Tensor, f"{name}_", _in_place_form(function, f"{name}_"))
        return function

    return attach


def _in_place_form(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    @named(name, f"In-place form of `{function.__name__}`.")
    def update(*args: Any, **kwargs: Any) -> Tensor:
        if len(args) > 2:
            args, kwargs = under_new_names(name, args, kwargs)
        try:
            result = function(*args, **kwargs)
        except REFUSED:
            args, kwargs = respelled(function, args, kwargs, name)
            result = function(*args, **kwargs)
        except NotImplementedError as error:
            if str(error).startswith('"') and name not in _COMPARISONS:  # a kernel's: torch looks at the result's type first
                target, *others = (*args, *kwargs.values())[:2]
                CASTS.check(target.dtype, result_dtype(target, *(x for x in others if isinstance(x, (Tensor, *NUMBERS)))))
            raise
        return assign(args[0] if args else kwargs["input"], result)

    update.__wrapped__ = function  # type: ignore[attr-defined]  # its signature
    return update


def assign(target: Tensor, result: Tensor, touched: Callable[[], Value] | None = None) -> Tensor:
    """Write `result` into `target`, of which `touched` elements are new; torch's errors for a type or shape that does not fit."""
    value = result._read()
    if value.type is not target._type:
        CASTS.check(target.dtype, value.type.dtype)
        check_shape(target, value.type.shape)
        value = cast_value(value, target.dtype)
    target._write(value, touched)
    return target


def check_shape(target: Tensor, shape: Ints) -> None:
    """torch's RuntimeError if what is to be written, or what it broadcasts to, has another shape than the target."""
    if shape != target._type.shape:
        raise RuntimeError(f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(shape)}")


# --- out= -------------------------------------------------------------------------------------------------------------


class Out(NamedTuple):
    """What a function asks of the tensor that it is to write; torch's text for a dtype that does not do.

    `exact` asks for the dtype of the result, else for one that can hold it; `apart` for memory of which nothing is read.
    `always` is the dtype of the result where it is known before: then `out` is looked at before anything else.
    `counted` leaves `out` its shape where it has as many elements; `resized` is the warning that it gets another, if any.
    `alone` asks so where one tensor is read, else for a dtype that can hold the result; `also` are dtypes that do as well.
    """

    text: str
    exact: bool = True
    apart: bool = False
    error: type[Exception] = RuntimeError
    always: dtype | None = None
    counted: bool = False
    resized: str = ("An output with one or more elements was resized since it had shape {out}, which does not match the "
                    "required output shape {result}.")
    alone: bool = False
    also: tuple[dtype, ...] = ()

    def check(self, given: dtype, wanted: dtype) -> None:
        """torch's error if a result of a dtype may not go into a tensor of another."""
        if given is not wanted and given not in self.also and (self.exact or not dtypes.can_cast(wanted, given)):
            names = {"out": scalar_name(given), "result": scalar_name(wanted)}
            raise self.error(self.text.format(**names, c_out=c_name(given), c_result=c_name(wanted)))


CASTS: Final = Out("result type {result} can't be cast to the desired output type {out}", exact=False)
EXACT: Final = Out("Expected out tensor to have dtype {c_result}, but got {c_out} instead")
FOUND: Final = Out("Found dtype {out} but expected {result}")
CREATED: Final = Out("dtype {result} does not match dtype of out parameter ({out})", resized="")
RANGED: Final = CREATED._replace(counted=True)


def castable(name: str, result: str = "result") -> Out:
    """What linear algebra asks, which tells of the function and the result."""
    return Out(f"{name}: Expected {result} to be safely castable from {{result}} dtype, but got {result} with dtype {{out}}",
               exact=False)


def with_out(function: F) -> F:
    """Give a function the `out=` argument, of any dtype that can hold the result; several tensors if it returns several."""
    return with_out_of(CASTS)(function)


def with_out_of(*wanted: Out, several: tuple[Out, ...] = ()) -> Callable[[F], F]:
    """Give a function the `out=` argument, of which it asks more; of several results by turns, the last of all that follow.

    `several` is what a function that gives one result or several asks of several.
    """

    def give(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
            if out is not None and wanted[0].always is not None:
                wanted[0].check(out._type.dtype, wanted[0].always)
            try:
                result = function(*args, **kwargs)
            except REFUSED:
                args, kwargs = respelled(function, args, kwargs)
                result = function(*args, **kwargs)
            return result if out is None else _given(out, result, wanted, several or wanted, (*args, *kwargs.values()))

        call.__signature__ = _with_out_shown(function)  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return give


def _given(out: Any, result: Any, of_one: tuple[Out, ...], of_several: tuple[Out, ...], read: tuple[Any, ...]) -> Any:
    """The results in the tensors that were given."""
    several = not isinstance(result, Tensor)
    wanted = of_several if several else of_one
    pairs = list(zip(out, result, strict=True)) if several else [(out, result)]
    for i, (o, r) in enumerate(pairs):
        rule = wanted[min(i, len(wanted) - 1)]
        if rule.alone and sum(isinstance(x, Tensor) for x in read) > 1:
            rule = CASTS
        rule.check(o._type.dtype, r._type.dtype)
        check_memory(o, r._type.shape, read, rule.apart)
        if o._type.dtype in rule.also:
            pairs[i] = o, r.to(o._type.dtype)
    if not several:
        return into(*pairs[0])
    written = [into(o, r) for o, r in pairs]
    return type(result)(*written) if hasattr(result, "_fields") else tuple(written)


def check_memory(out: Tensor, shape: Ints, read: Iterable[Any], apart: bool) -> None:
    """torch's RuntimeErrors for a tensor that shows memory twice, or shares part of it (any, if `apart`) with what is read.

    A tensor of another shape than the result's is looked at as it will be.
    """
    if out._geometry is not None and overlaps(out._type.shape, out._geometry.stride):
        raise RuntimeError(OVERLAP)
    for x in read:
        if isinstance(x, Tensor):
            if x._storage is out._storage and 0 not in shape and _meets(out, shape, x, apart):
                raise RuntimeError(SHARED)
        elif isinstance(x, (list, tuple)):
            check_memory(out, shape, x, apart)


def _meets(out: Tensor, shape: Ints, x: Tensor, whole: bool) -> bool:
    """Whether two tensors on one storage share a part of it; all of it counts if `whole`. Tensors with gaps are not looked at."""
    if x is out:
        return whole
    own, other = out._strides.stride, x._strides.stride
    stride, count = own if shape == out._type.shape else contiguous_stride(shape), math.prod(shape)
    if not (is_dense(shape, stride) and is_dense(x._type.shape, other)):
        return False
    as_one = not whole and count == x.numel() and stride == other  # an elementwise function may write what it reads
    if (computed(out) or computed(x)) and not can_read(out):
        apart = distance(out, x)
        meet = (apart > -count) & (apart < x.numel())
        check_none("out=", meet & (apart != 0) if as_one else meet, RuntimeError, SHARED)
        return False
    apart = offset(out) - offset(x)
    return -count < apart < x.numel() and not (as_one and apart == 0)


def with_typed_out(function: F) -> F:
    """`out=` for sums and products, which torch computes in the dtype of `out`; a `dtype` that is given must be the same."""
    return with_out_typed(EXACT)(function)


def with_out_typed(rule: Out) -> Callable[[F], F]:
    """`out=` whose dtype is that in which the result is computed; torch's text for a `dtype` that is another one."""

    def give(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, out: Tensor | None = None, dtype: dtype | None = None, **kwargs: Any) -> Any:
            kind = dtype if out is None else out_kind(out, dtype, rule)
            try:
                result = function(*args, dtype=kind, **kwargs)
            except REFUSED:
                args, kwargs = respelled(function, args, {**kwargs, "dtype": kind})
                result = function(*args, **kwargs)
            return into(out, result, rule=rule)

        call.__signature__ = _with_out_shown(function)  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return give


def out_kind(out: Tensor, wanted: dtype | None, rule: Out = EXACT) -> dtype:
    """The dtype of `out`; torch's RuntimeError if another one is wanted."""
    if wanted is not None:
        rule.check(out.dtype, wanted)
    return out.dtype


def _with_out_shown(function: Callable[..., Any]) -> inspect.Signature:
    known = inspect.signature(function)
    written = "Tensor | None" if known.return_annotation == "Tensor" else "Any"
    last = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=written)
    named = [p for p in known.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return known.replace(parameters=[*named, last, *list(known.parameters.values())[len(named):]])


def into(out: Tensor | None, result: Tensor, *read: Any, rule: Out = CASTS) -> Tensor:
    """The `out=` argument: write the result there, giving it the result's shape if it has another one; `read`, what was read.

    `with_out` does so for a function. By hand it is called where `out` has a say in the result (its dtype), and in the few
    functions that programs consist of, to which another call is a cost (`add`, `exp`, `eq`, `matmul`, `sum`).

    Raises torch's RuntimeErrors: gradients do not flow through `out`, and its dtype must be able to hold the result.
    """
    if out is None:
        return result
    if read:
        check_memory(out, result._type.shape, read, False)
    if state.grad and (out.requires_grad or result.requires_grad):
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")
    if out._type.shape == result._type.shape:
        return assign(out, result)
    if rule.counted and out.numel() == result.numel():
        return assign(out, result.reshape(out.shape))
    CASTS.check(out.dtype, result.dtype)
    if out.numel() and rule.resized:
        tell(rule.resized.format(out=list(out.shape), result=list(result.shape), count=out.numel(),
                                 needed=result.numel()))
    out.data = result.detach().to(out.dtype)
    return out
