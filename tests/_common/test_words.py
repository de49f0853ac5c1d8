"""Numbers of things in words."""

import pytest

from lddm_lite._common.words import counted, either, plural


@pytest.mark.parametrize(("n", "text"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (12_000, "12,000 steps")])
def test_counted(n, text):
    assert counted(n, "step") == text


def test_plural_leaves_the_number_out():
    assert plural(1, "latent code") == "latent code" and plural(3, "latent code") == "latent codes"


@pytest.mark.parametrize(("names", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")])
def test_either(names, text):
    assert either(names) == text
