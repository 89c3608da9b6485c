"""Reverse mode as function transforms: `grad`, `grad_and_value`, `vjp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..functions.operands import wrap
from ..ir.constants import full_like
from ..ir.graph import Value
from ..ir.recorder import grad_mode
from ..ops.elementwise import convert
from ..tensor.nested import fill, leaves, structure
from ..tensor.tensor import Tensor
from ..walks.reverse import pull_back
from .body import Argnums, at_positions, body, chosen, only_tensors, outside, settle, variables, with_aux


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns (gradient, value), or (gradient, (value, aux)).

    >>> import flambeau as torch
    >>> torch.func.grad_and_value(lambda x: x ** 3)(torch.tensor(2.0))
    (tensor(12.), tensor(8.))
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        positions = chosen(argnums, args)
        arguments = tuple(args[n] for n in positions)
        inputs, values = variables(arguments)
        with body() as writes, grad_mode(True):
            result = at_positions(func, positions, args, kwargs)(*inputs)
            output, aux = with_aux(result, has_aux, "grad_and_value(f)(*args)")
            gradients = _gradients(_scalar(output), values)
        settle(writes, values)
        gradients, output, aux = outside((gradients, output, aux), values)
        shaped = fill(arguments, gradients)
        return shaped[0] if isinstance(argnums, int) else shaped, (output, aux) if has_aux else output

    return transformed


def _scalar(output: Any) -> Value:
    """The value of a result that gradients can start from."""
    if not isinstance(output, Tensor):
        raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(output)}")
    if output.ndim:
        raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with "
                           f"{output.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?")
    if output.dtype.is_complex:
        raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {output.dtype}")
    return output._read()


def _gradients(output: Value, values: list[Value]) -> list[Tensor]:
    starts = [output] if output.type.dtype.is_inexact else []
    return pulled(starts, [full_like(v, 1) for v in starts], values)


def pulled(outputs: list[Value], cotangents: list[Value], values: list[Value]) -> list[Tensor]:
    """The cotangents of `values`, zero where there is none; they can be differentiated and taken again."""
    found = pull_back(outputs, cotangents, values, retain_graph=True, create_graph=True)
    return [wrap(found[v]) if v in found else wrap(full_like(v, 0)) for v in values]


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of scalar-valued `func` by its arguments `argnums`, or (gradient, aux).

    The arguments are tensors, or containers of tensors; in-place operations on them are refused.

    >>> import flambeau as torch
    >>> torch.func.grad(torch.func.grad(lambda x: x ** 3))(torch.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    def transformed(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return transformed


def value_and_grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns (value, gradient), or ((value, aux), gradient), in JAX's order."""
    both = grad_and_value(func, argnums, has_aux)

    def transformed(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return value, gradient

    return transformed


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(output, pull), or (output, pull, aux): `func` at `primals`, and what pulls cotangents of its output back to them.

    `pull` takes cotangents in the output's structure and returns a tuple with one entry per primal; it can be called
    again, and mapped with `vmap`.

    >>> import flambeau as torch
    >>> value, pull = torch.func.vjp(torch.sin, torch.zeros(2))
    >>> pull(torch.tensor([1.0, 2.0]))
    (tensor([1., 2.]),)
    """
    name = "vjp(f, *primals)"
    inputs, values = variables(primals)
    with body() as writes, grad_mode(True):
        output, aux = with_aux(func(*inputs), has_aux, name)
        tensors = only_tensors(output, f"{name}: expected f(*primals) to return only tensors")
        ends = [_inexact(t) for t in tensors]
    settle(writes, values)
    output, aux = outside((output, aux), values)
    expected = structure(output)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        if structure(cotangents) != expected:
            raise RuntimeError("Expected pytree structure of cotangents to be the same as pytree structure of outputs to "
                               f"the function. cotangents: {structure(cotangents)}, primal output: {expected}")
        given = [_cotangent(c, v, i) for i, (c, v) in enumerate(zip(leaves(cotangents), ends))]
        return fill(primals, outside(pulled(ends, given, values), values))

    return (output, pull, aux) if has_aux else (output, pull)


def _inexact(tensor: Tensor) -> Value:
    if not tensor.dtype.is_inexact:
        raise RuntimeError("vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype "
                           f"{tensor.dtype}")
    return tensor._read()


def _cotangent(given: Any, value: Value, index: int) -> Value:
    """A cotangent as a value of the output's type; None is 1 for a scalar."""
    if given is None and value.type.size == 1:
        return full_like(value, 1)
    if given is None:
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    if given.shape != value.type.shape:
        raise RuntimeError(f"Mismatch in shape: grad_output[{index}] has a shape of {given.shape} and output[{index}] has a "
                           f"shape of torch.Size({list(value.type.shape)}).")
    cotangent = given._read()
    return cotangent if cotangent.type is value.type else convert(cotangent, dtype=value.type.dtype)
