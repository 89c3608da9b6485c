"""What is no tensor, where torch's functions take one: TypeError, as in torch."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

NO_TENSORS = ([1.0], "a")
SLOW = {"compile", "broadcast_shapes"}  # of torch: they import much, and take no tensor
SETTERS = ("set_", "use_", "manual_seed", "seed")  # what they take stays
SPACES = ("", "nn.functional", "linalg", "special", "fft")
# Views, and what else is asked of a tensor all the time: a look at the arguments would be felt. AttributeError, or no error.
UNSEEN = {
    "adjoint", "as_strided_", "broadcast_to", "clone", "conj", "detach", "detach_", "diagonal", "flatten", "imag",
    "is_conj", "is_distributed", "is_inference", "is_neg", "is_nonzero", "matrix_exp", "norm_except_dim", "positive",
    "ravel", "real", "repeat_interleave", "resolve_conj", "resolve_neg", "squeeze", "t", "to_dlpack", "zero_",
    "nn.functional.alpha_dropout", "nn.functional.dropout",
    "nn.functional.feature_alpha_dropout", "nn.functional.gumbel_softmax", "linalg.diagonal", "linalg.matrix_exp",
    "linalg.vander", "fft.fftshift", "fft.ifftshift",
}
pytestmark = pytest.mark.usefixtures("numpy_engine")


def error_of(function: Callable[..., Any], *args: Any) -> Exception | None:
    """What a call raises, if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function(*args)
        except Exception as error:
            return error
    return None


def functions() -> Iterator[tuple[str, Any, Any]]:
    """Both libraries' functions of the same name."""
    for space in SPACES:
        theirs, ours = (functools.reduce(getattr, filter(None, space.split(".")), library) for library in (torch, flambeau))
        for name in dir(theirs):
            if name.startswith(("_", *SETTERS)) or name in SLOW:
                continue
            pair = getattr(theirs, name), getattr(ours, name, None)
            if all(callable(f) and not isinstance(f, type) for f in pair):
                yield ".".join(filter(None, (space, name))), *pair


def test_what_is_no_tensor_is_a_type_error_where_it_is_in_torch() -> None:
    checked, wrong = 0, set()
    for name, theirs, ours in functions():
        for given in NO_TENSORS:
            if (error := error_of(theirs, given)) and isinstance(error, TypeError) and "must be Tensor" in str(error):
                checked += 1
                if not isinstance(error_of(ours, given), TypeError):
                    wrong.add((name, given == "a"))
    assert checked > 1000
    assert {name for name, text in wrong if not text} == UNSEEN
    assert {name for name, text in wrong if text} == UNSEEN
