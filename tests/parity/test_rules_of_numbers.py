"""What a Python or numpy number beside a tensor makes of dtypes, and which numbers are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..three_ways import check_alike

oracle = pytest.importorskip("torch")
LINES = """
torch.add(b, b, alpha=2) ; torch.add(b, b, alpha=True) ; torch.add(b, b, alpha=0) ; torch.add(b, b, alpha=2.5)
torch.add(b, i, alpha=True) ; torch.add(b, True, alpha=2) ; torch.add(b, 3, alpha=2) ; torch.add(i, i, alpha=2.5)
torch.sub(i, i, alpha=2.5) ; torch.add(i, i, alpha=True) ; torch.add(f, f, alpha=True) ; torch.add(f, i, alpha=True)
torch.add(i, 2.5, alpha=2) ; torch.add(i, 2.5, alpha=2.5) ; torch.add(i, 2, alpha=2.5) ; torch.add(e, b, alpha=2)
torch.add(e, e, alpha=300) ; torch.add(d, i, alpha=.1) ; torch.add(d, f, alpha=.1) ; torch.add(f, d, alpha=.1)
torch.add(f, f, alpha=1j) ; torch.add(f, i, alpha=.5) ; torch.add(f, torch.tensor(3, dtype=torch.float64), alpha=.1)
torch.rsub(i, i, alpha=2.5) ; torch.rsub(i, 2, alpha=2) ; torch.add(h, h, alpha=1e6) ; torch.add(h, i, alpha=.5)
i.add_(i, alpha=2.5) ; i.clone().add_(i, alpha=2) ; f.clone().add_(i, alpha=.5)
torch.addcmul(i, i, i, value=2.5) ; torch.addcmul(i, i, i, value=-2.5) ; torch.addcmul(i, e, e, value=2)
torch.addcmul(f, i, i, value=2.5) ; torch.addcmul(i, i, i, value=True) ; torch.addcmul(b, b, i, value=2)
torch.addmm(i.view(1, 3), i[:1].view(1, 1), i.view(1, 3), beta=.5)
torch.addmm(i.view(1, 3), i[:1].view(1, 1), i.view(1, 3), alpha=2.5)
b + 2**63 ; i + 2**63 ; f + 2**63 ; b * 2**63 ; u + 2**63 ; torch.tensor(True) + 2**63 ; b == 2**63
i * np.bool_(True) ; b * np.bool_(True) ; f * np.bool_(True) ; e + np.bool_(True) ; i == np.bool_(True) ; i * np.int32(2)
torch.where(b, i, np.bool_(True)) ; i.clone().fill_(np.bool_(True)) ; torch.full((2,), np.bool_(True))
torch.tensor(np.bool_(True))
u ** -0.5 ; u ** 0.5 ; i ** -0.5 ; u ** 300.5 ; u ** 300 ; u ** -1 ; e ** 300 ; h ** 1e6 ; f ** 1e39
u.clamp(min=-.5) ; u.clamp(min=300) ; u.clamp(min=300.) ; u.clamp(max=-1) ; u.clamp(min=-1) ; e.clamp(-.5, 2)
u.clip(max=1.5) ; h.clamp(max=1e6) ; f.clamp(max=1e39) ; torch.clamp_min(u, -.5) ; torch.clamp_max(u, -.5) ; u + 300 ; u + (-.5)
F.leaky_relu(f, -.5) ; F.leaky_relu(f.clone(), -.5, inplace=True) ; grad(F.leaky_relu(w * 1, -.5, inplace=True))
grad(F.leaky_relu(w * 1, -.5)) ; grad(F.leaky_relu(w * 1, 0., inplace=True)) ; grad(F.elu(w * 1, -.5, inplace=True))
grad(F.rrelu(w * 1, -.5, -.5, inplace=True)) ; grad(F.celu(w * 1, -.5, inplace=True)) ; grad(F.celu(w * 1, .5, inplace=True))
F.celu(f, 0.) ; F.celu(f, 0) ; torch.celu_(f, 0.) ; F.elu(f, 0.)
F.batch_norm(f.view(3, 1), None, None, training=True, eps=-1) ; F.batch_norm(f.view(3, 1), f[:1], f[2:], eps=-1)
F.batch_norm(f.view(3, 1), None, None, training=True, eps=0) ; F.batch_norm(f.view(3, 1), f[:1], f[2:], eps=0)
torch.nn.BatchNorm1d(1, eps=-1)(f.view(3, 1)) ; torch.nn.BatchNorm1d(1, eps=-1).eval()(f.view(3, 1))
torch.batch_norm(f.view(3, 1), None, None, None, None, True, .1, -1., False)
f.repeat(-1) ; f.repeat(2, -1) ; f.repeat(0) ; f.tile((-1,)) ; f.expand(-2, 3)
F.cross_entropy(f.view(1, 3), i[:1], label_smoothing=-.1) ; F.cross_entropy(f.view(1, 3), i[:1], label_smoothing=1.1)
F.cross_entropy(f.view(1, 3), f.view(1, 3).softmax(1), label_smoothing=-.1)
F.cross_entropy(f.view(1, 3), i[:1], label_smoothing=1.)
torch.nn.CrossEntropyLoss(label_smoothing=-.1)(f.view(1, 3), i[:1])
"""


@pytest.mark.parametrize("text", [part.strip() for line in LINES.strip().splitlines() for part in line.split(" ; ")])
def test_numbers_are_as_in_torch(text: str) -> None:
    def scenario(torch: Any, jit: Any) -> Any:
        i, f = torch.arange(1, 4), torch.tensor([1.0, -2.0, 3.0])
        w = f.clone().requires_grad_()
        names = {"torch": torch, "F": torch.nn.functional, "np": np, "i": i, "f": f, "w": w, "e": i.to(torch.int8),
                 "u": i.to(torch.uint8), "d": f.double(), "h": f.half(), "b": torch.tensor([True, False, True]),
                 "grad": lambda y: torch.autograd.grad(y.sum(), w)[0]}
        exec(f"def step(): return {text}", names)
        made: Any = jit(names["step"])()
        return made

    check_alike(scenario, oracle)
