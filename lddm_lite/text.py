"""Text of your own: any UTF-8 file, one sentence a line, with a small tokenizer trained on it (see `wordpiece`)."""

from __future__ import annotations

import codecs
import os

import torch

from . import checks, wordpiece
from .wordpiece import PAD, UNK

__all__ = ["TextCodec", "TextData", "from_file", "from_lines", "from_spec", "read_lines"]

MASK = "[MASK]"  # no word of the vocabulary, but the id V
_CHUNK = 4096  # lines tokenised at once


class TextCodec:
    """Text <-> token ids: the tokenizer of a `TextData`, or of a model trained on one (see `from_spec`).

    Attributes: `length` L; `vocab` V, with [PAD] 0 and [UNK] 1; `labels`, the V pieces; `pad_id`; `mask_id` V.
    Arguments: `tokenizer`, its JSON text; `length`; `lowercase`, kept for the record. ValueError for damaged JSON.

    >>> codec = from_lines(["the bank is open ."], length=8).codec
    >>> codec.decode(codec.encode("The [MASK] is open ."))
    'the [MASK] is open .'
    """

    def __init__(self, tokenizer: str, length: int, lowercase: bool = True):
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
            words = self._tokenizer.get_vocab()
            self.labels = sorted(words, key=words.get)
            sound = sorted(words.values()) == list(range(len(words))) and self.labels[:2] == [PAD, UNK]
        except Exception as e:  # the library raises bare Exceptions
            raise ValueError(f"the tokenizer is damaged: {e}") from None
        if not sound:
            raise ValueError(f"the tokenizer is not one of this library: ids must be 0..V-1, with {PAD} 0 and {UNK} 1")
        self.tokenizer, self.lowercase = tokenizer, bool(lowercase)
        self.length = checks.integer("length", length, minimum=1)
        self.vocab = self.mask_id = len(self.labels)
        self.pad_id = 0

    def spec(self) -> dict:
        """What `from_spec` needs to build this codec again, JSON-able.

        >>> sorted(from_lines(["a b"]).codec.spec()["text"])
        ['length', 'lowercase', 'tokenizer']
        """
        return {"text": {"tokenizer": self.tokenizer, "length": self.length, "lowercase": self.lowercase}}

    def tokenise(self, lines: list[str]) -> list[list[int]]:
        """Token ids of each line, of any length; '[MASK]' is ordinary text here.

        >>> from_lines(["a b", "b a"]).codec.tokenise(["a zebra"])[0][1:]
        [1]
        """
        chunks = (lines[i : i + _CHUNK] for i in range(0, len(lines), _CHUNK))
        return [e.ids for chunk in chunks for e in self._tokenizer.encode_batch(chunk, add_special_tokens=False)]

    def encode(self, text: str) -> torch.Tensor:
        """Token ids [L] of one text, padded; each '[MASK]' in it is one token, the mask id V. Characters and words
        that the vocabulary cannot spell become [UNK]. ValueError for an empty text and one of more than L tokens."""
        if not isinstance(text, str):
            raise ValueError(f"text must be a string, got {type(text).__name__}")
        first, *rest = self.tokenise(text.split(MASK))
        ids = first + [i for part in rest for i in (self.mask_id, *part)]
        if not 1 <= len(ids) <= self.length:
            raise ValueError(f"text must have 1 to {self.length} tokens, got {len(ids)}: {text[:60]!r}")
        return self._rows([ids])[0].long()

    def decode(self, ids) -> str:
        """The text of token ids [n], padding left out, '[MASK]' where masked. ValueError for ids outside 0..V."""
        x = torch.as_tensor(ids)
        x = checks.tokens("ids", x.reshape(1, -1), x.numel(), self.vocab, mask_ok=True)[0].tolist()
        return " ".join([*self.labels, MASK][i] for i in x if i != self.pad_id).replace(" ##", "")

    def read(self, path, limit: int | None = None, seed: int = 0, errors: str = "strict") -> TextData:
        """Another file with this tokenizer, say held-out text. Arguments and errors as in `from_file`."""
        lines, blank = read_lines(path, errors)
        return TextData.of(self, _some(lines, limit, seed), blank, str(path))

    def _rows(self, ids: list[list[int]]) -> torch.Tensor:
        dtype = torch.int16 if self.vocab < 2**15 else torch.int32
        return torch.tensor([row + [self.pad_id] * (self.length - len(row)) for row in ids], dtype=dtype)


class TextData:
    """Sentences as token ids, ready for `fit`: it has `length`, `vocab`, `labels`, `pad_id`, `spec` and `sample`.

    `rows` [N, L] holds all sentences, padded with id 0, int16 or int32; `codec` its tokenizer. `dropped`: sentences
    left out because they have more than L tokens; `blank`: lines with nothing in them.

    >>> data = from_lines(["the bank is open .", "the bank is closed ."], length=8)
    >>> data.sample(3, seed=0).shape, len(data)
    (torch.Size([3, 8]), 2)
    """

    def __init__(self, codec: TextCodec, rows: torch.Tensor, dropped: int = 0, blank: int = 0):
        self.codec, self.rows, self.dropped, self.blank = codec, rows, dropped, blank
        self.length, self.vocab, self.labels, self.pad_id = codec.length, codec.vocab, codec.labels, codec.pad_id
        self.encode, self.decode = codec.encode, codec.decode

    @classmethod
    def of(cls, codec: TextCodec, lines: list[str], blank: int = 0, name: str = "the text") -> TextData:
        """Tokenised lines; those longer than `codec.length` are dropped. ValueError when none is left.

        >>> codec = from_lines(["a b"], length=2).codec
        >>> TextData.of(codec, ["a b", "a b a"]).dropped
        1
        """
        ids = codec.tokenise(lines)
        kept = [row for row in ids if 0 < len(row) <= codec.length]
        empty = sum(not row for row in ids)  # nothing but control characters
        if not kept and empty == len(ids):
            raise ValueError(f"{name} is empty: it must hold at least one sentence, one a line")
        if not kept:
            shortest = min(len(row) for row in ids if row)
            raise ValueError(
                f"{name}: every sentence has more than length={codec.length} tokens; the shortest has {shortest}"
            )
        return cls(codec, codec._rows(kept), len(ids) - len(kept) - empty, blank + empty)

    def spec(self) -> dict:
        """The tokenizer, and `lengths`, the share of sentences of each length 0..L: JSON-able, kept in a model's
        `data`, which draws lengths from it and gives the codec back (`from_spec`).

        >>> from_lines(["a b", "a"], length=3).spec()["lengths"]
        [0.0, 0.5, 0.5, 0.0]
        """
        counts = torch.bincount((self.rows != self.pad_id).sum(1), minlength=self.length + 1)
        return {**self.codec.spec(), "lengths": (counts.double() / len(self)).tolist()}

    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """`n` sentences drawn with replacement: [n, L], int64, padded with id 0. `seed`: integer or generator."""
        checks.integer("n", n, minimum=1)
        u = checks.rand((n,), checks.generator(seed), dtype=torch.float64).cpu()
        return self.rows[(u * len(self)).long()].long()

    def split(self, fraction: float = 0.05, seed: int = 0) -> tuple[TextData, TextData]:
        """(training, validation): a random `fraction` of the sentences, at least one, is held out. The counts of
        dropped and blank lines stay with the first part. ValueError for fewer than two sentences.

        >>> [len(part) for part in from_lines(["a b"] * 40).split(0.1)]
        [36, 4]
        """
        if not 0 < checks.number("fraction", fraction) < 1:
            raise ValueError(f"fraction must be in (0, 1), got {fraction!r}")
        if len(self) < 2:
            raise ValueError("a split needs at least 2 sentences; there is 1")
        order = torch.randperm(len(self), generator=checks.generator(seed))
        held = min(len(self) - 1, max(1, round(fraction * len(self))))
        rest, out = order[held:].sort().values, order[:held].sort().values
        return TextData(self.codec, self.rows[rest], self.dropped, self.blank), TextData(self.codec, self.rows[out])

    def unknown(self) -> float:
        """Share of tokens that are [UNK].

        >>> from_lines(["a b"]).unknown()
        0.0
        """
        return float((self.rows == 1).sum() / (self.rows != self.pad_id).sum())

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        left = f"; {self.dropped:,} longer ones dropped" if self.dropped else ""
        return (
            f"TextData({len(self):,} sentences of at most {self.length} tokens{left}; vocabulary {self.vocab:,}, "
            f"{self.unknown():.2%} unknown)"
        )


def from_file(
    path, vocab: int = 4000, length: int = 64, lowercase: bool = True, limit: int | None = None, seed: int = 0,
    errors: str = "strict",
) -> TextData:
    """Read a UTF-8 file, one sentence a line, and train a tokenizer of at most `vocab` pieces on it.

    Sentences of more than `length` tokens are dropped and counted; blank lines are skipped. `limit`: that many
    sentences, drawn at random with `seed`. The same file and arguments give the same tokenizer on every machine.
    Raises ValueError for an empty file, or, naming the line, for bytes that are not UTF-8 (`errors='replace'` drops
    them instead), and FileNotFoundError.

    >>> from_file("sentences.txt", vocab=2000)  # doctest: +SKIP
    TextData(12,101 sentences of at most 64 tokens; 115 longer ones dropped; vocabulary 2,000, 0.01% unknown)
    """
    lines, blank = read_lines(path, errors)
    return _build(_some(lines, limit, seed), blank, vocab, length, lowercase, str(path))


def from_lines(lines, vocab: int = 4000, length: int = 64, lowercase: bool = True) -> TextData:
    """As `from_file`, from a list of sentences.

    >>> data = from_lines(["It 's ready .", "They said it was ready ."])
    >>> data.decode(data.sample(1)[0]) in ("it 's ready .", "they said it was ready .")
    True
    """
    return _build(list(lines), 0, vocab, length, lowercase, "the list")


def from_spec(data: dict) -> TextCodec:
    """The codec of a model trained on text, from `model.data` alone. ValueError for a model of something else.

    >>> data = from_lines(["a b"], length=4)
    >>> from_spec(data.spec()).encode("a [MASK]").tolist()[1:] == [data.vocab, 0, 0]
    True
    """
    try:
        return TextCodec(**data["text"])
    except (KeyError, TypeError):
        raise ValueError(f"not the data of a text model, which have a 'text' entry; got {sorted(data)}") from None


def read_lines(path, errors: str = "strict") -> tuple[list[str], int]:
    """(lines that are not blank, number of blank ones) of a UTF-8 file, with or without a byte-order mark, with any
    of the three line ends. ValueError naming the first line that is not UTF-8; with `errors='replace'` none."""
    if errors not in ("strict", "replace"):
        raise ValueError(f"errors must be 'strict' or 'replace', got {errors!r}")
    lines, blank = [], 0
    with open(os.fspath(path), "rb") as f:
        for number, raw in enumerate(f, 1):
            try:
                text = (raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw).decode("utf-8", errors)
            except UnicodeDecodeError as e:
                utf16 = "; it looks like UTF-16" if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""
                raise ValueError(
                    f"{path}, line {number}: byte 0x{e.object[e.start]:02x} is not UTF-8{utf16}. "
                    "Convert the file, or drop such bytes with errors='replace'"
                ) from None
            found = [part.strip() for part in text.rstrip("\r\n").split("\r")]
            lines += [part for part in found if part]
            blank += sum(not part for part in found)
    return lines, blank


def _some(lines: list[str], limit: int | None, seed: int) -> list[str]:
    """At most `limit` lines, drawn at random, in their old order."""
    if limit is None or checks.integer("limit", limit, minimum=1) >= len(lines):
        return lines
    keep = torch.randperm(len(lines), generator=checks.generator(seed))[:limit].sort().values
    return [lines[i] for i in keep.tolist()]


def _build(lines, blank, vocab, length, lowercase, name) -> TextData:
    checks.integer("length", length, minimum=1)
    if not lines:
        raise ValueError(f"{name} is empty: it must hold at least one sentence, one a line")
    return TextData.of(TextCodec(wordpiece.train(lines, vocab, lowercase), length, lowercase), lines, blank, name)
