"""Sequences of different lengths: https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html

The lengths decide shapes, so they are Python numbers here: inside `jit` they are a list or tuple, not a traced tensor. A
packed sequence that is an argument of a jitted function has known lengths; other ones are another program.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...tracer.functions.choosing import where
from ...tracer.functions.creation import tensor as make_tensor
from ...tracer.functions.joining import cat, stack
from ...tracer.ir import dtypes
from ...tracer.ir.errors import TraceError
from ...tracer.tensor.tensor import Tensor

NOT_SORTED = (
    "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass `enforce_sorted=False` "
    "to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not need ONNX exportability.")


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences without padding: `data` holds the first elements of all, then the second of those that have one, ...

    `batch_sizes[t]` counts the sequences longer than t, the longest come first; `sorted_indices` says which they were
    and `unsorted_indices` leads back. Made by `pack_padded_sequence` and `pack_sequence`.
    """

    _sizes: tuple[int, ...] | None = None

    def __new__(cls, data: Any, batch_sizes: Tensor | None = None, sorted_indices: Tensor | None = None,
                unsorted_indices: Tensor | None = None) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes as Python ints; reads them if they are not known."""
        if self._sizes is None:
            try:
                self._sizes = tuple(self.batch_sizes.tolist())
            except TraceError as error:
                raise TraceError("the lengths of a PackedSequence that was made of a traced batch_sizes are not known. Pass the "
                                 "packed sequence itself, or pack a padded batch by lengths in a tuple") from error
        return self._sizes

    def _facts(self) -> dict[str, tuple[int, ...]]:
        """What a program made for this sequence depends on, beside the tensors' types."""
        return {"sizes": self.sizes}

    def with_data(self, data: Tensor) -> PackedSequence:
        """The same lengths with other data."""
        made = PackedSequence(data, *self[1:])
        made._sizes = self._sizes
        return made

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data in another dtype or on another device."""
        moved = self.data.to(*args, **kwargs)
        if moved is self.data:
            return self
        indices = (None if x is None else x.to(moved.device) for x in self[2:])
        made = PackedSequence(moved, self.batch_sizes, *indices)
        made._sizes = self._sizes
        return made

    def cpu(self) -> PackedSequence:
        """The data on the CPU."""
        return self.to("cpu")

    def cuda(self) -> PackedSequence:
        """The data on the first CUDA device."""
        return self.to("cuda")

    def double(self) -> PackedSequence:
        """The data as float64."""
        return self.to(dtypes.float64)

    def float(self) -> PackedSequence:
        """The data as float32."""
        return self.to(dtypes.float32)

    def half(self) -> PackedSequence:
        """The data as float16."""
        return self.to(dtypes.float16)

    def byte(self) -> PackedSequence:
        """The data as uint8."""
        return self.to(dtypes.uint8)

    def char(self) -> PackedSequence:
        """The data as int8."""
        return self.to(dtypes.int8)

    def short(self) -> PackedSequence:
        """The data as int16."""
        return self.to(dtypes.int16)

    def int(self) -> PackedSequence:
        """The data as int32."""
        return self.to(dtypes.int32)

    def long(self) -> PackedSequence:
        """The data as int64."""
        return self.to(dtypes.int64)

    def pin_memory(self) -> PackedSequence:
        """Itself: memory of the host is not pinned."""
        return self

    def is_pinned(self) -> bool:
        """False: memory of the host is not pinned."""
        return False

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return bool(self.data.is_cuda)


class Places(NamedTuple):
    """Where packed data lies in a padded batch, as indices: of rows in `data` by (t, b), and of (t, b) by row."""

    packed: Tensor  # (T * B) row in data, 0 where there is none
    padded: Tensor  # (sum of lengths) position in the flattened padded batch
    valid: Tensor  # (T, B) whether sequence b has a step t


def places(sizes: Sequence[int], device: Any = None) -> Places:
    """The places of packed data with these batch sizes."""
    valid = np.arange(sizes[0])[None, :] < np.asarray(sizes)[:, None]
    padded = np.flatnonzero(valid)
    packed = np.zeros(valid.size, np.int64)
    packed[padded] = np.arange(len(padded))
    return Places(*(make_tensor(x, device=device) for x in (packed, padded, valid)))


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that leads back.

    >>> import flambeau as torch
    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else permutation.argsort()


def pack_padded_sequence(input: Tensor, lengths: Any, batch_first: bool = False,
                         enforce_sorted: bool = True) -> PackedSequence:
    """A padded batch (T, B, *), or (B, T, *) when `batch_first`, without its padding.

    `lengths` are B numbers, longest first unless `enforce_sorted` is False.

    >>> import flambeau as torch
    >>> torch.nn.utils.rnn.pack_padded_sequence(torch.tensor([[1, 2], [3, 0]]), [2, 1], batch_first=True).data
    tensor([1, 3, 2])
    """
    steps_first = input.transpose(0, 1) if batch_first else input
    steps, batch = steps_first.shape[:2]
    counts = _checked_lengths(lengths, steps, batch)
    order = None
    if enforce_sorted:
        if np.any(np.diff(counts) > 0):
            raise RuntimeError(NOT_SORTED)
    else:
        order = np.argsort(-counts, kind="stable")
        counts = counts[order]
        steps_first = steps_first.index_select(1, make_tensor(order, device=input.device))
    sizes = tuple(int((counts > t).sum()) for t in range(counts[0]))
    flat = steps_first[:len(sizes)].flatten(0, 1)
    packed = PackedSequence(flat.index_select(0, places(sizes, input.device).padded), make_tensor(list(sizes)),
                            None if order is None else make_tensor(order, device=input.device))
    packed._sizes = sizes
    return packed


def _known(lengths: Tensor) -> Any:
    try:
        return lengths.tolist()
    except TraceError as error:
        raise TraceError("pack_padded_sequence requires lengths whose values are known, since they decide shapes, and got a "
                         "traced tensor. Pass them to the function as a tuple of numbers, or pack outside and pass the "
                         "PackedSequence") from error


def _checked_lengths(lengths: Any, steps: int, batch: int) -> Any:
    counts = np.asarray(_known(lengths) if isinstance(lengths, Tensor) else lengths, np.int64)
    if counts.ndim != 1:
        raise RuntimeError(f"'lengths' argument should be a 1D CPU int64 tensor, but got {counts.ndim}D cpu Long tensor")
    if not steps * batch:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(counts) != batch:
        raise RuntimeError(f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} (batch_size={batch})")
    if counts.min() <= 0:
        raise RuntimeError("Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0")
    if counts.max() > steps:
        raise RuntimeError(f"pack_padded_sequence requires lengths within the {steps} steps of the input, got "
                           f"{counts.max()}")
    return counts


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[Tensor, Tensor]:
    """The padded batch (T, B, *), or (B, T, *) when `batch_first`, and the lengths, in the order before packing."""
    sizes = sequence.sizes
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ValueError("Expected total_length to be at least the length of the longest sequence in input, but got "
                         f"total_length={total_length} and max sequence length being {len(sizes)}")
    at = places([*sizes, *[0] * (steps - len(sizes))], sequence.data.device)
    rest = sequence.data.shape[1:]
    spread = sequence.data.index_select(0, at.packed).reshape(*at.valid.shape, *rest)
    padded = where(at.valid.reshape(*at.valid.shape, *[1] * len(rest)), spread, padding_value).to(spread.dtype)
    lengths = np.asarray([sum(n > b for n in sizes) for b in range(sizes[0])])
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
    counts = make_tensor(lengths)
    if sequence.unsorted_indices is not None:
        counts = counts.index_select(0, sequence.unsorted_indices.to("cpu"))
    return padded.transpose(0, 1) if batch_first else padded, counts


def pad_sequence(sequences: Any, batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> Tensor:
    """Tensors (L_i, *) of different lengths as one batch (T, B, *), or (B, T, *) when `batch_first`.

    >>> import flambeau as torch
    >>> torch.nn.utils.rnn.pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if not isinstance(sequences, (Tensor, Iterable)):
        raise RuntimeError("pad_sequence: Expected iterable for input sequences, but got arg of type: "
                           f"{type(sequences)}")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    listed = list(sequences)
    if not listed:
        raise RuntimeError("received an empty list of sequences")
    steps = max(x.shape[0] for x in listed)
    like = listed[0]
    written = [x.expand(x.shape[0], *like.shape[1:]).to(like.dtype) for x in listed]  # as if into a batch made for the first
    padded = [_padded(x, steps - x.shape[0], padding_value, padding_side == "left") for x in written]
    return stack(padded, 0 if batch_first else 1)


def _padded(x: Tensor, missing: int, value: float, left: bool) -> Tensor:
    if not missing:
        return x
    padding = x.new_full((missing, *x.shape[1:]), value)
    return cat([padding, x] if left else [x, padding])


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The tensors that `pad_sequence` joined. Reads the lengths."""
    counts = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[:count] for row, count in zip(rows, counts, strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Tensors (L_i, *) of different lengths, packed; longest first unless `enforce_sorted` is False."""
    return pack_padded_sequence(pad_sequence(sequences), [x.shape[0] for x in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The tensors that `pack_sequence` joined."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
