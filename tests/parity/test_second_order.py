"""Which inputs of a gradient have a gradient in their turn, as in torch: values, zeros, or none.

The backward kernels of torch's ReLU and of its kin take the input for their mask, and give it zeros. So a penalty on gradients
reaches the parameters in front of a ReLU, with zeros, and an optimizer with weight decay moves them.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402
from .expressions import rows  # noqa: E402

FUNCTIONS = rows("""
    F.relu(x) ; F.relu6(x) ; F.hardtanh(x) ; F.leaky_relu(x) ; F.rrelu(x) ; F.threshold(x, .1, .2) ; F.hardshrink(x)
    F.softshrink(x) ; F.hardswish(x) ; F.elu(x) ; F.celu(x) ; F.selu(x) ; F.gelu(x) ; F.silu(x) ; F.prelu(x, w) ; F.glu(x)
    F.max_pool1d(x, 2) ; F.max_pool2d(im, 2) ; F.max_pool2d(im, 3, 1, 1) ; F.max_pool2d(im, 2, dilation=2)
    F.max_pool2d(im, 2, return_indices=True)[0] ; F.adaptive_max_pool1d(x[None], 2) ; F.adaptive_max_pool2d(im, 3)
    F.max_unpool2d(*F.max_pool2d(im, 2, return_indices=True), 2) ; F.avg_pool1d(x[None], 2) ; F.avg_pool2d(im, 2)
    F.adaptive_avg_pool1d(x[None], 2) ; F.adaptive_avg_pool2d(im, 3) ; F.lp_pool2d(im, 2, 2)
    F.interpolate(im, scale_factor=2) ; F.pad(x, (1, 1)) ; F.layer_norm(x, (4,)) ; F.nll_loss(x, classes) ; F.l1_loss(x, y)
    F.smooth_l1_loss(x, y) ; F.huber_loss(x, y) ; F.mse_loss(x, y) ; F.embedding(classes, x) ; F.hinge_embedding_loss(x, signs)
    x ** 1 ; x ** 1. ; x ** 2 ; x.float_power(1) ; x.abs() ; x.sign() ; x.clamp(-.5, .5) ; x.clamp(min=0) ; x.relu()
    torch.maximum(x, y) ; x.max() ; x.max(1)[0] ; x.amax(1) ; x.sort(1)[0] ; x.topk(2)[0] ; x.cummax(1)[0] ; x.sum() ; x.norm()
    x.norm(1) ; x.dist(y) ; x.floor() ; x.fmod(.3) ; torch.where(x > 0, x, 0) ; x.masked_fill(x > 0, 0) ; x * (x > 0)
    torch.relu(torch.relu(x)) ; x.relu().max() ; F.max_pool2d(im.relu(), 2)
""")


def second(library: Any, text: str) -> list[Any]:
    """For each input that has a gradient, what flows from that to each input: None, or the sum of its size."""
    def leaf(numbers: list[Any]) -> Any:
        return library.tensor(numbers, requires_grad=True)

    leaves = {"x": leaf([[.3, -.7, 1.1, .4], [-.2, .9, -1.3, .6], [.8, .05, -.45, 1.7]]), "w": leaf([.25]),
              "y": leaf([[.2, .5, -1.1, .4], [.3, -.9, .6, .1], [.7, .35, .25, -.8]]),
              "im": leaf([[[[.1 * ((i * 7 + j * 3) % 11) - .5 for j in range(4)] for i in range(4)]]])}
    more = {"classes": library.tensor([0, 2, 1]), "signs": library.tensor([[1., -1, 1, -1]] * 3)}
    out = eval(text, {"torch": library, "F": library.nn.functional, **leaves, **more})
    inputs = [*leaves.values(), library.ones_like(out).requires_grad_()]
    first = library.autograd.grad(out, inputs[:-1], inputs[-1], create_graph=True, allow_unused=True)
    found: list[Any] = []
    for g in first:
        if g is not None and g.requires_grad:
            pulled = library.autograd.grad(g.sum(), inputs, retain_graph=True, allow_unused=True)
            found.append([None if p is None else float(p.abs().sum()) for p in pulled])
        else:
            found.append(None if g is None else "constant")
    return found


@pytest.mark.parametrize("text", FUNCTIONS)
def test_gradients_of_gradients_are_there_where_torch_has_them(text: str) -> None:
    theirs = second(torch, text)
    with on_numpy():
        ours = second(flambeau, text)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        if isinstance(b, list):
            assert [p is None for p in a] == [p is None for p in b]
            assert [p or 0 for p in a] == pytest.approx([p or 0 for p in b], rel=1e-4, abs=1e-5)
        else:
            assert a == b


def penalty(library: Any, jit: Any, looked: bool) -> list[Any]:
    """Steps of a Wasserstein critic that is penalized for its gradient, with decay of its weights."""
    net = library.nn.Sequential(library.nn.Linear(2, 3), library.nn.ReLU(), library.nn.Linear(3, 1))
    optimizer = library.optim.AdamW(net.parameters(), lr=.1, weight_decay=.5)
    with library.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_(library.arange(p.numel()).reshape(p.shape) * .3 - .4 + k)

    def step(x: Any) -> None:
        x = x.clone().requires_grad_()
        optimizer.zero_grad()
        score = net(x).sum()
        if looked:
            score.item()
        (g,) = library.autograd.grad(score, x, create_graph=True)
        ((g.norm() - 1) ** 2).backward()
        optimizer.step()

    run = jit(step)
    for _ in range(3):
        run(library.tensor([[1., -1.], [.5, 2.]]))
    return [*(p.tolist() for p in net.parameters()), *(p.grad.tolist() for p in net.parameters() if p.grad is not None)]


@pytest.mark.parametrize("way", ["lazy", "looked at", "jit"])
def test_a_penalty_on_gradients_reaches_the_parameters_before_a_relu(way: str) -> None:
    theirs = penalty(torch, lambda f: f, False)
    with on_numpy():
        ours = penalty(flambeau, flambeau.jit if way == "jit" else lambda f: f, way == "looked at")
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert flambeau.allclose(flambeau.tensor(a), flambeau.tensor(b), atol=1e-5)


def test_first_order_gradients_pay_nothing() -> None:
    x = flambeau.ones(3, requires_grad=True)

    @flambeau.jit
    def step(x: Any) -> Any:
        return flambeau.autograd.grad(flambeau.relu(x).sum(), x)[0]

    step(x)
    assert "piecewise" not in str(step.graph) and "linked" not in str(step.graph)
