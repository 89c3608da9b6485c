"""Functions as methods of `Tensor`, in place, and with `out=`."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ir.graph import Value
from ..ir.state import state
from ..ops.structural import Ints
from ..tensor.tensor import Tensor
from .layout import F, keeps_layout
from .operands import cast_value, scalar_name
from .spelling import REFUSED, respelled


def named(name: str, doc: str) -> Callable[[F], F]:
    """Give a function that stands for several its own name and docstring."""

    def give(function: F) -> F:
        function.__name__ = function.__qualname__ = name
        function.__doc__ = doc
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
        try:
            result = function(*args, **kwargs)
        except REFUSED:
            args, kwargs = respelled(function, args, kwargs, name)
            result = function(*args, **kwargs)
        return assign(args[0] if args else kwargs["input"], result)

    update.__wrapped__ = function  # type: ignore[attr-defined]  # its signature
    return update


def assign(target: Tensor, result: Tensor, touched: Callable[[], Value] | None = None) -> Tensor:
    """Write `result` into `target`, of which `touched` elements are new; torch's errors for a type or shape that does not fit."""
    value = result._read()
    if value.type is not target._type:
        _check_cast(value.type.dtype, target.dtype)
        check_shape(target, value.type.shape)
        value = cast_value(value, target.dtype)
    target._write(value, touched)
    return target


def check_shape(target: Tensor, shape: Ints) -> None:
    """torch's RuntimeError if what is to be written, or what it broadcasts to, has another shape than the target."""
    if shape != target._type.shape:
        raise RuntimeError(f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(shape)}")


def _check_cast(given: dtype, wanted: dtype) -> None:
    if not dtypes.can_cast(given, wanted):
        raise RuntimeError(f"result type {scalar_name(given)} can't be cast to the desired output type "
                           f"{scalar_name(wanted)}")


# --- out= -------------------------------------------------------------------------------------------------------------


def with_out(function: F) -> F:
    """Give a function the `out=` argument; several tensors for a function that returns several."""

    @functools.wraps(function)
    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        try:
            result = function(*args, **kwargs)
        except REFUSED:
            args, kwargs = respelled(function, args, kwargs)
            result = function(*args, **kwargs)
        if out is None:
            return result
        if isinstance(result, Tensor):
            return into(out, result)
        written = [into(o, r) for o, r in zip(out, result, strict=True)]
        return type(result)(*written) if hasattr(result, "_fields") else tuple(written)

    call.__signature__ = _with_out_shown(function)  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def with_typed_out(function: F) -> F:
    """`out=` for sums and products, which torch computes in the dtype of `out`; a `dtype` that is given must be the same."""

    @functools.wraps(function)
    def call(*args: Any, out: Tensor | None = None, dtype: dtype | None = None, **kwargs: Any) -> Any:
        kind = dtype if out is None else out_kind(out, dtype)
        try:
            result = function(*args, dtype=kind, **kwargs)
        except REFUSED:
            args, kwargs = respelled(function, args, {**kwargs, "dtype": kind})
            result = function(*args, **kwargs)
        return into(out, result)

    call.__signature__ = _with_out_shown(function)  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def out_kind(out: Tensor, wanted: dtype | None) -> dtype:
    """The dtype of `out`; torch's RuntimeError if another one is wanted."""
    if wanted is not None and wanted is not out.dtype:
        raise RuntimeError(f"Expected out tensor to have dtype {wanted.name}, but got {out.dtype.name} instead")
    return out.dtype


def _with_out_shown(function: Callable[..., Any]) -> inspect.Signature:
    known = inspect.signature(function)
    written = "Tensor | None" if known.return_annotation == "Tensor" else "Any"
    last = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=written)
    named = [p for p in known.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return known.replace(parameters=[*named, last, *list(known.parameters.values())[len(named):]])


def into(out: Tensor | None, result: Tensor) -> Tensor:
    """The `out=` argument: write the result there, giving it the result's shape if it has another one.

    `with_out` does so for a function. By hand it is called where `out` has a say in the result (its dtype), and in the few
    functions that programs consist of, to which another call is a cost (`add`, `exp`, `eq`, `matmul`, `sum`).

    Raises torch's RuntimeErrors: gradients do not flow through `out`, and its dtype must be able to hold the result.
    """
    if out is None:
        return result
    if state.grad and (out.requires_grad or result.requires_grad):
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")
    if out._type.shape == result._type.shape:
        return assign(out, result)
    _check_cast(result.dtype, out.dtype)
    if out.numel():
        warnings.warn(f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does "
                      f"not match the required output shape {list(result.shape)}.", UserWarning, stacklevel=3)
    out.data = result.detach().to(out.dtype)
    return out
