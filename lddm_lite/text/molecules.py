"""Molecules as text: the strings (SMILES) of two open collections, one symbol an atom, a bond or a
bracket.

They are read from packages that carry them, which `make molecules` installs; nothing of these is
imported, and nothing of theirs is in this repository. Sources: QM9, Ramakrishnan et al. 2014, in
the package `qm9pack`; MOSES, Polykovskiy et al. 2020, in `molsets`.
"""

from __future__ import annotations

import csv
import gzip
import importlib.metadata
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from .codec import PAD, UNK, TextCodec
from .dataset import TextData

__all__ = ["COLLECTIONS", "INSTALL", "SYMBOL", "from_smiles", "load", "tokenizer"]

INSTALL = "make molecules"  # or, by hand:  pip install rdkit && pip install --no-deps qm9pack molsets
SYMBOL = r"\[[^\]]+\]|Br|Cl|%\d\d|[^\s]"  # what is one symbol: [nH], Br, Cl, the ring number %12, a character
HELD_OUT = 20  # of so many strings of a collection without a test part, one is held out


@dataclass(frozen=True)
class Collection:
    """Where the strings of a collection lie: its package, the files of each part, and the longest
    string, in symbols, that is kept."""

    package: str
    parts: dict[str, tuple[str, ...]]
    length: int


COLLECTIONS = {
    "qm9": Collection("qm9pack", {"all": tuple(f"qm9pack/data/qm9_part{k}.csv" for k in (1, 2, 3))}, 20),
    "moses": Collection(
        "molsets", {"train": ("moses/dataset/data/train.csv.gz",), "test": ("moses/dataset/data/test.csv.gz",)}, 48),
}


def load(name: str, length: int | None = None, limit: int | None = None) -> tuple[TextData, TextData]:
    """(training data, held-out data) of a collection, as texts whose pieces are symbols.

    - `name`: "qm9", 131 thousand molecules of at most nine heavy atoms; or "moses", 1.9 million
      that drugs are made of;
    - `length`: longer strings are dropped and counted; None keeps nearly all of them;
    - `limit`: no more than the first so many of each part.

    MOSES comes with its own test part. Of QM9 every string is held out whose CRC-32 is a multiple
    of 20. Both use the symbols of the training part; strings with others are not among the held
    out. ImportError naming the command where the package is not installed; ValueError for another
    name.

    >>> train, held = load("qm9")  # doctest: +SKIP
    >>> train  # doctest: +SKIP
    TextData(124,277 sentences of at most 20 tokens; 88 longer ones dropped; vocabulary 22, 0.00% unknown)
    """
    if name not in COLLECTIONS:
        raise ValueError(f"name must be one of {', '.join(COLLECTIONS)}; got {name!r}")
    about = COLLECTIONS[name]
    texts = {part: _read(about.package, files) for part, files in about.parts.items()}
    if "all" in texts:
        held = [zlib.crc32(s.encode()) % HELD_OUT == 0 for s in texts["all"]]
        texts = {part: [s for s, out in zip(texts["all"], held, strict=True) if out == wanted]
                 for part, wanted in (("train", False), ("test", True))}
    train, test = (texts[part][:limit] for part in ("train", "test"))
    data = from_smiles(train, about.length if length is None else length)
    known = [s for s, ids in zip(test, data.codec.tokenise(test), strict=True) if 1 not in ids]
    return data, TextData.of(data.codec, known, name=f"the held-out part of {name}")


def from_smiles(lines: list[str], length: int) -> TextData:
    """Strings of your own as data for `fit`, a symbol a token; longer ones are dropped.

    >>> data = from_smiles(["CCO", "c1cc[nH]c1Br"], length=8)
    >>> data.labels[2:], data.decode(data.encode("C[MASK]O"))
    (['1', 'Br', 'C', 'O', '[nH]', 'c'], 'C[MASK]O')
    """
    return TextData.of(TextCodec(tokenizer(lines), length, lowercase=False, spaced=False), list(lines))


def tokenizer(lines: list[str]) -> str:
    """The JSON text of a tokenizer that knows each symbol in `lines`, with [PAD] 0 and [UNK] 1.

    >>> import tokenizers
    >>> tokenizers.Tokenizer.from_str(tokenizer(["CCl"])).encode("ClCF").ids
    [3, 2, 1]
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    cut = pre_tokenizers.Split(Regex(SYMBOL), "isolated")
    seen = sorted({piece for line in lines for piece, _ in cut.pre_tokenize_str(line)})
    out = Tokenizer(models.WordLevel({s: i for i, s in enumerate([PAD, UNK, *seen])}, unk_token=UNK))
    out.pre_tokenizer = cut
    return out.to_str()


def _read(package: str, files: tuple[str, ...]) -> list[str]:
    """The column SMILES of the package's CSV files. ImportError where they are not installed."""
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(f"the molecules need {package}, not installed here:  {INSTALL}", name=package) from None
    lines: list[str] = []
    for file in files:
        path = Path(str(found.locate_file(file)))
        if not path.is_file():
            raise ImportError(f"{package} is here without {file}; install it again:  {INSTALL}", name=package)
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        lines += [row["SMILES"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    return lines
