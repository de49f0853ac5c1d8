"""Sequences of your own as data: an array of ids, and the words that they stand for."""

from __future__ import annotations

import numpy as np
import torch

from .._common import arguments, data_contract
from .._common.data_contract import length_shares
from .._common.randomness import random_rows, split_rows

__all__ = ["ArrayData", "from_arrays"]


class ArrayData:
    """Rows of token ids, ready for `fit`: what `from_arrays` gives.

    Attributes: `rows` [N, L]; `length`, `vocab`, `labels`, `pad_id`; `shape` (rows, columns) of a
    sequence that is a picture, or None; `classes`, the names of its classes, or None: the first
    token of a row is then its class, and what follows is the sequence.

    >>> data = from_arrays([[0, 1], [1, 1]])
    >>> data.sample(3, seed=0).shape, len(data), data.labels
    (torch.Size([3, 2]), 2, ['0', '1'])
    """

    def __init__(self, rows: torch.Tensor, labels: list[str], pad_id: int | None, shape, classes: list[str] | None):
        self.rows, self.labels, self.pad_id, self.classes = rows, list(labels), pad_id, classes
        self.length, self.vocab = rows.shape[1], len(self.labels)
        self.shape = None if shape is None else (int(shape[0]), int(shape[1]))

    def spec(self) -> dict:
        """What a model keeps of the data: `lengths` of padded rows, `shape`, `classes` and where
        their ids begin; no rows."""
        out: dict = {} if self.pad_id is None else {"lengths": length_shares(self.rows, self.pad_id)}
        out |= {} if self.shape is None else {"shape": list(self.shape)}
        if self.classes is not None:
            out["classes"] = {"first": self.vocab - len(self.classes), "names": self.classes}
        return out

    def sample(self, n: int, seed: int | torch.Generator = 0) -> torch.Tensor:
        """n rows drawn with replacement: [n, L], int64."""
        return self.rows[random_rows(len(self), n, seed)].long()

    def split(self, fraction: float = 0.05, seed: int = 0) -> tuple[ArrayData, ArrayData]:
        """(training, validation): a random `fraction` of the rows, at least one, is held out.

        >>> [len(part) for part in from_arrays([[0, 1]] * 10).split(0.2)]
        [8, 2]
        """
        parts = split_rows(len(self), fraction, seed)
        rest, held = (ArrayData(self.rows[at], self.labels, self.pad_id, self.shape, self.classes) for at in parts)
        return rest, held

    def decode(self, ids) -> str:
        """The labels of a row of ids, padding left out."""
        ids = arguments.tensor("ids", ids).reshape(1, -1)
        ids = arguments.tokens("ids", ids, ids.shape[1], self.vocab, mask_ok=True)[0].tolist()
        words = ["[MASK]" if int(i) == self.vocab else self.labels[int(i)] for i in ids if int(i) != self.pad_id]
        return ("" if all(len(w) == 1 for w in self.labels) else " ").join(words)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        of = "" if self.shape is None else f", pictures of {self.shape[0]} x {self.shape[1]}"
        of += "" if self.classes is None else f", {len(self.classes)} classes"
        return f"ArrayData({len(self):,} sequences of {self.length} tokens, vocabulary {self.vocab:,}{of})"


def from_arrays(ids, labels=None, pad_id: int | None = None, shape=None, classes=None, names=None) -> ArrayData:
    """Data out of an array of token ids.

    - `ids` [N, L]: integers from 0 on, or truth values, an array, a tensor or lists of equal length;
      more axes, such as those of pictures [N, 8, 8], are put in a row, and their `shape` is noted;
    - `labels`: the word shown for each id; None for the numbers;
    - `pad_id`: the id that fills short sequences up at their end; None for none;
    - `shape`: (rows, columns) of a sequence that is to be shown as a picture;
    - `classes` [N]: what each row is, integers from 0 on. The class then becomes the first token of
      the row, with an id of its own: `model.sample(9, label="3")` is given it, and draws the rest;
    - `names`: of the classes; None for "class 0" and so on.

    ValueError naming what does not fit.

    >>> digits = from_arrays([[[0, 1], [1, 0]], [[1, 1], [0, 0]]], classes=[7, 3], names=[str(i) for i in range(10)])
    >>> digits.length, digits.shape, digits.rows[0].tolist(), digits.labels[9]
    (5, (2, 2), [9, 0, 1, 1, 0], 'class 7')
    """
    x = _integers("ids", ids)
    if x.ndim < 2 or not x.size:
        raise ValueError(f"ids must have shape [N, L], a row for each sequence, got {list(x.shape)}")
    arguments.within("length", x[0].size, "ids: the length of a row")
    arguments.within("vocab", int(x.max()) + 1, "ids: the largest one, plus 1,")
    if shape is not None:
        shape = data_contract.picture("shape", shape, x[0].size)
    elif x.ndim == 3:
        shape = x.shape[1:]
    if pad_id is not None:
        arguments.integer("pad_id", pad_id, 0)
    rows = torch.from_numpy(x.reshape(len(x), -1).astype(np.int64))
    most = int(rows.max()) + 1
    labels = [str(i) for i in range(max(2, most))] if labels is None else _words("labels", labels)
    if not 0 <= int(rows.min()) <= most - 1 < len(labels):
        raise ValueError(
            f"ids must lie in 0..{len(labels) - 1}, one for each of the {len(labels)} labels, got "
            f"{int(rows.min())}..{most - 1}"
        )
    if classes is not None:
        rows, labels, names = _labelled(rows, labels, classes, names)
    elif names is not None:
        raise ValueError("names are those of classes, which are not given")
    kind = torch.int16 if len(labels) < 2**15 else torch.int32
    data = ArrayData(rows.to(kind), labels, pad_id, shape, names)
    data_contract.check(data)
    if pad_id is not None:
        data_contract.check_padding("ids", data.rows, pad_id)
    return data


def _labelled(rows, labels, classes, names) -> tuple[torch.Tensor, list[str], list[str]]:
    """Rows with their class in front, and the labels with those of the classes behind."""
    of = _integers("classes", classes)
    if of.shape != (len(rows),) or of.min() < 0 or of.max() >= arguments.limit("vocab"):
        raise ValueError(
            f"classes must hold an integer from 0 on for each of the {len(rows)} rows, got {list(of.shape)}"
        )
    names = [f"class {k}" for k in range(int(of.max()) + 1)] if names is None else _words("names", names)
    if int(of.max()) >= len(names):
        raise ValueError(f"names must hold {int(of.max()) + 1} words, one for each class, got {len(names)}")
    first = torch.from_numpy(of.astype(np.int64)).unsqueeze(1) + len(labels)
    shown = [f"class {name}" for name in names] if set(names) & set(labels) else names
    return torch.cat([first, rows], 1), [*labels, *shown], names


def _integers(name: str, values) -> np.ndarray:
    try:
        x = np.asarray(values)
    except (ValueError, TypeError, RuntimeError, OverflowError, RecursionError) as e:
        rest = "; rows of equal length, please: fill short ones up with pad_id" if "inhomog" in str(e) else ""
        raise ValueError(f"{name} must hold integers, got {arguments.shown(values)}{rest}") from None
    if x.dtype.kind not in "iub":
        raise ValueError(f"{name} must hold integers, got {x.dtype}: {arguments.shown(values)}")
    return x.astype(np.uint8) if x.dtype.kind == "b" else x


def _words(name: str, values) -> list[str]:
    words = arguments.texts(name, list(values) if isinstance(values, str) and len(values) > 1 else values, blank=True)
    if name == "names" and len(set(words)) < len(words):
        twice = next(w for w in words if words.count(w) > 1)
        raise ValueError(f"{name} must differ, got {arguments.shown(twice)} twice")
    return words
