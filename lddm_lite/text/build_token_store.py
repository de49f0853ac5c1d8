"""Streaming tokenisation of a text into a `TokenStore`: read, cut into pieces and written in one
go, a few thousand lines at a time."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from pathlib import Path

import numpy as np

from .._common import arguments, documents, schemas
from .._common.files import cache_folder, locked, replacing, sha256, user_path, write_json
from .._common.progress import bar as progress_bar
from .codec import TextCodec
from .lines import iter_lines
from .losses import LOOK, returned
from .token_store import FORMAT, VERSION, DamagedStore, TokenStore, load
from .tokenizer_kinds import make

__all__ = ["SEP", "build", "with_separator"]

SEP = "[SEP]"  # ends each sentence of a packed text
LINES, CHARACTERS = 4096, 1 << 20  # tokenised at once, whichever is reached first


def build(
    text,
    codec: TextCodec | None = None,
    length: int | None = None,
    vocab: int = 4000,
    lowercase: bool | None = None,
    mode: str = "pad",
    long: str = "drop",
    learn: int = 100_000,
    cache=None,
    errors: str = "strict",
    progress: bool = True,
    tokenizer: str = "auto",
    allow_losses: bool = False,
) -> TokenStore:
    """Tokenise a text into rows of L ids, on disk, or take them from the cache.

    - `text`: a UTF-8 file, one sentence a line (`text.lm1b(...)`), or a list of sentences;
    - `codec`: the tokenizer (`bert_vocabulary.bert(128)`, or that of another store); its own length
      then holds. None trains one;
    - `length`, `vocab`, `lowercase`, `tokenizer`, `learn`: L, and which tokenizer, of at most `vocab`
      pieces, as for `text.from_file`; it is trained on the first `learn` sentences: shuffle a file
      that is sorted;
    - `mode`: 'pad', a sentence a row, filled up with `pad_id`; 'pack', all sentences in a row, each
      ended by [SEP], cut every L tokens; fewer than L at the very end are left out;
    - `long`: of 'pad', what is longer is dropped ('drop', as `text.from_file` does) or cropped
      ('crop', as is usual on LM1B with length 128);
    - `cache`: a folder; None for `files.cache_folder()`;
    - `errors`: as in `text.from_file`;
    - `progress`: show a bar;
    - `allow_losses`: train on it also where more is lost than `text.losses` allows.

    Kept in the folder `tokens` of the cache, under the SHA-256 of
    the text, the tokenizer and the options; checked when used again, and built anew when damaged.
    Reads the text twice (hash, ids). Raises ValueError for bad arguments, a text without a
    sentence, or one that is not UTF-8 (naming the line); OSError on a full disk, with nothing half
    written.

    >>> build(["Rain fell .", "It rained ."], vocab=64, length=4, mode="pack", cache=".", progress=False).labels[-1]
    '[SEP]'
    """
    options = {"mode": mode, "long": long, "errors": errors}
    allowed = {"mode": ("pad", "pack"), "long": ("drop", "crop"), "errors": ("strict", "replace")}
    for name, value in options.items():
        schemas.choice(*allowed[name])(name, value)
    if codec is not None and not isinstance(codec, TextCodec):
        raise ValueError(f"codec must be a TextCodec or None, got {arguments.shown(codec)}")
    if codec is None:  # the tokenizer follows from the text and these
        arguments.integer("vocab", vocab, minimum=16)
        arguments.integer("learn", learn, minimum=1)
        length = None if length is None else arguments.integer("length", length, minimum=1)
        key: dict = {"length": length, "vocab": vocab, "lowercase": lowercase, "learn": learn, "kind": tokenizer}
    else:
        key = {"length": codec.length, "tokenizer": _digest(codec.tokenizer)}
    source = _Source(text, errors)
    about = {"format": FORMAT, "version": VERSION, **options, "corpus": source.digest, "key": key}
    home = cache_folder() if cache is None else user_path("cache", cache)
    folder = home / "tokens" / _digest(json.dumps(about, sort_keys=True))[:16]
    with locked(folder):
        try:
            return _allowed(load(folder), allow_losses)
        except DamagedStore:
            pass
        (folder / "header.json").unlink(missing_ok=True)  # from here until the end there is no store
        if codec is None:
            lines = list(itertools.islice(filter(None, map(_clean, source.lines())), learn))
            if not lines:
                raise ValueError(f"{source.name} is empty: it must hold at least one sentence, one a line")
            codec, about["notes"] = make(tokenizer, lines, vocab, length, lowercase)
        codec = with_separator(codec) if mode == "pack" else codec
        about |= {"tokenizer": _digest(codec.tokenizer), "codec": codec.spec()["text"]}
        about |= _write(folder / "tokens.bin", source, codec, mode, long, progress)
        source.check_unchanged()
        write_json(folder / "header.json", about)  # last: without it there is no store
        return _allowed(load(folder, verify=False), allow_losses)


def _allowed(store: TokenStore, losses: bool) -> TokenStore:
    store.allow_losses = losses
    return store


def with_separator(codec: TextCodec) -> TextCodec:
    """The codec with the piece [SEP], which no text can spell; itself if it has one.

    >>> from lddm_lite.text import from_lines
    >>> with_separator(from_lines(["a b"]).codec).labels[-1]
    '[SEP]'
    """
    if SEP in codec.labels:
        return codec
    about = documents.parse(codec.tokenizer, "the tokenizer")
    if codec.foreign:
        raise ValueError("mode='pack' needs a tokenizer of this library, which can be given the piece [SEP]")
    about["model"]["vocab"][SEP] = codec.vocab
    return TextCodec(json.dumps(about, ensure_ascii=False), codec.length, codec.lowercase, codec.spaced)


def _write(file: Path, source: _Source, codec: TextCodec, mode: str, long: str, progress: bool) -> dict:
    """Write the rows, and tell what the header is to say of them."""
    dtype, size = np.dtype("<u2" if codec.vocab < 2**16 else "<u4"), codec.length
    told = dict.fromkeys(("rows", "tokens", "unknown", "dropped", "cropped", "blank", "nul"), 0)
    lengths, rest = np.zeros(size + 1, dtype=np.int64), np.zeros(0, dtype)
    shortest: int | None = None
    changed: float | None = None
    with replacing(file) as out, progress_bar(show=progress, desc="tokenising", unit=" lines") as bar:
        for lines in _chunks(source.lines()):
            told["nul"] += sum("\0" in line for line in lines)
            count, lines = len(lines), [line for line in map(_clean, lines) if line]
            ids = codec.tokenise(lines)
            if changed is None:
                look = [(a, row) for a, row in zip(lines[:LOOK], ids, strict=False) if row and 1 not in row]
                back = [codec.same(codec.decode(row)) for _, row in look]
                changed = 1 - returned([codec.same(a) for a, _ in look], back)
            ids = [row for row in ids if row]
            told["blank"] += count - len(ids)  # control characters alone are no sentence either
            if mode == "pack":
                end = [codec.labels.index(SEP)]
                flat = np.array([i for row in ids for i in row + end], dtype)
                flat = np.concatenate([rest, flat])
                rows, rest = np.split(flat, [len(flat) // size * size])
                rows = rows.reshape(-1, size)
            else:
                counts = [len(row) for row in ids] if shortest is None else [shortest, *(len(row) for row in ids)]
                shortest = min(counts, default=None)
                over = sum(len(row) > size for row in ids)
                told["dropped" if long == "drop" else "cropped"] += over
                ids = [row[:size] for row in ids if long == "crop" or len(row) <= size]
                rows = codec.pad(ids).numpy().astype(dtype).reshape(-1, size)
            out.write(rows.tobytes())
            bar.update(count)
            filled = (rows != codec.pad_id).sum(1)
            lengths += np.bincount(filled, minlength=size + 1)
            told["rows"] += len(rows)
            told["tokens"] += int(filled.sum())
            told["unknown"] += int((rows == 1).sum())
        if not told["rows"]:
            if mode == "pack" and len(rest):
                raise ValueError(f"{source.name} has {len(rest)} tokens, fewer than one row of length={size}")
            if shortest:
                raise ValueError(f"{source.name}: the shortest sentence has {shortest} tokens, more than length={size}")
            raise ValueError(f"{source.name} is empty: it must hold at least one sentence, one a line")
    return {**told, "changed": changed, "dtype": dtype.str, "lengths": lengths.tolist(), "sha256": sha256(file)}


class _Source:
    """A file, or a list of sentences: its lines, read as often as needed, and its digest."""

    def __init__(self, text, errors: str):
        self._listed = None if isinstance(text, str | os.PathLike) else arguments.texts("text", text, blank=True)
        self._file, self._errors = text if self._listed is not None else user_path("text", text), errors
        if self._listed is None:
            self.name, self._state = str(text), self._stat()
            self.digest = sha256(documents.regular(self._file))
        else:
            self.name, self.digest = "the list", _digest(json.dumps(self._listed))

    def lines(self):
        if self._listed is not None:
            return iter(self._listed)
        return iter_lines(self._file, self._errors, strip=False)

    def _stat(self):
        about = os.stat(self._file)
        return about.st_size, about.st_mtime_ns

    def check_unchanged(self) -> None:
        if self._listed is None and self._stat() != self._state:
            raise ValueError(f"{self.name} changed while it was read; try again")


def _clean(line: str) -> str:
    """A line without NUL; '' for a blank one."""
    line = line.replace("\0", "")
    return line if line.strip() else ""


def _chunks(lines):
    """Lists of lines, as many as are tokenised at once."""
    chunk, characters = [], 0
    for line in lines:
        chunk.append(line)
        characters += len(line)
        if len(chunk) >= LINES or characters >= CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
