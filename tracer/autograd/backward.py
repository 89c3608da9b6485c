"""`backward` and `autograd.grad`: https://pytorch.org/docs/stable/autograd.html"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..functions.methods import method
from ..functions.operands import wrap
from ..ir.constants import full_like
from ..ir.graph import Value
from ..ir.told import tell
from ..ops.elementwise import add
from ..tensor.context import context
from ..tensor.tensor import Tensor
from ..transforms.vectorize import vmap
from ..walks.reverse import pull_back
from .modes import _Mode


def _start(output: Tensor, gradient: Tensor | None) -> tuple[Value, Value]:
    """An output's value and its cotangent: the given one, or 1 for a scalar."""
    if not output.requires_grad:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    value = output._read()
    if gradient is None:
        if value.type.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return value, full_like(value, 1)
    if gradient._type.shape != value.type.shape:
        raise RuntimeError(f"Mismatch in shape: grad_output[0] has a shape of {gradient.shape} and output[0] has a shape of "
                           f"{output.shape}.")
    cotangent = gradient._read()
    if cotangent.type is not value.type:
        cotangent = gradient.to(output.dtype)._read()
    return value, cotangent


def _sequence(x: Any) -> list[Any]:
    return [x] if x is None or isinstance(x, Tensor) else list(x)


def _inputs(x: Any, name: str) -> list[Tensor]:
    """The tensors of the argument `inputs`: one, several, or a dict of them."""
    if isinstance(x, Mapping) and type(x) is not dict:
        raise TypeError(f"`inputs` argument to `{name}()` must be a dict, not {type(x).__name__}. Other Mapping types are not "
                        "supported.")
    found = _sequence(x.values() if isinstance(x, dict) else x)
    if not found:
        raise RuntimeError(f"`inputs` argument to `{name}()` cannot be empty.")
    return found


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
             grad_variables: Any = None, inputs: Any = None) -> None:
    """Add the gradients of `tensors` to the `.grad` of all leaves (or of `inputs` only: one, several or a dict of them).

    Scalars need no `grad_tensors`, whose old name is `grad_variables`. Without `retain_graph` a second call raises torch's
    RuntimeError.
    """
    if context.bodies:
        raise RuntimeError("backward() called inside a functorch transform. This is not supported, please use func.grad or "
                           "func.vjp instead or call backward() outside of functorch transforms.")
    if grad_variables is not None:
        tell("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning)
        if grad_tensors is not None:
            raise RuntimeError("`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please "
                               "only use `grad_tensors`.")
        grad_tensors = grad_variables
    outputs = _sequence(tensors)
    gradients = _sequence(grad_tensors) if grad_tensors is not None else [None] * len(outputs)
    for gradient in gradients:
        if gradient is not None and not isinstance(gradient, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
    starts = [_start(output, gradient) for output, gradient in zip(outputs, gradients, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    wanted = None if inputs is None else {x._read(): x for x in _inputs(inputs, "backward")}
    found = pull_back([v for v, _ in starts], [g for _, g in starts], wanted, retain_graph=keep,
                      create_graph=create_graph)
    for value, cotangent in found.items():
        leaf = wanted[value] if wanted is not None else value.leaf() if value.leaf is not None else None
        if leaf is not None:
            accumulate_grad(leaf, cotangent, create_graph)
            if leaf._hooks is not None:
                with _Mode(create_graph):
                    leaf._hooks.accumulated(leaf)


def accumulate_grad(leaf: Tensor, cotangent: Value, create_graph: bool = False) -> None:
    """Add to a leaf's `.grad`, in place unless the sum is to be differentiated."""
    before = leaf._accumulated()
    if before is None:
        leaf.grad = leaf._gradient(cotangent)
    elif create_graph:
        leaf.grad = wrap(add(before._read(), cotangent))
    else:
        with _Mode(False):
            before._write(add(before._read(), cotangent))


@method("backward")
def _backward_method(self: Tensor, gradient: Tensor | None = None, retain_graph: bool | None = None,
                     create_graph: bool = False, inputs: Any = None) -> None:
    """Add the gradients of this tensor to the `.grad` of the leaves it was computed from."""
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
         create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
         is_grads_batched: bool = False, materialize_grads: bool = False) -> Any:
    """The gradients of `outputs` with respect to `inputs`, without touching any `.grad`: a tuple, or a dict as `inputs` is.

    With `is_grads_batched` each of `grad_outputs` has a first dimension more, and so has each gradient. `only_inputs` is
    ignored; an input that has no part in the outputs raises, unless `allow_unused` (None) or `materialize_grads` (zeros).

    >>> import flambeau as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (dy,) = torch.autograd.grad(x ** 2, x, create_graph=True)
    >>> dy.item(), torch.autograd.grad(dy, x)[0].item()
    (6.0, 2.0)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
                         "allow_unused=False.")
    if not only_inputs:
        tell("only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for "
             "other parts of the graph, please use torch.autograd.backward.", FutureWarning)
    ends, starts = _sequence(outputs), _inputs(inputs, "grad")
    gradients = _sequence(grad_outputs) if grad_outputs is not None else [None] * len(ends)
    if not all(x.requires_grad for x in starts):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    keep, unused = create_graph if retain_graph is None else retain_graph, bool(allow_unused or materialize_grads)

    def found(*given: Tensor | None) -> tuple[Tensor | None, ...]:
        return _gradients(ends, starts, given, keep, create_graph, unused, materialize_grads)

    result = vmap(found)(*gradients) if is_grads_batched else found(*gradients)
    return dict(zip(inputs, result, strict=True)) if isinstance(inputs, dict) else result


def _gradients(ends: Sequence[Tensor], starts: Sequence[Tensor], gradients: Sequence[Tensor | None], keep: bool,
               create_graph: bool, unused: bool, materialize: bool) -> tuple[Tensor | None, ...]:
    pairs = [_start(output, gradient) for output, gradient in zip(ends, gradients, strict=True)]
    values = [x._read() for x in starts]
    found = pull_back([v for v, _ in pairs], [g for _, g in pairs], values, retain_graph=keep, create_graph=create_graph)
    return tuple(_found(i, found.get(v), v, unused, materialize) for i, v in enumerate(values))


def _found(index: int, cotangent: Value | None, value: Value, allow_unused: bool, materialize: bool) -> Tensor | None:
    if cotangent is not None:
        return wrap(cotangent)
    if not allow_unused:
        raise RuntimeError(f"The differentiated Tensor at index {index} appears to not have been used in the graph. Set "
                           "allow_unused=True if this is the desired behavior.")
    return wrap(full_like(value, 0)) if materialize else None
