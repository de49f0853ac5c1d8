"""Domains take what they say, name what they do not, and are put together."""

import numpy as np
import pytest
import torch

from lddm_lite._common import schemas
from tests.support.hostile import bytes_of

RECORD = schemas.record({"n": schemas.whole(1)}, {"name": schemas.text("[a-z]+")})


@pytest.mark.parametrize(
    ("domain", "good", "bad", "message"),
    [
        (schemas.whole(1, 3), 2, 4, r"x must be an integer in \[1, 3\], got 4"),
        (schemas.whole(1), np.int64(2), True, "x must be an integer >= 1, got True"),
        (schemas.whole(limit="blocks"), 2, 10**6, "x must be at most 256, got 1000000; .*LDDM_LIMIT_BLOCKS"),
        (schemas.number(0, 1), 0.5, float("nan"), r"x must be a number in \[0, 1\]"),
        (schemas.number(), 1, float("inf"), "x must be finite"),
        (schemas.text("[a-z]+"), "rain", "Rain", "x must be of the form"),
        (schemas.text(most=3), "abc", "abcd", "at most 3 characters, got 4"),
        (schemas.text(), "é", "\ud800", "half a character"),
        (schemas.boolean, True, 1, "x must be True or False, got 1"),
        (schemas.choice("a", "b"), "a", ["a"], "x must be 'a' or 'b', got"),
        (schemas.constant(1), 1, True, "x must be 1, got True"),
        (schemas.maybe(schemas.whole()), None, "a", "x must be an integer, got 'a'"),
        (schemas.items(schemas.whole(), 1, 2), [1], [1, 2, 3], "x must be a list of 1 to 2, got 3"),
        (schemas.items(schemas.whole()), [1], [1, "a"], r"x\[1\] must be an integer, got 'a'"),
        (schemas.mapping(schemas.whole()), {"a": 1}, {"a": "b"}, r"x\['a'\] must be an integer"),
        (schemas.pair(schemas.whole(), schemas.text()), [1, "a"], [1], "x must be a list of 2, got 1"),
        (RECORD, {"n": 1}, {}, "x.n is missing"),
        (RECORD, {"n": 1, "name": "a"}, {"n": 1, "m": 2}, "x.'m' is unknown; known are n, name"),
        (RECORD, {"n": 1}, {"n": 0}, "x.n must be an integer >= 1, got 0"),
        (RECORD, {"n": 1}, [1], "x must be an object, got"),
        (schemas.one_of(schemas.whole(), schemas.text()), 1, None, "x must be a text, got None"),
        (schemas.is_a(dict), {}, [], "x must be a dict"),
        (schemas.function, print, 1, "x must be a function, got 1"),
        (schemas.counts, (1, 2), (1, -1), "x must be an integer >= 0, got -1"),
        (schemas.counts, 4, [], "x must hold at least one number"),
        (schemas.unit, [0.5], [2.0], r"x must be in \[0, 1\]"),
        (schemas.ids, [[1]], [[1.5]], "x must be integer ids"),
        (schemas.line, [1.0], [[1.0]], "x must be a row of numbers"),
        (schemas.times, 0.5, 1.5, r"x must hold times in \[0, 1\]"),
        (schemas.source, torch.Generator(), 3, "x must be a torch.Generator, got 3"),
    ],
)  # fmt: skip
def test_a_domain_takes_what_it_says_and_names_what_it_does_not(domain, good, bad, message):
    domain("x", good)
    with pytest.raises(ValueError, match=message):
        domain("x", bad)


def test_arrays_come_back_and_do_not_lie_about_their_size():
    of, x = schemas.array("f", [2]), np.arange(6, dtype="<f4").reshape(2, 3)
    assert (of("x", bytes_of(x)) == x).all() and of("x", x.tolist()).shape == (2, 3)
    for wrong in ({"shape": [2**40, 3]}, {"shape": [2, 2]}, {"shape": [-1]}, {"dtype": "|O8"}, {"dtype": "<i4"},
                  {"base64": "!"}, {"base64": "AAAA"}):  # fmt: skip
        with pytest.raises(ValueError, match="^x"):
            of("x", {**bytes_of(x), **wrong})
    with pytest.raises(ValueError, match="nan or infinite"):
        of("x", bytes_of(x * np.float32("nan")))


def test_checked_arguments_are_passed_on_as_the_domain_returns_them():
    @schemas.checked(n=schemas.whole(1), seed=schemas.seed)
    def f(n, *, seed=0):
        """Doc."""
        return type(n), seed

    assert f(np.int64(2), seed=np.int32(3)) == (int, 3) and f.__doc__ == "Doc."
    with pytest.raises(ValueError, match="n must be"):
        f(n=0)
    with pytest.raises(TypeError):
        f()
