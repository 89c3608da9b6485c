"""A target of another size than the input: torch's warning, at the user's line, once."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest

import flambeau as torch
from flambeau.nn import functional as F

LOSSES = {F.mse_loss: torch.nn.MSELoss, F.l1_loss: torch.nn.L1Loss, F.smooth_l1_loss: torch.nn.SmoothL1Loss,
          F.huber_loss: torch.nn.HuberLoss}


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("sizes", [((2, 1), (2,)), ((3,), (3, 3)), ((1, 4), (4,)), ((), (1,))], ids=str)
def test_it_is_told_where_it_happens(loss: Any, sizes: Any) -> None:
    a, b = map(torch.ones, sizes)
    message = re.escape(f"Using a target size (torch.Size({list(sizes[1])})) that is different to the input size")
    for call in (lambda: loss(a, b), lambda: LOSSES[loss]()(a, b), lambda: torch.jit(lambda x, y: loss(x, y))(a, b)):
        with pytest.warns(UserWarning, match=message) as caught:
            call()
        assert {w.filename for w in caught} == {__file__}


def test_once_for_each_line_and_never_for_equal_sizes() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            F.mse_loss(torch.ones(2, 1), torch.ones(2))
        F.l1_loss(torch.ones(2, 1), torch.ones(2))
        F.mse_loss(torch.ones(2, 2), torch.ones(2, 2))
    assert [w.lineno for w in caught] == sorted({w.lineno for w in caught}) and len(caught) == 2
