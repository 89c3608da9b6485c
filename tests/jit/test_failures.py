"""What must not work in a traced function, and what must be as before when something fails half way."""

from __future__ import annotations

import queue
import threading
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime import engine, pjrt
from flambeau.tracer import backend
from flambeau.tracer.ir.errors import TraceError
from flambeau.tracer.ir.state import state as tracer_state
from flambeau.tracer.jit import plan
from flambeau.tracer.tensor.context import context


def line_of(text: str) -> int:
    with open(__file__) as file:
        return next(i for i, line in enumerate(file, 1) if text in line)


READS: dict[str, Any] = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.sum()),
    "if": lambda x: 1 if x.sum() > 0 else 2,
    "int": lambda x: int(x.sum()),
    "float": lambda x: float(x.sum()),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "array": lambda x: np.asarray(x),
    "range": lambda x: range(x.sum().long()),
    "while": lambda x: [None for _ in iter(lambda: bool(x.sum() > 0), False)],
    "in": lambda x: 1.0 in x,
}


@pytest.mark.parametrize("name", READS)
def test_reading_a_value_names_the_line(name: str) -> None:
    def step(x: Any) -> None:
        READS[name](x * 2)

    with pytest.raises(TraceError, match=r"the value of a traced tensor was read at .*test_failures\.py:") as caught:
        torch.jit(step)(torch.ones(2))
    assert f"test_failures.py:{line_of(chr(34) + name + chr(34))}:" in str(caught.value) or name == "while"
    assert torch.jit(lambda x: x + 1)(torch.ones(1)).item() == 2


def test_print_and_repr_show_the_type(capsys: Any) -> None:
    @torch.jit
    def step(x: Any) -> Any:
        print(x)
        return x

    step(torch.ones(2))
    assert "traced f32[2]" in capsys.readouterr().out


def test_iterating_over_rows_is_allowed() -> None:
    assert torch.jit(lambda x: sum(row * i for i, row in enumerate(x)))(torch.ones(3, 2)).tolist() == [3, 3]




def test_leaked_tensor_names_where_it_was_made() -> None:
    hidden: Any = queue.SimpleQueue()  # made in C: what is in it cannot be seen

    @torch.jit
    def step(x: Any) -> Any:
        hidden.put(x * 3)  # the leak
        return x

    step(torch.ones(2))
    tensor = hidden.get()
    for use in (lambda: tensor + 1, lambda: tensor.tolist(), lambda: tensor.add_(1), lambda: torch.jit(lambda: tensor + 1)(),
                lambda: tensor.sum().backward()):
        with pytest.raises(TraceError, match=rf"made by mul at .*test_failures\.py:{line_of('# the ' + 'leak')}"):
            use()


def test_leak_from_a_transform() -> None:
    kept: list[Any] = []
    torch.vmap(lambda x: kept.append(x * 2) or x)(torch.ones(2, 2))
    with pytest.raises(TraceError, match="escaped"):
        kept[0].tolist()


class Training:
    """A step with all kinds of state, and what that state is."""

    def __init__(self, wrap: Any = torch.jit) -> None:
        torch.manual_seed(4)
        self.model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5))
        self.opt = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
        self.fail: Any = lambda: None
        self.step = wrap(self._step)

    def _step(self, x: Any) -> Any:
        loss = (self.model(x) ** 2).mean()
        loss.backward()
        self.opt.step()
        x.mul_(0.5)
        with torch.no_grad():
            self.fail()
        self.opt.zero_grad()
        return loss

    def run(self, start: int, end: int) -> None:
        """The steps from `start` to `end`, each with random numbers of its own."""
        for i in range(start, end):
            torch.manual_seed(100 + i)
            self.step(self.x)

    def everything(self) -> Any:
        return ([v.tolist() for v in self.model.state_dict().values()], [p.grad for p in self.model.parameters()],
                {i: {k: v.tolist() for k, v in s.items()} for i, s in enumerate(self.opt.state.values())},
                torch.get_rng_state().tolist(), self.x.tolist())


def _raises(error: BaseException) -> Any:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


FAULTS: dict[str, Any] = {
    "trace": lambda t, patch, error: setattr(t, "fail", _raises(error)),
    "simplify": lambda t, patch, error: patch.setattr(plan, "simplify", _raises(error)),
    "print": lambda t, patch, error: patch.setattr(engine, "module_text", _raises(error)),
    "compile": lambda t, patch, error: patch.setattr(pjrt.Client, "compile", _raises(error)),
    "memory check": lambda t, patch, error: patch.setattr(engine.XlaProgram, "run", _raises(error)),
    "upload": lambda t, patch, error: patch.setattr(engine.XlaBackend, "upload", _raises(error)),
}


@pytest.mark.parametrize("error", [ValueError("half way"), KeyboardInterrupt("half way"), MemoryError("half way")], ids=repr)
@pytest.mark.parametrize("later", [False, True], ids=["first call", "later call"])
@pytest.mark.parametrize("place", FAULTS)
def test_fault_leaves_all_as_it_was(place: str, later: bool, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    t, twin = Training(), Training()
    t.run(0, int(later))
    t.step.cache_clear()
    before = t.everything()
    monkeypatch.setenv("FLAMBEAU_CACHE", "0")
    with monkeypatch.context() as patch:
        if place in ("print", "compile"):
            patch.setattr(backend.backend(), "_programs", {})
        FAULTS[place](t, patch, error)
        with pytest.raises(type(error), match="half way"):
            t.step(t.x)
    assert context.trace is None and tracer_state.grad and tracer_state.scope == "" and tracer_state.of is None
    assert t.everything() == before
    t.fail = lambda: None
    twin.run(0, 2)
    wanted = twin.everything()
    t.run(int(later), 2)
    assert t.everything() == wanted


def test_shape_error_inside_is_torchs() -> None:
    @torch.jit
    def step(x: Any, y: Any) -> Any:
        return x + y

    with pytest.raises(RuntimeError, match=r"The size of tensor a \(2\) must match the size of tensor b \(3\)"):
        step(torch.ones(2), torch.ones(3))
    assert step(torch.ones(2), torch.ones(2)).tolist() == [2, 2]


def test_nested_jit_is_part_of_the_outer_program() -> None:
    counter = torch.zeros(1)

    @torch.jit
    def inner(x: Any, k: float) -> Any:
        counter.add_(1)
        return x * k

    outer = torch.jit(lambda x, k: inner(inner(x, k), 2.0) + 1)
    for n, k in enumerate((3.0, 4.0), 1):
        assert outer(torch.ones(1), k).item() == 2 * k + 1
        assert counter.item() == 2 * n
    assert outer.stats.compiles == 1
    assert inner.stats.calls == 0
    assert inner(torch.ones(1), 5.0).item() == 5
    assert counter.item() == 5


def test_recursion() -> None:
    @torch.jit
    def power(x: Any, n: int) -> Any:
        return x * power(x, n - 1) if n else x * 0 + 1

    assert [power(torch.full((1,), 2.0), n).item() for n in (3, 5, 3)] == [8, 32, 8]
    assert power.stats.compiles == 2


def in_threads(*functions: Any) -> list[Any]:
    results: list[Any] = [None] * len(functions)
    start = threading.Barrier(len(functions))

    def run(i: int) -> None:
        start.wait()
        try:
            results[i] = functions[i]()
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(functions))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def test_threads_trace_different_functions() -> None:
    def work(k: int) -> Any:
        w = torch.full((3,), float(k)).requires_grad_()

        @torch.jit
        def step(x: Any) -> Any:
            loss = (w * x).sum()
            loss.backward()
            return loss

        losses = []
        for i in range(5):
            w.grad = None
            losses.append(step(torch.full((3,), float(i))).item())
            assert w.grad.tolist() == [float(i)] * 3
        return losses

    assert in_threads(*(lambda k=k: work(k) for k in range(4))) == [[3.0 * k * i for i in range(5)] for k in range(4)]


def test_threads_call_one_function() -> None:
    total = torch.zeros(1)

    @torch.jit
    def step(x: Any) -> Any:
        total.add_(x)
        return x * 2

    results = in_threads(*(lambda k=k: [step(torch.full((1,), float(k))).item() for _ in range(20)] for k in range(4)))
    assert results == [[2.0 * k] * 20 for k in range(4)]
    assert total.item() == 20 * (0 + 1 + 2 + 3)
    assert step.stats.compiles == 1


def test_threads_with_two_functions_on_one_state() -> None:
    total = torch.zeros(3000)

    def add(k: float) -> Any:
        @torch.jit
        def step() -> None:
            total.add_(k)

        return lambda: [step() for _ in range(100)] and None

    assert in_threads(add(1.0), add(2.0)) == [None, None]
    assert set(total.tolist()) == {300.0}


def test_grad_mode_belongs_to_the_thread() -> None:
    x = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        assert in_threads(lambda: (x * 2).requires_grad) == [True]


def test_failure_inside_a_donating_run_marks_what_it_lost() -> None:
    big = torch.zeros(1 << 14)

    @torch.jit
    def step() -> None:
        big.add_(1)

    step()
    program = step._latest.program
    run = type(program).run

    class Failing:
        name, seconds = program.name, program.seconds

        def run(self, buffers: Any) -> Any:
            run(program, buffers)
            raise RuntimeError("the device is on fire")

    step._latest.program = Failing()
    with pytest.raises(RuntimeError, match="on fire"):
        step()
    for use in (big.tolist, lambda: big + 1, step):
        with pytest.raises(RuntimeError, match=r"memory was lost: the call of step at .*test_failures.py:\d+ failed"):
            use()
    with torch.no_grad():
        big.copy_(torch.ones(1 << 14))
    step._latest.program = program
    step()
    assert big[0].item() == 2


def test_results_of_unknown_size_are_refused() -> None:
    with pytest.raises(TraceError, match="nonzero requires the values"):
        torch.jit(lambda x: x.nonzero())(torch.ones(2))
    with pytest.raises(TraceError, match=r"indexing with a mask \(at .*test_failures\.py:\d+\) requires the mask's values"):
        torch.jit(lambda x: x[x > 0])(torch.ones(2))


def test_failure_inside_a_run_without_donation_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    big, small = torch.zeros(1 << 14), torch.zeros(3)

    @torch.jit(donate=False)
    def step() -> None:
        big.add_(1)
        small.add_(1)

    step()
    run = engine.XlaProgram.run

    def failing(self: Any, buffers: Any) -> Any:
        run(self, buffers)
        raise RuntimeError("the device is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(engine.XlaProgram, "run", failing)
        with pytest.raises(RuntimeError, match="on fire"):
            step()
    assert big[0].item() == big[-1].item() == 1 and small.tolist() == [1, 1, 1]
    step()
    assert big[0].item() == 2 and small.tolist() == [2, 2, 2]


def test_aliases_of_donated_memory_stay_what_they_were() -> None:
    """Twins made before a donating step hold what they held; numpy arrays and DLPack share the memory, and show what it holds."""
    big = torch.zeros(1 << 14)

    @torch.jit
    def step() -> None:
        big.add_(1)

    for i in range(3):
        shared = [big.numpy(), np.from_dlpack(big)]
        held = [big.numpy().copy(), big.clone().numpy(), big.detach() * 1]
        step()
        assert [float(h[0]) for h in shared] == [i + 1.0] * 2
        assert [float(h[0]) for h in held] == [i] * 3
    assert big[0].item() == 3 and step.stats.compiles == 1
