"""Orders and keys that torch has and that checkpoints depend on: of parameters in mappings, and of compiled modules."""

from __future__ import annotations

from collections import ChainMap, OrderedDict, defaultdict
from types import MappingProxyType
from typing import Any

import pytest

import flambeau as torch
from flambeau import nn


def _two(kind: Any = dict) -> Any:
    return kind([("g", torch.zeros(1)), ("b", torch.ones(1))])


@pytest.mark.parametrize("make, order", [
    (dict, "bg"), (lambda pairs: MappingProxyType(dict(pairs)), "bg"), (lambda pairs: ChainMap(dict(pairs)), "bg"),
    (lambda pairs: defaultdict(list, pairs), "bg"), (OrderedDict, "gb"), (list, "gb"), (iter, "gb"),
    (lambda pairs: nn.ParameterDict(OrderedDict(pairs)), "gb")])
def test_parameters_of_a_plain_mapping_are_sorted(make: Any, order: str) -> None:
    """An optimizer's state counts parameters: with another order a checkpoint of torch's would be another one's."""
    made = nn.ParameterDict(_two(make))
    assert [*made] == [*order] == [name for name, _ in made.named_parameters()] == [*made.state_dict()]
    made = nn.ParameterDict({"z": torch.zeros(2)})
    made.update(_two(make))
    assert [*made] == ["z", *order]


def test_modules_of_a_mapping_keep_their_order() -> None:
    assert [*nn.ModuleDict({"g": nn.ReLU(), "b": nn.ReLU()})] == ["g", "b"]


def test_state_that_torch_saved_of_a_compiled_module() -> None:
    """There the module is a level of its own, `_orig_mod`."""
    saved = {name: torch.full_like(x, 3) for name, x in nn.Linear(2, 2).state_dict().items()}
    compiled = torch.compile(nn.Linear(2, 2))
    compiled.load_state_dict({f"_orig_mod.{name}": x for name, x in saved.items()})
    assert all((x == 3).all() for x in compiled.state_dict().values()) and (compiled._orig_mod.weight == 3).all()
    inside = nn.Sequential(torch.compile(nn.Linear(2, 2)), nn.BatchNorm1d(2))
    given = OrderedDict((name.replace("0.", "0._orig_mod."), torch.full_like(x, 5)) for name, x in inside.state_dict().items())
    inside.load_state_dict(given)
    assert all((x == 5).all() for x in inside.state_dict().values())
    compiled.load_state_dict(saved)  # the module's own keys, as before
    with pytest.raises(RuntimeError, match="Missing key"):
        nn.Linear(2, 2).load_state_dict({f"_orig_mod.{name}": x for name, x in saved.items()})
    with pytest.raises(RuntimeError, match=r'Missing key.*"bias"'):
        compiled.load_state_dict({"_orig_mod.weight": saved["weight"]})
