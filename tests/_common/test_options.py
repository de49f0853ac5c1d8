"""Options: fields that say what they may be, and the library's own, held to what they say."""

import math
from dataclasses import MISSING, dataclass, replace

import pytest

from lddm_lite._common.options import check_fields, option, options
from lddm_lite.config import Config
from lddm_lite.diffusion.sampler import Draws
from lddm_lite.training.config import TrainConfig


@dataclass
class Walk:
    """One field of each kind."""

    where: str = option(help="a place")
    steps: int = option(8, "how many", minimum=1)
    lead: float | None = option(None, "how far ahead", above=0, maximum=0.5)
    counts: tuple[int, ...] = option((1, 2), "of each", minimum=1)
    order: str = option("even", "which first", choices=("even", "any", "odd"))
    quiet: bool = option(False, "say nothing")
    seen: int = 0  # no option

    def __post_init__(self):
        check_fields(self)


def test_what_fields_declare_can_be_read():
    where, steps, lead, counts, order, quiet = options(Walk)
    assert [o.name for o in options(Walk)] == ["where", "steps", "lead", "counts", "order", "quiet"]
    assert (where.default, where.kind, where.help) == (MISSING, str, "a place")
    assert (steps.kind, steps.minimum, steps.optional, steps.many) == (int, 1, False, False)
    assert (lead.kind, lead.above, lead.maximum, lead.optional, lead.default) == (float, 0, 0.5, True, None)
    assert (counts.kind, counts.many, counts.default) == (int, True, (1, 2))
    assert order.choices == ("even", "any", "odd") and quiet.kind is bool


def test_what_is_allowed_is_taken_as_it_is():
    assert Walk("here", lead=0.5, counts=(3,), order="any", quiet=True, seen="x").counts == (3,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(where=3), "where must be a text, got 3"),
        (dict(steps=0), "steps must be an integer >= 1, got 0"),
        (dict(steps=None), "steps must be an integer >= 1, got None"),
        (dict(lead=0), r"lead must be a number in \(0, 0.5\], got 0"),
        (dict(lead=math.nan), r"lead must be a number in \(0, 0.5\], got nan"),
        (dict(counts=(1, 0)), "counts must be an integer >= 1, got 0"),
        (dict(order="best"), "order must be even, any or odd, got 'best'"),
        (dict(order=["even"]), r"order must be even, any or odd, got \['even'\]"),
        (dict(quiet=1), "quiet must be True or False, got 1"),
    ],
)
def test_what_is_not_allowed_is_named(given, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Walk(**{"where": "here", **given})


USUAL = {Config: Config(8, 4, pad_id=0), TrainConfig: TrainConfig(), Draws: Draws()}
OPTIONS = [(usual, o) for cls, usual in USUAL.items() for o in options(cls)]


def outside(o):
    """Values just outside a domain, and of another kind."""
    small = 1 if o.kind is int else 1e-6
    found = [[], 1 if o.kind in (bool, str) else "1", *[None] * (not o.optional), *["best"] * bool(o.choices)]
    found += [math.nan] * (o.kind is float) + [1.5, True] * (o.kind is int)
    found += [bound for bound in (o.above, o.below) if bound is not None]
    return found + [end + way * small for end, way in ((o.minimum, -1), (o.maximum, 1)) if end is not None]


@pytest.mark.parametrize(("usual", "o"), OPTIONS, ids=[f"{type(c).__name__}.{o.name}" for c, o in OPTIONS])
def test_the_library_refuses_what_its_own_options_do_not_allow(usual, o):
    for value in outside(o):
        with pytest.raises(ValueError, match=f"^{o.name} must be "):
            replace(usual, **{o.name: value})
    for value in [o.minimum] * (o.minimum is not None) + list(o.choices):
        assert o.check(value) == value
