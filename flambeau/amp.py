"""Mixed precision: https://pytorch.org/docs/stable/amp.html"""

from .optim.grad_scaler import GradScaler
from .tracer.autograd.casting import custom_bwd, custom_fwd
from .tracer.functions.autocast import autocast, is_autocast_available

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
