"""Argument checks that name the argument, what was given and what is allowed."""

from __future__ import annotations

import numbers
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["integer", "number", "texts", "tokens"]


def integer(name: str, value, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return `value` as an int, or raise ValueError naming `name` and the allowed range.

    >>> integer("steps", 3, minimum=1)
    3
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # of torch or numpy, which may be no Integral
        value = value.item()
    ok = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not ok or (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ValueError(f"{name} must be an integer{_range(minimum, maximum)}, got {value!r}")
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
        raise ValueError(f"{name} must be a number{_range(minimum, maximum, above, below)}, got {value!r}")
    return float(value)


def _range(minimum, maximum, above=None, below=None) -> str:
    low, high = above if minimum is None else minimum, below if maximum is None else maximum
    if low is not None and high is not None:
        return f" in {'(' if minimum is None else '['}{low}, {high}{')' if maximum is None else ']'}"
    if low is not None:
        return f" {'>' if minimum is None else '>='} {low}"
    return "" if high is None else f" {'<' if maximum is None else '<='} {high}"


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

    x = torch.as_tensor(x)
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


def texts(name: str, values, blank: bool = False) -> list[str]:
    """Return `values` as a list of texts, at least one; none of them empty, unless `blank`.
    ValueError naming `name`, and which one is wrong.

    >>> texts("sentences", ("rain fell .", "snow fell ."))
    ['rain fell .', 'snow fell .']
    """
    if isinstance(values, str):
        raise ValueError(f"{name} must be a list of texts, got one text")
    out = list(values)
    if not out:
        raise ValueError(f"{name} must hold at least one text, got none")
    for i, text in enumerate(out):
        if not isinstance(text, str) or not (blank or text.strip()):
            kind = "a text" if blank else "a text that is not empty"
            raise ValueError(f"{name}[{i}] must be {kind}, got {text!r}")
    return out
