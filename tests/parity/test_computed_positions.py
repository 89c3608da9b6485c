"""A 0-d tensor as an index makes a view, whose place in memory is known wherever PyTorch knows it."""

from __future__ import annotations

import io
import itertools
from typing import Any

import pytest

import flambeau
from flambeau.tracer.ir.errors import TraceError
from tests.engines import on_numpy

torch = pytest.importorskip("torch")

SHAPE = (3, 4, 6)
TENSORS = ("k", "last", "narrow", "(k - 2) % 3", "far.argmax()")
OTHERS = ("1", "-1", ":", "1:", "::2", "None", "...", "k:", "[0, 2]")
FORMS = [items for count in (1, 2, 3) for items in itertools.product((*TENSORS, *OTHERS), repeat=count)
         if items.count("...") <= 1]
PATHS = (
    "x[k].t()", "x[k][1]", "x[k][last]", "x[k].detach()[1]", "x[1:][narrow]", "x.mT[k]", "x[k].view(-1)", "x[k, ::2].view(-1, 1)",
    "x[k].unfold(0, 2, 2)", "x[k].diagonal()", "x[k].expand(2, 4, 6)", "x[k].unsqueeze(1)", "x[k].as_strided((2,), (1,))",
    "x[k].as_strided((2,), (1,), 3)", "x[:, k].as_strided((3,), (1,))", "x[k].view(lib.int32)[1:]", "x[k].view(lib.int16)[1:]",
    "x[:, :, k:k + 2].view(lib.int64)", "lib.view_as_complex(x[k].unflatten(1, (3, 2)))", "x.select(0, k)", "x.select(-1, last)",
    "x.narrow(1, k, 2)", "x.narrow(-1, lib.tensor(-2), 1)", "x.chunk(3)[1][0][k]", "x.unbind(1)[2][k]", "x[k].data[1]",
    "lib.view_as_real(x.view(lib.complex64)[k])", "x.view(lib.complex64)[k].real", "x.view(lib.complex64)[k].imag",
    "x.view(lib.complex64)[k].conj()", "x[k].view(lib.complex64)[1].imag", "x[(k,)].squeeze(0)",
    "x[k].requires_grad_().detach()[1]", "x.requires_grad_()[k]", "x[k].split(2)[1]", "x[k].movedim(0, 1)",
    "x.flip(0)[k]", "x[k].clone()[k]")


def given(lib: Any) -> dict[str, Any]:
    """A tensor, and 0-d tensors of positions in it."""
    x = lib.arange(72, dtype=lib.float32).reshape(SHAPE).clone()
    return {"lib": lib, "x": x, "k": lib.tensor(2), "last": lib.tensor(-1), "narrow": lib.tensor(1, dtype=lib.int32),
            "far": lib.tensor([0.5, 2.0, 1.0])}


def facts(y: Any, x: Any) -> list[Any]:
    """Where a view lies, what it shows, and what a write through it and through an array on its memory changes."""
    found = [tuple(y.shape), y.stride(), y.storage_offset(), y.tolist(), y._is_view()]
    if y._is_view() and y._base is x:
        found += [y.data_ptr() - x.data_ptr()]
    if not y.is_conj():
        array = y.detach().numpy()
        array[...] = 5
        found += [array.strides, x.tolist(), y.tolist()]
    with (flambeau if isinstance(y, flambeau.Tensor) else torch).no_grad():
        y.mul_(3)
    return [*found, x.tolist(), y.tolist()]


def seen(lib: Any, text: str) -> list[Any]:
    names = given(lib)
    try:
        return facts(eval(text, names), names["x"])
    except (IndexError, RuntimeError) as error:
        return [type(error).__name__, *names["x"].tolist()]


def test_forms_of_an_index(capsys: pytest.CaptureFixture[str]) -> None:
    with on_numpy():
        wrong = [text for items in FORMS if seen(flambeau, text := f"x[{', '.join(items)}]") != seen(torch, text)]
    assert not wrong, (len(wrong), wrong[:20])
    with capsys.disabled():
        print(f"\n{len(FORMS)} forms of an index", end=" ")


@pytest.mark.parametrize("text", PATHS)
def test_what_is_made_of_such_views(text: str) -> None:
    assert seen(flambeau, text) == seen(torch, text)


def test_returned_from_a_step(numpy_engine: None) -> None:
    forms = [items for items in FORMS if len(items) < 3 and set(items) & set(TENSORS)
             and "k:" not in items]  # whose length is no number of a trace
    for items in forms:
        text = f"x[{', '.join(items)}]"
        names = given(flambeau)
        step = flambeau.jit(eval(f"lambda x, k, last, narrow, far: {text}", {}))
        arguments = [names[name] for name in ("x", "k", "last", "narrow", "far")]
        try:
            expected = seen(torch, text)
            assert facts(step(*arguments), names["x"]) == expected, text
        except IndexError:
            assert expected[0] == "IndexError", text


@pytest.mark.parametrize(("first", "second"), [*itertools.product(("0", "2", "k", "k - 2", "last"), repeat=2)])
def test_views_of_one_memory_as_arguments(first: str, second: str) -> None:
    """One is written, the other read: refused where they meet, right where they do not."""
    names = given(flambeau)
    x, k, last = names["x"], names["k"], names["last"]
    a, b = (eval(text, {"k": k, "last": last}) for text in (first, second))

    @flambeau.jit
    def step(a: Any, b: Any) -> Any:
        a.add_(1)
        return b * 1

    step(x[0], x[1])  # another pair came before
    before = x[b].tolist()
    if int(a) % 3 == int(b) % 3:
        with pytest.raises(TraceError, match="a view of a tensor that the function also reaches another way"):
            step(x[a], x[b])
    else:
        assert step(x[a], x[b]).tolist() == before


def test_where_it_lies_is_no_number_of_a_trace() -> None:
    x, k = flambeau.zeros(3, 2), flambeau.tensor(2)
    for ask in (lambda x, k: x[k].storage_offset(), lambda x, k: x[k].as_strided((2,), (1,)),
                lambda x, k: x.narrow(0, k, 1).data_ptr()):
        with pytest.raises(TraceError, match=r"(?s)a view at a computed position.*test_computed_positions"):
            flambeau.jit(ask)(x, k)
    ask = flambeau.jit(lambda x: x.storage_offset())
    assert [ask(x[flambeau.tensor(i)]) for i in (0, 1, 2, 1)] == [0, 2, 4, 2]


def test_questions_whose_answer_does_not_depend_on_the_position() -> None:
    x, k = flambeau.arange(12, dtype=flambeau.float32).reshape(3, 2, 2), flambeau.tensor(2)
    made, seen_as = flambeau.jit(lambda x, k: (flambeau.view_as_complex(x[k]), x[k].view(flambeau.int64)))(x, k)
    assert made.tolist() == [8 + 9j, 10 + 11j] and seen_as.shape == (2, 1)


def test_the_same_place_or_another() -> None:
    for lib in (flambeau, torch):
        x, k = lib.zeros(3, 2), lib.tensor(2)
        assert x[k].is_set_to(x[2]) and not x[k].is_set_to(x[1]) and not x[k].is_set_to(x[k - 1])


@pytest.mark.parametrize("out", ["x[k]", "x[k - 1]", "x.view(-1)[4:7]"])
@pytest.mark.parametrize("read", ["x[2]", "x[k]", "x[0]", "x[k - 2]",
                                  "x.view(-1).narrow(0, k, 3)", "x.view(-1).narrow(0, k + 2, 3)"])
def test_out_that_is_read(out: str, read: str) -> None:
    """Elements that are written and read in one: as in PyTorch, also where only the program knows."""
    text, names = f"lib.add({read}, 1, out={out})", ("lib", "x", "k", "last")
    outcomes = []
    for lib, wrap in ((torch, lambda f: f), (flambeau, lambda f: f), (flambeau, flambeau.jit)):
        given = {"lib": lib, "x": lib.arange(9.0).view(3, 3), "k": lib.tensor(2), "last": lib.tensor(-1)}
        step = wrap(eval(f"lambda x, k, last: {text}", {"lib": lib}))
        try:
            step(*(given[name] for name in names[1:]))
            outcomes.append(given["x"].tolist())
        except RuntimeError as error:
            outcomes.append(type(error).__name__)
    assert outcomes[0] == outcomes[1] == outcomes[2], outcomes


def test_a_result_without_the_memory_around_it() -> None:
    """What a step made and returns a view of lies where it does in PyTorch, though nothing else of that memory is there."""
    step = flambeau.jit(lambda x, k: (x * 2)[:, k, 1:])
    x = flambeau.arange(72.0).view(3, 4, 6)
    for i in (2, 0, 3):
        k = flambeau.tensor(i)
        result, expected = step(x, k), (torch.arange(72.0).view(3, 4, 6) * 2)[:, i, 1:]
        for y, z in ((result, expected), (result[1], expected[1]), (result[flambeau.tensor(1), 2:], expected[1, 2:])):
            assert (y.stride(), y.storage_offset(), y.tolist()) == ((*z.stride(),), z.storage_offset(), z.tolist())
        array = result[1:].numpy()
        array[0, 1:] = -1
        expected[1, 1:] = -1
        result.add_(1)
        assert result.tolist() == (expected + 1).tolist() and array.tolist() == (expected + 1)[1:].tolist()
        ask = flambeau.jit(lambda y: y.storage_offset())
        assert ask(result) == expected.storage_offset()
        with pytest.raises(NotImplementedError, match="a result of a jitted function"):
            result.as_strided((2,), (1,))


def test_saved_beside_what_it_is_a_view_of() -> None:
    for lib in (torch, flambeau):
        x, file = lib.arange(12.0).view(3, 4), io.BytesIO()
        lib.save({"x": x, "row": x[lib.tensor(2)], "columns": x[:, lib.tensor(1):]}, file)
        file.seek(0)
        found = lib.load(file)
        found["row"].add_(1)
        assert found["row"].storage_offset() == 8 and found["columns"].storage_offset() == 1
        assert found["x"].tolist()[2] == [9.0, 10.0, 11.0, 12.0] and found["columns"].tolist()[2] == [10.0, 11.0, 12.0]
