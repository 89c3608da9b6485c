"""What users give to a writer, as numpy arrays: numbers, tensors, pictures, figures and sound."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from importlib import import_module
from typing import Any

import numpy as np

from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor

Array = np.ndarray[Any, Any]
COLUMNS = 8  # of pictures beside each other
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG's number of grey, grey with alpha, RGB, RGBA


def array_of(x: Any) -> Array:
    """A number, array or tensor as an array; NotImplementedError for anything else."""
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, Tensor):
        plain = x.detach().cpu()
        return np.asarray((plain.float() if plain.dtype is dtypes.bfloat16 else plain).numpy())
    if np.isscalar(x):
        return np.array([x])
    raise NotImplementedError(f"Got {type(x)}, but numpy array or torch tensor are expected.")


def number_of(x: Any) -> float:
    """The one number in `x`; AssertionError if there are more or none."""
    array = array_of(x)
    if array.size != 1:
        raise AssertionError(f"Tensor should contain one element (0 dimensions). Was given size: {array.size} and {array.ndim} "
                             "dimensions.")
    return float(array.reshape(()))


# --- Pictures ---------------------------------------------------------------------------------------------------------


def picture(x: Any, layout: str) -> Array:
    """Height, width and channels of bytes, of a picture or a batch of them in any order of dimensions.

    Floats are from 0 to 1, and what is out of range is cut; `layout` names the dimensions, "CHW" or "NHWC", say.
    """
    array, order = array_of(x), layout.upper()
    if len(set(order)) != len(order):
        raise AssertionError(f"You can not use the same dimension shorthand twice. input_format: {layout}")
    if array.ndim != len(order):
        raise AssertionError(f"size of input tensor and input format are different. tensor shape: {array.shape}, input_format: "
                             f"{layout}")
    if sorted(order) not in (sorted("HW"), sorted("CHW"), sorted("NCHW")):
        raise ValueError(f"dataformats requires the letters of HW, CHW or NCHW in any order, got {layout!r}")
    if len(order) == 2:
        array, order = array[..., None], order + "C"
    array = _in_bytes(array.transpose([order.index(c) for c in ("NHWC" if len(order) == 4 else "HWC")]))
    if array.shape[-1] == 1:
        array = np.repeat(array, 3, axis=-1)
    return _sheet(array) if len(order) == 4 else array


def _in_bytes(array: Array) -> Array:
    if array.dtype == np.uint8:
        return array
    return (array.astype(np.float32) * 255).clip(0, 255).astype(np.uint8)


def _sheet(pictures: Array) -> Array:
    """Pictures side by side, some in a row."""
    count, height, width, channels = pictures.shape
    columns = min(count, COLUMNS)
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = pictures
    return sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def png(pixels: Array) -> bytes:
    """A PNG file of bytes by height, width and channels.

    Source: https://www.w3.org/TR/png/
    """
    height, width, channels = pixels.shape
    if channels not in _COLOURS:
        raise ValueError(f"a picture requires 1 to 4 channels, got {channels}")
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with the number of its filter, which is none
    rows[:, 1:] = pixels.reshape(height, -1)
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)),
             (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + name + data
                                           + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts)


def framed(pixels: Array, boxes: Array) -> Array:
    """A picture with red frames: rows of left, top, right and bottom."""
    made = pixels.copy()
    height, width = made.shape[:2]
    red = np.array([255, 0, 0, 255], np.uint8)[:made.shape[2]]
    for left, top, right, bottom in boxes.reshape(-1, 4).astype(int):
        left, right = max(0, left), min(width - 1, right)
        top, bottom = max(0, top), min(height - 1, bottom)
        for line in (made[top, left:right + 1], made[bottom, left:right + 1], made[top:bottom + 1, left],
                     made[top:bottom + 1, right]):
            line[...] = red
    return made


def drawn(figures: Any, close: bool) -> Array:
    """One figure of matplotlib, or a list of them, as pictures by channel, height and width."""
    if isinstance(figures, list):
        return np.stack([drawn(figure, close) for figure in figures])
    canvas = import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figures)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    if close:
        import_module("matplotlib.pyplot").close(figures)
    return np.moveaxis(pixels, -1, 0)


# --- Sound ------------------------------------------------------------------------------------------------------------


def wav(x: Any, rate: int) -> tuple[bytes, int]:
    """A WAV file of samples from -1 to 1, which are cut there, and how many there are."""
    samples = array_of(x).squeeze()
    if samples.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    whole = (samples.astype(np.float64).clip(-1, 1) * np.iinfo(np.int16).max).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(whole.tobytes())
    return file.getvalue(), len(whole)
