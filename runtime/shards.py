"""A checkpoint in several safetensors files and an index of them, named and written as Hugging Face's libraries do.

The index, `model.safetensors.index.json`, says in which file a tensor is; a file is `model-00001-of-00003.safetensors`.
Tensors that are tied are written once, under the name that comes first; the index's metadata maps the others to it.
Source: https://huggingface.co/docs/huggingface_hub/package_reference/serialization
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import IO, Any

from ..tracer.ir.dtypes import dtype
from ..tracer.ir.errors import CheckpointError
from .replacing import hidden, replace
from .safetensors_file import MAX_HEADER, Array, damaged, read, write

ENDING, INDEX = ".safetensors", ".safetensors.index.json"
NAMED = "model"  # what files are called in a folder that is given
_RESERVED = ("format", "total_size")  # in metadata, and so no names of tied tensors there
_UNITS = {"": 1, "B": 1, **{f"{letter}{binary}B": (1024 if binary else 1000)**power
                            for power, letter in enumerate("KMGT", 1) for binary in ("", "I")}}
Write = Callable[[IO[bytes]], None]

# --- What goes into which file ----------------------------------------------------------------------------------------


def bytes_in(size: int | str) -> int:
    """A number of bytes, from one or from text: "5GB" is 5 * 10**9, "5GiB" is 5 * 2**30."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(size))
    count = int(float(found[1]) * _UNITS[found[2].upper()]) if found and found[2].upper() in _UNITS else 0
    if isinstance(size, bool) or count < 1:
        raise ValueError(f"max_shard_size requires a positive number of bytes, or text such as '5GB' or '500MiB', got {size!r}")
    return count


def split(sizes: Mapping[str, int], most: int) -> list[list[str]]:
    """Names in groups of at most `most` bytes, in their order; a tensor that is larger is in a group of its own."""
    groups: list[list[str]] = []
    current: list[str] = []
    filled = 0
    for name, size in sizes.items():
        if size > most:
            groups.append([name])
            continue
        if current and filled + size > most:
            groups.append(current)
            current, filled = [], 0
        current.append(name)
        filled += size
    return [*groups, current] if current or not groups else groups


def tied(keys: Mapping[str, Any]) -> dict[str, str]:
    """The names of tensors that another name stands for, with that name: the first of those with an equal key."""
    names: dict[Any, list[str]] = {}
    for name, key in keys.items():
        names.setdefault(key, []).append(name)
    first = {key: min(same) for key, same in names.items()}
    return {name: first[key] for name, key in keys.items() if name != first[key] and name not in _RESERVED}


def untied(names: Iterable[str], metadata: Mapping[str, Any]) -> dict[str, str]:
    """The names that metadata says to be tied to one of `names`, with that one."""
    there = set(names)
    return {name: kept for name, kept in metadata.items()
            if isinstance(kept, str) and kept in there and name not in there and name not in _RESERVED}


# --- Writing ----------------------------------------------------------------------------------------------------------


def place(path: str) -> tuple[str, str]:
    """Folder and name of a set: a path ends in .safetensors, or is a folder."""
    real = os.path.realpath(path)
    if real.endswith(ENDING) and not os.path.isdir(real):
        return os.path.dirname(real), os.path.basename(real).removesuffix(ENDING)
    os.makedirs(real, exist_ok=True)
    return real, NAMED


def write_set(path: str, sizes: Mapping[str, int], same: dict[str, str], most: int,
              arrays: Callable[[list[str]], dict[str, tuple[dtype, Array]]]) -> None:
    """Write a set in place of the one that was there: until all of it is on the disk the old one is what is read.

    Args: `sizes`, of the tensors to write, by name; `same`, the other names of some; `arrays`, gives the contents.
    """
    folder, named = place(path)
    groups = split(sizes, most)
    single = os.path.join(folder, named + ENDING)

    def writer(names: list[str], metadata: Mapping[str, str]) -> Write:
        return lambda file: write(file, arrays(names), {"format": "pt", **metadata})

    if len(groups) == 1:
        replace(single, writer(groups[0], same))  # which is read before an index is
        _remove_rest(folder, named, ())
        return
    files = [f"{named}-{i:05d}-of-{len(groups):05d}{ENDING}" for i in range(1, len(groups) + 1)]
    about = {"total_size": sum(sizes.values()), **same}
    _replace_shards(folder, named, files, [writer(names, {}) for names in groups],
                    lambda files: _index_text(about, dict(zip(files, groups, strict=True))))
    with suppress(FileNotFoundError):
        os.unlink(single)
    _remove_rest(folder, named, files)


def _index_text(about: Mapping[str, Any], groups: Mapping[str, list[str]]) -> bytes:
    weight_map = {name: file for file, names in groups.items() for name in names}
    return (json.dumps({"metadata": about, "weight_map": weight_map}, indent=2, sort_keys=True) + "\n").encode()


def _replace_shards(folder: str, named: str, files: list[str], writers: list[Write],
                    text: Callable[[list[str]], bytes]) -> None:
    """Write the files and then the index. Where names are taken, perhaps by the set that is there, files have other names
    first, which the index tells until these are free."""
    index = os.path.join(folder, named + INDEX)
    mark = secrets.token_hex(6)
    taken = any(os.path.lexists(os.path.join(folder, file)) for file in files)
    first = [file.replace(ENDING, f"-{mark}{ENDING}") for file in files] if taken else files
    _write_all([os.path.join(folder, file) for file in first], writers, index, text(first))
    if taken:
        for source, target in zip(first, files, strict=True):
            _name_also(os.path.join(folder, source), os.path.join(folder, target))
        replace(index, lambda file: file.write(text(files)))


def _write_all(paths: list[str], writers: list[Write], index: str, text: bytes) -> None:
    written: list[str] = []
    try:
        for path, write_to in zip(paths, writers, strict=True):
            replace(path, write_to)
            written.append(path)
        replace(index, lambda file: file.write(text))
    except BaseException:
        for path in [] if _holds(index, text) else written:
            with suppress(OSError):
                os.unlink(path)
        raise


def _holds(path: str, text: bytes) -> bool:
    """Whether a file has that text: a failure after it got its name has not undone that."""
    with suppress(OSError), open(path, "rb") as file:
        return file.read() == text
    return False


def _name_also(source: str, target: str) -> None:
    """Give a file's name to another one, whose own stays."""
    temporary = hidden(target)
    try:
        os.link(source, temporary)
    except OSError:  # a file system without links
        with open(source, "rb") as old:
            replace(target, lambda new: shutil.copyfileobj(old, new))
        return
    try:
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _remove_rest(folder: str, named: str, files: Iterable[str]) -> None:
    """Remove what is left of other sets of that name."""
    kept = set(files)
    shard = re.compile(re.escape(named) + r"-\d{5}-of-\d{5}(-[0-9a-f]{12})?" + re.escape(ENDING))
    rest = [name for name in os.listdir(folder) if shard.fullmatch(name) and name not in kept]
    for name in [*rest, *([] if kept else [named + INDEX])][::-1]:  # the index goes first
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))


# --- Reading ----------------------------------------------------------------------------------------------------------


def found_in(folder: str) -> str:
    """The path of the one checkpoint in a folder: a file, or an index."""
    names = sorted(os.listdir(folder))
    for candidates in ([NAMED + ENDING], [NAMED + INDEX], [n for n in names if n.endswith(INDEX)],
                       [n for n in names if n.endswith(ENDING)]):
        here = [name for name in candidates if name in names]
        if len(here) == 1:
            return os.path.join(folder, here[0])
        if here:
            raise CheckpointError(f"{folder} has several checkpoints: {', '.join(here)}. Load one of them")
    raise CheckpointError(f"{folder} has no checkpoint: load requires {NAMED + ENDING}, {NAMED + INDEX}, or one file or "
                          "index of another name in a folder")


def read_set(index: str) -> tuple[dict[str, tuple[dtype, Array]], dict[str, Any]]:
    """All arrays of a set, in the order of its index, and the index's metadata."""
    weight_map, metadata = _read_index(index)
    folder = os.path.dirname(index)
    files: dict[str, list[str]] = {}
    for name, file in weight_map.items():
        files.setdefault(file, []).append(name)
    missing = [file for file in files if not os.path.isfile(os.path.join(folder, file))]
    if missing:
        raise CheckpointError(f"{index} names {len(missing)} file(s) that are not beside it: {', '.join(missing[:5])}")
    arrays: dict[str, tuple[dtype, Array]] = {}
    for file, names in files.items():
        with open(os.path.join(folder, file), "rb") as opened:
            found, _ = read(opened, os.path.join(folder, file))
        _check_names(index, file, names, found, weight_map)
        arrays.update(found)
    _check_total(index, metadata, sum(array.nbytes for _, array in arrays.values()))
    return {name: arrays[name] for name in weight_map}, metadata


def _read_index(index: str) -> tuple[dict[str, str], dict[str, Any]]:
    with open(index, "rb") as file:
        text = file.read(MAX_HEADER + 1)
    if len(text) > MAX_HEADER:
        raise damaged(index, f"it has more than the {MAX_HEADER} bytes allowed")
    try:
        found = json.loads(text.decode(), object_pairs_hook=_distinct)
        weight_map, metadata = found["weight_map"], found.get("metadata") or {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(index, f"it is no index of safetensors files: {error!r:.200}") from None
    if not isinstance(weight_map, dict) or not isinstance(metadata, dict):
        raise damaged(index, "it is no index of safetensors files: weight_map and metadata are to be objects")
    for name, file in weight_map.items():
        if not isinstance(file, str) or not _is_plain(file):
            raise damaged(index, f"tensor {name!r:.60} is said to be in {file!r:.60}, which is no name of a .safetensors file "
                                 "beside the index")
    return weight_map, metadata


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in found if names.count(n) > 1)!r:.60} comes twice")
    return found


def _is_plain(file: str) -> bool:
    return file.endswith(ENDING) and len(file) > len(ENDING) and not set("/\\:\0") & set(file)


def _check_names(index: str, file: str, names: list[str], found: Iterable[str], weight_map: Mapping[str, str]) -> None:
    there = set(found)
    lacking = [name for name in names if name not in there]
    if lacking:
        raise damaged(index, f"{file} lacks {len(lacking)} tensor(s) that are said to be in it: {', '.join(lacking[:5])}")
    for name in sorted(there - set(names)):
        where = f"is said to be in {weight_map[name]}" if name in weight_map else "is in no file by the index"
        raise damaged(index, f"{file} has a tensor {name!r:.60} that {where}")


def _check_total(index: str, metadata: Mapping[str, Any], size: int) -> None:
    total = metadata.get("total_size", size)
    if isinstance(total, bool) or not isinstance(total, (int, float)) or total != size:
        raise damaged(index, f"its total_size is {total!r:.40}, and its files hold {size} bytes of tensors. Correct it if the "
                             "files are right")
