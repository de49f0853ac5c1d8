"""Text helpers: word pieces joined, numbers with their noun."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["BYTES", "counted", "either", "joined", "plural"]

BYTES = tuple(f"<0x{b:02X}>" for b in range(256))  # labels of single bytes, of what is no whole character
_BYTES = re.compile(r"(?:<0x[0-9A-F]{2}>)+")


def joined(pieces: Iterable[str], spaced: bool = True) -> str:
    """Text out of words and word pieces: spaces between words, none before a piece that goes on
    with one ('##'). Not `spaced`: of pieces that have their own blanks, and of bytes, which become
    the characters that they spell.

    >>> joined(["the", "rain", "##s", "fell", "."]), joined(["a", " ", "<0xC3>", "<0xA9>"], spaced=False)
    ('the rains fell .', 'a é')
    """
    if spaced:
        return " ".join(pieces).replace(" ##", "")
    spelled = (bytes.fromhex(p[3:-1].replace("><0x", "")) if _BYTES.fullmatch(p) else p.encode() for p in pieces)
    return b"".join(spelled).decode("utf-8", "replace")


def either(names: Sequence[str]) -> str:
    """Names in a row, with "or" before the last.

    >>> either(["none", "continuous", "discrete"])
    'none, continuous or discrete'
    """
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def plural(n: int, word: str) -> str:
    """A noun in the singular or plural, for n things.

    >>> plural(1, "code"), plural(2, "code")
    ('code', 'codes')
    """
    return word if n == 1 else word + "s"


def counted(n: int, word: str) -> str:
    """A number with its noun.

    >>> counted(1_000, "network call")
    '1,000 network calls'
    """
    return f"{n:,} {plural(n, word)}"
