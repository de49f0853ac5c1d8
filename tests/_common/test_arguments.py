"""Integers, numbers and token ids as they are given: taken, or named in the error."""

import math
import re

import numpy as np
import pytest
import torch

from lddm_lite._common.arguments import integer, number, texts, tokens


@pytest.mark.parametrize("value", [3, 0, np.int16(2), torch.tensor([2, 1])[0].item()])
def test_integers_of_all_kinds_become_ints(value):
    assert type(integer("n", value, minimum=0)) is int and integer("n", value, minimum=0) == value


@pytest.mark.parametrize("value", [True, 1.0, "1", None, math.nan, [1]])
def test_what_is_no_integer(value):
    with pytest.raises(ValueError, match=f"^n must be an integer, got {re.escape(repr(value))}$"):
        integer("n", value)


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.25), -math.inf])
def test_numbers_of_all_kinds_become_floats(value):
    assert type(number("x", value)) is float and number("x", value) == value


@pytest.mark.parametrize("value", [False, "0.5", None, math.nan, 1j])
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match=f"^x must be a number, got {re.escape(repr(value))}$"):
        number("x", value)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (2, None, "must be an integer >= 2, got 1"),
        (None, 0, "must be an integer <= 0, got 1"),
        (2, 4, r"must be an integer in \[2, 4\], got 1"),
    ],
)
def test_the_allowed_range_is_told(low, high, message):
    with pytest.raises(ValueError, match=f"^k {message}$"):
        integer("k", 1, low, high)
    with pytest.raises(ValueError, match=f"^k {message.replace('an integer', 'a number')}$"):
        number("k", 1, low, high)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (dict(above=1), "> 1"),
        (dict(below=1), "< 1"),
        (dict(above=1, maximum=2), r"in \(1, 2\]"),
        (dict(minimum=0, below=1), r"in \[0, 1\)"),
        (dict(above=1, below=math.inf), r"in \(1, inf\)"),
    ],
)
def test_a_bound_may_lie_outside(bounds, message):
    with pytest.raises(ValueError, match=f"^k must be a number {message}, got 1$"):
        number("k", 1, **bounds)
    number("k", 1 + (1 if "above" in bounds else -1) / 2, **bounds)


def test_tokens_become_int64():
    x = tokens("x", np.array([[0, 2]], dtype=np.uint8), length=2, vocab=2, mask_ok=True)
    assert x.dtype == torch.int64 and x.tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0.0, 1.0]], "x must hold integer token ids, got dtype torch.float32"),
        ([[True, False]], "x must hold integer token ids, got dtype torch.bool"),
        ([0, 1], r"x must have shape \[batch, 2\], got \(2,\)"),
        (torch.zeros(0, 2, dtype=torch.long), "x is an empty batch; give at least one sequence"),
        ([[0, 1, 0]], "x must have length 2, got 3"),
        ([[0, -1]], r"x holds ids -1\.\.0; allowed are 0\.\.1$"),
        ([[0, 2]], r"x holds ids 0\.\.2; allowed are 0\.\.1$"),
    ],
)
def test_what_is_no_batch_of_tokens(x, message):
    with pytest.raises(ValueError, match=message):
        tokens("x", x, length=2, vocab=2)


def test_the_mask_may_be_allowed():
    with pytest.raises(ValueError, match=r"allowed are 0\.\.2 \(2 is the mask\)$"):
        tokens("x", [[0, 3]], length=2, vocab=2, mask_ok=True)


@pytest.mark.parametrize(
    ("values", "blank", "message"),
    [
        ("one", False, "name must be a list of texts, got one text"),
        ([], False, "name must hold at least one text, got none"),
        (["a", " "], False, r"name\[1\] must be a text that is not empty, got ' '"),
        (["a", 3], True, r"name\[1\] must be a text, got 3"),
        ([None], False, r"name\[0\]"),
    ],
)
def test_texts_that_are_none_are_named(values, blank, message):
    with pytest.raises(ValueError, match=message):
        texts("name", values, blank)


def test_texts_come_back_as_a_list():
    assert texts("name", ("a", "b")) == ["a", "b"] and texts("name", ["", "a"], blank=True) == ["", "a"]
