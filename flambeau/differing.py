"""What is there under torch's name and is not quite the same: how, by name. `flambeau.compat` tells it."""

from __future__ import annotations

DIFFERS: dict[str, str] = {}
