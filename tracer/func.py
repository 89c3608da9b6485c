"""Function transforms, `torch.func`: https://pytorch.org/docs/stable/func.html

Each is a walk over recorded nodes, so they compose in any order, with each other and with `jit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .autodiff import pull_back
from .autograd import enable_grad
from .batching import batched_call
from .functions.common import wrap
from .functions.shape import cat
from .graph import Value
from .ops.elementwise import alias, full_like, with_leading
from .ops.structural import transpose
from .recorder import close, placeholder, recording
from .region import Write, region
from .tensor import Tensor
from .tree import map_structure

Argnums = int | tuple[int, ...]


def _leaves(x: Any) -> list[Tensor]:
    found: list[Tensor] = []

    def leaf(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            found.append(value)
        return value

    map_structure(x, leaf)
    return found


def _variables(x: Any) -> tuple[Any, list[Value]]:
    """`x` with its tensors replaced by ones that gradients stop at, and their values."""
    values: list[Value] = []

    def leaf(tensor: Any, path: str) -> Any:
        if not isinstance(tensor, Tensor):
            return tensor
        if not tensor.dtype.is_inexact:
            raise RuntimeError(f"grad requires floating point or complex inputs, got {tensor.dtype}")
        value = alias(tensor._read())
        value.requires_grad = True
        values.append(value)
        return wrap(value)

    return map_structure(x, leaf), values


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns (gradient, value), or (gradient, (value, aux))."""

    def transformed(*args: Any, **kwargs: Any) -> Any:
        chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for n in chosen:
            if not -len(args) <= n < len(args):
                raise RuntimeError(f"grad requires argnums within the {len(args)} positional arguments, got {argnums}")
        inputs = list(args)
        values: list[Value] = []
        for n in chosen:
            inputs[n], found = _variables(args[n])
            values.extend(found)
        with enable_grad():
            result = func(*inputs, **kwargs)
            output, aux = result if has_aux else (result, None)
            gradients = _gradients(output, values)
        shaped = iter(_outside(gradients, values))
        grads = tuple(map_structure(args[n], lambda x, _: next(shaped) if isinstance(x, Tensor) else x) for n in chosen)
        (plain,) = _outside([wrap(_plain(output))], values)
        return grads[0] if isinstance(argnums, int) else grads, (plain, aux) if has_aux else plain

    return transformed


def _plain(output: Tensor) -> Value:
    """The value as a result: still differentiable by outer transforms."""
    return alias(output._read())


def _outside(results: list[Tensor], variables: list[Value]) -> list[Tensor]:
    """Results as they leave a transform: what depends on its variables only carries no gradient any more."""
    return [x if _needs_history(x._read(), set(variables)) else x.detach() for x in results]


def _needs_history(value: Value, variables: set[Value]) -> bool:
    """Whether a gradient could flow from `value` to anything but the `variables` themselves."""
    stack, seen = [value], {value}
    while stack:
        x = stack.pop()
        if not x.requires_grad:
            continue
        if x not in variables and (x.leaf is not None or x.node is None or not x.node.requires_grad):
            return True  # a leaf, or a variable of another transform
        for source in x.node.inputs if x.node is not None else ():
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return False


def _gradients(output: Any, values: list[Value]) -> list[Tensor]:
    if not isinstance(output, Tensor) or output.ndim or not output.dtype.is_inexact:
        given = f"a tensor of shape {list(output.shape)} and {output.dtype}" if isinstance(output, Tensor) else type(output)
        raise RuntimeError(f"grad requires a function that returns a scalar of floating type, got {given}")
    value = output._read()
    found = pull_back([value], [full_like(value, 1)], values, retain_graph=True, create_graph=True)
    return [wrap(found[v]) if v in found else wrap(full_like(v, 0)) for v in values]


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of scalar-valued `func` by its arguments `argnums`.

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


def vjp(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `func` at `primals` and a function that pulls cotangents of it back to them."""
    inputs, groups = [], []
    for x in primals:
        made, values = _variables(x)
        inputs.append(made)
        groups.append(values)
    with enable_grad():
        output = func(*inputs)
    ends = [t._read() for t in _leaves(output)]

    def pull(cotangents: Any) -> Any:
        given = [t._read() for t in _leaves(cotangents)]
        values = [v for group in groups for v in group]
        found = pull_back(ends, given, values, retain_graph=True, create_graph=True)
        results = iter(_outside([wrap(found[v]) if v in found else wrap(full_like(v, 0)) for v in values], values))
        shaped = tuple(map_structure(x, lambda t, _: next(results) if isinstance(t, Tensor) else t) for x in primals)
        return shaped

    variables = [v for group in groups for v in group]
    return map_structure(output, lambda t, _: _outside([wrap(_plain(t))], variables)[0] if isinstance(t, Tensor) else t
                         ), pull


# --- vmap -------------------------------------------------------------------------------------------------------------


def vmap(func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
         chunk_size: int | None = None) -> Callable[..., Any]:
    """`func` over a dimension of its tensor arguments, all examples in one program.

    `in_dims` and `out_dims` say where that dimension is: an int or None, or nested as the arguments and results are.

    >>> import flambeau as torch
    >>> torch.vmap(torch.dot)(torch.ones(3, 2), torch.ones(3, 2))
    tensor([2., 2., 2.])
    """
    if randomness not in ("error", "same", "different"):
        raise RuntimeError(f"vmap requires randomness of 'error', 'same' or 'different', got {randomness!r}")

    def mapped(*args: Any, **kwargs: Any) -> Any:
        dims = _spread_dims(in_dims, args)
        size = _mapped_size(args, dims)
        if chunk_size is not None and chunk_size < size:
            return _in_chunks(mapped_once, args, kwargs, dims, size, chunk_size, out_dims)
        return mapped_once(args, kwargs, dims, size)

    def mapped_once(args: Any, kwargs: Any, dims: Any, size: int) -> Any:
        return _vmap(func, args, kwargs, dims, size, out_dims)

    return mapped


def _spread_dims(in_dims: Any, args: tuple[Any, ...]) -> list[Any]:
    """One entry per argument, nested as the argument is."""
    if not args:
        raise ValueError("vmap requires at least one positional argument to map over")
    if isinstance(in_dims, int) or in_dims is None:
        in_dims = (in_dims,) * len(args)
    if len(in_dims) != len(args):
        raise ValueError(f"vmap requires in_dims with one entry per positional argument ({len(args)}), got {in_dims!r}")
    return [_like(d, a) for d, a in zip(in_dims, args)]


def _like(dims: Any, x: Any) -> Any:
    if isinstance(dims, int) or dims is None:
        return map_structure(x, lambda leaf, _: dims if isinstance(leaf, Tensor) else None)
    if isinstance(x, dict):
        return {k: _like(dims[k], v) for k, v in x.items()}
    return type(x)(_like(d, v) for d, v in zip(dims, x))


def _mapped_size(args: Any, dims: Any) -> int:
    sizes: dict[int, str] = {}

    def visit(x: Any, d: Any, path: str) -> None:
        if isinstance(x, Tensor):
            if d is not None:
                if not -x.ndim <= d < x.ndim:
                    raise ValueError(f"vmap: {path} has {x.ndim} dimensions, so it cannot be mapped over dimension {d}")
                sizes.setdefault(x._type.shape[d], path)
        elif isinstance(x, dict):
            for k, v in x.items():
                visit(v, d[k], f"{path}[{k!r}]")
        elif isinstance(x, (list, tuple)):
            for i, v in enumerate(x):
                visit(v, d[i], f"{path}[{i}]")

    for i, (x, d) in enumerate(zip(args, dims)):
        visit(x, d, f"args[{i}]")
    if not sizes:
        raise ValueError("vmap requires at least one tensor argument with an in_dim that is not None")
    if len(sizes) > 1:
        given = ", ".join(f"{n} in {path}" for n, path in sizes.items())
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {given}")
    return next(iter(sizes))


def _to_front(value: Value, dim: int) -> Value:
    d = dim % value.type.ndim
    if d == 0:
        return value
    return transpose(value, permutation=(d, *(i for i in range(value.type.ndim) if i != d)))


def _vmap(func: Callable[..., Any], args: Any, kwargs: Any, dims: Any, size: int, out_dims: Any) -> Any:
    outer_values: list[Value] = []
    inner: list[Value] = []
    flat_dims = iter(_flat_dims(args, dims))

    with region() as here, recording() as recorder:
        def stand_in(x: Any, path: str) -> Any:
            if not isinstance(x, Tensor):
                next(flat_dims, None)
                return x
            d = next(flat_dims)
            value = x._read()
            if d is None:
                return x
            kind = value.type.with_shape(tuple(n for i, n in enumerate(value.type.shape) if i != d % value.type.ndim))
            made = placeholder(kind, value.device, value.requires_grad)
            outer_values.append(_NotYet(value, d))  # type: ignore[arg-type]
            inner.append(made)
            return wrap(made)

        examples = tuple(map_structure(a, stand_in) for a in args)
        result = func(*examples, **kwargs)
        outputs = [t._read() for t in _leaves(result)]
        writes = here.finish("vmap")
    graph, free = close(inner, recorder.nodes, (*outputs, *(after for _, _, after in writes)), "vmap")
    values = [_to_front(v.value, v.dim) for v in outer_values]  # type: ignore[attr-defined]
    flags = [True] * len(values) + [False] * len(free)
    results = batched_call(graph, size, flags, [*values, *free])
    _write(writes, results[len(outputs):])
    made = iter(results)
    ends = iter(_flat_out_dims(result, out_dims))
    return map_structure(result, lambda t, _: _placed(next(made), next(ends), size) if isinstance(t, Tensor) else t)


def _write(writes: list[Write], results: list[tuple[Value, bool]]) -> None:
    """Leave in tensors from outside what the function wrote there, which must be the same for all examples."""
    for (storage, before, _), (value, batched) in zip(writes, results, strict=True):
        if batched:
            raise RuntimeError(f"vmap: the function writes in place to a tensor from outside ({before.type}) what differs "
                               "from example to example. Return it instead, or pass the tensor in, mapped")
        storage.write(value)


class _NotYet:
    """A mapped argument whose dimension moves to the front outside the recorded body."""

    def __init__(self, value: Value, dim: int) -> None:
        self.value, self.dim = value, dim


def _flat_dims(args: Any, dims: Any) -> list[Any]:
    flat: list[Any] = []

    def visit(x: Any, d: Any) -> None:
        if isinstance(x, dict):
            for k, v in x.items():
                visit(v, d[k])
        elif isinstance(x, (list, tuple)):
            for i, v in enumerate(x):
                visit(v, d[i])
        else:
            flat.append(d)

    for x, d in zip(args, dims):
        visit(x, d)
    return flat


def _flat_out_dims(result: Any, out_dims: Any) -> list[Any]:
    count = len(_leaves(result))
    if isinstance(out_dims, int) or out_dims is None:
        return [out_dims] * count
    if len(out_dims) != count:
        raise ValueError(f"vmap requires out_dims with one entry per result ({count}), got {out_dims!r}")
    return list(out_dims)


def _placed(output: tuple[Value, bool], dim: int | None, size: int) -> Tensor:
    value, batched = output
    if dim is None:
        if batched:
            raise ValueError("vmap: a result that depends on the mapped argument cannot have out_dims None")
        return wrap(value)
    value = with_leading(size, batched, value)
    d = dim % value.type.ndim
    if d == 0:
        return wrap(value)
    order = [*range(1, value.type.ndim)]
    order.insert(d, 0)
    return wrap(transpose(value, permutation=tuple(order)))


def _in_chunks(run: Callable[..., Any], args: Any, kwargs: Any, dims: Any, size: int, chunk: int, out_dims: Any) -> Any:
    """The map in pieces of at most `chunk` examples, joined."""
    pieces = []
    for start in range(0, size, chunk):
        count = min(chunk, size - start)
        flat = iter(_flat_dims(args, dims))

        def cut(x: Any, path: str, start: int = start, count: int = count, flat: Any = flat) -> Any:
            d = next(flat, None)
            return x.narrow(d, start, count) if isinstance(x, Tensor) and d is not None else x

        pieces.append(run(tuple(map_structure(a, cut) for a in args), kwargs, dims, count))
    leaves = iter(zip(*(_leaves(p) for p in pieces)))
    ends = iter(_flat_out_dims(pieces[0], out_dims))
    return map_structure(pieces[0], lambda t, _: cat(list(next(leaves)), next(ends)) if isinstance(t, Tensor) else t)


def functional_call(module: Any, parameters: dict[str, Tensor], args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
    """Call a module with some of its parameters and buffers replaced, by name; the module is as before afterwards."""
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, value in parameters.items():
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path)
            table = owner._parameters if last in owner._parameters else owner._buffers
            if last not in table:
                raise KeyError(f"functional_call: the module has no parameter or buffer named {name!r}")
            replaced.append((table, last, table[last]))
            table[last] = value
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for table, last, value in reversed(replaced):
            table[last] = value

