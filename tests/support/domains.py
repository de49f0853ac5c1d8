"""Values made from declared domains: those of `_common.schemas`, and the options of dataclasses. What a
domain holds is tried near its ends alone, so that nobody draws a million samples."""

import inspect
import math

from hypothesis import strategies as st

from lddm_lite._common import arguments

ODD_TEXTS = ["", " ", "x", "a\0b", "\n", "\u202e", "é", "💥", "../../etc/passwd", "~nobody", "1e5", "0x10", "１"]
ODD_TEXTS += ["nan", "None", "True", "[]", "-1", "a" * 500]
ODD_NUMBERS = [0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.5, -0.5, 1e300, 1e-300, math.nan, math.inf, -math.inf, 1j]
ODD = st.one_of(
    st.none(), st.booleans(), st.sampled_from(ODD_TEXTS), st.sampled_from(ODD_NUMBERS), st.binary(max_size=4),
    st.text(max_size=4), st.floats(), st.integers(), st.just(()), st.just({}), st.just([]), st.builds(object),
    st.lists(st.one_of(st.integers(-2, 3), st.none(), st.text(max_size=2)), max_size=3),
    st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=2), max_leaves=6),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2), st.sets(st.integers(), max_size=2),
)  # fmt: skip


def ends(minimum, maximum, above=None, below=None, whole=True):
    """Numbers at, just inside and just outside of the ends of a range; its middle where it is short."""
    step = 1 if whole else 1e-9
    out = [maximum + step if maximum is not None else None, below]
    low = minimum if minimum is not None else above
    if low is not None:
        out += [low - step, low, low + step, -low, low - 1000]
    if maximum is not None and low is not None and maximum - low <= 4:
        out += [maximum, (low + maximum) / 2]
    return [v for v in out if v is not None]


def near(domain):
    """Values near a domain of `schemas`, on both sides of its border; None where it has none to see."""
    kind = domain.__qualname__.partition(".")[0]
    about = inspect.getclosurevars(domain).nonlocals if ".<locals>." in domain.__qualname__ else {}
    if kind == "whole":
        most = about["maximum"] if about["limit"] is None else arguments.limit(about["limit"])
        return st.sampled_from(ends(about["minimum"], most) or [0])
    if kind == "number":
        found = ends(*(about[k] for k in ("minimum", "maximum", "above", "below")), whole=False)
        return st.sampled_from(found or [0.5])
    if kind == "choice":
        return st.sampled_from([*about["names"], about["names"][0].upper(), about["names"][0] + " ", 0])
    if kind == "maybe":
        return st.one_of(st.none(), _near_or_odd(about["of"]))
    if kind == "one_of":
        return st.one_of(*map(_near_or_odd, about["domains"]))
    if kind == "items":
        return st.lists(_near_or_odd(about["of"]), max_size=3)
    if kind == "pair":
        return st.tuples(_near_or_odd(about["first"]), _near_or_odd(about["second"])).map(list)
    if kind == "boolean":
        return st.sampled_from([True, False, 0, 1, "no"])
    return None


def _near_or_odd(domain):
    made = near(domain)
    return ODD if made is None else made


def near_option(option):
    """The same of an option of a dataclass."""
    if option.choices:
        one = st.sampled_from([*option.choices, option.choices[0].upper(), "", 0])
    elif option.kind is bool:
        one = st.sampled_from([True, False, 0, 1, "no"])
    elif option.kind in (int, float):
        found = ends(option.minimum, option.maximum, option.above, option.below, option.kind is int)
        one = st.sampled_from([v for v in found if v == v and abs(v) < math.inf] or [0])
    else:
        one = st.sampled_from(ODD_TEXTS)
    return st.lists(one, max_size=3).map(tuple) if option.many else one


def words_for(option):
    """What a person may type for an option: words near its domain, and odd ones."""
    return st.one_of(near_option(option).map(written), st.sampled_from([t for t in ODD_TEXTS if "\0" not in t]))


def written(value) -> str:
    """A value as a word of the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def large(value) -> bool:
    """Would a domain that holds this be asked for much work? Of a command whose domain it is, that is right."""
    inner = value if isinstance(value, list | tuple | set) else [value]
    return any(isinstance(v, int | float) and v == v and abs(v) > 300 for v in inner)
