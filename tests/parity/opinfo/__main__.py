"""The sweep of torch's record as a command, resumable, and its table."""

from __future__ import annotations

import sys

from .sweep import main

sys.exit(main(sys.argv[1:]))
