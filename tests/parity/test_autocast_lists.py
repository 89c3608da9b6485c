"""autocast against torch's own lists: its tests' entries in value and dtype, and every operator of its record in dtype."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.tracer.functions import autocast as rules

from .opinfo.checks import Cell
from .opinfo.records import entries
from .opinfo.translate import AbsentError, value

torch = pytest.importorskip("torch")

from torch.utils import _pytree  # noqa: E402

# --- The lists of torch's tests ---------------------------------------------------------------------------------------

PRIVATE = {"_addmm_activation", "_native_multi_head_attention", "_convolution", "cudnn_convolution", "convolution",
           "cudnn_convolution_transpose", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell",
           "einsum"}  # the last with an equation that does not fit its operands
# torch's functions below the public ones, and what calls them.
PUBLIC: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "reflection_pad1d": lambda m: lambda x, padding: m.nn.functional.pad(x, padding, mode="reflect"),
    "nll_loss2d": lambda m: m.nn.functional.nll_loss,
    "grid_sampler": lambda m: lambda x, grid, *_: m.nn.functional.grid_sample(x, grid, align_corners=False),
    "linalg_vecdot": lambda m: m.linalg.vecdot, "linalg_multi_dot": lambda m: m.linalg.multi_dot,
}
UNREDUCED = {"hinge_embedding_loss", "margin_ranking_loss", "triplet_margin_loss", "binary_cross_entropy_with_logits"}


@functools.cache
def lists(name: str) -> dict[str, list[Any]]:
    """One of torch's collections of lists, by the name of each list."""
    entries()  # which puts stand-ins where torch's test modules import what is not installed
    from torch.testing._internal import autocast_test_lists  # noqa: PLC0415

    torch.manual_seed(0)
    return vars(getattr(autocast_test_lists, name)("cpu"))


def function(m: Any, kind: str, name: str) -> Callable[..., Any]:
    """A library's function of that name, or method where the list is of methods."""
    if kind.startswith("methods"):
        return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)
    if name in PUBLIC:
        return PUBLIC[name](m)
    found: Callable[..., Any] = getattr(m, name, None) or getattr(m.nn.functional, name)
    return found


def rows(collection: str) -> Iterator[tuple[str, str, list[tuple[Any, ...]], dict[str, Any]]]:
    """List, name, the arguments per narrow dtype (or the same for all), and keywords."""
    for kind, made in lists(collection).items():
        for name, *rest in made:
            given = [x for x in rest if isinstance(x, tuple)] or [tuple(x for x in rest if not isinstance(x, dict))]
            if name not in PRIVATE and "div__" not in name:
                yield kind, name, given, next((x for x in rest if isinstance(x, dict)), {})


def called(m: Any, kind: str, name: str, args: Any, kwargs: Any, narrow: str) -> Any:
    with warnings.catch_warnings(), m.autocast("cpu", dtype=getattr(m, narrow)):
        warnings.simplefilter("ignore")
        return function(m, kind, name)(*args, **kwargs)


@pytest.mark.parametrize("narrow", ["bfloat16", "float16"])
def test_the_lists_of_the_cpu(narrow: str, numpy_engine: None) -> None:
    ran, wrong = 0, []
    for kind, name, given, kwargs in rows("AutocastCPUTestLists"):
        args = given[-1 if narrow == "float16" else 0]
        theirs, ours = (called(m, kind, name, given, kwargs, narrow) for m, given in ((torch, args), (flambeau, value(args))))
        if name in UNREDUCED and theirs.shape != ours.shape:  # torch's functions beside `nn.functional` have another default
            theirs = theirs.mean()
        expected = theirs.float().numpy()
        close = np.allclose(ours.detach().float().numpy(), expected, rtol=0.05, atol=0.02 * max(1, np.abs(expected).max()))
        jitted = flambeau.jit(lambda *a, kind=kind, name=name, kwargs=kwargs: called(flambeau, kind, name, a, kwargs, narrow))
        again = jitted(*value(args))
        if kinds([theirs, theirs]) != kinds([ours, again]) or not close or not np.array_equal(
                ours.detach().float().numpy(), again.detach().float().numpy(), equal_nan=True):
            wrong.append((kind, name, theirs.dtype, ours.dtype, again.dtype, close))
        ran += 1
    assert not wrong, wrong
    assert ran == 52


@pytest.mark.parametrize("narrow", ["float16", "bfloat16"])
def test_the_lists_of_accelerators(narrow: str, monkeypatch: pytest.MonkeyPatch, numpy_engine: None) -> None:
    """By which list a name is on, since the CPU follows the accelerators' rules here."""
    for named in rules.RULES.values():
        monkeypatch.setitem(named, "cpu", named.get("accelerator"))
    expected = {"fp16": getattr(flambeau, narrow), "fp32": flambeau.float32, "promote": flambeau.float32}
    ran, wrong = 0, []
    for kind, name, given, kwargs in rows("AutocastTestLists"):
        if kind in ("banned", "torch_expect_builtin_promote", "methods_expect_builtin_promote") or name == "_convolution":
            continue
        found = called(flambeau, kind, name, value(given[0]), kwargs, narrow)
        found = found[0] if isinstance(found, tuple) else found
        if found.dtype is not expected[kind.rpartition("_")[2]]:
            wrong.append((kind, name, found.dtype))
        ran += 1
    assert not wrong, wrong
    assert ran == 89


# --- Every operator ---------------------------------------------------------------------------------------------------

REGISTERED = {name.removeprefix("aten::").partition(".")[0] for name in torch._C._dispatch_get_all_op_names()
              if torch._C._dispatch_has_kernel_for_dispatch_key(name, "AutocastCPU")}
KNOWN = {
    "histogram": "ours takes bfloat16 without autocast too", "histogramdd": "ours takes bfloat16 without autocast too",
    "linalg.vander": "ours takes bfloat16 without autocast too", "norm.nuc": "ours takes bfloat16 without autocast too",
    "linalg.det": "torch takes bfloat16 where a matrix is empty",
    "nn.functional.linear_cross_entropy.chunked": "torch splits the batch in a kernel of its own, which gives the input's type",
    "nn.functional.linear_cross_entropy.chunked_none": "the same",
    "chalf": "there is no complex32",
}


def test_the_table_names_functions_and_all_that_torch_registers() -> None:
    """A name that is misspelled in the table casts nothing."""
    spaces = [vars(module) for name, module in __import__("sys").modules.items() if name.startswith(("flambeau.tracer.functions",
                                                                                                    "flambeau.nn.functional"))]
    wrapped = {name for space in spaces for name, thing in space.items() if hasattr(thing, "autocast")}
    assert set(rules.RULES) <= wrapped, set(rules.RULES) - wrapped
    elsewhere = {  # under other names, or not there
        "cross_entropy_loss": "cross_entropy", "grid_sampler": "grid_sample", "nll_loss2d": "nll_loss", "_lu_with_info": "lu",
        **{f"{mode}_pad{rank}d": f"{mode}_pad" for mode in ("reflection", "replication") for rank in (1, 2, 3)}}
    cpu = {name for name, named in rules.RULES.items() if "cpu" in named}
    missing = {name for name in REGISTERED for ours in [elsewhere.get(name, name.removeprefix("linalg_").removeprefix("fft_"))]
               if ours not in cpu and f"linalg_{ours}" not in cpu}
    assert missing == {"_addmm_activation", "_convolution", "_grid_sampler_2d_cpu_fallback", "_native_multi_head_attention",
                       "fake_quantize_per_tensor_affine", "grid_sampler_2d", "grid_sampler_3d", "mkldnn_rnn_layer",
                       "multilabel_margin_loss_forward"}


def kinds(x: Any) -> list[str]:
    """The dtypes of all tensors in a result."""
    if isinstance(x, (tuple, list)):
        return [kind for item in x for kind in kinds(item)]
    if isinstance(x, dict):
        return kinds(list(x.values()))
    return [str(x.dtype).rpartition(".")[2]] if hasattr(x, "dtype") and hasattr(x, "shape") else []


def outcome(m: Any, called: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        with m.autocast("cpu", dtype=m.bfloat16):
            return kinds(called(*args, **kwargs))
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError, AttributeError) as error:
        return f"raised {type(error).__name__}: {error}"


def narrowed(x: Any) -> Any:
    return x.bfloat16() if isinstance(x, torch.Tensor) and x.dtype is torch.float32 else x


def compared(name: str, samples: int = 1) -> Iterator[tuple[bool, Any]]:
    """Whether each sample, in float32 and in bfloat16, gives the dtypes that torch gives, and what is given."""
    cell = Cell(name, entries()[name], "float32")
    try:
        ours = cell.ours()
        for _, sample in cell.samples(samples):
            for change in (lambda x: x, narrowed):
                args, kwargs = _pytree.tree_map(change, ((sample.input, *sample.args), sample.kwargs))
                theirs = outcome(torch, cell.entry.op, args, kwargs)
                found = outcome(flambeau, ours, value(args), value(kwargs))
                yield theirs == found or (isinstance(theirs, str) and isinstance(found, str)), (theirs, found)
    except AbsentError:
        return


def family(name: str) -> str:
    head = name.partition(".")[0]
    return name.rpartition("functional.")[2][:1] if head == "nn" else head if head in ("linalg", "fft") else "others"


def in_the_sweep(entry: Any) -> bool:
    """What torch registers for autocast, and what may be made of it."""
    return torch.float32 in entry.dtypes and (entry.name.startswith(("nn.", "linalg.", "fft."))
                                              or entry.aten_name in REGISTERED)


FAMILIES = ["linalg", "fft", "others", *"abcdefghiklmnprstu"]


@pytest.mark.parametrize("group", FAMILIES)
def test_dtypes_of_every_operator(group: str, numpy_engine: None) -> None:
    names = [name for name, entry in entries().items() if in_the_sweep(entry) and family(name) == group]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = {name: told for name in names if name not in KNOWN for good, told in compared(name) if not good}
    assert names and not wrong, wrong


def test_all_families_are_swept() -> None:
    assert {family(name) for name, entry in entries().items() if in_the_sweep(entry)} == set(FAMILIES)
