"""Compiled programs on disk: found again by the next process, as long as nothing that matters has changed.

The folder is `$FLAMBEAU_CACHE_DIR`, else `flambeau` in the user's cache folder; `FLAMBEAU_CACHE=0` turns it off, and
`FLAMBEAU_CACHE_SIZE` is its size limit in bytes. Loading an executable runs code, so the folder must be the user's own
and closed to others (mode 0700); one that is not is ignored with a warning.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

logger = logging.getLogger("flambeau")
LIMIT = 2 << 30
MAGIC = b"flambeau-executable-1\n"


def folder() -> Path | None:
    """The cache folder, made if need be; None when caching is off or the folder is not safe."""
    if os.environ.get("FLAMBEAU_CACHE", "1") == "0":
        return None
    base = os.environ.get("FLAMBEAU_CACHE_DIR")
    path = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flambeau"
    return path if _is_safe(path) else None


@lru_cache(maxsize=8)
def _is_safe(path: Path) -> bool:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        logger.warning("the cache folder %s cannot be used (%s): compiled programs are not kept", path, error)
        return False
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        logger.warning("the cache folder %s is not a folder of your own with mode 0700: it is ignored", path)
        return False
    return True


@lru_cache(maxsize=1)
def machine() -> str:
    """What a CPU executable depends on beside its text: the processor, the threads, XLA's flags."""
    try:
        features = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        features = platform.processor()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "\n".join([platform.machine(), features, str(threads), os.environ.get("XLA_FLAGS", "")])


def key(*parts: str) -> str:
    """The file name of a program that is determined by `parts` and this machine."""
    digest = hashlib.sha256()
    for part in (*parts, machine()):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def load(name: str) -> bytes | None:
    """The stored bytes, or None if there are none or they are damaged."""
    where = folder()
    if where is None:
        return None
    path = where / name
    try:
        content = path.read_bytes()
        body = content[len(MAGIC) + 32:]
        if content[:len(MAGIC)] == MAGIC and hashlib.sha256(body).digest() == content[len(MAGIC):len(MAGIC) + 32]:
            os.utime(path)
            return body
        path.unlink(missing_ok=True)
    except OSError:
        pass
    return None


def store(name: str, body: bytes) -> None:
    """Keep the bytes; another process may be writing the same. A full disk is no error."""
    where = folder()
    if where is None:
        return
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=where, prefix="writing-")
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + hashlib.sha256(body).digest() + body)
        os.replace(temporary, where / name)
        _trim(where)
    except OSError as error:
        logger.info("a compiled program could not be kept: %s", error)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _trim(where: Path) -> None:
    """Remove what was not used for longest until the folder is within its limit."""
    limit = _limit()
    entries = sorted(((f.stat().st_mtime, f.stat().st_size, f) for f in where.iterdir() if f.is_file()), reverse=True)
    total = 0
    for _, size, file in entries:
        total += size
        if total > limit:
            file.unlink(missing_ok=True)


def _limit() -> int:
    given = os.environ.get("FLAMBEAU_CACHE_SIZE", str(LIMIT))
    if given.isdecimal():
        return int(given)
    logger.warning("FLAMBEAU_CACHE_SIZE requires a number of bytes, got %r: the limit is %d", given, LIMIT)
    return LIMIT


def usage() -> tuple[int, int]:
    """Files and bytes in the cache."""
    where = folder()
    sizes = [f.stat().st_size for f in where.iterdir() if f.is_file()] if where else []
    return len(sizes), sum(sizes)
