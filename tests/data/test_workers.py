"""Workers of a `DataLoader`, by start method: what they give, what they raise, and that none of them is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

METHODS = ["fork", "spawn", "forkserver"]
SCRIPT = Path(__file__).with_name("scenarios.py")
ROOT = Path(__file__).parents[2]
GONE = 5.0  # seconds


def started(method: str, scenario: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-W", "error", str(SCRIPT), method, scenario], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


@pytest.mark.parametrize(("scenario", "method"), [("passes", "fork"), *[
    (scenario, method) for scenario in ("works", "raises", "killed", "threads") for method in METHODS]])
def test_scenario(scenario: str, method: str) -> None:
    process = started(method, scenario)
    try:
        output, errors = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(process.communicate()) from None
    assert process.returncode == 0, errors
    assert output == "ok\n" and errors == ""


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(numbers: list[int]) -> None:
    end = time.monotonic() + GONE
    while any(map(alive, numbers)):
        assert time.monotonic() < end, f"workers are there after {GONE} s"
        time.sleep(0.05)


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_parent_leaves_nothing(method: str) -> None:
    shared = Path("/dev/shm")
    before = set(shared.iterdir())
    process = started(method, "endless")
    assert process.stdout is not None
    workers = list(map(int, process.stdout.readline().split()))
    assert len(workers) == 2 and all(map(alive, workers))
    time.sleep(0.3)
    process.kill()
    process.wait()
    wait_until_gone(workers)
    left = {path.name for path in set(shared.iterdir()) - before if not path.name.startswith("sem.")}
    assert not left
    process.communicate()


@pytest.mark.parametrize(("method", "whole_group"), [("fork", False), *[(method, True) for method in METHODS]])
def test_control_c(method: str, whole_group: bool) -> None:
    process = started(method, "endless")
    assert process.stdout is not None
    workers = list(map(int, process.stdout.readline().split()))
    time.sleep(0.3)
    started_at = time.monotonic()
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert output == "interrupted\n" and errors.count("KeyboardInterrupt") == 1, errors
    assert process.returncode == -signal.SIGINT
    assert time.monotonic() - started_at < 4 * GONE
    wait_until_gone(workers)
