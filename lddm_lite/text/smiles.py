"""SMILES syntax check: the grammar of molecules as strings, as far as an eye can follow it, which
rings and brackets do not match, and what cannot follow what.

Whether atoms have as many bonds as they can bear is chemistry, and asked of `rdkit` (`evaluation`).
`widgets/static/smiles.js` is the same in the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["faults"]

# What a symbol is, and what may follow it: an atom, a bond, a ring number, (, ), or the end.
KINDS = (("ring", r"\d|%\d\d"), ("bond", r"[-=#:/\\~]"), ("open", r"\("), ("close", r"\)"), ("dot", r"\."))
MAY_FOLLOW = {
    "start": ("atom",), "atom": ("atom", "bond", "ring", "open", "close", "dot", "end"),
    "ring": ("atom", "bond", "ring", "open", "close", "dot", "end"), "bond": ("atom", "ring"),
    "open": ("atom", "bond"), "close": ("atom", "bond", "open", "close", "dot", "end"), "dot": ("atom",),
}  # fmt: skip


def faults(symbols: Sequence[str]) -> dict[int, str]:
    """Syntax errors of a SMILES string, given as symbols: {place: in words}; empty where nothing
    can be seen. Places count from 0, and one past the last stands for the end. A symbol "[MASK]"
    may yet become anything, so that nothing is said of what stands next to it, nor of what may
    match it.

    >>> faults(["C", "1", "C", "(", "=", "O", "C"])
    {1: 'ring 1 is opened and not closed', 3: '( is not closed'}
    >>> faults(["C", ")", "=", ")"])
    {1: ') closes nothing', 3: ') cannot follow ='}
    """
    found: dict[int, str] = {}
    open_at: list[int] = []
    rings: dict[str, int] = {}
    before, masked = "start", any(s == "[MASK]" for s in symbols)
    for at, symbol in enumerate([*symbols, ""]):
        kind = "mask" if symbol == "[MASK]" else _kind(symbol)
        if "mask" not in (before, kind) and kind not in MAY_FOLLOW[before]:
            left = symbols[at - 1] if at else "the beginning"
            found[at] = f"{symbol or 'the end'} cannot follow {left}"
        if kind == "open":
            open_at.append(at)
        elif kind == "close" and open_at:
            open_at.pop()
        elif kind == "close" and not masked:
            found.setdefault(at, ") closes nothing")
        elif kind == "ring" and rings.pop(symbol, None) is None:
            rings[symbol] = at
        before = kind
    if not masked:
        for at in open_at:
            found.setdefault(at, "( is not closed")
        for ring, at in rings.items():
            found.setdefault(at, f"ring {ring} is opened and not closed")
    return dict(sorted(found.items()))


def _kind(symbol: str) -> str:
    if not symbol:
        return "end"
    return next((kind for kind, pattern in KINDS if re.fullmatch(pattern, symbol)), "atom")
