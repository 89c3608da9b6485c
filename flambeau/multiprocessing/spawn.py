"""`torch.multiprocessing.spawn`: a function in several processes at once."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any


class ProcessException(Exception):
    """A process ended otherwise than it should; `error_index` is its number."""

    error_index: int
    error_pid: int

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.error_pid = msg, error_index, pid

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.error_index, self.error_pid)


class ProcessRaisedException(ProcessException):
    """The function raised; the message has the traceback."""


class ProcessExitedException(ProcessException):
    """The process ended with an exit code, or by a signal."""

    exit_code: int

    def __init__(self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: str | None = None) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.error_index, self.error_pid, self.exit_code, self.signal_name)


def _work(function: Callable[..., Any], i: int, args: tuple[Any, ...], told: Any) -> None:
    try:
        function(i, *args)
    except KeyboardInterrupt:
        pass  # the parent has it too
    except Exception:
        told.send(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """Processes that were started: `join()` waits for them."""

    def __init__(self, processes: list[Any], told: list[Any]) -> None:
        self.processes, self._told = processes, told
        self.sentinels = {process.sentinel: i for i, process in enumerate(processes)}

    def pids(self) -> list[int]:
        """Their numbers in the system."""
        return [int(process.pid) for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until one has ended or the time is over; whether all have. If one failed the others are ended, and it is told."""
        ready = multiprocessing.connection.wait(list(self.sentinels), timeout=timeout)
        ended = [self.sentinels.pop(sentinel) for sentinel in ready]
        for i in ended:
            self.processes[i].join()
        failed = next((i for i in ended if self.processes[i].exitcode), None)
        if failed is None:
            return not self.sentinels
        self._end_all(grace_period)
        self._raise(failed)
        return True

    def _end_all(self, grace_period: float | None) -> None:
        until = time.monotonic() + (grace_period or 0)
        for process in self.processes:
            process.join(max(0.0, until - time.monotonic()) if grace_period else 0)
            if process.is_alive():
                process.terminate()
        for process in self.processes:
            process.join(30)

    def _raise(self, i: int) -> None:
        process = self.processes[i]
        try:
            said = self._told[i].recv()
        except EOFError:
            said = None
        if said is not None:
            raise ProcessRaisedException(f"\n\n-- Process {i} terminated with the following error:\n{said}", i, process.pid)
        if process.exitcode < 0:
            name = signal.Signals(-process.exitcode).name
            raise ProcessExitedException(f"process {i} terminated with signal {name}", i, process.pid, process.exitcode, name)
        raise ProcessExitedException(f"process {i} terminated with exit code {process.exitcode}", i, process.pid,
                                     process.exitcode)


class SpawnContext(ProcessContext):
    """What `spawn` returns where it does not wait."""


def start_processes(fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True,
                    daemon: bool = False, start_method: str = "spawn") -> ProcessContext | None:
    """Run `fn(i, *args)` in `nprocs` processes, numbered from 0, and wait for them.

    Args: `join`, whether to wait, and raise what a process raised; else what is returned can `join()`; `daemon`, whether they
    end with this process; `start_method`, "spawn", "fork" or "forkserver".
    """
    context: Any = multiprocessing.get_context(start_method)
    processes, told = [], []
    for i in range(nprocs):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(fn, i, args, sender), daemon=daemon)
        process.start()
        sender.close()
        processes.append(process)
        told.append(receiver)
    made = SpawnContext(processes, told)
    if not join:
        return made
    while not made.join():
        pass
    return None


def spawn(fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
          start_method: str = "spawn") -> ProcessContext | None:
    """`start_processes`: `fn(i, *args)` in `nprocs` new processes.

    Source: https://pytorch.org/docs/stable/multiprocessing.html#torch.multiprocessing.spawn.spawn
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)


__all__ = ["ProcessContext", "ProcessException", "ProcessExitedException", "ProcessRaisedException", "SpawnContext", "spawn",
           "start_processes"]
