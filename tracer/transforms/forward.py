"""Forward mode as function transforms: `jvp`, `linearize`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..functions.operands import wrap
from ..ir.constants import full_like
from ..ir.graph import Value
from ..ir.recorder import grad_mode
from ..ops.elementwise import convert
from ..tensor.nested import fill, leaves, structure
from ..tensor.tensor import Tensor
from ..walks.forward import push_forward
from .body import body, only_tensors, outside, settle, variables, with_aux


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False,
        has_aux: bool = False) -> tuple[Any, ...]:
    """(output, tangents of it), or also aux: the derivative of `func` at `primals` along `tangents`.

    `primals` is the tuple of arguments, `tangents` the same of directions. An output that does not depend on them has
    tangents of zero, or is an error when `strict`.

    >>> import flambeau as torch
    >>> torch.func.jvp(lambda x: x ** 2, (torch.tensor(3.0),), (torch.tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    name = "jvp(f, primals, tangents)"
    _check_primals(primals, tangents, name)
    inputs, values = variables(primals)
    with body() as writes, grad_mode(True):
        output, aux = with_aux(func(*inputs), has_aux, name)
        ends = [t._read() for t in only_tensors(output, f"{name}: expected f(*primals) to return only tensors")]
        along = [_tangent(t, v) for t, v in zip(leaves(tangents), values)]
        pushed = push_forward(ends, dict(zip(values, along)))
        if strict and any(t is None for t in pushed):
            raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This "
                               "is not allowed with strict=True.")
        moved = fill(output, filled(ends, pushed))
    settle(writes, values)
    output, moved, aux = outside((output, moved, aux), values)
    return (output, moved, aux) if has_aux else (output, moved)


def _check_primals(primals: Any, tangents: Any, name: str) -> None:
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{name}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    if structure(primals) != structure(tangents):
        raise RuntimeError(f"{name}: Expected primals and tangents to have the same python structure. For example, if primals "
                           "is a tuple of 3 tensors, tangents also must be. Got primals with structure "
                           f"{structure(primals)} and tangents with structure {structure(tangents)}")
    if not leaves(primals):
        raise RuntimeError(f"{name}: Expected primals to contain at least one Tensor.")
    for what, group in (("primals", primals), ("tangents", tangents)):
        for x in leaves(group):
            if not isinstance(x, Tensor):
                raise RuntimeError(f"{name}: Expected {what} to only contain Tensors, got {type(x)}")
    for x in leaves(primals):
        if not x.dtype.is_inexact:
            raise ValueError(f"Expected primal to be floating point or complex, but got: {x.dtype}")


def _tangent(tangent: Tensor, value: Value) -> Value:
    given = tangent._read()
    if given.type.shape != value.type.shape:
        raise RuntimeError("Trying to set a forward gradient that has a different size than that of the original Tensor, this "
                           f"is not supported. Tensor is of size {list(value.type.shape)} while the given forward gradient "
                           f"is of size {list(given.type.shape)}.")
    return given if given.type is value.type else convert(given, dtype=value.type.dtype)


def filled(outputs: Sequence[Value], tangents: Sequence[Value | None]) -> list[Tensor]:
    """Tangents as tensors, zero where there is none."""
    return [wrap(full_like(v, 0) if t is None else t) for v, t in zip(outputs, tangents)]


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(output, push): `func` at `primals`, and its derivative there as a function of tangents, which runs no forward pass.

    >>> import flambeau as torch
    >>> value, push = torch.func.linearize(torch.sin, torch.zeros(2))
    >>> push(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    name = "linearize(f, *primals)"
    inputs, values = variables(primals)
    with body() as writes, grad_mode(True):
        inside = func(*inputs)
        ends = [t._read() for t in only_tensors(inside, f"{name}: expected f(*primals) to return only tensors")]
    settle(writes, values)
    output = outside(inside, values)
    expected = structure(primals)

    def push(*tangents: Any) -> Any:
        if structure(tangents) != expected:
            raise RuntimeError(f"Expected the tangents {structure(tangents)} to have the same argspec as the primals {expected}")
        along = {v: _same_type(t, v, i) for i, (t, v) in enumerate(zip(leaves(tangents), values))}
        with grad_mode(True):
            moved = fill(output, filled(ends, push_forward(ends, along)))
        return outside(moved, values)

    return output, push


def _same_type(tangent: Tensor, value: Value, index: int) -> Value:
    given = tangent._read()
    for what, got, wanted in (("shape", tangent.shape, f"torch.Size({list(value.type.shape)})"),
                              ("dtype", tangent.dtype, value.type.dtype)):
        if str(got) != str(wanted):
            raise RuntimeError(f"tangent:{index} with {what} {got} in flattened pytree doesn't match the {what} {wanted} of the "
                               "corresponding primal.")
    return given
