"""The line search of Moré and Thuente's kind that `LBFGS` uses: a step that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..tracer.tensor.tensor import Tensor

_DECREASE = 1e-4  # of the loss, as a part of what the slope promises
_CURVATURE = 0.9  # of the slope that may be left


@dataclass(frozen=True)
class Point:
    """A step length, and the loss, the gradient and the slope along the direction there."""

    t: float
    f: float
    gradient: Tensor
    slope: float


def strong_wolfe(evaluate: Callable[[float], Point], t: float, start: Point, longest: float, tolerance: float,
                 most: int) -> tuple[Point, int]:
    """A point that satisfies both conditions, or the lowest of the last bracket; and how often `evaluate` was called.

    Args: `t`, the first length to try; `start`, the point of length 0; `longest`, the largest component of the
    direction; `tolerance`, the change below which a bracket is left; `most`, the number of iterations.
    """
    bracket, done = _bracket(evaluate, t, start, most)
    evaluations = done
    if len(bracket) == 2 and done <= most:
        evaluations, bracket = _zoom(evaluate, bracket, start, longest, tolerance, most, done)
    return bracket[_lower(bracket)], evaluations


def _lower(bracket: list[Point]) -> int:
    return 0 if bracket[0].f <= bracket[-1].f else len(bracket) - 1


def _is_too_high(point: Point, start: Point) -> bool:
    return point.f > start.f + _DECREASE * point.t * start.slope


def _is_flat(point: Point, start: Point) -> bool:
    return abs(point.slope) <= -_CURVATURE * start.slope


def _bracket(evaluate: Callable[[float], Point], t: float, start: Point, most: int) -> tuple[list[Point], int]:
    """A point that satisfies the conditions, or two with one between them; and the number of evaluations."""
    before, now = start, evaluate(t)
    for evaluations in range(1, most + 1):
        if _is_too_high(now, start) or (evaluations > 2 and now.f >= before.f):
            return [before, now], evaluations
        if _is_flat(now, start):
            return [now], evaluations
        if now.slope >= 0:
            return [before, now], evaluations
        t = _cubic_minimum(before, now, (now.t + 0.01 * (now.t - before.t), now.t * 10))
        before, now = now, evaluate(t)
    return [start, now], most + 1


def _zoom(evaluate: Callable[[float], Point], bracket: list[Point], start: Point, longest: float, tolerance: float,
          most: int, evaluations: int) -> tuple[int, list[Point]]:
    """The bracket made smaller until an end of it satisfies the conditions."""
    stalled = False
    low = _lower(bracket)
    while evaluations <= most and not abs(bracket[1].t - bracket[0].t) * longest < tolerance:
        t, stalled = _away_from_the_ends(_cubic_minimum(bracket[0], bracket[1]), bracket, stalled)
        new = evaluate(t)
        evaluations += 1
        if _is_too_high(new, start) or new.f >= bracket[low].f:
            bracket[1 - low] = new
            low = _lower(bracket)
            continue
        is_done = _is_flat(new, start)
        if not is_done and new.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = new
        if is_done:
            break
    return evaluations, [bracket[low]]


def _away_from_the_ends(t: float, bracket: list[Point], stalled: bool) -> tuple[float, bool]:
    """A tenth of the bracket away from its nearer end, if the last length was already close to one; whether this one is."""
    first, last = sorted(point.t for point in bracket)
    margin = 0.1 * (last - first)
    if not min(last - t, t - first) < margin:
        return t, False
    if not (stalled or t >= last or t <= first):
        return t, True
    return (last - margin if abs(t - last) < abs(t - first) else first + margin), False


def _cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes is least, within bounds; else half way between these."""
    first, last = (min(a.t, b.t), max(a.t, b.t)) if bounds is None else bounds
    mean = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = mean * mean - a.slope * b.slope
    if not square >= 0:
        return (first + last) / 2
    root = math.sqrt(square)
    if a.t > b.t:
        a, b = b, a
    curvature = b.slope - a.slope + 2 * root
    if curvature == 0:
        return (first + last) / 2
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - mean) / curvature), first), last)
