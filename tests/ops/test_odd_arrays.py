"""Arrays, outputs and tensors of an odd form: numbers in another byte order, an `out` of another shape, no dimension."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils.benchmark import Timer

pytestmark = pytest.mark.usefixtures("numpy_engine")

Function = Callable[..., Any]

# --- Arrays of numpy's ------------------------------------------------------------------------------------------------

ORDER = ("given numpy array has byte order different from the native byte order. Conversion between byte orders is currently "
         "not supported.")
STEPS = ("given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory.")
BACKWARDS = "At least one stride in the given numpy array is negative"
RECORDS = np.array([(0, 1, 1), (0, 2, 2), (0, 3, 3)], dtype=[("a", "i1"), ("b", "=i4"), ("c", ">i4")])
SWAPPED = {kind: np.arange(3).astype(kind) for kind in (">i2", ">i4", ">i8", ">u2", ">f2", ">f4", ">f8", ">c8", ">c16")}
ODD = {**{kind: (array, ORDER) for kind, array in SWAPPED.items()},
       "no dimension": (np.array(2, ">i4"), ORDER), "empty": (np.zeros(0, ">f4"), ORDER),
       "matrix": (np.arange(6.0).reshape(2, 3).astype(">f4").T, ORDER),
       "backwards": (np.arange(3).astype(">i4")[::-1], BACKWARDS),
       "field": (RECORDS["b"], STEPS), "field backwards": (RECORDS["b"][::-1], STEPS), "empty field": (RECORDS["b"][:0], STEPS),
       "field swapped": (RECORDS["c"], STEPS)}
TAKEN: dict[str, Function] = {
    "from_numpy": torch.from_numpy, "as_tensor": torch.as_tensor, "asarray": torch.asarray, "tensor": torch.tensor,
    "as_tensor of a type": lambda a: torch.as_tensor(a, dtype=torch.float64),
    "asarray copied": lambda a: torch.asarray(a, copy=True), "tensor of a type": lambda a: torch.tensor(a, dtype=torch.complex64),
    "new_tensor": lambda a: torch.ones(1).new_tensor(a), "index": lambda a: torch.arange(5)[a],
    "==": lambda a: torch.ones(1) == a}


@pytest.mark.parametrize(("name", "odd"), [*product(TAKEN, ODD)])
def test_an_array_that_must_be_copied_is_refused(name: str, odd: str) -> None:
    array, message = ODD[odd]
    with pytest.raises(ValueError) as refused:
        TAKEN[name](array)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(("name", "odd"), [*product(TAKEN, ODD)])
@pytest.mark.filterwarnings("ignore:Casting complex values to real")
def test_its_copy_is_taken(name: str, odd: str) -> None:
    array, _ = ODD[odd]
    copy = array.astype(array.dtype.newbyteorder("="))
    if name == "index" and copy.dtype not in (np.int32, np.int64):
        pytest.skip("these are no positions")
    made = TAKEN[name](copy)
    assert made.shape == copy.shape or name == "=="


@pytest.mark.parametrize("odd", ODD)
def test_an_operand_is_computed_with_as_numpy_does(odd: str) -> None:
    array, _ = ODD[odd]
    for made, expected in [(torch.ones(1) + array, np.ones(1, "f4") + array), (torch.ones(1) * array, np.ones(1, "f4") * array),
                           (torch.ones(1) - array, np.ones(1, "f4") - array)]:
        assert made.dtype is torch.from_numpy(expected.astype(expected.dtype.newbyteorder("="))).dtype
        assert made.tolist() == expected.tolist()


def test_operands_within_a_traced_function() -> None:
    assert torch.jit(lambda x: x + np.array([1, 2], ">i4"))(torch.ones(1)).tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="byte order"):
        torch.jit(lambda x: x + torch.from_numpy(np.array([1, 2], ">i4")))(torch.ones(1))


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.array([1], "M8[s]")], ids=["object", "text", "time"])
@pytest.mark.parametrize("kind", [None, torch.float32, torch.int64])
def test_what_is_no_number_is_none_of_any_type(array: Any, kind: Any) -> None:
    for make in (torch.tensor, torch.as_tensor, torch.asarray):
        with pytest.raises(TypeError, match=r"can't convert np\.ndarray of type"):
            make(array, dtype=kind)


# --- out= -------------------------------------------------------------------------------------------------------------

# Twelve numbers each.
RANGES: dict[str, tuple[Function, list[float]]] = {
    "arange": (lambda o: torch.arange(12.0, out=o), [*range(12)]),
    "arange by 2": (lambda o: torch.arange(0, 24, 2, out=o), [*range(0, 24, 2)]),
    "linspace": (lambda o: torch.linspace(0, 11, 12, out=o), [*range(12)]),
    "logspace": (lambda o: torch.logspace(0, 11, 12, base=2, out=o), [2**i for i in range(12)]),
    "range": (lambda o: torch.range(1, 12, out=o), [*range(1, 13)])}
FILLED: dict[str, tuple[Function, tuple[int, ...]]] = {
    "zeros": (lambda o: torch.zeros(12, out=o), (12,)), "ones": (lambda o: torch.ones(2, 6, out=o), (2, 6)),
    "full": (lambda o: torch.full((12,), 3.0, out=o), (12,)), "eye": (lambda o: torch.eye(2, 6, out=o), (2, 6)),
    "empty": (lambda o: torch.empty(12, out=o), (12,)), "rand": (lambda o: torch.rand(12, out=o), (12,)),
    "randn": (lambda o: torch.randn(2, 6, out=o), (2, 6)), "normal": (lambda o: torch.normal(0.0, 1.0, (12,), out=o), (12,))}
OUTS: dict[str, Function] = {
    "matrix": lambda: torch.zeros(3, 4), "vector": lambda: torch.zeros(12), "turned": lambda: torch.zeros(4, 3).t(),
    "row": lambda: torch.zeros(1, 12), "parts": lambda: torch.zeros(3, 8)[:, ::2], "cube": lambda: torch.zeros(2, 3, 2)}


@pytest.mark.parametrize(("name", "out"), [*product(RANGES, OUTS)])
@pytest.mark.filterwarnings("ignore:torch.range is deprecated")
def test_a_range_is_written_into_as_many_elements_whatever_their_shape(name: str, out: str) -> None:
    (make, numbers), o = RANGES[name], OUTS[out]()
    shape, stride, place = o.shape, o.stride(), o.data_ptr()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "An output with|The number of elements")
        assert make(o) is o
    assert (o.shape, o.stride(), o.data_ptr()) == (shape, stride, place)
    assert o.flatten().tolist() == pytest.approx(numbers)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.filterwarnings("ignore:torch.range is deprecated")
def test_it_is_written_through_to_the_memory_of_a_view(name: str) -> None:
    make, numbers = RANGES[name]
    whole = torch.zeros(4, 6)
    make(whole[:, ::2])
    assert whole[:, ::2].flatten().tolist() == pytest.approx(numbers)
    assert not whole[:, 1::2].any()


@pytest.mark.parametrize(("name", "count"), [*product(RANGES, [0, 1, 11, 13])])
@pytest.mark.filterwarnings("ignore:torch.range is deprecated")
def test_an_out_of_another_count_is_resized_and_only_arange_tells(name: str, count: int) -> None:
    (make, numbers), o = RANGES[name], torch.zeros(count)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert make(o) is o
    told = [str(w.message) for w in caught if w.category is UserWarning and "deprecated" not in str(w.message)]
    expected = f"The number of elements in the out tensor of shape [{count}] is {count} which does not match the computed number"
    assert [text.startswith(expected) for text in told] == [True] * (name.startswith("arange") and count > 0)
    assert (o.shape, o.tolist()) == ((12,), pytest.approx(numbers))


@pytest.mark.parametrize(("name", "out"), [*product(FILLED, OUTS)])
def test_what_has_a_shape_of_its_own_gives_it_to_out_in_silence(name: str, out: str) -> None:
    (make, shape), o = FILLED[name], OUTS[out]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make(o) is o
    assert o.shape == shape


def test_numbers_are_not_written_to_one_place() -> None:
    for make, _ in RANGES.values():
        with pytest.raises(RuntimeError, match="single memory location"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(torch.zeros(1, 1).expand(3, 4))


def test_a_range_into_a_matrix_in_a_traced_function() -> None:
    assert torch.jit(lambda x: torch.arange(6.0, out=torch.zeros(2, 3)) * x)(torch.tensor(2.0)).tolist() == [
        [0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]


# --- No dimension -----------------------------------------------------------------------------------------------------

SAME: dict[str, Function] = {
    **{f"flip({d})": lambda x, d=d: x.flip(d) for d in (0, -1, (0,), [-1], ())},
    **{f"squeeze({d})": lambda x, d=d: x.squeeze(d) for d in (0, -1, (0,), (-1,), ())},
    **{f"{name}({a}, {b})": lambda x, name=name, a=a, b=b: getattr(x, name)(a, b)
       for name in ("movedim", "moveaxis") for a, b in [(0, 0), (-1, 0), (0, -1), ((0,), (0,)), ((-1,), [0]), ((), ())]},
    "torch.flip": lambda x: torch.flip(x, (0,)), "squeeze()": lambda x: x.squeeze(), "roll": lambda x: x.roll(1),
    "transpose": lambda x: x.transpose(0, -1), "permute": lambda x: x.permute(())}
SPLIT, CHUNK, RANGE = "split expects at least a 1-", "chunk expects at least a 1-", "Dimension out of range"
NONE, TWICE = "but tensor has no dimensions", "appears multiple times"
REFUSED: dict[str, tuple[type[Exception], str, Function]] = {
    **{f"split({n!r})": (RuntimeError, SPLIT, lambda x, n=n: x.split(n)) for n in (0, 1, 2, [1], (), [0, 1])},
    **{f"chunk({n})": (RuntimeError, CHUNK, lambda x, n=n: x.chunk(n)) for n in (0, 1, 3)},
    **{f"{name}({d})": (IndexError, RANGE, lambda x, name=name, d=d: getattr(x, name)(d))
       for name in ("flip", "squeeze", "squeeze_") for d in (1, -2, (1,), (0, 1))},
    **{f"{name}({d})": (RuntimeError, TWICE, lambda x, name=name, d=d: getattr(x, name)(d))
       for name in ("flip", "squeeze", "squeeze_") for d in ((0, 0), (0, -1))},
    "flip()": (TypeError, 'missing 1 required positional arguments: "dims"', lambda x: x.flip()),
    "fliplr": (RuntimeError, "Input must be >= 2-d", lambda x: x.fliplr()),
    "flipud": (RuntimeError, "Input must be >= 1-d", lambda x: x.flipud()),
    "movedim(0, 1)": (IndexError, RANGE, lambda x: x.movedim(0, 1)),
    "movedim twice": (RuntimeError, "repeated dim in `source`", lambda x: x.movedim((0, -1), (0, -1))),
    "split_with_sizes": (RuntimeError, SPLIT, lambda x: x.split_with_sizes([1])),
    "unsafe_split": (RuntimeError, SPLIT, lambda x: torch.unsafe_split(x, 1)),
    "unsafe_chunk": (RuntimeError, CHUNK, lambda x: torch.unsafe_chunk(x, 1)),
    "split_copy": (RuntimeError, SPLIT, lambda x: torch.split_copy(x, 1)),
    "tensor_split": (RuntimeError, "tensor_split expected at least a 1-", lambda x: x.tensor_split(1)),
    "unbind": (IndexError, NONE, lambda x: x.unbind()),
    "unflatten": (RuntimeError, "unflatten got an unexpected error", lambda x: x.unflatten(0, (1,))),
    "unflatten()": (RuntimeError, "unflatten: sizes must be non-empty", lambda x: x.unflatten(0, ())),
    "repeat_interleave": (IndexError, "Dimension", lambda x: x.repeat_interleave(2, 0)),
    "repeat_interleave by a tensor": (IndexError, NONE, lambda x: x.repeat_interleave(torch.tensor([2]), 0)),
    "take_along_dim": (IndexError, NONE, lambda x: torch.take_along_dim(x, torch.tensor(0), 0)),
    "tensordot": (RuntimeError, "tensordot expects dims >= 0, but got dims=-1", lambda x: torch.tensordot(x, x, -1)),
    "index_add": (RuntimeError, "source tensor shape must match self tensor shape",
                  lambda x: x.index_add(0, torch.tensor([0]), torch.ones(1)))}


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("name", SAME)
def test_there_is_one_way_to_arrange_one_number(name: str, traced: bool) -> None:
    function = torch.jit(SAME[name]) if traced else SAME[name]
    made = function(torch.tensor(3.0))
    assert (made.shape, made.item()) == ((), 3.0)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_a_dimension_that_is_not_there_is_refused(name: str, traced: bool) -> None:
    error, message, function = REFUSED[name]
    with pytest.raises(error) as refused:
        (torch.jit(function) if traced else function)(torch.tensor(3.0))
    assert type(refused.value) is error or traced
    assert message in str(refused.value)


def test_the_gradient_of_one_number_that_is_flipped() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    (x.flip(0) * 2 + x.movedim(0, 0)).backward()
    assert x.grad.item() == 3.0


def test_a_vector_is_refused_the_same() -> None:
    with pytest.raises(RuntimeError, match="sizes must be non-empty"):
        torch.ones(1).unflatten(0, ())
    with pytest.raises(RuntimeError, match="dims >= 0"):
        torch.tensordot(torch.ones(2), torch.ones(2), -1)


@pytest.mark.parametrize("turned", [lambda x: x.t(), lambda x: x[:, ::2], lambda x: x.permute(1, 0)[1:]],
                         ids=["t", "stride", "part"])
def test_where_of_a_condition_that_lies_otherwise(turned: Any) -> None:
    x = np.arange(12.0).reshape(3, 4) % 5
    condition = turned(torch.tensor(x)) > 2
    found = torch.where(condition)
    assert [p.tolist() for p in found] == [p.tolist() for p in np.nonzero(condition.numpy())]


def test_a_pruning_method_takes_its_mask_by_name() -> None:
    class Half(torch.nn.utils.prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t: Any, *, default_mask: Any) -> Any:
            return default_mask * (t > 0.5)

    layer = torch.nn.Linear(2, 1)
    for _ in range(2):
        Half.apply(layer, "weight")
    assert layer.weight_mask.tolist() == (layer.weight_orig > 0.5).float().tolist()


def test_a_timer_knows_torch() -> None:
    assert Timer("x + 1", "x = torch.ones(2)").timeit(2).number_per_run == 2


def test_a_number_of_what_requires_grad_is_told_of_where_gradients_flow() -> None:
    x = torch.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="Converting a tensor with requires_grad=True"):
        float(x)
    with torch.no_grad():
        assert float(x) == complex(x) == 1


def test_a_seed_that_is_an_argument_is_an_input() -> None:
    def draw(x: Any, seed: int) -> Any:
        torch.manual_seed(100 + 3 * seed)
        return x + torch.rand(2)

    step = torch.jit(draw)
    for seed in range(6):
        assert step(torch.ones(2), seed).tolist() == draw(torch.ones(2), seed).tolist()
        assert torch.initial_seed() == 100 + 3 * seed
    assert step.stats.compiles == 1
