"""`torch.version`: the release of torch whose names and numbers these are, and what there is of it."""

from __future__ import annotations

import re
from typing import Any


class TorchVersion(str):
    """A version as text that compares by its numbers: with text, with tuples, with other versions.

    >>> TorchVersion("2.13.0") > "2.9", TorchVersion("2.13.0") >= (2, 13)
    (True, True)
    """

    __slots__ = ()

    def _key(self) -> tuple[int, ...]:
        return _numbers(self)

    def __lt__(self, other: Any) -> bool:
        return self._key() < _numbers(other)

    def __le__(self, other: Any) -> bool:
        return self._key() <= _numbers(other)

    def __gt__(self, other: Any) -> bool:
        return self._key() > _numbers(other)

    def __ge__(self, other: Any) -> bool:
        return self._key() >= _numbers(other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (str, tuple)) and self._key() == _numbers(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def _numbers(version: Any) -> tuple[int, ...]:
    parts = re.split(r"[.+\-]", version) if isinstance(version, str) else [str(part) for part in version]
    found = [int(match.group()) for part in parts if (match := re.match(r"\d+", part))]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


__version__ = TorchVersion("2.13.0")
flambeau = "0.1.0"
both = TorchVersion(f"{__version__}+flambeau.{flambeau}")  # what `import flambeau as torch` shows: torch's, then ours
cuda = hip = rocm = xpu = None
debug = False
git_version = "unknown"
