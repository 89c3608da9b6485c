"""Everything on a device that is not the first: as on a GPU, but on the second of two devices that XLA makes of the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {
    "default device": """
h = torch.jit(lambda: torch.ones(2) * 2)
torch.set_default_device("cpu:1")
assert h().device == device and torch.rand(2).device == device and h().tolist() == [2, 2]
torch.set_default_device("cpu")
assert str(h().device) == "cpu" and h.why()[1].changes == (("default device", "cpu:1", "cpu"),)
""",
    "a block and a decorator": """
made = lambda: [torch.ones(2), torch.tensor([1]), torch.Tensor(2), torch.rand(2), torch.nn.Linear(2, 2).weight]
def on(name): return all(str(x.device) == name for x in made())
with device as entered:
    assert entered is device and on("cpu:1") and torch.get_default_device() == device
    with torch.device("cpu"):
        with device:
            assert on("cpu:1")
        assert on("cpu")
    assert on("cpu:1")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(on("cpu")))
    thread.start()
    thread.join()
    assert seen == [True]
assert on("cpu")
try:
    with device:
        raise KeyError
except KeyError:
    assert on("cpu")
try:
    with torch.device("tpu:7"):
        pass
except Exception as error:
    assert "tpu" in str(error)
assert on("cpu")
decorated = device(on)
assert decorated.__name__ == "on" and decorated("cpu:1") and on("cpu")
f = torch.jit(lambda: torch.ones(2) * 2)
with device:
    assert f().device == device
assert str(f().device) == "cpu" and f.stats.compiles == 2
def inside():
    with device:
        return torch.ones(2)
f = torch.jit(inside)
assert f().device == f().device == device and on("cpu")
""",
    "arguments": """
f = torch.jit(lambda x, k: (x * k).sum() / (k + 1) + torch.tensor(k, device=x.device))
x = torch.ones(2, device="cpu:1")
assert f(x, 3.0).item() == 4.5 and f(x, 5.0).device == device and f.stats.compiles == 1
assert f(torch.ones(2), 3.0).item() == 4.5
assert f.why()[1].changes == (("args[0]", "f32[2] on cpu:1", "f32[2]"),)
assert x.to("cpu").tolist() == x.tolist() == [1, 1] and x.cpu().device != x.device
""",
    "training": """
def train(on, wrap, drop=0.0):
    torch.manual_seed(0)
    layers = torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(drop), torch.nn.Linear(4, 1)
    model = torch.nn.Sequential(*layers).to(on)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    def step(x):
        loss = model(x).pow(2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss
    step = wrap(step)
    x, losses = torch.arange(32.0).reshape(8, 4).to(on) / 32, []
    for _ in range(5):
        losses.append(step(x).item())
        schedule.step()
    assert all(str(p.device) == on for p in [*model.state_dict().values()])
    return losses
wanted = train("cpu", lambda f: f)
for wrap in (lambda f: f, torch.jit, lambda f: torch.jit(f, check_nan=True)):
    assert np.allclose(train("cpu:1", wrap), wanted, rtol=1e-4), (train("cpu:1", wrap), wanted)
    # Every device has random numbers of its own.
    assert np.allclose(train("cpu:1", wrap, 0.5), train("cpu:1", lambda f: f, 0.5), rtol=1e-4)
""",
    "backward outside": """
w = torch.tensor([1.0, 2.0], device="cpu:1", requires_grad=True)
forward = torch.jit(lambda x, k: (w * x * k).sin().sum())
forward(torch.ones(2, device="cpu:1"), 2.0).backward()
assert w.grad.device == device and np.allclose(w.grad.numpy(), 2 * np.cos([2.0, 4.0]))
""",
    "mixed": """
m = torch.nn.Linear(2, 2).to("cpu:1")
for call in (m, torch.jit(m)):
    try:
        call(torch.ones(3, 2))
    except RuntimeError as error:
        assert "Expected all tensors to be on the same device, but found at least two devices, cpu and cpu:1!" in str(error)
    else:
        raise AssertionError("two devices in one operation")
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_on_the_second_device(name: str) -> None:
    program = ("import threading\nimport numpy as np\nimport flambeau as torch\ndevice = torch.device('cpu:1')\n"
               f"{PROGRAMS[name]}\nprint('fine')")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2],
                         env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, timeout=300)
    assert run.stdout == "fine\n", run.stderr
