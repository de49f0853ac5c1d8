"""Tokenizers by name: which there are, how each is trained, and which one fits a text.

| name | a token is | text comes back |
|---|---|---|
| `words` | a word piece (`wordpiece`); what the One Billion Word benchmark wants | with spaces around punctuation |
| `characters` | a character (code point): DNA, proteins, scripts without spaces | as it was |
| `bytes` | a piece of text learned by byte-pair encoding, or a byte of what was not seen | as it was |
| `symbols` | what stands between spaces: chords, codes, numbers | with single spaces |
| a file | tokenizer.json, as Hugging Face's `tokenizers` writes it, or a folder that holds one | as it decides |

`auto` looks at the text, and says what it chose and why. All but `words` leave letters as they are
unless `lowercase` is asked for.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path

from .._common import documents
from .._common.arguments import integer, shown
from .._common.words import BYTES
from .codec import PAD, UNK, TextCodec
from .losses import differences
from .wordpiece import train as train_words

__all__ = ["KINDS", "choose", "make", "train"]

KINDS = ("words", "characters", "bytes", "symbols")
OLD = {"own": "words"}  # what `--tokenizer` called it before there were others
LOOK, LOOK_CHARACTERS = 500, 200_000  # lines, and characters, of a text that `auto` looks at
LENGTH, LENGTHS = 64, (64, 128, 256, 512)  # the usual one, and those that single characters may need
_UNSPACED = (  # first and last code points of scripts that set no spaces between words
    (0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
# a word with the space before it, a digit, punctuation, or blanks: what pieces of `bytes` do not cross
_PRETOKEN = r" ?[\p{L}\p{M}\x{200C}\x{200D}]+| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"


def make(
    tokenizer: str, lines: list[str], vocab: int = 4000, length: int | None = None, lowercase: bool | None = None
) -> tuple[TextCodec, list[str]]:
    """(codec, what there is to say of it) for a text.

    - `tokenizer`: one of `KINDS`, 'auto', or the path of a tokenizer.json;
    - `lines`: the text, on which it is trained;
    - `vocab`: pieces at most;
    - `length`: L; None for 64 or, where tokens are characters, bytes or symbols and more than a
      twentieth of the lines is longer, up to 512;
    - `lowercase`: in small letters; None: only words are, of letters that nearly all are a to z.

    ValueError for another name, and a file that is no tokenizer.

    >>> codec, notes = make("auto", ["ACGTTGCA" * 5] * 9)
    >>> codec.labels, codec.length, notes[0]
    (['[PAD]', '[UNK]', 'A', 'C', 'G', 'T'], 64, "tokenizer 'characters': no spaces, and 4 different characters")
    """
    if not isinstance(tokenizer, str):
        raise ValueError(f"tokenizer must be one of auto, {', '.join(KINDS)}, or a file, got {shown(tokenizer)}")
    kind, why = OLD.get(tokenizer, tokenizer), ""
    if kind == "auto":
        kind, why = choose(lines, vocab)
    small = kind == "words" and _english(lines) if lowercase is None else bool(lowercase)
    notes = [f"tokenizer {kind!r}" + (f": {why}" if why else "")]
    if kind in KINDS:
        codec = TextCodec(train(kind, lines, vocab, small), 1, small, spaced=kind in ("words", "symbols"))
    else:
        codec = TextCodec(_read(tokenizer), 1, bool(lowercase), foreign=True)
        if lowercase is not None:
            raise ValueError("lowercase: not with a tokenizer of your own, whose file says how text is normalised")
    if kind == "words":
        notes.append("spaces stand around punctuation, control characters are dropped, letters are composed (NFC)")
    if kind == "symbols":
        notes.append("runs of blanks become one space")
    if small:
        notes.append("in small letters")
    if codec.normalises and codec.foreign:
        notes.append("the tokenizer normalises the text, as its file says")
    codec.length = _length(codec, lines, kind) if length is None else integer("length", length, minimum=1)
    if codec.length != LENGTH and length is None:
        notes.append(f"length {codec.length}, which nearly all lines fit")
    return codec, notes


def _length(codec: TextCodec, lines: list[str], kind: str) -> int:
    """The shortest of `LENGTHS` that 95 % of the lines fit."""
    if kind in ("words", "symbols"):
        return LENGTH
    sizes = sorted(map(len, codec.tokenise(_look(lines))))
    wanted = sizes[int(0.95 * (len(sizes) - 1))] if sizes else 0
    return next((n for n in LENGTHS if n >= wanted), LENGTHS[-1] if wanted > LENGTHS[-1] else LENGTH)


def choose(lines: list[str], vocab: int = 4000) -> tuple[str, str]:
    """(name of the tokenizer that fits a text, why): words where they give the text back, up to
    case; characters where nothing separates words; else bytes.

    >>> choose(["the bank of japan rose ."] * 3)[0], choose(["今天天气很好。", "银行关门了。"])[0]
    ('words', 'characters')
    >>> choose(["def f(x):", "    return x + 1"], vocab=400)[0]
    'bytes'
    """
    some = _look(lines)
    text = "".join(some)
    different = len(set(text))
    letters = [c for c in text if c.isalpha()]
    unspaced = sum(any(a <= ord(c) <= b for a, b in _UNSPACED) for c in letters)
    bytes_fit = vocab >= 300  # 256 bytes, and pieces that are worth having
    if letters and unspaced > 0.2 * len(letters):
        if different + 2 <= vocab or not bytes_fit:
            return "characters", "the script sets no spaces between words"
        return "bytes", f"the script sets no spaces between words, and has {different:,} different characters"
    words = [w for line in some for w in line.split()]
    alone = sum(len(line.split()) < 2 for line in some) >= 0.9 * len(some)  # lines that are one word
    long = sum(len(w) ** 2 for w in words) / max(1, sum(map(len, words)))  # of the word that a letter stands in
    if different <= 64 and long > (8 if alone else 24):
        return "characters", f"no spaces, and {different} different characters"
    many = Counter(words)
    if len(many) <= min(vocab - 2, 1000) and len(words) >= 10 * len(many):
        if sum(any(c.isdigit() for c in w) for w in words) > 0.5 * len(words):
            return "symbols", f"{len(many)} symbols between spaces"
    codec = TextCodec(train_words(some, max(vocab, 4000), True), LENGTH)  # the rule is asked, not the vocabulary
    lost = added = total = 0
    some = ["".join(c for c in line if c == "\t" or unicodedata.category(c) != "Cc") for line in some]
    for line, ids in zip(some, codec.tokenise(some), strict=True):
        gone, new = differences(line.rstrip().casefold(), codec.decode(ids).casefold())
        lost, added, total = lost + gone, added + new, total + len(line)
    share = (lost + added) / max(1, total)
    if share <= 0.005:
        return "words", "words and spaces give the text back, up to capitals"
    if not bytes_fit:
        return "characters", f"words would change {share:.1%} of the text"
    return "bytes", f"words would change {share:.1%} of the text: spaces, punctuation or rare characters"


def train(kind: str, lines: list[str], vocab: int = 4000, lowercase: bool = False) -> str:
    """The JSON text of a tokenizer of a kind, with [PAD] 0 and [UNK] 1: the same for the same text.

    - `kind`: one of `KINDS`;
    - `lines`: the text;
    - `vocab`: pieces at most; of `bytes` at least 258;
    - `lowercase`: in small letters.

    >>> import tokenizers
    >>> tokenizers.Tokenizer.from_str(train("symbols", ["C4 D4 C4"])).encode("D4 C4").ids
    [3, 2]
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    integer("vocab", vocab, minimum=258 if kind == "bytes" else 16 if kind == "words" else 3)
    if kind == "words":
        return train_words(lines, vocab, lowercase)
    if kind == "bytes":
        return _byte_pairs(lines, vocab, lowercase)
    if kind not in KINDS:
        raise ValueError(f"tokenizer must be one of auto, {', '.join(KINDS)}, or a file, got {kind!r}")
    made = (line.lower() if lowercase else line for line in lines)
    seen = Counter(part for line in made for part in (line if kind == "characters" else line.split()))
    kept = sorted(sorted(seen, key=lambda s: (-seen[s], s))[: vocab - 2])
    kept = [s for s in kept if s not in (PAD, UNK)]  # which no text can spell
    out = Tokenizer(models.WordLevel({s: i for i, s in enumerate([PAD, UNK, *kept])}, unk_token=UNK))
    if lowercase:
        out.normalizer = normalizers.Lowercase()
    one = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    reserved = pre_tokenizers.Split(Regex(r"\[(?:PAD|UNK)\]"), "removed")
    apart = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), reserved])
    out.pre_tokenizer = one if kind == "characters" else apart
    return out.to_str()


def _byte_pairs(lines: list[str], vocab: int, lowercase: bool) -> str:
    """Byte-pair encoding over characters (Sennrich et al. 2016), with the 256 bytes for characters
    that are rare or were not seen. At most half of the pieces are single characters."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    out = Tokenizer(models.BPE())
    if lowercase:
        out.normalizer = normalizers.Lowercase()
    out.pre_tokenizer = pre_tokenizers.Split(Regex(_PRETOKEN), "isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, min_frequency=2, show_progress=False, special_tokens=[PAD, UNK, *BYTES],
        limit_alphabet=(vocab - 258) // 2,
    )  # fmt: skip
    out.train_from_iterator(lines, trainer)
    about = json.loads(out.to_str())
    about["added_tokens"] = []  # else they would be found in text as well
    about["model"]["byte_fallback"] = True
    return json.dumps(about, ensure_ascii=False)


def _english(lines: list[str]) -> bool:
    """Are nearly all letters a to z, whose capitals can be left out as the benchmark's are?"""
    letters = [c for line in _look(lines) for c in line if c.isalpha()]
    return sum(map(str.isascii, letters)) >= 0.95 * len(letters)


def _look(lines: list[str]) -> list[str]:
    """Some lines of a text, evenly spread."""
    every = max(1, -(-len(lines) // LOOK))
    some, size = [], 0
    for line in lines[::every]:
        some.append(line[:LOOK_CHARACTERS])
        size += len(line)
        if size > LOOK_CHARACTERS:
            break
    return some


def _read(tokenizer: str) -> str:
    """The text of a tokenizer.json."""
    path = Path(tokenizer).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"tokenizer must be one of auto, {', '.join(KINDS)}, or the path of a tokenizer.json; got {tokenizer!r}"
        )
    try:
        about = documents.parse(path.read_text(encoding="utf-8"), f"the tokenizer {path}")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no tokenizer.json: it is not UTF-8") from None
    if isinstance(about, dict):  # rows are filled up, and cut, here
        about |= {"padding": None, "truncation": None}
    return json.dumps(about, ensure_ascii=False)
