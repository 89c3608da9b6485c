"""Functions of the standard library and the language, given the numbers of a step: what Python gives, by value and type."""

from __future__ import annotations

import enum
import functools
import importlib
import types
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import flambeau as torch


class Color(enum.Enum):
    """One for each of the numbers."""

    A, B, C = 1, 2, 3


class Access(enum.IntFlag):
    """Bits."""

    READ, WRITE, RUN = 1, 2, 4


@dataclass
class Point:
    """Something that holds numbers."""

    n: Any
    m: float = 2.0


@functools.lru_cache
def cached(n: Any) -> Any:
    return n * 2


@functools.singledispatch
def named(n: Any) -> str:
    return "another"


@named.register
def _(n: int) -> str:
    return "int"


@named.register
def _(n: float) -> str:
    return "float"


MODULES = [
    "statistics", "fractions", "decimal", "datetime", "random", "time", "struct", "array", "json", "pickle", "copy",
    "cmath", "itertools", "collections", "uuid", "heapq", "operator", "functools", "numbers", "math", "bisect",
    "textwrap", "calendar", "string", "io", "dataclasses"]
NAMES: dict[str, Any] = {name: importlib.import_module(name) for name in MODULES} | {
    "Color": Color, "Access": Access, "Point": Point, "cached": cached, "named": named, "np": np, "types": types}
EXPRESSIONS = """
    statistics.mean([n,2])
    statistics.median([n,2,5])
    statistics.stdev([n,2,5])
    statistics.fmean([n,2,5])
    fractions.Fraction(n)
    fractions.Fraction(3,n)
    decimal.Decimal(n)
    datetime.timedelta(days=n)
    datetime.date(2020,n,1)
    random.Random(n).random()
    random.Random(0).sample(range(10),n)
    random.Random(0).randint(0,n)
    random.Random(0).uniform(0,n)
    time.gmtime(n)
    struct.pack("i",n)
    struct.pack("d",n)
    array.array("d",[n]).tolist()
    json.dumps({"a":n})
    json.dumps({n:1})
    pickle.loads(pickle.dumps([n]))
    copy.deepcopy({"a":[n]})
    bytes([n])
    bytes(n)
    chr(n+64)
    hex(n)
    complex(n)
    complex(1,n)
    cmath.sqrt(n)
    list(itertools.islice(range(10),n))
    list(itertools.repeat(1,n))
    next(itertools.count(n))
    list(itertools.accumulate([n,2,3]))
    collections.deque(range(5),maxlen=n)
    "a"*n
    uuid.UUID(int=n)
    heapq.nlargest(n,[1,5,3])
    functools.reduce(operator.mul,[n,2,3])
    isinstance(n,numbers.Number),isinstance(n,numbers.Integral),isinstance(n,numbers.Real)
    Color(n)
    Access(n)
    Access(n) | Access.RUN
    Access.READ | n
    (~Access(n)).name
    collections.Counter([n,n,2])
    cached(n)
    named(n)
    Point(n)
    dataclasses.replace(Point(1),n=n)
    dataclasses.asdict(Point(n))
    bisect.bisect([1,2,3],n)
    "{:03d}".format(n)
    "%05.2f|%d|%s" % (n,n,n)
    f"{n!r:>5}{n:+}"
    n in range(10)
    range(10)[n]
    [1,2,3,4][:n]
    int.__add__(n,1)
    n.bit_length()
    n.to_bytes(2,"big")
    int.from_bytes(bytes([n]),"big")
    float(n).is_integer()
    float(n).hex()
    np.random.default_rng(n).integers(0,100)
    np.random.RandomState(n).rand()
    types.SimpleNamespace(n=n)
    dict(types.MappingProxyType({"n":n}))
    calendar.month_name[n]
    sorted([3,n,1],key=lambda v:-v)
    min([3,n,1],key=lambda v:abs(v-2))
    {n,2,3}
    frozenset([n])
    hash((n,2))
    {n:1}
    dict(zip("ab",[n,1]))
    sum([n],0.5)
    math.fsum([n,.5])
    math.prod([n,3])
    math.dist([n,0],[0,n])
    divmod(7,n)
    pow(n,2,7)
    str(n).zfill(4)
    textwrap.indent("a"," "*n)
    io.StringIO(str(n)).read()
    operator.attrgetter("real")(n)
    operator.methodcaller("__add__",1)(n)
    functools.partial(operator.sub,10)(n)
    functools.cmp_to_key(lambda a,b:a-b)(n)<functools.cmp_to_key(lambda a,b:a-b)(2)
    list(itertools.starmap(pow,[(n,2),(2,n)]))
    (lambda *a,**k:(a,k))(*[n],**{"q":n})
    [y:=n,y+1]
    "big" if n>2 else "small"
    0<n<3
    not n
    (n and 5) or 7
    operator.index(n)
    round(n/3,n)
    math.trunc(n/2)
    math.comb(5,n)
    [x for x in [n] if x==3]
    [(k,len(list(g))) for k,g in itertools.groupby([n,n,2])]
    list(itertools.product([n],[1,2]))
    datetime.datetime.fromtimestamp(n,datetime.timezone.utc).isoformat()
    n**.5
    n^5
    ~n
    oct(n)+bin(n)
    ascii(n)
    memoryview(bytes([n])).tolist()
    any([n>1,n>2])
    operator.getitem([5,6,7,8],n)
    collections.defaultdict(int,{n:2})[n]
    collections.ChainMap({"a":n})["a"]
    collections.namedtuple("Q","a b")(n,1)
    string.Template("$a").substitute(a=n)
    vars(types.SimpleNamespace(a=n))
    str(n).encode()
    eval("n+1",{"n":n})
"""


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float64, np.float32, np.int8])
@pytest.mark.filterwarnings("ignore")
def test_what_python_makes_of_a_number(numpy_engine: None, kind: Any) -> None:
    x, lines = torch.ones(1), EXPRESSIONS.strip().splitlines()
    for text in map(str.strip, lines):
        function = eval(f"lambda x, n: (x * 2, ({text}))", NAMES)
        step = torch.jit(function)
        for n in map(kind, (1, 2, 3, 2)):
            assert outcome(step, x, n) == outcome(function, x, n), (text, n)
    print(f"{len(lines)} expressions")
    assert len(lines) > 100


def outcome(function: Any, x: Any, n: Any) -> tuple[str, str]:
    """The value and its type, or the error."""
    try:
        found = function(x, n)[1]
        return type(found).__name__, repr(found)
    except Exception as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("base", [enum.Flag, enum.IntFlag])
def test_the_members_that_flags_make_of_numbers_are_not_the_trace_s(numpy_engine: None, base: Any) -> None:
    kinds = base("Bits", {"A": 1, "B": 2, "C": 4})
    step = torch.jit(lambda x, n: (x * kinds(n).value, kinds(n) | kinds.C, kinds(n)))
    for n in (3, 5, 1, 3, 6):
        scaled, joined, itself = step(torch.ones(1), n)
        assert scaled.item() == n and joined is kinds(n | 4) and itself is kinds(n) and repr(itself) == repr(kinds(n))
    assert {type(member.value) for member in kinds._value2member_map_.values()} == {int}
    with pytest.raises(ValueError, match="invalid value 8"):
        torch.jit(lambda x, n: x * base("Bits", {"A": 1}, boundary=enum.STRICT)(n).value)(torch.ones(1), 8)


LITERAL_SETS: dict[str, Any] = {
    "in": (lambda n: n in {2, 4}, lambda n: n in (2, 4)), "not in": (lambda n: n not in {2, 4}, lambda n: n not in (2, 4)),
    "floats": (lambda n: n in {2.0, 4.5}, lambda n: n in (2.0, 4.5)), "bools": (lambda n: n in {True}, lambda n: n in (True,)),
    "computed": (lambda n: n % 3 in {0, 5}, lambda n: n % 3 in (0, 5)),
    "both": (lambda n: n in {1, 3} or n in {2}, lambda n: n in (1, 3) or n in (2,)),
    "in a comprehension": (lambda n: [k in {2, 3} for k in (n, n + 1)], lambda n: [k in (2, 3) for k in (n, n + 1)]),
    "a tuple": (lambda n: (n, 1) in {(2, 1), (4, 1)}, None), "texts": (lambda n: n in {"a", 2}, None)}


@pytest.mark.parametrize("number", [int, float])
@pytest.mark.parametrize("name", LITERAL_SETS)
def test_whether_a_number_is_in_a_literal_set_is_guarded_by_the_outcome(name: str, number: Any, numpy_engine: None) -> None:
    of_set, of_tuple = LITERAL_SETS[name]
    jitted = torch.jit(lambda n, x: (of_set(n), x * n))
    numbers = [number(n) for n in (1, 2, 3, 4, 5, 6, 1, 2, 7)]
    assert [jitted(n, torch.ones(1))[0] for n in numbers] == [of_set(n) for n in numbers]
    if of_tuple is not None:
        again = torch.jit(lambda n, x: (of_tuple(n), x * n))
        assert [again(n, torch.ones(1))[0] for n in numbers] == [of_tuple(n) for n in numbers]
        assert jitted.stats.compiles == again.stats.compiles < 7
