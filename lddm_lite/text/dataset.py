"""Text of your own in memory: any UTF-8 file, one sentence a line, with a tokenizer trained on it.

`lm1b` fetches a subset of the One Billion Word benchmark as such a file; `build_token_store.build`
keeps a text of any size on disk.
"""

from __future__ import annotations

from typing import Self

import torch

from .._common import arguments, randomness, schemas
from .._common.data_contract import length_shares
from .._common.randomness import random_rows, split_rows
from .codec import UNK, TextCodec
from .lines import read_lines
from .losses import LOOK, Losses, returned
from .tokenizer_kinds import make

__all__ = ["TextData", "from_file", "from_lines", "from_spec", "lm1b"]


class TextData:
    """Sentences as token ids, ready for `fit`: it has `length`, `vocab`, `labels`, `pad_id`,
    `spec`, `sample`.

    `rows` [N, L] holds all sentences, padded with id 0, int16 or int32; `codec` is the tokenizer,
    of which it has `encode` and `decode`. `dropped`: sentences left out, with more than L tokens;
    `blank`: empty lines; `nul`: lines that held NUL bytes, which are dropped like all control
    characters (a file full of them is not a text).

    >>> data = from_lines(["the bank is open .", "the bank is closed ."], length=8)
    >>> data.sample(3, seed=0).shape, len(data)
    (torch.Size([3, 8]), 2)
    """

    @schemas.checked(
        codec=schemas.is_a(TextCodec), rows=schemas.ids, dropped=schemas.whole(0), blank=schemas.whole(0))
    def __init__(self, codec: TextCodec, rows: torch.Tensor, dropped: int = 0, blank: int = 0):
        if rows.shape[1] != codec.length:
            raise ValueError(f"rows must have length {codec.length}, got {rows.shape[1]}")
        self.codec, self.rows, self.dropped, self.blank, self.nul = codec, rows, dropped, blank, 0
        self.losses = Losses()
        self.length, self.vocab, self.pad_id = codec.length, codec.vocab, codec.pad_id
        self.labels, self.encode, self.decode = codec.labels, codec.encode, codec.decode

    @classmethod
    @schemas.checked(codec=schemas.is_a(TextCodec), blank=schemas.whole(0), name=schemas.text())
    def of(cls, codec: TextCodec, lines: list[str], blank: int = 0, name: str = "the text") -> Self:
        """Tokenised lines; those longer than `codec.length` are dropped. ValueError when none is
        left.

        >>> TextData.of(from_lines(["a b"], length=2).codec, ["a b", "a b a"]).dropped
        1
        """
        ids = codec.tokenise(lines)
        kept = [row for row in ids if 0 < len(row) <= codec.length]
        empty = sum(not row for row in ids)  # nothing but control characters
        if empty == len(ids):
            raise ValueError(f"{name} is empty: it must hold at least one sentence, one a line")
        if not kept:
            few = min(len(row) for row in ids if row)
            raise ValueError(f"{name}: the shortest sentence has {few} tokens, more than length={codec.length}")
        data = cls(codec, codec.pad(kept), len(ids) - len(kept) - empty, blank + empty)
        data.losses = count(codec, lines, ids, data.dropped, data.blank)
        return data

    def spec(self) -> dict:
        """The tokenizer, and `lengths`, the share of sentences of each length 0..L: JSON-able. A
        model keeps it as `data`, draws lengths from it, and gives the codec back (`from_spec`).

        >>> from_lines(["a b", "a"], length=3).spec()["lengths"]
        [0.0, 0.5, 0.5, 0.0]
        """
        return {**self.codec.spec(), "lengths": length_shares(self.rows, self.pad_id)}

    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """`n` sentences drawn with replacement: [n, L], int64. `seed`: integer or generator.

        >>> from_lines(["a b"], length=4).sample(2).shape
        torch.Size([2, 4])
        """
        return self.rows[random_rows(len(self), n, seed)].long()

    def split(self, fraction: float = 0.05, seed: int = 0) -> tuple[TextData, TextData]:
        """(training, validation): a random `fraction` of the sentences, at least one, is held out.
        The counts of dropped and blank lines stay with the first. ValueError for fewer than two
        sentences.

        >>> [len(part) for part in from_lines(["a b"] * 40).split(0.1)]
        [36, 4]
        """
        rest, held = (self.rows[numbers] for numbers in split_rows(len(self), fraction, seed))
        first = TextData(self.codec, rest, self.dropped, self.blank)
        first.nul, first.losses = self.nul, self.losses
        return first, TextData(self.codec, held)

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
        left += f"; NUL bytes dropped from {self.nul:,} lines" if self.nul else ""
        left += "".join(f"; {note}" for note in self.losses.notes[:1])
        left += f"; {self.losses.changed:.2%} of the characters do not come back" if self.losses.changed else ""
        return (
            f"TextData({len(self):,} sentences of at most {self.length} tokens{left}; "
            f"vocabulary {self.vocab:,}, {self.unknown():.2%} unknown)"
        )


def count(codec: TextCodec, lines: list[str], ids: list[list[int]], dropped: int, blank: int) -> Losses:
    """Tokenisation losses of lines as token ids; some lines are decoded again, and compared.

    - `codec`: the tokenizer;
    - `lines`, `ids`: the text, and the ids of each line, of any number;
    - `dropped`, `blank`: how many lines were left out, too long or empty.

    >>> codec = from_lines(["a b"], length=4).codec
    >>> count(codec, ["a b", "a z"], codec.tokenise(["a b", "a z"]), 0, 0).unknown
    1
    """
    kept = [row for row in ids if 0 < len(row) <= codec.length]
    every = max(1, -(-len(lines) // LOOK))
    whole = [(line, row) for line, row in zip(lines[::every], ids[::every], strict=True) if row and 1 not in row]
    back = returned([codec.same(line) for line, _ in whole], [codec.same(codec.decode(row)) for _, row in whole])
    return Losses(
        lines=sum(map(bool, ids)), blank=blank, dropped=dropped, tokens=sum(map(len, kept)),
        unknown=sum(row.count(codec.labels.index(UNK)) for row in kept), changed=1 - back,
    )  # fmt: skip


@schemas.checked(
    "seed", vocab=schemas.whole(16, limit="vocab"), length=schemas.maybe(schemas.whole(1, limit="length")),
    lowercase=schemas.maybe(schemas.boolean), allow_losses=schemas.boolean, limit=schemas.maybe(schemas.whole(1)),
)  # fmt: skip
def from_file(
    path,
    vocab: int = 4000,
    length: int | None = None,
    lowercase: bool | None = None,
    limit: int | None = None,
    seed: int = 0,
    errors: str = "strict",
    codec: TextCodec | None = None,
    tokenizer: str = "auto",
    allow_losses: bool = False,
) -> TextData:
    """Load a text: a UTF-8 file, one sentence a line, with a tokenizer trained on it.

    - `path`: of the file; blank lines are skipped;
    - `vocab`: a tokenizer of at most so many pieces, the same every time;
    - `length`: sentences of more tokens are dropped and counted; None for 64, or what single
      characters need;
    - `lowercase`: in small letters; None: only words are;
    - `limit`, `seed`: that many sentences, drawn at random;
    - `errors`: 'replace' drops bytes that are not UTF-8;
    - `codec`: a tokenizer to use instead, say for held-out text; its own length then holds;
    - `tokenizer`: 'words', 'characters', 'bytes', 'symbols', the path of a tokenizer.json, or
      'auto', which looks at the text (see `tokenizer_kinds`); repr and `losses` tell what it chose;
    - `allow_losses`: also where more than 1 % of the tokens are unknown, more than 20 % of the lines
      dropped, or more than 0.1 % of the characters do not come back.

    Raises FileNotFoundError, and ValueError for an empty file or, naming the line, for bytes that
    are not UTF-8, and for losses above these.

    >>> from_file("sentences.txt", vocab=4000)  # doctest: +SKIP
    TextData(11,467 sentences of at most 64 tokens; 749 longer ones dropped; vocabulary 4,000, 0.00% unknown)
    """
    lines, blank = read_lines(path, errors, strip=False)
    if limit is not None and limit < len(lines):
        keep = torch.randperm(len(lines), generator=randomness.generator(seed))[:limit]
        lines = [lines[i] for i in keep.sort().values.tolist()]
    return _build(lines, blank, vocab, length, lowercase, codec, str(path), tokenizer, allow_losses)


@schemas.checked(
    vocab=schemas.whole(16, limit="vocab"), length=schemas.maybe(schemas.whole(1, limit="length")),
    lowercase=schemas.maybe(schemas.boolean), allow_losses=schemas.boolean,
)  # fmt: skip
def from_lines(
    lines,
    vocab: int = 4000,
    length: int | None = None,
    lowercase: bool | None = None,
    tokenizer: str = "auto",
    allow_losses: bool = False,
) -> TextData:
    """As `from_file`, from a list of sentences.

    - `lines`: the sentences;
    - `vocab`, `length`, `lowercase`, `tokenizer`, `allow_losses`: as for `from_file`.

    >>> data = from_lines(["It 's ready .", "It 's ready ."])
    >>> data.decode(data.sample(1)[0])
    "it 's ready ."
    >>> from_lines(["心臓 ❤️ 👩‍👩‍👧"]).decode(from_lines(["心臓 ❤️ 👩‍👩‍👧"]).rows[0])
    '心臓 ❤️ 👩‍👩‍👧'
    """
    lines = arguments.texts("lines", lines, blank=True)
    return _build(lines, 0, vocab, length, lowercase, None, "the list", tokenizer, allow_losses)


def from_spec(data: dict) -> TextCodec:
    """The codec of a model of text, from `model.data` alone. ValueError for a model of something
    else.

    >>> data = from_lines(["a b"], length=4)
    >>> from_spec(data.spec()).encode("a [MASK]").tolist()[1:] == [data.vocab, 0, 0]
    True
    """
    if not isinstance(data, dict):
        raise ValueError(f"data must be what a model keeps of its text, got {arguments.shown(data)}")
    if not isinstance(data.get("text"), dict) or not {"tokenizer", "length"} <= set(data["text"]):
        raise ValueError(f"not a model of text: its data have no tokenizer, only {sorted(data)}")
    about = data["text"]
    how = about.get("lowercase", True), about.get("spaced", True), about.get("foreign", False)
    return TextCodec(about["tokenizer"], about["length"], *how)


def lm1b(sentences: int | None = 50_000, split: str = "train", cache=None, url: str | None = None, progress=True):
    """Download a part of the One Billion Word benchmark: a file, one sentence a line;
    `from_file(lm1b(50_000))` is ready for `fit`.

    - `sentences`: the first so many; None for all;
    - `split`: 'train' or 'heldout';
    - `cache`: a folder; None for $LDDM_CACHE, or lddm-lite in the user's cache;
    - `url`: of the archive; None for `one_billion_words.URL`;
    - `progress`: show a bar.

    The archive is read from its front until the subset is complete; 50,000 sentences are 7 MB of
    text, and the held-out part may lie at the end of the archive's 1.79 GB. All is kept, checked
    when used again, and a broken download goes on where it stopped. $LDDM_LM1B names an archive
    fetched by hand, to be used instead of the network.

    Returns the path. Raises ValueError for a bad argument, a split with fewer sentences, or an
    archive that is damaged also when fetched anew; DownloadError (an OSError) that says what to do
    without a network; OSError on a full disk, with nothing half written. Source: Chelba et al.
    2013, arXiv 1312.3005.

    >>> lm1b(1_000)  # doctest: +SKIP
    PosixPath('/home/me/.cache/lddm-lite/lm1b/7cfc577ace1b/train-1000.txt')
    """
    from . import one_billion_words

    return one_billion_words.subset(sentences, split, cache, url or one_billion_words.URL, progress)


def _build(lines, blank, vocab, length, lowercase, codec, name, tokenizer, allow_losses) -> TextData:
    if length is not None:
        arguments.integer("length", length, minimum=1)
    nul, lines = sum("\0" in line for line in lines), [line.replace("\0", "") for line in lines]
    blank, lines = blank + sum(not line.strip() for line in lines), [line for line in lines if line.strip()]
    if codec is not None and not isinstance(codec, TextCodec):
        raise ValueError(f"codec must be a TextCodec or None, got {arguments.shown(codec)}")
    if not lines:
        raise ValueError(f"{name} is empty: it must hold at least one sentence, one a line")
    given = codec is not None
    notes: list[str] = []
    if codec is None:
        codec, notes = make(tokenizer, lines, vocab, length, lowercase)
    data = TextData.of(codec, lines, blank, name)
    data.nul = nul
    data.losses.notes, data.losses.allowed = notes, allow_losses
    if not given:  # what is read in the tokens of another text is judged where it is trained on
        data.losses.check(name)
    return data
