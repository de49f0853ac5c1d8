"""The lines of a UTF-8 text file."""

from __future__ import annotations

import codecs

from .._common import arguments, documents, schemas
from .._common.files import user_path

__all__ = ["iter_lines", "read_lines"]


def read_lines(path, errors: str = "strict", strip: bool = True) -> tuple[list[str], int]:
    """(lines that are not blank, number of blank ones) of a file: see `iter_lines`.

    >>> read_lines("sentences.txt")  # doctest: +SKIP
    """
    found = list(iter_lines(path, errors, strip))
    lines = [line for line in found if line.strip()]
    return lines, len(found) - len(lines)


def iter_lines(path, errors: str = "strict", strip: bool = True):
    """The lines of a UTF-8 file one by one, without blanks around them ('' for a blank line) unless
    `strip=False`, with or without a byte-order mark, with any of the three line ends. ValueError
    naming the first line that is not UTF-8, unless `errors='replace'`, which drops such bytes, and
    one that is longer than the limit `line`. Holds one line at a time.

    >>> with open("sentences.txt", "wb") as f:
    ...     _ = f.write(b"Rain fell .\\r\\n\\n")
    >>> list(iter_lines("sentences.txt"))
    ['Rain fell .', '']
    """
    schemas.choice("strict", "replace")("errors", errors)
    schemas.boolean("strip", strip)
    with open(documents.regular(user_path("path", path)), "rb") as f:
        most = arguments.limit("line")
        for number, raw in enumerate(iter(lambda: f.readline(most + 1), b""), 1):
            arguments.within("line", len(raw), f"{path}, line {number}: its bytes")
            raw = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            try:
                text = raw.decode("utf-8", errors)
            except UnicodeDecodeError as e:
                hint = " (UTF-16?)" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""
                raise ValueError(
                    f"{path}, line {number}: byte 0x{raw[e.start]:02x} is not UTF-8{hint}. "
                    "Convert the file, or drop such bytes with errors='replace'"
                ) from None
            text = text.replace("\ufffd", "") if errors == "replace" else text
            yield from (part.strip() if strip else part for part in text.rstrip("\r\n").split("\r"))
