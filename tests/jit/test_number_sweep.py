"""Numbers of jitted functions: every operator and function of Python on them, and every function of ours that takes one."""

from __future__ import annotations

import enum
import gc
import inspect
import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.ir import stand_in
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.tensor.scalar import Scalar
from tests.engines import on_numpy

# --- What Python computes ---------------------------------------------------------------------------------------------


class Level(enum.IntEnum):
    """A subclass of int."""

    LOW = 1
    HIGH = 3


class Ratio(float):
    """A subclass of float."""


INTS = [3, 0, -2, 7, 2**70, -(2**63) - 1, 3]
FLOATS = [1.5, -0.0, 0.0, math.nan, math.inf, -math.inf, -2.25, 1e300, 4.0]
OTHERS = [True, False, Level.LOW, Level.HIGH, Ratio(2.5), np.complex64(2), np.longdouble(1.5)]
NUMPY = [np.float64(1.5), np.float64(-0.0), np.float64("nan"), np.float32(2.25), np.float32("inf"), np.float16(0.5), np.int64(4),
         np.int64(2**62), np.int32(-3), np.int8(100), np.uint8(3), np.uint16(0), np.int16(-1), np.uint32(7)]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "|", "^", "==", "!=", "<", "<=", ">", ">="]
CONSTANTS = ["2", "-1", "0", "2.5", "-0.0", "True", "100", "Level.HIGH", "Ratio(0.5)", "(1+2j)"]
PAIRS = ["divmod", "pow", "min", "max", "math.pow", "math.atan2", "math.fmod", "math.copysign", "math.hypot", "math.remainder",
         "math.gcd", "math.lcm", "math.comb", "math.perm", "math.ldexp", "math.log", "math.isclose", "math.nextafter", "round"]
ONE = sorted(f"math.{n}" for n, f in vars(math).items() if callable(f) and n[0] != "_" and n not in (
    "dist", "prod", "fsum", "sumprod", "factorial")) + ["abs", "int", "float", "bool", "round", "complex", "hash", "str", "repr"]
OF_NUMPY = [f"np.{name}(n)" for name in (
    "sqrt", "cos", "exp", "abs", "sign", "floor", "isnan", "square", "negative", "log1p")] + [
    f"np.{name}({pair})" for name in ("minimum", "multiply", "power", "add", "floor_divide", "hypot", "less")
    for pair in ("n, 2", "2.5, n", "n, n", "np.float32(1.5), n", "n, np.int8(3)")] + [
    "np.float32(1.5) * n", "n - np.float32(0.5)", "np.int8(3) + n", "n ** np.float32(2)", "np.float64(2) < n",
    "np.ones(2, np.float32) * n", "n + np.ones(2, np.int8)", "np.add.reduce([n, n])", "np.multiply(n, 2, dtype=np.float64)",
    "np.divmod(n, 2)", "np.where(np.ones(2, bool), n, np.ones(2, np.float32))", "np.clip(np.ones(2, np.float32), 0, n)",
    "np.full_like(np.ones(2, np.float32), n)", "np.round(n, 1)", "np.interp(n, [0, 10], [0, 1])", "np.array([n, 1])",
    "np.mean([n, 2])", "np.concatenate([np.ones(1, np.float32), [n]])", "np.stack([n, n])", "np.isclose(n, 1)", "np.shape(n)",
    "np.full(2, fill_value=n)", "np.minimum.reduce([n, np.float32(1)])", "np.add.outer(n, np.ones(2, np.float32))",
    "np.asarray(n)", "np.float32(n)", "np.int64(n)", "np.ones(2, np.int8) > n",
    "np.searchsorted([1, 2, 3], n)", "n * np.ones((), np.float32)", "np.dot(n, np.ones(2, np.float32))",
    "np.clip(n, 0, 2)", "0.1 * (1 + np.cos(np.pi * n / 50))", "float(np.sqrt(abs(n)))", "n.item()", "n.dtype"]
FORMS = ["-n", "+n", "~n", "not n", "n if n else 5", "n and 6 / n > 3", "n or 1", "f'{n:.3g}'", "[10, 20, 30][n]",
         "list(range(n % 5))", "n.real", "n in (0, 3)", "{0: 'a', 3: 'b'}.get(n)", "sorted([n, 1, 2.5])", "sum([n, 1, n * 2])",
         "min(n, 1.5, 2)", "max([n, 2])", "min(1, n / 100)", "pow(n, 3, 7)", "math.fsum([n, 1.5])", "math.prod([n, 2])",
         "math.dist([n, 0], [0, 1])", "math.factorial(n % 6)", "int(n / 4)", "float(n) ** 0.5", "sqrt(abs(n))", "round(n, 1)",
         "n * n - n / 3 + n % 5 - 1", "(n + 1) % 4 == 0", "1 - 0.9 ** n", "isinstance(n, int)", "isinstance(n, float)",
         "n == 'a'", "n == None", "n is None", "(n > 2) + (n > 3)", "(n > 1) & (n < 5)", "n.as_integer_ratio()", "max(n, 3) * 2",
         "divmod(n, 3)[1]", "'%s' % (n,)", "[0] * (n % 3)", "Fraction(1, 2) + n", "Decimal(2) * n", "abs(-n)", "n > 2 and n < 5",
         "min(n, key=None, default=1) if n is None else n", "math.floor(n) + math.ceil(n) + math.trunc(n)", "n.missing"]
HEAVY = ("**", "<<", "round(", "pow", "comb", "perm", "ldexp")  # of 2**70 these take for ever
EXPRESSIONS = [*FORMS, *OF_NUMPY, *(f"{f}(n)" for f in ONE), *(f"{f}(n, {c})" for f in PAIRS for c in ("2", "-1.5", "n")),
               *(f"{f}(3, n)" for f in PAIRS),
               *(text for op, c in product(BINARY, CONSTANTS) for text in (f"n {op} {c}", f"{c} {op} n"))]


def compiled(text: str) -> Callable[..., Any]:
    names: dict[str, Any] = {"Level": Level, "Ratio": Ratio}
    exec("import math\nimport numpy as np\nfrom math import sqrt\nfrom fractions import Fraction\nfrom decimal import Decimal\n"
         f"def function(x, n):\n    return x + 1, {text}\n", names)
    found: Callable[..., Any] = names["function"]
    return found


def outcome(function: Callable[..., Any], x: Any, n: Any, messages: bool = True) -> tuple[Any, ...]:
    try:
        found = function(x, n)[1]
    except Exception as error:
        return type(error), str(error) if messages else ""
    return described(found)


def described(found: Any) -> tuple[Any, ...]:
    if isinstance(found, (tuple, list)):
        return (type(found), *map(described, found))
    return type(found), repr(found)


# Python's messages name the operator that was tried first, or the container: what is asked of a stand-in differs.
COMPARED_TO = re.compile(r"(Ratio\(0.5\)|\(1\+2j\)) [=!<>]=? n")
OTHER_WORDS = ("(1+2j)", "[10, 20, 30][n]", "[0] *")


@pytest.mark.parametrize("part", range(8))
@pytest.mark.filterwarnings("ignore")
def test_every_expression_is_what_python_computes(part: int) -> None:
    x = torch.ones(2)
    for text in EXPRESSIONS[part::8]:
        function, messages = compiled(text), not any(words in text for words in OTHER_WORDS)
        step = torch.jit(function)
        for n in (*INTS, *FLOATS, *OTHERS[part % 2::2], *NUMPY[part % 3::3]):
            if type(n) is np.float64 and COMPARED_TO.match(text):
                continue  # of these two the left one compares, which it does not with what stands for a number
            if abs(n) < 2**60 or not any(heavy in text for heavy in HEAVY):
                assert outcome(step, x, n, messages) == outcome(function, x, n, messages), (text, n)


def test_number_of_expressions() -> None:
    print(f"{len(EXPRESSIONS)} expressions of {len(INTS) + len(FLOATS) + len(OTHERS)} numbers")
    assert len(set(EXPRESSIONS)) > 500


ONE_PROGRAM = ["n + 2", "2 - n", "n * n - n / 3 + n % 5 - 1", "n // 2", "7 % (n + 9)", "min(1, n / 100)", "max(n, 3, 2.5)",
               "math.sqrt(n * n)", "sqrt(abs(n))", "float(n)", "int(n / 4)", "round(n / 3)", "round(n / 3, 1)", "abs(-n)",
               "1 - 0.9 ** n", "math.floor(n / 2)", "n > 2", "(n > 2) + (n > 3)", "n & 1", "n << 1", "~n",
               "math.exp(-n / 10)", "math.cos(n)", "math.isfinite(n)", "sum([n, 1, n * 2])", "math.fsum([n, 1.5])",
               "math.gcd(n, 6)",
               "0.5 * (1 + math.cos(math.pi * min(n, 50) / 50))", "pow(n, 3, 7)",
               "0.5 * (1 + np.cos(np.pi * n / 50))", "np.sqrt(n)", "np.float32(0.5) * n", "np.minimum(n, 50)"]
# No operands of tensors.
ON_THE_HOST = ["divmod(n, 3)", "math.frexp(n)", "n * 100000000000000000000"]


@pytest.mark.parametrize("text", [*ONE_PROGRAM, *ON_THE_HOST])
def test_one_program_for_all_numbers(text: str) -> None:
    function = compiled(text)
    step, x = torch.jit(function), torch.ones(2)
    for n in (1, 5, 2, 30, 99, 100, 1000):
        assert outcome(step, x, n) == outcome(function, x, n)
    assert step.stats.compiles == 1, step.why()


@pytest.mark.parametrize("text", ONE_PROGRAM)
def test_one_program_where_the_result_meets_a_tensor(text: str) -> None:
    inner = compiled(text)
    for x in (torch.ones(2), torch.ones(2, dtype=torch.float64)):
        def function(x: Any, n: Any, inner: Any = inner) -> Any:
            return x * inner(x, n)[1]
        step = torch.jit(function)
        for n in (1, 5, 2, 30, 99, 100, 1000):
            assert torch.equal(step(x, n), function(x, n)), n
        assert step.stats.compiles == 1, step.why()


# --- What ours computes: nothing made from a number may outlive the trace -------------------------------------------------


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for prefix, owner in (("functional", nn.functional), ("torch", torch), ("Tensor", torch.Tensor)):
        for name in sorted(getattr(owner, "__all__", None) or dir(owner)):
            function = getattr(owner, name, None)
            if not name.startswith(("_", "set_")) and callable(function) and not isinstance(function, type):
                yield f"{prefix}.{name}", function


def takes_number(p: inspect.Parameter) -> bool:
    words = str(p.annotation).replace("Sequence[int]", "").replace("Sequence[float]", "")
    return any(word in words for word in ("int", "float", "Number", "Sizes", "Dims")) or type(p.default) in (int, float)


FILES = {"from_file", "frombuffer", "save"}  # what they read or write is no tensor


def members() -> list[tuple[str, Callable[..., Any], str]]:
    """Functions and their parameters; a method, or the form in place, of a function that was there is left out."""
    found: list[tuple[str, Callable[..., Any], str]] = []
    seen, same = set(), set()
    for name, function in public_functions():
        if name.partition(".")[2] in FILES or function in same:
            continue
        same.add(function)
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            continue
        for p in parameters:
            what = name.split(".")[1].rstrip("_"), p.name
            if takes_number(p) and p.kind is not p.VAR_POSITIONAL and what not in seen:
                seen.add(what)
                found.append((name, function, p.name))
    return found


class Filling:
    """Arguments by the names and kinds of parameters: one way to call most functions."""

    def __init__(self, shape: tuple[int, ...], integers: bool = False) -> None:
        self.shape, self.integers = shape, integers

    def tensor(self) -> Any:
        size = math.prod(self.shape)
        return (torch.arange(size) % 3 + 1 if self.integers else (torch.arange(float(size)) + 1) / size).reshape(self.shape)

    def value(self, name: str, p: inspect.Parameter) -> Any:
        last = self.shape[-1]
        special = {"index": lambda: torch.zeros(self.shape, dtype=torch.int64), "indices": lambda: torch.tensor([0, 1]),
                   "mask": lambda: torch.arange(last) > 1, "target": self.tensor, "condition": lambda: torch.arange(last) > 1,
                   "sizes": lambda: (2, last // 2), "train": lambda: True,
                   "tensors": lambda: [self.tensor(), self.tensor()], "shape": lambda: (-1,),
                   "vec": lambda: torch.ones(last), "weight": self.tensor, "running_mean": lambda: torch.zeros(self.shape[1]),
                   "running_var": lambda: torch.ones(self.shape[1]), "normalized_shape": lambda: (last,),
                   "repeats": lambda: 2, "bins": lambda: 4, "kernel_size": lambda: 2, "output_size": lambda: 2}
        if name in special:
            return special[name]()
        return 2 if takes_number(p) and "Tensor" not in str(p.annotation) else self.tensor()

    def arguments(self, function: Callable[..., Any], number: str) -> dict[str, Any]:
        needed = inspect.signature(function).parameters.values()
        return {p.name: self.value(p.name, p) for p in needed if p.default is p.empty and p.name != number
                and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


FILLINGS = [Filling((4, 4)), Filling((4, 4), True), Filling((4,)), Filling((4,), True), Filling((2, 4, 4)),
            Filling((2, 4, 8, 8)), Filling((2, 4, 4, 4, 4)), Filling((3, 3)),
            Filling((4, 4, 3)), Filling((4, 4, 3, 3)), Filling((4, 4, 3, 3, 3))]  # as input and kernel
VALUES: list[tuple[Any, Any]] = [(1, 2), (0, 1), (2, 4), (3, 4), (0.5, 0.25), (-1, 0), (1, 1)]
HANDMADE: dict[str, tuple[Callable[..., Any], tuple[Any, Any]]] = {
    "zeros": (lambda x, k: torch.zeros(k, 3), (3, 4)), "ones of a list": (lambda x, k: torch.ones([k, k]), (3, 4)),
    "rand": (lambda x, k: torch.rand(k), (3, 4)), "randn": (lambda x, k: torch.randn(2, k), (3, 4)),
    "randint": (lambda x, k: torch.randint(0, k, (3,)), (3, 4)), "randperm": (lambda x, k: torch.randperm(k), (3, 4)),
    "full": (lambda x, k: torch.full((k,), 2.0), (3, 4)), "empty": (lambda x, k: torch.empty(k).zero_(), (3, 4)),
    "view": (lambda x, k: x.view(k, -1), (3, 4)), "reshape": (lambda x, k: x.reshape(-1, k), (3, 4)),
    "repeat": (lambda x, k: x.repeat(k), (3, 4)), "tile": (lambda x, k: x.tile((k,)), (3, 4)),
    "expand": (lambda x, k: x.expand(k, 12), (3, 4)), "permute": (lambda x, k: x.view(3, 4).permute(k, 1 - k), (0, 1)),
    "flip": (lambda x, k: x.view(3, 4).flip(k), (0, 1)), "transpose": (lambda x, k: x.view(3, 4).transpose(k, 0), (0, 1)),
    "topk": (lambda x, k: x.topk(k).values, (3, 4)), "one_hot": (lambda x, k: nn.functional.one_hot(torch.arange(3), k), (3, 4)),
    "repeat_interleave": (lambda x, k: x.repeat_interleave(k), (3, 4)), "unfold": (lambda x, k: x.unfold(0, k, 1), (3, 4)),
    "unflatten": (lambda x, k: x.unflatten(0, (k, -1)), (3, 4)), "multinomial": (lambda x, k: x.multinomial(k), (3, 4)),
    "diagonal": (lambda x, k: x.view(3, 4).diagonal(k), (0, 1)), "diag": (lambda x, k: x.diag(k), (1, 2)),
    "eye": (lambda x, k: torch.eye(k), (3, 4)), "linspace": (lambda x, k: torch.linspace(0, 1, k), (3, 4)),
    "arange": (lambda x, k: torch.arange(k), (3, 4)), "as_strided": (lambda x, k: x.as_strided((2, k), (1, 1), k), (3, 4)),
    "split": (lambda x, k: x.split(k), (3, 4)), "split of a list": (lambda x, k: x.split([k, 12 - k]), (3, 4)),
    "pad": (lambda x, k: nn.functional.pad(x, (k, 1)), (3, 4)), "item": (lambda x, k: x[k], (3, 4)),
    "slice": (lambda x, k: x[:k], (3, 4)), "new_zeros": (lambda x, k: x.new_zeros(k), (3, 4)),
    "Size": (lambda x, k: torch.zeros(torch.Size([k])), (3, 4)), "movedim": (lambda x, k: x.view(3, 4).movedim(k, 0), (0, 1)),
    "broadcast_to": (lambda x, k: x.broadcast_to((k, 12)), (3, 4)), "cumsum": (lambda x, k: x.view(3, 4).cumsum(k), (0, 1)),
    "dropout": (lambda x, k: nn.functional.dropout(x, k), (0.5, 0.25)),
    "tensor": (lambda x, k: torch.tensor([k, 1]), (3, 4)), "Tensor": (lambda x, k: torch.Tensor([k, 1]), (3, 4))}


def contents(found: Any) -> Any:
    if isinstance(found, torch.Tensor):
        return found.dtype, tuple(found.shape), found.detach().tolist()
    if isinstance(found, (tuple, list)):
        return [contents(x) for x in found]
    return type(found), found


def fresh(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in arguments.items()}


def called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    return contents(function(*args, **kwargs))


def prepared(name: str, function: Callable[..., Any], number: str,
             pairs: Sequence[tuple[Any, Any]] = VALUES) -> tuple[dict[str, Any], tuple[Any, Any]] | None:
    """Arguments and two numbers with which the function works."""
    for filling in FILLINGS:
        for pair in pairs:
            try:
                arguments = filling.arguments(function, number)
                for value in pair:
                    called(function, **fresh(arguments), **{number: value})
            except Exception:  # another filling may serve
                continue
            return arguments, pair
    return None


def check_ordinary_code() -> None:
    assert torch.rand(3).shape == (3,) and nn.Linear(4, 3)(torch.rand(2, 4)).shape == (2, 3)
    assert (torch.ones(4, 2) @ torch.ones(2, 2)).sum(0).tolist() == [8.0, 8.0]


def agree(name: str, function: Callable[..., Any], arguments: dict[str, Any], number: str, pair: tuple[Any, Any]) -> bool:
    step = torch.jit(lambda given, k: function(**given, **{number: k}))
    for value in pair:
        given = fresh(arguments)
        wanted = called(function, **fresh(arguments), **{number: value})
        try:
            now = called(step, given, value)
        except TraceError:
            with pytest.raises(TraceError):  # whatever the number: its result depends on values
                torch.jit(lambda given, value=value: function(**given, **{number: value}))(fresh(arguments))
            return False
        close = np.allclose(numeric(now), numeric(wanted), 1e-4, 1e-5, equal_nan=True)
        assert str(now) == str(wanted) or close, (name, number, value)
    return True


def numeric(found: Any) -> Any:
    flat: list[complex] = []

    def walk(x: Any) -> None:
        if isinstance(x, (list, tuple)):
            for y in x:
                walk(y)
        elif isinstance(x, (int, float, complex)):
            flat.append(complex(x))

    walk(found)
    return np.asarray(flat)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(7))
def test_every_function_that_takes_a_number(part: int) -> None:
    done, without = [], []
    with on_numpy():
        for name, function, number in members()[part::7]:
            found = prepared(name, function, number)
            if found is None:
                without.append(f"{name}({number})")
            else:
                done.append(agree(name, function, found[0], number, found[1]))
    check_ordinary_code()
    print(f"{len(done)} functions agree, {done.count(False)} of them depend on values; not generated: {', '.join(without)}")
    assert len(done) > 3 * len(without)


# What decides shapes, or which operations there are: these cost a program each.
SHAPES = {
    "bins", "chunks", "col", "destination", "dilation", "dim", "dim0", "dim1", "dim2", "dimension", "dims", "end_dim",
    "groups", "indices_or_sections", "kernel_size", "length", "m", "num_classes", "num_groups", "num_samples", "offset",
    "output_size", "padding", "repeats", "row", "size", "source", "split_size", "split_size_or_sections", "start_dim",
    "steps", "stride", "step",
    # windows, transforms, decompositions: how long, how many; and numpy's name of a dimension
    "window_length", "n_fft", "hop_length", "win_length", "N", "niter", "q", "r", "axis", "count", "output_padding"}
OPERATIONS = {"chunk_size", "diag.diagonal", "diff.n", "eye.n", "manual_seed.seed", "matrix_power.n", "mvlgamma.p", "randperm.n",
              "rot90.k", "topk.k", "polygamma.n"}
USUAL: list[tuple[Any, Any]] = [(5, 6), (0.3, 0.6), (-3, -2)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(4))
def test_one_program_for_numbers_that_decide_no_shape(part: int) -> None:
    done, several = 0, []
    with on_numpy():
        for name, function, number in members()[part::4]:
            if number in SHAPES or {f"{name.partition('.')[2]}.{number}", number} & OPERATIONS:
                continue
            for pair in USUAL:
                found = prepared(name, function, number, [pair])
                if found is not None:
                    done += 1
                    several += [f"{name}({number}={pair})"] * (programs(function, found[0], number, pair) > 1)
    print(f"{done} pairs of numbers")
    assert not several and done > 90


def programs(function: Callable[..., Any], arguments: dict[str, Any], number: str, pair: tuple[Any, Any]) -> int:
    step = torch.jit(lambda given, k: function(**given, **{number: k}))
    try:
        for value in pair:
            called(step, fresh(arguments), value)
    except TraceError:  # its result depends on values
        return 1
    return int(step.stats.compiles)


GRADIENTS: dict[str, Callable[[Any, Any], Any]] = {
    "norm": lambda x, p: x.norm(p), "norm of rows": lambda x, p: x.norm(p, 1, True), "normalize": nn.functional.normalize,
    "renorm": lambda x, p: x.renorm(p, 0, 0.5), "dist": lambda x, p: torch.dist(x, x.flip(0), p),
    "cdist": lambda x, p: torch.cdist(x, x.flip(1), p),
    "pairwise_distance": lambda x, p: nn.functional.pairwise_distance(x, x.flip(0), p),
    "tril": lambda x, n: x.tril(n), "triu": lambda x, n: x.triu(n), "tril_": lambda x, n: (x * 1).tril_(n),
    "kthvalue": lambda x, k: x.kthvalue(k).values, "clip_grad_norm": lambda x, p: torch.nn.utils.get_total_norm([x, x * 2], p)}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_where_the_number_is_an_input(name: str) -> None:
    function = GRADIENTS[name]

    def loss(x: Any, k: Any) -> Any:
        y = function(x, k)
        return (y * y).sum() if "clip" in name else y.sin().sum()

    step, x = torch.jit(torch.func.grad_and_value(loss)), (torch.arange(16.0).reshape(4, 4) * 7 % 16 + 1) / 8 - 1
    for k in (3, 4, 3) if name == "kthvalue" else (3, 4, -1, 3) if "tri" in name else (3, 4, 3, 2.5):
        for a, b in zip(step(x, k), torch.func.grad_and_value(loss)(x, k), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)
    assert step.stats.compiles == 1 + (k == 2.5), step.why()


@pytest.mark.parametrize("name", ["norm", "norm of rows", "dist", "cdist", "normalize"])
def test_norms_of_a_kind_of_their_own(name: str) -> None:
    """p = 1, 2, 0 and the infinities have formulas, and programs, of their own; all else shares one."""
    step, x = torch.jit(GRADIENTS[name]), (torch.arange(16.0).reshape(4, 4) * 7 % 16 - 5) / 8
    for p in (2.0, 3.0, 1.0, math.inf, 0.5, 0.0, 2.5, 4.0, 1.0, 2.0):
        np.testing.assert_allclose(step(x, p).numpy(), GRADIENTS[name](x, p).numpy(), rtol=1e-5)
    assert step.stats.compiles == 5, step.why()


@pytest.mark.parametrize("name", HANDMADE)
def test_a_number_in_a_shape_or_a_parameter(name: str) -> None:
    function, pair = HANDMADE[name]
    step, x = torch.jit(function), (torch.arange(12.0) + 1) / 12
    for value in (*pair, *pair):
        torch.manual_seed(0)
        wanted = contents(function(x.clone(), value))
        torch.manual_seed(0)
        assert str(contents(step(x.clone(), value))) == str(wanted)
        check_ordinary_code()
    assert step.stats.compiles <= 2, step.why()


def test_no_stand_in_outlives_its_step() -> None:
    """Types, parameters of nodes, tables of types and views, compiled programs: no number of a trace is left in them."""
    before = [x for x in gc.get_objects() if type(x) is Scalar]  # of steps that other tests keep
    for function, pair in HANDMADE.values():
        step = torch.jit(function)
        for value in pair:
            step(torch.arange(12.0), value)
    del step
    gc.collect()
    left = [x for x in gc.get_objects() if type(x) is Scalar and not any(x is y for y in before)]
    assert not left, [[type(r) for r in gc.get_referrers(x)] for x in left[:3]]


def test_what_is_known_of_a_stand_in() -> None:
    seen: list[Any] = []

    def function(x: Any, n: Any) -> Any:
        seen.append((stand_in.known((n, (n + 1, "a"), 2)), stand_in.known_parameters({"axis": n, "shape": (n, 2)})))
        return x * n

    torch.jit(function)(torch.ones(1), 3)
    assert seen == [((3, (4, "a"), 2), {"axis": 3, "shape": (3, 2)})]
    assert all(type(x) is int for x in (seen[0][0][0], seen[0][1]["axis"], seen[0][1]["shape"][0]))
