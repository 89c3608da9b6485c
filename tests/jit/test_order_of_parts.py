"""The order of a module's parameters, buffers and children is part of its structure; attributes of any name are apart."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

pytestmark = pytest.mark.usefixtures("numpy_engine")

X = torch.tensor([1.0, 2.0, 3.0])
ENDS = (nn.ReLU, nn.Tanh, nn.Sigmoid)  # the order of which is seen in what they give


def _tensors(of: Any) -> Any:
    x = X
    for p in of:
        x = (x - 1) * p
    return x


def _called(of: Any) -> Any:
    x = X
    for m in of:
        x = m(x - 1.5)
    return x


class _Of(nn.Module):
    """Three parts that `put` gives names."""

    def __init__(self, put: Any, parts: list[Any]) -> None:
        super().__init__()
        for name, part in zip("abc", parts):
            put(self, name, part)


def _parameters() -> Any:
    return _Of(setattr, [nn.Parameter(torch.full((3,), float(k))) for k in (1, 2, 3)])


def _buffers() -> Any:
    return _Of(lambda m, n, b: m.register_buffer(n, b), [torch.full((3,), float(k)) for k in (1, 2, 3)])


def _children() -> Any:
    return _Of(setattr, [kind() for kind in ENDS])


def _module_dict() -> Any:
    return nn.ModuleDict(dict(zip("abc", (kind() for kind in ENDS))))


def _parameter_dict() -> Any:
    return nn.ParameterDict({n: torch.full((3,), float(k)) for k, n in enumerate("abc", 1)})


def _by_attribute(m: Any, name: str) -> None:
    part, buffer = getattr(m, name), name in m._buffers
    delattr(m, name)
    m.register_buffer(name, part) if buffer else setattr(m, name, part)


def _by_item(m: Any, name: str) -> None:
    m[name] = m.pop(name)


def _by_table(m: Any, name: str) -> None:
    for table in (m._parameters, m._buffers, m._modules):
        if name in table:
            table[name] = table.pop(name)


# What has parts, how to go through them, and how one of them is put last.
MEMBERS: dict[str, tuple[Any, dict[str, Any], list[Any]]] = {
    "parameters": (_parameters, {"parameters": lambda m: _tensors(m.parameters()), "named": lambda m: _tensors(
        p for _, p in m.named_parameters()), "own": lambda m: _tensors(m._parameters.values())}, [_by_attribute, _by_table]),
    "buffers": (_buffers, {"buffers": lambda m: _tensors(m.buffers()), "state": lambda m: _tensors(m.state_dict().values())},
                [_by_attribute, _by_table]),
    "children": (_children, {"children": lambda m: _called(m.children()), "named": lambda m: _called(
        c for _, c in m.named_children()), "modules": lambda m: _called(list(m.modules())[1:])}, [_by_attribute, _by_table]),
    "a dict of modules": (_module_dict, {"values": lambda m: _called(m.values()), "keys": lambda m: _called(m[k] for k in m)},
                          [_by_item, _by_attribute, _by_table]),
    "a dict of parameters": (_parameter_dict, {"values": lambda m: _tensors(m.values()), "items": lambda m: _tensors(
        p for _, p in m.items())}, [_by_item]),
}
PLACES = {"itself": lambda m: m, "a child": lambda m: nn.Sequential(nn.Identity(), m), "a handle": lambda m: torch.jit(m)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind, loop, put", [(kind, loop, put) for kind, (_, loops, puts) in MEMBERS.items() for loop in loops
                                             for put in puts])
def test_another_order_is_seen(kind: str, loop: str, put: Any, place: str) -> None:
    made, loops, _ = MEMBERS[kind]
    parts, go = made(), loops[loop]
    whole = PLACES[place](parts)
    step = torch.jit(lambda: go(whole[1] if place == "a child" else whole))
    given = []
    for name in (None, "a", "b", "c", "a"):  # the second last is the first order again
        if name is not None:
            put(parts, name)
        given.append(step().tolist())
        assert given[-1] == step().tolist() == go(parts).tolist()
    assert len(set(map(tuple, given))) > 1 and step.stats.compiles <= 4
    assert any("order" in name for name, _, _ in step.why()[1].changes)


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("name", ["hooks", "order", "requires_grad", "handles", "names", "kind", "path", "training", "state"])
def test_an_attribute_may_be_called_anything(name: str, hooked: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.v = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
            setattr(self, name, 2.0)

        def forward(self, x: Any) -> Any:
            return x * self.w * getattr(self, name)

    model = Model()
    if hooked:
        model.register_forward_hook(lambda m, args, y: y + 1)
    step = torch.jit(model)
    for value in (2.0, 3.0, True, 3.0):
        setattr(model, name, value)
        assert step(X).tolist() == (X * value + hooked).tolist()
