"""Molecules as text: the strings (SMILES) of two open collections, one symbol an atom, a bond or a
bracket.

They are read from packages that carry them, which `make molecules` installs; nothing of these is
imported, and nothing of theirs is in this repository. Sources: QM9, Ramakrishnan et al. 2014, in
the package `qm9pack`; MOSES, Polykovskiy et al. 2020, in `molsets`.
"""

from __future__ import annotations

import csv
import functools
import gzip
import importlib.metadata
import io
import itertools
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._common import arguments, schemas
from .codec import PAD, UNK, TextCodec
from .dataset import TextData, from_spec

__all__ = ["COLLECTIONS", "INSTALL", "SYMBOL", "Molecules", "chemistry", "from_smiles", "held_out", "load", "molecule"]
__all__ += ["strings", "tokenizer"]

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


class Molecules(TextData):
    """Strings of molecules as token ids: a text whose pieces are symbols, from the collection
    `name`, or of one's own ("").

    >>> data = from_smiles(["CCO", "c1cc[nH]c1Br"], length=8)
    >>> data.labels[2:], data.decode(data.encode("C[MASK]O"))
    (['1', 'Br', 'C', 'O', '[nH]', 'c'], 'C[MASK]O')
    """

    name = ""

    def spec(self) -> dict:
        """As of a text, with the name of the collection.

        >>> from_smiles(["CCO"], length=3).spec()["molecules"]
        ''
        """
        return {**super().spec(), "molecules": self.name}

    def __repr__(self) -> str:
        left = f"; {self.dropped:,} longer ones dropped" if self.dropped else ""
        of = f" of {self.name}" if self.name else ""
        return f"Molecules({len(self):,} strings{of} of at most {self.length} of {self.vocab - 2} symbols{left})"


@schemas.checked(
    name=schemas.choice(*COLLECTIONS), length=schemas.maybe(schemas.whole(1, limit="length")),
    limit=schemas.maybe(schemas.whole(1)),
)  # fmt: skip
def load(name: str, length: int | None = None, limit: int | None = None) -> tuple[Molecules, Molecules]:
    """(training data, held-out data) of a collection.

    - `name`: "qm9", 131 thousand molecules of at most nine heavy atoms; or "moses", 1.8 million of
      the kind that drugs are;
    - `length`: longer strings are dropped and counted; None keeps nearly all of them;
    - `limit`: no more than the first so many of each part.

    MOSES comes with its own test part. Of QM9 every string is held out whose CRC-32 is a multiple
    of 20. Both use the symbols of the training part. ImportError naming the command where the
    package is not installed; ValueError for another name.

    >>> load("qm9")[1]  # doctest: +SKIP
    Molecules(6,631 strings of qm9 of at most 20 of 20 symbols; 4 longer ones dropped)
    """
    train, test = strings(name)
    length = COLLECTIONS[name].length if length is None else length
    data = from_smiles(train[:limit], length)
    data.name = name
    return data, held_out(data.spec(), limit)


@schemas.checked(
    spec=schemas.record({"molecules": schemas.choice(*COLLECTIONS)}, others=schemas.anything),
    limit=schemas.maybe(schemas.whole(1)),
)  # fmt: skip
def held_out(spec: dict, limit: int | None = None) -> Molecules:
    """The held-out data of the collection that a model was made for, in the model's own symbols;
    strings with others are left out. `spec`: its `data`. Errors as for `load`.

    >>> held_out(load("qm9")[0].spec())  # doctest: +SKIP
    Molecules(6,631 strings of qm9 of at most 20 of 20 symbols; 4 longer ones dropped)
    """
    codec, test = from_spec(spec), strings(spec["molecules"])[1][:limit]
    known = [s for s, ids in zip(test, codec.tokenise(test), strict=True) if 1 not in ids]
    data = Molecules.of(codec, known, name=f"the held-out part of {spec['molecules']}")
    data.name = spec["molecules"]
    return data


@schemas.checked(lines=arguments.texts, length=schemas.whole(1, limit="length"))
def from_smiles(lines: list[str], length: int) -> Molecules:
    """Strings of your own as data for `fit`, a symbol a token; longer ones are dropped.

    >>> from_smiles(["CCO", "CCl"], length=3)
    Molecules(2 strings of at most 3 of 3 symbols)
    """
    return Molecules.of(TextCodec(tokenizer(lines), length, lowercase=False, spaced=False), list(lines))


def tokenizer(lines: list[str]) -> str:
    """The JSON text of a tokenizer that knows each symbol in `lines`, with [PAD] 0 and [UNK] 1.

    >>> import tokenizers
    >>> tokenizers.Tokenizer.from_str(tokenizer(["CCl"])).encode("ClCF").ids
    [3, 2, 1]
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    cut = pre_tokenizers.Split(Regex(SYMBOL), "isolated")
    seen = sorted(set(itertools.chain.from_iterable(map(re.compile(SYMBOL).findall, lines))))
    out = Tokenizer(models.WordLevel({s: i for i, s in enumerate([PAD, UNK, *seen])}, unk_token=UNK))
    out.pre_tokenizer = cut
    return out.to_str()


@schemas.checked(name=schemas.choice(*COLLECTIONS))
def strings(name: str) -> tuple[list[str], list[str]]:
    """(training strings, held-out strings) of a collection as they were written, of any length.
    ImportError where it is not installed.

    >>> len(strings("qm9")[1])  # doctest: +SKIP
    6635
    """
    return _strings(name)


@functools.cache
def chemistry() -> Any:
    """`rdkit.Chem`, which no longer writes a line for each string that is no molecule. ImportError
    naming the command where it is not installed.

    >>> chemistry().MolFromSmiles("CCO").GetNumAtoms()  # doctest: +SKIP
    3
    """
    try:
        from rdkit import Chem, RDLogger
    except ImportError:
        raise ImportError(f"molecules are judged by rdkit, not installed here:  {INSTALL}", name="rdkit") from None
    RDLogger.DisableLog("rdApp.*")
    return Chem


def molecule(string: str) -> Any:
    """A string as a molecule of `rdkit`; None for one that is none, or empty.

    >>> molecule("C1CC")  # doctest: +SKIP
    """
    found = chemistry().MolFromSmiles(string) if string else None
    return found if found is not None and found.GetNumAtoms() else None


@functools.lru_cache(maxsize=2)
def _strings(name: str) -> tuple[list[str], list[str]]:
    about = COLLECTIONS[name]
    texts = {part: _read(about.package, files) for part, files in about.parts.items()}
    if "all" not in texts:
        return texts["train"], texts["test"]
    held = [zlib.crc32(s.encode()) % HELD_OUT == 0 for s in texts["all"]]
    train, test = ([s for s, out in zip(texts["all"], held, strict=True) if out == wanted] for wanted in (False, True))
    return train, test


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
