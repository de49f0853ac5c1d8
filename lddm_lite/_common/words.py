"""Text helpers: word pieces joined, numbers with their noun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["counted", "either", "joined", "plural"]


def joined(pieces: Iterable[str]) -> str:
    """Text out of words and word pieces: spaces between words, none before a piece that goes on
    with one ('##').

    >>> joined(["the", "rain", "##s", "fell", "."])
    'the rains fell .'
    """
    return " ".join(pieces).replace(" ##", "")


def either(names: Sequence[str]) -> str:
    """One of several, in words.

    >>> either(["none", "continuous", "discrete"])
    'none, continuous or discrete'
    """
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def plural(n: int, word: str) -> str:
    """The word for n things.

    >>> plural(1, "code"), plural(2, "code")
    ('code', 'codes')
    """
    return word if n == 1 else word + "s"


def counted(n: int, word: str) -> str:
    """n things, in words.

    >>> counted(1_000, "network call")
    '1,000 network calls'
    """
    return f"{n:,} {plural(n, word)}"
