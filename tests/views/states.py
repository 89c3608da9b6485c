"""The states that the fields of a `Tensor` can be in.

| state | what its value is | where its history is |
|---|---|---|
| owner | its storage's | in the storage's value |
| leaf | its storage's | begins here |
| view | what its steps read of its base | in the base's |
| cut view | the same | none: made under `no_grad`, or of such a one |
| leaf view | the same | begins here, whatever the base has |
| parted | its storage's, or what its steps read of a parted base | in `_graph`, if any: others share the memory |
| parted leaf | the same | begins here |

Beside it a tensor can be `_variable` (a leaf to the function transform that made it), keep its gradient (`_retains_grad`,
only where it is no leaf), or have been reshaped in place (`_origin`: what its former views read).
"""

from __future__ import annotations

from flambeau import Tensor

# Which of the four decide: there is a base; it is a leaf; it was parted from the storage's history; no gradient flows through it.
STATES = {
    (False, False, False, False): "owner",
    (False, True, False, False): "leaf",
    (True, False, False, False): "view",
    (True, False, False, True): "cut view",
    (True, True, False, False): "leaf view",
    (False, False, True, False): "parted",
    (True, False, True, False): "parted",
    (False, True, True, False): "parted leaf",
    (True, True, True, False): "parted leaf",
}


def state(tensor: Tensor) -> str:
    """The name of the state that the tensor is in; AssertionError, if it is in none."""
    decisive = (tensor._base is not None, tensor._requires_grad, tensor._parted, tensor._detached)
    assert decisive in STATES, f"no state has base, leaf, parted, cut = {decisive}"
    assert bool(tensor._steps) == (tensor._base is not None), "steps start from a base"
    assert tensor._graph is None or tensor._parted, "the history of a tensor that was not parted is its storage's"
    assert tensor._graph is None or tensor._graph_of is not None, "a history stands for contents"
    assert not (tensor._graph is not None and tensor._requires_grad), "a leaf has no history"
    assert not (tensor._retains_grad and tensor._requires_grad), "a leaf keeps its gradient anyway"
    assert tensor._origin is None or tensor._base is not None, "what was reshaped in place is a view of what it was"
    return STATES[decisive]
