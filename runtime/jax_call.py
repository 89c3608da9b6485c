"""`jax_call`: a JAX function as one operation of our graphs.

JAX lowers the function to StableHLO, and the text becomes a private function of our module: there is one program, and
XLA optimises across the border. Gradients and batch rules are JAX's, of the function itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ..tracer.functions.operands import wrap
from ..tracer.guards.identity import static_key
from ..tracer.ir import dtypes
from ..tracer.ir.types import Type
from ..tracer.ops.foreign import Flags, foreign_call
from ..tracer.tensor.nested import map_structure
from ..tracer.tensor.tensor import Tensor

Arrays = Callable[..., Any]


class JaxFunction:
    """A function of JAX arrays that returns a list of them; `key` says what it is."""

    def __init__(self, function: Arrays, key: Any) -> None:
        self._function, self._key = function, key
        self._texts: dict[tuple[Any, ...], str] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JaxFunction) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"<JAX function {getattr(self._function, '__name__', '')}>"

    def types(self, inputs: tuple[Type, ...]) -> tuple[Type, ...]:
        """What JAX says of the results."""
        with jax.enable_x64(True):
            results = jax.eval_shape(self._function, *_structs(inputs))
        return tuple(Type.of(tuple(x.shape), dtypes.from_numpy(np.dtype(x.dtype))) for x in results)

    def run(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """The results for numpy arrays, by JAX."""
        with jax.enable_x64(True):
            return tuple(np.asarray(x) for x in jax.jit(self._function)(*arrays))

    def stablehlo(self, inputs: tuple[Type, ...], platform: str) -> str:
        """What JAX lowers the function to."""
        text = self._texts.get((inputs, platform))
        if text is None:
            with jax.enable_x64(True):
                traced = jax.jit(self._function, keep_unused=True).trace(*_structs(inputs))
                text = self._texts[inputs, platform] = traced.lower(lowering_platforms=(platform,)).as_text()
        return text

    def pulled_back(self, wanted: Flags) -> JaxFunction:
        """Its gradient, in torch's convention: of a complex argument it is the conjugate of JAX's."""
        count, inner = len(wanted), self._function

        def gradient(*args: Any) -> Any:
            inputs, cotangents = list(args[:count]), args[count:]
            at = [i for i, flag in enumerate(wanted) if flag]

            def of_wanted(*moving: Any) -> Any:
                for i, x in zip(at, moving):
                    inputs[i] = x
                return [y for y in inner(*inputs) if dtypes.from_numpy(np.dtype(y.dtype)).is_inexact]

            _, pull = jax.vjp(of_wanted, *(inputs[i] for i in at))
            return [x.conj() for x in pull([g.conj() for g in cotangents])]

        return JaxFunction(gradient, (self._key, "gradient", wanted))

    def mapped(self, size: int, batched: Flags) -> JaxFunction:
        """jax.vmap of it."""
        axes = tuple(0 if flag else None for flag in batched)
        return JaxFunction(jax.vmap(self._function, in_axes=axes, axis_size=size), (self._key, "vmap", size, batched))


def _structs(types: Sequence[Type]) -> list[Any]:
    return [jax.ShapeDtypeStruct(t.shape, t.dtype.numpy) for t in types]  # type: ignore[no-untyped-call]


def jax_call(function: Arrays, *args: Any) -> Any:
    """`function(*args)`, where `function` is written for JAX: pure, of arrays, of static shapes.

    Arguments are tensors, also inside lists, tuples and dicts; numbers and all else are passed as they are, and are static.
    The result is what the function returns, with tensors for its arrays. Gradients of any order, `vmap` and `jit` work as
    with any other operation. 64-bit types are real inside, whatever JAX's settings say; these stay as they are. Arrays that
    the function closes over become constants of the program: pass large ones as arguments.

    >>> import flambeau as torch
    >>> import jax
    >>> x = torch.tensor([0.0, 1.0], requires_grad=True)
    >>> torch.jax_call(jax.nn.relu, x * 2).sum().backward()
    >>> x.grad
    tensor([0., 2.])
    """
    tensors: list[Tensor] = []
    form = [map_structure(x, lambda leaf, _: _place(leaf, tensors)) for x in args]
    returned: list[Any] = []

    def flat(*arrays: Any) -> list[Any]:
        result = function(*map_structure(form, lambda leaf, _: arrays[leaf.index] if type(leaf) is _Place else leaf))
        leaves, structure = jax.tree_util.tree_flatten(result)
        returned[:] = [structure]
        return [jax.numpy.asarray(x) for x in leaves]

    foreign = JaxFunction(flat, (function, static_key(form)))
    values = [x._read() for x in tensors]
    if not values:
        raise TypeError("jax_call requires at least one tensor among the arguments")
    foreign.types(tuple(v.type for v in values))  # so that the structure of the result is known
    return jax.tree_util.tree_unflatten(returned[0], [wrap(v) for v in foreign_call(*values, function=foreign)])


class _Place:
    """Stands for the tensor at a position among the arguments."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Place) and self.index == other.index

    def __hash__(self) -> int:
        return hash(self.index)


def _place(leaf: Any, tensors: list[Tensor]) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    tensors.append(leaf)
    return _Place(len(tensors) - 1)
