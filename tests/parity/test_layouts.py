"""How results lie in memory when the inputs do not lie in rows: every entry of torch's record, its inputs transposed, and with
their channels last."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import flambeau

torch = pytest.importorskip("torch")

from .opinfo.checks import _tensors, _theirs, _translated  # noqa: E402
from .opinfo.compare import Mismatch, compare_strides  # noqa: E402
from .opinfo.excluded import DATA_DEPENDENT  # noqa: E402
from .opinfo.records import entries  # noqa: E402
from .opinfo.translate import AbsentError, function  # noqa: E402

SAMPLES, LOOKED_AT = 4, 40  # of an entry: how many have such an input, among how many
# Where ours are in rows, or in another order, and torch's are not: in the README's list of limits.
OTHERWISE = frozenset({"linalg.lstsq", "linalg.lstsq.grad_oriented", "stack", "einsum", "ldexp",
                       "nn.functional.linear_cross_entropy.chunked_none"})
BY_THREADS = frozenset({"nn.functional.conv3d", "nn.functional.conv_transpose3d"})  # whose kernel torch chooses by their number


def transposed(x: Any) -> Any:
    return x.transpose(-1, -2).contiguous().transpose(-1, -2) if x.ndim >= 2 else x


def channels_last(x: Any) -> Any:
    form = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.ndim)
    return x if form is None else x.contiguous(memory_format=form)


def difference(name: str, lay: Callable[[Any], Any]) -> tuple[int, str]:
    """How many samples of an entry ran, and how the strides of the first that differs do."""
    entry, ran = entries()[name], 0
    try:
        ours = function(entry.op, name)
    except AbsentError:
        return 0, ""
    for i, sample in enumerate(entry.sample_inputs("cpu", torch.float32)):
        found = [x for x in _tensors([sample.input, list(sample.args), sample.kwargs], torch) if x.numel() > 1]
        if i >= LOOKED_AT or ran >= SAMPLES:
            break
        if all(lay(x).stride() == x.stride() for x in found):
            continue
        given = sample.transform(lambda x: lay(x.detach()) if isinstance(x, torch.Tensor) else x)
        try:
            expected = _theirs(entry.op, given)
        except (RuntimeError, NotImplementedError):
            continue
        args, kwargs = _translated(given)
        ran += 1
        try:
            compare_strides(ours(*args, **kwargs), expected)
        except Mismatch as error:
            return ran, f"{name}, sample {i}: {error}"
    return ran, ""


@pytest.mark.parametrize("lay", [transposed, channels_last], ids=lambda f: f.__name__)
def test_strides_of_results(lay: Callable[[Any], Any], numpy_engine: None, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {name: difference(name, lay) for name, entry in entries().items()
                 if torch.float32 in entry.dtypes and name not in DATA_DEPENDENT | {"chalf", "empty_strided"}}
    wrong = [text for name, (_, text) in found.items() if text and name not in OTHERWISE | BY_THREADS]
    ran = [count for count, _ in found.values() if count]
    with capsys.disabled():
        print(f"\n{len(ran)} entries, {sum(ran)} samples, {lay.__name__}", end=" ")
    assert len(ran) > (500 if lay is transposed else 100) and not wrong, "\n".join(wrong)


def test_what_is_listed_still_differs(numpy_engine: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = [name for name in OTHERWISE if not any(difference(name, lay)[1] for lay in (transposed, channels_last))]
    assert not right


# --- What follows from it ------------------------------------------------------------------------------------------------


def test_resize_to_the_same_shape_changes_nothing() -> None:
    for lib in (torch, flambeau):
        x = lib.arange(6).view(2, 3).t()
        y = x.resize_(3, 2)
        assert y is x and x.stride() == (1, 3) and x.tolist() == [[0, 3], [1, 4], [2, 5]]
        x = lib.arange(6).view(2, 3).t()
        assert x.resize_as_(lib.zeros(3, 2)).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_module_in_a_format() -> None:
    """`to(memory_format=)` is for weights of 4 and 5 dimensions and their gradients, and may come with a dtype."""
    outcomes = []
    for lib in (torch, flambeau):
        net = lib.nn.Sequential(lib.nn.Conv2d(3, 8, 3), lib.nn.Conv3d(3, 8, 3), lib.nn.Linear(3, 2))
        found: list[Any] = []
        for form in (lib.channels_last, lib.channels_last_3d, lib.preserve_format, lib.contiguous_format):
            part = net[:1] if form is lib.channels_last else net[1:] if form is lib.channels_last_3d else net
            part.to(memory_format=form)
            found += [p.stride() for p in net.parameters()]
        with pytest.raises(RuntimeError, match="required rank 4 tensor to use channels_last format"):
            net[1:].to(memory_format=lib.channels_last)
        conv = net[0].to(lib.float64, memory_format=lib.channels_last)
        conv(lib.rand(1, 3, 8, 8, dtype=lib.float64)).sum().backward()
        found += [conv.weight.stride(), conv.weight.grad.stride(), str(conv.weight.dtype), conv.weight.requires_grad]
        conv.to(memory_format=lib.contiguous_format)
        outcomes.append([*found, conv.weight.stride(), conv.weight.grad.stride()])
    assert outcomes[0] == outcomes[1]
    net = flambeau.nn.Sequential(flambeau.nn.Conv2d(3, 8, 3), flambeau.nn.Conv3d(3, 8, 3))
    with pytest.raises(RuntimeError, match="required rank 4"):
        net.to(memory_format=flambeau.channels_last)
    assert net[0].weight.stride() == (27, 9, 3, 1)  # as it was


def test_a_network_with_its_channels_last() -> None:
    """The format goes through all of it, as people check who convert a model, lazily and in a step."""
    for lib, jit in ((torch, lambda f: f), (flambeau, lambda f: f), (flambeau, flambeau.jit)):
        nn = lib.nn
        net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Upsample(scale_factor=2), nn.Dropout2d(0.5), nn.GroupNorm(2, 8), nn.AvgPool2d(2))
        net.to(memory_format=lib.channels_last)
        assert net[0].weight.stride() == (27, 1, 9, 3)
        x = lib.rand(2, 3, 8, 8).to(memory_format=lib.channels_last)
        step = jit(lambda x, net=net: net(x))
        y = step(x)
        assert y.is_contiguous(memory_format=lib.channels_last) and not y.is_contiguous() and y.stride() == (128, 1, 32, 8)
        with pytest.raises(RuntimeError, match="view size is not compatible"):
            y.view(2, -1)
        assert y.flatten(1).shape == (2, 128)
