"""Tokenisation losses: what of a text was unknown, dropped, cut or changed on its way to token ids,
and when that is too much to train on."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from .._common.protocols import Data

__all__ = ["Losses", "differences", "losses_of", "returned"]

UNKNOWN, DROPPED, CHANGED = 0.01, 0.20, 0.001  # above these shares training does not begin
LOOK = 400  # lines that are decoded and compared


@dataclass
class Losses:
    """Tokenisation losses of a text: counts of what became of it.

    - `lines`: that are not blank; `blank`: those that are;
    - `dropped`: lines of more than L tokens; `cut`: lines that were shortened to L instead;
    - `tokens`, `unknown`: of the lines that are left, and how many of these are [UNK];
    - `changed`: share of the characters that do not come back, [UNK] apart, of some lines;
    - `notes`: what else there is to say, such as which tokenizer it is and why;
    - `allowed`: train on it whatever these numbers are.

    >>> print(Losses(lines=200, dropped=199, tokens=5))
    199 of 200 lines dropped (99.5 %), longer than a row
    """

    lines: int = 0
    blank: int = 0
    dropped: int = 0
    cut: int = 0
    tokens: int = 0
    unknown: int = 0
    changed: float = 0.0
    notes: list[str] = field(default_factory=list)
    allowed: bool = False

    def told(self) -> list[str]:
        """The losses in words, a line each."""
        of = f"of {self.lines:,} lines"
        out = []
        if self.dropped:
            out.append(f"{self.dropped:,} {of} dropped ({_percent(self.dropped, self.lines)}), longer than a row")
        if self.cut:
            out.append(f"{self.cut:,} {of} cut ({_percent(self.cut, self.lines)}) to the length of a row")
        if self.unknown:
            out.append(f"{_percent(self.unknown, self.tokens)} of the tokens unknown, [UNK]")
        if self.changed:
            out.append(f"{self.changed:.2%} of the characters do not come back")
        return out

    def too_much(self) -> list[str]:
        """Why training must not begin; empty where it may."""
        out = []
        if self.unknown > UNKNOWN * self.tokens:
            out.append(
                f"{_percent(self.unknown, self.tokens)} of the tokens are unknown, [UNK], more than {UNKNOWN:.0%}: "
                "the tokenizer does not fit the text, or its vocabulary is too small"
            )
        if self.dropped > DROPPED * self.lines:
            out.append(
                f"{self.dropped:,} of {self.lines:,} lines are dropped, more than {DROPPED:.0%}, being longer than "
                "length; give a larger one"
            )
        if self.changed > CHANGED:
            out.append(f"{self.changed:.2%} of the characters do not come back, more than {CHANGED:.1%}")
        return out

    def check(self, name: str) -> None:
        """ValueError where too much is lost, and it is not allowed.

        >>> Losses(lines=10, tokens=50, unknown=50, allowed=True).check("the text")
        """
        why = self.too_much()
        if why and not self.allowed:
            raise ValueError(
                f"{name}: {'; '.join(why)}. Other tokenizers: characters, bytes, symbols, words; or allow it, "
                "allow_losses=True (--allow-losses)"
            )

    def __str__(self) -> str:
        return "\n".join([*self.notes, *self.told()])


def losses_of(data: Data) -> Losses:
    """Those that the data tell of; none where they are no text.

    >>> losses_of(object()).told()
    []
    """
    return getattr(data, "losses", None) or Losses()


def returned(lines: Sequence[str], decoded: Sequence[str]) -> float:
    """Share of the characters of `lines` that stand in what was `decoded`, in order; blanks and
    capitals aside where these are all that differs.

    >>> returned(["a b c"], ["a c"])
    0.6
    """
    total = sum(map(len, lines))
    lost = sum(differences(a, b)[0] for a, b in zip(lines, decoded, strict=True))
    return 1 - lost / total if total else 1.0


def differences(a: str, b: str) -> tuple[int, int]:
    """(characters of `a` that are not in `b`, characters of `b` that are not in `a`), by a longest
    match and what lies on both sides of it.

    >>> differences("the u.s. rose", "the u . s . rose")
    (0, 3)
    """
    if a == b:
        return 0, 0
    same = sum(m.size for m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())
    return len(a) - same, len(b) - same


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.3g} %"
