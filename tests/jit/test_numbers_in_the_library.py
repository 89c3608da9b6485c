"""Numbers that a step is given, in the hands of Python's library and numpy: what these make of them is as without a trace.

Much of the library is written in C and takes an int, or a float, and nothing that stands for one.
"""

from __future__ import annotations

import array
import bisect
import calendar
import cmath
import collections
import colorsys
import copy
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import heapq
import itertools
import json
import math
import numbers
import operator
import pickle
import random
import statistics
import string
import struct
import textwrap
import time
import types
import uuid
import warnings
import zlib
from typing import Any

import numpy as np
import pytest

import flambeau as torch

EXPRESSIONS = r"""
float(decimal.Decimal(n) / 4)
float(fractions.Fraction(n) / 3)
statistics.mean([n, 2])
statistics.stdev([n, 2, 7])
datetime.timedelta(seconds=n).total_seconds()
len(struct.pack("i", n))
struct.unpack("d", struct.pack("d", n))[0]
len(bytes(n))
bytes([n])[0]
array.array("i", [n])[0]
int.__add__(n, 1)
int.__mul__(2, n)
float.__mul__(2.0, n)
random.Random(n).random()
np.random.default_rng(n).random()
len(json.dumps({"a": n}))
json.loads(json.dumps(n))
pickle.loads(pickle.dumps(n))
len(list(itertools.islice([1, 2, 3, 4, 5], n)))
len(list(itertools.repeat(1, n)))
len(collections.deque([1, 2, 3, 4, 5], maxlen=n))
copy.deepcopy(n)
copy.copy([n])[0]
bisect.bisect([1, 2, 3], n)
heapq.nsmallest(n, [5, 3, 9, 1])[-1]
operator.itemgetter(n)([1, 2, 3, 4, 5])
operator.methodcaller("bit_length")(n)
operator.attrgetter("real")(n)
ctypes.c_int(n).value
isinstance(n, numbers.Integral)
isinstance(n, numbers.Number)
isinstance(n, (int, float))
isinstance(n, float)
n.__class__(7)
len(n.__class__.__name__)
n.__add__(2)
n.__radd__(2)
cached(n)
dispatched(n)
matched(n)
Color(n).value
uuid.UUID(int=n).int
int(hashlib.sha1(str(n).encode()).hexdigest()[:2], 16)
len(string.Template("$n$n").substitute(n=n * 10))
len(textwrap.wrap("a b c d e f", n))
collections.Counter([n, 2, 2])[2]
collections.OrderedDict([(n, 3)])[n]
math.ldexp(1.0, n)
math.frexp(n)[0]
math.modf(n + 0.25)[0]
math.nextafter(n, 10)
math.perm(5, n)
math.isqrt(n)
math.trunc(n)
math.erf(n / 4)
math.dist((n, 0), (0, 1))
math.fmod(n, 2)
math.atan2(n, 1)
math.lcm(n, 4)
np.interp(n, [0, 4], [0., 1.])
float(np.polyval([1, 2], n))
np.ones((n,)).sum()
float(np.eye(n).trace())
np.array(n).item()
float(np.power(n, 2.))
np.arange(6)[n:].sum()
int(np.prod([n, 2]))
np.maximum(n, 2)
np.dtype(np.int64).type(n)
sum(v for v, _ in zip(range(5), range(n)))
len(range(5)[n:])
[*range(5)].pop(n)
len(sorted({n, 3, 5}))
min({n: 1, 3: 2})
next(iter({n}))
0 <= n < 3
n if n else 1
[a for a in (1, 2, 3, 4) if a != n][0]
n % 2 == 0 or n > 2
(-n) ** 2
2 ** n
2 ** -n
(1.5 * n) // 1
(n / 2).is_integer()
(n / 2).as_integer_ratio()[0]
float.fromhex((n / 2).hex())
int(float(str(n / 4)))
complex(n).real
(n + 2j).imag
abs(n - 3j)
bool(n - 1)
n is not None
n is None
n == None
n != "a"
n == "a"
len([n] * 2)
len((n,) + (1,))
[n] == [2]
(n, 1) < (2, 0)
{"a": n} == {"a": 3}
len({**{"a": n}})
dict(a=n)["a"]
max(*[n, 2])
max(n, 2, key=lambda v: -v)
sum(map(int, str(n * 37)))
"%d" % n == "3"
"{:>4}".format(n).count(" ")
len(f"{n!r:>5}")
locals()["n"]
vars(types.SimpleNamespace(a=n))["a"]
getattr(types.SimpleNamespace(a=n), "a")
[v for k, v in enumerate((5, 6, 7, 8, 9)) if k == n][0]
"abcde".find("abcde"[n - 1])
time.gmtime(n).tm_sec
calendar.monthrange(2020, n)[1]
int(str(n).zfill(3)[-1])
colorsys.rgb_to_hsv(n / 4, 0.1, 0.2)[2]
zlib.crc32(bytes([n])) / 2 ** 32
torch.Size([n, 2]).numel()
torch.Size([n])[0]
torch.iinfo(torch.int8).max // n
sum(1 for _ in range(n))
torch.tensor([1, 2, 3, 4, 5])[n].item()
torch.ones(n).sum().item()
math.inf if n > 2 else 1
range(10)[n]
range(0, 20, n)[1]
len(range(0, 20, n))
n in range(2, 4)
functools.reduce(operator.mul, range(1, n + 1))
list(itertools.accumulate(range(n + 1)))[-1]
np.sqrt(n)
np.float32(n)
np.int64(n)
float(np.sin(n))
np.arange(n).sum()
int(np.clip(n, 2, 3))
cmath.phase(complex(n, 1))
ord(chr(65 + n))
int(hex(n), 16)
pow(n, 2, 7)
divmod(n, 2)[1]
~n
n << 2
n ^ 3
n | 4
n & 1
hash(n)
isinstance(n, int)
type(n) is int
issubclass(type(n), int)
eval("n + 1")
torch.arange(6)[torch.arange(6) < n].sum()
torch.arange(9).view(torch.Size([n, -1])).sum(0)[0]
torch.nonzero(torch.tensor([0, 1, 2, 3]) < n).shape[0]
fractions.Fraction(n, 3).numerator
(1, 2, 3, 4, 5)[-n]
list(zip(range(n), "abcdef"))[-1][0]
round(n / 3, 2)
round(n / 3)
next(i for i in itertools.count() if i * i > n)
""".strip().splitlines()


@functools.lru_cache(typed=True)
def cached(n: Any) -> Any:
    return n * 2


@functools.singledispatch
def dispatched(n: Any) -> int:
    return 1


@dispatched.register
def _(n: int) -> int:
    return 2


@dispatched.register
def _(n: float) -> int:
    return 3


def matched(n: Any) -> int:
    match n:
        case 1:
            return 5
        case int():
            return 6
        case _:
            return 7


class Color(enum.IntEnum):
    RED = 1
    GREEN = 2
    BLUE = 3


KNOWN = {module.__name__: module for module in (
    array, bisect, calendar, cmath, collections, colorsys, copy, ctypes, datetime, decimal, fractions, functools, hashlib, heapq,
    itertools, json, math, numbers, operator, pickle, random, statistics, string, struct, textwrap, time, types, uuid, zlib)}
KNOWN |= {"np": np, "torch": torch, "cached": cached, "dispatched": dispatched, "matched": matched, "Color": Color}
CALLS = [(1, 2, 3, 2, 1), (2.0, 1.0, 3.5), (3, 3.0, True, 2)]


def outcome(function: Any, x: Any, n: Any) -> Any:
    """What comes of a call: values, or a class of error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that random numbers are drawn at a trace only, say
            found = function(x, n)
    except Exception as error:
        return type(error)
    return [(type(n), repr(n)) if not isinstance(n, torch.Tensor) else (n.dtype, str(n.tolist())) for n in found]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression(numpy_engine: None, expression: str) -> None:
    """The number that it gives, which is returned and meets a tensor: at each of these numbers in turn."""
    function = eval(f"lambda x, n: ((found := {expression}), x * found)", dict(KNOWN))
    x = torch.arange(1.0, 7.0)
    for numbers_given in CALLS:
        step = torch.jit(function)
        for n in numbers_given:
            assert outcome(step, x, n) == outcome(function, x, n), n
        assert step.stats.compiles <= len({(type(n), n) for n in numbers_given})
