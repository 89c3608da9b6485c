"""Operations whose errors depend on values: what they take, what is wrong, and what torch says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """`call(torch, *tensors)` with `good` arrays is right; with `bad` ones torch raises `error` with a text that starts so."""

    name: str
    call: Callable[..., Any]
    good: Sequence[Any]
    bad: Sequence[Any]
    error: type[Exception]
    text: str

    def __str__(self) -> str:
        return self.name


X = np.arange(12.0, dtype=np.float32).reshape(3, 4)
ROWS = np.ones((2, 4), np.float32)
N = "index 7 is out of bounds for dimension 0 with size 3"
NEGATIVE = "index -1 is out of bounds for dimension 0 with size 3"
SELF = "index out of range in self"
ZERO = "ZeroDivisionError"
WEIGHTS = "probability tensor contains either `inf`, `nan` or element < 0"


def _i(*numbers: int) -> np.ndarray:
    return np.array(numbers)


def _along(name: str, call: Callable[..., Any]) -> Case:
    return Case(name, call, [X, np.array([[0, 2, 1, 0]])], [X, np.array([[7, 0, 0, 0]])], RuntimeError, N)


def _index(name: str, call: Callable[..., Any], error: type[Exception] = IndexError, text: str = N, bad: int = 7) -> Case:
    return Case(name, call, [X, _i(0, 2)], [X, _i(0, bad)], error, text)


def _divided(name: str, call: Callable[..., Any]) -> Case:
    return Case(name, call, [_i(4, 5), _i(2, -1)], [_i(4, 5), _i(2, 0)], RuntimeError, ZERO)


def _classes(name: str, call: Callable[..., Any], bad: int = 4) -> Case:
    return Case(name, call, [X, _i(0, 3, 1)], [X, _i(0, 1, bad)], IndexError, f"Target {bad} is out of bounds.")


def _put(t: Any, x: Any, i: Any, value: Any) -> Any:
    y = x.clone()
    y[i] = value
    return y


def _put_at(t: Any, x: Any, i: Any, value: Any) -> Any:
    y = x.clone()
    y[:, i] = value
    return y


CASES = [
    Case("embedding", lambda t, w, i: t.nn.functional.embedding(i, w), [X, _i(0, 2)], [X, _i(0, 7)], IndexError, SELF),
    Case("embedding negative", lambda t, w, i: t.nn.functional.embedding(i, w), [X, _i(0, 2)], [X, _i(-1, 0)], IndexError, SELF),
    _index("x[i]", lambda t, x, i: x[i]),
    _index("x[i] below", lambda t, x, i: x[i], text="index -9 is out of bounds for dimension 0 with size 3", bad=-9),
    _index("x[:, i]", lambda t, x, i: x[:, i], text="index 7 is out of bounds for dimension 0 with size 4"),
    _index("x[None, i]", lambda t, x, i: x[i, None]),
    _index("x[i, i]", lambda t, x, i: x[i, i]),
    _index("x[i[1]]", lambda t, x, i: x[i[1]].clone()),
    _index("x[:, i[1]]", lambda t, x, i: x[:, i[1]].clone(), text="index 7 is out of bounds for dimension 1 with size 4"),
    _index("x[i] = number", lambda t, x, i: _put(t, x, i, 1.0)),
    _index("x[i] = tensor", lambda t, x, i: _put(t, x, i, x[:2] * 2)),
    _index("x[:, i] = number", lambda t, x, i: _put_at(t, x, i, 0.0),
           text="index 7 is out of bounds for dimension 0 with size 4"),
    _index("x[i[1]] = number", lambda t, x, i: _put(t, x, i[1], 1.0)),
    _index("index_put", lambda t, x, i: x.index_put((i,), x[0, 0])),
    _index("index_put accumulate", lambda t, x, i: x.index_put((i,), x[0, 0], accumulate=True)),
    _along("gather", lambda t, x, i: x.gather(0, i)),
    Case("gather negative", lambda t, x, i: x.gather(0, i), [X, _i(0, 1, 2, 0)[None]], [X, _i(-1, 0, 0, 0)[None]], RuntimeError,
         NEGATIVE),
    _along("scatter number", lambda t, x, i: x.scatter(0, i, 1.0)),
    _along("scatter", lambda t, x, i: x.scatter(0, i, x)),
    _along("scatter add", lambda t, x, i: x.scatter(0, i, x, reduce="add")),
    _along("scatter_add", lambda t, x, i: x.scatter_add(0, i, x)),
    _along("scatter_reduce", lambda t, x, i: x.scatter_reduce(0, i, x, "amax")),
    _along("scatter_reduce mean", lambda t, x, i: x.scatter_reduce(0, i, x, "mean", include_self=False)),
    _index("index_select", lambda t, x, i: x.index_select(0, i), text=SELF),
    _index("index_select negative", lambda t, x, i: x.index_select(0, i), text=SELF, bad=-1),
    _index("index_select columns", lambda t, x, i: x.index_select(1, i), RuntimeError,
           "INDICES element is out of DATA bounds, id=7 axis_dim=4"),
    _index("index_select of a vector", lambda t, x, i: x[0].index_select(0, i), text=SELF),
    Case("index_add", lambda t, x, i, s: x.index_add(0, i, s), [X, _i(0, 2), ROWS], [X, _i(0, 7), ROWS], RuntimeError, N),
    Case("index_add negative", lambda t, x, i, s: x.index_add(0, i, s), [X, _i(0, 2), ROWS], [X, _i(0, -1), ROWS], RuntimeError,
         NEGATIVE),
    Case("index_add to a vector", lambda t, x, i, s: x.index_add(0, i, s), [X[0], _i(0, 2), ROWS[:, 0]],
         [X[0], _i(0, 7), ROWS[:, 0]], IndexError, SELF),
    Case("index_copy", lambda t, x, i, s: x.index_copy(0, i, s), [X, _i(0, 2), ROWS], [X, _i(0, 7), ROWS], IndexError,
         f"index_copy_(): {N}"),
    _index("index_fill", lambda t, x, i: x.index_fill(0, i, 1.0)),
    Case("index_reduce", lambda t, x, i, s: x.index_reduce(0, i, s, "amax"), [X, _i(0, 2), ROWS], [X, _i(0, 7), ROWS], IndexError,
         SELF),
    _index("take", lambda t, x, i: x.take(i), text="out of range: tried to access index 70 on a tensor of 12 elements.", bad=70),
    _index("take negative", lambda t, x, i: x.take(i), text="out of range: tried to access index -13 on a tensor of 12 elements.",
           bad=-13),
    Case("put", lambda t, x, i, s: x.put(i, s), [X, _i(0, 2), ROWS[:, 0]], [X, _i(0, 12), ROWS[:, 0]], IndexError,
         "out of range: tried to access index 12 on a tensor of 12 elements."),
    _index("take_along_dim", lambda t, x, i: t.take_along_dim(x, i), RuntimeError,
           "index 70 is out of bounds for dimension 0 with size 12", 70),
    _classes("cross_entropy", lambda t, x, y: t.nn.functional.cross_entropy(x, y)),
    _classes("cross_entropy negative", lambda t, x, y: t.nn.functional.cross_entropy(x, y), -1),
    _classes("cross_entropy smoothed", lambda t, x, y: t.nn.functional.cross_entropy(x, y, label_smoothing=0.1)),
    _classes("cross_entropy ignoring 0", lambda t, x, y: t.nn.functional.cross_entropy(x, y, ignore_index=0)),
    _classes("nll_loss", lambda t, x, y: t.nn.functional.nll_loss(x, y, reduction="sum")),
    Case("cross_entropy ignored", lambda t, x, y: t.nn.functional.cross_entropy(x, y), [X, _i(0, -100, 1)], [X, _i(0, -101, 1)],
         IndexError, "Target -101 is out of bounds."),
    Case("one_hot", lambda t, i: t.nn.functional.one_hot(i, 3), [_i(0, 2)], [_i(0, 5)], RuntimeError,
         "Class values must be smaller than num_classes."),
    Case("one_hot negative", lambda t, i: t.nn.functional.one_hot(i, 3), [_i(0, 2)], [_i(0, -1)], RuntimeError,
         "Class values must be non-negative."),
    _divided("//", lambda t, x, y: x // y),
    _divided("%", lambda t, x, y: x % y),
    _divided("fmod", lambda t, x, y: x.fmod(y)),
    _divided("div trunc", lambda t, x, y: x.div(y, rounding_mode="trunc")),
    _divided("div floor", lambda t, x, y: t.div(x, y, rounding_mode="floor")),
    _divided("remainder", lambda t, x, y: t.remainder(x, y)),
    _divided("number // tensor", lambda t, x, y: 7 // y),
    _divided("number % tensor", lambda t, x, y: 7 % y),
    _divided("int32 // int64", lambda t, x, y: x.to(t.int32) // y),
    _divided("//=", lambda t, x, y: x.clone().floor_divide_(y)),
    Case("multinomial", lambda t, w: t.multinomial(w, 2), [ROWS], [np.float32([[1, -1, 1, 1], [1, 1, 1, 1]])], RuntimeError,
         WEIGHTS),
    Case("multinomial with replacement", lambda t, w: t.multinomial(w, 2, True), [ROWS],
         [np.float32([[1, -1, 1, 1], [1, 1, 1, 1]])], RuntimeError,
         "invalid multinomial distribution (encountering probability entry < 0)"),
    Case("multinomial infinite", lambda t, w: t.multinomial(w, 2, True), [ROWS],
         [np.float32([[1, np.inf, 1, 1], [1, 1, 1, 1]])], RuntimeError,
         "invalid multinomial distribution (encountering probability entry = infinity or NaN)"),
    Case("multinomial nan", lambda t, w: t.multinomial(w, 1), [ROWS], [np.float32([[1, np.nan, 1, 1], [1, 1, 1, 1]])],
         RuntimeError, WEIGHTS),
    Case("multinomial of nothing", lambda t, w: t.multinomial(w, 2, True), [ROWS], [np.float32([[1, 1], [0, 0]])], RuntimeError,
         "invalid multinomial distribution (sum of probabilities <= 0)"),
    Case("bernoulli", lambda t, p: t.bernoulli(p), [np.float32([0, 1, 0.5])], [np.float32([0, 2, 0.5])], RuntimeError,
         "Expected p_in >= 0 && p_in <= 1 to be true, but got false."),
    Case("normal", lambda t, s: t.normal(0.0, s), [np.float32([0, 1])], [np.float32([0, -1])], RuntimeError,
         "normal expects all elements of std >= 0.0"),
    Case("poisson", lambda t, r: t.poisson(r), [np.float32([0, 1])], [np.float32([0, -1])], RuntimeError,
         "invalid Poisson rate, expected rate to be non-negative"),
    Case("binary_cross_entropy", lambda t, p, y: t.nn.functional.binary_cross_entropy(p, y), [np.float32([0, 0.5]), ROWS[0, :2]],
         [np.float32([0, 1.5]), ROWS[0, :2]], RuntimeError, "all elements of input should be between 0 and 1"),
    Case("binary_cross_entropy of a target", lambda t, p, y: t.nn.functional.binary_cross_entropy(p, y),
         [np.float32([0.2, 0.5]), ROWS[0, :2]], [np.float32([0.2, 0.5]), np.float32([1, 2])], RuntimeError,
         "all elements of target should be between 0 and 1"),
    Case("masked_scatter", lambda t, x, m, s: x.masked_scatter(m > 0, s), [X[0], _i(1, 0, 1, 0), ROWS[0, :2]],
         [X[0], _i(1, 0, 1, 1), ROWS[0, :2]], RuntimeError, "Number of elements of source < number of ones in mask"),
    Case("quantile", lambda t, x, q: x.quantile(q), [X[0], np.float32([0.5])], [X[0], np.float32([2])], RuntimeError,
         "quantile() q values must be in the range [0, 1]"),
    Case("segment_reduce", lambda t, x, n: t.segment_reduce(x, "sum", lengths=n), [X[0], _i(1, 3)], [X[0], _i(1, 2)],
         RuntimeError, "segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsaf"),
    Case("segment_reduce negative", lambda t, x, n: t.segment_reduce(x, "sum", lengths=n), [X[0], _i(1, 3)], [X[0], _i(5, -1)],
         RuntimeError, "lengths contains negative value!"),
    Case("masked_fill with infinity", lambda t, x, v: x.masked_fill(x > 4, v), [_i(4, 5), np.float32(2)],
         [_i(4, 5), np.float32(np.inf)], RuntimeError, "value cannot be converted to type int64_t without overflow"),
    Case("index_fill with a byte", lambda t, x, v: x.to(t.uint8).index_fill(0, t.tensor([0]), v), [_i(4, 5), _i(2)[0]],
         [_i(4, 5), _i(300)[0]], RuntimeError, "value cannot be converted to type uint8_t without overflow"),
    Case("full with a half", lambda t, x, v: t.full((2,), v, dtype=t.float16) + x, [ROWS[0, :2], _i(2)[0]],
         [ROWS[0, :2], _i(70000)[0]], RuntimeError, "value cannot be converted to type c10::Half without overflow"),
    Case("histc", lambda t, x: t.histc(x, 3), [np.float32([1, 2])], [np.float32([1, np.inf])], RuntimeError,
         "torch.histc: range of ["),
    Case("ctc_loss", lambda t, n: t.nn.functional.ctc_loss(t.zeros(4, 1, 3), t.tensor([[1, 2]]), n, t.tensor([2])), [_i(4)],
         [_i(5)], RuntimeError, "Expected input_lengths to have value at most 4, but got value 5"),
    Case("embedding_bag offsets", lambda t, w, o: t.nn.functional.embedding_bag(t.tensor([0, 1]), w, o), [X, _i(0, 1)],
         [X, _i(1, 1)], RuntimeError, "offsets[0] has to be 0"),
    Case("gaussian_nll_loss", lambda t, x, v: t.nn.functional.gaussian_nll_loss(x, x, v), [X[0], ROWS[0]], [X[0], -ROWS[0]],
         ValueError, "var has negative entry/entries"),
]
RANDOM = ("multinomial", "bernoulli", "normal", "poisson")
