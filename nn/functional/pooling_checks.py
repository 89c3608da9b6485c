"""What pools refuse, in torch's words, which differ between one, two and three dimensions."""

from __future__ import annotations

from ...tracer.ops.convolution import dilated
from ...tracer.ops.structural import Ints
from ...tracer.tensor.tensor import Tensor

_AXES = {1: "HW", 2: "HW", 3: "THW"}


def check_dims(name: str, rank: int, input: Tensor, indices: bool) -> None:
    """RuntimeErrors for an input of other dimensions, and IndexError where torch looks for the first of them."""
    if name == "max_pool1d" and not indices:
        if input.ndim not in (2, 3) or 0 in input._type.shape[-2:]:
            raise RuntimeError(f"max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, "
                               f"but got:{list(input.shape)}")
    elif input.ndim not in (rank + 1, rank + 2):
        if rank == 1:
            raise RuntimeError(f"Expected 2 to 3 dimensions, but got {input.ndim}-dimensional tensor for argument #1 'self' "
                               f"(while checking arguments for {name})")
        if name == "avg_pool2d" and input.ndim < 3:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-max(input.ndim, 1)}, "
                             f"{max(input.ndim, 1) - 1}], but got -3)")
        raise RuntimeError(f"non-empty {rank + 1}D or {rank + 2}D (batch mode) tensor expected for input")


def check_steps(name: str, indices: bool, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> None:
    """RuntimeErrors for sizes and steps that are no windows."""
    if name == "max_pool1d" and not indices:
        _check_steps_of_max_pool1d(kernel[0], stride[0], padding[0], dilation[0])
    for k, s, p, d in zip(kernel, stride, padding, dilation):
        if s <= 0:
            raise RuntimeError("stride should not be zero")
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > dilated(k, max(d, 1)) // 2:
            raise RuntimeError(f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                               f"dilation={d}")
    if any(k <= 0 for k in kernel):
        raise RuntimeError(f"kernel size should be greater than zero, but got {_by_axis('k', kernel)}")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"dilation should be greater than zero, but got {_by_axis('dilation', dilation)}")


def _by_axis(word: str, sizes: Ints) -> str:
    sizes = sizes if len(sizes) > 1 else (1, *sizes)
    return " ".join(f"{word}{axis}: {n}" for axis, n in zip(_AXES[len(sizes)], sizes))


def _check_steps_of_max_pool1d(k: int, s: int, p: int, d: int) -> None:
    for what, n in (("kernel_size", k), ("stride", s), ("dilation", d)):
        if n <= 0:
            raise RuntimeError(f"max_pool1d() {what} must be greater than zero, but got {n}")
    if p < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {p}")
    if p > k // 2:
        raise RuntimeError(f"max_pool1d() padding should be at most half of kernel size, but got padding={p} and kernel_size={k}")


def check_empty(name: str, rank: int, input: Tensor) -> None:
    """RuntimeErrors for a dimension of no elements that is not the batch."""
    shape = input._type.shape
    if 0 not in shape[-rank - 1:]:
        return
    if rank == 3:
        where = "max_pool3d_with_indices_out_cpu_template()" if name == "max_pool3d" else f"{name}()"
        raise RuntimeError(f"{where}: Expected input's non-batch dimensions to have positive length, but input has a shape of "
                           f"{list(shape)} and non-batch dimension 0 has length zero!")
    seen = [*shape[:-1], 1, shape[-1]] if rank == 1 else list(shape)
    raise RuntimeError(f"Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got:{seen}")


def check_padding(kernel: Ints, padding: Ints) -> None:
    """RuntimeErrors for padding of more than half a kernel, however far dilation spreads it."""
    if all(p <= k // 2 for k, p in zip(kernel, padding)):
        return
    if len(kernel) == 3:
        raise RuntimeError("pad should be smaller than or equal to half of kernel size, but got "
                           f"{_image('k', kernel, 'TWH')} {_image('pad', padding, 'TWH')}")
    (k_h, k_w), (p_h, p_w) = kernel if len(kernel) > 1 else (1, *kernel), padding if len(padding) > 1 else (0, *padding)
    raise RuntimeError("pad should be smaller than or equal to half of kernel size, but got "
                       f"padW = {p_w}, padH = {p_h}, kW = {k_w}, kH = {k_h}")


def check_result(name: str, indices: bool, input: Tensor, kernel: Ints, sizes: Ints, out: Ints) -> None:
    """RuntimeErrors for windows that are larger than the input."""
    if all(n >= 1 for n in out):
        return
    if name == "max_pool1d" and not indices:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {out[0]}")
    if name == "avg_pool3d":
        raise RuntimeError(f"input image ({_image('', sizes)}) smaller than kernel size ({_image('k', kernel)})")
    channels = input._type.shape[-len(sizes) - 1]
    given, made = ("x".join(map(str, (channels, *((1, *n) if len(n) == 1 else n)))) for n in (sizes, out))
    raise RuntimeError(f"Given input size: ({given}). Calculated output size: ({made}). Output size is too small")


def _image(prefix: str, sizes: Ints, order: str = "THW") -> str:
    by_axis = dict(zip("THW", sizes))
    return " ".join(f"{prefix}{axis}: {by_axis[axis]}" for axis in order)
