"""Compiled programs on disk: found again, and never at the price of a wrong or foreign one."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime import cache
from flambeau.runtime.engine import Counts, XlaBackend


@pytest.fixture
def folder(monkeypatch, tmp_path):
    where = tmp_path / "cache"
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(where))
    monkeypatch.delenv("FLAMBEAU_CACHE", raising=False)
    monkeypatch.delenv("FLAMBEAU_CACHE_SIZE", raising=False)
    return where


def compile_in_a_new_engine(number=1.0):
    """(compiles, disk hits, result) of an engine that remembers nothing."""
    engine = XlaBackend()
    graph = torch.jit(lambda x: x * x - number).trace(torch.ones(2))
    before = Counts.compiles, Counts.disk_hits
    program = engine.compile(graph, "cpu", {})
    (result,) = program.run([engine.upload(np.float32([2, 3]), "cpu")])
    return Counts.compiles - before[0], Counts.disk_hits - before[1], engine.download(result).tolist()


def test_a_program_is_found_again(folder):
    assert compile_in_a_new_engine() == (1, 0, [3.0, 8.0])
    assert compile_in_a_new_engine() == (0, 1, [3.0, 8.0])
    assert compile_in_a_new_engine(2.0) == (1, 0, [2.0, 7.0])
    assert cache.usage() == (2, sum(f.stat().st_size for f in folder.iterdir()))


FRESH = """
import json
import flambeau as torch
from flambeau.runtime.engine import Counts
y = torch.jit(lambda x: x * x - 1.0)(torch.tensor([2.0, 3.0])).tolist()
print(json.dumps([Counts.compiles, Counts.disk_hits, y]))
"""


def run_fresh(count=1):
    command = [sys.executable, "-c", FRESH]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [json.loads(p.communicate(timeout=120)[0]) for p in processes]


def test_two_processes_may_write_at_once_and_a_third_finds_it(folder):
    for compiles, hits, result in run_fresh(2):
        assert compiles + hits >= 1 and result == [3.0, 8.0]
    assert not [f for f in folder.iterdir() if f.name.startswith("writing-")]
    ((compiles, hits, result),) = run_fresh()
    assert compiles == 0 and hits >= 1 and result == [3.0, 8.0]


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:len(b) // 2], lambda b: b[:-1],
                                    lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:], lambda b: b"x" + b[1:]],
                         ids=["empty", "half", "a byte short", "a bit flipped", "another format"])
def test_a_damaged_entry_is_replaced(folder, damage):
    compile_in_a_new_engine()
    (entry,) = folder.iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    assert compile_in_a_new_engine() == (1, 0, [3.0, 8.0])
    assert compile_in_a_new_engine() == (0, 1, [3.0, 8.0])


def test_an_entry_that_xla_cannot_load_is_compiled_again(folder):
    compile_in_a_new_engine()
    (entry,) = folder.iterdir()
    cache.store(entry.name, b"whole, but no executable")
    assert compile_in_a_new_engine() == (1, 0, [3.0, 8.0])


def test_caching_can_be_turned_off(folder, monkeypatch):
    monkeypatch.setenv("FLAMBEAU_CACHE", "0")
    assert [compile_in_a_new_engine()[:2] for _ in range(2)] == [(1, 0), (1, 0)]
    assert not folder.exists() and cache.usage() == (0, 0) and cache.folder() is None


def test_the_folder_is_closed_to_others(folder):
    compile_in_a_new_engine()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(f.stat().st_mode & 0o077 == 0 for f in folder.iterdir())


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_open_to_others_is_ignored_with_a_warning(folder, mode, caplog):
    folder.mkdir()
    folder.chmod(mode)
    with caplog.at_level(logging.WARNING, "flambeau"):
        assert [compile_in_a_new_engine()[:2] for _ in range(2)] == [(1, 0), (1, 0)]
    assert not list(folder.iterdir()) and caplog.text.count("mode 0700") == 1


def test_a_link_in_place_of_the_folder_is_ignored(folder, tmp_path, caplog):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    assert cache.folder() is None and "ignored" in caplog.text


def test_a_file_in_place_of_the_folder_is_ignored(folder, caplog):
    folder.write_text("")
    assert cache.folder() is None and "cannot be used" in caplog.text
    assert compile_in_a_new_engine() == (1, 0, [3.0, 8.0])


def test_the_least_recently_used_entries_go_first(folder, monkeypatch):
    for i, name in enumerate("abc"):
        cache.store(name, bytes(1000))
        os.utime(folder / name, (i, i))
    assert cache.load("a") == bytes(1000)  # now the latest
    size = (folder / "a").stat().st_size
    monkeypatch.setenv("FLAMBEAU_CACHE_SIZE", str(3 * size))
    cache.store("d", bytes(1000))
    assert sorted(f.name for f in folder.iterdir()) == ["a", "c", "d"]
    assert cache.usage() == (3, 3 * size)


def test_a_size_that_is_no_number_is_a_warning(folder, monkeypatch, caplog):
    monkeypatch.setenv("FLAMBEAU_CACHE_SIZE", "2 GB")
    cache.store("a", b"x")
    assert cache.load("a") == b"x" and "FLAMBEAU_CACHE_SIZE" in caplog.text


def test_what_was_never_stored_is_not_found(folder):
    assert cache.load("0" * 64) is None


def test_the_key_depends_on_every_part_and_on_the_machine(monkeypatch):
    keys = {cache.key("text", "cpu"), cache.key("text ", "cpu"), cache.key("text", "tpu"), cache.key("textcpu"),
            cache.key("text", "cpu", "")}
    assert len(keys) == 5 and cache.key("text", "cpu") == cache.key("text", "cpu")
    monkeypatch.setattr(cache, "machine", lambda: "another processor")
    assert cache.key("text", "cpu") not in keys


def test_the_machine_names_xla_flags(monkeypatch):
    cache.machine.cache_clear()
    plain = cache.machine()
    cache.machine.cache_clear()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    assert cache.machine() != plain
    cache.machine.cache_clear()
