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
ANY = ("atom", "bond", "ring", "open", "close", "dot", "end")
MAY_FOLLOW = {
    "start": ("atom",), "atom": ANY, "ring": ANY, "close": ANY, "bond": ("atom", "ring"),
    "open": ("atom", "bond"), "bond of a branch": ("atom",), "dot": ("atom",),
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
    open_at: list[tuple[int, int]] = []  # where, and the atom before
    rings: dict[str, tuple[int, int]] = {}
    bonds: set[frozenset[int]] = set()
    before, atom, masked = "start", -1, any(s == "[MASK]" for s in symbols)  # atom: the last one, to which bonds go
    for at, symbol in enumerate([*symbols, ""]):
        kind = "mask" if symbol == "[MASK]" else _kind(symbol)
        if "mask" not in (before, kind) and kind not in MAY_FOLLOW[before]:
            left = symbols[at - 1] if at else "the beginning"
            found[at] = f"{symbol or 'the end'} cannot follow {left}"
        if kind == "open":
            open_at.append((at, atom))
        elif kind == "close" and open_at:
            atom = open_at.pop()[1]
        elif kind == "close" and not masked:
            found.setdefault(at, ") closes nothing")
        elif kind == "ring" and symbol not in rings:
            rings[symbol] = at, atom
        elif kind == "ring":
            ends = frozenset((rings.pop(symbol)[1], atom))
            if ends in bonds | {frozenset((atom,))} and not masked:
                where = "it begins" if len(ends) == 1 else "a bond is"
                found.setdefault(at, f"ring {symbol} is closed where {where}")
            bonds.add(ends)
        elif kind == "atom":
            bonds |= {frozenset((atom, at))} if before not in ("start", "dot") else set()
            atom = at
        before = "bond of a branch" if (before, kind) == ("open", "bond") else kind
    if not masked:
        for at, _ in open_at:
            found.setdefault(at, "( is not closed")
        for ring, (at, _) in rings.items():
            found.setdefault(at, f"ring {ring} is opened and not closed")
    return dict(sorted(found.items()))


def _kind(symbol: str) -> str:
    if not symbol:
        return "end"
    return next((kind for kind, pattern in KINDS if re.fullmatch(pattern, symbol)), "atom")
