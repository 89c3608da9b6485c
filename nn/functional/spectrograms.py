"""Short-time Fourier transforms: https://pytorch.org/docs/stable/generated/torch.stft.html"""

from __future__ import annotations

from typing import Any

from ...tracer.functions.arithmetic import div, mul
from ...tracer.functions.autocast import castable
from ...tracer.functions.checks import check_none
from ...tracer.functions.comparing import le
from ...tracer.functions.complex_numbers import view_as_real
from ...tracer.functions.creation import ones
from ...tracer.functions.fourier import fft, ifft, irfft, rfft
from ...tracer.functions.methods import method
from ...tracer.functions.operands import scalar_name
from ...tracer.functions.reduce import sum
from ...tracer.functions.shape import reshape, squeeze, transpose, unsqueeze
from ...tracer.functions.slicing import narrow
from ...tracer.functions.unary import abs
from ...tracer.ir.told import tell
from ...tracer.tensor.tensor import Tensor
from .padding import pad

_NO_WINDOW = ("A window was not provided. A rectangular window will be applied, which is known to cause spectral leakage. Take "
              "torch.hann_window, or say window=torch.ones(n_fft).")


def _shown(x: Any) -> Any:
    """An argument in torch's messages."""
    if isinstance(x, Tensor):
        return f"torch.{scalar_name(x.dtype)}Tensor{{{list(x.shape)}}}"
    return int(x) if isinstance(x, bool) else x


def _failure(name: str, first: str, arguments: dict[str, Any], told: str) -> RuntimeError:
    listed = ", ".join(f"{k}={_shown(v)}" for k, v in arguments.items())
    return RuntimeError(f"{name}({first}, {listed}) {told}")


def _whole_window(window: Tensor | None, like: Tensor, win_length: int, n_fft: int) -> Tensor | None:
    """The window in the middle of n_fft points; None if that is all ones."""
    if window is None:
        if win_length == n_fft:
            return None
        kind = like.dtype.real_form if like.dtype.is_complex else like.dtype
        window = ones(win_length, dtype=kind, device=like.device)
    left = (n_fft - win_length) // 2
    return pad(window, (left, n_fft - win_length - left)) if win_length < n_fft else window


# --- Forward ----------------------------------------------------------------------------------------------------------


def _centred(input: Tensor, n_fft: int, pad_mode: str) -> Tensor:
    half = n_fft // 2
    lead = (1,) * max(3 - input.ndim, 0)
    padded = pad(reshape(input, (*lead, *input.shape)), (half, half), pad_mode)
    return reshape(padded, padded.shape[len(lead):])


def _check_stft(input: Tensor, n_fft: int, hop: int, win: int, window: Tensor | None, arguments: dict[str, Any]) -> None:
    if not input.dtype.is_inexact:
        told = ": expected a tensor of floating point or complex values"
    elif not 1 <= input.ndim <= 2:
        told = ": expected a 1D or 2D tensor"
    elif not 0 < n_fft <= input.shape[-1]:
        told = f": expected 0 < n_fft < {input.shape[-1]}, but got n_fft={n_fft}"
    elif hop <= 0:
        told = f": expected hop_length > 0, but got hop_length={hop}"
    elif not 0 < win <= n_fft:
        told = f": expected 0 < win_length <= n_fft, but got win_length={win}"
    elif window is not None and tuple(window.shape) != (win,):
        told = (f": expected a 1D window tensor of size equal to win_length={win}, but got window with size "
                f"{list(window.shape)}")
    else:
        return
    raise _failure("stft", f"torch.{scalar_name(input.dtype)}Tensor{list(input.shape)}", arguments, told)


def _spectra(frames: Tensor, onesided: bool, normalized: bool) -> Tensor:
    norm = "ortho" if normalized else None
    if onesided:
        return rfft(frames, norm=norm)
    return fft(frames, norm=norm)


@method()
def stft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
         window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
         onesided: bool | None = None, return_complex: bool | None = None, align_to_window: bool | None = None) -> Tensor:
    """The Fourier transforms of overlapping pieces of a signal.

    y[k, m] = sum over j of window[j] input[m hop_length + j] exp(-2 pi i j k / n_fft)

    Args: `input` (T) or (B, T); `n_fft`, points of a piece; `hop_length`, from one piece to the next, by default
    n_fft // 4; `win_length`, of the window, by default n_fft, in whose middle it lies; `window` (win_length), by default
    ones; `center`, whether the pieces are centred at m hop_length, the input being extended by `pad_mode`; `normalized`,
    whether to divide by sqrt(n_fft); `onesided`, whether only frequencies that are not negative are given, by default for
    real data; `return_complex`, else real and imaginary parts lie along a last dimension; `align_to_window`, whether without
    `center` the pieces are counted by the window's length.
    Returns (B, frequencies, pieces). Raises RuntimeError for sizes that do not fit, and for real input where
    `return_complex` is not given.

    >>> import flambeau as torch
    >>> torch.stft(torch.ones(8), 4, window=torch.ones(4), return_complex=True).shape
    torch.Size([3, 9])

    Source: https://pytorch.org/docs/stable/generated/torch.stft.html
    """
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    if center:
        input = _centred(input, n_fft, pad_mode)
    hop, win = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
    given_complex = input.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if return_complex is None and not given_complex:
        raise RuntimeError("stft requires the return_complex parameter be given for real inputs, and will further require "
                           "that return_complex=True in a future PyTorch release.")
    if window is None:
        tell(_NO_WINDOW)
    if return_complex is False:
        tell("stft with return_complex=False is deprecated. Give real and imaginary parts by torch.view_as_real.")
    arguments = {"n_fft": n_fft, "hop_length": hop, "win_length": win, "window": window, "normalized": normalized,
                 "onesided": onesided, "return_complex": return_complex, "align_to_window": align_to_window}
    _check_stft(input, n_fft, hop, win, window, arguments)
    if onesided and given_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    whole = _whole_window(window, input, win, n_fft)
    if align_to_window:
        left = (n_fft - win) // 2
        input = pad(input, (left, n_fft - win - left))
    frames = input.unfold(-1, n_fft, hop)
    frames = frames if whole is None else mul(frames, whole)
    result = transpose(_spectra(frames, not given_complex if onesided is None else onesided, normalized), -1, -2)
    return result if return_complex is None or return_complex else view_as_real(result)


# --- Inverse ----------------------------------------------------------------------------------------------------------


def _overlapped(pieces: Tensor, hop: int) -> Tensor:
    """(B, pieces, n) added up at distances of `hop`, (B, n + hop (pieces - 1)).

    Cut into blocks of `hop`, block j of piece m belongs at m + j: rows of one length more than they keep are shifted by
    one each.
    """
    batch, count, n = pieces.shape
    blocks = -(-n // hop)
    rows = transpose(reshape(pad(pieces, (0, blocks * hop - n)), (batch, count, blocks, hop)), 1, 2)
    rows = reshape(pad(rows, (0, 0, 0, blocks)), (batch, blocks * (count + blocks), hop))
    rows = reshape(narrow(rows, 1, 0, blocks * (count + blocks - 1)), (batch, blocks, count + blocks - 1, hop))
    return narrow(reshape(sum(rows, 1), (batch, -1)), 1, 0, n + hop * (count - 1))


def _check_istft(input: Tensor, n_fft: int, hop: int, win: int, window: Tensor | None, onesided: bool,
                 arguments: dict[str, Any]) -> None:
    two_sided = input.ndim < 2 or input.shape[-2] == n_fft
    if not input.dtype.is_complex:
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with "
                           "return_complex=True.")
    if input.numel() == 0:
        told = ": input tensor cannot be empty."
    elif input.ndim not in (2, 3):
        told = f": expected a tensor with 3 or 4 dimensions, but got {input.ndim + 1}"
    elif onesided and input.shape[-2] != n_fft // 2 + 1:
        told = (": expected the frequency dimension (3rd to the last) of the input tensor to match n_fft / 2 + 1 when "
                f"onesided=True, but got {input.shape[-2]}")
    elif not onesided and not two_sided:
        told = (": expected the frequency dimension (3rd to the last) of the input tensor to match n_fft when "
                f"onesided=False, but got {input.shape[-2]}")
    elif not 0 < hop <= win:
        told = ": expected 0 < hop_length <= win_length"
    elif not 0 < win <= n_fft:
        told = ": expected 0 < win_length <= n_fft"
    elif window is not None and tuple(window.shape) != (win,):
        told = ": Invalid window shape. window has to be 1D and length of `win_length`"
    else:
        return
    raise _failure("istft", f"CPU{scalar_name(input.dtype)}Type{list(input.shape)}", arguments, told)


@method()
def istft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
          window: Tensor | None = None, center: bool = True, normalized: bool = False, onesided: bool | None = None,
          length: int | None = None, return_complex: bool = False) -> Tensor:
    """The signal of which `stft` gives the transforms: its pieces added up, divided by the sum of the squared windows.

    Args: `input` (B, frequencies, pieces), complex, or without B; `n_fft`, `hop_length`, `win_length`, `window`, `center`,
    `normalized` and `onesided` as `stft` had them; `length`, of the signal; `return_complex`, whether it is complex.
    Returns (B, T). Raises RuntimeError for sizes that do not fit, and where the windows leave a point of the signal out.

    >>> import flambeau as torch
    >>> x = torch.arange(8.0)
    >>> window = torch.ones(4)
    >>> torch.istft(torch.stft(x, 4, window=window, return_complex=True), 4, window=window)
    tensor([0., 1., 2., 3., 4., 5., 6., 7.])

    Source: https://pytorch.org/docs/stable/generated/torch.istft.html
    """
    hop, win = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
    if window is None:
        tell(_NO_WINDOW)
    arguments = {"n_fft": n_fft, "hop_length": hop, "win_length": win, "window": window, "center": center,
                 "normalized": normalized, "onesided": onesided, "length": length, "return_complex": return_complex}
    one = onesided if onesided is not None else input.ndim > 1 and input.shape[-2] != n_fft
    _check_istft(input, n_fft, hop, win, window, one, arguments)
    if window is not None and window.dtype.is_complex and not return_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    if return_complex and one:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    spectra = transpose(input if input.ndim == 3 else unsqueeze(input, 0), 1, 2)
    norm = "ortho" if normalized else None
    if return_complex:
        pieces = ifft(spectra, norm=norm)
    else:
        pieces = irfft(spectra if one else narrow(spectra, 2, 0, n_fft // 2 + 1), n_fft, norm=norm)
    signal = _restored(pieces, window, hop, win, center, length, arguments, input)
    return signal if input.ndim == 3 else squeeze(signal, 0)


def _restored(pieces: Tensor, window: Tensor | None, hop: int, win: int, center: bool, length: int | None,
              arguments: dict[str, Any], input: Tensor) -> Tensor:
    count, n_fft = pieces.shape[1:]
    whole = _whole_window(window, pieces, win, n_fft)
    if whole is None:
        whole = ones(n_fft, dtype=input.dtype.real_form, device=input.device)
    signal = _overlapped(mul(pieces, whole), hop)
    squares = _overlapped(mul(whole, whole).expand(1, count, n_fft), hop)
    start = n_fft // 2 if center else 0
    expected = n_fft + hop * (count - 1)
    end = start + length if length is not None else expected - n_fft // 2 if center else expected
    kept = min(end, expected) - start
    signal, squares = narrow(signal, 1, start, max(kept, 0)), narrow(squares, 1, start, max(kept, 0))
    failure = _failure("istft", f"CPU{scalar_name(input.dtype)}Type{list(input.shape)}", arguments, "window overlap add min: 1")
    told = str(failure).replace("{", "{{").replace("}", "}}")  # the texts of checks are formats
    check_none("istft", le(abs(squares), 1e-11), RuntimeError, told)
    signal = div(signal, squares)
    if end > expected:
        tell("The length of signal is shorter than the length parameter. Result is being padded with zeros in the "
             "tail. Please check your center and hop_length settings.")
        signal = pad(signal, (0, end - expected))
    return signal

castable(globals())
