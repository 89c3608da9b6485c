"""Mistakes of a program that computed here, where torch refuses them: of shapes, of gradients, of dtypes.

Each row is a wrong call and a right one beside it; torch says by running both what each of them is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

from ..engines import on_numpy  # noqa: E402

Call = Callable[[Any], Any]


def _ones(*shape: int) -> Call:
    return lambda m: m.ones(shape)


def _loss_shapes() -> dict[str, Call]:
    shapes = [((3,), (3,), (1,)), ((2, 3), (2, 3), ()), ((2, 3), (2, 3), (3,)), ((2, 3, 4), (2, 3, 4), (2,)), ((), (), ()),
              ((2, 3), (2, 3), (2, 1)), ((3,), (2, 3), (2,)), ((2, 3), (3,), ()), ((2, 3), (2, 3), (2, 3)), ((3,), (3,), ()),
              ((2, 3), (2, 3), (2,)), ((2, 3), (1, 3), (2,)), ((2, 3), (2, 3), (1,))]
    made: dict[str, Call] = {}
    for a, b, t in shapes:
        made[f"cosine_embedding_loss {a} {b} {t}"] = lambda m, a=a, b=b, t=t: m.nn.functional.cosine_embedding_loss(
            m.ones(a), m.ones(b), m.ones(t))
        made[f"CosineEmbeddingLoss {a} {b} {t}"] = lambda m, a=a, b=b, t=t: m.nn.CosineEmbeddingLoss()(
            m.ones(a), m.ones(b), m.ones(t))
    for x, t in [((3,), (1,)), ((3,), ()), ((1, 3), ()), ((1, 3), (1,)), ((2, 3), ()), ((2, 3), (2,)), ((2, 3), (1,)),
                 ((), (1,)), ((1, 3), (1, 1)), ((2, 3), (2, 1)), ((3,), (3,))]:
        for reduction in ("none", "mean"):
            made[f"multi_margin_loss {x} {t} {reduction}"] = lambda m, x=x, t=t, reduction=reduction: (
                m.nn.functional.multi_margin_loss(m.ones(x), m.zeros(t, dtype=m.int64), reduction=reduction))
    return made


def _grads() -> dict[str, Call]:
    """Each loss with each of its arguments requiring a gradient, with and without gradients on."""
    classes = [0, 1]
    losses: dict[str, tuple[str, Callable[[Any, Any, Any], Any]]] = {
        "soft_margin_loss": ("target", lambda m, x, t: m.nn.functional.soft_margin_loss(x, t)),
        "nll_loss": ("row", lambda m, x, w: m.nn.functional.nll_loss(x, m.tensor(classes), w)),
        "nll_loss2d": ("row", lambda m, x, w: m.nn.functional.nll_loss(x[:, :, None], m.tensor([[0], [1]]), w)),
        "cross_entropy": ("row", lambda m, x, w: m.nn.functional.cross_entropy(x, m.tensor(classes), w)),
        "smoothed": ("row", lambda m, x, w: m.nn.functional.cross_entropy(x, m.tensor(classes), w, label_smoothing=0.1)),
        "soft": ("row", lambda m, x, w: m.nn.functional.cross_entropy(x, m.ones(2, 3), w)),
        "multi_margin_loss": ("row", lambda m, x, w: m.nn.functional.multi_margin_loss(x, m.tensor(classes), weight=w)),
        "bce": ("all", lambda m, x, w: m.nn.functional.binary_cross_entropy(x, m.ones(2, 3), w)),
        "bce target": ("all", lambda m, x, t: m.nn.functional.binary_cross_entropy(x, t)),
        "bce logits": ("all", lambda m, x, w: m.nn.functional.binary_cross_entropy_with_logits(x, m.ones(2, 3), w)),
        "bce pos": ("row", lambda m, x, w: m.nn.functional.binary_cross_entropy_with_logits(x, m.ones(2, 3), pos_weight=w)),
        "batch_norm mean": ("row", lambda m, x, r: m.nn.functional.batch_norm(x, r, m.ones(3))),
        "batch_norm var": ("row", lambda m, x, r: m.nn.functional.batch_norm(x, m.zeros(3), r)),
        "NLLLoss": ("row", lambda m, x, w: m.nn.NLLLoss(weight=w)(x, m.tensor(classes))),
        "CrossEntropyLoss": ("row", lambda m, x, w: m.nn.CrossEntropyLoss(weight=w)(x, m.tensor(classes))),
        "BCELoss": ("all", lambda m, x, w: m.nn.BCELoss(weight=w)(x, m.ones(2, 3))),
        "BCEWithLogitsLoss": ("all", lambda m, x, w: m.nn.BCEWithLogitsLoss(weight=w)(x, m.ones(2, 3))),
        "MultiMarginLoss": ("row", lambda m, x, w: m.nn.MultiMarginLoss(weight=w)(x, m.tensor(classes))),
        "SoftMarginLoss": ("all", lambda m, x, t: m.nn.SoftMarginLoss()(x, t)),
    }
    made: dict[str, Call] = {}
    for name, (size, loss) in losses.items():
        shape = (3,) if size == "row" else (2, 3)
        for needs in (True, False):
            for on in (True, False):

                def call(m: Any, loss: Any = loss, shape: Any = shape, needs: bool = needs, on: bool = on) -> Any:
                    given = m.full(shape, 0.5, requires_grad=needs)
                    with m.set_grad_enabled(on):
                        return loss(m, m.full((2, 3), 0.5, requires_grad=True), given).detach()

                made[f"{name}, requires_grad {needs}, grad mode {on}"] = call
    return made


def _cells() -> dict[str, Call]:
    made: dict[str, Call] = {}
    for kind in ("RNNCell", "GRUCell", "LSTMCell"):
        for x, h in [((2, 3), (1, 4)), ((2, 3), (4,)), ((3,), (1, 4)), ((2, 3), (2, 5)), ((2, 4), (2, 4)), ((2, 3), (2, 4)),
                     ((3,), (4,)), ((2, 3), (2, 1)), ((2, 3), (3, 4)), ((3,), (5,)), ((1, 3), (4,)), ((4, 3), (4,)),
                     ((1,), (4,))]:
            made[f"{kind} {x} {h}"] = lambda m, kind=kind, x=x, h=h: _stepped(m, kind, x, h, h)
    for h, c in [((2, 4), (1, 4)), ((1, 4), (2, 4)), ((2, 4), (2, 5)), ((2, 4), (2, 1)), ((2, 4), (2, 4))]:
        made[f"LSTMCell {h} {c}"] = lambda m, h=h, c=c: _stepped(m, "LSTMCell", (2, 3), h, c)
    for name, gates in (("rnn_tanh_cell", 1), ("rnn_relu_cell", 1), ("gru_cell", 3)):
        for h in [(2, 4), (1, 4), (2, 5), (3, 4)]:
            made[f"{name} {h}"] = lambda m, name=name, gates=gates, h=h: getattr(m, name)(
                m.ones(2, 3), m.ones(h), m.ones(4 * gates, 3), m.ones(4 * gates, 4))
    return made


def _stepped(m: Any, kind: str, x: Any, h: Any, c: Any) -> Any:
    cell = getattr(m.nn, kind)(3, 4)
    for parameter in cell.parameters():
        parameter.data.fill_(0.25)
    state = m.ones(h)
    made = cell(m.ones(x), (state, m.ones(c)) if kind == "LSTMCell" else state)
    return (made[0] if kind == "LSTMCell" else made).detach()


def _normed(m: Any, norm: str, training: bool, shape: tuple[int, ...], running: int | None, weight: int | None) -> Any:
    """What a normalization gives, and the statistics after it."""
    def ones(count: int | None) -> Any:
        return None if count is None else m.ones(count)
    mean, var, weights = ones(running), ones(running), (ones(weight), ones(weight))
    if norm.startswith("torch."):
        made = getattr(m, norm[6:])(m.ones(shape), *weights, mean, var, training, 0.1, 1e-5, False)
    else:
        made = getattr(m.nn.functional, norm)(m.ones(shape), mean, var, *weights, training)
    return made if running is None else m.cat([made.reshape(-1), mean, var])


def _layers() -> dict[str, Call]:
    made: dict[str, Call] = {}
    for rank in (1, 2, 3):
        for indices in (False, True):
            for p, k, d in [(2, 3, 2), (1, 3, 2), (2, 4, 3), (3, 5, 3), (2, 3, 1), (1, 1, 3), (3, 4, 2)]:
                made[f"max_pool{rank}d {p} {k} {d} {indices}"] = lambda m, rank=rank, indices=indices, p=p, k=k, d=d: (
                    m.nn.functional.__dict__[f"max_pool{rank}d" + "_with_indices" * indices](
                        m.ones(1, 1, *(9,) * rank), k, 1, p, d))
    for shape, groups in [((1, 4), 4), ((1, 4), 2), ((2, 4), 4), ((1, 4, 1), 4), ((1, 4, 2), 4), ((1, 1), 1), ((4,), 4)]:
        made[f"group_norm {shape} {groups}"] = lambda m, s=shape, g=groups: m.nn.functional.group_norm(m.ones(s), g)
        made[f"GroupNorm {shape} {groups}"] = lambda m, s=shape, g=groups: m.nn.GroupNorm(g, max(s))(m.ones(s)).detach()
        if len(shape) > 1:
            made[f"torch.group_norm {shape} {groups}"] = lambda m, s=shape, g=groups: m.group_norm(m.ones(s), g)
    for training in (False, True):
        made[f"batch_norm (3,) {training}"] = lambda m, t=training: m.nn.functional.batch_norm(m.ones(3), None, None, training=t)
        made[f"batch_norm (2, 3) {training}"] = lambda m, t=training: m.nn.functional.batch_norm(
            m.ones(2, 3), m.zeros(3), m.ones(3), training=t)
        for norm in ("batch_norm", "torch.batch_norm", "instance_norm", "torch.instance_norm"):
            for shape in [(3,), (1,), (0,), (0, 3), (2, 0), (1, 3), (2, 3, 0), (2, 3, 1), (1, 3, 1), (2, 3), (0, 3, 2)]:
                for running, weight in itertools.product((None, 0, 2, 3), repeat=2):
                    given = norm, training, shape, running, weight
                    made[" ".join(map(str, given))] = lambda m, given=given: _normed(m, *given)
    made["batch_norm without mean"] = lambda m: m.nn.functional.batch_norm(m.ones(2, 3), None, m.ones(3))
    made["batch_norm without variance"] = lambda m: m.nn.functional.batch_norm(m.ones(2, 3), m.ones(3), None)
    for a, b, w, bias in [((2, 3), (1, 4), (5, 3, 4), 5), ((1, 3), (2, 4), (5, 3, 4), 5), ((2, 3), (2, 4), (5, 3, 4), 5),
                          ((2, 2, 3), (2, 1, 4), (5, 3, 4), 5), ((2, 3), (4,), (5, 3, 4), 5), ((2, 3), (2, 4), (5, 3, 5), 5),
                          ((2, 3), (2, 4), (5, 3, 4), 1), ((2, 3), (2, 4), (5, 1, 4), 5), ((3,), (4,), (5, 3, 4), 5)]:
        made[f"bilinear {a} {b} {w} {bias}"] = lambda m, a=a, b=b, w=w, bias=bias: m.nn.functional.bilinear(
            m.ones(a), m.ones(b), m.ones(w), m.ones(bias))
    for mode in ("constant", "reflect", "replicate", "circular", "none such"):
        for value in (None, 0, 1.5):
            made[f"pad {mode} {value}"] = lambda m, mode=mode, v=value: m.nn.functional.pad(m.ones(1, 1, 3), (1, 1), mode, v)
        for shape in [(1, 0, 3), (0, 1, 3), (0, 3), (1, 1, 0), (1, 0, 3, 3), (0, 3, 3), (1, 0, 3, 3, 3)]:
            if mode != "none such":
                counts = (1, 1) * (1 if shape in ((1, 0, 3), (0, 1, 3), (0, 3), (1, 1, 0)) else 3 if len(shape) == 5 else 2)
                made[f"pad {mode} {shape}"] = lambda m, mode=mode, s=shape, c=counts: m.nn.functional.pad(m.ones(s), c, mode)
    made["pad mode of no text"] = lambda m: m.nn.functional.pad(m.ones(1, 1, 3), (1, 1), 1)
    for mode, rank in [("nearest", 1), ("linear", 1), ("nearest", 2), ("bilinear", 2), ("bicubic", 2), ("area", 2),
                       ("nearest", 3), ("trilinear", 3), ("nearest-exact", 2)]:
        for lead in ((1, 0), (0, 1), (1, 1)):
            made[f"interpolate {mode} {rank} {lead}"] = lambda m, mode=mode, rank=rank, lead=lead: (
                m.nn.functional.interpolate(m.ones(*lead, *(3,) * rank), scale_factor=2, mode=mode))
    return made


def _numbers() -> dict[str, Call]:
    made: dict[str, Call] = {}
    for shape in [(2, -1), (-1,), (0, 1), (1, -1), (2, 1)]:
        made[f"broadcast_shapes {shape}"] = lambda m, s=shape: tuple(m.broadcast_shapes((1,), s))
    for shape in [(1,), (2,), (1, 1), (0,), ()]:
        made[f"full {shape}"] = lambda m, s=shape: m.full((2,), m.ones(s))
        made[f"full_like {shape}"] = lambda m, s=shape: m.full_like(m.ones(2), m.ones(s))
        made[f"new_full {shape}"] = lambda m, s=shape: m.ones(2).new_full((2,), m.ones(s))
    for name, low, high in [("vector and number", _ones(2), lambda m: 1), ("number and vector", lambda m: 1, _ones(2)),
                            ("vectors", _ones(2), _ones(2)), ("0-d and number", _ones(), lambda m: 2.0),
                            ("numbers", lambda m: 1, lambda m: 2)]:
        made[f"clamp {name}"] = lambda m, low=low, high=high: m.clamp(m.ones(2), low(m), high(m))
        made[f"clamp_ {name}"] = lambda m, low=low, high=high: m.ones(2).clamp(low(m), max=high(m))
    return made


def _walks() -> dict[str, Call]:
    """Functions over elements on the host."""
    walks: dict[str, Callable[[Any, Any, Any], Any]] = {
        "apply_": lambda m, x, y: x.apply_(lambda a: a + 1), "map_": lambda m, x, y: x.map_(y, lambda a, b: a + b),
        "map2_": lambda m, x, y: x.map2_(y, y, lambda a, b, c: a + b + c)}
    pairs: dict[str, tuple[Call, Call]] = {
        "alike": (_ones(2), _ones(2)), "itself": (lambda m: m.ones(2, requires_grad=True), _ones(2)),
        "the other": (_ones(2), lambda m: m.ones(2, requires_grad=True)), "broadcast": (_ones(2), _ones(1)),
        "double": (_ones(2), lambda m: m.ones(2, dtype=m.float64)), "int": (_ones(2), lambda m: m.ones(2, dtype=m.int64)),
        "sizes": (_ones(2), _ones(3)), "dimensions": (_ones(2), _ones(2, 2)), "number": (_ones(2), lambda m: 3)}
    return {f"{name} {what}": lambda m, walk=walk, x=x, y=y: walk(m, x(m), y(m)) for name, walk in walks.items()
            for what, (x, y) in pairs.items() if name != "map2_" or what != "number"}


DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool", "complex64")


def _kinds() -> dict[str, Call]:
    """Functions of linear algebra and convolutions of every dtype, and `put` of every two."""
    made: dict[str, Call] = {}
    for kind in DTYPES:

        def of(m: Any, *shape: int, kind: str = kind) -> Any:
            return m.ones(shape).to(getattr(m, kind))

        made[f"householder_product {kind}"] = lambda m, of=of: m.linalg.householder_product(of(m, 3, 2), of(m, 2))
        made[f"orgqr {kind}"] = lambda m, of=of: m.orgqr(of(m, 3, 2), of(m, 2))
        made[f"ormqr {kind}"] = lambda m, of=of: m.ormqr(of(m, 3, 2), of(m, 2), of(m, 3, 3))
        made[f"ldl_solve {kind}"] = lambda m, of=of: m.linalg.ldl_solve(
            of(m, 3, 3), m.tensor([1, 2, 3], dtype=m.int32), of(m, 3, 2))
        for rank in (1, 2, 3):
            for name in (f"conv{rank}d", f"conv_transpose{rank}d"):
                made[f"{name} {kind}"] = lambda m, of=of, name=name, rank=rank: getattr(m.nn.functional, name)(
                    of(m, 1, 1, *(4,) * rank), of(m, 1, 1, *(2,) * rank))
        for other in DTYPES:
            made[f"put {kind} {other}"] = lambda m, a=kind, b=other: m.put(
                m.ones(2, dtype=getattr(m, a)), m.tensor([0]), m.zeros(1, dtype=getattr(m, b)))
            made[f"put_ {kind} {other}"] = lambda m, a=kind, b=other: m.ones(2, dtype=getattr(m, a)).put_(
                m.tensor([0]), m.zeros(1, dtype=getattr(m, b)), accumulate=a != "bool")
        if kind != "int32":  # which numbers places here, as in all functions
            made[f"put at {kind}"] = lambda m, a=kind: m.put(m.ones(2), m.zeros(1, dtype=getattr(m, a)), m.zeros(1))
    return made


def _updates() -> dict[str, Call]:
    """In place, of every two dtypes: what does not fit is told before what a kernel is not made for."""
    made: dict[str, Call] = {}
    for name in ("floor_divide_", "remainder_", "fmod_", "atan2_", "copysign_", "bitwise_and_", "bitwise_or_", "bitwise_xor_",
                 "hypot_", "clamp_", "clamp_min_", "clamp_max_", "lt_", "ge_", "eq_", "div_", "pow_", "nextafter_",
                 "igamma_", "gcd_", "xlogy_"):
        for a in ("float32", "int64", "bool", "complex64"):
            for b in ("float64", *("float32", "int64", "bool", "complex64")):
                made[f"{name} {a} {b}"] = lambda m, name=name, a=a, b=b: getattr(m.ones(2, dtype=getattr(m, a)), name)(
                    m.ones(2, dtype=getattr(m, b)))
    for name in ("floor_divide_", "remainder_", "fmod_", "copysign_", "bitwise_and_"):
        for a in ("float32", "int64", "bool"):
            made[f"{name} {a} 1j"] = lambda m, name=name, a=a: getattr(m.ones(2, dtype=getattr(m, a)), name)(1j)
    return made


OUTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "max dim": lambda m, x, o: m.max(x, 0, out=(o(2), m.zeros(2, dtype=m.int64))),
    "min dim": lambda m, x, o: m.min(x, 0, out=(o(2), m.zeros(2, dtype=m.int64))),
    "max dim indices": lambda m, x, o: m.max(x, 0, out=(m.zeros(2), o(2))),
    "median": lambda m, x, o: m.median(x, 0, out=(o(2), m.zeros(2, dtype=m.int64))),
    "nanmedian": lambda m, x, o: m.nanmedian(x, 0, out=(o(2), m.zeros(2, dtype=m.int64))),
    "median indices": lambda m, x, o: m.median(x, 0, out=(m.zeros(2), o(2))),
    "mode": lambda m, x, o: m.mode(x, 0, out=(o(2), m.zeros(2, dtype=m.int64))),
    "mode indices": lambda m, x, o: m.mode(x, 0, out=(m.zeros(2), o(2))),
    "matrices": lambda m, x, o: m.matmul(x, x, out=o(2, 2)), "matrix vector": lambda m, x, o: m.matmul(x, x[0], out=o(2)),
    "vector matrix": lambda m, x, o: m.matmul(x[0], x, out=o(2)), "vectors": lambda m, x, o: m.matmul(x[0], x[0], out=o()),
    "stacks": lambda m, x, o: m.matmul(x[None], x[None], out=o(1, 2, 2)), "mv": lambda m, x, o: m.mv(x, x[0], out=o(2)),
    "stack vector": lambda m, x, o: m.matmul(x[None], x[0], out=o(1, 2)),
    "clamp": lambda m, x, o: m.clamp(x, 0, 1, out=o(2, 2)), "clamp_min": lambda m, x, o: m.clamp_min(x, 0, out=o(2, 2)),
    "clamp_max": lambda m, x, o: m.clamp_max(x, 0, out=o(2, 2)), "clip": lambda m, x, o: m.clip(x, 0, 1, out=o(2, 2)),
    "clamp tensors": lambda m, x, o: m.clamp(x, x, x, out=o(2, 2)),
    "where": lambda m, x, o: m.where(x > 2, x, x, out=o(2, 2)), "histc": lambda m, x, o: m.histc(x, 4, out=o(4)),
    "nan_to_num": lambda m, x, o: m.nan_to_num(x, out=o(2, 2)), "all": lambda m, x, o: m.all(x > 1, out=o()),
    "any": lambda m, x, o: m.any(x > 1, 0, out=o(2)), "any of bytes": lambda m, x, o: m.any(x.to(m.uint8), out=o()),
    "diag": lambda m, x, o: m.diag(x, out=o(2)), "inverse": lambda m, x, o: m.inverse(x, out=o(2, 2)),
    "heaviside": lambda m, x, o: m.heaviside(x, x, out=o(2, 2)),
    "addbmm": lambda m, x, o: m.addbmm(x, x[None], x[None], out=o(2, 2)),
}


def _outs() -> dict[str, Call]:
    return {f"{name} out={kind}": lambda m, call=call, kind=kind: call(
        m, m.tensor([[1.0, 2], [3, 5]]), lambda *shape: m.zeros(shape, dtype=getattr(m, kind))) for name, call in OUTS.items()
        for kind in ("float32", "float64", "float16", "int64", "bool", "uint8") if (name, kind) != ("heaviside", "complex64")}


def _lookups() -> dict[str, Call]:
    """Sorters, members of sets and sizes of grids."""
    made: dict[str, Call] = {}
    for sorter in ([2, 0, 1], [0, 1], [0, 1, 2, 2], [0, 1, 3], [0, 1, -1], [[0, 1, 2]], []):
        for kind in ("int64", "int32"):
            made[f"searchsorted {sorter} {kind}"] = lambda m, sorter=sorter, kind=kind: m.searchsorted(
                m.tensor([2.0, 3.0, 1.0]), m.tensor([2.5]), sorter=m.tensor(sorter, dtype=getattr(m, kind)))
    for kind in ("int64", "int32", "int16", "float32"):
        made[f"searchsorted out={kind}"] = lambda m, kind=kind: m.searchsorted(
            m.tensor([1.0, 2.0]), m.tensor([1.5]), out=m.empty(1, dtype=getattr(m, kind)))
    kinds = ("bool", "uint8", "int64", "float16", "bfloat16", "float32", "complex64")
    for one in kinds:
        made[f"isin a number {one}"] = lambda m, one=one: m.isin(m.ones(2, dtype=getattr(m, one)), 1)
        for other in kinds:
            made[f"isin {one} {other}"] = lambda m, one=one, other=other: m.isin(
                m.ones(2, dtype=getattr(m, one)), m.zeros(3, dtype=getattr(m, other)))
    for number in (True, 1, 1.5):
        made[f"isin {number}"] = lambda m, number=number: m.isin(m.tensor([1, 2]), number)
    for n, size in [(2, (2, 1, 2, 2)), (2, (1, 1, 2, 2)), (1, (2, 1, 2, 2)), (3, (2, 1, 2, 2))]:
        made[f"affine_grid {n} {size}"] = lambda m, n=n, size=size: m.nn.functional.affine_grid(
            m.ones(n, 2, 3), size, align_corners=False)
    return made


TABLES = {"losses": _loss_shapes(), "gradients": _grads(), "cells": _cells(), "layers": _layers(), "numbers": _numbers(),
          "walks": _walks(), "dtypes": _kinds(), "updates": _updates(), "out": _outs(), "lookups": _lookups()}
WORDS = 4  # that many first words of a message are those of torch


def _result(library: Any, call: Call) -> Any:
    try:
        made = call(library)
    except Exception as error:  # any, of any class: that is compared
        return type(error).__name__, str(error).split()[:WORDS]
    if isinstance(made, library.Tensor):
        return str(made.dtype).removeprefix("torch."), tuple(made.shape), made
    return made if not isinstance(made, tuple) or not any(isinstance(x, library.Tensor) for x in made) else made[0]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.filterwarnings("ignore")
def test_refused_where_torch_refuses(table: str) -> None:
    """The same class and first words of an error, and what torch computes is computed."""
    wrong = []
    refused = taken = 0
    for name, call in TABLES[table].items():
        with on_numpy():
            wanted, got = (_result(library, call) for library in (torch, flambeau))
        if isinstance(wanted, tuple) and isinstance(wanted[-1], list):
            refused += 1
            same = wanted == got
        else:
            taken += 1
            same = _alike(wanted, got)
        if not same:
            wrong.append(f"{name}: torch {wanted}, here {got}")
    assert not wrong, "\n".join(wrong)
    assert refused and taken, (refused, taken)


def _alike(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, torch.Tensor):
        return isinstance(got, flambeau.Tensor) and tuple(wanted.shape) == tuple(got.shape)
    if not isinstance(wanted, tuple) or not isinstance(wanted[-1], torch.Tensor):
        return bool(wanted == got)
    if not isinstance(got, tuple) or not isinstance(got[-1], flambeau.Tensor) or wanted[:2] != got[:2]:
        return False
    theirs, ours = ((t.to(library.complex128) if t.dtype is library.complex64 else t.to(library.float64)).numpy()
                    for library, t in ((torch, wanted[2]), (flambeau, got[2])))
    return bool(np.allclose(theirs, ours, rtol=1e-3, atol=1e-4, equal_nan=True))
