"""Options that are numbers, at special values, against torch: of every entry of its record, lazily and as an argument of a
compiled step, where the number is a stand-in. Values, gradients, and what is refused in which words."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402
from .opinfo.checks import Cell  # noqa: E402
from .opinfo.compare import DEFAULT, GRADCHECK, Mismatch, Tolerance, compare  # noqa: E402
from .opinfo.excluded import RANDOM  # noqa: E402
from .opinfo.records import entries  # noqa: E402
from .opinfo.translate import value  # noqa: E402

NAN, INF = math.nan, math.inf
VALUES = (0.5, 0.0, 1.0, -1.0, 2, 0, 1)  # gradients, too
EXTREME = (NAN, INF, 1e30)  # by which the gradients often are accidents: results and refusals
OF_NUMPY = (np.float64(0.5), np.float32(2.0), np.float16(1.0), np.int64(1), np.uint8(2), np.int8(-1))
# Keywords whose value is a number even where a sample, or a default, has an int.
OPTIONS = frozenset({"alpha", "beta", "value", "p", "eps", "delta", "lambd", "margin", "ord", "correction", "exponent",
                     "norm_type", "threshold", "max_norm", "maxnorm"})
OURS = frozenset({"fill_value"})  # keywords that torch's namesakes do not have
SAMPLES = 12  # of an entry, among which an option is looked for: the first that has it counts

_SUMS = "whether infinite or huge terms meet as NaN follows from the order of the sums"
_BLAS = "on some CPUs torch's library scales before it multiplies, on others after it"
_READS = "its result is a Python bool, read from the values"
_DRAWN = "what is dropped is drawn"
KNOWN = {  # by entry and option (a number for a position): at which values, lazily and jitted if not told; why
    ("addbmm", "alpha"): ("inf 1e+30", _SUMS),
    ("addmm", "alpha"): ("inf", _BLAS),
    ("addmm.decomposed", "alpha"): ("inf", _BLAS),
    ("baddbmm", "alpha"): ("1e+30", _SUMS),
    ("allclose", "rtol"): ("jit 0.5 0.0 1.0 2.0 2 0 1 inf 1e+30", _READS),
    ("allclose", "atol"): ("jit 0.5 0.0 1.0 2.0 2 0 1 inf 1e+30", _READS),
    ("nn.functional.interpolate.area", "scale_factor"): (
        "0.0 0 nan inf 1e+30", "of an empty result torch refuses the gradient; sizes that are none it refuses in Python's words"),
    ("nn.functional.multi_head_attention_forward", 10): ("0.5", _DRAWN),
    ("nn.functional.scaled_dot_product_attention", "dropout_p"): ("0.5", _DRAWN),
    ("nn.functional.softplus", "beta"): ("0.0 0", "the result is infinite, and torch's gradient that of no such function"),
}


def tensors_in(x: Any, library: Any) -> list[Any]:
    """The tensors in a nest of lists, tuples and dictionaries."""
    if isinstance(x, library.Tensor):
        return [x]
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return [t for part in parts for t in tensors_in(part, library)]


def fresh(x: Any, library: Any, gradients: bool) -> Any:
    """A copy of arguments, whose tensors are leaves of their own."""
    if isinstance(x, library.Tensor):
        return x.detach().clone().requires_grad_(gradients and x.requires_grad)
    if type(x) in (list, tuple):
        return type(x)(fresh(part, library, gradients) for part in x)
    return {name: fresh(part, library, gradients) for name, part in x.items()} if type(x) is dict else x


def outcome(library: Any, called: Callable[..., Any], given: tuple[list[Any], dict[str, Any]], place: Any, number: Any,
            gradients: bool) -> Any:
    """The result with `number` in that place of the arguments, and the gradients of its sum."""
    args, kwargs = fresh(given, library, gradients)
    if isinstance(place, int):
        args[place] = number
    else:
        kwargs[place] = number
    result = called(*args, **kwargs)
    real = [t for t in tensors_in(result, library) if t.requires_grad and not t.is_complex()]
    inputs = [t for t in tensors_in([args, kwargs], library) if t.requires_grad]
    if not real or not inputs:
        return result, []
    total = real[0].sum()
    for t in real[1:]:
        total = total + t.sum()
    return result, list(library.autograd.grad(total, inputs, allow_unused=True))


def attempted(run: Callable[[], Any]) -> Any:
    """What it gives, computed, or what it raises."""
    try:
        found = run()
        for t in tensors_in(found, flambeau):
            t.tolist()
        return found
    except Exception as error:
        return error


def deviation(ours: Any, theirs: Any, within: Tolerance, gradients_within: Tolerance = GRADCHECK) -> str | None:
    """What differs; None if nothing does. Where torch has no gradient ours is one of zeros."""
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        first = [f"{type(x).__name__}: {str(x).splitlines()[0]}" if isinstance(x, Exception) else "a result"
                 for x in (ours, theirs)]
        return None if first[0] == first[1] else f"torch: {first[1]:.150}; ours: {first[0]:.150}"
    try:
        compare(ours[0], theirs[0], within)
        for i, (mine, their) in enumerate(zip(ours[1], theirs[1], strict=True)):
            if their is not None:
                compare(mine, their, gradients_within, where=f"gradient {i}")
            elif mine is not None and mine.any():
                raise Mismatch(f"gradient {i}: torch has none")
    except Mismatch as error:
        return str(error)
    return None


def options(sample: Any, called: Callable[..., Any], first: bool) -> list[Any]:
    """Where numbers stand among the arguments of a sample; of the first one also what it leaves at its default."""
    args = [sample.input, *sample.args]
    found: list[Any] = [i for i, x in enumerate(args) if type(x) is float]
    found += [name for name, x in sample.kwargs.items() if type(x) is float or (type(x) is int and name in OPTIONS)]
    try:
        left = list(inspect.signature(called).parameters.values())[len(args):] if first else []
    except (TypeError, ValueError):
        left = []
    return found + [p.name for p in left if p.name not in sample.kwargs and p.name not in OURS
                    and (type(p.default) is float or (type(p.default) is int and p.name in OPTIONS))]


def members() -> Iterator[tuple[Cell, Any, Any]]:
    """Each option of each entry: the entry in a dtype, the first sample with the option, and its place."""
    for name, entry in sorted(entries().items()):
        for dtype in ("float32", "int64"):
            if name in RANDOM or getattr(torch, dtype) not in entry.dtypes:
                continue
            cell, seen = Cell(name, entry, dtype), set()
            torch.default_generator.manual_seed(0)  # at each sample `torch.manual_seed` would look at the whole stack
            samples = entry.sample_inputs("cpu", getattr(torch, dtype), set_seed=False,
                                          requires_grad=dtype == "float32" and entry.supports_autograd)
            for i, sample in enumerate(islice(samples, SAMPLES)):
                for place in options(sample, cell.ours(), i == 0):
                    if place not in seen:
                        seen.add(place)
                        yield cell, sample, place


def found_at(cell: Cell, sample: Any, place: Any, given_numbers: Any) -> Iterator[tuple[Any, str, str | None]]:
    """What deviates of a member: for each number, lazily and jitted. Numbers come with whether gradients are taken."""
    given = [sample.input, *sample.args], dict(sample.kwargs)
    args, kwargs = value(list(given))
    called = cell.ours()
    for numbers, gradients in given_numbers:
        ours = partial(outcome, flambeau, called, (args, kwargs), place, gradients=gradients)
        step = flambeau.jit(lambda number, ours=ours: ours(number))
        for number in numbers:
            theirs = attempted(partial(outcome, torch, cell.entry.op, given, place, number, gradients))
            for way, run in (("lazy", ours), ("jit", step)):
                yield number, way, deviation(attempted(partial(run, number)), theirs, cell.within, cell.gradients_within)


def known(name: str, place: Any, number: Any, way: str) -> bool:
    """Whether the table has it."""
    words = KNOWN.get((name, place), ("", ""))[0].split()
    ways = {"lazy", "jit"} & set(words) or {"lazy", "jit"}
    return way in ways and str(number) in words


@pytest.mark.parametrize("given, least, of_all", [
    (((VALUES, True), (EXTREME, False)), 3000, True), (((OF_NUMPY, True),), 2000, False)], ids=["python", "numpy"])
def test_every_option_of_the_record(given: Any, least: int, of_all: bool) -> None:
    """Nothing deviates but what the table has, and all of that does."""
    ran, deviates, told = 0, [], set()
    with on_numpy(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cell, sample, place in members():
            for number, way, found in found_at(cell, sample, place, given):
                ran += 1
                if found is None:
                    continue
                if known(cell.name, place, number, way):
                    told.add((cell.name, place))
                else:
                    deviates.append(f"{cell.name} {cell.dtype} {place}={number} {way}: {found}")
    print(f"{ran} members")
    assert ran > least
    assert not deviates, "\n".join(deviates)
    assert told >= {place for place, (_, why) in KNOWN.items() if why is not _BLAS} or not of_all


CASES = {  # of the option k: at these values
    "F.huber_loss(x, 0 * x, delta=k)": (INF, 1, 0.5, NAN),
    "F.hardtanh(x, k, 1)": (NAN, -1, 0.0, -INF),
    "F.hardtanh(x, -1, k)": (NAN, INF, 1, 0.5),
    "F.hardtanh(torch.tensor([1, 200], dtype=torch.uint8), k, 100)": (-1, 0, 5),
    "F.cosine_similarity(x, y, 0, eps=k)": (-1.0, -1e-20, NAN, 0, 0.0, INF),
    "F.pdist(pairs, k)": (NAN, -1, 0, 0.0, 3),
    "F.pdist(pairs * NAN, k)": (0, 0.0, 2),
    "torch.cdist(pairs, pairs + 1, k)": (NAN, 0, 0.0, 1, INF),
    "torch.cdist(pairs, pairs * NAN, k)": (0, 0.0, 1, 2),
    "F.margin_ranking_loss(whole, whole, whole, margin=k)": (0, 1, 0.0, 0.5),
    "F.pairwise_distance(whole, whole, eps=k)": (0, 1, 0.5),
    "F.triplet_margin_loss(whole, whole, whole, margin=1, eps=k)": (0, 1, 0.5),
    "F.multi_margin_loss(pairs, torch.tensor([0, 1]), margin=k)": (NAN, 0, 1, -1.0),
    "F.gaussian_nll_loss(x, y, y * y, eps=k)": (NAN, 0, 1, -1),
    "F.cross_entropy(pairs, torch.tensor([0, 1]), label_smoothing=k)": (2.0, 1.00000011, -1, 0, 1, NAN),
    "F.dropout(x, k, False)": (NAN, -1, 2.0, 0, 1),
    "torch.dropout(x, k, False)": (NAN, -1, 2.0, 0, 1),
    "torch.native_dropout(x, k, True)[1]": (NAN, -1, 2.0),
    "F.rrelu(x, k, 1)": (NAN, INF, 2, 0, 0.5),
    "torch.rrelu(x, 0, k)": (NAN, INF, -2, 0, 0.5),
    "F.lp_pool1d(pairs[None], k, 2)": (0, 0.0, 2, INF),
    "F.scaled_dot_product_attention(pairs, pairs, pairs, dropout_p=k)": (-1.0, 2.5, NAN, 0),
    "torch.linalg.vector_norm(x[:1], k)": (NAN, 1e30, 3.5, 0, -1, 2),
    "torch.linalg.vector_norm(x[:, None], k, dim=1)": (NAN, 1e30, 3.5, 0, 2),
    "torch.isclose(x, y, k)": (NAN, -1.0, -0.123456789, 0, 1),
    "torch.addcmul(whole, whole, whole, value=k)": (NAN, 1e30, 1.5, True, 0, -1),
    "torch.nanquantile(x, k)": (2.0, -1, NAN, 0, 1, 0.5),
    "torch.arange(0, 5.5, k)": (NAN, 0, -1, INF, 0.5, 2),
    "torch.arange(0, k)": (NAN, INF, 1e30, -0.5, 3, 2.5),
    "torch.arange(0, k, dtype=torch.int64)": (NAN, 1e30, -0.5, 3, 2.5),
    "torch.arange(0, 5, k, dtype=torch.int64)": (INF, -0.5, 0.5, 2.5),
    "torch.range(0, k)": (NAN, INF, -0.5, 3, 2.5),
    "torch.cov(pairs, correction=k)": (0.5, 0, 1, 2),
    "torch.nonzero_static(x, size=2, fill_value=k)": (0.5, 0, True),
    "F.interpolate(pairs[None], scale_factor=k)": (0.0, -1.0, NAN, INF, 1e30, 0.5, 2),
    "F.interpolate(pairs[None], scale_factor=k, mode='area')": (0.0, -1.0, 0.5, 2),
    "type(torch.nn.TripletMarginLoss(k)).__name__": (0, -1, NAN, 1),
    "x ** k": (0.5, -0.5, 0, 0.0, 1, 2, NAN, INF),
    "torch.add(whole, whole, alpha=k)": (1.0, 0.0, 0, 1, 2),
    "torch.addmm(pairs * NAN, pairs, pairs, beta=k)": (0, 0.0, 1, 0.5),
    "torch.addmm(pairs, pairs * INF, pairs, alpha=k)": (0, 0.0, 1),
}


def evaluated(library: Any, text: str, number: Any) -> Any:
    """An expression of `torch`, `F`, some tensors and the number k; without gradients."""
    x, y = library.tensor([1.0, -2.0, 0.0, 3.0, -0.0]), library.tensor([1.0, 2.0, 0.5, 3.0, -1.0])
    return eval(text, {
        "torch": library, "F": library.nn.functional, "x": x, "y": y, "whole": library.tensor([1, -2]),
        "pairs": library.tensor([[1.0, 4.0], [-3.0, 0.5]]), "NAN": NAN, "INF": INF, "k": number}), []


@pytest.mark.parametrize("text", CASES)
def test_an_option(text: str) -> None:
    """The value, or the words of what is refused."""
    with on_numpy(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step = flambeau.jit(lambda k: evaluated(flambeau, text, k))
        for k in CASES[text]:
            theirs = attempted(partial(evaluated, torch, text, k))
            for run in (partial(evaluated, flambeau, text), step):
                assert deviation(attempted(partial(run, k)), theirs, DEFAULT["float32"]) is None, k


def test_huber_loss_of_an_infinite_delta_has_a_gradient() -> None:
    """That of half the square: the other branch has no part in it."""
    x = flambeau.tensor([1.0, -3.0], requires_grad=True)
    flambeau.nn.functional.huber_loss(x, flambeau.zeros(2), reduction="sum", delta=INF).backward()
    assert x.grad.tolist() == [1.0, -3.0]
