"""Numbers that a jitted function is given: expressions on the host, conditions, positions, and what stands in for functions."""

from __future__ import annotations

import enum
import math
import operator
import threading
from math import cos, sqrt
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.tracer.guards.identity import Replacement

F = nn.functional


WHOLE = (3).__class__


def agrees(function: Any, *calls: tuple[Any, ...], compiles: int) -> Any:
    """Each call jitted gives what it gives lazily, results and arguments, by this many programs."""
    step = torch.jit(function)
    for args in calls:
        assert outcome(step, args) == outcome(function, args), args
    assert step.stats.compiles == compiles, step.why()
    return step


def outcome(function: Any, args: tuple[Any, ...]) -> Any:
    args = tuple(x.clone() if isinstance(x, torch.Tensor) else x for x in args)
    try:
        found = function(*args)
    except Exception as error:
        return type(error), str(error)
    return contents(found), contents(args)


def contents(x: Any) -> Any:
    if isinstance(x, (tuple, list)):
        return [contents(y) for y in x]
    if isinstance(x, torch.Tensor):
        return x.dtype, x.stride(), x.storage_offset(), str(x.tolist())
    return type(x), repr(x)


X = torch.arange(24.0).reshape(4, 6)

# --- Conditions -------------------------------------------------------------------------------------------------------


def test_accumulation_is_two_programs() -> None:
    def step(x: Any, i: int) -> Any:
        return x * 2 if (i + 1) % 4 == 0 else x + 1

    found = agrees(step, *((X, i) for i in range(12)), compiles=2)
    assert found.why()[1].changes == ((f"(args[1] + 1) % 4 == 0 (at tests/jit/test_numbers.py:{line_of('% 4 == 0 else')})",
                                       False, True),)


def line_of(text: str) -> int:
    with open(__file__) as file:
        return next(i for i, line in enumerate(file, 1) if text in line)


def test_the_order_of_conditions_is_kept() -> None:
    agrees(lambda x, n: x + n if n and 6 / n > 3 else x - n, *((X, n) for n in (5, 0, 1, 3, 0, 4)), compiles=3)


def test_an_error_comes_from_the_call_and_costs_no_program() -> None:
    step = agrees(lambda x, n: x * (1 / n), (X, 2), (X, 0), (X, 4), (X, 0), compiles=1)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        step(X, 0)


def test_an_error_that_is_caught() -> None:
    def safe(x: Any, n: Any) -> Any:
        try:
            return x * (1 / n)
        except ZeroDivisionError:
            return x * 7

    agrees(safe, *((X, n) for n in (5, 0, 1, 0, 3)), compiles=2)


def test_overflow_is_as_python_and_torch_have_it() -> None:
    agrees(lambda x, n: (x + 1, math.exp(n)), (X, 1.0), (X, 1e4), (X, 2.0), compiles=1)
    agrees(lambda x, n: x * (n * 2**40 % 97), (X, 2**30), (X, 2**62), (X, -2**70), compiles=1)
    step = torch.jit(lambda x, n: x * (n * n))
    assert step(torch.ones(1), 3).item() == 9
    for n in (2**40, -2**33):
        with pytest.raises(OverflowError, match="int too big to convert"):
            step(torch.ones(1), n)


def test_what_is_known_is_compiled_in_and_the_rest_is_not() -> None:
    agrees(lambda x, k, s: x.topk(k).values * s, *((X, k, s) for k in (2, 3) for s in (1.0, 2.0, 3.0)), compiles=2)
    agrees(lambda x, n: sum((x * i for i in range(n)), x), *((X, n) for n in (3, 4, 3)), compiles=2)
    agrees(lambda x, n: x * [10.0, 20.0, 30.0][n], *((X, n) for n in (0, 2, 0)), compiles=2)


def test_subclasses_are_compiled_in() -> None:
    level = enum.IntEnum("level", {"LOW": 1, "HIGH": 2})
    agrees(lambda x, n: (x * n, n), *((X, n) for n in (level.LOW, level.HIGH, True, False, level.LOW)), compiles=4)


# --- Expressions ------------------------------------------------------------------------------------------------------


def warm_up(x: Any, i: int) -> Any:
    return x * min(1, i / 100)


def cosine(x: Any, i: int) -> Any:
    return x * (0.5 * (1 + cos(math.pi * min(i, 50) / 50)))


def bias_correction(x: Any, step: int, beta: float = 0.9) -> Any:
    return x / (1 - beta**step) + sqrt(1 - 0.999**step)


def decayed(x: Any, i: int) -> Any:
    return x.mul_((1 - 0.1 * 0.5 ** (i // 10)) / math.sqrt(float(i) + 1)), int(i / 3) * 2, round(i / 7, 2), max(i, 3)


@pytest.mark.parametrize("function", [warm_up, cosine, bias_correction, decayed])
def test_schedules_are_one_program(function: Any) -> None:
    agrees(function, *((X, i) for i in (1, 2, 10, 49, 50, 100, 1000)), compiles=1)


def test_one_input_per_expression() -> None:
    graph = torch.jit(lambda x, n: x * (n * 2) + (n * 2) - n).trace(X, 3)
    assert len(graph.inputs) == 3
    assert not any(node.op.name == "mul" and not node.types[0].ndim for node in graph.nodes)


def test_results_are_computed_on_the_host() -> None:
    step = agrees(lambda x, n: (x * n, n * 2, {"half": n / 2}["half"], n > 2, f"{n * 0}"), (X, 2), (X, 3), (X, 5), compiles=1)
    assert type(step(X, 2**62)[1]) is int and step(X, 2**62)[1] == 2**63


def test_the_type_of_a_smaller_number() -> None:
    """It may be an int or a float: to a floating tensor they are one, an integral one is told."""
    agrees(lambda x, i: (x * min(1, i / 4), min(1, i / 4)), *((X, i) for i in (1, 3, 8, 2)), compiles=1)
    agrees(lambda x, i: x * min(1, i / 4), *((X.long(), i) for i in (1, 3, 8, 2)), compiles=2)


# --- Positions --------------------------------------------------------------------------------------------------------


def written(x: Any, i: int) -> Any:
    x[:, i] = 7.0
    x[i] += 1
    x[i, 1:3] *= 2
    return x.sum()


POSITIONS = {
    "an element": lambda x, i: x[i] * 2, "a view": lambda x, i: x[i], "in the middle": lambda x, i: x[1:3, i, None],
    "two of them": lambda x, i: (x[i, i], x[i][i], x[..., i]), "written": written,
    "select": lambda x, i: (x.select(1, i), x.select(0, i).exp()), "narrow": lambda x, i: x.narrow(1, i, 1),
    "roll": lambda x, i: (x.roll(i), x.roll((i, 1), (0, 1)), x.roll(i * 3, 1)),
    "beside a list": lambda x, i: (x[i, [0, 1]], x[[i, 0]], x[torch.tensor([0, 1]), i]),
    "index_select": lambda x, i: x.index_select(0, torch.tensor([i % 4, 0])), "offset": lambda x, i: x[i].storage_offset(),
    "taken with": lambda x, i: torch.stack([x[i], x[-1]]), "copied into": lambda x, i: x.narrow(0, i, 1).copy_(x[:1]) + x[i]}


@pytest.mark.parametrize("name", POSITIONS)
def test_a_position_is_an_input(name: str) -> None:
    """Negative ones wrap; one out of range is torch's error, and no program."""
    agrees(POSITIONS[name], *((X, i) for i in (0, 1, 3, -1, -4, 2, 5, -7, 0)), compiles=1)


def test_a_slice_of_one_length_is_one_program() -> None:
    def batch(x: Any, i: int) -> Any:
        return x[i:i + 2], x[i:i + 2].sum(), x[:, i:i + 3:2] + 1

    agrees(batch, *((X, i) for i in (0, 1, 2, 1)), compiles=1)
    agrees(lambda x, i: x[i:i + 2] * 1, *((X, i) for i in (0, 2, 3, 9, -2, -1, -9, 1)), compiles=3)
    agrees(lambda x, n: x[:n] * 1, *((X, n) for n in (1, 2, 1)), compiles=2)
    agrees(lambda x, i: (torch.arange(i, i + 3), torch.arange(i, i + 6, 2) * 2), *((X, i) for i in range(4)), compiles=1)


def test_gradients_through_positions() -> None:
    def gradient(x: Any, i: int) -> Any:
        w = x.clone().requires_grad_()
        (w[i] * w[:, i].sum() + w[i:i + 2].exp().sum()).sum().backward()
        return w.grad

    agrees(gradient, *((X / 24, i) for i in (0, 2, 1)), compiles=1)


def test_a_view_where_the_base_must_be_known_looks() -> None:
    agrees(lambda x, i: x[i].as_strided((2,), (1,)) * 1, *((X, i) for i in (0, 2, 0)), compiles=2)


class Decoder(nn.Module):
    """Greedy decoding with a cache that is there from the start."""

    def __init__(self, vocabulary: int = 11, width: int = 8, longest: int = 100) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(longest, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.head = nn.Linear(width, vocabulary)
        self.register_buffer("keys", torch.zeros(1, longest, width))
        self.register_buffer("values", torch.zeros(1, longest, width))

    def forward(self, token: Any, position: int) -> Any:
        x = self.embedding(token) + self.positions.weight[position]
        self.keys[:, position] = self.key(x)
        self.values[:, position] = self.value(x)
        mask = torch.arange(self.keys.shape[1]) <= position
        scores = (self.query(x)[:, None] * self.keys).sum(-1) / sqrt(x.shape[-1])
        weights = scores.masked_fill(~mask, -1e9).softmax(-1)
        return self.head((weights[..., None] * self.values).sum(1)).argmax(-1)


def test_greedy_decoding_is_one_program() -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        model = Decoder()
        plain = Decoder()
        plain.load_state_dict(model.state_dict())
        step, token, other = torch.jit(model), torch.tensor([1]), torch.tensor([1])
        for position in range(100):
            token = step(token, position)
            if position < 12:
                other = plain(other, position)
                assert token.tolist() == other.tolist()
        assert step.stats.compiles == 1, step.why()
        with pytest.raises(IndexError, match="index 100 is out of bounds for dimension 0 with size 100"):
            step(token, 100)


# --- What others have met ---------------------------------------------------------------------------------------------


def test_tensors_made_of_lists_of_numbers() -> None:
    """Whole numbers in a list, of which a tensor of floats is made: values and not bits, at each call."""
    agrees(lambda x, ns: x[:1, :2] + torch.Tensor(ns) + torch.tensor(ns), (X, [1, 2]), (X, [3, 4]), (X, [-5, 6]), compiles=1)


def test_a_limit_that_changes() -> None:
    def gated(x: Any, limit: float) -> Any:
        gate, up = x.chunk(2, -1)
        return F.silu(gate).clamp(max=limit) * up.clamp(min=-limit, max=limit)

    agrees(gated, *((X, limit) for limit in (7.0, 3.5, 1.25, 10.0)), compiles=1)


def test_small_numbers_in_norms_and_losses() -> None:
    def loss(x: Any, eps: float, delta: float) -> Any:
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        return F.layer_norm(y, (6,), eps=eps).sum() + F.huber_loss(x, y, delta=delta) + F.leaky_relu(-x, delta).sum()

    step = torch.jit(loss)
    for eps, delta in ((1e-5, 1.0), (0.1, 2.0), (1.0, 0.5), (2.0, 0.25)):
        assert torch.allclose(step(X, eps, delta), loss(X, eps, delta))


def test_whole_numbers_made_of_a_fraction() -> None:
    def function(x: Any, s: float) -> Any:
        return (x * s).cumsum(int(s * 2) % 2), torch.linspace(0, 1, int(s * 8) + 2), (x * s).round(decimals=int(s * 4))

    agrees(function, *((X, s) for s in (0.25, 0.5, 1.5, 0.3, 0.25)), compiles=3)


def test_a_window_that_stops_at_the_end() -> None:
    """Filling and full are one program: the start is the smaller of two numbers."""
    def update(cache: Any, new: Any, n: int) -> Any:
        start = min(n, cache.shape[0] - 2)
        cache[start:start + 2] = new
        return cache * 1

    agrees(update, *((X, X[:2] + n, n) for n in (0, 1, 2, 3, 50)), compiles=1)


# --- What stands in for functions of Python ---------------------------------------------------------------------------


def test_functions_are_themselves_after_a_trace() -> None:
    before = dict(globals()), dict(vars(math))
    step = torch.jit(lambda x, n: x * sqrt(float(n)) + math.sqrt(n) + min(n, 3))
    step(X, 2)
    with pytest.raises(ValueError, match="math domain error"):
        step(X, -1)
    assert (dict(globals()), dict(vars(math))) == before and not isinstance(sqrt, Replacement)
    step(X, 3)
    assert step.stats.compiles == 1


def test_other_threads_see_nothing_of_a_trace() -> None:
    """Neither what they compute, nor their guards."""
    inside, looked = threading.Event(), threading.Event()
    other = torch.jit(lambda x, n: x * sqrt(n) + int(n))
    other(X, 4.0)
    found: list[Any] = []

    def slow(x: Any, n: int) -> Any:
        inside.set()
        looked.wait(10)
        return x * sqrt(n) + int(n)

    def meanwhile() -> None:
        inside.wait(10)
        found.extend((sqrt(4), int("7"), isinstance(3, int), int.from_bytes(b"a", "big")))
        found.extend((operator.eq(int, WHOLE), hash(int) == hash(WHOLE)))
        found.append(other(X, 9.0).sum().item())
        fresh = torch.jit(lambda x, n: x * sqrt(n) + int(n))
        fresh(X, 4.0)
        found.extend((other.stats.compiles, fresh))
        looked.set()

    thread = threading.Thread(target=meanwhile)
    thread.start()
    torch.jit(slow)(X, 4)
    thread.join()
    fresh = found.pop()
    assert found == [2.0, 7, True, 97, True, True, (X * 3 + 9).sum().item(), 1]
    fresh(X, 16.0)
    assert fresh.stats.compiles == 1, fresh.why()


def test_names_that_are_not_only_called_are_left_alone() -> None:
    def function(x: Any, n: float) -> Any:
        return x * int(n), list(map(int, [n, 1.5])), isinstance(n, int)

    agrees(function, *((X, n) for n in (1.25, 1.75, 2.5)), compiles=2)


# --- Hyperparameters --------------------------------------------------------------------------------------------------


def test_a_schedule_of_an_optimizer_is_computed_on_the_host() -> None:
    w = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([w], lr=0.1)

    @torch.jit
    def step(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss, optimizer.param_groups[0]["lr"] * 2

    for i in range(4):
        optimizer.param_groups[0]["lr"] = 0.1 / (i + 1)
        assert step(torch.ones(3))[1] == 0.2 / (i + 1)
    assert step.stats.compiles == 1


def test_a_function_that_keeps_a_number_for_its_backward() -> None:
    class Reversed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, alpha: float) -> Any:
            ctx.alpha = alpha
            return x * 1

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * -ctx.alpha * 2, None

    def gradient(x: Any, alpha: float) -> Any:
        w = x.clone().requires_grad_()
        Reversed.apply(w, alpha).sum().backward()
        return w.grad

    agrees(gradient, *((X, alpha) for alpha in (0.5, 1.0, 3.0)), compiles=1)
    forward, w = torch.jit(Reversed.apply), X.clone().requires_grad_()
    for alpha in (0.5, 1.0, 3.0):
        w.grad = None
        forward(w, alpha).sum().backward()
        assert w.grad[0, 0].item() == -2 * alpha
