"""Validation schemas of files and arguments: what a value from outside may be, in one line each. A
schema, or domain, is a function (name, value) -> value that raises a ValueError naming what is
wrong.

A new kind of file is one more `record`; a field of it one more line: {"steps": whole(1)}. Names of
fields inside come out as in `history.rows[3].step`.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from . import arguments
from .arguments import shown
from .words import either

__all__ = [
    "CALL", "Domain", "USUAL", "amounts", "anything", "array", "boolean", "checked", "choice", "constant", "counts",
    "data", "fitting", "flags", "floats", "function", "has", "has_attribute", "ids", "integers", "is_a", "items",
    "knots", "line", "mapping", "maybe", "model", "moments", "number", "of_shape", "one_of", "pair", "path", "reals",
    "record", "rows", "seed", "shape", "source", "task", "tensor", "text", "times", "unit", "whole",
]  # fmt: skip

Domain = Callable[[str, Any], Any]


def whole(minimum: int | None = None, maximum: int | None = None, limit: str | None = None) -> Domain:
    """An integer in a range, and within a limit of `arguments.LIMITS`.

    >>> whole(1)("steps", 3)
    3
    """

    def check(name: str, value):
        value = arguments.integer(name, value, minimum, maximum)
        return value if limit is None else arguments.within(limit, value, name)

    return check


def number(minimum=None, maximum=None, above=None, below=None, finite: bool = True) -> Domain:
    """A number in a range.

    - `minimum`, `maximum`: its ends, which belong to it.
    - `above`, `below`: ends that do not.
    - `finite`: False allows NaN and infinities, too.

    >>> number(0, 1)("lead", 0.5)
    0.5
    """

    def check(name: str, value):
        if not finite and isinstance(value, float):
            return value
        value = arguments.number(name, value, minimum, maximum, above, below)
        if finite and value in (float("inf"), float("-inf")):
            raise ValueError(f"{name} must be finite, got {value}")
        return value

    return check


def text(pattern: str | None = None, most: int | None = None) -> Domain:
    """A text, which a pattern fits whole, of at most so many characters.

    >>> text("[a-z]+")("name", "rain")
    'rain'
    """

    def check(name: str, value):
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a text, got {shown(value)}")
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError(f"{name} holds half a character (a lone surrogate): {shown(value)}")
        if most is not None and len(value) > most:
            raise ValueError(f"{name} must be a text of at most {most:,} characters, got {len(value):,}")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise ValueError(f"{name} must be of the form {pattern}, got {shown(value)}")
        return value

    return check


def boolean(name: str, value) -> bool:
    """A boolean: True or False.

    >>> boolean("finished", True)
    True
    """
    return arguments.truth(name, value)


def anything(name: str, value):
    """Any value; how deep it may be is a matter of `documents`.

    >>> anything("meta", [1])
    [1]
    """
    return value


def constant(wanted) -> Domain:
    """A literal: one value alone.

    >>> constant(1)("version", 1)
    1
    """

    def check(name: str, value):
        if type(value) is not type(wanted) or value != wanted:
            raise ValueError(f"{name} must be {wanted!r}, got {shown(value)}")
        return value

    return check


def choice(*names: str) -> Domain:
    """An enumeration: one of several texts.

    >>> choice("pad", "pack")("mode", "pad")
    'pad'
    """

    def check(name: str, value):
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"{name} must be {either(list(map(repr, names)))}, got {shown(value)}")
        return value

    return check


def maybe(of: Domain) -> Domain:
    """An optional value: None, too.

    >>> maybe(whole())("pad_id", None)
    """

    def check(name: str, value):
        return None if value is None else of(name, value)

    return check


def one_of(*domains: Domain) -> Domain:
    """A union: in one of these domains; of an error, the last one speaks.

    >>> one_of(whole(), text())("x", "a")
    'a'
    """

    def check(name: str, value):
        for of in domains[:-1]:
            try:
                return of(name, value)
            except ValueError:
                continue
        return domains[-1](name, value)

    return check


def items(of: Domain, least: int = 0, most: int | None = None) -> Domain:
    """A list or tuple, each item in a domain.

    >>> items(whole(1))("levels", [1, 2])
    [1, 2]
    """

    def check(name: str, value):
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} must be a list, got {shown(value)}")
        if len(value) < least or (most is not None and len(value) > most):
            many = f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most:,}"
            raise ValueError(f"{name} must be a list of {many}, got {len(value):,}")
        return [of(f"{name}[{i}]", v) for i, v in enumerate(value)]

    return check


def mapping(of: Domain) -> Domain:
    """A dictionary of any keys, each value in a domain.

    >>> mapping(whole())("counts", {"a": 1})
    {'a': 1}
    """

    def check(name: str, value):
        if not isinstance(value, dict):
            raise ValueError(f"{name or 'it'} must be an object, got {shown(value)}")
        return {k: of(f"{name}[{shown(k)}]", v) for k, v in value.items()}

    return check


def record(
    fields: dict[str, Domain], optional: dict[str, Domain] | None = None, others: Domain | None = None
) -> Domain:
    """A dictionary with these fields; `optional` ones may be missing. `others`: the domain of
    further ones, of which there are none without it.

    >>> record({"n": whole(1)}, {"seed": whole(0)})("", {"n": 1})
    {'n': 1}
    """
    known = {**fields, **(optional or {})}

    def check(name: str, value):
        if not isinstance(value, dict):
            raise ValueError(f"{name or 'it'} must be an object, got {shown(value)}")
        for key in fields:
            if key not in value:
                raise ValueError(f"{_inner(name, key)} is missing")
        if others is None and (odd := [k for k in value if k not in known]):
            raise ValueError(f"{_inner(name, shown(odd[0]))} is unknown; known are {', '.join(sorted(known))}")
        return {k: (known.get(k) or others or anything)(_inner(name, k), v) for k, v in value.items()}

    return check


def _inner(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def is_a(*classes: type) -> Domain:
    """An instance of one of these classes.

    >>> is_a(dict)("options", {})
    {}
    """

    def check(name: str, value):
        if not isinstance(value, classes):
            raise ValueError(f"{name} must be a {either([c.__name__ for c in classes])}, got {shown(value)}")
        return value

    return check


def has_attribute(value, name: str) -> bool:
    """As hasattr, but a property is not asked for its value, which may be long in the making.

    >>> has_attribute(1j, "real"), has_attribute(1j, "size")
    (True, False)
    """
    return hasattr(type(value), name) or hasattr(value, name)


def has(what: str, *names: str) -> Domain:
    """Duck typing: an object with these attributes, which is `what`.

    >>> has("a text", "strip")("x", "a")
    'a'
    """

    def check(name: str, value):
        missing = [k for k in names if not has_attribute(value, k)]
        if missing or isinstance(value, type):
            lacks = f", which has no {missing[0]}" if missing else ""
            raise ValueError(f"{name} must be {what}, got {shown(value)}{lacks}")
        return value

    return check


model = has("a model", "config", "predict", "check_tokens", "latent_channel")
data = has("a task or a text", "sample", "length", "vocab", "labels")
task = has("a task, of known law", "sample", "length", "vocab", "labels", "score", "entropy")


def function(name: str, value):
    """A callable.

    >>> function("save", print) is print
    True
    """
    if not callable(value):
        raise ValueError(f"{name} must be a function, got {shown(value)}")
    return value


def seed(name: str, value):
    """A seed: an integer in [0, 2^63), or a generator.

    >>> seed("seed", 3)
    3
    """
    if type(value).__name__ == "Generator" and hasattr(value, "manual_seed"):
        return value
    return arguments.seed(name, value)


def tensor(name: str, value):
    """A tensor, or what makes one.

    >>> tensor("x", [1])
    tensor([1])
    """
    return arguments.tensor(name, value)


def source(name: str, value):
    """A source of random numbers: a generator or streams.

    >>> import torch
    >>> source("g", torch.Generator()).initial_seed() > 0
    True
    """
    if type(value).__name__ not in ("Generator", "Streams") or not hasattr(value, "device"):
        raise ValueError(f"{name} must be a torch.Generator, got {shown(value)}")
    return value


def ids(name: str, value):
    """Token ids [B, L], of whatever vocabulary.

    >>> ids("x", [[0, 1]])
    tensor([[0, 1]])
    """
    x = arguments.tensor(name, value)
    if x.dim() != 2 or not x.numel() or x.is_floating_point() or x.is_complex() or str(x.dtype) == "torch.bool":
        kind = str(x.dtype).removeprefix("torch.")
        raise ValueError(f"{name} must be integer ids of shape [batch, length], got {kind} {list(x.shape)}")
    return x.long() if x.dtype.itemsize == 1 else x  # as an index, torch takes bytes for a mask


def floats(name: str, value):
    """A tensor of real numbers, finite, one at least; of integers, floats are made.

    >>> floats("u", [0, 1])
    tensor([0., 1.])
    """
    x = arguments.tensor(name, value)
    if x.is_complex() or not x.numel():
        raise ValueError(f"{name} must hold real numbers, one at least, got {shown(value)}")
    if x.dtype.itemsize == 1 and not x.is_floating_point():
        raise ValueError(f"{name} must hold real numbers, got {x.dtype}")
    x = x if x.is_floating_point() else x.float()
    if not bool(x.isfinite().all()):
        raise ValueError(f"{name} must hold finite numbers, got {shown(value)}")
    return x


def unit(name: str, value):
    """A tensor as of `floats`, in [0, 1].

    >>> unit("u", [0.5])
    tensor([0.5000])
    """
    x = floats(name, value)
    if not -1e-6 <= float(x.min()) <= float(x.max()) <= 1 + 1e-6:
        raise ValueError(f"{name} must be in [0, 1], got {shown(value)}")
    return x


def line(name: str, value):
    """A vector as of `floats`: [n].

    >>> line("costs", [1, 2])
    tensor([1., 2.])
    """
    x = floats(name, value)
    if x.dim() != 1:
        raise ValueError(f"{name} must be a row of numbers [n], got shape {list(x.shape)}")
    return x


def rows(name: str, value):
    """Log-probabilities [N, V], minus infinities among them.

    >>> rows("log_probs", [[0.0]])
    tensor([[0.]])
    """
    x = arguments.tensor(name, value)
    if x.dim() != 2 or not x.is_floating_point() or not x.shape[1]:
        raise ValueError(f"{name} must be log-probabilities [N, V], got {x.dtype} {list(x.shape)}")
    return x


def times(name: str, value):
    """Noise times in [0, 1]: a number, or an array of them.

    >>> times("t_x", 0.5)
    array(0.5)
    """
    x = arguments.numbers_of(name, value)
    if x.dtype.kind == "b" or not x.size or not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError(f"{name} must hold times in [0, 1], got {shown(value)}")
    return x


def counts(name: str, value) -> tuple[int, ...]:
    """Numbers of steps: one, or a list of them.

    >>> counts("token_steps", 4), counts("token_steps", (1, 2))
    ((4,), (1, 2))
    """
    one = whole(0, limit="steps")
    if hasattr(value, "tolist"):
        value = value.tolist()
    found = tuple(one(name, v) for v in (value if isinstance(value, list | tuple | range) else [value]))
    if not found:
        raise ValueError(f"{name} must hold at least one number, got none")
    return found


def path(name: str, value):
    """A path of noise times: a Path, a Curve or a Schedule.

    >>> from lddm_lite import Path
    >>> path("path", Path.joint())
    Path(lead=0.0)
    """
    if isinstance(value, type) or not all(hasattr(value, k) for k in ("knots", "corners", "lead")):
        raise ValueError(f"{name} must be a Path, a Curve or a Schedule, got {shown(value)}")
    return value


def reals(name: str, value):
    """A tensor of real numbers, of any shape; whether they are finite is not looked at.

    >>> import torch
    >>> reals("z", torch.ones(1))
    tensor([1.])
    """
    return _kind(name, value, "real numbers", lambda x: x.is_floating_point())


def integers(name: str, value):
    """A tensor of integers, of any shape.

    >>> import torch
    >>> integers("x", torch.tensor([1]))
    tensor([1])
    """

    def fits(x) -> bool:
        return not (x.is_floating_point() or x.is_complex() or str(x.dtype) == "torch.bool")

    return _kind(name, value, "integers", fits)


def amounts(name: str, value):
    """A tensor of integers or of real numbers, of any shape.

    >>> import torch
    >>> amounts("z", torch.tensor([1]))
    tensor([1])
    """
    return _kind(name, value, "numbers", lambda x: not x.is_complex() and str(x.dtype) != "torch.bool")


def flags(name: str, value):
    """A tensor of truth values, of any shape.

    >>> import torch
    >>> flags("where", torch.tensor([True]))
    tensor([True])
    """
    return _kind(name, value, "truth values", lambda x: str(x.dtype) == "torch.bool")


def _kind(name: str, value, what: str, fits):
    if not hasattr(value, "is_floating_point") or not hasattr(value, "dtype") or not fits(value):
        raise ValueError(f"{name} must be a tensor of {what}, got {shown(value)}")
    return value


def moments(name: str, value):
    """Noise times: a tensor of numbers in [0, 1]. Of one on a GPU the numbers are not looked at,
    which would make it wait.

    >>> import torch
    >>> moments("t", torch.ones(1))
    tensor([1.])
    """
    x = reals(name, value)
    if x.device.type == "cpu" and x.numel():
        low, high = x.aminmax()
        if not -1e-6 <= float(low) <= float(high) <= 1 + 1e-6:  # nan compares False
            raise ValueError(f"{name} must hold times in [0, 1], got {shown(value)}")
    return x


# what a network call is given (`protocols.Model.predict`)
CALL = {
    "x_t": maybe(integers), "z_t": maybe(amounts), "t_z": maybe(reals), "where": maybe(flags),
    "need_latents": boolean, "lengths": maybe(integers),
}  # fmt: skip


def of_shape(name: str, value, wanted: Sequence[int]):
    """A tensor of this shape.

    >>> of_shape("x", tensor("x", [1, 2]), (2,)).shape
    torch.Size([2])
    """
    if not hasattr(value, "shape") or tuple(value.shape) != tuple(wanted):
        got = list(value.shape) if hasattr(value, "shape") else shown(value)
        raise ValueError(f"{name} must have shape {list(wanted)}, got {got}")
    return value


def shape(name: str, value) -> tuple[int, ...]:
    """The shape of a tensor: whole numbers from 0 on, one at least.

    >>> shape("shape", [2, 3])
    (2, 3)
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{name} must be a shape, whole numbers from 0 on, got {shown(value)}")
    out = tuple(arguments.integer(name, v, 0) for v in value)
    arguments.within("numbers", math.prod(out), f"{name}: the numbers in it")
    return out


def knots(name: str, value) -> list:
    """Knots of a path, as `Path.knots` gives them, falling.

    >>> from lddm_lite import Path
    >>> len(knots("knots", Path().knots(1)))
    2
    """
    if not isinstance(value, list | tuple) or not value or not all(_is_knot(k) for k in value):
        raise ValueError(f"{name} must be a list of Knots (Path.knots), got {shown(value)}")
    if any(b.t_x > a.t_x or b.t_z > a.t_z for a, b in zip(value, value[1:], strict=False)):
        raise ValueError(f"{name} must fall, got {shown(value)}")
    return list(value)


def _is_knot(k) -> bool:
    return all(isinstance(v := getattr(k, t, None), float | int) and 0 <= v <= 1 for t in ("t_x", "t_z"))


P = ParamSpec("P")
R = TypeVar("R")


USUAL: dict[str, Domain] = {  # of arguments that mean the same wherever they occur
    "batch": whole(1), "data": data, "draws": whole(1, limit="draws"), "g": source,
    "latent_steps": maybe(whole(0, limit="steps")), "model": model, "path": maybe(path), "progress": boolean,
    "seed": seed, "task": task, "title": maybe(text(most=1000)), "token_steps": maybe(whole(1, limit="steps")),
}  # fmt: skip


def checked(*usual: str, **domains: Domain) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Argument validation, a decorator: arguments with these names are in these domains, `usual`
    ones in those of `USUAL`, and are passed on as the domain returns them; a ValueError else.
    `domains` of what it makes are these.

    >>> @checked(n=whole(1))
    ... def twice(n: int) -> int:
    ...     return 2 * n
    >>> twice(-1)
    Traceback (most recent call last):
    ValueError: n must be an integer >= 1, got -1
    """
    domains = {**{name: USUAL[name] for name in usual}, **domains}

    def wrap(f: Callable[P, R]) -> Callable[P, R]:
        names = list(inspect.signature(f).parameters)
        odd = set(domains) - set(names)
        assert not odd, f"{f.__name__} has no {odd}"
        at = [(i, name, of) for i, name in enumerate(names) if (of := domains.get(name)) is not None]

        @functools.wraps(f)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given: list[Any] = list(args)
            for i, name, of in at:
                if i < len(given):
                    given[i] = of(name, given[i])
                elif name in kwargs:
                    kwargs[name] = of(name, kwargs[name])
            return f(*given, **kwargs)

        call.domains = domains  # type: ignore[attr-defined]
        return call

    return wrap


def fitting(f: Callable[P, R]) -> Callable[P, R]:
    """Shape errors named, by a decorator: where the tensors among the arguments do not fit each
    other, which shows when they are combined, the error is a ValueError that tells the shape of
    each.

    >>> import torch
    >>> @fitting
    ... def add(a, b):
    ...     return a + b
    >>> add(torch.ones(2), torch.ones(3))
    Traceback (most recent call last):
    ValueError: a, b must fit each other, got float32 [2], float32 [3]
    """
    names = list(inspect.signature(f).parameters)

    @functools.wraps(f)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return f(*args, **kwargs)
        except (RuntimeError, IndexError) as e:
            if type(e) not in (RuntimeError, IndexError) or "memory" in str(e):
                raise
            tensors = {k: v for k, v in {**dict(zip(names, args, strict=False)), **kwargs}.items() if k != "self"}
            told = ", ".join(f"{str(v.dtype)[6:]} {list(v.shape)}" if hasattr(v, "dtype") and hasattr(v, "shape")
                             else shown(v) for v in tensors.values())  # fmt: skip
            raise ValueError(f"{', '.join(tensors)} must fit each other, got {told}") from e

    return call


def pair(first: Domain, second: Domain) -> Domain:
    """A list of two, each in a domain of its own.

    >>> pair(whole(), text())("event", [3, "frozen"])
    [3, 'frozen']
    """

    def check(name: str, value):
        a, b = items(anything, 2, 2)(name, value)
        return [first(f"{name}[0]", a), second(f"{name}[1]", b)]

    return check


def array(kinds: str, dims: Sequence[int]) -> Domain:
    """An array, as `Trace` and its like write it, {"dtype", "shape", "base64"}, or as lists of
    numbers; as numpy's, finite.

    - `kinds`: of its dtype, numpy's letters ("i", "f", "u");
    - `dims`: how many axes it may have.

    >>> array("i", [1])("x", {"dtype": "<i4", "shape": [1], "base64": "AQAAAA=="})
    array([1], dtype=int32)
    """
    import base64

    import numpy as np

    form = record({"dtype": text(f"[<|][{kinds}][1248]"), "shape": items(whole(0)), "base64": text()})

    def packed(name: str, value: dict):
        about = form(name, value)
        shape, dtype = about["shape"], np.dtype(about["dtype"])
        try:
            raw = base64.b64decode(about["base64"], validate=True)
        except ValueError as e:
            raise ValueError(f"{name}.base64 is damaged: {e}") from None
        if len(raw) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name}.base64 holds {len(raw):,} bytes, which are not {shown(shape)} of {dtype.str}")
        return np.frombuffer(raw, dtype=dtype).reshape(shape).copy()

    def check(name: str, value):
        if isinstance(value, dict):
            out = packed(name, value)
        else:
            out = arguments.numbers_of(name, value)
        if out.dtype.kind not in kinds and not (out.dtype.kind in "iu" and "f" in kinds):
            wanted = "numbers" if "f" in kinds else "integers"
            raise ValueError(f"{name} must hold {wanted}, got {out.dtype}")
        if out.ndim not in dims:
            raise ValueError(f"{name} must have {either(list(map(str, dims)))} axes, got shape {list(out.shape)}")
        if out.dtype.kind == "f" and not np.isfinite(out).all():
            raise ValueError(f"{name} holds nan or infinite values")
        return out

    return check
