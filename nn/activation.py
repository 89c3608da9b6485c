"""Activation layers: https://pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity"""

from __future__ import annotations

from typing import Any

from ..tracer.autograd.modes import no_grad
from ..tracer.functions.creation import full
from ..tracer.functions.unary import sigmoid, tanh
from ..tracer.ir.told import tell
from ..tracer.tensor.tensor import Tensor
from . import functional as F
from .activation_base import Activation
from .module import Module
from .parameter import Parameter


class ReLU(Activation, options={"inplace": False}):
    """The rectified linear unit: what is positive stays, the rest is zero.

    y = max(0, x)

    Args: `inplace`, whether the input is overwritten.
    Takes and returns any shape (*). The gradient is 1 above zero and 0 elsewhere, at zero too; NaN stays NaN. A unit
    that is negative for all inputs learns no more: `LeakyReLU` and `GELU` avoid that.

    >>> import flambeau as torch
    >>> torch.nn.ReLU()(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])

    Source: Nair, Hinton: "Rectified linear units improve restricted Boltzmann machines", ICML 2010;
    https://pytorch.org/docs/stable/generated/torch.nn.ReLU.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, inplace=self.inplace)


class Hardtanh(Activation, options={"min_val": -1.0, "max_val": 1.0, "inplace": False}):
    """The identity between two bounds, constant beyond them: a piecewise linear stand-in for tanh.

    y = min(max(x, min_val), max_val)

    Args: `min_val` and `max_val`, the bounds; `inplace`, whether the input is overwritten; `min_value` and `max_value`,
    their old names.
    Takes and returns any shape (*). The gradient is 1 between the bounds, else 0.

    >>> import flambeau as torch
    >>> torch.nn.Hardtanh()(torch.tensor([-3.0, 0.5, 2.0]))
    tensor([-1.0000,  0.5000,  1.0000])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, min_value: float | None = None,
                 max_value: float | None = None) -> None:
        super().__init__()
        for old, new, given in (("min_value", "min_val", min_value), ("max_value", "max_val", max_value)):
            if given is not None:
                tell(f"keyword argument `{old}` is deprecated and renamed to `{new}`", FutureWarning)
        self.min_val, self.max_val = min_val if min_value is None else min_value, max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val ({max_val}) must be greater than min_val ({min_val})")

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class ReLU6(Hardtanh):
    """The rectified linear unit with a ceiling of 6, which suits arithmetic of few bits.

    y = min(max(0, x), 6)

    Args: `inplace`, whether the input is overwritten.
    Takes and returns any shape (*). The gradient is 1 between 0 and 6, else 0.

    >>> import flambeau as torch
    >>> torch.nn.ReLU6()(torch.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.ReLU6.html
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Activation, options={"negative_slope": 0.01, "inplace": False}):
    """A rectifier that lets a small part of negative inputs through, so that no unit is without gradient.

    y = x for x > 0, negative_slope * x else

    Args: `negative_slope`, the slope below zero; `inplace`, whether the input is overwritten.
    Takes and returns any shape (*).

    >>> import flambeau as torch
    >>> torch.nn.LeakyReLU(0.1)(torch.tensor([-10.0, 0.0, 2.0]))
    tensor([-1.,  0.,  2.])

    Source: Maas, Hannun, Ng: "Rectifier nonlinearities improve neural network acoustic models", ICML 2013;
    https://pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class ELU(Activation, options={"alpha": 1.0, "inplace": False}):
    """The exponential linear unit: linear above zero, saturating smoothly to -alpha below, so that means are nearer to
    zero.

    y = x for x > 0, alpha * (exp(x) - 1) else

    Args: `alpha`, the limit below; `inplace`, whether the input is overwritten.
    Takes and returns any shape (*).

    >>> import flambeau as torch
    >>> torch.nn.ELU(alpha=2.0)(torch.tensor([-100.0, 0.0, 3.0]))
    tensor([-2.,  0.,  3.])

    Source: Clevert, Unterthiner, Hochreiter: "Fast and accurate deep network learning by exponential linear units",
    https://arxiv.org/abs/1511.07289; https://pytorch.org/docs/stable/generated/torch.nn.ELU.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)


class CELU(Activation, options={"alpha": 1.0, "inplace": False}):
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)


class SELU(Activation, options={"inplace": False}):
    """The scaled exponential linear unit: its constants drive the activations of deep networks to mean 0 and variance
    1.

    y = scale * (x for x > 0, alpha * (exp(x) - 1) else), with scale = 1.0507... and alpha = 1.6733...

    Args: `inplace`, whether the input is overwritten.
    Takes and returns any shape (*). Initialise weights with variance 1 / fan in, and drop out by `AlphaDropout`.

    >>> import flambeau as torch
    >>> torch.nn.SELU()(torch.tensor([-100.0, 0.0, 1.0]))
    tensor([-1.7581,  0.0000,  1.0507])

    Source: Klambauer et al.: "Self-normalizing neural networks", https://arxiv.org/abs/1706.02515;
    https://pytorch.org/docs/stable/generated/torch.nn.SELU.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class GELU(Activation, options={"approximate": "none"}):
    """The Gaussian error linear unit: each input times the probability that a standard normal variable is below it.

    y = x * P(X <= x) = x * (1 + erf(x / sqrt(2))) / 2; with "tanh", x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x **
    3))) / 2

    Args: `approximate`, "none" for the exact formula, "tanh" for the cheaper one.
    Takes and returns any shape (*). Raises RuntimeError for another word.

    >>> import flambeau as torch
    >>> torch.nn.GELU()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])

    Source: Hendrycks, Gimpel: "Gaussian error linear units", https://arxiv.org/abs/1606.08415;
    https://pytorch.org/docs/stable/generated/torch.nn.GELU.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)


class SiLU(Activation, options={"inplace": False}):
    """The sigmoid linear unit, also called swish: each input times its own sigmoid, a smooth relative of ReLU.

    y = x * sigmoid(x) = x / (1 + exp(-x))

    Args: `inplace`, whether the input is overwritten.
    Takes and returns any shape (*).

    >>> import flambeau as torch
    >>> torch.nn.SiLU()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.2689,  0.0000,  0.7311])

    Source: Elfwing, Uchibe, Doya: "Sigmoid-weighted linear units", https://arxiv.org/abs/1702.03118;
    https://pytorch.org/docs/stable/generated/torch.nn.SiLU.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, inplace=self.inplace)


class Mish(Activation, options={"inplace": False}):
    """A smooth unit that is not monotonic: each input times tanh of its softplus.

    y = x * tanh(softplus(x)), with softplus(x) = log(1 + exp(x))

    Args: `inplace`, whether the input is overwritten.
    Takes and returns any shape (*). It is bounded below, by -0.3088 near x = -1.19, and close to the identity above.

    >>> import flambeau as torch
    >>> torch.nn.Mish()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.3034,  0.0000,  0.8651])

    Source: Misra: "Mish: a self regularized non-monotonic activation function", https://arxiv.org/abs/1908.08681;
    https://pytorch.org/docs/stable/generated/torch.nn.Mish.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, inplace=self.inplace)


class Softplus(Activation, options={"beta": 1.0, "threshold": 20.0}):
    """A smooth form of ReLU whose results are always positive, as variances and rates must be.

    y = log(1 + exp(beta * x)) / beta, and y = x where beta * x > threshold

    Args: `beta`, how sharp the bend is; `threshold`, beyond which the function is taken for linear, against overflow.
    Takes and returns any shape (*).

    >>> import flambeau as torch
    >>> torch.nn.Softplus()(torch.tensor([-1.0, 0.0, 30.0]))
    tensor([ 0.3133,  0.6931, 30.0000])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Softplus.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)


class Hardsigmoid(Activation, options={"inplace": False}):
    """A piecewise linear stand-in for the sigmoid, without an exponential.

    y = min(max(0, x + 3), 6) / 6

    Args: `inplace`, whether the input is overwritten.
    Takes and returns any shape (*). The gradient is 1 / 6 between -3 and 3, else 0.

    >>> import flambeau as torch
    >>> torch.nn.Hardsigmoid()(torch.tensor([-3.0, 0.0, 3.0]))
    tensor([0.0000, 0.5000, 1.0000])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Hardswish(Activation, options={"inplace": False}):
    """A piecewise quadratic stand-in for SiLU, without an exponential.

    y = x * min(max(0, x + 3), 6) / 6

    Args: `inplace`, whether the input is overwritten.
    Takes and returns any shape (*). It is 0 below -3 and the identity above 3.

    >>> import flambeau as torch
    >>> torch.nn.Hardswish()(torch.tensor([-3.0, 0.0, 3.0]))
    tensor([-0., 0., 3.])

    Source: Howard et al.: "Searching for MobileNetV3", https://arxiv.org/abs/1905.02244;
    https://pytorch.org/docs/stable/generated/torch.nn.Hardswish.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Hardshrink(Activation, options={"lambd": 0.5}):
    """x where |x| > lambd, else 0."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Activation, options={"lambd": 0.5}):
    """x moved toward 0 by lambd."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class GLU(Activation, options={"dim": -1}):
    """The gated linear unit: one half of the input, let through as far as the other half allows.

    y = a * sigmoid(b), where a and b are the halves of x along `dim`

    Args: `dim`, the dimension that is halved.
    Takes (*, 2 * n, *) and returns (*, n, *). Raises RuntimeError if the size of `dim` is odd.

    >>> import flambeau as torch
    >>> torch.nn.GLU()(torch.tensor([[1.0, 2.0, 0.0, 0.0]]))
    tensor([[0.5000, 1.0000]])

    Source: Dauphin et al.: "Language modeling with gated convolutional networks", https://arxiv.org/abs/1612.08083;
    https://pytorch.org/docs/stable/generated/torch.nn.GLU.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)


class Tanh(Activation, options={}):
    """The hyperbolic tangent: an odd function that saturates at -1 and 1.

    y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))

    Takes and returns any shape (*). The gradient is 1 - y ** 2: it is largest at 0 and vanishes for large inputs, which
    is why weights before it are best initialised by `init.xavier_uniform_`.

    >>> import flambeau as torch
    >>> torch.nn.Tanh()(torch.tensor([-100.0, 0.0, 1.0]))
    tensor([-1.0000,  0.0000,  0.7616])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Tanh.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return tanh(input)


class Sigmoid(Activation, options={}):
    """The logistic function: any number to one between 0 and 1, as a probability.

    y = 1 / (1 + exp(-x))

    Takes and returns any shape (*). The gradient is y * (1 - y): at most 1 / 4, and vanishing for large inputs. For a
    loss take `BCEWithLogitsLoss` on the scores themselves.

    >>> import flambeau as torch
    >>> torch.nn.Sigmoid()(torch.tensor([-4.0, 0.0, 1.0]))
    tensor([0.0180, 0.5000, 0.7311])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return sigmoid(input)


class LogSigmoid(Activation, options={}):
    """The logarithm of the sigmoid, computed without taking the logarithm of a number that has become zero.

    y = log(1 / (1 + exp(-x))) = -softplus(-x)

    Takes and returns any shape (*). It is the log probability of a yes with log odds x; that of a no is the same of -x.

    >>> import flambeau as torch
    >>> torch.nn.LogSigmoid()(torch.tensor([-1000.0, 0.0]))
    tensor([-1.0000e+03, -6.9315e-01])

    Source: https://pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Tanhshrink(Activation, options={}):
    """x - tanh(x)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Softsign(Activation, options={}):
    """x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


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


class PReLU(Module):
    """A leaky rectifier whose slope below zero is learnt, one for all channels or one for each.

    y = x for x > 0, weight * x else

    Args: `num_parameters`, 1 or the number of channels; `init`, the initial slope; `device` and `dtype`, of the
    parameter.
    Attributes: `weight` (num_parameters,), filled with `init`. Do not let weight decay pull it to zero.
    Takes and returns (N, C, *), or any shape with one slope. Raises RuntimeError if channels and slopes differ in
    number.

    >>> import flambeau as torch
    >>> torch.nn.PReLU()(torch.tensor([-4.0, 0.0, 2.0])).detach()
    tensor([-1.,  0.,  2.])

    Source: He et al.: "Delving deep into rectifiers", https://arxiv.org/abs/1502.01852;
    https://pytorch.org/docs/stable/generated/torch.nn.PReLU.html
    """

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
