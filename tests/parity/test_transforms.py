"""Transforms of `torch.func` and `torch.autograd.functional` against torch: values, nesting, models, messages."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from flambeau.tracer.tensor.nested import leaves  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),  # torch's own, in forward mode
              pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")]  # and in linearize
rng = np.random.default_rng(0)
X = rng.standard_normal((3, 4)).astype(np.float32)
W = rng.standard_normal((4, 4)).astype(np.float32)


def agree(ours: Any, theirs: Any, tolerance: float = 2e-4) -> None:
    """Same structure (lists and tuples alike), shapes, dtypes and values."""
    a, b = leaves(ours), leaves(theirs)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        assert tuple(x.shape) == tuple(y.shape)
        assert str(x.dtype) == str(y.dtype)
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=tolerance, atol=tolerance / 10)


# --- Small functions --------------------------------------------------------------------------------------------------


def rowwise(t: Any, x: Any, w: Any) -> Any:
    return t.tanh(x @ w).sum(-1) * x.exp().mean(-1)


def scalar(t: Any, x: Any, w: Any) -> Any:
    return rowwise(t, x, w).sum()


def row(t: Any, x: Any, w: Any) -> Any:
    return t.tanh(x @ w)


# Each takes the library, x of shape [3, 4], w of shape [4, 4] and a direction like x.
PROGRAMS: dict[str, Any] = {
    "grad": lambda t, x, w, v: t.func.grad(lambda x: scalar(t, x, w))(x),
    "grad by two": lambda t, x, w, v: t.func.grad(lambda x, w: scalar(t, x, w), argnums=(1, 0))(x, w),
    "grad by the last": lambda t, x, w, v: t.func.grad(lambda x, w: scalar(t, x, w), argnums=-1)(x, w),
    "grad of containers": lambda t, x, w, v: t.func.grad(lambda p: scalar(t, p["x"], p["w"][0]))({"x": x, "w": [w]}),
    "grad and value with aux": lambda t, x, w, v: t.func.grad_and_value(lambda x: (scalar(t, x, w), x * 2), has_aux=True)(x),
    "grad of an unused argument": lambda t, x, w, v: t.func.grad(lambda x, w: (x * x).sum(), argnums=(0, 1))(x, w),
    "vjp": lambda t, x, w, v: t.func.vjp(lambda x, w: (rowwise(t, x, w), x * 2), x, w)[1]((x[:, 0], v)),
    "vjp of a dict with aux": lambda t, x, w, v: (lambda out, pull, aux: (out, pull({"a": v}), aux))(
        *t.func.vjp(lambda x: ({"a": x.sin()}, x.cos()), x, has_aux=True)),
    "jvp": lambda t, x, w, v: t.func.jvp(lambda x, w: (rowwise(t, x, w), x * 2), (x, w), (v, w)),
    "jvp with aux": lambda t, x, w, v: t.func.jvp(lambda x: (x.sin(), x.cos()), (x,), (v,), has_aux=True),
    "jvp of what does not move": lambda t, x, w, v: t.func.jvp(lambda x: (w.sin(), (x > 0).long()), (x,), (v,)),
    "linearize": lambda t, x, w, v: (lambda out, push: (out, push(v, w), push(x, w)))(
        *t.func.linearize(lambda x, w: rowwise(t, x, w), x, w)),
    "jacrev": lambda t, x, w, v: t.func.jacrev(lambda x, w: (rowwise(t, x, w), x.sum()), argnums=(0, 1))(x, w),
    "jacrev in chunks": lambda t, x, w, v: t.func.jacrev(lambda x: rowwise(t, x, w), chunk_size=2)(x),
    "jacrev with aux": lambda t, x, w, v: t.func.jacrev(lambda x: (rowwise(t, x, w), x * 2), has_aux=True)(x),
    "jacrev of containers": lambda t, x, w, v: t.func.jacrev(lambda p: {"out": p["a"].sin()})({"a": x}),
    "jacfwd": lambda t, x, w, v: t.func.jacfwd(lambda x, w: (rowwise(t, x, w), x.sum()), argnums=(0, 1))(x, w),
    "jacfwd with aux": lambda t, x, w, v: t.func.jacfwd(lambda x: (rowwise(t, x, w), x * 2), has_aux=True)(x),
    "jacfwd of what does not move": lambda t, x, w, v: t.func.jacfwd(lambda x: w.sin())(x),
    "hessian": lambda t, x, w, v: t.func.hessian(lambda x, w: scalar(t, x, w), argnums=(0, 1))(x, w),
    "grad of grad": lambda t, x, w, v: t.func.grad(
        lambda x: t.func.grad(lambda x: scalar(t, x, w))(x).pow(2).sum())(x),
    "vmap of grad": lambda t, x, w, v: t.vmap(t.func.grad(lambda x: row(t, x, w).prod()))(x),
    "grad of vmap": lambda t, x, w, v: t.func.grad(lambda w: t.vmap(lambda x: row(t, x, w).prod())(x).sum())(w),
    "jvp of grad": lambda t, x, w, v: t.func.jvp(t.func.grad(lambda x: scalar(t, x, w)), (x,), (v,)),
    "grad of jvp": lambda t, x, w, v: t.func.grad(
        lambda x: t.func.jvp(lambda x: rowwise(t, x, w), (x,), (v,))[1].sum())(x),
    "jvp of jvp": lambda t, x, w, v: t.func.jvp(
        lambda x: t.func.jvp(lambda x: rowwise(t, x, w), (x,), (x * x,))[1], (x,), (v,)),
    "vjp of vjp": lambda t, x, w, v: t.func.vjp(
        lambda x: t.func.vjp(lambda x: rowwise(t, x, w), x)[1](x[:, 0])[0], x)[1](v),
    "jacfwd of jacrev": lambda t, x, w, v: t.func.jacfwd(t.func.jacrev(lambda x: scalar(t, x, w)))(x),
    "jacrev of jacfwd": lambda t, x, w, v: t.func.jacrev(t.func.jacfwd(lambda x: scalar(t, x, w)))(x),
    "jacrev of jacrev": lambda t, x, w, v: t.func.jacrev(t.func.jacrev(lambda x: scalar(t, x, w)))(x),
    "jacfwd of jacfwd of jacfwd": lambda t, x, w, v: t.func.jacfwd(t.func.jacfwd(t.func.jacfwd(
        lambda x: (x ** 4).sum())))(x[0]),
    "vmap of jvp": lambda t, x, w, v: t.vmap(lambda x, v: t.func.jvp(lambda x: row(t, x, w), (x,), (v,)))(x, v),
    "jvp of vmap": lambda t, x, w, v: t.func.jvp(t.vmap(lambda x: row(t, x, w)), (x,), (v,)),
    "vmap of a linear push": lambda t, x, w, v: t.vmap(t.func.linearize(lambda x: row(t, x, w), x[0])[1])(v),
    "vmap of a pull": lambda t, x, w, v: t.vmap(t.func.vjp(lambda x: row(t, x, w), x[0])[1])(v),
    "vmap of jacrev": lambda t, x, w, v: t.vmap(t.func.jacrev(lambda x: row(t, x, w)))(x),
    "vmap of jacfwd": lambda t, x, w, v: t.vmap(t.func.jacfwd(lambda x: row(t, x, w)))(x),
    "vmap of hessian": lambda t, x, w, v: t.vmap(t.func.hessian(lambda x: row(t, x, w).prod()))(x),
    "vmap of vmap": lambda t, x, w, v: t.vmap(t.vmap(lambda a, b: a * b, in_dims=(0, None)), in_dims=(None, 1))(x[0], w),
    "vmap of vmap of grad": lambda t, x, w, v: t.vmap(t.vmap(
        t.func.grad(lambda a, b: (a * b).sin().sum()), in_dims=(0, None)), in_dims=(None, -1))(x, w),
    "detached inside": lambda t, x, w, v: t.func.jvp(lambda x: x * (x * x).detach(), (x,), (v,)),
    "gradients off inside vmap": lambda t, x, w, v: t.func.grad(
        lambda w: t.vmap(lambda x: no_grad_square(t, x @ w) * (x @ w))(x).sum())(w),
}


def no_grad_square(t: Any, x: Any) -> Any:
    with t.no_grad():
        return x * x


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_values(program: Any) -> None:
    theirs = program(torch, *map(torch.tensor, (X, W, np.cos(X))))
    agree(program(flambeau, *map(flambeau.tensor, (X, W, np.cos(X)))), theirs)
    jitted = flambeau.jit(lambda x, w, v: program(flambeau, x, w, v))
    agree(jitted(*map(flambeau.tensor, (X, W, np.cos(X)))), theirs)


# Forward mode through each kind of op: x of shape [3, 4].
FUNCTIONS: dict[str, Any] = {
    "sort": lambda t, x: x.sort(-1)[0],
    "top k": lambda t, x: x.topk(2)[0],
    "running sum": lambda t, x: x.cumsum(-1),
    "running product": lambda t, x: x.cumprod(-1),
    "softmax": lambda t, x: x.softmax(-1),
    "log of a sum": lambda t, x: x.logsumexp(-1),
    "largest": lambda t, x: x.max(-1)[0],
    "product": lambda t, x: x.prod(-1),
    "deviation": lambda t, x: x.std(-1),
    "norm": lambda t, x: x.norm(),
    "where": lambda t, x: t.where(x > 0, x, x * x),
    "clamp": lambda t, x: x.clamp(-0.5, 0.5),
    "list of positions": lambda t, x: x[:, [0, 2, 2]],
    "gather": lambda t, x: x.gather(1, t.tensor([[0, 1], [2, 2], [3, 0]])),
    "scatter": lambda t, x: t.zeros(3, 4).scatter_add(1, t.tensor([[0, 1, 1, 2]] * 3), x) * x,
    "concatenation": lambda t, x: t.cat([x, x * x], 1),
    "views": lambda t, x: x.t().reshape(2, 6).sin(),
    "flip and roll": lambda t, x: x.flip(0) * x.roll(1),
    "einsum": lambda t, x: t.einsum("ij,kj->ik", x, x),
    "writes to a copy": lambda t, x: written(x * 1),
    "complex": lambda t, x: t.complex(x, x * x).abs(),
    "padding": lambda t, x: t.nn.functional.pad(x, (1, 1)),
    "convolution": lambda t, x: t.nn.functional.conv2d(x.reshape(1, 1, 3, 4), x[:2, :2].reshape(1, 1, 2, 2)),
    "largest in windows": lambda t, x: t.nn.functional.max_pool1d(x.reshape(1, 3, 4), 2),
    "mean in windows": lambda t, x: t.nn.functional.avg_pool1d(x.reshape(1, 3, 4), 2),
    "layer norm": lambda t, x: t.nn.functional.layer_norm(x, (4,)),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "embedding": lambda t, x: t.nn.functional.embedding(t.tensor([0, 2, 2]), x).cos(),
    "cross entropy": lambda t, x: t.nn.functional.cross_entropy(x, t.tensor([0, 1, 3])),
}


def written(y: Any) -> Any:
    y[:, 0].mul_(2)
    y[1] = y[0] * 3
    return y.sin()


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_forward_mode_of_functions(function: Any) -> None:
    def program(t: Any) -> Any:
        x, v = t.tensor(X), t.tensor(np.cos(X))
        second = t.func.jvp(t.func.grad(lambda x: function(t, x).sin().sum()), (x,), (v,))
        return t.func.jvp(lambda x: function(t, x), (x,), (v,)), second

    agree(program(flambeau), program(torch))


COMPLEX: dict[str, Any] = {
    "products": lambda t, z: z * z * (1 + 2j) / (z + 3),
    "matmul": lambda t, z: z @ z.t().conj(),
    "exp": lambda t, z: z.exp().sin(),
    "parts": lambda t, z: z.real * z.imag,
    "abs": lambda t, z: z.abs(),
    "angle": lambda t, z: z.angle(),
    "pairs": lambda t, z: t.view_as_real(z).sin(),
}


@pytest.mark.parametrize("function", COMPLEX.values(), ids=COMPLEX)
def test_forward_mode_of_complex_functions(function: Any) -> None:
    z, v = X + 1j * X[::-1], np.cos(X) - 0.5j
    results = []
    for t in (flambeau, torch):
        x, along = (t.tensor(a.astype(np.complex64)) for a in (z, v))
        results.append((t.func.jvp(lambda x, t=t: function(t, x), (x,), (along,)),
                        t.vmap(lambda x, v, t=t: t.func.jvp(lambda x: function(t, x.reshape(2, 2)), (x,), (v,)))(x, along)))
    agree(*results)


# --- Models -----------------------------------------------------------------------------------------------------------


def gpt_block(t: Any) -> Any:
    """Layer norm, causal attention written out, layer norm, MLP."""

    class Block(t.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = t.nn.LayerNorm(8), t.nn.LayerNorm(8)
            self.qkv, self.out = t.nn.Linear(8, 24), t.nn.Linear(8, 8)
            self.mlp = t.nn.Sequential(t.nn.Linear(8, 16), t.nn.GELU(), t.nn.Linear(16, 8))

        def forward(self, x: Any) -> Any:
            x = x + self.attend(self.first(x))
            return x + self.mlp(self.second(x))

        def attend(self, x: Any) -> Any:
            steps = x.shape[-2]
            q, k, v = (part.unflatten(-1, (2, 4)).transpose(-2, -3) for part in self.qkv(x).chunk(3, -1))
            scores = (q @ k.transpose(-1, -2)) / 2
            hidden = t.ones(steps, steps).tril() == 0
            weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
            return self.out((weights @ v).transpose(-2, -3).flatten(-2))

    return Block()


def conv_block(t: Any) -> Any:
    return t.nn.Sequential(t.nn.Conv2d(1, 3, 3, padding=1), t.nn.GroupNorm(1, 3), t.nn.ReLU(), t.nn.MaxPool2d(2),
                           t.nn.Conv2d(3, 2, 2), t.nn.Flatten(), t.nn.Linear(8, 5))


MODELS = {"gpt": (gpt_block, (2, 5, 8)), "conv": (conv_block, (2, 1, 6, 6))}


def both_models(name: str) -> list[tuple[Any, Any, Any, Any]]:
    """(library, model, parameters, inputs) here and in torch, with the same numbers."""
    make, shape = MODELS[name]
    torch.manual_seed(0)
    theirs = make(torch)
    numbers = {k: p.detach().numpy() for k, p in theirs.named_parameters()}
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    return [(t, make(t), {k: t.tensor(v) for k, v in numbers.items()}, t.tensor(x)) for t in (flambeau, torch)]


def loss_of(t: Any, model: Any, parameters: Any, x: Any) -> Any:
    return t.func.functional_call(model, parameters, (x,)).pow(2).mean()


def like(t: Any, parameters: Any) -> Any:
    """A direction for the parameters."""
    return {k: t.tensor(np.cos(np.arange(p.numel(), dtype=np.float32)).reshape(p.shape)) for k, p in parameters.items()}


MODEL_PROGRAMS: dict[str, Any] = {
    "gradient": lambda t, m, p, x: t.func.grad(lambda p: loss_of(t, m, p, x))(p),
    "gradients of examples": lambda t, m, p, x: t.vmap(
        t.func.grad(lambda p, x: loss_of(t, m, p, x[None])), in_dims=(None, 0))(p, x),
    "along a direction": lambda t, m, p, x: t.func.jvp(
        lambda p: t.func.functional_call(m, p, (x,)), (p,), (like(t, p),)),
    "Hessian times a vector": lambda t, m, p, x: t.func.jvp(
        t.func.grad(lambda p: loss_of(t, m, p, x)), (p,), (like(t, p),))[1],
    "Hessian times a vector, backward twice": lambda t, m, p, x: t.func.vjp(
        t.func.grad(lambda p: loss_of(t, m, p, x)), p)[1](like(t, p))[0],
    "Jacobian by the input": lambda t, m, p, x: t.func.jacrev(lambda x: t.func.functional_call(m, p, (x[None],)))(x[0]),
    "Jacobian by the input, forward": lambda t, m, p, x: t.func.jacfwd(
        lambda x: t.func.functional_call(m, p, (x[None],)).sum(-1))(x[0]),
}


@pytest.mark.parametrize("program", MODEL_PROGRAMS.values(), ids=MODEL_PROGRAMS)
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, program: Any) -> None:
    ours, theirs = both_models(name)
    expected = program(*theirs)
    found = flambeau.jit(lambda p, x: program(flambeau, ours[1], p, x))(ours[2], ours[3])
    assert list(found) == list(expected) if isinstance(expected, dict) else True
    agree(found, expected, 1e-3)


def test_an_ensemble() -> None:
    results = []
    for t in (flambeau, torch):
        torch.manual_seed(0)
        numbers = [torch.nn.Linear(4, 2).state_dict() for _ in range(3)]
        models = [t.nn.Linear(4, 2) for _ in range(3)]
        for model, state in zip(models, numbers):
            model.load_state_dict({k: t.tensor(v.numpy()) for k, v in state.items()})
        parameters, buffers = t.func.stack_module_state(models)
        assert buffers == {} and all(p.requires_grad and p.is_leaf for p in parameters.values())
        out = t.vmap(lambda p, x, model=models[0], t=t: t.func.functional_call(model, p, (x,)), in_dims=(0, None))(
            parameters, t.tensor(X))
        out.sum().backward()
        results.append((out, {k: p.grad for k, p in parameters.items()}))
    agree(*results)


# --- vmap -------------------------------------------------------------------------------------------------------------

MAPS: dict[str, Any] = {
    "negative dimensions": lambda t, x: t.vmap(lambda x: x * x.sum(), in_dims=-1, out_dims=-1)(x),
    "nested in_dims": lambda t, x: t.vmap(lambda p: p["a"] * p["b"][0] + p["b"][1], in_dims=({"a": 0, "b": (None, 1)},))(
        {"a": x, "b": (x[0], x.t())}),
    "a prefix of in_dims": lambda t, x: t.vmap(lambda p, y: p["a"] + p["b"] * y, in_dims=(1, 1))({"a": x, "b": x}, x),
    "nested out_dims": lambda t, x: t.vmap(lambda x: {"a": x, "b": (x, x.sum())}, out_dims={"a": 1, "b": (-1, 0)})(x),
    "a prefix of out_dims": lambda t, x: t.vmap(lambda x: {"a": x, "b": (x, x)}, out_dims={"a": 0, "b": 1})(x),
    "out_dims None": lambda t, x: t.vmap(lambda x: (x, t.ones(2)), out_dims=(0, None))(x),
    "a result that is not mapped": lambda t, x: t.vmap(lambda x: (x, t.ones(2)), out_dims=(1, 0))(x),
    "an argument passed on": lambda t, x: t.vmap(lambda x, n: x * n, in_dims=(0, None))(x, 3),
    "keywords are not mapped": lambda t, x: t.vmap(lambda x, k: x + k)(x, k=x),
    "chunks": lambda t, x: t.vmap(lambda x: (x.sum(), x), out_dims=(0, -1), chunk_size=2)(x),
    "no examples": lambda t, x: t.vmap(lambda x: x.sin())(x[:0]),
    "a local write": lambda t, x: t.vmap(lambda x: x.clone().mul_(2))(x),
    "a write through a view": lambda t, x: t.vmap(lambda x: written_first(x.clone()))(x),
}


def written_first(x: Any) -> Any:
    x[0] = x[1] * 5
    return x


@pytest.mark.parametrize("program", MAPS.values(), ids=MAPS)
def test_vmap(program: Any) -> None:
    agree(program(flambeau, flambeau.tensor(X)), program(torch, torch.tensor(X)))


def test_writes_to_mapped_arguments_reach_the_caller() -> None:
    results = []
    for t in (flambeau, torch):
        x, y = t.tensor(X), t.tensor(X.T.copy())
        outs = t.vmap(lambda x, y: x.mul_(2) + y[0].add_(1), in_dims=(0, 1))(x, y)
        results.append((outs, x, y))
    agree(*results)


def test_writes_to_other_tensors() -> None:
    results = []
    for t in (flambeau, torch):
        count = t.zeros(4)
        outs = t.vmap(lambda x, count=count: x + count.add_(1))(t.tensor(X))
        results.append((outs, count))
    agree(*results)


# --- Messages ---------------------------------------------------------------------------------------------------------

WRONG: dict[str, Any] = {
    "vmap without inputs": lambda t, x: t.vmap(lambda: 1)(),
    "in_dims of text": lambda t, x: t.vmap(lambda x: x, in_dims="a")(x),
    "in_dims of None": lambda t, x: t.vmap(lambda x: x, in_dims=None)(x),
    "an in_dim of 0.5": lambda t, x: t.vmap(lambda x: x, in_dims=(0.5,))(x),
    "mapping a number": lambda t, x: t.vmap(lambda x: x)(1.0),
    "in_dim out of range": lambda t, x: t.vmap(lambda x: x, in_dims=3)(x),
    "mapping a scalar": lambda t, x: t.vmap(lambda x: x)(t.tensor(1.0)),
    "two sizes": lambda t, x: t.vmap(lambda x, y: x)(x, t.ones(2)),
    "returning a number": lambda t, x: t.vmap(lambda x: (x, 1.0))(x),
    "returning None": lambda t, x: t.vmap(lambda x: None)(x),
    "out_dims of text": lambda t, x: t.vmap(lambda x: x, out_dims="a")(x),
    "out_dims None of a mapped result": lambda t, x: t.vmap(lambda x: x, out_dims=None)(x),
    "out_dim out of range": lambda t, x: t.vmap(lambda x: x, out_dims=5)(x),
    "unknown randomness": lambda t, x: t.vmap(lambda x: x, randomness="x"),
    "chunks of nothing": lambda t, x: t.vmap(lambda x: x, chunk_size=0)(x),
    "drawing": lambda t, x: t.vmap(lambda x: x + t.rand(4))(x),
    "drawing in place": lambda t, x: t.vmap(lambda x: x.clone().uniform_())(x),
    "dropout": lambda t, x: t.vmap(lambda x: t.nn.functional.dropout(x))(x),
    "drawing in jacfwd": lambda t, x: t.func.jacfwd(lambda x: x * t.rand(3, 4))(x),
    "argnums out of range": lambda t, x: t.func.grad(lambda x: x.sum(), argnums=1)(x),
    "argnums of text": lambda t, x: t.func.jacrev(lambda x: x.sum(), argnums="a")(x),
    "argnums twice": lambda t, x: t.func.grad(lambda x, y: x.sum(), argnums=(0, -2))(x, x),
    "no argnums": lambda t, x: t.func.grad(lambda x: x.sum(), argnums=())(x),
    "grad of a matrix": lambda t, x: t.func.grad(lambda x: x)(x),
    "grad of a number": lambda t, x: t.func.grad(lambda x: 1.0)(x),
    "grad of a complex number": lambda t, x: t.func.grad(lambda x: (x * 1j).sum())(x),
    "grad by integers": lambda t, x: t.func.grad(lambda x: x.sum())(x.long()),
    "grad by a number": lambda t, x: t.func.grad(lambda x: x)(2.0),
    "grad without aux": lambda t, x: t.func.grad(lambda x: x.sum(), has_aux=True)(x),
    "grad writes to its argument": lambda t, x: t.func.grad(lambda x: x.mul_(2).sum())(x),
    "grad writes to a view of its argument": lambda t, x: t.func.grad(lambda x: x[0].mul_(2).sum())(x),
    "vjp returning a number": lambda t, x: t.func.vjp(lambda x: (x, 1.0), x),
    "vjp without aux": lambda t, x: t.func.vjp(lambda x: x, x, has_aux=True),
    "vjp of integers": lambda t, x: t.func.vjp(lambda x: x.long(), x),
    "pulling another structure": lambda t, x: t.func.vjp(lambda x: {"a": x, "b": x}, x)[1]((x, x)),
    "pulling another shape": lambda t, x: t.func.vjp(lambda x: x * 2, x)[1](t.ones(2)),
    "pulling nothing": lambda t, x: t.func.vjp(lambda x: x * 2, x)[1](None),
    "primals not in a tuple": lambda t, x: t.func.jvp(lambda x: x, x, (x,)),
    "no primals": lambda t, x: t.func.jvp(lambda: 1, (), ()),
    "pushing another shape": lambda t, x: t.func.jvp(lambda x: x, (x,), (t.ones(2),)),
    "pushing from integers": lambda t, x: t.func.jvp(lambda x: x, (x.long(),), (x.long(),)),
    "jvp by a number": lambda t, x: t.func.jvp(lambda x: x, (1.0,), (1.0,)),
    "jvp returning a number": lambda t, x: t.func.jvp(lambda x: 1.0, (x,), (x,)),
    "strict jvp": lambda t, x: t.func.jvp(lambda x: t.ones(2), (x,), (x,), strict=True),
    "jacrev by complex numbers": lambda t, x: t.func.jacrev(lambda x: x)(x * 1j),
    "jacrev of complex numbers": lambda t, x: t.func.jacrev(lambda x: x * 1j)(x),
    "jacfwd by complex numbers": lambda t, x: t.func.jacfwd(lambda x: x)(x * 1j),
    "jacrev in chunks of nothing": lambda t, x: t.func.jacrev(lambda x: x, chunk_size=0)(x),
    "a linear push of another shape": lambda t, x: t.func.linearize(lambda x: x, x)[1](t.ones(2)),
    "a linear push of another dtype": lambda t, x: t.func.linearize(lambda x: x, x)[1](x.double()),
    "an unknown key": lambda t, x: t.func.functional_call(t.nn.Linear(4, 4), {"foo": x}, x, strict=True),
    "a key in two dicts": lambda t, x: t.func.functional_call(t.nn.Linear(4, 4), ({"bias": x[0]}, {"bias": x[0]}), x),
    "no dict": lambda t, x: t.func.functional_call(t.nn.Linear(4, 4), 3, x),
    "a number for a parameter": lambda t, x: t.func.functional_call(t.nn.Linear(4, 4), {"bias": 1.0}, x),
    "no modules": lambda t, x: t.func.stack_module_state([]),
    "modules of two classes": lambda t, x: t.func.stack_module_state([t.nn.Linear(4, 4), t.nn.ReLU()]),
    "modules of two modes": lambda t, x: t.func.stack_module_state([t.nn.Linear(4, 4), t.nn.Linear(4, 4).eval()]),
}


@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG)
def test_messages(program: Any) -> None:
    with pytest.raises(Exception) as theirs:
        program(torch, torch.tensor(X))
    with pytest.raises(type(theirs.value), match=re.escape(str(theirs.value))):
        program(flambeau, flambeau.tensor(X))


def test_a_tied_parameter_is_replaced_under_all_its_names() -> None:
    results = []
    for t in (flambeau, torch):
        layer, again = t.nn.Linear(4, 4), t.nn.Linear(4, 4)
        again.weight = layer.weight
        model, x = t.nn.Sequential(layer, again), t.tensor(X)
        zero = {"0.bias": t.zeros(4), "1.bias": t.zeros(4)}
        results.append([t.func.functional_call(model, {**zero, "1.weight": t.tensor(W)}, x)])
        with pytest.raises(ValueError, match="tied"):
            t.func.functional_call(model, {**zero, "0.weight": t.tensor(W), "1.weight": t.tensor(W)}, x)
        with t.no_grad():
            layer.weight.copy_(t.tensor(W.T))
        results[-1].append(t.func.functional_call(model, {**zero, "1.weight": t.tensor(W)}, x, tie_weights=False))
    agree(*results)


# --- autograd.functional ----------------------------------------------------------------------------------------------

FUNCTIONAL: dict[str, Any] = {
    "vjp": lambda F, t, x, w: F.vjp(lambda x, w: (x * w, x.sum()), (x, w), (w, t.tensor(1.0))),
    "vjp of a scalar": lambda F, t, x, w: F.vjp(lambda x: (x ** 2).sum(), x),
    "vjp of an unused input": lambda F, t, x, w: F.vjp(lambda x, w: x * 2, (x, w), w),
    "jvp": lambda F, t, x, w: F.jvp(lambda x, w: (x * w, x.sum()), (x, w), (w, x)),
    "vhp": lambda F, t, x, w: F.vhp(lambda x, w: (x ** 3 * w).sum(), (x, w), (w, x)),
    "hvp": lambda F, t, x, w: F.hvp(lambda x, w: (x ** 3 * w).sum(), (x, w), (w, x)),
    "hvp of a linear function": lambda F, t, x, w: F.hvp(lambda x: x.sum(), x, w),
    "jacobian": lambda F, t, x, w: F.jacobian(lambda x, w: (x * w, x.sum()), (x, w)),
    "jacobian, one in a tuple": lambda F, t, x, w: F.jacobian(lambda x: (x * 2,), (x,)),
    "jacobian at once": lambda F, t, x, w: F.jacobian(lambda x, w: (x * w, x.sum()), (x, w), vectorize=True),
    "jacobian forward": lambda F, t, x, w: F.jacobian(lambda x: x * x.sum(), x, vectorize=True, strategy="forward-mode"),
    "jacobian of a constant": lambda F, t, x, w: F.jacobian(lambda x: t.ones(3), x),
    "hessian": lambda F, t, x, w: F.hessian(lambda x, w: (x ** 3 * w).sum(), (x, w)),
    "hessian forward": lambda F, t, x, w: F.hessian(lambda x: (x ** 3 * w).sum(), x, vectorize=True,
                                                   outer_jacobian_strategy="forward-mode"),
    "gradient of a jacobian": lambda F, t, x, w: t.autograd.grad(
        F.jacobian(lambda x: x ** 3, x, create_graph=True).sum(), x),
    "gradient of hvp": lambda F, t, x, w: t.autograd.grad(
        F.hvp(lambda x: (x ** 4).sum(), x, w, create_graph=True)[1].sum(), [x, w]),
    "gradient of vjp": lambda F, t, x, w: t.autograd.grad(
        F.vjp(lambda x: x ** 3, x, w, create_graph=True)[1].sum(), [x, w]),
    "gradient of jvp": lambda F, t, x, w: t.autograd.grad(
        F.jvp(lambda x: x ** 3, x, w, create_graph=True)[1].sum(), [x, w]),
}


@pytest.mark.parametrize("program", FUNCTIONAL.values(), ids=FUNCTIONAL)
def test_functional(program: Any) -> None:
    ours, theirs = (program(t.autograd.functional, t, *(t.tensor(a, requires_grad=True) for a in (X[0], X[1])))
                    for t in (flambeau, torch))
    agree(ours, theirs)


FUNCTIONAL_WRONG: dict[str, Any] = {
    "a vector is needed": lambda F, t, x: F.vjp(lambda x: x, x),
    "a direction is needed": lambda F, t, x: F.jvp(lambda x: x, x),
    "a vector of another shape": lambda F, t, x: F.vjp(lambda x: x, x, t.ones(3)),
    "too many vectors": lambda F, t, x: F.vjp(lambda x: x, x, (x, x)),
    "an output that is no tensor": lambda F, t, x: F.vjp(lambda x: (x, 1.0), x, x),
    "an input that is no tensor": lambda F, t, x: F.vjp(lambda x: x, 1.0, x),
    "strict, a constant": lambda F, t, x: F.vjp(lambda x: t.ones(2), x, t.ones(2), strict=True),
    "strict, an unused input": lambda F, t, x: F.vjp(lambda x, w: x * 2, (x, x), x, strict=True),
    "strict, a linear function": lambda F, t, x: F.vjp(lambda x: x * 2, x, x, create_graph=True, strict=True),
    "strict jvp of a linear function": lambda F, t, x: F.jvp(lambda x: x * 2, x, x, create_graph=True, strict=True),
    "vhp of a vector": lambda F, t, x: F.vhp(lambda x: x, x, x),
    "vhp of a tuple": lambda F, t, x: F.vhp(lambda x: (x.sum(),), x, x),
    "strict hvp of a linear function": lambda F, t, x: F.hvp(lambda x: x.sum(), x, x, strict=True),
    "an unknown strategy": lambda F, t, x: F.jacobian(lambda x: x, x, strategy="x"),
    "strict and vectorized": lambda F, t, x: F.jacobian(lambda x: x, x, strict=True, vectorize=True),
    "strict jacobian, an unused input": lambda F, t, x: F.jacobian(lambda x, w: (x, w), (x, x), strict=True),
    "hessian of a vector": lambda F, t, x: F.hessian(lambda x: x, x),
    "hessian of an unknown strategy": lambda F, t, x: F.hessian(lambda x: x.sum(), x, outer_jacobian_strategy="x"),
    "strict hessian of a linear function": lambda F, t, x: F.hessian(lambda x: x.sum(), x, strict=True),
}


@pytest.mark.parametrize("program", FUNCTIONAL_WRONG.values(), ids=FUNCTIONAL_WRONG)
def test_messages_of_functional(program: Any) -> None:
    with pytest.raises(Exception) as theirs:
        program(torch.autograd.functional, torch, torch.tensor(X[0]))
    with pytest.raises(type(theirs.value), match=re.escape(str(theirs.value))):
        program(flambeau.autograd.functional, flambeau, flambeau.tensor(X[0]))


# --- Strides ----------------------------------------------------------------------------------------------------------


def test_functions_see_the_strides_of_what_they_are_given() -> None:
    found = []
    for t in (torch, flambeau):
        seen: list[Any] = []

        def square(x: Any, seen: list[Any] = seen) -> Any:
            seen.append((x.stride(), x.is_contiguous()))
            return (x * x).sum()

        x = t.ones(4, 3, 2)
        t.func.grad(square)(x.transpose(0, 2))
        t.func.vjp(square, x[:, ::2])
        t.func.jvp(square, (x[1].t(),), (x[0].t(),))
        t.func.vmap(square)(x.transpose(1, 2))
        t.func.vmap(square, in_dims=1)(x)
        t.func.vmap(t.func.grad(square))(x.transpose(0, 1))
        found.append(seen)
    assert found[1] == found[0]


@pytest.mark.parametrize("wrap", [lambda f: f, flambeau.jit], ids=["lazily", "jitted"])
def test_a_gradient_lies_in_memory_as_its_leaf(wrap: Any) -> None:
    found = []
    for t in (torch, flambeau):
        leaves = [x.requires_grad_() for x in (t.ones(3, 2).t(), t.ones(2, 3, 4).permute(2, 0, 1), t.ones(3, 4)[:, ::2],
                                               t.ones(2, 3))]

        def backward(leaves: Any = leaves, t: Any = t) -> None:
            sum((x.reshape(-1) * t.arange(x.numel())).sum() for x in leaves).backward()

        (wrap if t is flambeau else lambda f: f)(backward)()
        found.append([(x.grad.stride(), x.grad.tolist()) for x in leaves])
    assert found[1] == found[0]
