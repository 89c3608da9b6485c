"""What one pastes into a bug report: versions, devices, caches, flags."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from .runtime import cache, devices
from .version import flambeau


def info() -> str:
    """The report as text."""
    lines = [f"python     {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores"]
    lines.append(f"flambeau   {flambeau}")
    for package in ("jax", "jaxlib", "numpy", "ml_dtypes", "libtpu", "torch"):
        try:
            lines.append(f"{package:<10} {version(package)}")
        except PackageNotFoundError:
            lines.append(f"{package:<10} not installed")
    for kind, found in devices.available().items():
        lines.append(f"{kind:<10} {', '.join(found) if isinstance(found, list) else found}")
    files, size = cache.usage()
    lines.append(f"cache      {cache.folder() or 'off'}: {files} program(s), {size / 2**20:.1f} MiB")
    flags = {k: v for k, v in sorted(os.environ.items()) if k.startswith(("FLAMBEAU_", "XLA_", "JAX_"))}
    lines.append(f"flags      {', '.join(f'{k}={v}' for k, v in flags.items()) or 'none'}")
    return "\n".join(lines)
