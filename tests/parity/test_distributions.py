"""Every family against PyTorch: shapes, moments, densities, supports, representations, and what is refused."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

from .distribution_cases import CASES, Make

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_engine")

MEMBERS = ("batch_shape", "event_shape", "has_rsample", "has_enumerate_support", "mean", "mode", "variance", "stddev", "support",
           "arg_constraints", "param_shape", "probs", "logits", "scale_tril", "covariance_matrix", "precision_matrix",
           "concentration", "rate", "df", "loc", "scale", "temperature")
METHODS: dict[str, Callable[[Any], Any]] = {
    "repr": repr, "entropy": lambda d: d.entropy(), "perplexity": lambda d: d.perplexity(),
    "enumerate_support": lambda d: d.enumerate_support(), "enumerate_support(False)": lambda d: d.enumerate_support(False),
    "expand": lambda d: d.expand((5, *d.batch_shape)), "expanded mean": lambda d: d.expand((2, *d.batch_shape)).mean,
    "expanded entropy": lambda d: d.expand((2, *d.batch_shape)).entropy(),
    "expanded type": lambda d: type(d.expand((2, *d.batch_shape))).__name__,
}
OF_VALUES: dict[str, Callable[[Any, Any], Any]] = {
    "log_prob": lambda d, x: d.log_prob(x), "cdf": lambda d, x: d.cdf(x), "icdf": lambda d, x: d.icdf(d.cdf(x)),
    "support.check": lambda d, x: d.support.check(x),
    "expanded log_prob": lambda d, x: d.expand((4, *d.batch_shape)).log_prob(x),
    "log_prob, shape": lambda d, x: d.log_prob(x.new_zeros((7, 5, 3, 11))),
    "log_prob, outside": lambda d, x: d.log_prob(x.to(dtype=x.dtype) * 0 - 5.5),
    "log_prob of a number": lambda d, x: d.log_prob(1.0),
}


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """What a call gives, or the error that it raises, its text without runs of spaces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return plain(function(*args))
        except (ValueError, NotImplementedError, AttributeError, RuntimeError) as error:
            return type(error).__name__, " ".join(str(error).replace("flambeau", "torch").split())


def plain(x: Any) -> Any:
    """A result as numpy arrays and strings."""
    if hasattr(x, "detach"):
        return x.detach().cpu().numpy(), str(x.dtype).replace("flambeau", "torch")
    if isinstance(x, tuple | list):
        return tuple(map(plain, x))
    return x if isinstance(x, int | float | str) else repr(x)


def same(ours: Any, theirs: Any, rtol: float = 2e-5) -> bool:
    """Whether two outcomes agree."""
    if isinstance(theirs, tuple):
        return isinstance(ours, tuple) and len(ours) == len(theirs) and all(map(lambda a, b: same(a, b, rtol), ours, theirs))
    if isinstance(theirs, np.ndarray):
        if not isinstance(ours, np.ndarray) or ours.shape != theirs.shape:
            return False
        exact = theirs.dtype != np.float32
        return np.allclose(ours, theirs, rtol=1e-7 if exact else rtol, atol=1e-9 if exact else 1e-5, equal_nan=True)
    return type(ours) is type(theirs) and bool(ours == theirs)


def values_of(d: Any) -> Any:
    """Some draws of torch's, rounded, so that they look the same in both libraries."""
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = d.sample((2,))
    return drawn if d.event_shape else torch.from_numpy(np.round(drawn.numpy(), 3))


def differences(make: Make) -> list[str]:
    """Where the two libraries differ; what torch has no attribute for may be there."""
    ours, theirs = make(flambeau), make(torch)
    values = values_of(theirs)
    pairs = [(name, outcome(getattr, ours, name), outcome(getattr, theirs, name)) for name in MEMBERS]
    pairs += [(name, outcome(method, ours), outcome(method, theirs)) for name, method in METHODS.items()]
    pairs += [(name, outcome(of, ours, flambeau.tensor(values.numpy())), outcome(of, theirs, values))
              for name, of in OF_VALUES.items()]
    return [f"{name}: {a} instead of {b}" for name, a, b in pairs
            if not (isinstance(b, tuple) and b and isinstance(b[0], str) and b[0] == "AttributeError") and not same(a, b)]


@pytest.mark.parametrize("name", CASES)
def test_a_family_is_torchs(name: str) -> None:
    found = differences(CASES[name])
    assert not found, "\n".join(found)


# --- Names, and what users make of the base ---------------------------------------------------------------------------


def _signature(thing: Any) -> list[Any]:
    return [(p.name, p.kind, str(p.default).replace("flambeau", "torch")) for p in inspect.signature(thing).parameters.values()]


def test_names_and_signatures_are_torchs() -> None:
    ours, theirs = flambeau.distributions, torch.distributions
    assert sorted(ours.__all__) == sorted(theirs.__all__)
    for module in ("constraints", "transforms", "kl", "constraint_registry", "utils"):
        assert set(getattr(theirs, module).__all__) <= set(getattr(ours, module).__all__) | {"lazy_property"}
    for name in theirs.__all__:
        a, b = getattr(ours, name), getattr(theirs, name)
        if inspect.isclass(b):
            assert _signature(a) == _signature(b), name
            bases = [c.__name__ for c in a.__mro__ if c.__name__ not in ("Odds", "Stateless")]
            assert bases == [c.__name__ for c in b.__mro__], name
            public = [n for n, f in inspect.getmembers(b) if not n.startswith("_") and inspect.isfunction(f)]
            assert [n for n in public if [p[0] for p in _signature(getattr(a, n))] != [p[0] for p in _signature(getattr(b, n))]
                    ] == [], name
            assert [n for n in dir(b) if not n.startswith("_") and not hasattr(a, n)] == [], name


def _of_a_user(lib: Any) -> Any:
    D = lib.distributions

    class Mine(D.Distribution):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(lib.Size((2,)))

        def log_prob(self, value: Any) -> Any:
            self._validate_sample(value)
            return value

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        mine = Mine()
        mine.log_prob(lib.zeros(2))
        D.Normal(0.0, 1.0).sample_n(2)
    names = [n for n in dir(D.Distribution) if not n.startswith("_") and n != "set_default_validate_args"]
    seen = [outcome(lambda n=n: (lambda m: m() if callable(m) else m)(getattr(mine, n))) for n in names
            if n not in ("cdf", "icdf", "expand", "log_prob", "sample_n")]
    return seen, [(str(w.message).replace("flambeau", "torch"), w.category) for w in told], outcome(lambda: mine.expand((2,)))


def test_a_users_distribution_is_told_what_torch_tells_it() -> None:
    ours, theirs = (str(_of_a_user(lib)).replace("flambeau", "torch") for lib in (flambeau, torch))
    assert ours == theirs


@pytest.mark.parametrize("name", CASES)
def test_distributions_can_be_copied(name: str) -> None:
    d = CASES[name](flambeau)
    assert repr(d) == repr(copy.deepcopy(d)) == repr(pickle.loads(pickle.dumps(d)))


def test_the_namespace_is_loaded_on_first_use() -> None:
    code = ("import sys, flambeau; print('flambeau.distributions' in sys.modules, flambeau.distributions.Normal(0.0, 1.0));"
            "import flambeau.distributions as d; print(d is flambeau.distributions)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["False Normal(loc: 0.0, scale: 1.0)", "True"], done.stderr
