"""The text of a traced tensor may be printed while it is traced, and must not leave the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch
from flambeau.tracer.ir.errors import TraceError

from ..engines import on_numpy


class Holder:
    text = ""


holder, table = Holder(), dict[str, Any]()
LEAVING: dict[str, Callable[[Any], Any]] = {
    "returned": lambda x: str(x), "in a format": lambda x: f"loss {x.sum()}",
    "by format": lambda x: "{}".join("ab").format(x.sum()),
    "inside": lambda x: {"text": [repr(x)]}, "in a set": lambda x: {str(x)},
    "an attribute": lambda x: setattr(holder, "text", f"{x}"),
    "an entry": lambda x: table.update(text=str(x)), "a key": lambda x: table.update({str(x): 1})}


@pytest.mark.parametrize("name", LEAVING)
def test_a_text_that_leaves_is_an_error(name: str) -> None:
    with on_numpy(), pytest.raises(TraceError, match=r"the text of a traced tensor, .*torch\.debug\.print"):
        torch.jit(LEAVING[name])(torch.ones(2))
    assert holder.text == "" and not table


@pytest.mark.parametrize("text", [lambda x: f"{x:.3f}", lambda x: format(x, ">20"), lambda x: "{:.2e}".join("ab").format(x)])
def test_a_number_in_a_format_is_an_error_that_says_what_to_do(text: Callable[[Any], str]) -> None:
    with on_numpy(), pytest.raises(TraceError, match=r"was read at .*test_texts_of_tensors.*torch.debug.print"):
        torch.jit(lambda x: text(x.sum()))(torch.ones(2))


def test_printing_while_it_is_traced_shows_the_type(capsys: Any) -> None:
    def step(x: Any) -> Any:
        print(x, f"{x.sum()}")
        return x * 2

    with on_numpy():
        torch.jit(step)(torch.ones(2))
    assert capsys.readouterr().out == "tensor(<traced f32[2]>) tensor(<traced f32[]>)\n"


def test_what_the_step_knows_has_its_digits() -> None:
    with on_numpy():
        assert torch.jit(lambda x: f"{torch.tensor(2.5):.1f}")(torch.ones(2)) == "2.5"
