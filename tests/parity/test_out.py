"""What `out=` may be: of every kind of function, tensors of other dtypes and of shared memory, refused in torch's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402

DTYPES = ("float64", "float32", "int64", "complex64", "bool", "float16")
# Calls with `out=`, one function of each rule at least: m is the library, x a matrix, i positions, o what is written.
CALLS: dict[str, Callable[..., Any]] = {
    "sin": lambda m, x, i, o: m.sin(x, out=o), "abs": lambda m, x, i, o: m.abs(x, out=o),
    "floor": lambda m, x, i, o: m.floor(x, out=o), "neg": lambda m, x, i, o: m.neg(x, out=o),
    "atan2": lambda m, x, i, o: m.atan2(x, x, out=o), "mm": lambda m, x, i, o: m.mm(x, x, out=o),
    "addmm": lambda m, x, i, o: m.addmm(x, x, x, out=o), "gather": lambda m, x, i, o: m.gather(x, 1, i, out=o),
    "scatter_add": lambda m, x, i, o: m.scatter_add(x, 1, i, x, out=o), "triu": lambda m, x, i, o: m.triu(x, out=o),
    "softmax": lambda m, x, i, o: m.softmax(x, 1, out=o), "take": lambda m, x, i, o: m.take(x, i, out=o),
    "index_select": lambda m, x, i, o: m.index_select(x, 0, i[0], out=o),
    "masked_select": lambda m, x, i, o: m.masked_select(x, x > -9, out=o),
    "cat": lambda m, x, i, o: m.cat([x, x], out=o), "stack": lambda m, x, i, o: m.stack([x, x], out=o),
    "amax": lambda m, x, i, o: m.amax(x, 1, out=o), "argmax": lambda m, x, i, o: m.argmax(x, 1, out=o),
    "cummax": lambda m, x, i, o: m.cummax(x, 1, out=(o, o.to(m.int64))), "diff": lambda m, x, i, o: m.diff(x, out=o),
    "quantile": lambda m, x, i, o: m.quantile(x, 0.5, 1, out=o), "inv": lambda m, x, i, o: m.linalg.inv(x, out=o),
    "pinv": lambda m, x, i, o: m.linalg.pinv(x, out=o), "svdvals": lambda m, x, i, o: m.linalg.svdvals(x, out=o),
    "vector_norm": lambda m, x, i, o: m.linalg.vector_norm(x, out=o), "dot": lambda m, x, i, o: m.dot(x[0], x[0], out=o),
    "tensordot": lambda m, x, i, o: m.tensordot(x, x, 1, out=o), "complex": lambda m, x, i, o: m.complex(x, x, out=o),
    "narrow_copy": lambda m, x, i, o: m.narrow_copy(x, 0, 0, 2, out=o),
    "kthvalue": lambda m, x, i, o: m.kthvalue(x, 1, out=(o, o.to(m.int64))),
    "zeros": lambda m, x, i, o: m.zeros(3, 3, dtype=m.float32, out=o),
    "linspace": lambda m, x, i, o: m.linspace(0, 1, 3, dtype=m.float32, out=o),
    "multinomial": lambda m, x, i, o: m.multinomial(m.softmax(x, 1), 2, out=o),
}
# What is written beside what is read, of a row of six: x a view of it, o another.
MEMORY: dict[str, Callable[..., Any]] = {
    "sin of itself": lambda m, s: m.sin(s, out=s), "sin of a part": lambda m, s: m.sin(s[:4], out=s[2:]),
    "sin beside": lambda m, s: m.sin(s[:3], out=s[3:]), "sin of one place": lambda m, s: m.sin(s, out=m.zeros(1).expand(6)),
    "take from itself": lambda m, s: m.take(s, m.arange(6), out=s),
    "gather to a part that grows": lambda m, s: m.gather(s[1:], 0, m.arange(2), out=s[:1]),
    "add of a part": lambda m, s: m.add(s[:4], 1, out=s[2:]), "mul of halves": lambda m, s: m.mul(s[:3], s[3:], out=s[:3]),
    "cat of itself": lambda m, s: m.cat([s, s[:0]], out=s), "cat of halves": lambda m, s: m.cat([s[:3], s[3:]], out=s),
    "maximum of a part": lambda m, s: m.maximum(s[:4], s[:4], out=s[1:5]),
    "index_select of itself": lambda m, s: m.index_select(s, 0, m.arange(6), out=s),
}


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error)
    return "no error"


def _written(library: Any, name: str, dtype: str) -> Any:
    x = library.tensor([[4.0, 1.0, 0.0], [1.0, 5.0, 1.0], [0.0, 1.0, 6.0]])
    i = library.tensor([[0, 1, 2], [2, 1, 0], [0, 0, 1]])
    return _outcome(lambda: CALLS[name](library, x, i, library.empty(0, dtype=getattr(library, dtype))))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_a_dtype_is_taken_or_refused_as_by_torch(name: str, dtype: str) -> None:
    with on_numpy():
        assert _written(flambeau, name, dtype) == _written(torch, name, dtype)


@pytest.mark.parametrize("name", MEMORY)
@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_memory_that_is_read_too_is_taken_or_refused_as_by_torch(name: str) -> None:
    with on_numpy():
        assert _outcome(lambda: MEMORY[name](flambeau, flambeau.arange(6.0))) == _outcome(
            lambda: MEMORY[name](torch, torch.arange(6.0)))
