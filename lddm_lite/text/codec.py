"""Tokenizer codec: text to token ids and back."""

from __future__ import annotations

import re

import torch

from .._common import arguments, documents, schemas
from .._common.arguments import integer, shown, tokens
from .._common.words import joined

__all__ = ["MASK", "PAD", "TextCodec", "UNK"]

PAD, UNK, MASK = "[PAD]", "[UNK]", "[MASK]"  # ids 0 and 1; the mask is no piece, but the id V

LETTER = r"[\p{L}\p{M}\p{N}]"  # of a word, as `wordpiece` takes it
LINES = schemas.items(schemas.text())
_CHUNK = 4096  # lines tokenised at once


_NESTED = re.compile(r"\((?:[^()\\]|\\.)*(?:[*+]|\{\d*,\d*\})(?:[^()\\]|\\.)*\)(?:[*+]|\{\d+,\d*\})")
_SAFE = rf"{LETTER}+(?:[.,:'’&/-]{LETTER}+)*"  # repeats within repeats that cannot be taken in two ways


def read_tokenizer(text: str):
    """The tokenizer that a JSON text describes. ValueError for a damaged one, and for what would take
    time or memory without end: padding, truncation, patterns that repeat within repeats, refer back
    or are long, and more pieces than the limit `vocab`.

    >>> from lddm_lite.text.wordpiece import train
    >>> read_tokenizer(train(["a b"])).get_vocab_size() > 2
    True
    """
    from tokenizers import Tokenizer

    if not isinstance(text, str):
        raise ValueError(f"the tokenizer must be JSON text, got {shown(text)}")
    about = documents.parse(text, "the tokenizer")
    if not isinstance(about, dict):
        raise ValueError(f"the tokenizer must be an object, got {shown(about)}")
    for name in ("padding", "truncation"):
        if about.get(name) is not None:
            raise ValueError(f"the tokenizer must have no {name}, got {shown(about[name])}: rows are filled up here")
    model = about.get("model")
    pieces = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(pieces, dict | list):
        arguments.within("vocab", len(pieces), "the tokenizer's pieces")
    for pattern in _patterns(about):
        rest = pattern.replace(_SAFE, "x")
        if len(pattern) > 4000 or _NESTED.search(rest) or re.search(r"\\[1-9]|\(\?P?[=>&]|\\[gk]", rest):
            raise ValueError(f"the tokenizer has a pattern that may take for ever: {shown(pattern)}")
    try:
        made = Tokenizer.from_str(text)
        made.encode_batch(["a", "\u4e00 1!"], add_special_tokens=False)  # what it lacks shows when it works
        return made
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as e:  # the library raises bare Exceptions, and what its Rust panics with is none
        raise ValueError(f"the tokenizer is damaged: {arguments.brief(e)}") from None


def _patterns(about):
    """All regular expressions in a tokenizer's JSON."""
    todo = [about.get(k) for k in ("normalizer", "pre_tokenizer", "post_processor", "decoder")]
    while todo:
        v = todo.pop()
        if isinstance(v, dict):
            if isinstance(v.get("Regex"), str):
                yield v["Regex"]
            todo += list(v.values())
        elif isinstance(v, list):
            todo += v


class TextCodec:
    """Text <-> token ids: the tokenizer of a `TextData`, or of a model trained on one
    (`text.from_spec`).

    Attributes: `length` L; `vocab` V, with [PAD] 0 and [UNK] 1; `labels`, the V pieces; `pad_id` 0;
    `mask_id` V. Arguments: `tokenizer`, its JSON text; `length`; `lowercase`, for the record.
    ValueError for damaged JSON.

    >>> from lddm_lite.text.wordpiece import train
    >>> codec = TextCodec(train(["the bank is open ."]), length=8)
    >>> codec.decode(codec.encode("The [MASK] is open ."))
    'the [MASK] is open .'
    """

    def __init__(self, tokenizer: str, length: int, lowercase: bool = True):
        self._tokenizer = read_tokenizer(tokenizer)
        words = self._tokenizer.get_vocab()
        self.labels = sorted(words, key=words.__getitem__)
        if sorted(words.values()) != list(range(len(words))) or self.labels[:2] != [PAD, UNK]:
            raise ValueError(f"not a tokenizer of this library: ids must be 0..V-1, with {PAD} 0 and {UNK} 1")
        self.tokenizer, self.lowercase = tokenizer, arguments.truth("lowercase", lowercase)
        self.length = arguments.within("length", integer("length", length, minimum=1))
        self.vocab = self.mask_id = len(self.labels)
        self.pad_id = 0

    def spec(self) -> dict:
        """What `text.from_spec` needs to build this codec again, JSON-able.

        >>> from lddm_lite.text.wordpiece import train
        >>> sorted(TextCodec(train(["a b"]), length=4).spec()["text"])
        ['length', 'lowercase', 'tokenizer']
        """
        return {"text": {"tokenizer": self.tokenizer, "length": self.length, "lowercase": self.lowercase}}

    @schemas.checked(lines=LINES)
    def tokenise(self, lines: list[str]) -> list[list[int]]:
        """Token ids of each line, of any length; '[MASK]' is ordinary text here.

        >>> from lddm_lite.text.wordpiece import train
        >>> TextCodec(train(["a b"]), length=4).tokenise(["a zebra"])[0][1:]
        [1]
        """
        chunks = (lines[i : i + _CHUNK] for i in range(0, len(lines), _CHUNK))
        return [e.ids for c in chunks for e in self._tokenizer.encode_batch(c, add_special_tokens=False)]

    def encode(self, text: str) -> torch.Tensor:
        """Token ids [L] of one text, padded; each '[MASK]' in it is one token, the mask id V. A
        word with a character outside the vocabulary becomes [UNK]. ValueError for an empty text and
        above L tokens.

        >>> from lddm_lite.text.wordpiece import train
        >>> TextCodec(train(["a b"]), length=3).encode("a b").count_nonzero()
        tensor(2)
        """
        if not isinstance(text, str):
            raise ValueError(f"text must be a string, got {type(text).__name__}")
        arguments.texts("text", [text], blank=True)
        first, *rest = self.tokenise(text.split(MASK))
        ids = first + [i for part in rest for i in (self.mask_id, *part)]
        if not 1 <= len(ids) <= self.length:
            raise ValueError(f"text must have 1 to {self.length} tokens, got {len(ids)}: {text[:60]!r}")
        return self.pad([ids])[0].long()

    def decode(self, ids) -> str:
        """The text of token ids [n], padding left out, '[MASK]' where masked. ValueError for other
        ids than 0..V.

        >>> from lddm_lite.text.wordpiece import train
        >>> codec = TextCodec(train(["a b"]), length=4)
        >>> codec.decode([0, 1, codec.mask_id])
        '[UNK] [MASK]'
        """
        x = arguments.tensor("ids", ids).reshape(1, -1)
        known = tokens("ids", x, x.shape[1], self.vocab, mask_ok=True)[0].tolist()
        return joined([*self.labels, MASK][i] for i in known if i != self.pad_id)

    def pad(self, ids: list[list[int]]) -> torch.Tensor:
        """Rows of at most L ids as one tensor [N, L], int16 or int32, filled up with `pad_id`.

        >>> from lddm_lite.text.wordpiece import train
        >>> TextCodec(train(["a b"]), length=3).pad([[2, 3]])
        tensor([[2, 3, 0]], dtype=torch.int16)
        """
        dtype = torch.int16 if self.vocab < 2**15 else torch.int32
        return torch.tensor([row + [self.pad_id] * (self.length - len(row)) for row in ids], dtype=dtype)
