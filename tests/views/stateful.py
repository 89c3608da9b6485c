"""Random programs that take numbers, write containers and create state, as source text that PyTorch and we run call by call.

In the text a condition is written `SEEN(...)`, a number whose value becomes a shape or a key `VALUE(...)`, one whose class
depends on values `KIND(...)`, one that is numpy's or Python's `NUMPY(...)`, a tensor whose shape does `SHAPE(...)`. For PyTorch
these note what they are given: two calls that note the same and find the world built alike may not cost two compiles, but for
`ANEW(...)`: what is bound to a place outside and is no plain tensor made in the call, or is bound in one branch alone, may cost
one each time. A tensor that a write is made to is `WRITTEN(...)`. For us the words are not there.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import re
from collections.abc import Callable
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from flambeau.tracer.tensor.operations import NUMPY

from .catalogue import ARGUMENTS, BETWEEN, ENDINGS, EXPRESSIONS, FAMILIES, NUMBERS, OUTSIDE, RESULTS, WAYS
from .programs import STEPS, _like, gradients, loss, overlaps, properties

KINDS = ((np.int64, np.float64), (np.int32, np.float32), (lambda n: n, np.float64))  # of the numbers of some programs
NUMBER_TYPES = frozenset({"int", "float"} | {kind.__name__ for kind in NUMPY})
MARKS = ("SEEN", "AMONG", "VALUE", "KIND", "NUMPY", "SHAPE", "ANEW", "WRITTEN")


class Statement(NamedTuple):
    """Lines of the program, the family that they come from, and the tensor that they make, if they always do."""

    family: str
    text: str
    makes: str | None


class Call(NamedTuple):
    """What a call is given: a whole number, another number, how many rows `x` has; and what is done outside before it."""

    n: Any
    s: Any
    rows: int
    before: str


class Program(NamedTuple):
    """How the function reaches its world, what it does, how it ends, what it returns, and its calls.

    `fresh`: the container among the arguments is made anew for each call; `shared`: it holds a list that the function also
    reaches another way; `held`: all that was seen once is kept alive.
    """

    way: str
    fresh: bool
    shared: bool
    held: bool
    ending: str
    returned: int
    statements: tuple[Statement, ...]
    calls: tuple[Call, ...]

    def __str__(self) -> str:
        calls = "\n".join(f"{call.before + '; ' if call.before else ''}step(n={call.n!r}, s={call.s!r}), x of {call.rows} rows"
                          for call in self.calls)
        flags = ", ".join(name for name in ("fresh", "shared", "held") if getattr(self, name))
        return f"{plain(source(self))}\n{flags}\n{calls}"


# --- Making them ------------------------------------------------------------------------------------------------------


class Writer:
    """Fills the templates of the catalogue; a letter in braces is one thing for all of a template where it is small."""

    def __init__(self, rng: Any) -> None:
        self.rng, self.tensors, self.numbers, self.made = rng, ["p", "x", "y", "z"], list(NUMBERS), 0

    def choice(self, given: Any) -> Any:
        return given[int(self.rng.integers(len(given)))]

    def tensor(self, bound: bool = False) -> str:
        """Newer ones are used more often; `bound`: one whose name the function may bind."""
        names = self.tensors[1:] if bound else self.tensors
        return names[-1 - (int(self.rng.geometric(0.3)) - 1) % len(names)]

    def filled(self, text: str, known: dict[str, str] | None = None) -> str:
        known = {} if known is None else known

        def put(found: re.Match[str]) -> str:
            letter = found[1]
            if letter in known:
                return known[letter]
            if letter in "tu":
                known[letter] = self.tensor()
                return known[letter]
            if letter == "w" or letter == "r":
                return str(self.choice([name for name, kind in self.numbers if kind == letter]))
            return self.filled(self.choice(EXPRESSIONS[letter]), known)

        return re.sub(r"\{(\w+)\}", put, text)

    def statement(self, family: str) -> Statement:
        """One statement; a third of them in a condition, where they make no new tensor."""
        template = self.choice(FAMILIES[family])
        inside = self.rng.random() < 0.3
        new = self.tensor(bound=True) if inside or "{new}" not in template else f"t{self.made}"
        number = f"k{self.made}"
        self.made += 1
        text = self.filled(template, {"new": new, "number": number})
        if "{number}" in template and not inside:
            self.numbers.append((number, "w" if template.startswith("{number} = {W}") else "r"))
        if inside:
            condition = self.filled(self.choice(EXPRESSIONS["C"]))
            text = f"if {condition}:\n" + indented(text if family not in ("container", "created") else f"ANEW(0)\n{text}")
            if self.rng.random() < 0.4:
                text += "\nelse:\n" + indented(self.filled(self.choice(FAMILIES[family]), {"new": new, "number": number}))
            return Statement(family, text, None)
        if "{new}" in template:
            self.tensors.append(new)
        return Statement(family, text, new if "{new}" in template else None)


def random_stateful(rng: Any, longest: int = 7, calls: int = 6) -> Program:
    """Two to `longest` statements of all families, called `calls` times."""
    writer = Writer(rng)
    names = list(FAMILIES)
    weights = (0.1, 0.25, 0.2, 0.25, 0.2)
    statements = tuple(writer.statement(names[int(rng.choice(len(names), p=weights))])
                       for _ in range(int(rng.integers(2, longest + 1))))
    grows = rng.random() < 0.1
    floats = rng.random() < 0.1  # the whole number becomes one that is none
    whole, real = KINDS[int(rng.integers(len(KINDS)))] if rng.random() < 0.2 else (lambda n: n, float)
    made = [Call(whole(int(rng.integers(0, 7)) + (0.5 if floats and i == 3 else 0)), real(round(float(rng.normal()), 2) or 0.5),
                 4 if grows and i == 2 else 3, writer.choice(BETWEEN) if i and rng.random() < 0.15 else "")
            for i in range(calls)]
    return Program(writer.choice(list(WAYS)), *(bool(rng.random() < q) for q in (0.5, 0.1, 0.5)), writer.choice(list(ENDINGS)),
                   int(rng.integers(1 << 16)), statements, tuple(made))


def indented(text: str) -> str:
    return "\n".join("    " + line for line in text.split("\n"))


def body(program: Program) -> tuple[list[str], list[int | None]]:
    """The lines of the function, and the number of the statement that each belongs to."""
    first, last = ENDINGS[program.ending]
    tensors = ["p", "x", "y", "z", *(s.makes for s in program.statements if s.makes)]
    returned = [name for i, name in enumerate((*tensors[4:], *RESULTS)) if program.returned >> i % 16 & 1]
    parts: list[tuple[int | None, str]] = [(None, "global COUNT"), *((None, line) for line in WAYS[program.way]), (None, first)]
    parts += [(i, s.text) for i, s in enumerate(program.statements)]
    parts += [(None, last.replace("TENSORS", ", ".join(tensors))),
              (None, f"return [{', '.join([*returned, *(['grads'] if 'grads' in last else [])])}]")]
    lines = [(i, line) for i, text in parts for line in text.split("\n") if line]
    return [line for _, line in lines], [i for i, _ in lines]


def source(program: Program) -> str:
    """The text, with its marks. The function starts in line 1 for every way."""
    parameters = [*(["self"] if program.way in ("method", "module") else []), *ARGUMENTS,
                  *(OUTSIDE if program.way == "argument" else [])]
    return f"def step({', '.join(parameters)}):\n" + indented("\n".join(body(program)[0]))


def plain(text: str) -> str:
    """Without the marks."""
    return re.sub(rf"\b({'|'.join(MARKS)})\(", "(", text)


# --- The world of a program -------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Record:
    """A dataclass of the user's."""

    a: Any
    k: Any


class Holder:
    """An object of the user's; a module has the same attributes."""

    def fill(self, torch: Any) -> None:
        self.h, self.buf, self.calls, self.rate = torch.zeros(4, dtype=torch.float64), None, 0, 0.5
        self.items: list[Any] = []
        self.table: dict[Any, Any] = {}


class World:
    """Everything that a function reaches, of one library."""

    def __init__(self, torch: Any, program: Program) -> None:
        self.torch, self.program = torch, program
        module = program.way == "module"
        self.obj = type("Holder", (torch.nn.Module, Holder) if module else (Holder,), {})()
        self.obj.fill(torch)
        self.p = torch.tensor([0.3, -0.7, 1.1, 0.9], dtype=torch.float64, requires_grad=True)
        if module:
            self.p = self.obj.weight = torch.nn.Parameter(torch.tensor(self.p.tolist(), dtype=torch.float64))
        self.state: dict[str, Any] = {}
        self.log: list[Any] = []
        self.queue: collections.deque[Any] = collections.deque([torch.ones(2, dtype=torch.float64)], maxlen=3)
        self.batch = self.made_batch()
        if program.way == "method":
            self.obj.state, self.obj.log, self.obj.queue, self.obj.p = self.state, self.log, self.queue, self.p
        elif module:
            self.obj.state, self.obj.log, self.obj.queue = self.state, self.log, self.queue

    def made_batch(self) -> dict[str, Any]:
        torch = self.torch
        first = torch.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=torch.float64)
        return {"x": first, "l": self.log if self.program.shared else [first * 2, first], "d": {"k": first + 1},
                "o": Record(first - 1, 2), "k": 3, "r": 0.25}

    def arguments(self, i: int) -> dict[str, Any]:
        """Those of a call."""
        torch, call = self.torch, self.program.calls[i]
        rows = np.arange(call.rows * 4).reshape(call.rows, 4)
        if self.program.fresh:
            self.batch = self.made_batch()
            self.batch["k"], self.batch["r"] = 3 + i, 0.25 * i
        found = {"x": torch.tensor(np.sin(rows + 0.7 * i)), "y": torch.tensor(np.cos(np.arange(4) * (1 + i))),
                 "z": torch.arange(6).reshape(2, 3) + i, "n": call.n, "s": call.s, "batch": self.batch}
        return {**found, **self.outside()} if self.program.way == "argument" else found

    def outside(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in OUTSIDE}

    def function(self, text: str, names: dict[str, Any], wrap: Callable[[Any], Any]) -> Any:
        """The function that the text is, reaching this world in the program's way."""
        used = {f"do_{name}": function for name, function in STEPS.items() if f"do_{name}(" in text}
        self.names = names = {"torch": self.torch, "F": self.torch.nn.functional, "math": math, "sqrt": sqrt, "like": _like,
                              "gradients": gradients, "loss": loss, "Record": Record, "COUNT": 0, **used, **names}
        if self.program.way == "global":
            names.update(self.outside())
        if self.program.way == "closure":
            text = f"def make({', '.join(OUTSIDE)}):\n" + indented(text) + "\n    return step"
        exec(compile(text, "<program>", "exec"), names)
        if self.program.way == "closure":
            return wrap(names["make"](**self.outside()))
        if self.program.way == "method":
            type(self.obj).step = wrap(names["step"])
            return self.obj.step
        if self.program.way == "module":
            type(self.obj).forward = names["step"]
            return wrap(self.obj)
        return wrap(names["step"])

    def all(self) -> list[Any]:
        return [self.obj, self.state, self.log, self.queue, self.p, self.p.grad, self.names["COUNT"]]


# --- What there is ----------------------------------------------------------------------------------------------------


class Seen:
    """Numbers objects in the order in which they are seen; kept alive if `held`, so that a number means one object.

    `history`: it matters whether tensors require grad.
    """

    def __init__(self, held: bool, history: bool = True) -> None:
        self.held, self.history = held, history
        self.numbers: dict[int, int] = {}
        self.kept: list[Any] = []
        self.here: set[int] = set()  # what this description has met

    def again(self) -> None:
        """A description begins."""
        self.here = set()
        if not self.held:
            self.numbers, self.kept = {}, []

    def number(self, x: Any) -> tuple[int, bool]:
        """That of an object, and whether it was met in this description."""
        met = id(x) in self.here
        self.here.add(id(x))
        self.kept.append(x)
        return self.numbers.setdefault(id(x), len(self.numbers)), met


def described(x: Any, seen: Seen, tensors: list[Any]) -> Any:
    """What a thing holds, down to tensors, which are collected; what was met before is its number."""
    if x is None or isinstance(x, (str, bool)):
        return x
    if isinstance(x, (int, float, np.number, np.bool_)):
        return type(x).__name__, repr(x)
    if isinstance(x, tuple):
        return ("tuple", *(described(v, seen, tensors) for v in x))
    number, met = seen.number(x)
    if met:
        return "met", number
    if hasattr(x, "storage_offset"):
        tensors.append(x)
        return "tensor", number, *properties(x)[:6 if seen.history else 5]
    return type(x).__name__, number, *((k, described(v, seen, tensors)) for k, v in items(x))


def description(x: Any, seen: Seen) -> tuple[Any, list[Any]]:
    """Of everything in a list, and the tensors in it."""
    tensors: list[Any] = []
    seen.again()
    return described(x, seen, tensors), tensors


def items(x: Any) -> list[tuple[Any, Any]]:
    """What a container holds; of a module what is the user's."""
    if isinstance(x, dict):
        return [((type(k).__name__, repr(k)), v) for k, v in x.items()]
    if isinstance(x, (list, collections.deque)):
        return list(enumerate(x))
    return [(k, v) for k, v in vars(x).items() if not k.startswith("_") and k != "training"]


def structure(found: Any) -> Any:
    """A description without the values of numbers."""
    if is_number(found):
        return found[0]
    return tuple(map(structure, found)) if isinstance(found, tuple) else found


def is_number(found: Any) -> bool:
    """Whether this part of a description is that of a number."""
    return isinstance(found, tuple) and len(found) == 2 and found[0] in NUMBER_TYPES


def numbers(found: Any, path: tuple[Any, ...] = ()) -> dict[Any, Any]:
    """Where a description has numbers, and which."""
    if is_number(found):
        return {path: found}
    parts = found if isinstance(found, tuple) else ()
    return {k: v for i, part in enumerate(parts) for k, v in numbers(part, (*path, i)).items()}


def objects(found: Any, path: tuple[Any, ...] = ()) -> dict[Any, int]:
    """Where a description has tensors, and which."""
    if not isinstance(found, tuple):
        return {}
    if found and found[0] in ("tensor", "met"):
        return {path: found[1]}
    return {k: v for i, part in enumerate(found) for k, v in objects(part, (*path, i)).items()}


def difference(a: Any, b: Any) -> Any:
    """The innermost parts of two descriptions that differ."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return [d for x, y in zip(a, b) if x != y for d in [difference(x, y)]]
    return f"{a} is not {b}"


def array(t: Any) -> Any:
    """The values of a tensor of either library."""
    t = t.detach()
    t = t.resolve_conj().resolve_neg() if hasattr(t, "resolve_neg") else t
    return np.array(t.tolist())


def shift(tensors: list[Any]) -> None:
    """Write to all tensors, by which it shows who lies in the memory of whom."""
    for k, t in enumerate(tensors):
        if t.dtype.is_floating_point and not overlaps(t):
            t.detach().add_(k + 1)
