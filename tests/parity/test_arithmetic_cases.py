"""Named cases of arithmetic that once differed from torch without a word, lazily and under jit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from flambeau import func  # noqa: E402

from .expressions import rows  # noqa: E402
from .special_values import difference  # noqa: E402

INF, NAN = float("inf"), float("nan")
MODES = [pytest.param(lambda f: f, id="lazy"), pytest.param(flambeau.jit, id="jit")]
each_mode = pytest.mark.parametrize("mode", MODES)
Mode = Callable[[Callable[..., Any]], Callable[..., Any]]
HALVES = ("float16", "bfloat16")


def points(library: Any, kind: str) -> dict[str, Any]:
    """The tensors of the cases; sums of `c` and `u` are beyond a half type, and beyond what it can count."""
    random = np.random.default_rng(3)
    data = {"c": np.full(1000, 100.0), "u": random.uniform(0.2, 0.9, 3000), "t": random.uniform(0.2, 0.9, 3000),
            "x": np.array([0.5, -1.5, 2.0, -3.0, 0.25]), "zero": np.zeros(4), "w": random.uniform(0.5, 1.5, (4, 700)),
            "s": np.array([0.0, -0.0, INF, -INF, NAN, 1.0, -2.5]), "r": np.array([1.0, -1.0, 7.0, -7.0, INF, 1.0, 5.0]),
            "q": np.array([0.1, 0.1, -2.0, 2.0, 3.0, 0.0, INF]), "column": np.full((9, 2), 2.7),
            "v": random.uniform(1, 1.004, 3000)}
    tensors = {name: library.tensor(x, dtype=getattr(library, kind)) for name, x in data.items()}
    return {**tensors, "torch": library, "F": library.nn.functional, "inf": INF, "nan": NAN,
            "k": library.tensor(np.arange(3000) % 3), "mask": library.tensor([True, False, True, False, True]),
            "z": library.tensor(65536.0)}


def evaluated(library: Any, text: str, kind: str, mode: Mode, *, leaves: bool = False) -> list[Any]:
    """The value of an expression and, with `leaves`, its gradients for cotangents of one."""
    scope = points(library, kind)
    used = [n for n in compile(text, "case", "eval").co_names if isinstance(scope.get(n), library.Tensor)]
    function = eval(f"lambda {', '.join(used)}: {text}", scope)

    def step(*tensors: Any) -> list[Any]:
        if not leaves:
            return [function(*tensors)]
        inputs = [x.detach().requires_grad_() if x.is_floating_point() else x for x in tensors]
        value = function(*inputs)
        assert value.requires_grad
        wanted = [x for x in inputs if x.requires_grad]
        return [value.detach(), *library.autograd.grad(value, wanted, library.ones_like(value))]

    return list(mode(step)(*(scope[name] for name in used)))


def agree(text: str, kind: str, mode: Mode, *, leaves: bool = False) -> None:
    ours = evaluated(flambeau, text, kind, mode, leaves=leaves)
    theirs = evaluated(torch, text, kind, lambda f: f, leaves=leaves)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        found = difference(a, b, text, i == 0)
        assert found is None, f"{text}: {found}"


# --- Half types accumulate in float32 ---------------------------------------------------------------------------------

SUMS = """
c.mean() ; (c * 5).mean() ; c.var() ; c.std() ; c.norm() ; (c * 30).norm() ; u.sum() ; u.var() ; u.std() ; u.norm()
u.norm(3) ; F.l1_loss(u * 40, t) ; F.mse_loss(u * 30, t) ; F.binary_cross_entropy(u, t)
F.kl_div(u, t, reduction='batchmean') ; F.smooth_l1_loss(u * 30, t) ; F.huber_loss(u * 30, t) ; u.cumsum(0)
(u + 0.5)[:40].cumprod(0) ; u[:9].prod() ; u.logsumexp(0) ; u.softmax(0) ; u.log_softmax(0) ; F.layer_norm(w, (700,))
F.rms_norm(w, (700,)) ; F.group_norm(w, 2) ; F.cross_entropy(w, k[:4]) ; torch.nansum(u) ; w.mean((0, 1))
F.avg_pool1d(w, 700) ; w.std(1)
"""


@each_mode
@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("text", rows(SUMS))
def test_sums_of_half_types_are_rounded_once(text: str, kind: str, mode: Mode) -> None:
    agree(text, kind, mode)


SCATTERED = """
torch.zeros_like(u[:3]).index_add(0, k, u) ; torch.zeros_like(u[:3]).scatter_add(0, k, u)
torch.zeros_like(u[:3]).index_put((k,), u, accumulate=True) ; torch.ones_like(u[:3]).scatter_reduce(0, k, u, 'sum')
v.prod() ; v.cumprod(0)
"""


@each_mode
@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("text", rows(SCATTERED))
def test_what_torch_adds_up_in_half_types_is_nearer_to_the_truth_here(text: str, kind: str, mode: Mode) -> None:
    """torch itself loses up to a half of these; the oracle is float64."""
    exact = {name: x.double() for name, x in points(torch, kind).items() if name in ("u", "v")}
    truth = eval(text, {**points(torch, kind), **exact}).numpy()
    ours = evaluated(flambeau, text, kind, mode)[0]
    np.testing.assert_allclose(ours.float().numpy(), truth, rtol=1.5 * 2.0 ** -(7 if kind == "bfloat16" else 10))


@each_mode
@pytest.mark.parametrize("kind", HALVES)
def test_the_gradient_of_a_broadcast_is_summed_in_float32(kind: str, mode: Mode) -> None:
    dtype = getattr(flambeau, kind)

    def gradient(x: Any) -> Any:
        o = flambeau.tensor(0.5, dtype=dtype, requires_grad=True)
        (grad,) = flambeau.autograd.grad((o * x).sum(), o)
        return grad

    assert abs(mode(gradient)(flambeau.ones(3000, dtype=dtype)).item() - 3000) <= 8


@each_mode
@pytest.mark.parametrize("kind", HALVES)
def test_clip_grad_norm_of_half_types(kind: str, mode: Mode) -> None:
    def clipped(library: Any) -> Any:
        dtype = getattr(library, kind)
        p = library.nn.Parameter(library.zeros(4000, dtype=dtype))
        p.grad = library.full((4000,), 10.0, dtype=dtype)
        total = library.nn.utils.clip_grad_norm_([p], 1.0)
        return [total, p.grad.clone()]

    for a, b in zip(mode(lambda: clipped(flambeau))(), clipped(torch)):
        assert difference(a, b, "", True) is None


# --- Numbers beside half tensors --------------------------------------------------------------------------------------

NUMBERS = """
(1 - mask.to(x.dtype)) * -1e9 ; x * 65536.0 ; x / 1e5 ; x * 1e-9 ; 1e-5 / x ; x * z ; x / z ; z * x ; x + 0.1
x - 0.1 ; x * 0.1 ; x / 0.1 ; x // 0.1 ; x % 0.1 ; x * 100000 ; 65536.0 / x ; torch.add(x, x, alpha=0.1)
torch.addcmul(x, x, x, value=0.1) ; torch.addcdiv(x, x, x, value=1e5) ; torch.lerp(x, 2 * x, 0.1)
F.leaky_relu(x, 1e5) ; torch.where(mask, x, -1e9) ; x.clone().mul_(65536.0) ; x.clone().div_(1e5) ; x == 0.1 ; x < 1e5
torch.hypot(x, z) ; torch.xlogy(x, 1e5) ; torch.nan_to_num(x * nan, nan=1e5)
"""


@each_mode
@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("text", rows(NUMBERS))
def test_a_number_meets_a_half_tensor_as_in_torch(text: str, kind: str, mode: Mode) -> None:
    agree(text, kind, mode)


OVERFLOWS = """
x.masked_fill(mask, -1e9) ; torch.clamp(x, max=1e5) ; torch.clamp(x, -1e5, 1e5) ; torch.add(x, x, alpha=1e5)
torch.sub(x, x, alpha=-1e5) ; torch.full((2,), 1e5, dtype=x.dtype) ; torch.full_like(x, 1e5) ; x.new_full((2,), 1e5)
x.clone().fill_(1e5) ; x.masked_fill_(mask, 1e5) ; x.index_fill(0, k[:2], 1e5) ; x.scatter(0, k[:2], 1e5)
x.index_add(0, k[:2], x[:2], alpha=1e5) ; F.pad(x, (1, 1), value=1e5) ; F.hardtanh(x, -1e5, 1e5)
F.threshold(x, 0.1, 1e5) ; F.hardshrink(x, 1e5) ; x ** 1e5 ; x.clamp_(min=-1e5)
"""


@each_mode
@pytest.mark.parametrize("text", rows(OVERFLOWS))
def test_a_number_that_does_not_fit_is_refused(text: str, mode: Mode) -> None:
    with pytest.raises(RuntimeError) as theirs:
        evaluated(torch, text, "float16", lambda f: f)
    with pytest.raises(RuntimeError, match="cannot be converted to type c10::Half without overflow") as ours:
        evaluated(flambeau, text, "float16", mode)
    assert str(theirs.value) in str(ours.value)


# --- Quotients, gradients and values at special points ----------------------------------------------------------------

POINTS = """
r % q ; torch.div(r, q, rounding_mode='floor') ; torch.div(r, q, rounding_mode='trunc') ; torch.fmod(r, q) ; r % inf
r % -inf ; torch.remainder(r, -2.0) ; torch.sign(s) ; torch.sgn(s) ; torch.round(s) ; torch.floor(s) ; torch.ceil(s)
torch.trunc(s) ; torch.fix(s) ; torch.angle(s) ; torch.round(s, decimals=1) ; column.std(0) ; column.var(0)
zero.norm(3) ; zero.norm(2) ; zero.norm(1.5) ; zero.norm(1) ; zero.norm() ; torch.atan2(zero, -zero)
torch.atan2(s, s) ; s.max() ; s.amax() ; s.min() ; s.amin() ; torch.fmax(r, r) ; torch.fmin(r, r) ; torch.fmax(r, s)
torch.logit(q) ; torch.clamp(s, -1, 1) ; torch.clamp(s, min=0) ; torch.clamp(s, max=0) ; torch.clamp(s, nan, 1)
torch.clamp(s, min=nan) ; torch.abs(s) ; torch.logsumexp(s[:0], 0) ; s + 0 ; 0.0 + s
torch.addmm(s[4:5, None] * torch.ones_like(column[:1]), column[:1], column[:2], beta=0)
torch.baddbmm(s[4].expand(1, 1, 2), column[:1][None], column[:2][None], beta=0) ; (s > 0).to(s.dtype) * s
torch.pow(s, q) ; torch.rsqrt(s) ; torch.lgamma(zero + 1) ; torch.digamma(s[:2]) ; torch.acosh(s)
torch.lerp(s, r, 0.5) ; torch.maximum(s, r) ; F.elu(s[:4]) ; F.l1_loss(s, s)
"""


@each_mode
@pytest.mark.parametrize("text", rows(POINTS))
def test_values_and_gradients_at_special_points(text: str, mode: Mode) -> None:
    agree(text, "float32", mode, leaves=True)


@each_mode
@pytest.mark.parametrize("text", ["r // q", "r // 0.1", "1.0 // q", "s // s"])
def test_floor_division_is_exact(text: str, mode: Mode) -> None:
    agree(text, "float32", mode)


@each_mode
def test_floor_division_has_no_derivative_in_torch(mode: Mode) -> None:
    def gradient(x: Any) -> Any:
        x = x.detach().requires_grad_()
        return flambeau.autograd.grad((x // 0.1).sum(), x)

    with pytest.raises(RuntimeError, match="derivative for aten::floor_divide is not implemented"):
        mode(gradient)(flambeau.tensor([1.0]))


@each_mode
@pytest.mark.parametrize("name", ["sign", "round", "floor", "ceil", "trunc", "sgn", "fix", "angle"])
def test_a_step_function_requires_grad_which_is_zero(name: str, mode: Mode) -> None:
    def gradient(x: Any) -> Any:
        x = x.detach().requires_grad_()
        y = getattr(flambeau, name)(x)
        assert y.requires_grad
        y.sum().backward()
        return x.grad

    assert mode(gradient)(flambeau.tensor([0.3, -1.7, 0.0])).tolist() == [0.0, 0.0, 0.0]


# --- A condition under vmap -------------------------------------------------------------------------------------------


def branched(x: Any, w: Any) -> Any:
    return flambeau.cond(x > 0, lambda x, w: flambeau.log(x) * w, lambda x, w: (-x).sqrt() * w, (x, w))


@each_mode
def test_the_branch_not_taken_leaves_no_nan_in_a_gradient(mode: Mode) -> None:
    gradient = func.grad(lambda x, w: func.vmap(branched, (0, None))(x, w).sum(), (0, 1))
    gx, gw = mode(gradient)(flambeau.tensor([1.0, -4.0, 3.0]), flambeau.tensor(2.0))
    np.testing.assert_allclose(gx.numpy(), [2.0, -0.5, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(gw.item(), np.log(3) + 2, rtol=1e-6)


@each_mode
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_branch_that_no_example_takes_leaves_no_nan(sign: float, mode: Mode) -> None:
    gradient = func.grad(lambda x, w: func.vmap(branched, (0, None))(x, w).sum(), (0, 1))
    gx, gw = mode(gradient)(flambeau.full((3,), sign * 4.0), flambeau.tensor(2.0))
    assert np.isfinite(gx.numpy()).all() and np.isfinite(gw.item())


# --- What XLA does ----------------------------------------------------------------------------------------------------

CONTRACTION = """
import numpy as np
import flambeau as torch
x = torch.tensor(np.random.default_rng(0).standard_normal(1024).astype(np.float32))
y = x.clone()
print(int(torch.jit(lambda x, y: (x * x - y * y).sqrt().isnan().sum())(x, y)))
"""


def nans(flags: str) -> int:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", CONTRACTION], capture_output=True, text=True, check=True, cwd=root,
                          env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(root)})
    return int(done.stdout)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the switch is one for x86")
def test_the_switch_against_contraction_works() -> None:
    """The README names it. Without it products are fused with sums, so that equal squares do not cancel."""
    assert nans("--xla_cpu_max_isa=AVX") == 0
    if "fma" in Path("/proc/cpuinfo").read_text():
        assert nans("") > 0


@pytest.mark.parametrize("kind", HALVES)
def test_a_fused_program_rounds_where_its_steps_do(kind: str) -> None:
    """XLA's default keeps float32 inside a fusion: jit would give another result than the steps, each looked at."""
    x = np.linspace(3.0, 3.6, 64)

    def step(x: Any) -> Any:
        return ((x * 99 - 300) / 0.3 + x).softmax(0)

    ours = flambeau.jit(step)(flambeau.tensor(x, dtype=getattr(flambeau, kind)))
    theirs = step(torch.tensor(x, dtype=getattr(torch, kind)))
    assert difference(ours, theirs, "", True) is None


def test_subnormal_numbers_are_flushed() -> None:
    """The README says so; torch keeps them."""
    assert flambeau.jit(lambda x: x * 1.5)(flambeau.tensor([1e-40])).tolist() == [0.0]
    assert (torch.tensor([1e-40]) * 1.5).item() > 0


