"""Random programs of views, writes and computations, the same for PyTorch and for us, and what they are compared by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Step(NamedTuple):
    """One statement: an entry of `STEPS`, its two operands counted from the newest tensor, a small number, and the grad mode."""

    name: str
    x: int
    y: int
    k: int
    quiet: bool


Program = list[Step]
Function = Callable[[Any, Any, Any, int], Any]


def _like(torch: Any, x: Any, y: Any) -> Any:
    """A 0-d tensor that depends on all of `y`, in the dtype of `x`."""
    if y.dtype.is_complex and not x.dtype.is_complex:
        y = y.real
    total = y.sum() * 0.25 if y.dtype.is_floating_point or y.dtype.is_complex else y.sum()
    return total if x.dtype.is_complex and total.dtype.is_complex else total.to(x.dtype)


def _rows(torch: Any, x: Any, k: int) -> Any:
    return torch.tensor([k % x.shape[0], 0]) if k % x.shape[0] else torch.tensor([0])


def _mask(torch: Any, x: Any, k: int) -> Any:
    return torch.arange(x.numel()).reshape(x.shape) % 3 == k % 3


def _factors(n: int, k: int) -> tuple[int, int]:
    found = [d for d in range(1, n + 1) if n % d == 0] or [1]
    return found[k % len(found)], n // found[k % len(found)]


VIEWS: dict[str, Function] = {
    "transpose": lambda torch, x, y, k: x.transpose(0, k % x.ndim),
    "swapaxes": lambda torch, x, y, k: x.swapaxes(-1, k % x.ndim),
    "T": lambda torch, x, y, k: x.permute(*range(x.ndim)[::-1]),
    "mT": lambda torch, x, y, k: x.mT if x.ndim > 1 else x,
    "mH": lambda torch, x, y, k: x.mH if x.ndim > 1 else x,
    "conj": lambda torch, x, y, k: x.conj(),
    "movedim": lambda torch, x, y, k: x.movedim(0, k % x.ndim),
    "reshape": lambda torch, x, y, k: x.reshape(-1),
    "reshape2": lambda torch, x, y, k: x.reshape(_factors(x.numel(), k)),
    "view": lambda torch, x, y, k: x.view(_factors(x.numel(), k)),
    "view_as": lambda torch, x, y, k: x.view_as(y),
    "view_dtype": lambda torch, x, y, k: x.view(x.dtype),
    "ravel": lambda torch, x, y, k: x.ravel(),
    "flatten": lambda torch, x, y, k: x.flatten(),
    "unflatten": lambda torch, x, y, k: x.unflatten(0, _factors(x.shape[0], k)),
    "select": lambda torch, x, y, k: x.select(k % x.ndim, k % x.shape[k % x.ndim]),
    "row": lambda torch, x, y, k: x[k % x.shape[0]],
    "column": lambda torch, x, y, k: x[..., k % x.shape[-1]],
    "tail": lambda torch, x, y, k: x[1:],
    "even": lambda torch, x, y, k: x[..., k % 2::2],
    "mixed": lambda torch, x, y, k: x[None, 0, ..., k % 2:],
    "narrow": lambda torch, x, y, k: x.narrow(k % x.ndim, 0, max(1, x.shape[k % x.ndim] - 1)),
    "unsqueeze": lambda torch, x, y, k: x.unsqueeze(k % (x.ndim + 1)),
    "squeeze": lambda torch, x, y, k: x.squeeze(),
    "diagonal": lambda torch, x, y, k: x.diagonal(k % 3 - 1),
    "unfold": lambda torch, x, y, k: x.unfold(-1, 2, 1 + k % 2),
    "chunk": lambda torch, x, y, k: x.chunk(2)[-1],
    "split": lambda torch, x, y, k: x.split(1 + k % 2, -1)[0],
    "tensor_split": lambda torch, x, y, k: x.tensor_split(2, -1)[k % 2],
    "unbind": lambda torch, x, y, k: x.unbind(0)[k % x.shape[0]],
    "expand": lambda torch, x, y, k: x.unsqueeze(0).expand(2, *x.shape),
    "expand_as": lambda torch, x, y, k: x.expand_as(y),
    "as_strided": lambda torch, x, y, k: x.as_strided((2,), (1 + k % 2,)),
    "as_strided2": lambda torch, x, y, k: x.as_strided((2, 2), (2, 1), k % 2),
    "detach": lambda torch, x, y, k: x.detach(),
    "real": lambda torch, x, y, k: x.real,
    "imag": lambda torch, x, y, k: x.imag,
    "view_as_real": lambda torch, x, y, k: torch.view_as_real(x),
    "view_as_complex": lambda torch, x, y, k: torch.view_as_complex(x),
    "contiguous": lambda torch, x, y, k: x.contiguous(),
    "positive": lambda torch, x, y, k: +x,
}


def _set(key: Any, value: Any) -> Function:
    def step(torch: Any, x: Any, y: Any, k: int) -> None:
        x[key(torch, x, k)] = value(torch, x, y, k)

    return step


def _in_place(name: str, *arguments: Any) -> Function:
    def step(torch: Any, x: Any, y: Any, k: int) -> None:
        getattr(x, name)(*arguments)

    return step


WRITES: dict[str, Function] = {
    **{name: _in_place(name, *arguments) for name, *arguments in [
        ("mul_", 1.5), ("zero_",), ("fill_", 0.5), ("sin_",), ("clamp_", -1, 1), ("neg_",), ("tanh_",), ("abs_",),
        ("tril_",), ("triu_", 1), ("pow_", 2), ("sub_", 0.5), ("div_", 2), ("square_",), ("floor_",), ("relu_",),
        ("ceil_",), ("remainder_", 0.75), ("eq_", 1), ("le_", 0.25), ("fill_", 2), ("sigmoid_",),
        ("unsqueeze_", 0), ("squeeze_",), ("t_",), ("transpose_", 0, -1), ("fill_diagonal_", 0.75), ("cumsum_", 0),
        ("requires_grad_", False), ("nan_to_num_",), ("clamp_min_", 0.1), ("swapaxes_", 0, -1)]},
    "add_": lambda torch, x, y, k: x.add_(_like(torch, x, y), alpha=1 + k % 2 * (x.dtype != torch.bool)),
    "add_same": lambda torch, x, y, k: x.add_(y),
    "mul_same": lambda torch, x, y, k: x.mul_(y.detach()),
    "iadd": lambda torch, x, y, k: x.__iadd__(_like(torch, x, y)),
    "imul": lambda torch, x, y, k: x.__imul__(0.5 + k % 2),
    "copy_": lambda torch, x, y, k: x.copy_(y),
    "copy_scalar": lambda torch, x, y, k: x.copy_(_like(torch, x, y)),
    "fill_tensor": lambda torch, x, y, k: x.fill_(_like(torch, x, y)),
    "logical_not_": lambda torch, x, y, k: x.detach().logical_not_(),
    "sub_self": lambda torch, x, y, k: x.sub_(x * 0.5),
    "masked_fill_": lambda torch, x, y, k: x.masked_fill_(_mask(torch, x, k), 0.25),
    "masked_fill_tensor": lambda torch, x, y, k: x.masked_fill_(_mask(torch, x, k), _like(torch, x, y)),
    "masked_scatter_": lambda torch, x, y, k: x.masked_scatter_(_mask(torch, x, k), y),
    "addcmul_": lambda torch, x, y, k: x.addcmul_(y, y, value=2),
    "addcdiv_": lambda torch, x, y, k: x.addcdiv_(y, y.detach() * y.detach() + 1),
    "lerp_": lambda torch, x, y, k: x.lerp_(y, 0.25),
    "index_fill_": lambda torch, x, y, k: x.index_fill_(0, _rows(torch, x, k), 0.125),
    "index_add_": lambda torch, x, y, k: x.index_add_(0, _rows(torch, x, k), x[_rows(torch, x, k)] * 0.5),
    "index_copy_": lambda torch, x, y, k: x.index_copy_(0, _rows(torch, x, k), x[_rows(torch, x, k)] * 0.5),
    "scatter_": lambda torch, x, y, k: x.scatter_(0, torch.zeros(x.shape, dtype=torch.int64)[:1], y),
    "scatter_add_": lambda torch, x, y, k: x.scatter_add_(-1, torch.zeros(y.shape, dtype=torch.int64), y),
    "put_": lambda torch, x, y, k: x.put_(torch.tensor([k % x.numel()]), _like(torch, x, y).reshape(1)),
    "set_all": _set(lambda torch, x, k: ..., lambda torch, x, y, k: _like(torch, x, y)),
    "set_number": _set(lambda torch, x, k: k % x.shape[0], lambda torch, x, y, k: 0.75),
    "set_row": _set(lambda torch, x, k: k % x.shape[0], lambda torch, x, y, k: y),
    "set_even": _set(lambda torch, x, k: (..., slice(k % 2, None, 2)), lambda torch, x, y, k: _like(torch, x, y)),
    "set_rows": _set(lambda torch, x, k: _rows(torch, x, k), lambda torch, x, y, k: _like(torch, x, y)),
    "set_places": _set(lambda torch, x, k: (_rows(torch, x, k), 0), lambda torch, x, y, k: _like(torch, x, y)),
    "set_mask": _set(_mask, lambda torch, x, y, k: _like(torch, x, y)),
    "set_mask_number": _set(_mask, lambda torch, x, y, k: 0.5),
    "set_self": _set(lambda torch, x, k: slice(0, 1), lambda torch, x, y, k: x[-1:]),
    "index_put_": lambda torch, x, y, k: x.index_put_((_rows(torch, x, k),), _like(torch, x, y), accumulate=k % 2 == 0),
    "out": lambda torch, x, y, k: torch.add(y, 0.5, out=x),
    "out_mul": lambda torch, x, y, k: torch.mul(x, 0.5, out=x),
    "out_sum": lambda torch, x, y, k: torch.sum(y.to(x.dtype), 0, out=x),
    "out_sin": lambda torch, x, y, k: torch.sin(y.to(x.dtype), out=x),
    "requires_grad_": lambda torch, x, y, k: x.requires_grad_(),
}
RESHAPES = ("t_", "transpose_", "swapaxes_", "squeeze_", "unsqueeze_")
COMPUTES: dict[str, Function] = {
    "affine": lambda torch, x, y, k: x * 2 + _like(torch, x, y),
    "cos": lambda torch, x, y, k: x.cos() if x.is_floating_point() else x.abs(),
    "clone": lambda torch, x, y, k: x.clone(),
    "add": lambda torch, x, y, k: x + y,
    "mul": lambda torch, x, y, k: x * y,
    "sub": lambda torch, x, y, k: x - 0.5 * y,
    "where": lambda torch, x, y, k: torch.where(_mask(torch, x, k), x, y),
    "sum": lambda torch, x, y, k: x.sum(0),
    "cat": lambda torch, x, y, k: torch.cat([x, y]),
    "stack": lambda torch, x, y, k: torch.stack([x, y]),
    "gathered": lambda torch, x, y, k: x[_rows(torch, x, k)].contiguous(),
    "masked": lambda torch, x, y, k: x[_mask(torch, x, k)].contiguous(),
    "matmul": lambda torch, x, y, k: x @ y,
    "long": lambda torch, x, y, k: x.detach().long(),
    "detach_": lambda torch, x, y, k: (x * 1).detach_(),
    "greater": lambda torch, x, y, k: x > 0.25,
    "complex": lambda torch, x, y, k: torch.complex(x, x * 0.5),
    "double": lambda torch, x, y, k: x.double(),
    "zeros_like": lambda torch, x, y, k: torch.zeros_like(x),
}
STEPS = {**VIEWS, **WRITES, **COMPUTES}


def random_program(rng: Any, longest: int = 9) -> Program:
    """Two to `longest` steps: half of them views, a third writes. Newer tensors are used more often."""
    families = [list(family) for family in (VIEWS, WRITES, COMPUTES)]
    program = []
    for _ in range(int(rng.integers(2, longest + 1))):
        family = families[int(rng.choice(3, p=(0.5, 0.35, 0.15)))]
        x, y = (int(n) - 1 for n in rng.geometric(0.25, 2))
        program.append(Step(family[int(rng.integers(len(family)))], x, y, int(rng.integers(6)), bool(rng.random() < 0.1)))
    return program


def starts(torch: Any) -> tuple[list[Any], list[Any]]:
    """The leaves, and the tensors that a program begins with."""
    a = torch.tensor(np.linspace(-1.2, 1.3, 6).reshape(2, 3), requires_grad=True)
    b = torch.tensor([0.3, -0.7, 1.1, 0.9], dtype=torch.float64, requires_grad=True)
    c = torch.tensor([[0.5 + 1j, -0.25j], [1.5, -1 + 0.75j]], dtype=torch.complex128, requires_grad=True)
    integers = torch.arange(6).reshape(2, 3)
    plain = torch.tensor(np.linspace(0.9, -0.6, 6).reshape(2, 3))
    return [a, b, c], [a, integers * 1, plain * 1.0, c * 1.0, b * 1.0, a * 1.0]


def arguments(torch: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Leaves, tensors to begin with that are views of memory which the program does not reach otherwise, and that memory."""
    a = torch.tensor(np.linspace(-1.2, 1.3, 6).reshape(2, 3), requires_grad=True)
    memory = [torch.tensor(np.linspace(0.9, -0.6, 12).reshape(3, 4)), torch.arange(8).reshape(2, 2, 2),
              torch.tensor(np.linspace(-1, 1, 8).reshape(2, 4)), torch.tensor(np.linspace(-0.5, 1, 5)),
              torch.tensor([[1 + 1j, 2j, 0.5], [-1, 0.25j, 1 - 1j]], dtype=torch.complex128)]
    grid, cube, rows, vector, numbers = memory
    return [a], [a, grid[1:].t(), cube.select(2, 1), rows[:, ::2], numbers[:, 1:].t(), vector[1:4:2]], memory


def execute(torch: Any, step: Step, tensors: list[Any]) -> None:
    """Run one statement; what it makes is the newest tensor. What is not compared is in `test_apart_from_pytorch`."""
    x, y = tensors[-1 - step.x % len(tensors)], tensors[-1 - step.y % len(tensors)]
    if step.name in WRITES and (overlaps(x) or (step.name.startswith("out") and not x.numel())
                                or (step.name in RESHAPES and x.requires_grad
                                    and (x.is_leaf or step.quiet or in_complex_memory(x)))):
        raise RuntimeError("not compared: overlapping memory, outputs that get a shape, and, since PyTorch gives the gradients "
                           "of their views another shape, leaves, complex tensors and no_grad with transpose_ and its like")
    if step.name.startswith("as_strided") and x.requires_grad and is_part(x):
        raise RuntimeError("not compared: PyTorch's gradient of as_strided leaves out what the view does not show")
    with torch.set_grad_enabled(not step.quiet):
        if step.name in WRITES:
            y = y.clone()  # what a write does to an operand that lies in the same memory is left open too
        made = STEPS[step.name](torch, x, y, step.k)
    if step.name not in WRITES:
        tensors.append(made)


def in_complex_memory(x: Any) -> bool:
    """Whether a tensor is complex, or the real or imaginary part of one; there central differences bear out our gradient."""
    return x.is_complex() or (x._base is not None and x._base.is_complex())


def places(x: Any) -> Any:
    """Where in memory the elements of a tensor lie, as an array of the tensor's shape."""
    found = np.zeros(tuple(x.shape), np.int64)
    for d, (n, stride) in enumerate(zip(x.shape, x.stride())):
        found += np.arange(n).reshape(-1, *[1] * (x.ndim - 1 - d)) * stride
    return found


def overlaps(x: Any) -> bool:
    """Whether two elements of a tensor lie at one place in memory."""
    return np.unique(places(x)).size < x.numel()


def is_part(x: Any) -> bool:
    """Whether a tensor does not show all of the memory that it lies in."""
    return x._base is not None and np.unique(places(x)).size * x.element_size() < x._base.nbytes


def loss(tensors: list[Any]) -> Any:
    """A weighted sum of squares of all tensors that a gradient can flow to."""
    total = 0.0
    for k, t in enumerate(tensors):
        if t.requires_grad and t.numel():
            square = (t * t.conj()).real if t.dtype.is_complex else t * t
            total = total + (k + 1) * 0.1 * square.sum()
    return total


def gradients(torch: Any, leaves: list[Any], tensors: list[Any]) -> list[Any]:
    """Of the loss by the leaves; zeros where none flows."""
    total = loss(tensors)
    if isinstance(total, float):
        return [x.new_zeros(x.shape) for x in leaves]
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    return [x.new_zeros(x.shape) if g is None else g for x, g in zip(leaves, found)]


def run(torch: Any, program: Program, leaves: list[Any] | None = None,
        tensors: list[Any] | None = None) -> tuple[list[Any], list[Any], list[Any]]:
    """All tensors, what is true of each of them, and the gradients. Raises what the library raises."""
    if leaves is None or tensors is None:
        leaves, tensors = starts(torch)
    tensors = list(tensors)
    for step in program:
        execute(torch, step, tensors)
    # PyTorch's views made under no_grad say that they require grad, though none flows: no fact to compare.
    exact = not any(step.quiet and step.name in VIEWS for step in program)
    facts = [properties(t)[:None if exact else -1] for t in tensors]
    found = gradients(torch, leaves, tensors)
    return [t.detach() for t in tensors], facts, [g.detach() for g in found]


def properties(t: Any) -> tuple[Any, ...]:
    """Metadata of a tensor; the stride of a dimension of size 1 means nothing."""
    strides = tuple(s for n, s in zip(t.shape, t.stride()) if n > 1) if t.numel() else ()
    return (str(t.dtype).removeprefix("torch."), tuple(t.shape), strides, t.storage_offset() if t.numel() else 0,
            t.is_contiguous(), t.requires_grad)


def accepted(torch: Any, program: Program, starts: Callable[[Any], Any] = starts) -> Program:
    """The program without the statements that PyTorch refuses."""
    kept: Program = []
    tensors = starts(torch)[1]
    for step in program:
        before = len(tensors)
        try:
            execute(torch, step, tensors)
        except (RuntimeError, IndexError, TypeError, ValueError, ZeroDivisionError, AttributeError, NotImplementedError,
                UserWarning):
            tensors = starts(torch)[1]
            for earlier in kept:
                execute(torch, earlier, tensors)
            assert len(tensors) == before
        else:
            kept.append(step)
    return kept


def finite(arrays: list[Any]) -> bool:
    """Whether no overflow made the comparison meaningless."""
    return all(math.isfinite(float(np.abs(a).max())) and float(np.abs(a).max()) < 1e12 for a in arrays if a.size)
