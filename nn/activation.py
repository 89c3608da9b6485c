"""Activation layers: https://pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.creation import full
from ..tracer.functions.unary import sigmoid, tanh
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .module import Module
from .parameter import Parameter


class _Activation(Module):
    """A function with options; `options` gives their names and defaults in torch's order."""

    function: ClassVar[Callable[..., Tensor]]
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        if len(args) > len(self.options):
            raise TypeError(f"{type(self).__name__} takes at most {len(self.options)} arguments, got {len(args)}")
        given = {**dict(zip(self.options, args)), **kwargs}
        for name in given:
            if name not in self.options:
                raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{name}'")
        for name, default in self.options.items():
            setattr(self, name, given.get(name, default))

    def forward(self, input: Tensor) -> Tensor:
        """The function of each element, or along a dimension."""
        return type(self).function(input, **{name: getattr(self, name) for name in self.options})

    def extra_repr(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in self.options if name != "inplace"]
        return ", ".join(shown + ["inplace=True"] * bool("inplace" in self.options and self.inplace))


class ReLU(_Activation):
    """max(x, 0)."""

    function = staticmethod(F.relu)
    options: ClassVar = {"inplace": False}


class ReLU6(_Activation):
    """min(max(x, 0), 6)."""

    function = staticmethod(F.relu6)
    options: ClassVar = {"inplace": False}


class Hardtanh(_Activation):
    """x clamped to [min_val, max_val]."""

    function = staticmethod(F.hardtanh)
    options: ClassVar = {"min_val": -1.0, "max_val": 1.0, "inplace": False}


class LeakyReLU(_Activation):
    """x for positive x, negative_slope * x else."""

    function = staticmethod(F.leaky_relu)
    options: ClassVar = {"negative_slope": 0.01, "inplace": False}


class ELU(_Activation):
    """x for positive x, alpha * (exp(x) - 1) else."""

    function = staticmethod(F.elu)
    options: ClassVar = {"alpha": 1.0, "inplace": False}


class CELU(_Activation):
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""

    function = staticmethod(F.celu)
    options: ClassVar = {"alpha": 1.0, "inplace": False}


class SELU(_Activation):
    """elu, scaled so that mean 0 and variance 1 are kept."""

    function = staticmethod(F.selu)
    options: ClassVar = {"inplace": False}


class GELU(_Activation):
    """x times the normal distribution function of x, or its `tanh` approximation."""

    function = staticmethod(F.gelu)
    options: ClassVar = {"approximate": "none"}


class SiLU(_Activation):
    """x * sigmoid(x)."""

    function = staticmethod(F.silu)
    options: ClassVar = {"inplace": False}


class Mish(_Activation):
    """x * tanh(softplus(x))."""

    function = staticmethod(F.mish)
    options: ClassVar = {"inplace": False}


class Softplus(_Activation):
    """log(1 + exp(beta * x)) / beta."""

    function = staticmethod(F.softplus)
    options: ClassVar = {"beta": 1.0, "threshold": 20.0}


class Hardsigmoid(_Activation):
    """relu6(x + 3) / 6."""

    function = staticmethod(F.hardsigmoid)
    options: ClassVar = {"inplace": False}

    def extra_repr(self) -> str:
        return ""


class Hardswish(_Activation):
    """x * relu6(x + 3) / 6."""

    function = staticmethod(F.hardswish)
    options: ClassVar = {"inplace": False}

    def extra_repr(self) -> str:
        return ""


class Hardshrink(_Activation):
    """x where |x| > lambd, else 0."""

    function = staticmethod(F.hardshrink)
    options: ClassVar = {"lambd": 0.5}

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(_Activation):
    """x moved toward 0 by lambd."""

    function = staticmethod(F.softshrink)
    options: ClassVar = {"lambd": 0.5}

    def extra_repr(self) -> str:
        return str(self.lambd)


class GLU(_Activation):
    """a * sigmoid(b) for the halves a, b of x along `dim`."""

    function = staticmethod(F.glu)
    options: ClassVar = {"dim": -1}


class Softmax(_Activation):
    """exp(x) / sum(exp(x)) along `dim`."""

    function = staticmethod(F.softmax)
    options: ClassVar = {"dim": None}


class Softmin(_Activation):
    """softmax(-x)."""

    function = staticmethod(F.softmin)
    options: ClassVar = {"dim": None}


class LogSoftmax(_Activation):
    """log(softmax(x)) along `dim`."""

    function = staticmethod(F.log_softmax)
    options: ClassVar = {"dim": None}


class Tanh(_Activation):
    """The hyperbolic tangent."""

    function = staticmethod(tanh)


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    function = staticmethod(sigmoid)


class LogSigmoid(_Activation):
    """log(sigmoid(x))."""

    function = staticmethod(F.logsigmoid)


class Tanhshrink(_Activation):
    """x - tanh(x)."""

    function = staticmethod(F.tanhshrink)


class Softsign(_Activation):
    """x / (1 + |x|)."""

    function = staticmethod(F.softsign)


class Threshold(Module):
    """x where x > threshold, else value."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The shape stays."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class RReLU(Module):
    """leaky_relu whose slope is random in [lower, upper] while training."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The shape stays."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class Softmax2d(Module):
    """softmax over the channels of (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """The shape stays."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)


class PReLU(Module):
    """x for positive x, weight * x else, with a weight that is learnt (for each channel)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), init, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The initial slope."""
        with no_grad():
            self.weight.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        """The shape stays."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
