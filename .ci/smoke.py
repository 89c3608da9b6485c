"""What an installed wheel must do: `python smoke.py SITE` fails unless flambeau comes from SITE and trains."""

import sys
from pathlib import Path

import flambeau as torch

site = Path(sys.argv[1]).resolve()
for name, module in list(sys.modules.items()):
    if name.split(".")[0] == "flambeau" and hasattr(module, "__file__"):  # else made in code
        assert Path(module.__file__).resolve().is_relative_to(site), f"{name} comes from {module.__file__}"
assert "jax" not in sys.modules
assert "jaxlib" not in sys.modules

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)


@torch.jit
def step(x, y):
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss


x = torch.randn(32, 3)
losses = [step(x, x.sum(dim=1, keepdim=True)).item() for _ in range(100)]
assert losses[-1] < 0.1 * losses[0], losses
assert step.stats.compiles == 1
print(f"flambeau {torch.__version__} from the wheel: loss {losses[0]:.3f} to {losses[-1]:.3f}")
