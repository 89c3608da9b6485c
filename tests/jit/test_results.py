"""Results that index, view or alias what a step was given, reads or makes: as lazily, in all that can be seen of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.tracer.tensor.nested import all_leaves

# --- The members: functions of a matrix, a 0-d position and a mask of rows -----------------------------------------------

View = Callable[[Any, Any, Any], Any]
WEIGHT = torch.tensor(2.0, requires_grad=True)

VIEWS: dict[str, View] = {
    # subscripts
    "x[1]": lambda x, t, m: x[1],
    "x[-1]": lambda x, t, m: x[-1],
    "x[0, 1]": lambda x, t, m: x[0, 1],
    "x[np.int64]": lambda x, t, m: x[np.int64(1)],
    "x[1:]": lambda x, t, m: x[1:],
    "x[:, ::2]": lambda x, t, m: x[:, ::2],
    "x[:]": lambda x, t, m: x[:],
    "x[...]": lambda x, t, m: x[...],
    "x[None]": lambda x, t, m: x[None],
    "x[..., None, 1]": lambda x, t, m: x[..., None, 1],
    "x[2:2]": lambda x, t, m: x[2:2],
    "x[t]": lambda x, t, m: x[t],
    "x[:, t]": lambda x, t, m: x[:, t],
    "x[t, t]": lambda x, t, m: x[t, t],
    "x[t, 1:]": lambda x, t, m: x[t, 1:],
    "x[..., t, None]": lambda x, t, m: x[..., t, None],
    "x[t.int()]": lambda x, t, m: x[t.int()],
    "x[-t]": lambda x, t, m: x[-t],
    "x[t][t]": lambda x, t, m: x[t][t],
    "x[t][1:]": lambda x, t, m: x[t][1:],
    "x.t()[t]": lambda x, t, m: x.t()[t],
    "x.view(-1)[t]": lambda x, t, m: x.view(-1)[t],
    "x[x.abs().sum(1).argmax()]": lambda x, t, m: x[x.abs().sum(1).argmax()],
    "x[t].detach()": lambda x, t, m: x[t].detach(),
    "x.detach()[t]": lambda x, t, m: x.detach()[t],
    "x[t] under no_grad": lambda x, t, m: torch.no_grad()(lambda: x[t])(),
    "x[1] under no_grad": lambda x, t, m: torch.no_grad()(lambda: x[1])(),
    "x[t], x[t]": lambda x, t, m: (x[t], x[t]),
    "x[t], x[1]": lambda x, t, m: (x[t], x[1]),
    "x[t:t + 1]": lambda x, t, m: x[t.reshape(1)],
    "x[[0, 2]]": lambda x, t, m: x[[0, 2]],
    "x[tensor, t]": lambda x, t, m: x[torch.tensor([0, 2]), t],
    "x[None, t]": lambda x, t, m: x[None, t],
    "x[numpy]": lambda x, t, m: x[np.array([0, 2])],
    "x[where(m)]": lambda x, t, m: torch.where(m[:, None], x, x),
    "x[m] = 1": lambda x, t, m: torch.no_grad()(lambda: x.detach().__setitem__(m, 1))() or x,
    "x[t] = 1": lambda x, t, m: torch.no_grad()(lambda: x.detach().__setitem__(t, 1))() or x[t],
    "x[True]": lambda x, t, m: x[True],
    "*x": lambda x, t, m: tuple(x),
    "x[1][1:][0]": lambda x, t, m: x[1][1:][0],
    # parts
    "select": lambda x, t, m: x.select(1, 2),
    "select(-1)": lambda x, t, m: torch.select(x, 0, -1),
    "select(t)": lambda x, t, m: x.select(0, t),
    "narrow": lambda x, t, m: x.narrow(1, 1, 2),
    "narrow(t)": lambda x, t, m: x.narrow(0, t, 1),
    "narrow_copy": lambda x, t, m: x.narrow_copy(1, 1, 2),
    "split": lambda x, t, m: x.split(2),
    "split(sizes)": lambda x, t, m: torch.split(x, [1, 3], 1),
    "split_with_sizes": lambda x, t, m: x.split_with_sizes([1, 2]),
    "chunk": lambda x, t, m: x.chunk(2, 1),
    "unsafe_chunk": lambda x, t, m: x.unsafe_chunk(2, 1),
    "unsafe_split": lambda x, t, m: x.unsafe_split(2),
    "unsafe_split_with_sizes": lambda x, t, m: x.unsafe_split_with_sizes([1, 2]),
    "tensor_split": lambda x, t, m: x.tensor_split(2),
    "hsplit": lambda x, t, m: x.hsplit(2),
    "vsplit": lambda x, t, m: x.vsplit([1]),
    "dsplit": lambda x, t, m: x[..., None].dsplit([0]),
    "unbind": lambda x, t, m: x.unbind(1),
    "diagonal": lambda x, t, m: x.diagonal(),
    "diagonal(1)": lambda x, t, m: torch.diagonal(x, 1),
    "diag": lambda x, t, m: x.diag(),
    "unfold": lambda x, t, m: x.unfold(1, 2, 1),
    "as_strided": lambda x, t, m: x.as_strided((2, 2), (1, 2)),
    "index_select": lambda x, t, m: x.index_select(0, t.reshape(1)),
    "take": lambda x, t, m: x.take(t),
    "take_along_dim": lambda x, t, m: x.take_along_dim(t.expand(3, 1), 1),
    "gather": lambda x, t, m: x.gather(1, t.expand(3, 1)),
    # the same elements, otherwise arranged
    "view": lambda x, t, m: x.view(-1),
    "view(same)": lambda x, t, m: x.view(x.shape),
    "view_as": lambda x, t, m: x.view_as(x),
    "view(int32)": lambda x, t, m: x.view(torch.int32),
    "view(int16)": lambda x, t, m: x.view(torch.int16),
    "reshape": lambda x, t, m: x.reshape(2, -1),
    "reshape_as": lambda x, t, m: x.reshape_as(x),
    "t().reshape": lambda x, t, m: x.t().reshape(-1),
    "flatten": lambda x, t, m: x.flatten(),
    "flatten(1)": lambda x, t, m: x.flatten(1),
    "ravel": lambda x, t, m: x.ravel(),
    "unflatten": lambda x, t, m: x.unflatten(1, (2, -1)),
    "squeeze": lambda x, t, m: x.squeeze(),
    "squeeze(0)": lambda x, t, m: x[:1].squeeze(0),
    "unsqueeze": lambda x, t, m: x.unsqueeze(1),
    "atleast_1d": lambda x, t, m: torch.atleast_1d(x),
    "atleast_2d": lambda x, t, m: torch.atleast_2d(x[0]),
    "t": lambda x, t, m: x.t(),
    "T": lambda x, t, m: x.T,
    "mT": lambda x, t, m: x.mT,
    "H": lambda x, t, m: x.H,
    "mH": lambda x, t, m: x.mH,
    "t of a vector": lambda x, t, m: x[0].t(),
    "adjoint": lambda x, t, m: x.adjoint(),
    "transpose": lambda x, t, m: torch.transpose(x, 0, 1),
    "swapaxes": lambda x, t, m: x.swapaxes(0, 1),
    "swapdims": lambda x, t, m: x.swapdims(0, -1),
    "permute": lambda x, t, m: x.permute(1, 0),
    "movedim": lambda x, t, m: x.movedim(0, 1),
    "moveaxis": lambda x, t, m: x.moveaxis(1, 0),
    "flip": lambda x, t, m: x.flip(0),
    "rot90": lambda x, t, m: x.rot90(),
    "roll": lambda x, t, m: x.roll(1),
    "expand": lambda x, t, m: x.expand(2, -1, -1),
    "expand(same)": lambda x, t, m: x.expand(-1, -1),
    "expand_as": lambda x, t, m: x[:1].expand_as(x),
    "broadcast_to": lambda x, t, m: torch.broadcast_to(x[0], (2, 4)),
    "broadcast_tensors": lambda x, t, m: torch.broadcast_tensors(x, x[0]),
    "meshgrid": lambda x, t, m: torch.meshgrid(x[0], x[1], indexing="ij"),
    "meshgrid(xy)": lambda x, t, m: torch.meshgrid(x[0], x[1], indexing="xy"),
    "einsum": lambda x, t, m: torch.einsum("ij->ji", x),
    "sum_to_size": lambda x, t, m: x.sum_to_size(3, 4),
    "repeat": lambda x, t, m: x.repeat(1, 1),
    "tile": lambda x, t, m: x.tile(1),
    # of complex numbers
    "real": lambda x, t, m: x.real,
    "torch.real": lambda x, t, m: torch.real(x),
    "conj": lambda x, t, m: x.conj(),
    "resolve_conj": lambda x, t, m: x.resolve_conj(),
    "resolve_neg": lambda x, t, m: x.resolve_neg(),
    "conj_physical": lambda x, t, m: x.conj_physical(),
    "view_as_complex": lambda x, t, m: torch.view_as_complex(x.view(3, 2, 2)),
    "view_as_real": lambda x, t, m: torch.view_as_real(torch.view_as_complex(x.view(3, 2, 2))),
    "imag of complex": lambda x, t, m: torch.view_as_complex(x.view(3, 2, 2)).imag,
    "real of complex": lambda x, t, m: torch.view_as_complex(x.view(3, 2, 2)).real[1],
    "conj of complex": lambda x, t, m: torch.view_as_complex(x.view(3, 2, 2)).conj(),
    "H of complex": lambda x, t, m: torch.view_as_complex(x.view(3, 2, 2)).H,
    "complex[t]": lambda x, t, m: torch.view_as_complex(x.view(3, 2, 2))[t].imag,
    # the tensor itself, or a copy
    "x": lambda x, t, m: x,
    "detach": lambda x, t, m: x.detach(),
    "detach of a view": lambda x, t, m: x[1:].detach(),
    "view of detach": lambda x, t, m: x.detach()[1:],
    "detach, requires_grad_": lambda x, t, m: x.detach().requires_grad_(),
    "view of detach, requires_grad_": lambda x, t, m: x.detach()[1].requires_grad_(),
    "x[t].detach, requires_grad_": lambda x, t, m: x[t].detach().requires_grad_(),
    "data": lambda x, t, m: x.data,
    "data[t]": lambda x, t, m: x.data[t],
    "contiguous": lambda x, t, m: x.contiguous(),
    "t().contiguous": lambda x, t, m: x.t().contiguous(),
    "clone": lambda x, t, m: x.clone(),
    "x[t].clone": lambda x, t, m: x[t].clone(),
    "to(dtype)": lambda x, t, m: x.to(torch.float32),
    "to(other dtype)": lambda x, t, m: x.to(torch.float64),
    "to(device)": lambda x, t, m: x.to("cpu"),
    "to(copy)": lambda x, t, m: x.to(torch.float32, copy=True),
    "to(like)": lambda x, t, m: x.to(x),
    "float": lambda x, t, m: x.float(),
    "double": lambda x, t, m: x.double(),
    "type": lambda x, t, m: x.type(torch.float32),
    "type_as": lambda x, t, m: x.type_as(x),
    "cpu": lambda x, t, m: x.cpu(),
    "positive": lambda x, t, m: x.positive(),
    "+x": lambda x, t, m: +x,
    "as_tensor": lambda x, t, m: torch.as_tensor(x),
    "asarray": lambda x, t, m: torch.asarray(x),
    "dropout in eval": lambda x, t, m: torch.nn.functional.dropout(x, 0.5, False),
    "Identity": lambda x, t, m: torch.nn.Identity()(x),
    "Flatten": lambda x, t, m: torch.nn.Flatten()(x),
    "Unflatten": lambda x, t, m: torch.nn.Unflatten(1, (2, 2))(x),
    "nonzero": lambda x, t, m: torch.nonzero(m, size=2),
    "max": lambda x, t, m: tuple(x.max(1)),
    "sort": lambda x, t, m: tuple(x.sort(1)),
    "topk": lambda x, t, m: tuple(x.topk(2)),
    "pad of nothing": lambda x, t, m: torch.nn.functional.pad(x, (0, 0)),
    "diagonal_scatter": lambda x, t, m: x.diagonal_scatter(x[0, :3]),
    "cat of one": lambda x, t, m: torch.cat([x]),
    "stack": lambda x, t, m: torch.stack([x[t], x[0], x[1]])[t],
    "sum().t": lambda x, t, m: x.sum(0).unsqueeze(0).t(),
    # two of a kind, in one result
    "rows": lambda x, t, m: (x[0], x[1]),
    "row and rest": lambda x, t, m: (x[0], x[1:], x.view(-1)),
    "view and detach": lambda x, t, m: (x.view(-1), x.detach()),
    "x[t] and its view": lambda x, t, m: [(y := x[t]), y[1:], y.unsqueeze(0)],
    "x[t] and x": lambda x, t, m: (x, x[t], x.t()),
    # functions that write and return what they wrote
    "add_": lambda x, t, m: x.add_(1),
    "mul_ of a view": lambda x, t, m: x[1].mul_(2),
    "mul_ of x[t]": lambda x, t, m: x[t].mul_(2),
    "view of add_": lambda x, t, m: x.add_(1)[1:],
    "zero_": lambda x, t, m: x[:, 1].zero_(),
    "copy_": lambda x, t, m: x.copy_(x * 2),
    "fill_": lambda x, t, m: x.fill_(3),
    "clamp_": lambda x, t, m: x.clamp_(0, 4),
    "relu_": lambda x, t, m: torch.relu_(x),
    "relu(inplace)": lambda x, t, m: torch.nn.functional.relu(x, inplace=True),
    "ReLU(inplace)": lambda x, t, m: torch.nn.ReLU(inplace=True)(x),
    "masked_fill_": lambda x, t, m: x.masked_fill_(m[:, None], 7),
    "index_fill_": lambda x, t, m: x.index_fill_(0, t.reshape(1), 7),
    "index_add_": lambda x, t, m: x.index_add_(0, t.reshape(1), x[:1].clone()),
    "index_copy_": lambda x, t, m: x.index_copy_(0, t.reshape(1), x[:1].clone()),
    "scatter_": lambda x, t, m: x.scatter_(1, t.expand(3, 1), 7.0),
    "tril_": lambda x, t, m: x.tril_(),
    "t.add_ of a written row": lambda x, t, m: x.t().add_(1)[0],
    "+=": lambda x, t, m: x.__iadd__(1),
    "out=": lambda x, t, m: torch.add(x.detach(), 1, out=x.detach()),
    "out=x[t]": lambda x, t, m: torch.add(x[0].detach(), 1, out=x.detach()[t]),
    "init.ones_": lambda x, t, m: torch.nn.init.ones_(x),
    "detach().add_": lambda x, t, m: x.detach().add_(1),
    "data.mul_": lambda x, t, m: x.data.mul_(2),
    "write, then x[t]": lambda x, t, m: (torch.no_grad()(lambda: x.detach().add_(1))(), x[t])[1],
    "x[t], then write": lambda x, t, m: (x[t], torch.no_grad()(lambda: x.detach().add_(1))())[0],
    "t().t_": lambda x, t, m: x.view(3, 4).t_(),
    "unsqueeze_": lambda x, t, m: x.view(3, 4).unsqueeze_(0),
    "squeeze_": lambda x, t, m: x.view(1, 3, 4).squeeze_(),
    "transpose_": lambda x, t, m: x.view(3, 4).transpose_(0, 1),
    "swapaxes_": lambda x, t, m: x.view(3, 4).swapaxes_(0, 1),
    "as_strided_": lambda x, t, m: x.view(3, 4).as_strided_((2, 2), (1, 2)),
    "detach_": lambda x, t, m: (x * 1).detach_(),
    "detach, written with history": lambda x, t, m: (y := x.detach(), y.mul_(WEIGHT))[0],
    "row of detach, written with history": lambda x, t, m: (y := x[1].detach(), y.mul_(WEIGHT))[0],
    "detach, written with history, and its row": lambda x, t, m: (y := x.detach(), y.mul_(WEIGHT), y[t])[2],
    "history on one of two": lambda x, t, m: (x[1].detach().mul_(WEIGHT), x.detach(), x.view(-1)),
    "row, written with history": lambda x, t, m: (x * 1)[t].mul_(WEIGHT),
    "leaf and its view": lambda x, t, m: (y := x.detach().requires_grad_(), y[1], y.view(-1).detach()),
    "leaf beside": lambda x, t, m: (x[1].detach().requires_grad_(), x[1]),
    "Parameter": lambda x, t, m: torch.nn.Parameter(x),
    "Parameter of x[t]": lambda x, t, m: torch.nn.Parameter(x[t]),
    "Parameter without grad": lambda x, t, m: torch.nn.Parameter(x, False),
    "Buffer": lambda x, t, m: torch.nn.Buffer(x.detach()),
    "requires_grad_(False)": lambda x, t, m: x.detach().requires_grad_(False),
}

# --- Where what they show comes from -------------------------------------------------------------------------------------


def contents() -> Any:
    return torch.arange(12.0).view(3, 4).clone() - 5


def argument() -> tuple[Any, list[Any], Callable[..., Any]]:
    """What others see of the memory; the arguments but the position and the mask; what of these the views are of."""
    x = contents()
    return x, [x], lambda x: x


def leaf() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = contents().requires_grad_()
    return x, [x], lambda x: x


def computed() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = contents().requires_grad_()
    return x, [x * 1], lambda y: y


def view_argument() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = torch.arange(20.0).view(5, 4).clone() - 9
    return x, [x[1:4]], lambda x: x


def state() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = contents()
    return x, [], lambda: x


def buffer() -> tuple[Any, list[Any], Callable[..., Any]]:
    module = torch.nn.Module()
    module.register_buffer("table", contents())
    return module.table, [], lambda: module.table


def parameter() -> tuple[Any, list[Any], Callable[..., Any]]:
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(contents())
    return module.w, [], lambda: module.w


def view_of_state() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = torch.arange(20.0).view(5, 4).clone() - 9
    view = x[1:4]
    return x, [], lambda: view


def detached_state() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = (contents().requires_grad_() * 1).detach()
    return x, [], lambda: x


def row_of_state() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = torch.arange(24.0).view(2, 3, 4).clone() - 9
    view = x[torch.tensor(1)]
    return x, [], lambda: view


def inside() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = contents()
    return x, [x], lambda x: x * 2


def inside_with_history() -> tuple[Any, list[Any], Callable[..., Any]]:
    x = contents().requires_grad_()
    return x, [x], lambda x: x * 2


SOURCES = [argument, leaf, computed, view_argument, state, buffer, parameter, view_of_state, detached_state, row_of_state, inside,
           inside_with_history]

# --- How they leave the step ---------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "alone": lambda view, root, box: view(),
    "twice": lambda view, root, box: [y := view(), y],
    "made twice": lambda view, root, box: (view(), view()),
    "in a dict": lambda view, root, box: {"view": view(), "n": 1},
    "with the root": lambda view, root, box: (view(), root),
    "stored in an argument": lambda view, root, box: box.update(view=view()),
}

# --- What can be seen of them --------------------------------------------------------------------------------------------


def seen(tensors: list[Any]) -> list[Any]:
    return [x.detach().tolist() for x in tensors]


def quietly(do: Callable[[], Any]) -> Any:
    """What it gives, or the kind of error that it raises."""
    try:
        return do()
    except (RuntimeError, IndexError, TypeError, NotImplementedError) as error:
        return type(error).__name__


def facts(results: list[Any], root: Any, leaves: list[Any], first: bool) -> Iterator[tuple[str, Any]]:
    """All that can be seen of the results, then of writes through each of them and through the root.

    A step is one node to gradients: those that nothing reaches are zero, and one frees what the next one needs.
    """
    yield "values", seen(results)
    yield "types", [(type(x), x.dtype, x.shape, x.requires_grad, x.is_leaf) for x in results]
    yield "places", [(x.stride(), x.storage_offset()) for x in results]
    yield "identity", [[x is y for y in (root, *leaves, *results)] for x in results]
    yield "computing with them", seen([x * 2 for x in results])

    if first:
        yield "a second step", seen([torch.jit(lambda r: r + 1)(x) for x in results])
    for x in results:
        if x.requires_grad:
            def gradients(x: Any = x) -> Any:
                weights = torch.arange(1.0 + x.numel())[1:].view(x.shape)
                found = torch.autograd.grad((x * weights).sum().abs(), [root, WEIGHT, x], retain_graph=True, allow_unused=True)
                return [None if g is None or not g.count_nonzero() else g.tolist() for g in found]
            yield "gradients", quietly(gradients)
    for x in (*results, root):
        yield "a write", quietly(lambda x=x: x.detach().mul_(-1).tolist())  # type: ignore[misc]
        yield "seen by others", seen([*results, root])
    for x in results:
        yield "a write with history", quietly(lambda x=x: x.add_(1).tolist())  # type: ignore[misc]
        yield "seen by others", seen([*results, root])


def run(wrap: Callable[[Any], Any], view: View, form: Callable[..., Any], source: Callable[[], Any]) -> list[Any]:
    root, arguments, shown = source()

    @wrap
    def step(t: Any, m: Any, box: Any, *given: Any) -> Any:
        x = shown(*given)
        return form(lambda: view(x, t, m), x, box)

    found, kept = list[Any](), list[Any]()
    for i in (1, 0, 2):
        box = dict[str, Any]()
        given = [y * 1 if y.requires_grad and not y.is_leaf else y for y in arguments]
        outcome = quietly(partial(step, torch.tensor(i), torch.tensor([True, False, True]), box, *given))
        if isinstance(outcome, str):
            return [*found, ("raised", outcome)]
        results = [x for x in all_leaves([outcome, box]) if isinstance(x, torch.Tensor)]
        found.append(("objects of their own", [any(x is y for y in kept) for x in results]))
        kept += results
        found += facts(results, root, given, i == 1)
    return found


def unchanged(function: Any) -> Any:
    return function


def difference(view: View, form: Callable[..., Any], source: Callable[[], Any]) -> str:
    """What a compiled step does otherwise; nothing, if all is well."""
    expected, got = (run(wrap, view, form, source) for wrap in (unchanged, torch.jit))
    for (what, a), (name, b) in zip(expected, got):
        if what != name or repr(a) != repr(b):
            return f"{what} {a}, but {name} {b} in a step"
    return "" if len(expected) == len(got) else "more or less to see"


@pytest.mark.parametrize("source", SOURCES, ids=lambda f: f.__name__)
def test_views_as_results(source: Any, numpy_engine: None) -> None:
    """Each member from every third source; they leave the step in all forms by turns."""
    number = SOURCES.index(source)
    members = {name: view for i, (name, view) in enumerate(VIEWS.items()) if i % 3 == number % 3}
    forms, wrong = list(FORMS), []
    for turn, (name, view) in enumerate(members.items(), number // 3):
        form = forms[turn % len(forms)]
        found = difference(view, FORMS[form], source)
        if found and not (source is inside_with_history and name.endswith("under no_grad")):  # nobody outside has its base
            wrong.append(f"{name}, {form}: {found}")
    print(f"{len(members)} members ran, {len(wrong)} of them differ")
    assert len(members) > 65 and not wrong, "\n".join(wrong)


# --- Examples ------------------------------------------------------------------------------------------------------------

ways = pytest.mark.parametrize("way", [unchanged, torch.jit], ids=["lazily", "jit"])


@ways
def test_a_row_of_a_table(way: Any) -> None:
    table = torch.arange(12.0).view(3, 4).clone()
    row_of = way(lambda t: table[t])
    for i in (1, 0, 2):
        row = row_of(torch.tensor(i))
        assert (row + 1).tolist() == (table + 1)[i].tolist()
        row.mul_(10)
        assert table[i].tolist() == row.tolist()
    table.fill_(7)
    assert row.tolist() == [7, 7, 7, 7]


@ways
def test_a_column_of_an_argument(way: Any) -> None:
    x = torch.arange(12.0).view(3, 4).clone().requires_grad_()
    column_of = way(lambda x, i: x[:, i])
    for i in (3, 0, 2):
        column = column_of(x, torch.tensor(i))
        assert column.tolist() == [i, i + 4, i + 8] and column.stride() == (4,)
        (gradient,) = torch.autograd.grad(column.square().sum(), x)
        assert gradient[:, i].tolist() == [2 * i, 2 * i + 8, 2 * i + 16] and gradient.count_nonzero() == (3 if i else 2)


@ways
def test_the_best_candidate(way: Any) -> None:
    best = way(lambda cand, scores: cand[scores.argmax()])
    loudest = torch.jit(lambda x: x.abs().max())
    for scores in ([1.0, 3.0, 2.0], [4.0, 3.0, 2.0], [1.0, 3.0, 5.0]):
        cand = torch.tensor([[1, -2], [3, -4], [5, -6]])
        found = best(cand, torch.tensor(scores))
        assert found.tolist() == cand.tolist()[scores.index(max(scores))]
        assert loudest(found).item() == max(map(abs, found.tolist()))
        found.zero_()
        assert cand[scores.index(max(scores))].tolist() == [0, 0]


@ways
def test_a_row_put_into_an_argument(way: Any) -> None:
    def step(batch: Any, t: Any) -> None:
        batch["row"] = batch["x"][t]
        batch["rows"].append(batch["row"])

    step = way(step)
    batch = {"x": torch.arange(6.0).view(3, 2).clone(), "rows": []}
    for i in (2, 0):
        step(batch, torch.tensor(i))
        batch["x"].add_(1)
    assert batch["row"] is batch["rows"][-1]
    assert [row.tolist() for row in batch["rows"]] == [[6, 7], [2, 3]]


@ways
def test_positions_that_are_tensors(way: Any) -> None:
    x = torch.arange(12).view(3, 4).clone()
    picked = way(lambda x, t: (x.select(1, t), x.narrow(1, t, 2), torch.select(x, 0, -t - 1), x.narrow(0, t, 0)))
    for i in (0, 1, 2):
        column, columns, row, nothing = picked(x, torch.tensor(i))
        assert column.tolist() == x[:, i].tolist() and columns.tolist() == x[:, i:i + 2].tolist()
        assert row.tolist() == x[-i - 1].tolist() and nothing.shape == (0, 4)
    column.zero_()
    assert x[:, 2].tolist() == [0, 0, 0]
    assert torch.rand(3).shape == (3,) and torch.ones(3, 4)[1:].sum().item() == 8


def test_positions_that_torch_refuses() -> None:
    x = torch.zeros(3, 4)
    for index in (torch.tensor(1.0), torch.tensor([1, 2])):
        with pytest.raises(TypeError, match=r"argument 'index' \(position 2\) must be int, not Tensor"):
            x.select(0, index)
    with pytest.raises(IndexError, match="select\\(\\): index 5 out of range for tensor of size"):
        x.select(0, torch.tensor(5))
    with pytest.raises(RuntimeError, match="start must be an 0-dim integral Tensor"):
        x.narrow(0, torch.tensor([1]), 1)
    with pytest.raises(RuntimeError, match="exceeds dimension size"):
        x.narrow(0, torch.tensor(2), 2)
    with pytest.raises(RuntimeError, match="length must be non-negative"):
        x.narrow(0, 1, -1)


@ways
@pytest.mark.parametrize("place, error, text", [
    (lambda x, t: x[t], IndexError, "index 5 is out of bounds for dimension 0 with size 3"),
    (lambda x, t: x.select(1, t), IndexError, r"select\(\): index 5 out of range for tensor of size \[3, 4\] at dimension 1"),
    (lambda x, t: x.narrow(0, t, 1), IndexError, r"start out of range \(expected to be in range of \[-3, 3\], but got 5\)"),
    (lambda x, t: x.narrow(0, t, 0), IndexError, r"start out of range \(expected to be in range of \[-3, 3\], but got 5\)"),
    (lambda x, t: x.narrow(1, 2 - t, 4), RuntimeError, r"start \(1\) \+ length \(4\) exceeds dimension size \(4\)")])
def test_positions_out_of_range(way: Any, place: Any, error: Any, text: str) -> None:
    """Also where the step that shows them was compiled for others, and where all of a dimension is shown."""
    show = way(place)
    show(torch.zeros(3, 4), torch.tensor(2))
    with pytest.raises(error, match=text):
        show(torch.zeros(3, 4), torch.tensor(5)).tolist()


@ways
def test_places_that_are_numbers_and_tensors(way: Any) -> None:
    table = torch.arange(60.0).view(3, 4, 5).clone()
    views = {"[n, t]": lambda x, n, t: x[n, t], "[t][n]": lambda x, n, t: x[t][n], "[t, n:]": lambda x, n, t: x[t, n:n + 2],
             "narrow(n), [t]": lambda x, n, t: x.narrow(1, n, 2)[:, t], "[t].select(n)": lambda x, n, t: x[..., t].select(1, n),
             "narrow(t), [n]": lambda x, n, t: x.narrow(2, t, 2)[n, n - 1:n],
             "select(t)[:, n]": lambda x, n, t: x.select(1, t)[:, n]}
    for name, view in views.items():
        show, other = way(view), way(lambda n, t, view=view: view(table, n, t))
        for n, i in ((1, 0), (2, 1), (1, 1), (2, 0)):
            expected = view(table, n, i)
            for found in (show(table, n, torch.tensor(i)), other(n, torch.tensor(i))):
                assert found.tolist() == expected.tolist(), name
                found.mul_(-1)
                assert found.tolist() == expected.tolist(), name


@ways
def test_detach_in_a_step_leaves_an_argument_its_history(way: Any) -> None:
    def step(y: Any) -> Any:
        y.detach().add_(1)
        return y.detach()[0].requires_grad_(), y[0]

    x = torch.ones(2, requires_grad=True)
    y = x * 3
    leaf, first = way(step)(y)
    assert (leaf.is_leaf, leaf.requires_grad, first.item()) == (True, True, 4)
    (gradient,) = torch.autograd.grad(first + y.sum(), x)
    assert gradient.tolist() == [6, 3]


def test_a_view_from_outside_is_returned_itself() -> None:
    row = torch.ones(2, 2)[torch.tensor(1)]
    step = torch.jit(lambda: (row, row.detach()))
    first, second = step(), step()
    assert first[0] is row and second[0] is row and first[1] is not second[1]
    second[1].zero_()
    assert row.tolist() == first[1].tolist() == [0, 0]


def test_an_expanded_result_is_not_written() -> None:
    wide = torch.jit(lambda x: (x * 2).expand(2, 2))(torch.ones(2))
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        wide.detach().add_(1)
