"""What holds for all comparisons with PyTorch."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def as_users_find_it() -> None:
    """What modules of PyTorch's own change for all when they are imported is put back.

    Its compiler turns the checks of distributions off, and its test records freeze the flags of its backends.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.distributions.Distribution.set_default_validate_args(True)
        torch.backends.flags_frozen.__globals__["__allow_nonbracketed_mutation_flag"] = True
