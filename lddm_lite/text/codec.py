"""Tokenizer codec: text to token ids and back."""

from __future__ import annotations

import functools
import itertools
import json
import re
import unicodedata

import numpy as np
import torch

from .._common import arguments, documents, schemas
from .._common.arguments import integer, shown, tokens
from .._common.words import BYTES, joined

__all__ = ["MASK", "PAD", "TextCodec", "UNK"]

PAD, UNK, MASK = "[PAD]", "[UNK]", "[MASK]"  # ids 0 and 1; the mask is no piece, but the id V

LETTER = r"[\p{L}\p{M}\p{N}]"  # of a word, as `wordpiece` takes it
LINES = schemas.items(schemas.text())
_CHUNK = 4096  # lines tokenised at once
_STAND_INS = "ǂǁǀǃʔʕʖ\U000103a0\U000103a1\U000103a2"  # letters without case, one of which stands for a gap


_NESTED = re.compile(r"\((?:[^()\\]|\\.)*(?:[*+]|\{\d*,\d*\})(?:[^()\\]|\\.)*\)(?:[*+]|\{\d+,\d*\})")
_SAFE = [  # repeats within repeats that cannot be taken in two ways: `wordpiece`'s, and what it was before
    rf"{first}(?:[.,:'’&/-]{first})*" for first in (rf"[\p{{L}}\p{{N}}]{LETTER}*", rf"{LETTER}+")
]


def read_tokenizer(text: str):
    """The tokenizer that a JSON text describes. ValueError for a damaged one, and for what would
    take time or memory without end: padding, truncation, patterns that repeat within repeats, refer
    back or are long, and more pieces than the limit `vocab`.

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
        rest = functools.reduce(lambda rest, safe: rest.replace(safe, "x"), _SAFE, pattern)
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

    Attributes: `length` L; `vocab` V, with [PAD] 0 and [UNK] 1; `labels`, the V pieces as they are
    shown; `pad_id` 0; `mask_id` V; `normalises`, whether it changes text before it cuts it.

    - `tokenizer`: its JSON text;
    - `length`: L;
    - `lowercase`: for the record;
    - `spaced`: False where the pieces make a text without spaces between them, as characters do;
    - `foreign`: a tokenizer of Hugging Face's making, whose ids are renumbered.

    ValueError for damaged JSON.

    >>> from lddm_lite.text.wordpiece import train
    >>> codec = TextCodec(train(["the bank is open ."]), length=8)
    >>> codec.decode(codec.encode("The [MASK] is open ."))
    'the [MASK] is open .'
    """

    def __init__(
        self, tokenizer: str, length: int, lowercase: bool = True, spaced: bool = True, foreign: bool = False
    ):
        self._tokenizer = read_tokenizer(tokenizer)
        about = json.loads(tokenizer)
        words = self._tokenizer.get_vocab()
        names = sorted(words, key=words.__getitem__)
        self.tokenizer, self.foreign = tokenizer, arguments.truth("foreign", foreign)
        self.trimmed = False  # of the blank that some tokenizers put before or after a text
        self._ids: dict[int, int] | None = None  # of a foreign tokenizer -> here
        if foreign:
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            self._tokenizer.encode_special_tokens = True  # a text that spells one is a text
            names, spaced = self._adopt(about, words, names)
        elif sorted(words.values()) != list(range(len(words))) or names[:2] != [PAD, UNK]:
            raise ValueError(f"not a tokenizer of this library: ids must be 0..V-1, with {PAD} 0 and {UNK} 1")
        self.labels, self.spaced = names, arguments.truth("spaced", spaced)
        self.normalises = self._tokenizer.normalizer is not None
        self.lowercase = arguments.truth("lowercase", lowercase)
        self.length = arguments.within("length", integer("length", length, minimum=1))
        self.vocab = self.mask_id = len(self.labels)
        self.pad_id = 0

    def _adopt(self, about: dict, words: dict[str, int], names: list[str]) -> tuple[list[str], bool]:
        """(labels, are they spaced?) of a foreign tokenizer: padding and the unknown token come
        first, and pieces are shown as the text that they stand for."""
        kinds = _types(about)
        unknown = (about.get("model") or {}).get("unk_token")
        if unknown is None and isinstance(number := (about.get("model") or {}).get("unk_id"), int):
            unknown = self._tokenizer.id_to_token(number)  # of a unigram model
        special = {t["content"] for t in about.get("added_tokens", []) if t.get("special")}
        padding = next((p for p in (PAD, "<pad>", "<|pad|>") if p in special), None)
        rest = [w for w in names if w not in (padding, unknown)]
        self._ids = {words[w]: i for i, w in enumerate(rest, 2)}
        self._ids |= {words[w]: i for i, w in ((0, padding), (1, unknown)) if w is not None and w in words}
        if "ByteLevel" in kinds:
            table = _byte_alphabet()
            shown = [w if w in special else _readable(bytes(table[c] for c in w if c in table)) for w in rest]
            self.trimmed = any(k.get("add_prefix_space") for k in kinds["ByteLevel"])
        elif "Metaspace" in kinds or any("▁" in str(k) for k in kinds.get("Replace", [])):
            shown = [w if w in special else w.replace("▁", " ") for w in rest]
            spaces = kinds.get("Metaspace", [])
            self.trimmed = "Prepend" in kinds or any(k.get("prepend_scheme") != "never" for k in spaces)
        elif end := (about.get("model") or {}).get("end_of_word_suffix"):
            shown, self.trimmed = [f"{w.removesuffix(end)} " if w.endswith(end) else w for w in rest], True
        else:
            start = (about.get("model") or {}).get("continuing_subword_prefix") or "##"
            shown = [f"##{w.removeprefix(start)}" if w.startswith(start) and len(w) > len(start) else w for w in rest]
            split = {"Whitespace", "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit", "WordPiece"}
            return [PAD, UNK, *shown], bool(split & set(kinds))
        return [PAD, UNK, *shown], False

    def spec(self) -> dict:
        """What `text.from_spec` needs to build this codec again, JSON-able.

        >>> from lddm_lite.text.wordpiece import train
        >>> sorted(TextCodec(train(["a b"]), length=4).spec()["text"])
        ['length', 'lowercase', 'tokenizer']
        """
        about = {"tokenizer": self.tokenizer, "length": self.length, "lowercase": self.lowercase}
        if self.foreign:
            return {"text": {**about, "foreign": True, "spaced": self.spaced, "trimmed": self.trimmed}}
        return {"text": about if self.spaced else {**about, "spaced": False}}

    @schemas.checked(lines=LINES)
    def tokenise(self, lines: list[str]) -> list[list[int]]:
        """Token ids of each line, of any length; '[MASK]' is ordinary text here.

        >>> from lddm_lite.text.wordpiece import train
        >>> TextCodec(train(["a b"]), length=4).tokenise(["a zebra"])[0][1:]
        [1]
        """
        chunks = (lines[i : i + _CHUNK] for i in range(0, len(lines), _CHUNK))
        found = [e.ids for c in chunks for e in self._tokenizer.encode_batch(c, add_special_tokens=False)]
        return found if self._ids is None else [[self._ids[i] for i in row] for row in found]

    def encode(self, text: str, gap: str = MASK) -> torch.Tensor:
        """Token ids [L] of one text, padded; each `gap` in it is one token, the mask id V, and what
        stands beside it is cut as part of the same text. A word with a character outside the
        vocabulary becomes [UNK]. ValueError for an empty text and above L tokens.

        >>> from lddm_lite.text.wordpiece import train
        >>> TextCodec(train(["a b"]), length=3).encode("a b").count_nonzero()
        tensor(2)
        """
        if not isinstance(text, str):
            raise ValueError(f"text must be a string, got {type(text).__name__}")
        arguments.texts("text", [text], blank=True)
        if not schemas.text()("gap", gap).strip():
            raise ValueError(f"gap must be a text that is not blank, got {shown(gap)}")
        ids = self.around(text, gap) if gap in text else self.tokenise([text])[0]
        if not 1 <= len(ids) <= self.length:
            raise ValueError(f"text must have 1 to {self.length} tokens, got {len(ids)}: {text[:60]!r}")
        return self.pad([ids])[0].long()

    @schemas.checked(text=schemas.text(), gap=schemas.text())
    def around(self, text: str, gap: str) -> list[int]:
        """Token ids of a text with gaps. A letter that the text does not have stands for each gap
        while words are told apart, so that both sides of a gap within a word stay parts of one; the
        blank before a gap is the gap's where it would be part of a piece."""
        if not gap:
            raise ValueError("gap must be a text that is not empty")
        free = [c for c in _STAND_INS if c not in text]
        if not free:
            raise ValueError(f"text uses all letters that could stand for a gap: {text[:60]!r}")
        letter, t = free[0], self._tokenizer
        changed = text.replace(gap, letter)
        changed = changed if t.normalizer is None else t.normalizer.normalize_str(changed)
        cut = t.pre_tokenizer
        alone = [(letter, None)] if cut is None else cut.pre_tokenize_str(letter)
        shown = alone[-1][0].lstrip(_LEADS)  # as some pre-tokenizers spell it
        out: list[int] = []
        for word, _ in [(changed, None)] if cut is None else cut.pre_tokenize_str(changed):
            for k, part in enumerate(word.split(shown)):
                if k > 0:
                    out.append(self.mask_id)
                if part and not (k == 0 and shown in word and not part.strip(_LEADS)):
                    out += self._pieces(part, k > 0)
        return out

    def _pieces(self, part: str, inner: bool) -> list[int]:
        """Ids of a part of one word; `inner`: something of the word goes before it."""
        start = getattr(self._tokenizer.model, "continuing_subword_prefix", None) if inner else None
        found = [p.id for p in self._tokenizer.model.tokenize(part)]
        if start:  # word pieces: the longest first, as the model does
            known, ids, at = self._tokenizer.get_vocab(), [], 0
            while at < len(part):
                end = next((e for e in range(len(part), at, -1) if start + part[at:e] in known), None)
                if end is None:
                    break
                ids.append(known[start + part[at:end]])
                at = end
            found = ids if at == len(part) else found
        return found if self._ids is None else [self._ids[i] for i in found]

    def decode(self, ids) -> str:
        """The text of token ids [n], padding left out, '[MASK]' where masked. ValueError for other
        ids than 0..V.

        >>> from lddm_lite.text.wordpiece import train
        >>> codec = TextCodec(train(["a b"]), length=4)
        >>> codec.decode([0, 1, codec.mask_id])
        '[UNK] [MASK]'
        """
        x = arguments.tensor("ids", ids).reshape(1, -1)
        if not x.numel():
            return ""
        known = tokens("ids", x, x.shape[1], self.vocab, mask_ok=True)[0].tolist()
        text = joined([[*self.labels, MASK][i] for i in known if i != self.pad_id], self.spaced)
        return text.strip(" ") if self.trimmed else text

    @schemas.checked(text=schemas.text())
    def same(self, text: str) -> str:
        """`text` as far as it is promised to come back: canonically composed where the tokenizer
        normalises, and in small letters where it is told to; without blanks at the end."""
        text = unicodedata.normalize("NFC", text) if self.normalises else text
        if self.spaced:
            text = "".join(c for c in " ".join(text.split()) if unicodedata.category(c) != "Cc")
        return text.casefold() if self.lowercase else text

    @schemas.checked(ids=schemas.items(schemas.items(schemas.whole(0))))
    def pad(self, ids: list[list[int]]) -> torch.Tensor:
        """Rows of at most L ids as one tensor [N, L], int16 or int32, filled up with `pad_id`.

        >>> from lddm_lite.text.wordpiece import train
        >>> TextCodec(train(["a b"]), length=3).pad([[2, 3]])
        tensor([[2, 3, 0]], dtype=torch.int16)
        """
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        if (longest := lengths.max(initial=0)) > self.length:
            raise ValueError(f"ids must be rows of at most {self.length}, got one of {longest}")
        flat = np.fromiter(itertools.chain.from_iterable(ids), np.int64, lengths.sum())
        if (high := flat.max(initial=0)) > self.vocab:
            raise ValueError(f"ids must be in 0..{self.vocab}, got {high}")
        rows = np.full((len(ids), self.length), self.pad_id, np.int16 if self.vocab < 2**15 else np.int32)
        rows[np.arange(self.length) < lengths[:, None]] = flat
        return torch.from_numpy(rows)


_LEADS = " ▁Ġ"  # what some pre-tokenizers put before a word


def _types(about) -> dict[str, list[dict]]:
    """The parts of a tokenizer's JSON by their type, but for the model's own."""
    found: dict[str, list[dict]] = {}
    todo = [about.get(k) for k in ("normalizer", "pre_tokenizer", "decoder")]
    if (about.get("model") or {}).get("type") == "WordPiece":
        found["WordPiece"] = [about["model"]]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            found.setdefault(str(part.get("type")), []).append(part)
            for inside in part.values():
                todo += inside if isinstance(inside, list) else []
    return found


def _byte_alphabet() -> dict[str, int]:
    """The printable character that byte-level tokenizers write for each byte (Radford et al. 2019),
    and the byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + k): b for k, b in enumerate(rest)}


def _readable(piece: bytes) -> str:
    """The text of some bytes, or the bytes where they are not whole characters."""
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        text = "<0x"
    return "".join(BYTES[b] for b in piece) if "<0x" in text else text
