"""Arguments that are whole numbers, given as something else: numpy's and 0-d tensors are taken, floats, bools and text refused.

Every place of a whole number in samples of torch's record is tried with each kind of number; what becomes of the call, values
or the class of the error, is as in torch, or on the list below with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402
from .opinfo.compare import compare  # noqa: E402
from .opinfo.excluded import RANDOM  # noqa: E402
from .opinfo.records import entries  # noqa: E402
from .opinfo.translate import AbsentError, function, value  # noqa: E402

PARTS, SAMPLES = 4, 6
KINDS: Final[dict[str, Callable[[int], Any]]] = {"float": float, "bool": bool, "np": np.int64, "0d": torch.tensor, "str": str}

Place = tuple[Any, ...]  # of an argument, by position or name, and of an item of it

_MASKED: Final = "torch asks by == whether it is an empty tuple, and walks over it"
_LONE_BOOL: Final = "a lone bool is torch's `unbiased`, which it tells from dim=bool by the place"
DIFFERENT: Final = {
    "broadcast_shapes": ("np 0d float str", "torch compares sizes before it looks at what they are"),
    "split": ("np", "torch's Python asks for an int before its parser, which takes numpy's"),
    "tensordot": ("np", "torch's Python asks for an int, and takes no other"),
    "nn.functional.unfold": ("0d", "torch's Python walks over it"),
    "__getitem__": ("float", "torch cuts the numbers of a list to ints: [1, 2.0] is [1, 2]"),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), ("bool", _LONE_BOOL)),
    **dict.fromkeys(("masked.sum", "masked.prod", "masked.cumsum", "masked.cumprod", "masked.amax", "masked.amin", "masked.mean",
                     "masked.median", "masked.norm", "masked.softmax", "masked.log_softmax", "masked.softmin",
                     "masked.normalize", "masked.logsumexp"), ("np 0d", _MASKED)),
}


# --- Generated --------------------------------------------------------------------------------------------------------


def places(args: list[Any], kwargs: dict[str, Any]) -> Iterator[tuple[Place, int]]:
    """Where the arguments have a whole number: as an argument, or as the last item of one."""
    for at, given in (*enumerate(args), *kwargs.items()):
        if type(given) is int:
            yield (at,), given
        elif type(given) in (tuple, list) and given and type(given[-1]) is int:
            yield (at, len(given) - 1), given[-1]


def put(args: list[Any], kwargs: dict[str, Any], place: Place, new: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with something else in that place; tensors are copies."""
    args, kwargs = [_fresh(x) for x in args], dict(kwargs)
    holder: Any = args if isinstance(place[0], int) else kwargs
    if len(place) == 2:
        given = holder[place[0]]
        new = type(given)([*given[:-1], new])
    holder[place[0]] = new
    return args, kwargs


def _fresh(x: Any) -> Any:
    return x.clone() if isinstance(x, torch.Tensor) else x


def outcome(called: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What a call gives, read once, or the error."""
    try:
        found = called(*args, **kwargs)
        for x in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(x, flambeau.Tensor):
                x.tolist()
    except Exception as error:
        return error
    return found


def differ(name: str, ours: Any, theirs: Any) -> str:
    """In what two outcomes differ; nothing if they do not."""
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        same = type(theirs).__name__ == type(ours).__name__
        return "" if same else f"torch: {theirs!r:.150}, ours: {ours!r:.150}"
    try:
        compare(ours, theirs, (1e-3, 1e-4), name not in RANDOM)
    except AssertionError as error:
        return str(error)
    return ""


def members(name: str) -> Iterator[tuple[str, str]]:
    """Of an entry each place with each kind of number: the kind, and the difference."""
    entry, seen = entries()[name], set()
    kinds = entry.dtypes
    sampled = torch.float32 if torch.float32 in kinds or not kinds else min(kinds, key=str)
    ours = function(entry.op, entry.name)
    torch.manual_seed(0)
    for _, sample in zip(range(SAMPLES), entry.sample_inputs_func(entry, "cpu", sampled, False)):  # walks over no stack
        args, kwargs = [sample.input, *sample.args], sample.kwargs
        for place, number in places(args, kwargs):
            for kind, made in KINDS.items():
                if (place, kind) in seen or (kind == "bool" and number not in (0, 1)):
                    continue
                seen.add((place, kind))
                told = outcome(entry.op, *put(args, kwargs, place, made(number)))
                given = put(args, kwargs, place, made(number))
                found = outcome(ours, *(value(part) for part in given))
                said = differ(name, found, told)
                yield kind, f"{name}, {kind} for {number} at {place}: {said}" if said else ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(PARTS))
def test_every_place_of_a_whole_number(part: int) -> None:
    wrong, agreeing, count = [], [], 0
    with on_numpy():
        for name in list(entries())[part::PARTS]:
            listed = set(DIFFERENT.get(name, ("",))[0].split())
            differing = set()
            try:
                for kind, said in members(name):
                    count += 1
                    differing |= {kind} if said else set()
                    wrong += [said] if said and kind not in listed else []
            except AbsentError:
                continue
            agreeing += [f"{name}: {kind}" for kind in listed - differing]
    print(f"{count} members")
    assert not wrong, "\n".join(wrong)
    assert not agreeing, f"these agree by now, and are not to be listed: {agreeing}"
    assert count > 550


# --- By name ----------------------------------------------------------------------------------------------------------

CALLS: Final[dict[str, Callable[..., Any]]] = {
    "max_pool2d": lambda m, x, n: m.nn.functional.max_pool2d(x, n),
    "avg_pool2d": lambda m, x, n: m.nn.functional.avg_pool2d(x, 2, n, n - 1),
    "conv2d": lambda m, x, n: m.nn.functional.conv2d(x, m.ones(3, 2, 2, 2), stride=n, padding=(n, n)),
    "chunk": lambda m, x, n: m.chunk(x, n, n)[-1],
    "split": lambda m, x, n: x.tensor_split(n, n)[0],
    "roll": lambda m, x, n: m.roll(x, n, n),
    "var_mean": lambda m, x, n: m.var_mean(x, n)[1],
    "normalize": lambda m, x, n: m.nn.functional.normalize(x, dim=n),
    "diagonal": lambda m, x, n: m.diagonal(x, n, n, n + 1),
    "softmax": lambda m, x, n: m.softmax(x, n),
    "sum": lambda m, x, n: x.sum((0, n)),
    "view": lambda m, x, n: x.view(n, -1),
    "pad": lambda m, x, n: m.nn.functional.pad(x, (n, n)),
    "kthvalue": lambda m, x, n: m.kthvalue(x, n, n).values,
    "topk": lambda m, x, n: m.topk(x, n, n).values,
    "tril": lambda m, x, n: m.tril(x, n),
    "round": lambda m, x, n: m.round(x, decimals=n),
    "fft": lambda m, x, n: m.fft.fftn(x, n, n),
    "unfold": lambda m, x, n: x.unfold(n, n, n),
    "narrow": lambda m, x, n: x.narrow(n, n, n),
    "one_hot": lambda m, x, n: m.nn.functional.one_hot(x.flatten()[:2].long() * 0, n),
}


@pytest.mark.parametrize("name", CALLS)
def test_numpy_numbers_and_no_floats_lazily_and_jitted(name: str) -> None:
    call, data = CALLS[name], np.linspace(-1, 1, 2 * 2 * 6 * 6, dtype=np.float32).reshape(2, 2, 6, 6)
    x, theirs = flambeau.tensor(data), torch.tensor(data)
    jitted = flambeau.jit(lambda x, n: call(flambeau, x, n))
    with on_numpy():
        told = call(torch, theirs, np.int64(2))
        for found in (call(flambeau, x, np.int64(2)), jitted(x, np.int64(2)), jitted(x, 2)):
            compare(found, told, (1e-5, 1e-6))
        for refused in (2.0, "2"):
            with pytest.raises(TypeError) as error:
                call(torch, theirs, refused)
            for ours in (lambda refused=refused: call(flambeau, x, refused), lambda refused=refused: jitted(x, refused)):
                with pytest.raises(TypeError) as own:
                    ours()
                assert type(own.value) is type(error.value)


@pytest.mark.parametrize("call", [lambda x, n: x.narrow(1, n, 2), lambda x, n: x.select(1, n),
                                  lambda x, n: flambeau.roll(x, n, 1)])
def test_positions_stay_inputs_of_one_program(call: Callable[..., Any]) -> None:
    x, step = flambeau.arange(12).reshape(3, 4), flambeau.jit(call)
    for n in (0, 1, 2):
        assert step(x, n).tolist() == call(x, n).tolist() == call(x, np.int64(n)).tolist()
    assert step.stats.compiles == 1, step.why()


@pytest.mark.parametrize("refused", [True, 1.0, "1", None])
def test_what_is_said_of_what_is_no_whole_number(refused: Any) -> None:
    kind = type(refused).__name__
    with pytest.raises(TypeError, match=f"argument 'dim' must be int, not {kind}"):
        flambeau.cumsum(flambeau.ones(2, 2), refused)
    with pytest.raises(TypeError, match=r"failed to unpack the object at pos 2 .*type must be tuple of ints,but got str"):
        flambeau.nn.functional.pad(flambeau.ones(2), (1, "1"))
    with pytest.raises(TypeError, match="argument 'size' must be tuple of ints, but found element of type bool at pos 0"):
        flambeau.empty((True, 2))


def test_a_refused_number_leaves_nothing_behind() -> None:
    """2.0 is equal to 2: a table that had it under 2 would give it to the calls after it."""
    with on_numpy():
        for call in (lambda n: flambeau.topk(flambeau.ones(7, 3), n), lambda n: flambeau.multinomial(flambeau.ones(7), n),
                     lambda n: flambeau.nn.functional.local_response_norm(flambeau.ones(1, 7, 3), n)):
            with pytest.raises(TypeError):
                call(3.0)
            call(3)
        assert flambeau.ones(7, 3).tolist() == [[1.0] * 3] * 7


# --- Modules ----------------------------------------------------------------------------------------------------------


def n(x: int) -> Any:
    """A number as numpy has it."""
    return np.int64(x)


MODULES: Final = [
    ("Conv2d", (3, n(8), n(3)), (2, 3, 6, 6)), ("Conv2d", (3, 8, 3, n(2), n(1), n(1), n(1)), (2, 3, 6, 6)),
    ("Conv1d", (n(3), 8, (n(3),)), (2, 3, 6)), ("ConvTranspose2d", (3, 8, 3, n(2), n(1), n(1)), (2, 3, 6, 6)),
    ("MaxPool2d", (n(2),), (2, 3, 6, 6)), ("AvgPool1d", (n(2), n(1), n(1)), (2, 3, 6)), ("LPPool2d", (2, n(2)), (2, 3, 6, 6)),
    ("AdaptiveMaxPool1d", (n(2),), (2, 3, 6)), ("Linear", (n(3), 4), (2, 3)), ("LayerNorm", (n(5),), (2, 5)),
    ("LayerNorm", ((n(5),),), (2, 5)), ("RMSNorm", (n(5),), (2, 5)), ("GroupNorm", (n(2), n(4)), (2, 4, 3)),
    ("LocalResponseNorm", (n(2),), (2, 3, 4)), ("Unflatten", (n(1), (2, 2)), (3, 4)), ("Unflatten", (1, (n(2), 2)), (3, 4)),
    ("Unflatten", (1, 2.0), (3, 4)), ("Unflatten", (1, (2.0, 2)), (3, 4)), ("Flatten", (n(1), n(-1)), (2, 3, 4)),
    ("LSTM", (n(3), 4), (5, 2, 3)), ("GRU", (n(3), n(4), n(2)), (5, 2, 3)), ("LSTMCell", (n(3), n(4)), (2, 3)),
    ("ZeroPad2d", (n(1),), (2, 3, 4, 4)), ("ZeroPad2d", (1.0,), (2, 3, 4, 4)), ("ConstantPad1d", (n(1), 0.5), (2, 3, 4)),
    ("ReflectionPad2d", ((n(1), 1, 1, 1),), (2, 3, 4, 4)), ("CircularPad1d", (n(1),), (2, 3, 4)), ("Softmax", (n(1),), (2, 3)),
    ("LogSoftmax", (1.0,), (2, 3)), ("GLU", (n(1),), (2, 4)), ("Hardtanh", (n(-1), n(1)), (2, 3)), ("PReLU", (n(3),), (2, 3)),
    ("PixelShuffle", (n(2),), (1, 4, 2, 2)), ("Upsample", (n(4),), (1, 2, 2, 2)), ("Fold", (n(4), n(2)), (1, 4, 9)),
    ("Unfold", (n(2), n(1), n(0), n(1)), (1, 1, 4, 4)), ("GELU", ("tanh",), (2, 3)), ("Embedding", (n(5), 3), None),
    ("Embedding", (5, n(3), n(1)), None), ("EmbeddingBag", (n(5), n(3)), None),
]


def _made(m: Any, name: str, args: tuple[Any, ...], shape: tuple[int, ...] | None) -> Any:
    """How a module is shown and the shape of what it gives, or the class of the error."""
    try:
        layer = getattr(m.nn, name)(*args)
        result = layer(m.tensor([[0, 1], [2, 3]]) if shape is None else m.ones(*shape))
    except Exception as error:
        return type(error)
    return repr(layer), tuple((result[0] if isinstance(result, tuple) else result).shape)


@pytest.mark.parametrize(("name", "args", "shape"), MODULES)
def test_modules(name: str, args: tuple[Any, ...], shape: tuple[int, ...] | None) -> None:
    with on_numpy():
        assert _made(flambeau, name, args, shape) == _made(torch, name, args, shape)
