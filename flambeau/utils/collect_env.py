"""`torch.utils.collect_env`: what `flambeau info` tells. `python -m torch.utils.collect_env` prints it."""

from __future__ import annotations

import subprocess
import sys


def get_pretty_env_info() -> str:
    """Versions, devices, caches and flags, from a process of its own."""
    return subprocess.run([sys.executable, "-m", "flambeau", "info"], capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Print it."""
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
