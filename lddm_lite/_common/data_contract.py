"""The data contract: what is asked of a data object, checked where one comes in (see
`protocols.Data`).

Its members are looked at once, when a model is made for it or trained on it; the rows that it gives
are looked at whenever they are drawn for training.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import torch

from . import arguments, randomness
from .protocols import Data, pad_id

__all__ = ["check", "check_padding", "described", "draw", "is_text", "length_shares", "picture", "read_text"]

LOOK = 2048  # rows that tell the lengths of padded data that do not say them


def check(data: Any, name: str = "data", whole: bool = True) -> None:
    """ValueError unless `data` has what `protocols.Data` asks for, and its parts fit together. Not
    `whole`: labels and `spec`, which training alone can do without, may be missing.

    >>> class Pair:
    ...     length, vocab, labels = 2, 3, ["a", "b"]
    ...     def spec(self):
    ...         return {}
    ...     def sample(self, n, seed=0):
    ...         return torch.zeros(n, 2, dtype=torch.long)
    >>> check(Pair())
    Traceback (most recent call last):
    ValueError: data.labels must hold vocab=3 words, one for each id, got 2
    """
    needed = ("length", "vocab", "labels", "spec", "sample") if whole else ("length", "vocab", "sample")
    missing = [k for k in needed if not hasattr(data, k)]
    if missing:
        what = f"the class {data.__name__}; give an object of it" if isinstance(data, type) else type(data).__name__
        raise ValueError(
            f"{name} must have length, vocab, labels, spec() and sample(n, seed) (see protocols.Data); "
            f"{', '.join(missing)} missing in {what}"
        )
    if isinstance(data, type):
        raise ValueError(f"{name} must be an object, got the class {data.__name__}: call it")
    for k in ("spec", "sample"):
        if not callable(getattr(data, k, check)):
            raise ValueError(f"{name}.{k} must be a method, got {type(getattr(data, k)).__name__}")
    length = arguments.integer(f"{name}.length", data.length, minimum=1)
    vocab = arguments.integer(f"{name}.vocab", data.vocab, minimum=2)
    labels = getattr(data, "labels", None)
    if labels is None and not whole:
        return
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise ValueError(f"{name}.labels must be a list of words, got {type(labels).__name__}")
    labels = list(labels)
    odd = next((v for v in labels if not isinstance(v, str)), None)
    if odd is not None:
        raise ValueError(f"{name}.labels must be texts, got {odd!r}; str(...) makes one of it")
    if len(labels) != vocab:
        raise ValueError(f"{name}.labels must hold vocab={vocab} words, one for each id, got {len(labels)}")
    pad = pad_id(data)
    if pad is not None:
        arguments.integer(f"{name}.pad_id", pad, 0, vocab - 1)
    if hasattr(data, "spec"):
        described(data, name)
    shape = getattr(data, "shape", None)
    if shape is not None:
        picture(f"{name}.shape", shape, length)


def picture(name: str, shape: Any, most: int) -> tuple[int, int]:
    """(rows, columns) of a picture of at most so many tokens. ValueError else.

    >>> picture("shape", [8, 8], 64)
    (8, 8)
    """
    if isinstance(shape, list | tuple) and len(shape) == 2:
        try:
            rows, columns = (arguments.integer(name, v, 1) for v in shape)
        except ValueError:
            rows, columns = 0, 0
        if 1 <= rows * columns <= most:
            return rows, columns
    raise ValueError(f"{name} must be (rows, columns) of at most {most} tokens, got {arguments.shown(shape)}")


def described(data: Data, name: str = "data") -> dict:
    """`data.spec()`, with the `shape` of pictures, and the `lengths` of padded data from 2,048 of
    their rows, where it does not say them. ValueError where that is no JSON object.

    >>> from lddm_lite import tasks
    >>> described(tasks.Binsaw(length=8))["task"]
    'binsaw'
    """
    spec = data.spec()
    try:
        json.dumps(spec)
    except (TypeError, ValueError) as e:
        raise ValueError(f"{name}.spec() must give what JSON can hold: {e}") from None
    if not isinstance(spec, dict):
        raise ValueError(f"{name}.spec() must give a dictionary, got {type(spec).__name__}")
    shape = getattr(data, "shape", None)
    if shape is not None and "shape" not in spec:
        spec = {**spec, "shape": [int(v) for v in shape]}
    pad, length = pad_id(data), int(data.length)
    if pad is None:
        return spec
    if "lengths" not in spec:
        spec = {**spec, "lengths": length_shares(draw(data, LOOK, randomness.generator(0), name), pad)}
    shares = spec["lengths"]
    if not isinstance(shares, list) or len(shares) != length + 1 or not all(v >= 0 for v in shares) or not sum(shares):
        raise ValueError(f"{name}.spec()['lengths'] must hold the share of sequences of each length 0..{length}")
    return spec


def draw(data: Data, n: int, seed: int | torch.Generator, name: str = "data") -> torch.Tensor:
    """`data.sample(n, seed)`, checked: int64 [n, L], ids below V, padding at the end alone.
    ValueError saying what is wrong with the rows.

    >>> from lddm_lite import tasks
    >>> draw(tasks.Binsaw(length=8), 2, 0).shape
    torch.Size([2, 8])
    """
    what = f"{name}.sample({n}, seed)"
    try:
        rows = data.sample(n, seed)
    except (TypeError, AttributeError, LookupError, RuntimeError) as e:
        raise ValueError(
            f"{what}: failed with {type(e).__name__}: {e} (seed is an integer or a torch.Generator)"
        ) from e
    try:
        x = arguments.tokens(what, rows, int(data.length), int(data.vocab))
    except (TypeError, RuntimeError) as e:
        raise ValueError(f"{what} must give token ids [{n}, {data.length}], got {type(rows).__name__} ({e})") from None
    if len(x) != n:
        raise ValueError(f"{what} must give {n} sequences, got {len(x)}")
    check_padding(what, x, pad_id(data))
    return x


def check_padding(what: str, x: torch.Tensor, pad_id: int | None) -> None:
    """ValueError, beginning with `what`, for rows [N, L] with padding before a token.

    >>> check_padding("rows", torch.tensor([[1, 0]]), pad_id=0)
    """
    if pad_id is None:
        return
    before = (x[:, :-1] == pad_id) & (x[:, 1:] != pad_id)
    if bool(before.any()):
        row = int(before.any(1).nonzero()[0])
        told = x[row].tolist()[:16]
        raise ValueError(f"{what}: padding (id {pad_id}) must stand at the end alone; row {row} is {told}")


def is_text(spec: dict) -> bool:
    """Does what a model keeps of its data (`spec`) describe a text, with a tokenizer?

    >>> is_text({"task": "binsaw"})
    False
    """
    return "text" in spec


def length_shares(rows: torch.Tensor, pad_id: int) -> list[float]:
    """Length distribution: the share of rows [N, L] with 0..L tokens before the padding.

    >>> length_shares(torch.tensor([[2, 3], [2, 0]]), pad_id=0)
    [0.0, 0.5, 0.5]
    """
    counts = torch.bincount((rows != pad_id).sum(1), minlength=rows.shape[1] + 1)
    return (counts.double() / len(rows)).tolist()


def read_text(data: Data, ids) -> str:
    """A sequence of ids [n] as text: by `data.decode`, or the labels between spaces, or one after
    another where each is a single character.

    >>> from lddm_lite import tasks
    >>> read_text(tasks.Binsaw(length=4), [0, 1, 1, 0])
    '0110'
    """
    if hasattr(data, "decode"):
        return data.decode(ids)
    words = [data.labels[int(i)] for i in ids]
    return ("" if all(len(w) <= 1 for w in data.labels) else " ").join(words)
