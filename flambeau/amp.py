"""Mixed precision: https://pytorch.org/docs/stable/amp.html"""

from .optim.grad_scaler import GradScaler
from .tracer.functions.autocast import autocast, is_autocast_available

__all__ = ["GradScaler", "autocast", "is_autocast_available"]
