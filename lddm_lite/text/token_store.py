"""Tokenised text on disk, read row by row, ready for `fit`.

A store is a folder: `tokens.bin`, rows of L token ids, unsigned 16 or 32 bit, little-endian; and
`header.json`, which says all about them, the tokenizer included. `build` (see `build_token_store`)
makes one from a text and keeps it in the cache.

Batches are read row by row at their place in the file (pread), 3 us each. The file can be mapped
too (`rows`), but a recent Linux maps up to 2 MB around every row that is touched, all of which
counts as the process's memory.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np
import torch

from .._common import arguments, randomness, schemas
from .._common.arguments import shown
from .._common.files import read_json, sha256, user_path
from .._common.randomness import random_rows, split_rows
from .codec import TextCodec
from .dataset import from_spec
from .losses import Losses

__all__ = ["DamagedStore", "TokenStore", "load"]

FORMAT, VERSION = "lddm-lite tokens", 1


_COUNT = schemas.whole(0)
HEADER = schemas.record(
    {"format": schemas.constant(FORMAT), "version": schemas.constant(VERSION), "rows": schemas.whole(1),
     "dtype": schemas.choice("<u2", "<u4"), "lengths": schemas.items(_COUNT), "sha256": schemas.text("[0-9a-f]{64}"),
     "codec": schemas.record({"tokenizer": schemas.text(), "length": schemas.whole(1, limit="length"),
                              "lowercase": schemas.boolean}, others=schemas.anything),
     "mode": schemas.choice("pad", "pack"), "tokens": schemas.whole(1), "unknown": _COUNT, "dropped": _COUNT,
     "cropped": _COUNT},
    {"blank": _COUNT, "nul": _COUNT}, others=schemas.anything)  # fmt: skip


class DamagedStore(ValueError):
    """A folder that is no store, of another version, or not what was written: the message says what
    is wrong."""


class TokenStore:
    """Token dataset on disk, of sentences or packed text; it has what `fit` and
    `LatentDiffusion.preset` need of data: `length`, `vocab`, `labels`, `pad_id`, `spec`, `sample`.
    From the same text and tokenizer, `sample` gives the same batches as `TextData`, draw for draw.

    Attributes: `codec`, with `encode` and `decode`; `folder`; `header`, what header.json says:
    `mode` 'pad' or 'pack', `long`, `rows`, `lengths` (rows with 0..L tokens), `tokens`, `unknown`,
    `dropped`, `cropped`, `blank`, `nul`, `corpus` and `tokenizer` (SHA-256), `sha256` of the ids.

    >>> from lddm_lite.text.build_token_store import build
    >>> with open("sentences.txt", "w") as f:
    ...     _ = f.write("Rain fell .\\nThe river rose .\\n")
    >>> store = build("sentences.txt", vocab=64, length=6, cache=".", progress=False)
    >>> store[1].shape, store.batch([0, 1]).dtype, store.sample(3, seed=0).shape, len(store)
    (torch.Size([6]), torch.int64, torch.Size([3, 6]), 2)
    """

    def __init__(self, folder, header: dict, codec: TextCodec, part: tuple[float, int, int] | None = None):
        self.folder, self.header, self.codec = Path(folder), header, codec
        self.length, self.vocab, self.pad_id = codec.length, codec.vocab, codec.pad_id
        self.labels, self.encode, self.decode = codec.labels, codec.encode, codec.decode
        self._part = part  # (fraction, seed, 0 or 1 for what is held out) of `split`; None: all rows
        self._numbers = None if part is None else split_rows(header["rows"], part[0], part[1])[part[2]].numpy()
        self._file = os.open(self.folder / "tokens.bin", os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    @property
    def rows(self) -> np.ndarray:
        """The whole file, mapped into memory, [rows, L], read-only: for statistics over all of it.

        >>> from lddm_lite.text.build_token_store import build
        >>> build(["Rain fell ."], vocab=64, length=6, cache=".", progress=False).rows.shape
        (1, 6)
        """
        shape = self.header["rows"], self.length
        return np.memmap(self.folder / "tokens.bin", self.header["dtype"], "r", shape=shape)

    def batch(self, indices) -> torch.Tensor:
        """The rows with these numbers: [n, L], int64. ValueError for a number outside 0..len-1.

        >>> from lddm_lite.text.build_token_store import build
        >>> build(["Rain fell ."], vocab=64, length=6, cache=".", progress=False).batch([0, 0]).shape
        torch.Size([2, 6])
        """
        i = arguments.numbers_of("indices", indices).reshape(-1)
        if i.size and i.dtype.kind not in "iu":
            raise ValueError(f"indices must be integers, got {shown(indices)}")
        i = i.astype(np.int64)
        if i.size and (i.min() < 0 or i.max() >= len(self)):
            raise ValueError(f"indices must be in 0..{len(self) - 1}, got {i.min()}..{i.max()}")
        if self._numbers is not None:
            i = self._numbers[i]
        return torch.from_numpy(self._read(i).astype(np.int64))

    def _read(self, i: np.ndarray) -> np.ndarray:
        if not hasattr(os, "preadv"):  # Windows
            return self.rows[i]
        out = np.empty((len(i), self.length), self.header["dtype"])
        for row, at in zip(out, (i * out.itemsize * self.length).tolist(), strict=True):
            if os.preadv(self._file, [row], at) != row.nbytes:
                raise DamagedStore(f"{self.folder / 'tokens.bin'} was cut off while it was in use")
        return out

    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """`n` rows drawn with replacement: [n, L], int64. `seed`: integer or generator.

        >>> from lddm_lite.text.build_token_store import build
        >>> build(["Rain fell ."], vocab=64, length=6, cache=".", progress=False).sample(2).shape
        torch.Size([2, 6])
        """
        return self.batch(random_rows(len(self), n, seed).numpy())

    def epoch(self, batch: int, seed: int = 0, number: int = 0):
        """All rows once, in random order, as batches [batch, L]; the last may be smaller. `number`
        of the epoch: each has an order of its own, which takes 8 bytes a row.

        >>> from lddm_lite.text.build_token_store import build
        >>> store = build(["Rain fell .", "Snow fell .", "It rose ."], vocab=64, length=6, cache=".", progress=False)
        >>> [len(x) for x in store.epoch(batch=2)]
        [2, 1]
        """
        arguments.integer("batch", batch, minimum=1)
        arguments.integer("number", number, minimum=0)
        g = randomness.generator((arguments.seed("seed", seed) * 1_000_003 + number) % 2**63)
        for numbers in torch.randperm(len(self), generator=g).split(batch):
            yield self.batch(numbers)

    def split(self, fraction: float = 0.05, seed: int = 0) -> tuple[TokenStore, TokenStore]:
        """(training, validation): a random `fraction` of the rows, at least one, is held out: the
        same as of a `TextData`. Both read the same file; the header, and so the lengths in `spec`,
        stay those of the whole. ValueError for fewer than two rows.

        >>> from lddm_lite.text.build_token_store import build
        >>> store = build(["Rain fell .", "Snow fell .", "It rose ."], vocab=64, length=6, cache=".", progress=False)
        >>> [len(part) for part in store.split(0.3)]
        [2, 1]
        """
        if self._part is not None:
            raise ValueError("split the whole store, not a part of it")
        split_rows(len(self), fraction, seed)  # which names what is wrong
        rest, held = (TokenStore(self.folder, self.header, self.codec, (fraction, seed, k)) for k in (0, 1))
        rest.allow_losses = self.allow_losses
        return rest, held

    def spec(self) -> dict:
        """The tokenizer, and `lengths`, the share of rows of each length 0..L, as `TextData.spec`.

        >>> from lddm_lite.text.build_token_store import build
        >>> build(["a b", "a"], vocab=64, length=3, cache=".", progress=False).spec()["lengths"]
        [0.0, 0.5, 0.5, 0.0]
        """
        counts = torch.tensor(self.header["lengths"], dtype=torch.float64)
        return {**self.codec.spec(), "lengths": (counts / counts.sum()).tolist()}

    def unknown(self) -> float:
        """Share of tokens that are [UNK].

        >>> from lddm_lite.text.build_token_store import build
        >>> build(["a b"], vocab=64, length=3, cache=".", progress=False).unknown()
        0.0
        """
        return self.header["unknown"] / self.header["tokens"]

    @property
    def losses(self) -> Losses:
        """What was unknown, dropped, cut or changed, as of a `TextData`."""
        h = self.header
        lines = h["rows"] + h["dropped"] if h["mode"] == "pad" else 0
        return Losses(
            lines, h["blank"], h["dropped"], h["cropped"], h["tokens"], h["unknown"], h.get("changed") or 0.0,
            list(h.get("notes", [])), self.allow_losses,
        )  # fmt: skip

    allow_losses = False  # train on it whatever `losses` says

    def __len__(self) -> int:
        return self.header["rows"] if self._numbers is None else len(self._numbers)

    def __getitem__(self, i: int) -> torch.Tensor:
        i = arguments.integer("i", i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"rows are numbered 0..{len(self) - 1}, got {i}")  # which ends a loop over them
        return self.batch([i % len(self)])[0]

    def __reduce__(self):  # to the workers of a DataLoader goes the folder, not the text
        return _again, (str(self.folder), self._part)

    def __repr__(self) -> str:
        h = self.header
        what = "rows of packed text, of" if h["mode"] == "pack" else "sentences of at most"
        left = "".join(f"; {h[k]:,} longer ones {k}" for k in ("dropped", "cropped") if h[k])
        return (
            f"TokenStore({len(self):,} {what} {self.length} tokens{left}; "
            f"vocabulary {self.vocab:,}, {self.unknown():.2%} unknown; {self.folder})"
        )


def load(folder, verify: bool = True) -> TokenStore:
    """The store in a folder. Raises DamagedStore, a ValueError, naming what is wrong;
    `verify=False` compares sizes but not the SHA-256 of the ids, for which the whole file is read
    (about a second per GB).

    >>> from lddm_lite.text.build_token_store import build
    >>> store = build(["Rain fell ."], vocab=64, length=6, cache=".", progress=False)
    >>> len(load(store.folder))
    1
    """
    folder = user_path("folder", folder)
    header = read_json(folder / "header.json")
    if header is None or header.get("format") != FORMAT:
        raise DamagedStore(f"{folder} holds no tokens, or its header.json is damaged")
    if header.get("version") != VERSION:
        raise DamagedStore(f"{folder} has version {shown(header.get('version'))}; this library reads version {VERSION}")
    try:
        header = HEADER("", header)
        about, file = header["codec"], folder / "tokens.bin"
        codec = from_spec({"text": about})
        size = header["rows"] * codec.length * np.dtype(header["dtype"]).itemsize
        if len(header["lengths"]) != codec.length + 1 or sum(header["lengths"]) != header["rows"]:
            raise ValueError("numbers that do not fit together")
    except ValueError as e:
        raise DamagedStore(f"{folder / 'header.json'} is damaged: {e}") from None
    if not file.is_file() or file.stat().st_size != size:
        raise DamagedStore(f"{file} is missing or cut off: it must have {size:,} bytes")
    if file.is_symlink():
        raise DamagedStore(f"{file} is a link to another file")
    if verify and sha256(file) != header["sha256"]:
        raise DamagedStore(f"{file} was changed: its sha256 is not the one in header.json")
    return TokenStore(folder, header, codec)


def _again(folder: str, part) -> TokenStore:
    store = load(folder, verify=False)
    return store if part is None else TokenStore(folder, store.header, store.codec, part)
