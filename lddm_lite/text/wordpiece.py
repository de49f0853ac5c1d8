"""Training a small word-piece tokenizer with the `tokenizers` library: the same text gives the same
one.

A word's first piece is written plainly, the others begin with '##'; a text is its pieces joined
with spaces, without ' ##'. Punctuation is split off, except where it belongs to a word ('s, u.s.,
2,900, all-time). So text whose punctuation already stands alone, as in the One Billion Word
benchmark, comes back as it was.
"""

from __future__ import annotations

from collections import Counter

from .._common import arguments
from .._common.arguments import integer
from .codec import LETTER, PAD, UNK

__all__ = ["train"]

# What stays together as one word; whatever lies between two matches is a word too. Brackets and '#'
# stand alone, so that no text can spell [PAD], [UNK], [MASK] or a '##' piece.
_ABBREVIATION = r"(?:\p{L}\.){2,}"
_CLITIC = rf"['’]\p{{L}}{{1,2}}(?!{LETTER})"
_FIRST = r"[\p{L}\p{N}]"  # a mark, such as the selector behind an emoji, belongs to what it follows
_WORD = rf"{_FIRST}{LETTER}*(?:[.,:'’&/-]{_FIRST}{LETTER}*)*"
_LONGEST = 200  # characters of a word; longer ones are [UNK]


def train(lines: list[str], vocab: int = 4000, lowercase: bool = True) -> str:
    """The JSON text of a tokenizer of at most `vocab` pieces, with [PAD] 0 and [UNK] 1, trained on
    `lines`.

    Pieces are merged by frequency, as in byte-pair encoding (Sennrich et al. 2016); words are then
    cut greedily, longest piece first. ValueError for a `vocab` below 16.

    >>> train(["a bank", "the bank"], vocab=32) == train(["a bank", "the bank"], vocab=32)
    True
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    arguments.within("vocab", integer("vocab", vocab, minimum=16))
    arguments.truth("lowercase", lowercase)
    lines = arguments.texts("lines", lines, blank=True)
    # clean_text drops NUL, other control characters and U+FFFD
    clean = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=bool(lowercase)
    )
    words = Regex("|".join([_ABBREVIATION, _CLITIC, _WORD, r"[\[\]#]"]))
    out = Tokenizer(models.WordPiece(unk_token=UNK))
    out.normalizer = normalizers.Sequence([clean, normalizers.NFC()])
    out.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(words, "isolated")]
    )
    seen: Counter[str] = Counter()  # characters
    inner: set[str] = set()  # those found past the start of a word
    for word, count in Counter(w for line in lines for w in line.split()).items():
        for piece, _ in out.pre_tokenizer.pre_tokenize_str(out.normalizer.normalize_str(word)):
            if len(piece) <= _LONGEST:
                seen.update(dict.fromkeys(piece, count))
                inner.update(piece[1:])
    # At most half of the vocabulary goes to single characters, the most frequent; each may need two
    # entries.
    kept = sorted(sorted(seen, key=lambda c: (-seen[c], c))[: (vocab - 2) // 4])
    # The trainer numbers '##' characters in the random order of a hash map, and breaks ties between
    # merges by number. Given as special tokens they are numbered here, which makes the result the
    # same each time.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab,
        min_frequency=1,
        show_progress=False,
        special_tokens=[PAD, UNK, *(f"##{c}" for c in kept if c in inner)],
        initial_alphabet=kept,
        limit_alphabet=len(kept),
    )
    out.train_from_iterator(lines, trainer)
    # Special tokens are found in text as well. A new model with the same vocabulary has none.
    model = models.WordPiece(out.get_vocab(), unk_token=UNK, max_input_chars_per_word=_LONGEST)
    new = Tokenizer(model)
    new.normalizer, new.pre_tokenizer = out.normalizer, out.pre_tokenizer
    return new.to_str()
