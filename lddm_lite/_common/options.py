"""Options: the fields of a dataclass, each of which says what it means and what it may be. The
dataclass checks itself by that, the command line is made from it, and so may tests be."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from . import arguments
from .words import either

__all__ = ["Option", "check_fields", "option", "options"]


@dataclass(frozen=True)
class Option:
    """What a field declares.

    - `kind`: int, float, bool or str. `many`: a tuple of those. `optional`: None is allowed too.
    - `default`: `dataclasses.MISSING` where there is none.
    - `minimum`, `maximum` belong to the domain; `above`, `below` bound it from outside.
    - `choices`: all that a text may be.
    - `flags`, `metavar`: what the command line calls the option (one name without dashes: a
      positional), and its value; by default --name, and a letter for the kind.
    """

    name: str
    kind: type
    many: bool
    optional: bool
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    metavar: str | None = None

    def check(self, value):
        """Return `value`, or raise ValueError naming the option, what was given and what is
        allowed.

        >>> Option("steps", int, many=True, optional=False, default=(8,), help="", minimum=1).check((2, 4))
        (2, 4)
        """
        if value is None and self.optional:
            return value
        if not self.many:
            return self._one(value)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"{self.name} must be a list of values, got {arguments.shown(value)}")
        return tuple(map(self._one, value))

    def _one(self, value):
        if self.choices and (not isinstance(value, str) or value not in self.choices):
            raise ValueError(f"{self.name} must be {either(self.choices)}, got {arguments.shown(value)}")
        if self.kind is int:
            return arguments.integer(self.name, value, self.minimum, self.maximum)  # type: ignore[arg-type]
        if self.kind is float:
            value = arguments.number(self.name, value, self.minimum, self.maximum, self.above, self.below)
            if abs(value) == float("inf"):
                raise ValueError(f"{self.name} must be finite, got {value}")
            return value
        if self.kind is bool:
            return arguments.truth(self.name, value)
        if not isinstance(value, str):
            raise ValueError(f"{self.name} must be a text, got {arguments.shown(value)}")
        return value


def option(default: Any = MISSING, help: str = "", **domain) -> Any:
    """A field of a dataclass that is an option. `domain`: other attributes of `Option`, `minimum`
    to `metavar`.

    >>> @dataclass
    ... class Walk:
    ...     steps: int = option(8, "how many", minimum=1)
    >>> Walk().steps
    8
    """
    return field(default=default, metadata={"help": help, **domain})


@functools.cache
def options(cls: type) -> tuple[Option, ...]:
    """The options of a dataclass, in order.

    >>> @dataclass
    ... class Walk:
    ...     lead: float | None = option(None, "how far ahead", minimum=0, below=1)
    >>> options(Walk)[0].check(1.0)
    Traceback (most recent call last):
    ValueError: lead must be a number in [0, 1), got 1.0
    """
    hints, out = get_type_hints(cls), []
    for f in fields(cls):
        if "help" in f.metadata:
            kinds = get_args(hints[f.name]) if isinstance(hints[f.name], UnionType) else (hints[f.name],)
            many = get_origin(kinds[0]) is tuple
            kind = get_args(kinds[0])[0] if many else kinds[0]
            out.append(Option(f.name, kind, many, NoneType in kinds, f.default, **f.metadata))
    return tuple(out)


def check_fields(config) -> None:
    """ValueError for the first option of a dataclass that is not in its domain. Numbers of other
    kinds, numpy's say, become Python's.

    >>> @dataclass
    ... class Walk:
    ...     order: str = option("even", "which first", choices=("even", "any"))
    >>> check_fields(Walk("odd"))
    Traceback (most recent call last):
    ValueError: order must be even or any, got 'odd'
    """
    for o in options(config.__class__):
        object.__setattr__(config, o.name, o.check(getattr(config, o.name)))
