"""Subscripts and indexed reads and writes against torch: values, shapes, dtypes, gradients and error messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau.tracer.autograd.backward  # noqa: E402  (attaches backward)
import flambeau.tracer.functions.printing  # noqa: E402, F401
from flambeau.tracer.functions import creation, indexing, scattering, searching, shape, triangular  # noqa: E402
from flambeau.tracer.ir import dtypes  # noqa: E402
from flambeau.tracer.ir.errors import TraceError  # noqa: E402
from flambeau.tracer.jit.jit import jit  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8"),
              pytest.mark.filterwarnings("ignore:index_reduce"),
              pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter"),
              pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")]


class Ours:
    """Our functions under torch's names."""

    def __getattr__(self, name: str) -> Any:
        for module in (creation, scattering, searching, triangular, indexing, shape, dtypes):
            if hasattr(module, name):
                return getattr(module, name)
        if name == "bool":
            return dtypes.boolean
        raise AttributeError(name)


OURS = Ours()
rng = np.random.default_rng(0)
CUBE = rng.standard_normal((4, 5, 6)).astype(np.float32)
MATRIX = rng.standard_normal((4, 5)).astype(np.float32)


def both(text: str, **arrays: Any) -> list[Any]:
    """The expression's value, or its exception, for ours and for torch."""
    results = []
    for library in (OURS, torch):
        names = {k: library.tensor(v) for k, v in arrays.items()}
        try:
            results.append(eval(text, {"torch": library, "np": np, **names}))
        except Exception as error:
            results.append(error)
    return results


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def same(ours: Any, theirs: Any) -> None:
    for error in (ours, theirs):
        if isinstance(error, Exception):
            raise error
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert repr(a.dtype) == repr(b.dtype)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


# --- Subscripts -------------------------------------------------------------------------------------------------------

SUBSCRIPTS = """
0 | -1 | 3 | np.int64(2) | np.array(1) | True | False | None | ... | () | (2,) | :
1:3 | 1: | :-1 | -3:-1 | ::2 | 1::3 | -100:100 | 3:1 | 4: | 2:2
0, 1 | -1, -2 | 1, 2, 3 | 0, ..., -1 | ..., 0 | ..., 1:3 | ..., None | None, ..., None | 1, None, 2
1:3, 2 | 2, 1:4 | :, 1 | :, :, -1 | :, 1::2, :3 | 1:, 0, ::2 | ::2, None, ::2 | :, None, 1 | 3:1, 2 | None, None
[0, 2] | [-1, 0] | [[0, 1], [2, 3]] | torch.tensor([3, 0, 0]) | torch.tensor([[-1], [1]]) | np.array([1, 2])
range(2) | []
torch.tensor(2) | torch.tensor(-1) | torch.tensor([1, 2], dtype=torch.int32) | np.array([0, 1], np.int16)
[0, 1], [2, 3] | [0, 1], 2 | 2, [0, 1] | :, [0, 1] | :, [0, 1], [1, 2] | [0, 1], :, [1, 2] | [0, 1], :, 2 | 0, :, [1, 2]
:, :, [5, 0, -1] | ..., [1, 2] | [0, 1], ... | [[0], [1]], [0, 1, 2] | [0, 1], None, [1, 2] | None, [0, 1]
[0, 1], None
[3], [0, 1, 2], [5, 4, 3] | torch.tensor([[0, 1]]), :, [1] | :, torch.tensor([[0, 1], [2, 3]]), 1:4:2 | 1:3, [0, 1], [2]
torch.tensor(1), [0, 2] | [0, 2], torch.tensor(1) | :, torch.tensor(1) | torch.tensor(1), torch.tensor(-2), 0
[0, 1], torch.tensor(1), [1, 2] | :, torch.tensor(3), ..., None | torch.tensor(0), 1:3, [4]
x > 0 | x[:, 0, 0] > 0 | x[:, :, 0] > 0 | :, x[0, :, 0] > 0 | :, x[0] > 0 | 1, x[0] > 0 | ..., x[0, 0] > 0 | x > 100
[True, False, True, True] | np.array([False] * 4) | x[:, 0, 0] > 0, 2 | x[:, :, 0] > 0, 1:3 | x[:, 0, 0] > 0, :, [0]
torch.tensor(True) | torch.tensor(False), 1 | :, True | [slice(0, 2), 1]
[0, 1], x[0, :, 0] < 100, [0] if False else 0
"""
ROWS = [s.strip() for line in SUBSCRIPTS.strip().splitlines() for s in line.split(" | ")][:-1]


def test_there_are_enough_rows() -> None:
    assert len(ROWS) >= 90


@pytest.mark.parametrize("row", ROWS)
def test_read(row: str) -> None:
    grads = []
    for library in (OURS, torch):
        x = library.tensor(CUBE).requires_grad_()
        picked = eval(f"x[{row}]", {"torch": library, "np": np, "x": x})
        weights = np.cos(np.arange(picked.numel(), dtype=np.float32)).reshape(tuple(picked.shape))
        (picked * library.tensor(weights)).sum().backward()
        grads.append((picked, x.grad))
    same(*[g[0] for g in grads])
    same(*[g[1] for g in grads])


@pytest.mark.parametrize("value", ["7", "number", "tensor", "last"])
@pytest.mark.parametrize("row", ROWS)
def test_assign(row: str, value: str) -> None:
    results = []
    for library in (OURS, torch):
        leaf, names = library.tensor(CUBE).requires_grad_(), {"torch": library, "np": np}
        x = leaf * 1
        shape = tuple(eval(f"x[{row}]", {**names, "x": x}).shape)
        wanted = {"7": (), "number": (), "tensor": shape, "last": shape[-1:]}[value]
        array = np.sin(np.arange(int(np.prod(wanted)), dtype=np.float32)).reshape(wanted)
        given = library.tensor(array).requires_grad_()
        exec(f"x[{row}] = {'7' if value == '7' else 'given'}", {**names, "x": x, "given": given})
        weights = np.cos(np.arange(CUBE.size, dtype=np.float32)).reshape(CUBE.shape)
        # A tensor that was overwritten altogether has no history any more; torch's has, with a gradient of zero.
        ((x * library.tensor(weights)).sum() + leaf.sum() * 0).backward()
        (given * 0).sum().backward()  # a gradient also where nothing was written
        results.append([x, leaf.grad, given.grad])
    same(*results)


@pytest.mark.parametrize("row", ["0", "1:3, 0", "[0, 2]", ":, [1, 1]", "x > 0", "..., 1", "torch.tensor(1)",
                                 "::2, None, 1", ":, torch.tensor(-2)", "torch.tensor(1), torch.tensor(0)"])
def test_augmented(row: str) -> None:
    results = []
    for library in (OURS, torch):
        x = library.tensor(CUBE)
        exec(f"x[{row}] += 1; x[{row}] *= 3; x[{row}].sub_(2)", {"torch": library, "x": x})
        results.append(x)
    same(*results)


@pytest.mark.parametrize("text", [
    "x[1:, 0].add_(1)", "x[2].zero_()", "x[:, 1:3][0, 1].fill_(5)", "x.transpose(0, 1)[1:, 2].mul_(2)",
    "x[1][2][3].add_(9)", "x[torch.tensor(1)][2].add_(1)", "x[:, torch.tensor(-1), 1:3].zero_()",
    "x.t()[0, [0, 1]].shape", "x.view(-1)[::3].neg_()"])
def test_writes_through_views(text: str) -> None:
    results = []
    for library in (OURS, torch):
        x = library.tensor(CUBE if ".t()" not in text else MATRIX)
        eval(text, {"torch": library, "x": x})
        results.append(x)
    same(*results)


@pytest.mark.parametrize("row", ["0", "1:3", ":, 2", "1, None", "::2, 1:4:2", "..., -1", "None", "3:1", ":",
                                 "0, 1, 2", "()"])
def test_strides_and_sharing(row: str) -> None:
    found = []
    for library in (OURS, torch):
        view = eval(f"x[{row}]", {"x": library.tensor(CUBE)})
        found.append((tuple(view.stride()), view.storage_offset(), view.is_contiguous()))
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["int64", "int32", "float64", "bool", "complex64", "float16", "bfloat16", "uint8"])
def test_assignment_converts(kind: str) -> None:
    results = []
    for library in (OURS, torch):
        x = library.tensor(np.abs(MATRIX)).to(getattr(library, kind))
        x[0] = library.tensor([1, 0, 1, 0, 1])
        x[1, [0, 1]] = 1.0
        x[:, 2][library.tensor([True, False, True, False])] = True
        results.append((x.to(library.complex64 if kind == "complex64" else library.float32), x.dtype))
    same(results[0][0], results[1][0])
    assert repr(results[0][1]) == repr(results[1][1])


def test_bytes_are_masks_with_a_warning() -> None:
    index = np.array([1, 0, 1, 0], np.uint8)
    with pytest.warns(UserWarning, match="please use a dtype torch.bool"):
        ours = OURS.tensor(MATRIX)[OURS.tensor(index)]
    same(ours, torch.tensor(MATRIX)[torch.tensor(index.astype(np.bool_))])


def test_empty_tensors() -> None:
    for text in ["x[[]]", "x[:, []]", "x[..., None]", "x[:0]", "x[x > 0]", "x[:, 0]", "x[:, [0, 1]]"]:
        same(*both(text, x=np.zeros((0, 3), np.float32)))


ERRORS = """
x[9] | x[-5] | x[0, 9] | x[0, 0, 0, 0] | x[0, 0, 0][0] | x[1.0] | x[torch.tensor([1.0])] | x[::-1] | x[::0]
x[torch.tensor([5])] | x[[0, 7]] | x[[True, False]] | x[torch.tensor([[True] * 3] * 4)] | x[[0, 1], [0, 1, 2]]
x[torch.tensor([1], dtype=torch.int16)] | x[torch.tensor(7)]
x.__setitem__(0, torch.zeros(3)) | x.__setitem__(0, [1.0]) | x.__setitem__(0, np.zeros(4)) | x.__setitem__(0, 'a')
x.__setitem__([0, 1], torch.zeros(3)) | x.__setitem__((slice(None), [0, 1]), torch.zeros(2, 2, 2, 2, 2))
x.__setitem__(0, torch.zeros(2, 5, 6)) | x.long().__setitem__(0, 'a')
m.gather(1, torch.tensor([0])) | m.gather(1, torch.tensor([[9]])) | m.gather(1, torch.zeros(5, 1, dtype=torch.int64))
m.gather(1, torch.zeros(1, 1)) | m.scatter(1, torch.tensor([[0]]), torch.ones(1, 1, dtype=torch.float64))
m.scatter(1, torch.tensor([[-1]]), 1.0) | m.scatter(0, torch.tensor([[0, 1]]), torch.ones(1, 1))
m.gather(2, torch.tensor([[0]]))
m.take(torch.tensor([20])) | m.index_select(0, torch.tensor([9])) | m.index_select(0, torch.tensor([-1]))
m.index_select(0, torch.tensor([[0]])) | m.index_add(0, torch.tensor([0, 1]), torch.ones(3, 5))
m.index_add(0, torch.tensor([-1]), torch.ones(1, 5)) | m.index_copy(0, torch.tensor([0, 1]), torch.ones(3, 5))
m.index_fill(0, torch.tensor([0]), torch.ones(2)) | m.scatter_reduce(0, torch.tensor([[0]]), m, 'foo')
m.index_put((torch.tensor([0]),), torch.tensor(1)) | torch.diag(x) | torch.tril(m[0]) | m[0].bincount()
torch.bincount(torch.tensor([-1])) | torch.searchsorted(torch.ones(2, 3), torch.ones(3, 3)) | m.masked_select(m.long())
torch.diag_embed(m, 0, 1, 1) | x.trace() | torch.bucketize(m, m)
"""


@pytest.mark.parametrize("text", [s.strip() for line in ERRORS.strip().splitlines() for s in line.split(" | ")])
def test_errors(text: str) -> None:
    ours, theirs = both(text, x=CUBE, m=MATRIX)
    assert isinstance(theirs, Exception)
    assert isinstance(ours, type(theirs)), ours
    assert str(ours) == str(theirs)


def test_writing_a_leaf_is_refused() -> None:
    x = OURS.tensor(MATRIX).requires_grad_()
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        x[0, [1, 2]] = 0.0
    with pytest.raises(RuntimeError, match="view of a leaf Variable"):
        x[0] = 0.0


# --- Functions --------------------------------------------------------------------------------------------------------

I = "torch.tensor([[0, 1, 2, 0, 1], [3, 3, 0, 1, 2]])"
J = "torch.tensor([[0, 1, 4], [2, 2, 0], [1, 1, 1]])"
V = "torch.tensor([2, 0, 2])"
FUNCTIONS = f"""
m.gather(0, {I}) ; m.gather(1, {J}) ; m.gather(-1, {J}) ; m[0].gather(0, {V}) ; m[0, 0].gather(0, torch.tensor(0))
m.scatter(0, {I}, 2.5) ; m.scatter(1, {J}, m[:3, :3] * 1) ; m.detach().scatter(0, {I}, 2.0, reduce='multiply') + m
m.detach().scatter(0, {I}, m.detach()[:2], reduce='add') + m ; m.scatter_add(0, {I}, m[:2] * 2)
m.scatter_add(1, {J}, m[:3, :3]) ; m.scatter(1, {J}, value=3)
m.scatter_reduce(0, {I}, m[:2] * 2, 'sum') ; m.scatter_reduce(0, {I}, m[:2] * 2, 'sum', include_self=False)
m.scatter_reduce(0, {I}, m[:2] * 2, 'prod') ; m.scatter_reduce(0, {I}, m[:2] * 2, 'prod', include_self=False)
m.scatter_reduce(0, {I}, m[:2] * 2, 'mean') ; m.scatter_reduce(0, {I}, m[:2] * 2, 'mean', include_self=False)
m.scatter_reduce(0, {I}, m[:2] * 2, 'amax') ; m.scatter_reduce(0, {I}, m[:2] * 2, 'amax', include_self=False)
m.scatter_reduce(0, {I}, m[:2] * 2, 'amin') ; m.scatter_reduce(1, {J}, m[:3, :3] * 2, 'amin', include_self=False)
m.index_select(0, {V}) ; m.index_select(1, {V}) ; m.index_select(-1, torch.tensor(3)) ; x.index_select(1, {V})
m.index_add(0, {V}, m[:3] * 2) ; m.index_add(1, {V}, m[:, :3], alpha=2.5)
m.index_copy(0, torch.tensor([3, 0]), m[1:3])
m.index_fill(0, {V}, 1.5) ; m.index_fill(1, torch.tensor([4, 0]), m[0, 0] * 1)
m.index_fill(1, torch.tensor([-1, 0]), 2.0) ; m.index_put((torch.tensor([0, 1]),), m[2])
m.index_put((torch.tensor([0, 0]), torch.tensor([1, 1])), m[0, 1:3], accumulate=True)
m.index_put((m > 0,), m[0, 0])
m.index_reduce(0, {V}, m[:3], 'amax') ; m.index_reduce(1, {V}, m[:, :3], 'mean', include_self=False)
m.take(torch.tensor([[0, -1], [7, 7]])) ; m.take_along_dim(torch.tensor([[0], [-1], [1], [2]]), 1)
m.take_along_dim(torch.tensor([[3, 0, 1, 2, 3]]), 0) ; m.take_along_dim(torch.tensor([3, 19]))
m.masked_select(m > 0) ; x.masked_select(x[0] > 0) ; m.masked_scatter(m > 0, m.reshape(-1) * 2)
m.put(torch.tensor([1, -1]), m[0, :2]) ; m.put(torch.tensor([1, 1]), m[0, :2], True)
m.tril() ; m.triu(1) ; x.tril(-1) ; x.triu(-2) ; m.tril(10) ; m.diag() ; m.diag(1) ; m.diag(-2) ; m[0].diag()
m[0].diag(2)
m[0].diag(-1) ; m.diag_embed() ; m.diag_embed(1) ; m.diag_embed(-2, 0, 2) ; m.diag_embed(0, 1, 0) ; m.diagflat()
m.trace()
m.select_scatter(m[0] * 2, 0, 2) ; m.slice_scatter(m[:2] * 3, 0, 1, 3) ; m.slice_scatter(m[:, :2], 1, 0, 4, 2)
m.diagonal_scatter(m[0, :4] * 5) ; m.diagonal_scatter(m[0, :3], -1)
m.clone().scatter_(0, {I}, 2.5) ; m.clone().index_add_(0, {V}, m[:3]) ; m.clone().tril_()
m.clone().masked_scatter_(m > 0, m)
m.clone().index_put_((torch.tensor([0]),), m[1]) ; m.clone().scatter_add_(0, {I}, m[:2])
m.clone().put_(torch.tensor([0]), m[0, :1])
"""


def rows(text: str) -> list[str]:
    return [s.strip() for line in text.strip().splitlines() for s in line.split(" ; ")]


@pytest.mark.parametrize("text", rows(FUNCTIONS))
def test_function(text: str) -> None:
    results = []
    for library in (OURS, torch):
        m, x = library.tensor(MATRIX).requires_grad_(), library.tensor(CUBE).requires_grad_()
        out = eval(text, {"torch": library, "m": m, "x": x})
        weights = np.cos(np.arange(out.numel(), dtype=np.float32)).reshape(tuple(out.shape))
        (out * library.tensor(weights)).sum().backward()
        results.append([out, *(t.grad for t in (m, x) if t.grad is not None)])
    same(*results)


WITHOUT_GRADIENT = """
i.gather(0, torch.tensor([[0, 1, 1]])) ; i.scatter_reduce(0, torch.tensor([[0, 1, 1]]), i * 3, 'mean')
i.scatter_reduce(0, torch.tensor([[0, 1, 1]]), i, 'amax', include_self=False) ; b.nonzero() ; i.nonzero() ; i.argwhere()
b.nonzero(as_tuple=True) ; torch.tensor(3).nonzero() ; torch.tensor(3).nonzero(as_tuple=True)
torch.tensor(0).nonzero()
i.unique() ; i.unique(return_inverse=True) ; i.unique(return_inverse=True, return_counts=True) ; i.unique(dim=0)
i.unique(dim=1, return_inverse=True, return_counts=True) ; r.unique_consecutive()
r.unique_consecutive(return_inverse=True, return_counts=True) ; r.reshape(2, 4).unique_consecutive(dim=1)
r.bincount() ; r.bincount(minlength=9) ; r.bincount(r * 0.5) ; torch.tensor([], dtype=torch.int64).bincount(minlength=2)
torch.searchsorted(s, v) ; torch.searchsorted(s, v, right=True) ; torch.searchsorted(s, v, side='right', out_int32=True)
torch.searchsorted(s, 2) ; torch.searchsorted(s, 2.5) ; torch.bucketize(v, s) ; torch.bucketize(v, s, right=True)
torch.bucketize(3, s)
torch.searchsorted(torch.tensor([[1, 3], [2, 5]]), torch.tensor([[3, 0, 9], [5, 2, 4]]))
torch.searchsorted(s, torch.tensor([float('nan'), float('inf')])) ; torch.isin(i, torch.tensor([1, 3]))
torch.isin(i, 2)
torch.isin(i, torch.tensor([1, 3]), invert=True) ; torch.isin(2, i) ; torch.tril_indices(3, 4)
torch.triu_indices(3, 4, -1)
torch.tril_indices(3, 3, 1, dtype=torch.int32) ; torch.triu_indices(2, 5, 2) ; i.tril() ; b.triu()
i.diag_embed(-1) ; b.diag()
i.index_add(0, torch.tensor([1]), i[:1]) ; b.index_fill(1, torch.tensor([0]), True) ; i[1] ; b[:, [0, 2]] ; i.trace()
i.take(torch.tensor([5, 0])) ; i.gather(1, torch.zeros(0, 3, dtype=torch.int64)) ; i.masked_select(b)
"""


@pytest.mark.parametrize("text", rows(WITHOUT_GRADIENT))
def test_integers_and_search(text: str) -> None:
    arrays = {"i": [[1, 2, 0], [1, 3, 7]], "b": [[True, False, True], [False, True, True]],
              "r": [1, 1, 2, 2, 2, 1, 5, 5], "s": [1, 2, 2, 4], "v": [[0, 1, 2], [3, 4, 5]]}
    ours, theirs = both(text, **{k: np.array(v) for k, v in arrays.items()})
    same(ours, theirs)


def test_contains() -> None:
    x = OURS.tensor([1.0, 2.0])
    assert 2 in x
    assert OURS.tensor(1.0) in x
    assert 3 not in x


# --- Inside traced functions ------------------------------------------------------------------------------------------


def test_traced_subscripts_need_no_values() -> None:
    def step(x: Any, index: Any, start: Any) -> Any:
        y = x * 1
        y[x > 0] = 0.0
        y[:, index] += 1
        y[start] = x[start] * 2
        y[0, 1:3] = y[1, :2]
        added = x.scatter_add(0, index.reshape(1, -1), x[:1, :3])
        return y, x[index], x.masked_scatter(x > 0, x), y.sort(0).indices, added

    results = []
    for library, run in ((OURS, jit(step)), (torch, step)):
        results.append(run(*(library.tensor(a) for a in (MATRIX, np.array([0, 3, 2]), np.array(-2)))))
    same(*results)


@pytest.mark.parametrize("body", [
    lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: x.unique(), lambda x: x.masked_select(x > 0),
    lambda x: x.long().reshape(-1).bincount(), lambda x: x.unique_consecutive(), lambda x: x[x[:, 0] > 0, 0]])
def test_traced_sizes_must_be_known(body: Any) -> None:
    with pytest.raises(TraceError, match="values"):
        jit(body)(OURS.tensor(np.abs(MATRIX[:, :1])))


def test_traced_tensors_print_their_type(capsys: pytest.CaptureFixture[str]) -> None:
    def step(x: Any) -> Any:
        print(f"{x} {x[0]!r}")
        return x

    jit(step)(OURS.tensor(MATRIX))
    assert capsys.readouterr().out == "tensor(<traced f32[4,5]>) tensor(<traced f32[5]>)\n"
