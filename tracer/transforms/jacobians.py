"""Whole Jacobians: reverse or forward mode, mapped over the basis of the outputs or of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..functions.operands import wrap
from ..ir import dtypes
from ..ops.elementwise import compare
from ..ops.structural import iota
from ..tensor.nested import fill, leaves
from ..tensor.tensor import Tensor
from .body import Argnums, at_positions, chosen, only_tensors
from .forward import jvp
from .reverse import vjp
from .vectorize import vmap


def jacrev(func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False,
           chunk_size: int | None = None) -> Callable[..., Any]:
    """A function that returns the Jacobian of `func`, by reverse mode: best for more inputs than outputs.

    Each tensor of the output becomes the structure of the arguments `argnums`, with tensors of shape
    [*output, *argument]. `chunk_size` bounds how many rows are computed at once.

    >>> import flambeau as torch
    >>> torch.func.jacrev(lambda x: x ** 2)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        positions = chosen(argnums, args)
        arguments = tuple(args[n] for n in positions)
        output, pull, *aux = vjp(at_positions(func, positions, args, kwargs), *arguments, has_aux=has_aux)
        inputs, outputs = leaves(arguments), leaves(output)
        _only_real(inputs, "inputs", "jacrev")
        _only_real(outputs, "outputs", "jacrev")
        rows = vmap(pull, chunk_size=chunk_size)(fill(output, basis(outputs)))
        blocks = zip(*(split_rows(r, outputs) for r in leaves(rows)))
        found = fill(output, [_shaped(argnums, arguments, row) for row in blocks])
        return (found, aux[0]) if has_aux else found

    return jacobian


def jacfwd(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *,
           randomness: str = "error") -> Callable[..., Any]:
    """A function that returns the Jacobian of `func`, by forward mode: best for more outputs than inputs.

    Structure as `jacrev`'s. `randomness` is that of the `vmap` over the columns.

    >>> import flambeau as torch
    >>> torch.func.jacfwd(lambda x: x ** 2)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def jacobian(*args: Any, **kwargs: Any) -> Any:
        positions = chosen(argnums, args)
        arguments = tuple(args[n] for n in positions)
        inputs = only_tensors(arguments, "jacfwd: expected arguments of tensors")
        _only_real(inputs, "inputs", "jacfwd")
        function = at_positions(func, positions, args, kwargs)

        def push(tangents: Any) -> Any:
            output, moved, *aux = jvp(function, arguments, tangents, has_aux=has_aux)
            _only_real(leaves(output), "outputs", "jacfwd")
            return output, moved, tuple(aux)

        output, columns, aux = vmap(push, out_dims=(None, -1, None), randomness=randomness)(fill(arguments, basis(inputs)))
        found = fill(output, [_shaped(argnums, arguments, split_columns(c, inputs)) for c in leaves(columns)])
        return (found, aux[0]) if has_aux else found

    return jacobian


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that returns the matrix of second derivatives of `func`: forward over reverse mode.

    >>> import flambeau as torch
    >>> torch.func.hessian(lambda x: (x ** 3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def _only_real(tensors: Sequence[Tensor], what: str, name: str) -> None:
    for i, t in enumerate(tensors):
        if t.dtype.is_complex:
            raise RuntimeError(f"{name}: Expected all {what} to be real but received complex tensor at flattened input idx: {i}")


def _shaped(argnums: Argnums, arguments: tuple[Any, ...], blocks: Sequence[Tensor]) -> Any:
    shaped = fill(arguments, blocks)
    return shaped[0] if isinstance(argnums, int) else shaped


# --- The basis, and results along it ----------------------------------------------------------------------------------


def basis(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The identity matrix over all elements of `tensors`, its columns cut as they are: [elements, *shape] each."""
    count = sum(t.numel() for t in tensors)
    made, start = [], 0
    for t in tensors:
        rows = iota.on(t._device, shape=(count, t.numel()), axis=0, dtype=dtypes.int64)
        columns = iota.on(t._device, shape=(count, t.numel()), axis=1, dtype=dtypes.int64)
        ones = wrap(compare(rows, (wrap(columns) + start)._read(), direction="EQ"))
        made.append(ones.to(t.dtype).reshape(count, *t.shape))
        start += t.numel()
    return made


def split_rows(rows: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
    """[elements of all outputs, *input] -> [*output, *input] for each output."""
    pieces = rows.split([t.numel() for t in outputs], 0)
    return [piece.reshape(*t.shape, *rows.shape[1:]) for piece, t in zip(pieces, outputs)]


def split_columns(columns: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """[*output, elements of all inputs] -> [*output, *input] for each input."""
    pieces = columns.split([t.numel() for t in inputs], -1)
    return [piece.reshape(*columns.shape[:-1], *t.shape) for piece, t in zip(pieces, inputs)]
