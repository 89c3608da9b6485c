"""Random programs of views, writes and computations, with gradients, against PyTorch: on the numpy engine and through XLA.

`FLAMBEAU_PROGRAMS=20000` runs that many on the numpy engine. Whatever once disagreed is a case with a name below.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.tracer.ir.errors import TraceError

from .programs import Program, Step, accepted, arguments, finite, properties, random_program, run

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:Casting complex values to real")

COUNT = int(os.environ.get("FLAMBEAU_PROGRAMS", "1000"))
READS_VALUES = "masked"  # a step that cannot be traced
Expected = tuple[list[Any], list[Any]]


def wanted(program: Program) -> tuple[Program, Expected | None]:
    """The program without what PyTorch refuses, and its results; None if even so no gradient can be computed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program = accepted(oracle, program)
    try:
        values, facts, gradients = run(oracle, program)
    except RuntimeError:
        return program, None  # ours may be right where PyTorch cannot be
    arrays = [t.resolve_conj().resolve_neg().numpy() for t in (*values, *gradients)]
    return program, (arrays, facts) if finite(arrays) else None


def compared(program: Program, got: tuple[list[Any], list[Any]], expected: Expected) -> None:
    (tensors, facts), (arrays, expected_facts) = got, expected
    for k, (a, b) in enumerate(zip(facts, expected_facts, strict=True)):
        assert a == b, f"tensor {k} of {program}"
        assert properties(tensors[k])[:5] == b[:5], f"tensor {k} of {program}, as it is returned"
    for k, (t, b) in enumerate(zip(tensors, arrays, strict=True)):
        loose = 1e-6 if b.dtype == np.float32 else 1e-9
        np.testing.assert_allclose(t.numpy(), b, rtol=loose, atol=loose * 1e-3,
                                   err_msg=f"tensor {k} of {len(facts)} and gradients, of {program}")


def results(programs: list[Program]) -> Callable[[], list[list[Any]]]:
    """A function that runs programs and gives tensors and gradients; the facts about them are noted in its `facts`."""
    def ours() -> list[list[Any]]:
        found = [run(flambeau, program) for program in programs]
        ours.facts = [facts for _, facts, _ in found]  # type: ignore[attr-defined]
        return [[*tensors, *gradients] for tensors, _, gradients in found]

    return ours


def check(programs: list[Program], jitted: bool = False) -> int:
    """Compare all programs, as one flush or one compiled function; the number of those that PyTorch accepts."""
    pairs = [(program, expected) for program, expected in map(wanted, programs) if expected is not None
             and not (jitted and any(step.name == READS_VALUES for step in program))]
    ours = results([program for program, _ in pairs])
    tensors = (flambeau.jit(ours) if jitted else ours)()
    for (program, expected), values, facts in zip(pairs, tensors, ours.facts, strict=True):  # type: ignore[attr-defined]
        compared(program, (values, facts), expected)
    return len(pairs)


def many(seed: int, count: int, jitted: bool = False) -> int:
    rng = np.random.default_rng(seed)
    return sum(check([random_program(rng)], jitted) for _ in range(count))


def test_on_the_numpy_engine(numpy_engine: None) -> None:
    assert many(20, COUNT) > 0.85 * COUNT


def test_fresh_programs(numpy_engine: None) -> None:
    """Programs that nobody has seen: a disagreement is reported with its seed, to become a case, and fails nothing else."""
    seed = int.from_bytes(os.urandom(4))
    try:
        count = many(seed, COUNT // 6)
    except Exception as error:
        pytest.xfail(f"seed {seed} found a new disagreement: {type(error).__name__}: {error}")
    assert count > 0.75 * (COUNT // 6)


def test_jitted_on_the_numpy_engine(numpy_engine: None) -> None:
    assert many(21, COUNT // 6, jitted=True) > 0.75 * (COUNT // 6)


@pytest.mark.parametrize("jitted", [False, True], ids=["lazily", "jitted"])
@pytest.mark.parametrize("part", range(20))
def test_through_xla(part: int, jitted: bool) -> None:
    rng = np.random.default_rng([22, part, jitted])
    assert check([random_program(rng, 6) for _ in range(25)], jitted) > 18


def case(*steps: tuple[Any, ...]) -> Program:
    return [Step(name, x, y, k, quiet) for name, x, y, k, quiet in ((*s, *(0, 0, 0, False)[len(s) - 1:]) for s in steps)]


CASES = {
    "history written through a detached view": case(("row", 0, 0, 1), ("detach",), ("add_", 0, 2), ("row", 2)),
    "history written through one of two detached tensors": case(("detach",), ("detach", 1), ("copy_scalar", 1, 2)),
    "a row of an expanded tensor": case(("expand",), ("row",), ("mul_",)),
    "a window of overlapping windows": case(("unfold", 0, 0, 0), ("select", 0, 0, 1), ("fill_tensor", 0, 3)),
    "a part of an expanded complex tensor": case(("expand", 2), ("row",), ("imag",), ("sin_",)),
    "a full overwrite still requires grad": case(("zero_",), ("fill_", 1), ("set_all", 0, 3)),
    "a leaf written under no_grad gets the whole gradient": case(("index_put_", 5, 1, 0, True), ("pow_", 5, 0, 0, True)),
    "a write under no_grad, read under no_grad": case(("detach",), ("mul_", 1, 0, 0, True), ("cos", 1, 0, 0, True), ("cos", 2)),
    "results lie in memory as their operands do": case(("transpose", 0, 0, 1), ("cos",), ("reshape",), ("zero_",)),
    "a copy of an expanded tensor is dense": case(("expand",), ("clone",), ("T",), ("affine", 0, 1)),
    "strides of parts of complex numbers": case(("column", 2, 0, 1), ("imag",), ("add_", 0, 2)),
    "a conjugate view is written": case(("conj", 2), ("set_row", 0, 3), ("mH", 0), ("set_number", 0)),
    "pairs and complex numbers share memory": case(("view_as_real", 2), ("view_as_complex",), ("mul_", 0), ("zero_", 1)),
    "bits are detached, and written with history": case(("view_dtype",), ("add_", 0, 2), ("lerp_", 0, 1)),
    "a view of a view that was made under no_grad": case(("mixed", 2, 1, 1, True), ("as_strided", 0, 0, 4)),
    "a leaf among views": case(("unbind", 2, 10, 4, True), ("requires_grad_",)),
    "flatten of a vector is the vector": case(("flatten",), ("flatten", 0, 0, 0, True)),
    "ravel of a strided vector is a copy": case(("even", 0, 0, 0), ("ravel",), ("zero_",)),
    "a transpose in place leaves other views alone": case(("row",), ("t_", 1), ("mul_", 0), ("add_", 1, 0), ("reshape", 1)),
    "the stride of a dimension of size 1 means nothing": case(
        ("split", 7, 5, 5), ("chunk", 11, 3, 2), ("flatten", 1, 2, 5), ("unfold",), ("conj", 1, 0, 1, True),
        ("view_as_complex", 1, 5, 4)),
    "an operand that is converted is dense by then": case(
        ("swapaxes", 0, 0, 4), ("mH", 3, 3), ("expand", 2, 3, 1, True), ("transpose", 0, 6, 5), ("clone", 1, 1, 2),
        ("add", 3, 1, 1)),
    "any strides over the memory of a detached part": case(("narrow", 0, 4, 1), ("detach",), ("T",), ("as_strided", 0, 0, 4)),
    "out= of a view": case(("detach",), ("row",), ("out_mul", 0), ("out_sum", 0, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    assert check([CASES[name]]) == check([CASES[name]], jitted=True) == 1


def test_steps_that_pytorch_refuses_are_left_out() -> None:
    program = case(("mul_", 5), ("row",))
    assert [step.name for step in accepted(oracle, program)] == ["row"]


def test_a_wrong_fact_or_value_is_found() -> None:
    program, expected = wanted(case(("row",)))
    tensors, facts, gradients = run(flambeau, program)
    assert expected is not None
    compared(program, ([*tensors, *gradients], facts), expected)
    with pytest.raises(AssertionError, match="tensor 0"):
        compared(program, ([tensors[0] + 1, *tensors[1:], *gradients], facts), expected)
    with pytest.raises(AssertionError, match="tensor 0"):
        compared(program, ([*tensors, *gradients], [properties(tensors[1]), *facts[1:]]), expected)


# --- As functions of their tensors ------------------------------------------------------------------------------------

# Of a view argument: refused, since its memory is not passed; and a leaf that is made of it inside is no view there, so
# that the views taken of it before say that they require grad, as those of a whole tensor do.
NOT_INSIDE = ("as_strided", "as_strided2", "requires_grad_")


def on_arguments(seed: int, count: int) -> int:
    """Compare programs as jitted functions of leaves and of views, what they wrote to the memory of these included."""
    rng, agreed = np.random.default_rng(seed), 0
    for _ in range(count):
        program = [step for step in random_program(rng, 6) if step.name not in (READS_VALUES, *NOT_INSIDE)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            program = accepted(oracle, program, arguments)
        agreed += argument_program(program)
    return agreed


def argument_program(program: Program) -> bool:
    """Whether the program could be compared: not one that jit refuses, such as a write to one of two views that overlap."""
    leaves, tensors, memory = arguments(oracle)
    try:
        values, facts, gradients = run(oracle, program, leaves, tensors)
    except RuntimeError:
        return False
    arrays = [t.resolve_conj().resolve_neg().numpy() for t in (*values, *gradients, *(m.detach() for m in memory))]
    if not finite(arrays):
        return False
    leaves, tensors, memory = arguments(flambeau)
    found: list[Any] = []

    @flambeau.jit
    def function(leaves: list[Any], tensors: list[Any]) -> Any:
        made, facts, gradients = run(flambeau, program, leaves, tensors)
        found[:] = facts
        return made, gradients

    try:
        made, gradients = function(leaves, tensors)
    except TraceError:
        return False
    compared(program, ([*made, *gradients, *(m.detach() for m in memory)], found), (arrays, facts))
    return True


def test_as_functions_of_views_on_the_numpy_engine(numpy_engine: None) -> None:
    assert on_arguments(23, COUNT // 6) > 0.85 * (COUNT // 6)


@pytest.mark.parametrize("part", range(4))
def test_as_functions_of_views_through_xla(part: int) -> None:
    assert on_arguments(24 + part, 12) > 6
