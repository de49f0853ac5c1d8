"""A small word-piece tokenizer, trained with the `tokenizers` library: the same text gives the same one.

A word's first piece is written plainly, the others begin with '##'; a text is its pieces joined with spaces,
without ' ##'. Punctuation is split off, except where it belongs to a word ('s, u.s., 2,900, all-time). So text
whose punctuation already stands alone, as in the One Billion Word benchmark, comes back as it was.
"""

from __future__ import annotations

from collections import Counter

import torch

from .checks import integer, tokens

__all__ = ["MASK", "PAD", "UNK", "TextCodec", "train"]

PAD, UNK, MASK = "[PAD]", "[UNK]", "[MASK]"  # ids 0 and 1; the mask is no piece, but the id V
# What stays together as one word; whatever lies between two matches is a word too. Brackets and '#' stand
# alone, so that no text can spell [PAD], [UNK], [MASK] or a '##' piece.
_LETTER = r"[\p{L}\p{M}\p{N}]"
_ABBREVIATION = r"(?:\p{L}\.){2,}"
_CLITIC = rf"['’]\p{{L}}{{1,2}}(?!{_LETTER})"
_WORD = rf"{_LETTER}+(?:[.,:'’&/-]{_LETTER}+)*"
_LONGEST = 200  # characters of a word; longer ones are [UNK]
_CHUNK = 4096  # lines tokenised at once


def train(lines: list[str], vocab: int = 4000, lowercase: bool = True) -> str:
    """The JSON text of a tokenizer of at most `vocab` pieces, with [PAD] 0 and [UNK] 1, trained on `lines`.

    Pieces are merged by frequency, as in byte-pair encoding (Sennrich et al. 2016); words are then cut greedily,
    longest piece first. ValueError for a `vocab` below 16.

    >>> train(["a bank", "the bank"], vocab=32) == train(["a bank", "the bank"], vocab=32)
    True
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    integer("vocab", vocab, minimum=16)
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
    seen, inner = Counter(), set()  # characters, and those found past the start of a word
    for word, count in Counter(w for line in lines for w in line.split()).items():
        for piece, _ in out.pre_tokenizer.pre_tokenize_str(out.normalizer.normalize_str(word)):
            if len(piece) <= _LONGEST:
                seen.update(dict.fromkeys(piece, count))
                inner.update(piece[1:])
    # At most half of the vocabulary goes to single characters, the most frequent; each may need two entries.
    kept = sorted(sorted(seen, key=lambda c: (-seen[c], c))[: (vocab - 2) // 4])
    # The trainer numbers '##' characters in the random order of a hash map, and breaks ties between merges
    # by number. Given as special tokens they are numbered here, which makes the result the same each time.
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


class TextCodec:
    """Text <-> token ids: the tokenizer of a `TextData`, or of a model trained on one (`text.from_spec`).

    Attributes: `length` L; `vocab` V, with [PAD] 0 and [UNK] 1; `labels`, the V pieces; `pad_id` 0; `mask_id`
    V. Arguments: `tokenizer`, its JSON text; `length`; `lowercase`, for the record. ValueError for damaged JSON.

    >>> codec = TextCodec(train(["the bank is open ."]), length=8)
    >>> codec.decode(codec.encode("The [MASK] is open ."))
    'the [MASK] is open .'
    """

    def __init__(self, tokenizer: str, length: int, lowercase: bool = True):
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as e:  # the library raises bare Exceptions
            raise ValueError(f"the tokenizer is damaged: {e}") from None
        words = self._tokenizer.get_vocab()
        self.labels = sorted(words, key=words.get)
        if sorted(words.values()) != list(range(len(words))) or self.labels[:2] != [PAD, UNK]:
            raise ValueError(f"not a tokenizer of this library: ids must be 0..V-1, with {PAD} 0 and {UNK} 1")
        self.tokenizer, self.lowercase = tokenizer, bool(lowercase)
        self.length = integer("length", length, minimum=1)
        self.vocab = self.mask_id = len(self.labels)
        self.pad_id = 0

    def spec(self) -> dict:
        """What `text.from_spec` needs to build this codec again, JSON-able.

        >>> sorted(TextCodec(train(["a b"]), length=4).spec()["text"])
        ['length', 'lowercase', 'tokenizer']
        """
        return {"text": {"tokenizer": self.tokenizer, "length": self.length, "lowercase": self.lowercase}}

    def tokenise(self, lines: list[str]) -> list[list[int]]:
        """Token ids of each line, of any length; '[MASK]' is ordinary text here.

        >>> TextCodec(train(["a b"]), length=4).tokenise(["a zebra"])[0][1:]
        [1]
        """
        chunks = (lines[i : i + _CHUNK] for i in range(0, len(lines), _CHUNK))
        return [e.ids for c in chunks for e in self._tokenizer.encode_batch(c, add_special_tokens=False)]

    def encode(self, text: str) -> torch.Tensor:
        """Token ids [L] of one text, padded; each '[MASK]' in it is one token, the mask id V. A word with
        a character outside the vocabulary becomes [UNK]. ValueError for an empty text and above L tokens.

        >>> TextCodec(train(["a b"]), length=3).encode("a b").count_nonzero()
        tensor(2)
        """
        if not isinstance(text, str):
            raise ValueError(f"text must be a string, got {type(text).__name__}")
        first, *rest = self.tokenise(text.split(MASK))
        ids = first + [i for part in rest for i in (self.mask_id, *part)]
        if not 1 <= len(ids) <= self.length:
            raise ValueError(f"text must have 1 to {self.length} tokens, got {len(ids)}: {text[:60]!r}")
        return self.pad([ids])[0].long()

    def decode(self, ids) -> str:
        """The text of token ids [n], padding left out, '[MASK]' where masked. ValueError for other ids than 0..V.

        >>> codec = TextCodec(train(["a b"]), length=4)
        >>> codec.decode([0, 1, codec.mask_id])
        '[UNK] [MASK]'
        """
        x = torch.as_tensor(ids).reshape(1, -1)
        x = tokens("ids", x, x.shape[1], self.vocab, mask_ok=True)[0].tolist()
        return " ".join([*self.labels, MASK][i] for i in x if i != self.pad_id).replace(" ##", "")

    def pad(self, ids: list[list[int]]) -> torch.Tensor:
        """Rows of at most L ids as one tensor [N, L], int16 or int32, filled up with `pad_id`.

        >>> TextCodec(train(["a b"]), length=3).pad([[2, 3]])
        tensor([[2, 3, 0]], dtype=torch.int16)
        """
        dtype = torch.int16 if self.vocab < 2**15 else torch.int32
        return torch.tensor([row + [self.pad_id] * (self.length - len(row)) for row in ids], dtype=dtype)
