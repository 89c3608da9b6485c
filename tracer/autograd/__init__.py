"""torch.autograd: backward, grad modes, hooks, gradients of one's own, checkpoints, checks.

https://pytorch.org/docs/stable/autograd.html
"""

from . import function, functional
from .anomaly import detect_anomaly, set_detect_anomaly
from .backward import backward, grad
from .function import Function
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["Function", "GradcheckError", "backward", "detect_anomaly", "enable_grad", "function", "functional", "grad",
           "gradcheck", "gradgradcheck", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled"]
