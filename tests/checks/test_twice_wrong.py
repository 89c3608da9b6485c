"""Two things are wrong: the first is told, as torch does, whichever of them is known at the call; the other is dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau

torch = pytest.importorskip("torch")

Numbers = Callable[..., Any]

# What is called, of a library and of what makes its tensors of numbers.
CALLS: dict[str, Callable[[Any, Numbers], Any]] = {
    "multinomial": lambda t, n: t.multinomial(n(-1.0, -2.0), 1),
    "multinomial of rows": lambda t, n: t.multinomial(n(-1.0, -2.0).reshape(2, 1), 1),
    "multinomial that puts back": lambda t, n: t.multinomial(n(-1.0, -2.0), 2, True),
    "binary_cross_entropy": lambda t, n: t.nn.functional.binary_cross_entropy(n(-1.0, 2.0), n(3.0, -4.0)),
    "segment_reduce": lambda t, n: t.segment_reduce(n(1.0, 2.0, 3.0), "sum", lengths=n(-1.0, 3.0).long()),
    "embedding_bag": lambda t, n: t.nn.functional.embedding_bag(n(0.0, 1.0).long(), t.ones(2, 2), n(1.0, 7.0).long()),
    "ctc_loss": lambda t, n: t.nn.functional.ctc_loss(t.ones(3, 1, 2), t.ones(1, 2).long(), n(9.0).long(), n(-5.0).long()),
    "one_hot": lambda t, n: t.nn.functional.one_hot(n(-1.0, 9.0).long(), 3),
    "cov": lambda t, n: t.cov(n(1.0, 2.0), fweights=n(-1.0, 2.0).long(), aweights=n(-1.0, 2.0)),
    "cov of no weight": lambda t, n: t.cov(t.ones(2), fweights=n(0.0, 0.0).long(), aweights=n(-1.0, 2.0)),
    "two subscripts": lambda t, n: t.ones(3)[n(7.0).long()] + t.ones(2)[n(9.0).long()],
    "take and one_hot": lambda t, n: (t.take(t.ones(3), n(7.0).long()), t.nn.functional.one_hot(n(-1.0).long(), 3)),
    "a divisor and a probability": lambda t, n: (n(1.0).long() // n(0.0).long(), t.bernoulli(n(2.0))),
    "a probability and a number": lambda t, n: (t.bernoulli(n(2.0)), n(1.0).long() % 0),
    "a subscript and bounds": lambda t, n: (t.ones(3)[n(7.0).long()], t.histogram(n(float("inf")), 2)),
}


def near(t: Any, *numbers: float) -> Any:
    """A tensor whose numbers the host knows."""
    return t.tensor(numbers)


def far(t: Any, *numbers: float) -> Any:
    """One whose numbers only a program knows."""
    return t.tensor(numbers) + t.zeros(1).sin()


def _in_turn(first: Any, second: Any) -> Numbers:
    made = iter([first, second] * 2)
    return lambda *numbers: next(made)(flambeau, *numbers)


WAYS = {"near": (near, near), "far": (far, far), "near, far": (near, far), "far, near": (far, near)}


def _told(call: Callable[[], Any]) -> str:
    try:
        made = call()
        for x in made if isinstance(made, tuple) else (made,):
            x.tolist()
    except (IndexError, RuntimeError) as error:
        return str(error).partition("  (Could")[0]
    return "nothing"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CALLS)
def test_the_first_is_told_and_the_next_call_is_right(name: str, way: str) -> None:
    expected = _told(lambda: CALLS[name](torch, lambda *numbers: near(torch, *numbers)))
    found = _told(lambda: CALLS[name](flambeau, _in_turn(*WAYS[way])))
    assert expected != "nothing" and found.startswith(expected)
    assert _told(lambda: far(flambeau, 1.0) + 1) == "nothing"
    flambeau.synchronize()


def test_one_bad_call_of_multinomial_between_good_ones() -> None:
    weights = flambeau.arange(1, 3).float()
    told = [_told(lambda sign=sign: flambeau.multinomial(weights * sign, 1)) for sign in (1, -1, 1, 1)]  # type: ignore[misc]
    assert told[0] == told[2] == told[3] == "nothing"
    assert told[1].startswith("probability tensor contains either `inf`, `nan` or element < 0")
