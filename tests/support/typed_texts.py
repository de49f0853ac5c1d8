"""What a person types to be filled in: models of bits, of the newswire and of a text; and
mistakes."""

from lddm_lite import LatentDiffusion, tasks
from lddm_lite.text import dataset

SIZES = dict(width=16, heads=2, blocks=1, encoder_blocks=1)
SAW = tasks.Binsaw(length=8)
NEWS = tasks.ToyNewswire(topics=["floods"])
DATA = dataset.from_lines(["the bank is open .", "the bank of japan is closed .", "rain ."], length=8)


def small(system="co-seq", data=SAW, **changes):
    """A fresh model of one block."""
    return LatentDiffusion.preset(system, data, **{**SIZES, **changes})


UNREADABLE = [  # data, what is typed, what is said of it
    (SAW, "", "Nothing is typed. For example: "),
    (SAW, "0120_x", "Unknown symbols: “2”, “x”. Allowed are 0 1 and, for a gap, _ or [?]"),
    (SAW, "0" * 9, "at most 8 of the symbols"),
    (SAW, "01100110", "There is no gap to fill in: write _ or [?]"),
    (NEWS, "the rivr [MASK] zzz", "Unknown words: “rivr”, “zzz”. Did you mean rivercare or repair[?] The"),
    (NEWS, "the _ " + "rose " * 15, "at most 16 words, got 17"),
    (NEWS, "the rose", "There is no gap to fill in: write .MASK. or _"),
    (NEWS, "_ " + "q" * 9000, "“q{40}…”"),
    (DATA, "the 漢 _", "Unknown word: “漢”. Such words hold characters"),
    (DATA, "_ " * 9, "1 to 8 tokens, got 9"),
]
