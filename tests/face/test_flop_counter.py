"""How many floating point operations a block takes: products and convolutions, lazily and compiled, by module."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.autograd import measuring
from flambeau.utils.flop_counter import FlopCounterMode, register_flop_formula


def test_a_step_by_module() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 6))
    with FlopCounterMode(display=False) as counter:
        net(torch.ones(3, 4)).sum().backward()
    assert counter.get_total_flops() == 780  # as in torch: 300 forwards, 480 backwards
    assert counter.get_flop_counts() == {"Global": {"dot": 780}, "0": {"dot": 240}, "1": {"dot": 540}}
    assert "   780  100.00%" in counter.get_table() and "30.77%" in counter.get_table()
    assert not measuring._originals


def test_a_compiled_step_counts_at_each_call() -> None:
    step = torch.jit(lambda x, y: x @ y)
    with FlopCounterMode(display=False) as counter:
        for _ in range(3):
            step(torch.ones(2, 3, 4), torch.ones(2, 4, 5))
    assert counter.get_total_flops() == 3 * 2 * 2 * 3 * 4 * 5


@pytest.mark.parametrize(("options", "expected"), [
    ({}, 3888), ({"padding": 1}, 6912), ({"stride": 2}, 972), ({"groups": 2}, 2592)])
def test_convolutions(options: dict[str, int], expected: int) -> None:
    """torch's numbers."""
    x, w = torch.ones(1, 2, 8, 8), torch.ones(4 if options.get("groups") else 3, 2 // options.get("groups", 1), 3, 3)
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.conv2d(x, w, **options).sum().item()
    assert counter.get_total_flops() == expected


def test_formulas_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    from_outside = {"exp": lambda x, *, out_shape, **params: 7 * out_shape[0]}
    with FlopCounterMode(custom_mapping=from_outside) as counter:
        torch.full((300, 300), 2.0).exp().sum().item()
    assert counter.get_total_flops() == 2100 and "exp" in capsys.readouterr().out
    with pytest.raises(TypeError):
        register_flop_formula(3)(lambda: 0)
