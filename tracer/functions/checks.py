"""Conditions on values, with torch's errors: known on the host they are raised at once, else they become part of the program.

What a program finds is told when it is known, at the latest when a tensor of that run is looked at. A check holds where
its line would have run: a branch that is not taken, a lane of a loop that is done and a recomputation raise nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..backend import SharedArray
from ..ir import dtypes
from ..ir.checks import Check, Site, here, note
from ..ir.constants import full_like
from ..ir.graph import Value
from ..ir.recorder import thread_recorder
from ..ir.state import everywhere, state
from ..lazy import failures
from ..lazy.flush import flush, host_array
from ..ops.checks import first_wrong, outside, wrong_integers
from ..ops.elementwise import compare, convert, not_
from ..ops.structural import bitcast
from ..tensor.context import context
from ..tensor.tensor import Tensor
from .operands import cast_value, expand_value, wrap

_VIEWS = frozenset({"alias", "broadcast", "reshape", "reverse", "slice", "stop_gradient", "transpose"})
_STEPS, _SMALL = 16, 1 << 12  # how many operations, on how many elements, are done on the host to know a value now

_spans: WeakKeyDictionary[Value, tuple[int, int]] = WeakKeyDictionary()  # of contents that were on the host once


@contextmanager
def checking(enabled: bool) -> Iterator[None]:
    """Whether values are checked in this block, unless it is within one where they are not."""
    before, state.checks = state.checks, state.checks and enabled
    try:
        yield
    finally:
        state.checks = before


def unchecked() -> AbstractContextManager[None]:
    """A block in which nothing is checked: the code knows that its positions and divisors are right."""
    return checking(False)


# --- What is known now ------------------------------------------------------------------------------------------------


def _is_now() -> bool:
    """Whether the values of tensors are those of this moment: not while a program or a body is recorded."""
    return context.trace is None and context.region is None


def can_read(x: Tensor) -> bool:
    """Whether the values of a tensor can be looked at here: outside programs, bodies and `vmap`, and if it has any."""
    return _is_now() and not context.maps and not x.is_meta


def known(x: Tensor) -> Any:
    """The contents of a tensor if they are on the host, or a few small exact steps from it; else None."""
    return _contents(x._read()) if _is_now() else None


def _contents(value: Value, loosely: bool = False) -> Any:
    """`known` of a value; `loosely` through operations that only a condition is made of, to rounding."""
    if value.device == "meta":
        return None
    return value.buffer if isinstance(value.buffer, np.ndarray) else _computed(value, loosely, [_STEPS])


def _computed(value: Value, loosely: bool, left: list[int]) -> Any:
    buffer, node = value.buffer, value.node
    if isinstance(buffer, np.ndarray):
        return buffer
    left[0] -= 1
    if buffer is not None or node is None or node.released or node.op.multiple or left[0] < 0:
        return None
    if value.type.size > _SMALL and node.op.name not in _VIEWS:
        return None
    if not (node.op.is_exact([v.type for v in node.inputs]) or (loosely and node.op.light)):
        return None
    arrays = []
    for operand in node.inputs:
        arrays.append(_computed(operand, loosely, left))
        if arrays[-1] is None:
            return None
    return np.asarray(node.op.reference(*arrays, **node.params))


def _span(value: Value) -> tuple[int, int] | None:
    """The least and the greatest element of a value, or of what it is a view of, if that is, or was, on the host."""
    while value.buffer is None and value.node is not None and value.node.op.name in _VIEWS and value.node.inputs:
        value = value.node.inputs[0]
    found = _spans.get(value)
    if found is None and isinstance(value.buffer, np.ndarray) and value.type.size:
        found = int(value.buffer.min()), int(value.buffer.max())
        if not isinstance(value.buffer, SharedArray):
            _spans[value] = found
    return found


# --- Checks -----------------------------------------------------------------------------------------------------------


def check_range(op: str, index: Tensor, low: int, high: int, error: type[Exception], message: str,
                exempt: int | None = None) -> None:
    """`error` unless all integers of `index` are in [low, high), or `exempt`; `{value}` in `message` is the first that is not."""
    if index._type.size and state.checks:
        if low >= high and exempt is None and not _is_now():
            raise error(message.format(value="any"))  # whichever they are
        exempt = exempt if exempt is not None else low if low < high else -2**63
        _check_integers(op, index._read(), low, high, exempt, False, error, message)


def check_divisor(op: str, divisor: Any) -> None:
    """torch's RuntimeError for a zero among the divisors of integers: a tensor or a number."""
    if isinstance(divisor, Tensor):
        if divisor._type.size and state.checks:
            _check_integers(op, divisor._read(), 0, 1, 0, True, RuntimeError, "ZeroDivisionError")
    elif divisor == 0:
        raise first_of(here(RuntimeError, "ZeroDivisionError", op).failure_here(0))


def _check_integers(op: str, value: Value, low: int, high: int, exempt: int, inside: bool, error: type[Exception],
                    message: str) -> None:
    detail = f"{{value}} is not in [{low}, {high})" if not inside else ""
    if _is_now():
        span = _span(value)
        if span is not None and (low <= span[0] and span[1] < high if not inside else span[1] < low or high <= span[0]):
            return
        array = _contents(value)
        if array is not None:
            wrong = wrong_integers(array, low, high, exempt, inside)
            if wrong.any():
                raise first_of(here(error, message, op, detail).failure_here(int(array[wrong].flat[0])))
            return
    if value.type.dtype is dtypes.boolean:
        value = convert(value, dtype=dtypes.int8)
    _note(outside(value, bounds=((low, high, exempt, inside),), lead=0), here(error, message, op, detail))


def check_none(op: str, failed: Tensor, error: type[Exception], message: str, value: Tensor | None = None,
               detail: str = "") -> None:
    """`error` if an element of the bool tensor `failed` holds; `{value}` in the texts is that of `value` there."""
    if failed._type.size and state.checks:
        _check_flags(op, failed._read(), error, message, None if value is None else value._read(), detail)


def _check_flags(op: str, flags: Value, error: type[Exception], message: str, value: Value | None = None,
                 detail: str = "") -> None:
    site = here(error, message, op, detail, value is not None and value.type.dtype.is_inexact)
    array = _contents(flags, True) if _is_now() else None
    if array is not None and not array.any():
        return
    numbers = _numbers(flags if value is None else value, flags)
    if array is None:
        _note(first_wrong(flags, numbers, lead=0), site)
        return
    at = _contents(numbers, True)
    raise first_of(site.failure_here(0 if at is None else int(at[array].flat[0])))


def check_first(op: str, failed: Tensor, error: type[Exception], message: str) -> None:
    """`check_none` before what follows is done: where values can be read this one is, whatever it takes."""
    if can_read(failed):
        if np.any(host_array(failed._read())):
            raise first_of(here(error, message, op).failure_here(0))
    else:
        check_none(op, failed, error, message)


def check_info(op: str, info: Tensor, error: type[Exception], message: str) -> None:
    """`error` unless LAPACK's `info`, one number for each matrix, is 0; where values can be read this one is, as in torch.

    `{value}` in `message` is the number, `{batch}` says which of several matrices it is of, as far as that is known.
    """
    if not info._type.size or not state.checks:
        return
    if not can_read(info):
        check_none(op, wrap(compare(info._read(), full_like(info._read(), 0), direction="NE")), error,
                   message.replace("{batch}", ""), info)
        return
    numbers = host_array(info._read())
    if np.any(numbers):
        at = int(np.flatnonzero(numbers)[0])
        batch = f"(Batch element {at}): " if numbers.ndim else ""
        raise first_of(here(error, message.replace("{batch}", batch), op).failure_here(int(numbers.flat[at])))


def check_told(op: str, failed: Tensor, error: type[Exception], told: Callable[[bool], str]) -> None:
    """`check_first` with a text that is made where one fails: `told(now)`, which reads values only where they are known now."""
    if not state.checks:
        return
    if not can_read(failed):
        check_none(op, failed, error, told(False).replace("{", "{{").replace("}", "}}"))
        return
    value = failed._read()
    found = _contents(value, True)
    if np.any(host_array(value) if found is None else found):
        raise first_of(error(told(True)))


def first_of(error: Exception) -> Exception:
    """The error of a check that is known to fail now, unless one before it, which is not known yet, fails too and is raised."""
    if _is_now() and not context.maps:
        if thread_recorder().checks:  # else what is pending stays as it is: some of it is known because it has not run
            flush()
        failures.settle_mine()
    return error


def _numbers(value: Value, flags: Value) -> Value:
    """A number as a report holds it for each flag: an int64, or the bits of a float32."""
    if value.type.dtype.is_inexact:
        value = bitcast(convert(value, dtype=dtypes.float32), dtype=dtypes.int32)
    return expand_value(convert(value, dtype=dtypes.int64) if value.type.dtype is not dtypes.int64 else value, flags.type.shape)


def _note(report: Value, site: Site) -> None:
    note(Check(report, (site,)))
    if everywhere.debug is not None and state.recorder is not None and state.recorder.lazy and context.trace is None:
        flush()  # each line raises its own errors


# --- For users --------------------------------------------------------------------------------------------------------


def check(condition: Any, message: str, error: type[Exception] = RuntimeError) -> None:
    """Raise `error(message)` unless the condition, a bool or a tensor of bools, holds everywhere.

    In a compiled step, under `vmap` and in the bodies of control flow it is looked at when the program runs. The error
    comes when it is known: at a later call, or when a result of that run is looked at; nothing waits for it before.

    >>> import flambeau as torch
    >>> @torch.jit
    ... def step(x):
    ...     torch.debug.check(x > 0, "x must be positive")
    ...     return x.log()
    >>> step(torch.tensor([1.0, -1.0])).tolist()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: x must be positive [check at <doctest flambeau.tracer.functions.checks.check[1]>:3; in step...
    """
    text = message.replace("{", "{{").replace("}", "}}")
    if isinstance(condition, Tensor):
        _require("check", condition, error, text)
    elif not condition:
        raise first_of(here(error, text, "check").failure_here(0))


def _assert_async(tensor: Tensor, assert_msg: str = "Expected Tensor with single nonzero value, but got zero") -> None:
    """RuntimeError unless the tensor's only element is not zero; nothing waits for it. As torch's function of that name."""
    if tensor.numel() != 1:
        raise RuntimeError("Boolean value of Tensor with " + ("more than one value" if tensor.numel() else "no values")
                           + " is ambiguous")
    _require("_assert_async", tensor, RuntimeError, assert_msg.replace("{", "{{").replace("}", "}}"))


def _require(op: str, condition: Tensor, error: type[Exception], text: str) -> None:
    value = condition._read()
    if state.checks:
        _check_flags(op, not_(cast_value(value, dtypes.boolean)), error, text)
