"""`torch.autograd.functional`: https://pytorch.org/docs/stable/autograd.html#functional-higher-level-api

Derivatives of functions of one tensor or a tuple of them. With `create_graph` the results can be differentiated by what
the inputs were computed from; `strict` makes a result that is zero for want of a dependence an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..functions.operands import wrap
from ..ir.constants import full_like
from ..ir.graph import Value
from ..ir.recorder import grad_mode
from ..tensor.tensor import Tensor
from ..transforms.body import outside, variables, without_history
from ..transforms.forward import filled
from ..transforms.jacobians import basis, split_columns, split_rows
from ..transforms.reverse import pulled
from ..transforms.vectorize import vmap
from ..walks.forward import push_forward
from ..walks.reverse import Targets, pull_back, useful_nodes

_FUNCTION_RETURNS = "the user-provided function returns"
_INPUT_IS = "the input to the user-provided function is"
_INDEPENDENT = "The output of the user-provided function is independent of input {i}. This is not allowed in strict mode."
_LINEAR = ("The jacobian of the user-provided function is independent of input {i}. This is not allowed in strict mode when "
           "create_graph=True.")
_LINEAR_GRADIENT = (
    "While computing the hessian, found that the jacobian of the user-provided function with respect to input {i} is "
    "independent of the input. This is not allowed in strict mode. You should ensure that your function is twice "
    "differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for example).")


class _Evaluated:
    """A function evaluated at variables of its own: what goes in, what comes out, and whether these were tuples."""

    def __init__(self, func: Callable[..., Any], inputs: Any, name: str, strict: bool) -> None:
        self.name, self.strict = name, strict
        self.one_input = not isinstance(inputs, (tuple, list))
        tensors = _as_tuple(inputs, "inputs", f"The inputs given to {name}")
        stand_ins, self.values = variables(tensors)
        with grad_mode(True):
            result = func(*stand_ins)
        self.one_output = not isinstance(result, (tuple, list))
        self.outputs = _as_tuple(result, "outputs of the user-provided function",
                                 f"The outputs of the user-provided function given to {name}")
        self.ends = [t._read() for t in self.outputs]
        if strict:
            self._check_outputs()

    def _check_outputs(self) -> None:
        for i, end in enumerate(self.ends):
            if not end.requires_grad:
                raise RuntimeError(f"Output {i} of the user-provided function does not require gradients. The outputs must be "
                                   "computed in a differentiable manner from the input when running in strict mode.")

    def pull(self, ends: Sequence[Value], cotangents: Sequence[Value], message: str) -> list[Value]:
        """Cotangents of the inputs; when strict, RuntimeError of `message` for an input that has none."""
        found = pull_back(ends, cotangents, self.values, retain_graph=True, create_graph=True)
        for i, value in enumerate(self.values):
            if self.strict and value not in found:
                raise RuntimeError(message.format(i=i))
        return [found[v] if v in found else full_like(v, 0) for v in self.values]

    def gradient(self) -> list[Value]:
        """The gradient of the one scalar that the function gives."""
        if not self.one_output:
            raise RuntimeError(f"The function given to {self.name} should return a single Tensor")
        if self.outputs[0].numel() != 1:
            raise RuntimeError(f"The Tensor returned by the function given to {self.name} should contain a single element")
        found = self.pull(self.ends, [full_like(v, 1) for v in self.ends], _INDEPENDENT)
        if self.strict:
            _check_moving(found, _LINEAR_GRADIENT)
        return found

    def finish(self, values: Sequence[Value], create_graph: bool, single: bool) -> Any:
        """Results as they leave: one tensor or a tuple of them."""
        tensors = tuple(wrap(v if create_graph else without_history(v)) for v in values)
        tensors = outside(tensors, self.values) if create_graph else tensors
        return tensors[0] if single else tensors


def _as_tuple(x: Any, what: str, subject: str) -> tuple[Tensor, ...]:
    if isinstance(x, Tensor):
        return (x,)
    if not isinstance(x, (tuple, list)):
        raise TypeError(f"{subject} must be either a Tensor or a tuple of Tensors but the given {what} has type {type(x)}.")
    for i, t in enumerate(x):
        if not isinstance(t, Tensor):
            raise TypeError(f"{subject} must be either a Tensor or a tuple of Tensors but the value at index {i} has type "
                            f"{type(t)}.")
    return tuple(x)


def _vectors(v: Any, like: Sequence[Value], single: bool, owner: str) -> list[Value]:
    """The values of `v`, which must be shaped as `like`; None stands for 1 where `like` is a single element."""
    if v is None:
        if len(like) != 1 or like[0].type.size != 1:
            raise RuntimeError(f"The vector v can only be None if {owner} a single Tensor with a single element.")
        return [full_like(like[0], 1)]
    given = _as_tuple(v, "v", "The vector v")
    if len(given) != len(like):
        raise RuntimeError("The given v should contain a single Tensor." if single
                           else f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}.")
    for i, (t, value) in enumerate(zip(given, like)):
        if t.shape != value.type.shape:
            entry = "" if single else f"Entry {i} in "
            raise RuntimeError(f"{entry}v has invalid size: should be torch.Size({list(value.type.shape)}) but got {t.shape}.")
    return [t._read() for t in given]


def _check_moving(found: Sequence[Value], message: str) -> None:
    for i, value in enumerate(found):
        if not value.requires_grad:
            raise RuntimeError(message.format(i=i))


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """(output, v^T J): the product of a vector of the outputs' shape and the Jacobian of `func`.

    >>> import flambeau as torch
    >>> torch.autograd.functional.vjp(lambda x: x ** 2, torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    run = _Evaluated(func, inputs, "vjp", strict)
    given = _vectors(v, run.ends, run.one_output, _FUNCTION_RETURNS)
    found = run.pull(run.ends, given, _INDEPENDENT)
    if strict and create_graph:
        _check_moving(found, _LINEAR)
    return run.finish(run.ends, create_graph, run.one_output), run.finish(found, create_graph, run.one_input)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """(output, J v): the product of the Jacobian of `func` and a vector of the inputs' shape, by forward mode.

    >>> import flambeau as torch
    >>> torch.autograd.functional.jvp(lambda x: x ** 2, torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    run = _Evaluated(func, inputs, "jvp", strict)
    given = _vectors(v, run.values, run.one_input, _INPUT_IS)
    found = [t._read() for t in filled(run.ends, push_forward(run.ends, dict(zip(run.values, given))))]
    if strict and create_graph:
        _check_moving(found, _LINEAR)
    return run.finish(run.ends, create_graph, run.one_output), run.finish(found, create_graph, run.one_output)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """(output, v^T H): the product of a vector and the Hessian of scalar-valued `func`, by reverse mode twice.

    >>> import flambeau as torch
    >>> torch.autograd.functional.vhp(lambda x: (x ** 3).sum(), torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    run = _Evaluated(func, inputs, "vhp", strict)
    gradient = run.gradient()
    given = _vectors(v, run.values, run.one_input, _INPUT_IS)
    found = run.pull(gradient, given, _LINEAR_GRADIENT)
    return run.finish(run.ends, create_graph, True), run.finish(found, create_graph, run.one_input)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """(output, H v): the product of the Hessian of scalar-valued `func` and a vector, by forward over reverse mode.

    >>> import flambeau as torch
    >>> torch.autograd.functional.hvp(lambda x: (x ** 3).sum(), torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    run = _Evaluated(func, inputs, "hvp", strict)
    gradient = run.gradient()
    given = _vectors(v, run.values, run.one_input, _INPUT_IS)
    found = [t._read() for t in filled(gradient, push_forward(gradient, dict(zip(run.values, given))))]
    return run.finish(run.ends, create_graph, True), run.finish(found, create_graph, run.one_input)


# --- Whole matrices ---------------------------------------------------------------------------------------------------


def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
             vectorize: bool = False, strategy: str = "reverse-mode") -> Any:
    """The Jacobian of `func`: a tensor of shape [*output, *input], nested in tuples for several outputs and inputs.

    `strategy` is "reverse-mode" or "forward-mode". All rows (or columns) are computed in one program, so `vectorize`
    changes nothing but that it excludes `strict`, as in torch.

    >>> import flambeau as torch
    >>> torch.autograd.functional.jacobian(lambda x: x ** 2, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has '
                             'more outputs than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to '
                             'use "reverse-mode".')
    if strict and vectorize:
        raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported "
                           "together. Please either set `strict=False` or `vectorize=False`.")
    run = _Evaluated(func, inputs, "jacobian", strict)
    if strict:
        _check_dependence(run)
    blocks = _by_rows(run) if strategy == "reverse-mode" else _by_columns(run)
    if strict and create_graph:
        for row in blocks:
            _check_moving([t._read() for t in row], _LINEAR)
    rows = tuple(run.finish([t._read() for t in row], create_graph, run.one_input) for row in blocks)
    return rows[0] if run.one_output else rows


def _check_dependence(run: _Evaluated) -> None:
    for i, end in enumerate(run.ends):
        for j, value in enumerate(run.values):
            if end is not value and not useful_nodes([end], Targets([value])):
                raise RuntimeError(f"Output {i} of the user-provided function is independent of input {j}. This is not "
                                   "allowed in strict mode.")


def _by_rows(run: _Evaluated) -> list[tuple[Tensor, ...]]:
    """For each output its Jacobians by all inputs."""

    def pull(*cotangents: Tensor) -> tuple[Tensor, ...]:
        return tuple(pulled(run.ends, [c._read() for c in cotangents], run.values))

    found = vmap(pull)(*basis(run.outputs))
    return list(zip(*(split_rows(rows, run.outputs) for rows in found)))


def _by_columns(run: _Evaluated) -> list[tuple[Tensor, ...]]:
    inputs = [wrap(v) for v in run.values]

    def push(*tangents: Tensor) -> tuple[Tensor, ...]:
        along = dict(zip(run.values, (t._read() for t in tangents)))
        return tuple(filled(run.ends, push_forward(run.ends, along)))

    found = vmap(push, out_dims=-1)(*basis(inputs))
    return [tuple(split_columns(columns, inputs)) for columns in found]


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
            vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """The Hessian of scalar-valued `func`: the Jacobian, by `outer_jacobian_strategy`, of its gradient.

    >>> import flambeau as torch
    >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def gradient(*xs: Tensor) -> Any:
        run = _Evaluated(func, xs, "hessian", strict)
        found = run.gradient()
        return run.finish(found, True, single)

    single = not isinstance(inputs, (tuple, list))
    return jacobian(gradient, inputs, create_graph, False, vectorize, outer_jacobian_strategy)
