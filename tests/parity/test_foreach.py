"""torch's functions on lists of tensors, as results and in place, against torch."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402

NAMES = [name for name in dir(torch) if name.startswith("_foreach_")]
ARRAYS = [np.array([[0.25, 0.5], [0.75, 0.125]], "f"), np.array([0.5, 0.375], "f")]
OTHERS = [np.array([[0.5, 0.75], [0.25, 0.5]], "f"), np.array([0.125, 0.875], "f")]
BINARY = ("add", "div", "mul", "pow", "sub", "clamp_max", "clamp_min", "maximum", "minimum")


def lists(lib):
    return [lib.tensor(a) for a in ARRAYS], [lib.tensor(a) for a in OTHERS]


def calls(name):
    """What each function is called with: functions of the library and the two lists."""
    base = name.removeprefix("_foreach_").rstrip("_")
    if base in BINARY:
        found = [lambda t, a, b: (a, 2.0), lambda t, a, b: (a, b), lambda t, a, b: (a, [0.5, 2.0])]
        if base in ("add", "div", "mul", "sub"):
            found.append(lambda t, a, b: (a, t.tensor(3.0)))
        return found + ([lambda t, a, b: (2.0, a)] if name == "_foreach_pow" else [])
    if base in ("addcmul", "addcdiv"):
        return [lambda t, a, b: (a, b, b), lambda t, a, b: (a, b, b, 0.5), lambda t, a, b: (a, b, b, [0.5, 3.0]),
                lambda t, a, b: (a, b, b, t.tensor([0.5, 3.0]))]
    if base == "lerp":
        return [lambda t, a, b: (a, b, 0.25), lambda t, a, b: (a, b, b), lambda t, a, b: (a, b, [0.25, 0.5])]
    if base in ("norm", "powsum"):
        return [lambda t, a, b: (a,), lambda t, a, b: (a, 1), lambda t, a, b: (a, 3.0)]
    if base == "copy":
        return [lambda t, a, b: (a, b)]
    if base == "mm":
        return [lambda t, a, b: (a[:1], b[:1])]
    return [lambda t, a, b: (a,)]


CASES = [(name, i) for name in NAMES for i in range(len(calls(name)))]


def run(lib, name, index, changes=lambda f: f):
    """The results, and what the first list holds afterwards."""
    a, b = lists(lib)
    args = calls(name)[index](lib, a, b)
    result = changes(lambda: getattr(lib, name)(*args))()
    return result, a, result is args[0]


def equal(ours, theirs):
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs, strict=True):
        assert str(x.dtype) == str(y.dtype) and tuple(x.shape) == tuple(y.shape)
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "index"), CASES)
def test_results_are_torchs(name, index, numpy_engine):
    ours, theirs = run(fb, name, index), run(torch, name, index)
    assert type(ours[0]) is type(theirs[0]) and ours[2] == theirs[2]
    equal(ours[0], theirs[0])
    equal(ours[1], theirs[1])
    jitted = run(fb, name, index, fb.jit)
    equal(jitted[0], theirs[0])
    equal(jitted[1], theirs[1])


def test_keywords_and_multiples():
    for name in ("_foreach_add", "_foreach_sub"):
        for args in (lambda t, a, b: (a, b), lambda t, a, b: (a, t.tensor(2.0)))[: 2 if name == "_foreach_add" else 1]:
            equal(*(getattr(lib, name)(*args(lib, *lists(lib)), alpha=0.5) for lib in (fb, torch)))
    equal(*(lib._foreach_addcdiv(*lists(lib), lists(lib)[1], value=-2.0) for lib in (fb, torch)))
    equal(*(lib._foreach_clone(lists(lib)[0]) for lib in (fb, torch)))


@pytest.mark.parametrize("wrong", [
    lambda t, a, b: t._foreach_sqrt([]), lambda t, a, b: t._foreach_add([], 1.0), lambda t, a, b: t._foreach_add(a, [1.0]),
    lambda t, a, b: t._foreach_mul(a, b[:1]), lambda t, a, b: t._foreach_addcmul(a, b, b[:1]),
    lambda t, a, b: t._foreach_addcmul(a, b, b, [1.0]),
])
def test_errors_are_torchs(wrong):
    texts = []
    for lib in (torch, fb):
        with pytest.raises(RuntimeError) as told:
            wrong(lib, *lists(lib))
        texts.append(str(told.value))
    assert texts[0] == texts[1]


def test_gradients_go_through(numpy_engine):
    found = []
    for lib in (fb, torch):
        a, b = ([x.requires_grad_() for x in part] for part in lists(lib))
        sum(x.sum() for x in lib._foreach_mul(lib._foreach_sqrt(a), b)).backward()
        found.append([x.grad for x in (*a, *b)])
    equal(*found)
