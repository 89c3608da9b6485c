"""Arguments that the function reaches outside, too, and may tell from others: `a is weight`, `a in weights`, `names[a]`.

It is given these as they are, so that the question has the answer that it has without jit. Then the trace holds for no other
argument in that place, and others hold for none of these.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from ..guards.texts import Change, Text
from ..tensor.tensor import Tensor
from .signature import Signature


class Identities:
    """`known` are the tensors that may be told from others, `containers` the ids of the containers that are reached outside.

    `tensors` and `things` are the numbers of the arguments, and of the containers in them, that are given as they are.
    """

    def __init__(self, known: Iterable[weakref.ref[Tensor]], containers: frozenset[int]) -> None:
        self._known = {id(tensor): ref for ref in known if (tensor := ref()) is not None}
        self._containers = containers
        self.tensors: dict[int, weakref.ref[Tensor]] = {}
        self.things: dict[int, Any] = {}

    def has(self, x: Any) -> bool:
        """Whether it is a tensor that may be told from others."""
        ref = self._known.get(id(x))
        return ref is not None and ref() is x

    def usual(self, call: Signature) -> bool:
        """Whether no argument is any of these, at the trace and now."""
        return not (self.tensors or self.things or (self._known and any(map(self.has, call.tensors)))) and (
            not call.containers or not self._containers or self._containers.isdisjoint(map(id, call.containers)))

    def changes(self, call: Signature) -> list[Change]:
        """Arguments that are not what they were."""
        found: list[Change] = [
            (call.paths[i], *((_REACHED, _ANOTHER) if i in self.tensors else (_ANOTHER, _REACHED)))
            for i, x in enumerate(call.tensors) if (self.tensors[i]() is not x if i in self.tensors else self.has(x))]
        if any(self.things[i] is not x if i in self.things else id(x) in self._containers
               for i, x in enumerate(call.containers)):
            found.append(("a container among the arguments", "one of its own", "one that the function also reaches"))
        return found


_REACHED, _ANOTHER = Text("a tensor that the function also reaches outside"), Text("another tensor")
