"""Booleans through XLA: what it folds, it folds right."""

from __future__ import annotations

import pytest

import flambeau as torch

SUMS = {
    "a + b": (lambda a, b: a + b, [True, True, True, False]), "a * b": (lambda a, b: a * b, [True, False, False, False]),
    "add_": (lambda a, b: a.clone().add_(b), [True, True, True, False]),
    "mul_": (lambda a, b: a.clone().mul_(b), [True, False, False, False]),
    "index_add": (lambda a, b: a.index_add(0, torch.arange(4), b), [True, True, True, False]),
    "scatter_add": (lambda a, b: a.scatter_add(0, torch.tensor([0, 0, 0, 0]), b), [True, True, False, False]),
}


@pytest.mark.parametrize("constant", [False, True], ids=["given", "constant"])
@pytest.mark.parametrize("how", ["lazily", "jitted", "beside another"])
@pytest.mark.parametrize("name", SUMS)
def test_sums_and_products_of_booleans(name: str, how: str, constant: bool) -> None:
    """XLA folded sums of constant booleans to false where they stood in one program with others."""
    function, wanted = SUMS[name]

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        if constant:
            return torch.ones(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)
        return torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])

    found = torch.jit(lambda: function(*both()))() if how == "jitted" else function(*both())
    if how == "beside another":
        torch.ones(2).floor_divide_(torch.ones(2, dtype=torch.float64))
        found = [found, function(*both())][1]
    assert found.tolist() == ([True] * 4 if constant else wanted)
