"""Rows of the elementwise ops."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from flambeau.tracer.ir import dtypes

from ..sample import BadSample, Sample, complexes, integers, reals

X, Y = reals(3, 4), reals(3, 4, seed=1)
POSITIVE = reals(3, 4, low=0.2, high=3.0)
UNIT = reals(3, 4, low=-0.9, high=0.9)
C, D = complexes(3, 4), complexes(3, 4, seed=5)
I, J = integers(3, 4), integers(3, 4, seed=1)
B = np.array([True, False, True, True])
SPECIAL = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 2e-38, 3e38], np.float32)
FAR = np.array([200.7, -1.5, 256, 300, 70000, 2**31, -2**31 - 1, 3e9, 5e9 + 7, 1e15 + 3, 9.3e18, -9.3e18, 1e20, np.inf, -np.inf,
                np.nan])
with np.errstate(over="ignore"):
    FARS = [FAR.astype(kind) for kind in (np.float16, np.float32, np.float64)]
HALF = X.astype(np.float16)
BRAIN = X.astype(ml_dtypes.bfloat16)


def _unary(op: str, torch: str | None = None, real: np.ndarray | None = X, complex_: np.ndarray | None = None,
           tolerance: float = 2e-5, gradient: bool = True) -> list[Sample]:
    """Rows of a function of one operand: float32, bfloat16, float16 and, where given, complex64."""
    name = torch or op
    first = [0] if gradient else []

    def oracle(t, x):
        return getattr(t, name)(x)

    rows = [Sample(op, [real], {}, oracle, first, tolerance)]
    rows += [Sample(op, [real.astype(kind)], {}, None, (), 2e-2) for kind in (np.float16, ml_dtypes.bfloat16)]
    if complex_ is not None:
        rows.append(Sample(op, [complex_], {}, oracle, first, 10 * tolerance))
    return rows


def _binary(op: str, torch: str | None = None, *pairs: tuple[np.ndarray, np.ndarray],
            gradient: bool = True) -> list[Sample]:
    name = torch or op
    return [Sample(op, [x, y], {}, lambda t, a, b: getattr(t, name)(a, b),
                   [0, 1] if gradient and x.dtype.kind in "fc" and np.isfinite(x).all() else []) for x, y in pairs]


SAMPLES = [
    *_binary("add", None, (X, Y), (C, D), (I, J), (B, ~B), (SPECIAL, SPECIAL[::-1])),
    *_binary("sub", None, (X, Y), (C, D), (I, J)),
    *_binary("mul", None, (X, Y), (C, D), (I, J), (B, ~B)),
    *_binary("div", None, (X, POSITIVE), (C, D)),
    Sample("div", [I, np.where(J == 0, 3, J)], {}, lambda t, x, y: t.div(x, y, rounding_mode="trunc")),
    Sample("div", [I, np.zeros_like(J)], {}, note=" by zero"),
    Sample("add", [HALF, HALF], {}, lambda t, x, y: x + y), Sample("mul", [BRAIN, BRAIN], {}),
    Sample("rem", [X, POSITIVE], {}, lambda t, x, y: t.fmod(x, y), [0, 1]),
    Sample("rem", [I, np.where(J == 0, 3, J)], {}, lambda t, x, y: t.fmod(x, y)),
    Sample("pow", [POSITIVE, Y], {}, lambda t, x, y: x**y, [0, 1]),
    Sample("pow", [C, D], {}, lambda t, x, y: x**y, [0, 1], tolerance=2e-4),
    Sample("pow", [I, np.abs(J)], {}, lambda t, x, y: x**y),
    *_binary("max", "maximum", (X, Y), (I, J), (SPECIAL, SPECIAL[::-1].copy())),
    *_binary("min", "minimum", (X, Y), (I, J), (SPECIAL, SPECIAL[::-1].copy())),
    Sample("max", [SPECIAL, SPECIAL], {}, note=" special"),
    Sample("digamma", [np.array([0.0, -0.0, 1.5], np.float32)], {}, lambda t, x: x.digamma(), note=" special"),
    Sample("convert", [B], {"dtype": dtypes.float32}, lambda t, x: x.float(), note=" of bools"),
    *_binary("atan2", None, (X, Y)),
    *_binary("and", "bitwise_and", (I, J), (B, ~B)), *_binary("or", "bitwise_or", (I, J), (B, ~B)),
    *_binary("xor", "bitwise_xor", (I, J), (B, B)),
    Sample("not", [I], {}, lambda t, x: ~x), Sample("not", [B], {}, lambda t, x: ~x),
    Sample("shift_left", [I, np.abs(J)], {}, lambda t, x, n: x << n),
    Sample("shift_left", [I.astype(np.int8), np.full_like(I, 9).astype(np.int8)], {}, note=" too far"),
    Sample("shift_right_arithmetic", [I, np.abs(J)], {}, lambda t, x, n: x >> n),
    Sample("shift_right_logical", [I.astype(np.int32), np.abs(J).astype(np.int32)], {}),
    Sample("shift_right_logical", [np.abs(I).astype(np.uint32), np.abs(J).astype(np.uint32)], {}),
    Sample("population_count", [I], {}), Sample("count_leading_zeros", [I.astype(np.int16)], {}),
    *_unary("neg", complex_=C), Sample("neg", [I], {}, lambda t, x: -x),
    *_unary("abs", complex_=C), Sample("abs", [I], {}, lambda t, x: x.abs()),
    *_unary("sign", "sgn", complex_=C), Sample("sign", [SPECIAL], {}, lambda t, x: x.sgn(), note=" special"),
    *_unary("exp", complex_=C), *_unary("expm1"), *_unary("log", real=POSITIVE, complex_=C),
    *_unary("log1p", real=POSITIVE), *_unary("sqrt", real=POSITIVE, complex_=C),
    *_unary("rsqrt", real=POSITIVE, complex_=C), Sample("cbrt", [POSITIVE], {}, None, [0]),
    *_unary("sin", complex_=C), *_unary("cos", complex_=C), *_unary("tan", complex_=C), *_unary("tanh", complex_=C),
    *_unary("sigmoid", complex_=C), *_unary("asin", real=UNIT), *_unary("acos", real=UNIT), *_unary("atan"),
    *_unary("sinh"), *_unary("cosh"), *_unary("asinh"), *_unary("acosh", real=POSITIVE + 1.1),
    *_unary("atanh", real=UNIT), *_unary("erf"), *_unary("erfc"), *_unary("erfinv", real=UNIT),
    *_unary("lgamma", real=POSITIVE), *_unary("digamma", real=POSITIVE),
    Sample("polygamma", [np.full_like(POSITIVE, 1), POSITIVE], {}, lambda t, n, x: t.polygamma(1, x), [1]),
    Sample("zeta", [POSITIVE + 2, POSITIVE], {}, lambda t, s, x: t.special.zeta(s, x), [1]),
    *_unary("floor"), *_unary("ceil"), *_unary("round_nearest_even", "round"),
    Sample("round_nearest_even", [np.array([0.5, 1.5, -2.5], np.float32)], {}, lambda t, x: x.round()),
    Sample("nextafter", [X, Y], {}, lambda t, x, y: t.nextafter(x, y)),
    Sample("is_finite", [SPECIAL], {}, lambda t, x: x.isfinite()),
    Sample("real", [C], {}, lambda t, x: x.real, [0]), Sample("imag", [C], {}, lambda t, x: x.imag, [0]),
    Sample("complex", [X, Y], {}, lambda t, x, y: t.complex(x, y), [0, 1]),
    *(Sample("compare", [I, J], {"direction": d}, lambda t, x, y, d=d: getattr(t, d.lower())(x, y))
      for d in ("EQ", "NE", "LT", "LE", "GT", "GE")),
    Sample("compare", [SPECIAL, SPECIAL], {"direction": "EQ"}, lambda t, x, y: x == y, note=" special"),
    Sample("compare", [C, C], {"direction": "NE"}, lambda t, x, y: x != y),
    Sample("select", [X > 0, X, Y], {}, lambda t, c, x, y: t.where(c, x, y), [1, 2]),
    Sample("clamp", [np.full_like(X, -1), X, np.full_like(X, 1)], {}, lambda t, a, x, b: t.clamp(x, a, b), [0, 1, 2]),
    *(Sample("convert", [X * 100], {"dtype": kind}, None, [0] if kind is dtypes.float64 else [], note=f" {kind.short}",
             second_order=False) for kind in (dtypes.float64, dtypes.int32, dtypes.boolean, dtypes.complex64)),
    *(Sample("convert", [far], {"dtype": kind}, lambda t, x, kind=kind: x.to(getattr(t, kind.name)),
             note=f" {far.dtype} to {kind.short}, of numbers that are too large")
      for far in FARS
      for kind in (dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)),
    Sample("convert", [FAR], {"dtype": dtypes.uint64}, note=" saturates"),
    *(Sample("convert", [X], {"dtype": kind}, note=f" {kind.short}") for kind in (
        dtypes.float16, dtypes.bfloat16, dtypes.float8_e4m3fn, dtypes.float8_e5m2)),
    Sample("convert", [I], {"dtype": dtypes.float32}, lambda t, x: x.float()),
    Sample("convert", [B], {"dtype": dtypes.int64}, lambda t, x: x.long()),
    Sample("convert", [I], {"dtype": dtypes.uint8}, lambda t, x: x.to(t.uint8), note=" wraps"),
    Sample("reduce_precision", [X], {"exponent": 8, "mantissa": 7}, lambda t, x: x.bfloat16().float()),
    Sample("alias", [X], {}, None, [0]), Sample("stop_gradient", [X], {}),
    Sample("with_value", [X, Y], {}, note=" value only"),
    Sample("with_polygamma", [X, Y], {"order": 1}, note=" value only"),
    Sample("piecewise", [X], {}, None, [0]), Sample("linked", [X, Y], {}, lambda t, x, y: x, [0, 1]),
]

_UNARY = {
    "integers": (I, "acos acosh asin asinh atan atanh ceil cos cosh digamma erf erfc erfinv exp expm1 floor imag is_finite "
                    "lgamma log log1p real round_nearest_even rsqrt sigmoid sinh sqrt tan tanh"),
    "reals": (X, "count_leading_zeros not population_count"),
    "complex numbers": (C, "cbrt"),
    "bools": (B, "abs neg sign"),
}
_BINARY = {
    "integers": (I, "atan2 complex nextafter polygamma zeta"),
    "reals": (X, "and or xor shift_left shift_right_arithmetic shift_right_logical"),
    "complex numbers": (C, "min rem"),
    "bools": (B, "div pow sub"),
}

BAD = [
    *(BadSample(op, [x], {}, f"{op} requires an operand of type") for x, ops in _UNARY.values() for op in ops.split()),
    *(BadSample(op, [x, x], {}, f"{op} requires an operand of type") for x, ops in _BINARY.values() for op in ops.split()),
    BadSample("mul", [X, Y[:2]], {}, "mul requires operands of one shape and dtype"),
    BadSample("add", [X, Y[:2]], {}, "add requires operands of one shape and dtype"),
    BadSample("add", [X, I], {}, "add requires operands of one shape and dtype"),
    BadSample("sin", [I], {}, "sin requires an operand of type"),
    BadSample("max", [C, D], {}, "max requires an operand of type"),
    BadSample("compare", [C, D], {"direction": "LT"}, "compare requires real operands"),
    BadSample("compare", [X, Y], {"direction": "like"}, "compare requires a direction"),
    BadSample("select", [X, X, Y], {}, "select requires a bool condition"),
    BadSample("convert", [C], {"dtype": dtypes.float32}, "convert requires a complex target"),
    BadSample("clamp", [C, C, C], {}, "clamp requires real operands"),
    BadSample("linked", [X, I], {}, "linked requires inexact operands"),
    BadSample("with_value", [X, I], {}, "with_value requires operands"),
    BadSample("with_polygamma", [X, I], {"order": 1}, "with_value requires operands"),
    BadSample("reduce_precision", [I], {"exponent": 8, "mantissa": 7}, "reduce_precision requires a floating"),
]
