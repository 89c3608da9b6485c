"""`torch.nn._reduction`: reductions as words and as numbers, and the two older words for them."""

from __future__ import annotations

from .loss import older_reduction

_NUMBERS = {"none": 0, "mean": 1, "elementwise_mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """0, 1 or 2 for none, mean or sum; ValueError for another word.

    >>> get_enum("sum")
    2
    """
    if reduction not in _NUMBERS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return _NUMBERS[reduction]


def legacy_get_string(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> str:
    """The reduction that the older words mean."""
    if emit_warning:
        average, whole = (True if given is None else given for given in (size_average, reduce))
        return older_reduction(average, whole, "mean")
    average, whole = (given is None or bool(given) for given in (size_average, reduce))
    return "mean" if average and whole else "sum" if whole else "none"


def legacy_get_enum(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> int:
    """The number of `legacy_get_string`."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
