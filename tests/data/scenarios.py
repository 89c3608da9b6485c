"""Programs with workers, run by `test_workers.py` in processes of their own: `python scenarios.py START_METHOD SCENARIO`."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import flambeau as torch
from flambeau.tracer.backend import backend
from flambeau.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info


class Rows(Dataset):
    """Sample i is row i of tensors that were computed before, one as a view, one pending."""

    def __init__(self, size: int = 16) -> None:
        self.rows = torch.arange(4 * size).reshape(size, 4)
        self.rows.sum().item()
        self.view = self.rows[:, 1:3]
        self.pending = self.rows * 2.0
        self.shared = torch.from_numpy(np.arange(size))
        offset = torch.ones(1)
        self.closed = lambda i: offset * i

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "closed": None}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        return self.rows[i], self.view[i] + 1, self.pending[i], self.shared[i]


class Raising(Dataset):
    def __init__(self, error: Exception, at: int = 2) -> None:
        self.error, self.at = error, at

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> int:
        if i == self.at:
            raise self.error
        return i


class OddError(Exception):
    """Cannot be made of a text alone."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b)


class Where(Dataset):
    """What a worker knows of itself."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> Any:
        info = get_worker_info()
        assert info is not None and isinstance(info.dataset, Where)
        try:
            info.id = 3
            raise AssertionError("id could be set")
        except RuntimeError:
            pass
        return {"id": info.id, "of": info.num_workers, "seed": info.seed, "torch": torch.initial_seed(),
                "python": random.getrandbits(30), "numpy": np.random.randint(2**30), "drawn": torch.rand(2),
                "engine": backend().name, "jaxlib": "jaxlib" in sys.modules, "marked": getattr(torch, "marked", None)}


class Shard(IterableDataset):
    """Numbers up to a limit, every worker its own."""

    def __iter__(self) -> Any:
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        return iter(range(first, 7, step))


class Slow(Dataset):
    def __init__(self, seconds: float, at: int = 0) -> None:
        self.seconds, self.at = seconds, at

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> int:
        if i % 4 == self.at:
            time.sleep(self.seconds)
        return i


class Large(Dataset):
    """Batches that do not fit a socket, of which one index does not either."""

    def __len__(self) -> int:
        return 1 << 16

    def __getitem__(self, i: int) -> Any:
        return i

    def __getitems__(self, indices: list[int]) -> Any:
        return [{"numbers": np.array(indices), "tensor": torch.tensor(indices) + 1, "half": torch.ones(3, dtype=torch.bfloat16),
                 "text": "x" * 100_000, "none": torch.ones(0, 3), "single": torch.tensor(2.0), "empty": np.zeros(0)}]


class Killed(Dataset):
    """A sample that is the end of whoever makes it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> int:
        if i == 3 and self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif i == 3:
            os._exit(7)
        return i


def mark(worker: int) -> None:
    torch.marked = worker  # type: ignore[attr-defined]


def unready(worker: int) -> None:
    raise ValueError(f"worker {worker} is not ready")


def first(batch: list[Any]) -> Any:
    return batch[0]


def a_lambda(batch: list[Any]) -> Any:
    return lambda: batch


def raised(loader: Any, kind: type[BaseException]) -> str:
    try:
        list(loader)
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def children() -> list[int]:
    """The processes that this one started and that run; not the helpers of multiprocessing."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_text()
            except OSError:
                continue
            helpers = ("resource_tracker", "forkserver")
            if int(fields[1]) == os.getpid() and fields[0] != "Z" and not any(h in command for h in helpers):
                found.append(int(entry.name))
    return found


# --- Scenarios --------------------------------------------------------------------------------------------------------


def works(method: str) -> None:
    """What comes of a pass is what it is without workers."""
    options: dict[str, Any] = {"multiprocessing_context": method, "num_workers": 2}
    rows = Rows()
    expected = [[t.tolist() for t in batch] for batch in DataLoader(rows, 3)]
    assert [[t.tolist() for t in batch] for batch in DataLoader(rows, 3, **options)] == expected
    if method == "fork":
        assert all(type(t) is torch.Tensor for batch in DataLoader(rows, 8, **options) for t in batch)
        assert (next(iter(DataLoader(rows, 16, **options)))[2] * 2).sum().item() == rows.pending.sum().item() * 2
    loader = DataLoader(Where(), worker_init_fn=mark, collate_fn=first, generator=torch.Generator().manual_seed(1), **options)
    told = list(loader)
    assert [t["id"] for t in told] == [0, 1, 0, 1] == [t["marked"] for t in told]
    assert {t["of"] for t in told} == {2} and {t["engine"] for t in told} == {"numpy"}
    assert all(t["torch"] == t["seed"] == told[0]["seed"] + t["id"] for t in told)
    assert method == "fork" or not any(t["jaxlib"] for t in told)
    assert len({t["python"] for t in told}) == len({t["numpy"] for t in told}) == 4
    if method != "fork":  # the rest does not depend on how a worker starts, which takes a second each for the others
        return
    loader.generator.manual_seed(1)
    again = list(loader)
    for name in ("seed", "python", "numpy"):
        assert [t[name] for t in again] == [t[name] for t in told] != [t[name] for t in list(loader)], name
    assert [t["drawn"].tolist() for t in again] == [t["drawn"].tolist() for t in told]
    assert not children()


def passes(method: str) -> None:
    """Streams, orders, workers that stay, large batches."""
    options: dict[str, Any] = {"multiprocessing_context": method, "num_workers": 2}
    assert [b.tolist() for b in DataLoader(Shard(), 2, **options)] == [[0, 2], [1, 3], [4, 6], [5]]
    assert [b.tolist() for b in DataLoader(Shard(), 2, drop_last=True, **options)] == [[0, 2], [1, 3], [4, 6]]
    kept = DataLoader(Shard(), 3, persistent_workers=True, prefetch_factor=5, **options)
    before = None
    for _ in range(2):
        assert [b.tolist() for b in kept] == [[0, 2, 4], [1, 3, 5], [6]]
        assert before in (None, sorted(children()))
        before = sorted(children())
    next(iter(kept))
    assert [b.tolist() for b in kept] == [[0, 2, 4], [1, 3, 5], [6]]
    assert len(before or []) == 2
    del kept
    ordered = [int(b) for b in DataLoader(Slow(0.3), **options)]
    assert ordered == list(range(8))
    free = [int(b) for b in DataLoader(Slow(0.3), in_order=False, prefetch_factor=1, **options)]
    assert sorted(free) == ordered != free
    large = Large()
    for batch in DataLoader(large, 1 << 15, collate_fn=first, prefetch_factor=3, **options):
        assert batch["numbers"].tolist() == (batch["tensor"] - 1).tolist() and len(batch["numbers"]) == 1 << 15
        batch["numbers"][0] = 5  # memory that is the batch's own
        assert batch["half"].tolist() == [1, 1, 1] and batch["half"].dtype is torch.bfloat16
        assert batch["none"].shape == (0, 3) and batch["single"].item() == 2 and len(batch["text"]) == 100_000
    assert not children()


def raises(method: str) -> None:
    """What goes wrong in a worker is raised here, with the worker's traceback."""
    options: dict[str, Any] = {"multiprocessing_context": method, "num_workers": 2}
    text = raised(DataLoader(Raising(ValueError("bad sample")), **options), ValueError)
    assert text.startswith("Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n")
    assert "in __getitem__\n    raise self.error\n" in text and text.endswith("ValueError: bad sample\n")
    if method != "fork":
        text = raised(DataLoader(range(3), collate_fn=lambda b: b, **options), Exception)
        assert "lambda" in text and ("pickle" in text.lower() or "local object" in text)  # Python 3.11 and 3.13 say it apart
        assert not children()
        return
    text = raised(DataLoader(Raising(KeyError("k"), 3), **options), KeyError)
    assert text.startswith("Caught KeyError in DataLoader worker process 1.\nOriginal Traceback")
    text = raised(DataLoader(Raising(OddError(1, 2)), **options), RuntimeError)
    assert text.startswith("Caught OddError in DataLoader worker process 0.")
    text = raised(DataLoader(range(3), worker_init_fn=unready, **options), ValueError)
    assert text.startswith("Caught ValueError in DataLoader worker process 0.") and "worker 0 is not ready" in text
    assert "pickle" in raised(DataLoader(range(3), collate_fn=a_lambda, **options), Exception).lower()
    iterator = iter(DataLoader(Raising(ValueError("bad sample")), **options))
    got: list[Any] = []
    while len(got) < 6:
        try:
            got.append(int(next(iterator)))
        except ValueError:
            got.append("error")
    assert got == [0, 1, "error", 3, 4, 5]
    del iterator
    start = time.monotonic()
    assert raised(DataLoader(Slow(60.0, 1), timeout=0.5, **options), RuntimeError) == "DataLoader timed out after 0.5 seconds"
    assert time.monotonic() - start < 30
    assert not children()


def killed(method: str) -> None:
    """A worker that ends is named."""
    causes = {"kill": "is killed by signal: Killed. ", "exit": "exited unexpectedly with exit code 7. Details"}
    for how, cause in [*causes.items()][:2 if method == "fork" else 1]:
        loader = DataLoader(Killed(how), num_workers=2, multiprocessing_context=method, persistent_workers=True)
        iterator = iter(loader)
        number = iterator._workers[1].pid
        try:
            list(iterator)
            raise AssertionError("nothing was raised")
        except RuntimeError as error:
            assert str(error) == f"DataLoader worker (pid(s) {number}) exited unexpectedly", error
            assert cause in str(error.__cause__), error.__cause__
        assert not children()
        assert method != "fork" or int(next(iter(loader))) == 0


def endless(method: str) -> None:
    """Says which processes its workers are, and is killed from outside."""
    iterator = iter(DataLoader(Slow(100.0, 2), num_workers=2, multiprocessing_context=method))
    assert int(next(iterator)) == 0 and int(next(iterator)) == 1  # so both are at work
    print(*[worker.pid for worker in iterator._workers], flush=True)
    try:
        next(iterator)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise


def threads(method: str) -> None:
    """Workers start while another thread runs compiled steps, compiles and holds locks."""
    warnings.simplefilter("error")
    done = threading.Event()
    errors: list[BaseException] = []

    def compute() -> None:
        try:
            size = 2
            while not done.is_set():
                step = torch.jit(lambda x: (x @ x).tanh().sum())
                size = size % 40 + 1
                for _ in range(3):
                    float(step(torch.rand(size, size)))
                (torch.rand(size) + 1).sum().item()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        data = TensorDataset(torch.rand(64, 3) * 2, torch.arange(64))
        for _ in range(8 if method == "fork" else 1):
            loader = DataLoader(data, 8, num_workers=2, multiprocessing_context=method, worker_init_fn=draw, timeout=60)
            assert torch.cat([y for _, y in loader]).tolist() == list(range(64))
    finally:
        done.set()
        thread.join()
    assert not errors, errors


def draw(worker: int) -> None:
    """Takes the locks that a draw takes, and runs what is recorded."""
    assert (torch.rand(3) * 2).sum().item() < 6


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever ran the tests in the background had it ignored
    globals()[sys.argv[2]](sys.argv[1])
    print("ok")
