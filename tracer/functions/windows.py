"""Windows, by which pieces of a signal are weighted: https://pytorch.org/docs/stable/signal.html

Their points are computed in double precision and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ..ir import dtypes
from ..ir.dtypes import dtype
from ..ops.structural import iota
from ..tensor.tensor import Tensor
from .defaults import Defaults, device_name
from .dims import whole_number
from .operands import wrap
from .refusals import not_implemented
from .special import i0
from .unary import abs as absolute
from .unary import cos, exp, sin, sqrt

Weights = Callable[[Tensor], Tensor]


def _made(weights: Weights, count: int, kind: dtype, device: Any, requires_grad: bool) -> Tensor:
    """weights(n) for n = 0, 1, ...; a window of one point is 1."""
    count = int(count)  # which also stands for a bool and for 0.0, as in torch
    n = wrap(iota.on(device_name(device), shape=(count,), axis=0, dtype=dtypes.float64))
    made = (weights(n) if count > 1 else n * 0 + 1).to(kind)
    return made.requires_grad_() if requires_grad else made


def _waves(n: Tensor, last: float, a: Iterable[float]) -> Tensor:
    """The sum of (-1)**k a[k] cos(2 pi k n / last)."""
    total = n * 0
    for k, weight in enumerate(a):
        total = total + (-1)**k * weight * cos(n * (2 * math.pi * k / last))
    return total


def _kaiser(n: Tensor, last: float, beta: float) -> Tensor:
    place = n * (2 / last) - 1
    return i0(beta * sqrt((1 - place) * (1 + place))) / i0(place * 0 + beta)


# --- torch.hann_window and its kind -----------------------------------------------------------------------------------


def _checked(name: str, window_length: int, layout: Any, kind: dtype | None) -> dtype:
    window_length = whole_number(window_length, "window_length", name, 1)
    kind = kind or Defaults.dtype
    if layout is not None and str(layout) != "torch.strided":
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {layout}")
    if not kind.is_inexact:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {kind}")
    if window_length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={window_length}")
    if kind.is_complex:
        raise not_implemented("arange_cpu", kind)
    return kind


def hann_window(window_length: int, periodic: bool = True, *, dtype: dtype | None = None, layout: Any = None,
                device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """The window of Hann, 1/2 - cos(2 pi n / N) / 2, where N is the length, or one less if it is not periodic.

    Args: `window_length`, how many points; `periodic`, whether the point after the last would be the first; `dtype`, by
    default the default one; `device`, where it lives; `requires_grad`, whether gradients reach it.
    Returns a vector. Raises RuntimeError for a negative length, and for a dtype that is not a floating one.

    >>> import flambeau as torch
    >>> torch.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])

    Source: https://pytorch.org/docs/stable/generated/torch.hann_window.html
    """
    kind = _checked("hann_window", window_length, layout, dtype)
    last = window_length - int(not periodic)
    return _made(lambda n: _waves(n, last, (0.5, 0.5)), window_length, kind, device, requires_grad)


def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *,
                   dtype: dtype | None = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
                   requires_grad: bool = False) -> Tensor:
    """The window of Hamming, alpha - beta cos(2 pi n / N), where N is the length, or one less if it is not periodic.

    Args: `window_length`, how many points; `periodic`, whether the point after the last would be the first; `alpha` and
    `beta`, the weights; `dtype`, by default the default one; `device`, where it lives; `requires_grad`, whether gradients
    reach it.
    Returns a vector. Raises RuntimeError for a negative length, and for a dtype that is not a floating one.

    >>> import flambeau as torch
    >>> torch.hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])

    Source: https://pytorch.org/docs/stable/generated/torch.hamming_window.html
    """
    kind = _checked("hamming_window", window_length, layout, dtype)
    last = window_length - int(not periodic)
    return _made(lambda n: _waves(n, last, (alpha, beta)), window_length, kind, device, requires_grad)


def blackman_window(window_length: int, periodic: bool = True, *, dtype: dtype | None = None, layout: Any = None,
                    device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """The window of Blackman, 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N), N the length, or one less.

    Args: `window_length`, how many points; `periodic`, whether the point after the last would be the first (else N is one
    less); `dtype`, by default the default one; `device`, where it lives; `requires_grad`, whether gradients reach it.
    Returns a vector. Raises RuntimeError for a negative length, and for a dtype that is not a floating one.

    >>> import flambeau as torch
    >>> torch.blackman_window(4)[1:]
    tensor([0.3400, 1.0000, 0.3400])

    Source: https://pytorch.org/docs/stable/generated/torch.blackman_window.html
    """
    kind = _checked("blackman_window", window_length, layout, dtype)
    last = window_length - int(not periodic)
    return _made(lambda n: _waves(n, last, (0.42, 0.5, 0.08)), window_length, kind, device, requires_grad)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: dtype | None = None, layout: Any = None,
                    device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """The window of Bartlett, a triangle: 1 - |2 n / N - 1|, where N is the length, or one less if it is not periodic.

    Args: `window_length`, how many points; `periodic`, whether the point after the last would be the first; `dtype`, by
    default the default one; `device`, where it lives; `requires_grad`, whether gradients reach it.
    Returns a vector. Raises RuntimeError for a negative length, and for a dtype that is not a floating one.

    >>> import flambeau as torch
    >>> torch.bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])

    Source: https://pytorch.org/docs/stable/generated/torch.bartlett_window.html
    """
    kind = _checked("bartlett_window", window_length, layout, dtype)
    last = window_length - int(not periodic)
    return _made(lambda n: 1 - absolute(n * (2 / last) - 1), window_length, kind, device, requires_grad)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: dtype | None = None,
                  layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:
    """The window of Kaiser, I0(beta sqrt(1 - (2 n / N - 1)**2)) / I0(beta), N the length, or one less.

    Args: `window_length`, how many points; `periodic`, whether the point after the last would be the first (else N is one
    less); `beta`, how narrow it is; `dtype`, by default the default one; `device`, where it lives; `requires_grad`,
    whether gradients reach it.
    Returns a vector. Raises RuntimeError for a negative length, and for a dtype that is not a floating one.

    >>> import flambeau as torch
    >>> torch.kaiser_window(4, True, 2.0)
    tensor([0.4387, 0.8348, 1.0000, 0.8348])

    Source: https://pytorch.org/docs/stable/generated/torch.kaiser_window.html
    """
    kind = _checked("kaiser_window", window_length, layout, dtype)
    last = window_length - int(not periodic)
    return _made(lambda n: _kaiser(n, last, beta), window_length, kind, device, requires_grad)


# --- torch.signal.windows ---------------------------------------------------------------------------------------------


def _checked_signal(name: str, count: int, layout: Any, kind: dtype | None) -> dtype:
    if isinstance(count, float) and count:
        raise TypeError(f"{name}(): argument 'M' must be int, not float")
    kind = kind or Defaults.dtype
    if count < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={count}")
    if layout is not None and str(layout) != "torch.strided":
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if kind not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {kind}")
    return kind


def general_cosine(M: int, *, a: Any, sym: bool = True, dtype: dtype | None = None, layout: Any = None, device: Any = None,
                   requires_grad: bool = False) -> Tensor:
    """A sum of cosines, of (-1)**k a[k] cos(2 pi k n / N), where N is M, or M - 1 if the window is symmetric.

    Args: `M`, how many points; `a`, the weights; `sym`, whether the last point is as the first (else the one after it is);
    `dtype`, float32 or float64; `device`, where it lives; `requires_grad`, whether gradients reach it.
    Returns a vector. Raises ValueError for a negative length, another dtype, or no weights; TypeError for weights in no list.

    >>> import flambeau as torch
    >>> torch.signal.windows.general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.general_cosine.html
    """
    kind = _checked_signal("general_cosine", M, layout, dtype)
    if M == 0:
        return _made(lambda n: n, 0, kind, device, requires_grad)
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    a = tuple(a)
    if not a:
        raise ValueError("Coefficients cannot be empty")
    if any(isinstance(x, complex) for x in a):
        raise TypeError("must be real number, not complex")
    return _made(lambda n: _waves(n, M - int(sym), a), M, kind, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, dtype: dtype | None = None, layout: Any = None,
                    device: Any = None, requires_grad: bool = False) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / N), where N is M, or M - 1 if the window is symmetric; else as `general_cosine`.

    >>> import flambeau as torch
    >>> torch.signal.windows.general_hamming(3, alpha=0.6)
    tensor([0.2000, 1.0000, 0.2000])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.general_hamming.html
    """
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, dtype=dtype, layout=layout, device=device,
                          requires_grad=requires_grad)


def hamming(M: int, *, sym: bool = True, dtype: dtype | None = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:
    """The window of Hamming, 0.54 - 0.46 cos(2 pi n / N), N being M, or M - 1 if it is symmetric; else as `general_cosine`.

    >>> import flambeau as torch
    >>> torch.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.hamming.html
    """
    return general_hamming(M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def hann(M: int, *, sym: bool = True, dtype: dtype | None = None, layout: Any = None, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """The window of Hann, 1/2 - cos(2 pi n / N) / 2, N being M, or M - 1 if it is symmetric; else as `general_cosine`.

    >>> import flambeau as torch
    >>> torch.signal.windows.hann(3)
    tensor([0., 1., 0.])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.hann.html
    """
    return general_hamming(M, alpha=0.5, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def blackman(M: int, *, sym: bool = True, dtype: dtype | None = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """The window of Blackman, three cosines of the weights 0.42, 0.5 and 0.08; else as `general_cosine`.

    >>> import flambeau as torch
    >>> torch.signal.windows.blackman(5)[1:4]
    tensor([0.3400, 1.0000, 0.3400])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.blackman.html
    """
    kind = _checked_signal("blackman", M, layout, dtype)
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, dtype=kind, device=device, requires_grad=requires_grad)


def nuttall(M: int, *, sym: bool = True, dtype: dtype | None = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:
    """The window of Nuttall with a continuous first derivative, four cosines; else as `general_cosine`.

    >>> import flambeau as torch
    >>> torch.signal.windows.nuttall(3)
    tensor([3.6280e-04, 1.0000e+00, 3.6280e-04])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.nuttall.html
    """
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, dtype=dtype, layout=layout, device=device,
                          requires_grad=requires_grad)


def bartlett(M: int, *, sym: bool = True, dtype: dtype | None = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:
    """The window of Bartlett, 1 - |2 n / N - 1|, N being M, or M - 1 if it is symmetric; else as `general_cosine`.

    >>> import flambeau as torch
    >>> torch.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.bartlett.html
    """
    kind = _checked_signal("bartlett", M, layout, dtype)
    return _made(lambda n: 1 - absolute(n * (2 / (M - int(sym))) - 1), M, kind, device, requires_grad)


def cosine(M: int, *, sym: bool = True, dtype: dtype | None = None, layout: Any = None, device: Any = None,
           requires_grad: bool = False) -> Tensor:
    """sin(pi (n + 1/2) / N), where N is M if the window is symmetric, else M + 1; else as `general_cosine`.

    >>> import flambeau as torch
    >>> torch.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.cosine.html
    """
    kind = _checked_signal("cosine", M, layout, dtype)
    return _made(lambda n: sin((n + 0.5) * (math.pi / (M + (not sym)))), M, kind, device, requires_grad)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: dtype | None = None,
                layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """exp(-|n - center| / tau), with its centre in the middle unless one is given; else as `general_cosine`.

    Raises ValueError for a tau that is not positive, and for a centre of a symmetric window.

    >>> import flambeau as torch
    >>> torch.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.exponential.html
    """
    kind = _checked_signal("exponential", M, layout, dtype)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = (M - int(sym)) / 2 if center is None else center
    return _made(lambda n: exp(absolute(n - middle) / -tau), M, kind, device, requires_grad)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype: dtype | None = None, layout: Any = None,
             device: Any = None, requires_grad: bool = False) -> Tensor:
    """exp(-((n - middle) / std)**2 / 2); else as `general_cosine`. Raises ValueError for an std that is not positive.

    >>> import flambeau as torch
    >>> torch.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.gaussian.html
    """
    kind = _checked_signal("gaussian", M, layout, dtype)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    middle = (M - int(sym)) / 2
    return _made(lambda n: exp(((n - middle) / std)**2 / -2), M, kind, device, requires_grad)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype: dtype | None = None, layout: Any = None,
           device: Any = None, requires_grad: bool = False) -> Tensor:
    """The window of Kaiser, I0(beta sqrt(1 - (2 n / N - 1)**2)) / I0(beta); else as `general_cosine`.

    Raises ValueError for a negative beta.

    >>> import flambeau as torch
    >>> torch.signal.windows.kaiser(3, beta=2.0)
    tensor([0.4387, 1.0000, 0.4387])

    Source: https://pytorch.org/docs/stable/generated/torch.signal.windows.kaiser.html
    """
    kind = _checked_signal("kaiser", M, layout, dtype)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _made(lambda n: _kaiser(n, M - int(sym), beta), M, kind, device, requires_grad)
