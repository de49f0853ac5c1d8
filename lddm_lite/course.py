"""What the course's notebooks need: self-checks of exercises, a report of them, and steps that
shrink in a quick run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import torch

from ._common import files, schemas
from ._common.arguments import shown

__all__ = ["checking", "numbers", "report", "selfcheck", "shrunk"]

_REPORT = "lddm-lite course report"
_MARKS = {True: "✓", False: "✗", None: "…"}
_VERDICTS: dict[str, bool | None] = {}  # of this kernel: right, wrong, not tried


class _NotRight(AssertionError):
    """In a strict run: an answer that is not right."""


@schemas.checked(
    tol=schemas.number(above=0), mistakes=schemas.maybe(schemas.mapping(schemas.anything)), unit=schemas.text(),
    exercise=schemas.one_of(schemas.whole(), schemas.text()), want=schemas.tensor,
)  # fmt: skip
def selfcheck(exercise, got, want, tol: float = 1e-4, mistakes: dict | None = None, unit: str = "") -> bool:
    """Check an exercise: compare an answer with the right one, print what is the matter, and return
    whether it is right.

    - `exercise`: its number, to be printed;
    - `got`: a number, a list, a tensor or an array; `...`, which the exercises begin with, counts
      as not tried yet;
    - `want`: the right value, of the same shape;
    - `tol`: right is |got - want| <= tol * max(1, |want|), everywhere. So is a number that was typed
      with decimals and two significant digits or more, if it is the right one, rounded or cut off;
    - `mistakes`: {what somebody did who got this: the value that results}, in the words to print;
    - `unit`: printed after numbers.

    With LDDM_STRICT=1 in the environment, as
    when solutions are tested, an answer that is not right raises AssertionError. ValueError for a
    tolerance that is not above 0.

    >>> selfcheck("1", 0.69, 0.6931)
    ✓ Exercise 1: right.
    True
    >>> selfcheck("1", 0.5, 0.6931, mistakes={"that is the probability; take -log of it": 0.5})
    ✗ Exercise 1: that is the probability; take -log of it.
    False
    >>> selfcheck("1", [0.25, 0.75], [0.5, 0.5])
    ✗ Exercise 1: value 1 of 2 is 0.25, too small by 0.25 (2 of 2 off).
    False
    """
    if want.is_complex():
        raise ValueError(f"want must be real numbers, got {shown(want)}")
    said, right = _verdict(got, _tensor(want), tol, mistakes or {}, unit)
    return _tell(exercise, said, None if got is ... else right)


def _tell(exercise, said: str, right: bool | None) -> bool:
    _VERDICTS[str(exercise)] = right
    print(f"{_MARKS[right]} Exercise {exercise}: {said}.")
    if not right and os.environ.get("LDDM_STRICT") == "1":
        raise _NotRight(f"exercise {exercise}: {said}")
    return bool(right)


@schemas.checked(exercise=schemas.one_of(schemas.whole(), schemas.text()), wanted=schemas.text())
@contextlib.contextmanager
def checking(exercise, wanted: str) -> Iterator[None]:
    """A check that works with the answer before it compares: an error in here says what kind of
    answer is wanted, and what went wrong with this one.

    - `exercise`: its number, to be printed;
    - `wanted`: the kind of answer, in words: "a path, such as `ld.Curve(...)`".

    >>> with checking("3", "a list of two numbers"):
    ...     second = [0.5][1]
    ✗ Exercise 3: wanted is a list of two numbers; yours ended the check with IndexError: list index out of range.
    """
    try:
        yield
    except _NotRight:
        raise
    except Exception as e:  # noqa: BLE001 - the answer, a function among others, may do anything
        said = " ".join(str(e).split())
        said = said if len(said) <= 160 else said[:159] + "…"
        _tell(exercise, f"wanted is {wanted}; yours ended the check with {type(e).__name__}: {said}".rstrip("."), False)


def numbers(answer) -> torch.Tensor | None:
    """An answer as float64, of the shape that it has; None where it is no number, list, tensor or
    array of numbers.

    >>> numbers((1, 2.5)), numbers("1")
    (tensor([1.0000, 2.5000], dtype=torch.float64), None)
    """
    try:
        return _tensor(answer)
    except (TypeError, ValueError, RuntimeError):
        return None


def _tensor(value) -> torch.Tensor:
    if isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
        value = np.stack(value)  # torch takes them number by number, and warns
    value = torch.as_tensor(value).detach().cpu()
    if value.is_complex():
        raise TypeError("complex numbers")
    return value.double()


def _verdict(got, want: torch.Tensor, tol: float, mistakes: dict, unit: str) -> tuple[str, bool]:
    if got is ...:
        return "not tried yet; put your answer in place of the dots, and run its cell and this one", False
    if got is None:
        return "there is no value: None; the function must return its result", False
    found = numbers(got)
    if found is None:
        return f"numbers are wanted, and this is {type(got).__name__}", False
    typed, got = _typed(got), found
    if got.shape != want.shape:
        return f"its shape is {tuple(got.shape)}; wanted is {tuple(want.shape)}", False
    if not torch.isfinite(got).all():
        return f"{int((~torch.isfinite(got)).sum())} of {got.numel()} values are nan or infinite", False
    if _agrees(got, typed, want, tol):
        return "right", True
    for what, value in mistakes.items():
        value = _tensor(schemas.tensor("mistakes", value))
        if value.shape == got.shape and _agrees(got, typed, value, tol):
            return what, False
    if typed is not None and _agrees(got, typed, want, tol, least=1):
        return "rounded too far; give two digits after the point, or more", False
    return _difference(got, want, tol, f" {unit}" if unit else ""), False


def _agrees(got: torch.Tensor, typed: list | None, want: torch.Tensor, tol: float, least: int = 2) -> bool:
    """Is the answer this value, everywhere within `tol`, or as a person would type it, with so many
    significant digits at least?"""
    near = _near(got, want, tol).flatten().tolist()
    if typed is not None:
        near = [a or _rounded(v, w, least) for a, v, w in zip(near, typed, want.flatten().tolist(), strict=True)]
    return all(near)


def _typed(got) -> list[float | int] | None:
    """The numbers of an answer that a person may have typed, in order; None for one that was
    computed as a tensor or an array."""
    if type(got) in (float, int):
        return [got]
    parts = [_typed(v) for v in got] if isinstance(got, list | tuple) else [None]
    return None if None in parts else [v for part in parts for v in part or []]


def _rounded(typed: float | int, right: float, least: int) -> bool:
    """Is a typed number the right one, rounded or cut off at its last digit? It has at least so
    many significant digits, and decimals if they are two: a whole number must be exact."""
    sign, digits, places = Decimal(repr(typed)).normalize().as_tuple()
    if not isinstance(places, int) or len(digits) < least or (least > 1 and places >= 0):
        return False
    left = (right - typed) * (-1 if sign else 1) / 10.0**places  # in units of the last digit
    return -0.5 <= left < 1


def _near(a: torch.Tensor, b: torch.Tensor, tol: float) -> torch.Tensor:
    return (a - b).abs() <= tol * b.abs().clamp_min(1)


def _difference(got: torch.Tensor, want: torch.Tensor, tol: float, unit: str) -> str:
    """Where it is furthest off, and whether one factor or one summand would mend all of it. Tells
    no right value."""
    off = ~_near(got, want, tol)
    if _near(-got, want, tol).all():
        return "the sign is the other way round"
    used = want.abs() > 1e-12
    ratio = got[used] / want[used]
    if got.numel() > 1 and used.any() and ratio[0] != 0 and _near(got / ratio[0], want, tol).all():
        return f"all values are {float(ratio[0]):.4g} times too large"
    shift = (got - want).flatten()
    if got.numel() > 1 and _near(got - shift[0], want, tol).all():
        return f"all values are off by {float(shift[0]):+.4g}{unit}"
    at = int((got - want).abs().argmax())
    place = [int(i) for i in torch.unravel_index(torch.tensor(at), got.shape)] if got.dim() else []
    by = float(shift[at])
    # An answer such as [a, b] is counted as people count, from 1; a table is addressed as Python does.
    where = f"value {at + 1} of {got.numel()} is" if got.dim() == 1 else f"at {place} yours is" if place else "yours is"
    count = f" ({int(off.sum())} of {off.numel()} off)" if place else ""
    large = "large" if by > 0 else "small"
    return f"{where} {float(got.flatten()[at]):.4g}{unit}, too {large} by {abs(by):.2g}{count}"


@schemas.checked(name=schemas.text(most=100))
def report(file=None, name: str = "") -> dict[str, bool | None]:
    """Print which exercises of this notebook are solved, and return it: True, False, or None where
    nothing was tried. Counted are those whose checks have been run in this kernel.

    - `file`: a JSON file to hand in; what other notebooks have written to it stays.
    - `name`: of the notebook, under which it is written.

    ValueError for a file without a name of the notebook.

    >>> done = selfcheck("2", 1.0, 2.0)
    ✗ Exercise 2: yours is 1, too small by 1.
    >>> report()["2"]  # doctest: +ELLIPSIS
    solved ...
    False
    """
    if file is not None and not name:
        raise ValueError('name must say which notebook this is, such as "01", if a file is written')
    done = dict(_VERDICTS)
    said = [f"{exercise} {_MARKS[verdict]}" for exercise, verdict in done.items()]
    print(f"solved {sum(v is True for v in done.values())} of {len(done)}:", *said)
    if file is not None:
        path = files.user_path("file", file)
        kept: dict = (files.read_json(path) or {}) if path.exists() else {"format": _REPORT, "notebooks": {}}
        if kept.get("format") != _REPORT or not isinstance(kept.get("notebooks"), dict):
            raise ValueError(f"{path} is not a report of this course")
        kept["notebooks"][name] = {k: _MARKS[v] for k, v in done.items()}
        files.write_json(path, kept)
    return done


@schemas.checked(full=schemas.whole(1), fast=schemas.whole(1))
def shrunk(full: int, fast: int = 60) -> int:
    """`full`, or the smaller `fast` when LDDM_FAST is set: the steps of a notebook's training cell
    in a quick test run.
    """
    return min(full, fast) if os.environ.get("LDDM_FAST", "0") not in ("", "0") else full
