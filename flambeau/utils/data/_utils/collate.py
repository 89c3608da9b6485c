"""Samples made a batch, by the type of a sample: a registry that users may add to.

Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.default_collate
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from ....tracer.functions.creation import as_tensor, tensor
from ....tracer.functions.joining import stack
from ....tracer.ir import dtypes
from ....tracer.tensor.tensor import Tensor
from .host import stacked

Rules = dict[Any, Callable[..., Any]]
default_collate_err_msg_format = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
_NO_NUMBERS = "SUO"  # kinds of numpy arrays: bytes, text, objects


# --- The rules --------------------------------------------------------------------------------------------------------


def collate_tensor_fn(batch: Sequence[Tensor], *, collate_fn_map: Rules | None = None) -> Tensor:
    """Tensors stacked."""
    made = stacked(batch)
    return stack(list(batch), 0) if made is None else made


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """Arrays of numbers as tensors."""
    first = batch[0].dtype
    if first.kind in _NO_NUMBERS:
        raise TypeError(default_collate_err_msg_format.format(first))
    if collate_fn_map is None or collate_fn_map.get(Tensor) is collate_tensor_fn:
        made = stacked([np.asarray(array) for array in batch]) if first.isnative else None
        if made is not None:
            return made
    return collate([as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Tensor:
    """numpy's numbers."""
    return as_tensor(batch)


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: Rules | None = None) -> Tensor:
    """Floats, in float64."""
    return tensor(batch, dtype=dtypes.float64)


def collate_int_fn(batch: Sequence[int], *, collate_fn_map: Rules | None = None) -> Tensor:
    """Ints and bools."""
    return tensor(batch)


def collate_str_fn(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """Texts and bytes stay as they are."""
    return batch


default_collate_fn_map: Rules = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


# --- Containers -------------------------------------------------------------------------------------------------------


def collate(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """A batch of samples: by the rule of the first sample's type, else by what it contains.

    Args: `batch`, samples of one structure; `collate_fn_map`, rules by type or tuple of types, each called with the
    samples and `collate_fn_map=`. Raises RuntimeError for sequences of several lengths, TypeError for what no rule is for.
    """
    first = batch[0]
    rule = _rule(first, collate_fn_map or {})
    if rule is not None:
        return rule(batch, collate_fn_map=collate_fn_map)

    def again(samples: Sequence[Any]) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return rebuilt_mapping(first, lambda key: again([sample[key] for sample in batch]))
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(again, zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = list(zip(*batch))
        return [again(column) for column in columns] if isinstance(first, tuple) else rebuilt_sequence(first, columns, again)
    raise TypeError(default_collate_err_msg_format.format(type(first)))


def _rule(sample: Any, rules: Rules) -> Callable[..., Any] | None:
    found = rules.get(type(sample))
    return found or next((rule for kind, rule in rules.items() if isinstance(sample, kind)), None)


def rebuilt_mapping(like: Mapping[Any, Any], item: Callable[[Any], Any]) -> Any:
    """A mapping of the same type with new items, or a dict where the type cannot be made so."""
    try:
        if not isinstance(like, MutableMapping):
            return type(like)({key: item(key) for key in like})  # type: ignore[call-arg]
        made = copy.copy(like)  # which keeps what a type of the user's has beside its items
        made.update({key: item(key) for key in like})
        return made
    except TypeError:
        return {key: item(key) for key in like}


def rebuilt_sequence(like: Sequence[Any], items: Sequence[Any], change: Callable[[Any], Any]) -> Any:
    """A sequence of the same type with new items, or a list where the type cannot be made so."""
    try:
        if not isinstance(like, MutableSequence):
            return type(like)([change(x) for x in items])  # type: ignore[call-arg]
        made = copy.copy(like)
        for i, x in enumerate(items):
            made[i] = change(x)
        return made
    except TypeError:
        return [change(x) for x in items]


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of samples, with one more dimension in front of each tensor: what a `DataLoader` does by default.

    Tensors, arrays and numbers become tensors; texts stay; mappings, named tuples and sequences keep their types, tuples
    become lists. `default_collate_fn_map` holds the rules, and may be added to.
    Args: `batch`, samples of one structure. Raises RuntimeError for tensors of several shapes and sequences of several
    lengths, TypeError for samples of other types.

    >>> from flambeau.utils.data import default_collate
    >>> default_collate([{"x": 1, "name": "a"}, {"x": 2, "name": "b"}])
    {'x': tensor([1, 2]), 'name': ['a', 'b']}

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.default_collate
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def default_convert(data: Any) -> Any:
    """A sample with its arrays as tensors: what a `DataLoader` that makes no batches does by default.

    Args: `data`, of which numpy's arrays and numbers are converted, within mappings and sequences too; the rest stays.

    >>> import numpy as np
    >>> from flambeau.utils.data import default_convert
    >>> default_convert([np.arange(2), "a"])
    [tensor([0, 1]), 'a']

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.default_convert
    """
    if isinstance(data, (Tensor, str, bytes)):
        return data
    if type(data).__module__ == "numpy":
        return data if data.dtype.kind in _NO_NUMBERS else as_tensor(data)
    if isinstance(data, Mapping):
        return rebuilt_mapping(data, lambda key: default_convert(data[key]))
    if isinstance(data, tuple):
        items = [default_convert(x) for x in data]
        return type(data)(*items) if hasattr(data, "_fields") else items
    return rebuilt_sequence(data, data, default_convert) if isinstance(data, Sequence) else data
