"""Operands of several dtypes: what the result has, and what is refused, as in torch.

Functions of two or three tensors of one shape, from torch's record, are given each pair of dtypes (a third tensor has that of the
second), all with dimensions or one without. Values, dtypes and the class of errors are torch's, or on the list below with the
reason. Tried is a part of the calls that a checksum chooses, and all those of what is listed.
"""

from __future__ import annotations

import functools
import itertools
import random
import zlib
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

PARTS: Final = 2
ONE_OF: Final = 16  # calls that are tried
DTYPES: Final = ("bool", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64")
WITHOUT_DIMENSIONS: Final = (None, 0, 1)  # which operand
COARSE: Final = ("float16", "bfloat16")

_PIECES: Final = "class: torch looks first at the dtype that its pieces of the batch are summed in"
_NARROW: Final = "class: torch's least squares have a check of their own for halves"
DIFFERENT: Final = {
    "linalg.lstsq": _NARROW, "linalg.lstsq.grad_oriented": _NARROW,
    "nn.functional.linear_cross_entropy.chunked": _PIECES, "nn.functional.linear_cross_entropy.chunked_none": _PIECES,
    "nn.functional.pairwise_distance": "value: torch's intermediate has pairs of halves, complex32",
}


# --- Generated --------------------------------------------------------------------------------------------------------


def sample(entry: Any) -> Any:
    """The first sample of an entry that is two or three floating tensors of one shape; None without one."""
    random.seed(0)  # of which it draws margins
    try:
        for found in entry.sample_inputs_func(entry, "cpu", torch.float32, False):
            tensors = [found.input, *found.args]
            if 2 <= len(tensors) <= 3 and all(isinstance(x, torch.Tensor) for x in tensors) and all(
                    x.is_floating_point() and x.shape == found.input.shape for x in tensors):
                return found
    except Exception:  # a sample that the record cannot make here
        return None
    return None


def operands(dtypes: tuple[str, ...], without: int | None) -> list[Any]:
    """Small whole numbers in these dtypes, one operand without dimensions."""
    drawn = np.random.default_rng(0)
    made = [torch.tensor(drawn.integers(1, 4, (2, 3))).to(getattr(torch, kind)) for kind in dtypes]
    return [x[0, 0].clone() if i == without else x for i, x in enumerate(made)]


def outcome(called: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What a call gives, or the error."""
    try:
        return called(*args, **kwargs)
    except Exception as error:
        return error


def differ(ours: Any, theirs: Any, dtypes: tuple[str, ...]) -> str:
    """In what two outcomes differ, the kind of difference first; nothing if they do not."""
    failed = isinstance(ours, Exception), isinstance(theirs, Exception)
    if any(failed):
        kind = "class" if all(failed) else "raises" if failed[0] else "accepts"
        same = all(failed) and type(theirs).__name__ == type(ours).__name__
        return "" if same else f"{kind}: torch: {theirs!r:.150}, ours: {ours!r:.150}"
    tolerance = 2e-2 if set(dtypes) & set(COARSE) else 1e-4
    try:
        compare(ours, theirs, (tolerance, tolerance))
    except AssertionError as error:
        return f"value: {error}"
    return ""


def of_half_pairs(outcome: Any) -> bool:
    """Whether an outcome of torch's has to do with complex32, which there is not here."""
    if isinstance(outcome, Exception):
        return "ComplexHalf" in str(outcome)
    return any(isinstance(x, torch.Tensor) and x.dtype is torch.complex32
               for x in (outcome if isinstance(outcome, (tuple, list)) else (outcome,)))


def members(name: str) -> Iterator[tuple[str, str]]:
    """Of an entry the calls that are tried: how they are shown, and the difference."""
    entry = entries()[name]
    given = None if name in RANDOM or torch.float32 not in entry.dtypes else sample(entry)
    if given is None:
        return
    ours = function(entry.op, entry.name)
    for pair, without in itertools.product(itertools.product(DTYPES, DTYPES), WITHOUT_DIMENSIONS):
        dtypes = (*pair, *pair[1:] * (len(given.args) - 1))
        shown = f"{name} of {', '.join(dtypes)}, without dimensions: {without}"
        if name not in DIFFERENT and zlib.crc32(shown.encode()) % ONE_OF:
            continue
        theirs = outcome(entry.op, operands(dtypes, without), given.kwargs)
        if not of_half_pairs(theirs):
            found = outcome(ours, value(operands(dtypes, without)), value(given.kwargs))
            yield shown, differ(found, theirs, dtypes)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(PARTS))
def test_each_pair_of_dtypes(part: int) -> None:
    wrong, agreeing, count = [], [], 0
    with on_numpy():
        for name in list(entries())[part::PARTS]:
            listed = DIFFERENT.get(name, "").partition(":")[0]
            try:
                tried = list(members(name))
            except AbsentError:
                continue
            count += len(tried)
            differing = [(shown, said) for shown, said in tried if said]
            wrong += [f"{shown}: {said}" for shown, said in differing if said.partition(":")[0] != listed]
            agreeing += [name] if listed and not differing else []
    print(f"{count} members")
    assert not wrong, "\n".join(wrong)
    assert not agreeing, f"these agree by now, and are not to be listed: {agreeing}"
    assert count > 1000


# --- By name ----------------------------------------------------------------------------------------------------------

LOSSES: Final[dict[str, Callable[..., Any]]] = {
    "cross_entropy": lambda m, x, t: m.nn.functional.cross_entropy(x, t),
    "cross_entropy smoothed": lambda m, x, t: m.nn.functional.cross_entropy(x, t, label_smoothing=0.1, reduction="sum"),
    "binary_cross_entropy_with_logits": lambda m, x, t: m.nn.functional.binary_cross_entropy_with_logits(x, t),
    "cosine_similarity": lambda m, x, t: m.nn.functional.cosine_similarity(x, t).sum(),
    "hinge_embedding_loss": lambda m, x, t: m.nn.functional.hinge_embedding_loss(x, t) + 0 * t.sum(),
    "huber_loss": lambda m, x, t: m.nn.functional.huber_loss(x, t),
    "kl_div": lambda m, x, t: m.nn.functional.kl_div(x, t, reduction="batchmean"),
    "l1_loss": lambda m, x, t: m.nn.functional.l1_loss(x, t),
    "mse_loss": lambda m, x, t: m.nn.functional.mse_loss(x, t),
    "mse_loss of one number": lambda m, x, t: m.nn.functional.mse_loss(x, t[0, 0]),
    "poisson_nll_loss": lambda m, x, t: m.nn.functional.poisson_nll_loss(x, t, full=True),
    "smooth_l1_loss": lambda m, x, t: m.nn.functional.smooth_l1_loss(x, t),
    "soft_margin_loss": lambda m, x, t: m.nn.functional.soft_margin_loss(x, t.detach()),
}


FORWARD_ONLY: Final = ("huber_loss", "soft_margin_loss")  # torch's gradients of them ask for one dtype


def with_gradients(m: Any, name: str, x: Any, t: Any) -> tuple[Any, ...]:
    """A loss, and its gradients of both operands."""
    loss = LOSSES[name](m, x, t)
    return (loss.detach(), *(() if name in FORWARD_ONLY else m.autograd.grad(loss, (x, t))))


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("kinds", [("bfloat16", "float32"), ("float32", "bfloat16")], ids="-".join)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients_have_torchs_dtypes_lazily_and_jitted(name: str, kinds: tuple[str, str]) -> None:
    drawn = np.random.default_rng(0)
    data = [drawn.standard_normal((4, 3)), drawn.dirichlet(np.ones(3), 4)]

    def given(m: Any) -> list[Any]:
        return [m.tensor(a, dtype=getattr(m, kind), requires_grad=True) for a, kind in zip(data, kinds)]

    theirs = with_gradients(torch, name, *given(torch))
    step = functools.partial(with_gradients, flambeau, name)
    with on_numpy():
        for found in (step(*given(flambeau)), flambeau.jit(step)(*given(flambeau))):
            compare(found, theirs, (2e-2, 2e-2))


REFUSED: Final[dict[str, Callable[..., Any]]] = {
    "a bool less": lambda m: m.ones(2) - m.tensor([True, False]),
    "a bool from one": lambda m: 1 - m.tensor([True, False]),
    "True from floats": lambda m: m.rsub(m.ones(2), True),
    "lerp": lambda m: m.lerp(m.ones(2), m.ones(2, dtype=m.float64), 0.5),
    "lerp of halves": lambda m: m.lerp(m.tensor(1.0), m.ones(2, dtype=m.float16), m.ones(2, dtype=m.float16)),
    "lerp of integers": lambda m: m.lerp(m.arange(2), m.arange(2), 0.5),
    "addcmul": lambda m: m.addcmul(*[m.tensor([True])] * 3),
    "maximum": lambda m: m.maximum(m.ones(2), m.ones(2, dtype=m.complex64)),
    "fmin": lambda m: m.fmin(m.ones(2), m.ones(2, dtype=m.complex64)),
    "atan2": lambda m: m.atan2(m.ones(2), m.ones(2, dtype=m.complex64)),
    "atan2 by name": lambda m: m.atan2(input=m.ones(2), other=m.ones(2, dtype=m.complex128)),
    "remainder": lambda m: m.tensor([True]) % m.tensor([True]),
    "floor_divide": lambda m: m.tensor([True]) // m.tensor([True]),
    "div in place": lambda m: m.tensor([1j]).div_(2, rounding_mode="trunc"),
    "pow": lambda m: m.tensor([True]) ** m.tensor([True]),
    "clamp of complex": lambda m: m.clamp(m.tensor([1j]), 0, 1),
    "clamp by complex": lambda m: m.clamp(m.ones(2), max=m.tensor([1j])),
    "clamp_min": lambda m: m.clamp_min(m.ones(2), m.tensor([1j])),
    "clamp of bools": lambda m: m.clamp(*[m.tensor([True])] * 3),
    "searchsorted": lambda m: m.searchsorted(m.tensor([True]), m.tensor([True])),
    "log_sigmoid": lambda m: m.nn.functional.logsigmoid(m.arange(3)),
    "kl_div": lambda m: m.nn.functional.kl_div(m.ones(2), m.arange(2), reduction="sum"),
    "mse_loss": lambda m: m.nn.functional.mse_loss(m.arange(2), m.arange(2), reduction="none"),
    "huber_loss": lambda m: m.nn.functional.huber_loss(m.arange(2), m.ones(2)),
    "binary_cross_entropy": lambda m: m.nn.functional.binary_cross_entropy(m.ones(2), m.ones(2, dtype=m.float64)),
    "binary_cross_entropy_with_logits": lambda m: m.nn.functional.binary_cross_entropy_with_logits(m.ones(2), m.arange(2)),
    "soft_margin_loss": lambda m: m.nn.functional.soft_margin_loss(m.arange(2), m.ones(2)),
    "cross_entropy": lambda m: m.nn.functional.cross_entropy(m.ones(2, 2), m.ones(2, 2, dtype=m.int64)),
    "cosine_similarity": lambda m: m.nn.functional.cosine_similarity(m.ones(2, 2), m.ones(2, 2, dtype=m.complex64)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_said_as_torch_says_it(name: str) -> None:
    told = outcome(REFUSED[name], [torch], {})
    ours = outcome(REFUSED[name], [flambeau], {})
    assert type(ours) is type(told)
    assert str(ours).splitlines()[0] == str(told).splitlines()[0]


def test_a_number_over_whole_ones_is_of_their_reciprocal() -> None:
    for m in (torch, flambeau):
        found = m.tensor([True, True]).__rdiv__(m.tensor([2.0, 3.0], dtype=m.float16))
        assert (found.dtype, found.tolist()) == (m.float32, [2.0, 3.0])
