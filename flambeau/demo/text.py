"""The demonstration's text: characters as numbers, batches, and what a bigram model makes of it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class UserError(Exception):
    """A wrong input of the command line: shown as one line, exit code 2."""


@dataclass(frozen=True)
class Text:
    """A text as numbers: `train` and `validation` are int64 arrays, `characters[i]` is what i stands for."""

    characters: str
    train: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, text: str, window: int) -> Text:
        """Nine tenths for training, the rest for validation."""
        characters = "".join(sorted(set(text)))
        number = {c: i for i, c in enumerate(characters)}
        data = np.array([number[c] for c in text], np.int64)
        cut = len(data) * 9 // 10
        if len(data) - cut < 2 * window:
            raise UserError(f"the text is too small: {len(data)} characters, at least {20 * window} are needed so that "
                            "a tenth can be held back for validation")
        return cls(characters, data[:cut], data[cut:])

    def decode(self, numbers: np.ndarray) -> str:
        """Characters of numbers."""
        return "".join(self.characters[i] for i in numbers)


def load(path: str | None, window: int) -> Text:
    """The user's file, or the documentation that CPython carries in `pydoc_data.topics` (about half a megabyte)."""
    if path is None:
        topics = importlib.import_module("pydoc_data.topics").topics
        return Text.of("\n\n".join(topics[name] for name in sorted(topics)), window)
    try:
        return Text.of(Path(path).read_text(encoding="utf-8"), window)
    except FileNotFoundError:
        raise UserError(f"--data: there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--data: {path} cannot be read as UTF-8 text: {error}") from None


def batch(data: np.ndarray, size: int, window: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`size` random windows and, as targets, the same windows one character later; both (size, window)."""
    starts = rng.integers(0, len(data) - window - 1, size)
    places = starts[:, None] + np.arange(window)
    return data[places], data[places + 1]


def bigram_loss(text: Text) -> float:
    """Cross entropy, in nats per character, of predicting from the previous character alone (add-one smoothed)."""
    n = len(text.characters)
    counts = np.ones((n, n))
    np.add.at(counts, (text.train[:-1], text.train[1:]), 1)
    logs = np.log(counts / counts.sum(1, keepdims=True))
    return float(-logs[text.validation[:-1], text.validation[1:]].mean())
