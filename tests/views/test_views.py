"""Every view function against PyTorch: value, strides, offset, gradient, and writes that go both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau

from .programs import overlaps

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_engine")

MATRIX, CUBE, COMPLEX = ((3, 4), "float64"), ((2, 3, 4), "float64"), ((2, 3), "complex128")
VIEWS: dict[str, tuple[tuple[Any, str], Any]] = {
    "view": (MATRIX, lambda torch, x: x.view(2, -1)),
    "view of one size": (MATRIX, lambda torch, x: x.view(12)),
    "view_as": (MATRIX, lambda torch, x: x.view_as(torch.zeros(6, 2))),
    "reshape": (CUBE, lambda torch, x: x.reshape(6, 4)),
    "reshape of a transpose": (CUBE, lambda torch, x: x.transpose(0, 1).reshape(3, 2, 2, 2)),
    "reshape_as": (MATRIX, lambda torch, x: x.reshape_as(torch.zeros(2, 6))),
    "flatten": (CUBE, lambda torch, x: x.flatten(1)),
    "flatten a 0-d tensor": (((), "float64"), lambda torch, x: x.flatten()),
    "ravel": (CUBE, lambda torch, x: x.ravel()),
    "unflatten": (MATRIX, lambda torch, x: x.unflatten(1, (2, -1))),
    "expand": (MATRIX, lambda torch, x: x[:, :1].expand(-1, 3)),
    "expand with new dimensions": (MATRIX, lambda torch, x: x.expand(2, 3, 4)),
    "expand_as": (((4,), "float64"), lambda torch, x: x.expand_as(torch.zeros(2, 4))),
    "broadcast_to": (((4,), "float64"), lambda torch, x: torch.broadcast_to(x, (2, 4))),
    "transpose": (CUBE, lambda torch, x: x.transpose(0, 2)),
    "swapaxes": (CUBE, lambda torch, x: torch.swapaxes(x, 1, 2)),
    "swapdims": (CUBE, lambda torch, x: x.swapdims(0, 1)),
    "permute": (CUBE, lambda torch, x: x.permute(2, 0, 1)),
    "t": (MATRIX, lambda torch, x: x.t()),
    "t of a vector": (((4,), "float64"), lambda torch, x: x.t()),
    "T": (MATRIX, lambda torch, x: x.T),
    "mT": (CUBE, lambda torch, x: x.mT),
    "H": (COMPLEX, lambda torch, x: x.H),
    "mH": (COMPLEX, lambda torch, x: x.mH),
    "adjoint": (COMPLEX, lambda torch, x: torch.adjoint(x)),
    "conj": (COMPLEX, lambda torch, x: x.conj()),
    "movedim": (CUBE, lambda torch, x: x.movedim((0, 1), (2, 0))),
    "moveaxis": (CUBE, lambda torch, x: torch.moveaxis(x, 0, -1)),
    "squeeze": (((1, 3, 1), "float64"), lambda torch, x: x.squeeze()),
    "squeeze one": (((1, 3, 1), "float64"), lambda torch, x: x.squeeze(-1)),
    "unsqueeze": (MATRIX, lambda torch, x: x.unsqueeze(-1)),
    "unsqueeze in front": (MATRIX, lambda torch, x: torch.unsqueeze(x, 0)),
    "narrow": (MATRIX, lambda torch, x: x.narrow(1, 1, 2)),
    "select": (CUBE, lambda torch, x: x.select(1, -1)),
    "an index": (CUBE, lambda torch, x: x[1, :, 2]),
    "slices": (CUBE, lambda torch, x: x[:, 1:, ::2]),
    "None and ...": (CUBE, lambda torch, x: x[None, ..., 1, None]),
    "split": (MATRIX, lambda torch, x: x.split(3, 1)[1]),
    "split into sizes": (MATRIX, lambda torch, x: x.split([1, 2])[1]),
    "split_with_sizes": (MATRIX, lambda torch, x: x.split_with_sizes([1, 3], 1)[1]),
    "tensor_split": (MATRIX, lambda torch, x: torch.tensor_split(x, 2)[0]),
    "tensor_split at indices": (MATRIX, lambda torch, x: x.tensor_split((1, 3), 1)[1]),
    "hsplit": (MATRIX, lambda torch, x: x.hsplit(2)[1]),
    "vsplit": (MATRIX, lambda torch, x: torch.vsplit(x, 3)[1]),
    "dsplit": (CUBE, lambda torch, x: x.dsplit([1, 3])[1]),
    "chunk": (MATRIX, lambda torch, x: x.chunk(2, 1)[1]),
    "unbind": (MATRIX, lambda torch, x: x.unbind(1)[2]),
    "iteration": (MATRIX, lambda torch, x: list(x)[1]),
    "diagonal": (MATRIX, lambda torch, x: x.diagonal(1)),
    "diagonal of a cube": (CUBE, lambda torch, x: torch.diagonal(x, -1, 2, 0)),
    "unfold": (MATRIX, lambda torch, x: x.unfold(1, 2, 2)),
    "as_strided": (MATRIX, lambda torch, x: x.as_strided((2, 2), (1, 5), 2)),
    "as_strided of a transpose": (MATRIX, lambda torch, x: x.t().as_strided((3,), (4,))),
    "real": (COMPLEX, lambda torch, x: x.real),
    "imag": (COMPLEX, lambda torch, x: torch.imag(x[:, 1:])),
    "real of a real tensor": (MATRIX, lambda torch, x: x.real),
    "view_as_real": (COMPLEX, lambda torch, x: torch.view_as_real(x.t())),
    "view_as_complex": (((3, 2), "float64"), lambda torch, x: torch.view_as_complex(x)),
    "detach": (MATRIX, lambda torch, x: x.detach()),
    "detach a view": (MATRIX, lambda torch, x: x[1].detach()),
    "data": (MATRIX, lambda torch, x: x.data),
    "positive": (MATRIX, lambda torch, x: +x),
    "contiguous": (MATRIX, lambda torch, x: x.contiguous()),
    "contiguous row": (MATRIX, lambda torch, x: x[1].contiguous()),
    "view as the same dtype": (MATRIX, lambda torch, x: x.view(x.dtype)),
    "view as integers": (MATRIX, lambda torch, x: x.view(torch.int64)),
    "view as narrower": (MATRIX, lambda torch, x: x.view(torch.int32)),
    "view as bytes": (((2, 3), "int16"), lambda torch, x: x.view(torch.uint8)),
    "view as wider": (((2, 4), "int32"), lambda torch, x: x.view(torch.int64)),
    "view a column as wider": (((4, 4), "float32"), lambda torch, x: x[:, 2:].view(torch.float64)),
    "view complex numbers as reals": (COMPLEX, lambda torch, x: x.view(torch.float64)),
    "view reals as complex numbers": (((2, 4), "float32"), lambda torch, x: x.view(torch.complex64)),
    "view a bool as a byte": (((4,), "bool"), lambda torch, x: x.view(torch.uint8)),
    "chains": (CUBE, lambda torch, x: x.permute(2, 0, 1)[1:].unsqueeze(1).select(-1, 2).diagonal()),
}


def start(torch: Any, spec: tuple[Any, str]) -> Any:
    """A tensor of the numbers 1, 2, ... in a shape and dtype."""
    shape, kind = spec
    x = torch.tensor(np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape)).to(getattr(torch, kind))
    return x * (1 + 0.5j) if kind.startswith("complex") else x


def number(torch: Any, x: Any) -> Any:
    """Where a tensor lies over its memory."""
    return (tuple(x.shape), str(x.dtype)[6:], tuple(s for n, s in zip(x.shape, x.stride()) if n > 1), x.storage_offset(),
            x.is_contiguous(), x.is_conj(), x._is_view())


@pytest.mark.parametrize("name", VIEWS)
def test_values_and_memory(name: str) -> None:
    spec, view = VIEWS[name]
    found = []
    for torch in (oracle, flambeau):
        base = start(torch, spec)
        shown = view(torch, base)
        facts = [number(torch, shown), shown.is_conj() or shown.is_set_to(view(torch, base)), shown.tolist()]
        base.copy_(base * 2 if spec[1] != "bool" else ~base)
        facts.append(shown.tolist())
        if not overlaps(shown):
            shown.copy_(shown[..., :1].clone() if shown.ndim else shown.clone())
        found.append([*facts, shown.tolist(), base.tolist()])
    assert found[1] == found[0]


@pytest.mark.parametrize("name", [n for n, ((_, kind), _view) in VIEWS.items() if kind in ("float64", "complex128")])
def test_gradients(name: str) -> None:
    spec, view = VIEWS[name]
    found = []
    for torch in (oracle, flambeau):
        leaf = start(torch, spec).requires_grad_()
        shown = view(torch, leaf * 1)
        if not shown.requires_grad:
            found.append(None)
            continue
        weights = torch.arange(1, 1 + shown.numel(), dtype=torch.float64).reshape(shown.shape)
        total = (shown * weights).sum()
        (gradient,) = torch.autograd.grad(total.real + 2 * total.imag if total.is_complex() else total, leaf)
        found.append(gradient.tolist())
    assert found[1] == found[0]


REFUSED = {
    "view of a transpose": lambda torch: torch.zeros(2, 3).t().view(6),
    "view of a wrong size": lambda torch: torch.zeros(2, 3).view(4),
    "expand to another size": lambda torch: torch.zeros(2, 3).expand(2, 4),
    "expand to fewer dimensions": lambda torch: torch.zeros(2, 3).expand(3),
    "permute too few": lambda torch: torch.zeros(2, 3).permute(0),
    "narrow beyond": lambda torch: torch.zeros(3).narrow(0, 2, 2),
    "select beyond": lambda torch: torch.zeros(3).select(0, 3),
    "split sizes": lambda torch: torch.zeros(3).split([1, 1]),
    "hsplit": lambda torch: torch.zeros(2, 3).hsplit(2),
    "dsplit": lambda torch: torch.zeros(2, 3).dsplit(1),
    "unfold": lambda torch: torch.zeros(3).unfold(0, 4, 1),
    "as_strided beyond": lambda torch: torch.zeros(3).as_strided((2, 2), (2, 1)),
    "diagonal": lambda torch: torch.zeros(2, 2).diagonal(0, 1, 1),
    "imag": lambda torch: torch.zeros(2).imag,
    "view_as_real": lambda torch: torch.view_as_real(torch.zeros(2)),
    "view_as_complex, odd": lambda torch: torch.view_as_complex(torch.zeros(3)),
    "view_as_complex, strided": lambda torch: torch.view_as_complex(torch.zeros(2, 2).t()),
    "wider, odd": lambda torch: torch.zeros(3).view(torch.float64),
    "wider, strided": lambda torch: torch.zeros(2, 4)[:, ::2].view(torch.float64),
    "wider, offset": lambda torch: torch.zeros(5)[1:].view(torch.float64),
    "narrower, 0-d": lambda torch: torch.zeros(()).view(torch.int16),
    "bits of a conjugate": lambda torch: torch.zeros(2, dtype=torch.complex64).conj().view(torch.float32),
    "adjoint of a vector": lambda torch: torch.zeros(2).adjoint(),
    "t of a cube": lambda torch: torch.zeros(2, 2, 2).t(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    messages = []
    for torch in (oracle, flambeau):
        with pytest.raises((RuntimeError, IndexError)) as caught:
            REFUSED[name](torch)
        messages.append((type(caught.value), str(caught.value)))
    assert messages[1][0] is messages[0][0]
    assert messages[1][1].split()[:3] == messages[0][1].split()[:3]


def test_bases() -> None:
    for torch in (oracle, flambeau):
        x = torch.zeros(2, 3)
        row = x[0]
        assert x._base is None and row._base is x and row[1:]._base is x
        assert (row._is_view(), x.detach()._is_view(), row.detach()._is_view()) == (True, False, False)
        assert x.is_set_to(x.view(2, 3)) and not x.is_set_to(row) and not x.is_set_to(x.clone())
        assert x.contiguous() is x and x.t().contiguous() is not x
