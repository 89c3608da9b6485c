"""State that a step creates when it first runs: made before where that is the same program, else one more compile."""

from __future__ import annotations

import copy
import gc
import pickle
import textwrap
import types
import weakref
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

from ..nested import near

X = torch.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


class Thing:
    """An object of a user's class."""


def _plain(x: Any) -> Any:
    """What something holds, as plain data, to compare."""
    if isinstance(x, torch.Tensor):
        return [x.tolist(), str(x.dtype)]
    if isinstance(x, dict):
        return {k if isinstance(k, (str, int)) else "key": _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    return _plain(vars(x)) if isinstance(x, (Thing, types.SimpleNamespace)) else x


# --- Ways to create state -----------------------------------------------------------------------------------------------
# Each is a step on an object `o`, with how many programs it takes.


def moments(o: Any, x: Any) -> Any:
    if "m" not in vars(o):
        o.m, o.v, o.step = torch.zeros_like(x), torch.zeros_like(x), 0
    o.step += 1
    o.m.mul_(0.9).add_(x, alpha=0.1)
    o.v.mul_(0.99).addcmul_(x, x, value=0.01)
    return o.m / (1 - 0.9 ** o.step) / ((o.v / (1 - 0.99 ** o.step)).sqrt() + 1e-8)


def in_a_table(o: Any, x: Any) -> Any:
    state = o.table.setdefault("w", {})
    if len(state) == 0:
        state["m"] = torch.zeros(3)
        state["step"] = 0
        state["product"] = 1.0
    state["step"] += 1
    state["product"] *= 0.5
    state["m"] += x.sum(0) * state["product"]
    return state["m"] / state["step"]


def of_defaults(o: Any, x: Any) -> Any:
    state = o.by_default["w"]
    if not state:
        state["ema"] = torch.ones(3)
    state["ema"].lerp_(x.mean(0), 0.25)
    return state["ema"] * 2


def bound_anew(o: Any, x: Any) -> Any:
    if o.hidden is None:
        o.hidden = torch.zeros(2, 3)
    o.hidden = torch.tanh(o.hidden * 0.5 + x)
    return o.hidden.sum()


def a_list(o: Any, x: Any) -> Any:
    if not o.items:
        o.items.append(torch.zeros(3))
        o.items.append(torch.full((3,), 2.0))
    o.items[0].add_(x[0])
    o.items[1] = o.items[1] * 0.5 + o.items[0]
    return o.items[1]


def nested(o: Any, x: Any) -> Any:
    if o.deep is None:
        o.deep = {"a": [torch.zeros(3), {"n": 0, "w": torch.ones(3)}], "rate": 0.5}
    inner = o.deep["a"][1]
    inner["n"] += 1
    o.deep["a"][0].add_(x[0] * o.deep["rate"])
    inner["w"].mul_(0.5)
    return o.deep["a"][0] * inner["w"] * inner["n"]


def an_object(o: Any, x: Any) -> Any:
    if o.thing is None:
        o.thing = Thing()
        o.thing.total, o.thing.count = torch.zeros(3), 0
    o.thing.count += 1
    o.thing.total.add_(x.sum(0))
    return o.thing.total / o.thing.count


def shared(o: Any, x: Any) -> Any:
    if o.hidden is None:
        o.hidden = o.also = torch.zeros(3)
    o.hidden.add_(x[0])
    return o.also * 2


def a_mask(o: Any, x: Any) -> Any:
    if o.mask is None:
        o.mask = torch.full((3, 3), float("-inf")).triu(1)
    return torch.softmax(x @ x.new_ones(3, 3) + o.mask[:2], -1)


def a_rotary_table(o: Any, x: Any) -> Any:
    key = (x.shape[1], x.dtype)
    if key not in o.table:
        angles = torch.outer(torch.arange(2.0), 1.0 / (10.0 ** (torch.arange(3.0) / 3)))
        o.table[key] = angles.cos(), angles.sin()
    cos, sin = o.table[key]
    return x * cos + x * sin


def a_copy(o: Any, x: Any) -> Any:
    if o.slow is None:
        o.slow = o.w.clone()
    o.slow.lerp_(x[0], 0.5)
    return o.slow + o.w


def from_numbers(o: Any, x: Any) -> Any:
    if o.scale is None:
        o.scale = torch.tensor([1.0, 2.0, 0.5])
    o.scale.mul_(0.5)
    return x * o.scale


def empty_then_filled(o: Any, x: Any) -> Any:
    if o.scale is None:
        o.scale = torch.empty(3).fill_(2.0)
        o.scale[0] = 4.0
    o.scale.mul_(x[0])
    return o.scale


def half(o: Any, x: Any) -> Any:
    if o.scale is None:
        o.scale, o.n = torch.zeros(2, 3, dtype=torch.bfloat16), 0
    o.n += 1
    o.scale.mul_(0.9).add_(x.bfloat16(), alpha=0.1)
    return o.scale * (1 - 0.5 ** o.n)


def counted_tensor(o: Any, x: Any) -> Any:
    if o.scale is None:
        o.scale = torch.tensor(0)
    o.scale += 1
    return x / o.scale


def a_flag_alone(o: Any, x: Any) -> Any:
    if not o.ready:
        o.ready = True
    return x * 2


def returned(o: Any, x: Any) -> Any:
    if o.hidden is None:
        o.hidden = torch.zeros(3)
    o.hidden.add_(x[1])
    return {"state": o.hidden, "view": x.view(6)}


def of_the_data(o: Any, x: Any) -> Any:
    if not o.ready:
        o.w.copy_(-x.mean(0))
        o.ready = True
    o.w.add_(0.125)
    return x + o.w


def means(o: Any, x: Any) -> Any:
    if o.hidden is None:
        o.hidden = x[:1].clone()
    o.hidden.lerp_(x.mean(0, keepdim=True), 0.5)
    return x - o.hidden


def the_first_gradient(o: Any, x: Any) -> Any:
    grad = x.sum(0) * 0.5
    if o.buffer is None:
        o.buffer = torch.clone(grad).detach()
    else:
        o.buffer.mul_(0.5).add_(grad, alpha=0.5)
    return o.buffer


def warming_up(o: Any, x: Any) -> Any:
    if o.hidden is None:
        o.hidden = torch.zeros(3)
        return x
    o.hidden.add_(x[0])
    return x + o.hidden


def drawn(o: Any, x: Any) -> Any:
    if o.mask is None:
        o.mask = torch.rand(3)
    return x * o.mask


def counting_odd(o: Any, x: Any) -> Any:
    if o.hidden is None:
        o.hidden, o.n = torch.zeros(3), 1
    o.n = o.n * 2 + 1
    o.hidden.add_(x[0])
    return o.hidden * o.n


def growing(o: Any, x: Any) -> Any:
    o.hidden = x if o.hidden is None else torch.cat([o.hidden, x])[:4]
    return o.hidden.sum(0)


def on_the_memory_of_another(o: Any, x: Any) -> Any:
    if o.slow is None:
        o.slow, o.hidden = o.w.detach(), o.w.view(1, 3)
    loss = (o.w.detach().requires_grad_() * x * o.slow).sum()
    o.w.add_(0.5)
    return loss.detach() + o.slow + o.hidden


SAME = [moments, in_a_table, of_defaults, bound_anew, a_list, nested, an_object, shared, a_mask, a_rotary_table, a_copy,
        from_numbers, empty_then_filled, half, counted_tensor, a_flag_alone, returned]
OTHER = [of_the_data, on_the_memory_of_another, means, the_first_gradient, warming_up, drawn, counting_odd, growing]


def holder() -> Any:
    return types.SimpleNamespace(table={}, by_default=defaultdict(dict), hidden=None, items=[], deep=None, thing=None, mask=None,
                                 slow=None, scale=None, ready=False, buffer=None, also=None, w=torch.tensor([1.0, 2.0, 3.0]), n=0)


def agree(way: Callable[[Any, Any], Any], calls: int = 5) -> Any:
    """Call a step and its jitted form on objects of their own; all they give and leave is the same."""
    one, other = holder(), holder()
    step = torch.jit(partial(way, one), name=way.__name__)
    torch.manual_seed(3)
    wanted = [(_plain(way(other, X * k)), _plain(other)) for k in range(1, calls + 1)]
    torch.manual_seed(3)
    for k in range(1, calls + 1):
        got = _plain(step(X * k)), _plain(one)
        assert str(got) == str(wanted[k - 1]) or _alike(got, wanted[k - 1]), (k, got, wanted[k - 1])
    return step


_alike = partial(near, rel=1e-5)


@pytest.mark.parametrize("way", SAME, ids=lambda way: way.__name__)
def test_state_that_is_made_before_the_first_call_takes_one_program(way: Any) -> None:
    step = agree(way)
    assert step.stats.compiles == 1, step.why()


@pytest.mark.parametrize("way", OTHER, ids=lambda way: way.__name__)
def test_state_that_the_first_call_makes_of_its_data_takes_one_more(way: Any) -> None:
    step = agree(way)
    assert step.stats.compiles in (2, 3), step.why()
    assert "first call" in str(step.why()) and step.why()[1].changes


# --- What becomes of it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", SAME, ids=lambda way: way.__name__)
def test_a_first_call_that_fails_leaves_nothing_behind(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, fresh = holder(), holder()
    step = torch.jit(partial(way, one), name=way.__name__)
    with monkeypatch.context() as patched:
        patched.setattr("flambeau.tracer.jit.step.Step._execute", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            step(X)
    assert _plain(one) == _plain(fresh)
    step(X), way(fresh, X)
    assert _alike(_plain(one), _plain(fresh))


def _interrupted(*args: Any) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_while_the_function_is_traced_again_leaves_nothing_behind() -> None:
    one = holder()

    def step(x: Any) -> Any:
        if one.hidden is not None:
            raise KeyboardInterrupt
        one.hidden = torch.zeros(3)
        return x + one.hidden

    with pytest.raises(KeyboardInterrupt):
        torch.jit(step)(X)
    assert _plain(one) == _plain(holder())


def test_an_error_of_the_second_call_is_raised_by_the_second_call() -> None:
    one = holder()

    @torch.jit
    def step(x: Any) -> Any:
        if one.hidden is not None:
            raise ValueError("only once")
        one.hidden = torch.zeros(3)
        return x + one.hidden

    assert step(X).tolist() == X.tolist()
    with pytest.raises(ValueError, match="only once"):
        step(X)
    assert one.hidden.tolist() == [0, 0, 0]


def test_what_was_created_is_an_ordinary_tensor() -> None:
    one = holder()
    step, other = torch.jit(partial(moments, one)), torch.jit(lambda x: x + one.m)
    step(X)
    held = one.m
    assert other(X).tolist() == (X + held).tolist()
    step.cache_clear()
    step(X)
    assert one.m is held and type(one.step) is int and one.step == 2
    assert copy.deepcopy(one).m.tolist() == held.tolist() == pickle.loads(pickle.dumps(one)).m.tolist()
    before = held.tolist()
    del one.m
    step(X)
    assert held.tolist() == before and one.m is not held and one.step == 1


def test_created_anew_after_it_was_taken_away() -> None:
    one, other = holder(), holder()
    step = torch.jit(partial(bound_anew, one))
    for k in range(9):
        assert step(X * k).item() == pytest.approx(bound_anew(other, X * k).item(), rel=1e-5, abs=1e-6)
        if k % 3 == 2:
            one.hidden = other.hidden = None
    assert _alike(_plain(one), _plain(other))


def test_a_failed_check_of_the_first_call_is_raised() -> None:
    one, table = holder(), torch.ones(3, 2)

    @torch.jit
    def step(i: Any) -> Any:
        if one.hidden is None:
            one.hidden = torch.zeros(2)
        one.hidden.add_(table[i].sum(0))
        return one.hidden * 1

    with pytest.raises(IndexError, match="out of"):
        step(torch.tensor([0, 7])).tolist()
    assert step(torch.tensor([0, 1])).tolist() == [2, 2] and step.stats.compiles == 1


def test_numbers_and_flags_of_a_class_and_of_two_calls_in_one_step() -> None:
    one, other = holder(), holder()
    step = torch.jit(lambda x: moments(one, x) + moments(one, x * 2))
    for k in range(1, 5):
        assert _alike(_plain(step(X * k)), _plain(moments(other, X * k) + moments(other, X * k * 2)))
    assert step.stats.compiles == 1 and one.step == 8


# --- Gradients ----------------------------------------------------------------------------------------------------------


def _training(order: str, wrap: Callable[[Any], Any], layers: int = 2) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(layers)])
    unused = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([*model.parameters(), unused], lr=0.01, weight_decay=0.1)

    def step(x: Any, i: int) -> Any:
        if order == "first":
            optimizer.zero_grad(set_to_none=False)
        loss = (model(x) ** 2).mean()
        loss.backward()
        if order != "accumulated" or (i + 1) % 3 == 0:
            optimizer.step()
        if order == "last":
            optimizer.zero_grad(set_to_none=False)
        elif order == "accumulated" and (i + 1) % 3 == 0:
            optimizer.zero_grad()
        return loss

    return wrap(step), model, unused


@pytest.mark.parametrize("layers", [1, 8], ids=["loose", "packed"])
@pytest.mark.parametrize("order", ["first", "last", "accumulated"])
def test_gradients_that_are_missing_are_as_good_as_zeros(order: str, layers: int) -> None:
    (step, model, unused), (eager, other, _) = (_training(order, wrap, layers) for wrap in (torch.jit, lambda f: f))
    for i in range(11):
        assert step(X, i).item() == pytest.approx(eager(X, i).item(), rel=1e-4)
        for p, q in zip(model.parameters(), other.parameters()):
            assert (p.grad is None) == (q.grad is None)
            assert p.grad is None or _alike(p.grad.tolist(), q.grad.tolist()) or order == "accumulated"
    assert unused.grad is None and unused.tolist() == [1, 1]
    assert step.stats.compiles == (2 if order == "accumulated" else 1), step.why()


def test_gradients_given_for_one_call_are_taken_back_if_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    step, model, _ = _training("accumulated", torch.jit)
    for i in range(4):
        step(X, i)
    for p in model.parameters():
        p.grad = None
    with monkeypatch.context() as patched:
        patched.setattr("flambeau.tracer.jit.step.Step._execute", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            step(X, 0)
    assert all(p.grad is None for p in model.parameters())
    step(X, 0)
    assert all(p.grad is not None for p in model.parameters())


def test_code_that_asks_for_the_gradient_gets_the_right_answer() -> None:
    w, seen = torch.ones(3, requires_grad=True), []

    @torch.jit
    def step(x: Any) -> Any:
        factor = 1.0 if w.grad is None else 10.0
        (w * x).sum().backward()
        return w.grad * factor

    for _ in range(2):
        seen.append(step(torch.ones(3)).tolist())
    w.grad = None
    seen.append(step(torch.ones(3)).tolist())
    assert seen == [[1, 1, 1], [20, 20, 20], [1, 1, 1]]


@pytest.mark.parametrize("place", ["attribute", "entry", "item", "closure", "class"])
def test_no_guard_holds_the_last_reference_to_a_cached_tensor(place: str) -> None:
    one, cell = holder(), None

    class Kept:
        mask: Any = None

    def step(x: Any) -> Any:
        nonlocal cell
        if place == "attribute":
            one.mask = torch.ones(2, 3) if one.mask is None else one.mask
            return x * one.mask
        if place == "entry":
            if "mask" not in one.table:
                one.table["mask"] = torch.ones(2, 3)
            return x * one.table["mask"]
        if place == "item":
            if not one.items:
                one.items.append(torch.ones(2, 3))
            return x * one.items[0]
        if place == "closure":
            cell = torch.ones(2, 3) if cell is None else cell
            return x * cell
        Kept.mask = torch.ones(2, 3) if Kept.mask is None else Kept.mask
        return x * Kept.mask

    jitted = torch.jit(step)
    for _ in range(3):
        assert jitted(X).tolist() == X.tolist()
    made = {"attribute": lambda: one.mask, "entry": lambda: one.table["mask"], "item": lambda: one.items[0],
            "closure": lambda: cell, "class": lambda: Kept.mask}[place]()
    tensor, memory = weakref.ref(made), weakref.ref(made._storage)
    one.mask = Kept.mask = cell = made = None
    one.table.clear()
    one.items.clear()
    gc.collect()
    assert tensor() is None and memory() is None
    for _ in range(2):
        assert jitted(X).tolist() == X.tolist()


def test_a_thousand_calls_leave_no_growth() -> None:
    one = holder()
    step = torch.jit(lambda x: moments(one, x) + an_object(one, x) + bound_anew(one, x))
    counts = []
    for k in range(1000):
        step(X)
        if k in (200, 999):
            gc.collect()
            counts.append(sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects()))
    assert counts[1] <= counts[0] and step.stats.compiles == 1


def test_a_detached_leaf_that_is_kept_stays_on_its_memory_and_has_no_gradient() -> None:
    def training(wrap: Any) -> Any:
        p, state = torch.tensor([1.0, 2.0], requires_grad=True), {}

        def step(x: Any) -> Any:
            if "first" not in state:
                state["first"] = p.detach()
            (p * p + state["first"] * p).sum().backward()
            with torch.no_grad():
                p.sub_(p.grad, alpha=0.1)
            p.grad = None
            return x

        run = wrap(step)
        for _ in range(4):
            run(torch.ones(1))
        assert state["first"]._storage is p._storage
        return p.tolist()

    assert training(torch.jit) == pytest.approx(training(lambda f: f), rel=1e-5)


def test_a_class_whose_module_is_in_no_table_is_followed() -> None:
    """As a loader makes it that does not register what it loads."""
    names: dict[str, Any] = {"torch": torch, "__name__": "in_no_table"}
    source = textwrap.dedent("""
        class Momentum(torch.optim.Optimizer):
            @torch.no_grad()
            def step(self):
                for p in self.param_groups[0]["params"]:
                    state = self.state[p]
                    if not state:
                        state["m"] = torch.zeros_like(p)
                    p.sub_(state["m"].mul_(0.5).add_(p.grad))
    """)
    exec(compile(source, __file__, "exec"), names)
    w = torch.ones(2, requires_grad=True)
    optimizer = names["Momentum"]([w], {})

    @torch.jit
    def step(x: torch.Tensor) -> None:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    for _ in range(3):
        step(torch.tensor(1.0))
    assert optimizer.state[w]["m"].tolist() == [1.75, 1.75] and step.stats.compiles == 1


@pytest.mark.parametrize("second", [lambda z: z, lambda z: z.detach(), lambda z: z[0], lambda z: z.clone()])
def test_what_is_kept_and_returned_is_one_tensor(second: Any) -> None:
    """In the first call alone: later ones find it, and return another."""
    told = []
    for compiled in (False, True):
        table: dict[str, Any] = {}

        def step(x: Any, table: dict[str, Any] = table) -> Any:
            z = torch.full((2, 3), 2.0)
            if "k" not in table:
                table["k"] = z
            return second(z)

        call, found = torch.jit(step) if compiled else step, []
        for _ in range(3):
            result = call(X)
            found.append((result is table["k"], result.add_(1).tolist(), table["k"].tolist()))
        told.append(found)
    assert told[0] == told[1]
