"""`x[mask] += y` and the like in a compiled step, against torch: all that is done element by element to what a mask chose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.tracer.functions import masked_reads
from flambeau.tracer.ir.errors import NanError, TraceError

from ..engines import on_numpy

torch = pytest.importorskip("torch")

# Outside the mask lie numbers for which logarithms, roots and quotients have no finite value or gradient.
X = np.float32([[0.5, -1, 0.25, 0, 0.75, -2], [-3, 0.5, 0, 0.125, -0.5, 0.3], [0.2, 0, 0.9, -1, 0.6, 0],
                [0, -7, 0.4, 0.8, 0, 0.1]])
M = X > 0
ROWS, COLUMNS, ROW = np.array([True, False, True, True]), np.arange(6) % 2 == 0, np.float32([1, 2, 3, 4, 5, 6]) / 8
MASKS: dict[str, tuple[Any, Any]] = {
    "elements": (X, M), "rows": (abs(X) + 0.05, ROWS), "columns": (abs(X) % 1 + 0.05, (slice(None), COLUMNS)),
    "leading dimensions": (np.stack([X, X], -1), M), "dimensions in the middle": (np.stack([X, X]), (slice(None), M)),
    "none": (X, M & ~M), "after a number": (np.stack([X, X]), (1, M))}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "addcdiv": (ROW[0], ROW[1]), "addcmul": (ROW[0], ROW[1]), "lerp": (ROW[0], 0.5), "clamp": (0.2, 0.6), "clip": (0.2, 0.6),
    "where": ("self>0.5", ROW[0]), "masked_fill": ("self>0.5", 2.0), "to": ("float64",), "type_as": (np.float64(1),),
    "round": (), "fill": (0.25,), "polygamma": (2,), "clamp_min": (0.3,), "clamp_max": (0.3,)}
BINARY = [
    "add", "arctan2", "atan2", "copysign", "div", "divide", "eq", "float_power", "floor_divide", "fmax", "fmin", "fmod", "ge",
    "greater", "greater_equal", "gt", "heaviside", "hypot", "igamma", "igammac", "ldexp", "le", "less", "less_equal",
    "logaddexp", "lt", "maximum", "minimum", "mul", "multiply", "ne", "nextafter", "not_equal", "pow", "remainder", "rsub",
    "sub", "subtract", "true_divide", "xlogy", "logical_and", "logical_or", "logical_xor"]
WHOLE = [
    "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "gcd", "lcm"]
NO_FORM = frozenset({"bitwise_not", "conj_physical", "contiguous"})  # of other types, or that do nothing
UNLIKE = frozenset({"detach_", "logical_and_", "logical_or_", "logical_xor_"})  # through these torch lets gradients


def chosen(t: Any, mask: Any) -> Any:
    parts = tuple(t.tensor(i) if isinstance(i, np.ndarray) else i for i in (mask if type(mask) is tuple else (mask,)))
    return parts if type(mask) is tuple else parts[0]


def argument(t: Any, x: Any, of: Any) -> Any:
    if isinstance(x, str):
        return of > 0.5 if x == "self>0.5" else getattr(t, x)
    return t.tensor(x) if isinstance(x, (np.generic, np.ndarray)) else x


def masked(t: Any, change: Callable[..., Any], x: Any, m: Any) -> Any:
    w = x.clone().requires_grad_(x.is_floating_point())
    y = w * 1
    z = (x * 0).clone()
    z[m] = change(y[m]).to(z.dtype)
    if z.requires_grad:
        (z * z).sum().backward()
    return z.detach(), w.grad


def data(x: Any, kind: Any) -> Any:
    return x if kind is None else (abs(x) * 20).astype(kind)


def by_torch(change: Callable[[Any, Any], Any], x: Any, mask: Any, kind: Any) -> Any:
    return masked(torch, lambda y: change(torch, y), torch.tensor(data(x, kind)), chosen(torch, mask))


def agree(name: str, change: Callable[[Any, Any], Any], x: Any, mask: Any, kind: Any = None) -> None:
    wanted = by_torch(change, x, mask, kind)
    jitted = flambeau.jit(lambda x, m: masked(flambeau, lambda y: change(flambeau, y), x, m))
    found = jitted(flambeau.tensor(data(x, kind)), chosen(flambeau, mask))
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=1e-6, err_msg=name)


def members() -> list[tuple[str, Callable[[Any, Any], Any], Any]]:
    found: list[tuple[str, Callable[[Any, Any], Any], Any]] = []
    for name in masked_reads._FUNCTIONS:
        kind = np.int64 if name in WHOLE else None
        given = ARGUMENTS.get(name, ((np.int64(3) if kind else ROW[2]),) if name in BINARY or kind else ())
        for form in (name, f"{name}_"):
            if name in NO_FORM or not hasattr(torch.Tensor, form) or form in UNLIKE:
                continue
            found.append((form, lambda t, y, form=form, given=given: getattr(y, form)(*[argument(t, a, y) for a in given]), kind))
    return found


@pytest.mark.parametrize("where", MASKS)
def test_every_elementwise_function(where: str) -> None:
    x, mask = MASKS[where]
    done, refused, part = [], [], list(MASKS).index(where)
    with on_numpy():
        for name, change, kind in members() if part == 0 else members()[part::6]:
            try:
                by_torch(change, x, mask, kind)
            except Exception as error:  # not something that torch does
                refused.append((name, str(error)[:60]))
                continue
            agree(name, change, x, mask, kind)
            done.append(name)
    print(f"{where}: {len(done)} functions; {refused}")
    assert len(done) > (200 if part == 0 else 30)


CHANGES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "+= number": lambda t, x, m, r: operate(x, m, "__iadd__", 2),
    "*= number": lambda t, x, m, r: operate(x, m, "__imul__", 2.5),
    "-= tensor": lambda t, x, m, r: operate(x, m, "__isub__", r[0]),
    "/= itself": lambda t, x, m, r: operate(x, m, "__itruediv__", x[m]),
    "**= number": lambda t, x, m, r: operate(x, m, "__ipow__", 2),
    "%= number": lambda t, x, m, r: operate(x, m, "__imod__", 0.3),
    "+ 1": lambda t, x, m, r: put(x, m, x[m] + 1),
    "1 -": lambda t, x, m, r: put(x, m, 1 - x[m]),
    "1 /": lambda t, x, m, r: put(x, m, 1 / x[m]),
    "tensor *": lambda t, x, m, r: put(x, m, r[1] * x[m]),
    "tensor -": lambda t, x, m, r: put(x, m, r[1] - x[m]),
    "of one element": lambda t, x, m, r: put(x, m, x[m] * r[:1]),
    "-": lambda t, x, m, r: put(x, m, -x[m]),
    "abs": lambda t, x, m, r: put(x, m, abs(x[m])),
    "2 **": lambda t, x, m, r: put(x, m, 2 ** x[m]),
    "a compound": lambda t, x, m, r: put(x, m, (x[m] - r[0]) / (r[1] + 1e-3) * x[m].exp()),
    "of two": lambda t, x, m, r: put(x, m, x[m] * 2 + (x.detach() + 1)[m]),
    "function": lambda t, x, m, r: put(x, m, t.sqrt(x[m])),
    "clamp": lambda t, x, m, r: put(x, m, t.clamp(x[m], min=0.3)),
    "relu": lambda t, x, m, r: put(x, m, t.nn.functional.relu(x[m] - 0.4)),
    "where": lambda t, x, m, r: put(x, m, x[m].where(x[m] > 0.3, r[0])),
    "a name": lambda t, x, m, r: named(x, m),
    "twice": lambda t, x, m, r: [operate(x, m, "__iadd__", 1) for _ in range(2)],
    "of a copy alone": lambda t, x, m, r: x[m].add_(1),
    "dtype": lambda t, x, m, r: put(x, m, x[m].double().to(x[m].dtype) + r[0].to(x[m].dtype)),
    "half": lambda t, x, m, r: put(x, m, (x[m].half() * r[0]).float()),
    "index_put_": lambda t, x, m, r: x.index_put_((m,), x[m] * 2)}


def put(x: Any, m: Any, value: Any) -> None:
    x[m] = value


def operate(x: Any, m: Any, name: str, other: Any) -> None:
    value = x[m]
    x[m] = getattr(value, name)(other)


def named(x: Any, m: Any) -> None:
    part = x[m]
    part += 1
    part.mul_(2)
    x[m] = part


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_what_a_mask_chose(name: str) -> None:
    def run(t: Any, x: Any, m: Any, r: Any) -> Any:
        w, r = x.clone().requires_grad_(), r.clone().requires_grad_()
        y = w * 1
        CHANGES[name](t, y, m, r)
        ((y * y).sum() + r.sum()).backward()
        return y.detach(), w.grad, r.grad

    wanted = run(torch, *map(torch.tensor, (X, M, ROW)))
    jitted = flambeau.jit(lambda x, m, r: run(flambeau, x, m, r))
    for how in (lambda *xs: run(flambeau, *xs), jitted, jitted):
        for a, b in zip(how(*map(flambeau.tensor, (X, M, ROW))), wanted, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5 if name != "half" else 2e-3)
    assert jitted.stats.compiles == 1


@pytest.mark.parametrize("shape", [(), (1,), (1, 2), (2,), (3, 1, 2), (3, 1, 1), (1, 1, 2)])
def test_shapes_that_meet_all_elements_alike(shape: tuple[int, ...]) -> None:
    x, y = np.arange(60.0, dtype=np.float32).reshape(3, 10, 2), np.arange(float(np.prod(shape)), dtype=np.float32).reshape(shape)
    mask = np.arange(10) % 3 == 0

    def run(t: Any, x: Any, y: Any, m: Any) -> Any:
        x = x.clone()
        x[:, m] *= y
        x[:, m] = y - x[:, m]
        return x

    wanted = run(torch, *map(torch.tensor, (x, y, mask))).numpy()
    for how in (lambda *xs: run(flambeau, *xs), flambeau.jit(lambda *xs: run(flambeau, *xs))):
        np.testing.assert_array_equal(how(*map(flambeau.tensor, (x, y, mask))).numpy(), wanted)


REFUSED: dict[str, Callable[..., Any]] = {
    "as many rows as are chosen": lambda x, m, r: put(x, m, x[m] + r), "another mask": lambda x, m, r: put(x, m, x[m] + x[~m]),
    "a reduction": lambda x, m, r: put(x, m, x[m] - x[m].mean()), "a sort": lambda x, m, r: put(x, m, x[m].sort().values),
    "a cumulative sum": lambda x, m, r: put(x, m, x[m].cumsum(0)), "softmax": lambda x, m, r: put(x, m, x[m].softmax(0)),
    "a product of matrices": lambda x, m, r: put(x, m, x[m] @ r), "a view": lambda x, m, r: put(x, m, x[m][1:]),
    "out=": lambda x, m, r: flambeau.sqrt(x[m], out=r),
    "a function that is made of others": lambda x, m, r: put(x, m, flambeau.nn.functional.gelu(x[m])),
    "rows of another table": lambda x, m, r: put(x, m, x[m] + r[None][:, :5][:, m[0, :5]])}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_size_names_the_other_form(name: str) -> None:
    with pytest.raises(TraceError, match=r"requires the mask's values.*where\(mask, x \+ y, x\)"):
        flambeau.jit(lambda x, m, r: REFUSED[name](x.clone(), m, r))(*map(flambeau.tensor, (X, M, ROW)))


def test_elements_outside_the_mask_fail_no_check() -> None:
    def run(x: Any, y: Any, m: Any) -> Any:
        x = x.clone()
        x[m] //= y[m]
        return x

    step = flambeau.jit(run)
    x, y = flambeau.tensor([7, 8, 9]), flambeau.tensor([2, 0, 3])
    assert step(x, y, y > 0).tolist() == [3, 8, 3]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        step(x, y, y > -1).tolist()

    def roots(x: Any, m: Any) -> Any:
        x = x.clone()
        x[m] = x[m].log()
        return x

    looked = flambeau.jit(roots, check_nan=True)
    assert looked(flambeau.tensor([1.0, -1.0]), flambeau.tensor([True, False])).tolist() == [0, -1]
    with pytest.raises(NanError, match="log at"):
        looked(flambeau.tensor([1.0, -1.0]), flambeau.tensor([True, True])).tolist()
