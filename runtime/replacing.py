"""Files that are replaced as a whole or not at all, and what killed processes leave behind of that.

A new file is written beside the old one, under a hidden name that says which process writes it: the machine (its name,
its id, and the process namespace, since containers number their processes alone), its boot, the process's number, and when
that process started, since numbers are given again. The next replacement in the folder removes those whose process is gone.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
import stat
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

_HIDDEN = re.compile(r"\..*\.(?P<machine>[0-9a-f]{8})-(?P<boot>[0-9a-f]{8})-(?P<number>\d+)-(?P<start>\d+)"
                     r"\.[0-9a-f]{12}\.tmp", re.DOTALL)


def replace(target: str, write_to: Callable[[Any], None]) -> None:
    """Write a new file beside `target`, to the disk, and only then give it the name."""
    folder = os.path.dirname(target)
    remove_abandoned(folder)
    temporary = hidden(target)
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            write_to(file)
            file.flush()
            _keep_mode(target, temporary)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)


def hidden(target: str) -> str:
    """A path beside `target` for what is to become it; what is left there is removed once this process is gone."""
    folder, name = os.path.split(target)
    named = os.fsdecode(os.fsencode(name)[:150])
    return os.path.join(folder, f".{named}.{_Writer.here()}.{secrets.token_hex(6)}.tmp")


def _keep_mode(target: str, temporary: str) -> None:
    if os.path.exists(target):
        os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))


# --- What was left behind ---------------------------------------------------------------------------------------------


def remove_abandoned(folder: str) -> None:
    """Remove the temporary files of processes of this machine that are gone; what cannot be told or removed stays."""
    if not os.path.exists("/proc/self/stat"):  # nowhere else is there a start time to tell processes apart by
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            named = _HIDDEN.fullmatch(entry.name)
            if named is not None and _is_abandoned(_Writer.read(named), entry):
                with suppress(OSError):
                    os.unlink(entry.path)


def _is_abandoned(writer: _Writer, entry: os.DirEntry[str]) -> bool:
    if writer.machine != _machine():
        return False
    if writer.boot != _boot():
        # A machine of the same name and id (a copied disk) may be writing now: not to a file that is older than our boot.
        return entry.stat().st_mtime < time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return not _is_alive(writer)


class _Writer(NamedTuple):
    """The process that writes a file."""

    machine: str
    boot: str
    number: int
    start: int

    @classmethod
    def here(cls) -> _Writer:
        """This process; asked anew each time, since a fork is another one."""
        number = os.getpid()
        return cls(_machine(), _boot(), number, (_state_and_start(number) or ("", 0))[1])

    @classmethod
    def read(cls, named: re.Match[str]) -> _Writer:
        """The process that a file's name tells."""
        return cls(named["machine"], named["boot"], int(named["number"]), int(named["start"]))

    def __str__(self) -> str:
        return f"{self.machine}-{self.boot}-{self.number}-{self.start}"


def _is_alive(writer: _Writer) -> bool:
    try:
        os.kill(writer.number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there and somebody else's
        pass
    found = _state_and_start(writer.number)
    return found is None or (found[0] not in "ZX" and found[1] == writer.start)


def _state_and_start(number: int) -> tuple[str, int] | None:
    """A process's state letter and its start in ticks since the boot; None where that is not told."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    after_name = text.rpartition(")")[2].split()
    return after_name[0], int(after_name[19])


@functools.cache
def _machine() -> str:
    with suppress(OSError):
        return _digest(os.uname().nodename, _text_of("/etc/machine-id"), str(os.stat("/proc/self/ns/pid").st_ino))
    return _digest("unknown")


@functools.cache
def _boot() -> str:
    return _digest(_text_of("/proc/sys/kernel/random/boot_id"))


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _digest(*texts: str) -> str:
    return f"{zlib.crc32(chr(0).join(texts).encode()):08x}"
