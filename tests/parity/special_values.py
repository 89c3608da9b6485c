"""The table of expressions that are evaluated at special points, the points, and how results are compared with torch's.

Names in the table: `x` a vector of special numbers; `a`, `b` all their pairs; `m` rows that are special as a whole
(constant, zero, with infinities, with NaN, with ties, ...); `l` a long vector and `w` a long matrix, whose sums are beyond what
a half type can count; `p`, `t` probabilities; `g` ordinary numbers; `v` a vector beside `m`; `o` a point (0-d); `z`, `Z` 0-d
float32 and float64 tensors; `i`, `j` indices; `q` a mask; `e` an empty matrix; `n` whole numbers; `F` the functional namespace.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

INF, NAN = math.inf, math.nan

UNARY = """
torch.abs(x) ; torch.neg(x) ; torch.sign(x) ; torch.sgn(x) ; torch.angle(x) ; torch.square(x) ; torch.sqrt(x)
torch.rsqrt(x) ; torch.exp(x) ; torch.expm1(x) ; torch.exp2(x) ; torch.log(x) ; torch.log1p(x) ; torch.log2(x)
torch.log10(x) ; torch.sin(x) ; torch.cos(x) ; torch.tan(g) ; torch.tanh(x) ; torch.sigmoid(x) ; torch.asin(x)
torch.acos(x) ; torch.atan(x) ; torch.sinh(x) ; torch.cosh(x) ; torch.asinh(x) ; torch.acosh(x) ; torch.atanh(x)
torch.erf(x) ; torch.erfc(x) ; torch.erfinv(x) ; torch.lgamma(x) ; torch.digamma(x) ; torch.reciprocal(x)
torch.floor(x) ; torch.ceil(x) ; torch.trunc(x) ; torch.fix(x) ; torch.round(x) ; torch.round(x, decimals=1)
torch.round(x, decimals=-1) ; torch.frac(x) ; torch.logit(x) ; torch.logit(x, 0.1) ; torch.logit(p) ; torch.deg2rad(x)
torch.rad2deg(x) ; torch.sinc(x) ; torch.positive(x) ; torch.nan_to_num(x) ; torch.nan_to_num(x, 1.0, 2.0, 3.0)
torch.relu(x) ; x.clone() ; -x ; +x ; abs(x) ; x.float() ; x.double() ; x.half() ; x.bfloat16()
x.to(torch.complex64) ; torch.sqrt(torch.square(g)) ; torch.sinc(g) ; torch.signbit(x) ; torch.isnan(x)
torch.isinf(x) ; torch.isfinite(x) ; torch.isposinf(x) ; torch.isneginf(x) ; torch.isreal(x) ; torch.logical_not(x)
x.bool() ; g.long() ; g.int() ; torch.frexp(x)[0] ; torch.pow(x, 2) ; torch.pow(x, 3) ; torch.pow(x, 0.5)
torch.pow(x, -1) ; torch.pow(x, 0) ; torch.pow(x, -2) ; torch.pow(x, -0.5) ; torch.pow(x, 1) ; torch.pow(x, 4)
torch.pow(x, 2.5) ; torch.pow(2.0, x) ; torch.pow(0.0, x) ; torch.pow(0, x) ; torch.pow(1, x)
torch.float_power(x, 2)
"""

ACTIVATIONS = """
F.relu(x) ; F.relu6(x) ; F.elu(x) ; F.selu(x) ; F.celu(x, 2.0) ; F.gelu(x) ; F.gelu(x, approximate='tanh') ; F.silu(x)
F.mish(x) ; F.softplus(x) ; F.softplus(x, 2, 3) ; F.softsign(x) ; F.hardtanh(x) ; F.hardsigmoid(x) ; F.hardswish(x)
F.hardshrink(x) ; F.softshrink(x) ; F.tanhshrink(x) ; F.threshold(x, 0.1, 20.0) ; F.leaky_relu(x) ; F.logsigmoid(x)
F.glu(m[:, :6]) ; F.prelu(x, o) ; torch.clamp(x, -1, 1) ; torch.clamp(x, min=0) ; torch.clamp(x, max=0.5)
torch.clamp(x, 1, -1) ; torch.clamp(x, min=nan) ; torch.clamp(x, max=nan) ; torch.clamp(x, nan, 1.0)
torch.clamp(x, -inf, inf) ; torch.clamp(a, b, 2 * b) ; torch.clamp(a, min=b) ; torch.clamp(a, max=b)
torch.clamp_min(x, 0) ; torch.clamp_max(x, 0) ; F.softmin(m, 1)
"""

BINARY = """
a + b ; a - b ; a * b ; a / b ; a // b ; a % b ; torch.add(a, b, alpha=2) ; torch.sub(a, b, alpha=0.5)
torch.div(a, b, rounding_mode='floor') ; torch.div(a, b, rounding_mode='trunc') ; torch.floor_divide(a, b)
torch.remainder(a, b) ; torch.fmod(a, b) ; torch.pow(a, b) ; torch.atan2(a, b) ; torch.hypot(a, b)
torch.maximum(a, b) ; torch.minimum(a, b) ; torch.fmax(a, b) ; torch.fmin(a, b) ; torch.max(a, b) ; torch.min(a, b)
torch.copysign(a, b) ; torch.nextafter(a, b) ; torch.logaddexp(a, b) ; torch.logaddexp2(a, b) ; torch.xlogy(a, b)
torch.heaviside(a, b).detach() ; torch.ldexp(a, n) ; torch.lerp(a, b, 0.5) ; torch.lerp(a, b, 0.25)
torch.lerp(a, b, 0.75) ; torch.lerp(a, b, o) ; torch.addcmul(a, b, b, value=0.5) ; torch.addcdiv(a, b, b, value=0.5)
torch.where(a > b, a, b) ; torch.where(a == b, a * 0, b) ; a == b ; a != b ; a < b ; a <= b ; a > b ; a >= b
torch.isclose(a, b) ; torch.isclose(a, b, equal_nan=True) ; torch.logical_and(a, b) ; torch.logical_or(a, b)
torch.logical_xor(a, b) ; a.masked_fill(q, 0.5) ; torch.float_power(a, 2) ; torch.true_divide(a, b) ; torch.dist(g, p)
torch.outer(v, v) ; torch.cdist(m[:2], m[:2]) ; torch.cross(m[:, :3], m[:, 3:6], dim=1)
"""

NUMBERS = """
x + 0 ; 0 + x ; x + 0.0 ; x - 0 ; 0 - x ; x - 0.0 ; x * 0 ; x * -1 ; x * 1 ; x / 1 ; x / 0 ; 1 / x ; 0 / x ; x // 1
x // 0.1 ; 1.0 // x ; x % 1 ; x % -2.5 ; 2.5 % x ; x % 0 ; x // 0 ; x % inf ; x // inf ; x // -inf ; torch.fmod(x, 1)
torch.fmod(x, 0) ; torch.fmod(x, inf) ; x + inf ; x * nan ; x + nan ; x == nan ; x < inf ; x >= 0 ; x * 65536.0
x / 1e5 ; (1 - g) * -1e9 ; x * 1e30 ; x + 1e5 ; x - 1e5 ; x / 65536.0 ; 65536.0 / x ; 1e5 - x ; x + 1e-9 ; x * 1e-9
x / 3 ; x * 0.1 ; x + 0.1 ; x - 0.1 ; 0.1 - x ; x / 0.1 ; 1e-5 / x ; x * 100000 ; x + 70000 ; x // 70000 ; x % 70000
70000 % x ; 70000 // x ; x ** 65536.0 ; x ** 0.1 ; 65536.0 ** x ; 0.1 ** x ; x ** 70000 ; x * z ; x / z ; x + z
x - z ; z - x ; z / x ; x // z ; x % z ; z % x ; x ** z ; z ** x ; torch.maximum(x, z) ; torch.minimum(x, z)
torch.fmod(x, z) ; torch.atan2(x, z) ; torch.atan2(z, x) ; torch.fmax(x, z) ; torch.hypot(x, z)
torch.copysign(x, -z) ; x < z ; x == z ; x * Z ; x / Z ; x + Z ; x - Z ; x % Z ; x ** Z ; torch.where(x > 0, x, z)
torch.where(x > 0, z, x) ; torch.where(x > 0, x, 0.1) ; torch.where(x > 0, x, 1e5) ; torch.where(x > 0, x, -1e9)
x < 0.1 ; x > 0.1 ; x == 0.1 ; x <= 65536.0 ; x >= 1e5 ; x != 65536.0 ; x == 70000 ; x < 70000
torch.add(x, 1.0, alpha=0.1) ; torch.add(x, x, alpha=0.1) ; torch.add(x, x, alpha=1e5) ; torch.sub(x, x, alpha=1e5)
torch.add(x, 1e5, alpha=2) ; x.masked_fill(x > 0, -1e9) ; x.masked_fill(x > 0, 0.1) ; x.masked_fill(x > 0, 1e5)
x.masked_fill(x > 0, inf) ; torch.clamp(x, max=1e5) ; torch.clamp(x, min=-1e5)
torch.clamp(x, min=0.1) ; torch.clamp(x, max=0.1) ; torch.clamp(x, 0.1, 0.7) ; torch.clamp(x, max=inf)
torch.clamp(x, -1e5, 1e5) ; torch.clamp_max(x, 1e5) ; torch.clamp_min(x, 0.1) ; torch.clamp(x, min=z)
torch.clamp(x, max=z) ; torch.full_like(x, 0.1) ; torch.full_like(x, 1e5) ; torch.full_like(x, inf)
x.new_full((3,), 1e5) ; x.clone().fill_(1e5) ; x.clone().fill_(0.1) ; torch.full((3,), 1e5, dtype=x.dtype)
torch.tensor([1e5, 0.1], dtype=x.dtype) ; torch.tensor(1e5, dtype=x.dtype) ; x.clone().index_fill(0, i, 1e5)
x.clone().scatter(0, i, 1e5) ; x.clone().index_fill(0, i, 0.1) ; x.clone().scatter(0, i, 0.1)
torch.addcmul(x, x, x, value=0.1) ; torch.addcdiv(x, x, x, value=0.1) ; torch.addcmul(x, x, x, value=1e5)
torch.lerp(x, x, 0.1) ; torch.lerp(x, 2 * x, 1e5) ; torch.addmm(m @ m.T, m, m.T, beta=0.1, alpha=0.3)
torch.addmm(m @ m.T, m, m.T, beta=1e5) ; x.clone().mul_(65536.0) ; x.clone().add_(0.1) ; x.clone().add_(1e5)
x.clone().div_(1e5) ; x.clone().mul_(z) ; x.clone().sub_(z) ; x.clone().clamp_(max=1e5) ; F.leaky_relu(x, 0.1)
F.leaky_relu(x, 1e5) ; F.elu(x, 1e5) ; F.hardtanh(x, -1e5, 1e5) ; F.threshold(x, 0.1, 1e5) ; F.softplus(x, 1e5)
F.pad(m, (1, 1), value=0.1) ; F.pad(m, (1, 1), value=1e5) ; x.clone().fill_(z)
torch.arange(0, 1, 0.1, dtype=x.dtype) ; torch.linspace(0, 1, 7, dtype=x.dtype) ; torch.hypot(x, o)
torch.xlogy(x, 0.1) ; torch.xlogy(0.1, x) ; torch.xlogy(x, 1e5) ; torch.nan_to_num(x, nan=1e5)
torch.nan_to_num(x, posinf=0.1) ; torch.celu(x, 0.1) ; torch.copysign(x, -0.0) ; torch.copysign(x, 1e5) ; x + True
x * True ; x - True ; True / x ; x // True
"""

REDUCTIONS = """
m.sum() ; m.sum(1) ; m.mean() ; m.mean(1) ; m.var() ; m.var(1) ; m.std(1) ; m.std(1, correction=0)
m.var(1, correction=0) ; torch.var_mean(m, 1)[0] ; torch.std_mean(m, 1)[0] ; torch.std_mean(m, 1)[1] ; m.std(0)
m[:, :1].std(1) ; m[:, :1].var(1) ; m.prod(1) ; m.prod() ; m.cumsum(1) ; m.cumprod(1) ; m.cummax(1)[0]
m.cummin(1)[0] ; torch.logcumsumexp(m, 1) ; m.max() ; m.min() ; m.max(1)[0] ; m.min(1)[0] ; m.max(1)[1] ; m.min(1)[1]
m.amax(1) ; m.amin(1) ; m.amax() ; m.amin() ; torch.aminmax(m, dim=1)[0] ; m.argmax(1) ; m.argmin(1) ; m.median()
m.median(1)[0] ; m.nanmedian() ; m.nansum(1) ; torch.nanmean(m, 1) ; m.logsumexp(1) ; torch.logsumexp(m, (0, 1))
torch.logsumexp(m[:, :0], 1) ; torch.logsumexp(e, 0) ; torch.logsumexp(o, 0) ; m.softmax(1) ; m.log_softmax(1)
m.norm() ; m.norm(dim=1) ; m.norm(1, dim=1) ; m.norm(3, dim=1) ; m.norm(0.5, dim=1) ; m.norm(inf, dim=1)
m.norm(-inf, dim=1) ; m.norm(0, dim=1) ; m.norm(-2, dim=1) ; m.norm(3) ; (g * 0).norm(3) ; (g * 0).norm(2)
(g * 0).norm(1) ; (g * 0).norm(1.5) ; m.all(1) ; m.any(1) ; torch.count_nonzero(m, 1) ; m.diff(dim=1) ; m.sort(1)[0]
m.quantile(0.5, 1) ; torch.cov(g.reshape(2, -1)) ; m.renorm(2, 0, 1.0) ; F.normalize(m) ; F.normalize(m, 3.0)
e.sum() ; e.sum(0) ; e.mean() ; e.mean(0) ; e.var(0) ; e.std(0) ; e.prod() ; e.prod(0) ; e.cumsum(0) ; e.logsumexp(1)
e.softmax(0) ; e.softmax(1) ; e.log_softmax(1) ; e.norm() ; e.norm(dim=0) ; e.all() ; e.any(0) ; e.nansum()
e.amax(1) ; e.max(1)[0] ; e.argmax(1) ; o.sum() ; o.mean() ; o.var() ; o.std() ; o.softmax(0) ; o.log_softmax(0)
o.norm() ; o.prod() ; o.cumsum(0) ; o.max() ; o.logsumexp(0) ; m.trace() ; m.diagonal().sum() ; (m + 1).log().sum(1)
m.square().sum(1).sqrt() ; m.sum(1).neg() ; m.mean((0, 1), keepdim=True)
"""

WIDE = """
l.sum() ; l.mean() ; l.var() ; l.std() ; l.norm() ; l.norm(1) ; l.norm(3) ; l.cumsum(0) ; (l / 8).cumprod(0)[:40]
l.prod() ; (1 + l / 64).cumprod(0) ; l.logsumexp(0) ; l.softmax(0) ; l.log_softmax(0) ; w.sum(1) ; w.mean(0)
w.var(1) ; w.std((0, 1)) ; w.logsumexp(1) ; w.softmax(1) ; w.log_softmax(1) ; torch.nansum(l) ; torch.nanmean(l)
(1 + l / 512).prod() ; l.dot(l) ; l @ l ; w @ l ; torch.mv(w, l) ; (w * 100).mean() ; (w * 30).sum(1)
(w * 100).mean(1) ; (w * 100).var() ; (w * 100).std(1) ; (w * 300).norm(dim=1) ; (w * 100).softmax(1)
(w * 8).logsumexp(1) ; (w * 100).norm() ; torch.var_mean(w * 10, 1)[0] ; torch.cov(w) ; F.layer_norm(w, (700,))
F.layer_norm(w, (700,), l[:700], l[:700]) ; F.rms_norm(w, (700,)) ; F.rms_norm(w, (700,), l[:700])
F.group_norm(w, 2) ; F.group_norm(w.reshape(2, 2, 700), 2) ; F.batch_norm(w.T, None, None, training=True)
F.instance_norm(w.reshape(1, 4, 700)) ; F.local_response_norm(w.reshape(1, 4, 700), 3) ; F.normalize(w * 30)
F.cosine_similarity(w, w * 2 - 1) ; F.pairwise_distance(w, w * 2) ; torch.cdist(w, w * 2) ; torch.dist(l, l * 2)
w.mean(1, keepdim=True) * w ; F.avg_pool1d(w, 50) ; F.adaptive_avg_pool1d(w, 5) ; torch.einsum('ij,kj->ik', w, w)
F.linear(w, w) ; w.T.sum(0) ; F.mse_loss(l, l * 0) ; F.mse_loss(w * 30, w) ; F.l1_loss(l * 40, l)
F.smooth_l1_loss(w * 30, w) ; F.huber_loss(w * 30, w) ; F.kl_div(l, l) ; F.kl_div(w, w, reduction='batchmean')
F.kl_div(w, w.log(), log_target=True) ; F.poisson_nll_loss(w, w) ; F.soft_margin_loss(w * 3, w.sign())
F.binary_cross_entropy(w / 4, w / 5) ; F.binary_cross_entropy_with_logits(w * 3, w / 5) ; F.cross_entropy(w, j)
F.nll_loss(w, j) ; F.cross_entropy(w, w / 700) ; F.nll_loss(w * 300, j) ; F.gaussian_nll_loss(w, w * 2, w)
F.hinge_embedding_loss(w, w.sign()) ; F.margin_ranking_loss(l, 2 * l, l.sign())
F.cosine_embedding_loss(w, w * 2 - 1, w[:, 0].sign()) ; F.triplet_margin_loss(w, w * 2, w * 3)
F.mse_loss(l * 100, l, reduction='sum') ; F.l1_loss(w * 40, w, reduction='sum')
torch.zeros_like(l[:3]).index_add(0, k, l) ; torch.zeros_like(l[:3]).scatter_add(0, k, l)
torch.ones_like(l[:3]).index_add(0, k, l, alpha=0.1) ; torch.zeros_like(l[:3]).scatter_reduce(0, k, l, 'sum')
torch.zeros_like(l[:3]).scatter_reduce(0, k, l, 'mean') ; F.embedding(k, w[:, :3])
torch.zeros_like(l[:3]).index_put((k,), l, accumulate=True) ; w[:, :3].index_select(0, k) ; l[:3].gather(0, k)
w[k, 0] ; w.T[:3].T[:, k] ; (o * l).sum() ; o + w ; w[:, :1] * w ; w * l[:700] ; l[:700] - w ; w / (w[:, :1] + 1)
o.expand(3000) * l ; w.sum(0, keepdim=True) / w ; torch.addmv(w[:, 0], w, l) ; torch.addmm(w[:, :4], w, w.T)
torch.baddbmm(w[:, :4][None], w[None], w.T[None]) ; torch.bmm(w[None], w.T[None]) ; F.conv1d(w[None], w[None, :, :9])
F.bilinear(w[:, :9], w[:, :9], w[:, :9].reshape(4, 9, 1).expand(4, 9, 9)) ; torch.logcumsumexp(l, 0)
F.scaled_dot_product_attention(w, w, w) ; torch.corrcoef(w) ; l.sum().expand(5).mean()
"""

LOSSES = """
F.mse_loss(a, b, reduction='none') ; F.l1_loss(a, b, reduction='none') ; F.smooth_l1_loss(a, b, reduction='none')
F.huber_loss(a, b, reduction='none') ; F.smooth_l1_loss(a, b, reduction='none', beta=0.0)
F.smooth_l1_loss(a, b, reduction='none', beta=2.5) ; F.huber_loss(a, b, reduction='none', delta=2.5)
F.binary_cross_entropy(p, t, reduction='none') ; F.binary_cross_entropy_with_logits(a, b, reduction='none')
F.kl_div(a, b, reduction='none') ; F.kl_div(p, t, reduction='none')
F.kl_div(a, b, reduction='none', log_target=True) ; F.poisson_nll_loss(a, b, reduction='none')
F.poisson_nll_loss(p, t, log_input=False, reduction='none')
F.poisson_nll_loss(p, 4 * t, full=True, reduction='none') ; F.soft_margin_loss(a, b, reduction='none')
F.gaussian_nll_loss(p, t, p, reduction='none') ; F.hinge_embedding_loss(a, b, reduction='none')
F.margin_ranking_loss(a, b, b, reduction='none') ; F.cross_entropy(m, i[:10] % 7)
F.cross_entropy(m, i[:10] % 7, reduction='none')
F.cross_entropy(m, i[:10] % 7, label_smoothing=0.1, reduction='none') ; F.nll_loss(m, i[:10] % 7, reduction='none')
F.nll_loss(m, i[:10] * 0, ignore_index=0) ; F.cross_entropy(m, i[:10] * 0, ignore_index=0) ; F.cross_entropy(e, i[:0])
F.mse_loss(e, e) ; F.l1_loss(e, e) ; F.mse_loss(e, e, reduction='sum') ; F.binary_cross_entropy(e, e) ; F.kl_div(e, e)
F.pairwise_distance(m, m) ; F.pairwise_distance(m, m * 2, p=1) ; F.cosine_similarity(m, m.flip(0))
F.cosine_similarity(m * 0, m) ; F.cosine_embedding_loss(m, m.flip(0), m[:, 0].sign(), reduction='none')
F.triplet_margin_loss(m, m, m, reduction='none')
"""

LAYERS = """
F.layer_norm(m, (7,)) ; F.layer_norm(m, (7,), v, v) ; F.rms_norm(m, (7,)) ; F.rms_norm(m, (7,), v, 0.0)
F.group_norm(m[:, :6], 3) ; F.batch_norm(m, None, None, training=True) ; F.batch_norm(m, v * 0, v * 0 + 1)
F.instance_norm(m[None]) ; F.layer_norm(e, (3,)) ; F.dropout(m, 0.5, False) ; F.max_pool1d(m, 3) ; F.avg_pool1d(m, 3)
F.max_pool1d(m, 3, 1) ; F.adaptive_max_pool1d(m, 2) ; F.linear(m, m[:2], v[:2]) ; m @ m.T
torch.addmm(m @ m.T, m, m.T, beta=0) ; torch.addmm(m @ m.T, m, m.T, alpha=0) ; torch.addmv(m @ v, m, v, beta=0)
torch.addr(m, m[:, 0], v, beta=0) ; torch.baddbmm((m @ m.T)[None], m[None], m.T[None], beta=0)
torch.addbmm(m @ m.T, m[None], m.T[None], beta=0) ; m.expand(2, 10, 7).sum(0) ; m.tril()
m.masked_fill(m > 0, -inf).softmax(1) ; torch.where(m > 0, m, -inf).log_softmax(1) ; m.repeat(1, 2).sum(1)
torch.where(m > 0, m.sqrt(), 0 * m) ; torch.where(m > 0, m.log(), 0.0) ; m.cumsum(1).cumsum(0) ; m.roll(1, 1) - m
torch.cat([m, m], 1).max(1)[0] ; m.max(0)[0] ; m.amax((0, 1)) ; m.scatter_reduce(1, r, m, 'amax')
m.scatter_reduce(1, r, m, 'prod') ; m.scatter_add(1, r, m) ; m.gather(1, r) ; m.index_add(0, i[:10] % 3, m)
m.index_select(0, i[:10] % 3) ; m.prod(0) ; m.prod(1, keepdim=True) ; m.cumprod(0) ; m.unfold(1, 3, 1).max(-1)[0]
torch.stack([m, m]).amin(0) ; m.bool().any() ; torch.einsum('ij,ij->i', m, m) ; m.kron(m[:1])
torch.tensordot(m, m, 2)
"""

def rows(text: str) -> list[str]:
    """The expressions of a table."""
    return [s.strip() for line in text.strip().splitlines() for s in line.split(" ; ")]


TABLE = {"unary": UNARY, "activations": ACTIVATIONS, "binary": BINARY, "numbers": NUMBERS, "reductions": REDUCTIONS,
         "wide": WIDE, "losses": LOSSES, "layers": LAYERS}
KINDS = ("float16", "bfloat16", "float32", "float64")
TINY = {"float16": 6e-8, "bfloat16": 1e-39, "float32": 1e-40, "float64": 5e-310}
BITS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
HALF = ("float16", "bfloat16")
SMALLEST = {"float16": 0.0, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}  # below, XLA flushes to 0
SUMS = frozenset(rows(WIDE))
# Of equal zeros either may be given, or a zero that is left out of a sum.
SIGNLESS = frozenset(rows("""
torch.relu(x) ; F.relu(x) ; F.relu6(x) ; F.softshrink(x) ; F.logsigmoid(x) ; torch.clamp(a, min=b) ; torch.clamp(a, max=b)
torch.maximum(a, b) ; torch.minimum(a, b) ; torch.max(a, b) ; torch.min(a, b) ; torch.fmax(a, b) ; torch.fmin(a, b)
F.binary_cross_entropy(p, t, reduction='none') ; F.nll_loss(m, i[:10] % 7, reduction='none') ; F.layer_norm(m, (7,))
F.instance_norm(m[None]) ; m.expand(2, 10, 7).sum(0) ; m.cumsum(1) ; torch.addr(m, m[:, 0], v, beta=0)
torch.clamp(a, b, 2 * b) ; torch.logaddexp2(a, b)
"""))
# Values that torch computes by several functions of half types, each of which rounds.
ROUNDED = frozenset(rows("""
torch.erf(x) ; F.layer_norm(w, (700,), l[:700], l[:700]) ; F.batch_norm(w.T, None, None, training=True)
F.instance_norm(w.reshape(1, 4, 700)) ; torch.logcumsumexp(l, 0) ; torch.corrcoef(w) ; F.kl_div(a, b, reduction='none')
F.binary_cross_entropy_with_logits(a, b, reduction='none') ; F.normalize(w * 30) ; (w * 100).softmax(1)
F.cosine_embedding_loss(w, w * 2 - 1, w[:, 0].sign())
F.cosine_similarity(w, w * 2 - 1) ; torch.cross(m[:, :3], m[:, 3:6], dim=1) ; w.mean(1, keepdim=True) * w
"""))
LEAST = {"float16": -24, "bfloat16": -133, "float32": -149, "float64": -1074}  # the exponent of the least subnormal number


# What differs from torch, by reason and dtypes (h: float16, b: bfloat16, s: float32, d: float64); the test finds rows that do
# not.
DIFFERENCES = (
    ("torch adds or multiplies half types up in themselves, and loses up to half of the result", "hb", """
(1 + l / 512).prod() ; torch.zeros_like(l[:3]).index_add(0, k, l) ; torch.ones_like(l[:3]).index_add(0, k, l, alpha=0.1)
F.embedding(k, w[:, :3]) ; torch.zeros_like(l[:3]).index_put((k,), l, accumulate=True) ; w[k, 0] ; w.T[:3].T[:, k]
"""),
    ("torch's gradient divides by what may be zero or infinite, ours multiplies the other factors", "hbsd", """
m.prod() ; m.cumprod(1) ; m.cumprod(0) ; torch.logcumsumexp(m, 1)
"""),
    ("NaN or not where infinities meet: torch's kernels centre, scale or divide in another order", "hbsd", """
m.var(1) ; m.var(1, correction=0) ; torch.var_mean(m, 1)[0] ; torch.std_mean(m, 1)[1]
m.norm(-2, dim=1) ; m.norm(3) ; m.renorm(2, 0, 1.0) ; F.cosine_similarity(m, m.flip(0))
torch.hypot(x, z) ; torch.hypot(x, o) ; 0 / x ; torch.addcdiv(x, x, x, value=0.1)
F.gelu(x)
"""),
    ("the same, beyond the largest number", "bsd", "torch.pow(x, -0.5) ; F.silu(x) ; F.mish(x)"),
    ("a gradient at NaN, which torch gives or not by the dtype", "d", "F.hardswish(x)"),
    ("torch's sixth is that of float32", "d", "F.hardsigmoid(x)"),
    ("a gradient at NaN, which torch gives or not by the dtype", "sd", """
F.relu6(x) ; F.hardtanh(x) ; F.hardtanh(x, -1e5, 1e5) ; F.hardshrink(x) ; F.softshrink(x)
"""),
    ("a gradient at NaN, which torch gives or not by the dtype", "d", "F.elu(x) ; F.selu(x) ; F.celu(x, 2.0) ; F.elu(x, 1e5)"),
    ("torch's gradient of 2 ** n is one of integers, zero for negative n", "hbsd", "torch.ldexp(a, n)"),
    ("the gradient of a target that is 0, where torch's is NaN or infinite", "hbsd", """
F.poisson_nll_loss(p, 4 * t, full=True, reduction='none') ; F.binary_cross_entropy(p, t, reduction='none')
"""),
    ("trigamma at poles", "bsd", "torch.digamma(x)"),
    ("the gradient at -0.0", "hbs", "torch.logit(x)"),
    ("the mean of equal numbers is off by a rounding, which is divided by the square root of eps", "hbsd", """
F.layer_norm(m, (7,))
"""),
    ("the same", "sd", "F.layer_norm(m, (7,), v, v)"),
    ("the same", "bsd", "F.instance_norm(m[None])"),
    ("torch composes it of rounded steps, one of which overflows or vanishes", "h", """
65536.0 / x ; 1e-5 / x ; 65536.0 ** x ; F.normalize(m) ; F.cosine_embedding_loss(w, w * 2 - 1, w[:, 0].sign())
F.cosine_embedding_loss(m, m.flip(0), m[:, 0].sign(), reduction='none')
"""),
    ("torch composes it of rounded steps", "hb", "torch.sinc(x)"),
    ("NaN is not left out by a factor of 0", "hb", "torch.addmm(m @ m.T, m, m.T, alpha=0)"),
    ("the sign of NaN", "b", "torch.signbit(x) ; torch.copysign(a, b)"),
    ("torch computes it in float32, or with constants of float32, or less exactly", "d", """
torch.celu(x, 0.1) ; torch.frexp(x)[0] ; z % x ; x % Z ; torch.lgamma(x)
"""),
    ("torch clamps NaN away, but not of other types", "d", "torch.logit(x, 0.1)"),
    ("a small number is added to squared lengths, twice in torch", "d", """
F.cosine_embedding_loss(m, m.flip(0), m[:, 0].sign(), reduction='none')
"""),
)
SOMETIMES = frozenset(rows("F.gelu(x)"))  # which of torch's kernels runs is the CPU's
KNOWN = {kind: {row: reason for reason, kinds, table in DIFFERENCES if letter in kinds for row in rows(table)}
         for kind, letter in zip(KINDS, "hbsd")}


def specials(kind: str) -> list[float]:
    """Zeros, infinities, NaN, ties of rounding, extremes, and some plain numbers."""
    least = 6.2e-5 if kind == "float16" else 1.2e-38 if kind != "float64" else 2.3e-308
    most = {"float16": 65504.0, "bfloat16": 3.3895e38, "float32": 3.4028234e38, "float64": 1.7976931348623157e308}[kind]
    return [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.1, -0.1, 3.0, -3.0, 7.0, 0.25, 100.0, -88.0,
            least, -least, most, -most]


def arrays(kind: str, number: float | None = None) -> dict[str, Any]:
    """The points. With `number`, every `x`, `a` and `b` has only what it is combined with."""
    x = specials(kind) if number is None else [number, -number]
    pair = [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 0.1, 2.5, -3.0, 7.0, -0.5] if number is None else [number, -number, 0.0, 1.0]
    random = np.random.default_rng(7)
    row = np.array([0.5, -1.25, 3.0, 2.0, -0.75, 1.5, 0.1])
    special = [np.where(row > 2.5, number, row) for number in (INF, -INF, NAN)]
    m = np.stack([np.zeros(7), np.full(7, -0.0), np.full(7, 2.7), row, *special[:2], np.full(7, -INF), special[2],
                  np.array([1, 3, 3, -2, 3, -2, 0.0]), np.array([INF, -INF, 1, 2, 3, 4, 5.0])])
    return {
        "x": np.array(x), "a": np.repeat(pair, len(pair)), "b": np.tile(pair, len(pair)), "m": m,
        "l": np.abs(random.standard_normal(3000)) + 0.25, "w": np.abs(random.standard_normal((4, 3000)))[:, :700] % 3 + 0.5,
        "p": np.array([0.0, 1.0, 0.5, 0.1, 0.9, 1e-3, 0.0, 1.0]), "t": np.array([0.0, 1.0, 0.5, 0.3, 1.0, 0.0, 1.0, 0.0]),
        "g": np.array([0.5, -1.25, 0.75, 2.0, -0.3, 1.1, 0.9, -1.7]), "v": np.array([1.0, -2.0, 0.5, 0.0, 3.0, -0.1, 1.5]),
        "o": np.array(0.3)}


def names(library: Any, kind: str, number: float | None = None) -> dict[str, Any]:
    """What the expressions are written in; the floating ones are leaves."""
    dtype = getattr(library, kind)
    given = arrays(kind, number)
    found = {name: library.tensor(value, dtype=dtype) for name, value in given.items()}
    index = np.arange(12)
    return {**found, "torch": library, "F": library.nn.functional, "inf": INF, "nan": NAN,
            "z": library.tensor(65536.0, dtype=library.float32), "Z": library.tensor(0.1, dtype=library.float64),
            "i": library.tensor(index % min(12, found["x"].numel()), dtype=library.int64), "j": library.tensor([0, 5, 3, 699]),
            "k": library.tensor(np.arange(3000) % 3), "r": library.tensor(np.arange(70).reshape(10, 7) % 5),
            "q": found["a"] > 0, "e": library.zeros((0, 3), dtype=dtype), "n": library.tensor(np.arange(given["a"].size) % 9 - 4)}


def leaves_in(text: str, kind: str) -> list[str]:
    """The names of the floating tensors that the expression uses."""
    used = compile(text, "expression", "eval").co_names
    return [name for name in (*arrays(kind), "e") if name in used]


def results(library: Any, text: str, scope: dict[str, Any], kind: str) -> list[Any]:
    """The value, and the cotangents of its leaves for cotangents of 1, 2, 3, 1, ... if a gradient flows at all."""
    leaves = {name: scope[name].detach().requires_grad_() for name in leaves_in(text, kind)}
    value = eval(text, {**scope, **leaves})
    if not isinstance(value, library.Tensor) or not value.requires_grad:
        return [value]
    weights = library.tensor(np.arange(value.numel()).reshape(tuple(value.shape)) % 3 + 1.0).to(value.dtype)
    grads = library.autograd.grad(value, list(leaves.values()), weights, allow_unused=True)
    return [value.detach(), *grads]


def number_array(x: Any) -> Any:
    """The result as a numpy array that compares exactly, and the name of its dtype."""
    if not hasattr(x, "dtype"):
        return x, type(x).__name__
    name = str(x.dtype).rpartition(".")[2]
    x = x.detach()
    if name == "bfloat16":
        x = x.float()
    return (x.numpy(force=True) if getattr(x, "_is_zerotensor", bool)() else x.numpy()), name  # torch's zeros without memory


def difference(ours: Any, theirs: Any, row: str, is_value: bool) -> str | None:
    """What differs between two results, in a few words; None if nothing does."""
    if theirs is None or ours is None:
        none = ours is theirs or (theirs is None and not number_array(ours)[0].any())
        return None if none else f"{'no' if ours is None else 'a'} gradient"
    (a, our_kind), (b, kind) = number_array(ours), number_array(theirs)
    if our_kind != kind:
        return f"dtype {our_kind} for {kind}"
    if not hasattr(b, "dtype"):
        return None if a == b else f"{a} for {b}"
    if a.shape != b.shape:
        return f"shape {a.shape} for {b.shape}"
    same = (a == b) | (a != a) & (b != b)
    if kind in BITS:
        same |= close(a, b, kind, row, is_value)
        if is_value and row not in SIGNLESS:
            same &= ~((a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b)))
    if same.all():
        return None
    places = np.flatnonzero(~same)[:6].tolist()
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    return f"{int((~same).sum())} of {same.size}: " + ", ".join(f"[{i}] {flat_a[i]!s} for {flat_b[i]!s}" for i in places)


def close(a: Any, b: Any, kind: str, row: str, is_value: bool) -> Any:
    """Where finite results are as near as their type allows.

    A value of a half type is at most one unit of the last place apart. Gradients, which torch composes of several functions,
    and what it rounds on the way (`ROUNDED`), may be four. Of sums, what cancels is measured by the largest result. XLA
    flushes to zero what is subnormal.
    """
    finite = np.isfinite(a) & np.isfinite(b)
    x, y = (np.where(finite, v, 0).astype(np.float64) for v in (a, b))
    least, eps = SMALLEST[kind], 2.0 ** -BITS[kind]
    unit = np.ldexp(1.0, np.maximum(np.frexp(y)[1] - 1 - BITS[kind], LEAST[kind]))
    largest = np.abs(y).max(initial=0)
    if kind not in HALF:
        limit = 32 * unit + (256 * eps * largest if row in SUMS else 8 * eps)
    elif is_value and row not in ROUNDED:
        limit = unit + 1e-7  # what cancels is off by a rounding of float32
    else:
        limit = 4 * unit + eps * (8 * max(1.0, largest) if row in SUMS else 1.0)
    flushed = (np.abs(x) < least) & (np.abs(y) < 4 * least)
    return finite & ((np.abs(x - y) <= limit) | flushed)
