"""What no guard can see: things that give another value at each use, and say nothing of it."""

from __future__ import annotations

import builtins
import pathlib
import random
import threading
import types
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from .statics import defined, home_of, is_a

_FILES = {"exists", "is_file", "is_dir", "stat", "iterdir", "glob", "open", "read_text", "read_bytes", "cwd", "home"}
_CHANGING = {
    "time": {"time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time"},
    "random": {"random", "randint", "randrange", "uniform", "gauss", "normalvariate", "choice", "choices", "sample",
               "shuffle", "getrandbits"},
    "datetime": {"now", "today", "utcnow"}, "numpy": {"random", "geterr"},
    "os": {"urandom", "getcwd", "listdir", "scandir", "stat"},
    "posixpath": {"exists", "isfile", "isdir", "getsize", "getmtime"}, "pathlib": _FILES,
    "uuid": {"uuid1", "uuid4"}, "secrets": {"token_bytes", "token_hex", "randbelow", "randbits", "choice"},
    "sys": {"_getframe", "getrecursionlimit", "gettrace"}, "decimal": {"getcontext"},
    "threading": {"active_count", "current_thread", "get_ident"}, "inspect": {"currentframe", "stack"},
    "abc": {"get_cache_token"}}
_SEEDED = {"default_rng", "RandomState", "Generator"}  # generators that the code makes for itself
_BOUND = (types.MethodType, types.BuiltinMethodType)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_DRAWS = (random.Random, np.random.Generator, np.random.RandomState)
_UNSEEN = frozenset({"eval", "exec", "globals", "open", "input"})
_PROXIES = (weakref.ProxyType, weakref.CallableProxyType)
_LOCK = type(threading.Lock())


def impure(name: str, value: Any, attributes: frozenset[str]) -> Iterator[str]:
    """What gives another value at each use, among the things that code mentions under `name`."""
    if is_a(value, (types.ModuleType, type, pathlib.PurePath)):
        home = home_of(value)
        if not (home == "numpy" and attributes & _SEEDED):
            yield from (f"{name}.{used}" for used in attributes & _CHANGING.get(home, set()))
    elif is_a(value, _DRAWS) or (is_a(value, _BOUND) and is_a(value.__self__, _DRAWS)):
        yield f"{name}, which draws from a random generator of numpy or Python"
    elif is_a(value, _LOCK) and "locked" in attributes:
        yield f"{name}.locked()"
    elif is_a(value, _FUNCTIONS) and value.__name__ in _CHANGING.get(home_of(value), set()):
        yield name
    elif defined(type(value), "__next__") is not None and not is_a(value, _PROXIES):
        yield f"{name}, an iterator"


def unseen(names: frozenset[str], variables: dict[str, Any]) -> Iterator[str]:
    """Functions of Python's, among the names that code mentions, that read what is not in the code."""
    for name in sorted(names & _UNSEEN):
        if variables.get(name) in (None, vars(builtins)[name]):
            yield f"{name}()"
