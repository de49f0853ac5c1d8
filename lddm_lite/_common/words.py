"""Words for numbers of things."""

from __future__ import annotations

__all__ = ["counted", "plural"]


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
