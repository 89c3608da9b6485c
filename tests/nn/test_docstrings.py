"""What `help` shows of the layers that everybody uses: a text-book entry, and the arguments that they really take."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from flambeau import nn

NAMES = [
    "Module", "Parameter", "Buffer", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict",
    "Identity", "Linear", "Bilinear", "Embedding", "Flatten", "Unflatten",
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "LayerNorm", "GroupNorm",
    "RMSNorm",
    "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout",
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SELU", "GELU", "SiLU", "Mish", "Softplus", "Sigmoid", "Tanh",
    "Softmax", "LogSoftmax", "LogSigmoid", "Hardtanh",
    "Hardsigmoid", "Hardswish", "GLU",
    "CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss",
    "KLDivLoss",
    "CosineEmbeddingLoss", "TripletMarginLoss",
    "MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d", "AdaptiveMaxPool2d",
    "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "MultiheadAttention",
]
BASE = {"Module", "Parameter", "Buffer"}
CONTAINERS = {"Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}
ANY_ARGUMENTS = {"Module", "Identity"}  # as torch's: what they are given is for subclasses, or for nobody
WORDS = 40  # of prose, in the shortest entry

# What a class is given by name by the layers that build it, and nobody else.
INTERNAL = {"_weight", "_freeze"}


def sections(name: str) -> list[str]:
    """The docstring's paragraphs."""
    text = inspect.getdoc(getattr(nn, name))
    assert text is not None, f"{name} has no docstring"
    assert "__doc__" in vars(getattr(nn, name)), f"{name} shows the docstring of its base"
    return text.split("\n\n")


def prose(name: str) -> list[str]:
    return [p for p in sections(name) if not p.startswith((">>>", "Source:"))]


def parameters(name: str) -> list[inspect.Parameter]:
    return list(inspect.signature(getattr(nn, name)).parameters.values())


def test_the_list_is_as_long_as_promised() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_with_one_sentence(name: str) -> None:
    first = " ".join(sections(name)[0].split())
    assert first.endswith(".") and first[0].isupper()
    assert ". " not in first, first
    assert len(first.split()) >= 5


@pytest.mark.parametrize("name", [n for n in NAMES if n not in BASE | CONTAINERS | {"Flatten", "Unflatten"}])
def test_the_formula_follows(name: str) -> None:
    assert re.search(r"[=@*]|floor", sections(name)[1]), sections(name)[1]


@pytest.mark.parametrize("name", NAMES)
def test_it_says_enough(name: str) -> None:
    assert len(" ".join(prose(name)).split()) >= WORDS


@pytest.mark.parametrize("name", [n for n in NAMES if n not in BASE | CONTAINERS])
def test_it_says_what_goes_in_and_out(name: str) -> None:
    text = " ".join(prose(name))
    assert "Takes" in text
    assert re.search(r"[Rr]eturns|same shape", text)
    assert "(" in text[text.index("Takes"):], "no shape"


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_explained(name: str) -> None:
    named = [p.name for p in parameters(name) if p.name not in INTERNAL and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    text = " ".join(prose(name))
    assert not named or "Args:" in text
    assert [n for n in named if f"`{n}`" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_has_an_example_that_runs_on_its_own(name: str) -> None:
    (example,) = [p for p in sections(name) if p.startswith(">>> import flambeau as torch")] or [""]
    assert f"torch.nn.{name}" in example
    assert len(example.splitlines()) >= 3, "an example shows a result"


@pytest.mark.parametrize("name", NAMES)
def test_it_names_its_source(name: str) -> None:
    last = sections(name)[-1]
    assert last.startswith("Source:")
    path = f"torch.nn.parameter.{name}" if name in ("Parameter", "Buffer") else f"torch.nn.{name}"
    assert last.endswith(f"https://pytorch.org/docs/stable/generated/{path}.html")


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ANY_ARGUMENTS])
def test_the_signature_is_the_real_one(name: str) -> None:
    found = parameters(name)
    assert all(p.kind is not p.VAR_KEYWORD for p in found), found
    assert all(p.kind is not p.VAR_POSITIONAL for p in found) or name == "Sequential", found
    assert all(p.annotation is not p.empty for p in found), found


def _activations() -> list[str]:
    tree = [ast.parse((Path(nn.__path__[0]) / file).read_text(encoding="utf-8")) for file in ("activation.py", "softmax.py")]
    return [node.name for part in tree for node in part.body
            if isinstance(node, ast.ClassDef) and any(ast.unparse(b) == "Activation" for b in node.bases)
            and not any(isinstance(part, ast.FunctionDef) and part.name == "__init__" for part in node.body)]


@pytest.mark.parametrize("name", _activations())
def test_an_activation_takes_its_options_as_it_shows_them(name: str) -> None:
    kind: Any = getattr(nn, name)
    shown = parameters(name)
    values = [f"value {i}" for i in range(len(shown))]
    by_place, by_name = kind(*values), kind(**{p.name: v for p, v in zip(shown, values, strict=True)})
    for p, value in zip(shown, values, strict=True):
        assert getattr(by_place, p.name) == getattr(by_name, p.name) == value
        assert getattr(kind(), p.name) == p.default
    with pytest.raises(TypeError, match=rf"{name}.__init__\(\) takes .* but {len(shown) + 2} were given"):
        kind(*values, 1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        kind(other=1)
    if shown:
        with pytest.raises(TypeError, match=f"multiple values for argument '{shown[0].name}'"):
            kind(1, **{shown[0].name: 2})


def test_a_subclass_of_an_activation_has_the_constructor_it_writes() -> None:
    class Mine(nn.LeakyReLU):
        def __init__(self, wide: bool) -> None:
            super().__init__(0.3 if wide else 0.1)

    class Mixed:
        def __init__(self, slope: float) -> None:
            self.given = slope

    class Both(Mixed, nn.LeakyReLU):
        pass

    assert list(inspect.signature(Mine).parameters) == ["wide"]
    assert Mine(True).negative_slope == 0.3
    assert Both(2.0).given == 2.0
