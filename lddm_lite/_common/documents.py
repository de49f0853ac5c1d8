"""Parser of untrusted JSON and .npy files: whatever a file holds, the answer is plain values or a
ValueError, in time and memory of the order of its size."""

from __future__ import annotations

import json
import math
import os
import stat
import tokenize
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import arguments
from .arguments import shown

__all__ = ["DEEPEST", "parse", "read_array", "read_bytes", "read_document", "regular"]

DEEPEST = 64  # lists and objects inside each other
DIGITS = 20  # of an integer: what 64 bits hold


def parse(text: str | bytes, name: str = "the JSON", constants: bool = False) -> Any:
    """Parse JSON: the value that a text stands for. ValueError, beginning with `name`, for a text
    that is damaged or not UTF-8, that repeats a key, nests deeper than DEEPEST, or holds an integer
    of more than DIGITS digits, half a character (a lone surrogate), or NaN and Infinity unless
    `constants`.

    >>> parse('{"a": 1}')
    {'a': 1}
    >>> parse('{"a": 1, "a": 2}', "a.json")
    Traceback (most recent call last):
    ValueError: a.json is damaged: the key 'a' stands twice in one object
    """
    if len(text) > arguments.limit("json"):
        arguments.within("json", len(text), f"{name}: its size in bytes")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        value = json.loads(
            text, object_pairs_hook=_once, parse_int=_whole, parse_constant=_constant if constants else _no_constant
        )
        _walk(value)
    except RecursionError:
        raise ValueError(f"{name} is damaged: {_DEEP}") from None
    except ValueError as e:  # UnicodeDecodeError and JSONDecodeError are such
        raise ValueError(f"{name} is damaged or cut off: {e}" if _of_json(e) else f"{name} is damaged: {e}") from None
    return value


_DEEP = f"lists and objects lie inside each other more than {DEEPEST} deep"


def _of_json(e: ValueError) -> bool:
    return isinstance(e, json.JSONDecodeError | UnicodeDecodeError)


def _once(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(k for k, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return found


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"an integer of {len(digits):,} digits; at most {DIGITS} are read")
    return int(digits)


def _constant(word: str) -> float:
    return float(word)


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _walk(value) -> None:
    """ValueError for half a character, and for what nests too deep."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(_DEEP)
        below: list = []
        for v in level:
            if isinstance(v, dict):
                for k in v:
                    _characters(k)
                below.extend(v.values())
            elif isinstance(v, list):
                below.extend(v)
            elif isinstance(v, str):
                _characters(v)
        level, depth = below, depth + 1


def _characters(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"half a character (a lone surrogate) in {shown(text)}") from None


def read_bytes(path, limit: str = "json", what: str = "") -> bytes:
    """The content of a regular file; OSError where there is none, or a pipe or a device in its
    place (which might never end); ValueError above the `limit` (see `arguments.LIMITS`).

    >>> _ = Path("a").write_bytes(b"rain")
    >>> read_bytes("a")
    b'rain'
    """
    path = Path(path)
    with open(regular(path), "rb") as f:
        size = os.fstat(f.fileno()).st_size
        arguments.within(limit, size, f"{what or path}: its size in bytes")
        return f.read(size + 1)


def regular(path: Path) -> Path:
    """The path, of a regular file. OSError naming it where there is none, or something else."""
    mode = path.stat().st_mode  # FileNotFoundError names it
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "is a folder, where a file is wanted", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(22, "is no regular file (a pipe or a device), and is not read", str(path))
    return path


def read_array(path) -> Any:
    """The array of numbers in a file that `numpy.save` wrote, of one axis at least. ValueError for
    another file, objects, and a header that promises more than the file holds; OSError as
    `read_bytes`.

    >>> import numpy as np
    >>> np.save("a.npy", [[0, 1]])
    >>> read_array("a.npy").tolist()
    [[0, 1]]
    """
    import numpy as np
    from numpy.lib import format as npy

    path = regular(Path(path))
    with open(path, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        arguments.within("file", size, f"{path}: its size in bytes")
        try:
            version = npy.read_magic(f)
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, columns_first, dtype = read(f)
            if dtype.kind not in "iufb" or not shape or any(isinstance(n, bool) or n < 0 for n in shape):
                raise ValueError(f"it holds {dtype} of shape {shape}")
            count, left = math.prod(shape), size - f.tell()
            if count * dtype.itemsize != left:
                raise ValueError(f"{left:,} bytes are not {dtype} of shape {shape}")
            found = np.frombuffer(f.read(left), dtype).reshape(shape, order="F" if columns_first else "C")
        except (ValueError, KeyError, TypeError, SyntaxError, EOFError, MemoryError, RecursionError,
                tokenize.TokenError) as e:  # of a header, which numpy reads as Python writes it
            why = arguments.brief(e)
            raise ValueError(f"{path} is no array of numbers as numpy.save writes it ({why})") from None
    return found.astype(dtype.newbyteorder("="))


def read_document(path, schema: Callable[[str, Any], Any] | None = None, constants: bool = False) -> Any:
    """Read a JSON file: what it holds, in the form that `schema` asks for (see `schemas`).
    ValueError naming the file and what is wrong in it; OSError where it cannot be read.

    >>> _ = Path("a.json").write_text('{"n": 1}')
    >>> read_document("a.json")
    {'n': 1}
    """
    value = parse(read_bytes(path), str(path), constants)
    if schema is None:
        return value
    try:
        return schema("", value)
    except ValueError as e:
        raise ValueError(f"{path}: {e}") from None
