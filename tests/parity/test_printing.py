"""The text of tensors is torch's, character for character; pickling and DLPack give the tensor back."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flambeau.tracer.functions import arithmetic, creation, interop, printing, ranges  # noqa: E402
from flambeau.tracer.ir import dtypes  # noqa: E402
from flambeau.tracer.tensor.tensor import Tensor  # noqa: E402


class Ours:
    """Our functions under torch's names."""

    def __getattr__(self, name: str) -> Any:
        for module in (creation, ranges, arithmetic, printing, interop, dtypes):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)


OURS = Ours()
nan, inf = math.nan, math.inf


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    for library in (OURS, torch):
        library.set_printoptions(profile="default")


TENSORS = [
    "torch.tensor(3)", "torch.tensor(3.5)", "torch.tensor(-2.0)", "torch.tensor(True)", "torch.tensor(1 + 2j)",
    "torch.tensor(nan)", "torch.tensor([1, 2, 3])", "torch.tensor([1, -200, 3])", "torch.tensor([1.0, 2.0])",
    "torch.tensor([1.5, -2.25, 100.0])", "torch.tensor([0.0, -0.0])", "torch.tensor([nan, inf, -inf])",
    "torch.tensor([nan, 1.0])", "torch.tensor([inf, 1.5, -3.25])", "torch.tensor([1.0, 10000.0])",
    "torch.tensor([1e-5, 1.0])", "torch.tensor([1e9, 2e9])", "torch.tensor([1e8])", "torch.tensor([1e-4])",
    "torch.tensor([0.5, 501.0])", "torch.tensor([1e-40])", "torch.tensor([123456.789])",
    "torch.tensor([1e30, nan, 0.0])", "torch.tensor([True, False])", "torch.tensor([[True], [False]])",
    "torch.tensor([[1, 2], [3, 4]])", "torch.tensor([])", "torch.zeros(0, 3)", "torch.zeros(2, 0, dtype=torch.int64)",
    "torch.zeros(0, dtype=torch.int64)", "torch.zeros(1, 1, 1)", "torch.tensor([1, 2], dtype=torch.int32)",
    "torch.tensor([1.5], dtype=torch.float64)", "torch.tensor([1.5, 2], dtype=torch.float16)",
    "torch.tensor([1.5, 3e4], dtype=torch.bfloat16)", "torch.tensor([1, 2], dtype=torch.uint8)",
    "torch.tensor([1, 2], dtype=torch.int8)", "torch.tensor(0.1, dtype=torch.bfloat16)",
    "torch.tensor([1 + 2j, 3.5 - 4j])", "torch.tensor([1j, -1j], dtype=torch.complex128)",
    "torch.tensor([complex(nan, inf), 1e-6 + 1j])", "torch.tensor([[1.25 + 1j], [0j]])",
    "torch.zeros(0, dtype=torch.complex64)", "torch.arange(24).reshape(2, 3, 4)",
    "torch.arange(16.0).reshape(2, 2, 2, 2)", "torch.arange(60.0) / 7", "torch.arange(1000)", "torch.arange(1001)",
    "torch.arange(1001.0) / 3", "torch.arange(2000).reshape(2, 1000)", "torch.arange(5000).reshape(10, 500)",
    "torch.arange(1200).reshape(2, 2, 300)", "torch.arange(4000.0).reshape(10, 20, 20)",
    "torch.arange(1100).reshape(1100, 1)", "torch.arange(40).reshape(2, 20) * 10000", "torch.arange(2000) > 1000",
    "(torch.arange(1002.0) * 1j).reshape(3, 334)", "torch.tensor([1.0, 2.0], requires_grad=True)",
    "torch.tensor(1.0, requires_grad=True)", "torch.zeros(1, 0).requires_grad_()",
    "torch.tensor([1.0], requires_grad=True) + 1", "torch.tensor([1.0, 2.0], requires_grad=True) * 2",
    "-torch.ones(2, requires_grad=True)", "torch.ones(12, requires_grad=True) * 1.23456",
    "torch.ones(9, dtype=torch.float64, requires_grad=True) + 0.5", "torch.tensor([-1.0, 0.001])",
    "torch.tensor([[-1.5, 10.25], [100.125, 0.0]])", "torch.tensor([2**62, 1])", "torch.tensor([1e-3, 1.0])",
    "torch.tensor([9.99e-5, 1e-2])", "torch.ones(3, 4).t()", "torch.arange(6).reshape(2, 3)[:, 1]",
]


@pytest.mark.parametrize("text", TENSORS)
def test_text(text: str) -> None:
    names = {"nan": nan, "inf": inf}
    ours, theirs = (eval(text, {"torch": library, **names}) for library in (OURS, torch))
    assert repr(ours) == repr(theirs)
    assert str(ours) == str(theirs)


OPTIONS: list[dict[str, Any]] = [
    {"precision": 2}, {"precision": 8}, {"sci_mode": True}, {"sci_mode": False}, {"threshold": 5},
    {"threshold": 5, "edgeitems": 1}, {"threshold": 5, "edgeitems": 0},
    {"linewidth": 30}, {"linewidth": 200},
    {"profile": "short"}, {"profile": "full"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("text", [
    "torch.tensor([i / 3 for i in range(40)])", "torch.arange(24).reshape(2, 3, 4)", "torch.tensor([1e-6, 1.0, nan])",
    "torch.tensor([2.0, 4.0])", "torch.arange(10.0) * 1j", "torch.ones(8, dtype=torch.float64)"])
def test_options(text: str, options: dict[str, Any]) -> None:
    for library in (OURS, torch):
        library.set_printoptions(**options)
    ours, theirs = (repr(eval(text, {"torch": library, "nan": nan})) for library in (OURS, torch))
    assert ours == theirs


@pytest.mark.parametrize(("number", "spec"), [(1.23456, ".2f"), (1.5, ""), (7, "04d"), (3, ""), (True, ""),
                                              (2.5, ">8.1f"), (1e-7, ".1e")])
def test_format(number: Any, spec: str) -> None:
    assert format(OURS.tensor(number), spec) == format(torch.tensor(number), spec)


def test_format_of_more_elements() -> None:
    x, y = OURS.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0])
    assert f"{x}" == f"{y}"
    with pytest.raises(TypeError) as ours:
        format(x, ".2f")
    with pytest.raises(TypeError) as theirs:
        format(y, ".2f")
    assert str(ours.value) == str(theirs.value)


# --- Pickling and DLPack ----------------------------------------------------------------------------------------------

KINDS = [d.name for d in dtypes.ALL]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("protocol", [2, 5])
def test_pickle(name: str, protocol: int) -> None:
    kind = next(d for d in dtypes.ALL if d.name == name)
    x = creation.tensor([[0.0, 1.0], [3.0, 2.0]]).to(kind)
    y = pickle.loads(pickle.dumps(x, protocol))
    assert y.dtype is kind
    assert type(y) is Tensor
    assert not y.requires_grad
    assert (y.numpy() == x.numpy()).all()
    y[0] = 1
    assert (x.numpy()[0] == np.array([0, 1], kind.numpy)).all()


class Special(Tensor):
    """A subclass, as Parameter is one."""


def test_pickle_keeps_class_leaf_and_attributes() -> None:
    x = creation.tensor([1.0, 2.0]).requires_grad_()
    x.__class__ = Special
    x.note = "kept"
    for y in (pickle.loads(pickle.dumps(x)), pickle.loads(pickle.dumps([x, x]))[1], copy.copy(x)):
        assert type(y) is Special
        assert y.note == "kept"
        assert y.requires_grad
        assert y.is_leaf
        assert y.tolist() == [1.0, 2.0]
    a, b = pickle.loads(pickle.dumps([x, x]))
    assert a is b


def test_pickle_of_a_view_and_a_result() -> None:
    x = ranges.arange(6.0).reshape(2, 3).requires_grad_()
    assert pickle.loads(pickle.dumps(x[:, 1])).tolist() == [1.0, 4.0]
    assert pickle.loads(pickle.dumps(x * 2)).tolist() == [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]


@pytest.mark.parametrize("kind", ["float32", "int64", "bool", "complex64", "float16", "uint8"])
def test_dlpack(kind: str) -> None:
    x = creation.tensor([[0.0, 1.0], [1.0, 0.0]]).to(dtypes.boolean if kind == "bool" else getattr(dtypes, kind))
    assert x.__dlpack_device__() == (1, 0)
    theirs = torch.from_dlpack(x)
    assert repr(theirs.dtype) == repr(x.dtype)
    assert theirs.tolist() == x.tolist()
    back = interop.from_dlpack(theirs)
    assert back.dtype is x.dtype
    assert back.tolist() == x.tolist()
    theirs[0, 0] = True  # one memory, as between torch's own
    assert x[0, 0].item() == 1
    assert np.from_dlpack(x).tolist() == x.tolist()


def test_dlpack_shares_imported_memory() -> None:
    array = np.arange(3.0)
    x = interop.from_dlpack(array)
    array[1] = 7.0
    assert x.tolist() == [0.0, 7.0, 2.0]


def test_dlpack_refusals() -> None:
    with pytest.raises(BufferError, match=r"use tensor.detach\(\)"):
        creation.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="bfloat16"):
        creation.ones(2, dtype=dtypes.bfloat16).__dlpack__()
