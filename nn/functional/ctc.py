"""Connectionist temporal classification: https://pytorch.org/docs/stable/generated/torch.nn.functional.ctc_loss.html"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...tracer.functions.arithmetic import add, div, sub
from ...tracer.functions.checks import check_none, first_of, known
from ...tracer.functions.choosing import clamp, maximum, where
from ...tracer.functions.comparing import logical_and
from ...tracer.functions.control import scan
from ...tracer.functions.creation import tensor as make_tensor
from ...tracer.functions.cumulative import cumsum
from ...tracer.functions.dims import whole_list
from ...tracer.functions.joining import cat, stack
from ...tracer.functions.operands import scalar_name
from ...tracer.functions.ranges import arange
from ...tracer.functions.reduce import mean, sum
from ...tracer.functions.scattering import gather
from ...tracer.functions.shape import flatten
from ...tracer.functions.unary import exp, log, neg
from ...tracer.ir import dtypes
from ...tracer.tensor.tensor import Tensor
from .loss import reduced

Lengths = Tensor | Sequence[int]
WHERE = "(while checking arguments for ctc_loss_allocate_outputs)"


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> Tensor:
    """How improbable a sequence of labels is, summed over all ways to place them in a longer sequence.

    loss = -log(sum over alignments of the product of probs[t, a[t]]), where an alignment becomes the target when repeats are
    joined and blanks dropped

    Args: `log_probs` (T, N, C) or (T, C); `targets` (N, S), or the targets one after the other; `input_lengths` and
    `target_lengths` (N,), as tensors or numbers; `blank`, its class; `reduction`, "mean" (divided by the target's length
    first), "sum" or "none"; `zero_infinity`, whether the loss of targets that do not fit is 0 rather than infinite.
    The gradient is that of the scores before log_softmax, as in torch. Raises RuntimeError for lengths that do not fit.

    >>> import flambeau as torch
    >>> scores = torch.zeros(2, 1, 3).log_softmax(-1)
    >>> torch.nn.functional.ctc_loss(scores, torch.tensor([[1]]), (2,), (1,))  # 3 of 9 alignments
    tensor(1.0986)

    Source: Graves et al.: "Connectionist temporal classification", https://doi.org/10.1145/1143844.1143891;
    https://pytorch.org/docs/stable/generated/torch.nn.functional.ctc_loss.html
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if log_probs.dtype not in (dtypes.float32, dtypes.float64):
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{scalar_name(log_probs.dtype)}'")
    scores = log_probs if log_probs.ndim == 3 else log_probs.unsqueeze(1)
    steps, batch, classes = scores._type.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    reads, writes = (_lengths(lengths, name, batch, scores) for lengths, name in (
        (input_lengths, "input_lengths"), (target_lengths, "target_lengths")))
    labels = _labels(targets.to(dtypes.int64), target_lengths, writes, batch)
    _check_values(input_lengths, reads, "input_lengths", steps)
    loss = neg(_log_likelihood(scores, labels, reads, writes, blank))
    loss = _with_torchs_gradient(loss, scores, reads)
    if zero_infinity:
        loss = where(loss == math.inf, 0.0, loss)
    if reduction == "mean":
        return mean(div(loss, clamp(writes, min=1).to(loss.dtype)))
    return reduced(loss if log_probs.ndim == 3 else loss.squeeze(0), reduction)


# --- Lengths and labels -----------------------------------------------------------------------------------------------


def _lengths(lengths: Any, name: str, batch: int, like: Tensor) -> Tensor:
    made = lengths if isinstance(lengths, Tensor) else make_tensor(whole_list(lengths, name), device=like.device)
    made = made.to(device=like.device, dtype=dtypes.int64).reshape(-1)
    if made._type.shape[0] != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    return made


def _values(lengths: Any) -> list[int] | None:
    """The numbers, where they are known."""
    if not isinstance(lengths, Tensor):
        return list(whole_list(lengths, "lengths"))
    there = known(lengths)
    return None if there is None else [int(n) for n in there.reshape(-1)]


def _check_values(given: Any, lengths: Tensor, name: str, most: int) -> None:
    values = _values(given)
    if values is None:  # the program will find them
        for failed, bound in ((lengths < 0, "least 0"), (lengths > most, f"most {most}")):
            check_none("ctc_loss", failed, RuntimeError,
                       f"Expected {name} to have value at {bound}, but got value {{value}} {WHERE}", lengths)
    for n in values or ():
        if n < 0:
            raise first_of(RuntimeError(f"Expected {name} to have value at least 0, but got value {n} {WHERE}"))
        if n > most:
            raise first_of(RuntimeError(f"Expected {name} to have value at most {most}, but got value {n} {WHERE}"))


def _labels(targets: Tensor, given: Any, lengths: Tensor, batch: int) -> Tensor:
    """The targets as (N, S); what lies beyond a length is of no account."""
    values = _values(given)
    _check_values(given, lengths, "target_lengths", 1 << 62)
    if targets.ndim == 2:
        if values is None:
            check_none("ctc_loss", lengths > targets._type.shape[1], RuntimeError,
                       "Expected tensor to have size at least {value} at dimension 1, but got size "
                       f"{targets._type.shape[1]} for argument #2 'targets' {WHERE}", lengths)
        if values and max(values) > targets._type.shape[1]:
            raise first_of(RuntimeError(f"Expected tensor to have size at least {max(values)} at dimension 1, but got size "
                                        f"{targets._type.shape[1]} for argument #2 'targets' {WHERE}"))
        return targets
    size = targets._type.shape[0]
    if values is not None and math.fsum(values) != size:
        raise first_of(RuntimeError(f"Expected tensor to have size {int(math.fsum(values))} at dimension 0, but got size "
                                    f"{size} for argument #2 'targets' {WHERE}"))
    if values is None:
        total = sum(lengths)
        check_none("ctc_loss", total != size, RuntimeError, f"Expected tensor to have size {{value}} at dimension 0, but got "
                   f"size {size} for argument #2 'targets' {WHERE}", total)
    longest = size if values is None else max(values, default=0)
    if not size:
        return targets.reshape(1, 0).expand(batch, 0)
    starts = sub(cumsum(lengths, 0), lengths)
    places = add(starts.unsqueeze(1), arange(longest, device=targets.device))
    return gather(targets.unsqueeze(0).expand(batch, size), 1, clamp(places, max=size - 1))


# --- The sum over alignments ------------------------------------------------------------------------------------------


def _log_sum(*terms: Tensor) -> Tensor:
    """log(sum of exp), -inf for nothing but -inf, there with a gradient of 0."""
    top = terms[0]
    for term in terms[1:]:
        top = maximum(top, term)
    top = top.detach()
    nothing = top == -math.inf
    safe = where(nothing, 0.0, top)
    total = exp(sub(terms[0], safe))
    for term in terms[1:]:
        total = add(total, exp(sub(term, safe)))
    return where(nothing, -math.inf, add(log(where(nothing, 1.0, total)), safe))


def _later(x: Tensor, by: int) -> Tensor:
    """Along the last dimension, what was `by` places before; -inf at the start."""
    kept = x.narrow(-1, 0, max(x._type.shape[-1] - by, 0))
    return cat([x.new_full((*x._type.shape[:-1], min(by, x._type.shape[-1])), -math.inf), kept], -1)


def _log_likelihood(scores: Tensor, labels: Tensor, reads: Tensor, writes: Tensor, blank: int) -> Tensor:
    """The forward variables of all places in the target with blanks around each label, in one loop over time."""
    steps, batch, _ = scores._type.shape
    spread = flatten(stack([labels.new_full(labels.shape, blank), labels], -1), 1)
    spread = cat([spread, labels.new_full((batch, 1), blank)], 1)  # (N, 2 * S + 1)
    width = spread._type.shape[1]
    inside = arange(width, device=scores.device) <= (2 * writes).unsqueeze(1)
    spread = where(inside, spread, blank)
    before = cat([spread.new_full((batch, min(2, width)), blank), spread.narrow(1, 0, max(width - 2, 0))], 1)
    skips = logical_and(spread != blank, spread != before)
    emitted = gather(scores, 2, spread.unsqueeze(0).expand(steps, batch, width))
    number = arange(width, device=scores.device)
    start = where(logical_and(number < 2, inside), emitted.select(0, 0), -math.inf) if steps else None
    if start is None:
        return where(writes == 0, 0.0, -math.inf).to(scores.dtype)

    def step(alpha: Tensor, at: Any) -> tuple[Tensor, None]:
        emission, counts = at
        moved = _log_sum(alpha, _later(alpha, 1), where(skips, _later(alpha, 2), -math.inf))
        return where(counts.unsqueeze(1), add(moved, emission), alpha), None

    counts = arange(1, steps, device=scores.device).unsqueeze(1) < reads  # (T - 1, N)
    alpha = scan(step, start, (emitted.narrow(0, 1, steps - 1), counts))[0] if steps > 1 else start
    last = (2 * writes).unsqueeze(1)
    label = where(writes == 0, -math.inf, gather(alpha, 1, clamp(last - 1, min=0)).squeeze(1))
    found = _log_sum(gather(alpha, 1, last).squeeze(1), label)
    return where(reads > 0, found, where(writes == 0, 0.0, -math.inf).to(found.dtype))


def _with_torchs_gradient(loss: Tensor, scores: Tensor, reads: Tensor) -> Tensor:
    """The loss, with the gradient of the scores that log_softmax made the log probabilities of: their exponentials more."""
    steps = scores._type.shape[0]
    counts = (arange(steps, device=scores.device).unsqueeze(1) < reads).unsqueeze(2)
    total = sum(where(counts, exp(scores), 0.0), (0, 2))
    return add(loss, sub(total, total.detach())) if scores.requires_grad else loss
