"""What the course's notebooks need: self-checks of exercises, and steps that shrink in a quick run.
"""

from __future__ import annotations

import os

import torch

from ._common import schemas
from ._common.arguments import shown

__all__ = ["selfcheck", "shrunk"]


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
    - `tol`: right is |got - want| <= tol * max(1, |want|), everywhere;
    - `mistakes`: {what somebody did who got this: the value that results}, in the words to print;
    - `unit`: printed after numbers.

    With LDDM_STRICT=1 in the environment, as
    when solutions are tested, an answer that is not right raises AssertionError. ValueError for a
    tolerance that is not above 0.

    >>> selfcheck("1", 0.5, 0.6931, mistakes={"that is the probability; take -log of it": 0.5})
    ✗ Exercise 1: that is the probability; take -log of it.
    False
    >>> selfcheck("1", [0.25, 0.75], [0.5, 0.5])
    ✗ Exercise 1: at [0] yours is 0.25, too small by 0.25 (2 of 2 values are off).
    False
    """
    if want.is_complex():
        raise ValueError(f"want must be real numbers, got {shown(want)}")
    said, right = _verdict(got, _tensor(want), tol, mistakes or {}, unit)
    mark = "✓" if right else "…" if got is ... else "✗"
    print(f"{mark} Exercise {exercise}: {said}.")
    if not right and os.environ.get("LDDM_STRICT") == "1":
        raise AssertionError(f"exercise {exercise}: {said}")
    return right


def _tensor(value) -> torch.Tensor:
    value = torch.as_tensor(value).detach().cpu()
    if value.is_complex():
        raise TypeError("complex numbers")
    return value.double()


def _verdict(got, want: torch.Tensor, tol: float, mistakes: dict, unit: str) -> tuple[str, bool]:
    if got is ...:
        return "not tried yet; put your answer in place of the dots, and run its cell and this one", False
    if got is None:
        return "there is no value: None; the function must return its result", False
    try:
        got = _tensor(got)
    except (TypeError, ValueError, RuntimeError):
        return f"numbers are wanted, and this is {type(got).__name__}", False
    if got.shape != want.shape:
        return f"its shape is {tuple(got.shape)}; wanted is {tuple(want.shape)}", False
    if not torch.isfinite(got).all():
        return f"{int((~torch.isfinite(got)).sum())} of {got.numel()} values are nan or infinite", False
    if _near(got, want, tol).all():
        return "right", True
    for what, value in mistakes.items():
        value = _tensor(schemas.tensor("mistakes", value))
        if value.shape == got.shape and _near(got, value, tol).all():
            return what, False
    return _difference(got, want, tol, f" {unit}" if unit else ""), False


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
    where = f"at {place} yours is" if place else "yours is"
    count = f" ({int(off.sum())} of {off.numel()} values are off)" if place else ""
    large = "large" if by > 0 else "small"
    return f"{where} {float(got.flatten()[at]):.4g}{unit}, too {large} by {abs(by):.2g}{count}"


@schemas.checked(full=schemas.whole(1), fast=schemas.whole(1))
def shrunk(full: int, fast: int = 60) -> int:
    """`full`, or the smaller `fast` when LDDM_FAST is set: the steps of a notebook's training cell
    in a quick test run.
    """
    return min(full, fast) if os.environ.get("LDDM_FAST", "0") not in ("", "0") else full
