"""Text layout in figures: which characters can be shown, how wide words are, and where each goes.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

from matplotlib import font_manager
from matplotlib.backends.backend_agg import get_hinting_flag

__all__ = ["Word", "printable", "set_words", "width"]

FONT = "DejaVu Sans"  # comes with matplotlib
POINTS = 9.0
LINE = 17.0  # points from one line to the next
PAD, GAP = 2.5, 2.5  # points: inside a word's block, and between blocks
MISSING = "□"


@functools.cache
def _font():
    return font_manager.get_font(font_manager.findfont(FONT))


@functools.lru_cache(maxsize=8192)
def printable(text: str) -> str:
    """`text` with a box for every character that the font cannot show (such as CJK and most emoji),
    and for every control character (line breaks, switches of direction), so that nothing is dropped
    unseen and nothing warns.

    >>> printable("a\\n中$")
    'a□□$'
    """
    known = _font().get_charmap()
    return "".join(c if ord(c) in known and unicodedata.category(c)[0] != "C" else MISSING for c in text)


@functools.lru_cache(maxsize=8192)
def width(text: str, points: float = POINTS) -> float:
    """Width in points of printable `text` as drawn at 100 dots per inch, where hinting makes some
    words 5 % wider.

    >>> width("MM") > width("ii")
    True
    """
    font = _font()
    font.clear()
    font.set_size(points, 100)
    font.set_text(text, 0.0, flags=get_hinting_flag())
    return font.get_width_height()[0] / 64 * 72 / 100


def clip(text: str, room: float, points: float = POINTS) -> str:
    """`text`, cut with an ellipsis where it is wider than `room` points.

    >>> clip("a very long name", 40)
    'a very…'
    """
    most = 2 + int(5 * room / points)  # no letter is narrower than a fifth of its size: never measure 10,000 letters
    if len(text) <= most and width(text, points) <= room:
        return text
    text = text[:most]
    while text and width(text + "…", points) > room:
        text = text[:-1]
    return text + "…"


@dataclass(frozen=True)
class Word:
    """A block of running text: the position of its token, its text, its left end and width in
    points, its line."""

    position: int
    text: str
    x: float
    width: float
    line: int


def set_words(labels, room: float, lines: int) -> tuple[list[Word], int]:
    """Break (position, label) pairs into lines `room` points wide: the words that fit `lines`
    lines, and how many are left over. Empty labels take no room; word pieces ('##') join the word
    before them; words wider than a line are cut.

    >>> words, left = set_words([(0, "token"), (1, "##ize"), (2, "all")], room=60, lines=1)
    >>> [w.text for w in words], left
    (['token', 'ize'], 1)
    """
    words: list[Word] = []
    x, line = 0.0, 0
    labels = [(k, label) for k, label in labels if label]
    for n, (k, label) in enumerate(labels):
        piece = label.startswith("##") and len(label) > 2
        text = clip(printable(label[2:] if piece else label), room - 2 * PAD)
        w = max(width(text) + 2 * PAD, 9.0)
        x += 0 if piece or x == 0 else GAP
        if x > 0 and x + w > room:
            x, line = 0.0, line + 1
        if line == lines:
            return words, len(labels) - n
        words.append(Word(k, text, x, w, line))
        x += w
    return words, 0
