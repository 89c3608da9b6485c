"""Functions of other modules inside ours: their texts, under names that are unique here."""

from __future__ import annotations

import re

_NAMES = re.compile(r"^\s*func\.func (?:public |private )?@([\w.$-]+)\(", re.MULTILINE)
_SYMBOL = re.compile(r"@([\w.$-]+)")
_RESULT_NOTE = re.compile(r' \{jax\.result_info = "(?:[^"\\]|\\.)*"\}')


def embedded(text: str, prefix: str) -> str:
    """The functions of a printed module, all private, with `prefix` before their names.

    Notes on results, in a dialect that nothing here knows, are left out.
    """
    body = text[text.index("{\n", text.index("module")) + 2:text.rindex("}")]
    names = set(_NAMES.findall(body))
    body = _SYMBOL.sub(lambda m: f"@{prefix}{m[1]}" if m[1] in names else m[0], body)
    return _RESULT_NOTE.sub("", body.replace("func.func public @", "func.func private @"))
