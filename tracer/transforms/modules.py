"""Modules as functions of their state: `functional_call`, `stack_module_state`, `functionalize`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..functions.joining import stack
from ..tensor.context import context
from ..tensor.tensor import Tensor

_ABSENT: Any = object()


def functional_call(module: Any, parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
                    args: Any = None, kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True,
                    strict: bool = False) -> Any:
    """Call a module with some of its parameters and buffers replaced, by name; the module is as before afterwards.

    A tensor that the module knows under several names is replaced under all of them, unless `tie_weights` is False.
    `strict` requires exactly the names that the module has.

    >>> import flambeau as torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> torch.func.functional_call(layer, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, torch.ones(2))
    tensor([2.])
    """
    given = _joined(parameter_and_buffer_dicts)
    tied = _tied_names(module) if tie_weights else {}
    _check_ties(given, tied)
    everywhere = {other: x for name, x in given.items() for other in tied.get(name, (name,))}
    if strict:
        _check_names(module, everywhere)
    with _replaced(module, everywhere):
        return module(*(args if isinstance(args, tuple) else () if args is None else (args,)), **(kwargs or {}))


def _joined(dicts: Any) -> dict[str, Tensor]:
    """One dict of all; ValueError when a name is in two."""
    if not isinstance(dicts, (Mapping, list, tuple)):
        raise ValueError(f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(dicts)}")
    group = [dicts] if isinstance(dicts, Mapping) else dicts
    names = [name for d in group for name in d]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    joined = {name: x for d in group for name, x in d.items()}
    for x in joined.values():
        if not isinstance(x, Tensor):
            raise TypeError(f"{x} is not an instance of torch.Tensor")
    return joined


def _named(module: Any) -> dict[str, Tensor]:
    """All names of parameters and buffers, those of one tensor too."""
    return {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers(remove_duplicate=False))}


def _tied_names(module: Any) -> dict[str, tuple[str, ...]]:
    """For each name all names of the same tensor."""
    groups: dict[Tensor, list[str]] = {}
    for name, x in _named(module).items():
        groups.setdefault(x, []).append(name)
    return {name: tuple(group) for group in groups.values() for name in group}


def _check_ties(given: dict[str, Tensor], tied: dict[str, tuple[str, ...]]) -> None:
    for group in dict.fromkeys(tied.values()):
        names = [name for name in group if name in given]
        if len({id(given[name]) for name in names}) > 1:
            raise ValueError(f"functional_call got multiple values for keys {names}, which are tied. Consider using "
                             "tie_weights=False")


def _check_names(module: Any, given: dict[str, Tensor]) -> None:
    known = _named(module)
    problems = [f"\t{what} key(s): {', '.join(map(repr, sorted(names)))}." for what, names in (
        ("Unexpected", [n for n in given if n not in known]), ("Missing", [n for n in known if n not in given])) if names]
    if problems:
        raise RuntimeError("\n".join([f"Error(s) in reparametrizing for {type(module).__name__}:", *problems]))


@contextmanager
def _replaced(module: Any, given: dict[str, Tensor]) -> Iterator[None]:
    """In this block the module holds other tensors; a name that it does not know becomes an attribute.

    What is compiled of it runs as it is: each call would be another program, since the tensors are no state of the module.
    """
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    before, context.inlined = context.inlined, True
    try:
        for name, value in given.items():
            path, _, last = name.rpartition(".")
            owner = module.get_submodule(path)
            table = next((t for t in (owner._parameters, owner._buffers) if last in t), owner.__dict__)
            replaced.append((table, last, table.get(last, _ABSENT)))
            table[last] = value
        yield
    finally:
        context.inlined = before
        for table, last, value in reversed(replaced):
            if value is _ABSENT:
                del table[last]
            else:
                table[last] = value


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(parameters, buffers) of several modules of one class, stacked by name: an ensemble for `vmap` and `functional_call`.

    >>> import flambeau as torch
    >>> parameters, buffers = torch.func.stack_module_state([torch.nn.Linear(2, 3) for _ in range(4)])
    >>> parameters["weight"].shape
    torch.Size([4, 3, 2])
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters, buffers = ([dict(getattr(m, kind)()) for m in models] for kind in ("named_parameters", "named_buffers"))
    return tuple({name: _stacked(name, [d[name] for d in group]) for name in group[0]}  # type: ignore[return-value]
                 for group in (parameters, buffers))


def _stacked(name: str, tensors: list[Tensor]) -> Tensor:
    """A leaf that holds all of them."""
    flags = {t.requires_grad for t in tensors}
    if len(flags) > 1:
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    return stack([t.detach() for t in tensors]).requires_grad_(flags.pop())


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """`func` itself: what is recorded here never mutates, whatever the Python code does."""
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid options "
                           "are 'mutations' and 'mutations_and_views'.")
    return func


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The tensor itself: transforms put no wrapper around it."""
    return tensor
