"""Argument checks that name the argument, what was given and what is allowed; and limits on sizes
that memory or time follows from, which `LDDM_LIMIT_VOCAB=5000000` in the environment lifts, and so
for each name of `LIMITS`."""

from __future__ import annotations

import math
import numbers
import operator
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = [
    "LIMITS", "SEEDS", "brief", "integer", "limit", "number", "numbers_of", "seed", "shown", "tensor", "texts",
    "tokens", "truth", "within", "word",
]  # fmt: skip

SEEDS = 2**63 - 1  # the largest


def shown(value) -> str:
    """Short representation of any value, for an error message.

    >>> shown("a" * 1000)[-5:], shown(10**6000)
    ("aaa…'", 'an integer of more than 4,000 digits')
    """
    try:
        if isinstance(value, str) and len(value) > SHOWN:
            return repr(value[:SHOWN] + "…")
        if isinstance(value, int) and value.bit_length() > 14_000:
            return "an integer of more than 4,000 digits"
        if hasattr(value, "dtype") and math.prod(value.shape) > 16:  # which take long to be written out
            return f"{str(value.dtype).removeprefix('torch.')} of shape {list(value.shape)}"
        out = repr(value)
    except Exception:  # of other people's classes, and of lists of huge numbers
        out = f"a {type(value).__name__}"
    return out if len(out) <= 2 * SHOWN else out[: 2 * SHOWN] + "…"


SHOWN = 80  # characters of a text


def brief(error: BaseException) -> str:
    """One-line message of another library's error, of bounded length.

    >>> brief(ValueError("bad" * 1000))[-4:]
    'bad…'
    """
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line if len(line) <= 3 * SHOWN else line[: 3 * SHOWN] + "…"


def truth(name: str, value) -> bool:
    """Boolean check: `value`, which must be True or False; a ValueError naming `name` else.

    >>> truth("compile", "no")
    Traceback (most recent call last):
    ValueError: compile must be True or False, got 'no'
    """
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):  # numpy's
        raise ValueError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def word(name: str, value) -> str:
    """String check: `value`, a text that is not empty, without control characters; a ValueError
    else.

    >>> word("encoder", "minilm")
    'minilm'
    """
    if not isinstance(value, str) or not value or any(c < " " or "\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"{name} must be a text, not empty and without control characters, got {shown(value)}")
    return value


def seed(name: str, value) -> int:
    """Seed check: `value`, an integer of any type in [0, 2^63); a ValueError naming `name` else.

    >>> seed("seed", 3)
    3
    """
    return integer(name, value, 0, SEEDS)


LIMITS = {
    "length": 32_768,  # tokens of a sequence
    "vocab": 1_000_000,  # different tokens
    "codes": 1_000_000,  # different codes
    "width": 16_384,
    "blocks": 256,
    "slots": 4_096,
    "dim": 4_096,
    "parameters": 5_000_000_000,  # of a model that is about to be built
    "steps": 65_536,  # of a sampler, in each channel
    "tokens": 1 << 28,  # of all sequences of one call: each takes about 80 bytes in a Trace
    "samples": 10_000_000,  # sequences of one call
    "draws": 65_536,  # of noise, for each sequence
    "numbers": 1 << 31,  # of one tensor that is asked for by its shape
    "components": 1 << 27,  # probabilities of an exact task: 8 bytes each
    "threads": 1_024,
    "json": 64_000_000,  # bytes of a JSON file
    "line": 10_000_000,  # bytes of a line of text
    "header": 16_000_000,  # bytes of the header of a safetensors file
    "file": 1 << 31,  # bytes of a file that is read at once
}


def limit(name: str) -> int:
    """Size limit of that name: the environment's, or the usual one.

    >>> limit("blocks")
    256
    """
    given = os.environ.get(variable(name), "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else LIMITS[name]


def variable(name: str) -> str:
    """Environment variable that lifts a limit."""
    return f"LDDM_LIMIT_{name.upper()}"


def within(name: str, value: int, what: str | None = None) -> int:
    """Size check: `value`, or a ValueError where it is above the limit `name`; `what` it is, for
    the message.

    >>> within("blocks", 12)
    12
    """
    most = limit(name)
    if value > most:
        raise ValueError(
            f"{what or name} must be at most {most:,}, got {shown(value)}; "
            f"to lift this limit, set {variable(name)} in the environment"
        )
    return value


def integer(name: str, value, minimum: int | None = None, maximum: int | None = None) -> int:
    """Integer check: `value` as an int, or a ValueError naming `name` and the allowed range.

    >>> integer("steps", 3, minimum=1)
    3
    """
    ok = type(value) is int  # there may be millions, and to ask further is slow
    if not ok:
        if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # of torch or numpy, which may be no Integral
            value = value.item()
        ok = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not ok or (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ValueError(f"{name} must be an integer{_range(minimum, maximum)}, got {shown(value)}")
    if maximum is None and not -SEEDS <= value <= SEEDS:
        raise ValueError(f"{name} must be an integer of 64 bits, got {shown(value)}")
    return int(value)


def number(name: str, value, minimum=None, maximum=None, above=None, below=None) -> float:
    """A real number, checked: `value` as a float.

    - `name`: of the argument, for the message;
    - `value`: any real number; booleans and nan are none;
    - `minimum`, `maximum`: ends of the allowed range that belong to it; None for no such end;
    - `above`, `below`: ends that do not.

    Raises ValueError, which names the argument and the range, for anything else.

    >>> number("lead", 0.25, 0.0, 0.5), number("lr", 1, above=0)
    (0.25, 1.0)
    """
    ok = isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value
    bounds = ((minimum, operator.ge), (maximum, operator.le), (above, operator.gt), (below, operator.lt))
    if not ok or not all(bound is None or fits(value, bound) for bound, fits in bounds):
        raise ValueError(f"{name} must be a number{_range(minimum, maximum, above, below)}, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that fits 64 bits, got {shown(value)}") from None


def _range(minimum, maximum, above=None, below=None) -> str:
    low, opens, over = (minimum, "[", ">=") if minimum is not None else (above, "(", ">")
    high, closes, under = (maximum, "]", "<=") if maximum is not None else (below, ")", "<")
    if low is not None and high is not None:
        return f" in {opens}{low}, {high}{closes}"
    if low is not None:
        return f" {over} {low}"
    return "" if high is None else f" {under} {high}"


def tokens(name: str, x, length: int, vocab: int, mask_ok: bool = False) -> torch.Tensor:
    """Token ids, checked: `x` as an int64 tensor [B, L].

    - `name`: of the argument, for the message;
    - `x`: ids, a tensor or lists;
    - `length`: L;
    - `vocab`: V; ids are below it;
    - `mask_ok`: the mask id V is allowed too.

    Raises ValueError for an empty batch, a wrong length, a wrong dtype or an id out of range.

    >>> tokens("x", [[0, 1]], length=2, vocab=2)
    tensor([[0, 1]])
    """
    import torch

    x = tensor(name, x)
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise ValueError(f"{name} must hold integer token ids, got dtype {x.dtype}")
    if x.dim() != 2:
        raise ValueError(f"{name} must have shape [batch, {length}], got {tuple(x.shape)}")
    if x.shape[0] == 0:
        raise ValueError(f"{name} is an empty batch; give at least one sequence")
    if x.shape[1] != length:
        raise ValueError(f"{name} must have length {length}, got {x.shape[1]}")
    top = vocab if mask_ok else vocab - 1
    low, high = int(x.min()), int(x.max())
    if low < 0 or high > top:
        extra = f" ({vocab} is the mask)" if mask_ok else ""
        raise ValueError(f"{name} holds ids {low}..{high}; allowed are 0..{top}{extra}")
    return x.long()


def tensor(name: str, x) -> torch.Tensor:
    """Conversion to a tensor: of `x`, a tensor, an array or (nested) lists of numbers. ValueError
    for what is none: None, texts, lists of uneven length, integers above 64 bits.

    >>> tensor("x", [[1, 2]]).shape
    torch.Size([1, 2])
    """
    import torch

    if isinstance(x, torch.Tensor):
        return x
    try:
        if isinstance(x, str | bytes | dict | set) or x is None:
            raise TypeError(f"{type(x).__name__} is no such thing")
        return torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError, OverflowError, RecursionError, IndexError) as e:
        why = str(e).split("\n")[0][:120]
        wish = "a tensor, an array or even lists of numbers"
        raise ValueError(f"{name} must be {wish}, got {shown(x)} ({why})") from None


def numbers_of(name: str, x, kinds: str = "iufb") -> np.ndarray:
    """Conversion to a numpy array: of `x`, an array, a tensor or (nested) lists of numbers.
    ValueError for what is none. `kinds`: numpy's letters for those that will do.

    >>> numbers_of("x", [[1, 2]]).shape
    (1, 2)
    """
    import numpy as np

    if isinstance(x, str | bytes | dict | set):
        raise ValueError(f"{name} must be an array or even lists of numbers, got {shown(x)}")
    try:
        out = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
        if out.dtype.kind not in kinds:
            raise ValueError(f"they are of the kind {out.dtype}")
        return out
    except (TypeError, ValueError, RuntimeError, OverflowError, RecursionError) as e:
        why = str(e).split("\n")[0][:120]
        raise ValueError(f"{name} must be an array or even lists of numbers, got {shown(x)} ({why})") from None


def texts(name: str, values, blank: bool = False) -> list[str]:
    """String list check: `values` as a list of texts, at least one; none of them empty, unless
    `blank`. ValueError naming `name`, and which one is wrong.

    >>> texts("sentences", ("rain fell .", "snow fell ."))
    ['rain fell .', 'snow fell .']
    """
    if isinstance(values, str):
        raise ValueError(f"{name} must be a list of texts, got one text")
    try:
        out = list(values)
    except TypeError:
        raise ValueError(f"{name} must be a list of texts, got {shown(values)}") from None
    if not out:
        raise ValueError(f"{name} must hold at least one text, got none")
    for i, text in enumerate(out):
        if not isinstance(text, str) or not (blank or text.strip()):
            kind = "a text" if blank else "a text that is not empty"
            raise ValueError(f"{name}[{i}] must be {kind}, got {shown(text)}")
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise ValueError(f"{name}[{i}] holds half a character (a lone surrogate): {shown(text)}")
    return out
