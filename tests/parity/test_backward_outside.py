"""Backward outside a jitted forward with several outputs: what flows where, what is spent, what hooks see, as without jit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import flambeau

from ..engines import on_numpy

real = pytest.importorskip("torch")

PROGRAMS = 300
Jit = Callable[[Callable[..., Any]], Callable[..., Any]]


# --- Cases ------------------------------------------------------------------------------------------------------------


def of_heads_apart(torch: Any, jit: Jit) -> Any:
    """A loss of one head leaves the other without a gradient, so that an optimizer leaves it alone."""
    one, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    for p in [*one.parameters(), *other.parameters()]:
        torch.nn.init.constant_(p, 0.5)
    optimizer = torch.optim.AdamW([*one.parameters(), *other.parameters()], lr=0.1, weight_decay=0.5)
    step, told = jit(lambda x: (one(x).sum(), other(x).sum())), []
    for _ in range(3):
        optimizer.zero_grad()
        first, _ = step(torch.ones(1, 2))
        first.backward()
        optimizer.step()
        told += [other.weight.grad is None, other.weight.tolist(), one.weight.tolist()]
    first, second = step(torch.ones(1, 2))
    first.backward()
    second.backward()
    return told, other.weight.grad.tolist()


def of_one_after_another(torch: Any, jit: Jit) -> Any:
    """What two losses share is let go of by the first backward, and nothing else."""
    w, v = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 2.0], requires_grad=True)
    step = jit(lambda: ((w ** 2).sum(), (v ** 2).sum(), (w * v).exp().sum(), (w * v).sin().exp().sum()))
    a, b, c, d = step()
    told = [raised(torch.autograd.grad, a, v), torch.autograd.grad(b, w, allow_unused=True)[0] is None]
    for loss in (a, b, c, d, a):
        told.append(raised(loss.backward))
    return told, w.grad.tolist(), v.grad.tolist()


def of_a_pipeline(torch: Any, jit: Jit) -> Any:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    a, c = jit(lambda: (lambda a: (a, (a ** 3).sum()))(w ** 2))()
    (middle,) = torch.autograd.grad(c, a)
    a.backward(middle)
    return w.grad.tolist()


def of_hooks_in_a_row(torch: Any, jit: Jit) -> Any:
    """Of results that are computed from each other, and of what the step has hooked itself."""
    def f(w: Any) -> Any:
        h = w * 2
        h.register_hook(lambda g: g * 3)
        k = h * h
        return h, k, (k * h).sum()

    step, told, w = jit(f), [], torch.ones(2, requires_grad=True)
    for _ in range(3):
        h, k, loss = step(w)
        h.register_hook(partial(noted, told, "h", 10))
        k.register_hook(partial(noted, told, "k", 2))
        k.retain_grad()
        (loss + (h * 3).sum() + k.sum()).backward()
        told += [w.grad.tolist(), k.grad.tolist()]
    return told


def of_hooks_inside(torch: Any, jit: Jit) -> Any:
    """They run at each backward, on real tensors."""
    told: list[Any] = []
    kept: dict[str, Any] = {}

    def f(w: Any) -> Any:
        h = w * 2
        h.register_hook(lambda g: told.append(g.sum().item()) or kept.update(g=g))
        return (h ** 2).sum()

    step = jit(f)
    for i in range(4):
        w = torch.full((2,), float(i), requires_grad=True)
        step(w).backward()
        told += [kept["g"].tolist(), w.grad.tolist()]
    return told


def of_hooks_in_their_order(torch: Any, jit: Jit) -> Any:
    """What was computed last comes first; a leaf's hooks run once a pass, on all of its gradient."""
    told: list[Any] = []
    w = torch.ones(2, requires_grad=True)
    w.register_hook(partial(noted, told, "w", 2.0))

    def f() -> Any:
        made = [w * (i + 1) for i in range(4)]
        for i, y in enumerate(made):
            y.register_hook(partial(noted, told, i, 1.0 + i))
        return made[0].sum() + sum(made[::-1]).sum(), made[3]

    step = jit(f)
    for _ in range(3):
        loss, one = step()
        one.register_hook(partial(noted, told, "outside", 3.0))
        (loss + one.sum()).backward()
        told.append(w.grad.tolist())
    return told


def of_hooks_of_modules(torch: Any, jit: Jit) -> Any:
    model, seen = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)), []
    for p in model.parameters():
        torch.nn.init.constant_(p, 0.5)
    model[1].register_full_backward_hook(lambda module, inputs, outputs: seen.append(outputs[0]))
    step = jit(model)
    for i in range(3):
        step(torch.ones(1, 2) * i).sum().backward()
    return [g.tolist() for g in seen], model[0].weight.grad.tolist()


def of_functions_of_users(torch: Any, jit: Jit) -> Any:
    """What a `backward` reads is read at each backward, and what it does is done."""
    scale, count = {"by": 1.0}, [0]

    class Scaled(torch.autograd.Function):  # type: ignore[name-defined, misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            count[0] += 1
            return g * scale["by"]

    w = torch.ones(2, requires_grad=True)
    step, told = jit(lambda x: Scaled.apply(x * w).sum()), []
    for by in (1.0, 2.0, 3.0):
        loss, w.grad = step(torch.ones(2)), None
        scale["by"] = by
        loss.backward()
        told.append(w.grad.tolist())
    return told, count


def of_views_of_leaves(torch: Any, jit: Jit) -> Any:
    step, told = jit(lambda v: v * 3), []
    for view in (lambda w: w[:2], lambda w: w.view(2, 2)[0], lambda w: w[None][0, 1:3], lambda w: w.unbind()[0].expand(2)):
        w, p = torch.ones(4, requires_grad=True), torch.ones(2, requires_grad=True)
        (step(view(w)) * p).sum().backward()
        told.append(w.grad.tolist())
    w = torch.ones(4, requires_grad=True)
    view = w[:1]
    step(view).sum().backward()
    step(view).sum().backward()
    return told, w.grad.tolist()


def of_a_tensor_and_its_detached(torch: Any, jit: Jit) -> Any:
    told = []
    for pair in (lambda x: (x, x.detach()), lambda x: (x.detach(), x), lambda x: (x * 2, (x * 2).detach()),
                 lambda x: (lambda y: (y, y.detach()))(x * 2), lambda x: (x.view(2), x.detach())):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        jit(lambda a, b: (a * b + a).sum())(*pair(x)).backward()
        told.append(x.grad.tolist())
    return told


def of_what_is_retained_inside(torch: Any, jit: Jit) -> Any:
    w, told = torch.ones(2, requires_grad=True), []

    def f(x: Any) -> Any:
        h = x * w
        h.retain_grad()
        return h, (h * h).sum()

    step = jit(f)
    for i in range(3):
        h, loss = step(torch.ones(2) * i)
        h.register_hook(lambda g: g * 2)
        loss.backward()
        told += [w.grad.tolist(), h.grad.tolist(), h.retains_grad, h.is_leaf]
    return told


def of_a_checkpoint_beside(torch: Any, jit: Jit) -> Any:
    w, told = torch.ones(2, requires_grad=True), []
    region = torch.utils.checkpoint.checkpoint
    step = jit(lambda x: (region(lambda y: (y * w).sin(), x, use_reentrant=False).sum(), (x * w).sum()))
    for i in range(2):
        first, second = step(torch.ones(2) * i)
        second.backward()
        told.append(w.grad.tolist())
        first.backward()
        told.append(w.grad.tolist())
    return told


def of_what_the_gradient_was_given(torch: Any, jit: Jit) -> Any:
    """Gradients are linear in what they were given, which may require a gradient alone."""
    step, told = jit(lambda x: (x.sin() * x, x.sum() * 3)), []
    for frozen in (False, True):
        x, v = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([0.5, 3.0], requires_grad=True)
        y, _ = step(x)
        (g,) = torch.autograd.grad(y, x, v if not frozen else v * 2, create_graph=True)
        told += [t.tolist() for t in torch.autograd.grad(g.sum(), [v], retain_graph=True)]
        told += [t.tolist() for t in torch.autograd.grad((g * g).sum(), [x, v], retain_graph=True)]
        (h,) = torch.autograd.grad(g, v, torch.ones(2, requires_grad=True), create_graph=True)
        told += [t.tolist() for t in torch.autograd.grad(h.sum(), x)]
    return told


CASES = [of_heads_apart, of_one_after_another, of_a_pipeline, of_hooks_in_a_row, of_hooks_inside,
         of_hooks_in_their_order, of_hooks_of_modules, of_functions_of_users, of_views_of_leaves,
         of_a_tensor_and_its_detached, of_what_is_retained_inside, of_a_checkpoint_beside, of_what_the_gradient_was_given]


def noted(told: list[Any], name: Any, by: float, g: Any) -> Any:
    """A hook."""
    told.append((name, g.tolist()))
    return g * by


def raised(function: Callable[..., Any], *args: Any) -> str | None:
    try:
        function(*args)
    except RuntimeError as error:
        return str(error)[:40]
    return None


@pytest.mark.parametrize("way", ["lazily", "jitted"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_backward_outside(case: Callable[[Any, Jit], Any], way: str) -> None:
    with on_numpy():
        found = case(flambeau, flambeau.jit if way == "jitted" else lambda f: f)
    assert near(case(real, lambda f: f), found)


# --- Random programs --------------------------------------------------------------------------------------------------


STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "mul": lambda x, y: x * y, "add": lambda x, y: x + y, "sin": lambda x, y: x.sin(), "exp": lambda x, y: (x * 0.1).exp(),
    "view": lambda x, y: (x * 1).view(-1)[:2], "sum": lambda x, y: x.sum() * y}


def random_forward(torch: Any, rng: np.random.Generator, hooks: bool = True) -> Callable[..., Any]:
    """A function of three tensors that computes some others from each other, and returns some of them."""
    count = int(rng.integers(2, 7))
    steps = [(str(rng.choice(list(STEPS))), *map(int, rng.integers(0, 3 + i, 2))) for i in range(count)]
    given = sorted({int(i) for i in rng.integers(3, 3 + count, 4)})
    retained, hooked = int(rng.integers(3, 3 + 3 * count)), int(rng.integers(3, 3 + 3 * count))

    def forward(*leaves: Any) -> Any:
        made = list(leaves)
        for name, i, j in steps:
            made.append(STEPS[name](made[i], made[j]))
            if hooks and len(made) - 1 == retained:
                made[-1].retain_grad()
            if hooks and len(made) - 1 == hooked:
                made[-1].register_hook(lambda g: g * 1.5)
        return [made[i] for i in given]

    return forward


def used(torch: Any, forward: Callable[..., Any], rng: np.random.Generator) -> list[Any]:
    """Two calls, and what some hooks, backward passes and gradients outside give."""
    leaves = [torch.tensor(x, requires_grad=True) for x in ([0.5, 1.5], [1.0, -2.0], [0.25, 3.0])]
    told: list[Any] = []
    for _ in range(2):
        outputs = [x for x in forward(*leaves) if x.requires_grad]
        for x in [*outputs, *leaves]:
            if rng.random() < 0.2 and x.requires_grad:
                x.retain_grad()
        seen: list[Any] = []
        for i, x in enumerate(outputs):
            if rng.random() < 0.3:
                x.register_hook(partial(noted, seen, i, 2.0 + i))
        for _ in range(int(rng.integers(1, 4))):
            found = one_use(torch, outputs, leaves, rng)
            told += [found] if isinstance(found, str) else [found, sorted(seen)]
            if isinstance(found, str):
                return told  # what is done before torch finds that it cannot go on is its own affair
            seen.clear()
        told.append([None if x.grad is None else x.grad.tolist() for x in [*outputs, *leaves] if x.is_leaf or x.retains_grad])
    return told


def one_use(torch: Any, outputs: list[Any], leaves: list[Any], rng: np.random.Generator) -> Any:
    """One backward pass, or the gradients between some tensors; the error if there is one."""
    ends = [outputs[i] for i in {int(i) for i in rng.integers(0, len(outputs), 2)}]
    goal = ([*leaves, *outputs])[int(rng.integers(0, len(leaves) + len(outputs)))]
    keep, how = bool(rng.random() < 0.4), rng.random()
    loss = sum((x * (i + 1)).sum() for i, x in enumerate(ends))
    try:
        if how < 0.6:
            return loss.backward(retain_graph=keep)
        if how < 0.8 and (goal.is_leaf or not goal.retains_grad):  # of those torch adds the gradient twice
            return loss.backward(retain_graph=keep, inputs=[goal])
        found = torch.autograd.grad(loss, [goal], retain_graph=keep, allow_unused=True)[0]
        return None if found is None else found.tolist()
    except RuntimeError as error:
        return str(error)[:40]


def near(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(near, a, b))
    return abs(a - b) <= 1e-4 * max(1.0, abs(a)) if isinstance(a, float) and isinstance(b, float) else a == b


@pytest.mark.parametrize("part", range(10))
def test_what_is_done_with_the_outputs_of_a_jitted_function(part: int) -> None:
    """As in torch or as lazily, where a second pass through what saves nothing raises and `grad` fills no `.grad`."""
    of_torch = of_neither = 0
    for k in range(part, PROGRAMS, 10):
        wanted, lazily, jitted = all_ways(k)
        of_torch += near(wanted, jitted)
        of_neither += not near(wanted, jitted) and not near(lazily, jitted)
    assert of_torch > 0.4 * PROGRAMS / 10 and of_neither <= 0.1 * PROGRAMS / 10


def all_ways(k: int) -> list[Any]:
    results = []
    for torch, jit in ((real, lambda f: f), (flambeau, lambda f: f), (flambeau, flambeau.jit)):
        with on_numpy():
            forward = jit(random_forward(torch, np.random.default_rng([3, k])))
            results.append(used(torch, forward, np.random.default_rng([4, k])))
    return results


@pytest.mark.parametrize("part", range(5))
def test_gradients_of_gradients_of_all_that_requires_one(part: int) -> None:
    """To three orders, to leaves, results and what earlier gradients were given."""
    for k in range(part, 100, 5):
        told = []
        for torch, jit in ((real, lambda f: f), (flambeau, flambeau.jit)):
            with on_numpy():
                forward = jit(random_forward(torch, np.random.default_rng([5, k]), hooks=False))
                told.append(differentiated(torch, forward, np.random.default_rng([6, k])))
        assert near(*told), k


def differentiated(torch: Any, forward: Callable[..., Any], rng: np.random.Generator) -> list[Any]:
    leaves = [torch.tensor(x, requires_grad=True) for x in ([0.5, 1.5], [1.0, -2.0], [0.25, 3.0])]
    ends = [x for x in forward(*leaves) if x.requires_grad]
    goals, told = [*leaves, *ends], list[Any]()
    for _ in range(3):
        weights = [torch.tensor(rng.standard_normal(tuple(x.shape)).astype("f"), requires_grad=bool(rng.random() < 0.7))
                   for x in ends]
        chosen = [goals[i] for i in sorted({int(i) for i in rng.integers(0, len(goals), 4)})]
        found = torch.autograd.grad(ends, chosen, weights, create_graph=True, allow_unused=True)
        told.append([None if g is None else (g.tolist(), g.requires_grad) for g in found])
        ends = [g for g in found if g is not None and g.requires_grad]
        goals += [w for w in weights if w.requires_grad]
        if not ends:
            break
    return told
